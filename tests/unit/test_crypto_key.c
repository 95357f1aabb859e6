/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: made, written, read in all forms, and refused with a reason a person can use. */

#include "unit_crypto.h"

#include <stdlib.h>

static void test_key__each_type_is_made_and_read_back(void **state)
{
	const char *const *type = certauto__key_types();
	certauto__pkey *key = NULL, *again = NULL;
	certauto__secret *pem = NULL;
	size_t n = 0;

	(void)state;
	for (; *type != NULL; type++, n++) {
		assert_int_equal(certauto__key_type_check(*type, NULL), 0);
		if (strcmp(*type, "rsa-4096") == 0) /* takes seconds; its row is the same code */
			continue;
		assert_int_equal(certauto__pkey_new(&key, *type, NULL), 0);
		assert_string_equal(certauto__pkey_type(key), *type);
		assert_false(certauto__pkey_is_signer(key));
		assert_int_equal(certauto__pkey_format(&pem, key, NULL), 0);
		assert_int_equal(
			strncmp(certauto__secret_text(pem), "-----BEGIN PRIVATE KEY-----\n", 28),
			0);
		assert_int_equal(certauto__pkey_parse(&again, certauto__secret_data(pem),
			certauto__secret_len(pem), NULL), 0);
		assert_true(certauto__pkey_same(key, again));
		certauto__secret_free(pem);
		certauto__pkey_free(key);
		certauto__pkey_free(again);
	}
	assert_int_equal(n, 5);
}

static void test_key__two_new_keys_differ(void **state)
{
	certauto__pkey *a, *b;

	(void)state;
	assert_int_equal(certauto__pkey_new(&a, "ecdsa-p256", NULL), 0);
	assert_int_equal(certauto__pkey_new(&b, "ecdsa-p256", NULL), 0);
	assert_false(certauto__pkey_same(a, b));
	certauto__pkey_free(a);
	certauto__pkey_free(b);
}

static void test_key__unknown_type_is_refused_with_the_list(void **state)
{
	certauto_error err = { 0 };
	certauto__pkey *key = NULL;

	(void)state;
	unit_refused(certauto__key_type_check("rsa-1024", &err), &err, CERTAUTO_EINVAL, "rsa-3072");
	unit_refused(certauto__key_type_check(NULL, &err), &err, CERTAUTO_EINVAL, "ecdsa-p256");
	unit_refused(
		certauto__pkey_new(&key, "ed25519", &err), &err, CERTAUTO_EINVAL, "\"ed25519\"");
	assert_null(key);
}

static void test_key__all_forms_are_read(void **state)
{
	certauto__pkey *p256 = unit_key(key_p256), *rsa = unit_key(key_rsa2048), *key;
	certauto__buffer der = unit_der(key_p256);

	(void)state;
	assert_string_equal(certauto__pkey_type(p256), "ecdsa-p256");
	assert_string_equal(certauto__pkey_type(rsa), "rsa-2048");
	key = unit_key(key_p256_sec1);
	assert_true(certauto__pkey_same(key, p256));
	certauto__pkey_free(key);
	key = unit_key(key_p256_with_parameters);
	assert_true(certauto__pkey_same(key, p256));
	certauto__pkey_free(key);
	key = unit_key(key_rsa2048_pkcs1);
	assert_true(certauto__pkey_same(key, rsa));
	assert_false(certauto__pkey_same(key, p256));
	certauto__pkey_free(key);
	key = unit_key(key_p384);
	assert_string_equal(certauto__pkey_type(key), "ecdsa-p384");
	certauto__pkey_free(key);
	assert_int_equal(certauto__pkey_parse(&key, der.data, der.len, NULL), 0);
	assert_true(certauto__pkey_same(key, p256));
	certauto__pkey_free(key);
	certauto__buffer_free(&der);
	certauto__pkey_free(p256);
	certauto__pkey_free(rsa);
}

/* What another program wrote as PKCS#8 we write alike, but for optional parts inside. */
static void test_key__rsa_is_written_as_openssl_does(void **state)
{
	certauto__pkey *key = unit_key(key_rsa2048_pkcs1);
	certauto__secret *pem = NULL;

	(void)state;
	assert_int_equal(certauto__pkey_format(&pem, key, NULL), 0);
	assert_string_equal(certauto__secret_text(pem), key_rsa2048);
	certauto__secret_free(pem);
	certauto__pkey_free(key);
}

static void refuse(const char *text, size_t len, const char *words)
{
	certauto_error err = { 0 };
	certauto__pkey *key = NULL;

	unit_refused(certauto__pkey_parse(&key, text, len, &err), &err, CERTAUTO_EINVAL, words);
	assert_null(key);
}

static void test_key__what_is_no_key_is_named(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "", "empty" },
		{ "hello", "neither PEM nor DER" },
		{ "-----BEGIN PRIVATE KEY-----\nMIGH", "truncated" },
		{ "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "no base64" },
		{ "-----BEGIN PRIVATE KEY-----\nMI!H\n-----END PRIVATE KEY-----\n", "no base64" },
		{ "-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n", "no base64" },
		{ "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END EC PRIVATE KEY-----\n",
			"its own last line" },
		{ "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n", "truncated" },
		{ "-----BEGIN PRIVATE KEY\nMIGH\n-----END PRIVATE KEY-----\n", "first line" },
		{ "-----BEGIN EC PARAMETERS-----\nMIGH\n-----END EC PARAMETERS-----\n",
			"no private key" },
		{ chain_good_alone, "\"CERTIFICATE\"" },
		{ csr_full, "\"CERTIFICATE REQUEST\"" },
		{ key_p256_public, "\"PUBLIC KEY\"" },
		{ key_encrypted, "encrypted" },
		{ key_encrypted_old, "encrypted" },
		{ key_p521, "another curve than P-256 and P-384" },
		{ key_secp256k1, "another curve than P-256 and P-384" },
		{ key_rsa1024, "another size than 2048" },
		{ key_ed25519, "neither RSA nor ECDSA" },
		{ key_p256_mismatched, "does not fit its public half" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuse(cases[i].text, strlen(cases[i].text), cases[i].words);
}

static void test_key__der_that_is_no_key_is_named(void **state)
{
	static const struct {
		const char *pem, *words;
	} cases[] = {
		{ chain_good_alone, "a certificate or a signing request" },
		{ csr_full, "a certificate or a signing request" },
		{ key_p256_public, "only a public key" },
		{ key_encrypted, "encrypted" },
	};
	certauto__buffer der;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		der = unit_der(cases[i].pem);
		refuse(der.data, der.len, cases[i].words);
		certauto__buffer_free(&der);
	}
	der = unit_der(key_p256);
	certauto__buffer_add(&der, "x", 1);
	refuse(der.data, der.len, "bytes that do not belong to it");
	certauto__buffer_free(&der);
}

