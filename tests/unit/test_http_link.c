/* SPDX-License-Identifier: Apache-2.0 */

/* Link headers: found, counted, resolved; and refused when they are not links. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"
#include "http/private.h"

/* The i-th link; "" when there is none. */
static const char *find(const char *header, const char *rel, size_t i)
{
	static char found[256];
	certauto__buffer out = CERTAUTO__BUFFER(sizeof(found) - 1);
	int rc = certauto__link_find(header, rel, &i, &out);

	assert_true(rc == 0 || rc == CERTAUTO_ENOTFOUND);
	strcpy(found, certauto__buffer_text(&out));
	certauto__buffer_free(&out);
	return found;
}

static int outcome(const char *header)
{
	certauto__buffer out = CERTAUTO__BUFFER(255);
	size_t skip = 0;
	int rc = certauto__link_find(header, "up", &skip, &out);

	certauto__buffer_free(&out);
	return rc;
}

static void test_http_link__is_found_by_its_relation(void **state)
{
	(void)state;
	assert_string_equal(find("<https://ca.example/dir>;rel=\"index\"", "index", 0),
		"https://ca.example/dir");
	assert_string_equal(find("<a>; rel=up", "up", 0), "a");
	assert_string_equal(find(" , <a> ;\trel = up , ", "up", 0), "a");
	assert_string_equal(find("<a>; REL=\"Up\"", "up", 0), "a");
	assert_string_equal(find("<a>; title=\"x\"; rel=up; type=\"text/plain\"", "up", 0), "a");
	assert_string_equal(find("<a>; rel=upper", "up", 0), "");
	assert_string_equal(find("<a>; title=up", "up", 0), "");
	assert_string_equal(find("<a>", "up", 0), "");
	assert_string_equal(find("<a>; rel", "up", 0), "");
	assert_string_equal(find("", "up", 0), "");
	assert_string_equal(find("<>; rel=up", "up", 0), "");
}

static void test_http_link__several_in_a_line(void **state)
{
	static const char header[] =
		"<a>; rel=index, <b?x,y;z>; rel=\"alternate\" , <c>;rel=alternate;x,<d>;rel=up";

	(void)state;
	assert_string_equal(find(header, "index", 0), "a");
	assert_string_equal(find(header, "alternate", 0), "b?x,y;z");
	assert_string_equal(find(header, "alternate", 1), "c");
	assert_string_equal(find(header, "alternate", 2), "");
	assert_string_equal(find(header, "up", 0), "d");
}

static void test_http_link__quoted_text_is_no_syntax(void **state)
{
	static const char header[] =
		"<a>; title=\"x, <evil>; rel=up, \\\" y\"; rel=index, <b>; rel=up";

	(void)state;
	assert_string_equal(find(header, "up", 0), "b");
	assert_string_equal(find(header, "index", 0), "a");
}

static void test_http_link__several_relations_in_one_parameter(void **state)
{
	(void)state;
	assert_string_equal(find("<a>; rel=\"index  up\"", "up", 0), "a");
	assert_string_equal(find("<a>; rel=\" up\"", "up", 0), "a");
	assert_string_equal(find("<a>; rel=\"index https://x/up\"", "up", 0), "");
	assert_string_equal(find("<a>; rel=\"\"", "up", 0), "");
}

static void test_http_link__only_the_first_rel_counts(void **state)
{
	(void)state;
	assert_string_equal(find("<a>; rel=index; rel=up", "up", 0), "");
	assert_string_equal(find("<a>; rel=index; rel=up", "index", 0), "a");
}

static void test_http_link__of_another_resource_is_skipped(void **state)
{
	(void)state;
	assert_string_equal(find("<a>; rel=up; anchor=\"/x\", <b>; rel=up", "up", 0), "b");
	assert_string_equal(find("<a>; anchor=\"/x\"; rel=up", "up", 0), "");
}

