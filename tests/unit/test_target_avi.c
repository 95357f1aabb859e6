/* SPDX-License-Identifier: Apache-2.0 */
/* The session half of the avi target: options, names, calls and answers, objects that are sent
 * back, the session and what it does when it is lost, the test, and the recipe. Against a
 * controller that says what it is told to. */

#include "unit_target.h"

#include "fake_avi.h"

#include "jobs/engine.h"
#include "json/reader.h"
#include "targets/avi.h"
#include "targets/targets.h"

#define TIMEOUT_MS 10000
#define OPENED "POST /login\nGET /api/user?username=admin&include_name=true\n"

/* ---- a controller ---- */

static void controller_listen(struct controller *controller)
{
	device_bind(&controller->device, INADDR_LOOPBACK, 0);
	device_start(&controller->device);
}

static certauto_target *target_make(struct lab *lab, const char *url)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto__target_make_row(&target, lab->cx, &certauto__target_avi, NULL,
				 NULL), 0);
	lab_set(target, "url", url);
	lab_set(target, "user", "admin");
	lab_set(target, "password", "right");
	lab_set(target, "insecure", "yes");
	lab_set(target, "timeout_ms", "5000");
	return target;
}

static certauto_target *target_of(struct lab *lab, const struct controller *controller)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", controller->device.port);
	return target_make(lab, url);
}

/* All that one test needs: run() until the controller has been left. */
struct visit {
	struct lab *lab;
	struct controller controller;
	certauto_target *target;
};

static void visit_begin(struct visit *visit)
{
	controller_listen(&visit->controller);
	visit->lab = lab_new();
	visit->target = target_of(visit->lab, &visit->controller);
}

static void visit_end(struct visit *visit)
{
	certauto_target_free(visit->target);
	lab_restart(visit->lab);
	device_end(&visit->controller.device);
	lab_free(visit->lab);
}

/* ---- options ---- */

static void test_avi__options_that_do_not_fit_are_refused(void **state)
{
	static char long_name[202];
	static const struct {
		const char *name, *value, *words;
	} bad[] = {
		{"url", "ctl.example", "URL"},
		{"url", "https://admin:secret@ctl.example", "URL"},
		{"token", "t", "stands beside \"password\""},
		{"tenant", "*", "is one tenant"},
		{"api_version", "latest", "is a version as"},
		{"api_version", "22", "is a version as"},
		{"api_version", "22.1.6 ", "is a version as"},
		{"prefix", "-x", "option \"prefix\""},
		{"prefix", "a23456789012345678901234567890123", "at most 32"},
		{"certificate", long_name, "longer than 200"},
		{"bind", long_name, "longer than 200"},
		{"insecure", "no", "everybody on the way could read the password"},
		{"pin", LAB_PIN, "need a url with https://"},
	};
	struct lab *lab = lab_new();
	certauto_target *target;
	size_t i;

	(void)state;
	memset(long_name, 'n', sizeof(long_name) - 1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		target = target_make(lab, "http://ctl.example");
		assert_int_equal(certauto_target_check(target), 0);
		lab_set(target, bad[i].name, bad[i].value);
		if (certauto_target_check(target) != CERTAUTO_EINVAL)
			fail_msg("%s=%s", bad[i].name, bad[i].value);
		lab_says(lab, bad[i].words);
		assert_null(strstr(lab_message(lab), "secret"));
		certauto_target_free(target);
	}
	lab_free(lab);
}

