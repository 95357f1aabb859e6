/* SPDX-License-Identifier: Apache-2.0 */
/* The files target on a folder of its own: what is written, what is put back, what a killed run
 * leaves. */

#include "unit_target.h"

#include <fcntl.h>
#include <poll.h>

#include "jobs/target.h"
#include "targets/files.h"

#define TIMEOUT_MS 20000

/* The program counts its runs, one byte in a file each. */
struct files {
	struct lab *lab;
	char directory[128], webroot[128], runs[128], reload[512];
};

static void path_in(char *out, size_t size, const char *folder, const char *name)
{
	snprintf(out, size, "%s/%s", folder, name);
}

static int n_runs(const struct files *f)
{
	struct stat st;

	return stat(f->runs, &st) == 0 ? (int)st.st_size : 0;
}

static struct files *files_new(void)
{
	struct files *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->lab = lab_new();
	path_in(f->directory, sizeof(f->directory), f->lab->folder, "certs");
	path_in(f->webroot, sizeof(f->webroot), f->lab->folder, "web");
	path_in(f->runs, sizeof(f->runs), f->lab->folder, "runs");
	assert_int_equal(mkdir(f->directory, 0700), 0);
	assert_int_equal(mkdir(f->webroot, 0755), 0);
	snprintf(f->reload, sizeof(f->reload), "[\"/bin/sh\",\"-c\",\"printf x >>%s\"]", f->runs);
	return f;
}

static void files_free(struct files *f)
{
	lab_free(f->lab);
	free(f);
}

static certauto_target *target_new(const struct files *f)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto_target_new(&target, f->lab->cx, "files"), 0);
	lab_set(target, "directory", f->directory);
	lab_set(target, "webroot", f->webroot);
	lab_set(target, "reload", f->reload);
	lab_set(target, "probe", "no");
	lab_set(target, "challenge_check", "no");
	lab_set(target, "timeout_ms", "10000");
	return target;
}

/* With up to one option that differs. */
static int deploy(struct files *f, const struct lab_pair *pair, const char *option,
	const char *value)
{
	certauto_target *target = target_new(f);
	int rc;

	if (option != NULL)
		lab_set(target, option, value);
	if (option != NULL && strcmp(option, "probe") == 0)
		lab_set(target, "timeout_ms", "150");
	rc = certauto_target_deploy(target, "shop", pair->chain, pair->key, TIMEOUT_MS);
	certauto_target_free(target);
	return rc;
}

/* 1 if the four files are those of this pair. */
static int serves(const struct files *f, const struct lab_pair *pair)
{
	unsigned char *leaf = NULL, *key = NULL;
	char path[256];
	size_t len;
	int ok;

	assert_int_equal(certauto_chain_format(&leaf, &len, pair->chain, CERTAUTO_CHAIN_LEAF), 0);
	assert_int_equal(certauto_key_format(&key, &len, pair->key), 0);
	path_in(path, sizeof(path), f->directory, "shop.key.pem");
	ok = lab_holds(path, (char *)key);
	path_in(path, sizeof(path), f->directory, "shop.cert.pem");
	ok = ok && lab_holds(path, (char *)leaf);
	path_in(path, sizeof(path), f->directory, "shop.fullchain.pem");
	ok = ok && lab_holds(path, (char *)leaf); /* self-signed: the leaf is all there is */
	path_in(path, sizeof(path), f->directory, "shop.chain.pem");
	ok = ok && lab_holds(path, "");
	certauto_mem_free(leaf);
	certauto_mem_free(key);
	return ok;
}

static void test_target_files__four_files_with_their_modes_and_one_reload(void **state)
{
	struct files *f = files_new();
	struct lab_pair pair;
	char path[256];

	(void)state;
	lab_pair_make(f->lab, &pair, "a.example", 10);
	assert_int_equal(deploy(f, &pair, NULL, NULL), 0);
	assert_true(serves(f, &pair));
	assert_int_equal(lab_count(f->directory), 4);
	path_in(path, sizeof(path), f->directory, "shop.key.pem");
	assert_int_equal(lab_mode(path), 0600);
	path_in(path, sizeof(path), f->directory, "shop.fullchain.pem");
	assert_int_equal(lab_mode(path), 0644);
	assert_int_equal(n_runs(f), 1);
	assert_non_null(strstr(certauto__buffer_text(&f->lab->warnings), "probe=no"));
	/* The second time there is nothing to do, and nothing is done. */
	assert_int_equal(deploy(f, &pair, NULL, NULL), 0);
	assert_int_equal(n_runs(f), 1);
	assert_int_equal(lab_n_records(f->lab), 0);
	lab_pair_free(&pair);
	files_free(f);
}

