/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_client.h"

#include <errno.h>
#include <string.h>

#include "core/check.h"
#include "proto/close.h"
#include "proto/codes.h"

enum {
    READ_MAX = 4096,   /* bytes at once */
    PATIENCE_MS = 300, /* what a sound connection survives */
    SIGNED_LIVES = 6,  /* more connections, where they do not last */
};

void sim_client_init(struct sim_client *client, struct sim_world *world, size_t index)
{
    *client = (struct sim_client){.world = world, .index = index};
    client->lives_left = (uint32_t)sim_random_range(&world->random, 1, 4);
    client->lives_left += world->profile.is_signed ? SIGNED_LIVES : 0;
    client->quiet_until_ns = world->net.now_ns + sim_random_below(&world->random, 4) * 20 * SIM_MS;
    sim_access_init(client);
}

static void forget(struct sim_client *client)
{
    for (size_t i = 0; i < SIM_CHANNEL_MAX; i++) {
        sim_model_forget(&client->memberships[i].subscription);
        sim_presence_forget(&client->memberships[i].views);
    }
    memset(client->memberships, 0, sizeof(client->memberships));
    sim_wire_free(&client->in);
    sim_wire_free(&client->out);
}

void sim_client_deinit(struct sim_client *client)
{
    forget(client);
}

/* -- begin and end ----------------------------------------------------------------------------- */

/* Of its own accord it does nothing before that. */
static uint64_t quiet_until_ns(const struct sim_client *client)
{
    const uint64_t lull_ns = client->world->lull_until_ns;
    return client->quiet_until_ns > lull_ns ? client->quiet_until_ns : lull_ns;
}

static bool begin(struct sim_client *client)
{
    struct sim_world *world = client->world;
    struct sim_random *random = &world->random;

    if (client->lives_left == 0 || (!world->is_talking && !client->is_probe) ||
        world->net.now_ns < quiet_until_ns(client) ||
        world->connection_count == SIM_CONNECTION_MAX) {
        return false;
    }
    const size_t shard = sim_random_below(random, world->profile.shard_count);
    struct sim_link *link = sim_net_connect(&world->net, world->listeners[shard]);
    if (link == NULL) {
        return false;
    }
    const bool is_bad =
        !client->is_probe && world->profile.fault_in > 0 && sim_random_once_in(random, 8);
    if (!world->profile.has_history || is_bad || client->is_bad) {
        forget(client);
    }
    sim_wire_free(&client->in);
    sim_wire_free(&client->out);
    struct sim_membership memberships[SIM_CHANNEL_MAX];
    memcpy(memberships, client->memberships, sizeof(memberships));
    *client = (struct sim_client){
        .world = world,
        .index = client->index,
        .connection = world->connection_count++,
        .link = link,
        .phase = SIM_CLIENT_OPENING,
        .is_bad = is_bad,
        .is_probe = client->is_probe,
        .compresses = world->profile.has_compression && world->connection_count % 3 != 0,
        .commands_left = (uint32_t)sim_random_range(random, 1, world->profile.commands_max),
        .lives_left = client->lives_left - 1,
        .next_id = 1,
        .user = client->user,
        .last_token = client->term.token != 0 ? client->term.token : client->last_token,
    };
    world->users[client->connection] = client->user;
    for (size_t i = 0; i < SIM_CHANNEL_MAX; i++) {
        sim_presence_forget(&memberships[i].views);
        /* What it had, and where it was; nothing of what it wanted. */
        client->memberships[i] = (struct sim_membership){
            .subscription = memberships[i].subscription,
            .has_position = memberships[i].has_position,
            .offset = memberships[i].offset,
        };
    }
    sim_wire_put_upgrade(&client->out, client->compresses);
    sim_stats_add(world->stats, SIM_CONNECTIONS, 1);
    sim_stats_add(world->stats, SIM_LATECOMERS, world->is_stopping);
    sim_stats_add(world->stats, SIM_GARBAGE, client->is_bad);
    sim_world_tell(world, "client %zu of user %u is connection %u at shard %zu%s", client->index,
                   client->user, client->connection, shard, client->is_bad ? ", bad" : "");
    return true;
}

void sim_client_finish(struct sim_client *client)
{
    struct sim_world *world = client->world;

    if (client->phase == SIM_CLIENT_OFF) {
        return;
    }
    sim_world_tell(world, "connection %u is over, code %u", client->connection,
                   client->closed_code);
    if (!client->link->client_is_gone) {
        sim_net_close(client->link);
    }
    client->phase = SIM_CLIENT_OFF;
    world->ended_ns = world->net.now_ns;
    world->over_ns[client->connection] = world->net.now_ns;
    client->quiet_until_ns = world->net.now_ns + sim_random_below(&world->random, 100) * SIM_MS;
    for (size_t i = 0; i < SIM_CHANNEL_MAX; i++) {
        sim_model_end(&client->memberships[i].subscription);
    }
}

