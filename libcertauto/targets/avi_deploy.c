/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate onto an Avi controller: looked at, missing intermediates made, the object made or
 * given its new content in place, so that whoever uses it goes on doing so; bound, read back,
 * proved on the wire. What it has replaced is removed at the end. */

#include "targets/avi_deploy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <certauto/error.h>

#include "targets/device.h"

#define LOOK_AGAIN_MAX 3 /* the engine goes back no more than that */

static struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const struct certauto__cert_info *leaf_of(const certauto_job *job)
{
	return certauto__certs_info(deployment_of(job)->chain, 0);
}

static const char *own_name(const certauto_job *job)
{
	return certauto__fact_own(job, "certificate");
}

/* ---- facts ---- */

int certauto__avi_listed(const char *list, const char *item)
{
	char one[2 * CERTAUTO__AVI_UUID];

	while (item != NULL && certauto__avi_item(one, sizeof(one), &list)) {
		if (strcmp(one, item) == 0)
			return 1;
	}
	return 0;
}

void certauto__avi_list_add(certauto_job *job, const char *name, const char *item)
{
	const char *list = certauto__fact_own(job, name);

	if (!certauto__avi_listed(list, item))
		certauto__fact_printf(job, name, "%s%s%s", list != NULL ? list : "",
			list != NULL ? "," : "", item);
}

void certauto__avi_refs(certauto_job *job, const char *name, const char *refs)
{
	char ref[1024], uuid[CERTAUTO__AVI_UUID];

	certauto__fact_set(job, name, NULL);
	while (certauto__avi_item(ref, sizeof(ref), &refs)) {
		certauto__rest_id(uuid, ref);
		if (uuid[0] != '\0')
			certauto__avi_list_add(job, name, uuid);
	}
}

void certauto__avi_touch(certauto_job *job)
{
	certauto__fact_set(job, "switch", "begun");
}

/* ---- calls ---- */

certauto__verdict certauto__avi_get(certauto__exchange *x, const certauto_target *target,
	const char *type, const char *filter, const char *value, const char *fields)
{
	certauto__buffer query = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__verdict verdict;

	/* A fact that there was no memory for: nothing is sent, the job fails by itself. */
	certauto__avi_arg(&query, filter, value != NULL ? value : "");
	certauto__buffer_printf(&query, "&page_size=%d", CERTAUTO__AVI_PAGE);
	if (fields != NULL)
		certauto__avi_arg(&query, "fields", fields);
	verdict = certauto__avi_call(
		x, target, "GET", type, NULL, certauto__buffer_text(&query));
	if (query.rc < 0)
		x->body.rc = query.rc; /* stops the sending */
	certauto__buffer_free(&query);
	return verdict;
}

certauto__verdict certauto__avi_refused_at(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	char text[CERTAUTO__AVI_NAME + 128];

	snprintf(text, sizeof(text), "%.100s \"%s\"", doing, object);
	return certauto__avi_refused(job, x, object, text);
}

certauto__verdict certauto__avi_stop(certauto_job *job, int code, const char *object,
	const char *advice, const char *format, ...)
{
	certauto__verdict verdict;
	va_list args;

	va_start(args, format);
	verdict = certauto__device_stop(
		job, certauto__avi_target(job), code, object, advice, format, args);
	va_end(args);
	return verdict;
}

certauto__verdict certauto__avi_look_again(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	int64_t n = certauto__fact_number(job, ".again", 0);

	if (n == LOOK_AGAIN_MAX)
		return certauto__avi_refused_at(job, x, object, doing);
	certauto__fact_set_number(job, ".again", n + 1);
	return certauto__goto(job, "observe");
}

/* ---- a look at the certificate ---- */

enum { ROW_NAME, ROW_UUID, ROW_TYPE, ROW_STATUS, ROW_PROFILE, ROW_PEM, ROW_SERIAL, ROW_CA };

struct look {
	certauto_job *job;
	int n;
};

