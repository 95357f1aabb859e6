/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: what it may say, and how each mistake in it is told. */
#include "unit_store.h"

#include <fcntl.h>

#include <certauto/sys/target.h>

#include "crypto_fixtures.h"
#include "fleet/fleet.h"

/* A good configuration; each test changes a piece of it. One entry a line, so that lines say
 * which. */
#define ACCOUNTS \
	"\"accounts\": {\n\"le\": {\n\"server\": \"https://ca.example/directory\",\n" \
	"\"contact\": [\"mailto:ops@example.org\"],\n\"agree_tos\": true,\n\"ca_file\": null,\n" \
	"\"eab\": null }},\n"
#define TARGETS \
	"\"targets\": {\n\"edge\": {\n\"type\": \"haproxy\",\n" \
	"\"socket\": \"/run/haproxy.sock\",\n" \
	"\"crt\": \"/etc/haproxy/certs/shop.pem\",\n\"map\": \"/etc/haproxy/acme.map\",\n" \
	"\"timeout_ms\": 5000 }},\n"
#define CERTIFICATES "\"certificates\": {\n\"shop\": {\n\"account\": \"le\",\n" \
	"\"names\": [\"shop.example.org\",\n\"www.shop.example.org\"],\n" \
	"\"key\": [\"ecdsa-p256\", \"rsa-2048\"],\n" \
	"\"profile\": null,\n\"challenge\": {\n\"type\": \"http-01\",\n\"target\": \"edge\" },\n" \
	"\"deploy\": [\"edge\"] }}\n"
#define GOOD "{\n\"state\": \"/nonexistent/state\",\n" ACCOUNTS TARGETS CERTIFICATES "}\n"

struct unit {
	certauto_context *cx;
	certauto_fleet *fleet;
	certauto_error err;
	char folder[64];
};

static int setup(void **state)
{
	struct unit *u = calloc(1, sizeof(*u));

	assert_int_equal(certauto_context_new(&u->cx), 0);
	snprintf(u->folder, sizeof(u->folder), "/tmp/certauto-unit-XXXXXX");
	assert_non_null(mkdtemp(u->folder));
	*state = u;
	return 0;
}

static int teardown(void **state)
{
	struct unit *u = *state;

	certauto_fleet_free(u->fleet);
	certauto__error_clear(&u->err);
	certauto_context_free(u->cx);
	unit_remove_tree(u->folder);
	free(u);
	return 0;
}

static int parse(struct unit *u, const char *text)
{
	certauto_fleet_free(u->fleet);
	u->fleet = NULL;
	return certauto__fleet_make(&u->fleet, u->cx, "c.json", text, strlen(text), &u->err);
}

static void parse_good(struct unit *u, const char *text)
{
	if (parse(u, text) < 0)
		fail_msg("%s", certauto_error_message(&u->err));
}

/* The good configuration with its one `old` replaced; line: where old stood. Good until the
 * next. */
static const char *changed(const char *old, const char *new, int *line)
{
	static char text[2048];
	const char *at = strstr(GOOD, old), *c;

	if (at == NULL || strstr(at + 1, old) != NULL)
		fail_msg("%s is not there once", old);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - GOOD), GOOD, new, at + strlen(old));
	*line = 1;
	for (c = GOOD; c < at; c++)
		*line += *c == '\n';
	return text;
}

static void test_config__a_good_one_is_read_whole(void **state)
{
	struct unit *u = *state;
	struct certauto__certificate *shop;

	parse_good(u, GOOD);
	assert_int_equal(certauto_fleet_n_certificates(u->fleet), 1);
	assert_string_equal(certauto_fleet_certificate(u->fleet, 0), "shop");
	assert_null(certauto_fleet_certificate(u->fleet, 1));
	assert_string_equal(certauto_fleet_account(u->fleet, 0), "le");
	assert_string_equal(certauto_fleet_target(u->fleet, 0), "edge");
	shop = certauto__fleet_find_certificate(u->fleet, "shop");
	assert_int_equal(shop->names.n, 2);
	assert_int_equal(shop->keys.n, 2);
	assert_int_equal(shop->n_challenges, 1);
	assert_int_equal(shop->n_deploys, 1);
	assert_string_equal(shop->deploys[0].label, "edge");
	assert_ptr_equal(shop->account, certauto__fleet_find_account(u->fleet, "le"));
	assert_ptr_equal(shop->deploys[0].target, certauto__fleet_find_target(u->fleet, "edge"));
	assert_int_equal(certauto__option_number(shop->deploys[0].target, "timeout_ms"), 5000);
	assert_int_equal(shop->account->agree_tos, 1);
	assert_string_equal(shop->account->contacts.items[0], "mailto:ops@example.org");
}

