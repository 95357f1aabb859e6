/* SPDX-License-Identifier: Apache-2.0 */
/* What hooks are for: challenges answered and taken back, certificates deployed, on behalf of
 * somebody else's client. Such a client asks once, and may never ask again. */

#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "adhoc.h"
#include "certs.h"
#include "input.h"
#include "output.h"

#define CHAIN_MAX 262144
#define REQUEST_MAX 65536
#define PATIENCE_S 60  /* with another run that is at work on the target */
#define LOCK_POLL_MS 100
#define ACME_LABEL "_acme-challenge."

/* ---- targets ---- */

static int open_target(struct hook *hook, const char *text)
{
	certauto_target *target = NULL;
	int status = adhoc_with_store(hook->shell, text, hook->n_targets == 0, &target);

	if (status != STATUS_DONE)
		return status;
	hook->targets = memory_grow(hook->targets, hook->n_targets + 1, sizeof(*hook->targets));
	hook->targets[hook->n_targets++] = target;
	return STATUS_DONE;
}

/* Names with blanks between them, or one that is made of options. */
static int open_named(struct hook *hook, const char *text)
{
	char *copy, *rest, *name;
	int status = STATUS_DONE;

	if (strchr(text, ',') != NULL)
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

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int hook_open(struct hook *hook)
{
	struct options *options = &hook->shell->options;
	const char *config;
	int status = hook_environment(hook);

	hook->begun_ms = now_ms();
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
typedef int finish_fn(struct shell *shell, certauto_job *job);

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
static int run_all(struct work *work, start_fn *start, finish_fn *finish)
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
		if ((rc = finish(shell, work->jobs[i])) < 0) {
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
	    (status = run_all(&work, certauto_target_start_present, shell_finish)) != STATUS_DONE)
		/* Nobody will ask for that: to the caller none of them is there. */
		(void)run_all(&work, certauto_target_start_cleanup, shell_finish_undo);
	work_close(&work);
	return status;
}

int hook_cleanup(struct hook *hook, const char *challenge, const struct hook_answer *answers,
	size_t n)
{
	struct work work;
	int status = work_open(&work, hook, challenge, answers, n);

	if (status == STATUS_DONE)
		status = run_all(&work, certauto_target_start_cleanup, shell_finish);
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

/* What --timeout gives is for all targets. */
static int left_ms(const struct hook *hook)
{
	return (int)(hook->begun_ms + shell_timeout_ms(hook->shell) - now_ms());
}

/* Two runs with one certificate, as that of a timer and that of a client, one after the other: what
 * one of them takes back may be what the other has deployed. The folder of the certificate is what
 * both know; *fd keeps it. */
static int lock_folder(struct hook *hook, const char *file, int *fd)
{
	const char *slash = strrchr(file, '/');
	char *folder = slash != NULL ? memory_copy(file, (size_t)(slash - file) + 1)
				     : memory_copy(".", 1);

	*fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	while (*fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		if (left_ms(hook) > 0 && pause_ms(LOCK_POLL_MS))
			continue;
		complain("another certauto is at work with %s", file);
		return STATUS_FAILED;
	}
	return STATUS_DONE;
}

/* Another run that is at work on the target is waited for: who calls a hook does not come back. */
static int deploy_to(struct hook *hook, certauto_target *target, const char *name,
	certauto_chain *chain, certauto_key *key)
{
	struct shell *shell = hook->shell;
	certauto_job *job;
	int rc, waited_s = 0, pause_s;

	if (left_ms(hook) <= 0) {
		complain("%s is not deployed to %s: the time of --timeout is over", name,
			certauto_target_type(target));
		return STATUS_FAILED;
	}
	for (pause_s = 1;; waited_s += pause_s, pause_s *= 2) {
		job = NULL;
		if ((rc = certauto_target_start_deploy(
			     &job, target, name, chain, key, left_ms(hook))) == 0)
			rc = shell_finish(shell, job);
		if ((rc != CERTAUTO_EBUSY && rc != CERTAUTO_ERETRY_LATER) ||
		    waited_s >= PATIENCE_S || left_ms(hook) <= pause_s * 1000 ||
		    !pause_ms(pause_s * 1000))
			break;
	}
	return rc == 0 ? STATUS_DONE : say_failure(shell, rc);
}

/* Is it the key in the certificate? Any certificate of it has the same pin. */
static int is_key_of(const struct shell *shell, certauto_key *key, const certauto_chain *chain)
{
	const char *name = "localhost";
	certauto_csr *csr = NULL;
	certauto_chain *own = NULL;
	struct json *ours = NULL, *theirs = NULL;
	int is_it = 0;

	if (certauto_csr_new(&csr, shell->cx, key, &name, 1) == 0 &&
	    certauto_chain_new_self_signed(&own, key, csr, (int64_t)time(NULL) + 3600) == 0 &&
	    (ours = certs_details(shell, own)) != NULL &&
	    (theirs = certs_details(shell, chain)) != NULL)
		is_it = strcmp(json_text_or(json_first(ours), "pin", "?"),
				json_text_or(json_first(theirs), "pin", "")) == 0;
	json_free(ours);
	json_free(theirs);
	certauto_chain_free(own);
	certauto_csr_free(csr);
	return is_it;
}

/* The key of the certificate; none: a target has made it, and it is nowhere else. */
static int load_key(struct hook *hook, const struct hook_files *files, const certauto_chain *chain,
	certauto_key **out)
{
	int rc = 0;

	if (!files->is_requested || access(files->key, F_OK) == 0)
		rc = certauto_key_load(out, hook->shell->cx, files->key);
	if (rc < 0)
		return say_failure(hook->shell, rc);
	/* One from before a target was asked. */
	if (files->is_requested && *out != NULL && !is_key_of(hook->shell, *out, chain)) {
		certauto_key_free(*out);
		*out = NULL;
	}
	return STATUS_DONE;
}

/* One that fails is no reason to leave the others with the old certificate. */
static int deploy_to_all(
	struct hook *hook, const char *name, certauto_chain *chain, certauto_key *key)
{
	int cap = key != NULL ? CERTAUTO_TARGET_DEPLOY : CERTAUTO_TARGET_CSR;
	int one, status = STATUS_DONE;
	size_t i;

	if (!hook_can(hook, cap))
		return say_usage(hook->shell, "%s", key != NULL
				? "no target here takes certificates"
				: "a target has made the key, and no target here makes keys");
	for (i = 0; i < hook->n_targets; i++) {
		if ((certauto_target_caps(hook->targets[i]) & cap) == 0)
			continue;
		one = deploy_to(hook, hook->targets[i], name, chain, key);
		status = one != STATUS_DONE ? one : status;
	}
	return status;
}

int hook_deploy(struct hook *hook, const struct hook_files *files)
{
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;
	struct text name = {0};
	int fd, status = lock_folder(hook, files->chain, &fd);

	if (status == STATUS_DONE)
		status = load_chain(hook, files, &chain);
	if (status == STATUS_DONE)
		status = load_key(hook, files, chain, &key);
	add_name(&name, hook, files->name);
	if (status == STATUS_DONE)
		status = deploy_to_all(hook, text_of(&name), chain, key);
	if (fd >= 0)
		close(fd);
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
