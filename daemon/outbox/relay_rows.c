/* The relay in PostgreSQL: lock, epoch, and the states of the outbox rows. Every statement is a
 * transaction of its own, and each that changes a row checks the epoch under a lock that a new
 * relay's epoch has to wait for. */
#include "outbox/relay_internal.h"

#include "base/clock.h"
#include "base/embedded.h"

#include <inttypes.h>
#include <string.h>

static const char *const claimed_sql[] = { "relay_claimed_alerts", "relay_claimed_letters" };
static const char *const claim_sql[] = { "relay_claim_alerts", "relay_claim_letters" };
static const char *const mark_sql[] = { "relay_mark_alerts", "relay_mark_letters" };
static const char *const reset_sql[] = { "relay_reset_alerts", "relay_reset_letters" };
static const char *const saw_sql[] = { "relay_saw_alerts", "relay_saw_letters" };
static const char *const met_sql[] = { "relay_met_alerts", "relay_met_letters" };
static const char *const noun[] = { "alerts", "dead letters" };

/* Every access is by key or by the index on what is open; and no more is known of the parameters
 * than when this is planned. */
static const char session_settings[] =
    "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan";

static const struct pg_statement *statement(struct relay *r, const char *query)
{
    for (int i = 0; i < r->statements; i++)
        if (strcmp(r->statement[i].name, query) == 0)
            return &r->statement[i];
    ASSERT(r->statements < RELAY_STATEMENTS_MAX);
    r->statement[r->statements] = (struct pg_statement){ query, embedded_sql("queries", query) };
    return &r->statement[r->statements++];
}

static enum relay_step run(struct relay *r, const char *doing, const char *query, int params,
                           const char *const *param, struct pg_result **ret)
{
    struct error error = { 0 };

    atomic_fetch_add(&r->beat, 1);
    switch (pg_run_prepared(r->pg, doing, statement(r, query), params, param, ret, &error)) {
    case PG_DONE:
        r->sign_us = monotonic_us();
        return STEP_DONE;
    case PG_LOST:
        pg_close(TAKE(r->pg)); /* and with it the lock */
        r->leads = false;
        break;
    case PG_RETRY:
    case PG_DUPLICATE:
    case PG_FENCED:
    case PG_WAIT:
    case PG_POISON:
    case PG_DEFECT:
        break;
    }
    return relay_failed(r, "%s", error.text);
}

/* Of a statement that answers (rows of the fence, rows changed, and what else it counts). */
static enum relay_step run_counting(struct relay *r, const char *doing, const char *query,
                                    int params, const char *const *param, int64_t *ret_changed,
                                    int64_t *ret_more)
{
    CLEANUP(pg_result_freep) struct pg_result *result = NULL;
    enum relay_step step = run(r, doing, query, params, param, &result);

    if (step != STEP_DONE)
        return step;
    if (pg_text_int(result, 0, 0) == 0)
        return STEP_FENCED;
    if (ret_changed != NULL)
        *ret_changed = pg_text_int(result, 0, 1);
    if (ret_more != NULL)
        *ret_more = pg_text_int(result, 0, 2);
    return STEP_DONE;
}

static enum relay_step run_fenced(struct relay *r, const char *doing, const char *query, int params,
                                  const char *const *param, int64_t *ret_changed)
{
    return run_counting(r, doing, query, params, param, ret_changed, NULL);
}

enum relay_step rows_open(struct relay *r)
{
    struct error error = { 0 };

    if (pg_is_open(r->pg))
        return STEP_DONE;
    pg_close(TAKE(r->pg));
    r->leads = false;
    if (pg_open(r->settings.conninfo, "relay", &r->pg, &error) != 0)
        return relay_failed(r, "%s", error.text);
    if (pg_script(r->pg, "setting up the session", session_settings, &error) == PG_DONE)
        return STEP_DONE;
    pg_close(TAKE(r->pg));
    return relay_failed(r, "%s", error.text);
}

