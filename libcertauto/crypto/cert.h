/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_CERT_H
#define CERTAUTO_CRYPTO_CERT_H

/* The inside of a chain, for making and checking certificates. */

#include "crypto/mbed.h"
#include "crypto/x509.h"

struct certauto__cert {
	struct certauto__cert_info info; /* points into what follows */
	mbedtls_x509_crt crt;
	certauto__buffer spki;
	certauto__list names;
	size_t n_others;                 /* alternative names of other kinds */
	char fingerprint[65];
	char *serial;
	char *issuer, *issuer_cn;
	char *subject, *subject_cn;
	char *aki, *ski;
};

struct certauto__certs {
	struct certauto__cert **items;
	size_t n;
};

certauto__certs *certauto__certs_alloc(void);
/* Puts one more certificate at the end. ECERT, ENOMEM. */
int certauto__certs_add(certauto__certs *certs, const void *der, size_t len, certauto_error *err);

#endif
