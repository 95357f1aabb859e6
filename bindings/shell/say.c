/* SPDX-License-Identifier: Apache-2.0 */
/* All that the command prints, but for the live display: results on standard output, complaints on
 * standard error. */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "progress.h"
#include "shell.h"

void say(const struct text *text)
{
	fwrite(text_of(text), 1, text->len, stdout);
}

/* Standard output first, so that both read in order where they go to the same place. */
void complain_lines(const struct text *lines)
{
	fflush(stdout);
	progress_clear();
	fprintf(stderr, "certauto: %s", text_of(lines));
}

static char *formatted(const char *format, va_list args)
{
	char *line = NULL;

	if (vasprintf(&line, format, args) < 0)
		line = memory_copy(format, strlen(format));
	return line;
}

void complain(const char *format, ...)
{
	struct text text = {0};
	va_list args;
	char *line;

	va_start(args, format);
	line = formatted(format, args);
	va_end(args);
	text_add_shown(&text, line);
	text_add(&text, "\n");
	complain_lines(&text);
	text_free(&text);
	free(line);
}

static void say_error_json(const struct fault *fault)
{
	struct text text = {0};

	text_add(&text, "{\"version\":1,\"error\":");
	fault_add_json(&text, fault);
	text_add(&text, "}\n");
	say(&text);
	text_free(&text);
}

int say_usage(const struct shell *shell, const char *format, ...)
{
	struct fault fault = {.code = certauto_error_name(CERTAUTO_EINVAL)};
	struct text text = {0};
	va_list args;
	char *line;

	va_start(args, format);
	line = formatted(format, args);
	va_end(args);
	fault.message = line;
	fault_add(&text, &fault, NULL);
	if (shell->verb != NULL)
		text_printf(&text, "certauto help %s says more\n", shell->verb->name);
	complain_lines(&text);
	if (shell->json)
		say_error_json(&fault);
	text_free(&text);
	free(line);
	return STATUS_USAGE;
}

static int status_of(int code)
{
	switch (code) {
	case CERTAUTO_EINVAL:
	case CERTAUTO_ECONFIG:
		return STATUS_USAGE;
	case CERTAUTO_EBUSY:
	case CERTAUTO_ERETRY_LATER:
		return STATUS_LATER;
	default:
		return STATUS_FAILED;
	}
}

struct failure failure_keep(const struct shell *shell, int code)
{
	struct failure failure;
	struct fault fault;

	memset(&failure, 0, sizeof(failure));
	if (code == 0)
		return failure;
	fault = fault_of_error(code, certauto_context_error(shell->cx));
	failure.status = status_of(code);
	fault_add(&failure.lines, &fault, NULL);
	fault_add_json(&failure.json, &fault);
	return failure;
}

int failure_say(const struct failure *failure, int as_json)
{
	struct text text = {0};

	complain_lines(&failure->lines);
	if (as_json) {
		text_printf(&text, "{\"version\":1,\"error\":%s}\n", text_of(&failure->json));
		say(&text);
		text_free(&text);
	}
	return failure->status;
}

void failure_free(struct failure *failure)
{
	text_free(&failure->lines);
	text_free(&failure->json);
}

int say_failure(const struct shell *shell, int code)
{
	struct failure failure = failure_keep(shell, code);
	int status = failure_say(&failure, shell->json);

	failure_free(&failure);
	return status;
}

int say_config_failure(const struct shell *shell, const char *doing, const char *message)
{
	const certauto_error *error = certauto_context_error(shell->cx);
	struct fault fault = fault_of_error(CERTAUTO_ECONFIG, error);
	struct text text = {0};

	if (message != NULL) {
		fault.message = message;
		fault.object = NULL; /* of a configuration that nobody has seen */
	}
	fault_add(&text, &fault, doing);
	complain_lines(&text);
	if (shell->json)
		say_error_json(&fault);
	text_free(&text);
	return certauto_error_code(error) == CERTAUTO_ENOMEM ? STATUS_FAILED : STATUS_USAGE;
}

int say_end(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	/* Whoever reads no further, as head does, needs no explanation. */
	if (errno != EPIPE)
		fprintf(stderr, "certauto: cannot write to standard output: %s\n", strerror(errno));
	return status == STATUS_DONE ? STATUS_FAILED : status;
}
