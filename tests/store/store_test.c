/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store through its parent's side and the real child: what is stored comes back, also after a
 * restart; what is refused leaves no trace; limits hold; the child's death is answered.
 */
#include "store/store.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/monotime.h"
#include "tests/store/driver.h"

static struct driver driver;

static void setup(void)
{
    driver_open(&driver);
}

static void teardown(void)
{
    driver_close(&driver);
}

static enum wire_result commit(const struct wire_entry *entries, size_t count)
{
    const struct store_completion answer =
        driver_commit(&driver, WIRE_DURABLE_POWER, entries, count);
    ck_assert_int_eq(answer.event, STORE_COMMITTED);
    return answer.committed.result;
}

static enum wire_result commit_one(struct wire_entry entry)
{
    return commit(&entry, 1);
}

/* A channel with `count` records "1", "2", ... */
static void fill(const char *channel, uint64_t epoch, uint64_t count)
{
    ck_assert_int_eq(commit_one(driver_entry(WIRE_RESET, channel, epoch, 0)), WIRE_DONE);
    for (uint64_t i = 1; i <= count; i++) {
        char text[24];
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)i);
        ck_assert_int_eq(commit_one(driver_append(channel, epoch, i, text)), WIRE_DONE);
    }
}

/* The page has `count` records from `first` on, each with its number. */
static void expect_page(struct wire_read read, uint64_t first, uint32_t count, bool more)
{
    struct wire_page page = driver_read(&driver, read);
    ck_assert_int_eq(page.result, WIRE_DONE);
    ck_assert_uint_eq(page.count, count);
    ck_assert_int_eq(page.more, more);
    for (uint32_t i = 0; i < count; i++) {
        struct wire_record record;
        char text[24];
        ck_assert(wire_next_record(&page.records, &record));
        const uint64_t offset = first + i;
        const int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)offset);
        ck_assert_uint_eq(record.offset, offset);
        ck_assert_uint_eq(record.time_ms, 1000 + offset);
        ck_assert_uint_eq(record.value.size, (size_t)size);
        ck_assert_int_eq(memcmp(record.value.data, text, (size_t)size), 0);
    }
}

static struct wire_read reading(const char *channel, uint64_t since, uint32_t count)
{
    return (struct wire_read){.channel = driver_text(channel),
                              .since = since,
                              .count_max = count,
                              .bytes_max = WIRE_PAGE_BYTES_MAX};
}

static struct wire_read newest(const char *channel, uint64_t newest_count, uint32_t count)
{
    struct wire_read read = reading(channel, newest_count, count);
    read.newest = true;
    return read;
}

static void expect_pages(void)
{
    expect_page(newest("a", 3, 100), 7, 3, false);
    expect_page(newest("a", 100, 100), 1, 9, false);
    expect_page(newest("a", 5, 2), 5, 2, true);
    expect_page(newest("a", 0, 2), 0, 0, false);
    expect_page(reading("a", 0, 100), 1, 9, false);
    expect_page(reading("a", 0, 3), 1, 3, true);
    expect_page(reading("a", 3, 3), 4, 3, true);
    expect_page(reading("a", 6, 3), 7, 3, false);
    expect_page(reading("a", 9, 3), 0, 0, false);
    expect_page(reading("a", UINT64_MAX, 3), 0, 0, false);
    ck_assert_uint_eq(driver_read(&driver, reading("a", 0, 3)).stream.top, 9);
    ck_assert_uint_eq(driver_read(&driver, reading("a", UINT64_MAX, 3)).stream.top, 9);
    struct wire_read narrow = reading("a", 0, 100);
    narrow.bytes_max = 2 * (WIRE_RECORD_SIZE_MIN + 1);
    expect_page(narrow, 1, 2, true);
    narrow.bytes_max = 0;
    expect_page(narrow, 1, 1, true);
}

