/* SPDX-License-Identifier: Apache-2.0 */
/* Status, plan and results as JSON text. The shapes are promised: certauto-status(7). */

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "fleet/report.h"

#define REPORT_MAX (256 * 1024 * 1024)

static void put_time(certauto__json *w, const char *key, int64_t at)
{
	if (at != 0)
		certauto__json_put_number(w, key, at);
	else
		certauto__json_put_null(w, key);
}

/* ---- status ---- */

static void write_issued(certauto__json *w, const struct certauto__view *view)
{
	const struct certauto__cert_info *leaf;

	certauto__json_key(w, "issued");
	if (view->chain == NULL) {
		certauto__json_null(w);
		return;
	}
	leaf = certauto__certs_info(view->chain, 0);
	certauto__json_object(w);
	certauto__json_put_text(w, "generation", view->current.id);
	certauto__json_put_text(w, "serial", leaf->serial);
	certauto__json_put_text(w, "fingerprint_sha256", leaf->fingerprint);
	certauto__json_put_number(w, "not_before", leaf->not_before);
	certauto__json_put_number(w, "not_after", leaf->not_after);
	certauto__json_put_text(w, "issuer", leaf->issuer);
	certauto__json_put_text(w, "server", view->current.server);
	certauto__json_object_end(w);
}

/* What was deployed before the current generation came is not deployed now. */
static const char *shown_state(const struct certauto__view *view,
	const struct certauto__target_state *target)
{
	if (strcmp(target->state, CERTAUTO__STATE_DEPLOYED) != 0 &&
	    strcmp(target->state, CERTAUTO__STATE_UNPROVED) != 0)
		return target->state;
	return certauto__view_deployed(view, target->name) ? target->state
							   : CERTAUTO__STATE_PENDING;
}

static void write_target(certauto__json *w, const struct certauto__view *view, const char *label)
{
	const struct certauto__target_state *target = certauto__state_find(&view->state, label);

	certauto__json_object(w);
	certauto__json_put_text(w, "name", label);
	certauto__json_put_text(w, "state", target != NULL ? shown_state(view, target) :
		CERTAUTO__STATE_PENDING);
	certauto__json_put_text(w, "fingerprint_sha256",
		target != NULL ? target->fingerprint : NULL);
	put_time(w, "checked_at", target != NULL ? target->checked_at : 0);
	certauto__json_key(w, "last_error");
	certauto__error_write(w, target != NULL ? &target->error : NULL);
	certauto__json_object_end(w);
}

/* What the CA has suggested for the current certificate. */
static void write_renewal(certauto__json *w, const struct certauto__view *view)
{
	const struct certauto__renewal *renewal = &view->state.renewal;

	certauto__json_key(w, "renewal");
	if (renewal->at == 0 || !certauto__text_equal(renewal->id, view->id)) {
		certauto__json_null(w);
		return;
	}
	certauto__json_object(w);
	put_time(w, "start", renewal->start);
	put_time(w, "end", renewal->end);
	put_time(w, "at", renewal->at);
	certauto__json_put_text(w, "explanation_url", renewal->explanation_url);
	certauto__json_object_end(w);
}

static int write_lineage(certauto__json *w, const certauto_fleet *fleet,
	const struct certauto__certificate *certificate, const char *key, certauto_error *err)
{
	struct certauto__view view;
	size_t i;
	int rc;

	if ((rc = certauto__view_load(&view, fleet->store, certificate->name, key, err)) < 0)
		return rc;
	certauto__json_object(w);
	certauto__json_put_text(w, "key", key);
	write_issued(w, &view);
	put_time(w, "renew_at", certauto__view_renew_at(&view));
	write_renewal(w, &view);
	certauto__json_put_bool(w, "revoked", certauto__view_revoked(&view));
	certauto__json_key(w, "last_error");
	certauto__error_write(w, &view.state.error);
	certauto__json_key(w, "targets");
	certauto__json_array(w);
	for (i = 0; i < certificate->n_deploys; i++)
		write_target(w, &view, certificate->deploys[i].label);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
	certauto__view_free(&view);
	return 0;
}

static int write_certificate(certauto__json *w, const certauto_fleet *fleet,
	const struct certauto__certificate *certificate, certauto_error *err)
{
	size_t i;
	int rc;

	certauto__json_object(w);
	certauto__json_put_text(w, "name", certificate->name);
	certauto__json_put_list(w, "names", &certificate->names);
	certauto__json_key(w, "lineages");
	certauto__json_array(w);
	for (i = 0; i < certificate->keys.n; i++)
		if ((rc = write_lineage(w, fleet, certificate, certificate->keys.items[i], err)) <
			0)
			return rc;
	certauto__json_array_end(w);
	certauto__json_object_end(w);
	return 0;
}

/* The text for the caller of the public API. */
static int give(char **out, certauto__buffer *text, certauto_error *err)
{
	char *given = NULL;

	if (text->rc == 0)
		given = certauto__give(certauto__buffer_text(text), text->len);
	if (given == NULL)
		return certauto__error_nomem(err);
	*out = given;
	return 0;
}

static int write_certificates(certauto__json *w, const certauto_fleet *fleet,
	const char *const *names, size_t n_names, certauto_error *err)
{
	const struct certauto__certificate *certificate;
	size_t i, n = names != NULL ? n_names : fleet->n_certificates;
	int rc;

	for (i = 0; i < n; i++) {
		certificate = &fleet->certificates[i];
		if (names != NULL &&
		    (rc = certauto__fleet_named(&certificate, fleet, names[i], err)) < 0)
			return rc;
		if ((rc = write_certificate(w, fleet, certificate, err)) < 0)
			return rc;
	}
	return 0;
}

