/* What debitd tells the service manager (sd_notify(3)), and the judgement behind the watchdog: alive is whose number changes within the time that the longest call it
 * may be in can take. Called by the main thread only. Without a service manager (NOTIFY_SOCKET unset) everything here does nothing. */
#ifndef DEBITD_NOTIFY_H
#define DEBITD_NOTIFY_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

/* One thread's pulse, as the main thread read it. All times are monotonic microseconds. */
struct pulse {
    char thread[24];     /* "writer 0" */
    uint64_t beat;       /* a number of the thread's own that changes while it is not stuck */
    int64_t progress_us; /* when it was last seen to change */
    int64_t
        limit_us; /* for how long it may stand still: as long as the longest call it may be in */
};
/* Takes in what the thread's number is now. The first time, and whenever it differs, that is progress. */
void pulse_feel(struct pulse *p, uint64_t beat, int64_t now_us);
/* The first that has stood still for longer than it may; NULL: all are alive. */
const struct pulse *pulse_dead(const struct pulse *p, size_t pulses, int64_t now_us);

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
