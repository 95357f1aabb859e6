/* SPDX-License-Identifier: Apache-2.0 */
/* The context: guards at the door of the public API, the error of the last call, events. The loop
 * that it drives is the business of jobs/. */
#include "core/context.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/text.h"

/* How long a call waits for a thread that only frees what is dead: this is short, but what the host
 * does in its free callbacks is not known, and might wait for the caller. */
#define TIDY_MS 200
#define TIDYING ((uintptr_t)1)

/* Threads are told apart by the address of this; nothing is kept in it. One word says who is
 * inside: with a flag and a pthread_t beside it, a thread could see itself inside by what it left
 * there the last time. */
static __thread long here;

static uintptr_t me(void)
{
	return (uintptr_t)&here;
}

static int context_take(certauto_context *cx, uintptr_t who)
{
	uintptr_t nobody = 0;

	return __atomic_compare_exchange_n(&cx->inside, &nobody, who, 0, __ATOMIC_SEQ_CST,
		__ATOMIC_SEQ_CST);
}

int certauto__is_inside(const certauto_context *cx)
{
	return (__atomic_load_n(&cx->inside, __ATOMIC_ACQUIRE) & ~TIDYING) == me();
}

/* 0: another thread is inside, in a call of its own. */
static int context_wait(certauto_context *cx)
{
	int64_t until = 0;
	uintptr_t who;

	while (!context_take(cx, me())) {
		who = __atomic_load_n(&cx->inside, __ATOMIC_ACQUIRE);
		if (who != 0 && (who & TIDYING) == 0)
			return 0;
		if (until == 0)
			until = certauto__clock_ms() + TIDY_MS;
		if (certauto__clock_ms() > until)
			return 0;
		sched_yield();
	}
	return 1;
}

/* Leaves the context to others. An object may die between the last look and the leaving: who
 * dropped it saw somebody inside and went away, so the look is repeated after it. */
static void context_let_go(certauto_context *cx)
{
	do {
		certauto__objects_reap(cx);
		cx->depth = 0;
		__atomic_store_n(&cx->inside, 0, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&cx->dead_objects, __ATOMIC_SEQ_CST) == NULL ||
		    !context_take(cx, me() | TIDYING))
			return;
		cx->depth = 1; /* what is called by those who are destroyed is a nested call */
	} while (1);
}

void certauto__context_tidy(certauto_context *cx)
{
	if (!context_take(cx, me() | TIDYING))
		return;
	cx->depth = 1;
	context_let_go(cx);
}

certauto_context *certauto__context_ref(certauto_context *cx)
{
	__atomic_add_fetch(&cx->refs, 1, __ATOMIC_RELAXED);
	return cx;
}

static void context_release_callbacks(certauto_context *cx)
{
	if (cx->event_free != NULL)
		cx->event_free(cx->event_payload);
	cx->event_cb = NULL;
	cx->event_free = NULL;
	cx->event_payload = NULL;
}

