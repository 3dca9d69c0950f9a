/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_BLOB_H
#define CORE_BLOB_H
/*
 * Bytes that several threads read, counted by shares; they go back to the thread that made them.
 *
 * Owner     whoever holds a share. A holder may keep the blob, read it, pass the share on (a post
 *           on the bus) and must drop it once. Who holds the only share may write: so a home puts
 *           an envelope around the data that another thread made. From the second share on the
 *           bytes, begin and end are frozen.
 * Home      the pool (one per thread) that made the blob. The last share dropped elsewhere puts it
 *           on the home's return list: a lock-free push that needs no room and cannot fail. The
 *           home takes the whole list with one exchange, so the classic ABA problem cannot arise.
 * Threads   blob_share, blob_drop, blob_bytes: any thread that holds a share. Everything with a
 *           pool: the thread of that pool (blob_drop takes the pool of the *dropping* thread).
 * Memory    a header of 32 bytes; small blobs (up to 4 KiB in all) come from free lists by size.
 * Failures  blob_create() says NULL above the pool's bytes_max and when memory is out.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

struct blob_pool; /* opaque */

struct blob {
    _Atomic uint32_t shares; /* threads or places that hold it; changed by blob.c only */
    uint32_t capacity;       /* bytes in data; never less than what was asked for */
    uint32_t begin;          /* valid bytes are data[begin, end) */
    uint32_t end;
    struct blob_pool *home;
    union {
        struct blob *next; /* of a free list or the return list; not the holder's business */
        uint64_t made_ns;  /* while it is held: what its maker says of when; 0: nothing */
    };
    uint8_t data[];
};

_Static_assert(sizeof(struct blob) == 32, "the size classes count on it");

/* At most `bytes_max` bytes of live blobs, headers included. NULL when memory is out. */
NODISCARD struct blob_pool *blob_pool_create(size_t bytes_max);

/* Collects, CHECKs that no blob of this pool is alive, and frees it. NULL: nothing. */
void blob_pool_destroy(struct blob_pool *pool);

/* Takes back what other threads returned; once per iteration. Returns how many. */
size_t blob_pool_collect(struct blob_pool *pool);

/* Live blobs made here, and their bytes; what was returned counts until it is collected. */
NODISCARD size_t blob_pool_count(const struct blob_pool *pool);
NODISCARD size_t blob_pool_bytes(const struct blob_pool *pool);

/* A blob with one share and begin = end = 0; its bytes are not zeroed. */
NODISCARD struct blob *blob_create(struct blob_pool *pool, size_t capacity);

/* Adds `count` shares. The caller must hold one. */
void blob_share(struct blob *blob, uint32_t count) ANY_THREAD;

/* Gives up one share. `pool` is the pool of the calling thread, NULL when it has none. */
void blob_drop(struct blob *blob, struct blob_pool *pool) ANY_THREAD;

static inline struct bytes blob_bytes(const struct blob *blob)
{
    return (struct bytes){blob->data + blob->begin, blob->end - blob->begin};
}

#endif /* CORE_BLOB_H */
