/* SPDX-License-Identifier: Apache-2.0 */
/* What is due when, what a failure costs, and what status.json keeps of it. */
#include "unit_store.h"

#include "core/clock.h"
#include "crypto_fixtures.h"
#include "fleet/fleet.h"

#define DAY 86400
#define START 1790000000
#define SERVER "https://ca.example/directory"

static certauto__pkey *key;
static certauto__req *req;

static int group_setup(void **state)
{
	certauto__list names = {0};

	(void)state;
	assert_int_equal(certauto__pkey_parse(&key, key_p256, strlen(key_p256), NULL), 0);
	assert_int_equal(certauto__list_add_text(&names, "a.example.org"), 0);
	assert_int_equal(certauto__list_add_text(&names, "b.example.org"), 0);
	assert_int_equal(certauto__req_new(&req, key, &names, NULL, NULL), 0);
	certauto__list_free(&names);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	certauto__req_free(req);
	certauto__pkey_free(key);
	return 0;
}

/* A lineage with a certificate that lives so long, and a configuration that fits it. */
struct unit {
	struct certauto__view view;
	struct certauto__certificate certificate;
	struct certauto_account account;
	struct certauto__use use;
};

static void make(struct unit *u, int64_t life_s)
{
	memset(u, 0, sizeof(*u));
	assert_int_equal(certauto__certs_self_signed(&u->view.chain, key, req, START,
				 START + life_s, NULL),
		0);
	assert_int_equal(certauto__list_copy(&u->view.current.names, certauto__req_names(req)), 0);
	u->view.current.id = certauto__strdup("gen-1-00000000");
	u->view.current.server = certauto__strdup(SERVER);
	u->account.server = (char *)SERVER;
	u->certificate.name = (char *)"shop";
	u->certificate.account = &u->account;
	assert_int_equal(certauto__list_copy(&u->certificate.names, certauto__req_names(req)), 0);
	u->use.label = (char *)"edge";
	u->certificate.deploys = &u->use;
}

static void drop(struct unit *u)
{
	certauto__view_free(&u->view);
	certauto__list_free(&u->certificate.names);
}

static enum certauto__action action_at(const struct unit *u, int64_t now, int forced)
{
	char why[256];

	return certauto__view_action(&u->view, &u->certificate, forced, now, why, sizeof(why));
}

static void test_due__a_third_of_the_life_or_half_of_a_short_one(void **state)
{
	static const struct {
		int64_t life, after;
	} rows[] = {
		{90 * DAY, 60 * DAY}, {45 * DAY, 30 * DAY}, {10 * DAY, 10 * DAY - 10 * DAY / 3},
		{10 * DAY - 60, (10 * DAY - 60) / 2}, {6 * DAY, 3 * DAY}, {3600, 1800},
	};
	struct unit u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		make(&u, rows[i].life);
		assert_int_equal(certauto__view_renew_at(&u.view), START + rows[i].after);
		assert_int_equal(action_at(&u, START + rows[i].after - 1, 0), CERTAUTO__NOTHING);
		assert_int_equal(action_at(&u, START + rows[i].after, 0), CERTAUTO__RENEW);
		drop(&u);
	}
}

static void test_due__the_cas_word_counts_only_if_earlier(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	u.view.state.renew_at = START + 20 * DAY;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 20 * DAY);
	u.view.state.renew_at = START + 80 * DAY;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 60 * DAY);
	drop(&u);
}

static void test_due__a_ca_that_says_now_is_not_asked_all_the_time(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 100 * DAY);
	u.view.state.renew_at = 1;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 2 * DAY);
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__NOTHING);
	assert_int_equal(action_at(&u, START + DAY, 1), CERTAUTO__RENEW);
	drop(&u);
}

static void test_due__what_differs_from_the_configuration_is_issued(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	assert_int_equal(certauto__list_add_text(&u.certificate.names, "c.example.org"), 0);
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__ISSUE);
	drop(&u);
	make(&u, 90 * DAY);
	u.account.server = (char *)"https://other.example/directory";
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__ISSUE);
	drop(&u);
	make(&u, 90 * DAY);
	certauto__certs_free(u.view.chain);
	u.view.chain = NULL;
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__ISSUE);
	assert_int_equal(certauto__view_renew_at(&u.view), 0);
	drop(&u);
}

