/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publications that skip the history of their channel, and those that have a version: who hears
 * them, in which place, and what the channel remembers.
 */
#include "chat/channel.h"
#include "tests/unit/chat/channel_world.h"

static const struct post_publish passing = {.skips_history = true};
static const struct post_publish plain = {.skips_history = false};

static struct channel_position publish_how(struct post_publish how, const char *name,
                                           uint64_t number)
{
    return publish_number(how, (uint16_t)(number % SIDE_COUNT), name, number, 0);
}

/* How many publications the channel has, and where it stands. */
static uint32_t count_kept(const char *name, struct channel_position *position)
{
    const struct channel_query query = {.order = PAGE_FORWARD, .count_max = 100};
    struct channel_reading reading;
    ck_assert_int_eq(
        channel_read(world.home, table_hash(&key, view(name)), view(name), &query, &reading),
        CODES_ERROR_NONE);
    const uint32_t count = page_count(reading.page);
    blob_drop(reading.page, world.sides[0].pool);
    *position = reading.position;
    return count;
}

/* On the home's own reactor and on others, whoever is behind: all in the order of publishing. */
START_TEST(keeps_its_place)
{
    enum { LAST = 60 };
    open_world(100, 1 << 20);
    struct ear *slow = new_ear(1, 1);
    struct ear *quick = new_ear(2, 1);
    struct room *room = open_room("h:r");
    struct ear *here = &world.sides[0].ears[0];
    (void)join("h:r", slow->room);
    (void)join("h:r", quick->room);
    (void)join("h:r", roster_handle(world.roster, room));

    uint64_t offset = 0;
    for (uint64_t number = 1; number <= LAST; number++) {
        /* Each of them first and last in a run, alone, and several together. */
        const bool passes = number % 5 < 2 || number % 7 == 0;
        const struct channel_position position =
            publish_how(passes ? passing : plain, "h:r", number);
        offset += !passes;
        ck_assert_uint_eq(position.top, passes ? 0 : offset);
        ck_assert(passes == (position.epoch == 0));
        (void)take(2, SIZE_MAX);
        deliver();
        ck_assert_uint_eq(room_position(room), offset);
    }
    ck_assert(channel_is_lagging(world.home));
    settle();
    heard_range(slow, 1, LAST);
    heard_range(quick, 1, LAST);
    heard_range(here, 1, LAST);
    ck_assert_uint_eq(slow->top, offset);
    ck_assert_uint_eq(quick->top, offset);
    ck_assert_uint_eq(slow->gaps + quick->gaps, 0);

    struct channel_position position;
    ck_assert_uint_eq(count_kept("h:r", &position), 5);
    ck_assert_uint_eq(position.top, offset);
    roster_close(world.roster, room);
    close_world();
}
END_TEST

/* A member that is added now begins behind what has an offset, whatever passes besides. */
START_TEST(moves_no_position)
{
    open_world(100, 1 << 20);
    struct room *room = open_room("h:r");
    (void)join("h:r", roster_handle(world.roster, room));
    (void)publish_how(plain, "h:r", 1);
    deliver();
    (void)publish_how(passing, "h:r", 2);
    ck_assert_uint_eq(room_position(room), 1);
    (void)publish_how(plain, "h:r", 3);
    (void)publish_how(passing, "h:r", 4);
    ck_assert_uint_eq(room_position(room), 1);
    deliver();
    ck_assert_uint_eq(room_position(room), 2);
    heard_range(&world.sides[0].ears[0], 1, 4);
    roster_close(world.roster, room);
    close_world();
}
END_TEST

/* It opens no channel, and is nothing where nobody is interested. */
START_TEST(nobody_is_there)
{
    open_world(100, 1 << 20);
    (void)publish_how(passing, "h:r", 1);
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_PUBLICATIONS), 1);
    collect();
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
    }
    close_world();
}
END_TEST

