/* SPDX-License-Identifier: Apache-2.0 */
/* An order from newOrder to an accepted chain. The facts "order", "finalize" and "certificate"
 * (URLs) survive a restart; where the order stands is asked of the CA, never remembered. So do
 * "wish" (profile and dates of that order), "no-profile" and "no-replaces" (what the CA refused),
 * "limited_until", "limited" and "limited_type" (it wants no requests until then, in its words),
 * and "spare" (URL of an order that was given up). What is ordered is in order_new.c, what is
 * downloaded in chains.c. */
#include "acme/order.h"

#include <string.h>

#include "core/memory.h"
#include "json/writer.h"

#define AUTHZ_PAR 32    /* names that are proved side by side */
#define FINALIZE_LIMIT_MS (5 * 60 * 1000)

/* Volatile facts: ".status" (CERTAUTO_ORDER_*), ".authz" (URLs, one a line), ".fresh" (ordered in
 * this run), ".authorized" (all names were validated in this run), ".refused" (finalize was,
 * once), ".profile" and ".replaces" (as sent), ".spare" and ".alternates" (URLs, one a line),
 * ".why" (the authorizations are asked why it is invalid). */

static int64_t status_of(const certauto_job *job)
{
	const char *text = certauto__fact_own(job, ".status");

	return text != NULL ? certauto__fact_number(job, ".status", CERTAUTO_ORDER_NEW)
			    : CERTAUTO_ORDER_NEW;
}

/* What the caller sees follows the facts. */
static void set_status(certauto_job *job, int status)
{
	certauto_order *order = certauto__job_env(job);

	order->status = status;
	certauto__fact_set_number(job, ".status", status);
	if (status != CERTAUTO_ORDER_PENDING && status != CERTAUTO_ORDER_INVALID)
		certauto__order_names_valid(order);
}

static void forget_status(certauto_job *job)
{
	certauto__fact_set(job, ".status", NULL);
}

void certauto__order_forget(certauto_job *job)
{
	certauto__fact_set(job, "order", NULL);
	certauto__fact_set(job, "finalize", NULL);
	certauto__fact_set(job, "certificate", NULL);
	certauto__fact_set(job, "request", NULL);
	certauto__fact_set(job, ".authz", NULL);
	certauto__fact_set(job, ".authorized", NULL);
	certauto__fact_set(job, ".refused", NULL);
	forget_status(job);
}

static int request_digest(char hex[65], const certauto_order *order)
{
	const unsigned char *der;
	size_t len;

	der = certauto__req_der(order->req, &len);
	return certauto__sha256_hex(hex, der, len);
}

static int mirror_url(certauto_order *order, const char *url)
{
	if (certauto__text_equal(order->url, url))
		return 0;
	certauto__free(order->url);
	order->url = certauto__strdup(url);
	return order->url != NULL ? 0 : CERTAUTO_ENOMEM;
}

/* ---- who answers ---- */

static int is_offered(
	const struct certauto__order_use *use, const struct certauto__authz_document *offered)
{
	return offered == NULL ||
		certauto__authz_document_challenge(offered, use->challenge) != NULL;
}

/* Serves the name, by a type that can prove it. */
static int use_fits(const struct certauto__order_use *use, const char *name)
{
	return certauto__name_match(use->pattern, name) &&
		certauto__challenge_proves(certauto__challenge_type(use->challenge), name);
}

const struct certauto__order_use *certauto__order_use_of(const certauto_order *order,
	const char *name, const struct certauto__authz_document *offered)
{
	size_t i;

	for (i = 0; i < order->n_uses; i++)
		if (use_fits(&order->uses[i], name) &&
		    is_offered(&order->uses[i], offered))
			return &order->uses[i];
	return NULL;
}

