/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_PROGRESS_H
#define BENCH_LOAD_PROGRESS_H
/*
 * What a person sees while it runs: on a terminal one screen that is drawn anew, elsewhere a line
 * each second.
 *
 * Threads   the main thread.
 */
#include <stdint.h>
#include <stdio.h>

#include "core/annot.h"

struct progress; /* opaque */
struct report_point;

/* NULL: no memory. */
NODISCARD struct progress *progress_create(FILE *out);
void progress_destroy(struct progress *progress);

/* While connections are made: drawn at most ten times a second. */
void progress_connecting(struct progress *progress, uint64_t connected, uint64_t wanted);

/* A second of the load is over. */
void progress_show(struct progress *progress, const struct report_point *point);

/* The report follows. */
void progress_end(struct progress *progress);

#endif /* BENCH_LOAD_PROGRESS_H */
