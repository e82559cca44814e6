/* The identities that a run knows. */
#include "ledger/batch.h"
#include "tests/unit/test.h"

#define KEYS 3000

static struct known_key made(int i)
{
    char id[16];
    snprintf(id, sizeof(id), "%d", i);
    return (struct known_key){ .key = hash_identity(SLICE("/s"), slice_of(id)), .entry_id = i };
}

TEST("each key that was added is found, and no other one")
{
    static struct known_key key[KEYS];
    struct arena arena CLEANUP(arena_fini) = ARENA_NULL;
    struct known_keys known;
    int missed = 0, found = 0;

    known_keys_init(&known, &arena, KEYS);
    for (int i = 0; i < KEYS; i++) {
        key[i] = made(i);
        known_keys_add(&known, &key[i]);
    }
    for (int i = 0; i < KEYS; i++) {
        struct known_key other = made(KEYS + i);
        missed += known_keys_find(&known, &key[i].key) != &key[i];
        found += known_keys_find(&known, &other.key) != NULL;
    }
    CHECK_INT(missed, 0);
    CHECK_INT(found, 0);
}

TEST("of equal keys the last one counts")
{
    struct arena arena CLEANUP(arena_fini) = ARENA_NULL;
    struct known_key first = made(1), last = made(1);
    struct known_keys known;

    known_keys_init(&known, &arena, 2);
    known_keys_add(&known, &first);
    known_keys_add(&known, &last);
    CHECK(known_keys_find(&known, &first.key) == &last);
}

TEST("before anything is read nothing is known")
{
    struct known_key key = made(1);

    CHECK(known_keys_find(&(struct known_keys){ 0 }, &key.key) == NULL);
}
