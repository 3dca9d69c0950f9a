/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an order of the back end means for one client: what must end, what must begin.
 */
#include "proto/codes.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_orders.h"
#include "tests/sim/sim_world.h"

/* Was it in, as it had heard, before the order was given? */
static bool was_in(const struct sim_client *client, const struct sim_order *order)
{
    return client->is_connected && client->connected_at < order->asked_at;
}

static bool is_of(const struct sim_client *client, const struct sim_order *order)
{
    return client->phase != SIM_CLIENT_OFF && client->has_said_connect &&
           client->user == order->user;
}

/*
 * The token by which it is in. One that it shows now may be in its place already if it is good; if
 * it is not, the one before counts until it is read. 0: there is none, or one of two.
 */
static uint32_t token_of(const struct sim_client *client)
{
    const struct sim_world *world = client->world;
    const struct sim_asked *refresh =
        sim_access_find_asked(client, COMMAND_REFRESH, SIM_CHANNEL_MAX);
    const bool is_replaced = refresh != NULL &&
                             sim_token_at(world, refresh->token)->user == client->user &&
                             !sim_orders_forbid(world, refresh->token, world->step);

    return is_replaced || !client->is_connected ? 0 : client->term.token;
}

static void end(struct sim_client *client)
{
    client->over.at = client->world->step;
    client->over.at_ns = client->world->net.now_ns;
}

void sim_access_end_if_forbidden(struct sim_client *client)
{
    const uint32_t token = client->phase == SIM_CLIENT_OFF ? 0 : token_of(client);

    if (token != 0 && sim_orders_forbid(client->world, token, client->world->step)) {
        end(client);
    }
}

static void unsubscribe(struct sim_client *client, const struct sim_order *order)
{
    struct sim_membership *membership = &client->memberships[order->channel];

    if (membership->subscription.is_on && membership->pending == 0 &&
        membership->confirmed_at < order->asked_at) {
        membership->over.at = client->world->step;
        membership->over.at_ns = client->world->net.now_ns;
    }
}

/* Where its home refuses it, its connection ends; where that is late, so is the subscription. */
static void subscribe(struct sim_client *client, const struct sim_order *order)
{
    struct sim_membership *membership = &client->memberships[order->channel];

    if (!membership->subscription.is_on && !client->world->profile.is_durable &&
        !client->world->profile.has_gaps) {
        membership->owed_ns = client->world->net.now_ns;
    }
}

void sim_access_await_order(struct sim_client *client, const struct sim_order *order)
{
    if (!is_of(client, order)) {
        return;
    }
    if (order->kind == SIM_ORDER_KEEP) {
        client->term.is_loose = true;
    } else if (order->kind == SIM_ORDER_UNSUBSCRIBE) {
        client->memberships[order->channel].owed_ns = 0;
    }
}

void sim_access_take_order(struct sim_client *client, const struct sim_order *order)
{
    switch (order->kind) {
    case SIM_ORDER_BLOCK:
        if (is_of(client, order) && client->is_connected) {
            end(client);
        }
        return;
    case SIM_ORDER_REVOKE:
    case SIM_ORDER_INVALIDATE:
        sim_access_end_if_forbidden(client);
        return;
    case SIM_ORDER_DISCONNECT:
    case SIM_ORDER_EXPIRE:
        if (is_of(client, order) && was_in(client, order)) {
            end(client);
        }
        return;
    case SIM_ORDER_SUBSCRIBE:
        if (is_of(client, order) && was_in(client, order)) {
            subscribe(client, order);
        }
        return;
    case SIM_ORDER_UNSUBSCRIBE:
        if (is_of(client, order)) {
            unsubscribe(client, order);
        }
        return;
    case SIM_ORDER_KEEP:
        if (is_of(client, order) && was_in(client, order) && client->kept_at < order->asked_at) {
            client->kept_owed_ns = client->world->net.now_ns;
        }
        return;
    case SIM_ORDER_PUBLISH:
    case SIM_ORDER_UNBLOCK:
    case SIM_ORDER_COUNT:
        return;
    }
}

void sim_access_hear_kept(struct sim_client *client, bool expires)
{
    struct sim_world *world = client->world;

    const struct sim_moment keep = sim_orders_last(world, client->user, SIM_ORDER_KEEP);

    if (expires || !sim_orders_may_reach(&keep, client->connect_at)) {
        sim_world_fail(world, "connection %u: a refresh that nobody ordered", client->connection);
    }
    client->term.has_end = false;
    client->term.is_loose = false;
    client->kept_at = world->step;
    client->kept_owed_ns = 0;
    sim_stats_add(world->stats, SIM_KEPT, 1);
}

bool sim_access_may_subscribe(const struct sim_client *client, uint16_t channel)
{
    return client->user != SIM_NOBODY && channel < SIM_CHANNEL_MAX &&
           sim_orders_may_reach(&client->world->orders.users[client->user].subscribed[channel],
                                client->connect_at);
}
