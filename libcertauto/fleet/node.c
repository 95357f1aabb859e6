/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a configuration, and the small checks every part of it needs. */

#include "fleet/node.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"

#define DEPTH_MAX 16

void certauto__node_free(struct certauto__node *node)
{
	struct certauto__node *next;

	for (; node != NULL; node = next) {
		next = node->next;
		certauto__node_free(node->children); /* at most DEPTH_MAX deep */
		if (node->text != NULL)
			certauto__wipe(node->text, node->len);
		certauto__free(node->text);
		certauto__free(node->key);
		certauto__free(node);
	}
}

struct tree {
	struct certauto__node *top;
	struct certauto__node *open[DEPTH_MAX + 1];
};

static struct certauto__node *node_new(const certauto__json_value *value,
	const struct certauto__node *parent)
{
	struct certauto__node *node = certauto__alloc(sizeof(*node));

	if (node == NULL)
		return NULL;
	node->type = value->type;
	node->line = value->line;
	node->len = value->len;
	if (parent != NULL && parent->type == CERTAUTO__JSON_OBJECT)
		node->key = certauto__strdup(value->parts[value->n_parts - 1]);
	if (value->text != NULL)
		node->text = certauto__memdup(value->text, value->len);
	if ((value->text != NULL && node->text == NULL) ||
	    (parent != NULL && parent->type == CERTAUTO__JSON_OBJECT && node->key == NULL)) {
		certauto__node_free(node);
		return NULL;
	}
	return node;
}

static int tree_value(void *arg, const certauto__json_value *value)
{
	struct tree *tree = arg;
	struct certauto__node *parent = value->n_parts > 0 ? tree->open[value->n_parts - 1] : NULL;
	struct certauto__node *node;

	if (value->type == CERTAUTO__JSON_OBJECT_END || value->type == CERTAUTO__JSON_ARRAY_END)
		return 0;
	if ((node = node_new(value, parent)) == NULL)
		return CERTAUTO_ENOMEM;
	if (parent == NULL)
		tree->top = node;
	else if (parent->last == NULL)
		parent->children = node;
	else
		parent->last->next = node;
	if (parent != NULL)
		parent->last = node;
	if (value->type == CERTAUTO__JSON_OBJECT || value->type == CERTAUTO__JSON_ARRAY)
		tree->open[value->n_parts] = node;
	return 0;
}

/* The reader says "FILE: line 7, \"targets.edge\": reason"; a configuration's errors are
 * "FILE:7: \"targets.edge\": reason". */
static int syntax_error(const struct certauto__config *config)
{
	size_t prefix = strlen(config->file), line;
	certauto_error plain = {0};
	const char *message;
	int n = 0;

	certauto__error_move(&plain, config->err);
	message = certauto_error_message(&plain);
	if (strncmp(message, config->file, prefix) == 0 &&
	    sscanf(message + prefix, ": line %zu%n", &line, &n) == 1)
		message += prefix + (size_t)n + strspn(message + prefix + n, ",: ");
	else
		line = 1;
	certauto__error_set(config->err, CERTAUTO_ECONFIG, config->file, "%s:%zu: %s", config->file,
		line, message);
	certauto__error_clear(&plain);
	return CERTAUTO_ECONFIG;
}

int certauto__node_read(struct certauto__config *config, const void *data, size_t len)
{
	struct tree tree = {0};
	int rc;

	rc = certauto__json_read(config->file, data, len, &certauto__json_limits_config, tree_value,
		&tree, config->err);
	config->top = tree.top;
	if (rc == CERTAUTO_ENOMEM)
		return certauto__error_nomem(config->err);
	return rc < 0 ? syntax_error(config) : 0;
}

const struct certauto__node *certauto__node_get(const struct certauto__node *object,
	const char *key)
{
	const struct certauto__node *node = object != NULL ? object->children : NULL;

	for (; node != NULL; node = node->next)
		if (certauto__text_equal(node->key, key))
			return node->type != CERTAUTO__JSON_NULL ? node : NULL;
	return NULL;
}

