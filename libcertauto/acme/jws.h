/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_ACME_JWS_H
#define CERTAUTO_ACME_JWS_H

/* How an ACME client signs (RFC 8555 6.2) and what it shows at a challenge (8.1). */

#include "crypto/crypto.h"

struct certauto__jws {
	const certauto__pkey *key;
	const char *kid;      /* account URL; NULL: the public key stands in the header ("jwk") */
	const char *nonce;    /* NULL: none, in the inner one of a key rollover */
	const char *url;      /* the exact string the CA gave: it compares bytes */
};

/* Appends the flattened JWS of payload; an empty payload is POST-as-GET. */
int certauto__jws_add(certauto__buffer *out, const struct certauto__jws *jws, const void *payload,
	size_t len, certauto_error *err);

/* The external account binding (RFC 8555 7.3.4): flattened JWS of account's public key by the MAC
 * key. alg: "HS256" "HS384" "HS512". */
int certauto__jws_add_binding(certauto__buffer *out, const char *alg, const char *kid,
	const certauto__secret *mac_key, const char *url, const certauto__pkey *account,
	certauto_error *err);

/* token "." thumbprint. The token has been checked: certauto__token_check(). */
int certauto__key_authorization(certauto__buffer *out, const certauto__pkey *key,
	const char *token);

/* 1 if token may become part of a path or a name: base64url, 22 (128 bits) to 255 characters. */
int certauto__token_check(const char *token);
/* 1 if nonce is one: base64url (RFC 8555 6.5.1), 1 to 255 characters. */
int certauto__nonce_check(const char *nonce);

#endif
