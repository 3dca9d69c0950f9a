/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens: lines of a file, in turn; and what is no such file.
 */
#include "bench/load/tokens.h"

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/tokens_test.XXXXXX";

static void write_text(const char *text, size_t size)
{
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static bool is_text(struct bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

START_TEST(lines_take_turns)
{
    static const char text[] = "a.b.c\r\n\nd-e_f=\nlast";
    struct tokens tokens;
    char error[TOKENS_ERROR_SIZE];

    write_text(text, sizeof(text) - 1);
    ck_assert_int_eq(tokens_read(path, &tokens, error), 0);
    ck_assert_uint_eq(tokens.count, 3);
    ck_assert(is_text(tokens_of(&tokens, 0), "a.b.c"));
    ck_assert(is_text(tokens_of(&tokens, 1), "d-e_f="));
    ck_assert(is_text(tokens_of(&tokens, 2), "last"));
    ck_assert(is_text(tokens_of(&tokens, 3), "a.b.c"));
    tokens_free(&tokens);
    ck_assert_uint_eq(tokens_of(&tokens, 0).size, 0);
}
END_TEST

static const struct {
    const char *text;
    int result;
    const char *said;
} bad[] = {
    {"", -ENODATA, "there is no token in it"},
    {"\n\n", -ENODATA, "there is no token in it"},
    {"a\nb c\n", -EINVAL, "line 2: expected a token"},
    {"a\"b", -EINVAL, "line 1: expected a token"},
    {"a\\b", -EINVAL, "line 1: expected a token"},
    {"\xc3\xa4", -EINVAL, "line 1: expected a token"},
};

START_TEST(refuses)
{
    struct tokens tokens;
    char error[TOKENS_ERROR_SIZE] = "";

    write_text(bad[_i].text, strlen(bad[_i].text));
    ck_assert_int_eq(tokens_read(path, &tokens, error), bad[_i].result);
    ck_assert_msg(strstr(error, bad[_i].said) != NULL, "%s", error);
    ck_assert_ptr_null(tokens.text);
    ck_assert_ptr_null(tokens.lines);
}
END_TEST

START_TEST(has_a_limit)
{
    char line[TOKENS_SIZE_MAX + 1];
    struct tokens tokens;
    char error[TOKENS_ERROR_SIZE] = "";

    memset(line, 'x', sizeof(line));
    write_text(line, sizeof(line) - 1);
    ck_assert_int_eq(tokens_read(path, &tokens, error), 0);
    ck_assert_uint_eq(tokens_of(&tokens, 0).size, TOKENS_SIZE_MAX);
    tokens_free(&tokens);
    write_text(line, sizeof(line));
    ck_assert_int_eq(tokens_read(path, &tokens, error), -EINVAL);
    ck_assert_int_eq(tokens_read("/nowhere/at/all", &tokens, error), -ENOENT);
    ck_assert_ptr_nonnull(strstr(error, "No such file"));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("tokens");
    tcase_add_test(cases, lines_take_turns);
    tcase_add_loop_test(cases, refuses, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(cases, has_a_limit);
    Suite *suite = suite_create("load/tokens");
    suite_add_tcase(suite, cases);

    const int fd = mkstemp(path);
    if (fd < 0) {
        return EXIT_FAILURE;
    }
    (void)close(fd);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    (void)unlink(path);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
