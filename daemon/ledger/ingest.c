/* A batch from its first message to COMMIT: what its runs share. */
#include "ledger/batch.h"

#include "base/fault.h"
#include "base/log.h"
#include "catalogue/store.h"
#include "consumers/accounts.h"
#include "consumers/usage.h"

#include <string.h>

void ingest_init(struct ingest *g, enum topic_kind kind, const struct statements *st,
                 const struct ingest_settings *settings)
{
    *g = (struct ingest){ .kind = kind, .st = st, .settings = *settings, .timed_keys = true };
}

void ingest_fini(struct ingest *g)
{
    names_fini(&g->names);
    account_cache_clear(&g->accounts);
    catalogue_unref(g->catalogue);
    catalogue_unref(g->price_file);
    pg_args_fini(&g->args);
    json_fini(&g->doc);
    HASH_CLEAR(hh, g->payers);
    HASH_CLEAR(hh, g->usage);
    HASH_CLEAR(hh, g->originals);
    HASH_CLEAR(hh, g->parked_originals);
    HASH_CLEAR(hh, g->voided);
    arena_fini(&g->event_arena);
    arena_fini(&g->run_arena);
    free(g->item);
    free(g->alert);
    *g = (struct ingest){ 0 };
}

void ingest_session(struct ingest *g, struct pg_session *pg)
{
    g->pg = pg;
    names_fini(&g->names);
    account_cache_clear(&g->accounts);
    catalogue_unref(g->catalogue);
    g->catalogue = NULL;
}

void ingest_clear(struct ingest *g)
{
    g->items = 0;
    g->parts = 0;
    g->from = g->to = 0;
    arena_reset(&g->event_arena);
    names_trim(&g->names);
    account_cache_trim(&g->accounts);
}

/* An id that tells its time leads its key by it, in books that were begun so. */
static void lead_keys(const struct ingest *g, struct item *it)
{
    if (g->kind == TOPIC_ACCOUNTS) {
        hash_lead_by_time(&it->op.key, it->op.id);
        return;
    }
    hash_lead_by_time(&it->e.key, it->e.id);
    if (it->e.kind == USAGE_VOIDED)
        hash_lead_by_time(&it->e.void_key, it->e.void_id);
}

/* The keys that decoding gave. */
static void whole_keys(const struct ingest *g, struct item *it)
{
    if (g->kind == TOPIC_ACCOUNTS) {
        it->op.key = hash_identity(it->op.source, it->op.id);
        return;
    }
    it->e.key = hash_identity(it->e.source, it->e.id);
    if (it->e.kind == USAGE_VOIDED)
        it->e.void_key = hash_identity(it->e.void_source, it->e.void_id);
}

/* The books have told that their keys are of the other kind than was taken for granted. */
static void change_keys(struct ingest *g)
{
    g->timed_keys = !g->timed_keys;
    for (size_t i = 0; i < g->items; i++) {
        struct item *it = &g->item[i];
        if (it->tombstone || it->decode)
            continue;
        whole_keys(g, it);
        if (g->timed_keys)
            lead_keys(g, it);
    }
}

void ingest_add(struct ingest *g, const struct message *m, int64_t parked_id)
{
    if (g->items == g->items_capacity) {
        g->items_capacity = g->items_capacity ? 2 * g->items_capacity : 1024;
        g->item = xrealloc(g->item, g->items_capacity * sizeof *g->item);
    }
    struct item *it = &g->item[g->items++];
    *it = (struct item){ .m = m, .parked_id = parked_id, .tombstone = !m->value.p };
    g->to = g->items;
    if (it->tombstone)
        return;
    int64_t window = g->settings.window_us;
    struct refusal why;
    enum reason r = g->kind == TOPIC_USAGE
                        ? usage_decode(m, window, &g->doc, &g->event_arena, &it->e, &why)
                        : accounts_decode(m, window, &g->doc, &g->event_arena, &it->op, &why);
    if (r != REASON_NONE) {
        ASSERT(r == why.reason);
        it->decode = refusal_keep(&g->event_arena, &why);
        return;
    }
    if (g->timed_keys)
        lead_keys(g, it);
    if (g->kind == TOPIC_USAGE && it->e.kind == USAGE_RECORDED)
        it->component_id =
            arena_alloc(&g->event_arena, it->e.components * sizeof *it->component_id);
}

const struct refusal *refusal_keep(struct arena *arena, const struct refusal *why)
{
    struct refusal *kept = arena_alloc(arena, sizeof *kept);
    *kept = *why;
    return kept;
}

static void look_up_names(struct ingest *g)
{
    for (size_t i = g->from; i < g->to; i++) {
        struct item *it = &g->item[i];
        if (!is_event(it))
            continue;
        it->source_id = names_id(&g->names, it->e.source);
        if (it->e.kind != USAGE_RECORDED)
            continue;
        it->metric_id = names_id(&g->names, it->e.metric);
        it->service_id = names_id(&g->names, it->e.service);
        it->model_id = names_id(&g->names, it->e.model);
        for (uint32_t c = 0; c < it->e.components; c++)
            it->component_id[c] = names_id(&g->names, it->e.component[c].name);
    }
}

