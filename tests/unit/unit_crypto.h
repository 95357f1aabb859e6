/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_UNIT_CRYPTO_H
#define CERTAUTO_TESTS_UNIT_CRYPTO_H

/* Shorthand of the crypto tests: objects from the fixtures, lists from arguments, and the check
 * that a refusal is the one that was meant. */

#include "unit.h"

#include "core/clock.h"
#include "crypto/crypto.h"
#include "crypto/pem.h"

#include "crypto_fixtures.h"

static inline certauto__pkey *unit_key(const char *pem)
{
	certauto__pkey *key = NULL;

	assert_int_equal(certauto__pkey_parse(&key, pem, strlen(pem), NULL), 0);
	return key;
}

static inline certauto__req *unit_req(const char *pem)
{
	certauto__req *req = NULL;

	assert_int_equal(certauto__req_parse(&req, pem, strlen(pem), NULL), 0);
	return req;
}

static inline certauto__certs *unit_certs(const char *pem)
{
	certauto__certs *certs = NULL;

	assert_int_equal(certauto__certs_parse(&certs, pem, strlen(pem), 0, NULL), 0);
	return certs;
}

/* Comma-separated. */
static inline certauto__list unit_list(const char *text)
{
	certauto__list list = { NULL, 0, 0 };

	assert_int_equal(certauto__list_split(&list, text, ','), 0);
	return list;
}

/* The bytes of the first PEM block. */
static inline certauto__buffer unit_der(const char *pem)
{
	struct certauto__pem_reader reader = { pem, pem + strlen(pem), 1, CERTAUTO_EINVAL };
	certauto__buffer der = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	struct certauto__pem block;

	assert_int_equal(certauto__pem_next(&reader, &block, NULL), 1);
	assert_int_equal(certauto__pem_decode(&der, &block, CERTAUTO_EINVAL, NULL), 0);
	return der;
}

/* rc and the error's code are `code`, and its message contains `words`. */
static inline void unit_refused(int rc, certauto_error *err, int code, const char *words)
{
	if (rc != code || certauto_error_code(err) != code ||
	    strstr(certauto_error_message(err), words) == NULL)
		fail_msg("returned %d, wanted %d; said \"%s\", wanted \"...%s...\"", rc, code,
			certauto_error_message(err), words);
	certauto__error_clear(err);
}

#endif
