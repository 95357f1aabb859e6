/* SPDX-License-Identifier: Apache-2.0 */
/* What may be asked of an account that is there: to be read, changed, closed, to list its orders
 * (RFC 8555 7.1.2, 7.3.2, 7.3.6). None of these makes an account. */
#include "acme/peer.h"

#include <string.h>

#include "core/memory.h"
#include "json/writer.h"

#define PAGES_MAX 1000
#define ORDERS_MAX 100000

/* ---- steps of several verbs ---- */

static certauto__verdict told_read(certauto_job *job, certauto__exchange *x)
{
	const char *data;
	certauto_error err;
	size_t len;

	memset(&err, 0, sizeof(err));
	if (certauto__acme_body(x, "application/json", &data, &len, &err) < 0 ||
	    certauto__acme_account_told(
		    job, x, certauto__acme_of(job)->account->url, &err) < 0)
		return certauto__fail_with(job, &err);
	return CERTAUTO__NEXT;
}

static certauto__verdict fetch_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__acme_fetch(job, x, certauto__acme_of(job)->account->url);
}

/* Whether the key is still the account's has been asked when this comes (peer.c). */
static certauto__verdict fetch_read(certauto_job *job, certauto__exchange *x)
{
	const certauto_account *account = certauto__acme_of(job)->account;

	if (x->status >= 200 && x->status <= 299)
		return told_read(job, x);
	if (certauto__acme_says(x, "unauthorized")) {
		certauto__error_prefix(&x->error,
			"the account %s was deactivated or revoked, or this key is not its own",
			account->url);
		certauto__acme_advise_gone(account, &x->error);
	}
	return certauto__fail_with(job, &x->error);
}

/* Enters, starts a job of table, leaves: what the start_ form of each verb is. */
static int start_verb(certauto_job **out, certauto_account *account,
	const struct certauto__table *table, void (*ended)(certauto_job *job, void *account),
	int deadline_ms)
{
	struct certauto__start start = {.table = table, .ended = ended, .ended_arg = account};
	int rc;

	if ((rc = certauto__account_enter(account)) < 0)
		return rc;
	rc = certauto__account_start(out, account, &start, deadline_ms);
	return certauto__leave(account->object.cx, rc);
}

/* ---- fetch ---- */

static const struct certauto__step fetch_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "account", .ask = certauto__acme_find_ask},
	{.name = "fetch", .ask = fetch_ask, .read = fetch_read, .flags = CERTAUTO__ERRORS},
};

static const struct certauto__table fetch_table = {
	.name = "account-fetch",
	.steps = fetch_steps,
	.n_steps = sizeof(fetch_steps) / sizeof(*fetch_steps),
};

int certauto_account_start_fetch(certauto_job **out, certauto_account *account, int deadline_ms)
{
	return start_verb(out, account, &fetch_table, NULL, deadline_ms);
}

int certauto_account_fetch(certauto_account *account, int timeout_ms)
{
	return certauto__account_run(account, certauto_account_start_fetch, timeout_ms);
}

/* ---- update ---- */

static certauto__verdict update_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_account *account = certauto__acme_of(job)->account;
	certauto__buffer payload = CERTAUTO__BUFFER(64 * 1024);
	certauto__json w;

	certauto__json_start(&w, &payload, 0);
	certauto__json_object(&w);
	certauto__json_put_list(&w, "contact", &account->contacts);
	if (account->agree_tos)
		certauto__json_put_bool(&w, "termsOfServiceAgreed", 1);
	certauto__json_object_end(&w);
	return certauto__acme_post(job, x, account->url, &payload);
}

static const struct certauto__step update_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "account", .ask = certauto__acme_find_ask},
	{.name = "update", .ask = update_ask, .read = told_read},
};

static const struct certauto__table update_table = {
	.name = "account-update",
	.steps = update_steps,
	.n_steps = sizeof(update_steps) / sizeof(*update_steps),
};

int certauto_account_start_update(certauto_job **out, certauto_account *account, int deadline_ms)
{
	return start_verb(out, account, &update_table, NULL, deadline_ms);
}

int certauto_account_update(certauto_account *account, int timeout_ms)
{
	return certauto__account_run(account, certauto_account_start_update, timeout_ms);
}

/* ---- deactivate ---- */

static certauto__verdict leave_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__acme_of(job)->leaving = 1;
	return certauto__acme_find_ask(job, x);
}

static void leave_ended(certauto_job *job, void *account)
{
	struct certauto__acme *acme = ((certauto_account *)account)->peer->state;

	(void)job;
	acme->leaving = 0;
}

static certauto__verdict deactivate_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer payload = CERTAUTO__BUFFER(64);

	if (certauto__acme_is_gone(certauto__acme_of(job)))
		return CERTAUTO__NEXT;
	certauto__buffer_text_add(&payload, "{\"status\":\"deactivated\"}");
	return certauto__acme_post(job, x, certauto__acme_of(job)->account->url, &payload);
}

/* The answer to the first request may have been lost: then it is closed, and what comes after is
 * refused. */
static certauto__verdict deactivate_read(certauto_job *job, certauto__exchange *x)
{
	if (x->status >= 200 && x->status <= 299)
		return told_read(job, x);
	return certauto__acme_is_gone(certauto__acme_of(job)) ? CERTAUTO__NEXT
							      : certauto__fail_with(job, &x->error);
}

