/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of a device as JSON: what is in them, how one is sent back changed, and what a refusal
 * says in them. */

#include "targets/rest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "json/reader.h"
#include "json/writer.h"
#include "targets/device.h"

#define VALUES_MAX (1024 * 1024) /* text of one field of one object */
#define RESULTS "results"
#define DEPTH_MAX 64
#define WORDS_MAX 4096 /* of a refusal: more is not looked at */
#define LONG_WORD 64 /* a row of PEM; tokens are longer */

/* ---- where a value stands ---- */

/* The value as if its object were the whole text; list: that objects are in, NULL: there is none.
 * 1, or 0: it is outside of them. */
static int inside(certauto__json_value *own, const certauto__json_value *value, const char *list)
{
	*own = *value;
	if (list == NULL)
		return 1;
	if (value->n_parts < 2 || strcmp(value->parts[0], list) != 0 ||
		strcmp(value->parts[1], "[]") != 0)
		return 0;
	own->path += strlen(list) + strlen("[].") - (value->n_parts == 2);
	own->parts += 2;
	own->indexes += 2;
	own->n_parts -= 2;
	return 1;
}

static int is_list(const certauto__json_value *value, const char *name)
{
	return value->type == CERTAUTO__JSON_ARRAY && value->n_parts == 1 &&
		strcmp(value->parts[0], name) == 0;
}

static int is_end(const certauto__json_value *value)
{
	return value->type == CERTAUTO__JSON_OBJECT_END || value->type == CERTAUTO__JSON_ARRAY_END;
}

/* ---- fields ---- */

struct field {
	const char *path;
	size_t item_len;           /* of the part of path up to its last "[]"; 0: it has none */
	size_t item_parts;         /* and what stands there is so deep */
	certauto__buffer text;     /* all its values in this object */
	size_t n;
	int in_item;               /* the item that is open has given one */
};

struct rows {
	struct field fields[CERTAUTO__REST_FIELDS];
	size_t n_fields;
	certauto__rest_row_cb cb;
	void *arg;
	enum { ANY, LIST, OBJECT } wanted;
	const char *name;          /* of the list, if it is one */
	const char *list;          /* NULL: it is none */
	int64_t total;
	int is_odd;                /* something stands where an object should */
	certauto__buffer came;     /* what the answer is, for people */
	int has_member;            /* ... and one is in it */
};

static int field_add(struct field *field, const char *text, size_t len)
{
	size_t begin;

	if (field->n++ > 0)
		certauto__buffer_text_add(&field->text, ",");
	field->in_item = 1;
	begin = field->text.len;
	if (certauto__buffer_add(&field->text, text, len) < 0)
		return field->text.rc;
	for (; field->item_len > 0 && begin < field->text.len; begin++) {
		if (field->text.data[begin] == ',')
			field->text.data[begin] = ';';
	}
	return 0;
}

static const char *text_of(const certauto__json_value *value)
{
	switch (value->type) {
	case CERTAUTO__JSON_TRUE:
		return "true";
	case CERTAUTO__JSON_FALSE:
		return "false";
	default:
		return value->text;
	}
}

/* Begins and ends of arrays' items, and values that are wanted. */
static int field_see(struct field *field, const certauto__json_value *own)
{
	const char *text = text_of(own);

	if (text != NULL)
		return certauto__json_is(own, field->path) ?
			field_add(field, text, strlen(text)) : 0;
	if (field->item_len == 0 || strncmp(own->path, field->path, field->item_len) != 0 ||
		own->path[field->item_len] != '\0' || own->n_parts != field->item_parts)
		return 0;
	if (own->type == CERTAUTO__JSON_OBJECT)
		field->in_item = 0;
	else if (own->type == CERTAUTO__JSON_OBJECT_END && !field->in_item)
		return field_add(field, "", 0);
	return 0;
}

static void rows_begin(struct rows *rows)
{
	size_t i;

	for (i = 0; i < rows->n_fields; i++) {
		certauto__buffer_clear(&rows->fields[i].text);
		rows->fields[i].n = 0;
	}
}

static int rows_end(struct rows *rows)
{
	const char *values[CERTAUTO__REST_FIELDS];
	size_t i;

	for (i = 0; i < rows->n_fields; i++)
		values[i] = rows->fields[i].n > 0
			? certauto__buffer_text(&rows->fields[i].text) : NULL;
	return rows->cb(rows->arg, values);
}

static void quote(certauto__buffer *out, const char *text, size_t len)
{
	certauto__buffer_text_add(out, "\"");
	certauto__text_escape(out, text, len);
	certauto__buffer_text_add(out, "\"");
}