static int check_name(const certauto_order *order, const char *name, certauto_error *err)
{
	const char *type = NULL;
	size_t i;

	if (certauto__order_use_of(order, name, NULL) != NULL)
		return 0;
	for (i = 0; i < order->n_uses && type == NULL; i++)
		if (certauto__name_match(order->uses[i].pattern, name))
			type = order->uses[i].challenge;
	if (type == NULL)
		return certauto__error_set(
			err, CERTAUTO_EINVAL, name, "no target answers challenges for %s", name);
	certauto__error_set(err, CERTAUTO_EINVAL, name, "%s cannot prove the %s %s", type,
		certauto__ip_check(name) ? "address" : "wildcard", name);
	certauto__error_advise(err,
		certauto__ip_check(name) ? "addresses need http-01 or tls-alpn-01"
					 : "name each host; wildcards need dns-01");
	return CERTAUTO_EINVAL;
}

int certauto__order_check(const certauto_order *order, certauto_error *err)
{
	const certauto__pkey *key = order->account->pkey;
	size_t i;
	int rc;

	for (i = 0; i < order->names.n; i++)
		if ((rc = check_name(order, order->names.items[i], err)) < 0)
			return rc;
	if (key == NULL || !certauto__req_has_key(order->req, key))
		return 0;
	certauto__error_set(
		err, CERTAUTO_EINVAL, NULL, "the certificate would have the account's own key");
	certauto__error_advise(
		err, "use another key for the certificate: who has it could act as the account");
	return CERTAUTO_EINVAL;
}

/* ---- the order document ---- */

/* As sets: neither list has a name twice. */
static int same_names(const certauto__list *ours, const certauto__list *theirs)
{
	size_t i;

	if (ours->n != theirs->n)
		return 0;
	for (i = 0; i < ours->n; i++)
		if (!certauto__list_has(theirs, ours->items[i]))
			return 0;
	return 1;
}

/* Some CAs leave the identifiers out of later answers; what is there must be what was ordered. */
static int check_document(const certauto_order *order, const struct certauto__order_document *doc,
	const char *what, certauto_error *err)
{
	if (doc->names.n > 0 && !same_names(&order->names, &doc->names))
		return certauto__error_set(err, CERTAUTO_EPROTO, order->account->server,
			"%s is for other names than were ordered", what);
	if (doc->authorizations.n > order->names.n)
		return certauto__error_set(err, CERTAUTO_EPROTO, order->account->server,
			"%s has %zu authorizations for %zu names", what, doc->authorizations.n,
			order->names.n);
	return 0;
}

int certauto__order_set_urls(
	certauto_job *job, const char *fact, const certauto__list *urls)
{
	certauto__buffer lines = CERTAUTO__BUFFER(64 * 1024);
	size_t i;
	int rc;

	for (i = 0; i < urls->n; i++)
		certauto__buffer_printf(&lines, "%s\n", urls->items[i]);
	if ((rc = lines.rc) == 0)
		certauto__fact_set(job, fact, urls->n > 0 ? certauto__buffer_text(&lines) : NULL);
	certauto__buffer_free(&lines);
	return rc;
}

/* Takes an answer that is the order. An invalid one is left in *problem. */
static int order_take(certauto_job *job, const certauto__exchange *x,
	struct certauto__problem *problem, certauto_error *err)
{
	certauto_order *order = certauto__job_env(job);
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__origin origin = certauto__acme_origin(job, x, "order", &what);
	struct certauto__order_document doc;
	const char *data;
	size_t len;
	int rc;

	memset(&doc, 0, sizeof(doc));
	if ((rc = certauto__acme_body(x, "application/json", &data, &len, err)) < 0 ||
	    (rc = certauto__order_document_parse(&doc, &origin, data, len, err)) < 0 ||
	    (rc = check_document(order, &doc, origin.what, err)) < 0)
		goto out;
	if (doc.status == CERTAUTO_ORDER_PENDING &&
	    (rc = certauto__order_set_urls(job, ".authz", &doc.authorizations)) < 0) {
		certauto__error_set(err, rc, order->account->server,
			"%s: the authorizations are too long", origin.what);
		goto out;
	}
	set_status(job, doc.status);
	if (doc.finalize != NULL)
		certauto__fact_set(job, "finalize", doc.finalize);
	if (doc.status == CERTAUTO_ORDER_VALID)
		certauto__fact_set(job, "certificate", doc.certificate);
	if (doc.status == CERTAUTO_ORDER_INVALID) {
		if (certauto__order_set_urls(job, ".spare", &doc.authorizations) < 0)
			certauto__fact_set(job, ".spare", NULL); /* then they are left */
		*problem = doc.problem; /* moved */
		memset(&doc.problem, 0, sizeof(doc.problem));
	}
out:
	certauto__order_document_free(&doc);
	certauto__buffer_free(&what);
	return rc;
}

