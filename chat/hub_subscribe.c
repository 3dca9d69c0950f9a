/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a session comes into a room: at once, when the room's home has answered, or when what it
 * missed has been read (hub_recovery.c).
 *
 * Where a page does not reach to where the room stands, for it would be too long, a client is given
 * what there is of it and told to subscribe again, from there on.
 */
#include "chat/grant.h"
#include "chat/hub_state.h"
#include "chat/membership.h"
#include "chat/outbox.h"
#include "chat/page.h"
#include "chat/policy.h"
#include "chat/recovery.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "chat/stream.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics_namespace.h"
#include "proto/command.h"

/* -- one who waits ----------------------------------------------------------------------------- */

/* What somebody is told who subscribed. Returns false when it has not all of it yet. */
static bool confirm(struct hub *hub, struct room *room, const struct roster_waiter *waiter,
                    struct recovery_answer answer, const struct blob *page)
{
    struct session *session = hub_session_at(hub, waiter->session);
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
    struct session *session = hub_session_at(hub, waiter->session);

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
    struct session *session = hub_session_at(hub, waiter.session);

    if (session->is_ending) {
        hub_untie(hub, session, waiter.subscription); /* it would be given what it is not told of */
    } else if (membership_admit(hub->sessions, room, index) != 0) {
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
        if (hub->recovery_bytes >= HUB_RECOVERY_BYTES_MAX ||
            !outbox_is_roomy(hub->options.outbox)) {
            waits = true;
            break;
        }
        const struct recovery_answer answer = hub_judge(hub, room, &room->waiters[i - 1], page);
        if (answer.verdict == RECOVERY_READ) {
            waits = waits || !hub_session_at(hub, room->waiters[i - 1].session)->is_held;
        } else if (room->waiters[i - 1].origin == ROSTER_BY_CONNECT) {
            keep_page(room, &room->waiters[i - 1], page);
            hub_arrive(hub, hub_session_at(hub, room->waiters[i - 1].session));
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
