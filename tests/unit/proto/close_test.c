/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every 16-bit close code against a list written down apart from the code; what each fault costs;
 * close frames with and without code and reason, cut between characters, in exact-size memory.
 */
#include "proto/close.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(judges_every_code)
{
    static const uint32_t protocol_codes[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                              1009, 1010, 1011, 1012, 1013, 1014};
    size_t accepted = 0;

    for (uint32_t code = 0; code <= UINT16_MAX; code++) {
        bool expected = code / 1000 == 3 || code / 1000 == 4;
        for (size_t i = 0; i < sizeof(protocol_codes) / sizeof(protocol_codes[0]); i++) {
            expected = expected || code == protocol_codes[i];
        }
        ck_assert_msg(close_code_may_be_received(code) == expected, "%u", code);
        accepted += expected ? 1 : 0;
    }
    ck_assert_uint_eq(accepted, 2012);
    ck_assert(!close_code_may_be_received(65536 + 1000));
}
END_TEST

START_TEST(each_fault_has_its_code)
{
    ck_assert_int_eq(close_code_for(STREAM_PROTOCOL_ERROR), 1002);
    ck_assert_int_eq(close_code_for(STREAM_INVALID_UTF8), 1007);
    ck_assert_int_eq(close_code_for(STREAM_TOO_BIG), 1009);
    ck_assert_int_eq(close_code_for(STREAM_TOO_MANY_FRAGMENTS), 1008);
}
END_TEST

START_TEST(writes_close_frames)
{
    static const struct {
        uint32_t code;
        const char *reason;
        const char *wire;
        size_t wire_size;
    } cases[] = {
        {CLOSE_NO_STATUS, "", "\x88\x00", 2},
        {CLOSE_NO_STATUS, "dropped", "\x88\x00", 2},
        {CLOSE_NORMAL, "", "\x88\x02\x03\xe8", 4},
        {3501, "bad request",
         "\x88\x0d\x0d\xad"
         "bad request",
         15},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *wire = malloc(cases[i].wire_size);
        ck_assert_ptr_nonnull(wire);
        const struct bytes reason = {(const uint8_t *)cases[i].reason, strlen(cases[i].reason)};
        ck_assert_uint_eq(close_write(cases[i].code, reason, wire), cases[i].wire_size);
        ck_assert_mem_eq(wire, cases[i].wire, cases[i].wire_size);
        free(wire);
    }
}
END_TEST

START_TEST(cuts_reasons_between_characters)
{
    /* a reason of `before` ASCII bytes, then characters of `width` bytes */
    static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

    for (size_t width = 1; width <= 4; width++) {
        for (size_t before = 0; before < 130; before++) {
            uint8_t reason[256];
            memset(reason, 'a', before);
            size_t size = before;
            while (size + width <= 200) {
                memcpy(reason + size, characters[width - 1], width);
                size += width;
            }
            size_t fits = before < 123 ? before + (123 - before) / width * width : 123;
            fits = fits < size ? fits : size;

            uint8_t *wire = malloc(4 + fits);
            ck_assert_ptr_nonnull(wire);
            ck_assert_uint_eq(close_write(1000, (struct bytes){reason, size}, wire), 4 + fits);
            ck_assert_uint_eq(wire[1], 2 + fits);
            ck_assert_mem_eq(wire + 4, reason, fits);
            free(wire);
        }
    }
}
END_TEST

int main(void)
{
    TCase *codes = tcase_create("close");
    tcase_add_test(codes, judges_every_code);
    tcase_add_test(codes, each_fault_has_its_code);
    tcase_add_test(codes, writes_close_frames);
    tcase_add_test(codes, cuts_reasons_between_characters);
    Suite *suite = suite_create("proto/close");
    suite_add_tcase(suite, codes);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
