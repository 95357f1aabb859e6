/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader: yajl's events, made strict and bounded. Nothing outside this file sees yajl.
 *
 * yajl 2.1 uses what malloc() returns without a look at it, and cannot be told to stop from within
 * its allocator (a longjmp() over it would leak and leave it half done). So all its memory is set
 * aside before it starts: fed in one piece, it needs a few fixed blocks, one buffer to decode
 * strings that have escapes and one for a token at the end of the text, and json/scan.h says how
 * long those are. When that memory is not to be had, the reading fails before yajl is asked. */

#include "json/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "core/text.h"
#include "json/keys.h"
#include "json/scan.h"

#define DEPTH_MAX 64          /* whatever the limits say; yajl's own stack needs one block for it */
#define YAJL_FIXED 8192       /* bytes: handle, lexer, stack, text of an error; 2.1 needs 1 KiB */
#define YAJL_BUFFER_FIRST 2048
#define BLOCK_ALIGN 16

const struct certauto__json_limits certauto__json_limits_acme = {16, 50000, 65536, 256, 0, 1};
const struct certauto__json_limits certauto__json_limits_device = {
	48, 1000000, 4194304, 1024, 0, 0};
const struct certauto__json_limits certauto__json_limits_config = {16, 1000000, 65536, 256, 1, 1};
const struct certauto__json_limits certauto__json_limits_state = {
	32, 1000000, 1048576, 1024, 0, 1};

/* The memory set aside for yajl. Blocks follow each other, each behind its size; the last one can
 * grow where it stands, and nothing is taken back before the end. */
struct arena {
	char *data;
	size_t size;
	size_t used;
	char *last; /* the block taken last */
};

struct level {
	int is_array;
	size_t path_len; /* path of the array or object itself */
	size_t key;      /* object: where the current key begins in keys.text */
	size_t n;        /* array: items so far */
	struct certauto__json_keys_mark mark;
};

struct reader {
	const char *what;
	const char *data;
	size_t len;
	struct certauto__json_limits limits;
	certauto__json_cb cb;
	void *arg;
	certauto_error *err;
	int rc;

	yajl_handle yajl;
	int finishing; /* all text is fed: the position yajl tells is no longer in it */
	size_t counted, line;

	size_t n_values;
	size_t depth; /* open arrays and objects */
	struct level levels[DEPTH_MAX];
	const char *parts[DEPTH_MAX];
	size_t indexes[DEPTH_MAX];
	certauto__buffer path;
	certauto__buffer text;
	struct certauto__json_keys keys;
	struct arena arena;
};

