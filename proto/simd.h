/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_SIMD_H
#define PROTO_SIMD_H
/*
 * The variants of the loops over payload bytes: unmask, validate, and both in one pass.
 *
 * Choose once, at start-up, and pass the pointer down. Callers use utf8.h and mask.h; nothing
 * else calls these functions. All variants give the same bytes, verdicts and states, so they may
 * be mixed within one text.
 *
 * Pure, ANY_THREAD. Nothing outside [data, data + size) is read or written; data may be NULL
 * when size is 0.
 *
 * Mask keys are four wire bytes in memory order: byte i of the data belongs to byte i % 4.
 *
 * UTF-8 states are the bytes of a sequence that has begun and may still become valid, last byte
 * in the highest byte, 0 in front: 0 between characters, 0xe4000000 after e4, 0xb8e40000 after
 * e4 b8. SIMD_UTF8_BAD is none of these: it says that no continuation can be valid any more.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/cpu.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys and states are words");

#define SIMD_UTF8_BAD UINT32_MAX

struct simd_ops {
    enum cpu_simd level;

    /* In place. */
    void (*unmask)(uint8_t *data, size_t size, uint32_t key);

    /* Takes the state before the bytes, which is not SIMD_UTF8_BAD, and returns the one after. */
    uint32_t (*validate)(const uint8_t *data, size_t size, uint32_t state);

    /* Both in one pass. The data is unmasked to its end whatever the verdict. */
    uint32_t (*unmask_validate)(uint8_t *data, size_t size, uint32_t key, uint32_t state);
};

/* Private to simd.c and the tests of the variants. Need a machine of that level; see cpu.h. */
extern const struct simd_ops simd_scalar;
extern const struct simd_ops simd_sse4;
extern const struct simd_ops simd_avx2;
extern const struct simd_ops simd_avx512;

/* The variant of that level, or the best that this machine has if that is less. Never NULL. */
NODISCARD const struct simd_ops *simd_choose(enum cpu_simd level);

#endif /* PROTO_SIMD_H */
