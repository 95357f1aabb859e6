/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACCOUNT_H
#define CERTAUTO_ACCOUNT_H

#include <certauto/chain.h>
#include <certauto/key.h>
#include <certauto/store.h>

/** @file
 *  An account at an ACME server (RFC 8555 7.3). */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_account certauto_account;

/** Reasons of a revocation (RFC 5280 5.3.1). CAs take some of them only. */
enum {
	CERTAUTO_REVOKE_UNSPECIFIED = 0,
	CERTAUTO_REVOKE_KEY_COMPROMISE = 1,        /**< never use that key again */
	CERTAUTO_REVOKE_AFFILIATION_CHANGED = 3,
	CERTAUTO_REVOKE_SUPERSEDED = 4,
	CERTAUTO_REVOKE_CESSATION_OF_OPERATION = 5
};

/** An account at server: its directory URL (https), or "letsencrypt", "letsencrypt-staging". *out
 *  belongs to the caller (certauto_account_free()). No network.  @return 0, CERTAUTO_EINVAL.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_new(certauto_account **out,
	certauto_context *cx, const char *server);

/** The account's key; shared (+1). Without one the store's is used, or one is made ("ecdsa-p256")
 *  and, with a store, kept before the CA is asked.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_set_key(certauto_account *account,
	certauto_key *key);

/** Type of the key that is made when there is none, and for certauto_account_rotate_key():
 *  "ecdsa-p256" (the default), "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096". Copied.
 *  @return 0, CERTAUTO_EINVAL (lists the types).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_set_key_type(certauto_account *account,
	const char *type);

/** Binds the account, when it is made, to a customer of the CA (RFC 8555 7.3.4). kid: its id; data:
 *  the MAC key as the CA gives it, base64url (padding is tolerated). Copied; the key is wiped when
 *  the account is freed.  @return 0, CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_set_eab(certauto_account *account,
	const char *kid, const unsigned char *data, size_t data_len);

/** MAC of that binding: "HS256" (the default), "HS384", "HS512".  @return 0, CERTAUTO_EINVAL.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_set_eab_alg(certauto_account *account,
	const char *alg);

/** Another host the CA's URLs may name besides that of its directory; "ca.example" or
 *  "ca.example:8443". Copied.  @return 0, CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_allow_host(certauto_account *account,
	const char *host);

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

/** Reads the account at the CA: certauto_account_status(), contacts, URL of its orders. Blocks.
 *  @return 0; CERTAUTO_EAUTH (no account has that key), CERTAUTO_EIO (store), or one of the network
 *  codes.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_fetch(certauto_account *account,
	int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_start_fetch(certauto_job **out,
	certauto_account *account, int deadline_ms);

/** Replaces the contacts at the CA by those that were added (none: they are cleared) and, where
 *  set, agrees to the terms of service as they are now (RFC 8555 7.3.2). Blocks.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_update(certauto_account *account,
	int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_start_update(certauto_job **out,
	certauto_account *account, int deadline_ms);

/** Replaces the account's key (RFC 8555 7.3.5) by key, shared (+1); NULL: one is made. With a store
 *  the next key is kept before the CA hears of it, so that a lost answer loses nothing: the next
 *  job asks the CA which of the two counts. Without one, a key that is given is needed. Blocks.
 *  @return 0; CERTAUTO_EREFUSED (the key has an account of its own), or as
 *  certauto_account_fetch().  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_rotate_key(certauto_account *account,
	certauto_key *key, int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_start_rotate_key(certauto_job **out,
	certauto_account *account, certauto_key *key, int deadline_ms);

/** Deactivates the account for good (RFC 8555 7.3.6); its certificates stay valid. Blocks.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_deactivate(certauto_account *account,
	int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_start_deactivate(certauto_job **out,
	certauto_account *account, int deadline_ms);

/** Reads the list of the account's orders, all pages (RFC 8555 7.1.2.1). Blocks.
 *  @return 0; CERTAUTO_EUNSUPPORTED (the CA keeps no such list), or as certauto_account_fetch().
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_fetch_orders(certauto_account *account,
	int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_start_fetch_orders(certauto_job **out,
	certauto_account *account, int deadline_ms);

/** Revokes the leaf of chain (RFC 8555 7.6), signed by the account, or by key, the certificate's
 *  own (then no account is needed); reason: CERTAUTO_REVOKE_*. One that is revoked already is
 *  fine. chain and key are shared (+1) while it runs. Blocks.
 *  @return 0; CERTAUTO_EREFUSED (badRevocationReason lists what the CA takes),
 *  CERTAUTO_EUNSUPPORTED, or one of the network codes.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_revoke(certauto_account *account,
	certauto_chain *chain, certauto_key *key, int reason, int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_start_revoke(certauto_job **out,
	certauto_account *account, certauto_chain *chain, certauto_key *key, int reason,
	int deadline_ms);

/** Asks the CA when chain should be renewed (RFC 9773): the window is read afterwards by
 *  certauto_account_renewal_start_at() and so on. Blocks.
 *  @return 0; CERTAUTO_EUNSUPPORTED (the CA does not say, or the certificate has no authority key
 *  identifier), or one of the network codes.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_fetch_renewal(certauto_account *account,
	certauto_chain *chain, int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_account_start_fetch_renewal(certauto_job **out,
	certauto_account *account, certauto_chain *chain, int deadline_ms);

/** Of the last certauto_account_fetch_renewal(): first and last second of the window; when to ask
 *  again; 0 = not known. explanation_url: why the CA suggests it; NULL; borrowed.  @since 0.1 */
CERTAUTO_API int64_t certauto_account_renewal_start_at(const certauto_account *account);
CERTAUTO_API int64_t certauto_account_renewal_end_at(const certauto_account *account);
CERTAUTO_API int64_t certauto_account_renewal_check_at(const certauto_account *account);
CERTAUTO_API const char *certauto_account_renewal_explanation_url(const certauto_account *account);

/** "valid", "deactivated", "revoked", as the CA has told last; NULL before; borrowed.
 *  @since 0.1 */
CERTAUTO_API const char *certauto_account_status(const certauto_account *account);

/** Contacts as the CA has told last; some CAs keep none. NULL past the end; borrowed.
 *  @since 0.1 */
CERTAUTO_API size_t certauto_account_n_contacts(const certauto_account *account);
CERTAUTO_API const char *certauto_account_contact(const certauto_account *account, size_t i);

/** URLs of the orders read by certauto_account_fetch_orders(). NULL past the end; borrowed.
 *  @since 0.1 */
CERTAUTO_API size_t certauto_account_n_orders(const certauto_account *account);
CERTAUTO_API const char *certauto_account_order(const certauto_account *account, size_t i);

/** Profiles the CA offers; empty until the directory was read. NULL past the end; borrowed.
 *  @since 0.1 */
CERTAUTO_API size_t certauto_account_n_profiles(const certauto_account *account);
CERTAUTO_API const char *certauto_account_profile(const certauto_account *account, size_t i);

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
