/* SPDX-License-Identifier: Apache-2.0 */
/* The walk through a table. A job is run until it waits; where in the step it stands (stage) and
 * what it waits for (wait) are two things. Nobody runs a job from a callback of libcurl, from
 * another job's turn or from a callback of the host: they only put it on the ready queue. */
#include "jobs/engine.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"

static void job_wait(certauto_job *job, enum certauto__wait wait)
{
	job->wait = wait;
}

static const struct certauto__step *job_step(const certauto_job *job)
{
	return &job->table->steps[job->step];
}

static int step_reads(const certauto_job *job)
{
	return job->undoing == CERTAUTO__UNDO_NOT && (job_step(job)->flags & CERTAUTO__READS) != 0;
}

/* ---- undo ---- */

static void begin_undo(certauto_job *job, enum certauto__undoing mode)
{
	job->undoing = mode;
	job->stop = 0;
	job->undo_deadline_at = certauto__clock_ms() + certauto__undo_ms(job);
	job->stage = CERTAUTO__STAGE_ASK;
	job->entered = 0;
	certauto__loop_timer(job);
}

static void finish(certauto_job *job)
{
	if (job->reason.code != 0)
		certauto__error_move(&job->error, &job->reason);
	if (job->undo_failed && job->rc >= 0 && job->undoing == CERTAUTO__UNDO_ALL) {
		if (job->error.code == 0)
			certauto__error_set(&job->error, CERTAUTO_EROLLBACK, certauto__job_key(job),
				"could not be taken back");
		job->rc = job->error.code = CERTAUTO_EROLLBACK;
	}
	if (job->undo_failed && job->rc < 0 && job->rc != CERTAUTO_EROLLBACK) {
		/* The first error is the reason; that it could not be taken back is what must be
		 * acted on. */
		certauto__error_prefix(&job->error, "could not be taken back, after");
		job->error.code = CERTAUTO_EROLLBACK;
		job->rc = CERTAUTO_EROLLBACK;
	}
	certauto__job_end(job);
}

/* The newest record that is to be taken back now; n_undo when there is none (left). */
static size_t next_undo(const certauto_job *job)
{
	size_t i;

	for (i = job->n_undo; i-- > 0;) {
		if (job->undo[i].kept)
			continue;
		if (job->undoing == CERTAUTO__UNDO_ALL ||
		    (job->table->steps[job->undo[i].step].flags & CERTAUTO__ALWAYS) != 0)
			return i;
	}
	return job->n_undo;
}

/* What went well and needs no undo any more is dropped: all but ALWAYS. */
static void drop_undo(certauto_job *job)
{
	size_t i = job->n_undo;

	while (i-- > 0)
		if ((job->table->steps[job->undo[i].step].flags & CERTAUTO__ALWAYS) == 0)
			certauto__undo_drop(job, job->undo[i].step, job->undo[i].index);
}

static void fail(certauto_job *job, int code)
{
	job->stop = 0;
	if (job->error.code == 0)
		certauto__error_set(&job->error, code, certauto__job_key(job), "%s",
			certauto_error_text(code));
	job->rc = job->error.code;
	if (job->table->failed != NULL && !job->planning) {
		job->table->failed(job, &job->error);
		job->sticky = 0; /* short of memory it has kept less: no reason to take back less */
	}
	/* Undoing has errors of its own, and is no reason to forget this one. */
	certauto__error_move(&job->reason, &job->error);
	certauto__children_stop(job, CERTAUTO_ECANCELED);
	begin_undo(job, CERTAUTO__UNDO_ALL);
}

