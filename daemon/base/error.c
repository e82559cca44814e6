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
    char text[2 * sizeof(e->text) + 2]; /* room for both, whole */
    va_list args;
    size_t n;

    if (!e)
        return -1;
    va_start(args, format);
    vsnprintf(text, sizeof(e->text), format, args);
    va_end(args);
    n = strlen(text);
    snprintf(text + n, sizeof(text) - n, ": %s", e->text);
    n = strlen(text) < sizeof(e->text) ? strlen(text) : sizeof(e->text) - 1;
    memcpy(e->text, text, n);
    e->text[n] = '\0';
    return -1;
}
