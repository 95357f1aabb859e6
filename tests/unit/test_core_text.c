/* SPDX-License-Identifier: Apache-2.0 */
/* Text: escapes, base64url, lists, numbers and names, and their bounds. */

#include "unit.h"

#include "core/text.h"

static void check_escape(const char *text, size_t len, const char *expected)
{
	certauto__buffer b = CERTAUTO__BUFFER(4096);

	assert_int_equal(certauto__text_escape(&b, text, len), 0);
	assert_string_equal(certauto__buffer_text(&b), expected);
	certauto__buffer_free(&b);
}

static void test_text__escape_shows_what_hides(void **state)
{
	(void)state;
	check_escape("", 0, "");
	check_escape("plain \"text\"", 12, "plain \"text\"");
	check_escape("a\nb\x1B[31m\x7F", 9, "a\\x0ab\\x1b[31m\\x7f");
	check_escape("\0", 1, "\\x00");
	check_escape("\xC2\x85", 2, "\\xc2\\x85");                  /* C1: next line */
	check_escape("\xE2\x80\xAE" "cod", 6, "\\xe2\\x80\\xae" "cod"); /* right-to-left override */
	check_escape("\xE2\x81\xA6", 3, "\\xe2\\x81\\xa6");         /* isolate */
	check_escape("\xD8\x9C", 2, "\\xd8\\x9c");                  /* Arabic letter mark */
	check_escape("\xC3\xA9t\xC3\xA9 \xF0\x9F\x94\x92", 10,
		"\xC3\xA9t\xC3\xA9 \xF0\x9F\x94\x92");
}

static void test_text__escape_shows_invalid_utf8(void **state)
{
	(void)state;
	check_escape("\xC3", 1, "\\xc3");
	check_escape("\xC0\x80", 2, "\\xc0\\x80");         /* overlong */
	check_escape("\xED\xA0\x80", 3, "\\xed\\xa0\\x80"); /* surrogate */
	check_escape("\xF4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80");
	check_escape("\xE2\x82z", 3, "\\xe2\\x82z");
	check_escape("\xFF\xC3\xA9", 3, "\\xff\xC3\xA9");
}

static void test_text__escape_cuts(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(4096);
	char text[2000];

	(void)state;
	memset(text, 'a', sizeof(text));
	certauto__text_escape(&b, text, CERTAUTO__SHOWN_MAX);
	assert_int_equal(b.len, CERTAUTO__SHOWN_MAX);
	assert_null(strchr(b.data, '.'));
	certauto__buffer_clear(&b);
	certauto__text_escape(&b, text, CERTAUTO__SHOWN_MAX + 1);
	assert_int_equal(b.len, CERTAUTO__SHOWN_MAX);
	assert_string_equal(b.data + CERTAUTO__SHOWN_MAX - 4, "a...");
	certauto__buffer_clear(&b);
	memset(text, '\n', sizeof(text));
	certauto__text_escape(&b, text, sizeof(text)); /* never in the middle of \x0a */
	assert_int_equal(b.len, 511);
	assert_string_equal(b.data + 504, "\\x0a...");
	certauto__buffer_free(&b);
}

