/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other reactors post to this one: questions to the homes here, answers and publications
 * for the rooms here.
 */
#include "chat/channel.h"
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/slab.h"

static void answer(struct hub *hub, uint16_t to, const struct post *post)
{
    const struct bus_post packed = post_pack(post);
    bus_answer(hub->options.bus, hub->options.reactor, to, &packed);
}

/* -- at home ----------------------------------------------------------------------------------- */

static void take_publish(struct hub *hub, const struct post *post)
{
    struct channel_position position;
    const struct post reply = {
        .kind = POST_PUBLISH_ANSWER,
        .publish_answer =
            {
                .session = post->publish.session,
                .command = post->publish.command,
                .error = channel_publish(hub->home, post->publish.hash, post->publish.name_size,
                                         post->publish.blob, &position),
            },
    };
    answer(hub, post->from, &reply);
}

static void take_interest(struct hub *hub, const struct post *post)
{
    struct post reply = {
        .kind = POST_INTEREST_ANSWER,
        .interest_answer = {.room = post->interest.room},
    };
    struct channel_interest interest = {.position = {.epoch = 0}};
    if (channel_add_interest(hub->home, post->interest.hash, blob_bytes(post->interest.blob),
                             post->interest.room, &interest) != 0) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        reply.interest_answer.error = CODES_ERROR_INTERNAL;
    }
    reply.interest_answer.channel = interest.channel;
    reply.interest_answer.epoch = interest.position.epoch;
    reply.interest_answer.top = interest.position.top;
    blob_drop(post->interest.blob, hub->options.pool);
    answer(hub, post->from, &reply);
}

static void take_history(struct hub *hub, const struct post *post)
{
    const struct post_history *asked = &post->history;
    const struct channel_query query = {
        .order = (asked->flags & POST_HISTORY_REVERSE) != 0 ? PAGE_REVERSE : PAGE_FORWARD,
        .has_since = (asked->flags & POST_HISTORY_SINCE) != 0,
        .has_epoch = (asked->flags & POST_HISTORY_EPOCH) != 0,
        .count_max = asked->count_max,
        .since = asked->since,
        .epoch = asked->epoch,
    };
    struct channel_reading reading = {.page = NULL};
    const enum codes_error error =
        channel_read(hub->home, asked->hash, blob_bytes(asked->blob), &query, &reading);
    const struct post reply = {
        .kind = POST_PAGE,
        .page =
            {
                .asker = asked->session,
                .blob = reading.page,
                .epoch = reading.position.epoch,
                .top = reading.position.top,
                .command = asked->command,
                .error = error,
            },
    };
    blob_drop(asked->blob, hub->options.pool);
    answer(hub, post->from, &reply);
}

static void take_recover(struct hub *hub, const struct post *post)
{
    const struct post_recover *asked = &post->recover;
    const struct post reply = {
        .kind = POST_PAGE,
        .page =
            {
                .asker = asked->room,
                .blob = channel_recover(hub->home, asked->channel, asked->room, asked->from,
                                        asked->count_max),
            },
    };
    answer(hub, post->from, &reply);
}

/* -- where the subscribers are ----------------------------------------------------------------- */

static void take_publish_answer(struct hub *hub, const struct post *post)
{
    const struct post_publish_answer *reply = &post->publish_answer;
    struct session *session = hub_session(hub, reply->session);

    if (session == NULL) {
        return; /* the publisher has gone; the publication has not */
    }
    if (reply->error != 0) {
        hub_reply_error(&hub->reply, session, reply->command, (enum codes_error)reply->error);
    } else {
        hub_reply_empty(&hub->reply, session, reply->command, EVENT_EMPTY_PUBLISH);
    }
}

static void take_interest_answer(struct hub *hub, const struct post *post)
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

