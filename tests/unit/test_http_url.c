/* SPDX-License-Identifier: Apache-2.0 */

/* The rules for URLs: what a CA may name, what a config may hold. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "http/http.h"

#define DIRECTORY "https://ca.example/directory"

static int ca_check(const char *url, const char *base, const char *allow)
{
	certauto__list hosts = { NULL, 0, 0 };
	int rc;

	if (allow != NULL)
		assert_int_equal(certauto__list_split(&hosts, allow, ' '), 0);
	rc = certauto__url_check(url, base, &hosts, NULL);
	certauto__list_free(&hosts);
	return rc;
}

static void test_http_url__same_host_and_port_passes(void **state)
{
	static const char *const good[][2] = {
		{ "https://ca.example/acme/order/1", DIRECTORY },
		{ "https://ca.example:443/acme?x=a@b", DIRECTORY },
		{ "https://CA.Example/x", DIRECTORY },
		{ "https://ca.example", DIRECTORY },
		{ "https://ca.example?order=1", DIRECTORY },
		{ "https://127.0.0.1:14000/o", "https://127.0.0.1:14000/dir" },
		{ "https://localhost:14000/o", "https://localhost:14000/dir" },
		{ "https://[::1]:14000/o", "https://[::1]:14000/dir" },
		{ "https://10.1.2.3/o", "https://10.1.2.3/dir" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (ca_check(good[i][0], good[i][1], NULL) != 0)
			fail_msg("refused: %s", good[i][0]);
}

static void test_http_url__odd_forms_are_refused(void **state)
{
	static const char *const bad[] = { "", "https", "https:", "https:/", "https://",
		"https:///x", "https://?x", "//ca.example/x", "/x", "http://ca.example/x",
		"HTTPS://ca.example/x", "ftp://ca.example/x", "file:///etc/passwd",
		"javascript:alert(1)", " https://ca.example/x", "https:// ca.example/x",
		"https://ca.example /x", "https://ca.example/a b", "https://ca.example/a\tb",
		"https://ca.example/a\r\nHost: x", "https://ca.example/\x01",
		"https://ca.example/\x7f", "https://ca.example/\xc3\xa9",
		"https://c\xc3\xa9.example/", "https://ca.example\\@evil.example/",
		"https://ca.example/\\x", "https://ca.example#@evil.example/",
		"https://ca.example/x#y", "https://user@ca.example/", "https://user:pw@ca.example/",
		"https://@ca.example/", "https://evil.example:443@ca.example/",
		"https://ca.example:/", "https://ca.example:0/", "https://ca.example:65536/",
		"https://ca.example:443443/", "https://ca.example:+443/",
		"https://ca.example: 443/", "https://ca.example:44x/",
		"https://ca.example:443:443/", "https://ca.example:00000443/",
		"https://ca.example./x", "https://.ca.example/", "https://ca..example/",
		"https://-.example/", "https://*.example/", "https://ca.example,evil.example/",
		"https://ca_1.example/", "https://[::1/", "https://::1/", "https://[::1]x/",
		"https://[127.0.0.1]/", "https://[::1%25eth0]/", "https://[]/", "https://[",
		"https://[::1]", "https://%63a.example/", "https://evil.example/",
		"https://ca.example.evil.example/", "https://xca.example/",
		"https://ca.example:8443/" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (ca_check(bad[i], DIRECTORY, NULL) != CERTAUTO_EPROTO)
			fail_msg("accepted: %s", bad[i]);
}

static void test_http_url__numbers_that_libcurl_reads_as_addresses_are_refused(void **state)
{
	static const char *const bad[] = { "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1",
		"0X7F.0.0.0x1", "127.0.0.01", "0177.0.0.1", "1.2.3.4.5", "1.2.3.256", "0x" };
	certauto_error err = { 0 };
	char url[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(url, "https://");
		strcat(strcat(url, bad[i]), "/");
		if (ca_check(url, DIRECTORY, bad[i]) != CERTAUTO_EPROTO ||
		    certauto__url_check_configured(url, 0, &err) != CERTAUTO_EINVAL)
			fail_msg("accepted: %s", bad[i]);
		certauto__error_clear(&err);
	}
}

static void test_http_url__length_is_limited(void **state)
{
	char url[CERTAUTO__HTTP_URL_MAX + 2];

	(void)state;
	memset(url, 'a', sizeof(url));
	memcpy(url, "https://ca.example/", strlen("https://ca.example/"));
	url[CERTAUTO__HTTP_URL_MAX] = '\0';
	assert_int_equal(ca_check(url, DIRECTORY, NULL), 0);
	url[CERTAUTO__HTTP_URL_MAX] = 'a';
	url[CERTAUTO__HTTP_URL_MAX + 1] = '\0';
	assert_int_equal(ca_check(url, DIRECTORY, NULL), CERTAUTO_EPROTO);
	memset(url + strlen("https://"), 'a', 300); /* a host of 300 bytes */
	assert_int_equal(ca_check(url, DIRECTORY, NULL), CERTAUTO_EPROTO);
}

