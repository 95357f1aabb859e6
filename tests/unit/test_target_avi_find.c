/* SPDX-License-Identifier: Apache-2.0 */
/* How the avi target reads a virtual service, and what it makes of answers that the simulated
 * controller does not give: without names, without objects, and without memory for them. */

#include "unit_target.h"

#include "fake_avi.h"

#include "core/memory.h"
#include "targets/avi_present.h"
#include "targets/targets.h"

#define TIMEOUT_MS 10000
#define NAME "a.example.org"
#define TOKEN "tok_abcdefghijklmnopqrst-0123456789"
#define VALUE TOKEN ".thumb"
#define VIP_RESULTS "\"results\":[{\"uuid\":\"vsvip-1\",\"dns_info\":[{\"fqdn\":" \
	"\"A.example.org\"}],\"vip\":[{\"ip_address\":{\"addr\":\"192.0.2.1\"}}]}]"
#define VIPS "{\"count\":1," VIP_RESULTS "}"
#define CLOSED "\"uuid\":\"virtualservice-1\",\"name\":\"shop\""
#define SERVICE CLOSED ",\"services\":[{\"port\":80}]"
#define CHILD ",\"type\":\"VS_TYPE_VH_CHILD\",\"vh_parent_vs_ref\":\"virtualservice-1\"," \
	"\"vh_domain_name\":[\"" NAME "\"]"
#define MARKED(name) ",\"http_policies\":[{\"index\":1065537,\"http_policy_set_ref\":" \
	"\"https://c/api/httppolicyset/httppolicyset-2" name "\"}]"
#define ATTACHED ",\"http_policies\":[{\"index\":1000009,\"http_policy_set_ref\":" \
	"\"https://c/api/httppolicyset/httppolicyset-1#x\"}]"

/* ---- what is read ---- */

static void test_port80__is_what_the_services_say(void **state)
{
	static const struct {
		const char *ports, *ends, *tls, *http2;
		const char *wanted; /* plain, tls, alone, http2 */
	} cases[] = {
		{NULL, NULL, NULL, NULL, "0000"},
		{"80", "80", "false", "false", "1011"},
		{"80", NULL, NULL, NULL, "1010"},
		{"443,80", "443,", "true,", ",", "1010"},
		{"443,80", "443,80", "true,true", "", "0100"},
		{"79", "81", "false", "false", "1001"},
		{"81", "90", "false", "false", "0001"},
		{"1", "79", "false", "", "0000"},
		{"80", "80", "false", "true", "1001"},
		{"x,80", "80", ",false", "", "1010"},
		{"80", "7", "false", "", "1010"},
	};
	const char *vs[CERTAUTO__AVI_VS_N] = {NULL};
	struct certauto__avi_port80 port80;
	char seen[16];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vs[CERTAUTO__AVI_VS_PORTS] = cases[i].ports;
		vs[CERTAUTO__AVI_VS_ENDS] = cases[i].ends;
		vs[CERTAUTO__AVI_VS_TLS] = cases[i].tls;
		vs[CERTAUTO__AVI_VS_HTTP2] = cases[i].http2;
		certauto__avi_port80(&port80, vs);
		snprintf(seen, sizeof(seen), "%d%d%d%d", port80.is_plain, port80.is_tls,
			port80.is_alone, port80.with_http2);
		assert_string_equal(seen, cases[i].wanted);
	}
}

