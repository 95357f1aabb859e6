/* SPDX-License-Identifier: Apache-2.0 */
/* The hook target: what programs are told, what of their words is shown, what is taken back. */

#include <time.h>

#include "unit_target.h"

#include "targets/hook.h"

#define TIMEOUT_MS 20000
#define KEY_AUTH "aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbb"

struct hooks {
	struct lab *lab;
	char program[128], calls[128], folder[128];
};

/* The program notes its arguments and some variables, a line each; more: what else it does. */
static void program_write(const struct hooks *h, const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"#!/bin/sh\necho \"$* [$CERTBOT_DOMAIN$EXEC_MODE$A]\" >>%s\n%s\n", h->calls, more);
	lab_write(h->program, text, 0755);
}

static struct hooks *hooks_new(void)
{
	struct hooks *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	h->lab = lab_new();
	snprintf(h->program, sizeof(h->program), "%s/program", h->lab->folder);
	snprintf(h->calls, sizeof(h->calls), "%s/calls", h->lab->folder);
	snprintf(h->folder, sizeof(h->folder), "%s/live", h->lab->folder);
	assert_int_equal(mkdir(h->folder, 0700), 0);
	program_write(h, "");
	return h;
}

static void hooks_free(struct hooks *h)
{
	lab_free(h->lab);
	free(h);
}

static certauto_target *target_new(const struct hooks *h, const char *style)
{
	certauto_target *target = NULL;
	char argv[256];

	assert_int_equal(certauto_target_new(&target, h->lab->cx, "hook"), 0);
	snprintf(argv, sizeof(argv), "[\"%s\"]", h->program);
	lab_set(target, "style", style);
	lab_set(target, "program", argv);
	lab_set(target, "dns_check", "no");
	lab_set(target, "challenge_check", "no");
	lab_set(target, "probe", "no");
	return target;
}

/* ---- what is shown ---- */

static void check_shown(const char *text, const char *expected)
{
	certauto__buffer out = CERTAUTO__BUFFER(65536);
	certauto__list secrets = {0};

	assert_int_equal(certauto__list_add_text(&secrets, "abcd"), 0);
	assert_int_equal(certauto__list_add_text(&secrets, "abcdefgh"), 0);
	assert_int_equal(certauto__hook_show(&out, text, strlen(text), &secrets), 0);
	assert_string_equal(certauto__buffer_text(&out), expected);
	certauto__list_free(&secrets);
	certauto__buffer_free(&out);
}

static void test_target_hook__secrets_and_keys_are_masked(void **state)
{
	(void)state;
	check_shown("", "");
	check_shown("no\n \n", "no");
	check_shown("abcdefghi abcde abc", "***i ***e abc");
	check_shown("a\n-----BEGIN EC PRIVATE KEY-----\nMII=\n-----END EC PRIVATE KEY-----\nb",
		"a\\x0a***\\x0ab");
	check_shown("-----BEGIN PRIVATE KEY-----\nMII", "***");
	check_shown("-----BEGIN CERTIFICATE-----\nMII", "-----BEGIN CERTIFICATE-----\\x0aMII");
	check_shown("-----BEGIN X\nPRIVATE KEY-----", "-----BEGIN X\\x0aPRIVATE KEY-----");
	check_shown("\x1b[31m", "\\x1b[31m");
}

static void test_target_hook__of_much_the_end_is_shown(void **state)
{
	certauto__buffer out = CERTAUTO__BUFFER(65536);
	certauto__list none = {0};
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + 4900, "\nthe reason", 11);
	memset(text + 4911, '\n', sizeof(text) - 4911);
	assert_int_equal(certauto__hook_show(&out, text, sizeof(text), &none), 0);
	assert_string_equal(certauto__buffer_text(&out), "...the reason");
	certauto__buffer_free(&out);
}

