/* SPDX-License-Identifier: Apache-2.0 */
#include "server/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"

static struct permission_rules rules_of(const struct config_channel_options *options,
                                        const char *name)
{
    return (struct permission_rules){
        .name = {(const uint8_t *)name, strlen(name)},
        .subscribe_for_client = options->allow_subscribe_for_client,
        .subscribe_for_anonymous = options->allow_subscribe_for_anonymous,
        .publish_for_client = options->allow_publish_for_client,
        .publish_for_subscriber = options->allow_publish_for_subscriber,
        .publish_for_anonymous = options->allow_publish_for_anonymous,
    };
}

int rules_init(struct rules *rules, const struct config *config)
{
    const struct config_channel *channel = &config->channel;
    struct permission_rules *namespaces = NULL;

    if (channel->namespaces.count > 0) {
        namespaces = calloc(channel->namespaces.count, sizeof(*namespaces));
        if (namespaces == NULL) {
            return -ENOMEM;
        }
    }
    for (uint32_t i = 0; i < channel->namespaces.count; i++) {
        const struct config_namespace *item = &channel->namespaces.items[i];
        namespaces[i] = rules_of(&item->options, item->name);
    }
    rules->namespaces = namespaces;
    rules->table = (struct permission_table){
        .without_namespace = rules_of(&channel->without_namespace, ""),
        .namespaces = namespaces,
        .namespace_count = channel->namespaces.count,
        .name_size_max = channel->max_length,
        .insecure = config->client.insecure,
    };
    return 0;
}

void rules_deinit(struct rules *rules)
{
    free(rules->namespaces);
    *rules = (struct rules){.namespaces = NULL};
}
