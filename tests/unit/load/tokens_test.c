/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens_read: the lines of a file by turns, and what is no token by its line.
 */
#include "bench/load/tokens.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file with this text, which the caller unlinks. */
static void write_file(const char *text, char path[static 32])
{
    (void)snprintf(path, 32, "/tmp/tokens_test.XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
    ck_assert_int_eq(close(fd), 0);
}

static void is(const struct tokens *tokens, uint32_t index, const char *text)
{
    const struct bytes token = tokens_of(tokens, index);
    ck_assert_uint_eq(token.size, strlen(text));
    ck_assert_mem_eq(token.data, text, token.size);
}

START_TEST(gives_them_by_turns)
{
    static const char *const texts[] = {"a.b.c\nd.e.f\ng.h.i", "\na.b.c\n\nd.e.f\ng.h.i\n\n"};
    struct tokens *tokens = NULL;
    char error[TOKENS_ERROR_SIZE];
    char path[32];

    write_file(texts[_i], path);
    ck_assert_int_eq(tokens_read(path, &tokens, error), 0);
    is(tokens, 0, "a.b.c");
    is(tokens, 1, "d.e.f");
    is(tokens, 2, "g.h.i");
    is(tokens, 3000, "a.b.c");
    tokens_destroy(tokens);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(refuses)
{
    static const struct {
        const char *text;
        const char *line;
    } files[] = {{"", ":1: "}, {"\n\n", ":1: "}, {"a.b.c\n\nd e\n", ":3: "}, {"a.b.c\r\n", ":1: "}};
    struct tokens *tokens = NULL;
    char error[TOKENS_ERROR_SIZE];
    char path[32];

    write_file(files[_i].text, path);
    ck_assert_int_eq(tokens_read(path, &tokens, error), -EINVAL);
    ck_assert_msg(strstr(error, files[_i].line) != NULL, "%s", error);
    ck_assert_ptr_null(strstr(error, "d e"));
    ck_assert_int_eq(unlink(path), 0);

    ck_assert_int_eq(tokens_read(path, &tokens, error), -ENOENT);
    ck_assert_ptr_null(tokens);
    tokens_destroy(NULL);
}
END_TEST

START_TEST(has_a_size)
{
    char text[TOKENS_SIZE_MAX + 2];
    char error[TOKENS_ERROR_SIZE];
    char path[32];

    for (size_t size = TOKENS_SIZE_MAX; size <= TOKENS_SIZE_MAX + 1; size++) {
        struct tokens *tokens = NULL;
        memset(text, 'x', size);
        text[size] = '\0';
        write_file(text, path);
        const int result = tokens_read(path, &tokens, error);
        ck_assert_int_eq(result, size == TOKENS_SIZE_MAX ? 0 : -EINVAL);
        tokens_destroy(tokens);
        ck_assert_int_eq(unlink(path), 0);
    }
}
END_TEST

int main(void)
{
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, gives_them_by_turns, 0, 2);
    tcase_add_loop_test(all, refuses, 0, 4);
    tcase_add_test(all, has_a_size);
    Suite *suite = suite_create("load/tokens");
    suite_add_tcase(suite, all);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
