/* SPDX-License-Identifier: Apache-2.0 */
/* What clients are told. */
#include "proto/event.h"

#include "core/check.h"
#include "proto/fields.h"

/* clang-format off */

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
