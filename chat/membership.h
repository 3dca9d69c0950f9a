/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_MEMBERSHIP_H
#define CHAT_MEMBERSHIP_H
/*
 * The tie between a session and a room, kept on both sides as a pair of indices.
 *
 * The only place that changes a room's members and waiters or a session's subscriptions: each of
 * these arrays fills a gap with its last element, and the other side has to learn where that went.
 * ON the reactor that owns both.
 */
#include <stdbool.h>

#include "chat/roster.h"
#include "chat/session.h"
#include "core/annot.h"
#include "core/slab.h"

/* The session is a member of the room from now on. -ENOMEM, and nothing changed. */
NODISCARD int membership_add(struct session *session, struct room *room,
                             struct roster_traits traits);

/*
 * The session waits to be one. `waiter` says what it wants; who it is is filled in here. -ENOMEM,
 * and nothing changed.
 */
NODISCARD int membership_wait(struct session *session, struct room *room,
                              struct roster_waiter waiter);

/* The waiter at `index` becomes a member. -ENOMEM, and nothing changed. */
NODISCARD int membership_admit(struct slab *sessions, struct room *room, uint32_t index);

/*
 * Unties the session's subscription at `index`, and lets the room's herald know. `sessions` is the
 * slab both sides' slots name.
 */
void membership_remove(struct slab *sessions, struct roster *roster, struct session *session,
                       uint32_t index);

#endif /* CHAT_MEMBERSHIP_H */
