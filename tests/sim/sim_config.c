/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_config.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/cidr.h"
#include "tests/sim/sim_world.h"

/* All clients have one address, of this machine, which is limited as others are then. */
static void limit_address(struct config *config, const struct sim_profile *profile)
{
    struct cidr *elsewhere = calloc(1, sizeof(*elsewhere));
    CHECK(elsewhere != NULL);
    elsewhere->prefix = 128;
    config->client.unlimited_addresses = (struct config_networks){elsewhere, 1};
    config->client.address_handshake_rate = 1000000;
    config->client.address_handshake_burst = 1000000;
    config->client.address_command_rate = profile->is_throttled ? 40 : 1000000;
    config->client.address_command_burst = profile->is_throttled ? 30 : 1000000;
}

/* Nothing is open that a token opens, but for who has one; the rest is open to everybody. */
static void sign_in(struct config *config, const struct sim_profile *profile)
{
    struct policy *policy = &config->channel.without_namespace;

    config->client.insecure = false;
    config->client.allow_anonymous_connect_without_token = true;
    config->client.token.hmac_secret_key.hidden = strdup(SIM_TOKEN_SECRET);
    CHECK(config->client.token.hmac_secret_key.hidden != NULL);
    config->client.token.leeway_ns = 0; /* there is one clock */
    config->client.expired_close_delay_ns = profile->close_delay_ns;
    config->client.expired_sub_close_delay_ns = profile->close_delay_ns;
    config->client.user_connection_limit = profile->user_limit;
    config->client.subscribe_to_user_personal_channel.enabled = profile->has_personal;
    config->http_api.insecure = true;
    config->client.user_command_rate = profile->is_throttled ? 40 : 1000000;
    config->client.user_command_burst = profile->is_throttled ? 30 : 1000000;
    policy->allow_subscribe_for_client = !profile->needs_sub_token;
    policy->allow_subscribe_for_anonymous = true;
    policy->allow_publish_for_client = true;
    policy->allow_publish_for_anonymous = true;
    policy->allow_history_for_client = true;
    policy->allow_history_for_anonymous = true;
    policy->allow_presence_for_client = true;
    policy->allow_presence_for_anonymous = true;
}

struct config sim_config_choose(const struct sim_profile *profile)
{
    struct config config;

    config_init_defaults(&config);
    config.client.insecure = true;
    if (profile->is_signed) {
        sign_in(&config, profile);
    }
    config.client.ping_interval_ns = 5 * SIM_S;
    config.client.pong_timeout_ns = 2 * SIM_S;
    config.client.stale_close_delay_ns = 5 * SIM_S;
    config.client.queue_max_size = profile->queue_max;
    config.channel.without_namespace.slow_consumer = profile->slow_consumer;
    if (profile->has_history) {
        config.channel.without_namespace.history_size = profile->history_size;
        config.channel.without_namespace.history_ttl_ns = profile->history_ttl_ns;
        config.channel.without_namespace.history_meta_ttl_ns = 7200 * SIM_S;
        config.channel.without_namespace.force_recovery = true;
        config.client.recovery_max_publication_limit = profile->recovery_max;
    }
    config.channel.history_memory_max = UINT64_C(1) << 30;
    config.overload.memory_budget = UINT64_C(1) << 40;
    config.channel.without_namespace.presence = profile->has_presence;
    config.channel.without_namespace.join_leave = profile->has_presence;
    config.channel.without_namespace.force_push_join_leave = profile->has_presence;
    if (profile->is_durable) {
        config.store.engine = CONFIG_STORE_ROCKSDB;
        config.store.timeout_ns = SIM_STORE_TIMEOUT;
        config.channel.without_namespace.durability = POLICY_DURABILITY_PROCESS;
    }
    if (profile->is_sampled) {
        config.client.presence_max_list = SIM_PRESENCE_SAMPLE;
    }
    config.client.write_stall_timeout_ns = 5 * SIM_S;
    config.client.command_rate = profile->command_rate;
    config.client.command_burst = profile->command_burst;
    if (profile->is_limited) {
        limit_address(&config, profile);
    }
    config.client.control_rate = 1000000;
    config.client.control_burst = 1000000;
    config.client.connection_limit = profile->connection_limit;
    config.http_server.handshake_timeout_ns = 5 * SIM_S;
    config.websocket.compression = profile->has_compression;
    config.websocket.compression_min_size = 64;
    config.websocket.message_timeout_ns = 5 * SIM_S;
    config.websocket.close_timeout_ns = 2 * SIM_S;
    config.reactor.count = profile->shard_count;
    config.bus.slots = profile->bus_slots;
    config.bus.reserve = profile->bus_reserve;
    config.shutdown.grace_ns = profile->grace_ns;
    config.shutdown.timeout_ns = 10 * SIM_S;
    config.shutdown.close_rate = profile->close_rate;
    return config;
}
