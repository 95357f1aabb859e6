/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate onto listeners of load balancers: looked at, its object made or given its new
 * content in place, so that whoever uses it goes on doing so; bound, read back, proved on the wire.
 * What it has replaced is removed at the end. */

#include "targets/fe_deploy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "targets/device.h"

#define LOOK_AGAIN_MAX 3 /* the engine goes back no more than that */
#define ANSWER_MAX ((size_t)4 << 20) /* each certificate of a list has its chain and its key */
#define BUSY_MS 250      /* first pause, growing */
#define BUSY_MAX_MS 4000
#define UNDO_MS 120000   /* the balancers may be busy on the way back, too */

static struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const char *own_name(const certauto_job *job)
{
	return certauto__fact_own(job, "certificate");
}

/* ---- facts ---- */

void certauto__fe_touch(certauto_job *job)
{
	certauto__fact_set(job, "switch", "begun");
}

/* ---- calls ---- */

/* Told by the option, else found out at the first call. */
int certauto__fe_is_v2(const certauto_job *job)
{
	const char *api = certauto__option_text(certauto__fe_target(job), "elb_api");

	if (api == NULL || strcmp(api, "auto") == 0)
		api = certauto__fact_own(job, "api");
	return certauto__text_equal(api, "v2.0");
}

certauto__verdict certauto__fe_elb(certauto_job *job, certauto__exchange *x, const char *method,
	const char *path, const char *id, const char *query)
{
	certauto__buffer whole = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;

	certauto__buffer_text_add(&whole, path);
	if (id != NULL) {
		certauto__buffer_text_add(&whole, "/");
		certauto__rest_segment(&whole, id);
	}
	verdict = certauto__fe_call(job, x,
		certauto__fe_is_v2(job) ? CERTAUTO__FE_ELB_V2 : CERTAUTO__FE_ELB, method,
		certauto__buffer_text(&whole), query);
	if (whole.rc < 0)
		x->body.rc = whole.rc; /* stops the sending */
	x->max_answer = ANSWER_MAX;
	certauto__buffer_free(&whole);
	return verdict;
}

/* What could not be asked comes to reads, too: without a connection that is safe, or memory. */
int certauto__fe_is_no(const certauto__exchange *x)
{
	return x->rc < 0 || x->status >= 300;
}

certauto__verdict certauto__fe_refused_at(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	char text[CERTAUTO__FE_NAME + 128];

	snprintf(text, sizeof(text), "%.100s \"%s\"", doing, object);
	return certauto__fe_refused(job, x, object, text);
}

certauto__verdict certauto__fe_stop(certauto_job *job, int code, const char *object,
	const char *advice, const char *format, ...)
{
	certauto__verdict verdict;
	va_list args;

	va_start(args, format);
	verdict = certauto__device_stop(
		job, certauto__fe_target(job), code, object, advice, format, args);
	va_end(args);
	return verdict;
}

certauto__verdict certauto__fe_look_again(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	int64_t n = certauto__fact_number(job, ".again", 0);

	if (n == LOOK_AGAIN_MAX)
		return certauto__fe_refused_at(job, x, object, doing);
	certauto__fact_set_number(job, ".again", n + 1);
	return certauto__goto(job, "listener");
}

certauto__verdict certauto__fe_busy(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	int64_t n = certauto__step_attempts(job), ms = BUSY_MAX_MS;

	if (certauto__step_age_ms(job) >=
		certauto__option_number(certauto__fe_target(job), "timeout_ms"))
		return certauto__fe_refused_at(job, x, object, doing);
	if (n < 5)
		ms = BUSY_MS << (n - 1);
	certauto__device_waiting(job, object, "the load balancer is busy with another change");
	return certauto__again(job, ms);
}

/* ---- observe ---- */

/* What an earlier run noted is of use if it was about the same object and the same certificate. */
static void forget(certauto_job *job, const char *name, const char *print)
{
	static const char *const facts[] = {"switch", "stays", "older", "tidy", "id"};
	size_t i;

	if (certauto__fact_is(job, "certificate", name) && certauto__fact_is(job, "new", print))
		return;
	for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		certauto__fact_set(job, facts[i], NULL);
	certauto__fact_set(job, "certificate", name);
	certauto__fact_set(job, "new", print);
}

