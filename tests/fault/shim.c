/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded before libc (LD_PRELOAD): counts the file and network calls of one process, and makes one
 * of them fail, or kills the process beside it.
 *
 * CERTAUTO_FAULT=call[:path-glob]:n:action
 *   call    a name of the list below, or "any": each call has a number among its kind and among all
 *   glob    only calls on such a path; a socket's is that of its peer, "127.0.0.1:443" or a path
 *   n       from 1
 *   action  an errno name (the call is not made), sticky-<errno name> (nor any such call after it),
 *           eintr, short (half of the data), kill-before, kill-after, stop (as kill-before, by
 *           SIGSTOP)
 * CERTAUTO_FAULT_COUNT=FILE gets a line for each call: number, kind, number of that kind, path.
 * CERTAUTO_FAULT_SYNCED=FOLDER is given what would survive a loss of power: the content of each
 * file and the names in each folder as of their last fsync, by number of the inode.
 *
 * A call that would have to wait (EAGAIN) has no number: how often somebody looks in vain is not
 * the same twice. Standard streams, pipes and what libc opens for itself are left alone. What the
 * process starts is not watched. */
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum kind {
	OPEN, CREATE, READ, WRITE, FSYNC, RENAME, LINK, SYMLINK, UNLINK, MKDIR, TRUNCATE, CHMOD,
	CLOSE, CONNECT, SEND, RECV, SPAWN, ANY, N_KINDS
};

static const char *const kind_names[N_KINDS] = {
	"open", "create", "read", "write", "fsync", "rename", "link", "symlink", "unlink", "mkdir",
	"truncate", "chmod", "close", "connect", "send", "recv", "spawn", "any"
};

enum action { NOTHING, FAIL, STICKY, SHORTEN, KILL_BEFORE, KILL_AFTER, STOP };

static struct {
	enum kind kind;
	enum action action;
	int error;
	long n;
	char *glob;
} fault;

static long counts[N_KINDS], n_matched;
static int count_fd = -1, synced_fd = -1;

/* What was there before us: REAL(fsync)(fd). */
static void *next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
		abort();
	return found;
}

/* A data pointer becomes a function's through memory: ISO C knows no conversion. */
#define REAL(name)                                                                                 \
	static __typeof__(&name) real;                                                             \
	if (real == NULL)                                                                          \
		*(void **)&real = next(#name)

static int real_open(int dir, const char *path, int flags, mode_t mode)
{
	REAL(openat);
	return real(dir, path, flags | O_CLOEXEC, mode);
}

static ssize_t real_write(int fd, const void *data, size_t len)
{
	REAL(write);
	return real(fd, data, len);
}

static void real_close(int fd)
{
	REAL(close);
	(void)real(fd);
}

/* ---- the variables ---- */

/* A mistake in a variable must not look like a run without faults. */
static void refuse(const char *variable)
{
	static const char text[] = ": not understood by the fault shim\n";

	(void)!real_write(STDERR_FILENO, variable, strlen(variable));
	(void)!real_write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(99);
}

static int errno_of(const char *name)
{
	const char *known;
	int i;

	for (i = 1; i < 200; i++)
		if ((known = strerrorname_np(i)) != NULL && strcmp(known, name) == 0)
			return i;
	refuse("CERTAUTO_FAULT");
	return 0;
}

static void parse_action(const char *text)
{
	if (strcmp(text, "kill-before") == 0)
		fault.action = KILL_BEFORE;
	else if (strcmp(text, "kill-after") == 0)
		fault.action = KILL_AFTER;
	else if (strcmp(text, "stop") == 0)
		fault.action = STOP;
	else if (strcmp(text, "short") == 0)
		fault.action = SHORTEN;
	else if (strncmp(text, "sticky-", 7) == 0)
		fault.action = STICKY;
	else
		fault.action = FAIL;
	if (fault.action == STICKY || fault.action == FAIL)
		fault.error = strcmp(text, "eintr") == 0 ? EINTR :
			errno_of(fault.action == STICKY ? text + 7 : text);
}

/* From behind, for a glob may hold colons. */
static void parse_fault(char *text)
{
	char *action = strrchr(text, ':'), *n, *end;
	int kind = 0;

	if (action == NULL)
		refuse("CERTAUTO_FAULT");
	*action++ = '\0';
	if ((n = strrchr(text, ':')) == NULL)
		refuse("CERTAUTO_FAULT");
	*n++ = '\0';
	if ((fault.glob = strchr(text, ':')) != NULL)
		*fault.glob++ = '\0';
	while (kind < N_KINDS && strcmp(kind_names[kind], text) != 0)
		kind++;
	fault.n = strtol(n, &end, 10);
	if (kind == N_KINDS || *end != '\0' || fault.n < 1)
		refuse("CERTAUTO_FAULT");
	fault.kind = (enum kind)kind;
	parse_action(action);
}

static int opened_for(const char *variable, int flags)
{
	const char *path = getenv(variable);
	int fd;

	if (path == NULL)
		return -1;
	if ((fd = real_open(AT_FDCWD, path, flags, 0600)) < 0)
		refuse(variable);
	return fd;
}

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("CERTAUTO_FAULT");
	static char kept[PATH_MAX];

	if (text != NULL) {
		(void)snprintf(kept, sizeof(kept), "%s", text);
		parse_fault(kept);
	}
	count_fd = opened_for("CERTAUTO_FAULT_COUNT", O_WRONLY | O_CREAT | O_APPEND);
	synced_fd = opened_for("CERTAUTO_FAULT_SYNCED", O_RDONLY | O_DIRECTORY);
	unsetenv("CERTAUTO_FAULT");
	unsetenv("CERTAUTO_FAULT_COUNT");
	unsetenv("CERTAUTO_FAULT_SYNCED");
}