/* One record could not be taken back: it stays, the others are still tried. */
static void undo_failed(certauto_job *job)
{
	size_t i = next_undo(job);

	if (job->error.code == 0)
		certauto__error_copy(&job->error, &job->x.error);
	if (job->error.code == 0)
		certauto__error_set(&job->error, CERTAUTO_ETIMEDOUT, certauto__job_key(job),
			"the time for that was over");
	if (job->undoing == CERTAUTO__UNDO_ALL && job->reason.code == 0)
		certauto__error_copy(&job->reason, &job->error);
	certauto__warn(job, certauto__job_key(job), "step \"%s\" could not be taken back: %s",
		job->table->steps[job->undo[i].step].name, certauto_error_message(&job->error));
	job->undo[i].kept = 1;
	job->undo_failed = 1;
	job->entered = 0;
	job->stage = CERTAUTO__STAGE_ASK;
}

static void undo_done(certauto_job *job)
{
	size_t i = next_undo(job);

	certauto__undo_drop(job, job->undo[i].step, job->undo[i].index);
	job->entered = 0;
	job->stage = CERTAUTO__STAGE_ASK;
}

/* ---- the end of a step ---- */

static void next_step(certauto_job *job)
{
	job->entered = 0;
	job->stage = CERTAUTO__STAGE_ASK;
	job->index++;
}

static void step_owed(certauto_job *job)
{
	const char *name = job_step(job)->name;

	certauto__warn(job, certauto__job_key(job), "%s is still owed: %s", name,
		certauto_error_message(&job->error));
	if (!certauto__list_has(&job->owed, name) && certauto__list_add_text(&job->owed, name) < 0)
		job->sticky = CERTAUTO_ENOMEM;
	certauto__job_dirty(job);
	certauto__error_move(&job->owed_error, &job->error);
	certauto__children_stop(job, CERTAUTO_ECANCELED);
	next_step(job);
}

static void step_failed(certauto_job *job, int code)
{
	if (job->undoing != CERTAUTO__UNDO_NOT) {
		undo_failed(job);
		return;
	}
	if (job->error.code == 0)
		certauto__error_set(&job->error, code, certauto__job_key(job), "%s",
			certauto_error_text(code));
	if ((job_step(job)->flags & CERTAUTO__OWED) != 0 && job->error.code != CERTAUTO_ECANCELED) {
		step_owed(job);
		return;
	}
	fail(job, code);
}

/* Owed since an earlier run or attempt, and now done. */
static void owed_no_more(certauto_job *job, const char *name)
{
	certauto__list *owed = &job->owed;
	size_t i;

	for (i = 0; i < owed->n; i++) {
		if (strcmp(owed->items[i], name) != 0)
			continue;
		certauto__free(owed->items[i]);
		owed->items[i] = owed->items[--owed->n];
		certauto__job_dirty(job);
		return;
	}
}

static void step_through(certauto_job *job)
{
	if (job->undoing != CERTAUTO__UNDO_NOT) {
		undo_done(job);
		return;
	}
	if ((job_step(job)->flags & CERTAUTO__OWED) != 0)
		owed_no_more(job, job_step(job)->name);
	job->stage = CERTAUTO__STAGE_NEXT;
}

/* ---- verdicts ---- */

/* Of several requests that a step makes one has been answered: what it has done stays to be taken
 * back, also when the next cannot be sent. */
static void wait_again(certauto_job *job)
{
	if (job->begun && !certauto__text_equal(job->x.method, "GET"))
		job->lost = 1;
	job->stage = CERTAUTO__STAGE_ASK;
	job_wait(job, CERTAUTO__WAIT_TIMER);
	certauto__job_set_timer(job, job->again_ms);
}

static void wait_children(certauto_job *job)
{
	job->stage = CERTAUTO__STAGE_JOINED;
	if (job->n_live > 0)
		job_wait(job, CERTAUTO__WAIT_CHILDREN);
}

static void gone(certauto_job *job)
{
	job->entered = 0;
	job->index = 0;
	job->stage = CERTAUTO__STAGE_ASK;
}

static int push_own_undo(certauto_job *job)
{
	if (job->undoing != CERTAUTO__UNDO_NOT || job->planning || job_step(job)->undo == NULL)
		return 0;
	return certauto__undo_push(job, job->step, job->index);
}