static void test_config__reading_touches_nothing(void **state)
{
	struct unit *u = *state;
	char text[2048], folder[96];

	snprintf(folder, sizeof(folder), "%s/state", u->folder);
	snprintf(text, sizeof(text), "{\"state\": \"%s\", " ACCOUNTS TARGETS CERTIFICATES "}",
		folder);
	parse_good(u, text);
	assert_false(unit_exists(folder));
}

static void test_config__mistakes_are_told_with_their_line(void **state)
{
	static const struct {
		const char *old, *new, *word;
	} rows[] = {
		{"\"state\": ", "\"stat\": ", "\"stat\""},
		{"\"/nonexistent/state\"", "7", "state"},
		{"\"/nonexistent/state\"", "\"\"", "state"},
		{"\"/nonexistent/state\"", "\"state\"", "absolute"},
		{"\"contact\"", "\"contacts\"", "contacts"},
		{"\"mailto:ops@example.org\"", "3", "contact"},
		{"\"agree_tos\": true", "\"agree_tos\": \"perhaps\"", "agree_tos"},
		{"\"https://ca.example/directory\"", "\"http://ca.example/directory\"", "https"},
		{"\"https://ca.example/directory\"", "true", "server"},
		{"\"ca_file\": null", "\"ca_file\": \"/nonexistent/ca.pem\"",
			"/nonexistent/ca.pem"},
		{"\"eab\": null", "\"eab\": {\"kid\": \"k\", \"hmac\": \"\"}", "hmac"},
		{"\"eab\": null", "\"eab\": {\"kid\": \"k\", \"hmac\": \"a!b\"}", "base64url"},
		{"\"eab\": null", "\"eab\": {\"hmac\": \"aGk\"}", "kid"},
		{"\"eab\": null", "\"eab\": {\"kid\": \"k\"}", "hmac"},
		{"\"eab\": null", "\"eab\": {\"kid\": \"\", \"hmac\": \"aGk\"}", "kid"},
		{"\"eab\": null", "\"eab\": \"k\"", "eab"},
		{"\"eab\": null", "\"eab\": {\"kid\": \"k\", \"hmac\": \"aGk\", "
			"\"alg\": \"HS257\"}", "HS256, HS384"},
		{"\"eab\": null", "\"key\": \"rsa-1024\"", "rsa-1024"},
		{"\"eab\": null", "\"key\": [\"rsa-2048\"]", "key"},
		{"\"eab\": null", "\"allow_hosts\": [\"https://ca.example\"]", "ca.example"},
		{"\"eab\": null", "\"allow_hosts\": [7]", "allow_hosts"},
		{"\"eab\": null", "\"eab\": {\"kid\": \"k\", \"hmax\": \"h\"}", "hmax"},
		{"\"type\": \"haproxy\"", "\"type\": \"hapoxy\"", "hapoxy"},
		{"\"socket\"", "\"sokket\"", "sokket"},
		{"\"timeout_ms\": 5000", "\"timeout_ms\": \"soon\"", "timeout_ms"},
		{"\"timeout_ms\": 5000", "\"timeout_ms\": {\"file\": \"/x\"}", "timeout_ms"},
		{"\"timeout_ms\": 5000", "\"probe\": [\"a:1,b:2\"]", "comma"},
		{"\"shop\": {", "\"../shop\": {", "../shop"},
		{"\"shop\": {", "\".shop\": {", ".shop"},
		{"\"account\": \"le\"", "\"account\": \"nobody\"", "nobody"},
		{"\"account\": \"le\"", "\"account\": [\"le\"]", "account"},
		{"\"account\": \"le\"", "\"accounts\": \"le\"", "accounts"},
		{"\"shop.example.org\"", "\"exa mple.org\"", "exa mple.org"},
		{"\"shop.example.org\"", "\"*.*.example.org\"", "*.*.example.org"},
		{"\"www.shop.example.org\"", "\"Shop.Example.ORG\"", "twice"},
		{"\"shop.example.org\"", "\"shop.example.org.\"", "shop.example.org."},
		{"\"shop.example.org\"", "\"sh\xc3\xb6p.example.org\"", "xn--"},
		{"\"shop.example.org\"", "\"*.shop.example.org\", \"a.org\"", "covered"},
		{"[\"shop.example.org\",", "[7,", "names"},
		{"\"shop.example.org\"", "\"\"", "names"},
		{"\"www.shop.example.org\"", "\"shop.example.org\"", "twice"},
		{"\"shop.example.org\"", "\"*.example.org\"", "*.example.org"},
		{"[\"ecdsa-p256\", \"rsa-2048\"]", "256", "key"},
		{"[\"ecdsa-p256\", \"rsa-2048\"]", "[]", "key"},
		{"[\"ecdsa-p256\", \"rsa-2048\"]", "[\"ecdsa-p256\", \"ecdsa-p384\"]", "one kind"},
		{"[\"ecdsa-p256\", \"rsa-2048\"]", "[\"rsa-2048\", \"rsa-3072\"]", "one kind"},
		{"[\"ecdsa-p256\", \"rsa-2048\"]", "[\"ecdsa-p256\", \"rsa-1024\"]", "rsa-1024"},
		{"\"profile\": null", "\"profile\": \"\"", "profile"},
		{"\"profile\": null", "\"profile\": 1", "profile"},
		{"\"profile\": null", "\"profile\": {}", "name"},
		{"\"profile\": null", "\"profile\": {\"name\": \"x\", \"needed\": true}", "needed"},
		{"\"profile\": null", "\"profile\": {\"name\": \"x\", \"required\": 1}",
			"required"},
		{"\"profile\": null", "\"preferred_chain\": \"sha256:12\"", "sha256"},
		{"\"profile\": null", "\"preferred_chain\": [\"X\"]", "preferred_chain"},
		{"\"profile\": null", "\"reuse_key\": 1", "reuse_key"},
		{"\"profile\": null", "\"csr\": \"/nonexistent/x.csr\"", "/nonexistent/x.csr"},
		{"\"type\": \"http-01\"", "\"type\": \"http-02\"", "http-02"},
		{"\"target\": \"edge\" }", "\"target\": \"egde\" }", "egde"},
		{"\"target\": \"edge\" }", "\"target\": 5 }", "target"},
		{"[\"edge\"]", "[\"egde\"]", "egde"},
		{"[\"edge\"]", "[7]", "target"},
		{"[\"edge\"]", "[{\"crt\": \"/x\"}]", "target"},
		{"[\"edge\"]", "[{\"target\": \"edge\", \"ctr\": \"/x\"}]", "ctr"},
		{"\"deploy\"", "\"deploys\"", "deploys"},
		{"\"account\": \"le\",", "\"account\": \"le\" ", "line"},
	};
	struct unit *u = *state;
	const char *text;
	char place[32];
	size_t i;
	int line, rc;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		text = changed(rows[i].old, rows[i].new, &line);
		rc = parse(u, text);
		if (rc != CERTAUTO_ECONFIG)
			fail_msg("%s -> %s: %s", rows[i].old, rows[i].new, certauto_error_name(rc));
		snprintf(place, sizeof(place), "c.json:%d: ", line);
		/* Where a comma is missing, and what follows is what surprises the reader: the
		 * next line. */
		if (strcmp(rows[i].word, "line") == 0)
			snprintf(place, sizeof(place), "c.json:%d: ", line + 1);
		else if (strstr(certauto_error_message(&u->err), rows[i].word) == NULL)
			fail_msg("\"%s\" does not name %s", certauto_error_message(&u->err),
				rows[i].word);
		if (strstr(certauto_error_message(&u->err), place) !=
			certauto_error_message(&u->err))
			fail_msg("\"%s\" is not %s", certauto_error_message(&u->err), place);
		certauto__error_clear(&u->err);
	}
}

