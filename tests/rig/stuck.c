/* Preloaded into a daemon, librdkafka does not let go of a client that has seen its cluster, where the main thread asks it to: that is the
 * end of a daemon, and what may become of one that was fenced. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <unistd.h>

void rd_kafka_destroy(rd_kafka_t *rk)
{
    void (*real)(rd_kafka_t *);

    while (gettid() == getpid() && rd_kafka_clusterid(rk, 0) != NULL)
        pause();
    /* POSIX's way to read a function out of a pointer to an object */
    *(void **)&real = dlsym(RTLD_NEXT, "rd_kafka_destroy");
    if (real == NULL)
        abort();
    real(rk);
}