START_TEST(stores_and_reads)
{
    driver_start(&driver, NULL);
    fill("a", 77, 9);
    fill("b", 5, 2);
    expect_pages();
    ck_assert_int_eq(driver_read(&driver, reading("none", 0, 1)).result, WIRE_ABSENT);
    const struct wire_page found = driver_look(&driver, "a");
    ck_assert(found.result == WIRE_DONE && found.stream.epoch == 77 && found.stream.top == 9 &&
              found.stream.first == 1 && found.stream.last_time_ms == 1009);

    driver_stop(&driver);
    driver_start(&driver, NULL);
    expect_pages();
    ck_assert_int_eq(commit_one(driver_append("a", 77, 10, "10")), WIRE_DONE);
    expect_page(reading("a", 8, 5), 9, 2, false);
    const struct wire_stats stats = driver_stats(&driver);
    ck_assert(stats.batches == 1 && stats.commits == 1 && stats.synced == 1 && stats.streams == 2);
}
END_TEST

START_TEST(trims)
{
    driver_start(&driver, NULL);
    fill("a", 1, 9);
    ck_assert_int_eq(commit_one(driver_entry(WIRE_TRIM, "a", 1, 5)), WIRE_DONE);
    expect_page(reading("a", 0, 100), 5, 5, false);
    expect_page(reading("a", 2, 100), 5, 5, false);
    expect_page(newest("a", 100, 100), 5, 5, false);
    expect_page(newest("a", 2, 100), 8, 2, false);
    /* What is trimmed already changes nothing; more than there is cannot be trimmed. */
    ck_assert_int_eq(commit_one(driver_entry(WIRE_TRIM, "a", 1, 3)), WIRE_DONE);
    ck_assert_int_eq(commit_one(driver_entry(WIRE_TRIM, "a", 1, 11)), WIRE_CONFLICT);
    ck_assert_uint_eq(driver_look(&driver, "a").stream.first, 5);
    /* All of it goes, and the offsets go on, also after a restart. */
    ck_assert_int_eq(commit_one(driver_entry(WIRE_TRIM, "a", 1, 10)), WIRE_DONE);
    expect_page(reading("a", 0, 100), 0, 0, false);
    driver_stop(&driver);
    driver_start(&driver, NULL);
    const struct wire_stream stream = driver_look(&driver, "a").stream;
    ck_assert(stream.top == 9 && stream.first == 10);
    ck_assert_int_eq(commit_one(driver_append("a", 1, 9, "9")), WIRE_CONFLICT);
    ck_assert_int_eq(commit_one(driver_append("a", 1, 10, "10")), WIRE_DONE);
    expect_page(reading("a", 0, 100), 10, 1, false);
}
END_TEST

START_TEST(lives_of_a_stream)
{
    driver_start(&driver, NULL);
    fill("a", 1, 4);
    fill("a", 2, 2); /* a new life, while the old one is there */
    expect_page(reading("a", 0, 100), 1, 2, false);
    ck_assert_int_eq(commit_one(driver_append("a", 1, 3, "3")), WIRE_CONFLICT);
    ck_assert_int_eq(commit_one(driver_entry(WIRE_REMOVE, "a", 1, 0)), WIRE_CONFLICT);
    ck_assert_int_eq(commit_one(driver_entry(WIRE_REMOVE, "a", 2, 0)), WIRE_DONE);
    ck_assert_int_eq(driver_look(&driver, "a").result, WIRE_ABSENT);
    ck_assert_int_eq(commit_one(driver_append("a", 2, 3, "3")), WIRE_ABSENT);
    /* Gone, made and filled in one batch. */
    const struct wire_entry batch[] = {driver_entry(WIRE_RESET, "a", 3, 0),
                                       driver_append("a", 3, 1, "1"),
                                       driver_append("a", 3, 2, "2")};
    ck_assert_int_eq(commit(batch, 3), WIRE_DONE);
    driver_stop(&driver);
    driver_start(&driver, NULL);
    expect_page(reading("a", 0, 100), 1, 2, false);
    ck_assert_uint_eq(driver_look(&driver, "a").stream.epoch, 3);
}
END_TEST

