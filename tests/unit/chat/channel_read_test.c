/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read of a channel at its home (channel_world.h): by who asks for history, and for who
 * comes back to a reactor that has not been told everything yet. And what is refused.
 *
 * As in channel_history_test.c the number that is published is its offset.
 */
#include "chat/channel.h"
#include "chat/page.h"
#include "chat/stream.h"
#include "tests/unit/chat/channel_world.h"
#include "tests/unit/chat/history_text.h"

static uint64_t hash_of(const char *name)
{
    return table_hash(&key, view(name));
}

static enum codes_error read_history(const char *name, const struct channel_query *query,
                                     struct channel_reading *reading)
{
    return channel_read(world.home, hash_of(name), view(name), query, reading);
}

static size_t pool_count(void)
{
    (void)blob_pool_collect(world.sides[0].pool);
    return blob_pool_count(world.sides[0].pool);
}

/* -- queries ----------------------------------------------------------------------------------- */

enum epoch_kind {
    NO_EPOCH = 0,
    THIS_EPOCH,
    OTHER_EPOCH,
};

enum {
    UP = PAGE_FORWARD,
    DOWN = PAGE_REVERSE,
    NO_SINCE = -1,
};

/* Eight were published, and the history has five: [4, 8]. */
static const struct {
    const char *why;
    int order;
    int since;
    enum epoch_kind epoch;
    uint32_t count_max;
    enum codes_error error;
    uint64_t begin; /* the first one of the text */
    uint64_t count;
} queries[] = {
    {"all", UP, NO_SINCE, NO_EPOCH, 9, 0, 4, 5},
    {"as many as there are", UP, NO_SINCE, NO_EPOCH, 5, 0, 4, 5},
    {"the oldest", UP, NO_SINCE, NO_EPOCH, 2, 0, 4, 2},
    {"all, falling", DOWN, NO_SINCE, NO_EPOCH, 9, 0, 8, 5},
    {"the newest", DOWN, NO_SINCE, NO_EPOCH, 2, 0, 8, 2},
    {"behind one", UP, 5, NO_EPOCH, 9, 0, 6, 3},
    {"the next one", UP, 5, NO_EPOCH, 1, 0, 6, 1},
    {"behind the last but one", UP, 7, NO_EPOCH, 9, 0, 8, 1},
    {"behind the last: nothing yet", UP, 8, NO_EPOCH, 9, 0, 9, 0},
    {"behind what is not there", UP, 9, NO_EPOCH, 9, 112, 0, 0},
    {"behind the last of the lost: all", UP, 3, NO_EPOCH, 9, 0, 4, 5},
    {"from within the lost: what is there", UP, 1, NO_EPOCH, 9, 0, 4, 5},
    {"from the begin: what is there", UP, 0, NO_EPOCH, 9, 0, 4, 5},
    {"before one", DOWN, 6, NO_EPOCH, 9, 0, 5, 2},
    {"the one before", DOWN, 6, NO_EPOCH, 1, 0, 5, 1},
    {"before the first: nothing", DOWN, 4, NO_EPOCH, 9, 0, 4, 0},
    {"before one that is lost: nothing", DOWN, 2, NO_EPOCH, 9, 0, 4, 0},
    {"before the begin: nothing", DOWN, 0, NO_EPOCH, 9, 0, 4, 0},
    {"before the last", DOWN, 8, NO_EPOCH, 9, 0, 7, 4},
    {"before the next one: all", DOWN, 9, NO_EPOCH, 9, 0, 8, 5},
    {"before what cannot be", DOWN, 10, NO_EPOCH, 9, 112, 0, 0},
    {"with its epoch", UP, 5, THIS_EPOCH, 9, 0, 6, 3},
    {"with another epoch", UP, 5, OTHER_EPOCH, 9, 112, 0, 0},
    {"with another epoch, from its begin", UP, 0, OTHER_EPOCH, 9, 112, 0, 0},
    {"with its epoch, falling", DOWN, 6, THIS_EPOCH, 9, 0, 5, 2},
    {"with another epoch, falling", DOWN, 6, OTHER_EPOCH, 9, 112, 0, 0},
    {"the position only", UP, NO_SINCE, NO_EPOCH, 0, 0, 0, 0},
    {"the position only, falling", DOWN, NO_SINCE, NO_EPOCH, 0, 0, 0, 0},
    {"the position, if it is this life", UP, 5, THIS_EPOCH, 0, 0, 0, 0},
    {"the position, and it is not", UP, 5, OTHER_EPOCH, 0, 112, 0, 0},
    {"the position, of what is not there", UP, 9, NO_EPOCH, 0, 112, 0, 0},
};

