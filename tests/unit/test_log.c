/* The log: one line an outcome, which nothing from outside can forge or flood; repeated
 * complaints grow rare. */
#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/test.h"

#include <sys/stat.h>
#include <unistd.h>

/* Calls log_line with stderr in a file; returns what was written, without the time in front of
 * each line. */
#define LOGGED(...)                   \
    ({                                \
        int saved_ = capture_start(); \
        log_line(__VA_ARGS__);        \
        capture_end(saved_);          \
    })

static FILE *captured;
static char written[8192];

static int capture_start(void)
{
    int saved = dup(STDERR_FILENO);
    captured = tmpfile();
    if (saved < 0 || !captured || dup2(fileno(captured), STDERR_FILENO) < 0)
        abort();
    return saved;
}

static const char *capture_end(int saved)
{
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(captured);
    written[fread(written, 1, sizeof(written) - 1, captured)] = '\0';
    fclose(captured);
    return strncmp(written, "20", 2) == 0 && strchr(written, ' ') ? strchr(written, ' ') + 1
                                                                  : written;
}

TEST("a line has a time, the program's name, the level and the text")
{
    CHECK_STR(LOGGED(LOG_LEVEL_ERROR, "writer=%d state=%s", 3, "run"),
              "debitd error: writer=3 state=run\n");
    int64_t us;
    CHECK(time_parse((struct slice){ written, strcspn(written, " ") }, &us));
    log_set_name("debitctl");
    CHECK_STR(LOGGED(LOG_LEVEL_WARNING, "x"), "debitctl warning: x\n");
    log_set_name("debitd");
}

TEST("more detail than asked for is not written")
{
    CHECK_STR(LOGGED(LOG_LEVEL_DEBUG, "x"), "");
    log_set_level(LOG_LEVEL_DEBUG);
    CHECK_STR(LOGGED(LOG_LEVEL_DEBUG, "x"), "debitd debug: x\n");
    log_set_level(LOG_LEVEL_ERROR);
    CHECK_STR(LOGGED(LOG_LEVEL_WARNING, "x"), "");
    log_set_level(LOG_LEVEL_INFO);
}

TEST("every conversion that is in use is written as printf does")
{
    CHECK_STR(LOGGED(LOG_LEVEL_INFO, "%d %u %ld %lld %lu %llu %zu %zd", -1, 2u, -3L, -4LL, 5ul,
                     6ull, (size_t)7, (ssize_t)-8),
              "debitd info: -1 2 -3 -4 5 6 7 -8\n");
    CHECK_STR(LOGGED(LOG_LEVEL_INFO, "%05d|%-4d|%x|%c|%%|%.3s|%.*s|%s", 42, 7, 255, 'c', "abcdef",
                     2, "xyz", "end"),
              "debitd info: 00042|7   |ff|c|%|abc|xy|end\n");
    CHECK_STR(LOGGED(LOG_LEVEL_INFO, "%" PRId64 "/%" PRIu64, INT64_MIN, UINT64_MAX),
              "debitd info: -9223372036854775808/18446744073709551615\n");
}

TEST("a value cannot forge a line")
{
    CHECK_STR(LOGGED(LOG_LEVEL_INFO, "id=%s", "a\n<3>forged\r\x1b[31m\xc2\x85\xe2\x80\xa8\xff"),
              "debitd info: id=a\\x0a<3>forged\\x0d\\x1b[31m\\xc2\\x85\\xe2\\x80\\xa8\\xff\n");
    CHECK_STR(LOGGED(LOG_LEVEL_INFO, "c=%c", '\n'), "debitd info: c=\\x0a\n");
}

TEST("a long value is cut and what follows it is still there")
{
    char value[2000], want[600];
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    snprintf(want, sizeof(want), "debitd info: id=%.512s... reason=bad\n", value);
    CHECK_STR(LOGGED(LOG_LEVEL_INFO, "id=%s reason=%s", value, "bad"), want);
}

TEST("where stderr is the journal, the level stands in front as sd-daemon has it")
{
    int saved = capture_start();
    struct stat st;
    char stream[64];
    fstat(STDERR_FILENO, &st);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_error("x=%d", 1);
    CHECK_STR(capture_end(saved), "<3>x=1\n");
    setenv("JOURNAL_STREAM", "1:2", 1);
    CHECK_STR(LOGGED(LOG_LEVEL_ERROR, "x"), "debitd error: x\n");
    unsetenv("JOURNAL_STREAM");
}

TEST("a complaint is heard at once, then after 1, 2, 4 … 64 seconds")
{
    struct complaint c = { 0 };
    unsigned repeats = 77;
    long long second = US_PER_SECOND, now = 5 * second;
    CHECK(complaint_due(&c, now, &repeats));
    CHECK_INT(repeats, 0);
    CHECK(!complaint_due(&c, now + second - 1, &repeats));
    CHECK(!complaint_due(&c, now + second - 1, &repeats));
    CHECK(complaint_due(&c, now += second, &repeats));
    CHECK_INT(repeats, 2);
    for (long long wait = 2; wait <= 64; wait *= 2) {
        CHECK(!complaint_due(&c, now + wait * second - 1, &repeats));
        CHECK(complaint_due(&c, now += wait * second, &repeats));
        CHECK_INT(repeats, 1);
    }
    CHECK(!complaint_due(&c, now + 64 * second - 1, &repeats));
    CHECK(complaint_due(&c, now + 64 * second, &repeats));
    CHECK(complaint_over(&c));
    CHECK(!complaint_over(&c));
    CHECK(complaint_due(&c, 1, &repeats));
    CHECK_INT(repeats, 0);
}
