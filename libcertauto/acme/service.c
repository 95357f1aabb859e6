/* SPDX-License-Identifier: Apache-2.0 */
/* What every conversation with a CA needs first: directory, account, nonces. Each is fetched by
 * one silent job for all comers, who are parked until it has ended; when it ends without the
 * thing, each of them fails with its reason. (Waking them to look again would be a live lock.) */
#include "acme/peer.h"

#include <stdio.h>
#include <string.h>

#include "acme/jws.h"
#include "core/clock.h"
#include "core/memory.h"
#include "json/writer.h"

#define LOCK_AGAIN_MS 200
#define LOCK_PATIENCE_MS 30000
#define CLOCK_SKEW_TOLD_S 300

/* ---- one job for all comers ---- */

static void account_unref(void *account)
{
	certauto__object_unref(account);
}

static int service_start(struct certauto__acme *acme, const struct certauto__table *table,
	void (*ended)(certauto_job *job, void *arg), certauto_error *err)
{
	struct certauto__start start;

	memset(&start, 0, sizeof(start));
	start.table = table;
	start.name = acme->account->server;
	start.env = certauto__object_ref(acme->account);
	start.env_free = account_unref;
	start.peer = acme->peer;
	start.silent = 1;
	start.ended = ended;
	start.ended_arg = acme;
	return certauto__job_start(NULL, acme->account->object.cx, &start, err);
}

static void service_tell(certauto__queue *waiting, const certauto_job *job)
{
	const certauto_error *error = certauto_job_error(job);

	if (error == NULL)
		certauto__queue_wake(waiting, SIZE_MAX);
	else
		certauto__queue_fail(waiting, error);
}

/* ---- directory ---- */

/* Certificates are judged by our clock: a wrong one is best known before they come. */
static void directory_clock(struct certauto__acme *acme, const certauto__exchange *x)
{
	const char *date = certauto__transfer_header(x->transfer, "Date", 0);
	int64_t at = date != NULL ? certauto__clock_parse_http(date) : -1;

	acme->clock_ahead_s = at >= 0 ? certauto__clock_now() - at : 0;
}

static certauto__verdict directory_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__acme_read(
		job, x, CERTAUTO__HTTP_DIRECTORY, "GET", certauto__acme_of(job)->account->server);
}

static certauto__verdict directory_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__origin origin = certauto__acme_origin(job, x, "directory", &what);
	struct certauto__directory directory;
	certauto_error err;
	const char *data;
	size_t len;
	int rc;

	memset(&err, 0, sizeof(err));
	if ((rc = certauto__acme_body(x, "application/json", &data, &len, &err)) == 0 &&
	    (rc = certauto__directory_parse(&directory, &origin, data, len, &err)) == 0) {
		certauto__directory_free(&acme->directory);
		acme->directory = directory;
		acme->directory_at_ms = certauto__clock_ms();
		directory_clock(acme, x);
		certauto__free(acme->account->terms_url);
		acme->account->terms_url = certauto__strdup(directory.terms_url);
	}
	certauto__buffer_free(&what);
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

static const struct certauto__step directory_steps[] = {
	{.name = "directory",
		.ask = directory_ask,
		.read = directory_read,
		.flags = CERTAUTO__READS},
};

static const struct certauto__table directory_table = {
	.name = "acme-directory",
	.steps = directory_steps,
	.n_steps = 1,
};

static void directory_ended(certauto_job *job, void *arg)
{
	struct certauto__acme *acme = arg;

	acme->reading = 0;
	service_tell(&acme->directory_wanted, job);
}

static void clock_tell(certauto_job *job, struct certauto__acme *acme)
{
	int64_t ahead = acme->clock_ahead_s;

	if (acme->clock_told || (ahead <= CLOCK_SKEW_TOLD_S && ahead >= -CLOCK_SKEW_TOLD_S))
		return;
	acme->clock_told = 1;
	certauto__warn(job, acme->account->server,
		"the clock of this machine is %lld s %s that of %s: certificates will be judged "
		"wrongly",
		(long long)(ahead < 0 ? -ahead : ahead), ahead < 0 ? "behind" : "ahead of",
		acme->account->server);
}

