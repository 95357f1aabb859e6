/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CHAIN_H
#define CERTAUTO_CHAIN_H

#include <certauto/csr.h>

/** @file
 *  A certificate with its intermediates, leaf first. */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_chain certauto_chain;

/** Which part of a chain is meant. */
enum {
	CERTAUTO_CHAIN_LEAF = 1,
	CERTAUTO_CHAIN_INTERMEDIATES = 2,
	CERTAUTO_CHAIN_FULL = 3
};

/** Reads certificates, PEM, leaf first; *out belongs to the caller (certauto_chain_free()).
 *  @return 0, CERTAUTO_ECERT (not certificates, too many, too long).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_chain_parse(certauto_chain **out,
	certauto_context *cx, const unsigned char *data, size_t data_len);

/** PEM without blank lines; part: CERTAUTO_CHAIN_*; *out belongs to the caller
 *  (certauto_mem_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_chain_format(unsigned char **out, size_t *out_len,
	const certauto_chain *chain, int part);

/** A certificate for csr signed by key itself, valid from now to not_after_at (seconds since 1970);
 *  CA:FALSE, SHA-256. *out belongs to the caller. No network.
 *  @return 0, CERTAUTO_EINVAL (csr is not key's, the time has passed).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_chain_new_self_signed(certauto_chain **out,
	certauto_key *key, certauto_csr *csr, int64_t not_after_at);

/** The checks an issued certificate must pass before it replaces another: leaf belongs to key, its
 *  names are names, not a CA, valid now, each certificate signs the one before. No network.
 *  @return 0, CERTAUTO_ECERT (which check, with which values).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_chain_check(certauto_chain *chain, certauto_key *key,
	const char *const *names, size_t n_names);

/** Number of certificates.  @since 0.1 */
CERTAUTO_API size_t certauto_chain_n_certs(const certauto_chain *chain);

/** Names in the leaf's subjectAltName; NULL past the end; borrowed.  @since 0.1 */
CERTAUTO_API size_t certauto_chain_n_names(const certauto_chain *chain);
CERTAUTO_API const char *certauto_chain_name(const certauto_chain *chain, size_t i);

/** Of the leaf: serial number and SHA-256 fingerprint in lower-case hex, issuer as text; borrowed.
 *  @since 0.1 */
CERTAUTO_API const char *certauto_chain_serial(const certauto_chain *chain);
CERTAUTO_API const char *certauto_chain_fingerprint(const certauto_chain *chain);
CERTAUTO_API const char *certauto_chain_issuer(const certauto_chain *chain);

/** Validity of the leaf, seconds since 1970 UTC.  @since 0.1 */
CERTAUTO_API int64_t certauto_chain_not_before_at(const certauto_chain *chain);
CERTAUTO_API int64_t certauto_chain_not_after_at(const certauto_chain *chain);

/** What there is to know of each certificate, as JSON: a list, leaf first, of objects with subject,
 *  issuer, serial, names, not_before, not_after (seconds since 1970 UTC), ca (null: it does not
 *  say), key, key_bits, signature, sha256, pin ("sha256//...", of the public key), self_signed and
 *  signed_by_next (whether the one that follows has signed it; null for the last). *out belongs to
 *  the caller (certauto_mem_free()). No I/O.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_chain_dup_details(char **out,
	const certauto_chain *chain);

/** The context; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_chain_context(const certauto_chain *chain);

/** Drops the caller's reference. NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_chain_free(certauto_chain *chain);

#ifdef __cplusplus
}
#endif

#endif