/* Whatever the dictionary does not know yet is fetched before BEGIN: a name that was made in a
 * transaction that rolls back must not be remembered. */
static enum pg_outcome fetch_names(struct ingest *g)
{
    look_up_names(g);
    if (g->names.missing_count == 0)
        return PG_DONE;
    enum pg_outcome o = names_fetch(&g->names, g->pg, g->st);
    if (o == PG_DONE)
        look_up_names(g);
    return o;
}

static void begin_run(struct ingest *g)
{
    g->needs = NEED_NOTHING;
    HASH_CLEAR(hh, g->payers);
    HASH_CLEAR(hh, g->usage);
    g->keys = g->void_keys = (struct known_keys){ 0 };
    HASH_CLEAR(hh, g->originals);
    HASH_CLEAR(hh, g->parked_originals);
    HASH_CLEAR(hh, g->voided);
    arena_reset(&g->run_arena);
    g->entry = arena_alloc(&g->run_arena, (g->to - g->from + 1) * sizeof *g->entry);
    g->entries = g->alerts = 0;
    g->unknown_accounts = NULL;
    g->unknown_account_count = 0;
    for (size_t i = g->from; i < g->to; i++) {
        struct item *it = &g->item[i];
        it->refusal = NULL;
        it->waits_for = SLICE_ABSENT;
        it->account = NULL;
        it->payer = NULL;
        it->entry = NULL;
        it->not_ours = false;
        it->takes_key = !it->parked_id;
        it->voids_parked = false;
    }
}

enum pg_outcome ingest_run(struct ingest *g, struct part *part, int parts)
{
    FAULT_POINT("ingest.decoded");
    begin_run(g);
    enum pg_outcome o = g->kind == TOPIC_USAGE ? fetch_names(g) : PG_DONE;
    if (o != PG_DONE)
        return o;
    FAULT_POINT("ingest.begin");
    if (g->kind == TOPIC_ACCOUNTS) {
        o = batch_operations(g, part, parts);
    } else if ((o = batch_read(g, part, parts)) == PG_DONE) {
        FAULT_POINT("ingest.read");
        batch_book(g);
        FAULT_POINT("ingest.rated");
        if (g->needs != NEED_NOTHING)
            o = PG_RETRY;
        else if (g->alerts >= IDS_OF_A_RUN)
            o = PG_POISON; /* too many at once: no single message has so many */
        else
            o = batch_write(g, part, parts);
    }
    if (o == PG_DONE)
        return PG_DONE;
    enum pg_outcome back = o == PG_LOST ? PG_LOST : pg_rollback(g->pg);
    return back == PG_DONE ? o : PG_LOST;
}

static enum pg_outcome open_accounts(struct ingest *g)
{
    pg_args_reset(&g->args);
    int names = pg_arg_array(&g->args, PG_TEXT);
    for (size_t i = 0; i < g->unknown_account_count; i++)
        pg_put_text(&g->args, names, g->unknown_accounts[i]);
    pg_arg_text(&g->args, slice_of(g->settings.default_plan));
    return pg_single(g->pg, &g->st->open_unknown, &g->args, NULL);
}

enum pg_outcome ingest_provide(struct ingest *g)
{
    struct error e = { 0 };
    enum pg_outcome o = PG_DONE;
    if (g->needs & NEED_KEYS)
        change_keys(g);
    if (g->needs & NEED_CATALOGUE) {
        struct catalogue *fresh = NULL;
        o = catalogue_load(g->pg, &fresh, &e);
        if (o == PG_DONE) {
            catalogue_unref(g->catalogue);
            g->catalogue = fresh;
            log_info("catalogue version=%d loaded", catalogue_version(fresh));
            if (g->settings.open_unknown &&
                !catalogue_plan(fresh, slice_of(g->settings.default_plan)))
                log_warning("accounts.default_plan: catalogue version=%d has no plan \"%s\", so "
                            "usage opens no accounts: it is parked until they are opened. Add the "
                            "plan, or name one that there is",
                            catalogue_version(fresh), g->settings.default_plan);
        }
    }
    if (o == PG_DONE && (g->needs & NEED_MONTH))
        o = pg_run(g->pg, "moving the books to the next month", "SELECT debitd.switch_month()", 0,
                   NULL, NULL, &e);
    if (o == PG_DONE && (g->needs & NEED_ACCOUNTS))
        o = open_accounts(g);
    g->needs = NEED_NOTHING;
    return o;
}

struct payer_state *run_payer(struct ingest *g, int64_t payer_id)
{
    struct payer_state *p;
    HASH_FIND(hh, g->payers, &payer_id, sizeof payer_id, p);
    return p;
}

struct usage_state *run_usage(struct ingest *g, int64_t payer_id, int32_t metric_id, int32_t start,
                              bool is_day)
{
    struct usage_key key = {
        .payer_id = payer_id, .metric_id = metric_id, .start = start, .is_day = is_day
    };
    struct usage_state *u;
    HASH_FIND(hh, g->usage, &key, sizeof key, u);
    if (!u) {
        u = arena_zalloc(&g->run_arena, sizeof *u);
        u->key = key;
        HASH_ADD(hh, g->usage, key, sizeof u->key, u);
    }
    return u;
}
