/* Why a message was not booked: the codes of contract 5 (rejected: can never be booked) and of
 * contract 2.8 (parked: cannot be booked yet). */
#ifndef DEBITD_MODEL_REASON_H
#define DEBITD_MODEL_REASON_H

#include "base/slice.h"

/* In the order in which they are looked for (contract 5); the first that applies is given. */
#define REASON_LIST(X)                         \
    X(TOO_LARGE, "too_large")                  \
    X(MALFORMED_JSON, "malformed_json")        \
    X(NOT_A_CLOUDEVENT, "not_a_cloudevent")    \
    X(BAD_ATTRIBUTE, "bad_attribute")          \
    X(UNKNOWN_TYPE, "unknown_type")            \
    X(BAD_TIME, "bad_time")                    \
    X(TIME_IN_FUTURE, "time_in_future")        \
    X(TOO_OLD, "too_old")                      \
    X(BAD_DATA, "bad_data")                    \
    X(BAD_QUANTITY, "bad_quantity")            \
    X(OUT_OF_RANGE, "out_of_range")            \
    X(ID_REUSED, "id_reused")                  \
    X(OVER_REFUND, "over_refund")              \
    X(UNKNOWN_EVENT, "unknown_event")          \
    X(ALREADY_VOIDED, "already_voided")        \
    X(UNKNOWN_PLAN, "unknown_plan")            \
    X(UNKNOWN_PACKAGE, "unknown_package")      \
    X(UNIT_MISMATCH, "unit_mismatch")          \
    /* parked, in the order of contract 2.8 */ \
    X(UNKNOWN_ACCOUNT, "unknown_account")      \
    X(ACCOUNT_CLOSED, "account_closed")        \
    X(UNKNOWN_METRIC, "unknown_metric")        \
    X(UNPRICED, "unpriced")

enum reason {
    REASON_NONE = 0,
#define X(name, text) REASON_##name,
    REASON_LIST(X)
#undef X
};

const char *reason_text(enum reason r);                   /* "" for NONE */
bool reason_of_text(struct slice text, enum reason *ret); /* false: no such code */
bool reason_is_parked(enum reason r);

/* A reason with words for a person: what was wrong with which member. */
struct refusal {
    enum reason reason;
    char detail[200]; /* UTF-8 without control characters */
};
/* Sets both; returns the reason, so that a check can be written `return refuse(ret, REASON_X,
 * "…")`. Values that come from outside are escaped and cut. */
enum reason refuse(struct refusal *ret, enum reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
