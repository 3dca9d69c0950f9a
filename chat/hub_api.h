/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_HUB_API_H
#define CHAT_HUB_API_H
/*
 * What a back end asks of the hub: everything is allowed to it, and it has no session.
 *
 * ON the hub's reactor. hub_is_ready() was true before each of these.
 * Asker     a connection, and a part of its request: a number of its own choice. Both come back in
 *           an OUTBOX_ANSWER, exactly once for each question and never before the call has
 *           returned. If the connection has gone meanwhile, nobody takes it.
 * Views     are borrowed until the return.
 */
#include <stdint.h>

#include "core/bytes.h"
#include "core/conn_id.h"
#include "proto/api.h"

struct hub;
struct order;

struct hub_api_asker {
    struct conn_id conn;
    uint32_t part;
};

/* What `publish` says, to that channel: its own, or one of a broadcast. */
void hub_api_publish(struct hub *hub, struct hub_api_asker asker, struct bytes channel,
                     const struct api_publish *publish);

/* To every reactor; {} when it is done on all of them. */
void hub_api_order(struct hub *hub, struct hub_api_asker asker, const struct order *order);

/* API_PRESENCE, API_PRESENCE_STATS, API_HISTORY, API_HISTORY_REMOVE, API_CHANNELS. */
void hub_api_ask(struct hub *hub, struct hub_api_asker asker, const struct api_command *command);

#endif /* CHAT_HUB_API_H */
