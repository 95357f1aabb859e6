/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: made here or by a signer outside, as JOSE wants them (RFC 7518 3.4) and as X.509
 * wants them (RFC 5480, RFC 4055). */

#include <string.h>

#include "crypto/pkey.h"

#define RAW_MAX 512 /* RSA 4096 */

/* One INTEGER of an ECDSA signature, padded on the left to width bytes. */
static int add_fixed(certauto__buffer *raw, size_t width, struct certauto__der *in)
{
	static const unsigned char zeros[RAW_MAX];
	struct certauto__der number;

	if (certauto__der_next(in, MBEDTLS_ASN1_INTEGER, &number) < 0)
		return CERTAUTO_EINVAL;
	while (number.at < number.end && *number.at == 0)
		number.at++;
	if (certauto__der_left(&number) > width)
		return CERTAUTO_EINVAL;
	certauto__buffer_add(raw, zeros, width - certauto__der_left(&number));
	return certauto__buffer_add(raw, number.at, certauto__der_left(&number));
}

int certauto__ecdsa_to_raw(certauto__buffer *raw, size_t width, const void *der, size_t len)
{
	struct certauto__der in = certauto__der_over(der, len), body;
	int rc;

	if ((rc = certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &body)) < 0 ||
	    (rc = add_fixed(raw, width, &body)) < 0 || (rc = add_fixed(raw, width, &body)) < 0)
		return rc;
	return certauto__der_left(&body) == 0 && certauto__der_left(&in) == 0 ? 0 : CERTAUTO_EINVAL;
}

int certauto__ecdsa_to_der(certauto__buffer *der, size_t width, const void *raw, size_t len)
{
	size_t mark;

	if (len != 2 * width)
		return CERTAUTO_EINVAL;
	mark = certauto__der_open(der, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_uint(der, raw, width);
	certauto__der_add_uint(der, (const unsigned char *)raw + width, width);
	certauto__der_close(der, mark);
	return der->rc;
}

static int is_ec(const certauto__pkey *key)
{
	return key->kind->crv != NULL;
}

/* The signature as mbedTLS and X.509 have it: DER for EC, the block itself for RSA. */
static int sign_here(certauto__buffer *out, const certauto__pkey *key, const unsigned char *digest,
	size_t digest_len, certauto_error *err)
{
	unsigned char sig[MBEDTLS_PK_SIGNATURE_MAX_SIZE];
	size_t len;
	int ret;

	ret = (is_ec(key) ? certauto__mbed_sign_ec : certauto__mbed_sign)(
		(mbedtls_pk_context *)&key->pk, key->kind->md, digest, digest_len, sig, &len,
		certauto__mbed_random);
	if (ret != 0)
		return certauto__mbed_error(err, ret, CERTAUTO_EINVAL, "the key cannot sign");
	return certauto__buffer_add(out, sig, len) < 0 ? certauto__error_nomem(err) : 0;
}

/* A signer's answer is checked with its public key: a token that picks another key would otherwise
 * show up as a refusal of the CA. */
static int sign_outside(certauto__buffer *out, const certauto__pkey *key,
	const unsigned char *digest, size_t digest_len, certauto_error *err)
{
	size_t want = certauto__pkey_width(key) * (is_ec(key) ? 2 : 1);
	certauto__buffer raw = CERTAUTO__BUFFER(RAW_MAX);
	int rc;

	if ((rc = key->sign(key->arg, key->kind->alg, digest, digest_len, &raw, err)) < 0) {
		certauto__error_set(err, rc, NULL, "the signer of the key failed");
		goto out;
	}
	if (raw.len != want) {
		rc = certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the signer gave %zu bytes where an %s signature has %zu", raw.len,
			key->kind->alg, want);
		goto out;
	}
	if (is_ec(key))
		rc = certauto__ecdsa_to_der(out, want / 2, raw.data, raw.len);
	else
		rc = certauto__buffer_add(out, raw.data, raw.len);
	if (rc < 0)
		rc = certauto__error_nomem(err);
	else if (mbedtls_pk_verify((mbedtls_pk_context *)&key->pk, key->kind->md, digest,
		     digest_len, (const unsigned char *)out->data, out->len) != 0)
		rc = certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the signer's signature does not fit its public key");
out:
	certauto__buffer_free(&raw);
	return rc;
}

static int sign(certauto__buffer *out, const certauto__pkey *key, const void *data, size_t len,
	certauto_error *err)
{
	unsigned char digest[MBEDTLS_MD_MAX_SIZE];
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(key->kind->md);
	int ret = mbedtls_md(md, len != 0 ? data : (const void *)"", len, digest);

	if (ret != 0)
		return certauto__mbed_error(err, ret, CERTAUTO_EINVAL, "the data cannot be hashed");
	return (key->sign != NULL ? sign_outside : sign_here)(out, key, digest,
		mbedtls_md_get_size(md), err);
}

int certauto__pkey_jws_sign(certauto__buffer *out, const certauto__pkey *key, const void *data,
	size_t len, certauto_error *err)
{
	certauto__buffer sig = CERTAUTO__BUFFER(MBEDTLS_PK_SIGNATURE_MAX_SIZE);
	certauto__buffer raw = CERTAUTO__BUFFER(RAW_MAX);
	int rc;

	if ((rc = sign(&sig, key, data, len, err)) < 0)
		goto out;
	if (is_ec(key)) {
		rc = certauto__ecdsa_to_raw(&raw, certauto__pkey_width(key), sig.data, sig.len);
		if (rc == 0)
			rc = certauto__buffer_add(out, raw.data, raw.len);
	} else {
		rc = certauto__buffer_add(out, sig.data, sig.len);
	}
	if (rc < 0)
		rc = certauto__error_set(err, rc, NULL, "the signature cannot be written");
out:
	certauto__buffer_free(&sig);
	certauto__buffer_free(&raw);
	return rc;
}

void certauto__pkey_x509_alg(certauto__buffer *out, const certauto__pkey *key)
{
	size_t mark = certauto__der_open(out, CERTAUTO__DER_SEQUENCE);

	certauto__der_add_oid(out, key->kind->sig_oid, key->kind->sig_oid_len);
	if (!is_ec(key)) /* RFC 4055: parameters are NULL for RSA, RFC 5758: absent for ECDSA */
		certauto__der_add(out, MBEDTLS_ASN1_NULL, NULL, 0);
	certauto__der_close(out, mark);
}

int certauto__pkey_x509_sign(certauto__buffer *out, const certauto__pkey *key, const void *data,
	size_t len, certauto_error *err)
{
	certauto__buffer sig = CERTAUTO__BUFFER(MBEDTLS_PK_SIGNATURE_MAX_SIZE);
	int rc;

	if ((rc = sign(&sig, key, data, len, err)) == 0) {
		certauto__pkey_x509_alg(out, key);
		certauto__der_add_bits(out, sig.data, sig.len);
		if (out->rc < 0)
			rc = certauto__error_nomem(err);
	}
	certauto__buffer_free(&sig);
	return rc;
}
