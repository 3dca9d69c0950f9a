/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixty-four bytes at a time. The last block is loaded under a mask: the bytes masked off are not
 * accessed. Its store is not masked; store_exactly() says why.
 */
#include <immintrin.h>

#include "proto/simd.h"
#include "proto/simd_block.h"

enum { WIDTH = 64 };

#define EIGHT(byte) byte, byte, byte, byte, byte, byte, byte, byte

/* Read from 64 - n on: the most that bytes n - 3 to n - 1 may be if they complete a sequence. */
static const uint8_t most_at_end[2 * WIDTH] = {
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    BLOCK_THIRD_LAST_MAX,
    BLOCK_SECOND_LAST_MAX,
    BLOCK_LAST_MAX,
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
    EIGHT(0xff),
};

/* The lowest `count` bits, 0 to 64. */
SIMD_BLOCK_INLINE __mmask64 lanes(size_t count)
{
    return _bzhi_u64(UINT64_MAX, (unsigned)count);
}

/*
 * Looks up by the low nibble of each byte. The permutation takes six bits of it, but the sixteen
 * entries are there four times, so that the two upper ones, whatever they are, do not matter.
 */
SIMD_BLOCK_INLINE __m512i look_up(__m128i table, __m512i nibbles)
{
    return _mm512_permutexvar_epi8(nibbles, _mm512_broadcast_i32x4(table));
}

/*
 * `faults_before`, and in addition not zero in each byte that has a fault. Of `before` the top
 * three bytes count.
 */
SIMD_BLOCK_INLINE __m512i faults(__m512i faults_before, __m512i block, __m512i before)
{
    /* Truth tables of a & b & c, (a | b) & c, a | (b ^ c). */
    enum { AND_AND = 0x80, OR_THEN_AND = 0xa8, OR_OF_XOR = 0xf6 };
    const __m512i by_quarter = _mm512_alignr_epi32(block, before, 12);
    const __m512i first = _mm512_alignr_epi8(block, by_quarter, 15);
    const __m512i pair = _mm512_ternarylogic_epi32(
        look_up(_mm_setr_epi8(BLOCK_FIRST_HIGH), _mm512_srli_epi16(first, 4)),
        look_up(_mm_setr_epi8(BLOCK_FIRST_LOW), first),
        look_up(_mm_setr_epi8(BLOCK_SECOND_HIGH), _mm512_srli_epi16(block, 4)), AND_AND);
    const __m512i third =
        _mm512_subs_epu8(_mm512_alignr_epi8(block, by_quarter, 14), _mm512_set1_epi8(BLOCK_LEAD_3));
    const __m512i fourth =
        _mm512_subs_epu8(_mm512_alignr_epi8(block, by_quarter, 13), _mm512_set1_epi8(BLOCK_LEAD_4));
    const __m512i due = _mm512_ternarylogic_epi32(
        third, fourth, _mm512_set1_epi8((char)BLOCK_CONTINUING), OR_THEN_AND);
    return _mm512_ternarylogic_epi32(faults_before, pair, due, OR_OF_XOR);
}

SIMD_BLOCK_INLINE bool ends_inside(__m512i block, size_t size)
{
    const __m512i most = _mm512_loadu_si512(most_at_end + WIDTH - size);
    return _mm512_cmpgt_epu8_mask(block, most) != 0;
}

/*
 * Stores the first `size` bytes of the block, 1 to 64, where their masked form still is. Not under
 * a mask: a masked store holds up every load near it until it has reached the cache, and what
 * comes near is the next small frame, or the reader of this one. So it is two stores that overlap,
 * the second from bytes loaded and unmasked once more.
 */
SIMD_BLOCK_INLINE void store_exactly(uint8_t *data, size_t size, __m512i block, uint32_t key)
{
    const uint32_t turned = simd_block_turn(key, size);

    if (size >= 32) {
        uint8_t *const last = data + size - 32;
        const __m256i end = _mm256_loadu_si256((const void *)last);
        _mm256_storeu_si256((void *)data, _mm512_castsi512_si256(block));
        _mm256_storeu_si256((void *)last, _mm256_xor_si256(end, _mm256_set1_epi32((int)turned)));
    } else if (size >= 16) {
        uint8_t *const last = data + size - 16;
        const __m128i end = _mm_loadu_si128((const void *)last);
        _mm_storeu_si128((void *)data, _mm512_castsi512_si128(block));
        _mm_storeu_si128((void *)last, _mm_xor_si128(end, _mm_set1_epi32((int)turned)));
    } else {
        (void)simd_block_unmask(data, size, key, true);
    }
}

SIMD_BLOCK_INLINE __m512i load_exactly(const uint8_t *data, size_t size, uint32_t key)
{
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(lanes(size), data),
                            _mm512_set1_epi32((int)key));
}

