/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of SIMD levels there and back, and the usable CPUs compared with what the kernel says,
 * before and after the affinity is narrowed. Check runs each test in its own process, so the
 * narrowed affinity stays there.
 */
#include "core/cpu.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *why;
    const char *name;
    bool known;
    enum cpu_simd level;
} name_cases[] = {
    {"lowest", "scalar", true, CPU_SIMD_SCALAR},
    {"sse4", "sse4", true, CPU_SIMD_SSE4},
    {"avx2", "avx2", true, CPU_SIMD_AVX2},
    {"highest", "avx512", true, CPU_SIMD_AVX512},
    {"empty", "", false, CPU_SIMD_SCALAR},
    {"upper case", "AVX2", false, CPU_SIMD_SCALAR},
    {"prefix of a name", "avx", false, CPU_SIMD_SCALAR},
    {"a name and more", "avx512f", false, CPU_SIMD_SCALAR},
    {"space", "avx2 ", false, CPU_SIMD_SCALAR},
};

START_TEST(knows_names)
{
    for (int before = CPU_SIMD_SCALAR; before <= CPU_SIMD_AVX512; before++) {
        enum cpu_simd level = (enum cpu_simd)before;
        ck_assert_msg(cpu_simd_from_name(name_cases[_i].name, &level) == name_cases[_i].known, "%s",
                      name_cases[_i].why);
        const enum cpu_simd expected =
            name_cases[_i].known ? name_cases[_i].level : (enum cpu_simd)before;
        ck_assert_msg(level == expected, "%s: the output", name_cases[_i].why);
    }
    if (name_cases[_i].known) {
        ck_assert_str_eq(cpu_simd_name(name_cases[_i].level), name_cases[_i].name);
    }
}
END_TEST

/* The word list of /proc/cpuinfo is the kernel's opinion; ours must not be higher. */
START_TEST(best_level_is_what_the_kernel_lists)
{
    static const char *const needed[] = {
        [CPU_SIMD_SCALAR] = " ",
        [CPU_SIMD_SSE4] = " sse4_2 ",
        [CPU_SIMD_AVX2] = " avx2 ",
        [CPU_SIMD_AVX512] = " avx512bw ",
    };
    FILE *file = fopen("/proc/cpuinfo", "r");
    ck_assert_ptr_nonnull(file);
    char line[8192];
    bool found = false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        found = strstr(line, needed[cpu_simd_best()]) != NULL;
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_msg(found, "%s is not in /proc/cpuinfo", needed[cpu_simd_best()]);
}
END_TEST

START_TEST(counts_what_the_kernel_allows)
{
    cpu_set_t allowed;
    ck_assert_int_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    const int count = CPU_COUNT(&allowed);
    ck_assert_int_eq(cpu_count(), count);

    int previous = -1;
    for (int i = 0; i < count; i++) {
        const int number = cpu_nth(i);
        ck_assert_int_gt(number, previous);
        ck_assert(CPU_ISSET(number, &allowed));
        ck_assert_int_eq(cpu_nth(i + count), number);
        ck_assert_int_eq(cpu_nth(i + 1000 * count), number);
        previous = number;
    }
}
END_TEST

START_TEST(follows_narrowed_affinity)
{
    const int last = cpu_nth(cpu_count() - 1);
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(last, &only);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(only), &only), 0);

    ck_assert_int_eq(cpu_count(), 1);
    ck_assert_int_eq(cpu_nth(0), last);
    ck_assert_int_eq(cpu_nth(7), last);
}
END_TEST

int main(void)
{
    TCase *simd = tcase_create("simd");
    tcase_add_loop_test(simd, knows_names, 0, (int)(sizeof(name_cases) / sizeof(name_cases[0])));
    tcase_add_test(simd, best_level_is_what_the_kernel_lists);
    TCase *topology = tcase_create("topology");
    tcase_add_test(topology, counts_what_the_kernel_allows);
    tcase_add_test(topology, follows_narrowed_affinity);
    Suite *suite = suite_create("core/cpu");
    suite_add_tcase(suite, simd);
    suite_add_tcase(suite, topology);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
