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
		if (certauto__list_copy(&acme->account->profiles, &directory.profiles) < 0)
			rc = certauto__error_nomem(&err);
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

/* ---- account: memory and store ---- */

int certauto__acme_keeps(const struct certauto__acme *acme)
{
	return acme->account->store != NULL && !acme->key_given;
}

int certauto__acme_is_gone(const struct certauto__acme *acme)
{
	const char *status = acme->account->status;

	return status != NULL &&
		(strcmp(status, "deactivated") == 0 || strcmp(status, "revoked") == 0);
}

static int account_parse_key(
	certauto__pkey **out, const certauto_account *account, const certauto__secret *pem,
	certauto_error *err)
{
	int rc = certauto__pkey_parse_own(
		out, certauto__secret_data(pem), certauto__secret_len(pem), err);

	if (rc < 0)
		certauto__error_prefix(err, "the key of account \"%s\" in the store",
			account->name);
	if (rc == CERTAUTO_EINVAL) { /* what is in the store is not an argument of the caller */
		rc = CERTAUTO_EIO;
		if (err != NULL)
			err->code = rc;
	}
	return rc;
}

static int account_load_next(struct certauto__acme *acme, certauto_error *err)
{
	const certauto_account *account = acme->account;
	certauto__secret *pem = NULL;
	certauto__pkey *pkey = NULL;
	int rc = account->store->row->account_next_load(
		account->store, account->name, account->server, &pem, err);

	if (rc == CERTAUTO_ENOTFOUND)
		certauto__error_clear(err);
	else if (rc < 0)
		return rc;
	else if ((rc = account_parse_key(&pkey, account, pem, err)) < 0)
		goto out;
	rc = 0;
	certauto__acme_next_free(acme);
	acme->next = pkey;
	acme->unsettled = pkey != NULL;
out:
	certauto__secret_free(pem);
	return rc;
}

/* A store that cannot be read stops everything: to take an account for missing would make another
 * one, until the CA locks us out. */
int certauto__acme_load(struct certauto__acme *acme, certauto_error *err)
{
	certauto_account *account = acme->account;
	certauto__secret *pem = NULL;
	certauto__pkey *pkey = NULL;
	char *url = NULL, *status = NULL;
	int rc;

	rc = account->store->row->account_load(
		account->store, account->name, account->server, &pem, &url, &status, err);
	if (rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err);
		return 0;
	}
	if (rc < 0 || (rc = account_parse_key(&pkey, account, pem, err)) < 0 ||
	    (rc = account_load_next(acme, err)) < 0)
		goto out;
	certauto__account_take_key(account, pkey, NULL);
	pkey = NULL;
	acme->may_exist = url == NULL;
	if (url != NULL) {
		certauto__free(account->url);
		certauto__free(account->status);
		account->url = url;
		account->status = status;
		url = status = NULL;
	}
out:
	certauto__pkey_free(pkey);
	certauto__secret_free(pem);
	certauto__free(url);
	certauto__free(status);
	return rc;
}

int certauto__acme_is_stale(const struct certauto__acme *acme)
{
	const certauto_account *account = acme->account;
	certauto__secret *pem = NULL;
	certauto__pkey *pkey = NULL;
	char *url = NULL, *status = NULL;
	int stale = 0;

	if (certauto__acme_keeps(acme) &&
	    account->store->row->account_load(account->store, account->name, account->server, &pem,
		    &url, &status, NULL) == 0 &&
	    account_parse_key(&pkey, account, pem, NULL) == 0)
		stale = !certauto__pkey_same(pkey, account->pkey);
	certauto__pkey_free(pkey);
	certauto__secret_free(pem);
	certauto__free(url);
	certauto__free(status);
	return stale;
}

int certauto__account_peer(certauto_account *account, certauto__peer **out, certauto_error *err)
{
	struct certauto__acme *acme;
	int rc;

	if (account->peer == NULL && (rc = certauto__acme_open(account, err)) < 0)
		return rc;
	acme = account->peer->state;
	if (account->pkey == NULL && certauto__acme_keeps(acme) &&
	    (rc = certauto__acme_load(acme, err)) < 0)
		return rc;
	if ((rc = certauto__acme_limits_load(acme, err)) < 0)
		return rc;
	account->peer->refs++;
	*out = account->peer;
	return 0;
}

int certauto__acme_save(struct certauto__acme *acme, certauto_error *err)
{
	const certauto_account *account = acme->account;

	if (!certauto__acme_keeps(acme))
		return 0;
	return account->store->row->account_save_url(account->store, account->name,
		account->server, account->url, account->status, &account->contacts, err);
}