/* Of an object the first member's name: values may be secret. */
static void see_what_came(struct rows *rows, const certauto__json_value *value)
{
	certauto__buffer *came = &rows->came;

	if (value->n_parts == 1 && !rows->has_member && !is_end(value) &&
		strcmp(value->parts[0], "[]") != 0) {
		rows->has_member = 1;
		certauto__buffer_text_add(came, " with ");
		quote(came, value->parts[0], strlen(value->parts[0]));
	}
	if (value->n_parts > 0 || is_end(value))
		return;
	if (value->type == CERTAUTO__JSON_STRING)
		quote(came, value->text, value->len);
	else
		certauto__buffer_text_add(came, value->type == CERTAUTO__JSON_OBJECT ? "an object"
			: value->type == CERTAUTO__JSON_ARRAY ? "an array"
			: text_of(value) != NULL ? text_of(value) : "null");
}

static int rows_cb(void *arg, const certauto__json_value *value)
{
	struct rows *rows = arg;
	certauto__json_value own;
	size_t i;
	int rc = 0;

	see_what_came(rows, value);
	if (rows->wanted != OBJECT && is_list(value, rows->name))
		rows->list = rows->name;
	if (certauto__json_is(value, "count") || certauto__json_is(value, "result_count"))
		(void)certauto__json_int(value, 0, INT32_MAX, &rows->total);
	if ((rows->wanted == LIST && rows->list == NULL) || !inside(&own, value, rows->list))
		return 0;
	rows->is_odd |= own.n_parts == 0 && own.type != CERTAUTO__JSON_OBJECT &&
		own.type != CERTAUTO__JSON_OBJECT_END;
	if (own.n_parts == 0 && own.type == CERTAUTO__JSON_OBJECT)
		rows_begin(rows);
	for (i = 0; rc == 0 && i < rows->n_fields; i++)
		rc = field_see(&rows->fields[i], &own);
	if (rc == 0 && own.n_parts == 0 && own.type == CERTAUTO__JSON_OBJECT_END)
		rc = rows_end(rows);
	return rc;
}

static void rows_init(struct rows *rows, const char *const *fields)
{
	const char *at, *item;

	for (; fields[rows->n_fields] != NULL; rows->n_fields++) {
		struct field *field = &rows->fields[rows->n_fields];

		field->path = fields[rows->n_fields];
		for (at = field->path; (item = strstr(at, "[]")) != NULL; at = item + 2)
			field->item_len = (size_t)(item + 2 - field->path);
		for (at = field->path; at < field->path + field->item_len; at++)
			field->item_parts += at == field->path || *at == '.' || *at == '[';
		certauto__buffer_init(&field->text, VALUES_MAX);
	}
}

/* Who is told that there is nothing takes away what is there: of a list it must be said. */
static int rows_are_odd(const struct rows *rows, size_t len)
{
	if (rows->wanted == ANY)
		return 0;
	return len == 0 || rows->is_odd ||
		(rows->wanted == LIST && rows->list == NULL && rows->total != 0);
}

static int rows_odd(const struct rows *rows, const certauto__exchange *x, certauto_error *err)
{
	int is_list_wanted = rows->wanted == LIST;

	return certauto__error_set(err, CERTAUTO_EPROTO, NULL, "%s: the answer is %s, not %s%s%s",
		certauto__buffer_text(&x->url),
		rows->came.len > 0 ? certauto__buffer_text(&rows->came) : "empty",
		is_list_wanted ? "an object with the list \"" : "an object",
		is_list_wanted ? rows->name : "", is_list_wanted ? "\"" : "");
}

static int rows_read(struct rows *rows, const certauto__exchange *x, const char *const *fields,
	certauto_error *err)
{
	const char *data;
	size_t i, len;
	int rc = 0;

	rows_init(rows, fields);
	certauto__buffer_init(&rows->came, 8 * CERTAUTO__SHOWN_MAX);
	if (!certauto__text_equal(x->method, "GET"))
		rows->wanted = ANY;
	data = certauto__exchange_answer(x, &len);
	if (len > 0)
		rc = certauto__json_read(certauto__buffer_text(&x->url), data, len,
			&certauto__json_limits_device, rows_cb, rows, err);
	if (rc == 0 && rows_are_odd(rows, len))
		rc = rows_odd(rows, x, err);
	if (rows->total < 0)
		rows->total = len > 0;
	if (rc == CERTAUTO_EPROTO && err != NULL && err->advice == NULL)
		certauto__error_advise(err, "see that the url leads to the device itself: a proxy, "
			"a portal or a page of maintenance in between answers like that");
	for (i = 0; i < rows->n_fields; i++)
		certauto__buffer_free(&rows->fields[i].text);
	certauto__buffer_free(&rows->came);
	return rc;
}

