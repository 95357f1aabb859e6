/* SPDX-License-Identifier: Apache-2.0 */
/* Turns at a peer: how many jobs have one, who is next, what the others cost. And what a table may
 * do when it fails: keep the reason, look at what came of taking back, not mind. */
#include "unit.h"

#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "jobs/engine.h"

#define PATIENCE_MS 20000
#define MANY 1000
#define TURNS 16

static struct {
	char text[4096];
	int running, most, through;
	int n_undo, n_read, rc_seen, status_seen;
	certauto_context *cx;
	const struct certauto__table *next; /* started by a step of the first job */
	certauto__peer *peer;
} diary;

static int setup(void **state)
{
	certauto_context *cx;

	memset(&diary, 0, sizeof(diary));
	assert_int_equal(certauto_context_new(&cx), 0);
	*state = diary.cx = cx;
	return 0;
}

static int teardown(void **state)
{
	certauto_context_free(*state);
	return 0;
}

static void note(const char *what)
{
	size_t len = strlen(diary.text);

	snprintf(diary.text + len, sizeof(diary.text) - len, "%s ", what);
}

#define TABLE(id, list, ...) \
	static const struct certauto__table id = { \
		.name = #id, .steps = list, .n_steps = sizeof(list) / sizeof(list[0]), __VA_ARGS__ \
	}

/* ---- turns ---- */

static const struct certauto__peer_ops peer_ops = {.kind = "test"};

static certauto__peer *peer_of(certauto_context *cx, int turns)
{
	certauto__peer *peer;
	int made;

	assert_int_equal(certauto__peer_get(&peer, cx, &peer_ops, "test", 8, &made), 0);
	peer->turns_max = turns;
	return peer;
}

static certauto_job *start_in_turn(
	certauto_context *cx, const struct certauto__table *table, const char *name,
	certauto__peer *peer)
{
	struct certauto__start s = {
		.table = table, .name = name, .peer = peer, .one_at_a_time = 1};
	certauto_job *job;

	assert_int_equal(certauto__job_start(&job, cx, &s, NULL), 0);
	return job;
}

/* Stays for some rounds of the loop, as long as its name says. */
static certauto__verdict ask_busy(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (certauto__step_attempts(job) == 1 && ++diary.running > diary.most)
		diary.most = diary.running;
	if (certauto__step_attempts(job) <= 1 + certauto__job_key(job)[0] % 5)
		return certauto__again(job, certauto__job_key(job)[0] % 2);
	diary.running--;
	diary.through++;
	return CERTAUTO__NEXT;
}

static const struct certauto__step busy_steps[] = {{.name = "busy", .ask = ask_busy}};
TABLE(busy, busy_steps, .flags = 0);

static void start_many(
	certauto_context *cx, certauto_job **jobs, certauto__peer *peer)
{
	char name[8];
	int i;

	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "%c%d", 'a' + i % 7, i);
		jobs[i] = start_in_turn(cx, &busy, name, peer);
	}
}

/* A foreign loop: it knows the descriptor, and nothing else. */
static void drive(certauto_context *cx)
{
	struct pollfd fd = {.fd = certauto_context_fd(cx), .events = POLLIN};

	while (certauto__loop_of(cx)->n_active > 0) {
		assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
		assert_true(certauto_context_run(cx, 0) >= 0);
	}
}

static void test_turns__as_many_as_there_are_and_everybody_gets_one(void **state)
{
	certauto__peer *peer = peer_of(*state, TURNS);
	certauto_job *jobs[MANY];
	int i, n = 0;

	start_many(*state, jobs, peer);
	drive(*state);
	assert_int_equal(diary.through, MANY);
	assert_int_equal(diary.most, TURNS);
	assert_int_equal(peer->turns, 0);
	while (certauto_context_next_done(*state) != 0)
		n++;
	assert_int_equal(n, MANY);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(certauto_job_result(jobs[i]), 0);
		certauto_job_free(jobs[i]);
	}
	certauto__peer_unref(peer);
}

static size_t in_use(void)
{
	return mallinfo2().uordblks;
}