/* Durable before the CA hears of it. */
static int account_make_key(struct certauto__acme *acme, certauto_error *err)
{
	certauto_account *account = acme->account;
	certauto__pkey *pkey = NULL;
	certauto__secret *pem = NULL;
	int rc;

	if ((rc = certauto__pkey_new(&pkey, certauto__account_key_type(account), err)) < 0)
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
int certauto__acme_lock(struct certauto__acme *acme, void **lock, certauto_error *err)
{
	certauto_account *account = acme->account;
	char digest[65], id[96];
	int rc;

	if (!certauto__acme_keeps(acme) || *lock != NULL)
		return 0;
	if ((rc = certauto__sha256_hex(digest, account->server, strlen(account->server))) < 0)
		return rc;
	(void)snprintf(id, sizeof(id), "%s-%.8s", account->name, digest);
	return account->store->row->lock(account->store, "account", id, lock, err);
}

void certauto__acme_unlock(struct certauto__acme *acme, void **lock)
{
	if (*lock != NULL)
		acme->account->store->row->unlock(acme->account->store, *lock);
	*lock = NULL;
}

certauto__verdict certauto__acme_lock_ask(certauto_job *job, void **lock)
{
	certauto_error err;
	int rc;

	memset(&err, 0, sizeof(err));
	rc = certauto__acme_lock(certauto__acme_of(job), lock, &err);
	if (rc == CERTAUTO_EBUSY && certauto__step_age_ms(job) < LOCK_PATIENCE_MS) {
		certauto__error_clear(&err);
		return certauto__again(job, LOCK_AGAIN_MS);
	}
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

/* ---- account: at the CA ---- */

int certauto__acme_advise_gone(const certauto_account *account, certauto_error *err)
{
	return certauto__error_advise(err,
		"an account cannot be revived; to begin with a new one, move its files (accounts/"
		"%s-... in the state folder) away, or use another account key",
		account->name);
}

static int account_gone(const certauto_account *account, certauto_error *err)
{
	certauto__error_set(err, CERTAUTO_EAUTH, account->url,
		"the account %s was deactivated or revoked (it is \"%s\")", account->url,
		account->status);
	return certauto__acme_advise_gone(account, err);
}

certauto__verdict certauto__acme_look_ask(
	certauto_job *job, certauto__exchange *x, const certauto__pkey *key)
{
	certauto__buffer payload = CERTAUTO__BUFFER(64);

	certauto__buffer_text_add(&payload, "{\"onlyReturnExisting\":true}");
	return certauto__acme_post_as(
		job, x, certauto__acme_of(job)->directory.new_account, &payload, key);
}

int certauto__acme_account_told(
	certauto_job *job, const certauto__exchange *x, const char *url, certauto_error *err)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_account *account = acme->account;
	certauto__buffer what = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__origin origin = certauto__acme_origin(job, x, "account", &what);
	struct certauto__account_document document = {NULL, 1, {0}, NULL};
	const char *data;
	char *copy = NULL;
	size_t len;
	int changed, rc = 0;

	data = certauto__exchange_answer(x, &len);
	if (certauto__transfer_is_type(x->transfer, "application/json") && len > 0 &&
	    (rc = certauto__account_document_parse(&document, &origin, data, len, err)) < 0)
		goto out;
	if ((copy = certauto__strdup(url)) == NULL) {
		rc = certauto__error_nomem(err);
		goto out;
	}
	changed = !certauto__text_equal(account->url, url) ||
		!certauto__text_equal(account->status, document.status);
	certauto__free(account->url);
	account->url = copy;
	certauto__account_take_document(account, &document);
	acme->proved = 1;
	acme->doubted = 0;
	if (changed && (rc = certauto__acme_save(acme, err)) < 0)
		goto out;
	if (certauto__acme_is_gone(acme) && !acme->leaving)
		rc = account_gone(account, err);
out:
	certauto__account_document_free(&document);
	certauto__buffer_free(&what);
	return rc;
}

static int account_found(certauto_job *job, const certauto__exchange *x, certauto_error *err)
{
	const char *location = NULL;
	int rc;

	if ((rc = certauto__acme_location(job, x, &location, err)) < 0)
		return rc;
	return certauto__acme_account_told(job, x, location, err);
}

static certauto__verdict key_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto__verdict verdict = certauto__acme_lock_ask(job, &acme->lock);
	certauto_error err;
	int rc = 0;

	(void)x;
	if (verdict != CERTAUTO__NEXT)
		return verdict;
	memset(&err, 0, sizeof(err));
	/* What was loaded before the lock was taken may be old. */
	if (certauto__acme_keeps(acme))
		rc = certauto__acme_load(acme, &err);
	if (rc == 0 && acme->account->pkey == NULL && acme->making)
		rc = account_make_key(acme, &err);
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

static certauto__verdict settle_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__acme_of(job)->next == NULL ? CERTAUTO__NEXT
						    : certauto__acme_next_ask(job, x);
}

