/* debitctl: one file a group of verbs, all of them in the table of commands.c, which drives help,
 * wrong use and completion.
 *
 * A verb gets what was given on the command line, asks the database through ctl_connect(), prints
 * to stdout and returns an exit code of contract 7; on failure it fills the error and returns its
 * exit code (ctl_failed() does both). One thread, nothing is shared. */
#ifndef DEBITD_CTL_CTL_H
#define DEBITD_CTL_CTL_H

#include "base/buffer.h"
#include "base/error.h"
#include "config.h"
#include "pg/session.h"

#include <stdbool.h>

#define CTL_ARGUMENTS_MAX 18
#define CTL_OPTIONS_MAX   16
#define EXIT_NO           1 /* the answer is no */

struct ctl_option {
    const char *name;  /* without the dashes */
    const char *value; /* what it takes, for the help: "N", "FILE"; NULL: a switch */
    const char *help;
};

struct ctl;
struct ctl_command {
    const char *word, *verb; /* "account", "open"; verb NULL: the command is one word */
    const char *arguments;   /* for the help, e.g. "ACCOUNT [PLAN]" */
    int arguments_min, arguments_max;
    const char *help;  /* one line */
    const char *notes; /* what else `debitctl help WORD VERB` says; NULL: nothing */
    struct ctl_option options[CTL_OPTIONS_MAX]; /* up to the first without a name */
    int (*run)(struct ctl *c, struct error *ret_error);
};

/* The whole table; ends with word NULL. */
const struct ctl_command *ctl_commands(void);

struct ctl {
    const struct ctl_command *command;
    bool json;
    const char *config_path, *conninfo;          /* as given; NULL: not */
    const char *argument[CTL_ARGUMENTS_MAX + 1]; /* the arguments, then NULL */
    int arguments;
    const char *option
        [CTL_OPTIONS_MAX]; /* by index in the command's options; NULL: not given; a switch: "" */
    bool has_config;
    struct config config;       /* once ctl_config() was called */
    struct pg_session *session; /* once ctl_connect() was called */
};

/* The value of an option of this command, NULL where it was not given. The name must be one of its
 * options. */
const char *ctl_option(const struct ctl *c, const char *name);

/* Reads the configuration once (--config, else the default path where that exists, else the
 * built-in defaults). 0, or the exit code. */
int ctl_config(struct ctl *c, struct error *ret_error) MUST_CHECK;
/* Connects once: --conninfo, else postgres.conninfo of the configuration file, else (no file at
 * all) libpq's environment. 0, or the exit code. */
int ctl_connect(struct ctl *c, struct error *ret_error) MUST_CHECK;
/* The exit code of an error, 70 where none was set. */
int ctl_failed(const struct error *e);
/* Wrong use, found by the verb itself: fills the error with the text and returns EX_USAGE. */
int ctl_wrong_use(struct error *e, const char *format, ...) PRINTF_LIKE(2, 3);

/* For `debitctl help`, wrong use and completion. */
void ctl_help(FILE *out, const char *word, const char *verb); /* NULLs: the overview */
void ctl_completion(FILE *out);                               /* etc/debitctl.bash-completion */

/* catalog.c and rate.c */
int ctl_catalog_check(struct ctl *c, struct error *ret_error) MUST_CHECK; /* FILE */
int ctl_catalog_diff(struct ctl *c, struct error *ret_error) MUST_CHECK;  /* FILE */
int ctl_catalog_apply(struct ctl *c, struct error *ret_error) MUST_CHECK; /* FILE */
int ctl_rate(struct ctl *c,
             struct error *ret_error) MUST_CHECK; /* --catalog FILE --plan PLAN < events */
/* migrate.c */
int ctl_migrate(struct ctl *c, struct error *ret_error) MUST_CHECK;

#endif
