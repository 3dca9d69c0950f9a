/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_CODEC_H
#define STORE_CODEC_H
/*
 * Integers as bytes: little endian on the wire and in values, big endian in keys, where the order
 * of the bytes must be the order of the numbers. Pure. ANY_THREAD.
 */
#include <stdint.h>

static inline void codec_put_u32(uint8_t *target, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        target[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline void codec_put_u64(uint8_t *target, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        target[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint32_t codec_get_u32(const uint8_t *source)
{
    return (uint32_t)source[0] | (uint32_t)source[1] << 8 | (uint32_t)source[2] << 16 |
           (uint32_t)source[3] << 24;
}

static inline uint64_t codec_get_u64(const uint8_t *source)
{
    return codec_get_u32(source) | (uint64_t)codec_get_u32(source + 4) << 32;
}

static inline void codec_put_u64_big(uint8_t *target, uint64_t value)
{
    codec_put_u64(target, __builtin_bswap64(value));
}

static inline uint64_t codec_get_u64_big(const uint8_t *source)
{
    return __builtin_bswap64(codec_get_u64(source));
}

#endif /* STORE_CODEC_H */
