/* The catalogue file (libconfig), the source in git; see etc/catalog.conf. Every error names file
 * and line. */
#ifndef DEBITD_CATALOGUE_FILE_H
#define DEBITD_CATALOGUE_FILE_H

#include "base/error.h"
#include "model/catalogue.h"

/* Reads and checks everything: unknown keys (with the nearest name), wrong types, overlapping,
 * negative or contradictory prices, plans without unit … All findings are in the
 * error's text, one a line, as far as it holds them; the number of findings is returned by
 * -findings. 0: *ret is a catalogue of version 0. */
int catalogue_read_file(const char *path, struct catalogue **ret,
                        struct error *ret_error) MUST_CHECK;

#endif
