/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_X509_H
#define CERTAUTO_CRYPTO_X509_H

/* What requests and certificates have in common: public keys, extensions, alternative names,
 * distinguished names. */

#include "core/buffer.h"
#include "core/error.h"
#include "core/text.h"
#include "crypto/crypto.h"
#include "crypto/der.h"

#define CERTAUTO__NAMES_MAX 1000 /* names of one certificate or request */

/* What is inside the BIT STRING of a SubjectPublicKeyInfo: a point, or two integers. */
int certauto__spki_bits(struct certauto__der *out, const certauto__buffer *spki);

/* ---- extensions ---- */

struct certauto__ext_mark {
	size_t ext;
	size_t value;
};

/* Around the value of one extension. */
void certauto__ext_open(certauto__buffer *b, struct certauto__ext_mark *mark, const char *oid,
	size_t oid_len, int critical);
void certauto__ext_close(certauto__buffer *b, const struct certauto__ext_mark *mark);
/* Looks through Extensions (the whole SEQUENCE): 1 and a cursor over the extension's value, 0 when
 * it is not there, CERTAUTO_EINVAL when it is there twice or the list is damaged. */
int certauto__ext_find(struct certauto__der *value, const struct certauto__der *exts,
	const char *oid, size_t oid_len);

/* ---- subject alternative names ---- */

/* The whole extension; the names are as certauto__name_normal() gives them. */
void certauto__san_add(certauto__buffer *b, const certauto__list *names, int critical);
/* Adds each name once; *n_others counts the names that are neither DNS names nor addresses.
 * ENOMEM, or EINVAL: damaged, too many. */
int certauto__san_read(certauto__list *names, size_t *n_others, struct certauto__der value);

/* ---- distinguished names ---- */

/* NULL subject: an empty name. */
int certauto__dn_add(certauto__buffer *b, const struct certauto__subject *subject,
	certauto_error *err);
/* "CN=..., O=..." with the most specific part first, as RFC 4514 does, and safe to show. */
int certauto__dn_text(certauto__buffer *out, const void *dn, size_t len);
/* The most specific common name, safe to show; *out stays NULL when there is none. */
int certauto__dn_cn(char **out, const void *dn, size_t len);

#endif
