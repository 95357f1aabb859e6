/* SPDX-License-Identifier: Apache-2.0 */

/* TLS: who is trusted, where redirects of a directory may lead, and what a probe sees. The servers
 * are those of tls_server.py, with certificates made at run time. */

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "http_loop.h"

#include "core/memory.h"

/* ---- the servers ---- */

struct servers {
	pid_t pid;
	int in, out;            /* our ends of its standard input and output */
	char names[32][32], values[32][512];
	int n;
	char line[600];
	size_t line_len;
};

static struct servers servers;

/* The next line it says, as name and value; fails when there is none within PATIENCE_MS. */
static void server_line(char *name, char *value)
{
	int64_t end = certauto__clock_ms() + PATIENCE_MS;
	struct pollfd fd = { servers.out, POLLIN, 0 };

	servers.line_len = 0;
	do {
		if (poll(&fd, 1,
			    (int)(end - certauto__clock_ms() > 0 ? end - certauto__clock_ms()
								 : 0)) != 1 ||
		    read(servers.out, &servers.line[servers.line_len], 1) != 1)
			fail_msg("the server says nothing more");
	} while (servers.line[servers.line_len] != '\n' &&
		 ++servers.line_len < sizeof(servers.line) - 1);
	servers.line[servers.line_len] = '\0';
	assert_int_equal(sscanf(servers.line, "%31s %511s", name, value), 2);
}

static const char *told(const char *name)
{
	int i;

	for (i = 0; i < servers.n; i++)
		if (strcmp(servers.names[i], name) == 0)
			return servers.values[i];
	fail_msg("the server has not told %s", name);
	return NULL;
}

/* The script stands beside this file, wherever the program was built. */
static void server_exec(void)
{
	char script[1024];
	const char *slash = strrchr(__FILE__, '/');
	const char *python = getenv("PYTHON");

	if (python == NULL)
		python = "/usr/bin/python3";
	snprintf(script, sizeof(script), "%.*stls_server.py",
		slash != NULL ? (int)(slash - __FILE__ + 1) : 0, __FILE__);
	execl(python, python, script, (char *)NULL);
	_exit(127);
}

static int servers_start(void **state)
{
	int in[2], out[2];

	(void)state;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || (servers.pid = fork()) < 0)
		return -1;
	if (servers.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		server_exec();
	}
	close(in[0]);
	close(out[1]);
	servers.in = in[1];
	servers.out = out[0];
	do {
		if (servers.n == 32)
			return -1;
		server_line(servers.names[servers.n], servers.values[servers.n]);
	} while (strcmp(servers.names[servers.n++], "ready") != 0);
	return 0;
}

static int servers_stop(void **state)
{
	int status;

	(void)state;
	close(servers.in);
	close(servers.out);
	return waitpid(servers.pid, &status, 0) == servers.pid && status == 0 ? 0 : -1;
}

static int set_up(void **state)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	loop_open(loop);
	*state = loop;
	return 0;
}

static int tear_down(void **state)
{
	loop_close(*state);
	free(*state);
	return 0;
}

/* A request to https://HOST:PORT/PATH, really sent to loopback. Good until the next call. */
static struct certauto__http_request to(const char *server, const char *host, const char *path)
{
	static char url[256], address[64];
	struct certauto__http_request request = { .kind = CERTAUTO__HTTP_API,
		.method = "GET",
		.url = url,
		.connect_to = address,
		.ca_file = told("ca") };

	snprintf(url, sizeof(url), "https://%s:%s%s", host, told(server), path);
	snprintf(address, sizeof(address), "127.0.0.1:%s", told(server));
	return request;
}

static certauto__transfer *run(struct loop *loop, struct certauto__http_request request)
{
	return loop_run(loop, &request);
}

/* ---- trust ---- */

static void test_http_tls__a_trusted_peer_answers(void **state)
{
	succeeds(run(*state, to("single", "localhost", "/ok")), 200, "hello");
	succeeds(run(*state, to("single", "shop.example", "/ok")), 200, "hello");
	succeeds(run(*state, to("tls13", "localhost", "/ok")), 200, "hello");
}

