/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine on RocksDB. Three column families share one log:
 *
 *   streams  read by range only, so the filter is over the stream id (the first eight bytes)
 *   meta     point reads; keys too
 *   default  two values: the format, and the id for the next stream
 *
 * Reads of `streams` look past range tombstones. They may: who reads asks from the first offset
 * that is kept, an id is never used twice, and with thousands of trims in the write buffer each
 * read would first sort all of them.
 *
 * Debian's library is built with assertions: many I/O errors abort the process instead of coming
 * back here. That is why this runs in a process of its own.
 */
#include "store/engine.h"

#include <errno.h>
#include <rocksdb/c.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "store/codec.h"
#include "store/directory.h"

enum family { FAMILY_DEFAULT, FAMILY_STREAMS, FAMILY_META, FAMILY_KEYS, FAMILY_COUNT };

static const char *const family_names[FAMILY_COUNT] = {"default", "streams", "meta", "keys"};

enum {
    TOLERATE_TORN_TAIL = 0, /* wal_recovery_mode: anything but an incomplete last record is fatal */
    FORCE_BOTTOMMOST = 2,   /* bottommost_level_compaction */
    STREAM_PREFIX_SIZE = 8,
    BLOOM_BITS_PER_KEY = 10,
    BLOCK_SIZE = 8192,
    FORMAT = 2,        /* 1 did not know how long a stream is kept */
    KEY_SWEEP_S = 600, /* keys that expired are gone from the disk after about that long */
};

static const char format_key[] = "parley format";
static const char next_id_key[] = "next stream id";

struct engine {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[FAMILY_COUNT];
    rocksdb_options_t *options[FAMILY_COUNT];
    rocksdb_compactionfilter_t *expiry;
    rocksdb_cache_t *cache;
    rocksdb_writebatch_t *batch;
    rocksdb_writeoptions_t *write_plain;
    rocksdb_writeoptions_t *write_sync;
    rocksdb_readoptions_t *read_point;
    uint64_t next_id;
    const struct engine_entry **order; /* records of the commit at hand, by key */
    size_t order_max;
};

/* Takes RocksDB's text. ENGINE_OK when there is none. */
static enum engine_result settle(char *text, char error[static ENGINE_ERROR_SIZE])
{
    if (text == NULL) {
        return ENGINE_OK;
    }
    (void)snprintf(error, ENGINE_ERROR_SIZE, "%s", text);
    const bool damaged = strncmp(text, "Corruption", 10) == 0;
    rocksdb_free(text);
    return damaged ? ENGINE_DAMAGED : ENGINE_FAILED;
}

static const char *chars(const uint8_t *in)
{
    return (const char *)in;
}

/* --- Options --- */

/* There is nothing to destroy, but the library calls it. */
static void expiry_destroy(void *state)
{
    (void)state;
}

static const char *expiry_name(void *state)
{
    (void)state;
    return "parley expiry";
}

/* True drops the key. One that does not check stays, so that `verify` can name it. */
static unsigned char expiry_filter(void *state, int level, const char *key, size_t key_size,
                                   const char *value, size_t value_size, char **new_value,
                                   size_t *new_value_size, unsigned char *value_changed)
{
    (void)state;
    (void)level;
    (void)new_value;
    (void)new_value_size;
    *value_changed = 0;
    struct record_key read;
    return record_read_key((struct bytes){(const uint8_t *)key, key_size},
                           (struct bytes){(const uint8_t *)value, value_size}, &read) &&
           read.expires_ms < monotime_realtime_ms();
}

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
        /* Fewer, larger merges: what was trimmed in the meantime is not written again. */
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
    return settle(failure, error);
}

static enum engine_result create_options(struct engine *engine, const struct engine_options *wanted,
                                         char error[static ENGINE_ERROR_SIZE])
{
    engine->cache = rocksdb_cache_create_lru(wanted->block_cache_bytes);
    engine->expiry =
        rocksdb_compactionfilter_create(NULL, expiry_destroy, expiry_filter, expiry_name);
    for (int i = 0; i < FAMILY_COUNT; i++) {
        engine->options[i] = rocksdb_options_create();
        set_database_options(engine->options[i], wanted);
        set_write_options(engine->options[i], (enum family)i, wanted->write_buffer_bytes);
        char text[128];
        (void)snprintf(text, sizeof(text), "avoid_flush_during_recovery=true;%s%d",
                       i == FAMILY_KEYS ? "periodic_compaction_seconds=" : "ttl=",
                       i == FAMILY_KEYS ? KEY_SWEEP_S : 0);
        const enum engine_result result = set_by_name(engine->options[i], text, error);
        if (result != ENGINE_OK) {
            return result;
        }
        set_table_options(engine->options[i], (enum family)i, engine->cache);
    }
    rocksdb_options_set_compaction_filter(engine->options[FAMILY_KEYS], engine->expiry);
    engine->write_plain = rocksdb_writeoptions_create();
    engine->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(engine->write_sync, 1);
    engine->read_point = rocksdb_readoptions_create();
    engine->batch = rocksdb_writebatch_create();
    return ENGINE_OK;
}

