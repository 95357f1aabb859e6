/* SPDX-License-Identifier: Apache-2.0 */
/* What is due when, what a failure costs, and what status.json keeps of it. */
#include "unit_store.h"

#include "acme/renewal.h"
#include "core/clock.h"
#include "crypto_fixtures.h"
#include "fleet/fleet.h"

#define DAY 86400
#define START 1790000000
#define SERVER "https://ca.example/directory"
#define ID "aki.serial"

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
	u->view.id = certauto__strdup(ID);
	u->view.state.renewal.id = certauto__strdup(ID);
	u->account.server = (char *)SERVER;
	u->account.name = (char *)"ca";
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
	const struct certauto__wish wish = {.forced = forced};
	char why[CERTAUTO__WHY_SIZE];

	return certauto__view_action(&u->view, &u->certificate, &wish, now, why, sizeof(why));
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
	u.view.state.renewal.at = START + 20 * DAY;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 20 * DAY);
	u.view.state.renewal.at = START + 80 * DAY;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 60 * DAY);
	drop(&u);
}

static void test_due__a_ca_that_says_now_is_not_asked_all_the_time(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 100 * DAY);
	u.view.state.renewal.at = 1;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 2 * DAY);
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__NOTHING);
	assert_int_equal(action_at(&u, START + DAY, 1), CERTAUTO__RENEW);
	drop(&u);
}

static void test_due__what_is_said_of_another_certificate_does_not_count(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	u.view.state.renewal.at = START + 20 * DAY;
	certauto__free(u.view.id);
	u.view.id = certauto__strdup("aki.other");
	assert_int_equal(certauto__view_renew_at(&u.view), START + 60 * DAY);
	certauto__free(u.view.id);
	u.view.id = NULL;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 60 * DAY);
	drop(&u);
}

static void test_due__the_ca_gets_its_way_once_in_a_third_of_a_life(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	u.view.state.renewal.at = START - DAY;
	assert_true(certauto__view_is_early(&u.view, START + 2 * DAY));
	assert_false(certauto__view_is_early(&u.view, START + DAY));
	assert_false(certauto__view_is_early(&u.view, START + 60 * DAY));
	u.view.state.early_at = START;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 30 * DAY);
	u.view.state.early_at = START - 60 * DAY;
	assert_int_equal(certauto__view_renew_at(&u.view), START + 90 * DAY / 50);
	u.view.state.early_at = START + 80 * DAY; /* a clock that was wrong */
	assert_int_equal(certauto__view_renew_at(&u.view), START + 60 * DAY);
	drop(&u);
}

static void test_due__says_whose_word_it_is(void **state)
{
	static const struct {
		int64_t at, now;
		const char *why;
	} rows[] = {
		{START + 20 * DAY, START + 21 * DAY, "the CA suggests renewal since 2026-10-11T"},
		{START + 20 * DAY, START + 61 * DAY, "due since 2026-10-11T"},
		{START + 20 * DAY, START + 19 * DAY, "not due before 2026-10-11T"},
		{0, START + 61 * DAY, "due since 2026-11-20T"},
	};
	const struct certauto__wish wish = {0};
	char why[CERTAUTO__WHY_SIZE];
	struct unit u;
	size_t i;

	(void)state;
	make(&u, 90 * DAY);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		u.view.state.renewal.at = rows[i].at;
		(void)certauto__view_action(
			&u.view, &u.certificate, &wish, rows[i].now, why, sizeof(why));
		if (strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
			fail_msg("\"%s\", not \"%s...\"", why, rows[i].why);
	}
	drop(&u);
}

static void test_due__a_wish_takes_what_comes_due_before(void **state)
{
	struct certauto__wish wish = {.renew_before = START + 70 * DAY};
	char why[CERTAUTO__WHY_SIZE];
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	assert_int_equal(certauto__view_action(&u.view, &u.certificate, &wish, START + 2 * DAY, why,
				 sizeof(why)), CERTAUTO__RENEW);
	assert_non_null(strstr(why, "before it comes due at"));
	/* One that has only just come would be as near to its end the next time. */
	assert_int_equal(certauto__view_action(&u.view, &u.certificate, &wish, START + DAY, why,
				 sizeof(why)), CERTAUTO__NOTHING);
	wish.renew_before = START + 60 * DAY;
	assert_int_equal(certauto__view_action(&u.view, &u.certificate, &wish, START + 2 * DAY, why,
				 sizeof(why)), CERTAUTO__NOTHING);
	drop(&u);
}

