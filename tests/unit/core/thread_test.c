/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread_start: what the new thread sees (context, name, CPUs, signal mask), asked by itself; and
 * what is refused.
 */
#include "core/thread.h"

#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"

struct seen {
    char name[THREAD_NAME_SIZE_MAX];
    cpu_set_t cpus;
    sigset_t blocked;
};

static void look(void *context)
{
    struct seen *seen = context;
    (void)pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    (void)pthread_getaffinity_np(pthread_self(), sizeof(seen->cpus), &seen->cpus);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
}

static const struct {
    const char *why;
    const char *name;
    const char *name_seen;
} names[] = {
    {"short", "reactor-0", "reactor-0"},
    {"15 bytes fit", "123456789012345", "123456789012345"},
    {"longer is cut", "1234567890123456789", "123456789012345"},
};

START_TEST(runs_and_is_named)
{
    struct seen seen = {.name = ""};
    struct thread thread;
    ck_assert_int_eq(thread_start(names[_i].name, THREAD_NOT_PINNED, look, &seen, &thread), 0);
    thread_join(&thread);
    ck_assert_str_eq(seen.name, names[_i].name_seen);
    ck_assert_int_eq(sigismember(&seen.blocked, SIGTERM), 1);
    ck_assert_int_eq(sigismember(&seen.blocked, SIGUSR1), 1);
    ck_assert_int_eq(CPU_COUNT(&seen.cpus), cpu_count());
}
END_TEST

START_TEST(pins)
{
    for (int i = 0; i < cpu_count(); i++) {
        struct seen seen = {.name = ""};
        struct thread thread;
        ck_assert_int_eq(thread_start("pinned", cpu_nth(i), look, &seen, &thread), 0);
        thread_join(&thread);
        ck_assert_int_eq(CPU_COUNT(&seen.cpus), 1);
        ck_assert(CPU_ISSET((size_t)cpu_nth(i), &seen.cpus));
    }
}
END_TEST

START_TEST(refuses_a_cpu_that_is_not_there)
{
    struct seen seen = {.name = ""};
    struct thread thread;
    ck_assert_int_eq(thread_start("nowhere", 8000, look, &seen, &thread), -EINVAL);
    ck_assert_str_eq(seen.name, "");
}
END_TEST

int main(void)
{
    TCase *starts = tcase_create("starts");
    tcase_add_loop_test(starts, runs_and_is_named, 0, (int)(sizeof(names) / sizeof(names[0])));
    tcase_add_test(starts, pins);
    tcase_add_test(starts, refuses_a_cpu_that_is_not_there);
    Suite *suite = suite_create("core/thread");
    suite_add_tcase(suite, starts);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
