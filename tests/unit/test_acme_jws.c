/* SPDX-License-Identifier: Apache-2.0 */
/* Signed requests: whom they name, what they carry, and which nonces and tokens are taken. */

#include "unit_crypto.h"

#include "acme/jws.h"

#define ORDER_URL "https://ca.example/acme/new-order"
#define ACCOUNT_URL "https://ca.example/acme/acct/1"
#define NONCE "5XJ1L3lEkMG7tR6pA00clA"

/* The JWK of RFC 7515 A.3, members as RFC 7638 sorts them. */
#define A3_JWK \
	"{\"crv\":\"P-256\",\"kty\":\"EC\"," \
	"\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
	"\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"

static void add_base64url(certauto__buffer *out, const char *text)
{
	assert_int_equal(certauto__base64url_encode(out, text, strlen(text)), 0);
}

/* protected.payload: what is signed. */
static certauto__buffer signing_input(const char *header, const char *payload)
{
	certauto__buffer input = CERTAUTO__BUFFER(8192);

	add_base64url(&input, header);
	certauto__buffer_text_add(&input, ".");
	add_base64url(&input, payload);
	return input;
}

/* An RSA signature (RFC 7518 3.3) is the same each time: the whole JWS is known. */
static void expect_rsa(const char *kid, const char *url, const char *header, const char *payload)
{
	certauto__pkey *key = unit_key(key_rsa2048);
	struct certauto__jws jws = {key, kid, NONCE, url};
	certauto__buffer input = signing_input(header, payload), raw = CERTAUTO__BUFFER(512);
	certauto__buffer signature = CERTAUTO__BUFFER(1024), want = CERTAUTO__BUFFER(8192);
	certauto__buffer got = CERTAUTO__BUFFER(8192);
	const char *dot = strchr(input.data, '.');

	assert_int_equal(certauto__pkey_jws_sign(&raw, key, input.data, input.len, NULL), 0);
	assert_int_equal(certauto__base64url_encode(&signature, raw.data, raw.len), 0);
	certauto__buffer_printf(&want,
		"{\"protected\":\"%.*s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
		(int)(dot - input.data), input.data, dot + 1, signature.data);
	assert_int_equal(certauto__jws_add(&got, &jws, payload, strlen(payload), NULL), 0);
	assert_string_equal(got.data, want.data);
	certauto__buffer_free(&input);
	certauto__buffer_free(&raw);
	certauto__buffer_free(&signature);
	certauto__buffer_free(&want);
	certauto__buffer_free(&got);
	certauto__pkey_free(key);
}

/* The key and JWK of RFC 7515 A.3; the signature is r and s, 32 bytes each (RFC 7518 3.4). */
static void test_jws__new_account_shows_the_public_key(void **state)
{
	certauto__pkey *key = unit_key(key_rfc7515_a3);
	struct certauto__jws jws = {key, NULL, NONCE, ORDER_URL};
	certauto__buffer input =
		signing_input("{\"alg\":\"ES256\",\"jwk\":" A3_JWK ",\"nonce\":\"" NONCE
			      "\",\"url\":\"" ORDER_URL "\"}",
			"{\"termsOfServiceAgreed\":true}");
	certauto__buffer begin = CERTAUTO__BUFFER(8192), got = CERTAUTO__BUFFER(8192);
	const char *dot = strchr(input.data, '.');

	(void)state;
	certauto__buffer_printf(&begin,
		"{\"protected\":\"%.*s\",\"payload\":\"%s\",\"signature\":\"",
		(int)(dot - input.data), input.data, dot + 1);
	assert_int_equal(certauto__jws_add(&got, &jws, "{\"termsOfServiceAgreed\":true}", 29, NULL),
		0);
	assert_memory_equal(got.data, begin.data, begin.len);
	assert_int_equal(got.len, begin.len + 86 + 2);
	assert_true(certauto__base64url_valid(got.data + begin.len, 86));
	assert_string_equal(got.data + begin.len + 86, "\"}");
	certauto__buffer_free(&input);
	certauto__buffer_free(&begin);
	certauto__buffer_free(&got);
	certauto__pkey_free(key);
}

static void test_jws__everything_else_names_the_account(void **state)
{
	(void)state;
	expect_rsa(ACCOUNT_URL, ORDER_URL,
		"{\"alg\":\"RS256\",\"kid\":\"" ACCOUNT_URL "\",\"nonce\":\"" NONCE
		"\",\"url\":\"" ORDER_URL "\"}",
		"{}");
}

/* RFC 8555 6.3: the payload of POST-as-GET is the empty string, not an empty object. */
static void test_jws__post_as_get_has_an_empty_payload(void **state)
{
	(void)state;
	expect_rsa(ACCOUNT_URL, ORDER_URL,
		"{\"alg\":\"RS256\",\"kid\":\"" ACCOUNT_URL "\",\"nonce\":\"" NONCE
		"\",\"url\":\"" ORDER_URL "\"}",
		"");
}

