/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/session.h"

#include <stdio.h>
#include <string.h>

#include "bench/load/client.h"
#include "bench/load/run.h"
#include "bench/load/worker.h"
#include "proto/command.h"
#include "proto/event.h"

static struct bytes channel_of(const struct client *client, char text[SESSION_CHANNEL_SIZE_MAX])
{
    const int size = snprintf(text, SESSION_CHANNEL_SIZE_MAX, "bench-%u",
                              run_room_of(client->worker->run, client->index));
    return (struct bytes){(const uint8_t *)text, (size_t)size};
}

void session_write_opening(struct client *client, struct json_writer *writer)
{
    char text[SESSION_CHANNEL_SIZE_MAX];
    const struct command connect = {
        .id = ++client->command,
        .method = COMMAND_CONNECT,
        .connect.name = {(const uint8_t *)"parley-bench", 12},
    };
    const struct command subscribe = {
        .id = ++client->command,
        .method = COMMAND_SUBSCRIBE,
        .subscribe.channel = channel_of(client, text),
    };
    command_write(writer, &connect);
    json_writer_text(writer, "\n");
    command_write(writer, &subscribe);
}

void session_write_publish(struct client *client, struct bytes data, struct json_writer *writer)
{
    char text[SESSION_CHANNEL_SIZE_MAX];
    const struct command publish = {
        .id = ++client->command,
        .method = COMMAND_PUBLISH,
        .publish = {.channel = channel_of(client, text), .data = data},
    };
    command_write(writer, &publish);
}

/* A JSON string without escapes, which is what we published. */
static struct bytes without_quotes(struct bytes data)
{
    if (data.size < 2 || data.data[0] != '"' || data.data[data.size - 1] != '"') {
        return data; /* the payload's reader says no */
    }
    return (struct bytes){data.data + 1, data.size - 2};
}

/* `whole`: the message, when there is nothing but this event in it. */
static void take_event(struct client *client, const struct event *event, struct bytes whole)
    ON_REACTOR
{
    struct tally *tally = &client->worker->tally;

    switch (event->kind) {
    case EVENT_PING:
        client_send_pong(client);
        return;
    case EVENT_ERROR:
        client_fail(client);
        return;
    case EVENT_SUBSCRIBED:
        client_is_subscribed(client);
        return;
    case EVENT_PUBLISHED:
        tally_add(tally, TALLY_ACKNOWLEDGED, 1);
        return;
    case EVENT_PUBLICATION:
        client_deliver(client, without_quotes(event->data), whole);
        return;
    case EVENT_UNSUBSCRIBE_PUSH: /* the server could not keep up: we have no recovery yet */
        client_fail(client);
        return;
    case EVENT_JOIN:
    case EVENT_LEAVE:
    case EVENT_MESSAGE_PUSH:
    case EVENT_SUBSCRIBE_PUSH:
    case EVENT_DISCONNECT_PUSH:
    case EVENT_REFRESH_PUSH:
    case EVENT_OTHER_PUSH:
    case EVENT_CONNECTED:
    case EVENT_UNSUBSCRIBED:
    case EVENT_HISTORY:
    case EVENT_PONG:
    case EVENT_RPC:
    case EVENT_PRESENCE:
    case EVENT_PRESENCE_STATS:
    case EVENT_OTHER_REPLY:
        return;
    }
}

void session_take(struct client *client, struct span message)
{
    const bool is_one = memchr(message.data, '\n', message.size) == NULL;
    const struct bytes whole = {message.data, is_one ? message.size : 0};
    struct event_reader reader;
    struct event event;

    event_reader_init(&reader, message);
    for (;;) {
        switch (event_next(&reader, &event)) {
        case EVENT_OK:
            take_event(client, &event, whole);
            break;
        case EVENT_END:
            return;
        case EVENT_BAD_JSON:
        case EVENT_BAD_FIELD:
            client_fail(client);
            return;
        }
    }
}
