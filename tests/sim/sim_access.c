/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_access.h"

#include "core/check.h"
#include "proto/codes.h"
#include "proto/event.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_orders.h"
#include "tests/sim/sim_world.h"

enum {
    TTL_S_MAX = 9,   /* of tokens that end */
    EARLY_MS = 1500, /* so long before the end who refreshes in time does it, where there is time */
    LATE_MS = 1500,  /* so long after it at most who is late */
    AROUND_MS = 500, /* so long before it at most who tries its luck */
    EXPIRED_S_MAX = 3, /* so long tokens may be over that are shown all the same */
};

/* -- tokens ------------------------------------------------------------------------------------ */

void sim_access_init(struct sim_client *client)
{
    struct sim_world *world = client->world;
    client->user = !world->profile.is_signed || sim_random_once_in(&world->random, 6)
                       ? SIM_NOBODY
                       : (uint16_t)sim_random_below(&world->random, world->profile.user_count);
}

static uint64_t choose_end_s(struct sim_world *world)
{
    return sim_random_once_in(&world->random, 4)
               ? 0
               : sim_token_now_s(world) + sim_random_range(&world->random, 1, TTL_S_MAX);
}

static uint64_t past_s(struct sim_world *world)
{
    return sim_token_now_s(world) - sim_random_below(&world->random, EXPIRED_S_MAX);
}

static uint16_t another_user(const struct sim_client *client)
{
    const uint16_t next = (uint16_t)(client->user + 1);
    if (client->user == SIM_NOBODY) {
        return 0;
    }
    return next < client->world->profile.user_count ? next : SIM_NOBODY;
}

void sim_access_choose_token(struct sim_client *client, struct sim_asked *asked)
{
    struct sim_world *world = client->world;
    struct sim_token token = {.user = client->user, .channel = SIM_CHANNEL_MAX};

    if (client->is_probe) {
        asked->token = sim_token_issue(world, &token);
        return;
    }
    token.news = (uint16_t)sim_random_below(&world->random, 1 << SIM_NEWS_MAX);
    if (client->user == SIM_NOBODY && sim_random_once_in(&world->random, 2)) {
        return; /* nor does it need one */
    }
    if (client->last_token != 0 && sim_random_once_in(&world->random, 6)) {
        asked->token = client->last_token;
    } else {
        token.expires_s =
            sim_random_once_in(&world->random, 16) ? past_s(world) : choose_end_s(world);
        asked->token = sim_token_issue(world, &token);
    }
    if (sim_token_is_over(sim_token_at(world, asked->token), world->net.now_ns)) {
        asked->error = CODES_ERROR_TOKEN_EXPIRED;
    }
}

void sim_access_choose_sub_token(struct sim_client *client, struct sim_asked *asked)
{
    struct sim_world *world = client->world;
    struct sim_token token = {.user = client->user, .channel = asked->channel};
    const uint64_t choice = sim_random_below(&world->random, 24);

    if (choice == 0 || (!world->profile.needs_sub_token && choice < 12)) {
        asked->error = world->profile.needs_sub_token ? CODES_ERROR_PERMISSION_DENIED : 0;
        return;
    }
    token.expires_s = choose_end_s(world);
    if (choice == 23) {
        token.expires_s = past_s(world);
        asked->error = CODES_ERROR_TOKEN_EXPIRED;
    } else if (choice >= 21) {
        token.user = choice == 22 ? another_user(client) : client->user;
        token.channel = (uint16_t)(asked->channel + (choice == 21));
        token.expires_s = 0;
        asked->error = CODES_ERROR_PERMISSION_DENIED;
    }
    asked->token = sim_token_issue(world, &token);
}

/* -- terms ------------------------------------------------------------------------------------- */

/* What will be done about its end, and when. */
static void plan(struct sim_world *world, struct sim_term *term)
{
    struct sim_random *random = &world->random;
    const uint64_t now_ns = world->net.now_ns;
    const uint64_t end_ns = term->first_end_ns > now_ns ? term->first_end_ns : now_ns;
    const uint64_t early_ns = EARLY_MS * SIM_MS;
    const uint64_t choice = sim_random_below(random, 16);

    term->refresh = choice == 3   ? SIM_REFRESH_EXPIRED
                    : choice == 4 ? SIM_REFRESH_FOREIGN
                                  : SIM_REFRESH_GOOD;
    if (choice == 0) {
        term->refresh_ns = UINT64_MAX;
    } else if (choice == 1) {
        term->refresh_ns = end_ns + sim_random_below(random, LATE_MS) * SIM_MS;
    } else if (choice == 2) {
        const uint64_t around_ns = sim_random_below(random, AROUND_MS) * SIM_MS;
        term->refresh_ns = end_ns > around_ns ? end_ns - around_ns : now_ns;
    } else {
        const uint64_t room_ns = end_ns > now_ns + early_ns ? end_ns - now_ns - early_ns : 1;
        term->refresh_ns = now_ns + sim_random_below(random, room_ns);
    }
}

