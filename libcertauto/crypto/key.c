/* SPDX-License-Identifier: Apache-2.0 */
/* The key types, making a key, writing it out. Reading one is in key_parse.c, signing in sign.c. */

#include <string.h>

#include "core/memory.h"
#include "crypto/pem.h"
#include "crypto/pkey.h"

#define KEY_DER_MAX 4096 /* RSA 4096 with its CRT numbers takes 2,350 */
#define RSA_EXPONENT 65537

static const struct certauto__key_kind kinds[] = {
	{ "ecdsa-p256", "ES256", "P-256", MBEDTLS_PK_ECKEY, MBEDTLS_ECP_DP_SECP256R1,
	  MBEDTLS_MD_SHA256, 256, CERTAUTO__OID(MBEDTLS_OID_ECDSA_SHA256) },
	{ "ecdsa-p384", "ES384", "P-384", MBEDTLS_PK_ECKEY, MBEDTLS_ECP_DP_SECP384R1,
	  MBEDTLS_MD_SHA384, 384, CERTAUTO__OID(MBEDTLS_OID_ECDSA_SHA384) },
	{ "rsa-2048", "RS256", NULL, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE,
	  MBEDTLS_MD_SHA256, 2048, CERTAUTO__OID(MBEDTLS_OID_PKCS1_SHA256) },
	{ "rsa-3072", "RS256", NULL, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE,
	  MBEDTLS_MD_SHA256, 3072, CERTAUTO__OID(MBEDTLS_OID_PKCS1_SHA256) },
	{ "rsa-4096", "RS256", NULL, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE,
	  MBEDTLS_MD_SHA256, 4096, CERTAUTO__OID(MBEDTLS_OID_PKCS1_SHA256) },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *const types[N_KINDS + 1] = {
	"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096", NULL
};

const char *const *certauto__key_types(void)
{
	return types;
}

static const struct certauto__key_kind *kind_named(const char *type)
{
	size_t i;

	for (i = 0; i < N_KINDS; i++)
		if (type != NULL && strcmp(type, kinds[i].type) == 0)
			return &kinds[i];
	return NULL;
}

int certauto__key_type_check(const char *type, certauto_error *err)
{
	if (kind_named(type) != NULL)
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
		"unknown key type \"%.40s\"; there are ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 "
		"and rsa-4096", type != NULL ? type : "");
}

const struct certauto__key_kind *certauto__key_kind_of(const mbedtls_pk_context *pk)
{
	size_t i, bits = mbedtls_pk_get_bitlen(pk);
	int is_rsa = mbedtls_pk_get_type(pk) == MBEDTLS_PK_RSA;

	if (!is_rsa && mbedtls_pk_get_type(pk) != MBEDTLS_PK_ECKEY)
		return NULL;
	for (i = 0; i < N_KINDS; i++) {
		if (is_rsa != (kinds[i].pk == MBEDTLS_PK_RSA))
			continue;
		if (is_rsa ? kinds[i].bits == bits : kinds[i].group == certauto__mbed_group(pk))
			return &kinds[i];
	}
	return NULL;
}

const char *certauto__key_unsupported(const mbedtls_pk_context *pk)
{
	switch (mbedtls_pk_get_type(pk)) {
	case MBEDTLS_PK_RSA:
		return "an RSA key of another size than 2048, 3072 and 4096 bits";
	case MBEDTLS_PK_ECKEY:
		return "an EC key on another curve than P-256 and P-384";
	default:
		return "a key that is neither RSA nor ECDSA";
	}
}

certauto__pkey *certauto__pkey_alloc(void)
{
	certauto__pkey *key = certauto__alloc(sizeof(*key));

	if (key == NULL)
		return NULL;
	mbedtls_pk_init(&key->pk);
	certauto__buffer_init(&key->spki, CERTAUTO__DER_MAX);
	return key;
}

int certauto__pkey_finish(certauto__pkey *key, certauto_error *err)
{
	int rc;

	if ((key->kind = certauto__key_kind_of(&key->pk)) == NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL, "unsupported key: %s",
			certauto__key_unsupported(&key->pk));
	rc = certauto__mbed_spki(&key->spki, &key->pk);
	if (rc == CERTAUTO_ENOMEM)
		return certauto__error_nomem(err);
	if (rc < 0)
		return certauto__error_set(err, rc, NULL, "the public key cannot be written");
	return 0;
}

static int generate(mbedtls_pk_context *pk, const struct certauto__key_kind *kind)
{
	int ret = mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(kind->pk));

	if (ret != 0)
		return ret;
	if (kind->pk == MBEDTLS_PK_RSA)
		return mbedtls_rsa_gen_key(mbedtls_pk_rsa(*pk), certauto__mbed_random, NULL,
			(unsigned int)kind->bits, RSA_EXPONENT);
	return mbedtls_ecp_gen_key(kind->group, mbedtls_pk_ec(*pk), certauto__mbed_random, NULL);
}

