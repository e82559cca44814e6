/* The command line of debitctl: finds the command, reads its options and arguments, runs it,
 * prints the error, ends with its code. */
#include "ctl/ctl.h"
#include "ctl/output.h"

#include <locale.h>
#include <stdarg.h>
#include <string.h>
#include <sysexits.h>

int ctl_failed(const struct error *e)
{
    return e->exit_code ? e->exit_code : EX_SOFTWARE;
}

int ctl_wrong_use(struct error *e, const char *format, ...)
{
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    error_set(e, EX_USAGE, "%s", text);
    return EX_USAGE;
}

const char *ctl_option(const struct ctl *c, const char *name)
{
    for (int i = 0; i < CTL_OPTIONS_MAX && c->command->options[i].name; i++)
        if (strcmp(c->command->options[i].name, name) == 0)
            return c->option[i];
    ASSERT(!"an option of this command");
    return NULL;
}

int ctl_config(struct ctl *c, struct error *ret_error)
{
    if (c->has_config)
        return 0;
    if (config_load(c->config_path, &c->config, ret_error) < 0)
        return ctl_failed(ret_error);
    c->has_config = true;
    return 0;
}

/* Where nothing was configured but libpq's environment was, that is what is meant. */
static bool libpq_is_told(void)
{
    static const char *const names[] = { "PGHOST",     "PGHOSTADDR", "PGPORT",
                                         "PGDATABASE", "PGUSER",     "PGSERVICE" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (getenv(names[i]))
            return true;
    return false;
}

int ctl_connect(struct ctl *c, struct error *ret_error)
{
    if (c->session)
        return 0;
    const char *conninfo = c->conninfo;
    if (!conninfo) {
        int code = ctl_config(c, ret_error);
        if (code)
            return code;
        conninfo = !*c->config.path && libpq_is_told() ? "" : c->config.postgres.conninfo;
    }
    return pg_open(conninfo, "debitctl", &c->session, ret_error) < 0 ? ctl_failed(ret_error) : 0;
}

/* ---------------------------------------------------------------- reading the command line */

static const struct ctl_command *find_command(const char *word, const char *verb,
                                              bool *ret_word_known)
{
    *ret_word_known = false;
    for (const struct ctl_command *c = ctl_commands(); c->word; c++) {
        if (strcmp(c->word, word) != 0)
            continue;
        *ret_word_known = true;
        if (!c->verb || (verb && strcmp(c->verb, verb) == 0))
            return c;
    }
    return NULL;
}

/* "--name" or "--name=value": the value stands in the same word, or is the next one. False: this
 * is not that option. */
static bool takes(const char *word, const char *name, bool wants_value, int *at, int argc,
                  char **argv, const char **ret_value, struct error *e)
{
    size_t n = strlen(name);
    if (strncmp(word + 2, name, n) != 0 || (word[2 + n] && word[2 + n] != '='))
        return false;
    const char *value = word[2 + n] ? word + 3 + n : NULL;
    if (!wants_value && value)
        ctl_wrong_use(e, "option --%s takes no value", name);
    else if (wants_value && !value && *at + 1 == argc)
        ctl_wrong_use(e, "option --%s needs a value", name);
    else if (wants_value && !value)
        value = argv[++*at];
    *ret_value = value ? value : "";
    return true;
}

/* Options may stand anywhere; those of a command are known once its words were read, so they come
 * in the second pass. */
static int read_options(struct ctl *c, int argc, char **argv, struct error *e)
{
    const char *flag;
    bool options_end = false;
    for (int i = 1, word = 0; i < argc && !e->exit_code; i++) {
        if (options_end || strncmp(argv[i], "--", 2) != 0) {
            if (word++ < (c->command->verb ? 2 : 1))
                continue;
            if (c->arguments == c->command->arguments_max)
                return ctl_wrong_use(e, "too many arguments: '%s'", argv[i]);
            c->argument[c->arguments++] = argv[i];
            continue;
        }
        if (!argv[i][2]) {
            options_end = true;
            continue;
        }
        if (takes(argv[i], "config", true, &i, argc, argv, &c->config_path, e) ||
            takes(argv[i], "conninfo", true, &i, argc, argv, &c->conninfo, e))
            continue;
        if (takes(argv[i], "json", false, &i, argc, argv, &flag, e)) {
            c->json = true;
            continue;
        }
        const struct ctl_option *o = c->command->options;
        int k = 0;
        while (k < CTL_OPTIONS_MAX && o[k].name &&
               !takes(argv[i], o[k].name, o[k].value != NULL, &i, argc, argv, &c->option[k], e))
            k++;
        if (k == CTL_OPTIONS_MAX || !o[k].name)
            return ctl_wrong_use(e, "unknown option '%s'", argv[i]);
    }
    if (e->exit_code)
        return e->exit_code;
    if (c->arguments < c->command->arguments_min)
        return ctl_wrong_use(e, "an argument is missing: %s", c->command->arguments);
    return 0;
}

/* Is the word behind this one its value? An option's name takes one in every command that has it. */
static bool has_value_behind(const char *option)
{
    if (strcmp(option, "--config") == 0 || strcmp(option, "--conninfo") == 0)
        return true;
    for (const struct ctl_command *c = ctl_commands(); c->word; c++)
        for (int k = 0; k < CTL_OPTIONS_MAX && c->options[k].name; k++)
            if (c->options[k].value && strcmp(option + 2, c->options[k].name) == 0)
                return true;
    return false;
}

/* The first words that are neither options nor their values: the command. */
static void find_words(int argc, char **argv, const char *word[2])
{
    for (int i = 1, n = 0; i < argc && n < 2; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            word[n++] = argv[i];
        else if (has_value_behind(argv[i]))
            i++;
    }
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0)
            return false;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static int wrong_use(const struct ctl_command *command, const char *word, const struct error *e)
{
    output_complaint(e->text);
    ctl_help(stderr, command ? command->word : word, command ? command->verb : NULL);
    return EX_USAGE;
}

/* What to try when PostgreSQL says that this role may not. */
static void advise_role(const struct ctl_command *command)
{
    bool owners = strcmp(command->word, "migrate") == 0 || strcmp(command->word, "catalog") == 0;
    fprintf(stderr, "debitctl: connect as %s, by --conninfo or postgres.conninfo\n",
            owners ? "the owner of the database" : "debitd_admin or the owner of the database");
}

static int run(struct ctl *c, int argc, char **argv)
{
    struct error e = { 0 };
    const char *word[2] = { NULL, NULL };
    find_words(argc, argv, word);
    if (!word[0] && argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("debitctl " DEBITD_VERSION);
        return 0;
    }
    if (!word[0] || strcmp(word[0], "help") == 0 || wants_help(argc, argv)) {
        bool asked = word[0] || wants_help(argc, argv);
        if (word[0] && strcmp(word[0], "help") == 0) {
            word[0] = word[1];
            word[1] = word[0] && argc > 3 ? argv[argc - 1] : NULL;
            bool known;
            if (word[0] && !find_command(word[0], word[1], &known) && (!known || word[1])) {
                ctl_wrong_use(&e, "this version knows no '%s%s%s'", word[0], word[1] ? " " : "",
                              word[1] ? word[1] : "");
                return wrong_use(NULL, known ? word[0] : NULL, &e);
            }
        }
        ctl_help(asked ? stdout : stderr, word[0], word[1]);
        return asked ? 0 : EX_USAGE;
    }
    bool word_known;
    c->command = find_command(word[0], word[1], &word_known);
    if (!c->command) {
        const char *what = !word_known ? "unknown command '%s'"
                           : word[1] ? "%s needs to be told what to do: this version knows no '%s'"
                                     : "%s needs to be told what to do";
        ctl_wrong_use(&e, what, word[0], word[1]);
        return wrong_use(NULL, word_known ? word[0] : NULL, &e);
    }
    if (read_options(c, argc, argv, &e))
        return wrong_use(c->command, NULL, &e);
    int code = c->command->run(c, &e);
    if (code == EX_USAGE)
        return wrong_use(c->command, NULL, &e);
    if (code && e.text[0])
        output_complaint(e.text);
    if (code == EX_NOPERM)
        advise_role(c->command);
    return code;
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* decimals are written with a point, whoever reads them */
    struct ctl c = { 0 };
    int code = run(&c, argc, argv);
    pg_close(c.session);
    if (c.has_config)
        config_fini(&c.config);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "debitctl: cannot write to standard output\n");
        return code ? code : EX_IOERR;
    }
    return code;
}
