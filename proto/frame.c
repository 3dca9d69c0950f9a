/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <string.h>

#include "core/check.h"

enum {
    FIN_BIT = 0x80,
    RSV1_BIT = 0x40,
    RSV23_BITS = 0x30,
    OPCODE_BITS = 0x0f,
    MASK_BIT = 0x80,
    LENGTH_BITS = 0x7f,
    LENGTH_IS_16_BIT = 126,
    LENGTH_IS_64_BIT = 127,
    MASK_KEY_SIZE = 4,
};

_Static_assert(FRAME_HEADER_SIZE_MAX == FRAME_HEADER_SIZE_MIN + 8 + MASK_KEY_SIZE,
               "the longest header is two bytes, a 64-bit length and a mask key");

static bool opcode_is_known(uint8_t opcode)
{
    return opcode <= FRAME_BINARY || (opcode >= FRAME_CLOSE && opcode <= FRAME_PONG);
}

static uint64_t read_big_endian(const uint8_t *source, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | source[i];
    }
    return value;
}

static void write_big_endian(uint64_t value, uint8_t *target, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        target[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
}

static size_t extended_length_size(uint8_t short_length)
{
    if (short_length == LENGTH_IS_64_BIT) {
        return 8;
    }
    return short_length == LENGTH_IS_16_BIT ? 2 : 0;
}

/* Everything the first two bytes can already tell. Rejecting here bounds what we buffer. */
static enum frame_verdict judge_first_two(const uint8_t *in, struct frame_limits limits)
{
    const uint8_t opcode = in[0] & OPCODE_BITS;
    const bool rsv1 = (in[0] & RSV1_BIT) != 0;

    if ((in[0] & RSV23_BITS) != 0 || (rsv1 && !limits.rsv1_allowed)) {
        return FRAME_BAD_RESERVED_BITS;
    }
    if (!opcode_is_known(opcode)) {
        return FRAME_BAD_OPCODE;
    }
    if (frame_opcode_is_control((enum frame_opcode)opcode)) {
        const bool fin = (in[0] & FIN_BIT) != 0;
        if (!fin || rsv1 || (in[1] & LENGTH_BITS) > FRAME_CONTROL_PAYLOAD_MAX) {
            return FRAME_BAD_CONTROL;
        }
    }
    const bool is_masked = (in[1] & MASK_BIT) != 0;
    if (is_masked == limits.from_server) {
        return is_masked ? FRAME_MASKED : FRAME_NOT_MASKED;
    }
    return FRAME_OK;
}

static enum frame_verdict judge_length(uint64_t size, size_t encoded_in, uint64_t size_max)
{
    if (encoded_in == 2 && size < LENGTH_IS_16_BIT) {
        return FRAME_BAD_LENGTH;
    }
    if (encoded_in == 8 && (size <= UINT16_MAX || size > INT64_MAX)) {
        return FRAME_BAD_LENGTH;
    }
    return size <= size_max ? FRAME_OK : FRAME_TOO_BIG;
}

enum frame_verdict frame_read_header(struct bytes in, struct frame_limits limits,
                                     struct frame_header *header)
{
    CHECK(header != NULL);
    CHECK(in.data != NULL || in.size == 0);

    if (in.size < FRAME_HEADER_SIZE_MIN) {
        return FRAME_NEED_MORE;
    }
    enum frame_verdict verdict = judge_first_two(in.data, limits);
    if (verdict != FRAME_OK) {
        return verdict;
    }

    const uint8_t short_length = in.data[1] & LENGTH_BITS;
    const size_t length_size = extended_length_size(short_length);
    const size_t key_size = limits.from_server ? 0 : MASK_KEY_SIZE;
    const size_t header_size = FRAME_HEADER_SIZE_MIN + length_size + key_size;
    if (in.size < header_size) {
        return FRAME_NEED_MORE;
    }

    uint64_t payload_size = short_length;
    if (length_size > 0) {
        payload_size = read_big_endian(in.data + FRAME_HEADER_SIZE_MIN, length_size);
    }
    const enum frame_opcode opcode = (enum frame_opcode)(in.data[0] & OPCODE_BITS);
    const uint64_t payload_size_max =
        frame_opcode_is_control(opcode) ? FRAME_CONTROL_PAYLOAD_MAX : limits.payload_size_max;
    verdict = judge_length(payload_size, length_size, payload_size_max);
    if (verdict != FRAME_OK) {
        return verdict;
    }

    *header = (struct frame_header){
        .payload_size = payload_size,
        .opcode = opcode,
        .header_size = (uint8_t)header_size,
        .fin = (in.data[0] & FIN_BIT) != 0,
        .rsv1 = (in.data[0] & RSV1_BIT) != 0,
    };
    memcpy(header->mask_key, in.data + header_size - key_size, key_size);
    return FRAME_OK;
}

size_t frame_write_header(enum frame_opcode opcode, uint64_t payload_size, uint8_t *target)
{
    CHECK(target != NULL);
    CHECK(payload_size <= INT64_MAX);
    CHECK(!frame_opcode_is_control(opcode) || payload_size <= FRAME_CONTROL_PAYLOAD_MAX);

    target[0] = (uint8_t)(FIN_BIT | (int)opcode);
    if (payload_size < LENGTH_IS_16_BIT) {
        target[1] = (uint8_t)payload_size;
        return 2;
    }
    if (payload_size <= UINT16_MAX) {
        target[1] = LENGTH_IS_16_BIT;
        write_big_endian(payload_size, target + 2, 2);
        return 4;
    }
    target[1] = LENGTH_IS_64_BIT;
    write_big_endian(payload_size, target + 2, 8);
    return 10;
}

void frame_set_compressed(uint8_t *header)
{
    CHECK(!frame_opcode_is_control((enum frame_opcode)(header[0] & OPCODE_BITS)));
    header[0] |= RSV1_BIT;
}

struct bytes frame_payload(struct bytes frame)
{
    CHECK(frame.size >= FRAME_HEADER_SIZE_MIN);
    CHECK((frame.data[1] & MASK_BIT) == 0);
    const size_t header_size = FRAME_HEADER_SIZE_MIN + extended_length_size(frame.data[1]);
    CHECK(header_size <= frame.size);
    return (struct bytes){frame.data + header_size, frame.size - header_size};
}

size_t frame_write_client_header(enum frame_opcode opcode, uint64_t payload_size,
                                 const uint8_t mask_key[4], uint8_t *target)
{
    const size_t size = frame_write_header(opcode, payload_size, target);

    target[1] |= MASK_BIT;
    memcpy(target + size, mask_key, MASK_KEY_SIZE);
    return size + MASK_KEY_SIZE;
}

size_t frame_write_control(enum frame_opcode opcode, struct bytes payload, uint8_t *target)
{
    CHECK(frame_opcode_is_control(opcode));
    CHECK(payload.size <= FRAME_CONTROL_PAYLOAD_MAX);

    const size_t header_size = frame_write_header(opcode, payload.size, target);
    if (payload.size > 0) {
        memmove(target + header_size, payload.data, payload.size);
    }
    return header_size + payload.size;
}
