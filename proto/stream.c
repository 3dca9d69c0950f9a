/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/stream.h"

#include <string.h>

#include "core/check.h"
#include "proto/close.h"

void stream_init(struct stream *stream, const struct stream_limits *limits)
{
    CHECK(stream != NULL);
    CHECK(limits != NULL);
    CHECK(limits->message_size_max > 0);
    CHECK(limits->message_size_max <= STREAM_MESSAGE_SIZE_LIMIT);
    CHECK(limits->fragment_count_max > 0);

    *stream = (struct stream){.limits = limits};
}

static void consume(struct span *in, size_t size)
{
    if (size > 0) {
        in->data += size;
        in->size -= size;
    }
}

static enum stream_verdict fail(struct stream *stream, struct stream_event *event,
                                enum stream_verdict verdict, const char *why)
{
    stream->is_over = true;
    event->fault = why;
    return verdict;
}

static enum stream_verdict fail_frame(struct stream *stream, struct stream_event *event,
                                      enum frame_verdict verdict)
{
    switch (verdict) {
    case FRAME_BAD_RESERVED_BITS:
        return fail(stream, event, STREAM_PROTOCOL_ERROR, "reserved bits set");
    case FRAME_BAD_OPCODE:
        return fail(stream, event, STREAM_PROTOCOL_ERROR, "reserved opcode");
    case FRAME_BAD_CONTROL:
        return fail(stream, event, STREAM_PROTOCOL_ERROR, "control frame fragmented or too long");
    case FRAME_NOT_MASKED:
        return fail(stream, event, STREAM_PROTOCOL_ERROR, "frame not masked");
    case FRAME_MASKED:
        return fail(stream, event, STREAM_PROTOCOL_ERROR, "frame masked");
    case FRAME_BAD_LENGTH:
        return fail(stream, event, STREAM_PROTOCOL_ERROR, "bad frame length");
    case FRAME_TOO_BIG:
        return fail(stream, event, STREAM_TOO_BIG, "message too big");
    case FRAME_OK:
    case FRAME_NEED_MORE:
        break;
    }
    NEVER("a frame verdict that is not a fault");
}

/* Section 5.4, which needs no more than the first byte. NULL when the frame may come now. */
static const char *judge_order(const struct stream *stream, uint8_t first_byte)
{
    const uint8_t opcode = first_byte & 0x0f;

    if (opcode == FRAME_CONTINUATION && stream->opcode == 0) {
        return "continuation of nothing";
    }
    if ((opcode == FRAME_TEXT || opcode == FRAME_BINARY) && stream->opcode != 0) {
        return "new message inside a fragmented one";
    }
    return NULL;
}

static enum stream_verdict judge_close(struct stream *stream, const struct simd_ops *simd,
                                       struct stream_event *event)
{
    const struct span payload = event->payload;
    struct utf8_state text = {0};

    event->close_code = CLOSE_NO_STATUS;
    if (payload.size == 0) {
        stream->is_over = true;
        return STREAM_CLOSE;
    }
    if (payload.size == 1) {
        return fail(stream, event, STREAM_PROTOCOL_ERROR, "close code of one byte");
    }
    event->close_code = (uint16_t)(payload.data[0] << 8 | payload.data[1]);
    if (!close_code_may_be_received(event->close_code)) {
        return fail(stream, event, STREAM_PROTOCOL_ERROR, "bad close code");
    }
    event->payload = (struct span){payload.data + 2, payload.size - 2};
    const struct bytes reason = {event->payload.data, event->payload.size};
    if (utf8_check(simd, &text, reason) != UTF8_VALID || !utf8_is_complete(text)) {
        return fail(stream, event, STREAM_INVALID_UTF8, "close reason is not UTF-8");
    }
    stream->is_over = true;
    return STREAM_CLOSE;
}

/* A whole control frame: `in` begins with its payload. */
static enum stream_verdict take_control(struct stream *stream, const struct simd_ops *simd,
                                        const struct frame_header *header, struct span *in,
                                        struct stream_event *event)
{
    struct mask mask = mask_start(header->mask_key);