/* A plan really asks what only reads, and lists the rest. */
static int plan_only(certauto_job *job)
{
	certauto__buffer line = CERTAUTO__BUFFER(4096);
	certauto_job *root = certauto__job_root(job);

	if (!job->planning || (step_reads(job) && !job->placeholder))
		return 0;
	certauto__buffer_printf(&line, "%s %s (%s)", job->x.method != NULL ? job->x.method : "run",
		certauto__buffer_text(&job->x.url), job_step(job)->name);
	if (certauto__list_add_text(&root->plan, certauto__buffer_text(&line)) < 0)
		job->sticky = CERTAUTO_ENOMEM;
	certauto__buffer_free(&line);
	return 1;
}

/* Facts and buffers do not report each for themselves that memory is short or a limit is passed. */
static int broken(certauto_job *job)
{
	certauto_error *err;

	if (job->sticky == 0)
		return 0;
	if (job->queue != NULL) {
		/* It had been parked all the same: nobody would run it. */
		certauto__queue_remove(job);
		job_wait(job, CERTAUTO__WAIT_READY);
	}
	err = certauto__job_error_of(job); /* not what the step made of facts that are not there */
	if (job->sticky == CERTAUTO_ENOMEM || job->undoing != CERTAUTO__UNDO_NOT ||
		job->step >= job->table->n_steps)
		certauto__error_set(err, job->sticky, certauto__job_key(job), "%s",
			certauto_error_text(job->sticky));
	else
		certauto__error_set(err, job->sticky, certauto__job_key(job),
			"what was learned in step \"%s\" is larger than the limits allow",
			job_step(job)->name);
	job->sticky = 0;
	return 1;
}

static void asked(certauto_job *job, certauto__verdict verdict)
{
	if (broken(job))
		verdict = CERTAUTO__FAILED;
	switch (verdict) {
	case CERTAUTO__SEND:
		if (plan_only(job)) {
			step_through(job);
			return;
		}
		if (push_own_undo(job) < 0)
			break;
		job->stage = CERTAUTO__STAGE_SEND;
		return;
	case CERTAUTO__NEXT:
		step_through(job);
		return;
	case CERTAUTO__JOIN:
		if (push_own_undo(job) < 0)
			break;
		wait_children(job);
		return;
	case CERTAUTO__WAIT_AGAIN:
		wait_again(job);
		return;
	case CERTAUTO__PARKED:
		job->stage = CERTAUTO__STAGE_ASK;
		return;
	case CERTAUTO__GONE:
		gone(job);
		return;
	case CERTAUTO__FAILED:
		step_failed(job, CERTAUTO_EINVAL);
		return;
	}
	step_failed(job, CERTAUTO_ENOMEM); /* no record of it, so nothing is done */
}

static void answered(certauto_job *job, certauto__verdict verdict)
{
	if (broken(job))
		verdict = CERTAUTO__FAILED;
	switch (verdict) {
	case CERTAUTO__NEXT:
	case CERTAUTO__SEND:
		step_through(job);
		return;
	case CERTAUTO__WAIT_AGAIN:
		wait_again(job);
		return;
	case CERTAUTO__GONE:
		gone(job);
		return;
	case CERTAUTO__PARKED:
		job->stage = CERTAUTO__STAGE_ASK;
		return;
	case CERTAUTO__JOIN:
		wait_children(job);
		return;
	case CERTAUTO__FAILED:
		break;
	}
	step_failed(job, CERTAUTO_EPROTO);
}

/* ---- stages ---- */

static void enter_step(certauto_job *job)
{
	job->entered = 1;
	job->lost = job->resumed; /* an earlier run may have sent it */
	job->n_now = job->n_soon = job->n_relogin = 0;
	job->attempts = 0;
	job->step_since = certauto__clock_ms();
}

/* Moves on over repetitions and past rows until there is something to ask. 0 = the table is
 * through. */
