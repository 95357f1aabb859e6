/* SPDX-License-Identifier: Apache-2.0 */
/* The flexibleengine target: signatures against published vectors, options, refusals, pages, and
 * what it does when memory is short. Against a cloud that has one zone and says what it is told to;
 * how a real one behaves is for the simulator of tests/sim. */

#include "unit_target.h"

#include "fake_device.h"

#include "core/memory.h"
#include "core/secret.h"
#include "crypto/crypto.h"
#include "jobs/engine.h"
#include "targets/fe.h"
#include "targets/targets.h"

#define TIMEOUT_MS 10000
#define NAME "shop.example.org"
#define VALUE "value-of-the-first-challenge"

/* ---- signatures ---- */

struct vector {
	struct certauto__fe_request request;
	const char *header;            /* signed besides host and date; NULL */
	const char *access, *secret, *digest, *names, *signature;
};

static void check_vector(const struct vector *vector)
{
	struct certauto__fe_request request = vector->request;
	certauto__buffer out = CERTAUTO__BUFFER(4096);
	certauto__secret *secret = NULL;
	certauto__list headers = {0};
	char digest[65], wanted[512];

	request.body_len = request.body != NULL ? strlen(request.body) : 0;
	if (vector->header != NULL)
		assert_int_equal(certauto__list_add_text(&headers, vector->header), 0);
	request.headers = &headers;
	assert_int_equal(certauto__secret_new(&secret, vector->secret, strlen(vector->secret)), 0);
	assert_int_equal(certauto__fe_sign(&out, &request, vector->access, secret, digest), 0);
	assert_string_equal(digest, vector->digest);
	snprintf(wanted, sizeof(wanted),
		"SDK-HMAC-SHA256 Access=%s, SignedHeaders=%s, Signature=%s", vector->access,
		vector->names, vector->signature);
	assert_string_equal(certauto__buffer_text(&out), wanted);
	certauto__secret_free(secret);
	certauto__list_free(&headers);
	certauto__buffer_free(&out);
}

/* The first four are those of the vendor's guide and SDK. */
static const struct vector vectors[] = {
	{{"GET", "service.region.example.com", "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
		 "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0", "20191115T033655Z", NULL,
		 NULL, 0},
		"Content-Type: application/json", "QTWAOYTTINDUT2QVKYUC",
		"MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
		"b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a",
		"content-type;host;x-sdk-date",
		"7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"},
	{{"GET", "service.region.example.com", "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs",
		 "marker=13551d6b-755d-4757-b956-536f674975c0&limit=2", "20191115T033655Z", NULL,
		 NULL, 0},
		"X_Odd: not signed", "QTWAOYTTINDUT2QVKYUC",
		"MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
		"0e84e7853cf87931d965c80e83bffb15aa865326db3a6f57aa2560a7601dfe18",
		"host;x-sdk-date",
		"faafba090046ef84c81ca330e77576d8746733ddfcf0317aaeb59cff50da39a7"},
	{{"GET", "service.endpoint.myhuaweicloud.com", "/resources", "size=1",
		 "20200608T023900Z", NULL, NULL, 0},
		NULL, "AccessKey", "SecretKey",
		"de94dd1e1ccdb730b403ce35d7e14f7c7b04337f6def1c3a3a2ba936852b133f",
		"host;x-sdk-date",
		"cfb4171acec81de07d50e53d57eb77edd537414d66ddb1d7d780f128e12cd842"},
	{{"POST", "service.endpoint.myhuaweicloud.com", "/resources", "size=1",
		 "20200608T023900Z", NULL, "{\"name\":\"test\",\"id\":1}", 0},
		NULL, "AccessKey", "SecretKey",
		"2b1b2515e48cb55e043ff2ec5b93d3f13ec287e1da1d7a2e4e14b0611a341969",
		"host;x-sdk-date",
		"436b1ac0a1ae03705934bb70ef2f2e09f7bfed2117d731a38235053199323a1f"},
	{{"POST", "dns.example.com", "/v2/zones/ff8080825ca865e8015ca99563af004a/recordsets", NULL,
		 "20260101T000000Z", NULL,
		 "{\"name\":\"_acme-challenge.example.com.\",\"type\":\"TXT\",\"ttl\":300,"
		 "\"records\":[\"\\\"abc\\\"\"]}", 0},
		"Content-Type:  application/json ", "AK", "SECRETKEY0123456789",
		"8db9f02a1461c16787722e50eae49e3b399ce206924c71d819402f3c6db0cd75",
		"content-type;host;x-sdk-date",
		"2c731810be22bd95ada2f9b69ea6d7643e6cabb565935a263921076d61495493"},
};

