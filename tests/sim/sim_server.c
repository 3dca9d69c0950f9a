/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_server.h"

#include <stdlib.h>
#include <string.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "net/reactor.h"
#include "proto/simd.h"
#include "server/shard.h"
#include "tests/sim/sim_config.h"
#include "tests/sim/sim_fiber.h"

static void fill_random(void *context, void *target, size_t size)
{
    struct sim_world *world = context;
    sim_random_fill(&world->random, target, size);
}

static void wake(void *context)
{
    reactor_wake(context);
}

static uint64_t read_wall(void *context)
{
    const struct sim_world *world = context;
    return sim_token_second(0) * 1000 + world->net.now_ns / SIM_MS;
}

static struct token_verifier *create_verifier(struct sim_server *server, struct metrics *metrics)
{
    const struct token_verifier_options options = {
        .keys = server->keys,
        .now_ms = read_wall,
        .now_context = server->world,
        .metrics = metrics,
    };
    struct token_verifier *verifier = token_verifier_create(&options);
    CHECK(verifier != NULL);
    return verifier;
}

/* The reactor would ask the kernel: the others' turn. */
static void sleep_on_fiber(struct backend_sim_seat *seat)
{
    struct sim_member *member = seat->context;
    struct sim_world *world = member->server->world;
    sim_stats_add(world->stats, SIM_SLEEPS, seat->sleep_until_ns > world->net.now_ns);
    sim_fiber_yield(member->fiber);
}

static void begin_member(struct sim_server *server, size_t index, struct table_key key)
{
    struct sim_world *world = server->world;
    struct sim_member *member = &server->members[index];

    member->server = server;
    member->seat = (struct backend_sim_seat){
        .net = &world->net,
        .sleep = sleep_on_fiber,
        .context = member,
    };
    if (world->profile.is_signed) {
        member->verifier = create_verifier(server, member->metrics);
    }
    const struct shard_options options = {
        .config = &server->config,
        .policies = &server->policies.table,
        .tokens = member->verifier,
        .site = &server->site,
        .listening = &server->listening,
        .simd = simd_choose((enum cpu_simd)sim_random_below(&world->random, CPU_SIMD_AVX512 + 1)),
        .backend = &backend_sim_ops,
        .backend_context = &member->seat,
        .archive = world->profile.is_durable ? (uint16_t)server->archive.port : 0,
        .bus = server->bus,
        .index = (uint16_t)index,
        .key = key,
        .metrics = member->metrics,
        .seed = sim_random_next(&world->random),
        .tail_count_max = world->profile.tail_count,
        .fill_random = fill_random,
        .random_context = world,
    };
    int result = shard_create(&options, &member->shard);
    CHECK(result == 0);
    bus_port_on_wake(server->bus, index, wake, shard_reactor(member->shard));
    world->listeners[index] = sim_net_listen(&world->net);
    result = shard_listen(member->shard, 0, world->listeners[index]);
    CHECK(result == 0);
    world->internal_listeners[index] = sim_net_listen(&world->net);
    result = shard_listen(member->shard, 1, world->internal_listeners[index]);
    CHECK(result == 0);
    member->fiber = sim_fiber_create(shard_run, member->shard);
    CHECK(member->fiber != NULL);
}