static void test_config__what_is_missing_is_named(void **state)
{
	static const struct {
		const char *old, *word;
	} rows[] = {
		{"\"server\": \"https://ca.example/directory\",\n", "server"},
		{"\"type\": \"haproxy\",\n", "type"},
		{"\"socket\": \"/run/haproxy.sock\",\n", "socket"},
		{"\"account\": \"le\",\n", "account"},
		{"\"names\": [\"shop.example.org\",\n\"www.shop.example.org\"],\n", "names"},
		{"\"challenge\": {\n\"type\": \"http-01\",\n\"target\": \"edge\" },\n",
			"challenge"},
		{"\"type\": \"http-01\",\n", "type"},
	};
	struct unit *u = *state;
	const char *text;
	size_t i;
	int line, rc;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		text = changed(rows[i].old, "", &line);
		rc = parse(u, text);
		unit_assert_error(&u->err, rc, CERTAUTO_ECONFIG, rows[i].word);
	}
}

static void test_config__comments_and_lone_strings_are_fine(void **state)
{
	struct unit *u = *state;
	struct certauto__certificate *shop;

	parse_good(u,
		"{ // a comment\n \"state\": \"/nonexistent/state\", /* another */\n" ACCOUNTS
			TARGETS
		"\"certificates\": {\"shop\": {\"account\": \"le\", \"names\": \"a.example.org\","
		"\"challenge\": {\"type\": \"http-01\", \"target\": \"edge\"}, \"deploy\": "
		"\"edge\"}}}");
	shop = certauto__fleet_find_certificate(u->fleet, "shop");
	assert_int_equal(shop->names.n, 1);
	assert_int_equal(shop->n_deploys, 1);
	assert_int_equal(shop->keys.n, 1);
	assert_string_equal(shop->keys.items[0], "ecdsa-p256");
}

