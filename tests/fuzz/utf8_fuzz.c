/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unmasking and validation, every variant against the scalar one and pieces against the whole.
 *
 * Input: four bytes of key, then pieces: one byte of size, that many bytes (or what is left).
 * The pieces together are the text. The scalar variant judges it in one piece; then each variant
 * takes the pieces, masked, in exact-size heap copies: alone, fused, and validation only. After
 * each piece the state must be that of the scalar variant; after the last, that of the whole.
 */
#include "proto/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEY_SIZE = 4 };

/* Cuts the next piece off the input. Nothing is left when its size is 0 and it was the last. */
static struct bytes next_piece(struct bytes *input)
{
    const size_t left = input->size - 1;
    const size_t size = input->data[0] < left ? input->data[0] : left;
    const struct bytes piece = {input->data + 1, size};
    *input = (struct bytes){input->data + 1 + size, left - size};
    return piece;
}

static uint8_t *copy_of(struct bytes piece)
{
    uint8_t *copy = malloc(piece.size + (piece.size == 0));
    CHECK(copy != NULL);
    if (piece.size > 0) {
        memcpy(copy, piece.data, piece.size);
    }
    return copy;
}

/* Where the text stands, for the variant under test and for the scalar one. */
struct standing {
    struct mask mask;
    struct utf8_state state;
    struct utf8_state scalar;
};

static void take_piece(const struct simd_ops *ops, struct standing *standing, struct bytes piece)
{
    uint8_t *const copy = copy_of(piece);
    const struct span span = {copy, piece.size};

    /* Masking is its own inverse: there and back with another variant. */
    struct mask mask = standing->mask;
    mask_apply(ops, &mask, span);
    mask = standing->mask;
    mask_apply(&simd_scalar, &mask, span);
    CHECK(piece.size == 0 || memcmp(copy, piece.data, piece.size) == 0);

    struct utf8_state alone = standing->state;
    const enum utf8_verdict expected = utf8_check(&simd_scalar, &standing->scalar, piece);
    CHECK(utf8_check(ops, &alone, (struct bytes){copy, piece.size}) == expected);
    CHECK(alone.pending == standing->scalar.pending);

    mask = standing->mask;
    mask_apply(&simd_scalar, &mask, span);
    CHECK(mask_apply_utf8(ops, &standing->mask, &standing->state, span) == expected);
    CHECK(standing->state.pending == standing->scalar.pending);
    CHECK(standing->mask.key == mask.key);
    CHECK(piece.size == 0 || memcmp(copy, piece.data, piece.size) == 0);
    free(copy);
}

/* The pieces behind each other, in an exact-size heap copy that the caller frees. */
static struct span whole_text(struct bytes input)
{
    uint8_t *const text = malloc(input.size + (input.size == 0));
    CHECK(text != NULL);
    size_t size = 0;
    while (input.size > 0) {
        const struct bytes piece = next_piece(&input);
        memcpy(text + size, piece.data, piece.size);
        size += piece.size;
    }
    return (struct span){text, size};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < KEY_SIZE) {
        return 0;
    }
    const struct bytes input = {data + KEY_SIZE, size - KEY_SIZE};
    const struct span text = whole_text(input);
    const struct bytes whole = {text.data, text.size};
    struct utf8_state end = {0};
    const enum utf8_verdict verdict = utf8_check(&simd_scalar, &end, whole);

    for (int level = CPU_SIMD_SCALAR; level <= (int)cpu_simd_best(); level++) {
        const struct simd_ops *ops = simd_choose((enum cpu_simd)level);
        struct utf8_state in_one = {0};
        CHECK(utf8_check(ops, &in_one, whole) == verdict);
        CHECK(in_one.pending == end.pending);

        struct standing standing = {.mask = mask_start(data)};
        struct bytes left = input;
        while (left.size > 0) {
            take_piece(ops, &standing, next_piece(&left));
        }
        CHECK(standing.state.pending == end.pending);
        CHECK(utf8_is_complete(standing.state) == utf8_is_complete(end));
    }
    free(text.data);
    return 0;
}
