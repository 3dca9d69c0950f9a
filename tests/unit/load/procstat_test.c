/* SPDX-License-Identifier: Apache-2.0 */
/*
 * procstat, on children that do something known: burn time, dirty memory, have a name that is hard
 * to read, have children. They wait on a pipe and end with the test.
 */
#include "bench/load/procstat.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BURN_MS = 120, DIRTY_SIZE = 8 * 1024 * 1024 };

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    ck_assert_int_eq(clock_gettime(clock, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *burn(void *unused)
{
    const uint64_t end_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + BURN_MS * UINT64_C(1000000);
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns) {
    }
    return unused;
}

static void *burn_in_a_thread(void *unused)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, burn, NULL) != 0 || pthread_join(thread, NULL) != 0) {
        _exit(1);
    }
    return unused;
}

static void *dirty(void *unused)
{
    char *memory = malloc(DIRTY_SIZE);
    if (memory == NULL) {
        _exit(1);
    }
    memset(memory, 1, DIRTY_SIZE);
    __asm__ volatile("" : : "r"(memory) : "memory");
    return unused;
}

static void *nothing(void *unused)
{
    return unused;
}

static void *have_a_child(void *unused)
{
    const pid_t pid = fork();
    if (pid < 0) {
        _exit(1);
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            (void)pause();
        }
    }
    return unused;
}

/* Starts a child that does `work`, and returns when it has done it; then it waits for its end. */
static pid_t start(const char *name, void *(*work)(void *))
{
    int done[2];
    ck_assert_int_eq(pipe(done), 0);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)prctl(PR_SET_NAME, name);
        (void)work(NULL);
        (void)!write(done[1], "d", 1);
        for (;;) {
            (void)pause();
        }
    }
    char byte = 0;
    (void)close(done[1]);
    ck_assert_int_eq(read(done[0], &byte, 1), 1);
    (void)close(done[0]);
    return pid;
}

