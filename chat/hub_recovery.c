/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody who comes back to a room is given (chat/recovery.h), and how its home is asked for
 * that: all who wait there share one question and one page, a room at a time, as far as there is
 * room. Who comes in then: hub_subscribe.c.
 */
#include "chat/card.h"
#include "chat/channel.h"
#include "chat/grant.h"
#include "chat/hub_state.h"
#include "chat/page.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/recovery.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "chat/stream.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"

/* -- what it is given -------------------------------------------------------------------------- */

/* The last publication of what was read, as far as the room has handed it on. */
static uint64_t page_end(const struct room *room, const struct blob *page)
{
    const uint64_t end = page_first(page) + page_count(page) - 1;
    const uint64_t position = room_position(room);
    return end < position ? end : position;
}

struct recovery_answer hub_judge(const struct hub *hub, const struct room *room,
                                 const struct roster_waiter *waiter, const struct blob *page)
{
    struct recovery_question question = {
        .asked = waiter->recovers,
        .cache = room->policy->force_recovery_mode == POLICY_RECOVERY_CACHE,
        .epoch_matches = !waiter->bad_epoch && (!waiter->has_epoch || waiter->epoch == room->epoch),
        .since = waiter->since,
        .top = room_position(room),
        .count_max = hub->options.recovery_count_max,
    };
    const struct recovery_answer answer = recovery_judge(&question);
    const bool is_kept = page == NULL && waiter->page != NULL;
    if (is_kept) {
        page = waiter->page;
    }
    if (answer.verdict != RECOVERY_READ || hub_session_at(hub, waiter->session)->is_held ||
        page == NULL || (!is_kept && answer.from < room->asked_from)) {
        return answer;
    }
    const uint64_t first = page_first(page);
    const bool is_ahead = question.since > question.top;
    if (!is_ahead && answer.from >= first && answer.from > page_end(room, page)) {
        return answer; /* it may be on the next page */
    }
    question.is_read = true;
    question.first = first;
    question.last = page_top(page);
    return recovery_judge(&question);
}

void hub_count_recovery(const struct hub *hub, const struct room *room,
                        enum recovery_verdict verdict)
{
    struct metrics *metrics = hub->options.metrics;
    const uint16_t place = room->policy->counts_as;

    switch (verdict) {
    case RECOVERY_COMPLETE:
        metrics_add(metrics, METRIC_RECOVERIES_COMPLETE, 1);
        metrics_add_for(metrics, place, NAMESPACE_RECOVERIES_COMPLETE, 1);
        return;
    case RECOVERY_IMPOSSIBLE:
        metrics_add(metrics, METRIC_RECOVERIES_IMPOSSIBLE, 1);
        metrics_add_for(metrics, place, NAMESPACE_RECOVERIES_IMPOSSIBLE, 1);
        return;
    case RECOVERY_NOT_ASKED:
    case RECOVERY_READ:
        return;
    }
    NEVER("a verdict that is not one");
}

/* From which offset on there is something to be given, up to the end of the page. */
static void describe_recovery(const struct room *room, uint64_t from, struct hub_told *told)
{
    const uint64_t position = room_position(room);
    uint64_t end = position;

    told->result.recovered = true;
    told->result.offset = from - 1;
    if (from <= position) {
        end = told->page == NULL ? from - 1 : page_end(room, told->page);
    }
    if (told->page != NULL && from <= end) {
        told->result.publications = page_part(told->page, from, end);
    }
    told->has_all = end == position;
}

void hub_describe(const struct hub *hub, const struct room *room,
                  const struct roster_waiter *waiter, struct recovery_answer answer,
                  struct hub_told *told)
{
    CHECK(answer.verdict != RECOVERY_READ);
    const struct grant *grant =
        hub_session_at(hub, waiter->session)->subscriptions[waiter->subscription].grant;