static void test_sets__are_told_by_their_names(void **state)
{
	const char *vs[CERTAUTO__AVI_VS_N] = {
		[CERTAUTO__AVI_VS_SETS] = "/api/httppolicyset/s-1,https://c/api/httppolicyset/s-2"
			"#p-acme-6b000000-0123456789abcdef-x,/api/httppolicyset/s-3"
			"#p-acme-port80-01234567",
		[CERTAUTO__AVI_VS_INDEXES] = "11,,1000001"};
	struct certauto__avi_sets at;
	struct certauto__avi_set set;

	(void)state;
	certauto__avi_sets_begin(&at, vs);
	assert_int_equal(certauto__avi_sets_next(&at, &set), 1);
	assert_string_equal(set.uuid, "s-1");
	assert_string_equal(set.name, "");
	assert_string_equal(set.index, "11");
	assert_int_equal(certauto__avi_sets_next(&at, &set), 1);
	assert_string_equal(set.index, "");
	assert_int_equal(certauto__avi_sets_next(&at, &set), 1);
	assert_int_equal(certauto__avi_sets_next(&at, &set), 0);
	assert_int_equal(certauto__avi_mark(&set, vs, NULL), 1);
	assert_string_equal(set.uuid, "s-3");
	assert_string_equal(set.index, "1000001");
	assert_int_equal(certauto__avi_has_answer(vs, NULL), 1);
	assert_int_equal(certauto__avi_has_answer(vs, "s-1"), 1);
	assert_int_equal(certauto__avi_has_answer(vs, "s-2"), 0);
	assert_int_equal(certauto__avi_is_nameless(vs), 1);
	vs[CERTAUTO__AVI_VS_SETS] = "/api/httppolicyset/s-1#own";
	assert_int_equal(certauto__avi_mark(&set, vs, NULL), 0);
	assert_int_equal(certauto__avi_mark(&set, vs, "s-1"), 1);
	assert_int_equal(certauto__avi_has_answer(vs, NULL), 0);
	assert_int_equal(certauto__avi_is_nameless(vs), 0);
}

/* What closes port 80: one service is left out, whatever is in the others. */
static void test_edit__leaves_out_one_item(void **state)
{
	static const char object[] = "{\"a\":[[1],[2]],\"services\":[{\"port\":443,\"x\":[1]},"
		"{\"port\":80,\"x\":[{}]},{\"port\":8080}],\"services[]\":1,"
		"\"b\":{\"services\":[1]}}";
	static const struct {
		const char *path, *wanted;
	} cases[] = {
		{"services[1]", "{\"a\":[[1],[2]],\"services\":[{\"port\":443,\"x\":[1]},"
			"{\"port\":8080}],\"services[]\":1,\"b\":{\"services\":[1]}}"},
		{"services[0]", "{\"a\":[[1],[2]],\"services\":[{\"port\":80,\"x\":[{}]},"
			"{\"port\":8080}],\"services[]\":1,\"b\":{\"services\":[1]}}"},
		{"services[3]", object},
		{"none[0]", object},
	};
	certauto__buffer out = CERTAUTO__BUFFER(4096);
	struct certauto__rest_edit edit = {NULL, NULL};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		edit.path = cases[i].path;
		assert_int_equal(
			certauto__rest_edit(&out, object, strlen(object), &edit, 1, NULL), 0);
		assert_string_equal(out.data, cases[i].wanted);
		certauto__buffer_clear(&out);
	}
	certauto__buffer_free(&out);
}

/* ---- a controller ---- */

struct scene {
	struct lab *lab;
	struct controller *controller;
	certauto_target *target;
};

static struct scene scene_new(void)
{
	struct scene scene = {lab_new(), calloc(1, sizeof(*scene.controller)), NULL};
	char url[64];

