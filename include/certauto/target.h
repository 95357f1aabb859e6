/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGET_H
#define CERTAUTO_TARGET_H

#include <certauto/chain.h>

/** @file
 *  One kind of thing to act on: a balancer, a DNS service, a directory. What it can do is told by
 *  capability bits, what it needs by options, which are strings. */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_target certauto_target;

/** Capabilities. */
enum {
	CERTAUTO_TARGET_HTTP01 = 1,    /**< answers http-01 challenges */
	CERTAUTO_TARGET_DNS01 = 2,     /**< answers dns-01 challenges */
	CERTAUTO_TARGET_TLSALPN01 = 4, /**< answers tls-alpn-01 challenges */
	CERTAUTO_TARGET_DEPLOY = 8,    /**< takes certificates */
	CERTAUTO_TARGET_CSR = 16       /**< makes the key itself and gives a CSR */
};

/** Flags of an option. */
enum {
	CERTAUTO_OPTION_REQUIRED = 1,
	CERTAUTO_OPTION_SENSITIVE = 2, /**< never shown; on the command line only by file, env or
	                                    fd */
	CERTAUTO_OPTION_LIST = 4,      /**< several values, separated by commas */
	CERTAUTO_OPTION_ARGV = 8       /**< a program with arguments: JSON array of strings */
};

/** New target of a type ("haproxy", "files"), unconfigured; *out belongs to the caller
 *  (certauto_target_free()). No network.  @return 0, CERTAUTO_ENOTFOUND (lists the types).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_new(certauto_target **out,
	certauto_context *cx, const char *type);

/** Types that are built in or were added to cx: how many, and the name of the i-th; NULL past the
 *  end; borrowed.  @since 0.1 */
CERTAUTO_API size_t certauto_target_n_types(const certauto_context *cx);
CERTAUTO_API const char *certauto_target_type_name(const certauto_context *cx, size_t i);

/** Sets an option; booleans yes no true false 1 0, lists comma-separated, argv a JSON array. An
 *  empty text or list is as good as none: a default counts, but of the file names of a target of
 *  type files, which are not written then. Copied; sensitive values are kept apart and wiped.
 *  @return 0, CERTAUTO_EINVAL (names the option and what it takes).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_set(certauto_target *target, const char *name,
	const char *value);

/** Lowers safety: the target's TLS certificate is not verified. Warned about at each run, unless
 *  there is a pin; a key is then only uploaded if allow_key_over_insecure is set too.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_insecure_noverify(certauto_target *target);

/** All required options are there and fit together; no network.  @return 0, CERTAUTO_EINVAL.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_check(certauto_target *target);

/** Puts chain and key on the target under a name, proves by TLS handshake that they are served,
 *  takes everything back if not. key NULL when the device or somebody else holds it. chain and key
 *  shared (+1) while it runs. Blocks.
 *  @return 0; CERTAUTO_ENOTSERVED, CERTAUTO_EROLLBACK, CERTAUTO_EUNSUPPORTED (no DEPLOY, or the key
 *  cannot be had), CERTAUTO_EBUSY (with a store: the same name is being deployed to it, by whatever
 *  process), or a network code.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_deploy(certauto_target *target,
	const char *name, certauto_chain *chain, certauto_key *key, int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_start_deploy(certauto_job **out,
	certauto_target *target, const char *name, certauto_chain *chain, certauto_key *key,
	int deadline_ms);

/** Logs in, checks rights and versions, changes nothing. Blocks.
 *  @return 0; CERTAUTO_EAUTH, CERTAUTO_EPERM (what is missing), or a network code.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_test(certauto_target *target, int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_start_test(certauto_job **out,
	certauto_target *target, int deadline_ms);

/** Has the device renew now the certificate that it manages itself (avi: the object that the option
 *  certificate names, by its certificate management profile), and waits until that is done. Blocks.
 *  @return 0; CERTAUTO_EUNSUPPORTED (it does not do that), CERTAUTO_ENOTFOUND, CERTAUTO_EREFUSED
 *  (with what the device says), or a network code.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_renew(certauto_target *target, int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_start_renew(certauto_job **out,
	certauto_target *target, int deadline_ms);

/** Answers one challenge for name until certauto_target_cleanup() with the same arguments, also
 *  from another process. token: RFC 8555 8.1; value: the key authorization; for the DNS challenges
 *  also the text of the TXT record (which has no dot in it). Blocks.
 *  @return 0; CERTAUTO_EUNSUPPORTED, or a network code.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_present(certauto_target *target,
	const char *challenge, const char *name, const char *token, const char *value,
	int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_start_present(certauto_job **out,
	certauto_target *target, const char *challenge, const char *name, const char *token,
	const char *value, int deadline_ms);

/** Takes the answer away; its absence is success. Blocks.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_cleanup(certauto_target *target,
	const char *challenge, const char *name, const char *token, const char *value,
	int timeout_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_start_cleanup(certauto_job **out,
	certauto_target *target, const char *challenge, const char *name, const char *token,
	const char *value, int deadline_ms);

/** Lets the device make a key of a type (CERTAUTO_TARGET_CSR), which never leaves it, and gives the
 *  signing request for it, to be ordered with; name: the certificate it will be deployed as,
 *  without a key. *out belongs to the caller. Blocks.
 *  @return 0; CERTAUTO_EUNSUPPORTED (no CSR, or not that type), or a network code.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_make_csr(certauto_csr **out,
	certauto_target *target, const char *name, const char *key_type, const char *const *names,
	size_t n_names, int timeout_ms);

/** The same as a job; *out belongs to the caller (certauto_job_free()). When it has ended well
 *  certauto_target_dup_csr() gives the request.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_start_make_csr(certauto_job **out,
	certauto_target *target, const char *name, const char *key_type, const char *const *names,
	size_t n_names, int deadline_ms);

/** The request that was made last; *out belongs to the caller.
 *  @return 0, CERTAUTO_ENOTFOUND (none was made).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_dup_csr(certauto_csr **out,
	const certauto_target *target);

/** What the administrator of the device types for an account that can do what certauto does there
 *  and no more, as the options are set; placeholders where they are not. *out belongs to the caller
 *  (certauto_mem_free()). No network.
 *  @return 0, CERTAUTO_EUNSUPPORTED (nothing of the kind for this type).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_dup_recipe(char **out,
	const certauto_target *target);

/** Type, and what it can do as it is configured (before any option is set: what its type can).
 *  @since 0.1 */
CERTAUTO_API const char *certauto_target_type(const certauto_target *target);
CERTAUTO_API int certauto_target_caps(const certauto_target *target);

/** Its options: how many; name, help, default (NULL = none) and flags of the i-th. option_type is
 *  "text", "path", "number", "boolean", "list" or "argv". NULL or 0 past the end; borrowed.
 *  @since 0.1 */
CERTAUTO_API size_t certauto_target_n_options(const certauto_target *target);
CERTAUTO_API const char *certauto_target_option_name(const certauto_target *target, size_t i);
CERTAUTO_API const char *certauto_target_option_help(const certauto_target *target, size_t i);
CERTAUTO_API const char *certauto_target_option_default(const certauto_target *target, size_t i);
CERTAUTO_API const char *certauto_target_option_type(const certauto_target *target, size_t i);
CERTAUTO_API int certauto_target_option_flags(const certauto_target *target, size_t i);

/** The context; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_target_context(const certauto_target *target);

/** Drops the caller's reference. NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_target_free(certauto_target *target);

#ifdef __cplusplus
}
#endif

#endif
