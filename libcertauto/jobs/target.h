/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JOBS_TARGET_H
#define CERTAUTO_JOBS_TARGET_H

/* The private row of a target: how acme and fleet reach one without knowing its name. A target of
 * ours is one such row: options and step tables. One written outside (certauto/sys/target.h) is run
 * by the generic tables of targets/outside.c. */

#include <certauto/key.h>
#include <certauto/target.h>

#include "core/secret.h"
#include "core/text.h"
#include "crypto/crypto.h"
#include "jobs/job.h"

enum certauto__option_type {
	CERTAUTO__OPTION_TEXT,
	CERTAUTO__OPTION_PATH,      /* absolute */
	CERTAUTO__OPTION_NUMBER,
	CERTAUTO__OPTION_BOOLEAN,
	CERTAUTO__OPTION_LIST,      /* of texts, comma-separated */
	CERTAUTO__OPTION_ARGV       /* JSON array of strings */
};

struct certauto__option {
	const char *name;
	enum certauto__option_type type;
	int flags;                  /* CERTAUTO_OPTION_REQUIRED | SENSITIVE */
	const char *value;          /* default; NULL = none */
	const char *help;           /* one sentence, no full stop */
	int64_t min, max;           /* NUMBER */
	int needed_for;             /* CERTAUTO_TARGET_* that cannot be had while it is not set */
	int may_be_empty;           /* TEXT, LIST: an empty value switches the default off */
};

struct certauto__target_row {
	const char *name;
	int caps;
	/* Ends with a NULL name; the common ones are added to it. */
	const struct certauto__option *options;
	/* Fits the options together; the target's own checks. CERTAUTO_EINVAL. NULL = nothing to
	 * check. */
	int (*check)(certauto_target *target, certauto_error *err);
	/* That a certificate with so many keys can be deployed there, as far as the options tell;
	 * sends: its keys are to be sent. CERTAUTO_EINVAL, ETLS. NULL = it can. */
	int (*fits)(const certauto_target *target, size_t n_keys, int sends,
		certauto_error *err);
	/* The other side: one for all targets of equal type, url, user and tenant. NULL = none. */
	int (*peer)(certauto_target *target, certauto__peer **out, certauto_error *err);
	/* env: certauto_target. Facts, its own or its parent's: "name", "challenge", "token" (not
	 * for dns-persist-01), ".value": the key authorization for http-01 and tls-alpn-01
	 * (volatile: not there in undo). For the DNS challenges also "record", the owner of the TXT
	 * record without the last dot, and "txt", its text (there in undo: of several values that
	 * one is taken away). For tls-alpn-01 also "record": the SNI the CA will send. */
	const struct certauto__table *present;
	/* env: struct certauto__deployment */
	const struct certauto__table *deploy;
	/* Once for all deployments of a run to one peer, after them: what they did is made
	 * permanent and what they have replaced is removed. env: struct certauto__finish. NULL:
	 * each deployment does that itself. */
	const struct certauto__table *finish;
	/* env: certauto_target; READS steps only */
	const struct certauto__table *test;
	/* The device renews a certificate by itself now, and this waits for it. env:
	 * certauto_target; NULL = it does not do that. */
	const struct certauto__table *renew;
	/* NULL unless CSR; env: certauto_target; leaves the fact "csr", PEM. Facts, its own or its
	 * parent's: "name" of the certificate, "key" its type, "names" with commas between. */
	const struct certauto__table *csr;
	/* What the administrator of the device types for an account that can do this and no more;
	 * with the options as they are set. NULL = there is no such thing. */
	int (*recipe)(const certauto_target *target, certauto__buffer *out, certauto_error *err);
	/* Of the proof, at most; 0 = the option timeout_ms. */
	int64_t patience_ms;
	/* Others work on the device too: each renewal run looks whether all is as it was deployed,
	 * by a deployment that then has nothing to do, and mends what is not. */
	int drifts;
	/* 1: the way back of a deployment may need the key that was served before. */
	int wants_former;
	/* What a target of this row may become by its options, with a deploy table of its own. NULL
	 * = nothing. */
	const struct certauto__target_row *other;
};

/* The rows of this library, NULL at the end; defined by targets/targets.c. */
extern const struct certauto__target_row *const certauto__target_rows[];

/* A type added to one context with certauto_context_add_target(); the list hangs on
 * cx->target_types. */
struct certauto__target_type {
	const struct certauto__target_row *row;
	/* a new target of it */
	void (*attach)(certauto_target *target, struct certauto__target_type *type);
	struct certauto__target_type *next;
};

struct certauto_target {
	struct certauto__object object;
	const struct certauto__target_row *row;
	struct certauto__option_value *values;  /* as many as n_options, in table order */
	size_t n_options;
	char *label;                            /* name in the config, or the type: for messages */
	void *outside;                          /* targets/outside.c */
	void (*outside_free)(void *);
	char *csr;                              /* PEM of the last request made; public.c */
};

