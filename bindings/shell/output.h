/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_OUTPUT_H
#define CERTAUTO_SHELL_OUTPUT_H

/* Files that csr and self-signed write. */

#include <stddef.h>

/* 0, or -1 with a complaint: path exists and may not be replaced. NULL is fine. */
int output_check(const char *path, int force);
/* Writes path whole or not at all, with that mode; an existing file is only replaced by force. 0,
 * or -1 with a complaint. */
int output_write(const char *path, const void *data, size_t len, unsigned mode, int force);

#endif
