/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that the controller renews by itself, with the script of a certificate management
 * profile: it is told to do it now, and waited for; then a handshake tells what is served. */

#include "targets/avi_deploy.h"

#include <string.h>

#include <certauto/error.h>

#include "targets/device.h"

#define PATIENCE_MS (10 * 60 * 1000) /* a script has five minutes where nobody says otherwise */
#define DELAY_MS 250
#define DELAY_MAX_MS 2000

static certauto_target *target_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const char *own_name(const certauto_job *job)
{
	return certauto__option_text(target_of(job), "certificate");
}

/* ---- a look ---- */

enum { ROW_NAME, ROW_UUID, ROW_STATUS, ROW_PROFILE, ROW_SERIAL, ROW_PEM };

static int look_row(void *arg, const char *const *row)
{
	certauto_job *job = arg;

	if (!certauto__text_equal(row[ROW_NAME], own_name(job)))
		return 0;
	certauto__fact_set(job, ".uuid", row[ROW_UUID]);
	certauto__fact_set(job, ".status", row[ROW_STATUS]);
	certauto__fact_set(job, ".profile", row[ROW_PROFILE]);
	certauto__fact_set(job, ".serial", row[ROW_SERIAL]);
	certauto__fact_set(job, ".pem", row[ROW_PEM]);
	return 0;
}

static certauto__verdict look_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__avi_get(
		x, target_of(job), CERTAUTO__AVI_CERT, "name", own_name(job), NULL);
}

static certauto__verdict look(certauto_job *job, const certauto__exchange *x)
{
	static const char *const fields[] = {"name", "uuid", "status",
		"certificate_management_profile_ref", "certificate.serial_number",
		"certificate.certificate", NULL};

	if (certauto__avi_is_no(x))
		return certauto__avi_refused_at(job, x, own_name(job), "reading the certificate");
	certauto__fact_set(job, ".uuid", NULL);
	if (certauto__rest_rows(x, fields, look_row, job, NULL, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	if (certauto__fact_own(job, ".uuid") == NULL)
		return certauto__avi_stop(job, CERTAUTO_ENOTFOUND, own_name(job),
			"name an existing one as option certificate, and its tenant as option "
			"tenant",
			"there is no certificate \"%s\" in the tenant \"%s\"", own_name(job),
			certauto__option_text(target_of(job), "tenant"));
	return CERTAUTO__NEXT;
}

/* ---- before ---- */

static certauto__verdict before_ask(certauto_job *job, certauto__exchange *x)
{
	if (own_name(job) == NULL)
		return certauto__avi_stop(job, CERTAUTO_EINVAL, target_of(job)->label,
			"set the option certificate to the name of the object that the controller "
			"is to renew",
			"no certificate is named");
	return look_ask(job, x);
}

static certauto__verdict before_read(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict = look(job, x);
	const char *serial = certauto__fact_own(job, ".serial");

	if (verdict != CERTAUTO__NEXT)
		return verdict;
	if (certauto__fact_own(job, ".profile") == NULL)
		return certauto__avi_stop(job, CERTAUTO_EREFUSED, own_name(job),
			"\"certauto renew\" renews what certauto has deployed; for the controller "
			"to do it, give it a certificate management profile",
			"the controller does not renew the certificate \"%s\": it has no "
			"certificate management profile",
			own_name(job));
	certauto__fact_set(job, ".former", serial != NULL ? serial : "");
	certauto__fact_set(job, ".began", NULL);
	return CERTAUTO__NEXT;
}

/* ---- renew ---- */

/* Some controllers answer when the script has ended. */
static certauto__verdict renew_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict;
	certauto__json w;

	certauto__progress(job, own_name(job), "the controller renews %s", own_name(job));
	verdict = certauto__avi_call(x, target_of(job), "POST", CERTAUTO__AVI_CERT,
		certauto__fact_own(job, ".uuid"), NULL);
	certauto__buffer_text_add(&x->url, "/renew");
	x->timeout_ms = PATIENCE_MS;
	certauto__avi_body(&w, x);
	certauto__json_object(&w);
	certauto__json_object_end(&w);
	return verdict;
}

static certauto__verdict renew_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__avi_is_no(x))
		return certauto__avi_refused_at(
			job, x, own_name(job), "having the controller renew the certificate");
	return CERTAUTO__NEXT;
}

/* ---- wait ---- */

