/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: what ours ask for byte by byte, and what is taken and refused from others. */

#include "unit_crypto.h"

#include <stdlib.h>

#include "crypto/csr.h"

static certauto__req *make(const char *key_pem, const char *names,
	const struct certauto__subject *subject)
{
	certauto__list list = unit_list(names);
	certauto__pkey *key = unit_key(key_pem);
	certauto__req *req = NULL;

	assert_int_equal(certauto__req_new(&req, key, &list, subject, NULL), 0);
	assert_true(certauto__req_has_key(req, key));
	certauto__pkey_free(key);
	certauto__list_free(&list);
	return req;
}

static void check_names(const certauto__req *req, const char *wanted)
{
	const certauto__list *names = certauto__req_names(req);
	certauto__list list = unit_list(wanted);
	size_t i;

	assert_int_equal(names->n, list.n);
	for (i = 0; i < list.n; i++)
		assert_string_equal(names->items[i], list.items[i]);
	certauto__list_free(&list);
}

/* ---- writing ---- */

static void test_csr__made_for_each_key_type_verifies(void **state)
{
	static const char *const pems[] = { key_p256, key_p384, key_rsa2048 };
	certauto__buffer pem = CERTAUTO__BUFFER(65536);
	certauto__req *req, *again;
	size_t i, n;

	(void)state;
	for (i = 0; i < 3; i++) {
		req = make(pems[i], "Shop.Example.org,*.shop.example.org,192.0.2.1,2001:DB8:0::1",
			NULL);
		check_names(req, "shop.example.org,*.shop.example.org,192.0.2.1,2001:db8::1");
		assert_null(certauto__req_common_name(req));
		assert_int_equal(req->is_rsa, i == 2);
		certauto__buffer_clear(&pem);
		assert_int_equal(certauto__req_format(&pem, req), 0);
		again = unit_req(pem.data);
		check_names(again, "shop.example.org,*.shop.example.org,192.0.2.1,2001:db8::1");
		assert_memory_equal(certauto__req_der(again, &n), req->der, req->der_len);
		assert_int_equal(n, req->der_len);
		certauto__req_free(req);
		certauto__req_free(again);
	}
	certauto__buffer_free(&pem);
}

/* The whole request but for the signature, byte for byte: version 0, empty subject, the key, one
 * attribute with one extension, and no extended key usage. */
static void test_csr__asks_for_names_and_nothing_else(void **state)
{
	static const char tail[] =
		"\xA0\x27"					       /* attributes */
		"\x30\x25\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x09\x0E" /* extensionRequest */
		"\x31\x18\x30\x16"
		"\x30\x14\x06\x03\x55\x1D\x11\x04\x0D" /* subjectAltName, not critical */
		"\x30\x0B\x82\x03"
		"a.b"
		"\x87\x04\xC0\x00\x02\x01";
	certauto__req *req = make(key_p256, "a.b,192.0.2.1", NULL);
	const unsigned char *info = req->der + 3;

	(void)state;
	assert_memory_equal(info, "\x30\x81\x89\x02\x01\x00\x30\x00", 8);
	assert_memory_equal(info + 8, req->spki.data, req->spki.len);
	assert_memory_equal(info + 8 + req->spki.len, tail, sizeof(tail) - 1);
	certauto__req_free(req);
}

static void test_csr__subject_is_as_asked(void **state)
{
	static const char *const others[] = { "C", "FR", "O", "Caf\xC3\xA9, Inc.", "emailAddress",
		"a@example.org", NULL };
	struct certauto__subject subject = { "shop.example.org", others };
	certauto__buffer text = CERTAUTO__BUFFER(4096);
	certauto__req *req = make(key_p256, "shop.example.org", &subject);

	(void)state;
	assert_string_equal(certauto__req_common_name(req), "shop.example.org");
	assert_int_equal(certauto__dn_text(&text, req->subject, req->subject_len), 0);
	assert_string_equal(text.data, "CN=shop.example.org, emailAddress=a@example.org, "
		"O=Caf\xC3\xA9\\, Inc., C=FR");
	certauto__buffer_free(&text);
	certauto__req_free(req);
}

static void test_csr__bad_subjects_are_refused(void **state)
{
	static const struct {
		const char *name, *value, *words;
	} cases[] = {
		{ "X", "y", "unknown part \"X\"" },
		{ "C", "FRA", "subject's C" },
		{ "C", "F", "subject's C" },
		{ "O", "", "subject's O" },
		{ "O", "a\nb", "subject's O" },
		{ "serialNumber", "a*b", "subject's serialNumber" },
		{ "emailAddress", "\xC3\xA9@example.org", "subject's emailAddress" },
		{ "O", NULL, "subject's O" },
		{ "CN", "0123456789012345678901234567890123456789012345678901234567890123x",
		  "subject's CN" },
	};
	certauto__list names = unit_list("shop.example.org");
	certauto__pkey *key = unit_key(key_p256);
	certauto__req *req = NULL;
	certauto_error err = { 0 };
	const char *others[3] = { NULL, NULL, NULL };
	struct certauto__subject subject = { NULL, others };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		others[0] = cases[i].name;
		others[1] = cases[i].value;
		unit_refused(certauto__req_new(&req, key, &names, &subject, &err), &err,
			CERTAUTO_EINVAL, cases[i].words);
	}
	assert_null(req);
	certauto__list_free(&names);
	certauto__pkey_free(key);
}