static void test_due__what_was_revoked_is_renewed_at_once(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	u.view.state.revoked = certauto__strdup("00ff");
	assert_false(certauto__view_revoked(&u.view));
	assert_int_equal(action_at(&u, START + 60, 0), CERTAUTO__NOTHING);
	certauto__free(u.view.state.revoked);
	u.view.state.revoked = certauto__strdup(certauto__certs_info(u.view.chain, 0)->serial);
	assert_true(certauto__view_revoked(&u.view));
	assert_int_equal(action_at(&u, START + 60, 0), CERTAUTO__RENEW);
	drop(&u);
}

static void test_due__another_profile_counts_where_one_is_recorded(void **state)
{
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	u.certificate.profile = (char *)"short";
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__NOTHING);
	u.view.current.profile = certauto__strdup("short");
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__NOTHING);
	u.certificate.profile = (char *)"long";
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__ISSUE);
	u.certificate.profile = NULL;
	assert_int_equal(action_at(&u, START + DAY, 0), CERTAUTO__ISSUE);
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
		certauto__state_failed(&kept, &err, "x", START);
		assert_int_equal(kept.retry_at, START + 60 * minutes[i]);
	}
	for (i = 0; i < 50; i++) {
		certauto__state_failed(&kept, &err, "x", START);
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
	certauto__state_failed(&kept, &err, "x", START);
	assert_int_equal(kept.limited_until, START + 5 * DAY);
	assert_int_equal(kept.retry_at, START + 60);
	certauto__error_clear(&err);
	certauto__state_free(&kept);
}

static void test_failure__of_a_week_comes_back_once_a_week(void **state)
{
	struct certauto__lineage_state kept = {0};
	certauto_error err = {0};

	(void)state;
	certauto__error_set(&err, CERTAUTO_ENET, "x", "no network");
	certauto__state_failed(&kept, &err, "x", START);
	certauto__state_failed(&kept, &err, "x", START + 7 * DAY - 1);
	assert_in_range(kept.retry_at - START, 7 * DAY, 8 * DAY);
	certauto__state_failed(&kept, &err, "x", START + 7 * DAY);
	assert_in_range(kept.retry_at - START, 7 * DAY + 63 * DAY / 10, 7 * DAY + 77 * DAY / 10);
	certauto__state_issued(&kept, 0, START + 9 * DAY);
	assert_int_equal(kept.failing_since, 0);
	certauto__state_failed(&kept, &err, "x", START + 9 * DAY);
	assert_int_equal(kept.retry_at, START + 9 * DAY + 60);
	certauto__error_clear(&err);
	certauto__state_free(&kept);
}

#define URN "urn:ietf:params:acme:error:"

static void test_failure__that_asking_again_does_not_mend_stops(void **state)
{
	static const struct {
		int code;
		const char *problem;
		int stopped;
	} rows[] = {
		{CERTAUTO_EREFUSED, URN "rejectedIdentifier", 1},
		{CERTAUTO_EREFUSED, URN "badCSR", 1},
		{CERTAUTO_EAUTH, URN "unauthorized", 1},
		{CERTAUTO_ECHALLENGE, URN "unauthorized", 0},
		{CERTAUTO_ECHALLENGE, URN "caa", 1},
		{CERTAUTO_ECHALLENGE, URN "connection", 0},
		{CERTAUTO_ERETRY_LATER, URN "rateLimited", 0},
		{CERTAUTO_EREFUSED, URN "serverInternal", 0},
		{CERTAUTO_ENET, NULL, 0},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct certauto__lineage_state kept = {0};
		certauto_error err = {0};

		certauto__error_set(&err, rows[i].code, "x", "no");
		certauto__error_set_problem(&err, rows[i].problem);
		certauto__state_failed(&kept, &err, "x", START);
		if (kept.stopped != rows[i].stopped)
			fail_msg("%s %s: %d", certauto_error_name(rows[i].code), rows[i].problem,
				kept.stopped);
		certauto__error_clear(&err);
		certauto__state_free(&kept);
	}
}

static void test_failure__kept_with_a_clock_that_was_ahead_blocks_nothing(void **state)
{
	const struct certauto__wish wish = {0};
	struct certauto__lineage_state kept = {0};

	(void)state;
	kept.retry_at = START + 8 * DAY;
	kept.limited_until = START + 7 * DAY;
	assert_int_equal(certauto__state_blocked(&kept, &wish, START), START + 8 * DAY);
	assert_int_equal(certauto__state_blocked(&kept, &wish, START - 1), START + 7 * DAY);
	assert_int_equal(certauto__state_blocked(&kept, &wish, START - 2 * DAY), 0);
}

