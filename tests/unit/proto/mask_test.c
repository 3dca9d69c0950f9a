/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unmasking, alone and fused with validation: each variant that this machine has against a loop
 * over bytes, for all sizes 0-300, all offsets 0-63 to a cache line and all four phases of the
 * key, in ASCII and in a mixed text with and without a fault. The bytes around the piece must
 * stay as they were. Then in pieces, and in exact-size heap copies for AddressSanitizer.
 */
#include "proto/mask.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_TESTED = 300, OFFSETS = 64, MARGIN = 64 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint8_t keys[][4] = {
    {0x37, 0xfa, 0x21, 0x3d}, {0x00, 0x00, 0x00, 0x00}, {0x80, 0x01, 0xff, 0x7f}};

enum text_kind { TEXT_ASCII, TEXT_MIXED, TEXT_BAD, TEXT_KINDS };

static void make_text(enum text_kind kind, uint8_t *text, size_t size)
{
    static const char mixed[] = "parley \u00e9\u4e2d\u6587\u3002\U0001f600 \u05d0, \u65e5\u672c"
                                "\u8a9e\uc548\ub155\U0010ffff\u07ff\u0800\ud7ff\ue000. ";
    for (size_t i = 0; i < size; i++) {
        text[i] = kind == TEXT_ASCII ? (uint8_t)(i % 128) : (uint8_t)mixed[i % (COUNT(mixed) - 1)];
    }
    if (kind == TEXT_BAD && size > 0) {
        text[size * 5 / 7] = (uint8_t)(0x80 + size % 128);
    }
}

static void mask_by_bytes(uint8_t *data, size_t size, const uint8_t key[4], size_t phase)
{
    for (size_t i = 0; i < size; i++) {
        data[i] ^= key[(phase + i) % 4];
    }
}

static const struct simd_ops *variant(int level)
{
    return level <= (int)cpu_simd_best() ? simd_choose((enum cpu_simd)level) : NULL;
}

static struct mask mask_at(const uint8_t key[4], size_t phase)
{
    struct mask mask = mask_start(key);
    mask_skip(&mask, phase);
    return mask;
}

/* A text with what the scalar variant says of it. */
struct sample {
    enum text_kind kind;
    size_t size;
    uint8_t text[SIZE_MAX_TESTED];
    enum utf8_verdict verdict;
    struct utf8_state state;
};

static struct sample make_sample(enum text_kind kind, size_t size)
{
    struct sample sample = {.kind = kind, .size = size};
    make_text(kind, sample.text, size);
    sample.verdict =
        utf8_check(&simd_scalar, &sample.state, (struct bytes){sample.text, sample.size});
    return sample;
}

/*
 * One piece, in the middle of a buffer whose every other byte is watched. Plain comparisons: each
 * ck_assert writes a message to Check, and this runs for every size, offset and phase.
 */
static void expect_piece(const struct simd_ops *ops, const struct sample *sample, size_t offset,
                         size_t phase)
{
    _Alignas(64) uint8_t buffer[MARGIN + OFFSETS + SIZE_MAX_TESTED + MARGIN];
    uint8_t expected[sizeof(buffer)];
    uint8_t masked[sizeof(buffer)];
    const uint8_t *key = keys[(sample->size + offset) % COUNT(keys)];
    const struct span piece = {buffer + MARGIN + offset, sample->size};
    const size_t used = MARGIN + offset + sample->size + MARGIN;

    memset(expected, 0xc3, used); /* a lead: whoever looks outside finds a fault */
    memcpy(expected + MARGIN + offset, sample->text, sample->size);
    memcpy(masked, expected, used);
    mask_by_bytes(masked + MARGIN + offset, sample->size, key, phase);
    const uint32_t key_after = mask_at(key, phase + sample->size).key;

    memcpy(buffer, masked, used);
    struct mask mask = mask_at(key, phase);
    mask_apply(ops, &mask, piece);
    const bool unmasked = memcmp(buffer, expected, used) == 0 && mask.key == key_after;

    memcpy(buffer, masked, used);
    mask = mask_at(key, phase);
    struct utf8_state state = {0};
    const bool fused = mask_apply_utf8(ops, &mask, &state, piece) == sample->verdict &&
                       state.pending == sample->state.pending &&
                       memcmp(buffer, expected, used) == 0 && mask.key == key_after;

    state = (struct utf8_state){0};
    const bool validated =
        utf8_check(ops, &state, (struct bytes){piece.data, piece.size}) == sample->verdict &&
        state.pending == sample->state.pending;
    if (!unmasked || !fused || !validated) {
        ck_abort_msg("%s, text %d, %zu bytes at %zu, phase %zu: unmasked %d, fused %d, alone %d",
                     cpu_simd_name(ops->level), (int)sample->kind, sample->size, offset, phase,
                     unmasked, fused, validated);
    }
}

START_TEST(all_sizes_offsets_phases)
{
    const struct simd_ops *ops = variant(_i / TEXT_KINDS);
    if (ops == NULL) {
        return;
    }
    for (size_t size = 0; size <= SIZE_MAX_TESTED; size++) {
        const struct sample sample = make_sample((enum text_kind)(_i % TEXT_KINDS), size);
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            for (size_t phase = 0; phase < 4; phase++) {
                expect_piece(ops, &sample, offset, phase);
            }
        }
    }
}
END_TEST

