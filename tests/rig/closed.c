/* Preloaded into a program, the folder of the usual configuration is closed to it, as to somebody outside the group debitd. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int stat(const char *restrict path, struct stat *restrict st)
{
    int (*real)(const char *, struct stat *);

    if (strncmp(path, "/etc/debitd/", 12) == 0) {
        errno = EACCES;
        return -1;
    }
    /* POSIX's way to read a function out of a pointer to an object */
    *(void **)&real = dlsym(RTLD_NEXT, "stat");
    if (real == NULL)
        abort();
    return real(path, st);
}
