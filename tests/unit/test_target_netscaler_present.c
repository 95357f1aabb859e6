/* SPDX-License-Identifier: Apache-2.0 */
/* What the challenge and device-key tables of the netscaler target say to the device, to the byte,
 * and what they make of its answers. Against a device that says what it is told to; how a real one
 * behaves is for the simulator of tests/sim. */

#include "unit_target.h"

#include "fake_netscaler.h"


#include "core/memory.h"
#include "targets/netscaler.h"
#include "targets/targets.h"

#define TIMEOUT_MS 10000
#define TOKEN "tok_abcdefghijklmnopqrst-0123456789"
#define THUMBPRINT "thumb-print_ABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
#define VALUE TOKEN "." THUMBPRINT
#define CHALLENGE "certauto-acme-7f000000-0123456789abcde" /* of one that is not old */
#define LB "lbvserver_responderpolicy_binding"
#define CS "csvserver_responderpolicy_binding"

/* ---- a device ---- */

static struct device *device_new(void)
{
	struct device *device = calloc(1, sizeof(*device));

	assert_non_null(device);
	device->with_bodies = 1;
	device_bind(device, INADDR_LOOPBACK, 0);
	return device;
}

static void device_free(struct device *device)
{
	device_end(device);
	free(device);
}

/* ---- target and challenge ---- */

struct scene {
	struct lab *lab;
	struct device *device;
	certauto_target *target;
};

static struct scene scene_new(void)
{
	struct scene scene = {lab_new(), device_new(), NULL};
	char url[64];

