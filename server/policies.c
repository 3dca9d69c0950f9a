/* SPDX-License-Identifier: Apache-2.0 */
#include "server/policies.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/metrics_namespace.h"
#include "server/channel_regex.h"
#include "server/config.h"

struct policy_name {
    char text[CONFIG_NAMESPACE_NAME_SIZE];
};

/* Into the next place. */
static void add(struct policies *policies, const struct policy *options, struct bytes name)
{
    const size_t index = policies->table.policy_count++;
    char *text = policies->names[index].text;

    CHECK(name.size < CONFIG_NAMESPACE_NAME_SIZE);
    memcpy(text, name.data, name.size);
    policies->list[index] = *options;
    policies->list[index].name = (struct bytes){(const uint8_t *)text, name.size};
    policies->list[index].index = (uint16_t)index;
    policies->list[index].pattern = NULL;
}

/* -ENOMEM: what was done is policies_deinit()'s. */
static int compile_patterns(struct policies *policies, size_t count)
{
    char error[CHANNEL_REGEX_ERROR_SIZE];

    for (size_t i = 0; i < count; i++) {
        struct policy *policy = &policies->list[i];
        struct policy_pattern *pattern = &policies->patterns[i];
        if (policy->channel_regex[0] == '\0' || policy->is_removed) {
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

/* Room for so many, and none is there. */
static int allocate(struct policies *policies, const struct config *config, size_t count)
{
    struct policy *list = calloc(count, sizeof(*list));

    *policies = (struct policies){
        .list = list,
        .patterns = calloc(count, sizeof(*policies->patterns)),
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is meant */
        .regexes = calloc(count, sizeof(*policies->regexes)),
        .names = calloc(count, sizeof(*policies->names)),
        .table =
            {
                .policies = list,
                .name_size_max = config->channel.max_length,
                .insecure = config->client.insecure,
            },
    };
    return list == NULL || policies->patterns == NULL || policies->regexes == NULL ||
                   policies->names == NULL
               ? -ENOMEM
               : 0;
}

static struct bytes name_of(const struct config_namespace *item)
{
    return (struct bytes){(const uint8_t *)item->name, strlen(item->name)};
}

static bool names_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static const struct config_namespace *find_configured(const struct config_namespaces *configured,
                                                      struct bytes name)
{
    for (uint32_t i = 0; i < configured->count; i++) {
        if (names_equal(name_of(&configured->items[i]), name)) {
            return &configured->items[i];
        }
    }
    return NULL;
}

static bool has_place(const struct policies *policies, struct bytes name)
{
    for (size_t i = 1; policies != NULL && i < policies->table.policy_count; i++) {
        if (names_equal(policies->list[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* What every place had before. 0, or -EBUSY and the place that could not be filled is the last. */
static int keep_places(struct policies *policies, const struct config_namespaces *configured,
                       const struct policies *past)
{
    for (size_t i = 1; past != NULL && i < past->table.policy_count; i++) {
        const struct policy *had = &past->list[i];
        const struct config_namespace *item = find_configured(configured, had->name);
        add(policies, item == NULL ? had : &item->options, had->name);
        policies->list[i].is_removed = item == NULL;
        if (policy_has_history(&policies->list[i]) != policy_has_history(had) ||
            policies->list[i].durability != had->durability) {
            return -EBUSY;
        }
    }
    return 0;
}

static int fill(struct policies *policies, const struct config *config, const struct policies *past)
{
    const struct config_namespaces *configured = &config->channel.namespaces;

    add(policies, &config->channel.without_namespace, (struct bytes){(const uint8_t *)"", 0});
    const int result = keep_places(policies, configured, past);
    if (result != 0) {
        return result;
    }
    for (uint32_t i = 0; i < configured->count; i++) {
        const struct config_namespace *item = &configured->items[i];
        if (has_place(past, name_of(item))) {
            continue;
        }
        if (policies->table.policy_count == POLICY_PLACES_MAX) {
            return -ENOSPC;
        }
        add(policies, &item->options, name_of(item));
    }
    return compile_patterns(policies, policies->table.policy_count);
}

int policies_init_after(struct policies *policies, const struct config *config,
                        const struct policies *past, char *error, size_t error_size)
{
    const size_t most = 1 + (size_t)config->channel.namespaces.count +
                        (past == NULL ? 0 : past->table.policy_count);

    int result = allocate(policies, config, most < POLICY_PLACES_MAX ? most : POLICY_PLACES_MAX);
    if (result == 0) {
        result = fill(policies, config, past);
    }
    if (result == -EBUSY) {
        const struct bytes name = policies->list[policies->table.policy_count - 1].name;
        (void)snprintf(error, error_size,
                       "channel.namespaces[%.*s]: had another durability, or history where it now "
                       "has none or the other way round: needs a restart",
                       (int)name.size, (const char *)name.data);
    } else if (result == -ENOSPC) {
        (void)snprintf(error, error_size,
                       "channel.namespaces: expected at most %d names since the start: needs a "
                       "restart",
                       POLICY_PLACES_MAX - 1);
    }
    if (result != 0) {
        policies_deinit(policies);
    }
    return result;
}

int policies_init(struct policies *policies, const struct config *config)
{
    char error[CONFIG_ERROR_SIZE];
    return policies_init_after(policies, config, NULL, error, sizeof(error));
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
    free(policies->names);
    free(policies->regexes);
    free(policies->patterns);
    free(policies->list);
    *policies = (struct policies){.list = NULL};
}
