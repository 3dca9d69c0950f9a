/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thirty-two bytes at a time. Up to 15 bytes go through two words, up to 32 through two
 * overlapping halves of one register. Beyond, the last block lies at the end of the data and
 * overlaps the one before: it is loaded before anything is stored.
 */
#include "proto/simd.h"

#include <immintrin.h>

#include "proto/simd_block.h"

enum { WIDTH = 32, HALF = 16 };

SIMD_BLOCK_INLINE __m256i load(const uint8_t *data)
{
    return _mm256_loadu_si256((const void *)data);
}

SIMD_BLOCK_INLINE void store(uint8_t *data, __m256i block)
{
    _mm256_storeu_si256((void *)data, block);
}

SIMD_BLOCK_INLINE __m128i load_half(const uint8_t *data)
{
    return _mm_loadu_si128((const void *)data);
}

SIMD_BLOCK_INLINE void store_half(uint8_t *data, __m128i half)
{
    _mm_storeu_si128((void *)data, half);
}

/* Both halves the same sixteen entries, because the byte shuffle looks up within halves. */
SIMD_BLOCK_INLINE __m256i twice(__m128i table)
{
    return _mm256_broadcastsi128_si256(table);
}

/*
 * A fault in a byte makes it not zero. Each half of `before` has on top the three bytes before
 * the same half of the block.
 */
SIMD_BLOCK_INLINE __m256i faults_by_half(__m256i block, __m256i before)
{
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    const __m256i first = _mm256_alignr_epi8(block, before, 15);
    const __m256i first_high = _mm256_and_si256(_mm256_srli_epi16(first, 4), nibble);
    const __m256i first_low = _mm256_and_si256(first, nibble);
    const __m256i second_high = _mm256_and_si256(_mm256_srli_epi16(block, 4), nibble);
    const __m256i pair = _mm256_and_si256(
        _mm256_and_si256(_mm256_shuffle_epi8(twice(_mm_setr_epi8(BLOCK_FIRST_HIGH)), first_high),
                         _mm256_shuffle_epi8(twice(_mm_setr_epi8(BLOCK_FIRST_LOW)), first_low)),
        _mm256_shuffle_epi8(twice(_mm_setr_epi8(BLOCK_SECOND_HIGH)), second_high));
    const __m256i third =
        _mm256_subs_epu8(_mm256_alignr_epi8(block, before, 14), _mm256_set1_epi8(BLOCK_LEAD_3));
    const __m256i fourth =
        _mm256_subs_epu8(_mm256_alignr_epi8(block, before, 13), _mm256_set1_epi8(BLOCK_LEAD_4));
    const __m256i due =
        _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)BLOCK_CONTINUING));
    return _mm256_xor_si256(pair, due);
}

/* The same for a whole block: only the top three bytes of `before` count. */
SIMD_BLOCK_INLINE __m256i faults(__m256i block, __m256i before)
{
    return faults_by_half(block, _mm256_permute2x128_si256(before, block, 0x21));
}

/* A bit for each byte that is not zero. */
SIMD_BLOCK_INLINE uint32_t set_bytes(__m256i block)
{
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, _mm256_setzero_si256()));
}

SIMD_BLOCK_INLINE uint32_t high_bits(__m256i block)
{
    return (uint32_t)_mm256_movemask_epi8(block);
}

SIMD_BLOCK_INLINE bool ends_inside(__m128i half)
{
    const __m128i most = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                       (char)BLOCK_THIRD_LAST_MAX, (char)BLOCK_SECOND_LAST_MAX,
                                       (char)BLOCK_LAST_MAX);
    const __m128i above = _mm_subs_epu8(half, most);
    return !_mm_testz_si128(above, above);
}

/* At most 15 bytes. */
SIMD_BLOCK_INLINE uint32_t pass_small(uint8_t *data, size_t size, uint32_t key, uint32_t state,
                                      bool write)
{
    const struct simd_block_words words = simd_block_unmask(data, size, key, write);
    if (((words.low | words.high) & 0x8080808080808080) == 0 && state == 0) {
        return 0;
    }
    const __m256i block = _mm256_set_epi64x(0, 0, (long long)words.high, (long long)words.low);
    const uint32_t counted = (1U << size) - 1;
    if ((set_bytes(faults_by_half(block, _mm256_set1_epi32((int)state))) & counted) != 0) {
        return SIMD_UTF8_BAD;
    }
    return simd_block_pending(data, size, state);
}

