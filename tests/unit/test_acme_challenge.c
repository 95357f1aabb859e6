/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown for a challenge, and where: values that were computed by others, and what is
 * refused before anything is shown. */

#include "unit_crypto.h"

#include <certauto.h>

#include "acme/order.h"
#include "crypto/cert.h"
#include "crypto/csr.h"

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define KEY_AUTHORIZATION TOKEN ".TMhrRemVqmY8Kwnjz8WHhhgZTorQxkPDM6aogqjgYaw"
#define TXT "aKogCbHc0L0nkvGpIznl1cByBjbbjxgUDOZfX8VIJHM"
#define ACCOUNT_URL "https://example.com/acme/acct/ExampleAccount"

/* The question and the answer of one job, which does nothing but set the facts. */
static struct asked {
	const char *type, *name;
	struct certauto__challenge offered;
	int rc;
	char message[512], record[512], txt[512], value[512], token[512];
} asked;

static void keep(char *out, const certauto_job *job, const char *fact)
{
	const char *text = certauto__fact_own(job, fact);

	snprintf(out, 512, "%s", text != NULL ? text : "(none)");
}

static certauto__verdict facts_ask(certauto_job *job, certauto__exchange *x)
{
	certauto_error err;

	(void)x;
	memset(&err, 0, sizeof(err));
	/* Of an earlier run, with another type. */
	certauto__fact_set(job, "record", "old.example");
	certauto__fact_set(job, "txt", "old");
	certauto__fact_set(job, "token", "old");
	asked.rc = certauto__challenge_facts(job, certauto__challenge_type(asked.type),
		&asked.offered, asked.name, &err);
	snprintf(asked.message, sizeof(asked.message), "%s",
		err.code != 0 ? certauto_error_message(&err) : "");
	keep(asked.record, job, "record");
	keep(asked.txt, job, "txt");
	keep(asked.value, job, ".value");
	keep(asked.token, job, "token");
	certauto__error_clear(&err);
	return CERTAUTO__NEXT;
}

static const struct certauto__step facts_steps[] = {{.name = "facts", .ask = facts_ask}};
static const struct certauto__table facts_table = {
	.name = "facts", .steps = facts_steps, .n_steps = 1
};

/* Asks for what is in asked.offered. */
static void ask_for(const char *type, const char *name, const char *account_url)
{
	certauto_account account;
	certauto_order order;
	struct certauto__start start;
	certauto_context *cx = NULL;
	certauto_job *job = NULL;

	memset(&account, 0, sizeof(account));
	memset(&order, 0, sizeof(order));
	memset(&start, 0, sizeof(start));
	account.pkey = unit_key(key_p256);
	account.url = (char *)account_url;
	order.account = &account;
	asked.type = type;
	asked.name = name;
	start.table = &facts_table;
	start.name = name;
	start.env = &order;
	assert_int_equal(certauto_context_new(&cx), 0);
	assert_int_equal(certauto__job_start(&job, cx, &start, NULL), 0);
	assert_int_equal(certauto_job_wait(job, 10000), 0);
	certauto_job_free(job);
	certauto_context_free(cx);
	certauto__pkey_free(account.pkey);
}

static void ask_with_token(const char *type, const char *name, const char *token)
{
	asked.offered.token = (char *)token;
	ask_for(type, name, ACCOUNT_URL);
	asked.offered.token = NULL;
}

static void test_challenge__http_01_is_the_key_authorization(void **state)
{
	(void)state;
	ask_with_token("http-01", "shop.example", TOKEN);
	assert_int_equal(asked.rc, 0);
	assert_string_equal(asked.value, KEY_AUTHORIZATION);
	assert_string_equal(asked.token, TOKEN);
	assert_string_equal(asked.record, "(none)");
	assert_string_equal(asked.txt, "(none)");
}

static void test_challenge__dns_01_is_a_digest_at_the_base_name(void **state)
{
	(void)state;
	ask_with_token("dns-01", "shop.example", TOKEN);
	assert_int_equal(asked.rc, 0);
	assert_string_equal(asked.record, "_acme-challenge.shop.example");
	assert_string_equal(asked.txt, TXT);
	ask_with_token("dns-01", "*.shop.example", TOKEN);
	assert_string_equal(asked.record, "_acme-challenge.shop.example");
	assert_string_equal(asked.txt, TXT);
}

