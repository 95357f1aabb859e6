/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to name servers of our own: what each kind of answer becomes, and what is made of none.
 */

#include "fake_dns.h"

#include <poll.h>

#include "core/clock.h"
#include "dns/ares.h"

#if defined(__has_include)
#if __has_include(<ares.h>)
#include <ares.h>
#define HAS_ARES_H 1
#endif
#endif

#define PATIENCE_MS 20000
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A300 A50 A50 A50 A50 A50 A50

static const struct fake_rule rules[] = {
	{.name = "host.example", .type = 1, .values = {"192.0.2.1", "192.0.2.2"}},
	{.name = "host.example", .type = 28, .values = {"2001:db8::1"}},
	{.name = "example", .type = 2, .values = {"ns1.example", "ns2.example"}},
	{.name = "alias.example", .type = 5, .values = {"_there.other.example"}},
	{.name = "text.example", .type = 16, .values = {"one", A300, ""}},
	{.name = "cut.example", .type = 16, .manner = FAKE_CUT, .values = {"whole"}},
	{.name = "lame.example", .type = 16, .values = {"x"}, .lame = 1},
	{.name = "servfail.example", .type = 16, .manner = FAKE_SERVFAIL},
	{.name = "refused.example", .type = 16, .manner = FAKE_REFUSED},
	{.name = "silent.example", .type = 16, .manner = FAKE_SILENT},
	{.name = "garbage.example", .type = 16, .manner = FAKE_GARBAGE, .values = {"value"}},
};

static int setup(void **state)
{
	static struct fake_dns server;

	fake_open(&server, rules, sizeof(rules) / sizeof(rules[0]));
	*state = &server;
	return 0;
}

static int teardown(void **state)
{
	fake_stop(*state);
	return 0;
}

/* ---- asking ---- */

static void ask(certauto__dns *dns, const char *servers, const char *name,
	enum certauto__dns_type type, int authority, int tcp)
{
	const struct certauto__dns_question question = {
		.servers = servers,
		.name = name,
		.type = type,
		.authority = authority,
		.tcp = tcp,
	};

	assert_int_equal(certauto__dns_ask(dns, &question, NULL), 0);
}

static int run(certauto__dns *dns)
{
	int64_t end = certauto__clock_ms() + PATIENCE_MS, again_ms = -1;
	struct pollfd wait = {.events = POLLIN};
	int rc;

	while ((rc = certauto__dns_run(dns, &wait.fd, &again_ms, NULL)) == CERTAUTO_AGAIN) {
		assert_true(certauto__clock_ms() < end);
		assert_true(again_ms > 0);
		poll(&wait, 1, (int)again_ms);
	}
	return rc;
}

static const struct certauto__dns_answer *answer_to(certauto__dns **out,
	const struct fake_dns *server, const char *name, enum certauto__dns_type type)
{
	assert_int_equal(certauto__dns_new(out, NULL), 0);
	ask(*out, fake_address(server, 1), name, type, 1, 0);
	assert_int_equal(run(*out), 0);
	return certauto__dns_answer(*out, 0);
}

static void says(const struct fake_dns *server, const char *name, enum certauto__dns_type type,
	const char *const *values)
{
	certauto__dns *dns = NULL;
	const struct certauto__dns_answer *answer = answer_to(&dns, server, name, type);
	size_t i;

	assert_int_equal(answer->rc, 0);
	assert_true(answer->authoritative);
	for (i = 0; values[i] != NULL; i++) {
		assert_true(i < answer->values.n);
		assert_string_equal(answer->values.items[i], values[i]);
	}
	assert_int_equal(answer->values.n, i);
	certauto__dns_free(dns);
}

static void test_dns__each_type_is_read(void **state)
{
	says(*state, "host.example", CERTAUTO__DNS_A,
		(const char *[]){"192.0.2.1", "192.0.2.2", NULL});
	says(*state, "host.example", CERTAUTO__DNS_AAAA, (const char *[]){"2001:db8::1", NULL});
	says(*state, "example", CERTAUTO__DNS_NS,
		(const char *[]){"ns1.example", "ns2.example", NULL});
	says(*state, "alias.example", CERTAUTO__DNS_CNAME,
		(const char *[]){"_there.other.example", NULL});
}

static void test_dns__a_long_text_comes_in_pieces(void **state)
{
	says(*state, "text.example", CERTAUTO__DNS_TXT, (const char *[]){"one", A300, "", NULL});
}

