/* SPDX-License-Identifier: Apache-2.0 */
/* A lineage: one certificate with one kind of key. Its job has a record of its own and works
 * under the lineage's lock, which a guard takes before that record is read: the record of a run
 * that is still going on is none of ours. */

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "fleet/lineage.h"
#include "fleet/run.h"

/* ---- what it hangs on ---- */

void *certauto__lineage_new(struct certauto__run *run,
	const struct certauto__certificate *certificate, const char *key,
	struct certauto__result *result)
{
	struct certauto__lineage *lineage = certauto__alloc(sizeof(*lineage));

	if (lineage == NULL)
		return NULL;
	lineage->run = run;
	lineage->certificate = certificate;
	lineage->result = result;
	if ((lineage->key = certauto__strdup(key)) == NULL) {
		certauto__free(lineage);
		return NULL;
	}
	return lineage;
}

void certauto__lineage_free(void *arg)
{
	struct certauto__lineage *lineage = arg;
	struct certauto__revived *revived;

	if (lineage == NULL)
		return;
	if (lineage->lock != NULL)
		lineage->run->fleet->store->row->unlock(lineage->run->fleet->store, lineage->lock);
	while ((revived = lineage->revived) != NULL) {
		lineage->revived = revived->next;
		certauto__deployment_free(revived->deployment);
		certauto__free(revived);
	}
	certauto__view_free(&lineage->view);
	certauto_order_free(lineage->order);
	certauto__pkey_free(lineage->own_key);
	certauto__free(lineage->request);
	certauto__free(lineage->question.id);
	certauto__renewal_free(&lineage->question.renewal);
	certauto__free(lineage->key);
	certauto__free(lineage);
}

int certauto__lineage_save_state(struct certauto__lineage *lineage, certauto_error *err)
{
	certauto__state_prune(&lineage->view.state, lineage->certificate);
	return certauto__state_save(&lineage->view.state, lineage->run->fleet->store,
		lineage->certificate->name, lineage->key, err);
}

/* ---- look ---- */

/* Killed after the switch: the certificate is there, and what the order needed is not needed any
 * more. */
static int finish_completed(certauto_job *job, struct certauto__lineage *lineage,
	certauto_error *err)
{
	certauto__fact_set(job, CERTAUTO__FACT_GENERATION, NULL);
	lineage->issued = 1;
	if (certauto__view_revoked(&lineage->view))
		return 0; /* since then: what is kept is of it, not of the one before */
	certauto__state_issued(&lineage->view.state,
		certauto__fact_own(job, CERTAUTO__FACT_EARLY) != NULL, certauto__clock_now());
	return certauto__lineage_save_state(lineage, err);
}

/* An order that was interrupted, or that the CA has not decided about, is gone on with although the
 * certificate may not be due: it was asked for. One that failed is not. */
static int is_interrupted(const certauto_job *job, const struct certauto__lineage *lineage)
{
	return certauto__fact_own(job, CERTAUTO__FACT_GENERATION) != NULL &&
		(lineage->view.state.failures == 0 ||
			lineage->view.state.error.code == CERTAUTO_ERETRY_LATER);
}

/* Asked for anew, what an operator has changed is tried at once. */
static int look_at_identity(struct certauto__lineage *lineage, certauto_error *err)
{
	char identity[65];
	int rc;

	if ((rc = certauto__lineage_identity(identity, lineage->certificate, lineage->key, err)) <
		0)
		return rc;
	certauto__state_configured(&lineage->view.state, identity);
	certauto__state_server(&lineage->view.state, lineage->certificate->account->server);
	return 0;
}

certauto__verdict certauto__lineage_look(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	certauto_store *store = lineage->run->fleet->store;
	const char *name = lineage->certificate->name;
	const char *generation = certauto__fact_own(job, CERTAUTO__FACT_GENERATION);
	certauto_error *err = certauto__job_error_of(job);

	(void)x;
	if (store->row->sweep(store, name, lineage->key, generation, err) < 0)
		return CERTAUTO__FAILED;
	certauto__view_free(&lineage->view);
	if (certauto__view_load(&lineage->view, store, name, lineage->key, err) < 0)
		return CERTAUTO__FAILED;
	if (generation != NULL && certauto__text_equal(generation, lineage->view.current.id) &&
	    finish_completed(job, lineage, err) < 0)
		return CERTAUTO__FAILED;
	if (look_at_identity(lineage, err) < 0)
		return CERTAUTO__FAILED;
	lineage->settled = lineage->run->mode == CERTAUTO__MODE_SETTLE && certauto__resumed(job);
	if (lineage->run->mode == CERTAUTO__MODE_DEPLOY && lineage->run->wish.named &&
	    lineage->view.chain == NULL) {
		certauto__fail(job, CERTAUTO_ENOTFOUND, name,
			"%s %s was never issued: there is nothing to deploy", name, lineage->key);
		certauto__error_advise(err, "certauto issue %s", name);
		return CERTAUTO__FAILED;
	}
	return CERTAUTO__NEXT;
}

