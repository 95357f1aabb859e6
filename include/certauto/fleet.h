/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_FLEET_H
#define CERTAUTO_FLEET_H

#include <certauto/account.h>
#include <certauto/job.h>
#include <certauto/store.h>
#include <certauto/target.h>

/** @file
 *  A configuration: accounts, targets, certificates; and what is done with all of them. The file's
 *  format is described in certauto.json(5). */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_fleet certauto_fleet;

/** Flags. */
enum {
	CERTAUTO_FLEET_FORCE = 1,  /**< renew also what is not due */
	CERTAUTO_FLEET_BY_KEY = 2  /**< revoke: signed by the certificate's key, not the account */
};

/** Reads a configuration (JSON, comments allowed, unknown keys refused) and everything it names:
 *  secrets from files, environment and descriptors. *out belongs to the caller
 *  (certauto_fleet_free()). No network.
 *  @return 0, CERTAUTO_ECONFIG (with line and reason), CERTAUTO_EIO, CERTAUTO_ENOTFOUND.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_parse(certauto_fleet **out,
	certauto_context *cx, const unsigned char *data, size_t data_len);

/** The same from a file: errors name it.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_load(certauto_fleet **out, certauto_context *cx,
	const char *path);

/** Objects made from the configuration; the caller owns them. An account comes with the URL its
 *  store knows (certauto_account_url()), which is read for that. No network.
 *  @return 0, CERTAUTO_ENOTFOUND (lists the names), CERTAUTO_EIO (an account's store).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_dup_account(certauto_account **out,
	certauto_fleet *fleet, const char *name);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_dup_target(certauto_target **out,
	certauto_fleet *fleet, const char *name);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_dup_store(certauto_store **out,
	certauto_fleet *fleet);

/** Names of its certificates, accounts and targets; NULL past the end; borrowed.  @since 0.1 */
CERTAUTO_API size_t certauto_fleet_n_certificates(const certauto_fleet *fleet);
CERTAUTO_API const char *certauto_fleet_certificate(const certauto_fleet *fleet, size_t i);
CERTAUTO_API size_t certauto_fleet_n_accounts(const certauto_fleet *fleet);
CERTAUTO_API const char *certauto_fleet_account(const certauto_fleet *fleet, size_t i);
CERTAUTO_API size_t certauto_fleet_n_targets(const certauto_fleet *fleet);
CERTAUTO_API const char *certauto_fleet_target(const certauto_fleet *fleet, size_t i);

/** Renew, from now on, also what would come due before at (seconds since 1970 UTC; 0 = only what
 *  is due): before a maintenance window, or a freeze. Plans are told the same.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_set_renew_before(certauto_fleet *fleet,
	int64_t at);

/** Revokes the current certificates of names, all their keys, at the CA; reason:
 *  CERTAUTO_REVOKE_*; flags: CERTAUTO_FLEET_BY_KEY. They count as due from then on, and a key that
 *  was compromised is not used again. What is served is left to the next renew. Blocks.
 *  @return 0 or the gravest code; certauto_fleet_dup_results() has each.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_revoke(certauto_fleet *fleet,
	const char *const *names, size_t n_names, int reason, int flags, int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_start_revoke(certauto_job **out,
	certauto_fleet *fleet, const char *const *names, size_t n_names, int reason, int flags,
	int deadline_ms);

/** Does what is due: issues, renews, deploys what is issued but not deployed, settles what an
 *  earlier run left. names NULL = all. flags: CERTAUTO_FLEET_FORCE renews what is named whatever
 *  its age. Blocks.
 *  @return 0 or the gravest code; certauto_fleet_dup_results() has each.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_renew(certauto_fleet *fleet,
	const char *const *names, size_t n_names, int flags, int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_start_renew(certauto_job **out,
	certauto_fleet *fleet, const char *const *names, size_t n_names, int flags,
	int deadline_ms);

/** Deploys the current generation of each lineage again, without asking the CA. Blocks.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_deploy(certauto_fleet *fleet,
	const char *const *names, size_t n_names, int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_start_deploy(certauto_job **out,
	certauto_fleet *fleet, const char *const *names, size_t n_names, int deadline_ms);

/** Logs in everywhere and changes nothing: accounts, targets, the store. Blocks.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_test(certauto_fleet *fleet, int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_start_test(certauto_job **out,
	certauto_fleet *fleet, int deadline_ms);

/** Settles what crashed runs left: challenge answers, half-made changes; removes stale temporaries.
 *  Blocks.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_gc(certauto_fleet *fleet, int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_start_gc(certauto_job **out,
	certauto_fleet *fleet, int deadline_ms);

/** What the last renew, deploy, test or gc did, as JSON: [{"name","key","outcome","error"}],
 *  outcome done, unchanged, failed or later; *out belongs to the caller (certauto_mem_free()).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_dup_results(char **out, certauto_fleet *fleet);

/** State of the certificates names, NULL = all, as JSON (certauto-status(7)); *out belongs to the
 *  caller. Reads the store.
 *  @return 0, CERTAUTO_ENOTFOUND (no such certificate), CERTAUTO_EIO.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_dup_status(char **out, certauto_fleet *fleet,
	const char *const *names, size_t n_names);

/** What certauto_fleet_renew() with the same names and flags would do now, as JSON:
 *  [{"name","key","action","why"}], action "issue", "renew", "deploy", "settle" or "nothing"; *out
 *  belongs to the caller. Reads the store; no network.
 *  @return 0, CERTAUTO_ENOTFOUND (no such certificate), CERTAUTO_EIO.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_fleet_dup_plan(char **out, certauto_fleet *fleet,
	const char *const *names, size_t n_names, int flags);

/** The context; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_fleet_context(const certauto_fleet *fleet);

/** Drops the caller's reference. NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_fleet_free(certauto_fleet *fleet);

#ifdef __cplusplus
}
#endif

#endif
