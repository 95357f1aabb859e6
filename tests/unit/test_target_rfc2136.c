/* SPDX-License-Identifier: Apache-2.0 */
/* The rfc2136 target with a program in place of nsupdate: what it is given, and what is made of
 * what it says. */

#include "unit_target.h"

#include "jobs/target.h"

#define TIMEOUT_MS 20000
#define KEY_AUTH "aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbb"
#define KEY_AUTH_TXT "3JxkJP1DeZkV_BNUKFoMwPtbnOEmNP3iCkzggAFXa2E"

struct update {
	struct lab *lab;
	char program[128], key[128], script[128], argv[128];
};

/* status and words: how it ends, and what it says then. */
static void program_write(const struct update *u, int status, const char *words)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"#!/bin/sh\ncat >>%s\necho \"$@\" >>%s\nprintf '%%s\\n' '%s' >&2\nexit %d\n",
		u->script, u->argv, words, status);
	lab_write(u->program, text, 0755);
}

static struct update *update_new(void)
{
	struct update *u = calloc(1, sizeof(*u));

	assert_non_null(u);
	u->lab = lab_new();
	snprintf(u->program, sizeof(u->program), "%s/nsupdate", u->lab->folder);
	snprintf(u->key, sizeof(u->key), "%s/key", u->lab->folder);
	snprintf(u->script, sizeof(u->script), "%s/script", u->lab->folder);
	snprintf(u->argv, sizeof(u->argv), "%s/argv", u->lab->folder);
	lab_write(u->key, "key certauto { };\n", 0600);
	program_write(u, 0, "");
	return u;
}

static void update_free(struct update *u)
{
	lab_free(u->lab);
	free(u);
}

static certauto_target *target_new(const struct update *u)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto_target_new(&target, u->lab->cx, "rfc2136"), 0);
	lab_set(target, "nsupdate", u->program);
	lab_set(target, "key_file", u->key);
	lab_set(target, "dns_check", "no");
	return target;
}

static int answer(const struct update *u, int clean, const char *name, const char *value,
	const char *option, const char *option_value)
{
	certauto_target *target = target_new(u);
	int rc;

	if (option != NULL)
		lab_set(target, option, option_value);
	rc = clean ? certauto_target_cleanup(target, "dns-01", name, "token", value, TIMEOUT_MS)
		   : certauto_target_present(target, "dns-01", name, "token", value, TIMEOUT_MS);
	certauto_target_free(target);
	return rc;
}

static void script_is(struct update *u, const char *text)
{
	char data[4096] = "";
	FILE *file = fopen(u->script, "r");

	assert_non_null(file);
	data[fread(data, 1, sizeof(data) - 1, file)] = '\0';
	fclose(file);
	assert_string_equal(data, text);
	assert_int_equal(unlink(u->script), 0);
}

static void test_target_rfc2136__the_value_is_added_and_that_one_is_removed(void **state)
{
	struct update *u = update_new();
	char argv[256];

	(void)state;
	assert_int_equal(answer(u, 0, "*.shop.example", KEY_AUTH, NULL, NULL), 0);
	script_is(u,
		"update add _acme-challenge.shop.example. 60 TXT \"" KEY_AUTH_TXT "\"\nsend\n");
	snprintf(argv, sizeof(argv), "-t 60 -k %s\n", u->key);
	assert_true(lab_holds(u->argv, argv));
	assert_int_equal(answer(u, 1, "shop.example", KEY_AUTH, NULL, NULL), 0);
	script_is(u,
		"update delete _acme-challenge.shop.example. TXT \"" KEY_AUTH_TXT "\"\nsend\n");
	/* Which of several it was is not known: none is touched. */
	assert_int_equal(answer(u, 1, "shop.example", NULL, NULL, NULL), CERTAUTO_EINVAL);
	lab_says(u->lab, "which TXT value");
	assert_int_equal(access(u->script, F_OK), -1);
	update_free(u);
}

static void check_server(struct update *u, const char *server, const char *line)
{
	char text[512];

	assert_int_equal(answer(u, 0, "a.example", "text", "server", server), 0);
	snprintf(text, sizeof(text), "%supdate add _acme-challenge.a.example. 60 TXT \"text\"\n"
		"send\n", line);
	script_is(u, text);
}

