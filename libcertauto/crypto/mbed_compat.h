/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_MBED_COMPAT_H
#define CERTAUTO_CRYPTO_MBED_COMPAT_H

/* The one place that knows mbedTLS 2.28 from 3.6: calls that gained an argument or lost a suffix,
 * and the few fields 3.x calls private without offering a call that reads them. Both are used
 * without psa_crypto_init(): distributions build 3.6 without MBEDTLS_USE_PSA_CRYPTO, and then
 * neither pk nor x509 touches PSA. */

#include <mbedtls/asn1.h>
#include <mbedtls/base64.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/pkcs5.h>
#include <mbedtls/rsa.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#if MBEDTLS_VERSION_NUMBER >= 0x03000000 && defined(MBEDTLS_USE_PSA_CRYPTO)
#error "mbedTLS with MBEDTLS_USE_PSA_CRYPTO needs psa_crypto_init(), a state of the process"
#endif

typedef int certauto__mbed_rng(void *arg, unsigned char *out, size_t len);

/* A signature and what was signed; all borrowed from the object that holds them. */
struct certauto__mbed_signed {
	const unsigned char *body;
	size_t body_len;
	const unsigned char *sig;
	size_t sig_len;
	mbedtls_md_type_t md;
	mbedtls_pk_type_t pk;
	const void *options; /* those of RSASSA-PSS */
};

#if MBEDTLS_VERSION_NUMBER < 0x03000000
#define CERTAUTO__MBED_FIELD(object, member) ((object)->member)
#else
#define CERTAUTO__MBED_FIELD(object, member) ((object)->MBEDTLS_PRIVATE(member))
#endif

static inline void certauto__mbed_crt_signed(struct certauto__mbed_signed *out,
	const mbedtls_x509_crt *crt)
{
	out->body = crt->tbs.p;
	out->body_len = crt->tbs.len;
	out->sig = CERTAUTO__MBED_FIELD(crt, sig).p;
	out->sig_len = CERTAUTO__MBED_FIELD(crt, sig).len;
	out->md = CERTAUTO__MBED_FIELD(crt, sig_md);
	out->pk = CERTAUTO__MBED_FIELD(crt, sig_pk);
	out->options = CERTAUTO__MBED_FIELD(crt, sig_opts);
}

static inline int certauto__mbed_crt_is_ca(const mbedtls_x509_crt *crt)
{
	return CERTAUTO__MBED_FIELD(crt, ca_istrue) != 0;
}

static inline mbedtls_ecp_group_id certauto__mbed_group(const mbedtls_pk_context *pk)
{
	return CERTAUTO__MBED_FIELD(mbedtls_pk_ec(*pk), grp).id;
}

static inline const mbedtls_mpi *certauto__mbed_point_x(const mbedtls_ecp_point *point)
{
	return &CERTAUTO__MBED_FIELD(point, X);
}

/* The curve of a key, the key its base point. mbedtls_ecp_mul() makes a table of multiples for
 * whatever is a curve's base point, and keeps it with the curve. The constants of our curves are
 * not owned by the object: the point must not be copied over theirs. */
static inline int certauto__mbed_based(mbedtls_ecp_group *out, const mbedtls_pk_context *pk)
{
	int ret = mbedtls_ecp_group_load(out, certauto__mbed_group(pk));

	if (ret != 0)
		return ret;
	mbedtls_ecp_point_init(&out->G);
	/* 3.6 begins with a table for the base point that was. */
	CERTAUTO__MBED_FIELD(out, T) = NULL;
	CERTAUTO__MBED_FIELD(out, T_size) = 0;
	return mbedtls_ecp_copy(&out->G, &CERTAUTO__MBED_FIELD(mbedtls_pk_ec(*pk), Q));
}

static inline void certauto__mbed_based_free(mbedtls_ecp_group *group)
{
	if (group->id != MBEDTLS_ECP_DP_NONE)
		mbedtls_ecp_point_free(&group->G);
	mbedtls_ecp_group_free(group);
}

static inline int certauto__mbed_sha256(const unsigned char *data, size_t len,
	unsigned char out[32])
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	return mbedtls_sha256_ret(data, len, out, 0);
#else
	return mbedtls_sha256(data, len, out, 0);
#endif
}

static inline int certauto__mbed_parse_key(mbedtls_pk_context *pk, const unsigned char *der,
	size_t len, certauto__mbed_rng *rng)
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	(void)rng;
	return mbedtls_pk_parse_key(pk, der, len, NULL, 0);
#else
	return mbedtls_pk_parse_key(pk, der, len, NULL, 0, rng, NULL);
#endif
}

/* 0 when the public half of the key belongs to its private half. */
static inline int certauto__mbed_check_pair(const mbedtls_pk_context *pk, certauto__mbed_rng *rng)
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	(void)rng;
	return mbedtls_pk_check_pair(pk, pk);
#else
	return mbedtls_pk_check_pair(pk, pk, rng, NULL);
#endif
}

/* ECDSA on the key's own curve object: 2.28 keeps a table of multiples of the base point in it, and
 * mbedtls_pk_sign() would work on a copy and compute that table for every signature. */
static inline int certauto__mbed_sign_ec(mbedtls_pk_context *pk, mbedtls_md_type_t md,
	const unsigned char *digest, size_t digest_len, unsigned char *sig, size_t *sig_len,
	certauto__mbed_rng *rng)
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	return mbedtls_ecdsa_write_signature(mbedtls_pk_ec(*pk), md, digest, digest_len, sig,
		sig_len, rng, NULL);
#else
	return mbedtls_ecdsa_write_signature(mbedtls_pk_ec(*pk), md, digest, digest_len, sig,
		MBEDTLS_PK_SIGNATURE_MAX_SIZE, sig_len, rng, NULL);
#endif
}

/* sig holds MBEDTLS_PK_SIGNATURE_MAX_SIZE bytes. */
static inline int certauto__mbed_sign(mbedtls_pk_context *pk, mbedtls_md_type_t md,
	const unsigned char *digest, size_t digest_len, unsigned char *sig, size_t *sig_len,
	certauto__mbed_rng *rng)
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	return mbedtls_pk_sign(pk, md, digest, digest_len, sig, sig_len, rng, NULL);
#else
	return mbedtls_pk_sign(pk, md, digest, digest_len, sig, MBEDTLS_PK_SIGNATURE_MAX_SIZE,
		sig_len, rng, NULL);
#endif
}

/* PBKDF2 with HMAC-SHA-256. */
static inline int certauto__mbed_pbkdf2(const unsigned char *password, size_t password_len,
	const unsigned char *salt, size_t salt_len, unsigned int iterations, unsigned char *key,
	uint32_t key_len)
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	mbedtls_md_context_t md;
	int ret;

	mbedtls_md_init(&md);
	if ((ret = mbedtls_md_setup(&md, mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), 1)) == 0)
		ret = mbedtls_pkcs5_pbkdf2_hmac(&md, password, password_len, salt, salt_len,
			iterations, key_len, key);
	mbedtls_md_free(&md);
	return ret;
#else
	return mbedtls_pkcs5_pbkdf2_hmac_ext(MBEDTLS_MD_SHA256, password, password_len, salt,
		salt_len, iterations, key_len, key);
#endif
}

#endif
