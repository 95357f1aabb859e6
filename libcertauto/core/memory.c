/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where memory is asked for. What libcurl and mbedTLS allocate belongs to the host
 * process and does not pass through here. */

#include "core/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <certauto/error.h>

/* The counters are shared by all threads; they only serve tests, so relaxed order is enough. */
static long alloc_counted;
static long alloc_fails_at;
static int alloc_fails_on;

/* In front of what certauto__give() hands out; a union, to keep what follows aligned. */
union given {
	size_t len;
	void *pointer;
	int64_t number;
	long double real;
};

static int alloc_refused(void)
{
	long now = __atomic_add_fetch(&alloc_counted, 1, __ATOMIC_RELAXED);
	long at = __atomic_load_n(&alloc_fails_at, __ATOMIC_RELAXED);

	if (at == 0 || now < at)
		return 0;
	return now == at || __atomic_load_n(&alloc_fails_on, __ATOMIC_RELAXED);
}

void certauto__alloc_fail_at(long n, int sticky)
{
	long counted = __atomic_load_n(&alloc_counted, __ATOMIC_RELAXED);

	__atomic_store_n(&alloc_fails_on, sticky, __ATOMIC_RELAXED);
	__atomic_store_n(&alloc_fails_at, n > 0 ? counted + n : 0, __ATOMIC_RELAXED);
}

long certauto__alloc_count(void)
{
	return __atomic_load_n(&alloc_counted, __ATOMIC_RELAXED);
}

/* Nothing is never asked of the system: for a size of 0 it may answer NULL, which means "none". */
void *certauto__alloc(size_t size)
{
	if (alloc_refused())
		return NULL;
	return calloc(1, size != 0 ? size : 1);
}

void *certauto__realloc(void *ptr, size_t size)
{
	if (alloc_refused())
		return NULL;
	return realloc(ptr, size != 0 ? size : 1);
}

void certauto__free(void *ptr)
{
	free(ptr);
}

char *certauto__strdup(const char *text)
{
	return text != NULL ? certauto__memdup(text, strlen(text)) : NULL;
}

char *certauto__memdup(const void *data, size_t len)
{
	char *copy;

	if (len == SIZE_MAX || (copy = certauto__alloc(len + 1)) == NULL)
		return NULL;
	if (len != 0)
		memcpy(copy, data, len);
	return copy;
}

void certauto__wipe(void *data, size_t len)
{
	if (data != NULL && len != 0)
		explicit_bzero(data, len);
}

void *certauto__give(const void *data, size_t len)
{
	union given *head;
	char *body;

	if (len > SIZE_MAX - sizeof(*head) - 1 ||
	    (head = certauto__alloc(sizeof(*head) + len + 1)) == NULL)
		return NULL;
	head->len = len;
	body = (char *)(head + 1);
	if (len != 0)
		memcpy(body, data, len);
	return body;
}

void certauto_mem_free(void *ptr)
{
	union given *head;

	if (ptr == NULL)
		return;
	head = (union given *)ptr - 1;
	certauto__wipe(ptr, head->len);
	certauto__free(head);
}
