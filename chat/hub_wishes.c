/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/hub_wishes.h"

#include <stdlib.h>
#include <string.h>

#include "chat/claims.h"
#include "chat/hub_state.h"
#include "chat/identity.h"
#include "chat/policy.h"
#include "chat/session.h"
#include "core/check.h"
#include "core/metrics.h"

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static struct hub_wish *find_wish(const struct hub_wishes *wishes, struct bytes channel)
{
    for (size_t i = 0; i < wishes->count; i++) {
        if (bytes_equal(wishes->list[i].channel, channel)) {
            return &wishes->list[i];
        }
    }
    return NULL;
}

static bool source_is_good(const struct grant_source *source)
{
    return identity_json_is_good(source->info) && identity_json_is_good(source->data);
}

/* The same channel twice is one. */
static enum codes_error add_wish(struct hub *hub, struct hub_wishes *wishes, struct bytes channel,
                                 struct grant_source source)
{
    const struct permission_subject back_end = {.is_back_end = true};
    const struct permission_answer answer =
        permission_judge(hub->options.policies, back_end, channel, PERMISSION_SUBSCRIBE);
    const enum codes_error error = hub_error_for(hub, answer.verdict);

    if (error != CODES_ERROR_NONE || find_wish(wishes, channel) != NULL) {
        return error;
    }
    if (!source_is_good(&source)) {
        return CODES_ERROR_BAD_REQUEST;
    }
    if (wishes->count == hub->options.channel_limit) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_CHANNEL_LIMIT, 1);
        return CODES_ERROR_LIMIT_EXCEEDED;
    }
    CHECK(wishes->list != NULL);
    struct hub_wish *wish = &wishes->list[wishes->count++];
    *wish = (struct hub_wish){
        .channel = channel,
        .hash = table_hash(&hub->options.key, channel),
        .source = source,
    };
    wish->source.by_server = true;
    return CODES_ERROR_NONE;
}

/* `#user`, behind the namespace for it. Empty: the name would be that of others, or none. */
static struct bytes personal_channel(const struct hub *hub, struct bytes user,
                                     uint8_t target[static UINT8_MAX])
{
    const struct bytes space = hub->options.personal_namespace;
    const size_t before = space.size == 0 ? 0 : space.size + 1;
    const size_t size = before + 1 + user.size;

    if (user.size == 0 || size > UINT8_MAX || memchr(user.data, ',', user.size) != NULL) {
        return (struct bytes){NULL, 0};
    }
    if (before > 0) {
        memcpy(target, space.data, space.size);
        target[space.size] = POLICY_NAMESPACE_BOUNDARY;
    }
    target[before] = POLICY_USER_BOUNDARY;
    memcpy(target + before + 1, user.data, user.size);
    return (struct bytes){target, size};
}

static enum codes_error add_personal(struct hub *hub, struct hub_wishes *wishes, struct bytes user)
{
    if (!hub->options.personal_channels || user.size == 0) {
        return CODES_ERROR_NONE;
    }
    const struct bytes channel = personal_channel(hub, user, wishes->personal);
    if (channel.size == 0) {
        return hub_error_for(hub, PERMISSION_BAD_NAME);
    }
    return add_wish(hub, wishes, channel, (struct grant_source){.by_server = true});
}

/* Where the client had been before it came again. What it says of other channels is of no use. */
static bool add_positions(struct hub_wishes *wishes, struct bytes subs)
{
    struct command_subs reader;
    struct command_subscribe wanted;
    struct bytes channel;
    enum command_verdict verdict;

    command_subs_init(&reader, subs);
    while ((verdict = command_subs_next(&reader, &channel, &wanted)) == COMMAND_OK) {
        struct hub_wish *wish = find_wish(wishes, channel);
        if (wish != NULL) {
            wish->wanted = wanted;
        }
    }
    return verdict == COMMAND_END;
}

static enum codes_error collect(struct hub *hub, const struct session *session,
                                const struct claims *claims, struct hub_wishes *wishes)
{
    enum codes_error error = CODES_ERROR_NONE;

    for (size_t i = 0; i < claims->subscription_count && error == CODES_ERROR_NONE; i++) {
        const struct claims_subscription *subscription = &claims->subscriptions[i];
        error = add_wish(hub, wishes, subscription->channel,
                         (struct grant_source){
                             .info = subscription->info,
                             .data = subscription->data,
                             .overrides = subscription->overrides,
                         });
    }
    return error == CODES_ERROR_NONE ? add_personal(hub, wishes, session_user(session)) : error;
}

enum codes_error hub_wishes_collect(struct hub *hub, const struct session *session,
                                    const struct claims *claims, struct bytes subs,
                                    struct hub_wishes *wishes)
{
    const size_t most = claims->subscription_count + (hub->options.personal_channels ? 1 : 0);

    *wishes = (struct hub_wishes){.list = most == 0 ? NULL : calloc(most, sizeof(*wishes->list))};
    if (most > 0 && wishes->list == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    enum codes_error error = collect(hub, session, claims, wishes);
    if (error == CODES_ERROR_NONE && most > 0 && !add_positions(wishes, subs)) {
        error = CODES_ERROR_BAD_REQUEST;
    }
    if (error != CODES_ERROR_NONE) {
        hub_wishes_free(wishes);
    }
    return error;
}

void hub_wishes_free(struct hub_wishes *wishes)
{
    free(wishes->list);
    wishes->list = NULL;
}