/* 16 to 32 bytes: the halves are the first and the last sixteen of them. */
SIMD_BLOCK_INLINE uint32_t pass_halves(uint8_t *data, size_t size, uint32_t key, uint32_t state,
                                       bool write)
{
    const __m128i start = _mm_xor_si128(load_half(data), _mm_set1_epi32((int)key));
    const __m128i end = _mm_xor_si128(load_half(data + size - HALF),
                                      _mm_set1_epi32((int)simd_block_turn(key, size)));
    if (write) {
        store_half(data, start);
        store_half(data + size - HALF, end);
    }
    const __m256i block = _mm256_set_m128i(end, start);
    if ((high_bits(block) | state) == 0) {
        return 0;
    }
    /* The second half has size - 16 new bytes; the first three count only from 30 bytes on. */
    uint32_t before_end = 0;
    if (size > WIDTH - 3) {
        before_end = simd_block_load4(data + size - HALF - sizeof(before_end));
    }
    const __m256i before =
        _mm256_set_m128i(_mm_set1_epi32((int)before_end), _mm_set1_epi32((int)state));
    const uint32_t counted = 0xffff | (uint32_t)(0xffff0000ULL << (WIDTH - size));
    if ((set_bytes(faults_by_half(block, before)) & counted) != 0) {
        return SIMD_UTF8_BAD;
    }
    return ends_inside(end) ? simd_block_pending(data, size, state) : 0;
}

/* More than 32 bytes. */
SIMD_BLOCK_INLINE uint32_t pass_large(uint8_t *data, size_t size, uint32_t key, uint32_t state,
                                      bool write)
{
    const __m256i keys = _mm256_set1_epi32((int)key);
    const __m256i end = _mm256_xor_si256(load(data + size - WIDTH),
                                         _mm256_set1_epi32((int)simd_block_turn(key, size)));
    __m256i before = _mm256_set1_epi32((int)state);
    __m256i bad = _mm256_setzero_si256();
    uint32_t high = state; /* 0: all of `before` is ASCII */
    size_t i = 0;

    for (; size - i > WIDTH; i += WIDTH) {
        const __m256i block = _mm256_xor_si256(load(data + i), keys);
        if (write) {
            store(data + i, block);
        }
        const uint32_t block_high = high_bits(block);
        if ((block_high | high) != 0) {
            bad = _mm256_or_si256(bad, faults(block, before));
        }
        high = block_high;
        before = block;
    }
    if (write) {
        store(data + size - WIDTH, end);
    }
    if ((high_bits(end) | high) == 0) {
        return set_bytes(bad) == 0 ? 0 : SIMD_UTF8_BAD;
    }
    /* Of the last block only its last size - i bytes are new, and mostly not its first three. */
    const size_t fresh = size - i;
    uint32_t before_end = 0;
    if (fresh > WIDTH - 3) {
        before_end = simd_block_load4(data + size - WIDTH - sizeof(before_end));
    }
    const __m256i end_bad = faults(end, _mm256_set1_epi32((int)before_end));
    if ((set_bytes(bad) | set_bytes(end_bad) >> (WIDTH - fresh)) != 0) {
        return SIMD_UTF8_BAD;
    }
    return ends_inside(_mm256_extracti128_si256(end, 1)) ? simd_block_pending(data, size, state)
                                                         : 0;
}

static void unmask(uint8_t *data, size_t size, uint32_t key)
{
    if (size >= WIDTH) {
        const __m256i keys = _mm256_set1_epi32((int)key);
        const __m256i end = _mm256_xor_si256(load(data + size - WIDTH),
                                             _mm256_set1_epi32((int)simd_block_turn(key, size)));
        uint8_t *const last = data + size - WIDTH;
        for (; data < last; data += WIDTH) {
            store(data, _mm256_xor_si256(load(data), keys));
        }
        store(last, end);
        return;
    }
    if (size >= HALF) {
        const __m128i start = _mm_xor_si128(load_half(data), _mm_set1_epi32((int)key));
        const __m128i end = _mm_xor_si128(load_half(data + size - HALF),
                                          _mm_set1_epi32((int)simd_block_turn(key, size)));
        store_half(data, start);
        store_half(data + size - HALF, end);
        return;
    }
    (void)simd_block_unmask(data, size, key, true);
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
    if (size < HALF) {
        return pass_small(simd_block_unwritten(data), size, 0, state, false);
    }
    return size <= WIDTH ? pass_halves(simd_block_unwritten(data), size, 0, state, false)
                         : validate_large(data, size, state);
}

static uint32_t unmask_validate(uint8_t *data, size_t size, uint32_t key, uint32_t state)
{
    if (size < HALF) {
        return pass_small(data, size, key, state, true);
    }
    return size <= WIDTH ? pass_halves(data, size, key, state, true)
                         : unmask_validate_large(data, size, key, state);
}

const struct simd_ops simd_avx2 = {
    .level = CPU_SIMD_AVX2,
    .unmask = unmask,
    .validate = validate,
    .unmask_validate = unmask_validate,
};
