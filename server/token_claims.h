/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TOKEN_CLAIMS_H
#define SERVER_TOKEN_CLAIMS_H
/*
 * The claims of a token, from its payload: PROTOCOL.md section 6, as Centrifugo names them.
 *
 * Pure: no I/O, no allocation, no clock. ANY_THREAD.
 * Owner     the caller; texts are views of the payload, which is changed in place while it is read.
 * Strict    a known claim that is there twice or has another type is a fault; unknown ones are
 *           skipped. `b64info` and `b64data` must be base64 of JSON, for as JSON they are sent.
 * Not here  what follows from them (token.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/claims.h"
#include "core/annot.h"
#include "core/bytes.h"

enum {
    TOKEN_CLAIMS_SUBSCRIPTIONS_MAX = 256, /* of one token; more is a fault */
    TOKEN_CLAIMS_DEPTH_MAX = 32,          /* open objects and arrays of the payload */
};

/* A claim that is seconds since 1970, rounded down. */
struct token_time {
    int64_t s;
    bool is_there;
};

struct token_claims {
    struct bytes sub;
    struct bytes channel; /* data is NULL when it is not there */
    struct bytes info;    /* JSON, empty: none; `b64info` wins over `info` */
    struct bytes meta;    /* likewise; an object */
    struct bytes jti;
    struct bytes iss;
    struct bytes aud; /* JSON: a string, or an array of them; see token_claims_name() */
    struct token_time exp;
    struct token_time nbf;
    struct token_time iat;
    struct token_time expire_at;
    struct claims_overrides overrides;
    size_t subscription_count; /* `subs`, then what `channels` has besides */
    struct claims_subscription subscriptions[TOKEN_CLAIMS_SUBSCRIPTIONS_MAX];
};

/* NULL, or what is wrong with it, for people; what is in `claims` is of no use then. */
NODISCARD const char *token_claims_read(struct span payload, struct token_claims *claims);

/* Is `name` among what `aud` says? */
NODISCARD bool token_claims_name(const struct token_claims *claims, struct bytes name);

#endif /* SERVER_TOKEN_CLAIMS_H */
