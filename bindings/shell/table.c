/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people. The last column is as long as it is; the others are filled up. */

#include "table.h"

#include <stdlib.h>
#include <string.h>

void table_add(struct table *table, const char *cell)
{
	table->cells = memory_grow(table->cells, table->n_cells + 1, sizeof(*table->cells));
	table->cells[table->n_cells++] = memory_copy(cell, strlen(cell));
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t i, columns, width = 0;

	for (i = column; i < table->n_cells; i += table->n_columns) {
		columns = text_columns(table->cells[i]);
		if (columns > width)
			width = columns;
	}
	return width;
}

void table_format(struct text *out, const struct table *table)
{
	size_t i, column;

	for (i = 0; i < table->n_cells; i++) {
		column = i % table->n_columns;
		if (column + 1 == table->n_columns) {
			text_add_shown(out, table->cells[i]);
			text_add(out, "\n");
		} else {
			text_pad(out, table->cells[i], column_width(table, column) + 2);
		}
	}
}

void table_free(struct table *table)
{
	size_t i;

	for (i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	memset(table, 0, sizeof(*table));
}
