/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of one issuer, many of them. What ECDSA does with a public key is a multiple of the
 * base point plus a multiple of that key. mbedTLS keeps a table of multiples in a curve object, for
 * its base point alone, and throws the object away after each verification. Here two objects are
 * kept, and the base point of the second is the issuer's key: what is left of a verification is
 * half of what mbedtls_pk_verify() does, or less. */

#include "crypto/verifier.h"

#include <string.h>

#include <mbedtls/asn1.h>

#include "core/memory.h"

struct certauto__verifier {
	certauto__buffer spki;       /* of the issuer whose tables these are; empty: none */
	mbedtls_ecp_group curve;
	mbedtls_ecp_group issuer;    /* the same curve, its base point the issuer's key */
	int known;                   /* the certificates above the leaf have passed: this is */
	unsigned char above[32];     /* the digest of all of them */
};

struct certauto__verifier *certauto__verifier_new(void)
{
	struct certauto__verifier *verifier = certauto__alloc(sizeof(*verifier));

	if (verifier == NULL)
		return NULL;
	certauto__buffer_init(&verifier->spki, 1024);
	mbedtls_ecp_group_init(&verifier->curve);
	mbedtls_ecp_group_init(&verifier->issuer);
	return verifier;
}

static void verifier_clear(struct certauto__verifier *verifier)
{
	certauto__buffer_free(&verifier->spki);
	mbedtls_ecp_group_free(&verifier->curve);
	certauto__mbed_based_free(&verifier->issuer);
}

void certauto__verifier_free(struct certauto__verifier *verifier)
{
	if (verifier == NULL)
		return;
	verifier_clear(verifier);
	certauto__free(verifier);
}

/* 0: the tables are those of this issuer's key. */
static int verifier_take(struct certauto__verifier *verifier, const struct certauto__cert *issuer)
{
	const certauto__buffer *spki = &issuer->spki;
	int ret;

	if (verifier->spki.len == spki->len && spki->len > 0 &&
		memcmp(verifier->spki.data, spki->data, spki->len) == 0)
		return 0;
	verifier_clear(verifier);
	if ((ret = mbedtls_ecp_group_load(&verifier->curve,
		     certauto__mbed_group(&issuer->crt.pk))) == 0 &&
		(ret = certauto__mbed_based(&verifier->issuer, &issuer->crt.pk)) == 0 &&
		certauto__buffer_add(&verifier->spki, spki->data, spki->len) < 0)
		ret = MBEDTLS_ERR_MPI_ALLOC_FAILED;
	if (ret != 0)
		verifier_clear(verifier);
	return ret;
}

/* SEQUENCE { r INTEGER, s INTEGER } and nothing behind; both from 1 to the order of the curve less
 * one. */
static int read_signature(mbedtls_mpi *r, mbedtls_mpi *s, const struct certauto__mbed_signed *what,
	const mbedtls_mpi *order)
{
	unsigned char *at = (unsigned char *)what->sig; /* mbedTLS does not write to it */
	const unsigned char *end = at + what->sig_len;
	size_t len;
	int ret;

	if ((ret = mbedtls_asn1_get_tag(&at, end, &len,
		     MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE)) != 0)
		return ret;
	if (len != (size_t)(end - at))
		return MBEDTLS_ERR_ASN1_LENGTH_MISMATCH;
	if ((ret = mbedtls_asn1_get_mpi(&at, end, r)) != 0 ||
		(ret = mbedtls_asn1_get_mpi(&at, end, s)) != 0)
		return ret;
	if (at != end || mbedtls_mpi_cmp_int(r, 1) < 0 || mbedtls_mpi_cmp_mpi(r, order) >= 0 ||
		mbedtls_mpi_cmp_int(s, 1) < 0 || mbedtls_mpi_cmp_mpi(s, order) >= 0)
		return MBEDTLS_ERR_ECP_VERIFY_FAILED;
	return 0;
}

/* Of the digest as many bits as the order has (SEC 1 4.1.4, step 3): whole bytes on our curves. */
static int read_digest(mbedtls_mpi *e, const struct certauto__mbed_signed *what, size_t order_len)
{
	unsigned char digest[MBEDTLS_MD_MAX_SIZE];
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(what->md);
	size_t len = md != NULL ? mbedtls_md_get_size(md) : 0;
	int ret;

	if (md == NULL)
		return MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG;
	if ((ret = mbedtls_md(md, what->body, what->body_len, digest)) != 0)
		return ret;
	return mbedtls_mpi_read_binary(e, digest, len < order_len ? len : order_len);
}

