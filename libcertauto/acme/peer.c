/* SPDX-License-Identifier: Apache-2.0 */
/* The CA as a peer: each attempt is signed anew with a nonce of its own (dress), each answer
 * is sorted before a step sees it (judge). Directory, account and nonces are fetched by
 * service.c. */
#include "acme/peer.h"

#include <stdio.h>
#include <string.h>

#include "acme/jws.h"
#include "core/clock.h"
#include "core/memory.h"

#define ORDERS_MAX 16 /* that take turns: what one has shown is not kept waiting for long */
#define RETRY_AFTER_NONE_S 60 /* a rate limit without a time */
#define POLL_FIRST_MS 5
#define POLL_MAX_MS 15000
#define POLL_ASKED_MAX_S 60
#define PAYLOAD_MAX (512 * 1024) /* newOrder of 1,000 names is 300 KiB */

/* ---- nonces ---- */

void certauto__acme_nonce_add(struct certauto__acme *acme, const char *nonce)
{
	struct certauto__nonce *place;

	if (!certauto__nonce_check(nonce))
		return;
	if (acme->n_nonces == CERTAUTO__NONCES_MAX)
		memmove(&acme->nonces[0], &acme->nonces[1],
			--acme->n_nonces * sizeof(acme->nonces[0]));
	place = &acme->nonces[acme->n_nonces++];
	(void)snprintf(place->text, sizeof(place->text), "%s", nonce);
	place->at_ms = certauto__clock_ms();
	/* Not only one: who was woken before may have been cancelled since. */
	certauto__queue_wake(&acme->nonce_wanted, acme->n_nonces);
}

/* The newest: it is the one the CA has surely not forgotten. */
int certauto__acme_nonce_take(struct certauto__acme *acme, char out[256])
{
	const struct certauto__nonce *place;

	if (acme->n_nonces == 0)
		return 0;
	place = &acme->nonces[--acme->n_nonces];
	if (certauto__clock_ms() - place->at_ms > CERTAUTO__NONCE_AGE_MS) {
		acme->n_nonces = 0; /* the others are older */
		return 0;
	}
	memcpy(out, place->text, sizeof(place->text));
	return 1;
}

/* ---- dress ---- */

static certauto__verdict acme_sign(certauto_job *job, certauto__exchange *x,
	struct certauto__acme *acme, const char *kid, const char *nonce)
{
	struct certauto__jws jws = {x->dress_arg != NULL ? x->dress_arg : acme->account->pkey, kid,
		nonce, certauto__buffer_text(&x->url)};
	certauto_error err;
	int rc;

	memset(&err, 0, sizeof(err));
	if (x->body.rc < 0) /* told by the runner */
		return CERTAUTO__SEND;
	certauto__buffer_clear(&x->body); /* of an earlier attempt */
	rc = certauto__jws_add(&x->body, &jws, x->scratch->data, x->scratch->len, &err);
	return rc < 0 ? certauto__fail_with(job, &err) : CERTAUTO__SEND;
}

/* Signed by the account's key, and named by its URL. */
static int by_account(const struct certauto__acme *acme, const certauto__exchange *x)
{
	return x->scratch != NULL && x->dress_arg == NULL &&
		!certauto__text_equal(
			certauto__buffer_text(&x->url), acme->directory.new_account);
}

static certauto__verdict acme_dress(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	int own = by_account(acme, x);
	certauto__verdict verdict;
	char nonce[256];

	if ((verdict = certauto__acme_limits_check(
		     job, certauto__text_equal(certauto__buffer_text(&x->url),
				  acme->directory.new_account))) != CERTAUTO__NEXT)
		return verdict;
	if (x->scratch == NULL)
		return CERTAUTO__SEND;
	if (own && acme->rotating != job &&
	    (verdict = certauto__acme_need_account(job)) != CERTAUTO__NEXT)
		return verdict;
	if (!certauto__acme_nonce_take(acme, nonce))
		return certauto__acme_need_nonce(job);
	return acme_sign(job, x, acme, own ? acme->account->url : NULL, nonce);
}

