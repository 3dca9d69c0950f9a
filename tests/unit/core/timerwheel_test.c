/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer wheel: when single deadlines fire (a table, in ticks and parts of ticks), that a loop
 * which sleeps until timerwheel_next_ns() gets there in few steps, what a callback may do, and
 * long random use compared with a plain array: never early, at most one tick late, none lost.
 */
#include "core/timerwheel.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define TICK  UINT64_C(8000000)
#define START UINT64_C(123456789012)

struct item {
    uint64_t before; /* the timer is not the first member */
    struct timerwheel_timer timer;
    uint64_t deadline_ns;
    size_t fired;
};

struct log_of_fires {
    struct timerwheel *wheel;
    uint64_t now_ns;
    size_t count;
    struct item *last;
    struct item *victim; /* cancelled by whoever fires */
    uint64_t rearm_ns;   /* armed again for then; 0: not */
};

static void fire(struct timerwheel_timer *timer, void *context)
{
    struct log_of_fires *log = context;
    struct item *item = LIST_OWNER(timer, struct item, timer);
    ck_assert(!timerwheel_is_armed(timer));
    ck_assert_uint_le(item->deadline_ns, log->now_ns); /* never early */
    item->fired++;
    log->count++;
    log->last = item;
    if (log->victim != NULL) {
        timerwheel_cancel(log->wheel, &log->victim->timer);
    }
    if (log->rearm_ns != 0) {
        item->deadline_ns = log->rearm_ns;
        timerwheel_arm(log->wheel, timer, log->rearm_ns);
    }
}

static size_t expire(struct log_of_fires *log, uint64_t now_ns, size_t max)
{
    log->now_ns = now_ns;
    return timerwheel_expire(log->wheel, now_ns, fire, log, max);
}

static void arm(struct timerwheel *wheel, struct item *item, uint64_t deadline_ns)
{
    item->deadline_ns = deadline_ns;
    timerwheel_arm(wheel, &item->timer, deadline_ns);
}

static const struct {
    const char *why;
    uint64_t after_start_ns;
    uint64_t due_ticks; /* the first tick at which it fires */
} deadlines[] = {
    {"at the start", 0, 0},
    {"one nanosecond", 1, 1},
    {"one tick", TICK, 1},
    {"a bit more", TICK + 1, 2},
    {"last slot of level 0", 63 * TICK, 63},
    {"first slot of level 1", 64 * TICK, 64},
    {"between", 65 * TICK, 65},
    {"last of level 1", 4095 * TICK, 4095},
    {"first of level 2", 4096 * TICK, 4096},
    {"level 2, all digits in use", (4096 + 64 + 1) * TICK, 4096 + 64 + 1},
    {"level 3", (UINT64_C(1) << 18) * TICK, UINT64_C(1) << 18},
    {"level 4", ((UINT64_C(3) << 24) + 12345) * TICK, (UINT64_C(3) << 24) + 12345},
    {"a year", UINT64_C(31557600000000000), UINT64_C(31557600000000000) / TICK},
};

START_TEST(fires_on_time)
{
    struct item item = {.fired = 0};
    struct log_of_fires log = {.wheel = timerwheel_create(START, TICK)};
    ck_assert_ptr_nonnull(log.wheel);
    arm(log.wheel, &item, START + deadlines[_i].after_start_ns);
    ck_assert(timerwheel_is_armed(&item.timer));
    ck_assert_uint_eq(timerwheel_count(log.wheel), 1);
    const uint64_t due_ns = START + deadlines[_i].due_ticks * TICK;
    if (deadlines[_i].due_ticks > 0) {
        ck_assert_uint_eq(expire(&log, due_ns - 1, 10), 0);
    }
    ck_assert_msg(expire(&log, due_ns, 10) == 1, "%s", deadlines[_i].why);
    ck_assert_uint_eq(item.fired, 1);
    ck_assert_uint_eq(timerwheel_count(log.wheel), 0);
    ck_assert_uint_eq(expire(&log, due_ns * 2, 10), 0);
    timerwheel_destroy(log.wheel);
}
END_TEST

START_TEST(sleeping_until_next_gets_there)
{
    struct item item = {.fired = 0};
    struct log_of_fires log = {.wheel = timerwheel_create(START, TICK)};
    ck_assert_uint_eq(timerwheel_next_ns(log.wheel), TIMERWHEEL_NEVER);
    arm(log.wheel, &item, START + deadlines[_i].after_start_ns);
    const uint64_t due_ns = START + deadlines[_i].due_ticks * TICK;
    /* One step per level at most; the last one fires. */
    for (size_t step = 0; step < 9 && item.fired == 0; step++) {
        const uint64_t next_ns = timerwheel_next_ns(log.wheel);
        ck_assert_uint_le(next_ns, due_ns);
        ck_assert_uint_le(expire(&log, next_ns, 10), 1);
    }
    ck_assert_uint_eq(item.fired, 1);
    ck_assert_uint_eq(log.now_ns, due_ns);
    ck_assert_uint_eq(timerwheel_next_ns(log.wheel), TIMERWHEEL_NEVER);
    timerwheel_destroy(log.wheel);
}
END_TEST

