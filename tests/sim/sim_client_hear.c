/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client hears, checked as it comes.
 */
#include <string.h>

#include "proto/close.h"
#include "proto/codes.h"
#include "proto/event.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_client.h"

/* -- pushes ------------------------------------------------------------------------------------ */

/* Who came, who went. */
static void hear_news(struct sim_client *client, const struct event *event)
{
    struct sim_world *world = client->world;
    const uint16_t channel = sim_channel_read(event->channel);

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

static bool may_unsubscribe(const struct sim_client *client, uint16_t channel, uint32_t code)
{
    if (channel == SIM_CHANNEL_MAX || !client->memberships[channel].subscription.is_on) {
        return false;
    }
    return code == CODES_UNSUBSCRIBE_INSUFFICIENT_STATE
               ? client->world->profile.is_unsubscribed
               : sim_access_may_unsubscribe(client, channel, code);
}

static void hear_unsubscribed(struct sim_client *client, const struct event *event)
{
    struct sim_world *world = client->world;
    const uint16_t channel = sim_channel_read(event->channel);

    if (!may_unsubscribe(client, channel, event->code)) {
        sim_world_fail(world, "connection %u: unsubscribed from channel %u with %u",
                       client->connection, channel, event->code);
        return;
    }
    sim_world_tell(world, "connection %u: out of channel %u, code %u", client->connection, channel,
                   event->code);
    if (event->code == CODES_UNSUBSCRIBE_INSUFFICIENT_STATE) {
        sim_stats_add(world->stats, world->profile.has_gaps ? SIM_GAPS : SIM_RESYNCED, 1);
    } else {
        sim_stats_add(world->stats,
                      event->code == CODES_UNSUBSCRIBE_EXPIRED ? SIM_SUBS_ENDED : SIM_SUBS_TAKEN,
                      1);
    }
    client->memberships[channel].is_wanted = false;
    client->memberships[channel].ended_ns = world->net.now_ns;
    sim_model_end(&client->memberships[channel].subscription);
}

static void hear_event(struct sim_client *client, const struct event *event)
{
    if (event->id != 0) {
        sim_client_hear_reply(client, event);
        return;
    }
    switch (event->kind) {
    case EVENT_PING:
        sim_stats_add(client->world->stats, SIM_PINGS_ANSWERED, 1);
        sim_wire_put_frame(&client->out, &client->world->random, SIM_WIRE_TEXT, true,
                           (struct bytes){(const uint8_t *)"{}", 2});
        return;
    case EVENT_PUBLICATION:
        sim_client_take_publication(client, sim_channel_read(event->channel), event);
        return;
    case EVENT_JOIN:
    case EVENT_LEAVE:
        hear_news(client, event);
        return;
    case EVENT_SUBSCRIBE_PUSH:
        sim_client_hear_subscribed(client, event);
        return;
    case EVENT_REFRESH_PUSH:
        sim_access_hear_kept(client, event->expires);
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
    client->closed_ns = client->world->net.now_ns;
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
