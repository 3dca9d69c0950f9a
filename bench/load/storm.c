/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/storm.h"

#include "core/check.h"

enum { WITNESS_SHARE = 20 }; /* one in so many stays, of those who do not publish */

void storm_init(struct storm *storm, uint32_t connections, uint32_t publishers)
{
    CHECK(publishers <= connections);
    const uint32_t others = connections - publishers;

    storm->stay_count = publishers + (others + WITNESS_SHARE - 1) / WITNESS_SHARE;
    storm->struck_count = connections - storm->stay_count;
    atomic_store_explicit(&storm->away, storm->struck_count, memory_order_relaxed);
}

void storm_set_time(struct storm *storm, uint64_t strike_ns, uint64_t away_ns)
{
    atomic_store_explicit(&storm->strike_ns, strike_ns, memory_order_relaxed);
    atomic_store_explicit(&storm->return_ns, strike_ns + away_ns, memory_order_relaxed);
}

bool storm_strikes(const struct storm *storm, uint32_t index)
{
    return storm->struck_count > 0 && index >= storm->stay_count;
}

enum storm_part storm_part_of(const struct storm *storm, uint64_t due_ns, uint64_t now_ns)
{
    const uint64_t calm_ns = storm_calm_ns(storm);

    if (now_ns < storm_strike_ns(storm)) {
        return STORM_BEFORE;
    }
    if (now_ns < storm_return_ns(storm)) {
        return STORM_CUT;
    }
    return calm_ns == 0 || due_ns < calm_ns ? STORM_RETURN : STORM_AFTER;
}

void storm_is_back(struct storm *storm, uint64_t now_ns)
{
    const uint32_t before = atomic_fetch_sub_explicit(&storm->away, 1, memory_order_relaxed);
    CHECK(before > 0);
    if (before == 1) {
        atomic_store_explicit(&storm->calm_ns, now_ns, memory_order_relaxed);
    }
}

void storm_is_away(struct storm *storm)
{
    (void)atomic_fetch_add_explicit(&storm->away, 1, memory_order_relaxed);
    atomic_store_explicit(&storm->calm_ns, 0, memory_order_relaxed);
}
