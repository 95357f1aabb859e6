/* SPDX-License-Identifier: Apache-2.0 */
/* The first look at a JSON text. yajl takes some things that no peer of ours should send (UTF-8 in
 * overlong form, half a surrogate pair, "\u0000", form feeds between values) and its decoding of \u
 * has had reports of reads out of bounds; it never sees such a string. Grammar is left to it. */

#include "json/scan.h"

#include <stdint.h>
#include <string.h>

#include "core/text.h"

/* The text, and how far it has been read. */
struct scan {
	const char *data;
	size_t len;
	size_t at;
	size_t string_max;
	struct certauto__json_scan *out;
};

static const char scan_too_long[] = "a string or number is too long";
static const char scan_cut_string[] = "the text ends inside a string";

/* Four hexadecimal digits at `at`; -1 if they are not there. */
static int32_t scan_hex(const struct scan *s, size_t at)
{
	int32_t value = 0;
	size_t i;
	char c;

	if (s->len - at < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		c = s->data[at + i];
		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

/* "\uXXXX", the reader standing behind the "u". A code point above U+FFFF takes two of them. */
static const char *scan_unicode(struct scan *s, size_t *decoded)
{
	int32_t high = scan_hex(s, s->at), low;

	if (high < 0)
		return "\"\\u\" must be followed by four hexadecimal digits";
	if (high == 0)
		return "a string holds a NUL";
	s->at += 4;
	if (high < 0xD800 || high > 0xDFFF) {
		*decoded += high < 0x80 ? 1 : high < 0x800 ? 2 : 3;
		return NULL;
	}
	if (high >= 0xDC00 || s->len - s->at < 6 || memcmp(s->data + s->at, "\\u", 2) != 0 ||
	    (low = scan_hex(s, s->at + 2)) < 0xDC00 || low > 0xDFFF)
		return "a string holds half a surrogate pair";
	s->at += 6;
	*decoded += 4;
	return NULL;
}

static const char *scan_escape(struct scan *s, size_t *decoded)
{
	char c;

	s->at++;
	if (s->at == s->len)
		return scan_cut_string;
	c = s->data[s->at++];
	if (c == 'u')
		return scan_unicode(s, decoded);
	if (c == '\0' || strchr("\"\\/bfnrt", c) == NULL)
		return "a string holds an unknown escape";
	++*decoded;
	return NULL;
}

/* One string, the reader standing on its first quote. */
static const char *scan_string(struct scan *s)
{
	size_t decoded = 0, n;
	const char *fault;
	int escapes = 0;
	uint32_t point;

	for (s->at++; s->at < s->len; ) {
		if (decoded > s->string_max)
			return scan_too_long;
		if (s->data[s->at] == '"') {
			s->at++;
			if (escapes && decoded > s->out->decoded)
				s->out->decoded = decoded;
			return NULL;
		}
		if (s->data[s->at] == '\\') {
			escapes = 1;
			if ((fault = scan_escape(s, &decoded)) != NULL)
				return fault;
			continue;
		}
		n = certauto__utf8_sequence(s->data + s->at, s->len - s->at, &point);
		if (n == 0)
			return "a string is not valid UTF-8";
		if (point < 0x20)
			return "a string holds a control character";
		s->at += n;
		decoded += n;
	}
	return scan_cut_string;
}

/* A comment, the reader standing on its first slash. 1 if it was one. */
static int scan_comment(struct scan *s, const char **fault)
{
	const char *start = s->data + s->at, *end;

	*fault = NULL;
	if (s->len - s->at < 2 || start[0] != '/' || (start[1] != '/' && start[1] != '*'))
		return 0;
	if (start[1] == '/') {
		end = memchr(start, '\n', s->len - s->at);
		if (end == NULL)
			s->out->parse_len = s->at;
		s->at = end != NULL ? (size_t)(end - s->data) : s->len;
		return 1;
	}
	end = memmem(start + 2, s->len - s->at - 2, "*/", 2);
	if (end == NULL)
		*fault = "the text ends inside a comment";
	else
		s->at = (size_t)(end - s->data) + 2;
	return 1;
}

/* What stands between values, as against what numbers and words are made of. */
static int scan_between(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '{' || c == '}' ||
		c == '[' || c == ']' || c == ':' || c == ',';
}

const char *certauto__json_scan(struct certauto__json_scan *scan, const char *data, size_t len,
	size_t string_max, int comments)
{
	struct scan s = {data, len, 0, string_max, scan};
	const char *fault = NULL;

	memset(scan, 0, sizeof(*scan));
	scan->parse_len = len;
	while (fault == NULL && s.at < len) {
		if (data[s.at] == '"') {
			scan->tail = 0;
			fault = scan_string(&s);
		} else if (scan_between(data[s.at])) {
			scan->tail = 0;
			s.at++;
		} else if (comments && scan_comment(&s, &fault)) {
			/* A comment that is cut off leaves what stands before it at the end. */
			if (scan->parse_len == len)
				scan->tail = 0;
		} else if ((unsigned char)data[s.at] < 0x20) {
			fault = "a control character stands outside a string";
		} else if (++scan->tail > string_max) {
			fault = scan_too_long;
		} else {
			s.at++;
		}
	}
	scan->fault_at = s.at;
	return fault;
}
