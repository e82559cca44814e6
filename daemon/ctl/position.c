/* debitctl position list | set | adopt-cluster: where reading goes on is decided by people here, and
 * nowhere else. What is decided is kept, with who and why. */
#include "ctl/output.h"
#include "ctl/places.h"
#include "ctl/verbs.h"

#include "kafka/bounds.h"

#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define REASON_BYTES_MAX 1000

static const char *person(void)
{
    const struct passwd *who = getpwuid(geteuid());
    return who ? who->pw_name : "unknown";
}

/* Nobody can ask later why this was done. */
static int require_reason(struct ctl *c, const char **ret, struct error *e)
{
    const char *reason = ctl_option(c, "reason");
    if (!reason || !reason[strspn(reason, " \t\n")])
        return ctl_wrong_use(e, "--reason is missing: why? it is kept with the decision");
    if (strlen(reason) > REASON_BYTES_MAX)
        return ctl_wrong_use(e, "--reason is at most %d bytes long", REASON_BYTES_MAX);
    *ret = reason;
    return 0;
}

/* ---------------------------------------------------------------- list */

static int column_named(const struct pg_result *r, const char *name)
{
    for (int k = 0; k < pg_columns(r); k++)
        if (strcmp(pg_column_name(r, k), name) == 0)
            return k;
    ASSERT(!"a column of ctl_position_list.sql");
    return -1;
}

/* Below the table: why partitions are halted, in whole lines, with the commands to copy. */
static void print_halts(const struct pg_result *r)
{
    int halted = column_named(r, "halted");
    for (int i = 0; i < pg_rows(r); i++)
        if (!pg_null(r, i, halted))
            printf("\n%s/%s is halted: %s\n", pg_text(r, i, 0), pg_text(r, i, 1),
                   pg_text(r, i, halted));
}

int ctl_position_list(struct ctl *c, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    int code = places_query(c, "position_list", &r, ret_error);
    if (code)
        return code;
    output_rows(c, r,
                "topic partition state next_offset lag booked duplicates rejected parked skipped "
                "passed_over read_again epoch owner moved_at moved_by moved_from moved_to "
                "moved_because");
    if (!c->json)
        print_halts(r);
    return 0;
}

/* ---------------------------------------------------------------- set */

/* What is to be done, and what is known about it. */
struct move {
    const char *topic, *word, *reason;
    int32_t partition;
    bool named;              /* by a word, not by an offset */
    int64_t to;              /* where it is an offset */
    bool known;              /* debitd has claimed the partition at least once */
    bool forced;             /* --force was given */
    bool asked;              /* Kafka has answered: bounds are set */
    int64_t next;            /* -1: nothing was consumed */
    int64_t window_begin_ms; /* of the dedup window; 0: it has no beginning */
    struct kafka_bounds bounds;
};

static bool whole(const char *text, long long most, long long *ret)
{
    size_t n = strlen(text);
    if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
        return false;
    *ret = strtoll(text, NULL, 10);
    return *ret <= most;
}

static int read_arguments(struct ctl *c, struct move *m, struct error *e)
{
    long long number;
    m->topic = c->argument[0];
    m->word = c->argument[2];
    m->forced = ctl_option(c, "force") != NULL;
    if (!whole(c->argument[1], INT32_MAX, &number))
        return ctl_wrong_use(e, "PARTITION is a number from 0 on, not '%s'", c->argument[1]);
    m->partition = (int32_t)number;
    m->named = strcmp(m->word, "earliest") == 0 || strcmp(m->word, "latest") == 0;
    if (!m->named && !whole(m->word, INT64_MAX, &number))
        return ctl_wrong_use(e, "OFFSET is a number from 0 on, earliest or latest, not '%s'",
                             m->word);
    m->to = m->named ? -1 : number;
    return require_reason(c, &m->reason, e);
}

static int read_books(struct ctl *c, struct move *m, struct error *e)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const char *const parameters[] = { m->topic, c->argument[1] };
    int code = ctl_query(c, "position", 2, parameters, &r, e);
    if (code)
        return code;
    m->known = *pg_text(r, 0, 0) == 't';
    m->next = pg_null(r, 0, 1) ? -1 : pg_text_int(r, 0, 1);
    m->window_begin_ms = pg_null(r, 0, 2) ? 0 : pg_text_int(r, 0, 2);
    return 0;
}

static int ask_kafka(struct ctl *c, struct move *m, struct error *e)
{
    struct error trouble = { 0 };
    struct kafka_property *property;
    int code = ctl_config(c, e);
    if (code)
        return code;
    struct kafka_settings kafka = places_kafka(&c->config, &property);
    m->asked = kafka_bounds(&kafka, PLACES_TIMEOUT_MS, m->topic, m->partition, m->window_begin_ms,
                            &m->bounds, &trouble) == 0;
    free(property);
    if (m->asked || (m->forced && !m->named))
        return 0;
    error_set(e, trouble.exit_code, "%s; %s", trouble.text,
              m->named ? "name an offset instead, and give --force"
                       : "with --force it is done without asking");
    return ctl_failed(e);
}

