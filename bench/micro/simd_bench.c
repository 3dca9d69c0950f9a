/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each variant over texts in the cache, one after the other, again and again: ns per call.
 * Small texts are PIECE_COUNT in number, for a message just received is not one that was written a
 * nanosecond ago: a single one would make each call wait for the stores of the call before.
 * "separate" is unmask, then validate: what "fused" has to beat. In these two the key is 0, so that
 * the text is still text the next time; no variant looks at the value of the key.
 */
#include "proto/simd.h"

#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "core/check.h"

enum {
    PIECE_COUNT = 16, /* a power of two; of them at most 16 KiB: the first-level cache */
    PIECE_SIZE_MAX = 1024,
};

enum text { TEXT_ASCII, TEXT_CJK };

struct pieces {
    const struct simd_ops *ops;
    uint8_t *data; /* `count` texts of `size` bytes, one in each `stride` */
    size_t size;
    size_t stride;
    size_t count; /* a power of two */
};

static uint8_t *piece_at(const struct pieces *pieces, uint64_t i)
{
    return pieces->data + (i & (pieces->count - 1)) * pieces->stride;
}

static void *pieces_setup(const struct micro_case *row)
{
    static const char cjk[] = "\xe6\xbc\xa2\xe5\xad\x97\xe8\xaa\x9e";

    if (row->variant > (int)cpu_simd_best()) {
        return NULL;
    }
    struct pieces *pieces = malloc(sizeof(*pieces));
    CHECK(pieces != NULL);
    *pieces = (struct pieces){
        .ops = simd_choose((enum cpu_simd)row->variant),
        .size = row->size,
        .stride = (row->size + 63) / 64 * 64,
        .count = row->size <= PIECE_SIZE_MAX ? PIECE_COUNT : 1,
    };
    pieces->data = aligned_alloc(64, pieces->count * pieces->stride);
    CHECK(pieces->data != NULL);
    for (size_t i = 0; i < pieces->count; i++) {
        for (size_t k = 0; k < pieces->size; k++) {
            piece_at(pieces, i)[k] = row->text == TEXT_CJK ? (uint8_t)cjk[k % (sizeof(cjk) - 1)]
                                                           : (uint8_t)('a' + k % 26);
        }
    }
    CHECK(pieces->ops->validate(pieces->data, pieces->size, 0) != SIMD_UTF8_BAD);
    return pieces;
}

static void pieces_teardown(void *context)
{
    struct pieces *pieces = context;
    free(pieces->data);
    free(pieces);
}

static void unmask_run(void *context, uint64_t iterations)
{
    const struct pieces *pieces = context;
    for (uint64_t i = 0; i < iterations; i++) {
        pieces->ops->unmask(piece_at(pieces, i), pieces->size, 0x9d5c31a7);
    }
}

static void validate_run(void *context, uint64_t iterations)
{
    const struct pieces *pieces = context;
    for (uint64_t i = 0; i < iterations; i++) {
        micro_keep(pieces->ops->validate(piece_at(pieces, i), pieces->size, 0));
    }
}

static void fused_run(void *context, uint64_t iterations)
{
    const struct pieces *pieces = context;
    for (uint64_t i = 0; i < iterations; i++) {
        micro_keep(pieces->ops->unmask_validate(piece_at(pieces, i), pieces->size, 0, 0));
    }
}

static void separate_run(void *context, uint64_t iterations)
{
    const struct pieces *pieces = context;
    for (uint64_t i = 0; i < iterations; i++) {
        pieces->ops->unmask(piece_at(pieces, i), pieces->size, 0);
        micro_keep(pieces->ops->validate(piece_at(pieces, i), pieces->size, 0));
    }
}

#define CASE(what, label, level, text_label, which, bytes)                                         \
    {                                                                                              \
        .name = "proto/simd/" #what "/" label "/" text_label "/" #bytes, .setup = pieces_setup,    \
        .run = what##_run, .teardown = pieces_teardown, .size = (bytes), .variant = (level),       \
        .text = (which), .bytes_per_iteration = (bytes)                                            \
    }

#define SIZES(what, label, level, text_label, which)                                               \
    CASE(what, label, level, text_label, which, 16),                                               \
        CASE(what, label, level, text_label, which, 64),                                           \
        CASE(what, label, level, text_label, which, 125),                                          \
        CASE(what, label, level, text_label, which, 1024),                                         \
        CASE(what, label, level, text_label, which, 65536)

#define TEXTS(what, label, level)                                                                  \
    SIZES(what, label, level, "ascii", TEXT_ASCII), SIZES(what, label, level, "cjk", TEXT_CJK)

#define VARIANT(label, level)                                                                      \
    SIZES(unmask, label, level, "any", TEXT_ASCII), TEXTS(validate, label, level),                 \
        TEXTS(fused, label, level), TEXTS(separate, label, level)

const struct micro_case simd_micro_cases[] = {
    VARIANT("scalar", CPU_SIMD_SCALAR),
    VARIANT("sse4", CPU_SIMD_SSE4),
    VARIANT("avx2", CPU_SIMD_AVX2),
    VARIANT("avx512", CPU_SIMD_AVX512),
    {.name = NULL},
};