static void test_target_files__a_wrong_mode_is_put_right(void **state)
{
	struct files *f = files_new();
	struct lab_pair pair;
	char path[256];

	(void)state;
	lab_pair_make(f->lab, &pair, "a.example", 10);
	assert_int_equal(deploy(f, &pair, NULL, NULL), 0);
	path_in(path, sizeof(path), f->directory, "shop.key.pem");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(deploy(f, &pair, NULL, NULL), 0);
	assert_int_equal(lab_mode(path), 0600);
	lab_pair_free(&pair);
	files_free(f);
}

/* Old files there, then a run that fails: the same bytes again, no file too many. */
static void check_taken_back(const char *option, const char *value, int code, const char *words,
	int reloads)
{
	struct files *f = files_new();
	struct lab_pair old, pair;

	lab_pair_make(f->lab, &old, "a.example", 10);
	lab_pair_make(f->lab, &pair, "a.example", 20);
	assert_int_equal(deploy(f, &old, NULL, NULL), 0);
	assert_int_equal(deploy(f, &pair, option, value), code);
	lab_says(f->lab, words);
	assert_true(serves(f, &old));
	assert_int_equal(lab_count(f->directory), 4);
	assert_int_equal(n_runs(f), 1 + reloads);
	/* What was issued is deployed later without further ado. */
	assert_int_equal(deploy(f, &pair, NULL, NULL), 0);
	assert_true(serves(f, &pair));
	assert_int_equal(lab_count(f->directory), 4);
	assert_int_equal(lab_n_records(f->lab), 0);
	lab_pair_free(&old);
	lab_pair_free(&pair);
	files_free(f);
}

static void test_target_files__a_failing_program_brings_the_old_files_back(void **state)
{
	(void)state;
	check_taken_back("reload",
		"[\"/bin/sh\",\"-c\",\"echo 'bad config'; exit 3\"]",
		CERTAUTO_EREFUSED, "ended with status 3: \"bad config\"", 0);
	check_taken_back("reload", "[\"/no/such/program\"]", CERTAUTO_ENOTFOUND, "/no/such/program",
		0);
}

static void test_target_files__a_failing_proof_brings_them_back_and_reloads_again(void **state)
{
	(void)state;
	check_taken_back("probe", LAB_REFUSED, CERTAUTO_ENOTSERVED, LAB_REFUSED, 2);
}

static void test_target_files__new_files_of_a_failed_run_go_away(void **state)
{
	struct files *f = files_new();
	struct lab_pair pair;

	(void)state;
	lab_pair_make(f->lab, &pair, "a.example", 10);
	assert_int_equal(deploy(f, &pair, "probe", LAB_REFUSED), CERTAUTO_ENOTSERVED);
	assert_int_equal(lab_count(f->directory), 0);
	lab_pair_free(&pair);
	files_free(f);
}

static void test_target_files__keys_go_only_into_a_safe_folder(void **state)
{
	struct files *f = files_new();
	struct lab_pair pair;
	char link[256];

	(void)state;
	lab_pair_make(f->lab, &pair, "a.example", 10);
	assert_int_equal(chmod(f->directory, 0777), 0);
	assert_int_equal(deploy(f, &pair, NULL, NULL), CERTAUTO_EPERM);
	lab_says(f->lab, "can be written by group or others");
	assert_int_equal(chmod(f->directory, 0700), 0);
	path_in(link, sizeof(link), f->lab->folder, "link");
	assert_int_equal(symlink(f->directory, link), 0);
	assert_int_equal(deploy(f, &pair, "directory", link), CERTAUTO_EPERM);
	lab_says(f->lab, "a link");
	assert_int_equal(deploy(f, &pair, "directory", "/no/such/folder"), CERTAUTO_ENOTFOUND);
	lab_says(f->lab, "/no/such/folder");
	assert_int_equal(lab_count(f->directory), 0);
	lab_pair_free(&pair);
	files_free(f);
}