static void test_sign__is_as_published(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		check_vector(&vectors[i]);
}

/* Digest of the canonical request for that path and query. */
static void digest_of(char out[65], const char *path, const char *query)
{
	struct certauto__fe_request request = {.method = "GET", .host = "h", .path = path,
		.query = query, .date = "20260101T000000Z"};
	certauto__buffer text = CERTAUTO__BUFFER(4096);
	certauto__secret *secret = NULL;

	assert_int_equal(certauto__secret_new(&secret, "s", 1), 0);
	assert_int_equal(certauto__fe_sign(&text, &request, "a", secret, out), 0);
	certauto__secret_free(secret);
	certauto__buffer_free(&text);
}

static void test_sign__paths_and_queries_have_one_form(void **state)
{
	static const char empty[] =
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	static const struct {
		const char *path, *query, *path_signed, *query_signed;
	} cases[] = {
		{"/", "test=%e4%B8%80+%28%26%3D%3F%21%23%25.*%29&path=/tmp/123&multi=3&limit=1&"
			"multi=1&multi=2&enable=true", "/",
			"enable=true&limit=1&multi=1&multi=2&multi=3&path=%2Ftmp%2F123&"
			"test=%E4%B8%80%20%28%26%3D%3F%21%23%25.%2A%29"},
		{"/a%2fb/~c+", NULL, "/a/b/~c%2B/", ""},
		{"", "b&a-b=1&a=2&&a=", "/", "a=&a=2&a-b=1&b="},
		{"/x/", "%zz=%4", "/x/", "%25zz=%254"},
	};
	char text[1024], wanted[65], digest[65];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text),
			"GET\n%s\n%s\nhost:h\nx-sdk-date:20260101T000000Z\n\nhost;x-sdk-date\n%s",
			cases[i].path_signed, cases[i].query_signed, empty);
		assert_int_equal(certauto__sha256_hex(wanted, text, strlen(text)), 0);
		digest_of(digest, cases[i].path, cases[i].query);
		if (strcmp(digest, wanted) != 0)
			fail_msg("%s?%s", cases[i].path, cases[i].query);
	}
}

static int sign_once(void *arg)
{
	certauto__buffer out = CERTAUTO__BUFFER(4096);
	int rc = certauto__fe_sign(&out, &vectors[0].request, "a", arg, NULL);

	certauto__buffer_free(&out);
	return rc;
}

static void test_sign__survives_a_lack_of_memory(void **state)
{
	certauto__secret *secret = NULL;

	(void)state;
	assert_int_equal(certauto__secret_new(&secret, "s", 1), 0);
	unit_oom_sweep("sign", sign_once, secret);
	certauto__secret_free(secret);
}

/* ---- a cloud ---- */

struct cloud {
	struct device device;  /* comes first */
	char values[4096];     /* of the one record set, as JSON; "": there is none */
	int pending;           /* how often it is looked at until a change is in effect */
	int looks;
	char auth[8192];       /* the last request's headers */
};

static void cloud_told(struct cloud *cloud, char *out, size_t size)
{
	snprintf(out, size,
		"{\"id\":\"r1\",\"name\":\"_acme-challenge." NAME ".\",\"type\":\"TXT\","
		"\"ttl\":300,\"description\":null,\"status\":\"%s\",\"records\":%s,"
		"\"links\":{\"self\":\"x\"}}", cloud->looks > 0 ? "PENDING_UPDATE" : "ACTIVE",
		cloud->values[0] != '\0' ? cloud->values : "[]");
	cloud->looks -= cloud->looks > 0;
}

