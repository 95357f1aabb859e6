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
	const char *challenge;   /* static: "http-01"; NULL in "deploy" */
	certauto__list patterns; /* of names it serves; empty: all */
	certauto_target *target; /* shared (+1); with the entry's own options, if it has some.
	                            NULL: a dns-persist-01 record that is there for good */
};

struct certauto__certificate {
	char *name;
	certauto_account *account;   /* shared (+1) */
	certauto__list names;
	certauto__list keys;         /* a lineage each; "csr" alone for an outside CSR */
	certauto__req *csr;          /* NULL unless outside */
	certauto_target *maker;      /* shared (+1): makes the keys, which never leave it; NULL = we
	                                do */
	int reuse_key;
	char *profile;               /* NULL = none */
	int profile_required;
	char *preferred_chain;       /* NULL = the CA's first */
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
	int64_t renew_before;        /* what would come due before counts as due; 0 */
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
	int unfinished;          /* an earlier run may have left something there, also when the
	                            state tells of a newer certificate */
	certauto_error error;    /* code 0: none */
};

struct certauto__lineage_state {
	struct certauto__renewal renewal; /* told by the CA; id NULL = not asked yet */
	char *revoked;           /* serial of the certificate that was revoked; NULL. It is due. */
	int key_compromised;     /* that certificate's key is never to be used again */
	int64_t early_at;        /* when the CA's word alone last led to a new certificate; 0 */
	char *no_replaces;       /* certID which the CA does not take as replaced; NULL */
	int64_t failing_since;   /* first of the failures in a row; 0 */
	char *identity;          /* of what was configured when the last order failed; NULL */
	int stopped;             /* it will not go away by asking again: only by name, or by force,
	                            or once what was configured has changed */
	int64_t retry_at;        /* not before: own backoff */
	int64_t limited_until;   /* not before: the CA's word, which nothing overrides */
	char *limited_by;        /* directory of that CA; NULL = not known */
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
	char *id;                /* certID of the current certificate; NULL: it has none */
	struct certauto__lineage_state state;
	int journaled;           /* an earlier run left a record */
};

/* What a run is asked to do beyond what is due. */
struct certauto__wish {
	int forced;              /* renew it whatever its age */
	int named;               /* asked for by name: own backoff does not count */
	int64_t renew_before;    /* what comes due before is due; 0 */
};

int certauto__view_load(struct certauto__view *out, certauto_store *store, const char *name,
	const char *key, certauto_error *err);
void certauto__view_free(struct certauto__view *view);
/* When it should be renewed; 0 = never issued. */
int64_t certauto__view_renew_at(const struct certauto__view *view);
/* Is target served with the current generation? */
int certauto__view_deployed(const struct certauto__view *view, const char *label);
/* Is target served with it, and it would be gone after a restart of the device? */
int certauto__view_unsaved(const struct certauto__view *view, const char *label);
/* 1 if it comes due at that time only because the CA says so. */
int certauto__view_is_early(const struct certauto__view *view, int64_t now);
/* Was the current certificate revoked? */
int certauto__view_revoked(const struct certauto__view *view);
/* 1 if the certificate is from a CSR from outside that has not changed since. */
int certauto__view_same_csr(const struct certauto__view *view,
	const struct certauto__certificate *certificate);
/* What renew would do. why (size at least CERTAUTO__WHY_SIZE) says it for people. */
#define CERTAUTO__WHY_SIZE 256
enum certauto__action certauto__view_action(const struct certauto__view *view,
	const struct certauto__certificate *certificate, const struct certauto__wish *wish,
	int64_t now, char *why, size_t why_size);
/* Digest of what is configured: names in any order, CA, account, key, profile, CSR. A record, and
 * that it was given up, belong to it. */
int certauto__lineage_identity(char out[65], const struct certauto__certificate *certificate,
	const char *key, certauto_error *err);
/* After a failed order: own backoff and the CA's word. identity as above; NULL = not known. */
void certauto__state_failed(struct certauto__lineage_state *state, const certauto_error *error,
	const char *identity, int64_t now);
/* What is configured is not what failed: own backoff and having given up count no more. */
void certauto__state_configured(struct certauto__lineage_state *state, const char *identity);
/* The CA that will be asked: the limit of another one does not count. */
void certauto__state_server(struct certauto__lineage_state *state, const char *server);
/* Would an order that is due be left alone, for it would fail as the last has? */
int certauto__state_stopped(const struct certauto__lineage_state *state,
	const struct certauto__wish *wish);
/* Until when an order that is due has to wait; 0 = it need not. */
int64_t certauto__state_blocked(const struct certauto__lineage_state *state,
	const struct certauto__wish *wish, int64_t now);
/* A new certificate is there: what was kept of the one before goes. early: see
 * certauto__view_is_early(). */
void certauto__state_issued(struct certauto__lineage_state *state, int early, int64_t now);

/* ---- jobs ---- */

enum certauto__mode {
	CERTAUTO__MODE_RENEW,
	CERTAUTO__MODE_DEPLOY,
	CERTAUTO__MODE_SETTLE,
	CERTAUTO__MODE_REVOKE
};

struct certauto__unsaved {       /* deployed in this run to a target that is finished later */
	const struct certauto__use *use;         /* borrowed from the fleet, like result */
	struct certauto__result *result;
	struct certauto__deployment *deployment; /* what its finish needs of it */
	char fingerprint[65];
	certauto__peer *peer;    /* borrowed: to be told from others */
	int group;               /* it is finished with the others of that number; 0 = not yet */
	int settled;             /* how that ended is kept */
	struct certauto__unsaved *next;
};

struct certauto__run {           /* env of the fleet's job; its children borrow it */
	certauto_fleet *fleet;   /* shared (+1) */
	struct certauto__unsaved *unsaved;
	int n_groups;
	enum certauto__mode mode;
	struct certauto__wish wish;
	int reason, by_key;      /* of a revocation */
	const struct certauto__certificate **certificates;
	size_t n_certificates;
};

/* finish.c: what was deployed is made permanent, once for each device. Notes one; ENOMEM. */
int certauto__unsaved_add(struct certauto__run *run, const struct certauto__use *use,
	struct certauto__deployment *deployment, const char *fingerprint,
	struct certauto__result *result);
void certauto__unsaved_free(struct certauto__run *run);
/* A step of the fleet's job, or its undo: nothing but what was noted and not begun yet. */
certauto__verdict certauto__unsaved_ask(certauto_job *job, certauto__exchange *x);
/* At its end: what never came to its turn. */
void certauto__unsaved_ended(certauto_job *job, struct certauto__run *run);

#define CERTAUTO__LOCK_CERT "cert" /* scope of the locks of lineages */
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
/* "later" where the code says that something has to be waited for, else "failed". */
const char *certauto__outcome_of(int code);

#endif
