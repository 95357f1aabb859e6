/* SPDX-License-Identifier: Apache-2.0 */
/* Directories of the files store: opened and checked, made, listed, removed, swept. */

#include "store/files_io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/memory.h"

#define STALE_S 3600
#define ENTRIES_MAX 100000 /* names in one directory: more are none of ours */

void certauto__dir_close(struct certauto__dir *dir)
{
	if (dir->fd >= 0)
		(void)close(dir->fd);
	certauto__free(dir->path);
	dir->fd = -1;
	dir->path = NULL;
}

int certauto__dir_sync(const struct certauto__dir *dir, certauto_error *err)
{
	/* Some file systems cannot sync a directory, and say so; nothing more can be done there. */
	if (fsync(dir->fd) < 0 && errno != EINVAL && errno != EROFS)
		return certauto__files_errno(err, errno, "cannot sync", dir, NULL);
	return 0;
}

static int path_join(char **out, const char *dir, const char *name)
{
	certauto__buffer path = CERTAUTO__BUFFER(PATH_MAX);
	int rc;

	rc = certauto__buffer_printf(&path, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
	if (rc == 0 && (*out = certauto__buffer_take(&path)) == NULL)
		rc = CERTAUTO_ENOMEM;
	certauto__buffer_free(&path);
	return rc;
}

/* Ours: made by us, and nobody else can put names into it. */
static int check_own(const struct certauto__dir *dir, certauto_error *err)
{
	struct stat st;
	int rc;

	if (fstat(dir->fd, &st) < 0)
		return certauto__files_errno(err, errno, "cannot look at", dir, NULL);
	if (st.st_uid != geteuid()) {
		rc = certauto__error_set(err, CERTAUTO_EPERM, dir->path,
			"%s belongs to another user", dir->path);
		certauto__error_advise(err,
			"it belongs to user id %ld, certauto runs as %ld: run it as "
			"that user, or change the owner",
			(long)st.st_uid, (long)geteuid());
		return rc;
	}
	if ((st.st_mode & 022) != 0) {
		rc = certauto__error_set(err, CERTAUTO_EPERM, dir->path,
			"%s may be written by group or others", dir->path);
		certauto__error_advise(err, "its mode is %04o: chmod 700, and look who used it",
			(unsigned)(st.st_mode & 07777));
		return rc;
	}
	return 0;
}

/* 1: it was made, so that its name must be synced. */
static int make_if_missing(const struct certauto__dir *dir, const char *name, certauto_error *err)
{
	int fd;

	if (mkdirat(dir->fd, name, 0700) < 0)
		return errno == EEXIST ? 0 :
			certauto__files_errno(err, errno, "cannot make the directory", dir, name);
	/* The umask may have taken rights. A directory that was replaced meanwhile is found by
	 * check_own(). */
	fd = openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		(void)fchmod(fd, 0700);
		(void)close(fd);
	}
	return 1;
}

static int open_in(struct certauto__dir *out, const struct certauto__dir *dir, const char *name,
	certauto_error *err)
{
	if (path_join(&out->path, dir->path, name) < 0)
		return certauto__error_nomem(err);
	out->fd = openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out->fd < 0)
		return certauto__files_errno(err, errno, "cannot open the directory", dir, name);
	return check_own(out, err);
}

int certauto__dir_open(struct certauto__dir *out, const struct certauto__dir *dir, const char *name,
	int make, certauto_error *err)
{
	struct certauto__dir opened = CERTAUTO__DIR;
	int made = 0, rc = 0;

	if (make && (made = make_if_missing(dir, name, err)) < 0)
		return made;
	if ((rc = open_in(&opened, dir, name, err)) < 0 ||
	    (made && (rc = certauto__dir_sync(dir, err)) < 0)) {
		certauto__dir_close(&opened);
		return rc;
	}
	*out = opened;
	return 0;
}

/* A directory or link above ours must be root's or ours; open to the writing of others only if
 * sticky, as /tmp is: there nobody can take the place of a name that is not his. */
static int check_above(const char *path, certauto_error *err)
{
	struct stat st;
	int is_link, rc;

	if (lstat(path, &st) < 0)
		return certauto__files_errno(err, errno, "cannot look at", NULL, path);
	is_link = S_ISLNK(st.st_mode);
	if (!is_link && !S_ISDIR(st.st_mode))
		return certauto__error_set(err, CERTAUTO_EPERM, path, "%s is not a directory",
			path);
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		rc = certauto__error_set(err, CERTAUTO_EPERM, path,
			"%s belongs to another user (id %ld), who could replace what is in it",
			path, (long)st.st_uid);
		certauto__error_advise(err,
			"choose a state directory below directories of root or of the "
			"user who runs certauto (user id %ld)",
			(long)geteuid());
		return rc;
	}
	if (!is_link && (st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0) {
		rc = certauto__error_set(err, CERTAUTO_EPERM, path,
			"%s may be written by group or others, who could replace what is in it",
			path);
		certauto__error_advise(err,
			"its mode is %04o: take their right to write, or choose another "
			"state directory",
			(unsigned)(st.st_mode & 07777));
		return rc;
	}
	return 0;
}

/* A directory on the way to ours, if it is missing. Its name is synced: what is kept below must not
 * vanish with it. */
