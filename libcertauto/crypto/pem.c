/* SPDX-License-Identifier: Apache-2.0 */
/* PEM by hand: mbedTLS skips what it does not know, and its writer leaves a private key's text on
 * the heap. Here all that is not understood is an error, and every scratch buffer is wiped. */

#include "crypto/pem.h"

#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "crypto/mbed_compat.h"

#define DASHES "-----"
#define BEGIN DASHES "BEGIN "
#define END DASHES "END "

static int is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int starts(const char *at, const char *end, const char *what)
{
	size_t len = strlen(what);

	return (size_t)(end - at) >= len && memcmp(at, what, len) == 0;
}

static const char *find(const char *at, const char *end, const char *what)
{
	return at < end ? memmem(at, (size_t)(end - at), what, strlen(what)) : NULL;
}

int certauto__pem_is(const void *data, size_t len)
{
	const unsigned char *at = data;

	/* A certificate may contain the words in a name. DER that long starts with two bytes no
	 * text starts with. */
	if (len > 1 && at[0] == 0x30 && at[1] >= 0x80)
		return 0;
	return len > 0 && find(data, (const char *)data + len, BEGIN) != NULL;
}

static int label_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ';
}

/* at stands behind "-----BEGIN "; returns what follows the closing dashes, or NULL. */
static const char *read_label(char *label, const char *at, const char *end)
{
	size_t n = 0;

	while (at < end && n < CERTAUTO__PEM_LABEL_MAX && label_char(*at))
		label[n++] = *at++;
	label[n] = '\0';
	return n > 0 && starts(at, end, DASHES) ? at + strlen(DASHES) : NULL;
}

/* Behind the body: "-----END " with the label of the start. */
static const char *read_end(const struct certauto__pem *block, const char *at, const char *end)
{
	char label[CERTAUTO__PEM_LABEL_MAX + 1];

	if (!starts(at, end, END))
		return NULL;
	at = read_label(label, at + strlen(END), end);
	return at != NULL && strcmp(label, block->label) == 0 ? at : NULL;
}

int certauto__pem_next(struct certauto__pem_reader *reader, struct certauto__pem *out,
	certauto_error *err)
{
	const char *at = reader->at, *end = reader->end, *stop;

	while (at < end && is_space(*at))
		at++;
	if (at == end)
		return 0;
	if (!starts(at, end, BEGIN)) {
		if (reader->strict)
			return certauto__error_set(err, reader->code, NULL,
				"there is text outside of the PEM blocks");
		if ((at = find(at, end, BEGIN)) == NULL)
			return 0;
	}
	if ((at = read_label(out->label, at + strlen(BEGIN), end)) == NULL)
		return certauto__error_set(err, reader->code, NULL,
			"a PEM block has a malformed first line");
	out->body = at;
	if ((stop = find(at, end, DASHES)) == NULL)
		return certauto__error_set(err, reader->code, NULL,
			"truncated: the PEM block \"%s\" has no end", out->label);
	out->body_len = (size_t)(stop - at);
	if ((at = read_end(out, stop, end)) == NULL)
		return certauto__error_set(err, reader->code, NULL,
			"the PEM block \"%s\" does not end with its own last line", out->label);
	reader->at = at;
	return 1;
}

/* The alphabet of base64 turned into that of base64url, white space dropped. Returns the number of
 * '=' signs, or -1 for a character that is out of place. */
static int to_base64url(certauto__buffer *out, const char *text, size_t len)
{
	int padding = 0;
	size_t i, n = 0;
	char c;

	/* Copied whole and then shortened in place: byte by byte took 1 % of an issuance. */
	if (certauto__buffer_add(out, text, len) < 0)
		return 0;
	for (i = 0; i < len; i++) {
		c = text[i];
		if (is_space(c))
			continue;
		if (c == '=') {
			padding++;
			continue;
		}
		if (padding > 0 || c == '-' || c == '_')
			return -1;
		out->data[n++] = (char)(c == '+' ? '-' : c == '/' ? '_' : c);
	}
	out->len = n;
	return padding;
}

int certauto__pem_decode(certauto__buffer *der, const struct certauto__pem *block, int code,
	certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(2 * CERTAUTO__DER_MAX);
	int padding, rc;

	text.secret = der->secret;
	padding = to_base64url(&text, block->body, block->body_len);
	rc = text.rc;
	if (rc == 0 && (padding < 0 || padding > 2 || (text.len + (size_t)padding) % 4 != 0))
		rc = CERTAUTO_EINVAL;
	if (rc == 0)
		rc = certauto__base64url_decode(der, text.data != NULL ? text.data : "", text.len);
	if (rc == 0 && der->len == 0)
		rc = CERTAUTO_EINVAL;
	certauto__buffer_free(&text);
	if (rc == CERTAUTO_ENOMEM)
		return certauto__error_nomem(err);
	if (rc < 0)
		return certauto__error_set(err, code, NULL,
			"the PEM block \"%s\" is no base64 of at most %zu KiB", block->label,
			CERTAUTO__DER_MAX >> 10);
	return 0;
}

int certauto__pem_add(certauto__buffer *out, const char *label, const void *der, size_t len)
{
	const unsigned char *at = der;
	unsigned char line[65];
	size_t n, n_line;

	certauto__buffer_printf(out, BEGIN "%s" DASHES "\n", label);
	for (; len > 0; at += n, len -= n) {
		n = len < 48 ? len : 48;
		(void)mbedtls_base64_encode(line, sizeof(line), &n_line, at, n);
		certauto__buffer_add(out, line, n_line);
		certauto__buffer_add(out, "\n", 1);
	}
	certauto__wipe(line, sizeof(line));
	return certauto__buffer_printf(out, END "%s" DASHES "\n", label);
}

static int label_is_one_of(const char *label, const char *const *labels)
{
	while (*labels != NULL && strcmp(label, *labels) != 0)
		labels++;
	return *labels != NULL;
}

int certauto__pem_or_der(const unsigned char **der, size_t *der_len, certauto__buffer *decoded,
	const void *data, size_t len, const char *const *labels, const char *what,
	certauto_error *err)
{
	struct certauto__pem_reader reader = { data, (const char *)data + len, 0, CERTAUTO_EINVAL };
	struct certauto__pem block, other;
	int rc;

	if (!certauto__pem_is(data, len)) {
		*der = data;
		*der_len = len;
		return 0;
	}
	if ((rc = certauto__pem_next(&reader, &block, err)) < 0)
		return rc;
	if (!label_is_one_of(block.label, labels))
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"a PEM block \"%s\" where %s was expected", block.label, what);
	if ((rc = certauto__pem_next(&reader, &other, err)) < 0)
		return rc;
	if (rc > 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"more than one PEM block where %s was expected", what);
	if ((rc = certauto__pem_decode(decoded, &block, CERTAUTO_EINVAL, err)) < 0)
		return rc;
	*der = (const unsigned char *)decoded->data;
	*der_len = decoded->len;
	return 0;
}
