/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress: a screen that is drawn over itself on a terminal, a line for each second elsewhere.
 */
#include "bench/load/progress.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/report.h"

enum { TEXT_SIZE = 4096 };

static const struct report_point point = {.at_s = 3,
                                          .seconds = 1,
                                          .sent = 200,
                                          .received = 1000,
                                          .connects = 30,
                                          .p50_ns = 1000000,
                                          .p99_ns = 2500000,
                                          .max_ns = 4000000,
                                          .connected = 12};

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static void show_twice(FILE *out)
{
    struct progress *progress = progress_create(out);
    ck_assert_ptr_nonnull(progress);
    progress_connecting(progress, 3, 12);
    progress_show(progress, &point);
    progress_show(progress, &point);
    progress_end(progress);
    progress_destroy(progress);
}

START_TEST(lines_elsewhere)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    show_twice(file);
    rewind(file);
    ck_assert_int_gt(getdelim(&text, &size, '\0', file), 0);
    static const char line[] =
        "3 s: 12 connections, 30 connects/s, 200 sent/s, 1000 delivered/s, p50 1.000 ms, "
        "p99 2.500 ms, max 4.000 ms\n";
    ck_assert_uint_eq(count_of(text, line), 2);
    ck_assert_uint_eq(count_of(text, "\x1b"), 0);
    ck_assert_uint_eq(count_of(text, "connecting"), 0);
    free(text);
    (void)fclose(file);
}
END_TEST

START_TEST(one_screen_on_a_terminal)
{
    char text[TEXT_SIZE] = "";
    char name[64];
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    ck_assert_int_eq(grantpt(terminal), 0);
    ck_assert_int_eq(unlockpt(terminal), 0);
    ck_assert_int_eq(ptsname_r(terminal, name, sizeof(name)), 0);
    FILE *file = fopen(name, "we");
    ck_assert_ptr_nonnull(file);
    show_twice(file);

    size_t used = 0;
    while (used < sizeof(text) - 1 && count_of(text, "█") < 3) { /* one second, then two */
        const ssize_t got = read(terminal, text + used, sizeof(text) - 1 - used);
        ck_assert_int_gt(got, 0);
        used += (size_t)got;
        text[used] = '\0';
    }
    ck_assert_uint_eq(count_of(text, "connecting  3 of 12"), 1);
    ck_assert_uint_eq(count_of(text, "connections 12   connects 30 /s"), 2);
    ck_assert_uint_eq(count_of(text, "delivered         1000 /s"), 2);
    ck_assert_uint_eq(count_of(text, "p99 2.500 ms"), 2);
    ck_assert_msg(count_of(text, "\x1b[4A") == 1, "the second is drawn over the first");
    (void)fclose(file);
    (void)close(terminal);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("progress");
    tcase_add_test(cases, lines_elsewhere);
    tcase_add_test(cases, one_screen_on_a_terminal);
    Suite *suite = suite_create("load/progress");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
