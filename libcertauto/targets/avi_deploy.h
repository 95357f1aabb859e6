/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_AVI_DEPLOY_H
#define CERTAUTO_TARGETS_AVI_DEPLOY_H

/* What the files of the deployment to an Avi controller share.
 *
 * A certificate is one object, given its new content in place; its intermediates are objects of
 * their own. Node i is the i-th certificate of the chain, 0 the leaf. An object is told by its
 * print: what it was noted with before the first change is compared with what is there, and nothing
 * is taken back that somebody else has changed since.
 *
 * Facts: "certificate", the object's name, and "uuid"; "new", the prints it may have when it is
 * ours; "n.ca"; "make.I", the name of a CA object that we make. What was there: "old" = absent or
 * present, "old.print", "old.pem", "old.ca", what it was linked to; "vs.J", the UUID of the J-th
 * virtual service of the option bind, "bound.J", what was bound to it, "out.J", what ours takes the
 * place of, "older", those of them that certauto has made. "switch": something is being changed, so
 * what was noted stands. "stays": there is no way back. "tidy": UUIDs of what is to be removed at
 * the end. Volatile, what is there now: ".uuid", ".print", ".pem", ".ca", ".type", ".status",
 * ".profile", of the object looked at last, which is kept whole in ".object.K"; ".same.I", the CA
 * objects that are node I; ".twins", those with the name and key of node 1; ".own", CA objects of
 * ours, each with what it is linked to; of the J-th virtual service ".bound.J", what is bound,
 * ".due.J", that ours is to be, ".many.J", that it takes any number. UUIDs in one fact have commas
 * between them. */

#include "targets/avi.h"
#include "targets/avi_present.h"

#define CERTAUTO__AVI_CERT "sslkeyandcertificate"
#define CERTAUTO__AVI_VS "virtualservice"
#define CERTAUTO__AVI_LOOKS 12 /* at one object that others change all the time */

/* ---- facts: avi_deploy.c ---- */

/* 1 if text with commas has the item; either may be NULL. */
int certauto__avi_listed(const char *list, const char *item);
void certauto__avi_list_add(certauto_job *job, const char *name, const char *item);
/* The UUIDs of references, with commas, as that fact; none: no fact. */
void certauto__avi_refs(certauto_job *job, const char *name, const char *refs);
/* Notes that what was seen before must not be noted again. */
void certauto__avi_touch(certauto_job *job);
/* Fails the job before anything is changed: code, message, what to do about it (may be NULL). */
certauto__verdict certauto__avi_stop(certauto_job *job, int code, const char *object,
	const char *advice, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Back to the first step, for things are not as they were there; if that has been too often, what
 * the controller says. */
certauto__verdict certauto__avi_look_again(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* The objects of a type whose filter has that value; fields: of which they are told, NULL: all. */
certauto__verdict certauto__avi_get(certauto__exchange *x, const certauto_target *target,
	const char *type, const char *filter, const char *value, const char *fields);
/* certauto__avi_refused() with the object behind doing. */
certauto__verdict certauto__avi_refused_at(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* Asks for the certificate's object, and looks at what came, or at the object in another answer:
 * without ".uuid" there is none. */
certauto__verdict certauto__avi_get_certificate(certauto_job *job, certauto__exchange *x);
int certauto__avi_look(certauto_job *job, const certauto__exchange *x, certauto_error *err);
/* What was looked at last is the new certificate; and nothing is left to be done. */
int certauto__avi_is_new(const certauto_job *job);
int certauto__avi_is_stored(const certauto_job *job);

/* ---- the certificate's object: avi_put.c ---- */

/* The object of an answer, kept; and what is sent back of it: with other members. */
void certauto__avi_keep(certauto_job *job, const certauto__exchange *x);
int certauto__avi_kept(certauto__exchange *x, certauto_job *job,
	const struct certauto__rest_edit *edits, size_t n_edits);
certauto__verdict certauto__avi_put_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_put_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_put_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_put_undo_read(certauto_job *job, certauto__exchange *x);

/* ---- chain: avi_chain.c ---- */

#define CERTAUTO__AVI_PRINT 80
/* What tells a certificate object: the SHA-256 of the certificate, or, where the controller does
 * not tell it, the serial number. pem, serial: as told, may be NULL. ENOMEM. */
int certauto__avi_print(char out[CERTAUTO__AVI_PRINT], const char *pem, const char *serial);
/* Both prints that this certificate may have, with a comma. */
void certauto__avi_prints(char out[2 * CERTAUTO__AVI_PRINT],
	const struct certauto__cert_info *cert);
/* Of the certificates behind the leaf those that go to the controller; the root does not. */
int certauto__avi_n_ca(const certauto__certs *chain);
/* Finds the nodes among all CA objects, page by page. */
certauto__verdict certauto__avi_cas_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_cas_read(certauto_job *job, certauto__exchange *x);
/* Makes those that are missing, the topmost first. */
int certauto__avi_ca_each(certauto_job *job);
certauto__verdict certauto__avi_ca_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_ca_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_ca_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_ca_undo_read(certauto_job *job, certauto__exchange *x);
/* Value of "ca_certs", JSON. */
void certauto__avi_put_cas(certauto__buffer *out, const char *uuids);
/* The first CA object that is node i; "" if there is none. */
void certauto__avi_node(char out[CERTAUTO__AVI_UUID], const certauto_job *job, int i);
/* 1 if the certificate object looked at last is linked to its issuer. */
int certauto__avi_is_linked(const certauto_job *job);
/* What the certificate was linked to before and does not need any more: to "tidy". */
void certauto__avi_chain_tidy(certauto_job *job);
/* Member "certificate": {"certificate": PEM} */
void certauto__avi_put_pem(certauto__json *w, const struct certauto__cert_info *cert);

/* ---- virtual services: avi_bind.c ---- */

int certauto__avi_vs_each(certauto_job *job);
certauto__verdict certauto__avi_vs_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_vs_read(certauto_job *job, certauto__exchange *x);
/* What else is bound there, of which ours takes the place of some. */
certauto__verdict certauto__avi_others_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_others_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_bind_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_bind_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_bind_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__avi_bind_undo_read(certauto_job *job, certauto__exchange *x);

#endif
