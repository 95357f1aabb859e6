/* SPDX-License-Identifier: Apache-2.0 */
/* The session half of the nsx target: options, names, calls and answers, who asks and what happens
 * when that is forgotten, requests made by the managers, the test, and the recipe. Against a
 * manager that says what it is told to. */

#include "unit_target.h"

#include "fake_nsx.h"

#include "core/memory.h"
#include "crypto/objects.h"
#include "jobs/engine.h"
#include "json/reader.h"
#include "targets/nsx.h"
#include "targets/targets.h"

#define TIMEOUT_MS 10000

/* ---- a manager ---- */

static certauto_target *target_make(struct lab *lab, const char *url)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto__target_make_row(&target, lab->cx, &certauto__target_nsx, NULL,
				 NULL), 0);
	lab_set(target, "url", url);
	lab_set(target, "user", "admin");
	lab_set(target, "password", "right&");
	lab_set(target, "insecure", "yes");
	lab_set(target, "timeout_ms", "5000");
	return target;
}

/* All that one test needs: run() until the manager has been left. */
struct visit {
	struct lab *lab;
	struct manager manager;
	certauto_target *target;
};

static void visit_begin(struct visit *visit)
{
	char url[64];

	device_bind(&visit->manager.device, INADDR_LOOPBACK, 0);
	device_start(&visit->manager.device);
	visit->lab = lab_new();
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", visit->manager.device.port);
	visit->target = target_make(visit->lab, url);
}

static void visit_end(struct visit *visit)
{
	certauto_target_free(visit->target);
	lab_restart(visit->lab);
	device_end(&visit->manager.device);
	lab_free(visit->lab);
}

static int n_of(const struct visit *visit, const char *request)
{
	const char *at = visit->manager.device.log;
	int n = 0;

	for (; (at = strstr(at, request)) != NULL; at += strlen(request))
		n++;
	return n;
}

/* ---- options ---- */

static void test_nsx__options_that_do_not_fit_are_refused(void **state)
{
	static char long_id[202];
	static const struct {
		const char *name, *value, *words;
	} bad[] = {
		{"url", "nsx.example", "URL"},
		{"url", "https://admin:secret@nsx.example", "URL"},
		{"user", "a:b", "has a \":\" in it"},
		{"auth", "vidm", "is basic, remote or session"},
		{"service", "api", "is cluster, node, all or lb"},
		{"service", "lb", "\"virtual_server\" is missing"},
		{"virtual_server", "shop", "needs service=lb"},
		{"dialect", "new", "is auto, legacy or apply"},
		{"nodes", "a,b:0", "is a list of HOST"},
		{"nodes", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16"},
		{"vip", "nsx.example", "is an IP address"},
		{"vip", "0.0.0.0", "is an IP address"},
		{"name_prefix", "-x", "option \"name_prefix\""},
		{"name_prefix", "a23456789012345678901234567890123", "at most 32"},
		{"insecure", "no", "everybody on the way could read the password"},
		{"pin", LAB_PIN, "need a url with https://"},
	};
	static const char *const ids[] = {"", "sni:", "a/b", long_id};
	struct lab *lab = lab_new();
	certauto_target *target;
	size_t i;

	(void)state;
	memset(long_id, 'n', sizeof(long_id) - 1);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		target = target_make(lab, "http://nsx.example");
		assert_int_equal(certauto_target_check(target), 0);
		lab_set(target, bad[i].name, bad[i].value);
		if (certauto_target_check(target) != CERTAUTO_EINVAL)
			fail_msg("%s=%s", bad[i].name, bad[i].value);
		lab_says(lab, bad[i].words);
		assert_null(strstr(lab_message(lab), "secret"));
		certauto_target_free(target);
	}
	for (i = 1; i < sizeof(ids) / sizeof(ids[0]); i++) {
		target = target_make(lab, "http://nsx.example");
		lab_set(target, "service", "lb");
		lab_set(target, "virtual_server", ids[i]);
		assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
		lab_says(lab, "is an id, or sni:ID");
		certauto_target_free(target);
	}
	lab_free(lab);
}

