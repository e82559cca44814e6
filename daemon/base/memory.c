/* Memory that cannot be had ends the process, here and in no other way: nothing is lost, start-up is recovery. */
#include "base/macros.h"

#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

void memory_exhausted(size_t n)
{
    char text[160]; /* said without any more memory: no stdio */
    int length =
        snprintf(text, sizeof(text),
                 "%s: no memory for %zu bytes more: ended, nothing is lost; to be started again, "
                 "with more memory if it comes back\n",
                 program_invocation_short_name, n);

    if (write(STDERR_FILENO, text, (size_t)length) < 0) {
        /* nowhere to tell it */
    }
    _exit(EX_TEMPFAIL);
}
