/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_WIRE_H
#define TESTS_SIM_SIM_WIRE_H
/*
 * The bytes of a WebSocket client, written without help from the code under test: the upgrade,
 * masked frames out, unmasked frames in; messages compressed by zlib, in one shot.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "tests/sim/sim_random.h"

enum sim_wire_opcode {
    SIM_WIRE_CONTINUATION = 0,
    SIM_WIRE_TEXT = 1,
    SIM_WIRE_BINARY = 2,
    SIM_WIRE_CLOSE = 8,
    SIM_WIRE_PING = 9,
    SIM_WIRE_PONG = 10,
    SIM_WIRE_COMPRESSED = 0x40,
};

/* Bytes that grow at their end and shrink at their begin. */
struct sim_wire_buffer {
    uint8_t *data;
    size_t begin;
    size_t end;
    size_t capacity;
};

void sim_wire_free(struct sim_wire_buffer *buffer);
void sim_wire_put(struct sim_wire_buffer *buffer, const void *data, size_t size);
void sim_wire_skip(struct sim_wire_buffer *buffer, size_t size);

static inline size_t sim_wire_size(const struct sim_wire_buffer *buffer)
{
    return buffer->end - buffer->begin;
}

void sim_wire_put_upgrade(struct sim_wire_buffer *out, bool compression);

/* One frame with a random mask. The opcode may have SIM_WIRE_COMPRESSED with it. */
void sim_wire_put_frame(struct sim_wire_buffer *out, struct sim_random *random, unsigned opcode,
                        bool fin, struct bytes payload);

/*
 * A text message, maybe in several frames, with pings between them and behind. `pings` counts
 * them; the payload of one is its number. With `compression` it may come compressed. Returns how
 * many data frames.
 */
size_t sim_wire_put_message(struct sim_wire_buffer *out, struct sim_random *random,
                            struct bytes text, bool compression, uint32_t *pings);

enum sim_wire_verdict {
    SIM_WIRE_OK = 0,
    SIM_WIRE_NEED_MORE,
    SIM_WIRE_REFUSED, /* a response other than 101 */
    SIM_WIRE_FAULT,   /* the server broke the protocol */
};

/* The response to the upgrade; skips it when it is whole and good. */
NODISCARD enum sim_wire_verdict sim_wire_take_upgrade(struct sim_wire_buffer *in, bool compression);

struct sim_wire_frame {
    unsigned opcode;
    bool is_compressed;
    struct span payload; /* in the buffer, until it changes */
    size_t size;         /* of the whole frame: to be skipped after use */
};

NODISCARD enum sim_wire_verdict sim_wire_look(struct sim_wire_buffer *in,
                                              struct sim_wire_frame *frame);

/* The message that came compressed, appended to `out`. False: it is no such message. */
NODISCARD bool sim_wire_inflate(struct bytes compressed, struct sim_wire_buffer *out);

#endif /* TESTS_SIM_SIM_WIRE_H */