/* As the consoles that trust the managers have it: with both, nobody is verified. */
static void test_nsx__insecure_and_a_ca_exclude_each_other(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://nsx.example");

	(void)state;
	lab_set(target, "ca_file", "/ca.pem");
	assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
	lab_says(lab, "insecure would take precedence");
	lab_set(target, "insecure", "no");
	assert_int_equal(certauto_target_check(target), 0);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_nsx__a_service_has_its_own_steps(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://nsx.example");

	(void)state;
	assert_int_equal(certauto_target_check(target), 0);
	assert_ptr_equal(target->row->deploy, &certauto__nsx_deploy);
	lab_set(target, "service", "lb");
	lab_set(target, "virtual_server", "shop,sni:shop");
	assert_int_equal(certauto_target_check(target), 0);
	assert_ptr_equal(target->row->deploy, &certauto__nsx_lb);
	assert_string_equal(target->row->name, "nsx");
	lab_set(target, "service", "node");
	lab_set(target, "virtual_server", "");
	assert_int_equal(certauto_target_check(target), 0);
	assert_ptr_equal(target->row->deploy, &certauto__nsx_deploy);
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- names ---- */

static void test_nsx__a_name_tells_whose_certificate_it_is(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://nsx.example");
	struct certauto__deployment *deployment =
		certauto__deployment_new(target, "shop", "rsa-2048");
	char name[CERTAUTO__NSX_NAME], wanted[CERTAUTO__NSX_NAME];
	struct lab_pair pair = {NULL, NULL};

	(void)state;
	lab_pair_make(lab, &pair, "shop.example.org", 30);
	deployment->chain = pair.chain->certs;
	certauto__nsx_certificate(name, deployment);
	snprintf(wanted, sizeof(wanted), "certauto-shop-rsa-2048-%.12s",
		certauto__certs_info(pair.chain->certs, 0)->fingerprint);
	assert_string_equal(name, wanted);
	assert_int_equal(certauto__nsx_is_own(name, deployment), 1);
	assert_int_equal(certauto__nsx_is_own("certauto-shop-rsa-2048-0123456789ab", deployment),
		1);
	assert_int_equal(certauto__nsx_is_own("certauto-shop-rsa-2048-0123456789abc", deployment),
		0);
	assert_int_equal(certauto__nsx_is_own("certauto-shop-rsa-2048-0123456789aX", deployment),
		0);
	assert_int_equal(certauto__nsx_is_own("certauto-shop-ecdsa-p256-0123456789ab", deployment),
		0);
	assert_int_equal(certauto__nsx_is_own("certauto-shop-rsa-2048-", deployment), 0);
	assert_int_equal(certauto__nsx_is_own("tomcat", deployment), 0);
	deployment->chain = NULL;
	lab_pair_free(&pair);
	certauto__deployment_free(deployment);
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- calls ---- */

static void test_nsx__a_call_goes_where_it_is_meant_to(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://nsx.example:8443//");
	certauto__exchange x = {0};

	(void)state;
	certauto__exchange_reset(&x);
	assert_int_equal(certauto__nsx_call(&x, target, "GET", "/api/v1/cluster"), CERTAUTO__SEND);
	assert_string_equal(certauto__buffer_text(&x.url),
		"https://nsx.example:8443/api/v1/cluster");
	certauto__exchange_reset(&x);
	certauto__nsx_call_at(&x, target, "GET", "[2001:db8::1]:443", "/a?b=c");
	assert_string_equal(certauto__buffer_text(&x.url), "https://[2001:db8::1]:443/a?b=c");
	assert_int_equal(x.timeout_ms, 5000);
	certauto__exchange_free(&x);
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

#define SAID(code, text) \
	"{\"httpStatus\":\"X\",\"error_code\":" code ",\"error_message\":\"" text "\"}"

static void test_nsx__refusals_are_told_with_the_managers_words(void **state)
{
	static const struct {
		const char *method;
		int status;
		const char *body;
		int rc;
		const char *words, *advice;
	} cases[] = {
		{"POST", 400, SAID("287", "property scope is unrecognized."), CERTAUTO_EREFUSED,
			"nsx edge: adding x: HTTP status 400, code 287 (\"property scope is "
			"unrecognized.\")", ""},
		{"POST", 400, SAID("\"287\"", "as text"), CERTAUTO_EREFUSED, "code 287 (\"as", ""},
		{"POST", 500, "{\"error_message\":\"Errors found\",\"related_errors\":["
			"{\"error_code\":7,\"error_message\":\"no root\"},"
			"{\"error_message\":\"second\"}]}", CERTAUTO_EREFUSED,
			"status 500 (\"Errors found: no root\")", "see how the managers are"},
		{"GET", 403, WRONG, CERTAUTO_EAUTH, "code 403", "is not tried again"},
		{"GET", 403, SAID("403", "The X-XSRF-TOKEN header is missing"), CERTAUTO_EAUTH,
			"X-XSRF", "is not tried again"},
		{"GET", 403, NO_RIGHT, CERTAUTO_EPERM, "code 401", "target recipe"},
		{"GET", 404, SAID("600", "gone"), CERTAUTO_ENOTFOUND, "gone", ""},
		{"GET", 400, SAID("600", "gone"), CERTAUTO_ENOTFOUND, "gone", ""},
		{"PUT", 412, SAID("604", "stale"), CERTAUTO_EBUSY, "stale", "run it again"},
		{"POST", 409, SAID("98", "another"), CERTAUTO_EBUSY, "another", "run it again"},
		{"POST", 429, "", CERTAUTO_EBUSY, "status 429", "run it again"},
		{"DELETE", 400, SAID("2051", "The certificate is in use: API."), CERTAUTO_EREFUSED,
			"in use: API", ""},
		{"POST", 400, SAID("1", "bad: -----BEGIN EC PRIVATE KEY-----\\nhtml"),
			CERTAUTO_EREFUSED, "(\"bad:\")", ""},
		{"POST", 400, "{\"error_message\":\"bad\",\"related_errors\":[{\"error_message\":"
			"\"-----BEGIN EC PRIVATE KEY-----\\nhtml\"}]}", CERTAUTO_EREFUSED,
			"(\"bad:\")", ""},
		{"GET", 503, "<html>proxy</html>", CERTAUTO_EREFUSED, "HTTP status 503",
			"see how the managers are"},
		{"GET", 200, "<html>a portal</html>", CERTAUTO_EPROTO, "HTTP status 200", ""},
		{"GET", 400, SAID("2", "a\\u001b[2Jb"), CERTAUTO_EREFUSED, "a\\x1b[2Jb", ""},
		{"GET", 400, "{broken", CERTAUTO_EREFUSED, "HTTP status 400", ""},
	};
	struct lab *lab = lab_new();
	certauto_target *target = NULL;
	certauto_error error = {0};
	certauto__exchange x = {0};
	size_t i;

	(void)state;
	assert_int_equal(certauto__target_make_row(&target, lab->cx, &certauto__target_nsx, "edge",
				 NULL), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, cases[i].method, cases[i].status, cases[i].body);
		assert_int_equal(certauto__nsx_tell(&error, &x, target, "x", "adding x"),
			cases[i].rc);
		if (strstr(error.message, cases[i].words) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", cases[i].words, error.message);
		assert_null(strstr(error.message, "html"));
		assert_null(strstr(error.message, "broken"));
		assert_null(strstr(error.message, "second"));
		assert_non_null(strstr(error.advice != NULL ? error.advice : "",
			cases[i].advice));
		assert_true(*cases[i].advice != '\0' || error.advice == NULL);
		assert_int_equal(error.status, cases[i].status);
	}
	certauto__exchange_reset(&x);
	x.rc = certauto__error_set(&x.error, CERTAUTO_ENET, NULL, "no route");
	assert_int_equal(certauto__nsx_tell(&error, &x, target, "x", "adding x"), CERTAUTO_ENET);
	assert_string_equal(error.message, "nsx edge: adding x: no route");
	certauto__error_clear(&error);
	certauto__exchange_free(&x);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_nsx__what_a_refusal_is_about_is_seen(void **state)
{
	static const struct {
		const char *method;
		int status;
		const char *body;
		int stale, missing, in_use, login;
	} cases[] = {
		{"PUT", 412, "", 1, 0, 0, 0},
		{"GET", 404, "", 0, 1, 0, 0},
		{"GET", 400, SAID("600", "x"), 0, 1, 0, 0},
		{"GET", 400, SAID("1", "The object could NOT be found"), 0, 1, 0, 0},
		{"GET", 400, SAID("1", "x"), 0, 0, 0, 0},
		{"DELETE", 409, "", 0, 0, 1, 0},
		{"DELETE", 400, SAID("1", "it is used by API"), 0, 0, 1, 0},
		{"DELETE", 400, SAID("1", "no"), 0, 0, 0, 0},
		{"POST", 400, SAID("1", "in use"), 0, 0, 0, 0},
		{"GET", 403, WRONG, 0, 0, 0, 1},
		{"GET", 403, NO_RIGHT, 0, 0, 0, 0},
		{"GET", 401, "", 0, 0, 0, 1},
		{"GET", 200, SAID("600", "The credentials could not be found"), 0, 0, 0, 0},
	};
	certauto__exchange x = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, cases[i].method, cases[i].status, cases[i].body);
		assert_int_equal(certauto__nsx_is_stale(&x), cases[i].stale);
		assert_int_equal(certauto__nsx_is_missing(&x), cases[i].missing);
		assert_int_equal(certauto__nsx_is_in_use(&x), cases[i].in_use);
		assert_int_equal(certauto__nsx_is_login(&x), cases[i].login);
		x.rc = CERTAUTO_ENET;
		assert_false(certauto__nsx_is_stale(&x) || certauto__nsx_is_missing(&x) ||
			certauto__nsx_is_in_use(&x) || certauto__nsx_is_login(&x));
	}
	certauto__exchange_free(&x);
}

/* ---- rows, and an object sent back ---- */

static int row_add(void *arg, const char *const *values)
{
	return certauto__buffer_printf(arg, "%s %s\n", values[0],
		values[1] != NULL ? values[1] : "-");
}

static const char *const row_fields[] = {"id", "used_by[].node_id", NULL};

static void test_nsx__rows_come_in_pages(void **state)
{
	static const struct {
		const char *body, *rows, *cursor;
	} cases[] = {
		{"{\"results\":[{\"id\":\"a\",\"cursor\":\"no\"},{\"id\":\"b\",\"used_by\":["
			"{\"node_id\":\"1\"},{\"node_id\":\"2\"}]}],\"cursor\":\"c2\"}",
			"a -\nb 1,2\n", "c2"},
		{"{\"results\":[{\"id\":\"a\"}],\"cursor\":\"0000\"}", "a -\n", NULL},
		{"{\"results\":[],\"cursor\":\"\"}", "", NULL},
		{"{\"results\":[],\"cursor\":null}", "", NULL},
		{"{\"result_count\":0}", "", NULL},
	};
	certauto__buffer rows = CERTAUTO__BUFFER(4096);
	certauto__exchange x = {0};
	char *cursor;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, "GET", 200, cases[i].body);
		certauto__buffer_clear(&rows);
		cursor = NULL;
		assert_int_equal(certauto__nsx_rows(&x, row_fields, row_add, &rows, &cursor, NULL),
			0);
		assert_string_equal(certauto__buffer_text(&rows), cases[i].rows);
		assert_true(certauto__text_equal(cursor, cases[i].cursor));
		certauto__free(cursor);
	}
	certauto__exchange_free(&x);
	certauto__buffer_free(&rows);
}

static int read_page(void *arg)
{
	certauto__buffer rows = CERTAUTO__BUFFER(4096);
	certauto_error error = {0};
	char *cursor = NULL;
	int rc = certauto__nsx_rows(arg, row_fields, row_add, &rows, &cursor, &error);

	assert_int_equal(error.code, rc);
	assert_true((rc == 0) == (cursor != NULL));
	certauto__free(cursor);
	certauto__error_clear(&error);
	certauto__buffer_free(&rows);
	return rc;
}

static void test_nsx__a_page_survives_a_lack_of_memory(void **state)
{
	certauto__exchange x = {0};

	(void)state;
	said(&x, "GET", 200, "{\"results\":[{\"id\":\"a\"}],\"cursor\":\"c\"}");
	unit_oom_sweep("page", read_page, &x);
	certauto__exchange_free(&x);
}

static void test_nsx__a_path_is_swapped_wherever_it_stands(void **state)
{
	static const char object[] =
		"{\"a\":\"/c/1\",\"/c/1\":1.50,\"l\":[\"/c/1\",\"/c/11\",{\"x\":\"/c/1\"}],"
		"\"n\":null}";
	certauto__buffer out = CERTAUTO__BUFFER(4096);
	size_t n = 9;

	(void)state;
	assert_int_equal(certauto__rest_swap(&out, object, strlen(object), "/c/1", "/c/\"2", &n,
				 NULL), 0);
	assert_string_equal(out.data, "{\"a\":\"/c/\\\"2\",\"/c/1\":1.50,\"l\":[\"/c/\\\"2\","
		"\"/c/11\",{\"x\":\"/c/\\\"2\"}],\"n\":null}");
	assert_int_equal(n, 3);
	certauto__buffer_clear(&out);
	assert_int_equal(certauto__rest_swap(&out, "{\"results\":[{\"a\":\"b\"}]}", 23, "x", "y",
				 &n, NULL), 0);
	assert_string_equal(out.data, "{\"a\":\"b\"}");
	assert_int_equal(n, 0);
	assert_int_equal(certauto__rest_swap(&out, "[]", 2, "x", "y", &n, NULL), CERTAUTO_EPROTO);
	certauto__buffer_free(&out);
}

/* ---- who asks ---- */

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

static void test_nsx__a_password_goes_with_each_call(void **state)
{
	static const char *const schemes[] = {"basic", "Authorization: Basic ", "remote",
		"Authorization: Remote "};
	size_t i;

	(void)state;
	for (i = 0; i < 4; i += 2) {
		struct visit visit = {0};

		visit_begin(&visit);
		lab_set(visit.target, "auth", schemes[i]);
		assert_int_equal(test_many(&visit, 20, 0), 20);
		assert_int_equal(n_of(&visit, "/node/version"), 1);
		assert_non_null(strstr(visit.manager.last, schemes[i + 1]));
		assert_null(strstr(visit.manager.last, "Content-Type"));
		assert_int_equal(n_of(&visit, "/api/session"), 0);
		assert_int_equal(test_once(&visit), 0); /* the next run looks anew */
		assert_int_equal(n_of(&visit, "/node/version"), 2);
		visit_end(&visit);
	}
}

static void test_nsx__many_jobs_share_one_session_that_is_ended(void **state)
{
	struct visit visit = {0};

	(void)state;
	visit_begin(&visit);
	lab_set(visit.target, "auth", "session");
	assert_int_equal(test_many(&visit, 20, 0), 20);
	assert_int_equal(visit.manager.device.n_logins, 1);
	assert_int_equal(visit.manager.device.n_logouts, 1);
	lab_warns_of_nothing_else(visit.lab);
	assert_int_equal(test_once(&visit), 0);
	assert_int_equal(visit.manager.device.n_logins, 2);
	visit_end(&visit);
	assert_int_equal(visit.manager.device.n_logouts, 2);
}

static void test_nsx__a_wrong_password_is_tried_once(void **state)
{
	static const char *const auths[] = {"basic", "session"};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct visit visit = {0};

		visit_begin(&visit);
		lab_set(visit.target, "auth", auths[i]);
		lab_set(visit.target, "password", "wrong!pass");
		assert_int_equal(test_many(&visit, 20, CERTAUTO_EAUTH), 20);
		assert_int_equal(visit.manager.n_refused, 1);
		/* The next run may try it again, and another password at once. */
		assert_int_equal(test_once(&visit), CERTAUTO_EAUTH);
		assert_int_equal(visit.manager.n_refused, 2);
		lab_says(visit.lab, "HTTP status 403, code 403 (\"The credentials were incorrect");
		assert_null(strstr(lab_message(visit.lab), "wrong!pass"));
		lab_set(visit.target, "password", "right&");
		assert_int_equal(test_once(&visit), 0);
		assert_int_equal(visit.manager.n_refused, 2);
		visit_end(&visit);
	}
}