static void test_target_rfc2136__a_server_is_two_words(void **state)
{
	struct update *u = update_new();

	(void)state;
	check_server(u, "192.0.2.1", "server 192.0.2.1 53\n");
	check_server(u, "ns1.example:5353", "server ns1.example 5353\n");
	check_server(u, "[2001:db8::1]", "server 2001:db8::1 53\n");
	check_server(u, "[2001:db8::1]:5353", "server 2001:db8::1 5353\n");
	assert_int_equal(answer(u, 0, "a.example", "text", "server", "a;b"), CERTAUTO_EINVAL);
	lab_says(u->lab, "is not host:port");
	assert_int_equal(answer(u, 0, "a.example", "text", "zone", "a b"), CERTAUTO_EINVAL);
	lab_says(u->lab, "is not the name of a zone");
	update_free(u);
}

static void test_target_rfc2136__a_value_is_never_a_command(void **state)
{
	struct update *u = update_new();
	char value[301], expected[600];

	(void)state;
	assert_int_equal(answer(u, 0, "a.example", "a\" \\x", NULL, NULL), 0);
	script_is(u, "update add _acme-challenge.a.example. 60 TXT \"a\\\" \\\\x\"\nsend\n");
	assert_int_equal(answer(u, 0, "a.example", "a\nsend", NULL, NULL), CERTAUTO_EINVAL);
	assert_int_equal(answer(u, 0, "a example", "a", NULL, NULL), CERTAUTO_EINVAL);
	lab_says(u->lab, "characters that none may have");
	assert_int_equal(access(u->script, F_OK), -1);
	/* A string of a TXT record has 255 bytes at most. */
	memset(value, 'x', 300);
	value[300] = '\0';
	assert_int_equal(answer(u, 0, "a.example", value, NULL, NULL), 0);
	snprintf(expected, sizeof(expected),
		"update add _acme-challenge.a.example. 60 TXT \"%.255s\" \"%.45s\"\nsend\n", value,
		value);
	script_is(u, expected);
	update_free(u);
}

