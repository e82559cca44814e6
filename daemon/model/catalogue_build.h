/* The inside of a catalogue, for those who build one (daemon/catalogue, tests) or compare two:
 * rating reads it through model/catalogue.h only.
 *
 * A catalogue is built by one thread: catalogue_new, catalogue_add_* (each returns a zeroed item to
 * be filled; its text must lie in the catalogue's arena or
 * live as long as the process), catalogue_finish. After that it never changes. */
#ifndef DEBITD_MODEL_CATALOGUE_BUILD_H
#define DEBITD_MODEL_CATALOGUE_BUILD_H

#include "model/catalogue.h"

#include <stdatomic.h>

#define VECTOR(type)    \
    struct {            \
        type *at;       \
        size_t n, room; \
    }
#define VECTOR_ADD(v, item)                                        \
    do {                                                           \
        if ((v).n == (v).room) {                                   \
            (v).room = (v).room ? 2 * (v).room : 16;               \
            (v).at = xrealloc((v).at, (v).room * sizeof(*(v).at)); \
        }                                                          \
        (v).at[(v).n++] = (item);                                  \
    } while (0)

struct catalogue_index; /* of catalogue.c */

struct catalogue {
    atomic_int references;
    int32_t version;
    const char *path; /* of the file it was read from; NULL: from the database */
    struct arena arena;
    VECTOR(struct unit *) units;
    VECTOR(struct metric *) metrics;
    VECTOR(struct price *) prices;
    VECTOR(struct fx_rate *) rates;
    VECTOR(struct plan *) plans;     /* in force */
    VECTOR(struct plan *) old_plans; /* replaced, but named by entries */
    VECTOR(struct package *) packages;
    struct catalogue_index *index; /* NULL until catalogue_finish */
};

struct catalogue *catalogue_new(void); /* one reference, owned by the caller */
struct unit *catalogue_add_unit(struct catalogue *c);
struct metric *catalogue_add_metric(struct catalogue *c);
struct price *catalogue_add_price(struct catalogue *c);              /* until_us: TIME_FOREVER */
struct fx_rate *catalogue_add_rate(struct catalogue *c);             /* until_us: TIME_FOREVER */
struct plan *catalogue_add_plan(struct catalogue *c, bool in_force); /* trust_cost, enforce: true */
struct package *catalogue_add_package(struct catalogue *c);
/* Builds the indexes. Names of units, metrics and plans in force must be unique; ranges of one
 * price or rate must not overlap. */
void catalogue_finish(struct catalogue *c, int32_t version);

/* Any order that puts prices of one key together, of one currency, by their beginning; 0 only for
 * the same key, currency and beginning. `*` comes first. */
int price_compare(const struct price *a, const struct price *b);
int fx_rate_compare(const struct fx_rate *a, const struct fx_rate *b);
/* The same key and currency, so that their ranges must not overlap. */
bool price_same_series(const struct price *a, const struct price *b);
bool fx_rate_same_series(const struct fx_rate *a, const struct fx_rate *b);

#endif