static void test_nsx__a_lost_session_is_renewed(void **state)
{
	int lose_at;

	(void)state;
	for (lose_at = 1; lose_at <= 6; lose_at++) {
		struct visit visit = {.manager.device.lose_at = lose_at};

		visit_begin(&visit);
		lab_set(visit.target, "auth", "session");
		assert_int_equal(test_many(&visit, 8, 0), 8);
		assert_int_equal(visit.manager.device.n_logins, 2);
		visit_end(&visit);
	}
}

/* Each login works, and no call after it. */
static void test_nsx__sessions_lost_at_once_are_not_tried_for_ever(void **state)
{
	static const char *const requests[] = {"GET /api/v1/node", "GET /api/v1/trust-management"};
	static const int logins[] = {2, 4};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct visit visit = {0};

		device_tell(&visit.manager.device, requests[i], 403, WRONG, 0);
		visit_begin(&visit);
		lab_set(visit.target, "auth", "session");
		assert_int_equal(test_many(&visit, 8, CERTAUTO_EAUTH), 8);
		assert_int_equal(visit.manager.device.n_logins, logins[i]);
		visit_end(&visit);
	}
}

/* Directories under load forget somebody for a moment. Once more, not a third time. */
static void test_nsx__a_random_refusal_is_asked_again_once(void **state)
{
	static const struct {
		int times, rc, n;
	} cases[] = {{1, 0, 2}, {0, CERTAUTO_EAUTH, 2}};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct visit visit = {0};

		device_tell(&visit.manager.device, "GET /api/v1/trust-management", 403, WRONG,
			cases[i].times);
		visit_begin(&visit);
		lab_set(visit.target, "auth", "remote");
		assert_int_equal(test_once(&visit), cases[i].rc);
		assert_int_equal(n_of(&visit, "GET /api/v1/trust-management"), cases[i].n);
		visit_end(&visit);
	}
}