/* The first one alone: it is what certauto__avi_kept() sends back. */
static int look_row(void *arg, const char *const *row)
{
	struct look *look = arg;
	certauto_job *job = look->job;
	char print[CERTAUTO__AVI_PRINT];
	int rc;

	if (look->n++ > 0 || row[ROW_UUID] == NULL ||
		!certauto__text_equal(row[ROW_NAME], own_name(job)))
		return 0;
	if ((rc = certauto__avi_print(print, row[ROW_PEM], row[ROW_SERIAL])) < 0)
		return rc;
	certauto__fact_set(job, ".uuid", row[ROW_UUID]);
	certauto__fact_set(job, ".print", print);
	certauto__fact_set(job, ".type", row[ROW_TYPE]);
	certauto__fact_set(job, ".status", row[ROW_STATUS]);
	certauto__fact_set(job, ".profile", row[ROW_PROFILE]);
	certauto__fact_set(job, ".pem", row[ROW_PEM]);
	certauto__avi_refs(job, ".ca", row[ROW_CA]);
	return 0;
}

static int look(certauto_job *job, const certauto__exchange *x, int is_list, certauto_error *err)
{
	static const char *const fields[] = {"name", "uuid", "type", "status",
		"certificate_management_profile_ref", "certificate.certificate",
		"certificate.serial_number", "ca_certs[].ca_ref", NULL};
	struct look look = {.job = job};

	certauto__fact_set(job, ".uuid", NULL);
	certauto__avi_keep(job, x);
	return is_list ? certauto__rest_rows(x, fields, look_row, &look, NULL, err)
		       : certauto__rest_object(x, fields, look_row, &look, err);
}

/* At the one of that name in a list, or the object in the answer to a write; without ".uuid" there
 * is none. */
int certauto__avi_look(certauto_job *job, const certauto__exchange *x, certauto_error *err)
{
	return look(job, x, 1, err);
}

certauto__verdict certauto__avi_get_certificate(certauto_job *job, certauto__exchange *x)
{
	return certauto__avi_get(
		x, certauto__avi_target(job), CERTAUTO__AVI_CERT, "name", own_name(job), NULL);
}

int certauto__avi_is_new(const certauto_job *job)
{
	return certauto__fact_own(job, ".uuid") != NULL &&
		certauto__avi_listed(
			certauto__fact_own(job, "new"), certauto__fact_own(job, ".print"));
}

static int is_finished(const certauto_job *job)
{
	const char *status = certauto__fact_own(job, ".status");

	return status == NULL || strcmp(status, "SSL_CERTIFICATE_FINISHED") == 0;
}

int certauto__avi_is_stored(const certauto_job *job)
{
	return certauto__avi_is_new(job) && is_finished(job) && certauto__avi_is_linked(job);
}

/* ---- observe ---- */

/* What an earlier run noted is of use if it was about the same object and the same certificate. */
static void forget(certauto_job *job, const char *name, const char *prints)
{
	static const char *const facts[] = {"switch", "stays", "older", "tidy", "uuid"};
	size_t i;

	if (certauto__fact_is(job, "certificate", name) && certauto__fact_is(job, "new", prints))
		return;
	for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++)
		certauto__fact_set(job, facts[i], NULL);
	certauto__fact_set(job, "certificate", name);
	certauto__fact_set(job, "new", prints);
}

static certauto__verdict observe_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	char name[CERTAUTO__AVI_NAME], prints[2 * CERTAUTO__AVI_PRINT];

	certauto__avi_certificate(name, deployment);
	certauto__avi_prints(prints, leaf_of(job));
	forget(job, name, prints);
	certauto__fact_set(job, "stays", NULL);
	certauto__fact_set_number(job, "n.ca", certauto__avi_n_ca(deployment->chain));
	return certauto__avi_get_certificate(job, x);
}

static certauto__verdict stop_profile(certauto_job *job)
{
	return certauto__avi_stop(job, CERTAUTO_EREFUSED, own_name(job),
		"\"certauto target renew\" has the controller renew it; for a certificate of "
		"certauto's choose another name as option certificate",
		"the certificate \"%s\" is one that the controller itself renews, by a certificate "
		"management profile",
		own_name(job));
}