/* Where the order does not say why, its authorizations may: they are looked at, and the same `read`
 * comes back here. */
static certauto__verdict order_invalid(certauto_job *job, struct certauto__problem *problem)
{
	certauto_order *order = certauto__job_env(job);
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	certauto__verdict verdict = CERTAUTO__NEXT;
	certauto_error err;

	if (!problem->present)
		verdict = certauto__spare_reasons(job);
	if (verdict == CERTAUTO__FAILED)
		certauto__order_forget(job);
	if (verdict != CERTAUTO__NEXT)
		return verdict;
	memset(&err, 0, sizeof(err));
	certauto__buffer_printf(&what, "the CA has made the order %s invalid",
		order->url != NULL ? order->url : "");
	certauto__problem_tell(&err, 0, order->names.n > 0 ? order->names.items[0] : NULL, problem,
		certauto__buffer_text(&what));
	certauto__buffer_free(&what);
	certauto__problem_free(problem);
	certauto__order_forget(job);
	return certauto__fail_with(job, &err);
}

/* ---- leftovers, directory ---- */

/* Answers that an earlier run left up are taken down before new ones go up. */
static certauto__verdict leftovers_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (!certauto__children_left_over(job, &certauto__authz_table) ||
	    certauto__children_release(job, &certauto__authz_table) == 0)
		return CERTAUTO__NEXT;
	return CERTAUTO__JOIN;
}

static certauto__verdict check_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_error err;

	(void)x;
	memset(&err, 0, sizeof(err));
	return certauto__order_check(certauto__job_env(job), &err) < 0
		? certauto__fail_with(job, &err)
		: CERTAUTO__NEXT;
}

/* ---- order ---- */

/* The order URL cannot be had again: it is on disk before anything else is asked. */
static certauto__verdict order_read(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);
	struct certauto__problem problem;
	const char *location;
	certauto_error err;

	if (x->status < 200 || x->status > 299)
		return certauto__order_refused(job, x);
	memset(&err, 0, sizeof(err));
	memset(&problem, 0, sizeof(problem));
	if (certauto__acme_location(job, x, &location, &err) < 0)
		return certauto__fail_with(job, &err);
	certauto__fact_set(job, "order", location);
	certauto__fact_set(job, ".fresh", "1");
	certauto__save_now(job);
	if (mirror_url(order, location) < 0)
		return certauto__fail(
			job, CERTAUTO_ENOMEM, NULL, "%s", certauto_error_text(CERTAUTO_ENOMEM));
	if (order_take(job, x, &problem, &err) < 0)
		return certauto__fail_with(job, &err);
	return status_of(job) == CERTAUTO_ORDER_INVALID ? order_invalid(job, &problem)
							: CERTAUTO__NEXT;
}

/* ---- look ---- */

static certauto__verdict look_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);
	const char *url = certauto__fact(job, "order");

	if (status_of(job) != CERTAUTO_ORDER_NEW)
		return CERTAUTO__NEXT;
	if (url != NULL && mirror_url(order, url) < 0)
		return certauto__fail(
			job, CERTAUTO_ENOMEM, NULL, "%s", certauto_error_text(CERTAUTO_ENOMEM));
	return certauto__acme_fetch(job, x, url);
}

