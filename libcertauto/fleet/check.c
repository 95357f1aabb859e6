/* SPDX-License-Identifier: Apache-2.0 */
/* Logs in everywhere and changes nothing: the store, each account's CA, each target. */

#include <stdio.h>
#include <string.h>

#include "acme/peer.h"
#include "core/memory.h"
#include "fleet/run.h"

/* ---- an account ---- */

/* That the first certificate would fail is best known before. */
static certauto__verdict check_binding(certauto_job *job, const certauto_account *account)
{
	certauto_error *err;

	if (!certauto__acme_of(job)->directory.external_account_required ||
	    account->eab_key != NULL)
		return CERTAUTO__NEXT;
	err = certauto__job_error_of(job);
	certauto__error_set(err, CERTAUTO_ENOTFOUND, account->server,
		"no account at %s, which makes them for its customers only", account->server);
	certauto__error_advise(err,
		"give the account \"eab\": {\"kid\", \"hmac\"} as the CA has told its customer");
	return CERTAUTO__FAILED;
}

static certauto__verdict known_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_account *account = certauto__job_env(job);
	certauto_error *err;

	(void)x;
	if (account->url != NULL)
		return CERTAUTO__NEXT;
	if (check_binding(job, account) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	if (account->agree_tos) {
		certauto__warn(job, account->name,
			"no account at %s yet: the first certificate makes one", account->server);
		return CERTAUTO__NEXT;
	}
	err = certauto__job_error_of(job);
	certauto__error_set(err, CERTAUTO_ENOTFOUND, account->server,
		"no account at %s, and its terms are not agreed to",
		account->server);
	certauto__error_advise(err,
		"read the terms; then set agree_tos to true and run: certauto account register");
	return CERTAUTO__FAILED;
}

static const struct certauto__step account_steps[] = {
	{ .name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS },
	{ .name = "account", .ask = known_ask, .flags = CERTAUTO__READS },
};

static const struct certauto__table account_table = {
	.name = "check-account",
	.steps = account_steps,
	.n_steps = sizeof(account_steps) / sizeof(*account_steps),
};

/* ---- starting them ---- */

struct check {
	certauto_fleet *fleet;           /* shared (+1) */
	certauto_target **targets;       /* borrowed from the fleet, each once */
	size_t n_targets;
};

static void check_free(void *arg)
{
	struct check *check = arg;

	certauto__free(check->targets);
	certauto_fleet_free(check->fleet);
	certauto__free(check);
}

static void add_target(struct check *check, certauto_target *target)
{
	size_t i;

	for (i = 0; i < check->n_targets; i++)
		if (check->targets[i] == target)
			return;
	if (target == NULL)
		return; /* a challenge whose answer is there for good, or a key made here */
	check->targets[check->n_targets++] = target;
}

/* Those that are used, with the options they are used with; and what nobody uses, if it is
 * whole. */
static int gather_targets(struct check *check, certauto_error *err)
{
	const certauto_fleet *fleet = check->fleet;
	const struct certauto__certificate *certificate;
	size_t i, j, n = fleet->n_targets;

	for (i = 0; i < fleet->n_certificates; i++)
		n += fleet->certificates[i].n_challenges + fleet->certificates[i].n_deploys + 1;
	if ((check->targets = certauto__alloc((n + 1) * sizeof(*check->targets))) == NULL)
		return certauto__error_nomem(err);
	for (i = 0; i < fleet->n_certificates; i++) {
		certificate = &fleet->certificates[i];
		for (j = 0; j < certificate->n_challenges; j++)
			add_target(check, certificate->challenges[j].target);
		for (j = 0; j < certificate->n_deploys; j++)
			add_target(check, certificate->deploys[j].target);
		add_target(check, certificate->maker);
	}
	for (i = 0; i < fleet->n_targets; i++)
		if (certauto__target_check_options(fleet->targets[i], NULL) == 0)
			add_target(check, fleet->targets[i]);
	return 0;
}

static void part_ended(certauto_job *job, void *arg)
{
	struct certauto__result *result = arg;
	int rc = certauto_job_result(job);

	if (rc >= 0)
		result->outcome = "done";
	else
		certauto__result_set(result, certauto__outcome_of(rc), certauto_job_error(job));
}

static void object_free(void *object)
{
	(void)certauto__object_unref(object);
}

static void fail_part(certauto_job *job, struct certauto__result *result, certauto_error *err)
{
	(void)job;
	certauto__result_set(result, "failed", err);
	certauto__error_clear(err);
}

/* The peer's reference is taken over. */
static int start_part(certauto_job *job, struct certauto__start *start, void *object,
	struct certauto__result *result)
{
	certauto_job *child;