/* What was proved on the wire. */
enum certauto__proof {
	CERTAUTO__PROOF_NONE,
	CERTAUTO__PROOF_SERVED,
	CERTAUTO__PROOF_UNPROVED
};

/* What a deploy job hangs on. Made for each job; undo after a kill has target, name, key_type and
 * what was there before only. */
struct certauto__deployment {
	certauto_target *target;     /* shared (+1) */
	char *name;                  /* of the certificate: [A-Za-z0-9._-] */
	char *key_type;              /* "ecdsa-p256", or "csr" */
	int n_keys;                  /* of the certificate: with one, no file carries a suffix */
	char *generation;            /* "gen-3-1a2b3c4d"; "api" without a store */
	certauto__certs *chain;      /* owned; NULL in undo after a kill */
	certauto__pkey *key;         /* owned; NULL when it is kept elsewhere */
	certauto__pkey *former_key;  /* owned; of what was served before, if its row wants that and
	                                it is known */
	char former[65];             /* SHA-256 of that certificate; "" = not known */
	certauto_chain *chain_of;    /* shared (+1) or NULL: if set, chain is borrowed from it */
	certauto_key *key_of;        /* the same for key */
	certauto__list names;        /* of the certificate */
	int recovering;              /* an earlier run did not get to its end: what it has left is
	                                looked for */
	enum certauto__proof proof;  /* result */
	certauto__list superseded;   /* result: what its finish is to remove, as its target's tables
	                                name it */
};

/* What a finish job hangs on: deployments that went well, each with target, name, key_type, n_keys,
 * recovering and superseded. */
struct certauto__finish {
	certauto_target *target;     /* shared (+1): one of the deployments' */
	struct certauto__deployment **deployments; /* borrowed */
	size_t n_deployments;
};

/* Starts the finish of deployments to one peer as a child of job; NULL as certauto__child_start().
 * A copy of the array is made, the deployments must outlive the child. It has no record: what a
 * killed one leaves is looked for by the next, which is told that it is recovering. */
certauto_job *certauto__finish_child(certauto_job *job, const char *key,
	struct certauto__deployment **deployments, size_t n_deployments);
/* Why what a target serves is not saved there, or not all is done that was to be done after that:
 * of an ended deploy or finish child of it. */
void certauto__unsaved_error(certauto_error *out, const certauto_job *child, const char *label);
/* Starts the csr table of target as a child of job, whose facts tell what for:
 * certauto__csr_facts() sets them, or with name NULL takes them away. */
int certauto__csr_facts(certauto_job *job, const char *name, const char *key_type,
	const certauto__list *names);
certauto_job *certauto__csr_child(certauto_job *job, certauto_target *target);
/* The request such a child was given by the device, as PEM, after the JOIN; it has all of names, or
 * EPROTO. */
int certauto__csr_take(certauto_job *job, const certauto_target *target,
	const certauto__list *names, certauto__buffer *out, certauto_error *err);

struct certauto__deployment *certauto__deployment_new(certauto_target *target, const char *name,
	const char *key_type);
void certauto__deployment_free(void *deployment);
/* The key_type of a deployment without a key: that of the leaf where the target may have made it,
 * for by that its request was named; else "csr". */
const char *certauto__deployment_keyless(const certauto_target *target,
	const certauto__certs *chain);
/* "ecdsa" or "rsa": of the leaf. */
const char *certauto__deployment_family(const struct certauto__deployment *deployment);

/* Row of a type, built in or added to cx; NULL if there is none. i-th type of all; NULL past the
 * end. */
const struct certauto__target_row *certauto__target_row_find(const certauto_context *cx,
	const char *type);
const struct certauto__target_row *certauto__target_row_at(const certauto_context *cx, size_t i);
/* A target of a row that no context needs to know; label NULL: the row's name. */
int certauto__target_make_row(certauto_target **out, certauto_context *cx,
	const struct certauto__target_row *row, const char *label, certauto_error *err);
/* Makes a target of a type; label as in struct certauto_target. ENOTFOUND lists the types. */
int certauto__target_make(certauto_target **out, certauto_context *cx, const char *type,
	const char *label, certauto_error *err);
int certauto__target_set_option(certauto_target *target, const char *name, const char *value,
	certauto_error *err);
int certauto__target_check_options(certauto_target *target, certauto_error *err);
/* What it can do as it is configured; as long as no option is set: what its type can do. */
int certauto__target_caps(const certauto_target *target);
/* That it can do cap (one bit) as it is configured: EUNSUPPORTED, naming the option that is
 * missing. */
int certauto__target_able(const certauto_target *target, int cap, certauto_error *err);
/* That a certificate can be deployed there: before a CA is asked for it. sends: its keys are
 * neither the target's own nor kept elsewhere. */
int certauto__target_fits(const certauto_target *target, size_t n_keys, int sends,
	certauto_error *err);
/* CERTAUTO_OPTION_* flags of an option, -1 if there is none: for readers of configurations. */
int certauto__target_option_info(const certauto_target *target, const char *name,
	enum certauto__option_type *type_out);

