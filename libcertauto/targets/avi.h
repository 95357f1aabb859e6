/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_AVI_H
#define CERTAUTO_TARGETS_AVI_H

/* What the files of the avi target share. The controller of Avi (NSX Advanced Load Balancer) has
 * one REST API: objects with names in tenants, referred to by URL, in a session by cookies. A
 * refusal is an HTTP status and {"error": "..."}; a write of a whole object tells which version it
 * changes. */

#include "jobs/target.h"
#include "json/writer.h"
#include "targets/rest.h"

#define CERTAUTO__AVI_NAME 256  /* bytes of an object's name, with the NUL */
#define CERTAUTO__AVI_UUID CERTAUTO__REST_ID /* "virtualservice-" and a UUID, with the NUL */

extern const struct certauto__table certauto__avi_present;
extern const struct certauto__table certauto__avi_deploy;
extern const struct certauto__table certauto__avi_test;
extern const struct certauto__table certauto__avi_renew;

/* ---- session and calls: avi_session.c, avi_call.c ---- */

/* One for equal url, user, tenant and version. Logs in when the first call is dressed, settles the
 * API version, logs out when the loop has nothing more to do. */
int certauto__avi_peer(certauto_target *target, certauto__peer **out, certauto_error *err);
/* The version the controller has, as it said at the login: "30.2.2"; "" before. */
const char *certauto__avi_version(const certauto_job *job);
/* The one that is spoken with it; "" before. */
const char *certauto__avi_speaks(const certauto_job *job);
/* 1, once for each session: to the first job that asks. What is looked for once in a run. */
int certauto__avi_first(const certauto_job *job);

/* A version as numbers, missing ones 0. Returns how much of text it was: 0, it is none. */
struct certauto__avi_version {
	int parts[4];
};
size_t certauto__avi_version_parse(struct certauto__avi_version *out, const char *text);

/* /api/TYPE, /api/TYPE/UUID. uuid, query: NULL or what it is; a query is encoded as it is, an
 * "/ACTION" is appended to x->url. method: static. For a body: begin with certauto__avi_body(); a
 * POST, PUT or PATCH has one, {} at least. */
certauto__verdict certauto__avi_call(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *type, const char *uuid, const char *query);
/* Starts a JSON writer on x's body; members are written by the caller, who opens and closes the
 * object. */
void certauto__avi_body(certauto__json *w, certauto__exchange *x);
/* Appends "name=value" to a query, the value encoded, "&" before it if it is not the first. */
void certauto__avi_arg(certauto__buffer *query, const char *name, const char *value);
/* What tells the object of a type that an option names: "uuid", out in lower case; or "name". */
const char *certauto__avi_key(char out[CERTAUTO__AVI_NAME], const char *type, const char *object);
/* "/api/TYPE/UUID" as value of a reference member. */
void certauto__avi_put_ref(certauto__json *w, const char *key, const char *type, const char *uuid);

/* Fails the job: doing, the object, the controller's status and words, and what to do about it. For
 * a step with CERTAUTO__ERRORS that has no other use for the answer. */
certauto__verdict certauto__avi_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* Sets err to that; returns its code: EPERM, EAUTH, ENOTFOUND, EBUSY (somebody else has changed it
 * meanwhile), EREFUSED. */
int certauto__avi_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing);
/* 1: it is not done, or not known to be: a refusal, or no answer. */
int certauto__avi_is_no(const certauto__exchange *x);
/* 1: the controller's words have that text in them, whatever the case. */
int certauto__avi_says(const certauto__exchange *x, const char *text);
/* 1: the object that was written has been changed by somebody else since it was read (412 but to a
 * DELETE; 409 of some releases, when method is PUT). */
int certauto__avi_is_stale(const certauto__exchange *x);
/* 1: an object of that name is there already (409 to a POST). */
int certauto__avi_is_taken(const certauto__exchange *x);
/* 1: something refers to what was to be deleted. */
int certauto__avi_is_in_use(const certauto__exchange *x);
/* undo_read: NEXT when it is taken back or was not there any more, FAIL else. */
certauto__verdict certauto__avi_gone(certauto_job *job, certauto__exchange *x);

/* ---- what things are called: avi_names.c ---- */

/* Of the target in use, whatever table the job is of: env is a certauto_target or a struct
 * certauto__deployment. */
const certauto_target *certauto__avi_target(const certauto_job *job);
/* Of the policy set for the challenge of one name: prefix, name (cut), digest of name and token,
 * time the run began; equal for a run that is taken up. */
void certauto__avi_answer(char out[CERTAUTO__AVI_NAME], const certauto_target *target,
	const char *name, const char *token, int64_t now);
/* When the run began that made a policy set of that name; 0: it is none of ours. */
int64_t certauto__avi_answer_time(const char *object, const certauto_target *target);
/* Option certificate (with "-KEY" behind it where the certificate has several keys), else
 * prefix-NAME-KEY. */
void certauto__avi_certificate(char out[CERTAUTO__AVI_NAME],
	const struct certauto__deployment *deployment);
/* prefix-ca-KEYID-DIGEST */
int certauto__avi_ca(char out[CERTAUTO__AVI_NAME], const certauto_target *target,
	const struct certauto__cert_info *ca);
int certauto__avi_is_own_ca(const char *name, const certauto_target *target);

/* ---- the virtual service of a name: avi_find.c ---- */

/* Steps (READS) put before others: they find the virtual service that serves the fact "name" as
 * HTTP host, by the option virtualservice, else by VsVip FQDN, by the names of virtual hosts, and
 * leave these facts. What was not found, is disabled, is layer 4, or is one of several, fails the
 * job, with what was looked for.
 *	"door"      UUID of the one that listens, "child" of its child for the name if there is
 *	            one, "vs" of the one that answers at port 80: the child if it is of EVH
 *	".vs.name"  name of "vs"
 *	".vs.port80" "yes": the door has a service for plain HTTP at port 80; "temporary": one
 *	            that challenges of certauto have opened; not there: it has none
 *	".vs.address" of its VIP: an IP address; not there when it is not known */
certauto__verdict certauto__avi_find_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_find_read(certauto_job *job, certauto__exchange *x);
#define CERTAUTO__AVI_STEP_FIND \
	{ \
		.name = "find", .ask = certauto__avi_find_ask, .read = certauto__avi_find_read, \
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS \
	}

/* ---- rights and parameters: avi_recipe.c ---- */

/* What an account needs: a right to objects of a type. NULL at the end. */
struct certauto__avi_right {
	const char *resource;   /* as roles name it */
	const char *type;       /* one of the types of objects it is about */
	const char *what;       /* it is needed for */
	int writes;
};
extern const struct certauto__avi_right certauto__avi_rights[];
#define CERTAUTO__AVI_PROFILES "certificatemanagementprofile"
#define CERTAUTO__AVI_SCRIPTS "alertscriptconfig" /* to be read only where a profile is verified */

/* Parameters of our ControlScripts. NULL at the end. */
enum {
	CERTAUTO__AVI_SENSITIVE = 1,   /* not to be read by others */
	CERTAUTO__AVI_DYNAMIC = 2      /* the recipe leaves it to each certificate */
};
struct certauto__avi_param {
	const char *name;
	int flags;
};
extern const struct certauto__avi_param certauto__avi_params[];

/* Role, user, script, profile, as JSON bodies for the controller's API. */
int certauto__avi_recipe(const certauto_target *target, certauto__buffer *out, certauto_error *err);

#endif