static void test_due__the_order_of_names_is_no_difference(void **state)
{
	struct unit u;
	char *first;

	(void)state;
	make(&u, 90 * DAY);
	first = u.certificate.names.items[0];
	u.certificate.names.items[0] = u.certificate.names.items[1];
	u.certificate.names.items[1] = first;
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__NOTHING);
	drop(&u);
}

static void test_due__another_outside_csr_is_issued(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	certauto__buffer_init(&u.view.current.csr, 65536);
	assert_int_equal(certauto__req_format(&u.view.current.csr, req), 0);
	u.certificate.csr = req;
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__NOTHING);
	assert_int_equal(certauto__req_parse(&u.certificate.csr, csr_empty_subject,
		strlen(csr_empty_subject), NULL), 0);
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__ISSUE);
	certauto__req_free(u.certificate.csr);
	drop(&u);
}

static void test_due__what_is_issued_but_not_deployed_is_deployed(void **state)
{
	static const struct {
		const char *state;
		enum certauto__action action;
	} rows[] = {
		{CERTAUTO__STATE_DEPLOYED, CERTAUTO__NOTHING},
		{CERTAUTO__STATE_UNPROVED, CERTAUTO__NOTHING},
		{CERTAUTO__STATE_PENDING, CERTAUTO__DEPLOY},
		{CERTAUTO__STATE_FAILED, CERTAUTO__DEPLOY},
		{CERTAUTO__STATE_ROLLED_BACK, CERTAUTO__DEPLOY},
		{CERTAUTO__STATE_NOT_SAVED, CERTAUTO__DEPLOY},
		{CERTAUTO__STATE_INCONSISTENT, CERTAUTO__DEPLOY},
	};
	struct certauto__target_state *target;
	struct unit u;
	size_t i;

	(void)state;
	make(&u, 90 * DAY);
	u.certificate.n_deploys = 1;
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__DEPLOY);
	target = certauto__state_target(&u.view.state, "edge");
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(certauto__target_state_set(target, rows[i].state,
			certauto__certs_info(u.view.chain, 0)->fingerprint), 0);
		assert_int_equal(action_at(&u, START + DAY, 0), rows[i].action);
	}
	assert_int_equal(certauto__target_state_set(target, CERTAUTO__STATE_DEPLOYED, "0123"), 0);
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__DEPLOY);
	drop(&u);
}

static void test_due__a_record_left_behind_is_settled(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	u.view.journaled = 1;
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__SETTLE);
	drop(&u);
}

/* ---- failures ---- */

static void test_failure__comes_back_after_1_10_100_minutes_then_daily(void **state)
{
	static const int64_t minutes[] = {1, 10, 100};
	struct certauto__lineage_state kept = {0};
	certauto_error err = {0};
	int i, differ = 0;
	int64_t last = 0;

	(void)state;
	certauto__error_set(&err, CERTAUTO_ENET, "x", "no network");
	for (i = 0; i < 3; i++) {
		certauto__state_failed(&kept, &err, START);
		assert_int_equal(kept.retry_at, START + 60 * minutes[i]);
	}
	for (i = 0; i < 50; i++) {
		certauto__state_failed(&kept, &err, START);
		assert_in_range(kept.retry_at - START, DAY * 9 / 10, DAY * 11 / 10);
		differ += kept.retry_at != last;
		last = kept.retry_at;
	}
	assert_true(differ > 10);
	assert_int_equal(kept.failures, 53);
	assert_int_equal(kept.limited_until, 0);
	certauto__error_clear(&err);
	certauto__state_free(&kept);
}

static void test_failure__the_cas_limit_is_kept_apart(void **state)
{
	struct certauto__lineage_state kept = {0};
	certauto_error err = {0};

	(void)state;
	certauto__error_set(&err, CERTAUTO_ERETRY_LATER, "x", "slow down");
	err.retry_at = START + 5 * DAY;
	certauto__state_failed(&kept, &err, START);
	assert_int_equal(kept.limited_until, START + 5 * DAY);
	assert_int_equal(kept.retry_at, START + 60);
	certauto__error_clear(&err);
	certauto__state_free(&kept);
}

/* ---- status.json ---- */

