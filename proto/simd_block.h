/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SIMD_BLOCK_H
#define PROTO_SIMD_BLOCK_H
/*
 * Private to the variants of simd.h: what they share that needs no instruction set.
 *
 * The vector variants validate after J. Keiser and D. Lemire, "Validating UTF-8 In Less Than One
 * Instruction Per Byte" (2021): each byte and the one before it are looked up by three nibbles;
 * a bit that is set in all three names a fault. Faults of a byte depend on it and on the three
 * before it, never on what follows, so a lane past the end may hold anything if its result is
 * masked off. The one impossible byte that only shows with its successor is a lead that no
 * sequence has (c0, c1, f5 and above); at the end of a piece simd_block_pending() finds it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/simd.h"

/* A helper of a variant's inner function; a call would cost more than most of them do. */
#define SIMD_BLOCK_INLINE static inline __attribute__((always_inline))

/* One bit per fault of a pair of bytes; the last is no fault where a third byte is due. */
enum {
    BLOCK_SHORT = 1 << 0,      /* a lead, then not a continuation */
    BLOCK_LONG = 1 << 1,       /* ASCII, then a continuation */
    BLOCK_OVERLONG_2 = 1 << 2, /* c0 or c1, then a continuation */
    BLOCK_OVERLONG_3 = 1 << 3, /* e0, then 80 to 9f */
    BLOCK_SURROGATE = 1 << 4,  /* ed, then a0 to bf */
    BLOCK_LARGE = 1 << 5,      /* f4 and above, then 90 to bf */
    BLOCK_OVERLONG_4 = 1 << 6, /* f0, then 80 to 8f; and f5 and above, then the same */
    BLOCK_CONTINUING = 1 << 7, /* two continuations */
    BLOCK_ANY_LOW = BLOCK_SHORT | BLOCK_LONG | BLOCK_CONTINUING,
    BLOCK_AFTER_F = BLOCK_ANY_LOW | BLOCK_LARGE | BLOCK_OVERLONG_4,
    BLOCK_ANY_SECOND = BLOCK_LONG | BLOCK_OVERLONG_2 | BLOCK_CONTINUING,
};

/* What the high nibble of the first byte of a pair allows to be wrong. */
#define BLOCK_FIRST_HIGH                                                                           \
    BLOCK_LONG, BLOCK_LONG, BLOCK_LONG, BLOCK_LONG, BLOCK_LONG, BLOCK_LONG, BLOCK_LONG,            \
        BLOCK_LONG, (char)BLOCK_CONTINUING, (char)BLOCK_CONTINUING, (char)BLOCK_CONTINUING,        \
        (char)BLOCK_CONTINUING, BLOCK_SHORT | BLOCK_OVERLONG_2, BLOCK_SHORT,                       \
        BLOCK_SHORT | BLOCK_OVERLONG_3 | BLOCK_SURROGATE,                                          \
        BLOCK_SHORT | BLOCK_LARGE | BLOCK_OVERLONG_4

/* Its low nibble. */
#define BLOCK_FIRST_LOW                                                                            \
    (char)(BLOCK_ANY_LOW | BLOCK_OVERLONG_2 | BLOCK_OVERLONG_3 | BLOCK_OVERLONG_4),                \
        (char)(BLOCK_ANY_LOW | BLOCK_OVERLONG_2), (char)BLOCK_ANY_LOW, (char)BLOCK_ANY_LOW,        \
        (char)(BLOCK_ANY_LOW | BLOCK_LARGE), (char)BLOCK_AFTER_F, (char)BLOCK_AFTER_F,             \
        (char)BLOCK_AFTER_F, (char)BLOCK_AFTER_F, (char)BLOCK_AFTER_F, (char)BLOCK_AFTER_F,        \
        (char)BLOCK_AFTER_F, (char)BLOCK_AFTER_F, (char)(BLOCK_AFTER_F | BLOCK_SURROGATE),         \
        (char)BLOCK_AFTER_F, (char)BLOCK_AFTER_F

/* The high nibble of the second byte. */
#define BLOCK_SECOND_HIGH                                                                          \
    BLOCK_SHORT, BLOCK_SHORT, BLOCK_SHORT, BLOCK_SHORT, BLOCK_SHORT, BLOCK_SHORT, BLOCK_SHORT,     \
        BLOCK_SHORT, (char)(BLOCK_ANY_SECOND | BLOCK_OVERLONG_3 | BLOCK_OVERLONG_4),               \
        (char)(BLOCK_ANY_SECOND | BLOCK_OVERLONG_3 | BLOCK_LARGE),                                 \
        (char)(BLOCK_ANY_SECOND | BLOCK_SURROGATE | BLOCK_LARGE),                                  \
        (char)(BLOCK_ANY_SECOND | BLOCK_SURROGATE | BLOCK_LARGE), BLOCK_SHORT, BLOCK_SHORT,        \
        BLOCK_SHORT, BLOCK_SHORT

