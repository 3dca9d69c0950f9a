/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_SESSION_H
#define CHAT_SESSION_H
/*
 * Who is on a connection and which channels they are in.
 *
 * Owner     the hub of the connection's reactor, from the accepted upgrade until the connection
 *           closes. ON that reactor only; answers from other reactors name it by handle.
 * Memory    one slab object, and one array for the subscriptions: 16 bytes for each.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/identity.h"
#include "chat/users.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"

struct event_client_info;
struct grant;
struct hub_arrival;

enum {
    SESSION_ID_SIZE = 16,      /* bytes: 128 random bits */
    SESSION_ID_TEXT_SIZE = 36, /* bytes: as text, in the form of RFC 9562 */
};

enum session_state {
    SESSION_NEW,       /* nothing but `connect` is welcome */
    SESSION_ARRIVING,  /* `connect` was accepted, and waits for its subscriptions */
    SESSION_CONNECTED, /* after a successful `connect` */
    SESSION_REFUSED,   /* `connect` had an error: it is not heard any more, and may try elsewhere */
};

struct session_subscription {
    uint32_t room;           /* slot in the roster */
    uint32_t member : 31;    /* index in the room's members, or its waiters */
    uint32_t is_waiting : 1; /* for the answer to its subscribe: it is one of the waiters */
    struct grant *grant;     /* what is special about it; NULL: nothing */
};

struct session {
    struct conn_id conn;
    uint8_t id[SESSION_ID_SIZE];
    struct session_subscription *subscriptions;
    struct hub_arrival *arrival; /* hub_arrival.c's; NULL: none */
    struct identity *identity;   /* NULL: anonymous, and not by a token */
    uint16_t subscription_count;
    uint16_t subscription_capacity;
    uint32_t slot;   /* its own, in the hub's slab */
    uint32_t waiter; /* leases.c's: it waits for one, slot + 1; 0: it does not */
    uint8_t state;   /* enum session_state */
    bool is_ending;  /* its connection is to be closed: it is told nothing more */
    bool is_held;    /* see hub_hold() */
};

/* A client id as text, in lower case. */
void session_id_text(const uint8_t id[static SESSION_ID_SIZE],
                     uint8_t text[static SESSION_ID_TEXT_SIZE]);

/* The same of a session. */
void session_write_id(const struct session *session, uint8_t text[static SESSION_ID_TEXT_SIZE]);

/* The user id; empty: anonymous. */
static inline struct bytes session_user(const struct session *session)
{
    return session->identity == NULL ? (struct bytes){NULL, 0} : card_user(session->identity->card);
}

/* A hash of it: equal for two sessions of one user, on whatever reactors. 0: anonymous. */
static inline uint64_t session_user_hash(const struct session *session)
{
    return session->identity == NULL || session->identity->user == NULL
               ? 0
               : session->identity->user->hash;
}

/* What others are told of somebody: both are shared, and each may be NULL. */
struct session_cards {
    struct card *conn; /* user and info of the connection */
    struct card *chan; /* info of the subscription */
};

/* Of a session; in a channel, if `subscription` is not NULL. No reference is counted. */
NODISCARD struct session_cards session_cards(const struct session *session,
                                             const struct session_subscription *subscription);

/* The same with a client id, which is written to `text`. */
NODISCARD struct event_client_info session_describe(const uint8_t id[static SESSION_ID_SIZE],
                                                    struct session_cards cards,
                                                    uint8_t text[static SESSION_ID_TEXT_SIZE]);

/* Index of the subscription to a room, or -1. Linear: there are at most client.channel_limit. */
int session_find(const struct session *session, uint32_t room);

/* Appends; returns -ENOMEM and changes nothing when there is no memory. */
NODISCARD int session_add(struct session *session, struct session_subscription subscription);

/* Fills the gap with the last one and returns true if that one moved to `index`. */
bool session_remove(struct session *session, uint32_t index);

/* Gives back what its array holds. It must have no subscription. */
void session_deinit(struct session *session);

#endif /* CHAT_SESSION_H */
