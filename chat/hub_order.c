/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a back end orders about a user, done on one reactor: sessions are ended, or leave a channel;
 * users and tokens are forbidden, and whoever is here by them goes at once.
 */
#include <errno.h>
#include <string.h>

#include "chat/claims.h"
#include "chat/grant.h"
#include "chat/hub_state.h"
#include "chat/identity.h"
#include "chat/order.h"
#include "chat/outbox.h"
#include "chat/revocations.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "chat/users.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/slab.h"
#include "core/timerwheel.h"
#include "proto/command.h"

static const uint64_t ns_per_s = 1000000000;

/* -- whom it is about -------------------------------------------------------------------------- */

static bool has_id(const struct session *session, struct bytes text)
{
    uint8_t id[SESSION_ID_TEXT_SIZE];
    session_write_id(session, id);
    return text.size == sizeof(id) && memcmp(text.data, id, sizeof(id)) == 0;
}

static bool is_kept(const struct session *session, struct bytes kept)
{
    for (size_t at = 0; at < kept.size; at += SESSION_ID_TEXT_SIZE) {
        if (has_id(session, (struct bytes){kept.data + at, SESSION_ID_TEXT_SIZE})) {
            return true;
        }
    }
    return false;
}

/* Who waits for the subscriptions that its connect brings may only be ended. */
static bool is_in_state(const struct session *session, enum order_kind kind)
{
    const bool is_change =
        kind == ORDER_SUBSCRIBE || kind == ORDER_UNSUBSCRIBE || kind == ORDER_REFRESH;
    return session->state == SESSION_CONNECTED ||
           (session->state == SESSION_ARRIVING && !is_change);
}

static bool is_meant(const struct session *session, const struct order *order)
{
    return is_in_state(session, order->kind) && !session->is_ending &&
           (order->client.size == 0 || has_id(session, order->client)) &&
           !is_kept(session, order->kept);
}

/* -- what is done ------------------------------------------------------------------------------ */

static void disconnect(struct hub *hub, struct session *session, const struct order *order)
{
    outbox_disconnect_with(hub->options.outbox, session->conn, order->code, order->reason);
    session->is_ending = true;
}

static void unsubscribe(struct hub *hub, struct session *session, const struct order *order)
{
    const uint64_t hash = table_hash(&hub->options.key, order->channel);
    const int index = hub_find(hub, session, order->channel, hash);
    if (index >= 0) {
        hub_unsubscribe(hub, session, (uint32_t)index, CODES_UNSUBSCRIBE_SERVER);
    }
}

/* Who is in it already stays as it is. */
static enum codes_error subscribe(struct hub *hub, struct session *session,
                                  const struct order *order)
{
    static const struct command_subscribe wanted = {.offset = 0};
    const struct grant_source source = {
        .info = order->info,
        .data = order->data,
        .overrides = order->overrides,
        .by_server = true,
    };
    const uint64_t hash = table_hash(&hub->options.key, order->channel);
    const enum codes_error error = hub_has_place(hub, session, order->channel, hash);
    if (error == CODES_ERROR_NONE) {
        return hub_subscribe_for(hub, session, order->channel, &source, &wanted);
    }
    return error == CODES_ERROR_ALREADY_SUBSCRIBED ? CODES_ERROR_NONE : error;
}

/* An anonymous session needs an identity to have an end. */
static enum codes_error set_end(struct hub *hub, struct session *session, uint64_t ttl_s)
{
    static const struct claims nobody = {.expires = false};

    if (session->identity == NULL && identity_create(hub->users, session, &nobody) != IDENTITY_OK) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    timerwheel_arm(hub->expiries, &session->identity->expiry.timer,
                   hub->now_ns + ttl_s * ns_per_s + hub->options.expired_close_delay_ns);
    return CODES_ERROR_NONE;
}

/* Another end, or none any more, of which the client is told; or the end. */
static enum codes_error refresh(struct hub *hub, struct session *session, const struct order *order)
{
    enum codes_error error = CODES_ERROR_NONE;

    if (order->ends_now || (order->has_ttl && order->ttl_s == 0)) {
        metrics_add(hub->options.metrics, METRIC_EXPIRED_CONNECTIONS, 1);
        hub_reply_disconnect(&hub->reply, session, CODES_DISCONNECT_EXPIRED);
        return CODES_ERROR_NONE;
    }
    if (order->has_ttl) {
        error = set_end(hub, session, order->ttl_s);
    } else if (session->identity != NULL) {
        timerwheel_cancel(hub->expiries, &session->identity->expiry.timer);
    }
    if (error == CODES_ERROR_NONE) {
        hub_reply_refresh_push(&hub->reply, session, (uint32_t)order->ttl_s);
    }
    return error;
}