START_TEST(refusal_leaves_no_trace)
{
    driver_start(&driver, NULL);
    fill("a", 1, 3);
    const struct wire_entry batch[] = {
        driver_append("a", 1, 4, "4"), driver_entry(WIRE_RESET, "b", 9, 0),
        driver_append("b", 9, 1, "1"), driver_append("a", 1, 6, "6")};
    const struct store_completion answer = driver_commit(&driver, WIRE_DURABLE_PROCESS, batch, 4);
    ck_assert_int_eq(answer.committed.result, WIRE_CONFLICT);
    ck_assert_uint_eq(answer.committed.entry, 3);
    ck_assert_uint_eq(driver_look(&driver, "a").stream.top, 3);
    ck_assert_int_eq(driver_look(&driver, "b").result, WIRE_ABSENT);
    ck_assert_int_eq(commit(batch, 3), WIRE_DONE);
    ck_assert_int_eq(commit(batch, 1), WIRE_CONFLICT);
    expect_page(reading("a", 0, 100), 1, 4, false);
}
END_TEST

START_TEST(large_values)
{
    static uint8_t big[WIRE_VALUE_SIZE_MAX];
    driver_start(&driver, NULL);
    memset(big, 0xa5, sizeof(big));
    struct wire_entry entry = driver_append("a", 1, 1, "");
    ck_assert_int_eq(commit_one(driver_entry(WIRE_RESET, "a", 1, 0)), WIRE_DONE);
    for (uint64_t i = 1; i <= 4; i++) {
        entry.offset = i;
        entry.value = (struct bytes){big, sizeof(big) - i};
        ck_assert_int_eq(commit_one(entry), WIRE_DONE);
    }
    /* A page has room for one of them. */
    for (uint64_t i = 1; i <= 4; i++) {
        struct wire_page page = driver_read(&driver, reading("a", i - 1, 10));
        struct wire_record record;
        ck_assert(page.result == WIRE_DONE && page.count == 1 && page.more == (i < 4));
        ck_assert(wire_next_record(&page.records, &record) && record.offset == i);
        ck_assert_uint_eq(record.value.size, sizeof(big) - i);
        ck_assert_int_eq(memcmp(record.value.data, big, record.value.size), 0);
    }
    entry.value.size = WIRE_VALUE_SIZE_MAX;
    entry.value.size++;
    ck_assert_int_eq(store_commit(driver.store, 1, WIRE_DURABLE_POWER, &entry, 1), STORE_TOO_BIG);
}
END_TEST

struct tally {
    uint64_t count[STORE_CHANGED + 1];
    uint64_t last_tag;
    bool in_order;
};

static void count_completion(void *context, const struct store_completion *completion)
{
    struct tally *const tally = context;
    tally->count[completion->event]++;
    if (completion->event != STORE_CHANGED) {
        tally->in_order = tally->in_order && completion->tag == tally->last_tag + 1;
        tally->last_tag = completion->tag;
    }
}

/* Reads that run beside writes: each page is of one moment, and shows what was acknowledged. */
struct beside {
    uint64_t acknowledged;  /* the top offset that was */
    uint64_t expected[256]; /* it, as a read was asked; by the read's tag */
    uint64_t pages;
};

enum { BESIDE_BATCH = 8, BESIDE_KEPT = 20, BESIDE_ROUNDS = 1500 };

static void check_beside(void *context, const struct store_completion *completion)
{
    struct beside *const beside = context;
    if (completion->event == STORE_COMMITTED) {
        ck_assert_int_eq(completion->committed.result, WIRE_DONE);
        beside->acknowledged = completion->tag;
        return;
    }
    ck_assert_int_eq(completion->event, STORE_PAGE);
    struct wire_page page = completion->page;
    ck_assert_int_eq(page.result, WIRE_DONE);
    ck_assert_uint_ge(page.stream.top, beside->expected[completion->tag % 256]);
    ck_assert_uint_eq(page.stream.top % BESIDE_BATCH, 0); /* no batch is seen in parts */
    ck_assert_uint_le(page.stream.top - page.stream.first + 1, BESIDE_KEPT + BESIDE_BATCH);
    ck_assert_uint_eq(page.count, page.stream.top + 1 - page.stream.first);
    beside->pages++;
}

