/* SPDX-License-Identifier: Apache-2.0 */
/* The step runner, with tables that only write down what happened to them. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "jobs/job.h"

/* ---- a diary: every ask, read and undo leaves its mark ---- */

struct diary {
	char text[4096];
	const char *fail_at;      /* step whose call fails */
	int fail_times;           /* how often; -1 = always */
	const char *stop_at;      /* step whose call never ends */
	const char *fail_undo;
	int n_children;
};

static struct diary diary;

static void note(const char *what, const char *name)
{
	size_t len = strlen(diary.text);

	snprintf(diary.text + len, sizeof(diary.text) - len, "%s%s ", what, name);
}

static const char *step_name(certauto_job *job)
{
	return certauto__fact(job, ".step");
}

static int call_step(certauto_job *job, certauto__exchange *x)
{
	const char *name = step_name(job);

	if (certauto__text_equal(diary.stop_at, name)) {
		x->again_ms = 1000000;
		return CERTAUTO_AGAIN;
	}
	note("+", name);
	if (certauto__text_equal(diary.fail_at, name) && diary.fail_times != 0) {
		diary.fail_times--;
		return certauto__error_set(&x->error, CERTAUTO_EREFUSED, name, "%s was refused",
			name);
	}
	return 0;
}

static int call_undo(certauto_job *job, certauto__exchange *x)
{
	const char *name = step_name(job);

	note("-", name);
	if (certauto__text_equal(diary.fail_undo, name))
		return certauto__error_set(&x->error, CERTAUTO_EREFUSED, name,
			"undo of %s was refused", name);
	return 0;
}

