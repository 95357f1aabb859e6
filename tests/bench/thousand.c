/* SPDX-License-Identifier: Apache-2.0 */
/* Many orders at once, on one thread, driven by poll(2) on the context's descriptor: each with a
 * key of its own, one name, and a target that has nothing to show, as the CA here believes
 * everything. Prints, in microseconds, KiB and numbers: wall, CPU, what of it were keys and
 * signatures of our own, and what verifying the CA's; memory before the first order and at most;
 * issued, failed; descriptors open before and after all. */
#define _GNU_SOURCE
#include <certauto.h>
#include <certauto/sys/target.h>
#include <dirent.h>
#include <dlfcn.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/version.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

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

/* ---- the calls of the library to mbedTLS pass through here and are timed ---- */

typedef int rng(void *arg, unsigned char *out, size_t len);

static long long own_us, verifying_us;
static int depth; /* mbedTLS calls itself this way too */

static long long enter(void)
{
	return depth++ == 0 ? now_us() : 0;
}

static int leave(long long *us, long long began, int ret)
{
	if (--depth == 0)
		*us += now_us() - began;
	return ret;
}

/* ISO C has no cast from what dlsym() gives to a function. */
static void find(void *function, const char *name)
{
	void *at = dlsym(RTLD_NEXT, name);

	if (at == NULL) {
		fprintf(stderr, "mbedTLS has no %s\n", name);
		exit(1);
	}
	memcpy(function, &at, sizeof(at));
}

int mbedtls_ecp_gen_key(mbedtls_ecp_group_id id, mbedtls_ecp_keypair *key, rng *f_rng,
	void *rng_arg)
{
	static int (*real)(mbedtls_ecp_group_id, mbedtls_ecp_keypair *, rng *, void *);
	long long began = enter();

	if (real == NULL)
		find(&real, __func__);
	return leave(&own_us, began, real(id, key, f_rng, rng_arg));
}

#if MBEDTLS_VERSION_NUMBER < 0x03000000
int mbedtls_ecdsa_write_signature(mbedtls_ecdsa_context *key, mbedtls_md_type_t md,
	const unsigned char *digest, size_t digest_len, unsigned char *sig, size_t *sig_len,
	rng *f_rng, void *rng_arg)
{
	static int (*real)(mbedtls_ecdsa_context *, mbedtls_md_type_t, const unsigned char *,
		size_t, unsigned char *, size_t *, rng *, void *);
	long long began = enter();

	if (real == NULL)
		find(&real, __func__);
	return leave(&own_us, began,
		real(key, md, digest, digest_len, sig, sig_len, f_rng, rng_arg));
}
#else
int mbedtls_ecdsa_write_signature(mbedtls_ecdsa_context *key, mbedtls_md_type_t md,
	const unsigned char *digest, size_t digest_len, unsigned char *sig, size_t sig_size,
	size_t *sig_len, rng *f_rng, void *rng_arg)
{
	static int (*real)(mbedtls_ecdsa_context *, mbedtls_md_type_t, const unsigned char *,
		size_t, unsigned char *, size_t, size_t *, rng *, void *);
	long long began = enter();

	if (real == NULL)
		find(&real, __func__);
	return leave(&own_us, began,
		real(key, md, digest, digest_len, sig, sig_size, sig_len, f_rng, rng_arg));
}
#endif

/* The library multiplies by itself for nothing but that. */
int mbedtls_ecp_mul(mbedtls_ecp_group *curve, mbedtls_ecp_point *out, const mbedtls_mpi *factor,
	const mbedtls_ecp_point *point, rng *f_rng, void *rng_arg)
{
	static int (*real)(mbedtls_ecp_group *, mbedtls_ecp_point *, const mbedtls_mpi *,
		const mbedtls_ecp_point *, rng *, void *);
	long long began = enter();

	if (real == NULL)
		find(&real, __func__);
	return leave(&verifying_us, began, real(curve, out, factor, point, f_rng, rng_arg));
}

/* ---- what is measured ---- */

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
	own_us = verifying_us = 0;
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
	printf("%lld %lld %lld %lld %ld %ld %d %d", now_us() - began, cpu_us() - cpu, own_us,
		verifying_us, memory, memory_kib("VmHWM:"), issued, n - issued);
out:
	for (i = 0; jobs != NULL && i < n; i++)
		certauto_job_free(jobs[i]);
	free(jobs);
	return rc;
}

int main(int argc, char **argv)
{
	certauto_context *cx = NULL;
	certauto_account *account = NULL;
	certauto_target *target = NULL;
	int n = argc == 4 ? atoi(argv[2]) : 0, fds = descriptors(), rc;

	if (n < 1) {
		fprintf(stderr, "usage: thousand SERVER N CA-FILE\n");
		return 2;
	}
	if ((rc = certauto_context_new(&cx)) < 0)
		return 1;
	if ((rc = certauto_account_new(&account, cx, argv[1])) == 0 &&
	    (rc = certauto_account_set_ca_file(account, argv[3])) == 0 &&
	    (rc = certauto_account_set_agree_tos(account, 1)) == 0 &&
	    (rc = certauto_target_new_ops(&target, cx, &ops, NULL, NULL)) == 0)
		rc = orders(account, target, n);
	if (rc < 0)
		fprintf(stderr, "%s\n", certauto_error_message(certauto_context_error(cx)));
	certauto_target_free(target);
	certauto_account_free(account);
	certauto_context_free(cx);
	if (rc == 0)
		printf(" %d %d\n", fds, descriptors());
	return rc < 0;
}
