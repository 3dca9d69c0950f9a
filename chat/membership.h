/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_MEMBERSHIP_H
#define CHAT_MEMBERSHIP_H
/*
 * The tie between a session and a room, kept on both sides as a pair of indices.
 *
 * The only place that changes a room's members or a session's subscriptions: each of the two
 * arrays fills a gap with its last element, and the other side has to learn where that went.
 * ON the reactor that owns both.
 */
#include "chat/roster.h"
#include "chat/session.h"
#include "core/annot.h"
#include "core/slab.h"

/* Ties them; `command` waits for its answer, 0 if none does. -ENOMEM, and nothing changed. */
NODISCARD int membership_add(struct session *session, struct room *room, uint32_t command);

/* Unties the session's subscription at `index`. `sessions` is the slab both sides' slots name. */
void membership_remove(struct slab *sessions, struct roster *roster, struct session *session,
                       uint32_t index);

#endif /* CHAT_MEMBERSHIP_H */
