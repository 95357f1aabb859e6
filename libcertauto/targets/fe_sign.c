/* SPDX-License-Identifier: Apache-2.0 */
/* SDK-HMAC-SHA256: a request signed with an access key in place of a token. What is signed is the
 * request in one form that both sides can make of it: parts of the path and parameters of the query
 * encoded anew, the latter sorted, and the headers that are named. */

#include "targets/fe.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "crypto/crypto.h"

#define ALGORITHM "SDK-HMAC-SHA256"
#define CANONICAL_MAX (64 * 1024)
#define UNRESERVED "-_.~"

static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* Decodes, and encodes as the signature wants it; what is in keep stays. */
static void encode(certauto__buffer *out, const char *text, size_t len, const char *keep)
{
	size_t i;
	int c;

	for (i = 0; i < len; i++) {
		c = (unsigned char)text[i];
		if (c == '+' && *keep == '\0') { /* in a query that is a blank */
			c = ' ';
		} else if (c == '%' && len - i > 2 && hex_value(text[i + 1]) >= 0 &&
			hex_value(text[i + 2]) >= 0) {
			c = hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]);
			i += 2;
		}
		if (c < 0x80 && c > 0 && (isalnum(c) || strchr(UNRESERVED, c) != NULL ||
			strchr(keep, c) != NULL))
			certauto__buffer_printf(out, "%c", c);
		else
			certauto__buffer_printf(out, "%%%02X", (unsigned)c);
	}
}

/* ---- the query ---- */

/* "name" and "value" with a NUL between them: names that begin alike are sorted by their ends, not
 * by the "=" behind them. */
static int query_split(certauto__list *pairs, const char *query)
{
	certauto__buffer pair = CERTAUTO__BUFFER(CANONICAL_MAX);
	size_t len, name;
	int rc = 0;

	for (; rc == 0 && *query != '\0'; query += len + (query[len] == '&')) {
		len = strcspn(query, "&");
		name = strcspn(query, "=&");
		if (len == 0)
			continue;
		certauto__buffer_clear(&pair);
		encode(&pair, query, name, "");
		certauto__buffer_add(&pair, "", 1);
		if (name < len)
			encode(&pair, query + name + 1, len - name - 1, "");
		rc = pair.rc < 0 ? pair.rc : certauto__list_add(pairs, pair.data, pair.len);
	}
	certauto__buffer_free(&pair);
	return rc;
}

static int pair_compare(const void *a, const void *b)
{
	const char *one = *(char *const *)a, *other = *(char *const *)b;
	int order = strcmp(one, other);

	return order != 0 ? order
			  : strcmp(one + strlen(one) + 1, other + strlen(other) + 1);
}

static int query_add(certauto__buffer *out, const char *query)
{
	certauto__list pairs = {0};
	size_t i;
	int rc = query != NULL ? query_split(&pairs, query) : 0;

	if (pairs.n > 0)
		qsort(pairs.items, pairs.n, sizeof(*pairs.items), pair_compare);
	for (i = 0; rc == 0 && i < pairs.n; i++)
		rc = certauto__buffer_printf(out, "%s%s=%s", i > 0 ? "&" : "", pairs.items[i],
			pairs.items[i] + strlen(pairs.items[i]) + 1);
	certauto__list_free(&pairs);
	return rc;
}

/* ---- headers ---- */

/* "name:value", the name in lower case. */
static int header_add(certauto__list *lines, const char *name, size_t name_len, const char *value)
{
	certauto__buffer line = CERTAUTO__BUFFER(CANONICAL_MAX);
	size_t i, len;
	int rc;

	line.secret = 1;
	for (i = 0; i < name_len; i++)
		certauto__buffer_printf(&line, "%c", tolower((unsigned char)name[i]));
	while (*value == ' ')
		value++;
	for (len = strlen(value); len > 0 && value[len - 1] == ' '; len--)
		;
	certauto__buffer_text_add(&line, ":");
	certauto__buffer_add(&line, value, len);
	rc = line.rc < 0 ? line.rc : certauto__list_add_text(lines, line.data);
	certauto__buffer_free(&line);
	return rc;
}

