/* SPDX-License-Identifier: Apache-2.0 */
/* The public face of targets that save once for all and make keys: deploy is two halves with one
 * record, which a run killed in either leaves to the next. */
#include "unit_target.h"

#include "fake_appliance.h"
#include "jobs/engine.h"

#define TIMEOUT_MS 20000

static int setup(void **state)
{
	struct lab *lab = lab_new();

	appliance_add(lab->cx);
	*state = lab;
	return 0;
}

static int teardown(void **state)
{
	lab_free(*state);
	return 0;
}

static certauto_target *target_of(struct lab *lab)
{
	certauto_target *target = NULL;

	assert_int_equal(certauto_target_new(&target, lab->cx, "appliance"), 0);
	assert_int_equal(certauto_target_set(target, "device", "one"), 0);
	return target;
}

static void assert_calls(const char *calls)
{
	assert_string_equal(appliance.calls, calls);
	appliance.calls[0] = '\0';
}

static void assert_error(struct lab *lab, const char *what)
{
	const char *message = certauto_error_message(certauto_context_error(lab->cx));

	if (message == NULL || strstr(message, what) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", what, message != NULL ? message : "");
}

/* A new process: the appliance is the same. */
static void restart(struct lab *lab)
{
	lab_restart(lab);
	appliance_add(lab->cx);
}

static int deploy(struct lab *lab, const struct lab_pair *pair)
{
	certauto_target *target = target_of(lab);
	int rc = certauto_target_deploy(target, "shop", pair->chain, pair->key, TIMEOUT_MS);

	certauto_target_free(target);
	return rc;
}

/* Begins, and is killed when it comes to that step. */
static void deploy_until(struct lab *lab, const struct lab_pair *pair, const char *step,
	const char *calls)
{
	certauto_target *target = target_of(lab);
	int64_t deadline = certauto__clock_ms() + TIMEOUT_MS;
	certauto_job *job = NULL;

	appliance.hangs = step;
	assert_int_equal(certauto_target_start_deploy(&job, target, "shop", pair->chain, pair->key,
				 TIMEOUT_MS),
		0);
	while (strcmp(appliance.calls, calls) != 0 || lab_n_records(lab) == 0) {
		assert_true(certauto__clock_ms() < deadline);
		assert_int_equal(certauto_context_run(lab->cx, 1), 1);
	}
	assert_int_equal(certauto_context_run(lab->cx, 1), 1);
	certauto_job_free(job);
	certauto_target_free(target);
}

/* ---- deploy ---- */

static void test_deploy__puts_then_saves_and_leaves_no_record(void **state)
{
	struct lab *lab = *state;
	struct lab_pair pair;

	lab_pair_make(lab, &pair, "a.example.org", 90);
	assert_int_equal(deploy(lab, &pair), 0);
	assert_calls("put shop;save one 1 old 1;bye;");
	assert_int_equal(lab_n_records(lab), 0);
	lab_pair_free(&pair);
}

static void test_deploy__refused_is_taken_back_and_not_saved(void **state)
{
	struct lab *lab = *state;
	struct lab_pair pair;

	lab_pair_make(lab, &pair, "a.example.org", 90);
	appliance.fails = "prove";
	assert_int_equal(deploy(lab, &pair), CERTAUTO_ENOTSERVED);
	assert_error(lab, "not served");
	assert_calls("put shop;take shop;bye;");
	assert_int_equal(lab_n_records(lab), 0);
	lab_pair_free(&pair);
}

static void test_deploy__not_saved_says_so_and_the_next_goes_on(void **state)
{
	struct lab *lab = *state;
	struct lab_pair pair;
	certauto_target *target = target_of(lab);
	certauto_job *job = NULL;

	lab_pair_make(lab, &pair, "a.example.org", 90);
	appliance.fails = "save";
	assert_int_equal(certauto_target_start_deploy(&job, target, "shop", pair.chain, pair.key,
				 TIMEOUT_MS),
		0);
	assert_int_equal(certauto_job_wait(job, TIMEOUT_MS), CERTAUTO_EREFUSED);
	assert_int_equal(certauto__job_committed(job), 1);
	assert_non_null(strstr(certauto_error_message(certauto_job_error(job)),
		"appliance serves the new certificate, but it is not saved yet: the appliance does "
		"not save"));
	assert_calls("put shop;save one 1 old 1;bye;");
	assert_int_equal(lab_n_records(lab), 1);
	appliance.fails = NULL;
	assert_int_equal(deploy(lab, &pair), 0);
	assert_calls("put shop;save one 1 recovering 1;bye;");
	assert_int_equal(lab_n_records(lab), 0);
	certauto_job_free(job);
	certauto_target_free(target);
	lab_pair_free(&pair);
}

static void test_deploy__the_same_at_the_same_time_has_to_wait(void **state)
{
	struct lab *lab = *state;
	struct lab_pair pair, newer;
	certauto_store *store = NULL;
	certauto_target *target = target_of(lab);
	certauto_job *job = NULL;

	assert_int_equal(certauto_store_new(&store, lab->cx, "files"), 0);
	assert_int_equal(certauto_store_set(store, "directory", lab->folder), 0);
	assert_int_equal(certauto_context_use_store(lab->cx, store), 0);
	lab_pair_make(lab, &pair, "a.example.org", 90);
	lab_pair_make(lab, &newer, "a.example.org", 91);
	assert_int_equal(certauto_target_start_deploy(&job, target, "shop", pair.chain, pair.key,
				 TIMEOUT_MS),
		0);
	assert_int_equal(deploy(lab, &newer), CERTAUTO_EBUSY);
	assert_error(lab, "deploying shop to appliance");
	assert_error(lab, "is held by another certauto");
	assert_int_equal(certauto_context_use_store(lab->cx, NULL), CERTAUTO_EBUSY);
	assert_error(lab, "while jobs of the context run");
	assert_int_equal(certauto_job_wait(job, TIMEOUT_MS), 0);
	assert_calls("put shop;save one 1 old 1;bye;");
	assert_int_equal(deploy(lab, &newer), 0);
	certauto_job_free(job);
	certauto_target_free(target);
	certauto_store_free(store);
	lab_pair_free(&pair);
	lab_pair_free(&newer);
}

static void test_deploy__that_still_owes_something_says_so(void **state)
{
	struct lab *lab = *state;
	struct lab_pair pair;

	lab_pair_make(lab, &pair, "a.example.org", 90);
	appliance.owed = "tidy";
	assert_int_equal(deploy(lab, &pair), CERTAUTO_EREFUSED);
	assert_error(lab, "a file is in use");
	assert_int_equal(lab_n_records(lab), 1);
	lab_pair_free(&pair);
}

static void test_deploy__killed_in_either_half_is_gone_on_with(void **state)
{
	struct lab *lab = *state;
	struct lab_kept kept;
	struct lab_pair pair;

	lab_pair_make(lab, &pair, "a.example.org", 90);
	deploy_until(lab, &pair, "prove", "put shop;");
	lab_keep(&kept, &pair);
	lab_pair_free(&pair);
	restart(lab);
	lab_pair_again(lab, &pair, &kept);
	deploy_until(lab, &pair, "save", "put shop;");
	lab_keep(&kept, &pair);
	lab_pair_free(&pair);
	restart(lab);
	lab_pair_again(lab, &pair, &kept);
	assert_int_equal(deploy(lab, &pair), 0);
	assert_calls("put shop;save one 1 recovering 1;bye;");
	assert_int_equal(lab_n_records(lab), 0);
	lab_pair_free(&pair);
}

static void test_deploy__of_another_certificate_settles_a_killed_one_first(void **state)
{
	struct lab *lab = *state;
	struct lab_pair pair;

	lab_pair_make(lab, &pair, "a.example.org", 90);
	deploy_until(lab, &pair, "prove", "put shop;");
	lab_pair_free(&pair);
	restart(lab);
	lab_pair_make(lab, &pair, "b.example.org", 90);
	assert_int_equal(deploy(lab, &pair), 0);
	assert_calls("take shop;put shop;save one 1 recovering 1;bye;");
	assert_int_equal(lab_n_records(lab), 0);
	lab_pair_free(&pair);
}

static void test_deploy__of_another_certificate_saves_what_a_killed_one_did_not(void **state)
{
	struct lab *lab = *state;
	struct lab_pair pair;

	lab_pair_make(lab, &pair, "a.example.org", 90);
	deploy_until(lab, &pair, "save", "put shop;");
	lab_pair_free(&pair);
	restart(lab);
	lab_pair_make(lab, &pair, "b.example.org", 90);
	assert_int_equal(deploy(lab, &pair), 0);
	assert_calls("put shop;save one 1 recovering 1;bye;");
	assert_int_equal(lab_n_records(lab), 0);
	lab_pair_free(&pair);
}

/* The device knows its key by the name of the request, which has the type of the key in it. */
static void test_deploy__without_a_key_is_of_the_type_the_certificate_has(void **state)
{
	certauto_target *target = target_of(*state);
	struct lab_pair pair;

	lab_pair_make(*state, &pair, "a.example.org", 90);
	assert_int_equal(certauto_target_deploy(target, "shop", pair.chain, NULL, TIMEOUT_MS), 0);
	assert_calls("put shop keyless ecdsa-p256;save one 1 old 1;bye;");
	lab_pair_free(&pair);
	certauto_target_free(target);
}

/* ---- requests ---- */

static const char *const names[] = {"A.example.org", "a.example.org"};

static void test_csr__is_what_the_target_has_made(void **state)
{
	struct lab *lab = *state;
	certauto_target *target = target_of(lab);
	certauto_csr *csr = NULL;

	assert_int_equal(certauto_target_dup_csr(&csr, target), CERTAUTO_ENOTFOUND);
	assert_int_equal(certauto_target_make_csr(
				 &csr, target, "shop", "rsa-2048", names, 2, TIMEOUT_MS),
		0);
	assert_calls("key shop rsa-2048 a.example.org;bye;");
	assert_int_equal(certauto_csr_n_names(csr), 1);
	assert_string_equal(certauto_csr_name(csr, 0), "a.example.org");
	certauto_csr_free(csr);
	assert_int_equal(certauto_target_dup_csr(&csr, target), 0);
	certauto_csr_free(csr);
	certauto_target_free(target);
}

static void test_csr__wrong_arguments_are_refused(void **state)
{
	static const char *const wrong[] = {"no name"};
	struct lab *lab = *state;
	certauto_target *target = target_of(lab);
	certauto_csr *csr = NULL;

	assert_int_equal(certauto_target_make_csr(
				 &csr, target, "../shop", "rsa-2048", names, 2, TIMEOUT_MS),
		CERTAUTO_EINVAL);
	assert_int_equal(
		certauto_target_make_csr(&csr, target, "shop", "dsa", names, 2, TIMEOUT_MS),
		CERTAUTO_EINVAL);
	assert_int_equal(certauto_target_make_csr(
				 &csr, target, "shop", "rsa-2048", wrong, 1, TIMEOUT_MS),
		CERTAUTO_EINVAL);
	assert_int_equal(certauto_target_make_csr(
				 &csr, target, "shop", "rsa-2048", names, 0, TIMEOUT_MS),
		CERTAUTO_EINVAL);
	assert_null(csr);
	assert_calls("");
	certauto_target_free(target);
}

static void test_csr__another_one_than_asked_for_is_refused(void **state)
{
	struct lab *lab = *state;
	certauto_target *target = target_of(lab);
	certauto_csr *csr = NULL;

	appliance.request_name = "b.example.org";
	assert_int_equal(certauto_target_make_csr(
				 &csr, target, "shop", "rsa-2048", names, 2, TIMEOUT_MS),
		CERTAUTO_EPROTO);
	assert_error(lab, "lacks the name a.example.org");
	assert_int_equal(certauto_target_dup_csr(&csr, target), CERTAUTO_ENOTFOUND);
	certauto_target_free(target);
}

static void test_csr__of_a_target_that_makes_no_keys(void **state)
{
	struct lab *lab = *state;
	certauto_target *target = NULL;
	certauto_csr *csr = NULL;

	assert_int_equal(certauto_target_new(&target, lab->cx, "files"), 0);
	assert_int_equal(certauto_target_set(target, "directory", lab->folder), 0);
	assert_int_equal(certauto_target_make_csr(
				 &csr, target, "shop", "rsa-2048", names, 2, TIMEOUT_MS),
		CERTAUTO_EUNSUPPORTED);
	certauto_target_free(target);
}

/* ---- recipes ---- */

static void test_recipe__is_of_the_target_as_it_is_set(void **state)
{
	struct lab *lab = *state;
	certauto_target *target = NULL;
	char *recipe = NULL;

	assert_int_equal(certauto_target_new(&target, lab->cx, "appliance"), 0);
	assert_int_equal(certauto_target_dup_recipe(&recipe, target), 0);
	assert_string_equal(recipe, "add account for DEVICE\n");
	certauto_mem_free(recipe);
	assert_int_equal(certauto_target_set(target, "device", "one"), 0);
	assert_int_equal(certauto_target_dup_recipe(&recipe, target), 0);
	assert_string_equal(recipe, "add account for one\n");
	certauto_mem_free(recipe);
	certauto_target_free(target);
	assert_int_equal(certauto_target_new(&target, lab->cx, "files"), 0);
	assert_int_equal(certauto_target_dup_recipe(&recipe, target), CERTAUTO_EUNSUPPORTED);
	certauto_target_free(target);
}

/* ---- memory ---- */

static int scenario(void *arg)
{
	const struct lab_pair *pair = arg;
	certauto_target *target = NULL;
	certauto_context *cx = certauto_chain_context(pair->chain);
	int rc;

	appliance.calls[0] = '\0';
	if ((rc = certauto_target_new(&target, cx, "appliance")) == 0 &&
	    (rc = certauto_target_set(target, "device", "one")) == 0)
		rc = certauto_target_deploy(target, "shop", pair->chain, pair->key, TIMEOUT_MS);
	certauto_target_free(target);
	return rc;
}

static void test_deploy__lack_of_memory_is_told(void **state)
{
	const struct certauto__journal nowhere = {0};
	struct lab *lab = *state;
	struct lab_pair pair;

	(void)certauto__journal_use(lab->cx, &nowhere); /* the lab's own loses records */
	lab_pair_make(lab, &pair, "a.example.org", 90);
	unit_oom_sweep("deploy in two halves", scenario, &pair);
	lab_pair_free(&pair);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_deploy__puts_then_saves_and_leaves_no_record),
		TEST(test_deploy__refused_is_taken_back_and_not_saved),
		TEST(test_deploy__not_saved_says_so_and_the_next_goes_on),
		TEST(test_deploy__the_same_at_the_same_time_has_to_wait),
		TEST(test_deploy__that_still_owes_something_says_so),
		TEST(test_deploy__killed_in_either_half_is_gone_on_with),
		TEST(test_deploy__of_another_certificate_settles_a_killed_one_first),
		TEST(test_deploy__of_another_certificate_saves_what_a_killed_one_did_not),
		TEST(test_deploy__without_a_key_is_of_the_type_the_certificate_has),
		TEST(test_csr__is_what_the_target_has_made),
		TEST(test_csr__wrong_arguments_are_refused),
		TEST(test_csr__another_one_than_asked_for_is_refused),
		TEST(test_csr__of_a_target_that_makes_no_keys),
		TEST(test_recipe__is_of_the_target_as_it_is_set),
		TEST(test_deploy__lack_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