	assert_int_equal(certauto__target_make_row(&scene.target, scene.lab->cx,
		&certauto__target_netscaler, "edge", NULL), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", scene.device->port);
	lab_set(scene.target, "url", url);
	lab_set(scene.target, "insecure", "yes");
	lab_set(scene.target, "user", "admin");
	lab_set(scene.target, "password", "right");
	lab_set(scene.target, "ha", "ignore");
	lab_set(scene.target, "challenge_check", "no");
	lab_set(scene.target, "vserver", "web");
	lab_set(scene.target, "vserver_type", "lb");
	return scene;
}

static void scene_free(struct scene *scene)
{
	certauto_target_free(scene->target);
	lab_free(scene->lab);
	device_free(scene->device);
}

static int present(struct scene *scene, const char *name)
{
	return certauto_target_present(scene->target, "http-01", name, TOKEN, VALUE, TIMEOUT_MS);
}

static int asked(const struct scene *scene, const char *what)
{
	const char *at = scene->device->log;
	int n = 0;

	for (; (at = strstr(at, what)) != NULL; at++)
		n++;
	return n;
}

static void asks(const struct scene *scene, const char *what)
{
	if (asked(scene, what) == 0)
		fail_msg("\"%s\" is not in:\n%s", what, scene->device->log);
}

/* The name of the object that was added. */
static void object_name(const struct scene *scene, char out[CERTAUTO__NS_NAME])
{
	const char *at = strstr(scene->device->log, "\"name\":\"");

	assert_non_null(at);
	assert_int_equal(sscanf(at, "\"name\":\"%127[^\"]", out), 1);
}

/* ---- policy mode ---- */

static void test_present__is_four_calls_with_a_match_on_host_and_path(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_start(scene.device);
	assert_int_equal(present(&scene, "shop.example.org"), 0);
	asks(&scene, "GET " LB "/web");
	asks(&scene, "\"type\":\"respondwith\",\"target\":\"\\\"HTTP/1.1 200 OK\\\\r\\\\n"
		"Content-Type: text/plain\\\\r\\\\nContent-Length: 79\\\\r\\\\n"
		"Connection: close\\\\r\\\\n\\\\r\\\\n\\\" + \\\"" VALUE "\\\"\"");
	asks(&scene, "\"rule\":\"HTTP.REQ.HOSTNAME.SERVER.EQ(\\\"shop.example.org\\\") && "
		"HTTP.REQ.URL.PATH.EQ(\\\"/.well-known/acme-challenge/" TOKEN "\\\")\"");
	assert_int_equal(asked(&scene, "\n"), 4);
	scene_free(&scene);
}

static void test_present__an_ipv6_address_stands_in_brackets(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_start(scene.device);
	assert_int_equal(present(&scene, "2001:db8::1"), 0);
	asks(&scene, "HTTP.REQ.HOSTNAME.SERVER.EQ(\\\"[2001:db8::1]\\\")");
	scene_free(&scene);
}

/* The device takes no literal of more than 255 bytes. */
static void test_present__a_long_answer_is_several_literals(void **state)
{
	struct scene scene = scene_new();
	char value[401];

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	device_start(scene.device);
	assert_int_equal(certauto_target_present(scene.target, "http-01", "a.example.org", TOKEN,
		value, TIMEOUT_MS), 0);
	asks(&scene, "Content-Length: 400");
	assert_int_equal(asked(&scene, "vv\\\" + \\\"vv"), 3);
	scene_free(&scene);
}

static void test_present__what_could_leave_its_quotes_is_refused(void **state)
{
	static const char *const bad[][2] = {
		{"tok\"", VALUE}, {TOKEN, "val\\"}, {TOKEN, "a b"}, {"", VALUE}, {TOKEN, "\r\n"}};
	struct scene scene = scene_new();
	size_t i;

	(void)state;
	device_start(scene.device);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(certauto_target_present(scene.target, "http-01", "a.example.org",
			bad[i][0], bad[i][1], TIMEOUT_MS), CERTAUTO_EINVAL);
	lab_says(scene.lab, "RFC 8555 8.1");
	assert_string_equal(scene.device->log, "");
	scene_free(&scene);
}

static void test_present__is_in_front_of_what_is_bound(void **state)
{
	static const struct {
		const char *bound, *priority;
		int low, high;
	} cases[] = {
		{"", NULL, 100, 4195},
		{"{\"policyname\":\"r\",\"priority\":\"100\"}", NULL, 1, 99},
		{"{\"policyname\":\"r\",\"priority\":5000}", NULL, 100, 4195},
		{"{\"policyname\":\"r\",\"priority\":\"102\"}", NULL, 100, 101},
		{"{\"policyname\":\"r\",\"priority\":\"2\"}", NULL, 1, 1},
		/* there is no room in front, or it is not wanted */
		{"{\"policyname\":\"r\",\"priority\":\"1\"}", NULL, 100, 4195},
		{"{\"policyname\":\"r\",\"priority\":\"10\"}", "50", 50, 4145},
		{"{\"policyname\":\"r\",\"priority\":\"100\"}", "100", 100, 4195},
		{"{\"policyname\":\"r\",\"priority\":\"52\"}", "50", 50, 51},
		/* one of a challenge is no reason to go elsewhere, but its place is taken */
		{"{\"policyname\":\"" CHALLENGE "0-x\",\"priority\":\"102\"},"
		 "{\"policyname\":\"r\",\"priority\":\"104\"},"
		 "{\"policyname\":\"" CHALLENGE "1-x\",\"priority\":\"100\"},"
		 "{\"policyname\":\"" CHALLENGE "2-x\",\"priority\":\"101\"}",
		 NULL, 103, 103},
	};
	char body[1024];
	const char *at;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = scene_new();

		snprintf(body, sizeof(body), DONE ",\"" LB "\":[%s]}", cases[i].bound);
		device_tell(scene.device, "GET " LB, 200, body, 0);
		if (cases[i].priority != NULL)
			lab_set(scene.target, "priority", cases[i].priority);
		device_start(scene.device);
		assert_int_equal(present(&scene, "a.example.org"), 0);
		at = strstr(scene.device->log, "\"priority\":");
		assert_non_null(at);
		assert_in_range(atoi(at + 11), cases[i].low, cases[i].high);
		scene_free(&scene);
	}
}

