/* SPDX-License-Identifier: Apache-2.0 */
/* What is ordered: profile, dates, what it replaces; what becomes of a wish the CA refuses; and
 * that a CA which has told when it may be asked again is not asked before. */
#include "acme/order.h"

#include <string.h>

#include "core/clock.h"
#include "json/writer.h"

/* A limit further away comes from a clock that was wrong. */
#define LIMITED_MAX_S (7 * 24 * 60 * 60)

/* ---- what the CA has said before ---- */

/* What a later run has to know of this one's end. */
void certauto__order_failed(certauto_job *job, certauto_error *error)
{
	certauto__order_names_failed(certauto__job_env(job), error);
	/* Without a status it is we who have waited long enough: nobody minds being asked again. */
	if (error->code != CERTAUTO_ERETRY_LATER || error->status == 0 || error->retry_at == 0)
		return;
	certauto__fact_set_number(job, "limited_until", error->retry_at);
	certauto__fact_set(job, "limited", certauto_error_message(error));
	certauto__fact_set(job, "limited_type", certauto_error_problem(error));
}

/* Asking a CA that has told when it may be asked again only makes it later. */
certauto__verdict certauto__order_limits_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);
	int64_t until = 0, now = certauto__clock_now();
	const char *words = certauto__fact_own(job, "limited");
	certauto_error err;

	(void)x;
	if (certauto__fact_own(job, "limited_until") == NULL)
		return CERTAUTO__NEXT;
	until = certauto__fact_number(job, "limited_until", 0);
	if (until > now && until - now <= LIMITED_MAX_S) {
		memset(&err, 0, sizeof(err));
		certauto__error_set(&err, CERTAUTO_ERETRY_LATER, order->account->server,
			"not asked again before the time told: %s",
			words != NULL ? words : "the CA has said so");
		certauto__error_set_problem(&err, certauto__fact_own(job, "limited_type"));
		err.retry_at = until;
		return certauto__fail_with(job, &err);
	}
	certauto__fact_set(job, "limited_until", NULL);
	certauto__fact_set(job, "limited", NULL);
	certauto__fact_set(job, "limited_type", NULL);
	return CERTAUTO__NEXT;
}

/* ---- profile ---- */

static void advise_profiles(const certauto_job *job, certauto_error *err)
{
	const certauto__list *profiles = &certauto__acme_of(job)->directory.profiles;
	certauto__buffer list = CERTAUTO__BUFFER(8192);
	size_t i;

	for (i = 0; i < profiles->n; i++)
		certauto__buffer_printf(&list, "%s%s", i > 0 ? ", " : "", profiles->items[i]);
	if (profiles->n > 0)
		certauto__error_advise(err, "choose one of %s", certauto__buffer_text(&list));
	else
		certauto__error_advise(err, "this CA offers no profiles: leave it out");
	certauto__buffer_free(&list);
}

/* One that is only preferred is no reason to have no certificate. */
static certauto__verdict profile_missing(certauto_job *job, certauto_error *err)
{
	const certauto_order *order = certauto__job_env(job);

	if (order->profile_required) {
		advise_profiles(job, err);
		return certauto__fail_with(job, err);
	}
	certauto__warn(job, order->names.items[0], "ordered without the profile \"%s\": %s",
		order->profile, certauto_error_message(err));
	certauto__error_clear(err);
	return CERTAUTO__NEXT;
}

/* An order of an earlier run has what it was made with: for other wishes another one is made. */
static void check_wishes(certauto_job *job)
{
	const certauto_order *order = certauto__job_env(job);
	certauto__buffer wish = CERTAUTO__BUFFER(512);

	if (order->profile != NULL || order->not_before != 0 || order->not_after != 0)
		certauto__buffer_printf(&wish, "%lld %lld %s", (long long)order->not_before,
			(long long)order->not_after, order->profile != NULL ? order->profile : "");
	if (wish.rc == 0 && !certauto__text_equal(certauto__fact_own(job, "wish"), wish.data)) {
		if (certauto__fact_own(job, "order") != NULL)
			certauto__fact_set(job, "spare", certauto__fact_own(job, "order"));
		certauto__order_forget(job);
		certauto__fact_set(job, "wish", wish.data);
		certauto__fact_set(job, "no-profile", NULL);
	}
	certauto__buffer_free(&wish);
}

