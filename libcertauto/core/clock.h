/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_CORE_CLOCK_H
#define CERTAUTO_CORE_CLOCK_H

/* Monotonic time for waits, wall time only against validity dates. Tests may shift the wall clock
 * through the variable CERTAUTO_TEST_CLOCK_OFFSET (seconds), read only in builds made for tests. */

#include <stddef.h>
#include <stdint.h>

int64_t certauto__clock_ms(void);   /* monotonic, milliseconds */
int64_t certauto__clock_now(void);  /* wall clock, seconds since 1970 UTC */
/* "2026-11-21T13:00:00Z"; size at least 21. Returns out. */
char *certauto__clock_format(char *out, size_t size, int64_t at);
/* RFC 3339 date-time, fractions and offsets allowed; -1 when it is not one. */
int64_t certauto__clock_parse_rfc3339(const char *text);
/* IMF-fixdate (RFC 9110 5.6.7); -1 when it is not one. */
int64_t certauto__clock_parse_http(const char *text);
/* y-m-d h:m:s UTC to seconds since 1970 (no range check). */
int64_t certauto__clock_from_utc(int year, int month, int day, int hour, int minute, int second);

#endif
