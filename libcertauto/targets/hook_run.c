/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a hook program. Those programs count on being alone: their own client calls them one
 * after another. So each run is a child job that takes its turn at the program.
 *
 * Facts of the child: ".output": what the program has said, if it is to be kept; ".idle": it was
 * never started. */

#include "targets/hook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"

#define OUTPUT_MAX (4 * 1024 * 1024) /* of a program that is told to trace what it does */
#define KEPT_MAX (32 * 1024)
#define SECRET_MIN 4  /* "yes" and "1" are none */

static const char *const verbs[] = {"add", "remove", "deploy"};

/* ---- what it is told ---- */

static enum certauto__hook_verb verb_of(const certauto_job *job)
{
	const char *key = certauto__job_key(job);
	int verb = CERTAUTO__HOOK_ADD;

	while (verb < CERTAUTO__HOOK_DEPLOY && !certauto__text_equal(key, verbs[verb]))
		verb++;
	return (enum certauto__hook_verb)verb;
}

static const struct certauto__deployment *deployment_of(const certauto_job *job)
{
	return verb_of(job) == CERTAUTO__HOOK_DEPLOY ? certauto__job_env(job) : NULL;
}

static const certauto_target *target_of(const certauto_job *job)
{
	const struct certauto__deployment *deployment = deployment_of(job);

	return deployment != NULL ? deployment->target : certauto__job_env(job);
}

const char *certauto__hook_variable(const char *entry, size_t *name_len)
{
	*name_len = strcspn(entry, "=");
	if (entry[*name_len] == '=')
		return entry + *name_len + 1;
	return getenv(entry);
}

static void add_environment(struct certauto__hook_call *call)
{
	const certauto__list *environment = certauto__option_list(call->target, "environment");
	certauto__buffer line = CERTAUTO__BUFFER(128 * 1024);
	const char *value;
	size_t i, len;

	line.secret = 1;
	for (i = 0; i < environment->n && call->rc == 0; i++) {
		if ((value = certauto__hook_variable(environment->items[i], &len)) == NULL)
			continue;
		certauto__buffer_clear(&line);
		certauto__buffer_printf(
			&line, "%.*s=%s", (int)len, environment->items[i], value);
		if ((call->rc = line.rc) == 0)
			call->rc = certauto__list_add(call->environment, line.data, line.len);
	}
	certauto__buffer_free(&line);
}

static void call_of_challenge(struct certauto__hook_call *call, const certauto_job *job)
{
	const char *name = certauto__fact(job, "name");
	int is_dns;

	call->challenge = certauto__fact(job, "challenge");
	call->domain = name != NULL && certauto__text_starts(name, "*.") ? name + 2 : name;
	call->token = certauto__fact(job, "token");
	call->record = certauto__fact(job, "record");
	call->output = certauto__fact(job, "output");
	call->key_authorization = certauto__fact(job, "answer");
	is_dns = !certauto__text_equal(call->challenge, "http-01");
	call->value = is_dns ? certauto__fact(job, "txt") : call->key_authorization;
	if (call->domain == NULL)
		call->rc = CERTAUTO_EINVAL;
}

/* A file of the folder of the certificate; it may be missing. ENOMEM. */
static int read_file(certauto__buffer *out, const char *folder, enum certauto__pemfiles_role role)
{
	struct certauto__folder at = CERTAUTO__FOLDER;
	int rc;

	if ((rc = certauto__folder_open(&at, folder, NULL)) == 0)
		rc = certauto__folder_read(&at, certauto__hook_files[role], out, NULL, NULL);
	certauto__folder_close(&at);
	return rc == CERTAUTO_ENOMEM ? rc : 0;
}

/* The names are those of the certificate that is there: on the way back that of before. */
static int read_names(certauto__list *names, const char *folder)
{
	certauto__buffer pem = CERTAUTO__BUFFER(CERTAUTO__FILE_MAX);
	certauto__certs *certs = NULL;
	int rc;

	if ((rc = read_file(&pem, folder, CERTAUTO__PEMFILES_CERT)) == 0 && pem.len > 0 &&
		(rc = certauto__certs_parse(&certs, pem.data, pem.len, 1, NULL)) == 0)
		rc = certauto__list_copy(names, certauto__certs_info(certs, 0)->names);
	certauto__certs_free(certs);
	certauto__buffer_free(&pem);
	return rc;
}

static certauto__verdict told_nothing(certauto_job *job, const struct certauto__hook_call *call)
{
	const char *label = call->target->label;

	certauto__fact_set(job, ".idle", "yes");
	if (call->rc == CERTAUTO_EUNSUPPORTED)
		return certauto__fail(job, call->rc, label,
			"%s: EXEC_MODE=RAW is told the key authorization, and only what follows "
			"from it is known here", label);
	return certauto__fail(job, call->rc, label, "%s: %s", label, certauto_error_text(call->rc));
}

