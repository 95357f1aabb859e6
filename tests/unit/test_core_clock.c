/* SPDX-License-Identifier: Apache-2.0 */
/* Time: the steady clock, and dates read and written in the forms peers use. */

#include "unit.h"

#include <time.h>

#include "core/clock.h"

static void test_clock__monotonic_does_not_go_back(void **state)
{
	int64_t first = certauto__clock_ms(), second = certauto__clock_ms();

	(void)state;
	assert_true(first > 0);
	assert_true(second >= first);
}

static void test_clock__now_is_the_wall_clock(void **state)
{
	int64_t before = (int64_t)time(NULL), now = certauto__clock_now();

	(void)state;
	assert_true(now >= before && now <= (int64_t)time(NULL));
}

static void test_clock__utc_agrees_with_the_c_library(void **state)
{
	int64_t at;
	struct tm tm;
	char text[32];
	time_t t;

	(void)state;
	for (at = 0; at < 253402300800; at += 86400 * 13 + 4711) {
		t = (time_t)at;
		assert_non_null(gmtime_r(&t, &tm));
		assert_int_equal(certauto__clock_from_utc(tm.tm_year + 1900, tm.tm_mon + 1,
			tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec), at);
		certauto__clock_format(text, sizeof(text), at);
		assert_int_equal(certauto__clock_parse_rfc3339(text), at);
	}
}

static void test_clock__formats_in_utc(void **state)
{
	char text[21];

	(void)state;
	assert_string_equal(certauto__clock_format(text, sizeof(text), 0), "1970-01-01T00:00:00Z");
	assert_string_equal(certauto__clock_format(text, sizeof(text), 1795266000),
		"2026-11-21T13:00:00Z");
	assert_string_equal(certauto__clock_format(text, sizeof(text), 951782400),
		"2000-02-29T00:00:00Z");
	assert_string_equal(certauto__clock_format(text, sizeof(text), INT64_MAX),
		"9999-12-31T23:59:59Z");
	assert_string_equal(certauto__clock_format(text, sizeof(text), INT64_MIN),
		"1970-01-01T00:00:00Z");
}

static void test_clock__reads_rfc3339(void **state)
{
	(void)state;
	assert_int_equal(certauto__clock_parse_rfc3339("1985-04-12T23:20:50.52Z"), 482196050);
	assert_int_equal(certauto__clock_parse_rfc3339("1996-12-19T16:39:57-08:00"), 851042397);
	assert_int_equal(certauto__clock_parse_rfc3339("1996-12-20t00:39:57z"), 851042397);
	assert_int_equal(certauto__clock_parse_rfc3339("1990-12-31T23:59:60Z"), 662688000);
	assert_int_equal(certauto__clock_parse_rfc3339("2026-11-21T13:00:00.123456789+00:00"),
		1795266000);
	assert_int_equal(certauto__clock_parse_rfc3339("2024-02-29T00:00:00+14:00"), 1709114400);
	assert_int_equal(certauto__clock_parse_rfc3339("0001-01-01T00:00:00Z"), 0);
}

static void test_clock__refuses_what_is_not_rfc3339(void **state)
{
	static const char *const bad[] = {
		"", "2026", "2026-11-21", "2026-11-21T13:00:00", "2026-11-21 13:00:00Z",
		"2026-11-21T13:00Z", "2026-1-21T13:00:00Z", "2026-13-21T13:00:00Z",
		"2026-00-21T13:00:00Z", "2026-11-31T13:00:00Z", "2026-11-00T13:00:00Z",
		"2026-02-29T13:00:00Z", "1900-02-29T13:00:00Z", "2026-11-21T24:00:00Z",
		"2026-11-21T13:60:00Z", "2026-11-21T13:00:61Z", "2026-11-21T13:00:00.Z",
		"2026-11-21T13:00:00Zz", "2026-11-21T13:00:00+1:00", "2026-11-21T13:00:00+24:00",
		"2026-11-21T13:00:00+00:60", "2026-11-21T13:00:00+0000", " 2026-11-21T13:00:00Z",
		"2026-11-21T13:00:00+00:00 ", "-026-11-21T13:00:00Z", "2026-11-21T13:00:00,5Z",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (certauto__clock_parse_rfc3339(bad[i]) != -1)
			fail_msg("\"%s\" was taken for a date", bad[i]);
	assert_int_equal(certauto__clock_parse_rfc3339(NULL), -1);
}

static void test_clock__reads_http_dates(void **state)
{
	(void)state;
	assert_int_equal(certauto__clock_parse_http("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
	assert_int_equal(certauto__clock_parse_http("Sat, 21 Nov 2026 13:00:00 GMT"), 1795266000);
	assert_int_equal(certauto__clock_parse_http("Thu, 29 Feb 2024 00:00:00 GMT"), 1709164800);
}

static void test_clock__refuses_what_is_not_an_http_date(void **state)
{
	static const char *const bad[] = {
		"", "120", "Sun", "Sun, ", "Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49 GMT",
		"Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
		"sun, 06 Nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nox 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 N",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (certauto__clock_parse_http(bad[i]) != -1)
			fail_msg("\"%s\" was taken for a date", bad[i]);
	assert_int_equal(certauto__clock_parse_http(NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock__monotonic_does_not_go_back),
		cmocka_unit_test(test_clock__now_is_the_wall_clock),
		cmocka_unit_test(test_clock__utc_agrees_with_the_c_library),
		cmocka_unit_test(test_clock__formats_in_utc),
		cmocka_unit_test(test_clock__reads_rfc3339),
		cmocka_unit_test(test_clock__refuses_what_is_not_rfc3339),
		cmocka_unit_test(test_clock__reads_http_dates),
		cmocka_unit_test(test_clock__refuses_what_is_not_an_http_date),
	};

	return cmocka_run_group_tests_name("core/clock", tests, NULL, NULL);
}