static void test_nsx__what_passes_is_waited_for(void **state)
{
	static const struct {
		int status;
		const char *body;
	} cases[] = {
		{429, SAID("98", "Client exceeded request rate.")},
		{503, "<html>restarting</html>"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct visit visit = {.manager.device.cut_at = 3};

		device_tell(&visit.manager.device, "GET /api/v1/cluster", cases[i].status,
			cases[i].body, 1);
		visit_begin(&visit);
		assert_int_equal(test_once(&visit), 0);
		visit_end(&visit);
	}
}

static void test_nsx__a_login_without_a_session_is_told(void **state)
{
	struct visit visit = {0};

	(void)state;
	device_tell(&visit.manager.device, "POST /api/session/create", 200, "", 0);
	visit_begin(&visit);
	lab_set(visit.target, "auth", "session");
	assert_int_equal(test_once(&visit), CERTAUTO_EPROTO);
	lab_says(visit.lab, "has no session in it");
	visit_end(&visit);
}

/* ---- versions ---- */

static struct {
	int legacy;
	char version[64];
	const char *address;
} seen;

static certauto__verdict seen_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__nsx_target(job);

	return seen.address == NULL ? certauto__nsx_call(x, target, "GET", "/api/v1/cluster")
				    : certauto__nsx_call_at(x, target, "GET", seen.address,
					      "/api/v1/reverse-proxy/node/health");
}

