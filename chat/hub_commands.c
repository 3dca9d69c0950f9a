/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients ask: one function per command, but for `publish` and `rpc` (hub_publish.c),
 * `history` (hub_history.c) and `presence` (hub_presence.c). What it takes to keep sessions and
 * rooms is in hub.c, and how one comes into the other in hub_subscribe.c.
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

/* -- joining ----------------------------------------------------------------------------------- */

/* Every open room has its place among the leaves: leaving cannot fail for want of memory. */
static int reserve_leave(struct hub *hub)
{
    const size_t needed = hub->leave_count + roster_count(hub->roster) + 1;
    if (needed <= hub->leave_capacity) {
        return 0;
    }
    const size_t capacity = 2 * needed;
    struct hub_leave *grown = realloc(hub->leaves, capacity * sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    hub->leaves = grown;
    hub->leave_capacity = capacity;
    return 0;
}

static int ask_interest(struct hub *hub, const struct room *room)
{
    struct blob *name = hub_copy_name(hub, room_name(room));
    if (name == NULL) {
        return -ENOMEM;
    }
    const struct post post = {
        .kind = POST_INTEREST,
        .interest = {.blob = name, .hash = room->hash, .room = roster_handle(hub->roster, room)},
    };
    hub_ask(hub, room->home, &post);
    return 0;
}

/* A room with one member that waits: the home is asked, or answers at once where we are it. */
static void first_member(struct hub *hub, struct room *room)
{
    struct channel_interest interest;
    int result;

    if (room->home != hub->options.reactor || policy_is_durable(room->policy)) {
        result = ask_interest(hub, room);
    } else {
        result = channel_add_interest(hub->home, room->hash, room_name(room),
                                      roster_handle(hub->roster, room), &interest);
        if (result == 0) {
            hub_room_joined(hub, room, &interest);
        }
    }
    if (result != 0) {
        hub_room_refused(hub, room, CODES_ERROR_INTERNAL);
    }
}

/* -- the commands ------------------------------------------------------------------------------ */

static enum codes_error error_for(const struct hub *hub, enum permission_verdict verdict)
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
    case PERMISSION_GRANTED:
        break;
    }
    return CODES_ERROR_NONE;
}

/* The session's subscription to a channel, or -1. */
static int find_subscription(struct hub *hub, const struct session *session, struct bytes channel,
                             uint64_t hash)
{
    const struct room *room = roster_find(hub->roster, hash, channel);
    return room == NULL ? -1 : session_find(session, room->slot);
}

enum codes_error hub_may(struct hub *hub, const struct session *session, struct bytes channel,
                         uint64_t hash, enum permission_verb verb)
{
    const int subscription = find_subscription(hub, session, channel, hash);
    const struct permission_subject subject = {
        .anonymous = session_user(session).size == 0,
        .subscribed = subscription >= 0 && !session->subscriptions[subscription].is_waiting,
    };
    return error_for(hub, permission_judge(hub->options.policies, subject, channel, verb));
}

static void join_room(struct hub *hub, struct session *session, const struct command *command,
                      uint64_t hash)
{
    const struct bytes channel = command->subscribe.channel;
    struct room *room = roster_find(hub->roster, hash, channel);
    const bool is_new = room == NULL;

    if (is_new && reserve_leave(hub) == 0) {
        room = roster_open(hub->roster, hash, channel, policy_find(hub->options.policies, channel),
                           ids_home_of(hash, hub->options.reactor_count));
    }
    const bool is_lost = room != NULL && room->state == ROOM_LOST;
    if (is_lost) {
        room->state = ROOM_JOINING;
    }
    if (room == NULL || hub_enter_room(hub, session, room, command) != 0) {
        if (room != NULL && (is_new || is_lost)) {
            room->state = ROOM_LOST;
            hub_room_maybe_left(hub, room);
        }
        hub_reply_error(&hub->reply, session, command->id, CODES_ERROR_INTERNAL);
        return;
    }
    if (is_new || is_lost) {
        first_member(hub, room);
    }
}

static uint16_t apply_subscribe(struct hub *hub, struct session *session,
                                const struct command *command)
{
    const struct bytes channel = command->subscribe.channel;
    if (channel.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const uint64_t hash = table_hash(&hub->options.key, channel);
    const enum codes_error error = hub_may(hub, session, channel, hash, PERMISSION_SUBSCRIBE);
    if (error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, command->id, error);
        return stay;
    }
    if (find_subscription(hub, session, channel, hash) >= 0) {
        hub_reply_error(&hub->reply, session, command->id, CODES_ERROR_ALREADY_SUBSCRIBED);
        return stay;
    }
    if (hub->refuses_subscriptions) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OVERLOAD_SUBSCRIPTION, 1);
        hub_reply_error(&hub->reply, session, command->id, CODES_ERROR_LIMIT_EXCEEDED);
        return stay;
    }
    if (session->subscription_count >= hub->options.channel_limit) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_CHANNEL_LIMIT, 1);
        hub_reply_error(&hub->reply, session, command->id, CODES_ERROR_LIMIT_EXCEEDED);
        return stay;
    }
    join_room(hub, session, command, hash);
    return stay;
}

static uint16_t apply_unsubscribe(struct hub *hub, struct session *session,
                                  const struct command *command)
{
    const struct bytes channel = command->unsubscribe.channel;
    if (channel.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const uint64_t hash = table_hash(&hub->options.key, channel);
    const int index = find_subscription(hub, session, channel, hash);
    if (index >= 0) {
        const struct session_subscription subscription = session->subscriptions[index];
        if (subscription.is_waiting) {
            /* The subscribe had been accepted, only not yet confirmed: it has its answer, too. */
            const struct room *room = roster_slot(hub->roster, subscription.room);
            const struct event_subscribed result = {.offset = 0};
            hub_reply_subscribe(&hub->reply, session, room->waiters[subscription.member].command,
                                &result);
        }
        hub_leave_room(hub, session, (uint32_t)index);
    }
    hub_reply_empty(&hub->reply, session, command->id, EVENT_EMPTY_UNSUBSCRIBE);
    return stay;
}

/*
 * Only `connect` opens a session, once, and whatever comes before it is no client of ours. What a
 * client sent together with a `connect` that was refused is not answered.
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
    if (session->state == SESSION_REFUSED) {
        return stay;
    }
    switch (command->method) {
    case COMMAND_CONNECT:
        return hub_apply_connect(hub, session, command);
    case COMMAND_SUBSCRIBE:
        return apply_subscribe(hub, session, command);
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
        hub_reply_error(&hub->reply, session, command->id, CODES_ERROR_NOT_AVAILABLE);
        return stay;
    case COMMAND_SEND:
        return CODES_DISCONNECT_NOT_AVAILABLE;
    case COMMAND_PONG:
        break;
    }
    return CODES_DISCONNECT_BAD_REQUEST; /* pongs are the gateway's: this one answers no ping */
}