static struct claims claims_of(const struct session *session)
{
    const struct identity *identity = session->identity;
    return (struct claims){
        .user = session_user(session),
        .id = identity_token_id(identity),
        .issued_at_s = identity->issued_at_s,
    };
}

static void end_if_forbidden(struct hub *hub, struct session *session, enum codes_disconnect code)
{
    const struct claims claims = claims_of(session);
    if (revocations_forbid(hub->revocations, &claims, hub->now_ns)) {
        hub_reply_disconnect(&hub->reply, session, code);
    }
}

static enum codes_error apply(struct hub *hub, struct session *session, const struct order *order)
{
    switch (order->kind) {
    case ORDER_SUBSCRIBE:
        return subscribe(hub, session, order);
    case ORDER_UNSUBSCRIBE:
        unsubscribe(hub, session, order);
        return CODES_ERROR_NONE;
    case ORDER_DISCONNECT:
        disconnect(hub, session, order);
        return CODES_ERROR_NONE;
    case ORDER_REFRESH:
        return refresh(hub, session, order);
    case ORDER_BLOCK_USER:
        end_if_forbidden(hub, session, CODES_DISCONNECT_FORCE);
        return CODES_ERROR_NONE;
    case ORDER_REVOKE_TOKEN:
    case ORDER_INVALIDATE_USER_TOKENS:
        end_if_forbidden(hub, session, CODES_DISCONNECT_INVALID_TOKEN);
        return CODES_ERROR_NONE;
    case ORDER_UNBLOCK_USER:
        return CODES_ERROR_NONE;
    }
    NEVER("an order that is none");
}

/* -- everybody it is about --------------------------------------------------------------------- */

static enum codes_error apply_to_user(struct hub *hub, const struct order *order)
{
    struct user *user = users_find(hub->users, order->user);
    enum codes_error error = CODES_ERROR_NONE;

    if (user == NULL) {
        return CODES_ERROR_NONE;
    }
    for (struct list_link *link = user->sessions.next; link != &user->sessions;) {
        struct session *session = LIST_OWNER(link, struct identity, link)->session;
        link = link->next;
        const enum codes_error one =
            is_meant(session, order) ? apply(hub, session, order) : CODES_ERROR_NONE;
        error = error == CODES_ERROR_NONE ? one : error;
    }
    return error;
}

/* By a token's id, or a client's without a user: everybody has to be looked at. */
static enum codes_error apply_to_all(struct hub *hub, const struct order *order)
{
    const bool is_token = order->kind == ORDER_REVOKE_TOKEN;
    enum codes_error error = CODES_ERROR_NONE;

    for (uint32_t slot = 0; slot < slab_slot_end(hub->sessions); slot++) {
        struct session *session = slab_at(hub->sessions, slot);
        if (session == NULL ||
            (is_token ? session->identity == NULL : session_user(session).size > 0) ||
            !is_meant(session, order)) {
            continue;
        }
        const enum codes_error one = apply(hub, session, order);
        error = error == CODES_ERROR_NONE ? one : error;
    }
    return error;
}

static int forbid(struct hub *hub, enum revocations_kind kind, struct bytes text,
                  const struct order *order)
{
    const struct revocations_entry entry = {
        .kind = kind,
        .text = text,
        .issued_before_s = order->issued_before_s,
        .expires_ns = order->has_ttl ? hub->now_ns + order->ttl_s * ns_per_s : UINT64_MAX,
    };
    return revocations_add(hub->revocations, &entry, hub->now_ns);
}

/* What it forbids, or allows again, for those who come later. */
static int take_rule(struct hub *hub, const struct order *order)
{
    switch (order->kind) {
    case ORDER_BLOCK_USER:
        return forbid(hub, REVOCATIONS_USER, order->user, order);
    case ORDER_UNBLOCK_USER:
        revocations_remove(hub->revocations, REVOCATIONS_USER, order->user);
        return 0;
    case ORDER_REVOKE_TOKEN:
        return forbid(hub, REVOCATIONS_TOKEN, order->token_id, order);
    case ORDER_INVALIDATE_USER_TOKENS:
        return forbid(hub, REVOCATIONS_ISSUED_TO, order->user, order);
    case ORDER_SUBSCRIBE:
    case ORDER_UNSUBSCRIBE:
    case ORDER_DISCONNECT:
    case ORDER_REFRESH:
        return 0;
    }
    NEVER("an order that is none");
}

enum codes_error hub_obey(struct hub *hub, const struct blob *blob)
{
    const struct order order = order_unpack(blob);
    const int result = take_rule(hub, &order);

    if (result != 0) {
        return result == -ENOSPC ? CODES_ERROR_LIMIT_EXCEEDED : CODES_ERROR_INTERNAL;
    }
    return order.user.size > 0 ? apply_to_user(hub, &order) : apply_to_all(hub, &order);
}
