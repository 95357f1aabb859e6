/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of our own, read back and held against the acceptance checks. */

#include "unit_crypto.h"

#include "crypto/cert.h"
#include "crypto/csr.h"

#define NAMES "shop.example.org,*.shop.example.org,192.0.2.1"

static int64_t now;

static certauto__req *request(const certauto__pkey *key, const char *names,
	const struct certauto__subject *subject)
{
	certauto__list list = unit_list(names);
	certauto__req *req = NULL;

	assert_int_equal(certauto__req_new(&req, key, &list, subject, NULL), 0);
	certauto__list_free(&list);
	return req;
}

/* The extension's value as hex, NULL when the certificate has none. */
static const char *extension(const certauto__certs *certs, const char *oid, size_t len)
{
	const mbedtls_x509_buf *raw = &certs->items[0]->crt.v3_ext;
	struct certauto__der exts = certauto__der_over(raw->p, raw->len), value;
	static char text[256];
	certauto__buffer hex = CERTAUTO__BUFFER(sizeof(text) - 1);

	if (certauto__ext_find(&value, &exts, oid, len) != 1)
		return NULL;
	assert_int_equal(certauto__hex_encode(&hex, value.at, certauto__der_left(&value)), 0);
	strcpy(text, certauto__buffer_text(&hex));
	certauto__buffer_free(&hex);
	return text;
}

static void check_self_signed(const char *key_pem, const char *usage)
{
	certauto__pkey *key = unit_key(key_pem);
	certauto__req *req = request(key, NAMES, NULL);
	certauto__list names = unit_list(NAMES);
	const struct certauto__cert_info *info;
	struct certauto__mbed_signed what;
	certauto__certs *certs = NULL;

	assert_int_equal(
		certauto__certs_self_signed(&certs, key, req, now - 60, now + 864000, NULL), 0);
	info = certauto__certs_info(certs, 0);
	assert_int_equal(certauto__certs_n(certs), 1);
	assert_int_equal(info->not_before, now - 60);
	assert_int_equal(info->not_after, now + 864000);
	assert_string_equal(info->subject, "CN=shop.example.org");
	assert_string_equal(info->issuer, "CN=shop.example.org");
	assert_int_equal(strlen(info->serial), 32);
	assert_true(info->serial[0] >= '4' && info->serial[0] <= '7');
	assert_int_equal(strlen(info->ski), 40);
	assert_false(info->is_ca);
	assert_string_equal(info->key_type, certauto__pkey_type(key));
	assert_string_equal(extension(certs, CERTAUTO__OID(MBEDTLS_OID_KEY_USAGE)), usage);
	assert_string_equal(extension(certs, CERTAUTO__OID(MBEDTLS_OID_EXTENDED_KEY_USAGE)),
		"300a06082b06010505070301");
	assert_string_equal(extension(certs, CERTAUTO__OID(MBEDTLS_OID_BASIC_CONSTRAINTS)), "3000");
	assert_int_equal(certauto__certs_check(certs, key, req, &names, now, 0, NULL, NULL), 0);
	certauto__mbed_crt_signed(&what, &certs->items[0]->crt);
	assert_int_equal(certauto__mbed_verify(&certs->items[0]->crt.pk, &what), 0);
	certauto__certs_free(certs);
	certauto__list_free(&names);
	certauto__req_free(req);
	certauto__pkey_free(key);
}

static void test_make__self_signed_is_acceptable(void **state)
{
	(void)state;
	check_self_signed(key_p256, "03020780");
	check_self_signed(key_p384, "03020780");
	check_self_signed(key_rsa2048, "030205a0"); /* and keyEncipherment */
}

static void test_make__serials_differ(void **state)
{
	certauto__pkey *key = unit_key(key_p256);
	certauto__req *req = request(key, NAMES, NULL);
	certauto__certs *a = NULL, *b = NULL;

	(void)state;
	assert_int_equal(certauto__certs_self_signed(&a, key, req, now, now + 10, NULL), 0);
	assert_int_equal(certauto__certs_self_signed(&b, key, req, now, now + 10, NULL), 0);
	assert_string_not_equal(
		certauto__certs_info(a, 0)->serial, certauto__certs_info(b, 0)->serial);
	certauto__certs_free(a);
	certauto__certs_free(b);
	certauto__req_free(req);
	certauto__pkey_free(key);
}

