/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wire.h"

#include <string.h>

#include "core/check.h"
#include "store/codec.h"

enum {
    BATCH_HEAD_SIZE = 8,
    READ_HEAD_SIZE = 24,
    STREAM_SIZE = 48,
};

/* The order of a read. The values are on the wire. */
enum {
    READ_FORWARD = 0,
    READ_NEWEST = 2,
};

_Static_assert(WIRE_PAGE_HEAD_SIZE + WIRE_PAGE_BYTES_MAX <= WIRE_BODY_SIZE_MAX &&
                   WIRE_RECORD_SIZE_MIN + WIRE_VALUE_SIZE_MAX <= WIRE_PAGE_BYTES_MAX,
               "a page fits in a frame, and any record in a page");
_Static_assert(BATCH_HEAD_SIZE + WIRE_ENTRY_SIZE_MIN + WIRE_VALUE_SIZE_MAX + 512 <
                   WIRE_BODY_SIZE_MAX,
               "the largest entry fits in a frame");

static void put_bytes(uint8_t *target, struct bytes in)
{
    if (in.size > 0) {
        memcpy(target, in.data, in.size);
    }
}

/* --- Frames --- */

static bool type_is_known(uint8_t type)
{
    switch ((enum wire_type)type) {
    case WIRE_BATCH:
    case WIRE_READ:
    case WIRE_STAT:
    case WIRE_READY:
    case WIRE_COMMITTED:
    case WIRE_PAGE:
    case WIRE_STATS:
        return true;
    }
    return false;
}

enum wire_verdict wire_read_header(struct bytes in, struct wire_header *header)
{
    CHECK(header != NULL);
    if (in.size < WIRE_HEADER_SIZE) {
        return WIRE_NEED_MORE;
    }
    const uint32_t body_size = codec_get_u32(in.data);
    if (in.data[4] != WIRE_VERSION) {
        return WIRE_BAD_VERSION;
    }
    if (!type_is_known(in.data[5]) || in.data[6] != 0 || in.data[7] != 0) {
        return WIRE_BAD_TYPE;
    }
    if (body_size > WIRE_BODY_SIZE_MAX) {
        return WIRE_TOO_BIG;
    }
    if (in.size - WIRE_HEADER_SIZE < body_size) {
        return WIRE_NEED_MORE;
    }
    *header = (struct wire_header){
        .id = codec_get_u64(in.data + 8),
        .body_size = body_size,
        .type = (enum wire_type)in.data[5],
    };
    return WIRE_OK;
}

void wire_write_header(const struct wire_header *header, uint8_t target[static WIRE_HEADER_SIZE])
{
    CHECK(header->body_size <= WIRE_BODY_SIZE_MAX);
    codec_put_u32(target, header->body_size);
    target[4] = WIRE_VERSION;
    target[5] = (uint8_t)header->type;
    target[6] = 0;
    target[7] = 0;
    codec_put_u64(target + 8, header->id);
}

/* --- Batches --- */

static bool keep_is_sound(struct wire_keep keep)
{
    return keep.record_ms >= 1 && keep.record_ms <= WIRE_KEEP_MS_MAX && keep.position_ms >= 1 &&
           keep.position_ms <= WIRE_KEEP_MS_MAX;
}

/* What holds for every entry that is written, and of every entry that is read. */
static bool entry_is_sound(const struct wire_entry *entry)
{
    if (entry->channel.size < 1 || entry->channel.size > WIRE_CHANNEL_SIZE_MAX) {
        return false;
    }
    switch (entry->kind) {
    case WIRE_APPEND:
        return entry->value.size <= WIRE_VALUE_SIZE_MAX && entry->offset >= 1 &&
               entry->offset < UINT64_MAX;
    case WIRE_TRIM:
        return entry->value.size == 0 && entry->offset >= 1;
    case WIRE_RESET:
        return entry->value.size == 0 && entry->offset < UINT64_MAX;
    case WIRE_REMOVE:
        return entry->value.size == 0;
    case WIRE_KEEP:
        return entry->value.size == 0 && keep_is_sound(entry->keep);
    }
    return false;
}

