/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/codes.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_orders.h"
#include "tests/sim/sim_world.h"

/* The server's wheel, and how long a reactor may stand still. */
static const uint64_t slack_ns = 200 * SIM_MS;

/* So long what is said may be on its way, with all that the seeds put in it. */
static const uint64_t way_ns = SIM_S;

const struct sim_asked *sim_access_find_asked(const struct sim_client *client,
                                              enum command_method method, uint16_t channel)
{
    for (size_t i = 0; i < client->asked_count; i++) {
        if (client->asked[i].method == method && client->asked[i].channel == channel) {
            return &client->asked[i];
        }
    }
    return NULL;
}

static const struct sim_asked *find_refresh(const struct sim_client *client, uint16_t channel)
{
    return sim_access_find_asked(
        client, channel == SIM_CHANNEL_MAX ? COMMAND_REFRESH : COMMAND_SUB_REFRESH, channel);
}

/* Since when it has read and been read. */
static uint64_t calm_since_ns(const struct sim_client *client)
{
    const uint64_t stalled_ns = client->link->stalled_until_ns;
    return client->lazy_until_ns > stalled_ns ? client->lazy_until_ns : stalled_ns;
}

/* Had the server to take it before the end? */
static bool was_in_time(const struct sim_client *client, const struct sim_term *term,
                        const struct sim_asked *asked)
{
    if (asked == NULL || client->is_excused || client->world->profile.is_throttled) {
        return false;
    }
    const struct sim_token *token = sim_token_at(client->world, asked->token);
    return token->user == client->user && !sim_token_is_over(token, client->world->net.now_ns) &&
           asked->asked_ns + way_ns < term->first_end_ns &&
           calm_since_ns(client) + way_ns < term->first_end_ns;
}

static bool may_end(const struct sim_client *client, const struct sim_term *term, uint16_t channel,
                    uint64_t at_ns)
{
    return term->has_end && at_ns >= term->first_end_ns &&
           !was_in_time(client, term, find_refresh(client, channel));
}

/* -- how it may end ---------------------------------------------------------------------------- */

/* Is a token shown by such a command that is over? Or one that is not good for it? */
static bool shows_expired(const struct sim_client *client, enum command_method method)
{
    for (size_t i = 0; i < client->asked_count; i++) {
        const struct sim_asked *asked = &client->asked[i];
        if (asked->method == method && asked->token != 0 &&
            sim_token_is_over(sim_token_at(client->world, asked->token), client->closed_ns)) {
            return true;
        }
    }
    return false;
}

static bool shows_bad(const struct sim_client *client)
{
    for (size_t i = 0; i < client->asked_count; i++) {
        const struct sim_asked *asked = &client->asked[i];
        if (asked->token == 0 || asked->method == COMMAND_SUBSCRIBE) {
            continue;
        }
        if (sim_token_at(client->world, asked->token)->user != client->user ||
            sim_orders_may_forbid(client->world, asked->token, asked->asked_at)) {
            return true;
        }
    }
    return false;
}

static bool may_be_ordered(const struct sim_client *client, enum sim_order_kind kind)
{
    const struct sim_moment last = sim_orders_last(client->world, client->user, kind);
    return sim_orders_may_reach(&last, client->connect_at);
}

static bool has_server_subs(const struct sim_client *client)
{
    for (size_t i = SIM_PERSONAL_FIRST; i < SIM_CHANNEL_MAX; i++) {
        if (client->memberships[i].subscription.is_on) {
            return true;
        }
    }
    return false;
}

/* Were there as many of its user as there may be, as far as the server could know? */
static bool is_full(const struct sim_client *client)
{
    const struct sim_world *world = client->world;
    const struct sim_asked *connect =
        sim_access_find_asked(client, COMMAND_CONNECT, SIM_CHANNEL_MAX);
    uint32_t count = 0;

    if (connect == NULL) {
        return false;
    }

    for (uint32_t i = 0; i < world->connection_count; i++) {
        const uint64_t over_ns = world->over_ns[i];
        count += i != client->connection && world->users[i] == client->user &&
                 (over_ns == 0 || over_ns + way_ns > connect->asked_ns);
    }
    return count >= world->profile.user_limit;
}

