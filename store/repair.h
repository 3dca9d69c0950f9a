/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_REPAIR_H
#define STORE_REPAIR_H
/*
 * Takes a damaged table out of a store that nobody has open. Streams that are whole are written
 * again, as far as the table has them; those that are not, or of which that cannot be told, begin a
 * new life, with a new epoch; and the table is dropped. So nobody is ever given something wrong or
 * with a gap in it: clients are told that they cannot recover. Everything else stays as it is.
 *
 * Each thing that is lost is a line on standard error. A store that was killed in the middle of it
 * is repaired again: what the drop of the table takes is gone from the streams before, or noted.
 *
 * Not here  how damage is noticed (opening.h, child.h) and remembered (damage.h); damage of the log
 *           or of the list of tables, which concerns everything: the store does not open, and
 *           people decide.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "store/damage.h"
#include "store/engine.h"

/*
 * Counts damaged_tables and damaged_streams; may note more of the damage. False: `error` says why
 * it is not repaired.
 */
NODISCARD bool repair_table(const struct engine_ops *ops, const struct engine_options *options,
                            struct damage *damage, struct wire_stats *stats,
                            char error[static ENGINE_ERROR_SIZE]);

#endif /* STORE_REPAIR_H */
