/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/permission.h"

#include <string.h>

#include "core/check.h"

enum {
    ASCII_FIRST_PRINTABLE = 0x21,
    ASCII_LAST_PRINTABLE = 0x7e,
    NAMESPACE_BOUNDARY = ':',
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

/* NULL when the name has a namespace that nobody configured. */
static const struct permission_rules *rules_for(const struct permission_table *table,
                                                struct bytes channel)
{
    if (channel.data[0] == PRIVATE_PREFIX) {
        channel.data++;
        channel.size--;
    }
    const uint8_t *boundary = memchr(channel.data, NAMESPACE_BOUNDARY, channel.size);
    if (boundary == NULL) {
        return &table->without_namespace;
    }
    const size_t size = (size_t)(boundary - channel.data);
    for (size_t i = 0; i < table->namespace_count; i++) {
        const struct permission_rules *rules = &table->namespaces[i];
        if (rules->name.size == size && memcmp(rules->name.data, channel.data, size) == 0) {
            return rules;
        }
    }
    return NULL;
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

static bool rules_grant(const struct permission_rules *rules, struct permission_subject subject,
                        enum permission_verb verb)
{
    switch (verb) {
    case PERMISSION_SUBSCRIBE:
        return rules->subscribe_for_client &&
               (!subject.anonymous || rules->subscribe_for_anonymous);
    case PERMISSION_PUBLISH:
        return (rules->publish_for_client ||
                (rules->publish_for_subscriber && subject.subscribed)) &&
               (!subject.anonymous || rules->publish_for_anonymous);
    }
    NEVER("a verb without a rule");
}

enum permission_verdict permission_judge(const struct permission_table *table,
                                         struct permission_subject subject, struct bytes channel,
                                         enum permission_verb verb)
{
    CHECK(table != NULL);

    if (!name_is_good(channel, table->name_size_max)) {
        return PERMISSION_BAD_NAME;
    }
    const struct permission_rules *rules = rules_for(table, channel);
    if (rules == NULL) {
        return PERMISSION_UNKNOWN_NAMESPACE;
    }
    if (table->insecure) {
        return PERMISSION_GRANTED;
    }
    if (needs_identity(channel)) {
        return PERMISSION_DENIED;
    }
    return rules_grant(rules, subject, verb) ? PERMISSION_GRANTED : PERMISSION_DENIED;
}
