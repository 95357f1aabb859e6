/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CRYPTO_CSR_H
#define CERTAUTO_CRYPTO_CSR_H

/* The inside of a request, for making and checking certificates. */

#include "crypto/pkey.h"
#include "crypto/x509.h"

struct certauto__req {
	unsigned char *der;
	size_t der_len;
	const unsigned char *subject; /* inside der: the whole SEQUENCE */
	size_t subject_len;
	char *common_name;            /* NULL: none */
	certauto__list names;
	certauto__buffer spki;
	int is_rsa;
};

#endif
