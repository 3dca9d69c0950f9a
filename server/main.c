/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parleyd: reads flags and configuration, and hands over to the control.
 */
#include "version.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/cpu.h"
#include "core/log.h"
#include "core/logger.h"
#include "net/backend_choose.h"
#include "net/tls_memory.h"
#include "proto/simd.h"
#include "server/args.h"
#include "server/config.h"
#include "server/config_source.h"
#include "server/control.h"
#include "server/explain.h"
#include "server/libraries.h"
#include "server/listening.h"
#include "server/memory.h"
#include "server/settings.h"
#include "server/store_program.h"
#include "server/token_program.h"

enum { EXIT_USAGE = 2 };

static void print_version(void)
{
    const struct backend_ops *backend;
    char reason[BACKEND_REASON_SIZE];
    const int chosen = backend_choose(BACKEND_AUTO, &backend, reason);
    char libraries[LIBRARIES_SIZE_MAX];
    libraries_describe(libraries);

    (void)printf("parleyd %s\n%s", PARLEY_VERSION PARLEY_COMMIT, libraries);
    (void)printf("back end %s%s\n", chosen == 0 ? "" : "none: ", reason);
    (void)printf("SIMD     %s\n", cpu_simd_name(simd_choose(CPU_SIMD_AVX512)->level));
}

/* Every connection is a file: as many as we may have. */
static uint64_t raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

/* Do the files that it names hold what they should? */
static bool files_are_good(const struct config *config, char *error, size_t error_size)
{
    struct listening listening;
    struct settings *settings = settings_create(config, NULL, NULL, error, error_size);
    if (settings == NULL) {
        return false;
    }
    settings_destroy(settings);
    const int result = listening_init(&listening, config, error, error_size);
    listening_deinit(&listening);
    return result == 0;
}

/* All of it as it is used. */
static int show_config(const struct config *config)
{
    char error[CONFIG_ERROR_SIZE] = "";

    if (!files_are_good(config, error, sizeof(error))) {
        (void)fprintf(stderr, "parleyd: %s\n", error);
        return EXIT_USAGE;
    }
    return config_describe(config, stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(const struct config_source *source, const struct config *config)
{
    const struct logger_options options = {
        .format = config->log.format == CONFIG_LOG_JSON ? LOGGER_JSON : LOGGER_LOGFMT,
        .level = (enum log_level)config->log.level,
        .fd = STDERR_FILENO,
    };
    struct logger *logger = logger_create(&options);
    if (logger == NULL || logger_start(logger) != 0) {
        (void)fprintf(stderr, "parleyd: no log could be started\n");
        logger_destroy(logger);
        return EXIT_FAILURE;
    }
    char error[CONFIG_ERROR_SIZE] = "";
    const int result = control_run(source, config, logger, error, sizeof(error));
    logger_destroy(logger);
    if (result != 0) {
        (void)fprintf(stderr, "parleyd: %s\n", error);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct args args;
    char error[CONFIG_ERROR_SIZE] = "";

    (void)signal(SIGPIPE, SIG_IGN);
    if (!tls_memory_count()) { /* something that was preloaded uses OpenSSL */
        (void)fprintf(stderr, "parleyd: what OpenSSL takes is not counted\n");
    }
    if (argc > 1 && strcmp(argv[1], "store") == 0) {
        return store_program_run(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "explain") == 0) {
        return explain_run(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "gentoken") == 0) {
        return token_program_generate(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "checktoken") == 0) {
        return token_program_check(argc - 1, argv + 1);
    }
    switch (args_parse(argc, argv, &args, error, sizeof(error))) {
    case ARGS_RUN:
        break;
    case ARGS_HELP:
        return EXIT_SUCCESS;
    case ARGS_BAD:
        (void)fprintf(stderr, "parleyd: %s\n", error);
        return EXIT_USAGE;
    }
    if (args.version) {
        print_version();
        return EXIT_SUCCESS;
    }
    if (!libraries_are_new(error)) {
        (void)fprintf(stderr, "parleyd: %s\n", error);
        return EXIT_FAILURE;
    }
    struct config_source source = {
        .args = &args,
        .facts = {.cpu_count = (uint32_t)cpu_count(), .open_files_max = raise_open_files()},
    };
    memory_limit_find(&source.memory, "");
    source.facts.memory_max = source.memory.bytes;
    struct config config;
    if (config_source_read(&source, &config, error, sizeof(error)) != 0) {
        (void)fprintf(stderr, "parleyd: %s\n", error);
        return EXIT_USAGE;
    }
    const int status = args.check_config ? show_config(&config) : run(&source, &config);
    config_destroy(&config);
    return status;
}
