/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands `subscribe` and `sub_refresh`: what a subscription token opens, and its end.
 */
#include <errno.h>
#include <string.h>

#include "chat/claims.h"
#include "chat/grant.h"
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/identity.h"
#include "chat/policy.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/metrics.h"
#include "core/slab.h"
#include "core/timerwheel.h"
#include "proto/command.h"

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Is it for this channel and for this user, and can what it says be told? */
static bool claims_are_for(struct hub *hub, const struct claims *claims,
                           const struct session *session, struct bytes channel)
{
    if (!bytes_equal(claims->channel, channel)) {
        hub_object(hub, "wrong_channel", "it is for another channel");
        return false;
    }
    if (!bytes_equal(claims->user, session_user(session))) {
        hub_object(hub, "wrong_user", "it is not of the user who is connected");
        return false;
    }
    if (!identity_json_is_good(claims->info)) {
        hub_object(hub, "bad_claims", "its info is too large or too deep");
        return false;
    }
    return true;
}

/* -- subscribe --------------------------------------------------------------------------------- */

/* CODES_ERROR_NONE: the token is good for this. */
static enum codes_error check_token(struct hub *hub, const struct session *session,
                                    const struct command_subscribe *wanted, struct claims *claims)
{
    switch (hub_verify(hub, CLAIMS_SUBSCRIPTION, wanted->token, claims)) {
    case CLAIMS_VALID:
        if (claims_are_for(hub, claims, session, wanted->channel)) {
            return CODES_ERROR_NONE;
        }
        break;
    case CLAIMS_EXPIRED:
        return CODES_ERROR_TOKEN_EXPIRED;
    case CLAIMS_UNAVAILABLE:
        return CODES_ERROR_INTERNAL;
    case CLAIMS_INVALID:
        break;
    }
    metrics_add(hub->options.metrics, METRIC_REJECTED_PERMISSION_DENIED, 1);
    return CODES_ERROR_PERMISSION_DENIED;
}

/* From now on the token counts, on its session and in that room. */
static void begin_term(struct hub *hub, const struct session *session, struct grant *grant,
                       const struct claims *claims)
{
    grant->ends_ns = hub_term_end(hub, claims);
    if (grant->ends_ns == 0) {
        timerwheel_cancel(hub->expiries, &grant->expiry.timer);
        return;
    }
    grant->expiry.session = session->slot;
    timerwheel_arm(hub->expiries, &grant->expiry.timer,
                   grant->ends_ns + hub->options.expired_sub_close_delay_ns);
}

/* A subscription by token. Only with CODES_ERROR_NONE there is a grant. */
static enum codes_error make_grant(struct hub *hub, const struct session *session,
                                   const struct claims *claims, struct grant **grant)
{
    const struct grant_source source = {.info = claims->info, .overrides = claims->overrides};
    *grant = grant_create(&source);
    if (*grant == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    begin_term(hub, session, *grant, claims);
    return CODES_ERROR_NONE;
}

/* May the session subscribe, and is there room for it? */
static enum codes_error judge(struct hub *hub, const struct session *session, struct bytes channel,
                              uint64_t hash, bool has_token)
{
    const struct permission_subject subject = {
        .user = session_user(session),
        .has_token = has_token,
    };
    const enum codes_error error = hub_error_for(
        hub,
        permission_judge(hub->options.policies, subject, channel, PERMISSION_SUBSCRIBE).verdict);
    return error != CODES_ERROR_NONE ? error : hub_has_place(hub, session, channel, hash);
}

enum codes_error hub_has_place(struct hub *hub, const struct session *session, struct bytes channel,
                               uint64_t hash)
{
    if (hub_find(hub, session, channel, hash) >= 0) {
        return CODES_ERROR_ALREADY_SUBSCRIBED;
    }
    if (hub->refuses_subscriptions) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OVERLOAD_SUBSCRIPTION, 1);
        return CODES_ERROR_LIMIT_EXCEEDED;
    }
    if (session->subscription_count >= hub->options.channel_limit) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_CHANNEL_LIMIT, 1);
        return CODES_ERROR_LIMIT_EXCEEDED;
    }
    return CODES_ERROR_NONE;
}

