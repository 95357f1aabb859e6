/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JOB_H
#define CERTAUTO_JOB_H

#include <certauto/context.h>

/** @file
 *  A job is one slow thing that was started: an order, a deployment, a renewal of a fleet. */

#ifdef __cplusplus
extern "C" {
#endif

/** Unique in its context, never 0.  @since 0.1 */
CERTAUTO_API int64_t certauto_job_id(const certauto_job *job);

/** Name of what the job works on, for people and logs; borrowed.  @since 0.1 */
CERTAUTO_API const char *certauto_job_name(const certauto_job *job);

/** The context it runs on; borrowed.  @since 0.1 */
CERTAUTO_API certauto_context *certauto_job_context(const certauto_job *job);

/** CERTAUTO_AGAIN while it runs, then 0 or the error code.  @since 0.1 */
CERTAUTO_API int certauto_job_result(const certauto_job *job);

/** Why the job failed; NULL while it runs or when it went well; borrowed until the job is freed.
 *  @since 0.1 */
CERTAUTO_API const certauto_error *certauto_job_error(const certauto_job *job);

/** Drives the context until this job has ended; publishes the job's error on the context. Blocks.
 *  @return its result; CERTAUTO_ETIMEDOUT = it still runs; CERTAUTO_EBUSY inside a callback.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_job_wait(certauto_job *job, int timeout_ms);

/** Cancels this job; what it has changed is taken back; a second call leaves at once, journal kept.
 *  Any thread, also in a signal handler.  @since 0.1 */
CERTAUTO_API void certauto_job_cancel(certauto_job *any_job);

/** Drops the caller's reference; a running job goes on. NULL is fine. Any thread.  @since 0.1 */
CERTAUTO_API void certauto_job_free(certauto_job *job);

#ifdef __cplusplus
}
#endif

#endif
