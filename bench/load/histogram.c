/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/histogram.h"

#include "core/check.h"

/* Steps in each power of two; values below it have a bucket each. */
#define SUB_COUNT (UINT64_C(1) << HISTOGRAM_SUB_BITS)

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A plain load and store: there is one writer. */
static void add(_Atomic uint64_t *counter, uint64_t count)
{
    atomic_store_explicit(counter, load(counter) + count, memory_order_relaxed);
}

static void raise_max(struct histogram *histogram, uint64_t value_ns)
{
    if (value_ns > load(&histogram->max_ns)) {
        atomic_store_explicit(&histogram->max_ns, value_ns, memory_order_relaxed);
    }
}

size_t histogram_bucket(uint64_t value_ns)
{
    const uint64_t value = value_ns < HISTOGRAM_VALUE_MAX ? value_ns : HISTOGRAM_VALUE_MAX;
    if (value < SUB_COUNT) {
        return (size_t)value;
    }
    const unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return ((size_t)(shift + 1) << HISTOGRAM_SUB_BITS) + (size_t)((value >> shift) - SUB_COUNT);
}

uint64_t histogram_bucket_end(size_t bucket)
{
    CHECK(bucket < HISTOGRAM_BUCKET_COUNT);
    if (bucket < SUB_COUNT) {
        return bucket;
    }
    const unsigned shift = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    const uint64_t step = SUB_COUNT + (bucket & (SUB_COUNT - 1));
    return ((step + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value_ns)
{
    add(&histogram->buckets[histogram_bucket(value_ns)], 1);
    add(&histogram->sum_ns, value_ns);
    raise_max(histogram, value_ns);
}

void histogram_merge(struct histogram *histogram, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        add(&histogram->buckets[i], load(&from->buckets[i]));
    }
    add(&histogram->sum_ns, load(&from->sum_ns));
    raise_max(histogram, load(&from->max_ns));
}

void histogram_subtract(const struct histogram *later, const struct histogram *earlier,
                        struct histogram *difference)
{
    uint64_t max_ns = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        const uint64_t count = load(&later->buckets[i]) - load(&earlier->buckets[i]);
        atomic_store_explicit(&difference->buckets[i], count, memory_order_relaxed);
        if (count > 0) {
            max_ns = histogram_bucket_end(i);
        }
    }
    const uint64_t sum_ns = load(&later->sum_ns) - load(&earlier->sum_ns);
    atomic_store_explicit(&difference->sum_ns, sum_ns, memory_order_relaxed);
    if (max_ns > load(&later->max_ns)) {
        max_ns = load(&later->max_ns);
    }
    atomic_store_explicit(&difference->max_ns, max_ns, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        count += load(&histogram->buckets[i]);
    }
    return count;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    CHECK(share > 0 && share <= 1);
    const uint64_t count = histogram_count(histogram);
    const double wanted = share * (double)count;
    const uint64_t max_ns = load(&histogram->max_ns);
    uint64_t seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKET_COUNT; i++) {
        seen += load(&histogram->buckets[i]);
        if (seen > 0 && (double)seen >= wanted) {
            const uint64_t end_ns = histogram_bucket_end(i);
            return end_ns < max_ns ? end_ns : max_ns;
        }
    }
    return count == 0 ? 0 : max_ns;
}

double histogram_mean(const struct histogram *histogram)
{
    const uint64_t count = histogram_count(histogram);
    return count == 0 ? 0 : (double)load(&histogram->sum_ns) / (double)count;
}