static int line_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All that are signed, in order. Nobody knows how names with "_" come through proxies. */
static int headers_collect(certauto__list *lines, const struct certauto__fe_request *request)
{
	const certauto__list *more = request->headers;
	size_t i, len;
	int rc;

	if ((rc = header_add(lines, "host", 4, request->host)) == 0)
		rc = header_add(lines, "x-sdk-date", 10, request->date);
	for (i = 0; rc == 0 && more != NULL && i < more->n; i++) {
		len = strcspn(more->items[i], ":");
		if (more->items[i][len] != '\0' && memchr(more->items[i], '_', len) == NULL)
			rc = header_add(lines, more->items[i], len, more->items[i] + len + 1);
	}
	if (rc == 0)
		qsort(lines->items, lines->n, sizeof(*lines->items), line_compare);
	return rc;
}

static void names_add(certauto__buffer *out, const certauto__list *lines)
{
	size_t i;

	for (i = 0; i < lines->n; i++)
		certauto__buffer_printf(out, "%s%.*s", i > 0 ? ";" : "",
			(int)strcspn(lines->items[i], ":"), lines->items[i]);
}

static void headers_wipe(certauto__list *lines)
{
	size_t i;

	for (i = 0; i < lines->n; i++)
		certauto__wipe(lines->items[i], strlen(lines->items[i]));
	certauto__list_free(lines);
}

/* ---- all of it ---- */

/* The path always ends in "/" here, whatever is asked for. */
static int canonical(certauto__buffer *out, const struct certauto__fe_request *request,
	const certauto__list *lines)
{
	size_t i, len = strlen(request->path);
	char digest[65] = "";
	int rc;

	certauto__buffer_printf(out, "%s\n", request->method);
	encode(out, request->path, len, "/");
	certauto__buffer_text_add(out, len > 0 && request->path[len - 1] == '/' ? "\n" : "/\n");
	if ((rc = query_add(out, request->query)) < 0 ||
		(rc = certauto__sha256_hex(digest, request->body, request->body_len)) < 0)
		return rc;
	certauto__buffer_text_add(out, "\n");
	for (i = 0; i < lines->n; i++)
		certauto__buffer_printf(out, "%s\n", lines->items[i]);
	certauto__buffer_text_add(out, "\n");
	names_add(out, lines);
	return certauto__buffer_printf(out, "\n%s", digest);
}

static int sign_text(certauto__buffer *out, const char *date, const char *digest,
	const certauto__secret *secret_key)
{
	certauto__buffer text = CERTAUTO__BUFFER(256), mac = CERTAUTO__BUFFER(64);
	int rc;

	if ((rc = certauto__buffer_printf(&text, ALGORITHM "\n%s\n%s", date, digest)) == 0 &&
		(rc = certauto__hmac(&mac, "HS256", secret_key, text.data, text.len)) == 0)
		rc = certauto__hex_encode(out, mac.data, mac.len);
	certauto__buffer_free(&text);
	certauto__buffer_free(&mac);
	return rc;
}

int certauto__fe_sign(certauto__buffer *out, const struct certauto__fe_request *request,
	const char *access_key, const certauto__secret *secret_key, char digest_out[65])
{
	certauto__buffer text = CERTAUTO__BUFFER(CANONICAL_MAX);
	certauto__list lines = {0};
	char digest[65];
	int rc;

	text.secret = 1;
	if ((rc = headers_collect(&lines, request)) < 0 ||
		(rc = canonical(&text, request, &lines)) < 0 ||
		(rc = certauto__sha256_hex(digest, text.data, text.len)) < 0)
		goto out;
	certauto__buffer_printf(out, ALGORITHM " Access=%s, SignedHeaders=", access_key);
	names_add(out, &lines);
	certauto__buffer_text_add(out, ", Signature=");
	if ((rc = sign_text(out, request->date, digest, secret_key)) == 0 && digest_out != NULL)
		memcpy(digest_out, digest, sizeof(digest));
out:
	headers_wipe(&lines);
	certauto__buffer_free(&text);
	return rc < 0 ? rc : out->rc;
}
