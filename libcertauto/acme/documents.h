/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACME_DOCUMENTS_H
#define CERTAUTO_ACME_DOCUMENTS_H

/* What a CA answers (RFC 8555 7.1): directory, order, authorization, challenge, account. Reading
 * is lenient about what is missing or null, strict about what is used: each URL is held against
 * the rules for URLs of a CA, each state must be one we know. */

#include "acme/problem.h"
#include "core/text.h"

#define CERTAUTO__CHALLENGES_MAX 32  /* challenges of one authorization; more are passed over */
#define CERTAUTO__ISSUERS_MAX 10     /* draft-ietf-acme-dns-persist: longer lists are refused */
#define CERTAUTO__IDENTIFIERS_MAX 1000

/* By which a document's URLs are judged, and how it is called in messages. */
struct certauto__origin {
	const char *server;                 /* directory URL */
	const certauto__list *allow_hosts;
	const char *what;                   /* "order https://..." */
};

struct certauto__directory {
	char *new_nonce, *new_account, *new_order;
	char *new_authz, *revoke_cert, *key_change, *renewal_info; /* NULL: not offered */
	char *terms_url, *website;          /* fit to be shown; NULL if there are none */
	certauto__list caa_identities;
	certauto__list profiles;            /* their names */
	int external_account_required;
};

void certauto__directory_free(struct certauto__directory *directory);
int certauto__directory_parse(struct certauto__directory *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err);

struct certauto__order_document {
	int status;                         /* CERTAUTO_ORDER_* */
	char *status_text;
	certauto__list names;               /* of the identifiers, as certauto__name_normal() */
	certauto__list authorizations;      /* URLs */
	char *finalize, *certificate;       /* URLs; NULL when not there */
	struct certauto__problem problem;
};

void certauto__order_document_free(struct certauto__order_document *order);
int certauto__order_document_parse(struct certauto__order_document *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err);

/* States of authorizations and of challenges. */
enum certauto__authz_status {
	CERTAUTO__AUTHZ_NONE,               /* the document does not say */
	CERTAUTO__AUTHZ_PENDING,
	CERTAUTO__AUTHZ_PROCESSING,         /* challenges only */
	CERTAUTO__AUTHZ_VALID,
	CERTAUTO__AUTHZ_INVALID,
	CERTAUTO__AUTHZ_ENDED               /* deactivated, expired or revoked */
};

struct certauto__challenge {
	char *type, *url, *token, *status_text;
	certauto__list issuers;             /* "issuer-domain-names" of dns-persist-01 */
	enum certauto__authz_status status;
	struct certauto__problem problem;
};

struct certauto__authz_document {
	enum certauto__authz_status status;
	char *status_text;
	char *name;                         /* identifier, normal; "*." before a wildcard */
	int wildcard;
	struct certauto__challenge challenges[CERTAUTO__CHALLENGES_MAX];
	size_t n_challenges;
};

void certauto__authz_document_free(struct certauto__authz_document *authz);
int certauto__authz_document_parse(struct certauto__authz_document *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err);
/* The challenge of that type; NULL when it is not offered. */
const struct certauto__challenge *certauto__authz_document_challenge(
	const struct certauto__authz_document *authz, const char *type);

void certauto__challenge_free(struct certauto__challenge *challenge);
int certauto__challenge_parse(struct certauto__challenge *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err);

struct certauto__account_document {
	char *status;                       /* fit to be shown; NULL when it does not say */
	int valid;                          /* 0: deactivated or revoked */
	certauto__list contacts;            /* fit to be shown */
	char *orders;                       /* URL; NULL */
};

void certauto__account_document_free(struct certauto__account_document *account);
int certauto__account_document_parse(struct certauto__account_document *out,
	const struct certauto__origin *origin, const void *data, size_t len, certauto_error *err);

/* One page of the list of orders: URLs, added to *out. */
int certauto__orders_document_parse(certauto__list *out, const struct certauto__origin *origin,
	const void *data, size_t len, certauto_error *err);

#endif