/* May the server end this connection of an honest client so? */
static bool may_close_with(const struct sim_client *client, uint16_t code)
{
    const struct sim_world *world = client->world;

    switch (code) {
    case CLOSE_NORMAL:
        return client->is_leaving; /* the answer to ours */
    case CODES_DISCONNECT_SHUTDOWN:
        return world->is_stopping && world->net.now_ns >= world->paced_ns;
    case CODES_DISCONNECT_TOO_MANY_REQUESTS:
        return world->profile.is_throttled;
    case CODES_DISCONNECT_SLOW:
        return client->is_excused || world->profile.is_narrow;
    case CODES_DISCONNECT_STALE:
        return client->is_excused || !client->has_said_connect || client->is_turned_away ||
               (world->profile.is_signed && !client->is_connected); /* it fell into a lull */
    case CODES_DISCONNECT_NO_PONG:
    case CLOSE_POLICY_VIOLATION: /* the message timeout */
        return client->is_excused;
    default:
        return world->profile.is_signed && sim_access_may_close(client, code);
    }
}

/* The server's FIN or reset. */
static void hear_end(struct sim_client *client, const char *how)
{
    struct sim_world *world = client->world;
    const bool was_refused = client->phase == SIM_CLIENT_OPENING;

    if (client->closed_code != 0) {
        sim_stats_add(world->stats, SIM_SLOW_CLOSED,
                      client->closed_code == CODES_DISCONNECT_SLOW ||
                          client->closed_code == CODES_DISCONNECT_NO_PONG);
        sim_stats_add(world->stats, SIM_THROTTLED,
                      client->closed_code == CODES_DISCONNECT_TOO_MANY_REQUESTS);
        sim_stats_add(world->stats, SIM_DRAINED, client->closed_code == CODES_DISCONNECT_SHUTDOWN);
        sim_stats_add(world->stats, SIM_EXPIRED, client->closed_code == CODES_DISCONNECT_EXPIRED);
        sim_stats_add(world->stats, SIM_TOKEN_REFUSED,
                      client->closed_code == CODES_DISCONNECT_INVALID_TOKEN ||
                          client->closed_code == CODES_DISCONNECT_SUBSCRIPTION_EXPIRED);
        sim_stats_add(world->stats, SIM_FORBIDDEN, client->over.at != 0);
        sim_stats_add(world->stats, SIM_FULL,
                      client->closed_code == CODES_DISCONNECT_CONNECTION_LIMIT);
        if (!client->is_bad && !may_close_with(client, client->closed_code)) {
            sim_world_fail(world, "connection %u was closed with %u", client->connection,
                           client->closed_code);
        }
    } else if (!was_refused && !client->is_bad && !client->is_excused && !client->is_leaving &&
               !world->profile.is_narrow) {
        /* Where queues are narrow the 3008 itself may find no room. */
        sim_world_fail(world, "connection %u: %s without a close frame", client->connection, how);
    }
    sim_client_finish(client);
}

/* -- reading and writing ----------------------------------------------------------------------- */

static bool write_some(struct sim_client *client)
{
    const size_t size = sim_wire_size(&client->out);
    if (size == 0) {
        return false;
    }
    const ssize_t written = sim_net_write(&client->world->net, client->link,
                                          client->out.data + client->out.begin, size);
    if (written < 0) {
        sim_wire_skip(&client->out, size); /* reading will tell why */
        return true;
    }
    sim_wire_skip(&client->out, (size_t)written);
    return written > 0;
}

static bool read_some(struct sim_client *client)
{
    struct sim_world *world = client->world;
    uint8_t bytes[READ_MAX];

    if (world->net.now_ns < client->lazy_until_ns || !sim_net_is_readable(client->link)) {
        return false;
    }
    const ssize_t size = sim_net_read(&world->net, client->link, bytes, sizeof(bytes));
    if (size > 0) {
        sim_wire_put(&client->in, bytes, (size_t)size);
        sim_client_hear(client);
        return true;
    }
    hear_end(client, size == 0 ? "end" : "reset");
    return true;
}

static bool may_talk(const struct sim_client *client)
{
    return client->phase == SIM_CLIENT_OPEN && client->world->is_talking && !client->is_leaving &&
           client->world->net.now_ns >= quiet_until_ns(client) && client->commands_left > 0;
}

/* Something of its own accord that ends the connection, or nearly. */
static void leave(struct sim_client *client)
{
    struct sim_world *world = client->world;

    client->is_leaving = true;
    if (sim_random_once_in(&world->random, 3)) {
        /* The end of its input in the middle of everything; it goes on reading. */
        sim_wire_skip(&client->out, sim_wire_size(&client->out));
        sim_net_fin(client->link);
        sim_stats_add(world->stats, SIM_FINS, 1);
        return;
    }
    sim_client_say_close(client, CLOSE_NORMAL);
}

