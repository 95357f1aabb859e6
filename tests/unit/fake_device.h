/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_FAKE_DEVICE_H
#define CERTAUTO_TESTS_FAKE_DEVICE_H

/* A device with an HTTP API that says what it is told to, on a thread of its own. Who includes this
 * says what a request is answered with: device_answer(). */

#include "unit.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is said to a request; what no line is for is done. */
struct line {
	const char *request;  /* how method and path begin: "GET hanode" */
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

/* text: the whole request, body: what is behind its headers. No answer: the line is cut. */
static inline void device_answer(struct device *device, int fd, const char *text, const char *body);

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

/* What the line says, or otherwise. more: headers. */
static inline void device_reply(int fd, struct line *line, const char *more, const char *otherwise)
{
	if (line != NULL && line->times > 0 && --line->times == 0)
		line->times = -1;
	device_say(fd, line != NULL ? line->status : 200, more,
		line != NULL ? line->body : otherwise);
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