/* An order of an earlier run may have gone: then a new one is made, once. */
static certauto__verdict order_anew(certauto_job *job, const char *why)
{
	certauto_order *order = certauto__job_env(job);

	certauto__progress(
		job, order->names.items[0], "the order of an earlier run %s: ordering anew", why);
	certauto__order_forget(job);
	return certauto__goto(job, "abandoned");
}

/* The names are valid, yet the order is not ready: CAs that work on several machines need a
 * moment. */
static certauto__verdict look_again(certauto_job *job, const certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);

	forget_status(job);
	if (certauto__step_age_ms(job) > FINALIZE_LIMIT_MS)
		return certauto__acme_undecided(job, order->names.items[0]);
	return certauto__acme_poll(job, x, order->names.items[0]);
}

/* The certificate of the order will be, or is, for the key of another request. */
static int is_of_another(const certauto_job *job, int status)
{
	const char *request = certauto__fact_own(job, "request");
	char hex[65];

	return request != NULL &&
		(status == CERTAUTO_ORDER_PROCESSING || status == CERTAUTO_ORDER_VALID) &&
		request_digest(hex, certauto__job_env(job)) == 0 &&
		strcmp(request, hex) != 0;
}

static certauto__verdict look_read(certauto_job *job, certauto__exchange *x)
{
	int fresh = certauto__fact_own(job, ".fresh") != NULL;
	struct certauto__problem problem;
	certauto_error err;

	if (x->status < 200 || x->status > 299) {
		if (!fresh && (x->status == 404 || x->status == 410))
			return order_anew(job, "is gone");
		/* The CA knows the account (peer.c has asked it if there was a doubt): it is the
		 * order that was made by another one. */
		if (!fresh && certauto__acme_says(x, "unauthorized"))
			return order_anew(job, "is not this account's");
		return certauto__fail_with(job, &x->error);
	}
	memset(&err, 0, sizeof(err));
	memset(&problem, 0, sizeof(problem));
	if (order_take(job, x, &problem, &err) < 0)
		return certauto__fail_with(job, &err);
	if (status_of(job) == CERTAUTO_ORDER_INVALID) {
		if (fresh)
			return order_invalid(job, &problem);
		certauto__problem_free(&problem);
		certauto__fact_set(job, "spare", certauto__fact_own(job, "order"));
		return order_anew(job, "is invalid");
	}
	if (is_of_another(job, status_of(job)))
		return order_anew(job, "was finalized with another request");
	if (status_of(job) == CERTAUTO_ORDER_PENDING &&
	    certauto__fact_own(job, ".authorized") != NULL)
		return look_again(job, x);
	return CERTAUTO__NEXT;
}

/* ---- authorizations ---- */

/* Borrowed envs: children never outlive their parent, which holds the order. */
static certauto__verdict authz_start(certauto_job *job, const char *urls)
{
	certauto_order *order = certauto__job_env(job);
	certauto__list list = {NULL, 0, 0};
	certauto__verdict verdict = CERTAUTO__JOIN;
	size_t i;

	/* A DNS service may take long for each change; what is too much at once is held back by
	 * each peer. */
	certauto__children_par(job, AUTHZ_PAR);
	if (certauto__list_split(&list, urls, '\n') < 0)
		verdict = certauto__fail(
			job, CERTAUTO_ENOMEM, NULL, "%s", certauto_error_text(CERTAUTO_ENOMEM));
	for (i = 0; i < list.n && verdict == CERTAUTO__JOIN; i++)
		if (certauto__child_start(job, &certauto__authz_table, list.items[i], order, NULL,
				certauto__job_peer(job), 0) == NULL)
			verdict = CERTAUTO__FAILED;
	certauto__list_free(&list);
	return verdict;
}

/* How many authorizations there are only the CA knows: a plan takes one for each name. */
static certauto__verdict authz_plan(certauto_job *job)
{
	certauto_order *order = certauto__job_env(job);
	certauto_job *child;
	size_t i;

	for (i = 0; i < order->names.n; i++) {
		child = certauto__child_start(job, &certauto__authz_table, order->names.items[i],
			order, NULL, certauto__job_peer(job), 0);
		if (child == NULL)
			return CERTAUTO__FAILED;
		certauto__fact_set(child, "name", order->names.items[i]);
	}
	return CERTAUTO__JOIN;
}

