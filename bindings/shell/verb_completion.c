/* SPDX-License-Identifier: Apache-2.0 */
/* certauto completion: the scripts of the shells, and what they ask on each TAB. They know how
 * their shell is answered; what may stand where is known here, from the tables that --help is made
 * from. */

#include <stdlib.h>
#include <string.h>

#include "completion.h"
#include "input.h"
#include "json.h"
#include "shell.h"

#define CONFIG_MAX 16777216

struct line {
	certauto_context *cx;       /* made when the library is asked */
	struct options before;      /* the words before the one that is completed */
	const struct verb *verb;    /* NULL = none yet; its words are not among the operands */
	int pending;                /* option whose value comes next; -1 = none */
	int only_operands;
	const char *word;           /* what there is of it already */
	const char *rest;           /* where in it the part begins that is completed */
	const char *files;          /* what of the file system fits besides */
	struct text out;
};

static void add(struct line *line, const char *value, const char *about)
{
	text_add_shown(&line->out, value);
	text_add(&line->out, "\t");
	text_add_shown(&line->out, about);
	text_add(&line->out, "\n");
}

/* The same with an end, after which no space is typed. */
static void add_open(struct line *line, const char *value, char end, const char *about)
{
	struct text text = {0};

	text_printf(&text, "%s%c", value, end);
	add(line, text_of(&text), about);
	text_free(&text);
}

static int is_among(const struct strings *strings, const char *item)
{
	size_t i;

	for (i = 0; i < strings->n; i++)
		if (strcmp(strings->items[i], item) == 0)
			return 1;
	return 0;
}

/* ---- the words before ---- */

static void take_option(struct line *line, int id, const char *value)
{
	if (id >= 0 && option_rows[id].argument != NULL && value == NULL)
		line->pending = id;
	else if (id >= 0)
		strings_add(&line->before.given[id], value != NULL ? value : "");
}

static void take_letters(struct line *line, const char *letters)
{
	int id = -1;

	for (; *letters != '\0'; letters++) {
		id = option_find_letter(*letters);
		if (id >= 0 && option_rows[id].argument != NULL)
			break;
		take_option(line, id, NULL);
	}
	if (*letters != '\0')
		take_option(line, id, letters[1] != '\0' ? letters + 1 : NULL);
}

static void take_word(struct line *line, const char *word)
{
	const char *value = strchr(word, '=');
	size_t len = value != NULL ? (size_t)(value - word) : strlen(word);

	if (line->pending >= 0) {
		strings_add(&line->before.given[line->pending], word);
		line->pending = -1;
	} else if (line->only_operands || word[0] != '-' || word[1] == '\0') {
		strings_add(&line->before.operands, word);
	} else if (strcmp(word, "--") == 0) {
		line->only_operands = 1;
	} else if (word[1] == '-') {
		take_option(line, option_find(word + 2, len - 2), value != NULL ? value + 1 : NULL);
	} else {
		take_letters(line, word + 1);
	}
}

static void take_words(struct line *line, const struct strings *words)
{
	size_t i, n_words;

	for (i = 0; i + 1 < words->n; i++)
		take_word(line, words->items[i]);
	line->word = line->rest = words->n > 0 ? words->items[i] : "";
	line->verb = verb_find(&line->before.operands, &n_words);
	if (line->verb != NULL)
		strings_drop(&line->before.operands, n_words);
}

/* ---- names of the configuration ---- */

/* As a shell would have it, which leaves the word as it is. */
static void add_path(struct text *out, const char *path)
{
	const char *home = getenv("HOME");

	if (strncmp(path, "~/", 2) == 0 && home != NULL)
		text_printf(out, "%s%s", home, path + 1);
	else
		text_add(out, path);
}

