/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_IDENTITY_H
#define CHAT_IDENTITY_H
/*
 * Who is on a connection, as its token says. A session without one is anonymous, for ever, and pays
 * nothing for it.
 *
 * Owner     its session. ON that session's reactor only.
 * Copies    what the claims view is copied and is valid JSON without '\n' then, where it is JSON.
 */
#include <stdbool.h>
#include <stdint.h>

#include "chat/card.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/list.h"
#include "core/timerwheel.h"

struct claims;
struct session;
struct user;
struct users;

enum {
    IDENTITY_USER_SIZE_MAX = 255,  /* bytes of a user id */
    IDENTITY_JSON_SIZE_MAX = 4096, /* bytes of an info, a meta or other data in a token */
};

/* A moment at which a connection, or one of its subscriptions, ends. */
struct identity_expiry {
    struct timerwheel_timer timer; /* the hub's */
    uint32_t session;              /* slot */
    uint32_t room;                 /* slot; UINT32_MAX: the connection itself */
};

struct identity {
    struct list_link link; /* among the sessions of its user */
    struct user *user;     /* NULL: anonymous, with a token all the same */
    struct session *session;
    struct card *card;
    struct identity_expiry expiry; /* armed when the token ends */
    uint64_t issued_at_s;          /* Unix time; 0: not said */
    uint8_t *secret;               /* meta, then the token's id: nobody is told */
    uint16_t meta_size;
    uint16_t token_id_size;
    bool has_place; /* hub_places.c's: it is one of its user's connections */
};

/* The verdicts of identity_create() and identity_renew(). Nothing has changed unless it is OK. */
enum identity_verdict {
    IDENTITY_OK = 0,
    IDENTITY_BAD_CLAIMS, /* too long, or not the JSON that it has to be */
    IDENTITY_NO_MEMORY,
};

/* For a session that has none. It is in `users` then, if it has a user id. */
NODISCARD enum identity_verdict identity_create(struct users *users, struct session *session,
                                                const struct claims *claims);

/* Another token of the same user: everything of the old one is replaced. */
NODISCARD enum identity_verdict identity_renew(struct session *session,
                                               const struct claims *claims);

/* Its timer is not armed. The session has none afterwards, also if it had none before. */
void identity_destroy(struct users *users, struct session *session);

static inline struct bytes identity_meta(const struct identity *identity)
{
    return (struct bytes){identity->secret, identity->meta_size};
}

static inline struct bytes identity_token_id(const struct identity *identity)
{
    return (struct bytes){identity->secret + identity->meta_size, identity->token_id_size};
}

/* Is this JSON that may be shown to others: short, flat enough? Nothing is JSON, too. */
NODISCARD bool identity_json_is_good(struct bytes json);

/* A card of somebody, its info without white space. NULL: no memory. */
NODISCARD struct card *identity_card(struct bytes user, struct bytes info);

#endif /* CHAT_IDENTITY_H */
