/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/codec.h"
#include "store/engine_rocksdb_private.h"

void engine_put_number(const struct engine *engine, const char *key, uint64_t number)
{
    uint8_t value[8];
    codec_put_u64(value, number);
    rocksdb_writebatch_put_cf(engine->batch, engine->families[FAMILY_DEFAULT], key, strlen(key),
                              engine_chars(value), sizeof(value));
}

enum engine_result engine_write_batch(struct engine *engine, bool sync,
                                      char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    rocksdb_write(engine->db, sync ? engine->write_sync : engine->write_plain, engine->batch,
                  &failure);
    rocksdb_writebatch_clear(engine->batch);
    return engine_settle(failure, error);
}

static void add_record(const struct engine *engine, const struct engine_entry *entry)
{
    uint8_t key[RECORD_STREAM_KEY_SIZE];
    uint8_t head[RECORD_HEAD_SIZE];
    record_write_stream_key(entry->stream_id, entry->record.offset, key);
    record_write_head(entry->stream_id, &entry->record, head);
    const char *const keys[] = {engine_chars(key)};
    const size_t key_sizes[] = {sizeof(key)};
    const char *const values[] = {engine_chars(head), engine_chars(entry->record.value.data)};
    const size_t value_sizes[] = {sizeof(head), entry->record.value.size};
    rocksdb_writebatch_putv_cf(engine->batch, engine->families[FAMILY_STREAMS], 1, keys, key_sizes,
                               entry->record.value.size > 0 ? 2 : 1, values, value_sizes);
}

static void add_meta(const struct engine *engine, const struct engine_entry *entry)
{
    uint8_t value[RECORD_META_SIZE];
    record_write_meta(entry->name, &entry->meta, value);
    rocksdb_writebatch_put_cf(engine->batch, engine->families[FAMILY_META],
                              engine_chars(entry->name.data), entry->name.size, engine_chars(value),
                              sizeof(value));
}

static void add_deletion(const struct engine *engine, const struct engine_entry *entry)
{
    uint8_t from[RECORD_STREAM_KEY_SIZE];
    uint8_t below[RECORD_STREAM_KEY_SIZE];
    record_write_stream_key(entry->stream_id, entry->range.from, from);
    record_write_stream_key(entry->stream_id, entry->range.below, below);
    rocksdb_writebatch_delete_range_cf(engine->batch, engine->families[FAMILY_STREAMS],
                                       engine_chars(from), sizeof(from), engine_chars(below),
                                       sizeof(below));
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
                                     engine_chars(entry->name.data), entry->name.size);
        break;
    case ENGINE_DELETE_RECORDS:
        add_deletion(engine, entry);
        break;
    case ENGINE_PUT_NEXT_ID:
        engine->next_id = entry->stream_id;
        engine_put_number(engine, engine_next_id_key, entry->stream_id);
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

enum engine_result engine_rocks_commit(struct engine *engine, const struct engine_entry *entries,
                                       size_t count, bool sync,
                                       char error[static ENGINE_ERROR_SIZE])
{
    if (!add_sorted(engine, entries, count)) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "no memory");
        return ENGINE_FAILED;
    }
    return engine_write_batch(engine, sync, error);
}
