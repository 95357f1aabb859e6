/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: codes and their texts, what is copied, moved and cut, and subproblems. */

#include "unit.h"

#include <errno.h>

#include "core/error.h"

struct code {
	int code;
	const char *name;
	const char *text;
};

/* Written out, not made from the list: a number that changes breaks programs that are compiled. */
static const struct code codes[] = {
	{-1, "CERTAUTO_EINVAL", "invalid argument"},
	{-2, "CERTAUTO_ENOMEM", "out of memory"},
	{-3, "CERTAUTO_ECONFIG", "the configuration is wrong"},
	{-4, "CERTAUTO_EIO", "cannot read or write"},
	{-5, "CERTAUTO_ENOTFOUND", "not found"},
	{-6, "CERTAUTO_EBUSY", "in use or locked by someone else"},
	{-7, "CERTAUTO_ECANCELED", "cancelled"},
	{-8, "CERTAUTO_ETIMEDOUT", "the deadline has passed"},
	{-9, "CERTAUTO_ENET", "the network failed"},
	{-10, "CERTAUTO_ETLS", "the TLS connection could not be trusted"},
	{-11, "CERTAUTO_EPROTO", "the peer broke the protocol"},
	{-12, "CERTAUTO_EAUTH", "the credentials were refused"},
	{-13, "CERTAUTO_EPERM", "a right is missing"},
	{-14, "CERTAUTO_EREFUSED", "the peer refused"},
	{-15, "CERTAUTO_ECHALLENGE", "a challenge failed"},
	{-16, "CERTAUTO_ERETRY_LATER", "try again later"},
	{-17, "CERTAUTO_ECERT", "the certificate is not acceptable"},
	{-18, "CERTAUTO_ENOTSERVED", "the certificate is not served"},
	{-19, "CERTAUTO_EROLLBACK", "a change could not be taken back"},
	{-20, "CERTAUTO_EUNSUPPORTED", "not supported"},
	{-21, "CERTAUTO_EFORKED", "used in a forked child process"},
};

#define N_CODES (sizeof(codes) / sizeof(codes[0]))

static void test_error__every_code_keeps_its_value_name_and_text(void **state)
{
	static const int listed[] = {
#define VALUE(name, value, class_name, text) CERTAUTO_##name,
		CERTAUTO_ERROR_MAP(VALUE)
#undef VALUE
	};
	size_t i;

	(void)state;
	assert_int_equal(sizeof(listed) / sizeof(listed[0]), N_CODES);
	for (i = 0; i < N_CODES; i++) {
		assert_int_equal(listed[i], codes[i].code);
		assert_string_equal(certauto_error_name(codes[i].code), codes[i].name);
		assert_string_equal(certauto_error_text(codes[i].code), codes[i].text);
	}
}

