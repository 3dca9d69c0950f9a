/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_API_H
#define TESTS_SIM_SIM_API_H
/*
 * A back end: orders over the server API, one at a time, each on a connection of its own to the
 * internal listener of any shard. One whose connection fails is asked again, but for publications.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "tests/sim/sim_orders.h"
#include "tests/sim/sim_wire.h"

struct sim_link;
struct sim_world;

struct sim_api {
    struct sim_world *world;
    struct sim_link *link; /* of the order under way; NULL: to be connected */
    struct sim_wire_buffer in;
    struct sim_wire_buffer out;
    bool has_order;
    struct sim_order order;
    uint32_t publisher; /* its number among the connections, for what it publishes */
    uint64_t next_ns;   /* of the next order, or sooner by chance */
};

void sim_api_init(struct sim_api *api, struct sim_world *world);
void sim_api_deinit(struct sim_api *api);

/* Does one thing. False: there is nothing that it could do now. */
bool sim_api_act(struct sim_api *api);

/* When it will do something by itself. */
NODISCARD uint64_t sim_api_next_ns(const struct sim_api *api);

#endif /* TESTS_SIM_SIM_API_H */
