/* SPDX-License-Identifier: Apache-2.0 */
/* The acceptance checks: each rule has a certificate that breaks this rule and no other. */

#include "unit_crypto.h"

/* The order the fixtures answer to, seen on 2026-06-01. */
#define NAMES "shop.example.org,www.shop.example.org"
#define DAY ((int64_t)86400)

static int64_t now;
static certauto__pkey *key;

static int setup(void **state)
{
	(void)state;
	now = certauto__clock_from_utc(2026, 6, 1, 0, 0, 0);
	key = unit_key(key_p256);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	certauto__pkey_free(key);
	return 0;
}

static int check_at(const char *chain, const certauto__pkey *by, const char *names, int64_t at,
	int64_t max_life_s, certauto_error *err)
{
	certauto__certs *certs = unit_certs(chain);
	certauto__list list = unit_list(names);
	int rc = certauto__certs_check(certs, by, NULL, &list, at, max_life_s, NULL, err);

	certauto__list_free(&list);
	certauto__certs_free(certs);
	return rc;
}

static void accept(const char *chain, const char *names)
{
	certauto_error err = { 0 };
	int rc = check_at(chain, key, names, now, 90 * DAY, &err);

	if (rc != 0)
		fail_msg("refused: %s", certauto_error_message(&err));
}

static void test_check__good_chains_are_accepted(void **state)
{
	certauto__pkey *rsa = unit_key(key_rsa2048);
	certauto_error err = { 0 };

	(void)state;
	accept(chain_good, NAMES);
	accept(chain_good_alone, NAMES);
	accept(chain_good_with_root, NAMES);
	accept(chain_good_no_eku, NAMES);
	accept(chain_good_any_eku, NAMES);
	accept(chain_good_upper_case, NAMES);
	accept(chain_good_critical, NAMES);
	accept(chain_good_sha1_root, NAMES);
	accept(chain_good, "WWW.shop.example.org,shop.example.org,shop.example.org");
	accept(chain_good_addresses, "2001:DB8:0::1,192.0.2.1");
	assert_int_equal(check_at(chain_good_rsa, rsa, NAMES, now, 0, &err), 0);
	certauto__pkey_free(rsa);
}

static void test_check__wrong_certificates_are_refused(void **state)
{
	static const struct {
		const char *chain, *names, *words;
	} cases[] = {
		{ chain_good_rsa, NAMES, "for another key" },
		{ chain_missing_name, NAMES, "it lacks \"www.shop.example.org\"" },
		{ chain_extra_name, NAMES, "it adds \"evil.example.org\"" },
		{ chain_other_names, NAMES,
			"it lacks \"shop.example.org\", \"www.shop.example.org\" and it "
			"adds \"a.example.org\", \"b.example.org\"" },
		{ chain_wildcard, NAMES, "it adds \"*.shop.example.org\"" },
		{ chain_good, "shop.example.org,*.shop.example.org",
			"it lacks \"*.shop.example.org\"" },
		{ chain_cn_only, "shop.example.org", "it lacks \"shop.example.org\"" },
		{ chain_address_as_dns, "192.0.2.1", "it lacks \"192.0.2.1\"" },
		{ chain_email, NAMES, "adds 1 names that are no" },
		{ chain_nul, NAMES, "it adds \"shop.example.org\\x00.evil.example\"" },
		{ chain_ca, NAMES, "CA:TRUE" },
		{ chain_client, NAMES, "lacks serverAuth" },
		{ chain_mail, NAMES, "lacks serverAuth" },
		{ chain_wrong_issuer, NAMES, "certificate 1 was issued by \"CN=Test Intermediate" },
		{ chain_no_intermediate, NAMES, "certificate 2 is that of \"CN=Test Root" },
		{ chain_reversed_tail, NAMES, "the chain is broken" },
		{ chain_leaf_twice, NAMES, "the chain is broken" },
		{ chain_same_name, NAMES,
			"certificate 2 (\"CN=Test Intermediate, O=Example, C=XX\") did "
			"not sign certificate 1" },
		{ chain_same_key, NAMES, "certificate 2 is that of \"CN=Renamed" },
		{ chain_bad_signature, NAMES, "did not sign certificate 1" },
		{ chain_sha1, NAMES, "signed with SHA1" },
		{ chain_sha1_intermediate, NAMES, "certificate 2 (\"CN=SHA-1 Intermediate" },
		{ chain_md5, NAMES, "signed with MD5" },
	};
	certauto_error err = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		unit_refused(check_at(cases[i].chain, key, cases[i].names, now, 0, &err), &err,
			CERTAUTO_ECERT, cases[i].words);
}

