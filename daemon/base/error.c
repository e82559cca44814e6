/* Failures as text. */
#include "base/error.h"

#include <stdarg.h>
#include <string.h>

int error_set(struct error *e, int exit_code, const char *format, ...)
{
    char text[sizeof(e->text)]; /* an argument may be the text that is there */
    va_list args;

    if (!e)
        return -1;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    memcpy(e->text, text, strlen(text) + 1);
    e->exit_code = exit_code;
    return -1;
}

int error_prefix(struct error *e, const char *format, ...)
{
    char text[sizeof(e->text)];
    va_list args;
    int n;

    if (!e)
        return -1;
    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof(text)) {
        snprintf(text + n, sizeof(text) - (size_t)n, ": %.*s", (int)sizeof(e->text), e->text);
        memcpy(e->text, text, strlen(text) + 1);
    }
    return -1;
}