void sim_server_begin(struct sim_server *server, struct sim_world *world)
{
    *server = (struct sim_server){
        .world = world,
        .config = sim_config_choose(&world->profile),
        .count = world->profile.shard_count,
    };
    char error[CONFIG_ERROR_SIZE];
    int result = listening_init(&server->listening, &server->config, error, sizeof(error));
    CHECK(result == 0);
    result = policies_init(&server->policies, &server->config);
    CHECK(result == 0);
    server->keys = token_keys_create(&server->config.client, error);
    CHECK(server->keys != NULL);
    server->bus =
        bus_create(server->count + 2, server->config.bus.slots, server->config.bus.reserve);
    CHECK(server->bus != NULL);
    sim_archive_begin(&server->archive, world, server->bus, server->count + 1);
    for (size_t i = 0; i < server->count; i++) {
        struct metrics *metrics = aligned_alloc(_Alignof(struct metrics), sizeof(*metrics));
        CHECK(metrics != NULL);
        memset(metrics, 0, sizeof(*metrics));
        server->members[i].metrics = metrics;
        server->all_metrics[i] = metrics;
        server->metric_names[i] = "0";
    }
    server->site = (struct site){
        .metrics = server->all_metrics,
        .metric_names = server->metric_names,
        .metric_count = server->count,
        .node_name = "sim",
        .node_uid = "0",
    };
    struct table_key key;
    fill_random(world, &key, sizeof(key));
    for (size_t i = 0; i < server->count; i++) {
        begin_member(server, i, key);
    }
}

/* -- running ----------------------------------------------------------------------------------- */

static bool is_awake(const struct sim_member *member)
{
    return !sim_fiber_has_returned(member->fiber) && backend_sim_is_awake(&member->seat);
}

static void run(struct sim_member *member)
{
    const struct sim_profile *profile = &member->server->world->profile;
    struct sim_random *random = &member->server->world->random;

    sim_fiber_resume(member->fiber);
    if (profile->freeze_steps_max > 0 && sim_random_once_in(random, 100)) {
        member->frozen_until_step =
            member->server->world->step + sim_random_range(random, 1, profile->freeze_steps_max);
    }
}

static bool run_reactor(struct sim_server *server)
{
    const uint64_t step = server->world->step;
    const size_t first = sim_random_below(&server->world->random, server->count);
    struct sim_member *frozen = NULL;

    for (size_t i = 0; i < server->count; i++) {
        struct sim_member *member = &server->members[(first + i) % server->count];
        if (!is_awake(member)) {
            continue;
        }
        if (member->frozen_until_step <= step) {
            run(member);
            return true;
        }
        frozen = member;
    }
    if (frozen == NULL) {
        return false;
    }
    /* Time goes on for it even if nobody else does anything: the freeze does not. */
    if (sim_random_once_in(&server->world->random, 50)) {
        frozen->frozen_until_step = 0;
    }
    return true;
}

bool sim_server_run_one(struct sim_server *server)
{
    struct sim_world *world = server->world;

    if (!world->profile.is_durable) {
        return run_reactor(server);
    }
    if (sim_random_once_in(&world->random, 3)) {
        return sim_archive_run_one(&server->archive) || run_reactor(server);
    }
    return run_reactor(server) || sim_archive_run_one(&server->archive);
}

void sim_server_disturb(struct sim_server *server)
{
    struct sim_member *member =
        &server->members[sim_random_below(&server->world->random, server->count)];
    if (!sim_fiber_has_returned(member->fiber) && !backend_sim_is_awake(&member->seat)) {
        sim_stats_add(server->world->stats, SIM_SPURIOUS_WAKES, 1);
        run(member);
    }
}

uint64_t sim_server_next_ns(const struct sim_server *server)
{
    uint64_t next_ns = sim_archive_next_ns(&server->archive);
    for (size_t i = 0; i < server->count; i++) {
        const struct sim_member *member = &server->members[i];
        if (!sim_fiber_has_returned(member->fiber) && member->seat.sleep_until_ns < next_ns) {
            next_ns = member->seat.sleep_until_ns;
        }
    }
    return next_ns;
}

/* -- the end ----------------------------------------------------------------------------------- */

static void order_all(struct sim_server *server)
{
    const struct post post = {.kind = server->order};
    const struct bus_post packed = post_pack(&post);

    for (size_t i = 0; i < server->count && server->order != 0; i++) {
        struct sim_member *member = &server->members[i];
        if (!member->is_told) {
            member->is_told = bus_tell(server->bus, server->count, i, &packed) == BUS_POSTED;
        }
    }
    bus_flush(server->bus, server->count);
}