static certauto__verdict seen_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	seen.legacy = certauto__nsx_is_legacy(job);
	snprintf(seen.version, sizeof(seen.version), "%s", certauto__nsx_version(job));
	return CERTAUTO__NEXT;
}

static const struct certauto__step seen_steps[] = {
	{.name = "seen", .ask = seen_ask, .read = seen_read},
};

static const struct certauto__table seen_table = {
	.name = "seen", .steps = seen_steps, .n_steps = 1};

static void look(struct visit *visit)
{
	struct certauto__start start = {.table = &seen_table,
		.name = "seen",
		.env = certauto__deployment_new(visit->target, "shop", "rsa-2048"),
		.env_free = certauto__deployment_free};

	seen.legacy = -1;
	assert_non_null(start.env);
	assert_int_equal(certauto__nsx_peer(visit->target, &start.peer, NULL), 0);
	assert_int_equal(certauto__job_start(NULL, visit->lab->cx, &start, NULL), 0);
	certauto__peer_unref(start.peer);
	assert_int_equal(certauto_context_run(visit->lab->cx, TIMEOUT_MS), 0);
}

static void test_nsx__the_version_settles_the_calls(void **state)
{
	static const struct {
		const char *version, *dialect;
		int legacy;
	} cases[] = {
		{"2.4.0.0.0.1", "auto", 1},
		{"3.1.3.7.4", "auto", 1},
		{"3.2.0", "auto", 0},
		{"3.10.0", "auto", 0},
		{"4.2.1.0", "auto", 0},
		{"9.0", "auto", 0},
		{"", "auto", 0},
		{"x", "auto", 0},
		{"3.1.0", "apply", 0},
		{"4.1.0", "legacy", 1},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct visit visit = {.manager.version = cases[i].version};

		visit_begin(&visit);
		lab_set(visit.target, "dialect", cases[i].dialect);
		look(&visit);
		if (seen.legacy != cases[i].legacy)
			fail_msg("%s %s", cases[i].version, cases[i].dialect);
		assert_string_equal(seen.version, strcmp(cases[i].version, "x") != 0 ?
			cases[i].version : "");
		visit_end(&visit);
	}
}

