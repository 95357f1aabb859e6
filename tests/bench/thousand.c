/* SPDX-License-Identifier: Apache-2.0 */
/* Many orders at once, on one thread, driven by poll(2) on the context's descriptor: each with a
 * key of its own, one name, and a target that has nothing to show, as the CA here believes
 * everything. Prints, in microseconds, KiB and numbers: wall, CPU, memory before the first order
 * and at most, issued, failed; what checking as many issued chains costs alone; descriptors open
 * before and after all. With "own" instead of a server it does what the client's own share of that
 * work is, keys and signatures, and prints its wall time. */
#define _GNU_SOURCE
#include <certauto.h>
#include <certauto/sys/target.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SIGNATURES 7 /* of one order: six requests and the CSR */

static int nothing(certauto_work *work, void *payload)
{
	(void)work;
	(void)payload;
	return 0;
}

static const certauto_target_ops ops = {
	.version = CERTAUTO_TARGET_OPS_VERSION,
	.caps = CERTAUTO_TARGET_DNS01,
	.name = "nowhere",
	.present = nothing,
	.cleanup = nothing,
};

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static long long cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec +
		u.ru_stime.tv_usec;
}

/* A line of our status, in KiB. The peak that getrusage tells is that of whoever started us. */
static long memory_kib(const char *line)
{
	FILE *file = fopen("/proc/self/status", "r");
	char text[256];
	long kib = 0;

	while (file != NULL && fgets(text, sizeof(text), file) != NULL)
		if (strncmp(text, line, strlen(line)) == 0)
			kib = strtol(text + strlen(line), NULL, 10);
	if (file != NULL)
		fclose(file);
	return kib;
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n;
}

static int make_csr(certauto_csr **out, certauto_context *cx, int i)
{
	char text[64];
	const char *name = text;
	certauto_key *key = NULL;
	int rc;

	(void)snprintf(text, sizeof(text), "n%d.thousand.example.org", i);
	if ((rc = certauto_key_new(&key, cx, "ecdsa-p256")) == 0)
		rc = certauto_csr_new(out, cx, key, &name, 1);
	certauto_key_free(key);
	return rc;
}

/* A CSR costs one signature; more of them stand for the requests'. */
static int own(certauto_context *cx, int n)
{
	const char *name = "own.example.org";
	long long began = now_us();
	certauto_key *key = NULL;
	certauto_csr *csr = NULL;
	int i, j, rc = 0;

	for (i = 0; i < n && rc == 0; i++) {
		if ((rc = certauto_key_new(&key, cx, "ecdsa-p256")) < 0)
			break;
		for (j = 0; j < SIGNATURES && rc == 0; j++) {
			rc = certauto_csr_new(&csr, cx, key, &name, 1);
			certauto_csr_free(csr);
			csr = NULL;
		}
		certauto_key_free(key);
		key = NULL;
	}
	if (rc == 0)
		printf("%lld\n", now_us() - began);
	return rc;
}

static int start(certauto_job **out, certauto_account *account, certauto_target *target, int i)
{
	certauto_order *order = NULL;
	certauto_csr *csr = NULL;
	int rc;

	if ((rc = make_csr(&csr, certauto_account_context(account), i)) == 0 &&
	    (rc = certauto_order_new(&order, account, csr)) == 0 &&
	    (rc = certauto_order_use(order, "dns-01", target)) == 0)
		rc = certauto_order_start(out, order, 600000);
	certauto_order_free(order);
	certauto_csr_free(csr);
	return rc;
}

static int drive(certauto_context *cx)
{
	struct pollfd p = {.fd = certauto_context_fd(cx), .events = POLLIN};
	int left;

	while ((left = certauto_context_run(cx, 0)) > 0)
		if (poll(&p, 1, 60000) == 0)
			return CERTAUTO_ETIMEDOUT; /* the descriptor never told */
	return left;
}

