/* SPDX-License-Identifier: Apache-2.0 */
/* certauto account register, show, update, rotate-key, deactivate, orders. */

#include <string.h>

#include "results.h"
#include "shell.h"

/* A job on one account: all of them are started alike. */
typedef int (*start_fn)(certauto_job **out, certauto_account *account, int deadline_ms);

/* ---- which accounts ---- */

static int is_account(const struct shell *shell, const char *name)
{
	size_t i;

	for (i = 0; i < certauto_fleet_n_accounts(shell->fleet); i++)
		if (strcmp(certauto_fleet_account(shell->fleet, i), name) == 0)
			return 1;
	return 0;
}

static void add_accounts(struct text *out, const struct shell *shell)
{
	size_t i, n = certauto_fleet_n_accounts(shell->fleet);

	for (i = 0; i < n; i++)
		text_printf(
			out, "%s%s", i > 0 ? ", " : "", certauto_fleet_account(shell->fleet, i));
	if (n == 0)
		text_add(out, "none");
}

int check_account(const struct shell *shell, const char *name)
{
	struct text list = {0};
	int status = STATUS_DONE;

	if (!is_account(shell, name)) {
		add_accounts(&list, shell);
		status = say_usage(shell,
			"there is no account %s in the configuration; there are: %s", name,
			text_of(&list));
	}
	text_free(&list);
	return status;
}

/* The accounts named, or all of them: in the operands afterwards. 0 or an exit status. */
static int open_accounts(struct shell *shell)
{
	struct strings *names = &shell->options.operands;
	size_t i;
	int status = shell_open_fleet(shell);

	if (status == STATUS_DONE && names->n == 0)
		for (i = 0; i < certauto_fleet_n_accounts(shell->fleet); i++)
			strings_add(names, certauto_fleet_account(shell->fleet, i));
	for (i = 0; i < names->n && status == STATUS_DONE; i++)
		status = check_account(shell, names->items[i]);
	return status;
}

/* ---- verbs that do something to it ---- */

static void say_account(const struct shell *shell, const char *name, const char *before,
	const certauto_account *account)
{
	const char *url = certauto_account_url(account);
	struct text line = {0};

	if (shell->json)
		return;
	text_add_shown(&line, name);
	text_printf(&line, ": %s", before);
	text_add_shown(&line, url != NULL ? url : "not registered yet");
	text_add(&line, " at ");
	text_add_shown(&line, certauto_account_server(account));
	text_add(&line, "\n");
	say(&line);
	text_free(&line);
}

/* Loads the account called name and drives a job on it to its end. */
static int run_one(certauto_account **out, struct shell *shell, const char *name, start_fn start)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = certauto_fleet_dup_account(out, shell->fleet, name)) == 0 &&
	    (rc = start(&job, *out, shell_timeout_ms(shell))) == 0)
		rc = shell_finish(shell, job);
	return rc;
}

/* word: what it then is, in front of its URL. */
static int run_each(struct shell *shell, start_fn start, const char *word)
{
	const struct strings *names = &shell->options.operands;
	struct results results = {0};
	certauto_account *account;
	int rc, status;
	size_t i;

	if ((status = open_accounts(shell)) != STATUS_DONE)
		return status;
	for (i = 0; i < names->n && shell_signal() == 0; i++) {
		account = NULL;
		rc = run_one(&account, shell, names->items[i], start);
		if (rc == 0)
			say_account(shell, names->items[i], word, account);
		results_add(&results, shell, names->items[i], NULL, rc);
		certauto_account_free(account);
	}
	return results_say_own(shell, &results);
}

int run_account_register(struct shell *shell)
{
	return run_each(shell, certauto_account_start_register, "");
}

int run_account_update(struct shell *shell)
{
	return run_each(shell, certauto_account_start_update, "updated, ");
}

static int start_rotate_key(certauto_job **out, certauto_account *account, int deadline_ms)
{
	return certauto_account_start_rotate_key(out, account, NULL, deadline_ms);
}

int run_account_rotate_key(struct shell *shell)
{
	return run_each(shell, start_rotate_key, "has a new key, ");
}

int run_account_deactivate(struct shell *shell)
{
	if (shell->options.operands.n == 0 && !option_given(&shell->options, OPTION_SERVER))
		return say_usage(shell,
			"account deactivate needs the ACCOUNT of the configuration, or --server "
			"and --state");
	if (!option_given(&shell->options, OPTION_YES))
		return say_usage(shell,
			"no CA gives a deactivated account back, nor issues for it again: if it is "
			"to be, add --yes");
	return run_each(shell, certauto_account_start_deactivate, "deactivated, ");
}

/* ---- verbs that only look ---- */

/* A member with a list of strings: get(account, 0) and so on, n of them; null unless known. */
static void add_list(struct text *out, const char *member, const certauto_account *account,
	size_t n, const char *(*get)(const certauto_account *account, size_t i), int is_known)
{
	size_t i;

	text_printf(out, ",\"%s\":%s", member, is_known ? "[" : "null");
	if (!is_known)
		return;
	for (i = 0; i < n; i++) {
		text_add(out, i > 0 ? "," : "");
		text_add_json(out, get(account, i));
	}
	text_add(out, "]");
}

