/* SPDX-License-Identifier: Apache-2.0 */
/* The DER reader never leaves its bytes; the writer is minimal. */

#include "unit_crypto.h"

#include "crypto/der.h"

static void test_der__reads_one_element(void **state)
{
	static const unsigned char data[] = { 0x02, 0x01, 0x05, 0x04, 0x02, 'h', 'i' };
	struct certauto__der in = certauto__der_over(data, sizeof(data)), body;

	(void)state;
	assert_int_equal(certauto__der_peek(&in), 0x02);
	assert_int_equal(certauto__der_next(&in, 0x04, &body), CERTAUTO_EINVAL);
	assert_int_equal(certauto__der_left(&in), sizeof(data)); /* has not moved */
	assert_int_equal(certauto__der_next(&in, 0x02, &body), 0);
	assert_true(certauto__der_equals(&body, "\x05", 1));
	assert_false(certauto__der_equals(&body, "\x05\x04", 2));
	assert_int_equal(certauto__der_next(&in, 0x04, NULL), 0);
	assert_int_equal(certauto__der_peek(&in), -1);
	assert_int_equal(certauto__der_next(&in, 0x04, NULL), CERTAUTO_EINVAL);
}

static void test_der__length_beyond_the_end_is_refused(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} cases[] = {
		{ "\x30", 1 },
		{ "\x30\x01", 2 },
		{ "\x30\x81", 2 },
		{ "\x30\x81\x80", 3 },
		{ "\x30\x82\x01", 3 },
		{ "\x30\x84\x7F\xFF\xFF\xFF", 6 },
		{ "\x30\x84\xFF\xFF\xFF\xFF", 6 },
		{ "\x30\x85\x01\x00\x00\x00\x00", 7 },
		{ "\x30\x88\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 10 },
		{ "\x30\x80\x00\x00", 4 }, /* indefinite */
	};
	struct certauto__der in, body;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		in = certauto__der_over(cases[i].data, cases[i].len);
		assert_int_equal(certauto__der_next(&in, 0x30, &body), CERTAUTO_EINVAL);
		assert_ptr_equal(in.at, cases[i].data);
	}
}

/* Every form of a length, written and read back. */
static void test_der__lengths_round_trip(void **state)
{
	static const size_t lengths[] = { 0, 1, 127, 128, 255, 256, 65535, 65536 };
	static const size_t heads[] = { 2, 2, 2, 3, 3, 4, 4, 5 };
	static unsigned char content[65536];
	certauto__buffer b = CERTAUTO__BUFFER(1 << 20);
	struct certauto__der in, body;
	size_t i, mark;

	(void)state;
	memset(content, 0xA5, sizeof(content));
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		certauto__buffer_clear(&b);
		mark = certauto__der_open(&b, CERTAUTO__DER_SEQUENCE);
		certauto__buffer_add(&b, content, lengths[i]);
		certauto__der_close(&b, mark);
		assert_int_equal(b.rc, 0);
		assert_int_equal(b.len, heads[i] + lengths[i]);
		in = certauto__der_over(b.data, b.len);
		assert_int_equal(certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &body), 0);
		assert_true(certauto__der_equals(&body, content, lengths[i]));
		assert_int_equal(certauto__der_left(&in), 0);
	}
	certauto__buffer_free(&b);
}

static void check_uint(const char *data, size_t len, const char *der, size_t der_len)
{
	certauto__buffer b = CERTAUTO__BUFFER(64);

	certauto__der_add_uint(&b, (const unsigned char *)data, len);
	assert_int_equal(b.len, der_len);
	assert_memory_equal(b.data, der, der_len);
	certauto__buffer_free(&b);
}

static void test_der__integers_are_minimal_and_positive(void **state)
{
	(void)state;
	check_uint("", 0, "\x02\x01\x00", 3);
	check_uint("\x00\x00", 2, "\x02\x01\x00", 3);
	check_uint("\x7F", 1, "\x02\x01\x7F", 3);
	check_uint("\x80", 1, "\x02\x02\x00\x80", 4);
	check_uint("\x00\x00\x80\x01", 4, "\x02\x03\x00\x80\x01", 5);
	check_uint("\x00\x01\x00", 3, "\x02\x02\x01\x00", 4);
}

static void test_der__errors_of_the_buffer_stick(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(8);
	size_t mark;

	(void)state;
	mark = certauto__der_open(&b, CERTAUTO__DER_SEQUENCE);
	certauto__der_add(&b, MBEDTLS_ASN1_OCTET_STRING, "more than eight", 15);
	certauto__der_add_true(&b);
	certauto__der_close(&b, mark);
	assert_int_equal(b.rc, CERTAUTO_EPROTO);
	certauto__buffer_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_der__reads_one_element),
		cmocka_unit_test(test_der__length_beyond_the_end_is_refused),
		cmocka_unit_test(test_der__lengths_round_trip),
		cmocka_unit_test(test_der__integers_are_minimal_and_positive),
		cmocka_unit_test(test_der__errors_of_the_buffer_stick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