/* ---- judge ---- */

static void judge_what(const certauto__exchange *x, certauto__buffer *what)
{
	certauto__buffer_printf(
		what, "%s %s: HTTP %d", x->method, certauto__buffer_text(&x->url), x->status);
}

static int judge_is_problem(const certauto__exchange *x)
{
	/* Some CAs forget the right media type. */
	return certauto__transfer_is_type(x->transfer, "application/problem+json") ||
		certauto__transfer_is_type(x->transfer, "application/json");
}

static int64_t judge_retry_at(const certauto__exchange *x)
{
	int64_t after = certauto__transfer_retry_after(x->transfer);

	if (after < 0)
		after = RETRY_AFTER_NONE_S;
	if (after < 1)
		after = 1;
	if (after > CERTAUTO__RETRY_AFTER_MAX_S)
		after = CERTAUTO__RETRY_AFTER_MAX_S;
	return certauto__clock_now() + after;
}

static void judge_later(certauto__exchange *x)
{
	certauto__buffer help = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);

	x->error.retry_at = judge_retry_at(x);
	if (certauto__transfer_link(x->transfer, "help", 0, &help) == 0)
		certauto__error_advise(&x->error, "wait until the time told; see %s",
			certauto__buffer_text(&help));
	certauto__buffer_free(&help);
}

/* A refusal that may mean the key, not what was asked: that the CA has another one for the account
 * (a store restored from a backup, another process that has replaced it), or has closed it. Whether
 * it knows the key is then asked, once a job, and the request made again. */
static int judge_doubts(
	const certauto_job *job, const struct certauto__acme *acme, const certauto__exchange *x)
{
	if ((x->status == 404 || x->status == 410) &&
	    !certauto__acme_says(x, "accountDoesNotExist"))
		return 0;
	if (!by_account(acme, x) || acme->rotating != NULL || certauto__acme_is_gone(acme) ||
	    certauto__fact_own(job, ".doubted") != NULL ||
	    !certauto__acme_may_mean_key(&x->error))
		return 0;
	return !acme->proved || certauto__acme_is_stale(acme) ||
		certauto__text_equal(certauto__buffer_text(&x->url), acme->account->url);
}

/* RFC 8555 7.3.3: the terms have changed. */
static void judge_terms(struct certauto__acme *acme, certauto__exchange *x)
{
	certauto__buffer link = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__buffer shown = CERTAUTO__BUFFER(4096);

	if (certauto__transfer_link(x->transfer, "terms-of-service", 0, &link) == 0 &&
	    certauto__text_escape(&shown, link.data, link.len) == 0)
		certauto__error_advise(&x->error,
			"read the CA's terms of service, %s; to agree to them run: certauto "
			"account update --agree-tos, with each --contact that is to stay where "
			"there is no configuration%s%s",
			shown.data, x->error.advice != NULL ? "; " : "",
			x->error.advice != NULL ? x->error.advice : "");
	if (shown.len > 0) {
		certauto__free(acme->account->terms_url);
		acme->account->terms_url = certauto__buffer_take(&shown);
	}
	certauto__buffer_free(&link);
	certauto__buffer_free(&shown);
}

static void judge_tell(certauto__exchange *x, const struct certauto__problem *problem, int code)
{
	certauto__buffer what = CERTAUTO__BUFFER(8192);

	judge_what(x, &what);
	certauto__error_clear(&x->error);
	certauto__problem_tell(&x->error, code, certauto__buffer_text(&x->url), problem,
		certauto__buffer_text(&what));
	certauto__buffer_free(&what);
	x->error.status = x->status;
	if (x->http == CERTAUTO__HTTP_DIRECTORY && code == 0 && x->status < 500)
		certauto__error_advise(
			&x->error, "check that the server is the URL of an ACME directory");
}

