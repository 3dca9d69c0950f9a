/* SPDX-License-Identifier: Apache-2.0 */
/*
 * activation: what a service manager's environment says about its sockets, well or badly.
 */
#include "server/activation.h"

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct environment {
    const char *pid; /* "own": ours; NULL: there is none */
    const char *fds;
    const char *names;
    int result;
    size_t count;
    const char *last; /* of the names */
};

static const struct environment environments[] = {
    {NULL, NULL, NULL, 0, 0, NULL},
    {"own", NULL, NULL, 0, 0, NULL},
    {NULL, "1", NULL, 0, 0, NULL},
    {"1", "1", NULL, 0, 0, NULL},
    {"own", "0", "", 0, 0, NULL},
    {"own", "1", NULL, 0, 1, ""},
    {"own", "2", "clients:internal", 0, 2, "internal"},
    {"own", "3", "a::c:d", 0, 3, "c"},
    {"own", "3", "a", 0, 3, ""},
    {"own", "8", ":::::::last", 0, 8, "last"},
    {"1", "x", NULL, 0, 0, NULL},
    {"own", "9", NULL, -EINVAL, 0, NULL},
    {"own", "", NULL, -EINVAL, 0, NULL},
    {"own", "-1", NULL, -EINVAL, 0, NULL},
    {"own", "2x", NULL, -EINVAL, 0, NULL},
    {"own", "99999999999999999999999", NULL, -EINVAL, 0, NULL},
};

enum { ENVIRONMENT_COUNT = sizeof(environments) / sizeof(environments[0]) };

static void put(const char *key, const char *value)
{
    ck_assert_int_eq(value != NULL ? setenv(key, value, true) : unsetenv(key), 0);
}

START_TEST(reads_the_environment)
{
    const struct environment *environment = &environments[_i];
    struct activation activation = {.count = 77};
    char own[32];
    char error[128] = "";
    char expected[128];

    (void)snprintf(own, sizeof(own), "%d", (int)getpid());
    put("LISTEN_PID",
        environment->pid != NULL && strcmp(environment->pid, "own") == 0 ? own : environment->pid);
    put("LISTEN_FDS", environment->fds);
    put("LISTEN_FDNAMES", environment->names);
    ck_assert_int_eq(activation_read(&activation, error, sizeof(error)), environment->result);
    ck_assert_uint_eq(activation.count, environment->count);
    for (size_t i = 0; i < activation.count; i++) {
        ck_assert_int_eq(activation.sockets[i].fd, 3 + (int)i);
    }
    if (activation.count > 0) {
        const struct bytes name = activation.sockets[activation.count - 1].name;
        ck_assert_uint_eq(name.size, strlen(environment->last));
        ck_assert_int_eq(memcmp(name.data, environment->last, name.size), 0);
    }
    (void)snprintf(expected, sizeof(expected),
                   "LISTEN_FDS: expected a number from 0 to 8, found %s", environment->fds);
    ck_assert_str_eq(error, environment->result == 0 ? "" : expected);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("activation");
    tcase_add_loop_test(cases, reads_the_environment, 0, ENVIRONMENT_COUNT);
    Suite *suite = suite_create("server/activation");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
