/* Arena, buffer and error texts. */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "tests/unit/test.h"

#include <malloc.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

TEST("pieces of an arena are aligned, apart, and gone after a reset, which keeps some of it")
{
    struct arena a = ARENA_NULL;
    char *last = NULL;
    for (size_t i = 0; i < 5000; i++) {
        char *p = arena_alloc(&a, i % 700);
        CHECK((uintptr_t)p % 16 == 0);
        memset(p, (int)i, i % 700);
        CHECK(p != last);
        last = i % 700 ? p : NULL; /* nothing may be where the next piece is */
    }
    CHECK(a.used > 1048576);
    struct arena_block *first = a.first;
    char *large = arena_alloc(&a, 3 << 20);
    memset(large, 1, 3 << 20);
    arena_reset(&a);
    CHECK_INT(a.used, 0);
    CHECK(a.first == first);
    char *zero = arena_zalloc(&a, 1000);
    for (int i = 0; i < 1000; i++)
        CHECK(zero[i] == 0);
    arena_fini(&a);
    arena_fini(&a);
    arena_reset(&a);
    CHECK(arena_alloc(&a, 0) != NULL);
    arena_fini(&a);
}

TEST("a block that was kept is used again before a new one is made")
{
    struct arena a = ARENA_NULL;
    for (int i = 0; i < 3; i++)
        arena_alloc(&a, 60000);
    arena_reset(&a);
    char *one = arena_alloc(&a, 60000), *two = arena_alloc(&a, 60000);
    arena_reset(&a);
    CHECK(arena_alloc(&a, 60000) == one);
    CHECK(arena_alloc(&a, 60000) == two);
    arena_fini(&a);
}

/* Bytes that malloc has handed out; 0 under a sanitizer, which has its own. */
static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

TEST("no more than 16 MiB are kept over a reset, one large piece or many small ones")
{
    struct arena a = ARENA_NULL;
    size_t before = bytes_in_use();
    memset(arena_alloc(&a, 24 << 20), 1, 24 << 20);
    for (int i = 0; i < 400; i++)
        arena_alloc(&a, 60000);
    arena_reset(&a);
    CHECK(bytes_in_use() - before < (16 << 20) + 65536);
    arena_fini(&a);
    CHECK(bytes_in_use() - before < 65536);
}

TEST("a copy has a NUL behind it; absent stays absent and empty stays empty")
{
    struct arena a = ARENA_NULL;
    struct slice s = arena_copy(&a, (struct slice){ "abcdef", 3 });
    CHECK_STR(s.p, "abc");
    CHECK_INT(s.n, 3);
    CHECK(arena_copy(&a, SLICE_ABSENT).p == NULL);
    CHECK(arena_copy(&a, SLICE("")).p != NULL);
    CHECK_STR(arena_text(&a, SLICE("xy")), "xy");
    CHECK(arena_text(&a, SLICE_ABSENT) == NULL);
    arena_fini(&a);
}

TEST("a buffer grows with what is put into it")
{
    struct buffer b = BUFFER_NULL;
    CHECK_STR(buffer_cstr(&b), "");
    for (int i = 0; i < 1000; i++)
        buffer_format(&b, "%d,", i);
    CHECK_INT(b.n, 10 * 2 + 90 * 3 + 900 * 4);
    CHECK(strncmp(b.p, "0,1,2,", 6) == 0);
    buffer_format(&b, "%0300d", 7);
    CHECK_STR(buffer_cstr(&b) + b.n - 3, "007");
    b.n = 0;
    buffer_text(&b, "ab");
    buffer_slice(&b, SLICE("cd"));
    buffer_slice(&b, SLICE_ABSENT);
    buffer_put(&b, "e\0f", 3);
    CHECK_MEM(b.p, b.n, "abcde\0f", 7);
    buffer_fini(&b);
    buffer_fini(&b);
}

