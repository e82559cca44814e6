/* What can be asked of a message. */
#include "model/message.h"

const struct header *message_header(const struct message *m, const char *name)
{
    for (size_t i = 0; i < m->headers; i++)
        if (slice_is(m->header[i].name, name))
            return &m->header[i];
    return NULL;
}

void message_release(struct message *m)
{
    if (m && m->release)
        m->release(m);
}

int64_t message_time_us(int64_t kafka_ms)
{
    if (kafka_ms < 0)
        return -1;
    return kafka_ms <= MESSAGE_TIME_BEYOND / 1000 ? kafka_ms * 1000 : MESSAGE_TIME_BEYOND;
}
