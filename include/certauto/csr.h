/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CSR_H
#define CERTAUTO_CSR_H

#include <certauto/key.h>

/** @file
 *  Certificate signing requests (PKCS#10). */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_csr certauto_csr;

/** New request for names (DNS names, "*." wildcards, IP addresses), all in subjectAltName, with an
 *  empty subject, signed by key. names copied; key shared (+1): an order deploys with it. *out
 *  belongs to the caller (certauto_csr_free()). No network.
 *  @return 0, CERTAUTO_EINVAL (names the bad name), the signer's code.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_csr_new(certauto_csr **out, certauto_context *cx,
	certauto_key *key, const char *const *names, size_t n_names);

/** The same with a subject: "CN=vip.example, O=Example, C=FR" (CN O OU L ST C; a comma inside a
 *  value as "\,"). NULL or "" = empty.  @return 0, CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_csr_new_subject(certauto_csr **out,
	certauto_context *cx, certauto_key *key, const char *subject, const char *const *names,
	size_t n_names);

/** Reads a request, PEM or DER, and verifies its signature; *out belongs to the caller.
 *  @return 0, CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_csr_parse(certauto_csr **out, certauto_context *cx,
	const unsigned char *data, size_t data_len);

/** PEM; *out belongs to the caller (certauto_mem_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_csr_format(unsigned char **out, size_t *out_len,
	const certauto_csr *csr);

/** Its names; NULL past the end; borrowed.  @since 0.1 */
CERTAUTO_API size_t certauto_csr_n_names(const certauto_csr *csr);
CERTAUTO_API const char *certauto_csr_name(const certauto_csr *csr, size_t i);

/** Common name of the subject; NULL if there is none; borrowed.  @since 0.1 */
CERTAUTO_API const char *certauto_csr_common_name(const certauto_csr *csr);

/** The context; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_csr_context(const certauto_csr *csr);

/** Drops the caller's reference. NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_csr_free(certauto_csr *csr);

#ifdef __cplusplus
}
#endif

#endif
