/* SPDX-License-Identifier: Apache-2.0 */
/* certauto revoke: certificates of the configuration, or one that is in a file. */

#include <string.h>

#include "adhoc.h"
#include "input.h"
#include "results.h"
#include "shell.h"

static const struct {
	const char *name;
	int reason;
} reasons[] = {
	{"unspecified", CERTAUTO_REVOKE_UNSPECIFIED},
	{"key-compromise", CERTAUTO_REVOKE_KEY_COMPROMISE},
	{"affiliation-changed", CERTAUTO_REVOKE_AFFILIATION_CHANGED},
	{"superseded", CERTAUTO_REVOKE_SUPERSEDED},
	{"cessation-of-operation", CERTAUTO_REVOKE_CESSATION_OF_OPERATION},
};

static int say_no_reason(const struct shell *shell, const char *name)
{
	struct text list = {0};
	size_t i;
	int status;

	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
		text_printf(&list, "%s%s", i > 0 ? ", " : "", reasons[i].name);
	status = say_usage(
		shell, "there is no reason \"%s\"; there are: %s", name, text_of(&list));
	text_free(&list);
	return status;
}

static int get_reason(const struct shell *shell, int *out)
{
	const char *name = option_value(&shell->options, OPTION_REASON);
	size_t i;

	*out = CERTAUTO_REVOKE_UNSPECIFIED;
	if (name == NULL)
		return STATUS_DONE;
	for (i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		*out = reasons[i].reason;
		if (strcmp(name, reasons[i].name) == 0)
			return STATUS_DONE;
	}
	return say_no_reason(shell, name);
}

/* ---- by name ---- */

static int revoke_names(struct shell *shell, int reason)
{
	static const struct words words = {"revoked", "unchanged", 0, 0};
	const struct strings *names = &shell->options.operands;
	int flags = option_given(&shell->options, OPTION_BY_KEY) ? CERTAUTO_FLEET_BY_KEY : 0;
	certauto_job *job = NULL;
	int rc, status;

	if ((status = shell_open_fleet(shell)) != STATUS_DONE ||
	    (status = check_certificates(shell)) != STATUS_DONE)
		return status;
	rc = certauto_fleet_start_revoke(&job, shell->fleet, (const char *const *)names->items,
		names->n, reason, flags, shell_timeout_ms(shell));
	if (rc < 0)
		return say_failure(shell, rc);
	status = results_say(shell, shell_finish(shell, job), &words);
	if (status == STATUS_DONE && !option_given(&shell->options, OPTION_QUIET))
		complain("what was revoked is still served until certauto renew has replaced it");
	return status;
}

/* ---- a file ---- */

/* Account that signs, or whose CA is asked with the certificate's own key. */
static int open_account(certauto_account **out, struct shell *shell)
{
	const struct options *options = &shell->options;
	const char *name = option_value(options, OPTION_ACCOUNT),
		   *ca_file = option_value(options, OPTION_CA_FILE);
	int rc, status;

	/* With the key neither an account nor a place for one is needed. */
	if (option_given(options, OPTION_KEY) && option_given(options, OPTION_SERVER) &&
	    !option_given(options, OPTION_STATE)) {
		if ((status = shell_open(shell)) != STATUS_DONE)
			return status;
		if ((rc = certauto_account_new(out, shell->cx,
			     option_value(options, OPTION_SERVER))) < 0 ||
			(ca_file != NULL && (rc = certauto_account_set_ca_file(*out, ca_file)) < 0))
			return say_config_failure(shell, "the options", NULL);
		return STATUS_DONE;
	}
	if ((status = shell_open_fleet(shell)) != STATUS_DONE)
		return status;
	if (name == NULL && certauto_fleet_n_accounts(shell->fleet) == 1)
		name = certauto_fleet_account(shell->fleet, 0);
	if (name == NULL)
		return say_usage(
			shell, "--cert FILE needs --account NAME: whose CA is to be asked");
	if ((status = check_account(shell, name)) != STATUS_DONE)
		return status;
	rc = certauto_fleet_dup_account(out, shell->fleet, name);
	return rc == 0 ? STATUS_DONE : say_failure(shell, rc);
}

static int revoke_file(struct shell *shell, const char *path, int reason)
{
	struct results results = {0};
	struct text line = {0};
	certauto_account *account = NULL;
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;
	certauto_job *job = NULL;
	int rc, status;

	if ((status = open_account(&account, shell)) != STATUS_DONE ||
	    (status = input_cert(shell, &chain, "cert", path)) != STATUS_DONE ||
	    (status = input_key(shell, &key)) != STATUS_DONE)
		goto out;
	rc = certauto_account_start_revoke(
		&job, account, chain, key, reason, shell_timeout_ms(shell));
	if (rc == 0)
		rc = shell_finish(shell, job);
	if (rc == 0 && !shell->json) {
		text_add_shown(&line, path);
		text_printf(&line, ": revoked, serial %s\n", certauto_chain_serial(chain));
		say(&line);
	}
	results_add(&results, shell, path, NULL, rc);
	status = results_say_own(shell, &results);
out:
	certauto_key_free(key);
	certauto_chain_free(chain);
	certauto_account_free(account);
	text_free(&line);
	return status;
}

/* ---- both ---- */

/* What only one of the forms has a use for. */
static int check_forms(const struct shell *shell)
{
	const struct options *options = &shell->options;
	int is_file = option_given(options, OPTION_CERT);

	if (is_file && options->operands.n > 0)
		return say_usage(
			shell, "--cert FILE and the NAME of a certificate exclude each other");
	if (is_file && option_given(options, OPTION_BY_KEY))
		return say_usage(shell, "--by-key is for a NAME; with --cert it is --key FILE");
	if (options->given[OPTION_KEY].n > 1)
		return say_usage(shell, "--key is given twice");
	if (is_file)
		return STATUS_DONE;
	if (option_given(options, OPTION_KEY) || option_given(options, OPTION_ACCOUNT) ||
	    option_given(options, OPTION_SERVER) || options->operands.n == 0)
		return say_usage(shell,
			"revoke needs the NAME of a certificate in the configuration, or --cert "
			"FILE and who is to be asked: --account NAME, or --server URL and --state "
			"DIR or --key FILE");
	return STATUS_DONE;
}

int run_revoke(struct shell *shell)
{
	const char *path = option_value(&shell->options, OPTION_CERT);
	int reason, status;

	if ((status = check_forms(shell)) != STATUS_DONE ||
	    (status = get_reason(shell, &reason)) != STATUS_DONE)
		return status;
	return path != NULL ? revoke_file(shell, path, reason) : revoke_names(shell, reason);
}
