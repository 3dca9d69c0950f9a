/* SPDX-License-Identifier: Apache-2.0 */
/* What a client was told: the generator of load, and tests. */
#include <string.h>

#include "core/check.h"
#include "proto/event.h"
#include "proto/fields.h"

/* clang-format off */

/* Everything into the one struct event, which has room for any of them. */

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
