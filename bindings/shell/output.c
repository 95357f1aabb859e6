/* SPDX-License-Identifier: Apache-2.0 */
/* Files, written beside their place and put there in one go: whoever looks sees the old one, none,
 * or the new one whole. A key is never, not even for a moment, readable for others. */

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shell.h"

int output_check(const char *path, int force)
{
	struct stat info;

	if (path == NULL || force || lstat(path, &info) < 0)
		return 0;
	complain("%s exists; --force replaces it", path);
	return -1;
}

static int write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	for (; len > 0; data += n, len -= (size_t)n) {
		n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return -1;
	}
	return 0;
}

/* A rename is durable when its directory is. */
static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder =
		slash != NULL ? memory_copy(path, (size_t)(slash - path) + 1) : memory_copy(".", 1);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	free(folder);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* Without force the new name must be free, which link(), unlike rename(), makes sure of. */
static int publish(const char *temporary, const char *path, int force)
{
	if (force ? rename(temporary, path) < 0 : link(temporary, path) < 0)
		return -1;
	if (!force)
		(void)unlink(temporary);
	return sync_folder(path);
}

int output_write(const char *path, const void *data, size_t len, unsigned mode, int force)
{
	struct text temporary = {0};
	int fd, rc = -1;

	text_printf(&temporary, "%s.XXXXXX", path);
	fd = mkostemp(temporary.data, O_CLOEXEC); /* 0600, new, not through a link */
	if (fd < 0)
		goto out;
	if (write_all(fd, data, len) == 0 && fchmod(fd, (mode_t)mode) == 0 && fsync(fd) == 0)
		rc = 0;
	if (close(fd) < 0)
		rc = -1;
	if (rc == 0)
		rc = publish(temporary.data, path, force);
	if (rc < 0) {
		int why = errno;

		(void)unlink(temporary.data);
		errno = why;
	}
out:
	if (rc < 0)
		complain("cannot write %s: %s", path, strerror(errno));
	text_free(&temporary);
	return rc;
}