static void test_failure__of_what_was_configured_before_counts_no_more(void **state)
{
	struct certauto__lineage_state kept = {0};
	const struct certauto__wish wish = {0};
	certauto_error err = {0};

	(void)state;
	certauto__error_set(&err, CERTAUTO_EREFUSED, "x", "no");
	certauto__error_set_problem(&err, URN "rejectedIdentifier");
	certauto__state_failed(&kept, &err, "x", START);
	kept.limited_until = START + 30;
	certauto__state_configured(&kept, "x");
	assert_true(kept.stopped);
	assert_int_equal(certauto__state_blocked(&kept, &wish, START), START + 60);
	certauto__state_configured(&kept, "y");
	assert_false(kept.stopped);
	assert_int_equal(kept.failures, 1);
	assert_int_equal(certauto__state_blocked(&kept, &wish, START), START + 30);
	assert_int_equal(certauto__state_blocked(&kept, &wish, START + 30), 0);
	/* The CA's word is that CA's. */
	kept.limited_by = certauto__strdup(SERVER);
	certauto__state_server(&kept, SERVER);
	assert_int_equal(certauto__state_blocked(&kept, &wish, START), START + 30);
	certauto__state_server(&kept, "https://other.example/directory");
	assert_int_equal(certauto__state_blocked(&kept, &wish, START), 0);
	certauto__error_clear(&err);
	certauto__state_free(&kept);
}

static void test_identity__is_that_of_what_is_asked_of_the_ca(void **state)
{
	char first[65], second[65];
	char *name;
	struct unit u;

	(void)state;
	make(&u, 90 * DAY);
	assert_int_equal(certauto__lineage_identity(first, &u.certificate, "rsa-2048", NULL), 0);
	name = u.certificate.names.items[0];
	u.certificate.names.items[0] = u.certificate.names.items[1];
	u.certificate.names.items[1] = name;
	u.certificate.preferred_chain = (char *)"shortest";
	assert_int_equal(certauto__lineage_identity(second, &u.certificate, "rsa-2048", NULL), 0);
	assert_string_equal(first, second);
	u.certificate.profile = (char *)"short";
	assert_int_equal(certauto__lineage_identity(second, &u.certificate, "rsa-2048", NULL), 0);
	assert_string_not_equal(first, second);
	u.certificate.profile = NULL;
	u.account.name = (char *)"other";
	assert_int_equal(certauto__lineage_identity(second, &u.certificate, "rsa-2048", NULL), 0);
	assert_string_not_equal(first, second);
	drop(&u);
}

/* ---- years of a hostile CA ---- */

#define STEP (12 * 3600)
#define YEARS 5
#define N_CERTIFICATES 1000

/* What the CA says when it is asked: a kind of each certificate's own. */
static void suggest(struct unit *u, int kind, int64_t now)
{
	struct certauto__renewal *renewal = &u->view.state.renewal;
	struct certauto__renewal_document document = {0};
	certauto_error err = {0};
	int64_t far = (kind == 3 ? rand() % 200 - 100 : 3650) * (int64_t)DAY;

	if (kind == 4 || (kind == 3 && rand() % 4 == 0)) {
		certauto__error_set(&err, CERTAUTO_ENET, NULL, "no answer");
		certauto__renewal_failed(renewal, u->view.id, &err, now);
		certauto__error_clear(&err);
		return;
	}
	document.start = kind == 0 ? now - DAY : kind == 1 ? 1 : now + far;
	document.end = document.start + 1 + (kind == 3 ? rand() % (20 * DAY) : 0);
	assert_in_range(certauto__renewal_take(renewal, u->view.id, &document,
				kind == 2 ? INT32_MAX : 0, now, NULL), 0, 1);
}

/* The same certificate stands for those that follow: only its times and its id are others. */
static void reissue(struct unit *u, int64_t now, int64_t life_s, int n)
{
	struct certauto__cert_info *leaf =
		(struct certauto__cert_info *)certauto__certs_info(u->view.chain, 0);
	char id[32];

	certauto__state_issued(
		&u->view.state, n > 0 && certauto__view_is_early(&u->view, now), now);
	leaf->not_before = now - 3600; /* as CAs do, for clocks that are behind */
	leaf->not_after = leaf->not_before + life_s;
	snprintf(id, sizeof(id), "aki.%d", n);
	certauto__free(u->view.id);
	u->view.id = certauto__strdup(id);
}

/* Orders it has taken in all those years. */
static int live(struct unit *u, int kind, int64_t life_s)
{
	int64_t now = START + rand() % STEP, end = now + (int64_t)YEARS * 365 * DAY;
	const struct certauto__cert_info *leaf = certauto__certs_info(u->view.chain, 0);
	const struct certauto__wish wish = {0};
	char why[CERTAUTO__WHY_SIZE];
	certauto_error err = {0};
	int n = 0;

	certauto__error_set(&err, CERTAUTO_ENET, NULL, "no answer");
	for (reissue(u, now, life_s, n++); now < end; now += STEP) {
		if (now >= leaf->not_after)
			fail_msg("kind %d: expired after %d orders", kind, n);
		if (certauto__renewal_is_due(&u->view.state.renewal, u->view.id, leaf->not_after,
			    now))
			suggest(u, kind, now);
		if (now < certauto__view_renew_at(&u->view) ||
			certauto__state_blocked(&u->view.state, &wish, now) != 0)
			continue;
		assert_int_equal(certauto__view_action(&u->view, &u->certificate, &wish, now, why,
					 sizeof(why)), CERTAUTO__RENEW);
		if (rand() % 5 == 0 && u->view.state.failures < 3)
			certauto__state_failed(&u->view.state, &err, "x", now);
		else
			reissue(u, now, life_s, n++);
	}
	certauto__error_clear(&err);
	return n;
}