static enum codes_error subscribe(struct hub *hub, struct session *session,
                                  const struct command *command)
{
    const struct command_subscribe *wanted = &command->subscribe;
    const uint64_t hash = table_hash(&hub->options.key, wanted->channel);
    const bool has_token = wanted->token.size > 0 && !hub_ignores_tokens(hub);
    struct hub_entry entry = {.wanted = wanted, .command = command->id};
    struct claims claims;

    enum codes_error error =
        has_token ? check_token(hub, session, wanted, &claims) : CODES_ERROR_NONE;
    if (error == CODES_ERROR_NONE) {
        error = judge(hub, session, wanted->channel, hash, has_token);
    }
    if (error == CODES_ERROR_NONE && has_token) {
        error = make_grant(hub, session, &claims, &entry.grant);
    }
    if (error == CODES_ERROR_NONE) {
        error = hub_join(hub, session, wanted->channel, hash, &entry);
        if (error != CODES_ERROR_NONE) {
            hub_drop_grant(hub, entry.grant);
        }
    }
    return error;
}

uint16_t hub_apply_subscribe(struct hub *hub, struct session *session,
                             const struct command *command)
{
    if (command->subscribe.channel.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const enum codes_error error = subscribe(hub, session, command);
    if (error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, command->id, error);
    }
    return 0;
}

/* -- sub_refresh ------------------------------------------------------------------------------- */

/* Another term for a subscription that came by a token. 0, or what its connection ends with. */
static uint16_t renew(struct hub *hub, const struct session *session, struct grant *grant,
                      const struct command_channel *refresh, enum codes_error *error)
{
    struct claims claims;

    switch (hub_verify(hub, CLAIMS_SUBSCRIPTION, refresh->token, &claims)) {
    case CLAIMS_VALID:
        break;
    case CLAIMS_EXPIRED:
        return CODES_DISCONNECT_SUBSCRIPTION_EXPIRED;
    case CLAIMS_INVALID:
        return CODES_DISCONNECT_INVALID_TOKEN;
    case CLAIMS_UNAVAILABLE:
        *error = CODES_ERROR_INTERNAL;
        return 0;
    }
    if (!claims_are_for(hub, &claims, session, refresh->channel)) {
        return CODES_DISCONNECT_INVALID_TOKEN;
    }
    if (grant_renew(grant, claims.info) != 0) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        *error = CODES_ERROR_INTERNAL;
        return 0;
    }
    begin_term(hub, session, grant, &claims);
    return 0;
}

uint16_t hub_apply_sub_refresh(struct hub *hub, struct session *session,
                               const struct command *command)
{
    const struct command_channel *refresh = &command->sub_refresh;
    if (refresh->channel.size == 0 || refresh->token.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const uint64_t hash = table_hash(&hub->options.key, refresh->channel);
    const int index = hub_find(hub, session, refresh->channel, hash);
    struct grant *grant = index < 0 ? NULL : session->subscriptions[index].grant;
    /* What came without a token, or by the server, has no term that could be renewed. */
    enum codes_error error = index < 0                           ? CODES_ERROR_PERMISSION_DENIED
                             : grant == NULL || grant->by_server ? CODES_ERROR_NOT_AVAILABLE
                                                                 : CODES_ERROR_NONE;
    if (error == CODES_ERROR_NONE) {
        const uint16_t code = renew(hub, session, grant, refresh, &error);
        if (code != 0) {
            return code;
        }
    }
    if (error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, command->id, error);
        return 0;
    }
    struct event_subscribed result = {.offset = 0};
    hub_tell_term(hub, grant, &result);
    hub_reply_sub_refresh(&hub->reply, session, command->id, &result);
    return 0;
}

/* -- the end ----------------------------------------------------------------------------------- */

void hub_tell_term(const struct hub *hub, const struct grant *grant,
                   struct event_subscribed *result)
{
    static const uint64_t ns_per_s = 1000000000;
    if (grant == NULL || grant->ends_ns == 0) {
        return;
    }
    const uint64_t left_ns = grant->ends_ns > hub->now_ns ? grant->ends_ns - hub->now_ns : 1;
    result->expires = true;
    result->ttl_s = (uint32_t)((left_ns + ns_per_s - 1) / ns_per_s);
}

void hub_drop_grant(struct hub *hub, struct grant *grant)
{
    if (grant != NULL) {
        timerwheel_cancel(hub->expiries, &grant->expiry.timer);
        grant_destroy(grant);
    }
}

void hub_expire_subscription(struct hub *hub, struct session *session, uint32_t room)
{
    const int index = session_find(session, room);

    CHECK(index >= 0);
    metrics_add(hub->options.metrics, METRIC_EXPIRED_SUBSCRIPTIONS, 1);
    hub_unsubscribe(hub, session, (uint32_t)index, CODES_UNSUBSCRIBE_EXPIRED);
}
