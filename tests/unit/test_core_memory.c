/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: what every other test relies on to make an allocation fail. */

#include "unit.h"

static void test_memory__alloc_is_zeroed_and_never_empty(void **state)
{
	unsigned char *p = certauto__alloc(64);
	void *nothing = certauto__alloc(0);
	size_t i;

	(void)state;
	assert_non_null(p);
	assert_non_null(nothing);
	for (i = 0; i < 64; i++)
		assert_int_equal(p[i], 0);
	certauto__free(p);
	certauto__free(nothing);
	certauto__free(NULL);
}

static void test_memory__copies_end_with_nul(void **state)
{
	char *text = certauto__strdup("example"), *data = certauto__memdup("a\0b", 3);
	char *empty = certauto__memdup(NULL, 0);

	(void)state;
	assert_string_equal(text, "example");
	assert_memory_equal(data, "a\0b", 4);
	assert_string_equal(empty, "");
	assert_null(certauto__strdup(NULL));
	assert_null(certauto__memdup("a", SIZE_MAX));
	certauto__free(text);
	certauto__free(data);
	certauto__free(empty);
}

static void test_memory__realloc_keeps_content(void **state)
{
	char *p = certauto__realloc(NULL, 4);

	(void)state;
	memcpy(p, "abc", 4);
	p = certauto__realloc(p, 4096);
	assert_string_equal(p, "abc");
	certauto__free(p);
}

static void test_memory__wipe_clears(void **state)
{
	char secret[8] = "secret";

	(void)state;
	certauto__wipe(secret, 3);
	assert_memory_equal(secret, "\0\0\0ret\0", 8);
	certauto__wipe(NULL, 0);
}

static void test_memory__given_is_aligned_and_ended(void **state)
{
	char *p = certauto__give("key", 3), *empty = certauto__give(NULL, 0);

	(void)state;
	assert_string_equal(p, "key");
	assert_int_equal((uintptr_t)p % sizeof(void *), 0);
	assert_string_equal(empty, "");
	assert_null(certauto__give("a", SIZE_MAX - 4));
	certauto_mem_free(p);
	certauto_mem_free(empty);
	certauto_mem_free(NULL);
}

static void test_memory__nth_allocation_fails_once(void **state)
{
	void *p[4];
	size_t i;

	(void)state;
	certauto__alloc_fail_at(2, 0);
	for (i = 0; i < 4; i++)
		p[i] = certauto__alloc(1);
	certauto__alloc_fail_at(0, 0);
	assert_non_null(p[0]);
	assert_null(p[1]);
	assert_non_null(p[2]);
	assert_non_null(p[3]);
	for (i = 0; i < 4; i++)
		certauto__free(p[i]);
}

static void test_memory__nth_allocation_and_all_after_fail(void **state)
{
	void *first, *second, *third, *after;

	(void)state;
	certauto__alloc_fail_at(2, 1);
	first = certauto__alloc(1);
	second = certauto__realloc(NULL, 1);
	third = certauto__give("x", 1);
	certauto__alloc_fail_at(0, 0);
	after = certauto__strdup("x");
	assert_non_null(first);
	assert_null(second);
	assert_null(third);
	assert_non_null(after);
	certauto__free(first);
	certauto__free(after);
}

static void test_memory__failed_realloc_leaves_the_old(void **state)
{
	char *p = certauto__strdup("old");

	(void)state;
	certauto__alloc_fail_at(1, 0);
	assert_null(certauto__realloc(p, 100));
	certauto__alloc_fail_at(0, 0);
	assert_string_equal(p, "old");
	certauto__free(p);
}

static void test_memory__allocations_are_counted(void **state)
{
	long before = certauto__alloc_count();
	void *p = certauto__alloc(1);

	(void)state;
	assert_int_equal(certauto__alloc_count() - before, 1);
	certauto__free(p);
	assert_int_equal(certauto__alloc_count() - before, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory__alloc_is_zeroed_and_never_empty),
		cmocka_unit_test(test_memory__copies_end_with_nul),
		cmocka_unit_test(test_memory__realloc_keeps_content),
		cmocka_unit_test(test_memory__wipe_clears),
		cmocka_unit_test(test_memory__given_is_aligned_and_ended),
		cmocka_unit_test(test_memory__nth_allocation_fails_once),
		cmocka_unit_test(test_memory__nth_allocation_and_all_after_fail),
		cmocka_unit_test(test_memory__failed_realloc_leaves_the_old),
		cmocka_unit_test(test_memory__allocations_are_counted),
	};

	return cmocka_run_group_tests_name("core/memory", tests, NULL, NULL);
}