    event->opcode = header->opcode;
    event->payload = (struct span){in->data, (size_t)header->payload_size};
    mask_apply(simd, &mask, event->payload);
    consume(in, event->payload.size);
    if (header->opcode == FRAME_CLOSE) {
        return judge_close(stream, simd, event);
    }
    return header->opcode == FRAME_PING ? STREAM_PING : STREAM_PONG;
}

/* A whole message in one frame: `in` begins with its payload. Nearly every message comes here. */
static enum stream_verdict take_message(struct stream *stream, const struct simd_ops *simd,
                                        const struct frame_header *header, struct span *in,
                                        struct stream_event *event)
{
    struct mask mask = mask_start(header->mask_key);

    event->opcode = header->opcode;
    event->payload = (struct span){in->data, (size_t)header->payload_size};
    event->is_assembled = false;
    event->is_compressed = header->rsv1;
    consume(in, event->payload.size);
    if (header->opcode == FRAME_BINARY || header->rsv1) {
        mask_apply(simd, &mask, event->payload);
        return STREAM_MESSAGE;
    }
    struct utf8_state text = {0};
    if (mask_apply_utf8(simd, &mask, &text, event->payload) != UTF8_VALID ||
        !utf8_is_complete(text)) {
        return fail(stream, event, STREAM_INVALID_UTF8, "text is not UTF-8");
    }
    return STREAM_MESSAGE;
}

static void begin_frame(struct stream *stream, const struct frame_header *header)
{
    DCHECK(!stream->in_frame);
    if (stream->opcode == 0) {
        DCHECK(stream->assembled == 0 && stream->fragment_count == 0);
        stream->opcode = (uint8_t)header->opcode;
        stream->is_compressed = header->rsv1;
        stream->text = (struct utf8_state){0};
    }
    stream->fragment_count++;
    stream->mask = mask_start(header->mask_key);
    stream->frame_left = (uint32_t)header->payload_size;
    stream->fin = header->fin;
    stream->in_frame = true;
}

/*
 * Reads a header. STREAM_NEED_MORE with in_frame set: a data frame began and take_payload() goes
 * on. Whatever the first two bytes tell is judged as soon as they are there.
 */
static enum stream_verdict take_header(struct stream *stream, const struct simd_ops *simd,
                                       struct span *in, struct stream_event *event)
{
    if (in->size >= FRAME_HEADER_SIZE_MIN) {
        const char *const why = judge_order(stream, in->data[0]);
        if (why != NULL) {
            return fail(stream, event, STREAM_PROTOCOL_ERROR, why);
        }
    }

    /* What a message may still grow by: compared before anything is added or buffered. */
    CHECK(stream->assembled <= stream->limits->message_size_max);
    const struct frame_limits limits = {
        .payload_size_max = stream->limits->message_size_max - stream->assembled,
        /* A first frame says that its message is compressed, and no other one (RFC 7692, 6.1). */
        .rsv1_allowed = stream->limits->compression && stream->opcode == 0,
        .from_server = stream->limits->from_server,
    };
    struct frame_header header;
    const enum frame_verdict verdict =
        frame_read_header((struct bytes){in->data, in->size}, limits, &header);
    if (verdict == FRAME_NEED_MORE) {
        return STREAM_NEED_MORE;
    }
    if (verdict != FRAME_OK) {
        return fail_frame(stream, event, verdict);
    }

    const bool is_control = frame_opcode_is_control(header.opcode);
    const bool is_whole = header.payload_size <= in->size - header.header_size;
    if (is_control) {
        if (!is_whole) {
            return STREAM_NEED_MORE;
        }
        consume(in, header.header_size);
        return take_control(stream, simd, &header, in, event);
    }
    if (stream->fragment_count >= stream->limits->fragment_count_max) {
        return fail(stream, event, STREAM_TOO_MANY_FRAGMENTS, "too many fragments");
    }
    consume(in, header.header_size);
    if (is_whole && header.fin && stream->opcode == 0) {
        return take_message(stream, simd, &header, in, event);
    }
    begin_frame(stream, &header);
    return STREAM_NEED_MORE;
}