/* Record sets. */
static void cloud_sets(struct cloud *cloud, int fd, const char *method, const char *path,
	const char *body)
{
	const char *records = strstr(body, "\"records\":");
	char set[6000], list[7000];

	if (strcmp(method, "GET") != 0)
		cloud->looks = cloud->pending;
	if (strcmp(method, "DELETE") == 0)
		cloud->values[0] = '\0';
	else if (records != NULL)
		snprintf(cloud->values, sizeof(cloud->values), "%.*s",
			(int)strlen(records + 10) - 1, records + 10);
	cloud_told(cloud, set, sizeof(set));
	if (strcmp(method, "GET") == 0 && strstr(path, "recordsets/") == NULL) {
		snprintf(list, sizeof(list), "{\"links\":{},\"recordsets\":[%s]}",
			cloud->values[0] != '\0' ? set : "");
		device_say(fd, 200, "", list);
	} else if (cloud->values[0] == '\0' && strcmp(method, "GET") == 0) {
		device_say(fd, 404, "", "{\"code\":\"DNS.0313\",\"message\":\"gone\"}");
	} else {
		device_say(fd, strcmp(method, "GET") == 0 ? 200 : 202, "", set);
	}
}

static inline void device_answer(struct device *device, int fd, const char *text, const char *body)
{
	static const char token[] = "{\"token\":{\"project\":{\"id\":\"p1\"},"
		"\"issued_at\":\"2026-01-01T00:00:00.0Z\","
		"\"expires_at\":\"2026-01-02T00:00:00.0Z\","
		"\"catalog\":[{\"endpoints\":[{\"interface\":\"internal\",\"region\":\"r\","
		"\"url\":\"http://127.0.0.1:1/v2\"}],\"type\":\"dns\"}]}}";
	struct cloud *cloud = (struct cloud *)device;
	char method[16], path[1024], request[1100];
	size_t len = strlen(device->log);
	struct line *line;

	assert_int_equal(sscanf(text, "%15s %1023s", method, path), 2);
	snprintf(request, sizeof(request), "%s %s", method, path);
	snprintf(device->log + len, sizeof(device->log) - len, "%s\n", request);
	snprintf(cloud->auth, sizeof(cloud->auth), "%.8000s", text);
	if ((line = device_line(device, request)) != NULL)
		device_reply(fd, line, "X-Subject-Token: T1\r\n", "");
	else if (strcmp(path, "/v3/auth/tokens") == 0)
		device_say(fd, 201, "x-subject-token: T1\r\n", token);
	else if (strstr(path, "/recordsets") != NULL)
		cloud_sets(cloud, fd, method, path, body);
	else if (strncmp(path, "/v2/zones", 9) == 0)
		device_say(fd, 200, "", "{\"links\":{},\"zones\":[{\"name\":\"Example.org.\","
			"\"id\":\"z1\"},{\"id\":\"z2\",\"name\":\"op.example.org.\"}]}");
	else
		device_say(fd, 404, "", "{}");
}

/* All that one test needs. */
struct scene {
	struct lab *lab;
	struct cloud *cloud;
	certauto_target *target;
};

static certauto_target *target_make(struct lab *lab, const char *url)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto__target_make_row(&target, lab->cx,
				 &certauto__target_flexibleengine, "edge", NULL), 0);
	lab_set(target, "user", "svc");
	lab_set(target, "password", "right");
	lab_set(target, "domain_name", "OCB");
	lab_set(target, "region", "eu-west-0");
	lab_set(target, "insecure", "yes");
	lab_set(target, "dns_check", "no");
	lab_set(target, "iam_url", url);
	lab_set(target, "dns_url", url);
	lab_set(target, "elb_url", url);
	return target;
}

static struct scene scene_new(void)
{
	struct scene scene = {lab_new(), calloc(1, sizeof(*scene.cloud)), NULL};
	char url[64];

