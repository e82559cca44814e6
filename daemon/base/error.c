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
    size_t room;

    if (!e)
        return -1;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    room = sizeof(text) - 1 - strlen(text);
    strncat(text, ": ", room);
    room = sizeof(text) - 1 - strlen(text);
    strncat(text, e->text, room);
    memcpy(e->text, text, strlen(text) + 1);
    return -1;
}
