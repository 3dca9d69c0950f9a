/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixteen bytes at a time. Up to 16 bytes go through two words. Beyond, the last block lies at
 * the end of the data and overlaps the one before: it is loaded before anything is stored.
 */
#include <immintrin.h>

#include "proto/simd.h"
#include "proto/simd_block.h"

enum { WIDTH = 16 };

SIMD_BLOCK_INLINE __m128i load(const uint8_t *data)
{
    return _mm_loadu_si128((const void *)data);
}

SIMD_BLOCK_INLINE void store(uint8_t *data, __m128i block)
{
    _mm_storeu_si128((void *)data, block);
}

/* A bit for each byte with a fault. `before` has the three bytes before the block on top. */
SIMD_BLOCK_INLINE uint32_t faults(__m128i block, __m128i before)
{
    const __m128i nibble = _mm_set1_epi8(0x0f);
    const __m128i first = _mm_alignr_epi8(block, before, 15);
    const __m128i first_high = _mm_and_si128(_mm_srli_epi16(first, 4), nibble);
    const __m128i first_low = _mm_and_si128(first, nibble);
    const __m128i second_high = _mm_and_si128(_mm_srli_epi16(block, 4), nibble);
    const __m128i pair =
        _mm_and_si128(_mm_and_si128(_mm_shuffle_epi8(_mm_setr_epi8(BLOCK_FIRST_HIGH), first_high),
                                    _mm_shuffle_epi8(_mm_setr_epi8(BLOCK_FIRST_LOW), first_low)),
                      _mm_shuffle_epi8(_mm_setr_epi8(BLOCK_SECOND_HIGH), second_high));
    const __m128i third =
        _mm_subs_epu8(_mm_alignr_epi8(block, before, 14), _mm_set1_epi8(BLOCK_LEAD_3));
    const __m128i fourth =
        _mm_subs_epu8(_mm_alignr_epi8(block, before, 13), _mm_set1_epi8(BLOCK_LEAD_4));
    const __m128i due =
        _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8((char)BLOCK_CONTINUING));
    const __m128i fine = _mm_cmpeq_epi8(pair, due);
    return (uint32_t)_mm_movemask_epi8(fine) ^ 0xffff;
}

SIMD_BLOCK_INLINE bool ends_inside(__m128i block)
{
    const __m128i most = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                       (char)BLOCK_THIRD_LAST_MAX, (char)BLOCK_SECOND_LAST_MAX,
                                       (char)BLOCK_LAST_MAX);
    const __m128i above = _mm_subs_epu8(block, most);
    return !_mm_testz_si128(above, above);
}

/* At most 16 bytes. */
SIMD_BLOCK_INLINE uint32_t pass_small(uint8_t *data, size_t size, uint32_t key, uint32_t state,
                                      bool write)
{
    const struct simd_block_words words = simd_block_unmask(data, size, key, write);
    if (((words.low | words.high) & 0x8080808080808080) == 0 && state == 0) {
        return 0;
    }
    const __m128i block = _mm_set_epi64x((long long)words.high, (long long)words.low);
    const uint32_t counted = (1U << size) - 1;
    if ((faults(block, _mm_set1_epi32((int)state)) & counted) != 0) {
        return SIMD_UTF8_BAD;
    }
    return simd_block_pending(data, size, state);
}

/* More than 16 bytes. */
SIMD_BLOCK_INLINE uint32_t pass_large(uint8_t *data, size_t size, uint32_t key, uint32_t state,
                                      bool write)
{
    const __m128i keys = _mm_set1_epi32((int)key);
    const __m128i end =
        _mm_xor_si128(load(data + size - WIDTH), _mm_set1_epi32((int)simd_block_turn(key, size)));
    __m128i before = _mm_set1_epi32((int)state);
    bool ascii = state == 0; /* all of `before` */
    uint32_t bad = 0;
    size_t i = 0;

    for (; size - i > WIDTH; i += WIDTH) {
        const __m128i block = _mm_xor_si128(load(data + i), keys);
        if (write) {
            store(data + i, block);
        }
        const bool block_ascii = _mm_movemask_epi8(block) == 0;
        if (!block_ascii || !ascii) {
            bad |= faults(block, before);
        }
        ascii = block_ascii;
        before = block;
    }
    if (write) {
        store(data + size - WIDTH, end);
    }
    if (_mm_movemask_epi8(end) == 0 && ascii) {
        return bad == 0 ? 0 : SIMD_UTF8_BAD;
    }
    /* Of the last block only its last size - i bytes are new, and mostly not its first three. */
    const size_t fresh = size - i;
    uint32_t before_end = 0;
    if (fresh > WIDTH - 3) {
        before_end = simd_block_load4(data + size - WIDTH - sizeof(before_end));
    }
    bad |= faults(end, _mm_set1_epi32((int)before_end)) >> (WIDTH - fresh);
    if (bad != 0) {
        return SIMD_UTF8_BAD;
    }
    return ends_inside(end) ? simd_block_pending(data, size, state) : 0;
}

static void unmask(uint8_t *data, size_t size, uint32_t key)
{
    const __m128i keys = _mm_set1_epi32((int)key);

    if (size < WIDTH) {
        (void)simd_block_unmask(data, size, key, true);
        return;
    }
    const __m128i end =
        _mm_xor_si128(load(data + size - WIDTH), _mm_set1_epi32((int)simd_block_turn(key, size)));
    uint8_t *const last = data + size - WIDTH;
    for (; data < last; data += WIDTH) {
        store(data, _mm_xor_si128(load(data), keys));
    }
    store(last, end);
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

const struct simd_ops simd_sse4 = {
    .level = CPU_SIMD_SSE4,
    .unmask = unmask,
    .validate = validate,
    .unmask_validate = unmask_validate,
};
