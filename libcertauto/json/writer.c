/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON writer. A call in the wrong place (an end without a beginning, a second top value)
 * leaves CERTAUTO_EINVAL in the buffer, so that what is not JSON cannot be taken for it. */

#include "json/writer.h"

#include <inttypes.h>
#include <string.h>

#include <certauto/error.h>

#define LEVELS ((int)sizeof(((certauto__json *)0)->has))

static const char json_indent[] = "                                ";

void certauto__json_start(certauto__json *w, certauto__buffer *out, int pretty)
{
	memset(w, 0, sizeof(*w));
	w->out = out;
	w->pretty = pretty;
}

static void json_misuse(certauto__json *w)
{
	if (w->out->rc == 0)
		w->out->rc = CERTAUTO_EINVAL;
}

static void json_line(certauto__json *w)
{
	size_t n, left = (size_t)w->depth * 2;

	if (!w->pretty)
		return;
	certauto__buffer_add(w->out, "\n", 1);
	for (; left != 0; left -= n) {
		n = left < sizeof(json_indent) - 1 ? left : sizeof(json_indent) - 1;
		certauto__buffer_add(w->out, json_indent, n);
	}
}

/* What stands in front of a value or key. */
static void json_begin(certauto__json *w)
{
	if (w->after_key) {
		w->after_key = 0;
		return;
	}
	if (w->has[w->depth]) {
		if (w->depth == 0)
			json_misuse(w);
		certauto__buffer_add(w->out, ",", 1);
	}
	w->has[w->depth] = 1;
	if (w->depth != 0)
		json_line(w);
}

static void json_open(certauto__json *w, const char *bracket)
{
	json_begin(w);
	certauto__buffer_add(w->out, bracket, 1);
	if (w->depth == LEVELS - 1)
		json_misuse(w);
	else
		w->has[++w->depth] = 0;
}

static void json_close(certauto__json *w, const char *bracket)
{
	if (w->depth == 0 || w->after_key) {
		json_misuse(w);
		return;
	}
	if (w->has[w->depth--])
		json_line(w);
	certauto__buffer_add(w->out, bracket, 1);
}

void certauto__json_object(certauto__json *w)
{
	json_open(w, "{");
}

void certauto__json_object_end(certauto__json *w)
{
	json_close(w, "}");
}

void certauto__json_array(certauto__json *w)
{
	json_open(w, "[");
}

void certauto__json_array_end(certauto__json *w)
{
	json_close(w, "]");
}

/* A character that may not stand for itself in a string. */
static void json_escape(certauto__json *w, unsigned char c)
{
	static const char letters[] = "btnvfr"; /* from 8 on; JSON has no \v */

	if (c == '"' || c == '\\')
		certauto__buffer_printf(w->out, "\\%c", c);
	else if (c >= 8 && c <= 13 && c != 11)
		certauto__buffer_printf(w->out, "\\%c", letters[c - 8]);
	else
		certauto__buffer_printf(w->out, "\\u%04x", c);
}

/* Runs that need nothing are copied as they are. */
static void json_string(certauto__json *w, const char *text, size_t len)
{
	size_t begin = 0, at, n;
	uint32_t point;

	certauto__buffer_add(w->out, "\"", 1);
	for (at = 0; at < len; at += n != 0 ? n : 1) {
		n = certauto__utf8_sequence(text + at, len - at, &point);
		if (n != 0 && point >= 0x20 && point != '"' && point != '\\')
			continue;
		certauto__buffer_add(w->out, text + begin, at - begin);
		if (n == 0)
			certauto__buffer_text_add(w->out, "\xEF\xBF\xBD");
		else
			json_escape(w, (unsigned char)point);
		begin = at + 1;
	}
	certauto__buffer_add(w->out, text + begin, len - begin);
	certauto__buffer_add(w->out, "\"", 1);
}

void certauto__json_key(certauto__json *w, const char *key)
{
	if (w->after_key || w->depth == 0)
		json_misuse(w);
	json_begin(w);
	json_string(w, key, strlen(key));
	certauto__buffer_text_add(w->out, w->pretty ? ": " : ":");
	w->after_key = 1;
}

void certauto__json_text(certauto__json *w, const char *text)
{
	certauto__json_text_len(w, text, text != NULL ? strlen(text) : 0);
}

void certauto__json_text_len(certauto__json *w, const char *text, size_t len)
{
	if (text == NULL) {
		certauto__json_null(w);
		return;
	}
	json_begin(w);
	json_string(w, text, len);
}

void certauto__json_number(certauto__json *w, int64_t number)
{
	json_begin(w);
	certauto__buffer_printf(w->out, "%" PRId64, number);
}

void certauto__json_bool_value(certauto__json *w, int value)
{
	certauto__json_raw(w, value ? "true" : "false");
}

void certauto__json_null(certauto__json *w)
{
	certauto__json_raw(w, "null");
}

void certauto__json_raw(certauto__json *w, const char *json)
{
	json_begin(w);
	certauto__buffer_text_add(w->out, json);
}

void certauto__json_put_text(certauto__json *w, const char *key, const char *text)
{
	certauto__json_key(w, key);
	certauto__json_text(w, text);
}

void certauto__json_put_number(certauto__json *w, const char *key, int64_t number)
{
	certauto__json_key(w, key);
	certauto__json_number(w, number);
}

void certauto__json_put_bool(certauto__json *w, const char *key, int value)
{
	certauto__json_key(w, key);
	certauto__json_bool_value(w, value);
}

void certauto__json_put_null(certauto__json *w, const char *key)
{
	certauto__json_key(w, key);
	certauto__json_null(w);
}

void certauto__json_put_list(certauto__json *w, const char *key, const certauto__list *list)
{
	size_t i;

	certauto__json_key(w, key);
	certauto__json_array(w);
	for (i = 0; i < list->n; i++)
		certauto__json_text(w, list->items[i]);
	certauto__json_array_end(w);
}
