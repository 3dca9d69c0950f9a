/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H
/*
 * RFC 6455 frame headers: bytes to values and back, and whole control frames.
 *
 * Pure: no I/O, no allocation, no state. ANY_THREAD.
 * Not here: unmasking (mask.h), UTF-8 (utf8.h), fragment order (stream.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    FRAME_HEADER_SIZE_MIN = 2,       /* bytes */
    FRAME_HEADER_SIZE_MAX = 14,      /* bytes: 2 + 8 length + 4 mask key */
    FRAME_CONTROL_PAYLOAD_MAX = 125, /* bytes, section 5.5 */
    FRAME_CONTROL_SIZE_MAX = 127,    /* bytes: what frame_write_control() writes at most */
};

enum frame_opcode {
    FRAME_CONTINUATION = 0x0,
    FRAME_TEXT = 0x1,
    FRAME_BINARY = 0x2,
    FRAME_CLOSE = 0x8,
    FRAME_PING = 0x9,
    FRAME_PONG = 0xa,
};

/* What a peer's bytes turned out to be. Only FRAME_OK fills the output. */
enum frame_verdict {
    FRAME_OK = 0,
    FRAME_NEED_MORE, /* not a fault: call again from the same byte with more bytes */
    FRAME_BAD_RESERVED_BITS,
    FRAME_BAD_OPCODE,
    FRAME_BAD_CONTROL, /* a control frame fragmented, or above 125 bytes */
    FRAME_NOT_MASKED,  /* a client must mask, section 5.1 */
    FRAME_MASKED,      /* a server must not */
    FRAME_BAD_LENGTH,  /* not the shortest encoding, or the top bit set */
    FRAME_TOO_BIG,     /* above frame_limits.payload_size_max */
};

/* Chosen once per connection, at the upgrade. */
struct frame_limits {
    uint64_t payload_size_max; /* bytes, one data frame; control frames have their own, 125 */
    bool rsv1_allowed;         /* permessage-deflate was negotiated */
    bool from_server;          /* the peer is a server: its frames are not masked */
};

struct frame_header {
    uint64_t payload_size; /* bytes, within the limit for its opcode */
    enum frame_opcode opcode;
    uint8_t header_size; /* bytes the header took on the wire: 6, 8 or 14; from a server 2, 4, 10 */
    uint8_t mask_key[4]; /* wire order; zero from a server: unmasking changes nothing then */
    bool fin;
    bool rsv1;
};

static inline bool frame_opcode_is_control(enum frame_opcode opcode)
{
    return opcode >= FRAME_CLOSE;
}

/* Reads one header at the start of `in`, which is only borrowed. */
NODISCARD enum frame_verdict frame_read_header(struct bytes in, struct frame_limits limits,
                                               struct frame_header *header);

/*
 * Writes one server-to-client (unmasked, unfragmented) header.
 * `target` has room for FRAME_HEADER_SIZE_MAX bytes. Returns the bytes written: 2, 4 or 10.
 */
NODISCARD size_t frame_write_header(enum frame_opcode opcode, uint64_t payload_size,
                                    uint8_t *target);

/* Says of a data frame's header that its message is compressed (RFC 7692 section 6). */
void frame_set_compressed(uint8_t *header);

/* The payload of a whole frame whose header frame_write_header() wrote. */
NODISCARD struct bytes frame_payload(struct bytes frame);

/*
 * The same for a client: the key stands in the header, and the caller masks the payload with it.
 * Returns the bytes written: 6, 8 or 14.
 */
NODISCARD size_t frame_write_client_header(enum frame_opcode opcode, uint64_t payload_size,
                                           const uint8_t mask_key[4], uint8_t *target);

/*
 * Writes one whole server-to-client control frame with a payload of at most 125 bytes, which may
 * already be in its place at target + 2. `target` has room for FRAME_CONTROL_SIZE_MAX bytes.
 * Returns the bytes written. For FRAME_CLOSE there is close_write(), which knows its payload.
 */
NODISCARD size_t frame_write_control(enum frame_opcode opcode, struct bytes payload,
                                     uint8_t *target);

#endif /* PROTO_FRAME_H */
