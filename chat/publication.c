/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/publication.h"

#include <string.h>

#include "core/check.h"
#include "proto/event.h"
#include "proto/frame.h"

enum { SERVER_HEADER_SIZE_MAX = 10 }; /* bytes: unmasked, 64-bit length */

/* What stands before the data. */
static size_t key_area(size_t key_size)
{
    return key_size == 0 ? 0 : key_size + IDEMPOTENCY_DIGEST_SIZE;
}

/* An empty one with room for so much in its middle and everything around that. */
static struct blob *reserve(struct blob_pool *pool, const struct event_publication *publication,
                            size_t key_size, size_t middle)
{
    const size_t around = SERVER_HEADER_SIZE_MAX + event_prefix_size(publication);
    const size_t carried = publication->channel.size + key_area(key_size);
    const size_t head = around > carried ? around : carried;
    const size_t tail = event_suffix_size(publication) + EVENT_SUFFIX_GROWTH_MAX;

    struct blob *blob = blob_create(pool, head + middle + tail);
    if (blob != NULL) {
        memcpy(blob->data, publication->channel.data, publication->channel.size);
        blob->begin = (uint32_t)head;
        blob->end = (uint32_t)head;
    }
    return blob;
}

static void write_key(struct blob *blob, struct bytes key, struct bytes data)
{
    const uint64_t digest = idempotency_digest(data);
    uint8_t *at = blob->data + blob->begin - key_area(key.size);

    if (key.size > 0) {
        memcpy(at, key.data, key.size);
        for (size_t i = 0; i < IDEMPOTENCY_DIGEST_SIZE; i++) {
            at[key.size + i] = (uint8_t)(digest >> (8 * i)); /* it is stored: little endian */
        }
    }
}

struct blob *publication_create(struct blob_pool *pool, const struct publication_source *source)
{
    CHECK(source->key.size <= IDEMPOTENCY_KEY_SIZE_MAX);
    /* Who published, and the tags, go behind the data now, as the begin of the suffix. */
    const struct event_publication publisher = {
        .channel = source->channel,
        .info = source->info,
        .tags = source->tags,
    };
    const struct event_publication nobody = {.channel = source->channel};
    struct blob *blob = reserve(pool, &publisher, source->key.size, source->data.size);
    if (blob == NULL) {
        return NULL;
    }
    uint8_t *const data = blob->data + blob->begin;
    blob->made_ns = source->now_ns;
    memcpy(data, source->data.data, source->data.size);
    const size_t written = event_put_suffix(&publisher, data + source->data.size);
    blob->end += (uint32_t)(source->data.size + written - event_suffix_size(&nobody));
    write_key(blob, source->key, source->data);
    return blob;
}

struct bytes publication_channel(const struct blob *blob, uint16_t name_size)
{
    return (struct bytes){blob->data, name_size};
}

struct idempotency_key publication_key(const struct blob *blob, uint8_t key_size)
{
    CHECK(key_size > 0);
    const uint8_t *at = blob->data + blob->begin - key_area(key_size);
    struct idempotency_key key = {.text = {at, key_size}};

    for (size_t i = 0; i < IDEMPOTENCY_DIGEST_SIZE; i++) {
        key.digest |= (uint64_t)at[key_size + i] << (8 * i);
    }
    return key;
}

struct bytes publication_stored(const struct blob *blob, uint8_t key_size)
{
    const uint32_t begin = blob->begin - (uint32_t)key_area(key_size);
    return (struct bytes){blob->data + begin, blob->end - begin};
}

struct blob *publication_restore(struct blob_pool *pool, struct bytes channel, struct bytes stored,
                                 uint8_t key_size)
{
    const struct event_publication publication = {.channel = channel};
    const size_t area = key_area(key_size);
    CHECK(area <= stored.size);

    struct blob *blob = reserve(pool, &publication, key_size, stored.size - area);
    if (blob != NULL) {
        memcpy(blob->data + blob->begin - area, stored.data, stored.size);
        blob->end += (uint32_t)(stored.size - area);
    }
    return blob;
}

void publication_finish(struct blob *blob, struct bytes channel, uint64_t offset)
{
    const struct event_publication around = {.channel = channel, .offset = offset};

    blob->end += (uint32_t)event_put_suffix(&around, blob->data + blob->end);
    blob->begin -= (uint32_t)event_put_prefix(&around, blob->data + blob->begin);
    CHECK(blob->end <= blob->capacity);

    uint8_t header[FRAME_HEADER_SIZE_MAX];
    const size_t size = frame_write_header(FRAME_TEXT, blob->end - blob->begin, header);
    CHECK(size <= blob->begin);
    blob->begin -= (uint32_t)size;
    memcpy(blob->data + blob->begin, header, size);
}

struct bytes publication_alone(const struct blob *blob, struct bytes channel)
{
    return event_find_publication(channel, frame_payload(blob_bytes(blob)));
}
