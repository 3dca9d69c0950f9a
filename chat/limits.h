/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_LIMITS_H
#define CHAT_LIMITS_H
/*
 * Token buckets, eight bytes each, for rates of a connection, an address or a user (LIMITS.md rows
 * 11, 29 and 30).
 *
 * Pure: the time is passed in, in milliseconds of the reactor's clock; it may wrap. ANY_THREAD.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

/* Frozen, shared by all buckets of a kind. */
struct limits_rate {
    uint32_t per_second; /* tokens, 1 to 1,000,000 */
    uint32_t burst;      /* tokens at most in the bucket, 1 to 1,000,000 */
};

struct limits_bucket {
    uint32_t filled_ms;    /* when `milli_tokens` was true */
    uint32_t milli_tokens; /* thousandths of a token */
};

/* A full bucket. */
void limits_fill(struct limits_bucket *bucket, const struct limits_rate *rate, uint32_t now_ms);

/* Takes one token; false and nothing taken when there is none. */
NODISCARD bool limits_take(struct limits_bucket *bucket, const struct limits_rate *rate,
                           uint32_t now_ms);

/* Gives back one that was taken, and not used. */
void limits_put_back(struct limits_bucket *bucket, const struct limits_rate *rate);

/* Whole tokens that are there now; and takes so many of them, as far as there are. */
NODISCARD uint32_t limits_count(struct limits_bucket *bucket, const struct limits_rate *rate,
                                uint32_t now_ms);
void limits_take_some(struct limits_bucket *bucket, uint32_t count);

/* Milliseconds until one token is there, 0 when there is one; as of the last look. */
NODISCARD uint32_t limits_wait_ms(const struct limits_bucket *bucket,
                                  const struct limits_rate *rate);

/* Has it recovered at least half of its burst, as of the last look? */
NODISCARD bool limits_is_half_full(const struct limits_bucket *bucket,
                                   const struct limits_rate *rate);

#endif /* CHAT_LIMITS_H */
