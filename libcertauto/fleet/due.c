/* SPDX-License-Identifier: Apache-2.0 */
/* What a lineage needs now. Decided from what is kept and the clock alone, so that a plan and a run
 * come to the same answer. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/problem.h"
#include "core/clock.h"
#include "core/memory.h"
#include "fleet/run.h"

#define MINUTE 60
#define DAY (24 * 60 * 60)
#define WEEK (7 * DAY)
#define SHORT_LIFE (10 * DAY)
#define WAIT_MAX (8 * DAY) /* a week and what it is spread by; the CA's limits are cut to a week */

/* ---- the view ---- */

void certauto__lineage_name(char *out, size_t size, const struct certauto__certificate *certificate,
	const char *key)
{
	(void)snprintf(out, size, "%s%s%s", certificate->name, certificate->keys.n > 1 ? " " : "",
		certificate->keys.n > 1 ? key : "");
}

/* A name may have "-" in it; still no two lineages share an id, as no type of key is the end of
 * another. */
void certauto__lineage_id(char *out, size_t size, const char *name, const char *key)
{
	(void)snprintf(out, size, "%s-%s", name, key);
}

static int load_journaled(struct certauto__view *out, certauto_store *store, const char *name,
	const char *key, certauto_error *err)
{
	certauto__list ids = {0};
	char id[160];
	int rc;

	certauto__lineage_id(id, sizeof(id), name, key);
	if ((rc = store->row->journal_list(store, &ids, err)) == 0)
		out->journaled = certauto__list_has(&ids, id);
	certauto__list_free(&ids);
	return rc;
}

/* A certificate without one is none of the CA's renewal information. */
static int load_id(struct certauto__view *out, certauto_error *err)
{
	certauto__buffer id = CERTAUTO__BUFFER(1024);
	int rc = 0;

	if (out->chain != NULL && certauto__renewal_id(&id, out->chain, NULL) == 0 &&
	    (out->id = certauto__strdup(certauto__buffer_text(&id))) == NULL)
		rc = certauto__error_nomem(err);
	certauto__buffer_free(&id);
	return rc;
}

int certauto__view_load(struct certauto__view *out, certauto_store *store, const char *name,
	const char *key, certauto_error *err)
{
	int rc;

	memset(out, 0, sizeof(*out));
	rc = store->row->load(store, name, key, NULL, &out->current, err);
	if (rc == CERTAUTO_ENOTFOUND)
		certauto__error_clear(err);
	else if (rc < 0)
		goto out;
	else if ((rc = certauto__certs_parse(&out->chain, out->current.fullchain.data,
			  out->current.fullchain.len, 0, err)) < 0) {
		certauto__error_prefix(err, "%s %s: fullchain.pem of %s", name, key,
			out->current.id);
		if (err != NULL && rc != CERTAUTO_ENOMEM)
			err->code = rc = CERTAUTO_EIO;
		goto out;
	}
	if ((rc = load_id(out, err)) < 0 ||
	    (rc = certauto__state_load(&out->state, store, name, key, err)) < 0)
		goto out;
	rc = load_journaled(out, store, name, key, err);
out:
	if (rc < 0)
		certauto__view_free(out);
	return rc;
}

void certauto__view_free(struct certauto__view *view)
{
	certauto__generation_free(&view->current);
	certauto__certs_free(view->chain);
	certauto__free(view->id);
	certauto__state_free(&view->state);
	memset(view, 0, sizeof(*view));
}

/* ---- when ---- */

struct times {
	int64_t floor;           /* never before, unless a person wishes it */
	int64_t backstop;        /* at the latest, whatever the CA says */
	int64_t life;
};

/* The leaf alone tells: neither the order's times nor when it was made. */
static struct times times_of(const struct certauto__view *view)
{
	const struct certauto__cert_info *leaf = certauto__certs_info(view->chain, 0);
	struct times times;

	times.life = leaf->not_after - leaf->not_before;
	times.floor = leaf->not_before + times.life / 50;
	times.backstop = leaf->not_after -
		(times.life < SHORT_LIFE ? times.life / 2 : times.life / 3);
	return times;
}

