/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_FLEET_NODE_H
#define CERTAUTO_FLEET_NODE_H

/* A configuration, read whole: entries refer to others that may stand further down. Only for our
 * own config: what peers send is never kept as a tree. */

#include <stddef.h>

#include <certauto/context.h>

#include "core/error.h"
#include "core/text.h"
#include "json/reader.h"

struct certauto__node {
	enum certauto__json_type type;   /* OBJECT and ARRAY have children */
	char *key;                       /* NULL in an array */
	char *text;                      /* STRING, NUMBER; wiped when freed: it may be a secret */
	size_t len;
	size_t line;
	struct certauto__node *children, *last, *next;
};

/* A document and what its errors are told with. */
struct certauto__config {
	const char *file;                /* path, or "config" */
	certauto_context *cx;
	certauto_error *err;
	struct certauto__node *top;
	const char *about;               /* target whose options are read; NULL */
};

int certauto__node_read(struct certauto__config *config, const void *data, size_t len);
void certauto__node_free(struct certauto__node *node);

/* Member of an object; NULL when it is not there or null. */
const struct certauto__node *certauto__node_get(const struct certauto__node *object,
	const char *key);
size_t certauto__node_count(const struct certauto__node *node); /* of children */

/* "FILE:LINE: ..." as CERTAUTO_ECONFIG. */
int certauto__config_fail(const struct certauto__config *config, const struct certauto__node *node,
	const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same around an error that is set already: what rc came with, told as one of the
 * configuration. */
int certauto__config_wrap(const struct certauto__config *config, const struct certauto__node *node,
	int rc);

/* The keys an object may have, NULL-terminated; any other is refused. what: 'account "le"'. */
int certauto__config_keys(const struct certauto__config *config,
	const struct certauto__node *object, const char *what, const char *const *known);
int certauto__config_object(const struct certauto__config *config,
	const struct certauto__node *node);
/* A string that is not empty; *out stays NULL when node is NULL. Copied. */
int certauto__config_text(const struct certauto__config *config, const struct certauto__node *node,
	char **out);
int certauto__config_flag(const struct certauto__config *config, const struct certauto__node *node,
	int *out);
/* An array of strings, or a lone string. */
int certauto__config_list(const struct certauto__config *config, const struct certauto__node *node,
	certauto__list *out);
/* A sensitive value: a string, {"file": PATH}, {"env": NAME} or {"fd": N}, read once: afterwards
 * the node is a string. */
int certauto__config_secret(const struct certauto__config *config, struct certauto__node *node);

#endif
