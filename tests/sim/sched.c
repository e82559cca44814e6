/* Who runs next, and when: see sim.h. The one thread of the program runs fibers one after the other; each runs until it waits, and
 * time passes only between them. */
#include "tests/sim/sim.h"

#include "base/log.h"
#include "tests/sim/fiber.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define FIBERS_MAX  256
#define TIMERS_MAX  4096
#define STEPS_MAX   2000000 /* of one history: more is a loop that does not end */
#define CHUNK_BYTES ((size_t)1 << 20)
#define CHUNKS_MAX  512

enum fiber_state { FIBER_READY, FIBER_WAITING, FIBER_DONE };

struct fiber {
    int id;
    char name[24];
    struct owner *owner;
    enum fiber_state state;
    bool late;
    const void *on;
    int64_t until_us;
    void *(*run)(void *);
    void *arg;
    struct stack *stack;
};

struct timer {
    int64_t at_us;
    uint64_t order;
    void (*run)(void *, uint64_t);
    void *arg;
    uint64_t n;
};

struct sim sim;
const char *const tooth_names[TEETH] = {
    [TOOTH_NONE] = "",
    [TOOTH_ADVANCE] = "advance",
    [TOOTH_KEYS] = "keys",
    [TOOTH_KNOWN] = "known",
    [TOOTH_PAYERS] = "payers",
    [TOOTH_ORDER] = "order",
    [TOOTH_RESOLUTION] = "resolution",
    [TOOTH_TXN_FENCE] = "fence",
    [TOOTH_EPOCH] = "epoch",
    [TOOTH_READ_BACK] = "read-back",
    [TOOTH_RESUME] = "resume",
};
static uint64_t prng[2];
static struct fiber *fibers[FIBERS_MAX];
static size_t fiber_count;
static int fiber_ids;
static struct timer timers[TIMERS_MAX]; /* a heap */
static size_t timer_count;
static uint64_t timer_orders;
static struct stack scheduler;
static char *chunks[CHUNKS_MAX]; /* kept from history to history */
static size_t chunk, chunk_used;

