/* SPDX-License-Identifier: Apache-2.0 */
/* The step runner where it is hard: stopped in each kind of wait, host callbacks that cancel, free
 * and start, records that cannot be read or saved, a foreign loop, other threads, no memory. */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/memory.h"
#include "crypto/crypto.h"
#include "jobs/engine.h"

#define PATIENCE_MS 5000

/* ---- steps that only write down what happened to them; each is known by its name ---- */

static struct {
	char text[4096];
	const char *fail_at;      /* step that is refused */
	const char *stop_at;      /* step that never ends */
	const char *fail_undo;    /* step that cannot be taken back */
	const char *stop_undo;    /* step whose taking back never ends */
	int running, most;        /* steps "slow" that run at a time */
} diary;

static void note(const char *what, const char *name)
{
	size_t len = strlen(diary.text);

	snprintf(diary.text + len, sizeof(diary.text) - len, "%s%s ", what, name);
}

static const char *step_of(const certauto_job *job)
{
	return job->table->steps[job->step].name;
}

static int is(const char *which, const certauto_job *job)
{
	return certauto__text_equal(which, step_of(job));
}

static int refuse(certauto__exchange *x, const char *what, certauto_job *job)
{
	return certauto__error_set(&x->error, CERTAUTO_EREFUSED, NULL, "%s%s was refused", what,
		step_of(job));
}

static int call_step(certauto_job *job, certauto__exchange *x)
{
	if (is(diary.stop_at, job)) {
		x->again_ms = 1000000;
		return CERTAUTO_AGAIN;
	}
	note("+", step_of(job));
	return is(diary.fail_at, job) ? refuse(x, "", job) : 0;
}

static int call_undo(certauto_job *job, certauto__exchange *x)
{
	if (is(diary.stop_undo, job)) {
		x->again_ms = 1000000;
		return CERTAUTO_AGAIN;
	}
	note("-", step_of(job));
	return is(diary.fail_undo, job) ? refuse(x, "undo of ", job) : 0;
}

static certauto__verdict ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__fact_own(job, step_of(job)) != NULL ? CERTAUTO__NEXT :
		certauto__ask_call(x, call_step);
}

static certauto__verdict done(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	certauto__fact_set(job, step_of(job), "done");
	return CERTAUTO__NEXT;
}

static certauto__verdict undo(certauto_job *job, certauto__exchange *x)
{
	certauto__fact_set(job, step_of(job), NULL);
	return certauto__ask_call(x, call_undo);
}

#define ROW(letter, bits) \
	{ .name = letter, .ask = ask, .read = done, .undo = undo, .flags = bits }
#define TABLE(id, list, ...) \
	static const struct certauto__table id = { \
		.name = #id, .steps = list, .n_steps = sizeof(list) / sizeof(list[0]), __VA_ARGS__ \
	}

static const struct certauto__step plain_steps[] = { ROW("a", 0), ROW("b", 0), ROW("c", 0) };
TABLE(plain, plain_steps, .flags = 0);

/* ---- a journal in memory, which can be full ---- */

static struct {
	char data[16384];         /* a disk needs no memory of ours */
	size_t len;
} record;
static int disk_is_full;

static int memory_save(void *arg, const char *id, const void *data, size_t len, certauto_error *err)
{
	(void)arg;
	if (disk_is_full)
		return certauto__error_set(err, CERTAUTO_EIO, id, "no space left");
	assert_true(len < sizeof(record.data));
	memset(&record, 0, sizeof(record));
	memcpy(record.data, data, len);
	record.len = len;
	return 0;
}

static int memory_load(void *arg, const char *id, certauto__buffer *out, certauto_error *err)
{
	(void)arg, (void)id, (void)err;
	return record.len == 0 ? CERTAUTO_ENOTFOUND :
		certauto__buffer_add(out, record.data, record.len);
}

static int memory_remove(void *arg, const char *id, certauto_error *err)
{
	(void)arg, (void)id, (void)err;
	memset(&record, 0, sizeof(record));
	return 0;
}

static const struct certauto__journal memory = {
	.save = memory_save, .load = memory_load, .remove = memory_remove
};

static int recorded(const char *text)
{
	return record.len > 0 && strstr(record.data, text) != NULL;
}

/* ---- running ---- */

static int setup(void **state)
{
	certauto_context *cx;

	memset(&diary, 0, sizeof(diary));
	disk_is_full = 0;
	memset(&record, 0, sizeof(record));
	assert_int_equal(certauto_context_new(&cx), 0);
	*state = cx;
	return 0;
}

static int teardown(void **state)
{
	certauto_context_free(*state);
	return 0;
}

static certauto_job *start_as(certauto_context *cx, const struct certauto__table *table,
	certauto__peer *peer, const char *journal_id, const char *identity)
{
	struct certauto__start s;
	certauto_job *job;

	memset(&s, 0, sizeof(s));
	s.table = table;
	s.name = "test";
	s.peer = peer;
	s.journal = &memory;
	s.journal_id = journal_id;
	s.identity = identity;
	assert_int_equal(certauto__job_start(&job, cx, &s, NULL), 0);
	return job;
}

static certauto_job *start(certauto_context *cx, const struct certauto__table *table)
{
	return start_as(cx, table, NULL, "test", "one");
}

static int wait_and_free(certauto_job *job)
{
	int rc = certauto_job_wait(job, PATIENCE_MS);

	certauto_job_free(job);
	return rc;
}

static int run(certauto_context *cx, const struct certauto__table *table)
{
	return wait_and_free(start(cx, table));
}