static int orders(certauto_account *account, certauto_target *target, int n)
{
	certauto_context *cx = certauto_account_context(account);
	certauto_job **jobs = calloc((size_t)n, sizeof(*jobs));
	long long began, cpu;
	long memory;
	int i, rc = 0, issued = 0;

	if (jobs == NULL || (rc = certauto_account_register(account, 60000)) < 0)
		goto out;
	memory = memory_kib("VmRSS:");
	cpu = cpu_us();
	began = now_us();
	for (i = 0; i < n && rc == 0; i++)
		rc = start(&jobs[i], account, target, i);
	if (rc < 0 || (rc = drive(cx)) < 0)
		goto out;
	for (i = 0; i < n; i++) {
		issued += certauto_job_result(jobs[i]) == 0;
		if (certauto_job_result(jobs[i]) < 0)
			fprintf(stderr, "%d: %s\n", i,
				certauto_error_message(certauto_job_error(jobs[i])));
	}
	printf("%lld %lld %ld %ld %d %d", now_us() - began, cpu_us() - cpu, memory,
		memory_kib("VmHWM:"), issued, n - issued);
out:
	for (i = 0; jobs != NULL && i < n; i++)
		certauto_job_free(jobs[i]);
	free(jobs);
	return rc;
}

/* What it costs to hold n issued chains against what was asked for: the CA's signature first. */
static int checks(certauto_account *account, certauto_target *target, int n)
{
	certauto_context *cx = certauto_account_context(account);
	const char *name = "checked.example.org";
	certauto_order *order = NULL;
	certauto_chain *chain = NULL;
	certauto_key *key = NULL;
	certauto_csr *csr = NULL;
	long long began = 0;
	int i, rc;

	if ((rc = certauto_key_new(&key, cx, "ecdsa-p256")) == 0 &&
	    (rc = certauto_csr_new(&csr, cx, key, &name, 1)) == 0 &&
	    (rc = certauto_order_new(&order, account, csr)) == 0 &&
	    (rc = certauto_order_use(order, "dns-01", target)) == 0 &&
	    (rc = certauto_order_run(order, 60000)) == 0 &&
	    (rc = certauto_order_dup_chain(&chain, order)) == 0)
		began = now_us();
	for (i = 0; i < n && rc == 0; i++)
		rc = certauto_chain_check(chain, key, &name, 1);
	if (rc == 0)
		printf(" %lld", now_us() - began);
	certauto_chain_free(chain);
	certauto_order_free(order);
	certauto_csr_free(csr);
	certauto_key_free(key);
	return rc;
}

int main(int argc, char **argv)
{
	certauto_context *cx = NULL;
	certauto_account *account = NULL;
	certauto_target *target = NULL;
	int n = argc > 2 ? atoi(argv[2]) : 0, fds = descriptors(), own_share, rc;

	if (n < 1 || (strcmp(argv[1], "own") != 0 && argc != 4)) {
		fprintf(stderr, "usage: thousand own N | SERVER N CA-FILE\n");
		return 2;
	}
	own_share = strcmp(argv[1], "own") == 0;
	if ((rc = certauto_context_new(&cx)) < 0)
		return 1;
	if (own_share)
		rc = own(cx, n);
	else if ((rc = certauto_account_new(&account, cx, argv[1])) == 0 &&
	    (rc = certauto_account_set_ca_file(account, argv[3])) == 0 &&
	    (rc = certauto_account_set_agree_tos(account, 1)) == 0 &&
	    (rc = certauto_target_new_ops(&target, cx, &ops, NULL, NULL)) == 0 &&
	    (rc = orders(account, target, n)) == 0)
		rc = checks(account, target, n);
	if (rc < 0)
		fprintf(stderr, "%s\n", certauto_error_message(certauto_context_error(cx)));
	certauto_target_free(target);
	certauto_account_free(account);
	certauto_context_free(cx);
	if (rc == 0 && !own_share)
		printf(" %d %d\n", fds, descriptors());
	return rc < 0;
}
