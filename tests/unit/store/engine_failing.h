/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_STORE_ENGINE_FAILING_H
#define TESTS_UNIT_STORE_ENGINE_FAILING_H
/*
 * An engine that keeps nothing but what it was told last, and fails when it is told to: it says
 * what the layers above do with an engine that says no.
 */
#include <stdio.h>
#include <string.h>

#include "store/engine.h"

enum { ENGINE_FAILING_ENTRIES = 64 };

struct engine {
    enum engine_result open_result;
    enum engine_result find_result; /* of every channel; with ENGINE_OK `meta` is it */
    enum engine_result commit_result;
    void (*while_committing)(void); /* NULL: nothing happens meanwhile */
    struct record_meta meta;
    struct engine_table table;                           /* that has any number */
    struct engine_entry entries[ENGINE_FAILING_ENTRIES]; /* of the last commit */
    size_t entry_count;
    uint32_t commits;
    uint32_t finds;
    bool synced;
    bool closed;
};

static inline enum engine_result engine_failing_open(const struct engine_options *options,
                                                     struct engine **engine,
                                                     char error[static ENGINE_ERROR_SIZE])
{
    /* The test passes its engine where a path would be. */
    struct engine *const given = (struct engine *)(uintptr_t)options->block_cache_bytes;
    (void)snprintf(error, ENGINE_ERROR_SIZE, "told to");
    *engine = given;
    return given->open_result;
}

static inline void engine_failing_close(struct engine *engine)
{
    engine->closed = true;
}

static inline enum engine_result engine_failing_commit(struct engine *engine,
                                                       const struct engine_entry *entries,
                                                       size_t count, bool sync,
                                                       char error[static ENGINE_ERROR_SIZE])
{
    engine->commits++;
    engine->synced = sync;
    if (engine->while_committing != NULL) {
        engine->while_committing();
    }
    engine->entry_count = count < ENGINE_FAILING_ENTRIES ? count : ENGINE_FAILING_ENTRIES;
    memcpy(engine->entries, entries, engine->entry_count * sizeof(entries[0]));
    (void)snprintf(error, ENGINE_ERROR_SIZE, "told to");
    return engine->commit_result;
}

static inline enum engine_result engine_failing_read(struct engine *engine,
                                                     struct engine_range range,
                                                     struct engine_visitor visitor,
                                                     char error[static ENGINE_ERROR_SIZE])
{
    (void)range;
    (void)visitor;
    (void)snprintf(error, ENGINE_ERROR_SIZE, "told to");
    return engine->find_result;
}

static inline enum engine_result engine_failing_find_stream(struct engine *engine,
                                                            struct bytes channel,
                                                            struct record_meta *meta,
                                                            char error[static ENGINE_ERROR_SIZE])
{
    (void)channel;
    engine->finds++;
    (void)snprintf(error, ENGINE_ERROR_SIZE, "told to");
    if (engine->find_result == ENGINE_OK || engine->find_result == ENGINE_DAMAGED) {
        *meta = engine->meta;
    }
    return engine->find_result;
}

static inline enum engine_result engine_failing_read_channel(struct engine *engine,
                                                             struct bytes channel,
                                                             struct engine_reading reading,
                                                             struct record_meta *meta,
                                                             char error[static ENGINE_ERROR_SIZE])
{
    (void)channel;
    (void)snprintf(error, ENGINE_ERROR_SIZE, "told to");
    if (engine->find_result == ENGINE_OK) {
        (void)reading.begin(reading.visitor.context, &engine->meta);
        *meta = engine->meta;
    }
    return engine->find_result;
}

static inline uint64_t engine_failing_next_stream_id(struct engine *engine)
{
    (void)engine;
    return 100;
}

static inline void engine_failing_stats(struct engine *engine, struct wire_stats *stats)
{
    stats->streams = engine->commits;
}

static inline enum engine_result engine_failing_inspect(struct engine *engine,
                                                        const struct engine_inspector *inspector,
                                                        char error[static ENGINE_ERROR_SIZE])
{
    (void)inspector;
    (void)snprintf(error, ENGINE_ERROR_SIZE, "told to");
    return engine->find_result;
}

static inline void engine_failing_reclaim(struct engine *engine, uint64_t from, uint64_t to)
{
    (void)engine;
    (void)from;
    (void)to;
}

static inline void engine_failing_stop_reclaim(struct engine *engine)
{
    (void)engine;
}

static inline enum engine_result engine_failing_find_table(struct engine *engine, uint64_t number,
                                                           struct engine_table *table)
{
    (void)number;
    *table = engine->table;
    return engine->table.part == ENGINE_PART_NONE ? ENGINE_ABSENT : ENGINE_OK;
}

static inline enum engine_result engine_failing_drop_table(const struct engine_options *options,
                                                           uint64_t number,
                                                           char error[static ENGINE_ERROR_SIZE])
{
    (void)options;
    (void)number;
    (void)snprintf(error, ENGINE_ERROR_SIZE, "told to");
    return ENGINE_FAILED;
}

static const struct engine_ops engine_failing = {
    .name = "failing",
    .open = engine_failing_open,
    .close = engine_failing_close,
    .commit = engine_failing_commit,
    .read = engine_failing_read,
    .find_stream = engine_failing_find_stream,
    .read_channel = engine_failing_read_channel,
    .next_stream_id = engine_failing_next_stream_id,
    .stats = engine_failing_stats,
    .inspect = engine_failing_inspect,
    .reclaim = engine_failing_reclaim,
    .stop_reclaim = engine_failing_stop_reclaim,
    .find_table = engine_failing_find_table,
    .drop_table = engine_failing_drop_table,
};

#endif /* TESTS_UNIT_STORE_ENGINE_FAILING_H */