/* ---- decide ---- */

static int is_wanted(certauto_job *job, struct certauto__lineage *lineage, char *why, size_t size)
{
	struct certauto__wish wish = lineage->run->wish;
	enum certauto__action action;

	wish.forced = wish.forced && !lineage->issued;
	action = certauto__view_action(
		&lineage->view, lineage->certificate, &wish, certauto__clock_now(), why, size);
	if (action == CERTAUTO__ISSUE || action == CERTAUTO__RENEW)
		return 1;
	(void)snprintf(why, size, "an interrupted order goes on");
	return is_interrupted(job, lineage);
}

/* An order that is due may have to wait; one that would fail as the last has is left alone. */
static int may_order(struct certauto__lineage *lineage)
{
	const struct certauto__wish *wish = &lineage->run->wish;
	const struct certauto__lineage_state *state = &lineage->view.state;

	lineage->blocked_until =
		certauto__state_blocked(state, wish, certauto__clock_now());
	lineage->stopped = certauto__state_stopped(state, wish);
	if (lineage->stopped)
		lineage->blocked_until = 0;
	return !lineage->stopped && lineage->blocked_until == 0;
}

certauto__verdict certauto__lineage_decide(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	const struct certauto__run *run = lineage->run;
	char why[CERTAUTO__WHY_SIZE];
	int early;

	(void)x;
	lineage->deploy_all = run->mode == CERTAUTO__MODE_DEPLOY;
	if (run->mode != CERTAUTO__MODE_RENEW || !is_wanted(job, lineage, why, sizeof(why)) ||
	    !may_order(lineage))
		return CERTAUTO__NEXT;
	lineage->issue = 1;
	early = !run->wish.forced && !certauto__view_revoked(&lineage->view) &&
		certauto__view_is_early(&lineage->view, certauto__clock_now());
	certauto__fact_set(job, CERTAUTO__FACT_EARLY, early ? "1" : NULL);
	certauto__progress(job, lineage->certificate->name, "to be issued: %s", why);
	return CERTAUTO__NEXT;
}

/* ---- leftovers ---- */

/* An order of an earlier run that nobody goes on with: its answers to challenges are taken away.
 * deploy does not ask the CA and leaves it for the next renew. */
static size_t release_order(certauto_job *job, struct certauto__lineage *lineage)
{
	int completed = certauto__fact_own(job, CERTAUTO__FACT_GENERATION) == NULL;

	if (lineage->issue || !certauto__children_left_over(job, &certauto__order_table) ||
	    (lineage->run->mode == CERTAUTO__MODE_DEPLOY && !completed) ||
	    lineage->blocked_until != 0)
		return 0;
	lineage->settled = 1;
	return certauto__children_release(job, &certauto__order_table);
}

/* Deployments of an earlier run, and requests it had made, whatever they were to. */
static size_t release_all(certauto_job *job, struct certauto__lineage *lineage)
{
	const struct certauto__target_row *row;
	size_t i, n = 0;

	for (i = 0; (row = certauto__target_row_at(certauto__job_cx(job), i)) != NULL; i++) {
		for (; row != NULL; row = row->other) {
			if (row->deploy != NULL)
				n += certauto__children_release(job, row->deploy);
			if (row->csr != NULL)
				n += certauto__children_release(job, row->csr);
		}
	}
	lineage->settled |= n > 0;
	return n;
}

/* Deployments of another generation than the one that is deployed now are taken back before;
 * those of the same go on from where they were. */
static size_t release_deployments(certauto_job *job, struct certauto__lineage *lineage)
{
	const char *deploying = certauto__fact_own(job, CERTAUTO__FACT_DEPLOYING);

	if (!lineage->issue && certauto__text_equal(deploying, lineage->view.current.id))
		return 0;
	certauto__fact_set(job, CERTAUTO__FACT_DEPLOYING, NULL);
	return release_all(job, lineage);
}