/* Each end of a line takes four bytes where it is shown: the reason is not cut off for that. */
static void test_target_hook__of_many_lines_the_last_is_shown(void **state)
{
	certauto__buffer out = CERTAUTO__BUFFER(65536);
	certauto__list none = {0};
	char text[600];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(text); i++)
		text[i] = i % 2 == 0 ? 'x' : '\n';
	memcpy(text + sizeof(text) - 12, "\na\0 reason\n", 12);
	assert_int_equal(certauto__hook_show(&out, text, sizeof(text), &none), 0);
	assert_non_null(strstr(out.data, "\\x0aa\\x00 reason"));
	assert_string_equal(out.data + out.len - strlen(" reason"), " reason");
	assert_memory_equal(out.data, "...x", 4);
	certauto__buffer_free(&out);
}

/* The loop stands still for that. */
static void test_target_hook__much_is_looked_through_quickly(void **state)
{
	static const char line[] = "-----BEGIN \n";
	certauto__buffer text = CERTAUTO__BUFFER(4 << 20), out = CERTAUTO__BUFFER(65536);
	certauto__list none = {0};
	clock_t began;
	size_t i;

	(void)state;
	for (i = 0; i < 200000; i++)
		certauto__buffer_text_add(&text, line);
	assert_int_equal(text.rc, 0);
	began = clock();
	assert_int_equal(certauto__hook_show(&out, text.data, text.len, &none), 0);
	assert_true(clock() - began < CLOCKS_PER_SEC);
	certauto__buffer_free(&text);
	certauto__buffer_free(&out);
}

static int show_scenario(void *arg)
{
	static const char text[] = "what abcd is";
	certauto__buffer out = CERTAUTO__BUFFER(65536);
	certauto__list secrets = {0};
	int rc;

	(void)arg;
	if ((rc = certauto__list_add_text(&secrets, "abcd")) == 0)
		rc = certauto__hook_show(&out, text, strlen(text), &secrets);
	certauto__list_free(&secrets);
	certauto__buffer_free(&out);
	return rc;
}

static void test_target_hook__short_of_memory_nothing_is_shown(void **state)
{
	(void)state;
	unit_oom_sweep("show", show_scenario, NULL);
}

/* ---- challenges ---- */

static int answer(const struct hooks *h, const char *style, const char *challenge, int clean,
	const char *value, const char *environment)
{
	certauto_target *target = target_new(h, style);
	char cleanup[256];
	int rc;

	if (environment != NULL)
		lab_set(target, "environment", environment);
	if (strcmp(style, "certbot") == 0) {
		snprintf(cleanup, sizeof(cleanup), "[\"%s\",\"clean\"]", h->program);
		lab_set(target, "cleanup_program", cleanup);
	}
	rc = clean ? certauto_target_cleanup(target, challenge, "*.a.example", "token", value,
			     TIMEOUT_MS)
		   : certauto_target_present(target, challenge, "*.a.example", "token", value,
			     TIMEOUT_MS);
	certauto_target_free(target);
	return rc;
}

static void called(const struct hooks *h, const char *lines)
{
	if (!lab_holds(h->calls, lines)) {
		char data[4096] = "";
		FILE *file = fopen(h->calls, "r");

		if (file != NULL)
			data[fread(data, 1, sizeof(data) - 1, file)] = '\0';
		fail_msg("called: %s", data);
	}
	assert_int_equal(unlink(h->calls), 0);
}

static void test_target_hook__each_style_has_its_own_words(void **state)
{
	struct hooks *h = hooks_new();

	(void)state;
	assert_int_equal(answer(h, "certbot", "dns-01", 0, "txt", NULL), 0);
	called(h, " [a.example]\n");
	assert_int_equal(answer(h, "certbot", "dns-01", 1, "txt", NULL), 0);
	called(h, "clean [a.example]\n");
	assert_int_equal(answer(h, "dehydrated", "dns-01", 0, "txt", NULL), 0);
	called(h, "deploy_challenge a.example token txt []\n");
	assert_int_equal(answer(h, "dehydrated", "dns-01", 1, "txt", NULL), 0);
	called(h, "clean_challenge a.example token txt []\n");
	assert_int_equal(answer(h, "dehydrated", "http-01", 0, KEY_AUTH, NULL), 0);
	called(h, "deploy_challenge a.example token " KEY_AUTH " []\n");
	assert_int_equal(answer(h, "lego", "dns-01", 0, "txt", "A=b c"), 0);
	called(h, "present _acme-challenge.a.example. txt [b c]\n");
	assert_int_equal(answer(h, "lego", "dns-01", 1, "txt", NULL), 0);
	called(h, "cleanup _acme-challenge.a.example. txt []\n");
	assert_int_equal(answer(h, "lego", "dns-01", 0, KEY_AUTH, "EXEC_MODE=RAW"), 0);
	called(h, "present -- a.example token " KEY_AUTH " [RAW]\n");
	assert_int_equal(answer(h, "lego", "dns-01", 0, "txt", "EXEC_MODE=RAW"),
		CERTAUTO_EUNSUPPORTED);
	assert_int_equal(answer(h, "lego", "http-01", 0, KEY_AUTH, NULL), CERTAUTO_EUNSUPPORTED);
	lab_says(h->lab, "a hook of lego cannot be told of http-01");
	assert_int_equal(access(h->calls, F_OK), -1);
	hooks_free(h);
}

