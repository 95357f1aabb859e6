/* SPDX-License-Identifier: Apache-2.0 */
/* What the nsx target decides while it deploys: where certificates are presented, what is checked
 * before anything is changed, what is asked of the managers, what their answers mean, what is put
 * back and what is removed. Its steps are played one by one, with answers made up here: how
 * managers behave is for the simulator of tests/sim. Virtual servers need no handshake: these run
 * whole. */

#include "unit_crypto.h"
#include "unit_target.h"

#include "fake_nsx.h"

#include "core/memory.h"
#include "crypto/objects.h"
#include "http/private.h"
#include "jobs/engine.h"
#include "targets/nsx_deploy.h"
#include "targets/targets.h"

#define TIMEOUT_MS 10000
#define NAME "nsx.example.org"
#define VIP "10.0.0.5"
#define DAY 86400

/* ---- a step, played by itself ---- */

struct scene {
	struct lab *lab;
	certauto_target *target;
	struct lab_pair ours, other;
	int n_keys;                    /* of the certificate */
	certauto__verdict (*play)(certauto_job *job, certauto__exchange *x, const void *arg);
	const void *arg;
	char words[8192];              /* message and advice of what it failed with */
};

static struct scene scene;

static void scene_begin(void)
{
	memset(&scene, 0, sizeof(scene));
	scene.lab = lab_new();
	lab_pair_make(scene.lab, &scene.ours, NAME, 30);
	lab_pair_make(scene.lab, &scene.other, NAME, 30);
}

static void scene_target(const char *const *options)
{
	certauto_target_free(scene.target);
	scene.target = NULL;
	assert_int_equal(certauto__target_make_row(&scene.target, scene.lab->cx,
				 &certauto__target_nsx, NULL, NULL), 0);
	lab_set(scene.target, "url", "https://" NAME);
	lab_set(scene.target, "user", "admin");
	lab_set(scene.target, "password", "right");
	for (; options != NULL && options[0] != NULL; options += 2)
		lab_set(scene.target, options[0], options[1]);
	if (certauto_target_check(scene.target) < 0)
		fail_msg("%s", lab_message(scene.lab));
}

static void scene_end(void)
{
	certauto_target_free(scene.target);
	lab_pair_free(&scene.ours);
	lab_pair_free(&scene.other);
	lab_free(scene.lab);
}

static certauto__verdict scene_ask(certauto_job *job, certauto__exchange *x)
{
	certauto__exchange mine = {0};
	certauto__verdict verdict;

	(void)x;
	certauto__exchange_reset(&mine);
	verdict = scene.play(job, &mine, scene.arg);
	certauto__exchange_free(&mine);
	return verdict;
}

static const struct certauto__step scene_steps[] = {{.name = "scene", .ask = scene_ask}};
static const struct certauto__table scene_table = {
	.name = "scene", .steps = scene_steps, .n_steps = 1};

static void borrowed_free(void *arg)
{
	struct certauto__deployment *deployment = arg;

	if (deployment != NULL)
		deployment->chain = NULL;
	certauto__deployment_free(deployment);
}

static void words_keep(const certauto_job *job)
{
	const certauto_error *error = certauto_job_error(job);

	snprintf(scene.words, sizeof(scene.words), "%s | %s",
		error != NULL ? certauto_error_message(error) : "",
		error != NULL && certauto_error_advice(error) != NULL
			? certauto_error_advice(error) : "");
}

/* Plays it to the end of the job; its code. */
static int scene_run(const struct certauto__table *table)
{
	struct certauto__deployment *deployment =
		certauto__deployment_new(scene.target, "shop", "ecdsa-p256");
	struct certauto__start start = {.table = table, .name = "scene", .env = deployment,
		.env_free = borrowed_free};
	certauto_job *job = NULL;
	int rc;

	if (deployment == NULL)
		return CERTAUTO_ENOMEM;
	deployment->n_keys = scene.n_keys > 0 ? scene.n_keys : 1;
	deployment->chain = scene.ours.chain->certs;
	deployment->key_of = certauto__object_ref(scene.ours.key);
	deployment->key = scene.ours.key->pkey;
	if ((rc = certauto__nsx_peer(scene.target, &start.peer, NULL)) < 0) {
		borrowed_free(deployment);
		return rc;
	}
	rc = certauto__job_start(&job, scene.lab->cx, &start, NULL);
	certauto__peer_unref(start.peer);
	if (rc < 0)
		return rc;
	rc = certauto_job_wait(job, TIMEOUT_MS);
	words_keep(job);
	certauto_job_free(job);
	return rc;
}

static int play(certauto__verdict (*fn)(certauto_job *, certauto__exchange *, const void *),
	const void *arg)
{
	scene.play = fn;
	scene.arg = arg;
	return scene_run(&scene_table);
}