static void test_http_tls__an_untrusted_peer_gets_nothing(void **state)
{
	static const char *const headers[] = { "Authorization: CANARY-1", NULL };
	struct certauto__http_request request = to("guarded", "localhost", "/ok");

	request.headers = headers;
	request.ca_file = NULL;
	fails_with(run(*state, request), CERTAUTO_ETLS, "set ca_file");
	request.ca_file = told("other-ca");
	fails_with(run(*state, request), CERTAUTO_ETLS, "not trusted");
	request = to("guarded", "wrong.example", "/ok");
	request.headers = headers;
	fails_with(run(*state, request), CERTAUTO_ETLS, "name");
	succeeds(run(*state, to("guarded", "localhost", "/count")), 200, "1");
	fails_with(run(*state, to("lone", "localhost", "/ok")), CERTAUTO_ETLS, "self-signed");
}

static void test_http_tls__a_ca_file_that_is_none(void **state)
{
	struct certauto__http_request request = to("single", "localhost", "/ok");

	request.ca_file = "/nonexistent/ca.pem";
	fails_with(run(*state, request), CERTAUTO_ECONFIG, "/nonexistent/ca.pem");
	request.ca_file = told("ecdsa.der"); /* not PEM */
	fails_with(run(*state, request), CERTAUTO_ECONFIG, "ca_file");
}

static void test_http_tls__a_pin_is_checked(void **state)
{
	struct certauto__http_request request = to("single", "localhost", "/ok");

	request.pin = told("ecdsa.pin");
	succeeds(run(*state, request), 200, "hello");
	/* The warm connection of the request before must not help. */
	request.pin = told("rsa.pin");
	fails_with(run(*state, request), CERTAUTO_ETLS, "not the pinned one");
	request.insecure = 1;
	fails_with(run(*state, request), CERTAUTO_ETLS, "not the pinned one");
	request.pin = told("ecdsa.pin");
	succeeds(run(*state, request), 200, "hello");
}

static void test_http_tls__insecure_is_for_one_request_only(void **state)
{
	struct certauto__http_request request = to("single", "wrong.example", "/ok");

	request.ca_file = NULL;
	request.insecure = 1;
	succeeds(run(*state, request), 200, "hello");
	request.insecure = 0;
	fails_with(run(*state, request), CERTAUTO_ETLS, "not trusted");
	request.insecure = 1;
	succeeds(run(*state, request), 200, "hello");
}

static void test_http_tls__a_peer_without_tls(void **state)
{
	fails_with(run(*state, to("plain", "localhost", "/ok")), CERTAUTO_ETLS, "handshake failed");
	fails_with(run(*state, to("cut", "localhost", "/ok")), CERTAUTO_ENET,
		"lost in the TLS handshake");
	fails_with(run(*state, to("reset", "localhost", "/ok")), CERTAUTO_ENET, "lost in the TLS");
}

/* ---- the directory ---- */

static void test_http_tls__a_directory_redirects_once_to_itself(void **state)
{
	struct certauto__http_request request = to("single", "localhost", "/dir");
	certauto__transfer *t;

	t = run(*state, request);
	succeeds(t, 302, ""); /* as any other answer, unless it is a directory */
	request.kind = CERTAUTO__HTTP_DIRECTORY;
	succeeds(run(*state, request), 200, "hello");
	request = to("single", "localhost", "/twice");
	request.kind = CERTAUTO__HTTP_DIRECTORY;
	fails_with(run(*state, request), CERTAUTO_EPROTO, "more than 1 redirect");
	request = to("single", "localhost", "/away");
	request.kind = CERTAUTO__HTTP_DIRECTORY;
	fails_with(run(*state, request), CERTAUTO_EPROTO, "shop.example");
	request = to("single", "localhost", "/down");
	request.kind = CERTAUTO__HTTP_DIRECTORY;
	fails_with(run(*state, request), CERTAUTO_EPROTO, "not https");
}

/* ---- probes ---- */

static struct certauto__http_request probe(const char *server, const char *name, const char *key)
{
	struct certauto__http_request request = to(server, name, "/");

	request.kind = CERTAUTO__HTTP_PROBE;
	request.method = NULL;
	request.ca_file = NULL;
	request.probe_key = key;
	return request;
}

