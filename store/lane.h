/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_LANE_H
#define STORE_LANE_H
/*
 * One socket between parleyd and its child: frames that wait to be sent, bytes that have come.
 *
 * Owner     of its memory; the descriptor is borrowed, from lane_begin() until the child is lost.
 * Threads   one. Nothing blocks.
 * Full      lane_room() says NULL, and nothing was queued.
 * Views     of lane_next() live until lane_make_room().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "store/wire.h"

struct lane {
    int fd;
    bool has_ended;  /* nothing more will come */
    bool waits;      /* lane_flush() found no room in the socket */
    uint64_t queued; /* bytes, ever */
    uint8_t *queue;  /* twice queue_max; [queue_begin, queue_end) is not sent */
    size_t queue_max;
    size_t queue_begin;
    size_t queue_end;
    uint8_t *input; /* [input_begin, input_end) was not looked at */
    size_t input_begin;
    size_t input_end;
};

/* queue_max bytes may wait; at least one frame. False: no memory, and lane_free() may follow. */
NODISCARD bool lane_allocate(struct lane *lane, size_t queue_max);
void lane_free(struct lane *lane);

/* To a new child. What the one before did not get or say is forgotten. */
void lane_begin(struct lane *lane, int fd);

/* Where the body of the next frame goes; NULL: full. */
NODISCARD uint8_t *lane_room(struct lane *lane, size_t body_size);
/* The frame whose body was written there. */
void lane_queue(struct lane *lane, const struct wire_header *header);

NODISCARD size_t lane_queue_bytes(const struct lane *lane);
/* Bytes that have left, ever; less those that a child that died had not got. */
NODISCARD uint64_t lane_sent(const struct lane *lane);

/* Sends what the socket takes. */
void lane_flush(struct lane *lane);

/* One receive. True when something came. */
NODISCARD bool lane_receive(struct lane *lane);
/* The next frame of what has come; WIRE_NEED_MORE: there is none. */
NODISCARD enum wire_verdict lane_next(struct lane *lane, struct wire_header *header,
                                      struct bytes *body);
void lane_make_room(struct lane *lane);

#endif /* STORE_LANE_H */
