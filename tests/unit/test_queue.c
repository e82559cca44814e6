/* The bounded queue, alone and between threads. */
#include "base/clock.h"
#include "base/queue.h"
#include "tests/unit/test.h"

#include <sched.h>

static int a, b, c;

TEST("items come out in their order, as many as are asked for")
{
    struct queue q;
    void *out[4];
    size_t items, bytes;
    REQUIRE(queue_init(&q, 3, 1000) == 0);
    for (int round = 0; round < 5; round++) {
        CHECK_INT(queue_put(&q, &a, 1), QUEUE_PUT);
        CHECK_INT(queue_put(&q, &b, 2), QUEUE_PUT);
        CHECK_INT(queue_put(&q, &c, 3), QUEUE_PUT);
        queue_level(&q, &items, &bytes);
        CHECK_INT(items, 3);
        CHECK_INT(bytes, 6);
        CHECK_INT(queue_take(&q, out, 2, 0), 2);
        CHECK(out[0] == &a && out[1] == &b);
        CHECK_INT(queue_take(&q, out, 4, 0), 1);
        CHECK(out[0] == &c);
    }
    CHECK_INT(queue_take(&q, out, 4, 0), 0);
    queue_fini(&q);
    queue_fini(&q);
    queue_fini(NULL);
}

TEST("it is full by items and by bytes, but never for the first item")
{
    struct queue q;
    void *out[4];
    REQUIRE(queue_init(&q, 2, 10) == 0);
    CHECK_INT(queue_put(&q, &a, 6), QUEUE_PUT);
    CHECK_INT(queue_put(&q, &b, 5), QUEUE_FULL);
    CHECK_INT(queue_put(&q, &b, 4), QUEUE_PUT);
    CHECK_INT(queue_put(&q, &c, 0), QUEUE_FULL);
    CHECK_INT(queue_take(&q, out, 4, 0), 2);
    CHECK_INT(queue_put(&q, &a, SIZE_MAX), QUEUE_PUT);
    CHECK_INT(queue_put(&q, &b, 1), QUEUE_FULL);
    CHECK_INT(queue_take(&q, out, 4, 0), 1);
    CHECK_INT(queue_put(&q, &b, 10), QUEUE_PUT);
    CHECK_INT(queue_take(&q, out, 4, 0), 1);
    queue_fini(&q);
}

TEST("a closed queue takes nothing more and gives what it has")
{
    struct queue q;
    void *out[4];
    REQUIRE(queue_init(&q, 2, 10) == 0);
    CHECK_INT(queue_put(&q, &a, 1), QUEUE_PUT);
    queue_close(&q);
    CHECK_INT(queue_put(&q, &b, 1), QUEUE_CLOSED);
    CHECK_INT(queue_take(&q, out, 4, 60 * US_PER_SECOND), 1);
    CHECK_INT(queue_take(&q, out, 4, 60 * US_PER_SECOND), 0);
    queue_fini(&q);
}

TEST("an empty queue is waited for no longer than asked")
{
    struct queue q;
    void *out[1];
    REQUIRE(queue_init(&q, 2, 10) == 0);
    int64_t start = monotonic_us();
    CHECK_INT(queue_take(&q, out, 1, 20000), 0);
    int64_t took = monotonic_us() - start;
    CHECK(took >= 20000 && took < 5 * US_PER_SECOND);
    queue_wake(&q); /* remembered, so that none is lost between two waits */
    CHECK_INT(queue_take(&q, out, 1, 60 * US_PER_SECOND), 0);
    queue_fini(&q);
}

#define NUMBERS 20000

static void *numbers_put(void *queue)
{
    for (uintptr_t i = 1; i <= NUMBERS;)
        if (queue_put(queue, (void *)i, 8) == QUEUE_PUT)
            i++;
        else
            sched_yield();
    queue_close(queue);
    return NULL;
}

TEST("between two threads nothing is lost, doubled or turned round")
{
    struct queue q;
    pthread_t thread;
    void *out[64];
    uintptr_t next = 1;
    REQUIRE(queue_init(&q, 100, 1000) == 0);
    REQUIRE(pthread_create(&thread, NULL, numbers_put, &q) == 0);
    for (size_t n; (n = queue_take(&q, out, 64, 60 * US_PER_SECOND)) > 0;)
        for (size_t i = 0; i < n; i++)
            if ((uintptr_t)out[i] == next)
                next++;
    pthread_join(thread, NULL);
    CHECK_INT(next, NUMBERS + 1);
    queue_fini(&q);
}

static void *queue_wait(void *queue)
{
    void *out[1];
    return (void *)queue_take(queue, out, 1, 600 * US_PER_SECOND);
}

TEST("a waiting reader is woken by a wake, an item and a close")
{
    struct queue q;
    pthread_t thread;
    void *got;
    REQUIRE(queue_init(&q, 2, 10) == 0);
    REQUIRE(pthread_create(&thread, NULL, queue_wait, &q) == 0);
    queue_wake(&q);
    pthread_join(thread, &got);
    CHECK(got == NULL);
    REQUIRE(pthread_create(&thread, NULL, queue_wait, &q) == 0);
    CHECK_INT(queue_put(&q, &a, 1), QUEUE_PUT);
    pthread_join(thread, &got);
    CHECK((uintptr_t)got == 1);
    REQUIRE(pthread_create(&thread, NULL, queue_wait, &q) == 0);
    queue_close(&q);
    pthread_join(thread, &got);
    CHECK(got == NULL);
    queue_fini(&q);
}
