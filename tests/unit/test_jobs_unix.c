/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges over a unix socket, or HTTP, with the test itself as the other end. */
#include "unit.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "jobs/job.h"

static char folder[64], path[96];
static int listener;

static certauto__verdict ask_hello(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	certauto__ask_unix(x, path);
	certauto__buffer_text_add(&x->body, "hello\n");
	return CERTAUTO__SEND;
}

static certauto__verdict read_hello(certauto_job *job, certauto__exchange *x)
{
	certauto__fact_set(job, ".answer", certauto__exchange_answer(x, NULL));
	return CERTAUTO__NEXT;
}

static certauto__verdict undo_hello(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	certauto__ask_unix(x, path);
	certauto__buffer_text_add(&x->body, "goodbye\n");
	return CERTAUTO__SEND;
}

static const struct certauto__step hello_step = {
	.name = "hello", .ask = ask_hello, .read = read_hello, .undo = undo_hello
};
static const struct certauto__table hello = { .name = "hello", .steps = &hello_step, .n_steps = 1 };

static certauto__verdict send_http(certauto__exchange *x, const char *method)
{
	certauto__ask_http(x, method, path);
	x->http = CERTAUTO__HTTP_PLAIN;
	return CERTAUTO__SEND;
}

static certauto__verdict ask_put(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return send_http(x, "PUT");
}

static certauto__verdict undo_put(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	return send_http(x, "DELETE");
}

static const struct certauto__step put_steps[] = {
	{.name = "put", .ask = ask_put, .undo = undo_put},
	{.name = "look", .ask = ask_put, .flags = CERTAUTO__READS}
};
static const struct certauto__table put = {.name = "put", .steps = put_steps, .n_steps = 1};
static const struct certauto__table look = {.name = "look", .steps = put_steps + 1, .n_steps = 1};

static int setup_http(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	certauto_context *cx;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(listen(listener, 8), 0);
	snprintf(path, sizeof(path), "http://127.0.0.1:%d/thing", ntohs(address.sin_port));
	folder[0] = '\0';
	assert_int_equal(certauto_context_new(&cx), 0);
	*state = cx;
	return 0;
}

static int setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	certauto_context *cx;

	snprintf(folder, sizeof(folder), "/tmp/certauto-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(certauto_context_new(&cx), 0);
	*state = cx;
	return 0;
}

static int teardown(void **state)
{
	certauto_context_free(*state);
	close(listener);
	if (folder[0] != '\0') {
		unlink(path);
		rmdir(folder);
	}
	return 0;
}

static certauto_job *start_table(certauto_context *cx, const struct certauto__table *table)
{
	struct certauto__start s = { .table = table, .name = "test" };
	certauto_job *job;

	assert_int_equal(certauto__job_start(&job, cx, &s, NULL), 0);
	return job;
}

static certauto_job *start(certauto_context *cx)
{
	return start_table(cx, &hello);
}

/* The next connection and what it says, while the context runs. */
static int next_client(certauto_context *cx, char *said, size_t size)
{
	ssize_t n = -1;
	int fd, i;

	for (i = 0; i < 1000 && (fd = accept(listener, NULL, NULL)) < 0; i++)
		assert_true(certauto_context_run(cx, 5) >= 0);
	assert_true(fd >= 0);
	for (i = 0; i < 1000 && (n = recv(fd, said, size - 1, MSG_DONTWAIT)) < 0; i++)
		assert_true(certauto_context_run(cx, 5) >= 0);
	assert_true(n > 0);
	said[n] = '\0';
	return fd;
}

static void test_unix__answer_is_read_to_its_end(void **state)
{
	certauto_job *job = start(*state);
	char said[64];
	int fd = next_client(*state, said, sizeof(said));

	assert_string_equal(said, "hello\n");
	assert_int_equal(write(fd, "well ", 5), 5);
	assert_true(certauto_context_run(*state, 5) >= 0);
	assert_int_equal(certauto_job_result(job), CERTAUTO_AGAIN);
	assert_int_equal(write(fd, "met", 3), 3);
	close(fd);
	assert_int_equal(certauto_job_wait(job, 5000), 0);
	assert_string_equal(certauto__fact_own(job, ".answer"), "well met");
	certauto_job_free(job);
}

