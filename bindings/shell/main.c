/* SPDX-License-Identifier: Apache-2.0 */
/* The command `certauto`: a thin face of the library. This file takes the command line to its verb,
 * and holds what all verbs need: context, configuration, signals, the end. */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adhoc.h"
#include "hook.h"
#include "progress.h"
#include "shell.h"

#define TIMEOUT_S 3600
#define TIMEOUT_MAX_S 604800
#define SLICE_MS 100 /* how often a live display is looked after */

/* ---- signals ---- */

static certauto_context *signal_cx;
static volatile sig_atomic_t signal_number, signal_count;

/* The first one asks all jobs to take back what they have changed, the second one makes them leave
 * it to the next run, which their journals allow. A third one is for a command that does not even
 * do that. */
static void on_signal(int number)
{
	signal_number = number;
	if (++signal_count > 2)
		_exit(128 + number);
	if (signal_cx != NULL)
		certauto_context_cancel(signal_cx);
}

/* A handler that does nothing, unlike SIG_IGN, is not inherited by the programs we start. */
static void on_pipe(int number)
{
	(void)number;
}

static void catch_signal(int number, void (*handler)(int))
{
	struct sigaction action, former;

	/* Who starts us with a signal ignored, as nohup does, wants it to stay so. */
	if (sigaction(number, NULL, &former) == 0 && former.sa_handler == SIG_IGN)
		return;
	memset(&action, 0, sizeof(action));
	action.sa_handler = handler;
	sigemptyset(&action.sa_mask);
	(void)sigaction(number, &action, NULL);
}

int shell_signal(void)
{
	return signal_number;
}

int shell_status(int status)
{
	/* It may have come when everything was done. */
	if (signal_number == 0 || status == STATUS_DONE)
		return status;
	if (signal_count > 1)
		complain("interrupted twice: the next run takes back what was changed");
	else
		complain("interrupted: what was changed is taken back, unless told "
			"otherwise above; run again to go on");
	return 128 + signal_number;
}

/* ---- what verbs begin with ---- */

int shell_timeout_ms(const struct shell *shell)
{
	const char *value = option_value(&shell->options, OPTION_TIMEOUT);

	return (value != NULL ? atoi(value) : TIMEOUT_S) * 1000;
}

static enum progress_kind progress_kind(const struct options *options)
{
	if (option_given(options, OPTION_QUIET))
		return PROGRESS_QUIET;
	return option_given(options, OPTION_VERBOSE) ? PROGRESS_VERBOSE : PROGRESS_NORMAL;
}

int shell_open(struct shell *shell)
{
	static const int log_levels[] = {
		[PROGRESS_QUIET] = CERTAUTO_LOG_WARNING,
		[PROGRESS_NORMAL] = CERTAUTO_LOG_INFO,
		[PROGRESS_VERBOSE] = CERTAUTO_LOG_DEBUG,
	};
	enum progress_kind kind = progress_kind(&shell->options);
	int rc;

	catch_signal(SIGINT, on_signal);
	catch_signal(SIGTERM, on_signal);
	catch_signal(SIGHUP, on_signal);
	catch_signal(SIGPIPE, on_pipe);
	rc = certauto_context_new(&shell->cx);
	if (rc < 0) {
		complain("%s", certauto_error_text(rc));
		return STATUS_FAILED;
	}
	progress_begin(kind);
	if ((rc = certauto_context_set_event_cb(shell->cx, progress_on_event, NULL, NULL)) < 0 ||
	    (rc = certauto_context_set_log_level(shell->cx, log_levels[kind])) < 0)
		return say_failure(shell, rc);
	signal_cx = shell->cx;
	return STATUS_DONE;
}

