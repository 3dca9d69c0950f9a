/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads behind the reactors and the control: who speaks with the durable store, and who
 * fetches key sets.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/bus.h"
#include "core/check.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "server/archive.h"
#include "server/control_state.h"

enum { STORE_QUESTIONS_MAX = 8192 }; /* open at the store, a power of two */

int control_fail(struct control *control, int result, const char *what)
{
    (void)snprintf(control->error, control->error_size, "%s: %s", what, strerror(-result));
    return result;
}

/* The reactors' are the first; then those of the threads behind the control, as their ports are. */
static struct metrics *metrics_of_port(struct control *control, size_t port)
{
    CHECK(port > control->config->reactor.count);
    return &control->metrics[port - 1];
}

static void describe_store(struct control *control)
{
    const struct config_store *config = &control->config->store;
    struct control_store *store = &control->store;
    const struct {
        const char *flag;
        char *value;
        uint32_t bytes;
    } flags[] = {
        {"--write-buffer", store->write_buffer, config->write_buffer_size},
        {"--block-cache", store->block_cache, config->block_cache_size},
        {"--free", store->free_space, config->min_free_space},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        (void)snprintf(flags[i].value, CONTROL_FLAG_SIZE, "%u", flags[i].bytes >> 20);
        store->arguments[2 * i] = flags[i].flag;
        store->arguments[2 * i + 1] = flags[i].value;
    }
}

int control_start_archive(struct control *control)
{
    struct control_store *store = &control->store;
    if (!control_has_store(control)) {
        return 0;
    }
    int result = store_program_find(store->program);
    if (result != 0) {
        return control_fail(control, result, store->program);
    }
    describe_store(control);
    const struct archive_options options = {
        .program = store->program,
        .path = control->config->store.path,
        .arguments = store->arguments,
        .bus = control->bus,
        .port = (uint16_t)control_archive_port(control),
        .timeout_ns = control->config->store.timeout_ns,
        .questions_max = STORE_QUESTIONS_MAX,
        .metrics = metrics_of_port(control, control_archive_port(control)),
        .log = logger_attach(control->logger, "archive"),
    };
    result = archive_create(&options, &store->archive);
    if (result == 0) {
        bus_port_on_wake(control->bus, options.port, archive_wake, store->archive);
        control->site.archive = store->archive;
        result =
            thread_start("archive", THREAD_NOT_PINNED, archive_run, store->archive, &store->thread);
    }
    if (result != 0) {
        return control_fail(control, result, "archive");
    }
    store->is_running = true;
    return 0;
}

int control_start_source(struct control *control)
{
    struct control_source *part = &control->source;
    if (!control_has_source(control)) {
        return 0;
    }
    const struct jwks_source_options options = {
        .config = &control->config->client,
        .bus = control->bus,
        .port = (uint16_t)control_source_port(control),
        .reactor_count = (uint16_t)control->config->reactor.count,
        .metrics = metrics_of_port(control, control_source_port(control)),
        .log = logger_attach(control->logger, "jwks"),
    };
    part->source = jwks_source_create(&options);
    if (part->source == NULL) {
        return control_fail(control, -ENOMEM, "jwks");
    }
    bus_port_on_wake(control->bus, options.port, jwks_source_wake, part->source);
    const int result =
        thread_start("jwks", THREAD_NOT_PINNED, jwks_source_run, part->source, &part->thread);
    if (result != 0) {
        return control_fail(control, result, "jwks");
    }
    part->is_running = true;
    return 0;
}
