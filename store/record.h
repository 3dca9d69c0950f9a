/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H
/*
 * What lies on the disk, whatever engine keeps it: keys and values of the two tables.
 *
 *   streams  stream id, offset (big endian)     -> time, flags, the publication's bytes
 *   meta     name of the channel                -> stream id, epoch, top, first, last time, keep
 *
 * Each value begins with a checksum of ours over its key and its bytes, so that a value which got
 * to another key is found as well as one that was changed. The engine's own checksums cover blocks
 * and say nothing of which record is hurt.
 *
 * Pure. ANY_THREAD. Decoded views point into the value.
 */
#include <stdbool.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "store/wire.h"

enum {
    RECORD_STREAM_KEY_SIZE = 16,
    RECORD_HEAD_SIZE = 16, /* of a publication's value: checksum, flags, time */
    RECORD_META_SIZE = 64,
    RECORD_META_SIZE_1 = 48, /* in format 1, which did not say how long something is kept */
};

/*
 * Of a channel. What is stored of the top may be behind: the newest record in `streams` decides.
 * It is stored again often enough (gather.h) that who reads from `noted_top` on soon finds it.
 */
struct record_meta {
    uint64_t stream_id;
    struct wire_stream stream;
    uint64_t noted_top; /* `stream.top` as it is stored with the name of the channel */
};

void record_write_stream_key(uint64_t stream_id, uint64_t offset,
                             uint8_t target[static RECORD_STREAM_KEY_SIZE]);
/* False: no key of ours. */
NODISCARD bool record_read_stream_key(struct bytes key, uint64_t *stream_id, uint64_t *offset);

/* The head of a publication's value; its bytes follow as they are. */
void record_write_head(uint64_t stream_id, const struct wire_record *record,
                       uint8_t target[static RECORD_HEAD_SIZE]);
/* False: damaged. Sets `record->offset` to `offset`. */
NODISCARD bool record_read(uint64_t stream_id, uint64_t offset, struct bytes value,
                           struct wire_record *record);

void record_write_meta(struct bytes channel, const struct record_meta *meta,
                       uint8_t target[static RECORD_META_SIZE]);
/* Of format 1, too. */
NODISCARD bool record_read_meta(struct bytes channel, struct bytes value, struct record_meta *meta);

#endif /* STORE_RECORD_H */