/* When the CA would have it renewed; 0 = it does not say. One that says "now" whatever it is asked
 * gets its way once: then not again before a third of the life has passed. */
static int64_t suggested_at(const struct certauto__view *view, const struct times *times)
{
	const struct certauto__renewal *renewal = &view->state.renewal;
	int64_t at = renewal->at, pause = view->state.early_at + times->life / 3;

	if (at == 0 || view->id == NULL || !certauto__text_equal(renewal->id, view->id))
		return 0;
	if (at < times->floor)
		at = times->floor;
	return view->state.early_at != 0 && at < pause ? pause : at;
}

/* The CA's instant or our backstop, whichever is earlier. */
int64_t certauto__view_renew_at(const struct certauto__view *view)
{
	struct times times;
	int64_t at;

	if (view->chain == NULL)
		return 0;
	times = times_of(view);
	at = suggested_at(view, &times);
	return at != 0 && at < times.backstop ? at : times.backstop;
}

int certauto__view_is_early(const struct certauto__view *view, int64_t now)
{
	struct times times;

	if (view->chain == NULL)
		return 0;
	times = times_of(view);
	return now < times.backstop && now >= certauto__view_renew_at(view);
}

int certauto__view_revoked(const struct certauto__view *view)
{
	return view->chain != NULL && certauto__text_equal(view->state.revoked,
		certauto__certs_info(view->chain, 0)->serial);
}

int certauto__view_deployed(const struct certauto__view *view, const char *label)
{
	const struct certauto__target_state *target = certauto__state_find(&view->state, label);

	if (target == NULL || view->chain == NULL)
		return 0;
	if (strcmp(target->state, CERTAUTO__STATE_DEPLOYED) != 0 &&
	    strcmp(target->state, CERTAUTO__STATE_UNPROVED) != 0)
		return 0;
	return certauto__text_equal(target->fingerprint,
		certauto__certs_info(view->chain, 0)->fingerprint);
}

int certauto__view_unsaved(const struct certauto__view *view, const char *label)
{
	const struct certauto__target_state *target = certauto__state_find(&view->state, label);

	return target != NULL && view->chain != NULL &&
		strcmp(target->state, CERTAUTO__STATE_NOT_SAVED) == 0 &&
		certauto__text_equal(target->fingerprint,
			certauto__certs_info(view->chain, 0)->fingerprint);
}

static int same_names(const certauto__list *a, const certauto__list *b)
{
	size_t i;

	if (a->n != b->n)
		return 0;
	for (i = 0; i < a->n; i++)
		if (!certauto__list_has(b, a->items[i]))
			return 0;
	return 1;
}

int certauto__view_same_csr(const struct certauto__view *view,
	const struct certauto__certificate *certificate)
{
	certauto__req *kept = NULL;
	const unsigned char *a, *b;
	size_t a_len, b_len;
	int same = 0;

	if (certificate->csr == NULL)
		return 0;
	if (certauto__req_parse_own(&kept, view->current.csr.data, view->current.csr.len,
		    NULL) == 0) {
		a = certauto__req_der(kept, &a_len);
		b = certauto__req_der(certificate->csr, &b_len);
		same = a_len == b_len && memcmp(a, b, a_len) == 0;
	}
	certauto__req_free(kept);
	return same;
}

/* NULL, or how the place of its key differs from what is configured. */
static const char *key_moved(const struct certauto__view *view,
	const struct certauto__certificate *certificate)
{
	const char *key_on = view->current.key_on;

	if (certificate->maker == NULL)
		return key_on != NULL ? "its key is to be made here now, not by a target" : NULL;
	if (key_on == NULL)
		return "its key is to be made by a target now";
	if (strcmp(key_on, certificate->maker->label) != 0)
		return "its key is to be made by another target now";
	return NULL;
}

