/* Shared by relay.c (thread, order of steps), relay_rows.c (PostgreSQL) and relay_topics.c
 * (Kafka). Everything belongs to the relay's thread, but for what stands under `lock`. */
#ifndef DEBITD_OUTBOX_RELAY_INTERNAL_H
#define DEBITD_OUTBOX_RELAY_INTERNAL_H

#include "base/buffer.h"
#include "base/log.h"
#include "outbox/relay.h"
#include "pg/session.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

/* Limits. */
#define RELAY_ROWS_MAX         500 /* of each kind in one transaction */
/* of dead letters' values in one transaction, but for a single larger one */
#define RELAY_LETTER_BYTES_MAX (8 * 1024 * 1024)
#define RELAY_IDLE_US          INT64_C(50000) /* between looks into the outbox without a wake */
#define RELAY_STATEMENTS_MAX   32
#define RELAY_STANDBY_US       INT64_C(1000000)
#define RELAY_TAKEOVER_US      INT64_C(20000000)
#define RELAY_TOPICS_US        INT64_C(5000000) /* between looks for a topic that is missing */
#define RELAY_BACKOFF_MIN_US   INT64_C(100000)
#define RELAY_BACKOFF_MAX_US   INT64_C(5000000)
/* longest single wait for Kafka, where the wait can be cut */
#define RELAY_SLICE_MS         2000
/* between signs of life in PostgreSQL while waiting for Kafka */
#define RELAY_SIGN_US          INT64_C(2000000)
#define RELAY_INIT_US          INT64_C(60000000) /* for a predecessor's transaction to be ended */
/* for the delivery of one transaction's messages */
#define RELAY_REPORTS_US       INT64_C(10000000)
#define RELAY_SILENCE_US       INT64_C(30000000) /* reading back without a message or an end */
/* between looks whether a row has come that stands on its topic since before the database lost it */
#define RELAY_AHEAD_US         INT64_C(1000000)

/* How a step ended. Anything but DONE makes the relay start over, after the words have been
 * logged. */
enum relay_step { STEP_DONE = 0, STEP_FAILED, STEP_FENCED };

enum outbox { ALERTS, LETTERS, OUTBOXES };

struct relay_topic {
    const char *name;
    int32_t partitions; /* 0: the topic does not exist */
    int64_t *floor;     /* per partition: nothing of what is not claimed yet can stand before it */
    bool reading_back;  /* rows in state 1 were found */
    bool ahead;         /* it holds messages of ours that the database does not know */
    struct complaint missing;
};

/* A message on its way. Texts are of the result it came in. */
struct parcel {
    enum outbox outbox;
    const char *id;
    int row; /* of the result of its outbox */
    int32_t partition;
    bool refused; /* for its size */
};

struct relay {
    struct relay_settings settings;
    char transactional_id[KAFKA_TRANSACTIONAL_ID_MAX];
    struct kafka_client producer_client, reader_client;
    bool started; /* the owner's thread's */
    pthread_t thread;
    _Atomic uint64_t beat;
    _Atomic bool stop;

    struct pg_session *pg;                               /* NULL: none */
    bool leads;                                          /* holds the lock, in this session */
    struct pg_statement statement[RELAY_STATEMENTS_MAX]; /* those that were run */
    int statements;
    int64_t epoch;
    char epoch_text[24];
    int64_t sign_us; /* when PostgreSQL was last told that we live */
    rd_kafka_t *producer;
    struct relay_topic topic[OUTBOXES];
    int64_t topics_at_us; /* the next look for a missing one */
    int64_t ahead_at_us;  /* the next look for rows that stand on their topic already */
    struct pg_result *rows[OUTBOXES];
    struct parcel *parcel; /* RELAY_ROWS_MAX of each */
    size_t parcels;
    size_t delivered, refused; /* reports of this transaction that were good; for size */
    char refusal[200];         /* the last bad report */
    /* so many letters are still to be sent one in a transaction, to find the one that is refused */
    int alone;
    /* the id of a letter that is refused even without value: sent without headers too */
    char bare[24];
    struct buffer hex;     /* decoded bytes of the letter at hand */
    struct buffer list[3]; /* array literals */
    int64_t backoff_us;
    struct complaint failure;
    struct relay_status seen;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    bool woken, ended;
    struct relay_status status;
};