static void test_text__utf8_is_strict(void **state)
{
	uint32_t point;

	(void)state;
	assert_int_equal(certauto__utf8_sequence("", 0, &point), 0);
	assert_int_equal(certauto__utf8_sequence("a", 1, &point), 1);
	assert_int_equal(point, 'a');
	assert_int_equal(certauto__utf8_sequence("\xDF\xBF", 2, &point), 2);
	assert_int_equal(point, 0x7FF);
	assert_int_equal(certauto__utf8_sequence("\xE0\xA0\x80", 3, &point), 3);
	assert_int_equal(point, 0x800);
	assert_int_equal(certauto__utf8_sequence("\xEF\xBF\xBF", 3, &point), 3);
	assert_int_equal(point, 0xFFFF);
	assert_int_equal(certauto__utf8_sequence("\xF4\x8F\xBF\xBF", 4, &point), 4);
	assert_int_equal(point, 0x10FFFF);
	assert_int_equal(certauto__utf8_sequence("\xE0\x9F\xBF", 3, &point), 0);
	assert_int_equal(certauto__utf8_sequence("\xF0\x8F\xBF\xBF", 4, &point), 0);
	assert_int_equal(certauto__utf8_sequence("\xED\xBF\xBF", 3, &point), 0);
	assert_int_equal(certauto__utf8_sequence("\x80", 1, &point), 0);
	assert_int_equal(certauto__utf8_sequence("\xC1\xBF", 2, &point), 0);
	assert_int_equal(certauto__utf8_sequence("\xF5\x80\x80\x80", 4, &point), 0);
	assert_int_equal(certauto__utf8_sequence("\xE2\x82\xAC", 2, &point), 0);
}

static void check_base64url(const char *data, size_t len, const char *text)
{
	certauto__buffer b = CERTAUTO__BUFFER(100);

	assert_int_equal(certauto__base64url_encode(&b, data, len), 0);
	assert_string_equal(certauto__buffer_text(&b), text);
	certauto__buffer_clear(&b);
	assert_int_equal(certauto__base64url_decode(&b, text, strlen(text)), 0);
	assert_int_equal(b.len, len);
	assert_memory_equal(certauto__buffer_text(&b), data, len);
	certauto__buffer_free(&b);
}

/* RFC 4648 section 10 without padding, and RFC 7515 appendix C. */
static void test_text__base64_is_padded_in_its_own_alphabet(void **state)
{
	static const struct {
		const char *data, *text;
	} cases[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
		{"\xfb\xff\xbe", "+/++"}};
	certauto__buffer b = CERTAUTO__BUFFER(64);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		certauto__buffer_clear(&b);
		certauto__buffer_text_add(&b, "-_");
		assert_int_equal(certauto__base64_encode(&b, cases[i].data, strlen(cases[i].data)),
			0);
		assert_string_equal(b.data + 2, cases[i].text);
	}
	certauto__buffer_free(&b);
}

static void test_text__base64url_vectors(void **state)
{
	(void)state;
	check_base64url("", 0, "");
	check_base64url("f", 1, "Zg");
	check_base64url("fo", 2, "Zm8");
	check_base64url("foo", 3, "Zm9v");
	check_base64url("foob", 4, "Zm9vYg");
	check_base64url("fooba", 5, "Zm9vYmE");
	check_base64url("foobar", 6, "Zm9vYmFy");
	check_base64url("\x03\xEC\xFF\xE0\xC1", 5, "A-z_4ME");
}

static void test_text__base64url_refuses_everything_else(void **state)
{
	static const char *const bad[] = {
		"Zg==", "Z", "Zm9vY", "Zm8=", "Zm9+", "Zm9/", "Zm9 ", "Zm9v\n", "Zh", "Zm9", "Zm-",
		"Zm9v.", "\xC3\xA9\xC3\xA9",
	};
	certauto__buffer b = CERTAUTO__BUFFER(100);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (certauto__base64url_decode(&b, bad[i], strlen(bad[i])) != CERTAUTO_EPROTO)
			fail_msg("\"%s\" was taken for base64url", bad[i]);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.rc, 0);
	assert_int_equal(certauto__base64url_valid("A-z_09", 6), 1);
	assert_int_equal(certauto__base64url_valid("", 0), 1);
	assert_int_equal(certauto__base64url_valid("a\0b", 3), 0);
	certauto__buffer_free(&b);
}

