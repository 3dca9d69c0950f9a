/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets: steps with the clock in hand, then over random times the two things that matter:
 * nobody gets more than burst + rate * time, and who waits as long as told is served.
 */
#include "chat/limits.h"

#include <signal.h>

#include "tests/unit/chat/testing.h"

/* Each row goes on with the bucket of the row before. */
static const struct {
    const char *why;
    uint32_t now_ms;
    bool taken;
    bool half_full;
    uint32_t wait_ms;
} steps[] = {
    {"the burst, 1", 1000, true, true, 0},
    {"the burst, 2", 1000, true, true, 0},
    {"the burst, 3", 1000, true, false, 0},
    {"the burst, 4", 1000, true, false, 100},
    {"nothing left", 1000, false, false, 100},
    {"nor a little later", 1001, false, false, 99},
    {"a refusal costs nothing", 1099, false, false, 1},
    {"one is there", 1100, true, false, 100},
    {"half of one", 1150, false, false, 50},
    {"two and a half, less one", 1350, true, false, 0},
    {"one and a half, less one", 1350, true, false, 50},
    {"after a long time no more than the burst, 1", 900000, true, true, 0},
    {"after a long time no more than the burst, 2", 900000, true, true, 0},
    {"after a long time no more than the burst, 3", 900000, true, false, 0},
    {"after a long time no more than the burst, 4", 900000, true, false, 100},
    {"and no more", 900000, false, false, 100},
};

START_TEST(follows_the_clock)
{
    const struct limits_rate rate = {.per_second = 10, .burst = 4};
    struct limits_bucket bucket;
    limits_fill(&bucket, &rate, 1000);
    ck_assert(limits_is_half_full(&bucket, &rate));
    ck_assert_uint_eq(limits_wait_ms(&bucket, &rate), 0);

    for (int i = 0; i < COUNT(steps); i++) {
        ck_assert_msg(limits_take(&bucket, &rate, steps[i].now_ms) == steps[i].taken, "%s",
                      steps[i].why);
        ck_assert_msg(limits_is_half_full(&bucket, &rate) == steps[i].half_full, "%s",
                      steps[i].why);
        ck_assert_msg(limits_wait_ms(&bucket, &rate) == steps[i].wait_ms, "%s", steps[i].why);
    }
}
END_TEST

START_TEST(counts_and_gives_back)
{
    const struct limits_rate rate = {.per_second = 10, .burst = 4};
    struct limits_bucket bucket;
    limits_fill(&bucket, &rate, 0);
    limits_take_some(&bucket, 3);
    ck_assert_uint_eq(limits_count(&bucket, &rate, 50), 1);
    ck_assert(limits_take(&bucket, &rate, 50));
    ck_assert_uint_eq(limits_wait_ms(&bucket, &rate), 50);
    limits_put_back(&bucket, &rate);
    ck_assert_uint_eq(limits_count(&bucket, &rate, 100), 2);
    limits_put_back(&bucket, &rate);
    limits_put_back(&bucket, &rate);
    limits_put_back(&bucket, &rate);
    ck_assert_uint_eq(limits_count(&bucket, &rate, 100), 4);
}
END_TEST

START_TEST(survives_the_wrap_of_the_clock)
{
    const struct limits_rate rate = {.per_second = 1, .burst = 1};
    struct limits_bucket bucket;
    limits_fill(&bucket, &rate, UINT32_MAX - 499);

    ck_assert(limits_take(&bucket, &rate, UINT32_MAX - 499));
    ck_assert(!limits_take(&bucket, &rate, UINT32_MAX));
    ck_assert(!limits_take(&bucket, &rate, 499)); /* 999 ms later */
    ck_assert(limits_take(&bucket, &rate, 500));
}
END_TEST

START_TEST(does_not_overflow)
{
    const struct limits_rate rate = {.per_second = 1000000, .burst = 1000000};
    struct limits_bucket bucket;
    limits_fill(&bucket, &rate, 0);

    ck_assert(limits_take(&bucket, &rate, UINT32_MAX));
    ck_assert_uint_eq(bucket.milli_tokens, 999999000);
    int taken = 1;
    while (limits_take(&bucket, &rate, UINT32_MAX)) {
        taken++;
    }
    ck_assert_int_eq(taken, 1000000);
    ck_assert(!limits_take(&bucket, &rate, UINT32_MAX));
    ck_assert_uint_eq(limits_wait_ms(&bucket, &rate), 1);
}
END_TEST

START_TEST(keeps_the_rate_at_any_times)
{
    static const struct limits_rate rates[] = {{1, 1}, {3, 7}, {30, 60}, {999, 5}, {1500, 2}};
    uint64_t state = 2463534242;

    for (int i = 0; i < COUNT(rates); i++) {
        struct limits_bucket bucket;
        uint64_t now_ms = 0;
        uint64_t taken = 0;
        limits_fill(&bucket, &rates[i], 0);
        for (int turn = 0; turn < 3000; turn++) {
            now_ms += chance_below(&state, 3) == 0 ? chance_below(&state, 900) : 0;
            if (limits_take(&bucket, &rates[i], (uint32_t)now_ms)) {
                taken++;
            } else {
                const uint32_t wait_ms = limits_wait_ms(&bucket, &rates[i]);
                ck_assert_uint_gt(wait_ms, 0);
                struct limits_bucket early = bucket;
                ck_assert(!limits_take(&early, &rates[i], (uint32_t)now_ms + wait_ms - 1));
                now_ms += wait_ms;
                ck_assert(limits_take(&bucket, &rates[i], (uint32_t)now_ms));
                taken++;
            }
            ck_assert_uint_le(taken * 1000,
                              rates[i].burst * UINT64_C(1000) + now_ms * rates[i].per_second);
        }
    }
}
END_TEST

/* A limit that is not set is refused, and does not mean "unlimited" (LIMITS.md row 39). */
START_TEST(refuses_rates_that_are_none)
{
    static const struct limits_rate rates[] = {{0, 1}, {1, 0}, {1000001, 1}, {1, 1000001}};
    struct limits_bucket bucket;
    limits_fill(&bucket, &rates[_i], 0);
}
END_TEST

int main(void)
{
    TCase *limits = tcase_create("limits");
    tcase_add_test(limits, follows_the_clock);
    tcase_add_test(limits, counts_and_gives_back);
    tcase_add_test(limits, survives_the_wrap_of_the_clock);
    tcase_add_test(limits, does_not_overflow);
    tcase_add_test(limits, keeps_the_rate_at_any_times);
    tcase_add_loop_test_raise_signal(limits, refuses_rates_that_are_none, SIGABRT, 0, 4);
    Suite *suite = suite_create("chat/limits");
    suite_add_tcase(suite, limits);
    return run_suite(suite);
}
