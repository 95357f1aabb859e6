/* SPDX-License-Identifier: Apache-2.0 */
/* Authorizations nobody will use any more: those of an order that was given up and that are still
 * pending are deactivated (RFC 8555 7.5.2), since a CA counts them. It is a courtesy: it has little
 * time, and what comes of it changes nothing. */
#include "acme/order.h"

#include <string.h>

#include "core/memory.h"

#define SPARE_MS 5000 /* for all of them: somebody waits for the reason why the order failed */

static certauto__verdict look_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__acme_fetch(job, x, certauto__job_key(job));
}

static certauto__verdict look_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__authz_document authz;
	certauto__verdict verdict = CERTAUTO__NEXT;
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (certauto__authz_take(job, x, &authz, &err) < 0)
		return certauto__fail_with(job, &err);
	if (authz.status == CERTAUTO__AUTHZ_PENDING)
		certauto__fact_set(job, ".pending", "1");
	else if (certauto__fact(job, ".why") != NULL)
		verdict = certauto__authz_why(job, &authz);
	certauto__authz_document_free(&authz);
	return verdict;
}

static certauto__verdict deactivate_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer payload = CERTAUTO__BUFFER(64);

	if (certauto__fact_own(job, ".pending") == NULL)
		return CERTAUTO__NEXT;
	certauto__buffer_text_add(&payload, "{\"status\":\"deactivated\"}");
	return certauto__acme_post(job, x, certauto__job_key(job), &payload);
}

static const struct certauto__step spare_steps[] = {
	{.name = "look", .ask = look_ask, .read = look_read, .flags = CERTAUTO__READS},
	{.name = "deactivate", .ask = deactivate_ask},
};

/* Its key is the authorization's URL. */
static const struct certauto__table spare_table = {
	.name = "acme-spare",
	.steps = spare_steps,
	.n_steps = sizeof(spare_steps) / sizeof(spare_steps[0]),
};

static certauto__verdict spare_start(certauto_job *job, const char *urls)
{
	certauto__list list = {NULL, 0, 0};
	certauto__verdict verdict = CERTAUTO__NEXT;
	struct certauto__start start;
	size_t i;

	/* Without the memory for it, it is left: the order's own error is what counts. */
	if (urls == NULL || certauto__list_split(&list, urls, '\n') < 0)
		return verdict;
	memset(&start, 0, sizeof(start));
	start.table = &spare_table;
	start.env = certauto__job_env(job);
	start.peer = certauto__job_peer(job);
	start.deadline_ms = SPARE_MS;
	for (i = 0; i < list.n; i++) {
		start.name = list.items[i];
		if (certauto__child_start_as(job, &start) != NULL)
			verdict = CERTAUTO__JOIN;
	}
	certauto__list_free(&list);
	return verdict;
}

static void spare_end(certauto_job *job)
{
	certauto__children_drop(job, &spare_table);
	/* Of an earlier run, and no longer named by the order: forgotten, as there is nothing to
	 * take back. */
	(void)certauto__children_release(job, &spare_table);
}

/* ---- steps of the order ---- */

certauto__verdict certauto__spare_reasons(certauto_job *job)
{
	const certauto_job *child;
	size_t i;

	if (certauto__fact_own(job, ".why") == NULL) {
		certauto__fact_set(job, ".why", "1");
		return spare_start(job, certauto__fact_own(job, ".spare"));
	}
	for (i = 0; (child = certauto__child(job, &spare_table, i)) != NULL; i++)
		if (certauto__fact_own(child, ".rejected") != NULL) {
			certauto__children_errors(job, &spare_table);
			return CERTAUTO__FAILED;
		}
	return CERTAUTO__NEXT;
}

/* Which ones an order of an earlier run had, it tells itself. */
certauto__verdict certauto__spare_look_ask(certauto_job *job, certauto__exchange *x)
{
	const char *url = certauto__fact_own(job, "spare");

	return url != NULL && certauto__fact_own(job, ".spare") == NULL
		? certauto__acme_fetch(job, x, url)
		: CERTAUTO__NEXT;
}

certauto__verdict certauto__spare_look_read(certauto_job *job, certauto__exchange *x)
{
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__origin origin = certauto__acme_origin(job, x, "order", &what);
	struct certauto__order_document doc;
	const char *data;
	size_t len;

	if (x->rc == 0 && x->status >= 200 && x->status <= 299 &&
	    certauto__acme_body(x, "application/json", &data, &len, NULL) == 0 &&
	    certauto__order_document_parse(&doc, &origin, data, len, NULL) == 0) {
		(void)certauto__order_set_urls(job, ".spare", &doc.authorizations);
		certauto__order_document_free(&doc);
	}
	certauto__buffer_free(&what);
	return CERTAUTO__NEXT;
}

certauto__verdict certauto__spare_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__fact_own(job, "spare") == NULL)
		return CERTAUTO__NEXT;
	return spare_start(job, certauto__fact_own(job, ".spare"));
}

certauto__verdict certauto__spare_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	spare_end(job);
	certauto__fact_set(job, "spare", NULL);
	certauto__fact_set(job, ".spare", NULL);
	return CERTAUTO__NEXT;
}

/* An order that will be gone on with keeps its authorizations. */
certauto__verdict certauto__spare_undo(certauto_job *job, certauto__exchange *x)
{
	return certauto__fact_own(job, ".spare") != NULL ? certauto__spare_ask(job, x)
							 : CERTAUTO__NEXT;
}
