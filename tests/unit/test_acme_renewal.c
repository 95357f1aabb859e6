/* SPDX-License-Identifier: Apache-2.0 */
/* Renewal information (RFC 9773): how a certificate is called, what is made of the CA's window, and
 * what a hostile or broken CA achieves. */

#include "unit_crypto.h"

#include "acme/renewal.h"

#define SERVER "https://ca.example/dir"
#define ID "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
#define OTHER_ID "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AQ"
#define NOW INT64_C(1800000000)
#define MINUTE 60
#define HOUR 3600
#define DAY 86400

static certauto__list no_hosts;
static const struct certauto__origin origin = {SERVER, &no_hosts, "renewal information " SERVER};

/* ---- how a certificate is called ---- */

/* RFC 9773 appendix A; the name is that of its section 4.1. */
static const char rfc9773[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
	"cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
	"BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
	"7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
	"qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
	"yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
	"+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
	"-----END CERTIFICATE-----\n";

static int make_id(void *arg)
{
	certauto__buffer id = CERTAUTO__BUFFER(CERTAUTO__RENEWAL_ID_MAX);
	int rc = certauto__renewal_id(&id, arg, NULL);

	if (rc == 0)
		assert_string_equal(id.data, ID);
	certauto__buffer_free(&id);
	return rc;
}

static void test_id__of_rfc9773(void **state)
{
	certauto__certs *certs = unit_certs(rfc9773);

	(void)state;
	assert_int_equal(make_id(certs), 0);
	unit_oom_sweep("id", make_id, certs);
	certauto__certs_free(certs);
}

/* The sign byte of the serial belongs to it when its first bit is set, and only then. */
static void test_id__decodes_to_the_bytes_of_the_certificate(void **state)
{
	certauto__certs *certs = unit_certs(chain_good);
	const struct certauto__cert_info *leaf = certauto__certs_info(certs, 0);
	certauto__buffer id = CERTAUTO__BUFFER(CERTAUTO__RENEWAL_ID_MAX);
	certauto__buffer bytes = CERTAUTO__BUFFER(CERTAUTO__RENEWAL_ID_MAX);
	certauto__buffer hex = CERTAUTO__BUFFER(CERTAUTO__RENEWAL_ID_MAX);
	const char *dot;

	(void)state;
	assert_int_equal(certauto__renewal_id(&id, certs, NULL), 0);
	assert_non_null(dot = strchr(id.data, '.'));
	assert_int_equal(
		certauto__base64url_decode(&bytes, id.data, (size_t)(dot - id.data)), 0);
	certauto__hex_encode(&hex, bytes.data, bytes.len);
	assert_string_equal(hex.data, leaf->aki);
	certauto__buffer_clear(&bytes);
	certauto__buffer_clear(&hex);
	assert_int_equal(certauto__base64url_decode(&bytes, dot + 1, strlen(dot + 1)), 0);
	certauto__hex_encode(&hex, bytes.data, bytes.len);
	assert_int_equal(bytes.data[0] & 0x80, 0);
	assert_string_equal(
		hex.data + (strchr("89abcdef", leaf->serial[0]) != NULL ? 2 : 0), leaf->serial);
	certauto__buffer_free(&id);
	certauto__buffer_free(&bytes);
	certauto__buffer_free(&hex);
	certauto__certs_free(certs);
}

static void test_id__needs_an_authority_key_identifier(void **state)
{
	certauto__pkey *key = unit_key(key_p256);
	certauto__list names = unit_list("a.example");
	certauto__buffer id = CERTAUTO__BUFFER(CERTAUTO__RENEWAL_ID_MAX);
	certauto__certs *certs = NULL;
	certauto__req *req = NULL;
	certauto_error err;

	(void)state;
	memset(&err, 0, sizeof(err));
	assert_int_equal(certauto__req_new(&req, key, &names, NULL, NULL), 0);
	assert_int_equal(
		certauto__certs_self_signed(&certs, key, req, NOW, NOW + DAY, NULL), 0);
	assert_null(certauto__certs_info(certs, 0)->aki);
	unit_refused(certauto__renewal_id(&id, certs, &err), &err, CERTAUTO_EUNSUPPORTED,
		"no authority key identifier");
	assert_int_equal(id.len, 0);
	certauto__certs_free(certs);
	certauto__req_free(req);
	certauto__list_free(&names);
	certauto__pkey_free(key);
}

/* ---- what the CA answers ---- */

#define WINDOW \
	"\"suggestedWindow\":{\"start\":\"2027-01-03T00:00:00Z\"," \
	"\"end\":\"2027-01-04T00:00:00Z\"}"
#define START INT64_C(1798934400)
#define END INT64_C(1799020800)

static int parse(struct certauto__renewal_document *out, const char *json, certauto_error *err)
{
	return certauto__renewal_document_parse(out, &origin, json, strlen(json), err);
}

static void test_document__fractions_and_offsets(void **state)
{
	struct certauto__renewal_document got;

	(void)state;
	assert_int_equal(parse(&got,
				 "{\"suggestedWindow\":{\"start\":\"2027-01-03T02:00:00.5+02:00\","
				 "\"end\":\"2027-01-03T23:59:60.999999999Z\",\"more\":[{}]},"
				 "\"message\":\"hello\",\"explanationURL\":null}",
				 NULL),
		0);
	assert_int_equal(got.start, START);
	assert_int_equal(got.end, END);
	assert_null(got.explanation_url);
	certauto__renewal_document_free(&got);
}

static void test_document__what_is_no_window_is_refused(void **state)
{
	static const struct {
		const char *json, *words;
	} refusals[] = {
		{"", "renewal information"},
		{"[]", "object"},
		{"<html>", "renewal information"},
		{"{}", "no suggested window"},
		{"{\"suggestedWindow\":null}", "no suggested window"},
		{"{\"suggestedWindow\":[]}", "no suggested window"},
		{"{\"suggestedWindow\":{\"start\":\"2027-01-03T00:00:00Z\"}}", "no suggested"},
		{"{\"suggestedWindow\":{\"end\":\"2027-01-03T00:00:00Z\"}}", "no suggested"},
		{"{\"suggestedWindow\":{\"start\":1798934400,\"end\":1799020800}}", "start"},
		{"{\"suggestedWindow\":{\"start\":null,\"end\":null}}", "start"},
		{"{\"suggestedWindow\":{\"start\":\"tomorrow\",\"end\":\"later\"}}", "start"},
		{"{\"suggestedWindow\":{\"start\":\"2027-01-03\",\"end\":\"2027-01-04\"}}",
			"start"},
		{"{\"suggestedWindow\":{\"start\":\"0001-01-01T00:00:00Z\","
		 "\"end\":\"2027-01-03T00:00:00Z\"}}",
			"start"},
		{"{\"suggestedWindow\":{\"start\":\"2027-01-03T00:00:00Z\","
		 "\"end\":\"2027-01-03T00:00:00Z\"}}",
			"before it ends"},
		{"{\"suggestedWindow\":{\"start\":\"2027-01-04T00:00:00Z\","
		 "\"end\":\"2027-01-03T00:00:00Z\"}}",
			"before it ends"},
		{"{" WINDOW "," WINDOW "}", "suggestedWindow"},
		{"{" WINDOW "} x", "renewal information"},
		{"{\"suggestedWindow.start\":\"2027-01-03T00:00:00Z\","
		 "\"suggestedWindow.end\":\"2027-01-04T00:00:00Z\"}",
			"no suggested window"},
	};
	struct certauto__renewal_document got;
	certauto_error err;
	size_t i;
	int rc;

	(void)state;
	memset(&err, 0, sizeof(err));
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		rc = parse(&got, refusals[i].json, &err);
		if (rc == 0)
			fail_msg("%s was taken", refusals[i].json);
		unit_refused(rc, &err, CERTAUTO_EPROTO, refusals[i].words);
	}
}