static void test_avi__one_of_password_and_token_is_needed(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = NULL;

	(void)state;
	assert_int_equal(certauto__target_make_row(&target, lab->cx, &certauto__target_avi, NULL,
				 NULL), 0);
	lab_set(target, "url", "https://ctl.example");
	lab_set(target, "user", "me");
	assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
	lab_says(lab, "\"password\" is missing");
	lab_set(target, "token", "t");
	lab_set(target, "api_version", "22.1.6");
	lab_set(target, "virtualservice", "shop (new) \xc3\xa9");
	assert_int_equal(certauto_target_check(target), 0);
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- names ---- */

static void test_avi__names_tell_what_an_object_is_for(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://ctl.example");
	static const char digest[] =
		"aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd";
	struct certauto__cert_info ca = {.ski = "0123456789abcdef0123", .fingerprint = digest};
	char one[CERTAUTO__AVI_NAME], other[CERTAUTO__AVI_NAME];
	struct certauto__deployment *deployment;

	(void)state;
	certauto__avi_answer(one, target, "shop.example.org", "token", 0x6543210fLL);
	assert_int_equal(strncmp(one, "certauto-acme-6543210f-", 23), 0);
	assert_non_null(strstr(one, "-shop.example.org"));
	assert_int_equal(certauto__avi_answer_time(one, target), 0x6543210f);
	certauto__avi_answer(other, target, "shop.example.org", "token", 0x6543210fLL);
	assert_string_equal(one, other);
	certauto__avi_answer(other, target, "shop.example.org", "nekot", 0x6543210fLL);
	assert_string_not_equal(one, other);
	assert_int_equal(certauto__avi_answer_time("certauto-acme-6543210f-x", target), 0);
	assert_int_equal(certauto__avi_answer_time("other-acme-6543210f-0123456789abcdef-x",
				 target), 0);

	certauto__avi_ca(one, target, &ca);
	assert_string_equal(one, "certauto-ca-0123456789abcdef-aaaaaaaaaaaaaaaa");
	assert_int_equal(certauto__avi_is_own_ca(one, target), 1);
	ca.ski = NULL;
	certauto__avi_ca(one, target, &ca);
	assert_int_equal(certauto__avi_is_own_ca(one, target), 1);
	assert_int_equal(certauto__avi_is_own_ca("certauto-ca-root", target), 0);
	assert_int_equal(certauto__avi_is_own_ca("certauto-shop-rsa-2048", target), 0);

	deployment = certauto__deployment_new(target, "shop", "ecdsa-p256");
	assert_non_null(deployment);
	deployment->n_keys = 1;
	certauto__avi_certificate(one, deployment);
	assert_string_equal(one, "certauto-shop-ecdsa-p256");
	lab_set(target, "certificate", "Shop 1");
	certauto__avi_certificate(one, deployment);
	assert_string_equal(one, "Shop 1");
	deployment->n_keys = 2;
	certauto__avi_certificate(one, deployment);
	assert_string_equal(one, "Shop 1-ecdsa-p256");
	certauto__deployment_free(deployment);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_avi__a_uuid_is_the_end_of_a_reference(void **state)
{
	static const struct {
		const char *ref, *uuid;
	} cases[] = {
		{"https://c/api/virtualservice/virtualservice-1#shop", "virtualservice-1"},
		{"https://c/api/virtualservice/virtualservice-1#a/b?c#d", "virtualservice-1"},
		{"/api/role/role-2", "role-2"},
		{"/api/role/role-2/", "role-2"},
		{"/api/role/role-2?include_name=1", "role-2"},
		{"role-3", "role-3"},
		{"", ""},
		{"/", ""},
		{"#name", ""},
	};
	char uuid[CERTAUTO__AVI_UUID], longest[2 * CERTAUTO__AVI_UUID];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		certauto__rest_id(uuid, cases[i].ref);
		assert_string_equal(uuid, cases[i].uuid);
	}
	memset(longest, 'u', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	certauto__rest_id(uuid, longest);
	assert_string_equal(uuid, "");
	longest[CERTAUTO__AVI_UUID - 1] = '\0';
	certauto__rest_id(uuid, longest);
	assert_string_equal(uuid, longest);
}

static void test_avi__an_option_names_by_name_or_uuid(void **state)
{
	static const struct {
		const char *option, *key, *value;
	} cases[] = {
		{"virtualservice-0AbC", "uuid", "virtualservice-0abc"},
		{"VirtualService-0", "uuid", "virtualservice-0"},
		{"VirtualServices", "name", "VirtualServices"},
		{"virtualservic", "name", "virtualservic"},
		{"Shop", "name", "Shop"},
	};
	char value[CERTAUTO__AVI_NAME];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_string_equal(certauto__avi_key(value, "virtualservice", cases[i].option),
			cases[i].key);
		assert_string_equal(value, cases[i].value);
	}
}

/* ---- calls ---- */

static void test_avi__a_call_is_written_as_it_is_meant(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://ctl.example:8443//");
	certauto__buffer query = CERTAUTO__BUFFER(256);
	certauto__exchange x = {0};
	certauto__json w;

	(void)state;
	certauto__exchange_reset(&x);
	certauto__avi_arg(&query, "name", "a b&c=d");
	certauto__avi_arg(&query, "search", "(fqdn,x)");
	assert_string_equal(query.data, "name=a%20b%26c%3Dd&search=%28fqdn%2Cx%29");
	assert_int_equal(certauto__avi_call(&x, target, "GET", "vsvip", NULL, query.data),
		CERTAUTO__SEND);
	assert_string_equal(certauto__buffer_text(&x.url),
		"https://ctl.example:8443/api/vsvip?name=a%20b%26c%3Dd&search=%28fqdn%2Cx%29");
	assert_int_equal(x.http, CERTAUTO__HTTP_API);
	certauto__exchange_reset(&x);
	certauto__avi_call(&x, target, "POST", "role", "a?b#c/renew", "");
	assert_string_equal(certauto__buffer_text(&x.url),
		"https://ctl.example:8443/api/role/a%3Fb%23c%2Frenew");
	certauto__avi_body(&w, &x);
	certauto__json_object(&w);
	certauto__avi_put_ref(&w, "run_script_ref", "alertscriptconfig", "alertscriptconfig-1");
	certauto__json_object_end(&w);
	assert_string_equal(certauto__buffer_text(&x.body),
		"{\"run_script_ref\":\"/api/alertscriptconfig/alertscriptconfig-1\"}");
	certauto__exchange_free(&x);
	certauto__buffer_free(&query);
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- answers ---- */

static void said(certauto__exchange *x, const char *method, int status, const char *body)
{
	certauto__exchange_reset(x);
	x->method = method;
	x->status = status;
	certauto__buffer_text_add(&x->answer, body);
}

static void test_avi__refusals_are_told_with_the_controllers_words(void **state)
{
	static const struct {
		const char *method;
		int status;
		const char *body;
		int rc;
		const char *words, *advice;
	} cases[] = {
		{"POST", 400, "{\"error\":\"name: required\"}", CERTAUTO_EREFUSED,
			"avi edge: adding x: HTTP status 400 (\"name: required\")", ""},
		{"POST", 400, "{\"obj\":\"a\",\"error\":\"b\",\"z\":\"c\"}", CERTAUTO_EREFUSED,
			"HTTP status 400 (\"b\")", ""},
		{"POST", 400, "{\"detail\":\"only this\",\"n\":1}", CERTAUTO_EREFUSED,
			"(\"only this\")", ""},
		{"GET", 400, "{\"error\":\"Invalid version 31.1.1\"}", CERTAUTO_EREFUSED,
			"Invalid version", "leave out api_version"},
		{"GET", 401, CSRF_FAILED "\n", CERTAUTO_EAUTH, "(\"" CSRF_FAILED "\")",
			"is not tried again"},
		{"GET", 419, "", CERTAUTO_EAUTH, "HTTP status 419", "is not tried again"},
		{"GET", 403, "{\"error\":\"no permission\"}", CERTAUTO_EPERM, "no permission",
			"target recipe"},
		{"GET", 404, "<html>nothing</html>", CERTAUTO_ENOTFOUND, "HTTP status 404", ""},
		{"PUT", 409, "{\"error\":\"changed\"}", CERTAUTO_EBUSY, "changed", "run it again"},
		{"PATCH", 412, "", CERTAUTO_EBUSY, "HTTP status 412", "run it again"},
		{"DELETE", 412, "{\"error\":\"in use\"}", CERTAUTO_EREFUSED, "in use", ""},
		{"POST", 400, "{\"error\":\"bad: -----BEGIN EC PRIVATE KEY-----\\nhtml\"}",
			CERTAUTO_EREFUSED, "(\"bad:\")", ""},
		{"DELETE", 403, "{\"error\":\"Cannot delete, object is referred by: x\"}",
			CERTAUTO_EREFUSED, "is referred by: x", ""},
		{"POST", 409, "{\"error\":\"already exists\"}", CERTAUTO_EREFUSED,
			"already exists", ""},
		{"GET", 502, "<html>proxy</html>", CERTAUTO_EREFUSED, "HTTP status 502",
			"see how the controller is"},
		{"GET", 200, "<html>a portal</html>", CERTAUTO_EPROTO, "HTTP status 200", ""},
		{"GET", 400, "{\"error\":\"a\\u001b[2Jb\"}", CERTAUTO_EREFUSED, "a\\x1b[2Jb", ""},
		{"GET", 400, "{broken", CERTAUTO_EREFUSED, "HTTP status 400", ""},
	};
	struct lab *lab = lab_new();
	certauto_target *target = NULL;
	certauto_error error = {0};
	certauto__exchange x = {0};
	size_t i;

	(void)state;
	assert_int_equal(certauto__target_make_row(&target, lab->cx, &certauto__target_avi, "edge",
				 NULL), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, cases[i].method, cases[i].status, cases[i].body);
		assert_int_equal(certauto__avi_tell(&error, &x, target, "x", "adding x"),
			cases[i].rc);
		if (strstr(error.message, cases[i].words) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", cases[i].words, error.message);
		assert_null(strstr(error.message, "html"));
		assert_null(strstr(error.message, "broken"));
		assert_non_null(strstr(error.advice != NULL ? error.advice : "",
			cases[i].advice));
		assert_true(*cases[i].advice != '\0' || error.advice == NULL);
		assert_int_equal(error.status, cases[i].status);
		assert_string_equal(error.object, "x");
	}
	certauto__exchange_reset(&x);
	x.rc = certauto__error_set(&x.error, CERTAUTO_ENET, NULL, "no route");
	assert_int_equal(certauto__avi_tell(&error, &x, target, "x", "adding x"), CERTAUTO_ENET);
	assert_string_equal(error.message, "avi edge: adding x: no route");
	certauto__error_clear(&error);
	certauto__exchange_free(&x);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_avi__what_a_refusal_is_about_is_seen(void **state)
{
	static const struct {
		const char *method;
		int status;
		const char *body;
		int stale, taken, in_use;
	} cases[] = {
		{"PUT", 412, "", 1, 0, 0},
		{"PUT", 409, "", 1, 0, 0},
		{"PATCH", 412, "", 1, 0, 0},
		{"PATCH", 409, "", 0, 0, 0},
		{"POST", 409, "", 0, 1, 0},
		{"PUT", 400, "", 0, 0, 0},
		{"DELETE", 409, "", 0, 0, 1},
		{"DELETE", 412, "", 0, 0, 1},
		{"DELETE", 400, "{\"error\":\"Cannot delete, object is REFERRED by: y\"}", 0, 0, 1},
		{"DELETE", 403, "{\"error\":\"object is in use\"}", 0, 0, 1},
		{"DELETE", 403, "{\"error\":\"no permission\"}", 0, 0, 0},
		{"DELETE", 404, "", 0, 0, 0},
		{"POST", 400, "{\"error\":\"object is in use\"}", 0, 0, 0},
	};
	certauto__exchange x = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, cases[i].method, cases[i].status, cases[i].body);
		assert_int_equal(certauto__avi_is_stale(&x), cases[i].stale);
		assert_int_equal(certauto__avi_is_taken(&x), cases[i].taken);
		assert_int_equal(certauto__avi_is_in_use(&x), cases[i].in_use);
	}
	said(&x, "GET", 400, "{\"error\":\"Duplicate Service port 80\"}");
	assert_int_equal(certauto__avi_says(&x, "service PORT"), 1);
	assert_int_equal(certauto__avi_says(&x, "ports"), 0);
	x.rc = CERTAUTO_ENET;
	assert_int_equal(certauto__avi_says(&x, "service port"), 0);
	x.status = 409;
	x.method = "POST";
	assert_int_equal(certauto__avi_is_taken(&x), 0);
	certauto__exchange_free(&x);
}

/* ---- rows ---- */

static int row_add(void *arg, const char *const *values)
{
	int i;

	for (i = 0; i < 5; i++)
		certauto__buffer_printf(arg, "%s%s", i > 0 ? " " : "",
			values[i] != NULL ? values[i] : "-");
	return certauto__buffer_text_add(arg, "\n");
}

static const char *const row_fields[] = {"name", "ssl.on", "ports[].port", "ports[].tls", "hosts[]",
	NULL};
#define OBJECT_A \
	"{\"name\":\"a\",\"ssl\":{\"on\":true,\"name\":\"no\"},\"ports\":[{\"port\":80," \
	"\"deep\":[{\"port\":1}]},{\"tls\":false,\"port\":443,\"x\":{\"tls\":true}}," \
	"{\"tls\":true}],\"hosts\":[\"x\",\"y\",7]}"
#define ROW_A "a true 80,443, ,false,true x,y,7\n"

static void test_avi__rows_are_read_whatever_their_form(void **state)
{
	static const struct {
		const char *method, *body, *rows;
		int64_t total;
	} cases[] = {
		{"PUT", "", "", 0},
		{"GET", NOTHING, "", 0},
		{"GET", "{\"count\":0}", "", 0},
		{"PUT", OBJECT_A, ROW_A, 1},
		{"GET", "{\"count\":9,\"results\":[" OBJECT_A "," OBJECT_A "],\"next\":\"u\"}",
			ROW_A ROW_A, 9},
		{"GET",
			"{\"results\":[{},{\"name\":null,\"ports\":[],\"hosts\":[\"\"]}],"
			"\"count\":2}",
			"- - - - -\n- - - - \n", 2},
		{"PUT", "{\"name\":\"\",\"ssl\":\"text\",\"ports\":[{}]}", " -   -\n", 1},
		{"PUT", "{\"ssl.on\":true,\"ports[]\":{\"port\":5},\"hosts[]\":1}",
			"- - - - -\n", 1},
		{"PUT", "{\"name\":1.50e3,\"ssl\":{\"on\":12345678901234567890}}",
			"1.50e3 12345678901234567890 - - -\n", 1},
		{"PUT", "{\"name\":\"a,b\",\"hosts\":[\"c,d\",\"e\"]}", "a,b - - - c;d,e\n", 1},
	};
	certauto__buffer rows = CERTAUTO__BUFFER(4096);
	certauto__exchange x = {0};
	int64_t total;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, cases[i].method, 200, cases[i].body);
		certauto__buffer_clear(&rows);
		total = -1;
		assert_int_equal(certauto__rest_rows(&x, row_fields, row_add, &rows, &total, NULL),
			0);
		assert_string_equal(certauto__buffer_text(&rows), cases[i].rows);
		assert_int_equal(total, cases[i].total);
	}
	certauto__exchange_free(&x);
	certauto__buffer_free(&rows);
}