START_TEST(reads)
{
    open_world(10, 1 << 20);
    publish_range("h:a", 1, 8);
    collect();
    const size_t before = pool_count();
    const struct channel_query query = {
        .order = (enum page_order)queries[_i].order,
        .has_since = queries[_i].since != NO_SINCE,
        .has_epoch = queries[_i].epoch != NO_EPOCH,
        .count_max = queries[_i].count_max,
        .since = queries[_i].since == NO_SINCE ? 0 : (uint64_t)queries[_i].since,
        .epoch = queries[_i].epoch == THIS_EPOCH ? epochs : epochs + 1,
    };
    struct blob untouched;
    struct channel_reading reading = {&untouched, {77, 78}};
    const enum codes_error error = read_history("h:a", &query, &reading);
    ck_assert_msg(error == queries[_i].error, "%s: %d", queries[_i].why, (int)error);
    if (error != CODES_ERROR_NONE) {
        ck_assert_ptr_eq(reading.page, &untouched);
        ck_assert_uint_eq(reading.position.epoch, 77);
        ck_assert_uint_eq(reading.position.top, 78);
    } else {
        ck_assert_uint_eq(reading.position.epoch, epochs);
        ck_assert_uint_eq(reading.position.top, 8);
    }
    if (error == CODES_ERROR_NONE && queries[_i].count_max > 0) {
        is_page(page_text(reading.page), queries[_i].begin, queries[_i].count,
                queries[_i].order == DOWN ? -1 : 1);
        blob_drop(reading.page, world.sides[0].pool);
    } else if (error == CODES_ERROR_NONE) {
        ck_assert_ptr_null(reading.page);
    }
    ck_assert_uint_eq(pool_count(), before);
    close_world();
}
END_TEST

/* A channel that nobody published to has an epoch too, and keeps it. */
START_TEST(reads_what_is_not_there_yet)
{
    static const struct channel_query all = {.count_max = 9};
    static const struct channel_query falling = {.order = PAGE_REVERSE, .count_max = 9};
    static const struct channel_query from_begin = {.has_since = true, .count_max = 9};
    static const struct channel_query from_later = {.has_since = true, .since = 1, .count_max = 9};
    open_world(10, 1 << 20);
    const struct channel_query *const good[] = {&all, &falling, &from_begin};
    for (int i = 0; i < COUNT(good); i++) {
        struct channel_reading reading;
        ck_assert_int_eq(read_history("h:a", good[i], &reading), CODES_ERROR_NONE);
        ck_assert_uint_eq(page_text(reading.page).size, 0);
        ck_assert_uint_eq(reading.position.epoch, 1);
        ck_assert_uint_eq(reading.position.top, 0);
        blob_drop(reading.page, world.sides[0].pool);
    }
    struct channel_reading reading;
    ck_assert_int_eq(read_history("h:a", &from_later, &reading),
                     CODES_ERROR_UNRECOVERABLE_POSITION);
    publish("h:a", 1);
    ck_assert_int_eq(read_history("h:a", &from_begin, &reading), CODES_ERROR_NONE);
    ck_assert_uint_eq(reading.position.epoch, 1);
    is_range(page_text(reading.page), 1, 1);
    blob_drop(reading.page, world.sides[0].pool);
    close_world();
}
END_TEST

/* As many channels as there may be: one more is neither read nor published to, and says so. */
START_TEST(refuses_above_the_maximum)
{
    static const char *const names[] = {"h:a", "h:b", "h:c", "h:d"};
    static const struct channel_query all = {.count_max = 9};
    open_world(10, 1 << 20);
    for (int i = 0; i < COUNT(names); i++) {
        publish(names[i], 1);
    }
    struct blob untouched;
    struct channel_reading reading = {&untouched, {77, 78}};
    ck_assert_int_eq(read_history("h:e", &all, &reading), CODES_ERROR_INTERNAL);
    ck_assert_ptr_eq(reading.page, &untouched);

    struct channel_position position = {77, 78};
    ck_assert_int_eq(publish_data(0, "h:e", view("1"), &position), CODES_ERROR_INTERNAL);
    ck_assert_uint_eq(position.epoch, 77);
    ck_assert_uint_eq(position.top, 78);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_REJECTED_OUT_OF_MEMORY), 2);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_PUBLICATIONS), 4);
    ck_assert_uint_eq(channel_count(world.home), 4);
    close_world(); /* and the refused blob went back */
}
END_TEST