static void test_dns__what_is_not_there_has_no_values(void **state)
{
	static const struct {
		const char *name;
		int rc;
		const char *why;
	} all[] = {
		{"nobody.example", 0, "NXDOMAIN"},
		{"host.example", 0, "no such record"},
		{"servfail.example", CERTAUTO_EREFUSED, "SERVFAIL"},
		{"refused.example", CERTAUTO_EREFUSED, "REFUSED"},
	};
	const struct certauto__dns_answer *answer;
	certauto__dns *dns;
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		dns = NULL;
		answer = answer_to(&dns, *state, all[i].name, CERTAUTO__DNS_TXT);
		assert_int_equal(answer->rc, all[i].rc);
		assert_string_equal(answer->why, all[i].why);
		assert_int_equal(answer->values.n, 0);
		certauto__dns_free(dns);
	}
}

static void test_dns__whose_zone_it_is_is_told(void **state)
{
	certauto__dns *dns = NULL;
	const struct certauto__dns_answer *answer =
		answer_to(&dns, *state, "lame.example", CERTAUTO__DNS_TXT);

	assert_int_equal(answer->rc, 0);
	assert_false(answer->authoritative);
	certauto__dns_free(dns);
	answer = answer_to(&dns, *state, "nobody.example", CERTAUTO__DNS_TXT);
	assert_true(answer->authoritative);
	certauto__dns_free(dns);
}

static void test_dns__a_broken_answer_is_none(void **state)
{
	certauto__dns *dns = NULL;
	const struct certauto__dns_answer *answer =
		answer_to(&dns, *state, "garbage.example", CERTAUTO__DNS_TXT);

	/* Old releases say so, new ones do not listen. */
	assert_true(answer->rc == CERTAUTO_EPROTO || answer->rc == CERTAUTO_ETIMEDOUT);
	assert_int_equal(answer->values.n, 0);
	assert_non_null(answer->why);
	certauto__dns_free(dns);
}

static void test_dns__what_is_cut_off_is_asked_for_over_tcp(void **state)
{
	struct fake_dns *server = *state;

	says(server, "cut.example", CERTAUTO__DNS_TXT, (const char *[]){"whole", NULL});
	assert_int_equal(fake_count(server, "udp rd=0 16 cut.example"), 1);
	assert_int_equal(fake_count(server, "tcp rd=0 16 cut.example"), 1);
}

static void test_dns__tcp_is_asked_by_tcp_alone(void **state)
{
	struct fake_dns *server = *state;
	certauto__dns *dns = NULL;

	assert_int_equal(certauto__dns_new(&dns, NULL), 0);
	ask(dns, fake_address(server, 2), "host.example", CERTAUTO__DNS_A, 1, 1);
	assert_int_equal(run(dns), 0);
	assert_int_equal(certauto__dns_answer(dns, 0)->values.n, 2);
	assert_int_equal(fake_count(server, "2 tcp"), 1);
	assert_int_equal(fake_count(server, "2 udp"), 0);
	certauto__dns_free(dns);
}

static void test_dns__a_resolver_is_asked_to_ask_others(void **state)
{
	struct fake_dns *server = *state;
	certauto__dns *dns = NULL;

	assert_int_equal(certauto__dns_new(&dns, NULL), 0);
	ask(dns, fake_address(server, 3), "host.example", CERTAUTO__DNS_A, 0, 0);
	assert_int_equal(run(dns), 0);
	assert_int_equal(fake_count(server, "3 udp rd=1"), 1);
	certauto__dns_free(dns);
}

static void test_dns__nobody_holds_up_the_others(void **state)
{
	struct fake_dns *server = *state;
	int64_t since = certauto__clock_ms();
	const struct certauto__dns_answer *answer;
	certauto__dns *dns = NULL;
	int i;

	assert_int_equal(certauto__dns_new(&dns, NULL), 0);
	for (i = 0; i < 20; i++)
		ask(dns, fake_address(server, 1 + i % 3), i < 3 ? "silent.example" : "text.example",
			CERTAUTO__DNS_TXT, 1, i % 2);
	ask(dns, "127.0.0.1:1", "text.example", CERTAUTO__DNS_TXT, 1, 0);
	assert_int_equal(run(dns), 0);
	assert_in_range(certauto__clock_ms() - since, 1000, 4000);
	for (i = 0; i < 20; i++) {
		answer = certauto__dns_answer(dns, (size_t)i);
		/* Over TCP the connection is closed instead. */
		if (i < 3)
			assert_true(answer->rc == CERTAUTO_ETIMEDOUT ||
				answer->rc == CERTAUTO_ENET);
		else
			assert_int_equal(answer->values.n, 3);
	}
	assert_int_equal(certauto__dns_answer(dns, 20)->rc, CERTAUTO_ENET);
	assert_string_equal(certauto__dns_answer(dns, 20)->why, "it cannot be reached");
	certauto__dns_free(dns);
}

