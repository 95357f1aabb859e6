/* SPDX-License-Identifier: Apache-2.0 */
/* A target written in another program: the order of its operations, what it may remember, and what
 * becomes of its errors. */

#include "unit_target.h"

#include <certauto/sys/target.h>

#include "crypto/objects.h"

#define TIMEOUT_MS 10000

/* What the operations do and what was seen; one letter for each call in calls. */
struct device {
	char calls[256];
	char fail; /* the operation with that letter fails ... */
	int fail_code; /* ... with this code */
	int seen_key, seen_note, freed, pipe_in, pipe_out, again_for_nothing;
};

static int op_done(certauto_work *work, struct device *device, char letter)
{
	size_t len = strlen(device->calls);

	assert_true(len + 1 < sizeof(device->calls));
	device->calls[len] = letter;
	device->calls[len + 1] = '\0';
	if (device->fail == letter)
		return certauto_work_fail(work, device->fail_code, "the device says no");
	return 0;
}

static int op_observe(certauto_work *work, void *payload)
{
	struct device *device = payload;

	assert_string_equal(certauto_work_op(work), "observe");
	assert_string_equal(certauto_work_name(work), "shop");
	assert_null(certauto_work_token(work));
	if (device->again_for_nothing)
		return CERTAUTO_AGAIN;
	return op_done(work, payload, 'o');
}

/* Notes the name, is called again when that is durable, waits a little, then reads what it
 * needs. */
static int op_stage(certauto_work *work, void *payload)
{
	struct device *device = payload;
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;

	if (certauto_work_noted(work, "object") == NULL) {
		assert_int_equal(certauto_work_note(work, "object", "shop-1"), 0);
		op_done(work, device, 'n');
		return CERTAUTO_AGAIN;
	}
	if (strchr(device->calls, 'w') == NULL) {
		op_done(work, device, 'w');
		assert_int_equal(certauto_work_set_wait_ms(work, 1), 0);
		return CERTAUTO_AGAIN;
	}
	assert_string_equal(certauto_work_option(work, "vserver"), "cs-web");
	assert_null(certauto_work_option(work, "none"));
	assert_int_equal(certauto_work_dup_chain(&chain, work), 0);
	device->seen_key = certauto_work_dup_key(&key, work) == 0;
	certauto_chain_free(chain);
	certauto_key_free(key);
	return op_done(work, payload, 's');
}

static int op_swap(certauto_work *work, void *payload)
{
	struct device *device = payload;

	if (device->pipe_out > 0 && strchr(device->calls, 'f') == NULL) {
		op_done(work, device, 'f');
		assert_int_equal(certauto_work_set_wait_fd(work, device->pipe_in, 1), 0);
		assert_int_equal(write(device->pipe_out, "x", 1), 1);
		return CERTAUTO_AGAIN;
	}
	return op_done(work, payload, 'x');
}

static int op_save(certauto_work *work, void *payload)
{
	return op_done(work, payload, 'v');
}

static int op_tidy(certauto_work *work, void *payload)
{
	return op_done(work, payload, 't');
}

static int op_undo(certauto_work *work, void *payload)
{
	struct device *device = payload;

	device->seen_note = certauto_work_noted(work, "object") != NULL &&
		strcmp(certauto_work_noted(work, "object"), "shop-1") == 0;
	return op_done(work, payload, 'u');
}

static int op_present(certauto_work *work, void *payload)
{
	assert_string_equal(certauto_work_name(work), "a.example");
	assert_string_equal(certauto_work_challenge(work), "dns-01");
	assert_string_equal(certauto_work_token(work), "tok");
	assert_string_equal(certauto_work_value(work), "digest");
	assert_string_equal(certauto_work_record(work), "_acme-challenge.a.example");
	return op_done(work, payload, 'p');
}

static int op_cleanup(certauto_work *work, void *payload)
{
	assert_string_equal(certauto_work_token(work), "tok");
	assert_string_equal(certauto_work_value(work), "digest"); /* one of several may go */
	assert_string_equal(certauto_work_record(work), "_acme-challenge.a.example");
	return op_done(work, payload, 'c');
}

