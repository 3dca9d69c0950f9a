/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend_choose: what is forced is taken, what is found out is said. A process that may not have
 * io_uring (a seccomp filter, here) gets epoll and the reason, and an error where it was forced.
 */
#include "net/backend_choose.h"

#include <check.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "net/backend.h"

START_TEST(takes_epoll_when_told)
{
    const struct backend_ops *ops = NULL;
    char reason[BACKEND_REASON_SIZE] = "";
    ck_assert_int_eq(backend_choose(BACKEND_EPOLL, &ops, reason), 0);
    ck_assert_str_eq(backend_name(ops), "epoll");
    ck_assert_ptr_nonnull(strstr(reason, "epoll"));
}
END_TEST

START_TEST(takes_what_works)
{
    const struct backend_ops *ops = NULL;
    char reason[BACKEND_REASON_SIZE] = "";
    char why[BACKEND_REASON_SIZE] = "";
    const int probed = backend_uring_probe(why);

    ck_assert_int_eq(backend_choose(BACKEND_AUTO, &ops, reason), 0);
    ck_assert_str_eq(backend_name(ops), probed == 0 ? "uring" : "epoll");
    ck_assert_int_eq(backend_choose(BACKEND_URING, &ops, reason), probed);
    ck_assert_uint_eq(strlen(why) == 0, probed == 0);
}
END_TEST

/* From here on io_uring_setup() of this process says -error. Each test is a process of its own. */
static void forbid_uring(unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(falls_back_and_says_why)
{
    static const unsigned errors[] = {EPERM, ENOSYS, ENOMEM};
    const struct backend_ops *ops = NULL;
    char reason[BACKEND_REASON_SIZE] = "";

    forbid_uring(errors[_i]);
    ck_assert_int_eq(backend_choose(BACKEND_AUTO, &ops, reason), 0);
    ck_assert_str_eq(backend_name(ops), "epoll");
    ck_assert_ptr_nonnull(strstr(reason, "io_uring_setup"));
    ck_assert_ptr_nonnull(strstr(reason, strerror((int)errors[_i])));

    ops = NULL;
    ck_assert_int_eq(backend_choose(BACKEND_URING, &ops, reason), -(int)errors[_i]);
    ck_assert_ptr_null(ops);
    ck_assert_ptr_nonnull(strstr(reason, strerror((int)errors[_i])));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("backend_choose");
    tcase_add_test(cases, takes_epoll_when_told);
    tcase_add_test(cases, takes_what_works);
    tcase_add_loop_test(cases, falls_back_and_says_why, 0, 3);
    Suite *suite = suite_create("net/backend_choose");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK); /* the filters stay */
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
