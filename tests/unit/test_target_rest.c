/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets with a REST API share: answers that are none, words that must not be shown, ids
 * that lead elsewhere. */

#include "unit_target.h"

#include "jobs/engine.h"
#include "targets/avi.h"
#include "targets/fe.h"
#include "targets/netscaler.h"
#include "targets/nsx.h"
#include "targets/targets.h"

static void said(certauto__exchange *x, const char *method, int status, const char *body)
{
	certauto__exchange_reset(x);
	(void)certauto__ask_http(x, method, "https://device/api/things");
	x->status = status;
	certauto__buffer_text_add(&x->answer, body);
}

/* ---- answers ---- */

static int count_row(void *arg, const char *const *values)
{
	(void)values;
	++*(int *)arg;
	return 0;
}

static void test_rest__an_odd_answer_is_not_an_empty_list(void **state)
{
	static const struct {
		const char *body, *words;
		int is_object;   /* or of a list, then it is one */
	} cases[] = {
		{"", "the answer is empty, not an object", 0},
		{"null", "the answer is null, not an object", 0},
		{"7", "the answer is 7, not", 0},
		{"[]", "the answer is an array, not", 0},
		{"[{\"id\":\"a\"}]", "the answer is an array, not", 0},
		{"\"be\\nback \\\"soon\\\"\"", "the answer is \"be\\x0aback \"soon\"\", not", 0},
		{"<html>a portal</html>", "https://device/api/things", 0},
		{"{}", "the answer is an object, not an object with the list \"results\"", 1},
		{"{\"message\":\"secret\"}", "is an object with \"message\", not", 1},
		{"{\"results\":\"x\"}", "is an object with \"results\", not", 1},
		{"{\"results\":{\"id\":\"a\"}}", "is an object with \"results\", not", 1},
		{"{\"count\":1}", "is an object with \"count\", not", 1},
		{"{\"results\":[\"a\"]}", "is an object with \"results\", not", 1},
		{"{\"results\":[[{\"id\":\"a\"}]]}", "is an object with \"results\", not", 1},
	};
	static const char *const fields[] = {"id", NULL};
	certauto_error error = {0};
	certauto__exchange x = {0};
	int is_object, n, rc;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (is_object = 0; is_object < 2; is_object++) {
			said(&x, "GET", 200, cases[i].body);
			n = 0;
			rc = is_object ? certauto__rest_object(&x, fields, count_row, &n, &error)
				: certauto__rest_rows(&x, fields, count_row, &n, NULL, &error);
			if (is_object && cases[i].is_object) {
				assert_int_equal(rc, 0);
				assert_int_equal(n, 1);
				continue;
			}
			assert_int_equal(rc, CERTAUTO_EPROTO);
			assert_int_equal(n, 0);
			if (!is_object && strstr(error.message, cases[i].words) == NULL)
				fail_msg("\"%s\": %s", cases[i].words, error.message);
			assert_null(strstr(error.message, "secret"));
			assert_non_null(strstr(error.advice, "in between"));
			certauto__error_clear(&error);
		}
		/* What was written is looked at afterwards, whatever was said to it. */
		said(&x, "PATCH", 200, cases[i].body);
		assert_true(certauto__rest_rows(&x, fields, count_row, &n, NULL, NULL) == 0 ||
			cases[i].body[0] == '<');
	}
	said(&x, "GET", 200, "{\"result_count\":0}");
	assert_int_equal(certauto__rest_rows(&x, fields, count_row, &n, NULL, &error), 0);
	certauto__exchange_free(&x);
}

/* ---- refusals ---- */

#define ROW "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPa9sK2+/Cv8b9qZx"

static void hides(const struct certauto__target_row *row, const char *member,
	int (*tell)(certauto_error *, const certauto__exchange *, const certauto_target *,
		const char *, const char *))
{
	static const char *const words[] = {
		"wrong: Secr3t-**, twice Secr3t-**",
		"cannot read " ROW,
		"bad: -----BEGIN EC PRIVATE KEY-----\\nSecr3t",
	};
	struct lab *lab = lab_new();
	certauto_target *target = NULL;
	certauto_error error = {0};
	certauto__exchange x = {0};
	char body[1024];
	size_t i;

	assert_int_equal(certauto__target_make_row(&target, lab->cx, row, "edge", NULL), 0);
	lab_set(target, "password", "Secr3t-**");
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		snprintf(body, sizeof(body), "{\"%s\":\"%s\",\"errorcode\":1}", member, words[i]);
		said(&x, "POST", 400, body);
		assert_true(tell(&error, &x, target, "x", "adding") < 0);
		if (strstr(error.message, "Secr3t") || strstr(error.message, "MIGH"))
			fail_msg("%s: %s", row->name, error.message);
		assert_non_null(strchr(error.message, '('));
		assert_non_null(strchr("d)*", error.message[strlen(error.message) - 1]));
		certauto__error_clear(&error);
	}
	certauto__exchange_free(&x);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_rest__what_a_device_repeats_of_secrets_is_hidden(void **state)
{
	(void)state;
	hides(&certauto__target_avi, "error", certauto__avi_tell);
	hides(&certauto__target_nsx, "error_message", certauto__nsx_tell);
	hides(&certauto__target_flexibleengine, "error_msg", certauto__fe_tell);
	hides(&certauto__target_netscaler, "message", certauto__netscaler_tell);
}

/* ---- ids ---- */

static void test_rest__an_id_is_one_part_of_a_path(void **state)
{
	static const struct {
		const char *id, *wanted; /* NULL: it is refused */
	} cases[] = {
		{"user-1", "user-1"},
		{"../user/user-1", "..%2Fuser%2Fuser-1"},
		{"a?b#c %2F", "a%3Fb%23c%20%252F"},
		{"...", "..."},
		{"", NULL},
		{".", NULL},
		{"..", NULL},
	};
	certauto__buffer url = CERTAUTO__BUFFER(256);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		certauto__buffer_clear(&url);
		certauto__rest_segment(&url, cases[i].id);
		assert_int_equal(url.rc, cases[i].wanted != NULL ? 0 : CERTAUTO_EPROTO);
		if (cases[i].wanted != NULL)
			assert_string_equal(certauto__buffer_text(&url), cases[i].wanted);
	}
	certauto__buffer_free(&url);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rest__an_odd_answer_is_not_an_empty_list),
		cmocka_unit_test(test_rest__what_a_device_repeats_of_secrets_is_hidden),
		cmocka_unit_test(test_rest__an_id_is_one_part_of_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
