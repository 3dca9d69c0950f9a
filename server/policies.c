/* SPDX-License-Identifier: Apache-2.0 */
#include "server/policies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"

static struct policy policy_of(const struct policy *options, const char *name, size_t index)
{
    struct policy policy = *options;
    policy.name = (struct bytes){(const uint8_t *)name, strlen(name)};
    policy.index = (uint16_t)index;
    return policy;
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
