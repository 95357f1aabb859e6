/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JSON_READER_H
#define CERTAUTO_JSON_READER_H

/* Bounded, event-based JSON reading: nothing is stored but what the handler takes. The rules are
 * strict because the text comes from a peer: depth checked before anything is kept, duplicate keys,
 * embedded NULs, invalid UTF-8 and trailing text refused, comments only where asked for. */

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum certauto__json_type {
	CERTAUTO__JSON_NULL,
	CERTAUTO__JSON_FALSE,
	CERTAUTO__JSON_TRUE,
	CERTAUTO__JSON_NUMBER,       /* kept as text: certauto__json_int() */
	CERTAUTO__JSON_STRING,
	CERTAUTO__JSON_OBJECT,       /* "{": its members follow */
	CERTAUTO__JSON_OBJECT_END,
	CERTAUTO__JSON_ARRAY,        /* "[": its items follow */
	CERTAUTO__JSON_ARRAY_END
};

/* One value, where it stands, borrowed for the call. Its place is told twice: as path, object keys
 * joined by "." and "[]" for any array item ("identifiers[].value", "" for the top value), which is
 * what protocol readers compare; and as parts, for documents whose keys are names. */
typedef struct certauto__json_value {
	enum certauto__json_type type;
	const char *path;
	size_t n_parts;              /* keys and indexes from the top */
	const char *const *parts;    /* key of each level; "[]" for an array item */
	const size_t *indexes;       /* index in the array at each level; 0: it is an object */
	const char *text;            /* STRING, NUMBER: NUL-terminated; otherwise NULL */
	size_t len;
	size_t line;                 /* counted from 1, where the value ends or begins */
} certauto__json_value;

/* Returns 0 to go on, or a negative code, which ends the reading with that code. */
typedef int (*certauto__json_cb)(void *arg, const certauto__json_value *value);

struct certauto__json_limits {
	size_t depth, values, string, key; /* 0 = the default of a CA: 16, 50,000, 64 KiB, 256 */
	int comments;                      /* our own config only */
	int top_object;                    /* the top value must be an object */
};

/* Replies of a CA: 16, 50,000, 64 KiB, 256, object. */
extern const struct certauto__json_limits certauto__json_limits_acme;
/* Replies of a device: 48, 1,000,000, 4 MiB, 1 KiB. */
extern const struct certauto__json_limits certauto__json_limits_device;
/* The config file: 16, 1,000,000, 64 KiB, 256, object, comments. */
extern const struct certauto__json_limits certauto__json_limits_config;
/* Our own files: 32, 1,000,000, 1 MiB, 1 KiB, object. */
extern const struct certauto__json_limits certauto__json_limits_state;

/* Reads the whole text. what: the document for messages, "directory of https://...".
 * CERTAUTO_EPROTO with the line and the reason when the text breaks a rule, CERTAUTO_ENOMEM, or the
 * handler's code. */
int certauto__json_read(const char *what, const void *data, size_t len,
	const struct certauto__json_limits *limits, certauto__json_cb cb, void *arg,
	certauto_error *err);

/* 1 if path is where the value stands; a key that is called "a.b" does not pass for two. */
int certauto__json_is(const certauto__json_value *value, const char *path);
/* An integer in [min, max]; CERTAUTO_EPROTO for another type, a fraction or out of range. */
int certauto__json_int(const certauto__json_value *value, int64_t min, int64_t max, int64_t *out);
/* CERTAUTO_EPROTO if it is neither true nor false. */
int certauto__json_bool(const certauto__json_value *value, int *out);
/* Copies a STRING into *out, freeing what was there; null leaves it NULL; other types
 * CERTAUTO_EPROTO. */
int certauto__json_copy(const certauto__json_value *value, char **out);

#endif
