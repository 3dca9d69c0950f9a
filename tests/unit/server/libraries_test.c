/* SPDX-License-Identifier: Apache-2.0 */
/* libraries: which version is older than another one, and what is said of it. */
#include "server/libraries.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static bool is_new(const char *version, const char *least)
{
    const struct library libraries[] = {{"libfirst", "1.0", NULL}, {"zlib", version, least}};
    char error[LIBRARIES_ERROR_SIZE] = "";
    const bool result = libraries_check(libraries, 2, error);
    ck_assert_int_eq(result, error[0] == '\0');
    return result;
}

START_TEST(compares_numbers)
{
    ck_assert(is_new("1.2.12", "1.2.12"));
    ck_assert(is_new("1.2.13", "1.2.12"));
    ck_assert(is_new("1.10.1", "1.2.12"));
    ck_assert(is_new("2", "1.2.12"));
    ck_assert(is_new("3.0.19-dev", "3.0.7"));
    ck_assert(is_new("0.6.2.1", "0.6.2"));
    ck_assert(is_new("1.2", NULL));
    ck_assert(!is_new("1.2.11", "1.2.12"));
    ck_assert(!is_new("1.2.9", "1.2.12"));
    ck_assert(!is_new("1.2", "1.2.12"));
    ck_assert(!is_new("0.6", "0.6.2"));
    ck_assert(!is_new("", "1"));
    ck_assert(!is_new("unknown", "0.1"));
}
END_TEST

START_TEST(names_what_is_too_old)
{
    const struct library libraries[] = {{"zlib", "1.2.13", "1.2.12"},
                                        {"OpenSSL", "3.0.2", "3.0.7"}};
    char error[LIBRARIES_ERROR_SIZE] = "";
    ck_assert(libraries_check(libraries, 1, error));
    ck_assert(!libraries_check(libraries, 2, error));
    ck_assert_str_eq(error, "OpenSSL 3.0.2 is here, expected 3.0.7 or newer");
}
END_TEST

START_TEST(those_here_will_do)
{
    char error[LIBRARIES_ERROR_SIZE] = "";
    char text[LIBRARIES_SIZE_MAX];
    ck_assert_msg(libraries_are_new(error), "%s", error);
    libraries_describe(text);
    ck_assert_ptr_nonnull(strstr(text, "OpenSSL  3."));
    ck_assert_ptr_nonnull(strstr(text, "zlib     1."));
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("libraries");
    tcase_add_test(tcase, compares_numbers);
    tcase_add_test(tcase, names_what_is_too_old);
    tcase_add_test(tcase, those_here_will_do);
    Suite *suite = suite_create("server/libraries");
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
