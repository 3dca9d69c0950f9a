/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history of channels at their home (channel_world.h): how much is kept and how long, which
 * goes first when all of it is too much, and what is read of it.
 *
 * What is published is a number, and here always the offset that it is going to have: so the text
 * of every page is known.
 */
#include "chat/channel.h"
#include "chat/page.h"
#include "chat/stream.h"
#include "tests/unit/chat/channel_world.h"
#include "tests/unit/chat/history_text.h"

static const uint64_t second_ns = 1000000000;

static uint64_t hash_of(const char *name)
{
    return table_hash(&key, view(name));
}

/* All of [first, last], or nothing, and nothing else. */
static void reads_all(const char *name, uint64_t first, uint64_t last)
{
    static const struct channel_query all = {.order = PAGE_FORWARD, .count_max = 100};
    struct channel_reading reading;
    ck_assert_int_eq(channel_read(world.home, hash_of(name), view(name), &all, &reading),
                     CODES_ERROR_NONE);
    is_range(page_text(reading.page), first, last);
    ck_assert_uint_ge(reading.position.top, last);
    blob_drop(reading.page, world.sides[0].pool);
}

/* Nothing is left of it but where it stands. */
static void reads_nothing(const char *name, uint64_t top)
{
    reads_all(name, top + 1, top);
}

static struct channel_position position_of(const char *name)
{
    static const struct channel_query nothing = {.count_max = 0};
    struct channel_reading reading;
    ck_assert_int_eq(channel_read(world.home, hash_of(name), view(name), &nothing, &reading),
                     CODES_ERROR_NONE);
    ck_assert_ptr_null(reading.page);
    return reading.position;
}

static struct channel_position publish_one(const char *name, const char *data)
{
    struct channel_position position = {77, 77};
    ck_assert_int_eq(publish_data(0, name, view(data), &position), CODES_ERROR_NONE);
    return position;
}

static void publish_large(const char *name, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        publish_sized(0, name, number, 4000);
    }
}

static size_t blobs_alive(void)
{
    size_t count = 0;
    collect();
    for (int i = 0; i < SIDE_COUNT; i++) {
        count += blob_pool_count(world.sides[i].pool);
    }
    return count;
}

/* -- offsets and positions --------------------------------------------------------------------- */

START_TEST(counts_from_one)
{
    open_world(10, 1 << 20);
    for (uint64_t number = 1; number <= 3; number++) {
        const struct channel_position position = publish_one("h:a", "1");
        ck_assert_uint_eq(position.top, number);
        ck_assert_uint_eq(position.epoch, epochs);
    }
    const struct channel_position other = publish_one("h:b", "1");
    ck_assert_uint_eq(other.top, 1);
    ck_assert_uint_eq(other.epoch, epochs);
    ck_assert_uint_eq(position_of("h:a").top, 3);
    ck_assert_uint_ne(position_of("h:a").epoch, other.epoch);

    /* Where there is no history there is no position that a client could use. */
    ck_assert_uint_eq(publish_one("a", "1").epoch, 0);
    (void)join("a", new_ear(1, 1)->room);
    ck_assert_uint_eq(publish_one("a", "1").epoch, 0);
    settle();
    close_world();
}
END_TEST

/* Who comes later begins behind the position that it is told, and is told each offset. */
START_TEST(begins_at_the_position)
{
    open_world(10, 1 << 20);
    publish_range("h:a", 1, 7);
    struct ear *ear = new_ear(1, 1);
    struct channel_interest interest;
    ck_assert_int_eq(
        channel_add_interest(world.home, hash_of("h:a"), view("h:a"), ear->room, &interest), 0);
    ck_assert_uint_eq(interest.position.top, 7);
    ck_assert_uint_eq(interest.position.epoch, epochs);
    ear->top = interest.position.top;
    publish_range("h:a", 8, 9);
    settle();
    heard_range(ear, 8, 9);
    ck_assert_uint_eq(ear->top, 9);
    close_world();
}
END_TEST

