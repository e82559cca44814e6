/* A connection string, looked at without connecting. */
#include "pg/session.h"

#include <libpq-fe.h>
#include <string.h>
#include <sysexits.h>

int pg_check_conninfo(const char *conninfo, struct error *ret_error)
{
    char *why = NULL;
    PQconninfoOption *parsed = PQconninfoParse(conninfo, &why);
    if (parsed) {
        PQconninfoFree(parsed);
        return 0;
    }
    error_set(ret_error, EX_CONFIG, "postgres.conninfo: libpq cannot read it: %.*s",
              why ? (int)strcspn(why, "\n") : 0, why ? why : "");
    PQfreemem(why);
    return -1;
}
