/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACME_PEER_H
#define CERTAUTO_ACME_PEER_H

/* The CA as the steps of acme/ see it: a peer with a directory, an account and nonces. Steps ask
 * through the helpers here and never meet a signature. */

#include "acme/acme.h"
#include "acme/documents.h"

#define CERTAUTO__NONCES_MAX 16
#define CERTAUTO__NONCE_AGE_MS (5 * 60 * 1000)      /* CAs forget them */
#define CERTAUTO__DIRECTORY_AGE_MS (60 * 60 * 1000) /* CAs move their endpoints now and then */

struct certauto__nonce {
	char text[256];
	int64_t at_ms;
};

/* What the CA does not want to be asked before some time (limits.c). */
enum {
	CERTAUTO__LIMIT_SERVER,              /* anything */
	CERTAUTO__LIMIT_ACCOUNTS,            /* newAccount */
	CERTAUTO__LIMITS
};

struct certauto__limit {
	int64_t until;                       /* 0 = none */
	char *reason;                        /* the CA's words, fit to be shown; NULL */
	char *problem;                       /* type; NULL */
};

struct certauto__acme {
	certauto_account *account;           /* borrowed: each job at this peer holds it */
	certauto__peer *peer;                /* borrowed: this hangs on it */

	struct certauto__directory directory;
	int64_t directory_at_ms;             /* 0 = to be read */
	int64_t clock_ahead_s;               /* our clock less the CA's */
	int clock_told;

	int key_given;                       /* by the caller: not ours to keep */
	int may_exist;                       /* an account of this key may be there: look first */
	int proved;                          /* the CA has taken this key for the account's */
	int doubted;                         /* it has refused it: ask whether it knows it */
	int making;                          /* the job that looks for it makes one */
	int leaving;                         /* the account is to be deactivated: that it is, is
	                                        no error */
	/* Key rollover (rotate.c): the key it is to be given. While `unsettled` the CA may have
	 * heard of it: which of the two counts is asked before anything else is signed. */
	certauto__pkey *next;                /* owned, or that of next_key */
	certauto_key *next_key;              /* handle of the caller (+1), or NULL */
	int unsettled;
	const certauto_job *rotating;        /* the job that is at it: all others wait in
	                                        account_wanted */

	struct certauto__verifier *verifier; /* of the chains that come from it; NULL = none yet */
	struct certauto__limit limits[CERTAUTO__LIMITS];
	void *lock;                          /* of the account in the store, while it is made */

	struct certauto__nonce nonces[CERTAUTO__NONCES_MAX]; /* the newest last */
	size_t n_nonces;

	/* One service job each for all comers; who waits is parked. */
	int reading, finding;
	size_t fetching;
	certauto__queue directory_wanted, account_wanted, nonce_wanted;
};

struct certauto__acme *certauto__acme_of(const certauto_job *job);
/* Makes the peer of an account that has none. */
int certauto__acme_open(certauto_account *account, certauto_error *err);
/* A deadline of the public API as jobs take it: negative is none, 0 is at once. */
int64_t certauto__acme_deadline(int deadline_ms);

/* Takes over pkey; key: the handle it is borrowed from, or NULL. */
void certauto__account_take_key(certauto_account *account, certauto__pkey *pkey, certauto_key *key);
/* What the CA has told, moved. */
void certauto__account_take_document(certauto_account *account,
	struct certauto__account_document *document);
const char *certauto__account_key_type(const certauto_account *account);

/* Starts a job at the account's CA, start filled so far: its table at least. env belongs to the job
 * from now on, also when this fails; NULL: the account itself. account.c */
int certauto__account_start(certauto_job **out, certauto_account *account,
	struct certauto__start *start, int deadline_ms);
/* The blocking form: begins what start_X of a public verb does, and waits for it. */
int certauto__account_run(certauto_account *account,
	int (*start)(certauto_job **out, certauto_account *account, int deadline_ms),
	int timeout_ms);
/* Enters the context for a call on account, which may be NULL; leave by certauto__leave(). */
int certauto__account_enter(certauto_account *account);

/* ---- requests, for `ask` ---- */

/* GET of the directory, HEAD of newNonce. */
certauto__verdict certauto__acme_read(certauto_job *job, certauto__exchange *x,
	enum certauto__http_kind kind, const char *method, const char *url);
/* A signed request; payload "" is POST-as-GET. Taken from payload, which is empty afterwards. A
 * plan may not know the url yet: NULL. */
certauto__verdict certauto__acme_post(certauto_job *job, certauto__exchange *x, const char *url,
	certauto__buffer *payload);
/* The same, signed by a key that is not the account's and stands in the header itself ("jwk"):
 * borrowed until the exchange has ended. Revocation by the certificate's key, the look for an
 * account of a new key. */
certauto__verdict certauto__acme_post_as(certauto_job *job, certauto__exchange *x, const char *url,
	certauto__buffer *payload, const certauto__pkey *key);
certauto__verdict certauto__acme_fetch(certauto_job *job, certauto__exchange *x, const char *url);

/* ---- answers, for `read` ---- */

