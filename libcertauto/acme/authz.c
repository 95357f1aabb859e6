/* SPDX-License-Identifier: Apache-2.0 */
/* One authorization of an order: the challenge is chosen, its answer put up by a target, the CA
 * told to look, its verdict awaited. The answer is a held child: it stays up until the table has
 * ended, whatever the outcome, and is found again after a crash. */
#include "acme/order.h"

#include <string.h>

#include "acme/jws.h"
#include "core/memory.h"

#define AUTHZ_LIMIT_MS (10 * 60 * 1000)
#define VERDICT_MS 5000      /* somebody who has cancelled waits for it */
#define VERDICT_DELAY_MS 100

/* Facts: "name", "challenge", "token", "record", "txt" (by which an answer is taken away after a
 * crash); ".use" (which of the order's uses answers), ".challenge_url", ".value" (what is shown),
 * ".status" and ".challenge_status" (states, as the CA names them), ".refused" (it did not take our
 * "look now"; its words are kept under the name), ".rejected" (it has looked and said no), ".told"
 * (that it may look), ".verdict" (cancelled since: it is to be waited for). */

static int fact_is(const certauto_job *job, const char *name, const char *value)
{
	return certauto__text_equal(certauto__fact_own(job, name), value);
}

/* A plan knows the names, but no authorization of theirs. */
static const char *authz_url(certauto_job *job)
{
	return certauto__planning(job) ? certauto__fact(job, ".url") : certauto__job_key(job);
}

/* Nothing is presented: the record is there for good, or should be. */
static int is_standing(const certauto_job *job)
{
	const certauto_order *order = certauto__job_env(job);
	int64_t use = certauto__fact_number(job, ".use", -1);

	return use >= 0 && order->uses[use].target == NULL;
}

/* The end of this name. The reason is kept under it, for whoever asks the order about its names. */
static certauto__verdict name_failed(certauto_job *job, const char *name, certauto_error *err)
{
	certauto__order_name_set(certauto__job_env(job), name, CERTAUTO_NAME_INVALID, err);
	return certauto__fail_with(job, err);
}

static certauto__verdict name_valid(certauto_job *job)
{
	certauto__order_name_set(certauto__job_env(job), certauto__fact_own(job, "name"),
		CERTAUTO_NAME_VALID, NULL);
	return CERTAUTO__NEXT;
}

/* ---- what the CA says about it ---- */

static const struct certauto__challenge *failed_challenge(
	const struct certauto__authz_document *authz, const char *type)
{
	const struct certauto__challenge *chosen = certauto__authz_document_challenge(authz, type);
	size_t i;

	if (chosen != NULL && chosen->problem.present)
		return chosen;
	for (i = 0; i < authz->n_challenges; i++)
		if (authz->challenges[i].problem.present)
			return &authz->challenges[i];
	return NULL;
}

/* The CA's own words, once as message and once as subproblem of the name: an order gathers
 * these. */
static certauto__verdict authz_rejected(certauto_job *job, const char *name, const char *type,
	const struct certauto__problem *problem)
{
	certauto__buffer what = CERTAUTO__BUFFER(4096), detail = CERTAUTO__BUFFER(4096);
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (type == NULL)
		type = "any challenge";
	certauto__buffer_printf(&what, "the CA could not validate %s by ", name);
	certauto__text_escape(&what, type, strlen(type));
	certauto__problem_tell(
		&err, CERTAUTO_ECHALLENGE, name, problem, certauto__buffer_text(&what));
	if (err.n_subproblems == 0 && certauto__problem_detail(&detail, problem) == 0)
		certauto__error_add_subproblem(
			&err, name, err.problem, detail.len > 0 ? detail.data : NULL);
	certauto__buffer_free(&what);
	certauto__buffer_free(&detail);
	if (is_standing(job))
		certauto__error_advise(&err,
			"put this record into the DNS, for good: %s. TXT \"%s\"",
			certauto__fact_own(job, "record"), certauto__fact_own(job, "txt"));
	certauto__fact_set(job, ".rejected", "1");
	return name_failed(job, name, &err);
}

