/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_H
#define CERTAUTO_SHELL_H

/* What the parts of the command share. The command sees the public API only: whatever it does, any
 * program that embeds the library can do. */

#include <certauto.h>

#include "options.h"
#include "text.h"

/* Exit statuses. When several apply: 2, 3, 1, 75, 0; 128 + the signal's number when interrupted. */
enum {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2, /* command line or configuration */
	STATUS_SOME_FAILED = 3,
	STATUS_LATER = 75 /* nothing failed, something must wait */
};

struct shell {
	const struct verb *verb;
	struct options options;
	int json;
	certauto_context *cx; /* all below: made by shell_open(), shell_open_fleet() */
	certauto_fleet *fleet;
};

struct verb {
	const char *name;     /* "renew", "account show" */
	const char *operands; /* for the usage line: "[NAME...]" */
	const char *summary;  /* one line, no full stop */
	const char *details;  /* for --help: paragraphs */
	option_set options;   /* OPTION_BITs it takes besides the common ones */
	int max_operands;     /* -1 = any number */
	enum value_kind takes; /* what the operands are, for completion */
	int (*run)(struct shell *shell);
};

extern const struct verb verbs[]; /* ends with a NULL name */

#define CONFIG_FILE "/etc/certauto/certauto.json"

/* ---- main.c ---- */

/* The context, with progress and signals connected. 0 or an exit status, said. */
int shell_open(struct shell *shell);
/* Context and fleet: from the configuration file, or from the options where the verb takes them. */
int shell_open_fleet(struct shell *shell);
/* Fleet alone: from the configuration file, whatever the options. */
int shell_open_file(struct shell *shell);
int shell_has_file(const struct shell *shell); /* named, or where it is looked for */
int shell_timeout_ms(const struct shell *shell);
/* Drives a job, which it takes, to its end. Returns its result; its error is the context's. */
int shell_finish(struct shell *shell, certauto_job *job);
/* The same for a job that takes something back: a signal that has come is a reason for that, and
 * only a further one ends it. */
int shell_finish_undo(struct shell *shell, certauto_job *job);
/* The signal that interrupted us, or 0. */
int shell_signal(void);
/* What the command ends with: status unless a signal came. Says so. */
int shell_status(int status);

/* ---- say.c: all that is printed ---- */

void say(const struct text *text); /* to standard output, JSON or lines; freed by the caller */
void complain(const char *format, ...)
	__attribute__((format(printf, 1, 2))); /* "certauto: ..." on stderr */
void complain_lines(const struct text *lines); /* the same with lines as they are, each ended */
/* A mistake in the command line; under --json as JSON too. Returns STATUS_USAGE. */
int say_usage(const struct shell *shell, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A call on the context failed with code: says why. Returns the exit status for it. */
int say_failure(const struct shell *shell, int code);
/* The same where it was about the configuration (doing: which part; message: instead of the error's
 * own, and of its object; both may be NULL): STATUS_USAGE unless memory was short. */
int say_config_failure(const struct shell *shell, const char *doing, const char *message);
int say_end(int status); /* flushes; STATUS_FAILED if something could not be written */

/* The context's error, kept over further calls on it. */
struct failure {
	int status; /* exit status for it */
	struct text lines, json;
};

struct failure failure_keep(const struct shell *shell, int code); /* code 0: an empty one */
int failure_say(const struct failure *failure, int as_json);      /* returns its status */
void failure_free(struct failure *failure);

/* ---- verbs ---- */

int run_issue(struct shell *shell);
int run_renew(struct shell *shell);
int run_deploy(struct shell *shell);
int run_plan(struct shell *shell);
int run_check(struct shell *shell);
int run_gc(struct shell *shell);
int run_status(struct shell *shell);
int run_account_register(struct shell *shell);
int run_account_show(struct shell *shell);
int run_account_update(struct shell *shell);
int run_account_rotate_key(struct shell *shell);
int run_account_deactivate(struct shell *shell);
int run_account_orders(struct shell *shell);
int run_revoke(struct shell *shell);
int run_target_list(struct shell *shell);
int run_target_options(struct shell *shell);
int run_target_test(struct shell *shell);
int run_target_renew(struct shell *shell);
int run_target_recipe(struct shell *shell);
int run_csr(struct shell *shell);
int run_self_signed(struct shell *shell);
int run_export(struct shell *shell);
int run_hook_certbot_auth(struct shell *shell);
int run_hook_certbot_cleanup(struct shell *shell);
int run_hook_certbot_deploy(struct shell *shell);
int run_hook_dehydrated(struct shell *shell);
int run_hook_lego(struct shell *shell);
int run_hook_acme_sh(struct shell *shell);
int run_json(struct shell *shell);
int run_completion(struct shell *shell);
int run_version(struct shell *shell);
int run_help(struct shell *shell);

/* Every name given is a certificate of the fleet: checked before anything begins. 0 or an exit
 * status, said. */
int check_certificates(const struct shell *shell);
int check_account(const struct shell *shell, const char *name); /* the same of one account */

/* The verb the operands begin with, and of how many words it is; NULL: none. */
const struct verb *verb_find(const struct strings *operands, size_t *n_words);
/* What help lists for it; verb NULL: for the command. */
option_set verb_options(const struct verb *verb);

/* Help for one verb, or for all that begin with that word; how many there are. */
int help_add(struct text *out, const char *name);
void help_add_verbs(struct text *out); /* "issue, renew, ...", for a message */

#endif
