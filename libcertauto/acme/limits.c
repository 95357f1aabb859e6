/* SPDX-License-Identifier: Apache-2.0 */
/* "Later" as a CA says it to an account or to everybody: kept in the store, so that no later job or
 * process asks before the time told. What it says about one order is a fact of that order. */
#include "acme/peer.h"

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "json/reader.h"
#include "json/writer.h"

#define LIMITS_VERSION 1

static const char *const limit_names[CERTAUTO__LIMITS] = {"server", "newAccount"};

static void limit_clear(struct certauto__limit *limit)
{
	certauto__free(limit->reason);
	certauto__free(limit->problem);
	memset(limit, 0, sizeof(*limit));
}

void certauto__limits_free(struct certauto__limit limits[CERTAUTO__LIMITS])
{
	size_t i;

	for (i = 0; i < CERTAUTO__LIMITS; i++)
		limit_clear(&limits[i]);
}

/* ---- the file ---- */

static int limits_format(certauto__buffer *out, const struct certauto__limit *limits)
{
	certauto__json w;
	size_t i;

	certauto__json_start(&w, out, 1);
	certauto__json_object(&w);
	certauto__json_put_number(&w, "version", LIMITS_VERSION);
	for (i = 0; i < CERTAUTO__LIMITS; i++) {
		if (limits[i].until == 0)
			continue;
		certauto__json_key(&w, limit_names[i]);
		certauto__json_object(&w);
		certauto__json_put_number(&w, "until", limits[i].until);
		certauto__json_put_text(&w, "reason", limits[i].reason);
		certauto__json_put_text(&w, "problem", limits[i].problem);
		certauto__json_object_end(&w);
	}
	certauto__json_object_end(&w);
	return certauto__buffer_text_add(out, "\n");
}

static int limits_value(void *arg, const certauto__json_value *value)
{
	struct certauto__limit *limits = arg;
	size_t i = 0;

	if (value->n_parts != 2)
		return 0;
	while (i < CERTAUTO__LIMITS && strcmp(value->parts[0], limit_names[i]) != 0)
		i++;
	if (i == CERTAUTO__LIMITS)
		return 0;
	if (strcmp(value->parts[1], "until") == 0)
		return certauto__json_int(value, 0, INT64_MAX, &limits[i].until);
	if (strcmp(value->parts[1], "reason") == 0)
		return certauto__json_copy(value, &limits[i].reason);
	if (strcmp(value->parts[1], "problem") == 0)
		return certauto__json_copy(value, &limits[i].problem);
	return 0;
}

static int limits_save(const struct certauto__acme *acme, certauto_error *err)
{
	const certauto_account *account = acme->account;
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__STORE_FILE_MAX);
	size_t i, n = 0;
	int rc = 0;

	for (i = 0; i < CERTAUTO__LIMITS; i++)
		n += acme->limits[i].until != 0;
	if (n > 0 && limits_format(&text, acme->limits) < 0)
		rc = certauto__error_nomem(err);
	else if (account->store != NULL)
		rc = account->store->row->account_limits_save(account->store, account->name,
			account->server, text.data, text.len, err);
	certauto__buffer_free(&text);
	return rc;
}

/* One that has passed goes. So does one farther away than any that is kept: then the clock was
 * wrong when it was made, or is now. */
static int limits_prune(struct certauto__limit *limits)
{
	int64_t now = certauto__clock_now();
	size_t i;
	int gone = 0;

	for (i = 0; i < CERTAUTO__LIMITS; i++) {
		if (limits[i].until > now &&
		    limits[i].until <= now + CERTAUTO__RETRY_AFTER_MAX_S)
			continue;
		gone |= limits[i].until != 0;
		limit_clear(&limits[i]);
	}
	return gone;
}

/* Other processes write it too: what they have learned counts. A file that cannot be understood
 * costs a request more, so it is passed over. */