static void end(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static struct procstat_pids only(pid_t pid)
{
    return (struct procstat_pids){.pids = {pid}, .count = 1};
}

static const struct {
    const char *why;
    const char *name;
    void *(*work)(void *);
    uint64_t cpu_ms_min;
    uint64_t bytes_min;
} cases[] = {
    {"time of a thread that is there", "plain", burn, BURN_MS - 20, 0},
    {"time of a thread that ended", "plain", burn_in_a_thread, BURN_MS - 20, 0},
    {"blanks and a parenthesis in its name", "a) R 1 (2 3", burn, BURN_MS - 20, 0},
    {"it ends with a parenthesis", ")) 7 7 7)", burn, BURN_MS - 20, 0},
    {"no name", "", nothing, 0, 0},
    {"memory", "plain", dirty, 0, DIRTY_SIZE},
};

START_TEST(reads_a_process)
{
    const pid_t pid = start(cases[_i].name, cases[_i].work);
    const struct procstat_pids pids = only(pid);
    struct procstat stat = {0};

    ck_assert_msg(procstat_read(&pids, &stat) == 0, "%s", cases[_i].why);
    const uint64_t cpu_ms = (stat.user_ns + stat.system_ns) / 1000000;
    ck_assert_msg(cpu_ms >= cases[_i].cpu_ms_min, "%s: %u ms", cases[_i].why, (unsigned)cpu_ms);
    ck_assert_msg(cpu_ms < 60000, "%s: %u ms", cases[_i].why, (unsigned)cpu_ms);
    ck_assert_msg(stat.user_bytes >= cases[_i].bytes_min, "%s", cases[_i].why);
    ck_assert_uint_gt(stat.user_bytes, 0);
    end(pid);
}
END_TEST

START_TEST(adds_several)
{
    struct procstat_pids pids = {.count = 2};
    struct procstat one = {0};
    struct procstat both = {0};
    pids.pids[0] = start("one", dirty);
    pids.pids[1] = start("two", dirty);

    const struct procstat_pids first = only(pids.pids[0]);
    ck_assert_int_eq(procstat_read(&first, &one), 0);
    ck_assert_int_eq(procstat_read(&pids, &both), 0);
    ck_assert_uint_ge(both.user_bytes, one.user_bytes + DIRTY_SIZE);
    end(pids.pids[0]);
    end(pids.pids[1]);
}
END_TEST

START_TEST(says_who_has_gone)
{
    const pid_t pid = start("gone", nothing);
    const struct procstat_pids pids = only(pid);
    struct procstat stat = {.user_ns = 77};

    /* Not waited for yet: a zombie. */
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    siginfo_t info;
    ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    ck_assert_int_eq(procstat_read(&pids, &stat), -ESRCH);

    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_int_eq(procstat_read(&pids, &stat), -ESRCH);
    ck_assert_uint_eq(stat.user_ns, 77);
}
END_TEST

START_TEST(reads_nobody)
{
    const struct procstat_pids none = {.count = 0};
    struct procstat stat = {.user_ns = 77};

    ck_assert_int_eq(procstat_read(&none, &stat), 0);
    ck_assert_uint_eq(stat.user_ns, 0);
}
END_TEST

START_TEST(reads_itself)
{
    struct procstat before;
    struct procstat after;

    ck_assert_int_eq(procstat_read_self(&before), 0);
    (void)burn(NULL);
    ck_assert_int_eq(procstat_read_self(&after), 0);
    ck_assert_uint_eq(after.user_bytes, 0);
    const uint64_t spent = after.user_ns + after.system_ns - before.user_ns - before.system_ns;
    ck_assert_uint_ge(spent, (BURN_MS - 20) * UINT64_C(1000000));
}
END_TEST

START_TEST(finds_children)
{
    const pid_t parent = start("parent", have_a_child);
    struct procstat_pids pids = only(getpid());

    procstat_add_children(&pids);
    if (pids.count == 1) {
        end(parent);
        return; /* a kernel without CONFIG_PROC_CHILDREN */
    }
    ck_assert_uint_eq(pids.count, 3);
    ck_assert_int_eq(pids.pids[0], getpid());
    ck_assert_int_eq(pids.pids[1], parent);

    /* Who is there already is not added again. */
    procstat_add_children(&pids);
    ck_assert_uint_eq(pids.count, 3);
    const pid_t grandchild = pids.pids[2];
    end(parent);
    (void)kill(grandchild, SIGKILL);
}
END_TEST

START_TEST(adds_no_more_than_there_is_room_for)
{
    const pid_t parent = start("parent", have_a_child);
    struct procstat_pids pids = {.count = PROCSTAT_PID_COUNT_MAX};
    for (size_t i = 0; i < PROCSTAT_PID_COUNT_MAX; i++) {
        pids.pids[i] = parent;
    }

    procstat_add_children(&pids);
    ck_assert_uint_eq(pids.count, PROCSTAT_PID_COUNT_MAX);
    ck_assert_int_eq(pids.pids[PROCSTAT_PID_COUNT_MAX - 1], parent);
    end(parent);
}
END_TEST

START_TEST(knows_the_machine)
{
    char machine[PROCSTAT_TEXT_SIZE];
    char kernel[PROCSTAT_TEXT_SIZE];
    memset(machine, 'x', sizeof(machine));
    memset(kernel, 'x', sizeof(kernel));

    procstat_machine(machine, kernel);
    ck_assert_ptr_nonnull(memchr(machine, '\0', sizeof(machine)));
    ck_assert_ptr_nonnull(strstr(machine, " CPU"));
    ck_assert_ptr_null(strchr(machine, '\n'));
    ck_assert_int_eq(strncmp(kernel, "Linux ", 6), 0);
    ck_assert_uint_gt(procstat_kernel_bytes(), 100 * 1024);
}
END_TEST

int main(void)
{
    TCase *processes = tcase_create("processes");
    tcase_add_loop_test(processes, reads_a_process, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(processes, adds_several);
    tcase_add_test(processes, says_who_has_gone);
    tcase_add_test(processes, reads_nobody);
    tcase_add_test(processes, reads_itself);
    tcase_add_test(processes, finds_children);
    tcase_add_test(processes, adds_no_more_than_there_is_room_for);
    TCase *machine = tcase_create("machine");
    tcase_add_test(machine, knows_the_machine);
    Suite *suite = suite_create("bench/load/procstat");
    suite_add_tcase(suite, processes);
    suite_add_tcase(suite, machine);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
