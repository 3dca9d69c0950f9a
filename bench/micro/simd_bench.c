/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each variant over one piece of text in the cache, again and again: ns per call.
 * "separate" is unmask, then validate: what "fused" has to beat. In these two the key is 0, so that
 * the text is still text the next time; no variant looks at the value of the key.
 */
#include "proto/simd.h"

#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "core/check.h"

enum text { TEXT_ASCII, TEXT_CJK };

struct piece {
    const struct simd_ops *ops;
    uint8_t *data;
    size_t size;
};

static void *piece_setup(const struct micro_case *row)
{
    static const char cjk[] = "\xe6\xbc\xa2\xe5\xad\x97\xe8\xaa\x9e";

    if (row->variant > (int)cpu_simd_best()) {
        return NULL;
    }
    struct piece *piece = malloc(sizeof(*piece));
    CHECK(piece != NULL);
    piece->ops = simd_choose((enum cpu_simd)row->variant);
    piece->size = row->size;
    piece->data = malloc(piece->size);
    CHECK(piece->data != NULL);
    for (size_t i = 0; i < piece->size; i++) {
        piece->data[i] =
            row->text == TEXT_CJK ? (uint8_t)cjk[i % (sizeof(cjk) - 1)] : (uint8_t)('a' + i % 26);
    }
    CHECK(piece->ops->validate(piece->data, piece->size, 0) != SIMD_UTF8_BAD);
    return piece;
}

static void piece_teardown(void *context)
{
    struct piece *piece = context;
    free(piece->data);
    free(piece);
}

static void unmask_run(void *context, uint64_t iterations)
{
    const struct piece *piece = context;
    for (uint64_t i = 0; i < iterations; i++) {
        piece->ops->unmask(piece->data, piece->size, 0x9d5c31a7);
    }
}

static void validate_run(void *context, uint64_t iterations)
{
    const struct piece *piece = context;
    for (uint64_t i = 0; i < iterations; i++) {
        micro_keep(piece->ops->validate(piece->data, piece->size, 0));
    }
}

static void fused_run(void *context, uint64_t iterations)
{
    const struct piece *piece = context;
    for (uint64_t i = 0; i < iterations; i++) {
        micro_keep(piece->ops->unmask_validate(piece->data, piece->size, 0, 0));
    }
}

static void separate_run(void *context, uint64_t iterations)
{
    const struct piece *piece = context;
    for (uint64_t i = 0; i < iterations; i++) {
        piece->ops->unmask(piece->data, piece->size, 0);
        micro_keep(piece->ops->validate(piece->data, piece->size, 0));
    }
}

#define CASE(what, label, level, text_label, which, bytes)                                         \
    {                                                                                              \
        .name = "proto/simd/" #what "/" label "/" text_label "/" #bytes, .setup = piece_setup,     \
        .run = what##_run, .teardown = piece_teardown, .size = (bytes), .variant = (level),        \
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
