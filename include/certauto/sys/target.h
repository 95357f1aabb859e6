/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SYS_TARGET_H
#define CERTAUTO_SYS_TARGET_H

#include <certauto/target.h>

/** @file
 *  For people who write a target in their own program. A target is a table of resumable calls; the
 *  library calls them in the order of the deploy transaction, proves by handshake after swap, and
 *  calls undo when something fails. */

#ifdef __cplusplus
extern "C" {
#endif

/** Version of struct certauto_target_ops as this header declares it. Fill `version` with this
 *  macro, never with a literal. */
#define CERTAUTO_TARGET_OPS_VERSION 1

/** One call of one operation; borrowed for the call. */
typedef struct certauto_work certauto_work;

/** Does one operation or a part of it. Must not block. Called on the thread that runs the context.
 *  @return 0 done; CERTAUTO_AGAIN after certauto_work_set_wait_ms() or certauto_work_set_wait_fd()
 *  (it is called again then) or after certauto_work_note() (called again when the note is durable);
 *  or negative, best by certauto_work_fail(). */
typedef int (*certauto_op_cb)(certauto_work *work, void *payload);

/** The table. Grows only at the end. A NULL operation is one that needs nothing to be done. */
typedef struct certauto_target_ops {
	unsigned version;          /**< CERTAUTO_TARGET_OPS_VERSION */
	unsigned caps;             /**< CERTAUTO_TARGET_* */
	const char *name;          /**< type name, [a-z0-9_-] */
	const char *options_json;  /**< [{"name","type","required","sensitive","default","help"}];
	                                type text path number boolean list argv; NULL = none */
	certauto_op_cb present;    /**< show the challenge's answer; others' answers are kept */
	certauto_op_cb cleanup;    /**< take it away; always called, also after a failed present;
	                                absence is success */
	certauto_op_cb observe;    /**< read what is bound now, note it; changes nothing */
	certauto_op_cb stage;      /**< upload as a new object, its name noted before */
	certauto_op_cb swap;       /**< the smallest call that moves the reference */
	certauto_op_cb save;       /**< make it permanent */
	certauto_op_cb tidy;       /**< remove what is ours and unbound; its failure only warns */
	certauto_op_cb undo;       /**< take back what was noted; after any failure in or after
	                                stage; safe twice */
	certauto_op_cb csr;        /**< key made on the device: answer with
	                                certauto_work_set_csr() */
} certauto_target_ops;

/** New target run by ops; payload is taken, also on failure, and released with the target. ops must
 *  live as long as the target. *out belongs to the caller.
 *  @return 0, CERTAUTO_EUNSUPPORTED (ops newer than the library: both versions are told),
 *  CERTAUTO_EINVAL.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_target_new_ops(certauto_target **out,
	certauto_context *cx, const certauto_target_ops *ops, void *payload,
	certauto_free_cb free_cb);

/** Makes the type known to cx, for certauto_target_new() and configurations; ops must live as long
 *  as cx; payload is taken and released with cx.
 *  @return 0, CERTAUTO_EUNSUPPORTED, CERTAUTO_EINVAL (the name is taken).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_context_add_target(certauto_context *cx,
	const certauto_target_ops *ops, void *payload, certauto_free_cb free_cb);

/** What is to be done; strings borrowed for the call, NULL where they do not apply. work_op:
 *  "present", "cleanup", ... work_name: the name challenged, or the certificate's name. work_value:
 *  what is to be shown: for http-01 the key authorization (not there in cleanup), for the DNS
 *  challenges the text of the TXT record, whose owner is work_record (without the last dot): it may
 *  have other values, which are kept. work_option: value of an option.  @since 0.1 */
CERTAUTO_API const char *certauto_work_op(const certauto_work *work);
CERTAUTO_API const char *certauto_work_name(const certauto_work *work);
CERTAUTO_API const char *certauto_work_challenge(const certauto_work *work);
CERTAUTO_API const char *certauto_work_token(const certauto_work *work);
CERTAUTO_API const char *certauto_work_value(const certauto_work *work);
CERTAUTO_API const char *certauto_work_record(const certauto_work *work);
CERTAUTO_API const char *certauto_work_option(const certauto_work *work, const char *name);

/** The certificate to deploy and its key; in the present of tls-alpn-01 the certificate that
 *  answers the challenge and its key (RFC 8737), one matching pair for the whole operation, to be
 *  served to a client that offers the protocol "acme-tls/1" and names work_record (the name, or
 *  the ip6.arpa form of an address). The caller owns them.
 *  @return 0, CERTAUTO_ENOTFOUND (none in this operation; the key is kept elsewhere).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_work_dup_chain(certauto_chain **out,
	const certauto_work *work);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_work_dup_key(certauto_key **out,
	const certauto_work *work);

/** Remembers a named value for later operations, undo and a next process; durable when the
 *  operation is called again: return CERTAUTO_AGAIN after it. Never a secret. Copied.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_work_note(certauto_work *work, const char *name,
	const char *value);

/** A value noted before; NULL if there is none; borrowed for the call.  @since 0.1 */
CERTAUTO_API const char *certauto_work_noted(const certauto_work *work, const char *name);

/** Call again after wait_ms; or when fd is readable (1), writable (2) or either (3).  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_work_set_wait_ms(certauto_work *work, int wait_ms);
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_work_set_wait_fd(certauto_work *work, int fd,
	int events);

/** The signing request the device made, PEM or DER. Copied.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_work_set_csr(certauto_work *work,
	const unsigned char *data, size_t data_len);

/** Says why the operation failed: `return certauto_work_fail(work, CERTAUTO_EREFUSED, "...")`.
 *  Copied.
 *  @return code.  @since 0.1 */
CERTAUTO_API int certauto_work_fail(certauto_work *work, int code, const char *message);

#ifdef __cplusplus
}
#endif

#endif
