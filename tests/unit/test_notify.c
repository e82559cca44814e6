/* Who is alive: the judgement behind the watchdog. */
#include "notify.h"
#include "tests/unit/test.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define S INT64_C(1000000)

TEST(
    "a thread whose number changes is alive, one whose number stands still is dead after its limit")
{
    struct pulse p[2] = { { .thread = "a", .limit_us = 10 * S },
                          { .thread = "b", .limit_us = 60 * S } };
    pulse_feel(&p[0], 7, 100 * S);
    pulse_feel(&p[1], 7, 100 * S);
    CHECK(pulse_dead(p, 2, 110 * S) == NULL);
    CHECK(pulse_dead(p, 2, 110 * S + 1) == &p[0]);
    pulse_feel(&p[0], 7, 111 * S); /* the same number is no progress */
    CHECK(pulse_dead(p, 2, 111 * S) == &p[0]);
    pulse_feel(&p[0], 8, 111 * S);
    CHECK(pulse_dead(p, 2, 121 * S) == NULL);
    pulse_feel(&p[0], 9, 160 * S);
    CHECK(pulse_dead(p, 2, 160 * S + 1) == &p[1]);
}

TEST("a number that begins at 0 is progress when it is first seen")
{
    struct pulse p = { .thread = "a", .limit_us = S };
    pulse_feel(&p, 0, 100 * S);
    CHECK(pulse_dead(&p, 1, 101 * S) == NULL);
    CHECK(pulse_dead(&p, 1, 102 * S) == &p);
}

/* What the service manager would read. */
static const char *told(void (*tell)(const char *), const char *status)
{
    static char text[2048];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char name[64];
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0), n;
    snprintf(name, sizeof(name), "@debitd-notify-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, strlen(name + 1));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address,
                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) < 0)
        abort();
    setenv("NOTIFY_SOCKET", name, 1);
    tell(status);
    n = (int)recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    unsetenv("NOTIFY_SOCKET");
    close(fd);
    return text;
}

TEST("what comes from outside cannot tell the service manager anything but the status")
{
    char large[5000];
    CHECK_STR(told(notify_status, "Key (name)=(a\nREADY=1\nWATCHDOG=1)"),
              "STATUS=Key (name)=(a\\x0aREADY=1\\x0aWATCHDOG=1)");
    CHECK_STR(told(notify_ready, "a\nMAINPID=1"), "READY=1\nSTATUS=a\\x0aMAINPID=1");
    CHECK_STR(told(notify_stopping, "\x1b[2J"), "STOPPING=1\nSTATUS=\\x1b[2J");
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    CHECK(strlen(told(notify_status, large)) <= 520);
}
