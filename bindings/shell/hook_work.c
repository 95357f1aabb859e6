/* SPDX-License-Identifier: Apache-2.0 */
/* What hooks are for: challenges answered and taken back, certificates deployed, on behalf of
 * somebody else's client. Such a client asks once, and may never ask again. */

#include "hook.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adhoc.h"
#include "input.h"
#include "output.h"

#define CHAIN_MAX 262144
#define REQUEST_MAX 65536
#define PATIENCE_S 60  /* with another run that is at work on the target */
#define ACME_LABEL "_acme-challenge."

/* ---- targets ---- */

/* Without options it is a name, even if there is a type of that name: none can do without. */
static int is_name(const char *text)
{
	return strchr(text, ',') == NULL;
}

static int add_target(struct hook *hook, const char *text)
{
	struct shell *shell = hook->shell;
	certauto_target *target = NULL;
	int status = is_name(text) ? adhoc_named(shell, text, &target)
				   : adhoc_target(shell, text, 0, &target);

	if (status != STATUS_DONE)
		return status;
	hook->targets = memory_grow(hook->targets, hook->n_targets + 1, sizeof(*hook->targets));
	hook->targets[hook->n_targets++] = target;
	return STATUS_DONE;
}

/* The state directory of the configuration has the journal of what a killed run was about; nothing
 * of the kind belongs to a target that is made of options. */
static int use_store(struct hook *hook, const char *text)
{
	struct shell *shell = hook->shell;
	certauto_store *store = NULL;
	int rc = 0;

	if (is_name(text) && (rc = certauto_fleet_dup_store(&store, shell->fleet)) == 0)
		rc = certauto_context_use_store(shell->cx, store);
	certauto_store_free(store);
	return rc == 0 ? STATUS_DONE : say_failure(shell, rc);
}

static int open_target(struct hook *hook, const char *text)
{
	int status = add_target(hook, text);

	if (status == STATUS_DONE && hook->n_targets == 1)
		status = use_store(hook, text);
	/* The next one brings its own. */
	certauto_fleet_free(hook->shell->fleet);
	hook->shell->fleet = NULL;
	return status;
}

/* Names with blanks between them, or one that is made of options. */
static int open_named(struct hook *hook, const char *text)
{
	char *copy, *rest, *name;
	int status = STATUS_DONE;

	if (!is_name(text))
		return open_target(hook, text);
	copy = rest = memory_copy(text, strlen(text));
	while (status == STATUS_DONE && (name = strsep(&rest, " \t\n")) != NULL)
		if (*name != '\0')
			status = open_target(hook, name);
	free(copy);
	return status;
}

static int open_targets(struct hook *hook)
{
	const struct strings *given = &hook->shell->options.given[OPTION_TARGET];
	const char *variable = hook_variable("CERTAUTO_TARGET");
	struct text text = {0};
	size_t i;
	int status = STATUS_DONE;

	for (i = 0; i < given->n && status == STATUS_DONE; i++)
		status = open_target(hook, given->items[i]);
	if (given->n > 0)
		return status;
	if (variable != NULL)
		return open_named(hook, variable);
	if ((status = hook_flexibleengine(hook, &text)) == STATUS_DONE)
		status = open_target(hook, text_of(&text));
	text_free(&text);
	return status;
}

int hook_open(struct hook *hook)
{
	struct options *options = &hook->shell->options;
	const char *config;
	int status = hook_environment(hook);

	if (status != STATUS_DONE)
		return status;
	config = hook_variable("CERTAUTO_CONFIG");
	if (config != NULL && !option_given(options, OPTION_CONFIG))
		strings_add(&options->given[OPTION_CONFIG], config);
	/* Clients show what a hook says as if it were an error. */
	if (!option_given(options, OPTION_VERBOSE))
		strings_add(&options->given[OPTION_QUIET], "");
	if ((status = shell_open(hook->shell)) != STATUS_DONE)
		return status;
	return open_targets(hook);
}

void hook_close(struct hook *hook)
{
	while (hook->n_targets > 0)
		certauto_target_free(hook->targets[--hook->n_targets]);
	free(hook->targets);
	while (hook->variables.n > 0)
		free((char *)hook->variables.items[--hook->variables.n]);
	free(hook->variables.items);
}

