/* SPDX-License-Identifier: Apache-2.0 */
/* Before the first call to a CA: the state directory is there, ours, and takes what is written. A
 * certificate that cannot be kept must not be ordered. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "store/files.h"

#define PREFLIGHT_LEN 65536
#define PREFLIGHT_BLOCK 4096 /* random, and repeated: what is read back is of this run */

static int write_and_read_back(int fd, unsigned char *data, unsigned char *back)
{
	size_t at;
	ssize_t n;

	for (at = 0; at < PREFLIGHT_LEN; at += n > 0 ? (size_t)n : 0)
		if ((n = pwrite(fd, data + at, PREFLIGHT_LEN - at, (off_t)at)) == 0 ||
		    (n < 0 && errno != EINTR))
			return -1;
	if (fsync(fd) < 0)
		return -1;
	for (at = 0; at < PREFLIGHT_LEN; at += n > 0 ? (size_t)n : 0)
		if ((n = pread(fd, back + at, PREFLIGHT_LEN - at, (off_t)at)) == 0 ||
		    (n < 0 && errno != EINTR))
			return -1;
	if (memcmp(data, back, PREFLIGHT_LEN) == 0)
		return 0;
	errno = EIO;
	return -1;
}

static int try_write(const struct certauto__dir *root, certauto_error *err)
{
	unsigned char *data = certauto__alloc(2 * PREFLIGHT_LEN);
	char name[32];
	int fd = -1, rc;
	size_t at;

	if (data == NULL)
		return certauto__error_nomem(err);
	if ((rc = certauto__random(data, PREFLIGHT_BLOCK, err)) < 0 ||
	    (rc = certauto__temporary_name(name, sizeof(name), err)) < 0)
		goto out;
	for (at = PREFLIGHT_BLOCK; at < PREFLIGHT_LEN; at += PREFLIGHT_BLOCK)
		memcpy(data + at, data, PREFLIGHT_BLOCK);
	fd = openat(root->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = certauto__files_errno(err, errno, "cannot make a file in", root, NULL);
		goto out;
	}
	if (write_and_read_back(fd, data, data + PREFLIGHT_LEN) < 0)
		rc = certauto__files_errno(err, errno, "cannot write 64 KiB in", root, NULL);
	if (close(fd) < 0 && rc == 0)
		rc = certauto__files_errno(err, errno, "cannot write 64 KiB in", root, NULL);
	if (unlinkat(root->fd, name, 0) < 0 && rc == 0)
		rc = certauto__files_errno(err, errno, "cannot remove a file from", root, NULL);
out:
	certauto__free(data);
	return rc;
}

int certauto__files_preflight(certauto_store *store, certauto_error *err)
{
	/* Lineages are swept when they are worked on: a fleet's run does not walk through all of
	 * them twice. */
	static const struct { const char *name; int sweep; } folders[] = {
		{ "accounts", 1 }, { "certs", 0 }, { "jobs", 1 }, { "locks", 0 }
	};
	struct certauto__dir root = CERTAUTO__DIR, dir = CERTAUTO__DIR;
	size_t i;
	int rc;

	if ((rc = certauto__files_open(store, &root, 1, err, NULL, NULL, NULL)) < 0)
		return rc;
	for (i = 0; rc == 0 && i < sizeof(folders) / sizeof(*folders); i++) {
		rc = certauto__dir_open(&dir, &root, folders[i].name, 1, err);
		if (rc == 0 && folders[i].sweep)
			certauto__dir_sweep(&dir, 1);
		certauto__dir_close(&dir);
	}
	if (rc == 0)
		rc = try_write(&root, err);
	if (rc == 0)
		certauto__dir_sweep(&root, 0);
	certauto__dir_close(&root);
	return rc;
}