int certauto__rest_rows_of(const certauto__exchange *x, const char *list,
	const char *const *fields, certauto__rest_row_cb cb, void *arg, int64_t *total_out,
	certauto_error *err)
{
	struct rows rows = {.wanted = LIST, .cb = cb, .arg = arg, .name = list, .total = -1};
	int rc = rows_read(&rows, x, fields, err);

	if (rc == 0 && total_out != NULL)
		*total_out = rows.total;
	return rc;
}

int certauto__rest_rows(const certauto__exchange *x, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, int64_t *total_out, certauto_error *err)
{
	return certauto__rest_rows_of(x, RESULTS, fields, cb, arg, total_out, err);
}

int certauto__rest_object(const certauto__exchange *x, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, certauto_error *err)
{
	struct rows rows = {
		.wanted = OBJECT, .cb = cb, .arg = arg, .name = RESULTS, .total = -1};

	return rows_read(&rows, x, fields, err);
}

/* ---- an object sent back ---- */

struct copy {
	certauto__json w;
	const struct certauto__rest_edit *edits;
	size_t n_edits;
	const char *from, *to;     /* texts that are written as another; NULL: none are */
	size_t n_swapped;
	unsigned char is_array[DEPTH_MAX]; /* of what is open at that depth */
	size_t skip;               /* 1 + depth of what is left out; 0: nothing is */
	const char *list;          /* RESULTS, or NULL: it is none */
	int done;
	uint64_t made;             /* which edits */
};

/* A list or not: that must be known before the first member is written. */
static int list_cb(void *arg, const certauto__json_value *value)
{
	if (is_list(value, RESULTS))
		*(const char **)arg = RESULTS;
	return 0;
}

/* As certauto__json_is(); "services[2]" is the third item alone. */
static int is_at(const certauto__json_value *own, const char *path)
{
	const char *item = strrchr(path, '[');
	size_t len, last = own->n_parts - 1;

	if (item == NULL || item[1] == ']')
		return certauto__json_is(own, path);
	len = (size_t)(item - path);
	return own->n_parts > 0 && strcmp(own->parts[last], "[]") == 0 &&
		own->indexes[last] == strtoul(item + 1, NULL, 10) &&
		strncmp(own->path, path, len) == 0 && strcmp(own->path + len, "[]") == 0;
}

static const struct certauto__rest_edit *edit_of(struct copy *copy, const certauto__json_value *own)
{
	size_t i;

	for (i = 0; i < copy->n_edits; i++) {
		if (!is_at(own, copy->edits[i].path))
			continue;
		copy->made |= (uint64_t)1 << i;
		return &copy->edits[i];
	}
	return NULL;
}

static void key_write(struct copy *copy, const certauto__json_value *own)
{
	if (own->n_parts > 0 && !copy->is_array[own->n_parts - 1])
		certauto__json_key(&copy->w, own->parts[own->n_parts - 1]);
}

/* What the object whose end this is was to have besides. */
static void add_missing(struct copy *copy, const certauto__json_value *own)
{
	const char *path, *dot;
	size_t i, len;

	for (i = 0; i < copy->n_edits; i++) {
		path = copy->edits[i].path;
		dot = strrchr(path, '.');
		len = dot != NULL ? (size_t)(dot - path) : 0;
		if ((copy->made & (uint64_t)1 << i) != 0 || strlen(own->path) != len ||
			strncmp(own->path, path, len) != 0 || strchr(path + len, '[') != NULL)
			continue;
		copy->made |= (uint64_t)1 << i;
		if (copy->edits[i].json == NULL)
			continue;
		certauto__json_key(&copy->w, dot != NULL ? dot + 1 : path);
		certauto__json_raw(&copy->w, copy->edits[i].json);
	}
}

static void text_write(struct copy *copy, const certauto__json_value *own)
{
	int is_swapped = copy->from != NULL && strcmp(own->text, copy->from) == 0;

	copy->n_swapped += (size_t)is_swapped;
	if (is_swapped)
		certauto__json_text(&copy->w, copy->to);
	else
		certauto__json_text_len(&copy->w, own->text, own->len);
}

