/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate into a running HAProxy: looked at, put into a transaction, committed, proved on
 * the wire; only then is the file on disk replaced, so that until the proof a restart, and our
 * own undo, find the old one there.
 *
 * Facts: "crt" the path, "old" what was served before (serial number, or "absent"), "list" that
 * the folder's list lacks it, "switch" that a commit was sent, "back" that the old one was put
 * into a transaction again. Volatile: ".state" of the path, ".served" when it is the new one
 * already, ".unused" when HAProxy has it in memory only, ".foreign" a transaction of others. */

#include "targets/haproxy.h"

#include <string.h>

#include <certauto/error.h>

#include "core/clock.h"
#include "core/memory.h"

#define FOREIGN_PATIENCE_MS \
	3000 /* a transaction that does not end in that time is an abandoned one */
#define CROWDED_MAX 3
#define FOREIGN_DELAY_MS 100
#define RESTORE_LIFE_S \
	(24 * 3600) /* security: an old certificate that soon expires is not put back */

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return certauto__job_env(job);
}

static const char *own_crt(const certauto_job *job)
{
	return certauto__fact_own(job, "crt");
}

static const char *wanted_serial(const certauto_job *job)
{
	return certauto__certs_info(deployment_of(job)->chain, 0)->serial;
}

static int folder_len(const char *crt)
{
	return (int)(strrchr(crt, '/') - crt);
}

/* ---- observe ---- */

static certauto__verdict observe_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	certauto__buffer crt = CERTAUTO__BUFFER(4096);

	if (certauto__haproxy_path(&crt, deployment) < 0) {
		certauto__buffer_free(&crt);
		certauto__error_nomem(certauto__job_error_of(job));
		return CERTAUTO__FAILED;
	}
	certauto__fact_set(job, "crt", crt.data);
	certauto__buffer_free(&crt);
	return certauto__haproxy_ask(x, deployment->target, "show ssl cert", "show ssl cert %s",
		own_crt(job));
}

/* The value behind "Name: " at the start of a line, up to its end; NULL if it is not there. */
static const char *answer_field(const certauto__exchange *x, const char *name, size_t *len)
{
	const char *line = certauto__exchange_answer(x, NULL);

	for (; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		if (!certauto__text_starts(line, name))
			continue;
		line += strlen(name);
		*len = strcspn(line, "\r\n");
		return line;
	}
	return NULL;
}

/* "absent", "empty" (made but never filled), or the serial number in lower case. */
static int observe_state(certauto_job *job, const certauto__exchange *x)
{
	char serial[CERTAUTO__HAPROXY_SERIAL];
	const char *field;
	size_t len, i;

	certauto__fact_set(job, ".unused", NULL);
	if (certauto__haproxy_says(x, "Can't display the certificate")) {
		certauto__fact_set(job, ".state", "absent");
		return 0;
	}
	if ((field = answer_field(x, "Status: ", &len)) != NULL &&
		strncmp(field, "Empty", 5) == 0) {
		certauto__fact_set(job, ".state", "empty");
		return 0;
	}
	if (field != NULL && strncmp(field, "Unused", 6) == 0)
		certauto__fact_set(job, ".unused", "yes");
	if ((field = answer_field(x, "Serial: ", &len)) == NULL || len == 0 ||
		len >= sizeof(serial) || strspn(field, "0123456789abcdefABCDEF") < len)
		return CERTAUTO_EPROTO;
	for (i = 0; i < len; i++)
		serial[i] = (char)(field[i] >= 'A' && field[i] <= 'F' ? field[i] - 'A' + 'a'
								      : field[i]);
	serial[len] = '\0';
	certauto__fact_set(job, ".state", serial);
	return 0;
}

/* While the new one is not served, what is there is the old state; once it is, an earlier run has
 * switched, and what that run noted stands. */
static certauto__verdict observe_read(certauto_job *job, certauto__exchange *x)
{
	if (observe_state(job, x) < 0)
		return certauto__haproxy_refused(job, x, own_crt(job), "asked for the certificate");
	certauto__fact_set(job, ".served",
		certauto__fact_is(job, ".state", wanted_serial(job)) ? "yes" : NULL);
	if (certauto__fact_is(job, ".state", "empty"))
		certauto__fact_set(job, "old", "absent");
	else if (!certauto__fact_is(job, ".served", "yes") ||
		certauto__fact_own(job, "old") == NULL)
		certauto__fact_set(job, "old", certauto__fact_own(job, ".state"));
	return CERTAUTO__NEXT;
}

