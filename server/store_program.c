/* SPDX-License-Identifier: Apache-2.0 */
#include "server/store_program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "server/config.h"

enum { EXIT_USAGE = 2, ARGUMENTS_MAX = 32 };

static const char name[] = "parley-store";

static const char usage[] =
    "usage: parleyd store stat|verify [-c FILE | --path DIR] [--json] [--live]\n"
    "       parleyd store export [-c FILE | --path DIR] [--live] CHANNEL\n";

int store_program_find(char path[STORE_PROGRAM_PATH_SIZE])
{
    const ssize_t size = readlink("/proc/self/exe", path, STORE_PROGRAM_PATH_SIZE - 1);
    if (size > 0) {
        path[size] = '\0';
        char *const slash = strrchr(path, '/');
        if (slash != NULL && (size_t)(slash - path) + 1 + sizeof(name) <= STORE_PROGRAM_PATH_SIZE) {
            memcpy(slash + 1, name, sizeof(name));
            if (access(path, X_OK) == 0) {
                return 0;
            }
        }
    }
    (void)snprintf(path, STORE_PROGRAM_PATH_SIZE, "%s/%s", PARLEY_LIBEXEC, name);
    return access(path, X_OK) == 0 ? 0 : -errno;
}

/* What follows `-c`, `--config` or `--config=` at argv[*index], which then is past it; or NULL. */
static const char *take_config_file(int argc, char **argv, int *index)
{
    static const char with_value[] = "--config=";
    const char *const flag = argv[*index];

    if (strncmp(flag, with_value, sizeof(with_value) - 1) == 0) {
        return flag + sizeof(with_value) - 1;
    }
    if ((strcmp(flag, "-c") == 0 || strcmp(flag, "--config") == 0) && *index + 1 < argc) {
        (*index)++;
        return argv[*index];
    }
    return NULL;
}

/*
 * The path that a configuration has, or false and a line on standard error. Not inlined, because a
 * configuration and a path of the kernel's size are too much for one frame.
 */
__attribute__((noinline)) static bool load_path(const char *file, char path[CONFIG_PATH_SIZE])
{
    char error[CONFIG_ERROR_SIZE] = "";
    struct config config;

    if (config_load_file(file, &config, error, sizeof(error)) != 0) {
        (void)fprintf(stderr, "parleyd: %s\n", error);
        return false;
    }
    memcpy(path, config.store.path, CONFIG_PATH_SIZE);
    config_destroy(&config);
    if (path[0] == '\0') {
        (void)fprintf(stderr, "parleyd: %s: there is no store.path in it\n", file);
        return false;
    }
    return true;
}

int store_program_run(int argc, char **argv)
{
    char program[STORE_PROGRAM_PATH_SIZE];
    char path[CONFIG_PATH_SIZE];
    char option[] = "--path";
    char *arguments[ARGUMENTS_MAX + 4];
    size_t count = 0;

    if (argc < 2 || argc > ARGUMENTS_MAX) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    arguments[count++] = program;
    arguments[count++] = argv[1];
    for (int i = 2; i < argc; i++) {
        const char *const file = take_config_file(argc, argv, &i);
        if (file == NULL) {
            arguments[count++] = argv[i];
            continue;
        }
        if (!load_path(file, path)) {
            return EXIT_USAGE;
        }
        arguments[count++] = option;
        arguments[count++] = path;
    }
    CHECK(count < sizeof(arguments) / sizeof(arguments[0]));
    arguments[count] = NULL;
    int result = store_program_find(program);
    if (result == 0) {
        (void)execv(program, arguments);
        result = -errno;
    }
    (void)fprintf(stderr, "parleyd: %s: %s\n", program, strerror(-result));
    return EXIT_USAGE;
}