static void test_csr__bad_names_are_refused(void **state)
{
	static const struct {
		const char *names, *words;
	} cases[] = {
		{ "", "1 to 1000 names" },
		{ "shop.example.org,Shop.example.ORG", "\"shop.example.org\" is given twice" },
		{ "2001:db8::1,2001:DB8:0:0::1", "\"2001:db8::1\" is given twice" },
		{ "ok.example.org,a..b", "\"a..b\"" },
		{ "a b.example.org", "\"a b.example.org\"" },
		{ "shop.*.example.org", "\"shop.*.example.org\"" },
		{ "192.0.2.256", "\"192.0.2.256\"" },
		{ "example.org.", "\"example.org.\"" },
		{ "caf\xC3\xA9.example.org", "neither a DNS name nor an IP address" },
	};
	certauto__pkey *key = unit_key(key_p256);
	certauto__req *req = NULL;
	certauto_error err = { 0 };
	certauto__list names;
	char name[32];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		names = unit_list(cases[i].names);
		unit_refused(certauto__req_new(&req, key, &names, NULL, &err), &err,
			CERTAUTO_EINVAL, cases[i].words);
		certauto__list_free(&names);
	}
	for (i = 0; i <= 1000; i++) {
		snprintf(name, sizeof(name), "n%zu.example.org", i);
		assert_int_equal(certauto__list_add_text(&names, name), 0);
	}
	unit_refused(certauto__req_new(&req, key, &names, NULL, &err), &err, CERTAUTO_EINVAL,
		"1 to 1000 names");
	assert_null(req);
	certauto__list_free(&names);
	certauto__pkey_free(key);
}

static void test_csr__thousand_names_round_trip(void **state)
{
	certauto__list names = { NULL, 0, 0 };
	certauto__pkey *key = unit_key(key_p256);
	certauto__req *req = NULL, *copy = NULL;
	char name[32];
	size_t i;

	(void)state;
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%zu.example.org", i);
		assert_int_equal(certauto__list_add_text(&names, name), 0);
	}
	assert_int_equal(certauto__req_new(&req, key, &names, NULL, NULL), 0);
	assert_int_equal(certauto__req_copy(&copy, req), 0);
	certauto__req_free(req);
	assert_int_equal(certauto__req_names(copy)->n, 1000);
	assert_string_equal(certauto__req_names(copy)->items[999], "n999.example.org");
	assert_true(certauto__req_has_key(copy, key));
	certauto__req_free(copy);
	certauto__list_free(&names);
	certauto__pkey_free(key);
}

/* ---- reading ---- */

static void test_csr__made_by_others_is_read(void **state)
{
	certauto__req *req = unit_req(csr_full);
	certauto__pkey *key = unit_key(key_p256), *rsa = unit_key(key_rsa2048);
	certauto__buffer der;

	(void)state;
	check_names(req, "shop.example.org,*.shop.example.org,192.0.2.1,2001:db8::1");
	assert_string_equal(certauto__req_common_name(req), "Shop.example.org");
	assert_true(certauto__req_has_key(req, key));
	assert_false(certauto__req_has_key(req, rsa));
	certauto__req_free(req);

	req = unit_req(csr_new_label);
	check_names(req, "shop.example.org,*.shop.example.org,192.0.2.1,2001:db8::1");
	certauto__req_free(req);

	req = unit_req(csr_cn_only);
	check_names(req, "shop.example.org");
	assert_true(certauto__req_has_key(req, rsa));
	certauto__req_free(req);

	req = unit_req(csr_empty_subject);
	check_names(req, "shop.example.org");
	assert_null(certauto__req_common_name(req));
	certauto__req_free(req);

	req = unit_req(csr_no_name);
	assert_int_equal(certauto__req_names(req)->n, 0);
	certauto__req_free(req);

	der = unit_der(csr_full);
	assert_int_equal(certauto__req_parse(&req, der.data, der.len, NULL), 0);
	certauto__req_free(req);
	certauto__buffer_free(&der);
	certauto__pkey_free(key);
	certauto__pkey_free(rsa);
}

static void test_csr__a_common_name_that_is_a_dns_name_counts(void **state)
{
	static const struct {
		const char *common_name, *names, *wanted;
	} cases[] = {
		{ "Shop.Example.org", "www.example.org", "www.example.org,shop.example.org" },
		{ "a.example.org", "a.example.org,b.example.org", "a.example.org,b.example.org" },
		{ "My Shop", "www.example.org", "www.example.org" },
		{ "192.0.2.1", "www.example.org", "www.example.org" },
	};
	struct certauto__subject subject = { NULL, NULL };
	certauto__req *made, *req = NULL;
	certauto__buffer pem;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		subject.common_name = cases[i].common_name;
		made = make(key_p256, cases[i].names, &subject);
		certauto__buffer_init(&pem, 65536);
		assert_int_equal(certauto__req_format(&pem, made), 0);
		assert_int_equal(certauto__req_parse(&req, pem.data, pem.len, NULL), 0);
		check_names(req, cases[i].wanted);
		certauto__buffer_free(&pem);
		certauto__req_free(made);
		certauto__req_free(req);
	}
}