static const certauto_target_ops device_ops = {
	.version = CERTAUTO_TARGET_OPS_VERSION,
	.caps = CERTAUTO_TARGET_DEPLOY | CERTAUTO_TARGET_DNS01,
	.name = "device",
	.options_json = "[{\"name\":\"vserver\",\"required\":true,\"help\":\"what serves it\"},"
			"{\"name\":\"password\",\"type\":\"text\",\"sensitive\":true},"
			"{\"name\":\"tries\",\"type\":\"number\",\"default\":\"3\"}]",
	.present = op_present,
	.cleanup = op_cleanup,
	.observe = op_observe,
	.stage = op_stage,
	.swap = op_swap,
	.save = op_save,
	.tidy = op_tidy,
	.undo = op_undo,
};

static void device_free(void *payload)
{
	((struct device *)payload)->freed++;
}

static certauto_target *device_target(struct lab *lab, struct device *device)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto_target_new_ops(&target, lab->cx, &device_ops, device,
				 device_free),
		0);
	lab_set(target, "vserver", "cs-web");
	lab_set(target, "probe", "no");
	lab_set(target, "dns_check", "no");
	return target;
}

static int deploy(struct lab *lab, struct device *device, const char *probe)
{
	certauto_target *target = device_target(lab, device);
	struct lab_pair pair;
	int rc;

	lab_set(target, "probe", probe);
	lab_set(target, "timeout_ms", "150");
	lab_pair_make(lab, &pair, "a.example", 10);
	rc = certauto_target_deploy(target, "shop", pair.chain, pair.key, TIMEOUT_MS);
	lab_pair_free(&pair);
	certauto_target_free(target);
	return rc;
}

static void test_target_outside__operations_come_in_the_order_of_the_transaction(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.pipe_in = -1};
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	device.pipe_in = ends[0];
	device.pipe_out = ends[1];
	assert_int_equal(deploy(lab, &device, "no"), 0);
	assert_string_equal(device.calls, "onwsfxvt");
	assert_true(device.seen_key);
	assert_int_equal(lab_n_records(lab), 0);
	close(ends[0]);
	close(ends[1]);
	lab_free(lab);
	assert_int_equal(device.freed, 1);
}

static void test_target_outside__a_failure_is_undone_and_stays_the_reason(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = 'x', .fail_code = CERTAUTO_EREFUSED};

	(void)state;
	assert_int_equal(deploy(lab, &device, "no"), CERTAUTO_EREFUSED);
	lab_says(lab, "device: swap: the device says no");
	assert_string_equal(device.calls, "onwsxu");
	assert_true(device.seen_note);
	lab_free(lab);
}

static void test_target_outside__a_stage_that_fails_may_have_done_half_of_it(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = 's', .fail_code = CERTAUTO_EREFUSED};

	(void)state;
	assert_int_equal(deploy(lab, &device, "no"), CERTAUTO_EREFUSED);
	lab_says(lab, "device: stage: the device says no");
	assert_string_equal(device.calls, "onwsu");
	lab_free(lab);
}

static void test_target_outside__nothing_is_undone_before_stage(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = 'o', .fail_code = CERTAUTO_EAUTH};

	(void)state;
	assert_int_equal(deploy(lab, &device, "no"), CERTAUTO_EAUTH);
	assert_string_equal(device.calls, "o");
	lab_free(lab);
}

static void test_target_outside__a_failed_proof_is_undone(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = '-'};

	(void)state;
	assert_int_equal(deploy(lab, &device, LAB_REFUSED), CERTAUTO_ENOTSERVED);
	assert_string_equal(device.calls, "onwsxu");
	lab_free(lab);
}

static void test_target_outside__an_undo_that_fails_is_told_with_the_first_reason(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = 'u', .fail_code = CERTAUTO_EIO};

	(void)state;
	assert_int_equal(deploy(lab, &device, LAB_REFUSED), CERTAUTO_EROLLBACK);
	lab_says(lab, LAB_REFUSED);
	assert_int_equal(lab_n_records(lab), 1);
	assert_non_null(strstr(certauto__buffer_text(&lab->warnings), "undo: the device says no"));
	lab_free(lab);
}