/* A CA that falls over "replaces" (RFC 9773 5), as one was seen to, would do so for ever: the
 * second time it is taken for a refusal, and the order goes without. */
static int falls_over_replaces(certauto_job *job, const struct certauto__acme *acme,
	const certauto__exchange *x)
{
	int64_t times;

	if (certauto__fact_own(job, ".replaces") == NULL ||
		!certauto__text_equal(certauto__buffer_text(&x->url), acme->directory.new_order))
		return 0;
	times = certauto__fact_number(job, ".fell", 0) + 1;
	certauto__fact_set_number(job, ".fell", times);
	return times > 1;
}

static certauto__judgement judge_no(
	certauto_job *job, certauto__exchange *x, const struct certauto__problem *problem)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	int asked = certauto__transfer_retry_after(x->transfer) >= 0, later;

	later = x->status == 429 || (x->status == 503 && asked) ||
		certauto__problem_is(problem, "rateLimited");
	judge_tell(x, problem, later ? CERTAUTO_ERETRY_LATER : 0);
	if (certauto__problem_is(problem, "badNonce")) {
		acme->n_nonces = 0; /* what came before is likely to be refused as well */
		return CERTAUTO__NOW;
	}
	if (later) {
		judge_later(x);
		certauto__acme_limits_note(job, x, problem->present);
		return CERTAUTO__LATER;
	}
	if (certauto__problem_is(problem, "userActionRequired"))
		judge_terms(acme, x);
	if (judge_doubts(job, acme, x)) {
		certauto__fact_set_number(job, ".doubted", 1);
		acme->doubted = 1;
		return CERTAUTO__RELOGIN;
	}
	if (x->status == 404 || x->status == 410)
		acme->directory_at_ms =
			0; /* perhaps the CA has moved: the next run reads it anew */
	return x->status >= 500 && !falls_over_replaces(job, acme, x) ? CERTAUTO__SOON
								       : CERTAUTO__BAD;
}

static certauto__judgement acme_judge(certauto_job *job, certauto__exchange *x)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	struct certauto__problem problem;
	certauto__judgement judgement = CERTAUTO__OK;
	certauto__buffer what = CERTAUTO__BUFFER(8192);
	const char *data;
	size_t len;

	if (x->rc < 0)
		return certauto__judge_http(job, x);
	if (x->status < 200 || x->status > 299) {
		memset(&problem, 0, sizeof(problem));
		data = certauto__exchange_answer(x, &len);
		judge_what(x, &what);
		/* What cannot be read is told by its status alone. */
		if (judge_is_problem(x))
			(void)certauto__problem_parse(
				&problem, certauto__buffer_text(&what), data, len, NULL);
		judgement = judge_no(job, x, &problem);
		certauto__problem_free(&problem);
		certauto__buffer_free(&what);
	} else if (by_account(acme, x)) {
		acme->proved = 1;
	}
	certauto__acme_nonce_add(acme, certauto__transfer_header(x->transfer, "Replay-Nonce", 0));
	return judgement;
}

/* ---- the peer ---- */

static void acme_destroy(certauto__peer *peer)
{
	struct certauto__acme *acme = peer->state;

	if (acme == NULL)
		return;
	certauto__directory_free(&acme->directory);
	certauto__limits_free(acme->limits);
	certauto__acme_next_free(acme);
	certauto__verifier_free(acme->verifier);
	certauto__free(acme);
	peer->state = NULL;
}

static const struct certauto__peer_ops acme_ops = {
	.kind = "acme",
	.dress = acme_dress,
	.judge = acme_judge,
	.destroy = acme_destroy,
};

struct certauto__acme *certauto__acme_of(const certauto_job *job)
{
	return certauto__job_peer(job)->state;
}