/* --- Open and close --- */

static void engine_free(struct engine *engine)
{
    for (int i = 0; i < FAMILY_COUNT; i++) {
        if (engine->families[i] != NULL) {
            rocksdb_column_family_handle_destroy(engine->families[i]);
        }
    }
    if (engine->db != NULL) {
        rocksdb_close(engine->db);
    }
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
    if (engine->expiry != NULL) {
        rocksdb_compactionfilter_destroy(engine->expiry);
    }
    if (engine->cache != NULL) {
        rocksdb_cache_destroy(engine->cache);
    }
    free(engine->order);
    free(engine);
}

/* A database that has other column families than ours was made by somebody else. */
static enum engine_result judge_families(const struct engine *engine, const char *path,
                                         char error[static ENGINE_ERROR_SIZE])
{
    size_t count = 0;
    char *failure = NULL;
    char **const names =
        rocksdb_list_column_families(engine->options[FAMILY_DEFAULT], path, &count, &failure);
    enum engine_result result = settle(failure, error);
    for (size_t i = 0; i < count && result == ENGINE_OK; i++) {
        bool known = false;
        for (int j = 0; j < FAMILY_COUNT; j++) {
            known = known || strcmp(names[i], family_names[j]) == 0;
        }
        if (!known) {
            (void)snprintf(error, ENGINE_ERROR_SIZE,
                           "is no store: it is a database of others, with a table %.100s",
                           names[i]);
            result = ENGINE_FAILED;
        }
    }
    rocksdb_list_column_families_destroy(names, count);
    return result;
}

static enum engine_result get_number(struct engine *engine, const char *key, uint64_t *number,
                                     char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    size_t size = 0;
    char *const value =
        rocksdb_get_cf(engine->db, engine->read_point, engine->families[FAMILY_DEFAULT], key,
                       strlen(key), &size, &failure);
    if (failure != NULL) {
        return settle(failure, error);
    }
    if (value == NULL) {
        return ENGINE_ABSENT;
    }
    if (size == 8) {
        *number = codec_get_u64((const uint8_t *)value);
    }
    rocksdb_free(value);
    return size == 8 ? ENGINE_OK : ENGINE_DAMAGED;
}

static void put_number(const struct engine *engine, const char *key, uint64_t number)
{
    uint8_t value[8];
    codec_put_u64(value, number);
    rocksdb_writebatch_put_cf(engine->batch, engine->families[FAMILY_DEFAULT], key, strlen(key),
                              chars(value), sizeof(value));
}

static enum engine_result write_batch(struct engine *engine, bool sync,
                                      char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    rocksdb_write(engine->db, sync ? engine->write_sync : engine->write_plain, engine->batch,
                  &failure);
    rocksdb_writebatch_clear(engine->batch);
    return settle(failure, error);
}

static bool family_is_empty(const struct engine *engine, enum family family)
{
    rocksdb_iterator_t *const iterator =
        rocksdb_create_iterator_cf(engine->db, engine->read_point, engine->families[family]);
    rocksdb_iter_seek_to_first(iterator);
    const bool empty = !rocksdb_iter_valid(iterator);
    rocksdb_iter_destroy(iterator);
    return empty;
}

/* Reads what format the store has; writes it into a new one. */
static enum engine_result settle_format(struct engine *engine, enum engine_mode mode,
                                        char error[static ENGINE_ERROR_SIZE])
{
    uint64_t format = 0;
    enum engine_result result = get_number(engine, format_key, &format, error);
    if (result == ENGINE_ABSENT) {
        if (mode == ENGINE_READ_ONLY || !family_is_empty(engine, FAMILY_DEFAULT) ||
            !family_is_empty(engine, FAMILY_META)) {
            (void)snprintf(error, ENGINE_ERROR_SIZE, "is no store: it is a database of others");
            return ENGINE_FAILED;
        }
        engine->next_id = 1;
        put_number(engine, format_key, FORMAT);
        put_number(engine, next_id_key, engine->next_id);
        return write_batch(engine, true, error);
    }
    if (result == ENGINE_OK && (format < 1 || format > FORMAT)) {
        (void)snprintf(error, ENGINE_ERROR_SIZE,
                       "has format %llu, and this program knows formats 1 to %d only",
                       (unsigned long long)format, FORMAT);
        return ENGINE_FAILED;
    }
    if (result == ENGINE_OK) {
        result = get_number(engine, next_id_key, &engine->next_id, error);
    }
    if (result != ENGINE_OK || engine->next_id == 0) {
        (void)snprintf(error, ENGINE_ERROR_SIZE,
                       "is damaged: its format or its next stream id cannot be read");
        return ENGINE_DAMAGED;
    }
    if (format < FORMAT && mode != ENGINE_READ_ONLY) {
        /* What it has can be read as it is; what is written from now on, by us only. */
        put_number(engine, format_key, FORMAT);
        return write_batch(engine, true, error);
    }
    return ENGINE_OK;
}

