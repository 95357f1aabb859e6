/* SPDX-License-Identifier: Apache-2.0 */
/* The row of the files store, and its smaller parts: status, journals, locks. The layout is
 * drawn in files.h; generations, accounts and the preflight have files of their own. */

#include "store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"

struct lock {
	int fd;
};

struct certauto__files *certauto__files_state(certauto_store *store, certauto_error *err)
{
	struct certauto__files *files = store->state;

	if (files != NULL)
		return files;
	if ((files = certauto__alloc(sizeof(*files))) == NULL) {
		(void)certauto__error_nomem(err);
		return NULL;
	}
	files->root.fd = -1;
	store->state = files;
	return files;
}

static void files_destroy(certauto_store *store)
{
	struct certauto__files *files = store->state;

	if (files == NULL)
		return;
	certauto__dir_close(&files->root);
	certauto__free(files->directory);
	certauto__free(files);
	store->state = NULL;
}

/* A relative path means the directory the process is in now, not at some later time. */
static int make_absolute(char **out, const char *value, certauto_error *err)
{
	certauto__buffer path = CERTAUTO__BUFFER(PATH_MAX - 1);
	char here[PATH_MAX] = "";
	int rc;

	if (value[0] != '/' && getcwd(here, sizeof(here)) == NULL)
		return certauto__files_errno(err, errno, "cannot find the current directory", NULL,
			NULL);
	rc = certauto__buffer_printf(&path, "%s%s%s", here, value[0] != '/' ? "/" : "", value);
	if (rc == CERTAUTO_EPROTO)
		rc = certauto__error_set(err, CERTAUTO_EINVAL, value,
			"directory: the path is too long");
	else if (rc < 0 || (*out = certauto__buffer_take(&path)) == NULL)
		rc = certauto__error_nomem(err);
	certauto__buffer_free(&path);
	return rc;
}

static int files_set(certauto_store *store, const char *name, const char *value,
	certauto_error *err)
{
	struct certauto__files *files;
	char *directory;
	int rc;

	if (strcmp(name, "directory") != 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, name,
			"the files store has no option \"%s\"; it has: directory", name);
	if (value == NULL || value[0] == '\0')
		return certauto__error_set(err, CERTAUTO_EINVAL, name, "directory: must be a path");
	if ((files = certauto__files_state(store, err)) == NULL)
		return CERTAUTO_ENOMEM;
	if ((rc = make_absolute(&directory, value, err)) < 0)
		return rc;
	certauto__free(files->directory);
	files->directory = directory;
	certauto__dir_close(&files->root);
	return 0;
}

/* The root is checked once and stays open: what is under a directory that was ours cannot be
 * swapped. */
static int open_root(certauto_store *store, struct certauto__files **out, int make,
	certauto_error *err)
{
	struct certauto__files *files = certauto__files_state(store, err);
	struct stat st;
	int rc;

	if (files == NULL)
		return CERTAUTO_ENOMEM;
	if (files->directory == NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, "directory",
			"the files store needs its option \"directory\"");
	/* Somebody may have removed it under our feet; what is written there then would be lost. */
	if (files->root.fd >= 0 && (fstat(files->root.fd, &st) < 0 || st.st_nlink == 0))
		certauto__dir_close(&files->root);
	if (files->root.fd < 0 &&
	    (rc = certauto__dir_open_root(&files->root, files->directory, make, err)) < 0)
		return rc;
	*out = files;
	return 0;
}

int certauto__files_open(certauto_store *store, struct certauto__dir *out, int make,
	certauto_error *err, const char *a, const char *b, const char *c)
{
	const char *names[] = { a != NULL ? a : ".", a != NULL ? b : NULL, b != NULL ? c : NULL };
	struct certauto__dir dir = CERTAUTO__DIR, next = CERTAUTO__DIR;
	const struct certauto__dir *at;
	struct certauto__files *files = NULL;
	size_t i;
	int rc;

	if ((rc = open_root(store, &files, make, err)) < 0)
		return rc;
	at = &files->root;
	for (i = 0; i < sizeof(names) / sizeof(*names) && names[i] != NULL; i++) {
		rc = certauto__dir_open(&next, at, names[i], make && strcmp(names[i], ".") != 0,
			err);
		certauto__dir_close(&dir);
		if (rc < 0)
			return rc;
		dir = next;
		at = &dir;
	}
	*out = dir;
	return 0;
}