static void give_order(struct sim_server *server, enum post_kind kind)
{
    server->order = (uint8_t)kind;
    for (size_t i = 0; i < server->count; i++) {
        server->members[i].is_told = false;
    }
    order_all(server);
}

void sim_server_stop(struct sim_server *server)
{
    give_order(server, POST_STOP);
}

bool sim_server_is_drained(struct sim_server *server)
{
    struct bus_post posts[SIM_SHARD_MAX];
    const size_t count = bus_take(server->bus, server->count, posts, SIM_SHARD_MAX);
    bool all = true;

    order_all(server); /* what found no room before */
    for (size_t i = 0; i < count; i++) {
        struct sim_member *member = &server->members[posts[i].from];
        CHECK(posts[i].kind == (server->order == POST_STOP ? POST_DESERTED : POST_DRAINED));
        CHECK(member->answered != posts[i].kind);
        member->answered = posts[i].kind;
    }
    for (size_t i = 0; i < server->count; i++) {
        all = all && server->members[i].answered == server->members[0].answered;
    }
    if (all && server->order == POST_STOP && server->members[0].answered == POST_DESERTED) {
        give_order(server, POST_CLOSE);
    }
    return all && server->members[0].answered == POST_DRAINED;
}

void sim_server_exit(struct sim_server *server)
{
    sim_archive_finish(&server->archive);
    give_order(server, POST_EXIT);
}

bool sim_server_has_returned(struct sim_server *server)
{
    order_all(server);
    for (size_t i = 0; i < server->count; i++) {
        if (!sim_fiber_has_returned(server->members[i].fiber)) {
            return false;
        }
    }
    return true;
}

static void check_nothing_left(struct sim_server *server)
{
    static const enum metrics_id gauges[] = {METRIC_CONNECTIONS_OPEN, METRIC_SESSIONS, METRIC_ROOMS,
                                             METRIC_SUBSCRIPTIONS, METRIC_CHANNELS};
    struct sim_world *world = server->world;
    struct bus_post post;

    for (size_t i = 0; i < server->count; i++) {
        const struct sim_member *member = &server->members[i];
        if (shard_count_live(member->shard) != 0) {
            sim_world_fail(world, "shard %zu has %zu live objects at the end", i,
                           shard_count_live(member->shard));
        }
        for (size_t g = 0; g < sizeof(gauges) / sizeof(gauges[0]); g++) {
            if (metrics_read(member->metrics, gauges[g]) != 0) {
                sim_world_fail(world, "shard %zu: gauge %d is not 0 at the end", i, (int)gauges[g]);
            }
        }
        sim_stats_add(world->stats, SIM_BUS_FULL, bus_refusals(server->bus, i));
        sim_stats_add(world->stats, SIM_MISSED, metrics_read(member->metrics, METRIC_LAG_MISSED));
    }
    for (size_t i = 0; i <= server->count;
         i++) { /* what the archive was asked last is the homes' */
        if (bus_take(server->bus, i, &post, 1) != 0) {
            sim_world_fail(world, "a post of kind %u from %u to port %zu was left", post.kind,
                           post.from, i);
        }
    }
}

void sim_server_end(struct sim_server *server)
{
    CHECK(sim_server_has_returned(server));
    check_nothing_left(server);
    if (server->world->is_failed) {
        return; /* and keeps what it can no longer let go */
    }
    for (size_t i = 0; i < server->count; i++) {
        sim_fiber_destroy(server->members[i].fiber);
        shard_destroy(server->members[i].shard);
        token_verifier_destroy(server->members[i].verifier);
        free(server->members[i].metrics);
    }
    sim_archive_end(&server->archive);
    bus_destroy(server->bus);
    token_keys_unref(server->keys);
    policies_deinit(&server->policies);
    config_destroy(&server->config);
}
