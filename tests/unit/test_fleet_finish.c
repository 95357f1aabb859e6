/* SPDX-License-Identifier: Apache-2.0 */
/* What is saved once for all certificates of a run, and keys that a target makes: what is kept of
 * each way that can end, and what the next run makes of it. */
#include "unit_fleet.h"

#include "fake_appliance.h"
#include "fleet/fleet.h"
#include "fleet/run.h"

#define MINUTE_MS 60000

struct unit {
	struct unit_store store;
	certauto_fleet *fleet;
	char server[64];
	int port_fd;
	void *lock;
};

static struct unit *unit; /* for what the appliance calls */

static int parse_fleet(struct unit *u, const char *certificates)
{
	char text[32768];

	snprintf(text, sizeof(text),
		"{\"state\": \"%s\", \"accounts\": {\"ca\": {\"server\": \"%s\", \"agree_tos\": "
		"true}}, \"targets\": {\"box\": {\"type\": \"appliance\", \"device\": \"one\"}, "
		"\"twin\": {\"type\": \"appliance\", \"device\": \"one\"}, \"other\": {\"type\": "
		"\"appliance\", \"device\": \"two\"}, \"disk\": {\"type\": \"files\", "
		"\"directory\": \"%s\"}}, \"certificates\": {%s}}",
		u->store.state, u->server, u->store.folder, certificates);
	certauto_fleet_free(u->fleet);
	u->fleet = NULL;
	return certauto_fleet_parse(&u->fleet, u->store.cx, (const unsigned char *)text,
		strlen(text));
}

#define CERTIFICATE(name, rest) \
	"\"" name "\": {\"account\": \"ca\", \"names\": [\"a.example.org\"], \"challenge\": " \
	"{\"type\": \"http-01\", \"target\": \"box\"}" rest "}"
#define DEPLOYED(name, where) CERTIFICATE(name, ", \"deploy\": [" where "]")

static void load_fleet(struct unit *u, const char *certificates)
{
	if (parse_fleet(u, certificates) < 0)
		fail_msg("%s", certauto_error_message(certauto_context_error(u->store.cx)));
}

static int setup(void **state)
{
	struct unit *u = calloc(1, sizeof(*u));

	unit_store_setup(&u->store);
	appliance_add(u->store.cx);
	snprintf(u->server, sizeof(u->server), "https://127.0.0.1:%d/dir",
		unit_refusing_port(&u->port_fd));
	*state = unit = u;
	return 0;
}

static int teardown(void **state)
{
	struct unit *u = *state;

	certauto_fleet_free(u->fleet);
	unit_store_teardown(&u->store);
	close(u->port_fd);
	free(u);
	return 0;
}

/* A day old. */
static void issue_as(struct unit *u, const char *name, const char *lineage, const char *key_on)
{
	unit_issue(&u->store, u->server, name, lineage, key_on, DAY);
}

static void issue(struct unit *u, const char *name)
{
	issue_as(u, name, "ecdsa-p256", NULL);
}

/* What is kept of a target, and in the error what is to be found; NULL = no error. */
static void assert_kept(struct unit *u, const char *name, const char *label, const char *state,
	const char *error)
{
	const struct certauto__target_state *target;
	struct certauto__lineage_state kept;

	assert_int_equal(
		certauto__state_load(&kept, u->store.store, name, "ecdsa-p256", NULL), 0);
	assert_non_null(target = certauto__state_find(&kept, label));
	assert_string_equal(target->state, state);
	if (error == NULL)
		assert_int_equal(target->error.code, 0);
	else
		assert_non_null(strstr(certauto_error_message(&target->error), error));
	certauto__state_free(&kept);
}

static int n_journals(struct unit *u)
{
	return unit_count(unit_state_path(&u->store, "jobs"), "");
}

static void assert_result(struct unit *u, size_t i, const char *outcome, const char *error)
{
	const struct certauto__result *result = &u->fleet->results[i];

	assert_true(i < u->fleet->n_results);
	assert_string_equal(result->outcome, outcome);
	if (error != NULL)
		assert_non_null(strstr(certauto_error_message(&result->error), error));
	else
		assert_int_equal(result->error.code, 0);
}

/* What the appliance was asked since the last time. */
static void assert_calls(const char *calls)
{
	assert_string_equal(appliance.calls, calls);
	appliance.calls[0] = '\0';
}

static int deploy(struct unit *u)
{
	return certauto_fleet_deploy(u->fleet, NULL, 0, MINUTE_MS);
}

static int renew(struct unit *u)
{
	return certauto_fleet_renew(u->fleet, NULL, 0, 0, MINUTE_MS);
}