int certauto__pkey_new(certauto__pkey **out, const char *type, certauto_error *err)
{
	certauto__pkey *key;
	int ret, rc;

	if ((rc = certauto__key_type_check(type, err)) < 0)
		return rc;
	if ((key = certauto__pkey_alloc()) == NULL)
		return certauto__error_nomem(err);
	if ((ret = generate(&key->pk, kind_named(type))) != 0)
		rc = certauto__mbed_error(err, ret, CERTAUTO_EIO, "a key could not be made");
	else
		rc = certauto__pkey_finish(key, err);
	if (rc < 0) {
		certauto__pkey_free(key);
		return rc;
	}
	*out = key;
	return 0;
}

int certauto__pkey_new_signer(certauto__pkey **out, const void *spki, size_t len,
	certauto__sign_fn sign, void *arg, certauto_error *err)
{
	certauto__pkey *key;
	int ret, rc;

	if (spki == NULL || len == 0 || sign == NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"a signer needs its public key and a function");
	if ((key = certauto__pkey_alloc()) == NULL)
		return certauto__error_nomem(err);
	key->sign = sign;
	key->arg = arg;
	if ((ret = mbedtls_pk_parse_public_key(&key->pk, spki, len)) != 0)
		rc = certauto__mbed_error(err, ret, CERTAUTO_EINVAL,
			"the signer's public key is no SubjectPublicKeyInfo");
	else
		rc = certauto__pkey_finish(key, err);
	if (rc < 0) {
		certauto__pkey_free(key);
		return rc;
	}
	*out = key;
	return 0;
}

void certauto__pkey_free(certauto__pkey *key)
{
	if (key == NULL)
		return;
	mbedtls_pk_free(&key->pk); /* wipes the private numbers */
	certauto__buffer_free(&key->spki);
	certauto__free(key);
}

const char *certauto__pkey_type(const certauto__pkey *key)
{
	return key->kind->type;
}

int certauto__pkey_is_signer(const certauto__pkey *key)
{
	return key->sign != NULL;
}

size_t certauto__pkey_width(const certauto__pkey *key)
{
	return key->kind->bits / 8;
}

int certauto__pkey_public_der(certauto__buffer *out, const certauto__pkey *key)
{
	return certauto__buffer_add(out, key->spki.data, key->spki.len);
}

int certauto__pkey_same(const certauto__pkey *a, const certauto__pkey *b)
{
	return a->spki.len == b->spki.len && memcmp(a->spki.data, b->spki.data, a->spki.len) == 0;
}

/* PrivateKeyInfo (RFC 5208) around the form mbedTLS writes: SEC1 or PKCS#1. The algorithm is the
 * one the public key starts with. */
static int pkcs8_write(certauto__buffer *out, const certauto__pkey *key, certauto_error *err)
{
	struct certauto__der in = certauto__der_over(key->spki.data, key->spki.len);
	struct certauto__der spki, algorithm;
	unsigned char inner[KEY_DER_MAX];
	size_t mark;
	int n, rc;

	n = mbedtls_pk_write_key_der((mbedtls_pk_context *)&key->pk, inner, sizeof(inner));
	if (n < 0) {
		rc = certauto__mbed_error(err, n, CERTAUTO_EINVAL, "the key cannot be written");
		goto out;
	}
	if ((rc = certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &spki)) < 0 ||
	    (rc = certauto__der_next(&spki, CERTAUTO__DER_SEQUENCE, &algorithm)) < 0)
		goto out;
	mark = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_uint(out, NULL, 0); /* version v1 */
	certauto__der_add(out, CERTAUTO__DER_SEQUENCE, algorithm.at,
		certauto__der_left(&algorithm));
	certauto__der_add(out, MBEDTLS_ASN1_OCTET_STRING, inner + sizeof(inner) - (size_t)n,
		(size_t)n);
	certauto__der_close(out, mark);
	if (out->rc < 0)
		rc = certauto__error_nomem(err);
out:
	certauto__wipe(inner, sizeof(inner));
	return rc;
}

int certauto__pkey_format(certauto__secret **out, const certauto__pkey *key, certauto_error *err)
{
	certauto__buffer der = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	certauto__buffer pem = CERTAUTO__BUFFER(2 * CERTAUTO__DER_MAX);
	int rc;

	if (key->sign != NULL)
		return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, NULL,
			"the private key is outside: only its signer can use it");
	der.secret = 1;
	pem.secret = 1;
	if ((rc = pkcs8_write(&der, key, err)) < 0)
		goto out;
	if (certauto__pem_add(&pem, "PRIVATE KEY", der.data, der.len) < 0 ||
	    certauto__secret_new(out, pem.data, pem.len) < 0)
		rc = certauto__error_nomem(err);
out:
	certauto__buffer_free(&der);
	certauto__buffer_free(&pem);
	return rc;
}