static void test_http_link__count_goes_on_over_headers(void **state)
{
	certauto__buffer out = CERTAUTO__BUFFER(64);
	size_t skip = 2;

	(void)state;
	assert_int_equal(certauto__link_find("<a>; rel=up, <b>; rel=up", "up", &skip, &out),
		CERTAUTO_ENOTFOUND);
	assert_int_equal(skip, 0);
	assert_int_equal(certauto__link_find("<c>; rel=up", "up", &skip, &out), 0);
	assert_string_equal(out.data, "c");
	certauto__buffer_free(&out);
}

static void test_http_link__what_is_not_one_is_refused(void **state)
{
	static const char *const bad[] = {
		"a; rel=up",
		"<a; rel=up",
		"<a",
		"<a> rel=up",
		"<a> x",
		"<a>; =up",
		"<a>; rel=",
		"<a>; rel=\"up",
		"<a>; rel=\"up\\",
		"<a>; rel=\"up\\\"",
		"<a>; rel=up <b>; rel=up",
		"<b>; rel=x; <a>; rel=up",
		"<a>>; rel=up",
		"<a>; rel=\"up\"x",
		"<a>;;x=<",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (outcome(bad[i]) != CERTAUTO_EPROTO)
			fail_msg("accepted: %s", bad[i]);
}

/* No input may lead outside the text: a sanitizer build would tell. */
static void test_http_link__is_cut_at_every_byte(void **state)
{
	static const char header[] =
		"<https://ca.example/a?b>; x; title=\"a\\\"b, c\"; rel=\"index up\" ,<d>;rel=up";
	size_t i;

	(void)state;
	for (i = 0; i <= strlen(header); i++) {
		char *copy = certauto__memdup(header, i);
		int rc = outcome(copy);

		assert_true(rc == 0 || rc == CERTAUTO_ENOTFOUND || rc == CERTAUTO_EPROTO);
		certauto__free(copy);
	}
}

static void resolves(const char *reference, const char *wanted)
{
	certauto__buffer out = CERTAUTO__BUFFER(255);
	int rc = certauto__link_resolve("https://ca.example:8443/acme/cert/1?x=y", reference, &out);

	if (wanted == NULL)
		assert_int_equal(rc, CERTAUTO_EPROTO);
	else
		assert_int_equal(rc, 0);
	assert_string_equal(certauto__buffer_text(&out), wanted != NULL ? wanted : "");
	certauto__buffer_free(&out);
}

static void test_http_link__is_resolved_against_the_request(void **state)
{
	(void)state;
	resolves("https://other.example/2", "https://other.example/2");
	resolves("http://other.example/2", "http://other.example/2");
	resolves("//other.example/2", "https://other.example/2");
	resolves("/2", "https://ca.example:8443/2");
	resolves("2", "https://ca.example:8443/acme/cert/2");
	resolves("../2", "https://ca.example:8443/acme/2");
	resolves("../../../2", "https://ca.example:8443/2");
	resolves("?z", "https://ca.example:8443/acme/cert/1?z");
	resolves("", "https://ca.example:8443/acme/cert/1?x=y");
}

static void test_http_link__is_not_resolved_when_it_is_no_url(void **state)
{
	(void)state;
	resolves("/a b", NULL);
	resolves("/a\r\nX: y", NULL);
	resolves("/\xc3\xa9", NULL);
	resolves("gopher+x://a/", NULL);
	resolves("https://ca.example:99999/", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_link__is_found_by_its_relation),
		cmocka_unit_test(test_http_link__several_in_a_line),
		cmocka_unit_test(test_http_link__quoted_text_is_no_syntax),
		cmocka_unit_test(test_http_link__several_relations_in_one_parameter),
		cmocka_unit_test(test_http_link__only_the_first_rel_counts),
		cmocka_unit_test(test_http_link__of_another_resource_is_skipped),
		cmocka_unit_test(test_http_link__count_goes_on_over_headers),
		cmocka_unit_test(test_http_link__what_is_not_one_is_refused),
		cmocka_unit_test(test_http_link__is_cut_at_every_byte),
		cmocka_unit_test(test_http_link__is_resolved_against_the_request),
		cmocka_unit_test(test_http_link__is_not_resolved_when_it_is_no_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