static void test_target_files__a_link_in_place_of_a_file_is_replaced_not_followed(void **state)
{
	struct files *f = files_new();
	struct lab_pair pair;
	char path[256], victim[256];

	(void)state;
	path_in(victim, sizeof(victim), f->lab->folder, "victim");
	path_in(path, sizeof(path), f->directory, "shop.key.pem");
	lab_write(victim, "untouched", 0600);
	assert_int_equal(symlink(victim, path), 0);
	lab_pair_make(f->lab, &pair, "a.example", 10);
	assert_int_equal(deploy(f, &pair, NULL, NULL), 0);
	assert_true(lab_holds(victim, "untouched"));
	assert_true(serves(f, &pair));
	lab_pair_free(&pair);
	files_free(f);
}

/* Killed while the program runs: the files are new, the server has not been told. */
static void test_target_files__a_reload_that_is_due_is_not_forgotten(void **state)
{
	struct files *f = files_new();
	certauto_target *target;
	struct lab_pair old, pair, copy;
	struct lab_kept kept;
	certauto_job *job = NULL;
	struct pollfd poll_fd;
	int i;

	(void)state;
	lab_pair_make(f->lab, &old, "a.example", 10);
	lab_pair_make(f->lab, &pair, "a.example", 20);
	assert_int_equal(deploy(f, &old, NULL, NULL), 0);
	target = target_new(f);
	lab_set(target, "reload", "[\"/bin/sleep\",\"60\"]");
	assert_int_equal(certauto_target_start_deploy(&job, target, "shop", pair.chain, pair.key,
				 TIMEOUT_MS),
		0);
	poll_fd.fd = certauto_context_fd(f->lab->cx);
	poll_fd.events = POLLIN;
	for (i = 0; i < 100 && !serves(f, &pair); i++) {
		assert_true(certauto_context_run(f->lab->cx, 0) >= 0);
		(void)poll(&poll_fd, 1, 10);
	}
	assert_true(serves(f, &pair));
	certauto_job_free(job);
	certauto_target_free(target);
	lab_keep(&kept, &pair);
	lab_restart(f->lab);
	assert_int_equal(lab_n_records(f->lab), 1);
	lab_pair_again(f->lab, &copy, &kept);
	assert_int_equal(deploy(f, &copy, NULL, NULL), 0);
	assert_int_equal(n_runs(f), 2);
	assert_true(serves(f, &copy));
	assert_int_equal(lab_count(f->directory), 4);
	assert_int_equal(lab_n_records(f->lab), 0);
	lab_pair_free(&old);
	lab_pair_free(&pair);
	lab_pair_free(&copy);
	files_free(f);
}

/* ---- names ---- */

static void check_name(const struct files *f, const char *pattern, int n_keys, const char *expected)
{
	certauto_target *target = target_new(f);
	struct certauto__deployment *deployment;
	certauto__buffer name = CERTAUTO__BUFFER(1024);

	lab_set(target, "key_file", pattern);
	deployment = certauto__deployment_new(target, "shop.example.org", "rsa-2048");
	assert_non_null(deployment);
	deployment->n_keys = n_keys;
	assert_int_equal(certauto__pemfiles_name(&name, deployment, CERTAUTO__PEMFILES_KEY, NULL),
		0);
	assert_string_equal(certauto__buffer_text(&name), expected);
	certauto__buffer_free(&name);
	certauto__deployment_free(deployment);
	certauto_target_free(target);
}

static void test_target_files__several_keys_have_names_of_their_own(void **state)
{
	struct files *f = files_new();

	(void)state;
	check_name(f, "{name}.key.pem", 1, "shop.example.org.key.pem");
	check_name(f, "{name}.key.pem", 2, "shop.example.org.rsa-2048.key.pem");
	check_name(f, "{key}-{name}.pem", 2, "rsa-2048-shop.example.org.pem");
	check_name(f, "{key}-{name}.pem", 1, "rsa-2048-shop.example.org.pem");
	check_name(f, "server.pem", 2, "server.rsa-2048.pem");
	check_name(f, "server", 2, "server.rsa-2048");
	check_name(f, "", 2, "");
	files_free(f);
}

/* ---- challenges ---- */

