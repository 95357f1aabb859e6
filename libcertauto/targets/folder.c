/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets that write files share. The folders are not ours: a web root may belong to
 * somebody who would like us to write elsewhere, so nothing is opened through a link, and what
 * was opened is looked at again. */

#include "targets/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/text.h"

static int folder_failed(const struct certauto__folder *folder, const char *name, const char *doing,
	certauto_error *err)
{
	int saved_errno = errno;
	char what[4096];
	const char *path = what + strlen(doing) + 1;

	snprintf(what, sizeof(what), "%s %s%s%s", doing, folder->path, name != NULL ? "/" : "",
		name != NULL ? name : "");
	if (saved_errno == ELOOP || saved_errno == ENOTDIR)
		return certauto__error_set(err, CERTAUTO_EPERM, path,
			"%s: a link, or not what it should be; give the path of the thing itself",
			what);
	return certauto__error_errno(err, saved_errno, path, what);
}

static int folder_take(struct certauto__folder *out, int fd, const char *path, const char *name,
	certauto_error *err)
{
	certauto__buffer whole = CERTAUTO__BUFFER(4096);

	certauto__buffer_printf(&whole, "%s%s%s", path, name != NULL ? "/" : "",
		name != NULL ? name : "");
	if ((out->path = certauto__buffer_take(&whole)) == NULL) {
		close(fd);
		return certauto__error_nomem(err);
	}
	out->fd = fd;
	return 0;
}

/* The last part of the path must be no link; those above it are the administrator's business. */
int certauto__folder_open(struct certauto__folder *out, const char *path, certauto_error *err)
{
	struct certauto__folder named = {-1, (char *)path};
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return folder_failed(&named, NULL, "cannot open", err);
	return folder_take(out, fd, path, NULL, err);
}

