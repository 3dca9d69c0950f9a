/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_CONDUCTOR_H
#define BENCH_LOAD_CONDUCTOR_H
/*
 * One run, as the main thread sees it: connect everybody, load, measure, drain, close.
 *
 * Owner     the main thread; so is the report, as long as the conductor is there.
 * Failures  one line on standard error, where they happen.
 */
#include "core/annot.h"

struct conductor; /* opaque */
struct options;
struct report;
struct stop;
struct tokens;

/* What it is given has to stay, but for the options, of which it has a copy. NULL: no memory. */
NODISCARD struct conductor *conductor_create(const struct options *options,
                                             const struct tokens *tokens, struct stop *stop,
                                             const char *command_line);
void conductor_destroy(struct conductor *conductor);

/*
 * The whole run, once. 0: the report is there, whatever it says; where a signal came (`stop`) it is
 * of what there was until then. Else -errno: there was no run.
 */
NODISCARD int conductor_perform(struct conductor *conductor);

/* After that. */
NODISCARD struct report *conductor_report(struct conductor *conductor);

#endif /* BENCH_LOAD_CONDUCTOR_H */
