/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics_namespace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/metrics_text.h"

/* No namespace can be called so: its characters are letters, digits, '_', '-' and '.'. */
static const char without_namespace[] = "(none)";

/* A family's values are those up to the next family's first. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
    enum metrics_namespace_id first;
} families[] = {
    {"parley_namespace_publications_total", "counter",
     "Publications accepted by the home of their channel.", NAMESPACE_PUBLICATIONS},
    {"parley_namespace_deliveries_total", "counter", "Publications queued for a connection.",
     NAMESPACE_DELIVERIES},
    {"parley_namespace_lags_total", "counter",
     "Times a subscriber that does not read had no room for a publication.", NAMESPACE_LAGS},
    {"parley_namespace_history_reads_total", "counter", "Times a channel's history was read.",
     NAMESPACE_HISTORY_READS},
    {"parley_namespace_recoveries_total", "counter",
     "Subscribers that came back, by whether they have all.", NAMESPACE_RECOVERIES_COMPLETE},
    {"parley_namespace_subscriptions", "gauge", "Subscriptions of all sessions.",
     NAMESPACE_SUBSCRIPTIONS},
};

enum { FAMILY_COUNT = sizeof(families) / sizeof(families[0]) };

/* What follows the namespace among the labels. */
static const char *const more_labels[NAMESPACE_METRIC_COUNT] = {
    [NAMESPACE_RECOVERIES_COMPLETE] = ",recovered=\"true\"",
    [NAMESPACE_RECOVERIES_IMPOSSIBLE] = ",recovered=\"false\"",
};

struct metrics_namespaces *metrics_namespace_create(size_t count)
{
    CHECK(count > 0);

    struct metrics_namespaces *namespaces = NULL;
    namespaces = calloc(1, sizeof(*namespaces) + count * sizeof(namespaces->names[0]));
    if (namespaces != NULL) {
        namespaces->count = count;
    }
    return namespaces;
}

void metrics_namespace_name(struct metrics_namespaces *namespaces, size_t place, struct bytes name)
{
    CHECK(place < namespaces->count);
    CHECK(name.size < METRICS_NAMESPACE_NAME_SIZE);

    char *label = namespaces->names[place];
    if (name.size == 0) {
        memcpy(label, without_namespace, sizeof(without_namespace));
        return;
    }
    memcpy(label, name.data, name.size);
    label[name.size] = '\0';
}

size_t metrics_namespace_find(const struct metrics_namespaces *namespaces, struct bytes name)
{
    for (size_t place = 1; place < namespaces->count; place++) {
        const char *label = namespaces->names[place];
        if (strlen(label) == name.size && memcmp(label, name.data, name.size) == 0) {
            return place;
        }
    }
    return 0;
}

int metrics_namespace_open(struct metrics *metrics, size_t count)
{
    CHECK(metrics->namespaces == NULL);

    /* Lines of its own: another thread writes what is beside it. */
    enum { LINE = 64 };
    const size_t size = (count * sizeof(*metrics->namespaces) + LINE - 1) / LINE * LINE;
    metrics->namespaces = aligned_alloc(LINE, size);
    if (metrics->namespaces == NULL) {
        return -ENOMEM;
    }
    memset(metrics->namespaces, 0, size);
    metrics->namespace_count = count;
    return 0;
}

void metrics_namespace_close(struct metrics *metrics)
{
    free(metrics->namespaces);
    metrics->namespaces = NULL;
    metrics->namespace_count = 0;
}

static uint64_t sum(const struct metrics *const *all, size_t count, size_t place,
                    enum metrics_namespace_id id)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (place < all[i]->namespace_count) {
            total +=
                atomic_load_explicit(&all[i]->namespaces[place].values[id], memory_order_relaxed);
        }
    }
    return total;
}

void metrics_namespace_render(const struct metrics_namespaces *namespaces,
                              const struct metrics *const *all, size_t count,
                              struct metrics_text *text)
{
    for (unsigned family = 0; family < FAMILY_COUNT; family++) {
        const char *name = families[family].name;
        const unsigned end = family + 1 < FAMILY_COUNT ? (unsigned)families[family + 1].first
                                                       : NAMESPACE_METRIC_COUNT;
        metrics_text_begin(text, name, families[family].type, families[family].help);
        for (size_t place = 0; place < namespaces->count; place++) {
            for (unsigned id = families[family].first; id < end; id++) {
                metrics_text_add(text, "%s{namespace=\"%s\"%s} %" PRIu64 "\n", name,
                                 namespaces->names[place],
                                 more_labels[id] != NULL ? more_labels[id] : "",
                                 sum(all, count, place, (enum metrics_namespace_id)id));
            }
        }
    }
}
