/* The configuration file: no input crashes it; a refusal has a finding a line; what is accepted keeps its bounds
 * and is, as --dump-config writes it, accepted again as the same. */
#include "base/json_scan.h"
#include "config.h"
#include "config_table.h"
#include "tests/fuzz/input.h"

static void bounds_check(struct config *c)
{
    for (int i = 0; i < config_keys; i++) {
        const struct config_key *k = &config_key[i];
        const void *field = config_field(c, k);
        switch (k->type) {
        case CONFIG_WHOLE:
            CLAIM(*(const int64_t *)field >= k->min && *(const int64_t *)field <= k->max);
            break;
        case CONFIG_CHOICE:
            CLAIM(config_choice(k, *(const int64_t *)field).p != NULL);
            break;
        case CONFIG_TEXT:
        case CONFIG_TOPIC:
        case CONFIG_CONNINFO: {
            struct slice text = slice_of(*(char *const *)field);
            CLAIM((int64_t)text.n >= k->min && (int64_t)text.n <= k->max && utf8_valid(text));
            break;
        }
        case CONFIG_PROPERTIES:
            CLAIM(((const struct config_properties *)field)->count <= k->max);
            break;
        }
    }
}

/* But for what is shown masked. */
static void same_check(struct config *a, struct config *b)
{
    for (int i = 0; i < config_keys; i++) {
        const struct config_key *k = &config_key[i];
        const void *x = config_field(a, k), *y = config_field(b, k);
        if (k->type == CONFIG_WHOLE || k->type == CONFIG_CHOICE)
            CLAIM(*(const int64_t *)x == *(const int64_t *)y);
        else if (k->type == CONFIG_TEXT || k->type == CONFIG_TOPIC)
            CLAIM(strcmp(*(char *const *)x, *(char *const *)y) == 0);
        else if (k->type == CONFIG_PROPERTIES)
            CLAIM(((const struct config_properties *)x)->count ==
                  ((const struct config_properties *)y)->count);
    }
}

/* Reads what is written of `c`; the text that is written of that. */
static void rewrite(struct config *c, struct buffer *ret)
{
    struct buffer text = BUFFER_NULL, findings = BUFFER_NULL;
    struct config again = CONFIG_NULL;

    config_dump(c, &text);
    CLAIM(config_check(input_file(text.p, text.n), &again, &findings) == 0);
    same_check(c, &again);
    config_dump(&again, ret);
    config_fini(&again);
    buffer_fini(&text);
    buffer_fini(&findings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer findings = BUFFER_NULL, once = BUFFER_NULL;
    struct config c = CONFIG_NULL;
    size_t lines = 0;

    if (input_includes(data, size))
        return 0;
    int found = config_check(input_file(data, size), &c, &findings);
    for (size_t i = 0; i < findings.n; i++)
        lines += findings.p[i] == '\n';
    CLAIM(found >= 0 && lines >= (size_t)found && !found == !findings.n);
    if (found == 0) {
        bounds_check(&c);
        rewrite(&c, &once);
    }
    config_fini(&c);
    buffer_fini(&findings);
    buffer_fini(&once);
    return 0;
}
