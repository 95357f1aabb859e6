/* SPDX-License-Identifier: Apache-2.0 */
/* Growing byte buffers. The maximum is checked before memory is asked for, so that a peer cannot
 * make us hold more than the owner of the buffer wanted. */

#include "core/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"

#define BUFFER_FIRST 64 /* bytes; most messages and URLs fit after one doubling */

void certauto__buffer_init(certauto__buffer *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

/* A secret is never reallocated: realloc() may leave the old bytes behind. */
static char *buffer_move(certauto__buffer *b, size_t size)
{
	char *data;

	if (!b->secret)
		return certauto__realloc(b->data, size);
	if ((data = certauto__alloc(size)) == NULL)
		return NULL;
	if (b->data != NULL) {
		memcpy(data, b->data, b->len + 1);
		certauto__wipe(b->data, b->size);
		certauto__free(b->data);
	}
	return data;
}

/* Room for len bytes more and the NUL. */
static int buffer_reserve(certauto__buffer *b, size_t len)
{
	size_t size, need;
	char *data;

	if (b->rc < 0)
		return b->rc;
	if (b->len > b->max || len > b->max - b->len || b->len + len > SIZE_MAX / 2 - 1)
		return b->rc = CERTAUTO_EPROTO;
	need = b->len + len + 1;
	if (need <= b->size)
		return 0;
	for (size = b->size != 0 ? b->size : BUFFER_FIRST; size < need; size *= 2)
		;
	if (size - 1 > b->max)
		size = b->max + 1;
	if ((data = buffer_move(b, size)) == NULL)
		return b->rc = CERTAUTO_ENOMEM;
	b->data = data;
	b->size = size;
	b->data[b->len] = '\0';
	return 0;
}

int certauto__buffer_add(certauto__buffer *b, const void *data, size_t len)
{
	if (b->rc < 0 || len == 0)
		return b->rc;
	if (buffer_reserve(b, len) < 0)
		return b->rc;
	memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int certauto__buffer_text_add(certauto__buffer *b, const char *text)
{
	return text != NULL ? certauto__buffer_add(b, text, strlen(text)) : b->rc;
}

int certauto__buffer_printf(certauto__buffer *b, const char *format, ...)
{
	va_list args;
	int rc;

	va_start(args, format);
	rc = certauto__buffer_vprintf(b, format, args);
	va_end(args);
	return rc;
}

int certauto__buffer_vprintf(certauto__buffer *b, const char *format, va_list args)
{
	va_list again;
	int len;

	if (b->rc < 0)
		return b->rc;
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (len < 0) /* the C library could not: short of memory, or longer than an int */
		return b->rc = CERTAUTO_ENOMEM;
	if (len == 0 || buffer_reserve(b, (size_t)len) < 0)
		return b->rc;
	(void)vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
	b->len += (size_t)len;
	return 0;
}

const char *certauto__buffer_text(const certauto__buffer *b)
{
	return b->data != NULL ? b->data : "";
}

char *certauto__buffer_take(certauto__buffer *b)
{
	char *data;

	if (buffer_reserve(b, 0) < 0) /* an empty buffer gives "" */
		return NULL;
	data = b->data;
	b->data = NULL;
	b->len = 0;
	b->size = 0;
	return data;
}

void certauto__buffer_clear(certauto__buffer *b)
{
	if (b->secret)
		certauto__wipe(b->data, b->size);
	if (b->data != NULL)
		b->data[0] = '\0';
	b->len = 0;
	b->rc = 0;
}

void certauto__buffer_free(certauto__buffer *b)
{
	if (b->secret)
		certauto__wipe(b->data, b->size);
	certauto__free(b->data);
	b->data = NULL;
	b->len = 0;
	b->size = 0;
	b->rc = 0;
}
