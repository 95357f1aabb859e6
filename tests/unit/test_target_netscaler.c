/* SPDX-License-Identifier: Apache-2.0 */

/* The session half of the netscaler target: options, calls and answers, the session and what it
 * does when it is lost, the test, and the recipe. Against a device that says what it is told to. */

#include "unit_target.h"

#include "fake_netscaler.h"

#include <regex.h>

#include "jobs/engine.h"
#include "targets/netscaler.h"
#include "targets/targets.h"

#define TIMEOUT_MS 10000
#define BINDING "GET systemuser_systemcmdpolicy_binding/admin"
#define ALONE "\"hanode\":[{\"id\":\"0\",\"state\":\"Primary\",\"ipaddress\":\"127.0.0.1\"}]}"
#define ALL_ON \
	"\"nsfeature\":{\"responder\":true,\"ssl\":true,\"lb\":true,\"cs\":true," \
	"\"feature\":[\"LB\",\"SSL\"]}}"

/* ---- a device ---- */

static void device_listen(struct device *device, uint32_t address, int port)
{
	device_bind(device, address, port);
	device_start(device);
}

static void device_usual(struct device *device)
{
	device_tell(device, "GET hanode", 200, DONE "," ALONE, 0);
	device_tell(device, "GET nsfeature", 200, DONE "," ALL_ON, 0);
	device_tell(device, "GET systemuser_systemcmdpolicy_binding/admin", 200,
		DONE ",\"systemuser_systemcmdpolicy_binding\":[{\"policyname\":\"superuser\","
		"\"priority\":\"100\"}]}", 0);
	device_tell(device, "GET nsversion", 200,
		DONE ",\"nsversion\":{\"version\":\"NetScaler NS14.1: Build 43.22.nc, Date\"}}",
		0);
}

static certauto_target *target_make(struct lab *lab, const char *url)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto__target_make_row(&target, lab->cx, &certauto__target_netscaler,
				 NULL, NULL), 0);
	lab_set(target, "url", url);
	lab_set(target, "user", "admin");
	lab_set(target, "password", "right");
	lab_set(target, "insecure", "yes");
	lab_set(target, "timeout_ms", "5000");
	return target;
}

static certauto_target *target_of_device(struct lab *lab, const struct device *device)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", device->port);
	return target_make(lab, url);
}

/* ---- options ---- */

static void test_netscaler__options_that_do_not_fit_are_refused(void **state)
{
	char long_folder[300];
	const struct {
		const char *name, *value, *words;
	} bad[] = {
		{"url", "ns1.example", "URL"},
		{"url", "https://admin:secret@ns1.example", "URL"},
		{"auth", "basic", "option \"auth\" is one of session,headers"},
		{"vserver_type", "gslb", "one of lb,cs,vpn,global"},
		{"challenge_mode", "fast", "one of policy,stateless"},
		{"sni", "yes", "one of default,sni,both"},
		{"ha", "no", "one of follow,stay,ignore"},
		{"prefix", "-x", "option \"prefix\""},
		{"prefix", "with blank", "option \"prefix\""},
		{"prefix", "a23456789012345678901", "at most 20"},
		{"certkey", "quote\"", "option \"certkey\""},
		{"vserver", "quote\"", "option \"vserver\""},
		{"vserver", " blank", "option \"vserver\""},
		{"ssl_vserver", "good,b;d", "option \"ssl_vserver\""},
		{"partition", "../ssl", "option \"partition\""},
		{"user", "me\" x \"", "option \"user\""},
		{"folder", long_folder, "longer than 254"},
		{"insecure", "no", "everybody on the way could read the password"},
		{"pin", LAB_PIN, "need a url with https://"},
	};
	struct lab *lab = lab_new();
	certauto_target *target;
	size_t i;

	(void)state;
	memset(long_folder, 'f', sizeof(long_folder) - 1);
	long_folder[0] = '/';
	long_folder[sizeof(long_folder) - 1] = '\0';
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		target = target_make(lab, "http://ns1.example");
		assert_int_equal(certauto_target_check(target), 0);
		lab_set(target, bad[i].name, bad[i].value);
		assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
		lab_says(lab, bad[i].words);
		assert_null(strstr(lab_message(lab), "secret"));
		certauto_target_free(target);
	}
	target = target_make(lab, "https://[2001:db8::1]:8443");
	lab_set(target, "insecure", "no");
	lab_set(target, "user", "DOMAIN\\me");
	lab_set(target, "password", "se\"cr et\xc3\xa9");
	lab_set(target, "vserver", "web 1.a:80");
	assert_int_equal(certauto_target_check(target), 0);
	lab_set(target, "auth", "headers");
	assert_int_equal(certauto_target_check(target), 0);
	lab_set(target, "partition", "p1");
	assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
	lab_says(lab, "needs a session");
	certauto_target_free(target);
	lab_free(lab);
}

