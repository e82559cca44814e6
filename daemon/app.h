/* The process debitd: configuration, signals, service manager, start and end. */
#ifndef DEBITD_APP_H
#define DEBITD_APP_H

#include "config.h"

/* Everything that can be said of a configuration without network or database: the keys, librdkafka's properties, the connection string, the price file. Returns the number of findings, a line
 * each in *ret_findings; 0: *ret is filled. path as in config_load. */
int app_check(const char *path, struct config *ret, struct buffer *ret_findings) MUST_CHECK;

/* Runs until SIGTERM or SIGINT, or until it cannot go on. Returns the exit code: 0; 75 to be started again; 77 PostgreSQL does not let us; 78 configuration or a schema that is not ours.
 * To be called once, before any thread exists. */
int app_run(const char *path) MUST_CHECK;

#endif
