/* librdkafka: what every client has, and the small nouns: lists, headers, messages, errors, configuration. */
#include "tests/sim/rdk.h"

#include "kafka/client.h"

#include <stdlib.h>
#include <string.h>

/* ---- configuration: kafka_conf() is our own and tested elsewhere; what matters here are the callbacks */

rd_kafka_conf_t *rd_kafka_conf_new(void)
{
    return xcalloc(1, sizeof(rd_kafka_conf_t));
}

void rd_kafka_conf_destroy(rd_kafka_conf_t *c)
{
    free(c);
}

rd_kafka_conf_res_t rd_kafka_conf_set(rd_kafka_conf_t *c, const char *name, const char *value,
                                      char *words, size_t n)
{
    (void)c;
    (void)name;
    (void)value;
    (void)words;
    (void)n;
    return RD_KAFKA_CONF_OK;
}

const char **rd_kafka_conf_dump(rd_kafka_conf_t *c, size_t *n)
{
    (void)c;
    *n = 0;
    return NULL;
}

void rd_kafka_conf_dump_free(const char **dump, size_t n)
{
    (void)dump;
    (void)n;
}

void rd_kafka_conf_set_opaque(rd_kafka_conf_t *c, void *opaque)
{
    c->opaque = opaque;
}

void rd_kafka_conf_set_log_cb(rd_kafka_conf_t *c,
                              void (*f)(const rd_kafka_t *, int, const char *, const char *))
{
    (void)c;
    (void)f;
}

void rd_kafka_conf_set_rebalance_cb(rd_kafka_conf_t *c,
                                    void (*f)(rd_kafka_t *, rd_kafka_resp_err_t,
                                              rd_kafka_topic_partition_list_t *, void *))
{
    c->on_rebalance = f;
}

void rd_kafka_conf_set_error_cb(rd_kafka_conf_t *c,
                                void (*f)(rd_kafka_t *, int, const char *, void *))
{
    c->on_error = f;
}

void rd_kafka_conf_set_dr_msg_cb(rd_kafka_conf_t *c,
                                 void (*f)(rd_kafka_t *, const rd_kafka_message_t *, void *))
{
    c->on_delivery = f;
}

void rd_kafka_conf_set_offset_commit_cb(rd_kafka_conf_t *c,
                                        void (*f)(rd_kafka_t *, rd_kafka_resp_err_t,
                                                  rd_kafka_topic_partition_list_t *, void *))
{
    c->on_commit = f;
}

rd_kafka_conf_res_t rd_kafka_conf_set_ssl_cert_verify_cb(rd_kafka_conf_t *c,
                                                         int (*f)(rd_kafka_t *, const char *,
                                                                  int32_t, int *, int, const char *,
                                                                  size_t, char *, size_t, void *))
{
    (void)c;
    (void)f;
    return RD_KAFKA_CONF_OK;
}

rd_kafka_error_t *rd_kafka_sasl_set_credentials(rd_kafka_t *c, const char *user,
                                                const char *password)
{
    (void)c;
    (void)user;
    (void)password;
    return NULL;
}

/* ---- clients */

rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *words, size_t n)
{
    rd_kafka_t *c = xcalloc(1, sizeof(*c));

    (void)words;
    (void)n;
    c->type = type;
    c->conf = *conf;
    free(conf);
    c->owner = fiber_owner();
    c->id = ++broker.client_ids;
    c->polled_us = sim.now_us;
    c->next = broker.clients;
    broker.clients = c;
    return c;
}

static void forget(struct rd_kafka_s *c)
{
    struct rd_kafka_s **at = &broker.clients;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (broker.member[i].client == c)
            broker.member[i].client = NULL;
}

void rd_kafka_destroy(rd_kafka_t *c)
{
    if (c->subscribed && !c->closed)
        rd_kafka_consumer_close(c);
    forget(c);
    free(c);
}

void clients_gone(struct owner *o)
{
    for (struct rd_kafka_s *c = broker.clients, *next; c != NULL; c = next) {
        next = c->next;
        if (c->owner == o)
            forget(c);
    }
}

struct rd_kafka_s *client_of(uint64_t id)
{
    for (struct rd_kafka_s *c = broker.clients; c != NULL; c = c->next)
        if (c->id == id)
            return c;
    return NULL;
}

void client_wake_all(void)
{
    for (struct rd_kafka_s *c = broker.clients; c != NULL; c = c->next)
        sim_wake(c);
}

struct owner *client_owner(const struct rd_kafka_s *c)
{
    return c->owner;
}

int64_t client_polled_us(const struct rd_kafka_s *c)
{
    return c->polled_us;
}

struct member *client_member(struct rd_kafka_s *c)
{
    for (int i = 0; i < MEMBERS_MAX; i++)
        if (broker.member[i].used && broker.member[i].client == c)
            return &broker.member[i];
    return NULL;
}