/* A server with several threads could serve the undo before the command it is to undo. */
static void test_unix__cancel_lets_a_command_end_before_it_is_undone(void **state)
{
	certauto_job *job = start(*state);
	char said[64];
	int fd = next_client(*state, said, sizeof(said));

	certauto_job_cancel(job);
	assert_true(certauto_context_run(*state, 20) >= 0);
	assert_int_equal(accept(listener, NULL, NULL), -1); /* no undo yet */
	close(fd);
	fd = next_client(*state, said, sizeof(said));
	assert_string_equal(said, "goodbye\n");
	close(fd);
	assert_int_equal(certauto_job_wait(job, 5000), CERTAUTO_ECANCELED);
	certauto_job_free(job);
}

/* An undo that looks for what a request has made finds nothing if it is quicker. */
static void test_http__cancel_lets_a_request_end_before_it_is_undone(void **state)
{
	certauto_job *job = start_table(*state, &put);
	char said[512];
	int fd = next_client(*state, said, sizeof(said));

	certauto_job_cancel(job);
	assert_true(certauto_context_run(*state, 20) >= 0);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(recv(fd, said, sizeof(said), MSG_DONTWAIT), -1); /* it is still open */
	assert_int_equal(write(fd, "HTTP/1.0 200 OK\r\n\r\n", 19), 19);
	close(fd);
	fd = next_client(*state, said, sizeof(said));
	assert_non_null(strstr(said, "DELETE /thing"));
	assert_int_equal(write(fd, "HTTP/1.0 204 No\r\n\r\n", 19), 19);
	close(fd);
	assert_int_equal(certauto_job_wait(job, 5000), CERTAUTO_ECANCELED);
	certauto_job_free(job);
}

static void test_http__cancel_does_not_wait_for_what_is_not_undone(void **state)
{
	certauto_job *job = start_table(*state, &look);
	char said[512];
	int fd = next_client(*state, said, sizeof(said));

	certauto_job_cancel(job);
	assert_int_equal(certauto_job_wait(job, 1000), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	close(fd);
}

/* A peer that says nothing does not hold up the end for long. */
static void test_http__a_request_without_an_answer_is_undone_all_the_same(void **state)
{
	certauto_job *job = start_table(*state, &put);
	char said[512];
	int fd = next_client(*state, said, sizeof(said)), undo;

	certauto_job_cancel(job);
	undo = next_client(*state, said, sizeof(said));
	assert_non_null(strstr(said, "DELETE /thing"));
	assert_int_equal(write(undo, "HTTP/1.0 204 No\r\n\r\n", 19), 19);
	close(undo);
	assert_int_equal(certauto_job_wait(job, 5000), CERTAUTO_ECANCELED);
	certauto_job_free(job);
	close(fd);
}

static void test_unix__a_socket_that_is_not_there_is_told(void **state)
{
	certauto_job *job;
	const certauto_error *error;

	unlink(path);
	job = start(*state);
	assert_int_equal(certauto_job_wait(job, 5000), CERTAUTO_ENOTFOUND);
	error = certauto_job_error(job);
	assert_non_null(strstr(certauto_error_message(error), path));
	assert_non_null(certauto_error_advice(error));
	certauto_job_free(job);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, setup_http, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unix__answer_is_read_to_its_end),
		TEST(test_unix__cancel_lets_a_command_end_before_it_is_undone),
		HTTP_TEST(test_http__cancel_lets_a_request_end_before_it_is_undone),
		HTTP_TEST(test_http__cancel_does_not_wait_for_what_is_not_undone),
		HTTP_TEST(test_http__a_request_without_an_answer_is_undone_all_the_same),
		TEST(test_unix__a_socket_that_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
