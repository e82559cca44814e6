/* Times the steps of tests/debitd_profile: what happens at its named points (base/fault.h).
 *
 * The time between two points that a thread passes belongs to the phase that ends at the second.
 * Phases are those of the writers and of the source: the same points on the threads of accounts
 * and of what was parked count nothing. On exit the sums of all threads are written as JSON to the
 * file that the environment's DEBITD_PROFILE names: {"decode": {"wall_us": …, "cpu_us": …,
 * "times": …, "thread": …}, …}; cpu_us is this process's own, the rest of wall_us is waiting for PostgreSQL.
 *
 * A server answers a pipeline at its end, in one piece; here each statement asks for its own answer,
 * so that the time of each is seen. */
#include "base/fault.h"

#include <errno.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct step {
    const char *point, *thread, *phase;
} steps[] = {
    { "source.consumed", "source", "consume" }, /* all that was polled since the last look */
    { "source.worked", "source", "group" },
    { "writer.gathered", "writer", "wait" }, /* for messages: none after the last */
    { "ingest.decoded", "writer", "decode" },
    { "ingest.begin", "writer", "names" },
    { "ingest.advanced", "writer", "positions" },
    { "ingest.known", "writer", "dedup" },
    { "ingest.read", "writer", "read" }, /* the payers' locks included */
    { "ingest.rated", "writer", "rate" },
    { "ingest.copy", "writer", "copy" },
    { "ingest.keys", "writer", "copy keys" },
    { "ingest.entries", "writer", "copy entries" },
    { "ingest.commit", "writer", "upsert" },
    { "ingest.commit_sent", "writer", "upsert" },
    { "ingest.written", "writer", "upsert" },
    { "ingest.committed", "writer", "commit" },
    { "writer.released", "writer", "release" },
};
#define STEPS (sizeof(steps) / sizeof(*steps))
#define AGAIN STEPS /* a batch that was rolled back and runs again: what is between the two runs */

struct sum {
    double wall_us, cpu_us;
    unsigned long times;
};

static struct sum sums[STEPS + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static double now_us(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) != 0)
        abort();
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static const struct step *step_of(const char *point)
{
    for (size_t i = 0; i < STEPS; i++)
        if (strcmp(steps[i].point, point) == 0)
            return &steps[i];
    return NULL;
}

/* A batch is decoded once, when it was gathered; its first step of a later run ends something else. */
static size_t slot_of(const struct step *from, const struct step *to)
{
    if (strcmp(to->phase, "decode") == 0 && strcmp(from->phase, "wait") != 0)
        return AGAIN;
    return (size_t)(to - steps);
}

void fault_point(const char *name)
{
    static _Thread_local const struct step *last;
    static _Thread_local double last_wall, last_cpu;
    const struct step *step = step_of(name);
    char thread[16];

    if (step == NULL || pthread_getname_np(pthread_self(), thread, sizeof(thread)) != 0 ||
        strcmp(thread, step->thread) != 0)
        return;
    double wall = now_us(CLOCK_MONOTONIC), cpu = now_us(CLOCK_THREAD_CPUTIME_ID);
    if (last != NULL) {
        struct sum *s = &sums[slot_of(last, step)];
        pthread_mutex_lock(&lock);
        s->wall_us += wall - last_wall;
        s->cpu_us += cpu - last_cpu;
        s->times++;
        pthread_mutex_unlock(&lock);
    }
    last = step;
    last_wall = wall;
    last_cpu = cpu;
}

int __real_PQsendQueryPrepared(PGconn *c, const char *name, int n, const char *const *values,
                               const int *lengths, const int *formats, int result_format);
int __wrap_PQsendQueryPrepared(PGconn *c, const char *name, int n, const char *const *values,
                               const int *lengths, const int *formats, int result_format);
int __wrap_PQsendQueryPrepared(PGconn *c, const char *name, int n, const char *const *values,
                               const int *lengths, const int *formats, int result_format)
{
    return __real_PQsendQueryPrepared(c, name, n, values, lengths, formats, result_format) &&
           PQsendFlushRequest(c);
}

/* Neighbours of one phase are written as one. */
static void write_sums(FILE *out)
{
    const char *separator = "{";

    for (size_t i = 0; i <= STEPS;) {
        const char *phase = i < STEPS ? steps[i].phase : "again";
        const char *thread = i < STEPS ? steps[i].thread : "writer";
        struct sum s = { 0 };
        for (; i <= STEPS && strcmp(phase, i < STEPS ? steps[i].phase : "again") == 0; i++) {
            s.wall_us += sums[i].wall_us;
            s.cpu_us += sums[i].cpu_us;
            s.times = sums[i].times;
        }
        fprintf(
            out,
            "%s\"%s\": {\"wall_us\": %.0f, \"cpu_us\": %.0f, \"times\": %lu, \"thread\": \"%s\"}",
            separator, phase, s.wall_us, s.cpu_us, s.times, thread);
        separator = ",\n ";
    }
    fputs("}\n", out);
}

__attribute__((destructor)) static void leave(void)
{
    const char *path = getenv("DEBITD_PROFILE");
    FILE *out = path != NULL ? fopen(path, "we") : NULL;

    if (path == NULL)
        return;
    if (out == NULL) {
        fprintf(stderr, "debitd_profile: %s: %s\n", path, strerror(errno));
        return;
    }
    write_sums(out);
    if (fclose(out) != 0)
        fprintf(stderr, "debitd_profile: %s: %s\n", path, strerror(errno));
}
