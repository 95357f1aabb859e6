/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ORDER_H
#define CERTAUTO_ORDER_H

#include <certauto/account.h>
#include <certauto/chain.h>
#include <certauto/job.h>
#include <certauto/target.h>

/** @file
 *  An order for a certificate (RFC 8555 7.4). */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_order certauto_order;

/** States, as int. */
enum {
	CERTAUTO_ORDER_NEW = 0,        /**< not sent yet */
	CERTAUTO_ORDER_PENDING = 1,    /**< authorizations are open */
	CERTAUTO_ORDER_READY = 2,      /**< may be finalized */
	CERTAUTO_ORDER_PROCESSING = 3, /**< the CA is at work */
	CERTAUTO_ORDER_VALID = 4,      /**< issued */
	CERTAUTO_ORDER_INVALID = 5     /**< failed */
};

/** What became of a name, as int. */
enum {
	CERTAUTO_NAME_OPEN = 0,        /**< not decided yet */
	CERTAUTO_NAME_VALID = 1,       /**< validated, in this order or before */
	CERTAUTO_NAME_INVALID = 2      /**< certauto_order_name_error() says why */
};

/** New order for the names in csr; *out belongs to the caller (certauto_order_free()).
 *  No network. account and csr are shared (+1).
 *  @return 0, CERTAUTO_EINVAL (csr without names).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_new(certauto_order **out,
	certauto_account *account, certauto_csr *csr);

/** Which target answers a challenge type for all names: "http-01", "dns-01", "dns-account-01",
 *  "dns-persist-01", "tls-alpn-01"; shared (+1). Several may be given: the first that serves the
 *  name and that the CA offers for it is taken. target may be NULL for dns-persist-01, whose record
 *  somebody has put into the DNS for good.
 *  @return 0, CERTAUTO_EUNSUPPORTED (the target cannot), CERTAUTO_EINVAL (its options).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_use(certauto_order *order,
	const char *challenge, certauto_target *target);

/** The same for names that match pattern ("*.example.org"); the first pattern that matches serves.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_use_for(certauto_order *order,
	const char *pattern, const char *challenge, certauto_target *target);

/** Profile of the certificate (draft-ietf-acme-profiles); copied. required 1: a CA that does not
 *  offer it is an error (CERTAUTO_EREFUSED, with those it offers); 0: it then goes without, told by
 *  a warning. NULL = none.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_set_profile(certauto_order *order,
	const char *profile, int required);

/** Which of the CA's chains to take, where it has several (RFC 8555 7.4.2); copied: common name of
 *  the issuer of the topmost certificate; "sha256:HEX" of any certificate in it; "keyid:HEX", a
 *  key identifier in it; "shortest". None fits: the CA's first one, told by a warning. NULL = the
 *  first one.  @return 0, CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_set_preferred_chain(certauto_order *order,
	const char *chain);

/** The certificate this order is to replace (RFC 9773 5): told to a CA that offers renewal
 *  information, which then does not count it against its limits. A CA that refuses it is asked
 *  again without. NULL = none.  @return 0, CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_set_replaces(certauto_order *order,
	const certauto_chain *chain);

/** Wanted validity, seconds since 1970 UTC, 0 = as the CA does it. Few CAs take it, Let's Encrypt
 *  refuses it.  @return 0, CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_set_validity(certauto_order *order,
	int64_t not_before_at, int64_t not_after_at);

/** Issues. Blocks.
 *  @return 0; CERTAUTO_ECHALLENGE (a subproblem for each name), CERTAUTO_ECERT, or one of the
 *  network codes ENET ETLS EPROTO ETIMEDOUT ECANCELED ERETRY_LATER EAUTH EPERM EREFUSED.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_run(certauto_order *order, int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()). An order runs once.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_start(certauto_job **out, certauto_order *order,
	int deadline_ms);

/** CERTAUTO_ORDER_*, as last seen.  @since 0.1 */
CERTAUTO_API int certauto_order_status(const certauto_order *order);

/** Order URL; NULL before it is known; borrowed.  @since 0.1 */
CERTAUTO_API const char *certauto_order_url(const certauto_order *order);

/** Its names, CERTAUTO_NAME_* of each, and why one failed (NULL if it did not; borrowed until the
 *  order is freed). NULL past the end.  @since 0.1 */
CERTAUTO_API size_t certauto_order_n_names(const certauto_order *order);
CERTAUTO_API const char *certauto_order_name(const certauto_order *order, size_t i);
CERTAUTO_API int certauto_order_name_status(const certauto_order *order, size_t i);
CERTAUTO_API const certauto_error *certauto_order_name_error(const certauto_order *order, size_t i);

/** The issued chain; *out belongs to the caller (certauto_chain_free()).
 *  @return 0, CERTAUTO_ENOTFOUND (not issued).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_dup_chain(certauto_chain **out,
	const certauto_order *order);

/** The context; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_order_context(const certauto_order *order);

/** Drops the caller's reference; a running order goes on. NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_order_free(certauto_order *order);

#ifdef __cplusplus
}
#endif

#endif
