/* One line an outcome, key=value, to stderr; with the "<N>" prefix of sd-daemon(3) where stderr is
 * the journal (JOURNAL_STREAM is set), else with a
 * time. Control bytes, U+0080-U+009F, U+2028/9 and bytes that are not UTF-8 are escaped (\xNN),
 * values are cut at 512 bytes: an event cannot forge a line.
 * Thread safe. The event body is never logged at info or above. */
#ifndef DEBITD_BASE_LOG_H
#define DEBITD_BASE_LOG_H

#include "base/macros.h"

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

void log_set_level(enum log_level most_detailed);
void log_set_name(
    const char *name); /* in front of every line where stderr is no journal; not copied */
void log_line(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A fault that repeats: true when it is to be logged now (at first, then after 1, 2, 4 … 64 s while
 * it lasts); *ret_repeats is how often it was kept quiet
 * since. `complaint` belongs to one place and one thread; zero it to begin; complaint_over()
 * returns true once when it had been raised. */
struct complaint {
    long long next_us, interval_us;
    unsigned repeats;
    int raised;
};
int complaint_due(struct complaint *c, long long now_us, unsigned *ret_repeats);
int complaint_over(struct complaint *c);

#endif
