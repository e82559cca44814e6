/* The operating system of a simulated daemon. The linker leads these calls of everything in the program here
 * (-Wl,--wrap, see CMakeLists.txt). Outside a fiber of a daemon the real ones are used. */
#include "base/embedded.h"
#include "tests/sim/history.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- memory: with a head, by which what a daemon holds is known */

struct block {
    struct owner *owner;
    struct block *prev, *next;
    size_t size;
};

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);
char *__wrap_strdup(const char *s);

static void link_block(struct block *b)
{
    struct owner *o = b->owner;

    b->prev = NULL;
    b->next = NULL;
    if (o == NULL)
        return;
    b->next = o->blocks;
    if (o->blocks != NULL)
        o->blocks->prev = b;
    o->blocks = b;
    o->bytes += b->size;
}

static void unlink_block(struct block *b)
{
    struct owner *o = b->owner;

    if (o == NULL)
        return;
    if (b->prev != NULL)
        b->prev->next = b->next;
    else
        o->blocks = b->next;
    if (b->next != NULL)
        b->next->prev = b->prev;
    o->bytes -= b->size;
}

void *__wrap_malloc(size_t n)
{
    struct block *b = __real_malloc(sizeof(*b) + n);

    if (b == NULL)
        return NULL;
    b->owner = fiber_owner();
    b->size = n;
    link_block(b);
    return b + 1;
}

void *__wrap_calloc(size_t n, size_t size)
{
    size_t bytes;
    void *p = __builtin_mul_overflow(n, size, &bytes) ? NULL : __wrap_malloc(bytes);

    return p ? memset(p, 0, bytes) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
    if (p == NULL)
        return __wrap_malloc(n);
    struct block *b = (struct block *)p - 1;
    unlink_block(b);
    b = __real_realloc(b, sizeof(*b) + n);
    ASSERT(b != NULL);
    b->size = n;
    link_block(b);
    return b + 1;
}

void __wrap_free(void *p)
{
    if (p == NULL)
        return;
    struct block *b = (struct block *)p - 1;
    ASSERT(fiber_owner() == NULL || b->owner == fiber_owner());
    unlink_block(b);
    __real_free(b);
}

char *__wrap_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = __wrap_malloc(n);

    return copy ? memcpy(copy, s, n) : NULL;
}

void *memory_of_nobody(size_t n)
{
    void *p = __real_malloc(n);

    ASSERT(p != NULL);
    return p;
}

void owner_free_all(struct owner *o)
{
    while (o->blocks != NULL) {
        struct block *b = o->blocks;
        o->blocks = b->next;
        __real_free(b);
    }
    o->bytes = 0;
}

/* ---- time */

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_nanosleep(const struct timespec *t, struct timespec *rest);

#define BOOTED_US (1000 * SEC) /* the monotonic clock does not begin at 0 */

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    if (sim.current == NULL)
        return __real_clock_gettime(clock, t);
    int64_t us = sim.now_us + (clock == CLOCK_MONOTONIC ? BOOTED_US : sim.start_us);
    *t = (struct timespec){ us / SEC, us % SEC * 1000 };
    return 0;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *rest)
{
    (void)rest;
    ASSERT(sim.current != NULL);
    sim_pass(t->tv_sec * SEC + t->tv_nsec / 1000);
    return 0;
}

static int64_t us_of(const struct timespec *t, int64_t base_us)
{
    return t->tv_sec * SEC + t->tv_nsec / 1000 - base_us;
}

/* ---- threads: a pthread_t is the fiber, a mutex's first word its holder */

#define PREEMPT_ONE_IN  16 /* so often another one runs before a lock is taken */
#define SPURIOUS_ONE_IN 64

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_join(pthread_t thread, void **ret);
int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret, const struct timespec *until);
int __wrap_pthread_setname_np(pthread_t thread, const char *name);
int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
                          void *arg)
{
    (void)attr;
    *thread = (pthread_t)fiber_start("thread", fiber_owner(), run, arg);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **ret)
{
    (void)ret;
    while (!fiber_done((struct fiber *)thread))
        sim_wait((void *)thread, NEVER);
    return 0;
}

int __wrap_pthread_timedjoin_np(pthread_t thread, void **ret, const struct timespec *until)
{
    int64_t end = us_of(until, sim.start_us);

    (void)ret;
    while (!fiber_done((struct fiber *)thread))
        if (sim_wait((void *)thread, end))
            return ETIMEDOUT;
    return 0;
}

int __wrap_pthread_setname_np(pthread_t thread, const char *name)
{
    fiber_rename((struct fiber *)thread, name);
    return 0;
}

static struct fiber **holder(pthread_mutex_t *m)
{
    return (struct fiber **)m;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
    (void)attr;
    memset(m, 0, sizeof(*m));
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
    ASSERT(*holder(m) == NULL);
    return 0;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
    if (sim.current == NULL)
        return 0;
    if (sim_one_in(PREEMPT_ONE_IN))
        sim_yield();
    ASSERT(*holder(m) != sim.current);
    while (*holder(m) != NULL)
        sim_wait(m, NEVER);
    *holder(m) = sim.current;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
    if (sim.current == NULL)
        return 0;
    ASSERT(*holder(m) == sim.current);
    *holder(m) = NULL;
    sim_wake(m);
    return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
    (void)attr;
    memset(c, 0, sizeof(*c));
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
    (void)c;
    return 0;
}

static int wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t until_us)
{
    bool late = false;

    ASSERT(*holder(m) == sim.current);
    *holder(m) = NULL;
    sim_wake(m);
    if (!sim_one_in(SPURIOUS_ONE_IN))
        late = sim_wait(c, until_us);
    while (*holder(m) != NULL)
        sim_wait(m, NEVER);
    *holder(m) = sim.current;
    return late ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    return wait_until(c, m, NEVER);
}

/* Every condition of the daemon goes by CLOCK_MONOTONIC. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until)
{
    return wait_until(c, m, us_of(until, BOOTED_US));
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
    sim_wake_one(c);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
    sim_wake(c);
    return 0;
}

/* ---- the embedded files: looked for by hash, as every daemon of every history looks for all of them */

const struct embedded_file *__real_embedded_find(const char *path);
const struct embedded_file *__wrap_embedded_find(const char *path);

const struct embedded_file *__wrap_embedded_find(const char *path)
{
    static const struct embedded_file *known[1024];
    uint32_t hash = 2166136261u;

    for (const char *p = path; *p != '\0'; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619u;
    size_t at = hash % ARRAY_SIZE(known);
    if (known[at] == NULL || strcmp(known[at]->path, path) != 0)
        known[at] = __real_embedded_find(path);
    return known[at];
}

/* ---- the rest of the world */

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
void __real_abort(void) __attribute__((noreturn));
void __wrap_abort(void) __attribute__((noreturn));
int __wrap_gethostname(char *name, size_t n);
pid_t __wrap_getpid(void);

/* A log line goes into the trace; the wake of a daemon's main thread to its main fiber. */
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (fiber_owner() == NULL)
        return __real_write(fd, p, n);
    if (fd == STDERR_FILENO)
        TRACE("log %.*s", (int)(n > 0 ? n - 1 : 0), (const char *)p);
    else
        daemon_woken(fiber_owner());
    return (ssize_t)n;
}

/* An assertion of the daemon has failed: words are on stderr. */
void __wrap_abort(void)
{
    if (sim.current != NULL)
        sim_fail("an assertion failed: see the line above");
    __real_abort();
}

int __wrap_gethostname(char *name, size_t n)
{
    snprintf(name, n, "host");
    return 0;
}

pid_t __wrap_getpid(void)
{
    return 100;
}
