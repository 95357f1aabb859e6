/* SPDX-License-Identifier: Apache-2.0 */
/* Times as people write them: "14d", "2026-12-24", "2026-12-24T08:00:00+01:00". */

#include "moment.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOURS_MAX (24L * 36500)

/* "14d", "36h". */
static int parse_duration(int64_t *out, const char *text, int64_t now)
{
	size_t digits = strspn(text, "0123456789");
	long hours;

	if (digits == 0 || digits > 6 || text[digits] == '\0' || text[digits + 1] != '\0')
		return -1;
	hours = strtol(text, NULL, 10);
	if (text[digits] == 'd')
		hours *= 24;
	else if (text[digits] != 'h')
		return -1;
	if (hours > HOURS_MAX)
		return -1;
	*out = now + (int64_t)hours * 3600;
	return 0;
}

/* Is it as the pattern, in which 0 stands for any digit? Only that far. */
static int begins_as(const char *text, const char *pattern)
{
	for (; *pattern != '\0'; text++, pattern++)
		if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern)
			return 0;
	return 1;
}

static int number(const char *text, size_t len)
{
	int value = 0;

	while (len-- > 0)
		value = value * 10 + (*text++ - '0');
	return value;
}

/* "2026-12-24", maybe with a time. timegm() and mktime() take the 31st of February for a day in
 * March, so what they make of it is compared. */
static int parse_parts(struct tm *out, const char *text, int has_time)
{
	struct tm probe;

	memset(out, 0, sizeof(*out));
	out->tm_year = number(text, 4) - 1900;
	out->tm_mon = number(text + 5, 2) - 1;
	out->tm_mday = number(text + 8, 2);
	out->tm_isdst = -1;
	if (has_time) {
		out->tm_hour = number(text + 11, 2);
		out->tm_min = number(text + 14, 2);
		out->tm_sec = number(text + 17, 2);
	}
	probe = *out;
	return timegm(&probe) != -1 && probe.tm_mon == out->tm_mon &&
			probe.tm_mday == out->tm_mday && probe.tm_hour == out->tm_hour &&
			probe.tm_min == out->tm_min
		? 0
		: -1;
}

/* "Z", "+01:00"; how many seconds it is ahead of UTC. */
static int parse_zone(int *out, const char *text)
{
	*out = 0;
	if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
		return 0;
	if ((*text != '+' && *text != '-') || !begins_as(text + 1, "00:00") || text[6] != '\0' ||
	    number(text + 1, 2) > 23 || number(text + 4, 2) > 59)
		return -1;
	*out = (number(text + 1, 2) * 60 + number(text + 4, 2)) * (*text == '-' ? -60 : 60);
	return 0;
}

int moment_parse(int64_t *out, const char *text, int64_t now)
{
	struct tm parts;
	int ahead;
	time_t at;

	if (parse_duration(out, text, now) == 0)
		return 0;
	if (begins_as(text, "0000-00-00") && text[10] == '\0') {
		if (parse_parts(&parts, text, 0) < 0)
			return -1;
		at = mktime(&parts);
		*out = (int64_t)at;
		return at == -1 ? -1 : 0;
	}
	if (!begins_as(text, "0000-00-00") || (text[10] != 'T' && text[10] != 't') ||
	    !begins_as(text + 11, "00:00:00"))
		return -1;
	if (parse_parts(&parts, text, 1) < 0)
		return -1;
	text += 19;
	if (*text == '.' && text[1] >= '0' && text[1] <= '9')
		text += 1 + strspn(text + 1, "0123456789");
	if (parse_zone(&ahead, text) < 0)
		return -1;
	*out = (int64_t)timegm(&parts) - ahead;
	return 0;
}
