/* Preloaded into debitd and debitctl (LD_PRELOAD): allocations and system calls that fail as they may.
 *
 *   FAULTS="memory 1234"      the 1234th allocation fails, and no other
 *   FAULTS="memory 1234+"     it and all after it
 *   FAULTS="calls 1234"       the 1234th call of those wrapped below fails, and no other
 *   FAULTS="calls 50/10000 7" 50 in 10,000 of them fail, which ones is decided by the seed 7
 *   FAULTS_LOG=FILE           what failed, for whom, a line each; at the end how many of both there were
 *
 * A call fails in one of the ways that its manual page has, or does only a byte of what it was asked for. The
 * standard streams never fail: they are how the program is heard. Counting begins when the program is loaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t n);

static atomic_ullong memory, calls;
static unsigned long long memory_from, memory_to, call_at, per_10000, seed;
static int log_fd = -1;
static atomic_bool ready;

__attribute__((constructor)) static void load(void)
{
    const char *what = getenv("FAULTS"), *log = getenv("FAULTS_LOG");
    char plus = 0;

    if (what && sscanf(what, "memory %llu%c", &memory_from, &plus) >= 1)
        memory_to = plus == '+' ? UINT64_MAX : memory_from;
    else if (what && sscanf(what, "calls %llu/10000 %llu", &per_10000, &seed) != 2) {
        per_10000 = 0;
        if (sscanf(what, "calls %llu", &call_at) != 1) {
            fprintf(stderr, "faults: cannot read FAULTS=\"%s\"\n", what);
            _exit(64);
        }
    }
    if (log)
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    atomic_store(&memory, 0);
    atomic_store(&calls, 0);
    atomic_store(&ready, true);
}

/* Allocates nothing. */
static void tell(const char *what, unsigned long long n, const void *caller)
{
    char text[256];
    Dl_info by = { 0 };
    const char *file = "?";

    if (log_fd < 0)
        return;
    if (caller && dladdr(caller, &by) && by.dli_fname)
        file = strrchr(by.dli_fname, '/') ? strrchr(by.dli_fname, '/') + 1 : by.dli_fname;
    int length = snprintf(text, sizeof(text), "%s %llu for %s %s\n", what, n, file,
                          by.dli_sname ? by.dli_sname : "");
    (void)!syscall(SYS_write, log_fd, text, (size_t)length);
}

__attribute__((destructor)) static void unload(void)
{
    char text[80];
    int length = snprintf(text, sizeof(text), "in all %llu allocations, %llu calls\n",
                          atomic_load(&memory), atomic_load(&calls));

    atomic_store(&ready, false);
    if (log_fd >= 0)
        (void)!syscall(SYS_write, log_fd, text, (size_t)length);
}

/* ---- memory */

static bool no_memory(const void *caller)
{
    if (!atomic_load(&ready))
        return false;
    unsigned long long n = atomic_fetch_add(&memory, 1) + 1;
    if (memory_from == 0 || n < memory_from || n > memory_to)
        return false;
    if (n < memory_from + 100)
        tell("memory", n, caller);
    errno = ENOMEM;
    return true;
}

/* Of this thread: the next allocation has been counted already. */
static _Thread_local bool counted __attribute__((tls_model("initial-exec")));

