/* SPDX-License-Identifier: Apache-2.0 */
/* The public key as JOSE writes it: RFC 7517, members in the order RFC 7638 hashes them. */

#include "core/text.h"
#include "crypto/pkey.h"
#include "crypto/x509.h"

#define JWK_MAX 2048 /* RSA 4096 takes 730 */

const char *certauto__pkey_jws_alg(const certauto__pkey *key)
{
	return key->kind->alg;
}

/* The point is 04 || x || y, so both have full width (RFC 7518 6.2.1.2). */
static int jwk_ec(certauto__buffer *out, const certauto__pkey *key,
	const struct certauto__der *bits)
{
	size_t width = certauto__pkey_width(key);

	if (certauto__der_left(bits) != 1 + 2 * width)
		return CERTAUTO_EINVAL;
	certauto__buffer_printf(out, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", key->kind->crv);
	certauto__base64url_encode(out, bits->at + 1, width);
	certauto__buffer_text_add(out, "\",\"y\":\"");
	certauto__base64url_encode(out, bits->at + 1 + width, width);
	return certauto__buffer_text_add(out, "\"}");
}

/* n and e without the sign byte DER gives them (RFC 7518 6.3.1.1). */
static int jwk_rsa(certauto__buffer *out, struct certauto__der *bits)
{
	struct certauto__der body, n, e;

	if (certauto__der_next(bits, CERTAUTO__DER_SEQUENCE, &body) < 0 ||
	    certauto__der_next(&body, MBEDTLS_ASN1_INTEGER, &n) < 0 ||
	    certauto__der_next(&body, MBEDTLS_ASN1_INTEGER, &e) < 0)
		return CERTAUTO_EINVAL;
	while (n.at < n.end && *n.at == 0)
		n.at++;
	while (e.at < e.end && *e.at == 0)
		e.at++;
	certauto__buffer_text_add(out, "{\"e\":\"");
	certauto__base64url_encode(out, e.at, certauto__der_left(&e));
	certauto__buffer_text_add(out, "\",\"kty\":\"RSA\",\"n\":\"");
	certauto__base64url_encode(out, n.at, certauto__der_left(&n));
	return certauto__buffer_text_add(out, "\"}");
}

int certauto__pkey_jwk(certauto__buffer *out, const certauto__pkey *key)
{
	struct certauto__der bits;
	int rc = certauto__spki_bits(&bits, &key->spki);

	if (rc < 0)
		return rc;
	return key->kind->crv != NULL ? jwk_ec(out, key, &bits) : jwk_rsa(out, &bits);
}

int certauto__pkey_thumbprint(certauto__buffer *out, const certauto__pkey *key)
{
	certauto__buffer jwk = CERTAUTO__BUFFER(JWK_MAX);
	unsigned char digest[32];
	int rc;

	if ((rc = certauto__pkey_jwk(&jwk, key)) == 0) {
		certauto__sha256(digest, jwk.data, jwk.len);
		rc = certauto__base64url_encode(out, digest, sizeof(digest));
	}
	certauto__buffer_free(&jwk);
	return rc;
}
