/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client hears, checked as it comes.
 */
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "proto/close.h"
#include "proto/codes.h"
#include "proto/event.h"
#include "tests/sim/sim_client.h"

/* -- publications ------------------------------------------------------------------------------ */

/* room-3: its number; SIM_CHANNEL_MAX: no name of ours. */
static uint16_t read_channel(struct bytes name)
{
    if (name.size != 6 || memcmp(name.data, "room-", 5) != 0 || name.data[5] < '0' ||
        name.data[5] >= '0' + SIM_CHANNEL_MAX) {
        return SIM_CHANNEL_MAX;
    }
    return (uint16_t)(name.data[5] - '0');
}

/* What write_data() of sim_client_say.c wrote, to the last byte. */
static bool read_data(struct bytes data, uint32_t *publication, uint32_t *publisher)
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

/* A view into what was heard, to read it once more. */
static struct span lent(struct sim_client *client, struct bytes view)
{
    if (view.size == 0) {
        return (struct span){NULL, 0};
    }
    const size_t at = (size_t)(view.data - client->in.data);
    return (struct span){client->in.data + at, view.size};
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

static void take_publication(struct sim_client *client, uint16_t channel, const struct event *event)
{
    struct sim_world *world = client->world;
    uint32_t publication = 0;
    uint32_t publisher = 0;

    if (channel != SIM_CHANNEL_MAX && !take_offset(client, channel, event->offset)) {
        sim_world_fail(world, "connection %u, room-%u: offset %u does not follow",
                       client->connection, channel, (unsigned)event->offset);
    }
    if (channel == SIM_CHANNEL_MAX || !read_data(event->data, &publication, &publisher)) {
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
    const char *id = world->client_ids[publisher];
    if (id[0] != '\0' && (event->client.size != SIM_CLIENT_ID_SIZE ||
                          memcmp(event->client.data, id, SIM_CLIENT_ID_SIZE) != 0)) {
        sim_world_fail(world, "connection %u: publication %u has the wrong publisher's id",
                       client->connection, publication);
    }
}

/* -- replies ----------------------------------------------------------------------------------- */

static enum event_kind answer_to(enum command_method method)
{
    switch (method) {
    case COMMAND_CONNECT:
        return EVENT_CONNECTED;
    case COMMAND_SUBSCRIBE:
        return EVENT_SUBSCRIBED;
    case COMMAND_UNSUBSCRIBE:
        return EVENT_UNSUBSCRIBED;
    case COMMAND_PUBLISH:
        return EVENT_PUBLISHED;
    case COMMAND_HISTORY:
        return EVENT_HISTORY;
    case COMMAND_PRESENCE:
        return EVENT_PRESENCE;
    case COMMAND_PRESENCE_STATS:
        return EVENT_PRESENCE_STATS;
    case COMMAND_PING:
        return EVENT_PONG;
    default:
        return EVENT_ERROR;
    }
}

static void hear_connected(struct sim_client *client, const struct event *event)
{
    struct sim_world *world = client->world;

    client->is_connected = true;
    if (event->client.size != SIM_CLIENT_ID_SIZE || !event->pong || event->ping_s == 0) {
        sim_world_fail(world, "connection %u: a strange connect reply", client->connection);
        return;
    }
    memcpy(world->client_ids[client->connection], event->client.data, SIM_CLIENT_ID_SIZE);
}

/* Where the channel stands, as a reply says. False: it says something that cannot be. */
static bool hear_position(struct sim_client *client, uint16_t channel, const struct event *event)
{
    char *epoch = client->world->epochs[channel];

    if (event->epoch.size != SIM_EPOCH_SIZE) {
        return false;
    }
    if (epoch[0] == '\0') {
        memcpy(epoch, event->epoch.data, SIM_EPOCH_SIZE);
    }
    return memcmp(epoch, event->epoch.data, SIM_EPOCH_SIZE) == 0;
}

/* What it had missed comes with the reply, as if it came now; or it is told that it cannot. */
static const char *hear_recovery(struct sim_client *client, const struct sim_asked *asked,
                                 const struct event *event)
{
    struct sim_world *world = client->world;
    struct sim_membership *membership = &client->memberships[asked->channel];

    if (!hear_position(client, asked->channel, event)) {
        return "another epoch";
    }
    if (!event->positioned || !event->recoverable || event->was_recovering != asked->recovers) {
        return "a subscription that is not what was asked for";
    }
    membership->has_position = true;
    if (!event->recovered) {
        sim_stats_add(world->stats, SIM_NOT_RECOVERED, asked->recovers);
        if (!asked->recovers && event->offset < membership->offset) {
            /* Begins anew at a reactor that has not come as far as the one where it was before. */
            sim_model_forget(&membership->subscription);
        }
        membership->offset = event->offset;
        sim_model_begin(&membership->subscription, world->step);
        return asked->recovers && world->profile.keeps_all ? "what is kept was not recovered"
                                                           : NULL;
    }
    if (!asked->recovers || event->offset != asked->since) {
        return "recovered, from somewhere else";
    }
    sim_stats_add(world->stats, SIM_RECOVERED, 1);
    sim_model_resume(&membership->subscription);
    struct event_page page;
    struct event publication;
    enum event_verdict verdict;
    event_page_init(&page, lent(client, event->publications));
    while ((verdict = event_page_next(&page, &publication)) == EVENT_OK) {
        sim_stats_add(world->stats, SIM_GIVEN, 1);
        take_publication(client, asked->channel, &publication);
    }
    return verdict == EVENT_END ? NULL : "a page that cannot be read";
}

static void confirm(struct sim_client *client, const struct sim_asked *asked,
                    const struct event *event)
{
    struct sim_world *world = client->world;
    struct sim_membership *membership = &client->memberships[asked->channel];

    if (membership->subscription.is_on) {
        sim_world_fail(world, "connection %u: room-%u confirmed twice", client->connection,
                       asked->channel);
    }
    membership->pending--;
    sim_presence_clear(&membership->views);
    sim_stats_add(world->stats, SIM_SUBSCRIPTIONS, 1);
    if (event->epoch.size == 0) {
        /* No history; or it has left again before this was confirmed. */
        sim_model_begin(&membership->subscription, world->step);
        return;
    }
    const char *fault = hear_recovery(client, asked, event);
    if (fault != NULL) {
        sim_world_fail(world, "connection %u, room-%u: %s", client->connection, asked->channel,
                       fault);
    }
}

/* Consecutive offsets, publications that follow each other, and not more of them than wanted. */
static const char *hear_page(struct sim_client *client, const struct sim_asked *asked,
                             const struct event *event)
{
    struct event_page page;
    struct event publication;
    uint64_t last = 0; /* offset; 0: none yet */
    uint32_t last_number = 0;
    int32_t count = 0;

    if (!hear_position(client, asked->channel, event)) {
        return "another epoch";
    }
    event_page_init(&page, lent(client, event->publications));
    while (event_page_next(&page, &publication) == EVENT_OK) {
        const uint64_t offset = publication.offset;
        uint32_t number = 0;
        uint32_t publisher = 0;
        if ((last != 0 && offset != (asked->reverse ? last - 1 : last + 1)) ||
            offset > event->offset ||
            (asked->since > 0 &&
             (asked->reverse ? offset >= asked->since : offset <= asked->since))) {
            return "a page with other offsets";
        }
        if (read_data(publication.data, &number, &publisher) && last_number != 0 &&
            sim_model_follow(&client->world->model, asked->reverse ? number : last_number - 1,
                             asked->reverse ? last_number - 1 : number) != NULL) {
            return "a page with another order";
        }
        last = offset;
        last_number = number + 1;
        count++;
    }
    sim_stats_add(client->world->stats, SIM_PAGES, count > 0);
    return asked->limit >= 0 && count > asked->limit ? "a page that is longer than wanted" : NULL;
}

static void settle(struct sim_client *client, const struct sim_asked *asked,
                   const struct event *event)
{
    struct sim_world *world = client->world;

    if (asked->channel >= SIM_CHANNEL_MAX) {
        return;
    }
    struct sim_membership *membership = &client->memberships[asked->channel];
    if (asked->method == COMMAND_PUBLISH) {
        if (world->profile.is_durable && !sim_model_is_stored(&world->model, asked->publication)) {
            sim_world_fail(world, "publication %u is acknowledged and not stored",
                           asked->publication);
        }
        sim_model_acknowledge(&world->model, asked->publication, world->step);
    } else if (asked->method == COMMAND_SUBSCRIBE) {
        confirm(client, asked, event);
    } else if (asked->method == COMMAND_HISTORY) {
        const char *fault = hear_page(client, asked, event);
        if (fault != NULL) {
            sim_world_fail(world, "connection %u, room-%u: %s", client->connection, asked->channel,
                           fault);
        }
    } else if (asked->method == COMMAND_PRESENCE && asked->at_rest) {
        sim_presence_judge_list(client, asked->channel, event->members);
    } else if (asked->method == COMMAND_UNSUBSCRIBE) {
        membership->pending--;
        if (!membership->subscription.is_on && !world->profile.is_unsubscribed &&
            !world->profile.is_durable) {
            sim_world_fail(world, "connection %u: room-%u left before it was confirmed",
                           client->connection, asked->channel);
        }
        sim_model_end(&membership->subscription);
    }
}

/*
 * The store did not do it in time, or at all: what was published may come, and need not. Or a
 * subscribe waited in a room that fell off its home's tail: it is to be tried again.
 */
static bool is_refused(const struct sim_client *client, const struct sim_asked *asked,
                       const struct event *event)
{
    const struct sim_profile *profile = &client->world->profile;

    if (event->kind != EVENT_ERROR || event->code != CODES_ERROR_INTERNAL || asked->error != 0) {
        return false;
    }
    return (profile->is_durable &&
            (asked->method == COMMAND_PUBLISH || asked->method == COMMAND_HISTORY)) ||
           ((profile->is_durable || (profile->has_gaps && profile->has_history)) &&
            asked->method == COMMAND_SUBSCRIBE);
}

static void settle_refused(struct sim_client *client, const struct sim_asked *asked)
{
    struct sim_membership *membership = &client->memberships[asked->channel];

    sim_stats_add(client->world->stats, SIM_STORE_REFUSED, client->world->profile.is_durable);
    if (asked->method == COMMAND_SUBSCRIBE) {
        membership->pending--;
        membership->is_wanted = false;
    }
}

static void hear_reply(struct sim_client *client, const struct event *event)
{
    struct sim_world *world = client->world;
    size_t at = 0;

    while (at < client->asked_count && client->asked[at].id != event->id) {
        at++;
    }
    if (at == client->asked_count) {
        sim_world_fail(world, "connection %u: a reply to %u, which was not asked, or answered",
                       client->connection, event->id);
        return;
    }
    const struct sim_asked asked = client->asked[at];
    client->asked_count--;
    memmove(&client->asked[at], &client->asked[at + 1],
            (client->asked_count - at) * sizeof(client->asked[0]));
    sim_stats_add(world->stats, SIM_REPLIES, 1);
    if (is_refused(client, &asked, event)) {
        settle_refused(client, &asked);
        return;
    }
    const enum event_kind expected = asked.error != 0 ? EVENT_ERROR : answer_to(asked.method);
    if (event->kind != expected || event->code != asked.error) {
        sim_world_fail(world, "connection %u: command %u (%s room-%u) got event %d code %u",
                       client->connection, asked.id, command_method_name(asked.method),
                       asked.channel, (int)event->kind, event->code);
        return;
    }
    sim_world_tell(world, "connection %u: command %u, %s room-%u, is answered", client->connection,
                   asked.id, command_method_name(asked.method), asked.channel);
    if (event->kind == EVENT_CONNECTED) {
        hear_connected(client, event);
    } else if (event->kind != EVENT_ERROR) {
        settle(client, &asked, event);
    }
}

/* -- pushes ------------------------------------------------------------------------------------ */

static void hear_publication(struct sim_client *client, const struct event *event)
{
    take_publication(client, read_channel(event->channel), event);
}

/* Who came, who went. */
static void hear_news(struct sim_client *client, const struct event *event)
{
    struct sim_world *world = client->world;
    const uint16_t channel = read_channel(event->channel);

    if (channel == SIM_CHANNEL_MAX || !world->profile.has_presence ||
        !client->memberships[channel].subscription.is_on ||
        event->client.size != SIM_CLIENT_ID_SIZE) {
        sim_world_fail(world, "connection %u: news of room-%u that are not for it",
                       client->connection, channel);
        return;
    }
    sim_stats_add(world->stats, event->kind == EVENT_JOIN ? SIM_JOINS : SIM_LEAVES, 1);
    sim_presence_note(&client->memberships[channel].views, event->client,
                      event->kind == EVENT_JOIN);
}

static void hear_unsubscribed(struct sim_client *client, const struct event *event)
{
    struct sim_world *world = client->world;
    const uint16_t channel = read_channel(event->channel);

    if (channel == SIM_CHANNEL_MAX || event->code != CODES_UNSUBSCRIBE_INSUFFICIENT_STATE ||
        !world->profile.is_unsubscribed || !client->memberships[channel].subscription.is_on) {
        sim_world_fail(world, "connection %u: unsubscribed from room-%u with %u",
                       client->connection, channel, event->code);
        return;
    }
    sim_world_tell(world, "connection %u: is to subscribe to room-%u again", client->connection,
                   channel);
    sim_stats_add(world->stats, world->profile.has_gaps ? SIM_GAPS : SIM_RESYNCED, 1);
    client->memberships[channel].is_wanted = false;
    sim_model_end(&client->memberships[channel].subscription);
}

static void hear_event(struct sim_client *client, const struct event *event)
{
    if (event->id != 0) {
        hear_reply(client, event);
        return;
    }
    switch (event->kind) {
    case EVENT_PING:
        sim_stats_add(client->world->stats, SIM_PINGS_ANSWERED, 1);
        sim_wire_put_frame(&client->out, &client->world->random, SIM_WIRE_TEXT, true,
                           (struct bytes){(const uint8_t *)"{}", 2});
        return;
    case EVENT_PUBLICATION:
        hear_publication(client, event);
        return;
    case EVENT_JOIN:
    case EVENT_LEAVE:
        hear_news(client, event);
        return;
    case EVENT_UNSUBSCRIBE_PUSH:
        hear_unsubscribed(client, event);
        return;
    default:
        sim_world_fail(client->world, "connection %u: event %d without an id", client->connection,
                       (int)event->kind);
    }
}

static void hear_text(struct sim_client *client, struct span text)
{
    struct event_reader reader;
    struct event event;
    enum event_verdict verdict;

    event_reader_init(&reader, text);
    while ((verdict = event_next(&reader, &event)) == EVENT_OK) {
        hear_event(client, &event);
    }
    if (verdict != EVENT_END) {
        sim_world_fail(client->world, "connection %u: not an event: %.*s", client->connection,
                       (int)(text.size < 200 ? text.size : 200), (const char *)text.data);
    }
}

/* -- frames ------------------------------------------------------------------------------------ */

static void hear_close(struct sim_client *client, struct span payload)
{
    if (client->phase == SIM_CLIENT_ENDING) {
        sim_world_fail(client->world, "connection %u: two close frames", client->connection);
    }
    client->phase = SIM_CLIENT_ENDING;
    client->closed_code = CLOSE_NO_STATUS;
    if (payload.size >= 2) {
        client->closed_code = (uint16_t)(payload.data[0] << 8 | payload.data[1]);
    }
    sim_world_tell(client->world, "connection %u hears close %u", client->connection,
                   client->closed_code);
    if (!client->is_leaving && sim_random_once_in(&client->world->random, 2)) {
        sim_client_say_close(client, client->closed_code);
    }
}

static void hear_pong(struct sim_client *client, struct span payload)
{
    uint32_t number = 0;
    if (payload.size == sizeof(number)) {
        memcpy(&number, payload.data, sizeof(number));
    }
    if (!client->is_bad && (number <= client->pongs_heard || number > client->pings_sent)) {
        sim_world_fail(client->world, "connection %u: pong %u, after %u of %u", client->connection,
                       number, client->pongs_heard, client->pings_sent);
    }
    client->pongs_heard = number;
}

static void hear_compressed(struct sim_client *client, struct span payload)
{
    struct sim_wire_buffer text = {0};

    sim_stats_add(client->world->stats, SIM_COMPRESSED, 1);
    if (!client->compresses ||
        !sim_wire_inflate((struct bytes){payload.data, payload.size}, &text)) {
        sim_world_fail(client->world, "connection %u: a wrong compressed message",
                       client->connection);
    } else {
        hear_text(client, (struct span){text.data, text.end});
    }
    sim_wire_free(&text);
}

static void hear_frame(struct sim_client *client, const struct sim_wire_frame *frame)
{
    if (client->phase == SIM_CLIENT_ENDING) {
        sim_world_fail(client->world, "connection %u: a frame after the close frame",
                       client->connection);
        return;
    }
    switch (frame->opcode) {
    case SIM_WIRE_TEXT:
        if (client->is_bad) {
            return;
        }
        if (frame->is_compressed) {
            hear_compressed(client, frame->payload);
        } else {
            hear_text(client, frame->payload);
        }
        return;
    case SIM_WIRE_CLOSE:
        hear_close(client, frame->payload);
        return;
    case SIM_WIRE_PONG:
        hear_pong(client, frame->payload);
        return;
    default:
        sim_world_fail(client->world, "connection %u: a frame with opcode %u", client->connection,
                       frame->opcode);
    }
}

void sim_client_hear(struct sim_client *client)
{
    if (client->phase == SIM_CLIENT_OPENING) {
        switch (sim_wire_take_upgrade(&client->in, client->compresses)) {
        case SIM_WIRE_OK:
            client->phase = SIM_CLIENT_OPEN;
            break;
        case SIM_WIRE_NEED_MORE:
        case SIM_WIRE_REFUSED: /* its end will come */
            return;
        case SIM_WIRE_FAULT:
            sim_world_fail(client->world, "connection %u: a wrong upgrade", client->connection);
            return;
        }
    }
    struct sim_wire_frame frame;
    enum sim_wire_verdict verdict;
    while ((verdict = sim_wire_look(&client->in, &frame)) == SIM_WIRE_OK) {
        hear_frame(client, &frame);
        sim_wire_skip(&client->in, frame.size);
    }
    if (verdict == SIM_WIRE_FAULT) {
        sim_world_fail(client->world, "connection %u: a frame that a server must not send",
                       client->connection);
    }
}