static void test_target_hook__a_variable_is_that_of_the_host_when_only_named(void **state)
{
	struct hooks *h = hooks_new();

	(void)state;
	assert_int_equal(setenv("A", "of the host", 1), 0);
	assert_int_equal(answer(h, "lego", "dns-01", 0, "txt", NULL), 0);
	called(h, "present _acme-challenge.a.example. txt []\n");
	assert_int_equal(answer(h, "lego", "dns-01", 0, "txt", "A,NOT_THERE"), 0);
	called(h, "present _acme-challenge.a.example. txt [of the host]\n");
	unsetenv("A");
	hooks_free(h);
}

/* Shells go by the last of several, most others by the first. */
static void test_target_hook__no_variable_is_given_twice(void **state)
{
	struct hooks *h = hooks_new();
	char more[256];

	(void)state;
	snprintf(more, sizeof(more),
		"tr '\\0' '\\n' </proc/$$/environ | grep -E '^(PATH|CHALLENGETYPE)' >>%s",
		h->calls);
	program_write(h, more);
	assert_int_equal(answer(h, "dehydrated", "dns-01", 0, "txt",
				 "PATH=/bin:/usr/bin,CHALLENGETYPE=mine,CHALLENGETYPES=x"),
		0);
	called(h, "deploy_challenge a.example token txt []\n"
		  "PATH=/bin:/usr/bin\nCHALLENGETYPE=mine\nCHALLENGETYPES=x\n");
	hooks_free(h);
}

/* Where the script puts it is not known: into a path, or into a command of another program. */
static void test_target_hook__what_is_no_name_and_no_token_is_not_told(void **state)
{
	struct hooks *h = hooks_new();
	certauto_target *target = target_new(h, "dehydrated");
	int clean;

	(void)state;
	for (clean = 0; clean < 2; clean++) {
		int (*tell)(certauto_target *, const char *, const char *, const char *,
			const char *, int) =
			clean ? certauto_target_cleanup : certauto_target_present;

		assert_int_equal(tell(target, "dns-01", "a.example;id", "token", "txt",
					 TIMEOUT_MS),
			CERTAUTO_EINVAL);
		lab_says(h->lab, "characters that none may have");
		assert_int_equal(
			tell(target, "dns-01", "a.example", "token", "txt\nsend", TIMEOUT_MS),
			CERTAUTO_EINVAL);
		assert_int_equal(tell(target, "http-01", "a.example", "../token", KEY_AUTH,
					 TIMEOUT_MS),
			CERTAUTO_EINVAL);
		assert_int_equal(
			tell(target, "http-01", "$(id)", "token", KEY_AUTH, TIMEOUT_MS),
			CERTAUTO_EINVAL);
	}
	assert_int_equal(access(h->calls, F_OK), -1);
	certauto_target_free(target);
	assert_int_equal(answer(h, "dehydrated", "http-01", 1, NULL, NULL), 0);
	called(h, "clean_challenge a.example token  []\n");
	hooks_free(h);
}

