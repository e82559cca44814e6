/* The reason codes as text and back. */
#include "model/reason.h"

#include "base/buffer.h"
#include "base/macros.h"

#include <stdarg.h>

static const char *const texts[] = { "",
#define X(name, text) text,
                                     REASON_LIST(X)
#undef X
};

const char *reason_text(enum reason r)
{
    ASSERT((size_t)r < ARRAY_SIZE(texts));
    return texts[r];
}

bool reason_of_text(struct slice text, enum reason *ret)
{
    for (size_t i = 1; i < ARRAY_SIZE(texts); i++)
        if (slice_is(text, texts[i])) {
            *ret = (enum reason)i;
            return true;
        }
    return false;
}

bool reason_is_parked(enum reason r)
{
    return r >= REASON_UNKNOWN_ACCOUNT;
}

enum reason refuse(struct refusal *ret, enum reason reason, const char *format, ...)
{
    struct buffer shown = BUFFER_NULL;
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ret->reason = reason;
    if (!buffer_printable(&shown, slice_of(text), sizeof(ret->detail) - 4))
        buffer_text(&shown, "...");
    memcpy(ret->detail, shown.n ? shown.p : "", shown.n);
    ret->detail[shown.n] = '\0';
    buffer_fini(&shown);
    return reason;
}
