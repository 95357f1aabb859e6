/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CORE_TEXT_H
#define CERTAUTO_CORE_TEXT_H

/* Small things done to strings: encodings, checks, lists. Nothing here depends on the locale. */

#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"

#define CERTAUTO__SHOWN_MAX 512 /* bytes of a peer's text that reach a message, log or status */

/* Appends a peer's text so that it can be shown: C0, C1, DEL, invalid UTF-8 and bidi controls
 * become \xNN; cut to CERTAUTO__SHOWN_MAX bytes (with "..."). */
int certauto__text_escape(certauto__buffer *out, const char *text, size_t len);

/* The same in place, where there may be no memory: what would be escaped becomes "?". NULL is
 * fine. */
void certauto__text_clean(char *text);

/* Bytes of the UTF-8 sequence text begins with (RFC 3629: shortest form, no surrogates) and its
 * code point; 0 when it is not one. */
size_t certauto__utf8_sequence(const char *text, size_t len, uint32_t *point);

/* base64url without padding (RFC 8555 6.1). Decoding refuses padding, other alphabets and
 * non-zero spare bits with CERTAUTO_EPROTO. */
int certauto__base64url_encode(certauto__buffer *out, const void *data, size_t len);
int certauto__base64url_decode(certauto__buffer *out, const char *text, size_t len);
int certauto__base64url_valid(const char *text, size_t len); /* alphabet only; 1 or 0 */

/* The usual alphabet, padded, in one line. */
int certauto__base64_encode(certauto__buffer *out, const void *data, size_t len);

int certauto__hex_encode(certauto__buffer *out, const void *data, size_t len); /* lower case */

/* A decimal number, whole text, no sign unless min < 0, in [min, max]. 0 or CERTAUTO_EINVAL. */
int certauto__number_parse(const char *text, int64_t min, int64_t max, int64_t *out);

int certauto__text_equal(const char *a, const char *b);       /* NULL equals only NULL */
int certauto__text_equal_nocase(const char *a, const char *b);/* ASCII */
int certauto__text_starts(const char *text, const char *prefix);
int certauto__equal_secret(const void *a, const void *b, size_t len); /* constant time */

/* DNS name as an order carries it: lower-case A-labels, "*." only in front, 1..253 bytes, no
 * trailing dot, last label not numeric only. On failure *why is a static explanation. */
int certauto__dns_name_check(const char *name, const char **why);
/* 1 if name is an IPv4 or IPv6 literal. */
int certauto__ip_check(const char *name);
#define CERTAUTO__NAME_SIZE 256 /* a DNS name or an address as text, with the NUL */
/* The name as orders, requests and certificates are compared by: lower case, addresses in their
 * shortest form (RFC 5952). 0, or CERTAUTO_EINVAL with a static explanation. */
int certauto__name_normal(char out[CERTAUTO__NAME_SIZE], const char *name, const char **why);
/* "name" or "*" patterns: `*.example.org` matches one label more; a bare `*` matches all. */
int certauto__name_match(const char *pattern, const char *name);

/* A list of owned strings. */
typedef struct certauto__list {
	char **items;
	size_t n;
	size_t size;
} certauto__list;

int certauto__list_add(certauto__list *list, const char *text, size_t len); /* copied */
int certauto__list_add_text(certauto__list *list, const char *text);
/* Spaces are trimmed, empty items dropped. */
int certauto__list_split(certauto__list *list, const char *text, char separator);
int certauto__list_has(const certauto__list *list, const char *text);
/* Replaces what to holds. */
int certauto__list_copy(certauto__list *to, const certauto__list *from);
void certauto__list_free(certauto__list *list); /* and may be used again */

#endif