static void take_page(struct hub *hub, const struct post *post)
{
    const struct post_page *page = &post->page;

    if (page->command != 0) {
        struct session *session = hub_session(hub, page->asker);
        if (session != NULL) {
            hub_answer_history(hub, session, page);
        }
        if (page->blob != NULL) {
            blob_drop(page->blob, hub->options.pool);
        }
        return;
    }
    struct room *room = roster_at(hub->roster, page->asker);
    if (room != NULL && room->asked_from != 0) {
        hub_take_recovered(hub, room, page->blob);
    } else if (page->blob != NULL) {
        blob_drop(page->blob, hub->options.pool); /* everybody has gone meanwhile */
    }
}

/* The SDK subscribes again by itself at this code, and who had only asked is told to try again. */
static void lose_room(struct hub *hub, struct room *room)
{
    hub_refuse_waiters(hub, room, CODES_ERROR_INTERNAL);
    while (room->member_count > 0) {
        const struct roster_member *last = &room->members[room->member_count - 1];
        struct session *session = slab_at(hub->sessions, last->session);
        CHECK(session != NULL);
        hub_reply_unsubscribe_push(&hub->reply, session, room_name(room),
                                   CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
        hub_untie(hub, session, last->subscription);
    }
}

static void take_publication(struct hub *hub, const struct post *post)
{
    const struct post_publication *publication = &post->publication;
    struct room *room = roster_at(hub->roster, publication->room);

    if (room == NULL) {
        /* Everybody has left, and the home does not know it yet. */
        blob_drop(publication->blob, hub->options.pool);
    } else if (publication->offset != room->top + 1) {
        /* One was lost on the way, which cannot be; but if it is, nobody is left in the dark. */
        metrics_add(hub->options.metrics, METRIC_GAPS, 1);
        blob_drop(publication->blob, hub->options.pool);
        lose_room(hub, room);
        hub_room_maybe_left(hub, room);
    } else {
        room->top = publication->offset;
        outbox_publish(hub->options.outbox, room, publication->room, publication->blob);
    }
}

/* Publications were lost for this room. */
static void take_gap(struct hub *hub, const struct post *post)
{
    struct room *room = roster_at(hub->roster, post->gap.room);
    if (room != NULL) {
        lose_room(hub, room);
        room->state = ROOM_LOST;
        room->asked_from = 0; /* if a page is still on the way, nobody waits for it */
        hub_room_maybe_left(hub, room);
    }
}

void hub_take(struct hub *hub, const struct post *post)
{
    switch ((enum post_kind)post->kind) {
    case POST_PUBLISH:
        take_publish(hub, post);
        return;
    case POST_PUBLISH_ANSWER:
        take_publish_answer(hub, post);
        return;
    case POST_INTEREST:
        take_interest(hub, post);
        return;
    case POST_INTEREST_ANSWER:
        take_interest_answer(hub, post);
        return;
    case POST_HISTORY:
        take_history(hub, post);
        return;
    case POST_RECOVER:
        take_recover(hub, post);
        return;
    case POST_PAGE:
        take_page(hub, post);
        return;
    case POST_LEAVE:
        channel_remove_interest(hub->home, post->leave.channel, post->leave.room);
        return;
    case POST_PUBLICATION:
        take_publication(hub, post);
        return;
    case POST_GAP:
        take_gap(hub, post);
        return;
    case POST_PRESENCE:
        hub_take_presence(hub, post);
        return;
    case POST_PRESENCE_PART:
        hub_take_presence_part(hub, post);
        return;
    case POST_NEWS:
        hub_take_news(hub, post);
        return;
    case POST_NEWS_COPY:
        hub_take_news_copy(hub, post);
        return;
    case POST_STOP:
    case POST_DRAINED:
    case POST_EXIT:
        break;
    }
    NEVER("a post that is not the hub's");
}

/* -- what waits for room on the bus ------------------------------------------------------------ */

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

void hub_catch_up(struct hub *hub)
{
    hub_tell_news(hub);
    hub_post_leaves(hub);
    channel_catch_up(hub->home);
}
