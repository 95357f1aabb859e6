/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of keys: each key once, and an inner object's keys forgotten with it. */

#include "unit.h"

#include "json/keys.h"

static int add(struct certauto__json_keys *keys, struct certauto__json_keys_mark *mark,
	const char *key)
{
	size_t at = 0;
	int rc = certauto__json_keys_add(keys, mark, key, strlen(key), &at);

	if (rc == 0)
		assert_string_equal(keys->text.data + at, key);
	return rc;
}

/* Prefixes of each other, the empty key, and bytes with the highest bit. */
static void test_keys__near_ones_are_told_apart(void **state)
{
	static const char *const near[] = {
		"abc", "ab", "", "abcd", "a", "b", "abd", "abb", "\x01", "\x80", "\xFF", "\x7F",
		"abc\x01", "abc\x80", "Abc", "abC",
	};
	struct certauto__json_keys_mark mark;
	struct certauto__json_keys keys;
	size_t i;

	(void)state;
	certauto__json_keys_init(&keys);
	certauto__json_keys_open(&keys, &mark);
	for (i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		assert_int_equal(add(&keys, &mark, near[i]), 0);
	for (i = 0; i < sizeof(near) / sizeof(near[0]); i++)
		assert_int_equal(add(&keys, &mark, near[i]), CERTAUTO_EPROTO);
	certauto__json_keys_free(&keys);
}

/* Keys in the order that is worst for a sorted list or an unbalanced tree, and then shuffled: each
 * is new once and known ever after. */
static void check_many(unsigned step)
{
	enum { N = 20011 }; /* prime, so that any step visits all */
	struct certauto__json_keys_mark mark;
	struct certauto__json_keys keys;
	unsigned i, n = 0;
	char key[32];

	certauto__json_keys_init(&keys);
	certauto__json_keys_open(&keys, &mark);
	for (i = 0; i < N; i++, n = (n + step) % N) {
		(void)snprintf(key, sizeof(key), "%x", n);
		assert_int_equal(add(&keys, &mark, key), 0);
	}
	assert_int_equal(keys.n, N);
	for (i = 0; i < N; i += 7) {
		(void)snprintf(key, sizeof(key), "%x", i);
		assert_int_equal(add(&keys, &mark, key), CERTAUTO_EPROTO);
	}
	assert_int_equal(keys.n, N);
	certauto__json_keys_free(&keys);
}

static void test_keys__many_in_any_order(void **state)
{
	(void)state;
	check_many(1);
	check_many(20010);
	check_many(7919);
}

/* "a", "aa", "aaa" ...: each differs from the others as late as can be. */
static void test_keys__long_common_beginnings(void **state)
{
	struct certauto__json_keys_mark mark;
	struct certauto__json_keys keys;
	char key[1025];
	size_t i;

	(void)state;
	memset(key, 'a', sizeof(key));
	certauto__json_keys_init(&keys);
	certauto__json_keys_open(&keys, &mark);
	for (i = 0; i < sizeof(key); i++) {
		key[i] = '\0';
		assert_int_equal(add(&keys, &mark, key), 0);
		assert_int_equal(add(&keys, &mark, key), CERTAUTO_EPROTO);
		key[i] = 'a';
	}
	certauto__json_keys_free(&keys);
}

static void test_keys__inner_objects_come_and_go(void **state)
{
	struct certauto__json_keys_mark outer, inner;
	struct certauto__json_keys keys;
	int i, j;

	(void)state;
	certauto__json_keys_init(&keys);
	certauto__json_keys_open(&keys, &outer);
	assert_int_equal(add(&keys, &outer, "a"), 0);
	assert_int_equal(add(&keys, &outer, "b"), 0);
	for (i = 0; i < 3; i++) {
		certauto__json_keys_open(&keys, &inner);
		for (j = 0; j < 2; j++)
			assert_int_equal(add(&keys, &inner, "a"), j == 0 ? 0 : CERTAUTO_EPROTO);
		assert_int_equal(add(&keys, &inner, "c"), 0);
		certauto__json_keys_close(&keys, &inner);
	}
	assert_int_equal(add(&keys, &outer, "c"), 0);
	assert_int_equal(add(&keys, &outer, "a"), CERTAUTO_EPROTO);
	assert_int_equal(add(&keys, &outer, "b"), CERTAUTO_EPROTO);
	assert_int_equal(keys.n, 3);
	certauto__json_keys_free(&keys);
}

static int keys_scenario(void *arg)
{
	struct certauto__json_keys_mark mark;
	struct certauto__json_keys keys;
	size_t at;
	char key[2];
	int rc = 0;

	(void)arg;
	certauto__json_keys_init(&keys);
	certauto__json_keys_open(&keys, &mark);
	for (key[0] = 'a', key[1] = '\0'; rc == 0 && key[0] <= 'z'; key[0]++)
		rc = certauto__json_keys_add(&keys, &mark, key, 1, &at);
	certauto__json_keys_free(&keys);
	return rc;
}

static void test_keys__out_of_memory_is_reported(void **state)
{
	(void)state;
	unit_oom_sweep("keys", keys_scenario, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys__near_ones_are_told_apart),
		cmocka_unit_test(test_keys__many_in_any_order),
		cmocka_unit_test(test_keys__long_common_beginnings),
		cmocka_unit_test(test_keys__inner_objects_come_and_go),
		cmocka_unit_test(test_keys__out_of_memory_is_reported),
	};

	return cmocka_run_group_tests_name("json/keys", tests, NULL, NULL);
}
