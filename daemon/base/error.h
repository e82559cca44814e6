/* The text of a failure, for a person: what was being done, with what, why it failed, what to try.
 * Filled by the function that knows,
 * printed once by the one that decides. */
#ifndef DEBITD_BASE_ERROR_H
#define DEBITD_BASE_ERROR_H

#include "base/macros.h"

struct error {
    int exit_code; /* sysexits value that a command should end with for this failure; 0: none set */
    char text[1024];
};

/* Writes the text (cut at the end if too long) and the exit code. Both tolerate e == NULL. Return
 * -1 so that a caller may write
 * `return error_set(e, EX_DATAERR, "...")`. */
int error_set(struct error *e, int exit_code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " in front of the text that is there. Keeps the exit code. Returns -1. */
int error_prefix(struct error *e, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