static void work(certauto_context *cx)
{
	assert_true(certauto_context_run(cx, 0) >= 0);
}

/* Until the job has passed that step's first call. */
static void run_until_stopped(certauto_context *cx, certauto_job *job, const char *step)
{
	int64_t end = certauto__clock_ms() + PATIENCE_MS;

	while (job->wait != CERTAUTO__WAIT_SENT || !is(step, job)) {
		assert_true(certauto__clock_ms() < end);
		work(cx);
	}
}

/* As good as a kill: nothing is taken back, the record stays. */
static void kill_and_renew(void **state)
{
	certauto_context_free(*state);
	assert_int_equal(certauto_context_new((certauto_context **)state), 0);
	diary.text[0] = '\0';
}

/* ---- a foreign loop: it knows the descriptor, and nothing else ---- */

static void drive(certauto_context *cx, const certauto_job *job)
{
	struct pollfd fd = { .fd = certauto_context_fd(cx), .events = POLLIN };

	while (certauto_job_result(job) == CERTAUTO_AGAIN) {
		if (poll(&fd, 1, PATIENCE_MS) != 1)
			fail_msg("nothing woke the loop, after: %s", diary.text);
		work(cx);
	}
}

static certauto__verdict ask_often(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__step_attempts(job) < 8 ?
		certauto__again(job, certauto__step_attempts(job) % 3) : CERTAUTO__NEXT;
}

static const struct certauto__step often_steps[] = { { .name = "often", .ask = ask_often } };
TABLE(often, often_steps, .flags = 0);

static void test_loop__timers_are_heard_of_through_the_descriptor(void **state)
{
	certauto_job *job = start(*state, &often);

	drive(*state, job);
	assert_int_equal(wait_and_free(job), 0);
}

/* It takes longer than the time its loop gives it, and its timer is due at once. */
static certauto__verdict ask_heavy(certauto_job *job, certauto__exchange *x)
{
	int64_t end = certauto__clock_ms() + 15;

	(void)x;
	while (certauto__clock_ms() < end)
		;
	return certauto__step_attempts(job) < 8 ? certauto__again(job, 0) : CERTAUTO__NEXT;
}

static const struct certauto__step heavy_steps[] = { { .name = "heavy", .ask = ask_heavy } };
TABLE(heavy, heavy_steps, .flags = 0);

static void test_loop__a_timer_due_at_the_end_of_a_run_is_not_lost(void **state)
{
	struct pollfd fd = { .fd = certauto_context_fd(*state), .events = POLLIN };
	certauto_job *job = start(*state, &heavy);

	while (certauto_job_result(job) == CERTAUTO_AGAIN) {
		assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
		assert_true(certauto_context_run(*state, 10) >= 0);
	}
	assert_int_equal(wait_and_free(job), 0);
}

static void test_loop__a_job_started_outside_is_heard_of(void **state)
{
	certauto_job *job;

	work(*state);
	job = start(*state, &plain);
	drive(*state, job);
	assert_int_equal(wait_and_free(job), 0);
}

static void test_loop__the_descriptor_is_quiet_when_nothing_is_left(void **state)
{
	struct pollfd fd = { .fd = certauto_context_fd(*state), .events = POLLIN };

	assert_int_equal(run(*state, &plain), 0);
	assert_int_equal(poll(&fd, 1, 0), 0);
	certauto_context_cancel(*state); /* there is nobody to cancel: one turn, then quiet again */
	assert_int_equal(poll(&fd, 1, 0), 1);
	work(*state);
	assert_int_equal(poll(&fd, 1, 0), 0);
}

static int no_at_b(const certauto_event *event, void *payload)
{
	(void)payload;
	return certauto__text_equal(certauto_event_step(event), "b") ? -1 : 0;
}

static void test_event__a_no_is_heard_of_through_the_descriptor(void **state)
{
	certauto_job *job;

	assert_int_equal(certauto_context_set_event_cb(*state, no_at_b, NULL, NULL), 0);
	diary.stop_at = "b";
	job = start(*state, &plain);
	drive(*state, job);
	assert_int_equal(wait_and_free(job), CERTAUTO_ECANCELED);
	/* b had not been sent yet. */
	assert_string_equal(diary.text, "+a -a ");
}

static int no_from_b_on(const certauto_event *event, void *payload)
{
	int *refusing = payload;

	*refusing |= no_at_b(event, NULL);
	return *refusing;
}

static void test_event__no_to_everything_still_takes_back(void **state)
{
	int refusing = 0;

	assert_int_equal(certauto_context_set_event_cb(*state, no_from_b_on, &refusing, NULL), 0);
	assert_int_equal(run(*state, &plain), CERTAUTO_ECANCELED);
	assert_string_equal(diary.text, "+a -a ");
	assert_int_equal(record.len, 0);
}

/* ---- calls that wait for a descriptor, and for a time ---- */

static int call_pipe[2];

static int call_for_descriptor(certauto_job *job, certauto__exchange *x)
{
	char byte;

	x->wait_fd = call_pipe[0];
	x->wait_events = CERTAUTO__HTTP_IN;
	if (certauto__fact(job, ".asked") == NULL) {
		certauto__fact_set(job, ".asked", "once");
		x->again_ms = 30; /* the first time: whichever is first */
	} else if (recv(call_pipe[0], &byte, 1, MSG_DONTWAIT) == 1 && byte == '!') {
		return 0;
	}
	return CERTAUTO_AGAIN;
}

static certauto__verdict ask_descriptor(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, call_for_descriptor);
}

