/* SPDX-License-Identifier: Apache-2.0 */
/* Generations of a lineage in the files store. A generation is a directory; it is complete
 * before `current` leads to it, and a reader takes that link once, so nobody sees a key without
 * its certificate. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/memory.h"
#include "store/files.h"

#define FULLCHAIN_MAX (1024 * 1024)
#define KEY_ON "key.target" /* instead of key.pem: which target has it */
#define KEY_ON_MAX 256

void certauto__generation_free(struct certauto__generation *generation)
{
	certauto__free(generation->id);
	certauto__secret_free(generation->key);
	certauto__free(generation->key_on);
	certauto__buffer_free(&generation->csr);
	certauto__buffer_free(&generation->fullchain);
	certauto__list_free(&generation->names);
	certauto__free(generation->server);
	certauto__free(generation->order_url);
	certauto__free(generation->profile);
	memset(generation, 0, sizeof(*generation));
}

/* "gen-12-1a2b3c4d" -> 12; 0: not the name of a generation. */
static long generation_number(const char *id)
{
	char *end;
	long n;

	if (!certauto__text_starts(id, "gen-") || id[4] < '1' || id[4] > '9')
		return 0;
	errno = 0;
	n = strtol(id + 4, &end, 10);
	if (errno != 0 || n <= 0 || *end != '-' || strlen(end + 1) != 8 ||
	    strspn(end + 1, "0123456789abcdef") != 8)
		return 0;
	return n;
}

static int lineage_open(certauto_store *store, const char *name, const char *key_type, int make,
	struct certauto__dir *out, certauto_error *err)
{
	int rc;

	if ((rc = certauto__store_name_check("certificate", name, err)) < 0 ||
	    (rc = certauto__store_name_check("key", key_type, err)) < 0)
		return rc;
	return certauto__files_open(store, out, make, err, "certs", name, key_type);
}

/* Where `current` leads to; size at least 64. ENOTFOUND: nothing was issued yet. */
static int current_id(const struct certauto__dir *lineage, char *out, size_t size,
	certauto_error *err)
{
	ssize_t n = readlinkat(lineage->fd, "current", out, size - 1);

	if (n < 0)
		return certauto__files_errno(err, errno, "cannot read the link", lineage,
			"current");
	out[n] = '\0';
	if (generation_number(out) != 0)
		return 0;
	return certauto__error_set(err, CERTAUTO_EIO, lineage->path,
		"%s/current leads to no generation of this directory", lineage->path);
}

static int next_id(const struct certauto__dir *lineage, char **out, certauto_error *err)
{
	certauto__list names = {0};
	long n, last = 0;
	char random[9], id[64];
	size_t i;
	int rc;

	if ((rc = certauto__dir_list(lineage, &names, err)) < 0 ||
	    (rc = certauto__random_hex(random, 4, err)) < 0)
		goto out;
	for (i = 0; i < names.n; i++)
		if ((n = generation_number(names.items[i])) > last)
			last = n;
	(void)snprintf(id, sizeof(id), "gen-%ld-%s", last + 1, random);
	if ((*out = certauto__strdup(id)) == NULL)
		rc = certauto__error_nomem(err);
out:
	certauto__list_free(&names);
	return rc;
}

int certauto__files_draft(certauto_store *store, const char *name, const char *key_type,
	struct certauto__generation *generation, certauto_error *err)
{
	struct certauto__dir lineage = CERTAUTO__DIR, dir = CERTAUTO__DIR;
	char *id = NULL;
	int rc;

	if ((rc = lineage_open(store, name, key_type, 1, &lineage, err)) < 0 ||
	    (rc = next_id(&lineage, &id, err)) < 0 ||
	    (rc = certauto__dir_open(&dir, &lineage, id, 1, err)) < 0 ||
	    (generation->key != NULL &&
	     (rc = certauto__file_write(&dir, "key.pem", certauto__secret_data(generation->key),
		     certauto__secret_len(generation->key), err)) < 0) ||
	    (generation->key_on != NULL &&
	     (rc = certauto__file_write(&dir, KEY_ON, generation->key_on,
		     strlen(generation->key_on), err)) < 0) ||
	    (rc = certauto__file_write(&dir, "csr.pem", certauto__buffer_text(&generation->csr),
		     generation->csr.len, err)) < 0 ||
	    (rc = certauto__dir_sync(&dir, err)) < 0) {
		if (dir.fd >= 0)
			(void)certauto__dir_remove(&lineage, id, NULL);
		goto out;
	}
	certauto__free(generation->id);
	generation->id = id;
	id = NULL;
out:
	certauto__free(id);
	certauto__dir_close(&dir);
	certauto__dir_close(&lineage);
	return rc;
}

