/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/policy.h"

#include <string.h>

#include "core/check.h"

static struct bytes skip(struct bytes text, size_t size)
{
    return (struct bytes){text.data + size, text.size - size};
}

static struct bytes without_prefix(struct bytes channel)
{
    return channel.size > 0 && channel.data[0] == POLICY_PRIVATE_PREFIX ? skip(channel, 1)
                                                                        : channel;
}

/* The colon that ends a namespace; NULL: there is none. A user id may contain colons. */
static const uint8_t *find_boundary(struct bytes channel)
{
    if (channel.size == 0) {
        return NULL;
    }
    const uint8_t *users = memchr(channel.data, POLICY_USER_BOUNDARY, channel.size);
    return memchr(channel.data, POLICY_NAMESPACE_BOUNDARY,
                  users == NULL ? channel.size : (size_t)(users - channel.data));
}

struct bytes policy_rest(struct bytes channel)
{
    const struct bytes name = without_prefix(channel);
    const uint8_t *boundary = find_boundary(name);
    return boundary == NULL ? name : skip(name, (size_t)(boundary - name.data) + 1);
}

const struct policy *policy_recall(const struct policy_table *table, struct bytes channel)
{
    CHECK(table->policy_count > 0);

    channel = without_prefix(channel);
    const uint8_t *boundary = find_boundary(channel);
    if (boundary == NULL) {
        return &table->policies[0];
    }
    const size_t size = (size_t)(boundary - channel.data);
    for (size_t i = 1; i < table->policy_count; i++) {
        const struct policy *policy = &table->policies[i];
        if (policy->name.size == size && memcmp(policy->name.data, channel.data, size) == 0) {
            return policy;
        }
    }
    return NULL;
}

const struct policy *policy_find(const struct policy_table *table, struct bytes channel)
{
    const struct policy *policy = policy_recall(table, channel);
    return policy == NULL || policy->is_removed ? NULL : policy;
}
