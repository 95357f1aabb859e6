/* SPDX-License-Identifier: Apache-2.0 */
/* What an ACME server's documents tell, and what is refused in them. */

#include "unit.h"

#include <certauto/order.h>

#include "acme/documents.h"

#define SERVER "https://ca.example/dir"

static certauto__list no_hosts;
static const struct certauto__origin origin = {SERVER, &no_hosts, "document " SERVER};

/* What must be refused: the text, and words of the reason. */
struct refusal {
	const char *json;
	const char *words;
};

static void check_error(const struct refusal *refusal, int rc, certauto_error *err)
{
	if (rc != CERTAUTO_EPROTO || certauto_error_code(err) != CERTAUTO_EPROTO ||
	    strstr(certauto_error_message(err), refusal->words) == NULL)
		fail_msg("%s: returned %d, said \"%s\", wanted \"...%s...\"", refusal->json, rc,
			err->code != 0 ? certauto_error_message(err) : "nothing", refusal->words);
	certauto__error_clear(err);
}

/* ---- directory ---- */

#define NONCE "\"newNonce\":\"https://ca.example/nonce\""
#define ACCOUNT "\"newAccount\":\"https://ca.example/account\""
#define ORDER "\"newOrder\":\"https://ca.example/order\""

static int directory(struct certauto__directory *out, const char *json, certauto_error *err)
{
	return certauto__directory_parse(out, &origin, json, strlen(json), err);
}

static void test_directory__of_a_real_ca(void **state)
{
	struct certauto__directory got;

	(void)state;
	assert_int_equal(
		directory(&got,
			"{\"1mFTpvJhvXo\":\"https://community.letsencrypt.org/t/adding-"
			"random-entries-to-the-directory/33417\",\"keyChange\":\"https://"
			"ca.example/key-change\",\"meta\":{\"caaIdentities\":[\"ca.example\"],"
			"\"profiles\":{\"classic\":\"https://other.example/x\"},"
			"\"termsOfService\":\"https://elsewhere.example/terms.pdf\","
			"\"website\":\"https://elsewhere.example\"}," ACCOUNT "," NONCE "," ORDER
			",\"renewalInfo\":\"https://ca.example/ari\"}",
			NULL),
		0);
	assert_string_equal(got.new_nonce, "https://ca.example/nonce");
	assert_string_equal(got.new_account, "https://ca.example/account");
	assert_string_equal(got.new_order, "https://ca.example/order");
	assert_string_equal(got.terms_url, "https://elsewhere.example/terms.pdf");
	assert_false(got.external_account_required);
	certauto__directory_free(&got);
}

static void test_directory__null_is_absent(void **state)
{
	struct certauto__directory got;

	(void)state;
	assert_int_equal(directory(&got,
				 "{" NONCE "," ACCOUNT "," ORDER
				 ",\"renewalInfo\":null,\"meta\":{\"termsOfService\":null,"
				 "\"externalAccountRequired\":null}}",
				 NULL),
		0);
	assert_null(got.terms_url);
	certauto__directory_free(&got);
	assert_int_equal(directory(&got, "{" NONCE "," ACCOUNT "," ORDER ",\"meta\":null}", NULL),
		0);
	certauto__directory_free(&got);
	assert_int_equal(directory(&got,
				 "{" NONCE "," ACCOUNT "," ORDER
				 ",\"meta\":{\"externalAccountRequired\":true}}",
				 NULL),
		0);
	assert_true(got.external_account_required);
	certauto__directory_free(&got);
}

static void test_directory__hostile_ones_are_refused(void **state)
{
	static const struct refusal refusals[] = {
		{"", "document"},
		{"[]", "object"},
		{"<html>", "document"},
		{"{}", "newNonce"},
		{"{" NONCE "," ORDER "}", "newAccount"},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":null}", "newOrder"},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":1}", "newOrder"},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":\"http://ca.example/o\"}", "https"},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":\"https://evil.example/o\"}", "evil.example"},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":\"https://ca.example:444/o\"}", "444"},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":\"https://ca.example@evil.example/\"}", ""},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":\"https://127.0.0.1/o\"}", "127.0.0.1"},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":\"file:///etc/passwd\"}", "https"},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":\"https://ca.example/a b\"}", ""},
		{"{" NONCE "," ACCOUNT ",\"newOrder\":\"\"}", ""},
		{"{" NONCE "," NONCE "," ACCOUNT "," ORDER "}", "newNonce"},
		{"{" NONCE "," ACCOUNT "," ORDER ",\"meta\":{\"externalAccountRequired\":\"yes\"}}",
			"externalAccountRequired"},
	};
	struct certauto__directory got;
	certauto_error err;
	size_t i;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		check_error(&refusals[i], directory(&got, refusals[i].json, &err), &err);
}

