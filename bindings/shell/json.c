/* SPDX-License-Identifier: Apache-2.0 */
/* A small JSON reader. What it reads comes from the library or from the command line; it still
 * bounds its depth, as it calls itself. */

#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

#define DEPTH_MAX 32

struct reader {
	const char *at;
	int depth;
};

static int read_value(struct reader *reader, struct json *out);

/* Comments too, as configurations have them; one that does not end is left where it is, and is no
 * JSON. */
static void skip_space(struct reader *reader)
{
	const char *end;

	for (;;) {
		reader->at += strspn(reader->at, " \t\r\n");
		if (strncmp(reader->at, "//", 2) == 0)
			reader->at += strcspn(reader->at, "\n");
		else if (strncmp(reader->at, "/*", 2) == 0 &&
			(end = strstr(reader->at + 2, "*/")) != NULL)
			reader->at = end + 2;
		else
			return;
	}
}

/* Is c next? Then it is passed. */
static int pass(struct reader *reader, char c)
{
	skip_space(reader);
	if (*reader->at != c)
		return 0;
	reader->at++;
	return 1;
}

static int read_hex(struct reader *reader, unsigned *out)
{
	char digits[5] = "";
	char *end;

	memcpy(digits, reader->at, strnlen(reader->at, 4));
	if (strspn(digits, "0123456789abcdefABCDEF") != 4)
		return -1;
	*out = (unsigned)strtoul(digits, &end, 16);
	reader->at += 4;
	return 0;
}

static void add_point(struct text *text, unsigned point)
{
	if (point < 0x80)
		text_printf(text, "%c", (int)point);
	else if (point < 0x800)
		text_printf(text, "%c%c", (int)(0xc0 | point >> 6), (int)(0x80 | (point & 0x3f)));
	else if (point < 0x10000)
		text_printf(text, "%c%c%c", (int)(0xe0 | point >> 12),
			(int)(0x80 | (point >> 6 & 0x3f)), (int)(0x80 | (point & 0x3f)));
	else
		text_printf(text, "%c%c%c%c", (int)(0xf0 | point >> 18),
			(int)(0x80 | (point >> 12 & 0x3f)), (int)(0x80 | (point >> 6 & 0x3f)),
			(int)(0x80 | (point & 0x3f)));
}

/* After "\u". A NUL cannot be told from the end of a string here, so it is refused. */
static int read_point(struct reader *reader, struct text *out)
{
	unsigned high, low;

	if (read_hex(reader, &high) < 0 || high == 0 || (high >= 0xdc00 && high < 0xe000))
		return -1;
	if (high >= 0xd800 && high < 0xdc00) {
		if (strncmp(reader->at, "\\u", 2) != 0)
			return -1;
		reader->at += 2;
		if (read_hex(reader, &low) < 0 || low < 0xdc00 || low >= 0xe000)
			return -1;
		high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	}
	add_point(out, high);
	return 0;
}

static int read_escape(struct reader *reader, struct text *out)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	char c = *reader->at;

	if (c == '\0')
		return -1;
	reader->at++;
	if (c == 'u')
		return read_point(reader, out);
	letter = strchr(letters, c);
	if (letter == NULL)
		return -1;
	text_add_n(out, &meanings[letter - letters], 1);
	return 0;
}

static int read_string(struct reader *reader, char **out)
{
	struct text text = {0};
	size_t len;

	text_add(&text, "");
	if (!pass(reader, '"'))
		goto err;
	while (*reader->at != '"') {
		len = strcspn(reader->at, "\"\\");
		text_add_n(&text, reader->at, len);
		reader->at += len;
		if (*reader->at == '\0')
			goto err;
		if (*reader->at == '\\') {
			reader->at++;
			if (read_escape(reader, &text) < 0)
				goto err;
		}
	}
	reader->at++;
	*out = text.data;
	return 0;
err:
	text_free(&text);
	return -1;
}

/* A word that is not quoted: a number, true, false, null. */
static int read_word(struct reader *reader, struct json *out)
{
	size_t len = strspn(reader->at, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
	char *end;

	if (len == 0)
		return -1;
	out->text = memory_copy(reader->at, len);
	reader->at += len;
	if (strcmp(out->text, "null") == 0) {
		out->type = JSON_NULL;
		return 0;
	}
	if (strcmp(out->text, "true") == 0 || strcmp(out->text, "false") == 0) {
		out->type = JSON_BOOLEAN;
		return 0;
	}
	out->type = JSON_NUMBER;
	(void)strtod(out->text, &end);
	return *end == '\0' && strchr("-0123456789", out->text[0]) != NULL ? 0 : -1;
}

static int read_members(struct reader *reader, struct json *out, char end)
{
	struct json **link = &out->first;

	if (pass(reader, end))
		return 0;
	do {
		*link = memory_grow(NULL, 1, sizeof(**link));
		memset(*link, 0, sizeof(**link));
		skip_space(reader);
		if (out->type == JSON_OBJECT &&
		    (read_string(reader, &(*link)->name) < 0 || !pass(reader, ':')))
			return -1;
		if (read_value(reader, *link) < 0)
			return -1;
		link = &(*link)->next;
	} while (pass(reader, ','));
	return pass(reader, end) ? 0 : -1;
}

static int read_value(struct reader *reader, struct json *out)
{
	int rc;

	skip_space(reader);
	switch (*reader->at) {
	case '"':
		out->type = JSON_STRING;
		return read_string(reader, &out->text);
	case '[':
	case '{':
		out->type = *reader->at == '{' ? JSON_OBJECT : JSON_ARRAY;
		reader->at++;
		if (++reader->depth > DEPTH_MAX)
			return -1;
		rc = read_members(reader, out, out->type == JSON_OBJECT ? '}' : ']');
		reader->depth--;
		return rc;
	default:
		return read_word(reader, out);
	}
}

struct json *json_parse(const char *text)
{
	struct reader reader = {.at = text};
	struct json *json = memory_grow(NULL, 1, sizeof(*json));
	int rc;

	memset(json, 0, sizeof(*json));
	rc = read_value(&reader, json);
	skip_space(&reader);
	if (rc < 0 || *reader.at != '\0') {
		json_free(json);
		return NULL;
	}
	return json;
}

void json_free(struct json *json)
{
	struct json *next;

	for (; json != NULL; json = next) {
		next = json->next;
		json_free(json->first);
		free(json->name);
		free(json->text);
		free(json);
	}
}

const struct json *json_get(const struct json *object, const char *name)
{
	const struct json *member;

	if (object == NULL || object->type != JSON_OBJECT)
		return NULL;
	for (member = object->first; member != NULL; member = member->next)
		if (strcmp(member->name, name) == 0)
			return member;
	return NULL;
}

const char *json_text(const struct json *object, const char *name)
{
	const struct json *member = json_get(object, name);

	return member != NULL && member->type == JSON_STRING ? member->text : NULL;
}

int64_t json_number(const struct json *object, const char *name)
{
	const struct json *member = json_get(object, name);

	return member != NULL && member->type == JSON_NUMBER ? strtoll(member->text, NULL, 10) : 0;
}

int json_is_true(const struct json *object, const char *name)
{
	const struct json *member = json_get(object, name);

	return member != NULL && member->type == JSON_BOOLEAN && strcmp(member->text, "true") == 0;
}

const struct json *json_first(const struct json *json)
{
	return json != NULL ? json->first : NULL;
}

const char *json_text_or(const struct json *object, const char *name, const char *otherwise)
{
	const char *text = json_text(object, name);

	return text != NULL ? text : otherwise;
}
