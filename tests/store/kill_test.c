/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of the child at random moments while batches are on their way, round after round. After
 * each restart every stream has at least what was acknowledged and at most what was submitted, its
 * offsets are consecutive, and each record is the one that was submitted under its offset. The last
 * line says how much was put at risk: a run in which nothing was lost in flight proves nothing.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"
#include "store/store.h"
#include "tests/store/driver.h"

enum {
    ROUNDS = 50,
    CHANNELS = 20,
    KILL_MS_MAX = 40,
    BATCH_MAX = 4,
    OPEN_MAX = 200, /* questions on their way */
    VALUE_SIZE = 48,
};

struct channel {
    char name[24];
    uint64_t submitted; /* the newest offset that was */
    uint64_t acknowledged;
    uint64_t checked; /* what was there after the kill before */
};

struct batch {
    uint32_t channel;
    uint64_t top;
};

struct trial {
    struct driver driver;
    struct channel channels[CHANNELS];
    struct batch batches[4096]; /* by tag */
    uint64_t tags;
    uint64_t random;
    uint64_t lost;
    uint64_t not_sent;
    uint64_t acknowledged;
};

static uint64_t next_random(struct trial *trial)
{
    trial->random ^= trial->random << 13;
    trial->random ^= trial->random >> 7;
    trial->random ^= trial->random << 17;
    return trial->random;
}

static size_t write_value(const struct channel *channel, uint64_t offset, char *value)
{
    return (size_t)snprintf(value, VALUE_SIZE, "%s says %llu", channel->name,
                            (unsigned long long)offset);
}

static void on_completion(void *context, const struct store_completion *completion)
{
    struct trial *const trial = context;
    const struct batch *const batch = &trial->batches[completion->tag % 4096];
    struct channel *const channel = &trial->channels[batch->channel];
    trial->lost += completion->event == STORE_LOST;
    trial->not_sent += completion->event == STORE_NOT_SENT;
    if (completion->event == STORE_COMMITTED) {
        ck_assert_int_eq(completion->committed.result, WIRE_DONE);
        ck_assert_uint_gt(batch->top, channel->acknowledged);
        channel->acknowledged = batch->top;
        trial->acknowledged++;
    }
}

static void submit(struct trial *trial)
{
    struct wire_entry entries[BATCH_MAX];
    char values[BATCH_MAX][VALUE_SIZE];
    const uint32_t index = (uint32_t)(next_random(trial) % CHANNELS);
    struct channel *const channel = &trial->channels[index];
    const size_t count = 1 + next_random(trial) % BATCH_MAX;
    for (size_t i = 0; i < count; i++) {
        const uint64_t offset = channel->submitted + 1 + i;
        entries[i] = driver_append(channel->name, 1, offset, "");
        entries[i].value =
            (struct bytes){(const uint8_t *)values[i], write_value(channel, offset, values[i])};
    }
    const enum wire_durability durability =
        next_random(trial) % 2 == 0 ? WIRE_DURABLE_PROCESS : WIRE_DURABLE_POWER;
    const enum store_verdict verdict =
        store_commit(trial->driver.store, trial->tags, durability, entries, count);
    if (verdict == STORE_QUEUED) {
        channel->submitted += count;
        trial->batches[trial->tags % 4096] = (struct batch){index, channel->submitted};
        trial->tags++;
    }
}

/* What lies above `offset`; below it, a round before has looked. */
static void check_channel(struct trial *trial, struct channel *channel, uint64_t offset)
{
    bool more = true;
    while (more) {
        struct wire_page page =
            driver_read(&trial->driver, (struct wire_read){.channel = driver_text(channel->name),
                                                           .since = offset,
                                                           .count_max = 1000,
                                                           .bytes_max = WIRE_PAGE_BYTES_MAX});
        struct wire_record record;
        ck_assert_int_eq(page.result, WIRE_DONE);
        more = page.more;
        while (wire_next_record(&page.records, &record)) {
            char value[VALUE_SIZE];
            offset++;
            const size_t size = write_value(channel, offset, value);
            ck_assert_uint_eq(record.offset, offset);
            ck_assert_uint_eq(record.value.size, size);
            ck_assert_int_eq(memcmp(record.value.data, value, size), 0);
        }
    }
    ck_assert_uint_ge(offset, channel->acknowledged);
    ck_assert_uint_le(offset, channel->submitted);
    channel->submitted = channel->acknowledged = channel->checked = offset;
}

static void run_round(struct trial *trial)
{
    struct driver *const driver = &trial->driver;
    driver_until_state(driver, STORE_READY);
    for (int i = 0; i < CHANNELS; i++) {
        check_channel(trial, &trial->channels[i], trial->channels[i].checked);
    }
    const uint64_t end = monotime_read() + next_random(trial) % KILL_MS_MAX * MONOTIME_NS_PER_MS +
                         next_random(trial) % MONOTIME_NS_PER_MS;
    do { /* once in any case: what is lost in flight has left */
        while (store_look(driver->store).questions < OPEN_MAX) {
            submit(trial);
        }
        driver_work(driver, 1);
    } while (monotime_read() < end);
    ck_assert_int_eq(kill(store_look(driver->store).child, SIGKILL), 0);
    while (store_look(driver->store).questions > 0 ||
           store_look(driver->store).state == STORE_READY) {
        driver_work(driver, 10);
    }
}

START_TEST(nothing_acknowledged_is_lost)
{
    static struct trial trial;
    trial.random = monotime_read() | 1;
    (void)printf("seed %llu\n", (unsigned long long)trial.random);
    driver_open(&trial.driver);
    driver_start(&trial.driver, NULL);
    trial.driver.on_completion = on_completion;
    trial.driver.context = &trial;
    for (int i = 0; i < CHANNELS; i++) {
        (void)snprintf(trial.channels[i].name, sizeof(trial.channels[i].name), "room %d", i);
        const struct wire_entry reset = driver_entry(WIRE_RESET, trial.channels[i].name, 1, 0);
        ck_assert_int_eq(
            driver_commit(&trial.driver, WIRE_DURABLE_POWER, &reset, 1).committed.result,
            WIRE_DONE);
    }
    trial.driver.on_completion = on_completion;
    for (int i = 0; i < ROUNDS; i++) {
        run_round(&trial);
    }
    driver_until_state(&trial.driver, STORE_READY);
    for (int i = 0; i < CHANNELS; i++) {
        check_channel(&trial, &trial.channels[i], 0);
    }
    ck_assert_uint_eq(store_look(trial.driver.store).starts, ROUNDS + 1);
    (void)printf("%d kills, %llu batches acknowledged, %llu lost in flight, %llu not sent\n",
                 ROUNDS, (unsigned long long)trial.acknowledged, (unsigned long long)trial.lost,
                 (unsigned long long)trial.not_sent);
    ck_assert_uint_gt(trial.acknowledged, ROUNDS);
    ck_assert_uint_gt(trial.lost, ROUNDS);
    driver_close(&trial.driver);
}
END_TEST

int main(void)
{
    TCase *const kills = tcase_create("kill");
    tcase_set_timeout(kills, 300); /* seconds: fifty starts, under a sanitizer, on a busy machine */
    tcase_add_test(kills, nothing_acknowledged_is_lost);
    Suite *const suite = suite_create("store kill");
    suite_add_tcase(suite, kills);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
