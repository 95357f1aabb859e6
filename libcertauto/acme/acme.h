/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACME_ACME_H
#define CERTAUTO_ACME_ACME_H

/* The ACME engine: one peer for each account (directory, account URL, nonce pool, signatures),
 * and the tables that speak RFC 8555. The public nouns account and order are here. */

#include <certauto/order.h>

#include "core/object.h"
#include "core/secret.h"
#include "core/text.h"
#include "crypto/crypto.h"
#include "jobs/job.h"
#include "jobs/target.h"
#include "store/store.h"

#define CERTAUTO__ACME_WIDTH 8   /* requests in flight per CA account = nonces held */

/* When the CA would have a certificate renewed (RFC 9773), bound to that certificate. */
struct certauto__renewal {
	char *id;                    /* certID it is for; NULL = never asked */
	int64_t start, end;          /* window; 0 = none known */
	int64_t at;                  /* instant in it, drawn once for each window; 0 = none */
	int64_t check_at;            /* when to ask again; 0 = now */
	int64_t failures;            /* in a row */
	char *explanation_url;       /* fit to be shown; NULL */
};

struct certauto_account {
	struct certauto__object object;
	char *name;                  /* in the store; "default" */
	char *server;                /* directory URL */
	char *ca_file;
	certauto__list contacts;
	certauto__list allow_hosts;  /* other hosts this CA's URLs may name */
	int agree_tos;
	char *key_type;              /* of a key that is made; NULL = "ecdsa-p256" */
	char *eab_kid;               /* external account binding; NULL = none */
	const char *eab_alg;         /* static; NULL = "HS256" */
	certauto__secret *eab_key;   /* decoded */
	certauto__pkey *pkey;        /* NULL until given, loaded or made */
	certauto_key *key;           /* the handle pkey was borrowed from; or NULL: pkey is owned */
	certauto_store *store;       /* shared (+1); may be NULL */
	char *url;                   /* account URL, once known */
	char *terms_url;
	certauto__list profiles;     /* the CA offers */
	/* as the CA has told last */
	char *status;
	certauto__list known_contacts;
	char *orders_url;
	certauto__list orders;       /* URLs; of the last fetch_orders */
	struct certauto__renewal renewal; /* of the last fetch_renewal */
	certauto__peer *peer;        /* made at the first job */
};

struct certauto__order_use {         /* first pattern that matches serves the name */
	char *pattern;               /* "*" = all */
	char *challenge;             /* "http-01" */
	certauto_target *target;     /* shared (+1); NULL: dns-persist-01 with a record that is
	                                there for good */
};

struct certauto__order_name {        /* what became of a name; as many as names */
	int status;                  /* CERTAUTO_NAME_* */
	certauto_error error;
};

struct certauto_order {
	struct certauto__object object;
	certauto_account *account;   /* shared (+1) */
	certauto__req *req;          /* owned copy */
	certauto__list names;        /* of the request, sorted */
	struct certauto__order_name *results;
	char *profile;
	int profile_required;
	char *preferred_chain;       /* as certauto_order_set_preferred_chain() takes it; NULL */
	char *replaces;              /* certID; NULL */
	int64_t not_before, not_after; /* 0 = as the CA does it */
	struct certauto__order_use *uses;
	size_t n_uses;
	int status;
	char *url;
	certauto__certs *chain;      /* accepted; NULL until issued */
	certauto__buffer rejected;   /* chain that failed acceptance, for diagnosis */
	int replaces_refused;        /* the CA did not take `replaces`: not to be told again */
	int started;
	certauto_store *lock_of;     /* shared (+1) while lock is held: of its record */
	void *lock;
};

/* 1: a journal of that id is of an order by itself, not of a certificate in a configuration. */
int certauto__order_is_record(const char *id);

int certauto__account_make(certauto_account **out, certauto_context *cx, const char *server,
	certauto_error *err);
int certauto__account_add_contact_text(certauto_account *account, const char *uri,
	certauto_error *err);
/* data: base64url, as the CA gives it. CERTAUTO_EINVAL, without the value. */
int certauto__account_set_eab(certauto_account *account, const char *kid, const void *data,
	size_t len, certauto_error *err);
int certauto__account_set_eab_alg(certauto_account *account, const char *alg, certauto_error *err);
int certauto__account_set_key_type(certauto_account *account, const char *type,
	certauto_error *err);
int certauto__account_allow_host(certauto_account *account, const char *host, certauto_error *err);
/* The peer, made at first use (the key is loaded, through the account's store). One reference for
 * the caller. */
int certauto__account_peer(certauto_account *account, certauto__peer **out, certauto_error *err);

/* csr_owner: NULL; req is copied. */
int certauto__order_make(certauto_order **out, certauto_account *account,
	const certauto__req *req, certauto_error *err);
int certauto__order_add_use(certauto_order *order, const char *pattern, const char *challenge,
	certauto_target *target, certauto_error *err);

/* what it holds; may be used again */
void certauto__renewal_free(struct certauto__renewal *renewal);
/* Replaces what out holds. */
int certauto__renewal_copy(struct certauto__renewal *out, const struct certauto__renewal *renewal);
/* certID of a leaf (RFC 9773 4.1). CERTAUTO_EUNSUPPORTED: it has no authority key identifier. */
int certauto__renewal_id(certauto__buffer *out, const certauto__certs *certs, certauto_error *err);
/* 1 if the CA should be asked now: check_at has passed, or it is for another certificate; never for
 * one that has expired. */
int certauto__renewal_is_due(const struct certauto__renewal *renewal, const char *id,
	int64_t not_after, int64_t now);
/* The CA could not be asked, or gave no sensible answer: when to try again, window kept if it is
 * for the same certificate. */
void certauto__renewal_failed(struct certauto__renewal *renewal, const char *id,
	const certauto_error *error, int64_t now);

/* env of certauto__renewal_table. */
struct certauto__renewal_question {
	char *id;                        /* certID asked for */
	int64_t not_after;               /* of the certificate */
	struct certauto__renewal renewal; /* before: what is known; after: what the CA said */
	int required;                    /* 1: a CA without it is CERTAUTO_EUNSUPPORTED */
};

/* env of certauto__revoke_table. */
struct certauto__revocation {
	const certauto__certs *certs;    /* its leaf */
	const certauto__pkey *key;       /* the certificate's own; NULL: signed by the account */
	int reason;
};

/* Ends when the directory was read; changes nothing. env: certauto_account. */
extern const struct certauto__table certauto__directory_table;
/* Ends when the account is known (found by key, else created). env: certauto_account. */
extern const struct certauto__table certauto__register_table;
/* newOrder to an accepted chain in order->chain. env: certauto_order. Facts kept: order URL,
 * finalize and certificate URL: run again from the top it goes on where it was. A resumed order
 * that is invalid drops its facts and goes back to newOrder, once. */
extern const struct certauto__table certauto__order_table;
/* Renewal information of a certificate: fills the question's renewal. A CA without it leaves no
 * window, and is asked again after a day. env: struct certauto__renewal_question. */
extern const struct certauto__table certauto__renewal_table;
/* env: struct certauto__revocation. */
extern const struct certauto__table certauto__revoke_table;

#endif
