/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/event.h"

#include <string.h>

#include "core/check.h"
#include "proto/fields.h"

/* clang-format off */

/* --- What we write --- */

static const struct fields_row connected_rows[] = {
    FIELDS_ROW(struct event_connected, client, "client", FIELDS_STRING),
    FIELDS_ROW(struct event_connected, version, "version", FIELDS_STRING),
    FIELDS_ROW(struct event_connected, expires, "expires", FIELDS_BOOL),
    FIELDS_ROW(struct event_connected, ttl_s, "ttl", FIELDS_UINT32),
    FIELDS_ROW(struct event_connected, data, "data", FIELDS_RAW),
    FIELDS_ROW(struct event_connected, subs, "subs", FIELDS_RAW_OBJECT),
    FIELDS_ROW(struct event_connected, ping_s, "ping", FIELDS_UINT32),
    FIELDS_ROW(struct event_connected, pong, "pong", FIELDS_BOOL),
    FIELDS_ROW(struct event_connected, session, "session", FIELDS_STRING),
    FIELDS_ROW(struct event_connected, node, "node", FIELDS_STRING),
    FIELDS_ROW(struct event_connected, time_ms, "time", FIELDS_INT64),
};
static const struct fields_table connected_table = FIELDS_TABLE(connected_rows);

static const struct fields_row subscribed_rows[] = {
    FIELDS_ROW(struct event_subscribed, expires, "expires", FIELDS_BOOL),
    FIELDS_ROW(struct event_subscribed, ttl_s, "ttl", FIELDS_UINT32),
    FIELDS_ROW(struct event_subscribed, recoverable, "recoverable", FIELDS_BOOL),
    FIELDS_ROW(struct event_subscribed, epoch, "epoch", FIELDS_STRING),
    FIELDS_ROW(struct event_subscribed, publications, "publications", FIELDS_RAW_ITEMS),
    FIELDS_ROW(struct event_subscribed, recovered, "recovered", FIELDS_BOOL),
    FIELDS_ROW(struct event_subscribed, offset, "offset", FIELDS_UINT64),
    FIELDS_ROW(struct event_subscribed, positioned, "positioned", FIELDS_BOOL),
    FIELDS_ROW(struct event_subscribed, data, "data", FIELDS_RAW),
    FIELDS_ROW(struct event_subscribed, was_recovering, "was_recovering", FIELDS_BOOL),
    FIELDS_ROW(struct event_subscribed, delta, "delta", FIELDS_BOOL),
};
static const struct fields_table subscribed_table = FIELDS_TABLE(subscribed_rows);

static const struct fields_row history_rows[] = {
    FIELDS_ROW(struct event_history, publications, "publications", FIELDS_RAW_ITEMS),
    FIELDS_ROW(struct event_history, epoch, "epoch", FIELDS_STRING),
    FIELDS_ROW(struct event_history, offset, "offset", FIELDS_UINT64),
};
static const struct fields_table history_table = FIELDS_TABLE(history_rows);

static const struct fields_row accepted_rows[] = {
    FIELDS_ROW(struct event_accepted, offset, "offset", FIELDS_UINT64),
    FIELDS_ROW(struct event_accepted, epoch, "epoch", FIELDS_STRING),
};
static const struct fields_table accepted_table = FIELDS_TABLE(accepted_rows);

static const struct fields_row client_info_rows[] = {
    FIELDS_ROW(struct event_client_info, user, "user", FIELDS_STRING),
    FIELDS_ROW(struct event_client_info, client, "client", FIELDS_STRING),
    FIELDS_ROW(struct event_client_info, conn_info, "conn_info", FIELDS_RAW),
    FIELDS_ROW(struct event_client_info, chan_info, "chan_info", FIELDS_RAW),
};
static const struct fields_table client_info_table = FIELDS_TABLE(client_info_rows);

/* --- What we read: everything into the one struct event, which has room for any of them --- */

#define ROW(member, name, kind) FIELDS_ROW(struct event, member, name, kind)
#define INNER(part, name, table) FIELDS_INNER(struct event, parts.part, name, table)

