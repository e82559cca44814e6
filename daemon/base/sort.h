/* Sorting by a whole number that was taken out of each row beforehand: no comparison is called, and no row is looked at again. */
#ifndef DEBITD_BASE_SORT_H
#define DEBITD_BASE_SORT_H

#include <stddef.h>
#include <stdint.h>

struct sort_row {
    uint64_t key;
    uint32_t at; /* which row it is of */
};

/* Ascending; rows of one key stay in their order. `spare` has room for n. Linear in n. */
void sort_rows(struct sort_row *row, struct sort_row *spare, size_t n);

#endif
