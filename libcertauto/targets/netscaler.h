/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TARGETS_NETSCALER_H
#define CERTAUTO_TARGETS_NETSCALER_H

/* What the files of the netscaler target share. NITRO is JSON over HTTP: one object type a path,
 * an error code of the device's own in every answer, a session by cookie (or name and password in
 * each request). The running configuration is lost at a reboot until it is saved. */

#include "jobs/target.h"
#include "json/writer.h"

/* The device's error codes that something depends on. */
enum {
	CERTAUTO__NS_DONE = 0,
	CERTAUTO__NS_NO_RIGHT = 257,
	CERTAUTO__NS_NO_RESOURCE = 258,
	CERTAUTO__NS_EXISTS = 273,
	CERTAUTO__NS_BAD_LOGIN = 354,
	CERTAUTO__NS_BAD_LOGIN_TOO = 355,
	CERTAUTO__NS_PRIMARY_ONLY = 368,
	CERTAUTO__NS_SESSION_GONE = 444,
	CERTAUTO__NS_SESSION_LIMIT = 445,
	CERTAUTO__NS_CONNECTION_LIMIT = 446,
	CERTAUTO__NS_POLICY_BOUND = 810,
	CERTAUTO__NS_ACTION_USED = 832,
	CERTAUTO__NS_NOT_LOGGED_IN = 1027,
	CERTAUTO__NS_SECONDARY = 1028, /* a warning: a write to it is lost */
	CERTAUTO__NS_NO_BIND_RESOURCE = 1208,
	CERTAUTO__NS_NO_CERTKEY = 1540,
	CERTAUTO__NS_REFERENCED = 1541,
	CERTAUTO__NS_NOT_BOUND_PAIR = 1542,
	CERTAUTO__NS_NO_LINK = 1545,
	CERTAUTO__NS_OTHER_ISSUER = 1548,
	CERTAUTO__NS_NOT_AUTHORIZED = 2138,
	CERTAUTO__NS_PRIORITY_USED = 3041,
	CERTAUTO__NS_NOT_BOUND = 3093,
	CERTAUTO__NS_NO_FILE = 3441,
	CERTAUTO__NS_OTHER_DOMAIN = 3585
};

#define CERTAUTO__NS_NAME 128 /* bytes of an object's name, with the NUL */
#define CERTAUTO__NS_FILE 64  /* bytes of a file's name, with the NUL */
#define CERTAUTO__NS_FOLDER 256

extern const struct certauto__table certauto__netscaler_present;
extern const struct certauto__table certauto__netscaler_deploy;
extern const struct certauto__table certauto__netscaler_finish;
extern const struct certauto__table certauto__netscaler_csr;
extern const struct certauto__table certauto__netscaler_test;

/* ---- session and calls: netscaler_session.c, netscaler_call.c ---- */

/* One for equal url, user and partition. Logs in when the first call is dressed, follows the
 * primary, switches the partition, logs out when the loop has nothing more to do. */
int certauto__netscaler_peer(certauto_target *target, certauto__peer **out, certauto_error *err);

/* A call about one object or all of a type. name: NULL or the object's, encoded here. query: NULL
 * or what follows the "?", encoded as it is. */
certauto__verdict certauto__netscaler_get(certauto__exchange *x, const certauto_target *target,
	const char *type, const char *name, const char *query);
certauto__verdict certauto__netscaler_delete(certauto__exchange *x, const certauto_target *target,
	const char *type, const char *name, const char *query);
/* Begins {"TYPE":{ of a POST (add; action NULL, or "update", "link", ...) or PUT (bind, set); the
 * caller writes the members and returns certauto__netscaler_end(). */
void certauto__netscaler_post(certauto__json *w, certauto__exchange *x,
	const certauto_target *target, const char *type, const char *action);
void certauto__netscaler_put(certauto__json *w, certauto__exchange *x,
	const certauto_target *target, const char *type);
certauto__verdict certauto__netscaler_end(certauto__json *w);
/* Appends "name:value" to a query that begins with "args=", the value encoded; a comma before it
 * unless it is the first. */
void certauto__netscaler_arg(certauto__buffer *query, const char *name, const char *value);

/* The device's code in an answer; 0 when it said nothing against. */
int certauto__netscaler_code(const certauto__exchange *x);
/* Sets err: EREFUSED, or what fits the code, with doing, the device's code and words, and what to
 * do about it; returns the code. */