	assert_non_null(scene.cloud);
	device_bind(&scene.cloud->device, INADDR_LOOPBACK, 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/v3/", scene.cloud->device.port);
	scene.target = target_make(scene.lab, url);
	return scene;
}

static void scene_free(struct scene *scene)
{
	certauto_target_free(scene->target);
	lab_free(scene->lab);
	device_end(&scene->cloud->device);
	free(scene->cloud);
}

static int present(struct scene *scene)
{
	return certauto_target_present(scene->target, "dns-01", NAME, "token", VALUE, TIMEOUT_MS);
}

static int cleanup(struct scene *scene)
{
	return certauto_target_cleanup(scene->target, "dns-01", NAME, "token", VALUE, TIMEOUT_MS);
}

static int n_of(const struct scene *scene, const char *request)
{
	const char *at = scene->cloud->device.log;
	int n = 0;

	for (; (at = strstr(at, request)) != NULL; at += strlen(request))
		n++;
	return n;
}

/* ---- options ---- */

/* With an access key nobody tells where services are: those of one provider are known. */
static void test_options__no_host_of_another_provider_is_guessed(void **state)
{
	static const struct {
		const char *iam, *dns, *elb;
		const char *missing; /* NULL: it will do */
	} cases[] = {
		{NULL, NULL, NULL, NULL},
		{"https://IAM.eu-west-0.prod-cloud-ocb.Orange-Business.com:443/v3", NULL, NULL,
			NULL},
		{"https://iam.eu-de.otc.t-systems.com", NULL, NULL, "dns_url"},
		{NULL, "https://dns.otc.t-systems.com", NULL, "iam_url"},
		{NULL, NULL, "https://[::1]:443/", "iam_url"},
		{NULL, "https://dns.xorange-business.com", NULL, "iam_url"},
		{NULL, "https://com", NULL, "iam_url"},
		{"https://iam.example.org", "https://dns.example.org", NULL, "elb_url"},
		{"https://iam.example.org", "https://dns.example.org", "https://192.0.2.1", NULL},
		{"https:", NULL, NULL, "iam_url"},
	};
	struct lab *lab = lab_new();
	certauto_target *target;
	certauto_error error = {0};
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		target = NULL;
		assert_int_equal(certauto__target_make_row(&target, lab->cx,
					 &certauto__target_flexibleengine, "edge", NULL), 0);
		lab_set(target, "access_key", "AK");
		lab_set(target, "secret_key", "SK");
		lab_set(target, "region", "eu-de");
		lab_set(target, "listener", "b1");
		if (cases[i].iam != NULL)
			lab_set(target, "iam_url", cases[i].iam);
		if (cases[i].dns != NULL)
			lab_set(target, "dns_url", cases[i].dns);
		if (cases[i].elb != NULL)
			lab_set(target, "elb_url", cases[i].elb);
		rc = certauto__target_flexibleengine.check(target, &error);
		assert_int_equal(rc, cases[i].missing != NULL ? CERTAUTO_EINVAL : 0);
		if (rc < 0)
			assert_non_null(strstr(error.message, cases[i].missing));
		certauto__error_clear(&error);
		certauto_target_free(target);
	}
	lab_free(lab);
}

/* Where there is no TLS, there is nothing that a pin or a CA could prove. */
static void test_options__a_pin_needs_https_everywhere(void **state)
{
	static const char pin[] = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	static const char *const urls[] = {"iam_url", "dns_url", "elb_url", "elb_v2_url"};
	struct lab *lab = lab_new();
	certauto_error error = {0};
	certauto_target *target;
	size_t i, j;

	(void)state;
	for (i = 0; i < 2 * sizeof(urls) / sizeof(urls[0]); i++) {
		target = target_make(lab, "https://127.0.0.1");
		for (j = 0; j < sizeof(urls) / sizeof(urls[0]); j++)
			lab_set(target, urls[j],
				i / 2 == j ? "http://127.0.0.1" : "https://127.0.0.1");
		assert_int_equal(certauto_target_check(target), 0);
		assert_int_equal(certauto__target_may_take_key(target, &error), CERTAUTO_ETLS);
		lab_set(target, i % 2 ? "pin" : "ca_file", i % 2 ? pin : "/ca.pem");
		assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
		lab_says(lab, urls[i / 2]);
		assert_int_equal(certauto__target_may_take_key(target, &error), CERTAUTO_ETLS);
		lab_set(target, "insecure", "no");
		assert_int_equal(certauto__target_may_take_key(target, &error), CERTAUTO_ETLS);
		certauto__error_clear(&error);
		certauto_target_free(target);
	}
	lab_free(lab);
}

/* ---- the challenge ---- */

static void test_present__the_value_is_added_and_that_one_is_removed(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	scene.cloud->pending = 1;
	strcpy(scene.cloud->values, "[\"\\\"theirs\\\"\"]");
	device_start(&scene.cloud->device);
	assert_int_equal(present(&scene), 0);
	assert_non_null(strstr(scene.cloud->values, "[\"\\\"theirs\\\"\",\""));
	assert_non_null(strstr(scene.cloud->auth, "X-Auth-Token: T1\r\n"));
	assert_int_equal(n_of(&scene, "PUT /v2/zones/z1/recordsets/r1\n"), 1);
	assert_int_equal(cleanup(&scene), 0);
	assert_string_equal(scene.cloud->values, "[\"\\\"theirs\\\"\"]");
	assert_int_equal(cleanup(&scene), 0);
	assert_int_equal(n_of(&scene, "PUT "), 2);
	assert_int_equal(n_of(&scene, "POST /v3/auth/tokens"), 1);
	scene_free(&scene);
}

