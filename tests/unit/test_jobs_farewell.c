/* SPDX-License-Identifier: Apache-2.0 */
/* What peers are told when there is no more work: once, after the last job, by whatever face of the
 * loop that ends in, and never so that anybody has to wait for a dead one. */
#include "unit.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "jobs/engine.h"

#define PATIENCE_MS 20000
#define FOR_EVER_MS 3600000

static struct {
	char text[1024];
	int session;         /* there is something to say */
	int said_in_vain;    /* nobody answers it */
	int jobs_wait;
	certauto_context *cx;
} diary;

static void note(const char *what)
{
	size_t len = strlen(diary.text);

	snprintf(diary.text + len, sizeof(diary.text) - len, "%s ", what);
}

/* ---- a peer with sessions ---- */

static certauto__verdict ask_logout(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__step_attempts(job) > 1)
		return CERTAUTO__NEXT;
	diary.session = 0;
	note(certauto__job_env(job) == &diary ? "bye" : "?");
	return certauto__again(job, diary.said_in_vain ? FOR_EVER_MS : 1);
}

static const struct certauto__step logout_steps[] = {{.name = "logout", .ask = ask_logout}};
static const struct certauto__table logout = {
	.name = "logout", .steps = logout_steps, .n_steps = 1};

static const struct certauto__table *farewell(certauto__peer *peer)
{
	assert_ptr_equal(peer->state, &diary);
	return diary.session ? &logout : NULL;
}

static const struct certauto__peer_ops peer_ops = {.kind = "device", .farewell = farewell};

static certauto__peer *peer_of(certauto_context *cx)
{
	certauto__peer *peer;
	int made;

	assert_int_equal(certauto__peer_get(&peer, cx, &peer_ops, "device", 1, &made), 0);
	peer->state = &diary;
	return peer;
}

/* ---- jobs that log in ---- */

static certauto__verdict ask_work(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__step_attempts(job) > 1)
		return CERTAUTO__NEXT;
	diary.session = 1;
	note(certauto__job_key(job));
	return certauto__again(job, diary.jobs_wait ? FOR_EVER_MS : 1);
}

static const struct certauto__step work_steps[] = {{.name = "work", .ask = ask_work}};
static const struct certauto__table work = {.name = "work", .steps = work_steps, .n_steps = 1};

static certauto_job *start(const char *name)
{
	struct certauto__start s = {.table = &work, .name = name, .peer = peer_of(diary.cx)};
	certauto_job *job;

	assert_int_equal(certauto__job_start(&job, diary.cx, &s, NULL), 0);
	certauto__peer_unref(s.peer);
	return job;
}

static int setup(void **state)
{
	memset(&diary, 0, sizeof(diary));
	assert_int_equal(certauto_context_new(&diary.cx), 0);
	*state = diary.cx;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	certauto_context_free(diary.cx);
	return 0;
}

/* The job that says it; NULL = nothing is being said. */
static certauto_job *farewell_job(void)
{
	certauto_job *job = certauto__loop_of(diary.cx)->roots;

	while (job != NULL && job->table != &logout)
		job = job->next_root;
	return job;
}

/* Runs until it is being said. */
static certauto_job *run_to_farewell(void)
{
	int64_t deadline = certauto__clock_ms() + PATIENCE_MS;

	while (farewell_job() == NULL && certauto__clock_ms() < deadline)
		assert_true(certauto_context_run(diary.cx, 1) >= 0);
	assert_non_null(farewell_job());
	return farewell_job();
}

/* ---- tests ---- */

static void test_farewell__is_said_once_after_the_last_job(void **state)
{
	certauto_job *one = start("one"), *other = start("other");

	(void)state;
	assert_int_equal(certauto_context_run(diary.cx, PATIENCE_MS), 0);
	assert_string_equal(diary.text, "one other bye ");
	assert_int_equal(certauto_context_run(diary.cx, PATIENCE_MS), 0);
	assert_string_equal(diary.text, "one other bye ");
	certauto_job_free(one);
	certauto_job_free(other);
}

static void test_farewell__is_not_said_where_there_is_nothing_to_say(void **state)
{
	certauto__peer *peer = peer_of(diary.cx);

	(void)state;
	assert_int_equal(certauto_context_run(diary.cx, PATIENCE_MS), 0);
	assert_string_equal(diary.text, "");
	certauto__peer_unref(peer);
}

static void test_farewell__ends_with_a_blocking_call(void **state)
{
	certauto_job *job = start("one");

	(void)state;
	assert_int_equal(certauto_job_wait(job, -1), 0);
	assert_string_equal(diary.text, "one bye ");
	assert_null(farewell_job());
	certauto_job_free(job);
}

static void test_farewell__waits_for_jobs_nobody_waits_for(void **state)
{
	certauto_job *slow, *quick;

	(void)state;
	diary.jobs_wait = 1;
	slow = start("slow");
	assert_int_equal(certauto_context_run(diary.cx, 0), 1);
	diary.jobs_wait = 0;
	quick = start("quick");
	assert_int_equal(certauto_job_wait(quick, -1), 0);
	assert_string_equal(diary.text, "slow quick ");
	certauto_job_cancel(slow);
	assert_int_equal(certauto_job_wait(slow, -1), CERTAUTO_ECANCELED);
	assert_string_equal(diary.text, "slow quick bye ");
	certauto_job_free(slow);
	certauto_job_free(quick);
}

