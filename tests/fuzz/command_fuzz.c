/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzing commands and events. The input is one message, in a block of exactly its size.
 *   - Every command that is read is written, read again from there, and written the same, with
 *     nothing but the one '\n' between two of them; it keeps its promises: views in the message,
 *     no '\n' in raw values, an id where one is needed.
 *   - A writer with less room than is needed says so and stays inside.
 *   - The same bytes as events: the views are in the message.
 */
#include "proto/command.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/event.h"
#include "proto/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span copy_of(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return (struct span){copy, size};
}

static void is_in(struct span message, struct bytes view)
{
    if (view.size > 0) {
        CHECK(view.data >= message.data);
        CHECK(view.data + view.size <= message.data + message.size);
    }
}

static void is_raw(struct span message, struct bytes raw)
{
    is_in(message, raw);
    if (raw.size > 0) {
        CHECK(memchr(raw.data, '\n', raw.size) == NULL);
        CHECK(json_validate(raw, COMMAND_DEPTH_MAX) == JSON_OK);
    }
}

static void keeps_promises(struct span message, const struct command *command)
{
    CHECK(command->id != 0 || command->method == COMMAND_PONG || command->method == COMMAND_SEND);
    switch (command->method) {
    case COMMAND_CONNECT:
        is_in(message, command->connect.token);
        is_in(message, command->connect.name);
        is_in(message, command->connect.version);
        is_raw(message, command->connect.data);
        is_raw(message, command->connect.subs);
        is_raw(message, command->connect.headers);
        return;
    case COMMAND_SUBSCRIBE:
        is_in(message, command->subscribe.channel);
        is_in(message, command->subscribe.token);
        is_in(message, command->subscribe.epoch);
        is_raw(message, command->subscribe.data);
        is_raw(message, command->subscribe.tf);
        return;
    case COMMAND_PUBLISH:
    case COMMAND_SEND:
        is_in(message, command->publish.channel);
        is_raw(message, command->publish.data);
        return;
    case COMMAND_RPC:
        is_in(message, command->rpc.method);
        is_raw(message, command->rpc.data);
        return;
    case COMMAND_HISTORY:
        is_in(message, command->history.channel);
        is_in(message, command->history.since_epoch);
        return;
    case COMMAND_UNSUBSCRIBE:
    case COMMAND_PRESENCE:
    case COMMAND_PRESENCE_STATS:
    case COMMAND_SUB_REFRESH:
        is_in(message, command->unsubscribe.channel);
        is_in(message, command->unsubscribe.token);
        return;
    case COMMAND_REFRESH:
        is_in(message, command->refresh.token);
        return;
    case COMMAND_PONG:
    case COMMAND_PING:
        return;
    }
    NEVER("a method that is not one");
}

/* The command as text, in a block of exactly its size. */
static struct span written(const struct command *command)
{
    struct json_writer writer;
    json_writer_init(&writer, (struct span){NULL, 0});
    command_write(&writer, command);
    const size_t size = writer.size;
    uint8_t *block = malloc(size);
    CHECK(block != NULL);
    json_writer_init(&writer, (struct span){block, size - 1});
    command_write(&writer, command);
    CHECK(!json_writer_fits(&writer));
    json_writer_init(&writer, (struct span){block, size});
    command_write(&writer, command);
    CHECK(json_writer_fits(&writer));
    CHECK(writer.size == size);
    CHECK(memchr(block, '\n', size) == NULL);
    return (struct span){block, size};
}

static void comes_back(const struct command *command)
{
    const struct span text = written(command);
    const struct span lent = copy_of(text.data, text.size);
    struct command_reader reader;
    struct command again;
    command_reader_init(&reader, lent);
    CHECK(command_next(&reader, &again) == COMMAND_OK);
    CHECK(again.id == command->id);
    CHECK(again.method == command->method);
    const struct span once_more = written(&again);
    CHECK(once_more.size == text.size);
    CHECK(memcmp(once_more.data, text.data, text.size) == 0);
    CHECK(command_next(&reader, &again) == COMMAND_END);
    free(once_more.data);
    free(lent.data);
    free(text.data);
}

static void read_commands(struct span message)
{
    struct command_reader reader;
    struct command command;
    command_reader_init(&reader, message);
    enum command_verdict verdict;
    while ((verdict = command_next(&reader, &command)) == COMMAND_OK) {
        keeps_promises(message, &command);
        comes_back(&command);
    }
    CHECK(command_next(&reader, &command) == verdict);
}

static void read_events(struct span message)
{
    struct event_reader reader;
    struct event event;
    event_reader_init(&reader, message);
    while (event_next(&reader, &event) == EVENT_OK) {
        const struct bytes views[] = {event.text,      event.channel,     event.data,
                                      event.user,      event.client,      event.tags,
                                      event.epoch,     event.subs,        event.conn_info,
                                      event.chan_info, event.publications};
        for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
            is_in(message, views[i]);
        }
        const struct event_publication publication = {
            .channel = event.channel, .offset = event.offset, .time_ms = event.time_ms};
        const size_t size = event_prefix_size(&publication);
        uint8_t *block = malloc(size);
        CHECK(block != NULL);
        CHECK(event_put_prefix(&publication, block + size) == size);
        free(block);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span message = copy_of(data, size);
    read_commands(message);
    free(message.data);
    message = copy_of(data, size);
    read_events(message);
    free(message.data);
    return 0;
}
