/* The configuration of debitd and debitctl (libconfig syntax, contract 8). One table (daemon/config_table.c) says of each key its type, bounds, default, unit, whether a reload takes
 * it up, and its help; it drives reading, --check-config, --dump-config, etc/debitd.conf and docs/configuration.md.
 *
 * Reading is offline: no network, no database, no other file but what @include names. A struct config is a plain value, filled whole or not at all; it may be read by any thread as long
 * as nobody frees it. The function names keep clear of libconfig's own (config_read, config_init). */
#ifndef DEBITD_CONFIG_H
#define DEBITD_CONFIG_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_PATH     "/etc/debitd/debitd.conf" /* read where no --config is given, if it exists */
#define CONFIG_KEYS_MAX 48

enum accounts_unknown {
    ACCOUNTS_UNKNOWN_PARK, /* usage of an account that is not open is parked */
    ACCOUNTS_UNKNOWN_OPEN, /* it opens the account on the default plan */
};

struct config_property { /* of librdkafka, as it is */
    char *name, *value;
};
struct config_properties {
    struct config_property *item; /* in the order of the file */
    int64_t count;
};

struct config {
    struct {
        char *bootstrap_servers, *group_id;
        struct config_properties properties;
    } kafka;
    struct {
        char *usage, *accounts, *alerts, *dead_letter; /* names, all different */
    } topics;
    struct {
        char *conninfo; /* may hold a password: never print it but through config_mask_conninfo */
    } postgres;
    struct {
        int64_t max_events, max_delay_ms;
    } batch;
    struct {
        int64_t unknown; /* enum accounts_unknown */
        char *default_plan;
    } accounts;
    struct {
        int64_t count;
    } writers;
    struct {
        int64_t window_days;
        int64_t dedup_months; /* 0: forever */
    } accept;
    struct {
        int64_t max_messages, max_kbytes; /* of each writer's queue */
    } queue;
    struct {
        char *file; /* "": none */
    } prices;
    struct {
        int64_t level; /* enum log_level */
    } log;
    char *path;                    /* of the file it was read from; "": the built-in defaults */
    char *origin[CONFIG_KEYS_MAX]; /* per key of the table "FILE:LINE"; NULL: the default */
};
#define CONFIG_NULL ((struct config){ 0 })

/* Reads the file at path; with path NULL CONFIG_PATH where that exists, else the defaults. 0, or -1 with exit code EX_CONFIG and every finding in the error's text, one a line, as far as
 * they fit. *ret is untouched on failure; end it with config_fini. */
int config_load(const char *path, struct config *ret, struct error *ret_error) MUST_CHECK;
/* The same with all findings, whatever their number, a line each, in *ret_findings. Returns their number, 0 when *ret is filled. */
int config_check(const char *path, struct config *ret, struct buffer *ret_findings) MUST_CHECK;
void config_fini(struct config *c); /* a CONFIG_NULL one is fine */

/* Where the key that `finding` begins with ("kafka.properties: ...") was set: "FILE:LINE", else the
 * file, else "the defaults". Lives as long as c. */
const char *config_place(const struct config *c, const char *finding) MUST_CHECK;

/* The effective configuration in libconfig syntax, each key with where it comes from. Secrets are shown as "***". */
void config_dump(const struct config *c, struct buffer *out);
/* etc/debitd.conf: every key, commented out, with its default, bounds and help. docs/configuration.md: the same as tables. */
void config_sample(struct buffer *out);
void config_document(struct buffer *out);

/* Appends the connection string with its passwords as "***" (keyword form and URI). */
void config_mask_conninfo(const char *conninfo, struct buffer *out);

/* True when secrets stand in the file itself although everybody on the machine can read it; the sentence that says so, with what to do, is appended. */
bool config_open_secrets(const struct config *c, struct buffer *out);

/* Which keys a reload cannot take up although they differ: appended to *out as "a.b, c.d". Returns their number. */
int config_needs_restart(const struct config *running, const struct config *wanted,
                         struct buffer *out);

#endif
