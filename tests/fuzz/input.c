/* Messages made of raw bytes. */
#include "tests/fuzz/input.h"

#include "base/json_scan.h"

#include <sys/mman.h>
#include <unistd.h>

#define HEADERS_MAX 16

struct message input_message(const uint8_t *data, size_t size, struct arena *arena)
{
    struct header *headers = arena_zalloc(arena, HEADERS_MAX * sizeof(*headers));
    struct message m = { .topic = "fuzz", .timestamp_us = INPUT_SENT_US, .header = headers };
    const char *p = (const char *)data, *end = p + size;

    if (size >= 2 && p[0] == 'c' && p[1] == 'e') {
        while (p < end && *p != '\n' && m.headers < HEADERS_MAX) {
            const char *line = memchr(p, '\n', (size_t)(end - p)), *colon;
            line = line ? line : end;
            colon = memchr(p, ':', (size_t)(line - p));
            headers[m.headers].name = (struct slice){ p, (size_t)((colon ? colon : line) - p) };
            if (colon) /* a line without a colon is a null header */
                headers[m.headers].value = (struct slice){ colon + 1, (size_t)(line - colon - 1) };
            m.headers++;
            p = line < end ? line + 1 : end;
        }
        if (p < end && *p == '\n')
            p++;
    }
    m.value = (struct slice){ p, (size_t)(end - p) };
    return m;
}

const char *input_file(const void *data, size_t size)
{
    static char path[32];
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("input", 0);
        CLAIM(fd >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    CLAIM(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    return path;
}

bool input_includes(const uint8_t *data, size_t size)
{
    return memmem(data, size, "@include", 8) != NULL;
}

void input_refusal_check(enum reason reason, const struct refusal *refusal)
{
    struct slice detail = slice_of(refusal->detail);

    CLAIM(reason >= REASON_TOO_LARGE && reason <= REASON_OUT_OF_RANGE);
    CLAIM(refusal->reason == reason);
    CLAIM(detail.n > 0 && utf8_valid(detail) && !utf8_has_control(detail));
}