#define UNSAVED "box serves the new certificate, but it is not saved yet"

/* ---- once for all ---- */

static void test_finish__saves_once_for_each_device(void **state)
{
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\"") "," DEPLOYED("b", "\"box\", \"other\"") ","
		DEPLOYED("c", "\"twin\""));
	issue(u, "a");
	issue(u, "b");
	issue(u, "c");
	assert_int_equal(renew(u), 0);
	assert_non_null(strstr(appliance.calls, "save one 3 old 3;"));
	assert_non_null(strstr(appliance.calls, "save two 1 old 1;"));
	assert_null(strstr(strstr(appliance.calls, "save"), "put"));
	assert_kept(u, "a", "box", "deployed", NULL);
	assert_kept(u, "b", "box", "deployed", NULL);
	assert_kept(u, "b", "other", "deployed", NULL);
	assert_kept(u, "c", "twin", "deployed", NULL);
	assert_result(u, 0, "done", NULL);
	assert_result(u, 2, "done", NULL);
	assert_int_equal(n_journals(u), 2); /* "." and ".." */
	appliance.calls[0] = '\0';
	assert_int_equal(renew(u), 0);
	assert_calls("");
	assert_result(u, 0, "unchanged", NULL);
}

static void test_finish__fifty_certificates_one_session_one_save(void **state)
{
	char text[16384] = "", name[8], one[256], *at, *save;
	struct unit *u = *state;
	int i, n = 0;

	for (i = 0; i < 50; i++) {
		snprintf(one, sizeof(one), DEPLOYED("x%d", "\"box\""), i);
		at = text + strlen(text);
		snprintf(at, sizeof(text) - (size_t)(at - text), "%s%s", i > 0 ? "," : "", one);
	}
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		issue(u, name);
	}
	load_fleet(u, text);
	assert_int_equal(renew(u), 0);
	for (at = appliance.calls; (at = strstr(at, "put ")) != NULL; at++)
		n++;
	assert_int_equal(n, 50);
	assert_non_null(save = strstr(appliance.calls, "save one 50 old 50;bye;"));
	assert_string_equal(save, "save one 50 old 50;bye;");
}

static void test_finish__an_unproved_one_stays_unproved(void **state)
{
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	issue(u, "a");
	appliance.unproved = 1;
	assert_int_equal(deploy(u), 0);
	assert_kept(u, "a", "box", "unproved", NULL);
}

static void test_finish__that_fails_is_remembered_and_done_by_the_next_run(void **state)
{
	struct unit *u = *state;
	char *status = NULL, *plan = NULL;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	issue(u, "a");
	appliance.fails = "save";
	assert_int_equal(renew(u), CERTAUTO_EREFUSED);
	assert_calls("put a;save one 1 old 1;bye;");
	assert_result(u, 0, "failed", UNSAVED ": the appliance does not save");
	assert_kept(u, "a", "box", "active-not-saved", UNSAVED);
	assert_int_equal(certauto_fleet_dup_status(&status, u->fleet, NULL, 0), 0);
	assert_non_null(strstr(status, "\"state\":\"active-not-saved\""));
	assert_non_null(strstr(status, "\"message\":\"" UNSAVED));
	assert_int_equal(certauto_fleet_dup_plan(&plan, u->fleet, NULL, 0, 0), 0);
	assert_non_null(strstr(plan, "box serves it, but it is not saved there"));
	appliance.fails = NULL;
	assert_int_equal(renew(u), 0);
	assert_calls("put a;save one 1 recovering 1;bye;");
	assert_result(u, 0, "done", NULL);
	assert_kept(u, "a", "box", "deployed", NULL);
	certauto_mem_free(status);
	certauto_mem_free(plan);
}

static void test_finish__that_still_owes_something_is_gone_on_with(void **state)
{
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	issue(u, "a");
	appliance.owed = "tidy";
	assert_int_equal(renew(u), CERTAUTO_EREFUSED);
	assert_result(u, 0, "failed", "a file is in use");
	assert_kept(u, "a", "box", "active-not-saved", "a file is in use");
	appliance.calls[0] = '\0';
	appliance.owed = NULL;
	assert_int_equal(certauto_fleet_gc(u->fleet, MINUTE_MS), 0);
	assert_calls("put a;save one 1 recovering 1;bye;");
	assert_result(u, 0, "done", NULL);
	assert_kept(u, "a", "box", "deployed", NULL);
	assert_int_equal(certauto_fleet_gc(u->fleet, MINUTE_MS), 0);
	assert_calls("");
}

