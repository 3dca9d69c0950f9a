/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slab.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_HAS_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SLAB_HAS_ASAN 1
#endif
#ifdef SLAB_HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum {
    CHUNK_SIZE = 64 * 1024, /* bytes */
    CHUNK_ALIGNMENT = 64,   /* bytes: a cache line */
    OBJECT_ALIGNMENT = 8,   /* bytes; also room for the link of a free object */
    STALE_BYTE = 0xa5,
};

/* What a slot is besides its object. */
struct mark {
    uint16_t generation; /* of the live object, or of the next one; never 0 once used */
    uint16_t is_live;
};

_Static_assert(sizeof(struct mark) == 4, "the promised overhead");

/* A chunk: 1 << chunk_shift objects, then as many marks. */
struct slab {
    size_t object_size; /* rounded up */
    size_t marks_at;    /* bytes from the start of a chunk */
    size_t chunk_bytes;
    unsigned chunk_shift;
    uint32_t count;
    uint32_t count_max;
    uint32_t slot_end;   /* slots from here on were never used */
    uint32_t free_first; /* slot + 1; 0: none. The rest of the list is in the free objects. */
    uint32_t chunk_count;
    uint32_t chunk_capacity; /* of the array */
    uint8_t **chunks;
};

#ifdef SLAB_HAS_ASAN
static void forbid(void *object, size_t size)
{
    ASAN_POISON_MEMORY_REGION(object, size);
}

static void allow(void *object, size_t size)
{
    ASAN_UNPOISON_MEMORY_REGION(object, size);
}
#else
static void forbid(void *object, size_t size)
{
    (void)object;
    (void)size;
}

static void allow(void *object, size_t size)
{
    (void)object;
    (void)size;
}
#endif

#if defined(FULL_CHECKS) || defined(SLAB_HAS_ASAN)
static void make_stale(void *object, size_t size)
{
    memset(object, STALE_BYTE, size);
}
#else
static void make_stale(void *object, size_t size)
{
    (void)object;
    (void)size;
}
#endif

static uint8_t *chunk_of(const struct slab *slab, uint32_t slot)
{
    return slab->chunks[slot >> slab->chunk_shift];
}

static uint8_t *object_at(const struct slab *slab, uint32_t slot)
{
    const uint32_t index = slot & ((UINT32_C(1) << slab->chunk_shift) - 1);
    return chunk_of(slab, slot) + index * slab->object_size;
}

static struct mark *mark_at(const struct slab *slab, uint32_t slot)
{
    const uint32_t index = slot & ((UINT32_C(1) << slab->chunk_shift) - 1);
    void *marks = chunk_of(slab, slot) + slab->marks_at;
    return (struct mark *)marks + index;
}

struct slab *slab_create(size_t object_size, uint32_t count_max)
{
    CHECK(object_size > 0);
    CHECK(object_size < (size_t)1 << 32);
    CHECK(count_max > 0);
    CHECK(count_max < UINT32_MAX);

    struct slab *slab = calloc(1, sizeof(*slab));
    if (slab == NULL) {
        return NULL;
    }
    slab->object_size = (object_size + OBJECT_ALIGNMENT - 1) & ~(size_t)(OBJECT_ALIGNMENT - 1);
    slab->count_max = count_max;
    const size_t slot_size = slab->object_size + sizeof(struct mark);
    while ((slot_size << (slab->chunk_shift + 1)) <= CHUNK_SIZE) {
        slab->chunk_shift++;
    }
    slab->marks_at = slab->object_size << slab->chunk_shift;
    /* aligned_alloc() wants a multiple of the alignment. */
    slab->chunk_bytes =
        ((slot_size << slab->chunk_shift) + CHUNK_ALIGNMENT - 1) & ~(size_t)(CHUNK_ALIGNMENT - 1);
    return slab;
}

