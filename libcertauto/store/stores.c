/* SPDX-License-Identifier: Apache-2.0 */
/* The table of stores, and the public noun. */

#include <string.h>

#include "core/context.h"
#include "core/memory.h"
#include "crypto/objects.h"
#include "store/store.h"

extern const struct certauto__store_row certauto__store_files;

static const struct certauto__store_row *const rows[] = { &certauto__store_files };

int certauto__store_name_check(const char *what, const char *name, certauto_error *err)
{
	static const char safe[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = name != NULL ? strlen(name) : 0;

	if (len > 0 && len <= 64 && name[0] != '.' && strspn(name, safe) == len)
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, what,
		"%s name \"%.80s\": letters, digits, "
		"\".\", \"_\" and \"-\" are allowed, 64 at most, no dot in front",
		what, name != NULL ? name : "");
}

static int journal_save(void *arg, const char *id, const void *data, size_t len,
	certauto_error *err)
{
	certauto_store *store = arg;

	return store->row->journal_save(store, id, data, len, err);
}

static int journal_load(void *arg, const char *id, certauto__buffer *out, certauto_error *err)
{
	certauto_store *store = arg;

	return store->row->journal_load(store, id, out, err);
}

static int journal_remove(void *arg, const char *id, certauto_error *err)
{
	certauto_store *store = arg;

	return store->row->journal_remove(store, id, err);
}

static int journal_lock(void *arg, const char *id, void **lock, certauto_error *err)
{
	certauto_store *store = arg;

	return store->row->lock(store, "job", id, lock, err);
}

static void journal_unlock(void *arg, void *lock)
{
	certauto_store *store = arg;

	store->row->unlock(store, lock);
}

static void store_destroy(void *object)
{
	certauto_store *store = object;

	if (store->row != NULL)
		store->row->destroy(store);
}

int certauto__store_make(certauto_store **out, certauto_context *cx, const char *type,
	certauto_error *err)
{
	const struct certauto__store_row *row = NULL;
	certauto_store *store;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(rows[i]->name, type) == 0)
			row = rows[i];
	if (row == NULL)
		return certauto__error_set(err, CERTAUTO_ENOTFOUND, type,
			"no store of type \"%.80s\"; there is: files", type);
	if ((store = certauto__object_new(cx, sizeof(*store), store_destroy)) == NULL)
		return certauto__error_nomem(err);
	store->row = row;
	store->journal.arg = store;
	store->journal.save = journal_save;
	store->journal.load = journal_load;
	store->journal.remove = journal_remove;
	store->journal.lock = journal_lock;
	store->journal.unlock = journal_unlock;
	*out = store;
	return 0;
}

int certauto_store_new(certauto_store **out, certauto_context *cx, const char *type)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || type == NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"store_new: an argument is NULL");
	else
		rc = certauto__store_make(out, cx, type, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_store_set(certauto_store *store, const char *name, const char *value)
{
	certauto_context *cx = certauto_store_context(store);
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (name == NULL || value == NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"store_set: an argument is NULL");
	else
		rc = store->row->set(store, name, value, &cx->error);
	return certauto__leave(cx, rc);
}

static int make_handles(certauto_key **key_out, certauto_chain **chain_out, certauto_context *cx,
	const struct certauto__generation *generation, certauto_error *err)
{
	certauto__certs *certs = NULL;
	certauto__pkey *pkey = NULL;
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;
	int rc;

	if ((rc = certauto__certs_parse(&certs, generation->fullchain.data,
		     generation->fullchain.len, 0, err)) < 0 ||
	    (rc = certauto__chain_wrap(&chain, cx, certs, err)) < 0)
		return rc;
	if (generation->key != NULL &&
	    ((rc = certauto__pkey_parse_own(&pkey, certauto__secret_data(generation->key),
		      certauto__secret_len(generation->key), err)) < 0 ||
	     (rc = certauto__key_wrap(&key, cx, pkey, err)) < 0)) {
		certauto_chain_free(chain);
		return rc;
	}
	*key_out = key;
	*chain_out = chain;
	return 0;
}

static int store_load(certauto_key **key_out, certauto_chain **chain_out, certauto_store *store,
	const char *name, const char *key_type, certauto_error *err)
{
	struct certauto__generation generation = {0};
	int rc;

	rc = store->row->load(store, name, key_type, NULL, &generation, err);
	if (rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err); /* which link or folder is missing helps nobody */
		certauto__error_set(err, rc, name, "%s %s was never issued", name, key_type);
		return certauto__error_advise(err, "certauto issue %s", name);
	}
	if (rc < 0)
		return rc;
	rc = make_handles(key_out, chain_out, store->object.cx, &generation, err);
	if (rc < 0 && rc != CERTAUTO_ENOMEM) { /* what is kept is wrong, not what was asked */
		certauto__error_prefix(err, "%s %s, %s", name, key_type, generation.id);
		rc = CERTAUTO_EIO;
		if (err != NULL)
			err->code = rc;
	}
	certauto__generation_free(&generation);
	return rc;
}

int certauto_store_load(certauto_key **key_out, certauto_chain **chain_out, certauto_store *store,
	const char *name, const char *key_type, int timeout_ms)
{
	certauto_context *cx = certauto_store_context(store);
	int rc;

	(void)timeout_ms; /* files are read at once */
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (key_out == NULL || chain_out == NULL || name == NULL || key_type == NULL)
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"store_load: an argument is NULL");
	else if ((rc = certauto__store_name_check("certificate", name, &cx->error)) == 0 &&
		 (rc = certauto__store_name_check("key", key_type, &cx->error)) == 0)
		rc = store_load(key_out, chain_out, store, name, key_type, &cx->error);
	return certauto__leave(cx, rc);
}

int certauto_context_use_store(certauto_context *cx, certauto_store *store)
{
	static const struct certauto__journal none;
	certauto_store *former;
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (store != NULL && store->object.cx != cx) {
		rc = certauto__error_set(&cx->error, CERTAUTO_EINVAL, NULL,
			"the store is of another context");
	} else if ((rc = certauto__journal_use(cx, store != NULL ? &store->journal : &none)) < 0) {
		certauto__error_set(&cx->error, rc, NULL,
			"the store cannot be changed while jobs of the context run");
	} else {
		former = cx->store;
		cx->store = certauto__object_ref(store);
		certauto__object_unref(former);
	}
	return certauto__leave(cx, rc);
}

certauto_context *certauto_store_context(const certauto_store *store)
{
	return store != NULL ? store->object.cx : NULL;
}

void certauto_store_free(certauto_store *store)
{
	(void)certauto__object_unref(store);
}