/* ---- a call ---- */

struct call {
	enum kind kind;
	int matches, strikes;
	char path[PATH_MAX];
};

static void peer_path(char *out, size_t size, const struct sockaddr *address)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	const struct sockaddr_un *un = (const void *)address;
	char text[INET6_ADDRSTRLEN] = "";

	if (address->sa_family == AF_UNIX) {
		(void)snprintf(out, size, "%.*s", (int)sizeof(un->sun_path), un->sun_path);
	} else if (address->sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		(void)snprintf(out, size, "%s:%d", text, ntohs(in->sin_port));
	} else if (address->sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		(void)snprintf(out, size, "[%s]:%d", text, ntohs(in6->sin6_port));
	}
}

static void fd_path(char *out, size_t size, int fd)
{
	union {
		struct sockaddr address;
		struct sockaddr_storage room;
	} peer;
	socklen_t peer_len = sizeof(peer);
	char link[32];
	ssize_t len;

	memset(&peer, 0, sizeof(peer));
	out[0] = '\0';
	if (getpeername(fd, &peer.address, &peer_len) == 0) {
		peer_path(out, size, &peer.address);
		return;
	}
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if ((len = readlink(link, out, size - 1)) >= 0)
		out[len] = '\0';
}

static int paths_wanted(void)
{
	return count_fd >= 0 || fault.glob != NULL;
}

static void count(struct call *call)
{
	char line[PATH_MAX + 64];
	int len;

	counts[call->kind]++;
	counts[ANY]++;
	n_matched += call->matches;
	if (count_fd < 0)
		return;
	len = snprintf(line, sizeof(line), "%ld %s %ld %s\n", counts[ANY], kind_names[call->kind],
		counts[call->kind], call->path);
	(void)!real_write(count_fd, line, (size_t)len);
}

static void strike(int sig)
{
	(void)kill(getpid(), sig);
	while (sig == SIGKILL)
		(void)pause();
}

/* -1, errno set: the call is not made. The path is set by the caller, where it is wanted. */
static int begin(struct call *call, enum kind kind)
{
	int saved_errno = errno;

	call->kind = kind;
	call->strikes = 0;
	call->matches = (fault.kind == ANY || fault.kind == kind) &&
		(fault.glob == NULL || fnmatch(fault.glob, call->path, 0) == 0);
	if (fault.action == NOTHING || !call->matches)
		return 0;
	if (fault.action == STICKY ? n_matched + 1 < fault.n : n_matched + 1 != fault.n)
		return 0;
	call->strikes = 1;
	if (fault.action == KILL_BEFORE || fault.action == STOP)
		strike(fault.action == STOP ? SIGSTOP : SIGKILL);
	if (fault.action == FAIL || fault.action == STICKY) {
		count(call);
		errno = fault.error;
		return -1;
	}
	errno = saved_errno;
	return 0;
}

