/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as JOSE sees them: the vectors of RFC 7515 and 7638, widths, and keys outside. */

#include "unit_crypto.h"

#include "crypto/pkey.h"

/* RFC 7515 A.3.1: the signing input and its signature. */
static const char a3_input[] =
	"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
	"LmNvbS9pc19yb290Ijp0cnVlfQ";
static const char a3_signature[] =
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static certauto__pkey *public_only(const char *pem, certauto__sign_fn sign, void *arg)
{
	certauto__buffer spki = unit_der(pem);
	certauto__pkey *key = NULL;

	assert_int_equal(certauto__pkey_new_signer(&key, spki.data, spki.len, sign, arg, NULL), 0);
	certauto__buffer_free(&spki);
	return key;
}

static int never_signs(void *arg, const char *alg, const unsigned char *digest, size_t digest_len,
	certauto__buffer *signature, certauto_error *err)
{
	(void)arg;
	(void)alg;
	(void)digest;
	(void)digest_len;
	(void)signature;
	return certauto__error_set(err, CERTAUTO_EBUSY, NULL, "the token is busy");
}

/* ---- JWK and thumbprint ---- */

static void check_jwk(const certauto__pkey *key, const char *jwk)
{
	certauto__buffer out = CERTAUTO__BUFFER(4096);

	assert_int_equal(certauto__pkey_jwk(&out, key), 0);
	assert_string_equal(out.data, jwk);
	certauto__buffer_free(&out);
}

static void test_jwk__ec_members_are_sorted_and_full_width(void **state)
{
	certauto__pkey *key = unit_key(key_rfc7515_a3);

	(void)state;
	check_jwk(key, "{\"crv\":\"P-256\",\"kty\":\"EC\","
		       "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
		       "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}");
	certauto__pkey_free(key);
}

/* 43 characters are 32 bytes; 'A' in front says that the first 6 bits are zero. */
static void test_jwk__leading_zero_of_a_coordinate_is_kept(void **state)
{
	static const char *const pems[] = { key_zero_x, key_zero_y };
	static const char *const members[] = { "\"x\":\"A", "\"y\":\"A" };
	certauto__buffer out = CERTAUTO__BUFFER(4096);
	certauto__pkey *key;
	const char *value;
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		key = unit_key(pems[i]);
		certauto__buffer_clear(&out);
		assert_int_equal(certauto__pkey_jwk(&out, key), 0);
		value = strstr(out.data, members[i]);
		assert_non_null(value);
		assert_int_equal(strcspn(value + 5, "\""), 43);
		certauto__pkey_free(key);
	}
	certauto__buffer_free(&out);
}

static void test_jwk__p384_has_48_bytes(void **state)
{
	certauto__buffer out = CERTAUTO__BUFFER(4096);
	certauto__pkey *key = unit_key(key_p384);

	(void)state;
	assert_string_equal(certauto__pkey_jws_alg(key), "ES384");
	assert_int_equal(certauto__pkey_jwk(&out, key), 0);
	assert_true(certauto__text_starts(out.data, "{\"crv\":\"P-384\",\"kty\":\"EC\",\"x\":\""));
	assert_int_equal(strcspn(out.data + 31, "\""), 64);
	certauto__pkey_free(key);
	certauto__buffer_free(&out);
}