/* ---- order ---- */

#define FINALIZE "\"finalize\":\"https://ca.example/fin/1\""
#define AUTHZ "\"authorizations\":[\"https://ca.example/z/1\",\"https://ca.example/z/2\"]"

static int order(struct certauto__order_document *out, const char *json, certauto_error *err)
{
	return certauto__order_document_parse(out, &origin, json, strlen(json), err);
}

static void test_order__pending(void **state)
{
	struct certauto__order_document got;

	(void)state;
	assert_int_equal(
		order(&got,
			"{\"status\":\"pending\",\"expires\":\"2026-01-20T14:09:07.99Z\","
			"\"identifiers\":[{\"type\":\"dns\",\"value\":\"WWW.example.org\"},"
			"{\"type\":\"ip\",\"value\":\"2001:db8::1\"}]," AUTHZ "," FINALIZE
			",\"error\":null,\"profile\":\"classic\"}",
			NULL),
		0);
	assert_int_equal(got.status, CERTAUTO_ORDER_PENDING);
	assert_int_equal(got.names.n, 2);
	assert_string_equal(got.names.items[0], "www.example.org");
	assert_string_equal(got.names.items[1], "2001:db8::1");
	assert_int_equal(got.authorizations.n, 2);
	assert_string_equal(got.authorizations.items[1], "https://ca.example/z/2");
	assert_string_equal(got.finalize, "https://ca.example/fin/1");
	assert_null(got.certificate);
	assert_false(got.problem.present);
	certauto__order_document_free(&got);
}

static void test_order__each_state(void **state)
{
	static const struct {
		const char *json;
		int status;
	} orders[] = {
		{"{\"status\":\"ready\"," FINALIZE "}", CERTAUTO_ORDER_READY},
		{"{\"status\":\"processing\"}", CERTAUTO_ORDER_PROCESSING},
		{"{\"status\":\"valid\",\"certificate\":\"https://ca.example/c/1\"}",
			CERTAUTO_ORDER_VALID},
		{"{\"status\":\"invalid\"}", CERTAUTO_ORDER_INVALID},
	};
	struct certauto__order_document got;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		assert_int_equal(order(&got, orders[i].json, NULL), 0);
		assert_int_equal(got.status, orders[i].status);
		certauto__order_document_free(&got);
	}
}

static void test_order__the_error_of_an_invalid_one_is_kept(void **state)
{
	struct certauto__order_document got;

	(void)state;
	assert_int_equal(order(&got,
				 "{\"status\":\"invalid\",\"error\":{\"type\":"
				 "\"urn:ietf:params:acme:error:caa\",\"detail\":\"CAA forbids\","
				 "\"subproblems\":[{\"detail\":\"this one\",\"identifier\":"
				 "{\"type\":\"dns\",\"value\":\"a.example\"}}]}}",
				 NULL),
		0);
	assert_true(got.problem.present);
	assert_true(certauto__problem_is(&got.problem, "caa"));
	assert_string_equal(got.problem.detail, "CAA forbids");
	assert_int_equal(got.problem.n_subproblems, 1);
	assert_string_equal(got.problem.subproblems[0].name, "a.example");
	certauto__order_document_free(&got);
}

static void test_order__hostile_ones_are_refused(void **state)
{
	static const struct refusal refusals[] = {
		{"{}", "status"},
		{"{\"status\":\"cooking\"}", "cooking"},
		{"{\"status\":\"new\"}", "unknown state"},
		{"{\"status\":\"\\u001b[2J\"}", "\\x1b"},
		{"{\"status\":[]}", "status"},
		{"{\"status\":\"pending\"," FINALIZE "}", "authorizations"},
		{"{\"status\":\"pending\"," AUTHZ "}", "finalize"},
		{"{\"status\":\"ready\"}", "finalize"},
		{"{\"status\":\"valid\"," FINALIZE "}", "certificate"},
		{"{\"status\":\"valid\",\"certificate\":\"https://evil.example/c\"}",
			"evil.example"},
		{"{\"status\":\"ready\",\"finalize\":\"https://evil.example/f\"}", "evil.example"},
		{"{\"status\":\"pending\"," FINALIZE
		 ",\"authorizations\":[\"https://evil.example/z\"]}",
			"evil.example"},
		{"{\"status\":\"pending\"," FINALIZE ",\"authorizations\":[1]}", "authorizations"},
		{"{\"status\":\"ready\"," FINALIZE ",\"identifiers\":[{\"value\":7}]}",
			"identifiers"},
		{"{\"status\":\"invalid\",\"error\":\"because\"}", "error"},
	};
	struct certauto__order_document got;
	certauto_error err;
	size_t i;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		check_error(&refusals[i], order(&got, refusals[i].json, &err), &err);
}