static void says(const char *words)
{
	if (strstr(scene.words, words) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", words, scene.words);
}

/* ---- what comes back ---- */

/* To read: body, and a header Date; or, with leaf, a handshake. */
static certauto__verdict read_answer(certauto_job *job, certauto__exchange *x, int status,
	const char *body, const struct lab_pair *leaf, certauto__step_fn read)
{
	static const char date[] = "Date\0Sun, 06 Nov 1994 08:49:37 GMT";
	certauto__transfer transfer = {0};
	const struct certauto__cert_info *info;
	certauto__verdict verdict;

	certauto__buffer_init(&transfer.fields, 1024);
	certauto__buffer_init(&transfer.answer, 1 << 20);
	certauto__buffer_init(&transfer.leaf, 1 << 16);
	x->rc = certauto__buffer_add(&transfer.fields, date, sizeof(date));
	if (x->rc == 0)
		x->rc = certauto__buffer_text_add(&transfer.answer, body != NULL ? body : "");
	if (leaf != NULL && x->rc == 0) {
		info = certauto__certs_info(leaf->chain->certs, 0);
		x->rc = certauto__buffer_add(&transfer.leaf, info->der, info->der_len);
	}
	x->status = status;
	if (x->method == NULL)
		x->method = "GET";
	if (x->rc == 0) {
		x->transfer = &transfer;
		verdict = read(job, x);
		x->transfer = NULL;
	} else {
		verdict = certauto__fail(job, x->rc, NULL, "no memory for the answer");
	}
	certauto__buffer_free(&transfer.fields);
	certauto__buffer_free(&transfer.answer);
	certauto__buffer_free(&transfer.leaf);
	return verdict;
}

/* Nobody was there. */
static certauto__verdict read_silence(certauto_job *job, certauto__exchange *x,
	certauto__step_fn read)
{
	x->status = 0;
	x->rc = certauto__error_set(&x->error, CERTAUTO_ENET, NULL, "connection refused");
	return read(job, x);
}

static const struct certauto__step *step_of(const struct certauto__table *table, const char *name)
{
	size_t i;

	for (i = 0; i < table->n_steps; i++) {
		if (strcmp(table->steps[i].name, name) == 0)
			return &table->steps[i];
	}
	fail_msg("there is no step %s", name);
	return NULL;
}

/* ---- lists in facts ---- */

static certauto__verdict play_lists(certauto_job *job, certauto__exchange *x, const void *arg)
{
	char value[8];

	(void)x;
	(void)arg;
	assert_int_equal(certauto__nsx_value(value, sizeof(value), "a,,bc", 0), 1);
	assert_string_equal(value, "a");
	assert_int_equal(certauto__nsx_value(value, sizeof(value), "a,,bc", 1), 1);
	assert_string_equal(value, "");
	assert_int_equal(certauto__nsx_value(value, sizeof(value), "a,,bc", 2), 1);
	assert_string_equal(value, "bc");
	assert_int_equal(certauto__nsx_value(value, sizeof(value), "a,,bc", 3), 0);
	assert_int_equal(certauto__nsx_value(value, sizeof(value), NULL, 0), 0);
	/* What is too long is nothing: cut, it would be another's. */
	assert_int_equal(certauto__nsx_value(value, sizeof(value), "12345678,b", 0), 1);
	assert_string_equal(value, "");
	assert_int_equal(certauto__device_listed("a,,bc", "bc"), 1);
	assert_int_equal(certauto__device_listed("a,,bc", "b"), 0);
	assert_int_equal(certauto__device_listed("a,,bc", ""), 0);
	assert_int_equal(certauto__device_listed(NULL, "a"), 0);
	assert_int_equal(certauto__device_listed("a", NULL), 0);
	certauto__device_list_add(job, "list", "a");
	certauto__device_list_add(job, "list", "b");
	certauto__device_list_add(job, "list", "a");
	certauto__device_list_add(job, "list", NULL);
	assert_string_equal(certauto__fact_own(job, "list"), "a,b");
	return CERTAUTO__NEXT;
}

static void test_nsx__ids_are_listed_in_facts(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	assert_int_equal(play(play_lists, NULL), 0);
	scene_end();
}

/* ---- where certificates are presented ---- */

#define NODE(id, name, fqdn, address) \
	"{\"node_uuid\":\"u" id "\",\"display_name\":\"" name "\",\"fqdn\":\"" fqdn "\"," \
	"\"status\":\"JOINED\",\"api_listen_addr\":" address "}"
#define AT(ip) "{\"ip_address\":\"" ip "\",\"port\":443}"
#define THREE \
	"{\"nodes\":[" NODE("1", "n1", "n1.example.org", AT("10.0.0.11")) "," \
	NODE("2", "n2", "n2.example.org", AT("10.0.0.12")) "," \
	NODE("3", "n3", "", "{\"ip_address\":\"2001:db8::3\",\"port\":8443}") "]}"

struct where {
	const char *options[7];
	const char *cluster, *vip;
	int rc;
	const char *wanted;            /* "NODE AT NAMES;", or words of what is wrong */
	const char *via;
};

static const struct where wheres[] = {
	{{NULL}, THREE, "{\"ip_address\":\"" VIP "\"}", 0,
		"u1 10.0.0.11:443 10.0.0.11,n1.example.org;u2 10.0.0.12:443 10.0.0.12,"
		"n2.example.org;u3 [2001:db8::3]:8443 2001:db8::3,;vip " VIP ":443 " VIP
		"," NAME ";", "vip"},
	/* Whom we talk to comes last of the managers. */
	{{"url", "https://n1.example.org", "service", "node", NULL}, THREE, NULL, 0,
		"u2 10.0.0.12:443 10.0.0.12,n2.example.org;u3 [2001:db8::3]:8443 2001:db8::3,;"
		"u1 10.0.0.11:443 10.0.0.11,n1.example.org;", "u1"},
	{{"service", "cluster", "url", "https://10.0.0.11", NULL}, THREE,
		"{\"ip_address\":\"0.0.0.0\",\"ip6_address\":\"2001:db8::5\"}", 0,
		"vip [2001:db8::5]:443 2001:db8::5,;", "u1"},
	{{"nodes", "n2.example.org,u3:9443", "service", "node", NULL}, THREE, NULL, 0,
		"u2 n2.example.org:443 10.0.0.12,n2.example.org;u3 u3:9443 2001:db8::3,;", NULL},
	{{"nodes", "n2.example.org,n9", NULL}, THREE, NULL, CERTAUTO_ENOTFOUND,
		"not in the cluster", NULL},
	{{NULL}, "{\"nodes\":[]}", NULL, CERTAUTO_ENOTFOUND, "has no managers", NULL},
	{{NULL}, "{\"nodes\":[" NODE("1", "n1", "", AT("10.0.0.11")) "," NODE("2", "n2", "", "{}")
		"]}", NULL, CERTAUTO_ENOTFOUND, "does not tell the ids and", NULL},
	/* One without an id could not be given anything. */
	{{NULL}, "{\"nodes\":[{\"display_name\":\"n1\",\"api_listen_addr\":" AT("10.0.0.11") "}]}",
		NULL, CERTAUTO_ENOTFOUND, "does not tell the ids and", NULL},
	{{"url", "https://10.0.0.77", NULL}, THREE, "{\"ip_address\":\"0.0.0.0\"}",
		CERTAUTO_ENOTFOUND, "has no virtual IP", NULL},
	{{"vip", "10.0.0.6", NULL}, THREE, "{\"ip_address\":\"" VIP "\"}", CERTAUTO_EREFUSED,
		"is " VIP ", and not 10.0.0.6", NULL},
	{{"vip", "10.0.0.6", "service", "cluster", NULL}, THREE, "{\"ip_address\":\"\"}", 0,
		"vip 10.0.0.6:443 10.0.0.6," NAME ";", "vip"},
	{{"url", "https://10.0.0.77", "service", "cluster", NULL}, THREE,
		"{\"ip_address\":\"" VIP "\"}", 0, "vip " VIP ":443 " VIP ",;", NULL},
	/* The VIP alone: nobody needs to know where the managers are. */
	{{"service", "cluster", NULL}, "{\"nodes\":[" NODE("1", "n1", NAME, "{}") "]}",
		"{\"ip_address\":\"" VIP "\"}", 0, "vip " VIP ":443 " VIP ",;", "u1"},
	{{"service", "cluster", NULL}, "{\"nodes\":[" NODE("1", "n1", NAME,
		"{\"port\":\"1\\u001b[31m\\nerror: all is lost\"}") "]}",
		"{\"ip_address\":\"" VIP "\"}", 0, "vip " VIP ":443 " VIP ",;", "u1"},
	{{NULL}, "<html>", NULL, CERTAUTO_EPROTO, "", NULL},
	{{NULL}, "", NULL, CERTAUTO_EPROTO, "", NULL},
};

static certauto__verdict play_where(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct where *where = arg;
	certauto__verdict verdict = read_answer(
		job, x, 200, where->cluster, NULL, certauto__nsx_cluster_read);
	certauto__buffer seen = CERTAUTO__BUFFER(4096);
	int i;

	if (verdict != CERTAUTO__NEXT)
		return verdict;
	if (where->vip != NULL && (verdict = read_answer(job, x, 200, where->vip, NULL,
					   certauto__nsx_virtual_read)) != CERTAUTO__NEXT)
		return verdict;
	assert_int_equal(certauto__fact_number(job, ".date", 0), 784111777);
	for (i = 0; i < certauto__nsx_endpoints(job); i++)
		certauto__buffer_printf(&seen, "%s %s %s;", certauto__fact_nth(job, "node", i),
			certauto__fact_nth(job, "at", i), certauto__fact_nth(job, ".names", i));
	assert_string_equal(certauto__buffer_text(&seen), where->wanted);
	certauto__buffer_free(&seen);
	assert_true(certauto__text_equal(certauto__fact_own(job, ".via"), where->via));
	return CERTAUTO__NEXT;
}

static void test_nsx__the_cluster_tells_where_certificates_go(void **state)
{
	size_t i;
	int rc;

	(void)state;
	scene_begin();
	for (i = 0; i < sizeof(wheres) / sizeof(wheres[0]); i++) {
		scene_target(wheres[i].options);
		rc = play(play_where, &wheres[i]);
		if (rc != wheres[i].rc)
			fail_msg("%zu: %d: %s", i, rc, scene.words);
		if (rc < 0)
			says(wheres[i].wanted);
	}
	scene_end();
}

/* ---- before anything is changed ---- */

struct preflight {
	const char *options[5];
	const char *facts[9];
	int rc;
	const char *words;             /* of what it fails with, or of a warning; "" = none */
};

static char own_file[128], other_file[128], bad_file[128], own_pin[64];

static const struct preflight preflights[] = {
	{{NULL}, {NULL}, 0, ""},
	{{NULL}, {".names.0", VIP ",other.example.org"}, CERTAUTO_ECERT,
		"is not for VIP, whose names are " VIP " and other.example.org"},
	{{NULL}, {".names.0", VIP ","}, 0, ""}, /* the managers are to say so */
	{{NULL}, {".names.0", VIP ",other.example.org", ".due.0", NULL, ".due", NULL}, 0, ""},
	{{NULL}, {".date", "784111777"}, CERTAUTO_ECERT, "set the managers' clocks"},
	{{NULL}, {".date", "99999999999"}, CERTAUTO_ECERT, "set the managers' clocks"},
	{{NULL}, {".ca_signed_only", "true"}, CERTAUTO_EREFUSED, "turn ca_signed_only off"},
	{{NULL}, {".ca_signed_only", "false", ".eku_checking_enabled", "true",
		".crl_checking_enabled", "true"}, 0, ""},
	{{"insecure", "yes", NULL}, {NULL}, CERTAUTO_ETLS, "the private key is not sent"},
	{{"insecure", "yes", NULL}, {"id", "x"}, 0, ""}, /* it is there already */
	/* Nobody is locked out. */
	{{"url", "https://" VIP, NULL}, {NULL}, CERTAUTO_ECERT, "which is in the option url"},
	{{"url", "https://" VIP, "insecure", "yes", NULL}, {"id", "x"}, 0, ""},
	{{"url", "https://" VIP, NULL}, {".via", NULL}, 0, ""},
	{{"url", "https://" VIP, NULL}, {".via", "u9"}, 0, ""},
	{{"ca_file", own_file, NULL}, {NULL}, 0, ""},
	{{"ca_file", other_file, NULL}, {NULL}, 0, "the next run needs it in ca_file"},
	{{"ca_file", other_file, NULL}, {".via", NULL}, 0, ""},
	{{"ca_file", bad_file, NULL}, {NULL}, 0, ""},
	{{"pin", LAB_PIN, NULL}, {NULL}, 0,
		"the next run needs that of the new one"},
	{{"pin", own_pin, NULL}, {NULL}, 0, ""},
	{{NULL}, {"old.0", NULL}, 0, "could not be put back"},
	{{NULL}, {"old.0", NULL, ".seen.0", NULL}, 0, ""},
};

static certauto__verdict play_preflight(certauto_job *job, certauto__exchange *x, const void *arg)
{
	static const char *const usual[] = {"n", "1", "node.0", "vip", "label.0", "VIP",
		".names.0", VIP "," NAME, ".due.0", "yes", ".due", "yes", ".via", "vip", "old.0",
		"id-1", ".seen.0", "aa"};
	const struct preflight *flight = arg;
	certauto__verdict verdict;
	size_t i;

	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i += 2)
		certauto__fact_set(job, usual[i], usual[i + 1]);
	for (i = 0; flight->facts[i] != NULL; i += 2)
		certauto__fact_set(job, flight->facts[i], flight->facts[i + 1]);
	verdict = certauto__nsx_preflight(job, x);
	assert_int_equal(x->kind, CERTAUTO__X_NONE);
	return verdict;
}