static void test_config__an_entry_may_override_options(void **state)
{
	struct unit *u = *state;
	struct certauto__certificate *shop;

	parse_good(u,
		"{" ACCOUNTS TARGETS
		"\"certificates\": {\"shop\": {\"account\": \"le\", \"names\": \"a.example.org\","
		"\"challenge\": {\"type\": \"http-01\", \"target\": \"edge\", \"challenge_check\": "
		"\"no\"},"
		"\"deploy\": [\"edge\", {\"target\": \"edge\", \"crt\": \"/c/other.pem\","
		" \"probe\": [\"127.0.0.1:1\", \"127.0.0.1:2\"]}]}}}");
	shop = certauto__fleet_find_certificate(u->fleet, "shop");
	assert_string_equal(certauto__option_text(shop->challenges[0].target, "challenge_check"),
		"no");
	assert_string_equal(shop->deploys[0].label, "edge");
	assert_string_equal(shop->deploys[1].label, "edge#2");
	assert_string_equal(certauto__option_text(shop->deploys[0].target, "crt"),
		"/etc/haproxy/certs/shop.pem");
	assert_string_equal(certauto__option_text(shop->deploys[1].target, "crt"), "/c/other.pem");
	assert_string_equal(certauto__option_text(shop->deploys[1].target, "socket"),
		"/run/haproxy.sock");
	assert_int_equal(certauto__option_list(shop->deploys[1].target, "probe")->n, 2);
	assert_false(certauto__option_is_set(certauto__fleet_find_target(u->fleet, "edge"),
		"probe"));
}

static void test_config__a_target_may_be_completed_by_each_certificate(void **state)
{
	struct unit *u = *state;
	const char *text;
	int line, rc;

	text = changed("\"socket\": \"/run/haproxy.sock\",\n", "", &line);
	rc = parse(u, text);
	unit_assert_error(&u->err, rc, CERTAUTO_ECONFIG, "socket");
	parse_good(u, "{" ACCOUNTS "\"targets\": {\"edge\": {\"type\": \"haproxy\"}},"
		"\"certificates\": {\"shop\": {\"account\": \"le\", \"names\": \"a.example.org\","
		"\"challenge\": {\"type\": \"http-01\", \"target\": \"edge\", \"socket\": \"/s\","
		" \"map\": \"/m\"}}}}");
	rc = parse(u, "{\"targets\": {\n\"edge\": {\"type\": \"haproxy\"}}}");
	unit_assert_error(&u->err, rc, CERTAUTO_ECONFIG, "c.json:2: target \"edge\"");
}

static void test_config__the_first_challenge_that_matches_serves(void **state)
{
	static const char format[] =
		"{" ACCOUNTS TARGETS
		"\"certificates\": {\"shop\": {\"account\": \"le\",\n\"names\": [\"a.example.org\","
		" "
		"\"b.example.net\"],\n\"challenge\": [{\"type\": \"http-01\", \"target\": \"edge\","
		" "
		"\"names\": [\"*.example.org\"]}%s]}}}";
	struct unit *u = *state;
	char text[2048];
	int rc;

	snprintf(text, sizeof(text), format, ", {\"type\": \"http-01\", \"target\": \"edge\"}");
	parse_good(u, text);
	assert_int_equal(certauto__fleet_find_certificate(u->fleet, "shop")->n_challenges, 2);
	snprintf(text, sizeof(text), format, "");
	rc = parse(u, text);
	unit_assert_error(&u->err, rc, CERTAUTO_ECONFIG, "b.example.net");
}