/* Valid from 2026-05-01 to 2026-07-30, 90 days; an hour of slack at both ends. */
static void test_check__time_is_checked_to_the_second(void **state)
{
	int64_t start = certauto__clock_from_utc(2026, 5, 1, 0, 0, 0);
	int64_t end = certauto__clock_from_utc(2026, 7, 30, 0, 0, 0);
	certauto_error err = { 0 };

	(void)state;
	assert_int_equal(check_at(chain_good, key, NAMES, start - 3600, 0, &err), 0);
	unit_refused(check_at(chain_good, key, NAMES, start - 3601, 0, &err), &err, CERTAUTO_ECERT,
		"not valid before 2026-05-01T00:00:00Z; it is 2026-04-30T22:59:59Z");
	assert_int_equal(check_at(chain_good, key, NAMES, end - 3601, 0, &err), 0);
	unit_refused(check_at(chain_good, key, NAMES, end - 3600, 0, &err), &err, CERTAUTO_ECERT,
		"ends at 2026-07-30T00:00:00Z");
	unit_refused(check_at(chain_good, key, NAMES, end + 1, 0, &err), &err, CERTAUTO_ECERT,
		"ends at 2026-07-30T00:00:00Z");
}

static void test_check__life_may_be_ten_percent_longer(void **state)
{
	int64_t least = 7069091; /* times 1.1, rounded down, is 90 days; one second less is not */
	certauto_error err = { 0 };

	(void)state;
	assert_int_equal(check_at(chain_good, key, NAMES, now, 90 * DAY, &err), 0);
	assert_int_equal(check_at(chain_good, key, NAMES, now, least, &err), 0);
	unit_refused(check_at(chain_good, key, NAMES, now, least - 1, &err), &err, CERTAUTO_ECERT,
		"lives 7776000 seconds, over 10 % more than 7069090");
	assert_int_equal(check_at(chain_good, key, NAMES, now, INT64_MAX, &err), 0);
}

/* Names are wrong too, and so is the date; the key is what is reported. */
static void test_check__the_key_is_looked_at_first(void **state)
{
	certauto_error err = { 0 };

	(void)state;
	unit_refused(check_at(chain_good_rsa, key, "a.example.org", 0, 0, &err), &err,
		CERTAUTO_ECERT, "our key");
	unit_refused(check_at(chain_ca, key, "a.example.org", 0, 0, &err), &err, CERTAUTO_ECERT,
		"names");
	unit_refused(check_at(chain_ca, key, NAMES, 0, 0, &err), &err, CERTAUTO_ECERT, "CA:TRUE");
	unit_refused(check_at(chain_sha1, key, NAMES, 0, 0, &err), &err, CERTAUTO_ECERT, "before");
}

static void test_check__request_stands_for_its_key(void **state)
{
	certauto__certs *certs = unit_certs(chain_good);
	certauto__req *req = unit_req(csr_full), *other = unit_req(csr_cn_only);
	certauto__list names = unit_list(NAMES);
	certauto_error err = { 0 };

	(void)state;
	assert_int_equal(certauto__certs_check(certs, NULL, req, &names, now, 0, NULL, &err), 0);
	assert_int_equal(certauto__certs_check(certs, key, req, &names, now, 0, NULL, &err), 0);
	unit_refused(certauto__certs_check(certs, NULL, other, &names, now, 0, NULL, &err), &err,
		CERTAUTO_ECERT, "that of the request");
	unit_refused(certauto__certs_check(certs, key, other, &names, now, 0, NULL, &err), &err,
		CERTAUTO_ECERT, "that of the request");
	unit_refused(certauto__certs_check(certs, NULL, NULL, &names, now, 0, NULL, &err), &err,
		CERTAUTO_EINVAL, "a key or a request");
	certauto__req_free(req);
	certauto__req_free(other);
	certauto__list_free(&names);
	certauto__certs_free(certs);
}

static void test_check__many_wrong_names_are_cut(void **state)
{
	char text[64 * 32] = "", name[32];
	certauto_error err = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%d.example.org,", i);
		strcat(text, name);
	}
	unit_refused(check_at(chain_good, key, text, now, 0, &err), &err, CERTAUTO_ECERT,
		"\"n4.example.org\" and 45 more and it adds \"shop.example.org\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check__good_chains_are_accepted),
		cmocka_unit_test(test_check__wrong_certificates_are_refused),
		cmocka_unit_test(test_check__time_is_checked_to_the_second),
		cmocka_unit_test(test_check__life_may_be_ten_percent_longer),
		cmocka_unit_test(test_check__the_key_is_looked_at_first),
		cmocka_unit_test(test_check__request_stands_for_its_key),
		cmocka_unit_test(test_check__many_wrong_names_are_cut),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
