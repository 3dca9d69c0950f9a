/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "core/blob.h"
#include "core/check.h"

enum { FIRST_CAPACITY = 4 }; /* publications; a power of two */

struct stream_item {
    struct blob *blob;
    uint64_t time_ns;
};

static size_t cost_of(const struct blob *blob)
{
    return sizeof(struct stream_item) + sizeof(*blob) + blob->capacity;
}

static struct stream_item *item_at(const struct stream *stream, uint32_t place)
{
    return &stream->items[(stream->begin + place) & (stream->capacity - 1)];
}

/* Moves the items to an array of another size, the oldest first. */
static int resize(struct stream *stream, uint32_t capacity)
{
    CHECK(capacity >= stream->count);
    struct stream_item *items = malloc(capacity * sizeof(*items));
    if (items == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < stream->count; i++) {
        items[i] = *item_at(stream, i);
    }
    free(stream->items);
    stream->items = items;
    stream->begin = 0;
    stream->capacity = capacity;
    return 0;
}

int stream_reserve(struct stream *stream)
{
    if (stream->count < stream->capacity) {
        return 0;
    }
    CHECK(stream->capacity <= UINT32_MAX / 2);
    return resize(stream, stream->capacity == 0 ? FIRST_CAPACITY : 2 * stream->capacity);
}

void stream_append(struct stream *stream, struct blob *blob, uint64_t now_ns)
{
    CHECK(stream->count < stream->capacity);

    blob_share(blob, 1);
    stream->top++;
    *item_at(stream, stream->count++) = (struct stream_item){.blob = blob, .time_ns = now_ns};
    stream->bytes += cost_of(blob);
}

void stream_skip(struct stream *stream)
{
    CHECK(stream->count == 0);
    stream->top++;
}

struct blob *stream_at(const struct stream *stream, uint64_t offset)
{
    CHECK(offset >= stream_first(stream) && offset <= stream->top);
    return item_at(stream, (uint32_t)(offset - stream_first(stream)))->blob;
}

uint64_t stream_time_at(const struct stream *stream, uint64_t offset)
{
    CHECK(offset >= stream_first(stream) && offset <= stream->top);
    return item_at(stream, (uint32_t)(offset - stream_first(stream)))->time_ns;
}

uint64_t stream_first_since(const struct stream *stream, uint64_t time_ns)
{
    uint32_t low = 0;
    uint32_t high = stream->count;

    /* Times never fall, so everything before `low` is too old, and nothing from `high` on is. */
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (item_at(stream, middle)->time_ns < time_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return stream_first(stream) + low;
}

uint64_t stream_last_time(const struct stream *stream)
{
    CHECK(stream->count > 0);
    return item_at(stream, stream->count - 1)->time_ns;
}

void stream_drop_before(struct stream *stream, uint64_t offset, struct blob_pool *pool)
{
    while (stream->count > 0 && stream_first(stream) < offset) {
        struct blob *oldest = item_at(stream, 0)->blob;
        stream->bytes -= cost_of(oldest);
        stream->begin = (stream->begin + 1) & (stream->capacity - 1);
        stream->count--;
        blob_drop(oldest, pool);
    }
    if (stream->count == 0) {
        free(stream->items);
        stream->items = NULL;
        stream->begin = 0;
        stream->capacity = 0;
    } else if (stream->capacity > FIRST_CAPACITY && stream->count <= stream->capacity / 4) {
        /* If it fails, the larger array is as good. */
        (void)resize(stream, stream->capacity / 2);
    }
}

void stream_write_epoch(uint64_t epoch, uint8_t text[static STREAM_EPOCH_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = STREAM_EPOCH_SIZE; i > 0; i--) {
        text[i - 1] = (uint8_t)digits[epoch & 0xf];
        epoch >>= 4;
    }
}

bool stream_read_epoch(struct bytes text, uint64_t *epoch)
{
    uint64_t value = 0;

    if (text.size != STREAM_EPOCH_SIZE) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t digit = text.data[i];
        if (digit >= '0' && digit <= '9') {
            value = value << 4 | (uint64_t)(digit - '0');
        } else if (digit >= 'a' && digit <= 'f') {
            value = value << 4 | (uint64_t)(digit - 'a' + 10);
        } else {
            return false;
        }
    }
    *epoch = value;
    return true;
}
