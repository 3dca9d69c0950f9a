/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/permission.h"

#include <string.h>

#include "chat/policy.h"
#include "core/check.h"

enum {
    ASCII_FIRST_PRINTABLE = 0x21,
    ASCII_LAST_PRINTABLE = 0x7e,
    USER_SEPARATOR = ',',
};

static struct permission_answer answer(enum permission_verdict verdict, const char *rule)
{
    return (struct permission_answer){verdict, rule};
}

/* -- names ------------------------------------------------------------------------------------- */

static bool is_printable(struct bytes channel)
{
    for (size_t i = 0; i < channel.size; i++) {
        if (channel.data[i] < ASCII_FIRST_PRINTABLE || channel.data[i] > ASCII_LAST_PRINTABLE) {
            return false;
        }
    }
    return channel.size > 0;
}

/* As policy_pattern.matches. */
static int pattern_likes(const struct policy *policy, struct bytes channel)
{
    return policy->pattern == NULL
               ? 1
               : policy->pattern->matches(policy->pattern->context, policy_rest(channel));
}

/* Is the user one of a list such as 42,43? */
static bool names_user(struct bytes users, struct bytes user)
{
    while (user.size > 0 && users.size >= user.size) {
        const uint8_t *end = memchr(users.data, USER_SEPARATOR, users.size);
        const size_t size = end == NULL ? users.size : (size_t)(end - users.data);
        if (size == user.size && memcmp(users.data, user.data, size) == 0) {
            return true;
        }
        if (end == NULL) {
            return false;
        }
        users.data += size + 1;
        users.size -= size + 1;
    }
    return false;
}

/* -- rules ------------------------------------------------------------------------------------- */

/* The options about one verb, and their keys. */
struct rules {
    bool client;
    bool subscriber;
    bool anonymous;
    const char *client_key;
    const char *subscriber_key; /* NULL: a verb for which there is none */
    const char *anonymous_key;
};

static struct rules rules_of(const struct policy *policy, enum permission_verb verb)
{
#define RULES(verb)                                                                                \
    {                                                                                              \
        policy->allow_##verb##_for_client, policy->allow_##verb##_for_subscriber,                  \
            policy->allow_##verb##_for_anonymous, "allow_" #verb "_for_client",                    \
            "allow_" #verb "_for_subscriber", "allow_" #verb "_for_anonymous"                      \
    }
    switch (verb) {
    case PERMISSION_SUBSCRIBE:
        return (struct rules){
            .client = policy->allow_subscribe_for_client,
            .anonymous = policy->allow_subscribe_for_anonymous,
            .client_key = "allow_subscribe_for_client",
            .anonymous_key = "allow_subscribe_for_anonymous",
        };
    case PERMISSION_PUBLISH:
        return (struct rules)RULES(publish);
    case PERMISSION_HISTORY:
        return (struct rules)RULES(history);
    case PERMISSION_PRESENCE:
        return (struct rules)RULES(presence);
    }
#undef RULES
    NEVER("a verb without rules");
}

static struct permission_answer apply_rules(struct rules rules, struct permission_subject subject)
{
    const bool as_subscriber = !rules.client && rules.subscriber && subject.subscribed;

    if (!rules.client && !as_subscriber) {
        const bool missed =
            rules.subscriber_key != NULL && (rules.subscriber || subject.subscribed);
        return answer(PERMISSION_DENIED, missed ? rules.subscriber_key : rules.client_key);
    }
    if (subject.user.size == 0 && !rules.anonymous) {
        return answer(PERMISSION_DENIED, rules.anonymous_key);
    }
    return answer(PERMISSION_GRANTED, as_subscriber ? rules.subscriber_key : rules.client_key);
}

/* What the name says of who may come in; then the options. */
static struct permission_answer judge_client(const struct policy *policy,
                                             struct permission_subject subject,
                                             struct bytes channel, enum permission_verb verb)
{
    const bool is_subscribe = verb == PERMISSION_SUBSCRIBE;
    const uint8_t *boundary = memchr(channel.data, POLICY_USER_BOUNDARY, channel.size);

    if (channel.data[0] == POLICY_PRIVATE_PREFIX &&
        !(is_subscribe ? subject.has_token : subject.subscribed)) {
        return answer(PERMISSION_DENIED, "$ needs a subscription token");
    }
    if (boundary != NULL) {
        const size_t before = (size_t)(boundary - channel.data) + 1;
        if (!names_user((struct bytes){channel.data + before, channel.size - before},
                        subject.user)) {
            return answer(PERMISSION_DENIED, "# names other users");
        }
    }
    if (is_subscribe && subject.has_token) {
        return answer(PERMISSION_GRANTED, "subscription token");
    }
    if (is_subscribe && boundary != NULL && policy->allow_user_limited_channels) {
        return answer(PERMISSION_GRANTED, "allow_user_limited_channels");
    }
    return apply_rules(rules_of(policy, verb), subject);
}

struct permission_answer permission_judge(const struct policy_table *table,
                                          struct permission_subject subject, struct bytes channel,
                                          enum permission_verb verb)
{
    CHECK(table != NULL);

    if (channel.size > table->name_size_max) {
        return answer(PERMISSION_BAD_NAME, "channel.max_length");
    }
    if (!is_printable(channel)) {
        return answer(PERMISSION_BAD_NAME, "a name is of printable ASCII without spaces");
    }
    const struct policy *policy = policy_find(table, channel);
    if (policy == NULL) {
        return answer(PERMISSION_UNKNOWN_NAMESPACE, "channel.namespaces");
    }
    const int likes = pattern_likes(policy, channel);
    if (likes <= 0) {
        return answer(likes < 0 ? PERMISSION_NO_MEMORY : PERMISSION_BAD_NAME, "channel_regex");
    }
    if (verb == PERMISSION_HISTORY && !policy_has_history(policy)) {
        return answer(PERMISSION_NOT_AVAILABLE, "history_size");
    }
    if (verb == PERMISSION_PRESENCE && !policy->presence) {
        return answer(PERMISSION_NOT_AVAILABLE, "presence");
    }
    if (table->insecure) {
        return answer(PERMISSION_GRANTED, "client.insecure");
    }
    if (subject.is_back_end) {
        return answer(PERMISSION_GRANTED, "the back end wants it");
    }
    return judge_client(policy, subject, channel, verb);
}
