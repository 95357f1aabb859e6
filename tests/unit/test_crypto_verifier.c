/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of one issuer, checked with what was kept of the first: right ones without mbedTLS
 * having to verify them, wrong ones never. */
#include "unit_crypto.h"

#include <dlfcn.h>

#include "crypto/verifier.h"

#define LEAVES 4

static const int64_t now = 1780000000;
static int n_generic;

/* The library's calls pass through here. */
int mbedtls_pk_verify_ext(mbedtls_pk_type_t type, const void *options, mbedtls_pk_context *pk,
	mbedtls_md_type_t md, const unsigned char *digest, size_t digest_len,
	const unsigned char *sig, size_t sig_len)
{
	static int (*real)(mbedtls_pk_type_t, const void *, mbedtls_pk_context *, mbedtls_md_type_t,
		const unsigned char *, size_t, const unsigned char *, size_t);
	void *at = dlsym(RTLD_NEXT, "mbedtls_pk_verify_ext");

	assert_non_null(at);
	memcpy(&real, &at, sizeof(at));
	n_generic++;
	return real(type, options, pk, md, digest, digest_len, sig, sig_len);
}

struct ca {
	certauto__pkey *key;
	certauto__certs *certs;
};

static certauto__req *request(const certauto__pkey *key)
{
	certauto__list names = unit_list("shop.example.org");
	certauto__req *req = NULL;

	assert_int_equal(certauto__req_new(&req, key, &names, NULL, NULL), 0);
	certauto__list_free(&names);
	return req;
}

/* Each has another serial number, and so another signature. */
static certauto__certs *signed_by(const certauto__pkey *key)
{
	certauto__req *req = request(key);
	certauto__certs *certs = NULL;

	assert_int_equal(certauto__certs_self_signed(&certs, key, req, now, now + 10, NULL), 0);
	certauto__req_free(req);
	return certs;
}

static struct ca ca_new(const char *pem)
{
	struct ca ca = { unit_key(pem), NULL };

	ca.certs = signed_by(ca.key);
	return ca;
}

static void ca_free(struct ca *ca)
{
	certauto__certs_free(ca->certs);
	certauto__pkey_free(ca->key);
}

static int check(struct certauto__verifier *verifier, const struct ca *ca,
	const struct certauto__mbed_signed *what)
{
	return certauto__verifier_check(verifier, ca->certs->items[0], what);
}

/* With any byte of the signature changed it is refused, in mbedTLS's words. */
static void check_tampered(struct certauto__verifier *verifier, const struct ca *ca,
	const struct certauto__mbed_signed *what, size_t step)
{
	unsigned char *sig = (unsigned char *)what->sig;
	size_t i;
	int ret;

	for (i = 0; i < what->sig_len; i += step) {
		sig[i] ^= 1;
		ret = check(verifier, ca, what);
		assert_int_not_equal(ret, 0);
		assert_int_equal(ret, certauto__mbed_verify(&ca->certs->items[0]->crt.pk, what));
		sig[i] ^= 1;
	}
}

static void check_leaf(struct certauto__verifier *verifier, const struct ca *ca, int generic,
	int first)
{
	certauto__certs *certs = signed_by(ca->key);
	struct certauto__mbed_signed what;

	certauto__mbed_crt_signed(&what, &certs->items[0]->crt);
	n_generic = 0;
	assert_int_equal(check(verifier, ca, &what), 0);
	assert_int_equal(n_generic, generic);
	if (first)
		check_tampered(verifier, ca, &what, generic ? 64 : 1);
	what.sig_len--;
	assert_int_not_equal(check(verifier, ca, &what), 0);
	what.sig_len++;
	what.body_len--;
	assert_int_not_equal(check(verifier, ca, &what), 0);
	what.body_len++;
	what.md = MBEDTLS_MD_SHA512;
	assert_int_not_equal(check(verifier, ca, &what), 0);
	certauto__certs_free(certs);
}

static void check_issuer(const char *pem, int generic)
{
	struct certauto__verifier *verifier = certauto__verifier_new();
	struct ca ca = ca_new(pem);
	int i;

	assert_non_null(verifier);
	for (i = 0; i < LEAVES; i++)
		check_leaf(verifier, &ca, generic, i == 0);
	ca_free(&ca);
	certauto__verifier_free(verifier);
}

static void test_verifier__p256_is_checked_with_what_was_kept(void **state)
{
	(void)state;
	check_issuer(key_p256, 0);
}

static void test_verifier__p384_is_checked_with_what_was_kept(void **state)
{
	(void)state;
	check_issuer(key_p384, 0);
}

static void test_verifier__rsa_is_left_to_mbedtls(void **state)
{
	(void)state;
	check_issuer(key_rsa2048, 1);
}

static void test_verifier__a_signature_of_another_key_is_refused(void **state)
{
	struct certauto__verifier *verifier = certauto__verifier_new();
	struct ca a = ca_new(key_p256), b = ca_new(key_rfc7515_a3), c = ca_new(key_p384);
	const struct ca *const all[] = { &a, &b, &c };
	struct certauto__mbed_signed what;
	certauto__certs *certs;
	size_t i, j, round;

	(void)state;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 3; i++) {
			certs = signed_by(all[i]->key);
			certauto__mbed_crt_signed(&what, &certs->items[0]->crt);
			for (j = 0; j < 3; j++)
				assert_int_equal(check(verifier, all[j], &what) == 0, i == j);
			certauto__certs_free(certs);
		}
	}
	ca_free(&a);
	ca_free(&b);
	ca_free(&c);
	certauto__verifier_free(verifier);
}

static int check_chain(const char *pem, struct certauto__verifier *verifier)
{
	certauto__pkey *key = unit_key(key_p256);
	certauto__certs *certs = unit_certs(pem);
	certauto__list names = certs->items[0]->names;
	int rc = certauto__certs_check(certs, key, NULL, &names,
		certauto__clock_from_utc(2026, 6, 1, 0, 0, 0), 0, verifier, NULL);

	certauto__certs_free(certs);
	certauto__pkey_free(key);
	return rc;
}

/* chain_reversed_tail has the same leaf and issuer, and a link above them that does not hold. */
static void test_verifier__links_above_are_checked_when_they_change(void **state)
{
	struct certauto__verifier *verifier = certauto__verifier_new();
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(check_chain(chain_good_with_root, verifier), 0);
		assert_int_equal(check_chain(chain_reversed_tail, verifier), CERTAUTO_ECERT);
		assert_int_equal(check_chain(chain_good_with_root, verifier), 0);
		n_generic = 0;
		assert_int_equal(check_chain(chain_good_with_root, verifier), 0);
		assert_int_equal(n_generic, 0);
		assert_int_equal(check_chain(chain_good, verifier), 0);
	}
	assert_int_equal(check_chain(chain_reversed_tail, NULL), CERTAUTO_ECERT);
	certauto__verifier_free(verifier);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier__p256_is_checked_with_what_was_kept),
		cmocka_unit_test(test_verifier__p384_is_checked_with_what_was_kept),
		cmocka_unit_test(test_verifier__rsa_is_left_to_mbedtls),
		cmocka_unit_test(test_verifier__a_signature_of_another_key_is_refused),
		cmocka_unit_test(test_verifier__links_above_are_checked_when_they_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