static certauto__verdict run_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__deployment *deployment = deployment_of(job);
	struct certauto__hook_call call = {
		.target = target_of(job), .verb = verb_of(job), .argv = &x->argv,
		.environment = &x->environment};
	certauto__buffer folder = CERTAUTO__BUFFER(8192);
	certauto__list names = {0};
	certauto__verdict verdict = certauto__ask_proc(x);

	x->method = "run";
	x->timeout_ms = certauto__option_number(call.target, "timeout_ms");
	x->max_answer = OUTPUT_MAX;
	x->keep_apart = call.verb == CERTAUTO__HOOK_ADD;
	certauto__buffer_init(&x->url, CERTAUTO__HTTP_URL_MAX);
	certauto__buffer_printf(&x->url, "%s (%s)",
		certauto__hook_program(call.target, call.verb)->items[0], verbs[call.verb]);
	if (deployment != NULL) {
		if ((call.rc = certauto__hook_folder(&folder, deployment)) == 0)
			call.rc = read_names(&names, certauto__buffer_text(&folder));
		call.folder = certauto__buffer_text(&folder);
		call.name = deployment->name;
		call.key_type = deployment->key_type;
		call.names = &names;
	} else {
		call_of_challenge(&call, job);
	}
	if (call.rc == 0)
		certauto__hook_style_of(call.target)->tell(&call);
	add_environment(&call);
	if (call.rc < 0 && !certauto__planning(job))
		verdict = told_nothing(job, &call);
	certauto__list_free(&names);
	certauto__buffer_free(&folder);
	return verdict;
}

/* ---- what it says ---- */

static int add_secret(certauto__list *list, const char *text, size_t len)
{
	return text != NULL && len >= SECRET_MIN ? certauto__list_add(list, text, len) : 0;
}

/* A program that shows its key need not show all of it, nor where it begins. */
static int add_key_lines(certauto__list *list, const struct certauto__deployment *deployment)
{
	certauto__buffer folder = CERTAUTO__BUFFER(8192), pem = CERTAUTO__BUFFER(64 * 1024);
	const char *p;
	size_t len;
	int rc;

	pem.secret = 1;
	if ((rc = certauto__hook_folder(&folder, deployment)) == 0)
		rc = read_file(&pem, certauto__buffer_text(&folder), CERTAUTO__PEMFILES_KEY);
	for (p = certauto__buffer_text(&pem); *p != '\0' && rc == 0; p += len + (p[len] != '\0')) {
		len = strcspn(p, "\n");
		if (*p != '-')
			rc = add_secret(list, p, len);
	}
	certauto__buffer_free(&folder);
	certauto__buffer_free(&pem);
	return rc;
}

static int secrets_of(certauto__list *out, const certauto_job *job)
{
	static const char *const facts[] = {"token", "txt", "answer"};
	const certauto__list *environment =
		certauto__option_list(target_of(job), "environment");
	const char *value;
	size_t i, len;
	int rc = 0;

	for (i = 0; i < sizeof(facts) / sizeof(facts[0]) && rc == 0; i++)
		if (deployment_of(job) == NULL && (value = certauto__fact(job, facts[i])) != NULL)
			rc = add_secret(out, value, strlen(value));
	for (i = 0; i < environment->n && rc == 0; i++)
		if ((value = certauto__hook_variable(environment->items[i], &len)) != NULL)
			rc = add_secret(out, value, strlen(value));
	if (rc == 0 && deployment_of(job) != NULL)
		rc = add_key_lines(out, deployment_of(job));
	return rc;
}

static void secrets_free(certauto__list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		certauto__wipe(list->items[i], strlen(list->items[i]));
	certauto__list_free(list);
}

/* What went to standard error comes last: there the reason is. */
static int shown_output(certauto__buffer *out, const certauto_job *job, const certauto__exchange *x)
{
	certauto__buffer all = CERTAUTO__BUFFER(2 * OUTPUT_MAX + 1);
	certauto__list secrets = {0};
	int rc;

	all.secret = 1;
	certauto__buffer_add(&all, x->answer.data, x->answer.len);
	certauto__buffer_add(&all, x->errors.data, x->errors.len);
	if ((rc = all.rc) == 0 && (rc = secrets_of(&secrets, job)) == 0)
		rc = certauto__hook_show(out, certauto__buffer_text(&all), all.len, &secrets);
	secrets_free(&secrets);
	certauto__buffer_free(&all);
	return rc;
}

