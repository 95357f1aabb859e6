/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet's job: certificates side by side, the lineages of each one after another, for they are
 * deployed to the same places. A failure of one stops none of the others. */

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "fleet/run.h"

#define CERTIFICATES_PAR 16
#define CLOCK_FLOOR \
	1767225600 /* 2026-01-01: before this was written; no clock that is right shows less */

/* ---- results ---- */

void certauto__results_free(certauto_fleet *fleet)
{
	size_t i;

	for (i = 0; i < fleet->n_results; i++) {
		certauto__free(fleet->results[i].name);
		certauto__free(fleet->results[i].key);
		certauto__error_clear(&fleet->results[i].error);
	}
	certauto__free(fleet->results);
	fleet->results = NULL;
	fleet->n_results = 0;
}

int certauto__results_new(certauto_fleet *fleet, size_t n_max, certauto_error *err)
{
	certauto__results_free(fleet);
	fleet->results = certauto__alloc((n_max + 1) * sizeof(*fleet->results));
	return fleet->results != NULL ? 0 : certauto__error_nomem(err);
}

struct certauto__result *certauto__results_add(certauto_fleet *fleet, const char *name,
	const char *key, certauto_error *err)
{
	struct certauto__result *result = &fleet->results[fleet->n_results];

	result->name = certauto__strdup(name);
	result->key = certauto__strdup(key);
	fleet->n_results++; /* a half-made one is freed with the others */
	if (result->name != NULL && (key == NULL || result->key != NULL))
		return result;
	(void)certauto__error_nomem(err);
	return NULL;
}

static int gravity(const struct certauto__result *result)
{
	if (result->outcome == NULL)
		return 0;
	return strcmp(result->outcome, "failed") == 0 ? 2 : strcmp(result->outcome, "later") == 0;
}

certauto__verdict certauto__results_verdict(certauto_job *job, const certauto_fleet *fleet)
{
	const struct certauto__result *gravest = NULL;
	certauto_error err = {0};
	size_t i;

	for (i = 0; i < fleet->n_results; i++)
		if (gravity(&fleet->results[i]) > (gravest != NULL ? gravity(gravest) : 0))
			gravest = &fleet->results[i];
	if (gravest == NULL)
		return CERTAUTO__NEXT;
	certauto__error_copy(&err, &gravest->error);
	return certauto__fail_with(job, &err);
}

/* What never came to its turn shares the fate of the whole. */
void certauto__run_ended(certauto_job *job, void *arg)
{
	certauto_fleet *fleet = arg;
	int rc = certauto_job_result(job);
	size_t i;

	for (i = 0; i < fleet->n_results; i++) {
		if (fleet->results[i].outcome != NULL)
			continue;
		if (rc < 0)
			certauto__result_set(&fleet->results[i], "failed", certauto_job_error(job));
		else
			fleet->results[i].outcome = "unchanged";
	}
	fleet->running = 0;
}

/* ---- preflight ---- */

int certauto__run_preflight(certauto_fleet *fleet, certauto_error *err)
{
	int64_t now = certauto__clock_now();
	char shown[32];

	if (now < CLOCK_FLOOR) {
		(void)certauto__clock_format(shown, sizeof(shown), now);
		certauto__error_set(err, CERTAUTO_EIO, NULL,
			"the clock of this machine is wrong: it says %s", shown);
		return certauto__error_advise(err,
			"set the clock; without it nothing can be said about the "
			"validity of a certificate");
	}
	return fleet->store->row->preflight(fleet->store, err);
}

/* ---- a certificate ---- */

struct certificate_run {
	struct certauto__run *run;
	const struct certauto__certificate *certificate;
	struct certauto__result *results;  /* one for each key */
};

static int certificate_each(certauto_job *job)
{
	const struct certificate_run *env = certauto__job_env(job);

	return (int)env->certificate->keys.n;
}

static certauto__verdict certificate_ask(certauto_job *job, certauto__exchange *x)
{
	struct certificate_run *env = certauto__job_env(job);
	struct certauto__start start = { .table = &certauto__guard_table };
	const char *key = env->certificate->keys.items[certauto__index(job)];
	char name[160];

	(void)x;
	certauto__lineage_name(name, sizeof(name), env->certificate, key);
	start.name = name;
	start.env = certauto__lineage_new(env->run, env->certificate, key,
		&env->results[certauto__index(job)]);
	if (start.env == NULL)
		return certauto__fail(job, CERTAUTO_ENOMEM, name, "%s",
			certauto_error_text(CERTAUTO_ENOMEM));
	start.env_free = certauto__lineage_free;
	start.ended = certauto__guard_ended;
	start.ended_arg = start.env;
	return certauto__child_start_as(job, &start) != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

/* How it went is in its result. */
static certauto__verdict certificate_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	certauto__children_drop(job, NULL);
	return CERTAUTO__NEXT;
}

