/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CONN_ID_H
#define CORE_CONN_ID_H
/*
 * The name of a connection. It may cross threads, be copied and be kept: unlike a pointer it goes
 * stale safely, because the generation of a slot changes when its connection is freed.
 *
 * Threads   ANY_THREAD to hold and compare; only the reactor `reactor` can resolve it.
 */
#include <stdbool.h>
#include <stdint.h>

struct conn_id {
    uint32_t slot;       /* in the connection slab of that reactor */
    uint16_t generation; /* never 0 for a connection that exists, so all zero names nobody */
    uint16_t reactor;    /* index from 0 */
};

_Static_assert(sizeof(struct conn_id) == 8, "travels in posts");

static inline bool conn_id_equal(struct conn_id a, struct conn_id b)
{
    return a.slot == b.slot && a.generation == b.generation && a.reactor == b.reactor;
}

#endif /* CORE_CONN_ID_H */
