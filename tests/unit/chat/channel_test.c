/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One home and two listening reactors (channel_world.h), starved on purpose: in order? each once?
 * a gap exactly once, and nothing behind it? stale names ignored? nothing leaked?
 */
#include "chat/channel.h"

#include <errno.h>

#include "tests/unit/chat/channel_world.h"

START_TEST(everybody_hears_all_in_order)
{
    open_world(1000, 1 << 20);
    struct room *room = open_room("r");
    struct ear *ears[SIDE_COUNT] = {&world.sides[0].ears[0], new_ear(1, 7), new_ear(2, 7)};
    struct ids_handle channel = {0};
    uint64_t state = 88172645463325252;

    for (int i = 0; i < SIDE_COUNT; i++) {
        channel = join("r", ears[i]->room);
    }
    ck_assert_uint_eq(channel_count(world.home), 1);
    for (uint64_t number = 1; number <= 900; number++) {
        publish("r", number);
        deliver();
        /* Reactor 1 reads a little at a time, 2 hardly at all: both lag, and each on its own. */
        (void)take(1, chance_below(&state, 3));
        (void)take(2, chance_below(&state, 40) == 0 ? 5 : 0);
        if (chance_below(&state, 4) == 0) {
            channel_catch_up(world.home);
        }
    }
    ck_assert(channel_is_lagging(world.home));
    settle();
    for (int i = 0; i < SIDE_COUNT; i++) {
        heard_range(ears[i], 1, 900);
        ck_assert_uint_eq(ears[i]->gaps, 0);
        leave(channel, ears[i]->room);
    }
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_PUBLICATIONS), 900);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 0);
    ck_assert_uint_gt(metrics_read(&metrics, METRIC_BUS_FULL), 0);
    roster_close(world.roster, room);
    close_world();
}
END_TEST

START_TEST(nobody_interested)
{
    open_world(10, 1 << 20);
    publish_range("r", 1, 20);
    collect();
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert(!channel_is_lagging(world.home));
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
    }
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_PUBLICATIONS), 20);
    close_world();
}
END_TEST

/* Interest begins with the next publication, and channels do not hear each other. */
START_TEST(from_the_next_one_on)
{
    open_world(10, 1 << 20);
    struct ear *a = new_ear(1, 1);
    struct ear *b = new_ear(1, 2);
    struct ear *late = new_ear(2, 1);
    (void)join("a", a->room);
    (void)join("b", b->room);
    publish_range("a", 1, 3);
    (void)join("a", late->room);
    publish("b", 100);
    publish_range("a", 4, 5);
    settle();
    heard_range(a, 1, 5);
    heard_range(b, 100, 100);
    heard_range(late, 4, 5);
    close_world();
}
END_TEST

/* Whoever lags is served from the tail; no later one overtakes, not even when there is room. */
START_TEST(catches_up_from_the_tail)
{
    open_world(100, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    (void)join("r", ear->room);

    publish_range("r", 1, TELLS);
    ck_assert(!channel_is_lagging(world.home));
    publish_range("r", TELLS + 1, 50);
    ck_assert(channel_is_lagging(world.home));
    ck_assert_uint_eq(take(1, SIZE_MAX), TELLS);
    publish("r", 51); /* the ring is empty now */
    ck_assert_uint_eq(take(1, SIZE_MAX), 0);
    channel_catch_up(world.home);
    ck_assert_uint_eq(take(1, SIZE_MAX), TELLS);
    ck_assert(channel_is_lagging(world.home));
    settle();
    heard_range(ear, 1, 51);

    /* Caught up: the tail holds nothing any more, and what comes goes straight through. */
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
    }
    publish("r", 52);
    ck_assert(!channel_is_lagging(world.home));
    settle();
    heard_range(ear, 1, 52);
    close_world();
}
END_TEST