static void test_dns__a_second_resolver_is_asked_when_the_first_is_gone(void **state)
{
	struct fake_dns *server = *state;
	certauto__dns *dns = NULL;
	char both[64];

	snprintf(both, sizeof(both), "127.0.0.1:1,%s", fake_address(server, 1));
	assert_int_equal(certauto__dns_new(&dns, NULL), 0);
	ask(dns, both, "host.example", CERTAUTO__DNS_A, 0, 0);
	assert_int_equal(run(dns), 0);
	assert_int_equal(certauto__dns_answer(dns, 0)->values.n, 2);
	certauto__dns_free(dns);
}

static void test_dns__may_be_given_up_at_any_time(void **state)
{
	certauto__dns *dns = NULL;
	int64_t again_ms;
	int fd;

	certauto__dns_free(NULL);
	assert_int_equal(certauto__dns_new(&dns, NULL), 0);
	certauto__dns_free(dns);
	assert_int_equal(certauto__dns_new(&dns, NULL), 0);
	ask(dns, fake_address(*state, 1), "silent.example", CERTAUTO__DNS_TXT, 1, 0);
	ask(dns, fake_address(*state, 1), "silent.example", CERTAUTO__DNS_TXT, 1, 1);
	assert_int_equal(certauto__dns_run(dns, &fd, &again_ms, NULL), CERTAUTO_AGAIN);
	certauto__dns_free(dns);
}

static void test_dns__servers_that_are_none_are_refused(void **state)
{
	struct certauto__dns_question question = {
		.servers = "nobody at home", .name = "a.example", .type = CERTAUTO__DNS_A};
	certauto_error err = {0};
	certauto__dns *dns = NULL;

	(void)state;
	assert_int_equal(certauto__dns_new(&dns, NULL), 0);
	assert_int_equal(certauto__dns_ask(dns, &question, &err), CERTAUTO_EINVAL);
	assert_non_null(strstr(err.message, "the DNS cannot be asked"));
	certauto__error_clear(&err);
	certauto__dns_free(dns);
}

/* ---- the library ---- */

static void test_dns__without_c_ares_it_is_told_what_to_install(void **state)
{
	static const char *const bad[] = {"libcertauto-no-such-file.so", "libc.so.6"};
	certauto_error err = {0};
	certauto__dns *dns = NULL;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		certauto__dns_library(bad[i]);
		assert_int_equal(certauto__dns_new(&dns, &err), CERTAUTO_EUNSUPPORTED);
		assert_non_null(strstr(err.message, i == 0 ? bad[0] : "ares_library_init"));
		assert_non_null(strstr(err.advice, "libcares2"));
		certauto__error_clear(&err);
	}
	certauto__dns_library(NULL);
	answer_to(&dns, *state, "host.example", CERTAUTO__DNS_A);
	certauto__dns_free(dns);
}

static int scenario(void *arg)
{
	struct certauto__dns_question question = {
		.servers = fake_address(arg, 1),
		.name = "text.example",
		.type = CERTAUTO__DNS_TXT,
		.authority = 1,
	};
	certauto__dns *dns = NULL;
	int i, rc;

	if ((rc = certauto__dns_new(&dns, NULL)) < 0)
		return rc;
	for (i = 0; rc == 0 && i < 6; i++)
		rc = certauto__dns_ask(dns, &question, NULL);
	if (rc == 0)
		rc = run(dns);
	certauto__dns_free(dns);
	return rc;
}

static void test_dns__short_of_memory_nothing_is_left(void **state)
{
	unit_oom_sweep("dns", scenario, *state);
}

