/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_wire.h"

#include <stdlib.h>
#include <string.h>

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
                              "Sec-WebSocket-Version: 13\r\n\r\n";
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

void sim_wire_put_upgrade(struct sim_wire_buffer *out)
{
    sim_wire_put(out, upgrade, sizeof(upgrade) - 1);
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
                            struct bytes text, uint32_t *pings)
{
    const size_t count =
        sim_random_once_in(random, 4) ? (size_t)sim_random_range(random, 2, FRAMES_MAX) : 1;
    for (size_t i = 0; i < count; i++) {
        const bool last = i + 1 == count;
        const size_t size = last ? text.size : (size_t)sim_random_below(random, text.size + 1);
        sim_wire_put_frame(out, random, i == 0 ? SIM_WIRE_TEXT : SIM_WIRE_CONTINUATION, last,
                           (struct bytes){text.data, size});
        text.data += size;
        text.size -= size;
        if (sim_random_once_in(random, 10)) {
            ++*pings;
            sim_wire_put_frame(out, random, SIM_WIRE_PING, true,
                               (struct bytes){(const uint8_t *)pings, sizeof(*pings)});
        }
    }
    return count;
}

enum sim_wire_verdict sim_wire_take_upgrade(struct sim_wire_buffer *in)
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
    if (memmem(head, head_size, upgrade_answer, sizeof(upgrade_answer) - 1) == NULL) {
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
    /* The server sends whole, unmasked frames without reserved bits. */
    const unsigned opcode = head[0] & 0xfU;
    if ((head[0] & 0xf0U) != 0x80U || (head[1] & 0x80U) != 0) {
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
        .payload = {head + header_size, (size_t)length},
        .size = header_size + (size_t)length,
    };
    return SIM_WIRE_OK;
}
