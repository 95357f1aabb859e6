/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_JSON_H
#define CERTAUTO_SHELL_JSON_H

/* Reads the JSON text in which the library gives results, plans and status, as a tree; also a
 * configuration, comments and all. */

#include <stddef.h>
#include <stdint.h>

enum json_type { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	char *name;         /* of a member of an object */
	char *text;         /* of a string, a number, "true", "false" */
	struct json *first; /* of an array or object */
	struct json *next;
};

struct json *json_parse(
	const char *text);         /* the caller owns it; NULL: not JSON, or deeper than 32 */
void json_free(struct json *json); /* NULL is fine */

/* All of these take NULL, or something of another type, as "not there". */
const struct json *json_get(const struct json *object, const char *name);
const char *json_text(const struct json *object, const char *name); /* a string's; else NULL */
int64_t json_number(const struct json *object, const char *name);   /* else 0 */
int json_is_true(const struct json *object, const char *name);      /* a boolean's */
const struct json *json_first(const struct json *json);                   /* its first item; NULL */
const char *json_text_or(const struct json *object, const char *name, const char *otherwise);

#endif