/* After the proof there is no way back: what fails then is owed, and done by the next run. */
static void test_target_outside__a_save_that_fails_is_owed(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = 'v', .fail_code = CERTAUTO_EBUSY};
	certauto_target *target = device_target(lab, &device);
	struct lab_pair pair;

	(void)state;
	lab_pair_make(lab, &pair, "a.example", 10);
	assert_int_equal(certauto_target_deploy(target, "shop", pair.chain, pair.key, TIMEOUT_MS),
		0);
	assert_string_equal(device.calls, "onwsxvt");
	assert_non_null(strstr(certauto__buffer_text(&lab->warnings), "save: the device says no"));
	assert_int_equal(lab_n_records(lab), 1);
	device.fail = 0;
	device.calls[0] = '\0';
	assert_int_equal(certauto_target_deploy(target, "shop", pair.chain, pair.key, TIMEOUT_MS),
		0);
	assert_string_equal(device.calls, "owsxvt"); /* what was noted is known */
	assert_int_equal(lab_n_records(lab), 0);
	lab_pair_free(&pair);
	certauto_target_free(target);
	lab_free(lab);
}

/* Of one certificate, when the next is deployed: that does it too. */
static void test_target_outside__what_was_owed_does_not_outlive_the_next_certificate(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = 'v', .fail_code = CERTAUTO_EBUSY};

	(void)state;
	assert_int_equal(deploy(lab, &device, "no"), 0);
	assert_int_equal(lab_n_records(lab), 1);
	device.fail = 0;
	device.calls[0] = '\0';
	assert_int_equal(deploy(lab, &device, "no"), 0);
	assert_string_equal(device.calls, "onwsxvt");
	assert_int_equal(lab_n_records(lab), 0);
	lab_free(lab);
}

static void test_target_outside__to_be_called_again_needs_a_reason(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.again_for_nothing = 1};

	(void)state;
	assert_int_equal(deploy(lab, &device, "no"), CERTAUTO_EINVAL);
	lab_says(lab, "operation \"observe\" asks to be called again");
	lab_free(lab);
}

static void test_target_outside__a_key_kept_elsewhere_is_not_there(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = '-'};
	certauto_target *target = device_target(lab, &device);
	struct lab_pair pair;

	(void)state;
	lab_pair_make(lab, &pair, "a.example", 10);
	assert_int_equal(certauto_target_deploy(target, "shop", pair.chain, NULL, TIMEOUT_MS), 0);
	assert_false(device.seen_key);
	lab_pair_free(&pair);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_target_outside__challenges_are_presented_and_cleaned_up(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = '-'};
	certauto_target *target = device_target(lab, &device);

	(void)state;
	assert_int_equal(certauto_target_present(target, "dns-01", "a.example", "tok", "digest",
				 TIMEOUT_MS),
		0);
	assert_string_equal(device.calls, "p");
	assert_int_equal(certauto_target_cleanup(target, "dns-01", "a.example", "tok", "digest",
				 TIMEOUT_MS),
		0);
	assert_string_equal(device.calls, "pc");
	/* A present that fails may have done half of it. */
	device.fail = 'p';
	device.fail_code = CERTAUTO_ENET;
	assert_int_equal(certauto_target_present(target, "dns-01", "a.example", "tok", "digest",
				 TIMEOUT_MS),
		CERTAUTO_ENET);
	lab_says(lab, "present: the device says no");
	assert_string_equal(device.calls, "pcpc");
	device.fail = 'c';
	device.fail_code = CERTAUTO_EREFUSED;
	assert_int_equal(certauto_target_cleanup(target, "dns-01", "a.example", "tok", "digest",
				 TIMEOUT_MS),
		CERTAUTO_EREFUSED);
	assert_int_equal(certauto_target_present(target, "http-01", "a.example", "tok", "v",
				 TIMEOUT_MS),
		CERTAUTO_EUNSUPPORTED);
	certauto_target_free(target);
	lab_free(lab);
}

/* ---- challenges of other types ---- */

/* What its calls were given. */
struct shown {
	int calls;
	char record[512], value[512], leaf[2][4096];
	int has_pair[2], pair_in_cleanup;
};

static int dup_pair(certauto_work *work, char leaf[4096])
{
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;
	unsigned char *pem = NULL;
	size_t len;

	if (certauto_work_dup_chain(&chain, work) < 0 || certauto_work_dup_key(&key, work) < 0)
		return 0;
	assert_int_equal(certauto_chain_format(&pem, &len, chain, CERTAUTO_CHAIN_FULL), 0);
	snprintf(leaf, 4096, "%s", (char *)pem);
	certauto_mem_free(pem);
	assert_true(certauto__certs_has_key(chain->certs, key->pkey));
	certauto_chain_free(chain);
	certauto_key_free(key);
	return 1;
}

