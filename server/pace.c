/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pace.h"

#include "core/check.h"

/* So much of what was missed is made up for: a loop that looks once a millisecond stays even. */
static const uint64_t arrears_max_ns = 20000000;

void pace_begin(struct pace *pace, uint64_t now_ns, uint64_t end_ns, uint64_t interval_max_ns,
                uint64_t seed)
{
    CHECK(end_ns >= now_ns);

    *pace = (struct pace){
        .end_ns = end_ns,
        .interval_max_ns = interval_max_ns,
        .next_ns = now_ns,
        .random = seed | 1,
    };
}

/* xorshift64: nobody has to be unable to predict it. */
static uint64_t next_random(struct pace *pace)
{
    pace->random ^= pace->random << 13;
    pace->random ^= pace->random >> 7;
    pace->random ^= pace->random << 17;
    return pace->random;
}

bool pace_take(struct pace *pace, uint64_t now_ns, uint32_t remaining)
{
    CHECK(remaining > 0);

    if (now_ns >= pace->end_ns) {
        return true;
    }
    if (now_ns < pace->next_ns) {
        return false;
    }
    if (now_ns - pace->next_ns > arrears_max_ns) {
        pace->next_ns = now_ns - arrears_max_ns;
    }
    uint64_t interval_ns = (pace->end_ns - pace->next_ns) / remaining;
    if (interval_ns > pace->interval_max_ns) {
        interval_ns = pace->interval_max_ns;
    }
    pace->next_ns += interval_ns / 2 + next_random(pace) % (interval_ns + 1);
    return true;
}