static void test_target_hook__what_fails_is_taken_back_and_what_never_ran_is_not(void **state)
{
	struct hooks *h = hooks_new();

	(void)state;
	program_write(h, "echo $3; [ $1 = cleanup ]");
	assert_int_equal(answer(h, "lego", "dns-01", 0, "the-value", NULL), CERTAUTO_EREFUSED);
	lab_says(h->lab, "(add) ended with status 1: \"***\"");
	called(h, "present _acme-challenge.a.example. the-value []\n"
		  "cleanup _acme-challenge.a.example. the-value []\n");
	program_write(h, "exit 6");
	assert_int_equal(answer(h, "lego", "dns-01", 0, "the-value", NULL), CERTAUTO_EROLLBACK);
	lab_says(h->lab, "could not be taken back");
	lab_write(h->program, "#!/no/such/interpreter\n", 0755);
	assert_int_equal(answer(h, "lego", "dns-01", 0, "the-value", NULL), CERTAUTO_ENOTFOUND);
	hooks_free(h);
}

/* ---- deployment ---- */

static int deploy(const struct hooks *h, const struct lab_pair *pair, const char *n_times)
{
	certauto_target *target = target_new(h, "dehydrated");
	int rc;

	lab_set(target, "folder", h->folder);
	lab_set(target, "environment", n_times);
	rc = certauto_target_deploy(target, "shop", pair->chain, pair->key, TIMEOUT_MS);
	certauto_target_free(target);
	return rc;
}

static int n_calls(const struct hooks *h)
{
	FILE *file = fopen(h->calls, "r");
	int c, n = 0;

	while (file != NULL && (c = fgetc(file)) != EOF)
		n += c == '\n';
	if (file != NULL)
		fclose(file);
	return n;
}

static void test_target_hook__old_files_and_an_old_hook_come_back_together(void **state)
{
	struct hooks *h = hooks_new();
	struct lab_pair old, pair;
	unsigned char *leaf = NULL;
	char path[256];
	size_t len;

	(void)state;
	/* Fails for certificates of this name. */
	program_write(h, "[ $2 = old.example ]");
	lab_pair_make(h->lab, &old, "old.example", 10);
	lab_pair_make(h->lab, &pair, "new.example", 10);
	assert_int_equal(deploy(h, &pair, "A=1"), CERTAUTO_EREFUSED);
	assert_int_equal(lab_count(h->folder), 0);
	assert_int_equal(n_calls(h), 1);
	assert_int_equal(deploy(h, &old, "A=1"), 0);
	assert_int_equal(deploy(h, &old, "A=1"), 0);
	assert_int_equal(n_calls(h), 2);
	assert_int_equal(deploy(h, &pair, "A=1"), CERTAUTO_EREFUSED);
	lab_says(h->lab, "(deploy) ended with status 1");
	assert_int_equal(n_calls(h), 4);
	snprintf(path, sizeof(path), "%s/shop/cert.pem", h->folder);
	assert_int_equal(certauto_chain_format(&leaf, &len, old.chain, CERTAUTO_CHAIN_LEAF), 0);
	assert_true(lab_holds(path, (char *)leaf));
	snprintf(path, sizeof(path), "%s/shop", h->folder);
	assert_int_equal(lab_count(path), 4);
	assert_int_equal(lab_mode(path), 0700);
	certauto_mem_free(leaf);
	lab_pair_free(&old);
	lab_pair_free(&pair);
	hooks_free(h);
}

static void test_target_hook__a_folder_that_others_may_change_is_not_used(void **state)
{
	struct hooks *h = hooks_new();
	struct lab_pair pair;
	char path[256];

	(void)state;
	lab_pair_make(h->lab, &pair, "a.example", 10);
	assert_int_equal(chmod(h->folder, 0777), 0);
	assert_int_equal(deploy(h, &pair, "A=1"), CERTAUTO_EPERM);
	assert_int_equal(n_calls(h), 0);
	assert_int_equal(chmod(h->folder, 0700), 0);
	/* Nor is one that a link leads to, or that was there before with other rights. */
	snprintf(path, sizeof(path), "%s/shop", h->folder);
	assert_int_equal(symlink(h->lab->folder, path), 0);
	assert_int_equal(deploy(h, &pair, "A=1"), CERTAUTO_EPERM);
	lab_says(h->lab, "a link, or not what it should be");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700) | chmod(path, 0770), 0);
	assert_int_equal(deploy(h, &pair, "A=1"), CERTAUTO_EPERM);
	lab_says(h->lab, "can be written by group or others");
	assert_int_equal(n_calls(h), 0);
	assert_int_equal(lab_count(path), 0);
	assert_int_equal(rmdir(path), 0);
	lab_pair_free(&pair);
	hooks_free(h);
}