static void files_make(void)
{
	struct {
		char *path;
		const struct lab_pair *pair;
	} files[] = {{own_file, &scene.ours}, {other_file, &scene.other}};
	certauto__buffer pin = CERTAUTO__BUFFER(64);
	certauto__buffer text = CERTAUTO__BUFFER(1 << 16);
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(files[i].path, sizeof(own_file), "%s/%zu.pem", scene.lab->folder, i);
		certauto__buffer_clear(&text);
		lab_pair_pem(&text, &scene.other, "");
		lab_write(files[i].path, "", 0600);
		certauto__buffer_clear(&text);
		assert_int_equal(certauto__certs_format(&text, files[i].pair->chain->certs,
					 CERTAUTO__PART_FULL), 0);
		lab_write(files[i].path, certauto__buffer_text(&text), 0600);
	}
	snprintf(bad_file, sizeof(bad_file), "%s/bad.pem", scene.lab->folder);
	lab_write(bad_file, "no certificate\n", 0600);
	assert_int_equal(certauto__certs_pin(&pin, scene.ours.chain->certs), 0);
	snprintf(own_pin, sizeof(own_pin), "%s", pin.data);
	certauto__buffer_free(&pin);
	certauto__buffer_free(&text);
}

static void preflight_check(const struct preflight *flight)
{
	const char *warnings;
	int rc;

	certauto__buffer_clear(&scene.lab->warnings);
	scene_target(flight->options);
	rc = play(play_preflight, flight);
	warnings = certauto__buffer_text(&scene.lab->warnings);
	if (rc != flight->rc)
		fail_msg("%td: %d: %s", flight - preflights, rc, scene.words);
	if (rc < 0)
		says(flight->words);
	else if (*flight->words == '\0' ? *warnings != '\0'
					: strstr(warnings, flight->words) == NULL)
		fail_msg("%td: warned of \"%s\"", flight - preflights, warnings);
	assert_null(strstr(scene.words, "BEGIN"));
}

static void test_nsx__what_would_fail_later_fails_before_a_change(void **state)
{
	size_t i;

	(void)state;
	scene_begin();
	files_make();
	for (i = 0; i < sizeof(preflights) / sizeof(preflights[0]); i++)
		preflight_check(&preflights[i]);
	scene_end();
}

/* Both would be applied, one after the other, and each run would find the other one. */
static void test_nsx__keys_of_several_types_do_not_take_turns(void **state)
{
	static const struct preflight flight = {{NULL}, {NULL}, 0, ""};

	(void)state;
	scene_begin();
	scene.n_keys = 2;
	scene_target(NULL);
	assert_int_equal(play(play_preflight, &flight), CERTAUTO_EUNSUPPORTED);
	says("managers present one certificate");
	scene_end();
}

/* ---- keys and leaves that managers do not take ---- */

