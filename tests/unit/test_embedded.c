/* The SQL files carried inside the program are those under schema/, byte for byte. */
#include "base/embedded.h"
#include "tests/unit/test.h"

static size_t file_read(const char *path, char **ret_text)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    char *text = malloc(1 << 20);
    size_t size = text ? fread(text, 1, 1 << 20, f) : 0;
    fclose(f);
    *ret_text = text;
    return size;
}

TEST("every embedded file equals its file on disk and ends with a NUL")
{
    for (const struct embedded_file *f = embedded_first(); f->path; f++) {
        char *text = NULL;
        size_t size = file_read(f->path, &text);
        if (CHECK(text != NULL) && CHECK_INT(f->size, size))
            CHECK(memcmp(f->text, text, size) == 0);
        CHECK_INT(f->text[f->size], 0);
        free(text);
    }
}

TEST("embedded files are sorted by path, each once")
{
    const struct embedded_file *f = embedded_first();
    for (; f->path && f[1].path; f++)
        CHECK(strcmp(f->path, f[1].path) < 0);
}

TEST("an embedded file is found by its whole path only")
{
    const struct embedded_file *first = embedded_first();
    if (first->path)
        CHECK(embedded_find(first->path) == first);
    CHECK(embedded_find("schema/") == NULL);
    CHECK(embedded_find("") == NULL);
}

TEST("the text of a query is found by its folder and name")
{
    const struct embedded_file *f = embedded_find("schema/queries/claim.sql");

    CHECK(f != NULL && embedded_sql("queries", "claim") == f->text);
}