static void test_error__class_names_are_unique(void **state)
{
	static const char *const names[] = {
#define CLASS(name, value, class_name, text) #class_name,
		CERTAUTO_ERROR_MAP(CLASS)
#undef CLASS
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < N_CODES; i++)
		for (j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
}

static void test_error__codes_that_are_none(void **state)
{
	(void)state;
	assert_string_equal(certauto_error_name(CERTAUTO_OK), "CERTAUTO_OK");
	assert_string_equal(certauto_error_name(CERTAUTO_AGAIN), "CERTAUTO_AGAIN");
	assert_string_equal(certauto_error_name(-22), "CERTAUTO_UNKNOWN");
	assert_string_equal(certauto_error_name(INT32_MIN), "CERTAUTO_UNKNOWN");
	assert_string_equal(certauto_error_text(-22), "unknown error");
	assert_string_equal(certauto_error_text(CERTAUTO_OK), "no error");
	assert_string_equal(certauto_error_text(CERTAUTO_AGAIN), "still running");
}

static void test_error__null_has_no_properties(void **state)
{
	(void)state;
	assert_int_equal(certauto_error_code(NULL), 0);
	assert_null(certauto_error_message(NULL));
	assert_null(certauto_error_object(NULL));
	assert_null(certauto_error_problem(NULL));
	assert_null(certauto_error_advice(NULL));
	assert_int_equal(certauto_error_status(NULL), 0);
	assert_int_equal(certauto_error_retry_at(NULL), 0);
	assert_int_equal(certauto_error_n_subproblems(NULL), 0);
	assert_null(certauto_error_subproblem_name(NULL, 0));
}

static void test_error__null_is_fine_everywhere(void **state)
{
	certauto_error err;

	(void)state;
	memset(&err, 0, sizeof(err));
	assert_int_equal(certauto__error_set(NULL, CERTAUTO_ENET, "x", "y"), CERTAUTO_ENET);
	assert_int_equal(certauto__error_nomem(NULL), CERTAUTO_ENOMEM);
	assert_int_equal(certauto__error_errno(NULL, ENOENT, "x", "y"), CERTAUTO_ENOTFOUND);
	assert_int_equal(certauto__error_advise(NULL, "x"), CERTAUTO_EINVAL);
	assert_int_equal(certauto__error_prefix(NULL, "x"), CERTAUTO_EINVAL);
	assert_int_equal(certauto__error_add_subproblem(NULL, "a", "b", "c"), 0);
	certauto__error_set_problem(NULL, "x");
	certauto__error_clear(NULL);
	certauto__error_move(&err, NULL);
	assert_int_equal(certauto__error_copy(&err, NULL), 0);
	certauto__error_set(&err, CERTAUTO_ENET, NULL, "x");
	assert_int_equal(certauto__error_copy(NULL, &err), CERTAUTO_ENET);
	certauto__error_move(NULL, &err);
	assert_int_equal(err.code, 0);
}

static void test_error__carries_all_that_was_said(void **state)
{
	certauto_error err;

	(void)state;
	memset(&err, 0, sizeof(err));
	err.status = 403;
	assert_int_equal(certauto__error_set(&err, CERTAUTO_EREFUSED, "https://ca/order/1",
		"finalize: HTTP %d", 403), CERTAUTO_EREFUSED);
	certauto__error_set_problem(&err, "urn:ietf:params:acme:error:badCSR");
	assert_int_equal(certauto__error_advise(&err, "make a %s key", "P-256"), CERTAUTO_EREFUSED);
	assert_int_equal(certauto__error_add_subproblem(&err, "a.example", "urn:x", "no"), 0);
	assert_int_equal(certauto__error_add_subproblem(&err, "b.example", NULL, NULL), 0);
	assert_int_equal(certauto__error_prefix(&err, "order %d", 7), CERTAUTO_EREFUSED);

	assert_int_equal(certauto_error_code(&err), CERTAUTO_EREFUSED);
	assert_string_equal(certauto_error_message(&err), "order 7: finalize: HTTP 403");
	assert_string_equal(certauto_error_object(&err), "https://ca/order/1");
	assert_string_equal(certauto_error_problem(&err), "urn:ietf:params:acme:error:badCSR");
	assert_string_equal(certauto_error_advice(&err), "make a P-256 key");
	assert_int_equal(certauto_error_status(&err), 403);
	assert_int_equal(certauto_error_n_subproblems(&err), 2);
	assert_string_equal(certauto_error_subproblem_name(&err, 0), "a.example");
	assert_string_equal(certauto_error_subproblem_problem(&err, 0), "urn:x");
	assert_string_equal(certauto_error_subproblem_detail(&err, 0), "no");
	assert_string_equal(certauto_error_subproblem_name(&err, 1), "b.example");
	assert_null(certauto_error_subproblem_detail(&err, 1));
	assert_null(certauto_error_subproblem_name(&err, 2));
	certauto__error_clear(&err);
	assert_int_equal(certauto_error_code(&err), 0);
	assert_int_equal(certauto_error_n_subproblems(&err), 0);
}

static void test_error__the_first_is_the_reason(void **state)
{
	certauto_error err;

	(void)state;
	memset(&err, 0, sizeof(err));
	certauto__error_set(&err, CERTAUTO_ENET, NULL, "first");
	assert_int_equal(certauto__error_set(&err, CERTAUTO_EIO, NULL, "second"), CERTAUTO_EIO);
	assert_int_equal(certauto_error_code(&err), CERTAUTO_ENET);
	assert_string_equal(certauto_error_message(&err), "first");
	certauto__error_clear(&err);
	certauto__error_set(&err, CERTAUTO_EIO, NULL, "second");
	assert_string_equal(certauto_error_message(&err), "second");
	certauto__error_clear(&err);
}

/* 2,047 bytes at most; the cut falls into a two-byte character and moves in front of it. */
static void test_error__long_messages_are_cut_between_characters(void **state)
{
	certauto_error err;
	char text[4000];
	size_t i, len;

	(void)state;
	memset(&err, 0, sizeof(err));
	text[0] = 'x';
	for (i = 1; i < 3999; i += 2)
		memcpy(text + i, "\xC3\xA9", 3);
	certauto__error_set(&err, CERTAUTO_EIO, NULL, "%s", text);
	len = strlen(err.message);
	assert_true(len > 2000 && len < 2048);
	assert_string_equal(err.message + len - 5, "\xC3\xA9...");
	certauto__error_prefix(&err, "%s", "p");
	assert_memory_equal(err.message, "p: x", 4);
	certauto__error_clear(&err);
}

/* They go into terminals and logs as they are. */
static void test_error__what_a_terminal_would_obey_is_taken_out(void **state)
{
	static const char odd[] = "a\x1b[2J\nb\x7f\xc2\x9b\xe2\x80\xae\xff caf\xc3\xa9";
	certauto_error error = {0};

	(void)state;
	certauto__error_set(&error, CERTAUTO_EIO, "x\ny", "%s", odd);
	certauto__error_advise(&error, "do\r%s", "it");
	certauto__error_prefix(&error, "at\t%s", "z");
	certauto__error_set_problem(&error, "p\n");
	assert_int_equal(certauto__error_add_subproblem(&error, "n\n", NULL, "d\n"), 0);
	assert_string_equal(error.message, "at?z: a?[2J?b??????? caf\xc3\xa9");
	assert_string_equal(error.object, "x?y");
	assert_string_equal(error.advice, "do?it");
	assert_string_equal(error.problem, "p?");
	assert_string_equal(error.subproblems[0].name, "n?");
	assert_string_equal(error.subproblems[0].detail, "d?");
	certauto__error_clear(&error);
}

static void test_error__own_fields_may_be_arguments(void **state)
{
	certauto_error err;

	(void)state;
	memset(&err, 0, sizeof(err));
	certauto__error_set(&err, CERTAUTO_EIO, NULL, "%s", "message");
	certauto__error_advise(&err, "see %s", err.message);
	certauto__error_advise(&err, "%s, %s", err.advice, err.advice);
	certauto__error_prefix(&err, "%s", err.message);
	assert_string_equal(err.advice, "see message, see message");
	assert_string_equal(err.message, "message: message");
	certauto__error_clear(&err);
}

static void test_error__errno_becomes_a_decision(void **state)
{
	static const struct {
		int number, code;
		const char *message;
	} cases[] = {
		{ENOENT, CERTAUTO_ENOTFOUND, "open: No such file or directory"},
		{EACCES, CERTAUTO_EPERM, "open: Permission denied"},
		{EPERM, CERTAUTO_EPERM, "open: Operation not permitted"},
		{ENOSPC, CERTAUTO_EIO, "open: No space left on device"},
		{ENOMEM, CERTAUTO_ENOMEM, "open: Cannot allocate memory"},
		{EAGAIN, CERTAUTO_EBUSY, "open: Resource temporarily unavailable"},
		{ECONNREFUSED, CERTAUTO_ENET, "open: Connection refused"},
		{ETIMEDOUT, CERTAUTO_ETIMEDOUT, "open: Connection timed out"},
		{99999, CERTAUTO_EIO, "open: error 99999"},
	};
	certauto_error err;
	size_t i;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(certauto__error_errno(&err, cases[i].number, "/x", "open"),
			cases[i].code);
		assert_string_equal(certauto_error_message(&err), cases[i].message);
		assert_string_equal(certauto_error_object(&err), "/x");
		certauto__error_clear(&err);
	}
}

