/* SPDX-License-Identifier: Apache-2.0 */
/* The public noun order: what it is made of, who answers its challenges, how it is started. What
 * happens then is in order.c. */
#include "acme/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "crypto/objects.h"
#include "store/store.h"

#define ORDER_USES_MAX 1000

static void order_unlock(certauto_order *order)
{
	if (order->lock_of == NULL)
		return;
	order->lock_of->row->unlock(order->lock_of, order->lock);
	certauto__object_unref(order->lock_of);
	order->lock_of = NULL;
}

static void order_destroy(void *object)
{
	certauto_order *order = object;
	size_t i;

	order_unlock(order);
	for (i = 0; i < order->n_uses; i++) {
		certauto__free(order->uses[i].pattern);
		certauto__free(order->uses[i].challenge);
		certauto_target_free(order->uses[i].target);
	}
	certauto__free(order->uses);
	for (i = 0; order->results != NULL && i < order->names.n; i++)
		certauto__error_clear(&order->results[i].error);
	certauto__free(order->results);
	certauto__req_free(order->req);
	certauto__certs_free(order->chain);
	certauto__list_free(&order->names);
	certauto__buffer_free(&order->rejected);
	certauto__free(order->profile);
	certauto__free(order->preferred_chain);
	certauto__free(order->replaces);
	certauto__free(order->url);
	certauto_account_free(order->account);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int order_fill(certauto_order *order, const certauto__req *req, certauto_error *err)
{
	certauto__list *names = &order->names;

	if (certauto__req_copy(&order->req, req) < 0 ||
	    certauto__list_copy(names, certauto__req_names(req)) < 0 ||
	    (names->n > 0 && (order->results = certauto__alloc(
				      names->n * sizeof(order->results[0]))) == NULL))
		return certauto__error_nomem(err);
	/* The same names in the same order whenever it is repeated: CAs then give the open order
	 * back. */
	if (names->n > 0)
		qsort(names->items, names->n, sizeof(names->items[0]), compare_names);
	return certauto__order_names_check(names, err);
}

int certauto__order_make(certauto_order **out, certauto_account *account, const certauto__req *req,
	certauto_error *err)
{
	certauto_order *order;
	int rc;

	if ((order = certauto__object_new(account->object.cx, sizeof(*order), order_destroy)) ==
	    NULL)
		return certauto__error_nomem(err);
	order->account = certauto__object_ref(account);
	certauto__buffer_init(&order->rejected, 0);
	if ((rc = order_fill(order, req, err)) < 0)
		certauto__object_unref(order);
	else
		*out = order;
	return rc;
}

static int unknown_type(const char *challenge, certauto_error *err)
{
	const struct certauto__challenge_type *type;
	certauto__buffer known = CERTAUTO__BUFFER(256), shown = CERTAUTO__BUFFER(4096);
	size_t i;

	for (i = 0; (type = certauto__challenge_type_at(i)) != NULL; i++)
		certauto__buffer_printf(&known, "%s%s", i == 0 ? "" : ", ", type->name);
	certauto__text_escape(&shown, challenge, strlen(challenge));
	certauto__error_set(err, CERTAUTO_EINVAL, NULL,
		"there is no challenge type \"%s\"; there are %s", certauto__buffer_text(&shown),
		certauto__buffer_text(&known));
	certauto__buffer_free(&known);
	certauto__buffer_free(&shown);
	return CERTAUTO_EINVAL;
}

static int check_use(const certauto_order *order, const char *challenge, certauto_target *target,
	certauto_error *err)
{
	const struct certauto__challenge_type *type = certauto__challenge_type(challenge);

	if (order->started)
		return certauto__error_set(
			err, CERTAUTO_EBUSY, NULL, "the order was started already");
	if (type == NULL)
		return unknown_type(challenge, err);
	/* The record of dns-persist-01 may be there for good. */
	if (target == NULL && !type->token)
		return 0;
	if (target == NULL)
		return certauto__error_set(
			err, CERTAUTO_EINVAL, NULL, "%s needs a target", challenge);
	if ((target->row->caps & type->cap) == 0 || target->row->present == NULL)
		return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, target->label,
			"target %s (type %s) does not answer %s", target->label, target->row->name,
			challenge);
	if (order->n_uses == ORDER_USES_MAX)
		return certauto__error_set(
			err, CERTAUTO_EINVAL, NULL, "more than %d patterns", ORDER_USES_MAX);
	return certauto__target_check_options(target, err);
}