static const struct fields_row info_rows[] = {
    ROW(user, "user", FIELDS_STRING),
    ROW(client, "client", FIELDS_STRING),
    ROW(conn_info, "conn_info", FIELDS_RAW),
    ROW(chan_info, "chan_info", FIELDS_RAW),
};
static const struct fields_table info_table = FIELDS_TABLE(info_rows);

static const struct fields_row error_rows[] = {
    ROW(code, "code", FIELDS_UINT32),
    ROW(text, "message", FIELDS_STRING),
    ROW(temporary, "temporary", FIELDS_BOOL),
};
static const struct fields_table error_table = FIELDS_TABLE(error_rows);

static const struct fields_row pub_rows[] = {
    ROW(data, "data", FIELDS_RAW),
    INNER(info, "info", &info_table),
    ROW(offset, "offset", FIELDS_UINT64),
    ROW(tags, "tags", FIELDS_RAW_OBJECT),
    ROW(delta, "delta", FIELDS_BOOL),
    ROW(time_ms, "time", FIELDS_INT64),
};
static const struct fields_table pub_table = FIELDS_TABLE(pub_rows);

static const struct fields_row join_rows[] = {
    INNER(info, "info", &info_table),
};
static const struct fields_table join_table = FIELDS_TABLE(join_rows);

static const struct fields_row reason_rows[] = {
    ROW(code, "code", FIELDS_UINT32),
    ROW(text, "reason", FIELDS_STRING),
    ROW(reconnect, "reconnect", FIELDS_BOOL),
};
static const struct fields_table reason_table = FIELDS_TABLE(reason_rows);

static const struct fields_row data_rows[] = {
    ROW(data, "data", FIELDS_RAW),
};
static const struct fields_table data_table = FIELDS_TABLE(data_rows);

/* Subscribe push, subscribe result, history result, refresh push: parts of one set of names. */
static const struct fields_row stream_rows[] = {
    ROW(expires, "expires", FIELDS_BOOL),
    ROW(ttl_s, "ttl", FIELDS_UINT32),
    ROW(recoverable, "recoverable", FIELDS_BOOL),
    ROW(epoch, "epoch", FIELDS_STRING),
    ROW(publications, "publications", FIELDS_RAW_ARRAY),
    ROW(recovered, "recovered", FIELDS_BOOL),
    ROW(offset, "offset", FIELDS_UINT64),
    ROW(positioned, "positioned", FIELDS_BOOL),
    ROW(data, "data", FIELDS_RAW),
    ROW(was_recovering, "was_recovering", FIELDS_BOOL),
    ROW(delta, "delta", FIELDS_BOOL),
};
static const struct fields_table stream_table = FIELDS_TABLE(stream_rows);

static const struct fields_row push_rows[] = {
    ROW(channel, "channel", FIELDS_STRING),
    INNER(pub, "pub", &pub_table),
    INNER(join, "join", &join_table),
    INNER(leave, "leave", &join_table),
    INNER(unsubscribe, "unsubscribe", &reason_table),
    INNER(message, "message", &data_table),
    INNER(subscribe, "subscribe", &stream_table),
    INNER(disconnect, "disconnect", &reason_table),
    INNER(refresh, "refresh", &stream_table),
};
static const struct fields_table push_table = FIELDS_TABLE(push_rows);

static const struct fields_row connect_rows[] = {
    ROW(client, "client", FIELDS_STRING),
    ROW(version, "version", FIELDS_STRING),
    ROW(expires, "expires", FIELDS_BOOL),
    ROW(ttl_s, "ttl", FIELDS_UINT32),
    ROW(data, "data", FIELDS_RAW),
    ROW(subs, "subs", FIELDS_RAW_OBJECT),
    ROW(ping_s, "ping", FIELDS_UINT32),
    ROW(pong, "pong", FIELDS_BOOL),
    ROW(session, "session", FIELDS_STRING),
    ROW(node, "node", FIELDS_STRING),
    ROW(time_ms, "time", FIELDS_INT64),
};
static const struct fields_table connect_table = FIELDS_TABLE(connect_rows);

static const struct fields_row presence_rows[] = {
    ROW(members, "presence", FIELDS_RAW_OBJECT),
};
static const struct fields_table presence_table = FIELDS_TABLE(presence_rows);