static void test_error__copy_and_move(void **state)
{
	certauto_error from, to;

	(void)state;
	memset(&from, 0, sizeof(from));
	memset(&to, 0, sizeof(to));
	certauto__error_set(&to, CERTAUTO_EIO, "old", "old");
	certauto__error_set(&from, CERTAUTO_ENET, "url", "text");
	certauto__error_add_subproblem(&from, "name", "problem", "detail");
	from.status = 500;
	from.retry_at = 1795266000;
	assert_int_equal(certauto__error_copy(&to, &from), CERTAUTO_ENET);
	assert_int_equal(certauto__error_copy(&to, &to), CERTAUTO_ENET);
	assert_ptr_not_equal(to.message, from.message);
	assert_string_equal(to.message, "text");
	assert_string_equal(to.object, "url");
	assert_int_equal(to.status, 500);
	assert_int_equal(to.retry_at, 1795266000);
	assert_string_equal(certauto_error_subproblem_detail(&to, 0), "detail");
	certauto__error_move(&to, &from);
	certauto__error_move(&to, &to);
	assert_int_equal(from.code, 0);
	assert_null(from.message);
	assert_string_equal(to.message, "text");
	assert_int_equal(certauto_error_n_subproblems(&to), 1);
	certauto__error_clear(&to);
}

