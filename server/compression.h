/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_COMPRESSION_H
#define SERVER_COMPRESSION_H
/*
 * The one inflater and the one deflater of a reactor: what is worth compressing, into which
 * packets, and how much of it in one iteration. A connection has only the bit that it negotiated
 * (conn_mark).
 *
 * Owner     a shard, where websocket.compression is on. ON its reactor only.
 * Budget    so many bytes of messages each iteration in each direction, so that nobody waits for
 *           the compressor. Out: what is above it, what is short, and what does not get smaller is
 *           sent as it is. In: who sent what exhausts it is read on when its turn comes.
 * Not here  the format (proto/permessage.h), the handshake (proto/offer.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/frame.h"
#include "proto/permessage.h"

struct compression; /* opaque */
struct config_websocket;
struct metrics;
struct packet;
struct packet_pool;

/* 0 or -ENOMEM. */
NODISCARD int compression_create(const struct config_websocket *config, struct metrics *metrics,
                                 struct compression **compression);
void compression_destroy(struct compression *compression); /* NULL: nothing */

/* From now on messages of fewer bytes are sent as they are. NULL: nothing. */
void compression_set_min_size(struct compression *compression, uint32_t size_min);

/* A new iteration: the budget is there again. NULL: nothing. */
void compression_refill(struct compression *compression);

/* As permessage_inflate() and permessage_inflater_rest(), counted. */
NODISCARD enum permessage_verdict compression_inflate(struct compression *compression,
                                                      struct bytes compressed, size_t size_max,
                                                      struct span *message);
void compression_rest(struct compression *compression);

/* Nothing more should be inflated in this iteration. */
NODISCARD bool compression_is_spent(const struct compression *compression);

/* Whether somebody who waits may go on in this iteration, with a message of at most `size_max`. */
NODISCARD bool compression_admit(struct compression *compression, size_t size_max);

/*
 * A packet of compressed messages, each in a frame of its own, piece by piece: begin; for each of
 * them open, add and close; finish. `size` is what the messages are in all without compression.
 *
 * False: not now, they go as they are; and so when finish says NULL, which is one reference else.
 */
NODISCARD bool compression_begin(struct compression *compression, size_t size);
void compression_open(struct compression *compression);
void compression_add(struct compression *compression, struct bytes piece);
void compression_close(struct compression *compression, enum frame_opcode opcode);
NODISCARD struct packet *compression_finish(struct compression *compression,
                                            struct packet_pool *pool);

#endif /* SERVER_COMPRESSION_H */
