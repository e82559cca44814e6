/* Tables in memory (uthash), keyed with a secret of the process: what comes from outside is looked up in them, and whoever could work out where a name ends up could send thousands that
 * end up in one place, each look-up walking along all of them. Include this, never uthash.h. */
#ifndef DEBITD_BASE_TABLE_H
#define DEBITD_BASE_TABLE_H

#include "base/hash.h"
#include "base/macros.h"

#define HASH_FUNCTION(start, length, value)       \
    do {                                          \
        (value) = hash_secret((start), (length)); \
    } while (0)
/* left to itself it calls exit() where memory cannot be had, from whatever thread it is in */
#define uthash_malloc(n) xmalloc(n)
#include <uthash.h>

#endif
