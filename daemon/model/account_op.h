/* What a message on usage.accounts, or a command of debitctl, says: one operation on an account. */
#ifndef DEBITD_MODEL_ACCOUNT_OP_H
#define DEBITD_MODEL_ACCOUNT_OP_H

#include "base/hash.h"
#include "base/slice.h"

#include <stdint.h>

struct account_op {
    struct slice id, source, type, account; /* type: "account.opened" …; account: the subject */
    int64_t time_us;
    struct hash128 key, digest;
    /* The known members of data that were given, checked for type, as one JSON object: decimals as
     * strings in shortest plain form, everything else as it was. It is what
     * the SQL function debitd.account_event() takes. */
    struct slice data;
    struct slice reference_account; /* the parent it names, else absent */
};

#endif
