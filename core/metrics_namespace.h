/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_METRICS_NAMESPACE_H
#define CORE_METRICS_NAMESPACE_H
/*
 * What is counted for each configured namespace of channels, beside the sums in metrics.h.
 *
 * Owner     the names belong to who created them, frozen once threads count; the values to their
 *           thread's `struct metrics`, which alone writes them.
 * Labels    a namespace has a place in the table, given when the process starts, so nobody can
 *           make the text grow. Place 0 is what has none, and whatever else has no place of its
 *           own.
 * Threads   rendering: ANY_THREAD; each value is right, not all of one moment.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/metrics.h"

struct metrics_text;

enum {
    METRICS_NAMESPACE_NAME_SIZE = 65,   /* bytes, with the NUL */
    METRICS_NAMESPACE_TEXT_SIZE = 1280, /* bytes of one namespace in the text, at most */
};

/* The order is that of the text. */
enum metrics_namespace_id {
    NAMESPACE_PUBLICATIONS = 0, /* accepted at home */
    NAMESPACE_DELIVERIES,
    NAMESPACE_LAGS,
    NAMESPACE_HISTORY_READS,
    NAMESPACE_RECOVERIES_COMPLETE,
    NAMESPACE_RECOVERIES_IMPOSSIBLE,
    NAMESPACE_SUBSCRIPTIONS, /* gauge */
    NAMESPACE_METRIC_COUNT
};

struct metrics_namespace {
    _Atomic uint64_t values[NAMESPACE_METRIC_COUNT];
};

struct metrics_namespaces {
    size_t count;
    char names[][METRICS_NAMESPACE_NAME_SIZE]; /* the labels' values */
};

/* `count` > 0 without names. NULL: no memory. Freed with free(). */
NODISCARD struct metrics_namespaces *metrics_namespace_create(size_t count);

/* Names a place. Empty: channels without a namespace, whose label no namespace can have. */
void metrics_namespace_name(struct metrics_namespaces *namespaces, size_t place, struct bytes name);

/* The place of a namespace; 0 where it has none. */
NODISCARD size_t metrics_namespace_find(const struct metrics_namespaces *namespaces,
                                        struct bytes name);

/* From now on this thread counts for so many. 0 or -ENOMEM. */
NODISCARD int metrics_namespace_open(struct metrics *metrics, size_t count);
void metrics_namespace_close(struct metrics *metrics);

/* Owner only. A thread that has none counts nothing. */
static inline void metrics_add_for(struct metrics *metrics, uint32_t place,
                                   enum metrics_namespace_id id, uint64_t count)
{
    if (place < metrics->namespace_count) {
        _Atomic uint64_t *value = &metrics->namespaces[place].values[id];
        const uint64_t before = atomic_load_explicit(value, memory_order_relaxed);
        atomic_store_explicit(value, before + count, memory_order_relaxed);
    }
}

/* Of a gauge. */
static inline void metrics_subtract_for(struct metrics *metrics, uint32_t place,
                                        enum metrics_namespace_id id, uint64_t count)
{
    metrics_add_for(metrics, place, id, 0 - count);
}

/* All of them, summed over the `count` threads of `all`. */
void metrics_namespace_render(const struct metrics_namespaces *namespaces,
                              const struct metrics *const *all, size_t count,
                              struct metrics_text *text) ANY_THREAD;

#endif /* CORE_METRICS_NAMESPACE_H */
