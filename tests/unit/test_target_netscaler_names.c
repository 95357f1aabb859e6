/* SPDX-License-Identifier: Apache-2.0 */
/* Names on a NetScaler: within the device's limits, different for what is different, and told from
 * those of others. */

#include "unit_target.h"

#include "targets/netscaler_deploy.h"

#include <stdio.h>

#define FINGERPRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static certauto_target *target_with(struct lab *lab, const char *name, const char *value)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto_target_new(&target, lab->cx, "netscaler"), 0);
	assert_int_equal(certauto_target_set(target, "url", "https://192.0.2.1"), 0);
	assert_int_equal(certauto_target_set(target, "user", "certauto"), 0);
	assert_int_equal(certauto_target_set(target, "password", "secret"), 0);
	if (name != NULL)
		assert_int_equal(certauto_target_set(target, name, value), 0);
	return target;
}

static void certkey_of(char *out, certauto_target *target, const char *name, const char *key)
{
	struct certauto__deployment *deployment = certauto__deployment_new(target, name, key);

	assert_non_null(deployment);
	certauto__netscaler_certkey(out, deployment);
	certauto__deployment_free(deployment);
}

/* ---- certkeys ---- */

static void test_netscaler_names__a_certkey_tells_certificate_and_key(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_with(lab, NULL, NULL);
	char name[CERTAUTO__NS_NAME];

	(void)state;
	certkey_of(name, target, "shop", "ecdsa-p256");
	assert_string_equal(name, "certauto-shop-ecdsa-p256");
	certkey_of(name, target, "shop", "rsa-2048");
	assert_string_equal(name, "certauto-shop-rsa-2048");
	certauto_target_free(target);
	lab_free(lab);
}

static void test_netscaler_names__of_31_bytes_are_whole_and_of_32_are_cut(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_with(lab, NULL, NULL);
	char name[CERTAUTO__NS_NAME];

	(void)state;
	certkey_of(name, target, "elevenchars", "ecdsa-p256");
	assert_string_equal(name, "certauto-elevenchars-ecdsa-p256");
	certkey_of(name, target, "twelve-chars", "ecdsa-p256");
	assert_int_equal(strlen(name), 31);
	assert_ptr_equal(strstr(name, "certauto-twelve-chars"), name);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_netscaler_names__long_ones_that_begin_alike_stay_apart(void **state)
{
	static const char *const max[] = {"20", "31", "63"};
	struct lab *lab = lab_new();
	char a[CERTAUTO__NS_NAME], b[CERTAUTO__NS_NAME], c[CERTAUTO__NS_NAME];
	certauto_target *target;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(max) / sizeof(max[0]); i++) {
		target = target_with(lab, "name_max", max[i]);
		certkey_of(a, target, LABEL63 ".example.org", "ecdsa-p256");
		certkey_of(b, target, LABEL63 ".example.com", "ecdsa-p256");
		certkey_of(c, target, LABEL63 ".example.org", "rsa-2048");
		assert_int_equal(strlen(a), atoi(max[i]));
		assert_int_equal(strlen(b), atoi(max[i]));
		assert_string_not_equal(a, b);
		assert_string_not_equal(a, c);
		certkey_of(b, target, LABEL63 ".example.org", "ecdsa-p256");
		assert_string_equal(a, b);
		certauto_target_free(target);
	}
	lab_free(lab);
}

/* The longest name of a certificate and the longest prefix, at every limit. */
static void test_netscaler_names__of_any_length_fit_every_limit(void **state)
{
	static const char name[] = LABEL63 "b";
	struct lab *lab = lab_new();
	char certkey[CERTAUTO__NS_NAME], ca[CERTAUTO__NS_NAME], file[CERTAUTO__NS_FILE], max[8];
	struct certauto__cert_info info = {.ski = OTHER, .fingerprint = FINGERPRINT};
	certauto_target *target;
	size_t len;
	int i;

	(void)state;
	for (i = 20; i <= 63; i++) {
		snprintf(max, sizeof(max), "%d", i);
		target = target_with(lab, "name_max", max);
		assert_int_equal(certauto_target_set(target, "prefix", "a.b@c=d#e:f_g-h-1234"), 0);
		for (len = 1; len < sizeof(name); len++) {
			certkey_of(certkey, target, name + sizeof(name) - 1 - len, "rsa-4096");
			assert_true(strlen(certkey) <= (size_t)i);
			certauto__netscaler_file(file, certkey, FINGERPRINT, "crt");
			assert_true(certauto__netscaler_is_own_file(file, certkey));
			assert_false(certauto__netscaler_is_own_file(file, name));
		}
		assert_int_equal(certauto__netscaler_ca(ca, target, &info), 0);
		assert_true(strlen(ca) <= (size_t)i && strlen(ca) + strlen(".crt") <= 63);
		assert_true(certauto__netscaler_is_own_ca(ca, target));
		certauto_target_free(target);
	}
	lab_free(lab);
}