static int n_runs(const struct update *u)
{
	FILE *file = fopen(u->argv, "r");
	int c, n = 0;

	assert_non_null(file);
	while ((c = fgetc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

/* taken_back: the server may have the value, so it is told to forget it. */
static void check_said(const char *words, int status, int code, int taken_back)
{
	struct update *u = update_new();

	program_write(u, status, words);
	if (answer(u, 0, "a.example", "text", NULL, NULL) != code)
		fail_msg("\"%s\": %s", words, lab_message(u->lab));
	assert_int_equal(n_runs(u), 1 + taken_back);
	update_free(u);
}

static void test_target_rfc2136__what_nsupdate_says_has_a_meaning(void **state)
{
	(void)state;
	check_said("update failed: NOTAUTH(BADKEY)", 2, CERTAUTO_EAUTH, 0);
	check_said("update failed: NOTAUTH(BADSIG)", 2, CERTAUTO_EAUTH, 0);
	check_said("clocks are unsynchronized", 1, CERTAUTO_EAUTH, 0);
	check_said("update failed: REFUSED", 2, CERTAUTO_EPERM, 0);
	check_said("update failed: NOTAUTH", 2, CERTAUTO_ENOTFOUND, 0);
	check_said("update failed: NOTZONE", 2, CERTAUTO_EINVAL, 0);
	check_said("could not read key from x", 1, CERTAUTO_ECONFIG, 0);
	check_said("Communication with ::1#53 failed: connection refused", 1, CERTAUTO_ENET, 0);
	/* What is not known for certain is taken back; this program cannot do that either. */
	check_said("Communication with ::1#53 failed: connection refused\n"
		   "Communication with 127.0.0.1#53 failed: timed out",
		1, CERTAUTO_EROLLBACK, 1);
	check_said("update failed: SERVFAIL", 2, CERTAUTO_EROLLBACK, 1);
	check_said("something new", 1, CERTAUTO_EROLLBACK, 1);
	/* It was not signed, and was taken all the same. */
	check_said("could not read key from x", 0, CERTAUTO_EROLLBACK, 1);
}

/* Of a program that was ended by us it is not known what it has sent. */
static void test_target_rfc2136__one_that_talks_too_much_is_taken_back(void **state)
{
	struct update *u = update_new();
	char text[512];

	(void)state;
	snprintf(text, sizeof(text),
		"#!/bin/sh\necho run >>%s\nhead -c 1000000 /dev/zero\n", u->argv);
	lab_write(u->program, text, 0755);
	assert_int_equal(answer(u, 0, "a.example", "text", NULL, NULL), CERTAUTO_EROLLBACK);
	lab_says(u->lab, "larger than the limit");
	assert_int_equal(n_runs(u), 2);
	update_free(u);
}

static void test_target_rfc2136__a_key_others_can_read_is_not_used(void **state)
{
	struct update *u = update_new();

	(void)state;
	assert_int_equal(chmod(u->key, 0604), 0);
	assert_int_equal(answer(u, 0, "a.example", "text", NULL, NULL), CERTAUTO_EPERM);
	lab_says(u->lab, "0604");
	assert_int_equal(chmod(u->key, 0640), 0);
	assert_int_equal(answer(u, 0, "a.example", "text", NULL, NULL), 0);
	assert_int_equal(unlink(u->key), 0);
	assert_int_equal(answer(u, 0, "a.example", "text", NULL, NULL), CERTAUTO_ENOTFOUND);
	lab_says(u->lab, u->key);
	update_free(u);
}

/* Neither is one that others can put another in place of, or that they have put there. */
static void test_target_rfc2136__a_key_others_can_change_is_not_used(void **state)
{
	struct update *u = update_new();
	char path[160];

	(void)state;
	assert_int_equal(chmod(u->key, 0620), 0);
	assert_int_equal(answer(u, 0, "a.example", "text", NULL, NULL), CERTAUTO_EPERM);
	lab_says(u->lab, "0620");
	assert_int_equal(chmod(u->key, 0600), 0);
	assert_int_equal(chmod(u->lab->folder, 0770), 0);
	assert_int_equal(answer(u, 0, "a.example", "text", NULL, NULL), CERTAUTO_EPERM);
	lab_says(u->lab, "0770");
	assert_int_equal(chmod(u->lab->folder, 01777), 0);
	assert_int_equal(answer(u, 0, "a.example", "text", NULL, NULL), 0);
	assert_int_equal(chmod(u->lab->folder, 0700), 0);
	snprintf(path, sizeof(path), "%s.link", u->key);
	assert_int_equal(symlink(u->key, path), 0);
	assert_int_equal(answer(u, 0, "a.example", "text", "key_file", path), CERTAUTO_EPERM);
	lab_says(u->lab, "link");
	if (geteuid() == 0) {
		assert_int_equal(chown(u->key, 1234, (gid_t)-1), 0);
		assert_int_equal(answer(u, 0, "a.example", "text", NULL, NULL), CERTAUTO_EPERM);
		lab_says(u->lab, "1234");
	}
	assert_int_equal(answer(u, 0, "a.example", "text", "key_file", u->lab->folder),
		CERTAUTO_EPERM);
	update_free(u);
}

static int present_scenario(void *arg)
{
	const struct update *u = arg;
	certauto_target *target = NULL;
	int rc;

	if ((rc = certauto_target_new(&target, u->lab->cx, "rfc2136")) == 0 &&
		(rc = certauto_target_set(target, "nsupdate", u->program)) == 0 &&
		(rc = certauto_target_set(target, "key_file", u->key)) == 0 &&
		(rc = certauto_target_set(target, "dns_check", "no")) == 0)
		rc = certauto_target_present(target, "dns-01", "a.example", "token", "text",
			TIMEOUT_MS);
	certauto_target_free(target);
	/* What was sent cannot always be taken back then. */
	return rc == CERTAUTO_EROLLBACK ? CERTAUTO_ENOMEM : rc;
}

static void test_target_rfc2136__memory_may_be_short(void **state)
{
	struct update *u = update_new();

	(void)state;
	unit_oom_sweep("present", present_scenario, u);
	update_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_target_rfc2136__the_value_is_added_and_that_one_is_removed),
		cmocka_unit_test(test_target_rfc2136__a_server_is_two_words),
		cmocka_unit_test(test_target_rfc2136__a_value_is_never_a_command),
		cmocka_unit_test(test_target_rfc2136__what_nsupdate_says_has_a_meaning),
		cmocka_unit_test(test_target_rfc2136__one_that_talks_too_much_is_taken_back),
		cmocka_unit_test(test_target_rfc2136__a_key_others_can_read_is_not_used),
		cmocka_unit_test(test_target_rfc2136__a_key_others_can_change_is_not_used),
		cmocka_unit_test(test_target_rfc2136__memory_may_be_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
