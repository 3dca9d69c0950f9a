/* SPDX-License-Identifier: Apache-2.0 */
#include "net/packet.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/blob.h"
#include "core/check.h"

enum {
    CLASS_COUNT = 7,              /* of 64, 128, ... 4096 bytes, header included */
    CLASS_NONE = CLASS_COUNT,     /* larger: straight from malloc */
    CLASS_SIZE_SMALLEST = 64,     /* bytes */
    CLASS_CACHED_MAX = 1 << 12,   /* free packets kept per class, */
    CLASS_CACHED_BYTES = 4 << 20, /* but not more bytes than these */
};

#ifdef FULL_CHECKS
static const bool cache_is_used = false; /* AddressSanitizer then sees what is used after free */
#else
static const bool cache_is_used = true;
#endif

enum packet_kind {
    PACKET_INLINE, /* `data` */
    PACKET_MEMORY,
    PACKET_BLOB,
};

struct packet {
    struct packet_pool *pool;
    union {
        struct blob *blob;   /* PACKET_BLOB */
        uint8_t *memory;     /* PACKET_MEMORY: its bytes begin at `begin` */
        struct packet *next; /* while free */
    };
    uint32_t size;          /* bytes */
    uint32_t references;    /* 0 while free */
    uint32_t flow;          /* packet_set_flow(); 0: none */
    uint16_t message_count; /* of the flow */
    uint8_t begin;          /* PACKET_MEMORY */
    uint8_t class : 4;      /* index, or CLASS_NONE */
    uint8_t kind : 3;       /* enum packet_kind */
    bool replaceable : 1;   /* packet_set_replaceable() */
    uint8_t data[];
};

_Static_assert(sizeof(struct packet) == 32, "half of the smallest class");
_Static_assert(PACKET_POOLED_MAX + sizeof(struct packet) == (size_t)CLASS_SIZE_SMALLEST
                                                                << (CLASS_COUNT - 1),
               "the largest class");

struct packet_pool {
    struct blob_pool *blobs;
    size_t count; /* live packets */
    size_t bytes; /* of them, but for blobs */
    struct packet *free[CLASS_COUNT];
    uint32_t free_count[CLASS_COUNT];
};

static uint32_t class_of(size_t bytes)
{
    uint32_t class = 0;
    while (class < CLASS_COUNT && bytes > ((size_t)CLASS_SIZE_SMALLEST << class)) {
        class ++;
    }
    return class;
}

static uint32_t cached_max(uint32_t class)
{
    const uint32_t count = CLASS_CACHED_BYTES / ((uint32_t)CLASS_SIZE_SMALLEST << class);
    return count < CLASS_CACHED_MAX ? count : CLASS_CACHED_MAX;
}

struct packet_pool *packet_pool_create(struct blob_pool *blobs)
{
    struct packet_pool *pool = calloc(1, sizeof(*pool));
    if (pool != NULL) {
        pool->blobs = blobs;
    }
    return pool;
}

void packet_pool_destroy(struct packet_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    CHECK(pool->count == 0);
    CHECK(pool->bytes == 0);
    for (size_t i = 0; i < CLASS_COUNT; i++) {
        while (pool->free[i] != NULL) {
            struct packet *packet = pool->free[i];
            pool->free[i] = packet->next;
            free(packet);
        }
    }
    free(pool);
}

size_t packet_pool_count(const struct packet_pool *pool)
{
    return pool->count;
}

size_t packet_pool_bytes(const struct packet_pool *pool)
{
    return pool->bytes;
}

/* Of one that is live; the same all its life, but for packet_shorten(). */
static size_t bytes_of(const struct packet *packet)
{
    if (packet->kind == PACKET_MEMORY) {
        return (size_t)CLASS_SIZE_SMALLEST + packet->begin + packet->size;
    }
    return packet->class < CLASS_COUNT ? (size_t)CLASS_SIZE_SMALLEST << packet->class
                                       : sizeof(*packet) + packet->size;
}

static struct packet *allocate(struct packet_pool *pool, size_t size)
{
    if (size > UINT32_MAX) {
        return NULL;
    }
    const uint32_t class = class_of(sizeof(struct packet) + size);
    struct packet *packet = NULL;
    if (class < CLASS_COUNT && pool->free[class] != NULL) {
        packet = pool->free[class];
        pool->free[class] = packet->next;
        pool->free_count[class]--;
    } else {
        const size_t bytes = class < CLASS_COUNT ? (size_t)CLASS_SIZE_SMALLEST << class
                                                 : sizeof(struct packet) + size;
        packet = malloc(bytes);
        if (packet == NULL) {
            return NULL;
        }
    }
    *packet =
        (struct packet){.pool = pool, .size = (uint32_t)size, .references = 1, .class = class & 15};
    pool->count++;
    pool->bytes += bytes_of(packet);
    return packet;
}

