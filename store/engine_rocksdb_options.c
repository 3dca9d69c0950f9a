/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "store/engine_rocksdb_private.h"

enum {
    TOLERATE_TORN_TAIL = 0, /* wal_recovery_mode: anything but an incomplete last record is fatal */
    BLOOM_BITS_PER_KEY = 10,
    BLOCK_SIZE = 4096, /* a read wants some records of it, and unpacks it as a whole */
};

static void set_table_options(rocksdb_options_t *options, enum family family,
                              rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *const table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_block_size(table, BLOCK_SIZE);
    rocksdb_block_based_options_set_format_version(table, 5);
    /* Indexes and filters count in the cache: else they grow with the store, beyond any limit. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));
    rocksdb_block_based_options_set_whole_key_filtering(table, family != FAMILY_STREAMS);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    if (family == FAMILY_STREAMS) {
        rocksdb_options_set_prefix_extractor(
            options, rocksdb_slicetransform_create_fixed_prefix(STREAM_PREFIX_SIZE));
    }
}

static void set_write_options(rocksdb_options_t *options, enum family family,
                              uint64_t write_buffer_bytes)
{
    const bool is_big = family == FAMILY_STREAMS;
    rocksdb_options_set_write_buffer_size(options,
                                          is_big ? write_buffer_bytes : write_buffer_bytes / 8);
    rocksdb_options_set_max_write_buffer_number(options, is_big ? 4 : 2);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_bottommost_compression(options, rocksdb_zstd_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    if (is_big) {
        /*
         * Fewer, larger merges: what was trimmed in the meantime is not written again. But each
         * table that is not merged is one more that a read has to look into.
         */
        rocksdb_options_set_level0_file_num_compaction_trigger(options, 8);
        rocksdb_options_set_level0_slowdown_writes_trigger(options, 32);
        rocksdb_options_set_level0_stop_writes_trigger(options, 48);
        rocksdb_options_set_target_file_size_base(options, write_buffer_bytes);
        rocksdb_options_set_max_bytes_for_level_base(options, 8 * write_buffer_bytes);
    }
}

static void set_database_options(rocksdb_options_t *options, const struct engine_options *wanted)
{
    const bool creates = wanted->mode == ENGINE_CREATE;
    rocksdb_options_set_create_if_missing(options, creates);
    rocksdb_options_set_create_missing_column_families(options, creates);
    rocksdb_options_set_wal_recovery_mode(options, TOLERATE_TORN_TAIL);
    rocksdb_options_set_paranoid_checks(options, wanted->mode != ENGINE_SURVEY);
    rocksdb_options_set_disable_auto_compactions(options, wanted->mode == ENGINE_REPAIR);
    rocksdb_options_set_max_open_files(options, (int)wanted->open_files_max);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_total_wal_size(options, 3 * wanted->write_buffer_bytes);
    rocksdb_options_set_bytes_per_sync(options, 1 << 20);
    /* There is one writer, so the skip list need not be ready for several. */
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_max_log_file_size(options, 1 << 20);
    rocksdb_options_set_info_log_level(options, 2);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_max_manifest_file_size(options, 16 << 20);
}

/* What the C functions do not offer is set by its name. */
static enum engine_result set_by_name(rocksdb_options_t *options, const char *text,
                                      char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    rocksdb_options_t *const base = rocksdb_options_create_copy(options);
    rocksdb_get_options_from_string(base, text, options, &failure);
    rocksdb_options_destroy(base);
    return engine_settle(failure, error);
}

enum engine_result engine_create_options(struct engine *engine, const struct engine_options *wanted,
                                         char error[static ENGINE_ERROR_SIZE])
{
    engine->cache = rocksdb_cache_create_lru(wanted->block_cache_bytes);
    for (int i = 0; i < FAMILY_COUNT; i++) {
        engine->options[i] = rocksdb_options_create();
        set_database_options(engine->options[i], wanted);
        set_write_options(engine->options[i], (enum family)i, wanted->write_buffer_bytes);
        const enum engine_result result =
            set_by_name(engine->options[i], "avoid_flush_during_recovery=true;ttl=0", error);
        if (result != ENGINE_OK) {
            return result;
        }
        set_table_options(engine->options[i], (enum family)i, engine->cache);
    }
    engine->write_plain = rocksdb_writeoptions_create();
    engine->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(engine->write_sync, 1);
    engine->read_point = rocksdb_readoptions_create();
    engine->batch = rocksdb_writebatch_create();
    return ENGINE_OK;
}

void engine_destroy_options(struct engine *engine)
{
    if (engine->batch != NULL) {
        rocksdb_writebatch_destroy(engine->batch);
        rocksdb_readoptions_destroy(engine->read_point);
        rocksdb_writeoptions_destroy(engine->write_sync);
        rocksdb_writeoptions_destroy(engine->write_plain);
    }
    for (int i = 0; i < FAMILY_COUNT; i++) {
        if (engine->options[i] != NULL) {
            rocksdb_options_destroy(engine->options[i]);
        }
    }
    if (engine->cache != NULL) {
        rocksdb_cache_destroy(engine->cache);
    }
}
