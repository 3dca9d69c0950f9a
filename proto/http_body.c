/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http_body.h"

#include "core/check.h"
#include "proto/http.h"

enum { CHUNK_DIGITS_MAX = 8 }; /* hex: a chunk is below 4 GiB */

enum state {
    STATE_DONE = 0,
    STATE_SIZED,        /* `left` bytes, and then it is over */
    STATE_CHUNK_SIZE,   /* in the line before a chunk */
    STATE_CHUNK_FEED,   /* the LF of it */
    STATE_CHUNK,        /* `left` bytes */
    STATE_CHUNK_RETURN, /* the CR behind a chunk */
    STATE_CHUNK_END,    /* and the LF */
    STATE_LAST_RETURN,  /* the CR of the empty line behind the last chunk */
    STATE_LAST_FEED,    /* and the LF */
};

void http_body_begin(struct http_body_reader *reader, const struct http_request *request)
{
    *reader = (struct http_body_reader){.state = STATE_DONE};
    if (request->body == HTTP_BODY_CHUNKED) {
        reader->state = STATE_CHUNK_SIZE;
    } else if (request->body == HTTP_BODY_SIZED && request->content_length > 0) {
        reader->state = STATE_SIZED;
        reader->left = request->content_length;
    }
}

/* The value of a hex digit, or -1. */
static int hex_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    const uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool take_size_byte(struct http_body_reader *reader, uint8_t byte)
{
    const int value = hex_value(byte);

    if (value >= 0) {
        reader->left = reader->left << 4 | (uint64_t)value;
        return ++reader->digits <= CHUNK_DIGITS_MAX;
    }
    reader->state = STATE_CHUNK_FEED;
    return byte == '\r' && reader->digits > 0;
}

static bool take_exactly(struct http_body_reader *reader, uint8_t byte, uint8_t expected,
                         enum state next)
{
    reader->state = (uint8_t)next;
    return byte == expected;
}

/* One byte of what stands around chunks. False: it may not stand there. */
static bool take_frame_byte(struct http_body_reader *reader, uint8_t byte)
{
    switch ((enum state)reader->state) {
    case STATE_CHUNK_SIZE:
        return take_size_byte(reader, byte);
    case STATE_CHUNK_FEED:
        reader->digits = 0;
        return take_exactly(reader, byte, '\n', reader->left > 0 ? STATE_CHUNK : STATE_LAST_RETURN);
    case STATE_CHUNK_RETURN:
        return take_exactly(reader, byte, '\r', STATE_CHUNK_END);
    case STATE_CHUNK_END:
        return take_exactly(reader, byte, '\n', STATE_CHUNK_SIZE);
    case STATE_LAST_RETURN:
        return take_exactly(reader, byte, '\r', STATE_LAST_FEED);
    case STATE_LAST_FEED:
        return take_exactly(reader, byte, '\n', STATE_DONE);
    case STATE_DONE:
    case STATE_SIZED:
    case STATE_CHUNK:
        break;
    }
    NEVER("a state that is not between chunks");
}

static struct bytes take(struct bytes *in, size_t size)
{
    const struct bytes taken = {in->data, size};
    in->data += size;
    in->size -= size;
    return taken;
}

static void take_piece(struct http_body_reader *reader, struct bytes *in, struct bytes *piece)
{
    const size_t size = in->size < reader->left ? in->size : (size_t)reader->left;

    *piece = take(in, size);
    reader->left -= size;
    if (reader->left == 0) {
        reader->state = reader->state == STATE_SIZED ? STATE_DONE : STATE_CHUNK_RETURN;
    }
}

enum http_body_verdict http_body_next(struct http_body_reader *reader, struct bytes *in,
                                      struct bytes *piece)
{
    while (reader->state != STATE_DONE) {
        if (in->size == 0) {
            return HTTP_BODY_NEED_MORE;
        }
        if (reader->state == STATE_SIZED || reader->state == STATE_CHUNK) {
            take_piece(reader, in, piece);
            return HTTP_BODY_PIECE;
        }
        if (!take_frame_byte(reader, take(in, 1).data[0])) {
            return HTTP_BODY_BAD_CHUNK;
        }
    }
    return HTTP_BODY_END;
}

bool http_body_is_over(const struct http_body_reader *reader)
{
    return reader->state == STATE_DONE;
}
