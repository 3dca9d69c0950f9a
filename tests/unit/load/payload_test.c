/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads: what is written is read again, is valid text that needs no escape, and no byte of it
 * can change unseen. Sizes: what can be read, and that a pick is in range and always the same.
 */
#include "bench/load/payload.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "proto/simd.h"
#include "proto/utf8.h"

enum { SIZE_MAX_TRIED = 300 };

static const enum payload_script scripts[] = {PAYLOAD_ASCII, PAYLOAD_LATIN, PAYLOAD_CJK,
                                              PAYLOAD_EMOJI};

START_TEST(comes_back_as_text)
{
    struct payload_source *source = payload_source_create(scripts[_i], SIZE_MAX_TRIED, 7);
    const struct payload_stamp stamp = {.sender = PAYLOAD_SENDER_MAX, .number = UINT32_MAX};
    const struct simd_ops *simd = simd_choose(CPU_SIMD_SCALAR);
    ck_assert_ptr_nonnull(source);

    for (size_t size = PAYLOAD_SIZE_MIN; size <= SIZE_MAX_TRIED; size++) {
        uint8_t *text = malloc(size); /* its exact size, for AddressSanitizer */
        struct payload_stamp read = {0};
        struct utf8_state state = {0};
        ck_assert_ptr_nonnull(text);
        payload_write(source, stamp, size, text);
        ck_assert(payload_read((struct bytes){text, size}, &read));
        ck_assert_uint_eq(read.sender, stamp.sender);
        ck_assert_uint_eq(read.number, stamp.number);
        ck_assert_int_eq(utf8_check(simd, &state, (struct bytes){text, size}), UTF8_VALID);
        ck_assert(utf8_is_complete(state));
        for (size_t i = 0; i < size; i++) {
            ck_assert(text[i] >= ' ' && strchr("\"\\<&\x7f", text[i]) == NULL);
        }
        free(text);
    }
    payload_source_destroy(source);
}
END_TEST

START_TEST(no_byte_changes_unseen)
{
    struct payload_source *source = payload_source_create(PAYLOAD_ASCII, SIZE_MAX_TRIED, 7);
    const struct payload_stamp stamp = {.sender = 5, .number = 70000};
    ck_assert_ptr_nonnull(source);

    for (size_t size = PAYLOAD_SIZE_MIN; size <= 80; size++) {
        uint8_t text[80];
        struct payload_stamp read = {.sender = 1, .number = 2};
        payload_write(source, stamp, size, text);
        for (size_t i = 0; i < size; i++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                text[i] ^= (uint8_t)(1u << bit);
                ck_assert_msg(!payload_read((struct bytes){text, size}, &read), "byte %zu", i);
                text[i] ^= (uint8_t)(1u << bit);
            }
        }
        ck_assert(!payload_read((struct bytes){text, size - 1}, &read));
        ck_assert_uint_eq(read.sender, 1);
        ck_assert_uint_eq(read.number, 2);
    }
    payload_source_destroy(source);
}
END_TEST

static const struct {
    const char *text;
    uint32_t count; /* of ranges; 0: refused */
    uint32_t most;
} sizes_cases[] = {
    {"64", 1, 64},
    {"16", 1, 16},
    {"16777216", 1, 16777216},
    {"20-512", 1, 512},
    {"64*9,1000-2000*1", 2, 2000},
    {"64,64,64", 3, 64},
    {"", 0, 0},
    {"15", 0, 0},
    {"16777217", 0, 0},
    {"512-20", 0, 0},
    {"64*0", 0, 0},
    {"64,", 0, 0},
    {"64x", 0, 0},
    {"-64", 0, 0},
    {"64-", 0, 0},
    {" 64", 0, 0},
    {"99999999999999999999", 0, 0},
    {"16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16,16", 0, 0},
};

START_TEST(reads_sizes)
{
    struct payload_sizes sizes = {.count = 99};
    const bool is_read = payload_sizes_parse(sizes_cases[_i].text, &sizes);

    ck_assert_msg(is_read == (sizes_cases[_i].count > 0), "%s", sizes_cases[_i].text);
    ck_assert_uint_eq(sizes.count, is_read ? sizes_cases[_i].count : 99);
    if (is_read) {
        ck_assert_uint_eq(payload_sizes_max(&sizes), sizes_cases[_i].most);
    }
}
END_TEST

START_TEST(picks_by_weight)
{
    struct payload_sizes sizes;
    uint32_t small = 0;
    ck_assert(payload_sizes_parse("64*9,1000-2000*1", &sizes));

    for (uint32_t i = 0; i < 10000; i++) {
        const struct payload_stamp stamp = {.sender = i % 10, .number = i / 10};
        const uint32_t size = payload_sizes_pick(&sizes, stamp, 3);
        ck_assert_uint_eq(size, payload_sizes_pick(&sizes, stamp, 3));
        ck_assert(size == 64 || (size >= 1000 && size <= 2000));
        small += size == 64;
    }
    ck_assert(small > 8800 && small < 9200);
}
END_TEST

START_TEST(knows_scripts)
{
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        enum payload_script script;
        ck_assert(payload_script_from_name(payload_script_name(scripts[i]), &script));
        ck_assert_int_eq(script, scripts[i]);
    }
    enum payload_script script = PAYLOAD_CJK;
    ck_assert(!payload_script_from_name("Latin", &script));
    ck_assert_int_eq(script, PAYLOAD_CJK);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("payload");
    tcase_add_loop_test(cases, comes_back_as_text, 0, sizeof(scripts) / sizeof(scripts[0]));
    tcase_add_test(cases, no_byte_changes_unseen);
    tcase_add_loop_test(cases, reads_sizes, 0, sizeof(sizes_cases) / sizeof(sizes_cases[0]));
    tcase_add_test(cases, picks_by_weight);
    tcase_add_test(cases, knows_scripts);
    Suite *suite = suite_create("load/payload");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
