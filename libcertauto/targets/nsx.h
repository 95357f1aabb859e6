/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_NSX_H
#define CERTAUTO_TARGETS_NSX_H

/* What the files of the nsx target share. NSX Manager is a cluster of up to three nodes with one
 * REST API, each with a TLS listener of its own, and a virtual IP that one of them owns.
 * Certificates are objects by id; giving one to a node or to the VIP restarts the HTTP service
 * there. */

#include "jobs/target.h"
#include "json/writer.h"
#include "targets/rest.h"

#define CERTAUTO__NSX_ID CERTAUTO__REST_ID /* bytes of an object's id, with the NUL */
#define CERTAUTO__NSX_NAME 256  /* of a display name */
#define CERTAUTO__NSX_NODES 16  /* nodes of a cluster at most */

extern const struct certauto__table certauto__nsx_deploy;    /* services cluster, node, all */
extern const struct certauto__table certauto__nsx_lb;        /* service lb */
extern const struct certauto__table certauto__nsx_csr;
extern const struct certauto__table certauto__nsx_test;

/* ---- options: nsx.c ---- */

/* 1: certificates are for virtual servers, not for the managers. */
int certauto__nsx_is_lb(const certauto_target *target);

/* ---- session and calls: nsx_session.c, nsx_call.c ---- */

/* One for equal url, user, password and way to log in. The first call asks for the version before,
 * which tries the password once for all; with auth=session each address is logged in to. */
int certauto__nsx_peer(certauto_target *target, certauto__peer **out, certauto_error *err);
/* path: from "/" on, with its query, encoded: "/api/v1/cluster". */
certauto__verdict certauto__nsx_call(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *path);
/* The same to another address, "host:port", of a node: for what is asked of it itself. */
certauto__verdict certauto__nsx_call_at(certauto__exchange *x, const certauto_target *target,
	const char *method, const char *address, const char *path);
void certauto__nsx_body(certauto__json *w, certauto__exchange *x);
/* While certificates change, and until it is called with NULL or the run ends: managers may
 * present, besides what the options say, a leaf with one of these pins
 * ("sha256//BASE64;sha256//BASE64"), and nothing else; and they may be silent for a while, without
 * counting as dead. Where memory is short nothing more is trusted. */
void certauto__nsx_trust(certauto_job *job, const char *pins);
/* "3.2.1.0" as the node says; "" before. The dialect of applying: 1 = legacy (below 3.2), 0. */
const char *certauto__nsx_version(const certauto_job *job);
int certauto__nsx_is_legacy(const certauto_job *job);

certauto__verdict certauto__nsx_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
int certauto__nsx_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing);
/* It was refused, or not even sent: steps that read refusals are shown that too. */
int certauto__nsx_is_no(const certauto__exchange *x);
/* error_code of an answer, a number or a text with one; 0: there is none. */
int certauto__nsx_code(const certauto__exchange *x);
/* 1: the words have that text in them, whatever the case. */
int certauto__nsx_says(const certauto__exchange *x, const char *text);
/* Who asks is not known, or not any more: wrong password, lost session. */
int certauto__nsx_is_login(const certauto__exchange *x);
int certauto__nsx_is_stale(const certauto__exchange *x);   /* _revision: 412 */
int certauto__nsx_is_missing(const certauto__exchange *x); /* 404, or 400 of some types */
int certauto__nsx_is_in_use(const certauto__exchange *x);
/* undo_read: NEXT when it is taken back or was not there any more. */
certauto__verdict certauto__nsx_gone(certauto_job *job, certauto__exchange *x);

/* certauto__rest_rows(), with paging. cursor_out: NULL, or the cursor of the next page, to be freed
 * with certauto__free(); NULL = the last. */
int certauto__nsx_rows(const certauto__exchange *x, const char *const *fields,
	certauto__rest_row_cb cb, void *arg, char **cursor_out, certauto_error *err);

/* The option root_file is a file with certificates, or not set: nsx_preflight.c. CERTAUTO_ECONFIG,
 * ECERT. */
int certauto__nsx_check_root(const certauto_target *target, certauto_error *err);

/* ---- managers: nsx_nodes.c ---- */

/* Of the cluster's object: its managers. */
extern const char *const certauto__nsx_node_fields[];
/* 1: one of them is what an item of the option nodes says. row: those fields. */
int certauto__nsx_has_node(const char *const *row, const char *item);
#define CERTAUTO__NSX_NODES_ADVICE \
	"name managers by address, FQDN or name, as GET /api/v1/cluster tells them"

/* ---- names: nsx_names.c ---- */

const certauto_target *certauto__nsx_target(const certauto_job *job);
/* PREFIX-NAME-KEY-<12 hex of the leaf's SHA-256> */
void certauto__nsx_certificate(char out[CERTAUTO__NSX_NAME],
	const struct certauto__deployment *deployment);
/* 1 if that is the display name of a certificate of this lineage, of whatever leaf. */
int certauto__nsx_is_own(const char *name, const struct certauto__deployment *deployment);

/* ---- rights: nsx_recipe.c ---- */

/* What an account needs: a permission for a feature, and the call by which reading is tried. NULL
 * at the end. */
enum {
	CERTAUTO__NSX_MANAGERS = 1,  /* with the services cluster, node and all */
	CERTAUTO__NSX_VIP = 2,       /* of these, with the option vip */
	CERTAUTO__NSX_LEGACY = 4,    /* of these, with the calls of before 3.2 */
	CERTAUTO__NSX_LB = 8,        /* with service=lb */
	CERTAUTO__NSX_KEYS = 16      /* for keys that the managers make */
};
struct certauto__nsx_right {
	const char *feature;         /* as roles name it */
	const char *permission;      /* "crud", "read" */
	const char *path;            /* a GET that needs it; NULL: there is none */
	const char *what;            /* it is needed for */
	int when;
};
extern const struct certauto__nsx_right certauto__nsx_rights[];
/* CERTAUTO__NSX_* of a target; legacy: -1 = as far as the options tell. */
int certauto__nsx_uses(const certauto_target *target, int legacy);
/* 1: what only managers before 3.2 want is in a role apart, the name prefix and this: which version
 * they are is not told by the options. */
#define CERTAUTO__NSX_LEGACY_ROLE "-legacy"
int certauto__nsx_has_legacy_role(const certauto_target *target);
int certauto__nsx_recipe(const certauto_target *target, certauto__buffer *out, certauto_error *err);

#endif
