/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a job: how it is made, started, stopped and ended, and what steps may ask of it. The
 * walk through its table is in runner.c, its children in children.c. */
#include "jobs/engine.h"

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"

/* ---- making ---- */

static void job_destroy(void *object)
{
	certauto_job *job = object;

	certauto__loop_of(job->object.cx)->n_jobs--;
	certauto__run_stop(job);
	certauto__exchange_free(&job->x);
	if (job->env_free != NULL)
		job->env_free(job->env);
	certauto__peer_unref(job->peer);
	certauto__journal_unlock(job);
	certauto__facts_free(&job->facts);
	certauto__free(job->undo);
	certauto__list_free(&job->owed);
	certauto__list_free(&job->plan);
	certauto__saved_free(job->saved);
	certauto__error_clear(&job->error);
	certauto__error_clear(&job->reason);
	certauto__error_clear(&job->owed_error);
	certauto__free(job->name);
	certauto__free(job->key);
	certauto__free(job->journal_id);
	certauto__free(job->identity);
}

static int job_copy_texts(certauto_job *job, const struct certauto__start *start)
{
	if (start->name != NULL && (job->name = certauto__strdup(start->name)) == NULL)
		return CERTAUTO_ENOMEM;
	if (start->journal_id != NULL &&
	    (job->journal_id = certauto__strdup(start->journal_id)) == NULL)
		return CERTAUTO_ENOMEM;
	if (start->identity != NULL && (job->identity = certauto__strdup(start->identity)) == NULL)
		return CERTAUTO_ENOMEM;
	return 0;
}

/* Its own deadline, or that of its parent if that is earlier. What takes back has other time than
 * what it takes back. */
static void job_set_deadline(certauto_job *job, int64_t after_ms)
{
	const certauto_job *parent = job->parent;
	int64_t limit = 0;

	if (parent != NULL)
		limit = parent->undoing == CERTAUTO__UNDO_NOT ? parent->deadline_at :
			parent->undo_deadline_at;
	if (after_ms > 0)
		job->deadline_at = certauto__clock_ms() + after_ms;
	if (limit != 0 && (job->deadline_at == 0 || limit < job->deadline_at))
		job->deadline_at = limit;
}

static void job_set_parent(certauto_job *job, certauto_job *parent)
{
	job->parent = parent;
	if (parent == NULL)
		return;
	job->planning |= parent->planning;
	if (parent->undoing != CERTAUTO__UNDO_NOT) {
		job->undoes_step = parent->step + 1;
		job->undoes_index = parent->index;
	}
}

/* env is taken, also on failure. */
int certauto__job_new(certauto_job **out, certauto_context *cx, certauto_job *parent,
	const struct certauto__start *start, certauto_error *err)
{
	struct certauto__loop *loop = certauto__loop_of(cx);
	certauto_job *job = NULL;

	if (certauto__loop_reserve(loop) == 0)
		job = certauto__object_new(cx, sizeof(*job), job_destroy);
	if (job == NULL) {
		if (start->env_free != NULL)
			start->env_free(start->env);
		return certauto__error_nomem(err);
	}
	loop->n_jobs++;
	job->env = start->env;
	job->env_free = start->env_free;
	job->table = start->table;
	job->peer = start->peer;
	if (job->peer != NULL)
		job->peer->refs++;
	job->flags = start->flags | (start->one_at_a_time ? CERTAUTO__CHILD_TURN : 0);
	job->silent = start->silent;
	job->planning = start->plan;
	job_set_parent(job, parent);
	job->par = CERTAUTO__CHILDREN_PAR;
	job->rc = CERTAUTO_AGAIN;
	job->x.wait_fd = -1;
	job->ended = start->ended;
	job->ended_arg = start->ended_arg;
	job_set_deadline(job, start->deadline_ms);
	if (start->journal_id != NULL)
		job->journal = start->journal != NULL ? *start->journal : loop->journal;
	if (job_copy_texts(job, start) < 0) {
		certauto__object_unref(job);
		return certauto__error_nomem(err);
	}
	*out = job;
	return 0;
}