/* Both self-signed, CA:FALSE. */
static const char with_rsa_1024[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIICDDCCAXWgAwIBAgIUBAOxaSwlyu6d3MOeEv+Qnrzh0cQwDQYJKoZIhvcNAQEL\n"
	"BQAwGjEYMBYGA1UEAwwPbnN4LmV4YW1wbGUub3JnMCAXDTI2MTEyMjA1NDEzMVoY\n"
	"DzIwNTYxMTE0MDU0MTMxWjAaMRgwFgYDVQQDDA9uc3guZXhhbXBsZS5vcmcwgZ8w\n"
	"DQYJKoZIhvcNAQEBBQADgY0AMIGJAoGBAPOO267TtVKjyTCDEyMpgro58ihnKcxy\n"
	"3/AK+8+HbbxLeRaovZr1i/CCe/qydQGrDMBICeaEbW2UdiVddM+S22IEkQv/hqa3\n"
	"FNWHbj6AO3YldbyhFuNbYgmJ8UHkrQLN1mFXxGtH19yvrGvpsICKmPLcZMjhsHA9\n"
	"gY8g6YbmdVh1AgMBAAGjTTBLMB0GA1UdDgQWBBQvGBZb8uC5N5egHOMzsEglaFDo\n"
	"9DAfBgNVHSMEGDAWgBQvGBZb8uC5N5egHOMzsEglaFDo9DAJBgNVHRMEAjAAMA0G\n"
	"CSqGSIb3DQEBCwUAA4GBAAxA+NGEKyqXb0E+Gj6llwus/jFdjlFmpezypa+Dqhkb\n"
	"33LHEflm6oC83sGeAAum621R/7BhY6kX12b97U1IHwyPYKyqcWe9ifi4Z2tdpfZo\n"
	"JgTU/GIEocNsSilrBwsENKcdQ18AKO2no+FU829DuB0z8p4ljwffIF5u/rqtMO6q\n"
	"-----END CERTIFICATE-----\n";

static const char with_p521[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIICDTCCAW6gAwIBAgIUTWMGWDUi9vfv6XWPZf4xf0M2jmYwCgYIKoZIzj0EAwIw\n"
	"GjEYMBYGA1UEAwwPbnN4LmV4YW1wbGUub3JnMCAXDTI2MTEyMjA1NDEzMVoYDzIw\n"
	"NTYxMTE0MDU0MTMxWjAaMRgwFgYDVQQDDA9uc3guZXhhbXBsZS5vcmcwgZswEAYH\n"
	"KoZIzj0CAQYFK4EEACMDgYYABAAnrNaX8StsWJpc/zYypkanUHepj0Dz3ETBBxSj\n"
	"rpKhWNea1SheLihLnzMVgxHPZhEgiWCSmFysEVVAlGhYCM01cgEYHm2UTg7GNHE2\n"
	"lvl0QA/wcmb3XLr4uwvuEpyF48Iobnd1MmxJj2inaP01nJklzAX0bSClSsifA7sn\n"
	"iZRJ9ZeyLKNNMEswHQYDVR0OBBYEFFdauji+E2hllhyiasL7s/Fb1U8RMB8GA1Ud\n"
	"IwQYMBaAFFdauji+E2hllhyiasL7s/Fb1U8RMAkGA1UdEwQCMAAwCgYIKoZIzj0E\n"
	"AwIDgYwAMIGIAkIArwnTas/JljktvvWX5QuQg22DSvPJrzjqmY/wOZiGdtQi0J4N\n"
	"LW7/6Sdp6+mJXeyXJxlks+pWxXe7/0O5W/Eu34YCQgHiEKkreqpl6iiOhrJcgFq8\n"
	"F0/UGx50XQhg868nsxucZeQeYu840ODRE/xa225sGGkgGI4SkO6uZCaxYYPBYyAN\n"
	"+A==\n"
	"-----END CERTIFICATE-----\n";

static const struct {
	const char *leaf;
	int rc;
	const char *words;
} unfit_leaves[] = {
	{chain_good, 0, ""},
	{chain_good_rsa, 0, ""},
	{chain_ca, CERTAUTO_ECERT, "the certificate is one of a CA (CA:TRUE)"},
	{ca_root, CERTAUTO_ECERT, "make one with CA:FALSE"},
	{with_rsa_1024, CERTAUTO_EUNSUPPORTED, "do not take a certificate with a key of that type"},
	{with_p521, CERTAUTO_EUNSUPPORTED, "P-256 or P-384"},
};

static void test_nsx__leaves_that_managers_do_not_take_are_not_imported(void **state)
{
	/* Whom it is for, and the chain, are other questions. */
	static const struct preflight flight = {
		{"insecure", "yes", NULL}, {".due.0", NULL, ".root", ca_root, "id", "x"}, 0, ""};
	certauto__certs *ours;
	size_t i;
	int rc;

	(void)state;
	scene_begin();
	scene_target(flight.options);
	ours = scene.ours.chain->certs;
	for (i = 0; i < sizeof(unfit_leaves) / sizeof(unfit_leaves[0]); i++) {
		scene.ours.chain->certs = unit_certs(unfit_leaves[i].leaf);
		rc = play(play_preflight, &flight);
		certauto__certs_free(scene.ours.chain->certs);
		if (rc != unfit_leaves[i].rc)
			fail_msg("%zu: %d: %s", i, rc, scene.words);
		says(unfit_leaves[i].words);
	}
	scene.ours.chain->certs = ours;
	scene_end();
}

/* ---- the root ---- */

static char root_normal[4096], root_path[128];

struct root {
	const char *options[3];
	int is_known;                  /* the managers have it */
	int rc;
	const char *words;
};

static certauto__verdict play_root(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct root *root = arg;
	certauto__buffer pem = CERTAUTO__BUFFER(1 << 16);
	int rc;

	(void)x;
	certauto__fact_set(job, ".root", root->is_known ? root_normal : NULL);
	rc = certauto__nsx_chain(&pem, job, certauto__job_error_of(job));
	if (rc == 0)
		assert_non_null(strstr(pem.data, root_normal));
	certauto__buffer_free(&pem);
	return rc < 0 ? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

static void chain_set(certauto__certs *certs)
{
	certauto__certs_free(scene.ours.chain->certs);
	scene.ours.chain->certs = certs;
}

/* Ours is signed by a CA now, whose root the chain does not have. */
static void sign_ours(void)
{
	certauto__certs *certs = NULL, *root = unit_certs(ca_root), *ca = unit_certs(ca_inter);
	certauto__buffer text = CERTAUTO__BUFFER(sizeof(root_normal));
	certauto__pkey *ca_key = unit_key(ca_inter_key);
	certauto_csr *csr = NULL;
	const char *name = NAME;
	int64_t now = (int64_t)time(NULL);

	assert_int_equal(certauto_csr_new(&csr, scene.lab->cx, scene.ours.key, &name, 1), 0);
	assert_int_equal(certauto__certs_signed(
				 &certs, ca, ca_key, csr->req, now - DAY, now + DAY, NULL), 0);
	chain_set(certs);
	assert_int_equal(certauto__certs_format(&text, root, CERTAUTO__PART_FULL), 0);
	snprintf(root_normal, sizeof(root_normal), "%s", text.data);
	certauto__buffer_free(&text);
	snprintf(root_path, sizeof(root_path), "%s/root.pem", scene.lab->folder);
	lab_write(root_path, root_normal, 0600);
	certauto__certs_free(root);
	certauto__certs_free(ca);
	certauto__pkey_free(ca_key);
	certauto_csr_free(csr);
}

static void test_nsx__the_root_is_found_or_asked_for(void **state)
{
	const struct root roots[] = {
		{{NULL}, 0, CERTAUTO_ECERT, "root_file, or import it as a CA certificate"},
		{{NULL}, 1, 0, ""},
		{{"root_file", root_path, NULL}, 0, 0, ""},
		{{"root_file", own_file, NULL}, 0, CERTAUTO_ECERT, "the chain is not complete"},
		{{"root_file", bad_file, NULL}, 0, CERTAUTO_ECERT, "root_file /"},
		{{"root_file", "/nowhere.pem", NULL}, 0, CERTAUTO_ECONFIG, "cannot be read"},
	};
	size_t i;
	int rc;

	(void)state;
	scene_begin();
	files_make(); /* own_file is of before */
	sign_ours();
	for (i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		scene_target(roots[i].options);
		rc = play(play_root, &roots[i]);
		if (rc != roots[i].rc)
			fail_msg("%zu: %d: %s", i, rc, scene.words);
		says(roots[i].words);
	}
	scene_end();
}

static void test_nsx__nobody_is_locked_out_by_another_ca(void **state)
{
	static const struct preflight flight = {{NULL}, {NULL}, 0, ""};
	const char *options[] = {"root_file", root_path, "ca_file", root_path, NULL};

	(void)state;
	scene_begin();
	files_make();
	sign_ours();
	scene_target(options);
	assert_int_equal(play(play_preflight, &flight), 0);
	assert_string_equal(certauto__buffer_text(&scene.lab->warnings), "");
	options[3] = other_file;
	scene_target(options);
	assert_int_equal(play(play_preflight, &flight), CERTAUTO_ECERT);
	says("no CA of ca_file");
	says("add the CA's root to that file");
	scene_end();
}

/* One of a CA that says nothing of what it is for. */
static void test_nsx__a_use_that_is_demanded_must_be_there(void **state)
{
	static const struct {
		const char *chain;
		int rc;
	} cases[] = {{chain_good_no_eku, CERTAUTO_ECERT}, {chain_good_any_eku, 0}, {chain_good, 0}};
	static char names[256];
	static const struct preflight flight = {
		{NULL}, {".eku_checking_enabled", "true", ".names.0", names, "id", "x", ".via",
			NULL}, 0, ""};
	const char *options[] = {"root_file", root_path, NULL};
	size_t i;

	(void)state;
	scene_begin();
	sign_ours();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scene_target(options);
		chain_set(unit_certs(cases[i].chain));
		snprintf(names, sizeof(names), "%s", certauto__certs_info(
			scene.ours.chain->certs, 0)->names->items[0]);
		if (play(play_preflight, &flight) != cases[i].rc)
			fail_msg("%zu: %s", i, scene.words);
		if (cases[i].rc < 0)
			says("eku_checking_enabled");
	}
	scene_end();
}

/* ---- the certificates that the managers have ---- */

struct row {
	const char *id, *name, *key;   /* key: has_private_key; NULL: it is not told */
	char leaf;                     /* 'o'urs, or the other one */
	const char *types, *node;      /* used by; NULL: nobody */
	int created;
};

static int list_make(certauto__buffer *out, const struct row *rows, const char *cursor)
{
	certauto__buffer pem = CERTAUTO__BUFFER(1 << 16);
	certauto__json w;

	certauto__json_start(&w, out, 0);
	certauto__json_object(&w);
	certauto__json_key(&w, "results");
	certauto__json_array(&w);
	for (; rows->id != NULL; rows++) {
		certauto__buffer_clear(&pem);
		certauto__certs_format(&pem, rows->leaf == 'o' ? scene.ours.chain->certs
							       : scene.other.chain->certs,
			CERTAUTO__PART_FULL);
		certauto__json_object(&w);
		certauto__json_put_text(&w, "id", rows->id);
		certauto__json_put_text(&w, "display_name", rows->name);
		certauto__json_put_text(&w, "pem_encoded", certauto__buffer_text(&pem));
		certauto__json_put_number(&w, "_create_time", rows->created);
		if (rows->key != NULL)
			certauto__json_put_bool(&w, "has_private_key", *rows->key == 't');
		certauto__json_key(&w, "used_by");
		certauto__json_array(&w);
		if (rows->types != NULL) {
			certauto__json_object(&w);
			certauto__json_put_text(&w, "node_id", rows->node);
			certauto__json_key(&w, "service_types");
			certauto__json_array(&w);
			certauto__json_text(&w, rows->types);
			certauto__json_array_end(&w);
			certauto__json_object_end(&w);
		}
		certauto__json_array_end(&w);
		certauto__json_object_end(&w);
	}
	certauto__json_array_end(&w);
	if (cursor != NULL)
		certauto__json_put_text(&w, "cursor", cursor);
	certauto__json_object_end(&w);
	certauto__buffer_free(&pem);
	return out->rc;
}

static certauto__verdict read_list(certauto_job *job, certauto__exchange *x,
	const struct row *rows, const char *cursor, certauto__step_fn read)
{
	certauto__buffer list = CERTAUTO__BUFFER(1 << 20);
	certauto__verdict verdict;

	if (list_make(&list, rows, cursor) < 0)
		verdict = certauto__fail(job, CERTAUTO_ENOMEM, NULL, "no memory for the list");
	else
		verdict = read_answer(job, x, 200, list.data, NULL, read);
	certauto__buffer_free(&list);
	return verdict;
}

static const char *print_of(const struct lab_pair *pair)
{
	return certauto__certs_info(pair->chain->certs, 0)->fingerprint;
}

/* Two managers and the VIP; what each presents: 'o'urs, the other one, '-' nobody answers. */
static void cluster_set(certauto_job *job, const char *presented)
{
	static const char *const nodes[] = {"u1", "u2", "vip"}, *const labels[] = {"n1", "n2",
		"VIP"};
	char at[32];
	int i;

	certauto__fact_set(job, "leaf", print_of(&scene.ours));
	certauto__fact_set(job, "name", "certauto-shop-ecdsa-p256-0123456789ab");
	certauto__fact_set_number(job, "n", 3);
	for (i = 0; i < 3; i++) {
		snprintf(at, sizeof(at), "10.0.0.1%d:443", i);
		certauto__fact_nth_set(job, "node", i, nodes[i]);
		certauto__fact_nth_set(job, "label", i, labels[i]);
		certauto__fact_nth_set(job, "at", i, at);
		certauto__fact_nth_set(job, ".seen", i, presented[i] == '-' ? NULL
			: print_of(presented[i] == 'o' ? &scene.ours : &scene.other));
	}
}

#define OWN "certauto-shop-ecdsa-p256-"

struct observe {
	const char *presented;
	struct row rows[4];
	const char *due, *old, *id;    /* due: of each '1' or '0'; old: ids with commas */
};

static const struct observe observes[] = {
	/* Nothing of ours is there. */
	{"xxx", {{"x1", "tomcat", "true", 'x', "API", "u1", 1}}, "111", "x1,x1,x1", NULL},
	/* All present it. */
	{"ooo", {{"o1", "o", "true", 'o', "API", "u1", 1}}, "000", ",,", "o1"},
	/* One does not, and which of two objects it had is told by the managers. */
	{"oxo", {{"x1", "a", "true", 'x', NULL, NULL, 1}, {"x2", "b", "true", 'x', "API", "u2", 1},
		{"o1", "o", "true", 'o', "API", "u1", 1}}, "010", ",x2,", "o1"},
	/* It has been imported without its key; the first releases do not tell that. */
	{"xxx", {{"o1", "o", "false", 'o', NULL, NULL, 1}}, "111", ",,", NULL},
	{"xxx", {{"o1", "o", NULL, 'o', NULL, NULL, 1}}, "111", ",,", "o1"},
	/* Of two of them the one in use. */
	{"oxx", {{"o1", "o", "true", 'o', NULL, NULL, 1}, {"o2", "o", "true", 'o', "API", "u1", 1}},
		"011", ",,", "o2"},
	/* Where nobody answers, the managers' word counts. */
	{"oo-", {{"x1", "a", "true", 'x', "MGMT_CLUSTER", "c", 1},
		{"o1", "o", "true", 'o', "API", "u1", 1}}, "001", ",,x1", "o1"},
};

static certauto__verdict play_observe(certauto_job *job, certauto__exchange *x, const void *arg)
{
	static const struct row none[] = {{.id = NULL}};
	const struct certauto__step *step = step_of(&certauto__nsx_deploy, "observe");
	const struct observe *observe = arg;
	char old[256] = "", due[4] = "";
	certauto__verdict verdict;
	int i;

	cluster_set(job, observe->presented);
	if (step->ask(job, x) != CERTAUTO__SEND)
		return CERTAUTO__FAILED;
	if ((verdict = read_list(job, x, none, "c2", step->read)) == CERTAUTO__FAILED)
		return verdict;
	assert_int_equal(verdict, CERTAUTO__WAIT_AGAIN); /* there is a page more */
	certauto__exchange_reset(x);
	if (step->ask(job, x) != CERTAUTO__SEND)
		return CERTAUTO__FAILED;
	assert_true(x->url.rc < 0 || strstr(certauto__buffer_text(&x->url), "cursor=c2") != NULL);
	verdict = read_list(job, x, observe->rows, NULL, step->read);
	if (verdict != CERTAUTO__NEXT)
		return verdict;
	for (i = 0; i < 3; i++) {
		const char *id = certauto__fact_nth(job, "old", i);

		snprintf(old + strlen(old), 64, "%s%s", i > 0 ? "," : "", id != NULL ? id : "");
		due[i] = certauto__fact_nth(job, ".due", i) != NULL ? '1' : '0';
	}
	if (certauto_job_error(job) != NULL)
		return CERTAUTO__FAILED;
	assert_string_equal(due, observe->due);
	assert_string_equal(old, observe->old);
	assert_true(certauto__text_equal(certauto__fact_own(job, "id"), observe->id));
	assert_int_equal(certauto__fact_own(job, ".due") != NULL, strchr(due, '1') != NULL);
	return CERTAUTO__NEXT;
}

static void test_nsx__what_is_presented_says_what_is_due(void **state)
{
	size_t i;

	(void)state;
	scene_begin();
	scene_target(NULL);
	for (i = 0; i < sizeof(observes) / sizeof(observes[0]); i++) {
		if (play(play_observe, &observes[i]) < 0)
			fail_msg("%zu: %s", i, scene.words);
	}
	scene_end();
}

/* ---- what is removed at the end ---- */

struct tidy {
	const char *keep;
	struct row rows[6];
	const char *tidy;
};

static const struct tidy tidies[] = {
	{"1", {{"o1", OWN "0123456789ab", "true", 'o', "API", "u1", 9},
		{"x1", OWN "aaaaaaaaaaaa", "true", 'x', NULL, NULL, 3},
		{"x2", OWN "bbbbbbbbbbbb", "true", 'x', NULL, NULL, 5},
		{"x3", OWN "cccccccccccc", "true", 'x', NULL, NULL, 4},
		{"x4", "tomcat", "true", 'x', NULL, NULL, 1}}, "x1,x3"},
	{"0", {{"o1", OWN "0123456789ab", "true", 'o', "API", "u1", 9},
		{"x1", OWN "aaaaaaaaaaaa", NULL, 'x', NULL, NULL, 3},
		{"x2", OWN "bbbbbbbbbbbb", "true", 'x', "API", "u1", 5},
		{"x3", "certauto-shop2-ecdsa-p256-cccccccccccc", "true", 'x', NULL, NULL, 4}},
		"x1"},
	{"9", {{"o1", OWN "0123456789ab", "true", 'o', "API", "u1", 9},
		{"o2", OWN "0123456789ab", "true", 'o', NULL, NULL, 8},
		{"x1", OWN "aaaaaaaaaaaa", "true", 'x', NULL, NULL, 3}}, "o2"},
	{"100", {{"o1", OWN "0123456789ab", "true", 'o', "API", "u1", 9}}, NULL},
};

static certauto__verdict play_tidy(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct certauto__step *step = step_of(&certauto__nsx_deploy, "verify");
	const struct tidy *tidy = arg;
	const char *chosen;

	cluster_set(job, "ooo");
	certauto__fact_set(job, "id", "o1");
	assert_int_equal(step->ask(job, x), CERTAUTO__NEXT); /* nothing has been changed */
	certauto__nsx_touch(job);
	assert_int_equal(step->ask(job, x), CERTAUTO__SEND);
	if (read_list(job, x, tidy->rows, NULL, step->read) != CERTAUTO__NEXT)
		return CERTAUTO__FAILED;
	assert_int_equal(certauto__nsx_end_ask(job, x), CERTAUTO__NEXT);
	chosen = certauto__fact_own(job, "tidy");
	if (!certauto__text_equal(chosen, tidy->tidy))
		fail_msg("%s, not %s", chosen, tidy->tidy);
	assert_int_equal(certauto__nsx_tidy_each(job), chosen == NULL ? 0
		: strchr(chosen, ',') != NULL ? 2 : 1);
	return CERTAUTO__NEXT;
}

static void test_nsx__superseded_certificates_go_but_for_some(void **state)
{
	const char *options[] = {"keep_old", NULL, NULL}, *warnings;
	size_t i;

	(void)state;
	scene_begin();
	for (i = 0; i < sizeof(tidies) / sizeof(tidies[0]); i++) {
		options[1] = tidies[i].keep;
		scene_target(options);
		certauto__buffer_clear(&scene.lab->warnings);
		assert_int_equal(play(play_tidy, &tidies[i]), 0);
		/* Of o1 the managers say that n1 uses it, and nobody else. */
		warnings = certauto__buffer_text(&scene.lab->warnings);
		assert_non_null(strstr(warnings, "in use at VIP"));
		assert_null(strstr(warnings, "in use at n1"));
	}
	scene_end();
}

/* Releases that split a chain: what came with the new one once more. */
static certauto__verdict play_twins(certauto_job *job, certauto__exchange *x, const void *arg)
{
	(void)arg;
	certauto__nsx_twin(job, "root-1", "aa", 0);
	certauto__nsx_twin(job, "between-1", "bb", 0);
	certauto__nsx_twin(job, "root-2", "aa", 1);
	certauto__nsx_end_ask(job, x);
	assert_string_equal(certauto__fact_own(job, "tidy"), "root-1");
	return CERTAUTO__NEXT;
}

static void test_nsx__certificates_of_cas_stay_once(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	assert_int_equal(play(play_twins, NULL), 0);
	scene_end();
}

/* ---- import and validation ---- */

struct import {
	int status[3];                 /* of the answers in turn; 0: a list */
	struct row rows[3];
	int rc;
	const char *words;
};

static const struct import imports[] = {
	{{201}, {{"c1", "ca", "false", 'x', NULL, NULL, 1},
		{"o1", "o", "true", 'o', NULL, NULL, 1}}, 0, "o1"},
	{{201}, {{"c1", "ca", "true", 'x', NULL, NULL, 1}}, CERTAUTO_EPROTO, "under which id"},
	/* Refused: is it there, by an attempt whose answer was lost? */
	{{409, 0}, {{"o1", "o", "true", 'o', NULL, NULL, 1}}, 0, "o1"},
	{{400, 0, 400}, {{"c1", "ca", "true", 'x', NULL, NULL, 1}}, CERTAUTO_EREFUSED,
		"basicConstraints is told as a key that does not match"},
	{{403}, {{NULL}}, CERTAUTO_EPERM, "certauto target recipe"},
};

static certauto__verdict play_import(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct import *import = arg;
	certauto__verdict verdict = CERTAUTO__NEXT;
	int i;

	cluster_set(job, "xxx");
	certauto__fact_set(job, ".due", "yes");
	for (i = 0; i < 3; i++) {
		certauto__exchange_reset(x);
		job->attempts = i + 1;
		if (certauto__nsx_import_ask(job, x) != CERTAUTO__SEND)
			return CERTAUTO__FAILED;
		assert_string_equal(x->method, import->status[i] == 0 ? "GET" : "POST");
		assert_int_equal(certauto__fact_own(job, "switch") != NULL, 1);
		verdict = import->status[i] >= 400
			? read_answer(job, x, import->status[i], "{\"error_message\":\"no\"}", NULL,
				  certauto__nsx_import_read)
			: read_list(job, x, import->rows, NULL, certauto__nsx_import_read);
		if (verdict != CERTAUTO__WAIT_AGAIN)
			break;
	}
	if (verdict != CERTAUTO__NEXT)
		return verdict;
	assert_true(certauto__text_equal(certauto__fact_own(job, "id"), import->words));
	certauto__exchange_reset(x);
	assert_int_equal(certauto__nsx_import_ask(job, x), CERTAUTO__NEXT); /* once */
	return verdict;
}

static void test_nsx__an_import_is_found_by_its_leaf(void **state)
{
	size_t i;
	int rc;

	(void)state;
	scene_begin();
	scene_target(NULL);
	for (i = 0; i < sizeof(imports) / sizeof(imports[0]); i++) {
		rc = play(play_import, &imports[i]);
		if (rc != imports[i].rc)
			fail_msg("%zu: %d: %s", i, rc, scene.words);
		if (rc < 0)
			says(imports[i].words);
	}
	scene_end();
}

struct validate {
	int status;
	const char *body;
	certauto__verdict verdict;
	const char *words;
};

static const struct validate validates[] = {
	{200, "{\"status\":\"OK\"}", CERTAUTO__NEXT, ""},
	{200, "{\"status\":\"CRL_NOT_READY\"}", CERTAUTO__WAIT_AGAIN, ""},
	{200, "{\"status\":\"REJECTED\",\"error_message\":\"no\\u001b\"}", CERTAUTO__FAILED,
		"REJECTED (\"no\\x1b\")"},
	{200, "{\"status\":\"ERROR\"}", CERTAUTO__FAILED, "ERROR"},
	{404, "{}", CERTAUTO__NEXT, ""},
	{405, "", CERTAUTO__NEXT, ""},
	{403, "{}", CERTAUTO__FAILED, "validating the certificate"},
	{200, "{}", CERTAUTO__NEXT, ""},
};

static certauto__verdict play_validate(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct validate *validate = arg;
	certauto__verdict verdict;

	cluster_set(job, "xxx");
	certauto__fact_set(job, "id", "o1");
	assert_int_equal(certauto__nsx_validate_ask(job, x), CERTAUTO__NEXT); /* nothing is due */
	certauto__fact_set(job, ".due", "yes");
	assert_int_equal(certauto__nsx_validate_ask(job, x), CERTAUTO__SEND);
	assert_non_null(strstr(certauto__buffer_text(&x->url), "&usage=SERVER"));
	assert_int_equal(read_answer(job, x, 400, "{\"error_message\":\"usage?\"}", NULL,
				 certauto__nsx_validate_read), CERTAUTO__WAIT_AGAIN);
	certauto__exchange_reset(x);
	assert_int_equal(certauto__nsx_validate_ask(job, x), CERTAUTO__SEND);
	assert_null(strstr(certauto__buffer_text(&x->url), "usage"));
	verdict = read_answer(job, x, validate->status, validate->body, NULL,
		certauto__nsx_validate_read);
	assert_int_equal(verdict, validate->verdict);
	return verdict == CERTAUTO__FAILED ? verdict : CERTAUTO__NEXT;
}

static void test_nsx__validation_is_read_whatever_the_release(void **state)
{
	size_t i;

	(void)state;
	scene_begin();
	scene_target(NULL);
	for (i = 0; i < sizeof(validates) / sizeof(validates[0]); i++) {
		if (play(play_validate, &validates[i]) < 0)
			says(validates[i].words);
	}
	scene_end();
}

/* ---- what the managers demand ---- */

static certauto__verdict play_security(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const certauto__step_fn read = certauto__nsx_security_read;

	(void)arg;
	assert_int_equal(certauto__nsx_security_ask(job, x), CERTAUTO__NEXT);
	certauto__fact_set(job, ".due", "yes");
	assert_int_equal(certauto__nsx_security_ask(job, x), CERTAUTO__SEND);
	/* Who may not read it is told by the managers. */
	assert_int_equal(read_answer(job, x, 403, NO_RIGHT, NULL, read), CERTAUTO__NEXT);
	assert_int_equal(read_answer(job, x, 200, "<html>", NULL, read), CERTAUTO__NEXT);
	assert_int_equal(read_silence(job, x, read), CERTAUTO__NEXT);
	certauto__exchange_reset(x);
	assert_null(certauto__fact_own(job, ".ca_signed_only"));
	/* Another release has it elsewhere. */
	assert_int_equal(read_answer(job, x, 404, "", NULL, read), CERTAUTO__WAIT_AGAIN);
	assert_int_equal(read_answer(job, x, 200, "{\"ca_signed_only\":true,"
		"\"crl_checking_enabled\":false}", NULL, read), CERTAUTO__NEXT);
	assert_string_equal(certauto__fact_own(job, ".ca_signed_only"), "true");
	assert_string_equal(certauto__fact_own(job, ".crl_checking_enabled"), "false");
	assert_null(certauto__fact_own(job, ".eku_checking_enabled"));
	return CERTAUTO__NEXT;
}

static void test_nsx__what_is_demanded_is_read_where_it_can_be(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	assert_int_equal(play(play_security, NULL), 0);
	scene_end();
}

/* ---- apply, and back ---- */

#define CERTS "https://" NAME "/api/v1/trust-management/certificates/"

struct apply {
	const char *options[3];
	int i;
	const char *url, *back;
};

static const struct apply applies[] = {
	{{"dialect", "apply", NULL}, 1,
		CERTS "o1?action=apply_certificate&service_type=API&node_id=u2",
		CERTS "x1?action=apply_certificate&service_type=API&node_id=u2"},
	{{"dialect", "apply", NULL}, 2,
		CERTS "o1?action=apply_certificate&service_type=MGMT_CLUSTER",
		CERTS "x1?action=apply_certificate&service_type=MGMT_CLUSTER"},
	{{"dialect", "legacy", NULL}, 1, "https://" NAME
		"/api/v1/cluster/u2/node/services/http?action=apply_certificate&certificate_id=o1",
		"https://" NAME
		"/api/v1/cluster/u2/node/services/http?action=apply_certificate&certificate_id=x1"},
	{{"dialect", "legacy", NULL}, 2, "https://" NAME
		"/api/v1/cluster/api-certificate?action=set_cluster_certificate&certificate_id=o1",
		"https://" NAME
		"/api/v1/cluster/api-certificate?action=set_cluster_certificate&certificate_id=x1"},
};

static certauto__verdict play_url(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct apply *apply = arg;

	job->index = apply->i;
	job->attempts = 1;
	cluster_set(job, "xxx");
	certauto__fact_set(job, "id", "o1");
	assert_int_equal(certauto__nsx_apply_ask(job, x), CERTAUTO__NEXT); /* it is not due */
	certauto__fact_nth_set(job, ".due", apply->i, "yes");
	certauto__fact_nth_set(job, "old", apply->i, "x1");
	assert_int_equal(certauto__nsx_apply_ask(job, x), CERTAUTO__SEND);
	assert_string_equal(certauto__buffer_text(&x->url), apply->url);
	assert_string_equal(x->method, "POST");
	certauto__exchange_reset(x);
	certauto__fact_set(job, ".phase", "apply");
	job->attempts = 2;
	assert_int_equal(certauto__nsx_apply_undo(job, x), CERTAUTO__SEND);
	assert_string_equal(certauto__buffer_text(&x->url), apply->back);
	job->index = 0;
	return CERTAUTO__NEXT;
}

static void test_nsx__an_apply_is_written_as_the_version_wants(void **state)
{
	size_t i;

	(void)state;
	scene_begin();
	for (i = 0; i < sizeof(applies) / sizeof(applies[0]); i++) {
		scene_target(applies[i].options);
		assert_int_equal(play(play_url, &applies[i]), 0);
	}
	scene_end();
}

/* Answers in turn: a status; 'o'urs or the other one presented; '-' nobody is there; and then the
 * phase that follows, or "" for none. The job has gone on for late_ms. */
struct turns {
	const char *phase;
	char answer;
	int status;
	int64_t late_ms;
	certauto__verdict verdict;
	const char *next;
	const char *words;
};

static const struct turns forth[] = {
	{"apply", 0, 200, 0, CERTAUTO__WAIT_AGAIN, "leaf", ""},
	{"apply", 0, 202, 0, CERTAUTO__WAIT_AGAIN, "leaf", ""},
	{"apply", 0, 409, 0, CERTAUTO__WAIT_AGAIN, "apply", ""},
	{"apply", 0, 503, 0, CERTAUTO__WAIT_AGAIN, "apply", ""},
	{"apply", '-', 0, 0, CERTAUTO__WAIT_AGAIN, "leaf", ""},
	{"apply", 0, 400, 0, CERTAUTO__FAILED, "", "applying the certificate at n1"},
	{"apply", 0, 403, 0, CERTAUTO__FAILED, "", "applying the certificate at n1"},
	{"apply", 0, 503, 130000, CERTAUTO__FAILED, "", "HTTP status 503"},
	{"leaf", 'o', 0, 0, CERTAUTO__WAIT_AGAIN, "health", ""},
	{"leaf", 'x', 0, 0, CERTAUTO__WAIT_AGAIN, "leaf", ""},
	{"leaf", '-', 0, 0, CERTAUTO__WAIT_AGAIN, "leaf", ""},
	{"leaf", 'x', 0, 130000, CERTAUTO__FAILED, "", "n1 does not present the new certificate"},
	{"leaf", '-', 0, 130000, CERTAUTO__FAILED, "",
		"connection refused (at that moment: n1: no answer"},
	{"health", 0, 200, 0, CERTAUTO__NEXT, "health", ""},
	{"health", 0, 403, 0, CERTAUTO__NEXT, "health", ""},
	{"health", 0, 503, 0, CERTAUTO__WAIT_AGAIN, "health", ""},
	{"health", 0, 503, 130000, CERTAUTO__FAILED, "", "HTTP status 503"},
	{"door", 'x', 0, 0, CERTAUTO__WAIT_AGAIN, "apply", ""},
	{"door", '-', 0, 0, CERTAUTO__WAIT_AGAIN, "door", ""},
	{"door", '-', 0, 130000, CERTAUTO__WAIT_AGAIN, "apply", ""},
	{NULL, 0, 0, 0, CERTAUTO__NEXT, "", ""},
};

static const struct turns back[] = {
	{"look", 'x', 0, 0, CERTAUTO__NEXT, "look", ""}, /* somebody else's by now */
	{"look", 'o', 0, 0, CERTAUTO__WAIT_AGAIN, "apply", ""},
	{"look", '-', 0, 0, CERTAUTO__WAIT_AGAIN, "look", ""},
	{"look", '-', 0, 4000, CERTAUTO__WAIT_AGAIN, "apply", ""},
	{"apply", 0, 200, 0, CERTAUTO__WAIT_AGAIN, "leaf", ""},
	{"apply", 0, 409, 0, CERTAUTO__WAIT_AGAIN, "apply", ""},
	{"apply", '-', 0, 0, CERTAUTO__WAIT_AGAIN, "look", ""},
	{"apply", 0, 400, 0, CERTAUTO__FAILED, "", "may still present"},
	{"leaf", 'o', 0, 0, CERTAUTO__WAIT_AGAIN, "leaf", ""},
	{"leaf", 'x', 0, 0, CERTAUTO__NEXT, "leaf", ""},
	{"leaf", 'o', 0, 130000, CERTAUTO__FAILED, "", "n1: the new one, n2: SHA-256"},
	{"leaf", '-', 0, 130000, CERTAUTO__FAILED, "", "n1: no answer, n2: SHA-256"},
	{NULL, 0, 0, 0, CERTAUTO__NEXT, "", ""},
};

static certauto__verdict play_turn(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct turns *turn = arg;
	certauto__step_fn read = turn >= back && turn < back + sizeof(back) / sizeof(back[0])
		? certauto__nsx_apply_undo_read : certauto__nsx_apply_read;
	certauto__verdict verdict;

	cluster_set(job, "xxx");
	certauto__fact_set(job, ".phase", turn->phase);
	certauto__fact_set(job, "old.0", "x1");
	job->step_since -= turn->late_ms;
	verdict = turn->answer == '-' ? read_silence(job, x, read)
		: read_answer(job, x, turn->status, "{}", turn->answer == 0 ? NULL
			: turn->answer == 'o' ? &scene.ours : &scene.other, read);
	assert_int_equal(verdict, turn->verdict);
	if (verdict != CERTAUTO__FAILED)
		assert_string_equal(certauto__fact_own(job, ".phase"), turn->next);
	return verdict == CERTAUTO__FAILED ? verdict : CERTAUTO__NEXT;
}

static void turns_check(const struct turns *turn, int rc)
{
	for (; turn->phase != NULL; turn++) {
		int is_code = play(play_turn, turn);

		if ((is_code < 0) != (turn->verdict == CERTAUTO__FAILED))
			fail_msg("%s %d: %s", turn->phase, turn->status, scene.words);
		assert_true(is_code == 0 || rc == 0 || is_code == rc);
		if (is_code < 0)
			says(turn->words);
	}
}

static void test_nsx__a_restart_is_waited_for_and_a_refusal_is_not(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	turns_check(forth, 0);
	scene_end();
}

static void test_nsx__what_cannot_be_put_back_is_told(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	turns_check(back, CERTAUTO_EROLLBACK);
	scene_end();
}

/* An apply without an answer, and the old certificate after a while: asked for once more. */
static certauto__verdict play_unsure(certauto_job *job, certauto__exchange *x, const void *arg)
{
	(void)arg;
	cluster_set(job, "xxx");
	certauto__fact_set(job, ".phase", "apply");
	assert_int_equal(read_silence(job, x, certauto__nsx_apply_read), CERTAUTO__WAIT_AGAIN);
	certauto__exchange_reset(x);
	assert_int_equal(read_answer(job, x, 0, NULL, &scene.other, certauto__nsx_apply_read),
		CERTAUTO__WAIT_AGAIN);
	assert_string_equal(certauto__fact_own(job, ".phase"), "leaf");
	job->step_since -= 20000;
	assert_int_equal(read_answer(job, x, 0, NULL, &scene.other, certauto__nsx_apply_read),
		CERTAUTO__WAIT_AGAIN);
	assert_string_equal(certauto__fact_own(job, ".phase"), "door");
	return CERTAUTO__NEXT;
}

static void test_nsx__an_apply_that_was_lost_is_asked_for_again(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	assert_int_equal(play(play_unsure, NULL), 0);
	scene_end();
}

/* Where one was waited for in vain the next one is not, until somebody answers. */
static certauto__verdict play_dead(certauto_job *job, certauto__exchange *x, const void *arg)
{
	(void)arg;
	cluster_set(job, "ooo");
	certauto__fact_set(job, ".phase", "leaf");
	certauto__fact_set(job, ".dead", "yes");
	job->step_since -= 4000;
	assert_int_equal(read_silence(job, x, certauto__nsx_apply_undo_read), CERTAUTO__FAILED);
	certauto__exchange_reset(x);
	assert_int_equal(read_answer(job, x, 0, NULL, &scene.ours, certauto__nsx_apply_undo_read),
		CERTAUTO__WAIT_AGAIN);
	assert_null(certauto__fact_own(job, ".dead"));
	return CERTAUTO__NEXT;
}

static void test_nsx__the_dead_are_waited_for_once(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	(void)play(play_dead, NULL);
	assert_true(certauto__nsx_deploy.undo_ms >= 4 * 120000);
	scene_end();
}

/* One that was told to change, and has not been seen to, may be about to: it is given what it
 * presented before. What somebody else has put there stays. */
static certauto__verdict play_sent(certauto_job *job, certauto__exchange *x, const void *arg)
{
	static const struct {
		const char *was, *sent, *old, *phase;
		certauto__verdict verdict;
	} cases[] = {
		{"other", "yes", "x1", "look", CERTAUTO__WAIT_AGAIN},
		{"other", NULL, "x1", "look", CERTAUTO__NEXT},
		{"other", "yes", NULL, "look", CERTAUTO__NEXT},
		{"somebody's", "yes", "x1", "look", CERTAUTO__NEXT},
		{"other", "yes", "x1", "leaf", CERTAUTO__NEXT},
	};
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cluster_set(job, "xxx");
		certauto__fact_set(job, ".phase", cases[i].phase);
		certauto__fact_set(job, "was.0", strcmp(cases[i].was, "other") == 0
			? print_of(&scene.other) : cases[i].was);
		certauto__fact_set(job, "sent.0", cases[i].sent);
		certauto__fact_set(job, "old.0", cases[i].old);
		certauto__exchange_reset(x);
		assert_int_equal(read_answer(job, x, 0, NULL, &scene.other,
			certauto__nsx_apply_undo_read), cases[i].verdict);
		if (cases[i].verdict == CERTAUTO__WAIT_AGAIN)
			assert_string_equal(certauto__fact_own(job, ".phase"), "apply");
	}
	return CERTAUTO__NEXT;
}

/* A refusal is none of that; a lost answer, and one of a proxy, may be. */
static certauto__verdict play_asked(certauto_job *job, certauto__exchange *x, const void *arg)
{
	static const struct {
		int status, is_sent;
	} cases[] = {{200, 1}, {400, 0}, {409, 0}, {503, 1}};
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cluster_set(job, "xxx");
		certauto__fact_set(job, "id", "o1");
		certauto__fact_set(job, ".due.0", "yes");
		certauto__fact_set(job, ".restarted", NULL);
		job->attempts = 1;
		certauto__exchange_reset(x);
		assert_int_equal(certauto__nsx_apply_ask(job, x), CERTAUTO__SEND);
		assert_string_equal(certauto__fact_own(job, "sent.0"), "yes");
		(void)read_answer(job, x, cases[i].status, "{}", NULL, certauto__nsx_apply_read);
		assert_int_equal(certauto__fact_own(job, "sent.0") != NULL, cases[i].is_sent);
	}
	return CERTAUTO__NEXT;
}

