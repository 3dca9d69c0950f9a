/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages from an engine that has one stream: every offset in [first, top], but for a gap, each with
 * a value of the same size. What is noted of its top may be as far behind as a test wants.
 */
#include "store/pager.h"

#include <check.h>
#include <stdlib.h>

#include "store/engine.h"

struct engine {
    uint64_t first;
    uint64_t top;
    uint64_t noted;
    uint64_t gap; /* 0: there is none */
    size_t value_size;
    uint32_t reads;
    uint64_t grows; /* records that come after each read */
    uint64_t trims; /* and what they are trimmed to, from `first` on; 0: they are not */
};

static uint8_t *room;
static uint8_t value[WIRE_VALUE_SIZE_MAX];

static void setup(void)
{
    room = malloc(PAGER_ROOM_SIZE);
    ck_assert_ptr_nonnull(room);
}

static void teardown(void)
{
    free(room);
}

static enum engine_result read_channel(struct engine *engine, struct bytes channel,
                                       struct engine_reading reading, struct record_meta *meta,
                                       char error[static ENGINE_ERROR_SIZE])
{
    (void)channel;
    (void)error;
    *meta =
        (struct record_meta){.stream_id = 3,
                             .stream = {.epoch = 7, .top = engine->noted, .first = engine->first},
                             .noted_top = engine->noted};
    uint64_t offset = reading.begin(reading.visitor.context, meta);
    bool goes_on = true;
    for (; goes_on && offset <= engine->top; offset++) {
        const struct wire_record record = {
            .offset = offset, .time_ms = offset, .value = {value, engine->value_size}};
        goes_on = offset == engine->gap || reading.visitor.visit(reading.visitor.context, &record);
    }
    meta->stream.top = engine->top;
    engine->reads++;
    engine->top += engine->grows;
    if (engine->trims > 0) {
        engine->first = engine->trims;
        engine->noted = engine->top;
    }
    return ENGINE_OK;
}

static const struct engine_ops ops = {.name = "one stream", .read_channel = read_channel};

static const struct wire_read since_0 = {.count_max = 100, .bytes_max = WIRE_PAGE_BYTES_MAX};

static struct wire_page fill(struct engine *engine, struct wire_read read)
{
    char error[ENGINE_ERROR_SIZE] = "";
    read.channel = (struct bytes){(const uint8_t *)"room", 4};
    const struct wire_page page = pager_fill(&ops, engine, &read, room, error);
    ck_assert_int_eq(error[0] != '\0', page.result != WIRE_DONE);
    return page;
}

static struct wire_read newest(uint64_t count, uint32_t count_max)
{
    return (struct wire_read){
        .since = count, .count_max = count_max, .bytes_max = WIRE_PAGE_BYTES_MAX, .newest = true};
}

/* The page has [first, first + count) and nothing else. */
static void expect(struct wire_page page, uint64_t first, uint32_t count, bool more)
{
    struct wire_record record;
    ck_assert_int_eq(page.result, WIRE_DONE);
    ck_assert_uint_eq(page.count, count);
    ck_assert_int_eq(page.more, more);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert(wire_next_record(&page.records, &record));
        ck_assert_uint_eq(record.offset, first + i);
    }
    ck_assert_uint_eq(page.records.size, 0);
}

/* However far what is noted is behind: the same page. */
START_TEST(newest_ones)
{
    static const uint64_t lags[] = {0, 1, 49, 50, 51, PAGER_MOVES_MAX, PAGER_MOVES_MAX + 1, 900};
    for (size_t i = 0; i < sizeof(lags) / sizeof(lags[0]); i++) {
        struct engine engine = {.first = 51, .top = 1000, .noted = 1000 - lags[i], .value_size = 9};
        struct wire_page page = fill(&engine, newest(50, 100));
        expect(page, 951, 50, false);
        ck_assert(page.stream.top == 1000 && page.stream.epoch == 7 && page.stream.first == 51);
        ck_assert_uint_eq(engine.reads, lags[i] > PAGER_MOVES_MAX ? 2 : 1);
        expect(fill(&engine, newest(0, 100)), 0, 0, false);
        expect(fill(&engine, newest(50, 20)), 951, 20, true);
        expect(fill(&engine, newest(5000, 5000)), 51, 950, false);
        struct wire_read narrow = newest(50, 100);
        narrow.bytes_max = 3 * (WIRE_RECORD_SIZE_MIN + 9);
        expect(fill(&engine, narrow), 951, 3, true);
        narrow.bytes_max = 0;
        expect(fill(&engine, narrow), 951, 1, true);
    }
}
END_TEST