/* ---- memory ---- */

struct scene {
	const struct hooks *hooks;
	const struct lab_pair *pair; /* NULL: a challenge */
};

static int scenario(void *arg)
{
	const struct scene *scene = arg;
	char argv[256];
	certauto_target *target = NULL;
	certauto_context *cx = scene->hooks->lab->cx;
	int rc;

	lab_empty(scene->hooks->folder);
	snprintf(argv, sizeof(argv), "[\"%s\"]", scene->hooks->program);
	if ((rc = certauto_target_new(&target, cx, "hook")) == 0 &&
		(rc = certauto_target_set(target, "style", "dehydrated")) == 0 &&
		(rc = certauto_target_set(target, "program", argv)) == 0 &&
		(rc = certauto_target_set(target, "folder", scene->hooks->folder)) == 0 &&
		(rc = certauto_target_set(target, "environment", "A=1")) == 0 &&
		(rc = certauto_target_set(target, "dns_check", "no")) == 0 &&
		(rc = certauto_target_set(target, "probe", "no")) == 0)
		rc = scene->pair != NULL
			? certauto_target_deploy(target, "shop", scene->pair->chain,
				  scene->pair->key, TIMEOUT_MS)
			: certauto_target_present(target, "dns-01", "a.example", "token", "txt",
				  TIMEOUT_MS);
	certauto_target_free(target);
	/* What was done cannot always be taken back then. */
	return rc == CERTAUTO_EROLLBACK ? CERTAUTO_ENOMEM : rc;
}

/* Told too little, a program would do the wrong thing. */
static void test_target_hook__short_of_memory_nothing_is_told_by_halves(void **state)
{
	const struct certauto__journal nowhere = {0};
	struct hooks *h = hooks_new();
	struct lab_pair pair;
	struct scene scene = {h, NULL};
	char line[512];
	FILE *file;

	(void)state;
	(void)certauto__journal_use(h->lab->cx, &nowhere); /* the lab's own loses records */
	unit_oom_sweep("present", scenario, &scene);
	lab_pair_make(h->lab, &pair, "a.example", 10);
	scene.pair = &pair;
	unit_oom_sweep("deploy", scenario, &scene);
	assert_non_null(file = fopen(h->calls, "r"));
	while (fgets(line, sizeof(line), file) != NULL)
		if (strstr(line, "_challenge a.example token txt [1]\n") == NULL &&
			(strstr(line, "deploy_cert a.example ") == NULL ||
				strstr(line, " [1]\n") == NULL))
			fail_msg("told: %s", line);
	fclose(file);
	lab_pair_free(&pair);
	hooks_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target_hook__secrets_and_keys_are_masked),
		cmocka_unit_test(test_target_hook__of_much_the_end_is_shown),
		cmocka_unit_test(test_target_hook__of_many_lines_the_last_is_shown),
		cmocka_unit_test(test_target_hook__much_is_looked_through_quickly),
		cmocka_unit_test(test_target_hook__short_of_memory_nothing_is_shown),
		cmocka_unit_test(test_target_hook__each_style_has_its_own_words),
		cmocka_unit_test(
			test_target_hook__a_variable_is_that_of_the_host_when_only_named),
		cmocka_unit_test(test_target_hook__no_variable_is_given_twice),
		cmocka_unit_test(
			test_target_hook__what_is_no_name_and_no_token_is_not_told),
		cmocka_unit_test(
			test_target_hook__what_fails_is_taken_back_and_what_never_ran_is_not),
		cmocka_unit_test(
			test_target_hook__old_files_and_an_old_hook_come_back_together),
		cmocka_unit_test(test_target_hook__a_folder_that_others_may_change_is_not_used),
		cmocka_unit_test(
			test_target_hook__short_of_memory_nothing_is_told_by_halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