static void test_http_url__allowed_hosts_pass(void **state)
{
	(void)state;
	assert_int_equal(ca_check("https://ari.example/x", DIRECTORY, "other.example ari.example"),
		0);
	assert_int_equal(ca_check("https://ARI.example/x", DIRECTORY, "ari.example"), 0);
	assert_int_equal(ca_check("https://ari.example:8443/x", DIRECTORY, "ari.example:8443"), 0);
	assert_int_equal(ca_check("https://[2001:db8::1]:8443/x", DIRECTORY, "[2001:db8::1]:8443"),
		0);
	assert_int_equal(ca_check("https://[2001:db8::1]/x", DIRECTORY, "2001:db8::1"), 0);
	assert_int_equal(ca_check("https://ari.example:8443/x", DIRECTORY, "ari.example"),
		CERTAUTO_EPROTO);
	assert_int_equal(ca_check("https://ari.example/x", DIRECTORY, "ari.example:8443"),
		CERTAUTO_EPROTO);
	assert_int_equal(ca_check("https://sub.ari.example/x", DIRECTORY, "ari.example"),
		CERTAUTO_EPROTO);
	assert_int_equal(ca_check("http://ari.example/x", DIRECTORY, "ari.example"),
		CERTAUTO_EPROTO);
}

static void test_http_url__inner_addresses_only_for_an_inner_directory(void **state)
{
	static const char *const inner[] = { "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1",
		"172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
		"224.0.0.1", "255.255.255.255", "localhost", "ca.localhost", "[::1]", "[::]",
		"[fe80::1]", "[fd00::1]", "[fc00::1]", "[ff02::1]", "[fec0::1]",
		"[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
		"[::127.0.0.1]" };
	static const char *const outer[] = { "172.15.0.1", "172.32.0.1", "192.169.0.1",
		"100.128.0.1", "8.8.8.8", "[2001:db8::1]", "[::ffff:8.8.8.8]", "[64:ff9b::808:808]",
		"[2002:808:808::]", "notlocalhost", "localhost.example" };
	char url[96];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
		strcpy(url, "https://");
		strcat(strcat(url, inner[i]), "/x");
		if (ca_check(url, DIRECTORY, inner[i]) != CERTAUTO_EPROTO)
			fail_msg("accepted: %s", url);
		if (ca_check(url, "https://192.168.7.7:14000/dir", inner[i]) != 0)
			fail_msg("refused beside an inner directory: %s", url);
	}
	for (i = 0; i < sizeof(outer) / sizeof(outer[0]); i++) {
		strcpy(url, "https://");
		strcat(strcat(url, outer[i]), "/x");
		if (ca_check(url, DIRECTORY, outer[i]) != 0)
			fail_msg("refused: %s", url);
	}
}

static void test_http_url__refusal_names_the_url_and_the_reason(void **state)
{
	certauto_error err = { 0 };

	(void)state;
	assert_int_equal(certauto__url_check("https://evil.example/\x1b[2J", DIRECTORY, NULL, &err),
		CERTAUTO_EPROTO);
	assert_non_null(strstr(err.message, "evil.example"));
	assert_non_null(strstr(err.message, "control character"));
	assert_null(strchr(err.message, '\x1b'));
	certauto__error_clear(&err);
	assert_int_equal(certauto__url_check("https://evil.example/", DIRECTORY, NULL, &err),
		CERTAUTO_EPROTO);
	assert_non_null(strstr(err.message, "allow_hosts"));
	certauto__error_clear(&err);
}

