/* SPDX-License-Identifier: Apache-2.0 */
/* The two steps of targets that answer in the DNS, in the table of one written outside: where a
 * record is put, and the look at the name servers before the CA is told to look. The resolver is
 * server 3; the zone "example" is served by 1 and 2. */

#include "fake_dns.h"
#include "unit_target.h"

#include <certauto/sys/target.h>

#include "core/clock.h"

#define TIMEOUT_MS 30000
#define RECORD "_acme-challenge.www.example"
#define TEXT CERTAUTO__DNS_TXT
#define ZONE \
	{.name = "example", .type = CERTAUTO__DNS_NS, .values = {"ns1.example", "ns2.example"}}, \
	{.name = "ns1.example", .type = CERTAUTO__DNS_A, .values = {"127.0.0.1"}}, \
	{.name = "ns2.example", .type = CERTAUTO__DNS_A, .values = {"127.0.0.2"}}

struct scene {
	struct fake_dns server;
	struct lab *lab;
	certauto_target *target;
	char calls[64], record[256];
};

/* ---- the target ---- */

static void called(struct scene *scene, char what)
{
	size_t len = strlen(scene->calls);

	if (len + 1 < sizeof(scene->calls))
		scene->calls[len] = what;
}

static int service_present(certauto_work *work, void *payload)
{
	struct scene *scene = payload;

	called(scene, 'p');
	snprintf(scene->record, sizeof(scene->record), "%s", certauto_work_record(work));
	return 0;
}

static int service_cleanup(certauto_work *work, void *payload)
{
	struct scene *scene = payload;

	called(scene, strcmp(scene->record, certauto_work_record(work)) == 0 ? 'c' : '?');
	return 0;
}

static const certauto_target_ops service_ops = {
	.version = CERTAUTO_TARGET_OPS_VERSION,
	.caps = CERTAUTO_TARGET_DNS01 | CERTAUTO_TARGET_HTTP01,
	.name = "service",
	.present = service_present,
	.cleanup = service_cleanup,
};

static void open_scene(struct scene *scene, const struct fake_rule *rules, size_t n_rules)
{
	char check[16];

	memset(scene, 0, sizeof(*scene));
	fake_open(&scene->server, rules, n_rules);
	scene->lab = lab_new();
	assert_int_equal(certauto_target_new_ops(&scene->target, scene->lab->cx, &service_ops,
				 scene, NULL),
		0);
	snprintf(check, sizeof(check), ":%d", scene->server.port);
	lab_set(scene->target, "dns_check", check);
	lab_set(scene->target, "dns_resolver", fake_address(&scene->server, 3));
	lab_set(scene->target, "dns_wait_ms", "10000");
}

#define OPEN(scene, rules) open_scene(scene, rules, sizeof(rules) / sizeof((rules)[0]))

static void close_scene(struct scene *scene)
{
	certauto_target_free(scene->target);
	lab_free(scene->lab);
	fake_stop(&scene->server);
}

static int present(struct scene *scene)
{
	return certauto_target_present(scene->target, "dns-01", "www.example", "tok", "value",
		TIMEOUT_MS);
}

