/* SPDX-License-Identifier: Apache-2.0 */
#include "core/blob.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum {
    LINES_APART = 128,         /* bytes: processors fetch cache lines in pairs */
    CLASS_COUNT = 6,           /* 128, 256 .. 4096 bytes, header included */
    CLASS_SHIFT_MIN = 7,       /* the smallest class is 1 << 7 bytes */
    CACHED_BYTES_MAX = 262144, /* per class: what is above goes back to malloc */
    STALE_BYTE = 0xa5,
};

/*
 * `cached` are free blobs by class, linked by `next`. `returned` is pushed to by any thread and
 * emptied by the home with one exchange; it has a cache line of its own, because the rest is the
 * home's at every blob.
 */
struct blob_pool {
    size_t bytes_max;
    size_t bytes; /* of live blobs, headers included */
    size_t count;
    struct blob *cached[CLASS_COUNT];
    size_t cached_bytes[CLASS_COUNT];
    alignas(LINES_APART) _Atomic(struct blob *) returned;
};

static size_t class_size(unsigned size_class)
{
    return (size_t)1 << (CLASS_SHIFT_MIN + size_class);
}

/* CLASS_COUNT when it is too big for the classes. */
static unsigned class_of(size_t size)
{
    unsigned size_class = 0;
    while (size_class < CLASS_COUNT && class_size(size_class) < size) {
        size_class++;
    }
    return size_class;
}

static size_t size_of(const struct blob *blob)
{
    return sizeof(*blob) + blob->capacity;
}

struct blob_pool *blob_pool_create(size_t bytes_max)
{
    CHECK(bytes_max > 0);

    struct blob_pool *pool = aligned_alloc(LINES_APART, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    memset(pool, 0, sizeof(*pool));
    pool->bytes_max = bytes_max;
    atomic_init(&pool->returned, NULL);
    return pool;
}

void blob_pool_destroy(struct blob_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    (void)blob_pool_collect(pool); /* how many came back now is nobody's question any more */
    CHECK(pool->count == 0);
    CHECK(pool->bytes == 0);
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        while (pool->cached[size_class] != NULL) {
            struct blob *blob = pool->cached[size_class];
            pool->cached[size_class] = blob->next;
            free(blob);
        }
    }
    free(pool);
}

#ifdef FULL_CHECKS
static void make_stale(struct blob *blob)
{
    memset(blob->data, STALE_BYTE, blob->capacity);
}
#else
static void make_stale(struct blob *blob)
{
    (void)blob;
}
#endif

/* On the home thread, when no share is left. */
static void bury(struct blob *blob, struct blob_pool *pool)
{
    const size_t size = size_of(blob);
    CHECK(pool->count > 0);
    CHECK(pool->bytes >= size);
    pool->count--;
    pool->bytes -= size;
    make_stale(blob);

    const unsigned size_class = class_of(size);
    if (size_class == CLASS_COUNT || pool->cached_bytes[size_class] + size > CACHED_BYTES_MAX) {
        free(blob);
        return;
    }
    blob->next = pool->cached[size_class];
    pool->cached[size_class] = blob;
    pool->cached_bytes[size_class] += size;
}

size_t blob_pool_collect(struct blob_pool *pool)
{
    CHECK(pool != NULL);

    /* Looked at before it is written to: mostly nothing is there, and the line stays shared. */
    if (atomic_load_explicit(&pool->returned, memory_order_relaxed) == NULL) {
        return 0;
    }
    /* Acquire: pairs with the release of send_home(), so that we see `next` of each. */
    struct blob *blob = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    size_t count = 0;
    while (blob != NULL) {
        struct blob *next = blob->next;
        bury(blob, pool);
        blob = next;
        count++;
    }
    return count;
}

size_t blob_pool_count(const struct blob_pool *pool)
{
    CHECK(pool != NULL);

    return pool->count;
}

size_t blob_pool_bytes(const struct blob_pool *pool)
{
    CHECK(pool != NULL);

    return pool->bytes;
}

struct blob *blob_create(struct blob_pool *pool, size_t capacity)
{
    CHECK(pool != NULL);

    if (capacity > UINT32_MAX - sizeof(struct blob)) {
        return NULL;
    }
    const size_t wanted = sizeof(struct blob) + capacity;
    const unsigned size_class = class_of(wanted);
    const size_t size = size_class == CLASS_COUNT ? wanted : class_size(size_class);
    if (size > pool->bytes_max - pool->bytes) {
        return NULL;
    }

    struct blob *blob = NULL;
    if (size_class < CLASS_COUNT && pool->cached[size_class] != NULL) {
        blob = pool->cached[size_class];
        pool->cached[size_class] = blob->next;
        pool->cached_bytes[size_class] -= size;
    } else {
        blob = malloc(size);
    }
    if (blob == NULL) {
        return NULL;
    }
    atomic_init(&blob->shares, 1);
    blob->capacity = (uint32_t)(size - sizeof(*blob));
    blob->begin = 0;
    blob->end = 0;
    blob->home = pool;
    blob->made_ns = 0;
    pool->bytes += size;
    pool->count++;
    return blob;
}

void blob_share(struct blob *blob, uint32_t count)
{
    CHECK(blob != NULL);

    /* Relaxed: who gets the new share gets it through something that orders (the bus). */
    const uint32_t before = atomic_fetch_add_explicit(&blob->shares, count, memory_order_relaxed);
    CHECK(before > 0);
    CHECK(count <= UINT32_MAX - before);
}

/* A push needs no room. The owner never pops one element, so an old head cannot come back. */
static void send_home(struct blob *blob)
{
    struct blob_pool *home = blob->home;
    struct blob *head = atomic_load_explicit(&home->returned, memory_order_relaxed);
    do {
        blob->next = head;
        /* Release: pairs with the acquire of blob_pool_collect(). */
    } while (!atomic_compare_exchange_weak_explicit(&home->returned, &head, blob,
                                                    memory_order_release, memory_order_relaxed));
}

void blob_drop(struct blob *blob, struct blob_pool *pool)
{
    CHECK(blob != NULL);

    /*
     * Release: our reads of the bytes come before the last drop, wherever that is. Acquire: the
     * last one comes after all of theirs, and may then reuse the memory.
     */
    const uint32_t before = atomic_fetch_sub_explicit(&blob->shares, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1) {
        return;
    }
    if (blob->home == pool) {
        bury(blob, pool);
    } else {
        send_home(blob);
    }
}
