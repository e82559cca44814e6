/* Partitions and what Kafka says of them: shared by status and position. */
#ifndef DEBITD_CTL_PLACES_H
#define DEBITD_CTL_PLACES_H

#include "ctl/ctl.h"
#include "kafka/client.h"

#define PLACES_TIMEOUT_MS 2000 /* for each question: nobody waits longer */

/* The Kafka of the configuration. The properties are the caller's to free; all else is the
 * configuration's. What librdkafka says while it tries is not logged from now on. */
struct kafka_settings places_kafka(const struct config *config, struct kafka_property **ret);

/* Runs schema/queries/ctl_NAME.sql, whose parameters are topics, partitions and where their logs
 * end, and whose first columns are topic and partition: with the ends where a configuration file
 * says which Kafka it is and that answers; else without, and a word about it on standard error. There
 * too: which topics are compacted. 0 and the result, or the exit code. */
int places_query(struct ctl *c, const char *name, struct pg_result **ret,
                 struct error *ret_error) MUST_CHECK;

#endif