/* That the object may be given another certificate. */
static certauto__verdict check_object(certauto_job *job)
{
	const char *type = certauto__fact_own(job, ".type");

	if (certauto__fact_own(job, ".uuid") == NULL)
		return CERTAUTO__NEXT;
	if (type != NULL && strcmp(type, "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE") != 0)
		return certauto__avi_stop(job, CERTAUTO_EREFUSED, own_name(job),
			"choose another name as option certificate, or another prefix",
			"\"%s\" is not a certificate for virtual services: its type is %.60s",
			own_name(job), type);
	if (certauto__fact_own(job, ".profile") != NULL)
		return stop_profile(job);
	/* It was not there when this began, and is not what was sent then. */
	if (certauto__fact_own(job, "switch") != NULL && certauto__fact_is(job, "old", "absent") &&
		!certauto__avi_is_new(job))
		return certauto__avi_stop(job, CERTAUTO_EREFUSED, own_name(job), NULL,
			"the name \"%s\" has just been taken by another certificate",
			own_name(job));
	return CERTAUTO__NEXT;
}

/* What was there is noted once: a run that goes on where another was killed sees its changes. What
 * others have put there since, before ours or in its place, is noted anew: that is to go back. */
static void note(certauto_job *job)
{
	int is_there = certauto__fact_own(job, ".uuid") != NULL;

	certauto__fact_set(job, "uuid", certauto__fact_own(job, ".uuid"));
	if (certauto__fact_own(job, "switch") != NULL && certauto__avi_is_new(job))
		return;
	certauto__fact_set(job, "old", is_there ? "present" : "absent");
	certauto__fact_set(job, "old.print", is_there ? certauto__fact_own(job, ".print") : NULL);
	certauto__fact_set(job, "old.pem", is_there ? certauto__fact_own(job, ".pem") : NULL);
	certauto__fact_set(job, "old.ca", is_there ? certauto__fact_own(job, ".ca") : NULL);
}

static certauto__verdict observe_read(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict;

	if (certauto__avi_is_no(x))
		return certauto__avi_refused_at(job, x, own_name(job), "reading the certificate");
	if (certauto__avi_look(job, x, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if ((verdict = check_object(job)) == CERTAUTO__NEXT)
		note(job);
	return verdict;
}

/* ---- ready: everything on our side that would stop us later ---- */

static certauto__verdict ready_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);

	(void)x;
	if (certauto__avi_is_stored(job))
		return CERTAUTO__NEXT;
	if (deployment->key == NULL)
		return certauto__fact_own(job, ".uuid") != NULL ? CERTAUTO__NEXT
			: certauto__avi_stop(job, CERTAUTO_ENOTFOUND, deployment->name,
				"let certauto make the key, or make the request on the controller, "
				"as a certificate of the name that the option certificate tells",
				"there is no certificate \"%s\" whose key the controller has made",
				own_name(job));
	if (certauto__pkey_is_signer(deployment->key))
		return certauto__avi_stop(job, CERTAUTO_EUNSUPPORTED, deployment->name,
			"let certauto make the key",
			"the private key of \"%s\" is kept elsewhere", deployment->name);
	if (certauto__target_may_take_key(deployment->target, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return CERTAUTO__NEXT;
}

/* ---- verify: what the controller says it has now ---- */

static certauto__verdict verify_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "switch") == NULL || certauto__planning(job))
		return CERTAUTO__NEXT;
	return certauto__avi_call(x, deployment_of(job)->target, "GET", CERTAUTO__AVI_CERT,
		certauto__fact_own(job, "uuid"), NULL);
}

static certauto__verdict verify_read(certauto_job *job, certauto__exchange *x)
{
	const char *print;

	if (certauto__avi_is_no(x))
		return certauto__avi_refused_at(
			job, x, own_name(job), "reading back the certificate");
	if (look(job, x, 0, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	print = certauto__fact_own(job, ".uuid") != NULL ? certauto__fact_own(job, ".print")
							 : "no certificate";
	if (!certauto__avi_is_new(job))
		return certauto__avi_stop(job, CERTAUTO_EREFUSED, own_name(job), NULL,
			"read back, \"%s\" is not the new certificate: %.16s instead of %.16s",
			own_name(job), print, leaf_of(job)->fingerprint);
	if (!is_finished(job))
		return certauto__avi_stop(job, CERTAUTO_EREFUSED, own_name(job), NULL,
			"read back, \"%s\" is not finished: its status is %.60s", own_name(job),
			certauto__fact_own(job, ".status"));
	if (!certauto__avi_is_linked(job))
		certauto__warn(job, own_name(job),
			"the controller has not linked \"%s\" to its issuer: clients may get no "
			"chain",
			own_name(job));
	return CERTAUTO__NEXT;
}

/* ---- end: what was replaced is removed ---- */

static certauto__verdict end_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__fact_own(job, "switch") == NULL || certauto__fact_own(job, "tidy") != NULL)
		return CERTAUTO__NEXT;
	certauto__fact_set(job, "tidy", certauto__fact_own(job, "older"));
	certauto__avi_chain_tidy(job);
	return CERTAUTO__NEXT;
}

