/* Every command of debitctl: the one table that help, wrong use, completion and main.c go by. */
#include "ctl/verbs.h"

static int run_completion(struct ctl *c, struct error *ret_error)
{
    (void)c;
    (void)ret_error;
    ctl_completion(stdout);
    return 0;
}

/* clang-format off */
#define KEY                                                                                        \
    { "key", "KEY", "idempotency key: the same twice is done once (default: random, printed)" }
#define ACCOUNT_OPTIONS                                                                            \
    { "parent", "ACCOUNT", "the account that pays and whose quotas count" },                       \
    { "name", "TEXT", "its name for people" },                                                     \
    { "byok", "LIST", "services it brings its own key for, with commas between" }
#define LIMIT  { "limit", "N", "at most that many (default: 50)" }
#define AMOUNT { "amount", "AMOUNT", "the same as the argument AMOUNT" }
#define PLAN   { "plan", "PLAN", "the same as the argument PLAN" }

static const char rejected_notes[] =
    "An operation that is rejected ends with exit code 65 and the reason, a key that was used\n"
    "before with 0.";

static const struct ctl_command commands[] = {
    { "migrate", NULL, "", 0, 0, "bring the database to this program's schema, as its owner",
      "Tables by numbered migrations, each once; then functions, views and roles. Daemons need\n"
      "not be stopped. Running it again does nothing but make missing roles and the months ahead.",
      { { "dry-run", NULL, "change nothing, say what would be done" } },
      ctl_migrate },

    { "catalog", "check", "FILE", 1, 1, "read a catalogue file and check it; no server", NULL,
      { { 0 } },
      ctl_catalog_check },
    { "catalog", "diff", "FILE", 1, 1, "what applying a catalogue file would change", NULL,
      { { 0 } },
      ctl_catalog_diff },
    { "catalog", "apply", "FILE", 1, 1, "put a catalogue file in force",
      "Applying the same again does nothing.",
      { { 0 } },
      ctl_catalog_apply },

    { "account", "open", "ACCOUNT [PLAN]", 1, 2, "open an account, on a plan or with a parent",
      rejected_notes,
      { PLAN, ACCOUNT_OPTIONS, { "guest", NULL, "it is not charged" }, KEY },
      ctl_account_open },
    { "account", "show", "ACCOUNT", 1, 1, "show an account", NULL,
      { { 0 } },
      ctl_account_show },
    { "account", "update", "ACCOUNT", 1, 1, "change what the options name, leave the rest",
      rejected_notes,
      { { "plan", "PLAN", "its plan" }, ACCOUNT_OPTIONS,
        { "charged", "yes|no", "no: a guest" }, KEY },
      ctl_account_update },
    { "account", "assign", "ACCOUNT PLAN", 1, 2, "assign a plan: upgrade, downgrade, renewal",
      rejected_notes,
      { PLAN, KEY },
      ctl_account_assign },
    { "account", "close", "ACCOUNT", 1, 1, "close an account: later usage of it is parked",
      rejected_notes,
      { { "reason", "TEXT", "kept with the operation" }, KEY },
      ctl_account_close },

    { "credit", "purchase", "ACCOUNT [AMOUNT]", 1, 2, "book a purchase, of an amount or a package",
      rejected_notes,
      { { "package", "PACKAGE", "a package of the catalogue, instead of an amount" },
        { "reference", "TEXT", "of the payment" }, AMOUNT, KEY },
      ctl_credit_purchase },
    { "credit", "grant", "ACCOUNT AMOUNT", 1, 2, "grant a bonus", rejected_notes,
      { { "reason", "TEXT", "kept with the entry" }, AMOUNT, KEY },
      ctl_credit_grant },
    { "credit", "refund", "ACCOUNT AMOUNT", 1, 2, "give back an amount", rejected_notes,
      { { "reference", "TEXT", "what it refers to" }, { "reason", "TEXT", "kept with the entry" },
        AMOUNT, KEY },
      ctl_credit_refund },
    { "credit", "adjust", "ACCOUNT AMOUNT", 1, 2, "correct a balance, by an amount of either sign",
      rejected_notes,
      { { "reason", "TEXT", "kept with the entry" }, AMOUNT, KEY },
      ctl_credit_adjust },

    { "balance", NULL, "ACCOUNT", 1, 1, "the balance that an account is paid from", NULL,
      { { 0 } },
      ctl_balance },
    { "usage", NULL, "ACCOUNT", 1, 1, "what the payer of an account has used, of what", NULL,
      { { "month", "YYYY-MM", "only that month" } },
      ctl_usage },
    { "ledger", NULL, "ACCOUNT", 1, 1, "the entries of an account, newest first", NULL,
      { LIMIT, { "before", "ENTRY", "the page before this entry" } },
      ctl_ledger },
    { "alerts", NULL, "ACCOUNT", 1, 1, "the alerts of an account, or of 'platform', newest first",
      NULL,
      { LIMIT },
      ctl_alerts },
    { "check", NULL, "ACCOUNT METRIC QUANTITY", 3, 3,
      "may the account use that much? exit code 1: no",
      "Nothing is reserved. The reasons are those of api.check_usage (docs/api.md).",
      { { 0 } },
      ctl_check },
    { "estimate", NULL, "ACCOUNT METRIC QUANTITY...", 3, CTL_ARGUMENTS_MAX,
      "what a use would cost and be charged now",
      "QUANTITY is a decimal, or COMPONENT=decimal, as often as there are components. cost and\n"
      "charge are empty (null) where no price says them; the price file of the configuration is\n"
      "not looked at.",
      { { "service", "SERVICE", "who would provide it" }, { "model", "MODEL", "which model" } },
      ctl_estimate },

    { "rejected", "list", "", 0, 0, "messages that can never be booked, newest first", NULL,
      { LIMIT, { "reason", "CODE", "only those with this reason" },
        { "topic", "TOPIC", "only those of this topic" } },
      ctl_rejected_list },
    { "rejected", "show", "ID", 1, 1, "one of them whole; key, value and headers in base64", NULL,
      { { 0 } },
      ctl_rejected_show },
    { "parked", "list", "", 0, 0, "messages that wait for what is missing, oldest first", NULL,
      { LIMIT, { "all", NULL, "those that were released, too" } },
      ctl_parked_list },

    { "position", "list", "", 0, 0, "where each partition stands, why it is halted, who moved it",
      "lag: messages that are not in the books yet; empty where Kafka does not say. passed_over and\n"
      "read_again: offsets, by all moves of `position set`.",
      { { 0 } },
      ctl_position_list },
    { "position", "set", "TOPIC PARTITION OFFSET|earliest|latest", 3, 3,
      "go on reading from another offset, or let a halted partition go on",
      "The one command that moves a position; the move is kept in api.position_move. Reading goes on\n"
      "at OFFSET, without the comparison with the message before it. Going back is safe: what was\n"
      "booked within the dedup window is a duplicate. Going forward passes over messages: they are\n"
      "in the books only if they are sent again. debitd may run. Refused: an offset that the topic\n"
      "does not hold, or one from before the dedup window. Roles: debitd_admin, or the owner.",
      { { "reason", "TEXT", "why; kept with the move; required" },
        { "force", NULL, "do it although it is refused, or Kafka cannot be asked" } },
      ctl_position_set },
    { "position", "adopt-cluster", "CLUSTER", 1, 1,
      "the positions belong to this Kafka cluster from now on",
      "For a cluster that was restored, or mirrored with its offsets. Positions stay as they are; each\n"
      "partition is still compared with the message that was booked last, and halted where that is\n"
      "not on it. Roles: debitd_admin, or the owner.",
      { { "reason", "TEXT", "why; kept in api.cluster_move; required" } },
      ctl_position_adopt_cluster },

    { "rate", NULL, "", 0, 0, "rate usage events from standard input; no server, no clock",
      "One JSON line an event; quotas count from zero over the input.",
      { { "catalog", "FILE", "the catalogue file" },
        { "plan", "PLAN", "the plan that is charged" } },
      ctl_rate },
    { "verify", NULL, "", 0, 0, "recompute everything from the ledger; exit code 1: a difference",
      "Prints every difference (docs/verify.md says what each means). Only reads, in one snapshot: exact\n"
      "on a live system, and it holds up nobody. Roles: debitd_reader, or any that may read as much.\n"
      "--topic also holds the books against what the topics of the configuration still have: every\n"
      "message up to the positions, and every alert and dead letter that was published.",
      { { "topic", NULL, "read the topics again, too" },
        { "check", "NAMES", "only these checks, with commas between" },
        { "jobs", "N", "sessions at a time (default: 2)" } },
      ctl_verify },
    { "status", NULL, "", 0, 0, "positions, last booking, what waits, versions",
      "lag: messages that are not in the books yet; empty where Kafka does not say.",
      { { 0 } },
      ctl_status },
    { "completion", NULL, "", 0, 0, "print the completion for bash (etc/debitctl.bash-completion)",
      NULL,
      { { 0 } },
      run_completion },
    { 0 },
};
/* clang-format on */

const struct ctl_command *ctl_commands(void)
{
    return commands;
}