void *malloc(size_t n)
{
    return !counted && no_memory(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return no_memory(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t n)
{
    return n > 0 && no_memory(__builtin_return_address(0)) ? NULL : __libc_realloc(old, n);
}

/* Not always the one above: a sanitizer brings its own, which frees no other's. Volatile, or the one above is inlined. */
static void *(*volatile programs_malloc)(size_t) = malloc;

/* glibc's own would be told of as the caller; libraries know it by both names. */
static char *copy_of(const char *text, const void *caller)
{
    size_t n = strlen(text) + 1;
    char *copy = NULL;

    if (!no_memory(caller)) {
        counted = true;
        copy = programs_malloc(n);
        counted = false;
    }
    return copy ? memcpy(copy, text, n) : NULL;
}

char *strdup(const char *text)
{
    return copy_of(text, __builtin_return_address(0));
}

char *__strdup(const char *text)
{
    return copy_of(text, __builtin_return_address(0));
}

/* ---- calls */

enum fault { NONE, SHORT }; /* or an errno */

static uint64_t mixed(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* One of the errors (0 ends them), or SHORT where the first of them is that. */
static int fault_of(const char *name, int fd, const int *errors, const void *caller)
{
    if (!atomic_load(&ready) || (fd >= 0 && fd <= STDERR_FILENO) || (fd >= 0 && fd == log_fd))
        return NONE;
    unsigned long long n = atomic_fetch_add(&calls, 1) + 1;
    uint64_t dice = mixed(seed ^ mixed(n));
    if (per_10000 ? dice % 10000 >= per_10000 : n != call_at)
        return NONE;
    int count = 0;
    while (errors[count])
        count++;
    int fault = errors[(dice >> 32) % (unsigned)count];
    char what[48];
    snprintf(what, sizeof(what), "%s errno %d, call", name, fault);
    tell(what, n, caller);
    if (fault != SHORT)
        errno = fault;
    return fault;
}

#define NEXT(name) ((__typeof__(&name))next(#name))

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        _exit(70);
    return found;
}

#define FAULT(name, fd, ...) \
    fault_of(name, fd, (const int[]){ __VA_ARGS__, 0 }, __builtin_return_address(0))

ssize_t recv(int fd, void *to, size_t n, int flags)
{
    static __typeof__(&recv) real;
    real = real ? real : NEXT(recv);
    int f = FAULT("recv", fd, SHORT, ECONNRESET, ETIMEDOUT, EINTR, ENOMEM);
    return f > SHORT ? -1 : real(fd, to, f == SHORT && n ? 1 : n, flags);
}

ssize_t __recv_chk(int fd, void *to, size_t n, size_t room, int flags);
ssize_t __recv_chk(int fd, void *to, size_t n, size_t room, int flags)
{
    return n <= room ? recv(fd, to, n, flags) : (abort(), -1);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    static __typeof__(&recvmsg) real;
    real = real ? real : NEXT(recvmsg);
    return FAULT("recvmsg", fd, ECONNRESET, ETIMEDOUT, EINTR, ENOMEM) ? -1 : real(fd, m, flags);
}

/* A connection that is broken for sending is so for receiving: libpq counts on reading why. */
static void broken(int fd, int fault)
{
    if (fault == EPIPE || fault == ECONNRESET) {
        (void)!syscall(SYS_shutdown, fd, SHUT_RDWR);
        errno = fault;
    }
}

ssize_t send(int fd, const void *from, size_t n, int flags)
{
    static __typeof__(&send) real;
    real = real ? real : NEXT(send);
    int f = FAULT("send", fd, SHORT, EPIPE, ECONNRESET, EINTR);
    broken(fd, f);
    return f > SHORT ? -1 : real(fd, from, f == SHORT && n ? 1 : n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    static __typeof__(&sendmsg) real;
    real = real ? real : NEXT(sendmsg);
    int f = FAULT("sendmsg", fd, EPIPE, ECONNRESET, EINTR);
    broken(fd, f);
    return f ? -1 : real(fd, m, flags);
}

ssize_t read(int fd, void *to, size_t n)
{
    static __typeof__(&read) real;
    real = real ? real : NEXT(read);
    return FAULT("read", fd, EIO, EINTR) ? -1 : real(fd, to, n);
}

ssize_t __read_chk(int fd, void *to, size_t n, size_t room);
ssize_t __read_chk(int fd, void *to, size_t n, size_t room)
{
    return n <= room ? read(fd, to, n) : (abort(), -1);
}

ssize_t write(int fd, const void *from, size_t n)
{
    static __typeof__(&write) real;
    real = real ? real : NEXT(write);
    return FAULT("write", fd, EIO, EINTR, ENOSPC) ? -1 : real(fd, from, n);
}

int fsync(int fd)
{
    static __typeof__(&fsync) real;
    real = real ? real : NEXT(fsync);
    return FAULT("fsync", fd, EIO, ENOSPC) ? -1 : real(fd);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    static __typeof__(&poll) real;
    real = real ? real : NEXT(poll);
    return FAULT("poll", -1, EINTR, ENOMEM) ? -1 : real(fds, n, timeout);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
    return n * sizeof(*fds) <= room ? poll(fds, n, timeout) : (abort(), -1);
}

int socket(int domain, int type, int protocol)
{
    static __typeof__(&socket) real;
    real = real ? real : NEXT(socket);
    return FAULT("socket", -1, EMFILE, ENFILE, ENOBUFS) ? -1 : real(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *to, socklen_t n)
{
    static __typeof__(&connect) real;
    real = real ? real : NEXT(connect);
    return FAULT("connect", fd, ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EINTR) ? -1 : real(fd, to, n);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    static __typeof__(&getsockopt) real;
    real = real ? real : NEXT(getsockopt);
    return FAULT("getsockopt", fd, ENOMEM) ? -1 : real(fd, level, name, value, n);
}

FILE *fopen(const char *path, const char *mode)
{
    static __typeof__(&fopen) real;
    real = real ? real : NEXT(fopen);
    return FAULT("fopen", -1, EMFILE, EIO, ENOMEM) ? NULL : real(path, mode);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *arg)
{
    static __typeof__(&pthread_create) real;
    real = real ? real : NEXT(pthread_create);
    return FAULT("pthread_create", -1, EAGAIN) ? EAGAIN : real(thread, how, run, arg);
}
