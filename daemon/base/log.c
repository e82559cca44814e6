/* The log: one write(2) a line, so that lines of several threads do not mix.
 *
 * The format is walked here instead of by printf, because every string argument is escaped and
 * cut on its own: what comes from outside cannot forge a line, nor push the rest of it out. The
 * level and the name are the process's, set at start and at a reload: the only state of this
 * folder that is not its caller's. */
#include "base/log.h"

#include "base/buffer.h"
#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VALUE_BYTES_MAX 512

static atomic_int most_detailed_level = LOG_LEVEL_INFO;
static _Atomic(const char *) process_name = "debitd";

void log_set_level(enum log_level most_detailed)
{
    atomic_store(&most_detailed_level, (int)most_detailed);
}

void log_set_name(const char *name)
{
    atomic_store(&process_name, name);
}

/* systemd names the journal's socket as device:inode, since a child may have stderr elsewhere
 * (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static void line_start(struct buffer *out, enum log_level level)
{
    static const char *const names[] = {
        "", "", "", "error", "warning", "notice", "info", "debug"
    };
    char text[TIME_TEXT_MAX];
    struct timespec now;

    if (stderr_is_journal()) {
        buffer_format(out, "<%d>", (int)level);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    time_format(now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000000 * 1000, text);
    buffer_format(out, "%s %s %s: ", text, atomic_load(&process_name), names[level]);
}

static void value_put(struct buffer *out, const char *text, size_t n)
{
    if (!buffer_printable(out, (struct slice){ text, n }, VALUE_BYTES_MAX))
        buffer_text(out, "...");
}

/* One conversion of printf: flags, width and precision as written, then the length modifier. */
struct conversion {
    char spec[32]; /* "%-5.3l" without its last letter */
    size_t n;
    int precision; /* -1: none */
    int longs;     /* 0: int, 1: long or size_t, 2: long long */
};

static const char *conversion_read(const char *p, struct conversion *c, va_list *args)
{
    bool point = false;

    *c = (struct conversion){ .spec = "%", .n = 1, .precision = -1 };
    for (; *p && strchr("-+ #0123456789.*lzhjt", *p); p++) {
        ASSERT(c->n < sizeof(c->spec) - 16);
        if (*p == '*') {
            int number = va_arg(*args, int);
            if (point)
                c->precision = number;
            c->n += (size_t)snprintf(c->spec + c->n, sizeof(c->spec) - c->n, "%d", number);
            continue;
        }
        if (*p == '.')
            point = true;
        else if (point && *p >= '0' && *p <= '9')
            c->precision = (c->precision < 0 ? 0 : c->precision * 10) + (*p - '0');
        else if (*p == 'l')
            c->longs++;
        else if (*p == 'z' || *p == 'j' || *p == 't')
            c->longs = 1;
        c->spec[c->n++] = *p;
    }
    c->spec[c->n] = *p;
    c->spec[c->n + (*p != '\0')] = '\0';
    return p;
}

static void number_put(struct buffer *out, const struct conversion *c, va_list *args)
{
    char text[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (c->longs == 2)
        snprintf(text, sizeof(text), c->spec, va_arg(*args, long long));
    else if (c->longs == 1)
        snprintf(text, sizeof(text), c->spec, va_arg(*args, long));
    else
        snprintf(text, sizeof(text), c->spec, va_arg(*args, int));
#pragma GCC diagnostic pop
    value_put(out, text, strlen(text));
}

static void format_put(struct buffer *out, const char *format, va_list *args)
{
    for (const char *p = format; *p; p++) {
        struct conversion c;
        size_t plain = strcspn(p, "%");
        buffer_put(out, p, plain);
        p += plain;
        if (!*p)
            break;
        p = conversion_read(p + 1, &c, args);
        if (*p == 's') {
            const char *text = va_arg(*args, const char *);
            size_t most = c.precision < 0 ? SIZE_MAX : (size_t)c.precision;
            text = text ? text : "(null)";
            value_put(out, text, most == SIZE_MAX ? strlen(text) : strnlen(text, most));
        } else if (*p == '%') {
            buffer_text(out, "%");
        } else if (*p == 'p') {
            buffer_format(out, "%p", va_arg(*args, void *));
        } else {
            /* a double has no place in a log of money, and would be read wrongly below */
            ASSERT(*p != '\0' && strchr("dicuxXo", *p));
            number_put(out, &c, args);
        }
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    struct buffer out = BUFFER_NULL;
    va_list args;

    if ((int)level > atomic_load(&most_detailed_level))
        return;
    va_start(args, format);
    line_start(&out, level);
    format_put(&out, format, &args);
    va_end(args);
    buffer_text(&out, "\n");
    for (size_t done = 0; done < out.n;) {
        ssize_t n = write(STDERR_FILENO, out.p + done, out.n - done);
        if (n < 0 && errno != EINTR)
            break; /* nowhere to tell it */
        done += n > 0 ? (size_t)n : 0;
    }
    buffer_fini(&out);
}

#define COMPLAINT_MAX_US (64 * US_PER_SECOND)

int complaint_due(struct complaint *c, long long now_us, unsigned *ret_repeats)
{
    if (!c->raised) {
        *c = (struct complaint){ now_us + US_PER_SECOND, US_PER_SECOND, 0, 1 };
        *ret_repeats = 0;
        return 1;
    }
    if (now_us < c->next_us) {
        c->repeats++;
        return 0;
    }
    c->interval_us = c->interval_us * 2 > COMPLAINT_MAX_US ? COMPLAINT_MAX_US : c->interval_us * 2;
    c->next_us = now_us + c->interval_us;
    *ret_repeats = c->repeats;
    c->repeats = 0;
    return 1;
}

int complaint_over(struct complaint *c)
{
    int raised = c->raised;

    *c = (struct complaint){ 0, 0, 0, 0 };
    return raised;
}