static int find_step(certauto_job *job)
{
	const struct certauto__step *step;
	int n;

	for (; job->step < job->table->n_steps; job->step++, job->index = 0) {
		step = job_step(job);
		if (job->index == 0 && !job->entered && (step->flags & CERTAUTO__COMMIT) != 0 &&
		    !job->planning) {
			drop_undo(job);
			job->committed = 1;
		}
		n = step->each != NULL ? step->each(job) : 1;
		if (job->index < n)
			return 1;
	}
	return 0;
}

static void table_through(certauto_job *job)
{
	if (broken(job)) {
		/* What the last step left to note was not noted: without it the record is not
		 * whole. */
		fail(job, job->error.code);
		return;
	}
	job->rc = 0;
	if ((job->flags & CERTAUTO__CHILD_HELD) != 0) {
		job_wait(job, CERTAUTO__WAIT_HELD);
		job->timer_at = 0;
		certauto__loop_timer(job);
		certauto__child_ended(job);
		return;
	}
	drop_undo(job);
	begin_undo(job, CERTAUTO__UNDO_ALWAYS);
}

static void stage_ask_undo(certauto_job *job)
{
	size_t i = next_undo(job);

	if (job->n_live > 0) {
		/* The step that failed had started some of its children already. */
		job_wait(job, CERTAUTO__WAIT_CHILDREN);
		return;
	}
	if (i == job->n_undo) {
		finish(job);
		return;
	}
	job->step = job->undo[i].step;
	job->index = job->undo[i].index;
	if (!job->entered)
		enter_step(job);
	job->attempts++;
	job->begun = 0;
	certauto__error_clear(&job->error);
	certauto__exchange_reset(&job->x);
	asked(job, job_step(job)->undo(job, &job->x));
}

static void stage_ask(certauto_job *job)
{
	if (job->undoing != CERTAUTO__UNDO_NOT) {
		stage_ask_undo(job);
		return;
	}
	if (!find_step(job)) {
		table_through(job);
		return;
	}
	if (!job->entered) {
		enter_step(job);
		certauto__event_step(job);
	}
	job->attempts++;
	job->placeholder = 0;
	job->begun = 0;
	certauto__error_clear(&job->error);
	certauto__exchange_reset(&job->x);
	asked(job, job_step(job)->ask(job, &job->x));
}

/* No attempt of this step can have taken effect: there is nothing to take back. */
static void drop_unless_sent(certauto_job *job)
{
	if (!job->lost && !job->begun && job->undoing == CERTAUTO__UNDO_NOT)
		certauto__undo_drop(job, job->step, job->index);
}

static certauto__step_fn reader_of(const certauto_job *job)
{
	return job->undoing != CERTAUTO__UNDO_NOT ? job_step(job)->undo_read : job_step(job)->read;
}

static void read_answer(certauto_job *job)
{
	certauto__step_fn read = reader_of(job);

	job->n_now = job->n_soon = 0; /* if it is asked again, that is another request */
	certauto__error_clear(&job->error);
	answered(job, read != NULL ? read(job, &job->x) : CERTAUTO__NEXT);
}

/* It could not even be sent, for the reason in job->error. */
static void unsent(certauto_job *job, int code)
{
	if (job->undoing == CERTAUTO__UNDO_NOT && (job_step(job)->flags & CERTAUTO__ANYHOW) != 0) {
		certauto__error_clear(&job->x.error);
		certauto__error_move(&job->x.error, &job->error);
		job->x.rc = job->x.error.code;
		job->x.status = 0;
		read_answer(job);
		return;
	}
	drop_unless_sent(job);
	step_failed(job, code);
}

static int uses_peer(const certauto_job *job)
{
	return job->peer != NULL && (job->x.kind == CERTAUTO__X_UNIX ||
		(job->x.kind == CERTAUTO__X_HTTP && job->x.http != CERTAUTO__HTTP_SELFCHECK));
}

