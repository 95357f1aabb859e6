/* SPDX-License-Identifier: Apache-2.0 */
/* Single files of the files store: read, replaced, removed. What they mean is told elsewhere. */

#include "store/files_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "crypto/crypto.h"

static void advise_errno(certauto_error *err, int saved_errno)
{
	switch (saved_errno) {
	case EACCES:
	case EPERM:
		certauto__error_advise(err,
			"run certauto as the owner of the state directory, or "
			"give that directory to the user who runs it (user id %ld)",
			(long)geteuid());
		break;
	case EROFS:
		certauto__error_advise(err, "the file system is read-only: mount it read-write or "
			"choose another state directory");
		break;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		certauto__error_advise(err,
			"make room on that file system (or raise the limit) and run "
			"certauto again");
		break;
	case ELOOP:
	case ENOTDIR:
		certauto__error_advise(err, "certauto follows no links inside its state directory: "
			"find out who made it, and remove it");
		break;
	default:
		break;
	}
}

static int code_of_errno(int saved_errno)
{
	switch (saved_errno) {
	case ENOENT:
		return CERTAUTO_ENOTFOUND;
	case EACCES:
	case EPERM:
	case EROFS:
	case ELOOP:
	case ENOTDIR:
		return CERTAUTO_EPERM;
	case ENOMEM:
		return CERTAUTO_ENOMEM;
	default:
		return CERTAUTO_EIO;
	}
}

int certauto__files_errno(certauto_error *err, int saved_errno, const char *doing,
	const struct certauto__dir *dir, const char *name)
{
	const char *reason = saved_errno == ELOOP ? "it is a symbolic link" :
		strerrordesc_np(saved_errno);
	char path[4352];

	(void)snprintf(path, sizeof(path), "%s%s%s", dir != NULL ? dir->path : "",
		dir != NULL && name != NULL ? "/" : "", name != NULL ? name : "");
	certauto__error_set(err, code_of_errno(saved_errno), path, "%s %s: %s", doing, path,
		reason != NULL ? reason : "unknown error");
	if (err != NULL)
		advise_errno(err, saved_errno);
	return code_of_errno(saved_errno);
}

static int refuse(certauto_error *err, const struct certauto__dir *dir, const char *name,
	const char *what)
{
	char path[4352];

	(void)snprintf(path, sizeof(path), "%s/%s", dir->path, name);
	return certauto__error_set(err, CERTAUTO_EPERM, path, "%s %s", path, what);
}

/* What was opened is looked at, not the name: the name may lead elsewhere a moment later. */
static int check_opened(const struct stat *st, int secret, const struct certauto__dir *dir,
	const char *name, certauto_error *err)
{
	int rc;

	if (!S_ISREG(st->st_mode))
		return refuse(err, dir, name, "is not a regular file");
	if (st->st_uid != geteuid()) {
		rc = refuse(err, dir, name, "belongs to another user");
		certauto__error_advise(err,
			"it belongs to user id %ld, certauto runs as %ld: run it as "
			"that user, or change the owner",
			(long)st->st_uid, (long)geteuid());
		return rc;
	}
	if (st->st_nlink != 1)
		return refuse(err, dir, name, "has more than one name (hard link)");
	if ((st->st_mode & (secret ? 077 : 022)) != 0) {
		rc = refuse(err, dir, name, secret ? "may be read or written by group or others" :
			"may be written by group or others");
		certauto__error_advise(err,
			"its mode is %04o: chmod 600, and ask who could have used it",
			(unsigned)(st->st_mode & 07777));
		return rc;
	}
	return 0;
}

static int open_checked(int *out, size_t *size_out, int secret, const struct certauto__dir *dir,
	const char *name, certauto_error *err)
{
	struct stat st;
	int fd, rc;

	/* O_NONBLOCK: a fifo put there must not stop us before it is refused. */
	fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return certauto__files_errno(err, errno, "cannot open", dir, name);
	if (fstat(fd, &st) < 0)
		rc = certauto__files_errno(err, errno, "cannot look at", dir, name);
	else
		rc = check_opened(&st, secret, dir, name, err);
	if (rc < 0) {
		(void)close(fd);
		return rc;
	}
	*out = fd;
	*size_out = (size_t)st.st_size;
	return 0;
}

static ssize_t read_some(int fd, void *data, size_t len)
{
	ssize_t n;

	do
		n = read(fd, data, len);
	while (n < 0 && errno == EINTR);
	return n;
}

int certauto__file_read(const struct certauto__dir *dir, const char *name, certauto__buffer *out,
	certauto_error *err)
{
	char chunk[4096];
	size_t size;
	ssize_t n = 0;
	int fd, rc;

	if ((rc = open_checked(&fd, &size, 0, dir, name, err)) < 0)
		return rc;
	certauto__buffer_clear(out);
	while (rc == 0 && (n = read_some(fd, chunk, sizeof(chunk))) > 0)
		rc = certauto__buffer_add(out, chunk, (size_t)n);
	if (n < 0)
		rc = certauto__files_errno(err, errno, "cannot read", dir, name);
	else if (rc == CERTAUTO_EPROTO)
		rc = certauto__error_set(err, CERTAUTO_EIO, name, "%s/%s is longer than %zu bytes",
			dir->path, name, out->max);
	else if (rc < 0)
		rc = certauto__error_nomem(err);
	(void)close(fd);
	return rc;
}

#define SECRET_MAX 65536

