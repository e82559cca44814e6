/* sd_notify(3), and who is alive. */
#include "notify.h"

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

void notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%.*s", STATUS_MAX, status);
}

void notify_reloading(int64_t now_us)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, now_us);
}

void notify_stopping(const char *status)
{
    sd_notifyf(0, "STOPPING=1\nSTATUS=%.*s", STATUS_MAX, status);
}

void notify_status(const char *status)
{
    sd_notifyf(0, "STATUS=%.*s", STATUS_MAX, status);
}

void notify_extend(int64_t us)
{
    sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRId64, us);
}
