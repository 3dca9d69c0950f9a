/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/publication.h"

#include <string.h>

#include "core/check.h"
#include "proto/event.h"
#include "proto/frame.h"

enum { SERVER_HEADER_SIZE_MAX = 10 }; /* bytes: unmasked, 64-bit length */

struct blob *publication_create(struct blob_pool *pool, struct bytes channel, struct bytes data,
                                struct bytes info)
{
    /* Who published goes behind the data now, as the begin of the suffix. */
    const struct event_publication publisher = {.channel = channel, .info = info};
    const struct event_publication nobody = {.channel = channel};
    const size_t head = SERVER_HEADER_SIZE_MAX + event_prefix_size(&publisher);
    const size_t tail = event_suffix_size(&publisher) + EVENT_SUFFIX_GROWTH_MAX;
    CHECK(channel.size <= head);

    struct blob *blob = blob_create(pool, head + data.size + tail);
    if (blob == NULL) {
        return NULL;
    }
    memcpy(blob->data, channel.data, channel.size);
    memcpy(blob->data + head, data.data, data.size);
    const size_t written = event_put_suffix(&publisher, blob->data + head + data.size);
    blob->begin = (uint32_t)head;
    blob->end = (uint32_t)(head + data.size + written - event_suffix_size(&nobody));
    return blob;
}

struct bytes publication_channel(const struct blob *blob, uint16_t name_size)
{
    return (struct bytes){blob->data, name_size};
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
