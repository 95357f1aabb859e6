/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HTTP_LOOP_H
#define TESTS_HTTP_LOOP_H

/* What owns the hooks in the tests of http/: an epoll set and one timer, as the library's loop has.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "http/http.h"

#define PATIENCE_MS 10000 /* nothing on loopback takes as long, not under a sanitizer either */

struct loop {
	certauto__http *http;
	int epoll;
	int64_t timer_at;  /* INT64_MAX: never */
	int watch_rc;      /* what the watch hook answers; 0 = it does its work */
	unsigned char watched[1024];
};

static inline int loop_watch(void *arg, int fd, int events)
{
	struct loop *loop = arg;
	struct epoll_event event = { 0 };

	if (loop->watch_rc != 0)
		return loop->watch_rc;
	assert_in_range(fd, 0, sizeof(loop->watched) - 1);
	event.events = (events & CERTAUTO__HTTP_IN ? EPOLLIN : 0u) |
		       (events & CERTAUTO__HTTP_OUT ? EPOLLOUT : 0u);
	event.data.fd = fd;
	loop->watched[fd] = (unsigned char)events;
	/* Removal fails when fd is closed already. */
	if (events == 0)
		epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &event) < 0 &&
		 epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return CERTAUTO_EIO;
	return 0;
}

static inline void loop_timer(void *arg, int64_t ms)
{
	struct loop *loop = arg;

	loop->timer_at = ms < 0 ? INT64_MAX : certauto__clock_ms() + ms;
}

static inline void loop_open(struct loop *loop)
{
	struct certauto__http_hooks hooks = { loop, loop_watch, loop_timer };

	memset(loop, 0, sizeof(*loop));
	loop->timer_at = INT64_MAX;
	assert_true((loop->epoll = epoll_create1(EPOLL_CLOEXEC)) >= 0);
	assert_int_equal(certauto__http_new(&loop->http, &hooks, NULL), 0);
}

static inline void loop_close(struct loop *loop)
{
	size_t fd;

	certauto__http_free(loop->http);
	for (fd = 0; fd < sizeof(loop->watched); fd++)
		assert_int_equal(loop->watched[fd], 0);
	close(loop->epoll);
}

/* One turn: waits for a socket or the timer, at most wait_ms. */
static inline void loop_turn(struct loop *loop, int64_t wait_ms)
{
	struct epoll_event events[16];
	int64_t left = loop->timer_at == INT64_MAX ? wait_ms
						   : loop->timer_at - certauto__clock_ms();
	int i, n;

	left = left < 0 ? 0 : left > wait_ms ? wait_ms : left;
	n = epoll_wait(loop->epoll, events, 16, (int)left);
	for (i = 0; i < n; i++)
		certauto__http_ready(loop->http, events[i].data.fd,
			(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CERTAUTO__HTTP_IN
									    : 0) |
				(events[i].events & (EPOLLOUT | EPOLLERR) ? CERTAUTO__HTTP_OUT
									  : 0));
	if (loop->timer_at <= certauto__clock_ms()) {
		loop->timer_at = INT64_MAX;
		certauto__http_expired(loop->http);
	}
}

/* The next transfer to finish. */
static inline certauto__transfer *loop_next(struct loop *loop)
{
	int64_t end = certauto__clock_ms() + PATIENCE_MS;
	certauto__transfer *t;

	while ((t = certauto__http_next_done(loop->http)) == NULL) {
		if (certauto__clock_ms() > end)
			fail_msg("no transfer has finished within %d ms", PATIENCE_MS);
		loop_turn(loop, 100);
	}
	return t;
}

static inline certauto__transfer *loop_start(struct loop *loop,
	const struct certauto__http_request *request, void *arg)
{
	certauto__transfer *t = NULL;
	certauto_error err = { 0 };

	if (certauto__http_start(&t, loop->http, request, arg, &err) != 0)
		fail_msg("%s", err.message);
	return t;
}

static inline certauto__transfer *loop_run(struct loop *loop,
	const struct certauto__http_request *request)
{
	certauto__transfer *t = loop_start(loop, request, NULL);

	assert_ptr_equal(loop_next(loop), t);
	return t;
}

/* A transfer that must have failed so, with these words in the message or the advice. Frees it. */
static inline void fails_with(certauto__transfer *t, int code, const char *words)
{
	certauto_error err = { 0 };
	int rc = certauto__transfer_result(t, &err);

	if (rc != code || err.code != code || err.message == NULL ||
	    (strstr(err.message, words) == NULL &&
			(err.advice == NULL || strstr(err.advice, words) == NULL)))
		fail_msg("wanted %d \"%s\", got %d \"%s\" (%s)", code, words, rc,
			err.message ? err.message : "", err.advice ? err.advice : "");
	certauto__error_clear(&err);
	certauto__transfer_free(t);
}

static inline void succeeds(certauto__transfer *t, int status, const char *body)
{
	certauto_error err = { 0 };

	if (certauto__transfer_result(t, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(certauto__transfer_status(t), status);
	if (body != NULL)
		assert_string_equal(certauto__buffer_text(certauto__transfer_body(t)), body);
	certauto__transfer_free(t);
}

#endif