/* 1 = has a place at the peer, 0 = waits for one, -1 = failed. */
static int take_place(certauto_job *job)
{
	certauto__peer *peer = job->peer;

	if (!uses_peer(job) || job->in_flight)
		return 1;
	if (certauto__peer_is_closed(peer)) {
		certauto__error_clear(&job->x.error);
		certauto__error_copy(&job->x.error, &peer->last);
		certauto__error_prefix(&job->x.error,
			"not asked again after %d requests without an answer",
			CERTAUTO__SILENT_MAX);
		if (job->undoing == CERTAUTO__UNDO_NOT)
			certauto__error_copy(certauto__job_error_of(job), &job->x.error);
		unsent(job, CERTAUTO_ENET);
		return -1;
	}
	job->woken = NULL;
	if (peer->in_flight >= peer->width) {
		certauto__park(job, &peer->places);
		return 0;
	}
	peer->in_flight++;
	job->in_flight = 1;
	return 1;
}

static int must_save(certauto_job *job)
{
	certauto_job *record;

	if (job->unsaved || (step_reads(job) && job->x.kind != CERTAUTO__X_CALL))
		return 0;
	record = certauto__job_record(job);
	return record != NULL && record->dirty && !job->planning;
}

static void wait_saving(certauto_job *job)
{
	certauto__park(job, &certauto__loop_of(job->object.cx)->saving);
	job_wait(job, CERTAUTO__WAIT_SAVING);
}

static void stage_send(certauto_job *job)
{
	certauto__verdict verdict = CERTAUTO__SEND;

	if (must_save(job)) {
		wait_saving(job);
		return;
	}
	if (take_place(job) <= 0)
		return;
	if (uses_peer(job) && job->peer->ops->dress != NULL)
		verdict = job->peer->ops->dress(job, &job->x);
	if (broken(job))
		verdict = CERTAUTO__FAILED;
	if (verdict == CERTAUTO__SEND) {
		job->begun = 1;
		job->stage = CERTAUTO__STAGE_READ;
		job_wait(job, CERTAUTO__WAIT_SENT);
		certauto__run_start(job);
		return;
	}
	/* The place is not needed while the job waits for a session or a nonce. */
	certauto__peer_release(job);
	if (verdict == CERTAUTO__PARKED || verdict == CERTAUTO__WAIT_AGAIN) {
		if (verdict == CERTAUTO__WAIT_AGAIN) {
			job_wait(job, CERTAUTO__WAIT_TIMER);
			certauto__job_set_timer(job, job->again_ms);
		}
		return;
	}
	unsent(job, CERTAUTO_EPROTO);
}

/* ---- answers ---- */

static void send_again(certauto_job *job, int64_t after_ms)
{
	job->begun = 0; /* a definite no; else it counts as lost */
	job->stage = CERTAUTO__STAGE_SEND;
	if (after_ms == 0)
		return;
	job_wait(job, CERTAUTO__WAIT_TIMER);
	certauto__job_set_timer(job, after_ms);
}

static int64_t soon_ms(const certauto_job *job)
{
	int64_t ms = (int64_t)CERTAUTO__SOON_MS << (job->n_soon - 1);

	/* Jitter keeps many jobs from coming back in step; it need not be unpredictable. */
	return ms + (certauto__clock_ms() + (int64_t)((size_t)job >> 4)) % (ms / 2);
}

static void refused(certauto_job *job)
{
	/* A definite no of this attempt, and none before it can have taken effect. */
	if ((job_step(job)->flags & CERTAUTO__HALVES) == 0) {
		job->begun = 0;
		drop_unless_sent(job);
	}
	if (job->undoing == CERTAUTO__UNDO_NOT) {
		certauto__error_clear(&job->error);
		certauto__error_copy(&job->error, &job->x.error);
	}
	step_failed(job, job->x.error.code != 0 ? job->x.error.code : CERTAUTO_EREFUSED);
}

