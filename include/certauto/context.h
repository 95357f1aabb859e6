/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CONTEXT_H
#define CERTAUTO_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <certauto/error.h>

/** @file
 *  A context is one loop: it holds connections, jobs and settings, and is used by one thread at a
 *  time. Contexts share nothing. Handles made from it may be freed in any order, on any thread.
 *
 *  Every call marked CERTAUTO_MUST_CHECK may also return CERTAUTO_EINVAL (a NULL handle, handles of
 *  two contexts), CERTAUTO_ENOMEM, CERTAUTO_EBUSY (another thread is inside the context),
 *  CERTAUTO_EFORKED and CERTAUTO_ECANCELED (the context was freed). A call may block if and only if
 *  its last parameter is `int timeout_ms`. */

#ifdef __cplusplus
extern "C" {
#endif

typedef struct certauto_context certauto_context;
typedef struct certauto_job certauto_job;
typedef struct certauto_event certauto_event;
typedef struct certauto_store certauto_store;

/** Kinds of events. Unknown kinds must be ignored. */
enum {
	CERTAUTO_EVENT_STEP = 1,    /**< a job has begun a step */
	CERTAUTO_EVENT_WAIT = 2,    /**< a job waits, until event_until_at() at most */
	CERTAUTO_EVENT_WARNING = 3, /**< something a person should know */
	CERTAUTO_EVENT_LOG = 4,     /**< for a log */
	CERTAUTO_EVENT_DONE = 5     /**< a job has ended: read its result */
};

/** Log levels: events of type LOG are sent up to the level set. */
enum {
	CERTAUTO_LOG_ERROR = 1,
	CERTAUTO_LOG_WARNING = 2,
	CERTAUTO_LOG_INFO = 3,      /**< the default */
	CERTAUTO_LOG_DEBUG = 4
};

/** Called on the thread that runs the context. Properties and cancel may be called inside; calls
 *  that run the context answer CERTAUTO_EBUSY. event is borrowed for the call.
 *  @return 0 to go on, negative to cancel that job (what it has to take back is still taken
 *  back). */
typedef int (*certauto_event_cb)(const certauto_event *event, void *payload);

/** New context; *out belongs to the caller (certauto_context_free()). No network, no thread, no
 *  environment read. Any thread.
 *  @return 0, CERTAUTO_EIO (no descriptor left), CERTAUTO_ENOMEM.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_context_new(certauto_context **out);

/** Ends the context: running jobs end with CERTAUTO_ECANCELED without further network (their
 *  journal keeps what is to be taken back), callbacks are released. Handles left over may still be
 *  read and freed. Never blocks; inside a callback it takes effect when the outermost call returns.
 *  NULL is fine. Any thread that is not inside a call on it.
 *  @since 0.1 */
CERTAUTO_API void certauto_context_free(certauto_context *cx);

/** Text sent as User-Agent in front of our own; copied; NULL = none. No network.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_context_set_user_agent(certauto_context *cx,
	const char *text);

/** Highest level of LOG events that are sent, CERTAUTO_LOG_*.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_context_set_log_level(certauto_context *cx,
	int level);

/** Store that keeps the journals of all jobs of the context; shared (+1); NULL = none. With one, an
 *  order for names that a killed process has ordered before is taken up where that has stopped,
 *  whatever its request, and what it has left on targets is taken back.
 *  @return 0, CERTAUTO_EINVAL (of another context), CERTAUTO_EBUSY (jobs of the context run).
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_context_use_store(certauto_context *cx,
	certauto_store *store);

/** Who is told events; replaces the former callback, whose payload is released. payload is taken,
 *  also on failure. NULL cb = nobody.  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_context_set_event_cb(certauto_context *cx,
	certauto_event_cb cb, void *payload, certauto_free_cb free_cb);

/** Works at most timeout_ms milliseconds: 0 = what is ready, -1 = until no job is left. Returns
 *  early when a signal interrupts the wait. Blocks. When the last job has ended, sessions with
 *  devices are still closed, which takes 5 seconds at most and counts as unfinished.
 *  @return number of unfinished jobs, or CERTAUTO_EBUSY when called inside a callback.
 *  @since 0.1 */
CERTAUTO_API CERTAUTO_MUST_CHECK int certauto_context_run(certauto_context *cx, int timeout_ms);

/** One descriptor for the life of the context, readable (level-triggered) when
 *  certauto_context_run(cx, 0) has work, timers included. Borrowed: never close it.  @since 0.1 */
CERTAUTO_API int certauto_context_fd(const certauto_context *cx);

/** Milliseconds to the next timer, -1 = none; for loops that cannot watch a descriptor.
 *  @since 0.1 */
CERTAUTO_API int certauto_context_wait_ms(const certauto_context *cx);

/** Id of a job that has ended since, each once; 0 = none.  @since 0.1 */
CERTAUTO_API int64_t certauto_context_next_done(certauto_context *cx);

/** Cancels all jobs: each takes back what it has changed. A second call leaves at once, journals
 *  kept. Any thread, also in a signal handler.  @since 0.1 */
CERTAUTO_API void certauto_context_cancel(certauto_context *any_cx);

/** 1 while a thread is inside the context. Any thread.  @since 0.1 */
CERTAUTO_API int certauto_context_busy(const certauto_context *any_cx);

/** Why the last checked call on cx failed; borrowed until the next such call; NULL if it did not
 *  fail. Reading properties leaves it alone.  @since 0.1 */
CERTAUTO_API const certauto_error *certauto_context_error(const certauto_context *cx);

/** Properties of an event; borrowed with it; NULL or 0 when unknown.
 *  event_done and event_n_steps: how many parts of the job are through, of how many (a fraction for
 *  a progress bar). event_until_at: seconds since 1970 UTC.  @since 0.1 */
CERTAUTO_API int certauto_event_type(const certauto_event *event);
CERTAUTO_API int certauto_event_level(const certauto_event *event);
CERTAUTO_API certauto_job *certauto_event_job(const certauto_event *event);
CERTAUTO_API const char *certauto_event_object(const certauto_event *event);
CERTAUTO_API const char *certauto_event_step(const certauto_event *event);
CERTAUTO_API const char *certauto_event_text(const certauto_event *event);
CERTAUTO_API int certauto_event_n_done(const certauto_event *event);
CERTAUTO_API int certauto_event_n_steps(const certauto_event *event);
CERTAUTO_API int64_t certauto_event_until_at(const certauto_event *event);

#ifdef __cplusplus
}
#endif

#endif