static int refused(struct error *e, const char *format, ...) PRINTF_LIKE(2, 3);
static int refused(struct error *e, const char *format, ...)
{
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    error_set(e, EX_DATAERR, "%s", text);
    return EX_DATAERR;
}

/* Is there such a partition, for debitd to read? */
static int check_place(const struct ctl *c, const struct move *m, struct error *e)
{
    bool ours = strcmp(m->topic, c->config.topics.usage) == 0 ||
                strcmp(m->topic, c->config.topics.accounts) == 0;
    if (!ours && !m->known)
        return refused(e,
                       "debitd does not read a topic '%s': topics.usage is %s, topics.accounts %s; "
                       "see: debitctl position list",
                       m->topic, c->config.topics.usage, c->config.topics.accounts);
    bool there = m->asked && m->bounds.exists;
    if (!there && !m->known)
        return refused(e,
                       "%s has no partition %d%s, and debitd has never read one; see: debitctl "
                       "position list",
                       m->topic, m->partition, m->asked ? "" : " that we know of");
    if (m->asked && !m->bounds.exists && (m->named || !m->forced))
        return refused(e, "%s has no partition %d in Kafka now%s", m->topic, m->partition,
                       m->named ? "; name an offset instead, and give --force"
                                : "; with --force it is done all the same");
    return 0;
}

/* Would reading go on there, and book nothing twice? */
static int check_offset(const struct move *m, struct error *e)
{
    if (!m->asked || !m->bounds.exists || m->forced)
        return 0;
    if (m->to < m->bounds.begin || m->to > m->bounds.end)
        return refused(
            e,
            "%s/%d holds the offsets from %lld to %lld, so reading cannot go on at %lld: "
            "debitd would halt there; name one of them, earliest or latest (%lld)",
            m->topic, m->partition, (long long)m->bounds.begin, (long long)m->bounds.end - 1,
            (long long)m->to, (long long)m->bounds.end);
    if (m->window_begin_ms && m->to < m->next && m->to < m->bounds.at_time)
        return refused(e,
                       "the messages of %s/%d before offset %lld are older than the dedup window "
                       "(accept.dedup_months): what of them is booked would be booked again; with "
                       "--force it is done all the same",
                       m->topic, m->partition, (long long)m->bounds.at_time);
    return 0;
}

static const char *number(char out[24], int64_t value)
{
    snprintf(out, 24, "%lld", (long long)value);
    return out;
}

static int carry_out(struct ctl *c, const struct move *m, struct error *e)
{
    char to[24], begin[24], end[24];
    bool bounded = m->asked && m->bounds.exists;
    const char *const parameters[] = { m->topic,
                                       c->argument[1],
                                       number(to, m->to),
                                       m->reason,
                                       person(),
                                       bounded ? number(begin, m->bounds.begin) : NULL,
                                       bounded ? number(end, m->bounds.end) : NULL,
                                       m->forced ? "true" : "false" };
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    int code = ctl_query(c, "position_set", 8, parameters, &r, e);
    if (code)
        return code;
    if (c->json) {
        output_row(c, r);
        return 0;
    }
    const char *from = pg_null(r, 0, 2) ? "nothing consumed" : pg_text(r, 0, 2);
    printf("%s/%d: reading goes on at offset %s; it stood at: %s", m->topic, m->partition, to,
           from);
    if (pg_text_int(r, 0, 4) > 0)
        printf("; %s offsets are passed over", pg_text(r, 0, 4));
    if (pg_text_int(r, 0, 5) > 0)
        printf("; %s offsets are read again", pg_text(r, 0, 5));
    printf("; a running debitd sees it within 2 s\n");
    return 0;
}

int ctl_position_set(struct ctl *c, struct error *ret_error)
{
    struct move m = { 0 };
    int code = read_arguments(c, &m, ret_error);
    if (code || (code = read_books(c, &m, ret_error)) || (code = ask_kafka(c, &m, ret_error)) ||
        (code = check_place(c, &m, ret_error)))
        return code;
    if (m.named)
        m.to = *m.word == 'e' ? m.bounds.begin : m.bounds.end;
    if ((code = check_offset(&m, ret_error)))
        return code;
    return carry_out(c, &m, ret_error);
}

/* ---------------------------------------------------------------- adopt-cluster */

int ctl_position_adopt_cluster(struct ctl *c, struct error *ret_error)
{
    CLEANUP(pg_result_freep) struct pg_result *r = NULL;
    const char *reason;
    int code = require_reason(c, &reason, ret_error);
    if (code)
        return code;
    if (!*c->argument[0] || strlen(c->argument[0]) > 256)
        return ctl_wrong_use(ret_error, "CLUSTER is the id of a Kafka cluster");
    const char *const parameters[] = { c->argument[0], reason, person() };
    if ((code = ctl_query(c, "position_adopt_cluster", 3, parameters, &r, ret_error)))
        return code;
    if (c->json)
        output_row(c, r);
    else
        printf("the positions belong to the Kafka cluster %s now; before: %s\n", pg_text(r, 0, 1),
               pg_null(r, 0, 0) ? "none" : pg_text(r, 0, 0));
    return 0;
}
