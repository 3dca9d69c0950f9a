/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SWEEP_H
#define STORE_SWEEP_H
/*
 * Takes what is too old out of the store, whether anybody asks for it or not: goes round over all
 * streams, a few at a time, trims the publications that are older than their stream keeps them,
 * and removes the streams whose position is too old. A stream that never said how long (wire.h:
 * wire_keep) is left alone.
 *
 * Pace      at most streams_per_s of them; a round begins a second after the last one ended, or
 *           when the next thing that the last one saw gets too old, but after a minute at the
 *           latest.
 * Clock     walltime.h. A publication is at least as old as those behind it, whatever its time
 *           says; one from the future has no age.
 * Space     a deletion is a few bytes more at first. When an eighth of the records is gone, the
 *           engine reclaims what they took, on a thread of ours; then it rests for ten times as
 *           long as that has taken.
 * Races     a home that has the stream open learns of a trim when it reads, and begins a stream
 *           again that is not there any more, where it was (chat/ledger.h).
 * Threads   one, but for the reclaiming.
 */
#include <stdint.h>

#include "core/annot.h"
#include "store/engine.h"
#include "store/gather.h"

struct sweep; /* opaque */

struct sweep_options {
    const struct engine_ops *ops;
    struct engine *engine;    /* borrowed */
    struct gather *gather;    /* borrowed */
    struct wire_stats *stats; /* counts here what it deletes */
    uint32_t streams_per_s;
};

/* NULL: no memory. */
NODISCARD struct sweep *sweep_create(const struct sweep_options *options);
/* Ends the reclaiming first. NULL: nothing. */
void sweep_destroy(struct sweep *sweep);

/* When it has something to do: the monotonic time. */
NODISCARD uint64_t sweep_next_ns(const struct sweep *sweep);

/*
 * Looks at a few streams and adds to the gather, which must be empty, what is to go. Commit it
 * then, before the next step. What cannot be read is left as it is, and `error` has a line.
 */
void sweep_step(struct sweep *sweep, uint64_t now_ns, char error[static ENGINE_ERROR_SIZE]);

#endif /* STORE_SWEEP_H */
