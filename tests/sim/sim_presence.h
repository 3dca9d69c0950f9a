/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_PRESENCE_H
#define TESTS_SIM_SIM_PRESENCE_H
/*
 * What subscribers were told of who is there, and whether it is so when everything is quiet.
 *
 * Views     of each subscription: whom it heard to come or go, and which of both last.
 * Truth     a client that is sound and subscribed is in every list and gone in no view; one that is
 *           not subscribed is in no list, and here in no view. Where nothing goes wrong with
 *           connections, the same holds for those that have ended.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/bytes.h"

struct sim_client;
struct sim_view;

struct sim_views {
    struct sim_view *items;
    size_t count;
    size_t capacity;
};

/* Somebody came, or went. */
void sim_presence_note(struct sim_views *views, struct bytes id, bool is_here);

/* A subscription begins: nothing is known. */
void sim_presence_clear(struct sim_views *views);
void sim_presence_forget(struct sim_views *views);

/* Nothing moves any more: is what was told to this client so? */
void sim_presence_judge(const struct sim_client *client, const struct sim_client *clients,
                        size_t client_count);

/* A list that it asked for while nothing moved: `members` is the JSON object. */
void sim_presence_judge_list(const struct sim_client *client, uint16_t channel,
                             struct bytes members);

/* Likewise, how many connections there are, of how many users: all who are anonymous are one. */
void sim_presence_judge_numbers(const struct sim_client *client, uint16_t channel,
                                uint32_t client_count, uint32_t user_count);

#endif /* TESTS_SIM_SIM_PRESENCE_H */
