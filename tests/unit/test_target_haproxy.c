/* SPDX-License-Identifier: Apache-2.0 */
/* The haproxy target against a runtime API that can be told to misbehave. The flow tests do the
 * same against the real one; here it loses answers, refuses, and keeps transactions open. */

#include "fake_haproxy.h"

#define TIMEOUT_MS 20000

struct site {
	struct lab *lab;
	struct fake haproxy;
	char crt[256];
	struct lab_pair old, pair;
};

/* A HAProxy that serves `old` from a file of mode 0640; pair is what is deployed. */
static struct site *site_new(void)
{
	struct site *s = calloc(1, sizeof(*s));
	certauto__buffer pem = CERTAUTO__BUFFER(1 << 16);
	struct fake_cert *cert;

	assert_non_null(s);
	s->lab = lab_new();
	fake_start(&s->haproxy, s->lab->folder);
	snprintf(s->crt, sizeof(s->crt), "%s/a.pem", s->haproxy.folder);
	lab_pair_make(s->lab, &s->old, "a.example", 10);
	lab_pair_make(s->lab, &s->pair, "a.example", 20);
	/* As people write them: blank lines between the blocks. */
	lab_pair_pem(&pem, &s->old, "\n\r\n");
	lab_write(s->crt, pem.data, 0640);
	cert = fake_cert(&s->haproxy, "");
	snprintf(cert->path, sizeof(cert->path), "%s", s->crt);
	snprintf(cert->pem, sizeof(cert->pem), "%s", pem.data);
	cert->listed = 1;
	certauto__buffer_free(&pem);
	return s;
}

static void site_free(struct site *s)
{
	assert_false(s->haproxy.injected);
	fake_stop(&s->haproxy);
	lab_pair_free(&s->old);
	lab_pair_free(&s->pair);
	lab_free(s->lab);
	free(s);
}

static certauto_target *target_new(const struct site *s)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto_target_new(&target, s->lab->cx, "haproxy"), 0);
	lab_set(target, "socket", s->haproxy.socket);
	lab_set(target, "crt", s->crt);
	lab_set(target, "map", s->haproxy.map);
	lab_set(target, "probe", "no");
	lab_set(target, "challenge_check", "no");
	lab_set(target, "timeout_ms", "5000");
	return target;
}

/* With one option that differs, or NULL. */
static int deploy(struct site *s, const char *option, const char *value)
{
	certauto_target *target = target_new(s);
	int rc;

	if (option != NULL && strcmp(option, "probe") == 0)
		lab_set(target, "timeout_ms", "150");
	if (option != NULL)
		lab_set(target, option, value);
	rc = certauto_target_deploy(target, "shop", s->pair.chain, s->pair.key, TIMEOUT_MS);
	certauto_target_free(target);
	return rc;
}

/* 1 if HAProxy serves this certificate under that path. */
static int serves(struct site *s, const char *path, const struct lab_pair *pair)
{
	struct fake_cert *cert = fake_cert(&s->haproxy, path);
	char serial[256];

	if (cert == NULL || !cert->listed)
		return 0;
	fake_serial(serial, sizeof(serial), cert->pem);
	return strcasecmp(serial, certauto_chain_serial(pair->chain)) == 0;
}

static int file_holds(const char *path, const struct lab_pair *pair, const char *between)
{
	certauto__buffer pem = CERTAUTO__BUFFER(1 << 16);
	int holds;

	lab_pair_pem(&pem, pair, between);
	holds = lab_holds(path, pem.data);
	certauto__buffer_free(&pem);
	return holds;
}

/* Everything is as it was before. */
static void check_old_state(struct site *s)
{
	assert_true(serves(s, s->crt, &s->old));
	assert_true(file_holds(s->crt, &s->old, "\n\r\n"));
	assert_string_equal(s->haproxy.transaction, "");
	assert_int_equal(lab_count(s->haproxy.folder), 1);
}

static void check_new_state(struct site *s)
{
	assert_true(serves(s, s->crt, &s->pair));
	assert_true(file_holds(s->crt, &s->pair, ""));
	assert_string_equal(s->haproxy.transaction, "");
	assert_int_equal(lab_n_records(s->lab), 0);
}

static void test_target_haproxy__a_renewal_is_four_commands_and_a_file(void **state)
{
	struct site *s = site_new();

	(void)state;
	assert_int_equal(deploy(s, NULL, NULL), 0);
	check_new_state(s);
	assert_int_equal(s->haproxy.n_commands, 4);
	assert_int_equal(s->haproxy.n_writes, 2);
	assert_int_equal(lab_mode(s->crt), 0640); /* as it was */
	/* Nothing left to do: one look. */
	fake_heal(&s->haproxy);
	assert_int_equal(deploy(s, NULL, NULL), 0);
	assert_int_equal(s->haproxy.n_commands, 1);
	site_free(s);
}

