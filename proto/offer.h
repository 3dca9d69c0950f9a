/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_OFFER_H
#define PROTO_OFFER_H
/*
 * What a client offers in Sec-WebSocket-Extensions (RFC 6455 section 9.1), and which offer of
 * permessage-deflate (RFC 7692 section 7.1) is taken.
 *
 * Without context takeover in either direction, always: one inflater and one deflater then serve
 * all connections of a reactor, and what is compressed once is right for everybody. So their window
 * is the same for everybody too: an offer that asks the server for a smaller one is declined, and
 * the next one is looked at. Ours for inflating is the largest, so a client may use any.
 *
 * Pure, ANY_THREAD. One pass over the header, nothing is looked at twice.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "proto/http.h"

enum {
    OFFER_COUNT_MAX = 8,        /* extensions in all headers together */
    OFFER_PARAM_COUNT_MAX = 8,  /* parameters of one of them */
    OFFER_WINDOW_BITS_MIN = 9,  /* of ours: zlib has no raw window of 8 bits, and says nothing */
    OFFER_WINDOW_BITS_MAX = 15, /* RFC 7692 section 7.1.2 */
    OFFER_ANSWER_SIZE_MAX = 128 /* bytes, with the NUL */
};

enum offer_verdict {
    OFFER_ACCEPTED = 0,
    OFFER_NONE,      /* not a fault: permessage-deflate is not offered */
    OFFER_DECLINED,  /* it is, but no offer fits: unknown, doubled or bad parameters, a window */
    OFFER_MALFORMED, /* against the grammar, or more than we look at: nothing of it is believed */
};

/*
 * `window_bits` is the server's window. Only OFFER_ACCEPTED fills `answer`, the value of the
 * header in the response. Whatever the verdict, the client may be served: without the extension.
 */
NODISCARD enum offer_verdict offer_judge(const struct http_request *request, unsigned window_bits,
                                         char answer[OFFER_ANSWER_SIZE_MAX]);

#endif /* PROTO_OFFER_H */
