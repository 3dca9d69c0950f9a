/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publications as they come to a client, one by one or in what it recovers.
 */
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "proto/event.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_client.h"

/* {"p":12,"u":3,"x":"mnopq"}: number, publisher, and padding that the number decides. */
struct bytes sim_client_write_data(uint32_t publication, uint32_t publisher, size_t padding,
                                   struct span target)
{
    const int head = snprintf((char *)target.data, target.size, "{\"p\":%u,\"u\":%u,\"x\":\"",
                              publication, publisher);
    CHECK(head > 0 && (size_t)head + padding + 2 <= target.size);
    uint8_t *at = target.data + head;
    for (size_t i = 0; i < padding; i++) {
        *at++ = (uint8_t)('a' + (publication + i) % 26);
    }
    *at++ = '"';
    *at++ = '}';
    return (struct bytes){target.data, (size_t)(at - target.data)};
}

/* The same, to the last byte. */
bool sim_client_read_data(struct bytes data, uint32_t *publication, uint32_t *publisher)
{
    char head[64];
    const size_t size = data.size < sizeof(head) - 1 ? data.size : sizeof(head) - 1;
    int used = 0;

    memcpy(head, data.data, size);
    head[size] = '\0';
    if (sscanf(head, "{\"p\":%u,\"u\":%u,\"x\":\"%n", publication, publisher, &used) != 2 ||
        used == 0 || (size_t)used + 2 > data.size) {
        return false;
    }
    const size_t padding = data.size - (size_t)used - 2;
    for (size_t i = 0; i < padding; i++) {
        if (data.data[(size_t)used + i] != 'a' + (*publication + i) % 26) {
            return false;
        }
    }
    return data.data[data.size - 2] == '"' && data.data[data.size - 1] == '}';
}

/* False: an offset that does not follow the one before. */
static bool take_offset(struct sim_client *client, uint16_t channel, uint64_t offset)
{
    const struct sim_profile *profile = &client->world->profile;
    struct sim_membership *membership = &client->memberships[channel];
    const uint64_t last = membership->offset;

    if (!profile->has_history) {
        return offset == 0;
    }
    membership->offset = offset;
    return profile->is_lossy ? offset > last : offset == last + 1;
}

/* Who published, as everybody is told. */
static void judge_publisher(struct sim_client *client, uint32_t publication, uint32_t publisher,
                            const struct event *event)
{
    struct sim_world *world = client->world;
    const char *id = world->client_ids[publisher];
    char user[SIM_NAME_SIZE] = "";

    if (id[0] == '\0') {
        return; /* not known, or the back end */
    }
    if (event->client.size != SIM_CLIENT_ID_SIZE ||
        memcmp(event->client.data, id, SIM_CLIENT_ID_SIZE) != 0) {
        sim_world_fail(world, "connection %u: publication %u has the wrong publisher's id",
                       client->connection, publication);
    }
    sim_token_write_user(world->users[publisher], user);
    if (event->user.size != strlen(user) ||
        memcmp(user, event->user.data == NULL ? (const uint8_t *)"" : event->user.data,
               event->user.size) != 0) {
        sim_world_fail(world, "connection %u: publication %u is said to be of another user",
                       client->connection, publication);
    }
}

void sim_client_take_publication(struct sim_client *client, uint16_t channel,
                                 const struct event *event)
{
    struct sim_world *world = client->world;
    uint32_t publication = 0;
    uint32_t publisher = 0;

    if (channel != SIM_CHANNEL_MAX && !take_offset(client, channel, event->offset)) {
        sim_world_fail(world, "connection %u, room-%u: offset %u does not follow",
                       client->connection, channel, (unsigned)event->offset);
    }
    if (channel == SIM_CHANNEL_MAX ||
        !sim_client_read_data(event->data, &publication, &publisher)) {
        if (world->profile.fault_in == 0) {
            sim_world_fail(world, "connection %u: a spoilt publication", client->connection);
        }
        return; /* a bad client may publish what it likes */
    }
    sim_stats_add(world->stats, SIM_DELIVERIES, 1);
    if (world->profile.is_durable && !sim_model_is_stored(&world->model, publication)) {
        sim_world_fail(world, "connection %u: publication %u is not stored", client->connection,
                       publication);
    }
    sim_world_tell(world, "connection %u: publication %u of connection %u in room-%u",
                   client->connection, publication, publisher, channel);
    const char *fault = sim_model_deliver(&world->model, &client->memberships[channel].subscription,
                                          channel, publication, publisher);
    if (fault != NULL) {
        sim_world_fail(world, "connection %u, room-%u, publication %u of connection %u: %s",
                       client->connection, channel, publication, publisher, fault);
        return;
    }
    judge_publisher(client, publication, publisher, event);
    sim_access_judge_delivery(client, channel, publication);
}
