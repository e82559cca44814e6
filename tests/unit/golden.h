/* For tests: golden files of columns. One case a line, words between blanks; '#' begins a comment line. Include after test.h. */
#ifndef DEBITD_TESTS_UNIT_GOLDEN_H
#define DEBITD_TESTS_UNIT_GOLDEN_H

#define GOLDEN_COLUMNS 12

struct golden {
    FILE *file;
    const char *path;
    int line;
    char text[512];
    char *column[GOLDEN_COLUMNS];
    int columns;
};

static inline void golden_open(struct golden *g, const char *path)
{
    *g = (struct golden){ .file = fopen(path, "r"), .path = path };
    if (!g->file) {
        perror(path);
        exit(1);
    }
}

/* The next case; false (and closed) at the end. Columns that are not there are "". */
static inline bool golden_next(struct golden *g)
{
    while (fgets(g->text, sizeof(g->text), g->file)) {
        char *save = NULL;
        g->line++;
        g->columns = 0;
        for (int i = 0; i < GOLDEN_COLUMNS; i++)
            g->column[i] = g->text + strlen(g->text);
        if (g->text[0] == '#')
            continue;
        for (char *word = strtok_r(g->text, " \t\n", &save); word && g->columns < GOLDEN_COLUMNS;
             word = strtok_r(NULL, " \t\n", &save))
            g->column[g->columns++] = word;
        if (g->columns > 0)
            return true;
    }
    fclose(g->file);
    return false;
}

#endif
