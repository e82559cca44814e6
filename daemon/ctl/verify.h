/* debitctl verify: what its parts share. */
#ifndef DEBITD_CTL_VERIFY_H
#define DEBITD_CTL_VERIFY_H

#include "ctl/ctl.h"

struct verification;

/* Prints the rows as differences that `check` found, and counts them. */
void verify_found(struct verification *v, const char *check, const struct pg_result *rows);
/* Whether progress is told, on standard error. */
bool verify_to_terminal(const struct verification *v);

/* ---- verify --topic (verify_topic.c) */
struct verify_topic;
/* Before the snapshot: asks Kafka where the output topics end, makes temporary tables in the
 * session, which stays the caller's. 0, or the exit code. */
int verify_topic_new(struct verification *v, struct ctl *c, struct pg_session *session,
                     struct verify_topic **ret, struct error *ret_error) MUST_CHECK;
/* In the snapshot: reads the topics and tells the differences. 0, or the exit code. */
int verify_topic_run(struct verify_topic *t, int64_t *ret_messages,
                     struct error *ret_error) MUST_CHECK;
void verify_topic_free(struct verify_topic *t); /* NULL is fine */

#endif