static void test_key__two_keys_are_refused(void **state)
{
	certauto__buffer text = CERTAUTO__BUFFER(65536);

	(void)state;
	certauto__buffer_printf(&text, "%s%s", key_p256, key_p384);
	refuse(text.data, text.len, "more than one");
	certauto__buffer_clear(&text);
	certauto__buffer_printf(&text, "%s%s", key_p256, chain_good_alone);
	refuse(text.data, text.len, "\"CERTIFICATE\"");
	certauto__buffer_free(&text);
}

static void test_key__text_around_the_block_is_skipped(void **state)
{
	certauto__buffer text = CERTAUTO__BUFFER(65536);
	certauto__pkey *key, *same = unit_key(key_p256);

	(void)state;
	certauto__buffer_printf(&text, "0 my key:\r\n  localKeyID\r\n%s\nthe end", key_p256);
	key = unit_key(text.data);
	assert_true(certauto__pkey_same(key, same));
	certauto__pkey_free(key);
	certauto__pkey_free(same);
	certauto__buffer_free(&text);
}

/* Nothing is read past the end: the copy has exactly the length (the sanitizer watches). */
static void truncate_at_each_byte(const char *data, size_t len)
{
	certauto__pkey *key = NULL;
	size_t n;
	char *copy;

	for (n = 0; n < len; n++) {
		copy = malloc(n != 0 ? n : 1);
		assert_non_null(copy);
		memcpy(copy, data, n);
		assert_int_equal(certauto__pkey_parse(&key, copy, n, NULL), CERTAUTO_EINVAL);
		free(copy);
	}
	assert_null(key);
}

static void test_key__truncated_at_each_byte_is_refused(void **state)
{
	static const char *const pems[] = { key_p256, key_p256_sec1, key_rsa2048,
		key_rsa2048_pkcs1 };
	certauto__buffer der;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pems) / sizeof(pems[0]); i++) {
		der = unit_der(pems[i]);
		truncate_at_each_byte(der.data, der.len);
		certauto__buffer_free(&der);
	}
	truncate_at_each_byte(key_p256, strlen(key_p256) - 1);
}

/* A changed byte may still be a key, but never a crash, and never the same key with another half.
 */
static void test_key__changed_bytes_do_no_harm(void **state)
{
	certauto__buffer der = unit_der(key_p256);
	certauto__pkey *key, *same = unit_key(key_p256);
	size_t i, n_keys = 0;
	int bit;

	(void)state;
	for (i = 0; i < der.len; i++) {
		for (bit = 0; bit < 8; bit++) {
			der.data[i] = (char)(der.data[i] ^ (1 << bit));
			if (certauto__pkey_parse(&key, der.data, der.len, NULL) == 0) {
				n_keys += (size_t)certauto__pkey_same(key, same);
				certauto__pkey_free(key);
			}
			der.data[i] = (char)(der.data[i] ^ (1 << bit));
		}
	}
	assert_true(n_keys < 64); /* bits in versions and optional parts */
	certauto__pkey_free(same);
	certauto__buffer_free(&der);
}

static int oom_make(void *arg)
{
	certauto__pkey *key = NULL;
	certauto__secret *pem = NULL;
	int rc;

	if ((rc = certauto__pkey_new(&key, arg, NULL)) == 0)
		rc = certauto__pkey_format(&pem, key, NULL);
	certauto__secret_free(pem);
	certauto__pkey_free(key);
	return rc;
}

static int oom_parse(void *arg)
{
	certauto__pkey *key = NULL;
	int rc = certauto__pkey_parse(&key, arg, strlen(arg), NULL);

	certauto__pkey_free(key);
	return rc;
}

static void test_key__short_of_memory(void **state)
{
	static char type[] = "ecdsa-p256";

	(void)state;
	unit_oom_sweep("make", oom_make, type);
	unit_oom_sweep("parse", oom_parse, (void *)key_p256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key__each_type_is_made_and_read_back),
		cmocka_unit_test(test_key__two_new_keys_differ),
		cmocka_unit_test(test_key__unknown_type_is_refused_with_the_list),
		cmocka_unit_test(test_key__all_forms_are_read),
		cmocka_unit_test(test_key__rsa_is_written_as_openssl_does),
		cmocka_unit_test(test_key__what_is_no_key_is_named),
		cmocka_unit_test(test_key__der_that_is_no_key_is_named),
		cmocka_unit_test(test_key__two_keys_are_refused),
		cmocka_unit_test(test_key__text_around_the_block_is_skipped),
		cmocka_unit_test(test_key__truncated_at_each_byte_is_refused),
		cmocka_unit_test(test_key__changed_bytes_do_no_harm),
		cmocka_unit_test(test_key__short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
