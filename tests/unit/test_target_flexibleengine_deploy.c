/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate onto listeners of FlexibleEngine where memory is short, and onto services that
 * answer otherwise than the simulator of tests/sim does. Against one that has a listener, one
 * certificate of somebody's and one of ours. */

#include "unit_target.h"

#include "fake_device.h"

#include "core/memory.h"
#include "jobs/engine.h"
#include "targets/fe.h"
#include "targets/targets.h"

#define TIMEOUT_MS 10000
#define NAME "shop.example.org"
#define OURS "certauto-shop-ecdsa-p256"
#define WRAPPED "{\"certificate\":"

/* Besides what all devices have. */
struct elb {
	struct device device;
	char ref[16];          /* the listener's default certificate */
	char cert[8000];       /* ours as it was sent last; "": there is none */
	int is_named;          /* cert tells its name itself */
};

static struct elb *elb_of(struct device *device)
{
	return (struct elb *)device; /* it comes first */
}

static void elb_listener(struct elb *elb, int fd)
{
	char text[512];

	snprintf(text, sizeof(text), "{\"listener\":{\"id\":\"b1\",\"protocol\":\"HTTPS\","
		"\"default_tls_container_ref\":\"%s\",\"sni_container_refs\":[\"c2\"]}}", elb->ref);
	device_say(fd, 200, "", text);
}

/* Whatever the filter is: all there are. */
static void elb_list(struct elb *elb, int fd)
{
	char text[8192];

	snprintf(text, sizeof(text),
		"{\"certificates\":[{\"id\":\"c0\",\"name\":\"theirs\"}%s%s%s]}",
		elb->cert[0] != '\0' ? ",{\"id\":\"c1\"," : "",
		elb->cert[0] != '\0' && !elb->is_named
			? "\"name\":\"" OURS "\",\"description\":\"certauto\"," : "",
		elb->cert[0] != '\0' ? elb->cert + 1 : "");
	device_say(fd, 200, "", text);
}

static void elb_certificates(struct elb *elb, int fd, const char *method, const char *body)
{
	size_t len = strlen(body);

	if (strcmp(method, "GET") == 0) {
		elb_list(elb, fd);
	} else if (strcmp(method, "DELETE") == 0) {
		elb->cert[0] = '\0';
		device_say(fd, 204, "", "");
	} else {
		assert_int_equal(strncmp(body, WRAPPED "{", strlen(WRAPPED) + 1), 0);
		snprintf(elb->cert, sizeof(elb->cert), "%.*s", (int)(len - strlen(WRAPPED) - 1),
			body + strlen(WRAPPED));
		elb->is_named = strcmp(method, "POST") == 0;
		device_say(fd, elb->is_named ? 201 : 200, "", "{\"certificate\":{\"id\":\"c1\"}}");
	}
}

static inline void device_answer(struct device *device, int fd, const char *text, const char *body)
{
	struct elb *elb = elb_of(device);
	char method[16], path[1024], request[1100];
	size_t len = strlen(device->log);
	struct line *line;
	const char *ref;

	assert_int_equal(sscanf(text, "%15s %1023s", method, path), 2);
	snprintf(request, sizeof(request), "%s %s", method, path);
	snprintf(device->log + len, sizeof(device->log) - len, "%s\n", request);
	assert_non_null(strstr(text, "Authorization: SDK-HMAC-SHA256 Access=AK, "));
	if ((line = device_line(device, request)) != NULL) {
		device_reply(fd, line, "", "");
	} else if (strstr(path, "/elb/certificates") != NULL) {
		elb_certificates(elb, fd, method, body);
	} else {
		if ((ref = strstr(body, "\"default_tls_container_ref\":\"")) != NULL)
			assert_int_equal(sscanf(ref + 29, "%15[a-z0-9]", elb->ref), 1);
		elb_listener(elb, fd);
	}
}

/* All that one test needs. */
struct scene {
	struct lab *lab;
	struct elb *elb;
	certauto_target *target;
	struct lab_pair pair;
};