static void shows(certauto__transfer *t, const char *der_name)
{
	unsigned char der[4096];
	certauto_error err = { 0 };
	const unsigned char *leaf;
	size_t len, der_len;
	FILE *file = fopen(told(der_name), "rb");

	assert_non_null(file);
	der_len = fread(der, 1, sizeof(der), file);
	fclose(file);
	if (certauto__transfer_result(t, &err) != 0)
		fail_msg("%s", err.message);
	leaf = certauto__transfer_leaf(t, &len);
	assert_int_equal(len, der_len);
	assert_memory_equal(leaf, der, len);
	certauto__transfer_free(t);
}

static void test_http_tls__a_probe_sees_the_kind_it_asks_for(void **state)
{
	shows(run(*state, probe("both", "shop.example", "rsa")), "rsa.der");
	shows(run(*state, probe("both", "shop.example", "ecdsa")), "ecdsa.der");
	shows(run(*state, probe("both", "shop.example", "rsa")), "rsa.der");
	shows(run(*state, probe("both", "shop.example", NULL)), "ecdsa.der");
	shows(run(*state, probe("single", "untrusted.example", "ecdsa")), "ecdsa.der");
	fails_with(run(*state, probe("single", "shop.example", "rsa")), CERTAUTO_ETLS,
		"handshake failed");
	fails_with(run(*state, probe("plain", "shop.example", NULL)), CERTAUTO_ETLS,
		"handshake failed");
	assert_int_equal(certauto__http_connections(((struct loop *)*state)->http), 7);
}

static void test_http_tls__a_listener_with_tls13_only(void **state)
{
	shows(run(*state, probe("tls13", "shop.example", NULL)), "ecdsa.der");
	if (certauto__http_probe_tls13()) {
		shows(run(*state, probe("tls13", "shop.example", "rsa")), "rsa.der");
		shows(run(*state, probe("tls13", "shop.example", "ecdsa")), "ecdsa.der");
	} else {
		fails_with(run(*state, probe("tls13", "shop.example", "rsa")), CERTAUTO_ETLS,
			"handshake failed");
	}
}

/* Waits until the server has seen a connection to that port end without a request. */
static void server_says_silent(const char *port)
{
	char name[32], value[512];

	do
		server_line(name, value);
	while (strcmp(name, "silent") != 0 || strcmp(value, port) != 0);
}

/* Closed when it has finished, not when the engine goes: a device may count connections. */
static void test_http_tls__a_probe_says_nothing_and_closes(void **state)
{
	certauto__transfer *t = run(*state, probe("closed", "shop.example", NULL));

	server_says_silent("closed");
	shows(t, "ecdsa.der");
}

static void test_http_tls__a_probe_leaves_other_connections_alone(void **state)
{
	struct certauto__http_request request;
	certauto__transfer *t[6];
	int i;

	succeeds(run(*state, to("shared", "localhost", "/ok")), 200, "hello");
	for (i = 0; i < 6; i++) {
		if (i % 2 == 0)
			request = probe("shared", "localhost", "ecdsa");
		else
			request = to("shared", "localhost", "/ok");
		t[i] = loop_start(*state, &request, NULL);
	}
	for (i = 0; i < 6; i++)
		loop_next(*state);
	for (i = 0; i < 6; i += 2) {
		shows(t[i], "ecdsa.der");
		succeeds(t[i + 1], 200, "hello");
		server_says_silent("shared");
	}
	succeeds(run(*state, to("shared", "localhost", "/count")), 200, "5");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_http_tls__##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_trusted_peer_answers),
		TEST(an_untrusted_peer_gets_nothing),
		TEST(a_ca_file_that_is_none),
		TEST(a_pin_is_checked),
		TEST(insecure_is_for_one_request_only),
		TEST(a_peer_without_tls),
		TEST(a_directory_redirects_once_to_itself),
		TEST(a_probe_sees_the_kind_it_asks_for),
		TEST(a_listener_with_tls13_only),
		TEST(a_probe_says_nothing_and_closes),
		TEST(a_probe_leaves_other_connections_alone),
	};

	return cmocka_run_group_tests(tests, servers_start, servers_stop);
}