/* What this verb may be told instead of it. */
static int say_no_file(const struct shell *shell)
{
	static const enum option_id instead[] = {
		OPTION_SERVER, OPTION_STATE, OPTION_DOMAIN, OPTION_TARGET};
	struct text list = {0};
	size_t i;
	int status;

	for (i = 0; i < sizeof(instead) / sizeof(*instead); i++)
		if ((shell->verb->options & OPTION_BIT(OPTION_SERVER)) != 0 &&
		    (shell->verb->options & OPTION_BIT(instead[i])) != 0)
			text_printf(&list, "%s--%s", list.len > 0 ? ", " : "",
				option_rows[instead[i]].name);
	status = say_usage(shell,
		"there is no configuration: write %s, name another file with -c%s%s%s", CONFIG_FILE,
		list.len > 0 ? ", or say everything on the command line (" : "",
		text_of(&list), list.len > 0 ? ")" : "");
	text_free(&list);
	return status;
}

int shell_has_file(const struct shell *shell)
{
	return option_given(&shell->options, OPTION_CONFIG) || access(CONFIG_FILE, F_OK) == 0;
}

int shell_open_file(struct shell *shell)
{
	const char *path = option_value(&shell->options, OPTION_CONFIG);
	int rc = certauto_fleet_load(&shell->fleet, shell->cx, path != NULL ? path : CONFIG_FILE);

	if (rc == 0)
		return STATUS_DONE;
	if (rc == CERTAUTO_ENOTFOUND && !shell_has_file(shell))
		return say_no_file(shell);
	return say_config_failure(shell, NULL, NULL);
}

/* Those that stand for a configuration. */
static option_set options_adhoc(const struct verb *verb)
{
	option_set options = verb->options & OPTIONS_CERTIFICATE;

	/* There the file of a key, not the type of one. */
	return verb->run == run_revoke ? options & ~OPTION_BIT(OPTION_KEY) : options;
}

int shell_open_fleet(struct shell *shell)
{
	option_set given = options_given(&shell->options) & options_adhoc(shell->verb);
	int status = shell_open(shell);

	if (status != STATUS_DONE)
		return status;
	if (given == 0)
		return shell_open_file(shell);
	if (option_given(&shell->options, OPTION_CONFIG))
		return say_usage(shell,
			"-c FILE and options that stand for a configuration exclude each other");
	return adhoc_open(shell);
}

int shell_finish(struct shell *shell, certauto_job *job)
{
	/* A signal that came before there was a job has cancelled nothing. */
	if (signal_number != 0)
		certauto_job_cancel(job);
	return shell_finish_undo(shell, job);
}

int shell_finish_undo(struct shell *shell, certauto_job *job)
{
	int rc;

	do {
		rc = certauto_job_wait(job, progress_live() ? SLICE_MS : shell_timeout_ms(shell));
		progress_tick();
	} while (certauto_job_result(job) == CERTAUTO_AGAIN &&
		(rc == 0 || rc == CERTAUTO_ETIMEDOUT));
	/* Sessions are closed, which a slice may have been too short for. */
	while (certauto_context_run(shell->cx, -1) > 0)
		progress_tick();
	rc = certauto_job_wait(job, -1);
	progress_clear();
	certauto_job_free(job);
	return rc;
}

/* ---- to the verb ---- */

/* What may follow the first word, if it begins verbs of two words. */
static int say_unknown(const struct shell *shell, const struct strings *operands)
{
	const struct verb *verb;
	struct text list = {0};
	size_t len = strlen(operands->items[0]);
	int status;

	for (verb = verbs; verb->name != NULL; verb++)
		if (strncmp(verb->name, operands->items[0], len) == 0 && verb->name[len] == ' ')
			text_printf(&list, "%s%s", list.len > 0 ? ", " : "", verb->name + len + 1);
	if (list.len > 0 && operands->n > 1) {
		status = say_usage(shell, "there is no verb %s %s; there are: %s",
			operands->items[0], operands->items[1], text_of(&list));
	} else if (list.len > 0) {
		status = say_usage(shell, "usage: certauto %s VERB; verbs are: %s",
			operands->items[0], text_of(&list));
	} else {
		help_add_verbs(&list);
		status = say_usage(shell, "there is no verb %s; there are: %s", operands->items[0],
			text_of(&list));
	}
	text_free(&list);
	return status;
}