    told->has_all = true;
    told->result = (struct event_subscribed){
        .data = grant == NULL ? (struct bytes){NULL, 0} : card_info(grant->data),
        .positioned = waiter->positioned,
        .recoverable = waiter->recoverable,
        .was_recovering = waiter->recovers,
    };
    hub_tell_term(hub, grant, &told->result);
    if (waiter->positioned) {
        stream_write_epoch(room->epoch, told->epoch);
        told->result.epoch = (struct bytes){told->epoch, STREAM_EPOCH_SIZE};
        told->result.offset = room_position(room);
    }
    if (answer.verdict == RECOVERY_COMPLETE) {
        describe_recovery(room, answer.from, told);
    }
}

/* -- asking the home --------------------------------------------------------------------------- */

/* The lowest offset that somebody who waits needs; 0: nobody needs one. */
static uint64_t lowest_needed(const struct hub *hub, const struct room *room)
{
    uint64_t lowest = 0;
    for (uint32_t i = 0; i < room->waiter_count; i++) {
        const struct roster_waiter *waiter = &room->waiters[i];
        const struct recovery_answer answer = hub_judge(hub, room, waiter, NULL);
        if (answer.verdict == RECOVERY_READ && !hub_session_at(hub, waiter->session)->is_held &&
            (lowest == 0 || answer.from < lowest)) {
            lowest = answer.from;
        }
    }
    return lowest;
}

/* Asks the home of a room, which is not this reactor. False: there is no credit for it now. */
static bool ask_home(struct hub *hub, const struct room *room, uint64_t from)
{
    struct bus *bus = hub->options.bus;
    if (bus_credits(bus, hub->options.reactor, room->home) == 0) {
        return false;
    }
    const struct post post = {
        .kind = POST_RECOVER,
        .recover =
            {
                .channel = room->channel,
                .room = roster_handle(hub->roster, room),
                .from = from,
                .count_max = hub->options.recovery_count_max,
            },
    };
    const struct bus_post packed = post_pack(&post);
    const enum bus_result asked = bus_ask(bus, hub->options.reactor, room->home, &packed);
    CHECK(asked == BUS_POSTED);
    hub->allowance = 0; /* hub_is_ready() has to look again */
    return true;
}

static void recover(struct hub *hub, struct room *room)
{
    const uint64_t from = lowest_needed(hub, room);

    list_remove(&room->recovering);
    if (from == 0) {
        hub_admit_waiters(hub, room, NULL);
        hub_room_maybe_left(hub, room);
    } else if (room->home == hub->options.reactor) {
        room->asked_from = from;
        hub_take_recovered(hub, room,
                           channel_recover(hub->home, room->channel,
                                           roster_handle(hub->roster, room), from,
                                           hub->options.recovery_count_max));
    } else if (ask_home(hub, room, from)) {
        room->asked_from = from;
    } else {
        list_push_back(&hub->recovering, &room->recovering);
    }
}

void hub_recover(struct hub *hub)
{
    hub_ask_homes(hub);
    /* Each room once: those that go on waiting are put behind the last one. */
    struct list_link rooms;
    list_init(&rooms);
    list_splice_back(&rooms, &hub->recovering);
    for (struct list_link *link = list_first(&rooms); link != NULL; link = list_first(&rooms)) {
        struct room *room = LIST_OWNER(link, struct room, recovering);
        if (hub->recovery_bytes >= HUB_RECOVERY_BYTES_MAX) {
            break;
        }
        recover(hub, room);
    }
    list_splice_back(&hub->recovering, &rooms);
}

void hub_wish(struct hub *hub, struct room *room)
{
    if (room->asked_from == 0 && !list_is_linked(&room->recovering)) {
        list_push_back(&hub->recovering, &room->recovering);
    }
}

/* -- who reads slowly -------------------------------------------------------------------------- */

void hub_hold(struct hub *hub, struct session *session)
{
    (void)hub;
    session->is_held = true;
}

void hub_release(struct hub *hub, struct session *session)
{
    session->is_held = false;
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        const struct session_subscription *subscription = &session->subscriptions[i];
        struct room *room = roster_slot(hub->roster, subscription->room);
        if (subscription->is_waiting && room->state == ROOM_JOINED) {
            hub_wish(hub, room);
        }
    }
}
