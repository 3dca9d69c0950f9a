/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "store/engine_rocksdb_private.h"

enum { FORCE_BOTTOMMOST = 2 }; /* bottommost_level_compaction */

/* --- Figures, and all there is --- */

static uint64_t property(const struct engine *engine, enum family family, const char *name)
{
    uint64_t value = 0;
    return rocksdb_property_int_cf(engine->db, engine->families[family], name, &value) == 0 ? value
                                                                                            : 0;
}

void engine_rocks_stats(struct engine *engine, struct wire_stats *stats)
{
    static const char estimate[] = "rocksdb.estimate-num-keys";
    stats->streams = property(engine, FAMILY_META, estimate);
    stats->records = property(engine, FAMILY_STREAMS, estimate);
    stats->disk_bytes = 0;
    stats->memory_bytes = rocksdb_cache_get_usage(engine->cache);
    for (int i = 0; i < FAMILY_COUNT; i++) {
        const enum family family = (enum family)i;
        stats->disk_bytes += property(engine, family, "rocksdb.live-sst-files-size");
        stats->memory_bytes += property(engine, family, "rocksdb.cur-size-all-mem-tables") +
                               property(engine, family, "rocksdb.estimate-table-readers-mem");
    }
}

static void seek_to_end(rocksdb_iterator_t *iterator, bool reverse)
{
    if (reverse) {
        rocksdb_iter_seek_to_last(iterator);
    } else {
        rocksdb_iter_seek_to_first(iterator);
    }
}

static void step(rocksdb_iterator_t *iterator, bool reverse)
{
    if (reverse) {
        rocksdb_iter_prev(iterator);
    } else {
        rocksdb_iter_next(iterator);
    }
}

static bool inspect_channel(const rocksdb_iterator_t *iterator,
                            const struct engine_inspector *inspector)
{
    const struct bytes channel = engine_iterator_key(iterator);
    struct record_meta meta;
    const bool sound = record_read_meta(channel, engine_iterator_value(iterator), &meta);
    return inspector->on_channel(inspector->context, channel, sound ? &meta : NULL);
}

static bool is_same(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

enum engine_result engine_rocks_inspect(struct engine *engine,
                                        const struct engine_inspector *inspector,
                                        char error[static ENGINE_ERROR_SIZE])
{
    rocksdb_readoptions_t *const options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(options, 0);
    rocksdb_iterator_t *const iterator =
        rocksdb_create_iterator_cf(engine->db, options, engine->families[FAMILY_META]);
    const struct bytes after = inspector->after;
    if (after.size > 0) {
        rocksdb_iter_seek(iterator, engine_chars(after.data), after.size);
        if (rocksdb_iter_valid(iterator) && is_same(engine_iterator_key(iterator), after)) {
            rocksdb_iter_next(iterator);
        }
    } else {
        seek_to_end(iterator, inspector->reverse);
    }
    while (rocksdb_iter_valid(iterator) && inspect_channel(iterator, inspector)) {
        step(iterator, inspector->reverse);
    }
    const enum engine_result result = engine_iterator_result(iterator, error);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
    return result;
}

/* --- What was deleted --- */

/*
 * The library has no word for a failure here: what it cannot write ends it, what it cannot read is
 * told with the next commit.
 */
void engine_rocks_reclaim(struct engine *engine, uint64_t from, uint64_t to)
{
    uint8_t begin[RECORD_STREAM_KEY_SIZE];
    uint8_t end[RECORD_STREAM_KEY_SIZE];
    record_write_stream_key(from, 0, begin);
    record_write_stream_key(to + 1, 0, end);
    rocksdb_compactoptions_t *const options = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    rocksdb_compact_range_cf_opt(engine->db, engine->families[FAMILY_STREAMS], options,
                                 engine_chars(begin), STREAM_PREFIX_SIZE, engine_chars(end),
                                 STREAM_PREFIX_SIZE);
    /* It is small, and what is left of streams in its last level counts in the figures. */
    rocksdb_compactoptions_set_bottommost_level_compaction(options, FORCE_BOTTOMMOST);
    rocksdb_compact_range_cf_opt(engine->db, engine->families[FAMILY_META], options, NULL, 0, NULL,
                                 0);
    rocksdb_compactoptions_destroy(options);
}

void engine_rocks_stop_reclaim(struct engine *engine)
{
    rocksdb_disable_manual_compaction(engine->db);
}
