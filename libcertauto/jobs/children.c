/* SPDX-License-Identifier: Apache-2.0 */
/* Children: jobs with a parent. They run side by side, at most `par` of one parent; the parent goes
 * on when none is live. A held child has finished and keeps its undo stack until it is released. */
#include "jobs/engine.h"

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"

void certauto__child_go(certauto_job *child)
{
	child->parent->n_running++;
	certauto__loop_ready(child);
}

static void child_link(certauto_job *parent, certauto_job *child)
{
	if (parent->last_child != NULL)
		parent->last_child->next_sibling = child;
	else
		parent->first_child = child;
	parent->last_child = child;
	parent->n_started++;
	parent->n_live++;
}

certauto_job *certauto__child_start_as(certauto_job *job, const struct certauto__start *start)
{
	struct certauto__saved *saved = NULL;
	certauto_job *child;

	if (certauto__job_new(&child, job->object.cx, job, start, certauto__job_error_of(job)) < 0)
		return NULL;
	child_link(job, child);
	if (job->n_running < job->par)
		certauto__child_go(child);
	else
		child->wait = CERTAUTO__WAIT_QUEUED;
	certauto__loop_timer(child);
	if (job->saved != NULL && start->journal_id == NULL && start->name != NULL)
		saved = certauto__saved_take(job->saved, start->table->name, start->name);
	if (saved != NULL && certauto__job_adopt_saved(child, saved) < 0)
		certauto__job_stop(child, child->error.code);
	return child;
}

certauto_job *certauto__child_start(certauto_job *job, const struct certauto__table *table,
	const char *key, void *env, void (*env_free)(void *), certauto__peer *peer, unsigned flags)
{
	struct certauto__start start;
	certauto_job *child;

	memset(&start, 0, sizeof(start));
	start.table = table;
	start.name = key;
	start.env = env;
	start.env_free = env_free;
	start.peer = peer;
	start.flags = flags;
	if ((child = certauto__child_start_as(job, &start)) == NULL)
		return NULL;
	/* Its key is for its siblings and the record; people know its ancestors by name. */
	child->key = child->name;
	child->name = NULL;
	return child;
}

void certauto__children_par(certauto_job *job, int par)
{
	job->par = par > 0 ? par : 1;
}

certauto_job *certauto__child(const certauto_job *job, const struct certauto__table *table,
	size_t i)
{
	certauto_job *child;

	for (child = job->first_child; child != NULL; child = child->next_sibling)
		if ((table == NULL || child->table == table) && i-- == 0)
			return child;
	return NULL;
}

int certauto__child_result(const certauto_job *child)
{
	return child->wait == CERTAUTO__WAIT_HELD ? 0 : child->rc;
}

void certauto__child_unlink(certauto_job *child)
{
	certauto_job *parent = child->parent, **at = &parent->first_child, *last = NULL;

	while (*at != child) {
		last = *at;
		at = &(*at)->next_sibling;
	}
	*at = child->next_sibling;
	if (parent->last_child == child)
		parent->last_child = last;
	while (child->first_child != NULL)
		certauto__child_unlink(child->first_child);
	child->parent = NULL;
	certauto__object_unref(child);
}

/* What could not be taken back stays in the record, though nobody asks for the child any more. */
static int keep_leftovers(certauto_job *job, certauto_job *child)
{
	if (child->journal.save != NULL || !certauto__job_has_leftovers(child))
		return 0;
	if (job->saved == NULL && (job->saved = certauto__alloc(sizeof(*job->saved))) == NULL)
		return CERTAUTO_ENOMEM;
	certauto__job_dirty(job);
	return certauto__saved_keep(&job->saved->children, child);
}

void certauto__children_drop(certauto_job *job, const struct certauto__table *table)
{
	certauto_job *child, *next;

	for (child = job->first_child; child != NULL; child = next) {
		next = child->next_sibling;
		if (child->wait != CERTAUTO__WAIT_ENDED || (table != NULL && child->table != table))
			continue;
		if (keep_leftovers(job, child) < 0) {
			job->sticky = CERTAUTO_ENOMEM;
			continue;
		}
		if ((child->table->flags & CERTAUTO__TABLE_KEEP) != 0)
			certauto__job_dirty(job);
		certauto__child_unlink(child);
	}
}

