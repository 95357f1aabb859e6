/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader: what it tells, and what it refuses although yajl would take it. */

#include "unit.h"

#include <stdlib.h>

#include "json/reader.h"
#include "core/buffer.h"

static const struct certauto__json_limits any = {64, 1000000, 4194304, 1024, 0, 0};
static const struct certauto__json_limits with_comments = {64, 1000000, 4194304, 1024, 1, 0};

/* Writes down every event as "type path=text" lines. */
static int on_event(void *arg, const certauto__json_value *value)
{
	static const char *const types[] = {"null", "false", "true", "number", "string", "{", "}",
		"[", "]"};
	certauto__buffer *seen = arg;

	certauto__buffer_printf(seen, "%s %s", types[value->type], value->path);
	if (value->text != NULL) {
		assert_int_equal(strlen(value->text), value->len);
		certauto__buffer_printf(seen, "=%s", value->text);
	}
	return certauto__buffer_text_add(seen, "\n");
}

static int on_nothing(void *arg, const certauto__json_value *value)
{
	(void)arg;
	(void)value;
	return 0;
}

static void check_events(const char *json, const struct certauto__json_limits *limits,
	const char *expected)
{
	certauto__buffer seen = CERTAUTO__BUFFER(100000);
	certauto_error err;
	int rc;

	memset(&err, 0, sizeof(err));
	rc = certauto__json_read("test", json, strlen(json), limits, on_event, &seen, &err);
	if (rc < 0)
		fail_msg("%s: %s", json, certauto_error_message(&err));
	assert_string_equal(certauto__buffer_text(&seen), expected);
	certauto__buffer_free(&seen);
}

static void check_fails_len(const char *json, size_t len,
	const struct certauto__json_limits *limits, const char *message)
{
	certauto_error err;

	memset(&err, 0, sizeof(err));
	if (certauto__json_read("test", json, len, limits, on_nothing, NULL, &err) !=
	    CERTAUTO_EPROTO)
		fail_msg("%.100s: was accepted", json);
	assert_int_equal(certauto_error_code(&err), CERTAUTO_EPROTO);
	if (message != NULL)
		assert_string_equal(certauto_error_message(&err), message);
	certauto__error_clear(&err);
}

static void check_fails(const char *json, const struct certauto__json_limits *limits,
	const char *message)
{
	check_fails_len(json, strlen(json), limits, message);
}

static void test_json__events_tell_the_path(void **state)
{
	(void)state;
	check_events("{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"a\"},"
		"{\"value\":null}],\"n\":[1,-2.5e+3,[true,[]]],\"e\":{},\"ok\":false}", &any,
		"{ \n"
		"string status=pending\n"
		"[ identifiers\n"
		"{ identifiers[]\n"
		"string identifiers[].type=dns\n"
		"string identifiers[].value=a\n"
		"} identifiers[]\n"
		"{ identifiers[]\n"
		"null identifiers[].value\n"
		"} identifiers[]\n"
		"] identifiers\n"
		"[ n\n"
		"number n[]=1\n"
		"number n[]=-2.5e+3\n"
		"[ n[]\n"
		"true n[][]\n"
		"[ n[][]\n"
		"] n[][]\n"
		"] n[]\n"
		"] n\n"
		"{ e\n"
		"} e\n"
		"false ok\n"
		"} \n");
}

static void test_json__any_top_value_when_allowed(void **state)
{
	(void)state;
	check_events(" [1,{\"x\":2}] ", &any, "[ \nnumber []=1\n{ []\nnumber [].x=2\n} []\n] \n");
	check_events("\"text\"", &any, "string =text\n");
	check_events("\"\"", &any, "string =\n");
	check_events("42", &any, "number =42\n");
	check_events("\n 42\n", &any, "number =42\n");
	check_events("null", &any, "null \n");
}