/* ---- folder: a certificate that HAProxy does not use yet goes into the list that its folder is
 * ---- */

static int is_new(const certauto_job *job)
{
	return certauto__fact_is(job, ".state", "absent") ||
		certauto__fact_is(job, ".state", "empty");
}

static certauto__verdict folder_ask(certauto_job *job, certauto__exchange *x)
{
	const char *crt = own_crt(job);

	if (!is_new(job) && !certauto__fact_is(job, ".unused", "yes"))
		return CERTAUTO__NEXT;
	return certauto__haproxy_ask(x, deployment_of(job)->target, "show ssl crt-list",
		"show ssl crt-list %.*s", folder_len(crt), crt);
}

certauto__verdict certauto__haproxy_unknown(certauto_job *job, const certauto_target *target,
	const char *path)
{
	int len = folder_len(path);
	certauto_error error = {0};

	certauto__error_set(&error, CERTAUTO_ENOTFOUND, path,
		"%s: HAProxy at %s knows no certificate %s, and the folder %.*s is no certificate "
		"list there",
		target->label, certauto__option_text(target, "socket"), path, len, path);
	certauto__error_advise(&error,
		"write the option crt as HAProxy's configuration has it; for new certificates have "
		"\"bind ... ssl crt %.*s/\" there",
		len, path);
	return certauto__fail_with(job, &error);
}

static int answer_has_line(const certauto__exchange *x, const char *text)
{
	const char *line = certauto__exchange_answer(x, NULL);
	size_t len = strlen(text);

	for (; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, text, len) == 0 &&
			(line[len] == '\n' || line[len] == '\0' || line[len] == ' '))
			return 1;
	}
	return 0;
}

static certauto__verdict folder_read(certauto_job *job, certauto__exchange *x)
{
	int is_list = !certauto__haproxy_says(x, "didn't find");

	if (!is_list && is_new(job))
		return certauto__haproxy_unknown(job, deployment_of(job)->target, own_crt(job));
	certauto__fact_set(job, "list",
		is_list && !answer_has_line(x, own_crt(job)) ? "missing" : NULL);
	return CERTAUTO__NEXT;
}

/* ---- ready: everything on our side that would stop us later ---- */

/* The way back is the file: with another one in it, or none, there is no way back. */
static certauto__verdict ready_restore(certauto_job *job)
{
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	char serial[CERTAUTO__HAPROXY_SERIAL] = "";
	int64_t not_after;
	int rc;

	if (certauto__fact_is(job, "old", "absent"))
		return CERTAUTO__NEXT;
	rc = certauto__haproxy_file_read(&pem, own_crt(job), serial, &not_after, NULL);
	certauto__buffer_free(&pem);
	if (rc == CERTAUTO_ENOMEM) {
		certauto__error_nomem(certauto__job_error_of(job));
		return CERTAUTO__FAILED;
	}
	if (rc < 0 || !certauto__fact_is(job, "old", serial))
		certauto__warn(job, own_crt(job),
			"HAProxy serves serial %s, which is not in the file %s: it could not be "
			"put back",
			certauto__fact_own(job, "old"), own_crt(job));
	return CERTAUTO__NEXT;
}

static int payload_fits(certauto_job *job, const certauto__buffer *payload, certauto_error *err)
{
	const certauto_target *target = deployment_of(job)->target;
	size_t max = (size_t)certauto__option_number(target, "bufsize");
	size_t len = strlen("set ssl cert  <<\n\n") + strlen(own_crt(job)) + payload->len;

	if (len < max)
		return 0;
	certauto__error_set(err, CERTAUTO_EUNSUPPORTED, own_crt(job),
		"%s: certificate, chain and key are a command of %zu bytes; HAProxy takes less "
		"than %zu (tune.bufsize)",
		target->label, len, max);
	return certauto__error_advise(err,
		"set tune.bufsize in HAProxy's global section to %zu or more, restart it, and set "
		"the option bufsize to the same number",
		(len / 16384 + 1) * 16384);
}

