/* Finds the embedded text of each statement. */
#include "ledger/statements.h"

#include "base/embedded.h"

static struct pg_statement load(const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "schema/queries/%s.sql", name);
    const struct embedded_file *f = embedded_find(path);
    ASSERT(f != NULL);
    return (struct pg_statement){name, f->text};
}

void statements_load(struct statements *ret)
{
#define X(name) ret->name = load(#name);
    LEDGER_STATEMENTS(X)
#undef X
}
