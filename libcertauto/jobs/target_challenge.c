/* SPDX-License-Identifier: Apache-2.0 */
/* The look at our own http-01 answer before the CA is told to look: a mistake in the set-up
 * costs a failed validation there, and those are limited. */

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "jobs/target.h"

#define CHECK_PATIENCE_MS 5000
#define CHECK_DELAY_MS 20 /* doubled after each look */
#define CHECK_DELAY_MAX_MS 640
#define CHECK_REQUEST_MS 5000
#define CHECK_ANSWER_MAX 4096
#define CHECK_SHOWN 64 /* bytes of a wrong answer that the message repeats */

certauto__verdict certauto__challenge_check_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *through = certauto__option_text(target, "challenge_check");
	const char *challenge = certauto__fact(job, "challenge");
	char url[CERTAUTO__HTTP_URL_MAX], address[CERTAUTO__ADDRESS];
	certauto__verdict verdict;

	if (certauto__text_equal(through, "no") || certauto__planning(job) ||
		(challenge != NULL && !certauto__text_equal(challenge, "http-01")))
		return CERTAUTO__NEXT;
	snprintf(url, sizeof(url), "http://%s/.well-known/acme-challenge/%s",
		certauto__fact(job, "name"), certauto__fact(job, "token"));
	verdict = certauto__ask_http(x, "GET", url);
	x->http = CERTAUTO__HTTP_SELFCHECK;
	x->timeout_ms = CHECK_REQUEST_MS;
	x->max_answer = CHECK_ANSWER_MAX;
	if (through == NULL || certauto__text_equal(through, "auto") ||
		certauto__address_format(address, through, 80) < 0)
		return verdict;
	/* A fact of the job lives as long as the exchange that borrows it. */
	certauto__fact_set(job, ".check.address", address);
	x->connect_to = certauto__fact_own(job, ".check.address");
	return verdict;
}

/* What came back instead, for people. A body with the key authorization in it is not repeated. */
static void check_seen(certauto__buffer *out, const certauto_job *job, const certauto__exchange *x)
{
	const char *value = certauto__fact(job, ".value"), *body;
	size_t len;

	if (x->rc < 0) {
		certauto__buffer_text_add(out, certauto_error_message(&x->error));
		return;
	}
	body = certauto__exchange_answer(x, &len);
	if (value != NULL && strstr(body, value) != NULL) {
		certauto__buffer_printf(out, "HTTP %d came back, the right answer in it, but %s",
			x->status, x->status == 200 ? "with something around it"
						    : "the status must be 200");
		return;
	}
	certauto__buffer_printf(out, "HTTP %d came back, beginning with \"", x->status);
	certauto__text_escape(out, body, len < CHECK_SHOWN ? len : CHECK_SHOWN);
	certauto__buffer_text_add(out, "\"");
}

static certauto__verdict check_failed(certauto_job *job, const certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *name = certauto__fact(job, "name"),
		   *through = certauto__fact_own(job, ".check.address");
	certauto__buffer seen = CERTAUTO__BUFFER(4096);
	certauto_error error = {0};

	check_seen(&seen, job, x);
	certauto__error_set(&error, CERTAUTO_ECHALLENGE, name,
		"%s: http://%s/.well-known/acme-challenge/%s, asked through %s, does not give the "
		"challenge's answer: %s",
		target->label, name, certauto__fact(job, "token"),
		through != NULL ? through : "port 80 of that name", certauto__buffer_text(&seen));
	certauto__error_advise(&error,
		"the CA will ask for the same URL: see that %s leads to target \"%s\". If only "
		"this machine cannot reach it, set the option challenge_check to the host:port to "
		"ask here, or to no",
		name, target->label);
	certauto__buffer_free(&seen);
	return certauto__fail_with(job, &error);
}

certauto__verdict certauto__challenge_check_read(certauto_job *job, certauto__exchange *x)
{
	const char *value = certauto__fact(job, ".value"), *body;
	int64_t attempts = certauto__step_attempts(job);
	size_t len;

	body = certauto__exchange_answer(x, &len);
	if (x->rc == 0 && x->status == 200 && value != NULL && len == strlen(value) &&
		memcmp(body, value, len) == 0)
		return CERTAUTO__NEXT;
	if (certauto__step_age_ms(job) < CHECK_PATIENCE_MS)
		return certauto__again(job,
			attempts < 6 ? (int64_t)CHECK_DELAY_MS << (attempts - 1)
				     : CHECK_DELAY_MAX_MS);
	return check_failed(job, x);
}
