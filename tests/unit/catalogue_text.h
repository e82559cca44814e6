/* For tests: a catalogue from its text, decimals from and to text, events in one line. Include after test.h. */
#ifndef DEBITD_TESTS_UNIT_CATALOGUE_TEXT_H
#define DEBITD_TESTS_UNIT_CATALOGUE_TEXT_H

#include "base/clock.h"
#include "catalogue/file.h"
#include "model/event.h"

#include <stdarg.h>
#include <unistd.h>

/* Units and metrics that most tests share; lines 1-3 of a text that begins with it. */
#define TEXT_HEAD                                                         \
    "units = ( { code = \"USD\"; }, { code = \"EUR\"; },"                 \
    " { code = \"CREDIT\"; valued_in = \"USD\"; value = \"0.01\"; } );\n" \
    "metrics = ( { name = \"tokens\"; }, { name = \"calls\"; } );\n"      \
    "defaults = { effective_from = \"2025-01-01\"; };\n"

#define NOON "2026-06-15T12:00:00Z"

static inline int read_text(const char *text, struct catalogue **ret, struct error *ret_error)
{
    char path[] = "/tmp/debitd-test-catalogue-XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    int result = catalogue_read_file(path, ret, ret_error);
    unlink(path);
    return result;
}

/* A catalogue that must be good. */
static inline struct catalogue *catalogue_of(const char *text)
{
    struct catalogue *c = NULL;
    struct error error = { 0, "" };
    if (read_text(text, &c, &error) != 0) {
        fprintf(stderr, "the test's own catalogue is bad:\n%s\n", error.text);
        exit(1);
    }
    return c;
}

static inline struct catalogue *shipped(void)
{
    struct catalogue *c = NULL;
    struct error error = { 0, "" };
    if (catalogue_read_file("etc/catalog.conf", &c, &error) != 0) {
        fprintf(stderr, "etc/catalog.conf is bad:\n%s\n", error.text);
        exit(1);
    }
    return c;
}

static inline int64_t at_time(const char *text)
{
    int64_t us = 0;
    if (!time_parse(slice_of(text), &us)) {
        fprintf(stderr, "no time: %s\n", text);
        exit(1);
    }
    return us;
}

static inline __int128 scaled(const char *text, int places)
{
    __int128 value = 0;
    bool negative = text[0] == '-';
    if (decimal_parse(slice_of(text + negative), places, AMOUNT_LIMIT * 1000, &value) !=
        DECIMAL_OK) {
        fprintf(stderr, "no decimal: %s\n", text);
        exit(1);
    }
    return negative ? -value : value;
}
static inline amount_t amount_of(const char *text)
{
    return scaled(text, AMOUNT_PLACES);
}
static inline quantity_t quantity_of(const char *text)
{
    return scaled(text, QUANTITY_PLACES);
}

/* Four results may be in use at a time. */
static inline const char *text_of(__int128 value, int places)
{
    static char text[4][DECIMAL_TEXT_MAX];
    static int next;
    next = (next + 1) % 4;
    decimal_format(value, places, text[next]);
    return text[next];
}
#define CHECK_AMOUNT(got, want)   CHECK_STR(text_of((got), AMOUNT_PLACES), (want))
#define CHECK_QUANTITY(got, want) CHECK_STR(text_of((got), QUANTITY_PLACES), (want))

struct test_event {
    struct usage_event event;
    struct component component[COMPONENTS_MAX];
};

/* service, model: NULL for absent. components: "input=500 output=500", or "5" for a plain quantity. */
static inline void make_event(struct test_event *e, const char *metric, const char *service,
                              const char *model, const char *components, const char *time)
{
    static char text[8][256];
    static int next;
    char *copy = text[next = (next + 1) % 8], *save = NULL;
    snprintf(copy, sizeof(text[0]), "%s", components);
    *e = (struct test_event){ .event = { .kind = USAGE_RECORDED,
                                         .metric = slice_of(metric),
                                         .service = slice_of(service),
                                         .model = slice_of(model),
                                         .time_us = at_time(time) } };
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        struct component *c = &e->component[e->event.components++];
        char *equal = strchr(word, '=');
        c->name = equal ? (struct slice){ word, (size_t)(equal - word) } : SLICE("");
        c->quantity = quantity_of(equal ? equal + 1 : word);
        e->event.quantity += c->quantity;
    }
    e->event.component = e->component;
}

#endif
