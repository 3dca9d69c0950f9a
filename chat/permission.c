/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/permission.h"

#include <string.h>

#include "chat/policy.h"
#include "core/check.h"

enum {
    ASCII_FIRST_PRINTABLE = 0x21,
    ASCII_LAST_PRINTABLE = 0x7e,
    PRIVATE_PREFIX = '$',
    USER_BOUNDARY = '#',
};

static bool name_is_good(struct bytes channel, size_t size_max)
{
    if (channel.size == 0 || channel.size > size_max) {
        return false;
    }
    for (size_t i = 0; i < channel.size; i++) {
        if (channel.data[i] < ASCII_FIRST_PRINTABLE || channel.data[i] > ASCII_LAST_PRINTABLE) {
            return false;
        }
    }
    return true;
}

/*
 * Both kinds name who may come in: by subscription token, or by user id. Neither can be checked
 * yet, so nobody may, signed in or not: what cannot be proved is refused.
 */
static bool needs_identity(struct bytes channel)
{
    return channel.data[0] == PRIVATE_PREFIX ||
           memchr(channel.data, USER_BOUNDARY, channel.size) != NULL;
}

static bool policy_grants(const struct policy *policy, struct permission_subject subject,
                          enum permission_verb verb)
{
    switch (verb) {
    case PERMISSION_SUBSCRIBE:
        return policy->allow_subscribe_for_client &&
               (!subject.anonymous || policy->allow_subscribe_for_anonymous);
    case PERMISSION_PUBLISH:
        return (policy->allow_publish_for_client ||
                (policy->allow_publish_for_subscriber && subject.subscribed)) &&
               (!subject.anonymous || policy->allow_publish_for_anonymous);
    case PERMISSION_HISTORY:
        return (policy->allow_history_for_client ||
                (policy->allow_history_for_subscriber && subject.subscribed)) &&
               (!subject.anonymous || policy->allow_history_for_anonymous);
    case PERMISSION_PRESENCE:
        return (policy->allow_presence_for_client ||
                (policy->allow_presence_for_subscriber && subject.subscribed)) &&
               (!subject.anonymous || policy->allow_presence_for_anonymous);
    }
    NEVER("a verb without a rule");
}

enum permission_verdict permission_judge_name(const struct policy_table *table,
                                              struct bytes channel)
{
    CHECK(table != NULL);

    if (!name_is_good(channel, table->name_size_max)) {
        return PERMISSION_BAD_NAME;
    }
    return policy_find(table, channel) == NULL ? PERMISSION_UNKNOWN_NAMESPACE : PERMISSION_GRANTED;
}

enum permission_verdict permission_judge(const struct policy_table *table,
                                         struct permission_subject subject, struct bytes channel,
                                         enum permission_verb verb)
{
    const enum permission_verdict verdict = permission_judge_name(table, channel);
    if (verdict != PERMISSION_GRANTED || table->insecure) {
        return verdict;
    }
    if (needs_identity(channel)) {
        return PERMISSION_DENIED;
    }
    return policy_grants(policy_find(table, channel), subject, verb) ? PERMISSION_GRANTED
                                                                     : PERMISSION_DENIED;
}