START_TEST(the_end_of_time_is_far)
{
    struct item item = {.fired = 0};
    struct log_of_fires log = {.wheel = timerwheel_create(START, TIMERWHEEL_TICK_NS_MIN)};
    arm(log.wheel, &item, UINT64_MAX);
    ck_assert_uint_eq(expire(&log, UINT64_MAX - TIMERWHEEL_TICK_NS_MIN, 10), 0);
    ck_assert(timerwheel_is_armed(&item.timer));
    timerwheel_cancel(log.wheel, &item.timer);
    ck_assert_uint_eq(timerwheel_next_ns(log.wheel), TIMERWHEEL_NEVER);
    timerwheel_destroy(log.wheel);
}
END_TEST

START_TEST(the_past_is_due_at_once)
{
    struct item items[2] = {{.fired = 0}};
    struct log_of_fires log = {.wheel = timerwheel_create(START, TICK)};
    arm(log.wheel, &items[0], 0);
    ck_assert_uint_le(timerwheel_next_ns(log.wheel), START);
    ck_assert_uint_eq(expire(&log, START, 10), 1);
    ck_assert_uint_eq(expire(&log, START + 1000 * TICK, 10), 0);
    arm(log.wheel, &items[1], START + 5 * TICK);
    ck_assert_uint_le(timerwheel_next_ns(log.wheel), START + 1000 * TICK);
    /* A clock that stands still, or goes back, fires it all the same, and disturbs nothing. */
    ck_assert_uint_eq(expire(&log, START + 1000 * TICK, 10), 1);
    arm(log.wheel, &items[1], START + 1001 * TICK);
    ck_assert_uint_eq(expire(&log, START + 5 * TICK, 10), 0);
    ck_assert_uint_eq(expire(&log, START + 1001 * TICK, 10), 1);
    timerwheel_destroy(log.wheel);
}
END_TEST

START_TEST(arms_again_and_cancels)
{
    struct item item = {.fired = 0};
    struct log_of_fires log = {.wheel = timerwheel_create(START, TICK)};
    timerwheel_cancel(log.wheel, &item.timer); /* not armed: nothing */
    arm(log.wheel, &item, START + 10 * TICK);
    arm(log.wheel, &item, START + 100 * TICK);
    ck_assert_uint_eq(timerwheel_count(log.wheel), 1);
    ck_assert_uint_eq(expire(&log, START + 99 * TICK, 10), 0);
    arm(log.wheel, &item, START + 100 * TICK + 1);
    ck_assert_uint_eq(expire(&log, START + 100 * TICK, 10), 0);
    timerwheel_cancel(log.wheel, &item.timer);
    ck_assert(!timerwheel_is_armed(&item.timer));
    ck_assert_uint_eq(timerwheel_count(log.wheel), 0);
    ck_assert_uint_eq(timerwheel_next_ns(log.wheel), TIMERWHEEL_NEVER);
    ck_assert_uint_eq(expire(&log, START + 1000 * TICK, 10), 0);
    timerwheel_destroy(log.wheel);
}
END_TEST

START_TEST(the_rest_waits_for_the_next_call)
{
    struct item items[10] = {{.fired = 0}};
    struct log_of_fires log = {.wheel = timerwheel_create(START, TICK)};
    for (size_t i = 0; i < 10; i++) {
        arm(log.wheel, &items[i], START + (10 - i) * TICK);
    }
    ck_assert_uint_eq(expire(&log, START + 20 * TICK, 4), 4);
    ck_assert_ptr_eq(log.last, &items[6]); /* in the order of their deadlines */
    ck_assert_uint_le(timerwheel_next_ns(log.wheel), START + 20 * TICK);
    ck_assert_uint_eq(timerwheel_count(log.wheel), 6);
    timerwheel_cancel(log.wheel, &items[5].timer); /* one that is due already */
    ck_assert_uint_eq(expire(&log, START + 20 * TICK, 100), 5);
    ck_assert_ptr_eq(log.last, &items[0]);
    ck_assert_uint_eq(items[5].fired, 0);
    ck_assert_uint_eq(timerwheel_next_ns(log.wheel), TIMERWHEEL_NEVER);
    timerwheel_destroy(log.wheel);
}
END_TEST