	assert_non_null(scene.controller);
	device_bind(&scene.controller->device, INADDR_LOOPBACK, 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", scene.controller->device.port);
	assert_int_equal(certauto__target_make_row(&scene.target, scene.lab->cx,
				 &certauto__target_avi, "edge", NULL), 0);
	lab_set(scene.target, "url", url);
	lab_set(scene.target, "insecure", "yes");
	lab_set(scene.target, "user", "admin");
	lab_set(scene.target, "password", "right");
	lab_set(scene.target, "challenge_check", "no");
	lab_set(scene.target, "settle_ms", "0");
	return scene;
}

static void scene_free(struct scene *scene)
{
	certauto_target_free(scene->target);
	lab_free(scene->lab);
	device_end(&scene->controller->device);
	free(scene->controller);
}

static void tell(struct scene *scene, const char *request, int status, const char *body, int times)
{
	device_tell(&scene->controller->device, request, status, body, times);
}

/* What is told first counts. */
static void start(struct scene *scene)
{
	tell(scene, "GET /api/vsvip", 200, VIPS, 0);
	tell(scene, "GET /api/virtualservice?vsvip_ref=vsvip-1&", 200,
		"{\"count\":1,\"results\":[{" SERVICE "}]}", 0);
	tell(scene, "GET /api/virtualservice/virtualservice-1", 200, "{" SERVICE ATTACHED "}", 0);
	tell(scene, "POST /api/httppolicyset", 201, "{\"uuid\":\"httppolicyset-1\"}", 0);
	tell(scene, "PATCH /api/virtualservice/virtualservice-1", 200, "{" SERVICE ATTACHED "}", 0);
	device_start(&scene->controller->device);
}

static int present(struct scene *scene)
{
	return certauto_target_present(
		scene->target, "http-01", NAME, TOKEN, VALUE, TIMEOUT_MS);
}

static int cleanup(struct scene *scene)
{
	return certauto_target_cleanup(scene->target, "http-01", NAME, TOKEN, NULL, TIMEOUT_MS);
}

static void ok(struct scene *scene, int rc)
{
	if (rc < 0)
		fail_msg("%s\n%s", lab_message(scene->lab), scene->controller->device.log);
}

/* ---- what it says, and what it makes of answers ---- */

/* Nobody else's may be taken for one: it would be removed, or keep port 80 open. */
static void test_names__of_others_are_not_ours(void **state)
{
	static const char *const others[] = {"", "p-acme-", "p-acme-policy", "p-acme-port80-",
		"p-acme-port80-0123456", "p-acme-port80-redirect", "p-acme-port80-012345678",
		"p-acme-6b000000", "p-acme-6b000000-0123456789abcde-x",
		"p-acme-6b000000-0123456789abcdef", "p-acme-6b00000-0123456789abcdef-x"};
	static const char *const answers[] = {"p-acme-6b000000-0123456789abcdef-",
		"-acme-x-acme-6b000000-0123456789abcdef-port80-01234567"};
	char ref[512], name[CERTAUTO__AVI_NAME];
	const char *vs[CERTAUTO__AVI_VS_N] = {[CERTAUTO__AVI_VS_SETS] = ref};
	struct scene scene = scene_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(ref, sizeof(ref), "/api/httppolicyset/s-1#%s", others[i]);
		assert_int_equal(certauto__avi_has_answer(vs, NULL), 0);
		assert_int_equal(certauto__avi_is_mark(others[i]), 0);
	}
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		snprintf(ref, sizeof(ref), "/api/httppolicyset/s-1#%s", answers[i]);
		assert_int_equal(certauto__avi_has_answer(vs, NULL), 1);
		assert_int_equal(certauto__avi_is_mark(answers[i]), 0);
	}
	lab_set(scene.target, "prefix", "x-acme-port80-0");
	certauto__avi_mark_name(name, scene.target, "virtualservice-1");
	assert_int_equal(certauto__avi_is_mark(name), 1);
	certauto__avi_answer(name, scene.target, NAME, TOKEN, 0x6b000000);
	snprintf(ref, sizeof(ref), "/api/httppolicyset/s-1#%s", name);
	assert_int_equal(certauto__avi_has_answer(vs, NULL), 1);
	assert_int_equal(certauto__avi_is_mark(name), 0);
	device_start(&scene.controller->device);
	scene_free(&scene);
}

static void test_present__is_one_entry_with_an_index_out_of_the_way(void **state)
{
	struct scene scene = scene_new();
	int index = 0;
	const char *at;

	(void)state;
	start(&scene);
	ok(&scene, present(&scene));
	at = strstr(scene.controller->last, "{\"add\":{\"http_policies\":[{\"http_policy_set_ref\":"
		"\"/api/httppolicyset/httppolicyset-1\",\"index\":");
	assert_non_null(at);
	assert_int_equal(sscanf(strstr(at, "\"index\":"), "\"index\":%d}]}}", &index), 1);
	assert_in_range(index, 1000001, 1000001 + 65535);
	scene_free(&scene);
}

