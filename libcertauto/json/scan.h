/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JSON_SCAN_H
#define CERTAUTO_JSON_SCAN_H

/* A first look at a JSON text, before the parser sees it: everything about single strings is
 * checked here, and what is learned bounds the memory the parser can ask for. */

#include <stddef.h>

struct certauto__json_scan {
	size_t parse_len; /* what the parser has to see: without a last comment that ends no line */
	size_t decoded;   /* bytes of the longest string that has an escape, decoded; 0: none has */
	size_t tail;      /* bytes of the number or word the text ends with; 0: it ends otherwise */
	size_t fault_at;  /* where the fault is */
};

/* NULL, or a static text that says what is wrong. string_max: bytes of a string (decoded), number
 * or word. */
const char *certauto__json_scan(struct certauto__json_scan *scan, const char *data, size_t len,
	size_t string_max, int comments);

#endif