int certauto__acme_open(certauto_account *account, certauto_error *err)
{
	certauto__buffer key = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 64);
	struct certauto__acme *acme = NULL;
	certauto__peer *peer = NULL;
	char id[17];
	int made, rc;

	/* A name of its own: an account freed and another one made at the same place in memory
	 * must not meet. */
	if ((rc = certauto__random_hex(id, 8, err)) < 0)
		return rc;
	if ((acme = certauto__alloc(sizeof(*acme))) == NULL ||
	    certauto__buffer_printf(&key, "%s (account %s)", account->server, id) < 0) {
		rc = certauto__error_nomem(err);
		goto out;
	}
	if ((rc = certauto__peer_get(&peer, account->object.cx, &acme_ops, key.data,
			CERTAUTO__ACME_WIDTH, &made)) < 0) {
		certauto__error_set(err, rc, account->server, "%s", certauto_error_text(rc));
		goto out;
	}
	acme->account = account;
	acme->peer = peer;
	peer->turns_max = ORDERS_MAX;
	acme->key_given = account->key != NULL;
	acme->may_exist = acme->key_given;
	peer->state = acme;
	account->peer = peer;
	acme = NULL;
out:
	certauto__free(acme);
	certauto__buffer_free(&key);
	return rc;
}

int64_t certauto__acme_deadline(int deadline_ms)
{
	if (deadline_ms < 0)
		return 0;
	return deadline_ms > 0 ? deadline_ms : 1;
}

/* ---- requests ---- */

certauto__verdict certauto__acme_read(certauto_job *job, certauto__exchange *x,
	enum certauto__http_kind kind, const char *method, const char *url)
{
	struct certauto__acme *acme = certauto__acme_of(job);
	certauto__verdict verdict = certauto__ask_http(x, method, url);

	x->http = kind;
	x->ca_file = acme->account->ca_file;
	x->max_answer = CERTAUTO__HTTP_ACME_JSON_MAX;
	certauto__exchange_add_header(x, "Accept-Language: en");
	return verdict;
}

certauto__verdict certauto__acme_post(
	certauto_job *job, certauto__exchange *x, const char *url, certauto__buffer *payload)
{
	certauto__verdict verdict = certauto__acme_read(
		job, x, CERTAUTO__HTTP_API, "POST", url != NULL ? url : "{URL}");

	if (url == NULL && !certauto__planning(job))
		verdict = certauto__fail(
			job, CERTAUTO_EPROTO, NULL, "the CA has not told the URL for this step");
	certauto__exchange_add_header(x, "Content-Type: application/jose+json");
	if (payload->rc < 0 || (x->scratch = certauto__alloc(sizeof(*x->scratch))) == NULL) {
		certauto__buffer_free(payload);
		return certauto__fail(
			job, CERTAUTO_ENOMEM, NULL, "%s", certauto_error_text(CERTAUTO_ENOMEM));
	}
	*x->scratch = *payload; /* moved */
	certauto__buffer_init(payload, payload->max);
	return verdict;
}

certauto__verdict certauto__acme_post_as(certauto_job *job, certauto__exchange *x, const char *url,
	certauto__buffer *payload, const certauto__pkey *key)
{
	x->dress_arg = key;
	return certauto__acme_post(job, x, url, payload);
}

certauto__verdict certauto__acme_fetch(certauto_job *job, certauto__exchange *x, const char *url)
{
	certauto__buffer nothing = CERTAUTO__BUFFER(PAYLOAD_MAX);

	return certauto__acme_post(job, x, url, &nothing);
}

/* ---- answers ---- */

struct certauto__origin certauto__acme_origin(const certauto_job *job, const certauto__exchange *x,
	const char *kind, certauto__buffer *what)
{
	const certauto_account *account = certauto__acme_of(job)->account;
	struct certauto__origin origin = {account->server, &account->allow_hosts, NULL};

	certauto__buffer_printf(what, "%s %s", kind, certauto__buffer_text(&x->url));
	origin.what = certauto__buffer_text(what);
	return origin;
}

