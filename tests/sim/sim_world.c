/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"

/* What may become scarce is, in one seed or another. */
static void choose_limits(struct sim_profile *profile, struct sim_random *random)
{
    static const uint32_t slots[] = {4, 4, 8, 16, 32, 256, 1024};

    profile->bus_slots = slots[sim_random_below(random, sizeof(slots) / sizeof(slots[0]))];
    profile->bus_reserve = (uint32_t)sim_random_range(random, 1, profile->bus_slots / 4);
    if (sim_random_once_in(random, 3)) {
        profile->bus_slots = 16;
        profile->bus_reserve = 4;
        profile->tail_count = (uint32_t)sim_random_range(random, 1, 8);
        profile->has_gaps = profile->shard_count > 1;
    }
    profile->is_narrow = sim_random_once_in(random, 8);
    profile->queue_max = profile->is_narrow ? 8 << 10 : 16 << 20;
    profile->is_throttled = sim_random_once_in(random, 8);
    profile->command_rate = profile->is_throttled ? 20 : 1000000;
    profile->command_burst = profile->is_throttled ? 10 : 1000000;
    profile->is_limited = profile->client_count % 2 == 0;
    profile->is_scarce = sim_random_once_in(random, 6);
    profile->connection_limit =
        profile->is_scarce ? profile->client_count / 2 + profile->shard_count : 256;
    if (profile->is_narrow) {
        profile->slow_consumer = sim_random_below(random, POLICY_SLOW_DISCONNECT + 1);
        profile->is_lossy = profile->slow_consumer == POLICY_SLOW_LATEST ||
                            profile->slow_consumer == POLICY_SLOW_DROP;
    }
    profile->has_presence = sim_random_once_in(random, 2);
    profile->is_sampled = profile->has_presence && sim_random_once_in(random, 3);
    profile->has_history = sim_random_once_in(random, 2);
    profile->is_durable = profile->has_history && sim_random_once_in(random, 2);
    profile->keeps_all = profile->has_history && sim_random_once_in(random, 2);
    profile->history_size =
        profile->keeps_all ? 1000000 : (uint32_t)sim_random_range(random, 1, 200);
    profile->history_ttl_ns =
        profile->keeps_all ? 3600 * SIM_S : sim_random_range(random, 1, 5000) * SIM_MS;
    profile->recovery_max =
        profile->keeps_all ? 1000000 : (uint32_t)sim_random_range(random, 1, 300);
}

static struct sim_profile choose_profile(struct sim_random *random)
{
    static const uint32_t faults[] = {0, 0, 100, 300, 1000};
    static const uint32_t rates[] = {1, 10, 100, 1000, 1000000};
    static const uint32_t payloads[] = {20, 20, 100, 1000, 6000};
    struct sim_profile profile = {
        .shard_count = (uint32_t)sim_random_range(random, 1, SIM_SHARD_MAX),
        .channel_count = (uint32_t)sim_random_range(random, 1, SIM_ROOM_MAX),
        .client_count = (uint32_t)sim_random_range(random, 2, 24),
        .step_count = (uint32_t)sim_random_range(random, 2000, 9000),
        .outstanding_max = (uint32_t)sim_random_range(random, 1, 32),
        .commands_max = (uint32_t)sim_random_range(random, 20, 300),
        .payload_max = payloads[sim_random_below(random, sizeof(payloads) / sizeof(payloads[0]))],
        .fault_in = faults[sim_random_below(random, sizeof(faults) / sizeof(faults[0]))],
        .freeze_steps_max =
            sim_random_once_in(random, 2) ? (uint32_t)sim_random_range(random, 1, 2000) : 0,
        .stops_in_flight = sim_random_once_in(random, 3),
        .grace_ns = sim_random_once_in(random, 2) ? sim_random_below(random, 2000) * SIM_MS : 0,
        .close_rate = rates[sim_random_below(random, sizeof(rates) / sizeof(rates[0]))],
    };
    choose_limits(&profile, random);
    if (profile.has_gaps) {
        /* Few channels, many publications, a reactor that falls behind. */
        profile.channel_count = (uint32_t)sim_random_range(random, 1, 2);
        profile.freeze_steps_max = 2000;
        profile.outstanding_max = 32;
        profile.commands_max = 300;
    }
    if (profile.is_narrow || profile.keeps_all) {
        profile.payload_max = 100;
    }
    if (profile.is_throttled) {
        /* Few who say much, for seconds. */
        profile.client_count = (uint32_t)sim_random_range(random, 2, 4);
        profile.outstanding_max = 32;
        profile.commands_max = 2000;
        profile.step_count = 12000;
    }
    /*
     * Somebody reads too little; a reactor lags too far, or until what it lacks is old; or what was
     * missed comes in parts.
     */
    profile.is_unsubscribed =
        profile.has_gaps ||
        (profile.is_narrow &&
         (profile.slow_consumer == POLICY_SLOW_RESYNC || profile.has_history)) ||
        (profile.has_history && profile.payload_max > 100) ||
        (profile.has_history && !profile.keeps_all && profile.shard_count > 1);
    return profile;
}