static void test_present__what_is_there_is_not_written_again(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_start(&scene.cloud->device);
	assert_int_equal(present(&scene), 0);
	assert_int_equal(present(&scene), 0);
	assert_int_equal(n_of(&scene, "POST /v2"), 1);
	assert_int_equal(cleanup(&scene), 0);
	assert_int_equal(scene.cloud->values[0], '\0');
	assert_int_equal(n_of(&scene, "DELETE "), 1);
	scene_free(&scene);
}

/* A job that has written the value, which is not in effect yet. */
static certauto_job *presenting(struct scene *scene)
{
	certauto_job *job = NULL;
	int i;

	scene->cloud->pending = 100000;
	assert_int_equal(certauto_target_start_present(&job, scene->target, "dns-01", NAME,
				 "token", VALUE, TIMEOUT_MS), 0);
	for (i = 0; i < 500 && scene->cloud->values[0] == '\0'; i++)
		assert_true(certauto_context_run(scene->lab->cx, 10) >= 0);
	assert_non_null(strstr(scene->cloud->values, VALUE));
	return job;
}

static void end(struct scene *scene, certauto_job *job, int result)
{
	scene->cloud->pending = scene->cloud->looks = 0;
	while (certauto_job_result(job) == CERTAUTO_AGAIN)
		assert_true(certauto_context_run(scene->lab->cx, 10) >= 0);
	assert_int_equal(certauto_job_result(job), result);
	certauto_job_free(job);
}

static void abandon(struct scene *scene)
{
	certauto_job *job = presenting(scene);

	certauto_job_cancel(job);
	certauto_job_cancel(job);
	end(scene, job, CERTAUTO_ECANCELED);
}

static void test_present__what_was_abandoned_is_wanted_no_more(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_start(&scene.cloud->device);
	abandon(&scene);
	assert_int_equal(present(&scene), 0);
	assert_int_equal(cleanup(&scene), 0);
	assert_string_equal(scene.cloud->values, "");
	abandon(&scene);
	scene.cloud->values[0] = '\0'; /* somebody has cleaned up by hand */
	assert_int_equal(certauto_target_present(scene.target, "dns-01", NAME, "token2", "SECOND",
				 TIMEOUT_MS), 0);
	assert_string_equal(scene.cloud->values, "[\"\\\"SECOND\\\"\"]");
	scene_free(&scene);
}

/* Who takes an odd answer for "there is nothing" leaves what is there, and says it is gone. */
static void test_cleanup__an_odd_answer_is_no_empty_list(void **state)
{
	static const char *const bodies[] = {"", "null", "[]", "{}", "{\"recordsets\":null}",
		"\"maintenance\"", "{\"recordsets\":\"x\"}", "{\"message\":\"be back soon\"}",
		"{\"recordsets\":[null]}"};
	static const char *const odd[] = {"GET /v2/zones?", "GET /v2/zones/z1/recordsets?",
		"GET /v2/zones/z1/recordsets/r1"};
	struct scene scene;
	size_t i, j;

	(void)state;
	for (i = 0; i < 3 * sizeof(bodies) / sizeof(bodies[0]); i++) {
		scene = scene_new();
		j = i % 3;
		scene.cloud->pending = 1;
		strcpy(scene.cloud->values, "[\"\\\"" VALUE "\\\"\"]");
		device_tell(&scene.cloud->device, odd[j], 200, bodies[i / 3], 0);
		device_start(&scene.cloud->device);
		if (cleanup(&scene) != CERTAUTO_EPROTO)
			fail_msg("%s %s: %s", odd[j], bodies[i / 3], lab_message(scene.lab));
		assert_non_null(certauto_error_advice(certauto_context_error(scene.lab->cx)));
		scene_free(&scene);
	}
}

static void test_zones__a_list_without_an_end_is_none(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	device_tell(&scene.cloud->device, "GET /v2/zones?", 200, "{\"links\":{\"next\":\"x?"
		"marker=m\"},\"zones\":[{\"id\":\"q\",\"name\":\"example.org.\"}]}", 0);
	device_start(&scene.cloud->device);
	assert_int_equal(present(&scene), CERTAUTO_EPROTO);
	lab_says(scene.lab, "40 pages");
	assert_null(strstr(scene.cloud->device.log, "recordsets"));
	scene_free(&scene);
}

