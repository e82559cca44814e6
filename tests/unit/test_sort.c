/* Sorting of rows by their keys. */
#include "base/sort.h"
#include "tests/unit/test.h"

#include <stdlib.h>

#define ROWS 5000

static int compare(const void *a, const void *b)
{
    const struct sort_row *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* As the C library sorts them, rows of one key in their order. */
static void check_sorted(struct sort_row *row, size_t n)
{
    static struct sort_row wanted[ROWS], spare[ROWS];
    size_t wrong = 0;

    for (size_t i = 0; i < n; i++)
        row[i].at = (uint32_t)i;
    memcpy(wanted, row, n * sizeof(*row));
    qsort(wanted, n, sizeof(*wanted), compare);
    sort_rows(row, spare, n);
    for (size_t i = 0; i < n; i++)
        wrong += row[i].key != wanted[i].key || row[i].at != wanted[i].at;
    CHECK_INT(wrong, 0);
}

TEST("rows are sorted by the whole of their keys, whichever bytes differ")
{
    static struct sort_row row[ROWS];
    uint64_t random = 1;

    for (int bits = 1; bits <= 64; bits++) {
        size_t n = (size_t)bits * ROWS / 64;
        for (size_t i = 0; i < n; i++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            row[i] = (struct sort_row){ .key = (random ^ random >> 29) >> (64 - bits) };
        }
        check_sorted(row, n);
    }
}

TEST("rows of one key stay in their order")
{
    static struct sort_row row[ROWS];

    for (size_t i = 0; i < ROWS; i++)
        row[i] = (struct sort_row){ .key = (uint64_t)(i % 3) << 40 };
    check_sorted(row, ROWS);
    for (size_t i = 0; i < ROWS; i++)
        row[i] = (struct sort_row){ .key = UINT64_MAX };
    check_sorted(row, ROWS);
}

TEST("one row, or none, is sorted")
{
    struct sort_row row[1] = { { .key = 7 } }, spare[1];

    sort_rows(row, spare, 0);
    sort_rows(row, spare, 1);
    CHECK_INT(row[0].key, 7);
}
