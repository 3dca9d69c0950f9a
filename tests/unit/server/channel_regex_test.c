/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel_regex: what matches, what is no pattern, and that no pattern makes a name expensive.
 */
#include "server/channel_regex.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *pattern;
    const char *rest;
    bool matches;
} cases[] = {
    {"", "", true},
    {"", "anything", true},
    {"^[0-9]+$", "42", true},
    {"^[0-9]+$", "42x", false},
    {"^[0-9]+$", "", false},
    {"[0-9]", "x4x", true}, /* anywhere, if it is not anchored */
    {"^(lobby|room-\\d{1,4})$", "room-1234", true},
    {"^(lobby|room-\\d{1,4})$", "room-12345", false},
    {"(?i)^lobby$", "LOBBY", true},
    {"^dialog#\\d+,\\d+$", "dialog#42,43", true},
};

static bool matches(const struct channel_regex *regex, const char *rest)
{
    const size_t size = strlen(rest);
    uint8_t *copy = malloc(size + (size == 0)); /* of its size, so that ASan sees a read behind */
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, rest, size);
    const int result = channel_regex_matches(regex, (struct bytes){copy, size});
    free(copy);
    ck_assert_int_ge(result, 0);
    return result > 0;
}

START_TEST(matches_as_it_should)
{
    char error[CHANNEL_REGEX_ERROR_SIZE];
    struct channel_regex *regex = channel_regex_create(cases[_i].pattern, error);
    ck_assert_ptr_nonnull(regex);
    ck_assert_msg(matches(regex, cases[_i].rest) == cases[_i].matches, "%s", cases[_i].pattern);
    channel_regex_destroy(regex);
}
END_TEST

START_TEST(refuses_what_is_no_pattern)
{
    static const char *const patterns[] = {
        "(", "[a", "a{2,1}", "*", "\\C", "((((((((((((((((((((((a))))))))))))))))))))))"};
    char error[CHANNEL_REGEX_ERROR_SIZE];

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        error[0] = '\0';
        ck_assert_msg(channel_regex_create(patterns[i], error) == NULL, "%s", patterns[i]);
        ck_assert_msg(strstr(error, ", at byte ") != NULL, "%s: %s", patterns[i], error);
    }
    channel_regex_destroy(NULL);
}
END_TEST

/* Without a budget each of these takes longer than the universe has been there. */
START_TEST(no_name_costs_more_than_its_budget)
{
    static const char *const patterns[] = {"^(a+)+$", "^(a|aa)+$", "^(a*)*b", "(.*)(.*)(.*)(.*)c$",
                                           "^(?:(?:a?){50}){50}b"};
    char error[CHANNEL_REGEX_ERROR_SIZE];
    char name[256];

    memset(name, 'a', sizeof(name));
    name[254] = '!';
    name[255] = '\0';
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct channel_regex *regex = channel_regex_create(patterns[i], error);
        ck_assert_msg(regex != NULL, "%s: %s", patterns[i], error);
        ck_assert_msg(!matches(regex, name), "%s", patterns[i]);
        channel_regex_destroy(regex);
    }
}
END_TEST

int main(void)
{
    TCase *regex = tcase_create("regex");
    tcase_add_loop_test(regex, matches_as_it_should, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(regex, refuses_what_is_no_pattern);
    tcase_add_test(regex, no_name_costs_more_than_its_budget);
    Suite *suite = suite_create("server/channel_regex");
    suite_add_tcase(suite, regex);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
