/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_presence.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_world.h"

struct sim_view {
    char id[SIM_CLIENT_ID_SIZE];
    bool is_here;
};

static struct sim_view *find_view(const struct sim_views *views, const void *id)
{
    for (size_t i = 0; i < views->count; i++) {
        if (memcmp(views->items[i].id, id, SIM_CLIENT_ID_SIZE) == 0) {
            return &views->items[i];
        }
    }
    return NULL;
}

void sim_presence_note(struct sim_views *views, struct bytes id, bool is_here)
{
    CHECK(id.size == SIM_CLIENT_ID_SIZE);
    struct sim_view *view = find_view(views, id.data);
    if (view == NULL) {
        if (views->count == views->capacity) {
            views->capacity = 2 * views->capacity + 8;
            views->items = realloc(views->items, views->capacity * sizeof(*views->items));
            CHECK(views->items != NULL);
        }
        view = &views->items[views->count++];
        memcpy(view->id, id.data, SIM_CLIENT_ID_SIZE);
    }
    view->is_here = is_here;
}

void sim_presence_clear(struct sim_views *views)
{
    views->count = 0;
}

void sim_presence_forget(struct sim_views *views)
{
    free(views->items);
    *views = (struct sim_views){.items = NULL};
}

/* What everybody has to know about a client in a channel. */
enum fact { FACT_UNKNOWN, FACT_HERE, FACT_GONE };

/* Where something goes wrong with it, the server may know less than we do. */
static enum fact fact_of(const struct sim_client *client, uint16_t channel)
{
    if (!sim_client_is_sound(client) || !sim_access_is_settled(client, channel)) {
        return FACT_UNKNOWN;
    }
    return client->memberships[channel].subscription.is_on ? FACT_HERE : FACT_GONE;
}

/* Where tokens end, connections do, also when all is quiet: the others hear of it later. */
static bool has_ended_lately(const struct sim_world *world)
{
    return world->profile.is_signed && world->ended_ns != 0 &&
           world->ended_ns + SIM_TOLD_NS > world->net.now_ns;
}

/* It may be in the channel as others see it, where nothing goes wrong. */
static bool may_be_here(const struct sim_client *client, enum fact fact)
{
    return client->world->profile.is_signed && fact == FACT_UNKNOWN &&
           (client->phase != SIM_CLIENT_OFF || has_ended_lately(client->world));
}

static const char *id_of(const struct sim_client *client)
{
    const char *id = client->world->client_ids[client->connection];
    return client->is_connected && id[0] != '\0' ? id : NULL;
}

static void judge_pair(const struct sim_client *hearer, const struct sim_client *other,
                       uint16_t channel)
{
    const struct sim_views *views = &hearer->memberships[channel].views;
    const char *id = id_of(other);
    const struct sim_view *view = id == NULL ? NULL : find_view(views, id);
    const enum fact fact = fact_of(other, channel);

    if (view != NULL &&
        ((fact == FACT_HERE && !view->is_here) || (fact == FACT_GONE && view->is_here))) {
        sim_world_fail(hearer->world, "connection %u was told last that %u is %s in room-%u",
                       hearer->connection, other->connection, view->is_here ? "here" : "gone",
                       channel);
    }
    if (hearer == other && view == NULL && !hearer->world->profile.is_sampled) {
        sim_world_fail(hearer->world, "connection %u was not told that it came to room-%u",
                       hearer->connection, channel);
    }
}

/* Whoever was told to be here has a connection. */
static void judge_ghosts(const struct sim_client *hearer, const struct sim_client *clients,
                         size_t client_count, uint16_t channel)
{
    const struct sim_views *views = &hearer->memberships[channel].views;
    for (size_t i = 0; i < views->count; i++) {
        bool is_live = !views->items[i].is_here;
        for (size_t j = 0; j < client_count && !is_live; j++) {
            const char *id = clients[j].phase == SIM_CLIENT_OFF ? NULL : id_of(&clients[j]);
            is_live = id != NULL && memcmp(id, views->items[i].id, SIM_CLIENT_ID_SIZE) == 0;
        }
        if (!is_live) {
            sim_world_fail(hearer->world,
                           "connection %u was told last that %.36s is here, in "
                           "room-%u, which it is not",
                           hearer->connection, views->items[i].id, channel);
        }
    }
}

