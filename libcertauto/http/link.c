/* SPDX-License-Identifier: Apache-2.0 */

/* Link headers (RFC 8288), as far as ACME needs them: "up", "alternate", "index". */

#include <string.h>

#include "http/private.h"

struct cursor {
	const char *at;
};

/* A name or a value, quotes taken off; escaped is set if it holds backslashes. */
struct word {
	const char *text;
	size_t len;
	int escaped;
};

static void skip_blanks(struct cursor *c)
{
	c->at += strspn(c->at, " \t");
}

static int take_quoted(struct cursor *c, struct word *out)
{
	const char *p;

	out->text = c->at + 1;
	out->escaped = 0;
	for (p = out->text; *p != '"'; p++) {
		if (*p == '\\') {
			out->escaped = 1;
			p++;
		}
		if (*p == '\0')
			return CERTAUTO_EPROTO;
	}
	out->len = (size_t)(p - out->text);
	c->at = p + 1;
	return 0;
}

static int take_token(struct cursor *c, struct word *out)
{
	out->text = c->at;
	out->len = strcspn(c->at, " \t;,=\"<>");
	out->escaped = 0;
	c->at += out->len;
	return out->len > 0 ? 0 : CERTAUTO_EPROTO;
}

/* name [= value]; value.text is NULL when there is none. */
static int take_parameter(struct cursor *c, struct word *name, struct word *value)
{
	int rc;

	memset(value, 0, sizeof(*value));
	if ((rc = take_token(c, name)) < 0)
		return rc;
	skip_blanks(c);
	if (*c->at != '=')
		return 0;
	c->at++;
	skip_blanks(c);
	return *c->at == '"' ? take_quoted(c, value) : take_token(c, value);
}

/* Is rel one of the relation types, which stand between blanks? */
static int has_relation(const struct word *value, const char *rel)
{
	size_t i, len;

	for (i = 0; i < value->len; i += len + 1) {
		for (len = 0; i + len < value->len; len++)
			if (value->text[i + len] == ' ' || value->text[i + len] == '\t')
				break;
		if (certauto__same_word(value->text + i, len, rel))
			return 1;
	}
	return 0;
}

/* One link with its parameters: <target> *( ; name [= value] ). */
static int take_link(struct cursor *c, const char *rel, struct word *target, int *matches)
{
	int rc, seen_rel = 0, foreign = 0;
	struct word name, value;

	*matches = 0;
	if (*c->at != '<')
		return CERTAUTO_EPROTO;
	target->text = c->at + 1;
	target->len = strcspn(target->text, ">");
	if (target->text[target->len] != '>')
		return CERTAUTO_EPROTO;
	c->at = target->text + target->len + 1;
	for (;;) {
		skip_blanks(c);
		if (*c->at != ';')
			break;
		c->at++;
		skip_blanks(c);
		if (*c->at == ';' || *c->at == ',' || *c->at == '\0')
			continue; /* an empty parameter, which RFC 8288 B.3 lets pass */
		if ((rc = take_parameter(c, &name, &value)) < 0)
			return rc;
		/* Only the first rel counts (RFC 8288 3.3); an anchor makes it a link of another
		 * resource (3.2). */
		if (certauto__same_word(name.text, name.len, "rel") && !seen_rel) {
			seen_rel = 1;
			*matches = !value.escaped && has_relation(&value, rel);
		} else if (certauto__same_word(name.text, name.len, "anchor")) {
			foreign = 1;
		}
	}
	if (foreign)
		*matches = 0;
	return *c->at == ',' || *c->at == '\0' ? 0 : CERTAUTO_EPROTO;
}

int certauto__link_find(const char *header, const char *rel, size_t *skip, certauto__buffer *target)
{
	struct cursor c = { header };
	struct word link;
	int rc, matches;

	for (;;) {
		c.at += strspn(c.at, " \t,");
		if (*c.at == '\0')
			return CERTAUTO_ENOTFOUND;
		if ((rc = take_link(&c, rel, &link, &matches)) < 0)
			return rc;
		if (!matches)
			continue;
		if (*skip == 0)
			return certauto__buffer_add(target, link.text, link.len);
		(*skip)--;
	}
}

static int from_curlu(CURLUcode code)
{
	if (code == CURLUE_OK)
		return 0;
	return code == CURLUE_OUT_OF_MEMORY ? CERTAUTO_ENOMEM : CERTAUTO_EPROTO;
}

int certauto__link_resolve(const char *base, const char *reference, certauto__buffer *out)
{
	char *text = NULL;
	const char *p;
	CURLU *url;
	int rc;

	/* A reference is printable ASCII; libcurl would encode some of the rest instead of
	 * refusing. */
	for (p = reference; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return CERTAUTO_EPROTO;
	if ((url = curl_url()) == NULL)
		return CERTAUTO_ENOMEM;
	if ((rc = from_curlu(curl_url_set(url, CURLUPART_URL, base, CURLU_PATH_AS_IS))) < 0 ||
	    (reference[0] != '\0' &&
	     (rc = from_curlu(curl_url_set(url, CURLUPART_URL, reference, 0))) < 0) ||
	    (rc = from_curlu(curl_url_get(url, CURLUPART_URL, &text, 0))) < 0)
		goto out;
	rc = certauto__buffer_text_add(out, text);
out:
	curl_free(text);
	curl_url_cleanup(url);
	return rc;
}
