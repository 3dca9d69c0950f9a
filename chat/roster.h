/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_ROSTER_H
#define CHAT_ROSTER_H
/*
 * The rooms of one reactor: which of its sessions are in which channel.
 *
 * Owner     one reactor's hub. ON that reactor only; other threads hold a struct ids_handle.
 * Room      lives from the first subscriber here until the home was told that the last one left.
 *           A room that is JOINING asked its home for the channel; nothing is delivered to it yet,
 *           so all its members wait for their answer. In a JOINED one nobody waits.
 * Members   an array of values, so that a fan-out reads memory in order. Leaving moves the last
 *           member into the gap: membership.h keeps both sides in step.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/ids.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"
#include "core/table.h"

struct herald;
struct roster; /* opaque */

enum room_state {
    ROOM_JOINING, /* the home was asked */
    ROOM_JOINED,  /* every later publication comes */
};

struct roster_member {
    struct conn_id conn;   /* where to deliver */
    uint32_t session;      /* slot in the hub's slab */
    uint16_t subscription; /* index in that session's array */
    bool is_told;          /* the others were told that it is there: chat/herald.h */
    bool hears_news;       /* it wants to be told who comes and goes */
};

_Static_assert(sizeof(struct roster_member) == 16, "a fan-out reads all of them");

struct room {
    uint64_t hash;
    struct roster_member *members;
    uint32_t member_count;
    uint32_t member_capacity;
    uint32_t outbox_last; /* index + 1 of its last entry in the outbox, 0: none; the outbox's */
    uint32_t slot;        /* its own */
    struct ids_handle channel; /* at home, once JOINED */
    struct herald *herald;     /* the hub's: what is to be told about members; NULL: nothing */
    uint16_t home;
    uint8_t state;     /* enum room_state */
    uint8_t name_size; /* bytes */
    uint8_t name[];
};

NODISCARD int roster_create(uint16_t reactor, uint32_t room_count_max, struct roster **roster);
void roster_destroy(struct roster *roster);

struct room *roster_find(struct roster *roster, uint64_t hash, struct bytes name);

/* A new room in ROOM_JOINING without members. NULL: no memory, or room_count_max. */
NODISCARD struct room *roster_open(struct roster *roster, uint64_t hash, struct bytes name,
                                   uint16_t home);

/* Frees it; its handle goes stale. It must have no members. */
void roster_close(struct roster *roster, struct room *room);

struct ids_handle roster_handle(const struct roster *roster, const struct room *room);
struct room *roster_at(struct roster *roster, struct ids_handle handle); /* NULL: stale */
struct room *roster_slot(struct roster *roster, uint32_t slot);

static inline struct bytes room_name(const struct room *room)
{
    return (struct bytes){room->name, room->name_size};
}

/* Appends; returns -ENOMEM and changes nothing when there is no memory. */
NODISCARD int roster_add(struct room *room, struct roster_member member);

/* Fills the gap with the last member and returns true if that one moved to `index`. */
bool roster_remove(struct room *room, uint32_t index);

size_t roster_count(const struct roster *roster);

#endif /* CHAT_ROSTER_H */
