/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other reactors post to this one: questions to the homes here, answers and publications
 * for the rooms here.
 */
#include <string.h>

#include "chat/channel.h"
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/ledger.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "core/slab.h"

struct blob *hub_copy_name(struct hub *hub, struct bytes name)
{
    struct blob *copy = blob_create(hub->options.pool, name.size);
    if (copy != NULL) {
        if (name.size > 0) {
            memcpy(copy->data, name.data, name.size);
        }
        copy->end = (uint32_t)name.size;
    }
    return copy;
}

void hub_ask(struct hub *hub, uint16_t home, const struct post *post)
{
    if (home == hub->options.reactor) {
        struct post here = *post;
        here.from = home;
        here.role = BUS_TELL; /* nobody's credit */
        hub_take(hub, &here);
        return;
    }
    const struct bus_post packed = post_pack(post);
    const enum bus_result asked = bus_ask(hub->options.bus, hub->options.reactor, home, &packed);
    CHECK(asked == BUS_POSTED);
}

/* To who asked: an answer; or, when POST_LATER was that, a tell, for which there is room. */
void hub_answer(struct hub *hub, const struct post *asked, const struct post *post)
{
    if (asked->from == hub->options.reactor) {
        hub_take(hub, post);
        return;
    }
    const struct bus_post packed = post_pack(post);
    if (asked->role == BUS_ASK) {
        bus_answer(hub->options.bus, hub->options.reactor, asked->from, &packed);
        return;
    }
    const enum bus_result told =
        bus_tell(hub->options.bus, hub->options.reactor, asked->from, &packed);
    CHECK(told == BUS_POSTED); /* answer_late() has looked */
}

/* Whoever waits for the archive keeps no credit of the bus: others may go on. */
static void say_later(struct hub *hub, const struct post *asked)
{
    if (asked->role == BUS_ASK) {
        const struct post post = {.kind = POST_LATER};
        hub_answer(hub, asked, &post);
    }
}

/* -- at home ----------------------------------------------------------------------------------- */

/* The post as it is taken by who has to keep it: its answer will be a tell. */
static enum codes_error wait_turn(struct hub *hub, const struct post *post, bool *waits)
{
    struct post kept = *post;
    kept.role = BUS_TELL;
    const enum codes_error error = channel_wait_turn(hub->home, &kept, waits);
    if (*waits) {
        say_later(hub, post);
    }
    return error;
}

static void answer_publish(struct hub *hub, const struct post *asked, enum codes_error error,
                           const struct channel_position *position)
{
    const struct post reply = {
        .kind = POST_PUBLISH_ANSWER,
        .publish_answer =
            {
                .session = asked->publish.session,
                .epoch = position->epoch,
                .offset = position->top,
                .command = asked->publish.command,
                .error = error,
                .is_rpc = asked->publish.is_rpc,
                .is_api = asked->publish.is_api,
            },
    };
    hub_answer(hub, asked, &reply);
}

static void take_publish(struct hub *hub, const struct post *post)
{
    struct channel_position position = {.epoch = 0};
    bool waits = false;
    enum codes_error error = CODES_ERROR_NONE;
    if (!post->publish.skips_history) {
        error =
            wait_turn(hub, post, &waits); /* what skips it is not stored, and waits for nobody */
    }
    if (waits) {
        return;
    }
    if (error == CODES_ERROR_NONE) {
        error = channel_publish(hub->home, &post->publish, &position);
    } else {
        blob_drop(post->publish.blob, hub->options.pool);
    }
    answer_publish(hub, post, error, &position);
}

static void answer_interest(struct hub *hub, const struct post *asked, enum codes_error error,
                            const struct channel_interest *interest)
{
    const struct post reply = {
        .kind = POST_INTEREST_ANSWER,
        .interest_answer =
            {
                .room = asked->interest.room,
                .channel = interest->channel,
                .epoch = interest->position.epoch,
                .top = interest->position.top,
                .error = error,
            },
    };
    blob_drop(asked->interest.blob, hub->options.pool);
    hub_answer(hub, asked, &reply);
}