/* A person will be shown it, and asked to open it. */
static void test_document__only_web_pages_explain(void **state)
{
	static const struct {
		const char *json, *shown;
	} urls[] = {
		{"https://ca.example/why?a=b", "https://ca.example/why?a=b"},
		{"https://elsewhere.example/why#now", "https://elsewhere.example/why#now"},
		{"https://ca.example/#\\u202egro\\u0007",
			"https://ca.example/#\\xe2\\x80\\xaegro\\x07"},
		{"http://ca.example/why", NULL},
		{"javascript:alert(1)", NULL},
		{"file:///etc/passwd", NULL},
		{"https://ca.example@evil.example/", NULL},
		{"https://ca.example/\\u001b[2J", NULL},
		{"https://", NULL},
		{"", NULL},
	};
	struct certauto__renewal_document got;
	char json[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		snprintf(json, sizeof(json), "{" WINDOW ",\"explanationURL\":\"%s\"}",
			urls[i].json);
		assert_int_equal(parse(&got, json, NULL), 0);
		if (urls[i].shown == NULL)
			assert_null(got.explanation_url);
		else
			assert_string_equal(got.explanation_url, urls[i].shown);
		certauto__renewal_document_free(&got);
	}
	assert_int_equal(parse(&got, "{" WINDOW ",\"explanationURL\":{\"a\":[1]}}", NULL), 0);
	assert_null(got.explanation_url);
	certauto__renewal_document_free(&got);
}

