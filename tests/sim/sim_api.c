/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/codes.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_world.h"

enum {
    BODY_SIZE = 512,
    HEAD_SIZE = 256,
    READ_MAX = 1024,
    PAUSE_MS_MAX = 600, /* between two orders */
    BUSY_IN = 60,       /* or the next one at once, in so many steps */
    PADDING_MAX = 100,
};

void sim_api_init(struct sim_api *api, struct sim_world *world)
{
    *api = (struct sim_api){.world = world, .next_ns = UINT64_MAX};
    if (world->profile.is_signed) {
        api->next_ns = world->net.now_ns;
        api->publisher = world->connection_count++;
        world->users[api->publisher] = SIM_NOBODY;
    }
}

static void hang_up(struct sim_api *api)
{
    if (api->link != NULL && !api->link->client_is_gone) {
        sim_net_close(api->link);
    }
    api->link = NULL;
    sim_wire_free(&api->in);
    sim_wire_free(&api->out);
}

void sim_api_deinit(struct sim_api *api)
{
    hang_up(api);
}

/* -- what it orders ---------------------------------------------------------------------------- */

static enum sim_order_kind choose_kind(struct sim_random *random)
{
    static const uint8_t kinds[] = {
        SIM_ORDER_PUBLISH,     SIM_ORDER_PUBLISH,   SIM_ORDER_PUBLISH,     SIM_ORDER_PUBLISH,
        SIM_ORDER_PUBLISH,     SIM_ORDER_PUBLISH,   SIM_ORDER_SUBSCRIBE,   SIM_ORDER_SUBSCRIBE,
        SIM_ORDER_SUBSCRIBE,   SIM_ORDER_SUBSCRIBE, SIM_ORDER_UNSUBSCRIBE, SIM_ORDER_UNSUBSCRIBE,
        SIM_ORDER_UNSUBSCRIBE, SIM_ORDER_KEEP,      SIM_ORDER_EXPIRE,      SIM_ORDER_DISCONNECT,
        SIM_ORDER_INVALIDATE,  SIM_ORDER_REVOKE,    SIM_ORDER_BLOCK,       SIM_ORDER_UNBLOCK,
    };
    return (enum sim_order_kind)kinds[sim_random_below(random, sizeof(kinds))];
}

static bool is_blocked(const struct sim_world *world, uint16_t user)
{
    return sim_orders_last(world, user, SIM_ORDER_BLOCK).asked_at >
           sim_orders_last(world, user, SIM_ORDER_UNBLOCK).asked_at;
}

/* Rooms, personal channels, news: where somebody is, or may be. */
static uint16_t choose_channel(struct sim_world *world, enum sim_order_kind kind)
{
    struct sim_random *random = &world->random;
    const uint64_t choice = sim_random_below(random, 4);

    if (kind == SIM_ORDER_SUBSCRIBE || choice == 0) {
        return (uint16_t)(SIM_NEWS_FIRST + sim_random_below(random, SIM_NEWS_MAX));
    }
    if (kind == SIM_ORDER_PUBLISH && choice == 1 && world->profile.has_personal) {
        return (uint16_t)(SIM_PERSONAL_FIRST + sim_random_below(random, world->profile.user_count));
    }
    return (uint16_t)sim_random_below(random, world->profile.channel_count);
}

/* One that is in use; 0: nobody is in by one. */
static uint32_t choose_token(struct sim_world *world)
{
    const size_t first = sim_random_below(&world->random, world->client_count);
    for (size_t i = 0; i < world->client_count; i++) {
        const struct sim_client *client = &world->clients[(first + i) % world->client_count];
        if (client->term.token != 0) {
            return client->term.token;
        }
    }
    return 0;
}

/* One who is just signing in; SIM_NOBODY: nobody is. */
static uint16_t find_arriving(struct sim_world *world)
{
    const size_t first = sim_random_below(&world->random, world->client_count);
    for (size_t i = 0; i < world->client_count; i++) {
        const struct sim_client *client = &world->clients[(first + i) % world->client_count];
        if (client->user != SIM_NOBODY && client->phase == SIM_CLIENT_OPEN && !client->is_bad &&
            client->has_said_connect && !client->is_connected) {
            return client->user;
        }
    }
    return SIM_NOBODY;
}