static void take_interest(struct hub *hub, const struct post *post)
{
    struct channel_interest interest = {.position = {.epoch = 0}};
    bool waits = false;
    enum codes_error error = wait_turn(hub, post, &waits);
    if (waits) {
        return;
    }
    if (error == CODES_ERROR_NONE &&
        channel_add_interest(hub->home, post->interest.hash, blob_bytes(post->interest.blob),
                             post->interest.room, &interest) != 0) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        error = CODES_ERROR_INTERNAL;
    }
    answer_interest(hub, post, error, &interest);
}

static void answer_history(struct hub *hub, const struct post *asked, enum codes_error error,
                           const struct channel_reading *reading)
{
    const struct post reply = {
        .kind = POST_PAGE,
        .page =
            {
                .asker = asked->history.session,
                .blob = reading->page,
                .epoch = reading->position.epoch,
                .top = reading->position.top,
                .command = asked->history.command,
                .error = error,
                .is_api = (asked->history.flags & POST_HISTORY_API) != 0,
                .is_removal = (asked->history.flags & POST_HISTORY_REMOVE) != 0,
            },
    };
    blob_drop(asked->history.blob, hub->options.pool);
    hub_answer(hub, asked, &reply);
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
    bool waits = false;
    enum codes_error error = wait_turn(hub, post, &waits);
    if (waits) {
        return;
    }
    const struct bytes name = blob_bytes(asked->blob);
    if (error == CODES_ERROR_NONE && (asked->flags & POST_HISTORY_REMOVE) != 0) {
        error = channel_remove_history(hub->home, asked->hash, name);
    } else if (error == CODES_ERROR_NONE) {
        error = channel_read(hub->home, asked->hash, name, &query, &reading);
    }
    answer_history(hub, post, error, &reading);
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
    hub_answer(hub, post, &reply);
}

/* -- where the subscribers are ----------------------------------------------------------------- */