static const struct certauto__step certificate_steps[] = {
	{.name = "lineage",
		.ask = certificate_ask,
		.read = certificate_read,
		.each = certificate_each},
};

static const struct certauto__table certificate_table = {
	.name = "certificate",
	.steps = certificate_steps,
	.n_steps = 1,
};

/* ---- the fleet ---- */

static certauto__verdict preflight_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__run *run = certauto__job_env(job);

	(void)x;
	return certauto__run_preflight(run->fleet, certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED
		: CERTAUTO__NEXT;
}

static certauto__verdict certificates_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__run *run = certauto__job_env(job);
	struct certauto__result *results = run->fleet->results;
	struct certificate_run *env;
	size_t i;

	(void)x;
	certauto__children_par(job, CERTIFICATES_PAR);
	for (i = 0; i < run->n_certificates; i++) {
		if ((env = certauto__alloc(sizeof(*env))) == NULL)
			return certauto__fail(job, CERTAUTO_ENOMEM, NULL, "%s",
				certauto_error_text(CERTAUTO_ENOMEM));
		env->run = run;
		env->certificate = run->certificates[i];
		env->results = results;
		results += run->certificates[i]->keys.n;
		if (certauto__child_start(job, &certificate_table, env->certificate->name, env,
			    certauto__free, NULL, 0) == NULL)
			return CERTAUTO__FAILED;
	}
	return run->n_certificates > 0 ? CERTAUTO__JOIN : CERTAUTO__NEXT;
}

static certauto__verdict as_it_is(certauto_job *job, certauto__exchange *x)
{
	(void)job, (void)x;
	return CERTAUTO__NEXT; /* how each went is in its result */
}

static certauto__verdict results_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__run *run = certauto__job_env(job);

	(void)x;
	return certauto__results_verdict(job, run->fleet);
}

/* What was deployed is saved also when the run is stopped: that is short, and leaves nothing half
 * done. */
static const struct certauto__step fleet_steps[] = {
	{ .name = "preflight", .ask = preflight_ask },
	{ .name = "certificates", .ask = certificates_ask, .read = as_it_is,
		.undo = certauto__unsaved_ask, .undo_read = as_it_is, .flags = CERTAUTO__ALWAYS },
	{ .name = "finish", .ask = certauto__unsaved_ask, .read = as_it_is },
	{ .name = "results", .ask = results_ask },
};

static const struct certauto__table fleet_table = {
	.name = "fleet",
	.steps = fleet_steps,
	.n_steps = sizeof(fleet_steps) / sizeof(*fleet_steps),
};

/* ---- starting ---- */

static void run_free(void *arg)
{
	struct certauto__run *run = arg;

	if (run == NULL)
		return;
	certauto__unsaved_free(run);
	certauto__free(run->certificates);
	certauto_fleet_free(run->fleet);
	certauto__free(run);
}

static void fleet_ended(certauto_job *job, void *arg)
{
	certauto__unsaved_ended(job, certauto__job_env(job));
	certauto__run_ended(job, arg);
}

/* Each once, however often it is named: two jobs would wait for one lock. */
static int add_certificate(struct certauto__run *run,
	const struct certauto__certificate *certificate)
{
	size_t i;

	for (i = 0; i < run->n_certificates; i++)
		if (run->certificates[i] == certificate)
			return 0;
	run->certificates[run->n_certificates++] = certificate;
	return 0;
}

static int choose(struct certauto__run *run, const char *const *names, size_t n_names,
	certauto_error *err)
{
	const struct certauto__certificate *certificate;
	certauto_fleet *fleet = run->fleet;
	size_t i;
	int rc;

	run->certificates =
		certauto__alloc((fleet->n_certificates + 1) * sizeof(*run->certificates));
	if (run->certificates == NULL)
		return certauto__error_nomem(err);
	if (names == NULL) {
		for (i = 0; i < fleet->n_certificates; i++)
			add_certificate(run, &fleet->certificates[i]);
		return 0;
	}
	for (i = 0; i < n_names; i++) {
		if ((rc = certauto__fleet_named(&certificate, fleet, names[i], err)) < 0)
			return rc;
		add_certificate(run, certificate);
	}
	return 0;
}

