/* SPDX-License-Identifier: Apache-2.0 */
/* Time: two clocks and the two ways in which peers write it. The calendar is computed here: the C
 * library's functions read the time zone and the locale of the host process. */

#include "core/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#ifdef CERTAUTO_TEST_HOOKS
#include <stdlib.h>
#endif

#define DAY 86400
#define LAST_SECOND 253402300799 /* 9999-12-31T23:59:59Z */

struct clock_fields {
	int year, month, day, hour, minute, second;
};

int64_t certauto__clock_ms(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t certauto__clock_now(void)
{
	int64_t now = (int64_t)time(NULL);
#ifdef CERTAUTO_TEST_HOOKS
	const char *offset = getenv("CERTAUTO_TEST_CLOCK_OFFSET");

	if (offset != NULL)
		now += strtoll(offset, NULL, 10);
#endif
	return now;
}

/* Days since 1970-01-01 in the Gregorian calendar. Years are taken to begin in March, so that the
 * leap day is the last of its year; 146097 days make 400 years. */
static int64_t clock_days(int year, int month, int day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era =
		year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

/* The inverse, for days that are not before the year 0. */
static void clock_date(struct clock_fields *out, int64_t days)
{
	int64_t era, day_of_era, year_of_era, day_of_year, month;

	days += 719468;
	era = days / 146097;
	day_of_era = days % 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) /
		365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	out->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	out->month = (int)(month < 10 ? month + 3 : month - 9);
	out->year = (int)(year_of_era + era * 400 + (out->month <= 2));
}

int64_t certauto__clock_from_utc(int year, int month, int day, int hour, int minute, int second)
{
	return clock_days(year, month, day) * DAY + (int64_t)hour * 3600 + minute * 60 + second;
}

/* Times outside 1970 to 9999 show as the nearest one inside: they are nobody's real date. */
char *certauto__clock_format(char *out, size_t size, int64_t at)
{
	struct clock_fields f;
	int rest;

	if (at < 0)
		at = 0;
	if (at > LAST_SECOND)
		at = LAST_SECOND;
	clock_date(&f, at / DAY);
	rest = (int)(at % DAY);
	(void)snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02dZ", f.year, f.month, f.day,
		rest / 3600, rest / 60 % 60, rest % 60);
	return out;
}

/* Exactly n digits; moves *text behind them. 1 or 0. */
static int clock_digits(const char **text, int n, int *out)
{
	int value = 0;

	for (; n > 0; n--, (*text)++) {
		if (**text < '0' || **text > '9')
			return 0;
		value = value * 10 + (**text - '0');
	}
	*out = value;
	return 1;
}

static int clock_skip(const char **text, const char *expected)
{
	size_t len = strlen(expected);

	if (strncmp(*text, expected, len) != 0)
		return 0;
	*text += len;
	return 1;
}

static int clock_time(const char **text, struct clock_fields *f)
{
	return clock_digits(text, 2, &f->hour) && clock_skip(text, ":") &&
		clock_digits(text, 2, &f->minute) && clock_skip(text, ":") &&
		clock_digits(text, 2, &f->second);
}

/* Checks the ranges; a leap second (60) counts as the first second of the next minute. A date
 * before 1970 (Go's zero time, sent for "none") is a date all the same: it becomes 0. */
static int64_t clock_seconds(const struct clock_fields *f, int offset)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int leap = f->year % 4 == 0 && (f->year % 100 != 0 || f->year % 400 == 0);
	int64_t at;

	if (f->month < 1 || f->month > 12 || f->day < 1 ||
	    f->day > days[f->month - 1] + (f->month == 2 && leap) || f->hour > 23 ||
	    f->minute > 59 || f->second > 60)
		return -1;
	at = certauto__clock_from_utc(f->year, f->month, f->day, f->hour, f->minute, f->second) -
		offset;
	return at > 0 ? at : 0;
}

/* "Z", or "+hh:mm" with its seconds in *offset; the text must end behind it. */
static int clock_zone(const char *text, int *offset)
{
	int hour, minute, sign;

	*offset = 0;
	if (*text == 'Z' || *text == 'z')
		return text[1] == '\0';
	if (*text != '+' && *text != '-')
		return 0;
	sign = *text++ == '-' ? -1 : 1;
	if (!clock_digits(&text, 2, &hour) || !clock_skip(&text, ":") ||
	    !clock_digits(&text, 2, &minute) || *text != '\0' || hour > 23 || minute > 59)
		return 0;
	*offset = sign * (hour * 3600 + minute * 60);
	return 1;
}

int64_t certauto__clock_parse_rfc3339(const char *text)
{
	struct clock_fields f;
	int offset;

	if (text == NULL || !clock_digits(&text, 4, &f.year) || !clock_skip(&text, "-") ||
	    !clock_digits(&text, 2, &f.month) || !clock_skip(&text, "-") ||
	    !clock_digits(&text, 2, &f.day) || (*text != 'T' && *text != 't'))
		return -1;
	text++;
	if (!clock_time(&text, &f))
		return -1;
	if (*text == '.') {
		if (*++text < '0' || *text > '9')
			return -1;
		text += strspn(text, "0123456789");
	}
	if (!clock_zone(text, &offset))
		return -1;
	return clock_seconds(&f, offset);
}

/* Number of the three letters at *text in a list of such, from 0; -1 when it is not there. */
static int clock_name(const char **text, const char *list)
{
	int i;

	for (i = 0; list[i * 3] != '\0'; i++)
		if (strncmp(*text, list + i * 3, 3) == 0) {
			*text += 3;
			return i;
		}
	return -1;
}

int64_t certauto__clock_parse_http(const char *text)
{
	struct clock_fields f;

	if (text == NULL || clock_name(&text, "SunMonTueWedThuFriSat") < 0 ||
	    !clock_skip(&text, ", ") || !clock_digits(&text, 2, &f.day) ||
	    !clock_skip(&text, " ") ||
	    (f.month = clock_name(&text, "JanFebMarAprMayJunJulAugSepOctNovDec") + 1) == 0 ||
	    !clock_skip(&text, " ") || !clock_digits(&text, 4, &f.year) ||
	    !clock_skip(&text, " ") || !clock_time(&text, &f) || strcmp(text, " GMT") != 0)
		return -1;
	return clock_seconds(&f, 0);
}