/* What is written down in dns/ares.h is what the header says. */
static void test_dns__the_library_is_as_it_was_written_down(void **state)
{
	(void)state;
#ifdef HAS_ARES_H
#define SAME_VALUE(name) assert_int_equal(CERTAUTO__ARES_##name, ARES_##name)
	SAME_VALUE(SUCCESS);
	SAME_VALUE(ENODATA);
	SAME_VALUE(EFORMERR);
	SAME_VALUE(ESERVFAIL);
	SAME_VALUE(ENOTFOUND);
	SAME_VALUE(ENOTIMP);
	SAME_VALUE(EREFUSED);
	SAME_VALUE(ECONNREFUSED);
	SAME_VALUE(ETIMEOUT);
	SAME_VALUE(ENOMEM);
	SAME_VALUE(LIB_INIT_ALL);
	SAME_VALUE(FLAG_USEVC);
	SAME_VALUE(FLAG_NORECURSE);
	SAME_VALUE(FLAG_NOCHECKRESP);
	SAME_VALUE(OPT_FLAGS);
	SAME_VALUE(OPT_TRIES);
	SAME_VALUE(OPT_SOCK_STATE_CB);
	SAME_VALUE(OPT_TIMEOUTMS);
#define SAME_PLACE(field) \
	assert_int_equal(offsetof(struct certauto__ares_options, field), \
		offsetof(struct ares_options, field))
	SAME_PLACE(flags);
	SAME_PLACE(timeout);
	SAME_PLACE(tries);
	SAME_PLACE(sock_state_cb);
	SAME_PLACE(sock_state_cb_data);
#define SAME_PIECE(field) \
	assert_int_equal(offsetof(struct certauto__ares_txt, field), \
		offsetof(struct ares_txt_ext, field))
	SAME_PIECE(next);
	SAME_PIECE(txt);
	SAME_PIECE(length);
	SAME_PIECE(record_start);
#else
	skip();
#endif
}

/* ---- without asking ---- */

static void test_dns__owners_have_letters_that_are_safe_in_scripts(void **state)
{
	static const char *const good[] = {"_acme-challenge.example.org", "a", "A-1.b_c", "1.2"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a b", "a\nb", "a\\.b",
		"a;b", "*.a", "a\"b",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"};
	char name[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(certauto__dns_owner_valid(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(certauto__dns_owner_valid(bad[i]));
	for (i = 0; i < 254; i++)
		name[i] = i % 2 ? '.' : 'a';
	name[253] = '\0';
	assert_true(certauto__dns_owner_valid(name));
	memcpy(name + 253, "aa", 3);
	assert_false(certauto__dns_owner_valid(name));
}

static void test_dns__a_way_out_is_looked_for_without_sending(void **state)
{
	struct fake_dns *server = *state;

	assert_true(certauto__dns_has_route(fake_address(server, 1)));
	assert_false(certauto__dns_has_route("[fe80::1]:53")); /* on which link? */
	assert_false(certauto__dns_has_route("255.255.255.255:53")); /* needs a right */
	assert_false(certauto__dns_has_route("ns1.example:53"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dns__each_type_is_read),
		cmocka_unit_test(test_dns__a_long_text_comes_in_pieces),
		cmocka_unit_test(test_dns__what_is_not_there_has_no_values),
		cmocka_unit_test(test_dns__whose_zone_it_is_is_told),
		cmocka_unit_test(test_dns__a_broken_answer_is_none),
		cmocka_unit_test(test_dns__what_is_cut_off_is_asked_for_over_tcp),
		cmocka_unit_test(test_dns__tcp_is_asked_by_tcp_alone),
		cmocka_unit_test(test_dns__a_resolver_is_asked_to_ask_others),
		cmocka_unit_test(test_dns__nobody_holds_up_the_others),
		cmocka_unit_test(test_dns__a_second_resolver_is_asked_when_the_first_is_gone),
		cmocka_unit_test(test_dns__may_be_given_up_at_any_time),
		cmocka_unit_test(test_dns__servers_that_are_none_are_refused),
		cmocka_unit_test(test_dns__without_c_ares_it_is_told_what_to_install),
		cmocka_unit_test(test_dns__short_of_memory_nothing_is_left),
		cmocka_unit_test(test_dns__the_library_is_as_it_was_written_down),
		cmocka_unit_test(test_dns__owners_have_letters_that_are_safe_in_scripts),
		cmocka_unit_test(test_dns__a_way_out_is_looked_for_without_sending),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
