/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ERROR_H
#define CERTAUTO_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include <certauto/version.h>

/** @file
 *  Error codes and the detail behind them. A fallible call returns 0 or one of the negative codes;
 *  each code is a decision the caller can take. The detail is read from certauto_context_error()
 *  or certauto_job_error(). */

#ifdef __cplusplus
extern "C" {
#endif

/** X(NAME, value, class name in the bindings, one line of English). Append only. */
#define CERTAUTO_ERROR_MAP(X)                                                                      \
	X(EINVAL, -1, Invalid, "invalid argument")                                                 \
	X(ENOMEM, -2, NoMemory, "out of memory")                                                   \
	X(ECONFIG, -3, Config, "the configuration is wrong")                                       \
	X(EIO, -4, Io, "cannot read or write")                                                     \
	X(ENOTFOUND, -5, NotFound, "not found")                                                    \
	X(EBUSY, -6, Busy, "in use or locked by someone else")                                     \
	X(ECANCELED, -7, Canceled, "cancelled")                                                    \
	X(ETIMEDOUT, -8, TimedOut, "the deadline has passed")                                      \
	X(ENET, -9, Network, "the network failed")                                                 \
	X(ETLS, -10, Tls, "the TLS connection could not be trusted")                               \
	X(EPROTO, -11, Protocol, "the peer broke the protocol")                                    \
	X(EAUTH, -12, Auth, "the credentials were refused")                                        \
	X(EPERM, -13, Permission, "a right is missing")                                            \
	X(EREFUSED, -14, Refused, "the peer refused")                                              \
	X(ECHALLENGE, -15, Challenge, "a challenge failed")                                        \
	X(ERETRY_LATER, -16, RetryLater, "try again later")                                        \
	X(ECERT, -17, Certificate, "the certificate is not acceptable")                            \
	X(ENOTSERVED, -18, NotServed, "the certificate is not served")                             \
	X(EROLLBACK, -19, Rollback, "a change could not be taken back")                            \
	X(EUNSUPPORTED, -20, Unsupported, "not supported")                                         \
	X(EFORKED, -21, Forked, "used in a forked child process")

enum {
#define CERTAUTO_ERROR_ENUM(name, value, class_name, text) CERTAUTO_##name = value,
	CERTAUTO_ERROR_MAP(CERTAUTO_ERROR_ENUM)
#undef CERTAUTO_ERROR_ENUM
	CERTAUTO_OK = 0,
	CERTAUTO_AGAIN = 1 /**< not an error: still running, call again */
};

/** Why a call failed. Borrowed: from a context until its next checked call, from a job until it
 *  is freed. */
typedef struct certauto_error certauto_error;

/** "CERTAUTO_ENET" for CERTAUTO_ENET; "CERTAUTO_UNKNOWN" for a code this library does not know.
 *  Static text. Any thread.  @since 0.1 */
CERTAUTO_API const char *certauto_error_name(int code);

/** One line of English for a code. Static text. Any thread.  @since 0.1 */
CERTAUTO_API const char *certauto_error_text(int code);

/** The code; 0 for NULL. All properties of an error are borrowed with it and never fail.
 *  @since 0.1 */
CERTAUTO_API int certauto_error_code(const certauto_error *error);

/** What was being done, to which object, and what the peer said: one line, without control
 *  characters. Never a secret; never NULL for a non-NULL error.  @since 0.1 */
CERTAUTO_API const char *certauto_error_message(const certauto_error *error);

/** The URL, name, file or target concerned; NULL when unknown.  @since 0.1 */
CERTAUTO_API const char *certauto_error_object(const certauto_error *error);

/** The ACME problem type (RFC 8555 6.7), a URN; NULL when there is none.  @since 0.1 */
CERTAUTO_API const char *certauto_error_problem(const certauto_error *error);

/** What a person can do about it; NULL when nothing better than the message is known.
 *  @since 0.1 */
CERTAUTO_API const char *certauto_error_advice(const certauto_error *error);

/** HTTP status of the peer's answer; 0 when there was none.  @since 0.1 */
CERTAUTO_API int certauto_error_status(const certauto_error *error);

/** Not before this time (seconds since 1970 UTC) may it be tried again; 0 unknown.  @since 0.1 */
CERTAUTO_API int64_t certauto_error_retry_at(const certauto_error *error);

/** Number of subproblems: one for each name that failed (RFC 8555 6.7.1).  @since 0.1 */
CERTAUTO_API size_t certauto_error_n_subproblems(const certauto_error *error);

/** Name, problem type and detail of subproblem i; NULL past the end or when unknown.  @since 0.1 */
CERTAUTO_API const char *certauto_error_subproblem_name(const certauto_error *error, size_t i);
CERTAUTO_API const char *certauto_error_subproblem_problem(const certauto_error *error, size_t i);
CERTAUTO_API const char *certauto_error_subproblem_detail(const certauto_error *error, size_t i);

/** Frees and wipes a buffer this library gave; NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_mem_free(void *ptr);

/** Called once with the payload of a callback when the library is done with it. */
typedef void (*certauto_free_cb)(void *payload);

#ifdef __cplusplus
}
#endif

#endif
