/* SPDX-License-Identifier: Apache-2.0 */
#include "net/outq.h"

#include <errno.h>
#include <stdlib.h>

#include "core/check.h"
#include "net/conn.h"
#include "net/packet.h"

enum { CHUNK_NODES = 255 }; /* a chunk is then 4 KiB */

struct outq_node {
    struct packet *packet;
    struct outq_node *next; /* in a ring; of the free list while free */
};

struct outq_chunk {
    struct outq_chunk *next;
    uint64_t unused; /* a chunk fills whole nodes */
    struct outq_node nodes[CHUNK_NODES];
};

struct outq_pool {
    struct outq_node *free;
    struct outq_chunk *chunks;
    size_t taken; /* nodes */
};

_Static_assert(sizeof(struct outq_node) == CONN_PACKET_COST, "what a queued packet counts for");
_Static_assert(sizeof(struct outq) == 32, "part of every connection");

struct outq_pool *outq_pool_create(void)
{
    return calloc(1, sizeof(struct outq_pool));
}

void outq_pool_destroy(struct outq_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    CHECK(pool->taken == 0);
    while (pool->chunks != NULL) {
        struct outq_chunk *chunk = pool->chunks;
        pool->chunks = chunk->next;
        free(chunk);
    }
    free(pool);
}

size_t outq_pool_bytes(const struct outq_pool *pool)
{
    return pool->taken * sizeof(struct outq_node);
}

static struct outq_node *take_node(struct outq_pool *pool)
{
    if (pool->free == NULL) {
        struct outq_chunk *chunk = malloc(sizeof(*chunk));
        if (chunk == NULL) {
            return NULL;
        }
        chunk->next = pool->chunks;
        pool->chunks = chunk;
        for (size_t i = 0; i < CHUNK_NODES; i++) {
            chunk->nodes[i] = (struct outq_node){.next = pool->free};
            pool->free = &chunk->nodes[i];
        }
    }
    struct outq_node *node = pool->free;
    pool->free = node->next;
    pool->taken++;
    return node;
}

static void give_node(struct outq_pool *pool, struct outq_node *node)
{
    CHECK(pool->taken > 0);
    pool->taken--;
    *node = (struct outq_node){.next = pool->free};
    pool->free = node;
}

/* Drops the first packet of a lane. */
static void pop(struct outq_pool *pool, struct outq_node **lane)
{
    struct outq_node *first = (*lane)->next;
    if (first == *lane) {
        *lane = NULL;
    } else {
        (*lane)->next = first->next;
    }
    packet_unref(first->packet);
    give_node(pool, first);
}

int outq_push(struct outq_pool *pool, struct outq *outq, struct packet *packet, bool urgent)
{
    const size_t size = packet_bytes(packet).size;
    CHECK(size > 0);
    CHECK(size <= UINT32_MAX - CONN_PACKET_COST - outq->bytes);

    struct outq_node *node = take_node(pool);
    if (node == NULL) {
        return -ENOMEM;
    }
    struct outq_node **lane = urgent ? &outq->urgent : &outq->normal;
    packet_ref(packet);
    node->packet = packet;
    if (*lane == NULL) {
        node->next = node;
    } else {
        node->next = (*lane)->next;
        (*lane)->next = node;
    }
    *lane = node;
    outq->bytes += (uint32_t)size + CONN_PACKET_COST;
    return 0;
}

bool outq_append(struct outq *outq, struct bytes head, struct bytes body)
{
    if (outq->normal == NULL || !packet_append(outq->normal->packet, head, body)) {
        return false;
    }
    outq->bytes += (uint32_t)(head.size + body.size);
    return true;
}

static struct iovec piece_of(const struct outq_node *node, size_t begin)
{
    const struct bytes bytes = packet_bytes(node->packet);
    /* An iovec has no const, but nothing that sends writes. */
    union {
        const uint8_t *read;
        void *base;
    } data = {.read = bytes.data + begin};
    return (struct iovec){.iov_base = data.base, .iov_len = bytes.size - begin};
}

/* The pieces gathered so far, of at most `max`. */
struct gathered {
    struct iovec *pieces;
    size_t count;
    size_t max;
};

/* Appends the packets of a lane from `node` on, without `begin` bytes of the first one. */
static void gather_lane(struct gathered *gathered, const struct outq_node *node,
                        const struct outq_node *last, size_t begin)
{
    while (gathered->count < gathered->max) {
        gathered->pieces[gathered->count++] = piece_of(node, begin);
        begin = 0;
        if (node == last) {
            break;
        }
        node = node->next;
    }
}