static certauto__verdict authz_invalid(
	certauto_job *job, const struct certauto__authz_document *authz)
{
	static const struct certauto__problem unknown;
	const struct certauto__challenge *failed =
		failed_challenge(authz, certauto__fact_own(job, "challenge"));
	const char *name = certauto__fact_own(job, "name");
	certauto_error err;

	if (authz->status == CERTAUTO__AUTHZ_ENDED) {
		memset(&err, 0, sizeof(err));
		certauto__error_set(&err, CERTAUTO_ECHALLENGE, name,
			"the authorization of %s is %s", name, authz->status_text);
		certauto__fact_set(job, ".rejected", "1");
		return name_failed(job, name, &err);
	}
	return authz_rejected(job, name,
		failed != NULL ? failed->type : certauto__fact_own(job, "challenge"),
		failed != NULL ? &failed->problem : &unknown);
}

int certauto__authz_take(certauto_job *job, const certauto__exchange *x,
	struct certauto__authz_document *out, certauto_error *err)
{
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__origin origin = certauto__acme_origin(job, x, "authorization", &what);
	const char *data;
	size_t len;
	int rc;

	if ((rc = certauto__acme_body(x, "application/json", &data, &len, err)) == 0)
		rc = certauto__authz_document_parse(out, &origin, data, len, err);
	certauto__buffer_free(&what);
	return rc;
}

/* ---- look ---- */

/* Ours under the name we ordered it by. Not every CA marks wildcards. */
static const char *ordered_name(
	const certauto_order *order, const struct certauto__authz_document *authz)
{
	size_t i;

	if (certauto__list_has(&order->names, authz->name))
		return authz->name;
	for (i = 0; i < order->names.n; i++)
		if (certauto__text_starts(order->names.items[i], "*.") &&
		    strcmp(order->names.items[i] + 2, authz->name) == 0)
			return order->names.items[i];
	return NULL;
}

static void offered(certauto__buffer *out, const struct certauto__authz_document *authz)
{
	size_t i;

	for (i = 0; i < authz->n_challenges; i++) {
		if (authz->challenges[i].type == NULL)
			continue;
		certauto__buffer_text_add(out, out->len > 0 ? ", " : "");
		certauto__text_escape(
			out, authz->challenges[i].type, strlen(authz->challenges[i].type));
	}
}

static certauto__verdict not_offered(
	certauto_job *job, const struct certauto__authz_document *authz, const char *name)
{
	const struct certauto__order_use *use =
		certauto__order_use_of(certauto__job_env(job), name, NULL);
	certauto__buffer list =
		CERTAUTO__BUFFER(CERTAUTO__CHALLENGES_MAX * (4 * CERTAUTO__SHOWN_MAX + 8));
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (use == NULL) {
		certauto__error_set(&err, CERTAUTO_EINVAL, name,
			"no target answers challenges for %s", name);
	} else {
		offered(&list, authz);
		certauto__error_set(&err, CERTAUTO_ECHALLENGE, name,
			"the CA does not offer %s for %s; it offers %s", use->challenge, name,
			list.len > 0 ? list.data : "nothing");
	}
	certauto__buffer_free(&list);
	return name_failed(job, name, &err);
}

static certauto__verdict choose(
	certauto_job *job, const struct certauto__authz_document *authz, const char *name)
{
	const certauto_order *order = certauto__job_env(job);
	const struct certauto__order_use *use = certauto__order_use_of(order, name, authz);
	const certauto_account *account = order->account;
	const struct certauto__challenge *challenge;
	certauto_error err;

	if (use == NULL)
		return not_offered(job, authz, name);
	challenge = certauto__authz_document_challenge(authz, use->challenge);
	memset(&err, 0, sizeof(err));
	if (certauto__url_check(challenge->url != NULL ? challenge->url : "", account->server,
			&account->allow_hosts, &err) < 0 ||
	    certauto__challenge_facts(job, certauto__challenge_type(use->challenge), challenge,
			name, &err) < 0)
		return name_failed(job, name, &err);
	certauto__fact_set_number(job, ".use", use - order->uses);
	certauto__fact_set(job, ".challenge_url", challenge->url);
	certauto__fact_set(job, ".challenge_status", challenge->status_text);
	return CERTAUTO__NEXT;
}

static certauto__verdict look_apply(certauto_job *job, const struct certauto__authz_document *authz)
{
	const certauto_order *order = certauto__job_env(job);
	const char *name = ordered_name(order, authz);
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	certauto__verdict verdict;

	if (name == NULL) {
		certauto__text_escape(&shown, authz->name, strlen(authz->name));
		verdict = certauto__fail(job, CERTAUTO_EPROTO, order->account->server,
			"the CA wants an authorization for \"%s\", which was not ordered",
			certauto__buffer_text(&shown));
		certauto__buffer_free(&shown);
		return verdict;
	}
	certauto__fact_set(job, "name", name);
	certauto__fact_set(job, ".status", authz->status_text);
	if (authz->status == CERTAUTO__AUTHZ_VALID)
		return name_valid(job);
	if (authz->status != CERTAUTO__AUTHZ_PENDING)
		return authz_invalid(job, authz);
	return choose(job, authz, name);
}

