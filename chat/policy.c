/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/policy.h"

#include <string.h>

#include "core/check.h"

enum {
    NAMESPACE_BOUNDARY = ':',
    PRIVATE_PREFIX = '$', /* before the namespace, and no part of it */
};

const struct policy *policy_find(const struct policy_table *table, struct bytes channel)
{
    CHECK(table->policy_count > 0);

    if (channel.size > 0 && channel.data[0] == PRIVATE_PREFIX) {
        channel.data++;
        channel.size--;
    }
    const uint8_t *boundary =
        channel.size == 0 ? NULL : memchr(channel.data, NAMESPACE_BOUNDARY, channel.size);
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