static void test_nsx__what_may_be_about_to_change_is_put_back(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	assert_int_equal(play(play_sent, NULL), 0);
	assert_int_equal(play(play_asked, NULL), 0);
	scene_end();
}

/* A manager that always has one page more. */
static certauto__verdict play_pages(certauto_job *job, certauto__exchange *x, const void *arg)
{
	static const struct row none[] = {{.id = NULL}};
	const struct certauto__step *step = step_of(&certauto__nsx_deploy, "observe");

	(void)arg;
	cluster_set(job, "xxx");
	job->attempts = 499;
	assert_int_equal(read_list(job, x, none, "c", step->read), CERTAUTO__WAIT_AGAIN);
	certauto__exchange_reset(x);
	job->attempts = 500;
	return read_list(job, x, none, "c", step->read);
}

static void test_nsx__pages_that_never_end_do(void **state)
{
	(void)state;
	scene_begin();
	scene_target(NULL);
	assert_int_equal(play(play_pages, NULL), CERTAUTO_EPROTO);
	says("more than 500 pages");
	scene_end();
}

/* The id of a policy certificate is its name, which may be long. */
static certauto__verdict play_long(certauto_job *job, certauto__exchange *x, const void *arg)
{
	char name[301];

	(void)arg;
	memset(name, 'n', sizeof(name) - 1);
	name[300] = '\0';
	certauto__nsx_older(job, name, "1");
	certauto__nsx_end_ask(job, x);
	assert_null(certauto__fact_own(job, "tidy")); /* cut, it would be another's */
	name[216] = '\0';
	certauto__nsx_older(job, name, "1");
	certauto__nsx_end_ask(job, x);
	assert_int_equal(certauto__nsx_tidy_each(job), 1);
	assert_int_equal(certauto__nsx_tidy_ask(job, x), CERTAUTO__SEND);
	assert_non_null(strstr(certauto__buffer_text(&x->url), name));
	return CERTAUTO__NEXT;
}