static bool is_read_only(enum engine_mode mode)
{
    return mode == ENGINE_READ_ONLY || mode == ENGINE_SURVEY;
}

static enum engine_result open_database(struct engine *engine, const struct engine_options *wanted,
                                        char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    const rocksdb_options_t *options[FAMILY_COUNT];
    for (int i = 0; i < FAMILY_COUNT; i++) {
        options[i] = engine->options[i];
    }
    if (is_read_only(wanted->mode)) {
        engine->db = rocksdb_open_for_read_only_column_families(options[0], wanted->path,
                                                                FAMILY_COUNT, family_names, options,
                                                                engine->families, 0, &failure);
    } else {
        engine->db =
            rocksdb_open_column_families(options[0], wanted->path, FAMILY_COUNT, family_names,
                                         options, engine->families, &failure);
    }
    return settle(failure, error);
}

static enum engine_result judge_path(const struct engine_options *options, bool *is_new,
                                     char error[static ENGINE_ERROR_SIZE])
{
    const bool creates = options->mode == ENGINE_CREATE;
    const enum directory_verdict verdict =
        directory_judge(options->path, creates, error, ENGINE_ERROR_SIZE);
    *is_new = verdict == DIRECTORY_EMPTY || verdict == DIRECTORY_MISSING;
    if (verdict == DIRECTORY_MISSING && creates) {
        if (mkdir(options->path, 0700) != 0) {
            (void)snprintf(error, ENGINE_ERROR_SIZE, "cannot be created: %s", strerror(errno));
            return ENGINE_FAILED;
        }
        return ENGINE_OK;
    }
    if (verdict == DIRECTORY_EMPTY && !creates) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "is empty: no store was ever there");
    }
    return verdict == DIRECTORY_STORE || (verdict == DIRECTORY_EMPTY && creates) ? ENGINE_OK
                                                                                 : ENGINE_FAILED;
}

static enum engine_result rocks_open(const struct engine_options *options, struct engine **engine,
                                     char error[static ENGINE_ERROR_SIZE])
{
    CHECK(options->path != NULL);
    CHECK(options->write_buffer_bytes > 0);

    bool is_new = false;
    enum engine_result result = judge_path(options, &is_new, error);
    if (result != ENGINE_OK) {
        return result;
    }
    struct engine *const opened = calloc(1, sizeof(*opened));
    if (opened == NULL) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "cannot be opened: no memory");
        return ENGINE_FAILED;
    }
    result = create_options(opened, options, error);
    if (result == ENGINE_OK && !is_new) {
        result = judge_families(opened, options->path, error);
    }
    if (result == ENGINE_OK) {
        result = open_database(opened, options, error);
    }
    if (result == ENGINE_OK && options->mode != ENGINE_SURVEY) {
        result = settle_format(opened, options->mode, error);
    }
    if (result != ENGINE_OK) {
        engine_free(opened);
        return result;
    }
    *engine = opened;
    return ENGINE_OK;
}

/* --- Commits --- */

static void add_record(const struct engine *engine, const struct engine_entry *entry)
{
    uint8_t key[RECORD_STREAM_KEY_SIZE];
    uint8_t head[RECORD_HEAD_SIZE];
    record_write_stream_key(entry->stream_id, entry->record.offset, key);
    record_write_head(entry->stream_id, &entry->record, head);
    const char *const keys[] = {chars(key)};
    const size_t key_sizes[] = {sizeof(key)};
    const char *const values[] = {chars(head), chars(entry->record.value.data)};
    const size_t value_sizes[] = {sizeof(head), entry->record.value.size};
    rocksdb_writebatch_putv_cf(engine->batch, engine->families[FAMILY_STREAMS], 1, keys, key_sizes,
                               entry->record.value.size > 0 ? 2 : 1, values, value_sizes);
}