static certauto__verdict settle_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error err;
	int taken = 0, rc;

	memset(&err, 0, sizeof(err));
	if ((rc = certauto__acme_next_read(job, x, &taken, &err)) == 0 && taken)
		rc = account_found(job, x, &err);
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

static int account_bind(certauto__json *w, const struct certauto__acme *acme, certauto_error *err)
{
	const certauto_account *account = acme->account;
	certauto__buffer binding = CERTAUTO__BUFFER(16 * 1024);
	int rc = certauto__jws_add_binding(&binding,
		account->eab_alg != NULL ? account->eab_alg : "HS256", account->eab_kid,
		account->eab_key, acme->directory.new_account, account->pkey, err);

	if (rc == 0) {
		certauto__json_key(w, "externalAccountBinding");
		certauto__json_raw(w, certauto__buffer_text(&binding));
	}
	certauto__buffer_free(&binding);
	return rc;
}

static certauto__verdict account_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto__buffer payload = CERTAUTO__BUFFER(64 * 1024);
	certauto__json w;
	certauto_error err;

	memset(&err, 0, sizeof(err));
	certauto__json_start(&w, &payload, 0);
	certauto__json_object(&w);
	if (acme->account->agree_tos)
		certauto__json_put_bool(&w, "termsOfServiceAgreed", 1);
	if (acme->account->contacts.n > 0)
		certauto__json_put_list(&w, "contact", &acme->account->contacts);
	if (acme->account->eab_key != NULL && account_bind(&w, acme, &err) < 0) {
		certauto__buffer_free(&payload);
		return certauto__fail_with(job, &err);
	}
	certauto__json_object_end(&w);
	return certauto__acme_post(job, x, acme->directory.new_account, &payload);
}

static certauto__verdict find_ask(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	const certauto_account *account = acme->account;

	if (account->pkey == NULL || (account->url != NULL ? !acme->doubted : !acme->may_exist))
		return CERTAUTO__NEXT;
	return certauto__acme_look_ask(job, x, account->pkey);
}

/* The store is older than the last key rollover, or the CA has forgotten. Never a second
 * account. */
static int account_unknown(const certauto_account *account, certauto_error *err)
{
	int rc = certauto__error_set(err, CERTAUTO_EAUTH, account->url,
		"%s does not know the key of the account %s: it was replaced since, or the account "
		"is gone",
		account->server, account->url);

	certauto__error_advise(err,
		"if the state folder was restored from a backup older than the last change of the "
		"account's key, restore the newest key.pem; to begin with a new account, move "
		"accounts/%s-... in the state folder away",
		account->name);
	return rc;
}