static size_t entry_size(const struct wire_entry *entry)
{
    return WIRE_ENTRY_SIZE_MIN + entry->channel.size + entry->value.size;
}

size_t wire_batch_size(const struct wire_entry *entries, size_t count)
{
    if (count < 1 || count > WIRE_ENTRY_COUNT_MAX) {
        return 0;
    }
    size_t size = BATCH_HEAD_SIZE;
    for (size_t i = 0; i < count; i++) {
        if (!entry_is_sound(&entries[i])) {
            return 0;
        }
        size += entry_size(&entries[i]);
        if (size > WIRE_BODY_SIZE_MAX) {
            return 0;
        }
    }
    return size;
}

static uint8_t *write_entry(const struct wire_entry *entry, uint8_t *target)
{
    const bool keeps = entry->kind == WIRE_KEEP;
    target[0] = (uint8_t)entry->kind;
    target[1] = (uint8_t)entry->channel.size;
    target[2] = 0;
    target[3] = 0;
    codec_put_u32(target + 4, (uint32_t)entry->value.size);
    codec_put_u32(target + 8, entry->flags);
    codec_put_u32(target + 12, 0);
    codec_put_u64(target + 16, keeps ? entry->keep.record_ms : entry->offset);
    codec_put_u64(target + 24, entry->epoch);
    codec_put_u64(target + 32, keeps ? entry->keep.position_ms : entry->time_ms);
    target += WIRE_ENTRY_SIZE_MIN;
    put_bytes(target, entry->channel);
    put_bytes(target + entry->channel.size, entry->value);
    return target + entry->channel.size + entry->value.size;
}

void wire_write_batch(enum wire_durability durability, const struct wire_entry *entries,
                      size_t count, uint8_t *target)
{
    codec_put_u32(target, (uint32_t)count);
    codec_put_u32(target + 4, (uint32_t)durability);
    target += BATCH_HEAD_SIZE;
    for (size_t i = 0; i < count; i++) {
        target = write_entry(&entries[i], target);
    }
}

enum wire_verdict wire_read_batch(struct bytes body, struct wire_batch *batch)
{
    if (body.size < BATCH_HEAD_SIZE) {
        return WIRE_BAD_FRAME;
    }
    const uint32_t count = codec_get_u32(body.data);
    const uint32_t durability = codec_get_u32(body.data + 4);
    if (count > WIRE_ENTRY_COUNT_MAX) {
        return WIRE_TOO_BIG;
    }
    if (count < 1 || durability > WIRE_DURABLE_POWER) {
        return WIRE_BAD_FRAME;
    }
    *batch = (struct wire_batch){
        .durability = (enum wire_durability)durability,
        .count = count,
        .rest = {body.data + BATCH_HEAD_SIZE, body.size - BATCH_HEAD_SIZE},
    };
    return WIRE_OK;
}

enum wire_verdict wire_next_entry(struct wire_batch *batch, struct wire_entry *entry)
{
    const struct bytes in = batch->rest;
    if (batch->count == 0 || in.size < WIRE_ENTRY_SIZE_MIN) {
        return WIRE_BAD_FRAME;
    }
    const size_t channel_size = in.data[1];
    const uint32_t value_size = codec_get_u32(in.data + 4);
    if (value_size > WIRE_VALUE_SIZE_MAX) {
        return WIRE_TOO_BIG;
    }
    const size_t size = WIRE_ENTRY_SIZE_MIN + channel_size + value_size;
    if (in.size < size || in.data[2] != 0 || in.data[3] != 0 || codec_get_u32(in.data + 12) != 0 ||
        in.data[0] < WIRE_APPEND || in.data[0] > WIRE_KEEP) {
        return WIRE_BAD_FRAME;
    }
    const uint8_t *const names = in.data + WIRE_ENTRY_SIZE_MIN;
    struct wire_entry read = {
        .kind = (enum wire_kind)in.data[0],
        .flags = codec_get_u32(in.data + 8),
        .offset = codec_get_u64(in.data + 16),
        .epoch = codec_get_u64(in.data + 24),
        .time_ms = codec_get_u64(in.data + 32),
        .channel = {names, channel_size},
        .value = {names + channel_size, value_size},
    };
    if (read.kind == WIRE_KEEP) {
        read.keep = (struct wire_keep){.record_ms = read.offset, .position_ms = read.time_ms};
        read.offset = read.time_ms = 0;
    }
    if (!entry_is_sound(&read) || (batch->count == 1 && in.size != size)) {
        return WIRE_BAD_FRAME;
    }
    batch->count--;
    batch->rest = (struct bytes){in.data + size, in.size - size};
    *entry = read;
    return WIRE_OK;
}

