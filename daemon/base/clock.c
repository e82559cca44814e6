/* Time as the books count it: the proleptic Gregorian calendar in UTC. Pure, but for
 * monotonic_us. */
#include "base/clock.h"

#include <time.h>

#define DAYS_TO_1970 719468 /* from 0000-03-01 */

/* Years are counted from March here, so that the leap day is their last one. Years from 0. */
static int32_t day_of_date(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era = (y >= 0 ? y : y - 399) / 400;
    int of_era = y - era * 400;
    int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - DAYS_TO_1970;
}

static void date_of_day(int32_t day, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = (int64_t)day + DAYS_TO_1970;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int of_era = (int)(z - era * 146097);
    int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year + year / 4 - year / 100);
    int m = (5 * of_year + 2) / 153;

    *ret_day = of_year - (153 * m + 2) / 5 + 1;
    *ret_month = m < 10 ? m + 3 : m - 9;
    *ret_year = (int)(era * 400) + year + (*ret_month <= 2);
}

static int days_of_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* Exactly n digits at *p. */
static bool number_take(const char **p, const char *end, int n, int *ret)
{
    int value = 0;

    if (end - *p < n)
        return false;
    for (int i = 0; i < n; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *p += n;
    *ret = value;
    return true;
}

static bool char_take(const char **p, const char *end, char upper, char lower)
{
    if (*p == end || (**p != upper && **p != lower))
        return false;
    (*p)++;
    return true;
}

/* "." and digits, cut to microseconds; nothing is 0. */
static bool fraction_take(const char **p, const char *end, int *ret_us)
{
    int us = 0, scale = 100000;

    *ret_us = 0;
    if (!char_take(p, end, '.', '.'))
        return true;
    if (*p == end || **p < '0' || **p > '9')
        return false;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, scale /= 10)
        us += (**p - '0') * scale;
    *ret_us = us;
    return true;
}

/* "Z" or "+hh:mm" */
static bool offset_take(const char **p, const char *end, int *ret_minutes)
{
    int hours, minutes;
    bool west;

    *ret_minutes = 0;
    if (char_take(p, end, 'Z', 'z'))
        return true;
    west = *p < end && **p == '-';
    if (!char_take(p, end, '+', '-') || !number_take(p, end, 2, &hours) ||
        !char_take(p, end, ':', ':') || !number_take(p, end, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
    return true;
}

bool time_parse(struct slice text, int64_t *ret_us)
{
    const char *p = text.p, *end = text.p ? text.p + text.n : NULL;
    int year, month, day, hour, minute, second, us, offset, utc_minute;

    if (!number_take(&p, end, 4, &year) || !char_take(&p, end, '-', '-') ||
        !number_take(&p, end, 2, &month) || !char_take(&p, end, '-', '-') ||
        !number_take(&p, end, 2, &day) || !char_take(&p, end, 'T', 't') ||
        !number_take(&p, end, 2, &hour) || !char_take(&p, end, ':', ':') ||
        !number_take(&p, end, 2, &minute) || !char_take(&p, end, ':', ':') ||
        !number_take(&p, end, 2, &second) || !fraction_take(&p, end, &us) ||
        !offset_take(&p, end, &offset) || p != end)
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_of_month(year, month) ||
        hour > 23 || minute > 59 || second > 60)
        return false;
    utc_minute = hour * 60 + minute - offset;
    if (second == 60) {
        /* leap seconds are the last of a UTC day (RFC 3339 section 5.7) */
        if ((utc_minute + 1440) % 1440 != 1439)
            return false;
        second = 59;
        us = 999999;
    }
    *ret_us = day_of_date(year, month, day) * US_PER_DAY +
              ((int64_t)utc_minute * 60 + second) * US_PER_SECOND + us;
    return true;
}

size_t time_format(int64_t us, char out[TIME_TEXT_MAX])
{
    int32_t day = day_of_time(us);
    int64_t rest = us - day * US_PER_DAY;
    int fraction = (int)(rest % US_PER_SECOND), second = (int)(rest / US_PER_SECOND);
    size_t n = day_format(day, out);

    n += (size_t)snprintf(out + n, TIME_TEXT_MAX - n, "T%02d:%02d:%02d", second / 3600,
                          second / 60 % 60, second % 60);
    if (fraction) {
        n += (size_t)snprintf(out + n, TIME_TEXT_MAX - n, ".%06d", fraction);
        while (out[n - 1] == '0')
            n--;
    }
    out[n++] = 'Z';
    out[n] = '\0';
    return n;
}

size_t day_format(int32_t day, char out[TIME_TEXT_MAX])
{
    int year, month, of_month;

    date_of_day(day, &year, &month, &of_month);
    return (size_t)snprintf(out, TIME_TEXT_MAX, "%04d-%02d-%02d", year, month, of_month);
}

int32_t day_of_time(int64_t us)
{
    return (int32_t)(us / US_PER_DAY - (us % US_PER_DAY < 0));
}

int32_t month_of_day(int32_t day)
{
    int year, month, of_month;

    date_of_day(day, &year, &month, &of_month);
    return day - of_month + 1;
}

int32_t month_add(int32_t month_first_day, int months)
{
    int year, month, of_month, count;

    date_of_day(month_first_day, &year, &month, &of_month);
    count = year * 12 + month - 1 + months;
    year = count / 12 - (count % 12 < 0);
    return day_of_date(year, count - year * 12 + 1, 1);
}

int64_t monotonic_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * US_PER_SECOND + t.tv_nsec / 1000;
}
