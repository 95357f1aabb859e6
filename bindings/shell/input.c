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
#define CERT_MAX (1024 * 1024)

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

/* A file that cannot be used is a mistake of whoever named it. */
int input_cert(struct shell *shell, certauto_chain **out, const char *option, const char *path)
{
	struct text data = {0}, where = {0};
	int status = input_read(shell, &data, option, path, CERT_MAX);

	text_printf(&where, "--%s %s", option, path);
	if (status == STATUS_DONE && certauto_chain_parse(out, shell->cx,
			(const unsigned char *)text_of(&data), data.len) < 0)
		status = say_config_failure(shell, text_of(&where), NULL);
	text_free(&data);
	text_free(&where);
	return status;
}

int input_key(struct shell *shell, certauto_key **out)
{
	const char *path = option_value(&shell->options, OPTION_KEY);

	if (path == NULL || certauto_key_load(out, shell->cx, path) == 0)
		return STATUS_DONE;
	return say_config_failure(shell, "--key", NULL);
}