static void test_target_haproxy__a_new_certificate_goes_into_the_folders_list(void **state)
{
	struct site *s = site_new();

	(void)state;
	snprintf(s->crt, sizeof(s->crt), "%s/b.pem", s->haproxy.folder);
	assert_int_equal(deploy(s, NULL, NULL), 0);
	check_new_state(s);
	assert_int_equal(lab_mode(s->crt), 0600);
	assert_int_equal(s->haproxy.n_commands, 7);
	site_free(s);
}

static void test_target_haproxy__an_unknown_path_changes_nothing(void *
		*state)
{
	struct site *s = site_new();

	(void)state;
	assert_int_equal(deploy(s, "crt", "/no/such/folder/a.pem"), CERTAUTO_ENOTFOUND);
	lab_says(s->lab, "/no/such/folder is no certificate list");
	assert_int_equal(s->haproxy.n_writes, 0);
	check_old_state(s);
	site_free(s);
}

static void test_target_haproxy__a_failed_proof_brings_the_old_one_back_from_its_file(void **state)
{
	struct site *s = site_new();

	(void)state;
	assert_int_equal(deploy(s, "probe", LAB_REFUSED), CERTAUTO_ENOTSERVED);
	lab_says(s->lab, LAB_REFUSED);
	check_old_state(s);
	assert_int_equal(deploy(s, NULL, NULL), 0);
	check_new_state(s);
	site_free(s);
}

static void test_target_haproxy__a_new_one_that_is_not_proved_leaves_nothing(void **state)
{
	struct site *s = site_new();
	char old[256];

	(void)state;
	snprintf(old, sizeof(old), "%s", s->crt);
	snprintf(s->crt, sizeof(s->crt), "%s/b.pem", s->haproxy.folder);
	assert_int_equal(deploy(s, "probe", LAB_REFUSED), CERTAUTO_ENOTSERVED);
	assert_null(fake_cert(&s->haproxy, s->crt));
	snprintf(s->crt, sizeof(s->crt), "%s", old);
	check_old_state(s);
	site_free(s);
}

static void test_target_haproxy__a_refused_commit_leaves_no_transaction(void **state)
{
	struct site *s = site_new();

	(void)state;
	s->haproxy.refuse_commit = 1;
	assert_int_equal(deploy(s, NULL, NULL), CERTAUTO_EREFUSED);
	lab_says(s->lab, "inconsistencies between private key and certificate");
	check_old_state(s);
	site_free(s);
}

static void test_target_haproxy__what_does_not_fit_its_buffer_is_not_sent(void **state)
{
	struct site *s = site_new();
	certauto__buffer chain = CERTAUTO__BUFFER(1 << 16);
	unsigned char *part = NULL;
	size_t i, len;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(certauto_chain_format(&part, &len, s->pair.chain,
					 CERTAUTO_CHAIN_LEAF),
			0);
		certauto__buffer_add(&chain, part, len);
		certauto_mem_free(part);
	}
	certauto_chain_free(s->pair.chain);
	assert_int_equal(certauto_chain_parse(&s->pair.chain, s->lab->cx,
				 (unsigned char *)chain.data, chain.len),
		0);
	certauto__buffer_free(&chain);
	assert_int_equal(deploy(s, "bufsize", "1024"), CERTAUTO_EUNSUPPORTED);
	lab_says(s->lab, "tune.bufsize");
	assert_int_equal(s->haproxy.n_writes, 0);
	check_old_state(s);
	site_free(s);
}

static void test_target_haproxy__without_the_old_key_there_is_no_way_back(void *
		*state)
{
	struct site *s = site_new();

	(void)state;
	assert_int_equal(unlink(s->crt), 0);
	assert_int_equal(deploy(s, "probe", LAB_REFUSED), CERTAUTO_EROLLBACK);
	assert_non_null(strstr(certauto__buffer_text(&s->lab->warnings),
		"it could not be put back"));
	assert_string_equal(s->haproxy.transaction, "");
	/* The next run goes on from there. */
	assert_int_equal(deploy(s, NULL, NULL), 0);
	check_new_state(s);
	site_free(s);
}

