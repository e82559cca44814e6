/* Deterministic simulation: whole daemons of debitd, unmodified, against an imitated Kafka, PostgreSQL and clock, in one
 * thread. What the daemon calls threads are fibers here; whatever would block, ask the time or touch the world is
 * replaced by the linker (libc.c: malloc, pthread, clocks; pq_*.c: libpq; rdk_*.c: librdkafka). One PRNG decides who runs next,
 * which fault comes and how long everything takes, so that a seed is a history, to the byte.
 *
 *   sched.c fiber.c   fibers, virtual time, timers, the trace
 *   libc.c            the operating system of a daemon; its memory is its own, so that kill -9 gives all of it back
 *   store.c           rows, transactions, locks; sql_*.c: what each statement means; pq_server.c, pq_client.c: connections
 *   broker.c group.c  logs, Kafka transactions, the consumer group; rdk_*.c: librdkafka 2.0.2 with its traps
 *   events.c          what is sent in, and what must become of it; check.c: the invariants
 *   history.c         one history: daemons come, go and hang, faults, healing, the end
 *
 * Everything the simulator itself allocates (sim_alloc) lives until the end of the history. */
#ifndef DEBITD_TESTS_SIM_SIM_H
#define DEBITD_TESTS_SIM_SIM_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

#define NEVER INT64_MAX
#define MS    INT64_C(1000)
#define SEC   INT64_C(1000000)

/* A process: its fibers run and end with it. */
struct owner {
    char name[16];
    bool paused; /* SIGSTOP */
    int64_t clients;
    struct block *blocks; /* its memory */
    size_t bytes;
};

struct fiber;

/* What is taken out of the world to see whether the simulation notices (teeth). */
enum tooth {
    TOOTH_NONE,
    TOOTH_ADVANCE,    /* advance() compares nothing */
    TOOTH_KEYS,       /* event_key has no primary key */
    TOOTH_KNOWN,      /* known_keys finds nothing */
    TOOTH_PAYERS,     /* lock_payers does not lock */
    TOOTH_ORDER,      /* lock_payers locks in any order */
    TOOTH_RESOLUTION, /* positions_lock is a plain read */
    TOOTH_TXN_FENCE,  /* init_transactions fences nobody */
    TOOTH_EPOCH,      /* the relay's epoch is not compared */
    TOOTH_READ_BACK,  /* what a relay before had claimed is not told to the next */
    TOOTH_RESUME,     /* a resume within a rebalance does nothing */
    TEETH
};
extern const char *const tooth_names[TEETH];

struct sim {
    uint64_t seed;
    enum tooth tooth;
    bool tracing, quietly; /* quietly: into the hash only */
    int64_t now_us;        /* since the start of the history */
    int64_t start_us;      /* the wall clock then, since 1970 */
    uint64_t steps, switches;
    bool failed;
    char failure[2000];
    struct fiber *current; /* NULL: the scheduler, or outside */
    uint64_t trace_hash;   /* over every step, and over the trace where there is one */
};
extern struct sim sim;

/* ---- chance */
uint64_t sim_random(void);
uint64_t sim_below(uint64_t n); /* 0 … n-1 */
bool sim_one_in(uint64_t n);    /* 0: never */
int64_t sim_between(int64_t a, int64_t b);

/* ---- fibers and time */
void sim_begin(uint64_t seed);
/* Until `main_run` has returned, or something has failed. Everything is taken down afterwards. */
void sim_run(void (*main_run)(void));
struct fiber *fiber_start(const char *name, struct owner *owner, void *(*run)(void *), void *arg);
void fiber_rename(struct fiber *f, const char *name);
bool fiber_done(const struct fiber *f);
struct owner *fiber_owner(void); /* of the current fiber; NULL: none */
const char *fiber_name(void);
/* Ends all fibers of an owner and gives its memory back, wherever they are. Not from one of its own fibers. */
void owner_kill(struct owner *o);
/* Ends the fiber, which is not the current one. */
void fiber_kill(struct fiber *f);
void sim_yield(void);
/* Until sim_wake(on) or then. True: late. */
bool sim_wait(const void *on, int64_t until_us);
void sim_pass(int64_t us); /* time passes for this fiber */
void sim_wake(const void *on);
void sim_wake_one(const void *on);
/* Runs it then, between two steps of fibers. */
void sim_at(int64_t at_us, void (*run)(void *arg, uint64_t n), void *arg, uint64_t n);

/* ---- memory of the history */
void *sim_alloc(size_t n); /* zeroed */
void *sim_copy(const void *p, size_t n);
char *sim_text(const char *format, ...) PRINTF_LIKE(1, 2);

/* ---- memory of owners (libc.c) */
void owner_free_all(struct owner *o);
void *memory_of_nobody(size_t n); /* whoever asks */

/* ---- what happens */
void sim_trace(const char *format, ...) PRINTF_LIKE(1, 2);
#define TRACE(...)                  \
    do {                            \
        if (sim.tracing)            \
            sim_trace(__VA_ARGS__); \
    } while (0)
/* The history has failed. Does not return to a fiber; returns where there is none. */
void sim_fail(const char *format, ...) PRINTF_LIKE(1, 2);
#define MUST(expr, ...)            \
    do {                           \
        if (!(expr))               \
            sim_fail(__VA_ARGS__); \
    } while (0)

#endif