static void test_present__a_priority_that_others_took_is_passed_over(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_tell(scene.device, "PUT " LB, 599, NO("3041", "Priority already in use"), 3);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	assert_int_equal(asked(&scene, "PUT " LB), 4);
	assert_int_equal(asked(&scene, "POST "), 2);
	scene_free(&scene);
	scene = scene_new();
	device_tell(scene.device, "PUT " LB, 599, NO("3041", "Priority already in use"), 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), CERTAUTO_EREFUSED);
	lab_says(scene.lab, "code 3041");
	assert_int_equal(asked(&scene, "DELETE " LB), 0);
	assert_int_equal(asked(&scene, "DELETE "), 2);
	scene_free(&scene);
}

/* A run that is taken up again, or an attempt whose answer was lost: not a second place. */
static void test_present__what_is_bound_already_stays_where_it_is(void **state)
{
	char name[CERTAUTO__NS_NAME], body[512];
	struct scene scene = scene_new();

	(void)state;
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	object_name(&scene, name);
	scene_free(&scene);
	scene = scene_new();
	snprintf(body, sizeof(body),
		DONE ",\"" LB "\":[{\"policyname\":\"%s\",\"priority\":\"4711\"}]}", name);
	device_tell(scene.device, "GET " LB, 200, body, 0);
	device_tell(scene.device, "PUT " LB, 599, NO("3041", "Priority already in use"), 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	asks(&scene, "\"priority\":4711}");
	assert_int_equal(asked(&scene, "PUT "), 1);
	scene_free(&scene);
}

static void test_present__the_type_is_looked_up(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	lab_set(scene.target, "vserver_type", "");
	device_tell(scene.device, "GET " CS, 404, NO("258", "No such resource"), 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	asks(&scene, "PUT " LB " {\"" LB "\":{\"name\":\"web\",\"policyname\":\"certauto-acme-");
	scene_free(&scene);
}

static void test_present__a_vserver_that_is_not_there_is_named(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_tell(scene.device, "GET " LB, 404, NO("258", "No such resource [name, web]"), 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), CERTAUTO_ENOTFOUND);
	lab_says(scene.lab, "netscaler edge: there is no lb virtual server \"web\"");
	lab_says(scene.lab, "code 258 (\"No such resource [name, web]\")");
	assert_int_equal(asked(&scene, "\n"), 1);
	scene_free(&scene);
}

static void test_present__without_a_vserver_the_option_is_named(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	lab_set(scene.target, "vserver", "");
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), CERTAUTO_EINVAL);
	lab_says(scene.lab, "option vserver must be set");
	assert_string_equal(scene.device->log, "");
	lab_set(scene.target, "vserver_type", "global");
	assert_int_equal(present(&scene, "a.example.org"), 0);
	asks(&scene, "GET responderglobal_responderpolicy_binding?args=type:REQ_OVERRIDE");
	asks(&scene, "\"type\":\"REQ_OVERRIDE\"");
	scene_free(&scene);
}

static void test_present__gateways_call_the_policy_otherwise(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	lab_set(scene.target, "vserver_type", "vpn");
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	asks(&scene, "{\"vpnvserver_responderpolicy_binding\":{\"name\":\"web\",\"policy\":\"");
	scene_free(&scene);
}

