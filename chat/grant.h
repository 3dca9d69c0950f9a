/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_GRANT_H
#define CHAT_GRANT_H
/*
 * What is special about one subscription: what its token says, or that the server made it. Most
 * subscriptions have none and pay nothing.
 *
 * Owner     the subscription. ON its session's reactor only.
 */
#include <stdbool.h>
#include <stdint.h>

#include "chat/claims.h"
#include "chat/identity.h"
#include "core/annot.h"
#include "core/bytes.h"

struct card;

/* What a grant is made of; copied. */
struct grant_source {
    struct bytes info; /* JSON for others, `chan_info`; empty: none */
    struct bytes data; /* JSON for who subscribes; empty: none */
    struct claims_overrides overrides;
    bool by_server;
};

struct grant {
    struct identity_expiry expiry; /* armed when the token ends */
    uint64_t ends_ns;              /* when that is, by the hub's clock; 0: never */
    struct card *card;             /* its info is what others are told; NULL: nothing */
    struct card *data;             /* its info is what the subscriber is told; NULL: nothing */
    struct claims_overrides overrides;
    bool by_server; /* not asked for by a command */
};

/* NULL: no memory. The JSON is good: identity_json_is_good(). */
NODISCARD struct grant *grant_create(const struct grant_source *source);

/* Another token for the same subscription: another info. -ENOMEM, and nothing changed. */
NODISCARD int grant_renew(struct grant *grant, struct bytes info);

/* Its timer is not armed. NULL: nothing. */
void grant_destroy(struct grant *grant);

/* The override, or what the policy says. */
static inline bool grant_decides(enum claims_override override, bool standard)
{
    return override == CLAIMS_KEEP ? standard : override == CLAIMS_ON;
}

#endif /* CHAT_GRANT_H */