/* ---- one file in a folder ---- */

static int folder_read(certauto_store *store, const char *a, const char *b, const char *c,
	const char *file, certauto__buffer *out, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	int rc;

	if ((rc = certauto__files_open(store, &dir, 0, err, a, b, c)) == 0)
		rc = certauto__file_read(&dir, file, out, err);
	certauto__dir_close(&dir);
	return rc;
}

static int folder_replace(certauto_store *store, const char *a, const char *b, const char *c,
	const char *file, const void *data, size_t len, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	int rc;

	if ((rc = certauto__files_open(store, &dir, 1, err, a, b, c)) == 0)
		rc = certauto__file_replace(&dir, file, data, len, err);
	certauto__dir_close(&dir);
	return rc;
}

static int check_lineage(const char *name, const char *key_type, certauto_error *err)
{
	int rc;

	if ((rc = certauto__store_name_check("certificate", name, err)) < 0)
		return rc;
	return certauto__store_name_check("key", key_type, err);
}

static int files_status_load(certauto_store *store, const char *name, const char *key_type,
	certauto__buffer *out, certauto_error *err)
{
	int rc;

	if ((rc = check_lineage(name, key_type, err)) < 0)
		return rc;
	return folder_read(store, "certs", name, key_type, "status.json", out, err);
}

static int files_status_save(certauto_store *store, const char *name, const char *key_type,
	const void *data, size_t len, certauto_error *err)
{
	int rc;

	if ((rc = check_lineage(name, key_type, err)) < 0)
		return rc;
	return folder_replace(store, "certs", name, key_type, "status.json", data, len, err);
}

/* ---- journals ---- */

#define JOURNAL_SUFFIX ".json"

/* Ids are ours, made of names: what would be another path is refused. */
static int id_file(char *out, size_t size, const char *prefix, const char *id, const char *suffix,
	certauto_error *err)
{
	static const char safe[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(id);

	if (len == 0 || len > 160 || id[0] == '.' || strspn(id, safe) != len)
		return certauto__error_set(err, CERTAUTO_EINVAL, id,
			"not a name for a file: \"%s\"", id);
	(void)snprintf(out, size, "%s%s%s", prefix, id, suffix);
	return 0;
}

static int files_journal_save(certauto_store *store, const char *id, const void *data, size_t len,
	certauto_error *err)
{
	char file[256];
	int rc;

	if ((rc = id_file(file, sizeof(file), "", id, JOURNAL_SUFFIX, err)) < 0)
		return rc;
	return folder_replace(store, "jobs", NULL, NULL, file, data, len, err);
}

static int files_journal_load(certauto_store *store, const char *id, certauto__buffer *out,
	certauto_error *err)
{
	char file[256];
	int rc;

	if ((rc = id_file(file, sizeof(file), "", id, JOURNAL_SUFFIX, err)) < 0)
		return rc;
	return folder_read(store, "jobs", NULL, NULL, file, out, err);
}

static int files_journal_remove(certauto_store *store, const char *id, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	char file[256];
	int rc;

	if ((rc = id_file(file, sizeof(file), "", id, JOURNAL_SUFFIX, err)) < 0)
		return rc;
	if ((rc = certauto__files_open(store, &dir, 0, err, "jobs", NULL, NULL)) == 0)
		rc = certauto__file_remove(&dir, file, err);
	certauto__dir_close(&dir);
	return rc;
}

static int files_journal_list(certauto_store *store, certauto__list *out, certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	certauto__list names = {0};
	size_t i, len, suffix = strlen(JOURNAL_SUFFIX);
	int rc;

	if ((rc = certauto__files_open(store, &dir, 0, err, "jobs", NULL, NULL)) == 0)
		rc = certauto__dir_list(&dir, &names, err);
	if (rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(err);
		rc = 0;
	}
	for (i = 0; rc == 0 && i < names.n; i++) {
		len = strlen(names.items[i]);
		if (names.items[i][0] != '.' && len > suffix &&
		    strcmp(names.items[i] + len - suffix, JOURNAL_SUFFIX) == 0 &&
		    certauto__list_add(out, names.items[i], len - suffix) < 0)
			rc = certauto__error_nomem(err);
	}
	certauto__list_free(&names);
	certauto__dir_close(&dir);
	return rc;
}

/* ---- locks ---- */

/* A lock file is never deleted: who deletes one that another process has just opened leaves two
 * holders. */
static int lock_open(int *out, const struct certauto__dir *dir, const char *file,
	certauto_error *err)
{
	struct stat st;
	int fd =
		openat(dir->fd, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);

	if (fd < 0)
		return certauto__files_errno(err, errno, "cannot open", dir, file);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    fchmod(fd, 0600) < 0) {
		(void)close(fd);
		return certauto__error_set(err, CERTAUTO_EPERM, file,
			"%s/%s is not a file of the user who runs certauto", dir->path, file);
	}
	*out = fd;
	return 0;
}

