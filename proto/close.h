/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_CLOSE_H
#define PROTO_CLOSE_H
/*
 * Close codes and close frames (RFC 6455 sections 5.5.1 and 7.4), and what each fault costs.
 *
 * Pure, ANY_THREAD.
 * Not here: the 3xxx codes of the Centrifuge protocol (codes.h); the close handshake (gateway).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/frame.h"
#include "proto/stream.h"

enum {
    CLOSE_FRAME_SIZE_MAX = FRAME_CONTROL_SIZE_MAX,
    CLOSE_REASON_SIZE_MAX = FRAME_CONTROL_PAYLOAD_MAX - 2, /* bytes */
};

enum close_code {
    CLOSE_NORMAL = 1000,
    CLOSE_GOING_AWAY = 1001,
    CLOSE_PROTOCOL_ERROR = 1002,
    CLOSE_UNSUPPORTED_DATA = 1003,
    CLOSE_NO_STATUS = 1005, /* never on the wire: stands for a close frame without a code */
    CLOSE_ABNORMAL = 1006,  /* never on the wire: the connection ended without a close frame */
    CLOSE_INVALID_PAYLOAD = 1007,
    CLOSE_POLICY_VIOLATION = 1008,
    CLOSE_MESSAGE_TOO_BIG = 1009,
    CLOSE_INTERNAL_ERROR = 1011,
    CLOSE_SERVICE_RESTART = 1012,
    CLOSE_TRY_AGAIN_LATER = 1013,
};

/* May a peer send this code? 1000-1003, 1007-1014 (RFC and IANA registry), 3000-4999. */
NODISCARD bool close_code_may_be_received(uint32_t code);

/* The code for a fault. CHECKs that the verdict is one. */
NODISCARD enum close_code close_code_for(enum stream_verdict fault);

/*
 * Writes a whole close frame. `code` may be any that may be received, or CLOSE_NO_STATUS for a
 * frame without code and reason. `reason` is UTF-8; what is over 123 bytes is cut off between two
 * characters. `target` has room for CLOSE_FRAME_SIZE_MAX bytes. Returns the bytes written.
 */
NODISCARD size_t close_write(uint32_t code, struct bytes reason, uint8_t *target);

#endif /* PROTO_CLOSE_H */