/* Names that only long dead runs can have given. */
static void test_present__what_a_dead_run_left_is_swept(void **state)
{
	char body[1024], old[64], young[64];
	struct scene scene = scene_new();
	long long now = (long long)time(NULL);

	(void)state;
	snprintf(old, sizeof(old), "certauto-acme-%08llx-0123456789abcdef-x", now - 7300);
	snprintf(young, sizeof(young), "certauto-acme-%08llx-0123456789abcdef-x", now - 7000);
	snprintf(body, sizeof(body),
		DONE ",\"" LB "\":[{\"policyname\":\"%s\",\"priority\":\"100\"},"
		"{\"policyname\":\"%s\",\"priority\":\"101\"},"
		"{\"policyname\":\"%s,innocent\",\"priority\":\"102\"},"
		"{\"policyname\":\"other-%s\",\"priority\":\"9000\"}]}", young, old, old, old);
	device_tell(scene.device, "GET " LB, 200, body, 0);
	device_tell(scene.device, "DELETE responderaction", 599, NO("832", "in use"), 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	snprintf(body, sizeof(body),
		"DELETE " LB "/web?args=policyname:%s \nDELETE responderpolicy/%s \n"
		"DELETE responderaction/%s \nPOST ", old, old, old);
	asks(&scene, body);
	assert_int_equal(asked(&scene, "DELETE "), 3);
	scene_free(&scene);
}

static void test_present__a_namesake_of_others_is_neither_used_nor_removed(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_tell(scene.device, "POST responderpolicy", 409, NO("273", "already exists"), 0);
	device_tell(scene.device, "GET responderpolicy", 200,
		DONE ",\"responderpolicy\":[{\"name\":\"x\",\"rule\":\"TRUE\"}]}", 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), CERTAUTO_EREFUSED);
	lab_says(scene.lab, "with another content");
	assert_int_equal(asked(&scene, "DELETE responderpolicy"), 0);
	assert_int_equal(asked(&scene, "DELETE responderaction"), 1);
	scene_free(&scene);
}

static void test_present__one_that_is_there_already_is_used(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_tell(scene.device, "POST responderpolicy", 409, NO("273", "already exists"), 0);
	device_tell(scene.device, "GET responderpolicy", 200,
		DONE ",\"responderpolicy\":[{\"rule\":\"HTTP.REQ.HOSTNAME.SERVER.EQ("
		"\\\"a.example.org\\\")&&HTTP.REQ.URL.PATH.EQ("
		"\\\"/.well-known/acme-challenge/" TOKEN "\\\")\"}]}", 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	asks(&scene, "PUT " LB);
	scene_free(&scene);
}

static void test_cleanup__finds_what_an_earlier_process_made(void **state)
{
	char name[CERTAUTO__NS_NAME], body[1024], wanted[1024];
	struct scene scene = scene_new();

	(void)state;
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	object_name(&scene, name);
	scene_free(&scene);
	scene = scene_new();
	snprintf(body, sizeof(body), DONE ",\"" LB "\":[{\"policyname\":\"%s\"},"
		"{\"policyname\":\"certauto-acme-6b000000-0123456789abcdef-x\"}]}", name);
	device_tell(scene.device, "GET " LB, 200, body, 0);
	device_tell(scene.device, "DELETE " LB, 599, NO("3093", "not bound"), 0);
	device_start(scene.device);
	assert_int_equal(certauto_target_cleanup(scene.target, "http-01", "a.example.org", TOKEN,
		NULL, TIMEOUT_MS), 0);
	snprintf(wanted, sizeof(wanted),
		"GET " LB "/web \nDELETE " LB "/web?args=policyname:%s \n"
		"DELETE responderpolicy/%s \nDELETE responderaction/%s \n", name, name, name);
	assert_string_equal(scene.device->log, wanted);
	scene_free(&scene);
}

/* A yes that cannot be read for want of memory is no device's refusal. What was put up cannot
 * always be taken back then. */
static void short_of_memory(struct scene *scene, int (*run)(struct scene *))
{
	long before = certauto__alloc_count(), i, n;
	int sticky, rc;

	assert_int_equal(run(scene), 0);
	n = certauto__alloc_count() - before;
	assert_in_range(n, 100, 2000);
	for (i = 1; i <= n; i++) {
		for (sticky = 0; sticky <= 1; sticky++) {
			scene->device->log[0] = '\0';
			certauto__alloc_fail_at(i, sticky);
			rc = run(scene);
			certauto__alloc_fail_at(0, 0);
			if (rc != 0 && rc != CERTAUTO_ENOMEM && rc != CERTAUTO_EROLLBACK)
				fail_msg("%ld, %d: %d (%s)", i, sticky, rc,
					lab_message(scene->lab));
		}
	}
}

static int oom_present(struct scene *scene)
{
	return present(scene, "a.example.org");
}

static int oom_cleanup(struct scene *scene)
{
	return certauto_target_cleanup(scene->target, "http-01", "a.example.org", TOKEN, NULL,
		TIMEOUT_MS);
}

static int oom_test(struct scene *scene)
{
	return certauto_target_test(scene->target, TIMEOUT_MS);
}

static void test_netscaler__short_of_memory_is_told(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	lab_set(scene.target, "ha", "follow");
	lab_set(scene.target, "partition", "p1");
	device_tell(scene.device, "GET hanode", 200, DONE ",\"hanode\":[{\"state\":\"Primary\","
		"\"ipaddress\":\"127.0.0.1\"},{\"state\":\"Secondary\"}]}", 0);
	device_start(scene.device);
	short_of_memory(&scene, oom_present);
	short_of_memory(&scene, oom_cleanup);
	short_of_memory(&scene, oom_test);
	lab_set(scene.target, "challenge_mode", "stateless");
	short_of_memory(&scene, oom_present);
	scene_free(&scene);
}

/* ---- stateless ---- */

static void test_stateless__is_put_up_once_and_saved(void **state)
{
	char name[CERTAUTO__NS_NAME], body[512];
	struct scene scene = scene_new();

	(void)state;
	lab_set(scene.target, "challenge_mode", "stateless");
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), 0);
	asks(&scene, "HTTP.REQ.URL.PATH.STARTSWITH(\\\"/.well-known/acme-challenge/\\\")");
	asks(&scene, " + HTTP.REQ.URL.PATH.AFTER_STR(\\\"/.well-known/acme-challenge/\\\") + "
		"\\\"." THUMBPRINT "\\\"\"");
	asks(&scene, "POST nsconfig?action=save");
	assert_int_equal(asked(&scene, TOKEN), 0);
	object_name(&scene, name);
	scene_free(&scene);
	scene = scene_new();
	lab_set(scene.target, "challenge_mode", "stateless");
	snprintf(body, sizeof(body),
		DONE ",\"" LB "\":[{\"policyname\":\"%s\",\"priority\":\"100\"}]}", name);
	device_tell(scene.device, "GET " LB, 200, body, 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "b.example.org"), 0);
	assert_int_equal(certauto_target_cleanup(scene.target, "http-01", "b.example.org", TOKEN,
		NULL, TIMEOUT_MS), 0);
	assert_string_equal(scene.device->log, "GET " LB "/web \n");
	scene_free(&scene);
}

