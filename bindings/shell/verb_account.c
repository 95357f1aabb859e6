/* SPDX-License-Identifier: Apache-2.0 */
/* certauto account register, certauto account show. */

#include <string.h>

#include "results.h"
#include "shell.h"

static int is_account(const struct shell *shell, const char *name)
{
	size_t i;

	for (i = 0; i < certauto_fleet_n_accounts(shell->fleet); i++)
		if (strcmp(certauto_fleet_account(shell->fleet, i), name) == 0)
			return 1;
	return 0;
}

/* The accounts named, or all of them: in the operands afterwards. 0 or an exit status. */
static int choose(struct shell *shell)
{
	struct strings *names = &shell->options.operands;
	struct text list = {0};
	size_t i;
	int status = STATUS_DONE;

	if (names->n == 0) {
		for (i = 0; i < certauto_fleet_n_accounts(shell->fleet); i++)
			strings_add(names, certauto_fleet_account(shell->fleet, i));
		return STATUS_DONE;
	}
	for (i = 0; i < certauto_fleet_n_accounts(shell->fleet); i++)
		text_printf(
			&list, "%s%s", i > 0 ? ", " : "", certauto_fleet_account(shell->fleet, i));
	for (i = 0; i < names->n && status == STATUS_DONE; i++)
		if (!is_account(shell, names->items[i]))
			status = say_usage(shell,
				"there is no account %s in the configuration; there are: %s",
				names->items[i], text_of(&list));
	text_free(&list);
	return status;
}

static void say_account(
	const struct shell *shell, const char *name, const certauto_account *account)
{
	const char *url = certauto_account_url(account);
	struct text line = {0};

	if (shell->json)
		return;
	text_add_shown(&line, name);
	text_add(&line, ": ");
	text_add_shown(&line, url != NULL ? url : "not registered yet");
	text_add(&line, " at ");
	text_add_shown(&line, certauto_account_server(account));
	text_add(&line, "\n");
	say(&line);
	text_free(&line);
}

static void register_one(struct shell *shell, struct results *results, const char *name)
{
	certauto_account *account = NULL;
	certauto_job *job = NULL;
	int rc;

	if ((rc = certauto_fleet_dup_account(&account, shell->fleet, name)) == 0 &&
	    (rc = certauto_account_start_register(&job, account, shell_timeout_ms(shell))) == 0)
		rc = shell_finish(shell, job);
	if (rc == 0)
		say_account(shell, name, account);
	results_add(results, shell, name, NULL, rc);
	certauto_account_free(account);
}

int run_account_register(struct shell *shell)
{
	struct results results = {0};
	size_t i;
	int status;

	if ((status = shell_open_fleet(shell)) != STATUS_DONE ||
	    (status = choose(shell)) != STATUS_DONE)
		return status;
	for (i = 0; i < shell->options.operands.n && shell_signal() == 0; i++)
		register_one(shell, &results, shell->options.operands.items[i]);
	return results_say_own(shell, &results);
}

static void add_account_json(struct text *out, const char *name, const certauto_account *account)
{
	text_add(out, out->len > 0 ? ",{\"name\":" : "{\"name\":");
	text_add_json(out, name);
	text_add(out, ",\"server\":");
	text_add_json(out, certauto_account_server(account));
	text_add(out, ",\"url\":");
	text_add_json(out, certauto_account_url(account));
	text_add(out, "}");
}

int run_account_show(struct shell *shell)
{
	struct text list = {0}, text = {0};
	certauto_account *account = NULL;
	int rc = 0, status;
	size_t i;

	if ((status = shell_open_fleet(shell)) != STATUS_DONE ||
	    (status = choose(shell)) != STATUS_DONE)
		return status;
	for (i = 0; i < shell->options.operands.n && rc == 0; i++) {
		rc = certauto_fleet_dup_account(
			&account, shell->fleet, shell->options.operands.items[i]);
		if (rc == 0) {
			say_account(shell, shell->options.operands.items[i], account);
			add_account_json(&list, shell->options.operands.items[i], account);
		}
		certauto_account_free(account);
		account = NULL;
	}
	if (rc < 0) {
		status = say_failure(shell, rc);
	} else if (shell->json) {
		text_printf(&text, "{\"version\":1,\"verb\":\"account show\",\"accounts\":[%s]}\n",
			text_of(&list));
		say(&text);
	}
	text_free(&list);
	text_free(&text);
	return status;
}
