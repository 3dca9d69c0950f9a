/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client says: commands, several in a message, messages in several frames; and garbage.
 */
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "proto/codes.h"
#include "tests/sim/sim_client.h"

enum {
    MESSAGE_SIZE = 60 << 10, /* bytes of a message at most */
    BATCH_MAX = 6,           /* commands */
    NAME_SIZE = 32,
    DATA_ROOM = 64, /* bytes of a publication beside its padding */
};

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct sim_asked *ask(struct sim_client *client, enum command_method method)
{
    CHECK(client->asked_count < SIM_ASKED_MAX);
    struct sim_asked *asked = &client->asked[client->asked_count++];
    *asked = (struct sim_asked){.id = client->next_id++, .method = method};
    sim_stats_add(client->world->stats, SIM_COMMANDS, 1);
    return asked;
}

/* {"p":12,"u":3,"x":"mnopq"}: number, publisher, and padding that the number decides. */
static struct bytes write_data(uint32_t publication, uint32_t publisher, size_t padding,
                               uint8_t *target, size_t room)
{
    const int head =
        snprintf((char *)target, room, "{\"p\":%u,\"u\":%u,\"x\":\"", publication, publisher);
    CHECK(head > 0 && (size_t)head + padding + 2 <= room);
    uint8_t *at = target + head;
    for (size_t i = 0; i < padding; i++) {
        *at++ = (uint8_t)('a' + (publication + i) % 26);
    }
    *at++ = '"';
    *at++ = '}';
    return (struct bytes){target, (size_t)(at - target)};
}

static struct bytes epoch_of(const struct sim_world *world, uint16_t channel)
{
    return (struct bytes){(const uint8_t *)world->epochs[channel], SIM_EPOCH_SIZE};
}

static void write_command(struct json_writer *writer, struct sim_client *client,
                          const struct sim_asked *asked, struct bytes channel)
{
    struct command command = {.id = asked->id, .method = asked->method};
    uint8_t data[(8 << 10) + DATA_ROOM];

    if (asked->method == COMMAND_SUBSCRIBE) {
        command.subscribe.channel = channel;
        if (asked->recovers) {
            command.subscribe.recover = true;
            command.subscribe.epoch = epoch_of(client->world, asked->channel);
            command.subscribe.offset = asked->since;
        }
    } else if (asked->method == COMMAND_UNSUBSCRIBE) {
        command.unsubscribe.channel = channel;
    } else if (asked->method == COMMAND_HISTORY) {
        command.history.channel = channel;
        command.history.limit = asked->limit;
        command.history.reverse = asked->reverse;
        if (asked->since > 0) {
            command.history.has_since = true;
            command.history.since_offset = asked->since;
            command.history.since_epoch = epoch_of(client->world, asked->channel);
        }
    } else if (asked->method == COMMAND_PRESENCE) {
        command.presence.channel = channel;
    } else if (asked->method == COMMAND_PRESENCE_STATS) {
        command.presence_stats.channel = channel;
    } else if (asked->method == COMMAND_CONNECT) {
        command.connect.name = text_bytes("sim");
    } else if (asked->method == COMMAND_RPC) {
        command.rpc.method = text_bytes("nothing");
        command.rpc.data = text_bytes("[1]");
    } else if (asked->method == COMMAND_PUBLISH) {
        const size_t padding =
            (size_t)sim_random_below(&client->world->random, client->world->profile.payload_max);
        command.publish.channel = channel;
        command.publish.data =
            write_data(asked->publication, client->connection, padding, data, sizeof(data));
    }
    command_write(writer, &command);
}

