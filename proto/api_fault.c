/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a request whose members have the right types; and what came as base64 is
 * decoded.
 */
#include <string.h>

#include "core/check.h"
#include "proto/api.h"
#include "proto/api_private.h"
#include "proto/base64.h"
#include "proto/codes.h"
#include "proto/json.h"

enum {
    DISCONNECT_END = 5000,
    REASON_SIZE_MAX = 123, /* bytes: what a close frame has room for behind its code */
};

/* -- what is published ------------------------------------------------------------------------- */

static bool tags_are_good(struct bytes tags)
{
    struct json_reader json;
    struct json_string string;
    json_reader_init(&json, tags, 1);

    enum json_verdict verdict = json_open_object(&json);
    while (verdict == JSON_OK) {
        verdict = json_next_member(&json, &string);
        if (verdict == JSON_OK) {
            verdict = json_read_string(&json, &string);
        }
    }
    return verdict == JSON_END;
}

/* Is it nothing, in any of the ways in which that can be said? */
static bool is_absent(struct bytes json)
{
    return json.size == 0 || json.data[0] == 'n';
}

/* Clients are told JSON, so what comes as base64 has to be that. Only one of the two is there. */
static bool decode(const struct simd_ops *simd, struct bytes *base64, struct bytes *json)
{
    struct span text = api_lent(*base64);

    if (base64->size == 0) {
        return true;
    }
    if (!is_absent(*json) || !base64_decode(BASE64_PADDED, *base64, text.data, &text.size)) {
        return false;
    }
    *base64 = (struct bytes){NULL, 0};
    *json = (struct bytes){text.data, text.size};
    if (!api_is_utf8(simd, *json) || json_validate(*json, API_DATA_DEPTH_MAX) != JSON_OK) {
        return false;
    }
    json->size = json_compact(text);
    return true;
}

static const char *find_publish_fault(const struct simd_ops *simd, struct api_publish *publish)
{
    if (!decode(simd, &publish->b64data, &publish->data)) {
        return "b64data";
    }
    if (publish->data.size == 0) {
        return "data";
    }
    return publish->tags.size == 0 || tags_are_good(publish->tags) ? NULL : "tags";
}

/* -- users ------------------------------------------------------------------------------------- */

/* Whose connections it is about has to be said in a way that we know. */
static const char *find_whose_fault(const struct api_user *user)
{
    if (user->session.size > 0) {
        return "session";
    }
    return user->user.size > 0 || user->client.size > 0 ? NULL : "user";
}

static const char *find_channel_fault(const struct api_user *user)
{
    const char *fault = find_whose_fault(user);
    return fault == NULL && user->channel.size == 0 ? "channel" : fault;
}

static const char *find_subscribe_fault(const struct simd_ops *simd, struct api_user *user)
{
    const char *fault = find_channel_fault(user);

    if (fault != NULL) {
        return fault;
    }
    if (user->has_position) {
        return "recover_since";
    }
    if (user->expire_at_s != 0) {
        return "expire_at";
    }
    if (!decode(simd, &user->b64info, &user->info)) {
        return "b64info";
    }
    return decode(simd, &user->b64data, &user->data) ? NULL : "b64data";
}

/* A code that a back end may end a connection with, and text for which a frame has room. */
static const char *find_disconnect_fault(const struct api_user *user)
{
    const char *fault = find_whose_fault(user);

    if (fault != NULL || !user->has_disconnect) {
        return fault;
    }
    if (user->code < CODES_DISCONNECT_CLOSED || user->code >= DISCONNECT_END) {
        return "disconnect.code";
    }
    return user->reason.size <= REASON_SIZE_MAX ? NULL : "disconnect.reason";
}

static const char *find_refresh_fault(const struct api_user *user)
{
    const char *fault = find_whose_fault(user);

    if (fault != NULL) {
        return fault;
    }
    if (!is_absent(user->info)) {
        return "info";
    }
    return user->expire_at_s >= 0 ? NULL : "expire_at";
}

/* Of what is to be forbidden, or allowed again. */
static const char *find_rule_fault(enum api_method method, const struct api_user *user)
{
    if (method == API_REVOKE_TOKEN ? user->uid.size == 0 : user->user.size == 0) {
        return method == API_REVOKE_TOKEN ? "uid" : "user";
    }
    if (user->channel.size > 0) {
        return "channel";
    }
    if (user->issued_before_s < 0) {
        return "issued_before";
    }
    return user->expire_at_s >= 0 ? NULL : "expire_at";
}

/* -- all of them ------------------------------------------------------------------------------- */

/* Of globs only '*' and '?': what means something else to others is not taken by the letter. */
static bool pattern_is_good(struct bytes pattern)
{
    return pattern.size == 0 || (memchr(pattern.data, '[', pattern.size) == NULL &&
                                 memchr(pattern.data, '{', pattern.size) == NULL &&
                                 memchr(pattern.data, '\\', pattern.size) == NULL);
}

const char *api_find_fault(const struct simd_ops *simd, struct api_command *command)
{
    switch (command->method) {
    case API_PUBLISH:
        return command->publish.channel.size == 0 ? "channel"
                                                  : find_publish_fault(simd, &command->publish);
    case API_BROADCAST:
        return command->publish.channels.size == 0 ? "channels"
                                                   : find_publish_fault(simd, &command->publish);
    case API_PRESENCE:
    case API_PRESENCE_STATS:
    case API_HISTORY_REMOVE:
        return command->presence.channel.size > 0 ? NULL : "channel";
    case API_HISTORY:
        return command->history.channel.size > 0 ? NULL : "channel";
    case API_CHANNELS:
        return pattern_is_good(command->channels.channel) ? NULL : "pattern";
    case API_RPC:
        return command->rpc.method.size > 0 ? NULL : "method";
    case API_SUBSCRIBE:
        return find_subscribe_fault(simd, &command->user);
    case API_UNSUBSCRIBE:
        return find_channel_fault(&command->user);
    case API_DISCONNECT:
        return find_disconnect_fault(&command->user);
    case API_REFRESH:
        return find_refresh_fault(&command->user);
    case API_BLOCK_USER:
    case API_UNBLOCK_USER:
    case API_REVOKE_TOKEN:
    case API_INVALIDATE_USER_TOKENS:
        return find_rule_fault(command->method, &command->user);
    case API_INFO:
    case API_RELOAD:
        return NULL;
    }
    NEVER("a method that is none");
}