static const struct fields_row presence_stats_rows[] = {
    ROW(client_count, "num_clients", FIELDS_UINT32),
    ROW(user_count, "num_users", FIELDS_UINT32),
};
static const struct fields_table presence_stats_table = FIELDS_TABLE(presence_stats_rows);

static const struct fields_table empty_table = {.rows = NULL, .count = 0};

static const struct fields_row reply_rows[] = {
    ROW(id, "id", FIELDS_UINT32),
    INNER(error, "error", &error_table),
    INNER(push, "push", &push_table),
    INNER(connected, "connect", &connect_table),
    INNER(subscribed, "subscribe", &stream_table),
    INNER(unsubscribed, "unsubscribe", &empty_table),
    INNER(published, "publish", &empty_table),
    INNER(history, "history", &stream_table),
    INNER(ping, "ping", &empty_table),
    INNER(rpc, "rpc", &data_table),
    INNER(presence, "presence", &presence_table),
    INNER(presence_stats, "presence_stats", &presence_stats_table),
    INNER(refreshed, "refresh", &connect_table),
    INNER(sub_refreshed, "sub_refresh", &stream_table),
};
static const struct fields_table reply_table = FIELDS_TABLE(reply_rows);

/* clang-format on */

static void write_id(struct json_writer *writer, uint32_t id)
{
    CHECK(id != 0);
    json_writer_text(writer, "{\"id\":");
    json_writer_uint64(writer, id);
}

/* The reply to a command: `result` under the command's name. */
static void write_reply(struct json_writer *writer, uint32_t id, const char *name,
                        const struct fields_table *table, const void *result)
{
    write_id(writer, id);
    json_writer_text(writer, ",\"");
    json_writer_text(writer, name);
    json_writer_text(writer, "\":");
    fields_write(writer, table, result);
    json_writer_text(writer, "}");
}

void event_write_connected(struct json_writer *writer, uint32_t id,
                           const struct event_connected *result)
{
    write_reply(writer, id, "connect", &connected_table, result);
}

void event_write_refreshed(struct json_writer *writer, uint32_t id,
                           const struct event_connected *result)
{
    write_reply(writer, id, "refresh", &connected_table, result);
}

void event_write_sub_refreshed(struct json_writer *writer, uint32_t id,
                               const struct event_subscribed *result)
{
    write_reply(writer, id, "sub_refresh", &subscribed_table, result);
}

void event_write_subscription(struct json_writer *writer, struct bytes channel,
                              const struct event_subscribed *result)
{
    json_writer_string(writer, channel);
    json_writer_text(writer, ":");
    fields_write(writer, &subscribed_table, result);
}

void event_write_subscribe_push(struct json_writer *writer, struct bytes channel,
                                const struct event_subscribed *result)
{
    const struct event_subscribed pushed = {
        .epoch = result->epoch,
        .data = result->data,
        .offset = result->offset,
        .recoverable = result->recoverable,
        .positioned = result->positioned,
    };
    json_writer_text(writer, "{\"push\":{\"channel\":");
    json_writer_string(writer, channel);
    json_writer_text(writer, ",\"subscribe\":");
    fields_write(writer, &subscribed_table, &pushed);
    json_writer_text(writer, "}}");
}

void event_write_subscribed(struct json_writer *writer, uint32_t id,
                            const struct event_subscribed *result)
{
    write_reply(writer, id, "subscribe", &subscribed_table, result);
}

void event_write_history(struct json_writer *writer, uint32_t id,
                         const struct event_history *result)
{
    write_reply(writer, id, "history", &history_table, result);
}

void event_write_accepted(struct json_writer *writer, uint32_t id,
                          const struct event_accepted *result)
{
    write_id(writer, id);
    json_writer_text(writer, ",\"rpc\":{\"data\":");
    fields_write(writer, &accepted_table, result);
    json_writer_text(writer, "}}");
}

static const char *empty_text(enum event_empty result)
{
    switch (result) {
    case EVENT_EMPTY_UNSUBSCRIBE:
        return ",\"unsubscribe\":{}}";
    case EVENT_EMPTY_PUBLISH:
        return ",\"publish\":{}}";
    case EVENT_EMPTY_PING:
        return ",\"ping\":{}}";
    }
    NEVER("a result that is not one");
}