static int write_part(const struct certauto__dir *dir, const char *name,
	const certauto__certs *chain, int part, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(FULLCHAIN_MAX);
	int rc;

	if (certauto__certs_format(&text, chain, part) < 0)
		rc = certauto__error_nomem(err);
	else
		rc = certauto__file_write(dir, name, certauto__buffer_text(&text), text.len, err);
	certauto__buffer_free(&text);
	return rc;
}

static int write_meta(const struct certauto__dir *dir, const char *key_type,
	const struct certauto__generation *generation, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__STORE_FILE_MAX);
	int rc;

	if (certauto__meta_format(&text, generation, key_type) < 0)
		rc = certauto__error_nomem(err);
	else
		rc = certauto__file_write(dir, "meta.json", text.data, text.len, err);
	certauto__buffer_free(&text);
	return rc;
}

static int is_complete(const struct certauto__dir *lineage, const char *id)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/meta.json", id);
	return faccessat(lineage->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The newest complete one before that; NULL. */
static const char *former_of(const struct certauto__dir *lineage, const certauto__list *names,
	const char *current)
{
	long n, before = 0, now = generation_number(current);
	const char *former = NULL;
	size_t i;

	for (i = 0; i < names->n; i++)
		if ((n = generation_number(names->items[i])) > before && n < now &&
		    is_complete(lineage, names->items[i])) {
			before = n;
			former = names->items[i];
		}
	return former;
}

/* The generation that was current before stays: what was deployed may have to be put back. What
 * is older goes. Not known (after a kill): the newest complete one. Failing here harms nothing;
 * the next one tries again. */
static void remove_older(const struct certauto__dir *lineage, const char *current,
	const char *former)
{
	certauto__list names = {0};
	long n, before, now = generation_number(current);
	size_t i;

	if (certauto__dir_list(lineage, &names, NULL) == 0) {
		if (generation_number(former) == 0)
			former = former_of(lineage, &names, current);
		before = generation_number(former);
		for (i = 0; i < names.n; i++)
			if ((n = generation_number(names.items[i])) > 0 && n < now && n != before)
				(void)certauto__dir_remove(lineage, names.items[i], NULL);
	}
	certauto__list_free(&names);
}

/* meta.json comes last: a directory that has it has everything. May be called again after a
 * kill. */
int certauto__files_complete(certauto_store *store, const char *name, const char *key_type,
	const struct certauto__generation *generation, const certauto__certs *chain,
	certauto_error *err)
{
	struct certauto__dir lineage = CERTAUTO__DIR, dir = CERTAUTO__DIR;
	char former[64];
	int rc;

	if (generation->id == NULL || generation_number(generation->id) == 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, generation->id,
			"not a generation");
	if ((rc = lineage_open(store, name, key_type, 0, &lineage, err)) < 0 ||
	    (rc = certauto__dir_open(&dir, &lineage, generation->id, 0, err)) < 0 ||
	    (rc = write_part(&dir, "cert.pem", chain, CERTAUTO__PART_LEAF, err)) < 0 ||
	    (rc = write_part(&dir, "chain.pem", chain, CERTAUTO__PART_INTERMEDIATES, err)) < 0 ||
	    (rc = write_part(&dir, "fullchain.pem", chain, CERTAUTO__PART_FULL, err)) < 0 ||
	    (rc = write_meta(&dir, key_type, generation, err)) < 0 ||
	    (rc = certauto__dir_sync(&dir, err)) < 0)
		goto out;
	if (current_id(&lineage, former, sizeof(former), NULL) < 0 ||
	    strcmp(former, generation->id) == 0)
		former[0] = '\0';
	if ((rc = certauto__file_link(&lineage, "current", generation->id, err)) == 0)
		remove_older(&lineage, generation->id, former);
out:
	certauto__dir_close(&dir);
	certauto__dir_close(&lineage);
	return rc;
}

/* Never the current one, whoever asks. */
int certauto__files_discard(certauto_store *store, const char *name, const char *key_type,
	const char *id, certauto_error *err)
{
	struct certauto__dir lineage = CERTAUTO__DIR;
	char current[64];
	int rc;

	if (generation_number(id) == 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, id, "not a generation");
	if ((rc = lineage_open(store, name, key_type, 0, &lineage, err)) < 0)
		goto out;
	rc = current_id(&lineage, current, sizeof(current), err);
	if (rc == 0 && strcmp(current, id) == 0) {
		rc = certauto__error_set(err, CERTAUTO_EBUSY, id, "%s/%s is the current generation",
			lineage.path, id);
	} else if (rc == 0 || rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err);
		rc = certauto__dir_remove(&lineage, id, err);
	}
out:
	certauto__dir_close(&lineage);
	return rc;
}

