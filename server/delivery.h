/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_DELIVERY_H
#define SERVER_DELIVERY_H
/*
 * Phase 4: the hub's outbox onto the queues of connections. ON the reactor that owns them.
 *
 * Messages for one connection share a frame as far as they follow each other. Publications of one
 * room become one packet, and each member's queue gets one reference to it. The packets of a room
 * are a flow: where somebody does not read, the hub says what becomes of what is queued of it, and
 * nothing else is touched.
 */
#include <stdint.h>

#include "core/annot.h"

struct blob_pool;
struct gateway;
struct hub;
struct metrics;
struct outbox;
struct reactor;

struct delivery {
    struct outbox *outbox;
    struct hub *hub;
    struct reactor *reactor;
    struct gateway *gateway;
    struct blob_pool *pool;
    struct metrics *metrics;
    uint32_t messages_per_frame_max;
};

/* Empties the outbox. Queues, and marks connections as closing; sends and frees nothing. */
void delivery_run(const struct delivery *delivery) ON_REACTOR;

#endif /* SERVER_DELIVERY_H */