int certauto__job_start(certauto_job **out, certauto_context *cx,
	const struct certauto__start *start, certauto_error *err)
{
	certauto_job *job;
	int rc;

	if (cx->ending) {
		if (start->env_free != NULL)
			start->env_free(start->env);
		return certauto__error_set(err, CERTAUTO_ECANCELED, start->name,
			"the context was freed");
	}
	if ((rc = certauto__job_new(&job, cx, NULL, start, err)) < 0)
		return rc;
	if (start->alone && (rc = certauto__journal_lock(job, err)) < 0) {
		certauto__object_unref(job);
		return rc;
	}
	if (certauto__loop_adopt(certauto__loop_of(cx), job) < 0) {
		certauto__object_unref(job);
		return certauto__error_nomem(err);
	}
	certauto__loop_timer(job);
	certauto__loop_ready(job);
	if (out != NULL)
		*out = job;
	else
		certauto__object_unref(job);
	return 0;
}

/* ---- what steps ask ---- */

void *certauto__job_env(const certauto_job *job)
{
	return job->env;
}

const struct certauto__table *certauto__job_table(const certauto_job *job)
{
	return job->table;
}

certauto_context *certauto__job_cx(const certauto_job *job)
{
	return job->object.cx;
}

certauto_job *certauto__job_parent(const certauto_job *job)
{
	return job->parent;
}

const char *certauto__job_key(const certauto_job *job)
{
	if (job->key != NULL)
		return job->key;
	return job->name != NULL ? job->name : job->journal_id;
}

certauto__peer *certauto__job_peer(const certauto_job *job)
{
	return job->peer;
}

int certauto__index(const certauto_job *job)
{
	return job->index;
}

int certauto__planning(const certauto_job *job)
{
	return job->planning;
}

int certauto__undoing(const certauto_job *job)
{
	return job->undoing != CERTAUTO__UNDO_NOT;
}

int certauto__resumed(const certauto_job *job)
{
	return job->resumed;
}

int certauto__record_found(const certauto_job *job)
{
	return job->found;
}

int64_t certauto__undo_ms(const certauto_job *job)
{
	return job->table->undo_ms > 0 ? job->table->undo_ms : CERTAUTO__UNDO_MS;
}

int64_t certauto__step_age_ms(const certauto_job *job)
{
	return certauto__clock_ms() - job->step_since;
}

int64_t certauto__step_attempts(const certauto_job *job)
{
	return job->attempts;
}

certauto_error *certauto__job_error_of(certauto_job *job)
{
	certauto__error_clear(&job->error);
	return &job->error;
}

certauto__verdict certauto__again(certauto_job *job, int64_t after_ms)
{
	job->again_ms = after_ms;
	return CERTAUTO__WAIT_AGAIN;
}

certauto__verdict certauto__goto(certauto_job *job, const char *step)
{
	size_t i;

	if (++job->n_goto > CERTAUTO__GOTO_MAX)
		return certauto__fail(job, CERTAUTO_EPROTO, job->key,
			"gone back to step \"%s\" too often", step);
	for (i = 0; i <= job->step && i < job->table->n_steps; i++) {
		if (strcmp(job->table->steps[i].name, step) != 0)
			continue;
		job->step = i;
		return CERTAUTO__GONE;
	}
	return certauto__fail(job, CERTAUTO_EINVAL, job->key, "no step \"%s\" behind this one",
		step);
}

certauto__verdict certauto__fail(certauto_job *job, int code, const char *object,
	const char *format, ...)
{
	va_list args;

	certauto__error_clear(&job->error);
	va_start(args, format);
	certauto__error_vset(&job->error, code, object, format, args);
	va_end(args);
	return CERTAUTO__FAILED;
}

