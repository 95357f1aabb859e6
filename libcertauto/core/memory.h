/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CORE_MEMORY_H
#define CERTAUTO_CORE_MEMORY_H

/* All memory of ours goes through here, so that tests can make the n-th allocation fail. */

#include <stddef.h>

void *certauto__alloc(size_t size);                    /* zeroed; NULL when there is none */
void *certauto__realloc(void *ptr, size_t size);
void certauto__free(void *ptr);                        /* NULL is fine */
char *certauto__strdup(const char *text);              /* NULL in, NULL out */
char *certauto__memdup(const void *data, size_t len);  /* with a NUL behind it */
void certauto__wipe(void *data, size_t len);           /* is not optimised away */

/* Memory that goes to the caller of the public API: its length stands in front of it, so that
 * certauto_mem_free() can wipe it. */
void *certauto__give(const void *data, size_t len);    /* with a NUL behind it */

/* Test hook: fail allocation number n (1 = the next); sticky: and all after it. 0 switches off. */
void certauto__alloc_fail_at(long n, int sticky);
long certauto__alloc_count(void);

#endif