static void value_write(struct copy *copy, const certauto__json_value *own)
{
	switch (own->type) {
	case CERTAUTO__JSON_NULL:
		certauto__json_null(&copy->w);
		break;
	case CERTAUTO__JSON_FALSE:
	case CERTAUTO__JSON_TRUE:
		certauto__json_bool_value(&copy->w, own->type == CERTAUTO__JSON_TRUE);
		break;
	case CERTAUTO__JSON_NUMBER: /* as text: the device's may be longer than ours */
		certauto__json_raw(&copy->w, own->text);
		break;
	case CERTAUTO__JSON_STRING:
		text_write(copy, own);
		break;
	case CERTAUTO__JSON_OBJECT:
		certauto__json_object(&copy->w);
		break;
	case CERTAUTO__JSON_ARRAY:
		certauto__json_array(&copy->w);
		break;
	case CERTAUTO__JSON_OBJECT_END:
		add_missing(copy, own);
		certauto__json_object_end(&copy->w);
		break;
	case CERTAUTO__JSON_ARRAY_END:
		certauto__json_array_end(&copy->w);
		break;
	}
}

static int is_begin(const certauto__json_value *value)
{
	return value->type == CERTAUTO__JSON_OBJECT || value->type == CERTAUTO__JSON_ARRAY;
}

static void copy_value(struct copy *copy, const certauto__json_value *own)
{
	const struct certauto__rest_edit *edit;

	if (copy->skip > 0) {
		if (is_end(own) && own->n_parts + 1 == copy->skip)
			copy->skip = 0;
		return;
	}
	if (is_end(own)) {
		value_write(copy, own);
		return;
	}
	if (is_begin(own))
		copy->is_array[own->n_parts] = own->type == CERTAUTO__JSON_ARRAY;
	if ((edit = edit_of(copy, own)) == NULL) {
		key_write(copy, own);
		value_write(copy, own);
		return;
	}
	if (is_begin(own))
		copy->skip = own->n_parts + 1;
	if (edit->json == NULL)
		return;
	key_write(copy, own);
	certauto__json_raw(&copy->w, edit->json);
}

static int copy_cb(void *arg, const certauto__json_value *value)
{
	struct copy *copy = arg;
	certauto__json_value own;

	if (copy->done || !inside(&own, value, copy->list))
		return 0;
	copy_value(copy, &own);
	copy->done = own.n_parts == 0 && own.type == CERTAUTO__JSON_OBJECT_END;
	return copy->w.out->rc;
}

static int copy_object(struct copy *copy, certauto__buffer *out, const char *object, size_t len,
	certauto_error *err)
{
	size_t i;
	int rc;

	certauto__json_start(&copy->w, out, 0);
	if ((rc = certauto__json_read("object", object, len, &certauto__json_limits_device,
		     list_cb, &copy->list, err)) < 0 ||
		(rc = certauto__json_read("object", object, len, &certauto__json_limits_device,
			 copy_cb, copy, err)) < 0)
		return rc;
	for (i = 0; i < copy->n_edits; i++) {
		if (copy->edits[i].json != NULL && (copy->made & (uint64_t)1 << i) == 0)
			copy->done = 0;
	}
	return copy->done ? 0 : certauto__error_set(err, CERTAUTO_EPROTO, NULL,
		"the device's object is not as expected");
}

int certauto__rest_edit(certauto__buffer *out, const char *object, size_t len,
	const struct certauto__rest_edit *edits, size_t n_edits, certauto_error *err)
{
	struct copy copy = {.edits = edits, .n_edits = n_edits};

	return copy_object(&copy, out, object, len, err);
}

int certauto__rest_swap(certauto__buffer *out, const char *object, size_t len, const char *from,
	const char *to, size_t *n_out, certauto_error *err)
{
	struct copy copy = {.from = from, .to = to};
	int rc = copy_object(&copy, out, object, len, err);

	if (rc == 0)
		*n_out = copy.n_swapped;
	return rc;
}

void certauto__rest_segment(certauto__buffer *url, const char *id)
{
	if (id[strspn(id, ".")] != '\0' || strlen(id) > 2)
		certauto__url_escape(url, id);
	else
		url->rc = CERTAUTO_EPROTO;
}

void certauto__rest_id(char out[CERTAUTO__REST_ID], const char *ref)
{
	size_t len = strcspn(ref, "?#"), begin = len;

	while (len > 0 && ref[len - 1] == '/')
		begin = --len;
	while (begin > 0 && ref[begin - 1] != '/')
		begin--;
	/* What is too long for one is none: cut, it would be another's. */
	len = len - begin < CERTAUTO__REST_ID ? len - begin : 0;
	memcpy(out, ref + begin, len);
	out[len] = '\0';
}