static void test_json__top_object_where_the_protocol_says_so(void **state)
{
	(void)state;
	check_fails("[]", &certauto__json_limits_acme,
		"test: line 1: the text is not a JSON object");
	check_fails("\n\"x\"", NULL, "test: line 2: the text is not a JSON object");
	check_fails("\n\n7", NULL, "test: line 3: the text is not a JSON object");
	check_events("{}", NULL, "{ \n} \n");
}

/* Parts and indexes say what the path does, and keep keys with dots apart. */
static int on_part(void *arg, const certauto__json_value *value)
{
	certauto__buffer *seen = arg;
	size_t i;

	if (value->type != CERTAUTO__JSON_NUMBER)
		return 0;
	for (i = 0; i < value->n_parts; i++)
		certauto__buffer_printf(seen, "/%s:%zu", value->parts[i], value->indexes[i]);
	return certauto__buffer_printf(seen, "=%s@%zu\n", value->text, value->line);
}

static void test_json__parts_indexes_and_lines(void **state)
{
	static const char json[] =
		"{\"a.b\":{\"c\":1},\n\"list\":[2,\n{\"d\":3},\n\n[4,5]],\n\"x[]\":6, \"y\":7\n}";
	certauto__buffer seen = CERTAUTO__BUFFER(1000);

	(void)state;
	assert_int_equal(certauto__json_read("test", json, strlen(json), &any, on_part, &seen,
		NULL), 0);
	assert_string_equal(certauto__buffer_text(&seen),
		"/a.b:0/c:0=1@1\n"
		"/list:0/[]:0=2@2\n"
		"/list:0/[]:1/d:0=3@3\n"
		"/list:0/[]:2/[]:0=4@5\n"
		"/list:0/[]:2/[]:1=5@5\n"
		"/x[]:0=6@6\n"
		"/y:0=7@6\n");
	certauto__buffer_free(&seen);
}

/* Enough and long enough keys that their copies move while parts of outer levels are held. */
static int on_deep_part(void *arg, const certauto__json_value *value)
{
	size_t *n = arg;

	if (value->type != CERTAUTO__JSON_NUMBER)
		return 0;
	assert_int_equal(value->n_parts, 2);
	assert_string_equal(value->parts[0], "outer");
	assert_int_equal(strtoul(value->parts[1] + 4, NULL, 10), *n);
	++*n;
	return 0;
}

static void test_json__parts_stay_valid_while_keys_grow(void **state)
{
	certauto__buffer json = CERTAUTO__BUFFER(1000000);
	size_t i, n = 0;

	(void)state;
	certauto__buffer_text_add(&json, "{\"outer\":{");
	for (i = 0; i < 5000; i++)
		certauto__buffer_printf(&json, "%s\"key-%zu\":1", i != 0 ? "," : "", i);
	certauto__buffer_text_add(&json, "}}");
	assert_int_equal(certauto__json_read("test", json.data, json.len, &any, on_deep_part, &n,
		NULL), 0);
	assert_int_equal(n, 5000);
	certauto__buffer_free(&json);
}

/* What each path of a document counts as: 1 where json_is() says it is "a.b" or "a[]". */
static int on_is(void *arg, const certauto__json_value *value)
{
	int *hits = arg;

	hits[0] += certauto__json_is(value, "a.b");
	hits[1] += certauto__json_is(value, "a[]");
	hits[2] += certauto__json_is(value, "");
	return 0;
}

static void check_is(const char *json, int dotted, int item, int top)
{
	int hits[3] = {0, 0, 0};

	assert_int_equal(certauto__json_read("test", json, strlen(json), &any, on_is, hits, NULL),
		0);
	assert_int_equal(hits[0], dotted);
	assert_int_equal(hits[1], item);
	assert_int_equal(hits[2], top);
}

