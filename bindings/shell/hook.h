/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_HOOK_H
#define CERTAUTO_SHELL_HOOK_H

/* certauto hook: what the clients of others have in common once their arguments and variables are
 * understood. */

#include "shell.h"

struct hook {
	struct shell *shell;
	struct strings variables;   /* set from the file of --env-file; each a copy of ours */
	certauto_target **targets;
	size_t n_targets;
	int64_t begun_ms;
};

/* One answer to a challenge. */
struct hook_answer {
	const char *name;   /* NULL: record tells */
	const char *record; /* owner of the TXT record, as the caller has found it */
	const char *token;  /* NULL: for the DNS it is not always told */
	const char *value;  /* key authorization, or text of the TXT record */
};

/* Where the caller keeps a certificate. */
struct hook_files {
	const char *name;   /* what it calls the certificate */
	const char *key;
	int is_requested;   /* a target was asked for a key: then that may be the one */
	const char *chain;  /* the certificate, and those above it */
	const char *issuer; /* those above it, if they are not there; or NULL */
};

/* ---- hook_env.c ---- */

/* Takes the variables of the file that --env-file or CERTAUTO_ENV_FILE names into the environment,
 * where those that are there already count more. 0 or an exit status, said. */
int hook_environment(struct hook *hook);
/* A variable, NULL when it is not set or empty; of two the first that is. */
const char *hook_variable(const char *name);
const char *hook_either(const char *name, const char *older);
/* Writes down the target that the variables of FlexibleEngine's scripts stand for. 0 or an exit
 * status, said. */
int hook_flexibleengine(const struct hook *hook, struct text *out);

/* ---- hook_work.c ---- */

/* Environment, context and targets. 0 or an exit status, said. */
int hook_open(struct hook *hook);
void hook_close(struct hook *hook);
/* Can one of the targets do cap, a CERTAUTO_TARGET_ bit? */
int hook_can(const struct hook *hook, int cap);
/* The bit of a type of challenge; 0: there is none. */
int hook_cap(const char *challenge);
/* All answers side by side; when one fails, those that did not are taken back. 0 or an exit
 * status, said; also of those below. */
int hook_present(struct hook *hook, const char *challenge, const struct hook_answer *answers,
	size_t n);
int hook_cleanup(struct hook *hook, const char *challenge, const struct hook_answer *answers,
	size_t n);
/* Takes the certificate to every target that takes one; or where a target has made its key, to
 * those that make keys. */
int hook_deploy(struct hook *hook, const struct hook_files *files);
/* Prints a signing request for a key of the first target that makes keys. It is kept in the file
 * kept, and the next time printed from there, if it is for these names. */
int hook_request(struct hook *hook, const char *name, const char *key_type,
	const struct strings *names, const char *kept);

/* ---- verb_hook.c ---- */

/* Called by the name of a face, hook-dehydrated, the command line is what that verb would have: a
 * new one, to be freed. Else NULL. */
char **hook_argv(int *argc, char **argv);

#endif