static void warns(const struct scene *scene, const char *words)
{
	if (strstr(certauto__buffer_text(&scene->lab->warnings), words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words,
			certauto__buffer_text(&scene->lab->warnings));
}

static void passes(struct scene *scene)
{
	int rc = present(scene);

	if (rc != 0)
		fail_msg("%d: %s", rc, lab_message(scene->lab));
}

static void passes_quietly(struct scene *scene)
{
	passes(scene);
	assert_string_equal(certauto__buffer_text(&scene->lab->warnings), "");
}

static void fails(struct scene *scene, const char *calls, const char *words)
{
	assert_int_equal(present(scene), CERTAUTO_ECHALLENGE);
	lab_says(scene->lab, words);
	assert_string_equal(scene->calls, calls);
}

static int asked(struct scene *scene, const char *words)
{
	return fake_count(&scene->server, words);
}

/* ---- seen ---- */

static void test_seen__each_server_of_the_zone_is_asked_by_udp_and_tcp(void **state)
{
	static const struct fake_rule rules[] = {
		ZONE,
		{.name = RECORD, .type = TEXT, .values = {"of another", "value"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	passes_quietly(&scene);
	assert_string_equal(scene.record, RECORD);
	assert_int_equal(asked(&scene, "1 udp rd=0 16 " RECORD), 1);
	assert_int_equal(asked(&scene, "1 tcp rd=0 16 " RECORD), 1);
	assert_int_equal(asked(&scene, "2 udp rd=0 16 " RECORD), 1);
	assert_int_equal(asked(&scene, "2 tcp rd=0 16 " RECORD), 1);
	assert_int_equal(asked(&scene, " 16 "), 4);
	/* One label after the other is asked for. */
	assert_int_equal(asked(&scene, "3 udp rd=1 2 www.example"), 1);
	close_scene(&scene);
}

static void test_seen__a_late_one_is_waited_for(void **state)
{
	static const struct fake_rule rules[] = {
		ZONE,
		{.name = RECORD, .type = TEXT, .values = {"value"}, .only = 1},
		{.name = RECORD, .type = TEXT, .values = {"value"}, .only = 2, .after = 3},
		{.name = RECORD, .type = TEXT, .manner = FAKE_NXDOMAIN},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	passes_quietly(&scene);
	assert_int_equal(asked(&scene, "1 udp rd=0 16 "), 1); /* it has shown it */
	assert_int_equal(asked(&scene, "2 udp rd=0 16 "), 4);
	close_scene(&scene);
}

static void test_seen__a_wrong_value_is_told_and_taken_back(void **state)
{
	static const struct fake_rule rules[] = {
		ZONE,
		{.name = RECORD, .type = TEXT, .values = {"value"}, .only = 1},
		{.name = RECORD, .type = TEXT, .values = {"an old one", "a\tb", "third"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "dns_wait_ms", "150");
	fails(&scene, "pc", "ns2.example (127.0.0.2:");
	lab_says(scene.lab, "): only \"an old one\", \"a\\x09b\" and 1 more");
	assert_null(strstr(lab_message(scene.lab), "ns1.example"));
	assert_non_null(strstr(certauto_error_advice(certauto_context_error(scene.lab->cx)),
		"raise dns_wait_ms"));
	close_scene(&scene);
}

static void test_seen__nobody_knows_the_name(void **state)
{
	static const struct fake_rule rules[] = {ZONE};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "dns_wait_ms", "100");
	fails(&scene, "pc", "NXDOMAIN; ns2.example");
	close_scene(&scene);
}

static void test_seen__who_never_answers_is_warned_of(void **state)
{
	static const struct fake_rule rules[] = {
		ZONE,
		{.name = RECORD, .type = TEXT, .values = {"value"}, .only = 1},
		{.name = RECORD, .type = TEXT, .manner = FAKE_SILENT},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "dns_wait_ms", "500");
	passes(&scene);
	warns(&scene, "by all name servers but those that do not answer: ns2.example (127.0.0.2:");
	warns(&scene, "no answer in time");
	assert_string_equal(scene.calls, "p");
	close_scene(&scene);
}

static void test_seen__nobody_answers_and_it_goes_on(void **state)
{
	static const struct fake_rule rules[] = {
		ZONE,
		{.name = RECORD, .type = TEXT, .manner = FAKE_REFUSED, .only = 1},
		{.name = RECORD, .type = TEXT, .values = {"other"}, .only = 2, .lame = 1},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "dns_wait_ms", "100");
	passes(&scene);
	warns(&scene, RECORD " cannot be checked: ns1.example");
	warns(&scene, "REFUSED; ns2.example");
	warns(&scene, "not authoritative; the CA is told to look all the same");
	close_scene(&scene);
}

static void test_seen__no_answer_over_tcp_is_warned_of(void **state)
{
	static const struct fake_rule rules[] = {
		ZONE,
		{.name = RECORD, .type = TEXT, .values = {"value"}, .only = 1},
		{.name = RECORD, .type = TEXT, .manner = FAKE_UDP_ONLY, .values = {"value"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	passes(&scene);
	warns(&scene, "name server ns2.example (127.0.0.2:");
	warns(&scene, "does not answer over TCP");
	close_scene(&scene);
}

static void test_seen__what_is_cut_off_is_read_whole(void **state)
{
	static const struct fake_rule rules[] = {
		ZONE,
		{.name = RECORD, .type = TEXT, .manner = FAKE_CUT, .values = {"value"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	passes_quietly(&scene);
	close_scene(&scene);
}

static void test_seen__servers_may_be_named(void **state)
{
	static const struct fake_rule rules[] = {
		ZONE,
		{.name = RECORD, .type = TEXT, .values = {"value"}, .only = 2, .lame = 1},
	};
	struct scene scene;
	char check[64];

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "dns_check", fake_address(&scene.server, 2));
	passes_quietly(&scene);
	snprintf(check, sizeof(check), "ns2.example:%d", scene.server.port);
	lab_set(scene.target, "dns_check", check);
	passes_quietly(&scene);
	assert_int_equal(asked(&scene, "1 udp"), 0);
	assert_int_equal(asked(&scene, " 2 "), 0); /* no zone is looked for */
	snprintf(check, sizeof(check), "ns3.example:%d", scene.server.port);
	lab_set(scene.target, "dns_check", check);
	passes(&scene);
	warns(&scene, "have no address that leads anywhere");
	close_scene(&scene);
}

static void test_seen__a_cname_on_the_way_up_is_no_zone(void **state)
{
	static const struct fake_rule rules[] = {
		{.name = "www.example", .type = CERTAUTO__DNS_CNAME, .values = {"cdn.elsewhere"}},
		{.name = "www.example", .type = CERTAUTO__DNS_NS, .values = {"ns.elsewhere"}},
		ZONE,
		{.name = RECORD, .type = TEXT, .values = {"value"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	passes_quietly(&scene);
	assert_int_equal(asked(&scene, "ns.elsewhere"), 0);
	assert_int_equal(asked(&scene, " udp rd=0 16 "), 2);
	close_scene(&scene);
}

/* c-ares 1.18 throws such an answer away as a whole; others need not. */
static void test_seen__a_name_server_brings_no_port_of_its_own(void **state)
{
	static const struct fake_rule rules[] = {
		{.name = "www.example",
			.type = CERTAUTO__DNS_NS,
			.values = {"ns1.example:1", "ns1.example"}},
		ZONE,
		{.name = RECORD, .type = TEXT, .values = {"value"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	passes_quietly(&scene);
	assert_true(asked(&scene, "1 udp rd=0 16 ") > 0);
	close_scene(&scene);
}

static void test_seen__no_zone_is_no_reason_to_stop(void **state)
{
	static const struct fake_rule rules[] = {
		{.name = "other", .type = CERTAUTO__DNS_NS, .values = {"ns.other"}}};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	passes(&scene);
	warns(&scene, "its zone is not found");
	lab_set(scene.target, "dns_resolver", "127.0.0.1:1");
	passes(&scene);
	warns(&scene, "the resolver does not answer");
	close_scene(&scene);
}

static void test_seen__other_challenges_and_no_ask_nothing(void **state)
{
	static const struct fake_rule rules[] = {ZONE};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "challenge_check", "no");
	assert_int_equal(certauto_target_present(scene.target, "http-01", "www.example", "tok",
				 "value", TIMEOUT_MS),
		0);
	lab_set(scene.target, "dns_check", "no");
	passes_quietly(&scene);
	assert_string_equal(scene.record, RECORD);
	lab_set(scene.target, "dns_alias", "there.example");
	passes_quietly(&scene);
	assert_string_equal(scene.record, "there.example");
	assert_string_equal(scene.server.log, "");
	close_scene(&scene);
}

/* ---- delegation ---- */

static void test_delegation__the_record_is_put_where_cnames_lead(void **state)
{
	static const struct fake_rule rules[] = {
		{.name = RECORD, .type = CERTAUTO__DNS_CNAME, .values = {"hop.other"}},
		{.name = "hop.other", .type = CERTAUTO__DNS_CNAME, .values = {"TXT.acme.Third"}},
		{.name = "acme.third", .type = CERTAUTO__DNS_NS, .values = {"ns.third"}},
		{.name = "ns.third", .type = CERTAUTO__DNS_A, .values = {"127.0.0.2"}},
		{.name = "txt.acme.third", .type = TEXT, .values = {"value"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	passes_quietly(&scene);
	assert_string_equal(scene.record, "txt.acme.third");
	assert_int_equal(asked(&scene, "2 udp rd=0 16 txt.acme.third"), 1);
	assert_int_equal(certauto_target_cleanup(scene.target, "dns-01", "www.example", "tok",
				 "value", TIMEOUT_MS),
		0);
	assert_string_equal(scene.calls, "pc"); /* there, too */
	close_scene(&scene);
}

static void test_delegation__a_circle_ends_before_anything_is_put_up(void **state)
{
	static const struct fake_rule rules[] = {
		{.name = RECORD, .type = CERTAUTO__DNS_CNAME, .values = {"a.other"}},
		{.name = "a.other", .type = CERTAUTO__DNS_CNAME, .values = {RECORD}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	fails(&scene, "", "round in a circle");
	assert_int_equal(asked(&scene, " 5 "), 9);
	close_scene(&scene);
}

static void test_delegation__names_that_are_no_names_are_not_followed(void **state)
{
	static const struct fake_rule rules[] = {
		{.name = RECORD, .type = CERTAUTO__DNS_CNAME, .values = {"a\nsend.other"}}};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	/* c-ares escapes it, or takes it for broken: it leads nowhere. */
	lab_set(scene.target, "dns_wait_ms", "100");
	if (present(&scene) == CERTAUTO_ECHALLENGE)
		lab_says(scene.lab, "that no record of a challenge can have");
	assert_null(strstr(scene.record, "send"));
	close_scene(&scene);
}

static void test_delegation__an_alias_must_be_what_the_ca_will_find(void **state)
{
	static const struct fake_rule rules[] = {
		{.name = RECORD, .type = CERTAUTO__DNS_CNAME, .values = {"there.example"}},
		{.name = "there.example", .type = CERTAUTO__DNS_CNAME, .values = {"on.example"}},
		ZONE,
		{.name = "there.example", .type = TEXT, .values = {"value"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "dns_alias", "There.example");
	passes_quietly(&scene);
	assert_string_equal(scene.record, "There.example");
	scene.calls[0] = '\0';
	lab_set(scene.target, "dns_alias", "elsewhere.example");
	fails(&scene, "", RECORD " leads to on.example, which is where the CA will look");
	close_scene(&scene);
	open_scene(&scene, rules + 2, 3);
	lab_set(scene.target, "dns_alias", "elsewhere.example");
	fails(&scene, "", RECORD " is no CNAME");
	assert_non_null(strstr(certauto_error_advice(certauto_context_error(scene.lab->cx)),
		RECORD ". CNAME elsewhere.example."));
	close_scene(&scene);
}

static void test_delegation__an_alias_is_believed_where_nobody_can_be_asked(void **state)
{
	static const struct fake_rule rules[] = {ZONE};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "dns_alias", "there.example");
	lab_set(scene.target, "dns_resolver", "127.0.0.1:1");
	passes(&scene);
	assert_string_equal(scene.record, "there.example");
	warns(&scene, "there.example cannot be checked: the resolver does not answer");
	close_scene(&scene);
}

/* ---- without c-ares ---- */

static void test_library__absent_is_warned_of_once(void **state)
{
	static const struct fake_rule rules[] = {ZONE};
	struct scene scene;
	const char *warning;

	(void)state;
	OPEN(&scene, rules);
	lab_set(scene.target, "dns_alias", "there.example");
	certauto__dns_library("libcertauto-no-such-file.so");
	passes(&scene);
	passes(&scene);
	certauto__dns_library(NULL);
	assert_string_equal(scene.calls, "pp");
	assert_string_equal(scene.record, "there.example");
	warns(&scene, "libcares2");
	warning = strstr(certauto__buffer_text(&scene.lab->warnings), "without c-ares");
	assert_non_null(warning);
	assert_null(strstr(warning + 1, "without c-ares"));
	assert_string_equal(scene.server.log, "");
	close_scene(&scene);
}

/* ---- short of memory ---- */

static int scenario(void *arg)
{
	struct scene *scene = arg;

	return present(scene);
}

static void test_steps__short_of_memory_are_tried_again_later(void **state)
{
	static const struct fake_rule rules[] = {
		{.name = RECORD, .type = CERTAUTO__DNS_CNAME, .values = {"txt.example"}},
		ZONE,
		{.name = "txt.example", .type = TEXT, .values = {"value"}},
	};
	struct scene scene;

	(void)state;
	OPEN(&scene, rules);
	unit_oom_sweep("dns", scenario, &scene);
	close_scene(&scene);
}

/* ---- options ---- */

static void test_options__what_is_no_server_and_no_name_is_refused(void **state)
{
	static const struct {
		const char *name, *value, *words;
	} bad[] = {
		{"dns_check", "yes,127.0.0.1", "\"yes\" stands alone"},
		{"dns_check", "127.0.0.1,no", "is not host:port"},
		{"dns_check", ":0", "is not host:port"},
		{"dns_check", ":53,:54", "is not host:port"},
		{"dns_check", "a b", "is not host:port"},
		{"dns_resolver", "ns.example", "is not the address of a resolver"},
		{"dns_resolver", "127.0.0.1:x", "is not the address of a resolver"},
		{"dns_alias", "a b.example", "is not the name of a record"},
		{"dns_alias", "*.example", "is not the name of a record"},
		{"dns_wait_ms", "1", "takes a number from 100"},
	};
	static const struct {
		const char *name, *value;
	} good[] = {
		{"dns_check", "yes"}, {"dns_check", "no"}, {"dns_check", ""}, {"dns_check", ":53"},
		{"dns_check", "192.0.2.1,[2001:db8::1]:53,ns1.example"},
		{"dns_resolver", "192.0.2.1,[2001:db8::1]:5353"},
		{"dns_alias", "_a.example.org"},
	};
	struct scene scene;
	size_t i;

	(void)state;
	open_scene(&scene, NULL, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = certauto_target_set(scene.target, bad[i].name, bad[i].value);

		if (rc == 0)
			rc = certauto_target_check(scene.target);
		assert_int_equal(rc, CERTAUTO_EINVAL);
		lab_says(scene.lab, bad[i].words);
		assert_int_equal(certauto_target_set(scene.target, bad[i].name,
					 strcmp(bad[i].name, "dns_wait_ms") == 0 ? "100" : ""),
			0);
	}
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		lab_set(scene.target, good[i].name, good[i].value);
		assert_int_equal(certauto_target_check(scene.target), 0);
	}
	close_scene(&scene);
}

static void test_options__are_those_of_types_with_dns_only(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = NULL;

	(void)state;
	assert_int_equal(certauto_target_new(&target, lab->cx, "haproxy"), 0);
	assert_int_equal(certauto_target_set(target, "dns_check", "no"), CERTAUTO_EINVAL);
	certauto_target_free(target);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seen__each_server_of_the_zone_is_asked_by_udp_and_tcp),
		cmocka_unit_test(test_seen__a_late_one_is_waited_for),
		cmocka_unit_test(test_seen__a_wrong_value_is_told_and_taken_back),
		cmocka_unit_test(test_seen__nobody_knows_the_name),
		cmocka_unit_test(test_seen__who_never_answers_is_warned_of),
		cmocka_unit_test(test_seen__nobody_answers_and_it_goes_on),
		cmocka_unit_test(test_seen__no_answer_over_tcp_is_warned_of),
		cmocka_unit_test(test_seen__what_is_cut_off_is_read_whole),
		cmocka_unit_test(test_seen__servers_may_be_named),
		cmocka_unit_test(test_seen__a_cname_on_the_way_up_is_no_zone),
		cmocka_unit_test(test_seen__a_name_server_brings_no_port_of_its_own),
		cmocka_unit_test(test_seen__no_zone_is_no_reason_to_stop),
		cmocka_unit_test(test_seen__other_challenges_and_no_ask_nothing),
		cmocka_unit_test(test_delegation__the_record_is_put_where_cnames_lead),
		cmocka_unit_test(test_delegation__a_circle_ends_before_anything_is_put_up),
		cmocka_unit_test(test_delegation__names_that_are_no_names_are_not_followed),
		cmocka_unit_test(test_delegation__an_alias_must_be_what_the_ca_will_find),
		cmocka_unit_test(test_delegation__an_alias_is_believed_where_nobody_can_be_asked),
		cmocka_unit_test(test_library__absent_is_warned_of_once),
		cmocka_unit_test(test_steps__short_of_memory_are_tried_again_later),
		cmocka_unit_test(test_options__what_is_no_server_and_no_name_is_refused),
		cmocka_unit_test(test_options__are_those_of_types_with_dns_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