/* NULL, or how what is issued differs from what is configured. */
static const char *changed(const struct certauto__view *view,
	const struct certauto__certificate *certificate)
{
	if (!same_names(&view->current.names, &certificate->names))
		return "its names are not those of the configuration";
	if (!certauto__text_equal(view->current.server, certificate->account->server))
		return "it is from another CA than configured";
	/* The key of a CSR from outside is whatever that CSR has. */
	if (certificate->csr != NULL && !certauto__view_same_csr(view, certificate))
		return "the csr is another one now";
	if (view->current.profile != NULL &&
	    !certauto__text_equal(view->current.profile, certificate->profile))
		return "its profile is another one now";
	return key_moved(view, certificate);
}

/* ---- what ---- */

static enum certauto__action action_deploy(const struct certauto__view *view,
	const struct certauto__certificate *certificate, char *why, size_t why_size)
{
	size_t i;

	for (i = 0; i < certificate->n_deploys; i++) {
		if (certauto__view_deployed(view, certificate->deploys[i].label))
			continue;
		(void)snprintf(why, why_size,
			certauto__view_unsaved(view, certificate->deploys[i].label)
				? "%s serves it, but it is not saved there"
				: "not deployed to %s",
			certificate->deploys[i].label);
		return CERTAUTO__DEPLOY;
	}
	if (view->journaled) {
		(void)snprintf(why, why_size, "an earlier run left something unfinished");
		return CERTAUTO__SETTLE;
	}
	return CERTAUTO__NOTHING;
}

/* A wish does not have a certificate renewed that is hardly there: one with a life shorter than the
 * wish is far away would be renewed in each run. */
static int is_due(const struct certauto__view *view, const struct certauto__wish *wish, int64_t now,
	char *why, size_t why_size)
{
	int64_t at = certauto__view_renew_at(view);
	const char *reason = NULL, *when = "";
	char shown[32];

	(void)certauto__clock_format(shown, sizeof(shown), at);
	if (certauto__view_revoked(view)) {
		reason = "it was revoked";
	} else if (wish->forced) {
		reason = "asked for";
	} else if (now >= at) {
		reason = certauto__view_is_early(view, now) ? "the CA suggests renewal since "
							    : "due since ";
		when = shown;
	} else if (at < wish->renew_before && now >= times_of(view).floor) {
		reason = "to be renewed before it comes due at ";
		when = shown;
	}
	(void)snprintf(why, why_size, "%s%s", reason != NULL ? reason : "not due before ",
		reason != NULL ? when : shown);
	return reason != NULL;
}

enum certauto__action certauto__view_action(const struct certauto__view *view,
	const struct certauto__certificate *certificate, const struct certauto__wish *wish,
	int64_t now, char *why, size_t why_size)
{
	const char *difference;

	if (view->chain == NULL) {
		(void)snprintf(why, why_size, "never issued");
		return CERTAUTO__ISSUE;
	}
	if ((difference = changed(view, certificate)) != NULL) {
		(void)snprintf(why, why_size, "%s", difference);
		return CERTAUTO__ISSUE;
	}
	if (is_due(view, wish, now, why, why_size))
		return CERTAUTO__RENEW;
	return action_deploy(view, certificate, why, why_size);
}

/* ---- what is configured ---- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int certauto__lineage_identity(char out[65], const struct certauto__certificate *certificate,
	const char *key, certauto_error *err)
{
	const char *profile = certificate->profile;
	certauto__buffer text = CERTAUTO__BUFFER(1024 * 1024);
	certauto__list names = {0};
	const unsigned char *der;
	size_t i, len;
	int rc = 0;

	if (certauto__list_copy(&names, &certificate->names) < 0) {
		rc = CERTAUTO_ENOMEM;
		goto out;
	}
	qsort(names.items, names.n, sizeof(*names.items), compare_texts);
	certauto__buffer_printf(&text, "%s\n%s\n%s\n%s\n", key, certificate->account->server,
		certificate->account->name, profile != NULL ? profile : "");
	for (i = 0; i < names.n; i++)
		certauto__buffer_printf(&text, "%s\n", names.items[i]);
	if (certificate->maker != NULL)
		certauto__buffer_printf(&text, "key on %s\n", certificate->maker->label);
	if (certificate->csr != NULL) {
		der = certauto__req_der(certificate->csr, &len);
		certauto__buffer_add(&text, der, len);
	}
	if ((rc = text.rc) == 0)
		rc = certauto__sha256_hex(out, text.data, text.len);
out:
	certauto__list_free(&names);
	certauto__buffer_free(&text);
	return rc < 0 ? certauto__error_nomem(err) : 0;
}

/* ---- after a failure ---- */