static void add_meta(const struct engine *engine, const struct engine_entry *entry)
{
    uint8_t value[RECORD_META_SIZE];
    record_write_meta(entry->name, &entry->meta, value);
    rocksdb_writebatch_put_cf(engine->batch, engine->families[FAMILY_META], chars(entry->name.data),
                              entry->name.size, chars(value), sizeof(value));
}

static void add_key(const struct engine *engine, const struct engine_entry *entry)
{
    uint8_t key[RECORD_KEY_KEY_SIZE_MAX];
    uint8_t value[RECORD_KEY_SIZE_MAX];
    const size_t key_size = record_write_key_key(entry->stream_id, entry->name, key);
    const size_t value_size = record_write_key((struct bytes){key, key_size}, &entry->key, value);
    rocksdb_writebatch_put_cf(engine->batch, engine->families[FAMILY_KEYS], chars(key), key_size,
                              chars(value), value_size);
}

static void add_deletion(const struct engine *engine, const struct engine_entry *entry)
{
    uint8_t from[RECORD_STREAM_KEY_SIZE];
    uint8_t below[RECORD_STREAM_KEY_SIZE];
    if (entry->op == ENGINE_DELETE_KEYS) {
        record_write_stream_key(entry->stream_id, 0, from);
        record_write_stream_key(entry->stream_id + 1, 0, below);
        rocksdb_writebatch_delete_range_cf(engine->batch, engine->families[FAMILY_KEYS],
                                           chars(from), STREAM_PREFIX_SIZE, chars(below),
                                           STREAM_PREFIX_SIZE);
        return;
    }
    record_write_stream_key(entry->stream_id, entry->range.from, from);
    record_write_stream_key(entry->stream_id, entry->range.below, below);
    rocksdb_writebatch_delete_range_cf(engine->batch, engine->families[FAMILY_STREAMS], chars(from),
                                       sizeof(from), chars(below), sizeof(below));
}

static void add_entry(struct engine *engine, const struct engine_entry *entry)
{
    switch (entry->op) {
    case ENGINE_PUT_RECORD:
        add_record(engine, entry);
        break;
    case ENGINE_PUT_META:
        add_meta(engine, entry);
        break;
    case ENGINE_DELETE_META:
        rocksdb_writebatch_delete_cf(engine->batch, engine->families[FAMILY_META],
                                     chars(entry->name.data), entry->name.size);
        break;
    case ENGINE_PUT_KEY:
        add_key(engine, entry);
        break;
    case ENGINE_DELETE_RECORDS:
    case ENGINE_DELETE_KEYS:
        add_deletion(engine, entry);
        break;
    case ENGINE_PUT_NEXT_ID:
        engine->next_id = entry->stream_id;
        put_number(engine, next_id_key, entry->stream_id);
        break;
    }
}

static int compare_records(const void *a, const void *b)
{
    const struct engine_entry *const x = *(const struct engine_entry *const *)a;
    const struct engine_entry *const y = *(const struct engine_entry *const *)b;
    if (x->stream_id != y->stream_id) {
        return x->stream_id < y->stream_id ? -1 : 1;
    }
    return (x->record.offset > y->record.offset) - (x->record.offset < y->record.offset);
}

/*
 * Records first and by key: the skip list then finds the next place beside the one before. What
 * deletes records of a stream, in the order that was given, comes after those that it deletes:
 * the ones that follow it lie outside its range.
 */
static bool add_sorted(struct engine *engine, const struct engine_entry *entries, size_t count)
{
    size_t records = 0;
    if (count > engine->order_max) {
        const struct engine_entry **const larger =
            realloc(engine->order, count * sizeof(struct engine_entry *));
        if (larger == NULL) {
            return false;
        }
        engine->order = larger;
        engine->order_max = count;
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].op == ENGINE_PUT_RECORD) {
            engine->order[records++] = &entries[i];
        }
    }
    qsort(engine->order, records, sizeof(struct engine_entry *), compare_records);
    for (size_t i = 0; i < records; i++) {
        add_record(engine, engine->order[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].op != ENGINE_PUT_RECORD) {
            add_entry(engine, &entries[i]);
        }
    }
    return true;
}

static enum engine_result rocks_commit(struct engine *engine, const struct engine_entry *entries,
                                       size_t count, bool sync,
                                       char error[static ENGINE_ERROR_SIZE])
{
    if (!add_sorted(engine, entries, count)) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "no memory");
        return ENGINE_FAILED;
    }
    return write_batch(engine, sync, error);
}

/* --- Reads --- */

static struct bytes iterator_key(const rocksdb_iterator_t *iterator)
{
    size_t size = 0;
    const char *const data = rocksdb_iter_key(iterator, &size);
    return (struct bytes){(const uint8_t *)data, size};
}

