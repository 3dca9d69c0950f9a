/* SPDX-License-Identifier: Apache-2.0 */
#include "server/policies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics_namespace.h"
#include "server/channel_regex.h"
#include "server/config.h"

static struct policy policy_of(const struct policy *options, const char *name, size_t index)
{
    struct policy policy = *options;
    policy.name = (struct bytes){(const uint8_t *)name, strlen(name)};
    policy.index = (uint16_t)index;
    return policy;
}

/* -ENOMEM: what was done is policies_deinit()'s. */
static int compile_patterns(struct policies *policies, size_t count)
{
    char error[CHANNEL_REGEX_ERROR_SIZE];

    for (size_t i = 0; i < count; i++) {
        struct policy *policy = &policies->list[i];
        struct policy_pattern *pattern = &policies->patterns[i];
        if (policy->channel_regex[0] == '\0') {
            continue;
        }
        policies->regexes[i] = channel_regex_create(policy->channel_regex, error);
        if (policies->regexes[i] == NULL) {
            return -ENOMEM;
        }
        *pattern = (struct policy_pattern){channel_regex_matches, policies->regexes[i]};
        policy->pattern = pattern;
    }
    return 0;
}

int policies_init(struct policies *policies, const struct config *config)
{
    const struct config_channel *channel = &config->channel;
    const size_t count = 1 + (size_t)channel->namespaces.count;
    struct policy *list = calloc(count, sizeof(*list));

    *policies = (struct policies){
        .list = list,
        .patterns = calloc(count, sizeof(*policies->patterns)),
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is meant */
        .regexes = calloc(count, sizeof(*policies->regexes)),
        .table =
            {
                .policies = list,
                .policy_count = count,
                .name_size_max = channel->max_length,
                .insecure = config->client.insecure,
            },
    };
    if (list == NULL || policies->patterns == NULL || policies->regexes == NULL) {
        policies_deinit(policies);
        return -ENOMEM;
    }
    list[0] = policy_of(&channel->without_namespace, "", 0);
    for (size_t i = 1; i < count; i++) {
        const struct config_namespace *item = &channel->namespaces.items[i - 1];
        list[i] = policy_of(&item->options, item->name, i);
    }
    if (compile_patterns(policies, count) != 0) {
        policies_deinit(policies);
        return -ENOMEM;
    }
    return 0;
}

void policies_count_as(struct policies *policies, const struct metrics_namespaces *namespaces)
{
    for (size_t i = 0; i < policies->table.policy_count; i++) {
        struct policy *policy = &policies->list[i];
        policy->counts_as = (uint16_t)metrics_namespace_find(namespaces, policy->name);
    }
}

void policies_deinit(struct policies *policies)
{
    for (size_t i = 0; policies->regexes != NULL && i < policies->table.policy_count; i++) {
        channel_regex_destroy(policies->regexes[i]);
    }
    free(policies->regexes);
    free(policies->patterns);
    free(policies->list);
    *policies = (struct policies){.list = NULL};
}
