/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys sort as their numbers do; values come back; a value with any one bit flipped, cut short, or
 * under another key does not check.
 */
#include "store/record.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct bytes text(const char *in)
{
    return (struct bytes){(const uint8_t *)in, strlen(in)};
}

START_TEST(keys_sort)
{
    static const uint64_t numbers[] = {0, 1, 255, 256, UINT32_MAX, UINT64_C(1) << 40, UINT64_MAX};
    enum { COUNT = sizeof(numbers) / sizeof(numbers[0]) };
    uint8_t before[RECORD_STREAM_KEY_SIZE] = {0};
    for (int i = 0; i < COUNT * COUNT; i++) {
        uint8_t key[RECORD_STREAM_KEY_SIZE];
        uint64_t stream_id;
        uint64_t offset;
        record_write_stream_key(numbers[i / COUNT], numbers[i % COUNT], key);
        ck_assert(i == 0 || memcmp(before, key, sizeof(key)) < 0);
        ck_assert(record_read_stream_key((struct bytes){key, sizeof(key)}, &stream_id, &offset));
        ck_assert(stream_id == numbers[i / COUNT] && offset == numbers[i % COUNT]);
        ck_assert(
            !record_read_stream_key((struct bytes){key, sizeof(key) - 1}, &stream_id, &offset));
        memcpy(before, key, sizeof(key));
    }
}
END_TEST

START_TEST(publication_checks)
{
    const struct wire_record record = {
        .offset = 9, .time_ms = 77, .flags = 3, .value = text("hello")};
    uint8_t value[RECORD_HEAD_SIZE + 5];
    struct wire_record read;
    record_write_head(4, &record, value);
    memcpy(value + RECORD_HEAD_SIZE, "hello", 5);
    ck_assert(record_read(4, 9, (struct bytes){value, sizeof(value)}, &read));
    ck_assert(read.offset == 9 && read.time_ms == 77 && read.flags == 3 && read.value.size == 5);
    ck_assert(!record_read(4, 10, (struct bytes){value, sizeof(value)}, &read));
    ck_assert(!record_read(5, 9, (struct bytes){value, sizeof(value)}, &read));
    for (size_t size = 0; size < sizeof(value); size++) {
        ck_assert(!record_read(4, 9, (struct bytes){value, size}, &read));
    }
    for (size_t bit = 0; bit < 8 * sizeof(value); bit++) {
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert(!record_read(4, 9, (struct bytes){value, sizeof(value)}, &read));
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}
END_TEST

START_TEST(metadata_check)
{
    const struct record_meta meta = {
        .stream_id = 3,
        .stream = {.epoch = 4, .top = 5, .first = 2, .last_time_ms = 6, .keep = {7, 8}},
        .noted_top = 5};
    uint8_t value[RECORD_META_SIZE];
    struct record_meta read;
    record_write_meta(text("room"), &meta, value);
    ck_assert(record_read_meta(text("room"), (struct bytes){value, sizeof(value)}, &read));
    ck_assert_int_eq(memcmp(&meta, &read, sizeof(meta)), 0);
    ck_assert(!record_read_meta(text("rooms"), (struct bytes){value, sizeof(value)}, &read));
    ck_assert(!record_read_meta(text("room"), (struct bytes){value, sizeof(value) - 1}, &read));
    for (size_t bit = 0; bit < 8 * sizeof(value); bit++) {
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ck_assert(!record_read_meta(text("room"), (struct bytes){value, sizeof(value)}, &read));
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}
END_TEST

int main(void)
{
    TCase *const record = tcase_create("record");
    tcase_add_test(record, keys_sort);
    tcase_add_test(record, publication_checks);
    tcase_add_test(record, metadata_check);
    Suite *const suite = suite_create("store/record");
    suite_add_tcase(suite, record);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
