/* SPDX-License-Identifier: Apache-2.0 */
/* What a lineage needs now. Decided from what is kept and the clock alone, so that a plan and a run
 * come to the same answer. */

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "fleet/run.h"

#define MINUTE 60
#define DAY (24 * 60 * 60)
#define SHORT_LIFE (10 * DAY)

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
	if ((rc = certauto__state_load(&out->state, store, name, key, err)) < 0)
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
	certauto__state_free(&view->state);
	memset(view, 0, sizeof(*view));
}

/* ---- when ---- */

/* The CA's instant or our backstop, whichever is earlier; but a CA that says "now" all the time
 * must not make us ask all the time. */
int64_t certauto__view_renew_at(const struct certauto__view *view)
{
	const struct certauto__cert_info *leaf;
	int64_t life, at, floor;

	if (view->chain == NULL)
		return 0;
	leaf = certauto__certs_info(view->chain, 0);
	life = leaf->not_after - leaf->not_before;
	at = leaf->not_after - (life < SHORT_LIFE ? life / 2 : life / 3);
	if (view->state.renew_at != 0 && view->state.renew_at < at)
		at = view->state.renew_at;
	floor = leaf->not_before + life / 50;
	return at > floor ? at : floor;
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

/* The key of a CSR from outside is whatever that CSR has. */
static int same_csr(const struct certauto__view *view,
	const struct certauto__certificate *certificate)
{
	certauto__req *kept = NULL;
	const unsigned char *a, *b;
	size_t a_len, b_len;
	int same = 0;

	if (certificate->csr == NULL)
		return 1;
	if (certauto__req_parse_own(&kept, view->current.csr.data, view->current.csr.len,
		    NULL) == 0) {
		a = certauto__req_der(kept, &a_len);
		b = certauto__req_der(certificate->csr, &b_len);
		same = a_len == b_len && memcmp(a, b, a_len) == 0;
	}
	certauto__req_free(kept);
	return same;
}

/* NULL, or how what is issued differs from what is configured. */
static const char *changed(const struct certauto__view *view,
	const struct certauto__certificate *certificate)
{
	if (!same_names(&view->current.names, &certificate->names))
		return "its names are not those of the configuration";
	if (!certauto__text_equal(view->current.server, certificate->account->server))
		return "it is from another CA than configured";
	if (!same_csr(view, certificate))
		return "the csr is another one now";
	return NULL;
}

/* ---- what ---- */

static enum certauto__action action_deploy(const struct certauto__view *view,
	const struct certauto__certificate *certificate, char *why, size_t why_size)
{
	size_t i;

	for (i = 0; i < certificate->n_deploys; i++) {
		if (certauto__view_deployed(view, certificate->deploys[i].label))
			continue;
		(void)snprintf(why, why_size, "not deployed to %s", certificate->deploys[i].label);
		return CERTAUTO__DEPLOY;
	}
	if (view->journaled) {
		(void)snprintf(why, why_size, "an earlier run left something unfinished");
		return CERTAUTO__SETTLE;
	}
	return CERTAUTO__NOTHING;
}

enum certauto__action certauto__view_action(const struct certauto__view *view,
	const struct certauto__certificate *certificate, int forced, int64_t now, char *why,
	size_t why_size)
{
	int64_t at = certauto__view_renew_at(view);
	char shown[32];
	enum certauto__action action;

	if (view->chain == NULL) {
		(void)snprintf(why, why_size, "never issued");
		return CERTAUTO__ISSUE;
	}
	if (changed(view, certificate) != NULL) {
		(void)snprintf(why, why_size, "%s", changed(view, certificate));
		return CERTAUTO__ISSUE;
	}
	if (forced) {
		(void)snprintf(why, why_size, "asked for");
		return CERTAUTO__RENEW;
	}
	(void)certauto__clock_format(shown, sizeof(shown), at);
	if (now >= at) {
		(void)snprintf(why, why_size, "due since %s", shown);
		return CERTAUTO__RENEW;
	}
	action = action_deploy(view, certificate, why, why_size);
	if (action == CERTAUTO__NOTHING)
		(void)snprintf(why, why_size, "not due before %s", shown);
	return action;
}

/* ---- after a failure ---- */

/* 1, 10, 100 minutes, then once a day, +-10 % so that a fleet does not come back in step. */
static int64_t backoff_s(int64_t failures)
{
	int64_t s = failures <= 1 ? MINUTE
		: failures == 2	  ? 10 * MINUTE
		: failures == 3	  ? 100 * MINUTE
				  : DAY;
	unsigned char random[4] = {0};
	uint32_t n;

	if (s == DAY && certauto__random(random, sizeof(random), NULL) == 0) {
		memcpy(&n, random, sizeof(n));
		s += (int64_t)(n % (DAY / 5)) - DAY / 10;
	}
	return s;
}

void certauto__state_failed(struct certauto__lineage_state *state, const certauto_error *error,
	int64_t now)
{
	state->failures++;
	state->retry_at = now + backoff_s(state->failures);
	if (error->code == CERTAUTO_ERETRY_LATER && error->retry_at > now)
		state->limited_until = error->retry_at;
	certauto__error_copy(&state->error, error);
	if (state->error.retry_at == 0)
		state->error.retry_at = state->retry_at;
}
