/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parley-store: the engine of the durable store in a process of its own, as the child of parleyd;
 * and what people ask a store that lies on a disk.
 */
#include "version.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/child.h"
#include "store/gather.h"
#include "store/inspect.h"
#include "store/rocksdb_tool.h"
#include "store/spawn.h"

enum {
    EXIT_USAGE = 2,
    SOCKET_FD = 3, /* where the parent puts them */
    READS_FD = 4,
    ORPHAN_SECONDS = 10, /* that a child without a parent may take to store what it has read */
    BUFFER_MIB_MAX = 4096,
    LINGER_US_MAX = 2000,
    GROUP_KIB_MAX = 65536,
};

static const char usage[] =
    "usage: parley-store stat|verify --path DIR [--json] [--live]\n"
    "       parley-store export --path DIR [--live] CHANNEL\n"
    "       parley-store serve --path DIR [OPTION...]     (parleyd does that)\n"
    "\n"
    "The durable store of parleyd.\n"
    "\n"
    "  stat     how much there is\n"
    "  verify   reads everything; exit status 1 and a line for each channel that is damaged\n"
    "  export   the publications of a channel, a line of JSON each\n"
    "  --path   the directory of the store\n"
    "  --json   lines of JSON instead of text\n"
    "  --live   look also while a server has the store open\n"
    "\n"
    "serve speaks on the sockets that are descriptors 3 and 4:\n"
    "  --write-buffer MIB   a table in memory (64)     --block-cache MIB   (64)\n"
    "  --open-files N       (512)                      --streams N         states kept (262144)\n"
    "  --group KIB          a group commit (1024)      --linger US         its age (1000)\n"
    "  --free MIB           of the disk that stay free (256)\n"
    "  --sweep N            streams per second whose age is looked at (500)\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 fine, 1 damaged, 2 usage, 3 the store cannot be opened, 4 the parent broke "
    "the\n"
    "rules,\n5 a commit failed, 6 damaged and could not be repaired.\n";

struct arguments {
    struct inspect_options inspect;
    uint64_t table; /* of drop-table, which is for ourselves: rocksdb_tool.h */
    struct child_options child;
};

enum flag {
    OPTION_PATH = 256,
    OPTION_JSON,
    OPTION_LIVE,
    OPTION_WRITE_BUFFER,
    OPTION_BLOCK_CACHE,
    OPTION_OPEN_FILES,
    OPTION_STREAMS,
    OPTION_GROUP,
    OPTION_LINGER,
    OPTION_FREE,
    OPTION_SWEEP,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option options[] = {
    {"path", required_argument, NULL, OPTION_PATH},
    {"json", no_argument, NULL, OPTION_JSON},
    {"live", no_argument, NULL, OPTION_LIVE},
    {"write-buffer", required_argument, NULL, OPTION_WRITE_BUFFER},
    {"block-cache", required_argument, NULL, OPTION_BLOCK_CACHE},
    {"open-files", required_argument, NULL, OPTION_OPEN_FILES},
    {"streams", required_argument, NULL, OPTION_STREAMS},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"linger", required_argument, NULL, OPTION_LINGER},
    {"free", required_argument, NULL, OPTION_FREE},
    {"sweep", required_argument, NULL, OPTION_SWEEP},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

_Noreturn static void refuse(const char *what)
{
    (void)fprintf(stderr, "parley-store: %s\n", what);
    exit(EXIT_USAGE);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max) {
        char sentence[160];
        (void)snprintf(sentence, sizeof(sentence), "%.40s is no number from %llu to %llu", text,
                       (unsigned long long)min, (unsigned long long)max);
        refuse(sentence);
    }
    return value;
}

static void take_serve_option(struct arguments *arguments, int option, const char *value)
{
    struct child_options *const child = &arguments->child;
    switch (option) {
    case OPTION_WRITE_BUFFER:
        child->engine.write_buffer_bytes = number(value, 1, BUFFER_MIB_MAX) << 20;
        break;
    case OPTION_BLOCK_CACHE:
        child->engine.block_cache_bytes = number(value, 1, BUFFER_MIB_MAX) << 20;
        break;
    case OPTION_OPEN_FILES:
        child->engine.open_files_max = (uint32_t)number(value, 32, 1 << 20);
        break;
    case OPTION_STREAMS:
        child->streams_max = (uint32_t)number(value, GATHER_STREAMS_MIN, 1 << 26);
        break;
    case OPTION_GROUP:
        child->group_bytes_max = (uint32_t)number(value, 1, GROUP_KIB_MAX) << 10;
        break;
    case OPTION_LINGER:
        child->linger_us = (uint32_t)number(value, 0, LINGER_US_MAX);
        break;
    case OPTION_FREE:
        child->free_bytes_min = number(value, 0, UINT32_MAX) << 20;
        break;
    case OPTION_SWEEP:
        child->sweep_per_s = (uint32_t)number(value, 1, 1000000);
        break;
    default:
        exit(EXIT_USAGE);
    }
}