/* What was found out is not forgotten when more has come by the second read. */
START_TEST(grows_between_two_reads)
{
    struct engine engine = {.first = 1, .top = 1000, .noted = 0, .value_size = 9, .grows = 5};
    struct wire_page page = fill(&engine, newest(50, 100));
    expect(page, 951, 55, false);
    ck_assert_uint_eq(page.stream.top, 1005);
}
END_TEST

/* All that the first read has seen is trimmed by the second one. */
START_TEST(trimmed_between_two_reads)
{
    struct engine engine = {.first = 1, .top = 1000, .value_size = 9, .grows = 2000, .trims = 2990};
    struct wire_page page = fill(&engine, newest(50, 100));
    expect(page, 2990, 11, false);
    ck_assert_uint_eq(engine.reads, 2);
}
END_TEST

/* A window that does not fit: the first ones of the newest, and there is more. */
START_TEST(newest_ones_are_large)
{
    struct engine engine = {.first = 1, .top = 20, .noted = 20, .value_size = 1 << 20};
    expect(fill(&engine, newest(10, 100)), 11, 2, true);
    ck_assert_uint_eq(engine.reads, 2);
    engine.value_size = WIRE_VALUE_SIZE_MAX;
    expect(fill(&engine, newest(10, 100)), 11, 1, true);
    expect(fill(&engine, newest(1, 100)), 20, 1, false);
}
END_TEST

START_TEST(from_an_offset)
{
    struct engine engine = {.first = 5, .top = 30, .noted = 9, .value_size = 9};
    struct wire_read read = since_0;
    expect(fill(&engine, read), 5, 26, false);
    read.since = 27;
    expect(fill(&engine, read), 28, 3, false);
    read.count_max = 2;
    struct wire_page page = fill(&engine, read);
    expect(page, 28, 2, true);
    ck_assert_uint_eq(page.stream.top, 30);
    for (int i = 0; i < 3; i++) {
        read.since = i == 0 ? 30 : UINT64_MAX - (uint64_t)i + 1;
        expect(fill(&engine, read), 0, 0, false);
    }
}
END_TEST

/* What should be there and is not is damage, in the midst and at the end. */
START_TEST(missing_ones)
{
    struct engine engine = {.first = 1, .top = 60, .noted = 60, .gap = 40, .value_size = 9};
    ck_assert_int_eq(fill(&engine, newest(50, 100)).result, WIRE_DAMAGED);
    ck_assert_int_eq(fill(&engine, since_0).result, WIRE_DAMAGED);
    expect(fill(&engine, newest(20, 100)), 41, 20, false);
    engine.gap = 60;
    const struct wire_page page = fill(&engine, newest(50, 100));
    ck_assert(page.result == WIRE_DAMAGED && page.count == 0 && page.records.size == 0);
    ck_assert_int_eq(fill(&engine, since_0).result, WIRE_DAMAGED);
}
END_TEST

int main(void)
{
    TCase *const pager = tcase_create("pager");
    tcase_add_checked_fixture(pager, setup, teardown);
    tcase_add_test(pager, newest_ones);
    tcase_add_test(pager, grows_between_two_reads);
    tcase_add_test(pager, trimmed_between_two_reads);
    tcase_add_test(pager, newest_ones_are_large);
    tcase_add_test(pager, from_an_offset);
    tcase_add_test(pager, missing_ones);
    Suite *const suite = suite_create("store/pager");
    suite_add_tcase(suite, pager);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
