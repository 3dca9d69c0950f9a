/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 validation, each variant that this machine has against an independent decoder: the rows
 * of the grammar in RFC 3629 section 4. It tells for each text which byte is the first impossible
 * one, and after which bytes the text may end.
 *
 * Exhaustive over all texts of one to three bytes; over all of four interesting bytes at every
 * split; over interesting sequences at every place of texts longer than two vectors, in ASCII and
 * in CJK. A text is valid up to a byte if and only if no prefix was refused, so "at the first
 * impossible byte" is: each prefix gets the verdict of the grammar.
 */
#include "proto/utf8.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 132 }; /* more than two vectors of 64 bytes */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    size_t size;
    uint8_t low[4];
    uint8_t high[4];
} grammar[] = {
    {1, {0x00}, {0x7f}},
    {2, {0xc2, 0x80}, {0xdf, 0xbf}},
    {3, {0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}},
    {3, {0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}},
    {3, {0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}},
    {3, {0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}},
    {4, {0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}},
    {4, {0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}},
    {4, {0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}},
};

struct judgement {
    size_t possible; /* bytes before the first impossible one */
    bool complete;   /* all are possible, and the last one ends a character */
};

/* How many of the bytes fit one row, from its first. */
static size_t fits(size_t row, const uint8_t *text, size_t size)
{
    size_t i = 0;
    while (i < size && i < grammar[row].size && text[i] >= grammar[row].low[i] &&
           text[i] <= grammar[row].high[i]) {
        i++;
    }
    return i;
}

static struct judgement judge(const uint8_t *text, size_t size)
{
    size_t start = 0;
    while (start < size) {
        size_t most = 0;
        bool whole = false;
        for (size_t row = 0; row < COUNT(grammar) && !whole; row++) {
            const size_t fit = fits(row, text + start, size - start);
            most = fit > most ? fit : most;
            whole = fit == grammar[row].size;
        }
        if (!whole) {
            return (struct judgement){.possible = start + most, .complete = false};
        }
        start += most;
    }
    return (struct judgement){.possible = size, .complete = true};
}

/* Gives the variant of a loop test, or NULL if this machine does not have it. */
static const struct simd_ops *variant(int level)
{
    return level <= (int)cpu_simd_best() ? simd_choose((enum cpu_simd)level) : NULL;
}

static void expect_judged(const char *why, const struct simd_ops *ops, struct bytes text,
                          struct judgement expected)
{
    struct utf8_state state = {0};
    const enum utf8_verdict verdict = utf8_check(ops, &state, text);

    /* Each ck_assert writes a message to Check, and this runs many million times. */
    if ((verdict == UTF8_VALID) != (expected.possible == text.size) ||
        utf8_is_complete(state) != expected.complete) {
        ck_abort_msg("%s, %s: %zu bytes, %02x %02x %02x..., verdict %d, pending %08x", why,
                     cpu_simd_name(ops->level), text.size, text.data[0],
                     text.size > 1 ? text.data[1] : 0, text.size > 2 ? text.data[2] : 0,
                     (int)verdict, state.pending);
    }
}

static void expect(const char *why, const struct simd_ops *ops, const uint8_t *text, size_t size)
{
    expect_judged(why, ops, (struct bytes){text, size}, judge(text, size));
}