static certauto__verdict authz_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__planning(job))
		return authz_plan(job);
	if (status_of(job) != CERTAUTO_ORDER_PENDING)
		return CERTAUTO__NEXT;
	certauto__children_drop(job, &certauto__authz_table);
	return authz_start(job, certauto__fact_own(job, ".authz"));
}

/* A name the CA has said no to takes the order with it. What is pending of the others is spare. */
static void give_up(certauto_job *job)
{
	certauto__list urls = {NULL, 0, 0};
	const certauto_job *child;
	size_t i;
	int rejected = 0, rc = 0;

	for (i = 0; (child = certauto__child(job, &certauto__authz_table, i)) != NULL; i++) {
		if (certauto__fact_own(child, ".rejected") != NULL)
			rejected = 1;
		else if (certauto__child_result(child) < 0 && rc == 0)
			rc = certauto__list_add_text(&urls, certauto__job_key(child));
	}
	if (rejected && urls.n > 0 && rc == 0 &&
	    certauto__order_set_urls(job, ".spare", &urls) == 0)
		certauto__fact_set(job, "spare", certauto__fact_own(job, "order"));
	if (rejected)
		certauto__order_forget(job);
	certauto__list_free(&urls);
}

static certauto__verdict authz_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__children_errors(job, &certauto__authz_table) > 0) {
		give_up(job);
		return CERTAUTO__FAILED;
	}
	/* It is ready as soon as all names are valid (RFC 8555 7.1.6): looking would only cost a
	 * request. */
	certauto__fact_set(job, ".authorized", "1");
	set_status(job, CERTAUTO_ORDER_READY);
	return CERTAUTO__NEXT;
}

/* ---- finalize ---- */

/* Which request the order is finalized with: it may be another one when the order is taken up. */
static int request_note(certauto_job *job)
{
	char hex[65];
	int rc = request_digest(hex, certauto__job_env(job));

	if (rc == 0)
		certauto__fact_set(job, "request", hex);
	return rc;
}

static certauto__verdict finalize_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);
	certauto__buffer payload = CERTAUTO__BUFFER(128 * 1024), csr = CERTAUTO__BUFFER(128 * 1024);
	certauto__verdict verdict;
	const unsigned char *der;
	certauto__json w;
	size_t len;

	if (!certauto__planning(job) && status_of(job) != CERTAUTO_ORDER_READY)
		return CERTAUTO__NEXT;
	der = certauto__req_der(order->req, &len);
	payload.rc = certauto__base64url_encode(&csr, der, len);
	if (payload.rc == 0)
		payload.rc = request_note(job);
	certauto__json_start(&w, &payload, 0);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "csr", certauto__buffer_text(&csr));
	certauto__json_object_end(&w);
	certauto__progress(
		job, order->names.items[0], "all names are validated: asking for the certificate");
	verdict = certauto__acme_post(job, x, certauto__fact(job, "finalize"), &payload);
	certauto__buffer_free(&csr);
	return verdict;
}

/* A refusal may mean that an earlier attempt has arrived, or that the CA needs a moment: the
 * order itself decides. Refused twice while it is ready, it is the CA's answer. */
static certauto__verdict finalize_refused(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".refused") != NULL)
		return certauto__fail_with(job, &x->error);
	certauto__fact_set(job, ".refused", "1");
	forget_status(job);
	return certauto__goto(job, "look");
}

static certauto__verdict finalize_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__problem problem;
	certauto_error err;

	if (x->status < 200 || x->status > 299)
		return finalize_refused(job, x);
	memset(&err, 0, sizeof(err));
	memset(&problem, 0, sizeof(problem));
	if (order_take(job, x, &problem, &err) < 0)
		return certauto__fail_with(job, &err);
	certauto__acme_note_pause(job, x);
	if (status_of(job) == CERTAUTO_ORDER_INVALID)
		return order_invalid(job, &problem);
	/* Accepted, even where the answer still says "ready". */
	if (status_of(job) != CERTAUTO_ORDER_VALID)
		set_status(job, CERTAUTO_ORDER_PROCESSING);
	return CERTAUTO__NEXT;
}