static const struct certauto__step descriptor_steps[] = {
	{ .name = "a", .ask = ask_descriptor, .read = done, .undo = undo }
};
TABLE(descriptor, descriptor_steps, .flags = 0);

static void test_call__a_timer_that_was_overtaken_is_no_deadline(void **state)
{
	certauto_job *job;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, call_pipe), 0);
	job = start(*state, &descriptor);
	work(*state);
	assert_int_equal(write(call_pipe[1], "?", 1), 1);
	assert_true(certauto_context_run(*state, 60) >= 0); /* past the 30 ms of the first time */
	assert_int_equal(certauto_job_result(job), CERTAUTO_AGAIN);
	assert_int_equal(write(call_pipe[1], "!", 1), 1);
	assert_int_equal(wait_and_free(job), 0);
	close(call_pipe[0]);
	close(call_pipe[1]);
}

static int refuse_save_after_first_call(certauto_job *job, certauto__exchange *x)
{
	certauto__fact_set(job, "noted", "yes"); /* to be saved before the second call */
	disk_is_full = 1;
	x->again_ms = 1;
	return CERTAUTO_AGAIN;
}

static certauto__verdict ask_noting(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, refuse_save_after_first_call);
}

static const struct certauto__step noting_steps[] = {
	{ .name = "a", .ask = ask_noting, .read = done, .undo = undo }
};
TABLE(noting, noting_steps, .flags = 0);

/* A full disk stops what would do more; what was begun is taken back all the same. */
static void test_call__stopped_between_two_calls_is_taken_back(void **state)
{
	assert_int_equal(run(*state, &noting), CERTAUTO_EIO);
	assert_string_equal(diary.text, "-a ");
}

/* ---- cancel ---- */

/* The older job leaves at once, as it is its second; that must not count twice for the younger. */
static void test_cancel__of_all_counts_once_for_each(void **state)
{
	certauto_job *old, *young;

	diary.stop_at = diary.stop_undo = "b";
	old = start_as(*state, &plain, NULL, NULL, NULL);
	run_until_stopped(*state, old, "b");
	certauto_job_cancel(old);
	work(*state);
	diary.stop_at = "c";
	diary.stop_undo = NULL;
	young = start_as(*state, &plain, NULL, NULL, NULL);
	run_until_stopped(*state, young, "c");
	diary.text[0] = '\0';
	certauto_context_cancel(*state);
	assert_int_equal(wait_and_free(young), CERTAUTO_ECANCELED);
	assert_string_equal(diary.text, "-c -b -a ");
	assert_int_equal(wait_and_free(old), CERTAUTO_ECANCELED);
}

/* ---- the host's callbacks ---- */

struct host {
	certauto_context *cx;
	certauto_job *handle;     /* freed, or cancelled, at the first event of its kind */
	int at;                   /* CERTAUTO_EVENT_* */
	const char *step;
	int n_started;
};

static int host_frees_handle(const certauto_event *event, void *payload)
{
	struct host *host = payload;

	if (certauto_event_type(event) == CERTAUTO_EVENT_STEP) {
		certauto_job_free(host->handle);
		host->handle = NULL;
	}
	return 0;
}

static void test_host__may_free_the_handle_that_is_waited_for(void **state)
{
	struct host host = { .cx = *state };
	certauto_job *job = start(*state, &plain);

	host.handle = job;
	assert_int_equal(certauto_context_set_event_cb(*state, host_frees_handle, &host, NULL), 0);
	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), 0);
	assert_null(host.handle);
}

static int host_frees_context(const certauto_event *event, void *payload)
{
	struct host *host = payload;

	if (host->cx != NULL && certauto_event_type(event) == host->at &&
	    (host->step == NULL || certauto__text_equal(host->step, certauto_event_step(event)))) {
		certauto_context_free(host->cx);
		host->cx = NULL;
	}
	return 0;
}

static const struct certauto__step polling_steps[] = {
	ROW("a", 0), { .name = "often", .ask = ask_often }, ROW("c", 0)
};
TABLE(polling, polling_steps, .flags = 0);