static void test_finish__one_that_fails_before_does_not_keep_the_others_from_it(void **state)
{
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\"") "," DEPLOYED("b", "\"box\""));
	issue(u, "a");
	issue(u, "b");
	appliance.fails = "put";
	appliance.fails_for = "a";
	assert_int_equal(renew(u), CERTAUTO_EREFUSED);
	assert_non_null(strstr(appliance.calls, "save one 1 old 1;"));
	assert_result(u, 0, "failed", "the appliance does not put");
	assert_result(u, 1, "done", NULL);
	assert_kept(u, "b", "box", "deployed", NULL);
}

static void test_finish__what_was_done_is_saved_though_the_run_is_cancelled(void **state)
{
	certauto_job *job = NULL;
	struct unit *u = *state;
	int64_t deadline = certauto__clock_ms() + MINUTE_MS;

	load_fleet(u, DEPLOYED("a", "\"box\"") "," DEPLOYED("b", "\"other\""));
	issue(u, "a");
	issue(u, "b");
	appliance.hangs = "prove";
	appliance.fails_for = "b";
	assert_int_equal(certauto_fleet_start_renew(&job, u->fleet, NULL, 0, 0, MINUTE_MS), 0);
	while (u->fleet->results[0].outcome == NULL || strstr(appliance.calls, "put b") == NULL) {
		assert_true(certauto__clock_ms() < deadline);
		assert_int_equal(certauto_context_run(u->store.cx, 1), 1);
	}
	certauto_job_cancel(job);
	assert_int_equal(certauto_job_wait(job, MINUTE_MS), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	assert_non_null(strstr(appliance.calls, "take b;"));
	assert_non_null(strstr(appliance.calls, "save one 1 old 1;"));
	assert_kept(u, "a", "box", "deployed", NULL);
	assert_result(u, 0, "done", NULL);
	assert_result(u, 1, "failed", "cancelled");
}

static void run_to_save(struct unit *u, certauto_job **job)
{
	int64_t deadline = certauto__clock_ms() + MINUTE_MS;

	appliance.hangs = "save";
	assert_int_equal(certauto_fleet_start_renew(job, u->fleet, NULL, 0, 0, MINUTE_MS), 0);
	while (u->fleet->results[0].outcome == NULL) {
		assert_true(certauto__clock_ms() < deadline);
		assert_int_equal(certauto_context_run(u->store.cx, 1), 1);
	}
	assert_kept(u, "a", "box", "active-not-saved", NULL);
	appliance.hangs = NULL;
}

static void test_finish__left_in_the_middle_is_done_by_the_next_run(void **state)
{
	certauto_job *job = NULL;
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	issue(u, "a");
	run_to_save(u, &job);
	certauto_job_cancel(job);
	certauto_job_cancel(job);
	assert_int_equal(certauto_job_wait(job, MINUTE_MS), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	assert_result(u, 0, "failed", UNSAVED);
	assert_kept(u, "a", "box", "active-not-saved", UNSAVED);
	appliance.calls[0] = '\0';
	assert_int_equal(renew(u), 0);
	assert_calls("put a;save one 1 recovering 1;bye;");
}

static void test_finish__that_is_cancelled_says_what_is_not_saved(void **state)
{
	certauto_job *job = NULL;
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	issue(u, "a");
	run_to_save(u, &job);
	certauto_job_cancel(job);
	assert_int_equal(certauto_job_wait(job, MINUTE_MS), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	assert_result(u, 0, "failed", UNSAVED);
	assert_kept(u, "a", "box", "active-not-saved", UNSAVED);
}

static void take_lock(void)
{
	certauto_store *store = unit->store.store;

	assert_int_equal(store->row->lock(store, "cert", "a-ecdsa-p256", &unit->lock, NULL), 0);
}

static void test_finish__leaves_what_another_run_works_on(void **state)
{
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	issue(u, "a");
	appliance.saving = take_lock;
	assert_int_equal(renew(u), 0);
	assert_kept(u, "a", "box", "active-not-saved", NULL);
	assert_result(u, 0, "done", NULL);
	u->store.store->row->unlock(u->store.store, u->lock);
}

static void deploy_elsewhere(void)
{
	struct certauto__target_state *target;
	struct certauto__lineage_state kept;
	certauto_store *store = unit->store.store;

	assert_int_equal(certauto__state_load(&kept, store, "a", "ecdsa-p256", NULL), 0);
	assert_non_null(target = certauto__state_target(&kept, "box"));
	assert_int_equal(certauto__target_state_set(target, "rolled-back", "00"), 0);
	assert_int_equal(certauto__state_save(&kept, store, "a", "ecdsa-p256", NULL), 0);
	certauto__state_free(&kept);
}

static void test_finish__does_not_write_over_what_another_run_has_found(void **state)
{
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	issue(u, "a");
	appliance.saving = deploy_elsewhere;
	assert_int_equal(renew(u), 0);
	assert_kept(u, "a", "box", "rolled-back", NULL);
}

/* ---- what may be left there ---- */

static void test_state__what_may_be_left_outlives_a_new_certificate(void **state)
{
	const struct certauto__target_state *found;
	struct certauto__target_state *target;
	struct certauto__lineage_state kept;
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	issue(u, "a");
	assert_int_equal(certauto__state_load(&kept, u->store.store, "a", "ecdsa-p256", NULL), 0);
	assert_non_null(target = certauto__state_target(&kept, "box"));
	assert_int_equal(certauto__target_state_set(target, "inconsistent", NULL), 0);
	assert_int_equal(certauto__target_state_set(target, "pending", NULL), 0);
	assert_int_equal(certauto__state_save(&kept, u->store.store, "a", "ecdsa-p256", NULL), 0);
	certauto__state_free(&kept);
	assert_int_equal(renew(u), 0);
	assert_calls("put a;save one 1 recovering 1;bye;");
	assert_int_equal(certauto__state_load(&kept, u->store.store, "a", "ecdsa-p256", NULL), 0);
	assert_non_null(found = certauto__state_find(&kept, "box"));
	assert_int_equal(found->unfinished, 0);
	certauto__state_free(&kept);
}

/* ---- keys that a target makes ---- */

#define MADE(more) CERTIFICATE("a", ", \"csr\": {\"target\": \"box\"}" more)

static void assert_refused(struct unit *u, const char *certificates, const char *what)
{
	assert_int_equal(parse_fleet(u, certificates), CERTAUTO_ECONFIG);
	if (strstr(certauto_error_message(certauto_context_error(u->store.cx)), what) == NULL)
		fail_msg("%s", certauto_error_message(certauto_context_error(u->store.cx)));
}

static void test_maker__stays_where_it_is(void **state)
{
	struct unit *u = *state;

	load_fleet(u, MADE(", \"deploy\": [\"box\"]"));
	load_fleet(u, MADE(", \"key\": [\"ecdsa-p256\", \"rsa-2048\"]"));
	assert_refused(u, MADE(", \"deploy\": [\"box\", \"disk\"]"),
		"it cannot be deployed to \"disk\"");
	assert_refused(u, MADE(", \"reuse_key\": true"), "reuse_key has no meaning");
	assert_refused(u, CERTIFICATE("a", ", \"csr\": {\"target\": \"disk\"}"),
		"\"disk\" (files) makes no keys");
	assert_refused(u, CERTIFICATE("a", ", \"csr\": {\"target\": \"none\"}"),
		"there is no target \"none\"");
	assert_refused(u, CERTIFICATE("a", ", \"csr\": {}"), "\"target\" is missing");
	assert_refused(u, CERTIFICATE("a", ", \"csr\": 1"), "csr must be the path of a file, or");
}

static int count_files(struct unit *u, const char *name)
{
	char path[512];
	struct dirent *entry;
	DIR *stream;
	int n = 0;

	assert_non_null(stream = opendir(unit_state_path(&u->store, "certs/a/ecdsa-p256")));
	while ((entry = readdir(stream)) != NULL) {
		if (strncmp(entry->d_name, "gen-", 4) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s",
			unit_state_path(&u->store, "certs/a/ecdsa-p256"), entry->d_name, name);
		n += unit_exists(path);
	}
	closedir(stream);
	return n;
}

static void test_maker__is_asked_once_for_an_order_that_takes_several_runs(void **state)
{
	const char *name = "a";
	struct unit *u = *state;

	load_fleet(u, MADE(", \"deploy\": [\"box\"]"));
	assert_int_equal(renew(u), CERTAUTO_ENET); /* nobody listens there */
	assert_calls("key a ecdsa-p256 a.example.org;bye;");
	assert_int_equal(count_files(u, "csr.pem"), 1);
	assert_int_equal(count_files(u, "key.target"), 1);
	assert_int_equal(count_files(u, "key.pem"), 0);
	assert_int_equal(certauto_fleet_renew(u->fleet, &name, 1, 0, MINUTE_MS), CERTAUTO_ENET);
	assert_calls("");
	assert_int_equal(count_files(u, "csr.pem"), 1);
}

static void test_maker__that_makes_another_request_is_refused(void **state)
{
	struct unit *u = *state;

	load_fleet(u, MADE(", \"deploy\": [\"box\"]"));
	appliance.request_name = "b.example.org";
	assert_int_equal(renew(u), CERTAUTO_EPROTO);
	assert_result(u, 0, "failed", "lacks the name a.example.org");
	appliance.request_name = NULL;
	appliance.fails = "key";
	assert_int_equal(renew(u), CERTAUTO_EREFUSED);
	assert_result(u, 0, "failed", "the appliance does not key");
}

static void test_maker__is_given_its_certificate_without_a_key(void **state)
{
	struct unit *u = *state;

	load_fleet(u, MADE(", \"deploy\": [\"box\"]"));
	issue_as(u, "a", "ecdsa-p256", "box");
	assert_int_equal(renew(u), 0);
	assert_calls("put a keyless ecdsa-p256;save one 1 old 1;bye;");
	assert_kept(u, "a", "box", "deployed", NULL);
}

/* A request that a person has had made by "certauto csr --target". */
static void test_maker__is_given_what_was_ordered_with_a_request_from_a_file(void **state)
{
	struct unit *u = *state;
	char path[128], config[512];

	issue_as(u, "a", "csr", NULL);
	snprintf(path, sizeof(path), "%s/a.csr", u->store.folder);
	snprintf(config, sizeof(config),
		CERTIFICATE("a", ", \"csr\": \"%s\", \"deploy\": [\"box\"]"), path);
	load_fleet(u, config);
	assert_int_equal(renew(u), 0);
	assert_calls("put a keyless ecdsa-p256;save one 1 old 1;bye;");
	assert_int_equal(renew(u), 0);
	assert_calls("");
}

static void assert_planned(struct unit *u, const char *why)
{
	char *plan = NULL;

	assert_int_equal(certauto_fleet_dup_plan(&plan, u->fleet, NULL, 0, 0), 0);
	if (strstr(plan, why) == NULL || strstr(plan, "\"issue\"") == NULL)
		fail_msg("%s", plan);
	certauto_mem_free(plan);
}

static void test_maker__that_changes_makes_the_certificate_due(void **state)
{
	struct unit *u = *state;

	issue_as(u, "a", "ecdsa-p256", "box");
	load_fleet(u, DEPLOYED("a", "\"box\""));
	assert_planned(u, "its key is to be made here now");
	load_fleet(u, CERTIFICATE("a", ", \"csr\": {\"target\": \"other\"}"));
	assert_planned(u, "its key is to be made by another target now");
	issue(u, "a");
	assert_planned(u, "its key is to be made by a target now");
}

static void test_maker__belongs_to_what_an_order_is_of(void **state)
{
	char here[65], there[65], other[65];
	struct unit *u = *state;

	load_fleet(u, DEPLOYED("a", "\"box\""));
	assert_int_equal(certauto__lineage_identity(
				 here, &u->fleet->certificates[0], "ecdsa-p256", NULL), 0);
	load_fleet(u, MADE(""));
	assert_int_equal(certauto__lineage_identity(
				 there, &u->fleet->certificates[0], "ecdsa-p256", NULL), 0);
	load_fleet(u, CERTIFICATE("a", ", \"csr\": {\"target\": \"other\"}"));
	assert_int_equal(certauto__lineage_identity(
				 other, &u->fleet->certificates[0], "ecdsa-p256", NULL), 0);
	assert_string_not_equal(here, there);
	assert_string_not_equal(there, other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_finish__saves_once_for_each_device),
		TEST(test_finish__fifty_certificates_one_session_one_save),
		TEST(test_finish__an_unproved_one_stays_unproved),
		TEST(test_finish__that_fails_is_remembered_and_done_by_the_next_run),
		TEST(test_finish__that_still_owes_something_is_gone_on_with),
		TEST(test_finish__one_that_fails_before_does_not_keep_the_others_from_it),
		TEST(test_finish__what_was_done_is_saved_though_the_run_is_cancelled),
		TEST(test_finish__left_in_the_middle_is_done_by_the_next_run),
		TEST(test_finish__that_is_cancelled_says_what_is_not_saved),
		TEST(test_finish__leaves_what_another_run_works_on),
		TEST(test_finish__does_not_write_over_what_another_run_has_found),
		TEST(test_state__what_may_be_left_outlives_a_new_certificate),
		TEST(test_maker__stays_where_it_is),
		TEST(test_maker__is_asked_once_for_an_order_that_takes_several_runs),
		TEST(test_maker__that_makes_another_request_is_refused),
		TEST(test_maker__is_given_its_certificate_without_a_key),
		TEST(test_maker__is_given_what_was_ordered_with_a_request_from_a_file),
		TEST(test_maker__that_changes_makes_the_certificate_due),
		TEST(test_maker__belongs_to_what_an_order_is_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
