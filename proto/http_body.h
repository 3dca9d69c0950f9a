/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_HTTP_BODY_H
#define PROTO_HTTP_BODY_H
/*
 * The body behind a request head (RFC 9112 sections 6 and 7): as many bytes as were declared, or
 * chunks.
 *
 * Strict: a chunk has a size of 1 to 8 hex digits and nothing else in its line, lines end with
 * CR LF, there are no trailers. Resumable at each byte.
 *
 * Pure, no allocation. A reader belongs to one connection and thread.
 * Not here: how much may come (the caller adds up the pieces), the head (http.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

struct http_request;

enum http_body_verdict {
    HTTP_BODY_PIECE = 0, /* some of the body; call again */
    HTTP_BODY_NEED_MORE, /* the input is used up, the body is not over */
    HTTP_BODY_END,       /* it is; what is left of the input is the next request's */
    HTTP_BODY_BAD_CHUNK, /* 400; final: nobody knows where the next request begins */
};

/* Where a body stands. Only http_body.c looks inside. */
struct http_body_reader {
    uint64_t left;  /* bytes of the body, or of the chunk */
    uint8_t state;  /* enum state of http_body.c */
    uint8_t digits; /* of the chunk's size so far */
};

/* For the body of a request that http_read_head() has read; one without a body has ended. */
void http_body_begin(struct http_body_reader *reader, const struct http_request *request);

/* Takes bytes off the front of `in`. The piece is a view into it. */
NODISCARD enum http_body_verdict http_body_next(struct http_body_reader *reader, struct bytes *in,
                                                struct bytes *piece);

/* All of it has been taken: of a body that was declared, that is known without a further call. */
NODISCARD bool http_body_is_over(const struct http_body_reader *reader);

#endif /* PROTO_HTTP_BODY_H */