START_TEST(a_callback_may_cancel_its_neighbour)
{
    struct item items[3] = {{.fired = 0}};
    struct log_of_fires log = {.wheel = timerwheel_create(START, TICK), .victim = &items[1]};
    for (size_t i = 0; i < 3; i++) {
        arm(log.wheel, &items[i], START + TICK);
    }
    ck_assert_uint_eq(expire(&log, START + TICK, 10), 2);
    ck_assert_uint_eq(items[0].fired, 1);
    ck_assert_uint_eq(items[1].fired, 0);
    ck_assert_uint_eq(items[2].fired, 1);
    timerwheel_destroy(log.wheel);
}
END_TEST

static const struct {
    const char *why;
    uint64_t rearm_ns;
} rearms[] = {
    {"long ago", 1},
    {"the very moment", START + 10 * TICK},
    {"the next tick", START + 11 * TICK},
};

START_TEST(a_callback_that_arms_does_not_loop)
{
    struct item item = {.fired = 0};
    struct log_of_fires log = {.wheel = timerwheel_create(START, TICK),
                               .rearm_ns = rearms[_i].rearm_ns};
    arm(log.wheel, &item, START + 10 * TICK);
    ck_assert_msg(expire(&log, START + 10 * TICK, 1000) == 1, "%s", rearms[_i].why);
    ck_assert(timerwheel_is_armed(&item.timer));
    ck_assert_uint_eq(expire(&log, START + 11 * TICK, 1000), 1);
    timerwheel_destroy(log.wheel);
}
END_TEST

enum { MODEL_COUNT = 300, MODEL_STEPS = 20000 };

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Mostly near, sometimes far: each level is used, and each border crossed. */
static uint64_t random_delay(uint64_t *random)
{
    const unsigned bits = (unsigned)(random_next(random) % 40);
    return random_next(random) & ((UINT64_C(1) << bits) - 1);
}

START_TEST(equals_a_model)
{
    static struct item items[MODEL_COUNT];
    memset(items, 0, sizeof(items));
    struct log_of_fires log = {.wheel = timerwheel_create(START, TICK)};
    uint64_t random = 88172645463325252 + (uint64_t)_i;
    uint64_t now_ns = START;
    size_t armed = 0;
    for (size_t step = 0; step < MODEL_STEPS; step++) {
        struct item *item = &items[random_next(&random) % MODEL_COUNT];
        armed -= timerwheel_is_armed(&item->timer) ? 1 : 0;
        if (random_next(&random) % 4 == 0) {
            timerwheel_cancel(log.wheel, &item->timer);
        } else {
            arm(log.wheel, item, now_ns + random_delay(&random));
            armed++;
        }
        ck_assert_uint_eq(timerwheel_count(log.wheel), armed);
        if (random_next(&random) % 3 != 0) {
            continue;
        }
        now_ns += random_delay(&random) / 8;
        armed -= expire(&log, now_ns, SIZE_MAX);
        uint64_t earliest_ns = UINT64_MAX;
        for (size_t i = 0; i < MODEL_COUNT; i++) {
            if (timerwheel_is_armed(&items[i].timer)) {
                ck_assert_uint_gt(items[i].deadline_ns + TICK, now_ns); /* not late */
                if (items[i].deadline_ns < earliest_ns) {
                    earliest_ns = items[i].deadline_ns;
                }
            }
        }
        const uint64_t next_ns = timerwheel_next_ns(log.wheel);
        ck_assert(next_ns < earliest_ns + TICK || earliest_ns == UINT64_MAX);
    }
    timerwheel_destroy(log.wheel);
    timerwheel_destroy(NULL);
}
END_TEST

int main(void)
{
    const int deadline_count = (int)(sizeof(deadlines) / sizeof(deadlines[0]));
    TCase *single = tcase_create("single");
    tcase_add_loop_test(single, fires_on_time, 0, deadline_count);
    tcase_add_loop_test(single, sleeping_until_next_gets_there, 0, deadline_count);
    tcase_add_test(single, the_end_of_time_is_far);
    tcase_add_test(single, the_past_is_due_at_once);
    tcase_add_test(single, arms_again_and_cancels);
    TCase *callbacks = tcase_create("callbacks");
    tcase_add_test(callbacks, the_rest_waits_for_the_next_call);
    tcase_add_test(callbacks, a_callback_may_cancel_its_neighbour);
    tcase_add_loop_test(callbacks, a_callback_that_arms_does_not_loop, 0,
                        (int)(sizeof(rearms) / sizeof(rearms[0])));
    TCase *model = tcase_create("model");
    tcase_set_timeout(model, 120);
    tcase_add_loop_test(model, equals_a_model, 0, 3);
    Suite *suite = suite_create("core/timerwheel");
    suite_add_tcase(suite, single);
    suite_add_tcase(suite, callbacks);
    suite_add_tcase(suite, model);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