static void test_years__of_a_hostile_ca_cost_three_orders_a_life(void **state)
{
	static const int64_t lives[] = {90 * DAY, 45 * DAY, 200 * DAY, 64 * DAY, 160 * 3600};
	int64_t life;
	struct unit u;
	int i, n;

	(void)state;
	srand(9773);
	for (i = 0; i < N_CERTIFICATES; i++) {
		life = lives[i / 5 % 5];
		make(&u, life);
		n = live(&u, i % 5, life);
		/* The first certificate, and the one time the CA gets its way at once. */
		if (n > YEARS * 365 * DAY / (life / 3) + 2)
			fail_msg("kind %d, %lld days: %d orders", i % 5, (long long)(life / DAY),
				n);
		drop(&u);
	}
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
	kept.renewal.id = certauto__strdup("aki.serial");
	kept.renewal.explanation_url = certauto__strdup("https://ca.example/why");
	kept.renewal.start = 11;
	kept.renewal.end = 12;
	kept.renewal.at = 1;
	kept.renewal.check_at = 13;
	kept.renewal.failures = 14;
	kept.revoked = certauto__strdup("00ff");
	kept.limited_by = certauto__strdup(SERVER);
	kept.no_replaces = certauto__strdup("aki.old");
	kept.identity = certauto__strdup("digest");
	kept.key_compromised = kept.stopped = 1;
	kept.early_at = 15;
	kept.failing_since = 16;
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
	assert_string_equal(read.renewal.id, "aki.serial");
	assert_string_equal(read.renewal.explanation_url, "https://ca.example/why");
	assert_int_equal(read.renewal.start, 11);
	assert_int_equal(read.renewal.end, 12);
	assert_int_equal(read.renewal.at, 1);
	assert_int_equal(read.renewal.check_at, 13);
	assert_int_equal(read.renewal.failures, 14);
	assert_string_equal(read.revoked, "00ff");
	assert_string_equal(read.limited_by, SERVER);
	assert_string_equal(read.no_replaces, "aki.old");
	assert_string_equal(read.identity, "digest");
	assert_true(read.key_compromised && read.stopped);
	assert_int_equal(read.early_at, 15);
	assert_int_equal(read.failing_since, 16);
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
		cmocka_unit_test(test_due__what_is_said_of_another_certificate_does_not_count),
		cmocka_unit_test(test_due__the_ca_gets_its_way_once_in_a_third_of_a_life),
		cmocka_unit_test(test_due__says_whose_word_it_is),
		cmocka_unit_test(test_due__a_wish_takes_what_comes_due_before),
		cmocka_unit_test(test_due__what_was_revoked_is_renewed_at_once),
		cmocka_unit_test(test_due__another_profile_counts_where_one_is_recorded),
		cmocka_unit_test(test_due__what_differs_from_the_configuration_is_issued),
		cmocka_unit_test(test_due__the_order_of_names_is_no_difference),
		cmocka_unit_test(test_due__another_outside_csr_is_issued),
		cmocka_unit_test(test_due__what_is_issued_but_not_deployed_is_deployed),
		cmocka_unit_test(test_due__a_record_left_behind_is_settled),
		cmocka_unit_test(test_failure__comes_back_after_1_10_100_minutes_then_daily),
		cmocka_unit_test(test_failure__the_cas_limit_is_kept_apart),
		cmocka_unit_test(test_failure__of_a_week_comes_back_once_a_week),
		cmocka_unit_test(test_failure__that_asking_again_does_not_mend_stops),
		cmocka_unit_test(test_failure__kept_with_a_clock_that_was_ahead_blocks_nothing),
		cmocka_unit_test(test_failure__of_what_was_configured_before_counts_no_more),
		cmocka_unit_test(test_identity__is_that_of_what_is_asked_of_the_ca),
		cmocka_unit_test(test_years__of_a_hostile_ca_cost_three_orders_a_life),
		cmocka_unit_test(test_state__is_read_back_as_it_was_written),
		cmocka_unit_test(test_state__damage_is_told),
	};

	return cmocka_run_group_tests_name("fleet/due", tests, group_setup, group_teardown);
}