certauto__verdict certauto__acme_need_directory(certauto_job *job)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_error err;

	if (acme->directory_at_ms != 0 &&
	    certauto__clock_ms() - acme->directory_at_ms < CERTAUTO__DIRECTORY_AGE_MS) {
		clock_tell(job, acme);
		return CERTAUTO__NEXT;
	}
	memset(&err, 0, sizeof(err));
	if (!acme->reading && service_start(acme, &directory_table, directory_ended, &err) < 0)
		return certauto__fail_with(job, &err);
	acme->reading = 1;
	return certauto__park(job, &acme->directory_wanted);
}

/* ---- account ---- */

static int account_uses_store(const struct certauto__acme *acme)
{
	return acme->account->store != NULL && !acme->key_given;
}

/* Takes what the store has. A store that cannot be read stops everything: to take an account for
 * missing would make another one, until the CA locks us out. */
static int account_load(struct certauto__acme *acme, certauto_error *err)
{
	certauto_account *account = acme->account;
	certauto__secret *pem = NULL;
	char *url = NULL;
	int rc;

	if (!account_uses_store(acme) || account->pkey != NULL)
		return 0;
	rc = account->store->row->account_load(
		account->store, account->name, account->server, &pem, &url, err);
	if (rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err);
		return 0;
	}
	if (rc < 0)
		return rc;
	if ((rc = certauto__pkey_parse_own(&account->pkey, certauto__secret_data(pem),
			certauto__secret_len(pem), err)) < 0) {
		/* What is in the store is not an argument of the caller. */
		certauto__error_prefix(
			err, "the key of account \"%s\" in the store", account->name);
		if (err != NULL && err->code == CERTAUTO_EINVAL)
			rc = err->code = CERTAUTO_EIO;
	} else {
		acme->may_exist = url == NULL;
		account->url = url;
		url = NULL;
	}
	certauto__secret_free(pem);
	certauto__free(url);
	return rc;
}

int certauto__account_peer(certauto_account *account, certauto__peer **out, certauto_error *err)
{
	int rc;

	if (account->peer == NULL && (rc = certauto__acme_open(account, err)) < 0)
		return rc;
	if ((rc = account_load(account->peer->state, err)) < 0)
		return rc;
	account->peer->refs++;
	*out = account->peer;
	return 0;
}

/* Durable before the CA hears of it. */
static int account_make_key(struct certauto__acme *acme, certauto_error *err)
{
	certauto_account *account = acme->account;
	certauto__pkey *pkey = NULL;
	certauto__secret *pem = NULL;
	int rc;

	if ((rc = certauto__pkey_new(&pkey, "ecdsa-p256", err)) < 0)
		return rc;
	if (account->store != NULL &&
	    ((rc = certauto__pkey_format(&pem, pkey, err)) < 0 ||
			(rc = account->store->row->account_save_key(
			account->store, account->name, account->server, pem, err)) < 0))
		goto out;
	account->pkey = pkey;
	pkey = NULL;
out:
	certauto__secret_free(pem);
	certauto__pkey_free(pkey);
	return rc;
}

/* Two processes with one store make one account: the second finds what the first has made. */
static int account_lock(struct certauto__acme *acme, certauto_error *err)
{
	certauto_account *account = acme->account;
	char digest[65], id[96];
	int rc;

	if (!account_uses_store(acme) || acme->lock != NULL)
		return 0;
	if ((rc = certauto__sha256_hex(digest, account->server, strlen(account->server))) < 0)
		return rc;
	(void)snprintf(id, sizeof(id), "%s-%.8s", account->name, digest);
	return account->store->row->lock(account->store, "account", id, &acme->lock, err);
}

static void account_unlock(struct certauto__acme *acme)
{
	if (acme->lock != NULL)
		acme->account->store->row->unlock(acme->account->store, acme->lock);
	acme->lock = NULL;
}

static certauto__verdict key_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_error err;
	int rc;

	(void)x;
	memset(&err, 0, sizeof(err));
	rc = account_lock(acme, &err);
	if (rc == CERTAUTO_EBUSY && certauto__step_age_ms(job) < LOCK_PATIENCE_MS) {
		certauto__error_clear(&err);
		return certauto__again(job, LOCK_AGAIN_MS);
	}
	/* What was loaded before the lock was taken may be old. */
	if (rc == 0 && acme->account->pkey != NULL && acme->account->url == NULL &&
	    account_uses_store(acme)) {
		certauto__pkey_free(acme->account->pkey);
		acme->account->pkey = NULL;
	}
	if (rc == 0)
		rc = account_load(acme, &err);
	if (rc == 0 && acme->account->pkey == NULL)
		rc = account_make_key(acme, &err);
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

