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
 *
 * Who negotiated compression gets the same messages compressed: once for all of a room, as soon as
 * the first such member is met, and where publications follow each other joined in one message.
 */
#include <stdint.h>

#include "core/annot.h"

struct blob_pool;
struct compression;
struct gateway;
struct hub;
struct metrics;
struct outbox;
struct reactor;

/*
 * When the publications that were delivered in this iteration were taken from their publishers: of
 * the first ones, if there are many. Who delivers adds, who flushes looks and empties it.
 */
enum { DELIVERY_TIMES_MAX = 64 };
struct delivery_times {
    uint64_t taken_ns[DELIVERY_TIMES_MAX];
    uint32_t count;
};

struct delivery {
    struct outbox *outbox;
    struct hub *hub;
    struct reactor *reactor;
    struct gateway *gateway;
    struct blob_pool *pool;
    struct metrics *metrics;
    struct compression *compression; /* NULL: off */
    struct delivery_times *times;
    uint32_t messages_per_frame_max;
};

/* Empties the outbox. Queues, and marks connections as closing; sends and frees nothing. */
void delivery_run(const struct delivery *delivery) ON_REACTOR;

#endif /* SERVER_DELIVERY_H */
