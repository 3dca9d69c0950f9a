/* SPDX-License-Identifier: Apache-2.0 */
#include "server/policies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"

static struct policy policy_of(const struct config_channel_options *options, const char *name,
                               size_t index)
{
    return (struct policy){
        .name = {(const uint8_t *)name, strlen(name)},
        .index = (uint16_t)index,
        .subscribe_for_client = options->allow_subscribe_for_client,
        .subscribe_for_anonymous = options->allow_subscribe_for_anonymous,
        .publish_for_client = options->allow_publish_for_client,
        .publish_for_subscriber = options->allow_publish_for_subscriber,
        .publish_for_anonymous = options->allow_publish_for_anonymous,
        .history_for_client = options->allow_history_for_client,
        .history_for_subscriber = options->allow_history_for_subscriber,
        .history_for_anonymous = options->allow_history_for_anonymous,
        .presence_for_client = options->allow_presence_for_client,
        .presence_for_subscriber = options->allow_presence_for_subscriber,
        .presence_for_anonymous = options->allow_presence_for_anonymous,
        .history_size = options->history_size,
        .history_ttl_ns = options->history_ttl_ns,
        .history_meta_ttl_ns = options->history_meta_ttl_ns,
        .force_recovery = options->force_recovery,
        .allow_recovery = options->allow_recovery,
        .force_positioning = options->force_positioning,
        .allow_positioning = options->allow_positioning,
        .force_recovery_mode = options->force_recovery_mode,
        .presence = options->presence,
        .join_leave = options->join_leave,
        .force_push_join_leave = options->force_push_join_leave,
        .durability = options->durability,
        .idempotency_ttl_ns = options->idempotency_ttl_ns,
        .slow_consumer = options->slow_consumer,
    };
}

int policies_init(struct policies *policies, const struct config *config)
{
    const struct config_channel *channel = &config->channel;
    const size_t count = 1 + (size_t)channel->namespaces.count;
    struct policy *list = calloc(count, sizeof(*list));
    if (list == NULL) {
        return -ENOMEM;
    }
    list[0] = policy_of(&channel->without_namespace, "", 0);
    for (size_t i = 1; i < count; i++) {
        const struct config_namespace *item = &channel->namespaces.items[i - 1];
        list[i] = policy_of(&item->options, item->name, i);
    }
    policies->list = list;
    policies->table = (struct policy_table){
        .policies = list,
        .policy_count = count,
        .name_size_max = channel->max_length,
        .insecure = config->client.insecure,
    };
    return 0;
}

void policies_deinit(struct policies *policies)
{
    free(policies->list);
    *policies = (struct policies){.list = NULL};
}