static void free_context_at(void **state, const struct certauto__table *table, int at,
	const char *step)
{
	struct host host = { .cx = *state, .at = at, .step = step };
	certauto_job *job, *other;

	assert_int_equal(certauto_context_set_event_cb(*state, host_frees_context, &host, NULL), 0);
	diary.stop_at = "c";
	job = start(*state, table);
	other = start_as(*state, &plain, NULL, NULL, NULL);
	assert_int_equal(certauto_context_run(*state, PATIENCE_MS), CERTAUTO_ECANCELED);
	assert_null(host.cx);
	assert_int_equal(certauto_job_result(other), CERTAUTO_ECANCELED);
	assert_true(certauto_job_result(job) == CERTAUTO_ECANCELED || at == CERTAUTO_EVENT_DONE);
	assert_int_equal(certauto_job_wait(job, 0), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	certauto_job_free(other);
	assert_int_equal(certauto_context_new((certauto_context **)state), 0);
}

static void test_host__may_free_the_context_in_the_middle_of_a_turn(void **state)
{
	free_context_at(state, &polling, CERTAUTO_EVENT_STEP, "often");
	assert_true(recorded("\"undo\":[[\"a\",0]]"));
	assert_null(strstr(diary.text, "-"));
}

static void test_host__may_free_the_context_when_told_of_an_end(void **state)
{
	free_context_at(state, &often, CERTAUTO_EVENT_DONE, NULL);
}

static int host_starts_another(const certauto_event *event, void *payload)
{
	struct certauto__start s = { .table = &plain, .name = "another" };
	struct host *host = payload;

	if (certauto_event_type(event) != CERTAUTO_EVENT_DONE)
		return 0;
	assert_in_range(++host->n_started, 1, 3);
	host->at = certauto__job_start(NULL, host->cx, &s, NULL);
	return 0;
}

/* One that starts the next job whenever one ends must not keep a context alive for ever. */
static void test_host__cannot_start_jobs_on_a_context_that_ends(void **state)
{
	struct host host = { .cx = *state };

	assert_int_equal(certauto_context_set_event_cb(*state, host_starts_another, &host, NULL),
		0);
	certauto_job_free(start(*state, &plain));
	certauto_context_free(*state);
	assert_int_equal(host.n_started, 1);
	assert_int_equal(host.at, CERTAUTO_ECANCELED);
	assert_int_equal(certauto_context_new((certauto_context **)state), 0);
}

/* ---- peers: the turn and places ---- */

static const struct certauto__peer_ops peer_ops = { .kind = "test" };

static certauto__peer *peer_of(certauto_context *cx)
{
	certauto__peer *peer;
	int made;

	assert_int_equal(certauto__peer_get(&peer, cx, &peer_ops, "test", 1, &made), 0);
	return peer;
}

static certauto_job *start_in_turn(certauto_context *cx, const struct certauto__table *table,
	certauto__peer *peer)
{
	struct certauto__start s = {
		.table = table, .name = "test", .peer = peer, .one_at_a_time = 1
	};
	certauto_job *job;

	assert_int_equal(certauto__job_start(&job, cx, &s, NULL), 0);
	return job;
}

static int host_cancels_when_one_ends(const certauto_event *event, void *payload)
{
	struct host *host = payload;

	if (certauto_event_type(event) == CERTAUTO_EVENT_DONE) {
		certauto_job_cancel(host->handle);
		host->handle = NULL;
	}
	return 0;
}

/* The second of three in line is woken by the end of the first, and cancelled before it runs: the
 * third must not wait for ever. */
static void pass_on(void **state, const struct certauto__table *table, int in_turn)
{
	certauto__peer *peer = peer_of(*state);
	struct host host = { .cx = *state };
	certauto_job *jobs[3];
	int i;

	assert_int_equal(
		certauto_context_set_event_cb(*state, host_cancels_when_one_ends, &host, NULL), 0);
	for (i = 0; i < 3; i++)
		jobs[i] = in_turn ? start_in_turn(*state, table, peer) :
			start_as(*state, table, peer, NULL, NULL);
	diary.stop_at = "a";
	work(*state);
	diary.stop_at = NULL;
	host.handle = jobs[1];
	certauto_job_cancel(jobs[0]);
	certauto_job_cancel(jobs[0]);
	work(*state);
	assert_int_equal(certauto_job_result(jobs[0]), CERTAUTO_ECANCELED);
	if (in_turn)
		assert_int_equal(certauto_job_wait(jobs[2], PATIENCE_MS), 0);
	else
		assert_int_equal(jobs[2]->wait, CERTAUTO__WAIT_SENT);
	assert_int_equal(certauto_job_result(jobs[1]), CERTAUTO_ECANCELED);
	assert_int_equal(certauto_context_set_event_cb(*state, NULL, NULL, NULL), 0);
	for (i = 0; i < 3; i++)
		certauto_job_free(jobs[i]);
	certauto__peer_unref(peer);
}

static void test_peer__a_turn_that_is_not_taken_goes_to_the_next(void **state)
{
	pass_on(state, &plain, 1);
}

static char folder[64], path[96];
static int listener;

static void listen_on_path(int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(folder, sizeof(folder), "/tmp/certauto-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, backlog), 0);
}

static void listen_no_more(void)
{
	close(listener);
	unlink(path);
	rmdir(folder);
}

static certauto__verdict ask_socket(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	certauto__ask_unix(x, path);
	certauto__buffer_text_add(&x->body, "hello\n");
	return CERTAUTO__SEND;
}

static certauto__verdict undo_socket(certauto_job *job, certauto__exchange *x)
{
	note("-", step_of(job));
	return ask_socket(job, x);
}

static const struct certauto__step socket_steps[] = {
	{ .name = "socket", .ask = ask_socket, .read = done, .undo = undo_socket }
};
TABLE(socket_table, socket_steps, .flags = 0);

static void test_peer__a_place_that_is_not_taken_goes_to_the_next(void **state)
{
	listen_on_path(8);
	pass_on(state, &socket_table, 0);
	listen_no_more();
}

/* A peer that counts as dead is not asked: then there is nothing to take back either. */
static void test_peer__what_was_never_sent_to_a_dead_peer_is_not_undone(void **state)
{
	certauto__peer *peer = peer_of(*state);

	peer->silent = CERTAUTO__SILENT_MAX;
	peer->closed_until = certauto__clock_ms() + 60000;
	certauto__error_set(&peer->last, CERTAUTO_ENET, NULL, "no answer");
	assert_int_equal(wait_and_free(start_as(*state, &socket_table, peer, "test", "one")),
		CERTAUTO_ENET);
	assert_string_equal(diary.text, "");
	assert_int_equal(record.len, 0);
	certauto__peer_unref(peer);
}

static int change(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	(void)x;
	return 0;
}

static certauto__verdict ask_change_then_look(certauto_job *job, certauto__exchange *x)
{
	return certauto__step_attempts(job) == 1 ? certauto__ask_call(x, change)
						 : ask_socket(job, x);
}

static certauto__verdict read_first_of_two(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__step_attempts(job) == 1 ? certauto__again(job, 0) : CERTAUTO__NEXT;
}

static const struct certauto__step two_requests_steps[] = {
	{ .name = "a", .ask = ask_change_then_look, .read = read_first_of_two, .undo = undo }
};
TABLE(two_requests, two_requests_steps, .flags = 0);

/* But what the step had changed before is. */
static void test_peer__what_was_done_before_it_was_dead_is_undone(void **state)
{
	certauto__peer *peer = peer_of(*state);

	peer->silent = CERTAUTO__SILENT_MAX;
	peer->closed_until = certauto__clock_ms() + 60000;
	certauto__error_set(&peer->last, CERTAUTO_ENET, NULL, "no answer");
	assert_int_equal(wait_and_free(start_as(*state, &two_requests, peer, "test", "one")),
		CERTAUTO_ENET);
	assert_string_equal(diary.text, "-a ");
	assert_int_equal(record.len, 0);
	certauto__peer_unref(peer);
}

static const struct certauto__step owed_steps[] = {
	ROW("a", CERTAUTO__COMMIT | CERTAUTO__OWED), ROW("b", CERTAUTO__OWED)
};
TABLE(owed, owed_steps, .flags = 0);

/* Its first step is one that may be owed: it must not run without the turn for that. */
static void test_peer__cancelled_in_line_no_step_runs(void **state)
{
	certauto__peer *peer = peer_of(*state);
	certauto_job *first, *second;

	diary.stop_at = "a";
	first = start_in_turn(*state, &plain, peer);
	second = start_in_turn(*state, &owed, peer);
	work(*state);
	diary.stop_at = NULL;
	certauto_job_cancel(second);
	assert_int_equal(wait_and_free(second), CERTAUTO_ECANCELED);
	assert_string_equal(diary.text, "");
	certauto_job_cancel(first);
	assert_int_equal(wait_and_free(first), CERTAUTO_ECANCELED);
	certauto__peer_unref(peer);
}

/* ---- children ---- */

static int call_slow(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact(job, ".slow") == NULL) {
		certauto__fact_set(job, ".slow", "yes");
		if (++diary.running > diary.most)
			diary.most = diary.running;
		x->again_ms = 60;
		return CERTAUTO_AGAIN;
	}
	diary.running--;
	return 0;
}

static certauto__verdict ask_slow(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, call_slow);
}