static void begin(struct sim_client *client, struct sim_term *term, uint32_t number)
{
    struct sim_world *world = client->world;

    *term = (struct sim_term){.token = number, .refresh_ns = UINT64_MAX};
    const uint64_t expires_s = number == 0 ? 0 : sim_token_at(world, number)->expires_s;
    if (expires_s == 0) {
        return;
    }
    term->has_end = true;
    term->first_end_ns = sim_token_ns(expires_s) + world->profile.close_delay_ns;
    term->last_end_ns = term->first_end_ns + SIM_S;
    plan(world, term);
}

/* -- refreshing -------------------------------------------------------------------------------- */

static bool is_due(const struct sim_term *term, uint64_t now_ns)
{
    return term->has_end && term->refresh_ns <= now_ns;
}

static void refresh(struct sim_client *client, struct sim_term *term, uint16_t channel)
{
    struct sim_world *world = client->world;
    const struct sim_token token = {
        .user = term->refresh == SIM_REFRESH_FOREIGN ? another_user(client) : client->user,
        .channel = channel,
        .expires_s = term->refresh == SIM_REFRESH_EXPIRED ? past_s(world) : choose_end_s(world),
    };
    const uint32_t number = sim_token_issue(world, &token);

    term->refresh_ns = UINT64_MAX;
    sim_world_tell(world, "connection %u: shows token %u for channel %u", client->connection,
                   number, channel);
    sim_client_say_refresh(client, channel, number);
}

static bool may_refresh(const struct sim_client *client)
{
    return client->phase == SIM_CLIENT_OPEN && client->is_connected && !client->is_leaving;
}

bool sim_access_refresh(struct sim_client *client)
{
    const uint64_t now_ns = client->world->net.now_ns;

    if (!may_refresh(client)) {
        return false;
    }
    if (is_due(&client->term, now_ns)) {
        refresh(client, &client->term, SIM_CHANNEL_MAX);
        return true;
    }
    for (uint16_t i = 0; i < SIM_CHANNEL_MAX; i++) {
        struct sim_membership *membership = &client->memberships[i];
        if (membership->subscription.is_on && membership->pending == 0 &&
            is_due(&membership->term, now_ns)) {
            membership->pending++;
            refresh(client, &membership->term, i);
            return true;
        }
    }
    return false;
}

static uint64_t sooner(const struct sim_term *term, uint64_t now_ns, uint64_t next_ns)
{
    return term->has_end && term->refresh_ns > now_ns && term->refresh_ns < next_ns
               ? term->refresh_ns
               : next_ns;
}

uint64_t sim_access_next_ns(const struct sim_client *client)
{
    const uint64_t now_ns = client->world->net.now_ns;
    uint64_t next_ns = UINT64_MAX;

    if (!may_refresh(client)) {
        return UINT64_MAX;
    }
    next_ns = sooner(&client->term, now_ns, next_ns);
    for (size_t i = 0; i < SIM_CHANNEL_MAX; i++) {
        if (client->memberships[i].subscription.is_on) {
            next_ns = sooner(&client->memberships[i].term, now_ns, next_ns);
        }
    }
    return next_ns;
}

/* -- answers ----------------------------------------------------------------------------------- */

/* What is said of the end, which the server counts from when it has read the command. */
static bool tells_end(const struct sim_client *client, const struct sim_asked *asked,
                      const struct event *event)
{
    const struct sim_token *token = sim_token_at(client->world, asked->token);
    const uint64_t now_s = sim_token_now_s(client->world);
    const uint64_t least = token->expires_s > now_s ? token->expires_s - now_s : 1;

    return event->expires && event->ttl_s >= least &&
           event->ttl_s <= token->expires_s - sim_token_second(asked->asked_ns);
}