static const struct {
    const char *why;
    size_t possible; /* bytes before the first impossible one */
    bool complete;
    size_t size;
    uint8_t text[8];
} text_cases[] = {
    {"nothing", 0, true, 0, {0}},
    {"nul is a character", 1, true, 1, {0}},
    {"a continuation alone", 0, false, 1, {0x80}},
    {"two of two", 2, true, 2, {0xc3, 0xa9}},
    {"one of two", 1, false, 1, {0xc3}},
    {"two of three", 2, false, 2, {0xe2, 0x82}},
    {"three of four", 3, false, 3, {0xf0, 0x9f, 0x98}},
    {"four of four", 4, true, 4, {0xf0, 0x9f, 0x98, 0x80}},
    {"c0 begins nothing", 0, false, 1, {0xc0}},
    {"c1 begins nothing", 0, false, 1, {0xc1}},
    {"f5 begins nothing", 0, false, 1, {0xf5}},
    {"ff begins nothing", 0, false, 1, {0xff}},
    {"overlong three, at the second byte", 1, false, 2, {0xe0, 0x9f}},
    {"overlong four, at the second byte", 1, false, 2, {0xf0, 0x8f}},
    {"surrogate, at the second byte", 1, false, 2, {0xed, 0xa0}},
    {"last before the surrogates", 3, true, 3, {0xed, 0x9f, 0xbf}},
    {"above U+10FFFF, at the second byte", 1, false, 2, {0xf4, 0x90}},
    {"U+10FFFF", 4, true, 4, {0xf4, 0x8f, 0xbf, 0xbf}},
    {"ASCII in a sequence", 2, false, 3, {0xe2, 0x82, 0x41}},
    {"a lead in a sequence", 2, false, 3, {0xe2, 0x82, 0xc3}},
    {"one continuation too many", 3, false, 4, {'a', 0xc3, 0xa9, 0xa9}},
    {"valid, then half", 4, false, 4, {0xc3, 0xa9, 'a', 0xc3}},
};

START_TEST(judges_table)
{
    const uint8_t *text = text_cases[_i].text;
    const size_t size = text_cases[_i].size;
    const struct judgement judged = judge(text, size);
    ck_assert_msg(judged.possible == text_cases[_i].possible, "%s: grammar", text_cases[_i].why);
    ck_assert_msg(judged.complete == text_cases[_i].complete, "%s: grammar", text_cases[_i].why);

    for (int level = 0; level <= (int)cpu_simd_best(); level++) {
        for (size_t prefix = 0; prefix <= size; prefix++) {
            expect(text_cases[_i].why, variant(level), text, prefix);
        }
    }
}
END_TEST

/* In one piece, then with the third byte in a piece of its own; `before` is the state there. */
static void expect_three(const struct simd_ops *ops, const uint8_t text[3],
                         struct judgement expected, struct utf8_state before)
{
    expect_judged("three bytes", ops, (struct bytes){text, 3}, expected);
    const enum utf8_verdict verdict = utf8_check(ops, &before, (struct bytes){text + 2, 1});
    if ((verdict == UTF8_VALID) != (expected.possible == 3) ||
        utf8_is_complete(before) != expected.complete) {
        ck_abort_msg("%s: %02x %02x, then %02x", cpu_simd_name(ops->level), text[0], text[1],
                     text[2]);
    }
}

/* All texts of three bytes that begin with this byte, and the shorter ones. */
START_TEST(judges_all_of_three_bytes)
{
    const struct simd_ops *variants[CPU_SIMD_AVX512 + 1];
    const int levels = (int)cpu_simd_best() + 1;
    for (int level = 0; level < levels; level++) {
        variants[level] = variant(level);
        const uint8_t text[1] = {(uint8_t)_i};
        expect("one byte", variants[level], text, 1);
    }
    for (unsigned second = 0; second < 0x100; second++) {
        uint8_t text[3] = {(uint8_t)_i, (uint8_t)second, 0};
        struct utf8_state before[CPU_SIMD_AVX512 + 1] = {0};
        for (int level = 0; level < levels; level++) {
            expect("two bytes", variants[level], text, 2);
            const struct bytes pair = {text, 2};
            ck_assert_int_eq(utf8_check(variants[level], &before[level], pair) == UTF8_VALID,
                             judge(text, 2).possible == 2);
        }
        for (unsigned third = 0; third < 0x100; third++) {
            text[2] = (uint8_t)third;
            const struct judgement expected = judge(text, 3);
            for (int level = 0; level < levels; level++) {
                expect_three(variants[level], text, expected, before[level]);
            }
        }
    }
}
END_TEST

static const uint8_t interesting[] = {
    0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
    0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xff,
};

