/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "core/check.h"
#include "store/engine_rocksdb_private.h"

enum engine_result engine_iterator_result(const rocksdb_iterator_t *iterator,
                                          char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    rocksdb_iter_get_error(iterator, &failure);
    return engine_settle(failure, error);
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
    rocksdb_readoptions_set_iterate_lower_bound(stream->options, engine_chars(stream->lower),
                                                sizeof(stream->lower));
    rocksdb_readoptions_set_iterate_upper_bound(stream->options, engine_chars(stream->upper),
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

/* To the record at `offset`, or the next one that is there. */
static void stream_iterator_seek(const struct stream_iterator *stream, uint64_t offset)
{
    uint8_t key[RECORD_STREAM_KEY_SIZE];
    record_write_stream_key(stream->stream_id, offset, key);
    rocksdb_iter_seek(stream->iterator, engine_chars(key), sizeof(key));
}

/* The record that it stands on. ENGINE_ABSENT: it has come to its end. */
static enum engine_result read_record(const struct stream_iterator *stream,
                                      struct wire_record *record,
                                      char error[static ENGINE_ERROR_SIZE])
{
    if (!rocksdb_iter_valid(stream->iterator)) {
        const enum engine_result result = engine_iterator_result(stream->iterator, error);
        return result == ENGINE_OK ? ENGINE_ABSENT : result;
    }
    uint64_t stream_id = 0;
    uint64_t offset = 0;
    if (!record_read_stream_key(engine_iterator_key(stream->iterator), &stream_id, &offset) ||
        stream_id != stream->stream_id ||
        !record_read(stream_id, offset, engine_iterator_value(stream->iterator), record)) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "record %llu of stream %llu does not check",
                       (unsigned long long)offset, (unsigned long long)stream->stream_id);
        return ENGINE_DAMAGED;
    }
    return ENGINE_OK;
}

static void take_newest(struct record_meta *meta, const struct wire_record *record)
{
    if (record->offset > meta->stream.top) {
        meta->stream.top = record->offset;
    }
    if (record->time_ms > meta->stream.last_time_ms) {
        meta->stream.last_time_ms = record->time_ms;
    }
}

/* What the newest record says that there is. */
static enum engine_result complete_meta(const struct stream_iterator *stream,
                                        struct record_meta *meta,
                                        char error[static ENGINE_ERROR_SIZE])
{
    struct wire_record record;
    rocksdb_iter_seek_for_prev(stream->iterator, engine_chars(stream->upper),
                               sizeof(stream->upper));
    const enum engine_result result = read_record(stream, &record, error);
    if (result == ENGINE_OK) {
        take_newest(meta, &record);
    }
    return result == ENGINE_ABSENT ? ENGINE_OK : result;
}

enum engine_result engine_rocks_read(struct engine *engine, struct engine_range range,
                                     struct engine_visitor visitor,
                                     char error[static ENGINE_ERROR_SIZE])
{
    CHECK(range.to < UINT64_MAX);
    if (range.from > range.to) {
        return ENGINE_OK;
    }
    struct stream_iterator stream;
    struct wire_record record;
    stream_iterator_open(&stream, engine, range.stream_id, NULL);
    stream_iterator_seek(&stream, range.from);
    enum engine_result result = read_record(&stream, &record, error);
    while (result == ENGINE_OK && record.offset <= range.to &&
           visitor.visit(visitor.context, &record) && record.offset < range.to) {
        rocksdb_iter_next(stream.iterator);
        result = read_record(&stream, &record, error);
    }
    stream_iterator_close(&stream);
    return result == ENGINE_ABSENT ? ENGINE_OK : result;
}

/* What is stored under the name of a channel, which is older than its newest record. */
static enum engine_result get_meta(struct engine *engine, const rocksdb_readoptions_t *options,
                                   struct bytes channel, struct record_meta *meta,
                                   char error[static ENGINE_ERROR_SIZE])
{
    char *failure = NULL;
    rocksdb_pinnableslice_t *const slice =
        rocksdb_get_pinned_cf(engine->db, options, engine->families[FAMILY_META],
                              engine_chars(channel.data), channel.size, &failure);
    if (failure != NULL) {
        return engine_settle(failure, error);
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

enum engine_result engine_rocks_find_stream(struct engine *engine, struct bytes channel,
                                            struct record_meta *meta,
                                            char error[static ENGINE_ERROR_SIZE])
{
    struct record_meta found = {.stream_id = 0};
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
 * Up to the end, as a rule: there the newest record is, and to look for it by itself costs as much
 * as all the others (seeking downwards, each source is searched twice). Who does not go there, or
 * begins behind it, is told all the same.
 */
static enum engine_result visit_newest(const struct stream_iterator *stream,
                                       struct engine_reading reading, struct record_meta *meta,
                                       char error[static ENGINE_ERROR_SIZE])
{
    const uint64_t from = reading.begin(reading.visitor.context, meta);
    struct wire_record record;
    bool goes_on = true;
    stream_iterator_seek(stream, from);
    enum engine_result result = read_record(stream, &record, error);
    const bool begins_behind = result == ENGINE_ABSENT && from > meta->noted_top + 1;
    while (result == ENGINE_OK && goes_on) {
        take_newest(meta, &record);
        goes_on = reading.visitor.visit(reading.visitor.context, &record);
        if (goes_on) {
            rocksdb_iter_next(stream->iterator);
            result = read_record(stream, &record, error);
        }
    }
    if (result == ENGINE_ABSENT && !begins_behind) {
        return ENGINE_OK;
    }
    return result == ENGINE_OK || result == ENGINE_ABSENT ? complete_meta(stream, meta, error)
                                                          : result;
}

/*
 * The snapshot keeps what is trimmed in the meantime from being taken away under the iterator, and
 * a batch that is committed meanwhile from being seen in parts.
 */
enum engine_result engine_rocks_read_channel(struct engine *engine, struct bytes channel,
                                             struct engine_reading reading,
                                             struct record_meta *meta,
                                             char error[static ENGINE_ERROR_SIZE])
{
    const rocksdb_snapshot_t *const snapshot = rocksdb_create_snapshot(engine->db);
    rocksdb_readoptions_t *const options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(options, snapshot);
    struct record_meta found = {.stream_id = 0};
    enum engine_result result = get_meta(engine, options, channel, &found, error);
    rocksdb_readoptions_destroy(options);
    if (result == ENGINE_OK) {
        struct stream_iterator stream;
        stream_iterator_open(&stream, engine, found.stream_id, snapshot);
        result = visit_newest(&stream, reading, &found, error);
        stream_iterator_close(&stream);
        *meta = found;
    }
    rocksdb_release_snapshot(engine->db, snapshot);
    return result;
}
