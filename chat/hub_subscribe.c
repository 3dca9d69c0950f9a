/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a session comes into a room: at once, when the room's home has answered, or when what it
 * missed has been read. Who waits for the same room shares one question and one page.
 *
 * Where a page does not reach to where the room stands, for it would be too long, a client is given
 * what there is of it and told to subscribe again, from there on.
 */
#include "chat/card.h"
#include "chat/channel.h"
#include "chat/grant.h"
#include "chat/hub_state.h"
#include "chat/membership.h"
#include "chat/outbox.h"
#include "chat/page.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/recovery.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "chat/stream.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "core/slab.h"
#include "proto/command.h"

/*
 * Bytes of recovered publications that are said in one iteration. It is what live traffic waits for
 * while many come back; four times as much brings them back no sooner (bench/README.md).
 */
enum { RECOVERY_BYTES_MAX = 128 << 10 };

/* -- one who waits ----------------------------------------------------------------------------- */

static struct session *session_of(const struct hub *hub, const struct roster_waiter *waiter)
{
    struct session *session = slab_at(hub->sessions, waiter->session);
    CHECK(session != NULL);
    return session;
}

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
    if (answer.verdict != RECOVERY_READ || session_of(hub, waiter)->is_held || page == NULL ||
        (!is_kept && answer.from < room->asked_from)) {
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
    const struct grant *grant = session_of(hub, waiter)->subscriptions[waiter->subscription].grant;

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

/* What somebody is told who subscribed. Returns false when it has not all of it yet. */
static bool confirm(struct hub *hub, struct room *room, const struct roster_waiter *waiter,
                    struct recovery_answer answer, const struct blob *page)
{
    struct session *session = session_of(hub, waiter);
    struct hub_told told = {.page = page};

    CHECK(waiter->origin != ROSTER_BY_CONNECT);
    hub_describe(hub, room, waiter, answer, &told);
    hub->recovery_bytes += told.result.publications.size;
    hub_count_recovery(hub, room, answer.verdict);
    if (waiter->origin == ROSTER_BY_CLIENT) {
        hub_reply_subscribe(&hub->reply, session, waiter->command, &told.result);
    } else {
        hub_reply_subscribe_push(&hub->reply, session, room_name(room), &told.result);
    }
    hub_news_changed(hub, room);
    return told.has_all;
}

void hub_tell_unsubscribed(struct hub *hub, struct session *session, const struct room *room,
                           const struct grant *grant, enum codes_unsubscribe code)
{
    const bool comes_again = code >= CODES_UNSUBSCRIBE_INSUFFICIENT_STATE;

    if (comes_again && grant != NULL && grant->by_server) {
        hub_reply_disconnect(&hub->reply, session, CODES_DISCONNECT_INSUFFICIENT_STATE);
    } else {
        hub_reply_unsubscribe_push(&hub->reply, session, room_name(room), code);
    }
}

static void refuse(struct hub *hub, const struct roster_waiter *waiter, enum codes_error error)
{
    struct session *session = session_of(hub, waiter);

    hub_untie(hub, session, waiter->subscription);
    switch ((enum roster_origin)waiter->origin) {
    case ROSTER_BY_CLIENT:
        hub_reply_error(&hub->reply, session, waiter->command, error);
        break;
    case ROSTER_BY_SERVER:
        hub_reply_disconnect(&hub->reply, session, CODES_DISCONNECT_SERVER_ERROR);
        break;
    case ROSTER_BY_CONNECT:
        hub_fail_arrival(hub, session, error);
        break;
    }
}

/* It is given what there is, and comes again for the rest. */
static void admit(struct hub *hub, struct room *room, uint32_t index, struct recovery_answer answer,
                  const struct blob *page)
{
    const struct roster_waiter waiter = room->waiters[index];
    struct session *session = session_of(hub, &waiter);

    if (membership_admit(hub->sessions, room, index) != 0) {
        refuse(hub, &waiter, CODES_ERROR_INTERNAL);
    } else if (!confirm(hub, room, &waiter, answer, page)) {
        hub_tell_unsubscribed(hub, session, room, session->subscriptions[waiter.subscription].grant,
                              CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
        hub_untie(hub, session, waiter.subscription);
    }
}

/* It comes in together with others, for which it may still have to wait. */
static void keep_page(const struct room *room, struct roster_waiter *waiter, struct blob *page)
{
    if (page != NULL && waiter->page == NULL) {
        blob_share(page, 1);
        waiter->page = page;
        waiter->is_cut = page_first(page) + page_count(page) <= room->top; /* it has just come */
    }
}

/* -- all who wait for a room ------------------------------------------------------------------- */

void hub_refuse_waiters(struct hub *hub, struct room *room, enum codes_error error)
{
    while (room->waiter_count > 0) {
        const struct roster_waiter last = room->waiters[room->waiter_count - 1];
        refuse(hub, &last, error);
    }
}

void hub_admit_waiters(struct hub *hub, struct room *room, struct blob *page)
{
    CHECK(room->state == ROOM_JOINED);
    bool waits = false; /* for a later iteration, and for nothing else */

    room->is_admitting = true; /* an arrival that fails leaves all its rooms */
    /* From the end: whoever moves into a gap has been looked at. */
    for (uint32_t i = room->waiter_count; i > 0; i--) {
        if (hub->recovery_bytes >= RECOVERY_BYTES_MAX || !outbox_is_roomy(hub->options.outbox)) {
            waits = true;
            break;
        }
        const struct recovery_answer answer = hub_judge(hub, room, &room->waiters[i - 1], page);
        if (answer.verdict == RECOVERY_READ) {
            waits = waits || !session_of(hub, &room->waiters[i - 1])->is_held;
        } else if (room->waiters[i - 1].origin == ROSTER_BY_CONNECT) {
            keep_page(room, &room->waiters[i - 1], page);
            hub_arrive(hub, session_of(hub, &room->waiters[i - 1]));
        } else {
            admit(hub, room, i - 1, answer, page);
        }
    }
    room->is_admitting = false;
    if (waits && !list_is_linked(&room->recovering)) {
        list_push_back(&hub->recovering, &room->recovering);
    }
}

/* The home has read, or could not. */
void hub_take_recovered(struct hub *hub, struct room *room, struct blob *page)
{
    CHECK(room->asked_from != 0);
    if (page != NULL) {
        /* It ends before the room stands: the home looked at what it had told the room. */
        CHECK(page_first(page) + page_count(page) <= room->top + 1);
        hub_admit_waiters(hub, room, page);
        blob_drop(page, hub->options.pool);
    } else {
        hub_refuse_waiters(hub, room, CODES_ERROR_INTERNAL);
    }
    room->asked_from = 0;
    hub_room_maybe_left(hub, room);
}

/* -- asking the home --------------------------------------------------------------------------- */

/* The lowest offset that somebody who waits needs; 0: nobody needs one. */
static uint64_t lowest_needed(const struct hub *hub, const struct room *room)
{
    uint64_t lowest = 0;
    for (uint32_t i = 0; i < room->waiter_count; i++) {
        const struct roster_waiter *waiter = &room->waiters[i];
        const struct recovery_answer answer = hub_judge(hub, room, waiter, NULL);
        if (answer.verdict == RECOVERY_READ && !session_of(hub, waiter)->is_held &&
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
        if (hub->recovery_bytes >= RECOVERY_BYTES_MAX) {
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

/* -- subscribing ------------------------------------------------------------------------------- */

/* What an entry asks for, as far as the channel's policy lets it, or its token overrides that. */
static struct roster_waiter waiter_for(const struct session *session, const struct policy *policy,
                                       const struct hub_entry *entry)
{
    const struct command_subscribe *wanted = entry->wanted;
    const struct claims_overrides overrides =
        entry->grant == NULL ? (struct claims_overrides){.presence = CLAIMS_KEEP}
                             : entry->grant->overrides;
    const bool history = policy_has_history(policy);
    const bool join_leave = grant_decides(overrides.join_leave, policy->join_leave);
    struct roster_waiter waiter = {
        .session = session->slot,
        .subscription = session->subscription_count,
        .command = entry->command,
        .since = wanted->offset,
        .origin = (uint8_t)entry->origin,
    };

    waiter.recoverable =
        history && (grant_decides(overrides.force_recovery, policy->force_recovery) ||
                    (policy->allow_recovery && wanted->recoverable));
    waiter.positioned =
        waiter.recoverable ||
        (history && (grant_decides(overrides.force_positioning, policy->force_positioning) ||
                     (policy->allow_positioning && wanted->positioned)));
    waiter.recovers = waiter.recoverable && wanted->recover;
    waiter.has_epoch = wanted->epoch.size > 0;
    waiter.traits = (struct roster_traits){
        .hears_news =
            grant_decides(overrides.force_push_join_leave, policy->force_push_join_leave) ||
            (join_leave && wanted->join_leave),
        .is_discreet = !join_leave,
        .is_shown = overrides.presence == CLAIMS_ON,
        .is_hidden = overrides.presence == CLAIMS_OFF,
    };
    waiter.bad_epoch = waiter.has_epoch && !stream_read_epoch(wanted->epoch, &waiter.epoch);
    return waiter;
}

/* The subscription that was added last has this grant from now on. */
static void give_grant(struct session *session, const struct room *room, struct grant *grant)
{
    session->subscriptions[session->subscription_count - 1].grant = grant;
    if (grant != NULL) {
        grant->expiry.session = session->slot;
        grant->expiry.room = room->slot;
    }
}

int hub_enter_room(struct hub *hub, struct session *session, struct room *room,
                   const struct hub_entry *entry)
{
    const struct roster_waiter waiter = waiter_for(session, room->policy, entry);
    const bool is_joined = room->state == ROOM_JOINED;
    const struct recovery_answer answer = is_joined
                                              ? hub_judge(hub, room, &waiter, NULL)
                                              : (struct recovery_answer){.verdict = RECOVERY_READ};
    const bool reads = answer.verdict == RECOVERY_READ;
    const bool waits = reads || entry->origin == ROSTER_BY_CONNECT;

    const int result = waits ? membership_wait(session, room, waiter)
                             : membership_add(session, room, waiter.traits);
    if (result != 0) {
        return result;
    }
    give_grant(session, room, entry->grant);
    hub->subscription_count++;
    metrics_add_for(hub->options.metrics, room->policy->counts_as, NAMESPACE_SUBSCRIPTIONS, 1);
    if (!waits) {
        const bool has_all = confirm(hub, room, &waiter, answer, NULL);
        CHECK(has_all); /* there was nothing to be read */
    } else if (is_joined && reads) {
        hub_wish(hub, room);
    }
    return 0;
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