/* ---- poll ---- */

static certauto__verdict poll_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);

	if (!certauto__planning(job)) {
		if (status_of(job) == CERTAUTO_ORDER_VALID)
			return CERTAUTO__NEXT;
		if (certauto__step_age_ms(job) > FINALIZE_LIMIT_MS)
			return certauto__acme_undecided(job, order->names.items[0]);
		if (certauto__step_attempts(job) == 1)
			return certauto__acme_poll(job, x, order->names.items[0]);
	}
	return certauto__acme_fetch(job, x, certauto__fact(job, "order"));
}

static certauto__verdict poll_read(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);
	struct certauto__problem problem;
	certauto_error err;

	memset(&err, 0, sizeof(err));
	memset(&problem, 0, sizeof(problem));
	if (order_take(job, x, &problem, &err) < 0)
		return certauto__fail_with(job, &err);
	if (status_of(job) == CERTAUTO_ORDER_INVALID)
		return order_invalid(job, &problem);
	if (status_of(job) == CERTAUTO_ORDER_VALID)
		return CERTAUTO__NEXT;
	return certauto__acme_poll(job, x, order->names.items[0]);
}

/* ---- the table ---- */

static int order_revive(certauto_job *job, const char *table, const char *key,
	const struct certauto__table **table_out, void **env_out, certauto__peer **peer_out)
{
	(void)key;
	(void)peer_out; /* what is taken back is the target's: the CA is not asked */
	if (strcmp(table, certauto__authz_table.name) != 0)
		return CERTAUTO_ENOTFOUND;
	*table_out = &certauto__authz_table;
	*env_out = certauto__job_env(job);
	return 0;
}

static const struct certauto__step order_steps[] = {
	{.name = "leftovers", .ask = leftovers_ask},
	{.name = "check", .ask = check_ask, .flags = CERTAUTO__READS},
	{.name = "limits", .ask = certauto__order_limits_ask, .flags = CERTAUTO__READS},
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "profile", .ask = certauto__order_profile_ask, .flags = CERTAUTO__READS},
	{.name = "account", .ask = certauto__acme_account_ask},
	{.name = "abandoned",
		.ask = certauto__spare_look_ask,
		.read = certauto__spare_look_read,
		.flags = CERTAUTO__READS | CERTAUTO__ANYHOW},
	{.name = "spare", .ask = certauto__spare_ask, .read = certauto__spare_read},
	{.name = "order",
		.ask = certauto__order_ask,
		.read = order_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "look",
		.ask = look_ask,
		.read = look_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
	{.name = "authorizations",
		.ask = authz_ask,
		.read = authz_read,
		.undo = certauto__spare_undo,
		.undo_read = certauto__spare_read},
	{.name = "finalize", .ask = finalize_ask, .read = finalize_read, .flags = CERTAUTO__ERRORS},
	{.name = "poll", .ask = poll_ask, .read = poll_read, .flags = CERTAUTO__READS},
	{.name = "download",
		.ask = certauto__download_ask,
		.read = certauto__download_read,
		.flags = CERTAUTO__READS},
	{.name = "alternates",
		.ask = certauto__alternates_ask,
		.read = certauto__alternates_read,
		.flags = CERTAUTO__READS | CERTAUTO__ANYHOW,
		.each = certauto__alternates_each},
	{.name = "chain", .ask = certauto__chain_ask, .flags = CERTAUTO__READS},
};

const struct certauto__table certauto__order_table = {
	.name = "acme-order",
	.steps = order_steps,
	.n_steps = sizeof(order_steps) / sizeof(order_steps[0]),
	.flags = CERTAUTO__TABLE_KEEP,
	.revive = order_revive,
	.failed = certauto__order_failed,
};
