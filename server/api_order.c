/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api_order.h"

#include <string.h>

#include "core/check.h"

/* An id of another length is nobody's. */
static enum codes_error copy_kept(struct api_order *made, struct bytes whitelist)
{
    struct api_list list;
    struct bytes id;
    size_t size = 0;

    if (whitelist.size == 0) {
        return CODES_ERROR_NONE;
    }
    api_list_init(&list, whitelist);
    enum api_verdict verdict = api_list_next_text(&list, &id);
    while (verdict == API_OK) {
        if (id.size == API_ORDER_ID_SIZE) {
            if (size == sizeof(made->kept)) {
                return CODES_ERROR_LIMIT_EXCEEDED;
            }
            memcpy(made->kept + size, id.data, id.size);
            size += id.size;
        }
        verdict = api_list_next_text(&list, &id);
    }
    made->order.kept = (struct bytes){made->kept, size};
    return verdict == API_END ? CODES_ERROR_NONE : CODES_ERROR_BAD_REQUEST;
}

/* A moment that has passed is now. */
static void set_end(struct order *order, int64_t expire_at_s, time_t now)
{
    order->has_ttl = expire_at_s > 0;
    order->ttl_s = expire_at_s > (int64_t)now ? (uint64_t)(expire_at_s - (int64_t)now) : 0;
    if (order->ttl_s > API_ORDER_TTL_MAX_S) {
        order->ttl_s = API_ORDER_TTL_MAX_S;
    }
}

static enum codes_error take_disconnect(struct api_order *made, const struct api_user *user)
{
    made->order.code = user->has_disconnect ? (uint16_t)user->code : CODES_DISCONNECT_FORCE;
    made->order.reason = user->reason;
    if (!user->has_disconnect) {
        const char *text = codes_disconnect_text(CODES_DISCONNECT_FORCE);
        made->order.reason = (struct bytes){(const uint8_t *)text, strlen(text)};
    }
    return copy_kept(made, user->whitelist);
}

static enum order_kind kind_of(enum api_method method)
{
    switch (method) {
    case API_UNSUBSCRIBE:
        return ORDER_UNSUBSCRIBE;
    case API_DISCONNECT:
        return ORDER_DISCONNECT;
    case API_REFRESH:
        return ORDER_REFRESH;
    case API_BLOCK_USER:
        return ORDER_BLOCK_USER;
    case API_UNBLOCK_USER:
        return ORDER_UNBLOCK_USER;
    case API_REVOKE_TOKEN:
        return ORDER_REVOKE_TOKEN;
    case API_INVALIDATE_USER_TOKENS:
        return ORDER_INVALIDATE_USER_TOKENS;
    case API_SUBSCRIBE:
        return ORDER_SUBSCRIBE;
    case API_PUBLISH:
    case API_BROADCAST:
    case API_PRESENCE:
    case API_PRESENCE_STATS:
    case API_HISTORY:
    case API_HISTORY_REMOVE:
    case API_CHANNELS:
    case API_INFO:
    case API_RPC:
    case API_RELOAD:
        break;
    }
    NEVER("a method that is about no user");
}

static enum claims_override override_of(struct api_override override)
{
    if (!override.is_there) {
        return CLAIMS_KEEP;
    }
    return override.value ? CLAIMS_ON : CLAIMS_OFF;
}

static struct claims_overrides overrides_of(const struct api_overrides *said)
{
    return (struct claims_overrides){
        .presence = override_of(said->presence),
        .join_leave = override_of(said->join_leave),
        .force_recovery = override_of(said->force_recovery),
        .force_positioning = override_of(said->force_positioning),
        .force_push_join_leave = override_of(said->force_push_join_leave),
    };
}

enum codes_error api_order_make(struct api_order *made, const struct api_command *command,
                                time_t now)
{
    const struct api_user *user = &command->user;
    struct order *order = &made->order;

    *order = (struct order){
        .kind = kind_of(command->method),
        .user = user->user,
        .client = user->client,
        .ends_now = user->expired,
        .issued_before_s =
            user->issued_before_s > 0 ? (uint64_t)user->issued_before_s : (uint64_t)now,
    };
    if (order->kind == ORDER_SUBSCRIBE || order->kind == ORDER_UNSUBSCRIBE) {
        order->channel = user->channel;
    }
    if (order->kind == ORDER_SUBSCRIBE) {
        order->info = user->info;
        order->data = user->data;
        order->overrides = overrides_of(&user->overrides);
    }
    if (order->kind == ORDER_REVOKE_TOKEN) {
        order->user = (struct bytes){NULL, 0};
        order->token_id = user->uid;
    }
    set_end(order, user->expire_at_s, now);
    return order->kind == ORDER_DISCONNECT ? take_disconnect(made, user) : CODES_ERROR_NONE;
}