static void take_publish_answer(struct hub *hub, const struct post *post)
{
    const struct post_publish_answer *reply = &post->publish_answer;
    if (reply->is_api) {
        hub_api_take_published(hub, reply);
        return;
    }
    struct session *session = hub_session(hub, reply->session);
    if (session == NULL) {
        return; /* the publisher has gone; the publication has not */
    }
    if (reply->error != 0) {
        hub_reply_error(&hub->reply, session, reply->command, (enum codes_error)reply->error);
    } else if (reply->is_rpc) {
        hub_reply_published(&hub->reply, session, reply->command, reply->epoch, reply->offset);
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

    if (page->command != 0 || page->is_api) {
        struct session *session = page->is_api ? NULL : hub_session(hub, page->asker);
        if (page->is_api) {
            hub_api_take_page(hub, page);
        } else if (session != NULL) {
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
        hub_tell_unsubscribed(hub, session, room, session->subscriptions[last->subscription].grant,
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
    } else if (publication->offset == 0) {
        outbox_pass(hub->options.outbox, room, publication->room, publication->blob);
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

/* Publications were lost for this room, and its home has forgotten it. */
static void take_gap(struct hub *hub, struct ids_handle handle)
{
    struct room *room = roster_at(hub->roster, handle);
    if (room == NULL) {
        return;
    }
    lose_room(hub, room);
    room->state = ROOM_LOST;
    room->asked_from = 0; /* if a page is still on the way, nobody waits for it */
    if (list_is_linked(&room->recovering)) {
        list_remove(&room->recovering); /* nor for one that was to be asked for */
    }
    hub_room_maybe_left(hub, room);
}

static void take_from_archive(struct ledger *ledger, const struct post *post)
{
    if (ledger == NULL) {
        return; /* hub_forget() was before it, and has freed what it names */
    }
    if (post->kind == POST_ARCHIVE_APPENDED) {
        ledger_take_batch(ledger, post->archive_batch.batch);
    } else {
        ledger_take_page(ledger, post->archive_page.page);
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
        take_gap(hub, post->gap.room);
        return;
    case POST_LATER:
        return; /* only the credit is back */
    case POST_ARCHIVE_APPENDED:
    case POST_ARCHIVE_PAGE:
        take_from_archive(channel_ledger(hub->home), post);
        return;
    case POST_PRESENCE:
        hub_take_presence(hub, post);
        return;
    case POST_PRESENCE_PART:
        hub_take_presence_part(hub, post);
        return;
    case POST_PLACE:
    case POST_PLACE_ANSWER:
    case POST_PLACE_BACK:
        hub_take_place(hub, post);
        return;
    case POST_LEASE:
    case POST_LEASE_ANSWER:
        hub_take_lease(hub, post);
        return;
    case POST_NEWS:
        hub_take_news(hub, post);
        return;
    case POST_NEWS_COPY:
        hub_take_news_copy(hub, post);
        return;
    default: /* the control's, and what the archive is asked */
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

/* -- what has waited for the archive ----------------------------------------------------------- */

/* What is done: answered; or a question that may be asked again, for its channel is known now. */
static void take_done(struct hub *hub, const struct ledger_answer *done)
{
    const struct post *post = &done->post;

    if (!done->is_question) {
        const struct channel_position position = {done->epoch, done->offset};
        if (done->error == CODES_ERROR_NONE) {
            metrics_add(hub->options.metrics, METRIC_PUBLICATIONS, 1);
            metrics_add_for(hub->options.metrics, done->counts_as, NAMESPACE_PUBLICATIONS, 1);
        }
        answer_publish(hub, post, done->error, &position);
    } else if (done->error == CODES_ERROR_NONE) {
        hub_take(hub, post);
    } else if (post->kind == POST_PUBLISH) {
        const struct channel_position nowhere = {.epoch = 0};
        blob_drop(post->publish.blob, hub->options.pool);
        answer_publish(hub, post, done->error, &nowhere);
    } else if (post->kind == POST_INTEREST) {
        const struct channel_interest nothing = {.position = {.epoch = 0}};
        answer_interest(hub, post, done->error, &nothing);
    } else {
        const struct channel_reading nothing = {.page = NULL};
        answer_history(hub, post, done->error, &nothing);
    }
}

/* As far as there is room. */
static void answer_late(struct hub *hub, struct ledger *ledger)
{
    struct ledger_item *item = ledger_first_done(ledger);

    while (item != NULL && outbox_is_roomy(hub->options.outbox)) {
        struct ledger_item *const next = ledger_next_done(ledger, item);
        const struct ledger_answer done = ledger_look(item);
        if (done.post.from == hub->options.reactor ||
            bus_has_room(hub->options.bus, hub->options.reactor, done.post.from)) {
            take_done(hub, &done);
            ledger_forget(ledger, item);
        }
        item = next;
    }
}

static void go_on_with_ledger(struct hub *hub, struct ledger *ledger)
{
    size_t delivered = OUTBOX_POSTS_MAX;
    while (delivered == OUTBOX_POSTS_MAX && outbox_is_roomy(hub->options.outbox)) {
        delivered = ledger_deliver(ledger, OUTBOX_POSTS_MAX);
    }
    answer_late(hub, ledger);
}

void hub_flush(struct hub *hub)
{
    struct ledger *ledger = channel_ledger(hub->home);
    if (ledger != NULL) {
        ledger_flush(ledger);
    }
}

void hub_catch_up(struct hub *hub)
{
    struct ledger *ledger = channel_ledger(hub->home);
    struct ids_handle lost;

    hub_expire(hub);
    hub_tell_news(hub);
    hub_post_leaves(hub);
    hub_post_places(hub);
    hub_ask_leases(hub);
    if (ledger != NULL) {
        go_on_with_ledger(hub, ledger);
    }
    while (channel_next_lost(hub->home, &lost)) {
        take_gap(hub, lost);
    }
    channel_catch_up(hub->home);
}