void event_write_empty(struct json_writer *writer, uint32_t id, enum event_empty result)
{
    write_id(writer, id);
    json_writer_text(writer, empty_text(result));
}

/* "code":N,"key":"text" */
static void write_code(struct json_writer *writer, uint32_t code, const char *key, const char *text)
{
    json_writer_text(writer, "\"code\":");
    json_writer_uint64(writer, code);
    json_writer_text(writer, ",\"");
    json_writer_text(writer, key);
    json_writer_text(writer, "\":\"");
    json_writer_text(writer, text);
    json_writer_text(writer, "\"");
}

void event_write_error(struct json_writer *writer, uint32_t id, enum codes_error code)
{
    write_id(writer, id);
    json_writer_text(writer, ",\"error\":{");
    write_code(writer, code, "message", codes_error_text(code));
    json_writer_text(writer, codes_error_is_temporary(code) ? ",\"temporary\":true}}" : "}}");
}

void event_write_ping(struct json_writer *writer)
{
    json_writer_text(writer, "{}");
}

void event_write_unsubscribe_push(struct json_writer *writer, struct bytes channel,
                                  enum codes_unsubscribe code)
{
    json_writer_text(writer, "{\"push\":{\"channel\":");
    json_writer_string(writer, channel);
    json_writer_text(writer, ",\"unsubscribe\":{");
    write_code(writer, code, "reason", codes_unsubscribe_text(code));
    json_writer_text(writer, "}}}");
}

void event_write_refresh_push(struct json_writer *writer, uint32_t ttl_s)
{
    json_writer_text(writer, "{\"push\":{\"refresh\":{");
    if (ttl_s > 0) {
        json_writer_text(writer, "\"expires\":true,\"ttl\":");
        json_writer_uint64(writer, ttl_s);
    }
    json_writer_text(writer, "}}}");
}

void event_write_message_push(struct json_writer *writer, struct bytes data)
{
    CHECK(data.size > 0);
    json_writer_text(writer, "{\"push\":{\"message\":{\"data\":");
    json_writer_raw(writer, data);
    json_writer_text(writer, "}}}");
}

void event_write_disconnect_push(struct json_writer *writer, enum codes_disconnect code)
{
    json_writer_text(writer, "{\"push\":{\"disconnect\":{");
    write_code(writer, code, "reason", codes_disconnect_text(code));
    json_writer_text(writer, codes_disconnect_reconnects(code) ? ",\"reconnect\":true}}}" : "}}}");
}

void event_write_client_info(struct json_writer *writer, const struct event_client_info *info)
{
    fields_write(writer, &client_info_table, info);
}

static void write_news(struct json_writer *writer, struct bytes channel, const char *what,
                       const struct event_client_info *info)
{
    json_writer_text(writer, "{\"push\":{\"channel\":");
    json_writer_string(writer, channel);
    json_writer_text(writer, what);
    event_write_client_info(writer, info);
    json_writer_text(writer, "}}}");
}

void event_write_join_push(struct json_writer *writer, struct bytes channel,
                           const struct event_client_info *info)
{
    write_news(writer, channel, ",\"join\":{\"info\":", info);
}

void event_write_leave_push(struct json_writer *writer, struct bytes channel,
                            const struct event_client_info *info)
{
    write_news(writer, channel, ",\"leave\":{\"info\":", info);
}

void event_write_presence_begin(struct json_writer *writer, uint32_t id)
{
    write_id(writer, id);
    json_writer_text(writer, ",\"presence\":{\"presence\":{");
}

void event_write_member(struct json_writer *writer, const struct event_client_info *info)
{
    json_writer_string(writer, info->client);
    json_writer_text(writer, ":");
    event_write_client_info(writer, info);
}

void event_write_presence_end(struct json_writer *writer)
{
    json_writer_text(writer, "}}}");
}

