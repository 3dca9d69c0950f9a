/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/conductor_private.h"
#include "bench/load/progress.h"
#include "bench/load/scenario.h"
#include "core/check.h"
#include "core/cpu.h"
#include "net/backend_choose.h"
#include "net/tls_config.h"
#include "proto/simd.h"

/* -- threads, and what they share -------------------------------------------------------------- */

static const struct scenario_ops *scenario_of(const struct options *options)
{
    switch (options->scenario) {
    case OPTIONS_ECHO:
    case OPTIONS_FANOUT:
    case OPTIONS_CHAT:
        return &scenario_traffic_ops;
    case OPTIONS_CONNECT:
        return &scenario_connect_ops;
    case OPTIONS_IDLE:
        return &scenario_idle_ops;
    case OPTIONS_FLOOR:
        break;
    }
    NEVER("the floor is no load");
}

static int create_shared(struct run *run)
{
    const struct options *options = run->options;
    const size_t slot_count = (size_t)options->publishers * options->window;

    if (options->has_storm) {
        storm_init(&run->storm, options->connections, options->publishers);
    }
    run->source =
        payload_source_create(options->script, payload_sizes_max(&options->sizes), options->seed);
    run->slots = calloc(slot_count + 1, sizeof(*run->slots));
    run->completed = calloc(options->publishers, sizeof(*run->completed));
    run->numbers = calloc(options->publishers, sizeof(*run->numbers));
    run->member_counts = calloc(options->rooms, sizeof(*run->member_counts));
    run->workers = calloc(options->threads, sizeof(struct worker *));
    return run->source == NULL || run->slots == NULL || run->completed == NULL ||
                   run->numbers == NULL || run->member_counts == NULL || run->workers == NULL
               ? -ENOMEM
               : 0;
}

static int start_workers(struct conductor *conductor)
{
    struct run *run = &conductor->run;
    const struct options *options = &conductor->options;
    int result = 0;

    for (uint32_t i = 0; i < options->threads; i++) {
        run->workers[i] = worker_create(run, i, scenario_of(options), &result);
        if (run->workers[i] == NULL) {
            return result;
        }
    }
    for (uint32_t i = 0; i < options->threads; i++) {
        const int cpu =
            options->cpu_count > 0 ? options->cpus[i % options->cpu_count] : THREAD_NOT_PINNED;
        result = thread_start("load", cpu, worker_run, run->workers[i], &run->workers[i]->thread);
        if (result != 0) {
            if (cpu != THREAD_NOT_PINNED) {
                (void)fprintf(stderr, "parley-bench: --cpu: no thread of ours can be on %d\n", cpu);
            }
            return result;
        }
        conductor->started++;
    }
    return 0;
}

/* For wss:// what TLS needs. 0 or -errno, and then the reason was printed. */
static int create_tls(struct run *run)
{
    const struct options *options = run->options;
    const struct tls_config_trust trust = {.host = options->target.name,
                                           .ca_file = options->ca_file,
                                           .insecure = options->tls_insecure};
    char error[TLS_CONFIG_ERROR_SIZE];

    if (options->target.scheme != TARGET_WSS) {
        return 0;
    }
    run->tls = tls_config_create_client(&trust, error);
    if (run->tls == NULL) {
        (void)fprintf(stderr, "parley-bench: %s\n", error);
        return -EINVAL;
    }
    return 0;
}

int conductor_start(struct conductor *conductor)
{
    struct run *run = &conductor->run;
    char reason[BACKEND_REASON_SIZE];

    int result = backend_choose(conductor->options.backend, &run->backend, reason);
    if (result != 0) {
        (void)fprintf(stderr, "parley-bench: %s\n", reason);
        return result;
    }
    conductor->report.backend = backend_name(run->backend);
    run->simd = simd_choose(cpu_simd_best());
    result = create_tls(run);
    if (result != 0) {
        return result;
    }
    result = create_shared(run);
    if (result == 0) {
        result = start_workers(conductor);
    }
    if (result != 0) {
        (void)fprintf(stderr, "parley-bench: cannot begin: %s\n", strerror(-result));
    }
    return result;
}

void conductor_end(struct conductor *conductor)
{
    struct run *run = &conductor->run;

    atomic_store_explicit(&run->phase, (uint32_t)RUN_CLOSE, memory_order_release);
    for (uint32_t i = 0; i < conductor->started; i++) {
        worker_wake(run->workers[i]);
        thread_join(&run->workers[i]->thread);
    }
    conductor->started = 0;
    for (uint32_t i = 0; run->workers != NULL && i < conductor->options.threads; i++) {
        worker_destroy(run->workers[i]);
    }
    payload_source_destroy(run->source);
    tls_config_unref(run->tls);
    free(run->slots);
    free(run->completed);
    free(run->numbers);
    free(run->member_counts);
    free(run->workers);
    *run = (struct run){0};
}

/* -- life -------------------------------------------------------------------------------------- */

struct conductor *conductor_create(const struct options *options, const struct tokens *tokens,
                                   struct stop *stop, const char *command_line)
{
    struct conductor *conductor = calloc(1, sizeof(*conductor));
    if (conductor == NULL) {
        return NULL;
    }
    conductor->options = *options;
    conductor->stop = stop;
    conductor->run = (struct run){.options = &conductor->options, .tokens = tokens};
    conductor->before = calloc(1, sizeof(struct sample));
    conductor->after = calloc(1, sizeof(struct sample));
    conductor->last = calloc(1, sizeof(struct sample));
    conductor->now = calloc(1, sizeof(struct sample));
    conductor->storm_before = calloc(1, sizeof(struct sample));
    conductor->storm_after = calloc(1, sizeof(struct sample));
    conductor->total = calloc(1, sizeof(*conductor->total));
    conductor->points = calloc(CONDUCTOR_POINT_COUNT_MAX, sizeof(*conductor->points));
    conductor->progress = progress_create(stderr);
    if (conductor->before == NULL || conductor->after == NULL || conductor->last == NULL ||
        conductor->now == NULL || conductor->storm_before == NULL ||
        conductor->storm_after == NULL || conductor->total == NULL || conductor->points == NULL ||
        conductor->progress == NULL) {
        conductor_destroy(conductor);
        return NULL;
    }
    conductor->report = (struct report){
        .options = &conductor->options,
        .command_line = command_line,
        .tally = conductor->total,
        .points = conductor->points,
        .tls_fault = conductor->tls_fault,
    };
    return conductor;
}

void conductor_destroy(struct conductor *conductor)
{
    if (conductor == NULL) {
        return;
    }
    conductor_end(conductor);
    progress_destroy(conductor->progress);
    free(conductor->before);
    free(conductor->after);
    free(conductor->last);
    free(conductor->now);
    free(conductor->storm_before);
    free(conductor->storm_after);
    free(conductor->total);
    free(conductor->points);
    free(conductor);
}