static certauto__verdict ready_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer payload = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	certauto_error *err = certauto__job_error_of(job);
	int rc;

	(void)x;
	if ((rc = certauto__haproxy_payload(&payload, deployment_of(job), err)) == 0 &&
		(rc = payload_fits(job, &payload, err)) == 0)
		rc = certauto__haproxy_file_check(own_crt(job), err);
	certauto__buffer_free(&payload);
	if (rc < 0)
		return CERTAUTO__FAILED;
	return certauto__fact_is(job, ".served", "yes") ? CERTAUTO__NEXT : ready_restore(job);
}

/* ---- transaction: HAProxy has one at a time, and `set` would write into whatever is open ---- */

static certauto__verdict transaction_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_is(job, ".served", "yes"))
		return CERTAUTO__NEXT;
	return certauto__haproxy_ask(x, deployment_of(job)->target, "show ssl cert",
		"show ssl cert");
}

static certauto__verdict transaction_read(certauto_job *job, certauto__exchange *x)
{
	const char *open, *crt = own_crt(job);
	size_t len;

	certauto__fact_set(job, ".foreign", NULL);
	if ((open = answer_field(x, "*", &len)) == NULL || certauto__planning(job) ||
		(len == strlen(crt) && strncmp(open, crt, len) == 0))
		return CERTAUTO__NEXT;
	if (certauto__step_age_ms(job) < FOREIGN_PATIENCE_MS)
		return certauto__again(job, FOREIGN_DELAY_MS);
	/* A name that somebody else chose goes into a command line of ours. */
	if (!certauto__haproxy_is_word(open, len))
		return certauto__haproxy_refused(job, x, crt,
			"a transaction is open whose name cannot be written in a command");
	certauto__fact_printf(job, ".foreign", "%.*s", (int)len, open);
	return CERTAUTO__NEXT;
}

/* Left behind by a program that was killed, or by a person at a prompt: nothing can be set while
 * it is open. Its owner, if there is one, will be told that there is no transaction. */
static certauto__verdict abandoned_ask(certauto_job *job, certauto__exchange *x)
{
	const char *foreign = certauto__fact_own(job, ".foreign");

	if (foreign == NULL)
		return CERTAUTO__NEXT;
	certauto__warn(job, foreign,
		"somebody left a transaction for %s open in HAProxy: it is aborted", foreign);
	return certauto__haproxy_ask(x, deployment_of(job)->target, "abort ssl cert",
		"abort ssl cert %s", foreign);
}

/* ---- new, set, commit, list ---- */

static certauto__verdict new_ask(certauto_job *job, certauto__exchange *x)
{
	if (!certauto__fact_is(job, ".state", "absent"))
		return CERTAUTO__NEXT;
	return certauto__haproxy_ask(x, deployment_of(job)->target, "new ssl cert",
		"new ssl cert %s", own_crt(job));
}

static certauto__verdict new_read(certauto_job *job, certauto__exchange *x)
{
	/* It was absent a moment ago: what exists now is from an attempt whose answer was lost. */
	if (certauto__haproxy_says(x, "New empty certificate") ||
		certauto__haproxy_says(x, "already exists"))
		return CERTAUTO__NEXT;
	return certauto__haproxy_refused(job, x, own_crt(job), "adding a new certificate");
}

static certauto__verdict new_undo(certauto_job *job, certauto__exchange *x)
{
	return certauto__haproxy_ask(x, deployment_of(job)->target, "del ssl cert",
		"del ssl cert %s", own_crt(job));
}

static certauto__verdict payload_ask(certauto_job *job, certauto__exchange *x,
	const certauto__buffer *payload)
{
	certauto__verdict verdict = certauto__haproxy_ask(x, deployment_of(job)->target,
		"set ssl cert", "set ssl cert %s <<", own_crt(job));

	certauto__buffer_add(&x->body, payload->data, payload->len);
	certauto__buffer_text_add(&x->body, "\n");
	return verdict;
}