/* -- coming back ------------------------------------------------------------------------------- */

static struct ids_handle channel_a;
static struct ear *ear;

/* Room 1 of reactor 1 is interested, and has been told of [1, TELLS] at most: its ring is full. */
static void open_starved(uint64_t published)
{
    open_world(10, 1 << 20);
    ear = new_ear(1, 1);
    channel_a = join("h:a", ear->room);
    publish_range("h:a", 1, published);
}

static void recovers(uint64_t from, uint32_t count_max, uint64_t first, uint64_t last)
{
    struct blob *page = channel_recover(world.home, channel_a, ear->room, from, count_max);
    ck_assert_ptr_nonnull(page);
    ck_assert_uint_eq(page_first(page), first);
    is_range(page_text(page), first, last);
    blob_drop(page, world.sides[0].pool);
}

/* The page ends where its reactor was told; what comes later comes behind it, live. */
START_TEST(ends_at_the_cursor)
{
    open_starved(TELLS + 2);
    ck_assert(channel_is_lagging(world.home));
    recovers(11, 10, 11, TELLS);
    recovers(12, 10, 12, TELLS);
    recovers(TELLS + 1, 10, TELLS + 1, TELLS);
    /* The history begins at 10, whatever was asked for; and of it the first are given. */
    recovers(1, 10, 10, TELLS);
    recovers(10, 2, 10, 11);

    ck_assert_uint_eq(take(1, 3), 3);
    channel_catch_up(world.home); /* there was room for both */
    recovers(11, 10, 11, TELLS + 2);
    settle();
    heard_range(ear, 1, TELLS + 2);
    close_world();
}
END_TEST

/* All that its reactor was told is too old already: the page has nothing, and ends there too. */
START_TEST(nothing_up_to_the_cursor)
{
    open_starved(TELLS + 8);
    recovers(1, 10, TELLS + 1, TELLS);
    recovers(TELLS, 10, TELLS + 1, TELLS);
    settle();
    recovers(1, 10, TELLS + 4, TELLS + 8);
    heard_range(ear, 1, TELLS + 8);
    close_world();
}
END_TEST

START_TEST(recovers_at_home_too)
{
    open_world(10, 1 << 20);
    struct room *room = open_room("h:a");
    const struct ids_handle handle = world.sides[0].ears[0].room;
    ear = &world.sides[0].ears[0];
    channel_a = join("h:a", handle);
    recovers(1, 10, 1, 0);
    publish_range("h:a", 1, 7);
    recovers(5, 10, 5, 7); /* the outbox holds them still: nothing lags at home */
    settle();
    recovers(5, 10, 5, 7);
    heard_range(ear, 1, 7);
    leave(channel_a, handle);
    roster_close(world.roster, room);
    close_world();
}
END_TEST

/* Time goes on for who comes back as for all others. */
START_TEST(recovers_what_is_not_too_old)
{
    open_starved(0);
    publish_range("h:a", 1, 2);
    channel_home_tick(world.home, 5000000000);
    publish("h:a", 3);
    settle();
    channel_home_tick(world.home, 9999999999);
    recovers(1, 10, 1, 3);
    channel_home_tick(world.home, 10000000000);
    recovers(1, 10, 3, 3);
    channel_home_tick(world.home, 15000000000);
    recovers(1, 10, 4, 3);
    close_world();
}
END_TEST

/* What has another life meanwhile, or another room, is no answer; nor is what will be a gap. */
START_TEST(recovers_for_nobody_else)
{
    open_starved(3);
    const struct ids_handle other_room = {2, 1, 1};
    const struct ids_handle nobody = {1, 1, 2};
    struct ids_handle stale = channel_a;
    stale.generation++;
    ck_assert_ptr_null(channel_recover(world.home, channel_a, other_room, 1, 10));
    ck_assert_ptr_null(channel_recover(world.home, channel_a, nobody, 1, 10));
    ck_assert_ptr_null(channel_recover(world.home, stale, ear->room, 1, 10));
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_REJECTED_OUT_OF_MEMORY), 0);
    recovers(1, 10, 1, 3);
    leave(channel_a, ear->room);
    ck_assert_ptr_null(channel_recover(world.home, channel_a, ear->room, 1, 10));
    close_world();
}
END_TEST

/* -- gaps -------------------------------------------------------------------------------------- */

