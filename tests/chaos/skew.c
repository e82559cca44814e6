/*
 * A clock that is wrong, and that is set while a program runs: preloaded into a daemon, it adds as many seconds to
 * CLOCK_REALTIME as the file SKEW_FILE says (a struct of one int64_t, mapped, so that a step is seen at once). The monotonic
 * clock is left alone, as it is when somebody sets the clock of a machine. Waits until a moment of the wrong clock end when
 * they would on such a machine: the moment is turned back into the kernel's time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

/* Realtime moments are later than this, monotonic ones (seconds since boot) are not. */
#define SINCE_2001_S 1000000000

static const int64_t none = 0;
static const volatile int64_t *skew_s = &none;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_cnd_wait)(cnd_t *, mtx_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SKEW_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED)
            skew_s = mapped;
        close(fd);
    }
    /* POSIX's way to read a function out of a pointer to an object */
    *(void **)&real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    *(void **)&real_wait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    *(void **)&real_cnd_wait = dlsym(RTLD_NEXT, "cnd_timedwait");
    if (skew_s == &none || !real_clock || !real_wait || !real_cnd_wait)
        abort();
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    int result = real_clock(clock, ret_now);

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret_now->tv_sec += *skew_s;
    return result;
}

time_t time(time_t *ret_now)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (ret_now)
        *ret_now = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *ret_now, void *zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret_now = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return 0;
}

int timespec_get(struct timespec *ret_now, int base)
{
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, ret_now) == 0 ? base : 0;
}

static struct timespec kernels(const struct timespec *until)
{
    struct timespec moment = *until;

    if (moment.tv_sec > SINCE_2001_S)
        moment.tv_sec -= *skew_s;
    return moment;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    struct timespec moment = kernels(until);

    return real_wait(cond, mutex, &moment);
}

/* librdkafka's threads are C11's, which do not come by the function above. */
int cnd_timedwait(cnd_t *cond, mtx_t *mutex, const struct timespec *until)
{
    struct timespec moment = kernels(until);

    return real_cnd_wait(cond, mutex, &moment);
}
