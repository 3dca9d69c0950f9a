/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_ORDER_H
#define CHAT_ORDER_H
/*
 * What a back end orders about a user, and how it travels to every reactor: in one blob.
 *
 * Pure but for the memory of the pool. ANY_THREAD. What is done: hub_order.c, and revocations.h.
 */
#include <stdbool.h>
#include <stdint.h>

#include "chat/claims.h"
#include "core/annot.h"
#include "core/bytes.h"

struct blob;
struct blob_pool;

enum order_kind {
    ORDER_SUBSCRIBE,
    ORDER_UNSUBSCRIBE,
    ORDER_DISCONNECT,
    ORDER_REFRESH,
    ORDER_BLOCK_USER,
    ORDER_UNBLOCK_USER,
    ORDER_REVOKE_TOKEN,
    ORDER_INVALIDATE_USER_TOKENS,
};

/* Texts are empty where nothing was said. */
struct order {
    enum order_kind kind;
    struct bytes user;     /* empty: of nobody who is signed in; then there is a client */
    struct bytes client;   /* only the connection with this id */
    struct bytes channel;  /* ORDER_SUBSCRIBE, ORDER_UNSUBSCRIBE */
    struct bytes info;     /* ORDER_SUBSCRIBE: JSON for others */
    struct bytes data;     /* ORDER_SUBSCRIBE: JSON for who is subscribed */
    struct bytes token_id; /* ORDER_REVOKE_TOKEN */
    struct bytes reason;   /* ORDER_DISCONNECT */
    struct bytes kept;     /* ORDER_DISCONNECT: ids of clients, one behind the other */
    struct claims_overrides overrides; /* ORDER_SUBSCRIBE */
    uint16_t code;                     /* ORDER_DISCONNECT */
    bool ends_now;                     /* ORDER_REFRESH; a ttl of 0 means the same */
    bool has_ttl;                      /* else for ever, or as long as the process lives */
    uint64_t ttl_s;                    /* of a connection, or of what is forbidden */
    uint64_t issued_before_s;          /* ORDER_INVALIDATE_USER_TOKENS: Unix time */
};

/* NULL: no memory. */
NODISCARD struct blob *order_pack(struct blob_pool *pool, const struct order *order);

/* Its texts are views into the blob. */
NODISCARD struct order order_unpack(const struct blob *blob);

#endif /* CHAT_ORDER_H */
