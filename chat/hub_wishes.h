/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_HUB_WISHES_H
#define CHAT_HUB_WISHES_H
/*
 * The channels that somebody is subscribed to by its connect: those of its token, and its own.
 *
 * Owner     hub_arrival.c, while a connect is applied. Private to chat/hub*.c.
 */
#include <stddef.h>
#include <stdint.h>

#include "chat/grant.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "proto/codes.h"
#include "proto/command.h"

struct claims;
struct hub;
struct session;

/* One channel. */
struct hub_wish {
    struct bytes channel;
    uint64_t hash;
    struct grant_source source;
    struct command_subscribe wanted;
};

struct hub_wishes {
    struct hub_wish *list;
    size_t count;
    uint8_t personal[UINT8_MAX]; /* the name of that channel */
};

/*
 * Views of the claims and the connect, to be freed. An error: nothing is to be freed; one of them
 * cannot be, there are too many, or `subs`, where the client had been before, is no such JSON.
 */
NODISCARD enum codes_error hub_wishes_collect(struct hub *hub, const struct session *session,
                                              const struct claims *claims, struct bytes subs,
                                              struct hub_wishes *wishes);
void hub_wishes_free(struct hub_wishes *wishes);

#endif /* CHAT_HUB_WISHES_H */
