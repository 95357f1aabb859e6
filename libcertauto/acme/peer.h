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

struct certauto__acme {
	certauto_account *account;           /* borrowed: each job at this peer holds it */
	certauto__peer *peer;                /* borrowed: this hangs on it */

	struct certauto__directory directory;
	int64_t directory_at_ms;             /* 0 = to be read */
	int64_t clock_ahead_s;               /* our clock less the CA's */
	int clock_told;

	int key_given;                       /* by the caller: not ours to keep */
	int may_exist;                       /* an account of this key may be there: look first */
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

/* ---- requests, for `ask` ---- */

/* GET of the directory, HEAD of newNonce. */
certauto__verdict certauto__acme_read(certauto_job *job, certauto__exchange *x,
	enum certauto__http_kind kind, const char *method, const char *url);
/* A signed request; payload "" is POST-as-GET. Taken from payload, which is empty afterwards. A
 * plan may not know the url yet: NULL. */
certauto__verdict certauto__acme_post(certauto_job *job, certauto__exchange *x, const char *url,
	certauto__buffer *payload);
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

/* ---- nonces ---- */

/* NULL and what is no nonce are dropped. */
void certauto__acme_nonce_add(struct certauto__acme *acme, const char *nonce);
/* 1 = there was one. */
int certauto__acme_nonce_take(struct certauto__acme *acme, char out[256]);

#endif