/* The CA has named the account: from now on requests are signed with its URL. */
static int account_known(certauto_job *job, const certauto__exchange *x, certauto_error *err)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_account *account = acme->account;
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__origin origin = certauto__acme_origin(job, x, "account", &what);
	const char *location = NULL, *data;
	size_t len;
	int valid = 1, rc;

	if ((rc = certauto__acme_location(job, x, &location, err)) < 0)
		goto out;
	data = certauto__exchange_answer(x, &len);
	if (certauto__transfer_is_type(x->transfer, "application/json") && len > 0 &&
	    (rc = certauto__account_document_parse(&valid, &origin, data, len, err)) < 0)
		goto out;
	if (!valid) {
		rc = certauto__error_set(err, CERTAUTO_EAUTH, location,
			"the account %s was deactivated or revoked", location);
		certauto__error_advise(err, "use another account key: this one cannot be revived");
		goto out;
	}
	if (account_uses_store(acme) &&
	    (rc = account->store->row->account_save_url(account->store, account->name,
			account->server, location, &account->contacts, err)) < 0)
		goto out;
	certauto__free(account->url);
	if ((account->url = certauto__strdup(location)) == NULL)
		rc = certauto__error_nomem(err);
out:
	certauto__buffer_free(&what);
	return rc;
}

static certauto__verdict account_ask(certauto_job *job, certauto__exchange *x, int only_existing)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto__buffer payload = CERTAUTO__BUFFER(64 * 1024);
	certauto__json w;

	certauto__json_start(&w, &payload, 0);
	certauto__json_object(&w);
	if (only_existing) {
		certauto__json_put_bool(&w, "onlyReturnExisting", 1);
	} else {
		if (acme->account->agree_tos)
			certauto__json_put_bool(&w, "termsOfServiceAgreed", 1);
		if (acme->account->contacts.n > 0)
			certauto__json_put_list(&w, "contact", &acme->account->contacts);
	}
	certauto__json_object_end(&w);
	return certauto__acme_post(job, x, acme->directory.new_account, &payload);
}

static certauto__verdict find_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);

	if (acme->account->url != NULL || !acme->may_exist)
		return CERTAUTO__NEXT;
	return account_ask(job, x, 1);
}

/* That there is none is an answer too. */
static certauto__verdict find_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error err;

	if (x->status < 200 || x->status > 299) {
		if (certauto__text_equal(
				x->error.problem, "urn:ietf:params:acme:error:accountDoesNotExist"))
			return CERTAUTO__NEXT;
		return certauto__fail_with(job, &x->error);
	}
	memset(&err, 0, sizeof(err));
	return account_known(job, x, &err) < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

/* What the CA is bound to refuse is not sent. */
static int register_allowed(const struct certauto__acme *acme, certauto_error *err)
{
	const struct certauto__directory *directory = &acme->directory;
	const char *server = acme->account->server;
	int rc = 0;

	if (directory->external_account_required) {
		rc = certauto__error_set(err, CERTAUTO_EUNSUPPORTED, server,
			"%s takes only accounts bound to one of its customers (external account "
			"binding)",
			server);
		certauto__error_advise(
			err, "external account binding is not supported: use another CA");
	} else if (directory->terms_url != NULL && !acme->account->agree_tos) {
		rc = certauto__error_set(err, CERTAUTO_EINVAL, server,
			"%s wants its terms of service agreed to before it makes an account: %s",
			server, directory->terms_url);
		certauto__error_advise(err,
			"read %s; to agree set \"agree_tos\": true (command line: --agree-tos)",
			directory->terms_url);
	}
	return rc;
}

static certauto__verdict register_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_error err;

	if (acme->account->url != NULL)
		return CERTAUTO__NEXT;
	memset(&err, 0, sizeof(err));
	if (register_allowed(acme, &err) < 0)
		return certauto__fail_with(job, &err);
	return account_ask(job, x, 0);
}

