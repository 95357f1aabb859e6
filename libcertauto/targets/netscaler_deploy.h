/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_NETSCALER_DEPLOY_H
#define CERTAUTO_TARGETS_NETSCALER_DEPLOY_H

/* What the files of the deployment to a NetScaler share.
 *
 * Objects are nodes of a chain: node 0 is the certificate, node i the i-th intermediate, each
 * linked to the next. Nothing is taken back blindly: undo looks, compares with what was noted
 * before the first change, does one thing, and looks again, until it is as it was.
 *
 * Facts: "certkey"; "crt" and "key", the names of the new files; "n.ca"; "node.I" the object in use
 * for node I; "make.I" the one we make for it. What was there: "old.I" = absent or present, "was.I"
 * its link, "seen.I" whose; "old.cert", "old.key", "old.inform"; "bound.J" of the J-th vserver
 * "vserver.J"; "sni.J". "switch": objects are being changed, so what was noted stands. "wrote":
 * there is something to save. "forward": why there is no way back; "stays": so it was not
 * gone. "foreign.K": the K-th file is somebody else's. Volatile, what is there now:
 * ".link.I", ".have.I" (how surely), ".cert", ".key", ".serial", ".bound.J", ".sni.J"; and what was
 * found out: ".not.I", an object that only looks like node I, ".loose", and ".stuck", why the leaf
 * cannot be made as it was. */

#include "targets/netscaler.h"

/* What the device calls something, fit for messages; text NULL: "unknown". */
#define CERTAUTO__NS_SHOWN 200
const char *certauto__netscaler_shown(char out[CERTAUTO__NS_SHOWN], const char *text);

/* Behind the last slash: the device gives names of files with or without their folder. */
const char *certauto__netscaler_base(const char *path);
int certauto__netscaler_is_no(const certauto__exchange *x);
/* certauto__netscaler_refused() with the object behind doing. */
certauto__verdict certauto__netscaler_refuse(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* Notes that the device will not be as it was saved, and, with objects, that what was seen before
 * must not be noted again. */
void certauto__netscaler_touch(certauto_job *job, int objects);

/* ---- files: netscaler_file.c ---- */

certauto__verdict certauto__netscaler_file_get(certauto__exchange *x, const certauto_target *target,
	const char *name);
certauto__verdict certauto__netscaler_file_list(certauto__exchange *x,
	const certauto_target *target);
certauto__verdict certauto__netscaler_file_delete(certauto__exchange *x,
	const certauto_target *target, const char *name);
certauto__verdict certauto__netscaler_file_post(certauto__exchange *x,
	const certauto_target *target, const char *name, const certauto__buffer *content);
/* The content of the file that was got; CERTAUTO_ENOTFOUND. */
int certauto__netscaler_file_content(certauto__buffer *out, const certauto__exchange *x);

/* ---- chain ---- */

/* Equal, however written; a is not NULL or empty. */
int certauto__netscaler_is_serial(const char *a, const char *b);
/* Of the certificates behind the leaf those that go to the device; the root does not. */
int certauto__netscaler_n_ca(const certauto__certs *chain);
/* Finds the nodes in the list of all certkeys, notes what was there, and fills superseded with the
 * CA objects nobody will need any more. */
int certauto__netscaler_chain_observe(certauto_job *job, const certauto__exchange *x,
	certauto_error *err);
int certauto__netscaler_ca_each(certauto_job *job);
certauto__verdict certauto__netscaler_ca_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_ca_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_ca_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_ca_undo_read(certauto_job *job, certauto__exchange *x);
int certauto__netscaler_link_each(certauto_job *job);
/* 1: some link is to be changed. */
int certauto__netscaler_link_due(const certauto_job *job);
certauto__verdict certauto__netscaler_unlink_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_unlink_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_link_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_link_read(certauto_job *job, certauto__exchange *x);
/* The same, but for the leaf. */
certauto__verdict certauto__netscaler_chain_unlink_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_chain_link_ask(certauto_job *job, certauto__exchange *x);
/* The undo of all these, and of put: a node as it was. */
certauto__verdict certauto__netscaler_link_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_link_undo_read(certauto_job *job, certauto__exchange *x);
/* In an undo: FAILED, with why, if the leaf's certkey could not be made as it was; else NEXT. */
certauto__verdict certauto__netscaler_stuck(certauto_job *job);
/* Begins a call about a certkey: action NULL makes it, "update" gives it other files. */
void certauto__netscaler_certkey_begin(certauto__json *w, certauto__exchange *x,
	const certauto_target *target, const char *action, const char *name);
/* Nothing where it is empty. */
void certauto__netscaler_put_passphrase(certauto__json *w, const certauto__buffer *passphrase);
/* The name of a file as a certkey has it. */
void certauto__netscaler_put_file(certauto__json *w, const certauto_target *target,
	const char *member, const char *file);
/* The one certkey that was got, as volatile facts ".look.cert", ".look.key", ".look.link" and
 * ".look.serial"; without ".look" there is none. */
int certauto__netscaler_look(certauto_job *job, const certauto__exchange *x, certauto_error *err);

/* ---- vservers ---- */

int certauto__netscaler_vserver_each(certauto_job *job);
certauto__verdict certauto__netscaler_bound_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_bound_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_sni_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_sni_read(certauto_job *job, certauto__exchange *x);
int certauto__netscaler_bind_each(certauto_job *job);
certauto__verdict certauto__netscaler_bind_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_bind_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_bind_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_bind_undo_read(certauto_job *job, certauto__exchange *x);
/* 1: something is to be bound. */
int certauto__netscaler_bind_due(const certauto_job *job);

#endif