	start->env = certauto__object_ref(object);
	start->env_free = object_free;
	start->ended = part_ended;
	start->ended_arg = result;
	child = certauto__child_start_as(job, start);
	certauto__peer_unref(start->peer);
	return child != NULL ? 0 : -1;
}

static int start_account(certauto_job *job, certauto_account *account,
	struct certauto__result *result)
{
	struct certauto__start start = { .table = &account_table, .name = account->name };
	certauto_error err = {0};

	if (certauto__account_peer(account, &start.peer, &err) < 0) {
		fail_part(job, result, &err);
		return 0;
	}
	return start_part(job, &start, account, result);
}

static int start_target(certauto_job *job, certauto_target *target, struct certauto__result *result)
{
	struct certauto__start start = { .table = target->row->test, .name = target->label };
	certauto_error err = {0};

	if (start.table == NULL) {
		result->outcome = "unchanged";
		return 0;
	}
	if (target->row->peer != NULL && target->row->peer(target, &start.peer, &err) < 0) {
		fail_part(job, result, &err);
		return 0;
	}
	return start_part(job, &start, target, result);
}

/* ---- the job ---- */

static certauto__verdict store_ask(certauto_job *job, certauto__exchange *x)
{
	struct check *check = certauto__job_env(job);
	struct certauto__result *result = &check->fleet->results[0];
	certauto_error err = {0};

	(void)x;
	if (certauto__run_preflight(check->fleet, &err) < 0)
		fail_part(job, result, &err);
	else
		result->outcome = "done";
	return CERTAUTO__NEXT;
}

static certauto__verdict parts_ask(certauto_job *job, certauto__exchange *x)
{
	struct check *check = certauto__job_env(job);
	struct certauto__result *result = &check->fleet->results[1];
	size_t i;

	(void)x;
	for (i = 0; i < check->fleet->n_accounts; i++)
		if (start_account(job, check->fleet->accounts[i], result++) < 0)
			return CERTAUTO__FAILED;
	for (i = 0; i < check->n_targets; i++)
		if (start_target(job, check->targets[i], result++) < 0)
			return CERTAUTO__FAILED;
	return CERTAUTO__JOIN;
}

static certauto__verdict parts_read(certauto_job *job, certauto__exchange *x)
{
	struct check *check = certauto__job_env(job);

	(void)x;
	return certauto__results_verdict(job, check->fleet);
}

static const struct certauto__step check_steps[] = {
	{ .name = "store", .ask = store_ask },
	{ .name = "parts", .ask = parts_ask, .read = parts_read },
};

static const struct certauto__table check_table = {
	.name = "check",
	.steps = check_steps,
	.n_steps = sizeof(check_steps) / sizeof(*check_steps),
};

static int make_results(struct check *check, certauto_error *err)
{
	certauto_fleet *fleet = check->fleet;
	char name[128];
	size_t i;
	int rc;

	if ((rc = certauto__results_new(fleet, 1 + fleet->n_accounts + check->n_targets, err)) < 0)
		return rc;
	if (certauto__results_add(fleet, "state", NULL, err) == NULL)
		return CERTAUTO_ENOMEM;
	for (i = 0; i < fleet->n_accounts; i++) {
		(void)snprintf(name, sizeof(name), "account %s", fleet->accounts[i]->name);
		if (certauto__results_add(fleet, name, NULL, err) == NULL)
			return CERTAUTO_ENOMEM;
	}
	for (i = 0; i < check->n_targets; i++) {
		(void)snprintf(name, sizeof(name), "target %s", check->targets[i]->label);
		if (certauto__results_add(fleet, name, NULL, err) == NULL)
			return CERTAUTO_ENOMEM;
	}
	return 0;
}

int certauto__fleet_start_test(certauto_job **out, certauto_fleet *fleet, int64_t deadline_ms,
	certauto_error *err)
{
	struct certauto__start start = { .table = &check_table, .name = "check" };
	struct check *check;
	int rc;

	if (fleet->running)
		return certauto__error_set(err, CERTAUTO_EBUSY, NULL,
			"a job of this fleet is running already");
	if ((check = certauto__alloc(sizeof(*check))) == NULL)
		return certauto__error_nomem(err);
	check->fleet = certauto__object_ref(fleet);
	if ((rc = gather_targets(check, err)) < 0 || (rc = make_results(check, err)) < 0) {
		check_free(check);
		return rc;
	}
	start.env = check;
	start.env_free = check_free;
	start.deadline_ms = deadline_ms;
	start.ended = certauto__run_ended;
	start.ended_arg = fleet;
	fleet->running = 1;
	if ((rc = certauto__job_start(out, fleet->object.cx, &start, err)) < 0)
		fleet->running = 0;
	return rc;
}