static const struct certauto__step slow_steps[] = { { .name = "slow", .ask = ask_slow } };
TABLE(slow, slow_steps, .flags = 0);

static certauto__verdict ask_queued(certauto_job *job, certauto__exchange *x)
{
	struct certauto__start s = { .table = &slow };
	static const char *const names[] = { "w", "x", "y", "z" };
	int i;

	(void)x;
	certauto__children_par(job, 1);
	for (i = 0; i < 4; i++) {
		s.name = names[i];
		s.deadline_ms = i == 1 ? 20 : 0; /* it passes while it is in line */
		if (certauto__child_start_as(job, &s) == NULL)
			return CERTAUTO__FAILED;
	}
	return CERTAUTO__JOIN;
}

static certauto__verdict ignore_children(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__child_result(certauto__child(job, &slow, 1)) == CERTAUTO_ETIMEDOUT ?
		CERTAUTO__NEXT : certauto__fail(job, CERTAUTO_EINVAL, NULL, "it has run");
}

static const struct certauto__step queued_steps[] = {
	{ .name = "queued", .ask = ask_queued, .read = ignore_children }
};
TABLE(queued, queued_steps, .flags = 0);

static void test_children__a_deadline_in_line_makes_no_room(void **state)
{
	assert_int_equal(run(*state, &queued), 0);
	assert_int_equal(diary.most, 1);
}

