/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts in the files store. While a trace of an account is there, it is never taken for missing:
 * a second account would be made, each run anew, until the CA locks us out. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "store/files.h"

#define KEY "key.pem"
#define NEXT "next.pem"
#define LIMITS "limits.json"

static int account_open(certauto_store *store, const char *name, const char *server, int make,
	struct certauto__dir *out, certauto_error *err)
{
	char folder[80], digest[65];
	int rc;

	if ((rc = certauto__store_name_check("account", name, err)) < 0 ||
	    (rc = certauto__sha256_hex(digest, server, strlen(server))) < 0)
		return rc;
	(void)snprintf(folder, sizeof(folder), "%s-%.8s", name, digest);
	return certauto__files_open(store, out, make, err, "accounts", folder, NULL);
}

/* No key: fine only if there is no other trace. */
static int account_without_key(const struct certauto__dir *dir, certauto_error *err)
{
	int there, next = 0, rc;

	certauto__error_clear(err);
	if ((rc = certauto__file_exists(dir, "account.json", &there, err)) < 0 ||
	    (rc = certauto__file_exists(dir, NEXT, &next, err)) < 0)
		return rc;
	if (!there && !next)
		return certauto__error_set(err, CERTAUTO_ENOTFOUND, dir->path, "no account in %s",
			dir->path);
	rc = certauto__error_set(err, CERTAUTO_EIO, dir->path,
		"the account's key is gone from %s, where %s still is", dir->path,
		there ? "account.json" : NEXT);
	certauto__error_advise(err,
		"restore key.pem from a backup; to begin with a new account, move "
		"that directory away");
	return rc;
}

/* Whoever reads the key cannot say which file it came from. */
static int check_key(const struct certauto__dir *dir, const char *file,
	const certauto__secret *key, certauto_error *err)
{
	char path[4352];
	int rc;

	if (certauto__text_starts(certauto__secret_text(key), "-----BEGIN ") &&
	    strstr(certauto__secret_text(key), "-----END ") != NULL)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/%s", dir->path, file);
	rc = certauto__error_set(err, CERTAUTO_EIO, path, "%s holds no key", path);
	certauto__error_advise(err,
		"restore it from a backup; to begin with a new account, move that directory away");
	return rc;
}

static int account_read_url(const struct certauto__dir *dir, const char *server, char **url_out,
	char **status_out, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__STORE_FILE_MAX);
	char path[4352], *kept = NULL, *url = NULL, *status = NULL;
	int rc;

	(void)snprintf(path, sizeof(path), "%s/account.json", dir->path);
	if ((rc = certauto__file_read(dir, "account.json", &text, err)) == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err);
		rc = 0; /* killed between the key and the CA's answer */
		goto out;
	}
	if (rc < 0 ||
	    (rc = certauto__account_parse(path, text.data, text.len, &kept, &url, &status, err)) <
			0)
		goto out;
	if (!certauto__text_equal(kept, server)) {
		rc = certauto__error_set(err, CERTAUTO_EIO, path,
			"%s is of the server %s, not of %s", path, kept != NULL ? kept : "(none)",
			server);
		goto out;
	}
	*url_out = url;
	*status_out = status;
	url = status = NULL;
out:
	certauto__free(kept);
	certauto__free(url);
	certauto__free(status);
	certauto__buffer_free(&text);
	return rc;
}

int certauto__files_account_load(certauto_store *store, const char *name, const char *server,
	certauto__secret **key_out, char **url_out, char **status_out, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	certauto__secret *key = NULL;
	char *url = NULL, *status = NULL;
	int rc;

	if ((rc = account_open(store, name, server, 0, &dir, err)) < 0)
		goto out;
	if ((rc = certauto__file_read_secret(&dir, KEY, &key, err)) < 0) {
		if (rc == CERTAUTO_ENOTFOUND)
			rc = account_without_key(&dir, err);
		goto out;
	}
	if ((rc = check_key(&dir, KEY, key, err)) < 0 ||
	    (rc = account_read_url(&dir, server, &url, &status, err)) < 0)
		goto out;
	*key_out = key;
	*url_out = url;
	*status_out = status;
	key = NULL;
out:
	certauto__secret_free(key);
	certauto__dir_close(&dir);
	return rc;
}

