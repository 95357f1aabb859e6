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

struct certauto_account {
	struct certauto__object object;
	char *name;                  /* in the store; "default" */
	char *server;                /* directory URL */
	char *ca_file;
	certauto__list contacts;
	certauto__list allow_hosts;  /* other hosts this CA's URLs may name */
	int agree_tos;
	certauto__pkey *pkey;        /* NULL until given, loaded or made */
	certauto_key *key;           /* the handle pkey was borrowed from; or NULL: pkey is owned */
	certauto_store *store;       /* shared (+1); may be NULL */
	char *url;                   /* account URL, once known */
	char *terms_url;
	certauto__peer *peer;        /* made at the first job */
};

struct certauto__order_use {         /* first pattern that matches serves the name */
	char *pattern;               /* "*" = all */
	char *challenge;             /* "http-01" */
	certauto_target *target;     /* shared (+1) */
};

struct certauto_order {
	struct certauto__object object;
	certauto_account *account;   /* shared (+1) */
	certauto__req *req;          /* owned copy */
	certauto__list names;        /* of the request, sorted */
	char *profile;
	struct certauto__order_use *uses;
	size_t n_uses;
	int status;
	char *url;
	certauto__certs *chain;      /* accepted; NULL until issued */
	certauto__buffer rejected;   /* chain that failed acceptance, for diagnosis */
	int started;
};

int certauto__account_make(certauto_account **out, certauto_context *cx, const char *server,
	certauto_error *err);
int certauto__account_add_contact_text(certauto_account *account, const char *uri,
	certauto_error *err);
/* The peer, made at first use (the key is loaded, through the account's store). One reference for
 * the caller. */
int certauto__account_peer(certauto_account *account, certauto__peer **out, certauto_error *err);

/* csr_owner: NULL; req is copied. */
int certauto__order_make(certauto_order **out, certauto_account *account,
	const certauto__req *req, certauto_error *err);
int certauto__order_add_use(certauto_order *order, const char *pattern, const char *challenge,
	certauto_target *target, certauto_error *err);

/* Ends when the directory was read; changes nothing. env: certauto_account. */
extern const struct certauto__table certauto__directory_table;
/* Ends when the account is known (found by key, else created). env: certauto_account. */
extern const struct certauto__table certauto__register_table;
/* newOrder to an accepted chain in order->chain. env: certauto_order. Facts kept: order URL,
 * finalize and certificate URL: run again from the top it goes on where it was. A resumed order
 * that is invalid drops its facts and goes back to newOrder, once. */
extern const struct certauto__table certauto__order_table;

#endif
