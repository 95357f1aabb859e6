/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_INPUT_H
#define CERTAUTO_SHELL_INPUT_H

/* Files that are named on the command line. */

#include "shell.h"

/* All of fd, or of a file: up to one byte more than max, which tells that it is too long. 0, or -1
 * with errno; nothing is said. */
int input_take(struct text *out, int fd, size_t max);
int input_load(struct text *out, const char *path, size_t max);

/* The whole file, at most max bytes, in out. 0 or an exit status, said; option: which one named
 * it. */
int input_read(const struct shell *shell, struct text *out, const char *option, const char *path,
	size_t max);
/* Certificates of a file; and the key of the file that --key names, if it does. The same. */
int input_cert(struct shell *shell, certauto_chain **out, const char *option, const char *path);
int input_key(struct shell *shell, certauto_key **out);

#endif
