/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_HISTOGRAM_H
#define BENCH_LOAD_HISTOGRAM_H
/*
 * How often each latency was seen, with a relative error below 1 % (the idea of HdrHistogram: a
 * linear scale inside of each power of two).
 *
 * Owner     one thread adds. A value of about 36 KiB: on the heap, never on the stack.
 * Threads   others may copy it at any time: counters are relaxed atomics, so a copy holds whole
 *           numbers, though not all of one moment.
 * Units     nanoseconds. Above HISTOGRAM_VALUE_MAX the value counts as that; `max_ns` is exact.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

enum {
    HISTOGRAM_SUB_BITS = 7, /* 128 steps in each power of two */
    HISTOGRAM_VALUE_BITS = 40,
    HISTOGRAM_BUCKET_COUNT = (HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* Zeroed: empty. */
struct histogram {
    _Atomic uint64_t max_ns; /* the highest value, exactly; of a difference: of its buckets */
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t buckets[HISTOGRAM_BUCKET_COUNT];
};

void histogram_add(struct histogram *histogram, uint64_t value_ns);

/* Adds everything that is in `from`. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* `later` without what was in `earlier`, a copy of the same one. */
void histogram_subtract(const struct histogram *later, const struct histogram *earlier,
                        struct histogram *difference);

NODISCARD uint64_t histogram_count(const struct histogram *histogram);

/*
 * The smallest value that at least this share (0 < share <= 1) of all values does not exceed: the
 * highest value of its bucket, but never above max_ns. 0 when it is empty.
 */
NODISCARD uint64_t histogram_percentile(const struct histogram *histogram, double share);
NODISCARD double histogram_mean(const struct histogram *histogram); /* ns; 0 when it is empty */

/* The bucket of a value, and the highest value in a bucket. For plots and tests. */
NODISCARD size_t histogram_bucket(uint64_t value_ns);
NODISCARD uint64_t histogram_bucket_end(size_t bucket);

#endif /* BENCH_LOAD_HISTOGRAM_H */
