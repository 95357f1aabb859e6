/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_INPUT_H
#define CERTAUTO_SHELL_INPUT_H

/* Files that are named on the command line. */

#include "shell.h"

/* The whole file, at most max bytes, in out. 0 or an exit status, said; option: which one named
 * it. */
int input_read(const struct shell *shell, struct text *out, const char *option, const char *path,
	size_t max);

#endif
