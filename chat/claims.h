/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_CLAIMS_H
#define CHAT_CLAIMS_H
/*
 * What a token says of who shows it, and how the hub has one verified: PROTOCOL.md section 6.
 *
 * chat/ knows claims and no tokens. Keys, signatures and the clock on the wall are the verifier's,
 * which the hub is given (server/token.h); a time comes back as seconds from now.
 * Owner     the verifier: everything that a struct claims points to is borrowed until it is asked
 *           again. ON the hub's reactor only: each reactor has a verifier of its own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum claims_kind {
    CLAIMS_CONNECTION,   /* of `connect` and `refresh` */
    CLAIMS_SUBSCRIPTION, /* of `subscribe` and `sub_refresh` */
};

enum claims_verdict {
    CLAIMS_VALID = 0,
    CLAIMS_EXPIRED,     /* genuine, but of the past: error 109 */
    CLAIMS_INVALID,     /* not genuine, not for us, or not readable */
    CLAIMS_UNAVAILABLE, /* its key is not here yet: a temporary error */
};

/* A claim that may be absent. */
enum claims_override {
    CLAIMS_KEEP = 0, /* as the channel's policy says */
    CLAIMS_OFF,
    CLAIMS_ON,
};

/* `override`: options of the channel that are different for this subscription. */
struct claims_overrides {
    enum claims_override presence;
    enum claims_override join_leave;
    enum claims_override force_recovery;
    enum claims_override force_positioning;
    enum claims_override force_push_join_leave;
};

/* A subscription that the server makes at connect: one of `channels` or `subs`. */
struct claims_subscription {
    struct bytes channel;
    struct bytes info; /* JSON of `info`, or the bytes of `b64info`; empty: none */
    struct bytes data; /* likewise */
    struct claims_overrides overrides;
};

struct claims {
    struct bytes user;    /* `sub`; empty: anonymous */
    struct bytes channel; /* of a subscription token */
    struct bytes info;    /* see struct claims_subscription */
    struct bytes meta;    /* JSON; empty: none. Never told to a client */
    bool expires;
    uint32_t ttl_s;       /* until then, at least 1: `expire_at`, or without one `exp` */
    uint64_t issued_at_s; /* Unix time, `iat`; 0: not said. For who revokes by time */
    struct bytes id;      /* `jti`; empty: not said. For who revokes by name */
    const struct claims_subscription *subscriptions; /* of a connection token */
    size_t subscription_count;
    struct claims_overrides overrides; /* of a subscription token */
};

struct claims_verifier {
    /* Fills `claims` when it says CLAIMS_VALID. Bounded work, no waiting. */
    NODISCARD enum claims_verdict (*verify)(void *context, enum claims_kind kind,
                                            struct bytes token, struct claims *claims);
    void *context;
};

#endif /* CHAT_CLAIMS_H */
