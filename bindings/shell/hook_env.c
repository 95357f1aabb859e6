/* SPDX-License-Identifier: Apache-2.0 */
/* Variables: those a hook is told by, a file of them, and the twelve that scripts for
 * FlexibleEngine's load balancers have always been configured with. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hook.h"
#include "input.h"

#define FILE_MAX_SIZE 65536
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789"
#define BLANKS " \t"
#define ENDS "&|<>()" /* of a word, for a shell */

const char *hook_variable(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != '\0' ? value : NULL;
}

const char *hook_either(const char *name, const char *older)
{
	const char *value = hook_variable(name);

	return value != NULL ? value : hook_variable(older);
}

/* ---- a file of variables ----
 * Read, never run: what a shell would evaluate is refused instead of being taken as it stands, as
 * then the same file would say two things. */

/* Does a shell take what is at at, outside quotes, for more than a letter? */
static int is_evaluated(const char *value, const char *at)
{
	if (*at == '~')
		return at == value || at[-1] == ':';
	return strchr(ENDS, *at) != NULL;
}

/* Takes quotes and backslashes off value, in place. NULL, or what is wrong with it. */
static const char *unquote(char *value)
{
	char *to = value, *from = value, quote = '\0';

	for (; *value != '\0'; value++) {
		if (quote == '\'' ? *value == '\'' : quote != '\0' && *value == quote) {
			quote = '\0';
		} else if (quote == '\'') {
			*to++ = *value;
		} else if (quote == '\0' && (*value == '\'' || *value == '"')) {
			quote = *value;
		} else if (*value == '$' || *value == '`' ||
			(quote == '\0' && is_evaluated(from, value))) {
			return "a shell would make something else of it: put the value into "
				"single quotes";
		} else if (*value == '\\' &&
			(quote == '\0' || (value[1] != '\0' && strchr("\\\"$`", value[1])))) {
			if (*++value == '\0')
				return "it ends with a backslash";
			*to++ = *value;
		} else if (quote == '\0' && strchr(BLANKS ";", *value) != NULL) {
			value += strspn(value, BLANKS ";");
			if (*value != '\0' && *value != '#')
				return "a value with blanks in it must be in quotes";
			break;
		} else {
			*to++ = *value;
		}
	}
	*to = '\0';
	return quote != '\0' ? "a quote is not closed" : NULL;
}

/* Takes a line apart, in place; name becomes NULL where there is nothing in it. NULL, or what is
 * wrong with it. */
static const char *parse_line(char *line, char **name, char **value)
{
	size_t len;

	line += strspn(line, BLANKS);
	*name = NULL;
	if (*line == '\0' || *line == '#')
		return NULL;
	if (strncmp(line, "export", 6) == 0 && line[6] != '\0' && strchr(BLANKS, line[6]) != NULL)
		line += 6 + strspn(line + 6, BLANKS);
	len = strspn(line, LETTERS);
	if (len == 0 || line[len] != '=' || (line[0] >= '0' && line[0] <= '9'))
		return "it is not NAME=VALUE";
	line[len] = '\0';
	*name = line;
	*value = line + len + 1;
	return unquote(*value);
}

static int is_ours(const struct hook *hook, const char *name)
{
	size_t i;

	for (i = 0; i < hook->variables.n; i++)
		if (strcmp(hook->variables.items[i], name) == 0)
			return 1;
	return 0;
}

/* The last one in a file counts, but nothing in it more than what the caller has set. */
static int set_variable(struct hook *hook, const char *name, const char *value)
{
	int again = is_ours(hook, name);

	if (!again && getenv(name) != NULL)
		return 0;
	if (!again)
		strings_add(&hook->variables, memory_copy(name, strlen(name)));
	return setenv(name, value, 1);
}

static int take_lines(struct hook *hook, const char *path, char *text)
{
	char *line, *next, *name, *value;
	const char *why;
	int number;

	for (number = 1, line = text; line != NULL; number++, line = next) {
		if ((next = strchr(line, '\n')) != NULL)
			*next++ = '\0';
		if (*line != '\0' && line[strlen(line) - 1] == '\r')
			line[strlen(line) - 1] = '\0';
		/* What is in the line is not told: it may be a password. */
		if ((why = parse_line(line, &name, &value)) != NULL)
			return say_usage(hook->shell, "%s:%d: %s", path, number, why);
		if (name != NULL && set_variable(hook, name, value) < 0)
			return say_usage(hook->shell, "%s:%d: %s", path, number, strerror(errno));
	}
	return STATUS_DONE;
}

/* Passwords are in it, and what it says is done. NULL, or what is wrong with it. */
static const char *check_file(int fd)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return strerror(errno);
	if (!S_ISREG(info.st_mode))
		return "it is not a regular file";
	if (info.st_uid != geteuid() && info.st_uid != 0)
		return "it belongs to another user";
	if ((info.st_mode & 077) != 0)
		return "group and others must have no right (chmod 600)";
	return NULL;
}

static int take_file(struct hook *hook, const char *path)
{
	struct text text = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), status;
	const char *why = fd < 0 ? strerror(errno) : check_file(fd);

	if (why == NULL && input_take(&text, fd, FILE_MAX_SIZE) < 0)
		why = strerror(errno);
	else if (why == NULL && text.len > FILE_MAX_SIZE)
		why = "it is too long";
	else if (why == NULL && text.len > 0 && strlen(text.data) != text.len)
		why = "it is not text: there is a zero byte in it";
	if (why != NULL)
		status = say_usage(hook->shell, "--env-file %s: %s", path, why);
	else
		status = text.len > 0 ? take_lines(hook, path, text.data) : STATUS_DONE;
	if (fd >= 0)
		close(fd);
	if (text.data != NULL)
		explicit_bzero(text.data, text.size);
	text_free(&text);
	return status;
}