/* Values; NULL, 0 or an empty list when not set and without default. */
const char *certauto__option_text(const certauto_target *target, const char *name);
int64_t certauto__option_number(const certauto_target *target, const char *name);
int certauto__option_flag(const certauto_target *target, const char *name);
/* LIST, ARGV */
const certauto__list *certauto__option_list(const certauto_target *target, const char *name);
int certauto__option_is_set(const certauto_target *target, const char *name);

/* Starts the deploy of a deployment as a child of job (held until it ends: its peer's turn is
 * taken). */
certauto_job *certauto__deploy_child(certauto_job *job, const char *key,
	struct certauto__deployment *deployment);
/* Starts the present of a challenge as a held child of job; facts as in struct
 * certauto__target_row. */
certauto_job *certauto__present_child(certauto_job *job, const char *key, certauto_target *target);

/* The facts of a challenge that follow from the key authorization, for a present table below job:
 * "record" and, for the DNS ones, "txt". value NULL or "" (a plan): "record" alone. account_url:
 * for dns-account-01 only, which is EUNSUPPORTED without. */
int certauto__present_facts(certauto_job *job, const char *challenge, const char *name,
	const char *value, const char *account_url);
/* 1 if that can be a token or a key authorization: base64url and a dot (RFC 8555 8.1). They go into
 * command lines, expressions and documents of devices. NULL is none. */
int certauto__challenge_is_text(const char *text);
/* Before http-01 is answered by target: that it can, and that "token" and ".value" are such texts,
 * which a plan may lack. NEXT or FAILED. */
certauto__verdict certauto__challenge_begin(certauto_job *job, const certauto_target *target);
/* The certificate that answers a tls-alpn-01 challenge and its key, PEM, in this order; from the
 * facts "name" and ".value". A new pair each time. */
int certauto__present_pair(certauto__buffer *out, const certauto_job *job, certauto_error *err);

/* ---- steps every target shares ---- */

/* "prove": a handshake at each of the target's `probe` addresses (or each name at 443), with SNI,
 * for the leaf's key type, until the leaf's SHA-256 is the wanted one or patience_ms have passed:
 * ENOTSERVED. env: struct certauto__deployment; its proof is set. */
certauto__verdict certauto__prove_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__prove_read(certauto_job *job, certauto__exchange *x);
int certauto__prove_each(certauto_job *job);
#define CERTAUTO__STEP_PROVE \
	{ \
		.name = "prove", .ask = certauto__prove_ask, .read = certauto__prove_read, \
		.each = certauto__prove_each, .flags = CERTAUTO__READS | CERTAUTO__ERRORS \
	}

/* "check": fetches http://NAME/.well-known/acme-challenge/TOKEN as a CA would, through the target's
 * `challenge_check`, until the key authorization comes back. env: certauto_target. */
certauto__verdict certauto__challenge_check_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__challenge_check_read(certauto_job *job, certauto__exchange *x);
#define CERTAUTO__STEP_CHALLENGE_CHECK \
	{ \
		.name = "check", .ask = certauto__challenge_check_ask, \
		.read = certauto__challenge_check_read, \
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS \
	}

/* For targets that answer dns-01: first and last step of their present table, target_dns.c. env:
 * certauto_target; ask the DNS by dns/dns.h.
 * "delegation": the fact "record" becomes where CNAMEs lead (RFC 8555 8.4), or the option
 * dns_alias: durable, for undo takes the value away there. Without an answer it stays as it is.
 * "seen": until every authoritative name server of the record's zone, or those of the option
 * dns_check, has the text of the fact "txt" among its values. */
certauto__verdict certauto__dns_delegation_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__dns_delegation_read(certauto_job *job, certauto__exchange *x);
#define CERTAUTO__STEP_DNS_DELEGATION \
	{ \
		.name = "delegation", .ask = certauto__dns_delegation_ask, \
		.read = certauto__dns_delegation_read, \
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS | CERTAUTO__ANYHOW \
	}
certauto__verdict certauto__dns_seen_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__dns_seen_read(certauto_job *job, certauto__exchange *x);
#define CERTAUTO__STEP_DNS_SEEN \
	{ \
		.name = "seen", .ask = certauto__dns_seen_ask, .read = certauto__dns_seen_read, \
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS | CERTAUTO__ANYHOW \
	}

/* "host:port" with a port of its own or the default one; IPv6 in brackets. EINVAL: it is none. */
#define CERTAUTO__ADDRESS 300 /* size of out */
int certauto__address_format(char *out, const char *text, int default_port);
/* 1 if what that has given is an address with its port, not a name. */
int certauto__address_is_ip(const char *address);

/* A key may be sent to this target: TLS is verified at all its URLs, or allow_key_over_insecure is
 * set.
 * CERTAUTO_ETLS. */
int certauto__target_may_take_key(const certauto_target *target, certauto_error *err);

#endif
