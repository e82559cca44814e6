/* The command line of debitd; the only reader of argv. */
#include "app.h"

#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

static const char help_text[] =
    "debitd [--config FILE]\n"
    "Books usage events from Kafka into PostgreSQL, priced, exactly once, and publishes alerts.\n"
    "\n"
    "  -c, --config FILE   the configuration (default: " CONFIG_PATH ", where it exists)\n"
    "      --check-config  says ok, or everything that is wrong with it; touches no network\n"
    "      --dump-config   shows the values in effect and where they come from, without secrets\n"
    "      --version\n"
    "      --help\n"
    "\n"
    "SIGTERM commits what it has and stops; SIGHUP reads the configuration again.\n"
    "Exit codes: 0 stopped; 64 wrong use; 70 a defect; 75 to be started again; 77 PostgreSQL does "
    "not let it;\n"
    "78 configuration, or a schema that is not this version's. Everything else is waited for.\n";

enum mode { MODE_RUN, MODE_CHECK, MODE_DUMP };

static int wrong_use(const char *what, const char *with)
{
    fprintf(stderr, "debitd: %s%s; see debitd --help\n", what, with);
    return EX_USAGE;
}

static int explain(const char *path, enum mode mode)
{
    struct config config = CONFIG_NULL;
    struct buffer text = BUFFER_NULL;
    int findings = app_check(path, &config, &text);
    if (findings) {
        fputs(buffer_cstr(&text), stderr);
    } else if (mode == MODE_DUMP) {
        config_dump(&config, &text);
        fputs(buffer_cstr(&text), stdout);
    } else {
        puts("ok");
    }
    buffer_fini(&text);
    config_fini(&config);
    return findings ? EX_CONFIG : fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' }, { "check-config", no_argument, NULL, 'k' },
        { "dump-config", no_argument, NULL, 'd' },  { "version", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
    };
    const char *path = NULL;
    enum mode mode = MODE_RUN;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":c:h", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            mode = MODE_CHECK;
            break;
        case 'd':
            mode = MODE_DUMP;
            break;
        case 'v':
            puts("debitd " DEBITD_VERSION);
            return EX_OK;
        case 'h':
            fputs(help_text, stdout);
            return EX_OK;
        case ':':
            return wrong_use("a FILE is missing behind ", argv[optind - 1]);
        default:
            return wrong_use("unknown option ", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return wrong_use("it takes no arguments, but there is ", argv[optind]);
    return mode == MODE_RUN ? app_run(path) : explain(path, mode);
}
