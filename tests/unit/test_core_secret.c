/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets: kept apart from other memory, and gone when they are freed. */

#include "unit.h"

#include <stdlib.h>

#include "core/secret.h"

static void test_secret__copies_and_ends_with_nul(void **state)
{
	certauto__secret *secret = NULL, *empty = NULL;

	(void)state;
	assert_int_equal(certauto__secret_new(&secret, "pass\0word", 9), 0);
	assert_int_equal(certauto__secret_len(secret), 9);
	assert_memory_equal(certauto__secret_data(secret), "pass\0word", 10);
	assert_string_equal(certauto__secret_text(secret), "pass");
	certauto__secret_free(secret);
	assert_int_equal(certauto__secret_new(&empty, NULL, 0), 0);
	assert_string_equal(certauto__secret_text(empty), "");
	certauto__secret_free(empty);
}

static void test_secret__null_is_empty(void **state)
{
	(void)state;
	assert_string_equal(certauto__secret_text(NULL), "");
	assert_int_equal(certauto__secret_len(NULL), 0);
	assert_null(certauto__secret_data(NULL));
	assert_int_equal(certauto__secret_set_len(NULL, 0), CERTAUTO_EINVAL);
	certauto__secret_free(NULL);
}

/* Sizes around a page: the NUL must have a byte of its own. */
static void test_secret__nul_fits_behind_any_size(void **state)
{
	static const size_t sizes[] = {1, 4095, 4096, 4097, 65536};
	certauto__secret *secret;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(certauto__secret_new_size(&secret, sizes[i]), 0);
		memset(certauto__secret_data(secret), 'x', sizes[i]);
		assert_int_equal(strlen(certauto__secret_text(secret)), sizes[i]);
		certauto__secret_free(secret);
	}
}

static void test_secret__shorter_length_wipes_the_rest(void **state)
{
	certauto__secret *secret;

	(void)state;
	assert_int_equal(certauto__secret_new(&secret, "CANARY-1234", 11), 0);
	assert_int_equal(certauto__secret_set_len(secret, 12), CERTAUTO_EINVAL);
	assert_int_equal(certauto__secret_set_len(secret, 6), 0);
	assert_string_equal(certauto__secret_text(secret), "CANARY");
	assert_memory_equal(certauto__secret_data(secret) + 6, "\0\0\0\0\0", 5);
	certauto__secret_free(secret);
}

static void test_secret__impossible_size_is_refused(void **state)
{
	certauto__secret *secret = NULL;

	(void)state;
	assert_int_equal(certauto__secret_new_size(&secret, SIZE_MAX), CERTAUTO_EINVAL);
	assert_int_equal(certauto__secret_new_size(&secret, SIZE_MAX / 2), CERTAUTO_ENOMEM);
	assert_null(secret);
}

/* "dd" among the flags of the mapping (proc(5)): do not include in a core dump. */
static void test_secret__pages_stay_out_of_core_dumps(void **state)
{
	certauto__secret *secret;
	unsigned long from, to, at;
	int found = 0, ours = 0;
	char line[512];
	FILE *maps;

	(void)state;
	assert_int_equal(certauto__secret_new(&secret, "CANARY", 6), 0);
	at = (unsigned long)(uintptr_t)certauto__secret_data(secret);
	maps = fopen("/proc/self/smaps", "r");
	if (maps == NULL) {
		certauto__secret_free(secret);
		skip();
	}
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			ours = at >= from && at < to;
		else if (ours && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, " dd") != NULL ? 1 : -1;
	}
	fclose(maps);
	certauto__secret_free(secret);
	assert_int_equal(found, 1);
}

static int secret_scenario(void *arg)
{
	certauto__secret *secret = NULL;
	int rc = certauto__secret_new(&secret, "x", 1);

	(void)arg;
	certauto__secret_free(secret);
	return rc;
}

static void test_secret__out_of_memory_is_reported(void **state)
{
	(void)state;
	unit_oom_sweep("secret", secret_scenario, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret__copies_and_ends_with_nul),
		cmocka_unit_test(test_secret__null_is_empty),
		cmocka_unit_test(test_secret__nul_fits_behind_any_size),
		cmocka_unit_test(test_secret__shorter_length_wipes_the_rest),
		cmocka_unit_test(test_secret__impossible_size_is_refused),
		cmocka_unit_test(test_secret__pages_stay_out_of_core_dumps),
		cmocka_unit_test(test_secret__out_of_memory_is_reported),
	};

	return cmocka_run_group_tests_name("core/secret", tests, NULL, NULL);
}
