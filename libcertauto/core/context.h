/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CORE_CONTEXT_H
#define CERTAUTO_CORE_CONTEXT_H

/* What all objects of one context share. The rows above hang what is theirs on it through slots, so
 * that core knows none of them. */

#include <stdint.h>
#include <sys/types.h>

#include <certauto/context.h>

#include "core/error.h"
#include "core/object.h"

struct certauto__loop;   /* jobs/loop.h */
struct certauto_store;   /* store/store.h */

struct certauto_event {
	int type;                /* CERTAUTO_EVENT_* */
	certauto_job *job;       /* the root job; borrowed */
	const char *object;      /* name, target, URL concerned */
	const char *step;        /* of the job that tells it */
	const char *text;        /* one line for people, no secrets */
	int n_steps;             /* children of the job that are through, and how many there are */
	int n_done;
	int level;               /* CERTAUTO_LOG_* */
	int64_t until_at;        /* WAIT: seconds since 1970 */
};

struct certauto_context {
	int refs;                        /* atomic */
	uintptr_t inside;                /* atomic: the thread that is inside, see context.c; 0 =
	                                    none */
	int depth;                       /* calls nested by callbacks on that thread */
	pid_t pid;                       /* of the process that made it */
	int ending;                      /* certauto_context_free() was called: it ends when the
	                                    outermost call is left */
	int dead;                        /* it has ended: handles that are left can be read and
	                                    freed */
	int cancel;                      /* atomic flag, also set in signal handlers */
	int job_cancels;                 /* atomic: how often that was asked of single jobs */
	int in_callback;
	certauto_error error;            /* of the last checked call */
	struct certauto__object *dead_objects; /* atomic stack, see object.h */

	char *user_agent;
	int log_level;
	certauto_event_cb event_cb;
	void *event_payload;
	certauto_free_cb event_free;

	struct certauto__loop *loop;     /* made with the context: owns the descriptor */
	void (*loop_end)(certauto_context *cx);      /* ends jobs and lets go of what they use */
	void (*loop_free)(struct certauto__loop *loop);
	struct certauto_store *store;    /* journals of all jobs; NULL = none. Shared (+1) */
	void *target_types;              /* types added with certauto_context_add_target() */
	void (*target_types_free)(void *);
};

/* Every checked public call goes through this pair: pid guard, one thread at a time, the error
 * detail of the former call forgotten.
 *
 *	if ((rc = certauto__enter(cx)) < 0)
 *		return rc;
 *	rc = certauto__do_it(..., &cx->error);
 *	return certauto__leave(cx, rc);
 *
 * enter: EINVAL (NULL), EFORKED, EBUSY (another thread), ECANCELED (context freed). leave destroys
 * what died meanwhile, keeps the error for certauto_context_error() if rc < 0, and returns rc. */
int certauto__enter(certauto_context *cx);
int certauto__leave(certauto_context *cx, int rc);

/* 1: the calling thread is inside. */
int certauto__is_inside(const certauto_context *cx);
/* Destroys the dead objects of the context, unless a thread is inside: then that one does. The
 * caller holds a reference on cx. */
void certauto__context_tidy(certauto_context *cx);

/* EBUSY with an explanation when called from inside a callback: for verbs that drive the loop. */
int certauto__not_in_callback(certauto_context *cx);

certauto_context *certauto__context_ref(certauto_context *cx);
void certauto__context_unref(certauto_context *cx);

/* Tells the host something; returns the callback's answer (0 goes on, negative cancels the job). */
int certauto__event_send(certauto_context *cx, struct certauto_event *event);
/* A LOG or WARNING event in one line. */
int certauto__log(certauto_context *cx, int level, const char *object, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