/* The next subscribe or unsubscribe for a channel; false: none now. */
static bool choose_membership(struct sim_client *client, uint16_t channel)
{
    struct sim_membership *membership = &client->memberships[channel];
    const struct sim_profile *profile = &client->world->profile;
    const bool is_unsubscribed = profile->is_unsubscribed || profile->is_durable;

    /* Where the server may end or refuse a subscription, only one thing at a time is sure. */
    if (is_unsubscribed && membership->pending > 0) {
        return false;
    }
    const bool repeats =
        membership->is_wanted && !is_unsubscribed && sim_random_once_in(&client->world->random, 6);
    struct sim_asked *asked =
        ask(client, membership->is_wanted && !repeats ? COMMAND_UNSUBSCRIBE : COMMAND_SUBSCRIBE);
    asked->channel = channel;
    if (repeats) {
        asked->error = CODES_ERROR_ALREADY_SUBSCRIBED;
        return true;
    }
    if (asked->method == COMMAND_SUBSCRIBE && membership->has_position &&
        membership->pending == 0 && !sim_random_once_in(&client->world->random, 6)) {
        asked->recovers = true;
        asked->since = membership->offset;
    }
    membership->is_wanted = !membership->is_wanted;
    membership->pending++;
    return true;
}

/* A page of a channel that it knows. */
static void choose_history(struct sim_client *client, uint16_t channel)
{
    struct sim_random *random = &client->world->random;
    struct sim_asked *asked = ask(client, COMMAND_HISTORY);

    asked->channel = channel;
    asked->limit = (int32_t)sim_random_below(random, 20) - 1;
    asked->reverse = sim_random_once_in(random, 3);
    asked->since = sim_random_below(random, client->memberships[channel].offset + 1);
}

static bool choose_command(struct sim_client *client)
{
    struct sim_world *world = client->world;
    struct sim_random *random = &world->random;
    const uint16_t channel = (uint16_t)sim_random_below(random, world->profile.channel_count);
    struct sim_asked *asked;

    if (!client->has_said_connect) {
        client->has_said_connect = true;
        (void)ask(client, COMMAND_CONNECT);
        return true;
    }
    const uint64_t choice = sim_random_below(random, 100);
    if (choice < 20 && (!client->memberships[channel].is_wanted || choice < 5)) {
        return choose_membership(client, channel);
    }
    if (client->memberships[channel].has_position && choice > 85 && choice < 90) {
        choose_history(client, channel);
        return true;
    }
    if (choice == 84) {
        asked =
            ask(client, sim_random_once_in(random, 2) ? COMMAND_PRESENCE : COMMAND_PRESENCE_STATS);
        asked->channel = channel;
        asked->error = world->profile.has_presence ? 0 : CODES_ERROR_NOT_AVAILABLE;
        return true;
    }
    if (choice < 90) {
        asked = ask(client, COMMAND_PUBLISH);
        asked->channel = channel;
        asked->publication =
            sim_model_publish(&world->model, client->connection, channel, world->step);
        sim_stats_add(world->stats, SIM_PUBLICATIONS, 1);
        return true;
    }
    static const enum command_method others[] = {COMMAND_PING, COMMAND_RPC, COMMAND_HISTORY,
                                                 COMMAND_PRESENCE, COMMAND_SUBSCRIBE};
    asked = ask(client, others[choice % (sizeof(others) / sizeof(others[0]))]);
    asked->channel = SIM_CHANNEL_MAX; /* a name in a namespace that there is not */
    if (asked->method == COMMAND_RPC) {
        asked->error = CODES_ERROR_NOT_AVAILABLE;
    } else if (asked->method != COMMAND_PING) {
        asked->error = CODES_ERROR_UNKNOWN_CHANNEL;
    }
    return true;
}

static void write_name(uint16_t channel, char name[NAME_SIZE])
{
    (void)snprintf(name, NAME_SIZE, channel == SIM_CHANNEL_MAX ? "none:%u" : "room-%u", channel);
}