static void test_config__names_with_dots_are_names(void **state)
{
	struct unit *u = *state;

	parse_good(u,
		"{" ACCOUNTS "\"targets\": {\"edge.1\": {\"type\": \"haproxy\", \"socket\": \"/s\","
		" \"map\": \"/m\"}}, \"certificates\": {\"shop.example.org\": {\"account\": \"le\","
		"\"names\": \"shop.example.org\", \"challenge\": {\"type\": \"http-01\", "
		"\"target\": "
		"\"edge.1\"}}}}");
	assert_non_null(certauto__fleet_find_certificate(u->fleet, "shop.example.org"));
	assert_non_null(certauto__fleet_find_target(u->fleet, "edge.1"));
}

/* ---- what only some CAs take ---- */

static void test_config__more_than_most_cas_take_is_read(void **state)
{
	struct unit *u = *state;
	struct certauto__certificate *shop;
	certauto_account *account;

	parse_good(u,
		"{\"accounts\": {\"le\": {\"server\": \"https://ca.example/directory\","
		"\"eab\": {\"kid\": \"kid-1\", \"hmac\": \"aHVzaC1odXNo\", \"alg\": \"HS384\"},"
		"\"key\": \"rsa-3072\", \"allow_hosts\": [\"b.example\", \"c.example:8443\"]}},"
		TARGETS "\"certificates\": {\"shop\": {\"account\": \"le\","
		"\"names\": [\"Shop.Example.ORG\", \"2001:DB8:0::1\"],"
		"\"profile\": {\"name\": \"shortlived\", \"required\": false},"
		"\"preferred_chain\": \"Example Root\","
		"\"challenge\": {\"type\": \"http-01\", \"target\": \"edge\"}},"
		"\"mail\": {\"account\": \"le\", \"names\": \"mail.example.org\","
		"\"profile\": \"classic\","
		"\"challenge\": {\"type\": \"http-01\", \"target\": \"edge\"}}}}");
	account = certauto__fleet_find_account(u->fleet, "le");
	assert_string_equal(account->eab_kid, "kid-1");
	assert_string_equal(account->eab_alg, "HS384");
	assert_int_equal(certauto__secret_len(account->eab_key), 9);
	assert_memory_equal(certauto__secret_data(account->eab_key), "hush-hush", 9);
	assert_string_equal(account->key_type, "rsa-3072");
	assert_true(certauto__list_has(&account->allow_hosts, "c.example:8443"));
	shop = certauto__fleet_find_certificate(u->fleet, "shop");
	assert_string_equal(shop->names.items[0], "shop.example.org");
	assert_string_equal(shop->names.items[1], "2001:db8::1");
	assert_string_equal(shop->profile, "shortlived");
	assert_false(shop->profile_required);
	assert_string_equal(shop->preferred_chain, "Example Root");
	shop = certauto__fleet_find_certificate(u->fleet, "mail");
	assert_string_equal(shop->profile, "classic");
	assert_true(shop->profile_required);
	assert_null(shop->preferred_chain);
}

static int operate(certauto_work *work, void *payload)
{
	(void)work;
	(void)payload;
	return 0;
}

static const certauto_target_ops zone_ops = {
	.version = CERTAUTO_TARGET_OPS_VERSION,
	.caps = CERTAUTO_TARGET_DNS01,
	.name = "zone",
	.present = operate,
	.cleanup = operate,
};

#define DNS01 "{\"type\": \"dns-01\", \"target\": \"zone\"}"
#define HTTP01 "{\"type\": \"http-01\", \"target\": \"edge\"}"
#define PERSIST "{\"type\": \"dns-persist-01\"}"