static void test_text__encoders_respect_the_maximum(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(5);

	(void)state;
	assert_int_equal(certauto__base64url_encode(&b, "foobar", 6), CERTAUTO_EPROTO);
	certauto__buffer_clear(&b);
	assert_int_equal(certauto__hex_encode(&b, "foobar", 6), CERTAUTO_EPROTO);
	certauto__buffer_clear(&b);
	assert_int_equal(certauto__base64url_decode(&b, "Zm9vYmFy", 8), CERTAUTO_EPROTO);
	certauto__buffer_clear(&b);
	assert_int_equal(certauto__hex_encode(&b, "\x00\xAF", 2), 0);
	assert_string_equal(certauto__buffer_text(&b), "00af");
	certauto__buffer_free(&b);
}

static void test_text__numbers_are_whole_and_in_range(void **state)
{
	static const char *const bad[] = {
		"", "-", "+1", " 1", "1 ", "0x10", "1.0", "1e3", "--1", "101", "-11",
		"9223372036854775808", "-9223372036854775809", "99999999999999999999999999",
	};
	int64_t value = 7;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (certauto__number_parse(bad[i], -10, 100, &value) != CERTAUTO_EINVAL)
			fail_msg("\"%s\" was taken for a number", bad[i]);
	assert_int_equal(certauto__number_parse(NULL, 0, 1, &value), CERTAUTO_EINVAL);
	assert_int_equal(certauto__number_parse("-0", 0, 1, &value), CERTAUTO_EINVAL);
	assert_int_equal(value, 7);
	assert_int_equal(certauto__number_parse("007", 0, 100, &value), 0);
	assert_int_equal(value, 7);
	assert_int_equal(certauto__number_parse("-10", -10, 100, &value), 0);
	assert_int_equal(value, -10);
	assert_int_equal(certauto__number_parse("9223372036854775807", 0, INT64_MAX, &value), 0);
	assert_true(value == INT64_MAX);
	assert_int_equal(certauto__number_parse("-9223372036854775808", INT64_MIN, 0, &value), 0);
	assert_true(value == INT64_MIN);
	assert_int_equal(certauto__number_parse("9223372036854775808", INT64_MIN, INT64_MAX,
		&value), CERTAUTO_EINVAL);
	assert_int_equal(certauto__number_parse("-9223372036854775809", INT64_MIN, INT64_MAX,
		&value), CERTAUTO_EINVAL);
}

static void test_text__comparisons(void **state)
{
	(void)state;
	assert_true(certauto__text_equal("a", "a"));
	assert_false(certauto__text_equal("a", "A"));
	assert_false(certauto__text_equal("a", NULL));
	assert_false(certauto__text_equal(NULL, "a"));
	assert_true(certauto__text_equal(NULL, NULL));
	assert_true(certauto__text_equal_nocase("Retry-After", "retry-AFTER"));
	assert_false(certauto__text_equal_nocase("abc", "abcd"));
	assert_false(certauto__text_equal_nocase("abcd", "abc"));
	assert_false(certauto__text_equal_nocase("[", "{"));
	assert_true(certauto__text_equal_nocase(NULL, NULL));
	assert_false(certauto__text_equal_nocase("", NULL));
	assert_true(certauto__text_starts("https://x", "https:"));
	assert_false(certauto__text_starts("http", "https:"));
	assert_false(certauto__text_starts(NULL, ""));
	assert_true(certauto__equal_secret("abc", "abc", 3));
	assert_false(certauto__equal_secret("abc", "abd", 3));
	assert_false(certauto__equal_secret("xbc", "abc", 3));
	assert_true(certauto__equal_secret("x", "y", 0));
}

/* 63 letters, and a name of 253 bytes made of them. */
#define LABEL "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"
#define NAME_253 LABEL "." LABEL "." LABEL "." "abcdefghijabcdefghijabcdefghij" \
	"abcdefghijabcdefghijabcdefghija"

