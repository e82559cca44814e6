/* See fiber.h. A switch saves what the ABI wants saved and changes the stack pointer: no system call, as swapcontext
 * would make, because a history is thousands of them. */
#include "tests/sim/fiber.h"

#include "base/macros.h"

#include <stdint.h>
#include <sys/mman.h>

#define STACK_BYTES ((size_t)512 * 1024)
#define GUARD_BYTES ((size_t)4096)

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

void sim_switch(void **save, void *to);

#if defined(__x86_64__)
#define SAVED_WORDS 6
__asm__(".text\n.globl sim_switch\n.type sim_switch, @function\nsim_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp, (%rdi)\nmovq %rsi, %rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
        ".size sim_switch, .-sim_switch\n");
#define RETURN_WORD 6
#elif defined(__aarch64__)
#define SAVED_WORDS 20
#define RETURN_WORD 11
__asm__(".text\n.globl sim_switch\n.type sim_switch, %function\nsim_switch:\n"
        "sub sp, sp, #160\n"
        "stp x19, x20, [sp, #0]\nstp x21, x22, [sp, #16]\nstp x23, x24, [sp, #32]\nstp x25, x26, "
        "[sp, #48]\n"
        "stp x27, x28, [sp, #64]\nstp x29, x30, [sp, #80]\nstp d8, d9, [sp, #96]\nstp d10, d11, "
        "[sp, #112]\n"
        "stp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
        "mov x9, sp\nstr x9, [x0]\nmov sp, x1\n"
        "ldp x19, x20, [sp, #0]\nldp x21, x22, [sp, #16]\nldp x23, x24, [sp, #32]\nldp x25, x26, "
        "[sp, #48]\n"
        "ldp x27, x28, [sp, #64]\nldp x29, x30, [sp, #80]\nldp d8, d9, [sp, #96]\nldp d10, d11, "
        "[sp, #112]\n"
        "ldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n"
        "add sp, sp, #160\nret\n.size sim_switch, .-sim_switch\n");
#else
#error "tests/sim/fiber.c knows x86-64 and arm64; another processor needs its own sim_switch"
#endif

static struct stack *pool;
#ifdef WITH_ASAN
static const void *left_memory; /* where we came from, for the first entry */
static size_t left_size;
#endif

struct stack *stack_new(void (*entry)(void))
{
    struct stack *s = pool;

    if (s != NULL) {
        pool = s->next;
    } else {
        char *p = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        ASSERT(p != MAP_FAILED && mprotect(p, GUARD_BYTES, PROT_NONE) == 0);
        s = (struct stack *)(p + STACK_BYTES - sizeof(struct stack) - 64);
        s = (struct stack *)((uintptr_t)s & ~(uintptr_t)63);
        s->memory = p + GUARD_BYTES;
        s->size = (size_t)((char *)s - s->memory);
    }
#ifdef WITH_ASAN
    __asan_unpoison_memory_region(s->memory, s->size);
#endif
    s->fake = NULL;
    s->next = NULL;
    void **top = (void **)((uintptr_t)(s->memory + s->size - 64) & ~(uintptr_t)15);
#if defined(__x86_64__)
    void **at =
        top - RETURN_WORD; /* the return address stands at `top`, which is a multiple of 16 */
#else
    void **at = top - SAVED_WORDS;
#endif
    for (int i = 0; i <= SAVED_WORDS; i++)
        at[i] = NULL;
    at[RETURN_WORD] = (void *)(uintptr_t)entry;
    s->at = at;
    return s;
}

void stack_put_back(struct stack *s)
{
    s->next = pool;
    pool = s;
}

void stack_entered(void)
{
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(NULL, &left_memory, &left_size);
#endif
}

void stack_switch(struct stack *from, struct stack *to)
{
#ifdef WITH_ASAN
    /* The thread's own stack has no memory of its own here: what the last switch left is it. */
    if (from->memory == NULL) {
        __sanitizer_start_switch_fiber(&from->fake, to->memory, to->size);
        sim_switch(&from->at, to->at);
        __sanitizer_finish_switch_fiber(from->fake, NULL, NULL);
        return;
    }
    __sanitizer_start_switch_fiber(&from->fake, left_memory, left_size);
    sim_switch(&from->at, to->at);
    __sanitizer_finish_switch_fiber(from->fake, &left_memory, &left_size);
#else
    sim_switch(&from->at, to->at);
#endif
}
