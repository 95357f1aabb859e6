/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_FLEET_FLEET_H
#define CERTAUTO_FLEET_FLEET_H

/* A configuration, and what is done with all of it. config*.c read it; lineage.c is the life of
 * one certificate with one key; renew.c runs many of them; state.c and status.c keep and tell
 * how they are. */

#include <certauto/fleet.h>

#include "acme/acme.h"
#include "core/object.h"
#include "core/text.h"
#include "crypto/crypto.h"
#include "jobs/job.h"
#include "jobs/target.h"
#include "json/writer.h"
#include "store/store.h"

/* ---- what the configuration says ---- */

struct certauto__use {           /* of a target: an entry of "deploy" or "challenge" */
	char *label; /* unique in its list: "edge"; a second entry for the same target "edge#2" */
	char *challenge;         /* "http-01"; NULL in "deploy" */
	certauto__list patterns; /* of names it serves; empty: all */
	certauto_target *target; /* shared (+1); with the entry's own options, if it has some */
};

struct certauto__certificate {
	char *name;
	certauto_account *account;   /* shared (+1) */
	certauto__list names;
	certauto__list keys;         /* a lineage each; "csr" alone for an outside CSR */
	certauto__req *csr;          /* NULL unless outside */
	int reuse_key;
	struct certauto__use *challenges, *deploys;
	size_t n_challenges, n_deploys;
};

struct certauto__result {        /* of the last run: one for each lineage, account or target */
	char *name, *key;        /* key may be NULL */
	const char *outcome;     /* "done" "unchanged" "failed" "later"; NULL = not yet */
	certauto_error error;
};

struct certauto_fleet {
	struct certauto__object object;
	certauto_store *store;
	certauto_account **accounts;
	size_t n_accounts;
	certauto_target **targets;   /* their label is the name */
	size_t n_targets;
	struct certauto__certificate *certificates;
	size_t n_certificates;
	int running;                 /* a job works with results */
	struct certauto__result *results;
	size_t n_results;
};

/* config.c: file is what errors name. */
int certauto__fleet_make(certauto_fleet **out, certauto_context *cx, const char *file,
	const void *data, size_t len, certauto_error *err);
certauto_account *certauto__fleet_find_account(const certauto_fleet *fleet, const char *name);
certauto_target *certauto__fleet_find_target(const certauto_fleet *fleet, const char *name);
/* As a caller names it: CERTAUTO_ENOTFOUND lists those that there are. */
int certauto__fleet_named(const struct certauto__certificate **out, const certauto_fleet *fleet,
	const char *name, certauto_error *err);
struct certauto__certificate *certauto__fleet_find_certificate(const certauto_fleet *fleet,
	const char *name);

/* ---- how a lineage is: status.json ---- */

#define CERTAUTO__STATE_PENDING "pending"
#define CERTAUTO__STATE_DEPLOYED "deployed"
#define CERTAUTO__STATE_NOT_SAVED "active-not-saved"
#define CERTAUTO__STATE_ROLLED_BACK "rolled-back"
#define CERTAUTO__STATE_FAILED "failed"
#define CERTAUTO__STATE_INCONSISTENT "inconsistent"
#define CERTAUTO__STATE_UNPROVED "unproved"

struct certauto__target_state {
	char *name;
	char *state;
	char *fingerprint;       /* that is served, as far as is known; NULL */
	int64_t checked_at;      /* 0 unknown */
	certauto_error error;    /* code 0: none */
};

struct certauto__lineage_state {
	int64_t renew_at;        /* told by the CA; 0 = not told */
	int64_t retry_at;        /* not before: own backoff */
	int64_t limited_until;   /* not before: the CA's word, which nothing overrides */
	int64_t failures;        /* orders in a row that failed */
	certauto_error error;    /* of the last order; code 0: none */
	struct certauto__target_state *targets;
	size_t n_targets;
};

/* Nothing kept yet is an empty state. EIO. */
int certauto__state_load(struct certauto__lineage_state *out, certauto_store *store,
	const char *name, const char *key, certauto_error *err);
int certauto__state_save(const struct certauto__lineage_state *state, certauto_store *store,
	const char *name, const char *key, certauto_error *err);
void certauto__state_free(struct certauto__lineage_state *state); /* and may be used again */
/* Entry of a target, made ("pending") if there is none; NULL: ENOMEM. */
struct certauto__target_state *certauto__state_target(struct certauto__lineage_state *state,
	const char *name);
const struct certauto__target_state *certauto__state_find(const struct certauto__lineage_state
								  *state,
	const char *name);
int certauto__target_state_set(struct certauto__target_state *target, const char *state,
	const char *fingerprint);
/* Forgets targets the certificate is no longer deployed to. */
void certauto__state_prune(struct certauto__lineage_state *state,
	const struct certauto__certificate *certificate);
/* Writes an error as the ERROR object, or null. */
void certauto__error_write(certauto__json *w, const certauto_error *error);

/* ---- what is due: due.c ---- */

enum certauto__action {
	CERTAUTO__NOTHING,
	CERTAUTO__SETTLE,        /* an earlier run left something */
	CERTAUTO__DEPLOY,
	CERTAUTO__RENEW,
	CERTAUTO__ISSUE
};

/* A lineage as it is now. */
struct certauto__view {
	struct certauto__generation current; /* id NULL: never issued */
	certauto__certs *chain;
	struct certauto__lineage_state state;
	int journaled;           /* an earlier run left a record */
};

int certauto__view_load(struct certauto__view *out, certauto_store *store, const char *name,
	const char *key, certauto_error *err);
void certauto__view_free(struct certauto__view *view);
/* When it should be renewed; 0 = never issued. */
int64_t certauto__view_renew_at(const struct certauto__view *view);
/* Is target served with the current generation? */
int certauto__view_deployed(const struct certauto__view *view, const char *label);
/* What renew would do. why (size at least 256) says it for people. */
enum certauto__action certauto__view_action(const struct certauto__view *view,
	const struct certauto__certificate *certificate, int forced, int64_t now, char *why,
	size_t why_size);
/* After a failed order: own backoff and the CA's word. */
void certauto__state_failed(struct certauto__lineage_state *state, const certauto_error *error,
	int64_t now);

/* ---- jobs ---- */

enum certauto__mode { CERTAUTO__MODE_RENEW, CERTAUTO__MODE_DEPLOY, CERTAUTO__MODE_SETTLE };

struct certauto__run {           /* env of the fleet's job; its children borrow it */
	certauto_fleet *fleet;   /* shared (+1) */
	enum certauto__mode mode;
	int forced, named;       /* named: asked for by name, own backoff does not count */
	const struct certauto__certificate **certificates;
	size_t n_certificates;
};

/* "<name>-<key>": of journal and lock. size at least 160. */
void certauto__lineage_id(char *out, size_t size, const char *name, const char *key);

/* The lineage's guard: takes its lock, then runs it. env: struct certauto__lineage, made by
 * lineage_new, freed by lineage_free. result is filled when it has ended. */
extern const struct certauto__table certauto__guard_table;
void *certauto__lineage_new(struct certauto__run *run,
	const struct certauto__certificate *certificate, const char *key,
	struct certauto__result *result);
void certauto__lineage_free(void *lineage);
void certauto__guard_ended(certauto_job *job, void *lineage);

void certauto__result_set(struct certauto__result *result, const char *outcome,
	const certauto_error *error);

#endif