static certauto_target *target_for(const struct hook *hook, int cap)
{
	size_t i;

	for (i = 0; i < hook->n_targets; i++)
		if ((certauto_target_caps(hook->targets[i]) & cap) != 0)
			return hook->targets[i];
	return NULL;
}

int hook_can(const struct hook *hook, int cap)
{
	return target_for(hook, cap) != NULL;
}

/* ---- challenges ---- */

int hook_cap(const char *challenge)
{
	if (strcmp(challenge, "http-01") == 0)
		return CERTAUTO_TARGET_HTTP01;
	if (strcmp(challenge, "dns-01") == 0)
		return CERTAUTO_TARGET_DNS01;
	return strcmp(challenge, "tls-alpn-01") == 0 ? CERTAUTO_TARGET_TLSALPN01 : 0;
}

typedef int start_fn(certauto_job **out, certauto_target *target, const char *challenge,
	const char *name, const char *token, const char *value, int deadline_ms);

/* What a row of answers is done with. */
struct work {
	struct hook *hook;
	certauto_target *target;
	const char *challenge;
	const struct hook_answer *answers;
	size_t n;
	certauto_job **jobs; /* as many; NULL: not started, or at its end */
	char *done;          /* as many */
};

/* A record below the usual label is that of the name. Another one is where a CNAME has led the
 * caller, who does not tell of which name: it is taken at its word. */
static char *name_of(const struct hook_answer *answer, int *is_elsewhere)
{
	const char *text = answer->name != NULL ? answer->name : answer->record;
	size_t len = strlen(text);

	*is_elsewhere = 0;
	if (answer->name == NULL && strncmp(text, ACME_LABEL, strlen(ACME_LABEL)) == 0) {
		text += strlen(ACME_LABEL);
		len -= strlen(ACME_LABEL);
	} else if (answer->name == NULL) {
		*is_elsewhere = 1;
	}
	return memory_copy(text, len - (len > 0 && text[len - 1] == '.'));
}

static int start_one(struct work *work, start_fn *start, size_t i)
{
	const struct hook_answer *answer = &work->answers[i];
	int is_elsewhere, rc = 0;
	char *name = name_of(answer, &is_elsewhere);

	if (is_elsewhere && (rc = certauto_target_set(work->target, "dns_alias", name)) == 0)
		rc = certauto_target_set(work->target, "dns_check", "no");
	if (rc == 0)
		/* The value tells answers apart as well as the token. */
		rc = start(&work->jobs[i], work->target, work->challenge, name,
			answer->token != NULL ? answer->token : answer->value, answer->value,
			shell_timeout_ms(work->hook->shell));
	free(name);
	return rc;
}

/* All those that are marked, side by side: marks stay where it went well. */
static int run_all(struct work *work, start_fn *start)
{
	struct shell *shell = work->hook->shell;
	int rc, status = STATUS_DONE;
	size_t i;

	for (i = 0; i < work->n; i++) {
		if (!work->done[i] || (rc = start_one(work, start, i)) == 0)
			continue;
		work->done[i] = 0;
		status = say_failure(shell, rc);
	}
	for (i = 0; i < work->n; i++) {
		if (work->jobs[i] == NULL)
			continue;
		if ((rc = shell_finish(shell, work->jobs[i])) < 0) {
			work->done[i] = 0;
			status = say_failure(shell, rc);
		}
		work->jobs[i] = NULL;
	}
	return status;
}

static int work_open(struct work *work, struct hook *hook, const char *challenge,
	const struct hook_answer *answers, size_t n)
{
	int cap = hook_cap(challenge);

	memset(work, 0, sizeof(*work));
	work->hook = hook;
	work->challenge = challenge;
	work->answers = answers;
	work->n = n;
	work->target = cap != 0 ? target_for(hook, cap) : NULL;
	if (work->target == NULL)
		return say_usage(hook->shell, "no target here can answer %s challenges", challenge);
	work->jobs = memory_grow(NULL, n, sizeof(*work->jobs));
	memset(work->jobs, 0, n * sizeof(*work->jobs));
	work->done = memory_grow(NULL, n, 1);
	memset(work->done, 1, n);
	return STATUS_DONE;
}