static int row_stop(void *arg, const char *const *values)
{
	++*(int *)arg;
	return values[0] == NULL || strcmp(values[0], "stop") != 0 ? 0 : CERTAUTO_ENOTFOUND;
}

static void test_avi__rows_end_with_what_their_reader_says(void **state)
{
	static const char *const fields[] = {"name", NULL};
	certauto__exchange x = {0};
	certauto_error error = {0};
	int n = 0;

	(void)state;
	said(&x, "GET", 200, "{\"results\":[{\"name\":\"go\"},{\"name\":\"stop\"},{}]}");
	assert_int_equal(certauto__rest_rows(&x, fields, row_stop, &n, NULL, NULL),
		CERTAUTO_ENOTFOUND);
	assert_int_equal(n, 2);
	said(&x, "GET", 200, "<html>a portal</html>");
	assert_int_equal(certauto__rest_rows(&x, fields, row_stop, &n, NULL, &error),
		CERTAUTO_EPROTO);
	assert_int_equal(error.code, CERTAUTO_EPROTO);
	assert_int_equal(n, 2);
	certauto__error_clear(&error);
	certauto__exchange_free(&x);
}

static int read_rows(void *arg)
{
	certauto__buffer rows = CERTAUTO__BUFFER(4096);
	certauto_error error = {0};
	int rc = certauto__rest_rows(arg, row_fields, row_add, &rows, NULL, &error);

	assert_int_equal(error.code, rc);
	if (rc == 0)
		assert_string_equal(rows.data, ROW_A ROW_A);
	certauto__error_clear(&error);
	certauto__buffer_free(&rows);
	return rc;
}

static void test_avi__rows_survive_a_lack_of_memory(void **state)
{
	certauto__exchange x = {0};

	(void)state;
	said(&x, "GET", 200, "{\"results\":[" OBJECT_A "," OBJECT_A "]}");
	unit_oom_sweep("rows", read_rows, &x);
	certauto__exchange_free(&x);
}

/* ---- an object sent back ---- */

#define WHOLE \
	"{\"uuid\":\"u-1\",\"_last_modified\":\"1700000000000001\",\"n\":1.50e+3," \
	"\"big\":12345678901234567890123,\"neg\":-0.0,\"t\":true,\"f\":false,\"nil\":null," \
	"\"e\":{},\"l\":[],\"text\":\"a\\\"\\\\/\\n\\u0001\\u00e9\\ud83d\\ude00\"," \
	"\"certificate\":{\"certificate\":\"OLD\",\"subject\":{\"certificate\":\"mine\"}}," \
	"\"refs\":[\"/api/a/1\",[1,[2]],{\"refs\":[\"x\"]}],\"a.b\":1}"

static const char *edit(const char *object, const struct certauto__rest_edit *edits, size_t n)
{
	static certauto__buffer out = CERTAUTO__BUFFER(65536);
	certauto_error error = {0};
	int rc;

	certauto__buffer_clear(&out);
	rc = certauto__rest_edit(&out, object, strlen(object), edits, n, &error);
	assert_int_equal(error.code, rc);
	certauto__error_clear(&error);
	if (rc == 0)
		return certauto__buffer_text(&out);
	certauto__buffer_free(&out);
	return rc == CERTAUTO_EPROTO ? "EPROTO" : "?";
}