static void test_json__a_key_with_a_dot_is_not_two_keys(void **state)
{
	(void)state;
	check_is("{\"a\":{\"b\":1}}", 1, 0, 2);
	check_is("{\"a\":[1]}", 0, 1, 2);
	check_is("{\"a.b\":1}", 0, 0, 2);
	check_is("{\"a[]\":1}", 0, 0, 2);
	check_is("{\"\":{\"a.b\":1}}", 0, 0, 2);
	check_is("{\"\":1}", 0, 0, 2);
	check_is("{\"\":[[1]],\"a\":{\"[]\":1}}", 0, 0, 2);
}

static void test_json__strings_are_decoded(void **state)
{
	(void)state;
	check_events("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", &any,
		"[ \nstring []=\"\\/\b\f\n\r\t\n] \n");
	check_events("[\"\\u0041\\u00e9\\u20AC\\ud83d\\uDD12\"]", &any,
		"[ \nstring []=A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x94\x92\n] \n");
	check_events("{\"\\u0061b\":\"\xC3\xA9\xF0\x9F\x94\x92\x7F\"}", &any,
		"{ \nstring ab=\xC3\xA9\xF0\x9F\x94\x92\x7F\n} \n");
}

static void test_json__bad_strings_are_refused(void **state)
{
	static const char half[] = "test: line 1: a string holds half a surrogate pair";

	(void)state;
	check_fails("[\"x\\u0000y\"]", &any, "test: line 1: a string holds a NUL");
	check_fails_len("[\"x\0y\"]", 7, &any, "test: line 1: a string holds a control character");
	check_fails("[\n\"a\nb\"]", &any, "test: line 2: a string holds a control character");
	check_fails("[\"\\ud83d\"]", &any, half);
	check_fails("[\"\\ud83d\\u0041\"]", &any, half);
	check_fails("[\"\\ud83d\\n1234\"]", &any, half);
	check_fails("[\"\\udd12\"]", &any, half);
	check_fails("[\"\\u12g4\"]", &any,
		"test: line 1: \"\\u\" must be followed by four hexadecimal digits");
	check_fails("[\"\\u12\"]", &any, NULL);
	check_fails("[\"\\x41\"]", &any, "test: line 1: a string holds an unknown escape");
	check_fails_len("[\"\\\0\"]", 5, &any, "test: line 1: a string holds an unknown escape");
	check_fails("[\"\\'\"]", &any, NULL);
}