void sim_presence_judge(const struct sim_client *client, const struct sim_client *clients,
                        size_t client_count)
{
    const struct sim_profile *profile = &client->world->profile;

    for (uint16_t channel = 0; channel < SIM_CHANNEL_MAX; channel++) {
        if (!profile->has_presence || profile->is_lossy || fact_of(client, channel) != FACT_HERE) {
            continue;
        }
        for (size_t i = 0; i < client_count; i++) {
            if (!profile->is_sampled || clients[i].phase == SIM_CLIENT_OFF) {
                judge_pair(client, &clients[i], channel);
            }
        }
        if (profile->fault_in == 0 && !has_ended_lately(client->world)) {
            judge_ghosts(client, clients, client_count, channel);
        }
    }
}

static bool is_named(struct bytes members, const char *id)
{
    return id != NULL && memmem(members.data, members.size, id, SIM_CLIENT_ID_SIZE) != NULL;
}

static size_t count_names(struct bytes members)
{
    static const char mark[] = "\"client\":";
    size_t count = 0;
    for (size_t i = 0; i + sizeof(mark) - 1 <= members.size; i++) {
        count += memcmp(members.data + i, mark, sizeof(mark) - 1) == 0;
    }
    return count;
}

void sim_presence_judge_list(const struct sim_client *client, uint16_t channel,
                             struct bytes members)
{
    struct sim_world *world = client->world;
    size_t here = 0;
    size_t unknown = 0;

    for (size_t i = 0; i < world->client_count; i++) {
        const struct sim_client *other = &world->clients[i];
        const enum fact fact = fact_of(other, channel);
        const bool named = is_named(members, id_of(other));
        here += fact == FACT_HERE;
        unknown += may_be_here(other, fact);
        if ((fact == FACT_HERE && !named && !world->profile.is_sampled) ||
            (fact == FACT_GONE && named)) {
            sim_world_fail(world, "connection %u is told that %u is %s in room-%u",
                           client->connection, other->connection, named ? "here" : "not", channel);
        }
    }
    const size_t count = count_names(members);
    if ((world->profile.fault_in == 0 && count > here + unknown) ||
        (world->profile.is_sampled && count > SIM_PRESENCE_SAMPLE)) {
        sim_world_fail(world, "connection %u is told of %zu in room-%u, where there are %zu",
                       client->connection, count, channel, here);
    }
    sim_stats_add(world->stats, SIM_LISTS, 1);
}

void sim_presence_judge_numbers(const struct sim_client *client, uint16_t channel,
                                uint32_t client_count, uint32_t user_count)
{
    struct sim_world *world = client->world;
    uint32_t here = 0;
    uint32_t unknown = 0;
    uint32_t users = 0; /* bits */

    for (size_t i = 0; i < world->client_count; i++) {
        const enum fact fact = fact_of(&world->clients[i], channel);
        here += fact == FACT_HERE;
        unknown += may_be_here(&world->clients[i], fact);
        users |= fact == FACT_HERE ? 1U << world->clients[i].user : 0;
    }
    const uint32_t least = (uint32_t)__builtin_popcount(users);
    const bool is_exact = world->profile.fault_in == 0;
    if (client_count < here || user_count < least ||
        (is_exact && (client_count > here + unknown || user_count > least + unknown))) {
        sim_world_fail(world,
                       "connection %u is told of %u connections of %u users in channel %u, where "
                       "there are %u of %u",
                       client->connection, client_count, user_count, channel, here, least);
    }
    sim_stats_add(world->stats, SIM_LISTS, 1);
}
