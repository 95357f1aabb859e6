/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CORE_SECRET_H
#define CERTAUTO_CORE_SECRET_H

/* Bytes that must not leak: pages of their own, locked if the system allows, left out of core
 * dumps, wiped when freed. Never printed; there is no function that formats one. */

#include <stddef.h>

typedef struct certauto__secret certauto__secret;

/* Copies data; a NUL stands behind it. */
int certauto__secret_new(certauto__secret **out, const void *data, size_t len);
int certauto__secret_new_size(certauto__secret **out, size_t size);   /* zeroed, to be filled */
unsigned char *certauto__secret_data(const certauto__secret *secret); /* borrowed */
const char *certauto__secret_text(const certauto__secret *secret);    /* borrowed; "" for NULL */
size_t certauto__secret_len(const certauto__secret *secret);
/* At most the size it was made with. */
int certauto__secret_set_len(certauto__secret *secret, size_t len);
void certauto__secret_free(certauto__secret *secret);                 /* wipes; NULL is fine */

#endif