void *rd_kafka_opaque(const rd_kafka_t *c)
{
    return c->conf.opaque;
}

char *rd_kafka_clusterid(rd_kafka_t *c, int timeout_ms)
{
    (void)c;
    (void)timeout_ms;
    return strdup("cluster");
}

void rd_kafka_mem_free(rd_kafka_t *c, void *p)
{
    (void)c;
    free(p);
}

rd_kafka_resp_err_t rd_kafka_fatal_error(rd_kafka_t *c, char *words, size_t n)
{
    snprintf(words, n, "fenced");
    return c->fatal ? RD_KAFKA_RESP_ERR__FENCED : RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_last_error(void)
{
    return RD_KAFKA_RESP_ERR__FAIL;
}

/* ---- topics */

rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *c, const char *name, rd_kafka_topic_conf_t *conf)
{
    (void)c;
    (void)conf;
    return broker_topic(name);
}

void rd_kafka_topic_destroy(rd_kafka_topic_t *t)
{
    (void)t;
}

const char *rd_kafka_topic_name(const rd_kafka_topic_t *t)
{
    return t->name;
}

/* A request to a broker: it takes time, and sometimes it fails. */
static bool request_fails(void)
{
    sim_pass(sim_between(0, broker.faults.latency_us));
    if (sim_one_in(broker.faults.slow))
        sim_pass(sim_between(0, broker.faults.slow_us));
    return sim_one_in(broker.faults.transient);
}