/* History is at least as good as a tail: the cursor falls off five behind the ring, not before. */
START_TEST(falls_off_the_history)
{
    enum { KEPT = 5 };
    open_world(2, 1 << 20); /* a tail shorter than the history */
    ear = new_ear(1, 1);
    channel_a = join("h:a", ear->room);
    publish_range("h:a", 1, TELLS + KEPT + (uint64_t)_i);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), (uint64_t)_i);
    struct blob *page = channel_recover(world.home, channel_a, ear->room, 1, 10);
    if (_i == 1) {
        ck_assert_ptr_null(page); /* it is going to lose its room */
    } else {
        ck_assert_uint_eq(page_count(page), 0);
        blob_drop(page, world.sides[0].pool);
    }
    settle();
    heard_range(ear, 1, _i == 1 ? TELLS : TELLS + KEPT);
    ck_assert_uint_eq(ear->gaps, (size_t)_i);

    /* Who comes again finds all of the history. */
    struct ear *again = new_ear(1, 2);
    channel_a = join("h:a", again->room);
    ear = again;
    recovers(1, 10, TELLS + 1 + (uint64_t)_i, TELLS + KEPT + (uint64_t)_i);
    close_world();
}
END_TEST

/* A longer tail keeps more than the history for who lags; nobody else sees it. */
START_TEST(the_tail_is_no_history)
{
    static const struct channel_query all = {.count_max = 100};
    open_world(20, 1 << 20);
    ear = new_ear(1, 1);
    channel_a = join("h:a", ear->room);
    publish_range("h:a", 1, TELLS + 20);
    struct channel_reading reading;
    ck_assert_int_eq(read_history("h:a", &all, &reading), CODES_ERROR_NONE);
    is_range(page_text(reading.page), TELLS + 16, TELLS + 20);
    blob_drop(reading.page, world.sides[0].pool);
    settle();
    heard_range(ear, 1, TELLS + 20);
    ck_assert_uint_eq(ear->gaps, 0);
    size_t alive = 0;
    for (int i = 0; i < SIDE_COUNT; i++) {
        alive += blob_pool_count(world.sides[i].pool);
    }
    ck_assert_uint_eq(alive, 5); /* and with the last one that lagged it is gone */
    close_world();
}
END_TEST

/* -- no memory --------------------------------------------------------------------------------- */

START_TEST(no_memory_for_a_page)
{
    static const struct channel_query all = {.count_max = 9};
    static const struct channel_query nothing = {.count_max = 0};
    static struct blob *taken[1 << 17];
    size_t count = 0;
    open_starved(3);
    for (size_t size = 1 << 20; size > 0;) {
        struct blob *blob = blob_create(world.sides[0].pool, size);
        if (blob == NULL) {
            size /= 2;
        } else {
            ck_assert_uint_lt(count, COUNT(taken));
            taken[count++] = blob;
        }
    }
    struct blob untouched;
    struct channel_reading reading = {&untouched, {77, 78}};
    ck_assert_int_eq(read_history("h:a", &all, &reading), CODES_ERROR_INTERNAL);
    ck_assert_ptr_eq(reading.page, &untouched);
    ck_assert_uint_eq(reading.position.top, 78);
    ck_assert_ptr_null(channel_recover(world.home, channel_a, ear->room, 1, 10));
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_REJECTED_OUT_OF_MEMORY), 2);
    ck_assert_int_eq(read_history("h:a", &nothing, &reading), CODES_ERROR_NONE);
    ck_assert_uint_eq(reading.position.top, 3);

    while (count > 0) {
        blob_drop(taken[--count], world.sides[0].pool);
    }
    recovers(1, 10, 1, 3); /* nothing was broken by it */
    close_world();
}
END_TEST

int main(void)
{
    TCase *read = tcase_create("read");
    tcase_add_loop_test(read, reads, 0, COUNT(queries));
    tcase_add_test(read, reads_what_is_not_there_yet);
    tcase_add_test(read, refuses_above_the_maximum);
    tcase_add_test(read, ends_at_the_cursor);
    tcase_add_test(read, nothing_up_to_the_cursor);
    tcase_add_test(read, recovers_at_home_too);
    tcase_add_test(read, recovers_what_is_not_too_old);
    tcase_add_test(read, recovers_for_nobody_else);
    tcase_add_loop_test(read, falls_off_the_history, 0, 2);
    tcase_add_test(read, the_tail_is_no_history);
    tcase_add_test(read, no_memory_for_a_page);
    Suite *suite = suite_create("chat/channel: reading");
    suite_add_tcase(suite, read);
    return run_suite(suite);
}
