/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_ORDERS_H
#define TESTS_SIM_SIM_ORDERS_H
/*
 * What the back end has ordered about users and tokens, and since when it must be so.
 *
 * Moments   an order is asked, and later answered, when every reactor has obeyed. Before the one
 *           nothing of it may be seen; after the other all of it must; between them each reactor
 *           has its own moment. Moments are steps of the scheduler; 0: never.
 * One       order is under way at a time, so those about one user do not overtake each other.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "tests/sim/sim_channel.h"

struct sim_world;

enum sim_order_kind {
    SIM_ORDER_PUBLISH = 0,
    SIM_ORDER_BLOCK,
    SIM_ORDER_UNBLOCK,
    SIM_ORDER_REVOKE,
    SIM_ORDER_INVALIDATE,
    SIM_ORDER_DISCONNECT,
    SIM_ORDER_EXPIRE, /* a refresh that ends it */
    SIM_ORDER_KEEP,   /* a refresh after which it has no end */
    SIM_ORDER_SUBSCRIBE,
    SIM_ORDER_UNSUBSCRIBE,
    SIM_ORDER_COUNT,
};

struct sim_order {
    enum sim_order_kind kind;
    uint16_t user;
    uint16_t channel;
    uint32_t token;       /* SIM_ORDER_REVOKE */
    uint32_t publication; /* SIM_ORDER_PUBLISH */
    uint64_t before_s;    /* SIM_ORDER_INVALIDATE: what was issued before this second */
    uint64_t asked_at;
};

struct sim_moment {
    uint64_t asked_at;
    uint64_t done_at;
};

/* The last ones of each kind. */
struct sim_user_orders {
    struct sim_moment of_kind[SIM_ORDER_COUNT];
    struct sim_moment subscribed[SIM_CHANNEL_MAX];
    struct sim_moment unsubscribed[SIM_CHANNEL_MAX];
    uint64_t before_s;      /* the latest of all invalidations */
    uint64_t sure_before_s; /* of those before the last one */
    uint64_t sure_at;       /* when that one was done */
};

struct sim_orders {
    struct sim_user_orders users[SIM_USER_MAX];
};

/* It is sent; it was answered: what follows for every client is noted, too. */
void sim_orders_ask(struct sim_world *world, struct sim_order *order);
void sim_orders_done(struct sim_world *world, const struct sim_order *order);

/* Is the token forbidden, by now and ever since? */
NODISCARD bool sim_orders_forbid(const struct sim_world *world, uint32_t token, uint64_t since_at);

/* Was it, maybe, on any reactor at any time since? */
NODISCARD bool sim_orders_may_forbid(const struct sim_world *world, uint32_t token,
                                     uint64_t since_at);

/* May an order have reached a reactor since then? */
NODISCARD bool sim_orders_may_reach(const struct sim_moment *moment, uint64_t since_at);

/* The last one of that kind about a user, who may be SIM_NOBODY. */
NODISCARD struct sim_moment sim_orders_last(const struct sim_world *world, uint16_t user,
                                            enum sim_order_kind kind);

#endif /* TESTS_SIM_SIM_ORDERS_H */
