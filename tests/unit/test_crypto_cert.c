/* SPDX-License-Identifier: Apache-2.0 */
/* Chains: what is read from them, how they are written, and what is refused before it is read. */

#include "unit_crypto.h"

#include <stdlib.h>

#include "crypto/cert.h"
#include "crypto/pkey.h"

/* ---- what is known of a certificate ---- */

static void test_cert__info_of_a_leaf(void **state)
{
	certauto__certs *certs = unit_certs(chain_good);
	const struct certauto__cert_info *leaf = certauto__certs_info(certs, 0);
	char fingerprint[65];

	(void)state;
	assert_int_equal(certauto__certs_n(certs), 2);
	assert_string_equal(leaf->serial, "87654321"); /* INTEGER 00 87 65 43 21 */
	assert_string_equal(leaf->subject, "CN=shop.example.org");
	assert_string_equal(leaf->subject_cn, "shop.example.org");
	assert_string_equal(leaf->issuer, "CN=Test Intermediate, O=Example, C=XX");
	assert_string_equal(leaf->issuer_cn, "Test Intermediate");
	assert_int_equal(leaf->names->n, 2);
	assert_string_equal(leaf->names->items[0], "shop.example.org");
	assert_string_equal(leaf->names->items[1], "www.shop.example.org");
	assert_int_equal(leaf->not_before, certauto__clock_from_utc(2026, 5, 1, 0, 0, 0));
	assert_int_equal(leaf->not_after, certauto__clock_from_utc(2026, 7, 30, 0, 0, 0));
	assert_false(leaf->is_ca);
	assert_string_equal(leaf->key_type, "ecdsa-p256");
	assert_null(leaf->ski);
	certauto__sha256_hex(fingerprint, leaf->der, leaf->der_len);
	assert_string_equal(leaf->fingerprint, fingerprint);
	certauto__certs_free(certs);
}

static void test_cert__info_of_its_issuer(void **state)
{
	certauto__certs *certs = unit_certs(chain_good);
	const struct certauto__cert_info *leaf = certauto__certs_info(certs, 0);
	const struct certauto__cert_info *ca = certauto__certs_info(certs, 1);

	(void)state;
	assert_true(ca->is_ca);
	assert_string_equal(ca->subject_cn, "Test Intermediate");
	assert_string_equal(ca->issuer_cn, "Test Root");
	assert_int_equal(ca->names->n, 0);
	assert_int_equal(ca->not_after, certauto__clock_from_utc(2060, 1, 1, 0, 0, 0));
	assert_non_null(leaf->aki);
	assert_int_equal(strlen(leaf->aki), 40);
	assert_string_equal(leaf->aki, ca->ski);
	assert_null(ca->aki);
	assert_null(certauto__certs_info(certs, 2));
	certauto__certs_free(certs);
}

static void test_cert__addresses_and_other_keys_are_read(void **state)
{
	certauto__certs *certs = unit_certs(chain_good_addresses);
	const certauto__list *names = certauto__certs_info(certs, 0)->names;

	(void)state;
	assert_int_equal(names->n, 2);
	assert_string_equal(names->items[0], "192.0.2.1");
	assert_string_equal(names->items[1], "2001:db8::1");
	assert_string_equal(certauto__certs_info(certs, 0)->subject, "");
	assert_null(certauto__certs_info(certs, 0)->subject_cn);
	certauto__certs_free(certs);
	certs = unit_certs(chain_good_rsa);
	assert_string_equal(certauto__certs_info(certs, 0)->key_type, "rsa-2048");
	certauto__certs_free(certs);
	certs = unit_certs(chain_good_critical); /* critical name constraints */
	assert_int_equal(certauto__certs_n(certs), 2);
	certauto__certs_free(certs);
}

static void test_cert__hostile_names_are_shown_escaped(void **state)
{
	certauto__certs *certs = unit_certs(chain_nul);

	(void)state;
	assert_string_equal(certauto__certs_info(certs, 0)->names->items[0],
		"shop.example.org\\x00.evil.example");
	certauto__certs_free(certs);
}

static void test_cert__keys_are_compared(void **state)
{
	certauto__certs *certs = unit_certs(chain_good);
	certauto__pkey *key = unit_key(key_p256), *other = unit_key(key_rsa2048);
	certauto__buffer spki = CERTAUTO__BUFFER(4096);

	(void)state;
	assert_true(certauto__certs_has_key(certs, key));
	assert_false(certauto__certs_has_key(certs, other));
	assert_int_equal(certauto__pkey_public_der(&spki, key), 0);
	assert_true(certauto__certs_has_spki(certs, spki.data, spki.len));
	assert_false(certauto__certs_has_spki(certs, spki.data, spki.len - 1));
	assert_false(certauto__certs_has_spki(certs, "", 0));
	certauto__buffer_clear(&spki);
	assert_int_equal(certauto__pkey_public_der(&spki, other), 0);
	assert_false(certauto__certs_has_spki(certs, spki.data, spki.len));
	certauto__buffer_free(&spki);
	certauto__pkey_free(key);
	certauto__pkey_free(other);
	certauto__certs_free(certs);
}