size_t wire_write_committed(const struct wire_committed *committed, uint8_t *target)
{
    codec_put_u32(target, (uint32_t)committed->result);
    codec_put_u32(target + 4, committed->entry);
    return WIRE_COMMITTED_SIZE;
}

enum wire_verdict wire_read_committed(struct bytes body, struct wire_committed *committed)
{
    if (body.size != WIRE_COMMITTED_SIZE || codec_get_u32(body.data) > WIRE_FAILED) {
        return WIRE_BAD_FRAME;
    }
    *committed = (struct wire_committed){
        .result = (enum wire_result)codec_get_u32(body.data),
        .entry = codec_get_u32(body.data + 4),
    };
    return WIRE_OK;
}

/* --- Reads and pages --- */

size_t wire_write_read(const struct wire_read *read, uint8_t *target)
{
    CHECK(read->channel.size >= 1 && read->channel.size <= WIRE_CHANNEL_SIZE_MAX);
    CHECK(read->count_max >= 1 && read->count_max <= WIRE_READ_COUNT_MAX);
    CHECK(read->bytes_max <= WIRE_PAGE_BYTES_MAX);
    codec_put_u64(target, read->since);
    codec_put_u32(target + 8, read->count_max);
    codec_put_u32(target + 12, read->bytes_max);
    codec_put_u32(target + 16, read->newest ? READ_NEWEST : READ_FORWARD);
    codec_put_u32(target + 20, (uint32_t)read->channel.size);
    put_bytes(target + READ_HEAD_SIZE, read->channel);
    return READ_HEAD_SIZE + read->channel.size;
}

enum wire_verdict wire_read_read(struct bytes body, struct wire_read *read)
{
    if (body.size < READ_HEAD_SIZE) {
        return WIRE_BAD_FRAME;
    }
    const uint32_t count_max = codec_get_u32(body.data + 8);
    const uint32_t bytes_max = codec_get_u32(body.data + 12);
    const uint32_t order = codec_get_u32(body.data + 16);
    const uint32_t channel_size = codec_get_u32(body.data + 20);
    if (count_max > WIRE_READ_COUNT_MAX || bytes_max > WIRE_PAGE_BYTES_MAX ||
        channel_size > WIRE_CHANNEL_SIZE_MAX) {
        return WIRE_TOO_BIG;
    }
    if (count_max < 1 || (order != READ_FORWARD && order != READ_NEWEST) || channel_size < 1 ||
        body.size != READ_HEAD_SIZE + channel_size) {
        return WIRE_BAD_FRAME;
    }
    *read = (struct wire_read){
        .channel = {body.data + READ_HEAD_SIZE, channel_size},
        .since = codec_get_u64(body.data),
        .count_max = count_max,
        .bytes_max = bytes_max,
        .newest = order == READ_NEWEST,
    };
    return WIRE_OK;
}

static void write_stream(const struct wire_stream *stream, uint8_t *target)
{
    codec_put_u64(target, stream->epoch);
    codec_put_u64(target + 8, stream->top);
    codec_put_u64(target + 16, stream->first);
    codec_put_u64(target + 24, stream->last_time_ms);
    codec_put_u64(target + 32, stream->keep.record_ms);
    codec_put_u64(target + 40, stream->keep.position_ms);
}

