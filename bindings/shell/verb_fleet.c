/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that do something with the certificates of a configuration: issue, renew, deploy, plan,
 * check, gc; revoke is in verb_revoke.c. */

#include <string.h>
#include <time.h>

#include "certs.h"
#include "input.h"
#include "json.h"
#include "moment.h"
#include "results.h"
#include "shell.h"

/* Fleet calls take it as a pointer to const pointers. */
static const char *const *names_of(const struct shell *shell)
{
	return shell->options.operands.n > 0 ? (const char *const *)shell->options.operands.items
					     : NULL;
}

static int flags_of(const struct shell *shell)
{
	return option_given(&shell->options, OPTION_FORCE) ? CERTAUTO_FLEET_FORCE : 0;
}

static int is_certificate(const struct shell *shell, const char *name)
{
	size_t i;

	for (i = 0; i < certauto_fleet_n_certificates(shell->fleet); i++)
		if (strcmp(certauto_fleet_certificate(shell->fleet, i), name) == 0)
			return 1;
	return 0;
}

int check_certificates(const struct shell *shell)
{
	const struct strings *names = &shell->options.operands;
	struct text list = {0};
	size_t i, wrong = 0;
	int status;

	while (wrong < names->n && is_certificate(shell, names->items[wrong]))
		wrong++;
	if (wrong == names->n)
		return STATUS_DONE;
	for (i = 0; i < certauto_fleet_n_certificates(shell->fleet); i++)
		text_printf(&list, "%s%s", i > 0 ? ", " : "",
			certauto_fleet_certificate(shell->fleet, i));
	status = say_usage(shell, "there is no certificate %s in the configuration; there are: %s",
		names->items[wrong], list.len > 0 ? text_of(&list) : "none");
	text_free(&list);
	return status;
}

/* What issue, renew and plan begin with. A mistake in the time is told before anything is read. */
static int open_renewal(struct shell *shell)
{
	const char *before = option_value(&shell->options, OPTION_MUST_RENEW_BEFORE);
	int64_t at = 0;
	int rc, status;

	if (before != NULL && moment_parse(&at, before, (int64_t)time(NULL)) < 0)
		return say_usage(shell, "--must-renew-before takes a time such as " MOMENT_FORMS
			", not \"%s\"", before);
	if ((status = shell_open_fleet(shell)) != STATUS_DONE ||
	    (status = check_certificates(shell)) != STATUS_DONE)
		return status;
	if (before != NULL && (rc = certauto_fleet_set_renew_before(shell->fleet, at)) < 0)
		return say_failure(shell, rc);
	return STATUS_DONE;
}

/* ---- plan ---- */

struct plan_row {
	const char *name, *key, *action, *why;
};

static void add_plan_row(struct text *out, const struct shell *shell, const struct plan_row *row)
{
	struct text subject = {0};

	if (shell->json) {
		text_add(out, out->len > 0 ? ",{\"name\":" : "{\"name\":");
		text_add_json(out, row->name);
		text_add(out, ",\"key\":");
		text_add_json(out, row->key);
		text_add(out, ",\"action\":");
		text_add_json(out, row->action);
		text_add(out, ",\"why\":");
		text_add_json(out, row->why);
		text_add(out, "}");
		return;
	}
	text_printf(&subject, "%s%s%s", row->name, row->key != NULL ? " " : "",
		row->key != NULL ? row->key : "");
	text_add_shown(out, text_of(&subject));
	text_printf(out, ": %s", row->action);
	if (row->why != NULL) {
		text_add(out, ": ");
		text_add_shown(out, row->why);
	}
	text_add(out, "\n");
	text_free(&subject);
}

static void say_plan(const struct shell *shell, const struct text *rows)
{
	struct text text = {0};

	if (shell->json) {
		text_add(&text, "{\"version\":1,\"verb\":");
		text_add_json(&text, shell->verb->name);
		text_printf(&text, ",\"plan\":[%s]}\n", text_of(rows));
		say(&text);
		text_free(&text);
	} else {
		say(rows);
	}
}