static struct bytes iterator_value(const rocksdb_iterator_t *iterator)
{
    size_t size = 0;
    const char *const data = rocksdb_iter_value(iterator, &size);
    return (struct bytes){(const uint8_t *)data, size};
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

static enum engine_result iterator_result(const rocksdb_iterator_t *iterator,
                                          char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    rocksdb_iter_get_error(iterator, &failure);
    return settle(failure, error);
}

/* An iterator over all of one stream. It stays where it is until it is closed. */
struct stream_iterator {
    rocksdb_readoptions_t *options;
    rocksdb_iterator_t *iterator;
    uint64_t stream_id;
    uint8_t lower[RECORD_STREAM_KEY_SIZE];
    uint8_t upper[RECORD_STREAM_KEY_SIZE];
};

/* `snapshot` is the moment that it shows; NULL: now. */
static void stream_iterator_open(struct stream_iterator *stream, struct engine *engine,
                                 uint64_t stream_id, const rocksdb_snapshot_t *snapshot)
{
    stream->stream_id = stream_id;
    record_write_stream_key(stream_id, 0, stream->lower);
    record_write_stream_key(stream_id, UINT64_MAX, stream->upper);
    stream->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_lower_bound(stream->options, chars(stream->lower),
                                                sizeof(stream->lower));
    rocksdb_readoptions_set_iterate_upper_bound(stream->options, chars(stream->upper),
                                                sizeof(stream->upper));
    rocksdb_readoptions_set_prefix_same_as_start(stream->options, 1);
    rocksdb_readoptions_set_ignore_range_deletions(stream->options, 1);
    rocksdb_readoptions_set_snapshot(stream->options, snapshot);
    stream->iterator =
        rocksdb_create_iterator_cf(engine->db, stream->options, engine->families[FAMILY_STREAMS]);
}

static void stream_iterator_close(struct stream_iterator *stream)
{
    rocksdb_iter_destroy(stream->iterator);
    rocksdb_readoptions_destroy(stream->options);
}

/* To the record at `offset`, or the next one that is there in this direction. */
static void stream_iterator_seek(const struct stream_iterator *stream, uint64_t offset,
                                 bool reverse)
{
    uint8_t key[RECORD_STREAM_KEY_SIZE];
    record_write_stream_key(stream->stream_id, offset, key);
    if (reverse) {
        rocksdb_iter_seek_for_prev(stream->iterator, chars(key), sizeof(key));
    } else {
        rocksdb_iter_seek(stream->iterator, chars(key), sizeof(key));
    }
}

/* The record that it stands on. ENGINE_ABSENT: it has come to its end. */
static enum engine_result read_record(const struct stream_iterator *stream,
                                      struct wire_record *record,
                                      char error[static ENGINE_ERROR_SIZE])
{
    if (!rocksdb_iter_valid(stream->iterator)) {
        const enum engine_result result = iterator_result(stream->iterator, error);
        return result == ENGINE_OK ? ENGINE_ABSENT : result;
    }
    uint64_t stream_id = 0;
    uint64_t offset = 0;
    if (!record_read_stream_key(iterator_key(stream->iterator), &stream_id, &offset) ||
        stream_id != stream->stream_id ||
        !record_read(stream_id, offset, iterator_value(stream->iterator), record)) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "record %llu of stream %llu does not check",
                       (unsigned long long)offset, (unsigned long long)stream->stream_id);
        return ENGINE_DAMAGED;
    }
    return ENGINE_OK;
}

static enum engine_result visit_range(const struct stream_iterator *stream,
                                      struct engine_range range, struct engine_visitor visitor,
                                      char error[static ENGINE_ERROR_SIZE])
{
    CHECK(range.to < UINT64_MAX);
    if (range.from > range.to) {
        return ENGINE_OK;
    }
    const uint64_t last = range.reverse ? range.from : range.to;
    stream_iterator_seek(stream, range.reverse ? range.to : range.from, range.reverse);
    for (;;) {
        struct wire_record record;
        const enum engine_result result = read_record(stream, &record, error);
        if (result != ENGINE_OK) {
            return result == ENGINE_ABSENT ? ENGINE_OK : result;
        }
        if (record.offset < range.from || record.offset > range.to ||
            !visitor.visit(visitor.context, &record) || record.offset == last) {
            return ENGINE_OK;
        }
        step(stream->iterator, range.reverse);
    }
}

static enum engine_result rocks_read(struct engine *engine, struct engine_range range,
                                     struct engine_visitor visitor,
                                     char error[static ENGINE_ERROR_SIZE])
{
    struct stream_iterator stream;
    stream_iterator_open(&stream, engine, range.stream_id, NULL);
    const enum engine_result result = visit_range(&stream, range, visitor, error);
    stream_iterator_close(&stream);
    return result;
}