/* Each of the eight ways to cut four bytes, compared after every piece with the grammar. */
static void expect_at_all_splits(const struct simd_ops *ops, const uint8_t text[4])
{
    struct judgement expected[5];
    for (size_t size = 1; size <= 4; size++) {
        expected[size] = judge(text, size);
    }
    for (unsigned cuts = 0; cuts < 8; cuts++) {
        struct utf8_state state = {0};
        size_t start = 0;
        for (size_t end = 1; end <= 4; end++) {
            if (end < 4 && (cuts >> (end - 1) & 1) == 0) {
                continue;
            }
            const struct bytes piece = {text + start, end - start};
            const enum utf8_verdict verdict = utf8_check(ops, &state, piece);
            if ((verdict == UTF8_VALID) != (expected[end].possible == end) ||
                utf8_is_complete(state) != expected[end].complete) {
                ck_abort_msg("%02x %02x %02x %02x, cuts %x, byte %zu", text[0], text[1], text[2],
                             text[3], cuts, end);
            }
            start = end;
        }
    }
}

START_TEST(judges_interesting_fours_at_all_splits)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    const size_t count = COUNT(interesting);
    for (size_t n = 0; n < count * count * count * count; n++) {
        const uint8_t text[4] = {
            interesting[n % count],
            interesting[n / count % count],
            interesting[n / count / count % count],
            interesting[n / count / count / count],
        };
        expect_at_all_splits(ops, text);
    }
}
END_TEST

/* First and last of every row of the grammar, each byte one too low or too high, and broken off. */
static size_t border_sequence(size_t index, uint8_t sequence[4], bool *known)
{
    enum { PER_ROW = 2 * (1 + 4 * 2 + 3) };
    const size_t row = index / PER_ROW;
    *known = row < COUNT(grammar);
    if (!*known) {
        return 0;
    }
    size_t which = index % PER_ROW;
    size_t size = grammar[row].size;
    memcpy(sequence, which % 2 == 0 ? grammar[row].low : grammar[row].high, 4);
    which /= 2;
    if (which >= 1 && which < 9) {
        const size_t byte = (which - 1) / 2;
        sequence[byte] = (uint8_t)(sequence[byte] + (which % 2 == 0 ? 1 : -1));
    } else if (which >= 9) {
        size = which - 8 < size ? which - 8 : size;
    }
    return size;
}

/* `size` bytes of ASCII or of CJK; whole characters from the start. */
static void fill(uint8_t *text, size_t size, bool cjk)
{
    static const uint8_t character[3] = {0xe6, 0xb0, 0xb4};
    for (size_t i = 0; i < size; i++) {
        text[i] = cjk ? character[i % 3] : (uint8_t)('a' + i % 26);
    }
}

START_TEST(judges_borders_at_all_places)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    bool known = true;
    for (size_t index = 0; known; index++) {
        uint8_t sequence[4];
        const size_t size = border_sequence(index, sequence, &known);
        for (size_t place = 0; known && place < PLACES; place++) {
            for (int cjk = 0; cjk <= 1; cjk++) {
                /* At the end of the text, in an exact-size heap copy for AddressSanitizer... */
                uint8_t *text = malloc(place + size);
                ck_assert_ptr_nonnull(text);
                fill(text, place, cjk);
                memcpy(text + place, sequence, size);
                expect("border at the end", ops, text, place + size);
                free(text);
                /* ...and with more behind it. */
                uint8_t longer[PLACES + 4 + 96];
                const size_t behind = 3 * (place % 32);
                fill(longer, place, cjk);
                memcpy(longer + place, sequence, size);
                fill(longer + place + size, behind, cjk);
                expect("border inside", ops, longer, place + size + behind);
            }
        }
    }
}
END_TEST

/* Mixed: every row of the grammar, in an order that a seed gives. Returns the size. */
static size_t mixed_text(uint8_t *text, size_t size_max, uint32_t random)
{
    size_t size = 0;
    while (size + 4 <= size_max) {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        const size_t row = random % COUNT(grammar);
        for (size_t i = 0; i < grammar[row].size; i++) {
            text[size++] = random >> (8 + i) & 1 ? grammar[row].low[i] : grammar[row].high[i];
        }
    }
    return size;
}