int certauto__acme_limits_load(struct certauto__acme *acme, certauto_error *err)
{
	const certauto_account *account = acme->account;
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__STORE_FILE_MAX);
	struct certauto__limit kept[CERTAUTO__LIMITS];
	int gone = limits_prune(acme->limits), rc = 0;
	size_t i;

	memset(kept, 0, sizeof(kept));
	if (account->store == NULL)
		goto out;
	if ((rc = account->store->row->account_limits_load(account->store, account->name,
		     account->server, &text, err)) < 0) {
		if (rc == CERTAUTO_ENOTFOUND) {
			certauto__error_clear(err);
			rc = 0;
		}
		goto out;
	}
	rc = certauto__json_read(limit_names[0], text.data, text.len, &certauto__json_limits_state,
		limits_value, kept, NULL);
	if (rc == CERTAUTO_ENOMEM) {
		certauto__error_nomem(err);
		goto out;
	}
	if (rc < 0)
		certauto__limits_free(kept);
	rc = 0;
	gone |= limits_prune(kept);
	for (i = 0; i < CERTAUTO__LIMITS; i++)
		if (kept[i].until > acme->limits[i].until) {
			limit_clear(&acme->limits[i]);
			acme->limits[i] = kept[i];
			memset(&kept[i], 0, sizeof(kept[i]));
		}
	if (gone)
		rc = limits_save(acme, err);
out:
	certauto__limits_free(kept);
	certauto__buffer_free(&text);
	return rc;
}

/* ---- in a conversation ---- */

void certauto__acme_limits_note(certauto_job *job, const certauto__exchange *x, int has_problem)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	const char *url = certauto__buffer_text(&x->url);
	struct certauto__limit *limit = &acme->limits[CERTAUTO__LIMIT_SERVER];
	/* Without a problem document it is no ACME server that speaks, but what stands before it:
	 * it turns away everybody. Renewal information, the one other thing that is not signed, is
	 * often served from elsewhere, and must not keep anybody from issuing. */
	int is_edge = x->scratch != NULL && x->status == 503 && !has_problem;
	certauto_error err;

	if (certauto__text_equal(url, acme->directory.new_account) && !is_edge)
		limit = &acme->limits[CERTAUTO__LIMIT_ACCOUNTS];
	else if (!certauto__text_equal(url, acme->account->server) &&
	    !certauto__text_equal(url, acme->directory.new_nonce) && !is_edge)
		return;
	limit_clear(limit);
	limit->until = x->error.retry_at;
	limit->reason = certauto__strdup(certauto_error_message(&x->error));
	limit->problem = certauto__strdup(x->error.problem);
	memset(&err, 0, sizeof(err));
	if (limits_save(acme, &err) < 0)
		certauto__warn(job, acme->account->server,
			"that the CA wants to be left alone cannot be kept for later runs: %s",
			certauto_error_message(&err));
	certauto__error_clear(&err);
}

certauto__verdict certauto__acme_limits_check(certauto_job *job, int accounts)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	const struct certauto__limit *limit = &acme->limits[CERTAUTO__LIMIT_SERVER];
	char until[32];
	certauto_error err;

	if (limit->until <= certauto__clock_now() && accounts)
		limit = &acme->limits[CERTAUTO__LIMIT_ACCOUNTS];
	if (limit->until <= certauto__clock_now())
		return CERTAUTO__NEXT;
	memset(&err, 0, sizeof(err));
	certauto__error_set(&err, CERTAUTO_ERETRY_LATER, acme->account->server,
		"%s is not asked before %s: %s", acme->account->server,
		certauto__clock_format(until, sizeof(until), limit->until),
		limit->reason != NULL ? limit->reason : "it has said so");
	certauto__error_advise(&err, "wait until the time told; asking earlier does not help");
	certauto__error_set_problem(&err, limit->problem);
	err.retry_at = limit->until;
	return certauto__fail_with(job, &err);
}
