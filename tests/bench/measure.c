/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program and writes what it cost into a file: wall time and CPU time in microseconds, peak
 * resident memory in KiB. A program of its own, and a small one, because the kernel counts the
 * memory of whoever started a process as that process's peak: started from Python everything would
 * cost Python's 12 MiB. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long micros(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char **argv)
{
	struct timespec began, ended;
	struct rusage used;
	pid_t pid;
	FILE *out;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: measure RESULT-FILE PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &began);
	if (posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ) != 0 ||
	    wait4(pid, &status, 0, &used) != pid) {
		perror(argv[2]);
		return 127;
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	out = fopen(argv[1], "w");
	if (!out) {
		perror(argv[1]);
		return 127;
	}
	fprintf(out, "%lld %lld %ld\n",
		(ended.tv_sec - began.tv_sec) * 1000000LL + (ended.tv_nsec - began.tv_nsec) / 1000,
		micros(used.ru_utime) + micros(used.ru_stime), used.ru_maxrss);
	if (fclose(out) != 0)
		return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
