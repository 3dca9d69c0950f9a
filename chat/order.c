/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/order.h"

#include <stddef.h>
#include <string.h>

#include "core/blob.h"
#include "core/check.h"

/* The texts of an order, which stand behind it in this sequence. */
static const size_t texts[] = {
    offsetof(struct order, user),    offsetof(struct order, client),
    offsetof(struct order, channel), offsetof(struct order, token_id),
    offsetof(struct order, reason),  offsetof(struct order, kept),
    offsetof(struct order, info),    offsetof(struct order, data),
};

enum { TEXT_COUNT = sizeof(texts) / sizeof(texts[0]) };

static struct bytes *text_of(struct order *order, size_t index)
{
    void *const text = (uint8_t *)order + texts[index];
    return text;
}

struct blob *order_pack(struct blob_pool *pool, const struct order *order)
{
    struct order copy = *order;
    size_t size = sizeof(copy);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        size += text_of(&copy, i)->size;
    }
    struct blob *blob = blob_create(pool, size);
    if (blob == NULL) {
        return NULL;
    }
    uint8_t *at = blob->data + sizeof(copy);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        struct bytes *text = text_of(&copy, i);
        if (text->size > 0) {
            memcpy(at, text->data, text->size);
        }
        text->data = at; /* the blob does not move */
        at += text->size;
    }
    memcpy(blob->data, &copy, sizeof(copy));
    blob->end = (uint32_t)size;
    return blob;
}

struct order order_unpack(const struct blob *blob)
{
    struct order order;
    CHECK(blob_bytes(blob).size >= sizeof(order));
    memcpy(&order, blob->data, sizeof(order));
    return order;
}