certauto__verdict certauto__fail_with(certauto_job *job, certauto_error *error)
{
	certauto__error_clear(&job->error);
	certauto__error_move(&job->error, error);
	return CERTAUTO__FAILED;
}

void certauto__save_now(certauto_job *job)
{
	job->save_now = 1;
}

/* ---- records ---- */

certauto_job *certauto__job_root(const certauto_job *job)
{
	while (job->parent != NULL)
		job = job->parent;
	return (certauto_job *)job;
}

certauto_job *certauto__job_record(certauto_job *job)
{
	while (job != NULL && job->journal.save == NULL)
		job = job->parent;
	return job;
}

void certauto__job_dirty(certauto_job *job)
{
	certauto_job *record = certauto__job_record(job);

	if (record != NULL)
		record->dirty = 1;
}

int certauto__undo_push(certauto_job *job, size_t step, int index)
{
	struct certauto__undo *undo;
	size_t i, size;

	for (i = 0; i < job->n_undo; i++)
		if (job->undo[i].step == step && job->undo[i].index == index)
			return 0; /* from an earlier attempt or run */
	if (job->n_undo == job->undo_size) {
		size = job->undo_size != 0 ? job->undo_size * 2 : 8;
		if ((undo = certauto__realloc(job->undo, size * sizeof(*undo))) == NULL)
			return CERTAUTO_ENOMEM;
		job->undo = undo;
		job->undo_size = size;
	}
	job->undo[job->n_undo].step = step;
	job->undo[job->n_undo].index = index;
	job->undo[job->n_undo++].kept = 0;
	job->changed = 1;
	certauto__job_dirty(job);
	return 0;
}

void certauto__undo_drop(certauto_job *job, size_t step, int index)
{
	size_t i;

	for (i = job->n_undo; i-- > 0;) {
		if (job->undo[i].step != step || job->undo[i].index != index)
			continue;
		memmove(&job->undo[i], &job->undo[i + 1],
			(--job->n_undo - i) * sizeof(job->undo[0]));
		certauto__job_dirty(job);
	}
}

int certauto__job_has_leftovers(const certauto_job *job)
{
	const certauto_job *child;

	if (job->n_undo > 0 || job->owed.n > 0 || job->unread)
		return 1;
	for (child = job->first_child; child != NULL; child = child->next_sibling)
		if (child->journal.save == NULL && certauto__job_has_leftovers(child))
			return 1;
	return job->saved != NULL && (job->saved->children != NULL || job->saved->n_undo > 0);
}

static int undo_adopt(certauto_job *job, struct certauto__saved *saved)
{
	size_t i, at;

	for (i = 0; i < saved->n_undo; i++) {
		for (at = 0; at < job->table->n_steps; at++)
			if (strcmp(job->table->steps[at].name, saved->undo[i].step) == 0)
				break;
		if (at == job->table->n_steps || job->table->steps[at].undo == NULL)
			return certauto__error_set(&job->error, CERTAUTO_EROLLBACK, job->key,
				"the journal names a step \"%s\" of \"%s\" that this version does "
				"not know: it cannot be taken back",
				saved->undo[i].step, job->table->name);
		if (certauto__undo_push(job, at, saved->undo[i].index) < 0)
			return certauto__error_nomem(&job->error);
	}
	return 0;
}

static int saved_copy(certauto_job *job, struct certauto__saved *saved)
{
	const struct certauto__fact *fact = saved->facts.items;
	size_t i;

	for (i = 0; i < saved->facts.n; i++, fact++)
		if (certauto__facts_set(&job->facts, fact->name, fact->value) < 0)
			return certauto__error_nomem(&job->error);
	if (certauto__list_copy(&job->owed, &saved->owed) < 0)
		return certauto__error_nomem(&job->error);
	return undo_adopt(job, saved);
}

