/* What debitd tells the service manager (sd_notify(3)), and the judgement behind the watchdog: alive is who makes progress, or waits for something it has named and not for longer
 * than it said. Called by the main thread only. Without a service manager (NOTIFY_SOCKET unset) everything here does nothing. */
#ifndef DEBITD_NOTIFY_H
#define DEBITD_NOTIFY_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

/* One thread's pulse, as the main thread read it. All times are monotonic microseconds. */
struct pulse {
    const char *thread;    /* "writer 0" */
    int64_t progress_us;   /* when it last came round its loop */
    const char *waits_for; /* what it waits for inside a call that it cannot leave; NULL: nothing */
    int64_t wait_until_us; /* until when it has excused itself */
};
/* The first that has neither come round within limit_us nor has an excuse that still holds; NULL: all are alive. */
const struct pulse *pulse_dead(const struct pulse *p, size_t pulses, int64_t limit_us,
                               int64_t now_us);

/* Every how many microseconds notify_watchdog is to be called: half of what the manager asks for, 0: it asks for none. */
int64_t notify_watchdog_us(void);
void notify_watchdog(void);

/* READY=1 with a status; also ends a reload. */
void notify_ready(const char *status);
/* RELOADING=1 with MONOTONIC_USEC, without which newer managers wait in vain for the end of the reload. */
void notify_reloading(int64_t now_us);
void notify_stopping(const char *status);
/* STATUS=. */
void notify_status(const char *status);
/* Start-up is still waiting for something: gives it so much more time before the manager gives up. */
void notify_extend(int64_t us);

#endif