/* What the newest record says that there is. */
static enum engine_result complete_meta(const struct stream_iterator *stream,
                                        struct record_meta *meta,
                                        char error[static ENGINE_ERROR_SIZE])
{
    struct wire_record record;
    stream_iterator_seek(stream, UINT64_MAX - 1, true);
    const enum engine_result result = read_record(stream, &record, error);
    if (result != ENGINE_OK) {
        return result == ENGINE_ABSENT ? ENGINE_OK : result;
    }
    if (record.offset > meta->stream.top) {
        meta->stream.top = record.offset;
    }
    if (record.time_ms > meta->stream.last_time_ms) {
        meta->stream.last_time_ms = record.time_ms;
    }
    return ENGINE_OK;
}

/* What is stored under the name of a channel, which is older than its newest record. */
static enum engine_result get_meta(struct engine *engine, const rocksdb_readoptions_t *options,
                                   struct bytes channel, struct record_meta *meta,
                                   char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    rocksdb_pinnableslice_t *const slice =
        rocksdb_get_pinned_cf(engine->db, options, engine->families[FAMILY_META],
                              chars(channel.data), channel.size, &failure);
    if (failure != NULL) {
        return settle(failure, error);
    }
    if (slice == NULL) {
        return ENGINE_ABSENT;
    }
    size_t size = 0;
    const char *const data = rocksdb_pinnableslice_value(slice, &size);
    const bool sound = record_read_meta(channel, (struct bytes){(const uint8_t *)data, size}, meta);
    rocksdb_pinnableslice_destroy(slice);
    if (!sound) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "the metadata of a channel do not check");
        return ENGINE_DAMAGED;
    }
    return ENGINE_OK;
}

static enum engine_result rocks_find_stream(struct engine *engine, struct bytes channel,
                                            struct record_meta *meta,
                                            char error[static ENGINE_ERROR_SIZE])
{
    struct record_meta found;
    enum engine_result result = get_meta(engine, engine->read_point, channel, &found, error);
    if (result == ENGINE_OK) {
        struct stream_iterator stream;
        stream_iterator_open(&stream, engine, found.stream_id, NULL);
        result = complete_meta(&stream, &found, error);
        stream_iterator_close(&stream);
        *meta = found;
    }
    return result;
}

/*
 * The snapshot keeps what is trimmed in the meantime from being taken away under the iterator, and
 * a batch that is committed meanwhile from being seen in parts.
 */
static enum engine_result rocks_read_channel(struct engine *engine, struct bytes channel,
                                             struct engine_reading reading,
                                             char error[static ENGINE_ERROR_SIZE])
{
    const rocksdb_snapshot_t *const snapshot = rocksdb_create_snapshot(engine->db);
    rocksdb_readoptions_t *const options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(options, snapshot);
    struct record_meta meta;
    enum engine_result result = get_meta(engine, options, channel, &meta, error);
    rocksdb_readoptions_destroy(options);
    if (result == ENGINE_OK) {
        struct stream_iterator stream;
        stream_iterator_open(&stream, engine, meta.stream_id, snapshot);
        result = complete_meta(&stream, &meta, error);
        const struct engine_range range = reading.choose(reading.visitor.context, &meta);
        if (result == ENGINE_OK) {
            result = visit_range(&stream, range, reading.visitor, error);
        }
        stream_iterator_close(&stream);
    }
    rocksdb_release_snapshot(engine->db, snapshot);
    return result;
}

static enum engine_result rocks_find_key(struct engine *engine, uint64_t stream_id,
                                         struct bytes name, struct engine_key *key,
                                         char error[static ENGINE_ERROR_SIZE])
{
    uint8_t key_key[RECORD_KEY_KEY_SIZE_MAX];
    const size_t key_size = record_write_key_key(stream_id, name, key_key);
    char *failure = NULL;
    size_t size = 0;
    char *const value =
        rocksdb_get_cf(engine->db, engine->read_point, engine->families[FAMILY_KEYS],
                       chars(key_key), key_size, &size, &failure);
    if (failure != NULL) {
        return settle(failure, error);
    }
    if (value == NULL) {
        return ENGINE_ABSENT;
    }
    struct record_key found;
    const bool sound = record_read_key((struct bytes){key_key, key_size},
                                       (struct bytes){(const uint8_t *)value, size}, &found);
    if (sound) {
        if (found.digest.size > 0) {
            memcpy(key->digest, found.digest.data, found.digest.size);
        }
        found.digest.data = key->digest;
        key->key = found;
    } else {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "an idempotency key does not check");
    }
    rocksdb_free(value);
    return sound ? ENGINE_OK : ENGINE_DAMAGED;
}