static void test_turns__who_stands_in_line_has_nothing(void **state)
{
	certauto__peer *peer = peer_of(*state, TURNS);
	certauto_job *jobs[MANY];
	size_t before = in_use();
	int i;

	start_many(*state, jobs, peer);
	assert_true(certauto_context_run(*state, 0) >= 0);
	assert_true((in_use() - before) / MANY < 4096);
	for (i = TURNS; i < MANY; i++) {
		if (jobs[i]->wait == CERTAUTO__WAIT_ENDED)
			continue;
		assert_int_equal(jobs[i]->facts.n, 0);
		assert_int_equal(jobs[i]->x.kind, CERTAUTO__X_NONE);
	}
	drive(*state);
	for (i = 0; i < MANY; i++)
		certauto_job_free(jobs[i]);
	certauto__peer_unref(peer);
}

static void test_turns__cancelled_in_line_or_at_work_none_is_lost(void **state)
{
	certauto__peer *peer = peer_of(*state, TURNS);
	certauto_job *jobs[MANY];
	int i, n = 0;

	start_many(*state, jobs, peer);
	assert_true(certauto_context_run(*state, 0) >= 0);
	for (i = 0; i < MANY; i += 3)
		certauto_job_cancel(jobs[i]);
	drive(*state);
	for (i = 0; i < MANY; i++) {
		n += certauto_job_result(jobs[i]) == CERTAUTO_ECANCELED;
		assert_true(i % 3 == 0 || certauto_job_result(jobs[i]) == 0);
		certauto_job_free(jobs[i]);
	}
	assert_true(n > MANY / 4);
	assert_int_equal(peer->turns, 0);
	assert_null(peer->turn.first);
	certauto__peer_unref(peer);
}

static void test_turns__a_context_may_end_with_all_of_them_in_line(void **state)
{
	certauto__peer *peer = peer_of(*state, TURNS);
	certauto_job *jobs[MANY];
	int i;

	start_many(*state, jobs, peer);
	assert_true(certauto_context_run(*state, 0) >= 0);
	certauto__peer_unref(peer);
	certauto_context_free(*state);
	for (i = 0; i < MANY; i++)
		certauto_job_free(jobs[i]);
	assert_int_equal(certauto_context_new((certauto_context **)state), 0);
}

/* It brings in another one, which then stands before whoever is woken when it ends. */
static certauto__verdict ask_line(certauto_job *job, certauto__exchange *x)
{
	certauto_job *other;

	(void)x;
	if (strcmp(certauto__job_key(job), "first") == 0 && certauto__step_attempts(job) == 1)
		return certauto__again(job, 1);
	note(certauto__job_key(job));
	if (strcmp(certauto__job_key(job), "first") == 0) {
		other = start_in_turn(diary.cx, job->table, "last", diary.peer);
		certauto_job_free(other);
	}
	return CERTAUTO__NEXT;
}

static const struct certauto__step line_steps[] = {{.name = "line", .ask = ask_line}};
TABLE(line, line_steps, .flags = 0);

static void test_turns__a_newcomer_does_not_overtake(void **state)
{
	certauto_job *first, *second, *third;

	diary.peer = peer_of(*state, 1);
	first = start_in_turn(*state, &line, "first", diary.peer);
	second = start_in_turn(*state, &line, "second", diary.peer);
	third = start_in_turn(*state, &line, "third", diary.peer);
	drive(*state);
	assert_string_equal(diary.text, "first second third last ");
	certauto_job_free(first);
	certauto_job_free(second);
	certauto_job_free(third);
	certauto__peer_unref(diary.peer);
}

/* ---- what is taken back, and what comes of it ---- */

static int call_done(certauto_job *job, certauto__exchange *x)
{
	(void)job, (void)x;
	return 0;
}

static int call_refused(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__error_set(&x->error, CERTAUTO_EREFUSED, NULL, "no");
}

static certauto__verdict ask_done(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, call_done);
}

static certauto__verdict ask_refused(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, call_refused);
}

static certauto__verdict undo_refused(certauto_job *job, certauto__exchange *x)
{
	diary.n_undo++;
	return ask_refused(job, x);
}

