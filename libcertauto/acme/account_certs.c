/* SPDX-License-Identifier: Apache-2.0 */
/* What an account does about a certificate that is there: revokes it, asks when to renew it. The
 * public face; the conversations are in revoke.c and renewal.c. */
#include <certauto/account.h>

#include <string.h>

#include "acme/peer.h"
#include "core/clock.h"
#include "core/memory.h"
#include "crypto/objects.h"

/* What a job here hangs on; its table sees the one or the other. */
struct errand {
	union {
		struct certauto__revocation revocation;
		struct certauto__renewal_question question;
	} of;
	void (*clear)(struct errand *errand);
	certauto_account *account; /* these are shared (+1) */
	certauto_chain *chain;
	certauto_key *key;         /* may be NULL */
};

static void errand_free(void *env)
{
	struct errand *errand = env;

	if (errand->clear != NULL)
		errand->clear(errand);
	certauto__object_unref(errand->account);
	certauto__object_unref(errand->chain);
	certauto__object_unref(errand->key);
	certauto__free(errand);
}

static struct errand *errand_new(
	certauto_account *account, certauto_chain *chain, certauto_key *key)
{
	struct errand *errand = certauto__alloc(sizeof(*errand));

	if (errand != NULL) {
		errand->account = certauto__object_ref(account);
		errand->chain = certauto__object_ref(chain);
		errand->key = certauto__object_ref(key);
	}
	return errand;
}

/* The errand is taken. */
static int errand_start(certauto_job **out, struct errand *errand,
	const struct certauto__table *table, void (*ended)(certauto_job *job, void *errand),
	int deadline_ms, certauto_error *err)
{
	const struct certauto__cert_info *leaf = certauto__certs_info(errand->chain->certs, 0);
	struct certauto__start start;
	int rc;

	memset(&start, 0, sizeof(start));
	if ((rc = certauto__account_peer(errand->account, &start.peer, err)) < 0) {
		errand_free(errand);
		return rc;
	}
	start.table = table;
	start.name = leaf->names->n > 0 ? leaf->names->items[0] : leaf->serial;
	start.env = errand;
	start.env_free = errand_free;
	start.deadline_ms = certauto__acme_deadline(deadline_ms);
	start.ended = ended;
	start.ended_arg = errand;
	rc = certauto__job_start(out, errand->account->object.cx, &start, err);
	certauto__peer_unref(start.peer);
	return rc;
}

static int errand_check(certauto_job **out, certauto_context *cx, const certauto_chain *chain,
	const certauto_key *key)
{
	if (out == NULL || chain == NULL)
		return certauto__error_set(
			&cx->error, CERTAUTO_EINVAL, NULL, "out and chain must be given");
	if (chain->object.cx == cx && (key == NULL || key->object.cx == cx))
		return 0;
	return certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
		"account and %s belong to two contexts", chain->object.cx != cx ? "chain" : "key");
}

/* The blocking calls are loops over a job, and may not be made where the loop runs already. */
static int errand_may_block(certauto_context *cx)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	return certauto__leave(cx, certauto__not_in_callback(cx));
}

static int errand_wait(certauto_job *job)
{
	int rc = certauto_job_wait(job, -1);

	certauto_job_free(job);
	return rc;
}

/* ---- revocation ---- */

int certauto_account_start_revoke(certauto_job **out, certauto_account *account,
	certauto_chain *chain, certauto_key *key, int reason, int deadline_ms)
{
	certauto_context *cx = certauto_account_context(account);
	struct errand *errand;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if ((rc = errand_check(out, cx, chain, key)) < 0)
		return certauto__leave(cx, rc);
	if ((errand = errand_new(account, chain, key)) == NULL)
		return certauto__leave(cx, certauto__error_nomem(&cx->error));
	errand->of.revocation.certs = chain->certs;
	errand->of.revocation.key = key != NULL ? key->pkey : NULL;
	errand->of.revocation.reason = reason;
	rc = errand_start(out, errand, &certauto__revoke_table, NULL, deadline_ms, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_account_revoke(certauto_account *account, certauto_chain *chain, certauto_key *key,
	int reason, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = errand_may_block(certauto_account_context(account))) < 0 ||
	    (rc = certauto_account_start_revoke(
		    &job, account, chain, key, reason, timeout_ms)) < 0)
		return rc;
	return errand_wait(job);
}

/* ---- renewal information ---- */

static void question_clear(struct errand *errand)
{
	certauto__free(errand->of.question.id);
	certauto__renewal_free(&errand->of.question.renewal);
}

/* The answer, or when to ask again, is the account's from now on. */
static void question_ended(certauto_job *job, void *arg)
{
	struct errand *errand = arg;
	struct certauto__renewal_question *question = &errand->of.question;

	if (certauto_job_error(job) != NULL)
		certauto__renewal_failed(&question->renewal, question->id, certauto_job_error(job),
			certauto__clock_now());
	certauto__renewal_free(&errand->account->renewal);
	errand->account->renewal = question->renewal;
	memset(&question->renewal, 0, sizeof(question->renewal));
}

static int question_fill(struct errand *errand, certauto_error *err)
{
	struct certauto__renewal_question *question = &errand->of.question;
	certauto__buffer id = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	int rc;

	errand->clear = question_clear;
	if ((rc = certauto__renewal_id(&id, errand->chain->certs, err)) < 0)
		goto out;
	question->not_after = certauto__certs_info(errand->chain->certs, 0)->not_after;
	question->required = 1;
	if (certauto__clock_now() >= question->not_after)
		rc = certauto__error_set(err, CERTAUTO_EINVAL, id.data,
			"the certificate has expired: the CA is not asked when to renew it");
	else if ((question->id = certauto__buffer_take(&id)) == NULL ||
	    certauto__renewal_copy(&question->renewal, &errand->account->renewal) < 0)
		rc = certauto__error_nomem(err);
out:
	certauto__buffer_free(&id);
	return rc;
}

int certauto_account_start_fetch_renewal(
	certauto_job **out, certauto_account *account, certauto_chain *chain, int deadline_ms)
{
	certauto_context *cx = certauto_account_context(account);
	struct errand *errand;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if ((rc = errand_check(out, cx, chain, NULL)) < 0)
		return certauto__leave(cx, rc);
	if ((errand = errand_new(account, chain, NULL)) == NULL)
		return certauto__leave(cx, certauto__error_nomem(&cx->error));
	if ((rc = question_fill(errand, &cx->error)) < 0)
		errand_free(errand);
	else
		rc = errand_start(out, errand, &certauto__renewal_table, question_ended,
			deadline_ms, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_account_fetch_renewal(
	certauto_account *account, certauto_chain *chain, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = errand_may_block(certauto_account_context(account))) < 0 ||
	    (rc = certauto_account_start_fetch_renewal(&job, account, chain, timeout_ms)) < 0)
		return rc;
	return errand_wait(job);
}

int64_t certauto_account_renewal_start_at(const certauto_account *account)
{
	return account != NULL ? account->renewal.start : 0;
}

int64_t certauto_account_renewal_end_at(const certauto_account *account)
{
	return account != NULL ? account->renewal.end : 0;
}

int64_t certauto_account_renewal_check_at(const certauto_account *account)
{
	return account != NULL ? account->renewal.check_at : 0;
}

const char *certauto_account_renewal_explanation_url(const certauto_account *account)
{
	return account != NULL ? account->renewal.explanation_url : NULL;
}
