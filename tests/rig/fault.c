/* What happens at the fault points of tests/debitd_faults (base/fault.h).
 *
 * The environment's DEBITD_FAULT names a file, read at every passage, so that a test can lay a
 * fault on at any time: "relay.claimed 3 KILL" ends the process at the third passage of that
 * point from now on, STOP stops it until SIGCONT. The file is emptied when it happens. It also
 * keeps the count, under a lock: points are passed by several threads. */
#include "base/fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Counts this passage. The signal that is due; 0: none. */
static int due(int fd, const char *name)
{
    char line[128] = "", point[64], how[8];
    unsigned passage;

    if (pread(fd, line, sizeof(line) - 1, 0) <= 0 ||
        sscanf(line, "%63s %u %7s", point, &passage, how) != 3 || strcmp(point, name) != 0)
        return 0;
    if (ftruncate(fd, 0) != 0)
        abort();
    if (passage <= 1)
        return strcmp(how, "STOP") == 0 ? SIGSTOP : SIGKILL;
    if (dprintf(fd, "%s %u %s", point, passage - 1, how) < 0)
        abort();
    return 0;
}

void fault_point(const char *name)
{
    const char *path = getenv("DEBITD_FAULT");
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    int sign = 0;

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX) == 0)
        sign = due(fd, name);
    close(fd);
    if (sign != 0)
        raise(sign);
}