static void test_nsx__a_long_id_is_removed_or_left_alone(void **state)
{
	const char *options[] = {"keep_old", "0", NULL};

	(void)state;
	scene_begin();
	scene_target(options);
	assert_int_equal(play(play_long, NULL), 0);
	scene_end();
}

/* ---- virtual servers ---- */

#define VS "GET /policy/api/v1/infra/lb-virtual-servers/shop"
#define BINDING(path) \
	"{\"id\":\"shop\",\"_revision\":3,\"client_ssl_profile_binding\":{" \
	"\"default_certificate_path\":\"" path "\",\"client_auth\":\"IGNORE\"}"

struct server {
	const char *options[3];
	const char *body;
	int status, rc;
	const char *words;
};

static const struct server servers[] = {
	{{NULL}, "{\"id\":\"shop\"}", 200, CERTAUTO_EREFUSED, "does not speak TLS"},
	{{NULL}, "{\"error_message\":\"x\"}", 404, CERTAUTO_ENOTFOUND, "there is no virtual"},
	{{NULL}, BINDING("/infra/certificates/a") ",\"_protection\":\"REQUIRE_OVERRIDE\"}", 200,
		CERTAUTO_EPERM, "another program has made it"},
	{{"allow_overwrite", "yes", NULL},
		BINDING("/infra/certificates/a") ",\"_protection\":\"PROTECTED\"}", 200,
		CERTAUTO_EPERM, "another program has made it"},
	/* What was written is not there afterwards. */
	{{"allow_overwrite", "yes", NULL},
		BINDING("/infra/certificates/a") ",\"_protection\":\"REQUIRE_OVERRIDE\"}", 200,
		CERTAUTO_EREFUSED, "there already, with another content"},
};

