/* SPDX-License-Identifier: Apache-2.0 */

/* The header fields of an answer: kept as "name NUL value NUL ..." in one buffer, and what is read
 * out of them. */

#include <string.h>

#include "core/clock.h"
#include "http/private.h"

#define WAIT_MAX 0x7fffffff /* longer than any caller's clamp; a number over it is cut to it */

static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

int certauto__same_word(const char *text, size_t len, const char *word)
{
	size_t i;

	for (i = 0; i < len && word[i] != '\0'; i++)
		if (lower((unsigned char)text[i]) != lower((unsigned char)word[i]))
			return 0;
	return i == len && word[i] == '\0';
}

static size_t cut_blanks(const char **text, size_t len)
{
	while (len > 0 && ((*text)[0] == ' ' || (*text)[0] == '\t')) {
		(*text)++;
		len--;
	}
	while (len > 0 && ((*text)[len - 1] == ' ' || (*text)[len - 1] == '\t'))
		len--;
	return len;
}

int certauto__fields_add(certauto__transfer *t, const char *line, size_t len, const char **why)
{
	const char *colon = memchr(line, ':', len), *value;
	size_t name_len, value_len;
	int rc;

	*why = "a header that is not one";
	if (colon == NULL || colon == line || memchr(line, '\0', len) != NULL || line[0] == ' ' ||
	    line[0] == '\t')
		return CERTAUTO_EPROTO; /* the last two: a folded line, obsolete since RFC 7230 */
	*why = "too many headers";
	if (++t->n_headers > CERTAUTO__HTTP_HEADERS_COUNT_MAX)
		return CERTAUTO_EPROTO;
	name_len = (size_t)(colon - line);
	value = colon + 1;
	value_len = cut_blanks(&value, len - name_len - 1);
	if (value_len > CERTAUTO__HTTP_HEADER_MAX)
		return 0;
	*why = "too many bytes of headers";
	if ((rc = certauto__buffer_add(&t->fields, line, name_len)) < 0 ||
	    (rc = certauto__buffer_add(&t->fields, "", 1)) < 0 ||
	    (rc = certauto__buffer_add(&t->fields, value, value_len)) < 0 ||
	    (rc = certauto__buffer_add(&t->fields, "", 1)) < 0)
		return rc;
	return 0;
}

const char *certauto__transfer_header(const certauto__transfer *t, const char *name, size_t i)
{
	const char *at = t->fields.data, *end = at + t->fields.len;

	while (at != NULL && at < end) {
		size_t name_len = strlen(at);
		const char *value = at + name_len + 1;

		if (certauto__same_word(at, name_len, name) && i-- == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

int certauto__transfer_is_type(const certauto__transfer *t, const char *media_type)
{
	const char *value = certauto__transfer_header(t, "Content-Type", 0);
	size_t len;

	if (value == NULL)
		return 0;
	len = cut_blanks(&value, strcspn(value, ";"));
	return certauto__same_word(value, len, media_type);
}

/* Digits only, RFC 9110 10.2.3; -1 when it is something else. */
static int64_t delay_parse(const char *text)
{
	int64_t seconds = 0;

	if (*text == '\0')
		return -1;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		seconds = 10 * seconds + (*text - '0');
		if (seconds > WAIT_MAX)
			seconds = WAIT_MAX;
	}
	return seconds;
}

int64_t certauto__transfer_retry_after(const certauto__transfer *t)
{
	const char *value = certauto__transfer_header(t, "Retry-After", 0);
	const char *date = certauto__transfer_header(t, "Date", 0);
	int64_t seconds, at, now;

	if (value == NULL)
		return -1;
	if ((seconds = delay_parse(value)) >= 0)
		return seconds;
	if ((at = certauto__clock_parse_http(value)) < 0)
		return -1;
	/* The peer counts by its own clock; ours may be wrong. */
	now = date != NULL ? certauto__clock_parse_http(date) : -1;
	if (now < 0)
		now = certauto__clock_now();
	if (at <= now)
		return 0;
	return at - now < WAIT_MAX ? at - now : WAIT_MAX;
}

int certauto__transfer_link(const certauto__transfer *t, const char *rel, size_t i,
	certauto__buffer *out)
{
	certauto__buffer target = CERTAUTO__BUFFER(CERTAUTO__HTTP_HEADER_MAX);
	int rc = CERTAUTO_ENOTFOUND;
	const char *value;
	size_t n;

	for (n = 0; rc == CERTAUTO_ENOTFOUND; n++) {
		if ((value = certauto__transfer_header(t, "Link", n)) == NULL)
			break;
		rc = certauto__link_find(value, rel, &i, &target);
	}
	if (rc == 0)
		rc = certauto__link_resolve(t->url, certauto__buffer_text(&target), out);
	certauto__buffer_free(&target);
	return rc;
}
