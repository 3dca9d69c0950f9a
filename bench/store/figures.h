/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STORE_FIGURES_H
#define BENCH_STORE_FIGURES_H
/*
 * What parley-store-bench has measured, and how it says so: on standard output, a line each.
 */
#include <stdint.h>

/* One sort of latency, of which the first `count_max` are kept: none when it is all zeros. */
struct latencies {
    uint32_t *us;
    uint64_t count;
    uint64_t count_max;
};

/* Ends the program where there is no memory. */
void latencies_init(struct latencies *latencies, uint64_t count_max);
void latencies_deinit(struct latencies *latencies);
void latencies_note(struct latencies *latencies, uint64_t ns);

/* Sorts them; `part` of 0..1. 0 where there are none. Microseconds. */
double latencies_percentile(struct latencies *latencies, double part);

/* Sectors that were written to the disk under `path`, by whomever; 0 where that cannot be had. */
uint64_t sectors_written(const char *path);

double seconds_since(uint64_t began_ns);

/* What wrote `messages` of MESSAGE_SIZE bytes in `seconds`, and what they and the disk needed. */
void report_messages(const char *what, uint64_t messages, double seconds, uint64_t sectors,
                     struct latencies *latencies);

void report_questions(const char *what, struct latencies *latencies);
#endif
