/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers as connections have them: each armed again and again some 10 to 70 s ahead ("rearm", per
 * timer), and time that passes, tick by tick, over timers that arm themselves again ("tick", per
 * tick of 8 ms, its share of the firing included).
 */
#include "core/timerwheel.h"

#include <stdlib.h>

#include "bench/micro/micro.h"
#include "core/check.h"

#define SECOND_NS UINT64_C(1000000000)

struct timers {
    struct timerwheel *wheel;
    struct timerwheel_timer *timers;
    uint64_t count;
    uint64_t now_ns;
    uint32_t random;
};

static uint64_t some_deadline(struct timers *all)
{
    return all->now_ns + (10 + micro_random(&all->random) % 60) * SECOND_NS;
}

static void *timers_setup(const struct micro_case *row)
{
    struct timers *all = malloc(sizeof(*all));
    CHECK(all != NULL);
    *all = (struct timers){
        .wheel = timerwheel_create(0, TIMERWHEEL_TICK_NS_DEFAULT),
        .timers = calloc(row->size, sizeof(struct timerwheel_timer)),
        .count = row->size,
        .random = 2463534242,
    };
    CHECK(all->wheel != NULL);
    CHECK(all->timers != NULL);
    for (uint64_t i = 0; i < all->count; i++) {
        timerwheel_arm(all->wheel, &all->timers[i], some_deadline(all));
    }
    return all;
}

static void timers_teardown(void *context)
{
    struct timers *all = context;
    timerwheel_destroy(all->wheel);
    free(all->timers);
    free(all);
}

static void rearm_run(void *context, uint64_t iterations)
{
    struct timers *all = context;
    for (uint64_t i = 0; i < iterations; i++) {
        struct timerwheel_timer *timer = &all->timers[micro_random(&all->random) % all->count];
        timerwheel_arm(all->wheel, timer, some_deadline(all));
    }
}

static void arm_again(struct timerwheel_timer *timer, void *context)
{
    struct timers *all = context;
    timerwheel_arm(all->wheel, timer, some_deadline(all));
}

static void tick_run(void *context, uint64_t iterations)
{
    struct timers *all = context;
    for (uint64_t i = 0; i < iterations; i++) {
        all->now_ns += TIMERWHEEL_TICK_NS_DEFAULT;
        micro_keep(timerwheel_expire(all->wheel, all->now_ns, arm_again, all, SIZE_MAX));
    }
}

#define CASE(what, timer_count)                                                                    \
    {                                                                                              \
        .name = "core/timerwheel/" #what "/" #timer_count, .setup = timers_setup,                  \
        .run = what##_run, .teardown = timers_teardown, .size = (timer_count)                      \
    }

const struct micro_case timerwheel_micro_cases[] = {
    CASE(rearm, 1000), CASE(rearm, 100000), CASE(tick, 1000), CASE(tick, 100000), {.name = NULL},
};
