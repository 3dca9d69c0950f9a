/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients ask: one function per command, but for `publish` and `rpc` (hub_publish.c),
 * `history` (hub_history.c), `presence` (hub_presence.c), `connect` and `refresh` (hub_connect.c),
 * `subscribe` and `sub_refresh` (hub_join.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/channel.h"
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/permission.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "proto/command.h"

static const uint16_t stay = 0; /* not a disconnect code: the connection goes on */

/* -- the commands ------------------------------------------------------------------------------ */

enum codes_error hub_error_for(const struct hub *hub, enum permission_verdict verdict)
{
    struct metrics *metrics = hub->options.metrics;

    switch (verdict) {
    case PERMISSION_DENIED:
        metrics_add(metrics, METRIC_REJECTED_PERMISSION_DENIED, 1);
        return CODES_ERROR_PERMISSION_DENIED;
    case PERMISSION_BAD_NAME:
        metrics_add(metrics, METRIC_REJECTED_CHANNEL_NAME, 1);
        return CODES_ERROR_BAD_REQUEST;
    case PERMISSION_UNKNOWN_NAMESPACE:
        metrics_add(metrics, METRIC_REJECTED_UNKNOWN_CHANNEL, 1);
        return CODES_ERROR_UNKNOWN_CHANNEL;
    case PERMISSION_NOT_AVAILABLE:
        return CODES_ERROR_NOT_AVAILABLE;
    case PERMISSION_NO_MEMORY:
        metrics_add(metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    case PERMISSION_GRANTED:
        break;
    }
    return CODES_ERROR_NONE;
}

int hub_find(struct hub *hub, const struct session *session, struct bytes channel, uint64_t hash)
{
    const struct room *room = roster_find(hub->roster, hash, channel);
    return room == NULL ? -1 : session_find(session, room->slot);
}

enum codes_error hub_may(struct hub *hub, const struct session *session, struct bytes channel,
                         uint64_t hash, enum permission_verb verb)
{
    const int subscription = hub_find(hub, session, channel, hash);
    const struct permission_subject subject = {
        .user = session_user(session),
        .subscribed = subscription >= 0 && !session->subscriptions[subscription].is_waiting,
    };
    return hub_error_for(hub,
                         permission_judge(hub->options.policies, subject, channel, verb).verdict);
}

/* A subscribe that had been accepted, only not yet confirmed, has its answer. */
static void answer_waiter(struct hub *hub, struct session *session,
                          const struct session_subscription *subscription)
{
    const struct room *room = roster_slot(hub->roster, subscription->room);
    const struct roster_waiter *waiter = &room->waiters[subscription->member];
    const struct event_subscribed result = {.offset = 0};

    if (waiter->origin == ROSTER_BY_CLIENT) {
        hub_reply_subscribe(&hub->reply, session, waiter->command, &result);
    }
}

static uint16_t apply_unsubscribe(struct hub *hub, struct session *session,
                                  const struct command *command)
{
    const struct bytes channel = command->unsubscribe.channel;
    if (channel.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const uint64_t hash = table_hash(&hub->options.key, channel);
    const int index = hub_find(hub, session, channel, hash);
    if (index >= 0) {
        if (session->subscriptions[index].is_waiting) {
            answer_waiter(hub, session, &session->subscriptions[index]);
        }
        hub_leave_room(hub, session, (uint32_t)index);
    }
    hub_reply_empty(&hub->reply, session, command->id, EVENT_EMPTY_UNSUBSCRIBE);
    return stay;
}

void hub_unsubscribe(struct hub *hub, struct session *session, uint32_t index,
                     enum codes_unsubscribe code)
{
    const struct session_subscription subscription = session->subscriptions[index];

    if (subscription.is_waiting) {
        answer_waiter(hub, session, &subscription);
    }
    if (session->state != SESSION_ARRIVING) {
        hub_tell_unsubscribed(hub, session, roster_slot(hub->roster, subscription.room),
                              subscription.grant, code);
    }
    hub_leave_room(hub, session, index);
    if (session->state == SESSION_ARRIVING) {
        hub_arrive(hub, session);
    }
}

/*
 * Only `connect` opens a session, once, and whatever comes before it is no client of ours. What a
 * client sent together with a `connect` that was refused is not answered; nor is what came in while
 * its connection had to end: it was to have no effect any more, and could not be told of one.
 */
static bool is_welcome(const struct session *session, const struct command *command)
{
    return session->state == SESSION_NEW ? command->method == COMMAND_CONNECT
                                         : command->method != COMMAND_CONNECT;
}

uint16_t hub_apply(struct hub *hub, struct session *session, const struct command *command)
{
    hub_use_allowance(hub);
    if (!is_welcome(session, command)) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    CHECK(session->state != SESSION_ARRIVING);
    if (session->state == SESSION_REFUSED || session->is_ending) {
        return stay;
    }
    switch (command->method) {
    case COMMAND_CONNECT:
        return hub_apply_connect(hub, session, command);
    case COMMAND_SUBSCRIBE:
        return hub_apply_subscribe(hub, session, command);
    case COMMAND_UNSUBSCRIBE:
        return apply_unsubscribe(hub, session, command);
    case COMMAND_PUBLISH:
        return hub_apply_publish(hub, session, command);
    case COMMAND_PING:
        hub_reply_empty(&hub->reply, session, command->id, EVENT_EMPTY_PING);
        return stay;
    case COMMAND_HISTORY:
        return hub_apply_history(hub, session, command);
    case COMMAND_RPC:
        return hub_apply_rpc(hub, session, command);
    case COMMAND_PRESENCE:
    case COMMAND_PRESENCE_STATS:
        return hub_apply_presence(hub, session, command);
    case COMMAND_REFRESH:
        return hub_apply_refresh(hub, session, command);
    case COMMAND_SUB_REFRESH:
        return hub_apply_sub_refresh(hub, session, command);
    case COMMAND_SEND:
        return CODES_DISCONNECT_NOT_AVAILABLE;
    case COMMAND_PONG:
        break;
    }
    return CODES_DISCONNECT_BAD_REQUEST; /* pongs are the gateway's: this one answers no ping */
}
