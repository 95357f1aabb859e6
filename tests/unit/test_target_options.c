/* SPDX-License-Identifier: Apache-2.0 */
/* Options of targets as a program meets them: what is refused says what would be taken. */

#include "unit_target.h"

#include "jobs/target.h"

struct bad {
	const char *type, *name, *value, *words;
};

static void check_refused(struct lab *lab, const struct bad *bad)
{
	certauto_target *target = NULL;
	int rc;

	assert_int_equal(certauto_target_new(&target, lab->cx, bad->type), 0);
	if (strcmp(bad->type, "haproxy") == 0 && strcmp(bad->name, "socket") != 0)
		lab_set(target, "socket", "/run/haproxy.sock");
	if (strcmp(bad->type, "files") == 0 && strcmp(bad->name, "directory") != 0)
		lab_set(target, "directory", "/etc/ssl/certauto");
	if ((rc = certauto_target_set(target, bad->name, bad->value)) == 0)
		rc = certauto_target_check(target);
	if (rc != CERTAUTO_EINVAL)
		fail_msg("%s=%s: %d", bad->name, bad->value, rc);
	lab_says(lab, bad->words);
	certauto_target_free(target);
}

static void test_target_options__what_is_refused_says_what_is_taken(void **state)
{
	static const struct bad all[] = {
		{"haproxy", "sockt", "/x", "its options are socket, crt, map"},
		{"haproxy", "socket", "run/x",
			"option \"socket\" takes an absolute path, not \"run/x\""},
		{"haproxy", "timeout_ms", "soon",
			"takes a number from 100 to 3600000, not \"soon\""},
		{"haproxy", "timeout_ms", "1", "takes a number"},
		{"haproxy", "insecure", "maybe", "takes yes or no"},
		{"haproxy", "crt", "/etc/a b.pem", "\"crt\" may have no blanks"},
		{"haproxy", "crt", "/etc/a;quit", "\"crt\" may have no blanks"},
		{"haproxy", "crt", "/etc/certs/", "file in a folder"},
		{"haproxy", "crt", "/shop.pem", "file in a folder"},
		{"haproxy", "crt", "/etc/a\nquit", "option \"crt\" takes"},
		{"haproxy", "map", "m <<", "\"map\" may have no blanks"},
		{"haproxy", "mode", "0644", "gives others nothing"},
		{"haproxy", "mode", "rw", "octal"},
		{"haproxy", "timeout_ms", "", "takes a number"},
		{"haproxy", "probe", "a.example:0", "\"a.example:0\" is not host:port"},
		{"haproxy", "probe", "a.example:443,no", "is not host:port"},
		{"haproxy", "probe", "http://a.example", "is not host:port"},
		{"haproxy", "challenge_check", "80:a", "is not host:port"},
		{"haproxy", "pin", "abc", "sha256//BASE64"},
		{"haproxy", "pin", "sha256//AAAA", "of 32 bytes"},
		{"files", "reload", "nginx -s reload", "JSON array of strings"},
		{"files", "reload", "[]", "JSON array of strings"},
		{"files", "reload", "[1]", "JSON array of strings"},
		{"files", "reload", "[[\"a\"]]", "JSON array of strings"},
		{"files", "key_file", "../key.pem", "no \"/\""},
		{"files", "key_file", ".key.pem", "no dot in front"},
		{"files", "cert_file", "{nme}.pem", "{name} and {key}"},
		{"files", "key_mode", "0644", "gives others nothing"},
		{"files", "combined_file", "{name}.cert.pem", "name the same file"},
		{"files", "mode", "0666", "octal mode"},
		{"files", "group", "no-such-group-here", "no group"},
	};
	struct lab *lab = lab_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		check_refused(lab, &all[i]);
	lab_free(lab);
}

static const char *default_of(const certauto_target *target, const char *name)
{
	size_t i = 0;

	while (strcmp(certauto_target_option_name(target, i), name) != 0)
		i++;
	return certauto_target_option_default(target, i);
}