#define STEP(letter) \
	static certauto__verdict ask_##letter(certauto_job *job, certauto__exchange *x) \
	{ \
		if (certauto__fact_own(job, "done-" #letter) != NULL) \
			return CERTAUTO__NEXT; \
		certauto__fact_set(job, ".step", #letter); \
		return certauto__ask_call(x, call_step); \
	} \
	static certauto__verdict read_##letter(certauto_job *job, certauto__exchange *x) \
	{ \
		(void)x; \
		certauto__fact_set(job, "done-" #letter, "yes"); \
		return CERTAUTO__NEXT; \
	} \
	static certauto__verdict undo_##letter(certauto_job *job, certauto__exchange *x) \
	{ \
		certauto__fact_set(job, ".step", #letter); \
		certauto__fact_set(job, "done-" #letter, NULL); \
		return certauto__ask_call(x, call_undo); \
	}

STEP(a)
STEP(b)
STEP(c)
STEP(d)

#define ROW(letter, bits) \
	{ \
		.name = #letter, .ask = ask_##letter, .read = read_##letter, \
		.undo = undo_##letter, .flags = bits \
	}

static const struct certauto__step plain_steps[] = { ROW(a, 0), ROW(b, 0), ROW(c, 0) };
static const struct certauto__table plain = { .name = "plain", .steps = plain_steps, .n_steps = 3 };
static const struct certauto__step always_steps[] = {
	ROW(a, CERTAUTO__ALWAYS), ROW(b, 0), ROW(c, 0)
};
static const struct certauto__table always = {
	.name = "always", .steps = always_steps, .n_steps = 3
};
static const struct certauto__step commit_steps[] = {
	ROW(a, 0), ROW(b, 0), ROW(c, CERTAUTO__COMMIT | CERTAUTO__OWED), ROW(d, CERTAUTO__OWED)
};
static const struct certauto__table commit = {
	.name = "commit", .steps = commit_steps, .n_steps = 4
};

/* ---- a journal in memory ---- */

static certauto__buffer record = CERTAUTO__BUFFER(65536);
static int n_saves;

static int memory_save(void *arg, const char *id, const void *data, size_t len, certauto_error *err)
{
	(void)arg, (void)id, (void)err;
	n_saves++;
	certauto__buffer_clear(&record);
	return certauto__buffer_add(&record, data, len);
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
	certauto__buffer_clear(&record);
	return 0;
}

static const struct certauto__journal memory = {
	.save = memory_save, .load = memory_load, .remove = memory_remove
};

/* ---- running ---- */

static int setup(void **state)
{
	certauto_context *cx;

	memset(&diary, 0, sizeof(diary));
	certauto__buffer_clear(&record);
	n_saves = 0;
	assert_int_equal(certauto_context_new(&cx), 0);
	*state = cx;
	return 0;
}

static int teardown(void **state)
{
	certauto_context_free(*state);
	certauto__buffer_free(&record);
	return 0;
}

static certauto_job *start(certauto_context *cx, const struct certauto__table *table,
	const char *identity, int64_t deadline_ms)
{
	struct certauto__start s;
	certauto_job *job;

	memset(&s, 0, sizeof(s));
	s.table = table;
	s.name = "test";
	s.journal = &memory;
	s.journal_id = "test";
	s.identity = identity;
	s.deadline_ms = deadline_ms;
	assert_int_equal(certauto__job_start(&job, cx, &s, NULL), 0);
	return job;
}

static int run(certauto_context *cx, const struct certauto__table *table)
{
	certauto_job *job = start(cx, table, "one", 0);
	int rc = certauto_job_wait(job, 10000);

	certauto_job_free(job);
	return rc;
}

static void test_runner__steps_in_order_and_no_record_left(void **state)
{
	assert_int_equal(run(*state, &plain), 0);
	assert_string_equal(diary.text, "+a +b +c ");
	assert_int_equal(record.len, 0);
	assert_int_equal(n_saves, 3);
}

static void test_runner__failure_undoes_in_reverse(void **state)
{
	diary.fail_at = "c";
	diary.fail_times = -1;
	assert_int_equal(run(*state, &plain), CERTAUTO_EREFUSED);
	/* c was refused definitely: it has nothing to take back. */
	assert_string_equal(diary.text, "+a +b +c -b -a ");
	assert_string_equal(certauto_error_message(certauto_context_error(*state)),
		"c was refused");
}

static void test_runner__always_is_undone_after_success(void **state)
{
	assert_int_equal(run(*state, &always), 0);
	assert_string_equal(diary.text, "+a +b +c -a ");
	assert_int_equal(record.len, 0);
}

static void test_runner__commit_leaves_no_way_back_and_owes(void **state)
{
	diary.fail_at = "c";
	diary.fail_times = 1;
	assert_int_equal(run(*state, &commit), 0);
	assert_string_equal(diary.text, "+a +b +c +d ");
	assert_true(record.len > 0);
	assert_non_null(strstr(certauto__buffer_text(&record), "\"owed\":[\"c\"]"));
	/* The next run does what is owed, and nothing else. */
	diary.text[0] = '\0';
	assert_int_equal(run(*state, &commit), 0);
	assert_string_equal(diary.text, "+c ");
	assert_int_equal(record.len, 0);
}

static void test_runner__failed_undo_is_kept_and_told(void **state)
{
	diary.fail_at = "c";
	diary.fail_times = 1;
	diary.fail_undo = "b";
	assert_int_equal(run(*state, &plain), CERTAUTO_EROLLBACK);
	assert_string_equal(diary.text, "+a +b +c -b -a ");
	assert_non_null(strstr(certauto__buffer_text(&record), "\"undo\":[[\"b\",0]]"));
	assert_non_null(strstr(certauto_error_message(certauto_context_error(*state)),
		"c was refused"));
}

static void test_runner__a_killed_run_goes_on_from_its_facts(void **state)
{
	certauto_job *job;

	diary.stop_at = "b";
	job = start(*state, &plain, "one", 0);
	assert_int_equal(certauto_job_wait(job, 20), CERTAUTO_ETIMEDOUT);
	certauto_job_free(job);
	certauto_context_free(*state); /* as good as a kill: no undo, record kept */
	assert_string_equal(diary.text, "+a ");
	assert_true(record.len > 0);

	diary.stop_at = NULL;
	assert_int_equal(certauto_context_new((certauto_context **)state), 0);
	diary.fail_at = "c";
	diary.fail_times = -1;
	assert_int_equal(run(*state, &plain), CERTAUTO_EREFUSED);
	/* What the first run did is taken back by the second. c may have been sent by it: it is
	 * undone too. */
	assert_string_equal(diary.text, "+a +b +c -c -b -a ");
}

static void test_runner__another_identity_is_undone_first(void **state)
{
	certauto_job *job;

	diary.stop_at = "c";
	job = start(*state, &plain, "one", 0);
	assert_int_equal(certauto_job_wait(job, 20), CERTAUTO_ETIMEDOUT);
	certauto_job_free(job);
	certauto_context_free(*state);
	assert_int_equal(certauto_context_new((certauto_context **)state), 0);
	diary.stop_at = NULL;
	diary.text[0] = '\0';
	job = start(*state, &plain, "two", 0);
	assert_int_equal(certauto_job_wait(job, 1000), 0);
	certauto_job_free(job);
	assert_string_equal(diary.text, "-c -b -a +a +b +c ");
	assert_int_equal(record.len, 0);
}

static void test_runner__cancel_undoes(void **state)
{
	certauto_job *job;

	diary.stop_at = "b";
	job = start(*state, &plain, "one", 0);
	assert_int_equal(certauto_job_wait(job, 10), CERTAUTO_ETIMEDOUT);
	certauto_job_cancel(job);
	diary.stop_at = NULL;
	assert_int_equal(certauto_job_wait(job, 1000), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	/* b was sent and its effect is unknown: it is taken back too. */
	assert_string_equal(diary.text, "+a -b -a ");
}

static void test_runner__deadline_undoes(void **state)
{
	certauto_job *job;

	diary.stop_at = "b";
	job = start(*state, &plain, "one", 30);
	assert_int_equal(certauto_job_wait(job, 5000), CERTAUTO_ETIMEDOUT);
	assert_int_equal(certauto_job_result(job), CERTAUTO_ETIMEDOUT);
	certauto_job_free(job);
	assert_string_equal(diary.text, "+a -b -a ");
}

static void test_runner__second_cancel_leaves_at_once(void **state)
{
	certauto_job *job;

	diary.stop_at = "b";
	job = start(*state, &plain, "one", 0);
	assert_int_equal(certauto_job_wait(job, 10), CERTAUTO_ETIMEDOUT);
	certauto_context_cancel(*state);
	certauto_context_cancel(*state);
	assert_int_equal(certauto_job_wait(job, 1000), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	assert_string_equal(diary.text, "+a ");
	assert_non_null(strstr(certauto__buffer_text(&record), "\"undo\":[[\"a\",0],[\"b\",0]]"));
}

/* ---- children ---- */

static certauto__verdict ask_children(certauto_job *job, certauto__exchange *x)
{
	char key[16];
	int i;

	(void)x;
	certauto__children_par(job, 2);
	for (i = 0; i < diary.n_children; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		if (certauto__child_start(job, &plain, key, NULL, NULL, NULL,
		    CERTAUTO__CHILD_HELD) == NULL)
			return CERTAUTO__FAILED;
	}
	return CERTAUTO__JOIN;
}

static certauto__verdict undo_children(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	return certauto__children_release(job, &plain) > 0 ? CERTAUTO__JOIN : CERTAUTO__NEXT;
}

static int revive_plain(certauto_job *job, const char *table, const char *key,
	const struct certauto__table **table_out, void **env_out, certauto__peer **peer_out)
{
	(void)job, (void)table, (void)key, (void)env_out, (void)peer_out;
	*table_out = &plain;
	return 0;
}

static const struct certauto__step parent_steps[] = {
	{ .name = "children", .ask = ask_children, .undo = undo_children,
		.flags = CERTAUTO__ALWAYS },
	ROW(d, 0)
};
static const struct certauto__table parent = {
	.name = "parent", .steps = parent_steps, .n_steps = 2, .revive = revive_plain
};

static void test_children__held_ones_are_released_at_the_end(void **state)
{
	diary.n_children = 2;
	assert_int_equal(run(*state, &parent), 0);
	assert_string_equal(diary.text, "+a +a +b +b +c +c +d -c -c -b -b -a -a ");
	assert_int_equal(record.len, 0);
}

static void test_children__one_failure_fails_the_parent_after_all_have_ended(void **state)
{
	diary.n_children = 3;
	diary.fail_at = "b";
	diary.fail_times = 1;
	assert_int_equal(run(*state, &parent), CERTAUTO_EREFUSED);
	assert_null(strstr(diary.text, "+d"));
	assert_int_equal(record.len, 0);
}

static void test_children__left_by_a_kill_are_revived_and_released(void **state)
{
	certauto_job *job;

	diary.n_children = 1;
	diary.stop_at = "d";
	job = start(*state, &parent, "one", 0);
	assert_int_equal(certauto_job_wait(job, 20), CERTAUTO_ETIMEDOUT);
	certauto_job_free(job);
	certauto_context_free(*state);
	assert_int_equal(certauto_context_new((certauto_context **)state), 0);
	assert_string_equal(diary.text, "+a +b +c ");
	diary.stop_at = NULL;
	diary.text[0] = '\0';
	job = start(*state, &parent, "two", 0);
	assert_int_equal(certauto_job_wait(job, 1000), 0);
	certauto_job_free(job);
	/* the former run: d, then its held child; then this run from the top */
	assert_string_equal(diary.text, "-c -b -a -d +a +b +c +d -c -b -a ");
	assert_int_equal(record.len, 0);
}

/* ---- programs ---- */

static certauto__verdict ask_program(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	certauto__list_add_text(&x->argv, "cat");
	certauto__buffer_text_add(&x->body, "hello");
	return certauto__ask_proc(x);
}

static certauto__verdict read_program(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	note("=", certauto__exchange_answer(x, NULL));
	return CERTAUTO__NEXT;
}

static certauto__verdict ask_missing(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	certauto__list_add_text(&x->argv, "/nonexistent/program");
	return certauto__ask_proc(x);
}

static certauto__verdict ask_hanging(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	certauto__list_add_text(&x->argv, "cat");
	certauto__list_add_text(&x->argv, "/dev/zero");
	x->timeout_ms = 60000;
	x->max_answer = 1024;
	return certauto__ask_proc(x);
}

/* By name a descriptor can be opened again that is a file or a pipe, and no socket. A shell that
 * has a socket for its input takes itself for one of another machine. */
static certauto__verdict ask_ordinary(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	certauto__list_add_text(&x->argv, "/bin/sh");
	certauto__list_add_text(&x->argv, "-c");
	certauto__list_add_text(&x->argv,
		"readlink /proc/self/fd/0; echo out >/dev/stdout; echo err >/dev/stderr; "
		"cat /dev/stdin");
	x->keep_apart = 1;
	return certauto__ask_proc(x);
}

static certauto__verdict read_ordinary(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	note("=", certauto__buffer_text(&x->answer));
	note("=", certauto__buffer_text(&x->errors));
	return CERTAUTO__NEXT;
}

/* More than it reads. */
static certauto__verdict ask_deaf(certauto_job *job, certauto__exchange *x)
{
	int i;

	(void)job;
	certauto__list_add_text(&x->argv, "/bin/echo");
	certauto__list_add_text(&x->argv, "hello");
	for (i = 0; i < 100000; i++)
		certauto__buffer_text_add(&x->body, "not read ");
	return certauto__ask_proc(x);
}

static const struct certauto__step ordinary_step = {
	.name = "ordinary", .ask = ask_ordinary, .read = read_ordinary
};
static const struct certauto__table ordinary = {
	.name = "ordinary", .steps = &ordinary_step, .n_steps = 1
};
static const struct certauto__step deaf_step = {
	.name = "deaf", .ask = ask_deaf, .read = read_program
};
static const struct certauto__table deaf = { .name = "deaf", .steps = &deaf_step, .n_steps = 1 };
static const struct certauto__step cat_step = {
	.name = "cat", .ask = ask_program, .read = read_program
};
static const struct certauto__table cat = { .name = "cat", .steps = &cat_step, .n_steps = 1 };
static const struct certauto__step missing_step = { .name = "missing", .ask = ask_missing };
static const struct certauto__table missing = {
	.name = "missing", .steps = &missing_step, .n_steps = 1
};
static const struct certauto__step flood_step = { .name = "flood", .ask = ask_hanging };
static const struct certauto__table flood = { .name = "flood", .steps = &flood_step, .n_steps = 1 };

static void test_program__input_and_output(void **state)
{
	assert_int_equal(run(*state, &cat), 0);
	assert_string_equal(diary.text, "=hello ");
}

static void test_program__its_descriptors_are_ordinary_ones(void **state)
{
	assert_int_equal(run(*state, &ordinary), 0);
	assert_string_equal(diary.text, "=/dev/null\nout\n =err\n ");
}

static void test_program__may_leave_its_input_unread(void **state)
{
	assert_int_equal(run(*state, &deaf), 0);
	assert_string_equal(diary.text, "=hello\n ");
}

/* As it is in a daemon: what is opened for the program gets the numbers of those it becomes. */
static void test_program__runs_in_a_host_without_standard_descriptors(void **state)
{
	int saved[3], fd, rc;

	assert_int_equal(run(*state, &cat), 0); /* the loop has its own, and keeps them */
	diary.text[0] = '\0';
	for (fd = 0; fd < 3; fd++) {
		assert_true((saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3)) >= 0);
		close(fd);
	}
	rc = run(*state, &ordinary);
	for (fd = 0; fd < 3; fd++) {
		dup2(saved[fd], fd);
		close(saved[fd]);
	}
	assert_int_equal(rc, 0);
	assert_string_equal(diary.text, "=/dev/null\nout\n =err\n ");
}

static void test_program__missing_is_told(void **state)
{
	assert_int_equal(run(*state, &missing), CERTAUTO_ENOTFOUND);
	assert_non_null(strstr(certauto_error_message(certauto_context_error(*state)),
		"/nonexistent/program"));
}

static void test_program__endless_output_is_ended(void **state)
{
	assert_int_equal(run(*state, &flood), CERTAUTO_EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_runner__steps_in_order_and_no_record_left),
		TEST(test_runner__failure_undoes_in_reverse),
		TEST(test_runner__always_is_undone_after_success),
		TEST(test_runner__commit_leaves_no_way_back_and_owes),
		TEST(test_runner__failed_undo_is_kept_and_told),
		TEST(test_runner__a_killed_run_goes_on_from_its_facts),
		TEST(test_runner__another_identity_is_undone_first),
		TEST(test_runner__cancel_undoes),
		TEST(test_runner__deadline_undoes),
		TEST(test_runner__second_cancel_leaves_at_once),
		TEST(test_children__held_ones_are_released_at_the_end),
		TEST(test_children__one_failure_fails_the_parent_after_all_have_ended),
		TEST(test_children__left_by_a_kill_are_revived_and_released),
		TEST(test_program__input_and_output),
		TEST(test_program__its_descriptors_are_ordinary_ones),
		TEST(test_program__may_leave_its_input_unread),
		TEST(test_program__runs_in_a_host_without_standard_descriptors),
		TEST(test_program__missing_is_told),
		TEST(test_program__endless_output_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
