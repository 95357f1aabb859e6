/* SPDX-License-Identifier: Apache-2.0 */
/* Programs written as hooks of other clients, run by certauto: the row, its options, and whether
 * the programs can be run. What they are told is in hook_styles.c, one run in hook_run.c. */

#include "targets/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <certauto/error.h>

#include "targets/targets.h"

#define HOOK_WIDTH 8

static const struct certauto__option hook_options[] = {
	{.name = "style",
		.type = CERTAUTO__OPTION_TEXT,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "whose hooks the programs are: " CERTAUTO__HOOK_STYLES},
	{.name = "program",
		.type = CERTAUTO__OPTION_ARGV,
		.needed_for = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DNS01,
		.help = "program that answers challenges, by its absolute path, and arguments that "
			"are always given: the manual auth hook of certbot, the HOOK of "
			"dehydrated, the EXEC_PATH of lego, the dnsapi script of acme.sh"},
	{.name = "cleanup_program",
		.type = CERTAUTO__OPTION_ARGV,
		.help = "program that takes answers away, for certbot: its manual cleanup hook"},
	{.name = "deploy_program",
		.type = CERTAUTO__OPTION_ARGV,
		.help = "program that is told of new certificates: the deploy hook of certbot or "
			"lego, the deploy script of acme.sh; with dehydrated it is program"},
	{.name = "folder",
		.type = CERTAUTO__OPTION_PATH,
		.needed_for = CERTAUTO_TARGET_DEPLOY,
		.help = "folder the certificates are written to for that, each in a folder of its "
			"name: privkey.pem, cert.pem, chain.pem, fullchain.pem; it must belong to "
			"this user or root"},
	{.name = "environment",
		.type = CERTAUTO__OPTION_LIST,
		.help = "variables the programs are given: NAME=VALUE, or NAME with the value it "
			"has where certauto runs; on a command line NAME only"},
	{.name = "acme_sh",
		.type = CERTAUTO__OPTION_PATH,
		.help = "acme.sh itself, whose functions its hooks call; without it they have "
			"those that print and compare"},
	{.name = NULL}};

static const char *const program_options[] = {
	[CERTAUTO__HOOK_ADD] = "program",
	[CERTAUTO__HOOK_REMOVE] = "cleanup_program",
	[CERTAUTO__HOOK_DEPLOY] = "deploy_program",
};

static int is_certbot(const certauto_target *target)
{
	return certauto__text_equal(certauto__option_text(target, "style"), "certbot");
}

const certauto__list *certauto__hook_program(const certauto_target *target,
	enum certauto__hook_verb verb)
{
	const certauto__list *own = certauto__option_list(target, program_options[verb]);
	const struct certauto__hook_style *style = certauto__hook_style_of(target);

	/* certbot has a program for each, or none; the others tell one what to do. */
	if (own->n > 0 || (verb == CERTAUTO__HOOK_REMOVE && is_certbot(target)) ||
		(verb == CERTAUTO__HOOK_DEPLOY && !style->deploys_alike))
		return own;
	return certauto__option_list(target, "program");
}

/* ---- the options fit together ---- */

static int check_program(const certauto_target *target, const char *option, certauto_error *err)
{
	const certauto__list *program = certauto__option_list(target, option);

	if (program->n == 0)
		return 0;
	if (program->items[0][0] != '/')
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"%s\": \"%.64s\" is no absolute path", target->label, option,
			program->items[0]);
	if (program->n > 1 && certauto__hook_style_of(target)->sourced)
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"%s\": a script of acme.sh is named alone, its functions take "
			"no further arguments",
			target->label, option);
	return 0;
}

/* The name of the entry at i stands before it already. */
static int is_repeated(const certauto__list *environment, size_t i)
{
	const char *entry = environment->items[i];
	size_t len = strcspn(entry, "="), j;

	for (j = 0; j < i; j++) {
		if (strcspn(environment->items[j], "=") == len &&
			memcmp(environment->items[j], entry, len) == 0)
			return 1;
	}
	return 0;
}

static int check_environment(const certauto_target *target, certauto_error *err)
{
	const certauto__list *environment = certauto__option_list(target, "environment");
	const char *entry;
	size_t i, len;

	for (i = 0; i < environment->n; i++) {
		entry = environment->items[i];
		len = strspn(entry, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
			"0123456789");
		/* Not the entry itself: what is wrong may be that it is a value. */
		if (len == 0 || (entry[0] >= '0' && entry[0] <= '9') ||
			(entry[len] != '=' && entry[len] != '\0'))
			return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
				"%s: option \"environment\": entry %zu is neither NAME=VALUE nor "
				"NAME",
				target->label, i + 1);
		if (is_repeated(environment, i))
			return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
				"%s: option \"environment\": %.*s is in there twice", target->label,
				(int)len, entry);
	}
	return 0;
}

static int check_together(const certauto_target *target, certauto_error *err)
{
	int deploys = certauto__hook_program(target, CERTAUTO__HOOK_DEPLOY)->n > 0,
	    has_folder = certauto__option_text(target, "folder") != NULL;
	const char *why = NULL;

	if (certauto__option_list(target, "cleanup_program")->n > 0 && !is_certbot(target))
		why = "cleanup_program is for certbot: other hooks are one program";
	else if (certauto__option_text(target, "acme_sh") != NULL &&
		!certauto__hook_style_of(target)->sourced)
		why = "acme_sh is for the style acme.sh";
	else if (has_folder && !deploys)
		why = "folder needs deploy_program";
	else if (!has_folder && certauto__option_list(target, "deploy_program")->n > 0)
		why = "deploy_program needs folder";
	else if (!has_folder && certauto__option_list(target, "program")->n == 0)
		why = "set program (to answer challenges), folder (to deploy) or both";
	return why == NULL ? 0
			   : certauto__error_set(err, CERTAUTO_EINVAL, target->label,
				     "%s (hook): %s", target->label, why);
}