static void test_jwk__thumbprint_of_rfc7638(void **state)
{
	certauto__pkey *key = public_only(key_rfc7638_public, never_signs, NULL);
	certauto__buffer out = CERTAUTO__BUFFER(4096);

	(void)state;
	assert_int_equal(certauto__pkey_thumbprint(&out, key), 0);
	assert_string_equal(out.data, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	certauto__buffer_clear(&out);
	assert_int_equal(certauto__pkey_jwk(&out, key), 0);
	assert_true(
		certauto__text_starts(out.data, "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"0vx7ago"));
	certauto__pkey_free(key);
	certauto__buffer_free(&out);
}

/* ---- the two forms of an ECDSA signature ---- */

static void test_ecdsa__leading_zeros_are_padded(void **state)
{
	static const char der[] = "\x30\x08\x02\x01\x05\x02\x03\x00\x80\x01";
	static const char wanted[] = "\0\0\0\x05" "\0\0\x80\x01";
	certauto__buffer raw = CERTAUTO__BUFFER(64), back = CERTAUTO__BUFFER(64);

	(void)state;
	assert_int_equal(certauto__ecdsa_to_raw(&raw, 4, der, sizeof(der) - 1), 0);
	assert_int_equal(raw.len, 8);
	assert_memory_equal(raw.data, wanted, 8);
	assert_int_equal(certauto__ecdsa_to_der(&back, 4, raw.data, raw.len), 0);
	assert_int_equal(back.len, sizeof(der) - 1);
	assert_memory_equal(back.data, der, back.len);
	certauto__buffer_free(&raw);
	certauto__buffer_free(&back);
}

static void test_ecdsa__malformed_signatures_are_refused(void **state)
{
	static const struct {
		const char *der;
		size_t len;
	} cases[] = {
		{ "", 0 },
		{ "\x30\x03\x02\x01\x05", 5 },                             /* one number */
		{ "\x30\x06\x02\x01\x05\x02\x01", 7 },                     /* cut */
		{ "\x30\x09\x02\x01\x05\x02\x01\x05\x02\x01\x05", 11 },    /* three numbers */
		{ "\x30\x06\x02\x01\x05\x02\x01\x05\x00", 9 },             /* trailing byte */
		{ "\x30\x0A\x02\x05\x01\x02\x03\x04\x05\x02\x01\x05", 12 }, /* too wide */
		{ "\x30\x06\x04\x01\x05\x02\x01\x05", 8 },                 /* no INTEGER */
	};
	certauto__buffer out = CERTAUTO__BUFFER(64);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(certauto__ecdsa_to_raw(&out, 4, cases[i].der, cases[i].len),
			CERTAUTO_EINVAL);
	assert_int_equal(certauto__ecdsa_to_der(&out, 4, "1234567", 7), CERTAUTO_EINVAL);
	certauto__buffer_free(&out);
}

/* ---- signatures ---- */

static int verify(const certauto__pkey *key, const void *data, size_t len, const void *sig,
	size_t sig_len)
{
	certauto__buffer der = CERTAUTO__BUFFER(1024);
	struct certauto__mbed_signed what;
	int ret = 0;

	if (key->kind->crv != NULL)
		ret = certauto__ecdsa_to_der(&der, certauto__pkey_width(key), sig, sig_len);
	else
		certauto__buffer_add(&der, sig, sig_len);
	memset(&what, 0, sizeof(what));
	what.body = data;
	what.body_len = len;
	what.sig = (const unsigned char *)der.data;
	what.sig_len = der.len;
	what.md = key->kind->md;
	what.pk = key->kind->crv != NULL ? MBEDTLS_PK_ECDSA : MBEDTLS_PK_RSA;
	if (ret == 0)
		ret = certauto__mbed_verify(&key->pk, &what);
	certauto__buffer_free(&der);
	return ret;
}

static void test_jws__signature_of_rfc7515_verifies(void **state)
{
	certauto__pkey *key = unit_key(key_rfc7515_a3);
	certauto__buffer sig = CERTAUTO__BUFFER(1024);

	(void)state;
	assert_string_equal(certauto__pkey_jws_alg(key), "ES256");
	assert_int_equal(certauto__base64url_decode(&sig, a3_signature, strlen(a3_signature)), 0);
	assert_int_equal(verify(key, a3_input, strlen(a3_input), sig.data, sig.len), 0);
	sig.data[10] ^= 1;
	assert_int_not_equal(verify(key, a3_input, strlen(a3_input), sig.data, sig.len), 0);
	certauto__pkey_free(key);
	certauto__buffer_free(&sig);
}

static void test_jws__our_signatures_verify(void **state)
{
	static const char *const pems[] = { key_rfc7515_a3, key_p384, key_rsa2048 };
	static const size_t lens[] = { 64, 96, 256 };
	certauto__buffer sig = CERTAUTO__BUFFER(1024);
	certauto__pkey *key;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		key = unit_key(pems[i]);
		certauto__buffer_clear(&sig);
		assert_int_equal(
			certauto__pkey_jws_sign(&sig, key, a3_input, strlen(a3_input), NULL), 0);
		assert_int_equal(sig.len, lens[i]);
		assert_int_equal(verify(key, a3_input, strlen(a3_input), sig.data, sig.len), 0);
		assert_int_not_equal(verify(key, "other", 5, sig.data, sig.len), 0);
		certauto__pkey_free(key);
	}
	certauto__buffer_free(&sig);
}

/* With 1,200 signatures some r and some s start with a zero byte (each with 1 in 256): the width
 * stays, and they verify. */
static void test_jws__width_stays_with_small_numbers(void **state)
{
	certauto__pkey *key = unit_key(key_rfc7515_a3);
	certauto__buffer sig = CERTAUTO__BUFFER(1024);
	int i, n_zero_r = 0, n_zero_s = 0;

	(void)state;
	for (i = 0; i < 20000 && (i < 1200 || n_zero_r == 0 || n_zero_s == 0); i++) {
		certauto__buffer_clear(&sig);
		assert_int_equal(certauto__pkey_jws_sign(&sig, key, &i, sizeof(i), NULL), 0);
		assert_int_equal(sig.len, 64);
		if (sig.data[0] != 0 && sig.data[32] != 0)
			continue;
		n_zero_r += sig.data[0] == 0;
		n_zero_s += sig.data[32] == 0;
		assert_int_equal(verify(key, &i, sizeof(i), sig.data, sig.len), 0);
	}
	assert_true(n_zero_r > 0 && n_zero_s > 0);
	certauto__pkey_free(key);
	certauto__buffer_free(&sig);
}

static void test_jws__appends_to_what_is_there(void **state)
{
	certauto__buffer sig = CERTAUTO__BUFFER(1024);
	certauto__pkey *key = unit_key(key_p256);

	(void)state;
	certauto__buffer_text_add(&sig, "before");
	assert_int_equal(certauto__pkey_jws_sign(&sig, key, "", 0, NULL), 0);
	assert_int_equal(sig.len, 6 + 64);
	assert_int_equal(verify(key, "", 0, sig.data + 6, 64), 0);
	certauto__pkey_free(key);
	certauto__buffer_free(&sig);
}

/* ---- a key outside ---- */

struct token {
	certauto__pkey *key;    /* what the token really signs with */
	const char *alg;        /* what it was asked for */
	size_t digest_len;
	size_t cut;             /* bytes left off */
};

/* Signs the digest as an HSM does: it never sees the data. */
static int token_sign(void *arg, const char *alg, const unsigned char *digest, size_t digest_len,
	certauto__buffer *signature, certauto_error *err)
{
	unsigned char sig[MBEDTLS_PK_SIGNATURE_MAX_SIZE];
	struct token *token = arg;
	size_t len;

	(void)err;
	token->alg = alg;
	token->digest_len = digest_len;
	assert_int_equal(certauto__mbed_sign(&token->key->pk, token->key->kind->md, digest,
				 digest_len, sig, &len, certauto__mbed_random),
		0);
	if (token->key->kind->crv != NULL)
		assert_int_equal(certauto__ecdsa_to_raw(signature, certauto__pkey_width(token->key),
			sig, len), 0);
	else
		assert_int_equal(certauto__buffer_add(signature, sig, len), 0);
	signature->len -= token->cut;
	return 0;
}

static certauto__pkey *token_key(struct token *token, const char *pem)
{
	certauto__buffer spki = CERTAUTO__BUFFER(4096);
	certauto__pkey *key = NULL;

	memset(token, 0, sizeof(*token));
	token->key = unit_key(pem);
	assert_int_equal(certauto__pkey_public_der(&spki, token->key), 0);
	assert_int_equal(
		certauto__pkey_new_signer(&key, spki.data, spki.len, token_sign, token, NULL), 0);
	certauto__buffer_free(&spki);
	return key;
}

static void test_signer__signs_as_a_key_here_does(void **state)
{
	static const char *const pems[] = { key_p256, key_p384, key_rsa2048 };
	static const char *const algs[] = { "ES256", "ES384", "RS256" };
	static const size_t lens[] = { 32, 48, 32 };
	certauto__buffer sig = CERTAUTO__BUFFER(1024);
	struct token token;
	certauto__pkey *key;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		key = token_key(&token, pems[i]);
		assert_true(certauto__pkey_is_signer(key));
		assert_true(certauto__pkey_same(key, token.key));
		certauto__buffer_clear(&sig);
		assert_int_equal(certauto__pkey_jws_sign(&sig, key, "data", 4, NULL), 0);
		assert_string_equal(token.alg, algs[i]);
		assert_int_equal(token.digest_len, lens[i]);
		assert_int_equal(verify(token.key, "data", 4, sig.data, sig.len), 0);
		certauto__pkey_free(key);
		certauto__pkey_free(token.key);
	}
	certauto__buffer_free(&sig);
}

static void test_signer__makes_requests(void **state)
{
	certauto__list names = unit_list("shop.example.org");
	certauto__req *req = NULL, *again;
	certauto__buffer pem = CERTAUTO__BUFFER(65536);
	struct token token;
	certauto__pkey *key = token_key(&token, key_p384);

	(void)state;
	assert_int_equal(certauto__req_new(&req, key, &names, NULL, NULL), 0);
	assert_int_equal(certauto__req_format(&pem, req), 0);
	again = unit_req(pem.data); /* verifies the signature */
	assert_true(certauto__req_has_key(again, token.key));
	certauto__req_free(req);
	certauto__req_free(again);
	certauto__buffer_free(&pem);
	certauto__list_free(&names);
	certauto__pkey_free(key);
	certauto__pkey_free(token.key);
}

static void test_signer__its_failures_are_told(void **state)
{
	certauto__pkey *busy = public_only(key_rfc7638_public, never_signs, NULL), *own;
	certauto__buffer sig = CERTAUTO__BUFFER(1024);
	certauto__secret *pem = NULL;
	certauto_error err = { 0 };
	struct token token;
	certauto__pkey *key = token_key(&token, key_p256);

	(void)state;
	unit_refused(certauto__pkey_jws_sign(&sig, busy, "x", 1, &err), &err, CERTAUTO_EBUSY,
		"the token is busy");
	unit_refused(
		certauto__pkey_format(&pem, key, &err), &err, CERTAUTO_EUNSUPPORTED, "outside");
	assert_null(pem);
	token.cut = 1;
	unit_refused(certauto__pkey_jws_sign(&sig, key, "x", 1, &err), &err, CERTAUTO_EINVAL,
		"63 bytes where an ES256 signature has 64");
	token.cut = 0;
	own = token.key;
	token.key = unit_key(key_zero_x); /* the token picks the wrong slot */
	unit_refused(certauto__pkey_jws_sign(&sig, key, "x", 1, &err), &err, CERTAUTO_EINVAL,
		"does not fit its public key");
	assert_int_equal(sig.len, 0);
	certauto__pkey_free(token.key);
	certauto__pkey_free(own);
	certauto__pkey_free(key);
	certauto__pkey_free(busy);
	certauto__buffer_free(&sig);
}

static void test_signer__needs_a_public_key_of_our_types(void **state)
{
	certauto__buffer der = unit_der(key_p256);
	certauto__pkey *key = NULL, *p521;
	certauto_error err = { 0 };

	(void)state;
	unit_refused(certauto__pkey_new_signer(&key, NULL, 0, never_signs, NULL, &err), &err,
		CERTAUTO_EINVAL, "public key");
	unit_refused(certauto__pkey_new_signer(&key, "x", 1, NULL, NULL, &err), &err,
		CERTAUTO_EINVAL, "function");
	unit_refused(certauto__pkey_new_signer(&key, der.data, der.len, never_signs, NULL, &err),
		&err, CERTAUTO_EINVAL, "no SubjectPublicKeyInfo");
	assert_null(key);
	certauto__buffer_free(&der);
	p521 = NULL;
	assert_int_equal(
		certauto__pkey_parse(&p521, key_p521, strlen(key_p521), NULL), CERTAUTO_EINVAL);
	assert_null(p521);
}

static int oom_sign(void *arg)
{
	certauto__buffer sig = CERTAUTO__BUFFER(1024);
	int rc = certauto__pkey_jws_sign(&sig, arg, "data", 4, NULL);

	certauto__buffer_free(&sig);
	return rc;
}

static int oom_thumbprint(void *arg)
{
	certauto__buffer out = CERTAUTO__BUFFER(1024);
	int rc = certauto__pkey_thumbprint(&out, arg);

	certauto__buffer_free(&out);
	return rc;
}

static void test_jws__short_of_memory(void **state)
{
	certauto__pkey *key = unit_key(key_p256), *outside;
	struct token token;

	(void)state;
	unit_oom_sweep("sign", oom_sign, key);
	unit_oom_sweep("thumbprint", oom_thumbprint, key);
	certauto__pkey_free(key);
	outside = token_key(&token, key_p256);
	certauto__pkey_free(outside);
	certauto__pkey_free(token.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jwk__ec_members_are_sorted_and_full_width),
		cmocka_unit_test(test_jwk__leading_zero_of_a_coordinate_is_kept),
		cmocka_unit_test(test_jwk__p384_has_48_bytes),
		cmocka_unit_test(test_jwk__thumbprint_of_rfc7638),
		cmocka_unit_test(test_ecdsa__leading_zeros_are_padded),
		cmocka_unit_test(test_ecdsa__malformed_signatures_are_refused),
		cmocka_unit_test(test_jws__signature_of_rfc7515_verifies),
		cmocka_unit_test(test_jws__our_signatures_verify),
		cmocka_unit_test(test_jws__width_stays_with_small_numbers),
		cmocka_unit_test(test_jws__appends_to_what_is_there),
		cmocka_unit_test(test_signer__signs_as_a_key_here_does),
		cmocka_unit_test(test_signer__makes_requests),
		cmocka_unit_test(test_signer__its_failures_are_told),
		cmocka_unit_test(test_signer__needs_a_public_key_of_our_types),
		cmocka_unit_test(test_jws__short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
