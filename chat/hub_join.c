/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coming into a channel, whoever wants it: the room is there, or is opened and asks its home. How
 * one becomes a member of it is in hub_subscribe.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "chat/channel.h"
#include "chat/hub_state.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/metrics.h"

/* Every open room has its place among the leaves: leaving cannot fail for want of memory. */
static int reserve_leave(struct hub *hub)
{
    const size_t needed = hub->leave_count + roster_count(hub->roster) + 1;
    if (needed <= hub->leave_capacity) {
        return 0;
    }
    const size_t capacity = 2 * needed;
    struct hub_leave *grown = realloc(hub->leaves, capacity * sizeof(*grown));
    if (grown == NULL) {
        return -ENOMEM;
    }
    hub->leaves = grown;
    hub->leave_capacity = capacity;
    return 0;
}

static int ask_interest(struct hub *hub, const struct room *room)
{
    struct blob *name = hub_copy_name(hub, room_name(room));
    if (name == NULL) {
        return -ENOMEM;
    }
    const struct post post = {
        .kind = POST_INTEREST,
        .interest = {.blob = name, .hash = room->hash, .room = roster_handle(hub->roster, room)},
    };
    hub_ask(hub, room->home, &post);
    return 0;
}

/* Asks the home, or hears at once where we are it. The room has to be told otherwise: -ENOMEM. */
static int ask_home(struct hub *hub, struct room *room)
{
    struct channel_interest interest;

    if (room->home != hub->options.reactor || policy_is_durable(room->policy)) {
        return ask_interest(hub, room);
    }
    const int result = channel_add_interest(hub->home, room->hash, room_name(room),
                                            roster_handle(hub->roster, room), &interest);
    if (result == 0) {
        hub_room_joined(hub, room, &interest);
    }
    return result;
}

static bool has_credit(const struct hub *hub, const struct room *room)
{
    return room->home == hub->options.reactor ||
           bus_credits(hub->options.bus, hub->options.reactor, room->home) > 0;
}

/* A room with one member that waits. For want of a credit its home is asked later. */
static void first_member(struct hub *hub, struct room *room)
{
    if (!has_credit(hub, room)) {
        list_push_back(&hub->unasked, &room->recovering);
    } else if (ask_home(hub, room) != 0) {
        hub_room_refused(hub, room, CODES_ERROR_INTERNAL);
    }
}

void hub_ask_homes(struct hub *hub)
{
    struct list_link rooms;
    list_init(&rooms);
    list_splice_back(&rooms, &hub->unasked);
    if (!list_is_empty(&rooms)) {
        hub->allowance = 0; /* hub_is_ready() has to look again */
    }
    for (struct list_link *link = list_pop_front(&rooms); link != NULL;
         link = list_pop_front(&rooms)) {
        first_member(hub, LIST_OWNER(link, struct room, recovering));
    }
}

enum codes_error hub_join(struct hub *hub, struct session *session, struct bytes channel,
                          uint64_t hash, const struct hub_entry *entry)
{
    struct room *room = roster_find(hub->roster, hash, channel);
    const bool is_new = room == NULL;

    if (is_new && reserve_leave(hub) == 0) {
        room =
            roster_open(hub->roster, hash, channel, policy_recall(hub->options.policies, channel),
                        ids_home_of(hash, hub->options.reactor_count));
    }
    const bool is_lost = room != NULL && room->state == ROOM_LOST;
    if (is_lost) {
        room->state = ROOM_JOINING;
    }
    if (room == NULL || hub_enter_room(hub, session, room, entry) != 0) {
        if (room != NULL && (is_new || is_lost)) {
            room->state = ROOM_LOST;
            hub_room_maybe_left(hub, room);
        }
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    if (entry->origin != ROSTER_BY_CLIENT) {
        hub->allowance = 0; /* a command may cause several of these: hub_is_ready() looks again */
    }
    if (is_new || is_lost) {
        first_member(hub, room);
    }
    return CODES_ERROR_NONE;
}