int certauto__fleet_status(char **out, const certauto_fleet *fleet, const char *const *names,
	size_t n_names, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(REPORT_MAX);
	certauto__json w;
	int rc;

	certauto__json_start(&w, &text, 0);
	certauto__json_object(&w);
	certauto__json_put_number(&w, "version", 1);
	certauto__json_key(&w, "certificates");
	certauto__json_array(&w);
	rc = write_certificates(&w, fleet, names, n_names, err);
	certauto__json_array_end(&w);
	certauto__json_object_end(&w);
	if (rc == 0)
		rc = give(out, &text, err);
	certauto__buffer_free(&text);
	return rc;
}

/* ---- plan ---- */

/* What is due, or why it is not done. why: of CERTAUTO__WHY_SIZE. */
static enum certauto__action plan_action(struct certauto__view *view,
	const struct certauto__certificate *certificate, const struct certauto__wish *wish,
	char *why)
{
	int64_t now = certauto__clock_now(), until;
	char shown[32];
	enum certauto__action action = certauto__view_action(
		view, certificate, wish, now, why, CERTAUTO__WHY_SIZE);

	if (action < CERTAUTO__RENEW)
		return action;
	if (certauto__state_stopped(&view->state, wish)) {
		(void)snprintf(why, CERTAUTO__WHY_SIZE, "given up: %s",
			certauto_error_message(&view->state.error));
		return CERTAUTO__NOTHING;
	}
	if ((until = certauto__state_blocked(&view->state, wish, now)) == 0)
		return action;
	(void)snprintf(why, CERTAUTO__WHY_SIZE, "it must wait until %s after a failure",
		certauto__clock_format(shown, sizeof(shown), until));
	return CERTAUTO__NOTHING;
}

static int plan_lineage(certauto__json *w, const certauto_fleet *fleet,
	const struct certauto__certificate *certificate, const char *key,
	const struct certauto__wish *wish, certauto_error *err)
{
	static const char *const actions[] = { "nothing", "settle", "deploy", "renew", "issue" };
	struct certauto__view view;
	enum certauto__action action;
	char why[CERTAUTO__WHY_SIZE], identity[65];
	int rc;

	if ((rc = certauto__lineage_identity(identity, certificate, key, err)) < 0 ||
	    (rc = certauto__view_load(&view, fleet->store, certificate->name, key, err)) < 0)
		return rc;
	certauto__state_configured(&view.state, identity);
	certauto__state_server(&view.state, certificate->account->server);
	action = plan_action(&view, certificate, wish, why);
	certauto__json_object(w);
	certauto__json_put_text(w, "name", certificate->name);
	certauto__json_put_text(w, "key", key);
	certauto__json_put_text(w, "action", actions[action]);
	certauto__json_put_text(w, "why", why);
	certauto__json_object_end(w);
	certauto__view_free(&view);
	return 0;
}

static int is_among(const char *const *names, size_t n_names, const char *name)
{
	size_t i;

	for (i = 0; names != NULL && i < n_names; i++)
		if (strcmp(names[i], name) == 0)
			return 1;
	return names == NULL;
}

int certauto__fleet_plan(char **out, const certauto_fleet *fleet, const char *const *names,
	size_t n_names, int forced, certauto_error *err)
{
	const struct certauto__wish wish = { .forced = forced, .named = names != NULL,
		.renew_before = fleet->renew_before };
	certauto__buffer text = CERTAUTO__BUFFER(REPORT_MAX);
	const struct certauto__certificate *certificate;
	certauto__json w;
	size_t i, j;
	int rc = 0;

	for (i = 0; names != NULL && i < n_names; i++)
		if ((rc = certauto__fleet_named(&certificate, fleet, names[i], err)) < 0)
			return rc;
	certauto__json_start(&w, &text, 0);
	certauto__json_array(&w);
	for (i = 0; i < fleet->n_certificates; i++) {
		certificate = &fleet->certificates[i];
		if (!is_among(names, n_names, certificate->name))
			continue;
		for (j = 0; j < certificate->keys.n && rc == 0; j++)
			rc = plan_lineage(&w, fleet, certificate, certificate->keys.items[j],
				&wish, err);
	}
	certauto__json_array_end(&w);
	if (rc == 0)
		rc = give(out, &text, err);
	certauto__buffer_free(&text);
	return rc;
}

/* ---- results ---- */

int certauto__fleet_results(char **out, const certauto_fleet *fleet, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(REPORT_MAX);
	const struct certauto__result *result;
	certauto__json w;
	size_t i;
	int rc;

	certauto__json_start(&w, &text, 0);
	certauto__json_array(&w);
	for (i = 0; i < fleet->n_results; i++) {
		result = &fleet->results[i];
		if (result->outcome == NULL)
			continue; /* still running */
		certauto__json_object(&w);
		certauto__json_put_text(&w, "name", result->name);
		certauto__json_put_text(&w, "key", result->key);
		certauto__json_put_text(&w, "outcome", result->outcome);
		certauto__json_key(&w, "error");
		certauto__error_write(&w, &result->error);
		certauto__json_object_end(&w);
	}
	certauto__json_array_end(&w);
	rc = give(out, &text, err);
	certauto__buffer_free(&text);
	return rc;
}