/* relay.c */
void relay_publish_status(struct relay *r);
/* Beats, and tells PostgreSQL that we live if it has not heard from us for long. FENCED: we are
 * the relay no more. */
enum relay_step relay_sign(struct relay *r);
/* Notes the words of what failed, for the log and the status. */
enum relay_step relay_failed(struct relay *r, const char *format, ...) PRINTF_LIKE(2, 3);
static inline bool relay_stopping(struct relay *r)
{
    return atomic_load(&r->stop);
}

/* relay_rows.c */
enum relay_step rows_open(struct relay *r); /* the session */
/* be the one relay; not leading is no failure */
enum relay_step rows_lead(struct relay *r, bool *ret_leads);
enum relay_step rows_epoch(struct relay *r);
enum relay_step rows_alive(struct relay *r);
/* The partitions of which rows are claimed, and from where on; the caller frees the result:
 * columns partition, floor. */
enum relay_step rows_claimed(struct relay *r, enum outbox o, struct pg_result **ret);
enum relay_step rows_reset(struct relay *r, enum outbox o);
/* From where on each partition has to be read back: known[partition], 0 where nothing is known. */
enum relay_step rows_known(struct relay *r, enum outbox o, int64_t *known);
/* All partitions have been read back to their floors. */
enum relay_step rows_reached(struct relay *r, enum outbox o);
/* What was read on the topic, as array literals: SAW_COLUMNS of them, of alerts the first two.
 * *ret_ahead: messages that the database does not know. */
enum saw_column { SAW_ID, SAW_OURS, SAW_TOPIC, SAW_PARTITION, SAW_OFFSET, SAW_COLUMNS };
enum relay_step rows_saw(struct relay *r, enum outbox o, const char *const *column,
                         int64_t *ret_marked, int64_t *ret_ahead);
/* Marks the rows that stand on their topic since before the database lost them. */
enum relay_step rows_met(struct relay *r, enum outbox o);
enum relay_step rows_fetch(struct relay *r); /* fills rows and parcel */
enum relay_step rows_claim(struct relay *r);
enum relay_step rows_mark_parcels(struct relay *r);
enum relay_step rows_truncate(struct relay *r, const char *id);
void rows_clear(struct relay *r);

/* relay_topics.c */
enum relay_step topics_connect(struct relay *r); /* producer, metadata, init_transactions, floors */
void topics_disconnect(struct relay *r);
/* has a missing topic been created? */
enum relay_step topics_look(struct relay *r, bool *ret_appeared);
/* Produces and commits the parcels. *ret_refused: some were refused for their size, and the
 * transaction was aborted. */
enum relay_step topics_publish(struct relay *r, size_t *ret_refused);

enum relay_step topics_abort(struct relay *r);

/* relay_back.c */
enum relay_step topics_read_back(struct relay *r); /* marks what is there, opens the rest again */

/* relay_letter.c */
/* The headers of a parcel, to be given to the library or destroyed. */
rd_kafka_headers_t *letter_headers(struct relay *r, const struct parcel *p);
/* Bytes of a column that holds hex; absent where it is null. Valid until the buffer is used
 * again. */
struct slice letter_hex(struct buffer *b, const struct pg_result *rows, int row, int column);
enum letter_column {
    LETTER_ID,
    LETTER_TOPIC,
    LETTER_PARTITION,
    LETTER_OFFSET,
    LETTER_REASON,
    LETTER_DETAIL,
    LETTER_TRUNCATED,
    LETTER_SIZE,
    LETTER_KEY,
    LETTER_VALUE,
    LETTER_NAMES,
    LETTER_VALUES,
    LETTER_HEADERS
};
enum alert_column { ALERT_ID, ALERT_KEY, ALERT_EVENT };

/* Of alerts and letters: by these reading back knows them. Several groups may share a topic. */
#define HEADER_ID        "debitd-id"
#define HEADER_GROUP     "debitd-group"
/* of letters: where the message came from */
#define HEADER_TOPIC     "__connect.errors.topic"
#define HEADER_PARTITION "__connect.errors.partition"
#define HEADER_OFFSET    "__connect.errors.offset"

#endif