static certauto__verdict register_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error err;

	memset(&err, 0, sizeof(err));
	return account_known(job, x, &err) < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

static const struct certauto__step account_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "key", .ask = key_ask},
	{.name = "find", .ask = find_ask, .read = find_read, .flags = CERTAUTO__ERRORS},
	{.name = "register", .ask = register_ask, .read = register_read},
};

static const struct certauto__table account_table = {
	.name = "acme-account",
	.steps = account_steps,
	.n_steps = 4,
};

static void account_ended(certauto_job *job, void *arg)
{
	struct certauto__acme *acme = arg;

	acme->finding = 0;
	account_unlock(acme);
	service_tell(&acme->account_wanted, job);
}

certauto__verdict certauto__acme_need_account(certauto_job *job)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_error err;

	if (acme->account->url != NULL)
		return CERTAUTO__NEXT;
	memset(&err, 0, sizeof(err));
	if (!acme->finding && service_start(acme, &account_table, account_ended, &err) < 0)
		return certauto__fail_with(job, &err);
	acme->finding = 1;
	return certauto__park(job, &acme->account_wanted);
}

/* ---- nonces ---- */

static certauto__verdict nonce_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__acme_read(
		job, x, CERTAUTO__HTTP_API, "HEAD", certauto__acme_of(job)->directory.new_nonce);
}

/* The nonce itself was taken by the peer's judge, as from any other answer. */
static certauto__verdict nonce_read(certauto_job *job, certauto__exchange *x)
{
	const char *url = certauto__buffer_text(&x->url);

	if (certauto__nonce_check(certauto__transfer_header(x->transfer, "Replay-Nonce", 0)))
		return CERTAUTO__NEXT;
	return certauto__fail(job, CERTAUTO_EPROTO, url,
		"HEAD %s: the answer (HTTP %d) has no nonce", url, x->status);
}

static const struct certauto__step nonce_steps[] = {
	{.name = "nonce", .ask = nonce_ask, .read = nonce_read, .flags = CERTAUTO__READS},
};

static const struct certauto__table nonce_table = {
	.name = "acme-nonce",
	.steps = nonce_steps,
	.n_steps = 1,
};

static void nonce_ended(certauto_job *job, void *arg);

static int nonce_fetch(struct certauto__acme *acme, certauto_error *err)
{
	int rc = service_start(acme, &nonce_table, nonce_ended, err);

	if (rc == 0)
		acme->fetching++;
	return rc;
}

/* Who still waits when the last fetch is over may have counted on an answer that was cancelled. */
static void nonce_ended(certauto_job *job, void *arg)
{
	struct certauto__acme *acme = arg;
	const certauto_error *error = certauto_job_error(job);
	certauto_error err;

	acme->fetching--;
	memset(&err, 0, sizeof(err));
	if (error != NULL)
		certauto__queue_fail(&acme->nonce_wanted, error);
	else if (acme->n_nonces == 0 && acme->fetching == 0 &&
	    !certauto__queue_empty(&acme->nonce_wanted) && nonce_fetch(acme, &err) < 0)
		certauto__queue_fail(&acme->nonce_wanted, &err);
	certauto__error_clear(&err);
}

/* Each answer brings a nonce, so that as many are fetched as there are places, and no more:
 * nonces and requests in flight together fill the width. */
certauto__verdict certauto__acme_need_nonce(certauto_job *job)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if ((acme->fetching == 0 ||
			(size_t)acme->peer->in_flight + acme->fetching <= CERTAUTO__ACME_WIDTH) &&
	    nonce_fetch(acme, &err) < 0)
		return certauto__fail_with(job, &err);
	return certauto__park(job, &acme->nonce_wanted);
}

/* ---- as steps ---- */

certauto__verdict certauto__acme_directory_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__acme_need_directory(job);
}

/* A plan makes no account. */
certauto__verdict certauto__acme_account_ask(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__planning(job) ? CERTAUTO__NEXT : certauto__acme_need_account(job);
}

static const struct certauto__step register_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "account", .ask = certauto__acme_account_ask},
};

const struct certauto__table certauto__register_table = {
	.name = "register",
	.steps = register_steps,
	.n_steps = 2,
};

const struct certauto__table certauto__directory_table = {
	.name = "directory",
	.steps = register_steps,
	.n_steps = 1, /* the first of them */
};
