/* A radix sort, the last byte first; bytes that are the same in all keys cost no pass. */
#include "base/sort.h"

#include "base/macros.h"

#define BYTES  8
#define VALUES 256

static void count_bytes(const struct sort_row *row, size_t n, size_t count[BYTES][VALUES])
{
    memset(count, 0, BYTES * sizeof(count[0]));
    for (size_t i = 0; i < n; i++)
        for (int byte = 0; byte < BYTES; byte++)
            count[byte][row[i].key >> 8 * byte & 0xff]++;
}

/* Counts become places: where the first row with this byte goes. */
static void places_of_counts(size_t count[VALUES])
{
    size_t place = 0;

    for (int value = 0; value < VALUES; value++) {
        size_t rows = count[value];
        count[value] = place;
        place += rows;
    }
}

void sort_rows(struct sort_row *row, struct sort_row *spare, size_t n)
{
    size_t count[BYTES][VALUES];
    struct sort_row *from = row, *to = spare;

    if (n < 2)
        return;
    count_bytes(row, n, count);
    for (int byte = 0; byte < BYTES; byte++) {
        struct sort_row *sorted = to;
        if (count[byte][row[0].key >> 8 * byte & 0xff] == n)
            continue;
        places_of_counts(count[byte]);
        for (size_t i = 0; i < n; i++)
            to[count[byte][from[i].key >> 8 * byte & 0xff]++] = from[i];
        to = from;
        from = sorted;
    }
    if (from != row)
        memcpy(row, from, n * sizeof(*row));
}