/* Of 201 and 200 some releases send no body. */
static void test_present__what_came_without_an_object_is_looked_at(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "POST /api/httppolicyset", 201, "", 1);
	tell(&scene, "GET /api/httppolicyset?name=certauto-acme-", 200,
		"{\"count\":1,\"results\":[{\"uuid\":\"httppolicyset-1\"}]}", 0);
	tell(&scene, "PATCH /api/virtualservice/virtualservice-1", 200, "", 1);
	start(&scene);
	ok(&scene, present(&scene));
	assert_non_null(strstr(scene.controller->device.log,
		"GET /api/virtualservice/virtualservice-1?include_name=true\n"));
	scene_free(&scene);
}

static void test_present__what_does_not_come_about_is_not_tried_for_ever(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "PATCH /api/virtualservice/virtualservice-1", 200, "{" SERVICE "}", 0);
	start(&scene);
	assert_int_equal(present(&scene), CERTAUTO_EPROTO);
	lab_says(scene.lab, "does not stay attached to the virtual service \"shop\"");
	assert_in_range(scene.controller->device.n_calls, 10, 60);
	scene_free(&scene);
}

/* A name that is taken, by a set that nobody may see. */
static void test_mark__that_is_never_found_is_not_looked_for_for_ever(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "GET /api/virtualservice?vsvip_ref=vsvip-1&", 200,
		"{\"count\":1,\"results\":[{\"uuid\":\"virtualservice-1\",\"name\":\"shop\"}]}", 0);
	tell(&scene, "POST /api/httppolicyset", 201, "{\"uuid\":\"httppolicyset-1\"}", 1);
	tell(&scene, "POST /api/httppolicyset", 409, "{\"error\":\"exists\"}", 0);
	start(&scene);
	if (present(&scene) != CERTAUTO_EREFUSED)
		fail_msg("%s", lab_message(scene.lab));
	lab_says(scene.lab, "marks port 80 as opened at the virtual service \"shop\"");
	assert_in_range(scene.controller->device.n_calls, 10, 60);
	scene_free(&scene);
}

static void test_find__more_than_can_be_is_not_asked_for(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "GET /api/vsvip", 200, "{\"count\":2000000000,\"results\":[]}", 0);
	start(&scene);
	assert_int_equal(present(&scene), CERTAUTO_ENOTFOUND);
	assert_in_range(scene.controller->device.n_calls, 50, 60);
	scene_free(&scene);
}

/* Fewer than there were a page ago. */
static void test_find__a_page_that_has_gone_was_the_last(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "GET /api/vsvip", 200, "{\"count\":201," VIP_RESULTS "}", 1);
	tell(&scene, "GET /api/vsvip", 404, "{\"error\":\"Invalid page\"}", 1);
	start(&scene);
	ok(&scene, present(&scene));
	scene_free(&scene);
}

static void test_find__an_address_of_ipv6_by_its_vip(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "GET /api/vsvip", 200, "{\"count\":1,\"results\":[{\"uuid\":\"vsvip-1\","
		"\"vip\":[{\"ip6_address\":{\"addr\":\"2001:db8::1\"}}]}]}", 0);
	start(&scene);
	ok(&scene, certauto_target_present(
		scene.target, "http-01", "2001:db8::1", TOKEN, VALUE, TIMEOUT_MS));
	scene_free(&scene);
}

/* Whatever the controller makes of the filter. */
static void test_find__another_one_than_was_asked_for_is_not_taken(void **state)
{
	static const char *const options[] = {"sho", "virtualservice-2"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct scene scene = scene_new();

		lab_set(scene.target, "virtualservice", options[i]);
		tell(&scene, "GET /api/virtualservice?", 200,
			"{\"count\":1,\"results\":[{" SERVICE "}]}", 0);
		start(&scene);
		assert_int_equal(present(&scene), CERTAUTO_ENOTFOUND);
		assert_null(strstr(scene.controller->device.log, "POST /api"));
		scene_free(&scene);
	}
}

