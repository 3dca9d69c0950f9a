/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_CHANNEL_H
#define TESTS_SIM_SIM_CHANNEL_H
/*
 * The channels of a simulated run, by number.
 *
 * Rooms     room-0 and so on: clients subscribe to them.
 * Personal  #u0 and so on: whoever is signed in is in that of its user.
 * News      news-0 and so on: clients are in them by their tokens, or because the back end says so.
 */
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    SIM_ROOM_MAX = 8,
    SIM_USER_MAX = 5,
    SIM_NEWS_MAX = 2,

    SIM_PERSONAL_FIRST = SIM_ROOM_MAX,
    SIM_NEWS_FIRST = SIM_PERSONAL_FIRST + SIM_USER_MAX,
    SIM_CHANNEL_MAX = SIM_NEWS_FIRST + SIM_NEWS_MAX, /* also: none of them */

    SIM_NAME_SIZE = 16, /* bytes of a channel's name, or a user's, with the NUL */
};

/* SIM_CHANNEL_MAX: a name in a namespace that there is not. */
void sim_channel_write(uint16_t channel, char name[SIM_NAME_SIZE]);

/* SIM_CHANNEL_MAX: no name of ours. */
NODISCARD uint16_t sim_channel_read(struct bytes name);

#endif /* TESTS_SIM_SIM_CHANNEL_H */
