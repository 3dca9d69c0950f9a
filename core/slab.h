/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_SLAB_H
#define CORE_SLAB_H
/*
 * Fixed-size objects of one thread, named by slot and generation.
 *
 * Owner     the slab owns the memory; who took an object owns it until slab_give().
 * Threads   one.
 * Memory    chunks of at most 64 KiB (one object where objects are larger), never moved and freed
 *           only by slab_destroy(): what a slab had at its peak it keeps. 4 bytes are added per
 *           object. An object is aligned to 8 bytes, and to 16, 32 or 64 where its size is a
 *           multiple of that. The slot that was given back last is taken first: it is in the cache.
 * Failures  slab_take() says NULL at the maximum and when memory is out; nothing has changed then.
 * Stale     a freed object is filled with 0xA5 under FULL_CHECKS, and poisoned under ASan.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

struct slab; /* opaque */

/* NULL when memory is out. `object_size` > 0 in bytes; `count_max` is in 1 .. UINT32_MAX - 1. */
NODISCARD struct slab *slab_create(size_t object_size, uint32_t count_max);

/* Objects still taken are freed with it: their owner says goodbye to them before. NULL: nothing. */
void slab_destroy(struct slab *slab);

/* A zeroed object and its slot; NULL, and `slot` untouched, when there is none to have. */
NODISCARD void *slab_take(struct slab *slab, uint32_t *slot);

/* Gives an object back. The slot's generation changes. Giving a free slot is a CHECK failure. */
void slab_give(struct slab *slab, uint32_t slot);

/* The object in this slot, or NULL when the slot is free or was never used. */
NODISCARD void *slab_at(const struct slab *slab, uint32_t slot);

/* The same, but NULL also when the object is not the one that had this generation. */
NODISCARD void *slab_find(const struct slab *slab, uint32_t slot, uint16_t generation);

/*
 * The generation of a live object, never 0. It comes back after 65,535 uses of one slot.
 * 0 for a slot that is free or was never used.
 */
NODISCARD uint16_t slab_generation(const struct slab *slab, uint32_t slot);

/* How many objects are taken. */
NODISCARD uint32_t slab_count(const struct slab *slab);

/* One past the highest slot that was ever used: slab_at() over 0 .. end-1 visits every object. */
NODISCARD uint32_t slab_slot_end(const struct slab *slab);

/* Bytes of memory that the slab holds, its own bookkeeping included. */
NODISCARD size_t slab_bytes(const struct slab *slab);

#endif /* CORE_SLAB_H */
