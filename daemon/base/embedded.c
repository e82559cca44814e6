/* See embedded.h; the table itself is written by cmake/embed.cmake. */
#include "base/embedded.h"

#include "base/macros.h"

const char *embedded_sql(const char *folder, const char *name)
{
    char path[96];
    int size = snprintf(path, sizeof(path), "schema/%s/%s.sql", folder, name);
    const struct embedded_file *f = NULL;

    if (size > 0 && (size_t)size < sizeof(path))
        f = embedded_find(path);
    ASSERT(f != NULL);
    return f->text;
}