/* Its token may have ended before its connect was answered, as late as that was. */
static bool may_end_arriving(const struct sim_client *client)
{
    const struct sim_asked *connect =
        sim_access_find_asked(client, COMMAND_CONNECT, SIM_CHANNEL_MAX);
    if (connect == NULL || connect->token == 0) {
        return false;
    }
    const uint64_t expires_s = sim_token_at(client->world, connect->token)->expires_s;
    return expires_s != 0 &&
           client->closed_ns >= sim_token_ns(expires_s) + client->world->profile.close_delay_ns;
}

bool sim_access_may_close(const struct sim_client *client, uint16_t code)
{
    const struct sim_profile *profile = &client->world->profile;
    const bool may_miss = profile->is_unsubscribed || profile->is_durable;

    switch (code) {
    case CODES_DISCONNECT_EXPIRED:
        return shows_expired(client, COMMAND_REFRESH) || may_end_arriving(client) ||
               may_be_ordered(client, SIM_ORDER_EXPIRE) ||
               may_end(client, &client->term, SIM_CHANNEL_MAX, client->closed_ns);
    case CODES_DISCONNECT_SUBSCRIPTION_EXPIRED:
        return shows_expired(client, COMMAND_SUB_REFRESH);
    case CODES_DISCONNECT_INVALID_TOKEN:
        return shows_bad(client) ||
               (client->term.token != 0 &&
                sim_orders_may_forbid(client->world, client->term.token, client->connect_at));
    case CODES_DISCONNECT_FORCE:
        return may_be_ordered(client, SIM_ORDER_BLOCK) ||
               may_be_ordered(client, SIM_ORDER_DISCONNECT);
    case CODES_DISCONNECT_CONNECTION_LIMIT:
        return client->user != SIM_NOBODY && is_full(client);
    case CODES_DISCONNECT_INSUFFICIENT_STATE: /* what the server made it cannot make again */
        return has_server_subs(client) && may_miss;
    case CODES_DISCONNECT_SERVER_ERROR: /* likewise, and its home refuses it */
        return client->is_connected && client->user != SIM_NOBODY &&
               (profile->is_durable || profile->has_gaps);
    default:
        return false;
    }
}

bool sim_access_may_unsubscribe(const struct sim_client *client, uint16_t channel, uint32_t code)
{
    const struct sim_world *world = client->world;

    if (!world->profile.is_signed) {
        return false;
    }
    if (code == CODES_UNSUBSCRIBE_SERVER) {
        return client->user != SIM_NOBODY &&
               sim_orders_may_reach(&world->orders.users[client->user].unsubscribed[channel],
                                    client->connect_at);
    }
    return code == CODES_UNSUBSCRIBE_EXPIRED &&
           may_end(client, &client->memberships[channel].term, channel, world->net.now_ns);
}

bool sim_access_ends_soon(const struct sim_client *client, const struct sim_term *term)
{
    return term->has_end && client->world->net.now_ns + way_ns > term->first_end_ns;
}

bool sim_access_is_settled(const struct sim_client *client, uint16_t channel)
{
    const struct sim_membership *membership = &client->memberships[channel];

    return !client->world->profile.is_signed ||
           (!sim_access_ends_soon(client, &client->term) &&
            (membership->ended_ns == 0 ||
             membership->ended_ns + SIM_TOLD_NS <= client->world->net.now_ns) &&
            (!membership->subscription.is_on || !sim_access_ends_soon(client, &membership->term)));
}

bool sim_access_may_have_left(const struct sim_client *client, const struct sim_asked *asked)
{
    const struct sim_world *world = client->world;
    const struct sim_membership *membership = &client->memberships[asked->channel];
    const struct sim_term *term = &membership->term;
    const uint64_t since_at =
        asked->method == COMMAND_SUBSCRIBE ? asked->asked_at : membership->confirmed_at;

    if (!membership->subscription.is_on || world->profile.is_unsubscribed) {
        return true;
    }
    if (client->user != SIM_NOBODY &&
        sim_orders_may_reach(&world->orders.users[client->user].unsubscribed[asked->channel],
                             since_at)) {
        return true;
    }
    return term->has_end && world->net.now_ns >= term->first_end_ns &&
           !was_in_time(client, term, asked);
}

