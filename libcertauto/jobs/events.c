/* SPDX-License-Identifier: Apache-2.0 */
/* What people see of a job: steps, waits, warnings, its end. Nothing is put into words when nobody
 * listens. */
#include "jobs/engine.h"

#include <string.h>

/* The nearest job upwards that has a name people know: a certificate, a target. */
static const char *event_object(const certauto_job *job, const char *object)
{
	for (; job != NULL; job = job->parent)
		if (job->name != NULL)
			return job->name;
	return object;
}

static int is_heard(const certauto_job *job)
{
	return job->object.cx->event_cb != NULL && !certauto__job_root(job)->silent;
}

static void event_send(certauto_job *job, int type, int level, const char *object, int64_t until_at,
	const char *text)
{
	struct certauto_event event;
	certauto_job *root = certauto__job_root(job);
	int rc;

	memset(&event, 0, sizeof(event));
	event.type = type;
	event.level = level;
	event.job = root;
	event.object = event_object(job, object);
	event.step = job->stage != CERTAUTO__STAGE_DONE && job->step < job->table->n_steps ?
		job->table->steps[job->step].name : NULL;
	event.text = text;
	event.n_done = root->n_ended;
	event.n_steps = root->n_started;
	event.until_at = until_at;
	rc = certauto__event_send(job->object.cx, &event);
	if (rc < 0 && root->unwanted == 0) {
		/* Served by the loop, after this turn. Not counted as a cancel: one who
		 * says no to each event does not ask for it to be left with nothing taken back. */
		root->unwanted = 1;
		certauto__loop_of(root->object.cx)->unwanted = 1;
		certauto__loop_wake(certauto__loop_of(root->object.cx));
	}
}

static void event_vsend(certauto_job *job, int type, int level, const char *object,
	int64_t until_at, const char *format, va_list args)
{
	certauto__buffer text = CERTAUTO__BUFFER(4096);

	certauto__buffer_vprintf(&text, format, args);
	certauto__text_clean(text.data);
	event_send(job, type, level, object, until_at, certauto__buffer_text(&text));
	certauto__buffer_free(&text);
}

void certauto__event_step(certauto_job *job)
{
	const char *step = job->table->steps[job->step].name;
	certauto__buffer text = CERTAUTO__BUFFER(1024);

	if (!is_heard(job))
		return;
	if (job->key != NULL)
		certauto__buffer_printf(&text, "%s: %s", job->key, step);
	else
		certauto__buffer_text_add(&text, step);
	certauto__text_clean(text.data);
	event_send(job, CERTAUTO_EVENT_STEP, CERTAUTO_LOG_DEBUG, job->key, 0,
		certauto__buffer_text(&text));
	certauto__buffer_free(&text);
}

int certauto__event_done(certauto_job *job)
{
	if (is_heard(job))
		event_send(job, CERTAUTO_EVENT_DONE,
			job->rc < 0 ? CERTAUTO_LOG_ERROR : CERTAUTO_LOG_INFO, job->name, 0,
			job->rc < 0 ? certauto_error_message(&job->error) : "done");
	return 0;
}

void certauto__progress(certauto_job *job, const char *object, const char *format, ...)
{
	va_list args;

	if (!is_heard(job) || job->object.cx->log_level < CERTAUTO_LOG_INFO)
		return;
	va_start(args, format);
	event_vsend(job, CERTAUTO_EVENT_LOG, CERTAUTO_LOG_INFO, object, 0, format, args);
	va_end(args);
}

void certauto__warn(certauto_job *job, const char *object, const char *format, ...)
{
	va_list args;

	if (!is_heard(job) || job->object.cx->log_level < CERTAUTO_LOG_WARNING)
		return;
	va_start(args, format);
	event_vsend(job, CERTAUTO_EVENT_WARNING, CERTAUTO_LOG_WARNING, object, 0, format, args);
	va_end(args);
}

void certauto__waiting(certauto_job *job, const char *object, int64_t until_at, const char *format,
	...)
{
	va_list args;

	if (!is_heard(job))
		return;
	va_start(args, format);
	event_vsend(job, CERTAUTO_EVENT_WAIT, CERTAUTO_LOG_INFO, object, until_at, format, args);
	va_end(args);
}