static int is_renewed(const certauto_job *job)
{
	const char *serial = certauto__fact_own(job, ".serial");

	return serial != NULL && !certauto__text_equal(serial, certauto__fact_own(job, ".former"));
}

/* The words of a script that has failed meanwhile are not in the object. */
static certauto__verdict not_renewed(certauto_job *job, int code, const char *why)
{
	return certauto__avi_stop(job, code, own_name(job),
		"the controller's events tell what the script has said; \"certauto target test\" "
		"looks at its profile",
		"the controller has not renewed the certificate \"%s\": %s", own_name(job), why);
}

static certauto__verdict wait_read(certauto_job *job, certauto__exchange *x)
{
	int64_t delay = DELAY_MS * certauto__step_attempts(job);
	certauto__verdict verdict = look(job, x);
	const char *status = certauto__fact_own(job, ".status");
	int is_pending;

	if (verdict != CERTAUTO__NEXT)
		return verdict;
	is_pending = status != NULL && strcmp(status, "SSL_CERTIFICATE_FINISHED") != 0;
	if (is_renewed(job) && !is_pending)
		return CERTAUTO__NEXT;
	if (is_pending)
		certauto__fact_set(job, ".began", "yes");
	else if (certauto__fact_own(job, ".began") != NULL)
		return not_renewed(job, CERTAUTO_EREFUSED, "it had begun to, and has given it up");
	if (certauto__step_age_ms(job) > PATIENCE_MS)
		return not_renewed(job, CERTAUTO_ETIMEDOUT, "it was waited for in vain");
	certauto__device_waiting(job, own_name(job), "waiting for the controller's script");
	return certauto__again(job, delay < DELAY_MAX_MS ? delay : DELAY_MAX_MS);
}

/* ---- served? ---- */

static const struct certauto__step proof_steps[] = {CERTAUTO__STEP_PROVE};

static const struct certauto__table proof_table = {
	.name = "avi-proof",
	.steps = proof_steps,
	.n_steps = 1,
};

/* As after a deployment, to the same target, of what the controller has now. */
static int proof_make(struct certauto__deployment **out, certauto_job *job, certauto_error *err)
{
	const char *pem = certauto__fact_own(job, ".pem");
	struct certauto__deployment *deployment =
		certauto__deployment_new(target_of(job), own_name(job), "csr");
	int rc;

	if (deployment == NULL)
		return certauto__error_nomem(err);
	if ((rc = certauto__certs_parse(&deployment->chain, pem, strlen(pem), 0, err)) == 0 &&
		certauto__list_copy(&deployment->names,
			certauto__certs_info(deployment->chain, 0)->names) < 0)
		rc = certauto__error_nomem(err);
	if (rc == 0)
		*out = deployment;
	else
		certauto__deployment_free(deployment);
	return rc;
}

static certauto__verdict proof_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__deployment *deployment = NULL;

	(void)x;
	if (certauto__fact_own(job, ".pem") == NULL ||
		!certauto__option_is_set(target_of(job), "probe"))
		return CERTAUTO__NEXT;
	if (proof_make(&deployment, job, certauto__job_error_of(job)) < 0)
		return CERTAUTO__FAILED;
	return certauto__child_start(job, &proof_table, "proof", deployment,
		       certauto__deployment_free, NULL, 0) != NULL
		? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

/* The child's own error, not one that gathers several. */
static certauto__verdict proof_read(certauto_job *job, certauto__exchange *x)
{
	const certauto_job *child = certauto__child(job, &proof_table, 0);
	certauto_error error = {0};

	(void)x;
	if (certauto__child_result(child) >= 0)
		return CERTAUTO__NEXT;
	certauto__error_copy(&error, certauto_job_error(child));
	return certauto__fail_with(job, &error);
}

static const struct certauto__step avi_renew_steps[] = {
	{.name = "before",
		.ask = before_ask,
		.read = before_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "renew", .ask = renew_ask, .read = renew_read, .flags = CERTAUTO__ERRORS},
	{.name = "wait",
		.ask = look_ask,
		.read = wait_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "proof", .ask = proof_ask, .read = proof_read, .flags = CERTAUTO__READS},
};

const struct certauto__table certauto__avi_renew = {
	.name = "avi-renew",
	.steps = avi_renew_steps,
	.n_steps = sizeof(avi_renew_steps) / sizeof(avi_renew_steps[0]),
};