/* What the cloud tells as an id is one part of a path, whatever is in it. */
static void test_ids__do_not_lead_elsewhere(void **state)
{
	static const struct {
		const char *id, *asked;
	} cases[] = {
		{"../../z2?x=", "/v2/zones/z1/recordsets/..%2F..%2Fz2%3Fx%3D\n"}, {"..", NULL},
		{"a b#", "/v2/zones/z1/recordsets/a%20b%23\n"},
	};
	struct scene scene;
	char set[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scene = scene_new();
		snprintf(set, sizeof(set), "{\"recordsets\":[{\"id\":\"%s\",\"name\":"
			"\"_acme-challenge." NAME ".\",\"type\":\"TXT\",\"status\":\"ACTIVE\","
			"\"records\":[\"\\\"a\\\"\"]}]}", cases[i].id);
		device_tell(&scene.cloud->device, "GET /v2/zones/z1/recordsets?", 200, set, 0);
		device_start(&scene.cloud->device);
		if (present(&scene) < 0 && cases[i].asked != NULL)
			fail_msg("%s", lab_message(scene.lab));
		assert_int_equal(n_of(&scene, "PUT "), cases[i].asked != NULL);
		if (cases[i].asked != NULL)
			assert_non_null(strstr(scene.cloud->device.log, cases[i].asked));
		scene_free(&scene);
	}
}

/* Two orders may have one challenge: the first to end leaves it to the other. */
static void test_cleanup__leaves_what_another_job_wants(void **state)
{
	struct scene scene = scene_new();
	certauto_job *job;

	(void)state;
	device_start(&scene.cloud->device);
	job = presenting(&scene);
	assert_int_equal(cleanup(&scene), 0);
	assert_non_null(strstr(scene.cloud->values, VALUE));
	end(&scene, job, 0);
	assert_int_equal(cleanup(&scene), 0);
	assert_string_equal(scene.cloud->values, "");
	scene_free(&scene);
}

/* What is known of a record set is known for one run: others change it, too. */
static void test_cleanup__looks_anew(void **state)
{
	struct scene scene = scene_new();
	char values[64];

	(void)state;
	device_start(&scene.cloud->device);
	assert_int_equal(present(&scene), 0);
	memcpy(values, scene.cloud->values, sizeof(values));
	assert_int_equal(cleanup(&scene), 0);
	assert_string_equal(scene.cloud->values, "");
	memcpy(scene.cloud->values, values, sizeof(values)); /* of a run that was killed */
	assert_int_equal(cleanup(&scene), 0);
	assert_string_equal(scene.cloud->values, "");
	scene_free(&scene);
}

/* A cleanup of one who did not add it: another process did. */
static void test_cleanup__by_another_process(void **state)
{
	struct scene scene = scene_new();
	char url[64];

	(void)state;
	device_start(&scene.cloud->device);
	assert_int_equal(present(&scene), 0);
	certauto_target_free(scene.target);
	lab_restart(scene.lab);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", scene.cloud->device.port);
	scene.target = target_make(scene.lab, url);
	assert_int_equal(cleanup(&scene), 0);
	assert_int_equal(scene.cloud->values[0], '\0');
	scene_free(&scene);
}

/* ---- refusals ---- */

static void said(certauto__exchange *x, const char *method, int status, const char *body)
{
	certauto__exchange_reset(x);
	x->method = method;
	x->status = status;
	certauto__buffer_text_add(&x->answer, body);
}

#define SAID(words) "{\"error_code\":\"x\",\"error_msg\":\"" words "\"}"
#define HEX "0123456789abcdef0123456789abcdef"
#define LONG "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPa9sK2+/Cv8b9qZx"
#define DNS(code) "{\"code\":\"" code "\",\"message\":\"words\"}"
#define ELB(code) "{\"error_code\":\"" code "\",\"error_msg\":\"words\",\"request_id\":\"id\"}"
#define OLD(type) "{\"NeutronError\":{\"message\":\"words\",\"type\":\"" type "\",\"detail\":\"\"}}"

