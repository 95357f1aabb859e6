/* SPDX-License-Identifier: Apache-2.0 */

/* Requests against a small server on loopback that does what its path says, well or badly. */

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "http_loop.h"

#include "core/memory.h"

/* ---- the server ---- */

#define CONNECTIONS_MAX 64

struct server {
	int fd, port;
	pthread_t thread;
	pthread_t threads[CONNECTIONS_MAX];
	int n_connections;
	int stop[2];      /* a pipe: closing it ends every connection */
	int n_ended;      /* connections the client has closed; atomic */
	int n_requests;   /* atomic */
};

struct connection {
	struct server *server;
	int fd;
	char *request;      /* head and body */
	size_t request_len, head_len;
};

static void say(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (; len > 0; text += n, len -= (size_t)n)
		if ((n = send(fd, text, len, MSG_NOSIGNAL)) <= 0)
			return;
}

static void say_text(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say_text(int fd, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say(fd, text, strlen(text));
}

/* Bytes to read, or the end: 1, 0. */
static int readable(const struct connection *c)
{
	struct pollfd fds[2] = { { c->fd, POLLIN, 0 }, { c->server->stop[0], POLLIN, 0 } };

	return poll(fds, 2, -1) > 0 && fds[1].revents == 0;
}

static int receive(struct connection *c, size_t more)
{
	ssize_t n;

	c->request = realloc(c->request, c->request_len + more + 1);
	if (c->request == NULL || !readable(c) ||
	    (n = recv(c->fd, c->request + c->request_len, more, 0)) <= 0)
		return -1;
	c->request_len += (size_t)n;
	c->request[c->request_len] = '\0';
	return 0;
}

static int read_request(struct connection *c)
{
	const char *end, *length;
	size_t body_len = 0;

	c->request_len = 0;
	do {
		if (receive(c, 4096) < 0)
			return -1;
	} while ((end = strstr(c->request, "\r\n\r\n")) == NULL);
	c->head_len = (size_t)(end - c->request) + 4;
	if ((length = strstr(c->request, "Content-Length: ")) != NULL)
		body_len = strtoul(length + 16, NULL, 10);
	while (c->request_len < c->head_len + body_len)
		if (receive(c, 65536) < 0)
			return -1;
	__atomic_add_fetch(&c->server->n_requests, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void wait_for_end(struct connection *c)
{
	while (receive(c, 4096) == 0)
		;
}

static void endless(const struct connection *c, const char *head, const char *piece)
{
	ssize_t n;

	say(c->fd, head, strlen(head));
	do
		n = send(c->fd, piece, strlen(piece), MSG_NOSIGNAL);
	while (n > 0);
}

#define OK "HTTP/1.1 200 OK\r\n"
#define LATER "HTTP/1.1 503 No\r\n"
#define EMPTY "Content-Length: 0\r\n\r\n"
#define FILLER "0123456789012345678901234567890123456789012345678901234567890123"

struct reply {
	const char *path, *text;
	size_t len;
};

#define REPLY(path, text) { path, text, sizeof(text) - 1 }

/* Said as it stands; the connection is kept unless the text ends it. */
static const struct reply replies[] = {
	REPLY("/ok", OK "Content-Type: Application/JSON ; charset=utf-8\r\n"
		"X-One:  a \t\r\nx-one: b\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nhello"),
	REPLY("/head", OK "Replay-Nonce: abc\r\nContent-Length: 500\r\n\r\n"),
	REPLY("/interim", "HTTP/1.1 103 Early Hints\r\nLink: <x>; rel=up\r\n\r\n"
		OK "X-One: last\r\nContent-Length: 2\r\n\r\nok"),
	REPLY("/trailers", OK "Transfer-Encoding: chunked\r\n\r\n"
		"2\r\nok\r\n0\r\nReplay-Nonce: late\r\n\r\n"),
	REPLY("/nul", OK "X-One: a\0b\r\nContent-Length: 2\r\n\r\nok"),
	REPLY("/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope"),
	REPLY("/302", "HTTP/1.1 302 Found\r\nLocation: /ok\r\n" EMPTY),
	REPLY("/links", OK "Link: <../dir>;rel=\"index\", <a2>; rel=alternate\r\n"
		"link: <//x.example/3>; rel=\"alternate\"\r\n" EMPTY),
	REPLY("/badlink", OK "Link: nonsense\r\n" EMPTY),
	REPLY("/later-number", LATER "Retry-After: 120\r\n" EMPTY),
	REPLY("/later-huge", LATER "Retry-After: 99999999999999999999999\r\n" EMPTY),
	REPLY("/later-odd", LATER "Retry-After: -5\r\n" EMPTY),
	REPLY("/later-empty", LATER "Retry-After: \r\n" EMPTY),
	REPLY("/later-date", LATER "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		"Retry-After: Sun, 06 Nov 1994 08:51:07 GMT\r\n" EMPTY),
	REPLY("/later-past", LATER "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		"Retry-After: Sun, 06 Nov 1994 08:49:36 GMT\r\n" EMPTY),
	REPLY("/later-undated", LATER "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n" EMPTY),
	REPLY("/declared", OK "Content-Length: 1001\r\n\r\n"),
	REPLY("/folded", OK "Content-Length: 2\r\nX-One: a\r\n b\r\n\r\nok"),
};

/* These end the connection: 1. */
static int misbehave(struct connection *c, const char *path)
{
	if (strcmp(path, "/silent") == 0)
		wait_for_end(c);
	else if (strcmp(path, "/cut") == 0)
		say_text(c->fd, OK "Content-Length: 100\r\n\r\nhalf");
	else if (strcmp(path, "/garbage") == 0)
		say_text(c->fd, "SSH-2.0-OpenSSH_9.2\r\n");
	else if (strcmp(path, "/endless") == 0)
		endless(c, OK "\r\n", FILLER);
	else if (strcmp(path, "/endless-headers") == 0)
		endless(c, OK, "X-Filler: " FILLER "\r\n");
	else if (strcmp(path, "/endless-interim") == 0)
		endless(c, "", "HTTP/1.1 103 Early Hints\r\nX-Filler: " FILLER "\r\n\r\n");
	else if (strcmp(path, "/endless-redirect") == 0)
		endless(c, "HTTP/1.1 302 Found\r\nLocation: /ok\r\n\r\n", FILLER);
	else if (strcmp(path, "/close") != 0)
		return 0;
	return 1;
}

static void redirect(struct connection *c, const char *to)
{
	say_text(c->fd, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 6\r\n\r\nunread",
		to);
}

static const struct reply *reply_find(const char *path)
{
	size_t i;

	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
		if (strcmp(path, replies[i].path) == 0)
			return &replies[i];
	return NULL;
}

/* -1: the connection is to be closed. */
static int serve_request(struct connection *c, const char *path)
{
	const struct reply *reply = reply_find(path);
	char text[CERTAUTO__HTTP_HEADER_MAX + 2], to[128];

	if (reply != NULL) {
		say(c->fd, reply->text, reply->len);
		return 0;
	}
	if (strcmp(path, "/echo") == 0) {
		say_text(c->fd, OK "Content-Length: %zu\r\n\r\n", c->request_len);
		say(c->fd, c->request, c->request_len);
	} else if (strcmp(path, "/long-header") == 0) {
		memset(text, 'x', CERTAUTO__HTTP_HEADER_MAX + 1);
		say_text(c->fd, OK "X-Long: ");
		say(c->fd, text, CERTAUTO__HTTP_HEADER_MAX + 1);
		say_text(c->fd, "\r\nX-One: ok\r\nContent-Length: 2\r\n\r\nok");
	} else if (sscanf(path, "/loop/%127s", to) == 1) {
		snprintf(text, sizeof(text), "/loop/%d", atoi(to) + 1);
		redirect(c, text);
	} else if (sscanf(path, "/to-port/%127s", to) == 1) {
		snprintf(text, sizeof(text), "http://127.0.0.1:%s/ok", to);
		redirect(c, text);
	} else if (strcmp(path, "/hop") == 0) {
		redirect(c, "/ok");
	} else if (strcmp(path, "/to-file") == 0) {
		redirect(c, "file:///etc/passwd");
	} else if (!misbehave(c, path)) {
		say_text(c->fd, "HTTP/1.1 404 Not Found\r\n" EMPTY);
	} else {
		return -1;
	}
	return 0;
}

static void *serve_connection(void *arg)
{
	struct connection *c = arg;
	char path[1024];
	int ended = 1;

	while (read_request(c) == 0) {
		if (sscanf(c->request, "%*s %1023[^ ?]", path) != 1 || serve_request(c, path) < 0) {
			ended = strstr(c->request, "/silent") != NULL;
			break;
		}
	}
	__atomic_add_fetch(&c->server->n_ended, ended, __ATOMIC_SEQ_CST);
	close(c->fd);
	free(c->request);
	free(c);
	return NULL;
}

static void *serve(void *arg)
{
	struct server *server = arg;
	int fd;

	while (server->n_connections < CONNECTIONS_MAX &&
	    (fd = accept(server->fd, NULL, NULL)) >= 0) {
		struct connection *c = calloc(1, sizeof(*c));

		c->server = server;
		c->fd = fd;
		pthread_create(&server->threads[server->n_connections++], NULL, serve_connection,
			c);
	}
	return NULL;
}

static void server_open(struct server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	memset(server, 0, sizeof(*server));
	assert_true((server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server->fd, CONNECTIONS_MAX), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &len), 0);
	server->port = ntohs(address.sin_port);
	assert_int_equal(pipe(server->stop), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_close(struct server *server)
{
	int i;

	shutdown(server->fd, SHUT_RDWR);
	close(server->stop[1]);
	pthread_join(server->thread, NULL);
	for (i = 0; i < server->n_connections; i++)
		pthread_join(server->threads[i], NULL);
	close(server->stop[0]);
	close(server->fd);
}

/* ---- what every test has ---- */

struct bed {
	struct loop loop;
	struct server server, other;
};

static int set_up(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	loop_open(&bed->loop);
	server_open(&bed->server);
	server_open(&bed->other);
	*state = bed;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *bed = *state;

	loop_close(&bed->loop);
	server_close(&bed->server);
	server_close(&bed->other);
	free(bed);
	return 0;
}

/* A request for a path of the server; the URL lives until the next but seven. */
static struct certauto__http_request to(const struct server *server, const char *path)
{
	static char urls[8][128];
	static size_t n;
	char *url = urls[n++ % 8];
	struct certauto__http_request request = {
		.kind = CERTAUTO__HTTP_PLAIN, .method = "GET", .url = url
	};

	snprintf(url, sizeof(urls[0]), "http://127.0.0.1:%d%s", server->port, path);
	return request;
}

static certauto__transfer *get(struct bed *bed, const char *path)
{
	struct certauto__http_request request = to(&bed->server, path);

	return loop_run(&bed->loop, &request);
}

static certauto__transfer *selfcheck(struct bed *bed, const char *path)
{
	struct certauto__http_request request = to(&bed->server, path);

	request.kind = CERTAUTO__HTTP_SELFCHECK;
	return loop_run(&bed->loop, &request);
}

static void wait_for(int *counter, int wanted)
{
	int64_t end = certauto__clock_ms() + PATIENCE_MS;

	while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < wanted) {
		if (certauto__clock_ms() > end)
			fail_msg("waited in vain for %d", wanted);
		poll(NULL, 0, 1);
	}
}

/* ---- questions and answers ---- */

static void test_http_transfer__answer_is_told(void **state)
{
	struct bed *bed = *state;
	certauto__transfer *t = get(bed, "/ok");

	assert_string_equal(certauto__transfer_header(t, "X-ONE", 0), "a");
	assert_string_equal(certauto__transfer_header(t, "X-One", 1), "b");
	assert_null(certauto__transfer_header(t, "X-One", 2));
	assert_string_equal(certauto__transfer_header(t, "X-Empty", 0), "");
	assert_null(certauto__transfer_header(t, "X-On", 0));
	assert_null(certauto__transfer_header(t, "a", 0));
	assert_true(certauto__transfer_is_type(t, "application/json"));
	assert_false(certauto__transfer_is_type(t, "application/jso"));
	assert_false(certauto__transfer_is_type(t, "application/problem+json"));
	assert_int_equal(certauto__transfer_retry_after(t), -1);
	succeeds(t, 200, "hello");
	succeeds(get(bed, "/404"), 404, "nope");
	succeeds(get(bed, "/302"), 302, "");
	assert_int_equal(certauto__http_connections(bed->loop.http), 1);
}

static void test_http_transfer__request_goes_out_as_asked(void **state)
{
	static const char *const headers[] = { "X-Token: CANARY-7", "Accept: text/plain", NULL };
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/echo?a=/../b");
	certauto__transfer *t;
	const char *text;

	request.method = "POST";
	request.headers = headers;
	request.body = "one\0two";
	request.body_len = 7;
	t = loop_run(&bed->loop, &request);
	text = certauto__buffer_text(certauto__transfer_body(t));
	assert_true(certauto__text_starts(text, "POST /echo?a=/../b HTTP/1.1\r\n"));
	assert_non_null(strstr(text, "\r\nX-Token: CANARY-7\r\n"));
	assert_non_null(strstr(text, "\r\nAccept: text/plain\r\n"));
	assert_non_null(strstr(text, "\r\nUser-Agent: certauto/" CERTAUTO_VERSION " libcurl/"));
	assert_non_null(strstr(text, "\r\nContent-Length: 7\r\n"));
	assert_null(strstr(text, "Expect"));
	assert_null(strstr(text, "Content-Type"));
	assert_null(strstr(text, "Accept-Encoding"));
	assert_null(strstr(text, "Cookie"));
	assert_memory_equal(strstr(text, "\r\n\r\n") + 4, "one\0two", 7);
	succeeds(t, 200, NULL);
	/* Nothing of it is left for the next request on the same handle. */
	t = get(bed, "/echo");
	text = certauto__buffer_text(certauto__transfer_body(t));
	assert_true(certauto__text_starts(text, "GET /echo HTTP/1.1\r\n"));
	assert_null(strstr(text, "CANARY-7"));
	assert_null(strstr(text, "Content-Length"));
	succeeds(t, 200, NULL);
}

static void echoes(struct bed *bed, const char *method, const char *body, const char *first,
	const char *length)
{
	static const char *const headers[] = { "content-type: a/b", NULL };
	struct certauto__http_request request = to(&bed->server, "/echo");
	certauto__transfer *t;
	const char *text;

	request.method = method;
	request.body = body;
	request.body_len = body != NULL ? strlen(body) : 0;
	request.headers = headers;
	request.user_agent = "me/1";
	t = loop_run(&bed->loop, &request);
	text = certauto__buffer_text(certauto__transfer_body(t));
	assert_true(certauto__text_starts(text, first));
	assert_non_null(strstr(text, "\r\ncontent-type: a/b\r\n"));
	assert_non_null(strstr(text, "\r\nUser-Agent: me/1\r\n"));
	if (length != NULL)
		assert_non_null(strstr(text, length));
	else
		assert_null(strstr(text, "Content-Length"));
	assert_string_equal(strstr(text, "\r\n\r\n") + 4, body != NULL ? body : "");
	succeeds(t, 200, NULL);
}

static void test_http_transfer__methods(void **state)
{
	struct bed *bed = *state;

	echoes(bed, "DELETE", NULL, "DELETE /echo ", NULL);
	echoes(bed, "DELETE", "x", "DELETE /echo ", "\r\nContent-Length: 1\r\n");
	echoes(bed, "PUT", "abc", "PUT /echo ", "\r\nContent-Length: 3\r\n");
	echoes(bed, "PUT", NULL, "PUT /echo ", "\r\nContent-Length: 0\r\n");
	echoes(bed, "POST", NULL, "POST /echo ", "\r\nContent-Length: 0\r\n");
	echoes(bed, "PATCH", "{}", "PATCH /echo ", "\r\nContent-Length: 2\r\n");
	echoes(bed, "GET", NULL, "GET /echo ", NULL);
	echoes(bed, "GET", "q", "GET /echo ", "\r\nContent-Length: 1\r\n");
}

static void test_http_transfer__large_body_is_sent_at_once(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/echo");
	size_t len = 3 * 1024 * 1024;
	char *body = certauto__alloc(len);
	certauto__transfer *t;

	memset(body, 'x', len);
	request.method = "POST";
	request.body = body;
	request.body_len = len;
	request.max_body = len + 1024;
	t = loop_run(&bed->loop, &request);
	assert_null(strstr(certauto__buffer_text(certauto__transfer_body(t)), "100-continue"));
	assert_true(certauto__transfer_body(t)->len > len);
	succeeds(t, 200, NULL);
	certauto__free(body);
}

static void test_http_transfer__head_waits_for_no_body(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/head");
	certauto__transfer *t;

	request.method = "HEAD";
	request.max_body = 10;
	t = loop_run(&bed->loop, &request);
	assert_string_equal(certauto__transfer_header(t, "replay-nonce", 0), "abc");
	succeeds(t, 200, "");
	succeeds(get(bed, "/ok"), 200, "hello");
}

static void test_http_transfer__only_the_last_answers_headers_count(void **state)
{
	certauto__transfer *t = get(*state, "/interim");

	assert_null(certauto__transfer_header(t, "Link", 0));
	assert_string_equal(certauto__transfer_header(t, "X-One", 0), "last");
	succeeds(t, 200, "ok");
	t = get(*state, "/trailers");
	assert_null(certauto__transfer_header(t, "Replay-Nonce", 0));
	succeeds(t, 200, "ok");
}

static void retry_after_is(struct bed *bed, const char *path, int64_t least, int64_t most)
{
	certauto__transfer *t = get(bed, path);

	assert_in_range(certauto__transfer_retry_after(t) + 1, least + 1, most + 1);
	succeeds(t, 503, "");
}

static void test_http_transfer__retry_after(void **state)
{
	retry_after_is(*state, "/later-number", 120, 120);
	retry_after_is(*state, "/later-huge", 365 * 86400, INT64_MAX - 1);
	retry_after_is(*state, "/later-odd", -1, -1);
	retry_after_is(*state, "/later-empty", -1, -1);
	retry_after_is(*state, "/later-date", 90, 90);
	retry_after_is(*state, "/later-past", 0, 0);
	retry_after_is(*state, "/later-undated", 0, 0);
}

static void test_http_transfer__links_are_resolved(void **state)
{
	struct bed *bed = *state;
	certauto__transfer *t = get(bed, "/links");
	certauto__buffer out = CERTAUTO__BUFFER(256);
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "http://127.0.0.1:%d/a2", bed->server.port);
	assert_int_equal(certauto__transfer_link(t, "alternate", 0, &out), 0);
	assert_string_equal(out.data, wanted);
	certauto__buffer_clear(&out);
	assert_int_equal(certauto__transfer_link(t, "alternate", 1, &out), 0);
	assert_string_equal(out.data, "http://x.example/3");
	certauto__buffer_clear(&out);
	assert_int_equal(certauto__transfer_link(t, "alternate", 2, &out), CERTAUTO_ENOTFOUND);
	assert_int_equal(certauto__transfer_link(t, "up", 0, &out), CERTAUTO_ENOTFOUND);
	certauto__transfer_free(t);
	t = get(bed, "/badlink");
	assert_int_equal(certauto__transfer_link(t, "up", 0, &out), CERTAUTO_EPROTO);
	certauto__transfer_free(t);
	certauto__buffer_free(&out);
}

/* ---- limits ---- */

static void test_http_transfer__body_is_limited(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/declared");

	request.max_body = 1000;
	fails_with(loop_run(&bed->loop, &request), CERTAUTO_EPROTO, "longer than 1000 bytes");
	request = to(&bed->server, "/endless");
	request.max_body = 1000;
	fails_with(loop_run(&bed->loop, &request), CERTAUTO_EPROTO, "longer than 1000 bytes");
	fails_with(get(bed, "/endless"), CERTAUTO_EPROTO, "longer than 262144 bytes");
	request = to(&bed->server, "/ok");
	request.max_body = 5;
	succeeds(loop_run(&bed->loop, &request), 200, "hello");
	request.max_body = 4;
	fails_with(loop_run(&bed->loop, &request), CERTAUTO_EPROTO, "longer than 4 bytes");
}

static void test_http_transfer__headers_are_limited(void **state)
{
	struct bed *bed = *state;
	certauto__transfer *t;

	fails_with(get(bed, "/endless-headers"), CERTAUTO_EPROTO, "headers");
	fails_with(get(bed, "/endless-interim"), CERTAUTO_EPROTO, "headers");
	t = get(bed, "/long-header");
	assert_null(certauto__transfer_header(t, "X-Long", 0));
	assert_string_equal(certauto__transfer_header(t, "X-One", 0), "ok");
	succeeds(t, 200, "ok");
}

static void test_http_transfer__odd_headers_are_refused(void **state)
{
	certauto__transfer *t = get(*state, "/folded");

	/* A newer libcurl unfolds the line itself. */
	if (certauto__transfer_result(t, NULL) == 0) {
		assert_string_equal(certauto__transfer_header(t, "X-One", 0), "a b");
		succeeds(t, 200, "ok");
	} else {
		fails_with(t, CERTAUTO_EPROTO, "not one");
	}
	t = get(*state, "/nul");
	assert_int_equal(certauto__transfer_result(t, NULL), CERTAUTO_EPROTO);
	certauto__transfer_free(t);
}

/* ---- failures ---- */

static void test_http_transfer__failures_have_words(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/ok");
	certauto_error err = { 0 };
	certauto__transfer *t;
	char nobody[32];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	fails_with(get(bed, "/close"), CERTAUTO_ENET, "closed the connection before answering");
	fails_with(get(bed, "/cut"), CERTAUTO_ENET, "in the middle of the answer");
	fails_with(get(bed, "/garbage"), CERTAUTO_EPROTO, "does not speak HTTP");
	/* Bound and not listening: nobody else can get that port meanwhile. */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(nobody, sizeof(nobody), "127.0.0.1:%d", ntohs(address.sin_port));
	request.connect_to = nobody;
	request.url = "http://ca.example/path?token=CANARY-8";
	t = loop_run(&bed->loop, &request);
	assert_int_equal(certauto__transfer_result(t, &err), CERTAUTO_ENET);
	assert_non_null(strstr(err.message, "http://ca.example/path at 127.0.0.1:"));
	assert_null(strstr(err.message, "CANARY-8"));
	assert_null(strstr(err.object, "CANARY-8"));
	certauto__error_clear(&err);
	fails_with(t, CERTAUTO_ENET, "refused");
	close(fd);
	/* A label of 70 bytes: the resolver refuses it without asking anybody. */
	request.connect_to =
		"a123456789a123456789a123456789a123456789a123456789a123456789a123456789:80";
	fails_with(loop_run(&bed->loop, &request), CERTAUTO_ENET,
		"could not resolve host \"a123456789");
}

static void test_http_transfer__silence_ends_at_the_deadline(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/silent");
	int64_t begin = certauto__clock_ms();

	request.timeout_ms = 200;
	fails_with(loop_run(&bed->loop, &request), CERTAUTO_ETIMEDOUT, "no answer in time");
	assert_in_range(certauto__clock_ms() - begin, 200, 2000);
}

/* All connections are taken by patient requests: those in the queue keep their own deadlines. */
static void test_http_transfer__waiting_for_a_connection_ends_at_the_deadline(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/silent");
	certauto__transfer *patient[4];
	int64_t begin = certauto__clock_ms();
	int i;

	for (i = 0; i < 4; i++)
		patient[i] = loop_start(&bed->loop, &request, NULL);
	request.timeout_ms = 200;
	for (i = 0; i < 20; i++)
		loop_start(&bed->loop, &request, NULL);
	for (i = 0; i < 20; i++)
		fails_with(loop_next(&bed->loop), CERTAUTO_ETIMEDOUT, "in time");
	assert_in_range(certauto__clock_ms() - begin, 200, 800);
	for (i = 0; i < 4; i++)
		certauto__transfer_free(patient[i]);
}

static void test_http_transfer__bad_requests_are_refused(void **state)
{
	static const char *const split[] = { "X: a\r\nY: b", NULL }, *const nameless[] = { ": a",
		NULL };
	static const char *const no_colon[] = { "X", NULL }, *const fine[] = { "X: a", NULL };
	struct bed *bed = *state;
	struct certauto__http_request good = to(&bed->server, "/ok"), bad[20];
	certauto_error err = { 0 };
	certauto__transfer *t = NULL;
	size_t i, n = 0;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad[i] = good;
	bad[n++].kind = CERTAUTO__HTTP_API; /* http: */
	bad[n++].kind = CERTAUTO__HTTP_DIRECTORY;
	bad[n++].kind = CERTAUTO__HTTP_PROBE;
	bad[n++].headers = split;
	bad[n++].headers = nameless;
	bad[n++].headers = no_colon;
	bad[n++].method = "GET /x";
	bad[n++].method = "";
	bad[n++].method = NULL;
	bad[n++].pin = "/etc/passwd";
	bad[n++].probe_key = "dsa";
	bad[n++].connect_to = "127.0.0.1";
	bad[n++].connect_to = "127.0.0.1:0";
	bad[n++].connect_to = "::1:80";
	bad[n++].connect_to = ":80";
	bad[n++].url = "file:///etc/passwd";
	bad[n++].url = "http://me:pw@127.0.0.1/";
	bad[n].kind = CERTAUTO__HTTP_SELFCHECK;
	bad[n++].headers = fine;
	bad[n].kind = CERTAUTO__HTTP_SELFCHECK;
	bad[n++].method = "POST";
	for (i = 0; i < n; i++) {
		if (certauto__http_start(&t, bed->loop.http, &bad[i], NULL, &err) !=
		    CERTAUTO_EINVAL)
			fail_msg("request %zu was accepted", i);
		assert_non_null(err.message);
		certauto__error_clear(&err);
		assert_null(t);
	}
}

static void test_http_transfer__a_freed_one_stops(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request silent = to(&bed->server, "/silent"),
				      ok = to(&bed->server, "/ok");
	certauto__transfer *t = loop_start(&bed->loop, &silent, NULL);
	int64_t end = certauto__clock_ms() + PATIENCE_MS;

	while (__atomic_load_n(&bed->server.n_requests, __ATOMIC_SEQ_CST) < 1 &&
	    certauto__clock_ms() < end)
		loop_turn(&bed->loop, 10);
	certauto__transfer_free(t);
	wait_for(&bed->server.n_ended, 1);
	/* Freed before it has begun, freed when done but not yet handed out: neither is told. */
	certauto__transfer_free(loop_start(&bed->loop, &ok, NULL));
	t = loop_start(&bed->loop, &ok, bed);
	assert_ptr_equal(certauto__transfer_arg(t), bed);
	wait_for(&bed->server.n_ended, 1);
	succeeds(loop_next(&bed->loop), 200, "hello");
	assert_null(certauto__http_next_done(bed->loop.http));
	certauto__transfer_free(NULL);
}

static void test_http_transfer__a_broken_loop_ends_all(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/ok");
	certauto__transfer *t;
	certauto_error err = { 0 };

	bed->loop.watch_rc = CERTAUTO_EIO;
	loop_start(&bed->loop, &request, NULL);
	loop_start(&bed->loop, &request, NULL);
	fails_with(loop_next(&bed->loop), CERTAUTO_EIO, "cannot be watched");
	fails_with(loop_next(&bed->loop), CERTAUTO_EIO, "cannot be watched");
	assert_int_equal(certauto__http_start(&t, bed->loop.http, &request, NULL, &err),
		CERTAUTO_EIO);
	certauto__error_clear(&err);
}

/* ---- connections ---- */

static void test_http_transfer__connections_are_few_and_kept(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/ok");
	int i;

	for (i = 0; i < 50; i++)
		succeeds(get(bed, "/ok"), 200, "hello");
	assert_int_equal(certauto__http_connections(bed->loop.http), 1);
	for (i = 0; i < 200; i++)
		loop_start(&bed->loop, &request, NULL);
	for (i = 0; i < 200; i++)
		succeeds(loop_next(&bed->loop), 200, "hello");
	assert_in_range(certauto__http_connections(bed->loop.http), 1, 4);
	assert_int_equal(__atomic_load_n(&bed->server.n_requests, __ATOMIC_SEQ_CST), 250);
}

/* What is on the way when a kept connection ends may have been done: to ask twice is not for us. */
static void test_http_transfer__what_changes_something_is_sent_once(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/close");
	certauto__transfer *t;

	succeeds(get(bed, "/ok"), 200, "hello");
	request.method = "POST";
	loop_start(&bed->loop, &request, NULL);
	t = loop_next(&bed->loop);
	assert_int_equal(certauto__transfer_result(t, NULL), CERTAUTO_ENET);
	certauto__transfer_free(t);
	assert_int_equal(__atomic_load_n(&bed->server.n_requests, __ATOMIC_SEQ_CST), 2);
}

static void test_http_transfer__environment_does_not_count(void **state)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	succeeds(get(*state, "/ok"), 200, "hello");
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

/* ---- the self-check of a token ---- */

static void test_http_transfer__selfcheck_follows_as_a_ca_does(void **state)
{
	struct bed *bed = *state;
	char path[64];

	succeeds(selfcheck(bed, "/ok"), 200, "hello");
	succeeds(selfcheck(bed, "/hop"), 200, "hello");
	succeeds(selfcheck(bed, "/404"), 404, "nope");
	fails_with(selfcheck(bed, "/loop/1"), CERTAUTO_EPROTO, "more than 10 redirects");
	assert_int_equal(__atomic_load_n(&bed->server.n_requests, __ATOMIC_SEQ_CST), 4 + 11);
	fails_with(selfcheck(bed, "/endless-redirect"), CERTAUTO_EPROTO, "redirect");
	fails_with(selfcheck(bed, "/to-file"), CERTAUTO_EPROTO, "where a CA does not follow");
	snprintf(path, sizeof(path), "/to-port/%d", bed->other.port);
	fails_with(selfcheck(bed, path), CERTAUTO_EPROTO, "where a CA does not follow");
	assert_int_equal(__atomic_load_n(&bed->other.n_requests, __ATOMIC_SEQ_CST), 0);
}

static void test_http_transfer__selfcheck_maps_only_the_first_host(void **state)
{
	struct bed *bed = *state;
	struct certauto__http_request request = { .kind = CERTAUTO__HTTP_SELFCHECK,
		.method = "GET" };
	char url[128], address[64];

	/* The name at the other server's port is served by the first; it redirects to the other's
	 * address. */
	snprintf(url, sizeof(url), "http://shop.example:%d/to-port/%d", bed->other.port,
		bed->other.port);
	snprintf(address, sizeof(address), "127.0.0.1:%d", bed->server.port);
	request.url = url;
	request.connect_to = address;
	succeeds(loop_run(&bed->loop, &request), 200, "hello");
	assert_int_equal(__atomic_load_n(&bed->server.n_requests, __ATOMIC_SEQ_CST), 1);
	assert_int_equal(__atomic_load_n(&bed->other.n_requests, __ATOMIC_SEQ_CST), 1);
	/* A redirect to the same name stays with the mapped address. */
	snprintf(url, sizeof(url), "http://shop.example:%d/hop", bed->other.port);
	succeeds(loop_run(&bed->loop, &request), 200, "hello");
	assert_int_equal(__atomic_load_n(&bed->server.n_requests, __ATOMIC_SEQ_CST), 3);
}

/* ---- lack of memory ---- */

/* Each allocation of ours fails once: an error, never a crash or a leak, and the engine goes on. */
static void test_http_transfer__lack_of_memory_is_told(void **state)
{
	static const char *const headers[] = { "X-Token: a", NULL };
	struct bed *bed = *state;
	struct certauto__http_request request = to(&bed->server, "/echo");
	char address[32];
	int rc = CERTAUTO_ENOMEM;
	long n;

	snprintf(address, sizeof(address), "127.0.0.1:%d", bed->server.port);
	request.method = "POST";
	request.headers = headers;
	request.body = "body";
	request.body_len = 4;
	request.connect_to = address;
	for (n = 1; rc == CERTAUTO_ENOMEM; n++) {
		certauto__transfer *t = NULL;
		certauto_error err = { 0 };

		certauto__alloc_fail_at(n, 0);
		if ((rc = certauto__http_start(&t, bed->loop.http, &request, NULL, &err)) == 0) {
			assert_ptr_equal(loop_next(&bed->loop), t);
			rc = certauto__transfer_result(t, &err);
			certauto__transfer_free(t);
		}
		certauto__alloc_fail_at(0, 0);
		assert_int_equal(err.code, rc);
		certauto__error_clear(&err);
		assert_true(rc == 0 || rc == CERTAUTO_ENOMEM);
	}
	assert_true(n > 8);
}

static void test_http_transfer__versions(void **state)
{
	(void)state;
	assert_true(certauto__text_starts(certauto__http_version(), "libcurl/"));
	assert_null(strchr(certauto__http_version(), ' '));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_http_transfer__##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answer_is_told),
		TEST(request_goes_out_as_asked),
		TEST(methods),
		TEST(large_body_is_sent_at_once),
		TEST(head_waits_for_no_body),
		TEST(only_the_last_answers_headers_count),
		TEST(retry_after),
		TEST(links_are_resolved),
		TEST(body_is_limited),
		TEST(headers_are_limited),
		TEST(odd_headers_are_refused),
		TEST(failures_have_words),
		TEST(silence_ends_at_the_deadline),
		TEST(waiting_for_a_connection_ends_at_the_deadline),
		TEST(bad_requests_are_refused),
		TEST(a_freed_one_stops),
		TEST(a_broken_loop_ends_all),
		TEST(connections_are_few_and_kept),
		TEST(what_changes_something_is_sent_once),
		TEST(environment_does_not_count),
		TEST(selfcheck_follows_as_a_ca_does),
		TEST(selfcheck_maps_only_the_first_host),
		TEST(lack_of_memory_is_told),
		TEST(versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
