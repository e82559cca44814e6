/* A catalogue in memory: one version of prices, plans, rates, immutable after catalogue_finish().
 *
 * A price lookup asks up to eight keys (contract 2.7). So that this costs a few hash probes and no comparison of text, every name of the catalogue has a small
 * number; an event's names are turned into numbers once, then the eight keys are five integers each. A name the catalogue does not know can
 * match nothing but '*', so keys with it are not asked at all.
 *
 * Concurrency: read by any thread; the reference count is atomic. */
#include "model/catalogue_build.h"

#include "base/macros.h"

#define ID_ANY     0u               /* '*' in a key; also: no plan, a cost price */
#define ID_UNKNOWN UINT32_MAX       /* the catalogue does not have that name */
#define ID_PRESENT (UINT32_MAX - 1) /* in a key: "some price of this plan on this metric" */

struct name {
    struct slice text;
    uint64_t hash;
    const struct plan *plan;
    const struct unit *unit;
    const struct metric *metric;
};

struct key {
    uint32_t plan, service, model, metric, component;
};

struct run { /* prices of one key and currency, ascending by from_us: price[first .. first + n) */
    uint32_t first, n;
};

struct
    group { /* the runs of one key; n == 0: an empty slot of the table, unless key.service is ID_PRESENT */
    struct key key;
    uint32_t first, n;
    bool used;
};

struct fx_entry {
    uint32_t from, to;
    const struct fx_rate *rate;
};

struct catalogue_index {
    struct name *name; /* name[0] is unused: 0 stands for '*' */
    uint32_t names;
    uint32_t *name_slot;
    uint32_t name_mask;
    const struct price **price; /* sorted */
    struct run *run;
    struct group *group;
    uint32_t group_mask;
    struct fx_entry *fx; /* sorted by from, to, from_us */
    size_t fxs;
    const struct plan **version; /* all plans with an id, ascending */
    size_t versions;
};

/* Eight bytes at a step. What fills the table are the operator's own names, so nobody can crowd it: no secret is needed. */
static uint64_t name_hash(struct slice text)
{
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h = text.n * factor, word;
    size_t at = 0;
    for (; at + sizeof(word) <= text.n; at += sizeof(word)) {
        memcpy(&word, text.p + at, sizeof(word));
        h = (h ^ word) * factor;
        h ^= h >> 32;
    }
    word = 0;
    for (size_t shift = 0; at < text.n; at++, shift += 8)
        word |= (uint64_t)(unsigned char)text.p[at] << shift;
    h = (h ^ word) * factor;
    return h ^ h >> 32;
}

static uint32_t name_id(const struct catalogue_index *x, struct slice text)
{
    if (text.p == NULL)
        return ID_UNKNOWN;
    uint64_t h = name_hash(text);
    for (uint32_t at = (uint32_t)h & x->name_mask;; at = (at + 1) & x->name_mask) {
        uint32_t id = x->name_slot[at];
        if (id == 0)
            return ID_UNKNOWN;
        if (x->name[id].hash == h && slice_equal(x->name[id].text, text))
            return id;
    }
}

static uint32_t name_make(struct catalogue_index *x, struct slice text)
{
    uint64_t h = name_hash(text);
    uint32_t at = (uint32_t)h & x->name_mask;
    for (; x->name_slot[at] != 0; at = (at + 1) & x->name_mask) {
        uint32_t id = x->name_slot[at];
        if (x->name[id].hash == h && slice_equal(x->name[id].text, text))
            return id;
    }
    x->name[x->names] = (struct name){ .text = text, .hash = h };
    x->name_slot[at] = x->names;
    return x->names++;
}

static uint32_t name_of_key(struct catalogue_index *x, struct slice text)
{
    return text.p ? name_make(x, text) : ID_ANY;
}

static uint32_t key_hash(struct key k)
{
    uint64_t h = ((uint64_t)k.plan << 32 | k.service) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (h >> 29) ^ ((uint64_t)k.model << 32 | k.metric)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 32) ^ k.component) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(h >> 32);
}

static bool key_equal(struct key a, struct key b)
{
    return a.plan == b.plan && a.service == b.service && a.model == b.model &&
           a.metric == b.metric && a.component == b.component;
}

/* The slot of the key, or the empty one where it belongs. */
static struct group *group_slot(const struct catalogue_index *x, struct key k)
{
    uint32_t at = key_hash(k) & x->group_mask;
    while (x->group[at].used && !key_equal(x->group[at].key, k))
        at = (at + 1) & x->group_mask;
    return &x->group[at];
}