/* -- how much, and how long -------------------------------------------------------------------- */

START_TEST(keeps_so_many)
{
    open_world(10, 1 << 20);
    for (uint64_t number = 1; number <= 12; number++) {
        publish("h:a", number);
        reads_all("h:a", number < 5 ? 1 : number - 4, number);
        ck_assert_uint_eq(blobs_alive(), number < 5 ? number : 5);
    }
    close_world();
}
END_TEST

/* Each publication by its own age, to the nanosecond; and the memory with the last one. */
START_TEST(keeps_so_long)
{
    open_world(10, 1 << 20);
    channel_home_tick(world.home, 3 * second_ns);
    publish_range("h:a", 1, 2);
    channel_home_tick(world.home, 8 * second_ns);
    publish("h:a", 3);
    const struct channel_position position = position_of("h:a");

    channel_home_tick(world.home, 13 * second_ns - 1);
    reads_all("h:a", 1, 3);
    channel_home_tick(world.home, 13 * second_ns);
    reads_all("h:a", 3, 3);
    channel_home_tick(world.home, 18 * second_ns - 1);
    reads_all("h:a", 3, 3);
    ck_assert_uint_gt(blobs_alive(), 0);
    channel_home_tick(world.home, 18 * second_ns);
    reads_nothing("h:a", 3);

    /* The memory may go a little later: it is looked for ten times a second. */
    channel_home_tick(world.home, 18 * second_ns + second_ns / 10);
    ck_assert_uint_eq(blobs_alive(), 0);
    reads_nothing("h:a", 3);
    ck_assert_uint_eq(position_of("h:a").top, position.top);
    ck_assert_uint_eq(position_of("h:a").epoch, position.epoch);
    publish("h:a", 4);
    reads_all("h:a", 4, 4);
    close_world();
}
END_TEST

/* A position is kept a minute for nobody; then the channel begins another life. */
START_TEST(forgets_the_position_at_last)
{
    open_world(10, 1 << 20);
    publish_range("h:a", 1, 3);
    const uint64_t epoch = position_of("h:a").epoch;
    channel_home_tick(world.home, 10 * second_ns); /* the history goes */
    ck_assert_uint_eq(blobs_alive(), 0);
    ck_assert_uint_eq(channel_count(world.home), 1);
    ck_assert_uint_gt(channel_history_bytes(world.home), 0);
    channel_home_tick(world.home, 69 * second_ns);
    ck_assert_uint_eq(channel_count(world.home), 1);
    channel_home_tick(world.home, 70 * second_ns);
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert_uint_eq(channel_history_bytes(world.home), 0);

    const struct channel_position again = publish_one("h:a", "1");
    ck_assert_uint_eq(again.top, 1);
    ck_assert_uint_ne(again.epoch, epoch);
    close_world();
}
END_TEST