/* ---- what a refusal says ---- */

struct words {
	certauto__buffer *text;
	const char *member;
	int found;               /* the member is in text, not what only came first */
};

static int words_cb(void *arg, const certauto__json_value *value)
{
	struct words *words = arg;

	if (value->type != CERTAUTO__JSON_STRING || words->found)
		return 0;
	if ((words->found = certauto__json_is(value, words->member)) != 0)
		certauto__buffer_clear(words->text);
	if (words->text->len == 0)
		certauto__buffer_add(words->text, value->text,
			value->len < WORDS_MAX ? value->len : WORDS_MAX);
	return 0;
}

/* Some releases send text whose type claims to be JSON. */
void certauto__rest_words(certauto__buffer *words, const certauto__exchange *x, const char *member)
{
	struct words read = {.text = words, .member = member};
	const char *data;
	size_t len;

	certauto__buffer_init(words, WORDS_MAX);
	words->secret = 1;
	data = certauto__exchange_answer(x, &len);
	if (x->rc < 0 || len == 0 || data[strspn(data, " \t\r\n")] == '<')
		return;
	if (certauto__json_read("refusal", data, len, &certauto__json_limits_device, words_cb,
		    &read, NULL) < 0)
		certauto__buffer_clear(words);
	if (words->len == 0 && strchr("{[", data[0]) == NULL)
		certauto__buffer_add(words, data, len < WORDS_MAX ? len : WORDS_MAX);
}

/* A device repeats what it was sent, and what was signed: a token, a key without its first line,
 * all of them or cut. What else is that long, a path or a digest, has small letters only. */
static void mask_long(certauto__buffer *words)
{
	static const char chars[] =
		"abcdefghijklmnopqrstuvwxyz0123456789+/=_-ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *upper = strchr(chars, 'A');
	char *at = words->data;
	size_t len;

	for (; *at != '\0'; at += len > 0 ? len : 1)
		if ((len = strspn(at, chars)) >= LONG_WORD && strcspn(at, upper) < len)
			memset(at, '*', len);
}

/* A password is whatever somebody has chosen. */
static void mask_text(certauto__buffer *words, const char *secret)
{
	char *at = words->data;
	size_t len = secret != NULL ? strlen(secret) : 0;

	for (; len > 0 && (at = strstr(at, secret)) != NULL; at += len)
		memset(at, '*', len);
}

void certauto__rest_hide(certauto__buffer *words, const certauto_target *target)
{
	const struct certauto__option *option;
	const char *pem;

	if (words->len == 0)
		return;
	words->len = strlen(words->data);
	for (option = target->row->options; option->name != NULL; option++) {
		if (option->flags & CERTAUTO_OPTION_SENSITIVE)
			mask_text(words, certauto__option_text(target, option->name));
	}
	if ((pem = strstr(words->data, "-----BEGIN")) != NULL)
		words->data[words->len = (size_t)(pem - words->data)] = '\0';
	mask_long(words);
	while (words->len > 0 && isspace((unsigned char)words->data[words->len - 1]))
		words->data[--words->len] = '\0';
}

int certauto__rest_has(const char *text, const char *part)
{
	size_t i;

	for (; *text != '\0'; text++) {
		for (i = 0; part[i] != '\0' &&
			tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]); i++)
			;
		if (part[i] == '\0')
			return 1;
	}
	return 0;
}

int certauto__rest_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing, int code, int number,
	certauto__buffer *words, const char *advice)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4 * CERTAUTO__SHOWN_MAX),
		more = CERTAUTO__BUFFER(5 * CERTAUTO__SHOWN_MAX);

	certauto__error_clear(err);
	if (x->rc < 0)
		return certauto__device_silent(err, x, target, doing);
	certauto__rest_hide(words, target);
	certauto__text_escape(&shown, certauto__buffer_text(words), words->len);
	if (number != 0)
		certauto__buffer_printf(&more, ", code %d", number);
	if (shown.len > 0)
		certauto__buffer_printf(&more, " (\"%s\")", shown.data);
	certauto__error_set(err, code, object, "%s: HTTP status %d%s", doing, x->status,
		certauto__buffer_text(&more));
	certauto__device_sign(err, target);
	err->status = x->status;
	if (advice != NULL)
		certauto__error_advise(err, "%s", advice);
	certauto__buffer_free(&shown);
	certauto__buffer_free(&more);
	return code;
}
