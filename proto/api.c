/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/api.h"

#include <string.h>

#include "core/check.h"
#include "proto/base64.h"
#include "proto/codes.h"
#include "proto/fields.h"
#include "proto/utf8.h"

enum {
    DATA_DEPTH_MAX = COMMAND_DEPTH_MAX - 2, /* as deep as what a client may publish */
    REQUEST_DEPTH_MAX = DATA_DEPTH_MAX + 1, /* {"data": ...} */
    COMMAND_LEVELS = REQUEST_DEPTH_MAX + 1, /* {"publish": {"data": ...}} */
    BATCH_DEPTH_MAX = COMMAND_LEVELS + 2,   /* {"commands": [{"publish": ...}]} */
    DISCONNECT_END = 5000,
    REASON_SIZE_MAX = 123, /* bytes: what a close frame has room for behind its code */
};

/* clang-format off */
static const struct fields_row publish_rows[] = {
    FIELDS_ROW(struct api_command, publish.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct api_command, publish.data, "data", FIELDS_RAW),
    FIELDS_ROW(struct api_command, publish.b64data, "b64data", FIELDS_STRING),
    FIELDS_ROW(struct api_command, publish.tags, "tags", FIELDS_RAW_OBJECT),
    FIELDS_ROW(struct api_command, publish.key, "idempotency_key", FIELDS_STRING),
};

static const struct fields_row broadcast_rows[] = {
    FIELDS_ROW(struct api_command, publish.channels, "channels", FIELDS_RAW_ARRAY),
    FIELDS_ROW(struct api_command, publish.data, "data", FIELDS_RAW),
    FIELDS_ROW(struct api_command, publish.b64data, "b64data", FIELDS_STRING),
    FIELDS_ROW(struct api_command, publish.tags, "tags", FIELDS_RAW_OBJECT),
    FIELDS_ROW(struct api_command, publish.key, "idempotency_key", FIELDS_STRING),
};

static const struct fields_row channel_rows[] = {
    FIELDS_ROW(struct api_command, presence.channel, "channel", FIELDS_STRING),
};

static const struct fields_row since_rows[] = {
    FIELDS_ROW(struct api_command, history.since_offset, "offset", FIELDS_UINT64),
    FIELDS_ROW(struct api_command, history.since_epoch, "epoch", FIELDS_STRING),
};
static const struct fields_table since_table = FIELDS_TABLE(since_rows);

static const struct fields_row history_rows[] = {
    FIELDS_ROW(struct api_command, history.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct api_command, history.limit, "limit", FIELDS_INT32),
    FIELDS_INNER(struct api_command, history.has_since, "since", &since_table),
    FIELDS_ROW(struct api_command, history.reverse, "reverse", FIELDS_BOOL),
};

static const struct fields_row pattern_rows[] = {
    FIELDS_ROW(struct api_command, channels.channel, "pattern", FIELDS_STRING),
};

/* Of all methods about a user: each looks at what is its own. */
static const struct fields_row reason_rows[] = {
    FIELDS_ROW(struct api_command, user.code, "code", FIELDS_UINT32),
    FIELDS_ROW(struct api_command, user.reason, "reason", FIELDS_STRING),
};
static const struct fields_table reason_table = FIELDS_TABLE(reason_rows);
static const struct fields_table empty_table = {.rows = NULL, .count = 0};

static const struct fields_row user_rows[] = {
    FIELDS_ROW(struct api_command, user.user, "user", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.client, "client", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.session, "session", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.channel, "channel", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.info, "info", FIELDS_RAW),
    FIELDS_ROW(struct api_command, user.data, "data", FIELDS_RAW),
    FIELDS_ROW(struct api_command, user.uid, "uid", FIELDS_STRING),
    FIELDS_ROW(struct api_command, user.whitelist, "whitelist", FIELDS_RAW_ARRAY),
    FIELDS_ROW(struct api_command, user.override, "override", FIELDS_RAW_OBJECT),
    FIELDS_ROW(struct api_command, user.expire_at_s, "expire_at", FIELDS_INT64),
    FIELDS_ROW(struct api_command, user.issued_before_s, "issued_before", FIELDS_INT64),
    FIELDS_INNER(struct api_command, user.has_disconnect, "disconnect", &reason_table),
    FIELDS_INNER(struct api_command, user.has_position, "recover_since", &empty_table),
    FIELDS_ROW(struct api_command, user.expired, "expired", FIELDS_BOOL),
};