/* Who may not know the version may still be somebody. */
static void test_nsx__a_version_that_is_not_told_is_done_without(void **state)
{
	static const char *const bodies[] = {NO_RIGHT, SAID("600", "no such path")};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct visit visit = {0};

		device_tell(&visit.manager.device, "GET /api/v1/node/version", 403 + (int)i,
			bodies[i], 0);
		visit_begin(&visit);
		look(&visit);
		assert_int_equal(seen.legacy, 0);
		assert_string_equal(seen.version, "");
		visit_end(&visit);
	}
}

/* A session holds on the manager that made it, a password on all. */
static void test_nsx__each_address_is_logged_in_to(void **state)
{
	static const char *const auths[] = {"basic", "session"};
	char address[64];
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct visit visit = {0};

		visit_begin(&visit);
		lab_set(visit.target, "auth", auths[i]);
		snprintf(address, sizeof(address), "localhost:%d", visit.manager.device.port);
		seen.address = address;
		look(&visit);
		seen.address = NULL;
		assert_int_equal(seen.legacy, 0);
		assert_int_equal(n_of(&visit, "/node/health"), 1);
		assert_int_equal(n_of(&visit, "/node/version"), 1);
		assert_int_equal(visit.manager.device.n_logins, i == 0 ? 0 : 2);
		visit_end(&visit);
	}
}

/* ---- requests that managers make ---- */

static int request_make(struct visit *visit, const char *type, size_t n_names)
{
	static const char *const names[] = {"nsx.example.org", "10.0.0.5"};
	certauto_csr *csr = NULL;
	int rc = certauto_target_make_csr(&csr, visit->target, "nsx", type, names, n_names,
		TIMEOUT_MS);

	assert_true(rc < 0 || csr != NULL);
	certauto_csr_free(csr);
	return rc;
}

static void test_nsx__a_request_that_is_not_made_is_told(void **state)
{
	static const struct {
		const char *version, *type;
		size_t n_names;
		int rc;
		const char *words;
	} cases[] = {
		{"4.1.0", "rsa-2048", 1, CERTAUTO_EPROTO, "is not there"},
		{"2147483647.1.1", "rsa-2048", 2, CERTAUTO_EPROTO, "is not there"},
		{"3.1.0", "rsa-2048", 2, CERTAUTO_EUNSUPPORTED, "for one DNS name only"},
		{"4.1.0", "ecdsa-p256", 1, CERTAUTO_EREFUSED, "code 9 (\"RSA only\")"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct visit visit = {.manager.version = cases[i].version};

		if (cases[i].rc == CERTAUTO_EREFUSED)
			device_tell(&visit.manager.device, "POST /api/v1/trust-management/csrs",
				400, SAID("9", "RSA only"), 0);
		if (cases[i].rc == CERTAUTO_EUNSUPPORTED)
			device_tell(&visit.manager.device, "POST /api/v1/trust-management/csrs",
				404, SAID("9", "no such path"), 0);
		device_tell(&visit.manager.device, "GET /api/v1/trust-management/csrs", 200,
			"{\"results\":[]}", 0);
		visit_begin(&visit);
		assert_int_equal(request_make(&visit, cases[i].type, cases[i].n_names),
			cases[i].rc);
		lab_says(visit.lab, cases[i].words);
		visit_end(&visit);
	}
}

/* ---- the test ---- */

struct finding {
	const char *request, *body;
	int status, rc;
	const char *words;
};

#define ROLE(trust, cluster) \
	"{\"features\":[{\"feature\":\"trust_certificates\",\"permission\":\"" trust "\"}," \
	"{\"feature\":\"cluster_management\",\"permission\":\"" cluster "\"}," \
	"{\"feature\":\"security_config\",\"permission\":\"read\"}]}"
#define VIP "GET /api/v1/cluster/api-virtual-ip"

/* words of what is wrong; of a warning where rc is 0 */
static const struct finding findings[] = {
	{"GET /api/v1/trust-management/certificates", NO_RIGHT, 403, CERTAUTO_EPERM,
		"has no right to trust_certificates (crud: importing"},
	{"GET /api/v1/cluster", NO_RIGHT, 403, CERTAUTO_EPERM,
		"has no right to cluster_management"},
	{"GET /api/v1/cluster", SAID("5", "bad"), 400, CERTAUTO_EREFUSED, "code 5 (\"bad\")"},
	{"GET /api/v1/aaa/user-info", NO_RIGHT, 403, 0, ""},
	{"GET /api/v1/aaa/roles/ours", NO_RIGHT, 403, 0, ""},
	{"GET /api/v1/aaa/roles/ours", ROLE("crud", "read"), 200, 0, ""},
	{"GET /api/v1/aaa/roles/ours", ROLE("crud", "crud"), 200, 0, ""},
	{"GET /api/v1/aaa/roles/ours", ROLE("read", "read"), 200, 0,
		"no role of the account admin has crud for trust_certificates"},
	{"GET /api/v1/cluster/status", "{\"mgmt_cluster_status\":{\"status\":\"DEGRADED\"}}", 200,
		0, "DEGRADED, not STABLE"},
	{VIP, "{\"ip_address\":\"0.0.0.0\",\"ip6_address\":\"::\"}", 200, CERTAUTO_EREFUSED,
		"has no virtual IP"},
	{VIP, "{\"ip_address\":\"0.0.0.0\",\"ip6_address\":\"2001:db8::5\"}", 200, 0, ""},
	{VIP, "{}", 200, CERTAUTO_EREFUSED, "has no virtual IP"},
};

static void check_finding(const struct finding *finding)
{
	struct visit visit = {0};
	struct device *device = &visit.manager.device;
	int rc;

	device_tell(device, finding->request, finding->status, finding->body, 0);
	device_tell(device, "GET /api/v1/aaa/user-info", 200,
		"{\"user_name\":\"admin\",\"roles\":[{\"role\":\"ours\"}]}", 0);
	device_tell(device, "GET /api/v1/aaa/roles/ours", 200, ROLE("crud", "read"), 0);
	visit_begin(&visit);
	rc = test_once(&visit);
	if (rc != finding->rc)
		fail_msg("%s: %d, not %d: %s", finding->request, rc, finding->rc,
			rc < 0 ? lab_message(visit.lab) : "");
	if (rc < 0)
		lab_says(visit.lab, finding->words);
	else if (*finding->words == '\0')
		lab_warns_of_nothing_else(visit.lab);
	else
		assert_non_null(strstr(certauto__buffer_text(&visit.lab->warnings),
			finding->words));
	assert_int_equal(n_of(&visit, "GET "), n_of(&visit, "\n"));
	visit_end(&visit);
}

static void test_nsx__the_test_tells_what_is_missing(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(findings) / sizeof(findings[0]); i++)
		check_finding(&findings[i]);
}