static int show_present(certauto_work *work, void *payload)
{
	struct shown *shown = payload;

	snprintf(shown->record, sizeof(shown->record), "%s", certauto_work_record(work));
	snprintf(shown->value, sizeof(shown->value), "%s", certauto_work_value(work));
	shown->has_pair[shown->calls] = dup_pair(work, shown->leaf[shown->calls]);
	if (shown->calls++ > 0)
		return 0;
	assert_int_equal(certauto_work_note(work, "first", "1"), 0);
	return CERTAUTO_AGAIN;
}

static int show_cleanup(certauto_work *work, void *payload)
{
	struct shown *shown = payload;
	char leaf[4096];

	shown->pair_in_cleanup = dup_pair(work, leaf);
	return 0;
}

static const certauto_target_ops show_ops = {
	.version = CERTAUTO_TARGET_OPS_VERSION,
	.caps = CERTAUTO_TARGET_TLSALPN01 | CERTAUTO_TARGET_DNS01,
	.name = "show",
	.present = show_present,
	.cleanup = show_cleanup,
};

static void show(struct shown *shown, const char *challenge, const char *name)
{
	struct lab *lab = lab_new();
	certauto_target *target = NULL;

	memset(shown, 0, sizeof(*shown));
	assert_int_equal(certauto_target_new_ops(&target, lab->cx, &show_ops, shown, NULL), 0);
	lab_set(target, "dns_check", "no");
	assert_int_equal(certauto_target_present(target, challenge, name, "tok", "tok.print",
				 TIMEOUT_MS),
		0);
	assert_int_equal(certauto_target_cleanup(target, challenge, name, "tok", "tok.print",
				 TIMEOUT_MS),
		0);
	assert_int_equal(shown->calls, 2);
	certauto_target_free(target);
	lab_free(lab);
}

static void test_target_outside__tls_alpn_gets_one_pair_for_all_its_calls(void **state)
{
	struct shown shown;

	(void)state;
	show(&shown, "tls-alpn-01", "192.0.2.1");
	assert_string_equal(shown.record, "1.2.0.192.in-addr.arpa");
	assert_string_equal(shown.value, "tok.print");
	assert_true(shown.has_pair[0] && shown.has_pair[1]);
	assert_string_equal(shown.leaf[0], shown.leaf[1]);
	assert_false(shown.pair_in_cleanup);
}

static void test_target_outside__dns_gets_the_digest_of_a_key_authorization(void **state)
{
	struct shown shown;

	(void)state;
	show(&shown, "dns-01", "*.a.example");
	assert_string_equal(shown.record, "_acme-challenge.a.example");
	assert_string_equal(shown.value, "mVG9RDqZGUHNaYH__iR1qjtL3OJV6Y09RJWpigSaTPw");
	assert_false(shown.has_pair[0]);
}

/* ---- making one ---- */

static void check_ops_refused(struct lab *lab, const certauto_target_ops *ops, int code,
	const char *words)
{
	struct device device = {.fail = '-'};
	certauto_target *target = NULL;

	assert_int_equal(certauto_target_new_ops(&target, lab->cx, ops, &device, device_free),
		code);
	lab_says(lab, words);
	assert_null(target);
	assert_int_equal(device.freed, 1); /* taken, also on failure */
	assert_int_equal(certauto_context_add_target(lab->cx, ops, &device, device_free), code);
	assert_int_equal(device.freed, 2);
}

