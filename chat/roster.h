/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_ROSTER_H
#define CHAT_ROSTER_H
/*
 * The rooms of one reactor: which of its sessions are in which channel.
 *
 * Owner     one reactor's hub. ON that reactor only; other threads hold a struct ids_handle.
 * Room      lives from the first subscriber here until the home was told that the last one left.
 *           A room that is JOINING asked its home for the channel: whoever wants to be a member
 *           waits until that is answered.
 * Members   get everything that is delivered to the room. An array of values, so that a fan-out
 *           reads memory in order. Leaving moves the last member into the gap: membership.h keeps
 *           both sides in step.
 * Waiters   have asked to subscribe and get nothing yet: the room is JOINING, or what they missed
 *           has to be read first. An array of the same kind, which is there as long as one waits.
 * Position  `top` is the last publication that this room took. Its newest `outbox_count` ones are
 *           still in the outbox, and go to who is a member when that is emptied: so a member that
 *           is added now begins behind room_position(). Those of them that pass have no offset.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/ids.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"
#include "core/list.h"
#include "core/table.h"

struct blob;
struct herald;
struct policy;
struct roster; /* opaque */

enum room_state {
    ROOM_JOINING, /* the home was asked */
    ROOM_JOINED,  /* every later publication comes */
    ROOM_LOST,    /* the home has forgotten it, and others have to hear that its members left */
};

/* How somebody is a member: by its wish, its token, and the policy of the channel. */
struct roster_traits {
    bool hears_news : 1;  /* it wants to be told who comes and goes */
    bool is_discreet : 1; /* the others are not told of it */
    bool is_shown : 1;    /* it is in the presence, whatever the policy says */
    bool is_hidden : 1;   /* it is not, likewise */
};

struct roster_member {
    struct conn_id conn;   /* where to deliver */
    uint32_t session;      /* slot in the hub's slab */
    uint16_t subscription; /* index in that session's array */
    struct roster_traits traits;
    bool is_told : 1;  /* the others were told that it came: chat/herald.h */
    bool is_known : 1; /* that, or somebody asked who is there: they have to hear that it left */
};

_Static_assert(sizeof(struct roster_member) == 16, "a fan-out reads all of them");

/* Who wants somebody to be a member, and so how it is told. */
enum roster_origin {
    ROSTER_BY_CLIENT = 0, /* by the reply to its subscribe */
    ROSTER_BY_SERVER,     /* by a push */
    ROSTER_BY_CONNECT,    /* in the reply to its connect */
};

/* Somebody who wants to be a member, and what of the channel it has. */
struct roster_waiter {
    struct conn_id conn;
    uint32_t session;      /* slot in the hub's slab */
    uint16_t subscription; /* index in that session's array */
    uint64_t since;        /* offset of the last publication that it has */
    uint64_t epoch;        /* of that offset, if has_epoch */
    struct blob *page;     /* kept for ROSTER_BY_CONNECT, see hub_arrival.c; NULL: none */
    uint32_t command;      /* id of the subscribe that waits for its answer */
    uint8_t origin;        /* enum roster_origin */
    struct roster_traits traits;
    bool positioned;  /* it is told offset and epoch */
    bool recoverable; /* and may recover with them */
    bool recovers;    /* it wants to, now */
    bool has_epoch;   /* false: it sent none, and any will do */
    bool bad_epoch;   /* it sent one that is none of ours */
    bool knew;        /* ROSTER_BY_CONNECT: all that it missed, once */
    bool is_cut;      /* `page` ends where it does because more would be too long */
};

struct room {
    struct roster *roster;
    uint64_t hash;
    struct roster_member *members;
    struct roster_waiter *waiters;
    struct list_link recovering; /* the hub's: some waiters need what the home has to read */
    uint64_t top;                /* offset of the last publication that was taken */
    uint64_t epoch;              /* of it; 0: a channel without history */
    uint64_t asked_from;         /* the home reads from there on for the waiters; 0: it does not */
    uint32_t member_count;
    uint32_t member_capacity;
    uint32_t discreet_count; /* members that are */
    uint32_t waiter_count;
    uint32_t waiter_capacity;
    uint32_t outbox_last;    /* index + 1 of its last entry in the outbox, 0: none; the outbox's */
    uint32_t outbox_count;   /* its entries there; the outbox's */
    uint32_t outbox_passing; /* those of them that have no offset */
    uint32_t slot;           /* its own */
    struct ids_handle channel;   /* at home, once JOINED */
    const struct policy *policy; /* of its channel */
    struct herald *herald;       /* tells who comes and goes; the hub's; NULL: nobody is told */
    uint16_t home;
    uint8_t state;     /* enum room_state */
    bool is_admitting; /* its waiters are looked at: it stays, whoever leaves; hub_subscribe.c's */
    uint8_t name_size; /* bytes */
    uint8_t name[];
};

NODISCARD int roster_create(uint16_t reactor, uint32_t room_count_max, struct roster **roster);
void roster_destroy(struct roster *roster);

struct room *roster_find(struct roster *roster, uint64_t hash, struct bytes name);

/* A new room in ROOM_JOINING without members. NULL: no memory, or room_count_max. */
NODISCARD struct room *roster_open(struct roster *roster, uint64_t hash, struct bytes name,
                                   const struct policy *policy, uint16_t home);

/* Frees it; its handle goes stale. It must have neither members nor waiters. */
void roster_close(struct roster *roster, struct room *room);

struct ids_handle roster_handle(const struct roster *roster, const struct room *room);
struct room *roster_at(struct roster *roster, struct ids_handle handle); /* NULL: stale */
struct room *roster_slot(struct roster *roster, uint32_t slot);

/* The rooms that are in slots below this. */
uint32_t roster_slot_end(const struct roster *roster);
const struct room *roster_peek(const struct roster *roster, uint32_t slot); /* NULL: none */

static inline struct bytes room_name(const struct room *room)
{
    return (struct bytes){room->name, room->name_size};
}

/* The last publication that a member which is added now will not be given. */
static inline uint64_t room_position(const struct room *room)
{
    return room->top - (room->outbox_count - room->outbox_passing);
}

/* Appends; returns -ENOMEM and changes nothing when there is no memory. */
NODISCARD int roster_add(struct room *room, struct roster_member member);

/* Fills the gap with the last member and returns true if that one moved to `index`. */
bool roster_remove(struct room *room, uint32_t index);

/* The same for waiters. */
NODISCARD int roster_add_waiter(struct room *room, struct roster_waiter waiter);
bool roster_remove_waiter(struct room *room, uint32_t index);

size_t roster_count(const struct roster *roster);

/* Memory of rooms and their members, without those who wait and what heralds have. */
NODISCARD size_t roster_bytes(const struct roster *roster);

#endif /* CHAT_ROSTER_H */
