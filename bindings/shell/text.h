/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_TEXT_H
#define CERTAUTO_SHELL_TEXT_H

/* Growing text. Lack of memory ends the command: whatever runs is journaled, so that this is no
 * worse than a kill, and no caller has to look. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct text {
	char *data; /* NUL-terminated; NULL while empty */
	size_t len;
	size_t size;
};

void *memory_grow(void *ptr, size_t n, size_t size); /* realloc() of n items, or the end */
char *memory_copy(const char *text, size_t len);

const char *text_of(const struct text *text); /* "" while empty; borrowed */
void text_add(struct text *text, const char *more);
void text_add_n(struct text *text, const char *more, size_t len);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_pad(
	struct text *text, const char *more, size_t width); /* filled up with spaces to width */
void text_free(struct text *text);                          /* may be used again */

/* What came from elsewhere, as it may be shown: control characters and invalid UTF-8 become '?'. */
void text_add_shown(struct text *text, const char *more);
/* As a JSON string; NULL becomes null. */
void text_add_json(struct text *text, const char *more);
/* As a JSON number; 0, which is "unknown" everywhere here, becomes null. */
void text_add_json_known(struct text *text, int64_t number);

/* In lines of at most width columns, each after indent spaces, each ended. */
void text_add_wrapped(struct text *text, const char *more, size_t indent, size_t width);

size_t text_columns(const char *text); /* code points: the places it takes on a terminal */
size_t text_cut(const char *text, size_t columns); /* bytes of text that fit into columns */

void text_add_day(struct text *text, int64_t at);  /* "2026-11-21", local time */
void text_add_time(struct text *text, int64_t at); /* "2026-11-21 14:20:05 CET (13:20:05 UTC)" */

#endif