/* A last, second last, third last byte above these has its sequence still to be completed. */
enum {
    BLOCK_LAST_MAX = 0xbf,
    BLOCK_SECOND_LAST_MAX = 0xdf,
    BLOCK_THIRD_LAST_MAX = 0xef,
};

/* 0x80 less than a lead of three, of four bytes: subtracted, the high bit says "at least". */
enum {
    BLOCK_LEAD_3 = 0xe0 - 0x80,
    BLOCK_LEAD_4 = 0xf0 - 0x80,
};

/* The key as it stands after `size` bytes. */
SIMD_BLOCK_INLINE uint32_t simd_block_turn(uint32_t key, size_t size)
{
    const unsigned turn = 8 * (unsigned)(size % 4);
    return key >> turn | key << ((32 - turn) % 32);
}

SIMD_BLOCK_INLINE uint32_t simd_block_load4(const uint8_t *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

SIMD_BLOCK_INLINE uint64_t simd_block_load8(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

/* 1 to 8 bytes as a word, zero above. Loads overlap instead of branching on every size. */
SIMD_BLOCK_INLINE uint64_t simd_block_load(const uint8_t *data, size_t size)
{
    if (size >= 4) {
        const uint64_t high = simd_block_load4(data + size - 4);
        return simd_block_load4(data) | high << (8 * (size - 4));
    }
    const size_t middle = size / 2;
    return data[0] | (uint64_t)data[middle] << (8 * middle) |
           (uint64_t)data[size - 1] << (8 * (size - 1));
}

/* The inverse; what the word has above `size` bytes is not written. */
SIMD_BLOCK_INLINE void simd_block_store(uint8_t *data, size_t size, uint64_t word)
{
    if (size >= 4) {
        const uint32_t low = (uint32_t)word;
        const uint32_t high = (uint32_t)(word >> (8 * (size - 4)));
        memcpy(data, &low, sizeof(low));
        memcpy(data + size - 4, &high, sizeof(high));
        return;
    }
    const size_t middle = size / 2;
    data[0] = (uint8_t)word;
    data[middle] = (uint8_t)(word >> (8 * middle));
    data[size - 1] = (uint8_t)(word >> (8 * (size - 1)));
}

/*
 * For validation alone, which is the fused pass without its writes: the same code, told by a
 * constant not to write.
 */
SIMD_BLOCK_INLINE uint8_t *simd_block_unwritten(const uint8_t *data)
{
    const union {
        const uint8_t *read;
        uint8_t *unwritten;
    } pointer = {.read = data};
    return pointer.unwritten;
}

struct simd_block_words {
    uint64_t low;  /* bytes 0 to 7, zero past the end */
    uint64_t high; /* bytes 8 to 15, likewise */
};

/* Unmasks 0 to 16 bytes, and writes them back or only looks at them. */
SIMD_BLOCK_INLINE struct simd_block_words simd_block_unmask(uint8_t *data, size_t size,
                                                            uint32_t key, bool write)
{
    const uint64_t keys = (uint64_t)key << 32 | key;
    struct simd_block_words words = {0, 0};

    if (size > 8) {
        const uint32_t turned = simd_block_turn(key, size);
        const uint64_t end = simd_block_load8(data + size - 8) ^ ((uint64_t)turned << 32 | turned);
        words.low = simd_block_load8(data) ^ keys;
        words.high = end >> (8 * (16 - size));
        if (write) {
            memcpy(data, &words.low, sizeof(words.low));
            memcpy(data + size - 8, &end, sizeof(end));
        }
    } else if (size > 0) {
        words.low = (simd_block_load(data, size) ^ keys) & UINT64_MAX >> (64 - 8 * size);
        if (write) {
            simd_block_store(data, size, words.low);
        }
    }
    return words;
}

/*
 * The state after a piece in which no fault was found yet: its last bytes, if they begin a
 * sequence that they do not complete. `state` is the one before the piece.
 */
SIMD_BLOCK_INLINE uint32_t simd_block_pending(const uint8_t *data, size_t size, uint32_t state)
{
    uint32_t last = state;
    if (size >= sizeof(last)) {
        last = simd_block_load4(data + size - sizeof(last));
    } else {
        for (size_t i = 0; i < size; i++) {
            last = last >> 8 | (uint32_t)data[i] << 24;
        }
    }
    if (last >> 24 > BLOCK_LAST_MAX) {
        const uint32_t lead = last >> 24;
        return lead < 0xc2 || lead > 0xf4 ? SIMD_UTF8_BAD : lead << 24;
    }
    if ((last >> 16 & 0xff) > BLOCK_SECOND_LAST_MAX) {
        return last & 0xffff0000;
    }
    if ((last >> 8 & 0xff) > BLOCK_THIRD_LAST_MAX) {
        return last & 0xffffff00;
    }
    return 0;
}

#endif /* PROTO_SIMD_BLOCK_H */