/* ---- chance: xoroshiro128+, seeded by splitmix64 */

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t sim_random(void)
{
    uint64_t a = prng[0], b = prng[1], sum = a + b;

    b ^= a;
    prng[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
    prng[1] = b << 37 | b >> 27;
    return sum;
}

uint64_t sim_below(uint64_t n)
{
    return n <= 1 ? 0 : (uint64_t)((unsigned __int128)sim_random() * n >> 64);
}

bool sim_one_in(uint64_t n)
{
    return n != 0 && sim_below(n) == 0;
}

int64_t sim_between(int64_t a, int64_t b)
{
    return a + (int64_t)sim_below((uint64_t)(b - a) + 1);
}

/* ---- memory */

void *sim_alloc(size_t n)
{
    n = (n + 15) & ~(size_t)15;
    ASSERT(n <= CHUNK_BYTES);
    if (chunks[chunk] == NULL || chunk_used + n > CHUNK_BYTES) {
        if (chunks[chunk] != NULL)
            chunk++;
        ASSERT(chunk < CHUNKS_MAX);
        if (chunks[chunk] == NULL)
            chunks[chunk] = memory_of_nobody(CHUNK_BYTES);
        chunk_used = 0;
    }
    void *p = chunks[chunk] + chunk_used;
    chunk_used += n;
    return memset(p, 0, n);
}

void *sim_copy(const void *p, size_t n)
{
    void *to = sim_alloc(n + 1);

    if (n > 0)
        memcpy(to, p, n);
    return to;
}

char *sim_text(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return sim_copy(text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* ---- what happens */

void sim_trace(const char *format, ...)
{
    char text[1200];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (const char *p = text; *p != '\0'; p++)
        sim.trace_hash = (sim.trace_hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    if (sim.quietly)
        return;
    printf("%8" PRIu64 " %12.6f %-8s %-14s %s\n", sim.steps, (double)sim.now_us / 1e6,
           sim.current && sim.current->owner ? sim.current->owner->name : "-",
           sim.current ? sim.current->name : "-", text);
}

static void leave_for_good(void)
{
    struct fiber *f = sim.current;

    if (f != NULL)
        stack_switch(f->stack, &scheduler);
}

void sim_fail(const char *format, ...)
{
    va_list args;

    if (!sim.failed) {
        int n = snprintf(sim.failure, sizeof(sim.failure),
                         "step %" PRIu64 ", %.6f s, %s %s: ", sim.steps, (double)sim.now_us / 1e6,
                         sim.current && sim.current->owner ? sim.current->owner->name : "-",
                         fiber_name());
        va_start(args, format);
        vsnprintf(sim.failure + n, sizeof(sim.failure) - (size_t)n, format, args);
        va_end(args);
        TRACE("FAILED: %s", sim.failure);
    }
    sim.failed = true;
    leave_for_good();
}

/* ---- fibers */

struct owner *fiber_owner(void)
{
    return sim.current ? sim.current->owner : NULL;
}

const char *fiber_name(void)
{
    return sim.current ? sim.current->name : "-";
}

bool fiber_done(const struct fiber *f)
{
    return f->state == FIBER_DONE;
}

void fiber_rename(struct fiber *f, const char *name)
{
    snprintf(f->name, sizeof(f->name), "%s", name);
}

static void entry(void)
{
    stack_entered();
    struct fiber *f = sim.current;
    f->run(f->arg);
    f->state = FIBER_DONE;
    sim_wake(f);
    stack_switch(f->stack, &scheduler);
    ASSERT(!"a fiber that is done runs again");
}

struct fiber *fiber_start(const char *name, struct owner *owner, void *(*run)(void *), void *arg)
{
    struct fiber *f = sim_alloc(sizeof(*f));

    ASSERT(fiber_count < FIBERS_MAX);
    f->id = ++fiber_ids;
    snprintf(f->name, sizeof(f->name), "%s", name);
    f->owner = owner;
    f->until_us = NEVER;
    f->run = run;
    f->arg = arg;
    f->stack = stack_new(entry);
    fibers[fiber_count++] = f;
    return f;
}

void fiber_kill(struct fiber *f)
{
    ASSERT(f != sim.current);
    f->state = FIBER_DONE;
    sim_wake(f);
}

void owner_kill(struct owner *o)
{
    for (size_t i = 0; i < fiber_count; i++)
        if (fibers[i]->owner == o && fibers[i]->state != FIBER_DONE)
            fiber_kill(fibers[i]);
    owner_free_all(o);
}

void sim_yield(void)
{
    struct fiber *f = sim.current;

    ASSERT(f != NULL);
    stack_switch(f->stack, &scheduler);
}

bool sim_wait(const void *on, int64_t until_us)
{
    struct fiber *f = sim.current;

    ASSERT(f != NULL);
    f->state = FIBER_WAITING;
    f->late = false;
    f->on = on;
    f->until_us = until_us;
    stack_switch(f->stack, &scheduler);
    return f->late;
}

void sim_pass(int64_t us)
{
    int64_t end = sim.now_us + us;

    while (sim.now_us < end)
        sim_wait(&sim.current->until_us, end);
}

static void make_ready(struct fiber *f, bool late)
{
    f->state = FIBER_READY;
    f->late = late;
    f->on = NULL;
    f->until_us = NEVER;
}

void sim_wake(const void *on)
{
    for (size_t i = 0; i < fiber_count; i++)
        if (fibers[i]->state == FIBER_WAITING && fibers[i]->on == on)
            make_ready(fibers[i], false);
}

void sim_wake_one(const void *on)
{
    struct fiber *waiting[FIBERS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < fiber_count; i++)
        if (fibers[i]->state == FIBER_WAITING && fibers[i]->on == on)
            waiting[n++] = fibers[i];
    if (n > 0)
        make_ready(waiting[sim_below(n)], false);
}

/* ---- timers */

static bool earlier(const struct timer *a, const struct timer *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_at(int64_t at_us, void (*run)(void *, uint64_t), void *arg, uint64_t n)
{
    ASSERT(timer_count < TIMERS_MAX);
    struct timer t = { at_us > sim.now_us ? at_us : sim.now_us, timer_orders++, run, arg, n };
    size_t i = timer_count++;
    for (; i > 0 && earlier(&t, &timers[(i - 1) / 2]); i = (i - 1) / 2)
        timers[i] = timers[(i - 1) / 2];
    timers[i] = t;
}

static struct timer take_timer(void)
{
    struct timer first = timers[0], last = timers[--timer_count];
    size_t i = 0;

    for (size_t child; (child = 2 * i + 1) < timer_count; i = child) {
        if (child + 1 < timer_count && earlier(&timers[child + 1], &timers[child]))
            child++;
        if (!earlier(&timers[child], &last))
            break;
        timers[i] = timers[child];
    }
    if (timer_count > 0)
        timers[i] = last;
    return first;
}

/* ---- the loop */

static size_t gather(struct fiber **ready, int64_t *ret_next_us)
{
    size_t n = 0, kept = 0;

    *ret_next_us = timer_count > 0 ? timers[0].at_us : NEVER;
    for (size_t i = 0; i < fiber_count; i++) {
        struct fiber *f = fibers[i];

        if (f->state == FIBER_DONE) {
            stack_put_back(f->stack);
            continue;
        }
        fibers[kept++] = f;
        if (f->owner != NULL && f->owner->paused)
            continue;
        if (f->state == FIBER_WAITING && f->until_us <= sim.now_us)
            make_ready(f, true);
        if (f->state == FIBER_READY)
            ready[n++] = f;
        else if (f->until_us < *ret_next_us)
            *ret_next_us = f->until_us;
    }
    fiber_count = kept;
    return n;
}

static void step(struct fiber *f)
{
    sim.steps++;
    sim.now_us++;
    sim.trace_hash =
        (sim.trace_hash ^ (uint64_t)f->id ^ (uint64_t)sim.now_us << 8) * UINT64_C(0x100000001b3);
    sim.current = f;
    stack_switch(&scheduler, f->stack);
    sim.current = NULL;
}

static void (*main_body)(void);
static void *main_fiber(void *arg)
{
    (void)arg;
    main_body();
    return NULL;
}

void sim_begin(uint64_t seed)
{
    enum tooth tooth = sim.tooth;
    bool tracing = sim.tracing, quietly = sim.quietly;
    uint64_t x = seed;

    sim = (struct sim){ .seed = seed, .tooth = tooth, .tracing = tracing, .quietly = quietly };
    prng[0] = splitmix(&x);
    prng[1] = splitmix(&x);
    fiber_ids = 0;
    timer_count = timer_orders = 0;
    chunk = chunk_used = 0;
}

void sim_run(void (*main_run)(void))
{
    main_body = main_run;
    struct fiber *first = fiber_start("history", NULL, main_fiber, NULL);
    while (first->state != FIBER_DONE && !sim.failed) {
        struct fiber *ready[FIBERS_MAX];
        int64_t next_us;

        while (timer_count > 0 && timers[0].at_us <= sim.now_us && !sim.failed) {
            struct timer t = take_timer();
            t.run(t.arg, t.n);
        }
        size_t n = gather(ready, &next_us);
        if (sim.failed)
            break;
        if (n > 0)
            step(ready[sim_below(n)]);
        else if (next_us == NEVER)
            sim_fail("nobody can go on and nothing is due: a deadlock");
        else
            sim.now_us = next_us;
        if (sim.steps > STEPS_MAX)
            sim_fail("%d steps and no end", STEPS_MAX);
    }
    for (size_t i = 0; i < fiber_count; i++)
        stack_put_back(fibers[i]->stack);
    fiber_count = 0;
    sim.current = NULL;
}