static void test_config__each_name_needs_a_challenge_that_can_prove_it(void **state)
{
	static const struct {
		const char *name, *challenge;
		const char *word; /* NULL: good */
	} rows[] = {
		{"*.example.org", DNS01, NULL},
		{"*.example.org", HTTP01, "not by http-01"},
		{"*.example.org", "[" HTTP01 "," DNS01 "]", NULL},
		{"*.example.org", "{\"type\": \"dns-account-01\", \"target\": \"zone\"}", NULL},
		{"*.example.org", PERSIST, NULL},
		{"192.0.2.1", HTTP01, NULL},
		{"192.0.2.1", DNS01, "an address is proved by http-01"},
		{"192.0.2.1", "[" DNS01 "," PERSIST "]", "not by dns-persist-01"},
		{"192.0.2.1", "[" DNS01 "," HTTP01 "]", NULL},
		{"2001:db8::1", DNS01, "2001:db8::1"},
		{"a.example.org", "{\"type\": \"dns-01\", \"target\": \"edge\"}", "dns-01"},
		{"a.example.org", "{\"type\": \"http-01\", \"target\": \"zone\"}", "http-01"},
		{"a.example.org", "{\"type\": \"tls-alpn-01\", \"target\": \"zone\"}",
			"tls-alpn-01"},
		{"a.example.org", "{\"type\": \"dns-01\"}", "target"},
		{"a.example.org", "{\"type\": \"dns-persist-01\", \"target\": \"edge\"}",
			"dns-persist-01"},
		{"a.example.org", "{\"type\": \"dns-persist-01\", \"target\": \"zone\"}", NULL},
		{"a.example.org", "{\"type\": \"dns-02\", \"target\": \"zone\"}",
			"http-01, dns-01, dns-account-01, dns-persist-01, tls-alpn-01"},
		{"a.example.org", "[]", "a.example.org"},
	};
	struct unit *u = *state;
	char text[2048];
	size_t i;
	int rc;

	assert_int_equal(certauto_context_add_target(u->cx, &zone_ops, NULL, NULL), 0);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(text, sizeof(text),
			"{" ACCOUNTS "\"targets\": {\"zone\": {\"type\": \"zone\"}, \"edge\": "
			"{\"type\": \"haproxy\", \"socket\": \"/s\", \"map\": \"/m\"}}, "
			"\"certificates\": {\"shop\": {\"account\": \"le\", \"names\": [\"%s\"], "
			"\"challenge\": %s}}}", rows[i].name, rows[i].challenge);
		rc = parse(u, text);
		if (rows[i].word != NULL)
			unit_assert_error(&u->err, rc, CERTAUTO_ECONFIG, rows[i].word);
		else if (rc < 0)
			fail_msg("%s by %s: %s", rows[i].name, rows[i].challenge,
				certauto_error_message(&u->err));
	}
}

static void test_config__no_names_and_101_are_refused(void **state)
{
	struct unit *u = *state;
	char text[8192];
	size_t len;
	int i, rc;

	for (rc = 100; rc <= 101; rc++) {
		len = (size_t)snprintf(text, sizeof(text), "{" ACCOUNTS TARGETS
			"\"certificates\": {\"shop\": {\"account\": \"le\", \"challenge\": " HTTP01
			", \"names\": [\"n1.example.org\"");
		for (i = 2; i <= rc; i++)
			len += (size_t)snprintf(
				text + len, sizeof(text) - len, ",\"n%d.example.org\"", i);
		snprintf(text + len, sizeof(text) - len, "]}}}");
		if (rc == 100)
			parse_good(u, text);
		else
			unit_assert_error(&u->err, parse(u, text), CERTAUTO_ECONFIG, "101 names");
	}
	i = parse(u, "{" ACCOUNTS TARGETS "\"certificates\": {\"shop\": {\"account\": \"le\", "
		"\"challenge\": " HTTP01 ", \"names\": []}}}");
	unit_assert_error(&u->err, i, CERTAUTO_ECONFIG, "at least one name");
}

/* ---- secrets ---- */

static int parse_hmac(struct unit *u, const char *value)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"{\"accounts\": {\"le\": {\"server\": \"letsencrypt\", \"eab\": "
		"{\"kid\": \"k\",\n\"hmac\": %s}}}}",
		value);
	return parse(u, text);
}

static void test_config__a_secret_that_cannot_be_had_is_named(void **state)
{
	struct unit *u = *state;
	char path[128], value[192];

	unit_assert_error(&u->err, parse_hmac(u, "{\"file\": \"/nonexistent/secret\"}"),
		CERTAUTO_ECONFIG,
		"c.json:2: hmac: cannot open the secret file /nonexistent/secret");
	unit_assert_error(&u->err, parse_hmac(u, "{\"env\": \"CERTAUTO_TEST_UNSET\"}"),
		CERTAUTO_ECONFIG, "CERTAUTO_TEST_UNSET");
	unit_assert_error(&u->err, parse_hmac(u, "{\"fd\": 97}"), CERTAUTO_ECONFIG, "97");
	unit_assert_error(&u->err, parse_hmac(u, "{\"fd\": -1}"), CERTAUTO_ECONFIG, "fd");
	unit_assert_error(&u->err, parse_hmac(u, "{\"fil\": \"x\"}"), CERTAUTO_ECONFIG, "hmac");
	unit_assert_error(&u->err, parse_hmac(u, "{\"file\": \"x\", \"env\": \"y\"}"),
		CERTAUTO_ECONFIG, "hmac");
	unit_assert_error(&u->err, parse_hmac(u, "17"), CERTAUTO_ECONFIG, "hmac");
	snprintf(value, sizeof(value), "{\"file\": \"%s\"}", u->folder);
	unit_assert_error(&u->err, parse_hmac(u, value), CERTAUTO_ECONFIG, "not a regular file");
	snprintf(path, sizeof(path), "%s/secret", u->folder);
	snprintf(value, sizeof(value), "{\"file\": \"%s\"}", path);
	unit_write(path, "hush-hush\n", 0640);
	unit_assert_error(&u->err, parse_hmac(u, value), CERTAUTO_ECONFIG, "0640");
	unit_write(path, "\n", 0600);
	unit_assert_error(&u->err, parse_hmac(u, value), CERTAUTO_ECONFIG, "empty");
}