static void test_netscaler__keys_do_not_go_over_plain_http(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "http://ns1.example");
	certauto_error error = {0};

	(void)state;
	assert_int_equal(certauto__target_may_take_key(target, &error), CERTAUTO_ETLS);
	certauto__error_clear(&error);
	lab_set(target, "allow_key_over_insecure", "yes");
	assert_int_equal(certauto__target_may_take_key(target, &error), 0);
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- calls ---- */

static void test_netscaler__names_in_paths_are_encoded_twice(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://ns1.example:8443//");
	certauto__buffer query = CERTAUTO__BUFFER(256);
	certauto__exchange x = {0};
	certauto__json w;

	(void)state;
	certauto__exchange_reset(&x);
	certauto__buffer_text_add(&query, "args=");
	certauto__netscaler_arg(&query, "filename", "a b.crt");
	certauto__netscaler_arg(&query, "filelocation", "/nsconfig/ssl");
	assert_int_equal(certauto__netscaler_get(&x, target, "lbvserver", "cs web/1",
				 query.data), CERTAUTO__SEND);
	assert_string_equal(certauto__buffer_text(&x.url),
		"https://ns1.example:8443/nitro/v1/config/lbvserver/cs%2520web%252F1"
		"?args=filename:a%20b.crt,filelocation:%2Fnsconfig%2Fssl");
	assert_int_equal(x.http, CERTAUTO__HTTP_API);
	assert_int_equal(x.insecure, 1);
	certauto__exchange_reset(&x);
	certauto__netscaler_post(&w, &x, target, "sslcertkey", "update");
	certauto__json_put_text(&w, "certkey", "a\"b");
	assert_int_equal(certauto__netscaler_end(&w), CERTAUTO__SEND);
	assert_string_equal(certauto__buffer_text(&x.url),
		"https://ns1.example:8443/nitro/v1/config/sslcertkey?action=update");
	assert_string_equal(certauto__buffer_text(&x.body),
		"{\"sslcertkey\":{\"certkey\":\"a\\\"b\"}}");
	certauto__exchange_free(&x);
	certauto__buffer_free(&query);
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- answers ---- */

static void said(certauto__exchange *x, int status, const char *body)
{
	certauto__exchange_reset(x);
	x->status = status;
	certauto__buffer_text_add(&x->answer, body);
}

static int row_add(void *arg, const char *const *values)
{
	int i;

	for (i = 0; i < 4; i++)
		certauto__buffer_printf(arg, "%s%s", i > 0 ? " " : "",
			values[i] != NULL ? values[i] : "-");
	return certauto__buffer_text_add(arg, "\n");
}

static int row_refuse(void *arg, const char *const *values)
{
	++*(int *)arg;
	return values[0] == NULL || strcmp(values[0], "stop") != 0 ? 0 : CERTAUTO_ENOTFOUND;
}

static void test_netscaler__rows_are_read_whatever_their_form(void **state)
{
	static const char *const fields[] = {"name", "priority", "snicert", "names", NULL};
	static const struct {
		const char *body, *rows;
	} cases[] = {
		{DONE "}", ""},
		{"", ""},
		{DONE ",\"other\":[{\"name\":\"x\"}]}", ""},
		{DONE ",\"thing\":[]}", ""},
		{DONE ",\"thing\":[{\"name\":\"a\",\"priority\":10,\"snicert\":true,\"names\":"
			"[\"x\",\"y\",7]},{\"priority\":\"20\",\"snicert\":false,\"names\":[],"
			"\"deep\":{\"name\":\"no\"}},{}]}",
			"a 10 true x,y,7\n- 20 false -\n- - - -\n"},
		{DONE ",\"thing\":{\"names\":[\"x\"],\"name\":\"one\",\"priority\":null}}",
			"one - - x\n"},
		{DONE ",\"thing\":[{\"name\":\"\"}]}", " - - -\n"},
	};
	certauto__buffer rows = CERTAUTO__BUFFER(4096);
	certauto__exchange x = {0};
	int n = 0;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, 200, cases[i].body);
		certauto__buffer_clear(&rows);
		assert_int_equal(certauto__netscaler_rows(&x, "thing", fields, row_add, &rows,
					 NULL), 0);
		assert_string_equal(certauto__buffer_text(&rows), cases[i].rows);
	}
	said(&x, 200, DONE ",\"thing\":[{\"name\":\"go\"},{\"name\":\"stop\"},"
		"{\"name\":\"x\"}]}");
	assert_int_equal(certauto__netscaler_rows(&x, "thing", fields, row_refuse, &n, NULL),
		CERTAUTO_ENOTFOUND);
	assert_int_equal(n, 2);
	said(&x, 200, "<html>");
	assert_int_equal(certauto__netscaler_rows(&x, "thing", fields, row_refuse, &n, NULL),
		CERTAUTO_EPROTO);
	certauto__exchange_free(&x);
	certauto__buffer_free(&rows);
}