void slab_destroy(struct slab *slab)
{
    if (slab == NULL) {
        return;
    }
    for (uint32_t i = 0; i < slab->chunk_count; i++) {
        allow(slab->chunks[i], slab->chunk_bytes);
        free(slab->chunks[i]);
    }
    free(slab->chunks);
    free(slab);
}

/* One more chunk. False when memory is out. */
static bool grow(struct slab *slab)
{
    if (slab->chunk_count == slab->chunk_capacity) {
        const uint32_t capacity = slab->chunk_capacity == 0 ? 4 : slab->chunk_capacity * 2;
        uint8_t **chunks = realloc(slab->chunks, capacity * sizeof(*chunks));
        if (chunks == NULL) {
            return false;
        }
        slab->chunks = chunks;
        slab->chunk_capacity = capacity;
    }
    uint8_t *chunk = aligned_alloc(CHUNK_ALIGNMENT, slab->chunk_bytes);
    if (chunk == NULL) {
        return false;
    }
    memset(chunk + slab->marks_at, 0, slab->chunk_bytes - slab->marks_at);
    forbid(chunk, slab->marks_at);
    slab->chunks[slab->chunk_count] = chunk;
    slab->chunk_count++;
    return true;
}

void *slab_take(struct slab *slab, uint32_t *slot)
{
    CHECK(slab != NULL);
    CHECK(slot != NULL);

    if (slab->count == slab->count_max) {
        return NULL;
    }
    uint32_t taken = slab->slot_end;
    if (slab->free_first != 0) {
        taken = slab->free_first - 1;
    } else if (taken >> slab->chunk_shift == slab->chunk_count && !grow(slab)) {
        return NULL;
    }

    uint8_t *object = object_at(slab, taken);
    struct mark *mark = mark_at(slab, taken);
    CHECK(mark->is_live == 0);
    allow(object, slab->object_size);
    if (slab->free_first != 0) {
        memcpy(&slab->free_first, object, sizeof(slab->free_first));
    } else {
        slab->slot_end++;
        mark->generation = 1;
    }
    mark->is_live = 1;
    slab->count++;
    memset(object, 0, slab->object_size);
    *slot = taken;
    return object;
}

void slab_give(struct slab *slab, uint32_t slot)
{
    CHECK(slab != NULL);
    CHECK(slot < slab->slot_end);
    struct mark *mark = mark_at(slab, slot);
    CHECK(mark->is_live == 1);

    uint8_t *object = object_at(slab, slot);
    make_stale(object, slab->object_size);
    memcpy(object, &slab->free_first, sizeof(slab->free_first));
    forbid(object, slab->object_size);
    slab->free_first = slot + 1;
    mark->is_live = 0;
    mark->generation = mark->generation == UINT16_MAX ? 1 : (uint16_t)(mark->generation + 1);
    slab->count--;
}

void *slab_at(const struct slab *slab, uint32_t slot)
{
    CHECK(slab != NULL);

    if (slot >= slab->slot_end || mark_at(slab, slot)->is_live == 0) {
        return NULL;
    }
    return object_at(slab, slot);
}

void *slab_find(const struct slab *slab, uint32_t slot, uint16_t generation)
{
    return slab_generation(slab, slot) == generation ? slab_at(slab, slot) : NULL;
}

uint16_t slab_generation(const struct slab *slab, uint32_t slot)
{
    CHECK(slab != NULL);

    if (slot >= slab->slot_end) {
        return 0;
    }
    const struct mark *mark = mark_at(slab, slot);
    return mark->is_live == 0 ? 0 : mark->generation;
}

uint32_t slab_count(const struct slab *slab)
{
    CHECK(slab != NULL);

    return slab->count;
}

uint32_t slab_slot_end(const struct slab *slab)
{
    CHECK(slab != NULL);

    return slab->slot_end;
}

size_t slab_bytes(const struct slab *slab)
{
    CHECK(slab != NULL);

    return sizeof(*slab) + slab->chunk_capacity * sizeof(*slab->chunks) +
           slab->chunk_count * slab->chunk_bytes;
}