static void server_visit(struct manager *manager, const struct server *server)
{
	char url[64];

	memset(manager, 0, sizeof(*manager));
	device_bind(&manager->device, INADDR_LOOPBACK, 0);
	device_tell(&manager->device, VS, server->status, server->body, 0);
	device_tell(&manager->device, "PUT /policy/api/v1/infra/certificates/", 200, "{}", 0);
	device_start(&manager->device);
	scene_target(NULL);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", manager->device.port);
	lab_set(scene.target, "url", url);
	lab_set(scene.target, "password", "right&");
	lab_set(scene.target, "insecure", "yes");
	lab_set(scene.target, "allow_key_over_insecure", "yes");
	lab_set(scene.target, "service", "lb");
	lab_set(scene.target, "virtual_server", "shop");
	lab_set(scene.target, "probe", "no");
	if (server->options[0] != NULL)
		lab_set(scene.target, server->options[0], server->options[1]);
	assert_int_equal(certauto_target_check(scene.target), 0);
}

static void test_nsx__a_virtual_server_that_does_not_suit_is_told(void **state)
{
	struct manager manager;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		scene_begin();
		server_visit(&manager, &servers[i]);
		rc = scene_run(&certauto__nsx_lb);
		assert_int_equal(certauto_context_run(scene.lab->cx, TIMEOUT_MS), 0);
		device_end(&manager.device);
		if (rc != servers[i].rc)
			fail_msg("%zu: %d: %s", i, rc, scene.words);
		says(servers[i].words);
		assert_int_equal(strstr(manager.device.log, "PUT ") != NULL,
			i + 1 == sizeof(servers) / sizeof(servers[0]));
		scene_end();
	}
}

