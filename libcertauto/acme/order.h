/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACME_ORDER_H
#define CERTAUTO_ACME_ORDER_H

/* What the order's table and that of its authorizations share. */

#include "acme/peer.h"

/* One authorization: looked at, answered, waited for. env: certauto_order. Its key is
 * the authorization's URL: which name it is for is not known before. */
extern const struct certauto__table certauto__authz_table;
/* The authorization an exchange was answered with. */
int certauto__authz_take(certauto_job *job, const certauto__exchange *x,
	struct certauto__authz_document *out, certauto_error *err);
/* One that is not pending, looked at for the reason alone: FAILED if the CA has said no. */
certauto__verdict certauto__authz_why(
	certauto_job *job, const struct certauto__authz_document *authz);

/* A type of challenge (challenge.c): what is shown for it, and where. */
struct certauto__challenge_type {
	const char *name;                   /* "dns-01" */
	int cap;                            /* CERTAUTO_TARGET_* of the target that shows it */
	int wildcards, addresses;           /* proves wildcards, IP addresses */
	int token;                          /* has a token */
};

/* NULL: there is none of that name. i-th; NULL past the end. */
const struct certauto__challenge_type *certauto__challenge_type(const char *name);
const struct certauto__challenge_type *certauto__challenge_type_at(size_t i);
/* 1 if a challenge of that type can prove name: a wildcard, an address. */
int certauto__challenge_proves(const struct certauto__challenge_type *type, const char *name);
/* Sets the facts a target's present table reads (jobs/target.h) on an authorization's job. */
int certauto__challenge_facts(certauto_job *job, const struct certauto__challenge_type *type,
	const struct certauto__challenge *offered, const char *name, certauto_error *err);

/* Who answers for name: the first use that matches it and whose type is in offered (NULL: any);
 * NULL = nobody. */
const struct certauto__order_use *certauto__order_use_of(const certauto_order *order,
	const char *name, const struct certauto__authz_document *offered);
/* Its place among the order's names, and what became of it. */
void certauto__order_name_set(certauto_order *order, const char *name, int status,
	const certauto_error *error);
/* order_options.c: none, too many, one twice, one that a wildcard covers. names are sorted.
 * CERTAUTO_EINVAL. */
int certauto__order_names_check(const certauto__list *names, certauto_error *err);
void certauto__order_names_valid(certauto_order *order);
/* Those that a refusal of the whole order is about, by its subproblems. */
void certauto__order_names_failed(certauto_order *order, const certauto_error *error);

/* ---- steps of certauto__order_table ---- */

/* It cannot be revived, or is not the one that is wanted: nothing of it may lead the next run back
 * to it. */
void certauto__order_forget(certauto_job *job);
/* A fact of URLs, one a line; none: it goes. */
int certauto__order_set_urls(certauto_job *job, const char *fact, const certauto__list *urls);

/* order_new.c */
void certauto__order_failed(certauto_job *job, certauto_error *error);
certauto__verdict certauto__order_limits_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__order_profile_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__order_ask(certauto_job *job, certauto__exchange *x);
/* newOrder was: AGAIN when it may be for something that can be left out. */
certauto__verdict certauto__order_refused(certauto_job *job, certauto__exchange *x);

/* spare.c. Facts: "spare" (URL of the order that was given up), ".spare" (its authorizations). */
certauto__verdict certauto__spare_look_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__spare_look_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__spare_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__spare_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__spare_undo(certauto_job *job, certauto__exchange *x);
/* An invalid order has not told why: JOIN, and when they have been looked at FAILED with what they
 * tell, or NEXT: nothing. */
certauto__verdict certauto__spare_reasons(certauto_job *job);

/* chains.c */
certauto__verdict certauto__download_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__download_read(certauto_job *job, certauto__exchange *x);
int certauto__alternates_each(certauto_job *job);
certauto__verdict certauto__alternates_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__alternates_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__chain_ask(certauto_job *job, certauto__exchange *x);

/* ---- chains ---- */

/* Takes, of a chain and its alternates, the one that preferred asks for: 1 if certs fits.
 * chains.c */
int certauto__chain_fits(const certauto__certs *certs, const char *preferred);
/* 1 if certs should be taken in place of `than`. */
int certauto__chain_is_better(const certauto__certs *certs, const certauto__certs *than,
	const char *preferred);
/* 1 if preferred ("shortest") compares chains, so that none of them can be said to be missing. */
int certauto__chain_is_compared(const char *preferred);
/* As certauto_order_set_preferred_chain() takes it. CERTAUTO_EINVAL. */
int certauto__preferred_chain_check(const char *preferred, certauto_error *err);
/* What can be known to fail before anything is sent: a name nobody answers for, http-01 for a
 * wildcard, the account's key in the certificate. CERTAUTO_EINVAL. */
int certauto__order_check(const certauto_order *order, certauto_error *err);

#endif
