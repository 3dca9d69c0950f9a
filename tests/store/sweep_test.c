/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is too old leaves the store by itself: the real child, with records whose times lie in the
 * past, so that no test waits for one to age. What may not go is looked at when the rest has gone.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/monotime.h"
#include "store/store.h"
#include "tests/store/driver.h"

enum { RECORDS = 1000, VALUE_SIZE = 200 };

#define HOUR UINT64_C(3600000)

static const char *const fast[] = {"--sweep", "100000", NULL};

static struct driver driver;

static void setup(void)
{
    driver_open(&driver);
}

static void teardown(void)
{
    driver_close(&driver);
}

static void commit(const struct wire_entry *entries, size_t count)
{
    const struct store_completion answer =
        driver_commit(&driver, WIRE_DURABLE_POWER, entries, count);
    ck_assert_int_eq(answer.event, STORE_COMMITTED);
    ck_assert_int_eq(answer.committed.result, WIRE_DONE);
}

/* A stream that was made `age_ms` ago, with `count` records as old, and keeps them like this. */
static void fill(const char *channel, uint64_t count, uint64_t age_ms, struct wire_keep keep)
{
    static struct wire_entry entries[RECORDS + 2];
    static char value[VALUE_SIZE];
    ck_assert_uint_le(count, RECORDS);
    const uint64_t time_ms = monotime_realtime_ms() - age_ms;
    entries[0] = driver_entry(WIRE_RESET, channel, 1, 0);
    for (uint64_t i = 1; i <= count; i++) {
        entries[i] = driver_append(channel, 1, i, "");
        entries[i].value = (struct bytes){(const uint8_t *)value, sizeof(value)};
    }
    for (uint64_t i = 0; i <= count; i++) {
        entries[i].time_ms = time_ms;
    }
    entries[count + 1] = driver_entry(WIRE_KEEP, channel, 1, 0);
    entries[count + 1].keep = keep;
    commit(entries, count + (keep.record_ms == 0 ? 1 : 2));
}

static struct wire_page find(const char *channel)
{
    return driver_look(&driver, channel);
}

/* Until the stream has lost the records below `first`; 0: and itself. */
static void until_expired(const char *channel, uint64_t first)
{
    const uint64_t end = monotime_read() + 30 * MONOTIME_NS_PER_S;
    for (;;) {
        const struct wire_page found = find(channel);
        if (first == 0 ? found.result == WIRE_ABSENT : found.stream.first == first) {
            return;
        }
        ck_assert_msg(monotime_read() < end, "%s still begins with %d", channel,
                      (int)found.stream.first);
        driver_work(&driver, 20);
    }
}

/* Nobody asks for anything after the restart. */
START_TEST(what_is_too_old_goes)
{
    driver_start(&driver, fast);
    fill("a gone", 10, 3 * HOUR, (struct wire_keep){HOUR, HOUR});
    fill("b position", 20, 3 * HOUR, (struct wire_keep){HOUR, 4 * HOUR});
    fill("c fresh", 30, 0, (struct wire_keep){HOUR, HOUR});
    fill("d not told", 40, 300 * HOUR, (struct wire_keep){0, 0});
    fill("e never had one", 0, 2 * HOUR, (struct wire_keep){HOUR, HOUR});
    fill("f of the future", 50, (uint64_t)0 - 2 * HOUR, (struct wire_keep){1, 1});
    fill("g many", RECORDS, 2 * HOUR, (struct wire_keep){HOUR, 24 * HOUR});
    struct wire_entry fresh = driver_append("g many", 1, RECORDS + 1, "fresh");
    fresh.time_ms = monotime_realtime_ms();
    commit(&fresh, 1);
    driver_stop(&driver);
    driver_start(&driver, fast);
    until_expired("a gone", 0);
    until_expired("b position", 21);
    until_expired("e never had one", 0);
    until_expired("g many", RECORDS + 1);
    ck_assert_uint_gt(driver_stats(&driver).expired_records, 0);
    const struct {
        const char *channel;
        uint64_t first;
        uint64_t top;
    } left[] = {{"b position", 21, 20},
                {"c fresh", 1, 30},
                {"d not told", 1, 40},
                {"f of the future", 1, 50},
                {"g many", RECORDS + 1, RECORDS + 1}};
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        const struct wire_stream stream = find(left[i].channel).stream;
        ck_assert_msg(stream.first == left[i].first && stream.top == left[i].top, "%s: %d to %d",
                      left[i].channel, (int)stream.first, (int)stream.top);
        ck_assert_uint_eq(stream.epoch, 1);
    }
    /* And it stays so. */
    fresh = driver_append("b position", 1, 21, "next");
    fresh.time_ms = monotime_realtime_ms();
    commit(&fresh, 1);
    driver_stop(&driver);
    driver_start(&driver, fast);
    ck_assert_int_eq(find("a gone").result, WIRE_ABSENT);
    ck_assert_uint_eq(find("b position").stream.top, 21);
}
END_TEST

/* It leaves the files, too. */
START_TEST(the_disk_gets_smaller)
{
    char channel[24];
    driver_start(&driver, fast);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(channel, sizeof(channel), "room %d", i);
        fill(channel, RECORDS, 3 * HOUR, (struct wire_keep){4 * HOUR, HOUR});
    }
    ck_assert_uint_eq(driver_stats(&driver).records, 20 * RECORDS);
    for (int i = 0; i < 19; i++) {
        (void)snprintf(channel, sizeof(channel), "room %d", i);
        struct wire_entry keep = driver_entry(WIRE_KEEP, channel, 1, 0);
        keep.keep = (struct wire_keep){HOUR, HOUR};
        commit(&keep, 1);
    }
    driver_stop(&driver);
    driver_start(&driver, fast);
    for (int i = 0; i < 19; i++) {
        (void)snprintf(channel, sizeof(channel), "room %d", i);
        until_expired(channel, 0);
    }
    const uint64_t end = monotime_read() + 30 * MONOTIME_NS_PER_S;
    struct wire_stats stats = driver_stats(&driver);
    /* The engine counts what remains of deletions, too. */
    while (stats.records > RECORDS || stats.streams != 1) {
        ck_assert_msg(monotime_read() < end, "%d streams, %d records", (int)stats.streams,
                      (int)stats.records);
        driver_work(&driver, 20);
        stats = driver_stats(&driver);
    }
    struct wire_page page =
        driver_read(&driver, (struct wire_read){.channel = driver_text("room 19"),
                                                .count_max = RECORDS,
                                                .bytes_max = 1 << 20});
    ck_assert_int_eq(page.result, WIRE_DONE);
    ck_assert_uint_eq(page.count, RECORDS);
}
END_TEST

int main(void)
{
    TCase *const tcase = tcase_create("sweep");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, what_is_too_old_goes);
    tcase_add_test(tcase, the_disk_gets_smaller);
    Suite *const suite = suite_create("store/sweep");
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