static void add_member(struct text *out, const char *member, const char *value)
{
	text_printf(out, ",\"%s\":", member);
	text_add_json(out, value);
}

static void add_shown_json(struct text *out, const certauto_account *account, int is_online)
{
	add_member(out, "server", certauto_account_server(account));
	add_member(out, "url", certauto_account_url(account));
	add_member(out, "status", certauto_account_status(account));
	add_list(out, "contacts", account, certauto_account_n_contacts(account),
		certauto_account_contact, is_online);
	add_member(out, "terms", is_online ? certauto_account_terms_url(account) : NULL);
	add_list(out, "profiles", account, certauto_account_n_profiles(account),
		certauto_account_profile, is_online);
}

static void say_list(const char *label, const certauto_account *account, size_t n,
	const char *(*get)(const certauto_account *account, size_t i))
{
	struct text line = {0};
	size_t i;

	text_printf(&line, "    %s: ", label);
	for (i = 0; i < n; i++) {
		text_add(&line, i > 0 ? ", " : "");
		text_add_shown(&line, get(account, i));
	}
	text_add(&line, n > 0 ? "\n" : "none\n");
	say(&line);
	text_free(&line);
}

/* What the CA has said of it. */
static void say_details(const certauto_account *account)
{
	const char *status = certauto_account_status(account),
		   *terms = certauto_account_terms_url(account);
	struct text lines = {0};

	text_add(&lines, "    status: ");
	text_add_shown(&lines, status != NULL ? status : "not told");
	text_add(&lines, "\n    terms of service: ");
	text_add_shown(&lines, terms != NULL ? terms : "none");
	text_add(&lines, "\n");
	say(&lines);
	text_free(&lines);
	say_list("contacts", account, certauto_account_n_contacts(account),
		certauto_account_contact);
	say_list("profiles", account, certauto_account_n_profiles(account),
		certauto_account_profile);
}

static void say_orders(const char *name, const certauto_account *account)
{
	struct text lines = {0};
	size_t i;

	for (i = 0; i < certauto_account_n_orders(account); i++) {
		text_add_shown(&lines, name);
		text_add(&lines, ": ");
		text_add_shown(&lines, certauto_account_order(account, i));
		text_add(&lines, "\n");
	}
	if (i == 0) {
		text_add_shown(&lines, name);
		text_add(&lines, ": no orders\n");
	}
	say(&lines);
	text_free(&lines);
}

/* What one account came to, for people or into the list. account NULL: it could not be loaded. */
static void add_looked(struct text *list, const struct shell *shell, const char *name,
	const certauto_account *account, const struct failure *failure)
{
	int has_failed = failure->status != STATUS_DONE;

	text_add(list, list->len > 0 ? ",{\"name\":" : "{\"name\":");
	text_add_json(list, name);
	if (shell->verb->run == run_account_orders)
		add_list(list, "orders", account, certauto_account_n_orders(account),
			certauto_account_order, !has_failed);
	else
		add_shown_json(list, account,
			!has_failed && option_given(&shell->options, OPTION_ONLINE));
	text_printf(list, ",\"error\":%s}", has_failed ? text_of(&failure->json) : "null");
	if (shell->json || has_failed)
		return;
	if (shell->verb->run == run_account_orders) {
		say_orders(name, account);
		return;
	}
	say_account(shell, name, "", account);
	if (option_given(&shell->options, OPTION_ONLINE))
		say_details(account);
}

/* start NULL: as the state directory has it. */
static int look_at_each(struct shell *shell, start_fn start)
{
	const struct strings *names = &shell->options.operands;
	struct results results = {0};
	struct text list = {0}, text = {0};
	certauto_account *account;
	struct failure failure;
	int rc, status;
	size_t i;

	if ((status = open_accounts(shell)) != STATUS_DONE)
		return status;
	for (i = 0; i < names->n && shell_signal() == 0; i++) {
		account = NULL;
		if (start != NULL)
			rc = run_one(&account, shell, names->items[i], start);
		else
			rc = certauto_fleet_dup_account(&account, shell->fleet, names->items[i]);
		failure = failure_keep(shell, rc);
		add_looked(&list, shell, names->items[i], account, &failure);
		results_count(&results, &failure);
		failure_free(&failure);
		certauto_account_free(account);
	}
	if (shell->json) {
		text_printf(&text, "{\"version\":1,\"verb\":\"%s\",\"accounts\":[%s]}\n",
			shell->verb->name, text_of(&list));
		say(&text);
	}
	text_free(&list);
	text_free(&text);
	return shell_status(results_status(&results));
}

int run_account_show(struct shell *shell)
{
	return look_at_each(shell, option_given(&shell->options, OPTION_ONLINE)
			? certauto_account_start_fetch
			: NULL);
}

int run_account_orders(struct shell *shell)
{
	return look_at_each(shell, certauto_account_start_fetch_orders);
}