/* At most 64 bytes. */
SIMD_BLOCK_INLINE uint32_t pass_small(uint8_t *data, size_t size, uint32_t key, uint32_t state,
                                      bool write)
{
    const __m512i block = load_exactly(data, size, key);
    if (write) {
        store_exactly(data, size, block, key);
    }
    if (((_mm512_movepi8_mask(block) & lanes(size)) | state) == 0) {
        return 0;
    }
    const __m512i none = _mm512_setzero_si512();
    const __m512i bad = faults(none, block, _mm512_set1_epi32((int)state));
    if (_mm512_mask_test_epi8_mask(lanes(size), bad, bad) != 0) {
        return SIMD_UTF8_BAD;
    }
    /* One or two bytes may leave a sequence open that began before them. */
    return size < 3 || ends_inside(block, size) ? simd_block_pending(data, size, state) : 0;
}

/* More than 64 bytes. */
SIMD_BLOCK_INLINE uint32_t pass_large(uint8_t *data, size_t size, uint32_t key, uint32_t state,
                                      bool write)
{
    const __m512i keys = _mm512_set1_epi32((int)key);
    const __m512i end = _mm512_xor_si512(_mm512_loadu_si512(data + size - WIDTH),
                                         _mm512_set1_epi32((int)simd_block_turn(key, size)));
    const size_t full = (size - 1) / WIDTH * WIDTH;
    const __m512i rest = load_exactly(data + full, size - full, key);
    __m512i before = _mm512_set1_epi32((int)state);
    __m512i bad = _mm512_setzero_si512();
    uint64_t high = state; /* 0: all of `before` is ASCII */

    for (size_t i = 0; i < full; i += WIDTH) {
        const __m512i block = _mm512_xor_si512(_mm512_loadu_si512(data + i), keys);
        if (write) {
            _mm512_storeu_si512(data + i, block);
        }
        const uint64_t block_high = _mm512_movepi8_mask(block);
        if ((block_high | high) != 0) {
            bad = faults(bad, block, before);
        }
        high = block_high;
        before = block;
    }
    if (write) {
        _mm512_storeu_si512(data + size - WIDTH, end);
    }
    if (((_mm512_movepi8_mask(rest) & lanes(size - full)) | high) != 0) {
        const __m512i rest_bad = faults(_mm512_setzero_si512(), rest, before);
        const __mmask64 found = _mm512_mask_test_epi8_mask(lanes(size - full), rest_bad, rest_bad);
        if ((found | _mm512_test_epi8_mask(bad, bad)) != 0) {
            return SIMD_UTF8_BAD;
        }
        return ends_inside(end, WIDTH) ? simd_block_pending(data, size, state) : 0;
    }
    return _mm512_test_epi8_mask(bad, bad) == 0 ? 0 : SIMD_UTF8_BAD;
}

static void unmask(uint8_t *data, size_t size, uint32_t key)
{
    if (size <= WIDTH) {
        store_exactly(data, size, load_exactly(data, size, key), key);
        return;
    }
    const __m512i keys = _mm512_set1_epi32((int)key);
    const __m512i end = _mm512_xor_si512(_mm512_loadu_si512(data + size - WIDTH),
                                         _mm512_set1_epi32((int)simd_block_turn(key, size)));
    uint8_t *const last = data + size - WIDTH;
    for (; data < last; data += WIDTH) {
        _mm512_storeu_si512(data, _mm512_xor_si512(_mm512_loadu_si512(data), keys));
    }
    _mm512_storeu_si512(last, end);
}

/* Apart, so that what they keep in registers is not saved for a small piece. */
static __attribute__((noinline)) uint32_t validate_large(const uint8_t *data, size_t size,
                                                         uint32_t state)
{
    return pass_large(simd_block_unwritten(data), size, 0, state, false);
}

static __attribute__((noinline)) uint32_t unmask_validate_large(uint8_t *data, size_t size,
                                                                uint32_t key, uint32_t state)
{
    return pass_large(data, size, key, state, true);
}

static uint32_t validate(const uint8_t *data, size_t size, uint32_t state)
{
    return size <= WIDTH ? pass_small(simd_block_unwritten(data), size, 0, state, false)
                         : validate_large(data, size, state);
}

static uint32_t unmask_validate(uint8_t *data, size_t size, uint32_t key, uint32_t state)
{
    return size <= WIDTH ? pass_small(data, size, key, state, true)
                         : unmask_validate_large(data, size, key, state);
}

const struct simd_ops simd_avx512 = {
    .level = CPU_SIMD_AVX512,
    .unmask = unmask,
    .validate = validate,
    .unmask_validate = unmask_validate,
};