static int is_free_of_judges(const certauto_job *job)
{
	return job->x.kind == CERTAUTO__X_PROBE ||
		(job->x.kind == CERTAUTO__X_HTTP && job->x.http == CERTAUTO__HTTP_SELFCHECK);
}

static certauto__judgement judge(certauto_job *job)
{
	const certauto__exchange *x = &job->x;

	if (is_free_of_judges(job))
		return CERTAUTO__OK;
	if (x->kind == CERTAUTO__X_CALL || x->kind == CERTAUTO__X_PROC)
		return x->rc < 0 || x->status != 0 ? CERTAUTO__BAD : CERTAUTO__OK;
	if (uses_peer(job) && job->peer->ops->judge != NULL)
		return job->peer->ops->judge(job, &job->x);
	return certauto__judge_http(job, &job->x);
}

static int wants(const certauto_job *job, certauto__judgement judgement)
{
	unsigned flags = job_step(job)->flags;

	if (judgement == CERTAUTO__OK)
		return 1;
	if (reader_of(job) == NULL)
		return 0;
	if (job->undoing != CERTAUTO__UNDO_NOT || (flags & CERTAUTO__ANYHOW) != 0)
		return 1;
	/* A session that was renewed in vain: it is a no all the same. */
	return (judgement == CERTAUTO__BAD || judgement == CERTAUTO__RELOGIN) &&
		(flags & CERTAUTO__ERRORS) != 0;
}

static void stage_read(certauto_job *job)
{
	certauto__judgement judgement;

	certauto__peer_heard(job);
	judgement = judge(job);
	certauto__peer_release(job);
	if (judgement == CERTAUTO__NOW && ++job->n_now <= CERTAUTO__NOW_MAX) {
		send_again(job, 0);
		return;
	}
	if (judgement == CERTAUTO__RELOGIN && ++job->n_relogin <= 1) {
		send_again(job, 0);
		return;
	}
	if (judgement == CERTAUTO__SOON) {
		job->lost = 1;
		if (++job->n_soon <= CERTAUTO__SOON_MAX &&
		    (job->peer == NULL || !certauto__peer_is_closed(job->peer))) {
			certauto__waiting(job, certauto__job_key(job), 0,
				"%s: trying again (%d of %d)",
				certauto_error_message(&job->x.error), job->n_soon,
				CERTAUTO__SOON_MAX);
			send_again(job, soon_ms(job));
			return;
		}
	}
	if (wants(job, judgement))
		read_answer(job);
	else
		refused(job);
}

static void stage_joined(certauto_job *job)
{
	const struct certauto__step *step = job_step(job);

	if (job->undoing != CERTAUTO__UNDO_NOT && step->undo_read != NULL) {
		answered(job, step->undo_read(job, &job->x));
	} else if (job->undoing != CERTAUTO__UNDO_NOT) {
		/* Undo by children (or releasing them): it holds if all of them ended well. */
		if (certauto__children_undo_failed(job, &job->x.error))
			undo_failed(job);
		else
			undo_done(job);
	} else if (step->read != NULL) {
		answered(job, step->read(job, &job->x));
	} else if (certauto__children_errors(job, NULL) > 0) {
		step_failed(job, job->error.code);
	} else {
		step_through(job);
	}
}

static void stage_next(certauto_job *job)
{
	certauto_job *record = certauto__job_record(job);

	if (job->save_now && record != NULL && record->dirty && !job->planning) {
		job->save_now = 0;
		wait_saving(job);
		return;
	}
	job->save_now = 0;
	next_step(job);
}

/* ---- the beginning ---- */

/* Facts of another identity are never loaded: what they did is undone, by a child, first. */
static int adopt_former(certauto_job *job, struct certauto__saved *saved)
{
	char *key = certauto__strdup(CERTAUTO__FORMER);

	if (key == NULL || (job->saved = certauto__alloc(sizeof(*job->saved))) == NULL) {
		certauto__free(key);
		certauto__saved_free(saved);
		return certauto__error_nomem(&job->error);
	}
	certauto__free(saved->key);
	saved->key = key;
	job->saved->children = saved;
	return 0;
}