int certauto__acme_body(const certauto__exchange *x, const char *type, const char **data,
	size_t *len, certauto_error *err)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	const char *url = certauto__buffer_text(&x->url), *got;
	int rc;

	if (x->rc < 0) { /* what came before it broke off is no answer */
		certauto__error_copy(err, &x->error);
		return x->rc;
	}
	*data = certauto__exchange_answer(x, len);
	if (certauto__transfer_is_type(x->transfer, type))
		return 0;
	got = certauto__transfer_header(x->transfer, "Content-Type", 0);
	if (got != NULL)
		certauto__text_escape(&shown, got, strlen(got));
	rc = certauto__error_set(err, CERTAUTO_EPROTO, url,
		"%s %s: the answer (HTTP %d) is %s, not %s", x->method, url, x->status,
		got != NULL ? certauto__buffer_text(&shown) : "of no type", type);
	certauto__error_advise(
		err, "check that the server is an ACME directory and that nothing stands between");
	certauto__buffer_free(&shown);
	return rc;
}

static int error_says(const certauto_error *refusal, const char *kind)
{
	struct certauto__problem problem = {.type = refusal->problem};

	return certauto__problem_is(&problem, kind);
}

int certauto__acme_says(const certauto__exchange *x, const char *kind)
{
	return error_says(&x->error, kind);
}

int certauto__acme_may_mean_key(const certauto_error *refusal)
{
	return error_says(refusal, "unauthorized") || error_says(refusal, "malformed") ||
		error_says(refusal, "accountDoesNotExist");
}

int certauto__acme_location(
	certauto_job *job, const certauto__exchange *x, const char **out, certauto_error *err)
{
	const certauto_account *account = certauto__acme_of(job)->account;
	const char *url = certauto__buffer_text(&x->url);
	const char *location = certauto__transfer_header(x->transfer, "Location", 0);
	int rc;

	if (location == NULL)
		return certauto__error_set(err, CERTAUTO_EPROTO, url,
			"%s %s: the answer (HTTP %d) has no Location", x->method, url, x->status);
	if ((rc = certauto__url_check(location, account->server, &account->allow_hosts, err)) < 0)
		certauto__error_prefix(err, "%s %s: Location", x->method, url);
	else
		*out = location;
	return rc;
}

void certauto__acme_note_pause(certauto_job *job, const certauto__exchange *x)
{
	certauto__fact_set_number(job, ".pause_s", certauto__transfer_retry_after(x->transfer));
}

certauto__verdict certauto__acme_poll(
	certauto_job *job, const certauto__exchange *x, const char *object)
{
	int64_t n = certauto__step_attempts(job), ms = POLL_MAX_MS, asked;
	unsigned char jitter = 0;

	if (n < 14) /* beyond that it is the longest anyway */
		ms = (int64_t)POLL_FIRST_MS << (n > 2 ? n - 2 : 0);
	if (certauto__random(&jitter, 1, NULL) == 0)
		ms += ms * jitter / 1024;
	if (ms > POLL_MAX_MS)
		ms = POLL_MAX_MS;
	/* Before the first look it is the answer to the step before that may ask for patience. */
	asked = x->transfer != NULL ? certauto__transfer_retry_after(x->transfer)
				    : certauto__fact_number(job, ".pause_s", 0);
	if (asked > POLL_ASKED_MAX_S)
		asked = POLL_ASKED_MAX_S;
	if (asked > 0)
		ms = asked * 1000;
	if (ms >= 1000)
		certauto__waiting(
			job, object, certauto__clock_now() + ms / 1000, "waiting for the CA");
	return certauto__again(job, ms);
}

certauto__verdict certauto__acme_undecided(certauto_job *job, const char *object)
{
	certauto_error err;

	memset(&err, 0, sizeof(err));
	certauto__error_set(&err, CERTAUTO_ERETRY_LATER, object,
		"the CA has not decided about %s within %d min", object,
		(int)(certauto__step_age_ms(job) / 60000));
	certauto__error_advise(&err, "run again later: the order is kept and goes on where it is");
	err.retry_at = certauto__clock_now() + RETRY_AFTER_NONE_S;
	return certauto__fail_with(job, &err);
}
