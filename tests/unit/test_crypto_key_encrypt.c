/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted PKCS#8, read back by OpenSSL. */

#include "unit_crypto.h"

#include <stdlib.h>
#include <unistd.h>

struct sealed {
	certauto__buffer pem, passphrase;
};

static struct sealed seal(const certauto__pkey *key)
{
	struct sealed out = { CERTAUTO__BUFFER(1 << 16), CERTAUTO__BUFFER(256) };

	assert_int_equal(
		certauto__pkey_format_encrypted(&out.pem, &out.passphrase, key, NULL), 0);
	return out;
}

static void sealed_free(struct sealed *sealed)
{
	certauto__buffer_free(&sealed->pem);
	certauto__buffer_free(&sealed->passphrase);
}

/* What `openssl pkey` makes of it with that passphrase: *len bytes of out; its exit status. */
static int openssl_reads(const certauto__buffer *pem, const char *passphrase, char *out,
	size_t size)
{
	char path[] = "/tmp/certauto-unit-XXXXXX", command[512];
	int fd = mkstemp(path), status;
	size_t n;
	FILE *in;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, pem->data, pem->len), (ssize_t)pem->len);
	close(fd);
	snprintf(command, sizeof(command), "openssl pkey -in %s -passin pass:%s 2>/dev/null", path,
		passphrase);
	in = popen(command, "r");
	assert_non_null(in);
	n = fread(out, 1, size - 1, in);
	out[n] = '\0';
	status = pclose(in);
	unlink(path);
	return status;
}

static void test_key_encrypt__openssl_reads_each_type(void **state)
{
	static const char *const types[] = { "ecdsa-p256", "ecdsa-p384", "rsa-2048", NULL };
	static char out[16384];
	certauto__pkey *key, *again;
	struct sealed sealed;
	size_t i;

	(void)state;
	for (i = 0; types[i] != NULL; i++) {
		assert_int_equal(certauto__pkey_new(&key, types[i], NULL), 0);
		sealed = seal(key);
		assert_int_equal(sealed.passphrase.len, 24);
		assert_int_equal(sealed.passphrase.secret, 1);
		assert_int_equal(strncmp(sealed.pem.data,
			"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", 38), 0);
		assert_int_equal(
			openssl_reads(&sealed.pem, sealed.passphrase.data, out, sizeof(out)), 0);
		assert_int_equal(certauto__pkey_parse(&again, out, strlen(out), NULL), 0);
		assert_true(certauto__pkey_same(key, again));
		certauto__pkey_free(again);
		assert_int_not_equal(
			openssl_reads(&sealed.pem, "another-passphrase", out, sizeof(out)), 0);
		sealed_free(&sealed);
		certauto__pkey_free(key);
	}
}

static void test_key_encrypt__the_same_key_gives_the_same_bytes(void **state)
{
	certauto__pkey *key = unit_key(key_p256), *form = unit_key(key_p256_sec1),
		       *other = unit_key(key_p384);
	struct sealed a = seal(key), b = seal(form), c = seal(other);

	(void)state;
	assert_string_equal(a.pem.data, b.pem.data);
	assert_string_equal(a.passphrase.data, b.passphrase.data);
	assert_string_not_equal(a.passphrase.data, c.passphrase.data);
	sealed_free(&a);
	sealed_free(&b);
	sealed_free(&c);
	certauto__pkey_free(key);
	certauto__pkey_free(form);
	certauto__pkey_free(other);
}

static int never(void *arg, const char *alg, const unsigned char *digest, size_t digest_len,
	certauto__buffer *signature, certauto_error *err)
{
	(void)arg, (void)alg, (void)digest, (void)digest_len, (void)signature, (void)err;
	fail_msg("a signature was asked for");
	return CERTAUTO_EIO;
}

static void test_key_encrypt__a_key_outside_is_refused(void **state)
{
	certauto__buffer spki = CERTAUTO__BUFFER(4096), pem = CERTAUTO__BUFFER(1 << 16),
			 passphrase = CERTAUTO__BUFFER(256);
	certauto__pkey *key = unit_key(key_p256), *signer;
	certauto_error err = { 0 };

	(void)state;
	assert_int_equal(certauto__pkey_public_der(&spki, key), 0);
	assert_int_equal(
		certauto__pkey_new_signer(&signer, spki.data, spki.len, never, NULL, NULL), 0);
	unit_refused(certauto__pkey_format_encrypted(&pem, &passphrase, signer, &err), &err,
		CERTAUTO_EUNSUPPORTED, "outside");
	assert_int_equal(pem.len, 0);
	certauto__buffer_free(&spki);
	certauto__buffer_free(&pem);
	certauto__buffer_free(&passphrase);
	certauto__pkey_free(key);
	certauto__pkey_free(signer);
}

static int oom(void *arg)
{
	struct sealed out = { CERTAUTO__BUFFER(1 << 16), CERTAUTO__BUFFER(256) };
	int rc = certauto__pkey_format_encrypted(&out.pem, &out.passphrase, arg, NULL);

	sealed_free(&out);
	return rc;
}

static void test_key_encrypt__short_of_memory_is_told(void **state)
{
	certauto__pkey *key = unit_key(key_p256);

	(void)state;
	unit_oom_sweep("key_encrypt", oom, key);
	certauto__pkey_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_encrypt__openssl_reads_each_type),
		cmocka_unit_test(test_key_encrypt__the_same_key_gives_the_same_bytes),
		cmocka_unit_test(test_key_encrypt__a_key_outside_is_refused),
		cmocka_unit_test(test_key_encrypt__short_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
