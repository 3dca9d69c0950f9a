/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RELOAD_DESK_H
#define SERVER_RELOAD_DESK_H
/*
 * Where back ends of one reactor ask for a reload (POST /api/reload) and get its answer: the
 * reactor's side of reload.h.
 *
 * Owner     a shard. ON its reactor.
 * Full      one at a time: who asks meanwhile gets error 111, so the control, too, has one of each
 *           reactor at most.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/conn_id.h"
#include "proto/codes.h"

struct blob_pool;
struct bus;
struct outbox;
struct post_reload;

struct reload_desk {
    struct bus *bus;
    uint16_t port;
    uint16_t control; /* its port */
    bool is_asked;    /* by this part of what this connection wants */
    struct conn_id conn;
    uint32_t part;
};

/* CODES_ERROR_NONE: the answer comes to the outbox, as an OUTBOX_ANSWER. */
NODISCARD enum codes_error reload_desk_ask(struct reload_desk *desk, struct conn_id conn,
                                           uint32_t part);

/* Takes the share of the blob. `pool` is the thread's. */
void reload_desk_take(struct reload_desk *desk, const struct post_reload *answer,
                      struct outbox *outbox, struct blob_pool *pool);

#endif /* SERVER_RELOAD_DESK_H */
