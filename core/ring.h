/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_RING_H
#define CORE_RING_H
/*
 * One producer, one consumer, a fixed number of 64-byte slots.
 *
 * Publication is batched: ring_put() writes a slot that nobody sees until ring_publish(). Each
 * side keeps a copy of the other's index and looks at the real one only when its copy says "full"
 * or "empty"; producer and consumer live on cache lines of their own (128 bytes apart, because
 * processors fetch lines in pairs).
 *
 * Owner     whoever created it; it must outlive both sides.
 * Threads   each function names its side; a side is one thread at a time.
 * Failures  full and empty are values. ring_create() says NULL when memory is out.
 * Not here  waking a sleeper, and who may use which slots: bus.h.
 */
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

enum { RING_SLOT_SIZE = 64 }; /* bytes: one cache line */

struct ring; /* opaque */

/* `slot_count` is a power of two, at least 2. */
NODISCARD struct ring *ring_create(size_t slot_count);
void ring_destroy(struct ring *ring);

/*
 * Producer: how many slots can be written now. Reads the consumer's index only when the copy
 * says less than `wanted`, so the answer is exact only below `wanted`.
 */
NODISCARD size_t ring_room(struct ring *ring, size_t wanted);

/* Producer: copies 64 bytes into the next slot. False, and nothing written, when it is full. */
NODISCARD bool ring_put(struct ring *ring, const void *slot);

/* Producer: lets the consumer see everything put so far. False when there was nothing new. */
bool ring_publish(struct ring *ring);

/* Producer: something was put and not published. */
NODISCARD bool ring_has_unpublished(const struct ring *ring);

/* Consumer: copies up to `max` slots to `out` (64 bytes each) and frees them. Returns how many. */
NODISCARD size_t ring_take(struct ring *ring, void *out, size_t max);

/* Consumer: nothing to take. Always looks at the producer's index. */
NODISCARD bool ring_is_empty(const struct ring *ring);

#endif /* CORE_RING_H */
