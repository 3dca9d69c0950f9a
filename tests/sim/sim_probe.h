/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_PROBE_H
#define TESTS_SIM_SIM_PROBE_H
/*
 * Are the places of a user counted exactly? Asked at rest, by further connections: there is a place
 * for each as long as there are fewer than user_limit, and none for one more.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct sim_client;
struct sim_world;

/* A user that may sign in; SIM_NOBODY: there is none. */
NODISCARD uint16_t sim_probe_user(struct sim_world *world);

/* Its connections. False: somebody may just be coming or going. */
NODISCARD bool sim_probe_count(const struct sim_world *world, uint16_t user, uint32_t *count);

/* Another client, whose one connection says nothing but connect. */
void sim_probe_init(struct sim_client *client, struct sim_world *world, uint16_t user);
NODISCARD bool sim_probe_is_answered(const struct sim_client *client);

/* There were `count` before it. False: it was the last one that is of any use. */
NODISCARD bool sim_probe_judge(const struct sim_client *client, uint32_t count);

#endif /* TESTS_SIM_SIM_PROBE_H */
