/* SPDX-License-Identifier: Apache-2.0 */
/* A program with a loop of its own, here poll(2), that keeps its certificates renewed beside what
 * it is for: the library asks for one descriptor to be watched. A line on standard input cancels.
 *   cc poll.c $(pkg-config --cflags --libs libcertauto) -o poll
 *   ./poll /etc/certauto/certauto.json */
#include <certauto.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static int run(certauto_context *cx, certauto_job *job)
{
	struct pollfd fds[2] = {{.fd = certauto_context_fd(cx), .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN}};
	char line[64];
	int rc;

	while (certauto_job_result(job) == CERTAUTO_AGAIN) {
		if (poll(fds, 2, -1) < 0)
			return CERTAUTO_EIO;
		if (fds[1].revents != 0 && read(STDIN_FILENO, line, sizeof(line)) > 0)
			certauto_job_cancel(job); /* takes back what it has changed */
		else if (fds[1].revents != 0)
			fds[1].fd = -1; /* its end: poll() leaves it alone */
		/* Whatever is ready, timers too; never waits. */
		if (fds[0].revents != 0 && (rc = certauto_context_run(cx, 0)) < 0)
			return rc;
	}
	return certauto_job_result(job);
}

int main(int argc, char **argv)
{
	certauto_context *cx = NULL;
	certauto_fleet *fleet = NULL;
	certauto_job *job = NULL;
	char *results = NULL;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "usage: poll CONFIGURATION\n");
		return 2;
	}
	if ((rc = certauto_context_new(&cx)) < 0 ||
	    (rc = certauto_fleet_load(&fleet, cx, argv[1])) < 0 ||
	    (rc = certauto_fleet_start_renew(&job, fleet, NULL, 0, 0, 600000)) < 0)
		fprintf(stderr, "%s\n", certauto_error_message(certauto_context_error(cx)));
	else if ((rc = run(cx, job)) < 0)
		fprintf(stderr, "%s\n", certauto_error_message(certauto_job_error(job)));
	if (job != NULL && certauto_fleet_dup_results(&results, fleet) == 0)
		printf("%s\n", results);
	certauto_mem_free(results);
	certauto_job_free(job);
	certauto_fleet_free(fleet);
	certauto_context_free(cx); /* in any order; NULL is fine */
	return rc < 0;
}