static void test_target_haproxy__an_abandoned_transaction_does_not_stop_renewals(void **state)
{
	struct site *s = site_new();

	(void)state;
	strcpy(s->haproxy.transaction, "/other.pem");
	assert_int_equal(deploy(s, NULL, NULL), 0);
	assert_non_null(strstr(certauto__buffer_text(&s->lab->warnings), "/other.pem"));
	check_new_state(s);
	site_free(s);
}

static void test_target_haproxy__others_who_are_quicker_are_waited_for(void **state)
{
	struct site *s = site_new();

	(void)state;
	s->haproxy.intruders = 2;
	assert_int_equal(deploy(s, NULL, NULL), 0);
	check_new_state(s);
	site_free(s);
}

static void test_target_haproxy__with_others_all_the_time_it_is_busy(void **state)
{
	struct site *s = site_new();

	(void)state;
	s->haproxy.intruders = 100;
	assert_int_equal(deploy(s, NULL, NULL), CERTAUTO_EBUSY);
	lab_says(s->lab, "others use it");
	s->haproxy.transaction[0] = '\0';
	check_old_state(s);
	site_free(s);
}

static void test_target_haproxy__a_foreign_name_is_no_part_of_a_command(void **state)
{
	static const char name[] = "/x.pem;quit";
	struct site *s = site_new();

	(void)state;
	strcpy(s->haproxy.transaction, name);
	assert_int_equal(deploy(s, NULL, NULL), CERTAUTO_EREFUSED);
	lab_says(s->lab, name);
	assert_string_equal(s->haproxy.transaction, name);
	assert_int_equal(s->haproxy.n_writes, 0);
	s->haproxy.transaction[0] = '\0';
	check_old_state(s);
	site_free(s);
}

static void test_target_haproxy__a_key_is_not_given_to_who_put_a_file_there(void **state)
{
	struct site *s;

	(void)state;
	if (geteuid() != 0)
		skip(); /* nobody else can give a file away */
	s = site_new();
	assert_int_equal(chmod(s->haproxy.folder, 01777), 0);
	assert_int_equal(chown(s->crt, 65534, (gid_t)-1), 0);
	assert_int_equal(deploy(s, NULL, NULL), CERTAUTO_EPERM);
	lab_says(s->lab, "65534");
	check_old_state(s);
	/* Where only we can put files, that owner was meant. */
	assert_int_equal(chmod(s->haproxy.folder, 0755), 0);
	assert_int_equal(deploy(s, NULL, NULL), 0);
	check_new_state(s);
	site_free(s);
}

static void test_target_haproxy__missing_rights_are_named_with_what_to_write(void **state)
{
	struct site *s = site_new();
	certauto_target *target;

	(void)state;
	s->haproxy.operator_only = 1;
	assert_int_equal(deploy(s, NULL, NULL), CERTAUTO_EPERM);
	lab_says(s->lab, "Permission denied");
	assert_non_null(strstr(certauto_error_advice(certauto_context_error(s->lab->cx)),
		"level admin"));
	target = target_new(s);
	assert_int_equal(certauto_target_test(target, TIMEOUT_MS), CERTAUTO_EPERM);
	fake_heal(&s->haproxy);
	assert_int_equal(certauto_target_test(target, TIMEOUT_MS), 0);
	assert_int_equal(s->haproxy.n_writes, 0);
	lab_set(target, "map", "/no/map");
	assert_int_equal(certauto_target_test(target, TIMEOUT_MS), CERTAUTO_ENOTFOUND);
	lab_says(s->lab, "knows no map \"/no/map\"");
	lab_set(target, "socket", "/no/such/socket");
	assert_int_equal(certauto_target_test(target, TIMEOUT_MS), CERTAUTO_ENOTFOUND);
	lab_says(s->lab, "there is no socket /no/such/socket");
	certauto_target_free(target);
	check_old_state(s);
	site_free(s);
}

/* One command without an answer, before or after its effect: the deployment comes through. */
static void check_cut(int is_new, int at, int after)
{
	struct site *s = site_new();

	if (is_new)
		snprintf(s->crt, sizeof(s->crt), "%s/b.pem", s->haproxy.folder);
	s->haproxy.cut_at = at;
	s->haproxy.cut_after = after;
	if (deploy(s, NULL, NULL) != 0)
		fail_msg("command %d lost %s its effect: %s", at, after ? "after" : "before",
			lab_message(s->lab));
	check_new_state(s);
	site_free(s);
}

static void test_target_haproxy__a_lost_answer_changes_nothing_in_the_end(void **state)
{
	int at;

	(void)state;
	for (at = 1; at <= 7; at++) {
		check_cut(1, at, 0);
		check_cut(1, at, 1);
	}
	check_cut(0, 4, 1); /* the commit of a renewal */
}