static void test_config__a_secret_is_never_in_a_message(void **state)
{
	struct unit *u = *state;
	char path[128], value[192];
	int ends[2];

	/* None of these is base64url, so that each is refused with what it was. */
	snprintf(path, sizeof(path), "%s/secret", u->folder);
	unit_write(path, "hush!hush\n", 0600);
	snprintf(value, sizeof(value), "{\"file\": \"%s\"}", path);
	assert_int_equal(parse_hmac(u, value), CERTAUTO_ECONFIG);
	assert_null(strstr(certauto_error_message(&u->err), "hush"));
	unit_assert_error(&u->err, CERTAUTO_ECONFIG, CERTAUTO_ECONFIG, "c.json:2: ");
	assert_int_equal(setenv("CERTAUTO_TEST_SECRET", "hush!hush", 1), 0);
	assert_int_equal(parse_hmac(u, "{\"env\": \"CERTAUTO_TEST_SECRET\"}"), CERTAUTO_ECONFIG);
	assert_null(strstr(certauto_error_message(&u->err), "hush"));
	unit_assert_error(&u->err, CERTAUTO_ECONFIG, CERTAUTO_ECONFIG, "c.json:2: ");
	unsetenv("CERTAUTO_TEST_SECRET");
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "hush!hush\n", 10), 10);
	close(ends[1]);
	snprintf(value, sizeof(value), "{\"fd\": %d}", ends[0]);
	assert_int_equal(parse_hmac(u, value), CERTAUTO_ECONFIG);
	assert_null(strstr(certauto_error_message(&u->err), "hush"));
	unit_assert_error(&u->err, CERTAUTO_ECONFIG, CERTAUTO_ECONFIG, "c.json:2: ");
	/* No program that is run later inherits it. */
	assert_int_equal(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(ends[0]);
}

/* ---- a CSR from outside ---- */

static int parse_csr(struct unit *u, const char *csr, const char *more)
{
	char path[128], text[2048];

	snprintf(path, sizeof(path), "%s/request.csr", u->folder);
	unit_write(path, csr, 0644);
	snprintf(text, sizeof(text),
		"{" ACCOUNTS TARGETS "\"certificates\": {\"shop\": {\"account\": \"le\", "
		"\"challenge\": {\"type\": \"http-01\", \"target\": \"edge\"}, \"csr\": "
		"\"%s\"%s}}}",
		path, more);
	return parse(u, text);
}

static void test_config__an_outside_csr_has_a_lineage_of_its_own(void **state)
{
	struct unit *u = *state;
	struct certauto__certificate *shop;
	const char *name;
	char more[400];

	assert_int_equal(parse_csr(u, csr_empty_subject, ""), 0);
	shop = certauto__fleet_find_certificate(u->fleet, "shop");
	assert_int_equal(shop->keys.n, 1);
	assert_string_equal(shop->keys.items[0], "csr");
	assert_true(shop->names.n > 0);
	name = shop->names.items[0];
	if (shop->names.n == 1) {
		snprintf(more, sizeof(more), ", \"names\": [\"%s\"], \"key\": \"rsa-2048\"", name);
		assert_int_equal(parse_csr(u, csr_empty_subject, more), 0);
	}
	unit_assert_error(&u->err,
		parse_csr(u, csr_empty_subject, ", \"names\": [\"other.example.com\"]"),
		CERTAUTO_ECONFIG, "csr");
	unit_assert_error(&u->err, parse_csr(u, csr_empty_subject, ", \"reuse_key\": true"),
		CERTAUTO_ECONFIG, "reuse_key");
	unit_assert_error(&u->err,
		parse_csr(u, csr_empty_subject, ", \"key\": [\"rsa-2048\", \"ecdsa-p256\"]"),
		CERTAUTO_ECONFIG, "one key");
	unit_assert_error(&u->err, parse_csr(u, "no request\n", ""), CERTAUTO_ECONFIG,
		"request.csr");
	unit_assert_error(&u->err, parse_csr(u, csr_bad_signature, ""), CERTAUTO_ECONFIG,
		"request.csr");
}

