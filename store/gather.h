/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_GATHER_H
#define STORE_GATHER_H
/*
 * Joins batches into one group commit, and knows what each stream will be when it is done: an
 * append is taken only if its offset is the top one plus 1 and its epoch is the stream's. A batch
 * is taken as a whole or leaves no trace.
 *
 * Owner     the states of at most streams_max channels, asked of the engine when they are not here.
 *           The engine is borrowed.
 * Threads   one.
 * Views     what entries point to must stay where it is until gather_commit() returns.
 * Full      gather_has_room() says no: commit first.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "store/engine.h"
#include "store/wire.h"

struct gather; /* opaque */

enum {
    GATHER_ENTRIES_MAX = 2 * WIRE_ENTRY_COUNT_MAX, /* of one group, as they are on the wire */
    GATHER_STREAMS_MIN = 2 * GATHER_ENTRIES_MAX,   /* so that a group never needs them all */
    GATHER_NOTE_EVERY = 32,                        /* appends: a stream's top is stored again */
};

/* NULL: no memory. streams_max is at least GATHER_STREAMS_MIN. */
NODISCARD struct gather *gather_create(const struct engine_ops *ops, struct engine *engine,
                                       uint32_t streams_max);
void gather_destroy(struct gather *gather);

/* Whether the group takes another batch, however large. */
NODISCARD bool gather_has_room(const struct gather *gather);
NODISCARD bool gather_is_empty(const struct gather *gather);

/*
 * Takes a batch. The verdict is about its bytes; with WIRE_OK, `committed` says whether it belongs
 * to the group now (WIRE_DONE) or why not. `error` gets the engine's text where it has one.
 */
NODISCARD enum wire_verdict gather_add(struct gather *gather, struct wire_batch batch,
                                       struct wire_committed *committed,
                                       char error[static ENGINE_ERROR_SIZE]);

/* The same for one entry that the child itself has thought of. */
NODISCARD enum wire_result gather_add_entry(struct gather *gather, const struct wire_entry *entry,
                                            char error[static ENGINE_ERROR_SIZE]);

/*
 * Writes the group; afterwards it is empty. When that fails, nobody knows what was stored and what
 * the streams are: only gather_destroy() may follow.
 */
NODISCARD enum engine_result gather_commit(struct gather *gather, bool sync,
                                           char error[static ENGINE_ERROR_SIZE]);

#endif /* STORE_GATHER_H */