static void test_stateless__another_account_is_not_pushed_aside(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	lab_set(scene.target, "challenge_mode", "stateless");
	device_tell(scene.device, "GET " LB, 200, DONE ",\"" LB "\":[{\"policyname\":"
		"\"certauto-stateless-00000000\",\"priority\":\"100\"}]}", 0);
	device_start(scene.device);
	assert_int_equal(present(&scene, "a.example.org"), CERTAUTO_EREFUSED);
	lab_says(scene.lab, "another ACME account");
	assert_int_equal(asked(&scene, "\n"), 1);
	scene_free(&scene);
}

/* ---- a key that the device makes ---- */

static int make_csr(struct scene *scene, const char *key, const char *name)
{
	certauto_csr *csr = NULL;
	int rc = certauto_target_make_csr(&csr, scene->target, "shop", key, &name, 1, TIMEOUT_MS);

	certauto_csr_free(csr);
	return rc;
}

static void test_csr__a_request_for_other_names_is_not_taken(void **state)
{
	struct scene scene = scene_new();
	const char *name = "a.example.org";
	certauto_key *key = NULL;
	certauto_csr *csr = NULL;
	unsigned char *pem;
	size_t len, i;
	char body[4096] = DONE ",\"systemfile\":[{\"filecontent\":\"";
	certauto__buffer coded = CERTAUTO__BUFFER(4096);

	(void)state;
	assert_int_equal(certauto_key_new(&key, scene.lab->cx, "ecdsa-p256"), 0);
	assert_int_equal(certauto_csr_new(&csr, scene.lab->cx, key, &name, 1), 0);
	assert_int_equal(certauto_csr_format(&pem, &len, csr), 0);
	certauto__base64url_encode(&coded, pem, len);
	for (i = 0; i < coded.len; i++)
		coded.data[i] = (char)(coded.data[i] == '-' ? '+' :
			coded.data[i] == '_' ? '/' : coded.data[i]);
	while (coded.len % 4 != 0)
		certauto__buffer_text_add(&coded, "=");
	snprintf(body + strlen(body), sizeof(body) - strlen(body), "%s\"}]}", coded.data);
	device_tell(scene.device, "GET systemfile", 200, body, 0);
	device_start(scene.device);
	assert_int_equal(make_csr(&scene, "ecdsa-p256", "a.example.org"), 0);
	asks(&scene, "\"curve\":\"P_256\"");
	asks(&scene, "\"subjectaltname\":\"DNS:a.example.org\"");
	assert_int_equal(asked(&scene, "DELETE "), 0);
	assert_int_equal(make_csr(&scene, "rsa-3072", "b.example.org"), CERTAUTO_EPROTO);
	asks(&scene, "\"bits\":3072");
	assert_int_equal(asked(&scene, "DELETE systemfile/certauto-shop-rsa-3072-"), 2);
	certauto_mem_free(pem);
	certauto_csr_free(csr);
	certauto_key_free(key);
	certauto__buffer_free(&coded);
	scene_free(&scene);
}

