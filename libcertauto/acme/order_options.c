/* SPDX-License-Identifier: Apache-2.0 */
/* What an order is asked for besides its names, and what became of each of these. */
#include "acme/order.h"

#include <string.h>

#include "acme/renewal.h"
#include "core/memory.h"
#include "crypto/objects.h"

#define PROFILE_MAX 256
#define ORDER_NAMES_MAX 100 /* no CA we know of takes more */

/* ---- the names ---- */

/* As RFC 8555 7.1.4 wants them: a wildcard stands for what it covers. */
static int check_covered(const certauto__list *names, const char *name, certauto_error *err)
{
	size_t i;

	for (i = 0; i < names->n; i++) {
		if (names->items[i] == name || !certauto__text_starts(names->items[i], "*.") ||
		    !certauto__name_match(names->items[i], name))
			continue;
		certauto__error_set(err, CERTAUTO_EINVAL, name,
			"%s is covered by %s: a CA takes only one of the two in an order", name,
			names->items[i]);
		certauto__error_advise(err, "leave %s out", name);
		return CERTAUTO_EINVAL;
	}
	return 0;
}

int certauto__order_names_check(const certauto__list *names, certauto_error *err)
{
	size_t i;
	int rc;

	if (names->n == 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the CSR has no names: an order needs at least one");
	if (names->n > ORDER_NAMES_MAX)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"%zu names: an order may have %d at most", names->n, ORDER_NAMES_MAX);
	for (i = 0; i < names->n; i++) {
		if (i > 0 && strcmp(names->items[i - 1], names->items[i]) == 0)
			return certauto__error_set(err, CERTAUTO_EINVAL, names->items[i],
				"%s is named twice", names->items[i]);
		if ((rc = check_covered(names, names->items[i], err)) < 0)
			return rc;
	}
	return 0;
}

static struct certauto__order_name *result_of(const certauto_order *order, const char *name)
{
	size_t i;

	for (i = 0; name != NULL && i < order->names.n; i++)
		if (strcmp(order->names.items[i], name) == 0)
			return &order->results[i];
	return NULL;
}

void certauto__order_name_set(
	certauto_order *order, const char *name, int status, const certauto_error *error)
{
	struct certauto__order_name *result = result_of(order, name);

	if (result == NULL)
		return;
	result->status = status;
	certauto__error_clear(&result->error);
	if (error != NULL)
		certauto__error_copy(&result->error, error);
}

void certauto__order_names_valid(certauto_order *order)
{
	size_t i;

	for (i = 0; i < order->names.n; i++)
		certauto__order_name_set(order, order->names.items[i], CERTAUTO_NAME_VALID, NULL);
}

/* One of the reasons of a refusal as an error of its own, under the name it is about. */
static void name_failed(
	certauto_order *order, const struct certauto__subproblem *sub, const certauto_error *whole)
{
	struct certauto__problem problem;
	const struct certauto__order_name *result = result_of(order, sub->name);
	certauto_error error;

	if (result == NULL || result->status == CERTAUTO_NAME_INVALID)
		return; /* its own authorization has told more */
	memset(&error, 0, sizeof(error));
	memset(&problem, 0, sizeof(problem));
	problem.type = sub->problem;
	problem.detail = sub->detail;
	certauto__problem_tell(&error,
		sub->problem == NULL || whole->code == CERTAUTO_ECHALLENGE ? whole->code : 0,
		sub->name, &problem, sub->name);
	certauto__order_name_set(order, sub->name, CERTAUTO_NAME_INVALID, &error);
	certauto__error_clear(&error);
}

/* Not all that is refused is a name: it may be the request, the profile, or the CA be at fault. */
static int is_of_names(const certauto_error *error)
{
	const struct certauto__problem problem = {.type = error->problem};

	return error->problem != NULL &&
		(error->code == CERTAUTO_ECHALLENGE ||
			certauto__problem_is(&problem, "rejectedIdentifier") ||
			certauto__problem_is(&problem, "unsupportedIdentifier"));
}