rd_kafka_resp_err_t rd_kafka_metadata(rd_kafka_t *c, int all, rd_kafka_topic_t *t,
                                      const struct rd_kafka_metadata **ret, int timeout_ms)
{
    struct {
        struct rd_kafka_metadata md; /* first */
        struct rd_kafka_metadata_topic topic;
    } * answer;

    (void)c;
    (void)all;
    (void)timeout_ms;
    if (request_fails())
        return RD_KAFKA_RESP_ERR__TRANSPORT;
    answer = xcalloc(1, sizeof(*answer));
    answer->md.topic_cnt = 1;
    answer->md.topics = &answer->topic;
    answer->topic.topic = (char *)(uintptr_t)t->name;
    answer->topic.partition_cnt = t->partitions;
    *ret = &answer->md;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void rd_kafka_metadata_destroy(const struct rd_kafka_metadata *md)
{
    free((void *)(uintptr_t)md);
}

rd_kafka_resp_err_t rd_kafka_offsets_for_times(rd_kafka_t *c, rd_kafka_topic_partition_list_t *list,
                                               int timeout_ms)
{
    (void)c;
    (void)timeout_ms;
    if (request_fails())
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *e = &list->elems[i];
        e->offset = e->offset == RD_KAFKA_OFFSET_BEGINNING
                        ? 0
                        : broker_topic(e->topic)->log[e->partition]->end;
        e->err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_get_watermark_offsets(rd_kafka_t *c, const char *topic,
                                                   int32_t partition, int64_t *low, int64_t *high)
{
    (void)c;
    *low = 0;
    *high = broker_topic(topic)->log[partition]->end;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- lists of partitions */

rd_kafka_topic_partition_list_t *rd_kafka_topic_partition_list_new(int size)
{
    rd_kafka_topic_partition_list_t *l = xcalloc(1, sizeof(*l));

    l->size = size > 0 ? size : 1;
    l->elems = xcalloc((size_t)l->size, sizeof(*l->elems));
    return l;
}

rd_kafka_topic_partition_t *rd_kafka_topic_partition_list_add(rd_kafka_topic_partition_list_t *l,
                                                              const char *topic, int32_t partition)
{
    if (l->cnt == l->size) {
        l->size *= 2;
        l->elems = xrealloc(l->elems, (size_t)l->size * sizeof(*l->elems));
    }
    rd_kafka_topic_partition_t *e = &l->elems[l->cnt++];
    *e = (rd_kafka_topic_partition_t){ .topic = strdup(topic),
                                       .partition = partition,
                                       .offset = RD_KAFKA_OFFSET_INVALID };
    return e;
}

rd_kafka_topic_partition_t *
rd_kafka_topic_partition_list_find(const rd_kafka_topic_partition_list_t *l, const char *topic,
                                   int32_t partition)
{
    for (int i = 0; i < l->cnt; i++)
        if (l->elems[i].partition == partition && strcmp(l->elems[i].topic, topic) == 0)
            return &l->elems[i];
    return NULL;
}

void rd_kafka_topic_partition_list_destroy(rd_kafka_topic_partition_list_t *l)
{
    for (int i = 0; i < l->cnt; i++) {
        free(l->elems[i].topic);
        free(l->elems[i].metadata);
    }
    free(l->elems);
    free(l);
}

/* ---- headers */

rd_kafka_headers_t *rd_kafka_headers_new(size_t n)
{
    (void)n;
    return xcalloc(1, sizeof(rd_kafka_headers_t));
}

rd_kafka_resp_err_t rd_kafka_header_add(rd_kafka_headers_t *h, const char *name, ssize_t name_size,
                                        const void *value, ssize_t size)
{
    size_t n = name_size < 0 ? strlen(name) : (size_t)name_size;
    size_t v = value == NULL ? 0 : size < 0 ? strlen(value) : (size_t)size;

    ASSERT(h->n < (int)ARRAY_SIZE(h->header));
    int i = h->n++;
    h->header[i].name = xcalloc(1, n + 1);
    memcpy(h->header[i].name, name, n);
    h->header[i].value = xcalloc(1, v + 1);
    if (v > 0)
        memcpy(h->header[i].value, value, v);
    h->header[i].size = v;
    h->header[i].null = value == NULL;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

size_t rd_kafka_header_cnt(const rd_kafka_headers_t *h)
{
    return (size_t)h->n;
}

rd_kafka_resp_err_t rd_kafka_header_get_all(const rd_kafka_headers_t *h, size_t i,
                                            const char **name, const void **value, size_t *size)
{
    if (i >= (size_t)h->n)
        return RD_KAFKA_RESP_ERR__NOENT;
    *name = h->header[i].name;
    *value = h->header[i].null ? NULL : h->header[i].value;
    *size = h->header[i].size;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_header_get_last(const rd_kafka_headers_t *h, const char *name,
                                             const void **value, size_t *size)
{
    const char *found;

    for (size_t i = (size_t)h->n; i > 0; i--)
        if (strcmp(h->header[i - 1].name, name) == 0)
            return rd_kafka_header_get_all(h, i - 1, &found, value, size);
    return RD_KAFKA_RESP_ERR__NOENT;
}

void rd_kafka_headers_destroy(rd_kafka_headers_t *h)
{
    for (int i = 0; i < h->n; i++) {
        free(h->header[i].name);
        free(h->header[i].value);
    }
    free(h);
}

/* ---- messages */

static void *bytes_of(struct slice s)
{
    char *p = s.p ? xcalloc(1, s.n + 1) : NULL;

    if (p != NULL)
        memcpy(p, s.p, s.n);
    return p;
}

rd_kafka_message_t *message_new(struct log *l, const struct record *r, int64_t offset,
                                rd_kafka_resp_err_t err)
{
    struct sim_message *m = xcalloc(1, sizeof(*m));

    m->m = (rd_kafka_message_t){
        .err = err, .rkt = l ? l->topic : NULL, .partition = l ? l->number : -1, .offset = offset
    };
    m->time_ms = -1;
    if (r == NULL)
        return &m->m;
    m->time_ms = r->time_ms;
    m->m.key = bytes_of(r->key);
    m->m.key_len = r->key.n;
    m->m.payload = bytes_of(r->value);
    m->m.len = r->value.n;
    if (r->headers > 0)
        m->headers = rd_kafka_headers_new(1);
    for (int i = 0; i < r->headers; i++)
        rd_kafka_header_add(m->headers, r->header[i].name, -1, r->header[i].value.p,
                            (ssize_t)r->header[i].value.n);
    return &m->m;
}

void rd_kafka_message_destroy(rd_kafka_message_t *rkm)
{
    struct sim_message *m = (struct sim_message *)rkm;

    free(m->m.key);
    free(m->m.payload);
    if (m->headers != NULL)
        rd_kafka_headers_destroy(m->headers);
    free(m);
}

rd_kafka_resp_err_t rd_kafka_message_headers(const rd_kafka_message_t *rkm,
                                             rd_kafka_headers_t **ret)
{
    struct sim_message *m = (struct sim_message *)(uintptr_t)rkm;

    if (m->headers == NULL)
        return RD_KAFKA_RESP_ERR__NOENT;
    *ret = m->headers;
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int64_t rd_kafka_message_timestamp(const rd_kafka_message_t *rkm, rd_kafka_timestamp_type_t *type)
{
    *type = RD_KAFKA_TIMESTAMP_CREATE_TIME;
    return ((const struct sim_message *)rkm)->time_ms;
}

const char *rd_kafka_message_errstr(const rd_kafka_message_t *m)
{
    return rd_kafka_err2str(m->err);
}

/* ---- errors */

const char *rd_kafka_error_string(const rd_kafka_error_t *e)
{
    return rd_kafka_err2str(e->code);
}

int rd_kafka_error_is_retriable(const rd_kafka_error_t *e)
{
    return e->retriable;
}

rd_kafka_resp_err_t rd_kafka_error_code(const rd_kafka_error_t *e)
{
    return e ? e->code : RD_KAFKA_RESP_ERR_NO_ERROR;
}

void rd_kafka_error_destroy(rd_kafka_error_t *e)
{
    free(e);
}