certauto__verdict certauto__lineage_leftovers(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	size_t n;

	(void)x;
	n = release_order(job, lineage);
	n += release_deployments(job, lineage);
	return n > 0 ? CERTAUTO__JOIN : CERTAUTO__NEXT;
}

/* ---- the end ---- */

/* A half-made generation that nobody goes on with. That it cannot be removed harms nothing. */
static void drop_draft(certauto_job *job, struct certauto__lineage *lineage)
{
	certauto_store *store = lineage->run->fleet->store;
	const char *id = certauto__fact_own(job, CERTAUTO__FACT_GENERATION);

	if (id == NULL)
		return;
	(void)store->row->discard(store, lineage->certificate->name, lineage->key, id, NULL);
	certauto__fact_set(job, CERTAUTO__FACT_GENERATION, NULL);
}

/* Targets that were taken out of the configuration while something was half done there; and
 * nothing is kept of what went well. */
static certauto__verdict end_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);

	(void)x;
	if (lineage->run->mode != CERTAUTO__MODE_DEPLOY && lineage->blocked_until == 0)
		drop_draft(job, lineage);
	certauto__fact_set(job, CERTAUTO__FACT_DEPLOYING, NULL);
	certauto__fact_set(job, CERTAUTO__FACT_EARLY, NULL);
	return release_all(job, lineage) > 0 ? CERTAUTO__JOIN : CERTAUTO__NEXT;
}

static const struct certauto__step lineage_steps[] = {
	{.name = "look", .ask = certauto__lineage_look, .flags = CERTAUTO__READS},
	{.name = "renewal",
		.ask = certauto__lineage_renewal_ask,
		.read = certauto__lineage_renewal_read,
		.flags = CERTAUTO__READS},
	{.name = "decide", .ask = certauto__lineage_decide, .flags = CERTAUTO__READS},
	{.name = "leftovers", .ask = certauto__lineage_leftovers},
	{.name = "request",
		.ask = certauto__lineage_request_ask,
		.read = certauto__lineage_request_read},
	{.name = "draft", .ask = certauto__lineage_draft},
	{.name = "order", .ask = certauto__lineage_order_ask, .read = certauto__lineage_order_read},
	{.name = "complete", .ask = certauto__lineage_complete},
	{.name = "deploy",
		.ask = certauto__lineage_deploy_ask,
		.read = certauto__lineage_deploy_read},
	{.name = "renewal-first",
		.ask = certauto__lineage_renewal_first,
		.read = certauto__lineage_renewal_read,
		.flags = CERTAUTO__READS},
	{.name = "end", .ask = end_ask},
};

const struct certauto__table certauto__lineage_table = {
	.name = "lineage",
	.steps = lineage_steps,
	.n_steps = sizeof(lineage_steps) / sizeof(*lineage_steps),
	.revive = certauto__lineage_revive,
};

const char *certauto__outcome_of(int code)
{
	return code == CERTAUTO_ERETRY_LATER || code == CERTAUTO_EBUSY ? "later" : "failed";
}

void certauto__result_set(struct certauto__result *result, const char *outcome,
	const certauto_error *error)
{
	result->outcome = outcome;
	if (error != NULL)
		certauto__error_copy(&result->error, error);
}

static void result_blocked(struct certauto__lineage *lineage)
{
	const struct certauto__lineage_state *state = &lineage->view.state;
	certauto_error *err = &lineage->result->error;
	char shown[32];

	(void)certauto__clock_format(shown, sizeof(shown), lineage->blocked_until);
	certauto__error_set(err, CERTAUTO_ERETRY_LATER, lineage->certificate->name,
		"not tried again before %s; the last attempt failed: %s", shown,
		state->error.code != 0 ? certauto_error_message(&state->error) : "no reason kept");
	if (state->limited_until >= lineage->blocked_until)
		certauto__error_advise(err,
			"the CA has set this limit; asking sooner only makes it longer");
	else
		certauto__error_advise(err,
			"once the cause is removed, name the certificate to try at once: "
			"certauto renew %s",
			lineage->certificate->name);
	err->retry_at = lineage->blocked_until;
	lineage->result->outcome = "later";
}