/* As it came: numbers to the digit, order, empty things, what is deep inside. */
static void test_avi__an_object_is_sent_back_as_it_came(void **state)
{
	static const char expected[] =
		"{\"uuid\":\"u-1\",\"_last_modified\":\"1700000000000001\",\"n\":1.50e+3,"
		"\"big\":12345678901234567890123,\"neg\":-0.0,\"t\":true,\"f\":false,\"nil\":null,"
		"\"e\":{},\"l\":[],\"text\":\"a\\\"\\\\/\\n\\u0001\xc3\xa9\xf0\x9f\x98\x80\","
		"\"certificate\":{\"certificate\":\"OLD\",\"subject\":{\"certificate\":\"mine\"}},"
		"\"refs\":[\"/api/a/1\",[1,[2]],{\"refs\":[\"x\"]}],\"a.b\":1}";

	(void)state;
	assert_string_equal(edit(WHOLE, NULL, 0), expected);
	assert_string_equal(edit("{\"count\":2,\"results\":[" WHOLE ",{\"x\":1}],\"next\":\"\"}",
				 NULL, 0), expected);
	assert_string_equal(edit("{}", NULL, 0), "{}");
	assert_string_equal(edit(NOTHING, NULL, 0), "EPROTO");
	assert_string_equal(edit("[1]", NULL, 0), "EPROTO");
	assert_string_equal(edit("", NULL, 0), "EPROTO");
	assert_string_equal(edit("{\"a\":", NULL, 0), "EPROTO");
}

static void test_avi__members_are_replaced_added_and_left_out(void **state)
{
	static const struct {
		const char *object;
		struct certauto__rest_edit edits[3];
		size_t n;
		const char *result;
	} cases[] = {
		{"{\"a\":1,\"b\":2}", {{"a", "[1,{}]"}}, 1, "{\"a\":[1,{}],\"b\":2}"},
		{"{\"a\":{\"x\":[1,{\"y\":2}]},\"b\":2}", {{"a", "null"}}, 1,
			"{\"a\":null,\"b\":2}"},
		{"{\"a\":[{\"a\":1}],\"b\":{\"a\":2}}", {{"a", "\"n\""}}, 1,
			"{\"a\":\"n\",\"b\":{\"a\":2}}"},
		{"{\"c\":{\"c\":\"O\",\"s\":1},\"d\":{\"c\":3}}", {{"c.c", "\"N\""}}, 1,
			"{\"c\":{\"c\":\"N\",\"s\":1},\"d\":{\"c\":3}}"},
		{"{\"a\":1}", {{"k", "\"K\""}, {"l", "[]"}}, 2,
			"{\"a\":1,\"k\":\"K\",\"l\":[]}"},
		{"{\"c\":{\"s\":1},\"e\":{}}", {{"c.c", "1"}, {"e.f", "2"}, {"e.g", "3"}}, 3,
			"{\"c\":{\"s\":1,\"c\":1},\"e\":{\"f\":2,\"g\":3}}"},
		{"{\"a\":1,\"b\":{\"x\":1},\"c\":[1]}", {{"b", NULL}, {"c", NULL}, {"z", NULL}}, 3,
			"{\"a\":1}"},
		{"{\"a\":1,\"b\":2}", {{"a", NULL}, {"b", "3"}}, 2, "{\"b\":3}"},
		{"{\"c\":{\"c\":1}}", {{"c.c", NULL}, {"no.way", NULL}}, 2, "{\"c\":{}}"},
		{"{\"count\":1,\"results\":[{\"a\":1,\"results\":[{\"a\":1}]}]}", {{"a", "2"}}, 1,
			"{\"a\":2,\"results\":[{\"a\":1}]}"},
		{"{\"a.b\":1}", {{"a.b", NULL}}, 1, "{\"a.b\":1}"},
		{"{\"[]\":1,\"x\":[2]}", {{"x", "3"}}, 1, "{\"[]\":1,\"x\":3}"},
		{"{\"l\":[1,{\"l\":[1,2]},3]}", {{"l[1]", "2"}, {"l[2]", NULL}}, 2,
			"{\"l\":[1,2]}"},
		/* What could not be put there is not lost without a word. */
		{"{\"a\":1}", {{"c.c", "1"}}, 1, "EPROTO"},
		{"{\"c\":[{}]}", {{"c.c", "1"}}, 1, "EPROTO"},
		{"{\"l\":[1]}", {{"l[1]", "2"}}, 1, "EPROTO"},
		{NOTHING, {{"a", "1"}}, 1, "EPROTO"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(edit(cases[i].object, cases[i].edits, cases[i].n),
			cases[i].result);
	edit("", NULL, 0);
}

static int edit_once(void *arg)
{
	static const struct certauto__rest_edit edits[] = {
		{"key", "\"K\""}, {"certificate.certificate", "\"N\""}, {"refs", NULL}};
	certauto__buffer out = CERTAUTO__BUFFER(65536);
	certauto_error error = {0};
	int rc;

	(void)arg;
	rc = certauto__rest_edit(&out, WHOLE, strlen(WHOLE), edits, 3, &error);
	assert_int_equal(error.code, rc);
	certauto__error_clear(&error);
	certauto__buffer_free(&out);
	return rc;
}

static void test_avi__an_edit_survives_a_lack_of_memory(void **state)
{
	(void)state;
	unit_oom_sweep("edit", edit_once, NULL);
}

/* ---- versions ---- */

static void test_avi__versions_are_numbers(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int parts[4];
	} cases[] = {
		{"30.2.2", 6, {30, 2, 2, 0}},
		{"22.1.6-2p3", 6, {22, 1, 6, 0}},
		{"16.4", 4, {16, 4, 0, 0}},
		{"1.2.3.4.5", 7, {1, 2, 3, 4}},
		{"1.2.", 3, {1, 2, 0, 0}},
		{"30", 0, {30, 0, 0, 0}},
		{"30.x", 0, {30, 0, 0, 0}},
		{"", 0, {0, 0, 0, 0}},
		{"x.1", 0, {0, 0, 0, 0}},
		{"99999999.1", 0, {0, 0, 0, 0}},
	};
	struct certauto__avi_version version;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(certauto__avi_version_parse(&version, cases[i].text),
			cases[i].len);
		assert_memory_equal(version.parts, cases[i].parts, sizeof(version.parts));
	}
}

/* ---- sessions ---- */

static int test_once(struct visit *visit)
{
	return certauto_target_test(visit->target, TIMEOUT_MS);
}

/* n tests at once; how many ended with rc. */
static int test_many(struct visit *visit, int n, int rc)
{
	certauto_job *jobs[32];
	int i, same = 0;

	assert_in_range(n, 1, 32);
	for (i = 0; i < n; i++)
		assert_int_equal(certauto_target_start_test(&jobs[i], visit->target, TIMEOUT_MS),
			0);
	assert_int_equal(certauto_context_run(visit->lab->cx, TIMEOUT_MS), 0);
	for (i = 0; i < n; i++) {
		same += certauto_job_wait(jobs[i], 0) == rc;
		certauto_job_free(jobs[i]);
	}
	return same;
}

static void test_avi__many_jobs_share_one_session_that_is_ended(void **state)
{
	struct visit visit = {0};
	const struct device *device = &visit.controller.device;

	(void)state;
	visit_begin(&visit);
	assert_int_equal(test_many(&visit, 20, 0), 20);
	assert_int_equal(device->n_logins, 1);
	assert_int_equal(device->n_logouts, 1);
	lab_warns_of_nothing_else(visit.lab);
	assert_int_equal(test_once(&visit), 0);
	assert_int_equal(device->n_logins, 2);
	visit_end(&visit);
	assert_int_equal(device->n_logouts, 2);
}

