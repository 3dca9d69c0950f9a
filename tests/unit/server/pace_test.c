/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace: a clock that ticks, as a reactor's does, and what becomes due. Counted in each tick, so
 * that a burst is seen and not only the end.
 */
#include "server/pace.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

static const uint64_t begin_ns = 5 * S; /* any */

struct outcome {
    uint64_t last_ns;    /* when the last one was done, since the beginning */
    uint32_t most;       /* done in one tick */
    uint32_t first_half; /* done in the first half of the time that it took at most */
};

/* Until all of `count` are done. The clock goes by ticks, and once by `stall_ns` as well. */
static struct outcome run(struct pace *pace, uint32_t count, uint64_t tick_ns, uint64_t stall_ns)
{
    struct outcome outcome = {0};
    const uint64_t half_ns = begin_ns + (pace->end_ns - begin_ns) / 2;
    uint32_t remaining = count;

    for (uint64_t now_ns = begin_ns; remaining > 0; now_ns += tick_ns) {
        uint32_t done = 0;
        while (remaining > 0 && pace_take(pace, now_ns, remaining)) {
            remaining--;
            done++;
        }
        if (done > 0) {
            outcome.last_ns = now_ns - begin_ns;
        }
        outcome.most = done > outcome.most ? done : outcome.most;
        outcome.first_half += now_ns <= half_ns ? done : 0;
        if (now_ns >= half_ns) {
            now_ns += stall_ns;
            stall_ns = 0;
        }
    }
    return outcome;
}

static const struct {
    const char *why;
    uint32_t count;
    uint64_t time_ns;
    uint64_t interval_max_ns;
    uint64_t stall_ns;
    uint64_t last_min_ns, last_max_ns;
    uint32_t most; /* in a millisecond: twice the even rate, and one */
} cases[] = {
    {"one: at once", 1, 20 * S, 5 * MS, 0, 0, 0, 1},
    {"a few: at the least rate", 20, 20 * S, 5 * MS, 0, 40 * MS, 150 * MS, 2},
    {"the rate is enough", 2000, 20 * S, 5 * MS, 0, 9 * S, 11 * S, 2},
    {"more than the rate: all of the time", 18000, 17 * S, 5 * MS, 0, 16 * S, 17 * S, 4},
    {"one reactor of two", 9000, 17 * S, 10 * MS, 0, 16 * S, 17 * S, 3},
    {"a slow rate with little time", 3, 2 * S, 1000 * S, 0, 500 * MS, 2 * S, 1},
    {"no time", 50, 0, 5 * MS, 0, 0, 0, 50},
    /* 20 ms are made up for at once: 21 of them; the rest is a little denser. */
    {"a stall", 10000, 10 * S, 5 * MS, 2 * S, 9 * S, 10 * S, 45},
    {"a stall up to the end", 10000, 10 * S, 5 * MS, 6 * S, 10 * S, 12 * S, 10000},
};

START_TEST(keeps_to_time_and_rate)
{
    struct pace pace;

    for (uint64_t seed = 0; seed < 20; seed++) {
        pace_begin(&pace, begin_ns, begin_ns + cases[_i].time_ns, cases[_i].interval_max_ns, seed);
        const struct outcome outcome = run(&pace, cases[_i].count, MS, cases[_i].stall_ns);
        ck_assert_msg(outcome.last_ns >= cases[_i].last_min_ns &&
                          outcome.last_ns <= cases[_i].last_max_ns,
                      "%s: the last after %llu ms", cases[_i].why,
                      (unsigned long long)(outcome.last_ns / MS));
        ck_assert_msg(outcome.most <= cases[_i].most, "%s: %u at once", cases[_i].why,
                      outcome.most);
    }
}
END_TEST

START_TEST(is_even)
{
    struct pace pace;

    pace_begin(&pace, begin_ns, begin_ns + 10 * S, 1000 * S, 7);
    const struct outcome outcome = run(&pace, 10000, MS, 0);
    ck_assert_uint_gt(outcome.first_half, 4800);
    ck_assert_uint_lt(outcome.first_half, 5200);
}
END_TEST

/* Two that begin together are soon apart. */
START_TEST(has_jitter)
{
    struct pace one;
    struct pace other;
    uint32_t apart = 0;

    pace_begin(&one, begin_ns, begin_ns + 10 * S, 10 * MS, 1);
    pace_begin(&other, begin_ns, begin_ns + 10 * S, 10 * MS, 2);
    for (uint64_t now_ns = begin_ns; now_ns < begin_ns + S; now_ns += MS) {
        apart += pace_take(&one, now_ns, 1000) != pace_take(&other, now_ns, 1000);
    }
    ck_assert_uint_gt(apart, 100); /* of some 200 */
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("pace");
    tcase_add_loop_test(tcase, keeps_to_time_and_rate, 0, sizeof(cases) / sizeof(cases[0]));
    tcase_add_test(tcase, is_even);
    tcase_add_test(tcase, has_jitter);
    Suite *suite = suite_create("server/pace");
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