/* The CA is not asked, for it has said all there is to say. */
static void result_stopped(struct certauto__lineage *lineage)
{
	certauto_error *err = &lineage->result->error;
	char *advice;

	certauto__result_set(lineage->result, "failed", &lineage->view.state.error);
	advice = certauto__strdup(err->advice);
	certauto__error_prefix(err, "not ordered again by itself");
	certauto__error_advise(err, "%s%scertauto tries again when the certificate's configuration "
		"has changed, or at once by: certauto renew %s", advice != NULL ? advice : "",
		advice != NULL ? "; " : "", lineage->certificate->name);
	certauto__free(advice);
}

static void remember_failure(struct certauto__lineage *lineage, const certauto_error *error)
{
	struct certauto__lineage_state *state = &lineage->view.state;
	char identity[65];
	int rc = certauto__lineage_identity(identity, lineage->certificate, lineage->key, NULL);

	certauto__state_failed(state, error, rc == 0 ? identity : NULL, certauto__clock_now());
	certauto__free(state->limited_by);
	state->limited_by = certauto__strdup(lineage->certificate->account->server);
	if (lineage->order->replaces_refused && lineage->order->replaces != NULL) {
		certauto__free(state->no_replaces);
		state->no_replaces = certauto__strdup(lineage->order->replaces);
	}
	/* It cannot be told anywhere else if this fails too; the error itself is told. */
	(void)certauto__lineage_save_state(lineage, NULL);
}

static void result_failed(struct certauto__lineage *lineage, const certauto_error *error)
{
	certauto__result_set(lineage->result, certauto__outcome_of(error->code), error);
	if (lineage->ordering && error->code != CERTAUTO_ECANCELED)
		remember_failure(lineage, error);
}

static void lineage_ended(certauto_job *job, void *arg)
{
	struct certauto__lineage *lineage = arg;

	certauto__lineage_collect(job);
	if (certauto_job_result(job) < 0)
		result_failed(lineage, certauto_job_error(job));
	else if (lineage->stopped)
		result_stopped(lineage);
	else if (lineage->blocked_until != 0)
		result_blocked(lineage);
	else
		lineage->result->outcome = lineage->issued || lineage->deployed || lineage->settled
			? "done"
			: "unchanged";
}

/* ---- the guard ---- */

static int lock_call(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	certauto_store *store = lineage->run->fleet->store;
	char id[160];

	if (lineage->lock != NULL)
		return 0;
	certauto__lineage_id(id, sizeof(id), lineage->certificate->name, lineage->key);
	return store->row->lock(store, CERTAUTO__LOCK_CERT, id, &lineage->lock, &x->error);
}

static certauto__verdict lock_ask(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, lock_call);
}

static certauto__verdict lock_undo(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	certauto_store *store = lineage->run->fleet->store;

	(void)x;
	store->row->unlock(store, lineage->lock);
	lineage->lock = NULL;
	return CERTAUTO__NEXT;
}

static certauto__verdict run_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__lineage *lineage = certauto__job_env(job);
	struct certauto__start start = { .table = &certauto__lineage_table };
	char id[160], name[160], identity[65];

	(void)x;
	certauto__lineage_id(id, sizeof(id), lineage->certificate->name, lineage->key);
	if (certauto__lineage_identity(identity, lineage->certificate, lineage->key,
		    certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	certauto__lineage_name(name, sizeof(name), lineage->certificate, lineage->key);
	start.name = name;
	start.env = lineage; /* the guard's, which outlives its child */
	if (lineage->run->mode == CERTAUTO__MODE_REVOKE) {
		start.table = &certauto__lineage_revoke_table;
	} else {
		start.journal = &lineage->run->fleet->store->journal;
		start.journal_id = id;
		start.identity = identity;
	}
	start.ended = lineage_ended;
	start.ended_arg = lineage;
	return certauto__child_start_as(job, &start) != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static const struct certauto__step guard_steps[] = {
	{ .name = "lock", .ask = lock_ask, .undo = lock_undo, .flags = CERTAUTO__ALWAYS },
	{ .name = "run", .ask = run_ask },
};

const struct certauto__table certauto__guard_table = {
	.name = "guard",
	.steps = guard_steps,
	.n_steps = sizeof(guard_steps) / sizeof(*guard_steps),
};

/* Its child has told how it went, if there was one. */
void certauto__guard_ended(certauto_job *job, void *arg)
{
	struct certauto__lineage *lineage = arg;

	if (lineage->result->outcome == NULL && certauto_job_result(job) < 0)
		certauto__result_set(lineage->result,
			certauto__outcome_of(certauto_job_result(job)), certauto_job_error(job));
}