int certauto__job_adopt_saved(certauto_job *job, struct certauto__saved *saved)
{
	size_t i;
	int rc;

	job->saved = saved;
	job->resumed = 1;
	if ((rc = saved_copy(job, saved)) < 0) {
		/* All or nothing: half of it would replace the whole in the record. */
		certauto__facts_free(&job->facts);
		certauto__list_free(&job->owed);
		job->n_undo = 0;
		job->unread = 1;
		return rc;
	}
	/* What was taken over is no longer left over. */
	for (i = 0; i < saved->n_undo; i++)
		certauto__free(saved->undo[i].step);
	saved->n_undo = 0;
	return 0;
}

/* ---- stopping and ending ---- */

void certauto__job_set_timer(certauto_job *job, int64_t after_ms)
{
	job->timer_at = certauto__clock_ms() + (after_ms > 0 ? after_ms : 0);
	certauto__loop_timer(job);
}

static void job_unwait(certauto_job *job)
{
	certauto__run_stop(job);
	if (job->queue != NULL)
		certauto__queue_remove(job);
	job->timer_at = 0;
}

/* Its end is waited for: what takes it back must not be quicker than it is. */
static int has_last_words(const certauto_job *job)
{
	if (job->wait != CERTAUTO__WAIT_SENT)
		return 0;
	return job->x.kind == CERTAUTO__X_UNIX ||
		(job->x.kind == CERTAUTO__X_HTTP && job->table->steps[job->step].undo != NULL);
}

void certauto__job_stop(certauto_job *job, int code)
{
	if (job->wait == CERTAUTO__WAIT_ENDED || job->wait == CERTAUTO__WAIT_HELD)
		return;
	if (job->stop != 0) {
		if (code == CERTAUTO_ETIMEDOUT)
			job->refused = 0;
		return;
	}
	if (job->undoing != CERTAUTO__UNDO_NOT && code == CERTAUTO_ECANCELED)
		return; /* it is at it already, and has its own deadline */
	if (job->wait == CERTAUTO__WAIT_CHILDREN) {
		/* The job goes on when the last of them has ended. */
		job->stop = code;
		certauto__children_stop(job, code);
		return;
	}
	job->stop = code;
	if (job->wait == CERTAUTO__WAIT_QUEUED) {
		certauto__child_go(job);
		return;
	}
	if (job->wait == CERTAUTO__WAIT_SENT)
		job->lost = 1;
	if (has_last_words(job)) {
		certauto__job_set_timer(job, CERTAUTO__LAST_WORDS_MS);
		return;
	}
	certauto__run_stop(job);
	if (job->wait == CERTAUTO__WAIT_READY)
		return;
	job_unwait(job);
	certauto__loop_timer(job);
	certauto__loop_ready(job);
}

static void job_release_all(certauto_job *job)
{
	certauto__run_stop(job);
	certauto__peer_release(job);
	certauto__peer_give_turn(job);
	if (job->queue != NULL)
		certauto__queue_remove(job);
	job->timer_at = job->deadline_at = job->undo_deadline_at = 0;
	certauto__loop_timer(job);
	certauto__peer_pass(job);
}

/* A record stays while it is good for anything: something to take back, something owed, or facts by
 * which a failed run can be taken up again. */
static int record_is_needed(const certauto_job *job)
{
	const certauto_job *child;
	size_t i;

	if (certauto__job_has_leftovers(job))
		return 1;
	if (job->rc >= 0)
		return 0;
	for (i = 0; i < job->facts.n; i++)
		if (job->facts.items[i].name[0] != '.')
			return 1;
	for (child = job->first_child; child != NULL; child = child->next_sibling)
		if (certauto__child_matters(child))
			return 1;
	return 0;
}

static void job_close_record(certauto_job *job)
{
	certauto_error err;
	int rc;

	if (job->journal.save == NULL || job->planning)
		return;
	memset(&err, 0, sizeof(err));
	if (record_is_needed(job))
		rc = job->dirty ? certauto__journal_write(job, &err) : 0;
	else
		rc = certauto__journal_remove(job, &err);
	if (rc < 0)
		certauto__warn(job, job->journal_id, "cannot close the journal: %s",
			certauto_error_message(&err));
	certauto__error_clear(&err);
}

