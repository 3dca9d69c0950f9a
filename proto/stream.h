/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_STREAM_H
#define PROTO_STREAM_H
/*
 * RFC 6455 frames of one peer -> whole messages and control frames, in order (section 5).
 *
 * A message that came in one frame and is whole in the input is unmasked and validated where it
 * is: no copy. Any other message is put together in the assembly buffer, which is the caller's:
 * the stream asks for room as bytes arrive, never because a length was declared. Text fails at its
 * first impossible byte, also in the middle of a frame (section 8.1).
 *
 * Owner     whoever embeds it; no memory of its own, so nothing to free but the assembly.
 * Threads   pure, one stream by one thread at a time.
 * Faults    a verdict. After a fault or STREAM_CLOSE the stream is over: it swallows all further
 *           input and says STREAM_NEED_MORE.
 * Deflate   where it was negotiated a message may be compressed (RFC 7692 section 6): it is given
 *           as it came, put together, unmasked and not validated, and event.is_compressed says so.
 * Not here  what a fault costs (close.h), pongs and close replies (the caller), inflating.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/frame.h"
#include "proto/mask.h"
#include "proto/simd.h"
#include "proto/utf8.h"

enum {
    STREAM_MESSAGE_SIZE_LIMIT = 1 << 30, /* bytes; message_size_max may not be above it */

    /* What stream_next() leaves unconsumed is at most a control frame but for its last byte. */
    STREAM_LEFT_SIZE_MAX = 6 + FRAME_CONTROL_PAYLOAD_MAX - 1,
};

/* Shared by all streams of a kind; must outlive them. Nothing here means "unlimited". */
struct stream_limits {
    uint32_t message_size_max;   /* bytes of payload, 1 .. STREAM_MESSAGE_SIZE_LIMIT */
    uint32_t fragment_count_max; /* frames of one message, empty ones too; at least 1 */
    bool from_server;            /* we are the client: frames are not masked */
    bool compression;            /* permessage-deflate was negotiated */
};

/* What was found. STREAM_PROTOCOL_ERROR and what follows it are faults of the peer. */
enum stream_verdict {
    STREAM_NEED_MORE = 0, /* come back with what is left of `in`, and more behind it */
    STREAM_NEED_ROOM,     /* give at least event.room_needed bytes, then call again, same `in` */
    STREAM_MESSAGE,
    STREAM_PING, /* the pong must carry event.payload */
    STREAM_PONG,
    STREAM_CLOSE,              /* event.close_code and event.payload, which is the reason */
    STREAM_PROTOCOL_ERROR,     /* 1002 */
    STREAM_INVALID_UTF8,       /* 1007 */
    STREAM_TOO_BIG,            /* 1009 */
    STREAM_TOO_MANY_FRAGMENTS, /* 1008 */
};

/* Private but for its size: the caller embeds it. All zero is not a stream, see stream_init(). */
struct stream {
    const struct stream_limits *limits;
    uint8_t *assembly;      /* the caller's memory, lent by stream_give_room() */
    uint32_t assembly_room; /* bytes */
    uint32_t assembled;     /* bytes of the message so far */
    uint32_t frame_left;    /* payload bytes of the current frame that have not arrived */
    uint32_t fragment_count;
    struct mask mask;       /* of the current frame, at the next byte */
    struct utf8_state text; /* of the current message, if it is text */
    uint8_t opcode;         /* of the message under way: FRAME_TEXT, FRAME_BINARY, or 0 for none */
    bool in_frame;          /* a data frame's header was consumed, its payload not all */
    bool fin;               /* that frame is the message's last */
    bool is_compressed;     /* the message under way */
    bool is_over;
};

_Static_assert(sizeof(struct stream) <= 64, "one per connection, idle ones too");

/* Only the fields that belong to the verdict are set. */
struct stream_event {
    enum frame_opcode opcode; /* MESSAGE: FRAME_TEXT or FRAME_BINARY */
    struct span payload;      /* MESSAGE, PING, PONG, CLOSE: unmasked; good until the next call */
    bool is_assembled;        /* MESSAGE: payload lies in the assembly, not in the input */
    bool is_compressed;       /* MESSAGE: payload is to be inflated, and text validated then */
    uint16_t close_code;      /* CLOSE: as sent, or CLOSE_NO_STATUS when the frame was empty */
    size_t room_needed;       /* NEED_ROOM: bytes of room in all, for what has arrived by now */
    size_t room_declared;     /* NEED_ROOM: what it will be when the frame under way is whole */
    const char *fault;        /* a fault: a short constant text for the log and the close reason */
};

/* `limits` is kept. */
void stream_init(struct stream *stream, const struct stream_limits *limits);

/*
 * Takes from the front of `in` until there is something to say. Call it again until it says
 * STREAM_NEED_MORE; what is then left of `in` (at most STREAM_LEFT_SIZE_MAX bytes: the begin of a
 * header or of a control frame) must come again, unchanged, in front of what arrives next.
 */
NODISCARD enum stream_verdict stream_next(struct stream *stream, const struct simd_ops *simd,
                                          struct span *in, struct stream_event *event);

/*
 * Lends `room` bytes at `data` as the new assembly, after STREAM_NEED_ROOM. The stream copies
 * nothing: the first `assembled` bytes must be those of stream_assembly(), as realloc() leaves
 * them. room_needed is a minimum and grows with every read, so give twice what there was where
 * that is more, and each byte is copied a constant number of times. Up to room_declared it may be
 * many times what has arrived, but not more: the peer only says that the rest will come.
 */
void stream_give_room(struct stream *stream, uint8_t *data, size_t room);

/* The present assembly and its room; {NULL, 0} when none is lent. */
struct span stream_assembly(const struct stream *stream);

/*
 * Hands the assembly back to the caller, to free or to keep for others: after a STREAM_MESSAGE
 * that was assembled (its payload lies in it), or at the end of the connection. In the middle of a
 * message it ends the stream.
 */
NODISCARD struct span stream_take_assembly(struct stream *stream);

/*
 * True between the first header and the last byte of a message. For the message timeout: a
 * message, or a control frame, is also under way when stream_next() left something in `in`.
 */
bool stream_is_mid_message(const struct stream *stream);

#endif /* PROTO_STREAM_H */