static size_t arena_round(size_t size)
{
	return (size + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
}

static void *arena_malloc(void *ctx, size_t size)
{
	struct arena *arena = ctx;
	char *block = arena->data + arena->used + BLOCK_ALIGN;

	if (size > arena->size || arena_round(size) + BLOCK_ALIGN > arena->size - arena->used)
		return NULL; /* never: reader_reserve() has counted */
	memcpy(block - BLOCK_ALIGN, &size, sizeof(size));
	arena->used += arena_round(size) + BLOCK_ALIGN;
	arena->last = block;
	return block;
}

static void *arena_realloc(void *ctx, void *ptr, size_t size)
{
	struct arena *arena = ctx;
	size_t old;
	void *block;

	if (ptr == NULL)
		return arena_malloc(ctx, size);
	memcpy(&old, (char *)ptr - BLOCK_ALIGN, sizeof(old));
	if (ptr == arena->last)
		arena->used = (size_t)((char *)ptr - arena->data) - BLOCK_ALIGN;
	block = arena_malloc(ctx, size);
	if (block != NULL && block != ptr)
		memcpy(block, ptr, old < size ? old : size);
	return block;
}

static void arena_free(void *ctx, void *ptr)
{
	(void)ctx;
	(void)ptr;
}

/* yajl's buffers begin with 2 KiB and double until there is a byte more than they hold. */
static size_t yajl_buffer_size(size_t len)
{
	size_t size = YAJL_BUFFER_FIRST;

	while (size <= len)
		size *= 2;
	return size;
}

static int reader_reserve(struct reader *r, const struct certauto__json_scan *scan)
{
	size_t size = YAJL_FIXED;

	if (scan->decoded != 0)
		size += yajl_buffer_size(scan->decoded) + BLOCK_ALIGN;
	/* yajl_complete_parse() adds a space to what is left over. */
	size += yajl_buffer_size(scan->tail + 1) + BLOCK_ALIGN;
	if ((r->arena.data = certauto__alloc(size)) == NULL)
		return CERTAUTO_ENOMEM;
	r->arena.size = size;
	return 0;
}

/* Counts lines up to a place in the text; places only move forward. */
static void reader_count(struct reader *r, size_t at)
{
	for (; r->counted < at && r->counted < r->len; r->counted++)
		if (r->data[r->counted] == '\n')
			r->line++;
}

static void reader_locate(struct reader *r)
{
	reader_count(r, r->finishing ? r->len : yajl_get_bytes_consumed(r->yajl));
}

/* Ends the reading; 0 is what tells yajl to stop. The keys on the way are the peer's words. */
static int reader_fail(struct reader *r, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int reader_fail(struct reader *r, int code, const char *format, ...)
{
	certauto__buffer place = CERTAUTO__BUFFER(2 * CERTAUTO__SHOWN_MAX);
	char reason[256];
	va_list args;

	r->rc = code;
	va_start(args, format);
	(void)vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (r->path.len != 0) {
		certauto__buffer_text_add(&place, ", \"");
		certauto__text_escape(&place, r->path.data, r->path.len);
		certauto__buffer_text_add(&place, "\"");
	}
	certauto__error_set(r->err, code, r->what, "%s: line %zu%s: %s", r->what, r->line,
		certauto__buffer_text(&place), reason);
	certauto__buffer_free(&place);
	return 0;
}

static int reader_nomem(struct reader *r)
{
	r->rc = certauto__error_nomem(r->err);
	return 0;
}

static void buffer_cut(certauto__buffer *b, size_t len)
{
	b->len = len;
	if (b->data != NULL)
		b->data[len] = '\0';
}

static int reader_call(struct reader *r, enum certauto__json_type type, const char *text,
	size_t len)
{
	certauto__json_value value;
	int rc;

	value.type = type;
	value.path = certauto__buffer_text(&r->path);
	value.n_parts = r->depth;
	value.parts = r->parts;
	value.indexes = r->indexes;
	value.text = text;
	value.len = len;
	value.line = r->line;
	if ((rc = r->cb(r->arg, &value)) >= 0)
		return 1;
	if (rc == CERTAUTO_ENOMEM)
		certauto__error_nomem(r->err);
	/* A handler that explained itself is not contradicted: the first error stays. */
	return reader_fail(r, rc, "%s", rc == CERTAUTO_EPROTO ?
		"the value is not what belongs here" : certauto_error_text(rc));
}

/* A value begins: its place, the number of values and the rule for the top one. */
static int reader_begin(struct reader *r, enum certauto__json_type type)
{
	struct level *level = r->depth != 0 ? &r->levels[r->depth - 1] : NULL;

	reader_locate(r);
	if (level == NULL && r->limits.top_object && type != CERTAUTO__JSON_OBJECT)
		return reader_fail(r, CERTAUTO_EPROTO, "the text is not a JSON object");
	if (r->n_values == r->limits.values)
		return reader_fail(r, CERTAUTO_EPROTO, "there are more than %zu values",
			r->limits.values);
	r->n_values++;
	if (level != NULL && level->is_array)
		r->indexes[r->depth - 1] = level->n++;
	return 1;
}

static int reader_simple(struct reader *r, enum certauto__json_type type)
{
	return reader_begin(r, type) && reader_call(r, type, NULL, 0);
}

/* Strings are copied, because what yajl hands over has no NUL behind it. */
static int reader_text(struct reader *r, enum certauto__json_type type, const void *text,
	size_t len)
{
	if (!reader_begin(r, type))
		return 0;
	buffer_cut(&r->text, 0);
	if (certauto__buffer_add(&r->text, text, len) < 0)
		return reader_nomem(r); /* the length was checked by the scan */
	return reader_call(r, type, certauto__buffer_text(&r->text), len);
}

static int reader_open(struct reader *r, enum certauto__json_type type)
{
	struct level *level = &r->levels[r->depth];

	reader_locate(r);
	if (r->depth >= r->limits.depth)
		return reader_fail(r, CERTAUTO_EPROTO,
			"arrays and objects are nested more than %zu deep", r->limits.depth);
	if (!reader_begin(r, type) || !reader_call(r, type, NULL, 0))
		return 0;
	memset(level, 0, sizeof(*level));
	level->is_array = type == CERTAUTO__JSON_ARRAY;
	level->path_len = r->path.len;
	certauto__json_keys_open(&r->keys, &level->mark);
	r->indexes[r->depth] = 0;
	r->parts[r->depth++] = level->is_array ? "[]" : "";
	if (level->is_array && certauto__buffer_text_add(&r->path, "[]") < 0)
		return reader_nomem(r);
	return 1;
}

static int reader_close(struct reader *r, enum certauto__json_type type)
{
	struct level *level = &r->levels[--r->depth];

	reader_locate(r);
	buffer_cut(&r->path, level->path_len);
	certauto__json_keys_close(&r->keys, &level->mark);
	return reader_call(r, type, NULL, 0);
}

/* The copies of the keys move when their memory grows. */
static void reader_point(struct reader *r)
{
	size_t i;

	for (i = 0; i < r->depth; i++)
		if (!r->levels[i].is_array)
			r->parts[i] = r->keys.text.data + r->levels[i].key;
}

static int on_key(void *ctx, const unsigned char *key, size_t len)
{
	struct reader *r = ctx;
	struct level *level = &r->levels[r->depth - 1];
	int rc;

	reader_locate(r);
	buffer_cut(&r->path, level->path_len);
	if (len > r->limits.key)
		return reader_fail(r, CERTAUTO_EPROTO, "a key is longer than %zu bytes",
			r->limits.key);
	if (r->depth > 1)
		certauto__buffer_text_add(&r->path, ".");
	if (certauto__buffer_add(&r->path, key, len) < 0)
		return reader_nomem(r);
	rc = certauto__json_keys_add(&r->keys, &level->mark, (const char *)key, len, &level->key);
	if (rc == CERTAUTO_EPROTO)
		return reader_fail(r, rc, "the key is there twice");
	if (rc < 0)
		return reader_nomem(r);
	reader_point(r);
	return 1;
}

static int on_null(void *ctx)
{
	return reader_simple(ctx, CERTAUTO__JSON_NULL);
}

static int on_boolean(void *ctx, int value)
{
	return reader_simple(ctx, value ? CERTAUTO__JSON_TRUE : CERTAUTO__JSON_FALSE);
}

static int on_number(void *ctx, const char *text, size_t len)
{
	return reader_text(ctx, CERTAUTO__JSON_NUMBER, text, len);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	return reader_text(ctx, CERTAUTO__JSON_STRING, text, len);
}

static int on_object(void *ctx)
{
	return reader_open(ctx, CERTAUTO__JSON_OBJECT);
}

static int on_object_end(void *ctx)
{
	return reader_close(ctx, CERTAUTO__JSON_OBJECT_END);
}

static int on_array(void *ctx)
{
	return reader_open(ctx, CERTAUTO__JSON_ARRAY);
}

static int on_array_end(void *ctx)
{
	return reader_close(ctx, CERTAUTO__JSON_ARRAY_END);
}

static const yajl_callbacks reader_callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object,
	.yajl_map_key = on_key,
	.yajl_end_map = on_object_end,
	.yajl_start_array = on_array,
	.yajl_end_array = on_array_end,
};

/* yajl says "parse error: unallowed token at this point in JSON text\n". */
static void reader_fail_yajl(struct reader *r)
{
	unsigned char *text = yajl_get_error(r->yajl, 0, NULL, 0);
	const char *reason = strstr((const char *)text, ": ");

	reader_locate(r);
	reason = reason != NULL ? reason + 2 : (const char *)text;
	reader_fail(r, CERTAUTO_EPROTO, "%.*s", (int)strcspn(reason, "\n"), reason);
	yajl_free_error(r->yajl, text);
}

static void reader_parse(struct reader *r, size_t parse_len)
{
	yajl_alloc_funcs memory = {arena_malloc, arena_realloc, arena_free, &r->arena};
	yajl_status status;

	r->yajl = yajl_alloc(&reader_callbacks, &memory, r);
	yajl_config(r->yajl, yajl_allow_comments, r->limits.comments);
	status = yajl_parse(r->yajl, (const unsigned char *)r->data, parse_len);
	if (status == yajl_status_ok) {
		r->finishing = 1;
		status = yajl_complete_parse(r->yajl);
	}
	if (status != yajl_status_ok && r->rc == 0)
		reader_fail_yajl(r);
	yajl_free(r->yajl);
}

static void reader_set_limits(struct reader *r, const struct certauto__json_limits *limits)
{
	const struct certauto__json_limits *ca = &certauto__json_limits_acme;
	struct certauto__json_limits *own = &r->limits;

	*own = limits != NULL ? *limits : *ca;
	own->depth = own->depth != 0 ? own->depth : ca->depth;
	own->values = own->values != 0 ? own->values : ca->values;
	own->string = own->string != 0 ? own->string : ca->string;
	own->key = own->key != 0 ? own->key : ca->key;
	if (own->depth > DEPTH_MAX)
		own->depth = DEPTH_MAX;
}

int certauto__json_read(const char *what, const void *data, size_t len,
	const struct certauto__json_limits *limits, certauto__json_cb cb, void *arg,
	certauto_error *err)
{
	struct certauto__json_scan scan;
	const char *fault;
	struct reader r;

	memset(&r, 0, sizeof(r));
	r.what = what;
	r.data = data;
	r.len = len;
	r.cb = cb;
	r.arg = arg;
	r.err = err;
	r.line = 1;
	reader_set_limits(&r, limits);
	certauto__buffer_init(&r.path, r.limits.depth * (r.limits.key + 2));
	certauto__buffer_init(&r.text, r.limits.string);
	r.text.secret = 1; /* it may be: every string of the text passes through */
	certauto__json_keys_init(&r.keys);

	fault = certauto__json_scan(&scan, data, len, r.limits.string, r.limits.comments);
	if (fault != NULL) {
		reader_count(&r, scan.fault_at);
		reader_fail(&r, CERTAUTO_EPROTO, "%s", fault);
	} else if (reader_reserve(&r, &scan) < 0) {
		reader_nomem(&r);
	} else {
		reader_parse(&r, scan.parse_len);
	}
	certauto__buffer_free(&r.path);
	certauto__buffer_free(&r.text);
	certauto__json_keys_free(&r.keys);
	certauto__wipe(r.arena.data, r.arena.used);
	certauto__free(r.arena.data);
	return r.rc;
}

/* Keys, and "[]" for arrays, in a path as callers write it. */
static size_t path_parts(const char *path)
{
	size_t n = *path != '\0' && *path != '[';

	for (; *path != '\0'; path++)
		n += *path == '.' || *path == '[';
	return n;
}

/* The number of parts is compared too: a peer may send one key that is called "a.b" or "a[]". */
int certauto__json_is(const certauto__json_value *value, const char *path)
{
	return strcmp(value->path, path) == 0 && value->n_parts == path_parts(path);
}

int certauto__json_int(const certauto__json_value *value, int64_t min, int64_t max, int64_t *out)
{
	if (value->type != CERTAUTO__JSON_NUMBER ||
	    certauto__number_parse(value->text, min, max, out) < 0)
		return CERTAUTO_EPROTO;
	return 0;
}

int certauto__json_bool(const certauto__json_value *value, int *out)
{
	if (value->type != CERTAUTO__JSON_TRUE && value->type != CERTAUTO__JSON_FALSE)
		return CERTAUTO_EPROTO;
	*out = value->type == CERTAUTO__JSON_TRUE;
	return 0;
}

int certauto__json_copy(const certauto__json_value *value, char **out)
{
	char *copy = NULL;

	if (value->type == CERTAUTO__JSON_STRING) {
		if ((copy = certauto__memdup(value->text, value->len)) == NULL)
			return CERTAUTO_ENOMEM;
	} else if (value->type != CERTAUTO__JSON_NULL) {
		return CERTAUTO_EPROTO;
	}
	certauto__free(*out);
	*out = copy;
	return 0;
}
