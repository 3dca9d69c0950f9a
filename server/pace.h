/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_PACE_H
#define SERVER_PACE_H
/*
 * When the next of many things is to be done, so that all are done by a time and no more than
 * needed in any moment: evenly over what time there is, but no slower than a given interval. Each
 * gap is half to one and a half of what is even, so that several of these do not fall into step.
 * What could not be done in time is not made up for in a burst: it makes the rest a little denser.
 *
 * Plain values, pure; the caller's clock, in nanoseconds.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct pace {
    uint64_t end_ns;          /* what is left then is due at once */
    uint64_t interval_max_ns; /* between two, on average */
    uint64_t next_ns;         /* when the next one is due */
    uint64_t random;          /* state of the generator */
};

/* The first one is due now. `seed` may be anything. */
void pace_begin(struct pace *pace, uint64_t now_ns, uint64_t end_ns, uint64_t interval_max_ns,
                uint64_t seed);

/* Is one of `remaining` (> 0) due? If so it counts as done; ask again. */
NODISCARD bool pace_take(struct pace *pace, uint64_t now_ns, uint32_t remaining);

/* When to ask at the latest, as long as anything remains. */
static inline uint64_t pace_due_ns(const struct pace *pace)
{
    return pace->next_ns < pace->end_ns ? pace->next_ns : pace->end_ns;
}

#endif /* SERVER_PACE_H */
