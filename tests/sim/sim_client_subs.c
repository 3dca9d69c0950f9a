/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions that the server makes: those that a token brings, and the personal channel, come
 * with the answer to connect, all of them and no other; those that the back end orders, by a push.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/event.h"
#include "proto/json.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_client.h"

enum { DEPTH_MAX = 16 };

/* Does its connect bring the channel? */
static bool brings(const struct sim_client *client, const struct sim_asked *connect,
                   uint16_t channel)
{
    const struct sim_world *world = client->world;

    if (connect->token == 0) {
        return false;
    }
    if (channel >= SIM_NEWS_FIRST) {
        return (sim_token_at(world, connect->token)->news >> (channel - SIM_NEWS_FIRST) & 1) != 0;
    }
    return world->profile.has_personal && client->user != SIM_NOBODY &&
           channel == SIM_PERSONAL_FIRST + client->user;
}

struct bytes sim_client_write_subs(struct sim_client *client, const struct sim_asked *asked,
                                   struct span target)
{
    struct sim_world *world = client->world;
    size_t size = 0;

    for (uint16_t i = SIM_PERSONAL_FIRST; i < SIM_CHANNEL_MAX; i++) {
        struct sim_membership *membership = &client->memberships[i];
        membership->resumes = brings(client, asked, i) && membership->has_position &&
                              !sim_random_once_in(&world->random, 6);
        if (!membership->resumes) {
            continue;
        }
        char name[SIM_NAME_SIZE];
        sim_channel_write(i, name);
        const int more = snprintf((char *)target.data + size, target.size - size,
                                  "%s\"%s\":{\"recover\":true,\"epoch\":\"%.*s\",\"offset\":%llu}",
                                  size == 0 ? "{" : ",", name, (int)SIM_EPOCH_SIZE,
                                  world->epochs[i], (unsigned long long)membership->offset);
        CHECK(more > 0 && size + (size_t)more + 1 < target.size);
        size += (size_t)more;
    }
    if (size > 0) {
        target.data[size++] = '}';
    }
    return (struct bytes){target.data, size};
}

/* One member of `subs`: what a subscribe would have been answered with. */
static void hear_one(struct sim_client *client, uint16_t channel, struct bytes result)
{
    static const char before[] = "{\"id\":1,\"subscribe\":";
    const struct sim_membership *membership = &client->memberships[channel];
    const struct sim_asked asked = {
        .method = COMMAND_SUBSCRIBE,
        .channel = channel,
        .recovers = membership->resumes,
        .since = membership->offset,
    };
    struct sim_wire_buffer text = {0};
    struct event_reader reader;
    struct event event;

    sim_wire_put(&text, before, sizeof(before) - 1);
    sim_wire_put(&text, result.data, result.size);
    sim_wire_put(&text, "}", 1);
    event_reader_init(&reader, (struct span){text.data, text.end});
    if (event_next(&reader, &event) != EVENT_OK || event.kind != EVENT_SUBSCRIBED) {
        sim_world_fail(client->world, "connection %u: a strange subscription in its connect",
                       client->connection);
    } else {
        sim_stats_add(client->world->stats, SIM_SUBS_GIVEN, 1);
        sim_client_begin_subscription(client, &asked, &event);
    }
    sim_wire_free(&text);
}

void sim_client_hear_subs(struct sim_client *client, const struct sim_asked *asked,
                          struct bytes subs)
{
    struct json_reader json;
    struct json_string key;
    struct bytes result;

    json_reader_init(&json, subs, DEPTH_MAX);
    enum json_verdict verdict = subs.size == 0 ? JSON_END : json_open_object(&json);
    if (verdict == JSON_OK) {
        verdict = json_next_member(&json, &key);
    }
    while (verdict == JSON_OK && json_read_raw(&json, &result) == JSON_OK) {
        const uint16_t channel = sim_channel_read(key.raw);
        if (channel == SIM_CHANNEL_MAX || !brings(client, asked, channel)) {
            sim_world_fail(client->world, "connection %u: came into a channel that it has not",
                           client->connection);
            return;
        }
        hear_one(client, channel, result);
        verdict = json_next_member(&json, &key);
    }
    for (uint16_t i = 0; i < SIM_CHANNEL_MAX; i++) {
        client->memberships[i].resumes = false;
        if (brings(client, asked, i) && !client->memberships[i].subscription.is_on) {
            sim_world_fail(client->world, "connection %u: channel %u did not come with its connect",
                           client->connection, i);
        }
    }
}

void sim_client_hear_subscribed(struct sim_client *client, const struct event *event)
{
    const uint16_t channel = sim_channel_read(event->channel);
    const struct sim_asked asked = {.method = COMMAND_SUBSCRIBE, .channel = channel};

    if (!sim_access_may_subscribe(client, channel)) {
        sim_world_fail(client->world, "connection %u: nobody ordered that it is in channel %u",
                       client->connection, channel);
        return;
    }
    sim_stats_add(client->world->stats, SIM_SUBS_GIVEN, 1);
    sim_client_begin_subscription(client, &asked, event);
}
