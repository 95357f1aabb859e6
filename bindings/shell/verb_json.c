/* SPDX-License-Identifier: Apache-2.0 */
/* certauto json: values of a JSON document, for scripts on machines that have no other reader of
 * JSON than this. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "input.h"
#include "json.h"
#include "shell.h"

#define JSON_MAX 67108864 /* the status of very many certificates */

struct found {
	const struct strings *fields; /* none: what is found is the value */
	struct text out;
	const struct json *value; /* the first one, where one is enough */
};

typedef void found_fn(struct found *found, const struct json *json);

/* The item of a list whose place the first len bytes of text are; NULL: there is none. */
static const struct json *item_at(const struct json *list, const char *text, size_t len)
{
	const struct json *item = json_first(list);
	unsigned long place;

	if (len == 0 || len > 9 || strspn(text, "0123456789") < len)
		return NULL;
	for (place = strtoul(text, NULL, 10); place > 0 && item != NULL; place--)
		item = item->next;
	return item;
}

static void walk(const struct json *json, const char *path, found_fn *on_found, struct found *found)
{
	size_t len = strcspn(path, ".");
	const char *rest = path + len + (path[len] == '.');
	const struct json *item;
	char *name;

	if (json == NULL)
		return;
	if (len == 1 && *path == '*') {
		for (item = json_first(json); item != NULL; item = item->next)
			*rest == '\0' ? on_found(found, item) : walk(item, rest, on_found, found);
		return;
	}
	name = memory_copy(path, len);
	item = json->type == JSON_ARRAY ? item_at(json, path, len) : json_get(json, name);
	free(name);
	if (*rest != '\0')
		walk(item, rest, on_found, found);
	else if (item != NULL)
		on_found(found, item);
}

static int is_value(const struct json *json)
{
	return json->type == JSON_STRING || json->type == JSON_NUMBER ||
		json->type == JSON_BOOLEAN;
}

static void keep_value(struct found *found, const struct json *json)
{
	if (found->value == NULL && is_value(json))
		found->value = json;
}

/* Tabs are IFS white space, of which read(1) takes several as one: no field is empty. */
static void add_fields(struct found *found, const struct json *json)
{
	struct found field = {0};
	size_t i;

	for (i = 0; i < found->fields->n; i++) {
		field.value = NULL;
		walk(json, found->fields->items[i], keep_value, &field);
		text_add(&found->out, i > 0 ? "\t" : "");
		if (field.value != NULL && field.value->text[0] != '\0')
			text_add_shown(&found->out, field.value->text);
		else
			text_add(&found->out, "-");
	}
	text_add(&found->out, "\n");
}

static void add_value(struct found *found, const struct json *json)
{
	if (!is_value(json))
		return;
	text_add_shown(&found->out, json->text);
	text_add(&found->out, "\n");
}

int run_json(struct shell *shell)
{
	struct strings *operands = &shell->options.operands;
	struct found found = {.fields = operands};
	struct text input = {0};
	struct json *json = NULL;
	const char *path;
	int status = STATUS_FAILED;

	if (operands->n == 0)
		return say_usage(shell, "usage: certauto json PATH [FIELD...]");
	path = operands->items[0];
	strings_drop(operands, 1);
	if (input_take(&input, STDIN_FILENO, JSON_MAX) < 0)
		complain("cannot read standard input: %s", strerror(errno));
	else if (input.len > JSON_MAX || (json = json_parse(text_of(&input))) == NULL)
		complain("what standard input has is not JSON");
	walk(json, path, operands->n > 0 ? add_fields : add_value, &found);
	if (found.out.len > 0) {
		say(&found.out);
		status = STATUS_DONE;
	}
	json_free(json);
	text_free(&input);
	text_free(&found.out);
	return status;
}
