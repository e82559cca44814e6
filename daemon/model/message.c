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
