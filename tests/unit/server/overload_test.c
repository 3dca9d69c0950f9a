/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overload: which level follows which, from a table; and whose limit counts, from trees of files as
 * the kernel shows them.
 */
#include "server/overload.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/memory.h"

static const struct {
    const char *why;
    enum post_overload_level before;
    uint64_t used; /* of 1000 */
    enum post_overload_level after;
} levels[] = {
    {"calm", POST_OVERLOAD_NONE, 899, POST_OVERLOAD_NONE},
    {"nobody new", POST_OVERLOAD_NONE, 900, POST_OVERLOAD_CONNECTIONS},
    {"nothing new", POST_OVERLOAD_CONNECTIONS, 950, POST_OVERLOAD_SUBSCRIPTIONS},
    {"all at once", POST_OVERLOAD_NONE, 1000, POST_OVERLOAD_QUEUES},
    {"far above", POST_OVERLOAD_NONE, 5000, POST_OVERLOAD_QUEUES},
    {"not yet over", POST_OVERLOAD_QUEUES, 950, POST_OVERLOAD_QUEUES},
    {"one down", POST_OVERLOAD_QUEUES, 940, POST_OVERLOAD_SUBSCRIPTIONS},
    {"two down", POST_OVERLOAD_QUEUES, 890, POST_OVERLOAD_CONNECTIONS},
    {"still nobody new", POST_OVERLOAD_CONNECTIONS, 850, POST_OVERLOAD_CONNECTIONS},
    {"over", POST_OVERLOAD_CONNECTIONS, 849, POST_OVERLOAD_NONE},
    {"over at once", POST_OVERLOAD_QUEUES, 10, POST_OVERLOAD_NONE},
};

START_TEST(goes_up_at_once_and_down_with_room)
{
    const enum post_overload_level after =
        overload_level(levels[_i].before, levels[_i].used * 1000, 1000 * 1000);
    ck_assert_msg(after == levels[_i].after, "%s: %d", levels[_i].why, (int)after);
}
END_TEST

static char root[] = "/tmp/parley-memory-XXXXXX";

static void put(const char *path, const char *text)
{
    char name[512];
    (void)snprintf(name, sizeof(name), "%s%s", root, path);
    for (char *slash = strchr(name + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(name, 0700);
        *slash = '/';
    }
    FILE *file = fopen(name, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static const struct {
    const char *why;
    const char *groups; /* /proc/self/cgroup */
    const char *files[3][2];
    uint64_t limit;
} machines[] = {
    {"no groups", "", {{NULL}}, UINT64_C(1024) << 20},
    {"no limit", "0::/a/b\n", {{"/sys/fs/cgroup/a/b/memory.max", "max\n"}}, UINT64_C(1024) << 20},
    {"ours", "0::/a/b\n", {{"/sys/fs/cgroup/a/b/memory.max", "268435456\n"}}, 268435456},
    {"one above is less",
     "0::/a/b\n",
     {{"/sys/fs/cgroup/a/b/memory.max", "268435456\n"},
      {"/sys/fs/cgroup/a/memory.max", "134217728\n"}},
     134217728},
    {"a namespace shows the root only",
     "0::/somewhere/else\n",
     {{"/sys/fs/cgroup/memory.max", "67108864\n"}},
     67108864},
    {"version 1, beside others",
     "9:name=systemd:/\n4:cpu,memory:/a\n0::/\n",
     {{"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "536870912\n"}},
     536870912},
    {"version 1 without a limit",
     "4:memory:/a\n",
     {{"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"}},
     UINT64_C(1024) << 20},
    {"another controller's",
     "4:cpu:/a\n",
     {{"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1\n"}},
     UINT64_C(1024) << 20},
    {"no sense",
     "nonsense\n0::\n:::\n",
     {{"/sys/fs/cgroup/memory.max", "a lot\n"}},
     UINT64_C(1024) << 20},
};

START_TEST(finds_the_least_limit)
{
    char command[64];
    (void)snprintf(command, sizeof(command), "rm -rf -- %s", root);
    ck_assert_ptr_nonnull(mkdtemp(root));
    put("/proc/meminfo", "MemFree: 5 kB\nMemTotal:    1048576 kB\n");
    put("/proc/self/cgroup", machines[_i].groups);
    for (size_t i = 0; i < 3 && machines[_i].files[i][0] != NULL; i++) {
        put(machines[_i].files[i][0], machines[_i].files[i][1]);
    }
    const uint64_t limit = memory_limit_below(root);
    ck_assert_int_eq(system(command), 0);
    ck_assert_msg(limit == machines[_i].limit, "%s: %llu", machines[_i].why,
                  (unsigned long long)limit);
}
END_TEST

START_TEST(knows_this_machine)
{
    ck_assert_uint_gt(memory_resident(), 100 << 10);
    ck_assert_uint_gt(memory_limit(), memory_resident());
    ck_assert_uint_eq(memory_limit_below("/nonexistent"), 64 << 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server/overload");
    TCase *tests = tcase_create("overload");
    tcase_add_loop_test(tests, goes_up_at_once_and_down_with_room, 0,
                        sizeof(levels) / sizeof(levels[0]));
    tcase_add_loop_test(tests, finds_the_least_limit, 0, sizeof(machines) / sizeof(machines[0]));
    tcase_add_test(tests, knows_this_machine);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