/* As above, but nothing may be read or written around the piece: the heap copy ends with it. */
START_TEST(nothing_outside_is_touched)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    for (size_t size = 0; size <= SIZE_MAX_TESTED; size++) {
        for (enum text_kind kind = TEXT_ASCII; kind < TEXT_KINDS; kind++) {
            uint8_t text[SIZE_MAX_TESTED];
            make_text(kind, text, size);
            uint8_t *data = malloc(size + (size == 0));
            ck_assert_ptr_nonnull(data);
            memcpy(data, text, size);
            mask_by_bytes(data, size, keys[0], 0);

            struct mask mask = mask_start(keys[0]);
            mask_apply(ops, &mask, (struct span){data, size});
            ck_assert_int_eq(memcmp(data, text, size), 0);
            mask_by_bytes(data, size, keys[0], 0);

            mask = mask_start(keys[0]);
            struct utf8_state state = {0};
            struct utf8_state expected = {0};
            ck_assert_int_eq(mask_apply_utf8(ops, &mask, &state, (struct span){data, size}),
                             utf8_check(&simd_scalar, &expected, (struct bytes){text, size}));
            ck_assert_int_eq(memcmp(data, text, size), 0);
            ck_assert_uint_eq(state.pending, expected.pending);
            free(data);
        }
    }
}
END_TEST

START_TEST(nothing_is_a_piece)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    struct mask mask = mask_start(keys[0]);
    struct utf8_state state = {.pending = 0xe4000000};
    mask_apply(ops, &mask, (struct span){NULL, 0});
    ck_assert_int_eq(mask_apply_utf8(ops, &mask, &state, (struct span){NULL, 0}), UTF8_VALID);
    ck_assert_uint_eq(mask.key, mask_start(keys[0]).key);
    ck_assert_uint_eq(state.pending, 0xe4000000);
}
END_TEST

/* Unmasks and checks the next piece by `ops`, and compares with the scalar states. */
static void expect_next(const struct simd_ops *ops, struct mask *mask, struct utf8_state *state,
                        struct span piece, const uint8_t *text)
{
    struct utf8_state expected = *state;
    const enum utf8_verdict verdict =
        utf8_check(&simd_scalar, &expected, (struct bytes){text, piece.size});

    ck_assert_int_eq(mask_apply_utf8(ops, mask, state, piece), verdict);
    ck_assert_int_eq(memcmp(piece.data, text, piece.size), 0);
    ck_assert_uint_eq(state->pending, expected.pending);
}

START_TEST(goes_on_at_every_split)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    uint8_t text[SIZE_MAX_TESTED];
    uint8_t data[SIZE_MAX_TESTED];

    for (enum text_kind kind = TEXT_ASCII; kind < TEXT_KINDS; kind++) {
        make_text(kind, text, sizeof(text));
        for (size_t cut = 0; cut <= sizeof(text); cut++) {
            memcpy(data, text, sizeof(text));
            mask_by_bytes(data, sizeof(data), keys[0], 0);
            struct mask mask = mask_start(keys[0]);
            struct utf8_state state = {0};
            expect_next(ops, &mask, &state, (struct span){data, cut}, text);
            expect_next(ops, &mask, &state, (struct span){data + cut, sizeof(data) - cut},
                        text + cut);
        }
    }
}
END_TEST

/* Many pieces of seeded sizes, taken in turns by this variant and the scalar one. */
START_TEST(goes_on_over_many_pieces)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    uint8_t text[SIZE_MAX_TESTED];
    uint8_t data[SIZE_MAX_TESTED];
    uint32_t random = 2463534242;

    for (size_t round = 0; round < 3000; round++) {
        const uint8_t *key = keys[round % COUNT(keys)];
        make_text((enum text_kind)(round % TEXT_KINDS), text, sizeof(text));
        memcpy(data, text, sizeof(text));
        mask_by_bytes(data, sizeof(data), key, 0);
        struct mask mask = mask_start(key);
        struct utf8_state state = {0};
        for (size_t start = 0, piece = 0; start < sizeof(text); start += piece) {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            const size_t left = sizeof(text) - start;
            piece = 1 + random % (random >> 16 & 1 ? 8 : 140);
            piece = piece < left ? piece : left;
            expect_next(random >> 17 & 1 ? ops : &simd_scalar, &mask, &state,
                        (struct span){data + start, piece}, text + start);
        }
    }
}
END_TEST

START_TEST(unmasks_after_a_fault)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    uint8_t data[] = {0xff, 'a', 'b', 'c', 'd', 'e', 'f'};
    uint8_t text[sizeof(data)];
    memcpy(text, data, sizeof(data));
    mask_by_bytes(data, sizeof(data), keys[0], 0);

    struct mask mask = mask_start(keys[0]);
    struct utf8_state state = {0};
    ck_assert_int_eq(mask_apply_utf8(ops, &mask, &state, (struct span){data, 3}), UTF8_INVALID);
    ck_assert_int_eq(mask_apply_utf8(ops, &mask, &state, (struct span){data + 3, 4}), UTF8_INVALID);
    ck_assert_mem_eq(data, text, sizeof(data));
    ck_assert(!utf8_is_complete(state));
}
END_TEST

int main(void)
{
    const int levels = CPU_SIMD_AVX512 + 1;
    TCase *pieces = tcase_create("pieces");
    tcase_add_loop_test(pieces, all_sizes_offsets_phases, 0, levels * TEXT_KINDS);
    tcase_add_loop_test(pieces, nothing_outside_is_touched, 0, levels);
    tcase_add_loop_test(pieces, nothing_is_a_piece, 0, levels);
    tcase_add_loop_test(pieces, goes_on_at_every_split, 0, levels);
    tcase_add_loop_test(pieces, goes_on_over_many_pieces, 0, levels);
    tcase_add_loop_test(pieces, unmasks_after_a_fault, 0, levels);
    Suite *suite = suite_create("proto/mask");
    suite_add_tcase(suite, pieces);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
