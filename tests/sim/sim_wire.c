/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_wire.h"

#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST /* what goes in is not written to */
#include <zlib.h>

#include "core/check.h"

enum {
    FRAMES_MAX = 4, /* of one message */
    SHORT_MAX = 125,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
};

/* The example of RFC 6455 section 1.3: key and answer. */
static const char upgrade[] = "GET /connection/websocket HTTP/1.1\r\n"
                              "Host: sim\r\n"
                              "Upgrade: websocket\r\n"
                              "Connection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Version: 13\r\n";
static const char offer[] = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
static const char offer_answer[] = "\r\nSec-WebSocket-Extensions: permessage-deflate; "
                                   "server_no_context_takeover; client_no_context_takeover\r\n";
static const char upgrade_answer[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

void sim_wire_free(struct sim_wire_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct sim_wire_buffer){0};
}

void sim_wire_put(struct sim_wire_buffer *buffer, const void *data, size_t size)
{
    if (size == 0) {
        return;
    }
    if (buffer->end + size > buffer->capacity) {
        buffer->capacity = 2 * (buffer->end + size);
        buffer->data = realloc(buffer->data, buffer->capacity);
        CHECK(buffer->data != NULL);
    }
    memcpy(buffer->data + buffer->end, data, size);
    buffer->end += size;
}

void sim_wire_skip(struct sim_wire_buffer *buffer, size_t size)
{
    CHECK(size <= sim_wire_size(buffer));
    buffer->begin += size;
    if (buffer->begin == buffer->end) {
        buffer->begin = 0;
        buffer->end = 0;
    }
}

void sim_wire_put_upgrade(struct sim_wire_buffer *out, bool compression)
{
    sim_wire_put(out, upgrade, sizeof(upgrade) - 1);
    if (compression) {
        sim_wire_put(out, offer, sizeof(offer) - 1);
    }
    sim_wire_put(out, "\r\n", 2);
}