static const char whole[] = "{" WINDOW ",\"explanationURL\":\"https://ca.example/why\"}";

static int parse_whole(void *arg)
{
	struct certauto__renewal_document got;
	int rc = parse(&got, arg, NULL);

	if (rc == 0)
		certauto__renewal_document_free(&got);
	return rc;
}

static void test_document__cut_short_or_damaged(void **state)
{
	struct certauto__renewal_document got;
	char json[sizeof(whole)];
	size_t i;
	int c;

	(void)state;
	for (i = 0; i < sizeof(whole) - 1; i++)
		assert_int_equal(certauto__renewal_document_parse(&got, &origin, whole, i, NULL),
			CERTAUTO_EPROTO);
	for (i = 0; i < sizeof(whole) - 1; i++)
		for (c = 0; c < 256; c++) {
			memcpy(json, whole, sizeof(whole));
			json[i] = (char)c;
			if (certauto__renewal_document_parse(
				    &got, &origin, json, sizeof(whole) - 1, NULL) < 0)
				continue;
			assert_true(got.start > 0 && got.start < got.end);
			certauto__renewal_document_free(&got);
		}
	unit_oom_sweep("document", parse_whole, (void *)whole);
}

/* ---- what becomes of it ---- */

static int take(struct certauto__renewal *renewal, const char *id, int64_t start, int64_t end,
	const char *url, int64_t retry_after_s)
{
	struct certauto__renewal_document document = {start, end, certauto__strdup(url)};
	int rc = certauto__renewal_take(renewal, id, &document, retry_after_s, NOW, NULL);

	certauto__renewal_document_free(&document);
	return rc;
}

static void test_window__one_instant_is_chosen_and_kept(void **state)
{
	struct certauto__renewal renewal = {0};
	int64_t at;
	int i;

	(void)state;
	assert_int_equal(take(&renewal, ID, START, END, NULL, -1), 0);
	at = renewal.at;
	assert_true(at >= START && at < END);
	for (i = 0; i < 100; i++) {
		assert_int_equal(take(&renewal, ID, START, END, NULL, -1), 0);
		assert_int_equal(renewal.at, at);
	}
	/* A new window, or another certificate, is drawn for anew. */
	assert_int_equal(take(&renewal, ID, START + 10 * DAY, END + 10 * DAY, NULL, -1), 0);
	assert_true(renewal.at >= START + 10 * DAY && renewal.at < END + 10 * DAY);
	assert_int_equal(take(&renewal, OTHER_ID, START, END, NULL, -1), 0);
	assert_true(renewal.at >= START && renewal.at < END);
	assert_string_equal(renewal.id, OTHER_ID);
	certauto__renewal_free(&renewal);
}

/* 8,000 draws in 8 parts: each part has 1,000 with a standard deviation of 30. */
static void test_window__instants_are_spread_evenly(void **state)
{
	struct certauto__renewal renewal = {0};
	int parts[8] = {0}, i;

	(void)state;
	for (i = 0; i < 8000; i++) {
		renewal.at = 0; /* as the fleet leaves it when it has renewed */
		assert_int_equal(take(&renewal, ID, START, END, NULL, -1), 0);
		parts[(renewal.at - START) * 8 / (END - START)]++;
	}
	for (i = 0; i < 8; i++)
		assert_in_range(parts[i], 800, 1200);
	certauto__renewal_free(&renewal);
}

static void test_window__the_shortest_and_the_longest(void **state)
{
	struct certauto__renewal renewal = {0};

	(void)state;
	assert_int_equal(take(&renewal, ID, START, START + 1, NULL, -1), 0);
	assert_int_equal(renewal.at, START);
	assert_int_equal(take(&renewal, ID, 1, INT64_C(253402300799), NULL, -1), 0);
	assert_true(renewal.at >= 1 && renewal.at < INT64_C(253402300799));
	certauto__renewal_free(&renewal);
}

static void test_check__is_clamped(void **state)
{
	static const struct {
		int64_t retry_after_s, after_s;
	} waits[] = {{-1, 6 * HOUR}, {0, MINUTE}, {59, MINUTE}, {60, 60}, {7200, 7200},
		{DAY, DAY}, {DAY + 1, DAY}, {0x7fffffff, DAY}};
	struct certauto__renewal renewal = {0};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		assert_int_equal(take(&renewal, ID, START, END, NULL, waits[i].retry_after_s), 0);
		assert_int_equal(renewal.check_at, NOW + waits[i].after_s);
	}
	certauto__renewal_free(&renewal);
}