size_t outq_gather(struct outq *outq, struct iovec *pieces, size_t max)
{
    CHECK(max > 0 && max <= UINT16_MAX);
    CHECK(!outq_is_empty(outq));

    struct gathered gathered = {.pieces = pieces, .max = max};
    const struct outq_node *normal = outq->normal == NULL ? NULL : outq->normal->next;
    if (outq->normal_is_begun) {
        CHECK(normal != NULL);
        pieces[gathered.count++] = piece_of(normal, outq->begun_bytes);
        normal = normal == outq->normal ? NULL : normal->next;
    }
    outq->covered = 0;
    if (outq->urgent != NULL) {
        const size_t before = gathered.count;
        const size_t begin = outq->normal_is_begun ? 0 : outq->begun_bytes;
        gather_lane(&gathered, outq->urgent->next, outq->urgent, begin);
        outq->covered = (uint16_t)(gathered.count - before);
    }
    if (normal != NULL) {
        gather_lane(&gathered, normal, outq->normal, 0);
    }
    outq->lent = (uint16_t)(gathered.count - outq->covered);
    return gathered.count;
}

void outq_advance(struct outq_pool *pool, struct outq *outq, size_t written)
{
    while (written > 0) {
        const bool is_urgent = !outq->normal_is_begun && outq->covered > 0;
        struct outq_node **lane = is_urgent ? &outq->urgent : &outq->normal;
        CHECK(*lane != NULL);

        const size_t size = packet_bytes((*lane)->next->packet).size;
        const size_t left = size - outq->begun_bytes;
        if (written < left) {
            outq->begun_bytes += (uint32_t)written;
            outq->bytes -= (uint32_t)written;
            outq->normal_is_begun = !is_urgent;
            break;
        }
        pop(pool, lane);
        written -= left;
        outq->bytes -= (uint32_t)left + CONN_PACKET_COST;
        outq->begun_bytes = 0;
        outq->normal_is_begun = false;
        if (is_urgent) {
            outq->covered--;
        }
    }
    outq->covered = 0;
    outq->lent = 0;
    CHECK(!outq_is_empty(outq) || outq->bytes == 0);
}

bool outq_replace(struct outq *outq, struct packet *packet)
{
    if (outq->urgent == NULL) {
        return false;
    }
    struct outq_node *node = outq->urgent->next;
    /* Without a gather under way the first one may have been begun all the same. */
    const bool is_begun = outq->begun_bytes > 0 && !outq->normal_is_begun;
    const size_t kept = outq->covered > 0 ? outq->covered : is_begun;
    for (size_t index = 0;; index++) {
        if (index >= kept && packet_is_replaceable(node->packet)) {
            const size_t before = packet_bytes(node->packet).size;
            packet_ref(packet);
            packet_unref(node->packet);
            node->packet = packet;
            outq->bytes += (uint32_t)packet_bytes(packet).size - (uint32_t)before;
            return true;
        }
        if (node == outq->urgent) {
            return false;
        }
        node = node->next;
    }
}

size_t outq_drop_normal(struct outq_pool *pool, struct outq *outq, uint32_t flow)
{
    const size_t kept = outq->lent > 0 ? outq->lent : outq->normal_is_begun;
    struct outq_node *const last = outq->normal;
    struct outq_node *before = last; /* the one before the next to be looked at */
    size_t count = 0;

    if (last == NULL) {
        return 0;
    }
    for (size_t i = 0; i < kept; i++) {
        before = before->next;
        if (before == last) {
            return 0;
        }
    }
    for (bool is_last = false; !is_last;) {
        struct outq_node *node = before->next;
        is_last = node == last;
        if (flow > 0 && packet_flow(node->packet) != flow) {
            before = node;
            continue;
        }
        if (is_last) {
            outq->normal = before == node ? NULL : before;
        }
        count += packet_message_count(node->packet);
        outq->bytes -= (uint32_t)packet_bytes(node->packet).size + CONN_PACKET_COST;
        before->next = node->next;
        packet_unref(node->packet);
        give_node(pool, node);
    }
    return count;
}

void outq_clear(struct outq_pool *pool, struct outq *outq)
{
    while (outq->urgent != NULL) {
        pop(pool, &outq->urgent);
    }
    while (outq->normal != NULL) {
        pop(pool, &outq->normal);
    }
    *outq = (struct outq){0};
}
