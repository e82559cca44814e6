/* Stacks and the switch between them. */
#ifndef DEBITD_TESTS_SIM_FIBER_H
#define DEBITD_TESTS_SIM_FIBER_H

#include <stddef.h>

struct stack {
    void *at; /* where it stopped */
    char *memory;
    size_t size;
    void *fake; /* AddressSanitizer's */
    struct stack *next;
};

struct stack *stack_new(void (*entry)(void)); /* from the pool */
void stack_put_back(struct stack *s);
/* From one to the other; `from` may be the thread's own, a zeroed one. */
void stack_switch(struct stack *from, struct stack *to);
/* The first thing an entry does. */
void stack_entered(void);

#endif