/*
 * Cut in two at each place, and each half checked by another variant: the state between must be
 * the same whoever made it, and so must the end.
 */
START_TEST(goes_on_at_every_split)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    for (uint32_t seed = 1; seed <= 40; seed++) {
        uint8_t text[220];
        const size_t size = mixed_text(text, sizeof(text), seed * 2654435761U);
        if (seed % 2 == 0) {
            text[(size_t)seed * 7 % size] ^= (uint8_t)(1 << seed % 8); /* mostly invalid then */
        }
        const struct judgement expected = judge(text, size);
        for (size_t cut = 0; cut <= size; cut++) {
            struct utf8_state state = {0};
            struct utf8_state reference = {0};
            const struct bytes start = {text, cut};
            const struct bytes end = {text + cut, size - cut};
            ck_assert_int_eq(utf8_check(ops, &state, start) == UTF8_VALID,
                             expected.possible >= cut);
            ck_assert_int_eq(utf8_check(&simd_scalar, &reference, start) == UTF8_VALID,
                             expected.possible >= cut);
            ck_assert_uint_eq(state.pending, reference.pending);
            ck_assert_int_eq(utf8_is_complete(state), judge(text, cut).complete);

            ck_assert_int_eq(utf8_check(ops, &reference, end) == UTF8_VALID,
                             expected.possible == size);
            ck_assert_int_eq(utf8_check(&simd_scalar, &state, end) == UTF8_VALID,
                             expected.possible == size);
            ck_assert_uint_eq(state.pending, reference.pending);
            ck_assert_int_eq(utf8_is_complete(state), expected.complete);
        }
    }
}
END_TEST

START_TEST(stays_invalid)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    struct utf8_state state = {0};
    const uint8_t bad[] = {'a', 0xff};
    const uint8_t good[] = {'a', 'b', 'c'};

    ck_assert_int_eq(utf8_check(ops, &state, (struct bytes){bad, 2}), UTF8_INVALID);
    ck_assert(!utf8_is_complete(state));
    ck_assert_int_eq(utf8_check(ops, &state, (struct bytes){good, 3}), UTF8_INVALID);
    ck_assert_int_eq(utf8_check(ops, &state, (struct bytes){NULL, 0}), UTF8_INVALID);
    ck_assert(!utf8_is_complete(state));
}
END_TEST

START_TEST(nothing_changes_nothing)
{
    const struct simd_ops *ops = variant(_i);
    if (ops == NULL) {
        return;
    }
    for (size_t i = 0; i < COUNT(text_cases); i++) {
        struct utf8_state state = {0};
        const struct bytes text = {text_cases[i].text, text_cases[i].size};
        const enum utf8_verdict verdict = utf8_check(ops, &state, text);
        const struct utf8_state before = state;
        ck_assert_int_eq(utf8_check(ops, &state, (struct bytes){NULL, 0}), verdict);
        ck_assert_uint_eq(state.pending, before.pending);
    }
}
END_TEST

int main(void)
{
    const int levels = CPU_SIMD_AVX512 + 1;
    TCase *verdicts = tcase_create("verdicts");
    tcase_add_loop_test(verdicts, judges_table, 0, (int)COUNT(text_cases));
    tcase_add_loop_test(verdicts, judges_all_of_three_bytes, 0, 0x100);
    tcase_add_loop_test(verdicts, judges_interesting_fours_at_all_splits, 0, levels);
    tcase_add_loop_test(verdicts, judges_borders_at_all_places, 0, levels);
    TCase *pieces = tcase_create("pieces");
    tcase_add_loop_test(pieces, goes_on_at_every_split, 0, levels);
    tcase_add_loop_test(pieces, stays_invalid, 0, levels);
    tcase_add_loop_test(pieces, nothing_changes_nothing, 0, levels);
    Suite *suite = suite_create("proto/utf8");
    suite_add_tcase(suite, verdicts);
    suite_add_tcase(suite, pieces);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