/* The label is that of the draft's example. */
static void test_challenge__dns_account_01_has_the_accounts_label(void **state)
{
	(void)state;
	ask_with_token("dns-account-01", "*.shop.example", TOKEN);
	assert_int_equal(asked.rc, 0);
	assert_string_equal(asked.record, "_ujmmovf2vn55tgye._acme-challenge.shop.example");
	assert_string_equal(asked.txt, TXT);
}

static void test_challenge__tls_alpn_01_is_asked_by_name_or_reverse_name(void **state)
{
	(void)state;
	ask_with_token("tls-alpn-01", "shop.example", TOKEN);
	assert_int_equal(asked.rc, 0);
	assert_string_equal(asked.record, "shop.example");
	assert_string_equal(asked.value, KEY_AUTHORIZATION);
	assert_string_equal(asked.txt, "(none)");
	ask_with_token("tls-alpn-01", "192.0.2.1", TOKEN);
	assert_string_equal(asked.record, "1.2.0.192.in-addr.arpa");
	ask_with_token("tls-alpn-01", "2001:db8::1", TOKEN);
	assert_string_equal(asked.record,
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

static void test_challenge__tokens_that_could_be_paths_are_refused(void **state)
{
	static const char *const tokens[] = {
		NULL, "", "../../../../etc/cron.d/x-and-more", "tooShortToken",
		"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr+oA", "evaGxfADs6pSRb2LAv9IZf17D\nt3juxGJ",
		"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA=",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		ask_with_token("http-01", "shop.example", tokens[i]);
		assert_int_equal(asked.rc, CERTAUTO_EPROTO);
		assert_string_equal(asked.token, "(none)");
		assert_non_null(strstr(asked.message, "http-01 token for shop.example"));
	}
}

static void ask_persist(const char *name, const char *issuers, const char *account_url)
{
	asked.offered.issuers = unit_list(issuers);
	ask_for("dns-persist-01", name, account_url);
	certauto__list_free(&asked.offered.issuers);
}

static void test_challenge__dns_persist_01_names_issuer_and_account(void **state)
{
	(void)state;
	ask_persist("shop.example", "ca.example,other.example", ACCOUNT_URL);
	assert_int_equal(asked.rc, 0);
	assert_string_equal(asked.record, "_validation-persist.shop.example");
	assert_string_equal(asked.txt, "ca.example; accounturi=" ACCOUNT_URL);
	assert_string_equal(asked.token, "(none)");
	ask_persist("*.shop.example", "ca.example", ACCOUNT_URL);
	assert_string_equal(asked.record, "_validation-persist.shop.example");
	assert_string_equal(
		asked.txt, "ca.example; accounturi=" ACCOUNT_URL "; policy=wildcard");
}

static void test_challenge__dns_persist_01_with_bad_issuers_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{"", "has 0 issuer names"},
		{"a.b,b.b,c.b,d.b,e.b,f.b,g.b,h.b,i.b,j.b,k.b", "has 11 issuer names"},
		{"ca.example,CA.example", "upper-case"},
		{"ca.example.", "ends with a dot"},
		{"*.example", "wildcard"},
		{"ca.example;x=y", "only letters"},
		{"b\xC3\xBC" "cher.example", "not ASCII"},
		{"192.0.2.1", "IP address"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask_persist("shop.example", bad[i][0], ACCOUNT_URL);
		assert_int_equal(asked.rc, CERTAUTO_EPROTO);
		assert_string_equal(asked.txt, "(none)");
		if (strstr(asked.message, bad[i][1]) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", bad[i][1], asked.message);
	}
	ask_persist("shop.example", "a.b,b.b,c.b,d.b,e.b,f.b,g.b,h.b,i.b,j.b", ACCOUNT_URL);
	assert_int_equal(asked.rc, 0);
	ask_persist("shop.example", "ca.example", "https://ca.example/a;policy=wildcard");
	assert_int_equal(asked.rc, CERTAUTO_EPROTO);
}

static void test_challenge__types_and_what_they_prove(void **state)
{
	static const struct {
		const char *type;
		int cap, wildcard, address;
	} table[] = {
		{"http-01", CERTAUTO_TARGET_HTTP01, 0, 1},
		{"dns-01", CERTAUTO_TARGET_DNS01, 1, 0},
		{"dns-account-01", CERTAUTO_TARGET_DNS01, 1, 0},
		{"dns-persist-01", CERTAUTO_TARGET_DNS01, 1, 0},
		{"tls-alpn-01", CERTAUTO_TARGET_TLSALPN01, 0, 1},
	};
	const struct certauto__challenge_type *type;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		type = certauto__challenge_type(table[i].type);
		assert_ptr_equal(type, certauto__challenge_type_at(i));
		assert_int_equal(type->cap, table[i].cap);
		assert_int_equal(
			certauto__challenge_proves(type, "*.a.example"), table[i].wildcard);
		assert_int_equal(certauto__challenge_proves(type, "192.0.2.1"), table[i].address);
		assert_int_equal(certauto__challenge_proves(type, "2001:db8::1"), table[i].address);
		assert_true(certauto__challenge_proves(type, "a.example"));
	}
	assert_null(certauto__challenge_type_at(i));
	assert_null(certauto__challenge_type("device-attest-01"));
}

/* ---- who answers for a name ---- */

/* An order with one name and two uses: "*" by the first type, "*" by the second. */
static int check_name(const char *name, const char *first, const char *second, certauto_error *err)
{
	struct certauto__order_use uses[2] = {
		{(char *)"*", (char *)first, NULL}, {(char *)"*", (char *)second, NULL}
	};
	char *names[] = {(char *)name};
	certauto_account account;
	certauto_order order;

	memset(&account, 0, sizeof(account));
	memset(&order, 0, sizeof(order));
	memset(err, 0, sizeof(*err));
	order.account = &account;
	order.names.items = names;
	order.names.n = 1;
	order.uses = uses;
	order.n_uses = second != NULL ? 2 : 1;
	return certauto__order_check(&order, err);
}

static void test_challenge__what_no_type_can_prove_is_refused(void **state)
{
	static const struct {
		const char *name, *first, *second, *words; /* NULL: it can be proved */
	} cases[] = {
		{"a.example", "http-01", NULL, NULL},
		{"*.a.example", "http-01", "dns-01", NULL},
		{"192.0.2.1", "dns-01", "tls-alpn-01", NULL},
		{"*.a.example", "http-01", NULL, "http-01 cannot prove the wildcard *.a.example"},
		{"*.a.example", "tls-alpn-01", "http-01", "tls-alpn-01 cannot prove the wildcard"},
		{"192.0.2.1", "dns-01", NULL, "dns-01 cannot prove the address 192.0.2.1"},
		{"2001:db8::1", "dns-persist-01", NULL, "cannot prove the address 2001:db8::1"},
	};
	certauto_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(check_name(cases[i].name, cases[i].first, cases[i].second, &err),
			cases[i].words != NULL ? CERTAUTO_EINVAL : 0);
		if (cases[i].words != NULL)
			assert_non_null(strstr(certauto_error_message(&err), cases[i].words));
		certauto__error_clear(&err);
	}
}

