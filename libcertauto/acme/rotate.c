/* SPDX-License-Identifier: Apache-2.0 */
/* Key rollover (RFC 8555 7.3.5). The next key is durable before the CA hears of it; while the
 * answer is out, nothing else is signed; and when it is not known, the CA is asked which account
 * the next key has, by whoever comes first. */
#include "acme/peer.h"

#include <string.h>

#include "acme/jws.h"
#include "core/memory.h"
#include "crypto/objects.h"
#include "json/writer.h"

#define DRAIN_AGAIN_MS 20

struct rotation {
	certauto_account *account;   /* shared (+1) */
	certauto_key *key;           /* wanted (+1), or NULL: one is made */
	certauto_error refused;      /* what the CA said; code 0: it has not refused */
	void *lock;                  /* of the account in the store */
	int holds;                   /* the others wait for us */
};

/* ---- the next key, in memory and store ---- */

void certauto__acme_next_free(struct certauto__acme *acme)
{
	if (acme->next_key == NULL)
		certauto__pkey_free(acme->next);
	certauto_key_free(acme->next_key);
	acme->next = NULL;
	acme->next_key = NULL;
	acme->unsettled = 0;
}

static int next_settle(struct certauto__acme *acme, int take, certauto_error *err)
{
	certauto_account *account = acme->account;
	int rc = 0;

	if (certauto__acme_keeps(acme))
		rc = account->store->row->account_next_settle(
			account->store, account->name, account->server, take, err);
	if (rc < 0)
		return rc;
	if (take) {
		certauto__account_take_key(account, acme->next, acme->next_key);
		acme->next = NULL;
		acme->next_key = NULL;
	}
	certauto__acme_next_free(acme);
	return 0;
}

certauto__verdict certauto__acme_next_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__acme_look_ask(job, x, certauto__acme_of(job)->next);
}

/* A key that has an account of its own is not ours to take. */
int certauto__acme_next_read(
	certauto_job *job, certauto__exchange *x, int *taken, certauto_error *err)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	const char *location = NULL, *url = acme->account->url;
	int take = 0, rc;

	if (x->status >= 200 && x->status <= 299) {
		if ((rc = certauto__acme_location(job, x, &location, err)) < 0)
			return rc;
		take = url == NULL || strcmp(url, location) == 0;
	} else if (!certauto__acme_says(x, "accountDoesNotExist")) {
		certauto__error_move(err, &x->error);
		return err->code;
	}
	if ((rc = next_settle(acme, take, err)) == 0)
		*taken = take;
	return rc;
}

/* ---- steps ---- */

/* Whatever has become of it: the others go on. They settle first what is not known. */
static void rotation_end(struct rotation *r)
{
	struct certauto__acme *acme = r->account->peer != NULL ? r->account->peer->state : NULL;

	if (acme == NULL)
		return;
	if (r->holds) {
		r->holds = 0;
		acme->rotating = NULL;
		acme->unsettled = acme->next != NULL;
		certauto__queue_wake(&acme->account_wanted, SIZE_MAX);
	}
	certauto__acme_unlock(acme, &r->lock);
}

static int next_keep(struct certauto__acme *acme, certauto__pkey *pkey, certauto_error *err)
{
	const certauto_account *account = acme->account;
	certauto__secret *pem = NULL;
	int rc;

	if ((rc = certauto__pkey_format(&pem, pkey, err)) == 0)
		rc = account->store->row->account_next_save(
			account->store, account->name, account->server, pem, err);
	/* One that may be anywhere else as well is taken into a handle of our own. */
	if (rc == 0)
		rc = certauto__pkey_parse_own(&acme->next, certauto__secret_data(pem),
			certauto__secret_len(pem), err);
	certauto__secret_free(pem);
	return rc;
}

