/* The parts of a running debitd and how they are wired: source, writers, keeper, relay. The process around them (signals, service manager, configuration) is app.c. Called by the main thread
 * only; the parts have threads of their own. */
#ifndef DEBITD_SERVICE_H
#define DEBITD_SERVICE_H

#include "config.h"
#include "notify.h"

struct service;

/* Makes and starts all parts; PostgreSQL must have been reachable a moment ago. wake_fd is an eventfd that a part writes to when the process is to end. Of the configuration, which must outlive
 * the service, it keeps pointers. 0, or -1 with the error and its exit code; nothing runs then. */
int service_start(const struct config *config, int wake_fd, struct service **ret,
                  struct error *ret_error) MUST_CHECK;

/* Takes up the keys that can be changed while running. 0; or -1, and then none is. */
int service_reload(struct service *s, const struct config *config,
                   struct error *ret_error) MUST_CHECK;

/* Has a part asked for the end? Its exit code, and why; 0: no. */
int service_ended(struct service *s, char *ret_why, size_t size);

#define SERVICE_PULSES_MAX 80
struct service_view {
    bool ready;        /* the group has given us our share, be it none */
    char text[200];    /* one line for people: partitions, rate, lag */
    char trouble[300]; /* what holds it up now; "": nothing */
    struct pulse pulse[SERVICE_PULSES_MAX];
    size_t pulses;
};
/* now_us: monotonic. Call it about once a second: rates are over the time since the last call. */
void service_view(struct service *s, int64_t now_us, struct service_view *ret);

/* Stops polling, lets the writers finish or roll back what they have, leaves the group. 0; 1: not all of it was done by deadline_us (monotonic); the process may end all the same, but
 * the service must then not be freed. */
int service_stop(struct service *s, int64_t deadline_us) MUST_CHECK;
void service_free(struct service *s);

#endif
