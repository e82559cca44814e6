/* A bounded queue of pointers: a ring under one mutex, one condition for its readers. */
#include "base/queue.h"

#include <time.h>

int queue_init(struct queue *q, size_t items_max, size_t bytes_max)
{
    pthread_condattr_t attributes;
    int failed;

    ASSERT(items_max > 0);
    *q = (struct queue){ .items_max = items_max, .bytes_max = bytes_max };
    if (pthread_condattr_init(&attributes) != 0)
        return -1;
    failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
             pthread_cond_init(&q->filled, &attributes) != 0;
    pthread_condattr_destroy(&attributes);
    if (failed)
        return -1;
    if (pthread_mutex_init(&q->lock, NULL) != 0) {
        pthread_cond_destroy(&q->filled);
        return -1;
    }
    q->item = xcalloc(items_max, sizeof(*q->item));
    q->size = xcalloc(items_max, sizeof(*q->size));
    return 0;
}

void queue_fini(struct queue *q)
{
    if (!q || !q->item)
        return;
    ASSERT(q->items == 0);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
    free(q->item);
    free(q->size);
    q->item = NULL;
    q->size = NULL;
}

enum queue_put_result queue_put(struct queue *q, void *item, size_t bytes)
{
    enum queue_put_result result = QUEUE_PUT;

    pthread_mutex_lock(&q->lock);
    if (q->closed) {
        result = QUEUE_CLOSED;
    } else if (q->items == q->items_max ||
               (q->items > 0 && (q->bytes >= q->bytes_max || bytes > q->bytes_max - q->bytes))) {
        result = QUEUE_FULL;
    } else {
        size_t at = (q->head + q->items) % q->items_max;
        q->item[at] = item;
        q->size[at] = bytes;
        q->items++;
        q->bytes += bytes;
        pthread_cond_signal(&q->filled);
    }
    pthread_mutex_unlock(&q->lock);
    return result;
}

static struct timespec deadline_in(int64_t us)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += us / 1000000;
    t.tv_nsec += us % 1000000 * 1000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

size_t queue_take(struct queue *q, void **ret_items, size_t max, int64_t wait_us)
{
    size_t n = 0;

    pthread_mutex_lock(&q->lock);
    if (q->items == 0 && !q->closed && !q->woken && wait_us > 0) {
        struct timespec deadline = deadline_in(wait_us);
        int failed = 0;
        while (q->items == 0 && !q->closed && !q->woken && !failed)
            failed = pthread_cond_timedwait(&q->filled, &q->lock, &deadline);
    }
    q->woken = false;
    while (n < max && q->items > 0) {
        ret_items[n++] = q->item[q->head];
        q->bytes -= q->size[q->head];
        q->head = (q->head + 1) % q->items_max;
        q->items--;
    }
    pthread_mutex_unlock(&q->lock);
    return n;
}

void queue_wake(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->woken = true;
    pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->lock);
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_mutex_unlock(&q->lock);
}

void queue_level(struct queue *q, size_t *ret_items, size_t *ret_bytes)
{
    pthread_mutex_lock(&q->lock);
    if (ret_items)
        *ret_items = q->items;
    if (ret_bytes)
        *ret_bytes = q->bytes;
    pthread_mutex_unlock(&q->lock);
}
