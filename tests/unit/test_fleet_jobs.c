/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet's jobs with a target made for the purpose: what is kept of each way a deployment can
 * end, and who may go when. Orders are tried on real CAs by the flow tests; here the CA is a
 * port nobody listens at. */
#include "unit_fleet.h"

#include <dirent.h>

#include <certauto/sys/target.h>

#include "fleet/fleet.h"

/* What the target does: one letter for each call, and the operation that fails. */
struct device {
	char calls[64];
	const char *fails, *fails_too;
};

struct unit {
	struct unit_store store;
	struct device device;
	certauto_fleet *fleet;
	char server[64];
	int port_fd;
};

static int operate(certauto_work *work, void *payload)
{
	struct device *device = payload;
	const char *op = certauto_work_op(work);
	size_t len = strlen(device->calls);

	if (len + 1 < sizeof(device->calls)) {
		device->calls[len] = op[0] == 's'
			? op[1]
			: op[0]; /* o t w a t u: observe stage swap save tidy undo */
		device->calls[len + 1] = '\0';
	}
	if ((device->fails != NULL && strcmp(device->fails, op) == 0) ||
	    (device->fails_too != NULL && strcmp(device->fails_too, op) == 0))
		return certauto_work_fail(work, CERTAUTO_EREFUSED, "the device does not want to");
	return 0;
}

static const certauto_target_ops device_ops = {
	.version = CERTAUTO_TARGET_OPS_VERSION,
	.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DEPLOY,
	.name = "device",
	.present = operate,
	.cleanup = operate,
	.observe = operate,
	.stage = operate,
	.swap = operate,
	.save = operate,
	.tidy = operate,
	.undo = operate,
};

static void load_fleet(struct unit *u)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"{\"state\": \"%s\", \"accounts\": {\"ca\": {\"server\": \"%s\", "
		"\"agree_tos\": true}}, \"targets\": {\"box\": {\"type\": \"device\", \"probe\": "
		"\"no\"}}, "
		"\"certificates\": {\"shop\": {\"account\": \"ca\", \"names\": [\"a.example.org\"],"
		" "
		"\"challenge\": {\"type\": \"http-01\", \"target\": \"box\"}, \"deploy\": "
		"[\"box\"]}}}",
		u->store.state, u->server);
	certauto_fleet_free(u->fleet);
	u->fleet = NULL;
	if (certauto_fleet_parse(&u->fleet, u->store.cx, (const unsigned char *)text,
		    strlen(text)) < 0)
		fail_msg("%s", certauto_error_message(certauto_context_error(u->store.cx)));
}

