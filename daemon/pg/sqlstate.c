/* The table that turns an SQLSTATE into what is to be done about it. */
#include "pg/session.h"

#include <string.h>
#include <sysexits.h>

static const char *const outcome_texts[] = {
    [PG_DONE] = "done",
    [PG_RETRY] = "to be run again",
    [PG_DUPLICATE] = "duplicate key",
    [PG_FENCED] = "fenced",
    [PG_LOST] = "connection lost",
    [PG_WAIT] = "the server cannot go on",
    [PG_POISON] = "value refused",
    [PG_DEFECT] = "refused",
};

const char *pg_outcome_text(enum pg_outcome o)
{
    return outcome_texts[o];
}

/* First match wins; a prefix of the five characters. */
static const struct {
    const char *prefix;
    enum pg_outcome outcome;
} sqlstates[] = {
    { "UF001", PG_FENCED },    { "40", PG_RETRY },  { "55P03", PG_RETRY }, { "57014", PG_RETRY },
    { "23505", PG_DUPLICATE }, { "08", PG_LOST },   { "57P", PG_LOST },    { "25006", PG_LOST },
    { "25P03", PG_LOST },      { "53", PG_WAIT },   { "58", PG_WAIT },     { "XX", PG_WAIT },
    { "22", PG_POISON },       { "23", PG_POISON },
};

enum pg_outcome pg_classify(const char *sqlstate, const char *message)
{
    if (!sqlstate || !*sqlstate)
        return PG_LOST;
    /* A leaf of a month that is missing: nothing is wrong with the row (reliability.md D). */
    if (!strncmp(sqlstate, "23514", 5) && message && strstr(message, "no partition of relation"))
        return PG_WAIT;
    for (size_t i = 0; i < ARRAY_SIZE(sqlstates); i++)
        if (!strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)))
            return sqlstates[i].outcome;
    return PG_DEFECT;
}

int pg_exit_code(enum pg_outcome o)
{
    switch (o) {
    case PG_DONE:
        return EX_OK;
    case PG_LOST:
    case PG_WAIT:
    case PG_RETRY:
        return EX_UNAVAILABLE;
    case PG_POISON:
    case PG_DUPLICATE:
        return EX_DATAERR;
    case PG_FENCED:
    case PG_DEFECT:
        return EX_SOFTWARE;
    }
    return EX_SOFTWARE;
}
