/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_FE_H
#define CERTAUTO_TARGETS_FE_H

/* What the files of the flexibleengine target share. A cloud of that family has one API for each
 * service: IAM gives tokens, or each request is signed with an access key; DNS v2 has zones and
 * record sets, which change by and by; ELB has listeners and certificates. */

#include "jobs/target.h"
#include "json/writer.h"
#include "targets/rest.h"

#define CERTAUTO__FE_ID 128    /* bytes of an id, with the NUL */
#define CERTAUTO__FE_NAME 256  /* of a domain name or an object's name, with the NUL */
#define CERTAUTO__FE_CODE 64   /* of a refusal's code, with the NUL */

extern const struct certauto__table certauto__fe_present;
extern const struct certauto__table certauto__fe_deploy;
extern const struct certauto__table certauto__fe_test;

enum certauto__fe_service {
	CERTAUTO__FE_IAM,
	CERTAUTO__FE_DNS,
	CERTAUTO__FE_ELB,      /* v3 */
	CERTAUTO__FE_ELB_V2    /* v2.0, at a host of its own in some regions */
};

/* ---- signatures: fe_sign.c ---- */

/* One request as it is signed with SDK-HMAC-SHA256. */
struct certauto__fe_request {
	const char *method, *host;     /* host with its port, unless that is the usual one */
	const char *path, *query;      /* as sent; query without "?", NULL = none */
	const char *date;              /* "20191115T033655Z" */
	const certauto__list *headers; /* "Name: value", further ones to be signed; NULL = none */
	const void *body;
	size_t body_len;
};

/* The value of the header Authorization; also the digest of the canonical request, as 64 hex
 * digits, when digest_out is not NULL. */
int certauto__fe_sign(certauto__buffer *out, const struct certauto__fe_request *request,
	const char *access_key, const certauto__secret *secret_key, char digest_out[65]);

/* ---- session and calls: fe_session.c, fe_call.c ---- */

/* One for equal user, account, project and endpoints. Gets its token when the first call is
 * dressed, and another when that has expired or is refused: once. */
int certauto__fe_peer(certauto_target *target, certauto__peer **out, certauto_error *err);
/* 1: the options name services of another provider. */
int certauto__fe_is_elsewhere(const certauto_target *target);

/* A request to a service; path begins behind the service's version and project ("/zones",
 * "/listeners/ID"), query: NULL or as it is sent. method: static. */
certauto__verdict certauto__fe_call(certauto_job *job, certauto__exchange *x,
	enum certauto__fe_service service, const char *method, const char *path,
	const char *query);
/* The same with a path of parts, up to a NULL, of which every second one is an id that an option or
 * the cloud has told: "/zones/", ID, "/recordsets". */
certauto__verdict certauto__fe_call_at(certauto_job *job, certauto__exchange *x,
	enum certauto__fe_service service, const char *method, const char *const *parts,
	const char *query);
/* Starts a JSON writer on x's body; members are written by the caller, who opens and closes the
 * object. */
void certauto__fe_body(certauto__json *w, certauto__exchange *x);
/* Appends "name=value" to a query, the value encoded, "&" before it if it is not the first. */
void certauto__fe_arg(certauto__buffer *query, const char *name, const char *value);

/* Each object of the array `list` of an answer, as certauto__rest_rows() but with paths inside of
 * the object; marker_out: "", or where the next page begins, for the parameter marker. What is no
 * list but an object with a name around it: certauto__rest_rows(), "certificate.name". */
int certauto__fe_rows(const certauto__exchange *x, const char *list, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, char marker_out[CERTAUTO__FE_ID],
	certauto_error *err);

/* Code of the cloud's refusal: "DNS.0312", "ELB.8907"; of ELB v2.0 its type, "Conflict"; "" when
 * there is none. Returns out. */
const char *certauto__fe_code(const certauto__exchange *x, char out[CERTAUTO__FE_CODE]);
/* 1: the cloud's words have that text in them, whatever the case. */
int certauto__fe_says(const certauto__exchange *x, const char *text);
/* Fails the job: doing, the object, the cloud's status, code and words, and what to do about it.
 * For a step with CERTAUTO__ERRORS that has no other use for the answer. */
certauto__verdict certauto__fe_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* Sets err to that; returns its code: EPERM, EAUTH, ENOTFOUND, EBUSY, EREFUSED. */
int certauto__fe_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing);
/* 1: the object is being changed at the moment (DNS.0021, DNS.0209, DNS.0314; 409 of the ELB but to
 * a DELETE, a load balancer in PENDING_UPDATE): to be asked again, nothing was done. */
int certauto__fe_is_busy(const certauto__exchange *x);
/* 1: more requests than are allowed in a time. */
int certauto__fe_is_throttled(const certauto__exchange *x);
/* 1: as many objects as are allowed are there. */
int certauto__fe_is_full(const certauto__exchange *x);
/* 1: what is not there is the whole API, not the object. */
int certauto__fe_is_unknown(const certauto__exchange *x);
/* 1: such an object is there already. */
int certauto__fe_is_taken(const certauto__exchange *x);
/* 1: something refers to what was to be deleted. */
int certauto__fe_is_in_use(const certauto__exchange *x);
/* undo_read: NEXT when it is taken back or was not there any more, FAIL else. */
certauto__verdict certauto__fe_gone(certauto_job *job, certauto__exchange *x);

/* 1: listeners of that protocol have certificates; NULL: it is not told. */
int certauto__fe_serves_tls(const char *protocol);

/* ---- what things are called: fe_names.c ---- */

/* Of the target in use, whatever table the job is of: env is a certauto_target or a struct
 * certauto__deployment. */
const certauto_target *certauto__fe_target(const certauto_job *job);
/* Option certificate (with "-KEY" behind it where the certificate has several keys), else
 * prefix-NAME-KEY; "-DIGEST" of the leaf behind it when leaf is not NULL: a name used once. */
void certauto__fe_certificate(char out[CERTAUTO__FE_NAME],
	const struct certauto__deployment *deployment, const certauto__certs *leaf);

/* ---- rights: fe_recipe.c ---- */

int certauto__fe_recipe(const certauto_target *target, certauto__buffer *out,
	certauto_error *err);

#endif