static void test_netscaler__codes_are_told_with_the_devices_words(void **state)
{
	static const struct {
		int status;
		const char *body;
		int code, rc;
		const char *words;
	} cases[] = {
		{599, "{\"errorcode\":1538,\"message\":\"Certificate and key do not match\","
			"\"severity\":\"ERROR\"}", 1538, CERTAUTO_EREFUSED,
			"netscaler edge: adding x: code 1538 (\"Certificate and key do not "
			"match\")"},
		{403, "{\"errorcode\":2138,\"message\":\"Not authorized\"}", 2138, CERTAUTO_EPERM,
			"code 2138"},
		{404, "{\"errorcode\":1540,\"message\":\"Certificate does not exist\"}", 1540,
			CERTAUTO_ENOTFOUND, "code 1540"},
		{409, "", CERTAUTO__NS_EXISTS, CERTAUTO_EREFUSED, "HTTP status 409"},
		{404, "<html>nothing</html>", CERTAUTO__NS_NO_RESOURCE, CERTAUTO_ENOTFOUND,
			"HTTP status 404"},
		{502, "<html>proxy</html>", -1, CERTAUTO_EREFUSED, "HTTP status 502"},
		{200, "<html>a portal</html>", -1, CERTAUTO_EPROTO, "HTTP status 200"},
		{200, "{\"errorcode\":278,\"message\":\"a\\u001b[2Jb\",\"severity\":\"ERROR\"}",
			278, CERTAUTO_EREFUSED, "a\\x1b[2Jb"},
	};
	struct lab *lab = lab_new();
	certauto_target *target = NULL;
	certauto_error error = {0};
	certauto__exchange x = {0};
	size_t i;

	(void)state;
	assert_int_equal(certauto__target_make_row(&target, lab->cx, &certauto__target_netscaler,
				 "edge", NULL), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, cases[i].status, cases[i].body);
		assert_int_equal(certauto__netscaler_code(&x), cases[i].code);
		assert_int_equal(certauto__netscaler_tell(&error, &x, target, "x", "adding x"),
			cases[i].rc);
		if (strstr(error.message, cases[i].words) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", cases[i].words, error.message);
		assert_int_equal(error.status, cases[i].status);
	}
	certauto__error_clear(&error);
	certauto__exchange_free(&x);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_netscaler__warnings_and_empty_bodies_are_yes(void **state)
{
	certauto__exchange x = {0};

	(void)state;
	said(&x, 201, "");
	assert_int_equal(certauto__netscaler_code(&x), 0);
	said(&x, 209, "{\"errorcode\":1546,\"message\":\"replaces\",\"severity\":\"WARNING\"}");
	assert_int_equal(certauto__netscaler_code(&x), 0);
	/* But not that it will be forgotten. */
	said(&x, 200, "{\"errorcode\":1028,\"message\":\"secondary\",\"severity\":\"WARNING\"}");
	x.method = "POST";
	x.dress_arg = &x;
	assert_int_equal(certauto__netscaler_code(&x), CERTAUTO__NS_SECONDARY);
	x.method = "GET";
	assert_int_equal(certauto__netscaler_code(&x), 0);
	certauto__exchange_free(&x);
}

/* ---- sessions ---- */

static int test_once(certauto_target *target)
{
	return certauto_target_test(target, TIMEOUT_MS);
}

/* n tests at once; how many ended with rc. */
static int test_many(struct lab *lab, certauto_target *target, int n, int rc)
{
	certauto_job *jobs[32];
	int i, same = 0;

	assert_in_range(n, 1, 32);
	for (i = 0; i < n; i++)
		assert_int_equal(certauto_target_start_test(&jobs[i], target, TIMEOUT_MS), 0);
	assert_int_equal(certauto_context_run(lab->cx, TIMEOUT_MS), 0);
	for (i = 0; i < n; i++) {
		same += certauto_job_wait(jobs[i], 0) == rc;
		certauto_job_free(jobs[i]);
	}
	return same;
}

static void test_netscaler__many_jobs_share_one_session_that_is_ended(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {0};
	certauto_target *target;

	(void)state;
	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	assert_int_equal(test_many(lab, target, 20, 0), 20);
	assert_int_equal(device.n_logins, 1);
	assert_int_equal(device.n_logouts, 1);
	lab_warns_of_nothing_else(lab);
	assert_int_equal(test_once(target), 0);
	assert_int_equal(device.n_logins, 2);
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	assert_int_equal(device.n_logouts, 2);
	lab_free(lab);
}

static void wrong_password(const char *auth, int n_requests)
{
	struct lab *lab = lab_new();
	struct device device = {0};
	certauto_target *target;

	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	lab_set(target, "password", "wrong!pass");
	lab_set(target, "auth", auth);
	assert_int_equal(test_many(lab, target, 20, CERTAUTO_EAUTH), 20);
	assert_int_equal(device.n_logins + device.n_calls, n_requests);
	/* The next run may try it again, and another password at once. */
	assert_int_equal(test_once(target), CERTAUTO_EAUTH);
	assert_int_equal(device.n_logins + device.n_calls, 2 * n_requests);
	lab_says(lab, strcmp(auth, "session") == 0 ? "code 354" : "code 444");
	assert_null(strstr(lab_message(lab), "wrong!pass"));
	lab_set(target, "password", "right");
	assert_int_equal(test_once(target), 0);
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

static void test_netscaler__a_wrong_password_is_tried_once(void **state)
{
	(void)state;
	wrong_password("session", 1);
	wrong_password("headers", 1);
}

static void renewed_after(int lose_at)
{
	struct lab *lab = lab_new();
	struct device device = {.lose_at = lose_at};
	certauto_target *target;

	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	assert_int_equal(test_many(lab, target, 8, 0), 8);
	assert_int_equal(device.n_logins, 2);
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

/* In use, or before it was of any use. */
static void test_netscaler__a_lost_session_is_renewed(void **state)
{
	(void)state;
	renewed_after(3);
	renewed_after(1);
}

static void test_netscaler__a_session_lost_at_once_is_renewed_once(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {0};
	certauto_target *target;

	(void)state;
	device_tell(&device, "GET hanode", 401,
		"{\"errorcode\":444,\"message\":\"Session expired or killed\"}", 0);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	assert_int_equal(test_many(lab, target, 8, CERTAUTO_EAUTH), 8);
	assert_string_equal(device.log, "POST login\nGET hanode\nPOST login\nGET hanode\n");
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

#define NO_RIGHT "{\"errorcode\":2138,\"message\":\"Not authorized to execute this command\"}"

/* Some releases give it the status of a refused login. */
static void test_netscaler__a_missing_right_does_not_end_the_session(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {0};
	certauto_target *target;

	(void)state;
	device_tell(&device, "GET hanode", 401, NO_RIGHT, 0);
	device_tell(&device, "GET nsfeature", 401, NO_RIGHT, 0);
	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	assert_int_equal(test_once(target), CERTAUTO_EPERM);
	lab_says(lab, "netscaler: GET ");
	lab_says(lab, "code 2138");
	assert_string_equal(device.log,
		"POST login\nGET hanode\nGET nsversion\nGET nsfeature\nPOST logout\n");
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

static void test_netscaler__too_many_sessions_are_waited_for(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {0};
	certauto_target *target;

	(void)state;
	device_tell(&device, "POST login", 401, "{\"errorcode\":445,\"message\":\"Session limit "
		"exceeded\",\"severity\":\"ERROR\"}", 2);
	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	assert_int_equal(test_once(target), 0);
	assert_int_equal(device.n_logins, 3);
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

static void test_netscaler__a_cut_call_is_asked_again(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.cut_at = 2};
	certauto_target *target;

	(void)state;
	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	assert_int_equal(test_once(target), 0);
	assert_int_equal(device.n_logins, 1);
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

static void test_netscaler__the_partition_is_entered_once(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {0};
	certauto_target *target;

	(void)state;
	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	lab_set(target, "partition", "p1");
	assert_int_equal(test_once(target), 0);
	assert_non_null(strstr(device.log, "GET hanode\nPOST nspartition?action=Switch\n"));
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

#define PAIR(here, there, address) \
	"{\"errorcode\":0,\"hanode\":[{\"state\":\"" here "\",\"ipaddress\":\"127.0.0.9\"}," \
	"{\"state\":\"" there "\",\"ipaddress\":\"" address "\"}]}"

static void test_netscaler__the_primary_is_followed(void **state)
{
	struct lab *lab = lab_new();
	struct device first = {0}, second = {0};
	certauto_target *target;

	(void)state;
	device_tell(&first, "GET hanode", 200, PAIR("Secondary", "Primary", "127.0.0.2"), 0);
	device_listen(&first, INADDR_LOOPBACK, 0);
	device_tell(&second, "GET hanode", 200, PAIR("Primary", "Secondary", "127.0.0.1"), 0);
	device_usual(&second);
	device_listen(&second, INADDR_LOOPBACK + 1, first.port);
	target = target_of_device(lab, &first);
	assert_int_equal(test_once(target), 0);
	assert_string_equal(first.log, "POST login\nGET hanode\nPOST logout\n");
	assert_int_equal(second.n_logins, 1);
	assert_non_null(strstr(second.log, "GET nsversion\n"));

	lab_set(target, "ha", "stay");
	assert_int_equal(test_once(target), CERTAUTO_EREFUSED);
	lab_says(lab, "netscaler: this node is \"Secondary\", not the primary");
	lab_set(target, "ha", "ignore");
	lab_set(target, "auth", "headers");
	assert_int_equal(test_once(target), 0);
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&first);
	device_end(&second);
	lab_free(lab);
}

/* The node that was connected to dies: its partner has taken over. */
static void test_netscaler__the_partner_is_tried_when_a_node_is_silent(void **state)
{
	struct lab *lab = lab_new();
	struct device first = {0}, second = {0};
	certauto_target *target;

	(void)state;
	first.dead_from = 3;
	device_tell(&first, "GET hanode", 200, PAIR("Primary", "Secondary", "127.0.0.2"), 0);
	device_usual(&first);
	device_listen(&first, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &first);
	device_tell(&second, "GET hanode", 200, PAIR("Primary", "UNKNOWN", "127.0.0.1"), 0);
	device_usual(&second);
	device_listen(&second, INADDR_LOOPBACK + 1, first.port);
	assert_int_equal(test_once(target), 0);
	assert_non_null(strstr(first.log, "POST login\nGET hanode\nGET nsversion\nGET nsfeature\n"
					  "GET nsfeature\n"));
	assert_string_equal(second.log, "POST login\nGET hanode\nGET nsfeature\n" BINDING
		"\nGET systemuser_systemgroup_binding/admin\nGET systemcmdpolicy\nPOST logout\n");
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&first);
	device_end(&second);
	lab_free(lab);
}

/* With ha=stay the url's node is the only one. */
static void test_netscaler__the_partner_is_left_alone_where_that_is_told(void **state)
{
	struct lab *lab = lab_new();
	struct device first = {.dead_from = 3}, second = {0};
	certauto_target *target;

	(void)state;
	device_tell(&first, "GET hanode", 200, PAIR("Primary", "Secondary", "127.0.0.2"), 0);
	device_usual(&first);
	device_listen(&first, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &first);
	lab_set(target, "ha", "stay");
	device_usual(&second);
	device_listen(&second, INADDR_LOOPBACK + 1, first.port);
	assert_int_equal(test_once(target), CERTAUTO_ENET);
	assert_string_equal(second.log, "");
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&first);
	device_end(&second);
	lab_free(lab);
}

/* ---- the test ---- */

struct finding {
	const char *request, *body;
	int status, rc;
	const char *words;
};

static void check_finding(const struct finding *finding)
{
	struct lab *lab = lab_new();
	struct device device = {0};
	certauto_target *target;
	int rc;

	device_tell(&device, finding->request, finding->status, finding->body, 0);
	device_tell(&device, "GET csvserver/web", 404,
		"{\"errorcode\":258,\"message\":\"No such resource\"}", 0);
	device_tell(&device, "GET lbvserver/web", 200, DONE
		",\"lbvserver\":[{\"name\":\"web\",\"servicetype\":\"HTTP\",\"curstate\":\"UP\"}]}",
		0);
	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	lab_set(target, "vserver", "web");
	lab_set(target, "ssl_vserver", "tls1,tls2");
	rc = test_once(target);
	if (rc != finding->rc)
		fail_msg("%s: %d, not %d: %s", finding->request, rc, finding->rc,
			rc < 0 ? lab_message(lab) : "");
	if (rc < 0)
		assert_int_equal(strncmp(lab_message(lab), "netscaler: ", 11), 0);
	if (rc < 0)
		lab_says(lab, finding->words);
	else if (strstr(certauto__buffer_text(&lab->warnings), finding->words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", finding->words,
			certauto__buffer_text(&lab->warnings));
	assert_null(strstr(device.log, "PUT "));
	assert_null(strstr(device.log, "DELETE "));
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

static void test_netscaler__the_test_finds_what_is_wrong(void **state)
{
	static const struct finding findings[] = {
		{"GET none", "", 200, 0, ""},
		{"GET nsversion", NO_RIGHT, 403, CERTAUTO_EPERM, "code 2138"},
		{"GET nsfeature", DONE ",\"nsfeature\":{\"responder\":false,\"ssl\":true}}", 200,
			CERTAUTO_EREFUSED, "the feature responder is off"},
		{"GET nsfeature", DONE ",\"nsfeature\":{\"responder\":true,\"ssl\":false,"
			"\"sslvpn\":true}}", 200, CERTAUTO_EREFUSED, "the feature ssl is off"},
		{"GET nsfeature", DONE ",\"nsfeature\":{\"lb\":false,\"sslvpn\":false}}", 200,
			CERTAUTO_EREFUSED, "the feature lb is off"},
		{"GET lbvserver/web", DONE ",\"lbvserver\":[{\"servicetype\":\"HTTP\","
			"\"curstate\":\"DOWN\"}]}", 200, CERTAUTO_EREFUSED, "is DOWN"},
		{"GET lbvserver/web", DONE ",\"lbvserver\":[{\"servicetype\":\"SSL\","
			"\"curstate\":\"UP\"}]}", 200, CERTAUTO_EREFUSED, "is of type SSL"},
		{"GET lbvserver/web", NO_RIGHT, 403, CERTAUTO_EPERM,
			"looking at the virtual server"},
		{"GET sslvserver/tls2", "{\"errorcode\":258,\"message\":\"No such resource "
			"[vserverName, tls2]\"}", 404, CERTAUTO_ENOTFOUND,
			"looking for the SSL virtual server tls2: code 258"},
		{"GET sslvserver/tls1", "{\"errorcode\":1544,\"message\":\"Object's protocol type "
			"is not SSL\"}", 599, CERTAUTO_EREFUSED, "code 1544"},
		{BINDING, NO_RIGHT, 403, 0, "cannot be seen"},
		{BINDING, DONE "}", 200, 0, "no command policies of its own"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(findings) / sizeof(findings[0]); i++)
		check_finding(&findings[i]);
}

static void test_netscaler__a_vserver_that_is_not_there_is_named(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {0};
	certauto_target *target;

	(void)state;
	device_tell(&device, "GET csvserver", 404, "", 0);
	device_tell(&device, "GET lbvserver", 404, "", 0);
	device_tell(&device, "GET vpnvserver", 404, "", 0);
	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	lab_set(target, "vserver", "web");
	assert_int_equal(test_once(target), CERTAUTO_ENOTFOUND);
	lab_says(lab, "there is no cs, lb or vpn virtual server \"web\"");
	lab_set(target, "vserver_type", "lb");
	assert_int_equal(test_once(target), CERTAUTO_ENOTFOUND);
	lab_says(lab, "there is no lb virtual server \"web\"");
	certauto_target_free(target);
	lab_restart(lab);
	device_end(&device);
	lab_free(lab);
}

/* ---- rights ---- */

/* The expressions of a recipe's policies, in their order; returns how many there are. */
static int recipe_specs(const char *recipe, char specs[16][400])
{
	const char *line = recipe, *from;
	int n = 0;
	size_t len;

	for (; *line != '\0'; line += strcspn(line, "\n") + 1) {
		if (strncmp(line, "add system cmdPolicy ", 21) != 0)
			continue;
		from = strstr(line, "ALLOW \"") + 7;
		for (len = 0; *from != '"'; from++) {
			from += from[0] == '\\' && (from[1] == '"' || from[1] == '\\');
			specs[n][len++] = *from;
			assert_in_range(len, 0, 255);
		}
		specs[n++][len] = '\0';
		assert_in_range(n, 1, 15);
	}
	return n;
}

static int specs_allow(char specs[16][400], int n, const char *line)
{
	regex_t spec;
	int i, found = 0;

	for (i = 0; i < n; i++) {
		assert_int_equal(regcomp(&spec, specs[i], REG_EXTENDED | REG_NOSUB), 0);
		found |= regexec(&spec, line, 0, NULL, 0) == 0;
		regfree(&spec);
	}
	return found;
}

static void check_recipe(certauto_target *target, int n_least)
{
	certauto__buffer recipe = CERTAUTO__BUFFER(65536);
	char specs[16][400], line[256];
	const char *what;
	int n, i;

	assert_int_equal(certauto__netscaler_recipe(target, &recipe, NULL), 0);
	n = recipe_specs(recipe.data, specs);
	for (i = 0; certauto__netscaler_command(line, &what, target, (size_t)i); i++) {
		if (!specs_allow(specs, n, line))
			fail_msg("\"%s\" is not in\n%s", line, recipe.data);
		assert_null(strpbrk(line, "~^"));
	}
	assert_true(i >= n_least);
	/* Not what is somebody else's. */
	assert_false(specs_allow(specs, n, "rm ssl certKey other"));
	assert_false(specs_allow(specs, n, "add responder policy other TRUE RESET"));
	assert_false(specs_allow(specs, n, "bind lb vserver other -policyName certauto-x"));
	assert_false(specs_allow(specs, n, "bind ssl vserver other -certkeyName certauto-x"));
	assert_false(specs_allow(specs, n,
		"show system file -fileName other.key -fileLocation /nsconfig/ssl"));
	assert_false(specs_allow(specs, n, "add system user me password"));
	assert_false(specs_allow(specs, n, "shell ls"));
	certauto__buffer_free(&recipe);
}

static void test_netscaler__the_recipe_covers_all_that_is_done(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://ns1.example");
	certauto__buffer recipe = CERTAUTO__BUFFER(65536);

	(void)state;
	check_recipe(target, 20);
	lab_set(target, "vserver", "web 1.a");
	lab_set(target, "ssl_vserver", "tls-1,tls 2,gw_3");
	lab_set(target, "sni", "both");
	lab_set(target, "certkey", "le-www");
	lab_set(target, "partition", "p1");
	check_recipe(target, 45);
	assert_int_equal(certauto__netscaler_recipe(target, &recipe, NULL), 0);
	assert_non_null(strstr(recipe.data, "web\\s1\\.a"));
	assert_non_null(strstr(recipe.data, "(certauto-|le-www)"));
	assert_non_null(strstr(recipe.data, "/nsconfig/partitions/p1/ssl"));
	assert_non_null(strstr(recipe.data, "add system user admin PASSWORD "));
	assert_null(strstr(recipe.data, "right"));
	lab_set(target, "user", "cert auto");
	certauto__buffer_clear(&recipe);
	assert_int_equal(certauto__netscaler_recipe(target, &recipe, NULL), 0);
	assert_non_null(strstr(recipe.data, "\nadd system user \"cert auto\" PASSWORD "));
	assert_non_null(strstr(recipe.data,
		"\nbind system user \"cert auto\" -partitionName p1\n"));
	lab_set(target, "vserver", "");
	lab_set(target, "vserver_type", "global");
	check_recipe(target, 40);
	certauto__buffer_free(&recipe);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_netscaler__a_recipe_can_be_had_before_anything_is_set(void **state)
{
	struct lab *lab = lab_new();
	certauto__buffer recipe = CERTAUTO__BUFFER(65536);
	certauto_target *target = NULL;

	(void)state;
	assert_int_equal(certauto__target_make_row(&target, lab->cx, &certauto__target_netscaler,
				 NULL, NULL), 0);
	assert_int_equal(certauto__netscaler_recipe(target, &recipe, NULL), 0);
	assert_non_null(strstr(recipe.data, "\\s+VSERVER\\s+"));
	assert_non_null(strstr(recipe.data, "\\s+SSLVSERVER\\s+"));
	assert_non_null(strstr(recipe.data, "bind system user certauto certauto 100\n"));
	certauto__buffer_free(&recipe);
	certauto_target_free(target);
	lab_free(lab);
}

static int recipe_scenario(void *arg)
{
	certauto__buffer recipe = CERTAUTO__BUFFER(65536);
	int rc = certauto__netscaler_recipe(arg, &recipe, NULL);

	certauto__buffer_free(&recipe);
	return rc;
}

static int command_scenario(void *arg)
{
	const char *what;
	char line[256];
	size_t i;
	int rc;

	for (i = 0; (rc = certauto__netscaler_command(line, &what, arg, i)) > 0; i++)
		;
	return rc;
}

static void test_netscaler__a_recipe_is_whole_or_memory_is_short(void **state)
{
	struct lab *lab = lab_new();
	certauto_target *target = target_make(lab, "https://ns1.example");

	(void)state;
	lab_set(target, "vserver", "web");
	unit_oom_sweep("recipe", recipe_scenario, target);
	unit_oom_sweep("commands", command_scenario, target);
	certauto_target_free(target);
	lab_free(lab);
}

/* Policies as the device shows them, all bound to the user. */
static void policies_tell(struct device *device, certauto__buffer *bound,
	certauto__buffer *policies, char specs[16][400], int n)
{
	const char *at;
	int i;

	certauto__buffer_text_add(bound, DONE ",\"systemuser_systemcmdpolicy_binding\":[");
	certauto__buffer_text_add(policies, DONE ",\"systemcmdpolicy\":[");
	for (i = 0; i < n; i++) {
		certauto__buffer_printf(bound, "%s{\"policyname\":\"p%d\",\"priority\":\"%d\"}",
			i > 0 ? "," : "", i, 100 + i);
		certauto__buffer_printf(policies,
			"%s{\"policyname\":\"p%d\",\"action\":\"ALLOW\",\"cmdspec\":\"",
			i > 0 ? "," : "", i);
		for (at = specs[i]; *at != '\0'; at++)
			certauto__buffer_printf(policies, "%s%c",
				*at == '\\' || *at == '"' ? "\\" : "", *at);
		certauto__buffer_text_add(policies, "\"}");
	}
	certauto__buffer_text_add(bound, "]}");
	certauto__buffer_text_add(policies, "]}");
	device_tell(device, BINDING, 200, bound->data, 0);
	device_tell(device, "GET systemcmdpolicy", 200, policies->data, 0);
}

/* The test under the recipe's own policies, less the one without (-1: all). */
static int test_under_recipe(struct lab *lab, int without)
{
	certauto__buffer recipe = CERTAUTO__BUFFER(65536), bound = CERTAUTO__BUFFER(65536),
			 policies = CERTAUTO__BUFFER(65536);
	struct device device = {0};
	char specs[16][400];
	certauto_target *target;
	int n, rc;

	target = target_make(lab, "https://ns1.example");
	assert_int_equal(certauto__netscaler_recipe(target, &recipe, NULL), 0);
	n = recipe_specs(recipe.data, specs);
	certauto_target_free(target);
	if (without >= 0)
		memcpy(specs[without], specs[--n], sizeof(specs[0]));
	policies_tell(&device, &bound, &policies, specs, n);
	device_usual(&device);
	device_listen(&device, INADDR_LOOPBACK, 0);
	target = target_of_device(lab, &device);
	rc = test_once(target);
	certauto_target_free(target);
	device_end(&device);
	certauto__buffer_free(&recipe);
	certauto__buffer_free(&bound);
	certauto__buffer_free(&policies);
	return rc;
}

static void test_netscaler__missing_rights_are_named(void **state)
{
	struct lab *lab = lab_new();
	const certauto_error *error;

	(void)state;
	assert_int_equal(test_under_recipe(lab, -1), 0);
	lab_warns_of_nothing_else(lab);
	assert_int_equal(test_under_recipe(lab, 0), CERTAUTO_EPERM);
	error = certauto_context_error(lab->cx);
	lab_says(lab, "the account admin has no right to \"show ns version\"");
	assert_true(certauto_error_n_subproblems(error) >= 6);
	assert_string_equal(certauto_error_subproblem_name(error, 1), "show ns feature");
	assert_non_null(strstr(certauto_error_advice(error), "certauto target recipe"));
	lab_free(lab);
}

/* Expressions that cost more than they tell are not tried. */
static void test_netscaler__policies_that_cannot_be_read_are_told(void **state)
{
	static const char *const strange[] = {
		"(^show.*)|(^(?!shell).*)", "(x{255}){255}", "(.*)\\\\1", "(^show"};
	char body[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		struct lab *lab = lab_new();
		struct device device = {0};
		certauto_target *target;

		snprintf(body, sizeof(body), DONE ",\"systemcmdpolicy\":[{\"policyname\":\"p\","
			"\"action\":\"ALLOW\",\"cmdspec\":\"%s\"}]}", strange[i]);
		device_tell(&device, BINDING, 200, DONE ",\"systemuser_systemcmdpolicy_binding\":["
			"{\"policyname\":\"p\",\"priority\":1}]}", 0);
		device_tell(&device, "GET systemcmdpolicy", 200, body, 0);
		device_usual(&device);
		device_listen(&device, INADDR_LOOPBACK, 0);
		target = target_of_device(lab, &device);
		assert_int_equal(test_once(target), 0);
		assert_non_null(strstr(certauto__buffer_text(&lab->warnings),
			"of a kind that is not known here"));
		certauto_target_free(target);
		lab_restart(lab);
		device_end(&device);
		lab_free(lab);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_netscaler__options_that_do_not_fit_are_refused),
		cmocka_unit_test(test_netscaler__keys_do_not_go_over_plain_http),
		cmocka_unit_test(test_netscaler__names_in_paths_are_encoded_twice),
		cmocka_unit_test(test_netscaler__rows_are_read_whatever_their_form),
		cmocka_unit_test(test_netscaler__codes_are_told_with_the_devices_words),
		cmocka_unit_test(test_netscaler__warnings_and_empty_bodies_are_yes),
		cmocka_unit_test(test_netscaler__many_jobs_share_one_session_that_is_ended),
		cmocka_unit_test(test_netscaler__a_wrong_password_is_tried_once),
		cmocka_unit_test(test_netscaler__a_lost_session_is_renewed),
		cmocka_unit_test(test_netscaler__a_session_lost_at_once_is_renewed_once),
		cmocka_unit_test(test_netscaler__a_missing_right_does_not_end_the_session),
		cmocka_unit_test(test_netscaler__too_many_sessions_are_waited_for),
		cmocka_unit_test(test_netscaler__a_cut_call_is_asked_again),
		cmocka_unit_test(test_netscaler__the_partition_is_entered_once),
		cmocka_unit_test(test_netscaler__the_primary_is_followed),
		cmocka_unit_test(test_netscaler__the_partner_is_tried_when_a_node_is_silent),
		cmocka_unit_test(test_netscaler__the_partner_is_left_alone_where_that_is_told),
		cmocka_unit_test(test_netscaler__the_test_finds_what_is_wrong),
		cmocka_unit_test(test_netscaler__a_vserver_that_is_not_there_is_named),
		cmocka_unit_test(test_netscaler__the_recipe_covers_all_that_is_done),
		cmocka_unit_test(test_netscaler__a_recipe_can_be_had_before_anything_is_set),
		cmocka_unit_test(test_netscaler__a_recipe_is_whole_or_memory_is_short),
		cmocka_unit_test(test_netscaler__missing_rights_are_named),
		cmocka_unit_test(test_netscaler__policies_that_cannot_be_read_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