START_TEST(reads_beside_writes)
{
    static const char *const arguments[] = {"--write-buffer", "1", NULL};
    static uint8_t value[1000];
    struct beside beside = {.pages = 0};
    driver_start(&driver, arguments);
    fill("a", 1, 0);
    driver.on_completion = check_beside;
    driver.context = &beside;
    for (uint64_t i = 0; i < BESIDE_ROUNDS; i++) {
        struct wire_entry batch[BESIDE_BATCH + 1];
        for (uint64_t j = 0; j < BESIDE_BATCH; j++) {
            batch[j] = driver_append("a", 1, i * BESIDE_BATCH + j + 1, "");
            batch[j].value = (struct bytes){value, sizeof(value)};
        }
        const uint64_t top = (i + 1) * BESIDE_BATCH;
        batch[BESIDE_BATCH] =
            driver_entry(WIRE_TRIM, "a", 1, top > BESIDE_KEPT ? top - BESIDE_KEPT + 1 : 1);
        const struct wire_read read = newest("a", 100, 100);
        ck_assert_int_eq(
            store_commit(driver.store, top, WIRE_DURABLE_PROCESS, batch, BESIDE_BATCH + 1),
            STORE_QUEUED);
        beside.expected[i % 256] = beside.acknowledged;
        ck_assert_int_eq(store_read(driver.store, i, &read), STORE_QUEUED);
        while (store_look(driver.store).questions > 64) {
            driver_work(&driver, 20);
        }
    }
    driver_until_quiet(&driver);
    ck_assert_uint_eq(beside.pages, BESIDE_ROUNDS);
    ck_assert_uint_eq(beside.acknowledged, BESIDE_ROUNDS * BESIDE_BATCH);
}
END_TEST

/* A stopped child: questions wait within their bounds, and then all of them are answered. */
START_TEST(full_is_an_answer)
{
    static uint8_t big[100000];
    struct tally tally = {.in_order = true};
    driver_start(&driver, NULL);
    fill("a", 1, 0);
    driver.on_completion = count_completion;
    driver.context = &tally;
    const int child = store_look(driver.store).child;
    ck_assert_int_eq(kill(child, SIGSTOP), 0);
    uint64_t queued = 0;
    enum store_verdict verdict = STORE_QUEUED;
    while (verdict == STORE_QUEUED) {
        struct wire_entry entry = driver_append("a", 1, queued + 1, "");
        entry.value = (struct bytes){big, sizeof(big)};
        verdict = store_commit(driver.store, queued + 1, WIRE_DURABLE_PROCESS, &entry, 1);
        queued += verdict == STORE_QUEUED;
        driver_work(&driver, 0);
    }
    ck_assert_int_eq(verdict, STORE_FULL);
    ck_assert_uint_ge(queued, (8 << 20) / (sizeof(big) + 100));
    ck_assert_uint_le(store_look(driver.store).queue_bytes, 8 << 20);
    ck_assert_uint_gt(store_look(driver.store).oldest_ns, 0);
    ck_assert_int_eq(kill(child, SIGCONT), 0);
    driver_until_quiet(&driver);
    ck_assert_uint_eq(tally.count[STORE_COMMITTED], queued);
    ck_assert(tally.in_order);
    ck_assert_uint_eq(driver_look(&driver, "a").stream.top, queued);
}
END_TEST

/* The child has died: until it is started again, which is not before the last of these. */
static void count_while_down(void *context, const struct store_completion *completion)
{
    const struct wire_read read = newest("a", 0, 1);
    count_completion(context, completion);
    if (completion->event == STORE_LOST || completion->event == STORE_NOT_SENT) {
        ck_assert_int_eq(store_look(driver.store).state, STORE_DOWN);
        ck_assert_int_eq(store_read(driver.store, 1, &read), STORE_REFUSED);
    }
}

START_TEST(too_many_questions)
{
    driver_start(&driver, NULL);
    driver_until_state(&driver, STORE_READY);
    ck_assert_int_eq(kill(store_look(driver.store).child, SIGSTOP), 0);
    const struct wire_read read = newest("a", 0, 1);
    for (int i = 0; i < 4096; i++) {
        ck_assert_int_eq(store_read(driver.store, 1, &read), STORE_QUEUED);
    }
    ck_assert_int_eq(store_read(driver.store, 1, &read), STORE_FULL);
    /* Killed while it stands still: what had left is lost, the rest certainly not stored. */
    struct tally tally = {.in_order = true};
    driver.on_completion = count_while_down;
    driver.context = &tally;
    const int child = store_look(driver.store).child;
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    driver_until_quiet(&driver);
    ck_assert_uint_eq(tally.count[STORE_LOST] + tally.count[STORE_NOT_SENT], 4096);
    driver_until_state(&driver, STORE_READY);
    ck_assert_int_ne(store_look(driver.store).child, child);
    ck_assert_int_eq(driver_look(&driver, "a").result, WIRE_ABSENT);
}
END_TEST