void certauto__context_unref(certauto_context *cx)
{
	if (__atomic_sub_fetch(&cx->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	context_release_callbacks(cx);
	if (cx->target_types_free != NULL)
		cx->target_types_free(cx->target_types);
	if (cx->loop_free != NULL)
		cx->loop_free(cx->loop);
	certauto__error_clear(&cx->error);
	certauto__free(cx->user_agent);
	certauto__free(cx);
}

int certauto__enter(certauto_context *cx)
{
	if (cx == NULL)
		return CERTAUTO_EINVAL;
	if (cx->pid != getpid())
		return CERTAUTO_EFORKED;
	if (!certauto__is_inside(cx)) {
		if (!context_wait(cx))
			return CERTAUTO_EBUSY;
		certauto__context_ref(cx);
	}
	cx->depth++;
	certauto__error_clear(&cx->error);
	if (cx->dead) {
		certauto__error_set(&cx->error, CERTAUTO_ECANCELED, NULL, "the context was freed");
		return certauto__leave(cx, CERTAUTO_ECANCELED);
	}
	return 0;
}

int certauto__leave(certauto_context *cx, int rc)
{
	/* It may have been freed inside a callback, in the middle of a job's turn. */
	if (cx->depth == 1 && cx->ending && !cx->dead)
		cx->loop_end(cx);
	if (rc < 0 && cx->error.code == 0)
		certauto__error_set(&cx->error, rc, NULL, "%s", certauto_error_text(rc));
	if (rc >= 0)
		certauto__error_clear(&cx->error);
	if (cx->depth > 1) {
		cx->depth--;
		return rc;
	}
	context_let_go(cx);
	certauto__context_unref(cx);
	return rc;
}

int certauto__not_in_callback(certauto_context *cx)
{
	if (cx->in_callback == 0)
		return 0;
	return certauto__error_set(&cx->error, CERTAUTO_EBUSY, NULL,
		"this call drives the context and cannot be made inside one of its callbacks");
}

int certauto__event_send(certauto_context *cx, struct certauto_event *event)
{
	int rc;

	if (cx->event_cb == NULL || cx->dead)
		return 0;
	cx->in_callback++;
	rc = cx->event_cb(event, cx->event_payload);
	cx->in_callback--;
	return rc;
}

int certauto__log(certauto_context *cx, int level, const char *object, const char *format, ...)
{
	struct certauto_event event = {
		.type = CERTAUTO_EVENT_LOG, .level = level, .object = object
	};
	certauto__buffer text = CERTAUTO__BUFFER(2048);
	va_list args;
	int rc;

	if (cx->event_cb == NULL || level > cx->log_level)
		return 0;
	va_start(args, format);
	certauto__buffer_vprintf(&text, format, args);
	va_end(args);
	certauto__text_clean(text.data);
	event.text = certauto__buffer_text(&text);
	if (level <= CERTAUTO_LOG_WARNING)
		event.type = CERTAUTO_EVENT_WARNING;
	rc = certauto__event_send(cx, &event);
	certauto__buffer_free(&text);
	return rc;
}

int certauto_context_set_user_agent(certauto_context *cx, const char *text)
{
	char *copy = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (text != NULL && strpbrk(text, "\r\n") != NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"the user agent must be one line");
	else if (text != NULL && (copy = certauto__strdup(text)) == NULL)
		rc = certauto__error_nomem(&cx->error);
	if (rc == 0) {
		certauto__free(cx->user_agent);
		cx->user_agent = copy;
	}
	return certauto__leave(cx, rc);
}

int certauto_context_set_log_level(certauto_context *cx, int level)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (level < CERTAUTO_LOG_ERROR || level > CERTAUTO_LOG_DEBUG)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"%d is not a log level (1 to 4)", level);
	else
		cx->log_level = level;
	return certauto__leave(cx, rc);
}

int certauto_context_set_event_cb(certauto_context *cx, certauto_event_cb cb, void *payload,
	certauto_free_cb free_cb)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0) {
		if (free_cb != NULL)
			free_cb(payload);
		return rc;
	}
	context_release_callbacks(cx);
	cx->event_cb = cb;
	cx->event_payload = payload;
	cx->event_free = free_cb;
	return certauto__leave(cx, 0);
}

int certauto_context_busy(const certauto_context *any_cx)
{
	return any_cx != NULL && __atomic_load_n(&any_cx->inside, __ATOMIC_ACQUIRE) != 0;
}

const certauto_error *certauto_context_error(const certauto_context *cx)
{
	return cx != NULL && cx->error.code != 0 ? &cx->error : NULL;
}

int certauto_event_type(const certauto_event *event)
{
	return event != NULL ? event->type : 0;
}

int certauto_event_level(const certauto_event *event)
{
	return event != NULL ? event->level : 0;
}

certauto_job *certauto_event_job(const certauto_event *event)
{
	return event != NULL ? event->job : NULL;
}

const char *certauto_event_object(const certauto_event *event)
{
	return event != NULL ? event->object : NULL;
}

const char *certauto_event_step(const certauto_event *event)
{
	return event != NULL ? event->step : NULL;
}

const char *certauto_event_text(const certauto_event *event)
{
	return event != NULL ? event->text : NULL;
}

int certauto_event_n_done(const certauto_event *event)
{
	return event != NULL ? event->n_done : 0;
}

int certauto_event_n_steps(const certauto_event *event)
{
	return event != NULL ? event->n_steps : 0;
}

int64_t certauto_event_until_at(const certauto_event *event)
{
	return event != NULL ? event->until_at : 0;
}