static void test_netscaler_names__the_pair_that_is_taken_over_keeps_its_own(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_with(lab, "certkey", "le-server-www");
	char name[CERTAUTO__NS_NAME];

	(void)state;
	certkey_of(name, target, "shop", "ecdsa-p256");
	assert_string_equal(name, "le-server-www");
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- files ---- */

static void test_netscaler_names__a_file_has_the_digest_of_what_is_in_it(void **state)
{
	char name[CERTAUTO__NS_FILE];

	(void)state;
	certauto__netscaler_file(name, "certauto-shop-rsa-2048", FINGERPRINT, "crt");
	assert_string_equal(name, "certauto-shop-rsa-2048-0123456789ab.crt");
}

static void test_netscaler_names__files_stay_within_63_bytes_and_apart(void **state)
{
	char a[CERTAUTO__NS_FILE], b[CERTAUTO__NS_FILE];

	(void)state;
	certauto__netscaler_file(a, LABEL63, FINGERPRINT, "key");
	certauto__netscaler_file(b, LABEL63 "b", FINGERPRINT, "key");
	assert_int_equal(strlen(a), 63);
	assert_int_equal(strlen(b), 63);
	assert_string_not_equal(a, b);
	assert_true(certauto__netscaler_is_own_file(a, LABEL63));
	assert_false(certauto__netscaler_is_own_file(b, LABEL63));
}

static void test_netscaler_names__files_of_others_are_told_from_ours(void **state)
{
	static const char *const ours[] = {"p-shop-0123456789ab.crt", "p-shop-e123456789ab.key",
		"p-shop-0123456789ab.csr"};
	static const char *const theirs[] = {"", "p-shop", "p-shop.crt", "p-shop-0123456789ab",
		"p-shop-0123456789ab.pem", "p-shop-0123456789ab.crt.bak",
		"p-shop-0123456789a.crt", "p-shop-0123456789abc.crt", "p-shop-0123456789AB.crt",
		"p-shop-rsa-0123456789ab.crt", "q-shop-0123456789ab.crt",
		"xp-shop-0123456789ab.crt", "p-shop-0123456789ab.", "p-shop-0123456789ag.crt"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assert_true(certauto__netscaler_is_own_file(ours[i], "p-shop"));
	for (i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
		if (certauto__netscaler_is_own_file(theirs[i], "p-shop"))
			fail_msg("%s passes for ours", theirs[i]);
	}
}

static void test_netscaler_names__the_folder_is_that_of_the_partition(void **state)
{
	static const char *const all[][3] = {
		{NULL, NULL, "/nsconfig/ssl/"},
		{"partition", "tenant", "/nsconfig/partitions/tenant/ssl/"},
		{"folder", "/nsconfig/ssl/own", "/nsconfig/ssl/own/"},
		{"folder", "/nsconfig/ssl/own/", "/nsconfig/ssl/own/"},
	};
	struct lab *lab = lab_new();
	certauto_target *target;
	char folder[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		target = target_with(lab, all[i][0], all[i][1]);
		certauto__netscaler_folder(folder, target);
		assert_string_equal(folder, all[i][2]);
		certauto_target_free(target);
	}
	lab_free(lab);
}

/* ---- CA objects ---- */

static void ca_of(char *out, const certauto_target *target, const char *ski,
	const char *fingerprint)
{
	struct certauto__cert_info ca = {.ski = ski, .fingerprint = fingerprint};

	assert_int_equal(certauto__netscaler_ca(out, target, &ca), 0);
}

static void test_netscaler_names__a_ca_tells_its_key_and_its_certificate(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_with(lab, NULL, NULL);
	char a[CERTAUTO__NS_NAME], b[CERTAUTO__NS_NAME];

	(void)state;
	ca_of(a, target, "00112233445566778899", FINGERPRINT);
	assert_string_equal(a, "certauto-ca-00112233-01234567");
	ca_of(b, target, "00112233445566778899", OTHER);
	assert_string_equal(b, "certauto-ca-00112233-fedcba98");
	ca_of(b, target, NULL, FINGERPRINT);
	assert_string_equal(b, "certauto-ca-89abcdef-01234567");
	ca_of(b, target, "0011", FINGERPRINT);
	assert_string_equal(b, "certauto-ca-89abcdef-01234567");
	certauto_target_free(target);
	lab_free(lab);
}

static void test_netscaler_names__a_ca_fits_any_limit_and_is_known_again(void **state)
{
	static const char *const max[] = {"20", "25", "26", "31", "63"};
	struct lab *lab = lab_new();
	char a[CERTAUTO__NS_NAME], b[CERTAUTO__NS_NAME];
	certauto_target *target;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(max) / sizeof(max[0]); i++) {
		target = target_with(lab, "name_max", max[i]);
		ca_of(a, target, "00112233445566778899", FINGERPRINT);
		ca_of(b, target, "00112233445566778899", OTHER);
		assert_true((int)strlen(a) <= atoi(max[i]));
		assert_string_not_equal(a, b);
		assert_true(certauto__netscaler_is_own_ca(a, target));
		a[strlen(a) - 1] = 'x';
		assert_false(certauto__netscaler_is_own_ca(a, target));
		strcat(b, "0");
		assert_false(certauto__netscaler_is_own_ca(b, target));
		certauto_target_free(target);
	}
	lab_free(lab);
}

static void test_netscaler_names__ca_objects_of_others_are_told_from_ours(void **state)
{
	static const char *const theirs[] = {"certauto-ca-", "certauto-ca-00112233",
		"certauto-ca-00112233-0123456", "certauto-ca-0011223g-01234567",
		"le-chain", "certauto-shop-ecdsa-p256", "certauto2-ca-00112233-01234567", ""};
	struct lab *lab = lab_new();
	certauto_target *target = target_with(lab, NULL, NULL);
	size_t i;

	(void)state;
	assert_true(certauto__netscaler_is_own_ca("certauto-ca-00112233-01234567", target));
	for (i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
		if (certauto__netscaler_is_own_ca(theirs[i], target))
			fail_msg("%s passes for ours", theirs[i]);
	}
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- answers ---- */

static void test_netscaler_names__an_answer_tells_when_it_was_made(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_with(lab, NULL, NULL);
	char a[CERTAUTO__NS_NAME], b[CERTAUTO__NS_NAME];

	(void)state;
	certauto__netscaler_answer(a, target, "shop.example.org", "token-1", 1700000000);
	certauto__netscaler_answer(b, target, "shop.example.org", "token-2", 1700000000);
	assert_string_not_equal(a, b);
	assert_int_equal(certauto__netscaler_answer_time(a, target), 1700000000);
	certauto__netscaler_answer(b, target, "www.example.org", "token-1", 1700000000);
	assert_string_not_equal(a, b);
	certauto__netscaler_answer(b, target, LABEL63 "." LABEL63 ".example.org", "token-1",
		1700000000);
	assert_true(strlen(b) <= 127);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_netscaler_names__answers_of_others_have_no_time(void **state)
{
	static const char *const theirs[] = {"", "certauto-acme-", "certauto-acme-6553f100",
		"certauto-acme-6553f100-short", "certauto-stateless-0123abcd",
		"certauto-acme-x553f100-0123456789abcdef-a", "le-responder-pol-shop",
		"certauto-acme-6553f100-0123456789abcdeg-a"};
	struct lab *lab = lab_new();
	certauto_target *target = target_with(lab, NULL, NULL);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++)
		assert_int_equal(certauto__netscaler_answer_time(theirs[i], target), 0);
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- serial numbers ---- */

static void test_netscaler_names__a_serial_is_the_same_however_written(void **state)
{
	(void)state;
	assert_true(certauto__netscaler_is_serial("0A1B", "a1b"));
	assert_true(certauto__netscaler_is_serial("0x0A1B", "0a1b"));
	assert_false(certauto__netscaler_is_serial("A1B0", "a1b"));
	assert_false(certauto__netscaler_is_serial("", "a1b"));
	assert_false(certauto__netscaler_is_serial(NULL, "a1b"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_netscaler_names__a_certkey_tells_certificate_and_key),
		cmocka_unit_test(test_netscaler_names__of_31_bytes_are_whole_and_of_32_are_cut),
		cmocka_unit_test(test_netscaler_names__long_ones_that_begin_alike_stay_apart),
		cmocka_unit_test(test_netscaler_names__of_any_length_fit_every_limit),
		cmocka_unit_test(test_netscaler_names__the_pair_that_is_taken_over_keeps_its_own),
		cmocka_unit_test(test_netscaler_names__a_file_has_the_digest_of_what_is_in_it),
		cmocka_unit_test(test_netscaler_names__files_stay_within_63_bytes_and_apart),
		cmocka_unit_test(test_netscaler_names__files_of_others_are_told_from_ours),
		cmocka_unit_test(test_netscaler_names__the_folder_is_that_of_the_partition),
		cmocka_unit_test(test_netscaler_names__a_ca_tells_its_key_and_its_certificate),
		cmocka_unit_test(test_netscaler_names__a_ca_fits_any_limit_and_is_known_again),
		cmocka_unit_test(test_netscaler_names__ca_objects_of_others_are_told_from_ours),
		cmocka_unit_test(test_netscaler_names__an_answer_tells_when_it_was_made),
		cmocka_unit_test(test_netscaler_names__answers_of_others_have_no_time),
		cmocka_unit_test(test_netscaler_names__a_serial_is_the_same_however_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
