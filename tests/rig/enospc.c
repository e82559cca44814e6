/* Preloaded into a PostgreSQL server of the tests: while a flag file stands, the disk is full.
 *
 * Two disks, one for tables (files below base/) and one for the write-ahead log (below pg_wal/); ENOSPC_TABLES and ENOSPC_WAL
 * of the environment name the flag files. As on a full disk only what needs room fails, with ENOSPC: a write beyond the
 * file's end, or its allocation. What is already there may be written over. Whatever happens here is between two system
 * calls of the server, so nothing is kept and nothing is locked. */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static bool stands(const char *variable)
{
    const char *flag = getenv(variable);
    return flag && *flag && faccessat(AT_FDCWD, flag, F_OK, 0) == 0;
}

/* Would the file have to grow for its byte before `end`, on a disk that is full? */
static bool no_room(int fd, off_t end)
{
    bool tables = stands("ENOSPC_TABLES"), wal = stands("ENOSPC_WAL");
    if (!tables && !wal)
        return false;
    char link[32], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    struct stat st;
    if (n <= 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || end <= st.st_size)
        return false;
    path[n] = '\0';
    return (tables && strstr(path, "/base/")) || (wal && strstr(path, "/pg_wal/"));
}

static off_t here(int fd)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at < 0 ? 0 : at;
}

static off_t total(const struct iovec *v, int count)
{
    off_t n = 0;
    for (int i = 0; i < count; i++)
        n += (off_t)v[i].iov_len;
    return n;
}

/* The function of the C library that this one stands in front of. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE(fd, end)     \
    if (no_room(fd, end)) { \
        errno = ENOSPC;     \
        return -1;          \
    }

ssize_t write(int fd, const void *p, size_t n)
{
    REFUSE(fd, here(fd) + (off_t)n)
    return REAL(write)(fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    REFUSE(fd, at + (off_t)n)
    return REAL(pwrite)(fd, p, n, at);
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at)
{
    REFUSE(fd, at + total(v, count))
    return REAL(pwritev)(fd, v, count, at);
}

/* Returns the error instead of setting it. */
int posix_fallocate(int fd, off_t at, off_t n)
{
    return no_room(fd, at + n) ? ENOSPC : REAL(posix_fallocate)(fd, at, n);
}
