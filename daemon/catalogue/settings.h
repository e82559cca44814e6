/* Typed reading of libconfig groups into a catalogue, with a finding (file, line, what is wrong,
 * what to do) for everything
 * that is not as it should be. Reading goes on after a finding, so that a person sees all of them
 * at once.
 *
 * Internal to daemon/catalogue; one thread. */
#ifndef DEBITD_CATALOGUE_SETTINGS_H
#define DEBITD_CATALOGUE_SETTINGS_H

#include "base/buffer.h"
#include "base/macros.h"
#include "model/catalogue_build.h"

#include <libconfig.h>

struct reading {
    const char *path;
    struct catalogue *catalogue; /* being built; text goes into its arena */
    struct buffer text;          /* the findings, a line each */
    int findings;
    /* the group `defaults` */
    bool has_from, has_markup;
    int64_t from_us;
    amount_t markup;
    int32_t threshold[THRESHOLDS_MAX];
    int thresholds;
    /* which lists the file has: a price file may lack them, and then refers to those of the
     * catalogue in the database */
    bool has_units, has_metrics, has_plans;
};

void finding(struct reading *r, const config_setting_t *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
void finding_at_line(struct reading *r, int line, const char *format, ...) PRINTF_LIKE(3, 4);

/* The known name nearest to what was written, or NULL where none is near enough to be meant. known:
 * NULL-terminated. */
const char *nearest_name(const char *written, const char *const *known);

/* Unknown keys of the group. what: "a price". */
void check_keys(struct reading *r, const config_setting_t *group, const char *what,
                const char *const *known);
/* A member that is a list of groups `( { … }, … )`; NULL where it is absent or wrong. Elements that
 * are no groups are findings. */
config_setting_t *get_list(struct reading *r, const config_setting_t *group, const char *key);
/* The i-th element, NULL where it is no group. */
config_setting_t *list_group(config_setting_t *list, int i);

enum { NAME_REQUIRED = 1, NAME_STAR = 2, NAME_EMPTY = 4 };
/* The rest: true when the member is there and good; *ret is untouched otherwise.
 * A name: 1-256 bytes of UTF-8 without control characters. NAME_STAR: '*' is good and gives an
 * absent slice; NAME_EMPTY: so is "". */
bool get_name(struct reading *r, const config_setting_t *group, const char *key, unsigned flags,
              struct slice *ret);
bool get_choice(struct reading *r, const config_setting_t *group, const char *key,
                const char *const *choices, int *ret); /* the index in choices */
bool get_flag(struct reading *r, const config_setting_t *group, const char *key, bool *ret);

struct bounds {
    int places;
    __int128 min, max; /* scaled; both allowed */
};
extern const struct bounds BOUNDS_PRICE, BOUNDS_POSITIVE_PRICE, BOUNDS_AMOUNT,
    BOUNDS_POSITIVE_AMOUNT, BOUNDS_QUANTITY, BOUNDS_POSITIVE_QUANTITY;
bool get_decimal(struct reading *r, const config_setting_t *group, const char *key,
                 const struct bounds *bounds, __int128 *ret);
bool read_decimal(struct reading *r, const config_setting_t *member, const struct bounds *bounds,
                  __int128 *ret);
/* "2025-01-01" (its beginning in UTC) or RFC 3339. */
bool get_time(struct reading *r, const config_setting_t *group, const char *key, int64_t *ret_us);
/* An array of whole percents `[ 80, 100 ]`, ascending. */
bool get_thresholds(struct reading *r, const config_setting_t *group, const char *key,
                    int32_t ret[THRESHOLDS_MAX], int *ret_n);
bool has_key(const config_setting_t *group, const char *key);

#endif
