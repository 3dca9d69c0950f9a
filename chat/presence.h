/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_PRESENCE_H
#define CHAT_PRESENCE_H
/*
 * Who is in a channel, put together from what each reactor says of its own room.
 *
 * The rooms are the presence: there is no second copy of it that could be wrong. A part is what one
 * reactor says, in a blob that only its reader looks at: members as they go to the client, or the
 * hashes of their users. Whoever waits for its subscription is not a member.
 *
 * Full      a list holds at most count_max members and bytes_max bytes, and is a sample then. The
 *           numbers are exact always.
 * Pure but for the memory of the pool. A room is read ON its reactor; parts ON the asker's.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

struct blob;
struct blob_pool;
struct json_writer;
struct room;
struct slab;

struct presence_limits {
    uint32_t count_max; /* members in a list */
    uint32_t bytes_max; /* of the list */
};

/* What came in: one blob from each reactor that has members. */
struct presence_parts {
    struct blob *const *list;
    size_t count;
};

struct presence_numbers {
    uint32_t client_count;
    uint32_t user_count;
};

/*
 * What this reactor says: some members, or how many there are and who their users are. The room has
 * members. Those that a list names are known then (chat/herald.h). NULL: no memory.
 */
NODISCARD struct blob *presence_list(struct room *room, struct slab *sessions,
                                     const struct presence_limits *limits, struct blob_pool *pool);
NODISCARD struct blob *presence_users(const struct room *room, struct slab *sessions,
                                      struct blob_pool *pool);

/* No less than what presence_write() will write, bytes. */
NODISCARD size_t presence_size(struct presence_parts parts, const struct presence_limits *limits);

/* The lists together: members joined by ',', as event_write_member() wrote them. */
void presence_write(struct json_writer *writer, struct presence_parts parts,
                    const struct presence_limits *limits);

/* The numbers together. Uses up the parts: each holds one share, and is of no use after it. */
NODISCARD struct presence_numbers presence_count(struct presence_parts parts);

#endif /* CHAT_PRESENCE_H */
