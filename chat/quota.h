/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_QUOTA_H
#define CHAT_QUOTA_H
/*
 * Who has how many connections, how fast new ones come, and how many commands all of them together
 * may say: the keys (addresses, or users) whose home a reactor is. What is asked there is asked
 * nowhere else, so the counts are exact.
 *
 * Owner     the hub of the home. ON its reactor only.
 * Memory    56 bytes for each key that has a connection, and, where there is a rate, for those
 *           whose buckets are not full again; of the latter 65,536 at most: beyond that the oldest
 *           is forgotten, which then may come as if it had never been there.
 * Time      milliseconds of the reactor's clock; they may wrap.
 * Not here  how the home is asked (hub_places.c), what of an address counts (net/cidr.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/limits.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/table.h"

struct quota; /* opaque */

enum quota_kind {
    QUOTA_ADDRESS = 0,
    QUOTA_USER,
    QUOTA_KIND_COUNT,
};

enum { QUOTA_KEY_SIZE = 16 }; /* bytes */

/* An address, or 128 bits of a keyed hash. */
struct quota_key {
    uint8_t bytes[QUOTA_KEY_SIZE];
};

struct quota_limits {
    uint32_t count_max;          /* connections of one key */
    struct limits_rate rate;     /* of new ones; all zero: any */
    struct limits_rate commands; /* of all its connections together; all zero: any */
    bool dry_run; /* nobody is refused, and the verdict, or loan, says who would have been */
};

enum quota_verdict {
    QUOTA_GRANTED = 0,
    QUOTA_FULL,     /* it has `count_max` connections */
    QUOTA_TOO_FAST, /* no token is left in its bucket */
    QUOTA_NO_MEMORY,
};

/* `key_count_max`: connections that there can be at all. NULL: no memory. */
NODISCARD struct quota *quota_create(const struct table_key *key, const struct quota_limits *limits,
                                     uint32_t key_count_max);
void quota_destroy(struct quota *quota);

/* Other limits from now on, with a rate of new ones if there was one. Who is above them stays. */
void quota_change(struct quota *quota, const struct quota_limits *limits);

/* The key of a name, which is as long as it likes. */
NODISCARD struct quota_key quota_key_of(const struct table_key *key, struct bytes name);

/*
 * Takes a place for one more connection. Not QUOTA_GRANTED: nothing was taken, unless it is a dry
 * run and there was memory; then a place was, and a token where there was one.
 */
NODISCARD enum quota_verdict quota_take(struct quota *quota, const struct quota_key *key,
                                        uint32_t now_ms);

/* Gives one place back. */
void quota_give(struct quota *quota, const struct quota_key *key, uint32_t now_ms);

struct quota_loan {
    uint32_t count;   /* commands that may be said now; 0: none */
    uint32_t wait_ms; /* then: until there may be one */
    uint32_t excess;  /* those of them that only a dry run lends; some may not be said */
};

/*
 * Commands for a key that has a connection: at most `wanted`, and of the tokens that are there one
 * in so many, but for the last ones: who asks next is to find some, too. They are not given back.
 */
NODISCARD struct quota_loan quota_lend(struct quota *quota, const struct quota_key *key,
                                       uint32_t wanted, uint32_t one_in, uint32_t now_ms);

/* Is the verdict one that lets in? */
NODISCARD bool quota_lets_in(const struct quota *quota, enum quota_verdict verdict);

/*
 * Keys that it knows; those of them that have a connection; and those that were forgotten too
 * early, since the start.
 */
NODISCARD uint32_t quota_count(const struct quota *quota);
NODISCARD uint32_t quota_present(const struct quota *quota);
NODISCARD uint64_t quota_forgotten(const struct quota *quota);

#endif /* CHAT_QUOTA_H */
