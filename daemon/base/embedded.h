/* The SQL files under schema/, carried inside the program. The table is written by
 * cmake/embed.cmake, sorted by path (bytewise),
 * and never changes while the program runs: safe from any thread, nothing to free. */
#ifndef DEBITD_BASE_EMBEDDED_H
#define DEBITD_BASE_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *path; /* from the top of the source tree: "schema/0001_x.sql" */
    const char *text; /* byte for byte the file, a NUL follows */
    size_t size;      /* bytes, without that NUL */
};

/* The whole table: an array that ends with path NULL. */
const struct embedded_file *embedded_first(void);
/* One file by its exact path, NULL where there is none. */
const struct embedded_file *embedded_find(const char *path);
/* The text of schema/<folder>/<name>.sql, which must be there. */
const char *embedded_sql(const char *folder, const char *name);

#endif
