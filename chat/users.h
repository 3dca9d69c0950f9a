/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_USERS_H
#define CHAT_USERS_H
/*
 * Who is here, by user id: one reactor's index of the sessions that are signed in.
 *
 * Owner     the hub. ON its reactor only. A user is there as long as a session of it is; sessions
 *           tie themselves in by a link of their identity (chat/identity.h).
 * Memory    an entry per user. Anonymous sessions are not in it and cost nothing.
 */
#include <stddef.h>
#include <stdint.h>

#include "chat/quota.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/list.h"
#include "core/table.h"

struct users; /* opaque */

struct user {
    uint64_t hash;             /* of its name, by the key that all reactors share */
    struct quota_key key;      /* what it is counted as: quota_key_of() its name */
    struct list_link sessions; /* each is the `link` of a struct identity */
    uint32_t session_count;
    uint16_t name_size; /* bytes */
    uint8_t name[];
};

/* NULL: no memory. */
NODISCARD struct users *users_create(const struct table_key *key);

/* Nobody may be there any more. NULL: nothing. */
void users_destroy(struct users *users);

/* NULL: no session of that user is here. */
NODISCARD struct user *users_find(const struct users *users, struct bytes name);

/* Adds the link to a user's sessions, the first of which makes the user. NULL: no memory. */
NODISCARD struct user *users_enter(struct users *users, struct bytes name, struct list_link *link);

/* Takes the link out; with the last one the user has gone. */
void users_leave(struct users *users, struct user *user, struct list_link *link);

NODISCARD size_t users_count(const struct users *users);

#endif /* CHAT_USERS_H */
