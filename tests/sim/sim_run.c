/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_run.h"

#include <inttypes.h>

#include "core/check.h"
#include "tests/sim/sim_api.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_probe.h"
#include "tests/sim/sim_server.h"
#include "tests/sim/sim_world.h"

enum {
    STEPS_MAX = 2000000, /* of one phase: more is no progress */
    STEP_NS_MAX = 20000, /* what a step costs, by the clock */
    LULL_IN = 400,       /* where tokens end: once in so many steps nobody talks for a while */
    LULL_MS_MAX = 2500,
};

struct run {
    struct sim_world world;
    struct sim_server server;
    struct sim_client clients[SIM_CLIENT_MAX];
    size_t client_count;
    struct sim_api api;
};

/* -- one step ---------------------------------------------------------------------------------- */

/* A client, or the back end behind the last of them. */
static bool act_one(struct run *run)
{
    const size_t count = run->client_count + (run->world.profile.is_signed ? 1 : 0);
    const size_t first = sim_random_below(&run->world.random, count);
    for (size_t i = 0; i < count; i++) {
        const size_t at = (first + i) % count;
        if (at < run->client_count ? sim_client_act(&run->clients[at]) : sim_api_act(&run->api)) {
            return true;
        }
    }
    return false;
}

static void disturb(struct run *run)
{
    struct sim_world *world = &run->world;

    if (sim_random_once_in(&world->random, 200)) {
        sim_server_disturb(&run->server);
    }
    if (world->profile.fault_in > 0 && world->is_talking &&
        sim_random_once_in(&world->random, world->profile.fault_in)) {
        sim_client_disturb(&run->clients[sim_random_below(&world->random, run->client_count)]);
    }
}

/* One of: a reactor runs, bytes arrive, a client acts. False: nobody can do anything now. */
static bool do_one(struct run *run)
{
    static const unsigned chances[] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2};
    const unsigned first =
        chances[sim_random_below(&run->world.random, sizeof(chances) / sizeof(chances[0]))];
    for (unsigned i = 0; i < 3; i++) {
        bool done = false;
        switch ((first + i) % 3) {
        case 0:
            done = sim_server_run_one(&run->server);
            break;
        case 1:
            done = sim_net_move_one(&run->world.net);
            break;
        default:
            done = act_one(run);
        }
        if (done) {
            return true;
        }
    }
    return false;
}

/* Everybody waits for the clock: it goes to the next thing that it will cause. */
static void jump(struct run *run)
{
    struct sim_world *world = &run->world;
    uint64_t next_ns = sim_server_next_ns(&run->server);
    const uint64_t net_ns = sim_net_next_ns(&world->net);

    const uint64_t api_ns = sim_api_next_ns(&run->api);

    next_ns = net_ns < next_ns ? net_ns : next_ns;
    next_ns = api_ns < next_ns ? api_ns : next_ns;
    for (size_t i = 0; i < run->client_count; i++) {
        const uint64_t client_ns = sim_client_next_ns(&run->clients[i]);
        next_ns = client_ns < next_ns ? client_ns : next_ns;
    }
    if (next_ns == UINT64_MAX) {
        next_ns = world->net.now_ns + SIM_S; /* nothing ever will: the phases have their ends */
    }
    CHECK(next_ns > world->net.now_ns);
    world->net.now_ns = next_ns;
}

/* False: nobody can do anything before the clock has jumped. */
static bool step(struct run *run)
{
    struct sim_world *world = &run->world;

    world->step++;
    world->net.now_ns += sim_random_range(&world->random, 1, STEP_NS_MAX);
    sim_stats_add(world->stats, SIM_STEPS, 1);
    disturb(run);
    return do_one(run);
}

static void go_on(struct run *run)
{
    if (!step(run)) {
        jump(run);
    }
}

/* Steps until `is_over`. */
static void run_until(struct run *run, bool (*is_over)(struct run *run), const char *what)
{
    for (uint64_t steps = 0; !run->world.is_failed; steps++) {
        if (is_over(run)) {
            return;
        }
        go_on(run);
        if (steps == STEPS_MAX) {
            sim_world_fail(&run->world, "no end of %s", what);
        }
    }
}

/* -- phases ------------------------------------------------------------------------------------ */

static void talk(struct run *run)
{
    struct sim_world *world = &run->world;

    world->is_talking = true;
    for (uint32_t i = 0; i < world->profile.step_count && !world->is_failed; i++) {
        if (world->profile.is_signed && sim_random_once_in(&world->random, LULL_IN)) {
            world->lull_until_ns =
                world->net.now_ns + sim_random_range(&world->random, 1, LULL_MS_MAX) * SIM_MS;
        }
        go_on(run);
    }
    world->lull_until_ns = 0;
}