int certauto__folder_open_in(struct certauto__folder *out, const struct certauto__folder *folder,
	const char *name, int make, mode_t mode, certauto_error *err)
{
	int fd, rc, made = 0;

	if (make && mkdirat(folder->fd, name, mode) == 0)
		made = 1;
	else if (make && errno != EEXIST)
		return folder_failed(folder, name, "cannot make", err);
	fd = openat(folder->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return folder_failed(folder, name, "cannot open", err);
	if (made && fchmod(fd, mode) < 0) { /* whatever the umask says */
		rc = folder_failed(folder, name, "cannot set the mode of", err);
		close(fd);
		return rc;
	}
	return folder_take(out, fd, folder->path, name, err);
}

void certauto__folder_close(struct certauto__folder *folder)
{
	if (folder->fd >= 0)
		close(folder->fd);
	certauto__free(folder->path);
	folder->fd = -1;
	folder->path = NULL;
}

int certauto__folder_check_private(const struct certauto__folder *folder, certauto_error *err)
{
	struct stat st;

	if (fstat(folder->fd, &st) < 0)
		return folder_failed(folder, NULL, "cannot look at", err);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return certauto__error_set(err, CERTAUTO_EPERM, folder->path,
			"%s belongs to user %ld: keys are put only where nobody but us and root "
			"can replace them",
			folder->path, (long)st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st.st_mode & S_ISVTX) == 0)
		return certauto__error_set(err, CERTAUTO_EPERM, folder->path,
			"%s can be written by group or others (mode %04o): keys are not put there",
			folder->path, (unsigned)(st.st_mode & 07777));
	if (faccessat(folder->fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return folder_failed(folder, NULL, "cannot write in", err);
	return 0;
}

/* ---- reading ---- */

static int file_read_all(int fd, certauto__buffer *out)
{
	char chunk[8192];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		if (certauto__buffer_add(out, chunk, (size_t)n) < 0)
			break;
	}
	certauto__wipe(chunk, sizeof(chunk));
	return n < 0 ? CERTAUTO_EIO : out->rc;
}

int certauto__folder_read(const struct certauto__folder *folder, const char *name,
	certauto__buffer *out, struct stat *st, certauto_error *err)
{
	int fd =
		openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat own;
	int rc;

	if (fd < 0)
		return folder_failed(folder, name, "cannot read", err);
	if (fstat(fd, &own) < 0) {
		rc = folder_failed(folder, name, "cannot look at", err);
	} else if (!S_ISREG(own.st_mode)) {
		rc = certauto__error_set(err, CERTAUTO_EPERM, name, "%s/%s is no plain file",
			folder->path, name);
	} else if ((rc = file_read_all(fd, out)) == CERTAUTO_EIO) {
		rc = folder_failed(folder, name, "cannot read", err);
	} else if (rc < 0) {
		rc = certauto__error_set(err, rc == CERTAUTO_ENOMEM ? rc : CERTAUTO_EIO, name,
			"%s/%s is too long to be read", folder->path, name);
	}
	if (rc == 0 && st != NULL)
		*st = own;
	close(fd);
	return rc;
}

int certauto__folder_has(const struct certauto__folder *folder, const char *name)
{
	struct stat st;

	return fstatat(folder->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- writing ---- */

static int file_write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	while (len > 0) {
		if ((n = write(fd, data, len)) < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Owner first: a change of owner may take mode bits away. */
static int file_set_access(int fd, const struct certauto__access *access)
{
	if ((access->owner != CERTAUTO__NOBODY || access->group != CERTAUTO__NO_GROUP) &&
		fchown(fd, access->owner, access->group) < 0)
		return -1;
	return fchmod(fd, access->mode);
}

int certauto__folder_write(const struct certauto__folder *folder, const char *name,
	const void *data, size_t len, const struct certauto__access *access, certauto_error *err)
{
	int fd, failed, rc;

	/* Left over from a run that was killed, or put there by somebody else: neither is
	 * written into. */
	if ((rc = certauto__folder_remove(folder, name, err)) < 0)
		return rc;
	fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return folder_failed(folder, name, "cannot make", err);
	failed = file_write_all(fd, data, len) < 0 || file_set_access(fd, access) < 0 ||
		fsync(fd) < 0;
	rc = failed ? folder_failed(folder, name, "cannot write", err) : 0;
	if (close(fd) < 0 && rc == 0)
		rc = folder_failed(folder, name, "cannot write", err);
	if (rc < 0)
		(void)unlinkat(folder->fd, name, 0);
	return rc;
}

int certauto__folder_rename(const struct certauto__folder *folder, const char *from, const char *to,
	certauto_error *err)
{
	return renameat(folder->fd, from, folder->fd, to) < 0
		? folder_failed(folder, to, "cannot replace", err)
		: 0;
}

int certauto__folder_link(const struct certauto__folder *folder, const char *from, const char *to,
	certauto_error *err)
{
	return linkat(folder->fd, from, folder->fd, to, 0) < 0
		? folder_failed(folder, to, "cannot make", err)
		: 0;
}

int certauto__folder_remove(const struct certauto__folder *folder, const char *name,
	certauto_error *err)
{
	if (unlinkat(folder->fd, name, 0) < 0 && errno != ENOENT)
		return folder_failed(folder, name, "cannot remove", err);
	return 0;
}

int certauto__folder_sync(const struct certauto__folder *folder, certauto_error *err)
{
	return fsync(folder->fd) < 0 ? folder_failed(folder, NULL, "cannot sync", err) : 0;
}

int certauto__mode_parse(const char *text, mode_t *out)
{
	mode_t mode = 0;
	size_t len = text != NULL ? strlen(text) : 0;

	if (len < 3 || len > 4 || strspn(text, "01234567") != len || (len == 4 && text[0] != '0'))
		return CERTAUTO_EINVAL;
	for (; *text != '\0'; text++)
		mode = mode * 8 + (mode_t)(*text - '0');
	*out = mode;
	return 0;
}
