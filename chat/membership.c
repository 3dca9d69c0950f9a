/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/membership.h"

#include <errno.h>

#include "chat/herald.h"
#include "core/check.h"

int membership_add(struct session *session, struct room *room, struct roster_traits traits)
{
    const struct session_subscription subscription = {
        .room = room->slot,
        .member = room->member_count & INT32_MAX,
    };
    const struct roster_member member = {
        .conn = session->conn,
        .session = session->slot,
        .subscription = session->subscription_count,
        .traits = traits,
    };

    const int result = session_add(session, subscription);
    if (result != 0) {
        return result;
    }
    if (roster_add(room, member) != 0) {
        (void)session_remove(session, member.subscription); /* the last: nothing moves */
        return -ENOMEM;
    }
    return 0;
}

int membership_wait(struct session *session, struct room *room, struct roster_waiter waiter)
{
    const struct session_subscription subscription = {
        .room = room->slot,
        .member = room->waiter_count & INT32_MAX,
        .is_waiting = 1,
    };
    waiter.conn = session->conn;
    waiter.session = session->slot;
    waiter.subscription = session->subscription_count;

    const int result = session_add(session, subscription);
    if (result != 0) {
        return result;
    }
    if (roster_add_waiter(room, waiter) != 0) {
        (void)session_remove(session, waiter.subscription); /* the last: nothing moves */
        return -ENOMEM;
    }
    return 0;
}

static struct session_subscription *tie_of(struct slab *sessions, uint32_t session, uint32_t index)
{
    struct session *found = slab_at(sessions, session);
    CHECK(found != NULL);
    CHECK(index < found->subscription_count);
    return &found->subscriptions[index];
}

/* Takes a waiter out of the room and tells the one that moved into its place. */
static void remove_waiter(struct slab *sessions, struct room *room, uint32_t index)
{
    if (roster_remove_waiter(room, index)) {
        const struct roster_waiter *moved = &room->waiters[index];
        tie_of(sessions, moved->session, moved->subscription)->member = index & INT32_MAX;
    }
}

static void remove_member(struct slab *sessions, struct room *room, uint32_t index)
{
    if (roster_remove(room, index)) {
        const struct roster_member *moved = &room->members[index];
        tie_of(sessions, moved->session, moved->subscription)->member = index & INT32_MAX;
    }
}

int membership_admit(struct slab *sessions, struct room *room, uint32_t index)
{
    CHECK(index < room->waiter_count);
    const struct roster_waiter *waiter = &room->waiters[index];
    const struct roster_member member = {
        .conn = waiter->conn,
        .session = waiter->session,
        .subscription = waiter->subscription,
        .traits = waiter->traits,
    };
    struct session_subscription *tie = tie_of(sessions, member.session, member.subscription);
    CHECK(tie->is_waiting && tie->member == index);

    const uint32_t place = room->member_count;
    if (roster_add(room, member) != 0) {
        return -ENOMEM;
    }
    tie->member = place & INT32_MAX;
    tie->is_waiting = 0;
    remove_waiter(sessions, room, index);
    return 0;
}

void membership_remove(struct slab *sessions, struct roster *roster, struct session *session,
                       uint32_t index)
{
    CHECK(index < session->subscription_count);
    const struct session_subscription gone = session->subscriptions[index];
    struct room *room = roster_slot(roster, gone.room);

    if (gone.is_waiting) {
        CHECK(room->waiters[gone.member].session == session->slot);
        CHECK(room->waiters[gone.member].subscription == index);
        remove_waiter(sessions, room, gone.member);
    } else {
        CHECK(room->members[gone.member].session == session->slot);
        CHECK(room->members[gone.member].subscription == index);
        if (room->herald != NULL) {
            herald_remember(room->herald, &room->members[gone.member], session);
        }
        remove_member(sessions, room, gone.member);
    }
    if (session_remove(session, index)) {
        const struct session_subscription *moved = &session->subscriptions[index];
        struct room *other = roster_slot(roster, moved->room);
        if (moved->is_waiting) {
            other->waiters[moved->member].subscription = (uint16_t)index;
        } else {
            other->members[moved->member].subscription = (uint16_t)index;
        }
    }
}