/* What its connect was answered with is for the application; it tries again. */
static bool go(struct sim_client *client)
{
    if (!client->is_turned_away || client->is_leaving || client->phase != SIM_CLIENT_OPEN) {
        return false;
    }
    client->is_leaving = true;
    sim_client_say_close(client, CLOSE_NORMAL);
    return true;
}

static bool talk(struct sim_client *client)
{
    struct sim_world *world = client->world;
    struct sim_random *random = &world->random;

    if (go(client)) {
        return true;
    }
    if (client->is_probe && client->phase == SIM_CLIENT_OPEN && !client->has_said_connect) {
        sim_client_say_connect(client);
        return true;
    }
    if (!may_talk(client)) {
        return false;
    }
    if (client->is_bad && sim_random_once_in(random, 4)) {
        sim_client_say_garbage(client);
        return true;
    }
    if (client->is_connected && !world->profile.is_throttled && sim_random_once_in(random, 120)) {
        leave(client);
        return true;
    }
    if (!world->profile.is_throttled && sim_random_once_in(random, 12)) {
        client->quiet_until_ns = world->net.now_ns + sim_random_below(random, 200) * SIM_MS;
        return true;
    }
    return sim_client_say(client);
}

bool sim_client_act(struct sim_client *client)
{
    if (client->phase == SIM_CLIENT_OFF) {
        return begin(client);
    }
    if (client->link->client_is_gone) {
        sim_client_finish(client);
        return true;
    }
    if (client->world->profile.is_signed) {
        sim_access_judge(client);
        if (sim_access_refresh(client)) {
            return true;
        }
    }
    const uint64_t first = sim_random_below(&client->world->random, 3);
    for (uint64_t i = 0; i < 3; i++) {
        bool done = false;
        switch ((first + i) % 3) {
        case 0:
            done = write_some(client);
            break;
        case 1:
            done = read_some(client);
            break;
        default:
            done = talk(client);
        }
        if (done) {
            return true;
        }
    }
    return false;
}

uint64_t sim_client_next_ns(const struct sim_client *client)
{
    const struct sim_world *world = client->world;
    uint64_t next_ns = UINT64_MAX;

    if (client->phase != SIM_CLIENT_OFF && client->lazy_until_ns > world->net.now_ns) {
        next_ns = client->lazy_until_ns;
    }
    const bool would_act = client->phase == SIM_CLIENT_OFF
                               ? client->lives_left > 0 && !world->is_stopping
                               : client->phase == SIM_CLIENT_OPEN && client->commands_left > 0;
    if (world->is_talking && would_act && quiet_until_ns(client) > world->net.now_ns &&
        quiet_until_ns(client) < next_ns) {
        next_ns = quiet_until_ns(client);
    }
    const uint64_t refresh_ns = sim_access_next_ns(client);
    return refresh_ns < next_ns ? refresh_ns : next_ns;
}

bool sim_client_is_sound(const struct sim_client *client)
{
    return client->phase == SIM_CLIENT_OPEN && !client->is_bad && !client->is_cut &&
           !client->is_leaving && client->lazy_until_ns <= client->world->net.now_ns &&
           client->link->stalled_until_ns <= client->world->net.now_ns;
}

/* -- faults ------------------------------------------------------------------------------------ */

/* How long something lasts. What a sound connection does not survive excuses it. */
static uint64_t choose_delay(struct sim_client *client)
{
    struct sim_random *random = &client->world->random;
    if (sim_random_once_in(random, 3)) {
        client->is_excused = true;
        return sim_random_range(random, 1, 30) * SIM_S;
    }
    return sim_random_range(random, 1, PATIENCE_MS) * SIM_MS;
}

void sim_client_disturb(struct sim_client *client)
{
    struct sim_world *world = client->world;

    if (client->phase == SIM_CLIENT_OFF || client->is_cut) {
        return;
    }
    switch (sim_random_below(&world->random, 8)) {
    case 0:
        sim_world_tell(world, "connection %u is reset", client->connection);
        sim_net_reset(&world->net, client->link);
        sim_client_finish(client);
        sim_stats_add(world->stats, SIM_RESETS, 1);
        break;
    case 1:
        sim_world_tell(world, "connection %u is cut", client->connection);
        client->link->is_silent = true;
        client->is_cut = true;
        client->is_excused = true;
        sim_stats_add(world->stats, SIM_CUT, 1);
        break;
    case 2:
    case 3:
    case 4:
        client->link->stalled_until_ns = world->net.now_ns + choose_delay(client);
        sim_stats_add(world->stats, SIM_STALLS, 1);
        break;
    default:
        client->lazy_until_ns = world->net.now_ns + choose_delay(client);
        sim_stats_add(world->stats, SIM_LAZY, 1);
    }
}
