/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON writer: what it writes, the reader reads; calls in the wrong place fail. */

#include "unit.h"

#include "json/reader.h"
#include "json/writer.h"

static void write_sample(certauto__json *w)
{
	certauto__list names = {NULL, 0, 0}, none = {NULL, 0, 0};

	certauto__list_add_text(&names, "a.example");
	certauto__list_add_text(&names, "b.example");
	certauto__json_object(w);
	certauto__json_put_text(w, "text", "x");
	certauto__json_put_text(w, "none", NULL);
	certauto__json_put_number(w, "min", INT64_MIN);
	certauto__json_put_bool(w, "yes", 2);
	certauto__json_put_bool(w, "no", 0);
	certauto__json_put_null(w, "null");
	certauto__json_put_list(w, "names", &names);
	certauto__json_put_list(w, "empty", &none);
	certauto__json_key(w, "raw");
	certauto__json_raw(w, "{\"jwk\":1}");
	certauto__json_key(w, "deep");
	certauto__json_array(w);
	certauto__json_object(w);
	certauto__json_object_end(w);
	certauto__json_array(w);
	certauto__json_number(w, 1);
	certauto__json_text(w, "two");
	certauto__json_array_end(w);
	certauto__json_null(w);
	certauto__json_bool_value(w, 1);
	certauto__json_array_end(w);
	certauto__json_object_end(w);
	certauto__list_free(&names);
}

static void test_json__writes_compact(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	certauto__json w;

	(void)state;
	certauto__json_start(&w, &b, 0);
	write_sample(&w);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.data,
		"{\"text\":\"x\",\"none\":null,\"min\":-9223372036854775808,\"yes\":true,"
		"\"no\":false,\"null\":null,\"names\":[\"a.example\",\"b.example\"],\"empty\":[],"
		"\"raw\":{\"jwk\":1},\"deep\":[{},[1,\"two\"],null,true]}");
	certauto__buffer_free(&b);
}

static void test_json__writes_pretty(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	certauto__json w;

	(void)state;
	certauto__json_start(&w, &b, 1);
	certauto__json_object(&w);
	certauto__json_put_number(&w, "a", 1);
	certauto__json_key(&w, "b");
	certauto__json_array(&w);
	certauto__json_text(&w, "x");
	certauto__json_object(&w);
	certauto__json_object_end(&w);
	certauto__json_array_end(&w);
	certauto__json_object_end(&w);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.data,
		"{\n  \"a\": 1,\n  \"b\": [\n    \"x\",\n    {}\n  ]\n}");
	certauto__buffer_free(&b);
}

static void check_text(const char *text, size_t len, const char *expected)
{
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	certauto__json w;

	certauto__json_start(&w, &b, 0);
	certauto__json_text_len(&w, text, len);
	assert_int_equal(b.rc, 0);
	assert_string_equal(b.data, expected);
	certauto__buffer_free(&b);
}