static void test_avi__each_call_says_whose_it_is(void **state)
{
	struct visit visit = {0};
	char referer[64];

	(void)state;
	visit_begin(&visit);
	lab_set(visit.target, "tenant", "blue");
	assert_int_equal(test_once(&visit), 0);
	snprintf(referer, sizeof(referer), "Referer: http://127.0.0.1:%d\r\n",
		visit.controller.device.port);
	assert_non_null(strstr(visit.controller.last, referer));
	assert_non_null(strstr(visit.controller.last, "X-Avi-Version: 30.2.2\r\n"));
	assert_non_null(strstr(visit.controller.last, "X-Avi-Tenant: blue\r\n"));
	assert_null(strstr(visit.controller.last, "Content-Type"));
	visit_end(&visit);
}

static void test_avi__a_wrong_password_is_tried_once(void **state)
{
	struct visit visit = {0};
	const struct device *device = &visit.controller.device;

	(void)state;
	visit_begin(&visit);
	lab_set(visit.target, "password", "wrong!pass");
	assert_int_equal(test_many(&visit, 20, CERTAUTO_EAUTH), 20);
	assert_int_equal(device->n_logins + device->n_calls, 1);
	/* The next run may try it again, and another password at once. */
	assert_int_equal(test_once(&visit), CERTAUTO_EAUTH);
	assert_int_equal(device->n_logins + device->n_calls, 2);
	lab_says(visit.lab, "avi: logging in: HTTP status 401 (\"Invalid credentials\")");
	assert_null(strstr(lab_message(visit.lab), "wrong!pass"));
	lab_set(visit.target, "password", "right");
	assert_int_equal(test_once(&visit), 0);
	visit_end(&visit);
}

static void test_avi__a_token_does_as_well(void **state)
{
	struct visit visit = {0};
	char url[64];

	(void)state;
	visit_begin(&visit);
	certauto_target_free(visit.target);
	assert_int_equal(certauto__target_make_row(&visit.target, visit.lab->cx,
				 &certauto__target_avi, NULL, NULL), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", visit.controller.device.port);
	lab_set(visit.target, "url", url);
	lab_set(visit.target, "user", "admin");
	lab_set(visit.target, "token", "t&ken");
	lab_set(visit.target, "insecure", "yes");
	assert_int_equal(test_once(&visit), 0);
	visit_end(&visit);
}

/* In use, or before it was of any use. */
static void test_avi__a_lost_session_is_renewed(void **state)
{
	int lose_at;

	(void)state;
	for (lose_at = 1; lose_at <= 5; lose_at += 4) {
		struct visit visit = {.controller.device.lose_at = lose_at};

		visit_begin(&visit);
		assert_int_equal(test_many(&visit, 8, 0), 8);
		assert_int_equal(visit.controller.device.n_logins, 2);
		visit_end(&visit);
	}
}

static void test_avi__sessions_lost_at_once_are_not_tried_for_ever(void **state)
{
	static const int statuses[] = {401, 419};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct visit visit = {0};

		device_tell(&visit.controller.device, "GET /", statuses[i],
			"{\"error\":\"Session has expired\"}", 0);
		visit_begin(&visit);
		assert_int_equal(test_many(&visit, 8, CERTAUTO_EAUTH), 8);
		assert_int_equal(visit.controller.device.n_logins, 2);
		visit_end(&visit);
	}
}

/* A call that changes something: it needs the token. */
static certauto__verdict patch_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__json w;

	certauto__avi_call(x, certauto__job_env(job), "PATCH", "virtualservice", "virtualservice-1",
		NULL);
	certauto__avi_body(&w, x);
	certauto__json_object(&w);
	certauto__json_object_end(&w);
	return CERTAUTO__SEND;
}

static int patch_each(certauto_job *job)
{
	(void)job;
	return 3;
}

static const struct certauto__step patch_steps[] = {
	{.name = "patch", .ask = patch_ask, .each = patch_each},
};

static const struct certauto__table patch_table = {
	.name = "patch", .steps = patch_steps, .n_steps = 1};

