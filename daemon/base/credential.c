/* See credential.h. What cannot be read is told, what could be read is never: no error holds a byte of a file. */
#include "base/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

int credential_path(const char *name, struct buffer *ret_path, struct error *ret_error)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (*name == '/') {
        buffer_text(ret_path, name);
        return 0;
    }
    if (!folder || !*folder)
        return error_set(ret_error, EX_CONFIG,
                         "the file \"%s\" is looked for where systemd puts credentials, but "
                         "CREDENTIALS_DIRECTORY is not set: give a whole path, or put "
                         "LoadCredential=%s:/where/it/is into the unit",
                         name, name);
    buffer_format(ret_path, "%s/%s", folder, name);
    return 0;
}

static int refuse(struct error *e, const char *what, const char *path, const char *why)
{
    return error_set(e, EX_NOPERM, "%s: the file %s %s", what, path, why);
}

/* As libpq judges keys and password files, so that one file serves both. */
static int rights_check(const struct stat *st, const char *what, const char *path, struct error *e)
{
    mode_t others = st->st_uid == 0 ? S_IRWXO | S_IWGRP | S_IXGRP : S_IRWXO | S_IRWXG;
    char why[160];
    if (!S_ISREG(st->st_mode))
        return refuse(e, what, path, "is no regular file");
    if (!(st->st_mode & others))
        return 0;
    snprintf(why, sizeof(why),
             "has mode %04o, so others can get at the secret in it: chmod 0400, as its owner",
             (unsigned)(st->st_mode & 07777));
    return refuse(e, what, path, why);
}

static int content_check(const struct buffer *b, const char *what, const char *path, bool lines,
                         struct error *e)
{
    if (b->n == 0)
        return refuse(e, what, path, "is empty");
    if (b->n > CREDENTIAL_BYTES_MAX)
        return refuse(e, what, path, "is larger than any secret (64 KiB)");
    if (memchr(b->p, '\0', b->n))
        return refuse(e, what, path, "holds a NUL byte, which no secret may");
    if (!lines && memchr(b->p, '\n', b->n))
        return refuse(e, what, path, "has several lines; it must hold the secret and nothing else");
    return 0;
}

/* In one piece, so that no copy of it is left behind by a buffer that grew. */
static int read_all(int fd, struct buffer *out)
{
    ssize_t n = 1;
    char *p = buffer_reserve(out, CREDENTIAL_BYTES_MAX + 1);
    while (n != 0 && out->n <= CREDENTIAL_BYTES_MAX) {
        n = read(fd, p + out->n, CREDENTIAL_BYTES_MAX + 1 - out->n);
        if (n < 0 && errno != EINTR)
            return -1;
        out->n += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void close_file(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

int credential_read(const char *name, const char *what, bool lines, struct buffer *ret_secret,
                    struct error *ret_error)
{
    CLEANUP(buffer_fini) struct buffer path = BUFFER_NULL;
    CLEANUP(credential_fini) struct buffer b = BUFFER_NULL;
    struct stat st;
    if (credential_path(name, &path, ret_error) < 0)
        return error_prefix(ret_error, "%s", what);
    const char *at = buffer_cstr(&path);
    /* a pipe without a writer must not hold anybody up */
    CLEANUP(close_file) int fd = open(at, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set(ret_error, EX_NOPERM, "%s: the file %s cannot be read: %s", what, at,
                         strerror(errno));
    if (rights_check(&st, what, at, ret_error) < 0)
        return -1;
    if (read_all(fd, &b) < 0)
        return error_set(ret_error, EX_NOPERM, "%s: reading the file %s: %s", what, at,
                         strerror(errno));
    if (b.n > 0 && b.p[b.n - 1] == '\n')
        b.n -= b.n > 1 && b.p[b.n - 2] == '\r' ? 2 : 1;
    if (content_check(&b, what, at, lines, ret_error) < 0)
        return -1;
    *ret_secret = b;
    b = BUFFER_NULL;
    return 0;
}

void credential_fini(struct buffer *secret)
{
    if (secret->p)
        explicit_bzero(secret->p, secret->capacity);
    buffer_fini(secret);
}
