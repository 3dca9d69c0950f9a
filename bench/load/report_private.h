/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_REPORT_PRIVATE_H
#define BENCH_LOAD_REPORT_PRIVATE_H
/*
 * What the three forms of a report have in common. For report*.c alone.
 */
#include <stddef.h>

#include "bench/load/report.h"
#include "core/annot.h"
#include "core/bytes.h"

/* The percentiles that are told, as people write them and as a share. */
struct report_percentile {
    const char *name; /* "99.9" */
    double share;     /* 0.999 */
};
enum { REPORT_PERCENTILE_COUNT = 5 };
extern const struct report_percentile report_percentiles[REPORT_PERCENTILE_COUNT];

/* a / b, and 0 where there is nothing to divide by. */
NODISCARD double report_ratio(double a, double b);

/* How busy the threads of the generator were: 1 when all of them were all the time. */
NODISCARD double report_generator_share(const struct report *report);

/* And the one of them that was it most. */
NODISCARD double report_busiest_share(const struct report *report);

/* What each connection costs of what is after and was not before: bytes, below 0 when less is. */
NODISCARD double report_bytes_per_conn(const struct report *report, uint64_t before,
                                       uint64_t after);

/* The rates of the intervals, per second. All 0 when there are none. */
struct report_spread {
    double min;
    double median;
    double max;
};

/*
 * Of messages, deliveries and connects. An interval shorter than half of the longest does not
 * count: its rate is chance. 0 or -ENOMEM.
 */
struct report_spreads {
    struct report_spread sent;
    struct report_spread received;
    struct report_spread connects;
};
NODISCARD int report_find_spreads(const struct report *report, struct report_spreads *spreads);

/* Its member "options": what the run was made with, defaults too. */
struct sheet;
void report_add_options(struct sheet *sheet, const struct report *report);

/* The report as JSON, on the heap: the caller frees `json->data`. 0 or -ENOMEM. */
NODISCARD int report_render_json(const struct report *report, struct span *json);

/*
 * Writes the pieces to a file beside `path` and renames it. What is there and no file, a terminal
 * or a pipe, is written to as it is. 0 or -errno; then nothing has changed.
 */
NODISCARD int report_save(const char *path, const struct bytes *pieces, size_t piece_count);

#endif /* BENCH_LOAD_REPORT_PRIVATE_H */