static certauto__verdict read_until_third(certauto_job *job, certauto__exchange *x)
{
	assert_true(certauto__undoing(job));
	diary.n_read++;
	diary.rc_seen = x->rc;
	return diary.n_read < 3 ? certauto__again(job, 1) : CERTAUTO__NEXT;
}

static const struct certauto__step asking_steps[] = {
	{.name = "asking",
		.ask = ask_done,
		.undo = undo_refused,
		.undo_read = read_until_third},
	{.name = "failing", .ask = ask_refused},
};
TABLE(asking, asking_steps, .flags = 0);

static certauto_job *start_plain(certauto_context *cx, const struct certauto__table *table)
{
	struct certauto__start s = {.table = table, .name = "test"};
	certauto_job *job;

	assert_int_equal(certauto__job_start(&job, cx, &s, NULL), 0);
	return job;
}

static void test_undo__may_ask_until_it_has_seen_enough(void **state)
{
	certauto_job *job = start_plain(*state, &asking);

	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_EREFUSED);
	assert_int_equal(diary.n_undo, 3);
	assert_int_equal(diary.rc_seen, CERTAUTO_EREFUSED); /* and a refusal is its to judge */
	assert_true(certauto__job_undone(job));
	assert_false(certauto__job_owes(job));
	certauto_job_free(job);
}

static certauto__verdict read_for_ever(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	if (++diary.n_read == 2) {
		job->undo_deadline_at = certauto__clock_ms() + 20;
		certauto__loop_timer(job);
	}
	return certauto__again(job, 1);
}

static const struct certauto__step endless_steps[] = {
	{.name = "endless",
		.ask = ask_done,
		.undo = undo_refused,
		.undo_read = read_for_ever},
	{.name = "failing", .ask = ask_refused},
};
TABLE(endless, endless_steps, .flags = 0);

static void test_undo__that_asks_for_ever_ends_with_its_time(void **state)
{
	certauto_job *job = start_plain(*state, &endless);

	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_EROLLBACK);
	assert_true(certauto__job_owes(job));
	assert_int_equal(certauto_job_error(job)->code, CERTAUTO_EROLLBACK);
	certauto_job_free(job);
}

static const struct certauto__step refused_steps[] = {{.name = "refused", .ask = ask_refused}};
TABLE(refused, refused_steps, .flags = 0);

static certauto__verdict ask_for_ever(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__again(job, 1);
}

static const struct certauto__step waiting_steps[] = {{.name = "waiting", .ask = ask_for_ever}};
TABLE(waiting, waiting_steps, .flags = 0);

static certauto__verdict undo_by_children(certauto_job *job, certauto__exchange *x)
{
	struct certauto__start s = {.table = &waiting, .name = "late", .deadline_ms = 20};

	(void)x;
	assert_non_null(certauto__child_start(job, &refused, "no", NULL, NULL, NULL, 0));
	assert_non_null(certauto__child_start_as(job, &s));
	return CERTAUTO__JOIN;
}

static certauto__verdict read_children(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	diary.n_read++;
	assert_int_equal(certauto__child_result(certauto__child(job, &refused, 0)),
		CERTAUTO_EREFUSED);
	assert_int_equal(certauto__child_result(certauto__child(job, &waiting, 0)),
		CERTAUTO_ETIMEDOUT);
	return CERTAUTO__NEXT;
}

static const struct certauto__step courteous_steps[] = {
	{.name = "courteous",
		.ask = ask_done,
		.undo = undo_by_children,
		.undo_read = read_children},
	{.name = "failing", .ask = ask_refused},
};
TABLE(courteous, courteous_steps, .flags = 0);

static void test_undo__by_children_need_not_mind_how_they_fare(void **state)
{
	certauto_job *job = start_plain(*state, &courteous);

	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_EREFUSED);
	assert_int_equal(diary.n_read, 1);
	assert_true(certauto__job_undone(job));
	certauto_job_free(job);
}

/* Some devices need minutes for it: who waits for one has as long. */
static certauto__verdict undo_patient(certauto_job *job, certauto__exchange *x)
{
	int64_t now = certauto__clock_ms();

	(void)x;
	diary.n_undo++;
	assert_in_range(job->undo_deadline_at - now, 500000, 600000);
	assert_true(certauto__job_parent(job) == NULL ||
		certauto__job_parent(job)->undo_deadline_at >= job->undo_deadline_at);
	return CERTAUTO__NEXT;
}