/* RFC 7692 section 7.2.1. */
static struct bytes deflate_message(struct bytes text, struct sim_wire_buffer *out)
{
    z_stream zlib = {.next_in = text.data, .avail_in = (uInt)text.size};
    CHECK(deflateInit2(&zlib, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    out->capacity = deflateBound(&zlib, text.size) + 16;
    out->data = malloc(out->capacity);
    CHECK(out->data != NULL);
    zlib.next_out = out->data;
    zlib.avail_out = (uInt)out->capacity;
    CHECK(deflate(&zlib, Z_SYNC_FLUSH) == Z_OK && zlib.avail_out > 0);
    const size_t size = out->capacity - zlib.avail_out - 4;
    (void)deflateEnd(&zlib);
    return (struct bytes){out->data, size};
}

/* Section 7.2.2. */
bool sim_wire_inflate(struct bytes compressed, struct sim_wire_buffer *out)
{
    static const uint8_t tail[] = {0, 0, 0xff, 0xff};
    uint8_t step[8192];
    struct sim_wire_buffer in = {0};
    sim_wire_put(&in, compressed.data, compressed.size);
    sim_wire_put(&in, tail, sizeof(tail));
    z_stream zlib = {.next_in = in.data, .avail_in = (uInt)in.end};
    CHECK(inflateInit2(&zlib, -15) == Z_OK);
    int result;
    do {
        zlib.next_out = step;
        zlib.avail_out = sizeof(step);
        result = inflate(&zlib, Z_SYNC_FLUSH);
        sim_wire_put(out, step, sizeof(step) - zlib.avail_out);
    } while (result == Z_OK && zlib.avail_out == 0);
    const bool is_whole = (result == Z_OK || result == Z_BUF_ERROR) && zlib.avail_in == 0;
    (void)inflateEnd(&zlib);
    sim_wire_free(&in);
    return is_whole;
}

void sim_wire_put_frame(struct sim_wire_buffer *out, struct sim_random *random, unsigned opcode,
                        bool fin, struct bytes payload)
{
    uint8_t header[14] = {(uint8_t)(opcode | (fin ? 0x80 : 0))};
    size_t size = 2;
    if (payload.size <= SHORT_MAX) {
        header[1] = (uint8_t)(0x80 | payload.size);
    } else if (payload.size <= UINT16_MAX) {
        header[1] = 0x80 | LENGTH_16;
        header[size++] = (uint8_t)(payload.size >> 8);
        header[size++] = (uint8_t)payload.size;
    } else {
        header[1] = 0x80 | LENGTH_64;
        for (int shift = 56; shift >= 0; shift -= 8) {
            header[size++] = (uint8_t)((uint64_t)payload.size >> shift);
        }
    }
    uint8_t key[4];
    sim_random_fill(random, key, sizeof(key));
    memcpy(header + size, key, sizeof(key));
    sim_wire_put(out, header, size + sizeof(key));
    const size_t first = out->end;
    sim_wire_put(out, payload.data, payload.size);
    for (size_t i = 0; i < payload.size; i++) {
        out->data[first + i] ^= key[i % 4];
    }
}

size_t sim_wire_put_message(struct sim_wire_buffer *out, struct sim_random *random,
                            struct bytes text, bool compression, uint32_t *pings)
{
    struct sim_wire_buffer compressed = {0};
    unsigned first = SIM_WIRE_TEXT;
    if (compression && sim_random_once_in(random, 2)) {
        text = deflate_message(text, &compressed);
        first |= SIM_WIRE_COMPRESSED;
    }
    const size_t count =
        sim_random_once_in(random, 4) ? (size_t)sim_random_range(random, 2, FRAMES_MAX) : 1;
    for (size_t i = 0; i < count; i++) {
        const bool last = i + 1 == count;
        const size_t size = last ? text.size : (size_t)sim_random_below(random, text.size + 1);
        sim_wire_put_frame(out, random, i == 0 ? first : SIM_WIRE_CONTINUATION, last,
                           (struct bytes){text.data, size});
        text.data += size;
        text.size -= size;
        if (sim_random_once_in(random, 10)) {
            ++*pings;
            sim_wire_put_frame(out, random, SIM_WIRE_PING, true,
                               (struct bytes){(const uint8_t *)pings, sizeof(*pings)});
        }
    }
    sim_wire_free(&compressed);
    return count;
}

enum sim_wire_verdict sim_wire_take_upgrade(struct sim_wire_buffer *in, bool compression)
{
    const uint8_t *head = in->data + in->begin;
    const size_t size = sim_wire_size(in);
    const uint8_t *end = size < 4 ? NULL : memmem(head, size, "\r\n\r\n", 4);

    if (end == NULL) {
        return SIM_WIRE_NEED_MORE;
    }
    const size_t head_size = (size_t)(end - head) + 4;
    static const char good[] = "HTTP/1.1 101 ";
    if (head_size < sizeof(good) || memcmp(head, good, sizeof(good) - 1) != 0) {
        return SIM_WIRE_REFUSED;
    }
    const bool is_compressed =
        memmem(head, head_size, offer_answer, sizeof(offer_answer) - 1) != NULL;
    if (memmem(head, head_size, upgrade_answer, sizeof(upgrade_answer) - 1) == NULL ||
        is_compressed != compression) {
        return SIM_WIRE_FAULT;
    }
    sim_wire_skip(in, head_size);
    return SIM_WIRE_OK;
}

/* Bytes 2 .. 2 + count - 1, most significant first. */
static uint64_t read_length(const uint8_t *head, size_t count)
{
    uint64_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length = length << 8 | head[2 + i];
    }
    return length;
}

enum sim_wire_verdict sim_wire_look(struct sim_wire_buffer *in, struct sim_wire_frame *frame)
{
    uint8_t *head = in->data + in->begin;
    const size_t there = sim_wire_size(in);

    if (there < 2) {
        return SIM_WIRE_NEED_MORE;
    }
    /* The server sends whole, unmasked frames; only a text may be compressed. */
    const unsigned opcode = head[0] & 0xfU;
    const bool is_compressed = (head[0] & SIM_WIRE_COMPRESSED) != 0;
    if ((head[0] & 0xb0U) != 0x80U || (head[1] & 0x80U) != 0 ||
        (is_compressed && opcode != SIM_WIRE_TEXT)) {
        return SIM_WIRE_FAULT;
    }
    size_t header_size = 2;
    uint64_t length = head[1];
    if (length > SHORT_MAX) {
        const size_t count = length == LENGTH_16 ? 2 : 8;
        header_size += count;
        if (there < header_size) {
            return SIM_WIRE_NEED_MORE;
        }
        length = read_length(head, count);
        if (opcode >= SIM_WIRE_CLOSE || length <= SHORT_MAX || length > 1 << 24 ||
            (count == 8 && length <= UINT16_MAX)) {
            return SIM_WIRE_FAULT;
        }
    }
    if (there - header_size < length) {
        return SIM_WIRE_NEED_MORE;
    }
    *frame = (struct sim_wire_frame){
        .opcode = opcode,
        .is_compressed = is_compressed,
        .payload = {head + header_size, (size_t)length},
        .size = header_size + (size_t)length,
    };
    return SIM_WIRE_OK;
}
