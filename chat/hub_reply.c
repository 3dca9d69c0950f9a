/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/hub_reply.h"

#include "chat/outbox.h"
#include "chat/session.h"
#include "chat/stream.h"
#include "core/blob.h"
#include "core/metrics.h"

/* Bytes of a message that are not publications, members or data: a name of 255 '"' is 510. */
enum { AROUND_LIST = 1024 };

static struct json_writer begin(const struct hub_reply *to)
{
    struct json_writer writer;
    json_writer_init(&writer, outbox_begin(to->outbox));
    return writer;
}

/* For a message with so many bytes of publications or members in it. */
static struct json_writer begin_long(const struct hub_reply *to, size_t size)
{
    struct json_writer writer;
    json_writer_init(&writer, outbox_begin_long(to->outbox, size + AROUND_LIST));
    return writer;
}

/*
 * An answer that cannot be given ends the connection, so that nobody waits for it. Once: of the
 * disconnects in an outbox each connection has one from here. `in_order`: outbox_commit_in_order().
 */
static void commit(const struct hub_reply *to, struct session *session,
                   const struct json_writer *writer, bool in_order)
{
    if (session->is_ending) {
        return;
    }
    if (!json_writer_fits(writer)) {
        hub_reply_disconnect(to, session, CODES_DISCONNECT_SERVER_ERROR);
    } else if (in_order) {
        outbox_commit_in_order(to->outbox, session->conn, json_writer_bytes(writer).size);
    } else {
        outbox_commit(to->outbox, session->conn, json_writer_bytes(writer).size);
    }
}

void hub_reply_disconnect(const struct hub_reply *to, struct session *session,
                          enum codes_disconnect code)
{
    if (!session->is_ending) {
        outbox_disconnect(to->outbox, session->conn, (uint16_t)code);
        session->is_ending = true;
    }
}

void hub_reply_connect(const struct hub_reply *to, struct session *session, uint32_t command,
                       const struct event_connected *result)
{
    struct json_writer writer = begin_long(to, result->subs.size);
    event_write_connected(&writer, command, result);
    commit(to, session, &writer, false);
}

void hub_reply_refresh(const struct hub_reply *to, struct session *session, uint32_t command,
                       const struct event_connected *result)
{
    struct json_writer writer = begin(to);
    event_write_refreshed(&writer, command, result);
    commit(to, session, &writer, false);
}

void hub_reply_subscribe(const struct hub_reply *to, struct session *session, uint32_t command,
                         const struct event_subscribed *result)
{
    struct json_writer writer = begin_long(to, result->publications.size + result->data.size);
    event_write_subscribed(&writer, command, result);
    commit(to, session, &writer, true);
}

void hub_reply_subscribe_push(const struct hub_reply *to, struct session *session,
                              struct bytes channel, const struct event_subscribed *result)
{
    struct json_writer writer = begin_long(to, result->data.size);
    event_write_subscribe_push(&writer, channel, result);
    commit(to, session, &writer, true);
}

void hub_reply_sub_refresh(const struct hub_reply *to, struct session *session, uint32_t command,
                           const struct event_subscribed *result)
{
    struct json_writer writer = begin(to);
    event_write_sub_refreshed(&writer, command, result);
    commit(to, session, &writer, false);
}

void hub_reply_history(const struct hub_reply *to, struct session *session, uint32_t command,
                       const struct event_history *result)
{
    struct json_writer writer = begin_long(to, result->publications.size);
    event_write_history(&writer, command, result);
    commit(to, session, &writer, false);
}

void hub_reply_published(const struct hub_reply *to, struct session *session, uint32_t command,
                         uint64_t epoch, uint64_t offset)
{
    uint8_t text[STREAM_EPOCH_SIZE];
    struct event_accepted result = {.offset = 0};
    if (epoch != 0) {
        stream_write_epoch(epoch, text);
        result = (struct event_accepted){.epoch = {text, sizeof(text)}, .offset = offset};
    }
    struct json_writer writer = begin(to);
    event_write_accepted(&writer, command, &result);
    commit(to, session, &writer, false);
}

void hub_reply_presence(const struct hub_reply *to, struct session *session, uint32_t command,
                        struct presence_parts parts, const struct presence_limits *limits)
{
    struct json_writer writer = begin_long(to, presence_size(parts, limits));
    event_write_presence_begin(&writer, command);
    presence_write(&writer, parts, limits);
    event_write_presence_end(&writer);
    commit(to, session, &writer, false);
}

void hub_reply_presence_stats(const struct hub_reply *to, struct session *session, uint32_t command,
                              const struct presence_numbers *numbers)
{
    struct json_writer writer = begin(to);
    event_write_presence_stats(&writer, command, numbers->client_count, numbers->user_count);
    commit(to, session, &writer, false);
}

void hub_reply_empty(const struct hub_reply *to, struct session *session, uint32_t command,
                     enum event_empty result)
{
    struct json_writer writer = begin(to);
    event_write_empty(&writer, command, result);
    commit(to, session, &writer, result == EVENT_EMPTY_UNSUBSCRIBE);
}

void hub_reply_error(const struct hub_reply *to, struct session *session, uint32_t command,
                     enum codes_error error)
{
    struct json_writer writer = begin(to);
    event_write_error(&writer, command, error);
    commit(to, session, &writer, false);

    const unsigned index = (unsigned)error - (unsigned)CODES_ERROR_INTERNAL;
    metrics_add(to->metrics, (enum metrics_id)(METRIC_ERRORS_100 + index), 1);
}

void hub_reply_refresh_push(const struct hub_reply *to, struct session *session, uint32_t ttl_s)
{
    struct json_writer writer = begin(to);
    event_write_refresh_push(&writer, ttl_s);
    commit(to, session, &writer, false);
}

void hub_reply_unsubscribe_push(const struct hub_reply *to, struct session *session,
                                struct bytes channel, enum codes_unsubscribe code)
{
    struct json_writer writer = begin(to);
    event_write_unsubscribe_push(&writer, channel, code);
    commit(to, session, &writer, true);
}