static const struct certauto__step patient_steps[] = {
	{.name = "patient", .ask = ask_done, .undo = undo_patient},
};
TABLE(patient, patient_steps, .undo_ms = 600000);

static const struct certauto__step patient_failing_steps[] = {
	{.name = "patient", .ask = ask_done, .undo = undo_patient},
	{.name = "failing", .ask = ask_refused},
};
TABLE(patient_failing, patient_failing_steps, .undo_ms = 600000);

static certauto__verdict ask_patient(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	assert_non_null(certauto__child_start(
		job, &patient, "patient", NULL, NULL, NULL, CERTAUTO__CHILD_HELD));
	return CERTAUTO__JOIN;
}

static certauto__verdict undo_released(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	assert_in_range(job->undo_deadline_at - certauto__clock_ms(), 1, 30000);
	return certauto__children_release(job, &patient) > 0 ? CERTAUTO__JOIN : CERTAUTO__NEXT;
}

static const struct certauto__step waits_steps[] = {
	{.name = "children", .ask = ask_patient, .undo = undo_released},
	{.name = "failing", .ask = ask_refused},
};
TABLE(waits, waits_steps, .flags = 0);

/* Never ready: its time runs out. */
static certauto__verdict undo_never(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__again(job, 5);
}

static const struct certauto__step hopeless_steps[] = {
	{.name = "hopeless", .ask = ask_done, .undo = undo_never},
	{.name = "failing", .ask = ask_refused},
};
TABLE(hopeless, hopeless_steps, .undo_ms = 20);

static int keep_warning(const certauto_event *event, void *payload)
{
	if (certauto_event_type(event) == CERTAUTO_EVENT_WARNING)
		snprintf(payload, 256, "%s", certauto_event_text(event));
	return 0;
}

static void test_undo__that_runs_out_of_time_says_so(void **state)
{
	char warning[256] = "";
	certauto_job *job;

	assert_int_equal(certauto_context_set_event_cb(*state, keep_warning, warning, NULL), 0);
	job = start_plain(*state, &hopeless);
	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_EROLLBACK);
	assert_non_null(strstr(warning, "step \"hopeless\" could not be taken back"));
	assert_non_null(strstr(warning, "time"));
	certauto_job_free(job);
	assert_int_equal(certauto_context_set_event_cb(*state, NULL, NULL, NULL), 0);
}

static void test_undo__has_the_time_that_its_table_says(void **state)
{
	const struct certauto__table *tables[] = {&patient_failing, &waits};
	certauto_job *job;
	int i;

	for (i = 0; i < 2; i++) {
		job = start_plain(*state, tables[i]);
		assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_EREFUSED);
		assert_int_equal(diary.n_undo, i + 1);
		assert_true(certauto__job_undone(job));
		certauto_job_free(job);
	}
}

/* ---- steps that are worth a try ---- */

static certauto__judgement judge_later(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	certauto__error_clear(&x->error);
	certauto__error_set(&x->error, CERTAUTO_ERETRY_LATER, NULL, "not now");
	x->error.status = 429;
	x->error.retry_at = 4102444800;
	return CERTAUTO__LATER;
}

static const struct certauto__peer_ops later_ops = {.kind = "later", .judge = judge_later};

static certauto__verdict ask_nobody(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_unix(x, "/nonexistent/certauto-test");
}

static certauto__verdict read_anyhow(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	diary.rc_seen = x->rc;
	diary.status_seen = x->error.code;
	return CERTAUTO__NEXT;
}

static const struct certauto__step anyhow_steps[] = {
	{.name = "anyhow", .ask = ask_nobody, .read = read_anyhow, .flags = CERTAUTO__ANYHOW},
};
TABLE(anyhow, anyhow_steps, .flags = 0);

