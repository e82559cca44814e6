/* What the files that read a catalogue file need of each other. Internal to daemon/catalogue. */
#ifndef DEBITD_CATALOGUE_FILE_PARTS_H
#define DEBITD_CATALOGUE_FILE_PARTS_H

#include "catalogue/settings.h"

/* Linear searches in the catalogue being read; NULL: none. */
const struct unit *find_unit(const struct reading *r, struct slice code);
const struct plan *find_plan(const struct reading *r, struct slice name);

/* Required members that refer to another list; a finding where they do not. */
const struct unit *get_unit(struct reading *r, const config_setting_t *group, const char *key);
bool get_currency(struct reading *r, const config_setting_t *group, const char *key,
                  struct slice *ret);
bool get_metric(struct reading *r, const config_setting_t *group, struct slice *ret);
/* effective_from (or the default) and effective_until (or TIME_FOREVER). */
bool get_range(struct reading *r, const config_setting_t *group, int64_t *ret_from,
               int64_t *ret_until);

void read_plans(struct reading *r, const config_setting_t *root);
/* The list `prices` of the file, or of a plan (its fixed prices). */
void read_prices(struct reading *r, const config_setting_t *group, const struct plan *plan);
/* Everything that compares entries: overlapping ranges, prices that can never apply. */
void check_catalogue(struct reading *r);

#endif
