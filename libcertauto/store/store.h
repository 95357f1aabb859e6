/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_STORE_STORE_H
#define CERTAUTO_STORE_STORE_H

/* What a store keeps, and the row that does it. Fleet and acme call these; stores.c holds the table
 * of types ("files"). Layout, generations and the `current` switch of the files store:
 * store/files.c. */

#include <stdint.h>

#include <certauto/store.h>

#include "core/object.h"
#include "core/secret.h"
#include "core/text.h"
#include "crypto/crypto.h"
#include "jobs/job.h"

#define CERTAUTO__STORE_FILE_MAX (1024 * 1024) /* one record */

/* A lineage: one key entry of one certificate. */
struct certauto__generation {        /* one issued (or half-made) certificate of a lineage */
	char *id;                    /* "gen-3-1a2b3c4d" */
	certauto__secret *key;       /* PKCS#8 PEM; NULL for an outside CSR, or with key_on */
	char *key_on;                /* target that has made the key and keeps it; NULL = none */
	certauto__buffer csr;        /* PEM */
	certauto__buffer fullchain;  /* PEM; empty while half-made */
	/* meta.json */
	certauto__list names;
	char *server;                /* directory URL */
	char *order_url;
	char *profile;
	int64_t made_at, issued_at;
};

/* what it holds; may be used again */
void certauto__generation_free(struct certauto__generation *generation);

struct certauto__store_row {
	const char *name;
	int (*set)(certauto_store *store, const char *name, const char *value, certauto_error *err);
	/* Directory is there (made if not), ours, writable: writes, syncs, reads back and deletes
	 * 64 KiB. Before the first CA call of a run. Removes stale temporaries. CERTAUTO_EIO, EPERM
	 * with the path and what to do. */
	int (*preflight)(certauto_store *store, certauto_error *err);

	/* account: key, URL and status ("valid", "deactivated", or NULL) kept under name + server.
	 * ENOTFOUND = there is none; EIO = it cannot be read: never to be mistaken for the former.
	 * save_url keeps what the CA has told. */
	int (*account_load)(certauto_store *store, const char *name, const char *server,
		certauto__secret **key_out, char **url_out, char **status_out,
		certauto_error *err);
	int (*account_save_key)(certauto_store *store, const char *name, const char *server,
		const certauto__secret *key, certauto_error *err);
	int (*account_save_url)(certauto_store *store, const char *name, const char *server,
		const char *url, const char *status, const certauto__list *contacts,
		certauto_error *err);

	/* A key the account is to be given: durable before the CA hears of it. next_load:
	 * ENOTFOUND. next_settle: take 1 = it is the account's key from now on (by rename); 0 = it
	 * goes. */
	int (*account_next_save)(certauto_store *store, const char *name, const char *server,
		const certauto__secret *key, certauto_error *err);
	int (*account_next_load)(certauto_store *store, const char *name, const char *server,
		certauto__secret **key_out, certauto_error *err);
	int (*account_next_settle)(certauto_store *store, const char *name, const char *server,
		int take, certauto_error *err);
	/* "limits.json" of an account: opaque text to the store; len 0 removes it. ENOTFOUND. */
	int (*account_limits_load)(certauto_store *store, const char *name, const char *server,
		certauto__buffer *out, certauto_error *err);
	int (*account_limits_save)(certauto_store *store, const char *name, const char *server,
		const void *data, size_t len, certauto_error *err);

	/* generations. draft: a new directory with key.pem and csr.pem, durable before it returns;
	 * id is chosen and given back in generation->id. complete: chain files and meta.json, then
	 * `current` switched by rename; the generation before the former is removed. discard: a
	 * draft that will not be used. */
	int (*draft)(certauto_store *store, const char *name, const char *key_type,
		struct certauto__generation *generation, certauto_error *err);
	int (*complete)(certauto_store *store, const char *name, const char *key_type,
		const struct certauto__generation *generation, const certauto__certs *chain,
		certauto_error *err);
	int (*discard)(certauto_store *store, const char *name, const char *key_type,
		const char *id, certauto_error *err);
	/* id NULL = current. ENOTFOUND, EIO. */
	int (*load)(certauto_store *store, const char *name, const char *key_type, const char *id,
		struct certauto__generation *out, certauto_error *err);
	/* The one that was current before. ENOTFOUND. */
	int (*load_former)(certauto_store *store, const char *name, const char *key_type,
		struct certauto__generation *out, certauto_error *err);
	/* keeps a chain that failed acceptance beside the generation ("rejected.pem") for
	 * diagnosis */
	int (*reject)(certauto_store *store, const char *name, const char *key_type, const char *id,
		const void *chain, size_t len, certauto_error *err);

	/* Half-made generations of a lineage are removed, but not keep (NULL = none): under the
	 * lineage's lock. */
	int (*sweep)(certauto_store *store, const char *name, const char *key_type,
		const char *keep, certauto_error *err);
	/* "<name>/<key>" of each lineage there is, configured or not. */
	int (*list)(certauto_store *store, certauto__list *out, certauto_error *err);

	/* status.json of a lineage: opaque text to the store. ENOTFOUND. */
	int (*status_load)(certauto_store *store, const char *name, const char *key_type,
		certauto__buffer *out, certauto_error *err);
	int (*status_save)(certauto_store *store, const char *name, const char *key_type,
		const void *data, size_t len, certauto_error *err);

	/* journals: framed by jobs/journal.c. */
	int (*journal_save)(certauto_store *store, const char *id, const void *data, size_t len,
		certauto_error *err);
	int (*journal_load)(certauto_store *store, const char *id, certauto__buffer *out,
		certauto_error *err);
	int (*journal_remove)(certauto_store *store, const char *id, certauto_error *err);
	int (*journal_list)(certauto_store *store, certauto__list *out, certauto_error *err);

	/* try-lock of "<scope>-<id>" (scopes account, cert, job, order): 0 = ACQUIRED and *lock
	 * set; EBUSY = held by someone else; any other code = error. Released by unlock or by the
	 * death of the process. */
	int (*lock)(certauto_store *store, const char *scope, const char *id, void **lock,
		certauto_error *err);
	void (*unlock)(certauto_store *store, void *lock);

	void (*destroy)(certauto_store *store);
};

struct certauto_store {
	struct certauto__object object;
	const struct certauto__store_row *row;
	void *state;
	struct certauto__journal journal;   /* its journals in the form jobs take; arg = the store
	                                       (borrowed) */
};

int certauto__store_make(certauto_store **out, certauto_context *cx, const char *type,
	certauto_error *err);
/* A certificate's or account's name: [A-Za-z0-9._-]{1,64}, no leading dot. EINVAL. */
int certauto__store_name_check(const char *what, const char *name, certauto_error *err);

#endif
