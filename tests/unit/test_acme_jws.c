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

/* The key of RFC 7515 A.1. */
#define A1_KEY                                                                                     \
	"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"

static certauto__secret *a1_key(void)
{
	certauto__buffer raw = CERTAUTO__BUFFER(64);
	certauto__secret *key = NULL;

	assert_int_equal(certauto__base64url_decode(&raw, A1_KEY, strlen(A1_KEY)), 0);
	assert_int_equal(certauto__secret_new(&key, raw.data, raw.len), 0);
	certauto__buffer_free(&raw);
	return key;
}

static void test_hmac__is_that_of_rfc_7515_a1(void **state)
{
	static const char input[] =
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz"
		"ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	certauto__buffer mac = CERTAUTO__BUFFER(64), text = CERTAUTO__BUFFER(128);
	certauto__secret *key = a1_key();

	(void)state;
	assert_int_equal(certauto__hmac(&mac, "HS256", key, input, strlen(input)), 0);
	assert_int_equal(certauto__base64url_encode(&text, mac.data, mac.len), 0);
	assert_string_equal(text.data, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
	assert_int_equal(certauto__hmac(&mac, "HS1", key, input, strlen(input)), CERTAUTO_EINVAL);
	assert_int_equal(
		certauto__hmac(&mac, "ES256", key, input, strlen(input)), CERTAUTO_EINVAL);
	certauto__buffer_free(&mac);
	certauto__buffer_free(&text);
	certauto__secret_free(key);
}

/* Of header and JWK as RFC 8555 7.3.4 wants them; computed by python3-cryptography. */
static void test_binding__is_the_account_key_under_each_mac(void **state)
{
	static const struct {
		const char *alg, *mac;
	} cases[] = {
		{"HS256", "MSHslYR3EgmsLOlc7dZ46NfwBJ23DWpm00rSqHI_G9Q"},
		{"HS384", "4_f49EXFt14pGp83aefzzhNjz77Sq562jsmcmjUL16l9jBuo1J7mvkw6NV7wiNER"},
		{"HS512", "k0nIAdTcBfldYpT5dmQpPCTy_NHfzmLVY_INGyKTavSYIFAZNDLrI_g5cxfI2pdsdRBvsxB"
			  "5CSLWqsIlwlNuwQ"},
	};
	certauto__buffer header = CERTAUTO__BUFFER(512), want = CERTAUTO__BUFFER(4096);
	certauto__buffer got = CERTAUTO__BUFFER(4096), input;
	certauto__pkey *account = unit_key(key_rfc7515_a3);
	certauto__secret *key = a1_key();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		certauto__buffer_clear(&header);
		certauto__buffer_clear(&want);
		certauto__buffer_clear(&got);
		certauto__buffer_printf(&header,
			"{\"alg\":\"%s\",\"kid\":\"kid-1\","
			"\"url\":\"https://ca.example/acme/new-account\"}",
			cases[i].alg);
		input = signing_input(header.data, A3_JWK);
		*strchr(input.data, '.') = '\0';
		certauto__buffer_printf(&want,
			"{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
			input.data, input.data + strlen(input.data) + 1, cases[i].mac);
		assert_int_equal(certauto__jws_add_binding(&got, cases[i].alg, "kid-1", key,
					 "https://ca.example/acme/new-account", account, NULL),
			0);
		assert_string_equal(got.data, want.data);
		certauto__buffer_free(&input);
	}
	certauto__buffer_free(&header);
	certauto__buffer_free(&want);
	certauto__buffer_free(&got);
	certauto__secret_free(key);
	certauto__pkey_free(account);
}

/* RFC 8555 7.3.5: the inner one of a key rollover has "jwk" and "url", and no nonce. */
static void test_jws__the_inner_one_of_a_rollover_has_no_nonce(void **state)
{
	certauto__pkey *key = unit_key(key_rfc7515_a3);
	struct certauto__jws jws = {key, NULL, NULL, ORDER_URL};
	certauto__buffer input = signing_input(
		"{\"alg\":\"ES256\",\"jwk\":" A3_JWK ",\"url\":\"" ORDER_URL "\"}",
		"{}");
	certauto__buffer got = CERTAUTO__BUFFER(8192);

	(void)state;
	assert_int_equal(certauto__jws_add(&got, &jws, "{}", 2, NULL), 0);
	*strchr(input.data, '.') = '\0';
	assert_non_null(strstr(got.data, input.data));
	assert_memory_equal(got.data + strlen("{\"protected\":\""), input.data,
		strlen(input.data));
	certauto__buffer_free(&input);
	certauto__buffer_free(&got);
	certauto__pkey_free(key);
}

static int bind_once(void *arg)
{
	certauto__buffer out = CERTAUTO__BUFFER(8192);
	certauto__secret *key = NULL;
	int rc = certauto__secret_new(&key, "secret", 6);

	if (rc == 0)
		rc = certauto__jws_add_binding(
			&out, "HS256", "kid-1", key, ORDER_URL, arg, NULL);
	certauto__secret_free(key);
	certauto__buffer_free(&out);
	return rc;
}

static void test_binding__survives_want_of_memory(void **state)
{
	certauto__pkey *key = unit_key(key_rfc7515_a3);

	(void)state;
	unit_oom_sweep("binding", bind_once, key);
	certauto__pkey_free(key);
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
		cmocka_unit_test(test_jws__the_inner_one_of_a_rollover_has_no_nonce),
		cmocka_unit_test(test_jws__survives_want_of_memory),
		cmocka_unit_test(test_hmac__is_that_of_rfc_7515_a1),
		cmocka_unit_test(test_binding__is_the_account_key_under_each_mac),
		cmocka_unit_test(test_binding__survives_want_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
