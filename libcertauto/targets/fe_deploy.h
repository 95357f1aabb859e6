/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_FE_DEPLOY_H
#define CERTAUTO_TARGETS_FE_DEPLOY_H

/* What the files of the deployment to load balancers of FlexibleEngine share.
 *
 * A certificate with its chain and key is one object. A listener refers to one as its default and
 * to any number for SNI; each entry of the option listener is one such place. Names are not unique:
 * an object is told by its name and by the SHA-256 of the leaf in it, its print.
 *
 * Facts: "api", the version that is spoken; "certificate", the object's name, "id", where it is,
 * "new", the print it is to have. What was there: "old" = absent or present, "old.print",
 * "old.pem", "old.domain"; "listener.J", the J-th entry, "bound.J", that ours was there, "out.J",
 * what ours takes the place of, "older", those of them that certauto has made. "switch": something
 * is being changed, so what was noted stands. "stays": there is no way back. "tidy": what is to be
 * removed at the end. Volatile, what is there now: ".id", ".print", ".pem", ".domain" of the
 * object; ".ours", all objects of its name with the new print, ".others", those that may be it as
 * well; ".refs.J", what is at the J-th place, ".due.J", that ours is to be; ".wider", a name the
 * certificate before had; ".single", that no object may be for several names. Ids in one fact have
 * commas between them. */

#include "targets/device.h"
#include "targets/fe.h"

#define CERTAUTO__FE_LISTENERS "/listeners"
#define CERTAUTO__FE_CERTIFICATES "/certificates"
#define CERTAUTO__FE_PRINT 65
#define CERTAUTO__FE_LOOKS 12 /* at one object that others change all the time */

/* ---- calls and facts: fe_deploy.c ---- */

/* A request to the load balancers, by the API that is spoken; id, query: NULL or what it is. */
certauto__verdict certauto__fe_elb(certauto_job *job, certauto__exchange *x, const char *method,
	const char *path, const char *id, const char *query);
int certauto__fe_is_v2(const certauto_job *job);
/* Notes that what was seen before must not be noted again. */
void certauto__fe_touch(certauto_job *job);
/* Fails the job before anything is changed: code, message, what to do about it (may be NULL). */
certauto__verdict certauto__fe_stop(certauto_job *job, int code, const char *object,
	const char *advice, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* 1: it was refused, or not answered at all. */
int certauto__fe_is_no(const certauto__exchange *x);
/* certauto__fe_refused() with the object behind doing. */
certauto__verdict certauto__fe_refused_at(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* Back to the first step, for things are not as they were there; if that has been too often, what
 * the cloud says. */
certauto__verdict certauto__fe_look_again(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* The load balancer has not ended its last change: asked again until the option timeout_ms is over,
 * then what it says. */
certauto__verdict certauto__fe_busy(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);

/* ---- the certificate's object: fe_cert.c ---- */

/* The objects of that name: asked for, then seen. Of several it is the one that a listener refers
 * to, that was noted before, that has the new certificate in it, in this order; without ".id" there
 * is none. */
certauto__verdict certauto__fe_list(certauto_job *job, certauto__exchange *x);
int certauto__fe_see(certauto_job *job, const certauto__exchange *x, certauto_error *err);
/* What was seen last is the new certificate. */
int certauto__fe_is_new(const certauto_job *job);
/* Print of the leaf in a PEM text, and the type of its key if family is not NULL; "" where it is
 * none. ENOMEM. */
int certauto__fe_print(char out[CERTAUTO__FE_PRINT], const char **family, const char *pem);
/* 1: certauto has made it for this certificate. */
int certauto__fe_is_own(const struct certauto__deployment *deployment, const char *name,
	const char *description);
certauto__verdict certauto__fe_put_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_put_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_put_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_put_undo_read(certauto_job *job, certauto__exchange *x);

/* ---- listeners: fe_listener.c ---- */

int certauto__fe_listener_each(certauto_job *job);
/* 1: the J-th entry is for SNI. */
int certauto__fe_is_sni(const certauto_job *job, int j);
certauto__verdict certauto__fe_listener_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_listener_read(certauto_job *job, certauto__exchange *x);
/* Once it is known which object it is: what is at each place, and whether ours is due there. */
void certauto__fe_note_places(certauto_job *job);
/* What else is there, of which ours takes the place of some. */
certauto__verdict certauto__fe_others_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_others_read(certauto_job *job, certauto__exchange *x);
/* Warns of listeners that nobody has named and that need a name the new certificate has not; or
 * refuses, if what they use is not known here. */
certauto__verdict certauto__fe_shared_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_shared_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_bind_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_bind_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_bind_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_bind_undo_read(certauto_job *job, certauto__exchange *x);
/* Reads it back. */
certauto__verdict certauto__fe_bound_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__fe_bound_read(certauto_job *job, certauto__exchange *x);

#endif
