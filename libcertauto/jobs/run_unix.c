/* SPDX-License-Identifier: Apache-2.0 */
/* A stream socket by path: everything is written, then the answer is read to its end. That is how
 * HAProxy's runtime API talks: one command a connection. */
#include "jobs/run.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/memory.h"

#define UNIX_TIMEOUT_MS 30000

int certauto__run_read(certauto_job *job, int fd, certauto__buffer *out)
{
	size_t max = job->x.max_answer != 0 ? job->x.max_answer : out->max;
	char chunk[4096];
	ssize_t n;

	for (;;) {
		n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			return 1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : CERTAUTO_ENET;
		out->max = max;
		if (out->len + (size_t)n > max)
			return CERTAUTO_EPROTO;
		if (certauto__buffer_add(out, chunk, (size_t)n) < 0)
			return CERTAUTO_ENOMEM;
	}
}

int certauto__run_write(certauto_job *job)
{
	struct certauto__run *run = job->run;
	ssize_t n;

	while (run->written < job->x.body.len) {
		/* A pipe cannot take MSG_NOSIGNAL: it is made as a socket pair for that. */
		n = send(run->in, job->x.body.data + run->written, job->x.body.len - run->written,
			MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : CERTAUTO_ENET;
		run->written += (size_t)n;
	}
	return 1;
}

void certauto__unix_close(certauto_job *job)
{
	if (job->run->in < 0)
		return;
	certauto__loop_watch(certauto__loop_of(job->object.cx), job, job->run->in, 0);
	close(job->run->in);
	job->run->in = job->run->out = -1;
}

static void connect_failed(certauto_job *job, int saved_errno)
{
	const char *path = certauto__buffer_text(&job->x.url);
	certauto_error *err = &job->x.error;
	int code = saved_errno == ENOENT ? CERTAUTO_ENOTFOUND :
		saved_errno == EACCES || saved_errno == EPERM ? CERTAUTO_EPERM : CERTAUTO_ENET;

	certauto__error_clear(err);
	certauto__error_set(err, code, path, "connect to %s: %s", path, strerror(saved_errno));
	if (code == CERTAUTO_ENOTFOUND)
		certauto__error_advise(err, "check the path; is the program that makes this socket "
			"running?");
	else if (code == CERTAUTO_EPERM)
		certauto__error_advise(err, "give this user the right to write to the socket");
	else
		certauto__error_advise(err, "the socket is there, but nobody listens: is the "
			"program running?");
	certauto__run_close(job);
	certauto__run_finished(job, code);
}

void certauto__unix_start(certauto_job *job)
{
	const char *path = certauto__buffer_text(&job->x.url);
	struct sockaddr_un address;
	int fd;

	memset(&address, 0, sizeof(address));
	address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address.sun_path)) {
		certauto__run_failed(job, CERTAUTO_EINVAL,
			"%s: a socket's path has at most %zu bytes", path,
			sizeof(address.sun_path) - 1);
		return;
	}
	memcpy(address.sun_path, path, strlen(path));
	if ((job->run = certauto__alloc(sizeof(*job->run))) == NULL) {
		certauto__run_failed(job, CERTAUTO_ENOMEM, "out of memory");
		return;
	}
	job->run->pid_fd = job->run->err = -1;
	job->run->in = job->run->out = fd = socket(AF_UNIX,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		connect_failed(job, errno);
		return;
	}
	certauto__job_set_timer(job, job->x.timeout_ms != 0 ? job->x.timeout_ms : UNIX_TIMEOUT_MS);
	if (certauto__loop_watch(certauto__loop_of(job->object.cx), job, fd,
		CERTAUTO__HTTP_IN | (job->x.body.len > 0 ? CERTAUTO__HTTP_OUT : 0)) < 0)
		certauto__run_failed(job, CERTAUTO_EIO, "%s: the socket cannot be watched", path);
}

void certauto__unix_ready(certauto_job *job, int events)
{
	const char *path = certauto__buffer_text(&job->x.url);
	int rc;

	if ((events & CERTAUTO__HTTP_OUT) != 0 && job->run->written < job->x.body.len) {
		rc = certauto__run_write(job);
		if (rc == 1)
			certauto__loop_watch(certauto__loop_of(job->object.cx), job, job->run->in,
				CERTAUTO__HTTP_IN);
		if (rc < 0) {
			certauto__run_failed(job, rc,
				"%s: the peer closed the socket before it had read everything",
				path);
			return;
		}
	}
	if ((events & CERTAUTO__HTTP_IN) == 0)
		return;
	if ((rc = certauto__run_read(job, job->run->out, &job->x.answer)) == 0)
		return;
	if (rc < 0) {
		certauto__run_failed(job, rc, "%s: %s", path, rc == CERTAUTO_EPROTO ?
			"the answer is larger than the limit" : "the connection broke");
		return;
	}
	certauto__run_close(job);
	certauto__run_finished(job, 0);
}