static int is_in_place(const struct certauto__deployment *deployment)
{
	return !certauto__text_equal(
		certauto__option_text(deployment->target, "update"), "new");
}

static certauto__verdict observe_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	char name[CERTAUTO__FE_NAME];

	certauto__fe_certificate(
		name, deployment, is_in_place(deployment) ? NULL : deployment->chain);
	forget(job, name, certauto__certs_info(deployment->chain, 0)->fingerprint);
	certauto__fact_set(job, "stays", NULL);
	return certauto__fe_list(job, x);
}

/* What was there is noted once: a run that goes on where another was killed sees its changes. What
 * others have put there since, before ours or in its place, is noted anew: that is to go back. */
static void note(certauto_job *job)
{
	int is_there = certauto__fact_own(job, ".id") != NULL;

	certauto__fact_set(job, "id", certauto__fact_own(job, ".id"));
	if (certauto__fact_own(job, "switch") != NULL && certauto__fe_is_new(job))
		return;
	certauto__fact_set(job, "old", is_there ? "present" : "absent");
	certauto__fact_set(job, "old.print", is_there ? certauto__fact_own(job, ".print") : NULL);
	certauto__fact_set(job, "old.pem", is_there ? certauto__fact_own(job, ".pem") : NULL);
	certauto__fact_set(job, "old.domain", is_there ? certauto__fact_own(job, ".domain") : NULL);
}

static certauto__verdict observe_read(certauto_job *job, certauto__exchange *x)
{
	const char *others;

	if (certauto__fe_is_no(x))
		return certauto__fe_refused_at(job, x, own_name(job), "reading the certificate");
	if (certauto__fe_see(job, x, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if ((others = certauto__fact_own(job, ".others")) != NULL)
		return certauto__fe_stop(job, CERTAUTO_EREFUSED, own_name(job),
			"remove those that nobody needs, or choose another name as option "
			"certificate",
			"there are several certificates \"%s\", and none of the listeners uses "
			"one of them: %s",
			own_name(job), others);
	/* It was not there when this began, and is not what was sent then. */
	if (certauto__fact_own(job, "switch") != NULL && certauto__fact_is(job, "old", "absent") &&
		certauto__fact_own(job, ".id") != NULL && !certauto__fe_is_new(job))
		return certauto__fe_stop(job, CERTAUTO_EREFUSED, own_name(job), NULL,
			"the name \"%s\" has just been taken by another certificate",
			own_name(job));
	note(job);
	certauto__fe_note_places(job);
	return CERTAUTO__NEXT;
}

/* ---- ready: everything on our side that would stop us later ---- */

static certauto__verdict check_places(certauto_job *job)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	int j;

	for (j = 0; j < certauto__fe_listener_each(job) && deployment->n_keys > 1; j++) {
		if (certauto__fe_is_sni(job, j))
			continue;
		return certauto__fe_stop(job, CERTAUTO_ECONFIG, deployment->name,
			"write sni: before the listener's id: for SNI both kinds of keys are "
			"served; or give the certificate one key",
			"a listener has one default certificate, and \"%s\" has %d keys",
			deployment->name, deployment->n_keys);
	}
	return CERTAUTO__NEXT;
}

static certauto__verdict ready_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);

	(void)x;
	if (check_places(job) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	if (certauto__fe_is_new(job))
		return CERTAUTO__NEXT;
	if (deployment->key == NULL || certauto__pkey_is_signer(deployment->key))
		return certauto__fe_stop(job, CERTAUTO_EUNSUPPORTED, deployment->name,
			"let certauto make the key",
			"the private key of \"%s\" is kept elsewhere", deployment->name);
	if (certauto__target_may_take_key(deployment->target, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return CERTAUTO__NEXT;
}

/* ---- verify: what the cloud says it has now ---- */

static certauto__verdict verify_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "switch") == NULL || certauto__planning(job))
		return CERTAUTO__NEXT;
	return certauto__fe_list(job, x);
}