int certauto__files_account_save_key(certauto_store *store, const char *name, const char *server,
	const certauto__secret *key, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	int rc;

	if ((rc = account_open(store, name, server, 1, &dir, err)) == 0)
		rc = certauto__file_create(&dir, KEY, certauto__secret_data(key),
			certauto__secret_len(key), err);
	certauto__dir_close(&dir);
	return rc;
}

int certauto__files_account_save_url(certauto_store *store, const char *name, const char *server,
	const char *url, const char *status, const certauto__list *contacts, certauto_error *err)
{
	certauto__buffer text = CERTAUTO__BUFFER(CERTAUTO__STORE_FILE_MAX);
	struct certauto__dir dir = CERTAUTO__DIR;
	int rc;

	if (certauto__account_format(&text, server, url, status, contacts) < 0)
		rc = certauto__error_nomem(err);
	else if ((rc = account_open(store, name, server, 1, &dir, err)) == 0)
		rc = certauto__file_replace(&dir, "account.json", text.data, text.len, err);
	certauto__dir_close(&dir);
	certauto__buffer_free(&text);
	return rc;
}

/* ---- the key it is to be given ---- */

int certauto__files_account_next_save(certauto_store *store, const char *name, const char *server,
	const certauto__secret *key, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	int rc;

	/* Never replaced: the CA may have been told of the one that is there. */
	if ((rc = account_open(store, name, server, 1, &dir, err)) == 0)
		rc = certauto__file_create(&dir, NEXT, certauto__secret_data(key),
			certauto__secret_len(key), err);
	certauto__dir_close(&dir);
	return rc;
}

int certauto__files_account_next_load(certauto_store *store, const char *name, const char *server,
	certauto__secret **key_out, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	certauto__secret *key = NULL;
	int rc;

	if ((rc = account_open(store, name, server, 0, &dir, err)) == 0 &&
	    (rc = certauto__file_read_secret(&dir, NEXT, &key, err)) == 0 &&
	    (rc = check_key(&dir, NEXT, key, err)) == 0) {
		*key_out = key;
		key = NULL;
	}
	certauto__secret_free(key);
	certauto__dir_close(&dir);
	return rc;
}

/* By one rename: at no moment there is no key, or a key that is half the one and half the other. */
int certauto__files_account_next_settle(certauto_store *store, const char *name,
	const char *server, int take, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	int rc;

	if ((rc = account_open(store, name, server, 0, &dir, err)) < 0)
		return rc;
	if (!take)
		rc = certauto__file_remove(&dir, NEXT, err);
	else if (renameat(dir.fd, NEXT, dir.fd, KEY) < 0)
		rc = certauto__files_errno(err, errno, "cannot rename", &dir, NEXT);
	else
		rc = certauto__dir_sync(&dir, err);
	certauto__dir_close(&dir);
	return rc;
}

/* ---- limits of the CA ---- */

int certauto__files_account_limits_load(certauto_store *store, const char *name,
	const char *server, certauto__buffer *out, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	int rc;

	if ((rc = account_open(store, name, server, 0, &dir, err)) == 0)
		rc = certauto__file_read(&dir, LIMITS, out, err);
	certauto__dir_close(&dir);
	return rc;
}

int certauto__files_account_limits_save(certauto_store *store, const char *name,
	const char *server, const void *data, size_t len, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	int rc;

	if ((rc = account_open(store, name, server, len > 0, &dir, err)) == 0)
		rc = len > 0 ? certauto__file_replace(&dir, LIMITS, data, len, err)
			     : certauto__file_remove(&dir, LIMITS, err);
	certauto__dir_close(&dir);
	if (len == 0 && rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err);
		rc = 0;
	}
	return rc;
}