static certauto__verdict set_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer payload = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	certauto_error *err = certauto__job_error_of(job);
	certauto__verdict verdict = CERTAUTO__FAILED;

	if (certauto__fact_is(job, ".served", "yes"))
		return CERTAUTO__NEXT;
	certauto__fact_set(job, "switch", NULL);
	certauto__fact_set(job, "back", NULL);
	if (certauto__haproxy_payload(&payload, deployment_of(job), err) == 0 &&
		payload_fits(job, &payload, err) == 0)
		verdict = payload_ask(job, x, &payload);
	certauto__buffer_free(&payload);
	return verdict;
}

/* Somebody was quicker after we had looked: another process, or a person. */
static certauto__verdict wait_for_others(certauto_job *job, const char *step)
{
	int64_t times = certauto__fact_number(job, ".crowded", 0) + 1;

	if (times > CROWDED_MAX)
		return certauto__fail(job, CERTAUTO_EBUSY, own_crt(job),
			"HAProxy at %s has one transaction at a time, and others use it all the "
			"time: run it again",
			certauto__option_text(deployment_of(job)->target, "socket"));
	certauto__fact_set_number(job, ".crowded", times);
	return certauto__goto(job, step);
}

/* With a transaction open for another path HAProxy says that it has updated that one. */
static certauto__verdict set_read(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer created = CERTAUTO__BUFFER(4096), updated = CERTAUTO__BUFFER(4096);
	int ours;

	certauto__buffer_printf(&created, "Transaction created for certificate %s!", own_crt(job));
	certauto__buffer_printf(&updated, "Transaction updated for certificate %s!", own_crt(job));
	ours = certauto__haproxy_says(x, certauto__buffer_text(&created)) ||
		certauto__haproxy_says(x, certauto__buffer_text(&updated));
	certauto__buffer_free(&created);
	certauto__buffer_free(&updated);
	if (ours)
		return CERTAUTO__NEXT;
	if (certauto__haproxy_is_others(x) || certauto__haproxy_says(x, "Transaction updated"))
		return wait_for_others(job, "transaction");
	return certauto__haproxy_refused(job, x, own_crt(job), "setting the certificate");
}

/* No transaction is left open; if commit_undo() has put the old one into it, this is the second
 * half of the way back. */
static certauto__verdict set_undo(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = deployment_of(job)->target;

	if (certauto__fact_is(job, "back", "yes"))
		return certauto__haproxy_ask(x, target, "commit ssl cert", "commit ssl cert %s",
			own_crt(job));
	return certauto__haproxy_ask(x, target, "abort ssl cert", "abort ssl cert %s",
		own_crt(job));
}

static certauto__verdict commit_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_is(job, ".served", "yes"))
		return CERTAUTO__NEXT;
	certauto__fact_set(job, "switch", "sent");
	return certauto__haproxy_ask(x, deployment_of(job)->target, "commit ssl cert",
		"commit ssl cert %s", own_crt(job));
}

static certauto__verdict commit_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__haproxy_says(x, "Success!"))
		return CERTAUTO__NEXT;
	/* An attempt whose answer was lost may have worked: look again instead of guessing. */
	if (certauto__haproxy_says(x, "No ongoing transaction") || certauto__haproxy_is_others(x))
		return wait_for_others(job, "observe");
	/* A definite no: the old one is still served. */
	certauto__fact_set(job, "switch", NULL);
	return certauto__haproxy_refused(job, x, own_crt(job), "committing the certificate");
}

static certauto__verdict restore_impossible(certauto_job *job, certauto__exchange *x,
	const char *why)
{
	certauto__error_clear(&x->error);
	certauto__error_set(&x->error, CERTAUTO_EROLLBACK, own_crt(job),
		"HAProxy keeps the new certificate at %s: the old one, serial %s, %s", own_crt(job),
		certauto__fact_own(job, "old"), why);
	return CERTAUTO__FAILED;
}

