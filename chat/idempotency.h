/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_IDEMPOTENCY_H
#define CHAT_IDEMPOTENCY_H
/*
 * What was published to one channel under an idempotency key: who says the same again is told where
 * it is, and who says something else under the same key is refused.
 *
 * Owner     a channel at its home. ON that reactor only. NULL is one without keys.
 * Bounds    IDEMPOTENCY_COUNT_MAX keys: above, the oldest is forgotten (LIMITS.md row 62). Each one
 *           is forgotten after its time.
 * Digest    idempotency_digest() of the data, so that two bodies can be told apart without keeping
 *           them. It keeps nobody from making two of his own that look the same: what he gains is
 *           the answer to the first.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

struct idempotency; /* opaque */
struct table_key;

enum {
    IDEMPOTENCY_KEY_SIZE_MAX = 64, /* bytes */
    IDEMPOTENCY_COUNT_MAX = 10000, /* keys of one channel */
    IDEMPOTENCY_DIGEST_SIZE = 8,   /* bytes, where it is written down */
};

struct idempotency_key {
    struct bytes text; /* 1 to IDEMPOTENCY_KEY_SIZE_MAX bytes */
    uint64_t digest;   /* of what was said under it */
};

enum idempotency_verdict {
    IDEMPOTENCY_NEW = 0,  /* nothing was said under the key, as far as it is remembered */
    IDEMPOTENCY_REPEAT,   /* the same was, and *offset is where; 0: it is still under way */
    IDEMPOTENCY_CONFLICT, /* something else was */
};

/* The same for the same bytes, in each process and for ever. */
NODISCARD uint64_t idempotency_digest(struct bytes data);

NODISCARD enum idempotency_verdict idempotency_judge(const struct idempotency *keys,
                                                     const struct idempotency_key *key,
                                                     uint64_t *offset);

/*
 * Remembers a new key until then; offset 0: it is under way. `expires_ns` never falls from one call
 * to the next. Creates *keys where there are none. 0, or -ENOMEM and nothing changed.
 */
NODISCARD int idempotency_add(struct idempotency **keys, const struct table_key *hash_key,
                              const struct idempotency_key *key, uint64_t offset,
                              uint64_t expires_ns);

/* What was said under a key that is remembered has this offset. */
void idempotency_settle(struct idempotency *keys, struct bytes text, uint64_t offset);

/* It was not said after all. Destroys *keys with the last one. */
void idempotency_remove(struct idempotency **keys, struct bytes text);

/* Forgets what has expired by then, and destroys *keys with the last one. */
void idempotency_expire(struct idempotency **keys, uint64_t now_ns);

/* Forgets all of them. */
void idempotency_destroy(struct idempotency **keys);

/* What they hold. */
NODISCARD size_t idempotency_bytes(const struct idempotency *keys);

#endif /* CHAT_IDEMPOTENCY_H */