static certauto_job *start_at_later(certauto_context *cx, const struct certauto__table *table)
{
	struct certauto__start s = {.table = table, .name = "test"};
	certauto_job *job;
	int made;

	assert_int_equal(certauto__peer_get(&s.peer, cx, &later_ops, "later", 1, &made), 0);
	assert_int_equal(certauto__job_start(&job, cx, &s, NULL), 0);
	certauto__peer_unref(s.peer);
	return job;
}

static void test_anyhow__read_sees_every_end(void **state)
{
	certauto_job *job = start_at_later(*state, &anyhow);

	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), 0);
	assert_true(diary.rc_seen < 0);
	assert_int_equal(diary.status_seen, CERTAUTO_ERETRY_LATER);
	certauto_job_free(job);
}

static certauto__queue nonces; /* where who cannot be sent yet waits */
static int may_wait;

static certauto__verdict dress_never(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return may_wait ? certauto__park(job, &nonces)
			: certauto__fail(job, CERTAUTO_EAUTH, NULL, "cannot be signed");
}

static const struct certauto__peer_ops never_ops = {.kind = "never", .dress = dress_never};

static certauto_job *start_at_never(certauto_context *cx, int silent)
{
	struct certauto__start s = {.table = &anyhow, .name = "test"};
	certauto_job *job;
	int made;

	assert_int_equal(certauto__peer_get(&s.peer, cx, &never_ops, "never", 1, &made), 0);
	assert_int_equal(certauto__job_start(&job, cx, &s, NULL), 0);
	s.peer->silent = silent;
	s.peer->closed_until = certauto__clock_ms() + PATIENCE_MS;
	s.peer->last.code = CERTAUTO_ENET;
	certauto__peer_unref(s.peer);
	return job;
}

static void test_anyhow__read_sees_what_could_not_be_sent(void **state)
{
	static const struct {
		int silent, wait, code;
	} ends[] = {
		{0, 0, CERTAUTO_EAUTH},
		{CERTAUTO__SILENT_MAX, 0, CERTAUTO_ENET},
		{0, 1, CERTAUTO_EPERM},
	};
	certauto_error refusal = {.code = CERTAUTO_EPERM};
	certauto_job *job;
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		may_wait = ends[i].wait;
		job = start_at_never(*state, ends[i].silent);
		assert_true(certauto_context_run(*state, 0) >= 0);
		assert_int_equal(certauto__queue_empty(&nonces), !may_wait);
		certauto__queue_fail(&nonces, &refusal);
		assert_int_equal(certauto_job_wait(job, PATIENCE_MS), 0);
		assert_int_equal(diary.status_seen, ends[i].code);
		assert_int_equal(diary.rc_seen, ends[i].code);
		certauto_job_free(job);
	}
}

static void keep_reason(certauto_job *job, certauto_error *error)
{
	note("failed");
	certauto__fact_set_number(job, "until", error->retry_at);
}

static const struct certauto__step limited_steps[] = {
	{.name = "limited", .ask = ask_nobody},
};
TABLE(limited, limited_steps, .failed = keep_reason);

static void test_failed__the_reason_may_be_kept(void **state)
{
	certauto_job *job = start_at_later(*state, &limited);

	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_ERETRY_LATER);
	assert_string_equal(diary.text, "failed ");
	assert_int_equal(certauto__fact_number(job, "until", 0), 4102444800);
	certauto_job_free(job);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_turns__as_many_as_there_are_and_everybody_gets_one),
		TEST(test_turns__who_stands_in_line_has_nothing),
		TEST(test_turns__cancelled_in_line_or_at_work_none_is_lost),
		TEST(test_turns__a_context_may_end_with_all_of_them_in_line),
		TEST(test_turns__a_newcomer_does_not_overtake),
		TEST(test_undo__may_ask_until_it_has_seen_enough),
		TEST(test_undo__that_asks_for_ever_ends_with_its_time),
		TEST(test_undo__by_children_need_not_mind_how_they_fare),
		TEST(test_undo__has_the_time_that_its_table_says),
		TEST(test_undo__that_runs_out_of_time_says_so),
		TEST(test_anyhow__read_sees_every_end),
		TEST(test_anyhow__read_sees_what_could_not_be_sent),
		TEST(test_failed__the_reason_may_be_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