void certauto__job_end(certauto_job *job)
{
	struct certauto__loop *loop = certauto__loop_of(job->object.cx);
	certauto_job *parent = job->parent;

	job_release_all(job);
	job->stage = CERTAUTO__STAGE_DONE;
	job_close_record(job);
	certauto__journal_unlock(job);
	job->wait = CERTAUTO__WAIT_ENDED;
	certauto__exchange_reset(&job->x);
	if (job->ended != NULL) {
		job->ended(job, job->ended_arg);
		job->ended = NULL;
	}
	if (parent != NULL) {
		certauto__child_ended(job);
		return;
	}
	/* Children are kept until here: their reasons may be asked for by `ended`. */
	while (job->first_child != NULL)
		certauto__child_unlink(job->first_child);
	if (!job->silent) {
		(void)certauto__event_done(job);
		certauto__loop_done(loop, job->id);
	}
	certauto__loop_forget(loop, job);
}

void certauto__job_abandon(certauto_job *job, int code)
{
	certauto_job *child;

	if (job->wait == CERTAUTO__WAIT_ENDED)
		return;
	/* From the leaves up, without telling parents to go on: they end too. */
	for (child = job->first_child; child != NULL; child = child->next_sibling) {
		if (child->wait == CERTAUTO__WAIT_ENDED)
			continue;
		certauto__job_abandon(child, code);
	}
	job->abandoned = 1;
	certauto__error_clear(&job->error);
	job->rc = certauto__error_set(&job->error, code, certauto__job_key(job),
		"left at once; what has been changed is in the journal for the next run");
	if (job->parent == NULL) {
		certauto__job_end(job);
		return;
	}
	job_release_all(job);
	job_close_record(job);
	job->wait = CERTAUTO__WAIT_ENDED;
}

/* ---- the public noun ---- */

int64_t certauto_job_id(const certauto_job *job)
{
	return job != NULL ? certauto__job_root(job)->id : 0;
}

const char *certauto_job_name(const certauto_job *job)
{
	return job != NULL ? job->name : NULL;
}

certauto_context *certauto_job_context(const certauto_job *job)
{
	return job != NULL ? job->object.cx : NULL;
}

int certauto_job_result(const certauto_job *job)
{
	return job == NULL ? CERTAUTO_EINVAL : job->wait == CERTAUTO__WAIT_ENDED ? job->rc :
		CERTAUTO_AGAIN;
}

const certauto_error *certauto_job_error(const certauto_job *job)
{
	return job != NULL && job->wait == CERTAUTO__WAIT_ENDED && job->rc < 0 ? &job->error : NULL;
}

void certauto_job_cancel(certauto_job *any_job)
{
	if (any_job == NULL)
		return;
	__atomic_add_fetch(&any_job->cancel, 1, __ATOMIC_ACQ_REL);
	__atomic_add_fetch(&any_job->object.cx->job_cancels, 1, __ATOMIC_ACQ_REL);
	certauto__loop_wake(certauto__loop_of(any_job->object.cx));
}

void certauto_job_free(certauto_job *job)
{
	certauto__object_unref(job);
}

int certauto__job_owes(const certauto_job *job)
{
	return certauto__job_has_leftovers(job);
}

int certauto__job_committed(const certauto_job *job)
{
	return job->committed;
}

int certauto__job_undone(const certauto_job *job)
{
	return job->rc < 0 && !job->committed && !job->undo_failed;
}

int certauto__job_changed(const certauto_job *job)
{
	return job->changed;
}

const certauto_error *certauto__job_owed_error(const certauto_job *job)
{
	return &job->owed_error;
}

const certauto__list *certauto__job_plan(const certauto_job *job)
{
	return &job->plan;
}
