/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_COLLECT_H
#define TESTS_SIM_SIM_COLLECT_H
/*
 * The half of the simulated back end that says what happened: completions, in an order and at a
 * moment that chance decides. Private to backend_sim.c and sim_collect.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/slab.h"
#include "tests/sim/backend_sim.h"
#include "tests/sim/sim_net.h"

struct backend_listener {
    int number;    /* -1: none */
    uint32_t kept; /* places that it leaves to others */
    bool on;
};

struct backend {
    struct backend_sim_seat *seat;
    struct sim_net *net;
    struct slab *conns;
    uint32_t conn_count_max;
    struct backend_listener listeners[BACKEND_LISTENER_MAX];
    struct sim_link **links; /* attached and not CLOSED yet */
    size_t link_count;
    size_t link_capacity;
};

/* Would sim_collect() find anything? */
NODISCARD bool sim_collect_has_news(const struct backend *backend);

/* At most `max` (> 1) completions. Not all that there is: the rest at another time. */
NODISCARD size_t sim_collect(struct backend *backend, struct backend_completion *completions,
                             size_t max);

/* Nothing of a dropped link is in flight any more. */
void sim_collect_closed(struct backend *backend, struct sim_link *link);

#endif /* TESTS_SIM_SIM_COLLECT_H */
