/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_OPENING_H
#define STORE_OPENING_H
/*
 * Opens the engine of a store, once what is noted to be damaged is repaired. A table that turns out
 * to be damaged as it opens is noted and repaired at once; one each time. After three tries the
 * store stays closed, and each start says why. What another process has open is left alone.
 *
 * Threads   one.
 * Failures  a line on standard error says why.
 * Not here  how a table is repaired (repair.h), damage that a commit meets (child.h).
 */
#include "core/annot.h"
#include "store/engine.h"

enum opening {
    OPENING_DONE = 0,
    OPENING_FAILED,
    OPENING_NOT_REPAIRED, /* damaged; tried in vain, as often as that is tried */
};

/* Counts damaged_tables and damaged_streams. */
NODISCARD enum opening opening_run(const struct engine_ops *ops,
                                   const struct engine_options *options, struct wire_stats *stats,
                                   struct engine **engine);

#endif /* STORE_OPENING_H */