TEST("a JSON string escapes what RFC 8259 demands, and what could command a terminal or break a "
     "line")
{
    struct buffer b = BUFFER_NULL;
    buffer_json_string(&b, SLICE("a\"\\/\x01\n\x1f\x7f\xc3\xa9"));
    CHECK_STR(buffer_cstr(&b), "\"a\\\"\\\\/\\u0001\\u000a\\u001f\\u007f\xc3\xa9\"");
    b.n = 0;
    buffer_json_string(&b, SLICE("\xc2\x9b\xe2\x80\xa8\xe2\x80\xa9\xc2\xa0\xe2\x80\xa7"));
    CHECK_STR(buffer_cstr(&b), "\"\\u009b\\u2028\\u2029\xc2\xa0\xe2\x80\xa7\"");
    b.n = 0;
    buffer_json_text(&b, SLICE("{\"a\": \"\xc2\x85\x7f\xe2\x80\xa8\xc3\xa9\\n\"}"));
    CHECK_STR(buffer_cstr(&b), "{\"a\": \"\\u0085\\u007f\\u2028\xc3\xa9\\n\"}");
    b.n = 0;
    buffer_json_string(&b, SLICE_ABSENT);
    CHECK_STR(buffer_cstr(&b), "\"\"");
    buffer_fini(&b);
}

static void shown(struct slice s, size_t max, bool whole, const char *want)
{
    struct buffer b = BUFFER_NULL;
    CHECK_INT(buffer_printable(&b, s, max), whole);
    CHECK_STR(buffer_cstr(&b), want);
    buffer_fini(&b);
}

TEST("what a person sees has no control, no line break and no broken UTF-8, and is cut between "
     "characters")
{
    shown(SLICE("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), 100, true,
          "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    shown(SLICE("a\nb\x1b[0m\x7f\0"), 100, true, "a\\x0ab\\x1b[0m\\x7f\\x00");
    shown(SLICE("\xc2\x85\xe2\x80\xa8\xe2\x80\xa9"), 100, true,
          "\\xc2\\x85\\xe2\\x80\\xa8\\xe2\\x80\\xa9");
    shown(SLICE("\xff\xc3"), 100, true, "\\xff\\xc3");
    shown(SLICE("\xe2\x82"), 100, true, "\\xe2\\x82");
    shown(SLICE("abc"), 3, true, "abc");
    shown(SLICE("abcd"), 3, false, "abc");
    shown(SLICE("ab\xc3\xa9"), 3, false, "ab");
    shown(SLICE("\n"), 3, false, "");
    shown(SLICE_ABSENT, 3, true, "");
}

TEST("an error keeps its exit code while words are put in front of it")
{
    struct error e = { 0 };
    CHECK_INT(error_set(&e, 69, "port %d: refused", 5432), -1);
    CHECK_INT(error_prefix(&e, "connecting to %s", "h"), -1);
    CHECK_STR(e.text, "connecting to h: port 5432: refused");
    CHECK_INT(e.exit_code, 69);
    CHECK_INT(error_set(&e, 70, "again: %s", e.text), -1);
    CHECK_STR(e.text, "again: connecting to h: port 5432: refused");
    CHECK_INT(error_set(NULL, 1, "x"), -1);
    CHECK_INT(error_prefix(NULL, "x"), -1);
}

TEST("a text that is too long is cut at its end")
{
    struct error e = { 0 };
    char text[3000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    error_set(&e, 65, "%s", text);
    CHECK_INT(strlen(e.text), sizeof(e.text) - 1);
    error_prefix(&e, "reading");
    CHECK_INT(strlen(e.text), sizeof(e.text) - 1);
    CHECK(strncmp(e.text, "reading: xxx", 12) == 0);
    error_prefix(&e, "%s", text);
    CHECK_INT(strlen(e.text), sizeof(e.text) - 1);
}

TEST("memory that cannot be had ends the process with 75 and words, without an abort")
{
    char said[400] = "";
    int end[2], status;
    volatile size_t all = (size_t)PTRDIFF_MAX - 4096;
    REQUIRE(pipe(end) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(end[1], STDERR_FILENO);
        free(xmalloc(all));
        _exit(0);
    }
    close(end[1]);
    for (ssize_t n = 0, got; (got = read(end[0], said + n, sizeof(said) - 1 - (size_t)n)) > 0;)
        n += got;
    close(end[0]);
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), EX_TEMPFAIL);
    CHECK(strstr(said, "no memory for 9223372036854771711 bytes more") != NULL);
    CHECK(strstr(said, "nothing is lost") != NULL);
}
