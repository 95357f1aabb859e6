/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACCOUNT_H
#define CERTAUTO_ACCOUNT_H

#include <certauto/key.h>
#include <certauto/store.h>

/** @file
 *  An account at an ACME server (RFC 8555 7.3). */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_account certauto_account;

/** An account at server: its directory URL (https), or "letsencrypt", "letsencrypt-staging". *out
 *  belongs to the caller (certauto_account_free()). No network.  @return 0, CERTAUTO_EINVAL.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_new(certauto_account **out,
	certauto_context *cx, const char *server);

/** The account's key; shared (+1). Without one the store's is used, or one is made ("ecdsa-p256")
 *  and, with a store, kept before the CA is asked.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_set_key(certauto_account *account,
	certauto_key *key);

/** Adds a contact such as "mailto:ops@example.org". Copied.  @return 0, CERTAUTO_EINVAL.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_add_contact(certauto_account *account,
	const char *uri);

/** 1 = the operator agrees to the CA's terms of service; without it no account is made.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_set_agree_tos(certauto_account *account,
	int agree);

/** File with the CA certificates (PEM) that the server's TLS certificate is verified by, instead of
 *  the system's. Copied.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_set_ca_file(certauto_account *account,
	const char *path);

/** Where key and account URL are kept; shared (+1).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_use_store(certauto_account *account,
	certauto_store *store);

/** Name of the account in its store; "default" when not set. Copied. [A-Za-z0-9._-], 64 at most.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_set_name(certauto_account *account,
	const char *name);

/** Finds the account by its key, else creates it. Blocks.
 *  @return 0; CERTAUTO_EINVAL (terms to agree to, with their URL), CERTAUTO_EIO (store), or one of
 *  the network codes ENET ETLS EPROTO ETIMEDOUT ECANCELED ERETRY_LATER EAUTH EPERM EREFUSED.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_register(certauto_account *account,
	int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_start_register(certauto_job **out,
	certauto_account *account, int deadline_ms);

/** Account URL; NULL before it is known; borrowed.  @since 0.1 */
CERTAUTO_API const char *certauto_account_url(const certauto_account *account);

/** URL of the CA's terms of service; NULL until the directory was read or if there are none;
 *  borrowed.  @since 0.1 */
CERTAUTO_API const char *certauto_account_terms_url(const certauto_account *account);

/** Directory URL; borrowed.  @since 0.1 */
CERTAUTO_API const char *certauto_account_server(const certauto_account *account);

/** The context; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_account_context(const certauto_account *account);

/** Drops the caller's reference. NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_account_free(certauto_account *account);

#ifdef __cplusplus
}
#endif

#endif