static int challenge(struct files *f, int clean, const char *token, const char *value)
{
	certauto_target *target = target_new(f);
	int rc;

	rc = clean
		? certauto_target_cleanup(target, "http-01", "a.example", token, value, TIMEOUT_MS)
		: certauto_target_present(target, "http-01", "a.example", token, value, TIMEOUT_MS);
	certauto_target_free(target);
	return rc;
}

static void test_target_files__a_challenge_is_a_file_for_everybody_while_it_lasts(void **state)
{
	struct files *f = files_new();
	char path[256];

	(void)state;
	path_in(path, sizeof(path), f->webroot, ".well-known/acme-challenge/tok-1_A");
	assert_int_equal(challenge(f, 1, "tok-1_A", "v"), 0); /* nothing there is fine */
	assert_int_equal(challenge(f, 0, "tok-1_A", "tok-1_A.abc"), 0);
	assert_true(lab_holds(path, "tok-1_A.abc"));
	assert_int_equal(lab_mode(path), 0644);
	assert_int_equal(challenge(f, 0, "tok-1_A", "tok-1_A.def"), 0);
	assert_true(lab_holds(path, "tok-1_A.def"));
	assert_int_equal(challenge(f, 1, "tok-1_A", "tok-1_A.def"), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(challenge(f, 1, "tok-1_A", NULL), 0);
	files_free(f);
}

static void test_target_files__a_token_cannot_leave_the_web_root(void **state)
{
	struct files *f = files_new();
	char well_known[256], path[256];

	(void)state;
	assert_int_equal(challenge(f, 0, "../../x", "v"), CERTAUTO_EINVAL);
	assert_int_equal(challenge(f, 0, "a/b", "v"), CERTAUTO_EINVAL);
	assert_int_equal(challenge(f, 0, "", "v"), CERTAUTO_EINVAL);
	path_in(well_known, sizeof(well_known), f->webroot, ".well-known");
	assert_int_equal(symlink(f->directory, well_known), 0);
	assert_int_equal(challenge(f, 0, "tok", "v"), CERTAUTO_EPERM);
	assert_int_equal(lab_count(f->directory), 0);
	assert_int_equal(unlink(well_known), 0);
	/* A link waiting under the token's name is not written through. */
	assert_int_equal(challenge(f, 0, "tok", "v"), 0);
	path_in(path, sizeof(path), f->webroot, ".well-known/acme-challenge/tok");
	assert_int_equal(unlink(path), 0);
	lab_write(f->runs, "x", 0600);
	assert_int_equal(symlink(f->runs, path), 0);
	assert_int_equal(challenge(f, 0, "tok", "w"), 0);
	assert_true(lab_holds(f->runs, "x"));
	assert_true(lab_holds(path, "w"));
	files_free(f);
}

static void test_target_files__an_answer_that_is_not_seen_is_taken_away(void **state)
{
	struct files *f = files_new();
	certauto_target *target = target_new(f);
	char path[256];

	(void)state;
	path_in(path, sizeof(path), f->webroot, ".well-known/acme-challenge/tok");
	lab_set(target, "challenge_check", LAB_REFUSED);
	assert_int_equal(certauto_target_present(target, "http-01", "a.example", "tok", "tok.v",
				 800),
		CERTAUTO_ETIMEDOUT);
	assert_int_equal(access(path, F_OK), -1);
	certauto_target_free(target);
	files_free(f);
}

/* ---- tls-alpn-01 ---- */

static int alpn(struct files *f, int clean, const char *name, const char *group)
{
	certauto_target *target = NULL;
	int rc;

	assert_int_equal(certauto_target_new(&target, f->lab->cx, "files"), 0);
	lab_set(target, "alpn_directory", f->directory);
	if (group != NULL)
		lab_set(target, "group", group);
	rc = clean ? certauto_target_cleanup(target, "tls-alpn-01", name, "tok", NULL, TIMEOUT_MS)
		   : certauto_target_present(target, "tls-alpn-01", name, "tok", "tok.print",
			     TIMEOUT_MS);
	certauto_target_free(target);
	return rc;
}

static void test_target_files__a_tls_alpn_certificate_is_private_and_goes_away(void **state)
{
	struct files *f = files_new();
	char path[256], group[16];

	(void)state;
	path_in(path, sizeof(path), f->directory, "a.example.pem");
	snprintf(group, sizeof(group), "%u", (unsigned)getgid());
	assert_int_equal(alpn(f, 0, "a.example", NULL), 0);
	assert_int_equal(lab_mode(path), 0600);
	assert_int_equal(alpn(f, 0, "a.example", group), 0); /* another key in its place */
	assert_int_equal(lab_mode(path), 0640);
	assert_int_equal(lab_count(f->directory), 1);
	assert_int_equal(alpn(f, 1, "a.example", NULL), 0);
	assert_int_equal(lab_count(f->directory), 0);
	assert_int_equal(alpn(f, 1, "a.example", NULL), 0); /* it is gone already */
	assert_int_equal(alpn(f, 0, "2001:db8::1", NULL), 0);
	path_in(path, sizeof(path), f->directory,
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.pem");
	assert_int_equal(access(path, F_OK), 0);
	files_free(f);
}

static void test_target_files__a_tls_alpn_name_cannot_be_a_path(void **state)
{
	static const char *const names[] = {
		"../a.example", "a/b.example", "..", "*.a.example", "", ".a.example",
	};
	struct files *f = files_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(alpn(f, 0, names[i], NULL), CERTAUTO_EINVAL);
		lab_says(f->lab, "no DNS name");
		assert_int_equal(alpn(f, 1, names[i], NULL), 0);
	}
	assert_int_equal(lab_count(f->directory), 0);
	assert_int_equal(chmod(f->directory, 0777), 0); /* a key is put there */
	assert_int_equal(alpn(f, 0, "a.example", NULL), CERTAUTO_EPERM);
	files_free(f);
}

static void test_target_files__what_it_answers_depends_on_its_folders(void **state)
{
	struct files *f = files_new();
	certauto_target *target = NULL;

	(void)state;
	assert_int_equal(certauto_target_new(&target, f->lab->cx, "files"), 0);
	lab_set(target, "alpn_directory", f->directory);
	assert_int_equal(certauto_target_caps(target), CERTAUTO_TARGET_TLSALPN01);
	assert_int_equal(certauto_target_check(target), 0);
	assert_int_equal(certauto_target_test(target, TIMEOUT_MS), 0);
	assert_int_equal(
		certauto_target_present(target, "http-01", "a.example", "tok", "v", TIMEOUT_MS),
		CERTAUTO_EUNSUPPORTED);
	lab_says(f->lab, "\"webroot\" is missing");
	assert_int_equal(chmod(f->directory, 0777), 0);
	assert_int_equal(certauto_target_test(target, TIMEOUT_MS), CERTAUTO_EPERM);
	/* A challenge's NAME.pem could take the place of a file that is served. */
	lab_set(target, "directory", f->directory);
	assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
	lab_says(f->lab, "another folder");
	certauto_target_free(target);
	target = target_new(f);
	assert_int_equal(
		certauto_target_present(target, "tls-alpn-01", "a.example", "tok", "v", TIMEOUT_MS),
		CERTAUTO_EUNSUPPORTED);
	lab_says(f->lab, "\"alpn_directory\" is missing");
	certauto_target_free(target);
	files_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target_files__four_files_with_their_modes_and_one_reload),
		cmocka_unit_test(test_target_files__a_wrong_mode_is_put_right),
		cmocka_unit_test(test_target_files__a_failing_program_brings_the_old_files_back),
		cmocka_unit_test(
			test_target_files__a_failing_proof_brings_them_back_and_reloads_again),
		cmocka_unit_test(test_target_files__new_files_of_a_failed_run_go_away),
		cmocka_unit_test(test_target_files__keys_go_only_into_a_safe_folder),
		cmocka_unit_test(
			test_target_files__a_link_in_place_of_a_file_is_replaced_not_followed),
		cmocka_unit_test(test_target_files__a_reload_that_is_due_is_not_forgotten),
		cmocka_unit_test(test_target_files__several_keys_have_names_of_their_own),
		cmocka_unit_test(
			test_target_files__a_challenge_is_a_file_for_everybody_while_it_lasts),
		cmocka_unit_test(test_target_files__a_token_cannot_leave_the_web_root),
		cmocka_unit_test(test_target_files__an_answer_that_is_not_seen_is_taken_away),
		cmocka_unit_test(
			test_target_files__a_tls_alpn_certificate_is_private_and_goes_away),
		cmocka_unit_test(test_target_files__a_tls_alpn_name_cannot_be_a_path),
		cmocka_unit_test(test_target_files__what_it_answers_depends_on_its_folders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