static void test_text__dns_names(void **state)
{
	static const char *const good[] = {
		"example.org", "a.b.c.example", "localhost", "*.example.org",
		"xn--bcher-kva.example",
		"1.example", "1a.2b", "a--b.example", LABEL ".example", NAME_253, "256.1.1.1a",
	};
	static const char *const bad[] = {
		"", ".", "example.org.", ".example.org", "a..b", "*", "*.", "a.*.b", "*a.example",
		"a*.example", "*.*.example", "-a.example", "a-.example", "a_b.example", "A.example",
		"b\xC3\xBC" "cher.example", "a b.example", "a/b.example", "192.0.2.1", "::1",
		"example.123", "123", "*.1", LABEL "a.example", NAME_253 "a", "a\n.example",
		"a:80", "../etc",
	};
	const char *why;
	size_t i;

	(void)state;
	assert_int_equal(strlen(NAME_253), 253);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (certauto__dns_name_check(good[i], &why) != 0)
			fail_msg("\"%s\" was refused: %s", good[i], why);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		why = NULL;
		if (certauto__dns_name_check(bad[i], &why) != CERTAUTO_EINVAL || why == NULL)
			fail_msg("\"%s\" was accepted", bad[i]);
	}
	assert_int_equal(certauto__dns_name_check(NULL, NULL), CERTAUTO_EINVAL);
}

/* Why a name is refused says what to write instead. */
static void test_text__refused_names_say_why(void **state)
{
	static const char *const cases[][2] = {
		{"", "empty"}, {"a..example", "empty label"}, {".example", "empty label"},
		{"shop.example.", "leave that out"}, {"a_b.example", "only letters"},
		{"-a.example", "begins or ends"}, {"a.*.example", "whole first label"},
		{LABEL "a.example", "63 bytes"}, {NAME_253 "a", "253 bytes"},
		{"b\xC3\xBC" "cher.example", "xn--"}, {"example.7", "number"},
		{"*", "whole first label"}, {"*.", "leave that out"},
	};
	char out[CERTAUTO__NAME_SIZE];
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why = "";
		assert_int_equal(certauto__name_normal(out, cases[i][0], &why), CERTAUTO_EINVAL);
		if (strstr(why, cases[i][1]) == NULL)
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", cases[i][0], why,
				cases[i][1]);
	}
	why = NULL;
	assert_int_equal(certauto__name_normal(out, NULL, &why), CERTAUTO_EINVAL);
	assert_non_null(why);
}

static void test_text__names_have_one_form(void **state)
{
	static const char *const cases[][2] = {
		{"Shop.EXAMPLE", "shop.example"}, {"*.Example.org", "*.example.org"},
		{"XN--BCHER-KVA.example", "xn--bcher-kva.example"}, {"192.0.2.1", "192.0.2.1"},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"}, {"2001:db8:0:1::", "2001:db8:0:1::"},
		{"2001:0db8::0001:0000:0000:0001", "2001:db8::1:0:0:1"}, {"0::0", "::"},
	};
	char out[CERTAUTO__NAME_SIZE];
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(certauto__name_normal(out, cases[i][0], &why), 0);
		assert_string_equal(out, cases[i][1]);
	}
}

static void test_text__ip_addresses(void **state)
{
	(void)state;
	assert_true(certauto__ip_check("192.0.2.1"));
	assert_true(certauto__ip_check("2001:db8::1"));
	assert_false(certauto__ip_check("192.0.2"));
	assert_false(certauto__ip_check("192.0.2.256"));
	assert_false(certauto__ip_check("[::1]"));
	assert_false(certauto__ip_check("fe80::1%lo"));
	assert_false(certauto__ip_check(""));
	assert_false(certauto__ip_check(NULL));
}

static void test_text__name_patterns(void **state)
{
	(void)state;
	assert_true(certauto__name_match("*", "anything.example"));
	assert_true(certauto__name_match("a.example", "A.example"));
	assert_true(certauto__name_match("*.example.org", "www.example.org"));
	assert_true(certauto__name_match("*.example.org", "*.example.org"));
	assert_false(certauto__name_match("*.example.org", "example.org"));
	assert_false(certauto__name_match("*.example.org", "a.b.example.org"));
	assert_false(certauto__name_match("*.example.org", ".example.org"));
	assert_false(certauto__name_match("*.example.org", "wwwexample.org"));
	assert_false(certauto__name_match("a.example", "b.example"));
	assert_false(certauto__name_match("", "a"));
	assert_false(certauto__name_match(NULL, "a"));
	assert_false(certauto__name_match("*", NULL));
}

