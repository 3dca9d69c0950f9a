/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"

#include <string.h>

#include "core/check.h"
#include "core/siphash.h"
#include "store/codec.h"

/* Written down for ever: what was stored with one checksum must be read with the same. */
enum { CHECKSUM_SIZE = 4 };
static const uint64_t meta_domain = UINT64_C(0x6d65746120706172);

/* A keyed hash of the rest of the value; its key says where the value belongs. */
static uint32_t checksum(uint64_t k0, uint64_t k1, struct bytes rest)
{
    const uint64_t hash = siphash_13((struct siphash_key){k0, k1}, rest);
    return (uint32_t)(hash ^ hash >> 32);
}

void record_write_stream_key(uint64_t stream_id, uint64_t offset,
                             uint8_t target[static RECORD_STREAM_KEY_SIZE])
{
    codec_put_u64_big(target, stream_id);
    codec_put_u64_big(target + 8, offset);
}

bool record_read_stream_key(struct bytes key, uint64_t *stream_id, uint64_t *offset)
{
    if (key.size != RECORD_STREAM_KEY_SIZE) {
        return false;
    }
    *stream_id = codec_get_u64_big(key.data);
    *offset = codec_get_u64_big(key.data + 8);
    return true;
}

/*
 * The bytes of a publication are hashed first and what stands before them second, so that a head
 * can be written without having head and bytes in one place.
 */
static uint32_t record_checksum(uint64_t stream_id, uint64_t offset, const uint8_t *head,
                                struct bytes value)
{
    const uint64_t inner = siphash_13((struct siphash_key){stream_id, offset}, value);
    return checksum(inner, value.size,
                    (struct bytes){head + CHECKSUM_SIZE, RECORD_HEAD_SIZE - CHECKSUM_SIZE});
}

void record_write_head(uint64_t stream_id, const struct wire_record *record,
                       uint8_t target[static RECORD_HEAD_SIZE])
{
    codec_put_u32(target + 4, record->flags);
    codec_put_u64(target + 8, record->time_ms);
    codec_put_u32(target, record_checksum(stream_id, record->offset, target, record->value));
}

bool record_read(uint64_t stream_id, uint64_t offset, struct bytes value,
                 struct wire_record *record)
{
    if (value.size < RECORD_HEAD_SIZE) {
        return false;
    }
    const struct bytes rest = {value.data + RECORD_HEAD_SIZE, value.size - RECORD_HEAD_SIZE};
    if (codec_get_u32(value.data) != record_checksum(stream_id, offset, value.data, rest)) {
        return false;
    }
    *record = (struct wire_record){
        .offset = offset,
        .time_ms = codec_get_u64(value.data + 8),
        .flags = codec_get_u32(value.data + 4),
        .value = rest,
    };
    return true;
}

static uint32_t meta_checksum(struct bytes channel, struct bytes value)
{
    const uint64_t name = siphash_13((struct siphash_key){meta_domain, meta_domain}, channel);
    return checksum(name, meta_domain,
                    (struct bytes){value.data + CHECKSUM_SIZE, value.size - CHECKSUM_SIZE});
}

void record_write_meta(struct bytes channel, const struct record_meta *meta,
                       uint8_t target[static RECORD_META_SIZE])
{
    codec_put_u32(target + 4, 0);
    codec_put_u64(target + 8, meta->stream_id);
    codec_put_u64(target + 16, meta->stream.epoch);
    codec_put_u64(target + 24, meta->stream.top);
    codec_put_u64(target + 32, meta->stream.first);
    codec_put_u64(target + 40, meta->stream.last_time_ms);
    codec_put_u64(target + 48, meta->stream.keep.record_ms);
    codec_put_u64(target + 56, meta->stream.keep.position_ms);
    codec_put_u32(target, meta_checksum(channel, (struct bytes){target, RECORD_META_SIZE}));
}

bool record_read_meta(struct bytes channel, struct bytes value, struct record_meta *meta)
{
    if ((value.size != RECORD_META_SIZE && value.size != RECORD_META_SIZE_1) ||
        codec_get_u32(value.data) != meta_checksum(channel, value)) {
        return false;
    }
    *meta = (struct record_meta){
        .stream_id = codec_get_u64(value.data + 8),
        .stream =
            {
                .epoch = codec_get_u64(value.data + 16),
                .top = codec_get_u64(value.data + 24),
                .first = codec_get_u64(value.data + 32),
                .last_time_ms = codec_get_u64(value.data + 40),
            },
        .noted_top = codec_get_u64(value.data + 24),
    };
    if (value.size == RECORD_META_SIZE) {
        meta->stream.keep = (struct wire_keep){
            .record_ms = codec_get_u64(value.data + 48),
            .position_ms = codec_get_u64(value.data + 56),
        };
    }
    return true;
}
