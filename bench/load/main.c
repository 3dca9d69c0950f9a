/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parley-bench: reads the command line and hands over to the load, or to the floor.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/load/floor.h"
#include "bench/load/load.h"
#include "bench/load/options.h"
#include "bench/load/stop.h"
#include "net/backend_choose.h"
#include "net/listener.h"

enum {
    EXIT_USAGE = 2,
    BACKLOG = 4096,
    FLOOR_CONN_COUNT_MAX = 1000000,
    COMMAND_LINE_SIZE = 1024, /* bytes; what is longer is cut in the report */
};

static void raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* else as many connections as there are files */
    }
}

static int serve_floor(const struct options *options, const struct stop *stop)
{
    const struct listener_options listener = {.address = options->listen, .backlog = BACKLOG};
    struct floor_options floor = {
        .stop_fd = stop->fd, .kind = options->floor_kind, .conn_count_max = FLOOR_CONN_COUNT_MAX};
    char text[ADDRESS_TEXT_SIZE_MAX];

    int result = listener_open(&listener, &floor.listener_fd);
    if (result == 0) {
        struct address bound;
        if (listener_address(floor.listener_fd, &bound) != 0) {
            bound = options->listen;
        }
        (void)address_format(&bound, text);
        (void)printf("floor listens on tcp://%s\n", text);
        (void)fflush(stdout);
        result =
            options->backend == BACKEND_EPOLL ? floor_run_epoll(&floor) : floor_run_uring(&floor);
        (void)close(floor.listener_fd);
    }
    if (result != 0) {
        (void)address_format(&options->listen, text);
        (void)fprintf(stderr, "parley-bench: floor on %s: %s\n", text, strerror(-result));
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static void join_words(int argc, char **argv, char text[COMMAND_LINE_SIZE])
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < argc && used < COMMAND_LINE_SIZE; i++) {
        const int size =
            snprintf(text + used, COMMAND_LINE_SIZE - used, "%s%s", i > 0 ? " " : "", argv[i]);
        used += size > 0 ? (size_t)size : 0;
    }
}

int main(int argc, char **argv)
{
    char command_line[COMMAND_LINE_SIZE];
    char error[OPTIONS_ERROR_SIZE];
    struct options options;
    struct stop stop;

    (void)signal(SIGPIPE, SIG_IGN);
    join_words(argc, argv, command_line);
    switch (options_parse(argc, argv, &options, error)) {
    case OPTIONS_RUN:
        break;
    case OPTIONS_DONE:
        return EXIT_SUCCESS;
    case OPTIONS_BAD:
        (void)fprintf(stderr, "parley-bench: %s\n", error);
        return EXIT_USAGE;
    }
    raise_open_files();
    const int result = stop_open(&stop);
    if (result != 0) {
        (void)fprintf(stderr, "parley-bench: signals: %s\n", strerror(-result));
        return EXIT_FAILURE;
    }
    const int status = options.scenario == OPTIONS_FLOOR ? serve_floor(&options, &stop)
                                                         : load_run(&options, &stop, command_line);
    stop_close(&stop);
    return status;
}