static void target_make(struct scene *scene)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d", scene->elb->device.port);
	assert_int_equal(certauto__target_make_row(&scene->target, scene->lab->cx,
				 &certauto__target_flexibleengine, "edge", NULL), 0);
	lab_set(scene->target, "access_key", "AK");
	lab_set(scene->target, "secret_key", "SK");
	lab_set(scene->target, "region", "eu-west-0");
	lab_set(scene->target, "project_id", "a1");
	lab_set(scene->target, "insecure", "yes");
	lab_set(scene->target, "allow_key_over_insecure", "yes");
	lab_set(scene->target, "dns_url", url);
	lab_set(scene->target, "elb_url", url);
	lab_set(scene->target, "elb_v2_url", url);
	lab_set(scene->target, "listener", "b1");
	lab_set(scene->target, "probe", "no");
}

/* A new process, and the service as it was in the beginning. */
static void scene_again(struct scene *scene)
{
	struct lab_kept kept;

	lab_keep(&kept, &scene->pair);
	lab_pair_free(&scene->pair);
	certauto_target_free(scene->target);
	lab_restart(scene->lab);
	target_make(scene);
	lab_pair_again(scene->lab, &scene->pair, &kept);
	strcpy(scene->elb->ref, "c0");
	scene->elb->cert[0] = scene->elb->device.log[0] = '\0';
}

static struct scene scene_new(void)
{
	struct scene scene = {.lab = lab_new(), .elb = calloc(1, sizeof(*scene.elb))};

	assert_non_null(scene.elb);
	device_bind(&scene.elb->device, INADDR_LOOPBACK, 0);
	strcpy(scene.elb->ref, "c0");
	lab_pair_make(scene.lab, &scene.pair, NAME, 90);
	target_make(&scene);
	return scene;
}

static void scene_free(struct scene *scene)
{
	lab_pair_free(&scene->pair);
	certauto_target_free(scene->target);
	lab_free(scene->lab);
	device_end(&scene->elb->device);
	free(scene->elb);
}

static int deploy(struct scene *scene)
{
	return certauto_target_deploy(
		scene->target, "shop", scene->pair.chain, scene->pair.key, TIMEOUT_MS);
}

static int n_of(const struct scene *scene, const char *request)
{
	const char *at = scene->elb->device.log;
	int n = 0;

	for (; (at = strstr(at, request)) != NULL; at += strlen(request))
		n++;
	return n;
}

static int n_writes(const struct scene *scene)
{
	return n_of(scene, "POST ") + n_of(scene, "PUT ") + n_of(scene, "DELETE ");
}

/* ---- what is done ---- */

static void test_deploy__is_made_once_and_then_changed_in_place(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_start(&scene.elb->device);
	assert_int_equal(deploy(&scene), 0);
	assert_int_equal(n_of(&scene, "POST /v3/a1/elb/certificates\n"), 1);
	assert_int_equal(n_of(&scene, "PUT /v3/a1/elb/listeners/b1\n"), 1);
	assert_string_equal(scene.elb->ref, "c1");
	assert_int_equal(deploy(&scene), 0);
	assert_int_equal(n_writes(&scene), 2);
	lab_pair_free(&scene.pair);
	lab_pair_make(scene.lab, &scene.pair, NAME, 60);
	assert_int_equal(deploy(&scene), 0);
	assert_int_equal(n_of(&scene, "PUT /v3/a1/elb/certificates/c1\n"), 1);
	assert_int_equal(n_writes(&scene), 3);
	scene_free(&scene);
}

/* Its words and what they mean; nothing has been changed by then. */
static void check_refusal(const char *request, int status, const char *body, int code,
	const char *words)
{
	struct scene scene = scene_new();

	device_tell(&scene.elb->device, request, status, body, 0);
	device_start(&scene.elb->device);
	assert_int_equal(deploy(&scene), code);
	lab_says(scene.lab, words);
	assert_string_equal(scene.elb->ref, "c0");
	assert_string_equal(scene.elb->cert, "");
	scene_free(&scene);
}

static void test_deploy__what_is_refused_is_told(void **state)
{
	static const char listener[] = "GET /v3/a1/elb/listeners/b1",
		post[] = "POST /v3/a1/elb/certificates", put[] = "PUT /v3/a1/elb/listeners/b1";

	(void)state;
	check_refusal(listener, 404, "{\"error_code\":\"ELB.8904\",\"error_msg\":\"gone\"}",
		CERTAUTO_ENOTFOUND, "no listener \"b1\"");
	check_refusal(listener, 200, "{\"listener\":{\"id\":\"b1\",\"protocol\":\"TCP\"}}",
		CERTAUTO_EREFUSED, "protocol is TCP");
	check_refusal(listener, 403, "{\"error_code\":\"ELB.9802\",\"error_msg\":\"policy\"}",
		CERTAUTO_EPERM, "policy");
	check_refusal(post, 400, "{\"error_code\":\"ELB.5013\",\"error_msg\":\"bad key\"}",
		CERTAUTO_EREFUSED, "ELB.5013: bad key");
	check_refusal(post, 409, "{\"error_code\":\"ELB.8905\",\"error_msg\":\"full\"}",
		CERTAUTO_EREFUSED, "full");
	check_refusal(put, 302, "", CERTAUTO_EREFUSED, "HTTP status 302");
	check_refusal(put, 400, "{\"error_code\":\"ELB.8902\",\"error_msg\":\"no\"}",
		CERTAUTO_EREFUSED, "binding the certificate");
}

