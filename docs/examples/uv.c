/* SPDX-License-Identifier: Apache-2.0 */
/* The same in a program around libuv: one watcher, however many certificates are at work.
 *   cc uv.c $(pkg-config --cflags --libs libcertauto libuv) -o uv
 *   ./uv /etc/certauto/certauto.json */
#define _XOPEN_SOURCE 700 /* libuv's header needs more than C99 */
#include <certauto.h>
#include <stdio.h>
#include <uv.h>

static void on_readable(uv_poll_t *watcher, int status, int events)
{
	certauto_context *cx = watcher->data;
	int64_t id;
	int left = certauto_context_run(cx, 0); /* what is ready; never waits */

	(void)status;
	(void)events;
	while ((id = certauto_context_next_done(cx)) != 0)
		printf("job %lld has ended\n", (long long)id);
	if (left <= 0)
		uv_poll_stop(watcher); /* nothing keeps the loop any longer */
}

int main(int argc, char **argv)
{
	certauto_context *cx = NULL;
	certauto_fleet *fleet = NULL;
	certauto_job *job = NULL;
	uv_loop_t *loop = uv_default_loop();
	uv_poll_t watcher;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: uv CONFIGURATION\n");
		return 2;
	}
	if ((rc = certauto_context_new(&cx)) < 0 ||
	    (rc = certauto_fleet_load(&fleet, cx, argv[1])) < 0 ||
	    (rc = certauto_fleet_start_renew(&job, fleet, NULL, 0, 0, 600000)) < 0) {
		fprintf(stderr, "%s\n", certauto_error_message(certauto_context_error(cx)));
		goto out;
	}
	uv_poll_init(loop, &watcher, certauto_context_fd(cx));
	watcher.data = cx;
	uv_poll_start(&watcher, UV_READABLE, on_readable);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&watcher, NULL);
	uv_run(loop, UV_RUN_DEFAULT);
	rc = certauto_job_result(job);
	if (rc < 0)
		fprintf(stderr, "%s\n", certauto_error_message(certauto_job_error(job)));
out:
	certauto_job_free(job);
	certauto_fleet_free(fleet);
	certauto_context_free(cx);
	uv_loop_close(loop);
	return rc < 0;
}