static void test_find__a_parent_that_is_a_child_is_no_way_without_an_end(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "GET /api/virtualservice?vsvip_ref=vsvip-1&", 200, "{\"count\":1,\"results\":["
		"{" SERVICE CHILD "}]}", 0);
	tell(&scene, "GET /api/virtualservice/virtualservice-1", 200, "{" SERVICE CHILD "}", 2);
	start(&scene);
	ok(&scene, present(&scene));
	assert_in_range(scene.controller->device.n_calls, 4, 20);
	scene_free(&scene);
}

/* Then they are asked for: by them it is known that nobody needs port 80. */
static void test_leave__an_answer_without_names_is_looked_at(void **state)
{
	struct scene scene = scene_new();
	char object[CERTAUTO__AVI_NAME], list[1024];
	const char *log = scene.controller->device.log;

	(void)state;
	certauto__avi_answer(object, scene.target, NAME, TOKEN, 0x6b000000);
	snprintf(list, sizeof(list), "{\"count\":1,\"results\":[{\"uuid\":\"httppolicyset-1\","
		"\"name\":\"%s\"}]}", object);
	tell(&scene, "GET /api/httppolicyset?name.contains", 200, list, 0);
	tell(&scene, "GET /api/virtualservice?refers_to", 200,
		"{\"count\":1,\"results\":[{" SERVICE ATTACHED "}]}", 0);
	tell(&scene, "PATCH /api/virtualservice/virtualservice-1", 200, "{" SERVICE MARKED("") "}",
		0);
	tell(&scene, "GET /api/virtualservice/virtualservice-1", 200,
		"{" SERVICE MARKED("#p-acme-port80-01234567") "}", 0);
	tell(&scene, "PUT /api/virtualservice/virtualservice-1", 200, "{" CLOSED "}", 0);
	start(&scene);
	ok(&scene, cleanup(&scene));
	assert_non_null(strstr(log, "PUT /api/virtualservice/virtualservice-1"));
	assert_non_null(strstr(log, "DELETE /api/httppolicyset/httppolicyset-1"));
	assert_non_null(strstr(log, "DELETE /api/httppolicyset/httppolicyset-2"));
	scene_free(&scene);
}

static void test_cleanup__of_what_is_not_there_is_done(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	start(&scene);
	ok(&scene, cleanup(&scene));
	assert_null(strstr(scene.controller->device.log, "DELETE"));
	scene_free(&scene);
}

/* ---- memory ---- */

static void short_of_memory(struct scene *scene, int (*run)(struct scene *))
{
	long before = certauto__alloc_count(), i, n;
	int sticky, rc;

	ok(scene, run(scene));
	n = certauto__alloc_count() - before;
	assert_in_range(n, 50, 3000);
	for (i = 1; i <= n; i++) {
		for (sticky = 0; sticky <= 1; sticky++) {
			scene->controller->device.log[0] = '\0';
			certauto__alloc_fail_at(i, sticky);
			rc = run(scene);
			certauto__alloc_fail_at(0, 0);
			if (rc != 0 && rc != CERTAUTO_ENOMEM && rc != CERTAUTO_EROLLBACK)
				fail_msg("%ld, %d: %d (%s)", i, sticky, rc,
					lab_message(scene->lab));
		}
	}
}

/* What is behind the line break would be the fields of somebody else's. */
static void test_find__a_name_with_line_breaks_is_one_name(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "GET /api/virtualservice?vsvip_ref=vsvip-1&", 200,
		"{\"count\":1,\"results\":[{\"uuid\":\"virtualservice-1\",\"name\":\"shop\\ntrue"
		"\\nVS_TYPE_VH_CHILD\\n\\nvirtualservice-2\\n\\n\\n\\n\\n\\n\\n\","
		"\"services\":[{\"port\":80}]}]}", 0);
	start(&scene);
	ok(&scene, present(&scene));
	assert_null(strstr(scene.controller->device.log, "virtualservice-2"));
	assert_non_null(strstr(scene.controller->device.log, "PATCH /api/virtualservice/virtual"));
	scene_free(&scene);
}