certauto__verdict certauto__order_profile_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_order *order = certauto__job_env(job);
	certauto_error err;

	(void)x;
	check_wishes(job);
	certauto__fact_set(job, ".profile", NULL);
	if (order->profile == NULL || certauto__fact_own(job, "no-profile") != NULL)
		return CERTAUTO__NEXT;
	if (certauto__list_has(&certauto__acme_of(job)->directory.profiles, order->profile)) {
		certauto__fact_set(job, ".profile", order->profile);
		return CERTAUTO__NEXT;
	}
	memset(&err, 0, sizeof(err));
	certauto__error_set(&err, CERTAUTO_EREFUSED, order->account->server,
		"the CA offers no profile \"%s\"", order->profile);
	return profile_missing(job, &err);
}

/* ---- newOrder ---- */

static void put_names(certauto__json *w, const certauto__list *names)
{
	size_t i;

	certauto__json_key(w, "identifiers");
	certauto__json_array(w);
	for (i = 0; i < names->n; i++) {
		certauto__json_object(w);
		certauto__json_put_text(
			w, "type", certauto__ip_check(names->items[i]) ? "ip" : "dns");
		certauto__json_put_text(w, "value", names->items[i]);
		certauto__json_object_end(w);
	}
	certauto__json_array_end(w);
}

static void put_time(certauto__json *w, const char *key, int64_t at)
{
	char text[32];

	if (at != 0)
		certauto__json_put_text(w, key, certauto__clock_format(text, sizeof(text), at));
}

/* Only a CA that offers renewal information knows the field: others may refuse the order for it.
 * Refused once, it is not told again, in later runs neither. */
static void choose_replaces(certauto_job *job)
{
	certauto_order *order = certauto__job_env(job);

	if (order->replaces != NULL &&
	    certauto__text_equal(certauto__fact_own(job, "no-replaces"), order->replaces))
		order->replaces_refused = 1;
	certauto__fact_set(job, ".replaces",
		order->replaces_refused || certauto__acme_of(job)->directory.renewal_info == NULL
			? NULL
			: order->replaces);
}

certauto__verdict certauto__order_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);
	certauto__buffer payload = CERTAUTO__BUFFER(512 * 1024);
	certauto__json w;

	if (certauto__fact_own(job, "order") != NULL)
		return CERTAUTO__NEXT;
	choose_replaces(job);
	certauto__json_start(&w, &payload, 0);
	certauto__json_object(&w);
	put_names(&w, &order->names);
	put_time(&w, "notBefore", order->not_before);
	put_time(&w, "notAfter", order->not_after);
	if (certauto__fact_own(job, ".profile") != NULL)
		certauto__json_put_text(&w, "profile", order->profile);
	if (certauto__fact_own(job, ".replaces") != NULL)
		certauto__json_put_text(&w, "replaces", order->replaces);
	certauto__json_object_end(&w);
	certauto__progress(job, order->names.items[0], "ordering a certificate for %zu name%s",
		order->names.n, order->names.n == 1 ? "" : "s");
	return certauto__acme_post(job, x, certauto__acme_of(job)->directory.new_order, &payload);
}

/* Replaced already, another account's, unknown to this CA (RFC 9773 5): no reason to have no new
 * one. */
static int replaces_refused(const certauto__exchange *x)
{
	return x->status == 409 || x->status == 404 || x->status >= 500 ||
		certauto__acme_says(x, "malformed") ||
		(x->status == 403 &&
			(x->error.problem == NULL || certauto__acme_says(x, "unauthorized")));
}

certauto__verdict certauto__order_refused(certauto_job *job, certauto__exchange *x)
{
	certauto_order *order = certauto__job_env(job);

	if (certauto__fact_own(job, ".replaces") != NULL && replaces_refused(x)) {
		certauto__warn(job, order->names.items[0],
			"the CA does not take it as a renewal, it is ordered as a new one: %s",
			certauto_error_message(&x->error));
		certauto__fact_set(job, "no-replaces", order->replaces);
		return certauto__again(job, 0);
	}
	if (certauto__fact_own(job, ".profile") == NULL ||
	    !certauto__acme_says(x, "invalidProfile"))
		return certauto__fail_with(job, &x->error);
	if (profile_missing(job, &x->error) == CERTAUTO__FAILED)
		return CERTAUTO__FAILED;
	certauto__fact_set(job, "no-profile", "1");
	certauto__fact_set(job, ".profile", NULL);
	return certauto__again(job, 0);
}