/* Each option of that type, empty: as if it were not set. */
static void check_empty(struct lab *lab, const char *type)
{
	certauto_target *target = NULL;
	const char *name, *before, *text;
	char *recipe;
	size_t i = 0, n = 1;

	for (; i < n; i++, certauto_target_free(target)) {
		assert_int_equal(certauto_target_new(&target, lab->cx, type), 0);
		n = certauto_target_n_options(target);
		name = certauto_target_option_name(target, i);
		if (certauto_target_set(target, name, "") < 0)
			continue;
		assert_false(certauto__option_is_set(target, name));
		before = default_of(target, name);
		text = certauto__option_text(target, name);
		if (strcmp(type, "files") != 0 && before != NULL)
			assert_string_equal(text, before);
		recipe = NULL;
		assert_int_not_equal(certauto_target_check(target), CERTAUTO_ENOMEM);
		if (certauto_target_dup_recipe(&recipe, target) == 0)
			assert_null(strstr(recipe, "(null)"));
		certauto_mem_free(recipe);
	}
}

static void test_target_options__an_empty_one_is_as_good_as_none(void **state)
{
	struct lab *lab = lab_new();
	size_t i;

	(void)state;
	for (i = 0; i < certauto_target_n_types(lab->cx); i++)
		check_empty(lab, certauto_target_type_name(lab->cx, i));
	lab_free(lab);
}

static void test_target_options__a_missing_one_is_named_with_its_meaning(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = NULL;

	(void)state;
	assert_int_equal(certauto_target_new(&target, lab->cx, "haproxy"), 0);
	assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
	lab_says(lab, "option \"socket\" is missing: path of HAProxy's runtime API socket");
	certauto_target_free(target);
	assert_int_equal(certauto_target_new(&target, lab->cx, "files"), 0);
	assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
	lab_says(lab, "set directory");
	certauto_target_free(target);
	lab_free(lab);
}

