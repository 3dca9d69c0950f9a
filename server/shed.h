/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SHED_H
#define SERVER_SHED_H
/*
 * Who goes first when memory is all in use: clients that make us keep at least half as much as any
 * other one of this reactor, what they do not read and what they have not said to its end. They are
 * told 3008. Who was told something like that before, and still has not read what is before it, is
 * reset.
 *
 * The control says when, for it looks at the whole (overload.h). But a reactor that answers many
 * can fill what is left between two of its looks, so it looks for itself after each step of bytes
 * that it has taken in or keeps more. Phase 4. ON the reactor.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct gateway;
struct memory_limit;
struct metrics;
struct reactor;

struct shed {
    const struct memory_limit *memory; /* NULL: nobody looks */
    uint64_t budget;                   /* bytes */
    uint64_t step;                     /* bytes */
    uint64_t moved;                    /* bytes, at the last look or the least since */
};

void shed_init(struct shed *shed, const struct memory_limit *memory, uint64_t budget);

/*
 * After each iteration, with the bytes that this reactor has ever received, and those in its queues
 * and publications: by as much as they grow, memory may. True: there is none left.
 */
NODISCARD bool shed_is_due(struct shed *shed, uint64_t moved) ON_REACTOR;

void shed_longest(struct reactor *reactor, struct gateway *gateway, struct metrics *metrics)
    ON_REACTOR;

#endif /* SERVER_SHED_H */