static uint64_t rocks_next_stream_id(struct engine *engine)
{
    return engine->next_id;
}

/* --- Figures, and all there is --- */

static uint64_t property(const struct engine *engine, enum family family, const char *name)
{
    uint64_t value = 0;
    return rocksdb_property_int_cf(engine->db, engine->families[family], name, &value) == 0 ? value
                                                                                            : 0;
}

static void rocks_stats(struct engine *engine, struct wire_stats *stats)
{
    static const char estimate[] = "rocksdb.estimate-num-keys";
    stats->streams = property(engine, FAMILY_META, estimate);
    stats->records = property(engine, FAMILY_STREAMS, estimate);
    stats->keys = property(engine, FAMILY_KEYS, estimate);
    stats->disk_bytes = 0;
    stats->memory_bytes = rocksdb_cache_get_usage(engine->cache);
    for (int i = 0; i < FAMILY_COUNT; i++) {
        const enum family family = (enum family)i;
        stats->disk_bytes += property(engine, family, "rocksdb.live-sst-files-size");
        stats->memory_bytes += property(engine, family, "rocksdb.cur-size-all-mem-tables") +
                               property(engine, family, "rocksdb.estimate-table-readers-mem");
    }
}

static bool inspect_entry(const rocksdb_iterator_t *iterator, enum family family,
                          const struct engine_inspector *inspector)
{
    const struct bytes key = iterator_key(iterator);
    const struct bytes value = iterator_value(iterator);
    if (family == FAMILY_META) {
        struct record_meta meta;
        const bool sound = record_read_meta(key, value, &meta);
        return inspector->on_channel(inspector->context, key, sound ? &meta : NULL);
    }
    struct record_key read;
    const bool sound = key.size >= 8 && record_read_key(key, value, &read);
    return inspector->on_key(inspector->context, key.size >= 8 ? codec_get_u64_big(key.data) : 0,
                             sound ? &read : NULL);
}