static const struct fields_row batch_rows[] = {
    FIELDS_ROW(struct api_batch, commands, "commands", FIELDS_RAW_ARRAY),
    FIELDS_ROW(struct api_batch, parallel, "parallel", FIELDS_BOOL),
};
static const struct fields_table batch_table = FIELDS_TABLE(batch_rows);

static const struct fields_table publish_table = FIELDS_TABLE(publish_rows);
static const struct fields_table broadcast_table = FIELDS_TABLE(broadcast_rows);
static const struct fields_table channel_table = FIELDS_TABLE(channel_rows);
static const struct fields_table history_table = FIELDS_TABLE(history_rows);
static const struct fields_table pattern_table = FIELDS_TABLE(pattern_rows);
static const struct fields_table user_table = FIELDS_TABLE(user_rows);

/* Only names and tables are used: which of them counts is decided here, not by fields_read(). */
#define METHOD(name, table) FIELDS_INNER(struct api_command, method, name, table)
static const struct fields_row method_rows[API_METHOD_COUNT] = {
    [API_PUBLISH] = METHOD("publish", &publish_table),
    [API_BROADCAST] = METHOD("broadcast", &broadcast_table),
    [API_PRESENCE] = METHOD("presence", &channel_table),
    [API_PRESENCE_STATS] = METHOD("presence_stats", &channel_table),
    [API_HISTORY] = METHOD("history", &history_table),
    [API_INFO] = METHOD("info", &empty_table),
    [API_HISTORY_REMOVE] = METHOD("history_remove", &channel_table),
    [API_CHANNELS] = METHOD("channels", &pattern_table),
    [API_RPC] = METHOD("rpc", &empty_table),
    [API_SUBSCRIBE] = METHOD("subscribe", &user_table),
    [API_UNSUBSCRIBE] = METHOD("unsubscribe", &user_table),
    [API_DISCONNECT] = METHOD("disconnect", &user_table),
    [API_REFRESH] = METHOD("refresh", &user_table),
    [API_BLOCK_USER] = METHOD("block_user", &user_table),
    [API_UNBLOCK_USER] = METHOD("unblock_user", &user_table),
    [API_REVOKE_TOKEN] = METHOD("revoke_token", &user_table),
    [API_INVALIDATE_USER_TOKENS] = METHOD("invalidate_user_tokens", &user_table),
    [API_RELOAD] = METHOD("reload", &empty_table),
};
/* clang-format on */

static const struct fields_table method_table = FIELDS_TABLE(method_rows);

_Static_assert((int)API_METHOD_COUNT <= (int)FIELDS_COUNT_MAX, "they are the rows of a table");
_Static_assert(sizeof(struct span) == sizeof(struct bytes), "they differ by a const");

enum api_method api_find_method(struct bytes name)
{
    return (enum api_method)fields_find(&method_table, (struct json_string){.raw = name});
}

const char *api_method_name(enum api_method method)
{
    CHECK((int)method < API_METHOD_COUNT);
    return method_rows[method].name;
}

/* The body was lent to write to, and the view is a part of it. */
static struct span lent(struct bytes view)
{
    struct span span;
    memcpy(&span, &view, sizeof(span));
    return span;
}

static bool is_utf8(const struct simd_ops *simd, struct bytes text)
{
    struct utf8_state state = {0};
    return utf8_check(simd, &state, text) == UTF8_VALID && utf8_is_complete(state);
}

