/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_HERALD_H
#define CHAT_HERALD_H
/*
 * What the others are to be told about the members of one room here: who came, who went.
 *
 * State, not events. Each member has a bit: were the others told of it? So a join needs no queue,
 * what finds no room on the bus is told later, and of somebody who went before anybody knew of it
 * nothing is told. Only members that were known and went have to be remembered; there is a place
 * for each before it is known, so that leaving cannot fail.
 *
 * Truth     what was told last of a member becomes true: leaves go before joins, and of every
 *           member that was told of, or named to somebody who asked, its leave is told.
 * Sample    at most told_max members of a room are told of at a time. In a larger one the others
 *           are counted only (presence_stats); when one of the sample leaves, another one follows.
 * Rate      one frame of at most batch_max joins and leaves, then a pause that grows with the room:
 *           about 64 x told_max pushes a second go to a room, however large and restless it is. A
 *           small room is told at once, one above 4 x told_max members once a second.
 * Owner     the room. ON its reactor only. Memory: 16 bytes for each member that is known.
 */
#include <stdbool.h>
#include <stdint.h>

#include "chat/roster.h"
#include "chat/session.h"
#include "core/annot.h"
#include "core/timerwheel.h"

struct blob;
struct blob_pool;
struct slab;

enum { HERALD_BATCH_MAX = 64 }; /* joins and leaves in one frame */

struct herald_limits {
    uint32_t told_max;      /* members of one room that the others are told of; at least 1 */
    uint32_t batch_max;     /* pushes in one frame, 1 to HERALD_BATCH_MAX */
    uint16_t reactor_count; /* there are about as many members on each of the others */
};

/* Who left, and was known: what is to be said of it. */
struct herald_leave {
    uint8_t id[SESSION_ID_SIZE];
    struct session_cards cards; /* holds a reference of each */
};

struct herald {
    struct timerwheel_timer timer; /* the hub's: when to speak next */
    struct timerwheel *wheel;      /* that `timer` is armed in */
    uint32_t room;                 /* slot of its room */
    uint32_t told_count;           /* members that were told of */
    uint32_t known_count;          /* the same, and those that were only named */
    struct herald_leave *leaves;   /* a ring, the oldest first; room for known_count more */
    uint32_t leave_first;
    uint32_t leave_count;
    uint32_t leave_capacity;
    uint64_t spoke_ns; /* when it spoke last; 0: never */
};

/* What is told in one frame. */
struct herald_batch {
    uint32_t leave_count;             /* the oldest ones */
    uint32_t join_count;              /* of `joins` */
    uint32_t joins[HERALD_BATCH_MAX]; /* indices of members */
};

/* For a room that has none. NULL: no memory. */
NODISCARD struct herald *herald_create(struct timerwheel *wheel, uint32_t room);

/* Cancels its timer. NULL: nothing. */
void herald_destroy(struct herald *herald);

/* Somebody is told that it is there, and has to hear when it leaves. False: no memory. */
NODISCARD bool herald_mark_known(struct herald *herald, struct roster_member *member);

/* The member is about to be taken out of its room. */
void herald_remember(struct herald *herald, const struct roster_member *member,
                     const struct session *session);

/* Is there anything to tell, and when may that be? */
NODISCARD bool herald_has_news(const struct room *room, const struct herald_limits *limits);
NODISCARD uint64_t herald_due_ns(const struct room *room, const struct herald_limits *limits);

/* What to tell now; without memory for later leaves, leaves only. Nothing changes by it. */
void herald_choose(const struct room *room, const struct herald_limits *limits,
                   struct herald_batch *batch);

/* The batch as one WebSocket frame. NULL: no memory. */
NODISCARD struct blob *herald_write(const struct room *room, const struct herald_batch *batch,
                                    struct slab *sessions, struct blob_pool *pool);

/* The batch is on its way. The room has not changed since herald_choose(). */
void herald_spoke(struct room *room, const struct herald_batch *batch, uint64_t now_ns);

#endif /* CHAT_HERALD_H */
