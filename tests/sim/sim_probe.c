/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_probe.h"

#include "proto/codes.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_orders.h"
#include "tests/sim/sim_world.h"

uint16_t sim_probe_user(struct sim_world *world)
{
    const uint16_t count = (uint16_t)world->profile.user_count;
    const uint16_t first = (uint16_t)sim_random_below(&world->random, count);
    for (uint16_t i = 0; i < count; i++) {
        const uint16_t user = (uint16_t)((first + i) % count);
        if (sim_orders_last(world, user, SIM_ORDER_BLOCK).asked_at <=
            sim_orders_last(world, user, SIM_ORDER_UNBLOCK).asked_at) {
            return user;
        }
    }
    return SIM_NOBODY;
}

bool sim_probe_count(const struct sim_world *world, uint16_t user, uint32_t *count)
{
    *count = 0;
    for (uint32_t i = 0; i < world->connection_count; i++) {
        if (world->users[i] == user && world->over_ns[i] != 0 &&
            world->over_ns[i] + SIM_S > world->net.now_ns) {
            return false;
        }
    }
    for (size_t i = 0; i < world->client_count; i++) {
        const struct sim_client *client = &world->clients[i];
        if (client->user != user || client->phase == SIM_CLIENT_OFF) {
            continue;
        }
        const bool is_sure = sim_client_is_sound(client) && client->is_connected &&
                             !sim_access_ends_soon(client, &client->term);
        if (!is_sure) {
            return false;
        }
        ++*count;
    }
    return true;
}

void sim_probe_init(struct sim_client *client, struct sim_world *world, uint16_t user)
{
    *client = (struct sim_client){
        .world = world,
        .index = world->client_count,
        .is_probe = true,
        .lives_left = 1,
        .user = user,
    };
    sim_stats_add(world->stats, SIM_PROBES, 1);
}

bool sim_probe_is_answered(const struct sim_client *client)
{
    return client->is_connected || (client->phase == SIM_CLIENT_OFF && client->lives_left == 0);
}

bool sim_probe_judge(const struct sim_client *client, uint32_t count)
{
    struct sim_world *world = client->world;
    const bool has_place = count < world->profile.user_limit;

    if (!client->is_connected && client->closed_code == 0) {
        return false; /* it never got so far */
    }
    if (client->is_connected != has_place) {
        sim_world_fail(world, "connection %u: user %u has %u of %u connections, and one more is %s",
                       client->connection, client->user, count, world->profile.user_limit,
                       client->is_connected ? "let in" : "refused");
    }
    return client->is_connected;
}
