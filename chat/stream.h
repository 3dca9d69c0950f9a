/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_STREAM_H
#define CHAT_STREAM_H
/*
 * The last publications of one channel in order, and where the channel stands: the offset of the
 * last publication, and the epoch, which is another one in each life of the channel's history.
 *
 * Owner     a channel at its home. ON that reactor only.
 * Kept      publications [stream_first(), top], without a gap: one share of each. What has to go,
 *           and when, is the channel's to say.
 * Memory    16 bytes for each publication that is kept, and their blobs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

struct blob;
struct blob_pool;
struct stream_item;

enum { STREAM_EPOCH_SIZE = 16 }; /* bytes of an epoch as text */

/* Zeroed: empty, without an epoch. */
struct stream {
    uint64_t epoch; /* 0: none, for channels without history */
    uint64_t top;   /* offset of the last publication; 0: none yet */
    size_t bytes;   /* what the kept publications hold, and their places */
    struct stream_item *items;
    uint32_t begin; /* index of the oldest in `items` */
    uint32_t count;
    uint32_t capacity; /* 0, or a power of two */
};

static inline uint64_t stream_first(const struct stream *stream)
{
    return stream->top - stream->count + 1; /* top + 1 when nothing is kept */
}

/* Makes sure that the next stream_append() has room. 0, or -ENOMEM. */
NODISCARD int stream_reserve(struct stream *stream);

/* The next publication, kept: takes a share. stream_reserve() was called. */
void stream_append(struct stream *stream, struct blob *blob, uint64_t now_ns);

/* The next publication, not kept. Nothing is kept before it either. */
void stream_skip(struct stream *stream);

/* The publication of an offset that is kept. Borrowed. */
NODISCARD struct blob *stream_at(const struct stream *stream, uint64_t offset);

/* What was given with it as its time. */
NODISCARD uint64_t stream_time_at(const struct stream *stream, uint64_t offset);

/* The first offset that is kept and not older than that; top + 1: none. */
NODISCARD uint64_t stream_first_since(const struct stream *stream, uint64_t time_ns);

/* When the last publication that is kept was published. Something is kept. */
NODISCARD uint64_t stream_last_time(const struct stream *stream);

/* Drops what is before the offset, and with the last one the memory too. */
void stream_drop_before(struct stream *stream, uint64_t offset, struct blob_pool *pool);

/* An epoch as clients see it, and back; false: it is none of ours. */
void stream_write_epoch(uint64_t epoch, uint8_t text[static STREAM_EPOCH_SIZE]);
NODISCARD bool stream_read_epoch(struct bytes text, uint64_t *epoch);

#endif /* CHAT_STREAM_H */
