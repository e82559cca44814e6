/* sd_notify(3), and who is alive. */
#include "notify.h"

#include "base/buffer.h"

#include <inttypes.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define STATUS_MAX 512

void pulse_feel(struct pulse *p, uint64_t beat, int64_t now_us)
{
    if (p->progress_us == 0 || p->beat != beat)
        p->progress_us = now_us;
    p->beat = beat;
}

const struct pulse *pulse_dead(const struct pulse *p, size_t pulses, int64_t now_us)
{
    for (size_t i = 0; i < pulses; i++)
        if (now_us - p[i].progress_us > p[i].limit_us)
            return &p[i];
    return NULL;
}

int64_t notify_watchdog_us(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)(us / 2) : 0;
}

void notify_watchdog(void)
{
    sd_notify(0, "WATCHDOG=1");
}

/* One message; the status in one line, for a line break would begin another assignment, READY=1 for example. */
static void tell(const char *what, const char *status)
{
    CLEANUP(buffer_fini) struct buffer b = BUFFER_NULL;
    buffer_format(&b, "%sSTATUS=", what);
    buffer_printable(&b, slice_of(status), STATUS_MAX);
    sd_notify(0, buffer_cstr(&b));
}

void notify_ready(const char *status)
{
    tell("READY=1\n", status);
}

void notify_reloading(int64_t now_us)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now_us);
}

void notify_stopping(const char *status)
{
    tell("STOPPING=1\n", status);
}

void notify_status(const char *status)
{
    tell("", status);
}

void notify_extend(int64_t us)
{
    sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRId64, us);
}