static void test_order__no_more_authorizations_than_names_can_be(void **state)
{
	static char json[100 * 1024];
	struct certauto__order_document got;
	certauto_error err;
	size_t n, i;

	(void)state;
	memset(&err, 0, sizeof(err));
	n = (size_t)snprintf(json, sizeof(json),
		"{\"status\":\"pending\"," FINALIZE ",\"authorizations\":[");
	for (i = 0; i <= CERTAUTO__IDENTIFIERS_MAX; i++)
		n += (size_t)snprintf(json + n, sizeof(json) - n, "%s\"https://ca.example/z/%zu\"",
			i > 0 ? "," : "", i);
	snprintf(json + n, sizeof(json) - n, "]}");
	assert_int_equal(order(&got, json, &err), CERTAUTO_EPROTO);
	certauto__error_clear(&err);
}

/* ---- authorization ---- */

#define IDENTIFIER "\"identifier\":{\"type\":\"dns\",\"value\":\"Example.org\"}"

static int authz(struct certauto__authz_document *out, const char *json, certauto_error *err)
{
	return certauto__authz_document_parse(out, &origin, json, strlen(json), err);
}

static void test_authz__challenges_of_all_types_are_kept(void **state)
{
	const struct certauto__challenge *challenge;
	struct certauto__authz_document got;

	(void)state;
	assert_int_equal(
		authz(&got,
			"{" IDENTIFIER ",\"status\":\"pending\",\"challenges\":["
			"{\"type\":\"dns-persist-01\",\"status\":\"pending\",\"token\":{\"new\":1},"
			"\"issuer-domain-names\":[\"ca.example\"]},"
			"{\"type\":\"http-01\",\"url\":\"https://ca.example/h/1\","
			"\"status\":\"invalid\","
			"\"token\":\"tok\",\"error\":{\"type\":\"urn:ietf:params:acme:error:connec"
			"tion\","
			"\"detail\":\"refused\"},\"validationRecord\":[{\"hostname\":\"x\"}]}]}",
			NULL),
		0);
	assert_int_equal(got.status, CERTAUTO__AUTHZ_PENDING);
	assert_string_equal(got.name, "example.org");
	assert_int_equal(got.n_challenges, 2);
	assert_null(certauto__authz_document_challenge(&got, "dns-01"));
	challenge = certauto__authz_document_challenge(&got, "http-01");
	assert_non_null(challenge);
	assert_int_equal(challenge->status, CERTAUTO__AUTHZ_INVALID);
	assert_string_equal(challenge->token, "tok");
	assert_string_equal(challenge->url, "https://ca.example/h/1");
	assert_string_equal(challenge->problem.detail, "refused");
	challenge = certauto__authz_document_challenge(&got, "dns-persist-01");
	assert_non_null(challenge);
	assert_null(challenge->token);
	assert_false(challenge->problem.present);
	certauto__authz_document_free(&got);
}

/* RFC 8555 7.1.4. */
static void test_authz__a_wildcard_has_its_star_back(void **state)
{
	struct certauto__authz_document got;

	(void)state;
	assert_int_equal(authz(&got, "{" IDENTIFIER ",\"status\":\"valid\",\"wildcard\":true}",
				 NULL),
		0);
	assert_string_equal(got.name, "*.example.org");
	assert_int_equal(got.status, CERTAUTO__AUTHZ_VALID);
	certauto__authz_document_free(&got);
	assert_int_equal(authz(&got, "{" IDENTIFIER ",\"status\":\"expired\",\"wildcard\":null}",
				 NULL),
		0);
	assert_string_equal(got.name, "example.org");
	assert_int_equal(got.status, CERTAUTO__AUTHZ_ENDED);
	certauto__authz_document_free(&got);
}