/* That there is none is an answer too. */
static certauto__verdict find_read(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_account *account = acme->account;
	certauto_error err;
	int rc;

	memset(&err, 0, sizeof(err));
	if (x->status >= 200 && x->status <= 299) {
		rc = account_found(job, x, &err);
	} else if (certauto__acme_says(x, "accountDoesNotExist")) {
		if (account->url == NULL)
			return CERTAUTO__NEXT;
		rc = account_unknown(account, &err);
	} else if (certauto__acme_says(x, "unauthorized") && acme->leaving) {
		/* Nobody but the account itself is meant here: it is closed already. */
		acme->doubted = 0;
		certauto__free(account->status);
		rc = (account->status = certauto__strdup("deactivated")) == NULL
			? certauto__error_nomem(&err)
			: 0;
	} else {
		if (certauto__acme_says(x, "unauthorized")) {
			certauto__error_prefix(
				&x->error, "the account was deactivated or revoked");
			certauto__acme_advise_gone(account, &x->error);
		}
		return certauto__fail_with(job, &x->error);
	}
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

static void advise_binding(certauto_error *err)
{
	certauto__error_advise(err,
		"give the kid and MAC key the CA has told its customer: \"eab\": {\"kid\", "
		"\"hmac\"} in the configuration (command line: --eab-kid KID --eab-hmac "
		"file:PATH); they may expire, or be good for one account only");
}

/* What the CA is bound to refuse is not sent. */
static int register_allowed(const struct certauto__acme *acme, certauto_error *err)
{
	const struct certauto__directory *directory = &acme->directory;
	const char *server = acme->account->server;
	int rc = 0;

	if (directory->external_account_required && acme->account->eab_key == NULL) {
		rc = certauto__error_set(err, CERTAUTO_EINVAL, server,
			"%s takes only accounts bound to one of its customers (external account "
			"binding)",
			server);
		advise_binding(err);
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

	if (acme->account->url != NULL || !acme->making)
		return CERTAUTO__NEXT;
	memset(&err, 0, sizeof(err));
	if (register_allowed(acme, &err) < 0)
		return certauto__fail_with(job, &err);
	return account_ask(job, x);
}

static certauto__verdict register_read(certauto_job *job, certauto__exchange *x)
{
	certauto_error err;

	if (x->status < 200 || x->status > 299) {
		if (certauto__acme_says(x, "externalAccountRequired") ||
		    (certauto__acme_of(job)->account->eab_key != NULL &&
			    (certauto__acme_says(x, "unauthorized") ||
				    certauto__acme_says(x, "malformed"))))
			advise_binding(&x->error);
		return certauto__fail_with(job, &x->error);
	}
	memset(&err, 0, sizeof(err));
	return account_found(job, x, &err) < 0 ? certauto__fail_with(job, &err) : CERTAUTO__NEXT;
}

static const struct certauto__step account_steps[] = {
	{.name = "directory", .ask = certauto__acme_directory_ask, .flags = CERTAUTO__READS},
	{.name = "key", .ask = key_ask},
	{.name = "settle", .ask = settle_ask, .read = settle_read, .flags = CERTAUTO__ERRORS},
	{.name = "find", .ask = find_ask, .read = find_read, .flags = CERTAUTO__ERRORS},
	{.name = "register",
		.ask = register_ask,
		.read = register_read,
		.flags = CERTAUTO__ERRORS},
};

static const struct certauto__table account_table = {
	.name = "acme-account",
	.steps = account_steps,
	.n_steps = 5,
};

static void account_ended(certauto_job *job, void *arg)
{
	struct certauto__acme *acme = arg;

	acme->finding = acme->making = 0;
	certauto__acme_unlock(acme, &acme->lock);
	service_tell(&acme->account_wanted, job);
}

/* 1: it may be used as it is. */
static int account_settled(const struct certauto__acme *acme)
{
	return acme->account->url != NULL && !acme->unsettled && !acme->doubted;
}

/* Who needs one made, and comes while it is only looked for, asks again when that has ended. */
static certauto__verdict account_need(certauto_job *job, int make)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (acme->rotating != NULL)
		return certauto__park(job, &acme->account_wanted);
	if (account_settled(acme)) {
		if (!certauto__acme_is_gone(acme) || acme->leaving)
			return CERTAUTO__NEXT;
		(void)account_gone(acme->account, &err);
		return certauto__fail_with(job, &err);
	}
	if (!acme->finding) {
		if (service_start(acme, &account_table, account_ended, &err) < 0)
			return certauto__fail_with(job, &err);
		acme->finding = 1;
		acme->making = make;
	}
	return certauto__park(job, &acme->account_wanted);
}

certauto__verdict certauto__acme_need_account(certauto_job *job)
{
	return account_need(job, 1);
}

certauto__verdict certauto__acme_find_ask(certauto_job *job, certauto__exchange *x)
{
	const struct certauto__acme *acme = certauto__acme_of(job);
	const certauto_account *account = acme->account;
	certauto_error err;

	(void)x;
	memset(&err, 0, sizeof(err));
	if (account->url == NULL && acme->rotating == NULL &&
	    certauto__fact_own(job, ".looked") != NULL) {
		certauto__error_set(&err, CERTAUTO_EAUTH, account->server,
			"there is no account \"%s\" at %s", account->name, account->server);
		certauto__error_advise(&err, "make one: certauto account register");
		return certauto__fail_with(job, &err);
	}
	if (acme->rotating == NULL)
		certauto__fact_set_number(job, ".looked", 1);
	return account_need(job, 0);
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

/* Without an account the limit on newAccount ends it all, before anything is asked. */
static certauto__verdict register_directory_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__verdict verdict =
		certauto__acme_limits_check(job, certauto__acme_of(job)->account->url == NULL);

	return verdict != CERTAUTO__NEXT ? verdict : certauto__acme_directory_ask(job, x);
}

static const struct certauto__step register_steps[] = {
	{.name = "directory", .ask = register_directory_ask, .flags = CERTAUTO__READS},
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