/* ---- PEM ---- */

static void check_format(const char *text, int part, const char *wanted)
{
	certauto__buffer out = CERTAUTO__BUFFER(65536);
	certauto__certs *certs = unit_certs(text);

	assert_int_equal(certauto__certs_format(&out, certs, part), 0);
	assert_string_equal(certauto__buffer_text(&out), wanted);
	certauto__buffer_free(&out);
	certauto__certs_free(certs);
}

static void test_cert__parts_are_written(void **state)
{
	const char *rest = chain_good_with_root + strlen(chain_good_alone);

	(void)state;
	check_format(chain_good_with_root, CERTAUTO__PART_FULL, chain_good_with_root);
	check_format(chain_good_with_root, CERTAUTO__PART_LEAF, chain_good_alone);
	check_format(chain_good_with_root, CERTAUTO__PART_INTERMEDIATES, rest);
	check_format(chain_good_alone, CERTAUTO__PART_FULL, chain_good_alone);
	check_format(chain_good_alone, CERTAUTO__PART_INTERMEDIATES, "");
}

/* A blank line in a PEM ends a command on HAProxy's socket: what follows would be run. */
static void test_cert__pem_is_normalised(void **state)
{
	certauto__buffer text = CERTAUTO__BUFFER(65536);
	const char *at;
	int n = 0;

	(void)state;
	certauto__buffer_text_add(&text, " \r\n\t\n");
	for (at = chain_good; *at != '\0'; at++) {
		certauto__buffer_add(&text, at, 1);
		if (*at == '\n')
			certauto__buffer_text_add(&text,
				n++ % 3 == 0	     ? "\n"
					: n % 3 == 1 ? "\r\n  \n"
						     : "");
	}
	check_format(text.data, CERTAUTO__PART_FULL, chain_good);
	certauto__buffer_free(&text);
}

static void test_cert__der_is_read(void **state)
{
	certauto__buffer der = unit_der(chain_good_alone), out = CERTAUTO__BUFFER(65536);
	certauto__certs *certs = NULL;

	(void)state;
	assert_int_equal(certauto__certs_parse(&certs, der.data, der.len, 0, NULL), 0);
	assert_int_equal(certauto__certs_format(&out, certs, CERTAUTO__PART_FULL), 0);
	assert_string_equal(out.data, chain_good_alone);
	certauto__certs_free(certs);
	certauto__buffer_free(&out);
	certauto__buffer_free(&der);
}

/* ---- what is refused ---- */

static void refuse(const char *text, size_t len, size_t max, const char *words)
{
	certauto__certs *certs = NULL;
	certauto_error err = { 0 };

	unit_refused(
		certauto__certs_parse(&certs, text, len, max, &err), &err, CERTAUTO_ECERT, words);
	assert_null(certs);
}

static void refuse_joined(const char *a, const char *b, const char *words)
{
	certauto__buffer text = CERTAUTO__BUFFER(1 << 20);

	certauto__buffer_printf(&text, "%s%s", a, b);
	refuse(text.data, text.len, 0, words);
	certauto__buffer_free(&text);
}