static struct wire_stream read_stream(const uint8_t *source)
{
    return (struct wire_stream){
        .epoch = codec_get_u64(source),
        .top = codec_get_u64(source + 8),
        .first = codec_get_u64(source + 16),
        .last_time_ms = codec_get_u64(source + 24),
        .keep = {codec_get_u64(source + 32), codec_get_u64(source + 40)},
    };
}

size_t wire_write_record(const struct wire_record *record, uint8_t *target)
{
    CHECK(record->value.size <= WIRE_VALUE_SIZE_MAX);
    codec_put_u64(target, record->offset);
    codec_put_u64(target + 8, record->time_ms);
    codec_put_u32(target + 16, record->flags);
    codec_put_u32(target + 20, (uint32_t)record->value.size);
    put_bytes(target + WIRE_RECORD_SIZE_MIN, record->value);
    return WIRE_RECORD_SIZE_MIN + record->value.size;
}

bool wire_next_record(struct bytes *records, struct wire_record *record)
{
    const struct bytes in = *records;
    if (in.size < WIRE_RECORD_SIZE_MIN) {
        return false;
    }
    const uint32_t size = codec_get_u32(in.data + 20);
    if (size > WIRE_VALUE_SIZE_MAX || in.size - WIRE_RECORD_SIZE_MIN < size) {
        return false;
    }
    *record = (struct wire_record){
        .offset = codec_get_u64(in.data),
        .time_ms = codec_get_u64(in.data + 8),
        .flags = codec_get_u32(in.data + 16),
        .value = {in.data + WIRE_RECORD_SIZE_MIN, size},
    };
    *records = (struct bytes){in.data + WIRE_RECORD_SIZE_MIN + size,
                              in.size - WIRE_RECORD_SIZE_MIN - size};
    return true;
}

void wire_write_page_head(const struct wire_page *page, uint8_t *target)
{
    codec_put_u32(target, (uint32_t)page->result);
    codec_put_u32(target + 4, page->more ? 1 : 0);
    codec_put_u32(target + 8, page->count);
    codec_put_u32(target + 12, 0);
    write_stream(&page->stream, target + 16);
}

enum wire_verdict wire_read_page(struct bytes body, struct wire_page *page)
{
    if (body.size < WIRE_PAGE_HEAD_SIZE) {
        return WIRE_BAD_FRAME;
    }
    const uint32_t result = codec_get_u32(body.data);
    const uint32_t more = codec_get_u32(body.data + 4);
    const struct bytes records = {body.data + WIRE_PAGE_HEAD_SIZE, body.size - WIRE_PAGE_HEAD_SIZE};
    if (result > WIRE_FAILED || more > 1 || codec_get_u32(body.data + 12) != 0) {
        return WIRE_BAD_FRAME;
    }
    struct bytes rest = records;
    struct wire_record record;
    uint32_t count = 0;
    while (wire_next_record(&rest, &record)) {
        count++;
    }
    if (rest.size != 0 || count != codec_get_u32(body.data + 8)) {
        return WIRE_BAD_FRAME;
    }
    *page = (struct wire_page){
        .result = (enum wire_result)result,
        .more = more != 0,
        .count = count,
        .stream = read_stream(body.data + 16),
        .records = records,
    };
    return WIRE_OK;
}

/* --- Figures --- */

size_t wire_write_stats(const struct wire_stats *stats, uint8_t *target)
{
    uint64_t numbers[WIRE_STATS_COUNT];
    memcpy(numbers, stats, sizeof(numbers));
    for (int i = 0; i < WIRE_STATS_COUNT; i++) {
        codec_put_u64(target + 8 * (size_t)i, numbers[i]);
    }
    return WIRE_STATS_SIZE;
}

enum wire_verdict wire_read_stats(struct bytes body, struct wire_stats *stats)
{
    if (body.size != WIRE_STATS_SIZE) {
        return WIRE_BAD_FRAME;
    }
    uint64_t numbers[WIRE_STATS_COUNT];
    for (int i = 0; i < WIRE_STATS_COUNT; i++) {
        numbers[i] = codec_get_u64(body.data + 8 * (size_t)i);
    }
    memcpy(stats, numbers, sizeof(numbers));
    return WIRE_OK;
}
