/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H
/*
 * Hash table from bytes to pointers: open addressing, keyed hash (siphash.h).
 *
 * The key of an entry is part of the value that the caller owns; `key_of` finds it there. It must
 * stay the same as long as the value is in the table. Integers are hashed like names
 * (table_hash_u64), because strangers choose them too.
 *
 * The hash is computed once by the caller and passed in, so that the one that finds a channel's
 * home also finds the channel. The table spreads hashes itself: their low bits may be used up.
 *
 * Owner     the table owns its slots (16 bytes each, none while it is empty), never a value.
 * Threads   one. Many tables may share one key.
 * Size      a power of two, between 1/8 and 3/4 full from 16 slots on; grows and shrinks at once.
 * Failures  table_insert() says -ENOMEM and changed nothing. Removing never fails.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/siphash.h"

struct table; /* opaque */

/* One random key per process: from getrandom(), or from the seed in a simulation. */
struct table_key {
    uint64_t k0;
    uint64_t k1;
};

static inline uint64_t table_hash(const struct table_key *key, struct bytes in)
{
    return siphash_13((struct siphash_key){key->k0, key->k1}, in);
}

/* The hash of an integer key: `key_of` must view a uint64_t with that value. */
static inline uint64_t table_hash_u64(const struct table_key *key, uint64_t in)
{
    return table_hash(key, (struct bytes){(const uint8_t *)&in, sizeof(in)});
}

/* NULL when memory is out. */
NODISCARD struct table *table_create(struct bytes (*key_of)(const void *value));

/* Values are the caller's: take them out or free them before. NULL: nothing. */
void table_destroy(struct table *table);

/* The value with this key, or NULL. `hash` is table_hash() of `key`. */
NODISCARD void *table_find(const struct table *table, uint64_t hash, struct bytes key);

/*
 * Adds a value, which must not be NULL and whose key must not be in the table (checked under
 * FULL_CHECKS). 0, or -ENOMEM and nothing changed.
 */
NODISCARD int table_insert(struct table *table, uint64_t hash, void *value);

/* Takes the value with this key out of the table and returns it, or NULL when there is none. */
void *table_remove(struct table *table, uint64_t hash, struct bytes key);

NODISCARD size_t table_count(const struct table *table);

/*
 * Visits every value once, in no order: start with a cursor of 0; NULL at the end. Do not insert
 * or remove in between: collect first, change after.
 */
NODISCARD void *table_next(const struct table *table, size_t *cursor);

/* How many slots all inserts together have looked at, rehashing included: shows a flood. */
NODISCARD uint64_t table_probe_count(const struct table *table);

#endif /* CORE_TABLE_H */