int certauto__file_read_secret(const struct certauto__dir *dir, const char *name,
	certauto__secret **out, certauto_error *err)
{
	certauto__secret *secret = NULL;
	size_t size, at = 0;
	ssize_t n = 1;
	int fd, rc;

	if ((rc = open_checked(&fd, &size, 1, dir, name, err)) < 0)
		return rc;
	if (size == 0 || size > SECRET_MAX)
		rc = certauto__error_set(err, CERTAUTO_EIO, name, "%s/%s has %zu bytes: not a key",
			dir->path, name, size);
	else if (certauto__secret_new_size(&secret, size) < 0)
		rc = certauto__error_nomem(err);
	while (rc == 0 && at < size && n > 0) {
		n = read_some(fd, certauto__secret_data(secret) + at, size - at);
		at += n > 0 ? (size_t)n : 0;
	}
	if (rc == 0 && n < 0)
		rc = certauto__files_errno(err, errno, "cannot read", dir, name);
	else if (rc == 0 && at < size)
		rc = certauto__error_set(err, CERTAUTO_EIO, name,
			"%s/%s became shorter while it was read",
			dir->path, name);
	(void)close(fd);
	if (rc < 0)
		certauto__secret_free(secret);
	else
		*out = secret;
	return rc;
}

int certauto__temporary_name(char *out, size_t size, certauto_error *err)
{
	char random[17];
	int rc;

	if ((rc = certauto__random_hex(random, 8, err)) < 0)
		return rc;
	(void)snprintf(out, size, CERTAUTO__TEMPORARY "%s", random);
	return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A temporary with the data, synced and closed. An error of close() or fsync() counts: what was
 * written is then treated as lost. Nothing is left after a failure. */
static int write_temporary(char *name, size_t name_size, const struct certauto__dir *dir,
	const void *data, size_t len, certauto_error *err)
{
	int fd, rc;

	if ((rc = certauto__temporary_name(name, name_size, err)) < 0)
		return rc;
	fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return certauto__files_errno(err, errno, "cannot make a file in", dir, NULL);
	/* The host's umask may have taken rights from 0600; it is not ours to change. */
	if (fchmod(fd, 0600) < 0 || write_all(fd, data, len) < 0 || fsync(fd) < 0)
		rc = certauto__files_errno(err, errno, "cannot write in", dir, NULL);
	if (close(fd) < 0 && rc == 0)
		rc = certauto__files_errno(err, errno, "cannot write in", dir, NULL);
	if (rc < 0)
		(void)unlinkat(dir->fd, name, 0);
	return rc;
}

int certauto__file_write(const struct certauto__dir *dir, const char *name, const void *data,
	size_t len, certauto_error *err)
{
	char temporary[32];
	int rc;

	if ((rc = write_temporary(temporary, sizeof(temporary), dir, data, len, err)) < 0)
		return rc;
	if (renameat(dir->fd, temporary, dir->fd, name) == 0)
		return 0;
	rc = certauto__files_errno(err, errno, "cannot replace", dir, name);
	(void)unlinkat(dir->fd, temporary, 0);
	return rc;
}

int certauto__file_replace(const struct certauto__dir *dir, const char *name, const void *data,
	size_t len, certauto_error *err)
{
	int rc;

	if ((rc = certauto__file_write(dir, name, data, len, err)) < 0)
		return rc;
	return certauto__dir_sync(dir, err);
}

/* Network file systems without RENAME_NOREPLACE get the race of two first runs: the account lock is
 * there for those. */
static int rename_new(int fd, const char *from, const char *to)
{
	struct stat st;

	if (renameat2(fd, from, fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (fstatat(fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return errno == ENOENT ? renameat(fd, from, fd, to) : -1;
}

int certauto__file_create(const struct certauto__dir *dir, const char *name, const void *data,
	size_t len, certauto_error *err)
{
	char temporary[32];
	int rc;

	if ((rc = write_temporary(temporary, sizeof(temporary), dir, data, len, err)) < 0)
		return rc;
	if (rename_new(dir->fd, temporary, name) == 0)
		return certauto__dir_sync(dir, err);
	if (errno == EEXIST)
		rc = certauto__error_set(err, CERTAUTO_EBUSY, name, "%s/%s is there already: "
			"somebody else has just made it", dir->path, name);
	else
		rc = certauto__files_errno(err, errno, "cannot make", dir, name);
	(void)unlinkat(dir->fd, temporary, 0);
	return rc;
}

int certauto__file_exists(const struct certauto__dir *dir, const char *name, int *out,
	certauto_error *err)
{
	struct stat st;

	*out = 0;
	if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		*out = 1;
	else if (errno != ENOENT)
		return certauto__files_errno(err, errno, "cannot look at", dir, name);
	return 0;
}

int certauto__file_remove(const struct certauto__dir *dir, const char *name, certauto_error *err)
{
	if (unlinkat(dir->fd, name, 0) < 0)
		return certauto__files_errno(err, errno, "cannot remove", dir, name);
	return certauto__dir_sync(dir, err);
}

int certauto__file_link(const struct certauto__dir *dir, const char *name, const char *value,
	certauto_error *err)
{
	char temporary[32];
	int rc;

	if ((rc = certauto__temporary_name(temporary, sizeof(temporary), err)) < 0)
		return rc;
	if (symlinkat(value, dir->fd, temporary) < 0)
		return certauto__files_errno(err, errno, "cannot make a link in", dir, NULL);
	if (renameat(dir->fd, temporary, dir->fd, name) == 0)
		return certauto__dir_sync(dir, err);
	rc = certauto__files_errno(err, errno, "cannot replace", dir, name);
	(void)unlinkat(dir->fd, temporary, 0);
	return rc;
}