/* The tail is exactly so long: one publication less is no gap, one more is. */
START_TEST(the_tail_has_a_length)
{
    enum { TAIL = 8 };
    const uint64_t last = TELLS + TAIL + (uint64_t)_i;
    open_world(TAIL, 1 << 20);
    struct ear *slow = new_ear(1, 1);
    struct ear *quick = new_ear(2, 1);
    (void)join("r", slow->room);
    (void)join("r", quick->room);

    for (uint64_t number = 1; number <= last; number++) {
        publish("r", number);
        (void)take(2, SIZE_MAX);
    }
    settle();
    heard_range(quick, 1, last);
    ck_assert_uint_eq(quick->gaps, 0);
    ck_assert_uint_eq(channel_count(world.home), 1);
    if (_i == 0) {
        heard_range(slow, 1, last);
        ck_assert_uint_eq(slow->gaps, 0);
        ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 0);
    } else {
        heard_range(slow, 1, TELLS);
        ck_assert_uint_eq(slow->gaps, 1);
        ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);
        /* It is no longer interested until it asks again. */
        publish("r", last + 1);
        settle();
        heard_range(slow, 1, TELLS);
        heard_range(quick, 1, last + 1);
        ck_assert_uint_eq(slow->gaps, 1);
        struct ear *again = new_ear(1, 2);
        (void)join("r", again->room);
        publish("r", last + 2);
        settle();
        heard_range(again, last + 2, last + 2);
    }
    close_world();
}
END_TEST

/* A gap is owed while the ring stays full, through more publications, and is told once. */
START_TEST(a_gap_is_told_once)
{
    open_world(4, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    const struct ids_handle channel = join("r", ear->room);

    publish_range("r", 1, 200);
    for (int i = 0; i < 10; i++) {
        channel_catch_up(world.home); /* no room */
    }
    ck_assert(channel_is_lagging(world.home));
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);
    ck_assert_uint_eq(channel_count(world.home), 1);
    publish_range("r", 201, 210);
    settle();
    heard_range(ear, 1, TELLS);
    ck_assert_uint_eq(ear->gaps, 1);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);

    /* It was the only one: the channel has closed, and a leave on its way means nothing. */
    ck_assert_uint_eq(channel_count(world.home), 0);
    leave(channel, ear->room);
    struct ear *again = new_ear(1, 2);
    const struct ids_handle reopened = join("r", again->room);
    ck_assert(!ids_handle_equal(reopened, channel));
    leave(channel, again->room);
    leave(channel, ear->room);
    ck_assert_uint_eq(channel_count(world.home), 1);
    publish("r", 211);
    settle();
    heard_range(again, 211, 211);
    close_world();
}
END_TEST

/* Bytes bound the tail as the count does; one publication above all of them is kept alone. */
START_TEST(the_tail_has_a_weight)
{
    open_world(1000, 8192);
    struct ear *ear = new_ear(1, 1);
    (void)join("r", ear->room);

    publish_range("r", 1, TELLS);
    for (uint64_t number = TELLS + 1; number <= TELLS + 3; number++) {
        publish_sized(2, "r", number, 1000);
    }
    (void)blob_pool_collect(world.sides[2].pool);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 0);
    settle();
    heard_range(ear, 1, TELLS + 3);

    publish_range("r", TELLS + 4, 2 * TELLS + 3);
    publish_sized(2, "r", 2 * TELLS + 4, 4095); /* more than the tail may weigh */
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 0);
    settle();
    heard_range(ear, 1, 2 * TELLS + 4);

    publish_range("r", 2 * TELLS + 5, 3 * TELLS + 4);
    publish_sized(2, "r", 3 * TELLS + 5, 3000);
    publish_sized(2, "r", 3 * TELLS + 6, 3000); /* not both */
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);
    settle();
    heard_range(ear, 1, 3 * TELLS + 4);
    ck_assert_uint_eq(ear->gaps, 1);
    close_world();
}
END_TEST

/* Who leaves while lagging takes its backlog along; the others' goes on. */
START_TEST(leaves_while_lagging)
{
    open_world(100, 1 << 20);
    struct ear *one = new_ear(1, 1);
    struct ear *two = new_ear(2, 1);
    const struct ids_handle channel = join("r", one->room);
    (void)join("r", two->room);
    publish_range("r", 1, 40);

    leave(channel, one->room);
    ck_assert(channel_is_lagging(world.home));
    settle();
    heard_range(one, 1, TELLS); /* what was on its way */
    heard_range(two, 1, 40);

    publish_range("r", 41, 80);
    leave(channel, two->room); /* the last, and it lags */
    ck_assert(!channel_is_lagging(world.home));
    ck_assert_uint_eq(channel_count(world.home), 0);
    settle();
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
    }
    heard_range(two, 1, 40 + TELLS);
    close_world();
}
END_TEST

