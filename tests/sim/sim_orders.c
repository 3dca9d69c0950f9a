/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_orders.h"

#include <stddef.h>

#include "core/check.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_world.h"

static bool is_about_user(const struct sim_order *order)
{
    return order->kind != SIM_ORDER_PUBLISH && order->kind != SIM_ORDER_REVOKE;
}

/* Where it is noted: by its channel, or by its kind. */
static struct sim_moment *moment_of(struct sim_world *world, const struct sim_order *order)
{
    struct sim_user_orders *orders = &world->orders.users[order->user];
    if (order->kind == SIM_ORDER_SUBSCRIBE) {
        return &orders->subscribed[order->channel];
    }
    return order->kind == SIM_ORDER_UNSUBSCRIBE ? &orders->unsubscribed[order->channel]
                                                : &orders->of_kind[order->kind];
}

static void invalidate(struct sim_user_orders *orders, uint64_t before_s)
{
    orders->sure_before_s = orders->before_s;
    orders->sure_at = orders->of_kind[SIM_ORDER_INVALIDATE].done_at;
    orders->before_s = before_s > orders->before_s ? before_s : orders->before_s;
}

void sim_orders_ask(struct sim_world *world, struct sim_order *order)
{
    order->asked_at = world->step;
    if (order->kind == SIM_ORDER_REVOKE) {
        struct sim_token *token = &world->tokens.items[order->token - 1];
        token->revoke_asked_at = token->revoke_asked_at == 0 ? world->step : token->revoke_asked_at;
    }
    if (order->kind == SIM_ORDER_INVALIDATE) {
        invalidate(&world->orders.users[order->user], order->before_s);
    }
    if (is_about_user(order)) {
        *moment_of(world, order) = (struct sim_moment){.asked_at = world->step};
    }
    for (size_t i = 0; i < world->client_count; i++) {
        sim_access_await_order(&world->clients[i], order);
    }
}

void sim_orders_done(struct sim_world *world, const struct sim_order *order)
{
    if (order->kind == SIM_ORDER_REVOKE) {
        struct sim_token *token = &world->tokens.items[order->token - 1];
        token->revoked_at = token->revoked_at == 0 ? world->step : token->revoked_at;
    }
    if (is_about_user(order)) {
        moment_of(world, order)->done_at = world->step;
    }
    for (size_t i = 0; i < world->client_count; i++) {
        sim_access_take_order(&world->clients[i], order);
    }
}

static bool is_before(uint64_t moment_at, uint64_t at)
{
    return moment_at != 0 && moment_at <= at;
}

static bool is_blocked(const struct sim_user_orders *orders, uint64_t since_at)
{
    const struct sim_moment block = orders->of_kind[SIM_ORDER_BLOCK];
    return is_before(block.done_at, since_at) &&
           orders->of_kind[SIM_ORDER_UNBLOCK].asked_at < block.asked_at;
}

static bool may_be_blocked(const struct sim_user_orders *orders, uint64_t since_at)
{
    const struct sim_moment block = orders->of_kind[SIM_ORDER_BLOCK];
    const struct sim_moment unblock = orders->of_kind[SIM_ORDER_UNBLOCK];
    const bool is_lifted =
        unblock.asked_at > block.asked_at && is_before(unblock.done_at, since_at);
    return block.asked_at != 0 && !is_lifted;
}

bool sim_orders_forbid(const struct sim_world *world, uint32_t number, uint64_t since_at)
{
    const struct sim_token *token = sim_token_at(world, number);
    if (is_before(token->revoked_at, since_at)) {
        return true;
    }
    if (token->user == SIM_NOBODY) {
        return false;
    }
    const struct sim_user_orders *orders = &world->orders.users[token->user];
    return is_blocked(orders, since_at) ||
           (token->issued_s < orders->sure_before_s && is_before(orders->sure_at, since_at)) ||
           (token->issued_s < orders->before_s &&
            is_before(orders->of_kind[SIM_ORDER_INVALIDATE].done_at, since_at));
}

bool sim_orders_may_forbid(const struct sim_world *world, uint32_t number, uint64_t since_at)
{
    const struct sim_token *token = sim_token_at(world, number);
    if (token->revoke_asked_at != 0) {
        return true;
    }
    if (token->user == SIM_NOBODY) {
        return false;
    }
    const struct sim_user_orders *orders = &world->orders.users[token->user];
    return may_be_blocked(orders, since_at) || token->issued_s < orders->before_s;
}

bool sim_orders_may_reach(const struct sim_moment *moment, uint64_t since_at)
{
    return moment->asked_at != 0 && (moment->done_at == 0 || moment->done_at >= since_at);
}

struct sim_moment sim_orders_last(const struct sim_world *world, uint16_t user,
                                  enum sim_order_kind kind)
{
    CHECK(kind < SIM_ORDER_COUNT);
    return user == SIM_NOBODY ? (struct sim_moment){.asked_at = 0}
                              : world->orders.users[user].of_kind[kind];
}