static int adopt_record(certauto_job *job)
{
	struct certauto__saved *saved = NULL;
	char *identity = NULL;
	int rc, same;

	if (job->journal.load == NULL || job->planning || job->recorded)
		return 0;
	rc = certauto__journal_read(job, &saved, &identity, &job->error);
	if (rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(&job->error);
		return 0;
	}
	if (rc < 0)
		return rc;
	job->recorded = job->found = 1;
	same = certauto__text_equal(identity, job->identity);
	certauto__free(identity);
	return same ? certauto__job_adopt_saved(job, saved) : adopt_former(job, saved);
}

static int nothing_saved(void *arg, const char *id, const void *data, size_t len,
	certauto_error *err)
{
	(void)arg, (void)id, (void)data, (void)len, (void)err;
	return 0;
}

static int nothing_removed(void *arg, const char *id, certauto_error *err)
{
	(void)arg, (void)id, (void)err;
	return 0;
}

/* What cannot be read, or not be taken over whole, stays as it is for the next run, or for a
 * person: this one does nothing, and notes nothing. */
static void leave_record(certauto_job *job, int code)
{
	static const struct certauto__journal nowhere = {
		.save = nothing_saved, .remove = nothing_removed
	};

	job->journal = nowhere;
	fail(job, code);
}

static int settle_former(certauto_job *job)
{
	struct certauto__saved *saved = NULL;
	certauto_job *child;

	if (job->saved != NULL)
		saved = certauto__saved_take(job->saved, job->table->name, CERTAUTO__FORMER);
	if (saved == NULL)
		return 0;
	child = certauto__child_start(job, job->table, CERTAUTO__FORMER, job->env, NULL,
		job->peer, 0);
	if (child == NULL) {
		job->saved->children = saved; /* it was the only one of its key, and came first */
		return -1;
	}
	certauto__child_settle(child, saved);
	return 1;
}

/* What the former run left with others that are no longer configured: it stays in the record. */
static void keep_former(certauto_job *job)
{
	certauto_job *child = certauto__child(job, job->table, 0);
	struct certauto__saved **at;

	if (child == NULL || child->saved == NULL || child->saved->children == NULL)
		return;
	for (at = &job->saved->children; *at != NULL; at = &(*at)->next)
		;
	*at = child->saved->children;
	child->saved->children = NULL;
	certauto__job_dirty(job);
}

/* A job that only takes back: first what its children of the earlier run have done, then its
 * own. */
static void start_settling(certauto_job *job)
{
	job->rc = 0;
	/* What it owed was of something else than what comes now: it would be owed for ever. */
	certauto__list_free(&job->owed);
	begin_undo(job, CERTAUTO__UNDO_ALL);
	if (certauto__children_settle(job) == 0 && job->sticky == 0)
		return;
	job->stage = CERTAUTO__STAGE_START;
	if (job->n_live > 0)
		job_wait(job, CERTAUTO__WAIT_CHILDREN);
}

static void stage_start(certauto_job *job)
{
	int rc;

	if (job->settling == 1) {
		job->settling = 2;
		start_settling(job);
		return;
	}
	if (job->settling == 2) {
		if (certauto__children_undo_failed(job, &job->reason) || job->sticky != 0)
			job->undo_failed = 1;
		job->sticky = 0;
		job->stage = CERTAUTO__STAGE_ASK;
		return;
	}
	if ((job->flags & CERTAUTO__CHILD_TURN) != 0 && !certauto__peer_take_turn(job))
		return;
	if (job->n_started > 0 && certauto__children_errors(job, NULL) > 0) {
		certauto__error_prefix(&job->error,
			"what an earlier run left could not be taken back");
		job->error.code = CERTAUTO_EROLLBACK;
		fail(job, CERTAUTO_EROLLBACK);
		return;
	}
	keep_former(job);
	certauto__children_drop(job, job->table);
	if ((rc = adopt_record(job)) < 0) {
		leave_record(job, rc);
		return;
	}
	if ((rc = settle_former(job)) != 0) {
		if (rc < 0)
			fail(job, CERTAUTO_ENOMEM);
		else if (job->n_live > 0)
			job_wait(job, CERTAUTO__WAIT_CHILDREN);
		return;
	}
	job->stage = CERTAUTO__STAGE_ASK;
}