certauto__verdict certauto__authz_why(
	certauto_job *job, const struct certauto__authz_document *authz)
{
	const char *name = ordered_name(certauto__job_env(job), authz);

	if (name == NULL || authz->status == CERTAUTO__AUTHZ_VALID)
		return CERTAUTO__NEXT;
	certauto__fact_set(job, "name", name);
	return authz_invalid(job, authz);
}

static certauto__verdict look_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__acme_fetch(job, x, authz_url(job));
}

static certauto__verdict look_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__authz_document authz;
	certauto__verdict verdict;
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (certauto__authz_take(job, x, &authz, &err) < 0)
		return certauto__fail_with(job, &err);
	verdict = look_apply(job, &authz);
	certauto__authz_document_free(&authz);
	return verdict;
}

static int is_valid(const certauto_job *job)
{
	return fact_is(job, ".status", "valid");
}

/* ---- the verdict, after a cancel ---- */

static certauto__verdict verdict_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__acme_fetch(job, x, certauto__job_key(job));
}

static certauto__verdict verdict_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__authz_document authz;
	int open = 0;

	if (x->rc == 0 && certauto__authz_take(job, x, &authz, NULL) == 0) {
		open = authz.status == CERTAUTO__AUTHZ_PENDING;
		certauto__authz_document_free(&authz);
	}
	return open ? certauto__again(job, VERDICT_DELAY_MS) : CERTAUTO__NEXT;
}

static const struct certauto__step verdict_steps[] = {
	{.name = "verdict",
		.ask = verdict_ask,
		.read = verdict_read,
		.flags = CERTAUTO__READS | CERTAUTO__ANYHOW},
};

/* Its key is the authorization's URL. */
static const struct certauto__table verdict_table = {
	.name = "acme-verdict",
	.steps = verdict_steps,
	.n_steps = 1,
};

/* A CA that looks and finds the answer gone counts a failed validation, and those are limited: it
 * gets a moment. */
static void authz_failed(certauto_job *job, certauto_error *error)
{
	const certauto_order *order = certauto__job_env(job);
	const char *name = certauto__fact_own(job, "name");

	/* Of several names each reason is told with the name it is about. */
	if (name != NULL && error->n_subproblems == 0 && order->names.n > 1 &&
	    error->code != CERTAUTO_ECANCELED)
		certauto__error_add_subproblem(
			error, name, error->problem, certauto_error_message(error));
	if (error->code == CERTAUTO_ECANCELED && certauto__fact_own(job, ".told") != NULL &&
	    !is_valid(job))
		certauto__fact_set(job, ".verdict", "1");
}

static int verdict_start(certauto_job *job)
{
	struct certauto__start start;

	if (certauto__fact_own(job, ".verdict") == NULL)
		return 0;
	certauto__fact_set(job, ".verdict", NULL);
	memset(&start, 0, sizeof(start));
	start.table = &verdict_table;
	start.name = certauto__job_key(job);
	start.peer = certauto__job_peer(job);
	start.deadline_ms = VERDICT_MS;
	return certauto__child_start_as(job, &start) != NULL;
}

/* ---- present ---- */

/* A plan has not seen what the CA offers. */
static const struct certauto__order_use *chosen_use(certauto_job *job, const char *name)
{
	const certauto_order *order = certauto__job_env(job);
	const struct certauto__order_use *use;

	if (!certauto__planning(job))
		return &order->uses[certauto__fact_number(job, ".use", 0)];
	if (name == NULL || (use = certauto__order_use_of(order, name, NULL)) == NULL)
		return NULL;
	certauto__fact_set(job, "challenge", use->challenge);
	(void)certauto__present_facts(job, use->challenge, name, NULL, order->account->url);
	return use;
}