/* ---- a lack of memory ---- */

static int play_again(void *arg)
{
	const struct {
		certauto__verdict (*fn)(certauto_job *, certauto__exchange *, const void *);
		const void *arg;
	} *what = arg;
	int rc;

	rc = play(what->fn, what->arg);
	certauto__buffer_clear(&scene.lab->warnings);
	return rc;
}

static certauto__verdict play_plain_where(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct where *where = arg;
	certauto__verdict verdict = read_answer(
		job, x, 200, where->cluster, NULL, certauto__nsx_cluster_read);

	return verdict != CERTAUTO__NEXT ? verdict
		: read_answer(job, x, 200, where->vip, NULL, certauto__nsx_virtual_read);
}

static certauto__verdict play_plain_list(certauto_job *job, certauto__exchange *x, const void *arg)
{
	const struct certauto__step *observe = step_of(&certauto__nsx_deploy, "observe"),
		*verify = step_of(&certauto__nsx_deploy, "verify");
	const struct row *rows = arg;
	certauto__verdict verdict;

	cluster_set(job, "xxx");
	if ((verdict = read_list(job, x, rows, NULL, observe->read)) != CERTAUTO__NEXT)
		return verdict;
	certauto__nsx_touch(job);
	if ((verdict = read_list(job, x, rows, NULL, verify->read)) != CERTAUTO__NEXT)
		return verdict;
	certauto__exchange_reset(x);
	certauto__fact_set(job, "id", NULL);
	if (certauto__nsx_import_ask(job, x) == CERTAUTO__FAILED)
		return CERTAUTO__FAILED;
	if (x->body.rc < 0 || x->url.rc < 0)
		return certauto__fail(job, CERTAUTO_ENOMEM, NULL, "not sent");
	return certauto__nsx_end_ask(job, x);
}

static void test_nsx__each_decision_survives_a_lack_of_memory(void **state)
{
	const struct {
		certauto__verdict (*fn)(certauto_job *, certauto__exchange *, const void *);
		const void *arg;
	} plays[] = {
		{play_plain_where, &wheres[0]},
		{play_plain_list, tidies[0].rows},
		{play_preflight, &preflights[14]},
		{play_root, &(struct root){{NULL}, 0, 0, ""}},
	};
	const char *options[] = {"ca_file", root_path, "root_file", root_path, NULL};
	size_t i;

	(void)state;
	scene_begin();
	sign_ours();
	scene_target(options);
	for (i = 0; i < sizeof(plays) / sizeof(plays[0]); i++)
		unit_oom_sweep("decision", play_again, (void *)&plays[i]);
	scene_end();
}

/* A virtual server that has it already: read, and nothing else. */
static void test_nsx__a_look_at_a_server_survives_a_lack_of_memory(void **state)
{
	char body[512], name[CERTAUTO__NSX_NAME];
	struct certauto__deployment *deployment;
	struct server server = {{NULL}, body, 200, 0, ""};
	struct manager manager;
	long n;
	int rc = 1;

	(void)state;
	scene_begin();
	scene_target(NULL);
	deployment = certauto__deployment_new(scene.target, "shop", "ecdsa-p256");
	deployment->chain = scene.ours.chain->certs;
	certauto__nsx_certificate(name, deployment);
	borrowed_free(deployment);
	snprintf(body, sizeof(body), BINDING("/infra/certificates/%s") "}", name);
	server_visit(&manager, &server);
	for (n = 1; rc != 0; n++) {
		certauto__alloc_fail_at(n, 0);
		rc = scene_run(&certauto__nsx_lb);
		certauto__alloc_fail_at(0, 0);
		if (rc != 0 && rc != CERTAUTO_ENOMEM)
			fail_msg("%ld: %d: %s", n, rc, scene.words);
		assert_int_equal(certauto_context_run(scene.lab->cx, TIMEOUT_MS), 0);
		manager.device.log[0] = '\0';
		if (n % 4 != 0)
			n += 2; /* a sample: each run asks a manager */
	}
	assert_true(n > 20);
	device_end(&manager.device);
	assert_null(strstr(manager.device.log, "PUT "));
	scene_end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nsx__ids_are_listed_in_facts),
		cmocka_unit_test(test_nsx__the_cluster_tells_where_certificates_go),
		cmocka_unit_test(test_nsx__what_would_fail_later_fails_before_a_change),
		cmocka_unit_test(test_nsx__keys_of_several_types_do_not_take_turns),
		cmocka_unit_test(test_nsx__leaves_that_managers_do_not_take_are_not_imported),
		cmocka_unit_test(test_nsx__the_root_is_found_or_asked_for),
		cmocka_unit_test(test_nsx__nobody_is_locked_out_by_another_ca),
		cmocka_unit_test(test_nsx__a_use_that_is_demanded_must_be_there),
		cmocka_unit_test(test_nsx__what_is_presented_says_what_is_due),
		cmocka_unit_test(test_nsx__superseded_certificates_go_but_for_some),
		cmocka_unit_test(test_nsx__certificates_of_cas_stay_once),
		cmocka_unit_test(test_nsx__an_import_is_found_by_its_leaf),
		cmocka_unit_test(test_nsx__validation_is_read_whatever_the_release),
		cmocka_unit_test(test_nsx__what_is_demanded_is_read_where_it_can_be),
		cmocka_unit_test(test_nsx__an_apply_is_written_as_the_version_wants),
		cmocka_unit_test(test_nsx__a_restart_is_waited_for_and_a_refusal_is_not),
		cmocka_unit_test(test_nsx__what_cannot_be_put_back_is_told),
		cmocka_unit_test(test_nsx__an_apply_that_was_lost_is_asked_for_again),
		cmocka_unit_test(test_nsx__the_dead_are_waited_for_once),
		cmocka_unit_test(test_nsx__what_may_be_about_to_change_is_put_back),
		cmocka_unit_test(test_nsx__pages_that_never_end_do),
		cmocka_unit_test(test_nsx__a_long_id_is_removed_or_left_alone),
		cmocka_unit_test(test_nsx__a_virtual_server_that_does_not_suit_is_told),
		cmocka_unit_test(test_nsx__each_decision_survives_a_lack_of_memory),
		cmocka_unit_test(test_nsx__a_look_at_a_server_survives_a_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