/* How documents of this exchange are judged and called; what is filled with "order https://...". */
struct certauto__origin certauto__acme_origin(const certauto_job *job, const certauto__exchange *x,
	const char *kind, certauto__buffer *what);
/* The body, if its media type is `type`: CERTAUTO_EPROTO otherwise. */
int certauto__acme_body(const certauto__exchange *x, const char *type, const char **data,
	size_t *len, certauto_error *err);
/* Location of a new resource, held against the rules for URLs. Borrowed from the exchange. */
int certauto__acme_location(certauto_job *job, const certauto__exchange *x, const char **out,
	certauto_error *err);
/* Waits before the next look at what the CA is working on: 5 ms, doubled to 15 s, with jitter;
 * what the CA asks for wins, up to 60 s. */
certauto__verdict certauto__acme_poll(certauto_job *job, const certauto__exchange *x,
	const char *object);
/* Keeps the Retry-After of an answer for the first wait of the next step. */
void certauto__acme_note_pause(certauto_job *job, const certauto__exchange *x);
/* The limit has passed and the CA has not decided: ERETRY_LATER, facts kept. */
certauto__verdict certauto__acme_undecided(certauto_job *job, const char *object);

/* ---- what all need first (service.c) ---- */

/* NEXT when it is there; else parked until the one service job for all comers has ended. */
certauto__verdict certauto__acme_need_directory(certauto_job *job);
certauto__verdict certauto__acme_need_account(certauto_job *job);
certauto__verdict certauto__acme_need_nonce(certauto_job *job);
/* As steps: `ask` of "directory" and "account". */
certauto__verdict certauto__acme_directory_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__acme_account_ask(certauto_job *job, certauto__exchange *x);
/* The same, but an account that is not there is not made: CERTAUTO_EAUTH. */
certauto__verdict certauto__acme_find_ask(certauto_job *job, certauto__exchange *x);

/* ---- the account in memory and store (service.c) ---- */

/* 1: key, URL and limits are kept in the store. */
int certauto__acme_keeps(const struct certauto__acme *acme);
/* Takes what the store has; finds a next key too. */
int certauto__acme_load(struct certauto__acme *acme, certauto_error *err);
/* Held from here: 0; EBUSY. *lock stays NULL without a store. */
int certauto__acme_lock(struct certauto__acme *acme, void **lock, certauto_error *err);
void certauto__acme_unlock(struct certauto__acme *acme, void **lock);
/* The same as a step takes it: NEXT when it is held, else again, for half a minute. */
certauto__verdict certauto__acme_lock_ask(certauto_job *job, void **lock);
/* newAccount with "onlyReturnExisting", signed by key: which account has it? */
certauto__verdict certauto__acme_look_ask(certauto_job *job, certauto__exchange *x,
	const certauto__pkey *key);
/* 1: the refusal is of that type, "unauthorized"; of one that may mean the key that signed. */
int certauto__acme_says(const certauto__exchange *x, const char *kind);
int certauto__acme_may_mean_key(const certauto_error *refusal);
/* What an answer tells of the account: kept, with its URL, in memory and store. EAUTH when it has
 * been deactivated. */
int certauto__acme_account_told(certauto_job *job, const certauto__exchange *x, const char *url,
	certauto_error *err);
/* Keeps the account's URL, status and contacts. */
int certauto__acme_save(struct certauto__acme *acme, certauto_error *err);
/* 1: the store has another key than we have: another process has replaced it. */
int certauto__acme_is_stale(const struct certauto__acme *acme);
int certauto__acme_advise_gone(const certauto_account *account, certauto_error *err);
/* 1: the account is known to be deactivated or revoked. */
int certauto__acme_is_gone(const struct certauto__acme *acme);

/* ---- key rollover (rotate.c) ---- */

/* Asks which account the next key has; reads the answer and settles: the next key becomes the
 * account's, or goes. *taken tells which. */
certauto__verdict certauto__acme_next_ask(certauto_job *job, certauto__exchange *x);
int certauto__acme_next_read(certauto_job *job, certauto__exchange *x, int *taken,
	certauto_error *err);
/* Forgets the next key in memory. */
void certauto__acme_next_free(struct certauto__acme *acme);

/* ---- limits (limits.c) ---- */

#define CERTAUTO__RETRY_AFTER_MAX_S (7 * 24 * 60 * 60)

void certauto__limits_free(struct certauto__limit limits[CERTAUTO__LIMITS]);
/* Takes what the store has; what has passed goes. */
int certauto__acme_limits_load(struct certauto__acme *acme, certauto_error *err);
/* The answer said "later" (x->error): kept if that is meant for all that we ask. */
void certauto__acme_limits_note(certauto_job *job, const certauto__exchange *x, int has_problem);
/* NEXT, or FAILED while a limit stands. accounts: something is asked of newAccount. */
certauto__verdict certauto__acme_limits_check(certauto_job *job, int accounts);

/* ---- nonces ---- */

/* NULL and what is no nonce are dropped. */
void certauto__acme_nonce_add(struct certauto__acme *acme, const char *nonce);
/* 1 = there was one. */
int certauto__acme_nonce_take(struct certauto__acme *acme, char out[256]);

#endif