/* Appends one command to the message. False: none fits, or none is wanted. */
static bool add_command(struct sim_client *client, struct json_writer *writer)
{
    const struct sim_profile *profile = &client->world->profile;

    if (client->asked_count >= profile->outstanding_max || client->commands_left == 0 ||
        writer->capacity - writer->size < profile->payload_max + 512 || !choose_command(client)) {
        return false;
    }
    client->commands_left--;
    char name[NAME_SIZE];
    const struct sim_asked *asked = &client->asked[client->asked_count - 1];
    write_name(asked->channel, name);
    sim_world_tell(client->world, "connection %u: command %u, %s %s, publication %u",
                   client->connection, asked->id, command_method_name(asked->method), name,
                   asked->publication);
    if (writer->size > 0) {
        json_writer_text(writer, "\n");
    }
    write_command(writer, client, asked, text_bytes(name));
    CHECK(json_writer_fits(writer));
    return true;
}

bool sim_client_say(struct sim_client *client)
{
    struct sim_world *world = client->world;
    uint8_t text[MESSAGE_SIZE];
    struct json_writer writer;
    json_writer_init(&writer, (struct span){text, sizeof(text)});

    const size_t wanted = sim_random_once_in(&world->random, 3)
                              ? (size_t)sim_random_range(&world->random, 2, BATCH_MAX)
                              : 1;
    size_t count = 0;
    while (count < wanted && add_command(client, &writer)) {
        count++;
    }
    if (count == 0) {
        return false;
    }
    const size_t frames =
        sim_wire_put_message(&client->out, &world->random, json_writer_bytes(&writer),
                             client->compresses, &client->pings_sent);
    sim_stats_add(world->stats, SIM_BATCHES, count > 1);
    sim_stats_add(world->stats, SIM_FRAGMENTED, frames > 1);
    return true;
}

void sim_client_ask_presence(struct sim_client *client)
{
    for (uint16_t channel = 0; channel < client->world->profile.channel_count; channel++) {
        if (!client->memberships[channel].subscription.is_on) {
            continue;
        }
        uint8_t text[256];
        char name[NAME_SIZE];
        struct json_writer writer;
        struct sim_asked *asked = ask(client, COMMAND_PRESENCE);
        asked->channel = channel;
        asked->at_rest = true;
        write_name(channel, name);
        json_writer_init(&writer, (struct span){text, sizeof(text)});
        write_command(&writer, client, asked, text_bytes(name));
        (void)sim_wire_put_message(&client->out, &client->world->random, json_writer_bytes(&writer),
                                   client->compresses, &client->pings_sent);
    }
}

void sim_client_say_close(struct sim_client *client, uint16_t code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    sim_wire_put_frame(&client->out, &client->world->random, SIM_WIRE_CLOSE, true,
                       (struct bytes){payload, sizeof(payload)});
}

void sim_client_say_garbage(struct sim_client *client)
{
    static const char *const texts[] = {
        "{",
        "[]",
        "{\"id\":1}",
        "\xff",
        "{}\n\n{}",
        "{\"id\":7,\"publish\":{\"channel\":\"room-0\",\"data\":{]}}",
        "{\"x\":",
        "{\"id\":-1}",
        "{\"send\":{\"data\":{}}}",
        "null",
        "{\"id\":2,\"connect\":{}}\n{\"id\":3,\"connect\":{}}",
    };
    struct sim_random *random = &client->world->random;
    uint8_t noise[64];

    switch (sim_random_below(random, 4)) {
    case 0:
        sim_random_fill(random, noise, sizeof(noise));
        sim_wire_put(&client->out, noise, (size_t)sim_random_range(random, 1, sizeof(noise)));
        return;
    case 1: /* a frame of a kind that is not allowed there, or not at all */
        sim_random_fill(random, noise, sizeof(noise));
        sim_wire_put_frame(&client->out, random, (unsigned)sim_random_below(random, 16),
                           sim_random_once_in(random, 2), (struct bytes){noise, sizeof(noise)});
        return;
    case 2: /* more promised than sent, for ever */
        sim_wire_put(&client->out, "\x81\xfe\x7f\xff", 4);
        return;
    default:
        sim_wire_put_frame(
            &client->out, random, SIM_WIRE_TEXT, true,
            text_bytes(texts[sim_random_below(random, sizeof(texts) / sizeof(texts[0]))]));
    }
}
