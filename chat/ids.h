/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_IDS_H
#define CHAT_IDS_H
/*
 * Names that may cross threads, and how a channel finds its home.
 *
 * A handle is a value: a slot of one reactor's slab and the generation of its tenant. It goes stale
 * safely, as struct conn_id does. Pure. ANY_THREAD.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

/* A room, channel or session of one reactor. Generation 0 names nothing. */
struct ids_handle {
    uint32_t slot;
    uint16_t generation;
    uint16_t reactor;
};

static inline bool ids_handle_equal(struct ids_handle a, struct ids_handle b)
{
    return a.slot == b.slot && a.generation == b.generation && a.reactor == b.reactor;
}

/* The reactor that orders a channel, from the keyed hash of its name; the same on every reactor. */
static inline uint16_t ids_home_of(uint64_t hash, uint16_t reactor_count)
{
    /* Multiply-shift over the high half: the table uses the low bits of the same hash. */
    return (uint16_t)(((hash >> 32) * reactor_count) >> 32);
}

#endif /* CHAT_IDS_H */