/* -- what must not last ------------------------------------------------------------------------ */

/* What was so then has to have been told by now. */
static bool is_overdue(const struct sim_client *client, uint64_t since_ns)
{
    const uint64_t calm_ns = calm_since_ns(client);
    const uint64_t due_ns = since_ns > calm_ns ? since_ns : calm_ns;
    return client->world->net.now_ns > due_ns + slack_ns + way_ns;
}

static bool outlasts(const struct sim_client *client, const struct sim_term *term)
{
    return term->has_end && !term->is_loose && is_overdue(client, term->last_end_ns);
}

static void judge_membership(struct sim_client *client, uint16_t channel)
{
    struct sim_world *world = client->world;
    const struct sim_membership *membership = &client->memberships[channel];

    if (membership->subscription.is_on && membership->pending == 0 &&
        outlasts(client, &membership->term)) {
        sim_world_fail(world, "connection %u: token %u is over, and it is still in channel %u",
                       client->connection, membership->term.token, channel);
    }
    if (membership->subscription.is_on && membership->over.at != 0 &&
        is_overdue(client, membership->over.at_ns)) {
        sim_world_fail(world, "connection %u: still in channel %u, from which it was unsubscribed",
                       client->connection, channel);
    }
    if (membership->owed_ns != 0 && is_overdue(client, membership->owed_ns)) {
        sim_world_fail(world, "connection %u: not in channel %u, to which it was subscribed",
                       client->connection, channel);
    }
}

void sim_access_judge(struct sim_client *client)
{
    struct sim_world *world = client->world;

    if (client->is_excused || !sim_client_is_sound(client)) {
        return;
    }
    if (client->over.at != 0 && is_overdue(client, client->over.at_ns)) {
        sim_world_fail(world, "connection %u of user %u: still here, by order it is not",
                       client->connection, client->user);
    }
    if (!client->is_connected) {
        return;
    }
    if (outlasts(client, &client->term) && find_refresh(client, SIM_CHANNEL_MAX) == NULL) {
        sim_world_fail(world, "connection %u: token %u is over, and it is still here",
                       client->connection, client->term.token);
    }
    if (client->kept_owed_ns != 0 && is_overdue(client, client->kept_owed_ns)) {
        sim_world_fail(world, "connection %u was not told that it has no end any more",
                       client->connection);
    }
    for (uint16_t i = 0; i < SIM_CHANNEL_MAX; i++) {
        judge_membership(client, i);
    }
}

/* Was it published after the end, whatever is under way? */
static bool is_after(const struct sim_client *client, const struct sim_term *term, uint16_t channel,
                     uint64_t sent_ns)
{
    return term->has_end && !term->is_loose && sent_ns > term->last_end_ns + slack_ns &&
           find_refresh(client, channel) == NULL;
}

static bool is_after_order(const struct sim_over *over, uint64_t sent_at)
{
    return over->at != 0 && sent_at > over->at;
}

void sim_access_judge_delivery(struct sim_client *client, uint16_t channel, uint32_t publication)
{
    struct sim_world *world = client->world;
    const struct sim_publication *published = &world->model.publications[publication];
    const struct sim_membership *membership = &client->memberships[channel];

    if (is_after(client, &client->term, SIM_CHANNEL_MAX, published->sent_ns) ||
        is_after(client, &membership->term, channel, published->sent_ns)) {
        sim_world_fail(world, "connection %u: publication %u of channel %u is of after its end",
                       client->connection, publication, channel);
    }
    if (is_after_order(&client->over, published->sent_at) ||
        is_after_order(&membership->over, published->sent_at)) {
        sim_world_fail(world, "connection %u: publication %u of channel %u, in which it is not",
                       client->connection, publication, channel);
    }
}