/* ---- building */

static int compare_text(struct slice a, struct slice b)
{
    if (a.p == NULL || b.p == NULL)
        return (a.p != NULL) - (b.p != NULL);
    return slice_compare(a, b);
}

static int compare_series(const struct price *a, const struct price *b)
{
    const struct slice left[] = { a->plan,  a->metric,    a->service,
                                  a->model, a->component, a->currency };
    const struct slice right[] = { b->plan,  b->metric,    b->service,
                                   b->model, b->component, b->currency };
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        int r = compare_text(left[i], right[i]);
        if (r)
            return r;
    }
    return 0;
}

int price_compare(const struct price *a, const struct price *b)
{
    int r = compare_series(a, b);
    return r ? r : (a->from_us > b->from_us) - (a->from_us < b->from_us);
}

bool price_same_series(const struct price *a, const struct price *b)
{
    return compare_series(a, b) == 0;
}

int fx_rate_compare(const struct fx_rate *a, const struct fx_rate *b)
{
    int r = slice_compare(a->from, b->from);
    r = r ? r : slice_compare(a->to, b->to);
    return r ? r : (a->from_us > b->from_us) - (a->from_us < b->from_us);
}

bool fx_rate_same_series(const struct fx_rate *a, const struct fx_rate *b)
{
    return slice_equal(a->from, b->from) && slice_equal(a->to, b->to);
}

struct catalogue *catalogue_new(void)
{
    struct catalogue *c = xcalloc(1, sizeof(*c));
    atomic_init(&c->references, 1);
    return c;
}

struct unit *catalogue_add_unit(struct catalogue *c)
{
    struct unit *u = arena_zalloc(&c->arena, sizeof(*u));
    VECTOR_ADD(c->units, u);
    return u;
}

struct metric *catalogue_add_metric(struct catalogue *c)
{
    struct metric *m = arena_zalloc(&c->arena, sizeof(*m));
    VECTOR_ADD(c->metrics, m);
    return m;
}

struct price *catalogue_add_price(struct catalogue *c)
{
    struct price *p = arena_zalloc(&c->arena, sizeof(*p));
    p->until_us = TIME_FOREVER;
    VECTOR_ADD(c->prices, p);
    return p;
}

struct fx_rate *catalogue_add_rate(struct catalogue *c)
{
    struct fx_rate *r = arena_zalloc(&c->arena, sizeof(*r));
    r->until_us = TIME_FOREVER;
    VECTOR_ADD(c->rates, r);
    return r;
}

struct plan *catalogue_add_plan(struct catalogue *c, bool in_force)
{
    struct plan *p = arena_zalloc(&c->arena, sizeof(*p));
    p->trust_cost = p->enforce = true;
    if (in_force)
        VECTOR_ADD(c->plans, p);
    else
        VECTOR_ADD(c->old_plans, p);
    return p;
}

struct package *catalogue_add_package(struct catalogue *c)
{
    struct package *p = arena_zalloc(&c->arena, sizeof(*p));
    VECTOR_ADD(c->packages, p);
    return p;
}

/* A power of two that leaves a table of n at most half full. */
static uint32_t table_size(size_t n)
{
    uint32_t size = 16;
    while (size < 2 * n)
        size *= 2;
    return size;
}

static void index_names(struct catalogue_index *x, const struct catalogue *c)
{
    size_t most = 1 + c->units.n + c->metrics.n + c->plans.n + 5 * c->prices.n + 2 * c->rates.n;
    uint32_t size = table_size(most);
    x->name = xcalloc(most, sizeof(*x->name));
    x->name_slot = xcalloc(size, sizeof(*x->name_slot));
    x->name_mask = size - 1;
    x->names = 1;
    for (size_t i = 0; i < c->units.n; i++)
        x->name[name_make(x, c->units.at[i]->code)].unit = c->units.at[i];
    for (size_t i = 0; i < c->metrics.n; i++)
        x->name[name_make(x, c->metrics.at[i]->name)].metric = c->metrics.at[i];
    for (size_t i = 0; i < c->plans.n; i++)
        x->name[name_make(x, c->plans.at[i]->name)].plan = c->plans.at[i];
}

static int order_prices(const void *a, const void *b)
{
    return price_compare(*(const struct price *const *)a, *(const struct price *const *)b);
}

