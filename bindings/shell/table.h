/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_TABLE_H
#define CERTAUTO_SHELL_TABLE_H

/* Cells in columns as wide as they need. */

#include "text.h"

struct table {
	size_t n_columns;
	char **cells; /* row by row */
	size_t n_cells;
};

void table_add(struct table *table, const char *cell); /* copied */
void table_format(struct text *out, const struct table *table);
void table_free(struct table *table);

#endif
