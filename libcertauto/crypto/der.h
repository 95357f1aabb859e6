/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_DER_H
#define CERTAUTO_CRYPTO_DER_H

/* Reading and writing DER, for what mbedTLS 2.28 leaves to its user: alternative names, key
 * identifiers, attributes of a request, PKCS#8, certificates signed by a key outside. */

#include <stddef.h>

#include "core/buffer.h"
#include "crypto/mbed_compat.h"

#define CERTAUTO__OID(oid) (oid), sizeof(oid) - 1 /* for the MBEDTLS_OID_ strings */

#define CERTAUTO__DER_SEQUENCE (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)
#define CERTAUTO__DER_SET (MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET)
#define CERTAUTO__DER_CONTEXT(n) (MBEDTLS_ASN1_CONTEXT_SPECIFIC | (n)) /* [n] IMPLICIT, primitive */
#define CERTAUTO__DER_EXPLICIT(n) (MBEDTLS_ASN1_CONSTRUCTED | CERTAUTO__DER_CONTEXT(n))

/* ---- reading: a cursor that never leaves its bytes ---- */

struct certauto__der {
	const unsigned char *at;
	const unsigned char *end;
};

struct certauto__der certauto__der_over(const void *data, size_t len);
size_t certauto__der_left(const struct certauto__der *in);
/* The tag of the next element, -1 at the end. */
int certauto__der_peek(const struct certauto__der *in);
/* Takes the next element, which must have that tag, and puts a cursor over its content into *body
 * (NULL: not wanted; never `in` itself). 0, or CERTAUTO_EINVAL: the cursor has not moved. */
int certauto__der_next(struct certauto__der *in, int tag, struct certauto__der *body);
/* 1 if what is left are exactly these bytes. */
int certauto__der_equals(const struct certauto__der *in, const void *data, size_t len);

/* ---- writing: into a buffer whose errors stick, so that only the end is checked ---- */

/* Starts an element whose length is not known yet; what is returned ends it. */
size_t certauto__der_open(certauto__buffer *b, int tag);
void certauto__der_close(certauto__buffer *b, size_t mark);
void certauto__der_add(certauto__buffer *b, int tag, const void *data, size_t len);
void certauto__der_add_oid(certauto__buffer *b, const char *oid, size_t len);
void certauto__der_add_true(certauto__buffer *b);
/* A non-negative INTEGER from big-endian bytes: minimal, with a sign byte where it needs one. */
void certauto__der_add_uint(certauto__buffer *b, const unsigned char *data, size_t len);
void certauto__der_add_bits(certauto__buffer *b, const void *data, size_t len); /* whole bytes */

#endif