struct packet *packet_create(struct packet_pool *pool, size_t size)
{
    CHECK(pool != NULL);
    return allocate(pool, size);
}

struct packet *packet_of_blob(struct packet_pool *pool, struct blob *blob)
{
    CHECK(pool != NULL);
    CHECK(blob != NULL);

    struct packet *packet = allocate(pool, 0);
    if (packet != NULL) {
        packet->kind = PACKET_BLOB;
        packet->blob = blob;
        packet->size = blob->end - blob->begin;
    }
    return packet;
}

struct packet *packet_of_memory(struct packet_pool *pool, uint8_t *memory, uint8_t begin,
                                size_t size)
{
    CHECK(pool != NULL);
    CHECK(memory != NULL);

    struct packet *packet = size > UINT32_MAX ? NULL : allocate(pool, 0);
    if (packet != NULL) {
        packet->kind = PACKET_MEMORY;
        packet->memory = memory;
        packet->begin = begin;
        packet->size = (uint32_t)size;
        pool->bytes += begin + size;
    }
    return packet;
}

struct span packet_span(struct packet *packet)
{
    CHECK(packet->kind == PACKET_INLINE);
    return (struct span){packet->data, packet->size};
}

void packet_shorten(struct packet *packet, size_t size)
{
    CHECK(packet->kind == PACKET_INLINE);
    CHECK(size <= packet->size);
    packet->pool->bytes -= bytes_of(packet);
    packet->size = (uint32_t)size;
    packet->pool->bytes += bytes_of(packet);
}

/* How many bytes more it can hold: 0 when they are not inline, and when others see it too. */
static size_t room_of(const struct packet *packet)
{
    if (packet->kind != PACKET_INLINE || packet->references > 1 || packet->class >= CLASS_COUNT ||
        packet->replaceable || packet->flow != 0) {
        return 0;
    }
    return ((size_t)CLASS_SIZE_SMALLEST << packet->class) - sizeof(*packet) - packet->size;
}

static void put(struct packet *packet, struct bytes bytes)
{
    if (bytes.size > 0) {
        memcpy(packet->data + packet->size, bytes.data, bytes.size);
        packet->size += (uint32_t)bytes.size;
    }
}

bool packet_append(struct packet *packet, struct bytes head, struct bytes body)
{
    if (room_of(packet) < head.size + body.size) {
        return false;
    }
    put(packet, head);
    put(packet, body);
    return true;
}

void packet_set_replaceable(struct packet *packet)
{
    packet->replaceable = true;
}

bool packet_is_replaceable(const struct packet *packet)
{
    return packet->replaceable;
}

void packet_set_flow(struct packet *packet, uint32_t flow, size_t message_count)
{
    CHECK(flow > 0);
    packet->flow = flow;
    packet->message_count = message_count < UINT16_MAX ? (uint16_t)message_count : UINT16_MAX;
}

uint32_t packet_flow(const struct packet *packet)
{
    return packet->flow;
}

uint32_t packet_message_count(const struct packet *packet)
{
    return packet->message_count;
}

struct bytes packet_bytes(const struct packet *packet)
{
    DCHECK(packet->references > 0);
    switch ((enum packet_kind)packet->kind) {
    case PACKET_INLINE:
        return (struct bytes){packet->data, packet->size};
    case PACKET_MEMORY:
        return (struct bytes){packet->memory + packet->begin, packet->size};
    case PACKET_BLOB:
        return blob_bytes(packet->blob);
    }
    NEVER("no kind of packet");
}

void packet_ref(struct packet *packet)
{
    CHECK(packet->references > 0 && packet->references < UINT32_MAX);
    packet->references++;
}

void packet_unref(struct packet *packet)
{
    if (packet == NULL) {
        return;
    }
    CHECK(packet->references > 0);
    packet->references--;
    if (packet->references > 0) {
        return;
    }
    struct packet_pool *pool = packet->pool;
    pool->bytes -= bytes_of(packet);
    if (packet->kind == PACKET_BLOB) {
        blob_drop(packet->blob, pool->blobs);
    } else if (packet->kind == PACKET_MEMORY) {
        free(packet->memory);
    }
    CHECK(pool->count > 0);
    pool->count--;
    const uint32_t class = packet->class;
    if (!cache_is_used || class >= CLASS_COUNT || pool->free_count[class] >= cached_max(class)) {
        free(packet);
        return;
    }
    packet->next = pool->free[class];
    pool->free[class] = packet;
    pool->free_count[class]++;
}