static certauto__verdict present_ask(certauto_job *job, certauto__exchange *x)
{
	const char *name = certauto__fact_own(job, "name");
	const struct certauto__order_use *use;

	(void)x;
	if (is_valid(job))
		return CERTAUTO__NEXT;
	if ((use = chosen_use(job, name)) == NULL)
		return certauto__fail(
			job, CERTAUTO_EINVAL, name, "no target answers challenges for %s", name);
	if (use->target == NULL) {
		certauto__progress(job, name, "%s: the CA is to find %s TXT \"%s\"", name,
			certauto__fact_own(job, "record"), certauto__fact_own(job, "txt"));
		return CERTAUTO__NEXT;
	}
	certauto__progress(
		job, name, "%s: answering %s through %s", name, use->challenge, use->target->label);
	return certauto__present_child(job, name, use->target) != NULL ? CERTAUTO__JOIN
								       : CERTAUTO__FAILED;
}

/* The target's reason, under the name it concerns: an order gathers those of all names. */
static certauto__verdict present_read(certauto_job *job, certauto__exchange *x)
{
	const certauto_job *child = certauto__child(job, NULL, 0);
	const char *name = certauto__fact_own(job, "name");
	certauto_error err;

	(void)x;
	if (child == NULL || certauto__child_result(child) == 0)
		return CERTAUTO__NEXT;
	memset(&err, 0, sizeof(err));
	certauto__error_copy(&err, certauto_job_error(child));
	if (err.n_subproblems == 0)
		certauto__error_add_subproblem(
			&err, name, err.problem, certauto_error_message(&err));
	return name_failed(job, name, &err);
}

static const struct certauto__table *present_table(const struct certauto__order_use *use)
{
	return use->target != NULL ? use->target->row->present : NULL;
}

/* The target that has the answer of an earlier run: the table's name tells its type, which several
 * challenges may share. */
static const struct certauto__order_use *present_use(
	const certauto_job *job, const char *table, const char *name)
{
	const certauto_order *order = certauto__job_env(job);
	const struct certauto__table *present;
	size_t i;

	for (i = 0; i < order->n_uses; i++) {
		present = present_table(&order->uses[i]);
		if (present != NULL && strcmp(present->name, table) == 0 &&
		    fact_is(job, "challenge", order->uses[i].challenge) &&
		    certauto__name_match(order->uses[i].pattern, name))
			return &order->uses[i];
	}
	return NULL;
}

static int authz_revive(certauto_job *job, const char *table, const char *key,
	const struct certauto__table **table_out, void **env_out, certauto__peer **peer_out)
{
	const struct certauto__order_use *use = present_use(job, table, key);
	certauto_error err;
	int rc = 0;

	if (strcmp(table, verdict_table.name) == 0) {
		*table_out = &verdict_table; /* there is nothing to take back */
		return 0;
	}
	if (use == NULL)
		return CERTAUTO_ENOTFOUND;
	memset(&err, 0, sizeof(err));
	if (use->target->row->peer != NULL)
		rc = use->target->row->peer(use->target, peer_out, &err);
	certauto__error_clear(&err);
	if (rc < 0)
		return rc;
	*table_out = use->target->row->present;
	*env_out = use->target;
	return 0;
}

/* The answer goes, in this run and in one that finds it after a crash. */
static certauto__verdict present_undo(certauto_job *job, certauto__exchange *x)
{
	const certauto_order *order = certauto__job_env(job);
	size_t i, n = 0;

	(void)x;
	if (verdict_start(job))
		return certauto__again(job, 0); /* when the child has ended */
	certauto__children_drop(job, &verdict_table);
	for (i = 0; i < order->n_uses; i++)
		if (present_table(&order->uses[i]) != NULL)
			n += certauto__children_release(job, present_table(&order->uses[i]));
	return n > 0 ? CERTAUTO__JOIN : CERTAUTO__NEXT;
}

/* ---- answer ---- */

static certauto__verdict answer_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer payload = CERTAUTO__BUFFER(8);
	const char *status = certauto__fact_own(job, ".challenge_status");

	/* Told in an earlier run: the CA is looking, or has looked. */
	if (is_valid(job) || (status != NULL && strcmp(status, "pending") != 0))
		return CERTAUTO__NEXT;
	certauto__buffer_text_add(&payload, "{}");
	certauto__fact_set(job, ".told", "1");
	return certauto__acme_post(job, x, certauto__fact(job, ".challenge_url"), &payload);
}

/* A refusal may only mean that an attempt whose answer was lost has arrived: the authorization
 * tells. */
