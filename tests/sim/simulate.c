/* simulate [--seed S] [--histories N] [--seconds T] [--without WHAT] [--trace]: histories from seed S on; the first that fails is
 * told, with the command that shows it step by step. Exit code 0: none failed. */
#include "tests/sim/history.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void usage(FILE *to)
{
    fputs("simulate [--seed S] [--histories N] [--seconds T] [--without WHAT] [--trace]\n"
          "  histories of debitd against an imitated Kafka, PostgreSQL and clock, each from its "
          "seed\n"
          "  --seed S       of the first history (default 1); the others follow\n"
          "  --histories N  how many (default 1000)\n"
          "  --seconds T    as many as fit into T seconds instead\n"
          "  --without WHAT takes a guard away, to see that it is missed:",
          to);
    for (int i = 1; i < TEETH; i++)
        fprintf(to, " %s", tooth_names[i]);
    fputs("\n  --trace        prints every step\n", to);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static enum tooth tooth_of(const char *name)
{
    for (int i = 1; i < TEETH; i++)
        if (strcmp(tooth_names[i], name) == 0)
            return (enum tooth)i;
    fprintf(stderr, "simulate: --without %s: there is no such guard\n", name);
    usage(stderr);
    exit(64);
}

static uint64_t number(const char *option, const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);

    if (*text >= '0' && *text <= '9' && *end == '\0')
        return n;
    fprintf(stderr, "simulate: --%s %s: is no number\n", option, text);
    exit(64);
}

static void tell(double seconds)
{
    const struct history_counts *c = &history_counts;

    printf("%" PRIu64 " histories in %.1f s (%.0f a second), %" PRIu64 " steps, %" PRIu64
           " messages, %.1f hours of virtual time\n",
           c->histories, seconds, (double)c->histories / seconds, c->steps, c->messages,
           (double)c->virtual_us / 3.6e9);
    printf("  daemons: %" PRIu64 " kill -9, %" PRIu64 " stopped for a while, %" PRIu64
           " asked to end\n",
           c->kills, c->pauses, c->stops);
    printf("    at points worth it: %" PRIu64 ", writers fenced: %" PRIu64 "\n", c->points,
           c->fenced_writers);
    printf("  PostgreSQL:  %" PRIu64 " commits, %" PRIu64 " crashes, %" PRIu64
           " connections cut, %" PRIu64 " with statements still on their way\n",
           c->commits, c->crashes, c->cuts, c->ghosts);
    printf("  Kafka: %" PRIu64 " rebalances, %" PRIu64 " topics given to nobody, %" PRIu64
           " rewinds, %" PRIu64 " batches skipped, %" PRIu64 " times leftovers, %" PRIu64
           " partitions stuck, %" PRIu64 " leaders behind, %" PRIu64 " commits unanswered, %" PRIu64
           " fenced, %" PRIu64 " messages too large\n",
           c->rebalances, c->orphaned, c->rewinds, c->skips, c->leftovers, c->stuck, c->behind,
           c->unknown_commits, c->fenced, c->refused);
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "seed", required_argument, NULL, 's' },
                                             { "histories", required_argument, NULL, 'n' },
                                             { "seconds", required_argument, NULL, 't' },
                                             { "without", required_argument, NULL, 'w' },
                                             { "trace", no_argument, NULL, 'x' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    uint64_t seed = 1, histories = 1000, seconds = 0;
    enum tooth tooth = TOOTH_NONE;
    bool trace = false;

    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 's')
            seed = number("seed", optarg);
        else if (o == 'n')
            histories = number("histories", optarg);
        else if (o == 't')
            seconds = number("seconds", optarg);
        else if (o == 'w')
            tooth = tooth_of(optarg);
        else if (o == 'x')
            trace = true;
        else {
            usage(o == 'h' ? stdout : stderr);
            return o == 'h' ? 0 : 64;
        }
    }
    double began = now();
    for (uint64_t i = 0; seconds ? now() - began < (double)seconds : i < histories; i++)
        if (!history_run(seed + i, tooth, trace)) {
            printf("seed %" PRIu64 " fails: %s\n  step by step: %s --seed %" PRIu64
                   " --histories 1 --trace%s%s\n",
                   seed + i, sim.failure, argv[0], seed + i, tooth ? " --without " : "",
                   tooth ? tooth_names[tooth] : "");
            tell(now() - began);
            return 1;
        }
    tell(now() - began);
    return 0;
}