/* Neither API is there: the second one's answer is told. */
static void test_deploy__without_an_api_it_is_not_tried_for_ever(void **state)
{
	static const char body[] = "{\"error_code\":\"APIGW.0101\",\"error_msg\":\"no such API\"}";
	struct scene scene = scene_new();

	(void)state;
	device_tell(&scene.elb->device, "GET /v", 404, body, 0);
	device_start(&scene.elb->device);
	assert_int_equal(deploy(&scene), CERTAUTO_ENOTFOUND);
	assert_int_equal(n_of(&scene, "GET /v3/a1/elb/listeners/b1\n"), 1);
	assert_int_equal(n_of(&scene, "GET /v2.0/lbaas/listeners/b1\n"), 1);
	assert_int_equal(n_of(&scene, "GET "), 2);
	scene_free(&scene);
}

/* An answer that is no JSON, or not what it should be: all is done, or nothing is. */
static void check_odd(const char *request, const char *body)
{
	struct scene scene = scene_new();
	int rc;

	device_tell(&scene.elb->device, request, 200, body, 1);
	device_start(&scene.elb->device);
	rc = deploy(&scene);
	assert_string_equal(scene.elb->ref, rc == 0 ? "c1" : "c0");
	assert_int_equal(scene.elb->cert[0], rc == 0 ? '{' : '\0');
	assert_int_equal(deploy(&scene), 0);
	assert_string_equal(scene.elb->ref, "c1");
	scene_free(&scene);
}

static void test_deploy__odd_answers_do_no_harm(void **state)
{
	static const char *const bodies[] = {
		"", "[]", "{", "null", "{\"certificates\":{}}", "{\"listener\":[]}"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		check_odd("GET /v3/a1/elb/certificates?name", bodies[i]);
		check_odd("GET /v3/a1/elb/certificates?id", bodies[i]);
		check_odd("GET /v3/a1/elb/listeners", bodies[i]);
	}
}

/* ---- memory ---- */

/* What was written cannot always be taken back then, and that is said. */
static void check_memory(const char *update)
{
	struct scene scene = scene_new();
	long n, total = 0, step = 1;
	int rc, n_failed = 0;

	device_start(&scene.elb->device);
	for (n = 0; n == 0 || n <= total; n += step) {
		scene_again(&scene);
		lab_set(scene.target, "update", update);
		total -= n == 0 ? certauto__alloc_count() : 0;
		certauto__alloc_fail_at(n, 0);
		rc = deploy(&scene);
		certauto__alloc_fail_at(0, 0);
		total += n == 0 ? certauto__alloc_count() : 0;
		if (rc != 0 && rc != CERTAUTO_ENOMEM && rc != CERTAUTO_EROLLBACK)
			fail_msg("%ld of %ld: %d, %s", n, total, rc, lab_message(scene.lab));
		if (rc == CERTAUTO_ENOMEM) {
			assert_string_equal(scene.elb->ref, "c0");
			assert_string_equal(scene.elb->cert, "");
		}
		n_failed += rc != 0;
		step = n < 40 ? 1 : 7; /* a sample of the rest: each takes some requests */
	}
	assert_true(total > 200 && n_failed > 40);
	scene_free(&scene);
}

static void test_deploy__survives_a_lack_of_memory(void **state)
{
	(void)state;
	check_memory("in-place");
	check_memory("new");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deploy__is_made_once_and_then_changed_in_place),
		cmocka_unit_test(test_deploy__what_is_refused_is_told),
		cmocka_unit_test(test_deploy__without_an_api_it_is_not_tried_for_ever),
		cmocka_unit_test(test_deploy__odd_answers_do_no_harm),
		cmocka_unit_test(test_deploy__survives_a_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