/* Children that stood in line for a place among the `par` live ones. */
static void start_queued(certauto_job *parent)
{
	certauto_job *child;

	if (parent->n_running >= parent->n_live)
		return;
	for (child = parent->first_child; child != NULL && parent->n_running < parent->par;
	     child = child->next_sibling)
		if (child->wait == CERTAUTO__WAIT_QUEUED)
			certauto__child_go(child);
}

void certauto__child_ended(certauto_job *child)
{
	certauto_job *parent = child->parent;

	parent->n_live--;
	parent->n_running--;
	parent->n_ended++;
	start_queued(parent);
	if (parent->n_live == 0 && parent->wait == CERTAUTO__WAIT_CHILDREN)
		certauto__loop_ready(parent);
}

void certauto__children_stop(certauto_job *job, int code)
{
	certauto_job *child;

	for (child = job->first_child; child != NULL; child = child->next_sibling)
		certauto__job_stop(child, code);
}

/* ---- releasing and settling ---- */

/* Who waits for a child has as long as that. */
static void undo_begin(certauto_job *child)
{
	certauto_job *parent = child->parent;

	child->undo_deadline_at = certauto__clock_ms() + certauto__undo_ms(child);
	for (; parent != NULL && parent->undoing != CERTAUTO__UNDO_NOT &&
		parent->undo_deadline_at < child->undo_deadline_at; parent = parent->parent) {
		parent->undo_deadline_at = child->undo_deadline_at;
		certauto__loop_timer(parent);
	}
	certauto__loop_timer(child);
}

static void release_held(certauto_job *child)
{
	child->flags &= ~(unsigned)CERTAUTO__CHILD_HELD;
	child->parent->n_live++;
	child->parent->n_ended--;
	child->rc = 0;
	child->undoing = CERTAUTO__UNDO_ALL;
	child->stage = CERTAUTO__STAGE_ASK;
	child->entered = 0;
	child->deadline_at = 0;
	certauto__child_go(child);
	undo_begin(child);
}

static void saved_give_back(certauto_job *job, struct certauto__saved *saved)
{
	saved->next = job->saved->children;
	job->saved->children = saved;
}

/* Makes the child of a saved record, to take back what it has done. */
static int settle_saved(certauto_job *job, struct certauto__saved *saved)
{
	const struct certauto__table *table = NULL;
	certauto__peer *peer = NULL;
	certauto_job *child;
	void *env = NULL;
	int rc = CERTAUTO_ENOTFOUND;

	if (job->table->revive != NULL)
		rc = job->table->revive(job, saved->table, saved->key, &table, &env, &peer);
	if (rc < 0 || table == NULL) {
		if (saved->n_undo == 0 && saved->children == NULL && saved->owed.n == 0) {
			certauto__saved_free(saved);
			return 0; /* nothing to take back: it may be forgotten */
		}
		certauto__warn(job, saved->key,
			"an earlier run left \"%s\" half done, and what it was done with is "
			"no longer configured: it cannot be taken back", saved->table);
		saved_give_back(job, saved);
		return CERTAUTO_ENOTFOUND;
	}
	child = certauto__child_start(job, table, saved->key, env, NULL, peer, 0);
	certauto__peer_unref(peer);
	if (child == NULL) {
		saved_give_back(job, saved);
		job->sticky = CERTAUTO_ENOMEM;
		return CERTAUTO_ENOMEM;
	}
	child->deadline_at = 0;
	certauto__loop_timer(child);
	certauto__child_settle(child, saved);
	return 1;
}

/* A child that only takes back what that record names. */
void certauto__child_settle(certauto_job *child, struct certauto__saved *saved)
{
	child->settling = 1;
	if (certauto__job_adopt_saved(child, saved) == 0)
		return;
	child->undo_failed = 1;
	certauto__job_stop(child, child->error.code);
}