static certauto__verdict run_failed(certauto_job *job, const certauto__exchange *x)
{
	const char *label = target_of(job)->label, *program = x->url.data;
	certauto__buffer shown = CERTAUTO__BUFFER(64 * 1024);
	certauto_error error = {0};

	if (shown_output(&shown, job, x) < 0)
		certauto__error_nomem(&error);
	else if (x->rc == CERTAUTO_ETIMEDOUT)
		certauto__error_set(&error, x->rc, label,
			"%s: %s has not ended after %lld ms and was killed; it said \"%s\"", label,
			program, (long long)x->timeout_ms, certauto__buffer_text(&shown));
	else if (x->rc == CERTAUTO_EPROTO)
		certauto__error_set(&error, x->rc, label,
			"%s: %s has said more than %d MiB and was killed; the last was \"%s\"",
			label, program, OUTPUT_MAX >> 20, certauto__buffer_text(&shown));
	else if (x->rc < 0)
		certauto__error_set(&error, x->rc, label, "%s: %s: %s", label, program,
			certauto_error_message(&x->error));
	else
		certauto__error_set(&error, CERTAUTO_EREFUSED, label,
			"%s: %s ended with status %d: \"%s\"", label, program, x->status,
			certauto__buffer_text(&shown));
	if (x->rc == CERTAUTO_ETIMEDOUT)
		certauto__error_advise(&error, "the option timeout_ms is how long it may take");
	else if (x->rc == 0)
		certauto__error_advise(&error, "run it by hand to see why");
	certauto__buffer_free(&shown);
	return certauto__fail_with(job, &error);
}

/* Stripped, as certbot keeps it. What nobody wants again is not: there may be secrets in it. */
static void keep_output(certauto_job *job, const certauto__exchange *x)
{
	const char *text = certauto__buffer_text(&x->answer);
	size_t len;

	if (!certauto__hook_style_of(target_of(job))->wants_output)
		return;
	text += strspn(text, " \t\r\n");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		len--;
	if (len > 0 && len <= KEPT_MAX)
		certauto__fact_printf(job, ".output", "%.*s", (int)len, text);
}

static certauto__verdict run_read(certauto_job *job, certauto__exchange *x)
{
	if (x->rc == CERTAUTO_ENOTFOUND || x->rc == CERTAUTO_EPERM)
		certauto__fact_set(job, ".idle", "yes");
	if (x->rc < 0 || x->status != 0)
		return run_failed(job, x);
	keep_output(job, x);
	return CERTAUTO__NEXT;
}

static const struct certauto__step run_steps[] = {
	{.name = "run", .ask = run_ask, .read = run_read, .flags = CERTAUTO__ERRORS},
};

static const struct certauto__table run_table = {
	.name = "hook-run",
	.steps = run_steps,
	.n_steps = 1,
};

/* ---- for its parent ---- */

static int turn_at(certauto__peer **out, certauto_job *job, const certauto__list *program)
{
	static const struct certauto__peer_ops ops = {.kind = "hook-run"};
	certauto__buffer key = CERTAUTO__BUFFER(8192);
	int rc, made;

	certauto__buffer_printf(&key, "hook-run:%s", program->items[0]);
	if ((rc = key.rc) == 0)
		rc = certauto__peer_get(out, certauto__job_cx(job), &ops, key.data, 1, &made);
	certauto__buffer_free(&key);
	return rc;
}

static void env_free(void *env)
{
	certauto__object_unref(env);
}

certauto__verdict certauto__hook_start(certauto_job *job, enum certauto__hook_verb verb, void *env)
{
	int is_deploy = verb == CERTAUTO__HOOK_DEPLOY;
	certauto_target *target =
		is_deploy ? ((struct certauto__deployment *)env)->target : env;
	certauto__peer *turn = NULL;
	certauto_job *child;
	int rc;

	if ((rc = turn_at(&turn, job, certauto__hook_program(target, verb))) < 0)
		return certauto__fail(job, rc, target->label, "%s: %s", target->label,
			certauto_error_text(rc));
	certauto__children_drop(job, &run_table);
	child = certauto__child_start(job, &run_table, verbs[verb],
		is_deploy ? env : certauto__object_ref(target), is_deploy ? NULL : env_free, turn,
		CERTAUTO__CHILD_TURN);
	certauto__peer_unref(turn);
	return child != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

int certauto__hook_ended(const certauto_job *job, int *ran_out, certauto_error *err)
{
	const certauto_job *child = certauto__child(job, &run_table, 0);
	int rc = child != NULL ? certauto__child_result(child) : CERTAUTO_EINVAL;

	if (ran_out != NULL)
		*ran_out = child == NULL || certauto__fact_own(child, ".idle") == NULL;
	if (rc < 0 && child != NULL)
		certauto__error_copy(err, certauto_job_error(child));
	return rc;
}

const char *certauto__hook_output(const certauto_job *job)
{
	const certauto_job *child = certauto__child(job, &run_table, 0);

	return child != NULL ? certauto__fact_own(child, ".output") : NULL;
}
