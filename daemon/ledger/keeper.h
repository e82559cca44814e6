/* The housekeeper: one thread, one connection. Each second it moves the books to a new month when
 * the old one has ended, makes leaves ahead, releases parked messages whose reason is
 * gone, and folds finished batches into usage_daily when a stride ends (ledger/stride.h). Any
 * number of daemons may keep house at once. */
#ifndef DEBITD_LEDGER_KEEPER_H
#define DEBITD_LEDGER_KEEPER_H

#include "base/error.h"
#include "ledger/batch.h"

struct keeper;

struct keeper_settings {
    const char *conninfo;          /* copied */
    struct ingest_settings ingest; /* default_plan is copied */
    struct catalogue *price_file;  /* a reference of its own is taken; NULL: none */
};
struct keeper_hooks {
    void *ctx;
    void (*committed)(void *ctx); /* on the keeper's thread: something may be in the outbox */
};

int keeper_start(const struct keeper_settings *settings, const struct keeper_hooks *hooks,
                 struct keeper **ret, struct error *ret_error) MUST_CHECK;
void keeper_reload(struct keeper *k, struct catalogue *price_file);
int keeper_stop(struct keeper *k, int64_t timeout_us) MUST_CHECK; /* 0: ended; 1: not in time */
void keeper_free(struct keeper *k); /* after keeper_stop returned 0; NULL is fine */
uint64_t keeper_heartbeat(const struct keeper *k);

#endif
