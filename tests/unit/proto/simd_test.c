/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of a variant: what was asked for, unless this machine has less. That all variants do
 * the same is what utf8_test.c and mask_test.c show.
 */
#include "proto/simd.h"

#include <check.h>
#include <stdlib.h>

START_TEST(gives_what_was_asked_for_or_less)
{
    const enum cpu_simd asked = (enum cpu_simd)_i;
    const enum cpu_simd best = cpu_simd_best();
    const struct simd_ops *ops = simd_choose(asked);

    ck_assert_ptr_nonnull(ops);
    ck_assert_int_eq(ops->level, asked < best ? asked : best);
    ck_assert(ops->unmask != NULL);
    ck_assert(ops->validate != NULL);
    ck_assert(ops->unmask_validate != NULL);
}
END_TEST

int main(void)
{
    TCase *choice = tcase_create("choice");
    tcase_add_loop_test(choice, gives_what_was_asked_for_or_less, 0, CPU_SIMD_AVX512 + 1);
    Suite *suite = suite_create("proto/simd");
    suite_add_tcase(suite, choice);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