START_TEST(a_start_that_fails_is_tried_again)
{
    char command[DRIVER_PATH_SIZE + 64];
    char output[256];
    ck_assert_int_eq(mkdir(driver.path, 0700), 0);
    (void)snprintf(command, sizeof(command), "echo secret > %s/notes.txt", driver.path);
    ck_assert_int_eq(driver_run(command, output, sizeof(output)), 0);
    driver_start(&driver, NULL);
    driver_until_state(&driver, STORE_DOWN);
    while (strstr(store_look(driver.store).reason, "exit status 3") == NULL) {
        driver_work(&driver, 20);
    }
    ck_assert_ptr_nonnull(strstr(store_look(driver.store).reason, "notes.txt"));
    while (store_look(driver.store).starts < 4) {
        driver_work(&driver, 20);
    }
    (void)snprintf(command, sizeof(command), "rm %s/notes.txt", driver.path);
    ck_assert_int_eq(driver_run(command, output, sizeof(output)), 0);
    driver_until_state(&driver, STORE_READY);
    fill("a", 1, 1);
}
END_TEST

/* A second store on the same directory does not open, and says who has it. */
START_TEST(locked_directory)
{
    struct driver second;
    char who[64];
    driver_start(&driver, NULL);
    driver_until_state(&driver, STORE_READY);
    driver_open(&second);
    memcpy(second.path, driver.path, sizeof(second.path));
    driver_start(&second, NULL);
    driver_until_state(&second, STORE_DOWN);
    (void)snprintf(who, sizeof(who), "in use by process %d", store_look(driver.store).child);
    const uint64_t end = monotime_read() + 10 * MONOTIME_NS_PER_S;
    while (strstr(store_look(second.store).reason, who) == NULL && monotime_read() < end) {
        driver_work(&second, 20);
    }
    ck_assert_ptr_nonnull(strstr(store_look(second.store).reason, who));
    driver_close(&second);
    fill("a", 1, 1);
}
END_TEST

/* What the child was started with for the C library's tunables. */
static void expect_tunables(const char *tunables)
{
    char command[128];
    char output[512];
    driver_start(&driver, NULL);
    driver_until_state(&driver, STORE_READY);
    (void)snprintf(command, sizeof(command), "tr '\\0' '\\n' < /proc/%d/environ | grep ^GLIBC_T",
                   store_look(driver.store).child);
    ck_assert_int_eq(driver_run(command, output, sizeof(output)), 0);
    ck_assert_str_eq(output, tunables);
    driver_stop(&driver);
}

/* Huge pages, unless somebody has said something else. */
START_TEST(asks_for_huge_pages)
{
    ck_assert_int_eq(unsetenv("GLIBC_TUNABLES"), 0);
    expect_tunables("GLIBC_TUNABLES=glibc.malloc.hugetlb=1\n");
    ck_assert_int_eq(setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=2", 1), 0);
    expect_tunables("GLIBC_TUNABLES=glibc.malloc.arena_max=2\n");
}
END_TEST

int main(void)
{
    TCase *const store = tcase_create("store");
    tcase_add_checked_fixture(store, setup, teardown);
    tcase_add_test(store, stores_and_reads);
    tcase_add_test(store, trims);
    tcase_add_test(store, lives_of_a_stream);
    tcase_add_test(store, refusal_leaves_no_trace);
    tcase_add_test(store, large_values);
    tcase_add_test(store, reads_beside_writes);
    tcase_add_test(store, full_is_an_answer);
    tcase_add_test(store, too_many_questions);
    tcase_add_test(store, a_start_that_fails_is_tried_again);
    tcase_add_test(store, asks_for_huge_pages);
    tcase_add_test(store, locked_directory);
    Suite *const suite = suite_create("store");
    suite_add_tcase(suite, store);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