/* Results in the order in which the lineages are run through. */
static int make_results(struct certauto__run *run, size_t more, certauto_error *err)
{
	const struct certauto__certificate *certificate;
	size_t i, j, n = more;
	int rc;

	for (i = 0; i < run->n_certificates; i++)
		n += run->certificates[i]->keys.n;
	if ((rc = certauto__results_new(run->fleet, n, err)) < 0)
		return rc;
	for (i = 0; i < run->n_certificates; i++) {
		certificate = run->certificates[i];
		for (j = 0; j < certificate->keys.n; j++)
			if (certauto__results_add(run->fleet, certificate->name,
				    certificate->keys.items[j], err) == NULL)
				return CERTAUTO_ENOMEM;
	}
	return 0;
}

static int is_configured(const certauto_fleet *fleet, const char *journal_id)
{
	const struct certauto__certificate *certificate;
	char id[160];
	size_t i, j;

	for (i = 0; i < fleet->n_certificates; i++) {
		certificate = &fleet->certificates[i];
		for (j = 0; j < certificate->keys.n; j++) {
			certauto__lineage_id(id, sizeof(id), certificate->name,
				certificate->keys.items[j]);
			if (strcmp(id, journal_id) == 0)
				return 1;
		}
	}
	return 0;
}

/* Records of certificates that are no longer configured: told, for nobody knows any more how to
 * reach what they are about. */
static int add_orphans(certauto_fleet *fleet, const certauto__list *ids, certauto_error *err)
{
	struct certauto__result *result;
	size_t i;

	for (i = 0; i < ids->n; i++) {
		/* Orders of programs that share the store are theirs to take up. */
		if (certauto__order_is_record(ids->items[i]) ||
			is_configured(fleet, ids->items[i]))
			continue;
		if ((result = certauto__results_add(fleet, ids->items[i], NULL, err)) == NULL)
			return CERTAUTO_ENOMEM;
		result->outcome = "failed";
		certauto__error_set(&result->error, CERTAUTO_ENOTFOUND, ids->items[i],
			"an earlier run of %s left something, and it is no longer configured",
			ids->items[i]);
		certauto__error_advise(&result->error,
			"put it back into the configuration and run gc again; or look what is "
			"left on its targets yourself and remove jobs/%s.json from the state "
			"directory",
			ids->items[i]);
	}
	return 0;
}

static int prepare(struct certauto__run *run, const char *const *names, size_t n_names,
	certauto_error *err)
{
	certauto_store *store = run->fleet->store;
	certauto__list ids = {0};
	int rc;

	if ((rc = choose(run, names, n_names, err)) < 0 ||
	    (run->mode == CERTAUTO__MODE_SETTLE &&
			(rc = store->row->journal_list(store, &ids, err)) < 0) ||
	    (rc = make_results(run, ids.n, err)) < 0)
		goto out;
	rc = add_orphans(run->fleet, &ids, err);
out:
	certauto__list_free(&ids);
	return rc;
}

int certauto__fleet_start(certauto_job **out, certauto_fleet *fleet,
	const struct certauto__order_of_work *work, certauto_error *err)
{
	static const char *const titles[] = { "renew", "deploy", "gc", "revoke" };
	struct certauto__start start = { .table = &fleet_table };
	struct certauto__run *run;
	int rc;

	if (fleet->running)
		return certauto__error_set(err, CERTAUTO_EBUSY, NULL,
			"a job of this fleet is running already");
	if ((run = certauto__alloc(sizeof(*run))) == NULL)
		return certauto__error_nomem(err);
	run->fleet = certauto__object_ref(fleet);
	run->mode = work->mode;
	run->wish.forced = work->forced;
	run->wish.named = work->names != NULL;
	run->wish.renew_before = fleet->renew_before;
	run->reason = work->reason;
	run->by_key = work->by_key;
	if ((rc = prepare(run, work->names, work->n_names, err)) < 0) {
		run_free(run);
		return rc;
	}
	start.name = titles[work->mode];
	start.env = run;
	start.env_free = run_free;
	start.deadline_ms = work->deadline_ms;
	start.ended = fleet_ended;
	start.ended_arg = fleet; /* which the run holds */
	fleet->running = 1;
	if ((rc = certauto__job_start(out, fleet->object.cx, &start, err)) < 0)
		fleet->running = 0;
	return rc;
}