/* Generations that no job works on and that never became current. keep is the one of the
 * caller's job, who holds the lock. Where the link is gone (a person may have removed it) nobody
 * can tell which one was current: whole ones stay. */
static int is_stray(const struct certauto__dir *lineage, const char *id, const char *current,
	const char *keep)
{
	long n = generation_number(id);

	if (n == 0 || strcmp(id, current) == 0 || certauto__text_equal(id, keep))
		return 0;
	return !is_complete(lineage, id) ||
		(current[0] != '\0' && n > generation_number(current));
}

int certauto__files_sweep(certauto_store *store, const char *name, const char *key_type,
	const char *keep, certauto_error *err)
{
	struct certauto__dir lineage = CERTAUTO__DIR;
	certauto__list names = {0};
	char current[64] = "";
	size_t i;
	int rc;

	if ((rc = lineage_open(store, name, key_type, 0, &lineage, err)) < 0)
		goto out;
	rc = current_id(&lineage, current, sizeof(current), err);
	if (rc < 0 && rc != CERTAUTO_ENOTFOUND)
		goto out;
	certauto__error_clear(err);
	certauto__dir_sweep(&lineage, 1);
	rc = certauto__dir_list(&lineage, &names, err);
	for (i = 0; rc == 0 && i < names.n; i++)
		if (is_stray(&lineage, names.items[i], current, keep))
			rc = certauto__dir_remove(&lineage, names.items[i], err);
out:
	if (rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err);
		rc = 0;
	}
	certauto__list_free(&names);
	certauto__dir_close(&lineage);
	return rc;
}

/* A part that is missing from a generation that is there is damage, not absence. */
static int damaged(int rc, const struct certauto__dir *dir, const char *part, certauto_error *err)
{
	if (rc != CERTAUTO_ENOTFOUND)
		return rc;
	certauto__error_clear(err);
	rc = certauto__error_set(err, CERTAUTO_EIO, dir->path, "%s is missing from %s", part,
		dir->path);
	certauto__error_advise(err,
		"restore it from a backup, or remove the link `current` beside that "
		"directory to have a new certificate issued");
	return rc;
}

static int load_chain(const struct certauto__dir *dir, struct certauto__generation *out,
	certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__STORE_FILE_MAX);
	char path[4352];
	int rc;

	(void)snprintf(path, sizeof(path), "%s/meta.json", dir->path);
	if ((rc = certauto__file_read(dir, "meta.json", &text, err)) == 0 &&
	    (rc = certauto__meta_parse(out, path, text.data, text.len, err)) == 0)
		rc = damaged(certauto__file_read(dir, "fullchain.pem", &out->fullchain, err), dir,
			"fullchain.pem", err);
	certauto__buffer_free(&text);
	return rc;
}

static int load_key(const struct certauto__dir *dir, struct certauto__generation *out,
	certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(KEY_ON_MAX);
	int rc;

	if (certauto__file_read(dir, KEY_ON, &text, NULL) == 0 && text.len > 0) {
		out->key_on = certauto__strdup(certauto__buffer_text(&text));
		rc = out->key_on != NULL ? 0 : certauto__error_nomem(err);
	} else {
		rc = certauto__file_read_secret(dir, "key.pem", &out->key, err);
	}
	certauto__buffer_free(&text);
	return rc;
}

static int load_from(const struct certauto__dir *dir, const char *key_type, int current,
	struct certauto__generation *out, certauto_error *err)
{
	int rc;

	if ((rc = certauto__file_read(dir, "csr.pem", &out->csr, err)) < 0)
		return damaged(rc, dir, "csr.pem", err);
	if (strcmp(key_type, "csr") != 0 && (rc = load_key(dir, out, err)) < 0)
		return damaged(rc, dir, "key.pem", err);
	rc = load_chain(dir, out, err);
	if (rc == CERTAUTO_ENOTFOUND && !current) { /* half-made */
		certauto__error_clear(err);
		return 0;
	}
	return damaged(rc, dir, "meta.json", err);
}

