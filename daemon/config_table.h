/* The table of configuration keys, for the files config*.c only. */
#ifndef DEBITD_CONFIG_TABLE_H
#define DEBITD_CONFIG_TABLE_H

#include "config.h"

enum config_type {
    CONFIG_WHOLE,      /* int64_t; min and max bound its value */
    CONFIG_TEXT,       /* char *; min and max bound its bytes; no control characters */
    CONFIG_TOPIC,      /* char *; a name that Kafka takes for a topic */
    CONFIG_CHOICE,     /* int64_t: min + index in `choices` */
    CONFIG_CONNINFO,   /* char *; a connection string of libpq, whose passwords are masked */
    CONFIG_PROPERTIES, /* struct config_properties; min and max bound their number */
};

struct config_key {
    const char *path; /* "section.name" */
    enum config_type type;
    size_t field;         /* offset in struct config */
    const char *fallback; /* the default, in libconfig syntax */
    int64_t min, max;
    const char *choices; /* "park|open" */
    const char *unit;    /* NULL: none */
    bool reloadable;     /* SIGHUP takes a change up */
    const char *help;    /* one or two sentences, for the sample and the docs */
};

extern const struct config_key config_key[];
extern const int config_keys;

static inline void *config_field(struct config *c, const struct config_key *k)
{
    return (char *)c + k->field;
}
static inline const void *config_field_const(const struct config *c, const struct config_key *k)
{
    return (const char *)c + k->field;
}

/* The word of a choice. */
struct slice config_choice(const struct config_key *k, int64_t value);
/* A value in libconfig syntax; secrets masked where asked. */
void config_value_text(const struct config *c, const struct config_key *k, bool mask,
                       struct buffer *out);
/* True for names of librdkafka properties whose value is a secret. */
bool config_property_secret(const char *name);

#endif
