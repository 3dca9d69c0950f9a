/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated back end, with clients on its network. Chance is there, too, but always the same:
 * bytes arrive in parts, sends complete at once or later. Time passes when the reactor sleeps.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/net/plug.h"
#include "tests/sim/backend_sim.h"
#include "tests/sim/sim_net.h"

enum {
    SEED = 20240229,
    MOVES_MAX = 64,     /* of links, in one iteration */
    TURN_NS = 10000,    /* what an iteration costs */
    WINDOW = 256 << 10, /* bytes */
};

/* The seat comes first: it is what the reactor gets. */
struct world {
    struct backend_sim_seat seat;
    struct sim_net net;
    struct sim_stats stats;
};

/* The reactor waits: bytes arrive meanwhile, or else the time is over. */
static void pass_time(struct backend_sim_seat *seat)
{
    struct sim_net *net = seat->net;
    uint64_t moves = sim_random_below(&net->random, MOVES_MAX);

    net->now_ns += TURN_NS;
    while (moves > 0 && sim_net_move_one(net)) {
        moves--;
    }
    while (!backend_sim_is_awake(seat) && sim_net_move_one(net)) {
    }
    if (!backend_sim_is_awake(seat)) {
        ck_assert_uint_ne(seat->sleep_until_ns, UINT64_MAX);
        net->now_ns = seat->sleep_until_ns;
    }
}

static void *world_create(void)
{
    struct world *world = calloc(1, sizeof(*world));
    ck_assert_ptr_nonnull(world);
    sim_net_init(&world->net, SEED, &world->stats);
    world->net.window_max = WINDOW;
    world->seat = (struct backend_sim_seat){.net = &world->net, .sleep = pass_time};
    return world;
}

static void world_destroy(void *context)
{
    struct world *world = context;
    sim_net_deinit(&world->net);
    free(world);
}

static struct sim_link *link_at(void *context, int client)
{
    struct world *world = context;
    return sim_net_link(&world->net, client);
}

static int world_listen(void *context)
{
    struct world *world = context;
    return sim_net_listen(&world->net);
}

static int world_connect(void *context, int listener)
{
    struct world *world = context;
    const struct sim_link *link = sim_net_connect(&world->net, listener);
    ck_assert_ptr_nonnull(link);
    return link->number;
}

static ssize_t world_write(void *context, int client, const void *data, size_t size)
{
    struct world *world = context;
    const ssize_t written = sim_net_write(&world->net, link_at(context, client), data, size);
    return written == 0 ? -EAGAIN : written;
}

static ssize_t world_read(void *context, int client, void *data, size_t size)
{
    struct world *world = context;
    return sim_net_read(&world->net, link_at(context, client), data, size);
}

static void world_finish(void *context, int client)
{
    sim_net_fin(link_at(context, client));
}

static void world_reset(void *context, int client)
{
    struct world *world = context;
    sim_net_reset(&world->net, link_at(context, client));
}

static void world_close(void *context, int client)
{
    sim_net_close(link_at(context, client));
}

static void world_starve(void *context, bool on)
{
    struct world *world = context;
    world->net.accept_fails_in = on ? 1 : 0;
}

const struct plug plug_simulated = {
    .name = "simulated",
    .ops = &backend_sim_ops,
    .create = world_create,
    .destroy = world_destroy,
    .listen = world_listen,
    .connect = world_connect,
    .write = world_write,
    .read = world_read,
    .finish = world_finish,
    .reset = world_reset,
    .close = world_close,
    .starve = world_starve,
    .keeps_whom_it_cannot_accept = true,
    .is_one_thread = true,
};
