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

/** New order for the names in csr; *out belongs to the caller (certauto_order_free()).
 *  No network. account and csr are shared (+1).
 *  @return 0, CERTAUTO_EINVAL (csr without names).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_new(certauto_order **out,
	certauto_account *account, certauto_csr *csr);

/** Which target answers a challenge type ("http-01") for all names; shared (+1).
 *  @return 0, CERTAUTO_EUNSUPPORTED (the target cannot), CERTAUTO_EINVAL (its options).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_use(certauto_order *order,
	const char *challenge, certauto_target *target);

/** The same for names that match pattern ("*.example.org"); the first pattern that matches serves.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_order_use_for(certauto_order *order,
	const char *pattern, const char *challenge, certauto_target *target);

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