/* Finds the verb and takes its words off the operands. */
static int find_verb(struct shell *shell)
{
	struct strings *operands = &shell->options.operands;
	size_t n_words;

	shell->verb = verb_find(operands, &n_words);
	if (shell->verb == NULL)
		return say_unknown(shell, operands);
	strings_drop(operands, n_words);
	return STATUS_DONE;
}

/* Options and operands against what the verb takes. */
static int check_usage(const struct shell *shell)
{
	const struct verb *verb = shell->verb;
	option_set known = verb_options(NULL) | verb->options;
	option_set wrong = options_given(&shell->options) & ~known;
	const char *timeout = option_value(&shell->options, OPTION_TIMEOUT);
	size_t n = shell->options.operands.n;
	int id;

	for (id = 0; id < OPTION_COUNT; id++)
		if ((wrong & OPTION_BIT(id)) != 0)
			return say_usage(
				shell, "%s takes no option --%s", verb->name, option_rows[id].name);
	if (verb->max_operands >= 0 && n > (size_t)verb->max_operands)
		return say_usage(shell, "%s has no use for \"%s\"", verb->name,
			shell->options.operands.items[verb->max_operands]);
	if (timeout != NULL &&
	    (strlen(timeout) > 6 || timeout[strspn(timeout, "0123456789")] != '\0' ||
			atoi(timeout) < 1 || atoi(timeout) > TIMEOUT_MAX_S))
		return say_usage(shell, "--timeout takes seconds, 1 to %d, not \"%s\"",
			TIMEOUT_MAX_S, timeout);
	return STATUS_DONE;
}

/* "certauto account show --help", "certauto account --help", "certauto --help". */
static int say_help(const struct shell *shell)
{
	const struct strings *operands = &shell->options.operands;
	struct text name = {0}, text = {0};
	int status = STATUS_DONE;

	text_add(&name, operands->items[0]);
	if (operands->n > 1)
		text_printf(&name, " %s", operands->items[1]);
	if (!help_add(&text, text_of(&name)) && !help_add(&text, operands->items[0]))
		status = say_unknown(shell, operands);
	say(&text);
	text_free(&name);
	text_free(&text);
	return status;
}

static int run(struct shell *shell, int argc, char **argv)
{
	struct options *options = &shell->options;
	struct text why = {0};
	int status, i;

	/* Before all else, so that a mistake in front of it is told in JSON too. */
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			shell->json = 1;
	if (options_parse(options, argc, argv, &why) < 0) {
		status = say_usage(shell, "%s", text_of(&why));
		text_free(&why);
		return status;
	}
	if (option_given(options, OPTION_VERSION))
		return run_version(shell);
	if (options->operands.n == 0 && option_given(options, OPTION_HELP))
		return run_help(shell);
	if (options->operands.n == 0)
		return say_usage(shell,
			"usage: certauto [OPTION...] VERB ...; certauto help lists the verbs");
	if (option_given(options, OPTION_HELP))
		return say_help(shell);
	if ((status = find_verb(shell)) != STATUS_DONE)
		return status;
	if ((status = check_usage(shell)) != STATUS_DONE)
		return status;
	return shell->verb->run(shell);
}

int main(int argc, char **argv)
{
	struct shell shell;
	char **face = hook_argv(&argc, argv);
	int status;

	memset(&shell, 0, sizeof(shell));
	status = run(&shell, argc, face != NULL ? face : argv);
	signal_cx = NULL;
	certauto_fleet_free(shell.fleet);
	certauto_context_free(shell.cx);
	options_free(&shell.options);
	free(face);
	return say_end(status);
}