static void test_json__invalid_utf8_is_refused(void **state)
{
	static const char *const bad[] = {
		"[\"\xFF\"]", "[\"\xC3\"]", "[\"\xC0\x80\"]", "[\"\xE0\x80\x80\"]",
		"[\"\xED\xA0\x80\"]", "[\"\xF4\x90\x80\x80\"]", "[\"\xF8\x88\x80\x80\x80\"]",
		"[\"\xE2\x82\"]", "{\"\x80\":1}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_fails(bad[i], &any, "test: line 1: a string is not valid UTF-8");
	check_fails("\xEF\xBB\xBF{}", &any, NULL); /* a byte order mark (RFC 8259 8.1) */
	check_fails("[\xC3\xA9]", &any, NULL);
}

static void test_json__grammar_is_strict(void **state)
{
	static const char *const bad[] = {
		"", " ", "{", "}", "[", "]", "[}", "{]", "{,}", "[,]", "[1,]", "{\"a\":1,}",
		"[1 2]",
		"{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{1:2}", "{a:1}", "{'a':1}", "nul", "True",
		"NaN",
		"Infinity", "[1]]", "{}{}", "{} x", "1 2", "[1]\xC3", "[\v1]", "[\f1]", "[\x01]",
		"\\",
		"[1]/", "/", "[\"a\" \"b\"]", "{\"a\":1 \"b\":2}", "[tru]", "[nulll]",
		"<html><body>502</body></html>",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_fails(bad[i], &any, NULL);
	check_fails_len("[1]\0", 4, &any, NULL);
	check_fails_len(NULL, 0, &any, "test: line 1: premature EOF");
	check_fails("{\"a\":1}\n\n{", &any, "test: line 3: trailing garbage");
}

static void test_json__numbers_are_strict_and_kept_as_text(void **state)
{
	static const char *const bad[] = {
		"[01]", "[+1]", "[.5]", "[1.]", "[1.e3]", "[-]", "[1e]", "[1e+]", "[0x10]", "[--1]",
		"[1_000]", "01", "-",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_fails(bad[i], &any, NULL);
	check_events("[0,-0,1E400,123456789012345678901234567890]", &any,
		"[ \nnumber []=0\nnumber []=-0\nnumber []=1E400\n"
		"number []=123456789012345678901234567890\n] \n");
}

static void test_json__comments_only_where_asked_for(void **state)
{
	static const char block[] = "/* \" ' } */{/*a*/\"a\"/**/: 1 /* b */ }/* \\\" */";
	static const char line[] = "// \"first\n{\"a\":1// \\\"\n}//";

	(void)state;
	check_fails(block, &any, NULL);
	check_fails(line, &any, NULL);
	check_events(block, &with_comments, "{ \nnumber a=1\n} \n");
	check_events(line, &with_comments, "{ \nnumber a=1\n} \n");
	check_events("12//x", &with_comments, "number =12\n");
	check_events("\"/*no*///comment\"", &with_comments, "string =/*no*///comment\n");
	check_fails("{}/*", &with_comments, "test: line 1: the text ends inside a comment");
	check_fails("{}/*/", &with_comments, "test: line 1: the text ends inside a comment");
	check_fails("{}/", &with_comments, NULL);
	check_fails("{/}", &with_comments, NULL);
	check_fails("// nothing else", &with_comments, NULL);
}

static void test_json__duplicate_keys_are_refused(void **state)
{
	(void)state;
	check_fails("{\"a\":1,\n\"a\":2}", &any, "test: line 2, \"a\": the key is there twice");
	check_fails("{\"a\":1,\"\\u0061\":1}", &any, NULL);
	check_fails("{\"\":1,\"\":1}", &any, NULL);
	check_fails("[{\"x\":[{\"b\":1,\"bb\":2,\"ba\":3,\"b\":4}]}]", &any,
		"test: line 1, \"[].x[].b\": the key is there twice");
	check_fails("{\"a\":{\"x\":1,\"y\":2},\"b\":{\"x\":1},\"a\":3}", &any,
		"test: line 1, \"a\": the key is there twice");
	check_events("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":2},{\"a\":3}],\"A\":4}", &any,
		"{ \n{ a\n{ a.a\nnumber a.a.a=1\n} a.a\n} a\n[ b\n{ b[]\nnumber b[].a=2\n} b[]\n"
		"{ b[]\nnumber b[].a=3\n} b[]\n] b\nnumber A=4\n} \n");
}

/* The peer's keys reach the message escaped and cut. */
static void test_json__keys_are_escaped_in_messages(void **state)
{
	certauto__buffer json = CERTAUTO__BUFFER(10000);
	certauto_error err;
	int i;

	(void)state;
	check_fails("{\"\\u001b[2J\xE2\x80\xAE\":1,\"\\u001b[2J\xE2\x80\xAE\":2}", &any,
		"test: line 1, \"\\x1b[2J\\xe2\\x80\\xae\": the key is there twice");
	certauto__buffer_text_add(&json, "{\"");
	for (i = 0; i < 1000; i++)
		certauto__buffer_text_add(&json, "k");
	certauto__buffer_text_add(&json, "\":x}");
	memset(&err, 0, sizeof(err));
	assert_int_equal(certauto__json_read("test", json.data, json.len, &any, on_nothing, NULL,
		&err), CERTAUTO_EPROTO);
	assert_non_null(strstr(certauto_error_message(&err), "kkk...\": "));
	assert_true(strlen(certauto_error_message(&err)) < 640);
	certauto__error_clear(&err);
	certauto__buffer_free(&json);
}

static char *repeat(const char *before, const char *what, size_t n, const char *after)
{
	certauto__buffer b = CERTAUTO__BUFFER(100000000);
	size_t i;

	certauto__buffer_text_add(&b, before);
	for (i = 0; i < n; i++)
		certauto__buffer_text_add(&b, what);
	certauto__buffer_text_add(&b, after);
	assert_int_equal(b.rc, 0);
	return certauto__buffer_take(&b);
}

/* As measured: freeing yajl's tree of 350,000 arrays overran a stack of 8 MiB. */
static void test_json__deep_nesting_is_refused_before_anything_is_kept(void **state)
{
	static const char *const units[] = {"[", "{\"a\":", "[{\"a\":"};
	long before;
	char *json;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		json = repeat("", units[i], 350000, "");
		before = certauto__alloc_count();
		check_fails(json, &certauto__json_limits_device, NULL);
		assert_true(certauto__alloc_count() - before < 40);
		certauto__free(json);
	}
	check_fails("[[[\n[1]]]]", &(struct certauto__json_limits){3, 0, 0, 0, 0, 0},
		"test: line 2, \"[][][]\": arrays and objects are nested more than 3 deep");
	check_events("[[[1]]]", &(struct certauto__json_limits){3, 0, 0, 0, 0, 0},
		"[ \n[ []\n[ [][]\nnumber [][][]=1\n] [][]\n] []\n] \n");
}

static void test_json__no_limit_allows_more_than_64_levels(void **state)
{
	static const struct certauto__json_limits deep = {1000, 0, 0, 0, 0, 0};
	char json[200];

	(void)state;
	memset(json, '[', 64);
	memset(json + 64, ']', 64);
	assert_int_equal(certauto__json_read("test", json, 128, &deep, on_nothing, NULL, NULL), 0);
	memset(json, '[', 65);
	memset(json + 65, ']', 65);
	check_fails_len(json, 130, &deep, NULL);
}

static void test_json__number_of_values_is_limited(void **state)
{
	static const struct certauto__json_limits three = {0, 3, 0, 0, 0, 0};

	(void)state;
	check_fails("[1,2,\n3]", &three, "test: line 2, \"[]\": there are more than 3 values");
	check_fails("[[[[]]]]", &three, NULL);
	check_events("[1,2]", &three, "[ \nnumber []=1\nnumber []=2\n] \n");
}

static void test_json__length_of_strings_is_limited(void **state)
{
	static const struct certauto__json_limits four = {0, 0, 4, 0, 0, 0};

	(void)state;
	check_events("[\"abcd\",\"\\u20ac\\n\",1234]", &four,
		"[ \nstring []=abcd\nstring []=\xE2\x82\xAC\n\nnumber []=1234\n] \n");
	check_fails("[\"abcde\"]", &four, "test: line 1: a string or number is too long");
	check_fails("[\"\\u20ac\\u20ac\"]", &four, "test: line 1: a string or number is too long");
	check_fails("[\n12345]", &four, "test: line 2: a string or number is too long");
}

static void test_json__length_of_keys_is_limited(void **state)
{
	static const struct certauto__json_limits four = {0, 0, 0, 4, 0, 0};

	(void)state;
	check_events("{\"abcd\":1}", &four, "{ \nnumber abcd=1\n} \n");
	check_fails("{\"abcde\":1}", &four, "test: line 1: a key is longer than 4 bytes");
	check_fails("{\"ab\\u20ac\":1}", &four, NULL);
}

static int on_reject(void *arg, const certauto__json_value *value)
{
	return value->type == CERTAUTO__JSON_NUMBER ? *(int *)arg : 0;
}

static void test_json__the_handlers_code_ends_the_reading(void **state)
{
	static const char json[] = "{\"a\":{\"b\":\n1,\"c\":2}}";
	int codes[] = {CERTAUTO_EPROTO, CERTAUTO_ENOMEM, CERTAUTO_ECONFIG};
	static const char *const messages[] = {
		"test: line 2, \"a.b\": the value is not what belongs here", "out of memory",
		"test: line 2, \"a.b\": the configuration is wrong",
	};
	certauto_error err;
	size_t i;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (i = 0; i < 3; i++) {
		assert_int_equal(certauto__json_read("test", json, strlen(json), &any, on_reject,
			&codes[i], &err), codes[i]);
		assert_int_equal(certauto_error_code(&err), codes[i]);
		assert_string_equal(certauto_error_message(&err), messages[i]);
		certauto__error_clear(&err);
	}
}

static int on_explain(void *arg, const certauto__json_value *value)
{
	return certauto__error_set(arg, CERTAUTO_ECONFIG, "file", "line %zu: unknown key",
		value->line);
}

static void test_json__a_handler_that_explains_is_not_contradicted(void **state)
{
	certauto_error err;

	(void)state;
	memset(&err, 0, sizeof(err));
	assert_int_equal(certauto__json_read("test", "\n{}", 3, &any, on_explain, &err, &err),
		CERTAUTO_ECONFIG);
	assert_string_equal(certauto_error_message(&err), "line 2: unknown key");
	assert_string_equal(certauto_error_object(&err), "file");
	certauto__error_clear(&err);
	assert_int_equal(certauto__json_read("test", "[x]", 3, &any, on_nothing, NULL, NULL),
		CERTAUTO_EPROTO); /* without err */
}

static void test_json__conversions_check_type_and_range(void **state)
{
	certauto__json_value value;
	char *text = NULL;
	int64_t number = 5;
	int flag = 7;

	(void)state;
	memset(&value, 0, sizeof(value));
	value.type = CERTAUTO__JSON_NUMBER;
	value.text = "9223372036854775807";
	assert_int_equal(certauto__json_int(&value, 0, INT64_MAX, &number), 0);
	assert_true(number == INT64_MAX);
	value.text = "9223372036854775808";
	assert_int_equal(certauto__json_int(&value, 0, INT64_MAX, &number), CERTAUTO_EPROTO);
	value.text = "1.0";
	assert_int_equal(certauto__json_int(&value, 0, 10, &number), CERTAUTO_EPROTO);
	value.text = "1e1";
	assert_int_equal(certauto__json_int(&value, 0, 10, &number), CERTAUTO_EPROTO);
	value.text = "11";
	assert_int_equal(certauto__json_int(&value, 0, 10, &number), CERTAUTO_EPROTO);
	assert_int_equal(certauto__json_bool(&value, &flag), CERTAUTO_EPROTO);
	assert_int_equal(certauto__json_copy(&value, &text), CERTAUTO_EPROTO);
	value.type = CERTAUTO__JSON_STRING;
	value.len = 2;
	assert_int_equal(certauto__json_int(&value, 0, 100, &number), CERTAUTO_EPROTO);
	assert_true(number == INT64_MAX);
	assert_int_equal(certauto__json_copy(&value, &text), 0);
	assert_string_equal(text, "11");
	value.type = CERTAUTO__JSON_OBJECT;
	assert_int_equal(certauto__json_copy(&value, &text), CERTAUTO_EPROTO);
	assert_string_equal(text, "11");
	value.type = CERTAUTO__JSON_NULL;
	assert_int_equal(certauto__json_copy(&value, &text), 0);
	assert_null(text);
	value.type = CERTAUTO__JSON_TRUE;
	assert_int_equal(certauto__json_bool(&value, &flag), 0);
	assert_int_equal(flag, 1);
	value.type = CERTAUTO__JSON_FALSE;
	assert_int_equal(certauto__json_bool(&value, &flag), 0);
	assert_int_equal(flag, 0);
}

static const char sample[] =
	"{\"status\":\"valid\",\"n\":[0,-1.5e3,12345678901234567890],\n"
	" \"identifiers\":[{\"type\":\"dns\",\"value\":\"b\\u00fc\\ud83d\\udd12.example\"},\n"
	" {\"type\":\"dns\",\"value\":\"\xC3\xA9\xF0\x9F\x94\x92\\n\\\"\\\\\"}],\n"
	" \"\\u006bey\":{\"a\":true,\"b\":false,\"c\":null,\"d\":{},\"e\":[],\"f\":\"\"}}";

/* Copied to memory of exactly its size, so that a sanitizer sees a byte read too many. */
static void test_json__truncated_text_fails_at_every_byte(void **state)
{
	size_t len;
	char *cut;

	(void)state;
	assert_int_equal(certauto__json_read("test", sample, strlen(sample), NULL, on_nothing, NULL,
		NULL), 0);
	for (len = 0; len < strlen(sample); len++) {
		cut = malloc(len != 0 ? len : 1);
		assert_non_null(cut);
		memcpy(cut, sample, len);
		check_fails_len(cut, len, &certauto__json_limits_acme, NULL);
		check_fails_len(cut, len, &with_comments, NULL);
		free(cut);
	}
}

/* Any result will do, but it must come, within the memory set aside for yajl. */
static void test_json__changed_bytes_never_crash(void **state)
{
	static const char replacements[] = "\"\\{}[]:,/*u0eE+-.\n\x01\xC3\xED\xFF";
	size_t len = strlen(sample), at, i;
	char *changed = malloc(len);
	int good = 0;

	(void)state;
	assert_non_null(changed);
	for (at = 0; at < len; at++) {
		for (i = 0; i < sizeof(replacements); i++) { /* the NUL too */
			memcpy(changed, sample, len);
			changed[at] = replacements[i];
			good += certauto__json_read("test", changed, len,
				i % 2 ? &any : &with_comments, on_nothing, NULL, NULL) == 0;
		}
	}
	free(changed);
	assert_true(good > 100); /* a letter in a string for another one */
}

/* yajl keeps a decoded string, and a number the text ends with, in buffers that double: lengths
 * around each doubling must fit into what was set aside. */
static void test_json__memory_set_aside_fits_any_length(void **state)
{
	size_t size, i;
	int delta;
	char *json;

	(void)state;
	for (size = 2048; size <= 65536; size *= 2) {
		for (delta = -2; delta <= 2; delta++) {
			i = size + (size_t)delta;
			json = repeat("[\"\\n", "x", i - 1, "\",\"\\ty\"]");
			assert_int_equal(certauto__json_read("test", json, strlen(json), &any,
				on_nothing, NULL, NULL), 0);
			certauto__free(json);
			json = repeat("", "7", i, "");
			assert_int_equal(certauto__json_read("test", json, strlen(json), &any,
				on_nothing, NULL, NULL), 0);
			certauto__free(json);
			json = repeat("", "7", i, "//");
			assert_int_equal(certauto__json_read("test", json, strlen(json),
				&with_comments, on_nothing, NULL, NULL), 0);
			certauto__free(json);
			json = repeat("[\"\\n", "x", i - 1, "\"]");
			json[strlen(json) - 1] = 't'; /* an error after the longest string */
			check_fails(json, &any, NULL);
			certauto__free(json);
		}
	}
}

/* All escapes of the longest kind, several megabytes: decoded it is half as long. */
static void test_json__long_strings_of_escapes(void **state)
{
	char *json = repeat("[\"", "\\u20ac", 1000000, "\"]");

	(void)state;
	assert_int_equal(certauto__json_read("test", json, strlen(json), &any, on_nothing, NULL,
		NULL), 0);
	certauto__free(json);
}

static int reader_scenario(void *json)
{
	certauto__buffer seen = CERTAUTO__BUFFER(10000);
	certauto_error err;
	int rc;

	memset(&err, 0, sizeof(err));
	rc = certauto__json_read("sample", json, strlen(json), &any, on_event, &seen, &err);
	if (rc != certauto_error_code(&err))
		rc = CERTAUTO_EINVAL;
	certauto__error_clear(&err);
	certauto__buffer_free(&seen);
	return rc;
}

static int on_copy(void *arg, const certauto__json_value *value)
{
	if (value->type == CERTAUTO__JSON_STRING)
		return certauto__json_copy(value, arg);
	return 0;
}

static int copy_scenario(void *arg)
{
	char *copy = NULL;
	int rc = certauto__json_read("sample", sample, strlen(sample), NULL, on_copy, &copy, NULL);

	(void)arg;
	certauto__free(copy);
	return rc;
}

static void test_json__reader_out_of_memory_is_reported(void **state)
{
	char object[sizeof(sample)], arrays[] = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
		"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]";

	(void)state;
	memcpy(object, sample, sizeof(sample));
	unit_oom_sweep("object", reader_scenario, object);
	unit_oom_sweep("arrays", reader_scenario, arrays);
	unit_oom_sweep("copy", copy_scenario, NULL);
}

/* An error whose text cannot be made still has its code. */
static void test_json__errors_keep_their_code_out_of_memory(void **state)
{
	certauto_error err;
	int rc;
	long n;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (n = 1; n < 20; n++) {
		certauto__alloc_fail_at(n, 1);
		rc = certauto__json_read("test", "{\"a\":1,\"a\":2}", 13, &any, on_nothing, NULL,
			&err);
		certauto__alloc_fail_at(0, 0);
		assert_true(rc == CERTAUTO_ENOMEM || rc == CERTAUTO_EPROTO);
		assert_int_equal(certauto_error_code(&err), rc);
		assert_non_null(certauto_error_message(&err));
		certauto__error_clear(&err);
	}
	assert_int_equal(rc, CERTAUTO_EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json__events_tell_the_path),
		cmocka_unit_test(test_json__any_top_value_when_allowed),
		cmocka_unit_test(test_json__top_object_where_the_protocol_says_so),
		cmocka_unit_test(test_json__parts_indexes_and_lines),
		cmocka_unit_test(test_json__parts_stay_valid_while_keys_grow),
		cmocka_unit_test(test_json__a_key_with_a_dot_is_not_two_keys),
		cmocka_unit_test(test_json__strings_are_decoded),
		cmocka_unit_test(test_json__bad_strings_are_refused),
		cmocka_unit_test(test_json__invalid_utf8_is_refused),
		cmocka_unit_test(test_json__grammar_is_strict),
		cmocka_unit_test(test_json__numbers_are_strict_and_kept_as_text),
		cmocka_unit_test(test_json__comments_only_where_asked_for),
		cmocka_unit_test(test_json__duplicate_keys_are_refused),
		cmocka_unit_test(test_json__keys_are_escaped_in_messages),
		cmocka_unit_test(test_json__deep_nesting_is_refused_before_anything_is_kept),
		cmocka_unit_test(test_json__no_limit_allows_more_than_64_levels),
		cmocka_unit_test(test_json__number_of_values_is_limited),
		cmocka_unit_test(test_json__length_of_strings_is_limited),
		cmocka_unit_test(test_json__length_of_keys_is_limited),
		cmocka_unit_test(test_json__the_handlers_code_ends_the_reading),
		cmocka_unit_test(test_json__a_handler_that_explains_is_not_contradicted),
		cmocka_unit_test(test_json__conversions_check_type_and_range),
		cmocka_unit_test(test_json__truncated_text_fails_at_every_byte),
		cmocka_unit_test(test_json__changed_bytes_never_crash),
		cmocka_unit_test(test_json__memory_set_aside_fits_any_length),
		cmocka_unit_test(test_json__long_strings_of_escapes),
		cmocka_unit_test(test_json__reader_out_of_memory_is_reported),
		cmocka_unit_test(test_json__errors_keep_their_code_out_of_memory),
	};

	return cmocka_run_group_tests_name("json/reader", tests, NULL, NULL);
}
