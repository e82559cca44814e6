/* Time: RFC 3339 in and out, days and months. Expected microseconds are `date -u -d … +%s` times
 * a million. */
#include "base/clock.h"
#include "tests/unit/test.h"

static void parsed(const char *text, int64_t want, int line)
{
    int64_t us = -77;
    if (!CHECK(time_parse(slice_of(text), &us)) || !CHECK_INT(us, want))
        printf("# of line %d: %s\n", line, text);
}
#define PARSED(text, want) parsed(text, want, __LINE__)

static void refused(const char *text, int line)
{
    int64_t us = -77;
    if (!CHECK(!time_parse(slice_of(text), &us)) || !CHECK_INT(us, -77))
        printf("# of line %d: %s\n", line, text);
}
#define REFUSED(text) refused(text, __LINE__)

TEST("RFC 3339 is read to the microsecond, the rest is cut")
{
    PARSED("1970-01-01T00:00:00Z", 0);
    PARSED("2026-11-20T12:34:56.789Z", INT64_C(1795178096789000));
    PARSED("2026-11-20t12:34:56.789z", INT64_C(1795178096789000));
    PARSED("2026-11-20T12:34:56.7890001234567890123456789Z", INT64_C(1795178096789000));
    PARSED("2026-11-20T12:34:56.9999999Z", INT64_C(1795178096999999));
    PARSED("2026-11-20T14:34:56+02:00", INT64_C(1795178096000000));
    PARSED("2026-11-20T07:04:56-05:30", INT64_C(1795178096000000));
    PARSED("2026-11-20T12:34:56-00:00", INT64_C(1795178096000000));
    PARSED("2000-02-29T23:59:59Z", INT64_C(951868799000000));
    PARSED("1969-12-31T23:59:59.5Z", -500000);
    PARSED("0001-01-01T00:00:00Z", INT64_C(-62135596800000000));
    PARSED("9999-12-31T23:59:59Z", INT64_C(253402300799000000));
}

TEST("a leap second is the last microsecond of its minute, and stands only at a day's end")
{
    PARSED("2016-12-31T23:59:60Z", INT64_C(1483228799999999));
    PARSED("2016-12-31T23:59:60.5Z", INT64_C(1483228799999999));
    PARSED("2017-01-01T00:59:60+01:00", INT64_C(1483228799999999));
    PARSED("2016-12-31T15:59:60.000-08:00", INT64_C(1483228799999999));
    REFUSED("2016-12-31T12:00:60Z");
    REFUSED("2016-12-31T23:59:60+01:00");
    REFUSED("2016-12-31T23:59:61Z");
}

TEST("what is not RFC 3339 is refused")
{
    static const char *const bad[] = { "",
                                       "2026",
                                       "2026-11-20",
                                       "2026-11-20T12:34Z",
                                       "2026-11-20 12:34:56Z",
                                       "2026-11-20T12:34:56",
                                       "2026-11-20T12:34:56.Z",
                                       "2026-11-20T12:34:56,5Z",
                                       "2026-11-20T12:34:56ZZ",
                                       "2026-11-20T12:34:56Z ",
                                       " 2026-11-20T12:34:56Z",
                                       "2026-11-20T12:34:56+0200",
                                       "2026-11-20T12:34:56+02",
                                       "2026-11-20T12:34:56+24:00",
                                       "2026-11-20T12:34:56+02:60",
                                       "2026-11-20T24:00:00Z",
                                       "2026-11-20T12:60:00Z",
                                       "2026-13-01T00:00:00Z",
                                       "2026-00-01T00:00:00Z",
                                       "2026-11-31T00:00:00Z",
                                       "2026-11-00T00:00:00Z",
                                       "2026-02-29T00:00:00Z",
                                       "1900-02-29T00:00:00Z",
                                       "0000-01-01T00:00:00Z",
                                       "20261120T123456Z",
                                       "26-11-20T12:34:56Z",
                                       "+026-11-20T12:34:56Z",
                                       "12026-11-20T12:34:56Z",
                                       "2026-1-20T12:34:56Z",
                                       "yesterday",
                                       "1795178096" };
    int64_t us;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        REFUSED(bad[i]);
    CHECK(!time_parse(SLICE_ABSENT, &us));
    CHECK(!time_parse(SLICE("2026-11-20T12:34:56\0Z"), &us));
}

static void formatted(int64_t us, const char *want)
{
    char text[TIME_TEXT_MAX];
    size_t n = time_format(us, text);
    CHECK_STR(text, want);
    CHECK_INT(n, strlen(want));
}

TEST("a time is written with the shortest exact fraction")
{
    formatted(0, "1970-01-01T00:00:00Z");
    formatted(-1, "1969-12-31T23:59:59.999999Z");
    formatted(INT64_C(1795178096789000), "2026-11-20T12:34:56.789Z");
    formatted(INT64_C(1795178096000001), "2026-11-20T12:34:56.000001Z");
    formatted(INT64_C(1795178096100000), "2026-11-20T12:34:56.1Z");
    formatted(INT64_C(-62135596800000000), "0001-01-01T00:00:00Z");
    formatted(INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z");
}

TEST("every day of four centuries comes back from its text, the day after the one before")
{
    for (int32_t day = -60000; day < 90000; day++) {
        char text[TIME_TEXT_MAX];
        int64_t us;
        time_format(day * US_PER_DAY + 1, text);
        if (!time_parse(slice_of(text), &us) || us != day * US_PER_DAY + 1 ||
            day_of_time(us) != day) {
            CHECK_STR(text, "its own day");
            return;
        }
    }
}

TEST("days and months are counted downwards too")
{
    char text[TIME_TEXT_MAX];
    CHECK_INT(day_of_time(-1), -1);
    CHECK_INT(day_of_time(0), 0);
    CHECK_INT(day_of_time(US_PER_DAY - 1), 0);
    CHECK_INT(day_of_time(-US_PER_DAY), -1);
    /* 2026-11-20 is day 20777: 1795178096 / 86400 */
    CHECK_INT(day_of_time(INT64_C(1795178096000000)), 20777);
    CHECK_INT(month_of_day(20777), 20758);
    CHECK_INT(month_of_day(20758), 20758);
    CHECK_INT(month_of_day(20757), 20727); /* 2026-10-31 */
    day_format(month_add(20758, 1), text);
    CHECK_STR(text, "2026-12-01");
    day_format(month_add(20758, 2), text);
    CHECK_STR(text, "2027-01-01");
    day_format(month_add(20758, -11), text);
    CHECK_STR(text, "2025-12-01");
    day_format(month_add(20758, 4), text);
    CHECK_STR(text, "2027-03-01");
    day_format(month_add(0, -1), text);
    CHECK_STR(text, "1969-12-01");
    CHECK_INT(month_add(20758, 0), 20758);
}
