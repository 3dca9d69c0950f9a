/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_ACCESS_H
#define TESTS_SIM_SIM_ACCESS_H
/*
 * Who a simulated client is and how long it may stay, in seeds whose clients sign in: it shows
 * tokens, and others before they end; or too late, never, and such as are not good for it.
 *
 * Ends      a token says whole seconds, and what it opened ends `close_delay_ns` after them: within
 *           the second that the server may round up, and not before. So a term has a first and a
 *           last moment of its end. In between anything goes.
 * In time   a refresh that was sent a second before the first moment, by a client whom nothing has
 *           kept, must save what it is for.
 * Orders    of the back end (sim_orders.h) end it sooner, begin a subscription, or take the end
 *           away.
 * Judged    that nothing ends before its time or for another reason than is due, and that nothing
 *           lasts: not the connection, not the subscription, not one publication.
 *
 * sim_access.c: what a client does; sim_access_order.c: what an order means for it;
 * sim_access_judge.c: what is right.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "proto/command.h"

struct event;
struct sim_asked;
struct sim_client;
struct sim_order;

/* What its client will do about an end. */
enum sim_refresh {
    SIM_REFRESH_GOOD = 0, /* another token: in time, late, or never */
    SIM_REFRESH_EXPIRED,  /* one that is over */
    SIM_REFRESH_FOREIGN,  /* another user's */
};

/* Zeroed: without a token, for ever. */
struct sim_term {
    uint32_t token; /* that counts; 0: none */
    bool has_end;
    bool is_loose; /* the back end may have taken the end away */
    uint64_t first_end_ns;
    uint64_t last_end_ns;
    uint64_t refresh_ns; /* UINT64_MAX: never */
    enum sim_refresh refresh;
};

/* The back end has ended it, on every reactor since then: step and time. Zeroed: it has not. */
struct sim_over {
    uint64_t at;
    uint64_t at_ns;
};

/* Who it is, for all of its connections. */
void sim_access_init(struct sim_client *client);

/* The token of a connect; or of a subscribe, and the error that is due for it. */
void sim_access_choose_token(struct sim_client *client, struct sim_asked *asked);
void sim_access_choose_sub_token(struct sim_client *client, struct sim_asked *asked);

/* Shows another token where it is time. False: nowhere. */
bool sim_access_refresh(struct sim_client *client);

/* When it will be; UINT64_MAX: never, or it is. */
NODISCARD uint64_t sim_access_next_ns(const struct sim_client *client);

/* Its connect, subscribe, refresh or sub_refresh was accepted. */
void sim_access_hear_granted(struct sim_client *client, const struct sim_asked *asked,
                             const struct event *event);

/* A command got an error. False: for no reason that is known here. */
NODISCARD bool sim_access_hear_refused(struct sim_client *client, const struct sim_asked *asked,
                                       uint32_t code);

/* A command of that kind for that channel which has no answer; NULL: none. */
NODISCARD const struct sim_asked *sim_access_find_asked(const struct sim_client *client,
                                                        enum command_method method,
                                                        uint16_t channel);

/* An order was asked; it was answered. */
void sim_access_await_order(struct sim_client *client, const struct sim_order *order);
void sim_access_take_order(struct sim_client *client, const struct sim_order *order);

/* Is it in by a token that is forbidden everywhere? Then that is its end, whenever it came in. */
void sim_access_end_if_forbidden(struct sim_client *client);

/* It was told that its connection has another end. */
void sim_access_hear_kept(struct sim_client *client, bool expires);

/* May the server end its connection so; or its subscription? */
NODISCARD bool sim_access_may_close(const struct sim_client *client, uint16_t code);
NODISCARD bool sim_access_may_unsubscribe(const struct sim_client *client, uint16_t channel,
                                          uint32_t code);

/* May the server have brought it into the channel, by order of the back end? */
NODISCARD bool sim_access_may_subscribe(const struct sim_client *client, uint16_t channel);

/* May the subscription that it asks about have ended, and it not have heard? */
NODISCARD bool sim_access_may_have_left(const struct sim_client *client,
                                        const struct sim_asked *asked);

/* It heard a publication: does it still may? */
void sim_access_judge_delivery(struct sim_client *client, uint16_t channel, uint32_t publication);

/* Is the end so near that it may be here before one knows? */
NODISCARD bool sim_access_ends_soon(const struct sim_client *client, const struct sim_term *term);

/*
 * Is it in the channel, or not, for others too? Not sure: its token is about to end, or something
 * of it has ended so lately that they may not have been told.
 */
NODISCARD bool sim_access_is_settled(const struct sim_client *client, uint16_t channel);

/* Is everything over that is to be? */
void sim_access_judge(struct sim_client *client);

#endif /* TESTS_SIM_SIM_ACCESS_H */
