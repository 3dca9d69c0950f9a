/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_HUB_STATE_H
#define CHAT_HUB_STATE_H
/*
 * The hub's state, and the steps that commands (hub.c) and posts (hub_posts.c) share.
 *
 * Private to chat/hub*.c. ON the hub's reactor.
 */
#include <stddef.h>
#include <stdint.h>

#include "chat/hub.h"
#include "chat/hub_reply.h"
#include "chat/ids.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "proto/codes.h"

struct channel_home;
struct room;
struct slab;

/* A leave that found no room on the bus. There is at most one per room that was ever open. */
struct hub_leave {
    struct ids_handle channel;
    struct ids_handle room;
};

struct hub {
    struct hub_options options;
    struct hub_reply reply;
    struct slab *sessions; /* objects are struct session */
    struct roster *roster;
    struct channel_home *home;
    struct hub_leave *leaves; /* not yet posted */
    size_t leave_count;
    size_t leave_capacity;
    size_t subscription_count; /* for the gauge */
    uint64_t allowance;        /* commands that surely find a credit; see hub_is_ready() */
};

struct session *hub_session(struct hub *hub, struct ids_handle handle); /* NULL: stale */
struct ids_handle hub_handle(const struct hub *hub, const struct session *session);

/* The home has answered for a room that was JOINING: every member gets its reply. */
void hub_room_joined(struct hub *hub, struct room *room, struct ids_handle channel);
void hub_room_refused(struct hub *hub, struct room *room, enum codes_error error);

/* The last member left a JOINED room, or one that was JOINING is answered and empty. */
void hub_room_left(struct hub *hub, struct room *room);

/* Ends one subscription of a session, and the room if that was its last member. */
void hub_leave_room(struct hub *hub, struct session *session, uint32_t index);

/* Takes the session's subscription away, without closing the room. */
void hub_untie(struct hub *hub, struct session *session, uint32_t index);

/* hub_posts.c: leaves that wait go out now, as far as there is room. */
void hub_post_leaves(struct hub *hub);

#endif /* CHAT_HUB_STATE_H */
