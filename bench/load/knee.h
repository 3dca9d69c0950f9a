/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_KNEE_H
#define BENCH_LOAD_KNEE_H
/*
 * --find-max: one run after the other, each at another rate, until the highest rate that passes is
 * known: the knee.
 *
 * Threads   the main thread.
 */
#include <stdbool.h>

#include "core/annot.h"

struct knee; /* opaque */
struct options;
struct report;
struct stop;
struct tokens;

/*
 * Tries until it is found, or a run cannot begin (the server has gone), or a signal comes. NULL: no
 * memory. What it is given has to stay.
 */
NODISCARD struct knee *knee_find(const struct options *options, const struct tokens *tokens,
                                 struct stop *stop, const char *command_line);
void knee_free(struct knee *knee);

/* A rate has passed, a higher one has not, and they are close to each other. */
NODISCARD bool knee_is_found(const struct knee *knee);

/* That of the run at the highest rate that passed, or where none did of the last one, with all that
 * was tried. NULL: there was no run. */
NODISCARD const struct report *knee_report(const struct knee *knee);

#endif /* BENCH_LOAD_KNEE_H */
