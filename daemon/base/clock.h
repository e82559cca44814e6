/* Time is int64 microseconds since 1970-01-01T00:00:00Z, without leap seconds, as PostgreSQL
 * counts; days are int32 since 1970-01-01. */
#ifndef DEBITD_BASE_CLOCK_H
#define DEBITD_BASE_CLOCK_H

#include "base/macros.h"
#include "base/slice.h"

#include <stdint.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY    INT64_C(86400000000)

/* RFC 3339 date-time ("T" and "Z" in either case, a numeric offset, any number of fraction digits:
 * cut to microseconds; second 60 is taken as 59.999999
 * of the same minute, where it ends a UTC day). Years 0001-9999. False when it is not one. */
bool time_parse(struct slice text, int64_t *ret_us) MUST_CHECK;

#define TIME_TEXT_MAX 40
/* "2026-11-20T12:34:56.789Z", fraction as short as exact (none when zero). Returns the length. */
size_t time_format(int64_t us, char out[TIME_TEXT_MAX]);
/* "2026-11-20". */
size_t day_format(int32_t day, char out[TIME_TEXT_MAX]);

int32_t day_of_time(int64_t us);   /* the UTC day; floor, also before 1970 */
int32_t month_of_day(int32_t day); /* the first day of the day's month */
int32_t month_add(int32_t month_first_day,
                  int months); /* the first day of the month so many months on (may be negative) */

int64_t monotonic_us(
    void); /* CLOCK_MONOTONIC, for waits and watchdogs only: nothing is booked by a local clock */

#endif
