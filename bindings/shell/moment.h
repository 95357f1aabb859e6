/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_MOMENT_H
#define CERTAUTO_SHELL_MOMENT_H

/* Times as people write them. */

#include <stdint.h>

#define MOMENT_FORMS "14d, 36h, 2026-12-24 or 2026-12-24T08:00:00Z"

/* Days or hours from now; a day, which begins at midnight here; RFC 3339. 0, or -1: it is none. */
int moment_parse(int64_t *out, const char *text, int64_t now);

#endif