/* n jobs that make three changes each; how many of them got through. */
static int patch_many(struct visit *visit, int n)
{
	struct certauto__start start = {.table = &patch_table, .name = "patch",
		.env = visit->target};
	certauto_job *jobs[16];
	int i, good = 0;

	assert_in_range(n, 1, 16);
	assert_int_equal(certauto__avi_peer(visit->target, &start.peer, NULL), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(certauto__job_start(&jobs[i], visit->lab->cx, &start, NULL), 0);
	certauto__peer_unref(start.peer);
	assert_int_equal(certauto_context_run(visit->lab->cx, TIMEOUT_MS), 0);
	for (i = 0; i < n; i++) {
		good += certauto_job_wait(jobs[i], 0) == 0;
		certauto_job_free(jobs[i]);
	}
	return good;
}

static void test_avi__a_fresh_token_takes_the_place_of_the_former(void **state)
{
	struct visit visit = {.controller.rotates = 1};
	const struct device *device = &visit.controller.device;

	(void)state;
	visit_begin(&visit);
	assert_int_equal(patch_many(&visit, 1), 1);
	assert_int_equal(device->n_calls, 3 + 1);
	/* Of jobs beside each other some come with one that is old by then, and come again; where
	 * the refusal overtakes the answer with the fresh one, after another login. */
	assert_int_equal(patch_many(&visit, 8), 8);
	assert_in_range(device->n_logins, 2, 1 + 8);
	assert_int_equal(device->n_logouts, 2);
	assert_non_null(strstr(visit.controller.last, "Content-Type: application/json\r\n"));
	visit_end(&visit);
}

static void test_avi__a_session_that_ends_between_changes_is_renewed(void **state)
{
	struct visit visit = {.controller.device.lose_at = 3};

	(void)state;
	visit_begin(&visit);
	assert_int_equal(patch_many(&visit, 4), 4);
	assert_int_equal(visit.controller.device.n_logins, 2);
	visit_end(&visit);
}

static void test_avi__a_cut_call_and_an_upgrade_are_waited_for(void **state)
{
	struct visit visit = {.controller.device.cut_at = 2};

	(void)state;
	device_tell(&visit.controller.device, "GET /api/virtualservice", 403,
		"{\"error\":\"Upgrade in progress\"}", 1);
	device_tell(&visit.controller.device, "GET /api/httppolicyset", 503, "<html></html>", 1);
	visit_begin(&visit);
	assert_int_equal(test_once(&visit), 0);
	assert_int_equal(visit.controller.device.n_logins, 1);
	visit_end(&visit);
}

struct greeting {
	const char *greeting, *tenant, *api_version;
	int rc;
	const char *words;
};

static void check_greeting(const struct greeting *greeting)
{
	struct visit visit = {.controller.greeting = greeting->greeting};
	int rc;

	visit_begin(&visit);
	if (greeting->tenant != NULL)
		lab_set(visit.target, "tenant", greeting->tenant);
	if (greeting->api_version != NULL)
		lab_set(visit.target, "api_version", greeting->api_version);
	rc = test_once(&visit);
	if (rc != greeting->rc)
		fail_msg("%s: %d: %s", greeting->greeting, rc, lab_message(visit.lab));
	if (rc < 0)
		lab_says(visit.lab, greeting->words);
	else
		assert_non_null(strstr(visit.controller.last, greeting->words));
	/* Whatever came of it. */
	assert_int_equal(visit.controller.device.n_logouts, 1);
	visit_end(&visit);
}

#define TENANTS ",\"tenants\":[{\"name\":\"admin\",\"url\":\"u\"},{\"name\":\"re\\u001bd\"}]"

static void test_avi__the_answer_to_the_login_settles_version_and_tenant(void **state)
{
	static const struct greeting cases[] = {
		{GREETING("22.1.6-2p3", ""), NULL, NULL, 0, "X-Avi-Version: 22.1.6\r\n"},
		{GREETING("30.2.2", ""), NULL, "21.1.1", 0, "X-Avi-Version: 21.1.1\r\n"},
		{GREETING("30.2.2", ""), NULL, "30.2.2", 0, "X-Avi-Version: 30.2.2\r\n"},
		{GREETING("30.2.2", ""), NULL, "30.2.3", CERTAUTO_EREFUSED,
			"avi: the controller does not speak API version 30.2.3, but 16.4.2 to "
			"30.2.2"},
		{GREETING("9.10.1", ""), NULL, "9.9.1", CERTAUTO_EREFUSED, "9.9.1, but 16.4.2"},
		{GREETING("", ""), NULL, NULL, 0, "X-Avi-Version: 16.4.2\r\n"},
		{"{\"session_cookie_name\":\"avi-sessionid\"}", NULL, NULL, 0,
			"X-Avi-Version: 20.1.1\r\n"},
		{"{\"session_cookie_name\":\"avi-sessionid\"}", NULL, "31.1.1", 0,
			"X-Avi-Version: 31.1.1\r\n"},
		{GREETING("30.2.2", TENANTS), NULL, NULL, 0, "X-Avi-Tenant: admin\r\n"},
		{GREETING("30.2.2", TENANTS), "blue", NULL, CERTAUTO_ENOTFOUND,
			"avi: the account has no tenant \"blue\", but \"admin\", \"re\\x1bd\""},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_greeting(&cases[i]);
}

static void test_avi__a_login_without_a_session_is_told(void **state)
{
	static const struct {
		int status;
		const char *body;
		int rc;
		const char *words;
	} cases[] = {
		{200, "{}", CERTAUTO_EPROTO, "no cookies"},
		{200, "<html>a portal</html>", CERTAUTO_EPROTO, "avi: the answer to the login"},
		{403, "{\"error\":\"Account is locked\"}", CERTAUTO_EAUTH, "Account is locked"},
		{400, "{\"error\":\"no form\"}", CERTAUTO_EREFUSED, "logging in: HTTP status 400"},
		{404, "", CERTAUTO_ENOTFOUND, "logging in: HTTP status 404"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct visit visit = {0};

		device_tell(&visit.controller.device, "POST /login", cases[i].status,
			cases[i].body, 0);
		visit_begin(&visit);
		assert_int_equal(test_once(&visit), cases[i].rc);
		lab_says(visit.lab, cases[i].words);
		assert_string_equal(visit.controller.device.log, "POST /login\n");
		visit_end(&visit);
	}
}

#define TOO_NEW "{\"error\":\"Invalid version 30.2.2: greater than controller version 30.2.1\"}"

static void test_avi__a_version_that_is_refused_is_settled_again(void **state)
{
	struct visit visit = {0};

	(void)state;
	device_tell(&visit.controller.device, "GET /api/user", 400, TOO_NEW, 1);
	visit_begin(&visit);
	assert_int_equal(test_once(&visit), 0);
	assert_int_equal(visit.controller.device.n_logins, 2);
	assert_non_null(strstr(visit.controller.last, "X-Avi-Version: 16.4.2\r\n"));
	visit_end(&visit);
}

static void test_avi__a_version_is_not_settled_for_ever(void **state)
{
	int wanted;

	(void)state;
	for (wanted = 0; wanted <= 1; wanted++) {
		struct visit visit = {0};

		device_tell(&visit.controller.device, "GET /api/virtualservice", 400, TOO_NEW, 0);
		visit_begin(&visit);
		if (wanted)
			lab_set(visit.target, "api_version", "22.1.1");
		assert_int_equal(test_once(&visit), CERTAUTO_EREFUSED);
		lab_says(visit.lab, "Invalid version");
		assert_non_null(strstr(certauto_error_advice(certauto_context_error(visit.lab->cx)),
			"leave out api_version"));
		assert_int_equal(visit.controller.device.n_logins, wanted ? 1 : 2);
		visit_end(&visit);
	}
}

static int n_first;

static certauto__verdict first_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	n_first += certauto__avi_first(job);
	assert_string_equal(certauto__avi_version(job), "30.2.2");
	return CERTAUTO__NEXT;
}

static const struct certauto__step first_steps[] = {
	{.name = "first", .ask = patch_ask, .read = first_read, .each = patch_each},
};

static void test_avi__what_is_done_once_a_run_is_done_once(void **state)
{
	static const struct certauto__table table = {
		.name = "first", .steps = first_steps, .n_steps = 1};
	struct visit visit = {.controller.device.lose_at = 2};
	struct certauto__start start = {.table = &table, .name = "first"};
	int run;

	(void)state;
	visit_begin(&visit);
	start.env = visit.target;
	for (run = 1; run <= 2; run++) {
		assert_int_equal(certauto__avi_peer(visit.target, &start.peer, NULL), 0);
		assert_int_equal(certauto__job_start(NULL, visit.lab->cx, &start, NULL), 0);
		assert_int_equal(certauto__job_start(NULL, visit.lab->cx, &start, NULL), 0);
		certauto__peer_unref(start.peer);
		assert_int_equal(certauto_context_run(visit.lab->cx, TIMEOUT_MS), 0);
		assert_int_equal(n_first, run);
	}
	visit_end(&visit);
}

/* ---- the test ---- */

struct finding {
	const char *request, *body;
	int status, rc;
	const char *words;
};

#define ROLE(vs, policies, certificates) \
	"{\"privileges\":[{\"resource\":\"PERMISSION_VIRTUALSERVICE\",\"type\":\"" vs "\"}," \
	"{\"resource\":\"PERMISSION_HTTPPOLICYSET\",\"type\":\"" policies "\"}," \
	"{\"resource\":\"PERMISSION_SSLKEYANDCERTIFICATE\",\"type\":\"" certificates "\"}," \
	"{\"resource\":\"PERMISSION_APPLICATIONPROFILE\",\"type\":\"READ_ACCESS\"}," \
	"{\"resource\":\"PERMISSION_ALERTCONFIG\",\"type\":\"READ_ACCESS\"}," \
	"{\"resource\":\"PERMISSION_CERTIFICATEMANAGEMENTPROFILE\",\"type\":\"READ_ACCESS\"}]}"
#define W "WRITE_ACCESS"
#define ACCOUNT(more) \
	"{\"count\":1,\"results\":[{\"username\":\"other\",\"is_superuser\":true}," \
	"{\"username\":\"admin\"" more "}]}"
#define IN_TENANTS \
	",\"access\":[" \
	"{\"role_ref\":\"/api/role/role-9#x\",\"tenant_ref\":\"/api/tenant/t#blue\"}," \
	"{\"role_ref\":\"/api/role/role-1#r\",\"tenant_ref\":\"/api/tenant/t#admin\"}]"
#define VS(more) \
	"{\"count\":1,\"results\":[{\"uuid\":\"virtualservice-1\",\"name\":\"tls\"" more "}]}"
#define PARAM(name, sensitive) \
	"{\"name\":\"" name "\",\"value\":\"v\",\"is_sensitive\":" sensitive "}"
#define PROFILE(more) \
	"{\"count\":1,\"results\":[{\"name\":\"le\",\"run_script_ref\":" \
	"\"/api/alertscriptconfig/alertscriptconfig-1#s\",\"script_params\":[" more "]}]}"
#define BOTH PARAM("user", "false") "," PARAM("password", "true")

static const struct finding findings[] = {
	/* rights, by role or by trying */
	{"GET /api/user", ACCOUNT(",\"is_superuser\":true"), 200, 0, NULL},
	{"GET /api/role/role-1", ROLE(W, W, W), 200, 0, NULL},
	{"GET /api/role/role-1", ROLE(W, "READ_ACCESS", W), 200, CERTAUTO_EPERM,
		"has no right to write PERMISSION_HTTPPOLICYSET (answering challenges)"},
	{"GET /api/role/role-1", ROLE(W, W, "NO_ACCESS"), 200, CERTAUTO_EPERM,
		"write PERMISSION_SSLKEYANDCERTIFICATE"},
	{"GET /api/role/role-1", "{}", 200, CERTAUTO_EPERM, "write PERMISSION_VIRTUALSERVICE"},
	{"GET /api/role/role-1", "{\"error\":\"no\"}", 403, 0, NULL},
	{"GET /api/sslkeyandcertificate?page_size=1", "{\"error\":\"no\"}", 403, CERTAUTO_EPERM,
		"PERMISSION_SSLKEYANDCERTIFICATE"},
	{"GET /api/applicationprofile?page_size=1", "{\"error\":\"no\"}", 403, CERTAUTO_EPERM,
		"has no right to read PERMISSION_APPLICATIONPROFILE"},
	{"GET /api/applicationprofile?page_size=1", "{\"error\":\"bad\"}", 400, CERTAUTO_EREFUSED,
		"HTTP status 400 (\"bad\")"},
	/* the virtual services of the certificate */
	{"GET /api/virtualservice?name=tls", NOTHING, 200, CERTAUTO_ENOTFOUND,
		"the virtual service \"tls\" of the option bind is not there"},
	{"GET /api/virtualservice?name=tls",
		VS(",\"services\":[{\"port\":443,\"enable_ssl\":false}]"), 200, CERTAUTO_EREFUSED,
		 "\"tls\" has no service with SSL"},
	{"GET /api/virtualservice?name=tls",
		VS(",\"vh_parent_vs_ref\":\"/api/virtualservice/virtualservice-2#p\""), 200, 0,
		NULL},
	{"GET /api/virtualservice?name=tls", VS(",\"enabled\":false"), 200, CERTAUTO_EREFUSED,
		"\"tls\" is disabled"},
	{"GET /api/virtualservice?name=tls",
		VS(",\"vh_parent_vs_ref\":\"/api/virtualservice/virtualservice-3#circle\""), 200,
		CERTAUTO_EREFUSED, "\"tls\" has no service with SSL"},
	/* the certificate */
	{"GET /api/sslkeyandcertificate?name=shop",
		"{\"results\":[{\"type\":\"SSL_CERTIFICATE_TYPE_CA\"}]}", 200, CERTAUTO_EREFUSED,
		"the certificate \"shop\" is not one for virtual services"},
	{"GET /api/sslkeyandcertificate?name=shop",
		"{\"results\":[{\"type\":\"SSL_CERTIFICATE_TYPE_VIRTUALSERVICE\","
		"\"certificate_management_profile_ref\":\"/api/c/1\"}]}", 200, 0, NULL},
	/* the profile */
	{"GET /api/certificatemanagementprofile?name=le", NOTHING, 200, CERTAUTO_ENOTFOUND,
		"the certificate management profile \"le\" is not there"},
	{"GET /api/certificatemanagementprofile?name=le", PROFILE(PARAM("user", "false")), 200,
		CERTAUTO_EREFUSED, "the parameter \"password\" is missing"},
	{"GET /api/certificatemanagementprofile?name=le",
		PROFILE(BOTH "," PARAM("pass\\u001bword", "true")), 200, CERTAUTO_EREFUSED,
		"the parameter \"pass\\x1bword\" is none"},
	{"GET /api/certificatemanagementprofile?name=le",
		PROFILE(BOTH "," PARAM("eab_hmac", "false")), 200, CERTAUTO_EREFUSED,
		"the parameter \"eab_hmac\" is not marked as sensitive"},
	{"GET /api/certificatemanagementprofile?name=le",
		PROFILE(BOTH "," PARAM("tenant", "false")), 200, CERTAUTO_EREFUSED,
		"the parameter \"tenant\" is another tenant"},
	{"GET /api/alertscriptconfig/alertscriptconfig-1", "{\"action_script\":\"print(1)\"}", 200,
		CERTAUTO_EREFUSED, "has a script without certificate_request()"},
	{"GET /api/alertscriptconfig/alertscriptconfig-1", "{\"error\":\"gone\"}", 404,
		CERTAUTO_ENOTFOUND, "looking for the script of the profile"},
	{"GET /api/alertscriptconfig/alertscriptconfig-1", "{\"error\":\"no\"}", 403,
		CERTAUTO_EPERM, "looking for the script of the profile"},
	{"GET /api/alertscriptconfig?page_size=1", "{\"error\":\"no\"}", 403, CERTAUTO_EPERM,
		"has no right to read PERMISSION_ALERTCONFIG"},
};

static void device_usual(struct device *device)
{
	device_tell(device, "GET /api/user", 200, ACCOUNT(IN_TENANTS), 0);
	device_tell(device, "GET /api/virtualservice?name=tls", 200,
		VS(",\"services\":[{\"port\":443,\"enable_ssl\":true}]"), 0);
	device_tell(device, "GET /api/virtualservice/virtualservice-2", 200,
		"{\"uuid\":\"virtualservice-2\",\"services\":[{\"enable_ssl\":true}]}", 0);
	device_tell(device, "GET /api/virtualservice/virtualservice-3", 200,
		"{\"vh_parent_vs_ref\":\"/api/virtualservice/virtualservice-3\"}", 0);
	device_tell(device, "GET /api/certificatemanagementprofile?name=le", 200, PROFILE(BOTH), 0);
	device_tell(device, "GET /api/alertscriptconfig", 200,
		"{\"action_script\":\"def certificate_request(csr, common_name, args):\"}", 0);
}

static void check_finding(const struct finding *finding)
{
	struct visit visit = {0};
	struct device *device = &visit.controller.device;
	int rc;

	device_tell(device, finding->request, finding->status, finding->body, 0);
	if (strstr(finding->request, "page_size=1") != NULL)
		device_tell(device, "GET /api/user", 403, "{\"error\":\"no\"}", 0);
	if (strcmp(finding->request, "GET /api/role/role-1") != 0)
		device_tell(device, "GET /api/role/role-1", 200, ROLE(W, W, W), 0);
	device_usual(device);
	visit_begin(&visit);
	lab_set(visit.target, "bind", "tls");
	lab_set(visit.target, "certificate", "shop");
	lab_set(visit.target, "profile", "le");
	rc = test_once(&visit);
	if (rc != finding->rc)
		fail_msg("%s: %d, not %d: %s", finding->request, rc, finding->rc,
			rc < 0 ? lab_message(visit.lab) : "");
	if (rc < 0)
		assert_int_equal(strncmp(lab_message(visit.lab), "avi: ", 5), 0);
	if (rc < 0)
		lab_says(visit.lab, finding->words);
	assert_non_null(strstr(device->log, finding->request));
	assert_null(strstr(device->log, "role-9"));
	visit_end(&visit);
	assert_int_equal(device->n_logouts, 1);
}

static void test_avi__the_test_tells_what_is_missing(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(findings) / sizeof(findings[0]); i++)
		check_finding(&findings[i]);
}

/* What could not be sent has no status, which must not look like success. */
static void test_avi__no_answer_is_a_no(void **state)
{
	static const struct {
		int rc, status, no;
	} cases[] = {{0, 200, 0}, {0, 204, 0}, {0, 302, 1}, {0, 400, 1}, {0, 503, 1},
		{CERTAUTO_ENOMEM, 0, 1}, {CERTAUTO_EPROTO, 200, 1}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		certauto__exchange x = {.rc = cases[i].rc, .status = cases[i].status};

		assert_int_equal(certauto__avi_is_no(&x), cases[i].no);
	}
}

static void test_avi__the_test_changes_nothing(void **state)
{
	struct visit visit = {0};
	char *at = visit.controller.device.log, *end;

	(void)state;
	device_usual(&visit.controller.device);
	visit_begin(&visit);
	lab_set(visit.target, "bind", "tls");
	lab_set(visit.target, "profile", "le");
	assert_int_equal(test_once(&visit), CERTAUTO_EPERM); /* a role without privileges */
	visit_end(&visit);
	assert_int_equal(strncmp(at, OPENED, strlen(OPENED)), 0);
	for (at += strlen("POST /login\n"); (end = strchr(at, '\n')) != NULL; at = end + 1)
		assert_true(strncmp(at, "GET ", 4) == 0 || strcmp(at, "POST /logout\n") == 0);
}

/* It fails with that, or not at all, and with memory again it does not. */
static void test_avi__the_test_survives_a_lack_of_memory(void **state)
{
	struct visit visit = {0};
	long n, total;
	int rc, failed = 0;

	(void)state;
	device_tell(&visit.controller.device, "GET /api/role/role-1", 200, ROLE(W, W, W), 0);
	device_usual(&visit.controller.device);
	visit_begin(&visit);
	lab_set(visit.target, "bind", "tls");
	lab_set(visit.target, "profile", "le");
	total = certauto__alloc_count();
	assert_int_equal(test_once(&visit), 0);
	total = certauto__alloc_count() - total;
	for (n = 1; n <= total; n += 5) {
		certauto__alloc_fail_at(n, 0);
		rc = test_once(&visit);
		certauto__alloc_fail_at(0, 0);
		if (rc != 0 && rc != CERTAUTO_ENOMEM)
			fail_msg("%ld of %ld: %s", n, total, lab_message(visit.lab));
		failed += rc != 0;
		visit.controller.device.log[0] = '\0';
	}
	assert_in_range(failed, total / 10, total / 5 + 1);
	assert_int_equal(test_once(&visit), 0);
	visit_end(&visit);
}

/* ---- the recipe ---- */

static int recipe_cb(void *arg, const certauto__json_value *value)
{
	certauto__buffer *out = arg;

	if (value->type == CERTAUTO__JSON_STRING &&
		(certauto__json_is(value, "user.access[].tenant_ref") ||
			certauto__json_is(value, "user.access[].role_ref") ||
			certauto__json_is(value, "certificatemanagementprofile.run_script_ref") ||
			certauto__json_is(value, "certificatemanagementprofile.name")))
		certauto__buffer_printf(out, "%s\n", value->text);
	return 0;
}

static void test_avi__the_recipe_is_json_without_secrets(void **state)
{
	certauto__buffer names = CERTAUTO__BUFFER(4096);
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://ctl.example");
	char *recipe = NULL;

	(void)state;
	lab_set(target, "password", "geheim!");
	lab_set(target, "tenant", "blue & red");
	lab_set(target, "prefix", "le");
	lab_set(target, "profile", "company-le");
	assert_int_equal(certauto_target_dup_recipe(&recipe, target), 0);
	assert_null(strstr(recipe, "geheim"));
	assert_non_null(strstr(recipe, "\"PERMISSION_ALERTCONFIG\"")); /* profile is set */
	assert_non_null(strstr(recipe, "\"username\": \"le\"")); /* not that of the administrator */
	assert_int_equal(certauto__json_read("recipe", recipe, strlen(recipe),
				 &certauto__json_limits_acme, recipe_cb, &names, NULL), 0);
	assert_string_equal(names.data,
		"/api/role?name=le\n/api/tenant?name=blue%20%26%20red\ncompany-le\n"
		"/api/alertscriptconfig?name=le-letsencrypt\n");
	certauto_mem_free(recipe);
	certauto__buffer_free(&names);
	certauto_target_free(target);
	lab_free(lab);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_avi__options_that_do_not_fit_are_refused),
		cmocka_unit_test(test_avi__one_of_password_and_token_is_needed),
		cmocka_unit_test(test_avi__names_tell_what_an_object_is_for),
		cmocka_unit_test(test_avi__a_uuid_is_the_end_of_a_reference),
		cmocka_unit_test(test_avi__an_option_names_by_name_or_uuid),
		cmocka_unit_test(test_avi__a_call_is_written_as_it_is_meant),
		cmocka_unit_test(test_avi__refusals_are_told_with_the_controllers_words),
		cmocka_unit_test(test_avi__what_a_refusal_is_about_is_seen),
		cmocka_unit_test(test_avi__rows_are_read_whatever_their_form),
		cmocka_unit_test(test_avi__rows_end_with_what_their_reader_says),
		cmocka_unit_test(test_avi__rows_survive_a_lack_of_memory),
		cmocka_unit_test(test_avi__an_object_is_sent_back_as_it_came),
		cmocka_unit_test(test_avi__members_are_replaced_added_and_left_out),
		cmocka_unit_test(test_avi__an_edit_survives_a_lack_of_memory),
		cmocka_unit_test(test_avi__versions_are_numbers),
		cmocka_unit_test(test_avi__many_jobs_share_one_session_that_is_ended),
		cmocka_unit_test(test_avi__each_call_says_whose_it_is),
		cmocka_unit_test(test_avi__a_wrong_password_is_tried_once),
		cmocka_unit_test(test_avi__a_token_does_as_well),
		cmocka_unit_test(test_avi__a_lost_session_is_renewed),
		cmocka_unit_test(test_avi__sessions_lost_at_once_are_not_tried_for_ever),
		cmocka_unit_test(test_avi__a_fresh_token_takes_the_place_of_the_former),
		cmocka_unit_test(test_avi__a_session_that_ends_between_changes_is_renewed),
		cmocka_unit_test(test_avi__a_cut_call_and_an_upgrade_are_waited_for),
		cmocka_unit_test(test_avi__the_answer_to_the_login_settles_version_and_tenant),
		cmocka_unit_test(test_avi__a_login_without_a_session_is_told),
		cmocka_unit_test(test_avi__a_version_that_is_refused_is_settled_again),
		cmocka_unit_test(test_avi__a_version_is_not_settled_for_ever),
		cmocka_unit_test(test_avi__what_is_done_once_a_run_is_done_once),
		cmocka_unit_test(test_avi__the_test_tells_what_is_missing),
		cmocka_unit_test(test_avi__no_answer_is_a_no),
		cmocka_unit_test(test_avi__the_test_changes_nothing),
		cmocka_unit_test(test_avi__the_test_survives_a_lack_of_memory),
		cmocka_unit_test(test_avi__the_recipe_is_json_without_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