/* One object, with nothing but white space around it. */
static bool read_object(struct span text, const struct fields_table *table, uint32_t depth_max,
                        void *target)
{
    struct json_reader json;
    json_reader_init(&json, (struct bytes){text.data, text.size}, depth_max);
    return fields_read(&json, text, table, target) == JSON_OK && json_peek(&json) == JSON_NOTHING &&
           json.at == json.end;
}

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

/* Clients are told JSON, so what comes as base64 has to be that. */
static bool decode_data(const struct simd_ops *simd, struct api_publish *publish)
{
    struct span data = lent(publish->b64data);

    if (publish->data.size > 0 ||
        !base64_decode(BASE64_PADDED, publish->b64data, data.data, &data.size)) {
        return false;
    }
    publish->b64data = (struct bytes){NULL, 0};
    publish->data = (struct bytes){data.data, data.size};
    if (!is_utf8(simd, publish->data) || json_validate(publish->data, DATA_DEPTH_MAX) != JSON_OK) {
        return false;
    }
    publish->data.size = json_compact(data);
    return true;
}

static bool settle_publish(const struct simd_ops *simd, struct api_publish *publish)
{
    if (publish->b64data.size > 0 && !decode_data(simd, publish)) {
        return false;
    }
    return publish->data.size > 0 && (publish->tags.size == 0 || tags_are_good(publish->tags));
}

/* A code that a back end may end a connection with, and text for which a frame has room. */
static bool disconnect_is_good(const struct api_user *user)
{
    return !user->has_disconnect ||
           (user->code >= CODES_DISCONNECT_CLOSED && user->code < DISCONNECT_END &&
            user->reason.size <= REASON_SIZE_MAX);
}

static bool has_connections(const struct api_user *user)
{
    return user->user.size > 0 || user->client.size > 0;
}

/* Is it all there, whatever the channels are called? */
static bool settle(const struct simd_ops *simd, struct api_command *command)
{
    switch (command->method) {
    case API_PUBLISH:
        return command->publish.channel.size > 0 && settle_publish(simd, &command->publish);
    case API_BROADCAST:
        return command->publish.channels.size > 0 && settle_publish(simd, &command->publish);
    case API_PRESENCE:
    case API_PRESENCE_STATS:
    case API_HISTORY_REMOVE:
        return command->presence.channel.size > 0;
    case API_HISTORY:
        return command->history.channel.size > 0;
    case API_SUBSCRIBE:
    case API_UNSUBSCRIBE:
        return has_connections(&command->user) && command->user.channel.size > 0;
    case API_DISCONNECT:
        return has_connections(&command->user) && disconnect_is_good(&command->user);
    case API_REFRESH:
        return has_connections(&command->user) && command->user.expire_at_s >= 0;
    case API_BLOCK_USER:
    case API_UNBLOCK_USER:
    case API_INVALIDATE_USER_TOKENS:
        return command->user.user.size > 0 && command->user.expire_at_s >= 0 &&
               command->user.issued_before_s >= 0;
    case API_REVOKE_TOKEN:
        return command->user.uid.size > 0 && command->user.expire_at_s >= 0;
    case API_CHANNELS:
    case API_INFO:
    case API_RPC:
    case API_RELOAD:
        return true;
    }
    NEVER("a method that is none");
}

/* -- requests ---------------------------------------------------------------------------------- */

enum api_verdict api_read(const struct simd_ops *simd, enum api_method method, struct span body,
                          struct api_command *command)
{
    CHECK((int)method < API_METHOD_COUNT);
    struct api_command read;
    memset(&read, 0, sizeof(read));

    if (body.size > 0 &&
        (!is_utf8(simd, (struct bytes){body.data, body.size}) ||
         !read_object(body, method_rows[method].inner, REQUEST_DEPTH_MAX, &read))) {
        return API_BAD_REQUEST;
    }
    read.method = method;
    if (!settle(simd, &read)) {
        return API_BAD_REQUEST;
    }
    *command = read;
    return API_OK;
}