static void test_target_outside__a_table_that_does_not_fit_is_refused(void **state)
{
	static const char *const bad_options[] = {"{}", "[1]", "[{}]",
		"[{\"name\":\"A b\"}]",
		"[{\"name\":\"probe\"}]", "[{\"name\":\"a\",\"type\":\"thing\"}]",
		"[{\"name\":\"a\",\"color\":\"red\"}]", "[", "[{\"name\":[]}]",
		"[{\"name\":\"a\",\"required\":\"yes\"}]"};
	struct lab *lab = lab_new();
	certauto_target_ops ops = device_ops;
	size_t i;

	(void)state;
	ops.version = CERTAUTO_TARGET_OPS_VERSION + 1;
	check_ops_refused(lab, &ops, CERTAUTO_EUNSUPPORTED,
		"have version 2, this library knows up to 1");
	ops.version = 0;
	check_ops_refused(lab, &ops, CERTAUTO_EINVAL, "CERTAUTO_TARGET_OPS_VERSION");
	ops = device_ops;
	ops.name = "My Device";
	check_ops_refused(lab, &ops, CERTAUTO_EINVAL, "name of a target type");
	ops = device_ops;
	for (i = 0; i < sizeof(bad_options) / sizeof(bad_options[0]); i++) {
		ops.options_json = bad_options[i];
		check_ops_refused(lab, &ops, CERTAUTO_EINVAL, "options_json of \"device\"");
	}
	lab_free(lab);
}

static void test_target_outside__a_type_added_is_one_like_ours(void **state)
{
	struct lab *lab = lab_new();
	struct device device = {.fail = '-'}, second = {.fail = '-'};
	certauto_target *target = NULL;
	certauto_target_ops ops = device_ops;
	size_t n_ours = certauto_target_n_types(lab->cx);

	(void)state;
	assert_int_equal(certauto_context_add_target(lab->cx, &device_ops, &device, device_free),
		0);
	assert_int_equal(certauto_target_n_types(lab->cx), n_ours + 1);
	assert_string_equal(certauto_target_type_name(lab->cx, n_ours), "device");
	assert_int_equal(certauto_context_add_target(lab->cx, &device_ops, &second, device_free),
		CERTAUTO_EINVAL);
	lab_says(lab, "there is a target type \"device\" already");
	assert_int_equal(second.freed, 1);
	ops.name = "haproxy";
	assert_int_equal(certauto_context_add_target(lab->cx, &ops, &second, device_free),
		CERTAUTO_EINVAL);
	assert_int_equal(certauto_target_new(&target, lab->cx, "device"), 0);
	assert_int_equal(certauto_target_check(target), CERTAUTO_EINVAL);
	lab_says(lab, "option \"vserver\" is missing: what serves it");
	assert_string_equal(certauto_target_option_name(target, 1), "password");
	assert_int_equal(certauto_target_option_flags(target, 1), CERTAUTO_OPTION_SENSITIVE);
	assert_string_equal(certauto_target_option_default(target, 2), "3");
	assert_string_equal(certauto_target_option_type(target, 2), "number");
	/* A sensitive value is not repeated. */
	assert_int_equal(certauto_target_set(target, "password", "sec\nret"), CERTAUTO_EINVAL);
	assert_null(strstr(lab_message(lab), "sec"));
	lab_restart(lab);
	/* The target outlives its context, and so does what it needs. */
	assert_string_equal(certauto_target_type(target), "device");
	assert_int_equal(device.freed, 0);
	certauto_target_free(target);
	assert_int_equal(device.freed, 1);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_target_outside__operations_come_in_the_order_of_the_transaction),
		cmocka_unit_test(test_target_outside__a_failure_is_undone_and_stays_the_reason),
		cmocka_unit_test(
			test_target_outside__a_stage_that_fails_may_have_done_half_of_it),
		cmocka_unit_test(test_target_outside__nothing_is_undone_before_stage),
		cmocka_unit_test(test_target_outside__a_failed_proof_is_undone),
		cmocka_unit_test(
			test_target_outside__an_undo_that_fails_is_told_with_the_first_reason),
		cmocka_unit_test(test_target_outside__a_save_that_fails_is_owed),
		cmocka_unit_test(
			test_target_outside__what_was_owed_does_not_outlive_the_next_certificate),
		cmocka_unit_test(test_target_outside__to_be_called_again_needs_a_reason),
		cmocka_unit_test(test_target_outside__a_key_kept_elsewhere_is_not_there),
		cmocka_unit_test(test_target_outside__challenges_are_presented_and_cleaned_up),
		cmocka_unit_test(test_target_outside__tls_alpn_gets_one_pair_for_all_its_calls),
		cmocka_unit_test(test_target_outside__dns_gets_the_digest_of_a_key_authorization),
		cmocka_unit_test(test_target_outside__a_table_that_does_not_fit_is_refused),
		cmocka_unit_test(test_target_outside__a_type_added_is_one_like_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