static void test_json__text_is_escaped(void **state)
{
	(void)state;
	check_text("", 0, "\"\"");
	check_text(NULL, 0, "null");
	check_text("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
	check_text("\b\t\n\f\r", 5, "\"\\b\\t\\n\\f\\r\"");
	check_text("\x01\x0B\x1F\x7F", 4, "\"\\u0001\\u000b\\u001f\x7F\"");
	check_text("a\0b", 3, "\"a\\u0000b\"");
	check_text("\xC3\xA9\xF0\x9F\x94\x92", 6, "\"\xC3\xA9\xF0\x9F\x94\x92\"");
}

static void test_json__invalid_utf8_is_replaced(void **state)
{
	(void)state;
	check_text("a\xFF" "b", 3, "\"a\xEF\xBF\xBD" "b\"");
	check_text("\xC3", 1, "\"\xEF\xBF\xBD\"");
	check_text("\xC0\x80", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
	check_text("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
	check_text("\xE2\x82\"", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\\\"\"");
}

static int on_all_bytes(void *arg, const certauto__json_value *value)
{
	if (value->type == CERTAUTO__JSON_STRING)
		assert_string_equal(value->text, arg);
	return 0;
}

/* What is written is read back as it was. */
static void test_json__reader_and_writer_agree(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	char all[128];
	certauto__json w;
	int i;

	(void)state;
	for (i = 1; i < 128; i++)
		all[i - 1] = (char)i;
	all[127] = '\0';
	certauto__json_start(&w, &b, 1);
	certauto__json_object(&w);
	certauto__json_put_text(&w, all, all);
	certauto__json_object_end(&w);
	assert_int_equal(certauto__json_read("test", b.data, b.len, NULL, on_all_bytes, all, NULL),
		0);
	certauto__buffer_free(&b);
}

static void misuse_end(certauto__json *w)
{
	certauto__json_object_end(w);
}

static void misuse_second_top(certauto__json *w)
{
	certauto__json_null(w);
	certauto__json_null(w);
}

static void misuse_key_alone(certauto__json *w)
{
	certauto__json_object(w);
	certauto__json_key(w, "a");
	certauto__json_object_end(w);
}

static void misuse_two_keys(certauto__json *w)
{
	certauto__json_object(w);
	certauto__json_key(w, "a");
	certauto__json_key(w, "b");
}

static void misuse_top_key(certauto__json *w)
{
	certauto__json_key(w, "a");
}

static void misuse_depth(certauto__json *w)
{
	int i;

	for (i = 0; i < 64; i++)
		certauto__json_array(w);
}

static void test_json__misuse_leaves_an_error(void **state)
{
	static void (*const misuses[])(certauto__json *) = {
		misuse_end, misuse_second_top, misuse_key_alone, misuse_two_keys, misuse_top_key,
		misuse_depth,
	};
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	certauto__json w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
		certauto__json_start(&w, &b, 0);
		misuses[i](&w);
		assert_int_equal(b.rc, CERTAUTO_EINVAL);
		certauto__buffer_clear(&b);
	}
	certauto__buffer_free(&b);
}

static void test_json__63_levels_are_written(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	certauto__json w;
	int i;

	(void)state;
	certauto__json_start(&w, &b, 1);
	for (i = 0; i < 63; i++)
		certauto__json_array(&w);
	certauto__json_number(&w, 1);
	for (i = 0; i < 63; i++)
		certauto__json_array_end(&w);
	assert_int_equal(b.rc, 0);
	assert_int_equal(b.len, 2 * 63 + 1 + 2 * 63 + 2 * (63 * 63));
	certauto__buffer_free(&b);
}

static void test_json__maximum_of_the_buffer_sticks(void **state)
{
	certauto__buffer b = CERTAUTO__BUFFER(20);
	certauto__json w;

	(void)state;
	certauto__json_start(&w, &b, 0);
	write_sample(&w);
	assert_int_equal(b.rc, CERTAUTO_EPROTO);
	assert_true(b.len <= 20);
	certauto__buffer_free(&b);
}

static int writer_scenario(void *arg)
{
	certauto__buffer b = CERTAUTO__BUFFER(10000);
	certauto__json w;
	int rc, i;

	(void)arg;
	certauto__json_start(&w, &b, 1);
	certauto__json_array(&w);
	for (i = 0; i < 50; i++)
		certauto__json_text(&w, "text\nand more");
	certauto__json_array_end(&w);
	rc = b.rc;
	certauto__buffer_free(&b);
	return rc;
}

static void test_json__writer_out_of_memory_is_reported(void **state)
{
	(void)state;
	unit_oom_sweep("writer", writer_scenario, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json__writes_compact),
		cmocka_unit_test(test_json__writes_pretty),
		cmocka_unit_test(test_json__text_is_escaped),
		cmocka_unit_test(test_json__invalid_utf8_is_replaced),
		cmocka_unit_test(test_json__reader_and_writer_agree),
		cmocka_unit_test(test_json__misuse_leaves_an_error),
		cmocka_unit_test(test_json__63_levels_are_written),
		cmocka_unit_test(test_json__maximum_of_the_buffer_sticks),
		cmocka_unit_test(test_json__writer_out_of_memory_is_reported),
	};

	return cmocka_run_group_tests_name("json/writer", tests, NULL, NULL);
}