static void test_make__subject_comes_from_the_request(void **state)
{
	static const char *const others[] = { "O", "Example", NULL };
	struct certauto__subject subject = { "The Shop", others };
	certauto__pkey *key = unit_key(key_p256);
	certauto__req *req = request(key, NAMES, &subject);
	certauto__certs *certs = NULL;

	(void)state;
	assert_int_equal(certauto__certs_self_signed(&certs, key, req, now, now + 10, NULL), 0);
	assert_string_equal(certauto__certs_info(certs, 0)->subject, "CN=The Shop, O=Example");
	certauto__certs_free(certs);
	certauto__req_free(req);
	certauto__pkey_free(key);
}

/* Names over 64 bytes do not fit into a common name; an issuer must have some name. */
static void test_make__long_names_give_another_subject(void **state)
{
	static const char *const cases[][2] = {
		{ "an-example-of-a-name-that-is-longer-than-sixty-four-bytes.shop.example.org",
		  "CN=self-signed" },
		{ "an-example-of-a-name-that-is-longer-than-sixty-four-bytes.shop.example.org,"
		  "b.example.org,c.example.org", "CN=b.example.org" },
	};
	certauto__pkey *key = unit_key(key_p256);
	certauto__certs *certs = NULL;
	certauto__req *req;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		req = request(key, cases[i][0], NULL);
		assert_int_equal(
			certauto__certs_self_signed(&certs, key, req, now, now + 10, NULL), 0);
		assert_string_equal(certauto__certs_info(certs, 0)->subject, cases[i][1]);
		certauto__certs_free(certs);
		certauto__req_free(req);
	}
	certauto__pkey_free(key);
}

static void test_make__dates_on_both_sides_of_2050(void **state)
{
	static const int64_t ends[] = { 2524607999, 2524608000, 253402300799 };
	certauto__pkey *key = unit_key(key_p256);
	certauto__req *req = request(key, NAMES, NULL);
	certauto__certs *certs = NULL;
	certauto_error err = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(
			certauto__certs_self_signed(&certs, key, req, 0, ends[i], NULL), 0);
		assert_int_equal(certauto__certs_info(certs, 0)->not_before, 0);
		assert_int_equal(certauto__certs_info(certs, 0)->not_after, ends[i]);
		certauto__certs_free(certs);
	}
	certs = NULL;
	unit_refused(certauto__certs_self_signed(&certs, key, req, 0, 253402300800, &err), &err,
		CERTAUTO_EINVAL, "cannot be valid");
	unit_refused(certauto__certs_self_signed(&certs, key, req, 10, 10, &err), &err,
		CERTAUTO_EINVAL, "from 10 to 10");
	unit_refused(certauto__certs_self_signed(&certs, key, req, -1, 10, &err), &err,
		CERTAUTO_EINVAL, "cannot be valid");
	assert_null(certs);
	certauto__req_free(req);
	certauto__pkey_free(key);
}

static void test_make__request_of_another_key_is_refused(void **state)
{
	certauto__pkey *key = unit_key(key_p256), *other = unit_key(key_p384);
	certauto__req *req = request(key, NAMES, NULL);
	certauto__certs *certs = NULL;
	certauto_error err = { 0 };

	(void)state;
	unit_refused(certauto__certs_self_signed(&certs, other, req, now, now + 10, &err), &err,
		CERTAUTO_EINVAL, "not that of the key");
	assert_null(certs);
	certauto__req_free(req);
	certauto__pkey_free(key);
	certauto__pkey_free(other);
}

/* ---- a small CA ---- */

static void sign(certauto__certs **out, const char *ca_pem, const char *ca_key_pem,
	const certauto__req *req)
{
	certauto__certs *ca = unit_certs(ca_pem);
	certauto__pkey *ca_key = unit_key(ca_key_pem);

	assert_int_equal(
		certauto__certs_signed(out, ca, ca_key, req, now - 60, now + 864000, NULL), 0);
	certauto__pkey_free(ca_key);
	certauto__certs_free(ca);
}