static void test_error__subproblems_have_a_limit(void **state)
{
	certauto_error err;
	int i;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (i = 0; i < 1000; i++)
		assert_int_equal(certauto__error_add_subproblem(&err, "n", "p", "d"), 0);
	assert_int_equal(certauto__error_add_subproblem(&err, "n", "p", "d"), CERTAUTO_EPROTO);
	assert_int_equal(err.n_subproblems, 1000);
	certauto__error_clear(&err);
}

/* Whatever fails, the code arrives and there is a message. */
static void test_error__code_stands_when_memory_is_short(void **state)
{
	certauto_error err, copy;
	long n;

	(void)state;
	memset(&err, 0, sizeof(err));
	memset(&copy, 0, sizeof(copy));
	for (n = 1; n < 20; n++) {
		certauto__alloc_fail_at(n, 1);
		assert_int_equal(certauto__error_set(&err, CERTAUTO_ENET, "url", "text"),
			CERTAUTO_ENET);
		certauto__error_advise(&err, "advice");
		certauto__error_set_problem(&err, "problem");
		certauto__error_prefix(&err, "prefix");
		if (certauto__error_add_subproblem(&err, "a", "b", "c") < 0)
			assert_int_equal(err.n_subproblems, 0);
		assert_int_equal(certauto__error_copy(&copy, &err), CERTAUTO_ENET);
		certauto__alloc_fail_at(0, 0);
		assert_int_equal(certauto_error_code(&copy), CERTAUTO_ENET);
		assert_non_null(certauto_error_message(&copy));
		if (n == 1)
			assert_string_equal(certauto_error_message(&err), "the network failed");
		certauto__error_clear(&err);
		certauto__error_clear(&copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error__every_code_keeps_its_value_name_and_text),
		cmocka_unit_test(test_error__class_names_are_unique),
		cmocka_unit_test(test_error__codes_that_are_none),
		cmocka_unit_test(test_error__null_has_no_properties),
		cmocka_unit_test(test_error__null_is_fine_everywhere),
		cmocka_unit_test(test_error__carries_all_that_was_said),
		cmocka_unit_test(test_error__the_first_is_the_reason),
		cmocka_unit_test(test_error__long_messages_are_cut_between_characters),
		cmocka_unit_test(test_error__what_a_terminal_would_obey_is_taken_out),
		cmocka_unit_test(test_error__own_fields_may_be_arguments),
		cmocka_unit_test(test_error__errno_becomes_a_decision),
		cmocka_unit_test(test_error__copy_and_move),
		cmocka_unit_test(test_error__subproblems_have_a_limit),
		cmocka_unit_test(test_error__code_stands_when_memory_is_short),
	};

	return cmocka_run_group_tests_name("core/error", tests, NULL, NULL);
}
