/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time that deletions go by, over clocks that are set and machines that sleep: a table of
 * readings, each with the time that is to come out.
 */
#include "store/walltime.h"

#include <check.h>
#include <stdlib.h>

enum { READINGS_MAX = 6 };

#define HOUR UINT64_C(3600000)

struct reading {
    uint64_t real;
    uint64_t boot;
    uint64_t time;
};

static const struct {
    const char *why;
    struct reading readings[READINGS_MAX];
} cases[] = {
    {"a clock that goes", {{5000000, 10, 5000000}, {5000100, 110, 5000100}}},
    {"a machine that slept", {{5000000, 10, 5000000}, {9000000, 4000010, 9000000}}},
    {"set back: believed at once", {{5000000, 10, 5000000}, {4000000, 110, 4000000}}},
    {"corrected in small steps",
     {{5000000, 10, 5000000}, {5001000, 110, 5001000}, {5002000, 210, 5002000}}},
    {"set ahead, and back again",
     {{5000000, 10, 5000000},
      {9000000, 110, 5000100},
      {9000000 + HOUR / 2, 110 + HOUR / 2, 5000100 + HOUR / 2},
      {5000000 + HOUR, 10 + HOUR, 5000000 + HOUR},
      {9000000 + 2 * HOUR, 110 + 2 * HOUR, 5000100 + 2 * HOUR},
      {9000000 + 3 * HOUR - 1, 109 + 3 * HOUR, 5000099 + 3 * HOUR}}},
    {"set ahead for good",
     {{5000, 10, 5000},
      {9000000, 110, 5100},
      {9000000 + HOUR - 1, 109 + HOUR, 5099 + HOUR},
      {9000000 + HOUR, 110 + HOUR, 9000000 + HOUR}}},
};

START_TEST(tells_the_time)
{
    struct walltime walltime = {.is_known = false};
    for (int i = 0; i < READINGS_MAX && cases[_i].readings[i].real != 0; i++) {
        const struct reading *const reading = &cases[_i].readings[i];
        const uint64_t time = walltime_read(&walltime, reading->real, reading->boot);
        ck_assert_msg(time == reading->time, "%s, reading %d: %llu", cases[_i].why, i,
                      (unsigned long long)time);
    }
}
END_TEST

int main(void)
{
    TCase *const tcase = tcase_create("walltime");
    tcase_add_loop_test(tcase, tells_the_time, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    Suite *const suite = suite_create("store/walltime");
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
