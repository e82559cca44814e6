/* What `debitctl help` says and what the shell completes, both from the table of commands. */
#include "ctl/ctl.h"

#include <string.h>

static const struct ctl_option global_options[] = {
    { "config", "FILE", "the configuration of debitd (default: " CONFIG_PATH " where it exists)" },
    { "conninfo", "CONNINFO",
      "connect to this PostgreSQL instead, whatever the configuration says" },
    { "json", NULL,
      "print JSON: one array, or one object, on standard output; decimals are strings" },
    { "help", NULL, "say what a command does" },
    { "version", NULL, "say which version this is" },
};

static void print_option(FILE *out, const struct ctl_option *o)
{
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    fprintf(out, "  %-24s %s\n", left, o->help);
}

static void print_line(FILE *out, const struct ctl_command *c)
{
    char left[120];
    snprintf(left, sizeof left, "%s%s%s%s%s", c->word, c->verb ? " " : "", c->verb ? c->verb : "",
             *c->arguments ? " " : "", c->arguments);
    fprintf(out, "  %-44s %s\n", left, c->help);
}

static void print_one(FILE *out, const struct ctl_command *c)
{
    fprintf(out, "usage: debitctl [--config FILE] [--json] %s%s%s%s%s%s\n%s.\n", c->word,
            c->verb ? " " : "", c->verb ? c->verb : "", *c->arguments ? " " : "", c->arguments,
            c->options[0].name ? " [OPTION...]" : "", c->help);
    if (c->notes)
        fprintf(out, "%s\n", c->notes);
    if (c->options[0].name)
        fprintf(out, "\noptions:\n");
    for (int i = 0; i < CTL_OPTIONS_MAX && c->options[i].name; i++)
        print_option(out, &c->options[i]);
}

void ctl_help(FILE *out, const char *word, const char *verb)
{
    int found = 0;
    const struct ctl_command *one = NULL;
    for (const struct ctl_command *c = ctl_commands(); c->word; c++) {
        if (!word || strcmp(c->word, word) != 0)
            continue;
        if (!c->verb || !verb || strcmp(c->verb, verb) == 0) {
            one = c;
            found++;
        }
    }
    if (found == 1) {
        print_one(out, one);
        return;
    }
    fprintf(out, "usage: debitctl [--config FILE] [--json] COMMAND [ARGUMENT...]\n\n");
    for (const struct ctl_command *c = ctl_commands(); c->word; c++)
        if (!found || strcmp(c->word, word) == 0)
            print_line(out, c);
    fprintf(out, "\noptions of every command:\n");
    for (size_t i = 0; i < ARRAY_SIZE(global_options); i++)
        print_option(out, &global_options[i]);
    fprintf(out, "\n`debitctl help COMMAND` says more. Exit codes: 0 done; 1 the answer is no; 64 "
                 "wrong use; 65 bad input or a\n"
                 "rejected operation; 69 a server cannot be reached; 70 a defect of debitctl; 77 "
                 "not permitted; 78 configuration.\n");
}

/* ---------------------------------------------------------------- completion */

static void complete_case(FILE *out, const struct ctl_command *c)
{
    if (c->verb)
        fprintf(out, "    '%s %s')", c->word, c->verb);
    else /* what follows is no verb but its argument */
        fprintf(out, "    %s | %s\\ *)", c->word, c->word);
    for (int i = 0; i < CTL_OPTIONS_MAX && c->options[i].name; i++)
        fprintf(out, "%s --%s", i ? "" : "\n        options+='", c->options[i].name);
    fprintf(out, "%s", c->options[0].name ? "'" : "");
    if (strstr(c->arguments, "FILE"))
        fprintf(out, "\n        files=yes");
    fprintf(out, "\n        ;;\n");
}

static bool first_of_its_word(const struct ctl_command *command)
{
    for (const struct ctl_command *c = ctl_commands(); c != command; c++)
        if (strcmp(c->word, command->word) == 0)
            return false;
    return true;
}

static void complete_words(FILE *out)
{
    fprintf(out, "    case $word in\n    '')\n        words='help");
    for (const struct ctl_command *c = ctl_commands(); c->word; c++)
        if (first_of_its_word(c))
            fprintf(out, " %s", c->word);
    fprintf(out, "'\n        ;;\n");
    for (const struct ctl_command *c = ctl_commands(); c->word; c++) {
        if (!c->verb || !first_of_its_word(c))
            continue;
        fprintf(out, "    %s)\n        [ -n \"$verb\" ] || words='", c->word);
        for (const struct ctl_command *v = c; v->word; v++)
            if (strcmp(v->word, c->word) == 0)
                fprintf(out, "%s%s", v == c ? "" : " ", v->verb);
        fprintf(out, "'\n        ;;\n");
    }
    fprintf(out, "    esac\n");
}

void ctl_completion(FILE *out)
{
    fprintf(out,
            "# bash completion for debitctl; printed by: debitctl completion\n"
            "# shellcheck shell=bash\n\n"
            "_debitctl() {\n"
            "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
            "    local word='' verb='' words='' files='' i options='--config --conninfo --json "
            "--help'\n"
            "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
            "        case ${COMP_WORDS[i]} in\n"
            "        --config | --conninfo) i=$((i + 1)) ;;\n"
            "        -*) ;;\n"
            "        *) if [ -z \"$word\" ]; then word=${COMP_WORDS[i]}; elif [ -z \"$verb\" ]; "
            "then verb=${COMP_WORDS[i]}; fi ;;\n"
            "        esac\n"
            "    done\n");
    complete_words(out);
    fprintf(out, "    case $word${verb:+ $verb} in\n");
    for (const struct ctl_command *c = ctl_commands(); c->word; c++)
        if (c->options[0].name || strstr(c->arguments, "FILE"))
            complete_case(out, c);
    fprintf(out, "    esac\n"
                 "    case $previous in\n"
                 "    --config | --catalog) files=yes ;;\n"
                 "    esac\n");
    fprintf(out, "    mapfile -t COMPREPLY < <(\n"
                 "        if [[ $current == -* ]]; then compgen -W \"$options\" -- \"$current\"\n"
                 "        elif [ -n \"$files\" ]; then compgen -f -- \"$current\"\n"
                 "        else compgen -W \"$words\" -- \"$current\"; fi\n"
                 "    )\n"
                 "}\n"
                 "complete -o filenames -F _debitctl debitctl\n");
}
