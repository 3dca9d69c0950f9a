/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clocks against the same clocks read directly around them: no durations are asserted.
 */
#include "core/monotime.h"

#include <check.h>
#include <stdlib.h>
#include <time.h>

static uint64_t direct_ns(clockid_t clock)
{
    struct timespec now;
    ck_assert_int_eq(clock_gettime(clock, &now), 0);
    return (uint64_t)now.tv_sec * MONOTIME_NS_PER_S + (uint64_t)now.tv_nsec;
}

START_TEST(lies_between_two_readings)
{
    for (size_t i = 0; i < 1000; i++) {
        const uint64_t before = direct_ns(CLOCK_MONOTONIC);
        const uint64_t read = monotime_read();
        const uint64_t after = direct_ns(CLOCK_MONOTONIC);
        ck_assert_uint_ge(read, before);
        ck_assert_uint_le(read, after);
    }
}
END_TEST

START_TEST(knows_the_date)
{
    const uint64_t read_ms = monotime_realtime_ms();
    /* Between 2020 and 2200: ms, and since 1970. The clock of the day may be set at any time. */
    ck_assert_uint_gt(read_ms, UINT64_C(1577836800000));
    ck_assert_uint_lt(read_ms, UINT64_C(7258118400000));
}
END_TEST

int main(void)
{
    TCase *clocks = tcase_create("clocks");
    tcase_add_test(clocks, lies_between_two_readings);
    tcase_add_test(clocks, knows_the_date);
    Suite *suite = suite_create("core/monotime");
    suite_add_tcase(suite, clocks);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