/* The old one, from its file, into a transaction; set_undo() commits it. */
static certauto__verdict commit_undo(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	char serial[CERTAUTO__HAPROXY_SERIAL] = "";
	certauto__verdict verdict;
	int64_t not_after = 0;
	int rc;

	if (!certauto__fact_is(job, "switch", "sent") || certauto__fact_is(job, "old", "absent"))
		/* never switched; or new, and taken out of list and memory */
		return CERTAUTO__NEXT;
	rc = certauto__haproxy_file_read(&pem, own_crt(job), serial, &not_after, &x->error);
	if (rc < 0 || !certauto__fact_is(job, "old", serial)) {
		verdict = restore_impossible(job, x, "is not in the file");
	} else if (not_after < certauto__clock_now() + RESTORE_LIFE_S) {
		verdict = restore_impossible(job, x, "has expired or is about to");
	} else {
		certauto__fact_set(job, "back", "yes");
		verdict = payload_ask(job, x, &pem);
	}
	certauto__buffer_free(&pem);
	return verdict;
}

static certauto__verdict list_ask(certauto_job *job, certauto__exchange *x)
{
	const char *crt = own_crt(job);

	if (certauto__fact_own(job, "list") == NULL)
		return CERTAUTO__NEXT;
	return certauto__haproxy_ask(x, deployment_of(job)->target, "add ssl crt-list",
		"add ssl crt-list %.*s %s", folder_len(crt), crt, crt);
}

static certauto__verdict list_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__haproxy_says(x, "Success!") ||
		certauto__haproxy_says(x, "already exists in this directory"))
		return CERTAUTO__NEXT;
	return certauto__haproxy_refused(job, x, own_crt(job),
		"adding the certificate to its folder's list");
}

static certauto__verdict list_undo(certauto_job *job, certauto__exchange *x)
{
	const char *crt = own_crt(job);

	return certauto__haproxy_ask(x, deployment_of(job)->target, "del ssl crt-list",
		"del ssl crt-list %.*s %s", folder_len(crt), crt, crt);
}

/* ---- file ---- */

static int file_call(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer payload = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	int rc;

	if ((rc = certauto__haproxy_payload(&payload, deployment_of(job), &x->error)) == 0)
		rc = certauto__haproxy_file_replace(deployment_of(job)->target, own_crt(job),
			&payload, &x->error);
	certauto__buffer_free(&payload);
	return rc;
}

static certauto__verdict file_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer payload = CERTAUTO__BUFFER(CERTAUTO__HTTP_DEVICE_MAX);
	certauto__verdict verdict;
	int same;

	if (certauto__haproxy_payload(&payload, deployment_of(job), certauto__job_error_of(job)) <
		0) {
		certauto__buffer_free(&payload);
		return CERTAUTO__FAILED;
	}
	same = certauto__haproxy_file_is(own_crt(job), &payload);
	certauto__buffer_free(&payload);
	if (same)
		return CERTAUTO__NEXT;
	verdict = certauto__ask_call(x, file_call);
	x->method = "write";
	certauto__buffer_init(&x->url, 4096);
	certauto__buffer_text_add(&x->url, own_crt(job));
	return verdict;
}

static const struct certauto__step haproxy_deploy_steps[] = {
	{.name = "observe", .ask = observe_ask, .read = observe_read, .flags = CERTAUTO__READS},
	{.name = "folder", .ask = folder_ask, .read = folder_read, .flags = CERTAUTO__READS},
	{.name = "ready", .ask = ready_ask, .flags = CERTAUTO__READS},
	{.name = "transaction",
		.ask = transaction_ask,
		.read = transaction_read,
		.flags = CERTAUTO__READS},
	{.name = "abandoned", .ask = abandoned_ask},
	{.name = "new", .ask = new_ask, .read = new_read, .undo = new_undo},
	{.name = "set", .ask = set_ask, .read = set_read, .undo = set_undo},
	{.name = "commit", .ask = commit_ask, .read = commit_read, .undo = commit_undo},
	{.name = "list", .ask = list_ask, .read = list_read, .undo = list_undo},
	CERTAUTO__STEP_PROVE,
	{.name = "file", .ask = file_ask, .flags = CERTAUTO__COMMIT | CERTAUTO__OWED},
};

const struct certauto__table certauto__haproxy_deploy = {
	.name = "haproxy-deploy",
	.steps = haproxy_deploy_steps,
	.n_steps = sizeof(haproxy_deploy_steps) / sizeof(haproxy_deploy_steps[0]),
};