enum relay_step rows_lead(struct relay *r, bool *ret_leads)
{
    CLEANUP(pg_result_freep) struct pg_result *result = NULL;
    int64_t takeover_us = r->settings.takeover_us > 0 ? r->settings.takeover_us : RELAY_TAKEOVER_US;
    char seconds[24];
    const char *const param[] = { seconds };
    enum relay_step step;

    *ret_leads = true;
    if (r->leads)
        return STEP_DONE;
    step = run(r, "asking to be the relay", "relay_lead", 0, NULL, &result);
    if (step != STEP_DONE)
        return step;
    *ret_leads = r->leads = strcmp(pg_text(result, 0, 0), "t") == 0;
    if (r->leads)
        return STEP_DONE;
    pg_result_free(TAKE(result));
    snprintf(seconds, sizeof(seconds), "%" PRId64, takeover_us / US_PER_SECOND);
    step = run(r, "looking whether the relay is still alive", "relay_evict", 1, param, &result);
    if (step == STEP_DONE && pg_text_int(result, 0, 0) > 0)
        log_notice("relay: the session of the relay before was silent for %s s and has been ended",
                   seconds);
    return step;
}

/* Only to tell people: what was lost is found on the topics, whatever the server says of itself. */
static void tell_server(const struct pg_result *row)
{
    enum { EPOCH, SYSTEM_BEFORE, SYSTEM, TIMELINE_BEFORE, TIMELINE };

    if (pg_null(row, 0, SYSTEM_BEFORE) || pg_null(row, 0, TIMELINE_BEFORE))
        return;
    if (strcmp(pg_text(row, 0, SYSTEM_BEFORE), pg_text(row, 0, SYSTEM)) != 0)
        log_warning("relay: the database lies on another server than before (system identifier %s, "
                    "it was %s): restored from a dump, or postgres.conninfo leads elsewhere. What "
                    "it does not know of its own messages is looked for on the topics",
                    pg_text(row, 0, SYSTEM), pg_text(row, 0, SYSTEM_BEFORE));
    else if (strcmp(pg_text(row, 0, TIMELINE_BEFORE), pg_text(row, 0, TIMELINE)) != 0)
        log_notice("relay: PostgreSQL is on timeline %s, it was on %s: a standby was promoted or a "
                   "backup restored. Commits that were lost with it are looked for on the topics",
                   pg_text(row, 0, TIMELINE), pg_text(row, 0, TIMELINE_BEFORE));
}

enum relay_step rows_epoch(struct relay *r)
{
    CLEANUP(pg_result_freep) struct pg_result *result = NULL;
    const char *const param[] = { r->settings.owner };
    enum relay_step step = run(r, "becoming the relay", "relay_epoch", 1, param, &result);

    if (step != STEP_DONE)
        return step;
    if (pg_rows(result) != 1)
        return relay_failed(
            r, "becoming the relay: table debitd.relay has no row; debitctl migrate makes it");
    r->epoch = pg_text_int(result, 0, 0);
    snprintf(r->epoch_text, sizeof(r->epoch_text), "%" PRId64, r->epoch);
    tell_server(result);
    return STEP_DONE;
}

enum relay_step rows_alive(struct relay *r)
{
    CLEANUP(pg_result_freep) struct pg_result *result = NULL;
    const char *const param[] = { r->epoch_text };
    enum relay_step step =
        run(r, "looking whether we are still the relay", "relay_alive", 1, param, &result);

    return step == STEP_DONE && pg_rows(result) == 0 ? STEP_FENCED : step;
}

enum relay_step rows_claimed(struct relay *r, enum outbox o, struct pg_result **ret)
{
    return run(r, "looking for messages that were claimed and not marked", claimed_sql[o], 0, NULL,
               ret);
}

enum relay_step rows_reset(struct relay *r, enum outbox o)
{
    const char *const param[] = { r->epoch_text };

    return run_fenced(r, "opening messages again that were not published", reset_sql[o], 1, param,
                      NULL);
}

