/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_PEM_H
#define CERTAUTO_CRYPTO_PEM_H

/* PEM (RFC 7468), read strictly and written normalised. */

#include <stddef.h>

#include "core/buffer.h"
#include "core/error.h"

#define CERTAUTO__PEM_LABEL_MAX 40
#define CERTAUTO__DER_MAX ((size_t)64 << 10) /* one key, request or certificate */

struct certauto__pem_reader {
	const char *at;
	const char *end;
	int strict; /* nothing but white space between the blocks */
	int code;   /* of the errors: CERTAUTO_EINVAL, CERTAUTO_ECERT */
};

struct certauto__pem {
	char label[CERTAUTO__PEM_LABEL_MAX + 1]; /* capitals, digits, spaces: can be shown */
	const char *body;                        /* borrowed from the text */
	size_t body_len;
};

/* 1 if data is PEM rather than DER. */
int certauto__pem_is(const void *data, size_t len);
/* The next block: 1, none left: 0, or reader->code. */
int certauto__pem_next(struct certauto__pem_reader *reader, struct certauto__pem *out,
	certauto_error *err);
/* Appends the block's bytes to der, which is marked secret by the caller where they are. */
int certauto__pem_decode(certauto__buffer *der, const struct certauto__pem *block, int code,
	certauto_error *err);
/* 64 columns, no blank line, "\n" at the end. */
int certauto__pem_add(certauto__buffer *out, const char *label, const void *der, size_t len);

/* The DER in data: data itself, or the only PEM block, whose label must be one of the labels
 * (NULL-terminated). *der points into data or into decoded. EINVAL: "what ..." */
int certauto__pem_or_der(const unsigned char **der, size_t *der_len, certauto__buffer *decoded,
	const void *data, size_t len, const char *const *labels, const char *what,
	certauto_error *err);

#endif