static bool is_same(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static enum engine_result inspect_family(struct engine *engine, enum family family,
                                         const struct engine_inspector *inspector,
                                         char error[static ENGINE_ERROR_SIZE])
{
    rocksdb_readoptions_t *const options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(options, 0);
    rocksdb_iterator_t *const iterator =
        rocksdb_create_iterator_cf(engine->db, options, engine->families[family]);
    const bool reverse = family == FAMILY_META && inspector->reverse;
    const struct bytes after = family == FAMILY_META ? inspector->after : (struct bytes){NULL, 0};
    if (after.size > 0) {
        rocksdb_iter_seek(iterator, chars(after.data), after.size);
        if (rocksdb_iter_valid(iterator) && is_same(iterator_key(iterator), after)) {
            rocksdb_iter_next(iterator);
        }
    } else {
        seek_to_end(iterator, reverse);
    }
    while (rocksdb_iter_valid(iterator) && inspect_entry(iterator, family, inspector)) {
        step(iterator, reverse);
    }
    const enum engine_result result = iterator_result(iterator, error);
    rocksdb_iter_destroy(iterator);
    rocksdb_readoptions_destroy(options);
    return result;
}

static enum engine_result rocks_inspect(struct engine *engine,
                                        const struct engine_inspector *inspector,
                                        char error[static ENGINE_ERROR_SIZE])
{
    enum engine_result result = ENGINE_OK;
    if (inspector->on_channel != NULL) {
        result = inspect_family(engine, FAMILY_META, inspector, error);
    }
    if (result == ENGINE_OK && inspector->on_key != NULL) {
        result = inspect_family(engine, FAMILY_KEYS, inspector, error);
    }
    return result;
}

/* --- What was deleted --- */

/*
 * The library has no word for a failure here: what it cannot write ends it, what it cannot read is
 * told with the next commit.
 */
static void rocks_reclaim(struct engine *engine, uint64_t from, uint64_t to)
{
    uint8_t begin[RECORD_STREAM_KEY_SIZE];
    uint8_t end[RECORD_STREAM_KEY_SIZE];
    record_write_stream_key(from, 0, begin);
    record_write_stream_key(to + 1, 0, end);
    rocksdb_compactoptions_t *const options = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    static const enum family by_stream[] = {FAMILY_STREAMS, FAMILY_KEYS};
    for (size_t i = 0; i < sizeof(by_stream) / sizeof(by_stream[0]); i++) {
        rocksdb_compact_range_cf_opt(engine->db, engine->families[by_stream[i]], options,
                                     chars(begin), STREAM_PREFIX_SIZE, chars(end),
                                     STREAM_PREFIX_SIZE);
    }
    /* It is small, and what is left of streams in its last level counts in the figures. */
    rocksdb_compactoptions_set_bottommost_level_compaction(options, FORCE_BOTTOMMOST);
    rocksdb_compact_range_cf_opt(engine->db, engine->families[FAMILY_META], options, NULL, 0, NULL,
                                 0);
    rocksdb_compactoptions_destroy(options);
}

static void rocks_stop_reclaim(struct engine *engine)
{
    rocksdb_disable_manual_compaction(engine->db);
}

/* --- Tables --- */

static void keep_name(struct engine_name *name, const char *key, size_t size)
{
    name->size = size < sizeof(name->data) ? size : sizeof(name->data);
    memcpy(name->data, key, name->size);
}

/* What the table at `index` is for, and from where to where it goes. */
static enum engine_result describe_table(const rocksdb_livefiles_t *files, int index,
                                         struct engine_table *table)
{
    static const enum engine_part parts[FAMILY_COUNT] = {
        [FAMILY_DEFAULT] = ENGINE_PART_ROOT,
        [FAMILY_STREAMS] = ENGINE_PART_RECORDS,
        [FAMILY_META] = ENGINE_PART_CHANNELS,
        [FAMILY_KEYS] = ENGINE_PART_KEYS,
    };
    const char *const family = rocksdb_livefiles_column_family_name(files, index);
    size_t from_size = 0;
    size_t to_size = 0;
    const char *const from = rocksdb_livefiles_smallestkey(files, index, &from_size);
    const char *const to = rocksdb_livefiles_largestkey(files, index, &to_size);
    *table = (struct engine_table){.part = ENGINE_PART_NONE};
    for (int i = 0; i < FAMILY_COUNT; i++) {
        if (strcmp(family, family_names[i]) == 0) {
            table->part = parts[i];
        }
    }
    if (table->part == ENGINE_PART_CHANNELS) {
        keep_name(&table->from, from, from_size);
        keep_name(&table->to, to, to_size);
    }
    if (table->part == ENGINE_PART_RECORDS &&
        (!record_read_stream_key((struct bytes){(const uint8_t *)from, from_size},
                                 &table->from_stream, &table->from_offset) ||
         !record_read_stream_key((struct bytes){(const uint8_t *)to, to_size}, &table->to_stream,
                                 &table->to_offset))) {
        return ENGINE_DAMAGED;
    }
    return ENGINE_OK;
}

static enum engine_result rocks_find_table(struct engine *engine, uint64_t number,
                                           struct engine_table *table)
{
    const rocksdb_livefiles_t *const files = rocksdb_livefiles(engine->db);
    enum engine_result result = ENGINE_ABSENT;
    for (int i = 0; i < rocksdb_livefiles_count(files) && result == ENGINE_ABSENT; i++) {
        const char *const name = rocksdb_livefiles_name(files, i); /* "/000012.sst" */
        if (strtoull(name + (name[0] == '/'), NULL, 10) == number) {
            result = describe_table(files, i, table);
        }
    }
    rocksdb_livefiles_destroy(files);
    return result;
}

/* By ourselves, as another process: see rocksdb_tool.h. */
static enum engine_result rocks_drop_table(const struct engine_options *options, uint64_t number,
                                           char error[static ENGINE_ERROR_SIZE])
{
    char digits[24];
    char *arguments[] = {strdup("parley-store"),
                         strdup("drop-table"),
                         strdup("--path"),
                         strdup(options->path),
                         digits,
                         NULL};
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    pid_t pid = 0;
    int status = -1;
    const int result = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ);
    if (result == 0) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    for (size_t i = 0; i < 4; i++) {
        free(arguments[i]);
    }
    if (result != 0 || status != 0) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "table %s cannot be dropped: %s, status %d",
                       digits, strerror(result), status);
        return ENGINE_FAILED;
    }
    return ENGINE_OK;
}

const struct engine_ops engine_rocksdb = {
    .name = "rocksdb",
    .open = rocks_open,
    .close = engine_free,
    .commit = rocks_commit,
    .read = rocks_read,
    .find_stream = rocks_find_stream,
    .read_channel = rocks_read_channel,
    .find_key = rocks_find_key,
    .next_stream_id = rocks_next_stream_id,
    .stats = rocks_stats,
    .inspect = rocks_inspect,
    .reclaim = rocks_reclaim,
    .stop_reclaim = rocks_stop_reclaim,
    .find_table = rocks_find_table,
    .drop_table = rocks_drop_table,
};