/* Zeros are written too: an SDK hands both numbers to the application as they are. */
void event_write_presence_stats(struct json_writer *writer, uint32_t id, uint32_t client_count,
                                uint32_t user_count)
{
    write_id(writer, id);
    json_writer_text(writer, ",\"presence_stats\":{\"num_clients\":");
    json_writer_uint64(writer, client_count);
    json_writer_text(writer, ",\"num_users\":");
    json_writer_uint64(writer, user_count);
    json_writer_text(writer, "}}");
}

/* What a publication begins with, and what ends the push around it. */
static const char publication_begin[] = "{\"data\":";
static const char push_end[] = "}}";

static void write_prefix(struct json_writer *writer, const struct event_publication *publication)
{
    json_writer_text(writer, "{\"push\":{\"channel\":");
    json_writer_string(writer, publication->channel);
    json_writer_text(writer, ",\"pub\":");
    json_writer_text(writer, publication_begin);
}

static void write_suffix(struct json_writer *writer, const struct event_publication *publication)
{
    if (publication->info.size > 0) {
        json_writer_text(writer, ",\"info\":");
        json_writer_raw(writer, publication->info);
    }
    if (publication->tags.size > 0) {
        json_writer_text(writer, ",\"tags\":");
        json_writer_raw(writer, publication->tags);
    }
    if (publication->offset != 0) {
        json_writer_text(writer, ",\"offset\":");
        json_writer_uint64(writer, publication->offset);
    }
    if (publication->time_ms != 0) {
        json_writer_text(writer, ",\"time\":");
        json_writer_int64(writer, publication->time_ms);
    }
    json_writer_text(writer, "}");
    json_writer_text(writer, push_end);
}

_Static_assert(EVENT_SUFFIX_GROWTH_MAX >=
                   sizeof(",\"offset\":,\"time\":") - 1 + 2 * (size_t)JSON_WRITER_INTEGER_SIZE_MAX,
               "offset and time_ms fit into what was reserved for them");

size_t event_prefix_size(const struct event_publication *publication)
{
    struct json_writer writer;
    json_writer_init(&writer, (struct span){NULL, 0});
    write_prefix(&writer, publication);
    return writer.size;
}

size_t event_suffix_size(const struct event_publication *publication)
{
    struct json_writer writer;
    json_writer_init(&writer, (struct span){NULL, 0});
    write_suffix(&writer, publication);
    return writer.size;
}

size_t event_put_prefix(const struct event_publication *publication, uint8_t *data)
{
    CHECK(data != NULL);
    const size_t size = event_prefix_size(publication);
    struct json_writer writer;
    json_writer_init(&writer, (struct span){data - size, size});
    write_prefix(&writer, publication);
    CHECK(writer.size == size);
    return size;
}

size_t event_put_suffix(const struct event_publication *publication, uint8_t *target)
{
    CHECK(target != NULL);
    const size_t size = event_suffix_size(publication);
    struct json_writer writer;
    json_writer_init(&writer, (struct span){target, size});
    write_suffix(&writer, publication);
    CHECK(writer.size == size);
    return size;
}

struct bytes event_find_publication(struct bytes channel, struct bytes push)
{
    const struct event_publication publication = {.channel = channel};
    const size_t begin = event_prefix_size(&publication) - (sizeof(publication_begin) - 1);
    const size_t size = push.size - (sizeof(push_end) - 1);
    CHECK(begin < size);
    return (struct bytes){push.data + begin, size - begin};
}

static enum event_verdict judge(enum json_verdict verdict)
{
    switch (verdict) {
    case JSON_OK:
        return EVENT_OK;
    case JSON_END:
        break;
    case JSON_BAD_SYNTAX:
    case JSON_BAD_STRING:
    case JSON_BAD_NUMBER:
    case JSON_BAD_UNICODE:
    case JSON_TOO_DEEP:
        return EVENT_BAD_JSON;
    case JSON_WRONG_TYPE:
    case JSON_OUT_OF_RANGE:
    case JSON_DUPLICATE_KEY:
        return EVENT_BAD_FIELD;
    }
    NEVER("a verdict that is not about a value");
}

