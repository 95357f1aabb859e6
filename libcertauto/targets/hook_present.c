/* SPDX-License-Identifier: Apache-2.0 */
/* Challenges through hook programs: told to add, and at the end, whatever came of it, to remove.
 *
 * Facts: "begun": the program has been told to add, and not yet to remove; "idle": it did not even
 * start, so there is nothing to remove; "answer": the key authorization, which the CA and whoever
 * asks for it can read, and which some programs want again to remove it; "output": what the program
 * has said. */

#include <string.h>

#include <certauto/error.h>

#include "dns/dns.h"
#include "targets/hook.h"

static int is_http(const certauto_job *job)
{
	return certauto__text_equal(certauto__fact(job, "challenge"), "http-01");
}

static int may_tell(const certauto_job *job, const certauto_target *target, certauto_error *err)
{
	const struct certauto__hook_style *style = certauto__hook_style_of(target);
	const char *challenge = certauto__fact(job, "challenge");
	int cap = is_http(job) ? CERTAUTO_TARGET_HTTP01 : CERTAUTO_TARGET_DNS01, rc;

	if ((rc = certauto__target_able(target, cap, err)) < 0)
		return rc;
	if ((style->caps & cap) != 0 &&
		(style->tells_record || is_http(job) ||
			certauto__text_equal(challenge, "dns-01")))
		return 0;
	return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, target->label,
		"%s: a hook of %s cannot be told of %s challenges", target->label, style->name,
		challenge);
}

static certauto__verdict ready_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	certauto_error *err = certauto__job_error_of(job);

	(void)x;
	if (may_tell(job, target, err) < 0 || certauto__hook_ready(target, err) < 0)
		return CERTAUTO__FAILED;
	return is_http(job) ? certauto__challenge_begin(job, target) : CERTAUTO__NEXT;
}

/* An earlier run was killed: it may have added the value. A second time is once too often for many
 * a program. */
static certauto__verdict leftover_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__fact_own(job, "begun") == NULL || certauto__planning(job) ||
		certauto__hook_program(certauto__job_env(job), CERTAUTO__HOOK_REMOVE)->n == 0)
		return CERTAUTO__NEXT;
	return certauto__hook_start(job, CERTAUTO__HOOK_REMOVE, certauto__job_env(job));
}

static certauto__verdict leftover_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error error = {0};

	(void)x;
	if (certauto__hook_ended(job, NULL, &error) < 0)
		certauto__warn(job, certauto__job_key(job), "what an earlier run left: %s",
			certauto_error_message(&error));
	certauto__error_clear(&error);
	return CERTAUTO__NEXT;
}

/* The text of a TXT record, which has no dot, is the answer to dns-01 alone. */
static void note_answer(certauto_job *job)
{
	const char *value = certauto__fact(job, ".value");

	if (value != NULL && (is_http(job) || strchr(value, '.') != NULL))
		certauto__fact_set(job, "answer", value);
}

static int is_name(const char *name)
{
	return name != NULL && (certauto__dns_owner_valid(name) || certauto__ip_check(name));
}

/* That of http-01 is a file's name. */
static int is_word(const certauto_job *job, const char *fact)
{
	const char *text = certauto__fact(job, fact);

	return text == NULL ||
		(is_http(job) ? certauto__challenge_is_text(text) : certauto__dns_text_valid(text));
}

/* All this becomes arguments and variables: of scripts, too, that put it between words of their
 * own. What an order has was looked at before, what a caller has was not. */
static int may_be_told(certauto_job *job)
{
	const certauto_target *target = certauto__job_env(job);
	const char *name = certauto__fact(job, "name");

	if (name != NULL && certauto__text_starts(name, "*."))
		name += 2;
	if (is_name(name) && (is_http(job) || is_name(certauto__fact(job, "record"))) &&
		is_word(job, "token") && is_word(job, "txt") && is_word(job, "answer"))
		return 1;
	certauto__error_set(certauto__job_error_of(job), CERTAUTO_EINVAL, target->label,
		"%s: the name, the token or the value of the challenge has characters that none "
		"may have", target->label);
	return 0;
}

static certauto__verdict add_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	note_answer(job);
	if (!may_be_told(job))
		return CERTAUTO__FAILED;
	certauto__fact_set(job, "begun", "yes");
	certauto__fact_set(job, "idle", NULL);
	return certauto__hook_start(job, CERTAUTO__HOOK_ADD, certauto__job_env(job));
}

static certauto__verdict add_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error error = {0};
	int ran;

	(void)x;
	if (certauto__hook_ended(job, &ran, &error) < 0) {
		certauto__fact_set(job, "idle", ran ? NULL : "yes");
		return certauto__fail_with(job, &error);
	}
	certauto__fact_set(job, "output", certauto__hook_output(job));
	return CERTAUTO__NEXT;
}

/* Without facts of its own it is the clean-up alone, which is given the value, if any. */
static certauto__verdict add_undo(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__fact_own(job, "idle") != NULL ||
		certauto__hook_program(certauto__job_env(job), CERTAUTO__HOOK_REMOVE)->n == 0)
		return CERTAUTO__NEXT;
	note_answer(job);
	if (!may_be_told(job))
		return CERTAUTO__FAILED;
	return certauto__hook_start(job, CERTAUTO__HOOK_REMOVE, certauto__job_env(job));
}

static certauto__verdict add_undone(certauto_job *job, certauto__exchange *x)
{
	certauto_error error = {0};

	(void)x;
	if (certauto__hook_ended(job, NULL, &error) < 0)
		return certauto__fail_with(job, &error);
	certauto__fact_set(job, "begun", NULL);
	return CERTAUTO__NEXT;
}

static const struct certauto__step hook_present_steps[] = {
	{.name = "ready", .ask = ready_ask, .flags = CERTAUTO__READS},
	CERTAUTO__STEP_DNS_DELEGATION,
	{.name = "leftover", .ask = leftover_ask, .read = leftover_read},
	{.name = "add",
		.ask = add_ask,
		.read = add_read,
		.undo = add_undo,
		.undo_read = add_undone,
		.flags = CERTAUTO__HALVES},
	CERTAUTO__STEP_CHALLENGE_CHECK,
	CERTAUTO__STEP_DNS_SEEN,
};

const struct certauto__table certauto__hook_present = {
	.name = "hook-present",
	.steps = hook_present_steps,
	.n_steps = sizeof(hook_present_steps) / sizeof(hook_present_steps[0]),
	.undo_ms = CERTAUTO__HOOK_UNDO_MS,
};