static void judge_granted(struct sim_client *client, const struct sim_asked *asked,
                          const struct event *event)
{
    struct sim_world *world = client->world;
    const struct sim_token *token = asked->token == 0 ? NULL : sim_token_at(world, asked->token);
    const bool has_end = token != NULL && token->expires_s != 0;

    if (token != NULL && (token->user != client->user || token->channel != asked->channel)) {
        sim_world_fail(world, "connection %u: token %u is not good for that, and was accepted",
                       client->connection, asked->token);
    } else if (token != NULL && sim_token_is_over(token, asked->asked_ns)) {
        sim_world_fail(world, "connection %u: token %u was over, and was accepted",
                       client->connection, asked->token);
    } else if (token != NULL && sim_orders_forbid(world, asked->token, asked->asked_at)) {
        sim_world_fail(world, "connection %u: token %u was forbidden, and was accepted",
                       client->connection, asked->token);
    } else if (has_end ? !tells_end(client, asked, event) : event->expires) {
        sim_world_fail(world, "connection %u: token %u does not end in %u s", client->connection,
                       asked->token, event->ttl_s);
    }
}

void sim_access_hear_granted(struct sim_client *client, const struct sim_asked *asked,
                             const struct event *event)
{
    const bool is_channel =
        asked->method == COMMAND_SUBSCRIBE || asked->method == COMMAND_SUB_REFRESH;
    const bool is_refresh =
        asked->method == COMMAND_REFRESH || asked->method == COMMAND_SUB_REFRESH;
    struct sim_term *term = is_channel ? &client->memberships[asked->channel].term : &client->term;

    if (!client->world->profile.is_signed) {
        return;
    }
    begin(client, term, asked->token);
    /* What ends while it waits for its home is confirmed without an end, and then ends. */
    const bool ends_now = asked->method == COMMAND_SUBSCRIBE && !event->expires &&
                          sim_access_may_have_left(client, asked);
    if (!ends_now) {
        judge_granted(client, asked, event);
    }
    if (!is_channel) {
        sim_access_end_if_forbidden(client);
    }
    if (is_refresh) {
        sim_stats_add(client->world->stats, SIM_RENEWED, 1);
    }
    if (asked->method == COMMAND_SUB_REFRESH) {
        client->memberships[asked->channel].pending--;
    }
}

/* It is not let in, and has no answer to what it said together with its connect. */
static void turn_away(struct sim_client *client)
{
    client->is_turned_away = true;
    client->asked_count = 0;
}

/* Is that the error for it? `is_over`: its token is by now. */
static bool is_error_for(const struct sim_client *client, const struct sim_asked *asked,
                         uint32_t code)
{
    const bool is_over =
        asked->token != 0 &&
        sim_token_is_over(sim_token_at(client->world, asked->token), client->world->net.now_ns);
    const struct sim_profile *profile = &client->world->profile;
    switch (asked->method) {
    case COMMAND_CONNECT: /* or one of the channels that it brings has no home for a while */
        return (is_over && code == CODES_ERROR_TOKEN_EXPIRED) ||
               ((profile->is_durable || profile->has_gaps) && code == CODES_ERROR_INTERNAL);
    case COMMAND_SUBSCRIBE:
        return (asked->error == 0 && is_over && code == CODES_ERROR_TOKEN_EXPIRED) ||
               (asked->token != 0 && asked->error == 0 && code == CODES_ERROR_PERMISSION_DENIED &&
                sim_orders_may_forbid(client->world, asked->token, asked->asked_at));
    case COMMAND_SUB_REFRESH:
        return code == CODES_ERROR_PERMISSION_DENIED && sim_access_may_have_left(client, asked);
    default:
        return false;
    }
}

bool sim_access_hear_refused(struct sim_client *client, const struct sim_asked *asked,
                             uint32_t code)
{
    if (!client->world->profile.is_signed || !is_error_for(client, asked, code)) {
        return false;
    }
    sim_stats_add(client->world->stats, SIM_TOKEN_REFUSED, 1);
    sim_world_tell(client->world, "connection %u: command %u, token %u, is refused with %u",
                   client->connection, asked->id, asked->token, code);
    if (asked->method == COMMAND_CONNECT) {
        turn_away(client);
    } else {
        client->memberships[asked->channel].pending--;
        if (asked->method == COMMAND_SUBSCRIBE) {
            client->memberships[asked->channel].is_wanted = false;
        }
    }
    return true;
}