static void test_explanation__is_new_once(void **state)
{
	struct certauto__renewal renewal = {0};

	(void)state;
	assert_int_equal(take(&renewal, ID, START, END, "https://a.example/", -1), 1);
	assert_int_equal(take(&renewal, ID, START, END, "https://a.example/", -1), 0);
	assert_int_equal(take(&renewal, ID, START, END, "https://b.example/", -1), 1);
	assert_string_equal(renewal.explanation_url, "https://b.example/");
	assert_int_equal(take(&renewal, OTHER_ID, START, END, "https://b.example/", -1), 1);
	assert_int_equal(take(&renewal, OTHER_ID, START, END, NULL, -1), 0);
	assert_null(renewal.explanation_url);
	certauto__renewal_free(&renewal);
}

static void test_due__by_time_and_by_certificate(void **state)
{
	struct certauto__renewal renewal = {0};
	int64_t not_after = NOW + 90 * DAY;

	(void)state;
	assert_true(certauto__renewal_is_due(&renewal, ID, not_after, NOW));
	assert_false(certauto__renewal_is_due(&renewal, ID, NOW, NOW));
	assert_int_equal(take(&renewal, ID, START, END, NULL, HOUR), 0);
	assert_false(certauto__renewal_is_due(&renewal, ID, not_after, NOW));
	assert_false(certauto__renewal_is_due(&renewal, ID, not_after, NOW + HOUR - 1));
	assert_true(certauto__renewal_is_due(&renewal, ID, not_after, NOW + HOUR));
	assert_true(certauto__renewal_is_due(&renewal, OTHER_ID, not_after, NOW));
	/* Never once it has expired. */
	assert_false(certauto__renewal_is_due(&renewal, ID, not_after, not_after));
	assert_false(certauto__renewal_is_due(&renewal, OTHER_ID, not_after, not_after + 1));
	/* Written when the clock was years ahead. */
	assert_true(certauto__renewal_is_due(&renewal, ID, not_after, NOW - 400 * DAY));
	certauto__renewal_free(&renewal);
}

/* ---- failures ---- */

static int64_t fail_after(struct certauto__renewal *renewal, int code, int status, int64_t retry_at)
{
	certauto_error err;

	memset(&err, 0, sizeof(err));
	certauto__error_set(&err, code, NULL, "no");
	err.status = status;
	err.retry_at = retry_at;
	certauto__renewal_failed(renewal, ID, &err, NOW);
	certauto__error_clear(&err);
	return renewal->check_at - NOW;
}

static void test_failed__temporary_ones_back_off(void **state)
{
	struct certauto__renewal renewal = {0};
	int64_t want = MINUTE;
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		assert_int_equal(fail_after(&renewal,
					 i % 3 == 0	    ? CERTAUTO_ENET
						 : i % 3 == 1 ? CERTAUTO_ETIMEDOUT
							      : CERTAUTO_EREFUSED,
					 i % 3 == 2 ? 500 : 0, 0),
			want);
		want = want * 2 < 6 * HOUR ? want * 2 : 6 * HOUR;
	}
	assert_int_equal(renewal.failures, 100);
	/* One answer, and the next failure is the first. */
	assert_int_equal(take(&renewal, ID, START, END, NULL, -1), 0);
	assert_int_equal(fail_after(&renewal, CERTAUTO_ENET, 0, 0), MINUTE);
	/* A count that no run of ours can have written. */
	renewal.failures = -1;
	assert_int_equal(fail_after(&renewal, CERTAUTO_ENET, 0, 0), 6 * HOUR);
	certauto__renewal_free(&renewal);
}

static void test_failed__others_wait_six_hours(void **state)
{
	struct certauto__renewal renewal = {0};

	(void)state;
	assert_int_equal(fail_after(&renewal, CERTAUTO_EPROTO, 200, 0), 6 * HOUR);
	assert_int_equal(fail_after(&renewal, CERTAUTO_EREFUSED, 404, 0), 6 * HOUR);
	assert_int_equal(fail_after(&renewal, CERTAUTO_EREFUSED, 409, 0), 6 * HOUR);
	assert_int_equal(fail_after(&renewal, CERTAUTO_EAUTH, 403, 0), 6 * HOUR);
	assert_int_equal(fail_after(&renewal, CERTAUTO_ETLS, 0, 0), 6 * HOUR);
	certauto__renewal_free(&renewal);
}

