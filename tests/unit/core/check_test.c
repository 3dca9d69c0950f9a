/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK: a fact costs nothing, a broken one ends the process with SIGABRT, in every build. DCHECK:
 * the same under FULL_CHECKS, and otherwise not even evaluated.
 */
#include "core/check.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#ifdef FULL_CHECKS
static const int dcheck_evaluates = 1;
#else
static const int dcheck_evaluates = 0;
#endif

static int evaluated;

static int count_and_return(int value)
{
    evaluated++;
    return value;
}

START_TEST(a_fact_passes_and_is_evaluated_once)
{
    evaluated = 0;
    CHECK(count_and_return(1) == 1);
    ck_assert_int_eq(evaluated, 1);
}
END_TEST

START_TEST(a_broken_fact_aborts)
{
    CHECK(count_and_return(1) == 2);
}
END_TEST

START_TEST(never_aborts)
{
    NEVER("it was");
}
END_TEST

START_TEST(dcheck_belongs_to_full_checks)
{
    evaluated = 0;
    DCHECK(count_and_return(1) == 1);
    ck_assert_int_eq(evaluated, dcheck_evaluates);
}
END_TEST

int main(void)
{
    TCase *checks = tcase_create("check");
    tcase_add_test(checks, a_fact_passes_and_is_evaluated_once);
    tcase_add_test_raise_signal(checks, a_broken_fact_aborts, SIGABRT);
    tcase_add_test_raise_signal(checks, never_aborts, SIGABRT);
    tcase_add_test(checks, dcheck_belongs_to_full_checks);
    Suite *suite = suite_create("core/check");
    suite_add_tcase(suite, checks);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