/* The index-th of what is to be removed; 0: there is none. */
static int tidy_at(char uuid[CERTAUTO__AVI_UUID], const certauto_job *job, int index)
{
	const char *at = certauto__fact_own(job, "tidy");

	while (certauto__avi_item(uuid, CERTAUTO__AVI_UUID, &at)) {
		if (index-- == 0)
			return 1;
	}
	return 0;
}

static int tidy_each(certauto_job *job)
{
	char uuid[CERTAUTO__AVI_UUID];
	int n = 0;

	while (tidy_at(uuid, job, n))
		n++;
	return n;
}

static certauto__verdict tidy_ask(certauto_job *job, certauto__exchange *x)
{
	char uuid[CERTAUTO__AVI_UUID];

	tidy_at(uuid, job, certauto__index(job));
	return certauto__avi_call(
		x, deployment_of(job)->target, "DELETE", CERTAUTO__AVI_CERT, uuid, NULL);
}

/* What others have come to use stays. */
static certauto__verdict tidy_read(certauto_job *job, certauto__exchange *x)
{
	char uuid[CERTAUTO__AVI_UUID];

	if (!certauto__avi_is_no(x) || x->status == 404 || certauto__avi_is_in_use(x))
		return CERTAUTO__NEXT;
	tidy_at(uuid, job, certauto__index(job));
	return certauto__avi_refused_at(job, x, uuid, "removing the certificate");
}

static const struct certauto__step avi_deploy_steps[] = {
	{.name = "observe",
		.ask = observe_ask,
		.read = observe_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "issuers",
		.ask = certauto__avi_cas_ask,
		.read = certauto__avi_cas_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "virtualservice",
		.ask = certauto__avi_vs_ask,
		.read = certauto__avi_vs_read,
		.each = certauto__avi_vs_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "bound",
		.ask = certauto__avi_others_ask,
		.read = certauto__avi_others_read,
		.each = certauto__avi_vs_each,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "ready", .ask = ready_ask, .flags = CERTAUTO__READS},
	{.name = "issuer",
		.ask = certauto__avi_ca_ask,
		.read = certauto__avi_ca_read,
		.undo = certauto__avi_ca_undo,
		.undo_read = certauto__avi_ca_undo_read,
		.each = certauto__avi_ca_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "put",
		.ask = certauto__avi_put_ask,
		.read = certauto__avi_put_read,
		.undo = certauto__avi_put_undo,
		.undo_read = certauto__avi_put_undo_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "bind",
		.ask = certauto__avi_bind_ask,
		.read = certauto__avi_bind_read,
		.undo = certauto__avi_bind_undo,
		.undo_read = certauto__avi_bind_undo_read,
		.each = certauto__avi_vs_each,
		.flags = CERTAUTO__ERRORS},
	{.name = "verify",
		.ask = verify_ask,
		.read = verify_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	CERTAUTO__STEP_PROVE,
	{.name = "end", .ask = end_ask, .flags = CERTAUTO__COMMIT},
	{.name = "tidy",
		.ask = tidy_ask,
		.read = tidy_read,
		.each = tidy_each,
		.flags = CERTAUTO__OWED | CERTAUTO__ERRORS},
};

const struct certauto__table certauto__avi_deploy = {
	.name = "avi-deploy",
	.steps = avi_deploy_steps,
	.n_steps = sizeof(avi_deploy_steps) / sizeof(avi_deploy_steps[0]),
};
