/* SPDX-License-Identifier: Apache-2.0 */
/* What a hook program has said, made fit for a message: such programs print what they were given,
 * and those that trace themselves print everything. */

#include "targets/hook.h"

#include <string.h>

#include <certauto/error.h>

/* More than a key and what is shown are long: one that begins before has ended before. */
#define LOOKED_AT 65536

static const char masked[] = "***";

/* Bytes of a secret that begins at text. */
static size_t secret_at(const char *text, size_t len, const certauto__list *secrets)
{
	size_t i, n, longest = 0;

	for (i = 0; i < secrets->n; i++) {
		n = strlen(secrets->items[i]);
		if (n > longest && n <= len && memcmp(text, secrets->items[i], n) == 0)
			longest = n;
	}
	return longest;
}

/* Bytes of a private key in PEM that begins at text, up to its end or that of the text. */
static size_t key_at(const char *text, size_t len)
{
	static const char begin[] = "-----BEGIN ", private[] = "PRIVATE KEY-----",
			  end[] = "-----END ";
	const char *line_end, *p;

	if (len < sizeof(begin) || memcmp(text, begin, sizeof(begin) - 1) != 0)
		return 0;
	line_end = memchr(text, '\n', len);
	p = strstr(text, private);
	if (p == NULL || (line_end != NULL && p > line_end))
		return 0;
	if ((p = strstr(p, end)) == NULL || (p = strstr(p, private)) == NULL)
		return len;
	return (size_t)(p - text) + sizeof(private) - 1;
}

static int mask(certauto__buffer *out, const char *text, size_t len, const certauto__list *secrets)
{
	size_t i, n;

	for (i = 0; i < len; i += n) {
		if ((n = key_at(text + i, len - i)) == 0)
			n = secret_at(text + i, len - i, secrets);
		if (n > 0)
			certauto__buffer_text_add(out, masked);
		else
			certauto__buffer_add(out, text + i, n = 1);
	}
	return out->rc;
}

/* Where the end begins that certauto__text_escape() does not cut: at the beginning of a line, if
 * there is one. */
static const char *end_of(const char *text, size_t len)
{
	const char *from = text + len, *line;
	size_t shown = 0;

	while (from > text && shown <= CERTAUTO__SHOWN_MAX - 8) {
		from--;
		shown += (unsigned char)*from < ' ' || (unsigned char)*from >= 0x7f ? 4 : 1;
	}
	if (from == text)
		return text;
	line = memchr(from, '\n', (size_t)(text + len - from));
	return line != NULL ? line + 1 : from;
}

int certauto__hook_show(certauto__buffer *out, const char *text, size_t len,
	const certauto__list *secrets)
{
	certauto__buffer clean = CERTAUTO__BUFFER(LOOKED_AT + 16);
	const char *from, *all;
	int rc;

	while (len > 0 && (unsigned char)text[len - 1] <= ' ')
		len--;
	clean.secret = 1;
	from = text + (len > LOOKED_AT ? len - LOOKED_AT : 0);
	if ((rc = mask(&clean, from, (size_t)(text + len - from), secrets)) == 0) {
		all = certauto__buffer_text(&clean);
		from = end_of(all, clean.len);
		if (from > all)
			certauto__buffer_text_add(out, "...");
		rc = certauto__text_escape(out, from, (size_t)(all + clean.len - from));
	}
	certauto__buffer_free(&clean);
	return rc;
}
