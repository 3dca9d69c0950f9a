/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H
/*
 * HTTP/1.1 request heads, read strictly, and response heads, written (RFC 9110, RFC 9112).
 *
 * Strict: lines end with CR LF, no folding, no space before a colon, no control bytes, origin-form
 * targets only, exactly one Host, and body framing that two parties cannot read in two ways.
 * Resumable: however the head is cut, each byte is looked at a constant number of times, and every
 * cut gives the same verdict.
 *
 * Pure, no allocation. A reader belongs to one connection and thread.
 * Not here: bodies, the WebSocket handshake (upgrade.h), percent-decoding (paths are compared as
 * they are).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    HTTP_HEADER_COUNT_LIMIT = 64,            /* http_limits.header_count_max is not above it */
    HTTP_HEAD_SIZE_LIMIT = 16 * 1024 * 1024, /* nor http_limits.head_size_max above this */
    HTTP_RESPONSE_SIZE_MAX = 512, /* bytes: enough for a response head with 256 of extra lines */
};

struct http_limits {
    uint32_t head_size_max;    /* bytes, the whole head with its empty line */
    uint32_t header_count_max; /* 1 .. HTTP_HEADER_COUNT_LIMIT */
    uint32_t target_size_max;  /* bytes, path and query */
};

enum http_verdict {
    HTTP_OK = 0,
    HTTP_NEED_MORE,      /* not a fault: come again with the same bytes and more behind them */
    HTTP_BAD_REQUEST,    /* 400 */
    HTTP_URI_TOO_LONG,   /* 414 */
    HTTP_HEAD_TOO_BIG,   /* 431: too many bytes or too many headers */
    HTTP_UNKNOWN_METHOD, /* 501 */
    HTTP_BAD_VERSION,    /* 505 */
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_OPTIONS,
};

enum http_body {
    HTTP_BODY_NONE, /* neither Content-Length nor Transfer-Encoding */
    HTTP_BODY_SIZED,
    HTTP_BODY_CHUNKED,
};

struct http_header {
    struct bytes name;  /* as sent; compare with http_name_is() */
    struct bytes value; /* without the white space around it */
};

/* All views are into the head and live as long as it does. About 2 KiB: for the stack. */
struct http_request {
    enum http_method method;
    enum http_body body;
    uint64_t content_length; /* bytes; HTTP_BODY_SIZED */
    size_t head_size;        /* bytes of the input that the head took; what follows is the body */
    struct bytes path;       /* begins with '/' */
    struct bytes query;      /* behind the '?'; empty when there is none */
    struct bytes host;       /* the Host header, name and optional port */
    bool close;              /* the client asks to close, or sent Upgrade: close after answering */
    uint32_t header_count;
    struct http_header headers[HTTP_HEADER_COUNT_LIMIT];
};

/* Where a head stands. All zero is the start of a head; HTTP_OK makes it ready for the next one. */
struct http_reader {
    uint32_t scanned;      /* bytes of the head that hold no unseen line end */
    uint32_t line_start;   /* offset of the line under way */
    uint32_t header_count; /* whole header lines so far */
    uint32_t looked_at;    /* bytes looked at in all, by each pass; for the tests */
};

/*
 * `in` is the head from its first byte: the same bytes at each call, maybe at another address, and
 * more behind them. `request` means something only after HTTP_OK. After a fault the reader is of no
 * more use: answer, close.
 */
NODISCARD enum http_verdict http_read_head(struct http_reader *reader, struct bytes in,
                                           const struct http_limits *limits,
                                           struct http_request *request);

/* The status with which to answer a fault, closing. */
NODISCARD unsigned http_status_for(enum http_verdict fault);

/* Field names and tokens compare without case (ASCII). */
NODISCARD bool http_name_is(struct bytes name, const char *expected);

/* The next header of that name after `after` (NULL: from the first). NULL when there is none. */
NODISCARD const struct http_header *http_next_header(const struct http_request *request,
                                                     const char *name,
                                                     const struct http_header *after);

/*
 * Takes the next element off a comma-separated list, without white space around it. Empty elements
 * come as empty. False when the list is at its end; {NULL, 0} is at its end.
 */
NODISCARD bool http_next_element(struct bytes *list, struct bytes *element);

/* True if it is one or more of the token characters (RFC 9110 section 5.6.2). */
NODISCARD bool http_is_token(struct bytes text);

struct http_response {
    unsigned status;          /* 200 .. 599 */
    const char *content_type; /* NULL: none */
    const char *extra;        /* whole header lines, each with its CR LF; NULL: none */
    uint64_t body_size;       /* bytes, also for HEAD */
    bool chunked;             /* nobody knows its size yet: chunks, as in http_body.h */
    bool close;               /* Connection: close, and the caller closes */
};

/*
 * Writes a response head. Returns its size, or 0 when it does not fit in `target` with one byte
 * left; what is in `target` then is unspecified.
 */
NODISCARD size_t http_write_response(const struct http_response *response, struct span target);

#endif /* PROTO_HTTP_H */