static void test_authz__hostile_ones_are_refused(void **state)
{
	static const struct refusal refusals[] = {
		{"{" IDENTIFIER "}", "status"},
		{"{\"status\":\"pending\"}", "identifier"},
		{"{\"status\":\"maybe\"," IDENTIFIER "}", "maybe"},
		{"{\"status\":\"pending\",\"identifier\":{\"value\":null}}", "identifier"},
		{"{\"status\":\"pending\",\"identifier\":{\"value\":[]}}", "identifier"},
		{"{\"status\":\"pending\"," IDENTIFIER ",\"wildcard\":\"no\"}", "wildcard"},
		{"{\"status\":\"pending\"," IDENTIFIER ",\"challenges\":[{\"type\":5}]}",
			"challenges"},
		{"{\"status\":\"pending\"," IDENTIFIER ",\"challenges\":[{\"error\":\"no\"}]}",
			"error"},
		{"{\"status\":\"pending\"," IDENTIFIER ",\"challenges[].type\":\"http-01\"}", ""},
		{"{\"status\":\"pending\"," IDENTIFIER ",\"challenges[].error.detail\":\"x\"}", ""},
	};
	struct certauto__authz_document got;
	certauto_error err;
	size_t i;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		check_error(&refusals[i], authz(&got, refusals[i].json, &err), &err);
}

static void test_authz__addresses_are_compared_in_their_shortest_form(void **state)
{
	struct certauto__authz_document got;

	(void)state;
	assert_int_equal(authz(&got,
				 "{\"identifier\":{\"type\":\"ip\",\"value\":"
				 "\"2001:DB8:0:0::0001\"},\"status\":\"valid\"}",
				 NULL),
		0);
	assert_string_equal(got.name, "2001:db8::1");
	certauto__authz_document_free(&got);
}

static void test_authz__issuers_of_dns_persist_01_are_kept(void **state)
{
	struct certauto__authz_document got;
	const struct certauto__challenge *challenge;

	(void)state;
	assert_int_equal(authz(&got,
				 "{" IDENTIFIER ",\"status\":\"pending\",\"challenges\":[{\"type\":"
				 "\"dns-persist-01\",\"issuer-domain-names\":[\"ca.example\",5,"
				 "\"b.example\"]},{\"type\":\"x\",\"issuer-domain-names\":null}]}",
				 NULL),
		0);
	challenge = certauto__authz_document_challenge(&got, "dns-persist-01");
	assert_int_equal(challenge->issuers.n, 3);
	assert_string_equal(challenge->issuers.items[0], "ca.example");
	assert_string_equal(challenge->issuers.items[1], ""); /* refused when it is used */
	assert_int_equal(got.challenges[1].issuers.n, 0);
	certauto__authz_document_free(&got);
}

static void test_authz__challenges_beyond_the_limit_are_passed_over(void **state)
{
	static char json[8192];
	struct certauto__authz_document got;
	size_t n, i;

	(void)state;
	n = (size_t)snprintf(json, sizeof(json),
		"{" IDENTIFIER ",\"status\":\"pending\",\"challenges\":[");
	for (i = 0; i < 300; i++)
		n += (size_t)snprintf(json + n, sizeof(json) - n, "%s{\"type\":\"t%zu\"}",
			i > 0 ? "," : "", i);
	snprintf(json + n, sizeof(json) - n, "]}");
	assert_int_equal(authz(&got, json, NULL), 0);
	assert_int_equal(got.n_challenges, CERTAUTO__CHALLENGES_MAX);
	assert_non_null(certauto__authz_document_challenge(&got, "t31"));
	assert_null(certauto__authz_document_challenge(&got, "t32"));
	certauto__authz_document_free(&got);
}

/* ---- challenge and account ---- */

static void test_challenge__states(void **state)
{
	struct certauto__challenge got;
	static const char processing[] = "{\"type\":\"http-01\",\"status\":\"processing\"}";
	static const char failed[] = "{\"type\":\"http-01\",\"status\":\"invalid\","
				     "\"error\":{\"detail\":\"no route\"}}";

	(void)state;
	assert_int_equal(certauto__challenge_parse(&got, &origin, processing,
				 sizeof(processing) - 1, NULL),
		0);
	assert_int_equal(got.status, CERTAUTO__AUTHZ_PROCESSING);
	certauto__challenge_free(&got);
	assert_int_equal(certauto__challenge_parse(&got, &origin, failed, sizeof(failed) - 1, NULL),
		0);
	assert_int_equal(got.status, CERTAUTO__AUTHZ_INVALID);
	assert_string_equal(got.problem.detail, "no route");
	certauto__challenge_free(&got);
}

