/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The variant that every other is compared with: words of eight bytes for unmasking and for runs
 * of ASCII, otherwise one sequence at a time.
 */
#include "proto/simd.h"
#include "proto/simd_block.h"

static const uint64_t high_bits = 0x8080808080808080;

static uint64_t doubled(uint32_t key)
{
    return (uint64_t)key << 32 | key;
}

/* Table 3-7 of the Unicode standard: what may follow a lead that is itself possible. */
static bool second_is_possible(uint32_t lead, uint8_t byte)
{
    switch (lead) {
    case 0xe0:
        return byte >= 0xa0 && byte <= 0xbf;
    case 0xed:
        return byte >= 0x80 && byte <= 0x9f;
    case 0xf0:
        return byte >= 0x90 && byte <= 0xbf;
    case 0xf4:
        return byte >= 0x80 && byte <= 0x8f;
    default:
        return byte >= 0x80 && byte <= 0xbf;
    }
}

/* The state after one more byte. */
static uint32_t state_after(uint32_t state, uint8_t byte)
{
    const uint32_t pushed = state >> 8 | (uint32_t)byte << 24;
    const uint32_t last = state >> 24;

    if (state == 0) {
        if (byte < 0x80) {
            return 0;
        }
        return byte >= 0xc2 && byte <= 0xf4 ? pushed : SIMD_UTF8_BAD;
    }
    if (last >= 0xc0) {
        if (!second_is_possible(last, byte)) {
            return SIMD_UTF8_BAD;
        }
        return last < 0xe0 ? 0 : pushed;
    }
    if ((byte & 0xc0) != 0x80) {
        return SIMD_UTF8_BAD;
    }
    /* Two bytes are behind us: of three, so this was the last, or of four. Or three of four. */
    return (state >> 16 & 0xff) >= 0xf0 ? pushed : 0;
}

/* The size of the valid sequence at the start, or 0 if it is not valid or not all there. */
static size_t sequence_size(const uint8_t *data, size_t size)
{
    const uint8_t lead = data[0];
    const size_t expected = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    if (lead < 0xc2 || lead > 0xf4 || size < expected || !second_is_possible(lead, data[1])) {
        return 0;
    }
    for (size_t i = 2; i < expected; i++) {
        if ((data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return expected;
}

static void unmask(uint8_t *data, size_t size, uint32_t key)
{
    const uint64_t keys = doubled(key);

    for (; size >= 8; data += 8, size -= 8) {
        const uint64_t word = simd_block_load8(data) ^ keys;
        memcpy(data, &word, sizeof(word));
    }
    if (size > 0) {
        simd_block_store(data, size, simd_block_load(data, size) ^ keys);
    }
}

static uint32_t validate(const uint8_t *data, size_t size, uint32_t state)
{
    size_t i = 0;

    while (state != 0 && state != SIMD_UTF8_BAD && i < size) {
        state = state_after(state, data[i++]);
    }
    while (state == 0 && i < size) {
        if (size - i >= 8 && (simd_block_load8(data + i) & high_bits) == 0) {
            i += 8;
            continue;
        }
        if (data[i] < 0x80) {
            i++;
            continue;
        }
        const size_t sequence = sequence_size(data + i, size - i);
        if (sequence > 0) {
            i += sequence;
            continue;
        }
        /* A fault, or the end of the piece: at most three more steps. */
        while (i < size && state != SIMD_UTF8_BAD) {
            state = state_after(state, data[i++]);
        }
    }
    return state;
}

/* Two passes: a piece is small, or the words of the second pass come from the cache. */
static uint32_t unmask_validate(uint8_t *data, size_t size, uint32_t key, uint32_t state)
{
    unmask(data, size, key);
    return validate(data, size, state);
}

const struct simd_ops simd_scalar = {
    .level = CPU_SIMD_SCALAR,
    .unmask = unmask,
    .validate = validate,
    .unmask_validate = unmask_validate,
};
