/* Every command of debitctl: the one table that help, wrong use, completion and main.c go by. */
#include "ctl/ctl.h"

static int run_completion(struct ctl *c, struct error *ret_error)
{
    (void)c;
    (void)ret_error;
    ctl_completion(stdout);
    return 0;
}

static const struct ctl_command commands[] = {
    { "migrate",
      NULL,
      "",
      0,
      0,
      "bring the database to this program's schema, as the database's owner",
      "Tables by numbered migrations, each once; then functions, views and roles. Daemons need not "
      "be stopped.\n"
      "Running it again does nothing but make missing roles and the months ahead.",
      { { "dry-run", NULL, "change nothing, say what would be done" } },
      ctl_migrate },
    { "completion",
      NULL,
      "",
      0,
      0,
      "print the completion for bash (etc/debitctl.bash-completion)",
      NULL,
      { { 0 } },
      run_completion },
    { 0 },
};

const struct ctl_command *ctl_commands(void)
{
    return commands;
}