size_t certauto__node_count(const struct certauto__node *node)
{
	const struct certauto__node *child;
	size_t n = 0;

	for (child = node != NULL ? node->children : NULL; child != NULL; child = child->next)
		n++;
	return n;
}

int certauto__config_fail(const struct certauto__config *config, const struct certauto__node *node,
	const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return certauto__error_set(config->err, CERTAUTO_ECONFIG, config->file, "%s:%zu: %s%s%s",
		config->file, node != NULL ? node->line : 1,
		config->about != NULL ? config->about : "", config->about != NULL ? ": " : "",
		text);
}

int certauto__config_wrap(const struct certauto__config *config, const struct certauto__node *node,
	int rc)
{
	if (rc >= 0 || rc == CERTAUTO_ENOMEM)
		return rc < 0 ? certauto__error_nomem(config->err) : rc;
	certauto__error_prefix(config->err, "%s:%zu", config->file, node != NULL ? node->line : 1);
	config->err->code = CERTAUTO_ECONFIG;
	return CERTAUTO_ECONFIG;
}

int certauto__config_keys(const struct certauto__config *config,
	const struct certauto__node *object, const char *what, const char *const *known)
{
	certauto__buffer list = CERTAUTO__BUFFER(512);
	const struct certauto__node *node;
	size_t i;
	int rc = 0;

	for (node = object->children; node != NULL && rc == 0; node = node->next) {
		for (i = 0; known[i] != NULL && strcmp(known[i], node->key) != 0; i++)
			;
		if (known[i] != NULL)
			continue;
		for (i = 0; known[i] != NULL; i++)
			certauto__buffer_printf(&list, "%s%s", i > 0 ? ", " : "", known[i]);
		rc = certauto__config_fail(config, node, "%s has no key \"%.80s\"; it has: %s",
			what, node->key, certauto__buffer_text(&list));
	}
	certauto__buffer_free(&list);
	return rc;
}

static const char *name_of(const struct certauto__node *node)
{
	return node->key != NULL ? node->key : "the entry";
}

int certauto__config_object(const struct certauto__config *config,
	const struct certauto__node *node)
{
	if (node->type == CERTAUTO__JSON_OBJECT)
		return 0;
	return certauto__config_fail(config, node, "%.80s must be an object", name_of(node));
}

int certauto__config_text(const struct certauto__config *config, const struct certauto__node *node,
	char **out)
{
	if (node == NULL)
		return 0;
	if (node->type != CERTAUTO__JSON_STRING || node->len == 0)
		return certauto__config_fail(config, node,
			"%.80s must be a string that is not empty", name_of(node));
	certauto__free(*out);
	if ((*out = certauto__strdup(node->text)) == NULL)
		return certauto__error_nomem(config->err);
	return 0;
}

int certauto__config_flag(const struct certauto__config *config, const struct certauto__node *node,
	int *out)
{
	if (node == NULL)
		return 0;
	if (node->type != CERTAUTO__JSON_TRUE && node->type != CERTAUTO__JSON_FALSE)
		return certauto__config_fail(config, node, "%.80s must be true or false",
			name_of(node));
	*out = node->type == CERTAUTO__JSON_TRUE;
	return 0;
}

int certauto__config_list(const struct certauto__config *config, const struct certauto__node *node,
	certauto__list *out)
{
	const struct certauto__node *item = node;

	if (node == NULL)
		return 0;
	if (node->type == CERTAUTO__JSON_ARRAY)
		item = node->children;
	for (; item != NULL; item = node->type == CERTAUTO__JSON_ARRAY ? item->next : NULL) {
		if (item->type != CERTAUTO__JSON_STRING || item->len == 0)
			return certauto__config_fail(config, item,
				"%.80s must be a list of strings that are not empty",
				name_of(node));
		if (certauto__list_has(out, item->text))
			return certauto__config_fail(config, item, "%.80s has \"%.200s\" twice",
				name_of(node), item->text);
		if (certauto__list_add(out, item->text, item->len) < 0)
			return certauto__error_nomem(config->err);
	}
	return 0;
}