static void test_tell__refusals_have_a_meaning(void **state)
{
	static const struct {
		const char *method;
		int status;
		const char *body;
		int rc;
		const char *words, *advice;
	} cases[] = {
		{"POST", 400, DNS("DNS.0308"), CERTAUTO_EREFUSED, "400 (\"DNS.0308: words\")", ""},
		{"POST", 403, DNS("DNS.0403"), CERTAUTO_EREFUSED, "DNS.0403", "larger quota"},
		{"POST", 409, ELB("ELB.8905"), CERTAUTO_EREFUSED, "ELB.8905", "update=in-place"},
		{"POST", 409, OLD("OverQuota"), CERTAUTO_EREFUSED, "OverQuota", "update=in-place"},
		{"GET", 403, DNS("DNS.0030"), CERTAUTO_EPERM, "words", "target recipe"},
		{"PUT", 403, DNS("DNS.0318"), CERTAUTO_EREFUSED, "words", ""},
		{"PUT", 409, DNS("DNS.0021"), CERTAUTO_EBUSY, "words", "run it again"},
		{"PUT", 403, DNS("DNS.0014"), CERTAUTO_EBUSY, "words", "run it again"},
		{"PUT", 409, ELB("ELB.8907"), CERTAUTO_EBUSY, "words", "run it again"},
		{"DELETE", 409, ELB("ELB.8907"), CERTAUTO_EREFUSED, "words", ""},
		{"GET", 401, ELB("APIGW.0301"), CERTAUTO_EAUTH, "APIGW.0301: words", "domain_name"},
		{"GET", 403, ELB("ELB.1102"), CERTAUTO_EAUTH, "words", "domain_name"},
		{"POST", 401, "{\"error\":{\"code\":401,\"message\":\"wrong\",\"title\":\"No\"}}",
			CERTAUTO_EAUTH, "401 (\"wrong\")", "domain_name"},
		{"GET", 404, ELB("ELB.8904"), CERTAUTO_ENOTFOUND, "words", ""},
		{"GET", 404, ELB("APIGW.0101"), CERTAUTO_ENOTFOUND, "words", "region"},
		{"GET", 404, "<html>nothing</html>", CERTAUTO_ENOTFOUND, "status 404", "region"},
		{"GET", 500, ELB("ELB.8906"), CERTAUTO_EREFUSED, "words", "status page"},
		{"GET", 200, "{broken", CERTAUTO_EPROTO, "status 200", ""},
		{"POST", 400, ELB("x\\u001b[2J"), CERTAUTO_EREFUSED, "x\\x1b[2J: words", ""},
		/* What is long may be a token, or a key without its first line: also when cut. */
		{"POST", 400, SAID("token:MII" LONG "secret|more, \\n" LONG), CERTAUTO_EREFUSED,
			"token:****", ""},
		{"POST", 400, SAID("/v2/zones/" HEX "/recordsets/" HEX "/\\n" HEX HEX),
			CERTAUTO_EREFUSED, "/v2/zones/" HEX "/recordsets/" HEX, ""},
		{"POST", 400, SAID("user svc, password right."), CERTAUTO_EREFUSED,
			"password *****.", ""},
		{"POST", 400, "{\"error_code\":\"ELB.5013\",\"error_msg\":\"bad -----BEGIN PRIVATE "
			"KEY-----\\nsecret\"}", CERTAUTO_EREFUSED, "ELB.5013: bad\")", ""},
	};
	struct scene scene = {lab_new(), NULL, NULL};
	certauto_error error = {0};
	certauto__exchange x = {0};
	size_t i;

	(void)state;
	scene.target = target_make(scene.lab, "https://x.example");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, cases[i].method, cases[i].status, cases[i].body);
		assert_int_equal(certauto__fe_tell(&error, &x, scene.target, "x", "adding x"),
			cases[i].rc);
		if (strstr(error.message, cases[i].words) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", cases[i].words, error.message);
		if (strstr(error.advice != NULL ? error.advice : "", cases[i].advice) == NULL ||
			(*cases[i].advice == '\0' && error.advice != NULL))
			fail_msg("%s: advice \"%s\"", cases[i].body, error.advice);
		assert_null(strstr(error.message, "secret"));
		assert_null(strstr(error.message, "html"));
		assert_null(strstr(error.message, LONG));
	}
	certauto__error_clear(&error);
	certauto__exchange_free(&x);
	certauto_target_free(scene.target);
	lab_free(scene.lab);
}

/* ---- pages ---- */