/* The CA's own word is kept, longer than ours would be too. */
static void test_failed__a_rate_limit_is_honoured(void **state)
{
	struct certauto__renewal renewal = {0};

	(void)state;
	assert_int_equal(
		fail_after(&renewal, CERTAUTO_ERETRY_LATER, 429, NOW + 2 * DAY), 2 * DAY);
	assert_int_equal(fail_after(&renewal, CERTAUTO_ERETRY_LATER, 503, NOW + 1), 2 * MINUTE);
	assert_int_equal(
		fail_after(&renewal, CERTAUTO_ERETRY_LATER, 429, NOW + 400 * DAY), 7 * DAY);
	assert_false(certauto__renewal_is_due(&renewal, ID, NOW + 90 * DAY, NOW));
	certauto__renewal_free(&renewal);
}

static void test_failed__keeps_the_window_of_that_certificate_only(void **state)
{
	struct certauto__renewal renewal = {0};
	int64_t at;

	(void)state;
	assert_int_equal(take(&renewal, ID, START, END, "https://a.example/", -1), 0 + 1);
	at = renewal.at;
	fail_after(&renewal, CERTAUTO_ENET, 0, 0);
	assert_int_equal(renewal.start, START);
	assert_int_equal(renewal.at, at);
	assert_string_equal(renewal.explanation_url, "https://a.example/");
	certauto__renewal_failed(&renewal, OTHER_ID, NULL, NOW);
	assert_string_equal(renewal.id, OTHER_ID);
	assert_int_equal(renewal.start, 0);
	assert_int_equal(renewal.at, 0);
	assert_null(renewal.explanation_url);
	assert_int_equal(renewal.check_at, NOW + 6 * HOUR);
	certauto__renewal_free(&renewal);
}

/* ---- copies, and short of memory ---- */

static int copy(void *arg)
{
	struct certauto__renewal out = {0};
	int rc = certauto__renewal_copy(&out, arg);

	if (rc == 0) {
		assert_string_equal(out.id, ID);
		assert_string_equal(out.explanation_url, "https://a.example/");
		rc = certauto__renewal_copy(&out, arg); /* what it held is freed */
	}
	certauto__renewal_free(&out);
	return rc;
}

static int take_all(void *arg)
{
	struct certauto__renewal renewal = {0};
	struct certauto__renewal_document document = {START, END, NULL};
	int rc = certauto__renewal_take(&renewal, ID, &document, -1, NOW, NULL);

	(void)arg;
	certauto__renewal_free(&renewal);
	return rc;
}

static void test_renewal__short_of_memory(void **state)
{
	struct certauto__renewal renewal = {0};

	(void)state;
	assert_int_equal(take(&renewal, ID, START, END, "https://a.example/", -1), 1);
	unit_oom_sweep("copy", copy, &renewal);
	unit_oom_sweep("take", take_all, NULL);
	/* Not bound to anything: it is asked about at the next look. */
	certauto__alloc_fail_at(1, 1);
	certauto__renewal_failed(&renewal, OTHER_ID, NULL, NOW);
	certauto__alloc_fail_at(0, 0);
	assert_null(renewal.id);
	assert_true(certauto__renewal_is_due(&renewal, OTHER_ID, NOW + DAY, NOW));
	certauto__renewal_free(&renewal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id__of_rfc9773),
		cmocka_unit_test(test_id__decodes_to_the_bytes_of_the_certificate),
		cmocka_unit_test(test_id__needs_an_authority_key_identifier),
		cmocka_unit_test(test_document__fractions_and_offsets),
		cmocka_unit_test(test_document__what_is_no_window_is_refused),
		cmocka_unit_test(test_document__only_web_pages_explain),
		cmocka_unit_test(test_document__cut_short_or_damaged),
		cmocka_unit_test(test_window__one_instant_is_chosen_and_kept),
		cmocka_unit_test(test_window__instants_are_spread_evenly),
		cmocka_unit_test(test_window__the_shortest_and_the_longest),
		cmocka_unit_test(test_check__is_clamped),
		cmocka_unit_test(test_explanation__is_new_once),
		cmocka_unit_test(test_due__by_time_and_by_certificate),
		cmocka_unit_test(test_failed__temporary_ones_back_off),
		cmocka_unit_test(test_failed__others_wait_six_hours),
		cmocka_unit_test(test_failed__a_rate_limit_is_honoured),
		cmocka_unit_test(test_failed__keeps_the_window_of_that_certificate_only),
		cmocka_unit_test(test_renewal__short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