static void test_nsx__the_test_takes_large_roles(void **state)
{
	char *role = malloc(65536);
	struct visit visit = {0};
	int i, n;

	(void)state;
	assert_non_null(role);
	n = snprintf(role, 65536, "{\"features\":[");
	for (i = 0; i < 100; i++)
		n += snprintf(role + n, (size_t)(65536 - n),
			"{\"feature\":\"a%d\",\"permission\":\"read\"},"
			"{\"feature\":\"b%d\",\"permission\":\"crud\"},", i, i);
	snprintf(role + n, (size_t)(65536 - n), "%s", strchr(ROLE("crud", "read"), '[') + 1);
	assert_in_range(strlen(role), 6000, 8000);
	device_tell(&visit.manager.device, "GET /api/v1/aaa/user-info", 200,
		"{\"roles\":[{\"role\":\"a\"},{\"role\":\"b\"}]}", 0);
	device_tell(&visit.manager.device, "GET /api/v1/aaa/roles/", 200, role, 0);
	visit_begin(&visit);
	if (test_once(&visit) < 0)
		fail_msg("%s", lab_message(visit.lab));
	assert_null(strstr(certauto__buffer_text(&visit.lab->warnings), "no role of"));
	visit_end(&visit);
	free(role);
}

static void test_nsx__the_test_looks_for_virtual_servers(void **state)
{
	struct visit visit = {0};

	(void)state;
	device_tell(&visit.manager.device, "GET /policy/api/v1/infra/lb-virtual-servers/shup", 404,
		SAID("600", "invalid path"), 0);
	visit_begin(&visit);
	lab_set(visit.target, "service", "lb");
	lab_set(visit.target, "virtual_server", "shop,sni:two%20words");
	assert_int_equal(test_once(&visit), 0);
	assert_int_equal(n_of(&visit, "lb-virtual-servers/shop\n"), 1);
	assert_int_equal(n_of(&visit, "lb-virtual-servers/two%2520words\n"), 1);
	assert_int_equal(n_of(&visit, "/api/v1/cluster"), 0);
	lab_set(visit.target, "virtual_server", "shup");
	assert_int_equal(test_once(&visit), CERTAUTO_ENOTFOUND);
	lab_says(visit.lab, "invalid path");
	visit_end(&visit);
}

/* It fails with that, or not at all, and with memory again it does not. */
static void test_nsx__the_test_survives_a_lack_of_memory(void **state)
{
	struct visit visit = {0};
	long n, total;
	int rc, failed = 0;

	(void)state;
	visit_begin(&visit);
	lab_set(visit.target, "auth", "session");
	total = certauto__alloc_count();
	assert_int_equal(test_once(&visit), 0);
	total = certauto__alloc_count() - total;
	for (n = 1; n <= total; n += 3) {
		certauto__alloc_fail_at(n, 0);
		rc = test_once(&visit);
		certauto__alloc_fail_at(0, 0);
		if (rc != 0 && rc != CERTAUTO_ENOMEM)
			fail_msg("%ld of %ld: %s", n, total, lab_message(visit.lab));
		failed += rc != 0;
		visit.manager.device.log[0] = '\0';
	}
	assert_in_range(failed, total / 10, total / 3 + 1);
	assert_int_equal(test_once(&visit), 0);
	visit_end(&visit);
}