static void test_state__is_read_back_as_it_was_written(void **state)
{
	struct certauto__lineage_state kept = {0}, read = {0};
	struct certauto__target_state *target;
	struct unit_store u;

	(void)state;
	unit_store_setup(&u);
	assert_int_equal(certauto__state_load(&read, u.store, "shop", "csr", &u.err), 0);
	assert_int_equal(read.n_targets, 0);
	kept.renew_at = 1;
	kept.retry_at = 2;
	kept.limited_until = 3;
	kept.failures = 4;
	certauto__error_set(&kept.error, CERTAUTO_ECHALLENGE, "a.example.org", "no \"%s\"",
		"token");
	certauto__error_advise(&kept.error, "look");
	certauto__error_set_problem(&kept.error, "urn:x");
	kept.error.status = 403;
	kept.error.retry_at = 5;
	assert_int_equal(certauto__error_add_subproblem(&kept.error, "a", "urn:y", "because"), 0);
	target = certauto__state_target(&kept, "edge");
	assert_int_equal(certauto__target_state_set(target, CERTAUTO__STATE_FAILED, "abcd"), 0);
	target->checked_at = 6;
	certauto__error_set(&target->error, CERTAUTO_ENET, NULL, "gone");
	assert_int_equal(certauto__state_save(&kept, u.store, "shop", "csr", &u.err), 0);
	assert_int_equal(certauto__state_load(&read, u.store, "shop", "csr", &u.err), 0);
	assert_int_equal(read.renew_at, 1);
	assert_int_equal(read.retry_at, 2);
	assert_int_equal(read.limited_until, 3);
	assert_int_equal(read.failures, 4);
	assert_int_equal(read.error.code, CERTAUTO_ECHALLENGE);
	assert_string_equal(read.error.message, "no \"token\"");
	assert_string_equal(read.error.object, "a.example.org");
	assert_string_equal(read.error.advice, "look");
	assert_string_equal(read.error.problem, "urn:x");
	assert_int_equal(read.error.status, 403);
	assert_int_equal(read.error.retry_at, 5);
	assert_int_equal(read.error.n_subproblems, 1);
	assert_string_equal(read.error.subproblems[0].detail, "because");
	assert_int_equal(read.n_targets, 1);
	assert_string_equal(read.targets[0].state, CERTAUTO__STATE_FAILED);
	assert_string_equal(read.targets[0].fingerprint, "abcd");
	assert_int_equal(read.targets[0].checked_at, 6);
	assert_int_equal(read.targets[0].error.code, CERTAUTO_ENET);
	certauto__state_free(&kept);
	certauto__state_free(&read);
	unit_store_teardown(&u);
}

static void test_state__damage_is_told(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "{\"version\":2}", "{\"version\":1,}", "null"};
	struct certauto__lineage_state read = {0};
	struct unit_store u;
	size_t i;

	(void)state;
	unit_store_setup(&u);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(u.store->row->status_save(u.store, "shop", "csr", bad[i],
			strlen(bad[i]), &u.err), 0);
		unit_assert_error(&u.err,
			certauto__state_load(&read, u.store, "shop", "csr", &u.err), CERTAUTO_EIO,
			"status.json of shop csr");
	}
	unit_store_teardown(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_due__a_third_of_the_life_or_half_of_a_short_one),
		cmocka_unit_test(test_due__the_cas_word_counts_only_if_earlier),
		cmocka_unit_test(test_due__a_ca_that_says_now_is_not_asked_all_the_time),
		cmocka_unit_test(test_due__what_differs_from_the_configuration_is_issued),
		cmocka_unit_test(test_due__the_order_of_names_is_no_difference),
		cmocka_unit_test(test_due__another_outside_csr_is_issued),
		cmocka_unit_test(test_due__what_is_issued_but_not_deployed_is_deployed),
		cmocka_unit_test(test_due__a_record_left_behind_is_settled),
		cmocka_unit_test(test_failure__comes_back_after_1_10_100_minutes_then_daily),
		cmocka_unit_test(test_failure__the_cas_limit_is_kept_apart),
		cmocka_unit_test(test_state__is_read_back_as_it_was_written),
		cmocka_unit_test(test_state__damage_is_told),
	};

	return cmocka_run_group_tests_name("fleet/due", tests, group_setup, group_teardown);
}