static size_t count_owed(const struct run *run)
{
    size_t owed = run->api.has_order;
    for (size_t i = 0; i < run->client_count; i++) {
        if (sim_client_is_sound(&run->clients[i])) {
            owed += run->clients[i].asked_count;
        }
    }
    return owed;
}

/* So long without a delivery that stalls that excuse nobody are over, and so are retries. */
static void fall_quiet(struct run *run)
{
    struct sim_world *world = &run->world;
    const uint64_t patience_ns = (world->profile.fault_in > 0 ? 2 * SIM_S : 50 * SIM_MS) +
                                 (world->profile.has_presence ? 2 * SIM_S : 0) +
                                 (world->profile.is_sampled ? 8 * SIM_S : 0);
    uint64_t quiet_ns = world->net.now_ns + patience_ns;
    uint64_t deliveries = 0;
    const uint64_t limit_ns = world->net.now_ns + 60 * SIM_S;

    world->is_talking = false;
    for (uint64_t steps = 0; !world->is_failed; steps++) {
        const bool went_on = step(run);
        const uint64_t now_delivered = world->stats->values[SIM_DELIVERIES];
        if (now_delivered != deliveries) {
            deliveries =
                now_delivered; /* a reactor that lagged is given a few in each millisecond */
            quiet_ns = world->net.now_ns + patience_ns;
        }
        if (!went_on) {
            if (world->net.now_ns > quiet_ns && count_owed(run) == 0) {
                return;
            }
            if (world->profile.is_durable && count_owed(run) > 0) {
                /* What is answered may have to find room on the bus: two posts a millisecond. */
                quiet_ns = world->net.now_ns + 2 * SIM_S;
            }
            jump(run);
        }
        if (steps == STEPS_MAX || world->net.now_ns > limit_ns) {
            sim_world_fail(world, "%zu commands have no reply", count_owed(run));
        }
    }
}

/* Where only the newest is kept for who does not read, everybody who reads again has it. */
static void check_newest(struct run *run, uint16_t channel)
{
    const struct sim_subscription *first = NULL;

    for (size_t i = 0; i < run->client_count; i++) {
        const struct sim_client *client = &run->clients[i];
        const struct sim_subscription *present = &client->memberships[channel].subscription;
        if (!sim_client_is_sound(client) || !present->is_on || present->last == 0) {
            continue;
        }
        if (first != NULL && first->last != present->last) {
            sim_world_fail(&run->world,
                           "connection %u: the newest of room-%u is not what another one has",
                           client->connection, channel);
        }
        first = present;
    }
}

static void check_quiet(struct run *run)
{
    struct sim_world *world = &run->world;

    for (size_t i = 0; i < run->client_count && !world->is_failed; i++) {
        const struct sim_client *client = &run->clients[i];
        if (!sim_client_is_sound(client)) {
            continue;
        }
        for (uint16_t channel = 0; channel < SIM_CHANNEL_MAX; channel++) {
            const uint32_t missing = sim_model_missing(
                &world->model, &client->memberships[channel].subscription, channel);
            if (missing != 0) {
                sim_world_fail(world, "connection %u never got publication %u of room-%u",
                               client->connection, missing - 1, channel);
            }
        }
    }
    for (uint16_t channel = 0; channel < SIM_CHANNEL_MAX; channel++) {
        if (world->profile.slow_consumer != POLICY_SLOW_DROP) {
            check_newest(run, channel);
        }
    }
    const char *fault = sim_model_judge(&world->model);
    if (fault != NULL) {
        sim_world_fail(world, "%s", fault);
    }
}

/* What was told of who is there, and what is told to who asks now. */
static void check_presence(struct run *run)
{
    struct sim_world *world = &run->world;

    if (!world->profile.has_presence) {
        return;
    }
    for (size_t i = 0; i < run->client_count && !world->is_failed; i++) {
        struct sim_client *client = &run->clients[i];
        sim_presence_judge(client, run->clients, run->client_count);
        if (sim_client_is_sound(client)) {
            sim_client_ask_presence(client);
        }
    }
    fall_quiet(run);
}

/* Pings go, and nothing else; nobody sound is lost. */
static void idle(struct run *run)
{
    struct sim_world *world = &run->world;
    const uint64_t end_ns = world->net.now_ns + 12 * SIM_S;

    while (world->net.now_ns < end_ns && !world->is_failed) {
        go_on(run);
    }
}

