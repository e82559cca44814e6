/* Tables in memory: nobody outside can choose names that end up in one place. */
#include "base/table.h"
#include "tests/unit/test.h"

#include <errno.h>

struct entry {
    UT_hash_handle hh;
    char name[16];
};

/* What uthash uses where nothing else is said, and everybody can compute. */
static unsigned known_hash(const char *name)
{
    unsigned value;
    HASH_JEN(name, strlen(name), value);
    return value;
}

TEST("names chosen to end up in one place of a known table are spread in ours")
{
    struct entry *table = NULL, *entry, *next;
    unsigned longest = 0;
    for (unsigned i = 0, found = 0; found < 1000; i++) {
        char name[16];
        snprintf(name, sizeof(name), "acct-%u", i);
        if (known_hash(name) & 1023)
            continue;
        entry = calloc(1, sizeof(*entry));
        memcpy(entry->name, name, sizeof(name));
        HASH_ADD_KEYPTR(hh, table, entry->name, strlen(entry->name), entry);
        found++;
    }
    for (unsigned i = 0; i < table->hh.tbl->num_buckets; i++)
        if (table->hh.tbl->buckets[i].count > longest)
            longest = table->hh.tbl->buckets[i].count;
    /* a bucket is split at 10 times the least expansion multiplier; 1000 of them in one would be the attack */
    if (!CHECK(longest < 64))
        printf("# %u of 1000 names in one bucket\n", longest);
    HASH_ITER(hh, table, entry, next)
    {
        HASH_DEL(table, entry);
        free(entry);
    }
}

TEST("the same bytes hash alike in one process, and other bytes otherwise")
{
    CHECK_INT(hash_secret("abc", 3), hash_secret("abc", 3));
    CHECK(hash_secret("abc", 3) != hash_secret("abd", 3));
    printf("# hash %u\n", hash_secret("abc", 3)); /* for the test below */
}

TEST("every process has a key of its own")
{
    char text[3][32] = { "", "", "" }, command[1024];
    /* its name and not /proc's, which would be valgrind's */
    snprintf(command, sizeof(command), "\"%s\" 'the same bytes' | sed -n 's/^# hash //p'",
             program_invocation_name);
    for (int i = 0; i < 3; i++) {
        FILE *p = popen(command, "r");
        REQUIRE(p != NULL);
        CHECK(fgets(text[i], sizeof(text[i]), p) != NULL);
        pclose(p);
    }
    CHECK(strcmp(text[0], text[1]) != 0 || strcmp(text[1], text[2]) != 0);
}