int certauto__order_add_use(certauto_order *order, const char *pattern, const char *challenge,
	certauto_target *target, certauto_error *err)
{
	struct certauto__order_use *uses, use;
	int rc;

	if ((rc = check_use(order, challenge, target, err)) < 0)
		return rc;
	if ((uses = certauto__realloc(order->uses, (order->n_uses + 1) * sizeof(*uses))) == NULL)
		return certauto__error_nomem(err);
	order->uses = uses;
	use.pattern = certauto__strdup(pattern);
	use.challenge = certauto__strdup(challenge);
	if (use.pattern == NULL || use.challenge == NULL) {
		certauto__free(use.pattern);
		certauto__free(use.challenge);
		return certauto__error_nomem(err);
	}
	use.target = certauto__object_ref(target);
	order->uses[order->n_uses++] = use;
	return 0;
}

/* ---- the public face ---- */

int certauto_order_new(certauto_order **out, certauto_account *account, certauto_csr *csr)
{
	certauto_context *cx = certauto_account_context(account);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || csr == NULL)
		rc = certauto__error_set(
			&cx->error, CERTAUTO_EINVAL, NULL, "out and csr must be given");
	else if (csr->object.cx != cx)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"account and csr belong to two contexts");
	else
		rc = certauto__order_make(out, account, csr->req, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_order_use(certauto_order *order, const char *challenge, certauto_target *target)
{
	return certauto_order_use_for(order, "*", challenge, target);
}

int certauto_order_use_for(
	certauto_order *order, const char *pattern, const char *challenge, certauto_target *target)
{
	certauto_context *cx = certauto_order_context(order);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (pattern == NULL || challenge == NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"pattern and challenge must be given");
	else if (target != NULL && target->object.cx != cx)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"order and target belong to two contexts");
	else
		rc = certauto__order_add_use(order, pattern, challenge, target, &cx->error);
	return certauto__leave(cx, rc);
}

static void order_unref(void *order)
{
	certauto__object_unref(order);
}

/* By which a record of an earlier run is found: an order for the same names at the same CA,
 * whatever the request, which is not sent before all names are valid. */
#define RECORD "order-"
#define RECORD_HEX 32

static int order_identity(const certauto_order *order, char out[40])
{
	certauto__buffer what = CERTAUTO__BUFFER(128 * 1024);
	char hex[65];
	size_t i;
	int rc;

	certauto__buffer_printf(&what, "%s\n%s\n", order->account->server,
		order->account->name);
	for (i = 0; i < order->names.n; i++)
		certauto__buffer_printf(&what, "%s\n", order->names.items[i]);
	if ((rc = what.rc) == 0 && (rc = certauto__sha256_hex(hex, what.data, what.len)) == 0)
		(void)snprintf(out, 40, RECORD "%.*s", RECORD_HEX, hex);
	certauto__buffer_free(&what);
	return rc;
}

int certauto__order_is_record(const char *id)
{
	return certauto__text_starts(id, RECORD) &&
		strspn(id + strlen(RECORD), "0123456789abcdef") == RECORD_HEX &&
		id[strlen(RECORD) + RECORD_HEX] == '\0';
}

