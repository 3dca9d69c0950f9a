/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overload: which level follows which, from a table; whose limit counts, and what is in use of it,
 * from trees of files as the kernel shows them; when a reactor sheds by itself.
 */
#include "server/overload.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/memory.h"
#include "server/shed.h"

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

static void plant(const char *own, const char *const files[3][2])
{
    (void)strcpy(root, "/tmp/parley-memory-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    put("/proc/meminfo", "MemFree: 5 kB\nMemTotal:    1048576 kB\n");
    put("/proc/self/cgroup", own);
    for (size_t i = 0; i < 3 && files[i][0] != NULL; i++) {
        put(files[i][0], files[i][1]);
    }
}

static void clean_up(void)
{
    char command[64];
    (void)snprintf(command, sizeof(command), "rm -rf -- %s", root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(finds_the_least_limit)
{
    struct memory_limit limit;
    plant(machines[_i].groups, machines[_i].files);
    memory_limit_find(&limit, root);
    clean_up();
    ck_assert_msg(limit.bytes == machines[_i].limit, "%s: %llu", machines[_i].why,
                  (unsigned long long)limit.bytes);
    ck_assert_int_eq(limit.group[0] == '\0', limit.bytes == UINT64_C(1024) << 20);
}
END_TEST

static const struct {
    const char *why;
    const char *groups;
    const char *files[3][2];
    uint64_t used; /* 0: what is resident */
} groups[] = {
    {"version 2",
     "0::/a/b\n",
     {{"/sys/fs/cgroup/a/memory.max", "1000000\n"},
      {"/sys/fs/cgroup/a/memory.current", "700000\n"},
      {"/sys/fs/cgroup/a/memory.stat",
       "anon 300000\nfile 250000\nsock 5000\ninactive_file 200000\nactive_file 50000\n"}},
     450000},
    {"version 1: those below count, too",
     "4:memory:/a\n",
     {{"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000000\n"},
      {"/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "700000\n"},
      {"/sys/fs/cgroup/memory/a/memory.stat",
       "inactive_file 1\nactive_file 1\ntotal_inactive_file 200000\ntotal_active_file 50000\n"}},
     450000},
    {"without a stat",
     "0::/\n",
     {{"/sys/fs/cgroup/memory.max", "1000000\n"}, {"/sys/fs/cgroup/memory.current", "700000\n"}},
     700000},
    {"files only",
     "0::/\n",
     {{"/sys/fs/cgroup/memory.max", "1000000\n"},
      {"/sys/fs/cgroup/memory.current", "70\n"},
      {"/sys/fs/cgroup/memory.stat", "inactive_file 100\n"}},
     0},
    {"cannot be read", "0::/\n", {{"/sys/fs/cgroup/memory.max", "1000000\n"}}, UINT64_MAX},
    {"the machine's", "0::/\n", {{NULL}}, UINT64_MAX},
};

START_TEST(finds_what_is_in_use)
{
    struct memory_limit limit;
    plant(groups[_i].groups, groups[_i].files);
    memory_limit_find(&limit, root);
    const uint64_t used = memory_used(&limit);
    clean_up();
    if (groups[_i].used == UINT64_MAX) {
        ck_assert_msg(used > 100 << 10, "%s: what is resident", groups[_i].why);
    } else {
        ck_assert_msg(used == groups[_i].used, "%s: %llu", groups[_i].why,
                      (unsigned long long)used);
    }
}
END_TEST

static void use(const char *bytes)
{
    put("/sys/fs/cgroup/memory.current", bytes);
}

/* Steps of 1,000,000 bytes. */
START_TEST(a_reactor_looks_for_itself)
{
    static const char *const files[3][2] = {{"/sys/fs/cgroup/memory.max", "80000000\n"}};
    struct memory_limit limit;
    struct shed shed;

    plant("0::/\n", files);
    memory_limit_find(&limit, root);
    shed_init(&shed, &limit, 64000000);
    use("64000000\n");
    ck_assert_msg(!shed_is_due(&shed, 999999), "less than a step");
    ck_assert_msg(shed_is_due(&shed, 1000000), "a step, and nothing is left");
    ck_assert_msg(!shed_is_due(&shed, 1500000), "less than another");
    ck_assert_msg(shed_is_due(&shed, 2000000), "another");
    ck_assert_msg(!shed_is_due(&shed, 0), "all went");
    use("63999999\n");
    ck_assert_msg(!shed_is_due(&shed, 1000000), "there is memory");
    use("64000000\n");
    ck_assert_msg(shed_is_due(&shed, 2000000), "again");
    shed_init(&shed, NULL, 64000000);
    ck_assert_msg(!shed_is_due(&shed, UINT64_MAX), "nobody looks");
    clean_up();
}
END_TEST

START_TEST(knows_this_machine)
{
    ck_assert_uint_gt(memory_resident(), 100 << 10);
    struct memory_limit limit;
    memory_limit_find(&limit, "");
    ck_assert_uint_gt(limit.bytes, memory_resident());
    memory_limit_find(&limit, "/nonexistent");
    ck_assert_uint_eq(limit.bytes, 64 << 20);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server/overload");
    TCase *tests = tcase_create("overload");
    tcase_add_loop_test(tests, goes_up_at_once_and_down_with_room, 0,
                        sizeof(levels) / sizeof(levels[0]));
    tcase_add_loop_test(tests, finds_the_least_limit, 0, sizeof(machines) / sizeof(machines[0]));
    tcase_add_loop_test(tests, finds_what_is_in_use, 0, sizeof(groups) / sizeof(groups[0]));
    tcase_add_test(tests, a_reactor_looks_for_itself);
    tcase_add_test(tests, knows_this_machine);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
