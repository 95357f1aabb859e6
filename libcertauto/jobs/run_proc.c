/* SPDX-License-Identifier: Apache-2.0 */
/* A program, run by argv without a shell, with an environment that is built, in a process group of
 * its own. It is watched by the loop: output through pipes, its end through a pidfd (Linux 5.3), so
 * the host's SIGCHLD is left alone. */
#include "jobs/run.h"

#include <errno.h>
#include <fcntl.h>
#include <paths.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"

#define PROC_TIMEOUT_MS 300000

static void proc_reap(certauto_job *job, int flags)
{
	struct certauto__run *run = job->run;
	int status = 0;
	pid_t pid;

	if (run->pid == 0)
		return;
	do
		pid = waitpid(run->pid, &status, flags);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return;
	run->pid = 0;
	/* ECHILD: the host reaps all children itself; then how it ended is unknown, which is no
	 * success. */
	if (pid < 0)
		job->x.status = 255;
	else
		job->x.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void fd_close(certauto_job *job, int *fd)
{
	if (*fd < 0)
		return;
	certauto__loop_watch(certauto__loop_of(job->object.cx), job, *fd, 0);
	close(*fd);
	*fd = -1;
}

void certauto__proc_close(certauto_job *job)
{
	struct certauto__run *run = job->run;

	if (run->pid > 0) {
		/* The whole group; it cannot refuse, so the wait is as short as the kernel needs
		 * it. */
		kill(-run->pid, SIGKILL);
		kill(run->pid, SIGKILL);
		proc_reap(job, 0);
	}
	fd_close(job, &run->in);
	fd_close(job, &run->out);
	fd_close(job, &run->err);
	fd_close(job, &run->pid_fd);
}

static char **vector_of(const certauto__list *list)
{
	char **vector = certauto__alloc((list->n + 1) * sizeof(*vector));

	if (vector != NULL && list->n > 0)
		memcpy(vector, list->items, list->n * sizeof(*vector));
	return vector;
}

/* Signals the host ignores or blocks must not be inherited: a hook would hang on a broken pipe. */
static int spawn_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;

	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	sigemptyset(&none);
	if (posix_spawnattr_setsigdefault(attributes, &all) != 0 ||
	    posix_spawnattr_setsigmask(attributes, &none) != 0 ||
	    posix_spawnattr_setpgroup(attributes, 0) != 0 ||
	    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF |
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP) != 0)
		return CERTAUTO_EIO;
	return 0;
}

/* theirs: what its descriptors 0, 1 and 2 become. */
static int spawn(certauto_job *job, const int theirs[3], pid_t *pid)
{
	char **argv = vector_of(&job->x.argv), **environment = vector_of(&job->x.environment);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int rc = ENOMEM;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	if (argv != NULL && environment != NULL && spawn_attributes(&attributes) == 0 &&
	    posix_spawn_file_actions_adddup2(&actions, theirs[0], 0) == 0 &&
	    posix_spawn_file_actions_adddup2(&actions, theirs[1], 1) == 0 &&
	    posix_spawn_file_actions_adddup2(&actions, theirs[2] >= 0 ? theirs[2] : theirs[1],
		2) == 0)
		rc = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	certauto__free(argv);
	certauto__free(environment);
	return rc;
}

