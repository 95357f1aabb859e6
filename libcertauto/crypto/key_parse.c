/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a private key. A person gave the file, so an error says what the file holds instead of a
 * key. Only mbedTLS looks at the numbers. */

#include <string.h>

#include "crypto/pem.h"
#include "crypto/pkey.h"

#define PKCS8_ENCRYPTED "encrypted: store the key unencrypted, readable by its owner only"

/* Behind the version of PKCS#8 stands the algorithm, which neither SEC1 nor PKCS#1 has. mbedTLS
 * calls one it does not know "damaged". */
static const char *not_our_algorithm(struct certauto__der body)
{
	struct certauto__der algorithm, oid;

	if (certauto__der_next(&body, MBEDTLS_ASN1_INTEGER, NULL) < 0 ||
	    certauto__der_next(&body, CERTAUTO__DER_SEQUENCE, &algorithm) < 0 ||
	    certauto__der_next(&algorithm, MBEDTLS_ASN1_OID, &oid) < 0 ||
	    certauto__der_equals(&oid, CERTAUTO__OID(MBEDTLS_OID_EC_ALG_UNRESTRICTED)) ||
	    certauto__der_equals(&oid, CERTAUTO__OID(MBEDTLS_OID_PKCS1_RSA)))
		return NULL;
	return "of an unsupported type: neither RSA nor ECDSA";
}

/* PKCS#8, SEC1 and PKCS#1 all start with a version; what else a SEQUENCE may be is told by the
 * second element. NULL when it may be a key. */
static const char *not_a_key(const unsigned char *der, size_t len)
{
	struct certauto__der in, body;

	if (len == 0 || der[0] != CERTAUTO__DER_SEQUENCE)
		return "neither PEM nor DER";
	in = certauto__der_over(der, len);
	if (certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &body) < 0)
		return "truncated";
	if (certauto__der_left(&in) != 0)
		return "followed by bytes that do not belong to it";
	if (certauto__der_peek(&body) == MBEDTLS_ASN1_INTEGER)
		return not_our_algorithm(body);
	if (certauto__der_next(&body, CERTAUTO__DER_SEQUENCE, NULL) < 0)
		return "no private key";
	switch (certauto__der_peek(&body)) {
	case MBEDTLS_ASN1_OCTET_STRING:
		return PKCS8_ENCRYPTED;
	case MBEDTLS_ASN1_BIT_STRING:
		return "only a public key";
	case CERTAUTO__DER_SEQUENCE:
		return "a certificate or a signing request";
	default:
		return "no private key";
	}
}

static int parse_der(certauto__pkey **out, const unsigned char *der, size_t len, int own,
	certauto_error *err)
{
	const char *why = not_a_key(der, len);
	certauto__pkey *key;
	int ret, rc;

	if (why != NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL, "the private key is %s",
			why);
	if ((key = certauto__pkey_alloc()) == NULL)
		return certauto__error_nomem(err);
	if ((ret = certauto__mbed_parse_key(&key->pk, der, len, certauto__mbed_random)) != 0) {
		rc = certauto__mbed_error(err, ret, CERTAUTO_EINVAL, "the private key is damaged");
		goto err;
	}
	if ((rc = certauto__pkey_finish(key, err)) < 0)
		goto err;
	/* mbedTLS takes the public half that stands beside the private one for granted. */
	if (!own && (ret = certauto__mbed_check_pair(&key->pk, certauto__mbed_random)) != 0) {
		rc = certauto__mbed_error(err, ret, CERTAUTO_EINVAL,
			"the private key does not fit its public half");
		goto err;
	}
	*out = key;
	return 0;
err:
	certauto__pkey_free(key);
	return rc;
}

static int is_key_label(const char *label)
{
	return strcmp(label, "PRIVATE KEY") == 0 || strcmp(label, "EC PRIVATE KEY") == 0 ||
	       strcmp(label, "RSA PRIVATE KEY") == 0;
}

/* Traditional PEM is encrypted when headers say so, PKCS#8 when the label does. */
static int is_encrypted(const struct certauto__pem *block)
{
	return strcmp(block->label, "ENCRYPTED PRIVATE KEY") == 0 ||
	       memmem(block->body, block->body_len, "Proc-Type:", 10) != NULL;
}

/* The one key block in the text. `openssl ecparam -genkey` puts "EC PARAMETERS" in front. */
static int find_key(struct certauto__pem *out, const void *data, size_t len, certauto_error *err)
{
	struct certauto__pem_reader reader = { data, (const char *)data + len, 0, CERTAUTO_EINVAL };
	struct certauto__pem block;
	int rc, n_keys = 0;

	while ((rc = certauto__pem_next(&reader, &block, err)) > 0) {
		if (strcmp(block.label, "EC PARAMETERS") == 0)
			continue;
		if (is_encrypted(&block))
			return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
				"the private key is " PKCS8_ENCRYPTED);
		if (!is_key_label(block.label))
			return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
				"there is a PEM block \"%s\" where only a private key was expected",
				block.label);
		if (n_keys++ > 0)
			return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
				"there is more than one private key");
		*out = block;
	}
	if (rc == 0 && n_keys == 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL, "there is no private key");
	return rc;
}

static int parse(certauto__pkey **out, const void *data, size_t len, int own, certauto_error *err)
{
	certauto__buffer der = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	struct certauto__pem block;
	int rc;

	if (data == NULL || len == 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL, "the private key is empty");
	if (len > 4 * CERTAUTO__DER_MAX)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the private key is %zu bytes long", len);
	if (!certauto__pem_is(data, len))
		return parse_der(out, data, len, own, err);
	der.secret = 1;
	if ((rc = find_key(&block, data, len, err)) == 0 &&
	    (rc = certauto__pem_decode(&der, &block, CERTAUTO_EINVAL, err)) == 0)
		rc = parse_der(out, (const unsigned char *)der.data, der.len, own, err);
	certauto__buffer_free(&der);
	return rc;
}

int certauto__pkey_parse(certauto__pkey **out, const void *data, size_t len, certauto_error *err)
{
	return parse(out, data, len, 0, err);
}

int certauto__pkey_parse_own(certauto__pkey **out, const void *data, size_t len,
	certauto_error *err)
{
	return parse(out, data, len, 1, err);
}