static int setup(void **state)
{
	struct unit *u = calloc(1, sizeof(*u));

	unit_store_setup(&u->store);
	assert_int_equal(certauto_context_add_target(u->store.cx, &device_ops, &u->device, NULL),
		0);
	snprintf(u->server, sizeof(u->server), "https://127.0.0.1:%d/dir",
		unit_refusing_port(&u->port_fd));
	load_fleet(u);
	*state = u;
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

/* So many seconds ago. */
static void issue(struct unit *u, int64_t age_s)
{
	unit_issue(&u->store, u->server, "shop", "ecdsa-p256", NULL, age_s);
}

static const struct certauto__target_state *box(struct unit *u,
	struct certauto__lineage_state *kept)
{
	certauto__state_free(kept);
	assert_int_equal(certauto__state_load(kept, u->store.store, "shop", "ecdsa-p256", NULL), 0);
	return certauto__state_find(kept, "box");
}

/* State of the target, and whether a record was left, after a run. */
static void assert_left(struct unit *u, const char *state, int journals)
{
	struct certauto__lineage_state kept = {0};
	const struct certauto__target_state *target = box(u, &kept);

	assert_non_null(target);
	assert_string_equal(target->state, state);
	assert_int_equal(unit_count(unit_state_path(&u->store, "jobs"), "shop"), journals);
	certauto__state_free(&kept);
}

static void assert_outcome(struct unit *u, const char *outcome, int code)
{
	char *results = NULL;

	assert_int_equal(u->fleet->n_results, 1);
	assert_string_equal(u->fleet->results[0].outcome, outcome);
	assert_int_equal(u->fleet->results[0].error.code, code);
	assert_int_equal(certauto_fleet_dup_results(&results, u->fleet), 0);
	assert_non_null(strstr(results, "{\"name\":\"shop\",\"key\":\"ecdsa-p256\",\"outcome\":"));
	certauto_mem_free(results);
	u->device.calls[0] = '\0';
}

static int deploy(struct unit *u)
{
	return certauto_fleet_deploy(u->fleet, NULL, 0, 60000);
}

static int renew(struct unit *u)
{
	return certauto_fleet_renew(u->fleet, NULL, 0, 0, 60000);
}

/* ---- deployments ---- */

static void test_deploy__goes_through_and_leaves_no_record(void **state)
{
	struct unit *u = *state;

	issue(u, DAY);
	assert_int_equal(deploy(u), 0);
	assert_string_equal(u->device.calls, "otwat");
	assert_outcome(u, "done", 0);
	assert_left(u, "unproved", 0); /* probe is off */
	assert_int_equal(renew(u), 0);
	assert_string_equal(u->device.calls, "");
	assert_outcome(u, "unchanged", 0);
}

static void test_deploy__refused_before_a_change_is_failed(void **state)
{
	struct unit *u = *state;

	issue(u, DAY);
	u->device.fails = "observe";
	assert_int_equal(deploy(u), CERTAUTO_EREFUSED);
	assert_outcome(u, "failed", CERTAUTO_EREFUSED);
	assert_left(u, "failed", 0);
}

static void test_deploy__refused_at_the_switch_is_rolled_back_and_renew_tries_again(void **state)
{
	struct certauto__lineage_state kept = {0};
	struct unit *u = *state;

	issue(u, DAY);
	u->device.fails = "swap";
	assert_int_equal(deploy(u), CERTAUTO_EREFUSED);
	assert_non_null(strchr(u->device.calls, 'u'));
	assert_outcome(u, "failed", CERTAUTO_EREFUSED);
	assert_left(u, "rolled-back", 0);
	assert_null(box(u, &kept)->fingerprint);
	assert_int_equal(box(u, &kept)->error.code, CERTAUTO_EREFUSED);
	u->device.fails = NULL;
	assert_int_equal(renew(u), 0);
	assert_outcome(u, "done", 0);
	assert_left(u, "unproved", 0);
	assert_int_equal(box(u, &kept)->error.code, 0);
	certauto__state_free(&kept);
}

static void test_deploy__rolled_back_still_shows_what_was_served_before(void **state)
{
	struct certauto__lineage_state kept = {0};
	struct unit *u = *state;
	char before[80];

	issue(u, DAY);
	assert_int_equal(deploy(u), 0);
	snprintf(before, sizeof(before), "%s", box(u, &kept)->fingerprint);
	issue(u, 0);
	u->device.fails = "swap";
	assert_int_equal(renew(u), CERTAUTO_EREFUSED);
	assert_string_equal(box(u, &kept)->state, "rolled-back");
	assert_string_equal(box(u, &kept)->fingerprint, before);
	certauto__state_free(&kept);
}

static void test_deploy__not_taken_back_is_inconsistent_and_remembered(void **state)
{
	struct unit *u = *state;

	issue(u, DAY);
	u->device.fails = "swap";
	u->device.fails_too = "undo";
	assert_int_equal(deploy(u), CERTAUTO_EROLLBACK);
	assert_outcome(u, "failed", CERTAUTO_EROLLBACK);
	assert_left(u, "inconsistent", 1);
	u->device.fails = u->device.fails_too = NULL;
	assert_int_equal(renew(u), 0);
	assert_left(u, "unproved", 0);
}

static void test_deploy__not_saved_is_owed_and_the_next_run_saves(void **state)
{
	struct unit *u = *state;

	issue(u, DAY);
	u->device.fails = "save";
	assert_int_equal(deploy(u), CERTAUTO_EREFUSED);
	assert_null(strchr(u->device.calls, 'u'));
	assert_outcome(u, "failed", CERTAUTO_EREFUSED);
	assert_left(u, "active-not-saved", 1);
	u->device.fails = NULL;
	assert_int_equal(renew(u), 0);
	assert_non_null(strchr(u->device.calls, 'a'));
	assert_left(u, "unproved", 0);
}

static void test_deploy__what_was_never_issued_cannot_be_deployed(void **state)
{
	const char *name = "shop";
	struct unit *u = *state;

	assert_int_equal(deploy(u), 0);
	assert_outcome(u, "unchanged", 0);
	assert_int_equal(certauto_fleet_deploy(u->fleet, &name, 1, 60000), CERTAUTO_ENOTFOUND);
	assert_outcome(u, "failed", CERTAUTO_ENOTFOUND);
}

/* ---- who may go when ---- */

static void test_run__a_lock_held_elsewhere_means_later(void **state)
{
	const struct certauto__store_row *row;
	struct unit *u = *state;
	void *lock = NULL;

	row = u->store.store->row;
	issue(u, DAY);
	assert_int_equal(row->lock(u->store.store, "cert", "shop-ecdsa-p256", &lock, NULL), 0);
	assert_int_equal(deploy(u), CERTAUTO_EBUSY);
	assert_string_equal(u->device.calls, "");
	assert_outcome(u, "later", CERTAUTO_EBUSY);
	row->unlock(u->store.store, lock);
	assert_int_equal(deploy(u), 0);
	/* And it was given back: the next run gets it again. */
	assert_int_equal(deploy(u), 0);
}

static void test_run__one_at_a_time_for_a_fleet(void **state)
{
	certauto_job *job = NULL, *second = NULL;
	struct unit *u = *state;

	issue(u, DAY);
	assert_int_equal(certauto_fleet_start_deploy(&job, u->fleet, NULL, 0, 60000), 0);
	assert_int_equal(certauto_fleet_start_deploy(&second, u->fleet, NULL, 0, 60000),
		CERTAUTO_EBUSY);
	assert_null(second);
	assert_int_equal(certauto_job_wait(job, 60000), 0);
	certauto_job_free(job);
	assert_int_equal(deploy(u), 0);
}

static void test_run__unknown_names_are_refused(void **state)
{
	const char *name = "shoe";
	struct unit *u = *state;

	assert_int_equal(certauto_fleet_renew(u->fleet, &name, 1, 0, 60000), CERTAUTO_ENOTFOUND);
	assert_non_null(strstr(certauto_error_message(certauto_context_error(u->store.cx)),
		"shop"));
}

static void test_run__cancelled_counts_as_no_failure(void **state)
{
	struct certauto__lineage_state kept = {0};
	certauto_job *job = NULL;
	struct unit *u = *state;

	assert_int_equal(certauto_fleet_start_renew(&job, u->fleet, NULL, 0, 0, 60000), 0);
	certauto_job_cancel(job);
	assert_int_equal(certauto_job_wait(job, 60000), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	assert_outcome(u, "failed", CERTAUTO_ECANCELED);
	(void)box(u, &kept);
	assert_int_equal(kept.failures, 0);
	assert_int_equal(renew(u), CERTAUTO_ENET);
	certauto__state_free(&kept);
}

/* ---- backoff ---- */

static void assert_told(int rc, char *text, const char *what)
{
	assert_int_equal(rc, 0);
	if (strstr(text, what) == NULL)
		fail_msg("%s is not in %s", what, text);
	certauto_mem_free(text);
}

/* That is the plan of what is named, or forced, or neither. */
static void assert_plan(struct unit *u, int named, int flags, const char *what)
{
	const char *name = "shop";
	char *text = NULL;
	int rc = certauto_fleet_dup_plan(&text, u->fleet, named ? &name : NULL, named, flags);

	assert_told(rc, text, what);
}

static void test_renew__a_failed_order_waits_unless_it_is_named(void **state)
{
	struct certauto__lineage_state kept = {0};
	const char *name = "shop";
	struct unit *u = *state;

	assert_int_equal(renew(u), CERTAUTO_ENET);
	assert_outcome(u, "failed", CERTAUTO_ENET);
	(void)box(u, &kept);
	assert_int_equal(kept.failures, 1);
	assert_int_equal(kept.error.code, CERTAUTO_ENET);
	assert_in_range(kept.retry_at, certauto__clock_now() + 30, certauto__clock_now() + 60);
	assert_int_equal(renew(u), CERTAUTO_ERETRY_LATER);
	assert_outcome(u, "later", CERTAUTO_ERETRY_LATER);
	(void)box(u, &kept);
	assert_int_equal(kept.failures, 1);
	assert_plan(u, 0, 0, "\"action\":\"nothing\",\"why\":\"it must wait until ");
	assert_plan(u, 1, 0, "\"action\":\"issue\",\"why\":\"never issued\"");
	assert_plan(u, 0, CERTAUTO_FLEET_FORCE, "\"action\":\"issue\"");
	assert_int_equal(certauto_fleet_renew(u->fleet, &name, 1, 0, 60000), CERTAUTO_ENET);
	(void)box(u, &kept);
	assert_int_equal(kept.failures, 2);
	certauto__state_free(&kept);
}

static void test_renew__the_cas_limit_holds_for_all(void **state)
{
	struct certauto__lineage_state kept = {0};
	const char *name = "shop";
	struct unit *u = *state;

	kept.limited_until = certauto__clock_now() + DAY;
	assert_int_equal(certauto__state_save(&kept, u->store.store, "shop", "ecdsa-p256", NULL),
		0);
	assert_int_equal(certauto_fleet_renew(u->fleet, &name, 1, CERTAUTO_FLEET_FORCE, 60000),
		CERTAUTO_ERETRY_LATER);
	assert_int_equal(u->fleet->results[0].error.retry_at, kept.limited_until);
	assert_outcome(u, "later", CERTAUTO_ERETRY_LATER);
	assert_plan(u, 1, CERTAUTO_FLEET_FORCE, "\"action\":\"nothing\"");
}

static void test_renew__that_must_wait_still_deploys_what_there_is(void **state)
{
	struct certauto__lineage_state kept = {0};
	struct unit *u = *state;

	issue(u, 80 * DAY);
	kept.retry_at = certauto__clock_now() + DAY;
	assert_int_equal(certauto__state_save(&kept, u->store.store, "shop", "ecdsa-p256", NULL),
		0);
	assert_int_equal(renew(u), CERTAUTO_ERETRY_LATER);
	assert_string_equal(u->device.calls, "otwat");
	assert_outcome(u, "later", CERTAUTO_ERETRY_LATER);
	assert_left(u, "unproved", 0);
}

static void test_renew__a_failed_one_keeps_key_and_request_for_the_next(void **state)
{
	const char *name = "shop";
	struct unit *u = *state;

	assert_int_equal(renew(u), CERTAUTO_ENET);
	assert_int_equal(unit_count(unit_state_path(&u->store, "certs/shop/ecdsa-p256"), "gen-"),
		1);
	assert_int_equal(unit_count(unit_state_path(&u->store, "jobs"), "shop"), 1);
	assert_int_equal(certauto_fleet_renew(u->fleet, &name, 1, 0, 60000), CERTAUTO_ENET);
	assert_int_equal(unit_count(unit_state_path(&u->store, "certs/shop/ecdsa-p256"), "gen-1-"),
		1);
	assert_int_equal(unit_count(unit_state_path(&u->store, "certs/shop/ecdsa-p256"), "gen-"),
		1);
}

static void test_renew__given_up_deploys_what_there_is_and_says_why_each_time(void **state)
{
	struct certauto__lineage_state kept = {0};
	const char *name = "shop";
	struct unit *u = *state;
	char identity[65];

	issue(u, 80 * DAY);
	assert_int_equal(certauto__lineage_identity(
				 identity, &u->fleet->certificates[0], "ecdsa-p256", NULL), 0);
	certauto__error_set(&kept.error, CERTAUTO_EREFUSED, "x", "not this one");
	certauto__error_set_problem(&kept.error, "urn:ietf:params:acme:error:rejectedIdentifier");
	kept.identity = certauto__strdup(identity);
	kept.stopped = 1;
	assert_int_equal(certauto__state_save(&kept, u->store.store, "shop", "ecdsa-p256", NULL),
		0);
	certauto__state_free(&kept);
	assert_int_equal(renew(u), CERTAUTO_EREFUSED);
	assert_string_equal(u->device.calls, "otwat");
	assert_outcome(u, "failed", CERTAUTO_EREFUSED);
	assert_left(u, "unproved", 0);
	assert_int_equal(renew(u), CERTAUTO_EREFUSED);
	assert_non_null(strstr(u->fleet->results[0].error.message, "not this one"));
	assert_non_null(strstr(u->fleet->results[0].error.advice, "certauto renew shop"));
	assert_plan(u, 0, 0, "\"action\":\"nothing\",\"why\":\"given up: not this one\"");
	assert_plan(u, 1, 0, "\"action\":\"renew\"");
	assert_plan(u, 0, CERTAUTO_FLEET_FORCE, "\"action\":\"renew\"");
	/* Named, the CA is asked: here nobody listens. */
	assert_int_equal(certauto_fleet_renew(u->fleet, &name, 1, 0, 60000), CERTAUTO_ENET);
	(void)box(u, &kept);
	assert_false(kept.stopped);
	certauto__state_free(&kept);
}

/* The state with the error of an attempt just made as one that came to nothing yet. */
static void keep_undecided(struct unit *u)
{
	struct certauto__lineage_state kept = {0};

	(void)box(u, &kept);
	assert_int_equal(kept.failures, 1);
	certauto__error_clear(&kept.error);
	certauto__error_set(&kept.error, CERTAUTO_ERETRY_LATER, "x", "not decided");
	kept.retry_at = 0;
	assert_int_equal(certauto__state_save(&kept, u->store.store, "shop", "ecdsa-p256", NULL),
		0);
	certauto__state_free(&kept);
}

static void test_renew__what_the_ca_has_not_decided_is_gone_on_with(void **state)
{
	const char *name = "shop", *folder = "certs/shop/ecdsa-p256";
	struct unit *u = *state;

	issue(u, DAY);
	assert_int_equal(certauto_fleet_renew(u->fleet, &name, 1, CERTAUTO_FLEET_FORCE, 60000),
		CERTAUTO_ENET);
	assert_int_equal(unit_count(unit_state_path(&u->store, folder), "gen-2-"), 1);
	keep_undecided(u);
	assert_int_equal(renew(u), CERTAUTO_ENET);
	assert_int_equal(unit_count(unit_state_path(&u->store, folder), "gen-2-"), 1);
}

/* ---- revoke ---- */

/* The draft of an order that could not be made becomes the current generation, as when a run is
 * killed after the switch. */
static void complete_draft(struct unit *u)
{
	const struct certauto__store_row *row = u->store.store->row;
	struct certauto__generation made = {0};
	int64_t now = certauto__clock_now();
	certauto__certs *chain = NULL;
	certauto__pkey *key = NULL;
	certauto__req *req = NULL;
	struct dirent *entry;
	DIR *folder = opendir(unit_state_path(&u->store, "certs/shop/ecdsa-p256"));
	char id[64] = "";

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL)
		if (strncmp(entry->d_name, "gen-", 4) == 0)
			snprintf(id, sizeof(id), "%.60s", entry->d_name);
	closedir(folder);
	assert_int_equal(row->load(u->store.store, "shop", "ecdsa-p256", id, &made, NULL), 0);
	made.server = certauto__strdup(u->server);
	assert_int_equal(certauto__list_add_text(&made.names, "a.example.org"), 0);
	assert_int_equal(certauto__pkey_parse_own(&key, certauto__secret_data(made.key),
				 certauto__secret_len(made.key), NULL), 0);
	assert_int_equal(certauto__req_parse_own(&req, made.csr.data, made.csr.len, NULL), 0);
	assert_int_equal(certauto__certs_self_signed(&chain, key, req, now, now + 90 * DAY, NULL),
		0);
	assert_int_equal(row->complete(u->store.store, "shop", "ecdsa-p256", &made, chain, NULL),
		0);
	certauto__generation_free(&made);
	certauto__certs_free(chain);
	certauto__req_free(req);
	certauto__pkey_free(key);
}

static void test_revoke__before_an_interrupted_run_is_settled_is_remembered(void **state)
{
	struct certauto__lineage_state kept = {0};
	struct certauto__view view;
	struct unit *u = *state;

	assert_int_equal(renew(u), CERTAUTO_ENET);
	complete_draft(u);
	assert_int_equal(certauto__view_load(&view, u->store.store, "shop", "ecdsa-p256", NULL), 0);
	kept.revoked = certauto__strdup(certauto__certs_info(view.chain, 0)->serial);
	kept.key_compromised = 1;
	certauto__view_free(&view);
	assert_int_equal(certauto__state_save(&kept, u->store.store, "shop", "ecdsa-p256", NULL),
		0);
	assert_int_equal(renew(u), CERTAUTO_ENET); /* a new order, for it was revoked */
	(void)box(u, &kept);
	assert_non_null(kept.revoked);
	assert_true(kept.key_compromised);
	certauto__state_free(&kept);
}

static void test_revoke__that_fails_is_no_failure_of_an_order(void **state)
{
	struct certauto__lineage_state kept = {0};
	const char *name = "shop";
	struct unit *u = *state;

	assert_int_equal(certauto_fleet_revoke(u->fleet, NULL, 0, 0, 0, 60000), CERTAUTO_EINVAL);
	assert_int_equal(certauto_fleet_revoke(u->fleet, &name, 1, 0, 0, 60000),
		CERTAUTO_ENOTFOUND);
	assert_outcome(u, "failed", CERTAUTO_ENOTFOUND);
	issue(u, DAY);
	assert_int_equal(certauto_fleet_revoke(u->fleet, &name, 1, CERTAUTO_REVOKE_KEY_COMPROMISE,
				 CERTAUTO_FLEET_BY_KEY, 60000), CERTAUTO_ENET);
	assert_outcome(u, "failed", CERTAUTO_ENET);
	assert_int_equal(unit_count(unit_state_path(&u->store, "jobs"), "shop"), 0);
	(void)box(u, &kept);
	assert_null(kept.revoked);
	assert_int_equal(kept.failures, 0);
	/* That the key must not be used again does not hang on the CA's answer. */
	assert_true(kept.key_compromised);
	certauto__state_free(&kept);
}

static void test_wish__is_a_time(void **state)
{
	struct unit *u = *state;
	char *text = NULL;

	issue(u, 10 * DAY);
	assert_int_equal(certauto_fleet_set_renew_before(u->fleet, -1), CERTAUTO_EINVAL);
	assert_int_equal(certauto_fleet_set_renew_before(
				 u->fleet, certauto__clock_now() + 60 * DAY), 0);
	assert_int_equal(certauto_fleet_dup_plan(&text, u->fleet, NULL, 0, 0), 0);
	assert_non_null(strstr(text, "\"action\":\"renew\""));
	certauto_mem_free(text);
	assert_int_equal(certauto_fleet_set_renew_before(u->fleet, 0), 0);
	assert_int_equal(certauto_fleet_dup_plan(&text, u->fleet, NULL, 0, 0), 0);
	assert_non_null(strstr(text, "\"action\":\"deploy\""));
	certauto_mem_free(text);
}

/* ---- gc, status, plan ---- */

static void test_gc__settles_what_a_failed_order_left(void **state)
{
	struct unit *u = *state;

	assert_int_equal(renew(u), CERTAUTO_ENET);
	assert_int_equal(certauto_fleet_gc(u->fleet, 60000), 0);
	assert_outcome(u, "done", 0);
	assert_int_equal(unit_count(unit_state_path(&u->store, "jobs"), "shop"), 0);
	assert_int_equal(unit_count(unit_state_path(&u->store, "certs/shop/ecdsa-p256"), "gen-"),
		0);
	assert_int_equal(certauto_fleet_gc(u->fleet, 60000), 0);
	assert_outcome(u, "unchanged", 0);
}

static void test_gc__finishes_what_was_begun_and_begins_nothing(void **state)
{
	struct unit *u = *state;

	issue(u, DAY);
	assert_int_equal(certauto_fleet_gc(u->fleet, 60000), 0);
	assert_string_equal(u->device.calls, "");
	assert_outcome(u, "unchanged", 0);
	u->device.fails = "save";
	assert_int_equal(deploy(u), CERTAUTO_EREFUSED);
	assert_left(u, "active-not-saved", 1);
	u->device.fails = NULL;
	assert_int_equal(certauto_fleet_gc(u->fleet, 60000), 0);
	assert_left(u, "unproved", 0);
}

static void test_gc__tells_of_what_is_no_longer_configured(void **state)
{
	struct unit *u = *state;

	assert_int_equal(u->store.store->row->journal_save(u->store.store, "old-csr", "x", 1, NULL),
		0);
	assert_int_equal(certauto_fleet_gc(u->fleet, 60000), CERTAUTO_ENOTFOUND);
	assert_int_equal(u->fleet->n_results, 2);
	assert_string_equal(u->fleet->results[1].name, "old-csr");
	assert_string_equal(u->fleet->results[1].outcome, "failed");
	assert_true(unit_exists(unit_state_path(&u->store, "jobs/old-csr.json")));
}

static void test_status__reads_what_there_is_and_makes_nothing(void **state)
{
	struct unit *u = *state;
	char *text = NULL;
	int rc;

	rc = certauto_fleet_dup_status(&text, u->fleet, NULL, 0);
	assert_told(rc, text,
		"{\"version\":1,\"certificates\":[{\"name\":\"shop\",\"names\":[\"a.example.org\"],"
		"\"lineages\":[{\"key\":\"ecdsa-p256\",\"issued\":null,\"renew_at\":null,"
		"\"renewal\":null,\"revoked\":false,\"last_error\":null,"
		"\"targets\":[{\"name\":\"box\",\"state\":\"pending\",\"fingerprint_sha256\":null,"
		"\"checked_at\":null,\"last_error\":null}]}]}]}");
	assert_false(unit_exists(u->store.state));
	rc = certauto_fleet_dup_plan(&text, u->fleet, NULL, 0, 0);
	assert_told(rc, text,
		"[{\"name\":\"shop\",\"key\":\"ecdsa-p256\",\"action\":\"issue\",\"why\":\"never "
		"issued\"}]");
	assert_false(unit_exists(u->store.state));
	issue(u, DAY);
	rc = certauto_fleet_dup_plan(&text, u->fleet, NULL, 0, 0);
	assert_told(rc, text, "\"action\":\"deploy\",\"why\":\"not deployed to box\"");
	assert_int_equal(deploy(u), 0);
	rc = certauto_fleet_dup_plan(&text, u->fleet, NULL, 0, 0);
	assert_told(rc, text, "\"action\":\"nothing\"");
	rc = certauto_fleet_dup_status(&text, u->fleet, NULL, 0);
	assert_told(rc, text, "\"state\":\"unproved\"");
	rc = certauto_fleet_dup_status(&text, u->fleet, (const char *const[]){ "shop" }, 1);
	assert_told(rc, text, "\"state\":\"unproved\"");
	rc = certauto_fleet_dup_status(&text, u->fleet, (const char *const[]){ "shoe" }, 1);
	assert_int_equal(rc, CERTAUTO_ENOTFOUND);
	rc = certauto_fleet_dup_plan(&text, u->fleet, (const char *const[]){ "shoe" }, 1, 0);
	assert_int_equal(rc, CERTAUTO_ENOTFOUND);
	/* A new generation makes what was deployed a thing of the past. */
	issue(u, 0);
	rc = certauto_fleet_dup_status(&text, u->fleet, NULL, 0);
	assert_told(rc, text, "\"state\":\"pending\"");
}

static void test_check__tells_each_part(void **state)
{
	struct unit *u = *state;

	assert_int_equal(certauto_fleet_test(u->fleet, 60000), CERTAUTO_ENET);
	assert_int_equal(u->fleet->n_results, 3);
	assert_string_equal(u->fleet->results[0].name, "state");
	assert_string_equal(u->fleet->results[0].outcome, "done");
	assert_string_equal(u->fleet->results[1].name, "account ca");
	assert_string_equal(u->fleet->results[1].outcome, "failed");
	assert_string_equal(u->fleet->results[2].name, "target box");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_deploy__goes_through_and_leaves_no_record),
		TEST(test_deploy__refused_before_a_change_is_failed),
		TEST(test_deploy__refused_at_the_switch_is_rolled_back_and_renew_tries_again),
		TEST(test_deploy__rolled_back_still_shows_what_was_served_before),
		TEST(test_deploy__not_taken_back_is_inconsistent_and_remembered),
		TEST(test_deploy__not_saved_is_owed_and_the_next_run_saves),
		TEST(test_deploy__what_was_never_issued_cannot_be_deployed),
		TEST(test_run__a_lock_held_elsewhere_means_later),
		TEST(test_run__one_at_a_time_for_a_fleet),
		TEST(test_run__unknown_names_are_refused),
		TEST(test_run__cancelled_counts_as_no_failure),
		TEST(test_renew__a_failed_order_waits_unless_it_is_named),
		TEST(test_renew__the_cas_limit_holds_for_all),
		TEST(test_renew__that_must_wait_still_deploys_what_there_is),
		TEST(test_renew__a_failed_one_keeps_key_and_request_for_the_next),
		TEST(test_renew__given_up_deploys_what_there_is_and_says_why_each_time),
		TEST(test_renew__what_the_ca_has_not_decided_is_gone_on_with),
		TEST(test_revoke__before_an_interrupted_run_is_settled_is_remembered),
		TEST(test_revoke__that_fails_is_no_failure_of_an_order),
		TEST(test_wish__is_a_time),
		TEST(test_gc__settles_what_a_failed_order_left),
		TEST(test_gc__finishes_what_was_begun_and_begins_nothing),
		TEST(test_gc__tells_of_what_is_no_longer_configured),
		TEST(test_status__reads_what_there_is_and_makes_nothing),
		TEST(test_check__tells_each_part),
	};

	return cmocka_run_group_tests_name("fleet/jobs", tests, NULL, NULL);
}