/* As long as somebody is interested it stays, without history even; then its minute begins. */
START_TEST(remembers_for_who_is_interested)
{
    open_world(10, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    const struct ids_handle channel = join("h:a", ear->room);
    publish_range("h:a", 1, 3);
    settle();
    const uint64_t epoch = epochs;
    for (uint64_t now = 1; now <= 1000; now += 37) {
        channel_home_tick(world.home, now * second_ns);
    }
    ck_assert_uint_eq(channel_count(world.home), 1);
    ck_assert_uint_eq(blobs_alive(), 0);
    publish("h:a", 4);
    settle();
    heard_range(ear, 1, 4);

    channel_home_tick(world.home, 2000 * second_ns);
    leave(channel, ear->room);
    channel_home_tick(world.home, 2059 * second_ns);
    ck_assert_uint_eq(channel_count(world.home), 1);
    channel_home_tick(world.home, 2060 * second_ns);
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert_uint_eq(epochs, epoch);
    close_world();
}
END_TEST

/* With history nobody has to be interested, and leaving takes none of it away. */
START_TEST(outlives_its_subscribers)
{
    open_world(10, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    const struct ids_handle channel = join("h:a", ear->room);
    publish_range("h:a", 1, 3);
    settle();
    leave(channel, ear->room);
    publish_range("h:a", 4, 6);
    reads_all("h:a", 2, 6);
    channel_home_tick(world.home, 5 * second_ns);
    (void)join("h:a", ear->room);
    reads_all("h:a", 2, 6);
    publish("h:a", 7);
    settle();
    ck_assert_uint_eq(ear->heard[3], 7);
    ck_assert_uint_eq(ear->count, 4);
    close_world();
}
END_TEST

/* -- all of it together ------------------------------------------------------------------------ */

static const char *const names[] = {"h:a", "h:b", "h:c", "h:d"};

/* What a full channel takes, and one that has but its position: measured, not computed. */
static struct {
    size_t full;
    size_t position;
} costs;

static void measure(void)
{
    open_world_of(10, 1 << 20, SIZE_MAX);
    publish_large(names[0], 1, 5);
    costs.full = channel_history_bytes(world.home);
    ck_assert_uint_gt(costs.full, (size_t)5 * 4000);
    publish_large(names[1], 1, 5);
    ck_assert_uint_eq(channel_history_bytes(world.home), 2 * costs.full);
    channel_home_tick(world.home, 10 * second_ns);
    costs.position = channel_history_bytes(world.home) / 2;
    ck_assert_uint_gt(costs.position, 0);
    ck_assert_uint_lt(costs.position, 1000);
    close_world();
}

/* Room for three: the one that was published to least recently goes, whatever was read. */
START_TEST(the_least_recent_goes_first)
{
    measure();
    open_world_of(10, 1 << 20, 3 * costs.full + costs.position);
    for (uint64_t i = 0; i < 3; i++) {
        channel_home_tick(world.home, i);
        publish_large(names[i], 1, 5);
    }
    publish_large("h:a", 6, 6);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_HISTORY_EVICTED), 0);
    const struct channel_position position = position_of("h:b"); /* a read makes it no younger */
    ck_assert_uint_eq(blobs_alive(), 15);

    publish_large("h:d", 1, 1);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_HISTORY_EVICTED), 1);
    ck_assert_uint_eq(blobs_alive(), 11);
    reads_nothing("h:b", 5);
    publish_large("h:d", 2, 5);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_HISTORY_EVICTED), 1);
    ck_assert_uint_eq(blobs_alive(), 15);

    /* It has lost its history, not its place. */
    ck_assert_uint_eq(position_of("h:b").top, position.top);
    ck_assert_uint_eq(position_of("h:b").epoch, position.epoch);
    ck_assert_uint_eq(channel_count(world.home), 4);
    publish_large("h:b", 6, 6);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_HISTORY_EVICTED), 2);
    reads_nothing("h:c", 5);
    ck_assert_uint_eq(blobs_alive(), 11);
    ck_assert_uint_le(channel_history_bytes(world.home), 3 * costs.full + costs.position);
    close_world();
}
END_TEST

/* Who lagged in a channel that lost its history for others is told so. */
START_TEST(an_evicted_history_may_be_a_gap)
{
    measure();
    open_world_of(10, 1 << 20, costs.full + costs.position);
    struct ear *ear = new_ear(1, 1);
    (void)join("h:a", ear->room);
    publish_range("h:a", 1, TELLS + 2);
    ck_assert(channel_is_lagging(world.home));
    publish_large("h:b", 1, 5);
    reads_nothing("h:a", TELLS + 2);
    settle();
    heard_range(ear, 1, TELLS);
    ck_assert_uint_eq(ear->gaps, 1);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);
    close_world();
}
END_TEST