static certauto__verdict answer_read(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__origin origin = certauto__acme_origin(job, x, "challenge", &what);
	struct certauto__challenge challenge;
	certauto__verdict verdict = CERTAUTO__NEXT;
	certauto_error err;
	const char *data;
	size_t len;

	memset(&err, 0, sizeof(err));
	if (x->status < 200 || x->status > 299) {
		certauto__fact_set(job, ".refused", "1");
		certauto__order_name_set(certauto__job_env(job), certauto__fact_own(job, "name"),
			CERTAUTO_NAME_OPEN, &x->error);
	} else if (certauto__acme_body(x, "application/json", &data, &len, &err) < 0 ||
	    certauto__challenge_parse(&challenge, &origin, data, len, &err) < 0) {
		verdict = certauto__fail_with(job, &err);
	} else {
		certauto__acme_note_pause(job, x);
		if (challenge.status == CERTAUTO__AUTHZ_VALID) {
			certauto__fact_set(job, ".status", "valid");
			verdict = name_valid(job);
		}
		if (challenge.status == CERTAUTO__AUTHZ_INVALID)
			verdict = authz_rejected(job, certauto__fact_own(job, "name"),
				challenge.type, &challenge.problem);
		certauto__challenge_free(&challenge);
	}
	certauto__buffer_free(&what);
	return verdict;
}

/* ---- poll ---- */

static certauto__verdict poll_ask(certauto_job *job, certauto__exchange *x)
{
	if (is_valid(job))
		return CERTAUTO__NEXT;
	if (certauto__step_age_ms(job) > AUTHZ_LIMIT_MS)
		return certauto__acme_undecided(job, certauto__fact_own(job, "name"));
	if (certauto__step_attempts(job) == 1 && !certauto__planning(job))
		return certauto__acme_poll(job, x, certauto__fact_own(job, "name"));
	return certauto__acme_fetch(job, x, authz_url(job));
}

/* Nothing lost had arrived before: what the CA has said of "look now" is the end. */
static certauto__verdict authz_refused(certauto_job *job, const char *name)
{
	const certauto_order *order = certauto__job_env(job);
	certauto_error err;
	size_t i;

	memset(&err, 0, sizeof(err));
	for (i = 0; i < order->names.n; i++)
		if (strcmp(order->names.items[i], name) == 0)
			certauto__error_copy(&err, &order->results[i].error);
	if (err.n_subproblems == 0)
		certauto__error_add_subproblem(
			&err, name, err.problem, certauto_error_message(&err));
	return name_failed(job, name, &err);
}

static certauto__verdict poll_apply(certauto_job *job, const certauto__exchange *x,
	const struct certauto__authz_document *authz)
{
	const char *name = certauto__fact_own(job, "name");
	const struct certauto__challenge *challenge;

	certauto__fact_set(job, ".status", authz->status_text);
	if (authz->status == CERTAUTO__AUTHZ_VALID) {
		certauto__progress(job, name, "%s: validated", name);
		return name_valid(job);
	}
	if (authz->status != CERTAUTO__AUTHZ_PENDING)
		return authz_invalid(job, authz);
	challenge = certauto__authz_document_challenge(authz, certauto__fact_own(job, "challenge"));
	if (challenge != NULL && challenge->status == CERTAUTO__AUTHZ_INVALID)
		return authz_invalid(job, authz);
	if (certauto__fact_own(job, ".refused") != NULL && challenge != NULL &&
	    challenge->status == CERTAUTO__AUTHZ_PENDING)
		return authz_refused(job, name);
	return certauto__acme_poll(job, x, name);
}

static certauto__verdict poll_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__authz_document authz;
	certauto__verdict verdict;
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (certauto__authz_take(job, x, &authz, &err) < 0)
		return certauto__fail_with(job, &err);
	verdict = poll_apply(job, x, &authz);
	certauto__authz_document_free(&authz);
	return verdict;
}

static const struct certauto__step authz_steps[] = {
	{.name = "look", .ask = look_ask, .read = look_read, .flags = CERTAUTO__READS},
	{.name = "present",
		.ask = present_ask,
		.read = present_read,
		.undo = present_undo,
		.flags = CERTAUTO__ALWAYS},
	{.name = "answer", .ask = answer_ask, .read = answer_read, .flags = CERTAUTO__ERRORS},
	{.name = "poll", .ask = poll_ask, .read = poll_read, .flags = CERTAUTO__READS},
};

const struct certauto__table certauto__authz_table = {
	.name = "acme-authz",
	.steps = authz_steps,
	.n_steps = 4,
	.revive = authz_revive,
	.failed = authz_failed,
};