static void test_cert__only_certificate_blocks_are_taken(void **state)
{
	(void)state;
	refuse("", 0, 0, "no certificate");
	refuse(" \n", 2, 0, "no certificate");
	refuse("0", 1, 0, "certificate 1");
	refuse("hello", 5, 0, "outside");
	refuse_joined("Here it is:\n", chain_good, "outside of the PEM blocks");
	refuse_joined(chain_good, "show info\n", "outside of the PEM blocks");
	refuse_joined(chain_good, key_p256, "\"PRIVATE KEY\"");
	refuse_joined(chain_good, key_encrypted, "\"ENCRYPTED PRIVATE KEY\"");
	refuse_joined(csr_full, "", "\"CERTIFICATE REQUEST\"");
	refuse_joined(chain_pkcs7, "", "\"PKCS7\"");
	refuse_joined("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n"
		      "-----END CERTIFICATE-----\n", "", "no base64");
	refuse_joined("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "", "no base64");
	refuse_joined("-----BEGIN CERTIFICATE-----\nMIIB\n", chain_good, "its own last line");
}

static void test_cert__limits_hold(void **state)
{
	certauto__buffer text = CERTAUTO__BUFFER(1 << 20);
	certauto__certs *certs = NULL;
	static char big[70000];
	int i;

	(void)state;
	for (i = 0; i < 11; i++)
		certauto__buffer_text_add(&text, chain_good_alone);
	refuse(text.data, text.len, 0, "more than 10 certificates");
	refuse(text.data, text.len, 2, "more than 2 certificates");
	assert_int_equal(certauto__certs_parse(&certs, text.data, text.len, 11, NULL), 0);
	certauto__certs_free(certs);
	certauto__buffer_clear(&text);
	memset(big, 0xA5, sizeof(big));
	certauto__pem_add(&text, "CERTIFICATE", big, sizeof(big));
	refuse(text.data, text.len, 0, "at most 64 KiB");
	big[0] = 0x30;
	refuse(big, sizeof(big), 0, "longer than 64 KiB");
	certauto__buffer_free(&text);
}

static void test_cert__errors_name_the_certificate(void **state)
{
	certauto__buffer text = CERTAUTO__BUFFER(1 << 20), der = unit_der(chain_good_alone);

	(void)state;
	certauto__buffer_text_add(&text, chain_good_alone);
	certauto__pem_add(&text, "CERTIFICATE", der.data, der.len - 1);
	refuse(text.data, text.len, 0, "certificate 2 of the chain: damaged");
	certauto__buffer_clear(&text);
	certauto__buffer_add(&der, "x", 1);
	certauto__pem_add(&text, "CERTIFICATE", der.data, der.len);
	refuse(text.data, text.len, 0, "certificate 1 of the chain: followed by 1 bytes");
	certauto__buffer_free(&text);
	certauto__buffer_free(&der);
}

static void test_cert__truncated_at_each_byte_is_refused(void **state)
{
	certauto__buffer der = unit_der(chain_good_alone);
	size_t n, len = strlen(chain_good);
	certauto__certs *certs = NULL;
	char *copy;

	(void)state;
	for (n = 0; n < der.len; n++) {
		copy = malloc(n != 0 ? n : 1);
		assert_non_null(copy);
		memcpy(copy, der.data, n);
		assert_int_equal(certauto__certs_parse(&certs, copy, n, 0, NULL), CERTAUTO_ECERT);
		free(copy);
	}
	for (n = 0; n + 1 < len; n++) {
		copy = malloc(n != 0 ? n : 1);
		assert_non_null(copy);
		memcpy(copy, chain_good, n);
		if (certauto__certs_parse(&certs, copy, n, 0, NULL) == 0) {
			/* Cut behind the first block: that block, whole. */
			assert_int_equal(certauto__certs_n(certs), 1);
			assert_true(
				n == strlen(chain_good_alone) || n + 1 == strlen(chain_good_alone));
			certauto__certs_free(certs);
		}
		free(copy);
	}
	certauto__buffer_free(&der);
}

/* Bits in the signature and in texts may change without a parser noticing; that none makes it read
 * or write where it should not is the sanitizer's to say. */
static void test_cert__flipped_bits_do_no_harm(void **state)
{
	static const char *const pems[] = { chain_good_alone, ca_inter, chain_good_addresses };
	certauto__certs *certs = NULL;
	certauto__buffer der;
	size_t i, j, n_refused = 0;
	int bit;

	(void)state;
	for (j = 0; j < sizeof(pems) / sizeof(pems[0]); j++) {
		der = unit_der(pems[j]);
		for (i = 0; i < der.len; i++) {
			for (bit = 0; bit < 8; bit++) {
				der.data[i] = (char)(der.data[i] ^ (1 << bit));
				if (certauto__certs_parse(&certs, der.data, der.len, 0, NULL) == 0)
					certauto__certs_free(certs);
				else
					n_refused++;
				der.data[i] = (char)(der.data[i] ^ (1 << bit));
			}
		}
		certauto__buffer_free(&der);
	}
	assert_true(n_refused > 1000);
}

static int oom_parse(void *arg)
{
	certauto__buffer out = CERTAUTO__BUFFER(65536);
	certauto__certs *certs = NULL;
	int rc = certauto__certs_parse(&certs, arg, strlen(arg), 0, NULL);

	if (rc == 0)
		rc = certauto__certs_format(&out, certs, CERTAUTO__PART_FULL);
	certauto__certs_free(certs);
	certauto__buffer_free(&out);
	return rc;
}

static void test_cert__short_of_memory(void **state)
{
	(void)state;
	unit_oom_sweep("parse", oom_parse, (void *)chain_good);
	unit_oom_sweep("parse", oom_parse, (void *)chain_good_addresses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cert__info_of_a_leaf),
		cmocka_unit_test(test_cert__info_of_its_issuer),
		cmocka_unit_test(test_cert__addresses_and_other_keys_are_read),
		cmocka_unit_test(test_cert__hostile_names_are_shown_escaped),
		cmocka_unit_test(test_cert__keys_are_compared),
		cmocka_unit_test(test_cert__parts_are_written),
		cmocka_unit_test(test_cert__pem_is_normalised),
		cmocka_unit_test(test_cert__der_is_read),
		cmocka_unit_test(test_cert__only_certificate_blocks_are_taken),
		cmocka_unit_test(test_cert__limits_hold),
		cmocka_unit_test(test_cert__errors_name_the_certificate),
		cmocka_unit_test(test_cert__truncated_at_each_byte_is_refused),
		cmocka_unit_test(test_cert__flipped_bits_do_no_harm),
		cmocka_unit_test(test_cert__short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
