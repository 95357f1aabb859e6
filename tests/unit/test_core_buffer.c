/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers: how they grow, and that a limit or a lack of memory leaves what was there. */

#include "unit.h"

#include "core/buffer.h"

static void test_buffer__grows_and_stays_ended(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(1000000);
	size_t i;

	(void)state;
	for (i = 0; i < 100000; i++) {
		assert_int_equal(certauto__buffer_add(&b, "abc", 3), 0);
		assert_int_equal(b.data[b.len], '\0');
	}
	assert_int_equal(b.len, 300000);
	assert_true(b.size < 2 * b.len + 64);
	assert_memory_equal(b.data + b.len - 6, "abcabc", 7);
	certauto__buffer_free(&b);
	assert_null(b.data);
}

static void test_buffer__maximum_is_exact_and_sticks(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(5);

	(void)state;
	assert_int_equal(certauto__buffer_text_add(&b, "12345"), 0);
	assert_int_equal(b.size, 6);
	assert_int_equal(certauto__buffer_add(&b, "6", 1), CERTAUTO_EPROTO);
	assert_string_equal(certauto__buffer_text(&b), "12345");
	assert_int_equal(certauto__buffer_text_add(&b, ""), CERTAUTO_EPROTO);
	assert_int_equal(certauto__buffer_printf(&b, "%s", ""), CERTAUTO_EPROTO);
	assert_null(certauto__buffer_take(&b));
	certauto__buffer_clear(&b);
	assert_int_equal(certauto__buffer_text_add(&b, "123456"), CERTAUTO_EPROTO);
	certauto__buffer_clear(&b);
	assert_int_equal(certauto__buffer_text_add(&b, "ok"), 0);
	assert_string_equal(certauto__buffer_text(&b), "ok");
	certauto__buffer_free(&b);
}

static void test_buffer__length_cannot_overflow(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(SIZE_MAX);

	(void)state;
	assert_int_equal(certauto__buffer_text_add(&b, "x"), 0);
	assert_int_equal(certauto__buffer_add(&b, "y", SIZE_MAX), CERTAUTO_EPROTO);
	certauto__buffer_clear(&b);
	assert_int_equal(certauto__buffer_add(&b, "y", SIZE_MAX - 1), CERTAUTO_EPROTO);
	certauto__buffer_free(&b);
}

static void test_buffer__printf_appends(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(2000);
	char expected[1101];

	(void)state;
	assert_int_equal(certauto__buffer_printf(&b, "%s:%d", "host", 443), 0);
	assert_string_equal(certauto__buffer_text(&b), "host:443");
	certauto__buffer_clear(&b);
	memset(expected, ' ', 1099);
	memcpy(expected + 1099, "x", 2);
	assert_int_equal(certauto__buffer_printf(&b, "%1100s", "x"), 0);
	assert_string_equal(certauto__buffer_text(&b), expected);
	assert_int_equal(certauto__buffer_printf(&b, "%1000s", "x"), CERTAUTO_EPROTO);
	assert_int_equal(b.len, 1100);
	certauto__buffer_free(&b);
}

static void test_buffer__empty_reads_and_takes_as_empty_text(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(0);
	char *taken;

	(void)state;
	assert_string_equal(certauto__buffer_text(&b), "");
	assert_int_equal(certauto__buffer_text_add(&b, NULL), 0);
	taken = certauto__buffer_take(&b);
	assert_string_equal(taken, "");
	certauto__free(taken);
	assert_int_equal(certauto__buffer_add(&b, "x", 1), CERTAUTO_EPROTO);
	certauto__buffer_free(&b);
}

static void test_buffer__taken_leaves_it_empty(void **state)
{
	certauto__buffer b;
	char *taken;

	(void)state;
	certauto__buffer_init(&b, 10);
	certauto__buffer_text_add(&b, "one");
	taken = certauto__buffer_take(&b);
	assert_string_equal(taken, "one");
	certauto__free(taken);
	assert_int_equal(b.len, 0);
	assert_int_equal(certauto__buffer_text_add(&b, "two"), 0);
	assert_string_equal(certauto__buffer_text(&b), "two");
	certauto__buffer_free(&b);
}

static void test_buffer__secret_is_wiped_when_cleared(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(100);

	(void)state;
	b.secret = 1;
	certauto__buffer_text_add(&b, "CANARY");
	certauto__buffer_clear(&b);
	assert_memory_equal(b.data, "\0\0\0\0\0\0", 6);
	certauto__buffer_free(&b);
}

/* A secret that grows must not be reallocated: the old block is wiped before it goes. */
static void test_buffer__secret_keeps_its_content_when_it_grows(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(100000);
	size_t i;

	(void)state;
	b.secret = 1;
	for (i = 0; i < 1000; i++)
		certauto__buffer_printf(&b, "%03zu,", i);
	assert_int_equal(b.rc, 0);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(b.data, "000,001,002,", 12);
	assert_memory_equal(b.data + 3992, "998,999,", 9);
	certauto__buffer_free(&b);
}

static int buffer_scenario(void *secret)
{
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	char *taken = NULL;
	int rc, i;

	b.secret = secret != NULL;
	for (i = 0; i < 100; i++) {
		certauto__buffer_text_add(&b, "some text");
		certauto__buffer_printf(&b, " and %d", i);
	}
	rc = b.rc;
	if (rc == 0 && (taken = certauto__buffer_take(&b)) == NULL)
		rc = b.rc;
	if (rc == 0 && strlen(taken) != 900 + 5 * 100 + 190)
		rc = CERTAUTO_EINVAL;
	certauto__free(taken);
	certauto__buffer_free(&b);
	return rc;
}

static int buffer_empty_scenario(void *arg)
{
	certauto__buffer b = CERTAUTO__BUFFER(10);
	char *taken = certauto__buffer_take(&b);
	int rc = b.rc;

	(void)arg;
	certauto__free(taken);
	return rc;
}

static void test_buffer__out_of_memory_sticks_and_loses_nothing(void **state)
{
	(void)state;
	unit_oom_sweep("buffer", buffer_scenario, NULL);
	unit_oom_sweep("secret buffer", buffer_scenario, "");
	unit_oom_sweep("empty buffer", buffer_empty_scenario, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buffer__grows_and_stays_ended),
		cmocka_unit_test(test_buffer__maximum_is_exact_and_sticks),
		cmocka_unit_test(test_buffer__length_cannot_overflow),
		cmocka_unit_test(test_buffer__printf_appends),
		cmocka_unit_test(test_buffer__empty_reads_and_takes_as_empty_text),
		cmocka_unit_test(test_buffer__taken_leaves_it_empty),
		cmocka_unit_test(test_buffer__secret_is_wiped_when_cleared),
		cmocka_unit_test(test_buffer__secret_keeps_its_content_when_it_grows),
		cmocka_unit_test(test_buffer__out_of_memory_sticks_and_loses_nothing),
	};

	return cmocka_run_group_tests_name("core/buffer", tests, NULL, NULL);
}