static certauto__verdict ask_back(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__child_start(job, certauto__fact(job, "slowly") != NULL ? &slow : &plain,
		"back", NULL, NULL, NULL, 0) != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static const struct certauto__step back_steps[] = {
	{ .name = "x", .ask = ask, .read = done, .undo = ask_back }, ROW("y", 0)
};
TABLE(back, back_steps, .flags = 0);

static void test_children__an_undo_by_children_holds_only_if_they_end_well(void **state)
{
	diary.fail_at = "y";
	assert_int_equal(run(*state, &back), CERTAUTO_EREFUSED);
	assert_string_equal(diary.text, "+x +y +a +b +c ");
	assert_false(recorded("[\"x\",0]"));

	memset(&record, 0, sizeof(record));
	diary.text[0] = '\0';
	diary.fail_at = "b"; /* of the child that is to put things back */
	diary.stop_at = "y";
	{
		certauto_job *job = start(*state, &back);

		run_until_stopped(*state, job, "y");
		certauto_job_cancel(job);
		assert_int_equal(wait_and_free(job), CERTAUTO_EROLLBACK);
	}
	assert_true(recorded("\"undo\":[[\"x\",0]]"));
}

static certauto__verdict done_slowly(certauto_job *job, certauto__exchange *x)
{
	certauto__fact_set(job, "slowly", "yes");
	return done(job, x);
}

static const struct certauto__step late_steps[] = {
	{ .name = "x", .ask = ask, .read = done_slowly, .undo = ask_back }, ROW("y", 0)
};
TABLE(late, late_steps, .flags = 0);

/* The job's own deadline passes while a child takes back. */
static void test_children__what_takes_back_has_time_of_its_own(void **state)
{
	struct certauto__start s = { .table = &late, .name = "test", .deadline_ms = 30 };
	certauto_job *job;

	diary.fail_at = "y";
	assert_int_equal(certauto__job_start(&job, *state, &s, NULL), 0);
	assert_int_equal(wait_and_free(job), CERTAUTO_EREFUSED);
	assert_int_equal(diary.most, 1);
	assert_int_equal(diary.running, 0);
}

static certauto__verdict ask_too_many(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	certauto__child_start(job, &plain, "one", NULL, NULL, NULL, CERTAUTO__CHILD_HELD);
	certauto__child_start(job, &plain, "two", NULL, NULL, NULL, CERTAUTO__CHILD_HELD);
	return certauto__fail(job, CERTAUTO_EREFUSED, NULL, "the third cannot be made");
}

static const struct certauto__step too_many_steps[] = {
	{ .name = "many", .ask = ask_too_many }
};
TABLE(too_many, too_many_steps, .flags = 0);

static void test_children__those_started_before_a_failure_are_stopped(void **state)
{
	assert_int_equal(run(*state, &too_many), CERTAUTO_EREFUSED);
	assert_string_equal(diary.text, "");
	assert_int_equal(record.len, 0);
}

static certauto__verdict ask_child(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__child_start(job, &plain, "child", NULL, NULL, NULL,
		CERTAUTO__CHILD_HELD) != NULL ? CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static certauto__verdict undo_child(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__children_release(job, &plain) > 0 ? CERTAUTO__JOIN : CERTAUTO__NEXT;
}

static int revive(certauto_job *job, const char *table, const char *key,
	const struct certauto__table **table_out, void **env_out, certauto__peer **peer_out)
{
	(void)job, (void)table, (void)key, (void)env_out, (void)peer_out;
	*table_out = &plain;
	return 0;
}

static const struct certauto__step parent_steps[] = {
	ROW("p", 0),
	{ .name = "child", .ask = ask_child, .undo = undo_child, .flags = CERTAUTO__ALWAYS },
	ROW("q", 0)
};
TABLE(parent, parent_steps, .revive = revive);

/* ---- records ---- */

static int call_learning(certauto_job *job, certauto__exchange *x)
{
	certauto__fact_set(job, "learned", "much");
	x->again_ms = 1000000;
	note("+", "learning");
	return CERTAUTO_AGAIN;
}

static certauto__verdict ask_learning(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return certauto__ask_call(x, call_learning);
}

static const struct certauto__step reading_steps[] = {
	{ .name = "learning", .ask = ask_learning, .flags = CERTAUTO__READS }
};
TABLE(reading, reading_steps, .flags = 0);

static certauto__verdict ask_reader(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__child_start(job, &reading, "child", NULL, NULL, NULL, 0) != NULL ?
		CERTAUTO__JOIN : CERTAUTO__FAILED;
}

static const struct certauto__step reader_steps[] = {
	ROW("p", 0), { .name = "children", .ask = ask_reader }
};
TABLE(reader, reader_steps, .flags = 0);

/* What an unfinished child has learned is in the record also when its end was hasty. */
static void test_record__leaving_at_once_keeps_what_children_have_learned(void **state)
{
	certauto_job *job;

	job = start(*state, &reader);
	while (strstr(diary.text, "+learning") == NULL)
		work(*state);
	certauto_job_cancel(job);
	certauto_job_cancel(job);
	assert_int_equal(wait_and_free(job), CERTAUTO_ECANCELED);
	assert_true(recorded("\"learned\":\"much\""));
}

/* Of a run that was killed in that step, which came after that entry in the diary. */
static void leave_a_record(void **state, const struct certauto__table *table, const char *stop_at,
	const char *after)
{
	diary.stop_at = stop_at;
	certauto_job_free(start(*state, table));
	while (strstr(diary.text, after) == NULL)
		work(*state);
	work(*state);
	kill_and_renew(state);
	diary.stop_at = NULL;
	assert_true(record.len > 0);
}

/* Runs, and the record must come out of it byte for byte as it was. */
static void assert_left_alone(void **state, const struct certauto__table *table, int code)
{
	char before[4096];
	size_t len = record.len;

	assert_true(len < sizeof(before));
	memcpy(before, record.data, len);
	assert_int_equal(run(*state, table), code);
	assert_string_equal(diary.text, "");
	assert_int_equal(record.len, len);
	assert_memory_equal(record.data, before, len);
}

static void test_record__a_damaged_one_is_not_touched(void **state)
{
	leave_a_record(state, &plain, "c", "+b");
	record.data[record.len / 2] ^= 1;
	assert_left_alone(state, &plain, CERTAUTO_EIO);
}

static const struct certauto__step older_steps[] = { ROW("a", 0), ROW("c", 0) };
static const struct certauto__table older = {
	.name = "plain", .steps = older_steps, .n_steps = 2
};

static void test_record__with_a_step_nobody_knows_is_not_touched(void **state)
{
	leave_a_record(state, &plain, "c", "+b");
	assert_left_alone(state, &older, CERTAUTO_EROLLBACK);
}

/* The same in a child: the parent's record goes on naming all that the child had done. */
static void test_record__a_child_nobody_knows_stays_in_it(void **state)
{
	leave_a_record(state, &parent, "c", "+b");
	memcpy(strstr(record.data, "[\"b\",0]"), "[\"B\",0]", 7);
	{
		char *payload = strchr(record.data, '\n') + 1, digest[65];

		certauto__sha256_hex(digest, payload, strlen(payload));
		memcpy(payload - 65, digest, 64);
	}
	assert_int_equal(run(*state, &parent), CERTAUTO_EROLLBACK);
	assert_true(recorded("[\"a\",0],[\"B\",0],[\"c\",0]"));
	assert_true(recorded("\"a\":\"done\""));
}

static void test_record__no_memory_to_read_it_is_no_reason_to_remove_it(void **state)
{
	long n;

	leave_a_record(state, &parent, "q", "+c");
	for (n = 1; n < 60; n++) {
		certauto_job *job = start_as(*state, &parent, NULL, "test", "two");

		certauto__alloc_fail_at(n, 1);
		work(*state);
		certauto__alloc_fail_at(0, 0);
		certauto_job_free(job);
		if (strstr(diary.text, "-") != NULL)
			break; /* it came as far as to take back what the record names */
		assert_true(recorded("\"key\":\"child\""));
		kill_and_renew(state);
	}
	assert_in_range(n, 10, 59);
}

/* ---- undo ---- */

static void test_undo__goes_on_when_the_record_cannot_be_saved(void **state)
{
	certauto_job *job;

	diary.stop_at = "c";
	job = start(*state, &plain);
	run_until_stopped(*state, job, "c");
	disk_is_full = 1;
	certauto_job_cancel(job);
	assert_int_equal(wait_and_free(job), CERTAUTO_ECANCELED);
	assert_string_equal(diary.text, "+a +b -c -b -a ");
}

static certauto__queue session;

static certauto__verdict undo_parked(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__park(job, &session);
}

static const struct certauto__step parked_steps[] = {
	ROW("a", 0), { .name = "b", .ask = ask, .read = done, .undo = undo_parked }, ROW("c", 0)
};
TABLE(parked, parked_steps, .flags = 0);

static void test_undo__one_that_its_queue_fails_does_not_end_the_others(void **state)
{
	certauto_error error;
	certauto_job *job;

	memset(&error, 0, sizeof(error));
	certauto__error_set(&error, CERTAUTO_ENET, NULL, "no session");
	diary.fail_at = "c";
	job = start(*state, &parked);
	while (certauto__queue_empty(&session))
		work(*state);
	certauto__queue_fail(&session, &error);
	certauto__error_clear(&error);
	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_EROLLBACK);
	assert_string_equal(diary.text, "+a +b +c -a ");
	assert_true(recorded("\"undo\":[[\"b\",0]]"));
	/* Both are told: why it failed is not forgotten for why it could not be taken back. */
	assert_non_null(strstr(certauto_error_message(certauto_job_error(job)), "c was refused"));
	certauto_job_free(job);
}

static certauto__verdict undo_failing(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__fail(job, CERTAUTO_ENOTFOUND, NULL, "not found");
}

static const struct certauto__step failing_steps[] = {
	{ .name = "a", .ask = ask, .read = done, .undo = undo_failing }, ROW("b", 0)
};
TABLE(failing, failing_steps, .flags = 0);

static void test_undo__its_own_errors_do_not_replace_the_reason(void **state)
{
	certauto_job *job;

	diary.fail_at = "b";
	job = start(*state, &failing);
	assert_int_equal(certauto_job_wait(job, PATIENCE_MS), CERTAUTO_EROLLBACK);
	assert_non_null(strstr(certauto_error_message(certauto_job_error(job)), "b was refused"));
	certauto_job_free(job);
}

/* ---- no memory ---- */

static int sweep_one(certauto_context *cx, const char *name, long n, int sticky)
{
	struct certauto__start s = {
		.table = &parent, .name = "test", .journal = &memory, .journal_id = "test",
		.identity = "one"
	};
	certauto_job *job;
	int rc;

	diary.text[0] = '\0';
	memset(&record, 0, sizeof(record));
	certauto__alloc_fail_at(n, sticky);
	rc = certauto__job_start(&job, cx, &s, NULL);
	if (rc == 0) {
		rc = certauto_job_wait(job, PATIENCE_MS);
		assert_int_equal(certauto_job_result(job), rc); /* it has ended */
		certauto_job_free(job);
	}
	certauto__alloc_fail_at(0, 0);
	if (rc == CERTAUTO_EROLLBACK && !recorded("\"undo\":["))
		fail_msg("%s:%ld:%d: what could not be taken back is not recorded", name, n,
			sticky);
	return rc;
}

static void sweep(const char *name, const char *fail_at, int code)
{
	certauto_context *cx;
	int sticky, rc;
	long n;

	for (sticky = 0; sticky <= 1; sticky++) {
		for (n = 1, rc = CERTAUTO_ENOMEM; rc != code; n++) {
			diary.fail_at = fail_at;
			assert_int_equal(certauto_context_new(&cx), 0);
			rc = sweep_one(cx, name, n, sticky);
			if (rc != CERTAUTO_ENOMEM && rc != CERTAUTO_EROLLBACK && rc != code)
				fail_msg("%s:%ld:%d: returned %d", name, n, sticky, rc);
			/* Whatever was left, the next run settles it. */
			diary.fail_at = NULL;
			diary.text[0] = '\0';
			assert_int_equal(run(cx, &parent), 0);
			assert_int_equal(record.len, 0);
			certauto_context_free(cx);
		}
		assert_true(n > 20);
	}
}

static void test_oom__a_parent_with_children_ends_and_can_be_taken_up(void **state)
{
	(void)state;
	sweep("well", NULL, 0);
}

static void test_oom__what_fails_is_taken_back_or_recorded(void **state)
{
	(void)state;
	sweep("refused", "q", CERTAUTO_EREFUSED);
}

/* ---- threads and processes ---- */

struct other {
	certauto_job *job;
	certauto_job *spare[64];
};

static void *other_thread(void *arg)
{
	struct other *other = arg;
	size_t i;

	for (i = 0; i < 64; i++)
		certauto_job_free(other->spare[i]);
	certauto_job_cancel(other->job);
	certauto_job_free(other->job);
	return NULL;
}

static void test_thread__another_one_cancels_and_frees(void **state)
{
	struct other other;
	pthread_t thread;
	size_t i, round;

	for (round = 0; round < 20; round++) {
		diary.stop_at = NULL;
		for (i = 0; i < 64; i++)
			other.spare[i] = start_as(*state, &often, NULL, NULL, NULL);
		diary.stop_at = "b";
		other.job = start_as(*state, &plain, NULL, NULL, NULL);
		diary.text[0] = '\0';
		assert_int_equal(pthread_create(&thread, NULL, other_thread, &other), 0);
		while (certauto_context_run(*state, PATIENCE_MS) > 0)
			;
		assert_int_equal(pthread_join(thread, NULL), 0);
		work(*state);
	}
}

/* Each thread frees its half while nobody is inside: what they share is destroyed by one at a time,
 * and this thread's calls in between are not refused. */
static void *free_half(void *arg)
{
	certauto_job **jobs = arg;
	size_t i;

	for (i = 0; i < 64; i++)
		certauto_job_free(jobs[i]);
	return NULL;
}

static void test_thread__handles_of_an_idle_context_are_freed_by_several(void **state)
{
	certauto__peer *peer = peer_of(*state);
	certauto_job *jobs[128];
	pthread_t threads[2];
	size_t i, round;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < 128; i++)
			jobs[i] = start_as(*state, &often, peer, NULL, NULL);
		assert_int_equal(certauto_context_run(*state, PATIENCE_MS), 0);
		for (i = 0; i < 2; i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, free_half, jobs + i * 64), 0);
		for (i = 0; i < 1000; i++)
			work(*state);
		for (i = 0; i < 2; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		work(*state);
		assert_int_equal(peer->refs, 2);
	}
	certauto__peer_unref(peer);
}

