/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies, which a client holds against what it asked.
 */
#include <string.h>

#include "proto/codes.h"
#include "proto/event.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_client.h"

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
    case COMMAND_REFRESH:
        return EVENT_REFRESHED;
    case COMMAND_SUB_REFRESH:
        return EVENT_SUB_REFRESHED;
    default:
        return EVENT_ERROR;
    }
}

static void hear_connected(struct sim_client *client, const struct sim_asked *asked,
                           const struct event *event)
{
    struct sim_world *world = client->world;

    client->is_connected = true;
    if (event->client.size != SIM_CLIENT_ID_SIZE || !event->pong || event->ping_s == 0) {
        sim_world_fail(world, "connection %u: a strange connect reply", client->connection);
        return;
    }
    memcpy(world->client_ids[client->connection], event->client.data, SIM_CLIENT_ID_SIZE);
    client->connected_at = world->step;
    sim_access_hear_granted(client, asked, event);
    sim_client_hear_subs(client, asked, event->subs);
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

/* A view into what was heard, to read it once more. */
static struct span lent(struct sim_client *client, struct bytes view)
{
    if (view.size == 0) {
        return (struct span){NULL, 0};
    }
    const size_t at = (size_t)(view.data - client->in.data);
    return (struct span){client->in.data + at, view.size};
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
        sim_client_take_publication(client, asked->channel, &publication);
    }
    return verdict == EVENT_END ? NULL : "a page that cannot be read";
}

void sim_client_begin_subscription(struct sim_client *client, const struct sim_asked *asked,
                                   const struct event *event)
{
    struct sim_world *world = client->world;
    struct sim_membership *membership = &client->memberships[asked->channel];

    if (membership->subscription.is_on) {
        sim_world_fail(world, "connection %u: room-%u confirmed twice", client->connection,
                       asked->channel);
    }
    membership->confirmed_at = world->step;
    membership->over = (struct sim_over){.at = 0};
    membership->owed_ns = 0;
    sim_presence_clear(&membership->views);
    sim_stats_add(world->stats, SIM_SUBSCRIPTIONS, 1);
    sim_access_hear_granted(client, asked, event);
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
        if (sim_client_read_data(publication.data, &number, &publisher) && last_number != 0 &&
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
        membership->pending--;
        sim_client_begin_subscription(client, asked, event);
    } else if (asked->method == COMMAND_HISTORY) {
        const char *fault = hear_page(client, asked, event);
        if (fault != NULL) {
            sim_world_fail(world, "connection %u, room-%u: %s", client->connection, asked->channel,
                           fault);
        }
    } else if (asked->method == COMMAND_PRESENCE && asked->at_rest) {
        sim_presence_judge_list(client, asked->channel, event->members);
    } else if (asked->method == COMMAND_PRESENCE_STATS && asked->at_rest) {
        sim_presence_judge_numbers(client, asked->channel, event->client_count, event->user_count);
    } else if (asked->method == COMMAND_UNSUBSCRIBE) {
        membership->pending--;
        if (!membership->subscription.is_on && !sim_world_unsubscribes(world)) {
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

void sim_client_hear_reply(struct sim_client *client, const struct event *event)
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
    if (event->kind == EVENT_ERROR && sim_access_hear_refused(client, &asked, event->code)) {
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
        hear_connected(client, &asked, event);
    } else if (event->kind == EVENT_REFRESHED || event->kind == EVENT_SUB_REFRESHED) {
        sim_access_hear_granted(client, &asked, event);
    } else if (event->kind != EVENT_ERROR) {
        settle(client, &asked, event);
    }
}