static bool is_probe_answered(struct run *run)
{
    return sim_probe_is_answered(&run->clients[run->client_count - 1]);
}

/* One user, as far as it can be said of it how many connections it has. */
static void probe_places(struct run *run)
{
    struct sim_world *world = &run->world;
    const uint16_t user =
        world->profile.is_signed && !world->profile.is_scarce ? sim_probe_user(world) : SIM_NOBODY;
    uint32_t count;
    bool goes_on = user != SIM_NOBODY;

    while (goes_on && !world->is_failed && run->client_count < SIM_CLIENT_MAX &&
           sim_probe_count(world, user, &count)) {
        struct sim_client *client = &run->clients[run->client_count];
        sim_probe_init(client, world, user);
        world->client_count = ++run->client_count;
        run_until(run, is_probe_answered, "a connect");
        goes_on = !world->is_failed && sim_probe_judge(client, count);
    }
}

static bool is_drained(struct run *run)
{
    return sim_server_is_drained(&run->server);
}

static bool has_returned(struct run *run)
{
    return sim_server_has_returned(&run->server);
}

static void stop(struct run *run)
{
    struct sim_world *world = &run->world;
    const uint64_t limit_ns = world->net.now_ns + 12 * SIM_S; /* shutdown.timeout and a little */

    world->is_stopping = true;
    world->paced_ns = world->net.now_ns + world->profile.grace_ns;
    sim_world_tell(world, "the server is told to stop");
    sim_server_stop(&run->server);
    run_until(run, is_drained, "draining");
    if (!world->is_failed && world->net.now_ns > limit_ns) {
        sim_world_fail(world, "draining took too long");
    }
    sim_server_exit(&run->server);
    run_until(run, has_returned, "exiting");
    world->is_talking = false;
}

/* What was said before the end arrives, at everybody who still listens. */
static void hear_the_end(struct run *run)
{
    struct sim_world *world = &run->world;

    for (uint64_t steps = 0; !world->is_failed && steps < STEPS_MAX; steps++) {
        const bool moved = sim_net_move_one(&world->net);
        if (!act_one(run) && !moved) {
            break;
        }
    }
    for (size_t i = 0; i < run->client_count; i++) {
        const struct sim_client *client = &run->clients[i];
        if (sim_client_is_sound(client) ||
            (client->phase == SIM_CLIENT_ENDING && !client->is_excused && !client->is_bad)) {
            sim_world_fail(world, "connection %u does not know that the server is gone",
                           client->connection);
        }
    }
}

static void tell_profile(const struct sim_world *world)
{
    const struct sim_profile *profile = &world->profile;
    sim_world_tell(world, "%u shards, %u clients, %u channels, bus %u/%u, tail %u%s%s%s%s%s%s",
                   profile->shard_count, profile->client_count, profile->channel_count,
                   profile->bus_slots, profile->bus_reserve, profile->tail_count,
                   profile->is_throttled ? ", throttled" : "",
                   profile->is_limited ? ", limited" : "", profile->is_narrow ? ", narrow" : "",
                   profile->is_signed ? ", signed" : "", profile->is_scarce ? ", scarce" : "",
                   profile->stops_in_flight ? ", stops in flight" : "");
}

bool sim_run_seed(uint64_t seed, bool is_verbose, struct sim_stats *stats)
{
    struct run run;

    sim_world_init(&run.world, seed, stats);
    run.world.is_verbose = is_verbose;
    sim_server_begin(&run.server, &run.world);
    run.client_count = run.world.profile.client_count;
    run.world.clients = run.clients;
    run.world.client_count = run.client_count;
    tell_profile(&run.world);
    for (size_t i = 0; i < run.client_count; i++) {
        sim_client_init(&run.clients[i], &run.world, i);
    }
    sim_api_init(&run.api, &run.world);
    talk(&run);
    if (!run.world.profile.stops_in_flight) {
        fall_quiet(&run);
        check_quiet(&run);
        check_presence(&run);
        idle(&run);
        fall_quiet(&run);
        check_quiet(&run);
        check_presence(&run);
        probe_places(&run);
    }
    stop(&run);
    hear_the_end(&run);
    if (!run.world.is_failed) {
        sim_server_end(&run.server);
    }
    if (run.world.is_failed) {
        return false;
    }
    for (size_t i = 0; i < run.client_count; i++) {
        sim_client_deinit(&run.clients[i]);
    }
    sim_api_deinit(&run.api);
    sim_world_deinit(&run.world);
    return true;
}