int hook_environment(struct hook *hook)
{
	const char *path = option_value(&hook->shell->options, OPTION_ENV_FILE);

	if (path == NULL)
		path = hook_variable("CERTAUTO_ENV_FILE");
	return path != NULL ? take_file(hook, path) : STATUS_DONE;
}

/* ---- FlexibleEngine ---- */

enum seed_flag {
	SEED_NEEDED = 1, /* must be there */
	SEED_SECRET = 2, /* only pointed to */
	SEED_TELLS = 4   /* shows that these variables are meant */
};

static const struct {
	const char *variable, *option; /* option NULL: read, and of no use here */
	int flags;
} seed[] = {
	{"REGION", "region", SEED_NEEDED},
	{"DOMAIN_NAME", "domain_name", SEED_NEEDED | SEED_TELLS},
	{"USER_NAME", "user", SEED_NEEDED},
	{"USER_PASSWORD", "password", SEED_NEEDED | SEED_SECRET | SEED_TELLS},
	{"PROJECT_ID", "project_id", SEED_NEEDED},
	{"DNS_ZONE_ID", "zone_id", SEED_TELLS},
	{"LISTENER_ID", "listener", SEED_TELLS},
	{"CERTIFICATE_NAME", "certificate", 0},
	{"ELB_EIP", "probe", 0},
	{"BASE_ENDPOINT", "iam_url", 0},
	{"DNS_DOMAIN", NULL, 0},          /* the caller says which names */
	{"TOKEN_HEADER_PREFIX", NULL, 0}, /* headers are read as they should be */
};

#define N_SEED (sizeof(seed) / sizeof(*seed))
#define ENDPOINT "prod-cloud-ocb.orange-business.com"

static int is_seed(const char *name)
{
	size_t i;

	for (i = 0; i < N_SEED; i++)
		if (strcmp(seed[i].variable, name) == 0)
			return 1;
	return strncmp(name, "CERTAUTO_", 9) == 0;
}

static int tells_seed(void)
{
	size_t i;

	for (i = 0; i < N_SEED; i++)
		if ((seed[i].flags & SEED_TELLS) != 0 && getenv(seed[i].variable) != NULL)
			return 1;
	return 0;
}

/* All that is wrong with them, at once. */
static int check_seed(const struct hook *hook)
{
	struct text wrong = {0};
	const char *value;
	size_t i;
	int status = STATUS_DONE;

	for (i = 0; i < N_SEED; i++) {
		value = getenv(seed[i].variable);
		if (value == NULL && (seed[i].flags & SEED_NEEDED) != 0)
			text_printf(&wrong, "%s is missing; ", seed[i].variable);
		else if (value != NULL && *value == '\0')
			text_printf(&wrong, "%s is empty; ", seed[i].variable);
		else if (value != NULL && (seed[i].flags & SEED_SECRET) == 0 &&
			strchr(value, ',') != NULL)
			text_printf(&wrong, "%s has a comma in it; ", seed[i].variable);
	}
	for (i = 0; i < hook->variables.n; i++)
		if (!is_seed(hook->variables.items[i]))
			text_printf(&wrong, "%s is not known; ", hook->variables.items[i]);
	if (wrong.len > 0) {
		wrong.data[wrong.len - 2] = '\0';
		status = say_usage(hook->shell, "the variables of FlexibleEngine: %s",
			text_of(&wrong));
	}
	text_free(&wrong);
	return status;
}

static void add_seed(struct text *out, size_t i, const char *value)
{
	const char *option = seed[i].option;

	if (strcmp(option, "iam_url") == 0) {
		if (strcmp(value, ENDPOINT) != 0)
			text_printf(out, ",iam_url=https://iam.%s.%s", getenv("REGION"), value);
	} else if (strcmp(option, "probe") == 0) {
		text_printf(out, ",probe=%s:443", value);
	} else if ((seed[i].flags & SEED_SECRET) != 0) {
		text_printf(out, ",%s=env:%s", option, seed[i].variable);
	} else {
		text_printf(out, ",%s=%s", option, value);
	}
}

/* Does text have "option=" in it? */
static int has_option(const char *text, const char *option)
{
	size_t len = strlen(option);

	for (; text != NULL; text = strchr(text, ',')) {
		text += *text == ',';
		if (strncmp(text, option, len) == 0 && text[len] == '=')
			return 1;
	}
	return 0;
}

int hook_flexibleengine(const struct hook *hook, struct text *out)
{
	const char *more = hook_variable("CERTAUTO_OPTIONS"), *value;
	size_t i;
	int status;

	if (!tells_seed())
		return say_usage(hook->shell,
			"no target is named: set CERTAUTO_TARGET, to one of the configuration or "
			"to TYPE,OPTION=VALUE,...");
	if ((status = check_seed(hook)) != STATUS_DONE)
		return status;
	text_add(out, "flexibleengine");
	for (i = 0; i < N_SEED; i++) {
		value = hook_variable(seed[i].variable);
		if (value != NULL && seed[i].option != NULL && !has_option(more, seed[i].option))
			add_seed(out, i, value);
	}
	if (more != NULL)
		text_printf(out, ",%s", more);
	return STATUS_DONE;
}
