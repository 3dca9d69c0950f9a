/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/limits.h"

#include "core/check.h"

enum {
    MILLI = 1000,
    RATE_MAX = 1000000, /* so that a full bucket in thousandths fits 32 bits */
};

_Static_assert((uint64_t)RATE_MAX *MILLI <= UINT32_MAX, "milli_tokens holds the largest burst");

void limits_fill(struct limits_bucket *bucket, const struct limits_rate *rate, uint32_t now_ms)
{
    CHECK(rate->burst > 0 && rate->burst <= RATE_MAX);
    CHECK(rate->per_second > 0 && rate->per_second <= RATE_MAX);

    *bucket = (struct limits_bucket){.filled_ms = now_ms, .milli_tokens = rate->burst * MILLI};
}

/* As full as it is now. */
static void refill(struct limits_bucket *bucket, const struct limits_rate *rate, uint32_t now_ms)
{
    /* One token per second is one thousandth per millisecond. */
    const uint32_t elapsed_ms = now_ms - bucket->filled_ms;
    const uint64_t refilled = bucket->milli_tokens + (uint64_t)elapsed_ms * rate->per_second;
    const uint64_t full = (uint64_t)rate->burst * MILLI;

    bucket->filled_ms = now_ms;
    bucket->milli_tokens = (uint32_t)(refilled < full ? refilled : full);
}

bool limits_take(struct limits_bucket *bucket, const struct limits_rate *rate, uint32_t now_ms)
{
    refill(bucket, rate, now_ms);
    if (bucket->milli_tokens < MILLI) {
        return false;
    }
    bucket->milli_tokens -= MILLI;
    return true;
}

void limits_put_back(struct limits_bucket *bucket, const struct limits_rate *rate)
{
    const uint32_t full = rate->burst * MILLI;
    bucket->milli_tokens =
        bucket->milli_tokens < full - MILLI ? bucket->milli_tokens + MILLI : full;
}

uint32_t limits_count(struct limits_bucket *bucket, const struct limits_rate *rate, uint32_t now_ms)
{
    refill(bucket, rate, now_ms);
    return bucket->milli_tokens / MILLI;
}

void limits_take_some(struct limits_bucket *bucket, uint32_t count)
{
    CHECK(count <= bucket->milli_tokens / MILLI);
    bucket->milli_tokens -= count * MILLI;
}

uint32_t limits_wait_ms(const struct limits_bucket *bucket, const struct limits_rate *rate)
{
    if (bucket->milli_tokens >= MILLI) {
        return 0;
    }
    const uint32_t missing = MILLI - bucket->milli_tokens;
    return (missing + rate->per_second - 1) / rate->per_second;
}

bool limits_is_half_full(const struct limits_bucket *bucket, const struct limits_rate *rate)
{
    return bucket->milli_tokens >= rate->burst * (uint64_t)MILLI / 2;
}