static void end(struct call *call, int waits)
{
	int saved_errno = errno;

	if (!waits) {
		count(call);
		if (call->strikes && fault.action == KILL_AFTER)
			strike(SIGKILL);
	}
	errno = saved_errno;
}

static int waits(ssize_t rc)
{
	return rc < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

static size_t length(const struct call *call, size_t len)
{
	return call->strikes && fault.action == SHORTEN && len > 1 ? len / 2 : len;
}

static int begin_fd(struct call *call, enum kind kind, int fd)
{
	int saved_errno = errno;

	call->path[0] = '\0';
	if (paths_wanted())
		fd_path(call->path, sizeof(call->path), fd);
	errno = saved_errno;
	return begin(call, kind);
}

static int begin_at(struct call *call, enum kind kind, int dir, const char *path)
{
	int saved_errno = errno;
	char folder[PATH_MAX / 2] = "";

	call->path[0] = '\0';
	if (paths_wanted()) {
		if (path[0] != '/' && dir != AT_FDCWD)
			fd_path(folder, sizeof(folder), dir);
		else if (path[0] != '/' && getcwd(folder, sizeof(folder)) == NULL)
			folder[0] = '\0';
		(void)snprintf(call->path, sizeof(call->path), "%s%s%.*s", folder,
			folder[0] != '\0' ? "/" : "", PATH_MAX / 2 - 2, path);
	}
	errno = saved_errno;
	return begin(call, kind);
}

/* ANY: none of ours. */
static enum kind kind_of_fd(int fd, enum kind file, enum kind network)
{
	int saved_errno = errno;
	struct stat st;
	enum kind kind = ANY;

	if (fd > STDERR_FILENO && fstat(fd, &st) == 0)
		kind = S_ISREG(st.st_mode) ? file : S_ISSOCK(st.st_mode) ? network : ANY;
	errno = saved_errno;
	return kind;
}

/* ---- what survives a loss of power ---- */

/* The inode of what is about to lose its name is kept, so that its number is not given away. */
static void hold(int dir, const char *path)
{
	int saved_errno = errno;

	if (synced_fd >= 0)
		(void)real_open(dir, path, O_PATH | O_NOFOLLOW, 0);
	errno = saved_errno;
}

static void save_content(int to, int fd)
{
	char chunk[16384], path[32];
	ssize_t n;
	int from;

	REAL(read);
	/* Anew: what is written need not be open for reading. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if ((from = real_open(AT_FDCWD, path, O_RDONLY, 0)) < 0)
		abort();
	while ((n = real(from, chunk, sizeof(chunk))) > 0)
		(void)!real_write(to, chunk, (size_t)n);
	real_close(from);
}

static void save_names(int to, int fd)
{
	char line[PATH_MAX + 512], target[PATH_MAX / 2];
	struct dirent *entry;
	struct stat st;
	ssize_t len;
	DIR *stream;

	if ((stream = fdopendir(real_open(fd, ".", O_RDONLY | O_DIRECTORY, 0))) == NULL)
		abort();
	while ((entry = readdir(stream)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		len = 0;
		if (S_ISLNK(st.st_mode))
			len = readlinkat(fd, entry->d_name, target, sizeof(target));
		len = snprintf(line, sizeof(line), "%o %ju %s\t%.*s\n", (unsigned)st.st_mode,
			(uintmax_t)st.st_ino, entry->d_name, (int)len, target);
		(void)!real_write(to, line, (size_t)len);
	}
	(void)closedir(stream);
}

static void synced(int fd)
{
	int saved_errno = errno, to;
	struct stat st;
	char name[32];

	if (synced_fd >= 0 && fstat(fd, &st) == 0) {
		(void)snprintf(name, sizeof(name), "%ju", (uintmax_t)st.st_ino);
		to = real_open(synced_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (to < 0)
			abort();
		if (S_ISDIR(st.st_mode))
			save_names(to, fd);
		else
			save_content(to, fd);
		real_close(to);
	}
	errno = saved_errno;
}

/* ---- files ---- */

#define RETURN_CALL(type, call, expression)                                                        \
	do {                                                                                       \
		type rc_ = (expression);                                                           \
		end(&(call), 0);                                                                   \
		return rc_;                                                                        \
	} while (0)

static int opened(int dir, const char *path, int flags, mode_t mode)
{
	struct call call;

	REAL(openat);
	if (begin_at(&call, (flags & O_CREAT) != 0 ? CREATE : OPEN, dir, path) < 0)
		return -1;
	RETURN_CALL(int, call, real(dir, path, flags, mode));
}

static mode_t mode_of(int flags, va_list args)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

#define OPEN_FUNCTION(name)                                                                        \
	int name(const char *path, int flags, ...)                                                 \
	{                                                                                          \
		va_list args;                                                                      \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(args, flags);                                                             \
		mode = mode_of(flags, args);                                                       \
		va_end(args);                                                                      \
		return opened(AT_FDCWD, path, flags, mode);                                        \
	}

#define OPENAT_FUNCTION(name)                                                                      \
	int name(int dir, const char *path, int flags, ...)                                        \
	{                                                                                          \
		va_list args;                                                                      \
		mode_t mode;                                                                       \
                                                                                                   \
		va_start(args, flags);                                                             \
		mode = mode_of(flags, args);                                                       \
		va_end(args);                                                                      \
		return opened(dir, path, flags, mode);                                             \
	}

/* What _FORTIFY_SOURCE makes of an open without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

OPEN_FUNCTION(open)
OPEN_FUNCTION(open64)
OPENAT_FUNCTION(openat)
OPENAT_FUNCTION(openat64)

int __open_2(const char *path, int flags)
{
	return opened(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return opened(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
	return opened(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
	return opened(dir, path, flags, 0);
}

ssize_t read(int fd, void *data, size_t len)
{
	enum kind kind = kind_of_fd(fd, READ, RECV);
	struct call call;
	ssize_t rc;

	REAL(read);
	if (kind == ANY)
		return real(fd, data, len);
	if (begin_fd(&call, kind, fd) < 0)
		return -1;
	rc = real(fd, data, length(&call, len));
	end(&call, waits(rc));
	return rc;
}

ssize_t write(int fd, const void *data, size_t len)
{
	enum kind kind = kind_of_fd(fd, WRITE, SEND);
	struct call call;
	ssize_t rc;

	if (kind == ANY)
		return real_write(fd, data, len);
	if (begin_fd(&call, kind, fd) < 0)
		return -1;
	rc = real_write(fd, data, length(&call, len));
	end(&call, waits(rc));
	return rc;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	struct call call;

	REAL(pwrite);
	if (begin_fd(&call, WRITE, fd) < 0)
		return -1;
	RETURN_CALL(ssize_t, call, real(fd, data, length(&call, len), at));
}

ssize_t pread(int fd, void *data, size_t len, off_t at)
{
	struct call call;

	REAL(pread);
	if (begin_fd(&call, READ, fd) < 0)
		return -1;
	RETURN_CALL(ssize_t, call, real(fd, data, length(&call, len), at));
}

int fsync(int fd)
{
	struct call call;
	int rc;

	REAL(fsync);
	if (begin_fd(&call, FSYNC, fd) < 0)
		return -1;
	if ((rc = real(fd)) == 0)
		synced(fd);
	end(&call, 0);
	return rc;
}

int fdatasync(int fd)
{
	struct call call;
	int rc;

	REAL(fdatasync);
	if (begin_fd(&call, FSYNC, fd) < 0)
		return -1;
	if ((rc = real(fd)) == 0)
		synced(fd);
	end(&call, 0);
	return rc;
}

/* The new name is the one that tells what happens. */
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	struct call call;

	REAL(renameat2);
	if (begin_at(&call, RENAME, to_dir, to) < 0)
		return -1;
	hold(to_dir, to);
	RETURN_CALL(int, call, real(from_dir, from, to_dir, to, flags));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat2(from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	struct call call;

	REAL(linkat);
	if (begin_at(&call, LINK, to_dir, to) < 0)
		return -1;
	RETURN_CALL(int, call, real(from_dir, from, to_dir, to, flags));
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int symlinkat(const char *target, int dir, const char *path)
{
	struct call call;

	REAL(symlinkat);
	if (begin_at(&call, SYMLINK, dir, path) < 0)
		return -1;
	RETURN_CALL(int, call, real(target, dir, path));
}

int symlink(const char *target, const char *path)
{
	return symlinkat(target, AT_FDCWD, path);
}

int unlinkat(int dir, const char *path, int flags)
{
	struct call call;

	REAL(unlinkat);
	if (begin_at(&call, UNLINK, dir, path) < 0)
		return -1;
	hold(dir, path);
	RETURN_CALL(int, call, real(dir, path, flags));
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	struct call call;

	REAL(mkdirat);
	if (begin_at(&call, MKDIR, dir, path) < 0)
		return -1;
	RETURN_CALL(int, call, real(dir, path, mode));
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int ftruncate(int fd, off_t len)
{
	struct call call;

	REAL(ftruncate);
	if (begin_fd(&call, TRUNCATE, fd) < 0)
		return -1;
	RETURN_CALL(int, call, real(fd, len));
}

int fchmod(int fd, mode_t mode)
{
	struct call call;

	REAL(fchmod);
	if (begin_fd(&call, CHMOD, fd) < 0)
		return -1;
	RETURN_CALL(int, call, real(fd, mode));
}

/* Only of what was written to: to close a file that was read means nothing. A close that fails has
 * closed all the same. */
int close(int fd)
{
	enum kind kind = kind_of_fd(fd, CLOSE, CLOSE);
	struct call call;

	REAL(close);
	if (kind == ANY || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return real(fd);
	if (begin_fd(&call, kind, fd) < 0) {
		real_close(fd);
		errno = fault.error;
		return -1;
	}
	RETURN_CALL(int, call, real(fd));
}

/* ---- network ---- */

/* glibc's own types: with _GNU_SOURCE an address is a transparent union. */

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
	struct call call;

	REAL(connect);
	call.path[0] = '\0';
	if (paths_wanted())
		peer_path(call.path, sizeof(call.path), address.__sockaddr__);
	if (begin(&call, CONNECT) < 0)
		return -1;
	RETURN_CALL(int, call, real(fd, address, len));
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, __CONST_SOCKADDR_ARG to,
	socklen_t to_len)
{
	struct call call;
	ssize_t rc;

	REAL(sendto);
	if (begin_fd(&call, SEND, fd) < 0)
		return -1;
	rc = real(fd, data, length(&call, len), flags, to, to_len);
	end(&call, waits(rc));
	return rc;
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	return sendto(fd, data, len, flags, (__CONST_SOCKADDR_ARG){NULL}, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct call call;
	ssize_t rc;

	REAL(sendmsg);
	if (begin_fd(&call, SEND, fd) < 0)
		return -1;
	rc = real(fd, message, flags);
	end(&call, waits(rc));
	return rc;
}

ssize_t recvfrom(int fd, void *data, size_t len, int flags, __SOCKADDR_ARG from,
	socklen_t *from_len)
{
	struct call call;
	ssize_t rc;

	REAL(recvfrom);
	if (begin_fd(&call, RECV, fd) < 0)
		return -1;
	rc = real(fd, data, length(&call, len), flags, from, from_len);
	end(&call, waits(rc));
	return rc;
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
	return recvfrom(fd, data, len, flags, (__SOCKADDR_ARG){NULL}, NULL);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct call call;
	ssize_t rc;

	REAL(recvmsg);
	if (begin_fd(&call, RECV, fd) < 0)
		return -1;
	rc = real(fd, message, flags);
	end(&call, waits(rc));
	return rc;
}

/* What _FORTIFY_SOURCE makes of these where it knows the room but not the length. */
ssize_t __read_chk(int fd, void *data, size_t len, size_t room);
ssize_t __pread_chk(int fd, void *data, size_t len, off_t at, size_t room);
ssize_t __recv_chk(int fd, void *data, size_t len, size_t room, int flags);

ssize_t __read_chk(int fd, void *data, size_t len, size_t room)
{
	if (len > room)
		abort();
	return read(fd, data, len);
}

ssize_t __pread_chk(int fd, void *data, size_t len, off_t at, size_t room)
{
	if (len > room)
		abort();
	return pread(fd, data, len, at);
}

ssize_t __recv_chk(int fd, void *data, size_t len, size_t room, int flags)
{
	if (len > room)
		abort();
	return recv(fd, data, len, flags);
}

/* ---- programs ---- */

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	struct call call;

	REAL(posix_spawn);
	if (begin_at(&call, SPAWN, AT_FDCWD, path) < 0)
		return errno;
	RETURN_CALL(int, call, real(pid, path, actions, attributes, argv, envp));
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	struct call call;

	REAL(posix_spawnp);
	if (begin_at(&call, SPAWN, AT_FDCWD, file) < 0)
		return errno;
	RETURN_CALL(int, call, real(pid, file, actions, attributes, argv, envp));
}
