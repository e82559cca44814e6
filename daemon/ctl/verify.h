/* debitctl verify: what its parts share. */
#ifndef DEBITD_CTL_VERIFY_H
#define DEBITD_CTL_VERIFY_H

#include "ctl/ctl.h"

struct verification;

/* Prints the rows as differences that `check` found, and counts them. */
void verify_found(struct verification *v, const char *check, const struct pg_result *rows);
/* Whether progress is told, on standard error. */
bool verify_to_terminal(const struct verification *v);

#endif
