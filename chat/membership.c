/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/membership.h"

#include <errno.h>

#include "core/check.h"

int membership_add(struct session *session, struct room *room, uint32_t command)
{
    const struct session_subscription subscription = {
        .room = room->slot,
        .member = room->member_count,
        .command = command,
    };
    const struct roster_member member = {
        .conn = session->conn,
        .session = session->slot,
        .subscription = session->subscription_count,
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

void membership_remove(struct slab *sessions, struct roster *roster, struct session *session,
                       uint32_t index)
{
    CHECK(index < session->subscription_count);
    const struct session_subscription gone = session->subscriptions[index];
    struct room *room = roster_slot(roster, gone.room);
    CHECK(room->members[gone.member].session == session->slot);
    CHECK(room->members[gone.member].subscription == index);

    if (roster_remove(room, gone.member)) {
        const struct roster_member *moved = &room->members[gone.member];
        struct session *other = slab_at(sessions, moved->session);
        CHECK(other != NULL);
        other->subscriptions[moved->subscription].member = gone.member;
    }
    if (session_remove(session, index)) {
        const struct session_subscription *moved = &session->subscriptions[index];
        roster_slot(roster, moved->room)->members[moved->member].subscription = (uint16_t)index;
    }
}