static void index_prices(struct catalogue_index *x, const struct catalogue *c)
{
    size_t n = c->prices.n;
    x->price = xcalloc(n, sizeof(*x->price));
    for (size_t i = 0; i < n; i++)
        x->price[i] = c->prices.at[i];
    qsort(x->price, n, sizeof(*x->price), order_prices);

    /* each price makes at most one key of its own and one "present" mark */
    uint32_t size = table_size(2 * n), runs = 0;
    x->group = xcalloc(size, sizeof(*x->group));
    x->group_mask = size - 1;
    x->run = xcalloc(n, sizeof(*x->run));
    for (size_t i = 0; i < n; i++) {
        const struct price *p = x->price[i];
        if (i > 0 && price_same_series(x->price[i - 1], p)) {
            x->run[runs - 1].n++;
            continue;
        }
        struct key k = { name_of_key(x, p->plan), name_of_key(x, p->service),
                         name_of_key(x, p->model), name_make(x, p->metric),
                         name_of_key(x, p->component) };
        struct group *g = group_slot(x, k);
        if (!g->used)
            *g = (struct group){ .key = k, .first = runs, .used = true };
        g->n++;
        x->run[runs++] = (struct run){ (uint32_t)i, 1 };
        struct key mark = { k.plan, ID_PRESENT, ID_PRESENT, k.metric, ID_PRESENT };
        g = group_slot(x, mark);
        if (!g->used)
            *g = (struct group){ .key = mark, .used = true };
    }
}

static int order_fx(const void *a, const void *b)
{
    const struct fx_entry *l = a, *r = b;
    if (l->from != r->from)
        return l->from < r->from ? -1 : 1;
    if (l->to != r->to)
        return l->to < r->to ? -1 : 1;
    return (l->rate->from_us > r->rate->from_us) - (l->rate->from_us < r->rate->from_us);
}

static int order_versions(const void *a, const void *b)
{
    const struct plan *l = *(const struct plan *const *)a, *r = *(const struct plan *const *)b;
    return (l->plan_id > r->plan_id) - (l->plan_id < r->plan_id);
}

static void index_versions(struct catalogue_index *x, const struct catalogue *c)
{
    x->version = xcalloc(c->plans.n + c->old_plans.n, sizeof(*x->version));
    for (size_t i = 0; i < c->plans.n + c->old_plans.n; i++) {
        const struct plan *p = i < c->plans.n ? c->plans.at[i] : c->old_plans.at[i - c->plans.n];
        if (p->plan_id != 0)
            x->version[x->versions++] = p;
    }
    qsort(x->version, x->versions, sizeof(*x->version), order_versions);
}

void catalogue_finish(struct catalogue *c, int32_t version)
{
    ASSERT(c->index == NULL);
    struct catalogue_index *x = xcalloc(1, sizeof(*x));
    c->version = version;
    c->index = x;
    index_names(x, c);
    index_prices(x, c);
    x->fx = xcalloc(c->rates.n, sizeof(*x->fx));
    x->fxs = c->rates.n;
    for (size_t i = 0; i < c->rates.n; i++) {
        const struct fx_rate *r = c->rates.at[i];
        x->fx[i] = (struct fx_entry){ name_make(x, r->from), name_make(x, r->to), r };
    }
    qsort(x->fx, x->fxs, sizeof(*x->fx), order_fx);
    index_versions(x, c);
}

struct catalogue *catalogue_ref(struct catalogue *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void catalogue_unref(struct catalogue *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
        return;
    if (c->index) {
        free(c->index->name);
        free(c->index->name_slot);
        free(c->index->price);
        free(c->index->run);
        free(c->index->group);
        free(c->index->fx);
        free(c->index->version);
        free(c->index);
    }
    free(c->units.at);
    free(c->metrics.at);
    free(c->prices.at);
    free(c->rates.at);
    free(c->plans.at);
    free(c->old_plans.at);
    free(c->packages.at);
    arena_fini(&c->arena);
    free(c);
}

void catalogue_unrefp(struct catalogue **c)
{
    catalogue_unref(*c);
    *c = NULL;
}

/* ---- answers */

int32_t catalogue_version(const struct catalogue *c)
{
    return c->version;
}

const struct plan *catalogue_plan(const struct catalogue *c, struct slice name)
{
    uint32_t id = name_id(c->index, name);
    return id == ID_UNKNOWN ? NULL : c->index->name[id].plan;
}

const struct unit *catalogue_unit(const struct catalogue *c, struct slice code)
{
    uint32_t id = name_id(c->index, code);
    return id == ID_UNKNOWN ? NULL : c->index->name[id].unit;
}

bool catalogue_has_metric(const struct catalogue *c, struct slice name)
{
    uint32_t id = name_id(c->index, name);
    return id != ID_UNKNOWN && c->index->name[id].metric != NULL;
}

const struct plan *catalogue_plan_version(const struct catalogue *c, int32_t plan_id)
{
    size_t lo = 0, hi = c->index->versions;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c->index->version[mid]->plan_id < plan_id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < c->index->versions && c->index->version[lo]->plan_id == plan_id
               ? c->index->version[lo]
               : NULL;
}

const struct quota *plan_quota(const struct plan *p, struct slice metric)
{
    for (int i = 0; i < p->quotas; i++)
        if (slice_equal(p->quota[i].metric, metric))
            return &p->quota[i];
    return NULL;
}

/* The price of a run in force at that time: the last that has begun, unless it is over. */
static const struct price *run_at(const struct catalogue_index *x, struct run run, int64_t time_us)
{
    uint32_t lo = run.first, hi = run.first + run.n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (x->price[mid]->from_us <= time_us)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == run.first || x->price[lo - 1]->until_us <= time_us)
        return NULL;
    return x->price[lo - 1];
}

