/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JSON_WRITER_H
#define CERTAUTO_JSON_WRITER_H

/* Writes JSON into a buffer. Commas and colons come by themselves; errors stick to the buffer, so
 * one check of the buffer's rc at the end is enough. Output is valid UTF-8 whatever goes in
 * (invalid bytes become U+FFFD), control characters are escaped. Calls that do not make one JSON
 * value leave CERTAUTO_EINVAL in the buffer. */

#include <stdint.h>

#include "core/buffer.h"
#include "core/text.h"

typedef struct certauto__json {
	certauto__buffer *out;
	int depth;
	int pretty;          /* two spaces a level */
	unsigned char has[64]; /* a value was written at this depth */
	int after_key;
} certauto__json;

void certauto__json_start(certauto__json *w, certauto__buffer *out, int pretty);
void certauto__json_object(certauto__json *w);
void certauto__json_object_end(certauto__json *w);
void certauto__json_array(certauto__json *w);
void certauto__json_array_end(certauto__json *w);
void certauto__json_key(certauto__json *w, const char *key);
void certauto__json_text(certauto__json *w, const char *text);           /* NULL writes null */
void certauto__json_text_len(certauto__json *w, const char *text, size_t len);
void certauto__json_number(certauto__json *w, int64_t number);
void certauto__json_bool_value(certauto__json *w, int value);
void certauto__json_null(certauto__json *w);
void certauto__json_raw(certauto__json *w, const char *json);            /* one complete value */

/* key and value in one line */
void certauto__json_put_text(certauto__json *w, const char *key, const char *text);
void certauto__json_put_number(certauto__json *w, const char *key, int64_t number);
void certauto__json_put_bool(certauto__json *w, const char *key, int value);
void certauto__json_put_null(certauto__json *w, const char *key);
void certauto__json_put_list(certauto__json *w, const char *key, const certauto__list *list);

#endif
