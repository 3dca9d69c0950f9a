/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_UPGRADE_CLIENT_H
#define PROTO_UPGRADE_CLIENT_H
/*
 * The opening handshake of WebSocket, client side (RFC 6455 section 4.1).
 *
 * Pure, ANY_THREAD. Not here: extensions but permessage-deflate (RFC 7692), without context
 * takeover in either direction; redirects, which are refusals.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    UPGRADE_CLIENT_NONCE_SIZE = 16,       /* bytes of Sec-WebSocket-Key, before base 64 */
    UPGRADE_CLIENT_HEAD_SIZE_MAX = 16384, /* bytes of an answer's head */
};

struct upgrade_client_request {
    const char *host;     /* value of Host */
    const char *path;     /* path and query */
    const char *protocol; /* the sub-protocol that is offered, and insisted on; NULL: none */
    bool compression;     /* permessage-deflate is offered, and insisted on */
    const char *extra;    /* whole header lines, each with its CR LF; NULL: none */
    uint8_t nonce[UPGRADE_CLIENT_NONCE_SIZE];
};

enum upgrade_client_verdict {
    UPGRADE_CLIENT_OK = 0,
    UPGRADE_CLIENT_NEED_MORE, /* not a fault: come again with the same bytes and more behind them */
    UPGRADE_CLIENT_REFUSED,   /* an answer other than 101; `status` says which */
    UPGRADE_CLIENT_BAD_ANSWER, /* not HTTP, too big, or a 101 to something that we did not ask */
};

/* Writes the request. Returns the bytes written; 0 when they do not fit, or OpenSSL failed. */
NODISCARD size_t upgrade_client_write(const struct upgrade_client_request *request,
                                      struct span target);

/*
 * `in` begins with the answer. OK: the head took `head_size` bytes, and frames follow. REFUSED:
 * `status` is set. Else both are untouched.
 */
NODISCARD enum upgrade_client_verdict upgrade_client_read(
    struct bytes in, const struct upgrade_client_request *request, size_t *head_size,
    unsigned *status);

#endif /* PROTO_UPGRADE_CLIENT_H */