enum relay_step rows_known(struct relay *r, enum outbox o, int64_t *known)
{
    CLEANUP(pg_result_freep) struct pg_result *rows = NULL;
    const char *const param[] = { r->topic[o].name };
    enum relay_step step =
        run(r, "asking how far the topics are known", "relay_known", 1, param, &rows);

    for (int32_t p = 0; p < r->topic[o].partitions; p++)
        known[p] = 0;
    for (int i = 0; step == STEP_DONE && i < pg_rows(rows); i++) {
        int64_t partition = pg_text_int(rows, i, 0);

        if (partition >= 0 && partition < r->topic[o].partitions)
            known[partition] = pg_text_int(rows, i, 1);
    }
    return step;
}

enum relay_step rows_reached(struct relay *r, enum outbox o)
{
    const struct relay_topic *t = &r->topic[o];
    struct buffer *partitions = &r->list[0], *offsets = &r->list[1];
    enum relay_step step;

    partitions->n = offsets->n = 0;
    for (int32_t p = 0; p < t->partitions; p++) {
        buffer_format(partitions, "%s%" PRId32, p == 0 ? "{" : ",", p);
        buffer_format(offsets, "%s%" PRId64, p == 0 ? "{" : ",", t->floor[p]);
    }
    buffer_text(partitions, "}");
    buffer_text(offsets, "}");

    const char *const param[] = { r->epoch_text, t->name, buffer_cstr(partitions),
                                  buffer_cstr(offsets) };
    step = run_fenced(r, "noting how far the topics are known", "relay_reached", 4, param, NULL);
    return step;
}

enum relay_step rows_saw(struct relay *r, enum outbox o, const char *const *column,
                         int64_t *ret_marked, int64_t *ret_ahead)
{
    const char *param[1 + SAW_COLUMNS] = { r->epoch_text };

    for (int c = 0; c < SAW_COLUMNS; c++)
        param[1 + c] = column[c];
    return run_counting(r, "comparing what stands on the topics with the database", saw_sql[o],
                        o == ALERTS ? 1 + SAW_TOPIC : 1 + SAW_COLUMNS, param, ret_marked,
                        ret_ahead);
}

enum relay_step rows_met(struct relay *r, enum outbox o)
{
    const char *const param[] = { r->epoch_text };
    int64_t met = 0, left = 0;
    enum relay_step step = run_counting(r, "looking for messages that stand on the topics already",
                                        met_sql[o], 1, param, &met, &left);

    if (step != STEP_DONE)
        return step;
    r->topic[o].ahead = left > 0;
    r->seen.found += (uint64_t)met;
    if (met > 0)
        log_notice("relay: %" PRId64 " %s that the database had lost have come again; they stand "
                   "on %s already and are not published twice (%" PRId64 " are still to come)",
                   met, noun[o], r->topic[o].name, left);
    return STEP_DONE;
}

enum relay_step rows_truncate(struct relay *r, const char *id)
{
    const char *const param[] = { r->epoch_text, id };

    return run_fenced(r, "noting that a dead letter is too large", "relay_truncate", 2, param,
                      NULL);
}

void rows_clear(struct relay *r)
{
    for (int o = 0; o < OUTBOXES; o++)
        pg_result_free(TAKE(r->rows[o]));
    r->parcels = 0;
}

static void add_parcels(struct relay *r, enum outbox o)
{
    int rows = pg_rows(r->rows[o]);

    ASSERT(rows <= RELAY_ROWS_MAX);
    for (int i = 0; i < rows; i++) {
        struct parcel *p = &r->parcel[r->parcels++];
        struct slice key;

        *p = (struct parcel){ .outbox = o, .id = pg_text(r->rows[o], i, 0), .row = i };
        if (o == ALERTS)
            key = slice_of(pg_text(r->rows[o], i, ALERT_KEY));
        else
            key = letter_hex(&r->hex, r->rows[o], i, LETTER_KEY);
        if (key.p != NULL)
            p->partition = kafka_partition_of(key, r->topic[o].partitions);
        else
            p->partition =
                (int32_t)(pg_text_int(r->rows[o], i, LETTER_ID) % r->topic[o].partitions);
    }
}

