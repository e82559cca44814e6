/* What the source asks of PostgreSQL: the cluster, the claim of a partition, its halt. A session of its own, on the consumer thread only, opened when it is first needed and again after
 * it was lost. */
#ifndef DEBITD_CLAIMS_H
#define DEBITD_CLAIMS_H

#include "consumers/source.h"

struct claims;

/* conninfo is copied; owner names this instance in debitd.position, for people. No connection yet. */
struct claims *claims_new(const char *conninfo, const char *owner);
void claims_free(struct claims *c); /* NULL is fine */

/* The hooks of the source with the same names; see there. */
enum source_answer claims_cluster(struct claims *c, const char *cluster_id,
                                  struct error *ret_error) MUST_CHECK;
enum source_answer claims_claim(struct claims *c, const char *topic, int32_t partition,
                                struct partition_claim *ret, struct error *ret_error) MUST_CHECK;
enum source_answer claims_halt(struct claims *c, const char *topic, int32_t partition,
                               int64_t epoch, const char *why, struct error *ret_error) MUST_CHECK;

#endif