void certauto__order_names_failed(certauto_order *order, const certauto_error *error)
{
	size_t i;

	for (i = 0; i < error->n_subproblems; i++)
		name_failed(order, &error->subproblems[i], error);
	/* Of one name there is nothing else that the CA's refusal could be about. */
	if (error->n_subproblems == 0 && order->names.n == 1 && is_of_names(error) &&
	    order->results[0].status != CERTAUTO_NAME_INVALID)
		certauto__order_name_set(
			order, order->names.items[0], CERTAUTO_NAME_INVALID, error);
}

size_t certauto_order_n_names(const certauto_order *order)
{
	return order != NULL ? order->names.n : 0;
}

const char *certauto_order_name(const certauto_order *order, size_t i)
{
	return i < certauto_order_n_names(order) ? order->names.items[i] : NULL;
}

int certauto_order_name_status(const certauto_order *order, size_t i)
{
	return i < certauto_order_n_names(order) ? order->results[i].status : CERTAUTO_NAME_OPEN;
}

const certauto_error *certauto_order_name_error(const certauto_order *order, size_t i)
{
	if (i >= certauto_order_n_names(order) || order->results[i].error.code == 0)
		return NULL;
	return &order->results[i].error;
}

/* ---- what is wanted ---- */

/* 0 and the context's error is clear, or why nothing may be set now. */
static int begin(const certauto_order *order)
{
	certauto_context *cx = certauto_order_context(order);
	int rc = certauto__enter(cx);

	if (rc == 0 && order->started)
		rc = certauto__leave(cx, certauto__error_set(&cx->error, CERTAUTO_EBUSY, NULL,
						 "the order was started already"));
	return rc;
}

/* A copy of text, or nothing for NULL, in place of what was there. */
static int replace(char **at, const char *text, certauto_error *err)
{
	char *copy = NULL;

	if (text != NULL && (copy = certauto__strdup(text)) == NULL)
		return certauto__error_nomem(err);
	certauto__free(*at);
	*at = copy;
	return 0;
}

int certauto_order_set_profile(certauto_order *order, const char *profile, int required)
{
	certauto_context *cx = certauto_order_context(order);
	int rc;

	if ((rc = begin(order)) < 0)
		return rc;
	if (profile != NULL && (*profile == '\0' || strlen(profile) > PROFILE_MAX))
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"the name of a profile is 1 to %d bytes long", PROFILE_MAX);
	else if ((rc = replace(&order->profile, profile, &cx->error)) == 0)
		order->profile_required = required != 0;
	return certauto__leave(cx, rc);
}

int certauto_order_set_preferred_chain(certauto_order *order, const char *chain)
{
	certauto_context *cx = certauto_order_context(order);
	int rc;

	if ((rc = begin(order)) < 0)
		return rc;
	if (chain != NULL)
		rc = certauto__preferred_chain_check(chain, &cx->error);
	if (rc == 0)
		rc = replace(&order->preferred_chain, chain, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_order_set_replaces(certauto_order *order, const certauto_chain *chain)
{
	certauto_context *cx = certauto_order_context(order);
	certauto__buffer id = CERTAUTO__BUFFER(CERTAUTO__RENEWAL_ID_MAX);
	int rc;

	if ((rc = begin(order)) < 0)
		return rc;
	if (chain != NULL && (rc = certauto__renewal_id(&id, chain->certs, &cx->error)) ==
			CERTAUTO_EUNSUPPORTED)
		rc = cx->error.code = CERTAUTO_EINVAL;
	if (rc == 0)
		rc = replace(&order->replaces, chain != NULL ? certauto__buffer_text(&id) : NULL,
			&cx->error);
	certauto__buffer_free(&id);
	return certauto__leave(cx, rc);
}

int certauto_order_set_validity(
	certauto_order *order, int64_t not_before_at, int64_t not_after_at)
{
	certauto_context *cx = certauto_order_context(order);
	int rc;

	if ((rc = begin(order)) < 0)
		return rc;
	if (not_before_at < 0 || not_after_at < 0 ||
	    (not_after_at != 0 && not_after_at <= not_before_at)) {
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"a certificate cannot end before it begins");
	} else {
		order->not_before = not_before_at;
		order->not_after = not_after_at;
	}
	return certauto__leave(cx, rc);
}