static int make_above(char *path, certauto_error *err)
{
	char *slash = strrchr(path, '/');
	int fd;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 :
			certauto__files_errno(err, errno, "cannot make the directory", NULL, path);
	if (chmod(path, 0700) < 0) /* the umask may have taken rights */
		return certauto__files_errno(err, errno, "cannot prepare", NULL, path);
	*slash = '\0';
	fd = open(slash == path ? "/" : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*slash = '/';
	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	return 0;
}

/* Each directory from the top to path itself. What is missing is made, if asked for. */
static int walk_down(char *path, int make, certauto_error *err)
{
	char *at = path, end;
	int rc;

	for (;;) {
		at += strspn(at, "/");
		at += strcspn(at, "/");
		end = *at;
		*at = '\0';
		rc = make ? make_above(path, err) : 0;
		if (rc == 0)
			rc = check_above(path, err);
		*at = end;
		if (rc < 0 || end == '\0' || at[strspn(at, "/")] == '\0')
			return rc;
	}
}

/* Twice: the path as it was given, whose links must be trusted, and where they lead to. */
int certauto__dir_open_root(struct certauto__dir *out, const char *path, int make,
	certauto_error *err)
{
	struct certauto__dir opened = CERTAUTO__DIR;
	char given[PATH_MAX], real[PATH_MAX];
	int rc;

	if (path[0] != '/' || strlen(path) >= sizeof(given))
		return certauto__error_set(err, CERTAUTO_EINVAL, path, "not an absolute path: %s",
			path);
	memcpy(given, path, strlen(path) + 1);
	if ((rc = walk_down(given, make, err)) < 0)
		return rc;
	if (realpath(given, real) == NULL)
		return certauto__files_errno(err, errno, "cannot find", NULL, given);
	if ((rc = walk_down(real, 0, err)) < 0)
		return rc;
	if ((opened.path = certauto__strdup(real)) == NULL)
		return certauto__error_nomem(err);
	opened.fd = open(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (opened.fd < 0)
		rc = certauto__files_errno(err, errno, "cannot open the directory", NULL, real);
	else
		rc = check_own(&opened, err);
	if (rc < 0)
		certauto__dir_close(&opened);
	else
		*out = opened;
	return rc;
}

static int list_all(DIR *stream, const struct certauto__dir *dir, certauto__list *out,
	certauto_error *err)
{
	struct dirent *entry;

	for (;;) {
		errno = 0;
		if ((entry = readdir(stream)) == NULL)
			break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (out->n == ENTRIES_MAX)
			return certauto__error_set(err, CERTAUTO_EIO, dir->path,
				"%s has more than %d entries", dir->path, ENTRIES_MAX);
		if (certauto__list_add_text(out, entry->d_name) < 0)
			return certauto__error_nomem(err);
	}
	return errno == 0 ? 0 : certauto__files_errno(err, errno, "cannot list", dir, NULL);
}

int certauto__dir_list(const struct certauto__dir *dir, certauto__list *out, certauto_error *err)
{
	DIR *stream;
	int fd, rc;

	/* A stream of its own: the place in dir->fd must not move. */
	fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return certauto__files_errno(err, errno, "cannot list", dir, NULL);
	if ((stream = fdopendir(fd)) == NULL) {
		(void)close(fd);
		return certauto__error_nomem(err);
	}
	rc = list_all(stream, dir, out, err);
	(void)closedir(stream);
	return rc;
}

int certauto__dir_remove(const struct certauto__dir *dir, const char *name, certauto_error *err)
{
	struct certauto__dir inner = CERTAUTO__DIR;
	certauto__list names = {0};
	size_t i;
	int rc;

	if ((rc = certauto__dir_open(&inner, dir, name, 0, err)) < 0) {
		if (rc != CERTAUTO_ENOTFOUND)
			return rc;
		certauto__error_clear(err);
		return 0;
	}
	rc = certauto__dir_list(&inner, &names, err);
	for (i = 0; rc == 0 && i < names.n; i++)
		if (unlinkat(inner.fd, names.items[i], 0) < 0 && errno != ENOENT)
			rc = certauto__files_errno(err, errno, "cannot remove", &inner,
				names.items[i]);
	if (rc == 0 && unlinkat(dir->fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		rc = certauto__files_errno(err, errno, "cannot remove", dir, name);
	certauto__list_free(&names);
	certauto__dir_close(&inner);
	return rc;
}

static void sweep_one(const struct certauto__dir *dir, const char *name)
{
	struct stat st;

	if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
	    st.st_mtime < time(NULL) - STALE_S)
		(void)unlinkat(dir->fd, name, 0);
}

/* A sweep that fails harms nothing: the temporaries stay for the next one. */
void certauto__dir_sweep(const struct certauto__dir *dir, int levels)
{
	struct certauto__dir inner = CERTAUTO__DIR;
	certauto__list names = {0};
	size_t i;

	(void)certauto__dir_list(dir, &names, NULL);
	for (i = 0; i < names.n; i++) {
		if (certauto__text_starts(names.items[i], CERTAUTO__TEMPORARY))
			sweep_one(dir, names.items[i]);
		if (levels > 0 && certauto__dir_open(&inner, dir, names.items[i], 0, NULL) == 0) {
			certauto__dir_sweep(&inner, levels - 1);
			certauto__dir_close(&inner);
		}
	}
	certauto__list_free(&names);
}