static void test_account__deactivated_is_not_valid(void **state)
{
	static const struct {
		const char *json;
		int valid;
	} accounts[] = {
		{"{}", 1},
		{"{\"status\":null,\"contact\":null}", 1},
		{"{\"status\":\"valid\"}", 1},
		{"{\"status\":\"deactivated\"}", 0},
		{"{\"status\":\"revoked\"}", 0},
	};
	struct certauto__account_document document;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
		assert_int_equal(certauto__account_document_parse(&document, &origin,
					 accounts[i].json, strlen(accounts[i].json), NULL),
			0);
		assert_int_equal(document.valid, accounts[i].valid);
		certauto__account_document_free(&document);
	}
}

/* ---- every document, cut short and short of memory ---- */

static const char whole_order[] =
	"{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}],"
	AUTHZ
	"," FINALIZE
	",\"error\":{\"type\":\"t\",\"detail\":\"d\",\"subproblems\":[{\"type\":\"t\"}]}}";
static const char whole_authz[] =
	"{" IDENTIFIER
	",\"status\":\"pending\",\"wildcard\":true,\"challenges\":[{\"type\":\"http-01\","
	"\"url\":\"u\",\"token\":\"t\",\"status\":\"pending\",\"error\":{\"detail\":\"d\"}}]}";
static const char whole_directory[] =
	"{" NONCE "," ACCOUNT "," ORDER ",\"meta\":{\"termsOfService\":\"https://x.example/\"}}";

static int read_all(void *arg)
{
	struct certauto__order_document order_got;
	struct certauto__authz_document authz_got;
	struct certauto__directory directory_got;
	int rc;

	(void)arg;
	if ((rc = order(&order_got, whole_order, NULL)) < 0)
		return rc;
	certauto__order_document_free(&order_got);
	if ((rc = authz(&authz_got, whole_authz, NULL)) < 0)
		return rc;
	certauto__authz_document_free(&authz_got);
	if ((rc = directory(&directory_got, whole_directory, NULL)) < 0)
		return rc;
	certauto__directory_free(&directory_got);
	return 0;
}

static void test_documents__survive_want_of_memory(void **state)
{
	(void)state;
	unit_oom_sweep("documents", read_all, NULL);
}

static void test_documents__cut_short_are_refused(void **state)
{
	struct certauto__order_document order_got;
	struct certauto__authz_document authz_got;
	struct certauto__directory directory_got;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(whole_order) - 1; i++)
		assert_int_equal(certauto__order_document_parse(&order_got, &origin, whole_order, i,
					 NULL),
			CERTAUTO_EPROTO);
	for (i = 0; i < sizeof(whole_authz) - 1; i++)
		assert_int_equal(certauto__authz_document_parse(&authz_got, &origin, whole_authz, i,
					 NULL),
			CERTAUTO_EPROTO);
	for (i = 0; i < sizeof(whole_directory) - 1; i++)
		assert_int_equal(certauto__directory_parse(&directory_got, &origin, whole_directory,
					 i, NULL),
			CERTAUTO_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directory__of_a_real_ca),
		cmocka_unit_test(test_directory__null_is_absent),
		cmocka_unit_test(test_directory__hostile_ones_are_refused),
		cmocka_unit_test(test_order__pending),
		cmocka_unit_test(test_order__each_state),
		cmocka_unit_test(test_order__the_error_of_an_invalid_one_is_kept),
		cmocka_unit_test(test_order__hostile_ones_are_refused),
		cmocka_unit_test(test_order__no_more_authorizations_than_names_can_be),
		cmocka_unit_test(test_authz__challenges_of_all_types_are_kept),
		cmocka_unit_test(test_authz__a_wildcard_has_its_star_back),
		cmocka_unit_test(test_authz__hostile_ones_are_refused),
		cmocka_unit_test(test_authz__addresses_are_compared_in_their_shortest_form),
		cmocka_unit_test(test_authz__issuers_of_dns_persist_01_are_kept),
		cmocka_unit_test(test_authz__challenges_beyond_the_limit_are_passed_over),
		cmocka_unit_test(test_challenge__states),
		cmocka_unit_test(test_account__deactivated_is_not_valid),
		cmocka_unit_test(test_documents__survive_want_of_memory),
		cmocka_unit_test(test_documents__cut_short_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
