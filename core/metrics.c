/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/check.h"
#include "core/metrics_private.h"
#include "core/metrics_text.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_S  1e9

/* Relaxed, and not one instruction: there is one writer. */
static void count_in(struct metrics_histogram *histogram, unsigned bucket, uint64_t value)
{
    const uint64_t before = atomic_load_explicit(&histogram->buckets[bucket], memory_order_relaxed);
    atomic_store_explicit(&histogram->buckets[bucket], before + 1, memory_order_relaxed);
    const uint64_t total = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    atomic_store_explicit(&histogram->sum, total + value, memory_order_relaxed);
}

void metrics_observe(struct metrics_histogram *histogram, uint64_t duration_ns)
{
    CHECK(histogram != NULL);

    unsigned bucket = 0;
    while (bucket < METRICS_BUCKET_COUNT - 1 && duration_ns > NS_PER_US << bucket) {
        bucket++;
    }
    count_in(histogram, bucket, duration_ns);
}

void metrics_observe_bytes(struct metrics_histogram *histogram, uint64_t bytes)
{
    /* By the highest bit, without a loop: this is asked for each send. */
    const uint64_t steps = bytes == 0 ? 0 : (bytes - 1) / METRICS_BYTES_FIRST;
    const unsigned bucket = steps == 0 ? 0 : 64 - (unsigned)__builtin_clzll(steps);
    count_in(histogram, bucket < METRICS_BUCKET_COUNT ? bucket : METRICS_BUCKET_COUNT - 1, bytes);
}

uint64_t metrics_observed(const struct metrics_histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < METRICS_BUCKET_COUNT; i++) {
        count += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    }
    return count;
}

static uint64_t sum(const struct metrics *const *all, size_t count, enum metrics_id id)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        value += metrics_read(all[i], id);
    }
    return value;
}

static void add_family(struct metrics_text *text, size_t family, const struct metrics *const *all,
                       size_t count)
{
    const struct metrics_family *told = &metrics_families[family];
    const char *name = told->name;
    const char *label = told->label;
    const unsigned end = family + 1 < metrics_family_count ? (unsigned)told[1].first : METRIC_COUNT;

    metrics_text_begin(text, name, told->type, told->help);
    for (unsigned id = told->first; id < end; id++) {
        const uint64_t value = sum(all, count, (enum metrics_id)id);
        if (label == NULL) {
            metrics_text_add(text, "%s %" PRIu64 "\n", name, value);
        } else {
            CHECK(metrics_label_values[id] != NULL);
            metrics_text_add(text, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label,
                             metrics_label_values[id], value);
        }
    }
}

/* A histogram's values at one moment, or those of several. */
struct reading {
    uint64_t buckets[METRICS_BUCKET_COUNT];
    uint64_t sum;
};

static void read_histogram(struct reading *reading, const struct metrics_histogram *histogram)
{
    for (unsigned i = 0; i < METRICS_BUCKET_COUNT; i++) {
        reading->buckets[i] += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    }
    reading->sum += atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}

/* Prometheus wants seconds and bytes. */
struct unit {
    double first; /* the first bucket's bound */
    double one;   /* how many of ours it is */
};

static const struct unit of_time = {(double)NS_PER_US / NS_PER_S, NS_PER_S};
static const struct unit of_bytes = {METRICS_BYTES_FIRST, 1};

/* `label` is empty, or name="value". */
static void add_histogram(struct metrics_text *text, const struct reading *reading,
                          struct unit unit, const char *name, const char *label)
{
    const bool labelled = label[0] != '\0';
    const char *comma = labelled ? "," : "";
    const char *open = labelled ? "{" : "";
    const char *close = labelled ? "}" : "";

    uint64_t total = 0;
    for (unsigned i = 0; i < METRICS_BUCKET_COUNT - 1; i++) {
        total += reading->buckets[i];
        metrics_text_add(text, "%s_bucket{%s%sle=\"%.9g\"} %" PRIu64 "\n", name, label, comma,
                         unit.first * (double)(UINT64_C(1) << i), total);
    }
    total += reading->buckets[METRICS_BUCKET_COUNT - 1];
    metrics_text_add(text, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, total);
    metrics_text_add(text, "%s_sum%s%s%s %.9f\n", name, open, label, close,
                     (double)reading->sum / unit.one);
    metrics_text_add(text, "%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, total);
}

/* One that all threads share. */
static void add_sum(struct metrics_text *text, const struct reading *reading, struct unit unit,
                    const char *name, const char *help)
{
    metrics_text_begin(text, name, "histogram", help);
    add_histogram(text, reading, unit, name, "");
}

/* Whether connections spread over the reactors. */
static void add_spread(struct metrics_text *text, const struct metrics *const *all,
                       const char *const *names, size_t count)
{
    metrics_text_begin(text, "parley_reactor_connections", "gauge",
                       "Connections that are open now, by reactor.");
    for (size_t i = 0; i < count; i++) {
        if (names[i] != NULL) {
            metrics_text_add(text, "parley_reactor_connections{reactor=\"%.32s\"} %" PRIu64 "\n",
                             names[i], metrics_read(all[i], METRIC_CONNECTIONS_OPEN));
        }
    }
}

void metrics_render(const struct metrics *const *all, const char *const *names, size_t count,
                    struct metrics_text *text)
{
    CHECK(all != NULL || count == 0);
    CHECK(names != NULL || count == 0);

    for (size_t family = 0; family < metrics_family_count; family++) {
        add_family(text, family, all, count);
    }
    add_spread(text, all, names, count);
    metrics_text_begin(text, "parley_loop_seconds", "histogram",
                       "Time of one turn of a reactor's loop, its sleep left out.");
    struct reading store = {.sum = 0};
    struct reading delivery = {.sum = 0};
    struct reading queues = {.sum = 0};
    for (size_t i = 0; i < count; i++) {
        read_histogram(&store, &all[i]->store);
        read_histogram(&delivery, &all[i]->delivery);
        read_histogram(&queues, &all[i]->queues);
        if (names[i] != NULL) {
            char label[48];
            struct reading loop = {.sum = 0};
            (void)snprintf(label, sizeof(label), "reactor=\"%.32s\"", names[i]);
            read_histogram(&loop, &all[i]->loop);
            add_histogram(text, &loop, of_time, "parley_loop_seconds", label);
        }
    }
    add_sum(text, &store, of_time, "parley_store_seconds",
            "Time from a run's way into the store to its answer.");
    add_sum(text, &delivery, of_time, "parley_delivery_seconds",
            "Time from a publication's arrival to its way to the subscribers of one reactor.");
    add_sum(text, &queues, of_bytes, "parley_send_queue_bytes",
            "Bytes that a connection has to be sent, looked at before each send, and while one "
            "waits whenever more is queued.");
}
