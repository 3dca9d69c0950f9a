/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_METRICS_PRIVATE_H
#define CORE_METRICS_PRIVATE_H
/* What the counters and gauges are called. Private to core/metrics*.c. */
#include <stddef.h>

#include "core/metrics.h"

struct metrics_family {
    const char *name;
    const char *type;
    const char *help;
    const char *label; /* NULL: one value without a label */
    enum metrics_id first;
};

/* In the order of the enum: a family's values are those up to the next family's first. */
extern const struct metrics_family metrics_families[];
extern const size_t metrics_family_count;

/* The label's value, for ids whose family has a label. */
extern const char *const metrics_label_values[METRIC_COUNT];

#endif /* CORE_METRICS_PRIVATE_H */