static int plan_renew(struct shell *shell)
{
	struct json *list;
	const struct json *item;
	struct text rows = {0};
	char *text = NULL;
	int rc = certauto_fleet_dup_plan(&text, shell->fleet, names_of(shell),
		shell->options.operands.n, flags_of(shell));

	if (rc < 0)
		return say_failure(shell, rc);
	list = json_parse(text);
	for (item = json_first(list); item != NULL; item = item->next) {
		struct plan_row row = {json_text(item, "name"), json_text(item, "key"),
			json_text(item, "action"), json_text(item, "why")};

		if (row.name != NULL && row.action != NULL)
			add_plan_row(&rows, shell, &row);
	}
	say_plan(shell, &rows);
	text_free(&rows);
	json_free(list);
	certauto_mem_free(text);
	return STATUS_DONE;
}

/* deploy takes what is issued to every target, whatever the state there. */
static void plan_deploy_one(
	struct text *rows, const struct shell *shell, const char *name, const struct json *lineage)
{
	const struct json *issued = json_get(lineage, "issued"),
			  *targets = json_get(lineage, "targets"), *target;
	struct plan_row row = {name, json_text(lineage, "key"), "deploy", NULL};
	struct text why = {0};

	for (target = json_first(targets); target != NULL; target = target->next)
		if (json_text(target, "name") != NULL)
			text_printf(&why, "%s%s", why.len > 0 ? ", " : "to ",
				json_text(target, "name"));
	if (issued == NULL || issued->type != JSON_OBJECT) {
		row.action = "nothing";
		row.why = "not issued yet";
	} else if (why.len == 0) {
		row.action = "nothing";
		row.why = "it is not deployed anywhere";
	} else {
		row.why = text_of(&why);
	}
	add_plan_row(rows, shell, &row);
	text_free(&why);
}

static int plan_deploy(struct shell *shell)
{
	const struct json *list, *certificate, *lineages, *lineage;
	struct json *status;
	struct text rows = {0};
	char *text = NULL;
	int rc = certauto_fleet_dup_status(&text, shell->fleet, names_of(shell),
		shell->options.operands.n);

	if (rc < 0)
		return say_failure(shell, rc);
	status = json_parse(text);
	list = json_get(status, "certificates");
	for (certificate = json_first(list); certificate != NULL; certificate = certificate->next) {
		const char *name = json_text(certificate, "name");

		if (name == NULL)
			continue;
		lineages = json_get(certificate, "lineages");
		for (lineage = json_first(lineages); lineage != NULL; lineage = lineage->next)
			plan_deploy_one(&rows, shell, name, lineage);
	}
	say_plan(shell, &rows);
	text_free(&rows);
	json_free(status);
	certauto_mem_free(text);
	return STATUS_DONE;
}

int run_plan(struct shell *shell)
{
	int status = open_renewal(shell);

	return status == STATUS_DONE ? plan_renew(shell) : status;
}

/* ---- what changes something ---- */

static int start(certauto_job **out, struct shell *shell)
{
	size_t n = shell->options.operands.n;

	if (shell->verb->run == run_deploy)
		return certauto_fleet_start_deploy(
			out, shell->fleet, names_of(shell), n, shell_timeout_ms(shell));
	return certauto_fleet_start_renew(
		out, shell->fleet, names_of(shell), n, flags_of(shell), shell_timeout_ms(shell));
}

static int run_job(struct shell *shell, const char *done)
{
	struct words words = {done, "unchanged", 1, (int64_t)time(NULL)};
	certauto_job *job = NULL;
	int rc = start(&job, shell);

	if (rc < 0)
		return say_failure(shell, rc);
	return results_say(shell, shell_finish(shell, job), &words);
}