int certauto__netscaler_tell(certauto_error *err, const certauto__exchange *x,
	const certauto_target *target, const char *object, const char *doing);
/* EREFUSED, or what fits the code, with doing, the object, the device's code and words, and what to
 * do about it. For a step with CERTAUTO__ERRORS that has no other use for the answer. */
certauto__verdict certauto__netscaler_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing);
/* undo_read: NEXT when it is taken back or was not there any more, FAIL else. */
certauto__verdict certauto__netscaler_gone(certauto_job *job, certauto__exchange *x);

/* Calls cb for each object of an answer to a get. values: of the fields asked for (NULL-terminated
 * list, at most 16), as text whatever their JSON type; NULL where the object has none. cb's
 * negative code ends it. An answer without the type has no objects. */
typedef int (*certauto__netscaler_row_cb)(void *arg, const char *const *values);
int certauto__netscaler_rows(const certauto__exchange *x, const char *type,
	const char *const *fields, certauto__netscaler_row_cb cb, void *arg, certauto_error *err);

/* The node that answers: noted as ".node" when a job looks at the device, and moved when the other
 * one has become the primary since: what was read is then no longer true. */
void certauto__netscaler_node_note(certauto_job *job);
int certauto__netscaler_moved(const certauto_job *job);
/* 1 if the device is half of a pair, unless the target does not ask for that (ha=ignore). */
int certauto__netscaler_is_pair(const certauto_job *job);
/* The same, and the address of the other node; "" when it is not known. */
int certauto__netscaler_role(const certauto_job *job, const char **node_out);
/* A step (READS) that asks the node for its role once more: NEXT if it is the primary as before;
 * else the session moves to the primary, and the job goes back to its step "observe". Not sent to a
 * device without a peer. */
certauto__verdict certauto__netscaler_role_ask(certauto_job *job, certauto__exchange *x);
certauto__verdict certauto__netscaler_role_read(certauto_job *job, certauto__exchange *x);

/* ---- what things are called: netscaler_names.c ---- */

/* Of the target in use, whatever table the job is of: env is a certauto_target, a struct
 * certauto__deployment or a struct certauto__finish. */
const certauto_target *certauto__netscaler_target(const certauto_job *job);
/* Where the device keeps certificates and keys, with a slash at the end: of the partition. */
void certauto__netscaler_folder(char out[CERTAUTO__NS_FOLDER], const certauto_target *target);
/* prefix-NAME-KEY; cut with a digest of the whole in it when it is longer than the device takes
 * (option name_max). The option certkey, where it is set, wins. */
void certauto__netscaler_certkey(char out[CERTAUTO__NS_NAME],
	const struct certauto__deployment *deployment);
/* CERTKEY-DIGEST.EXT, at most 63 bytes; digest: hex, of what is in it: equal names have equal
 * content. */
void certauto__netscaler_file(char out[CERTAUTO__NS_FILE], const char *certkey, const char *digest,
	const char *ext);
/* 1 if a file is named as certauto__netscaler_file() names those of that certkey. */
int certauto__netscaler_is_own_file(const char *file, const char *certkey);
/* prefix-ca-KEYID-DIGEST: by key identifier, so that people find it, and by the certificate, for
 * one key may have several. */
int certauto__netscaler_ca(char out[CERTAUTO__NS_NAME], const certauto_target *target,
	const struct certauto__cert_info *ca);
int certauto__netscaler_is_own_ca(const char *name, const certauto_target *target);
/* Of the challenge of one name: action and policy have the same. */
void certauto__netscaler_answer(char out[CERTAUTO__NS_NAME], const certauto_target *target,
	const char *name, const char *token, int64_t now);
/* When the run began that made an object of certauto__netscaler_answer(); 0: it is none of ours. */
int64_t certauto__netscaler_answer_time(const char *object, const certauto_target *target);

/* ---- rights: netscaler_recipe.c ---- */

/* The commands an account needs, as the device's own command policy, with the commands that make
 * the account. */
int certauto__netscaler_recipe(const certauto_target *target, certauto__buffer *out,
	certauto_error *err);
#define CERTAUTO__NS_DEVICE_KEYS "making keys on the device" /* what: not everybody does */
/* The i-th thing certauto does on this target as a command line of the device, to be held against
 * its command policies; what: what it is needed for, static. 1; 0 past the end; CERTAUTO_ENOMEM. */
int certauto__netscaler_command(char line[256], const char **what, const certauto_target *target,
	size_t i);

#endif
