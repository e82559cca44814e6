/* Positions in PostgreSQL, for the source. Each statement is a transaction of its own. */
#include "claims.h"

#include "base/embedded.h"
#include "ledger/evict.h"
#include "pg/session.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

struct claims {
    char *conninfo, *owner;
    struct pg_session *pg; /* NULL: not open */
};

struct claims *claims_new(const char *conninfo, const char *owner)
{
    struct claims *c = xcalloc(1, sizeof(*c));
    c->conninfo = xstrdup(conninfo);
    c->owner = xstrdup(owner);
    ASSERT(c->conninfo && c->owner);
    return c;
}

void claims_free(struct claims *c)
{
    if (!c)
        return;
    pg_close(c->pg);
    free(c->conninfo);
    free(c->owner);
    free(c);
}

static enum source_answer open_session(struct claims *c, struct error *ret_error)
{
    if (pg_is_open(c->pg))
        return SOURCE_DONE;
    pg_close(TAKE(c->pg));
    /* the thread that reads waits for a lock meanwhile, for all partitions */
    if (pg_open(c->conninfo, "claims", &c->pg, ret_error) == 0 &&
        pg_script(c->pg, "setting up the session", "SET lock_timeout = '1s'", ret_error) == PG_DONE)
        return SOURCE_DONE;
    pg_close(TAKE(c->pg));
    return SOURCE_LATER;
}

/* Whatever goes wrong here may be right later (a server that is away, a right that a person
 * grants), so it is asked again; the words tell what it is. */
static enum source_answer outcome(struct claims *c, enum pg_outcome o)
{
    if (o == PG_DONE)
        return SOURCE_DONE;
    pg_close(TAKE(c->pg));
    return SOURCE_LATER;
}

/* Runs one of schema/queries. */
static enum source_answer ask(struct claims *c, const char *doing, const char *name, int params,
                              const char *const *param, struct pg_result **ret,
                              struct error *ret_error)
{
    enum source_answer answer = open_session(c, ret_error);
    if (answer != SOURCE_DONE)
        return answer;
    return outcome(
        c, pg_run(c->pg, doing, embedded_sql("queries", name), params, param, ret, ret_error));
}

enum source_answer claims_cluster(struct claims *c, const char *cluster_id, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    enum source_answer answer = ask(c, "asking which Kafka cluster the positions belong to",
                                    "cluster", 1, &cluster_id, &r, ret_error);
    if (answer != SOURCE_DONE)
        return answer;
    ASSERT(pg_rows(r) == 1);
    if (pg_null(r, 0, 0)) {
        error_set(ret_error, EX_TEMPFAIL,
                  "another instance is recording which Kafka cluster the positions belong to");
        return SOURCE_LATER;
    }
    if (strcmp(pg_text(r, 0, 0), cluster_id) == 0)
        return SOURCE_DONE;
    error_set(
        ret_error, EX_CONFIG,
        "the positions in this database belong to the Kafka cluster %s, but "
        "kafka.bootstrap_servers leads to %s: offsets of one mean nothing on the other. Check "
        "kafka.bootstrap_servers and postgres.conninfo; if this cluster holds the same topics, "
        "offset by offset (restored, or mirrored with its offsets): debitctl position "
        "adopt-cluster %s --reason 'WHY'",
        pg_text(r, 0, 0), cluster_id, cluster_id);
    return SOURCE_REFUSED;
}

enum source_answer claims_claim(struct claims *c, const char *topic, int32_t partition,
                                struct partition_claim *ret, struct error *ret_error)
{
    char number[16];
    snprintf(number, sizeof(number), "%" PRId32, partition);
    const char *const param[] = { topic, number, c->owner };
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    enum source_answer answer = open_session(c, ret_error);
    if (answer == SOURCE_DONE)
        answer = outcome(c, evict_silent(c->pg, "claims", topic, partition, ret_error));
    if (answer == SOURCE_DONE)
        answer = ask(c, "claiming a partition", "claim", 3, param, &r, ret_error);
    if (answer != SOURCE_DONE)
        return answer;
    ASSERT(pg_rows(r) == 1);
    *ret = (struct partition_claim){
        .epoch = pg_text_int(r, 0, 0),
        .has_next = !pg_null(r, 0, 1),
        .has_last = !pg_null(r, 0, 2),
        .next_offset = pg_null(r, 0, 1) ? 0 : pg_text_int(r, 0, 1),
        .last_offset = pg_null(r, 0, 2) ? 0 : pg_text_int(r, 0, 2),
        .last_fingerprint = pg_null(r, 0, 3) ? 0 : (uint64_t)pg_text_int(r, 0, 3),
        .moves = pg_text_int(r, 0, 5),
    };
    snprintf(ret->halted, sizeof(ret->halted), "%s", pg_null(r, 0, 4) ? "" : pg_text(r, 0, 4));
    return SOURCE_DONE;
}

enum source_answer claims_halt(struct claims *c, const char *topic, int32_t partition,
                               int64_t epoch, const char *why, struct error *ret_error)
{
    char number[16], at[24];
    snprintf(number, sizeof(number), "%" PRId32, partition);
    snprintf(at, sizeof(at), "%" PRId64, epoch);
    const char *const param[] = { topic, number, at, why };
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    enum source_answer answer = ask(c, "halting a partition", "halt", 4, param, &r, ret_error);
    if (answer != SOURCE_DONE)
        return answer;
    if (pg_rows(r) == 0) {
        error_set(ret_error, EX_TEMPFAIL, "the partition belongs to another instance by now");
        return SOURCE_REFUSED;
    }
    return SOURCE_DONE;
}