static void test_csr__what_was_refused_is_not_taken_back(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_tell(scene.device, "POST sslcertreq", 599,
		NO("1106", "String length exceeds maximum [subjectaltname, 127]"), 0);
	device_tell(scene.device, "POST sslrsakey", 403, NO("2138", "Not authorized"), 0);
	device_start(scene.device);
	assert_int_equal(make_csr(&scene, "ecdsa-p384", "*.example.org"), CERTAUTO_EREFUSED);
	lab_says(scene.lab, "code 1106");
	assert_null(strstr(scene.device->log, "commonname"));
	assert_int_equal(asked(&scene, ".key?args=filelocation:"), 1);
	assert_int_equal(make_csr(&scene, "rsa-2048", "a.example.org"), CERTAUTO_EPERM);
	assert_int_equal(asked(&scene, "rsa-2048-"), 1);
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_present__is_four_calls_with_a_match_on_host_and_path),
		cmocka_unit_test(test_present__an_ipv6_address_stands_in_brackets),
		cmocka_unit_test(test_present__a_long_answer_is_several_literals),
		cmocka_unit_test(test_present__what_could_leave_its_quotes_is_refused),
		cmocka_unit_test(test_present__is_in_front_of_what_is_bound),
		cmocka_unit_test(test_present__a_priority_that_others_took_is_passed_over),
		cmocka_unit_test(test_present__what_is_bound_already_stays_where_it_is),
		cmocka_unit_test(test_present__the_type_is_looked_up),
		cmocka_unit_test(test_present__a_vserver_that_is_not_there_is_named),
		cmocka_unit_test(test_present__without_a_vserver_the_option_is_named),
		cmocka_unit_test(test_present__gateways_call_the_policy_otherwise),
		cmocka_unit_test(test_present__what_a_dead_run_left_is_swept),
		cmocka_unit_test(test_present__a_namesake_of_others_is_neither_used_nor_removed),
		cmocka_unit_test(test_present__one_that_is_there_already_is_used),
		cmocka_unit_test(test_cleanup__finds_what_an_earlier_process_made),
		cmocka_unit_test(test_netscaler__short_of_memory_is_told),
		cmocka_unit_test(test_stateless__is_put_up_once_and_saved),
		cmocka_unit_test(test_stateless__another_account_is_not_pushed_aside),
		cmocka_unit_test(test_csr__a_request_for_other_names_is_not_taken),
		cmocka_unit_test(test_csr__what_was_refused_is_not_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
