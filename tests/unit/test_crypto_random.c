/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes when the kernel answers well and badly; SHA-256 vectors. */

#include "unit_crypto.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Stands in front of the C library's: the kernel's answer, made worse. */
static enum { AS_IT_IS, SHORT, INTERRUPTED, BROKEN } mode;
static int n_calls;

ssize_t getrandom(void *out, size_t len, unsigned int flags)
{
	n_calls++;
	if (mode == BROKEN && n_calls > 1) {
		errno = ENOSYS;
		return -1;
	}
	if (mode == INTERRUPTED && n_calls % 2 == 1) {
		errno = EINTR;
		return -1;
	}
	if ((mode == SHORT || mode == BROKEN) && len > 7)
		len = 7;
	return syscall(SYS_getrandom, out, len, flags);
}

static void test_random__fills_all_bytes(void **state)
{
	unsigned char bytes[4096], seen[256];
	size_t i, n = 0;

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	memset(seen, 0, sizeof(seen));
	assert_int_equal(certauto__random(bytes, sizeof(bytes), NULL), 0);
	for (i = 0; i < sizeof(bytes); i++)
		seen[bytes[i]] = 1;
	for (i = 0; i < sizeof(seen); i++)
		n += seen[i];
	/* A value is missing from 4096 draws once in 10^5; 8 of them never are. */
	assert_true(n >= 248);
	assert_int_equal(certauto__random(bytes, 0, NULL), 0);
}

static void test_random__short_and_interrupted_reads_go_on(void **state)
{
	unsigned char bytes[64];

	(void)state;
	mode = SHORT;
	n_calls = 0;
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(certauto__random(bytes, sizeof(bytes), NULL), 0);
	assert_int_equal(n_calls, 10);
	assert_memory_not_equal(bytes + 56, "\0\0\0\0\0\0\0\0", 8);
	mode = INTERRUPTED;
	n_calls = 0;
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(certauto__random(bytes, sizeof(bytes), NULL), 0);
	assert_int_equal(n_calls, 2);
	assert_memory_not_equal(bytes, "\0\0\0\0\0\0\0\0", 8);
	mode = AS_IT_IS;
}

/* What came before the failure is wiped: nobody shall use half a number. No key, no signature. */
static void test_random__failure_is_told_by_every_user(void **state)
{
	certauto__buffer sig = CERTAUTO__BUFFER(1024);
	certauto__pkey *rsa = unit_key(key_rsa2048), *key = NULL;
	unsigned char bytes[64], nothing[64];
	certauto_error err = { 0 };

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	memset(nothing, 0, sizeof(nothing));
	mode = BROKEN;
	n_calls = 0;
	unit_refused(certauto__random(bytes, sizeof(bytes), &err), &err, CERTAUTO_EIO, "getrandom");
	assert_memory_equal(bytes, nothing, sizeof(bytes));
	unit_refused(certauto__pkey_new(&key, "ecdsa-p256", &err), &err, CERTAUTO_EIO, "no random");
	unit_refused(certauto__pkey_new(&key, "rsa-2048", &err), &err, CERTAUTO_EIO, "no random");
	unit_refused(certauto__pkey_jws_sign(&sig, rsa, "x", 1, &err), &err, CERTAUTO_EIO,
		"no random");
	mode = AS_IT_IS;
	assert_null(key);
	assert_int_equal(sig.len, 0);
	certauto__pkey_free(rsa);
	certauto__buffer_free(&sig);
}

static void test_random__child_draws_other_bytes(void **state)
{
	unsigned char mine[16], theirs[16];
	int fds[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(certauto__random(mine, sizeof(mine), NULL), 0);
	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (certauto__random(theirs, sizeof(theirs), NULL) < 0 ||
		    write(fds[1], theirs, sizeof(theirs)) != (ssize_t)sizeof(theirs))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(certauto__random(mine, sizeof(mine), NULL), 0);
	assert_int_equal(read(fds[0], theirs, sizeof(theirs)), sizeof(theirs));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fds[0]);
	close(fds[1]);
	assert_memory_not_equal(mine, theirs, sizeof(mine));
}

static void test_random__hex_has_its_length(void **state)
{
	char a[2 * 8 + 2], b[2 * 8 + 2];

	(void)state;
	memset(a, '!', sizeof(a));
	assert_int_equal(certauto__random_hex(a, 8, NULL), 0);
	assert_int_equal(certauto__random_hex(b, 8, NULL), 0);
	assert_int_equal(strlen(a), 16);
	assert_int_equal(a[17], '!');
	assert_int_equal(strspn(a, "0123456789abcdef"), 16);
	assert_string_not_equal(a, b);
}

static void test_digest__sha256_vectors(void **state)
{
	char hex[65];

	(void)state; /* FIPS 180-4 examples */
	certauto__sha256_hex(hex, "abc", 3);
	assert_string_equal(
		hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	certauto__sha256_hex(hex, NULL, 0);
	assert_string_equal(
		hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random__fills_all_bytes),
		cmocka_unit_test(test_random__short_and_interrupted_reads_go_on),
		cmocka_unit_test(test_random__failure_is_told_by_every_user),
		cmocka_unit_test(test_random__child_draws_other_bytes),
		cmocka_unit_test(test_random__hex_has_its_length),
		cmocka_unit_test(test_digest__sha256_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