static size_t settle_table(certauto_job *job, const char *table)
{
	struct certauto__saved *saved, *list = NULL;
	size_t n = 0;

	if (job->saved == NULL)
		return 0;
	while ((saved = certauto__saved_take(job->saved, table, NULL)) != NULL) {
		saved->next = list;
		list = saved;
	}
	while ((saved = list) != NULL) {
		list = saved->next;
		saved->next = NULL;
		n += settle_saved(job, saved) > 0;
	}
	return n;
}

size_t certauto__children_settle(certauto_job *job)
{
	return settle_table(job, NULL);
}

size_t certauto__children_release(certauto_job *job, const struct certauto__table *table)
{
	certauto_job *child;
	size_t n = 0;

	for (child = job->first_child; child != NULL; child = child->next_sibling) {
		if (child->table != table || child->wait != CERTAUTO__WAIT_HELD)
			continue;
		release_held(child);
		n++;
	}
	return n + settle_table(job, table->name);
}

int certauto__children_left_over(const certauto_job *job, const struct certauto__table *table)
{
	const struct certauto__saved *saved;

	if (job->saved == NULL)
		return 0;
	for (saved = job->saved->children; saved != NULL; saved = saved->next)
		if (strcmp(saved->table, table->name) == 0)
			return 1;
	return 0;
}

static int is_for_undo_of(const certauto_job *job, const certauto_job *child)
{
	return child->undoes_step == job->step + 1 && child->undoes_index == job->index;
}

int certauto__children_undo_failed(const certauto_job *job, certauto_error *err)
{
	const certauto_job *child;

	for (child = job->first_child; child != NULL; child = child->next_sibling) {
		if (!child->undo_failed && !(child->rc < 0 && is_for_undo_of(job, child)))
			continue;
		certauto__error_copy(err, &child->error);
		return 1;
	}
	return 0;
}

/* ---- reasons ---- */

/* Which of two errors says more about what is to be done: an inconsistent device before a failure,
 * a failure before what only has to wait. */
static int gravity(int code)
{
	switch (code) {
	case 0:
		return 0;
	case CERTAUTO_ERETRY_LATER:
	case CERTAUTO_EBUSY:
		return 1;
	case CERTAUTO_ECANCELED:
		return 2;
	case CERTAUTO_EROLLBACK:
		return 4;
	default:
		return 3;
	}
}

static void add_reasons(certauto_error *err, const certauto_job *child)
{
	const certauto_error *error = &child->error;
	size_t i;

	for (i = 0; i < error->n_subproblems; i++)
		certauto__error_add_subproblem(err, error->subproblems[i].name,
			error->subproblems[i].problem,
			error->subproblems[i].detail);
	if (error->n_subproblems == 0)
		certauto__error_add_subproblem(err, certauto__job_key(child), error->problem,
			certauto_error_message(error));
}

size_t certauto__children_errors(certauto_job *job, const struct certauto__table *table)
{
	const certauto_job *child, *gravest = NULL;
	certauto_error err;
	size_t n = 0;

	for (child = job->first_child; child != NULL; child = child->next_sibling) {
		if ((table != NULL && child->table != table) || certauto__child_result(child) >= 0)
			continue;
		n++;
		if (gravest == NULL || gravity(child->rc) > gravity(gravest->rc))
			gravest = child;
	}
	if (n == 0)
		return 0;
	memset(&err, 0, sizeof(err));
	certauto__error_copy(&err, &gravest->error);
	if (n > 1 || err.n_subproblems > 0) {
		while (err.n_subproblems > 0) {
			struct certauto__subproblem *last = &err.subproblems[--err.n_subproblems];

			certauto__free(last->name);
			certauto__free(last->problem);
			certauto__free(last->detail);
		}
		for (child = job->first_child; child != NULL; child = child->next_sibling)
			if ((table == NULL || child->table == table) &&
			    certauto__child_result(child) < 0)
				add_reasons(&err, child);
	}
	certauto__error_clear(&job->error);
	certauto__error_move(&job->error, &err);
	return n;
}
