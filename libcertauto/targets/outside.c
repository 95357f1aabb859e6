/* SPDX-License-Identifier: Apache-2.0 */
/* How a target written in another program becomes one of this library: a row is made for its
 * table of operations. outside_run.c runs them. */

#include "targets/outside.h"

#include <string.h>

#include "core/memory.h"

#define OUTSIDE_NAME_MAX 64

static void outside_unref(void *arg)
{
	struct certauto__outside *outside = arg;

	if (outside == NULL || __atomic_sub_fetch(&outside->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (outside->free_cb != NULL)
		outside->free_cb(outside->payload);
	certauto__outside_options_free(outside);
	certauto__free(outside->name);
	certauto__free(outside);
}

struct certauto__outside *certauto__outside_of(const certauto_target *target)
{
	return target->outside;
}

static void outside_attach(certauto_target *target, struct certauto__target_type *type)
{
	struct certauto__outside *outside = (struct certauto__outside *)type;

	__atomic_add_fetch(&outside->refs, 1, __ATOMIC_ACQ_REL);
	target->outside = outside;
	target->outside_free = outside_unref;
}

/* ---- the table of operations ---- */

static int ops_check(const certauto_target_ops *ops, certauto_error *err)
{
	size_t len;

	if (ops->version == 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"version of the operations is 0: fill it with CERTAUTO_TARGET_OPS_VERSION");
	if (ops->version > CERTAUTO_TARGET_OPS_VERSION)
		return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, NULL,
			"the target's operations have version %u, this library knows up to %u",
			ops->version, (unsigned)CERTAUTO_TARGET_OPS_VERSION);
	len = ops->name != NULL ? strlen(ops->name) : 0;
	if (len == 0 || len > OUTSIDE_NAME_MAX ||
		strspn(ops->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != len)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the name of a target type is 1 to %d characters of a-z, 0-9, \"_\" and "
			"\"-\"",
			OUTSIDE_NAME_MAX);
	return 0;
}

static void row_fill(struct certauto__outside *outside)
{
	const int challenges =
		CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DNS01 | CERTAUTO_TARGET_TLSALPN01;
	struct certauto__target_row *row = &outside->row;

	row->name = outside->name;
	row->caps = (int)outside->ops.caps;
	row->options = outside->options;
	if (row->caps & challenges)
		row->present = &certauto__outside_present;
	if (row->caps & CERTAUTO_TARGET_DEPLOY)
		row->deploy = &certauto__outside_deploy;
	if (row->caps & CERTAUTO_TARGET_CSR)
		row->csr = &certauto__outside_csr;
	outside->type.row = row;
	outside->type.attach = outside_attach;
}

/* payload is taken, also on failure. An older table is shorter: only what its version has may be
 * read. With one version so far, that is all of it. */
static int outside_new(struct certauto__outside **out, const certauto_target_ops *ops,
	void *payload, certauto_free_cb free_cb, certauto_error *err)
{
	struct certauto__outside *outside = certauto__alloc(sizeof(*outside));
	int rc;

	if (outside == NULL) {
		if (free_cb != NULL)
			free_cb(payload);
		return certauto__error_nomem(err);
	}
	outside->refs = 1;
	outside->payload = payload;
	outside->free_cb = free_cb;
	if ((rc = ops_check(ops, err)) < 0)
		goto err;
	outside->ops = *ops;
	if ((outside->name = certauto__strdup(ops->name)) == NULL) {
		rc = certauto__error_nomem(err);
		goto err;
	}
	if ((rc = certauto__outside_options(outside, ops->options_json, err)) < 0)
		goto err;
	row_fill(outside);
	*out = outside;
	return 0;
err:
	outside_unref(outside);
	return rc;
}

/* ---- public ---- */

int certauto_target_new_ops(certauto_target **out, certauto_context *cx,
	const certauto_target_ops *ops, void *payload, certauto_free_cb free_cb)
{
	struct certauto__outside *outside = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0) {
		if (free_cb != NULL)
			free_cb(payload);
		return rc;
	}
	if (out == NULL || ops == NULL) {
		rc = CERTAUTO_EINVAL;
		if (free_cb != NULL)
			free_cb(payload);
	} else if ((rc = outside_new(&outside, ops, payload, free_cb, &cx->error)) == 0) {
		if ((rc = certauto__target_make_row(out, cx, &outside->row, NULL, &cx->error)) == 0)
			outside_attach(*out, &outside->type);
		outside_unref(outside);
	}
	return certauto__leave(cx, rc);
}

static void types_free(void *arg)
{
	struct certauto__target_type *type = arg, *next;

	for (; type != NULL; type = next) {
		next = type->next;
		outside_unref(type);
	}
}

static int add_type(certauto_context *cx, struct certauto__outside *outside)
{
	if (certauto__target_row_find(cx, outside->name) != NULL)
		return certauto__error_set(&cx->error, CERTAUTO_EINVAL, outside->name,
			"there is a target type \"%s\" already", outside->name);
	outside->type.next = cx->target_types;
	cx->target_types = &outside->type;
	cx->target_types_free = types_free;
	return 0;
}

int certauto_context_add_target(certauto_context *cx, const certauto_target_ops *ops, void *payload,
	certauto_free_cb free_cb)
{
	struct certauto__outside *outside = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0) {
		if (free_cb != NULL)
			free_cb(payload);
		return rc;
	}
	if (ops == NULL) {
		rc = CERTAUTO_EINVAL;
		if (free_cb != NULL)
			free_cb(payload);
	} else if ((rc = outside_new(&outside, ops, payload, free_cb, &cx->error)) == 0 &&
		(rc = add_type(cx, outside)) < 0) {
		outside_unref(outside);
	}
	return certauto__leave(cx, rc);
}
