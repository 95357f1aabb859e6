/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_OBJECTS_H
#define CERTAUTO_CRYPTO_OBJECTS_H

/* The public nouns key, csr and chain: crypto objects with a reference count. Immutable once
 * made. */

#include <certauto/chain.h>

#include "core/object.h"
#include "crypto/crypto.h"

struct certauto_key {
	struct certauto__object object;
	certauto__pkey *pkey;
	certauto_sign_cb sign_cb;
	void *payload;
	certauto_free_cb free_cb;
};

struct certauto_csr {
	struct certauto__object object;
	certauto__req *req;
	certauto_key *key;       /* shared (+1); NULL for a parsed one */
};

struct certauto_chain {
	struct certauto__object object;
	certauto__certs *certs;
};

/* Take over the crypto object, also on failure. */
int certauto__key_wrap(certauto_key **out, certauto_context *cx, certauto__pkey *pkey,
	certauto_error *err);
int certauto__csr_wrap(certauto_csr **out, certauto_context *cx, certauto__req *req,
	certauto_key *key, certauto_error *err);
int certauto__chain_wrap(certauto_chain **out, certauto_context *cx, certauto__certs *certs,
	certauto_error *err);

#endif
