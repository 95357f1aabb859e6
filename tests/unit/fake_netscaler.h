/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_FAKE_NETSCALER_H
#define CERTAUTO_TESTS_FAKE_NETSCALER_H

/* A device that says what it is told to, with sessions as NITRO has them: for what the target says
 * to it, to the byte. How a real one behaves is for the simulator of tests/sim. */

#include "unit.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DONE "{\"errorcode\":0,\"message\":\"Done\",\"severity\":\"NONE\""
#define NO(code, words) "{\"errorcode\":" code ",\"message\":\"" words "\",\"severity\":\"ERROR\"}"

/* What is said to a request; what no line is for is done. */
struct line {
	const char *request;  /* "GET hanode": how method and path begin */
	int status;
	const char *body;
	int times;            /* then it is over; 0 = always */
};

struct device {
	int listener, port, stop[2];
	pthread_t thread;
	struct line lines[16];
	int n_lines;
	int session;          /* number of the one that holds; 0: none does */
	int n_logins, n_logouts, n_calls;
	int lose_at;          /* before the n-th call that is no login the session is lost */
	int cut_at;           /* that call is not answered */
	int dead_from;        /* nor is it, and what comes after it; 0 = not */
	int with_bodies;      /* the log has them, and neither login nor logout */
	char log[32768];      /* "METHOD PATH" or "METHOD PATH BODY" lines */
};

static inline struct line *device_line(struct device *device, const char *request)
{
	int i;

	for (i = 0; i < device->n_lines; i++) {
		struct line *line = &device->lines[i];

		if (line->times >= 0 && strncmp(request, line->request, strlen(line->request)) == 0)
			return line;
	}
	return NULL;
}

static inline void device_say(int fd, int status, const char *more, const char *body)
{
	char text[8192];
	int n = snprintf(text, sizeof(text),
		"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nConnection: close\r\n"
		"%sContent-Length: %zu\r\n\r\n%s", status, more, strlen(body), body);

	assert_in_range(n, 1, sizeof(text) - 1);
	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

static inline void device_login(struct device *device, int fd, const char *text)
{
	static int number; /* sessions of other devices do not pass for ours */
	char cookie[128];

	device->n_logins++;
	assert_null(strstr(text, "Cookie:"));
	assert_null(strstr(text, "X-NITRO-USER"));
	if (strstr(text, "\"password\":\"right\"") == NULL) {
		device_say(fd, 401, "", "{\"errorcode\":354,\"message\":\"Invalid username or "
			"password\",\"severity\":\"ERROR\"}");
		return;
	}
	device->session = __atomic_add_fetch(&number, 1, __ATOMIC_SEQ_CST);
	snprintf(cookie, sizeof(cookie),
		"Set-Cookie: other=1\r\nSet-Cookie: NITRO_AUTH_TOKEN=%%23tok%d;path=/nitro/v1\r\n",
		device->session);
	device_say(fd, 201, cookie, DONE "}");
}

static inline int device_knows(const struct device *device, const char *text)
{
	char cookie[64];

	if (strstr(text, "X-NITRO-USER: admin") != NULL)
		return strstr(text, "X-NITRO-PASS: right") != NULL;
	snprintf(cookie, sizeof(cookie), "Cookie: NITRO_AUTH_TOKEN=%%23tok%d\r\n",
		device->session);
	return device->session != 0 && strstr(text, cookie) != NULL;
}

static inline void device_note(struct device *device, const char *request, const char *body)
{
	size_t len = strlen(device->log);

	if (!device->with_bodies)
		snprintf(device->log + len, sizeof(device->log) - len, "%s\n", request);
	else if (strcmp(request, "POST login") != 0 && strcmp(request, "POST logout") != 0)
		snprintf(device->log + len, sizeof(device->log) - len, "%s %s\n", request, body);
}

static inline void device_answer(struct device *device, int fd, const char *text, const char *body)
{
	struct line *line;
	char method[16], path[1024], request[1100];

	assert_int_equal(sscanf(text, "%15s /nitro/v1/config/%1023s", method, path), 2);
	snprintf(request, sizeof(request), "%s %s", method, path);
	device_note(device, request, body);
	line = device_line(device, request);
	if (device->dead_from != 0 && device->n_calls + 1 >= device->dead_from)
		return;
	if (strcmp(request, "POST login") == 0) {
		if (line == NULL) {
			device_login(device, fd, text);
			return;
		}
		device->n_logins++;
	} else {
		device->n_calls++;
		if (device->n_calls == device->lose_at)
			device->session = 0;
		if (device->n_calls == device->cut_at)
			return;
		if (!device_knows(device, text)) {
			device_say(fd, 401, "", "{\"errorcode\":444,\"message\":\"Session "
				"expired or killed\",\"severity\":\"ERROR\"}");
			return;
		}
		device->n_logouts += strcmp(request, "POST logout") == 0;
	}
	if (line != NULL && line->times > 0 && --line->times == 0)
		line->times = -1;
	device_say(fd, line != NULL ? line->status : 200, "",
		line != NULL ? line->body : DONE "}");
}

/* One request a connection. */
static inline void device_serve(struct device *device, int fd)
{
	struct pollfd fds[2] = {{fd, POLLIN, 0}, {device->stop[0], POLLIN, 0}};
	char text[65536];
	size_t len = 0, want = 0;
	const char *end = NULL, *length;
	ssize_t n;

	while (end == NULL || len < want) {
		if (poll(fds, 2, -1) <= 0 || fds[1].revents != 0 ||
			(n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) <= 0)
			return;
		text[len += (size_t)n] = '\0';
		if (end == NULL && (end = strstr(text, "\r\n\r\n")) != NULL) {
			length = strstr(text, "Content-Length: ");
			want = (size_t)(end - text) + 4 +
				(length != NULL ? strtoul(length + 16, NULL, 10) : 0);
		}
	}
	device_answer(device, fd, text, end + 4);
}

static inline void *device_run(void *arg)
{
	struct device *device = arg;
	struct pollfd fds[2] = {{device->listener, POLLIN, 0}, {device->stop[0], POLLIN, 0}};
	int fd;

	while (poll(fds, 2, -1) > 0 && fds[1].revents == 0) {
		if ((fd = accept(device->listener, NULL, NULL)) < 0)
			continue;
		device_serve(device, fd);
		close(fd);
	}
	return NULL;
}

/* Its port is known from here on; it answers from device_start() on. */
static inline void device_bind(struct device *device, uint32_t address, int port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	socklen_t len = sizeof(name);

	name.sin_addr.s_addr = htonl(address);
	device->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(device->listener, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(getsockname(device->listener, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(listen(device->listener, 64), 0);
	device->port = ntohs(name.sin_port);
	assert_int_equal(pipe(device->stop), 0);
}

static inline void device_start(struct device *device)
{
	assert_int_equal(pthread_create(&device->thread, NULL, device_run, device), 0);
}

static inline void device_end(struct device *device)
{
	close(device->stop[1]);
	pthread_join(device->thread, NULL);
	close(device->stop[0]);
	close(device->listener);
}

/* Before it starts. Earlier lines come first. */
static inline void device_tell(struct device *device, const char *request, int status,
	const char *body, int times)
{
	struct line *line = &device->lines[device->n_lines];

	assert_in_range(device->n_lines++, 0, sizeof(device->lines) / sizeof(*line) - 1);
	*line = (struct line){request, status, body, times};
}

#endif
