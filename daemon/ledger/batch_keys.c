/* Identities in a run: those that the database knows, those that the run takes, and their COPY.
 *
 * Their table has one place for each of them from the beginning and never grows; every event looks into it, and nearly all find nothing. */
#include "ledger/batch.h"

#include "base/sort.h"

#include <endian.h>
#include <string.h>

void known_keys_init(struct known_keys *keys, struct arena *arena, size_t most)
{
    size_t slots = 64;
    while (slots < 2 * most)
        slots *= 2;
    keys->slot = arena_zalloc(arena, slots * sizeof(*keys->slot));
    keys->mask = slots - 1;
    keys->room = most;
}

/* Where the key is, or where it belongs. */
static struct known_key **place_of(const struct known_keys *keys, const struct hash128 *key)
{
    size_t at = hash_secret(key, sizeof *key) & keys->mask;
    while (keys->slot[at] && memcmp(&keys->slot[at]->key, key, sizeof *key) != 0)
        at = (at + 1) & keys->mask;
    return &keys->slot[at];
}

struct known_key *known_keys_find(const struct known_keys *keys, const struct hash128 *key)
{
    return keys->slot ? *place_of(keys, key) : NULL;
}

void known_keys_add(struct known_keys *keys, struct known_key *k)
{
    ASSERT(keys->room > 0);
    keys->room--;
    *place_of(keys, &k->key) = k;
}

struct key_row {
    struct hash128 key, digest;
    int64_t entry_id;
};

static uint64_t first_half(const struct hash128 *key)
{
    uint64_t half;
    memcpy(&half, key->byte, sizeof half);
    return be64toh(half);
}

/* Those that begin with the same 64 bits stand together after the sort by them. */
static void sort_by_key(struct sort_row *order, struct sort_row *spare, const struct key_row *row,
                        size_t n)
{
    sort_rows(order, spare, n);
    for (size_t i = 1; i < n; i++)
        for (size_t k = i;
             k > 0 && order[k].key == order[k - 1].key &&
             memcmp(&row[order[k].at].key, &row[order[k - 1].at].key, sizeof row->key) < 0;
             k--) {
            struct sort_row swapped = order[k];
            order[k] = order[k - 1];
            order[k - 1] = swapped;
        }
}

/* The identities that this run takes, and their order. */
static size_t collect_keys(struct ingest *g, struct key_row **ret, struct sort_row **ret_order)
{
    size_t most = g->to - g->from, n = 0;
    struct key_row *row = *ret = arena_alloc(&g->run_arena, most * sizeof *row);
    struct sort_row *order = *ret_order = arena_alloc(&g->run_arena, 2 * most * sizeof *order);
    for (size_t i = g->from; i < g->to; i++) {
        const struct item *it = &g->item[i];
        bool has_identity = it->fate == FATE_BOOKED || (it->fate == FATE_PARKED && !it->parked_id);
        if (!it->takes_key || !has_identity)
            continue;
        row[n] = (struct key_row){ it->e.key, it->e.digest, it->entry ? it->entry->entry_id : 0 };
        order[n] = (struct sort_row){ first_half(&row[n].key), (uint32_t)n };
        n++;
    }
    sort_by_key(order, order + most, row, n);
    return n;
}

static void put_key(struct buffer *b, const struct key_row *row, int32_t month)
{
    pg_row_begin(b, 4);
    pg_row_day(b, month);
    pg_row_uuid(b, row->key);
    pg_row_uuid(b, row->digest);
    if (row->entry_id)
        pg_row_int8(b, row->entry_id);
    else
        pg_row_null(b);
}

enum pg_outcome batch_copy_keys(struct ingest *g)
{
    struct key_row *row;
    struct sort_row *order;
    size_t n = collect_keys(g, &row, &order);
#if MUTANT == 5 /* identities are not kept */
    n = 0;
#endif
    if (n == 0)
        return PG_DONE;
    char sql[256];
    copy_statement(sql, sizeof sql, "event_key", g->month, "month, key, digest, entry_id");
    enum pg_outcome o = pg_copy_begin(g->pg, sql);
    struct buffer *b = pg_copy_buffer(g->pg);
    for (size_t i = 0; o == PG_DONE && i < n; i++) {
        put_key(b, &row[order[i].at], g->month);
        o = pg_copy_flush(g->pg);
    }
    return o == PG_DONE ? pg_copy_end(g->pg) : o;
}