/* Without a history it is like any other. */
START_TEST(there_is_nothing_to_skip)
{
    open_world(100, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    (void)join("r", ear->room);
    (void)publish_how(passing, "r", 1);
    (void)publish_how(plain, "r", 2);
    settle();
    heard_range(ear, 1, 2);
    ck_assert_uint_eq(ear->top, 2);
    close_world();
}
END_TEST

/* Too much for who lags is a gap, by number and by weight; and then nothing of it is kept. */
START_TEST(too_much_is_a_gap)
{
    const size_t size = _i == 0 ? 10 : 4000;
    const uint64_t last = _i == 0 ? TELLS + 9 : TELLS + 70;
    open_world(_i == 0 ? 8 : 1000, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    (void)join("h:r", ear->room);
    for (uint64_t number = 1; number <= last; number++) {
        (void)publish_number(passing, 0, "h:r", number, size);
    }
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);
    settle();
    heard_range(ear, 1, TELLS);
    ck_assert_uint_eq(ear->gaps, 1);
    ck_assert_uint_eq(blob_pool_count(world.sides[0].pool), 0);
    close_world();
}
END_TEST

/* -- versions ---------------------------------------------------------------------------------- */

static const struct {
    uint64_t version;
    uint64_t epoch;
    bool is_new;
} steps[] = {
    {0, 0, true},  /* without one it is published, and changes nothing */
    {5, 0, true},  /* the first */
    {5, 0, false}, /* the same */
    {4, 0, false}, /* an older one */
    {0, 0, true},  /* none again */
    {5, 0, false}, /* is not forgotten for that */
    {6, 0, true},  /* a newer one */
    {1, 7, true},  /* of another epoch */
    {1, 7, false}, /* the same */
    {1, 0, false}, /* of whichever it is */
    {2, 0, true},  /* and a newer one, which takes the epoch with it */
    {1, 7, true},  /* so this is another */
    {1, 8, true},  /* and so is this */
    {UINT64_MAX, 8, true}, {UINT64_MAX, 8, false},
};

START_TEST(a_version_is_published_once)
{
    open_world(100, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    uint64_t offset = 0;
    uint64_t dropped = 0;
    (void)join("h:v", ear->room);

    for (int i = 0; i < COUNT(steps); i++) {
        const struct post_publish how = {.version = steps[i].version,
                                         .version_epoch = steps[i].epoch};
        offset += steps[i].is_new;
        dropped += !steps[i].is_new;
        const struct channel_position position = publish_how(how, "h:v", offset);
        ck_assert_msg(position.top == offset, "step %d: %llu", i, (unsigned long long)position.top);
        ck_assert_uint_ne(position.epoch, 0); /* who is dropped is told where the channel stands */
    }
    settle();
    heard_range(ear, 1, offset);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_SUPERSEDED), dropped);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_PUBLICATIONS), offset);
    close_world();
}
END_TEST

/* It lives as long as the position, whatever becomes of the publications. */
START_TEST(a_version_is_remembered)
{
    static const uint64_t second_ns = 1000000000;
    const struct post_publish how = {.version = 3};
    open_world(100, 1 << 20);
    ck_assert_uint_eq(publish_how(how, "h:v", 1).top, 1);
    ck_assert_int_eq(channel_remove_history(world.home, table_hash(&key, view("h:v")), view("h:v")),
                     CODES_ERROR_NONE);
    ck_assert_uint_eq(publish_how(how, "h:v", 1).top, 1);
    channel_home_tick(world.home, 11 * second_ns);
    ck_assert_uint_eq(publish_how(how, "h:v", 1).top, 1);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_SUPERSEDED), 2);

    channel_home_tick(world.home, 100 * second_ns);
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert_uint_eq(publish_how(how, "h:v", 1).top, 1);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_SUPERSEDED), 2);
    close_world();
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("channel pass");
    tcase_add_test(tests, keeps_its_place);
    tcase_add_test(tests, moves_no_position);
    tcase_add_test(tests, nobody_is_there);
    tcase_add_test(tests, there_is_nothing_to_skip);
    tcase_add_loop_test(tests, too_much_is_a_gap, 0, 2);
    tcase_add_test(tests, a_version_is_published_once);
    tcase_add_test(tests, a_version_is_remembered);
    Suite *suite = suite_create("chat/channel pass");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