static int next_make(struct certauto__acme *acme, struct rotation *r, certauto_error *err)
{
	certauto__pkey *made = NULL, *next = r->key != NULL ? r->key->pkey : NULL;
	int rc = 0;

	if (next != NULL && certauto__pkey_same(next, acme->account->pkey))
		return certauto__error_set(err, CERTAUTO_EINVAL, acme->account->name,
			"the account has this key already");
	if (!certauto__acme_keeps(acme)) {
		acme->next = next;
		acme->next_key = certauto__object_ref(r->key);
		return 0;
	}
	if (next == NULL && (rc = certauto__pkey_new(&made,
				     certauto__account_key_type(acme->account), err)) == 0)
		next = made;
	if (rc == 0)
		rc = next_keep(acme, next, err);
	certauto__pkey_free(made);
	return rc;
}

static certauto__verdict prepare_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	struct rotation *r = certauto__job_env(job);
	certauto__verdict verdict;
	certauto_error err;

	(void)x;
	if (acme->directory.key_change == NULL)
		return certauto__fail(job, CERTAUTO_EUNSUPPORTED, acme->account->server,
			"%s offers no change of an account's key", acme->account->server);
	if (acme->rotating != NULL)
		return certauto__park(job, &acme->account_wanted);
	if ((verdict = certauto__acme_lock_ask(job, &r->lock)) != CERTAUTO__NEXT)
		return verdict;
	memset(&err, 0, sizeof(err));
	/* What was loaded before the lock was taken may be old. */
	if (certauto__acme_keeps(acme) && certauto__acme_load(acme, &err) < 0)
		return certauto__fail_with(job, &err);
	if (acme->unsettled) {
		certauto__acme_unlock(acme, &r->lock);
		return certauto__goto(job, "account");
	}
	acme->rotating = job;
	r->holds = 1;
	return next_make(acme, r, &err) < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

/* What the new key signs: which account, and which key it had (RFC 8555 7.3.5). */
static int change_payload(
	certauto__buffer *out, const struct certauto__acme *acme, certauto_error *err)
{
	struct certauto__jws inner = {acme->next, NULL, NULL, acme->directory.key_change};
	certauto__buffer text = CERTAUTO__BUFFER(8 * 1024), jwk = CERTAUTO__BUFFER(8 * 1024);
	certauto__json w;
	int rc;

	if ((rc = certauto__pkey_jwk(&jwk, acme->account->pkey)) < 0) {
		rc = certauto__error_set(err, rc, NULL, "%s", certauto_error_text(rc));
		goto out;
	}
	certauto__json_start(&w, &text, 0);
	certauto__json_object(&w);
	certauto__json_put_text(&w, "account", acme->account->url);
	certauto__json_key(&w, "oldKey");
	certauto__json_raw(&w, certauto__buffer_text(&jwk));
	certauto__json_object_end(&w);
	if (text.rc < 0)
		rc = certauto__error_nomem(err);
	else
		rc = certauto__jws_add(out, &inner, text.data, text.len, err);
out:
	certauto__buffer_free(&text);
	certauto__buffer_free(&jwk);
	return rc;
}

/* Requests that are out were signed by the old key: they must arrive before this one. */
static certauto__verdict change_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto__buffer payload = CERTAUTO__BUFFER(32 * 1024);
	certauto__verdict verdict;
	certauto_error err;

	if (acme->peer->in_flight > 0)
		return certauto__again(job, DRAIN_AGAIN_MS);
	memset(&err, 0, sizeof(err));
	if (change_payload(&payload, acme, &err) < 0)
		verdict = certauto__fail_with(job, &err);
	else
		verdict = certauto__acme_post(job, x, acme->directory.key_change, &payload);
	certauto__buffer_free(&payload);
	return verdict;
}

/* A refusal may be the echo of a first request whose answer was lost: the next step asks. */
static certauto__verdict change_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	struct rotation *r = certauto__job_env(job);
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (x->status >= 200 && x->status <= 299)
		return next_settle(acme, 1, &err) < 0 ? certauto__fail_with(job, &err)
						      : CERTAUTO__NEXT;
	if (x->status == 409) {
		certauto__error_set(&r->refused, CERTAUTO_EREFUSED, acme->account->url,
			"the new key has an account of its own at %s (HTTP 409)",
			acme->account->server);
		certauto__error_set_problem(&r->refused, x->error.problem);
		certauto__error_advise(&r->refused, "use another key, or let one be made");
		r->refused.status = x->status;
	} else {
		certauto__error_move(&r->refused, &x->error);
	}
	return CERTAUTO__NEXT;
}