/* The usual one, unless it was given one. */
static int add_path(certauto_job *job)
{
	const certauto__list *environment = &job->x.environment;
	size_t i;

	for (i = 0; i < environment->n; i++) {
		if (certauto__text_starts(environment->items[i], "PATH="))
			return 0;
	}
	return certauto__list_add_text(&job->x.environment,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

static void proc_watch(certauto_job *job)
{
	struct certauto__loop *loop = certauto__loop_of(job->object.cx);
	struct certauto__run *run = job->run;

	if ((run->in >= 0 && certauto__loop_watch(loop, job, run->in, CERTAUTO__HTTP_OUT) < 0) ||
	    certauto__loop_watch(loop, job, run->out, CERTAUTO__HTTP_IN) < 0 ||
	    (run->err >= 0 && certauto__loop_watch(loop, job, run->err, CERTAUTO__HTTP_IN) < 0) ||
	    certauto__loop_watch(loop, job, run->pid_fd, CERTAUTO__HTTP_IN) < 0)
		certauto__run_failed(job, CERTAUTO_EIO, "%s: cannot be watched",
			job->x.argv.items[0]);
	else
		certauto__job_set_timer(job, job->x.timeout_ms != 0 ? job->x.timeout_ms :
			PROC_TIMEOUT_MS);
}

/* The ends of a pair: the program expects an ordinary one, ours is not waited for. */
static void ends_take(const int pair[2], int *ours, int *theirs)
{
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	*ours = pair[0];
	*theirs = pair[1];
}

/* Scripts open "/dev/stderr" again, which a socket does not allow, and bash takes itself for a
 * remote shell when its input is one. Who is given input knows what it is: a pipe would bring us
 * SIGPIPE when it is not read. */
static int input_make(certauto_job *job, int *theirs)
{
	int pair[2];

	if (job->x.body.len == 0)
		return *theirs = open(_PATH_DEVNULL, O_RDONLY | O_CLOEXEC);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	ends_take(pair, &job->run->in, theirs);
	return 0;
}

static int output_make(int *ours, int *theirs)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -1;
	ends_take(pair, ours, theirs);
	return 0;
}

/* 0, or errno's number. Opened in this order none has a lower number than what it becomes, not even
 * in a host without standard descriptors: none is replaced before it is used. */
static int proc_spawn(certauto_job *job)
{
	struct certauto__run *run = job->run;
	int theirs[3] = {-1, -1, -1}, rc, i;

	if (input_make(job, &theirs[0]) < 0 || output_make(&run->out, &theirs[1]) < 0 ||
	    (job->x.keep_apart && output_make(&run->err, &theirs[2]) < 0))
		rc = errno;
	else if ((rc = spawn(job, theirs, &run->pid)) != 0)
		run->pid = 0;
	for (i = 0; i < 3; i++)
		if (theirs[i] >= 0)
			close(theirs[i]);
	return rc;
}

void certauto__proc_start(certauto_job *job)
{
	struct certauto__run *run;
	int rc;

	if (job->x.argv.n == 0 || add_path(job) < 0 ||
	    (run = certauto__alloc(sizeof(*run))) == NULL) {
		certauto__run_failed(job, CERTAUTO_EINVAL, "no program to run, or memory is short");
		return;
	}
	run->in = run->out = run->err = run->pid_fd = -1;
	job->run = run;
	if ((rc = proc_spawn(job)) != 0) {
		certauto__run_failed(job, rc == ENOENT ? CERTAUTO_ENOTFOUND :
			rc == EACCES ? CERTAUTO_EPERM : CERTAUTO_EIO,
			"run %s: %s", job->x.argv.items[0], strerror(rc));
		return;
	}
	/* By its number: glibc has a function for it only since 2.36. */
	if ((run->pid_fd = (int)syscall(SYS_pidfd_open, run->pid, 0)) < 0) {
		certauto__run_failed(job, CERTAUTO_EIO, "%s: its end cannot be watched: %s",
			job->x.argv.items[0], strerror(errno));
		return;
	}
	proc_watch(job);
}

/* ready: the descriptor that is. At its end too all is read: what was written last is there. */
static int proc_read(certauto_job *job, int ready, int fd, certauto__buffer *out)
{
	int rc;

	if (fd < 0)
		return 0;
	rc = certauto__run_read(job, fd, out);
	if (rc == CERTAUTO_EPROTO || rc == CERTAUTO_ENOMEM) {
		certauto__run_failed(job, rc, "%s: its output is larger than the limit%s",
			job->x.argv.items[0],
			rc == CERTAUTO_ENOMEM ? ", or memory is short" : "");
		return -1;
	}
	if (rc != 0 && ready == fd)
		certauto__loop_watch(certauto__loop_of(job->object.cx), job, fd, 0);
	return 0;
}

void certauto__proc_ready(certauto_job *job, int fd, int events)
{
	struct certauto__run *run = job->run;

	if (fd == run->in) {
		/* A program that does not read its input is no failure. */
		if (certauto__run_write(job) != 0)
			fd_close(job, &run->in);
		return;
	}
	if ((events & CERTAUTO__HTTP_IN) != 0 &&
		(proc_read(job, fd, run->out, &job->x.answer) < 0 ||
			proc_read(job, fd, run->err, &job->x.errors) < 0))
		return;
	if (fd != run->pid_fd)
		return;
	/* What it left running may hold the output open: the end of the program itself counts. */
	proc_reap(job, WNOHANG);
	if (run->pid != 0)
		return;
	certauto__run_close(job);
	certauto__run_finished(job, 0);
}