/* The same with a new context each time, where nobody has been asked yet. */
static void test_nsx__the_first_call_survives_a_lack_of_memory(void **state)
{
	struct visit visit = {0};
	char url[64];
	long n;
	int rc;

	(void)state;
	visit_begin(&visit);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", visit.manager.device.port);
	for (n = 1; n <= 40; n++) {
		certauto_target_free(visit.target);
		lab_restart(visit.lab);
		visit.target = target_make(visit.lab, url);
		certauto__alloc_fail_at(n, 0);
		rc = test_once(&visit);
		certauto__alloc_fail_at(0, 0);
		assert_true(rc == 0 || rc == CERTAUTO_ENOMEM);
		assert_int_equal(certauto_context_run(visit.lab->cx, TIMEOUT_MS), 0);
		assert_int_equal(test_once(&visit), 0);
		visit.manager.device.log[0] = '\0';
	}
	visit_end(&visit);
}

/* ---- the recipe ---- */

static int recipe_cb(void *arg, const certauto__json_value *value)
{
	if (value->type == CERTAUTO__JSON_STRING && value->n_parts > 1)
		certauto__buffer_printf(arg, "%s ", value->text);
	return 0;
}

static void test_nsx__the_recipe_is_as_narrow_as_the_options(void **state)
{
	static const struct {
		const char *options[6], *wanted;
	} cases[] = {
		{{NULL},
			"le trust_certificates crud cluster_management read security_config read "
			"le-legacy system_administration crud le-keys trust_csrs crud "
			"le local_user le "},
		{{"vip", "10.0.0.5", "auth", "remote", "user", "ann"},
			"le trust_certificates crud cluster_management crud security_config read "
			"le-legacy system_administration crud le-keys trust_csrs crud "
			"ann remote_user le "},
		{{"dialect", "apply"},
			"le trust_certificates crud cluster_management read security_config read "
			"le-keys trust_csrs crud le local_user le "},
		{{"dialect", "legacy"},
			"le trust_certificates crud cluster_management read security_config read "
			"system_administration crud le-keys trust_csrs crud le local_user le "},
		{{"service", "lb", "virtual_server", "shop"},
			"le policy_certificate crud policy_lb crud le local_user le "},
	};
	certauto__buffer values = CERTAUTO__BUFFER(4096);
	struct lab *lab = lab_new();
	certauto_target *target;
	char *recipe;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		target = target_make(lab, "https://nsx.example");
		lab_set(target, "password", "geheim!");
		lab_set(target, "name_prefix", "le");
		for (k = 0; k < 6 && cases[i].options[k] != NULL; k += 2)
			lab_set(target, cases[i].options[k], cases[i].options[k + 1]);
		recipe = NULL;
		assert_int_equal(certauto_target_dup_recipe(&recipe, target), 0);
		assert_null(strstr(recipe, "geheim"));
		certauto__buffer_clear(&values);
		assert_int_equal(certauto__json_read("recipe", recipe, strlen(recipe),
					 &certauto__json_limits_acme, recipe_cb, &values, NULL), 0);
		assert_string_equal(values.data, cases[i].wanted);
		certauto_mem_free(recipe);
		certauto_target_free(target);
	}
	certauto__buffer_free(&values);
	lab_free(lab);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nsx__options_that_do_not_fit_are_refused),
		cmocka_unit_test(test_nsx__insecure_and_a_ca_exclude_each_other),
		cmocka_unit_test(test_nsx__a_service_has_its_own_steps),
		cmocka_unit_test(test_nsx__a_name_tells_whose_certificate_it_is),
		cmocka_unit_test(test_nsx__a_call_goes_where_it_is_meant_to),
		cmocka_unit_test(test_nsx__refusals_are_told_with_the_managers_words),
		cmocka_unit_test(test_nsx__what_a_refusal_is_about_is_seen),
		cmocka_unit_test(test_nsx__rows_come_in_pages),
		cmocka_unit_test(test_nsx__a_page_survives_a_lack_of_memory),
		cmocka_unit_test(test_nsx__a_path_is_swapped_wherever_it_stands),
		cmocka_unit_test(test_nsx__a_password_goes_with_each_call),
		cmocka_unit_test(test_nsx__many_jobs_share_one_session_that_is_ended),
		cmocka_unit_test(test_nsx__a_wrong_password_is_tried_once),
		cmocka_unit_test(test_nsx__a_lost_session_is_renewed),
		cmocka_unit_test(test_nsx__sessions_lost_at_once_are_not_tried_for_ever),
		cmocka_unit_test(test_nsx__a_random_refusal_is_asked_again_once),
		cmocka_unit_test(test_nsx__what_passes_is_waited_for),
		cmocka_unit_test(test_nsx__a_login_without_a_session_is_told),
		cmocka_unit_test(test_nsx__the_version_settles_the_calls),
		cmocka_unit_test(test_nsx__a_version_that_is_not_told_is_done_without),
		cmocka_unit_test(test_nsx__each_address_is_logged_in_to),
		cmocka_unit_test(test_nsx__a_request_that_is_not_made_is_told),
		cmocka_unit_test(test_nsx__the_test_tells_what_is_missing),
		cmocka_unit_test(test_nsx__the_test_takes_large_roles),
		cmocka_unit_test(test_nsx__the_test_looks_for_virtual_servers),
		cmocka_unit_test(test_nsx__the_test_survives_a_lack_of_memory),
		cmocka_unit_test(test_nsx__the_first_call_survives_a_lack_of_memory),
		cmocka_unit_test(test_nsx__the_recipe_is_as_narrow_as_the_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
