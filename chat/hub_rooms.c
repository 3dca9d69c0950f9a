/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a room: its home answers, publications come in, or are lost; and when nobody is in it
 * any more it goes, of which its home is told. How sessions come in: hub_join.c, hub_subscribe.c.
 */
#include "chat/channel.h"
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/outbox.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"

_Static_assert(METRIC_LAGS_RESYNC + POLICY_SLOW_DISCONNECT == METRIC_LAGS_DISCONNECT,
               "one for each policy");

/* -- it begins --------------------------------------------------------------------------------- */

void hub_room_joined(struct hub *hub, struct room *room, const struct channel_interest *interest)
{
    CHECK(room->state == ROOM_JOINING);
    room->state = ROOM_JOINED;
    room->channel = interest->channel;
    room->epoch = interest->position.epoch;
    room->top = interest->position.top;

    hub_admit_waiters(hub, room, NULL);
    hub_room_maybe_left(hub, room);
}

void hub_room_refused(struct hub *hub, struct room *room, enum codes_error error)
{
    CHECK(room->state == ROOM_JOINING);

    hub_refuse_waiters(hub, room, error);
    room->state = ROOM_LOST;
    hub_room_maybe_left(hub, room);
}

void hub_take_interest_answer(struct hub *hub, const struct post *post)
{
    struct room *room = roster_at(hub->roster, post->interest_answer.room);
    CHECK(room != NULL); /* a JOINING room stays until it is answered, members or not */

    if (post->interest_answer.error != 0) {
        hub_room_refused(hub, room, (enum codes_error)post->interest_answer.error);
    } else {
        const struct channel_interest interest = {
            .channel = post->interest_answer.channel,
            .position = {post->interest_answer.epoch, post->interest_answer.top},
        };
        hub_room_joined(hub, room, &interest);
    }
}

/* -- publications, and none -------------------------------------------------------------------- */

/* The SDK subscribes again by itself at this code, and who had only asked is told to try again. */
static void lose_members(struct hub *hub, struct room *room)
{
    hub_refuse_waiters(hub, room, CODES_ERROR_INTERNAL);
    while (room->member_count > 0) {
        const struct roster_member *last = &room->members[room->member_count - 1];
        struct session *session = hub_session_at(hub, last->session);
        hub_tell_unsubscribed(hub, session, room, session->subscriptions[last->subscription].grant,
                              CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
        hub_untie(hub, session, last->subscription);
    }
}

void hub_take_publication(struct hub *hub, const struct post *post)
{
    const struct post_publication *publication = &post->publication;
    struct room *room = roster_at(hub->roster, publication->room);

    if (room == NULL) {
        /* Everybody has left, and the home does not know it yet. */
        blob_drop(publication->blob, hub->options.pool);
    } else if (publication->offset == 0) {
        outbox_pass(hub->options.outbox, room, publication->room, publication->blob);
    } else if (publication->offset != room->top + 1) {
        /* One was lost on the way, which cannot be; but if it is, nobody is left in the dark. */
        metrics_add(hub->options.metrics, METRIC_GAPS, 1);
        blob_drop(publication->blob, hub->options.pool);
        lose_members(hub, room);
        hub_room_maybe_left(hub, room);
    } else {
        room->top = publication->offset;
        outbox_publish(hub->options.outbox, room, publication->room, publication->blob);
    }
}

void hub_lose_room(struct hub *hub, struct ids_handle handle)
{
    struct room *room = roster_at(hub->roster, handle);
    if (room == NULL) {
        return;
    }
    lose_members(hub, room);
    room->state = ROOM_LOST;
    room->asked_from = 0; /* if a page is still on the way, nobody waits for it */
    if (list_is_linked(&room->recovering)) {
        list_remove(&room->recovering); /* nor for one that was to be asked for */
    }
    hub_room_maybe_left(hub, room);
}

enum policy_slow_consumer hub_lag(struct hub *hub, struct room *room, uint32_t member)
{
    CHECK(member < room->member_count);
    const struct roster_member lagging = room->members[member];
    const struct policy *policy = room->policy;

    metrics_add(hub->options.metrics, METRIC_LAGS_RESYNC + policy->slow_consumer, 1);
    metrics_add_for(hub->options.metrics, policy->counts_as, NAMESPACE_LAGS, 1);
    if (policy->slow_consumer == POLICY_SLOW_RESYNC) {
        struct session *session = hub_session_at(hub, lagging.session);
        hub_tell_unsubscribed(hub, session, room,
                              session->subscriptions[lagging.subscription].grant,
                              CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
        hub_leave_room(hub, session, lagging.subscription);
    }
    return policy->slow_consumer;
}

/* -- it ends ----------------------------------------------------------------------------------- */

void hub_room_maybe_left(struct hub *hub, struct room *room)
{
    if (room->state == ROOM_JOINING || room->is_admitting || room->member_count > 0 ||
        room->waiter_count > 0 || hub_news_are_owed(hub, room)) {
        return;
    }
    const struct hub_leave leave = {room->channel, roster_handle(hub->roster, room)};
    if (room->state == ROOM_LOST) {
        roster_close(hub->roster, room);
        return; /* there is no leave to post */
    }

    roster_close(hub->roster, room);
    if (leave.channel.reactor == hub->options.reactor) {
        channel_remove_interest(hub->home, leave.channel, leave.room);
        return;
    }
    CHECK(hub->leave_count < hub->leave_capacity);
    hub->leaves[hub->leave_count++] = leave;
}

void hub_post_leaves(struct hub *hub)
{
    size_t kept = 0;

    for (size_t i = 0; i < hub->leave_count; i++) {
        const struct hub_leave leave = hub->leaves[i];
        const struct post post = {
            .kind = POST_LEAVE,
            .leave = {.channel = leave.channel, .room = leave.room},
        };
        const struct bus_post packed = post_pack(&post);
        if (bus_tell(hub->options.bus, hub->options.reactor, leave.channel.reactor, &packed) !=
            BUS_POSTED) {
            hub->leaves[kept++] = leave;
        }
    }
    hub->leave_count = kept;
}
