/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codes against a table of their own, written from PROTOCOL.md section 4 and from what the SDK
 * does with them, not from codes.c.
 */
#include "proto/codes.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct {
    uint32_t code;
    const char *text;
    bool temporary;
} errors[] = {
    {100, "internal server error", true},
    {101, "unauthorized", false},
    {102, "unknown channel", false},
    {103, "permission denied", false},
    {104, "method not found", false},
    {105, "already subscribed", false},
    {106, "limit exceeded", false},
    {107, "bad request", false},
    {108, "not available", false},
    {109, "token expired", false},
    {110, "expired", false},
    {111, "too many requests", true},
    {112, "unrecoverable position", false},
    {113, "concurrent pagination", true},
};

static const struct {
    uint32_t code;
    const char *text;
} unsubscribes[] = {
    {2000, "server unsubscribe"},
    {2500, "insufficient state"},
    {2501, "subscription expired"},
    {2502, "state invalidated"},
};

static const struct {
    uint32_t code;
    const char *text;
} disconnects[] = {
    {3000, "connection closed"},
    {3001, "shutdown"},
    {3004, "internal server error"},
    {3005, "connection expired"},
    {3006, "subscription expired"},
    {3008, "slow"},
    {3009, "write error"},
    {3010, "insufficient state"},
    {3011, "force reconnect"},
    {3012, "no pong"},
    {3013, "too many requests"},
    {3014, "state invalidated"},
    {3500, "invalid token"},
    {3501, "bad request"},
    {3502, "stale"},
    {3503, "force disconnect"},
    {3504, "connection limit"},
    {3505, "channel limit"},
    {3506, "inappropriate protocol"},
    {3507, "permission denied"},
    {3508, "not available"},
    {3509, "too many errors"},
};

static void is_plain(const char *text)
{
    ck_assert_uint_ge(strlen(text), 1);
    ck_assert_uint_le(strlen(text), 123);
    ck_assert_uint_eq(strspn(text, "abcdefghijklmnopqrstuvwxyz "), strlen(text));
}

START_TEST(errors_have_texts)
{
    const enum codes_error code = (enum codes_error)errors[_i].code;
    ck_assert_str_eq(codes_error_text(code), errors[_i].text);
    ck_assert_int_eq(codes_error_is_temporary(code), errors[_i].temporary);
    is_plain(codes_error_text(code));
}
END_TEST

START_TEST(unsubscribes_have_texts)
{
    const enum codes_unsubscribe code = (enum codes_unsubscribe)unsubscribes[_i].code;
    ck_assert_str_eq(codes_unsubscribe_text(code), unsubscribes[_i].text);
    is_plain(codes_unsubscribe_text(code));
}
END_TEST

START_TEST(disconnects_have_texts)
{
    const enum codes_disconnect code = (enum codes_disconnect)disconnects[_i].code;
    ck_assert_str_eq(codes_disconnect_text(code), disconnects[_i].text);
    ck_assert_int_eq(codes_disconnect_reconnects(disconnects[_i].code),
                     disconnects[_i].code < 3500);
    is_plain(codes_disconnect_text(code));
}
END_TEST

START_TEST(some_codes_are_terminal)
{
    static const struct {
        uint32_t code;
        bool reconnects;
    } cases[] = {
        {0, false},    {2999, false}, {3000, true}, {3499, true},
        {3500, false}, {3999, false}, {4000, true}, {4499, true},
        {4500, false}, {4999, false}, {5000, true}, {UINT32_MAX, true},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        ck_assert_int_eq(codes_disconnect_reconnects(cases[i].code), cases[i].reconnects);
    }
}
END_TEST

int main(void)
{
    TCase *codes = tcase_create("codes");
    tcase_add_loop_test(codes, errors_have_texts, 0, COUNT(errors));
    tcase_add_loop_test(codes, unsubscribes_have_texts, 0, COUNT(unsubscribes));
    tcase_add_loop_test(codes, disconnects_have_texts, 0, COUNT(disconnects));
    tcase_add_test(codes, some_codes_are_terminal);
    Suite *suite = suite_create("proto/codes");
    suite_add_tcase(suite, codes);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
