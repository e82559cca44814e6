/* The unit tests' frame: each tests/unit/test_*.c is a program of its own.
 *
 *     #include "tests/unit/test.h"
 *     TEST("half a unit rounds to the even neighbour")
 *     {
 *         CHECK_INT(round_half(25), 2);
 *     }
 *
 * Tests run in the order they stand in, with the top of the source tree as the current folder. A failed CHECK is reported with its
 * place and the test goes on; REQUIRE ends the test. An argument runs only the tests whose sentence contains it.
 * The last line is "N passed, N failed"; the program fails if any test fails, and if it has none. */
#ifndef DEBITD_TESTS_UNIT_TEST_H
#define DEBITD_TESTS_UNIT_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TESTS_MAX 512

static struct {
    const char *name;
    void (*run)(void);
} test_list[TESTS_MAX];
static size_t test_count;
static unsigned test_complaints; /* of the test that runs */

static inline void test_add(const char *name, void (*run)(void))
{
    if (test_count == TESTS_MAX) {
        fprintf(stderr, "more than %d tests in one file\n", TESTS_MAX);
        exit(1);
    }
    test_list[test_count].name = name;
    test_list[test_count++].run = run;
}

#define TEST_JOIN_(a, b) a##b
#define TEST_JOIN(a, b)  TEST_JOIN_(a, b)
#define TEST_AT(sentence, n)                                               \
    static void TEST_JOIN(test_run_, n)(void);                             \
    __attribute__((constructor)) static void TEST_JOIN(test_add_, n)(void) \
    {                                                                      \
        test_add(sentence, TEST_JOIN(test_run_, n));                       \
    }                                                                      \
    static void TEST_JOIN(test_run_, n)(void)
#define TEST(sentence) TEST_AT(sentence, __LINE__)

static inline bool test_bool(bool good, const char *expr, const char *file, int line)
{
    if (!good) {
        test_complaints++;
        printf("# %s:%d: not true: %s\n", file, line, expr);
    }
    return good;
}

static inline bool test_int(intmax_t got, intmax_t want, const char *expr, const char *file,
                            int line)
{
    if (got != want) {
        test_complaints++;
        printf("# %s:%d: %s is %" PRIdMAX ", wanted %" PRIdMAX "\n", file, line, expr, got, want);
    }
    return got == want;
}

static inline bool test_str(const char *got, const char *want, const char *expr, const char *file,
                            int line)
{
    bool good = got && want ? strcmp(got, want) == 0 : got == want;
    if (!good) {
        test_complaints++;
        printf("# %s:%d: %s\n#      is \"%s\"\n#  wanted \"%s\"\n", file, line, expr,
               got ? got : "(NULL)", want ? want : "(NULL)");
    }
    return good;
}

static inline bool test_mem(const void *got, size_t got_size, const void *want, size_t want_size,
                            const char *expr, const char *file, int line)
{
    bool good = got_size == want_size && (got_size == 0 || memcmp(got, want, got_size) == 0);
    if (!good) {
        test_complaints++;
        printf("# %s:%d: %s is \"%.*s\" (%zu bytes), wanted \"%.*s\" (%zu bytes)\n", file, line,
               expr, (int)got_size, got_size ? (const char *)got : "", got_size, (int)want_size,
               want_size ? (const char *)want : "", want_size);
    }
    return good;
}

/* Each is also a value: true when it held. */
#define CHECK(expr)          test_bool((expr), #expr, __FILE__, __LINE__)
#define CHECK_INT(got, want) test_int((intmax_t)(got), (intmax_t)(want), #got, __FILE__, __LINE__)
#define CHECK_STR(got, want) test_str((got), (want), #got, __FILE__, __LINE__)
#define CHECK_MEM(got, got_size, want, want_size) \
    test_mem((got), (got_size), (want), (want_size), #got, __FILE__, __LINE__)
#define REQUIRE(expr)     \
    do {                  \
        if (!CHECK(expr)) \
            return;       \
    } while (0)

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < test_count; i++) {
        if (argc > 1 && !strstr(test_list[i].name, argv[1]))
            continue;
        test_complaints = 0;
        test_list[i].run();
        printf("%s - %s\n", test_complaints ? "not ok" : "ok", test_list[i].name);
        *(test_complaints ? &failed : &passed) += 1;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed || test_count == 0;
}

#endif