/* Open-file-description locks: the kernel drops them with the process, and two openings conflict
 * in one process as well. */
static int lock_take(int fd, const struct certauto__dir *dir, const char *file, certauto_error *err)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int rc;

	if (fcntl(fd, F_OFD_SETLK, &range) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return certauto__files_errno(err, errno, "cannot lock", dir, file);
	rc = certauto__error_set(err, CERTAUTO_EBUSY, file, "%s/%s is held by another certauto",
		dir->path, file);
	certauto__error_advise(err, "let the other run finish; the lock goes with its process");
	return rc;
}

static int files_lock(certauto_store *store, const char *scope, const char *id, void **out,
	certauto_error *err)
{
	struct certauto__dir dir = CERTAUTO__DIR;
	struct lock *lock = NULL;
	char prefix[32], file[256];
	int fd = -1, rc;

	(void)snprintf(prefix, sizeof(prefix), "%s-", scope);
	if ((rc = id_file(file, sizeof(file), prefix, id, ".lock", err)) < 0 ||
	    (rc = certauto__files_open(store, &dir, 1, err, "locks", NULL, NULL)) < 0 ||
	    (rc = lock_open(&fd, &dir, file, err)) < 0 || (rc = lock_take(fd, &dir, file, err)) < 0)
		goto out;
	if ((lock = certauto__alloc(sizeof(*lock))) == NULL) {
		rc = certauto__error_nomem(err);
		goto out;
	}
	lock->fd = fd;
	fd = -1;
	*out = lock;
out:
	if (fd >= 0)
		(void)close(fd);
	certauto__dir_close(&dir);
	return rc;
}

static void files_unlock(certauto_store *store, void *arg)
{
	struct lock *lock = arg;

	(void)store;
	if (lock == NULL)
		return;
	(void)close(lock->fd);
	certauto__free(lock);
}

const struct certauto__store_row certauto__store_files = {
	.name = "files",
	.set = files_set,
	.preflight = certauto__files_preflight,
	.account_load = certauto__files_account_load,
	.account_save_key = certauto__files_account_save_key,
	.account_save_url = certauto__files_account_save_url,
	.account_next_save = certauto__files_account_next_save,
	.account_next_load = certauto__files_account_next_load,
	.account_next_settle = certauto__files_account_next_settle,
	.account_limits_load = certauto__files_account_limits_load,
	.account_limits_save = certauto__files_account_limits_save,
	.draft = certauto__files_draft,
	.complete = certauto__files_complete,
	.discard = certauto__files_discard,
	.load = certauto__files_load,
	.load_former = certauto__files_load_former,
	.reject = certauto__files_reject,
	.sweep = certauto__files_sweep,
	.list = certauto__files_list,
	.status_load = files_status_load,
	.status_save = files_status_save,
	.journal_save = files_journal_save,
	.journal_load = files_journal_load,
	.journal_remove = files_journal_remove,
	.journal_list = files_journal_list,
	.lock = files_lock,
	.unlock = files_unlock,
	.destroy = files_destroy,
};
