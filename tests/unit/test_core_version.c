/* SPDX-License-Identifier: Apache-2.0 */
/* The version is one and the same in headers and library. */

#include "unit.h"

static void test_version__text_and_number_agree(void **state)
{
	unsigned major, minor, patch;

	(void)state;
	assert_string_equal(certauto_version(), CERTAUTO_VERSION);
	assert_int_equal(certauto_version_number(), CERTAUTO_VERSION_NUMBER);
	assert_int_equal(sscanf(certauto_version(), "%u.%u.%u", &major, &minor, &patch), 3);
	assert_int_equal(certauto_version_number(), major << 16 | minor << 8 | patch);
}

static void test_version__features_are_whole_names(void **state)
{
	(void)state;
	assert_int_equal(certauto_version_has("target:haproxy"), 1);
	assert_int_equal(certauto_version_has("target:files"), 1);
	assert_int_equal(certauto_version_has("store:files"), 1);
	assert_int_equal(certauto_version_has("target:"), 0);
	assert_int_equal(certauto_version_has("store:haproxy"), 0);
	assert_int_equal(certauto_version_has(""), 0);
	assert_int_equal(certauto_version_has(NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version__text_and_number_agree),
		cmocka_unit_test(test_version__features_are_whole_names),
	};

	return cmocka_run_group_tests_name("core/version", tests, NULL, NULL);
}
