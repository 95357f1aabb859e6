/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CORE_BUFFER_H
#define CERTAUTO_CORE_BUFFER_H

/* A growing byte buffer with a maximum, always NUL-terminated. Errors stick: after the first failed
 * add all further adds fail with the same code, so a writer may check once, at the end. */

#include <stdarg.h>
#include <stddef.h>

typedef struct certauto__buffer {
	char *data;    /* NULL while empty; certauto__buffer_text() never is */
	size_t len;    /* without the NUL */
	size_t size;
	size_t max;    /* len never exceeds this */
	int secret;    /* wiped when it grows or is freed */
	int rc;        /* 0, CERTAUTO_ENOMEM, or CERTAUTO_EPROTO when max would be exceeded */
} certauto__buffer;

#define CERTAUTO__BUFFER(max_len) { NULL, 0, 0, (max_len), 0, 0 }

void certauto__buffer_init(certauto__buffer *b, size_t max);
int certauto__buffer_add(certauto__buffer *b, const void *data, size_t len);
int certauto__buffer_text_add(certauto__buffer *b, const char *text);
int certauto__buffer_printf(certauto__buffer *b, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int certauto__buffer_vprintf(certauto__buffer *b, const char *format, va_list args);
const char *certauto__buffer_text(const certauto__buffer *b); /* "" when empty; borrowed */
char *certauto__buffer_take(certauto__buffer *b); /* caller owns (certauto__free); NULL on error */
void certauto__buffer_clear(certauto__buffer *b); /* keeps the memory and max, forgets rc */
void certauto__buffer_free(certauto__buffer *b);  /* and may be used again */

#endif
