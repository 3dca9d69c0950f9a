/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_UPGRADE_H
#define PROTO_UPGRADE_H
/*
 * The opening handshake of WebSocket, server side (RFC 6455 section 4.2), and who may do it from
 * a web page (Origin, RFC 6454).
 *
 * Pure, ANY_THREAD. The only file of proto/ that uses OpenSSL (SHA-1).
 * Not here: extensions (offer.h); paths and limits per path (the gateway).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/http.h"

enum {
    UPGRADE_PROTOCOL_COUNT_MAX = 8,   /* offers of sub-protocols; more are refused */
    UPGRADE_PROTOCOL_SIZE_MAX = 64,   /* bytes, of a protocol that we choose */
    UPGRADE_ACCEPT_SIZE = 28,         /* bytes of Sec-WebSocket-Accept */
    UPGRADE_EXTENSION_SIZE_MAX = 127, /* bytes, of what we answer to an offer */
    UPGRADE_RESPONSE_SIZE_MAX = 384,  /* bytes */
};

enum upgrade_verdict {
    UPGRADE_OK = 0,
    UPGRADE_NONE,        /* not a fault: an ordinary request, which asks for no WebSocket */
    UPGRADE_BAD_REQUEST, /* 400 */
    UPGRADE_HAS_BODY,    /* 400: Content-Length or Transfer-Encoding, whatever their value */
    UPGRADE_BAD_METHOD,  /* 405 */
    UPGRADE_BAD_VERSION, /* 426, which names the version that we speak */
};

/* What the client wants. Views into the request's head. */
struct upgrade {
    struct bytes key;
    struct bytes origin; /* data is NULL when it sent none */
    struct bytes host;
    struct bytes protocols[UPGRADE_PROTOCOL_COUNT_MAX]; /* in the client's order */
    size_t protocol_count;
};

/* Only UPGRADE_OK fills `upgrade`. Every answer but a 101 must close: request->close says so. */
NODISCARD enum upgrade_verdict upgrade_judge(const struct http_request *request,
                                             struct upgrade *upgrade);

/* The index in `supported` of the first offer that is there (exact, case counts), or -1. */
NODISCARD int upgrade_choose_protocol(const struct upgrade *upgrade, const char *const *supported,
                                      size_t supported_count);

/*
 * Writes the whole 101 response. `protocol` is the chosen one and `extension` the answer to an
 * offer, or NULL each. `target` has room for UPGRADE_RESPONSE_SIZE_MAX bytes. Returns the bytes
 * written, or 0 if OpenSSL had no memory.
 */
NODISCARD size_t upgrade_write_response(const struct upgrade *upgrade, const char *protocol,
                                        const char *extension, uint8_t *target);

/*
 * Writes the whole response to a fault, without a body and with Connection: close. `target` has
 * room for UPGRADE_RESPONSE_SIZE_MAX bytes. Returns the bytes written.
 */
NODISCARD size_t upgrade_write_refusal(enum upgrade_verdict fault, uint8_t *target);

/* The answer to a key, not terminated. False if OpenSSL had no memory. */
NODISCARD bool upgrade_accept_key(struct bytes key, char accept[UPGRADE_ACCEPT_SIZE]);

/*
 * May a page of this origin connect?
 *
 * No Origin at all: yes, it is not a browser. Otherwise it must be scheme "://" host [":" port] and
 * nothing more (`null` is not), and equal one of `allowed` in all three: scheme and host without
 * case, the port with the scheme's default (80, 443) where it is left out. No suffix or pattern.
 * With an empty list, it must be http or https and equal the request's own Host and port.
 */
NODISCARD bool upgrade_origin_is_allowed(const struct upgrade *upgrade, const struct bytes *allowed,
                                         size_t allowed_count);

/* Is it an origin as above? For checking a configured list. */
NODISCARD bool upgrade_origin_is_valid(struct bytes origin);

#endif /* PROTO_UPGRADE_H */