/* The trace stays, so that no later run makes a new account unasked. */
static certauto__verdict trace_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_error err;

	(void)x;
	memset(&err, 0, sizeof(err));
	if (!certauto__acme_is_gone(acme))
		return certauto__fail(job, CERTAUTO_EPROTO, acme->account->url,
			"the CA has taken the deactivation of %s, and does not show it",
			acme->account->url);
	return certauto__acme_save(acme, &err) < 0 ? certauto__fail_with(job, &err)
						   : CERTAUTO__NEXT;
}

static const struct certauto__step deactivate_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "account", .ask = leave_ask},
	{.name = "deactivate",
		.ask = deactivate_ask,
		.read = deactivate_read,
		.flags = CERTAUTO__ERRORS},
	{.name = "trace", .ask = trace_ask},
};

static const struct certauto__table deactivate_table = {
	.name = "account-deactivate",
	.steps = deactivate_steps,
	.n_steps = sizeof(deactivate_steps) / sizeof(*deactivate_steps),
};

int certauto_account_start_deactivate(
	certauto_job **out, certauto_account *account, int deadline_ms)
{
	return start_verb(out, account, &deactivate_table, leave_ended, deadline_ms);
}

int certauto_account_deactivate(certauto_account *account, int timeout_ms)
{
	return certauto__account_run(account, certauto_account_start_deactivate, timeout_ms);
}

/* ---- list of orders ---- */

static certauto__verdict page_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_account *account = certauto__acme_of(job)->account;
	const char *page = certauto__fact_own(job, ".page");

	if (account->orders_url == NULL)
		return certauto__fail(job, CERTAUTO_EUNSUPPORTED, account->server,
			"%s keeps no list of an account's orders", account->server);
	if (page == NULL)
		certauto__list_free(&account->orders);
	return certauto__acme_fetch(job, x, page != NULL ? page : account->orders_url);
}

/* Brent's way to find a circle: the page of every power of two is remembered until the next. */
static int page_next(certauto_job *job, const char *next, certauto_error *err)
{
	const certauto_account *account = certauto__acme_of(job)->account;
	int64_t n = certauto__fact_number(job, ".pages", 0) + 1;
	const char *mark = certauto__fact_own(job, ".mark");
	int rc;

	if ((rc = certauto__url_check(next, account->server, &account->allow_hosts, err)) < 0)
		return rc;
	if (certauto__text_equal(next, mark != NULL ? mark : account->orders_url))
		return certauto__error_set(err, CERTAUTO_EPROTO, account->orders_url,
			"the list of orders %s leads back to %s", account->orders_url, next);
	if (n >= PAGES_MAX || account->orders.n > ORDERS_MAX)
		return certauto__error_set(err, CERTAUTO_EPROTO, account->orders_url,
			"the list of orders %s has more than %d pages or %d orders",
			account->orders_url, PAGES_MAX, ORDERS_MAX);
	if ((n & (n - 1)) == 0)
		certauto__fact_set(job, ".mark", next);
	certauto__fact_set(job, ".page", next);
	certauto__fact_set_number(job, ".pages", n);
	return 0;
}

static certauto__verdict page_read(certauto_job *job, certauto__exchange *x)
{
	certauto_account *account = certauto__acme_of(job)->account;
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	certauto__buffer next = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	struct certauto__origin origin = certauto__acme_origin(job, x, "orders", &what);
	const char *data;
	certauto_error err;
	size_t len;
	int rc;

	memset(&err, 0, sizeof(err));
	if ((rc = certauto__acme_body(x, "application/json", &data, &len, &err)) < 0 ||
	    (rc = certauto__orders_document_parse(&account->orders, &origin, data, len, &err)) < 0)
		goto out;
	if ((rc = certauto__transfer_link(x->transfer, "next", 0, &next)) == 0)
		rc = page_next(job, certauto__buffer_text(&next), &err);
	else if (rc != CERTAUTO_ENOTFOUND)
		certauto__error_set(&err, rc, account->orders_url,
			"%s: the link to the next page cannot be read", origin.what);
out:
	certauto__buffer_free(&what);
	certauto__buffer_free(&next);
	if (rc == 0)
		return certauto__again(job, 0);
	return rc == CERTAUTO_ENOTFOUND ? CERTAUTO__NEXT : certauto__fail_with(job, &err);
}

static const struct certauto__step orders_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "account", .ask = certauto__acme_find_ask},
	{.name = "fetch", .ask = fetch_ask, .read = fetch_read, .flags = CERTAUTO__ERRORS},
	{.name = "orders", .ask = page_ask, .read = page_read, .flags = CERTAUTO__READS},
};

static const struct certauto__table orders_table = {
	.name = "account-orders",
	.steps = orders_steps,
	.n_steps = sizeof(orders_steps) / sizeof(*orders_steps),
};

int certauto_account_start_fetch_orders(
	certauto_job **out, certauto_account *account, int deadline_ms)
{
	return start_verb(out, account, &orders_table, NULL, deadline_ms);
}

int certauto_account_fetch_orders(certauto_account *account, int timeout_ms)
{
	return certauto__account_run(account, certauto_account_start_fetch_orders, timeout_ms);
}