enum relay_step rows_fetch(struct relay *r)
{
    char most[24], bytes[24];
    const char *const param[] = { most, bytes };
    enum relay_step step;

    rows_clear(r);
    if (r->topic[ALERTS].partitions > 0) {
        snprintf(most, sizeof(most), "%d", RELAY_ROWS_MAX);
        step = run(r, "reading alerts to be published", "relay_open_alerts", 1, param,
                   &r->rows[ALERTS]);
        if (step != STEP_DONE)
            return step;
        add_parcels(r, ALERTS);
    }
    if (r->topic[LETTERS].partitions > 0) {
        snprintf(most, sizeof(most), "%d", r->alone > 0 ? 1 : RELAY_ROWS_MAX);
        snprintf(bytes, sizeof(bytes), "%d", RELAY_LETTER_BYTES_MAX);
        step = run(r, "reading dead letters to be published", "relay_open_letters", 2, param,
                   &r->rows[LETTERS]);
        if (step != STEP_DONE)
            return step;
        add_parcels(r, LETTERS);
    }
    return STEP_DONE;
}

/* Array literals of one outbox's parcels: ids, partitions, floors. Returns their number. */
static int64_t list_parcels(struct relay *r, enum outbox o)
{
    int64_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(r->list); i++) {
        r->list[i].n = 0;
        buffer_text(&r->list[i], "{");
    }
    for (size_t i = 0; i < r->parcels; i++) {
        const struct parcel *p = &r->parcel[i];
        const char *comma = n > 0 ? "," : "";

        if (p->outbox != o)
            continue;
        buffer_format(&r->list[0], "%s%s", comma, p->id);
        buffer_format(&r->list[1], "%s%d", comma, p->partition);
        buffer_format(&r->list[2], "%s%" PRId64, comma, r->topic[o].floor[p->partition]);
        n++;
    }
    for (size_t i = 0; i < ARRAY_SIZE(r->list); i++)
        buffer_text(&r->list[i], "}");
    return n;
}

enum relay_step rows_claim(struct relay *r)
{
    for (int o = 0; o < OUTBOXES; o++) {
        int64_t n = list_parcels(r, (enum outbox)o), claimed = 0;
        const char *const param[] = { r->epoch_text, buffer_cstr(&r->list[0]),
                                      buffer_cstr(&r->list[1]), buffer_cstr(&r->list[2]) };
        enum relay_step step;

        if (n == 0)
            continue;
        step = run_fenced(r, "claiming messages to be published", claim_sql[o], 4, param, &claimed);
        if (step != STEP_DONE)
            return step;
        if (claimed != n)
            return relay_failed(r,
                                "claiming messages to be published: %" PRId64 " of %" PRId64
                                " were open; somebody else changes their states",
                                claimed, n);
    }
    return STEP_DONE;
}

enum relay_step rows_mark_parcels(struct relay *r)
{
    for (int o = 0; o < OUTBOXES; o++) {
        int64_t n = list_parcels(r, (enum outbox)o), marked = 0;
        const char *const param[] = { r->epoch_text, buffer_cstr(&r->list[0]),
                                      buffer_cstr(&r->list[1]), buffer_cstr(&r->list[2]),
                                      r->topic[o].name };
        enum relay_step step;

        if (n == 0)
            continue;
        step = run_fenced(r, "marking messages as published", mark_sql[o], 5, param, &marked);
        if (step != STEP_DONE)
            return step;
        if (marked != n)
            return relay_failed(
                r, "marking messages as published: %" PRId64 " of %" PRId64 " were claimed", marked,
                n);
        if (o == ALERTS)
            r->seen.alerts += (uint64_t)n;
        else
            r->seen.letters += (uint64_t)n;
    }
    return STEP_DONE;
}
