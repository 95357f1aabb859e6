/* SPDX-License-Identifier: Apache-2.0 */
/* The glue between mbedTLS and our own errors and buffers. */

#include "crypto/mbed.h"

#include "core/memory.h"
#include "crypto/crypto.h"

/* mbedTLS adds the error of a low layer (7 bits) to that of the layer above it. */
#define LOW_BITS 0x7F

/* RSA of 8192 bits with an exponent as long, the most mbedTLS calculates with. */
#define SPKI_MAX (2 * MBEDTLS_MPI_MAX_SIZE + 128)

static int is_nomem(int ret)
{
	switch (-(-ret & LOW_BITS)) {
	case MBEDTLS_ERR_MPI_ALLOC_FAILED:
	case MBEDTLS_ERR_ASN1_ALLOC_FAILED:
		return 1;
	default:
		break;
	}
	switch (-(-ret & ~LOW_BITS)) {
	case MBEDTLS_ERR_X509_ALLOC_FAILED:
	case MBEDTLS_ERR_PK_ALLOC_FAILED:
	case MBEDTLS_ERR_ECP_ALLOC_FAILED:
	case MBEDTLS_ERR_MD_ALLOC_FAILED:
		return 1;
	default:
		return 0;
	}
}

int certauto__mbed_error(certauto_error *err, int ret, int code, const char *what)
{
	char words[160];

	if (is_nomem(ret))
		return certauto__error_nomem(err);
	if (-(-ret & LOW_BITS) == MBEDTLS_ERR_ENTROPY_SOURCE_FAILED)
		return certauto__error_set(err, CERTAUTO_EIO, NULL,
			"%s: the system gives no random numbers", what);
	mbedtls_strerror(ret, words, sizeof(words));
	return certauto__error_set(err, code, NULL, "%s: %s", what, words);
}

int certauto__mbed_random(void *arg, unsigned char *out, size_t len)
{
	(void)arg;
	return certauto__random(out, len, NULL) < 0 ? MBEDTLS_ERR_ENTROPY_SOURCE_FAILED : 0;
}

int certauto__mbed_verify(const mbedtls_pk_context *pk, const struct certauto__mbed_signed *what)
{
	unsigned char digest[MBEDTLS_MD_MAX_SIZE];
	const mbedtls_md_info_t *md = mbedtls_md_info_from_type(what->md);
	int ret;

	if (md == NULL)
		return MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG;
	if ((ret = mbedtls_md(md, what->body, what->body_len, digest)) != 0)
		return ret;
	return mbedtls_pk_verify_ext(what->pk, what->options, (mbedtls_pk_context *)pk, what->md,
		digest, mbedtls_md_get_size(md), what->sig, what->sig_len);
}

int certauto__mbed_spki(certauto__buffer *out, const mbedtls_pk_context *pk)
{
	unsigned char der[SPKI_MAX];
	int n = mbedtls_pk_write_pubkey_der((mbedtls_pk_context *)pk, der, sizeof(der));

	if (n < 0)
		return is_nomem(n) ? CERTAUTO_ENOMEM : CERTAUTO_EINVAL;
	/* mbedTLS writes DER from the end of the buffer. */
	return certauto__buffer_add(out, der + sizeof(der) - (size_t)n, (size_t)n);
}
