/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_STORE_FILES_H
#define CERTAUTO_STORE_FILES_H

/* The files store:
 *
 * STATE/accounts/<account>-<8 hex of SHA-256(directory URL)>/{key.pem,account.json}
 * STATE/accounts/<...>/next.pem     key the CA may have been told of, until its answer is known
 * STATE/accounts/<...>/limits.json  until when the CA does not want to be asked
 * STATE/certs/<name>/<key>/gen-<n>-<8 hex>/{key,csr,cert,chain,fullchain}.pem, meta.json
 * STATE/certs/<name>/<key>/current -> gen-<n>-<8 hex>      switched by rename
 * STATE/certs/<name>/<key>/{status.json,rejected.pem}
 * STATE/jobs/<id>.json        journals
 * STATE/locks/<scope>-<id>.lock   never deleted
 *
 * Directories are 0700, files 0600. Whatever is replaced is replaced whole: a new temporary,
 * written, synced, renamed, and the directory synced, before anybody is told that it is kept. */

#include "store/files_io.h"
#include "store/store.h"

struct certauto__files {
	char *directory;         /* absolute; NULL until set */
	struct certauto__dir root;
};

/* made at first use; NULL: ENOMEM */
struct certauto__files *certauto__files_state(certauto_store *store, certauto_error *err);
/* STATE/a/b/c; a component that is NULL ends the path. Without make a missing one is ENOTFOUND. */
int certauto__files_open(certauto_store *store, struct certauto__dir *out, int make,
	certauto_error *err, const char *a, const char *b, const char *c);

/* files_account.c */
int certauto__files_account_load(certauto_store *store, const char *name, const char *server,
	certauto__secret **key_out, char **url_out, char **status_out, certauto_error *err);
int certauto__files_account_save_key(certauto_store *store, const char *name, const char *server,
	const certauto__secret *key, certauto_error *err);
int certauto__files_account_save_url(certauto_store *store, const char *name, const char *server,
	const char *url, const char *status, const certauto__list *contacts, certauto_error *err);
int certauto__files_account_next_save(certauto_store *store, const char *name, const char *server,
	const certauto__secret *key, certauto_error *err);
int certauto__files_account_next_load(certauto_store *store, const char *name, const char *server,
	certauto__secret **key_out, certauto_error *err);
int certauto__files_account_next_settle(certauto_store *store, const char *name,
	const char *server, int take, certauto_error *err);
int certauto__files_account_limits_load(certauto_store *store, const char *name,
	const char *server, certauto__buffer *out, certauto_error *err);
int certauto__files_account_limits_save(certauto_store *store, const char *name,
	const char *server, const void *data, size_t len, certauto_error *err);

/* files_generation.c */
int certauto__files_draft(certauto_store *store, const char *name, const char *key_type,
	struct certauto__generation *generation, certauto_error *err);
int certauto__files_complete(certauto_store *store, const char *name, const char *key_type,
	const struct certauto__generation *generation, const certauto__certs *chain,
	certauto_error *err);
int certauto__files_discard(certauto_store *store, const char *name, const char *key_type,
	const char *id, certauto_error *err);
int certauto__files_load(certauto_store *store, const char *name, const char *key_type,
	const char *id, struct certauto__generation *out, certauto_error *err);
int certauto__files_load_former(certauto_store *store, const char *name, const char *key_type,
	struct certauto__generation *out, certauto_error *err);
int certauto__files_reject(certauto_store *store, const char *name, const char *key_type,
	const char *id, const void *chain, size_t len, certauto_error *err);
int certauto__files_sweep(certauto_store *store, const char *name, const char *key_type,
	const char *keep, certauto_error *err);
int certauto__files_list(certauto_store *store, certauto__list *out, certauto_error *err);

/* files_check.c */
int certauto__files_preflight(certauto_store *store, certauto_error *err);

/* meta.c: the JSON documents of a generation and an account. */
int certauto__meta_format(certauto__buffer *out, const struct certauto__generation *generation,
	const char *key_type);
/* Fills names, server, order_url, profile and times. EIO when it is not such a document. */
int certauto__meta_parse(struct certauto__generation *out, const char *what, const void *data,
	size_t len, certauto_error *err);
int certauto__account_format(certauto__buffer *out, const char *server, const char *url,
	const char *status, const certauto__list *contacts);
int certauto__account_parse(const char *what, const void *data, size_t len, char **server_out,
	char **url_out, char **status_out, certauto_error *err);

#endif