static void test_target_options__values_are_read_by_type(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = NULL;
	const certauto__list *list;

	(void)state;
	assert_int_equal(certauto_target_new(&target, lab->cx, "files"), 0);
	lab_set(target, "probe", " a.example:443 , [::1]:8443,b.example");
	lab_set(target, "reload", "[\"/bin/a\", \"b c\"]");
	lab_set(target, "insecure", "1");
	lab_set(target, "timeout_ms", "5000");
	list = certauto__option_list(target, "probe");
	assert_int_equal(list->n, 3);
	assert_string_equal(list->items[1], "[::1]:8443");
	list = certauto__option_list(target, "reload");
	assert_int_equal(list->n, 2);
	assert_string_equal(list->items[1], "b c");
	assert_int_equal(certauto__option_flag(target, "insecure"), 1);
	assert_int_equal(certauto__option_number(target, "timeout_ms"), 5000);
	assert_string_equal(certauto__option_text(target, "key_file"), "{name}.key.pem");
	assert_null(certauto__option_text(target, "combined_file"));
	assert_false(certauto__option_is_set(target, "key_file"));
	lab_set(target, "insecure", "no");
	lab_set(target, "key_file", "");
	assert_int_equal(certauto__option_flag(target, "insecure"), 0);
	assert_null(certauto__option_text(target, "key_file"));
	lab_set(target, "directory", "/etc/ssl/certauto");
	lab_set(target, "challenge_check", ""); /* as good as not set */
	assert_int_equal(certauto_target_check(target), 0);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_target_options__a_refused_value_leaves_the_former_one(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = NULL;

	(void)state;
	assert_int_equal(certauto_target_new(&target, lab->cx, "files"), 0);
	lab_set(target, "reload", "[\"/bin/a\"]");
	assert_int_equal(certauto_target_set(target, "reload", "[\"/bin/b\", 2]"), CERTAUTO_EINVAL);
	assert_int_equal(certauto__option_list(target, "reload")->n, 1);
	assert_string_equal(certauto__option_list(target, "reload")->items[0], "/bin/a");
	certauto_target_free(target);
	lab_free(lab);
}

static void test_target_options__what_a_target_can_do_depends_on_them(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = NULL;

	(void)state;
	assert_int_equal(certauto_target_new(&target, lab->cx, "haproxy"), 0);
	assert_int_equal(certauto_target_caps(target),
		CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DEPLOY);
	lab_set(target, "socket", "/run/haproxy.sock");
	assert_int_equal(certauto_target_caps(target), 0);
	lab_set(target, "map", "virt@acme");
	assert_int_equal(certauto_target_caps(target), CERTAUTO_TARGET_HTTP01);
	lab_set(target, "crt", "/etc/haproxy/certs/a.pem");
	assert_int_equal(certauto_target_caps(target),
		CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DEPLOY);
	assert_int_equal(certauto_target_present(target, "dns-01", "a.example", "t", "v", 1000),
		CERTAUTO_EUNSUPPORTED);
	lab_says(lab, "does not answer dns-01 challenges");
	certauto_target_free(target);
	lab_free(lab);
}

static void test_target_options__types_are_listed_and_an_unknown_one_lists_them(void **state)
{
	static const char *const types[] = {"avi", "files", "flexibleengine", "haproxy", "hook",
		"netscaler", "nsx", "rfc2136"};
	struct lab *lab = lab_new();
	certauto_target *target = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_string_equal(certauto_target_type_name(lab->cx, i), types[i]);
	assert_int_equal(certauto_target_n_types(lab->cx), i);
	assert_null(certauto_target_type_name(lab->cx, i));
	assert_int_equal(certauto_target_new(&target, lab->cx, "haprox"), CERTAUTO_ENOTFOUND);
	lab_says(lab, "there are avi, files, flexibleengine, haproxy, hook");
	assert_null(target);
	assert_int_equal(certauto_target_new(&target, lab->cx, "files"), 0);
	for (i = 0; i < certauto_target_n_options(target); i++) {
		assert_non_null(certauto_target_option_name(target, i));
		assert_non_null(certauto_target_option_help(target, i));
		assert_non_null(certauto_target_option_type(target, i));
	}
	assert_null(certauto_target_option_name(target, i));
	certauto_target_free(target);
	lab_free(lab);
}

static void test_target_options__addresses_get_a_port(void **state)
{
	static const char *const bad[] = {
		"", ":443", "a b", "a:b", "a:65536", "::1", "[::1", "[x]:1", "a:1:2"};
	static const char *const good[][2] = {{"a.example", "a.example:443"},
		{"a.example:8443", "a.example:8443"}, {"[::1]", "[::1]:443"},
		{"127.0.0.1:1", "127.0.0.1:1"}, {"localhost", "localhost:443"}};
	char address[CERTAUTO__ADDRESS];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (certauto__address_format(address, bad[i], 443) == 0)
			fail_msg("\"%s\" became %s", bad[i], address);
	}
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(certauto__address_format(address, good[i][0], 443), 0);
		assert_string_equal(address, good[i][1]);
	}
}

static int configure(void *arg)
{
	certauto_context *cx = arg;
	certauto_target *target = NULL;
	int rc;

	if ((rc = certauto_target_new(&target, cx, "files")) == 0 &&
		(rc = certauto_target_set(target, "directory", "/etc/ssl")) == 0 &&
		(rc = certauto_target_set(target, "probe", "a.example,b.example:444")) == 0 &&
		(rc = certauto_target_set(target, "reload", "[\"/bin/true\",\"x\"]")) == 0)
		rc = certauto_target_set(target, "timeout_ms", "700");
	certauto_target_free(target);
	return rc;
}

static void test_target_options__lack_of_memory_is_told_as_such(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	unit_oom_sweep("options", configure, lab->cx);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target_options__what_is_refused_says_what_is_taken),
		cmocka_unit_test(test_target_options__an_empty_one_is_as_good_as_none),
		cmocka_unit_test(test_target_options__a_missing_one_is_named_with_its_meaning),
		cmocka_unit_test(test_target_options__values_are_read_by_type),
		cmocka_unit_test(test_target_options__a_refused_value_leaves_the_former_one),
		cmocka_unit_test(test_target_options__what_a_target_can_do_depends_on_them),
		cmocka_unit_test(
			test_target_options__types_are_listed_and_an_unknown_one_lists_them),
		cmocka_unit_test(test_target_options__addresses_get_a_port),
		cmocka_unit_test(test_target_options__lack_of_memory_is_told_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