static enum event_kind push_kind(const struct event_parts *parts)
{
    if (parts->pub) {
        return EVENT_PUBLICATION;
    }
    if (parts->join) {
        return EVENT_JOIN;
    }
    if (parts->leave) {
        return EVENT_LEAVE;
    }
    if (parts->unsubscribe) {
        return EVENT_UNSUBSCRIBE_PUSH;
    }
    if (parts->message) {
        return EVENT_MESSAGE_PUSH;
    }
    if (parts->subscribe) {
        return EVENT_SUBSCRIBE_PUSH;
    }
    if (parts->disconnect) {
        return EVENT_DISCONNECT_PUSH;
    }
    return parts->refresh ? EVENT_REFRESH_PUSH : EVENT_OTHER_PUSH;
}

static enum event_kind reply_kind(const struct event_parts *parts)
{
    if (parts->connected) {
        return EVENT_CONNECTED;
    }
    if (parts->subscribed) {
        return EVENT_SUBSCRIBED;
    }
    if (parts->unsubscribed) {
        return EVENT_UNSUBSCRIBED;
    }
    if (parts->published) {
        return EVENT_PUBLISHED;
    }
    if (parts->history) {
        return EVENT_HISTORY;
    }
    if (parts->ping) {
        return EVENT_PONG;
    }
    if (parts->rpc) {
        return EVENT_RPC;
    }
    if (parts->presence) {
        return EVENT_PRESENCE;
    }
    if (parts->presence_stats) {
        return EVENT_PRESENCE_STATS;
    }
    if (parts->refreshed) {
        return EVENT_REFRESHED;
    }
    return parts->sub_refreshed ? EVENT_SUB_REFRESHED : EVENT_OTHER_REPLY;
}

static enum event_kind event_kind_of(const struct event *event)
{
    if (event->id != 0) {
        return event->parts.error ? EVENT_ERROR : reply_kind(&event->parts);
    }
    return event->parts.push ? push_kind(&event->parts) : EVENT_PING;
}

void event_reader_init(struct event_reader *reader, struct span message)
{
    CHECK(reader != NULL);
    CHECK(message.data != NULL || message.size == 0);
    *reader = (struct event_reader){.message = message, .verdict = EVENT_OK};
}

enum event_verdict event_next(struct event_reader *reader, struct event *event)
{
    CHECK(reader->offset <= reader->message.size);
    if (reader->verdict != EVENT_OK) {
        return reader->verdict;
    }
    if (reader->offset == reader->message.size) {
        return EVENT_END;
    }
    const struct bytes rest = {reader->message.data + reader->offset,
                               reader->message.size - reader->offset};
    struct json_reader json;
    struct event read;
    memset(&read, 0, sizeof(read));
    json_reader_init(&json, rest, EVENT_DEPTH_MAX);
    enum json_verdict verdict = fields_read(&json, reader->message, &reply_table, &read);
    if (verdict == JSON_OK) {
        verdict = json_end_line(&json);
    }
    reader->verdict = judge(verdict);
    if (reader->verdict == EVENT_OK) {
        reader->offset = reader->message.size - (size_t)(json.end - json.at);
        read.kind = event_kind_of(&read);
        *event = read;
    }
    return reader->verdict;
}

void event_page_init(struct event_page *page, struct span publications)
{
    *page = (struct event_page){.array = publications, .verdict = EVENT_END};
    if (publications.size > 0) {
        json_reader_init(&page->json, (struct bytes){publications.data, publications.size},
                         EVENT_DEPTH_MAX);
        page->verdict = judge(json_open_array(&page->json));
    }
}

enum event_verdict event_page_next(struct event_page *page, struct event *event)
{
    if (page->verdict != EVENT_OK) {
        return page->verdict;
    }
    struct event read;
    memset(&read, 0, sizeof(read));
    read.kind = EVENT_PUBLICATION;
    enum json_verdict verdict = json_next_element(&page->json);
    if (verdict == JSON_END) {
        page->verdict = EVENT_END;
        return EVENT_END;
    }
    if (verdict == JSON_OK) {
        verdict = fields_read(&page->json, page->array, &pub_table, &read);
    }
    page->verdict = judge(verdict);
    if (page->verdict == EVENT_OK) {
        *event = read;
    }
    return page->verdict;
}