enum api_verdict api_read_batch(const struct simd_ops *simd, struct span body,
                                struct api_batch *batch)
{
    struct api_batch read;
    memset(&read, 0, sizeof(read));

    if (body.size == 0 || !is_utf8(simd, (struct bytes){body.data, body.size}) ||
        !read_object(body, &batch_table, BATCH_DEPTH_MAX, &read) || read.commands.size == 0) {
        return API_BAD_REQUEST;
    }
    *batch = read;
    return API_OK;
}

/* The first member that is a method we know; `null` is the same as nothing. */
static enum api_verdict find_request(struct span text, enum api_method *method,
                                     struct bytes *request)
{
    struct json_reader json;
    struct json_string name;
    json_reader_init(&json, (struct bytes){text.data, text.size}, COMMAND_LEVELS);

    *method = (enum api_method)API_METHOD_COUNT;
    enum json_verdict verdict = json_open_object(&json);
    while (verdict == JSON_OK) {
        struct bytes value;
        verdict = json_next_member(&json, &name);
        if (verdict != JSON_OK) {
            break;
        }
        const bool is_null = json_peek(&json) == JSON_NULL;
        verdict = json_read_raw(&json, &value);
        const size_t index = fields_find(&method_table, name);
        if (verdict == JSON_OK && !is_null && index < (size_t)*method) {
            *method = (enum api_method)index;
            *request = value;
        }
    }
    if (verdict != JSON_END || json_peek(&json) != JSON_NOTHING || json.at != json.end) {
        return API_BAD_REQUEST;
    }
    return (int)*method == API_METHOD_COUNT ? API_NO_METHOD : API_OK;
}

enum api_verdict api_read_command(const struct simd_ops *simd, struct span text,
                                  struct api_command *command)
{
    enum api_method method;
    struct bytes request = {NULL, 0};
    const enum api_verdict verdict = find_request(text, &method, &request);

    return verdict == API_OK ? api_read(simd, method, lent(request), command) : verdict;
}

/* -- lists ------------------------------------------------------------------------------------- */

void api_list_init(struct api_list *list, struct bytes array)
{
    *list = (struct api_list){.array = lent(array)};
    json_reader_init(&list->json, array, BATCH_DEPTH_MAX);
}

static enum api_verdict next(struct api_list *list)
{
    if (!list->is_open) {
        list->is_open = true;
        const enum json_verdict opened = json_open_array(&list->json);
        CHECK(opened == JSON_OK); /* the body was read, and this was an array in it */
    }
    const enum json_verdict verdict = json_next_element(&list->json);
    CHECK(verdict == JSON_OK || verdict == JSON_END);
    return verdict == JSON_OK ? API_OK : API_END;
}

enum api_verdict api_list_next_text(struct api_list *list, struct bytes *text)
{
    struct json_string string;
    const enum api_verdict verdict = next(list);

    if (verdict != API_OK) {
        return verdict;
    }
    if (json_peek(&list->json) != JSON_STRING) {
        const enum json_verdict skipped = json_skip_value(&list->json);
        CHECK(skipped == JSON_OK);
        return API_BAD_REQUEST;
    }
    const enum json_verdict read = json_read_string(&list->json, &string);
    CHECK(read == JSON_OK);
    *text = string.raw;
    return !string.escaped ||
                   json_decode_string(string, lent(string.raw).data, &text->size) == JSON_OK
               ? API_OK
               : API_BAD_REQUEST;
}

enum api_verdict api_list_next(struct api_list *list, struct span *value)
{
    struct bytes raw;
    const enum api_verdict verdict = next(list);

    if (verdict == API_OK) {
        const enum json_verdict skipped = json_read_raw(&list->json, &raw);
        CHECK(skipped == JSON_OK);
        *value = lent(raw);
    }
    return verdict;
}