static void work_close(struct work *work)
{
	free(work->jobs);
	free(work->done);
}

int hook_present(struct hook *hook, const char *challenge, const struct hook_answer *answers,
	size_t n)
{
	struct work work;
	int status = work_open(&work, hook, challenge, answers, n);

	if (status == STATUS_DONE &&
	    (status = run_all(&work, certauto_target_start_present)) != STATUS_DONE)
		/* Nobody will ask for that: to the caller none of them is there. */
		(void)run_all(&work, certauto_target_start_cleanup);
	work_close(&work);
	return status;
}

int hook_cleanup(struct hook *hook, const char *challenge, const struct hook_answer *answers,
	size_t n)
{
	struct work work;
	int status = work_open(&work, hook, challenge, answers, n);

	if (status == STATUS_DONE)
		status = run_all(&work, certauto_target_start_cleanup);
	work_close(&work);
	return status;
}

/* ---- deployment ---- */

/* What the certificate is called: on the devices, and in the state directory. Letters that are not
 * for names become dashes. */
static void add_name(struct text *out, const struct hook *hook, const char *theirs)
{
	const char *given = option_value(&hook->shell->options, OPTION_NAME);
	size_t i;

	if (given != NULL) {
		text_add(out, given);
		return;
	}
	adhoc_add_name(out, theirs);
	for (i = 0; i < out->len; i++)
		if (strchr(" /@+=,;~", out->data[i]) != NULL)
			out->data[i] = '-';
}

static int load_text(struct text *out, const char *path)
{
	if (input_load(out, path, CHAIN_MAX) == 0 && out->len <= CHAIN_MAX)
		return STATUS_DONE;
	complain("cannot read %s: %s", path, out->len > CHAIN_MAX ? "too long" : strerror(errno));
	return STATUS_FAILED;
}

static int parse_chain(struct hook *hook, const struct text *text, certauto_chain **out)
{
	int rc = certauto_chain_parse(
		out, hook->shell->cx, (const unsigned char *)text_of(text), text->len);

	return rc == 0 ? STATUS_DONE : say_failure(hook->shell, rc);
}

/* A client may have been told to keep them apart. */
static int load_chain(struct hook *hook, const struct hook_files *files, certauto_chain **out)
{
	struct text text = {0};
	int status = load_text(&text, files->chain);

	if (status == STATUS_DONE)
		status = parse_chain(hook, &text, out);
	if (status == STATUS_DONE && certauto_chain_n_certs(*out) == 1 && files->issuer != NULL &&
	    access(files->issuer, R_OK) == 0) {
		certauto_chain_free(*out);
		*out = NULL;
		text_add(&text, "\n");
		if ((status = load_text(&text, files->issuer)) == STATUS_DONE)
			status = parse_chain(hook, &text, out);
	}
	text_free(&text);
	return status;
}

/* Some milliseconds, unless a signal comes. */
static int pause_ms(int ms)
{
	return poll(NULL, 0, ms) == 0 && shell_signal() == 0;
}

/* Another run that is at work on the target is waited for: who calls a hook does not come back. */
static int deploy_to(struct hook *hook, certauto_target *target, const char *name,
	certauto_chain *chain, certauto_key *key)
{
	struct shell *shell = hook->shell;
	certauto_job *job;
	int rc, waited_s = 0, pause_s = 1;

	for (;;) {
		job = NULL;
		if ((rc = certauto_target_start_deploy(&job, target, name, chain, key,
			     shell_timeout_ms(shell))) == 0)
			rc = shell_finish(shell, job);
		if ((rc != CERTAUTO_EBUSY && rc != CERTAUTO_ERETRY_LATER) ||
		    waited_s >= PATIENCE_S || !pause_ms(pause_s * 1000))
			break;
		waited_s += pause_s;
		pause_s *= 2;
	}
	return rc == 0 ? STATUS_DONE : say_failure(shell, rc);
}