static void test_present__an_id_of_the_controller_does_not_lead_elsewhere(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	tell(&scene, "POST /api/httppolicyset", 201, "{\"uuid\":\"../user/user-1\"}", 0);
	tell(&scene, "GET /api/httppolicyset?name.contains=", 200, NOTHING, 0);
	tell(&scene, "PATCH /api/virtualservice/virtualservice-1", 400, "{\"error\":\"no\"}", 0);
	start(&scene);
	assert_true(present(&scene) < 0);
	assert_null(strstr(scene.controller->device.log, "DELETE /api/httppolicyset/../"));
	assert_non_null(strstr(scene.controller->device.log,
		"DELETE /api/httppolicyset/..%2Fuser%2Fuser-1\n"));
	scene_free(&scene);
}

static void test_cleanup__an_odd_answer_does_not_say_that_nothing_is_there(void **state)
{
	static const char *const bodies[] = {"", "null", "[]", "{}", "\"maintenance\"",
		"{\"results\":\"x\"}", "{\"count\":1}", "{\"message\":\"be back soon\"}"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct scene scene = scene_new();

		tell(&scene, "GET /api/httppolicyset?name.contains=", 200, bodies[i], 0);
		start(&scene);
		assert_int_equal(cleanup(&scene), CERTAUTO_EPROTO);
		lab_says(scene.lab, "the answer is ");
		scene_free(&scene);
	}
}

static void test_present__short_of_memory_is_told(void **state)
{
	struct scene scene = scene_new();
	char object[CERTAUTO__AVI_NAME], list[1024];

	(void)state;
	certauto__avi_answer(object, scene.target, NAME, TOKEN, 0x6b000000);
	snprintf(list, sizeof(list), "{\"count\":1,\"results\":[{\"uuid\":\"httppolicyset-1\","
		"\"name\":\"%s\"}]}", object);
	tell(&scene, "GET /api/httppolicyset?name.contains", 200, list, 0);
	start(&scene);
	short_of_memory(&scene, present);
	short_of_memory(&scene, cleanup);
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port80__is_what_the_services_say),
		cmocka_unit_test(test_sets__are_told_by_their_names),
		cmocka_unit_test(test_edit__leaves_out_one_item),
		cmocka_unit_test(test_present__is_one_entry_with_an_index_out_of_the_way),
		cmocka_unit_test(test_present__what_came_without_an_object_is_looked_at),
		cmocka_unit_test(test_present__what_does_not_come_about_is_not_tried_for_ever),
		cmocka_unit_test(test_names__of_others_are_not_ours),
		cmocka_unit_test(test_mark__that_is_never_found_is_not_looked_for_for_ever),
		cmocka_unit_test(test_find__more_than_can_be_is_not_asked_for),
		cmocka_unit_test(test_find__a_page_that_has_gone_was_the_last),
		cmocka_unit_test(test_find__an_address_of_ipv6_by_its_vip),
		cmocka_unit_test(test_find__another_one_than_was_asked_for_is_not_taken),
		cmocka_unit_test(test_find__a_parent_that_is_a_child_is_no_way_without_an_end),
		cmocka_unit_test(test_leave__an_answer_without_names_is_looked_at),
		cmocka_unit_test(test_cleanup__of_what_is_not_there_is_done),
		cmocka_unit_test(test_find__a_name_with_line_breaks_is_one_name),
		cmocka_unit_test(test_present__an_id_of_the_controller_does_not_lead_elsewhere),
		cmocka_unit_test(test_cleanup__an_odd_answer_does_not_say_that_nothing_is_there),
		cmocka_unit_test(test_present__short_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