/* The message is whole. Where only empty frames came there is no assembly: any address will do. */
static enum stream_verdict end_message(struct stream *stream, const struct span *in,
                                       struct stream_event *event)
{
    if (!utf8_is_complete(stream->text)) {
        return fail(stream, event, STREAM_INVALID_UTF8, "text ends inside a character");
    }
    event->opcode = (enum frame_opcode)stream->opcode;
    event->payload = (struct span){stream->assembly, stream->assembled};
    if (stream->assembly == NULL) {
        event->payload.data = in->data;
    }
    event->is_assembled = stream->assembly != NULL;
    event->is_compressed = stream->is_compressed;
    stream->opcode = 0;
    stream->assembled = 0;
    stream->fragment_count = 0;
    return STREAM_MESSAGE;
}

/* What is there of the current frame. STREAM_NEED_MORE without in_frame: the next header. */
static enum stream_verdict take_payload(struct stream *stream, const struct simd_ops *simd,
                                        struct span *in, struct stream_event *event)
{
    const uint32_t size = in->size < stream->frame_left ? (uint32_t)in->size : stream->frame_left;

    if (size > 0) {
        /* Within message_size_max, or the header would have been refused: no overflow. */
        const uint32_t needed = stream->assembled + size;
        CHECK(needed <= stream->limits->message_size_max);
        if (needed > stream->assembly_room) {
            event->room_needed = needed;
            event->room_declared = stream->assembled + stream->frame_left;
            return STREAM_NEED_ROOM;
        }
        const struct span piece = {in->data, size};
        if (stream->opcode == FRAME_BINARY || stream->is_compressed) {
            mask_apply(simd, &stream->mask, piece);
        } else if (mask_apply_utf8(simd, &stream->mask, &stream->text, piece) != UTF8_VALID) {
            return fail(stream, event, STREAM_INVALID_UTF8, "text is not UTF-8");
        }
        memcpy(stream->assembly + stream->assembled, piece.data, size);
        stream->assembled = needed;
        stream->frame_left -= size;
        consume(in, size);
    }
    if (stream->frame_left > 0) {
        return STREAM_NEED_MORE;
    }
    stream->in_frame = false;
    return stream->fin ? end_message(stream, in, event) : STREAM_NEED_MORE;
}

enum stream_verdict stream_next(struct stream *stream, const struct simd_ops *simd, struct span *in,
                                struct stream_event *event)
{
    CHECK(stream->limits != NULL);

    while (in->size > 0 && !stream->is_over) {
        CHECK(in->data != NULL);
        if (!stream->in_frame) {
            const enum stream_verdict verdict = take_header(stream, simd, in, event);
            if (!stream->in_frame) {
                return verdict;
            }
        }
        const enum stream_verdict verdict = take_payload(stream, simd, in, event);
        if (stream->in_frame || verdict != STREAM_NEED_MORE) {
            return verdict;
        }
    }
    consume(in, in->size);
    return STREAM_NEED_MORE;
}

void stream_give_room(struct stream *stream, uint8_t *data, size_t room)
{
    CHECK(data != NULL);
    CHECK(room >= stream->assembled);
    CHECK(room <= UINT32_MAX);

    stream->assembly = data;
    stream->assembly_room = (uint32_t)room;
}

struct span stream_assembly(const struct stream *stream)
{
    return (struct span){stream->assembly, stream->assembly_room};
}

struct span stream_take_assembly(struct stream *stream)
{
    const struct span assembly = stream_assembly(stream);

    stream->assembly = NULL;
    stream->assembly_room = 0;
    if (stream->assembled > 0) {
        stream->assembled = 0;
        stream->is_over = true;
    }
    return assembly;
}

bool stream_is_mid_message(const struct stream *stream)
{
    return !stream->is_over && stream->opcode != 0;
}
