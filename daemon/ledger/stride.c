#include "ledger/stride.h"

bool stride_ends(struct stride *s, int64_t newest, int64_t now_us)
{
    bool begun = s->due_us != 0, more = newest != s->newest;
    s->newest = newest;
    if (newest && !begun)
        s->due_us = now_us + STRIDE_US;
    if (newest && (!begun || (more && now_us < s->due_us)))
        return false;
    s->due_us = 0;
    return newest != 0;
}
