/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client says: commands, several in a message, messages in several frames; and garbage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/codes.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_client.h"

enum {
    MESSAGE_SIZE = 60 << 10, /* bytes of a message at most */
    BATCH_MAX = 6,           /* commands */
    SHORT_SIZE = 1 << 10,    /* bytes of a message with one command and no data */
    DATA_ROOM = 64,          /* bytes of a publication beside its padding */
};

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct sim_asked *ask(struct sim_client *client, enum command_method method)
{
    CHECK(client->asked_count < SIM_ASKED_MAX);
    struct sim_asked *asked = &client->asked[client->asked_count++];
    *asked = (struct sim_asked){
        .id = client->next_id++,
        .method = method,
        .asked_at = client->world->step,
        .asked_ns = client->world->net.now_ns,
    };
    sim_stats_add(client->world->stats, SIM_COMMANDS, 1);
    return asked;
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
    char *const token = asked->token == 0 ? NULL : sim_token_write(client->world, asked->token);
    const struct bytes shown = token == NULL ? (struct bytes){NULL, 0} : text_bytes(token);

    sim_stats_add(client->world->stats, SIM_TOKENS, token != NULL);
    if (asked->method == COMMAND_SUBSCRIBE) {
        command.subscribe.channel = channel;
        command.subscribe.token = shown;
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
        command.connect.token = shown;
        command.connect.subs =
            sim_client_write_subs(client, asked, (struct span){data, sizeof(data)});
    } else if (asked->method == COMMAND_REFRESH) {
        command.refresh.token = shown;
    } else if (asked->method == COMMAND_SUB_REFRESH) {
        command.sub_refresh.channel = channel;
        command.sub_refresh.token = shown;
    } else if (asked->method == COMMAND_RPC) {
        command.rpc.method = text_bytes("nothing");
        command.rpc.data = text_bytes("[1]");
    } else if (asked->method == COMMAND_PUBLISH) {
        const size_t padding =
            (size_t)sim_random_below(&client->world->random, client->world->profile.payload_max);
        command.publish.channel = channel;
        command.publish.data = sim_client_write_data(asked->publication, client->connection,
                                                     padding, (struct span){data, sizeof(data)});
    }
    command_write(writer, &command);
    free(token);
}

/* One command in a message of its own. */
static void say_alone(struct sim_client *client, const struct sim_asked *asked)
{
    uint8_t text[SHORT_SIZE];
    char name[SIM_NAME_SIZE];
    struct json_writer writer;

    sim_channel_write(asked->channel, name);
    json_writer_init(&writer, (struct span){text, sizeof(text)});
    write_command(&writer, client, asked, text_bytes(name));
    CHECK(json_writer_fits(&writer));
    (void)sim_wire_put_message(&client->out, &client->world->random, json_writer_bytes(&writer),
                               client->compresses, &client->pings_sent);
}

/* The next subscribe or unsubscribe for a channel; false: none now. */
static bool choose_membership(struct sim_client *client, uint16_t channel)
{
    struct sim_membership *membership = &client->memberships[channel];
    const struct sim_profile *profile = &client->world->profile;
    const bool is_unsubscribed = sim_world_unsubscribes(client->world);

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
    if (profile->is_signed && asked->method == COMMAND_SUBSCRIBE) {
        sim_access_choose_sub_token(client, asked);
        if (asked->error != 0) {
            return true;
        }
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

static struct sim_asked *ask_connect(struct sim_client *client)
{
    client->has_said_connect = true;
    client->connect_at = client->world->step;
    struct sim_asked *asked = ask(client, COMMAND_CONNECT);
    asked->channel = SIM_CHANNEL_MAX;
    if (client->world->profile.is_signed) {
        sim_access_choose_token(client, asked);
    }
    return asked;
}

static bool choose_command(struct sim_client *client)
{
    struct sim_world *world = client->world;
    struct sim_random *random = &world->random;
    uint16_t channel = (uint16_t)sim_random_below(random, world->profile.channel_count);
    struct sim_asked *asked;

    if (!client->has_said_connect) {
        (void)ask_connect(client);
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
        if (world->profile.is_signed && sim_random_once_in(random, 8)) {
            channel = (uint16_t)(SIM_NEWS_FIRST + sim_random_below(random, SIM_NEWS_MAX));
        }
        asked = ask(client, COMMAND_PUBLISH);
        asked->channel = channel;
        asked->publication = sim_model_publish(&world->model, client->connection, channel,
                                               world->step, world->net.now_ns);
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

/* Appends one command to the message. False: none fits, or none is wanted. */
static bool add_command(struct sim_client *client, struct json_writer *writer)
{
    const struct sim_profile *profile = &client->world->profile;

    if (client->asked_count >= profile->outstanding_max || client->commands_left == 0 ||
        writer->capacity - writer->size < profile->payload_max + 512 || !choose_command(client)) {
        return false;
    }
    client->commands_left--;
    char name[SIM_NAME_SIZE];
    const struct sim_asked *asked = &client->asked[client->asked_count - 1];
    sim_channel_write(asked->channel, name);
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

static void ask_at_rest(struct sim_client *client, enum command_method method, uint16_t channel)
{
    struct sim_asked *asked = ask(client, method);
    asked->channel = channel;
    asked->at_rest = true;
    say_alone(client, asked);
}

void sim_client_ask_presence(struct sim_client *client)
{
    for (uint16_t channel = 0; channel < SIM_CHANNEL_MAX; channel++) {
        if (client->memberships[channel].subscription.is_on) {
            ask_at_rest(client, COMMAND_PRESENCE, channel);
            ask_at_rest(client, COMMAND_PRESENCE_STATS, channel);
        }
    }
}

void sim_client_say_connect(struct sim_client *client)
{
    say_alone(client, ask_connect(client));
}

void sim_client_say_refresh(struct sim_client *client, uint16_t channel, uint32_t token)
{
    struct sim_asked *asked =
        ask(client, channel == SIM_CHANNEL_MAX ? COMMAND_REFRESH : COMMAND_SUB_REFRESH);
    asked->channel = channel;
    asked->token = token;
    say_alone(client, asked);
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
