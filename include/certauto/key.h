/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_KEY_H
#define CERTAUTO_KEY_H

#include <certauto/context.h>

/** @file
 *  Private keys, for accounts and for certificates. */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_key certauto_key;
typedef struct certauto_signing certauto_signing;

/** Makes a key: "ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"; *out belongs to the
 *  caller (certauto_key_free()). No network; an RSA key takes up to a second of CPU.
 *  @return 0, CERTAUTO_EINVAL (its message lists the types).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_key_new(certauto_key **out, certauto_context *cx,
	const char *type);

/** Reads one unencrypted private key, PEM or DER (PKCS#8, SEC1, PKCS#1); *out belongs to the
 *  caller.
 *  @return 0, CERTAUTO_EINVAL (what is wrong with it).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_key_parse(certauto_key **out, certauto_context *cx,
	const unsigned char *data, size_t data_len);

/** The same from a file, which must be ours and closed to group and others.
 *  @return 0, CERTAUTO_EINVAL, CERTAUTO_EIO, CERTAUTO_ENOTFOUND, CERTAUTO_EPERM.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_key_load(certauto_key **out, certauto_context *cx,
	const char *path);

/** Answers one signature: reads the signing's algorithm and digest, calls
 *  certauto_signing_set_signature(). signing is borrowed for the call. Must not block.
 *  @return 0 or a negative code, which becomes the result of what needed the signature. */
typedef int (*certauto_sign_cb)(certauto_signing *signing, void *payload);

/** A key kept elsewhere (HSM, PKCS#11): data is its SubjectPublicKeyInfo, DER. payload is taken,
 *  also on failure, and released with the key. *out belongs to the caller.
 *  @return 0, CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_key_new_signer(certauto_key **out,
	certauto_context *cx, const unsigned char *data, size_t data_len, certauto_sign_cb cb,
	void *payload, certauto_free_cb free_cb);

/** "ES256", "ES384" or "RS256"; borrowed.  @since 0.1 */
CERTAUTO_API const char *certauto_signing_alg(const certauto_signing *signing);

/** The digest to sign; borrowed for the callback.  @since 0.1 */
CERTAUTO_API const unsigned char *certauto_signing_digest(const certauto_signing *signing,
	size_t *out_len);

/** The signature: EC as r and s, each of full width, joined (as JWS and PKCS#11 have it); RSA the
 *  PKCS#1 v1.5 block. Copied.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_signing_set_signature(certauto_signing *signing,
	const unsigned char *data, size_t data_len);

/** The private key as unencrypted PKCS#8 PEM: a secret, yours to protect; *out belongs to the
 *  caller (certauto_mem_free(), which wipes it).
 *  @return 0, CERTAUTO_EUNSUPPORTED (the key is kept elsewhere).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_key_format(unsigned char **out, size_t *out_len,
	const certauto_key *key);

/** The public half as SubjectPublicKeyInfo, DER; *out belongs to the caller (certauto_mem_free()).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_key_format_public(unsigned char **out,
	size_t *out_len, const certauto_key *key);

/** "ecdsa-p256" and so on; static.  @since 0.1 */
CERTAUTO_API const char *certauto_key_type(const certauto_key *key);

/** The context; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_key_context(const certauto_key *key);

/** Drops the caller's reference; the key is wiped with the last one. NULL is fine. Any thread.
 *  @since 0.1 */
CERTAUTO_API void certauto_key_free(certauto_key *key);

#ifdef __cplusplus
}
#endif

#endif
