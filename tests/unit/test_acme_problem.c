/* SPDX-License-Identifier: Apache-2.0 */
/* Problem documents: the CA's own words reach the error, hostile ones escaped and cut. */

#include "unit.h"

#include "acme/problem.h"
#include "core/text.h"

static struct certauto__problem parsed(const char *json)
{
	struct certauto__problem problem;

	memset(&problem, 0, sizeof(problem));
	assert_int_equal(certauto__problem_parse(&problem, "answer", json, strlen(json), NULL), 0);
	return problem;
}

static certauto_error told(const char *json, int code)
{
	struct certauto__problem problem = parsed(json);
	certauto_error err;

	memset(&err, 0, sizeof(err));
	certauto__problem_tell(&err, code, "a.example", &problem,
		"POST https://ca.example/x: HTTP 400");
	certauto__problem_free(&problem);
	return err;
}

static void check_code(const char *kind, int code)
{
	char json[256];
	certauto_error err;

	snprintf(json, sizeof(json),
		"{\"type\":\"urn:ietf:params:acme:error:%s\",\"detail\":\"d\"}", kind);
	err = told(json, 0);
	if (err.code != code)
		fail_msg("%s is %s, wanted %s", kind, certauto_error_name(err.code),
			certauto_error_name(code));
	certauto__error_clear(&err);
}

static void test_problem__types_are_decisions(void **state)
{
	(void)state;
	check_code("accountDoesNotExist", CERTAUTO_EAUTH);
	check_code("badCSR", CERTAUTO_EREFUSED);
	check_code("caa", CERTAUTO_ECHALLENGE);
	check_code("connection", CERTAUTO_ECHALLENGE);
	check_code("externalAccountRequired", CERTAUTO_EAUTH);
	check_code("invalidContact", CERTAUTO_EINVAL);
	check_code("rateLimited", CERTAUTO_ERETRY_LATER);
	check_code("rejectedIdentifier", CERTAUTO_EREFUSED);
	check_code("userActionRequired", CERTAUTO_EPERM);
	check_code("agreementRequired", CERTAUTO_EINVAL);
	check_code("unheardOf", CERTAUTO_EREFUSED);
}

static void test_problem__what_does_not_go_away_by_asking_again(void **state)
{
	static const char urn[] = "urn:ietf:params:acme:error:";
	static const char *const final[] = {"malformed", "badCSR", "badPublicKey",
		"rejectedIdentifier", "unsupportedIdentifier", "externalAccountRequired",
		"unsupportedContact", "invalidContact", "unauthorized", "accountDoesNotExist",
		"invalidProfile", "userActionRequired", "caa"};
	static const char *const open[] = {"rateLimited", "dns", "connection", "tls",
		"incorrectResponse", "serverInternal", "badNonce", "unheardOf", ""};
	char type[80];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(final) / sizeof(final[0]); i++) {
		snprintf(type, sizeof(type), "%s%s", urn, final[i]);
		if (!certauto__problem_is_final(type) || certauto__problem_is_final(final[i]))
			fail_msg("%s", final[i]);
	}
	for (i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		snprintf(type, sizeof(type), "%s%s", urn, open[i]);
		if (certauto__problem_is_final(type))
			fail_msg("%s", open[i]);
	}
	assert_false(certauto__problem_is_final(NULL));
}

static void test_problem__the_ca_s_own_words_get_through(void **state)
{
	certauto_error err = told("{\"type\":\"urn:ietf:params:acme:error:rejectedIdentifier\","
				  "\"detail\":\"policy forbids\",\"status\":403}",
		0);

	(void)state;
	assert_string_equal(certauto_error_message(&err),
		"POST https://ca.example/x: HTTP 400: \"policy forbids\" (rejectedIdentifier)");
	assert_string_equal(certauto_error_problem(&err),
		"urn:ietf:params:acme:error:rejectedIdentifier");
	assert_string_equal(certauto_error_object(&err), "a.example");
	assert_int_equal(certauto_error_status(&err), 403);
	assert_non_null(certauto_error_advice(&err));
	certauto__error_clear(&err);
}