/* Any other would be refused by the configuration, and could have in it what a shell obeys. */
static int is_name(const char *name)
{
	static const char safe[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	return name != NULL && name[0] != '\0' && name[strspn(name, safe)] == '\0';
}

/* The file is only looked at, not loaded: TAB must not fetch its secrets, and one that has mistakes
 * in it still has names. */
static void complete_name(struct line *line, const char *list, const char *about)
{
	const char *config = option_value(&line->before, OPTION_CONFIG);
	struct text path = {0}, text = {0};
	struct json *json = NULL;
	const struct json *item;

	add_path(&path, config != NULL ? config : CONFIG_FILE);
	if (input_load(&text, text_of(&path), CONFIG_MAX) == 0 && text.len <= CONFIG_MAX)
		json = json_parse(text_of(&text));
	for (item = json_first(json_get(json, list)); item != NULL; item = item->next)
		if (is_name(item->name) && !is_among(&line->before.operands, item->name))
			add(line, item->name, json_text_or(item, about, ""));
	json_free(json);
	text_free(&path);
	text_free(&text);
}

/* ---- values ---- */

/* "one (default), two" */
static void complete_listed(struct line *line, const char *list)
{
	char *word;

	for (; *list != '\0'; list += strspn(list, ", ")) {
		word = memory_copy(list, strcspn(list, ", "));
		add(line, word, "");
		free(word);
		list += strcspn(list, ",");
	}
}

static void complete_secret(struct line *line)
{
	static const char file[] = "file:";

	if (strncmp(line->rest, file, strlen(file)) == 0) {
		line->rest += strlen(file);
		line->files = "files";
		return;
	}
	add(line, file, "a file that only its owner may read");
	add(line, "env:", "an environment variable");
	add(line, "fd:", "an open descriptor");
}

static void complete_type(struct line *line, int with_options)
{
	const char *type;
	size_t i;

	if (line->cx == NULL && certauto_context_new(&line->cx) < 0)
		return;
	for (i = 0; (type = certauto_target_type_name(line->cx, i)) != NULL; i++) {
		if (with_options)
			add_open(line, type, ',', "");
		else
			add(line, type, "");
	}
}

/* Is "NAME=" somewhere after a comma? */
static int has_target_option(const char *text, const char *name)
{
	size_t len = strlen(name);

	while ((text = strchr(text, ',')) != NULL)
		if (strncmp(++text, name, len) == 0 && text[len] == '=')
			return 1;
	return 0;
}

static void complete_target_value(struct line *line, const certauto_target *target, size_t i)
{
	const char *type = certauto_target_option_type(target, i);

	if ((certauto_target_option_flags(target, i) & CERTAUTO_OPTION_SENSITIVE) != 0)
		complete_secret(line);
	else if (strcmp(type, "path") == 0)
		line->files = "files";
	else if (strcmp(type, "boolean") == 0)
		complete_listed(line, "yes, no");
}

/* After a comma: the value of an option where there is "NAME=", else the name of one. */
static void complete_target_option(struct line *line, const certauto_target *target)
{
	const char *text = line->rest, *last = strrchr(text, ',') + 1, *end = strchr(last, '=');
	const char *name;
	size_t i;

	line->rest = end != NULL ? end + 1 : last;
	for (i = 0; (name = certauto_target_option_name(target, i)) != NULL; i++) {
		if (end == NULL && !has_target_option(text, name))
			add_open(line, name, '=', certauto_target_option_help(target, i));
		else if (end != NULL && strlen(name) == (size_t)(end - last) &&
			strncmp(name, last, (size_t)(end - last)) == 0)
			complete_target_value(line, target, i);
	}
}

static void complete_target(struct line *line)
{
	certauto_target *target = NULL;
	char *type;

	if (strchr(line->rest, ',') == NULL) {
		complete_type(line, 1);
		/* A verb that can do without a configuration makes all from its options. */
		if (line->verb == NULL || (line->verb->options & OPTION_BIT(OPTION_STATE)) == 0)
			complete_name(line, "targets", "type");
		return;
	}
	type = memory_copy(line->rest, strcspn(line->rest, ","));
	if ((line->cx != NULL || certauto_context_new(&line->cx) == 0) &&
	    certauto_target_new(&target, line->cx, type) == 0)
		complete_target_option(line, target);
	certauto_target_free(target);
	free(type);
}

/* A type where one is made or ordered, a file where there is one already. */
static void complete_key(struct line *line)
{
	option_set options = line->verb != NULL ? line->verb->options : 0;

	if ((options & OPTION_BIT(OPTION_BY_KEY)) == 0)
		complete_listed(line, WORDS_KEY);
	if ((options & (OPTION_BIT(OPTION_BY_KEY) | OPTION_BIT(OPTION_KEY_OUT))) != 0)
		line->files = "files";
}

/* ---- verbs and options ---- */

/* The words after the first one of the verbs that begin with it. */
static void add_seconds(struct text *out, const char *first, size_t len)
{
	const struct verb *verb;

	for (verb = verbs; verb->name != NULL; verb++)
		if (strncmp(verb->name, first, len) == 0 && verb->name[len] == ' ')
			text_printf(out, "%s%s", out->len > 0 ? ", " : "", verb->name + len + 1);
}

static void add_first(struct line *line, const struct verb *verb, size_t len)
{
	struct text about = {0};
	char *word = memory_copy(verb->name, len);

	if (verb->name[len] == '\0')
		text_add(&about, verb->summary);
	else
		add_seconds(&about, verb->name, len);
	add(line, word, text_of(&about));
	text_free(&about);
	free(word);
}

/* The next word of a verb, after those in words. */
static void complete_verb(struct line *line, const struct strings *words)
{
	const struct verb *verb, *last = NULL;
	size_t len;

	for (verb = verbs; verb->name != NULL; last = verb++) {
		len = strcspn(verb->name, " ");
		if (words->n == 0 && (last == NULL || strncmp(last->name, verb->name, len) != 0 ||
				last->name[len] != ' '))
			add_first(line, verb, len);
		else if (words->n == 1 && strlen(words->items[0]) == len &&
			strncmp(words->items[0], verb->name, len) == 0 && verb->name[len] == ' ')
			add(line, verb->name + len + 1, verb->summary);
	}
}

static void complete_option(struct line *line)
{
	option_set options = verb_options(line->verb);
	struct text text = {0};
	int id;

	for (id = 0; id < OPTION_COUNT; id++) {
		const struct option_row *row = &option_rows[id];

		if ((options & OPTION_BIT(id)) == 0 ||
		    (option_given(&line->before, id) && !row->repeats))
			continue;
		text_printf(&text, "--%s", row->name);
		add(line, text_of(&text), row->help);
		text_free(&text);
		if (row->letter == 0)
			continue;
		text_printf(&text, "-%c", row->letter);
		add(line, text_of(&text), row->help);
		text_free(&text);
	}
}

/* ---- what may stand there ---- */

static void complete_value(struct line *line, enum value_kind kind)
{
	static const char *const lists[VALUE_COUNT] = {
		[VALUE_SERVER] = WORDS_SERVER,
		[VALUE_MAC] = WORDS_MAC,
		[VALUE_KEY_TYPE] = WORDS_KEY,
		[VALUE_CHALLENGE] = WORDS_CHALLENGE,
		[VALUE_REASON] = WORDS_REASON,
		[VALUE_SHELL] = WORDS_SHELL,
	};

	if (lists[kind] != NULL)
		complete_listed(line, lists[kind]);
	else if (kind == VALUE_FILE || kind == VALUE_DIRECTORY)
		line->files = kind == VALUE_FILE ? "files" : "directories";
	else if (kind == VALUE_KEY)
		complete_key(line);
	else if (kind == VALUE_SECRET)
		complete_secret(line);
	else if (kind == VALUE_TARGET)
		complete_target(line);
	else if (kind == VALUE_TARGET_TYPE)
		complete_type(line, 0);
	else if (kind == VALUE_TARGET_NAME)
		complete_name(line, "targets", "type");
	else if (kind == VALUE_CERTIFICATE)
		complete_name(line, "certificates", "account");
	else if (kind == VALUE_ACCOUNT)
		complete_name(line, "accounts", "server");
	else if (kind == VALUE_VERB)
		complete_verb(line, &line->before.operands);
}

/* "--name=", "-cvalue": the option whose value begins in the word itself; -1: none does. */
static int find_glued(struct line *line)
{
	const char *word = line->word, *equals = strchr(word, '=');
	int id = -1;

	if (strncmp(word, "--", 2) == 0 && equals != NULL) {
		id = option_find(word + 2, (size_t)(equals - word) - 2);
		line->rest = equals + 1;
	} else if (word[0] == '-' && word[1] != '-' && word[1] != '\0' && word[2] != '\0') {
		id = option_find_letter(word[1]);
		line->rest = word + 2;
	}
	return id >= 0 && option_rows[id].argument != NULL ? id : -1;
}

static void complete_operand(struct line *line)
{
	const struct verb *verb = line->verb;

	if (verb == NULL)
		complete_verb(line, &line->before.operands);
	else if (verb->max_operands < 0 || line->before.operands.n < (size_t)verb->max_operands)
		complete_value(line, verb->takes);
	/* Rather than nothing. */
	if (line->out.len == 0 && *line->word == '\0' && !line->only_operands)
		complete_option(line);
}

static void complete(struct line *line)
{
	int id = line->pending;

	if (id >= 0) {
		complete_value(line, option_rows[id].value);
	} else if (line->word[0] != '-' || line->only_operands) {
		complete_operand(line);
	} else if ((id = find_glued(line)) >= 0) {
		complete_value(line, option_rows[id].value);
	} else {
		line->rest = line->word;
		complete_option(line);
	}
}

/* ---- the verb ---- */

/* First "none", "files" or "directories", a tab, and what stands in the word before the part that
 * is completed; then a line for each value this may become: it, a tab, and what it is about. */
static int say_words(const struct strings *words)
{
	struct line line = {.pending = -1, .files = "none"};
	struct text head = {0};
	char *prefix;

	take_words(&line, words);
	complete(&line);
	prefix = memory_copy(line.word, (size_t)(line.rest - line.word));
	text_printf(&head, "%s\t%s\n%s", line.files, prefix, text_of(&line.out));
	say(&head);
	free(prefix);
	text_free(&head);
	text_free(&line.out);
	options_free(&line.before);
	certauto_context_free(line.cx);
	return STATUS_DONE;
}

static int say_script(const char *script)
{
	struct text text = {0};

	text_add(&text, script);
	say(&text);
	text_free(&text);
	return STATUS_DONE;
}

int run_completion(struct shell *shell)
{
	struct strings *operands = &shell->options.operands;
	const char *what = operands->n > 0 ? operands->items[0] : "";

	if (strcmp(what, "words") == 0) {
		strings_drop(operands, 1);
		return say_words(operands);
	}
	if (operands->n == 1 && strcmp(what, "bash") == 0)
		return say_script(completion_bash);
	if (operands->n == 1 && strcmp(what, "zsh") == 0)
		return say_script(completion_zsh);
	return say_usage(shell, "usage: certauto completion bash|zsh");
}