static int row_add(void *arg, const char *const *values)
{
	return certauto__buffer_printf(arg, "%s %s\n", values[0],
		values[1] != NULL ? values[1] : "-");
}

static void test_rows__come_in_pages(void **state)
{
	static const char *const fields[] = {"id", "refs[]", NULL};
	static const struct {
		const char *body, *rows, *marker;
	} cases[] = {
		{"{\"things\":[{\"id\":\"a\"},{\"id\":\"b\",\"refs\":[\"1\",\"2\"]}],"
			"\"links\":{\"next\":\"https://h/v2/x?limit=2&marker=b&type=y\"}}",
			"a -\nb 1,2\n", "b"},
		{"{\"page_info\":{\"next_marker\":\"m2\",\"current_count\":1},"
			"\"things\":[{\"id\":\"a\"}]}", "a -\n", "m2"},
		{"{\"things\":[],\"page_info\":{\"next_marker\":\"m2\"}}", "", ""},
		{"{\"things\":[{\"id\":\"a\"}],\"links\":{\"self\":\"?marker=x\"}}", "a -\n", ""},
	};
	certauto__buffer rows = CERTAUTO__BUFFER(4096);
	certauto__exchange x = {0};
	char marker[CERTAUTO__FE_ID];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		said(&x, "GET", 200, cases[i].body);
		certauto__buffer_clear(&rows);
		assert_int_equal(certauto__fe_rows(&x, "things", fields, row_add, &rows, marker,
					 NULL), 0);
		assert_string_equal(certauto__buffer_text(&rows), cases[i].rows);
		assert_string_equal(marker, cases[i].marker);
	}
	certauto__exchange_free(&x);
	certauto__buffer_free(&rows);
}

/* ---- memory ---- */

/* With a new context each time, where nobody has been asked yet. What was written cannot always be
 * taken back then: the journal would say so. */
static void test_present__survives_a_lack_of_memory(void **state)
{
	struct scene scene = scene_new();
	long n, total = 0, step = 1;
	int rc, failed = 0;
	char url[64];

	(void)state;
	scene.cloud->pending = 1;
	device_start(&scene.cloud->device);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", scene.cloud->device.port);
	for (n = 0; n == 0 || n <= total; n += step) {
		certauto_target_free(scene.target);
		lab_restart(scene.lab);
		scene.target = target_make(scene.lab, url);
		scene.cloud->device.log[0] = scene.cloud->values[0] = '\0';
		total -= n == 0 ? certauto__alloc_count() : 0;
		certauto__alloc_fail_at(n, 0);
		rc = present(&scene);
		certauto__alloc_fail_at(0, 0);
		total += n == 0 ? certauto__alloc_count() : 0;
		if (rc != 0 && rc != CERTAUTO_ENOMEM && rc != CERTAUTO_EROLLBACK)
			fail_msg("%ld of %ld: %d, %s", n, total, rc, lab_message(scene.lab));
		failed += rc != 0;
		step = total / 80 + 1;
		assert_int_equal(cleanup(&scene), 0);
		assert_int_equal(scene.cloud->values[0], '\0');
	}
	assert_in_range(failed, 30, 90);
	scene_free(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sign__is_as_published),
		cmocka_unit_test(test_sign__paths_and_queries_have_one_form),
		cmocka_unit_test(test_sign__survives_a_lack_of_memory),
		cmocka_unit_test(test_present__the_value_is_added_and_that_one_is_removed),
		cmocka_unit_test(test_present__what_is_there_is_not_written_again),
		cmocka_unit_test(test_options__no_host_of_another_provider_is_guessed),
		cmocka_unit_test(test_options__a_pin_needs_https_everywhere),
		cmocka_unit_test(test_present__what_was_abandoned_is_wanted_no_more),
		cmocka_unit_test(test_cleanup__leaves_what_another_job_wants),
		cmocka_unit_test(test_cleanup__an_odd_answer_is_no_empty_list),
		cmocka_unit_test(test_zones__a_list_without_an_end_is_none),
		cmocka_unit_test(test_ids__do_not_lead_elsewhere),
		cmocka_unit_test(test_cleanup__looks_anew),
		cmocka_unit_test(test_cleanup__by_another_process),
		cmocka_unit_test(test_tell__refusals_have_a_meaning),
		cmocka_unit_test(test_rows__come_in_pages),
		cmocka_unit_test(test_present__survives_a_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