static certauto__verdict verify_read(certauto_job *job, certauto__exchange *x)
{
	const char *print;

	if (certauto__fe_is_no(x))
		return certauto__fe_refused_at(
			job, x, own_name(job), "reading back the certificate");
	if (certauto__fe_see(job, x, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fe_is_new(job))
		return CERTAUTO__NEXT;
	print = certauto__fact_own(job, ".id") != NULL ? certauto__fact_own(job, ".print")
						       : "no certificate";
	return certauto__fe_stop(job, CERTAUTO_EREFUSED, own_name(job), NULL,
		"read back, \"%s\" is not the new certificate: %.16s instead of %.16s",
		own_name(job), print, certauto__fact_own(job, "new"));
}

/* ---- end: what was replaced is removed ---- */

/* An attempt whose answer was lost may have made a second one: a name can be there twice. */
static certauto__verdict end_ask(certauto_job *job, certauto__exchange *x)
{
	const char *lists[] = {
		certauto__fact_own(job, "older"), certauto__fact_own(job, ".ours")};
	char id[CERTAUTO__FE_ID];
	size_t i;

	(void)x;
	if (certauto__fact_own(job, "switch") == NULL || certauto__fact_own(job, "tidy") != NULL)
		return CERTAUTO__NEXT;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		while (certauto__device_item(id, sizeof(id), &lists[i])) {
			if (!certauto__fact_is(job, "id", id))
				certauto__device_list_add(job, "tidy", id);
		}
	}
	return CERTAUTO__NEXT;
}

/* The index-th of what is to be removed; 0: there is none. */
static int tidy_at(char id[CERTAUTO__FE_ID], const certauto_job *job, int index)
{
	const char *at = certauto__fact_own(job, "tidy");

	while (certauto__device_item(id, CERTAUTO__FE_ID, &at)) {
		if (index-- == 0)
			return 1;
	}
	return 0;
}

static int tidy_each(certauto_job *job)
{
	char id[CERTAUTO__FE_ID];
	int n = 0;

	while (tidy_at(id, job, n))
		n++;
	return n;
}

static certauto__verdict tidy_ask(certauto_job *job, certauto__exchange *x)
{
	char id[CERTAUTO__FE_ID] = "";

	tidy_at(id, job, certauto__index(job));
	return certauto__fe_elb(job, x, "DELETE", CERTAUTO__FE_CERTIFICATES, id, NULL);
}

/* What others have come to use stays. */
static certauto__verdict tidy_read(certauto_job *job, certauto__exchange *x)
{
	char id[CERTAUTO__FE_ID] = "";

	if (!certauto__fe_is_no(x) || x->status == 404 || certauto__fe_is_in_use(x))
		return CERTAUTO__NEXT;
	tidy_at(id, job, certauto__index(job));
	return certauto__fe_refused_at(job, x, id, "removing the certificate");
}

static const struct certauto__step fe_deploy_steps[] = {
	{.name = "listener",
		.ask = certauto__fe_listener_ask,
		.read = certauto__fe_listener_read,
		.each = certauto__fe_listener_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "observe",
		.ask = observe_ask,
		.read = observe_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "others",
		.ask = certauto__fe_others_ask,
		.read = certauto__fe_others_read,
		.each = certauto__fe_listener_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "shared",
		.ask = certauto__fe_shared_ask,
		.read = certauto__fe_shared_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "ready", .ask = ready_ask, .flags = CERTAUTO__READS},
	{.name = "put",
		.ask = certauto__fe_put_ask,
		.read = certauto__fe_put_read,
		.undo = certauto__fe_put_undo,
		.undo_read = certauto__fe_put_undo_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "bind",
		.ask = certauto__fe_bind_ask,
		.read = certauto__fe_bind_read,
		.undo = certauto__fe_bind_undo,
		.undo_read = certauto__fe_bind_undo_read,
		.each = certauto__fe_listener_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "verify",
		.ask = verify_ask,
		.read = verify_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "bound",
		.ask = certauto__fe_bound_ask,
		.read = certauto__fe_bound_read,
		.each = certauto__fe_listener_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	CERTAUTO__STEP_PROVE,
	{.name = "end", .ask = end_ask, .flags = CERTAUTO__COMMIT},
	{.name = "tidy",
		.ask = tidy_ask,
		.read = tidy_read,
		.each = tidy_each,
		.flags = CERTAUTO__OWED | CERTAUTO__ERRORS},
};

const struct certauto__table certauto__fe_deploy = {
	.name = "fe-deploy",
	.steps = fe_deploy_steps,
	.n_steps = sizeof(fe_deploy_steps) / sizeof(fe_deploy_steps[0]),
	.undo_ms = UNDO_MS,
};
