/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_test: the whole server, simulated from seeds.
 *
 *   sim_test                        several hundred seeds
 *   sim_test --seeds K [--first S]  K seeds from S on
 *   sim_test --seed N [--verbose]   one, in this process: what it prints is the same each time
 *
 * Each run of seeds is in a child process, which says in shared memory where it is: so a failed
 * CHECK or a sanitizer's report costs one seed, whose number is printed, and the rest goes on.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "tests/sim/sim_run.h"
#include "tests/sim/sim_stats.h"

enum {
    SEED_COUNT_DEFAULT = 500,
    SEEDS_PER_CHILD = 50,
    SEED_SECONDS_MAX = 120,     /* hundreds of times what one takes: something turns in a circle */
    SEEDS_FOR_ALL_FAULTS = 300, /* from so many on, every kind of fault must have happened */
};

struct shared {
    struct sim_stats stats;
    uint64_t seed; /* that the child is at */
};

struct arguments {
    uint64_t first;
    uint64_t count;
    bool is_one;
    bool is_verbose;
};

static bool read_number(const char *text, uint64_t *number)
{
    char *end;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    *arguments = (struct arguments){.first = 1, .count = SEED_COUNT_DEFAULT};
    for (int i = 1; i < argc; i++) {
        const bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--verbose") == 0) {
            arguments->is_verbose = true;
        } else if (strcmp(argv[i], "--seed") == 0 && has_value) {
            arguments->is_one = true;
            arguments->count = 1;
            if (!read_number(argv[++i], &arguments->first)) {
                return false;
            }
        } else if (strcmp(argv[i], "--seeds") == 0 && has_value) {
            if (!read_number(argv[++i], &arguments->count)) {
                return false;
            }
        } else if (strcmp(argv[i], "--first") == 0 && has_value) {
            if (!read_number(argv[++i], &arguments->first)) {
                return false;
            }
        } else {
            return false;
        }
    }
    return arguments->count > 0;
}

/* In the child. Ends the process, so that LeakSanitizer looks when all was well. */
static void run_seeds(struct shared *shared, uint64_t end)
{
    while (shared->seed < end) {
        (void)alarm(SEED_SECONDS_MAX);
        if (!sim_run_seed(shared->seed, false, &shared->stats)) {
            (void)fflush(NULL);
            _exit(EXIT_FAILURE);
        }
        shared->seed++;
    }
    exit(EXIT_SUCCESS);
}

/* Runs seeds up to `end` in a child. True: all were good; else shared->seed is the bad one. */
static bool run_child(struct shared *shared, uint64_t end)
{
    (void)fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        run_seeds(shared, end);
    }
    int status = 0;
    const pid_t ended = waitpid(child, &status, 0);
    CHECK(ended == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) {
        return true;
    }
    if (shared->seed == end) {
        shared->seed--; /* all was well until the end of the process: a leak of any of them */
        (void)fprintf(stderr, "a leak, in one of the seeds up to this one:\n");
    }
    (void)fprintf(stderr, "failed: sim_test --seed %" PRIu64 " --verbose\n", shared->seed);
    return false;
}

static uint64_t run_all(struct shared *shared, const struct arguments *arguments)
{
    const uint64_t end = arguments->first + arguments->count;
    uint64_t failed = 0;

    shared->seed = arguments->first;
    while (shared->seed < end) {
        const uint64_t left = end - shared->seed;
        const uint64_t until =
            shared->seed + (left < SEEDS_PER_CHILD ? left : (uint64_t)SEEDS_PER_CHILD);
        if (!run_child(shared, until)) {
            failed++;
            shared->seed++;
        }
    }
    return failed;
}

/* What happened. Returns how many kinds never did. */
static uint64_t print_exposure(const struct sim_stats *stats)
{
    uint64_t never = 0;

    (void)printf("exposure:");
    for (int i = 0; i < SIM_STAT_COUNT; i++) {
        (void)printf(" %s %" PRIu64, sim_stats_name((enum sim_stat)i), stats->values[i]);
        never += stats->values[i] == 0;
    }
    (void)printf("\n");
    return never;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!read_arguments(argc, argv, &arguments)) {
        (void)fprintf(stderr, "usage: sim_test [--seeds K [--first S] | --seed N [--verbose]]\n");
        return EXIT_FAILURE;
    }
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);

    uint64_t failed = 0;
    if (arguments.is_one) {
        failed = !sim_run_seed(arguments.first, arguments.is_verbose, &shared->stats);
    } else {
        failed = run_all(shared, &arguments);
    }
    const uint64_t never = print_exposure(&shared->stats);
    if (arguments.count >= SEEDS_FOR_ALL_FAULTS && never > 0) {
        (void)fprintf(stderr, "%" PRIu64 " of these never happened: nothing was shown\n", never);
        failed += failed == 0;
    }
    (void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n", arguments.count - failed, failed);
    (void)fflush(NULL);
    if (failed > 0) {
        _exit(EXIT_FAILURE);
    }
    return EXIT_SUCCESS;
}