/* HAProxy dies when the commit has taken effect, and with it the way back: the next run finds
 * the journal. */
static void test_target_haproxy__what_was_not_taken_back_is_settled_next_time(void *
		*state)
{
	struct site *s = site_new();

	(void)state;
	s->haproxy.dead_from = 5;
	assert_int_equal(deploy(s, "probe", LAB_REFUSED), CERTAUTO_EROLLBACK);
	assert_true(serves(s, s->crt, &s->pair));
	assert_int_equal(lab_n_records(s->lab), 1);
	fake_heal(&s->haproxy);
	lab_pair_free(&s->pair);
	lab_pair_make(s->lab, &s->pair, "a.example", 30);
	/* Another certificate: what the former run left is taken back first. */
	assert_int_equal(deploy(s, NULL, NULL), 0);
	check_new_state(s);
	site_free(s);
}

static void test_target_haproxy__a_challenge_is_one_entry_of_the_map(void **state)
{
	static const char entry[] = "/.well-known/acme-challenge/tok tok.v";
	struct site *s = site_new();
	certauto_target *target = target_new(s);

	(void)state;
	assert_int_equal(certauto_target_present(target, "http-01", "a.example", "tok", "tok.v",
				 TIMEOUT_MS),
		0);
	assert_int_equal(s->haproxy.n_commands, 1);
	assert_string_equal(s->haproxy.entries[0], entry);
	/* Again, and with an answer that is lost: still one. */
	s->haproxy.cut_at = 2;
	s->haproxy.cut_after = 1;
	assert_int_equal(certauto_target_present(target, "http-01", "a.example", "tok", "tok.v",
				 TIMEOUT_MS),
		0);
	assert_string_equal(s->haproxy.entries[0], entry);
	assert_string_equal(s->haproxy.entries[1], "");
	assert_int_equal(certauto_target_cleanup(target, "http-01", "a.example", "tok", "tok.v",
				 TIMEOUT_MS),
		0);
	assert_string_equal(s->haproxy.entries[0], "");
	assert_int_equal(certauto_target_cleanup(target, "http-01", "a.example", "tok", "tok.v",
				 TIMEOUT_MS),
		0);
	assert_int_equal(certauto_target_present(target, "http-01", "a.example", "tok",
				 "tok.v; quit",
				 TIMEOUT_MS),
		CERTAUTO_EINVAL);
	assert_int_equal(certauto_target_present(target, "http-01", "a.example", "tok\nquit",
				 "tok.v", TIMEOUT_MS),
		CERTAUTO_EINVAL);
	lab_set(target, "map", "/no/map");
	assert_int_equal(certauto_target_present(target, "http-01", "a.example", "tok", "tok.v",
				 TIMEOUT_MS),
		CERTAUTO_ENOTFOUND);
	certauto_target_free(target);
	site_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target_haproxy__a_renewal_is_four_commands_and_a_file),
		cmocka_unit_test(test_target_haproxy__a_new_certificate_goes_into_the_folders_list),
		cmocka_unit_test(
			test_target_haproxy__an_unknown_path_changes_nothing),
		cmocka_unit_test(
			test_target_haproxy__a_failed_proof_brings_the_old_one_back_from_its_file),
		cmocka_unit_test(test_target_haproxy__a_new_one_that_is_not_proved_leaves_nothing),
		cmocka_unit_test(test_target_haproxy__a_refused_commit_leaves_no_transaction),
		cmocka_unit_test(test_target_haproxy__what_does_not_fit_its_buffer_is_not_sent),
		cmocka_unit_test(
			test_target_haproxy__without_the_old_key_there_is_no_way_back),
		cmocka_unit_test(
			test_target_haproxy__an_abandoned_transaction_does_not_stop_renewals),
		cmocka_unit_test(test_target_haproxy__others_who_are_quicker_are_waited_for),
		cmocka_unit_test(test_target_haproxy__with_others_all_the_time_it_is_busy),
		cmocka_unit_test(test_target_haproxy__a_foreign_name_is_no_part_of_a_command),
		cmocka_unit_test(test_target_haproxy__a_key_is_not_given_to_who_put_a_file_there),
		cmocka_unit_test(test_target_haproxy__missing_rights_are_named_with_what_to_write),
		cmocka_unit_test(test_target_haproxy__a_lost_answer_changes_nothing_in_the_end),
		cmocka_unit_test(
			test_target_haproxy__what_was_not_taken_back_is_settled_next_time),
		cmocka_unit_test(test_target_haproxy__a_challenge_is_one_entry_of_the_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