static certauto__verdict verify_ask(certauto_job *job, certauto__exchange *x)
{
	const struct rotation *r = certauto__job_env(job);

	return r->refused.code == 0 ? CERTAUTO__NEXT : certauto__acme_next_ask(job, x);
}

static certauto__verdict verify_read(certauto_job *job, certauto__exchange *x)
{
	struct rotation *r = certauto__job_env(job);
	certauto_error err;
	int taken = 0;

	memset(&err, 0, sizeof(err));
	if (certauto__acme_next_read(job, x, &taken, &err) < 0)
		return certauto__fail_with(job, &err);
	if (taken) {
		certauto__error_clear(&r->refused);
		return CERTAUTO__NEXT;
	}
	rotation_end(r);
	certauto__acme_of(job)->doubted = certauto__acme_may_mean_key(&r->refused);
	return CERTAUTO__NEXT;
}

/* If it was the old key that was refused, that is what is to be told. */
static certauto__verdict explain_ask(certauto_job *job, certauto__exchange *x)
{
	struct rotation *r = certauto__job_env(job);
	certauto__verdict verdict;

	if (r->refused.code == 0)
		return CERTAUTO__NEXT;
	verdict = certauto__acme_find_ask(job, x);
	return verdict == CERTAUTO__NEXT ? certauto__fail_with(job, &r->refused) : verdict;
}

static const struct certauto__step rotate_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "account", .ask = certauto__acme_find_ask},
	{.name = "prepare", .ask = prepare_ask},
	{.name = "change", .ask = change_ask, .read = change_read, .flags = CERTAUTO__ERRORS},
	{.name = "verify", .ask = verify_ask, .read = verify_read, .flags = CERTAUTO__ERRORS},
	{.name = "explain", .ask = explain_ask},
};

static const struct certauto__table rotate_table = {
	.name = "account-rotate",
	.steps = rotate_steps,
	.n_steps = sizeof(rotate_steps) / sizeof(*rotate_steps),
};

/* ---- the job ---- */

static void rotation_ended(certauto_job *job, void *arg)
{
	(void)job;
	rotation_end(arg);
}

static void rotation_free(void *env)
{
	struct rotation *r = env;

	rotation_end(r);
	certauto__error_clear(&r->refused);
	certauto_key_free(r->key);
	certauto__object_unref(r->account);
	certauto__free(r);
}

static int rotation_start(certauto_job **out, certauto_account *account, certauto_key *key,
	int deadline_ms, certauto_error *err)
{
	struct certauto__start start = {.table = &rotate_table, .env_free = rotation_free};
	struct rotation *r;

	if (key != NULL && key->object.cx != account->object.cx)
		return certauto__error_set(
			err, CERTAUTO_EINVAL, NULL, "account and key belong to two contexts");
	if (key == NULL && (account->store == NULL || account->key != NULL))
		return certauto__error_set(err, CERTAUTO_EINVAL, account->name,
			"without a store that keeps the account's key, the new key must be given");
	if ((r = certauto__alloc(sizeof(*r))) == NULL)
		return certauto__error_nomem(err);
	r->account = certauto__object_ref(account);
	r->key = certauto__object_ref(key);
	start.env = start.ended_arg = r;
	start.ended = rotation_ended;
	return certauto__account_start(out, account, &start, deadline_ms);
}

int certauto_account_start_rotate_key(
	certauto_job **out, certauto_account *account, certauto_key *key, int deadline_ms)
{
	int rc;

	if ((rc = certauto__account_enter(account)) < 0)
		return rc;
	rc = rotation_start(out, account, key, deadline_ms, &account->object.cx->error);
	return certauto__leave(account->object.cx, rc);
}

int certauto_account_rotate_key(certauto_account *account, certauto_key *key, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = certauto__account_enter(account)) < 0 ||
	    (rc = certauto__leave(account->object.cx,
		     certauto__not_in_callback(account->object.cx))) < 0 ||
	    (rc = certauto_account_start_rotate_key(&job, account, key, timeout_ms)) < 0)
		return rc;
	rc = certauto_job_wait(job, -1);
	certauto_job_free(job);
	return rc;
}