/* ---- the public calls ---- */

static void test_config__public_calls_name_the_file(void **state)
{
	struct unit *u = *state;
	certauto_fleet *fleet = NULL;
	certauto_target *target = NULL;
	char path[128];

	assert_int_equal(certauto_fleet_load(&fleet, u->cx, "/nonexistent/certauto.json"),
		CERTAUTO_ENOTFOUND);
	assert_non_null(strstr(certauto_error_message(certauto_context_error(u->cx)),
		"/nonexistent/certauto.json"));
	assert_int_equal(certauto_fleet_load(&fleet, u->cx, u->folder), CERTAUTO_ECONFIG);
	snprintf(path, sizeof(path), "%s/certauto.json", u->folder);
	unit_write(path, "{\n\"stat\": 1}", 0600);
	assert_int_equal(certauto_fleet_load(&fleet, u->cx, path), CERTAUTO_ECONFIG);
	assert_memory_equal(certauto_error_message(certauto_context_error(u->cx)), path,
		strlen(path));
	assert_int_equal(certauto_fleet_parse(&fleet, u->cx, (const unsigned char *)"[]", 2),
		CERTAUTO_ECONFIG);
	assert_int_equal(certauto_fleet_parse(&fleet, u->cx, (const unsigned char *)GOOD,
				 strlen(GOOD)),
		0);
	assert_int_equal(certauto_fleet_dup_target(&target, fleet, "egde"), CERTAUTO_ENOTFOUND);
	assert_non_null(strstr(certauto_error_message(certauto_context_error(u->cx)), "edge"));
	assert_int_equal(certauto_fleet_dup_target(&target, fleet, "edge"), 0);
	certauto_fleet_free(fleet);
	assert_string_equal(certauto_target_type(target), "haproxy");
	certauto_target_free(target);
}

#define RICH "{\"accounts\": {\"le\": {\"server\": \"letsencrypt\", \"eab\": {\"kid\": \"k\", " \
	"\"hmac\": \"aGk\", \"alg\": \"HS512\"}, \"key\": \"rsa-2048\", " \
	"\"contact\": \"mailto:a@b.example\"}}, " TARGETS "\"certificates\": " \
	"{\"shop\": {\"account\": \"le\", \"names\": [\"a.example.org\", \"192.0.2.1\"], " \
	"\"profile\": {\"name\": \"p\"}, \"preferred_chain\": \"shortest\", \"challenge\": [" \
	PERSIST "," HTTP01 "], \"deploy\": [\"edge\"]}}}"

static int scenario_parse(void *arg)
{
	struct unit *u = arg;
	certauto_fleet *fleet = NULL;
	int rc = certauto__fleet_make(&fleet, u->cx, "c.json", RICH, strlen(RICH), NULL);

	certauto_fleet_free(fleet);
	return rc;
}

static void test_config__no_memory_is_told(void **state)
{
	unit_oom_sweep("config", scenario_parse, *state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_config__a_good_one_is_read_whole),
		TEST(test_config__reading_touches_nothing),
		TEST(test_config__mistakes_are_told_with_their_line),
		TEST(test_config__what_is_missing_is_named),
		TEST(test_config__comments_and_lone_strings_are_fine),
		TEST(test_config__an_entry_may_override_options),
		TEST(test_config__a_target_may_be_completed_by_each_certificate),
		TEST(test_config__the_first_challenge_that_matches_serves),
		TEST(test_config__names_with_dots_are_names),
		TEST(test_config__more_than_most_cas_take_is_read),
		TEST(test_config__each_name_needs_a_challenge_that_can_prove_it),
		TEST(test_config__no_names_and_101_are_refused),
		TEST(test_config__a_secret_that_cannot_be_had_is_named),
		TEST(test_config__a_secret_is_never_in_a_message),
		TEST(test_config__an_outside_csr_has_a_lineage_of_its_own),
		TEST(test_config__public_calls_name_the_file),
		TEST(test_config__no_memory_is_told),
	};

	return cmocka_run_group_tests_name("fleet/config", tests, NULL, NULL);
}