static void test_problem__the_caller_may_say_what_it_means(void **state)
{
	certauto_error err =
		told("{\"type\":\"urn:ietf:params:acme:error:unauthorized\"}", CERTAUTO_ECHALLENGE);

	(void)state;
	assert_int_equal(certauto_error_code(&err), CERTAUTO_ECHALLENGE);
	/* It is the answer to the challenge that was wrong, not the account. */
	assert_null(strstr(certauto_error_advice(&err), "account"));
	certauto__error_clear(&err);
}

static void test_problem__subproblems_carry_their_names(void **state)
{
	certauto_error err = told(
		"{\"type\":\"urn:ietf:params:acme:error:malformed\",\"detail\":\"some\","
		"\"subproblems\":["
		"{\"type\":\"urn:ietf:params:acme:error:caa\",\"detail\":\"no\","
		"\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"}},"
		"{\"identifier\":{\"type\":\"dns\",\"value\":\"b.example\"},\"detail\":\"nor "
		"that\"},"
		"{\"detail\":\"of nobody\"}]}",
		0);

	(void)state;
	assert_int_equal(certauto_error_n_subproblems(&err), 3);
	assert_string_equal(certauto_error_subproblem_name(&err, 0), "a.example");
	assert_string_equal(certauto_error_subproblem_problem(&err, 0),
		"urn:ietf:params:acme:error:caa");
	assert_string_equal(certauto_error_subproblem_detail(&err, 0), "no");
	assert_string_equal(certauto_error_subproblem_name(&err, 1), "b.example");
	assert_null(certauto_error_subproblem_problem(&err, 1));
	assert_null(certauto_error_subproblem_name(&err, 2));
	certauto__error_clear(&err);
}

static void test_problem__instance_is_where_to_go(void **state)
{
	certauto_error err = told("{\"type\":\"urn:ietf:params:acme:error:userActionRequired\","
				  "\"instance\":\"https://ca.example/agree\"}",
		0);

	(void)state;
	assert_non_null(strstr(certauto_error_advice(&err), "https://ca.example/agree"));
	certauto__error_clear(&err);
}

/* GoDaddy, Keyfactor and step-ca leave members out, or write null. */
static void test_problem__what_is_missing_is_no_error(void **state)
{
	struct certauto__problem problem =
		parsed("{\"type\":null,\"detail\":null,\"status\":\"400\"}");
	certauto_error err;

	(void)state;
	assert_string_equal(certauto__problem_kind(&problem), "");
	assert_false(certauto__problem_is(&problem, "badNonce"));
	certauto__problem_free(&problem);
	err = told("{}", 0);
	assert_string_equal(certauto_error_message(&err),
		"POST https://ca.example/x: HTTP 400: no reason given");
	assert_null(certauto_error_problem(&err));
	certauto__error_clear(&err);
}

/* Decisions are made by the whole URN: "badNonce" of another name space is something else. */
static void test_problem__kind_is_compared_with_its_name_space(void **state)
{
	struct certauto__problem problem = parsed("{\"type\":\"https://evil.example/badNonce\"}");

	(void)state;
	assert_false(certauto__problem_is(&problem, "badNonce"));
	certauto__problem_free(&problem);
	problem = parsed("{\"type\":\"badNonce\"}");
	assert_false(certauto__problem_is(&problem, "badNonce"));
	certauto__problem_free(&problem);
	problem = parsed("{\"type\":\"urn:ietf:params:acme:error:badNonce\"}");
	assert_true(certauto__problem_is(&problem, "badNonce"));
	certauto__problem_free(&problem);
}

