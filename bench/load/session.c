/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/session.h"

#include <stdio.h>
#include <string.h>

#include "bench/load/client.h"
#include "bench/load/run.h"
#include "bench/load/scenario.h"
#include "bench/load/tokens.h"
#include "bench/load/worker.h"
#include "proto/command.h"
#include "proto/event.h"

static struct bytes channel_of(const struct client *client, char text[SESSION_CHANNEL_SIZE_MAX])
{
    const int size =
        snprintf(text, SESSION_CHANNEL_SIZE_MAX, "%s%u", client->worker->run->options->channel,
                 run_room_of(client->worker->run, client->index));
    return (struct bytes){(const uint8_t *)text, (size_t)size};
}

static bool recovers(const struct client *client)
{
    return client->worker->run->options->recovers;
}

static void write_subscribe(struct client *client, struct json_writer *writer)
{
    char text[SESSION_CHANNEL_SIZE_MAX];
    const struct client_position *position = &client->position;
    const bool has_position = position->epoch_size > 0;
    const struct command subscribe = {
        .id = ++client->command,
        .method = COMMAND_SUBSCRIBE,
        .subscribe =
            {
                .channel = channel_of(client, text),
                .recoverable = recovers(client),
                .recover = has_position,
                .epoch = {position->epoch, position->epoch_size},
                .offset = has_position ? position->offset : 0,
            },
    };
    command_write(writer, &subscribe);
}

void session_write_opening(struct client *client, struct json_writer *writer)
{
    const struct tokens *tokens = client->worker->run->tokens;
    const struct command connect = {
        .id = ++client->command,
        .method = COMMAND_CONNECT,
        .connect =
            {
                .name = {(const uint8_t *)"parley-bench", 12},
                .token = tokens == NULL ? (struct bytes){0} : tokens_of(tokens, client->index),
            },
    };
    command_write(writer, &connect);
    json_writer_text(writer, "\n");
    write_subscribe(client, writer);
}

static void write_pong(struct client *client, struct json_writer *writer)
{
    const struct command pong = {.method = COMMAND_PONG};
    (void)client;
    command_write(writer, &pong);
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

/* -- recovery ---------------------------------------------------------------------------------- */

/* What was missed, in the answer to a subscribe. `message`: what the answer came in. */
static void take_missed(struct client *client, struct bytes publications, struct span message)
    ON_REACTOR
{
    struct event_page page;
    struct event event;

    if (publications.size == 0) {
        return;
    }
    event_page_init(
        &page, (struct span){message.data + (publications.data - message.data), publications.size});
    for (;;) {
        switch (event_page_next(&page, &event)) {
        case EVENT_OK: {
            const struct scenario_delivery delivery = {.payload = without_quotes(event.data),
                                                       .offset = event.offset,
                                                       .is_recovered = true};
            tally_add(&client->worker->tally, TALLY_GIVEN, 1);
            client_deliver(client, &delivery);
            break;
        }
        case EVENT_END:
            return;
        case EVENT_BAD_JSON:
        case EVENT_BAD_FIELD:
            client_fail(client, CAUSE_MESSAGE, 0);
            return;
        }
    }
}

/* Where its channel stands: what it has, or what it begins anew with. */
static void take_position(struct client *client, const struct event *event)
{
    client->position.offset = event->offset;
    client->position.epoch_size = (uint8_t)event->epoch.size;
    memcpy(client->position.epoch, event->epoch.data, event->epoch.size);
}

static void take_subscribed(struct client *client, const struct event *event, struct span message)
    ON_REACTOR
{
    const struct scenario_ops *scenario = client->worker->scenario;
    const bool asked = client->position.epoch_size > 0;

    if (!recovers(client)) {
        client_is_subscribed(client);
        return;
    }
    if (!event->recoverable || event->epoch.size == 0 ||
        event->epoch.size > CLIENT_EPOCH_SIZE_MAX) {
        client_fail(client, CAUSE_NO_HISTORY, 0);
        return;
    }
    if (!asked || !event->recovered) {
        take_position(client, event);
    }
    client_is_subscribed(client);
    if (asked) {
        tally_add(&client->worker->tally, event->recovered ? TALLY_RECOVERED : TALLY_NOT_RECOVERED,
                  1);
        if (scenario->on_recovery != NULL) {
            scenario->on_recovery(client, event->recovered);
        }
        take_missed(client, event->publications, message);
    }
}

/* The server could not keep up, or had to part what it has to give. */
static void take_unsubscribed(struct client *client, const struct event *event) ON_REACTOR
{
    if (!recovers(client) || event->code < CODES_UNSUBSCRIBE_INSUFFICIENT_STATE) {
        client_fail(client, CAUSE_UNSUBSCRIBED, event->code);
        return;
    }
    tally_add(&client->worker->tally, TALLY_RESUBSCRIBED, 1);
    if (client->worker->scenario->on_unsubscribed != NULL) {
        client->worker->scenario->on_unsubscribed(client);
    }
    client_send_commands(client, write_subscribe);
}

/* -- events ------------------------------------------------------------------------------------ */

static void take_publication(struct client *client, const struct event *event, struct bytes whole)
    ON_REACTOR
{
    const struct scenario_delivery delivery = {
        .payload = without_quotes(event->data), .message = whole, .offset = event->offset};
    client_deliver(client, &delivery);
}

/* `is_one`: there is nothing but this event in the message. */
static void take_event(struct client *client, const struct event *event, struct span message,
                       bool is_one) ON_REACTOR
{
    struct tally *tally = &client->worker->tally;

    switch (event->kind) {
    case EVENT_PING:
        client_send_commands(client, write_pong);
        return;
    case EVENT_ERROR:
        client_fail(client, CAUSE_REPLY, event->code);
        return;
    case EVENT_SUBSCRIBED:
        take_subscribed(client, event, message);
        return;
    case EVENT_PUBLISHED:
        tally_add(tally, TALLY_ACKNOWLEDGED, 1);
        return;
    case EVENT_PUBLICATION:
        take_publication(client, event, (struct bytes){message.data, is_one ? message.size : 0});
        return;
    case EVENT_UNSUBSCRIBE_PUSH:
        take_unsubscribed(client, event);
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
    case EVENT_REFRESHED:
    case EVENT_SUB_REFRESHED:
    case EVENT_OTHER_REPLY:
        return;
    }
}

void session_take(struct client *client, struct span message)
{
    const bool is_one = memchr(message.data, '\n', message.size) == NULL;
    struct event_reader reader;
    struct event event;

    event_reader_init(&reader, message);
    for (;;) {
        switch (event_next(&reader, &event)) {
        case EVENT_OK:
            take_event(client, &event, message, is_one);
            break;
        case EVENT_END:
            return;
        case EVENT_BAD_JSON:
        case EVENT_BAD_FIELD:
            client_fail(client, CAUSE_MESSAGE, 0);
            return;
        }
    }
}