/* ---- the certificate of tls-alpn-01 (RFC 8737 3) ---- */

#define DIGEST_HEX "68aa2009b1dcd0bd2792f1a92339e5d5c0720636db8f18140ce65f5fc5482473"

/* SEQUENCE { 1.3.6.1.5.5.7.1.31, critical TRUE, OCTET STRING { OCTET STRING digest } }, and nothing
 * else goes by that name. */
static void check_acme_identifier(const struct certauto__cert *cert, const unsigned char *digest)
{
	static const unsigned char head[] = {
		0x30, 0x31, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f, 0x01, 0x01,
		0xff, 0x04, 0x22, 0x04, 0x20
	};
	const unsigned char *at = cert->crt.v3_ext.p;
	size_t len = cert->crt.v3_ext.len, i, n = 0;

	for (i = 0; i + sizeof(head) + 32 <= len; i++)
		n += memcmp(at + i, head, sizeof(head)) == 0 &&
			memcmp(at + i + sizeof(head), digest, 32) == 0;
	assert_int_equal(n, 1);
}

static void check_challenge_certificate(const char *name)
{
	struct certauto__mbed_signed what;
	const struct certauto__cert_info *info;
	certauto__certs *certs = NULL;
	certauto__pkey *key = NULL;
	unsigned char digest[32];
	int64_t now = certauto__clock_now();

	certauto__sha256(digest, KEY_AUTHORIZATION, strlen(KEY_AUTHORIZATION));
	assert_int_equal(certauto__certs_challenge(&certs, &key, name, digest, NULL), 0);
	assert_int_equal(certauto__certs_n(certs), 1);
	info = certauto__certs_info(certs, 0);
	assert_int_equal(info->names->n, 1);
	assert_string_equal(info->names->items[0], name);
	assert_int_equal(certs->items[0]->n_others, 0);
	assert_string_equal(info->key_type, "ecdsa-p256");
	assert_string_equal(info->issuer, info->subject);
	assert_true(info->not_before < now && info->not_after > now);
	assert_true(certauto__certs_has_key(certs, key));
	certauto__mbed_crt_signed(&what, &certs->items[0]->crt);
	assert_int_equal(certauto__mbed_verify(&certs->items[0]->crt.pk, &what), 0);
	check_acme_identifier(certs->items[0], digest);
	certauto__certs_free(certs);
	certauto__pkey_free(key);
}

