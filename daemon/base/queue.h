/* A bounded queue of pointers between threads, bounded in items and in bytes, allocated whole at
 * init.
 * Concurrency: every function may be called from any thread. */
#ifndef DEBITD_BASE_QUEUE_H
#define DEBITD_BASE_QUEUE_H

#include "base/macros.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled; /* CLOCK_MONOTONIC */
    void **item;
    size_t *size;
    size_t head, items, items_max, bytes, bytes_max;
    bool closed, woken;
};

int queue_init(struct queue *q, size_t items_max, size_t bytes_max) MUST_CHECK;
void queue_fini(struct queue *q); /* must be empty */

enum queue_put_result { QUEUE_PUT = 0, QUEUE_FULL = 1, QUEUE_CLOSED = 2 };
/* One item is taken whatever its bytes when the queue is empty, so that none is ever too large.
 * Never blocks. */
enum queue_put_result queue_put(struct queue *q, void *item, size_t bytes) MUST_CHECK;

/* Takes up to max items; waits up to wait_us for the first one. Returns their number (0: nothing
 * came, or closed and empty). */
size_t queue_take(struct queue *q, void **ret_items, size_t max, int64_t wait_us);
void queue_wake(struct queue *q);  /* ends a waiting queue_take early */
void queue_close(struct queue *q); /* later puts are refused; what is in can still be taken */
/* items and bytes inside, now; NULL for what is not wanted */
void queue_level(struct queue *q, size_t *ret_items, size_t *ret_bytes);

#endif