int run_issue(struct shell *shell)
{
	int status;

	if (shell->options.operands.n == 0 &&
	    (options_given(&shell->options) & OPTIONS_CERTIFICATE) == 0)
		return say_usage(shell,
			"issue needs the NAME of a certificate in the configuration, or --domain "
			"or --csr and what else replaces one");
	if ((status = open_renewal(shell)) != STATUS_DONE)
		return status;
	/* What is asked for by name is tried at once, however lately it failed. */
	if (shell->options.operands.n == 0)
		strings_add(&shell->options.operands, certauto_fleet_certificate(shell->fleet, 0));
	if (option_given(&shell->options, OPTION_DRY_RUN))
		return plan_renew(shell);
	return run_job(shell, "issued");
}

int run_renew(struct shell *shell)
{
	int status = open_renewal(shell);

	if (status != STATUS_DONE)
		return status;
	if (option_given(&shell->options, OPTION_DRY_RUN))
		return plan_renew(shell);
	return run_job(shell, "renewed");
}

/* ---- deploy of what is in a file ---- */

static int check_file_form(const struct shell *shell)
{
	static const enum option_id uses[] = {OPTION_CERT, OPTION_KEY, OPTION_TARGET, OPTION_NAME,
		OPTION_CONFIG, OPTION_TIMEOUT};
	option_set others = options_given(&shell->options) & shell->verb->options;
	size_t i;

	for (i = 0; i < sizeof(uses) / sizeof(*uses); i++)
		others &= ~OPTION_BIT(uses[i]);
	if (shell->options.operands.n > 0)
		return say_usage(
			shell, "--cert FILE and the NAME of a certificate exclude each other");
	if (!option_given(&shell->options, OPTION_TARGET))
		return say_usage(shell, "--cert FILE needs --target: where it is to be deployed");
	if (shell->options.given[OPTION_KEY].n > 1)
		return say_usage(shell, "--key is given twice");
	for (i = 0; i < OPTION_COUNT; i++)
		if ((others & OPTION_BIT(i)) != 0)
			return say_usage(
				shell, "--%s has no use with --cert", option_rows[i].name);
	return STATUS_DONE;
}

static int deploy_file(struct shell *shell)
{
	struct results results = {0};
	struct delivery delivery = {0};
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;
	int status;

	if ((status = check_file_form(shell)) == STATUS_DONE &&
	    (status = shell_open(shell)) == STATUS_DONE &&
	    (status = input_cert(shell, &chain, "cert",
		     option_value(&shell->options, OPTION_CERT))) == STATUS_DONE &&
	    (status = input_key(shell, &key)) == STATUS_DONE &&
	    (status = delivery_open(&delivery, shell, chain)) == STATUS_DONE) {
		delivery_run(&delivery, shell, &results, chain, key);
		status = results_say_own(shell, &results);
	}
	delivery_free(&delivery);
	certauto_key_free(key);
	certauto_chain_free(chain);
	return status;
}

int run_deploy(struct shell *shell)
{
	int status;

	if (option_given(&shell->options, OPTION_CERT))
		return deploy_file(shell);
	if ((status = shell_open_fleet(shell)) != STATUS_DONE ||
	    (status = check_certificates(shell)) != STATUS_DONE)
		return status;
	if (option_given(&shell->options, OPTION_DRY_RUN))
		return plan_deploy(shell);
	return run_job(shell, "deployed");
}

/* A signal that came before there was anything to cancel is only seen here. */
static int open_unless_signalled(struct shell *shell)
{
	int status = shell_open_fleet(shell);

	return status == STATUS_DONE ? shell_status(STATUS_DONE) : status;
}

int run_check(struct shell *shell)
{
	static const struct words words = {"ok", "ok", 0, 0};
	int status = open_unless_signalled(shell);

	if (status != STATUS_DONE)
		return status;
	return results_say(
		shell, certauto_fleet_test(shell->fleet, shell_timeout_ms(shell)), &words);
}

int run_gc(struct shell *shell)
{
	static const struct words words = {"settled", "nothing to settle", 0, 0};
	int status = open_unless_signalled(shell);

	if (status != STATUS_DONE)
		return status;
	return results_say(shell, certauto_fleet_gc(shell->fleet, shell_timeout_ms(shell)), &words);
}
