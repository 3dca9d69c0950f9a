/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_STORM_H
#define BENCH_LOAD_STORM_H
/*
 * A recovery storm: at one moment all but a few clients lose their connections, stay away for a
 * while, and come back at once. Who publishes stays, and so does one in twenty of the others: they
 * are the witnesses, whose deliveries tell what the storm costs those who are not in it.
 *
 * Owner     the run. The main thread sets the time before the load begins; the workers strike and
 *           count who is back. Everything that changes is atomic.
 * Not here  cutting and dialling: renewal.c.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct storm {
    uint32_t stay_count;        /* clients with a lower index stay */
    uint32_t struck_count;      /* the others; 0: there is no storm */
    _Atomic uint64_t strike_ns; /* when they are cut */
    _Atomic uint64_t return_ns; /* from when on they may come back */
    _Atomic uint64_t calm_ns;   /* when the last one was back; 0: not yet */
    _Atomic uint32_t away;      /* who is not back */
};

/* Where in time a delivery lies. */
enum storm_part {
    STORM_BEFORE = 0, /* it came before */
    STORM_CUT,        /* it came when nobody might be back yet */
    STORM_RETURN,     /* it was due, or came, while somebody was coming back */
    STORM_AFTER,
};
enum { STORM_PART_COUNT = 4 };

void storm_init(struct storm *storm, uint32_t connections, uint32_t publishers);
void storm_set_time(struct storm *storm, uint64_t strike_ns, uint64_t away_ns);

NODISCARD bool storm_strikes(const struct storm *storm, uint32_t index);
NODISCARD enum storm_part storm_part_of(const struct storm *storm, uint64_t due_ns,
                                        uint64_t now_ns);

/* One of the struck has all that it missed, or has to come once more. ANY_THREAD. */
void storm_is_back(struct storm *storm, uint64_t now_ns);
void storm_is_away(struct storm *storm);

static inline uint64_t storm_strike_ns(const struct storm *storm)
{
    return atomic_load_explicit(&storm->strike_ns, memory_order_relaxed);
}

static inline uint64_t storm_return_ns(const struct storm *storm)
{
    return atomic_load_explicit(&storm->return_ns, memory_order_relaxed);
}

/* 0: somebody is away, or it has not struck. */
static inline uint64_t storm_calm_ns(const struct storm *storm)
{
    return atomic_load_explicit(&storm->calm_ns, memory_order_relaxed);
}

#endif /* BENCH_LOAD_STORM_H */