static void test_challenge__certificate_has_one_name_and_the_digest(void **state)
{
	unsigned char digest[32];
	certauto__buffer hex = CERTAUTO__BUFFER(64);

	(void)state;
	certauto__sha256(digest, KEY_AUTHORIZATION, strlen(KEY_AUTHORIZATION));
	certauto__hex_encode(&hex, digest, sizeof(digest));
	assert_string_equal(certauto__buffer_text(&hex), DIGEST_HEX);
	certauto__buffer_free(&hex);
	check_challenge_certificate("shop.example");
	check_challenge_certificate("192.0.2.1");
	check_challenge_certificate("2001:db8::1");
	check_challenge_certificate("a-name-that-is-far-longer-than-any-common-name-may-be."
				    "shop.example");
}

static int make_once(void *arg)
{
	static const unsigned char digest[32];
	certauto__certs *certs = NULL;
	certauto__pkey *key = NULL;
	int rc = certauto__certs_challenge(&certs, &key, "shop.example", digest, NULL);

	(void)arg;
	if (rc < 0) {
		assert_null(certs);
		assert_null(key);
	}
	certauto__certs_free(certs);
	certauto__pkey_free(key);
	return rc;
}

static void test_challenge__certificate_survives_want_of_memory(void **state)
{
	(void)state;
	unit_oom_sweep("challenge", make_once, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_challenge__http_01_is_the_key_authorization),
		cmocka_unit_test(test_challenge__dns_01_is_a_digest_at_the_base_name),
		cmocka_unit_test(test_challenge__dns_account_01_has_the_accounts_label),
		cmocka_unit_test(test_challenge__tls_alpn_01_is_asked_by_name_or_reverse_name),
		cmocka_unit_test(test_challenge__tokens_that_could_be_paths_are_refused),
		cmocka_unit_test(test_challenge__dns_persist_01_names_issuer_and_account),
		cmocka_unit_test(test_challenge__dns_persist_01_with_bad_issuers_is_refused),
		cmocka_unit_test(test_challenge__types_and_what_they_prove),
		cmocka_unit_test(test_challenge__what_no_type_can_prove_is_refused),
		cmocka_unit_test(test_challenge__certificate_has_one_name_and_the_digest),
		cmocka_unit_test(test_challenge__certificate_survives_want_of_memory),
	};

	return cmocka_run_group_tests_name("acme/challenge", tests, NULL, NULL);
}