static void test_http_url__configured_urls(void **state)
{
	static const char *const good[] = { "https://adc.example",
		"https://adc_1.example:8443/nitro", "https://10.0.0.1/", "https://[fd00::1]:443/",
		"https://localhost:14000/dir", "https://adc" };
	static const char *const bad[] = { "adc.example", "http://adc.example", "https://",
		"https://a b/", "https://adc.example:x", "ftp://adc.example",
		"https://adc.example/#x" };
	certauto_error err = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (certauto__url_check_configured(good[i], 0, NULL) != 0)
			fail_msg("refused: %s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (certauto__url_check_configured(bad[i], 0, NULL) != CERTAUTO_EINVAL)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(certauto__url_check_configured("http://adc.example:81/x", 1, NULL), 0);
	assert_int_equal(certauto__url_check_configured("https://adc.example", 1, NULL), 0);
	assert_int_equal(certauto__url_check_configured("ftp://adc.example", 1, NULL),
		CERTAUTO_EINVAL);
	assert_int_equal(
		certauto__url_check_configured("https://me:CANARY-1@adc.example/", 0, &err),
		CERTAUTO_EINVAL);
	assert_null(strstr(err.message, "CANARY-1"));
	certauto__error_clear(&err);
}

static void host_is(const char *url, const char *host, int port)
{
	certauto__buffer out = CERTAUTO__BUFFER(300);
	int got = 0;

	assert_int_equal(certauto__url_host(url, &out, &got), 0);
	assert_string_equal(out.data, host);
	assert_int_equal(got, port);
	certauto__buffer_free(&out);
}

static void test_http_url__host_and_port(void **state)
{
	certauto__buffer out = CERTAUTO__BUFFER(300);
	int port = 7;

	(void)state;
	host_is("https://CA.example/x", "ca.example", 443);
	host_is("http://ca.example?x:81", "ca.example", 80);
	host_is("https://ca.example:65535", "ca.example", 65535);
	host_is("https://[2001:DB8::1]/", "2001:db8::1", 443);
	host_is("http://[::1]:1/", "::1", 1);
	host_is("https://127.0.0.1:8443/", "127.0.0.1", 8443);
	assert_int_equal(certauto__url_host("ca.example", &out, &port), CERTAUTO_EINVAL);
	assert_int_equal(port, 7);
	assert_int_equal(out.len, 0);
	certauto__buffer_free(&out);
}

static void test_http_url__escape(void **state)
{
	certauto__buffer out = CERTAUTO__BUFFER(64), small = CERTAUTO__BUFFER(4);

	(void)state;
	assert_int_equal(certauto__url_escape(&out, "aZ09-._~ /?#%&=+\xc3\xa9\x01"), 0);
	assert_string_equal(out.data, "aZ09-._~%20%2F%3F%23%25%26%3D%2B%C3%A9%01");
	certauto__buffer_free(&out);
	assert_int_equal(certauto__url_escape(&small, "a//"), CERTAUTO_EPROTO);
	certauto__buffer_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_url__same_host_and_port_passes),
		cmocka_unit_test(test_http_url__odd_forms_are_refused),
		cmocka_unit_test(
			test_http_url__numbers_that_libcurl_reads_as_addresses_are_refused),
		cmocka_unit_test(test_http_url__length_is_limited),
		cmocka_unit_test(test_http_url__allowed_hosts_pass),
		cmocka_unit_test(test_http_url__inner_addresses_only_for_an_inner_directory),
		cmocka_unit_test(test_http_url__refusal_names_the_url_and_the_reason),
		cmocka_unit_test(test_http_url__configured_urls),
		cmocka_unit_test(test_http_url__host_and_port),
		cmocka_unit_test(test_http_url__escape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