static int group_at(const struct catalogue_index *x, struct key k, int64_t time_us,
                    const struct price *ret[PRICE_CURRENCIES_MAX])
{
    const struct group *g = group_slot(x, k);
    int n = 0;
    for (uint32_t i = 0; i < g->n && n < PRICE_CURRENCIES_MAX; i++) {
        const struct price *p = run_at(x, x->run[g->first + i], time_us);
        if (p)
            ret[n++] = p;
    }
    return n;
}

int catalogue_prices(const struct catalogue *c, struct slice plan, struct slice service,
                     struct slice model, struct slice metric, struct slice component,
                     int64_t time_us, const struct price *ret[PRICE_CURRENCIES_MAX])
{
    const struct catalogue_index *x = c->index;
    struct key k = { .plan = plan.p ? name_id(x, plan) : ID_ANY, .metric = name_id(x, metric) };
    if (k.plan == ID_UNKNOWN || k.metric == ID_UNKNOWN)
        return 0;
    const uint32_t services[2] = { name_id(x, service), ID_ANY };
    const uint32_t models[2] = { name_id(x, model), ID_ANY };
    const uint32_t components[2] = { name_id(x, component), ID_ANY };
    for (int s = 0; s < 2; s++)
        for (int m = 0; m < 2; m++)
            for (int i = 0; i < 2; i++) {
                k.service = services[s];
                k.model = models[m];
                k.component = components[i];
                if (k.service == ID_UNKNOWN || k.model == ID_UNKNOWN || k.component == ID_UNKNOWN)
                    continue;
                int n = group_at(x, k, time_us, ret);
                if (n > 0)
                    return n;
            }
    return 0;
}

const struct price *catalogue_price(const struct catalogue *c, struct slice plan,
                                    struct slice service, struct slice model, struct slice metric,
                                    struct slice component, int64_t time_us)
{
    const struct price *found[PRICE_CURRENCIES_MAX];
    return catalogue_prices(c, plan, service, model, metric, component, time_us, found) > 0
               ? found[0]
               : NULL;
}

bool catalogue_plan_prices_metric(const struct catalogue *c, struct slice plan, struct slice metric)
{
    const struct catalogue_index *x = c->index;
    struct key mark = { name_id(x, plan), ID_PRESENT, ID_PRESENT, name_id(x, metric), ID_PRESENT };
    return mark.plan != ID_UNKNOWN && mark.metric != ID_UNKNOWN && group_slot(x, mark)->used;
}

bool catalogue_fx(const struct catalogue *c, struct slice from, struct slice to, int64_t time_us,
                  amount_t *ret_rate)
{
    if (slice_equal(from, to)) {
        *ret_rate = AMOUNT_ONE;
        return true;
    }
    const struct catalogue_index *x = c->index;
    struct fx_rate sought = { .from_us = time_us };
    struct fx_entry probe = { name_id(x, from), name_id(x, to), &sought };
    if (probe.from == ID_UNKNOWN || probe.to == ID_UNKNOWN)
        return false;
    size_t lo = 0, hi = x->fxs; /* the first entry behind the probe */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (order_fx(&x->fx[mid], &probe) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return false;
    const struct fx_entry *e = &x->fx[lo - 1];
    if (e->from != probe.from || e->to != probe.to || e->rate->until_us <= time_us)
        return false;
    *ret_rate = e->rate->rate;
    return true;
}