static void choose_order(struct sim_api *api)
{
    struct sim_world *world = api->world;
    struct sim_random *random = &world->random;
    struct sim_order order = {
        .kind = choose_kind(random),
        .user = find_arriving(world),
    };

    if (order.user == SIM_NOBODY) {
        order.user = (uint16_t)sim_random_below(random, world->profile.user_count);
    } else if (sim_random_once_in(random, 4)) {
        order.kind = SIM_ORDER_BLOCK;
    }

    if (is_blocked(world, order.user) && sim_random_once_in(random, 2)) {
        order.kind = SIM_ORDER_UNBLOCK;
    }
    order.channel = choose_channel(world, order.kind);
    if (order.kind == SIM_ORDER_REVOKE) {
        order.token = choose_token(world);
        order.kind = order.token == 0 ? SIM_ORDER_PUBLISH : SIM_ORDER_REVOKE;
    }
    if (order.kind == SIM_ORDER_PUBLISH) {
        order.publication = sim_model_publish(&world->model, api->publisher, order.channel,
                                              world->step, world->net.now_ns);
    }
    order.before_s = sim_token_now_s(world) + sim_random_below(random, 2);
    sim_orders_ask(world, &order);
    sim_stats_add(world->stats, SIM_ORDERS, order.kind != SIM_ORDER_PUBLISH);
    api->order = order;
    api->has_order = true;
}

/* -- how it says it ---------------------------------------------------------------------------- */

static const char *const methods[SIM_ORDER_COUNT] = {
    [SIM_ORDER_PUBLISH] = "publish",
    [SIM_ORDER_BLOCK] = "block_user",
    [SIM_ORDER_UNBLOCK] = "unblock_user",
    [SIM_ORDER_REVOKE] = "revoke_token",
    [SIM_ORDER_INVALIDATE] = "invalidate_user_tokens",
    [SIM_ORDER_DISCONNECT] = "disconnect",
    [SIM_ORDER_EXPIRE] = "refresh",
    [SIM_ORDER_KEEP] = "refresh",
    [SIM_ORDER_SUBSCRIBE] = "subscribe",
    [SIM_ORDER_UNSUBSCRIBE] = "unsubscribe",
};

static size_t write_publication(const struct sim_api *api, const char *channel, char *body)
{
    uint8_t data[BODY_SIZE / 2];
    const struct bytes text = sim_client_write_data(
        api->order.publication, api->publisher, sim_random_below(&api->world->random, PADDING_MAX),
        (struct span){data, sizeof(data)});
    const int size = snprintf(body, BODY_SIZE, "{\"channel\":\"%s\",\"data\":%.*s}", channel,
                              (int)text.size, (const char *)text.data);
    CHECK(size > 0 && size < BODY_SIZE);
    return (size_t)size;
}

static size_t write_body(const struct sim_api *api, char *body)
{
    const struct sim_order *order = &api->order;
    char user[SIM_NAME_SIZE];
    char channel[SIM_NAME_SIZE];
    int size = 0;

    sim_token_write_user(order->user, user);
    sim_channel_write(order->channel, channel);
    switch (order->kind) {
    case SIM_ORDER_PUBLISH:
        return write_publication(api, channel, body);
    case SIM_ORDER_REVOKE:
        size = snprintf(body, BODY_SIZE, "{\"uid\":\"t%u\"}", order->token);
        break;
    case SIM_ORDER_INVALIDATE:
        size = snprintf(body, BODY_SIZE, "{\"user\":\"%s\",\"issued_before\":%" PRIu64 "}", user,
                        order->before_s);
        break;
    case SIM_ORDER_EXPIRE:
        size = snprintf(body, BODY_SIZE, "{\"user\":\"%s\",\"expired\":true}", user);
        break;
    case SIM_ORDER_SUBSCRIBE:
    case SIM_ORDER_UNSUBSCRIBE:
        size = snprintf(body, BODY_SIZE, "{\"user\":\"%s\",\"channel\":\"%s\"}", user, channel);
        break;
    case SIM_ORDER_BLOCK:
    case SIM_ORDER_UNBLOCK:
    case SIM_ORDER_DISCONNECT:
    case SIM_ORDER_KEEP:
    case SIM_ORDER_COUNT:
        size = snprintf(body, BODY_SIZE, "{\"user\":\"%s\"}", user);
    }
    CHECK(size > 0 && size < BODY_SIZE);
    return (size_t)size;
}

/* A connection to any shard. False: none listens any more. */
static bool call(struct sim_api *api)
{
    struct sim_world *world = api->world;
    const size_t shard = sim_random_below(&world->random, world->profile.shard_count);
    char head[HEAD_SIZE];
    char body[BODY_SIZE];

    api->link = sim_net_connect(&world->net, world->internal_listeners[shard]);
    if (api->link == NULL) {
        return false;
    }
    const size_t size = write_body(api, body);
    const int head_size = snprintf(head, sizeof(head),
                                   "POST /api/%s HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n"
                                   "Content-Length: %zu\r\n\r\n",
                                   methods[api->order.kind], size);
    CHECK(head_size > 0 && head_size < HEAD_SIZE);
    sim_wire_put(&api->out, head, (size_t)head_size);
    sim_wire_put(&api->out, body, size);
    sim_world_tell(world, "the back end: %s %s at shard %zu", methods[api->order.kind], body,
                   shard);
    return true;
}