/* 1, 10, 100 minutes, then once a day, and once a week what has failed for a week; +-10 % so that
 * a fleet does not come back in step. */
static int64_t backoff_s(int64_t failures, int64_t failing_s)
{
	int64_t s = failing_s >= WEEK	? WEEK
		: failures <= 1		? MINUTE
		: failures == 2		? 10 * MINUTE
		: failures == 3		? 100 * MINUTE
					: DAY;
	unsigned char random[4] = {0};
	uint32_t n;

	if (s >= DAY && certauto__random(random, sizeof(random), NULL) == 0) {
		memcpy(&n, random, sizeof(n));
		s += (int64_t)(n % (uint32_t)(s / 5)) - s / 10;
	}
	return s;
}

/* What the CA says of a name's proof ("unauthorized") is of the set-up, which may be mended at any
 * time; of the account it is for good. */
static int is_final(const certauto_error *error)
{
	return certauto__problem_is_final(error->problem) &&
		!(error->code == CERTAUTO_ECHALLENGE &&
			strstr(error->problem, ":unauthorized") != NULL);
}

void certauto__state_failed(struct certauto__lineage_state *state, const certauto_error *error,
	const char *identity, int64_t now)
{
	state->failures++;
	if (state->failing_since == 0)
		state->failing_since = now;
	state->retry_at = now + backoff_s(state->failures, now - state->failing_since);
	if (error->code == CERTAUTO_ERETRY_LATER && error->retry_at > now)
		state->limited_until = error->retry_at;
	state->stopped = is_final(error);
	certauto__free(state->identity);
	state->identity = certauto__strdup(identity);
	certauto__error_copy(&state->error, error);
	if (state->error.retry_at == 0 && !state->stopped)
		state->error.retry_at = state->retry_at;
}

void certauto__state_configured(struct certauto__lineage_state *state, const char *identity)
{
	if (state->identity == NULL || certauto__text_equal(state->identity, identity))
		return;
	state->stopped = 0;
	state->retry_at = 0;
}

void certauto__state_server(struct certauto__lineage_state *state, const char *server)
{
	if (state->limited_by != NULL && !certauto__text_equal(state->limited_by, server))
		state->limited_until = 0;
}

int certauto__state_stopped(const struct certauto__lineage_state *state,
	const struct certauto__wish *wish)
{
	return state->stopped && !wish->forced && !wish->named;
}

/* One farther away than any wait was kept when our clock was ahead. */
static int64_t standing(int64_t until, int64_t now)
{
	return until > now && until - now <= WAIT_MAX ? until : 0;
}

int64_t certauto__state_blocked(const struct certauto__lineage_state *state,
	const struct certauto__wish *wish, int64_t now)
{
	int64_t limit = standing(state->limited_until, now), own = standing(state->retry_at, now);

	return !wish->forced && !wish->named && own > limit ? own : limit;
}

void certauto__state_issued(struct certauto__lineage_state *state, int early, int64_t now)
{
	certauto__error_clear(&state->error);
	certauto__renewal_free(&state->renewal);
	certauto__free(state->revoked);
	certauto__free(state->no_replaces);
	certauto__free(state->identity);
	certauto__free(state->limited_by);
	state->revoked = state->no_replaces = state->identity = state->limited_by = NULL;
	state->key_compromised = state->stopped = 0;
	state->failures = state->failing_since = state->retry_at = state->limited_until = 0;
	if (early)
		state->early_at = now;
}
