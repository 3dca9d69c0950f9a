/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum { LINES_APART = 128 }; /* bytes: processors fetch cache lines in pairs */

/*
 * Indices only grow; a slot is `index & mask`. size_t has 64 bits here: they never come round.
 * Each side writes its own group of fields, and one index of the other's is read from there.
 */
struct ring {
    /* Never written after ring_create(). */
    alignas(LINES_APART) size_t mask;
    struct ring_slot *slots;

    /* The producer's. */
    alignas(LINES_APART) _Atomic size_t tail; /* published */
    size_t tail_private;                      /* written, perhaps not published yet */
    size_t head_seen;                         /* copy of `head`: at or behind it */

    /* The consumer's. */
    alignas(LINES_APART) _Atomic size_t head; /* everything before it has been taken */
    size_t tail_seen;                         /* copy of `tail`: at or behind it */
};

struct ring_slot {
    alignas(RING_SLOT_SIZE) uint8_t bytes[RING_SLOT_SIZE];
};

_Static_assert(sizeof(struct ring_slot) == RING_SLOT_SIZE, "a slot is one cache line");

struct ring *ring_create(size_t slot_count)
{
    CHECK(slot_count >= 2);
    CHECK((slot_count & (slot_count - 1)) == 0);
    CHECK(slot_count <= SIZE_MAX / RING_SLOT_SIZE);

    struct ring *ring = aligned_alloc(LINES_APART, sizeof(*ring));
    if (ring == NULL) {
        return NULL;
    }
    memset(ring, 0, sizeof(*ring));
    ring->mask = slot_count - 1;
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->head, 0);
    /* Not touched here: rings between threads that hardly speak cost address space only. */
    ring->slots = aligned_alloc(LINES_APART, slot_count * sizeof(*ring->slots));
    if (ring->slots == NULL) {
        free(ring);
        return NULL;
    }
    return ring;
}

void ring_destroy(struct ring *ring)
{
    if (ring != NULL) {
        free(ring->slots);
        free(ring);
    }
}

size_t ring_room(struct ring *ring, size_t wanted)
{
    CHECK(ring != NULL);

    const size_t slot_count = ring->mask + 1;
    size_t room = slot_count - (ring->tail_private - ring->head_seen);
    if (room < wanted) {
        /* Acquire: pairs with the release in ring_take(); the slots before it have been read. */
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        room = slot_count - (ring->tail_private - ring->head_seen);
    }
    DCHECK(room <= slot_count);
    return room;
}

bool ring_put(struct ring *ring, const void *slot)
{
    CHECK(slot != NULL);

    if (ring_room(ring, 1) == 0) {
        return false;
    }
    memcpy(&ring->slots[ring->tail_private & ring->mask], slot, RING_SLOT_SIZE);
    ring->tail_private++;
    return true;
}

bool ring_publish(struct ring *ring)
{
    CHECK(ring != NULL);

    if (!ring_has_unpublished(ring)) {
        return false;
    }
    /* Release: pairs with the acquire in ring_take(); the slots before it have been written. */
    atomic_store_explicit(&ring->tail, ring->tail_private, memory_order_release);
    return true;
}

bool ring_has_unpublished(const struct ring *ring)
{
    CHECK(ring != NULL);

    /* Relaxed: only the producer, who asks, writes it. */
    return ring->tail_private != atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

size_t ring_take(struct ring *ring, void *out, size_t max)
{
    CHECK(ring != NULL);
    CHECK(out != NULL || max == 0);

    /* Relaxed: only the consumer, who asks, writes it. */
    const size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (ring->tail_seen - head < max) {
        /* Acquire: pairs with the release in ring_publish(). */
        ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
    }
    const size_t available = ring->tail_seen - head;
    const size_t count = available < max ? available : max;
    if (count == 0) {
        return 0;
    }

    const size_t begin = head & ring->mask;
    const size_t until_wrap = ring->mask + 1 - begin;
    const size_t first = count < until_wrap ? count : until_wrap;
    memcpy(out, &ring->slots[begin], first * RING_SLOT_SIZE);
    memcpy((uint8_t *)out + first * RING_SLOT_SIZE, ring->slots, (count - first) * RING_SLOT_SIZE);
    /* Release: pairs with the acquire in ring_room(); the slots may be written again. */
    atomic_store_explicit(&ring->head, head + count, memory_order_release);
    return count;
}

bool ring_is_empty(const struct ring *ring)
{
    CHECK(ring != NULL);

    const size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    /* Acquire: pairs with the release in ring_publish(). */
    return atomic_load_explicit(&ring->tail, memory_order_acquire) == head;
}