/* Clients sign in, and what they have for that ends sooner or later. */
static void choose_users(struct sim_profile *profile, struct sim_random *random)
{
    profile->is_signed = true;
    profile->needs_sub_token = sim_random_once_in(random, 3);
    profile->user_count = (uint32_t)sim_random_range(random, 1, SIM_USER_MAX);
    profile->has_personal = sim_random_once_in(random, 2);
    profile->user_limit = (uint32_t)sim_random_range(random, 2, 8);
    profile->close_delay_ns = sim_random_range(random, 100, 2000) * SIM_MS;
}

void sim_world_init(struct sim_world *world, uint64_t seed, struct sim_stats *stats)
{
    *world = (struct sim_world){.seed = seed, .random = {seed}, .stats = stats};
    world->profile = choose_profile(&world->random);
    world->profile.has_compression = seed % 3 == 0;
    if (seed % 2 == 1) {
        choose_users(&world->profile, &world->random);
    }
    world->model.is_lossy = world->profile.is_lossy;
    sim_net_init(&world->net, sim_random_next(&world->random), stats);
    world->net.window_max = (size_t)sim_random_range(&world->random, 1, 64) << 10;
    world->net.pending_sends_in = (uint32_t)sim_random_below(&world->random, 4);
    if (world->profile.fault_in > 0) {
        world->net.accept_fails_in = 10;
        world->net.attach_fails_in = 20;
    }
    world->client_ids = calloc(SIM_CONNECTION_MAX, sizeof(*world->client_ids));
    world->users = calloc(SIM_CONNECTION_MAX, sizeof(*world->users));
    world->over_ns = calloc(SIM_CONNECTION_MAX, sizeof(*world->over_ns));
    CHECK(world->client_ids != NULL && world->users != NULL && world->over_ns != NULL);
}

void sim_world_deinit(struct sim_world *world)
{
    sim_model_deinit(&world->model);
    sim_net_deinit(&world->net);
    sim_tokens_deinit(&world->tokens);
    free(world->client_ids);
    free(world->users);
    free(world->over_ns);
}

bool sim_world_unsubscribes(const struct sim_world *world)
{
    return world->profile.is_unsubscribed || world->profile.is_durable || world->profile.is_signed;
}

void sim_world_fail(struct sim_world *world, const char *format, ...)
{
    if (world->is_failed) {
        return;
    }
    world->is_failed = true;
    (void)fprintf(stderr, "seed %" PRIu64 ", step %" PRIu64 ": ", world->seed, world->step);
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}

void sim_world_tell(const struct sim_world *world, const char *format, ...)
{
    if (!world->is_verbose) {
        return;
    }
    (void)fprintf(stderr, "%8" PRIu64 " %10.3f ms  ", world->step,
                  (double)(world->net.now_ns - SIM_S) / (double)SIM_MS);
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}