/* A tail that outlives its last laggard must still end at the newest publication. */
START_TEST(publishes_after_the_laggard_left)
{
    open_world(100, 1 << 20);
    struct ear *slow = new_ear(1, 1);
    struct ear *quick = new_ear(2, 1);
    const struct ids_handle channel = join("r", slow->room);
    (void)join("r", quick->room);
    for (uint64_t number = 1; number <= TELLS + 5; number++) {
        publish("r", number);
        (void)take(2, SIZE_MAX);
    }
    leave(channel, slow->room);
    publish_range("r", TELLS + 6, TELLS + 10); /* nobody lags: these go straight to `quick` */
    struct ear *again = new_ear(1, 2);
    (void)take(1, SIZE_MAX);
    (void)join("r", again->room);
    for (uint64_t number = TELLS + 11; number <= 3 * TELLS; number++) {
        publish("r", number);
        (void)take(2, SIZE_MAX);
    }
    settle();
    heard_range(quick, 1, 3 * TELLS);
    heard_range(again, TELLS + 11, 3 * TELLS);
    close_world();
}
END_TEST

/* The leave of a room comes after the interest of its successor: it must not take that away. */
START_TEST(a_newer_interest_replaces)
{
    open_world(100, 1 << 20);
    struct ear *old = new_ear(1, 1);
    struct ear *new = new_ear(1, 2);
    const struct ids_handle channel = join("r", old->room);
    publish_range("r", 1, 3);
    ck_assert(ids_handle_equal(join("r", new->room), channel));
    publish_range("r", 4, 6);
    leave(channel, old->room);
    publish_range("r", 7, 9);
    settle();
    heard_range(old, 1, 3);
    heard_range(new, 4, 9);

    leave(channel, (struct ids_handle){2, 1, 2}); /* a reactor that never was interested */
    ck_assert_uint_eq(channel_count(world.home), 1);
    leave(channel, new->room);
    ck_assert_uint_eq(channel_count(world.home), 0);
    leave(channel, new->room);
    close_world();
}
END_TEST

/* What the old room lagged by, or its gap, is not the new one's. */
START_TEST(a_replaced_interest_owes_nothing)
{
    open_world(_i == 0 ? 100 : 4, 1 << 20);
    struct ear *old = new_ear(1, 1);
    struct ear *new = new_ear(1, 2);
    (void)join("r", old->room);
    publish_range("r", 1, 40);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), (uint64_t)_i);
    (void)join("r", new->room);
    settle();
    heard_range(old, 1, TELLS);
    ck_assert_uint_eq(old->gaps, 0);
    ck_assert_uint_eq(new->count, 0);
    publish("r", 41);
    settle();
    heard_range(new, 41, 41);
    ck_assert_uint_eq(new->gaps, 0);
    close_world();
}
END_TEST

START_TEST(refuses_above_the_maximum)
{
    open_world(10, 1 << 20);
    static const char *const names[] = {"a", "b", "c", "d"};
    struct ids_handle channels[4];
    const struct ids_handle room = {1, 1, 1};
    for (int i = 0; i < COUNT(names); i++) {
        channels[i] = join(names[i], room);
    }
    struct channel_interest untouched = {.channel = {77, 7, 7}};
    ck_assert_int_eq(
        channel_add_interest(world.home, table_hash(&key, view("e")), view("e"), room, &untouched),
        -ENOMEM);
    ck_assert(ids_handle_equal(untouched.channel, (struct ids_handle){77, 7, 7}));
    ck_assert_uint_eq(channel_count(world.home), 4);
    ck_assert(ids_handle_equal(join("a", (struct ids_handle){1, 1, 2}), channels[0]));

    leave(channels[3], room);
    ck_assert_uint_eq(channel_count(world.home), 3);
    (void)join("e", room);
    ck_assert_uint_eq(channel_count(world.home), 4);
    close_world();
}
END_TEST

int main(void)
{
    TCase *channel = tcase_create("channel");
    tcase_add_test(channel, everybody_hears_all_in_order);
    tcase_add_test(channel, nobody_interested);
    tcase_add_test(channel, from_the_next_one_on);
    tcase_add_test(channel, catches_up_from_the_tail);
    tcase_add_loop_test(channel, the_tail_has_a_length, 0, 2);
    tcase_add_test(channel, a_gap_is_told_once);
    tcase_add_test(channel, the_tail_has_a_weight);
    tcase_add_test(channel, leaves_while_lagging);
    tcase_add_test(channel, publishes_after_the_laggard_left);
    tcase_add_test(channel, a_newer_interest_replaces);
    tcase_add_loop_test(channel, a_replaced_interest_owes_nothing, 0, 2);
    tcase_add_test(channel, refuses_above_the_maximum);
    Suite *suite = suite_create("chat/channel");
    suite_add_tcase(suite, channel);
    return run_suite(suite);
}