static void test_process__a_forked_one_leaves_the_jobs_alone(void **state)
{
	certauto_job *job;
	int status;
	pid_t pid;

	diary.stop_at = "b";
	job = start(*state, &plain);
	run_until_stopped(*state, job, "b");
	if ((pid = fork()) == 0) {
		if (certauto_context_run(*state, 0) != CERTAUTO_EFORKED ||
		    certauto_job_wait(job, 0) != CERTAUTO_EFORKED)
			_exit(1);
		certauto_job_free(job);
		certauto_context_free(*state);
		_exit(record.len > 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	certauto_job_cancel(job);
	assert_int_equal(wait_and_free(job), CERTAUTO_ECANCELED);
	assert_string_equal(diary.text, "+a -b -a ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_loop__timers_are_heard_of_through_the_descriptor),
		TEST(test_loop__a_timer_due_at_the_end_of_a_run_is_not_lost),
		TEST(test_loop__a_job_started_outside_is_heard_of),
		TEST(test_loop__the_descriptor_is_quiet_when_nothing_is_left),
		TEST(test_event__a_no_is_heard_of_through_the_descriptor),
		TEST(test_event__no_to_everything_still_takes_back),
		TEST(test_call__a_timer_that_was_overtaken_is_no_deadline),
		TEST(test_call__stopped_between_two_calls_is_taken_back),
		TEST(test_cancel__of_all_counts_once_for_each),
		TEST(test_host__may_free_the_handle_that_is_waited_for),
		TEST(test_host__may_free_the_context_in_the_middle_of_a_turn),
		TEST(test_host__may_free_the_context_when_told_of_an_end),
		TEST(test_host__cannot_start_jobs_on_a_context_that_ends),
		TEST(test_peer__a_turn_that_is_not_taken_goes_to_the_next),
		TEST(test_peer__a_place_that_is_not_taken_goes_to_the_next),
		TEST(test_peer__what_was_never_sent_to_a_dead_peer_is_not_undone),
		TEST(test_peer__what_was_done_before_it_was_dead_is_undone),
		TEST(test_peer__cancelled_in_line_no_step_runs),
		TEST(test_children__a_deadline_in_line_makes_no_room),
		TEST(test_children__an_undo_by_children_holds_only_if_they_end_well),
		TEST(test_children__what_takes_back_has_time_of_its_own),
		TEST(test_children__those_started_before_a_failure_are_stopped),
		TEST(test_record__leaving_at_once_keeps_what_children_have_learned),
		TEST(test_record__a_damaged_one_is_not_touched),
		TEST(test_record__with_a_step_nobody_knows_is_not_touched),
		TEST(test_record__a_child_nobody_knows_stays_in_it),
		TEST(test_record__no_memory_to_read_it_is_no_reason_to_remove_it),
		TEST(test_undo__goes_on_when_the_record_cannot_be_saved),
		TEST(test_undo__one_that_its_queue_fails_does_not_end_the_others),
		TEST(test_undo__its_own_errors_do_not_replace_the_reason),
		TEST(test_oom__a_parent_with_children_ends_and_can_be_taken_up),
		TEST(test_oom__what_fails_is_taken_back_or_recorded),
		TEST(test_thread__another_one_cancels_and_frees),
		TEST(test_thread__handles_of_an_idle_context_are_freed_by_several),
		TEST(test_process__a_forked_one_leaves_the_jobs_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