static void test_farewell__is_said_again_after_the_next_job(void **state)
{
	certauto_job *job = start("one");

	(void)state;
	assert_int_equal(certauto_job_wait(job, -1), 0);
	certauto_job_free(job);
	job = start("two");
	assert_int_equal(certauto_job_wait(job, -1), 0);
	certauto_job_free(job);
	assert_string_equal(diary.text, "one bye two bye ");
}

static void test_farewell__is_seen_through_by_a_loop_of_the_hosts(void **state)
{
	struct pollfd pollfd = {.fd = certauto_context_fd(diary.cx), .events = POLLIN};
	certauto_job *job = start("one");
	int64_t deadline = certauto__clock_ms() + PATIENCE_MS;

	(void)state;
	while (certauto_context_run(diary.cx, 0) > 0) {
		assert_true(certauto__clock_ms() < deadline);
		(void)poll(&pollfd, 1, PATIENCE_MS);
	}
	assert_string_equal(diary.text, "one bye ");
	assert_null(farewell_job());
	certauto_job_free(job);
}

static void test_farewell__a_job_that_comes_meanwhile_is_not_held_up(void **state)
{
	certauto_job *job = start("one");
	int64_t deadline = certauto__clock_ms() + PATIENCE_MS;

	(void)state;
	diary.said_in_vain = 1;
	(void)run_to_farewell();
	certauto_job_free(job);
	diary.said_in_vain = 0;
	job = start("two");
	while (certauto_job_result(job) == CERTAUTO_AGAIN && certauto__clock_ms() < deadline)
		assert_true(certauto_context_run(diary.cx, 1) > 0);
	assert_int_equal(certauto_job_result(job), 0);
	certauto_context_cancel(diary.cx); /* the one nobody answers */
	assert_int_equal(certauto_context_run(diary.cx, PATIENCE_MS), 0);
	assert_string_equal(diary.text, "one bye two bye ");
	certauto_job_free(job);
}

static void test_farewell__has_five_seconds_and_its_failure_is_nobodys(void **state)
{
	certauto_job *job = start("one"), *said;

	(void)state;
	diary.said_in_vain = 1;
	said = run_to_farewell();
	assert_in_range(said->deadline_at - certauto__clock_ms(), 1, 5000);
	said->deadline_at = certauto__clock_ms();
	certauto__loop_timer(said);
	assert_int_equal(certauto_job_wait(job, -1), 0);
	assert_null(farewell_job());
	assert_int_equal(certauto_context_next_done(diary.cx), certauto_job_id(job));
	assert_int_equal(certauto_context_next_done(diary.cx), 0);
	certauto_job_free(job);
}

static void test_farewell__a_cancelled_run_still_says_it(void **state)
{
	certauto_job *job;

	(void)state;
	diary.jobs_wait = 1;
	job = start("one");
	assert_int_equal(certauto_context_run(diary.cx, 0), 1);
	certauto_context_cancel(diary.cx);
	assert_int_equal(certauto_job_wait(job, -1), CERTAUTO_ECANCELED);
	assert_string_equal(diary.text, "one bye ");
	certauto_job_free(job);
}

static void test_farewell__who_is_in_haste_does_not_say_it(void **state)
{
	certauto_job *job;

	(void)state;
	diary.jobs_wait = 1;
	job = start("one");
	assert_int_equal(certauto_context_run(diary.cx, 0), 1);
	certauto_context_cancel(diary.cx);
	certauto_context_cancel(diary.cx);
	assert_int_equal(certauto_job_wait(job, -1), CERTAUTO_ECANCELED);
	assert_string_equal(diary.text, "one ");
	certauto_job_free(job);
}

static void test_farewell__is_left_when_the_context_ends(void **state)
{
	certauto_job *job = start("one");
	int64_t deadline = certauto__clock_ms() + PATIENCE_MS;

	diary.said_in_vain = 1;
	(void)run_to_farewell();
	certauto_job_free(job);
	certauto_context_free(diary.cx);
	assert_true(certauto__clock_ms() < deadline);
	assert_int_equal(setup(state), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_farewell__is_said_once_after_the_last_job),
		TEST(test_farewell__is_not_said_where_there_is_nothing_to_say),
		TEST(test_farewell__ends_with_a_blocking_call),
		TEST(test_farewell__waits_for_jobs_nobody_waits_for),
		TEST(test_farewell__is_said_again_after_the_next_job),
		TEST(test_farewell__is_seen_through_by_a_loop_of_the_hosts),
		TEST(test_farewell__a_job_that_comes_meanwhile_is_not_held_up),
		TEST(test_farewell__has_five_seconds_and_its_failure_is_nobodys),
		TEST(test_farewell__a_cancelled_run_still_says_it),
		TEST(test_farewell__who_is_in_haste_does_not_say_it),
		TEST(test_farewell__is_left_when_the_context_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
