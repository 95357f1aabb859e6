/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_NSX_DEPLOY_H
#define CERTAUTO_TARGETS_NSX_DEPLOY_H

/* What the files of the deployment to NSX Managers share.
 *
 * An endpoint is where a certificate is presented: a node, in the cluster's order but the one that
 * we talk to behind the others, and at the end the virtual IP (VIP). What an endpoint presents on
 * the wire says what is to be done there, and whether it is to be taken back. It keeps its number
 * until a run has got to its end: one that goes on where another was killed may have other options,
 * and takes back what both have done.
 *
 * Facts: "leaf", SHA-256 of the new certificate; "name", the display name of its object, and "id",
 * its id. Of endpoint i: "node.I", the node's id or "vip", "at.I", host:port, "label.I", for
 * people; "was.I", SHA-256 of what was presented before, "old.I", its id; "sent.I": it was told to
 * change, and has not been seen to. "n", how many there are. "pins" of all that the managers may
 * present while this goes on; "legacy", that applying is spoken so; "vip.set", an address that the
 * VIP is given; "csr", the id of a request of ours that has served its purpose; "switch": something
 * is being changed, so what was noted stands; "tidy", ids of what is to be removed at the end.
 * Volatile: ".out.I", that this run leaves it alone, ".names.I", what the certificate may be for
 * there, ".seen.I", SHA-256 of what it presents, ".due.I", that ours is to be applied; ".due", that
 * anything is; ".via", whom we talk to, as in "node.I"; ".unset", that there is no VIP; ".date",
 * the managers' clock; ".root", the root of our chain, as the managers have it; ".dead", that
 * nobody answers while all is taken back. Ids in one fact have commas between them.
 *
 * With service lb: "path", of the new certificate; of the J-th virtual server "server.J", as the
 * option has it, "old.J", the path that ours takes the place of, "" if it is one more. */

#include "targets/device.h"
#include "targets/nsx.h"
#include "targets/rest.h"

#define CERTAUTO__NSX_CERTIFICATES "/api/v1/trust-management/certificates"
#define CERTAUTO__NSX_CSRS "/api/v1/trust-management/csrs"
#define CERTAUTO__NSX_POLICY "/policy/api/v1/infra/certificates"

/* ---- facts, errors: nsx_deploy.c ---- */

const struct certauto__cert_info *certauto__nsx_leaf(const certauto_job *job);
/* The i-th of values with commas between, which may be empty; 0: there is none. */
int certauto__nsx_value(char *out, size_t size, const char *list, int i);
/* What an earlier run has noted stays if it did not get to its end; "leaf", "name", "n". */
void certauto__nsx_begin(certauto_job *job);
/* Fails the job: code, message, what to do about it (may be NULL). */
certauto__verdict certauto__nsx_stop(certauto_job *job, int code, const char *object,
	const char *advice, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* certauto__nsx_refused() with the object behind doing. */
certauto__verdict certauto__nsx_refused_at(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* A call to BASE, id (escaped; NULL: none), and what is behind it. */
certauto__verdict certauto__nsx_call_on(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *base, const char *id, const char *behind);
/* Notes that what was seen before must not be noted again. */
void certauto__nsx_touch(certauto_job *job);
/* SHA-256 of the first certificate in PEM text, and whether it is a CA's (may be NULL); 1, 0: it
 * cannot be read, ENOMEM. */
int certauto__nsx_print(char out[65], int *is_ca_out, const char *pem);

/* A page of rows, from the fact ".cursor" on, which goes on to the next: 1: there are more; 0; or a
 * code. Pages that never end are EPROTO. */
int certauto__nsx_page(certauto_job *job, const certauto__exchange *x, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, certauto_error *err);
/* The certificates of the managers, by pages: cb gets the fields of a row as nsx_deploy.c has
 * them. */
certauto__verdict certauto__nsx_list(certauto_job *job, certauto__exchange *x);
int certauto__nsx_list_read(certauto_job *job, const certauto__exchange *x,
	certauto__rest_row_cb cb, void *arg, certauto_error *err);
enum {
	CERT_ID, CERT_NAME, CERT_PEM, CERT_KEY, CERT_TYPES, CERT_NODES, CERT_CREATED
};

/* ---- endpoints: nsx_nodes.c ---- */

certauto__verdict certauto__nsx_cluster_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_cluster_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_virtual_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_virtual_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_look_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_look_read(certauto_job *job, certauto__exchange *x);
int certauto__nsx_endpoints(certauto_job *job);
/* 1 if endpoint i is the VIP. */
int certauto__nsx_is_vip(const certauto_job *job, int i);
/* 1: an earlier run had it, this one does not. */
int certauto__nsx_is_out(const certauto_job *job, int i);
/* A handshake at host:port. */
certauto__verdict certauto__nsx_look(certauto_job *job, certauto__exchange *x, const char *at);
/* SHA-256 of the certificate that was presented; 0: nobody answered. */
int certauto__nsx_seen(char out[65], const certauto__exchange *x);
/* How long an endpoint may be away. */
int64_t certauto__nsx_patience(const certauto_job *job);
/* Again, later and later; n counts from 1. */
certauto__verdict certauto__nsx_later(certauto_job *job, int64_t n);
/* "nsx1 new, nsx2 old, VIP ?": what was seen last at each. */
void certauto__nsx_state(certauto__buffer *out, certauto_job *job);

/* ---- before anything is changed: nsx_preflight.c ---- */

/* What the managers demand of certificates, as far as they tell. */
certauto__verdict certauto__nsx_security_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_security_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_preflight(certauto_job *job, certauto__exchange *x);
/* Of a certificate with keys of several types, each would take the place of the other: refused.
 * what: "managers present" */
certauto__verdict certauto__nsx_check_keys(certauto_job *job, const char *what);
/* The chain up to its root, PEM. ECERT: the root is not known. */
int certauto__nsx_chain(certauto__buffer *out, const certauto_job *job, certauto_error *err);

/* ---- import and apply: nsx_apply.c ---- */

certauto__verdict certauto__nsx_csr_find_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_csr_find_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_csr_drop_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_csr_drop_read(certauto_job *job, certauto__exchange *x);
/* The body of an import; ENOMEM and what is wrong with the key: in the job's error. */
int certauto__nsx_put_certificate(certauto_job *job, certauto__exchange *x, const char *chain);
certauto__verdict certauto__nsx_import_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_import_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_import_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_import_undo_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_validate_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_validate_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_vip_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_vip_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_vip_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_vip_undo_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_apply_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_apply_read(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_apply_undo(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_apply_undo_read(certauto_job *job, certauto__exchange *x);

/* ---- what is left over: nsx_tidy.c ---- */

/* Notes a certificate of ours that has been superseded. created: as the manager tells it. */
void certauto__nsx_older(certauto_job *job, const char *id, const char *created);
/* Notes a CA's certificate that came with one of ours. now: with the new one. */
void certauto__nsx_twin(certauto_job *job, const char *id, const char *print, int now);
/* "tidy": of those all but the newest that the option keep_old leaves. */
certauto__verdict certauto__nsx_end_ask(certauto_job *job, certauto__exchange *x);
int certauto__nsx_tidy_each(certauto_job *job);
certauto__verdict certauto__nsx_tidy_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__nsx_tidy_read(certauto_job *job, certauto__exchange *x);

#endif
