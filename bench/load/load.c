/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/load/conductor.h"
#include "bench/load/knee.h"
#include "bench/load/options.h"
#include "bench/load/report.h"
#include "bench/load/stop.h"
#include "bench/load/tokens.h"

enum {
    EXIT_SIGNAL = 128,     /* and the number of the signal, as shells have it */
    SPARE_FILE_COUNT = 32, /* open files besides connections and threads */
    FILES_PER_THREAD = 8,
};

/* -- before it begins -------------------------------------------------------------------------- */

static bool can_write(const char *path)
{
    const int result = path == NULL ? 0 : report_try(path);
    if (result != 0) {
        (void)fprintf(stderr, "parley-bench: %s: %s\n", path, strerror(-result));
    }
    return result == 0;
}

static bool has_open_files(const struct options *options)
{
    struct rlimit limit;
    const uint64_t needed =
        options->connections + SPARE_FILE_COUNT + (uint64_t)FILES_PER_THREAD * options->threads;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || needed <= limit.rlim_cur) {
        return true;
    }
    (void)fprintf(stderr,
                  "parley-bench: --connections %u needs %llu open files, and this process may have "
                  "%llu (ulimit -Hn)\n",
                  options->connections, (unsigned long long)needed,
                  (unsigned long long)limit.rlim_cur);
    return false;
}

static bool find_server(struct options *options)
{
    char error[TARGET_ERROR_SIZE];

    if (!target_resolve(&options->target, error)) {
        (void)fprintf(stderr, "parley-bench: %s\n", error);
        return false;
    }
    return true;
}

static bool find_tokens(const struct options *options, struct tokens **tokens)
{
    char error[TOKENS_ERROR_SIZE];

    if (options->tokens_file != NULL && tokens_read(options->tokens_file, tokens, error) != 0) {
        (void)fprintf(stderr, "parley-bench: --tokens: %s\n", error);
        return false;
    }
    return true;
}

/* -- the report -------------------------------------------------------------------------------- */

static bool write_file(const struct report *report, const char *path,
                       int (*write)(const struct report *report, const char *path))
{
    const int result = path == NULL ? 0 : write(report, path);
    if (result != 0) {
        (void)fprintf(stderr, "parley-bench: %s: %s\n", path, strerror(-result));
    }
    return result == 0;
}

/* In all of its forms, whatever becomes of one of them. False: one could not be written. */
static bool tell(const struct report *report)
{
    report_write_text(report, stdout);
    const bool is_told = fflush(stdout) == 0;
    if (!is_told) {
        (void)fprintf(stderr, "parley-bench: standard output: %s\n", strerror(errno));
    }
    const bool has_json = write_file(report, report->options->json_file, report_write_json);
    const bool has_html = write_file(report, report->options->html_file, report_write_html);
    return is_told && has_json && has_html;
}

/* -- all of it --------------------------------------------------------------------------------- */

static int run_once(const struct options *options, const struct tokens *tokens, struct stop *stop,
                    const char *command_line)
{
    struct conductor *conductor = conductor_create(options, tokens, stop, command_line);
    int status = EXIT_FAILURE;

    if (conductor == NULL) {
        (void)fprintf(stderr, "parley-bench: %s\n", strerror(ENOMEM));
    } else if (conductor_perform(conductor) == 0) {
        const struct report *report = conductor_report(conductor);
        status = tell(report) && report_is_clean(report) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    conductor_destroy(conductor);
    return status;
}

static int run_many(const struct options *options, const struct tokens *tokens, struct stop *stop,
                    const char *command_line)
{
    struct knee *knee = knee_find(options, tokens, stop, command_line);
    int status = EXIT_FAILURE;

    if (knee == NULL) {
        (void)fprintf(stderr, "parley-bench: %s\n", strerror(ENOMEM));
    } else if (knee_report(knee) != NULL) {
        status = tell(knee_report(knee)) && knee_is_found(knee) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    knee_free(knee);
    return status;
}

int load_run(const struct options *wanted, struct stop *stop, const char *command_line)
{
    struct options options = *wanted;
    struct tokens *tokens = NULL;

    if (!can_write(options.json_file) || !can_write(options.html_file) ||
        !has_open_files(&options) || !find_server(&options) || !find_tokens(&options, &tokens)) {
        return EXIT_FAILURE;
    }
    const int status = options.find_max ? run_many(&options, tokens, stop, command_line)
                                        : run_once(&options, tokens, stop, command_line);
    tokens_destroy(tokens);
    return stop->signal == 0 ? status : EXIT_SIGNAL + stop->signal;
}
