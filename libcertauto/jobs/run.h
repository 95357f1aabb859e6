/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JOBS_RUN_H
#define CERTAUTO_JOBS_RUN_H

/* An exchange while it runs, for the transports that are ours: sockets and programs. */

#include "jobs/engine.h"

struct certauto__run {
	int in, out;       /* written to, read from; a device's socket is both. -1 = closed */
	int err;           /* read from, if what comes there is kept apart; -1 */
	int pid_fd;        /* readable when the program has ended */
	pid_t pid;         /* 0 = none, or reaped */
	size_t written;
};

void certauto__unix_start(certauto_job *job);
void certauto__unix_ready(certauto_job *job, int events);
void certauto__unix_close(certauto_job *job);
void certauto__proc_start(certauto_job *job);
void certauto__proc_ready(certauto_job *job, int fd, int events);
void certauto__proc_close(certauto_job *job);

void certauto__run_close(certauto_job *job);
void certauto__run_finished(certauto_job *job, int rc);
void certauto__run_failed(certauto_job *job, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Reads what is there, x->max_answer at most: 1 = the end was reached, 0 = more may come, else a
 * code. */
int certauto__run_read(certauto_job *job, int fd, certauto__buffer *out);
/* Writes what the descriptor takes of x->body: 1 = all is written, 0 = more to come, else a
 * code. */
int certauto__run_write(certauto_job *job);

#endif
