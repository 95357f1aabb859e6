/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_PKEY_H
#define CERTAUTO_CRYPTO_PKEY_H

/* The inside of a key, for the files of this folder. */

#include "core/buffer.h"
#include "crypto/crypto.h"
#include "crypto/der.h"
#include "crypto/mbed.h"

/* What is known of a key type; a row per type in key.c. */
struct certauto__key_kind {
	const char *type;
	const char *alg;            /* RFC 7518 */
	const char *crv;            /* NULL for RSA */
	mbedtls_pk_type_t pk;
	mbedtls_ecp_group_id group;
	mbedtls_md_type_t md;       /* the digest of alg, used in requests and certificates too */
	size_t bits;
	const char *sig_oid;        /* of signatures in requests and certificates */
	size_t sig_oid_len;
};

struct certauto__pkey {
	const struct certauto__key_kind *kind;
	mbedtls_pk_context pk;
	certauto__buffer spki;      /* as certauto__mbed_spki() writes it */
	certauto__sign_fn sign;     /* NULL: the private half is in pk */
	void *arg;
};

/* NULL when the key is of none of our types. */
const struct certauto__key_kind *certauto__key_kind_of(const mbedtls_pk_context *pk);
/* "EC key on another curve than P-256 and P-384" and the like; static. */
const char *certauto__key_unsupported(const mbedtls_pk_context *pk);

certauto__pkey *certauto__pkey_alloc(void);
/* Fills kind and spki from pk. EINVAL when the type is none of ours. */
int certauto__pkey_finish(certauto__pkey *key, certauto_error *err);

/* Bytes of a coordinate, or of r and s; for RSA of the modulus. */
size_t certauto__pkey_width(const certauto__pkey *key);
/* AlgorithmIdentifier and BIT STRING: the signature over data as X.509 and PKCS#10 carry it. */
int certauto__pkey_x509_sign(certauto__buffer *out, const certauto__pkey *key, const void *data,
	size_t len, certauto_error *err);
/* The same AlgorithmIdentifier, which a certificate repeats inside what is signed. */
void certauto__pkey_x509_alg(certauto__buffer *out, const certauto__pkey *key);

/* ECDSA signatures between their two forms: SEQUENCE { r, s } and r||s, each `width` bytes, padded
 * on the left. EINVAL when the numbers do not fit or the form is another. */
int certauto__ecdsa_to_raw(certauto__buffer *raw, size_t width, const void *der, size_t len);
int certauto__ecdsa_to_der(certauto__buffer *der, size_t width, const void *raw, size_t len);

#endif