static void test_csr__what_is_none_is_refused(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "", "0 bytes" },
		{ "hello", "no certificate signing request" },
		{ key_p256, "\"PRIVATE KEY\" where a certificate signing request" },
		{ chain_good_alone, "\"CERTIFICATE\" where a certificate signing request" },
		{ csr_bad_signature, "not that of its key" },
		{ csr_email, "1 names that are no DNS names and no IP addresses" },
		{ csr_bad_name, "\"a..example.org\"" },
		{ csr_bad_cn, "common name \"My Shop\"" },
	};
	certauto__buffer two = CERTAUTO__BUFFER(65536);
	certauto__req *req = NULL;
	certauto_error err = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		unit_refused(certauto__req_parse(&req, cases[i].text, strlen(cases[i].text), &err),
			&err, CERTAUTO_EINVAL, cases[i].words);
	certauto__buffer_printf(&two, "%s%s", csr_full, csr_full);
	unit_refused(certauto__req_parse(&req, two.data, two.len, &err), &err, CERTAUTO_EINVAL,
		"more than one");
	assert_null(req);
	certauto__buffer_free(&two);
}

static void test_csr__truncated_at_each_byte_is_refused(void **state)
{
	certauto__buffer der = unit_der(csr_full);
	certauto__req *req = NULL;
	char *copy;
	size_t n;

	(void)state;
	for (n = 0; n < der.len; n++) {
		copy = malloc(n != 0 ? n : 1);
		assert_non_null(copy);
		memcpy(copy, der.data, n);
		assert_int_equal(certauto__req_parse(&req, copy, n, NULL), CERTAUTO_EINVAL);
		free(copy);
	}
	certauto__buffer_add(&der, "", 1);
	assert_int_equal(certauto__req_parse(&req, der.data, der.len, NULL), CERTAUTO_EINVAL);
	assert_null(req);
	certauto__buffer_free(&der);
}

/* The signature covers every byte but its own envelope, so whatever bit is flipped, the request is
 * refused or the same. */
static void test_csr__flipped_bits_are_refused(void **state)
{
	certauto__buffer der = unit_der(csr_full);
	certauto__req *req = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < der.len; i++) {
		der.data[i] = (char)(der.data[i] ^ (1 << (i % 8)));
		assert_int_equal(
			certauto__req_parse(&req, der.data, der.len, NULL), CERTAUTO_EINVAL);
		der.data[i] = (char)(der.data[i] ^ (1 << (i % 8)));
	}
	assert_null(req);
	certauto__buffer_free(&der);
}

static int oom_new(void *arg)
{
	static char *items[] = { "shop.example.org", "192.0.2.1" };
	static const char *const others[] = { "O", "Example", NULL };
	certauto__list names = { items, 2, 2 };
	struct certauto__subject subject = { "shop.example.org", others };
	certauto__buffer pem = CERTAUTO__BUFFER(65536);
	certauto__req *req = NULL, *copy = NULL;
	int rc;

	if ((rc = certauto__req_new(&req, arg, &names, &subject, NULL)) == 0 &&
	    (rc = certauto__req_copy(&copy, req)) == 0)
		rc = certauto__req_format(&pem, copy);
	certauto__buffer_free(&pem);
	certauto__req_free(req);
	certauto__req_free(copy);
	return rc;
}

static int oom_parse(void *arg)
{
	certauto__req *req = NULL;
	int rc = certauto__req_parse(&req, arg, strlen(arg), NULL);

	certauto__req_free(req);
	return rc;
}

static void test_csr__short_of_memory(void **state)
{
	certauto__pkey *key = unit_key(key_p256);

	(void)state;
	unit_oom_sweep("new", oom_new, key);
	unit_oom_sweep("parse", oom_parse, (void *)csr_full);
	unit_oom_sweep("parse", oom_parse, (void *)csr_cn_only);
	certauto__pkey_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csr__made_for_each_key_type_verifies),
		cmocka_unit_test(test_csr__asks_for_names_and_nothing_else),
		cmocka_unit_test(test_csr__subject_is_as_asked),
		cmocka_unit_test(test_csr__bad_subjects_are_refused),
		cmocka_unit_test(test_csr__bad_names_are_refused),
		cmocka_unit_test(test_csr__thousand_names_round_trip),
		cmocka_unit_test(test_csr__made_by_others_is_read),
		cmocka_unit_test(test_csr__a_common_name_that_is_a_dns_name_counts),
		cmocka_unit_test(test_csr__what_is_none_is_refused),
		cmocka_unit_test(test_csr__truncated_at_each_byte_is_refused),
		cmocka_unit_test(test_csr__flipped_bits_are_refused),
		cmocka_unit_test(test_csr__short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