int certauto__files_load(certauto_store *store, const char *name, const char *key_type,
	const char *id, struct certauto__generation *out, certauto_error *err)
{
	struct certauto__dir lineage = CERTAUTO__DIR, dir = CERTAUTO__DIR;
	struct certauto__generation loaded = {0};
	char current[64];
	int rc;

	certauto__buffer_init(&loaded.csr, CERTAUTO__STORE_FILE_MAX);
	certauto__buffer_init(&loaded.fullchain, FULLCHAIN_MAX);
	if ((rc = lineage_open(store, name, key_type, 0, &lineage, err)) < 0)
		goto out;
	if (id == NULL && (rc = current_id(&lineage, current, sizeof(current), err)) < 0)
		goto out;
	if (generation_number(id != NULL ? id : current) == 0) {
		rc = certauto__error_set(err, CERTAUTO_EINVAL, id, "not a generation");
		goto out;
	}
	if ((rc = certauto__dir_open(&dir, &lineage, id != NULL ? id : current, 0, err)) < 0) {
		if (id == NULL)
			rc = damaged(rc, &lineage, current, err);
		goto out;
	}
	if ((loaded.id = certauto__strdup(id != NULL ? id : current)) == NULL)
		rc = certauto__error_nomem(err);
	else
		rc = load_from(&dir, key_type, id == NULL, &loaded, err);
	if (rc == 0) {
		*out = loaded;
		memset(&loaded, 0, sizeof(loaded));
	}
out:
	certauto__generation_free(&loaded);
	certauto__dir_close(&dir);
	certauto__dir_close(&lineage);
	return rc;
}

int certauto__files_load_former(certauto_store *store, const char *name, const char *key_type,
	struct certauto__generation *out, certauto_error *err)
{
	struct certauto__dir lineage = CERTAUTO__DIR;
	certauto__list names = {0};
	const char *former = NULL;
	char current[64];
	int rc;

	if ((rc = lineage_open(store, name, key_type, 0, &lineage, err)) == 0 &&
	    (rc = current_id(&lineage, current, sizeof(current), err)) == 0 &&
	    (rc = certauto__dir_list(&lineage, &names, err)) == 0)
		former = former_of(&lineage, &names, current);
	certauto__dir_close(&lineage);
	if (former != NULL)
		rc = certauto__files_load(store, name, key_type, former, out, err);
	else if (rc == 0)
		rc = certauto__error_set(err, CERTAUTO_ENOTFOUND, name,
			"%s %s: there was no certificate before the current one", name, key_type);
	certauto__list_free(&names);
	return rc;
}

/* Beside the generations, not inside one: it outlives the draft it was meant for. */
int certauto__files_reject(certauto_store *store, const char *name, const char *key_type,
	const char *id, const void *chain, size_t len, certauto_error *err)
{
	struct certauto__dir lineage = CERTAUTO__DIR;
	int rc;

	(void)id;
	if ((rc = lineage_open(store, name, key_type, 1, &lineage, err)) == 0)
		rc = certauto__file_replace(&lineage, "rejected.pem", chain, len, err);
	certauto__dir_close(&lineage);
	return rc;
}

static int list_keys(certauto_store *store, const char *name, certauto__list *out,
	certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	certauto__list keys = {0};
	char id[160];
	size_t i;
	int rc;

	if ((rc = certauto__files_open(store, &dir, 0, err, "certs", name, NULL)) == 0)
		rc = certauto__dir_list(&dir, &keys, err);
	for (i = 0; rc == 0 && i < keys.n; i++) {
		if (certauto__store_name_check("key", keys.items[i], NULL) < 0)
			continue;
		(void)snprintf(id, sizeof(id), "%s/%s", name, keys.items[i]);
		if (certauto__list_add_text(out, id) < 0)
			rc = certauto__error_nomem(err);
	}
	certauto__list_free(&keys);
	certauto__dir_close(&dir);
	return rc;
}

/* "<name>/<key>" of each lineage, configured or not. */
int certauto__files_list(certauto_store *store, certauto__list *out, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	certauto__list names = {0};
	size_t i;
	int rc;

	if ((rc = certauto__files_open(store, &dir, 0, err, "certs", NULL, NULL)) == 0)
		rc = certauto__dir_list(&dir, &names, err);
	for (i = 0; rc == 0 && i < names.n; i++)
		if (certauto__store_name_check("certificate", names.items[i], NULL) == 0)
			rc = list_keys(store, names.items[i], out, err);
	if (rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err);
		rc = 0;
	}
	certauto__list_free(&names);
	certauto__dir_close(&dir);
	return rc;
}
