/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are named on the command line: read once, never more than they may have. */

#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* with whoever writes into a pipe */

/* May it be read again? A pipe may have nothing in it yet: --csr <(openssl req ...). */
static int may_retry(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	return errno == EINTR || (errno == EAGAIN && poll(&ready, 1, PATIENCE_MS) > 0);
}

int input_take(struct text *out, int fd, size_t max)
{
	char block[4096];
	ssize_t n;

	do {
		n = read(fd, block, sizeof(block));
		if (n > 0)
			text_add_n(out, block, (size_t)n);
	} while ((n > 0 && out->len <= max) || (n < 0 && may_retry(fd)));
	return n < 0 ? -1 : 0;
}

int input_load(struct text *out, const char *path, size_t max)
{
	/* A FIFO that nobody writes to must not hold us up. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int rc = fd >= 0 ? input_take(out, fd, max) : -1, error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return rc;
}

int input_read(const struct shell *shell, struct text *out, const char *option, const char *path,
	size_t max)
{
	int status = STATUS_DONE;

	if (input_load(out, path, max) < 0)
		status = say_usage(
			shell, "--%s: cannot read %s: %s", option, path, strerror(errno));
	else if (out->len > max)
		status = say_usage(
			shell, "--%s: %s is larger than %zu bytes", option, path, max);
	else if (out->len == 0)
		status = say_usage(shell, "--%s: %s is empty", option, path);
	return status;
}
