/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_CODES_H
#define PROTO_CODES_H
/*
 * The codes of the Centrifuge client protocol, their texts, and what a client does about them.
 *
 * Pure. ANY_THREAD. Facts: PROTOCOL.md section 4. Texts are for people and never contain anything
 * that JSON would have to escape. Not here: the 1xxx codes of RFC 6455 (close.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

/* In the reply to a command. */
enum codes_error {
    CODES_ERROR_NONE = 0, /* not on the wire */
    CODES_ERROR_INTERNAL = 100,
    CODES_ERROR_UNAUTHORIZED = 101,
    CODES_ERROR_UNKNOWN_CHANNEL = 102,
    CODES_ERROR_PERMISSION_DENIED = 103,
    CODES_ERROR_METHOD_NOT_FOUND = 104,
    CODES_ERROR_ALREADY_SUBSCRIBED = 105,
    CODES_ERROR_LIMIT_EXCEEDED = 106,
    CODES_ERROR_BAD_REQUEST = 107,
    CODES_ERROR_NOT_AVAILABLE = 108,
    CODES_ERROR_TOKEN_EXPIRED = 109,
    CODES_ERROR_EXPIRED = 110,
    CODES_ERROR_TOO_MANY_REQUESTS = 111,
    CODES_ERROR_UNRECOVERABLE_POSITION = 112,
    CODES_ERROR_CONCURRENT_PAGINATION = 113,
};

/* In the push that ends a subscription. From 2500 on the SDK subscribes again by itself. */
enum codes_unsubscribe {
    CODES_UNSUBSCRIBE_SERVER = 2000,
    CODES_UNSUBSCRIBE_INSUFFICIENT_STATE = 2500,
    CODES_UNSUBSCRIBE_EXPIRED = 2501,
    CODES_UNSUBSCRIBE_STATE_INVALIDATED = 2502,
};

/* In the close frame. From 3500 on it is terminal: the SDK does not come back by itself. */
enum codes_disconnect {
    CODES_DISCONNECT_CLOSED = 3000,
    CODES_DISCONNECT_SHUTDOWN = 3001,
    CODES_DISCONNECT_SERVER_ERROR = 3004,
    CODES_DISCONNECT_EXPIRED = 3005,
    CODES_DISCONNECT_SUBSCRIPTION_EXPIRED = 3006,
    CODES_DISCONNECT_SLOW = 3008,
    CODES_DISCONNECT_WRITE_ERROR = 3009,
    CODES_DISCONNECT_INSUFFICIENT_STATE = 3010,
    CODES_DISCONNECT_FORCE_RECONNECT = 3011,
    CODES_DISCONNECT_NO_PONG = 3012,
    CODES_DISCONNECT_TOO_MANY_REQUESTS = 3013,
    CODES_DISCONNECT_STATE_INVALIDATED = 3014,

    CODES_DISCONNECT_INVALID_TOKEN = 3500,
    CODES_DISCONNECT_BAD_REQUEST = 3501,
    CODES_DISCONNECT_STALE = 3502,
    CODES_DISCONNECT_FORCE = 3503,
    CODES_DISCONNECT_CONNECTION_LIMIT = 3504,
    CODES_DISCONNECT_CHANNEL_LIMIT = 3505,
    CODES_DISCONNECT_INAPPROPRIATE_PROTOCOL = 3506,
    CODES_DISCONNECT_PERMISSION_DENIED = 3507,
    CODES_DISCONNECT_NOT_AVAILABLE = 3508,
    CODES_DISCONNECT_TOO_MANY_ERRORS = 3509,
};

/* Static texts. Those of disconnects fit into a close frame (at most 123 bytes). */
NODISCARD const char *codes_error_text(enum codes_error code);
NODISCARD const char *codes_unsubscribe_text(enum codes_unsubscribe code);
NODISCARD const char *codes_disconnect_text(enum codes_disconnect code);

/* May the same command succeed a little later? Goes into the reply; the SDK retries for it. */
NODISCARD bool codes_error_is_temporary(enum codes_error code);

/* Does a client come back after a close frame with this code, ours or an application's? */
NODISCARD bool codes_disconnect_reconnects(uint32_t code);

#endif /* PROTO_CODES_H */