static void test_problem__hostile_text_is_escaped_and_cut(void **state)
{
	char json[5000], words[4001];
	certauto_error err;

	(void)state;
	err = told("{\"type\":\"a\\u001bb\",\"detail\":\"\\u001b[2J%s%n\\u202egpj\","
		   "\"instance\":\"x\\r\\ny\",\"subproblems\":[{\"detail\":\"\\u0007\"}]}",
		0);
	assert_non_null(strstr(certauto_error_message(&err), "\\x1b[2J%s%n\\xe2\\x80\\xaegpj"));
	assert_null(strchr(certauto_error_message(&err), 0x1b));
	assert_null(strchr(certauto_error_problem(&err), 0x1b));
	assert_null(strpbrk(certauto_error_advice(&err), "\r\n"));
	assert_string_equal(certauto_error_subproblem_detail(&err, 0), "\\x07");
	certauto__error_clear(&err);

	memset(words, 'x', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	snprintf(json, sizeof(json), "{\"detail\":\"%s\"}", words);
	err = told(json, 0);
	assert_true(strlen(certauto_error_message(&err)) < CERTAUTO__SHOWN_MAX + 100);
	certauto__error_clear(&err);
}

static void check_refused(const char *json)
{
	struct certauto__problem problem;
	certauto_error err;

	memset(&problem, 0, sizeof(problem));
	memset(&err, 0, sizeof(err));
	if (certauto__problem_parse(&problem, "answer", json, strlen(json), &err) !=
	    CERTAUTO_EPROTO)
		fail_msg("accepted %s", json);
	assert_int_equal(certauto_error_code(&err), CERTAUTO_EPROTO);
	assert_null(problem.type);
	certauto__error_clear(&err);
}

static void test_problem__other_shapes_are_refused(void **state)
{
	char many[9000];
	size_t i, n;

	(void)state;
	check_refused("");
	check_refused("[]");
	check_refused("<html>503</html>");
	check_refused("{\"type\":1}");
	check_refused("{\"detail\":{\"a\":1}}");
	check_refused("{\"subproblems\":[{\"detail\":[]}]}");
	check_refused("{\"type\":\"a\",\"type\":\"b\"}");
	check_refused("{\"subproblems[].type\":\"a\"}");
	check_refused("{\"subproblems[].identifier.value\":\"a\"}");
	check_refused("{\"detail\":\"a\\u0000b\"}");
	n = (size_t)snprintf(many, sizeof(many), "{\"subproblems\":[");
	for (i = 0; i < 2000; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "{},");
	snprintf(many + n, sizeof(many) - n, "{\"detail\":\"x\"}]}");
	check_refused(many);
}

static int read_and_tell(void *arg)
{
	static const char json[] = "{\"type\":\"t\",\"detail\":\"d\",\"instance\":\"i\","
				   "\"subproblems\":[{\"type\":\"t\",\"detail\":\"d\","
				   "\"identifier\":{\"value\":\"v\"}}]}";
	struct certauto__problem problem;
	int rc;

	(void)arg;
	memset(&problem, 0, sizeof(problem));
	rc = certauto__problem_parse(&problem, "answer", json, sizeof(json) - 1, NULL);
	certauto__problem_free(&problem);
	return rc;
}

static void test_problem__survives_want_of_memory(void **state)
{
	(void)state;
	unit_oom_sweep("problem", read_and_tell, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_problem__types_are_decisions),
		cmocka_unit_test(test_problem__what_does_not_go_away_by_asking_again),
		cmocka_unit_test(test_problem__the_ca_s_own_words_get_through),
		cmocka_unit_test(test_problem__the_caller_may_say_what_it_means),
		cmocka_unit_test(test_problem__subproblems_carry_their_names),
		cmocka_unit_test(test_problem__instance_is_where_to_go),
		cmocka_unit_test(test_problem__what_is_missing_is_no_error),
		cmocka_unit_test(test_problem__kind_is_compared_with_its_name_space),
		cmocka_unit_test(test_problem__hostile_text_is_escaped_and_cut),
		cmocka_unit_test(test_problem__other_shapes_are_refused),
		cmocka_unit_test(test_problem__survives_want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