static void take_option(struct arguments *arguments, int option, const char *value)
{
    switch (option) {
    case OPTION_PATH:
        arguments->inspect.path = value;
        arguments->child.engine.path = value;
        break;
    case OPTION_JSON:
        arguments->inspect.json = true;
        break;
    case OPTION_LIVE:
        arguments->inspect.live = true;
        break;
    case OPTION_HELP:
        (void)fputs(usage, stdout);
        exit(EXIT_SUCCESS);
    case OPTION_VERSION:
        (void)printf("parley-store %s\n", PARLEY_VERSION PARLEY_COMMIT);
        exit(EXIT_SUCCESS);
    default:
        take_serve_option(arguments, option, value);
    }
}

static void on_orphaned(int signal_number)
{
    (void)signal_number;
    (void)alarm(ORPHAN_SECONDS);
}

/*
 * Ctrl-C and a service manager's SIGTERM go to the whole group; it is the parent who says when the
 * end has come, by closing the socket. When it dies, the socket ends too, and a time limit begins.
 */
static void settle_signals(void)
{
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    const struct sigaction orphaned = {.sa_handler = on_orphaned, .sa_flags = SA_RESTART};
    (void)sigaction(SIGUSR1, &orphaned, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGUSR1);
}

static bool is_socket(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

static int serve(struct arguments *arguments)
{
    if (!is_socket(SOCKET_FD) || !is_socket(READS_FD)) {
        refuse("serve is for parleyd, which starts it with sockets as descriptors 3 and 4");
    }
    settle_signals();
    switch (child_run(&arguments->child)) {
    case CHILD_ENDED:
        return EXIT_SUCCESS;
    case CHILD_NOT_OPENED:
    case CHILD_NO_MEMORY:
        return 3;
    case CHILD_NOT_TALKING:
        return 4;
    case CHILD_NOT_STORED:
        return 5;
    case CHILD_NOT_REPAIRED:
        return SPAWN_NOT_REPAIRED;
    }
    return EXIT_FAILURE;
}

static int dispatch(struct arguments *arguments, const char *command, int rest)
{
    const bool exports = strcmp(command, "export") == 0;
    const bool has_operand = exports || strcmp(command, "drop-table") == 0;
    if (arguments->inspect.path == NULL) {
        refuse("--path DIR is missing");
    }
    if (rest != (has_operand ? 1 : 0)) {
        refuse(has_operand ? "export wants one CHANNEL" : "there is one argument too many");
    }
    if (strcmp(command, "serve") == 0) {
        return serve(arguments);
    }
    if (strcmp(command, "drop-table") == 0) {
        rocksdb_tool_drop_table(arguments->inspect.path, arguments->table);
    }
    int status = EXIT_USAGE;
    if (exports) {
        status = (int)inspect_export(&arguments->inspect);
    } else if (strcmp(command, "stat") == 0) {
        status = (int)inspect_stat(&arguments->inspect);
    } else if (strcmp(command, "verify") == 0) {
        status = (int)inspect_verify(&arguments->inspect);
    } else {
        refuse("no such command; --help lists them");
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        refuse("stdout cannot be written to");
    }
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {
        .inspect = {.ops = &engine_rocksdb},
        .child = {.ops = &engine_rocksdb,
                  .engine = {.mode = ENGINE_CREATE,
                             .write_buffer_bytes = 64 << 20,
                             .block_cache_bytes = 64 << 20,
                             .open_files_max = 512},
                  .fd = SOCKET_FD,
                  .reads_fd = READS_FD,
                  .group_bytes_max = 1 << 20,
                  .linger_us = 1000,
                  .streams_max = 262144,
                  .sweep_per_s = 500,
                  .free_bytes_min = 256 << 20},
    };
    for (;;) {
        const int option = getopt_long(argc, argv, "", options, NULL);
        if (option == -1) {
            break;
        }
        take_option(&arguments, option, optarg);
    }
    if (optind >= argc) {
        refuse("it is the store of parleyd and does nothing alone; --help says what can be asked");
    }
    const char *const command = argv[optind];
    if (strcmp(command, "export") == 0 && optind + 1 < argc) {
        arguments.inspect.channel = argv[optind + 1];
    }
    if (strcmp(command, "drop-table") == 0 && optind + 1 < argc) {
        arguments.table = number(argv[optind + 1], 1, UINT64_MAX);
    }
    return dispatch(&arguments, command, argc - optind - 1);
}