int hook_deploy(struct hook *hook, const struct hook_files *files)
{
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;
	struct text name = {0};
	/* A key that a target keeps is nowhere else. */
	int cap = files->key != NULL ? CERTAUTO_TARGET_DEPLOY : CERTAUTO_TARGET_CSR;
	size_t i;
	int rc, status = load_chain(hook, files, &chain), one;

	if (status == STATUS_DONE && files->key != NULL &&
	    (rc = certauto_key_load(&key, hook->shell->cx, files->key)) < 0)
		status = say_failure(hook->shell, rc);
	add_name(&name, hook, files->name);
	/* One that fails is no reason to leave the others with the old certificate. */
	for (i = 0, one = status; i < hook->n_targets && one == STATUS_DONE; i++) {
		if ((certauto_target_caps(hook->targets[i]) & cap) == 0)
			continue;
		rc = deploy_to(hook, hook->targets[i], text_of(&name), chain, key);
		status = rc != STATUS_DONE ? rc : status;
	}
	text_free(&name);
	certauto_key_free(key);
	certauto_chain_free(chain);
	return status;
}

/* ---- keys of a target's own ---- */

static int make_request(struct hook *hook, certauto_target *target, const char *name,
	const char *key_type, const struct strings *names, certauto_csr **out)
{
	struct shell *shell = hook->shell;
	certauto_job *job = NULL;
	int rc;

	if ((rc = certauto_target_start_make_csr(&job, target, name, key_type,
		     (const char *const *)names->items, names->n, shell_timeout_ms(shell))) == 0 &&
	    (rc = shell_finish(shell, job)) == 0)
		rc = certauto_target_dup_csr(out, target);
	return rc == 0 ? STATUS_DONE : say_failure(shell, rc);
}

/* Of all the names, and of no other? */
static int has_names(const certauto_csr *csr, const struct strings *names)
{
	size_t i, j, n = certauto_csr_n_names(csr);

	for (i = 0; i < names->n; i++) {
		for (j = 0; j < n && strcasecmp(certauto_csr_name(csr, j), names->items[i]); j++)
			;
		if (j == n)
			return 0;
	}
	return n <= names->n;
}

/* The one that was made before, if it still is for these names. */
static int load_request(struct hook *hook, const struct strings *names, const char *kept,
	certauto_csr **out)
{
	struct text text = {0};
	int found = input_load(&text, kept, REQUEST_MAX) == 0 && text.len <= REQUEST_MAX &&
		certauto_csr_parse(out, hook->shell->cx, (const unsigned char *)text_of(&text),
			text.len) == 0;

	if (found && !has_names(*out, names)) {
		certauto_csr_free(*out);
		*out = NULL;
		found = 0;
	}
	text_free(&text);
	return found;
}

static int say_request(struct hook *hook, const certauto_csr *csr, const char *kept)
{
	unsigned char *pem = NULL;
	struct text text = {0};
	size_t len = 0;
	int rc = certauto_csr_format(&pem, &len, csr), status = STATUS_DONE;

	if (rc < 0)
		return say_failure(hook->shell, rc);
	if (kept != NULL && output_write(kept, pem, len, 0600, 1) < 0)
		status = STATUS_FAILED;
	text_add_n(&text, (const char *)pem, len);
	if (status == STATUS_DONE)
		say(&text);
	text_free(&text);
	certauto_mem_free(pem);
	return status;
}

int hook_request(struct hook *hook, const char *name, const char *key_type,
	const struct strings *names, const char *kept)
{
	certauto_target *target = target_for(hook, CERTAUTO_TARGET_CSR);
	certauto_csr *csr = NULL;
	struct text ours = {0};
	int status;

	if (target == NULL)
		return say_usage(hook->shell, "no target here makes keys by itself");
	add_name(&ours, hook, name);
	if (load_request(hook, names, kept, &csr))
		status = say_request(hook, csr, NULL);
	else if ((status = make_request(hook, target, text_of(&ours), key_type, names, &csr)) ==
		STATUS_DONE)
		status = say_request(hook, csr, kept);
	certauto_csr_free(csr);
	text_free(&ours);
	return status;
}