static void test_text__list_splits_and_trims(void **state)
{
	certauto__list list = {NULL, 0, 0}, copy = {NULL, 0, 0};

	(void)state;
	assert_int_equal(certauto__list_split(&list, " a.example, b.example ,,\tc\n,", ','), 0);
	assert_int_equal(list.n, 3);
	assert_string_equal(list.items[0], "a.example");
	assert_string_equal(list.items[1], "b.example");
	assert_string_equal(list.items[2], "c");
	assert_true(certauto__list_has(&list, "c"));
	assert_false(certauto__list_has(&list, "a"));
	assert_int_equal(certauto__list_split(&list, NULL, ','), 0);
	assert_int_equal(certauto__list_split(&list, "  ", ','), 0);
	assert_int_equal(list.n, 3);
	assert_int_equal(certauto__list_add_text(&copy, "old"), 0);
	assert_int_equal(certauto__list_copy(&copy, &list), 0);
	certauto__list_free(&list);
	assert_int_equal(copy.n, 3);
	assert_string_equal(copy.items[2], "c");
	certauto__list_free(&copy);
	assert_int_equal(certauto__list_add(&copy, "again", 2), 0);
	assert_string_equal(copy.items[0], "ag");
	certauto__list_free(&copy);
}

static int text_scenario(void *arg)
{
	certauto__list list = {NULL, 0, 0}, copy = {NULL, 0, 0};
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	int rc;

	(void)arg;
	if ((rc = certauto__list_split(&list, "a,b,c,d,e,f,g,h,i,j", ',')) < 0 ||
	    (rc = certauto__list_copy(&copy, &list)) < 0 ||
	    (rc = certauto__text_escape(&b, "a\nb", 3)) < 0 ||
	    (rc = certauto__base64url_encode(&b, "0123456789012345678901234567890123456789"
		"012345678901234567890123456789", 70)) < 0 ||
	    (rc = certauto__base64url_decode(&b, "Zm9v", 4)) < 0 ||
	    (rc = certauto__hex_encode(&b, "0123456789012345678901234567890123456789", 40)) < 0)
		goto out;
	rc = copy.n == 10 ? 0 : CERTAUTO_EINVAL;
out:
	certauto__buffer_free(&b);
	certauto__list_free(&copy);
	certauto__list_free(&list);
	return rc;
}

static void test_text__out_of_memory_is_reported(void **state)
{
	(void)state;
	unit_oom_sweep("text", text_scenario, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text__escape_shows_what_hides),
		cmocka_unit_test(test_text__escape_shows_invalid_utf8),
		cmocka_unit_test(test_text__escape_cuts),
		cmocka_unit_test(test_text__utf8_is_strict),
		cmocka_unit_test(test_text__base64_is_padded_in_its_own_alphabet),
		cmocka_unit_test(test_text__base64url_vectors),
		cmocka_unit_test(test_text__base64url_refuses_everything_else),
		cmocka_unit_test(test_text__encoders_respect_the_maximum),
		cmocka_unit_test(test_text__numbers_are_whole_and_in_range),
		cmocka_unit_test(test_text__comparisons),
		cmocka_unit_test(test_text__dns_names),
		cmocka_unit_test(test_text__refused_names_say_why),
		cmocka_unit_test(test_text__names_have_one_form),
		cmocka_unit_test(test_text__ip_addresses),
		cmocka_unit_test(test_text__name_patterns),
		cmocka_unit_test(test_text__list_splits_and_trims),
		cmocka_unit_test(test_text__out_of_memory_is_reported),
	};

	return cmocka_run_group_tests_name("core/text", tests, NULL, NULL);
}