static void test_make__signed_by_an_intermediate(void **state)
{
	certauto__pkey *key = unit_key(key_rsa2048);
	certauto__req *req = request(key, NAMES, NULL);
	certauto__list names = unit_list(NAMES);
	certauto__certs *certs = NULL;
	const struct certauto__cert_info *leaf, *ca;

	(void)state;
	sign(&certs, ca_inter, ca_inter_key, req);
	assert_int_equal(certauto__certs_n(certs), 2);
	leaf = certauto__certs_info(certs, 0);
	ca = certauto__certs_info(certs, 1);
	assert_string_equal(leaf->subject, ""); /* the names alone identify */
	assert_string_equal(leaf->issuer, ca->subject);
	assert_string_equal(leaf->aki, ca->ski);
	assert_int_equal(certauto__certs_check(certs, key, req, &names, now, 0, NULL, NULL), 0);
	certauto__certs_free(certs);
	certauto__list_free(&names);
	certauto__req_free(req);
	certauto__pkey_free(key);
}

static void test_make__a_root_is_left_out_of_the_chain(void **state)
{
	certauto__pkey *key = unit_key(key_p384);
	certauto__req *req = request(key, NAMES, NULL);
	certauto__certs *certs = NULL;

	(void)state;
	sign(&certs, ca_root, ca_root_key, req);
	assert_int_equal(certauto__certs_n(certs), 1);
	assert_string_equal(certauto__certs_info(certs, 0)->issuer_cn, "Test Root");
	certauto__certs_free(certs);
	certauto__req_free(req);
	certauto__pkey_free(key);
}

static void test_make__who_is_no_ca_cannot_sign(void **state)
{
	certauto__pkey *key = unit_key(key_p256), *root_key = unit_key(ca_root_key);
	certauto__certs *leaf = unit_certs(chain_good), *root = unit_certs(ca_root), *certs = NULL;
	certauto__req *req = request(key, NAMES, NULL);
	certauto_error err = { 0 };

	(void)state;
	unit_refused(certauto__certs_signed(&certs, leaf, key, req, now, now + 10, &err), &err,
		CERTAUTO_EINVAL, "\"CN=shop.example.org\" is no CA");
	unit_refused(certauto__certs_signed(&certs, root, key, req, now, now + 10, &err), &err,
		CERTAUTO_EINVAL, "not that of its key");
	unit_refused(certauto__certs_signed(&certs, root, root_key, req, now, now, &err), &err,
		CERTAUTO_EINVAL, "cannot be valid");
	assert_null(certs);
	certauto__req_free(req);
	certauto__certs_free(leaf);
	certauto__certs_free(root);
	certauto__pkey_free(key);
	certauto__pkey_free(root_key);
}

struct making {
	certauto__pkey *key;
	certauto__req *req;
	certauto__certs *ca;
	certauto__pkey *ca_key;
};

static int oom_make(void *arg)
{
	certauto__certs *certs = NULL, *signed_certs = NULL;
	struct making *m = arg;
	int rc;

	if ((rc = certauto__certs_self_signed(&certs, m->key, m->req, now, now + 10, NULL)) == 0)
		rc = certauto__certs_signed(
			&signed_certs, m->ca, m->ca_key, m->req, now, now + 10, NULL);
	certauto__certs_free(certs);
	certauto__certs_free(signed_certs);
	return rc;
}

static void test_make__short_of_memory(void **state)
{
	struct making m;

	(void)state;
	m.key = unit_key(key_p256);
	m.req = request(m.key, NAMES, NULL);
	m.ca = unit_certs(ca_inter);
	m.ca_key = unit_key(ca_inter_key);
	unit_oom_sweep("make", oom_make, &m);
	certauto__certs_free(m.ca);
	certauto__pkey_free(m.ca_key);
	certauto__req_free(m.req);
	certauto__pkey_free(m.key);
}

static int setup(void **state)
{
	(void)state;
	now = certauto__clock_from_utc(2026, 6, 1, 0, 0, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make__self_signed_is_acceptable),
		cmocka_unit_test(test_make__serials_differ),
		cmocka_unit_test(test_make__subject_comes_from_the_request),
		cmocka_unit_test(test_make__long_names_give_another_subject),
		cmocka_unit_test(test_make__dates_on_both_sides_of_2050),
		cmocka_unit_test(test_make__request_of_another_key_is_refused),
		cmocka_unit_test(test_make__signed_by_an_intermediate),
		cmocka_unit_test(test_make__a_root_is_left_out_of_the_chain),
		cmocka_unit_test(test_make__who_is_no_ca_cannot_sign),
		cmocka_unit_test(test_make__short_of_memory),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