/* A queue has failed this record, or the time is over: then what is left stays in the record. */
static void undo_stopped(certauto_job *job)
{
	int refused = job->refused;
	size_t i;

	job->refused = 0;
	if (next_undo(job) != job->n_undo)
		undo_failed(job);
	for (i = 0; i < job->n_undo && !refused; i++)
		job->undo[i].kept = 1;
}

/* There is no way back any more: what is still owed is short, and is best done now. */
static void owed_stopped(certauto_job *job, int code)
{
	if (job->error.code == 0)
		certauto__error_set(&job->error, code, certauto__job_key(job), "%s",
			certauto_error_text(code));
	if (job->deadline_at == 0) {
		/* But not without end: the next owed step has as long as an undo has. */
		job->deadline_at = certauto__clock_ms() + CERTAUTO__UNDO_MS;
		certauto__loop_timer(job);
	}
	step_owed(job);
}

/* A cancel or deadline that came while the job waited. */
static void act_on_stop(certauto_job *job)
{
	int code = job->stop;

	job->stop = 0;
	certauto__run_stop(job);
	certauto__peer_release(job);
	certauto__peer_pass(job);
	if (job->undoing != CERTAUTO__UNDO_NOT) {
		undo_stopped(job);
		return;
	}
	if (job->refused && job->stage == CERTAUTO__STAGE_SEND &&
	    (job_step(job)->flags & CERTAUTO__ANYHOW) != 0) {
		job->refused = 0;
		unsent(job, code);
		return;
	}
	job->refused = 0;
	if (job->stage == CERTAUTO__STAGE_SEND)
		drop_unless_sent(job);
	if (job->stage != CERTAUTO__STAGE_START && job->step < job->table->n_steps &&
	    (job_step(job)->flags & CERTAUTO__OWED) != 0) {
		owed_stopped(job, code);
		return;
	}
	if (job->error.code == 0)
		certauto__error_set(&job->error, code, certauto__job_key(job),
			code == CERTAUTO_ECANCELED ?
			"cancelled in step \"%s\"" : "the deadline has passed in step \"%s\"",
			job->step < job->table->n_steps ? job_step(job)->name : "end");
	fail(job, code);
}

static void turn_once(certauto_job *job)
{
	if (job->stop != 0) {
		act_on_stop(job);
		return;
	}
	switch (job->stage) {
	case CERTAUTO__STAGE_START:
		stage_start(job);
		break;
	case CERTAUTO__STAGE_ASK:
		stage_ask(job);
		break;
	case CERTAUTO__STAGE_SEND:
		stage_send(job);
		break;
	case CERTAUTO__STAGE_READ:
		stage_read(job);
		break;
	case CERTAUTO__STAGE_JOINED:
		stage_joined(job);
		break;
	case CERTAUTO__STAGE_NEXT:
		stage_next(job);
		break;
	case CERTAUTO__STAGE_DONE:
		break;
	}
}

void certauto__job_turn(certauto_job *job)
{
	/* Its last reference may go in its own turn: the loop drops its own when it has ended. */
	certauto__object_ref(job);
	/* An exchange may end inside its start (a refused socket): then the job stands in line
	 * again, and is run when its turn comes. */
	while (job->wait == CERTAUTO__WAIT_READY && job->queue == NULL && !job->object.cx->ending)
		turn_once(job);
	certauto__object_unref(job);
}
