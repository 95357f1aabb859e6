/* SPDX-License-Identifier: Apache-2.0 */
/* Growing text, and the two ways in which text from elsewhere is let out: for people, as JSON. */

#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shell.h"

static void out_of_memory(void)
{
	fputs("certauto: out of memory\n", stderr);
	exit(STATUS_FAILED);
}

void *memory_grow(void *ptr, size_t n, size_t size)
{
	void *grown = n > SIZE_MAX / size ? NULL : realloc(ptr, n * size);

	if (grown == NULL)
		out_of_memory();
	return grown;
}

char *memory_copy(const char *text, size_t len)
{
	char *copy = memory_grow(NULL, len + 1, 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

const char *text_of(const struct text *text)
{
	return text->data != NULL ? text->data : "";
}

void text_add_n(struct text *text, const char *more, size_t len)
{
	if (text->size - text->len <= len) {
		text->size = (text->size + len + 64) * 2;
		text->data = memory_grow(text->data, text->size, 1);
	}
	memcpy(text->data + text->len, more, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void text_add(struct text *text, const char *more)
{
	text_add_n(text, more, strlen(more));
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list args;
	char *line = NULL;
	int len;

	va_start(args, format);
	len = vasprintf(&line, format, args);
	va_end(args);
	if (len < 0)
		out_of_memory();
	text_add_n(text, line, (size_t)len);
	free(line);
}

void text_pad(struct text *text, const char *more, size_t width)
{
	size_t columns = text_columns(more);

	text_add_shown(text, more);
	for (; columns < width; columns++)
		text_add_n(text, " ", 1);
}

void text_free(struct text *text)
{
	free(text->data);
	memset(text, 0, sizeof(*text));
}

/* Bytes of the UTF-8 sequence that text begins with, 0 if it is none. C1 and bidi controls count as
 * none: a terminal may obey them. */
static size_t utf8_sequence(const unsigned char *text)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned point;
	size_t len, i;

	if (text[0] < 0x80)
		return 1;
	len = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	point = text[0] & (0xffu >> (len + 1));
	for (i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (text[i] & 0x3fu);
	}
	if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	if (point < 0xa0 || (point >= 0x202a && point <= 0x202e) ||
	    (point >= 0x2066 && point <= 0x2069))
		return 0;
	return len;
}

void text_add_shown(struct text *text, const char *more)
{
	size_t len;

	for (; *more != '\0'; more += len > 0 ? len : 1) {
		len = utf8_sequence((const unsigned char *)more);
		if (len == 0 || (unsigned char)*more < ' ' || *more == 0x7f)
			text_add_n(text, "?", 1);
		else
			text_add_n(text, more, len);
	}
}

void text_add_json(struct text *text, const char *more)
{
	size_t len;

	if (more == NULL) {
		text_add(text, "null");
		return;
	}
	text_add_n(text, "\"", 1);
	for (; *more != '\0'; more += len > 0 ? len : 1) {
		len = utf8_sequence((const unsigned char *)more);
		if (len == 0)
			text_add(text, "\\ufffd");
		else if (*more == '"' || *more == '\\')
			text_printf(text, "\\%c", *more);
		else if ((unsigned char)*more < ' ' || *more == 0x7f)
			text_printf(text, "\\u%04x", (unsigned)*more);
		else
			text_add_n(text, more, len);
	}
	text_add_n(text, "\"", 1);
}

void text_add_json_known(struct text *text, int64_t number)
{
	if (number == 0)
		text_add(text, "null");
	else
		text_printf(text, "%lld", (long long)number);
}

size_t text_columns(const char *text)
{
	size_t columns = 0;

	for (; *text != '\0'; text++)
		columns += ((unsigned char)*text & 0xc0) != 0x80;
	return columns;
}

size_t text_cut(const char *text, size_t columns)
{
	size_t len = 0;

	for (; text[len] != '\0'; len++) {
		if (((unsigned char)text[len] & 0xc0) == 0x80)
			continue;
		if (columns-- == 0)
			break;
	}
	return len;
}

void text_add_wrapped(struct text *text, const char *more, size_t indent, size_t width)
{
	size_t column = 0, len;

	for (more += strspn(more, " "); *more != '\0'; more += len, more += strspn(more, " ")) {
		len = strcspn(more, " ");
		if (column > 0 && column + 1 + len > width) {
			text_add(text, "\n");
			column = 0;
		}
		text_printf(text, "%*s", column == 0 ? (int)indent : 1, "");
		column += (column == 0 ? indent : 1) + len;
		text_add_n(text, more, len);
	}
	text_add(text, "\n");
}

static void add_formatted(struct text *text, const char *format, int64_t at, int utc)
{
	time_t when = (time_t)at;
	struct tm parts;
	char line[64];

	if ((utc ? gmtime_r(&when, &parts) : localtime_r(&when, &parts)) == NULL ||
	    strftime(line, sizeof(line), format, &parts) == 0)
		text_printf(text, "%lld", (long long)at);
	else
		text_add(text, line);
}

void text_add_day(struct text *text, int64_t at)
{
	add_formatted(text, "%Y-%m-%d", at, 0);
}

/* Both, as people here think in the one and logs of a CA are in the other. */
void text_add_time(struct text *text, int64_t at)
{
	struct text here = {0}, utc = {0};

	add_formatted(&here, "%Y-%m-%d %H:%M:%S %Z", at, 0);
	add_formatted(&utc, "%Y-%m-%d %H:%M:%S UTC", at, 1);
	text_add(text, text_of(&here));
	if (strcmp(text_of(&here), text_of(&utc)) != 0)
		add_formatted(text, " (%H:%M:%S UTC)", at, 1);
	text_free(&here);
	text_free(&utc);
}
