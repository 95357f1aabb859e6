/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256, for fingerprints, thumbprints and names derived from URLs; HMAC, for the binding of an
 * account to a customer of the CA. */

#include <string.h>

#include "crypto/crypto.h"
#include "crypto/mbed_compat.h"

void certauto__sha256(unsigned char out[32], const void *data, size_t len)
{
	static const unsigned char nothing[1];

	/* The result is not looked at: the one error is an argument out of range, and ours are
	 * constants. */
	(void)certauto__mbed_sha256(len != 0 ? data : nothing, len, out);
}

int certauto__sha256_hex(char out[65], const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[32];
	size_t i;

	certauto__sha256(digest, data, len);
	for (i = 0; i < sizeof(digest); i++) {
		out[2 * i] = digits[digest[i] >> 4];
		out[2 * i + 1] = digits[digest[i] & 15];
	}
	out[64] = '\0';
	return 0;
}

static const struct {
	const char *name;
	mbedtls_md_type_t md;
} macs[] = {
	{ "HS256", MBEDTLS_MD_SHA256 },
	{ "HS384", MBEDTLS_MD_SHA384 },
	{ "HS512", MBEDTLS_MD_SHA512 },
};

int certauto__hmac(certauto__buffer *out, const char *alg, const certauto__secret *key,
	const void *data, size_t len)
{
	unsigned char mac[MBEDTLS_MD_MAX_SIZE];
	const mbedtls_md_info_t *info;
	size_t i = 0;

	while (i < sizeof(macs) / sizeof(*macs) && strcmp(alg, macs[i].name) != 0)
		i++;
	if (i == sizeof(macs) / sizeof(*macs))
		return CERTAUTO_EINVAL;
	if ((info = mbedtls_md_info_from_type(macs[i].md)) == NULL ||
	    mbedtls_md_hmac(info, certauto__secret_data(key), certauto__secret_len(key), data, len,
		    mac) != 0)
		return CERTAUTO_ENOMEM; /* its arguments are fine: what is left is memory */
	return certauto__buffer_add(out, mac, mbedtls_md_get_size(info));
}