static int hook_check(certauto_target *target, certauto_error *err)
{
	size_t i;
	int rc;

	if (certauto__hook_style_of(target) == NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"style\" is " CERTAUTO__HOOK_STYLES ", not \"%.64s\"",
			target->label, certauto__option_text(target, "style"));
	for (i = 0; i < sizeof(program_options) / sizeof(program_options[0]); i++)
		if ((rc = check_program(target, program_options[i], err)) < 0)
			return rc;
	if ((rc = check_environment(target, err)) < 0)
		return rc;
	return check_together(target, err);
}

/* ---- the programs can be run ---- */

/* A text without "#!" was run by certbot's shell, and would not be by us. */
static int begins_well(const char *path)
{
	unsigned char head[2] = {0, 0};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 1; /* may be run, and not read */
	n = read(fd, head, sizeof(head));
	close(fd);
	return n == 2 && (memcmp(head, "#!", 2) == 0 || head[0] < ' ' || head[0] >= 0x7f);
}

static int path_ready(const certauto_target *target, const char *path, int sourced,
	certauto_error *err)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		certauto__error_errno(err, errno, path, "cannot be run");
		return certauto__error_prefix(err, "%s: %s", target->label, path);
	}
	if (!S_ISREG(st.st_mode))
		return certauto__error_set(err, CERTAUTO_EINVAL, path, "%s: %s is no program",
			target->label, path);
	if (faccessat(AT_FDCWD, path, sourced ? R_OK : X_OK, AT_EACCESS) < 0) {
		certauto__error_set(err, CERTAUTO_EPERM, path, "%s: %s cannot be %s by this user",
			target->label, path, sourced ? "read" : "run");
		return certauto__error_advise(err, "chmod %s %s", sourced ? "a+r" : "+x", path);
	}
	if (!sourced && !begins_well(path))
		return certauto__error_set(err, CERTAUTO_EINVAL, path,
			"%s: %s is a script without \"#!\" and its interpreter in the first line",
			target->label, path);
	return 0;
}

int certauto__hook_ready(const certauto_target *target, certauto_error *err)
{
	const char *acme_sh = certauto__option_text(target, "acme_sh");
	int sourced = certauto__hook_style_of(target)->sourced, rc = 0;
	const certauto__list *program;
	size_t i;

	for (i = 0; i < sizeof(program_options) / sizeof(program_options[0]) && rc == 0; i++) {
		program = certauto__option_list(target, program_options[i]);
		if (program->n > 0)
			rc = path_ready(target, program->items[0], sourced, err);
	}
	return rc == 0 && acme_sh != NULL ? path_ready(target, acme_sh, 1, err) : rc;
}

/* It may be set where certauto runs at other times: from a timer, by hand. */
static void warn_environment(certauto_job *job, const certauto_target *target)
{
	const certauto__list *environment = certauto__option_list(target, "environment");
	size_t i, len;

	for (i = 0; i < environment->n; i++) {
		if (certauto__hook_variable(environment->items[i], &len) == NULL)
			certauto__warn(job, target->label,
				"%s: option \"environment\": %.*s is not set where certauto runs: "
				"the programs are not given it",
				target->label, (int)len, environment->items[i]);
	}
}

static certauto__verdict programs_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	struct certauto__folder folder = CERTAUTO__FOLDER;
	certauto_error *err = certauto__job_error_of(job);
	int rc;

	(void)x;
	warn_environment(job, target);
	if ((rc = certauto__hook_ready(target, err)) == 0 &&
		certauto__option_text(target, "folder") != NULL)
		rc = certauto__pemfiles_open(&folder, target, "folder", err);
	certauto__folder_close(&folder);
	return rc < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static const struct certauto__step hook_test_steps[] = {
	{.name = "programs", .ask = programs_ask, .flags = CERTAUTO__READS},
};

static const struct certauto__table hook_test = {
	.name = "hook-test",
	.steps = hook_test_steps,
	.n_steps = 1,
};

/* ---- the row ---- */

/* Its turn keeps deployments into one folder apart. */
static int hook_peer(certauto_target *target, certauto__peer **out, certauto_error *err)
{
	static const struct certauto__peer_ops ops = {.kind = "hook"};
	const char *folder = certauto__option_text(target, "folder");
	certauto__buffer key = CERTAUTO__BUFFER(8192);
	int rc, made;

	certauto__buffer_printf(&key, "hook:%s", folder != NULL ? folder : "");
	if (key.rc < 0)
		rc = certauto__error_nomem(err);
	else if ((rc = certauto__peer_get(out, target->object.cx, &ops, key.data, HOOK_WIDTH,
			  &made)) < 0)
		certauto__error_set(err, rc, target->label, "%s: %s", target->label,
			certauto_error_text(rc));
	certauto__buffer_free(&key);
	return rc;
}

const struct certauto__target_row certauto__target_hook = {
	.name = "hook",
	.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DNS01 | CERTAUTO_TARGET_DEPLOY,
	.options = hook_options,
	.check = hook_check,
	.peer = hook_peer,
	.present = &certauto__hook_present,
	.deploy = &certauto__hook_deploy.table,
	.test = &hook_test,
};
