/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a configuration says, for the parts of a shard: at the start, and when it changes, by the
 * same functions, so that a reload makes of an option what a start does.
 */
#include "version.h"
#include <string.h>

#include "chat/herald.h"
#include "chat/hub.h"
#include "net/reactor.h"
#include "server/compression.h"
#include "server/config.h"
#include "server/gateway.h"
#include "server/listening.h"
#include "server/settings.h"
#include "server/shard_state.h"
#include "server/token.h"
#include "server/token_keys.h"

enum {
    ROOM_COUNT_MAX = 1 << 24,   /* per reactor */
    TAIL_COUNT_MAX = 1024,      /* publications of one channel, for reactors that lag */
    TAIL_BYTES_MAX = 4 << 20,   /* of them */
    PAGE_BYTES_MAX = 256 << 10, /* of history in one answer */
    PAGE_BYTES_MIN = 16 << 10,
    PAGES_PART = 16, /* of overload.memory_budget may be pages under way */
};

uint32_t shard_conn_count_max(const struct config *config)
{
    const uint32_t clients =
        (config->client.connection_limit + config->reactor.count - 1) / config->reactor.count;
    return clients + SHARD_INTERNAL_CONNS;
}

/*
 * A page is less than what makes a queue long, and only the first of several fills it. As many as
 * there may be questions are under way at once: so many are a part of what memory there is.
 */
static uint32_t page_bytes(const struct config *config)
{
    const uint32_t half = config->client.queue_max_size / 2;
    const uint32_t most = half < PAGE_BYTES_MAX ? half : PAGE_BYTES_MAX;
    const uint64_t part = config->overload.memory_budget / PAGES_PART /
                          ((uint64_t)config->bus.reserve * config->reactor.count);
    const uint64_t fair = part > PAGE_BYTES_MIN ? part : PAGE_BYTES_MIN;
    return fair < most ? (uint32_t)fair : most;
}

/* A rate that is off has no burst either. */
static struct limits_rate rate_of(uint32_t per_second, uint32_t burst)
{
    return (struct limits_rate){.per_second = per_second, .burst = per_second == 0 ? 0 : burst};
}

struct hub_options shard_hub_options(const struct shard *shard, const struct config *config,
                                     const struct policy_table *policies)
{
    const struct shard_options *options = &shard->options;
    const char *personal_namespace =
        config->client.subscribe_to_user_personal_channel.personal_channel_namespace;
    return (struct hub_options){
        .key = options->key,
        .reactor = options->index,
        .reactor_count = (uint16_t)config->reactor.count,
        .session_count_max = shard_conn_count_max(config),
        .room_count_max = ROOM_COUNT_MAX,
        .channel_count_max = ROOM_COUNT_MAX,
        .tail_count_max = options->tail_count_max > 0 ? options->tail_count_max : TAIL_COUNT_MAX,
        .tail_bytes_max = TAIL_BYTES_MAX,
        .history_bytes_max = config->channel.history_memory_max / config->reactor.count,
        .history_count_max = config->client.history_max_publication_limit,
        .recovery_count_max = config->client.recovery_max_publication_limit,
        .archive = options->archive,
        .store_timeout_ns = config->store.timeout_ns,
        .store_bytes_max = config->store.queue_max_size,
        .list_bytes_max = config->http_api.max_answer_bytes,
        .revocation_count_max = config->http_api.max_revocations,
        .page_bytes_max = page_bytes(config),
        .presence_max_list = config->client.presence_max_list,
        .news_batch_max = config->client.max_messages_per_frame < HERALD_BATCH_MAX
                              ? config->client.max_messages_per_frame
                              : HERALD_BATCH_MAX,
        .question_count_max = config->bus.reserve,
        .channel_limit = (uint16_t)config->client.channel_limit,
        .ping_interval_s = (uint32_t)(config->client.ping_interval_ns / SHARD_NS_PER_S),
        .anonymous_allowed =
            config->client.insecure || config->client.allow_anonymous_connect_without_token,
        .verifier = options->tokens == NULL ? NULL : token_verifier_seam(options->tokens),
        .expired_close_delay_ns = config->client.expired_close_delay_ns,
        .expired_sub_close_delay_ns = config->client.expired_sub_close_delay_ns,
        .place_limits =
            {
                [QUOTA_ADDRESS] =
                    {
                        .count_max = config->client.address_connection_limit,
                        .rate = rate_of(config->client.address_handshake_rate,
                                        config->client.address_handshake_burst),
                        .commands = rate_of(config->client.address_command_rate,
                                            config->client.address_command_burst),
                        .dry_run = config->client.address_limits_dry_run,
                    },
                [QUOTA_USER] =
                    {
                        .count_max = config->client.user_connection_limit,
                        .rate = rate_of(config->client.user_connect_rate,
                                        config->client.user_connect_burst),
                        .commands = rate_of(config->client.user_command_rate,
                                            config->client.user_command_burst),
                        .dry_run = config->client.user_limits_dry_run,
                    },
            },
        .personal_channels = config->client.subscribe_to_user_personal_channel.enabled,
        .personal_namespace = {(const uint8_t *)personal_namespace, strlen(personal_namespace)},
        .version = "parley " PARLEY_VERSION,
        .policies = policies,
        .bus = options->bus,
        .pool = shard->pool,
        .metrics = options->metrics,
        .outbox = shard->outbox,
        .fill_random = options->fill_random,
        .random_context = options->random_context,
    };
}

void shard_use_config(struct shard *shard, const struct config *config)
{
    compression_set_min_size(shard->compression, config->websocket.compression_min_size);
    shard->delivery.messages_per_frame_max = config->client.max_messages_per_frame;
    shard->drain.config = config;
    shard->slow_turn_ns = config->log.slow_turn_ns;
}

static void renew_keys(struct shard *shard, const struct settings *settings)
{
    token_keys_ref(settings->keys);
    token_verifier_renew_keys(shard->options.tokens, settings->keys);
}

static void renew_tls(struct shard *shard, const struct settings *settings) ON_REACTOR
{
    for (size_t i = 0; i < LISTENING_MAX; i++) {
        if (settings->tls[i] != NULL) {
            reactor_renew_tls(shard->reactor, (int)i, settings->tls[i]);
        }
    }
}

static void change(struct shard *shard, const struct settings *settings) ON_REACTOR
{
    const struct config *config = settings->config;

    renew_keys(shard, settings);
    renew_tls(shard, settings);
    const struct hub_options hub = shard_hub_options(shard, config, &settings->policies.table);
    hub_change(shard->hub, &hub);
    gateway_change(shard->gateway, config, &settings->api_key);
    shard_use_config(shard, config);
}

void shard_take_settings(struct shard *shard, const struct settings *settings, bool is_final)
{
    if (is_final) {
        change(shard, settings);
    } else {
        hub_learn(shard->hub, &settings->policies.table);
    }
    shard->owes_taken = true;
}