/* No room for anything: what is published is told live, and its publisher where it was. */
START_TEST(no_room_for_history)
{
    open_world_of(10, 1 << 20, 1);
    struct ear *ear = new_ear(1, 1);
    (void)join("h:a", ear->room);
    for (uint64_t number = 1; number <= 3; number++) {
        const struct channel_position position = publish_one("h:a", "1");
        ck_assert_uint_eq(position.top, number); /* in use, so its position stays */
        ck_assert_uint_eq(position.epoch, epochs);
        reads_nothing("h:a", number);
        settle();
        ck_assert_uint_eq(blobs_alive(), 0);
    }
    ck_assert_uint_eq(ear->count, 3);
    for (int i = 0; i < 3; i++) {
        const struct channel_position position = publish_one("h:b", "1");
        ck_assert_uint_eq(position.top, 1); /* not even its position is kept: a life each */
        ck_assert_uint_eq(position.epoch, epochs);
        ck_assert_uint_eq(channel_count(world.home), 1);
    }
    close_world();
}
END_TEST

/* A position that nobody has used for longest goes before a history that somebody has. */
START_TEST(positions_grow_old_too)
{
    measure();
    open_world_of(10, 1 << 20, costs.full + costs.position);
    publish_large("h:a", 1, 5);
    const uint64_t life = position_of("h:a").epoch;
    channel_home_tick(world.home, 1);
    publish_large("h:b", 1, 4);
    reads_nothing("h:a", 5);
    channel_home_tick(world.home, 2);
    publish_large("h:b", 5, 5);
    const uint64_t later_life = position_of("h:b").epoch;
    ck_assert_uint_eq(channel_count(world.home), 2);

    channel_home_tick(world.home, 3);
    publish_large("h:c", 1, 5);
    ck_assert_uint_eq(channel_count(world.home), 2);
    ck_assert_uint_eq(blobs_alive(), 5);
    ck_assert_uint_eq(channel_history_bytes(world.home), costs.full + costs.position);
    reads_nothing("h:b", 5);
    ck_assert_uint_eq(position_of("h:b").epoch, later_life);
    ck_assert_uint_ne(position_of("h:a").epoch, life);
    close_world();
}
END_TEST

/* Whoever asks for many names that nobody ever published to takes no more memory than others. */
START_TEST(what_is_only_read_counts)
{
    static const struct channel_query wrong = {.has_since = true, .since = 9};
    measure();
    open_world_of(10, 1 << 20, 2 * costs.position + 1);
    for (int i = 0; i < COUNT(names); i++) {
        channel_home_tick(world.home, (uint64_t)i);
        reads_nothing(names[i], 0);
        ck_assert_uint_le(channel_history_bytes(world.home), 2 * costs.position + 1);
    }
    ck_assert_uint_eq(channel_count(world.home), 2);
    struct channel_reading reading;
    ck_assert_int_eq(channel_read(world.home, hash_of("h:a"), view("h:a"), &wrong, &reading),
                     CODES_ERROR_UNRECOVERABLE_POSITION);
    ck_assert_uint_eq(channel_count(world.home), 2);
    close_world();
}
END_TEST

int main(void)
{
    TCase *history = tcase_create("history");
    tcase_add_test(history, counts_from_one);
    tcase_add_test(history, begins_at_the_position);
    tcase_add_test(history, keeps_so_many);
    tcase_add_test(history, keeps_so_long);
    tcase_add_test(history, forgets_the_position_at_last);
    tcase_add_test(history, remembers_for_who_is_interested);
    tcase_add_test(history, outlives_its_subscribers);
    tcase_add_test(history, the_least_recent_goes_first);
    tcase_add_test(history, an_evicted_history_may_be_a_gap);
    tcase_add_test(history, no_room_for_history);
    tcase_add_test(history, positions_grow_old_too);
    tcase_add_test(history, what_is_only_read_counts);
    Suite *suite = suite_create("chat/channel: history");
    suite_add_tcase(suite, history);
    return run_suite(suite);
}