/* x coordinate of u1 * G + u2 * Q, modulo the order. */
static int sum_of_multiples(mbedtls_mpi *x, struct certauto__verifier *verifier,
	const mbedtls_mpi *u1, const mbedtls_mpi *u2)
{
	mbedtls_ecp_group *curve = &verifier->curve, *issuer = &verifier->issuer;
	mbedtls_ecp_point a, b, sum;
	mbedtls_mpi one;
	int ret;

	mbedtls_ecp_point_init(&a);
	mbedtls_ecp_point_init(&b);
	mbedtls_ecp_point_init(&sum);
	mbedtls_mpi_init(&one);
	if ((ret = mbedtls_mpi_lset(&one, 1)) == 0 &&
		(ret = mbedtls_ecp_mul(curve, &a, u1, &curve->G, certauto__mbed_random, NULL)) ==
			0 &&
		(ret = mbedtls_ecp_mul(issuer, &b, u2, &issuer->G, certauto__mbed_random, NULL)) ==
			0 &&
		(ret = mbedtls_ecp_muladd(curve, &sum, &one, &a, &one, &b)) == 0)
		ret = mbedtls_ecp_is_zero(&sum)
			? MBEDTLS_ERR_ECP_VERIFY_FAILED
			: mbedtls_mpi_mod_mpi(x, certauto__mbed_point_x(&sum), &curve->N);
	mbedtls_ecp_point_free(&a);
	mbedtls_ecp_point_free(&b);
	mbedtls_ecp_point_free(&sum);
	mbedtls_mpi_free(&one);
	return ret;
}

/* SEC 1 4.1.4 */
static int verify(struct certauto__verifier *verifier, const struct certauto__mbed_signed *what)
{
	const mbedtls_mpi *order = &verifier->curve.N;
	mbedtls_mpi r, s, e, x;
	int ret;

	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	mbedtls_mpi_init(&e);
	mbedtls_mpi_init(&x);
	if ((ret = read_signature(&r, &s, what, order)) != 0 ||
		(ret = read_digest(&e, what, mbedtls_mpi_size(order))) != 0 ||
		(ret = mbedtls_mpi_inv_mod(&s, &s, order)) != 0 ||
		(ret = mbedtls_mpi_mul_mpi(&e, &e, &s)) != 0 ||
		(ret = mbedtls_mpi_mod_mpi(&e, &e, order)) != 0 ||
		(ret = mbedtls_mpi_mul_mpi(&s, &s, &r)) != 0 ||
		(ret = mbedtls_mpi_mod_mpi(&s, &s, order)) != 0 ||
		(ret = sum_of_multiples(&x, verifier, &e, &s)) != 0)
		goto out;
	ret = mbedtls_mpi_cmp_mpi(&x, &r) == 0 ? 0 : MBEDTLS_ERR_ECP_VERIFY_FAILED;
out:
	mbedtls_mpi_free(&r);
	mbedtls_mpi_free(&s);
	mbedtls_mpi_free(&e);
	mbedtls_mpi_free(&x);
	return ret;
}

static int is_for_us(const struct certauto__mbed_signed *what, const mbedtls_pk_context *pk)
{
	mbedtls_ecp_group_id id;

	if (what->pk != MBEDTLS_PK_ECDSA || !mbedtls_pk_can_do(pk, MBEDTLS_PK_ECDSA))
		return 0;
	id = certauto__mbed_group(pk);
	return id == MBEDTLS_ECP_DP_SECP256R1 || id == MBEDTLS_ECP_DP_SECP384R1;
}

int certauto__verifier_check(struct certauto__verifier *verifier,
	const struct certauto__cert *issuer, const struct certauto__mbed_signed *what)
{
	if (verifier == NULL || !is_for_us(what, &issuer->crt.pk) ||
		verifier_take(verifier, issuer) != 0)
		return certauto__mbed_verify(&issuer->crt.pk, what);
	/* A digest of zero, which the multiplication does not take, is refused with all that is
	 * wrong: mbedTLS has the last word on that. */
	return verify(verifier, what) == 0 ? 0 : certauto__mbed_verify(&issuer->crt.pk, what);
}

/* ---- what is above the leaf ---- */

static int digest_above(unsigned char out[32], const struct certauto__certs *certs)
{
	certauto__buffer all = CERTAUTO__BUFFER(65 * 32);
	size_t i;
	int rc = 0;

	for (i = 1; i < certs->n && rc == 0; i++)
		rc = certauto__buffer_text_add(&all, certs->items[i]->fingerprint);
	if (rc == 0 && certauto__mbed_sha256((unsigned char *)certauto__buffer_text(&all), all.len,
			       out) != 0)
		rc = CERTAUTO_ENOMEM;
	certauto__buffer_free(&all);
	return rc;
}

int certauto__verifier_knows(const struct certauto__verifier *verifier,
	const struct certauto__certs *certs)
{
	unsigned char above[32];

	return verifier != NULL && verifier->known && digest_above(above, certs) == 0 &&
		memcmp(above, verifier->above, sizeof(above)) == 0;
}

void certauto__verifier_learn(struct certauto__verifier *verifier,
	const struct certauto__certs *certs)
{
	if (verifier != NULL)
		verifier->known = digest_above(verifier->above, certs) == 0;
}