/* While the record is in use. Of two that order the same names the second goes without one. */
static int order_lock(certauto_order *order, const char *id, certauto_error *err)
{
	certauto_store *store = order->object.cx->store;
	certauto_error error = {0};
	int rc;

	if (store == NULL)
		return 0;
	id += strlen(RECORD);
	if ((rc = store->row->lock(store, "order", id, &order->lock, &error)) == 0)
		order->lock_of = certauto__object_ref(store);
	if (rc < 0 && rc != CERTAUTO_EBUSY)
		certauto__error_copy(err, &error);
	certauto__error_clear(&error);
	return rc;
}

static void order_ended(certauto_job *job, void *order)
{
	(void)job;
	order_unlock(order);
}

static int order_start(
	certauto_job **out, certauto_order *order, int deadline_ms, certauto_error *err)
{
	struct certauto__start start;
	char identity[40];
	int rc;

	if (out == NULL || order->started)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			out == NULL ? "out must be given" : "an order runs once: make a new one");
	memset(&start, 0, sizeof(start));
	if ((rc = certauto__order_check(order, err)) < 0)
		return rc;
	if ((rc = order_identity(order, identity)) < 0)
		return certauto__error_set(err, rc, NULL, "%s", certauto_error_text(rc));
	if ((rc = order_lock(order, identity, err)) < 0 && rc != CERTAUTO_EBUSY)
		return rc;
	start.journal_id = rc == 0 ? identity : NULL;
	if ((rc = certauto__account_peer(order->account, &start.peer, err)) < 0) {
		order_unlock(order);
		return rc;
	}
	start.table = &certauto__order_table;
	start.name = order->names.items[0];
	start.env = certauto__object_ref(order);
	start.env_free = order_unref;
	/* A CA takes so many orders at a time; the others stand in line, and cost nothing. */
	start.one_at_a_time = 1;
	start.deadline_ms = certauto__acme_deadline(deadline_ms);
	start.identity = identity;
	start.ended = order_ended;
	start.ended_arg = order;
	if ((rc = certauto__job_start(out, order->object.cx, &start, err)) == 0)
		order->started = 1;
	else
		order_unlock(order);
	certauto__peer_unref(start.peer);
	return rc;
}

int certauto_order_start(certauto_job **out, certauto_order *order, int deadline_ms)
{
	certauto_context *cx = certauto_order_context(order);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	return certauto__leave(cx, order_start(out, order, deadline_ms, &cx->error));
}

int certauto_order_run(certauto_order *order, int timeout_ms)
{
	certauto_context *cx = certauto_order_context(order);
	certauto_job *job = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0 ||
	    (rc = certauto__leave(cx, certauto__not_in_callback(cx))) < 0 ||
	    (rc = certauto_order_start(&job, order, timeout_ms)) < 0)
		return rc;
	rc = certauto_job_wait(job, -1);
	certauto_job_free(job);
	return rc;
}

int certauto_order_status(const certauto_order *order)
{
	return order != NULL ? order->status : CERTAUTO_ORDER_NEW;
}

const char *certauto_order_url(const certauto_order *order)
{
	return order != NULL ? order->url : NULL;
}

int certauto_order_dup_chain(certauto_chain **out, const certauto_order *order)
{
	certauto_context *cx = certauto_order_context(order);
	certauto__buffer pem = CERTAUTO__BUFFER(1024 * 1024);
	certauto__certs *copy = NULL;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL, "out must be given");
	else if (order->chain == NULL)
		rc = certauto__error_set(
			&cx->error, CERTAUTO_ENOTFOUND, NULL, "the order has no certificate yet");
	else if ((rc = certauto__certs_format(&pem, order->chain, CERTAUTO__PART_FULL)) == 0 &&
	    (rc = certauto__certs_parse(&copy, pem.data, pem.len, 0, &cx->error)) == 0)
		rc = certauto__chain_wrap(out, cx, copy, &cx->error);
	certauto__buffer_free(&pem);
	return certauto__leave(cx, rc);
}

certauto_context *certauto_order_context(const certauto_order *order)
{
	return order != NULL ? order->object.cx : NULL;
}

void certauto_order_free(certauto_order *order)
{
	certauto__object_unref(order);
}