/* RFC 8555 6.4: the CA compares the URL byte by byte. */
static void test_jws__the_url_is_not_rewritten(void **state)
{
	(void)state;
	expect_rsa(ACCOUNT_URL, "https://CA.example:443/a%2fb/../c?x=1",
		"{\"alg\":\"RS256\",\"kid\":\"" ACCOUNT_URL "\",\"nonce\":\"" NONCE
		"\",\"url\":\"https://CA.example:443/a%2fb/../c?x=1\"}",
		"{}");
}

static int refuse(void *arg, const char *alg, const unsigned char *digest, size_t digest_len,
	certauto__buffer *signature, certauto_error *err)
{
	(void)arg;
	(void)alg;
	(void)digest;
	(void)digest_len;
	(void)signature;
	return certauto__error_set(err, CERTAUTO_EAUTH, NULL, "the token is locked");
}

static void test_jws__a_signer_that_refuses_is_heard(void **state)
{
	certauto__pkey *own = unit_key(key_rfc7515_a3), *key = NULL;
	certauto__buffer spki = CERTAUTO__BUFFER(4096), out = CERTAUTO__BUFFER(8192);
	struct certauto__jws jws = {NULL, ACCOUNT_URL, NONCE, ORDER_URL};
	certauto_error err;

	(void)state;
	memset(&err, 0, sizeof(err));
	assert_int_equal(certauto__pkey_public_der(&spki, own), 0);
	assert_int_equal(certauto__pkey_new_signer(&key, spki.data, spki.len, refuse, NULL, NULL),
		0);
	jws.key = key;
	unit_refused(certauto__jws_add(&out, &jws, "{}", 2, &err), &err, CERTAUTO_EAUTH,
		"the token is locked");
	certauto__buffer_free(&spki);
	certauto__buffer_free(&out);
	certauto__pkey_free(key);
	certauto__pkey_free(own);
}

/* RFC 8555 8.1 with the key and thumbprint of RFC 7638 3.1. */
static void test_key_authorization__token_and_thumbprint(void **state)
{
	certauto__buffer spki = unit_der(key_rfc7638_public), out = CERTAUTO__BUFFER(512);
	certauto__pkey *key = NULL;

	(void)state;
	assert_int_equal(certauto__pkey_new_signer(&key, spki.data, spki.len, refuse, NULL, NULL),
		0);
	assert_int_equal(certauto__key_authorization(&out, key,
				 "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"),
		0);
	assert_string_equal(out.data,
		"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZs"
		"RGC9Xs");
	certauto__buffer_free(&out);
	certauto__buffer_free(&spki);
	certauto__pkey_free(key);
}

static char *repeat(char c, size_t n)
{
	static char text[300];

	memset(text, c, n);
	text[n] = '\0';
	return text;
}

static void test_token__only_base64url_of_128_bits_and_more(void **state)
{
	static const char *const bad[] = {"", "short", "../../../../etc/passwd0000000",
		"abcdefghijklmnopqrstu=", "abcdefghijklmnopqrst uv", "abcdefghijklmnopqrst/uv",
		"abcdefghijklmnopqrst\nuvw", "abcdefghijklmnopqrst;reboot",
		"abcdefghijklmnopqrst$(id)", "abcdefghijklmnopqrst%2e%2e",
		"abcdefghijklmnopqrst\xc3\xa9v"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (certauto__token_check(bad[i]))
			fail_msg("accepted \"%s\"", bad[i]);
	assert_false(certauto__token_check(NULL));
	assert_false(certauto__token_check(repeat('a', 21)));
	assert_true(certauto__token_check(repeat('a', 22)));
	assert_true(certauto__token_check(repeat('_', 255)));
	assert_false(certauto__token_check(repeat('-', 256)));
}

static void test_nonce__only_base64url(void **state)
{
	(void)state;
	assert_true(certauto__nonce_check("a"));
	assert_true(certauto__nonce_check(NONCE));
	assert_false(certauto__nonce_check(NULL));
	assert_false(certauto__nonce_check(""));
	assert_false(certauto__nonce_check("a\"b"));
	assert_false(certauto__nonce_check("a=="));
	assert_false(certauto__nonce_check(repeat('a', 256)));
}

static int sign_once(void *arg)
{
	struct certauto__jws jws = {arg, NULL, NONCE, ORDER_URL};
	certauto__buffer out = CERTAUTO__BUFFER(8192);
	int rc = certauto__jws_add(&out, &jws, "{}", 2, NULL);

	certauto__buffer_free(&out);
	return rc;
}

static void test_jws__survives_want_of_memory(void **state)
{
	certauto__pkey *key = unit_key(key_rfc7515_a3);

	(void)state;
	unit_oom_sweep("jws", sign_once, key);
	certauto__pkey_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_jws__new_account_shows_the_public_key),
		cmocka_unit_test(test_jws__everything_else_names_the_account),
		cmocka_unit_test(test_jws__post_as_get_has_an_empty_payload),
		cmocka_unit_test(test_jws__the_url_is_not_rewritten),
		cmocka_unit_test(test_jws__a_signer_that_refuses_is_heard),
		cmocka_unit_test(test_key_authorization__token_and_thumbprint),
		cmocka_unit_test(test_token__only_base64url_of_128_bits_and_more),
		cmocka_unit_test(test_nonce__only_base64url),
		cmocka_unit_test(test_jws__survives_want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