/* -- what it is answered ----------------------------------------------------------------------- */

static void finish(struct sim_api *api)
{
    struct sim_world *world = api->world;
    hang_up(api);
    api->has_order = false;
    api->next_ns = world->net.now_ns + sim_random_below(&world->random, PAUSE_MS_MAX) * SIM_MS;
}

/* Where what is published has to be stored first, by somebody who is not reliable. */
static bool may_fail(const struct sim_api *api)
{
    return api->world->profile.is_durable && api->order.kind == SIM_ORDER_PUBLISH;
}

static void hear_answer(struct sim_api *api, struct bytes body)
{
    static const char good[] = "{\"result\":";
    struct sim_world *world = api->world;
    const bool is_good =
        body.size >= sizeof(good) - 1 && memcmp(body.data, good, sizeof(good) - 1) == 0;

    sim_world_tell(world, "the back end is answered: %.*s", (int)body.size,
                   (const char *)body.data);
    if (!is_good && !may_fail(api)) {
        sim_world_fail(world, "the back end got %.*s for its %s", (int)body.size,
                       (const char *)body.data, methods[api->order.kind]);
    } else if (is_good && api->order.kind == SIM_ORDER_PUBLISH) {
        sim_model_acknowledge(&world->model, api->order.publication, world->step);
        if (world->profile.is_durable &&
            !sim_model_is_stored(&world->model, api->order.publication)) {
            sim_world_fail(world, "publication %u is acknowledged and not stored",
                           api->order.publication);
        }
    } else if (is_good) {
        sim_orders_done(world, &api->order);
    }
    finish(api);
}

/* The whole answer, if it is there. */
static void look(struct sim_api *api)
{
    static const char status[] = "HTTP/1.1 200 ";
    static const char length_name[] = "Content-Length: ";
    const uint8_t *head = api->in.data + api->in.begin;
    const size_t size = sim_wire_size(&api->in);
    const uint8_t *end = size < 4 ? NULL : memmem(head, size, "\r\n\r\n", 4);

    if (end == NULL) {
        return;
    }
    const uint8_t *body = end + 4;
    const uint8_t *length =
        memmem(head, (size_t)(body - head), length_name, sizeof(length_name) - 1);
    if (length == NULL || memcmp(head, status, sizeof(status) - 1) != 0) {
        sim_world_fail(api->world, "the back end got %.*s", (int)(end - head), (const char *)head);
        return;
    }
    const size_t body_size =
        (size_t)strtoul((const char *)length + sizeof(length_name) - 1, NULL, 10);
    if (size - (size_t)(body - head) >= body_size) {
        hear_answer(api, (struct bytes){body, body_size});
    }
}

/* Nobody knows whether it was done. */
static void fail(struct sim_api *api)
{
    sim_world_tell(api->world, "the back end's connection failed");
    if (api->order.kind == SIM_ORDER_PUBLISH) {
        finish(api);
    } else {
        hang_up(api);
    }
}

static bool read_some(struct sim_api *api)
{
    uint8_t bytes[READ_MAX];

    if (!sim_net_is_readable(api->link)) {
        return false;
    }
    const ssize_t size = sim_net_read(&api->world->net, api->link, bytes, sizeof(bytes));
    if (size <= 0) {
        fail(api);
    } else {
        sim_wire_put(&api->in, bytes, (size_t)size);
        look(api);
    }
    return true;
}

static bool write_some(struct sim_api *api)
{
    const size_t size = sim_wire_size(&api->out);
    if (size == 0) {
        return false;
    }
    const ssize_t written =
        sim_net_write(&api->world->net, api->link, api->out.data + api->out.begin, size);
    sim_wire_skip(&api->out, written < 0 ? size : (size_t)written); /* reading will tell why */
    return written != 0;
}

static bool begin(struct sim_api *api)
{
    struct sim_world *world = api->world;
    const bool is_time =
        world->net.now_ns >= api->next_ns || sim_random_once_in(&world->random, BUSY_IN);

    if (!world->profile.is_signed || !world->is_talking || !is_time) {
        return false;
    }
    choose_order(api);
    return true;
}

bool sim_api_act(struct sim_api *api)
{
    if (!api->has_order) {
        return begin(api);
    }
    if (api->link == NULL) {
        if (call(api)) {
            return true;
        }
        finish(api); /* the server is gone, or nearly */
        return true;
    }
    return write_some(api) || read_some(api);
}

uint64_t sim_api_next_ns(const struct sim_api *api)
{
    const struct sim_world *world = api->world;
    return api->has_order || !world->is_talking || api->next_ns <= world->net.now_ns ? UINT64_MAX
                                                                                     : api->next_ns;
}
