/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written comes back the same; each limit and each contradiction has its verdict; a strict
 * prefix of a frame only asks for more, and a body cut short anywhere is refused. Bodies are
 * exact-size heap copies, so that AddressSanitizer sees a read past their end.
 */
#include "store/wire.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "store/codec.h"

static struct bytes text(const char *in)
{
    return (struct bytes){(const uint8_t *)in, strlen(in)};
}

static uint8_t *copy(const uint8_t *data, size_t size)
{
    uint8_t *const copied = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copied);
    memcpy(copied, data, size);
    return copied;
}

static void same(struct bytes a, struct bytes b)
{
    ck_assert_uint_eq(a.size, b.size);
    ck_assert(a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static struct wire_entry sample(enum wire_kind kind)
{
    struct wire_entry entry = {
        .kind = kind, .offset = 7, .epoch = 0x1234, .time_ms = 99, .channel = text("room")};
    if (kind == WIRE_APPEND) {
        entry.flags = 0xfefefefe;
        entry.value = text("{\"text\":\"hi\"}");
    }
    if (kind == WIRE_KEEP) {
        entry.offset = entry.time_ms = 0;
        entry.keep = (struct wire_keep){.record_ms = 1, .position_ms = WIRE_KEEP_MS_MAX};
    }
    return entry;
}

static enum wire_verdict read_all(struct bytes body, struct wire_entry *last, uint32_t *count)
{
    struct wire_batch batch;
    enum wire_verdict verdict = wire_read_batch(body, &batch);
    for (*count = 0; verdict == WIRE_OK && batch.count > 0; *count += 1) {
        verdict = wire_next_entry(&batch, last);
    }
    return verdict;
}

START_TEST(batch_comes_back)
{
    struct wire_entry entries[WIRE_KEEP];
    for (int i = 0; i < WIRE_KEEP; i++) {
        entries[i] = sample((enum wire_kind)(WIRE_APPEND + i));
    }
    const size_t size = wire_batch_size(entries, WIRE_KEEP);
    uint8_t *const body = malloc(size);
    wire_write_batch(WIRE_DURABLE_POWER, entries, WIRE_KEEP, body);

    struct wire_batch batch;
    ck_assert_int_eq(wire_read_batch((struct bytes){body, size}, &batch), WIRE_OK);
    ck_assert_int_eq(batch.durability, WIRE_DURABLE_POWER);
    ck_assert_uint_eq(batch.count, WIRE_KEEP);
    for (int i = 0; i < WIRE_KEEP; i++) {
        struct wire_entry entry;
        ck_assert_int_eq(wire_next_entry(&batch, &entry), WIRE_OK);
        ck_assert_int_eq(entry.kind, entries[i].kind);
        ck_assert_uint_eq(entry.flags, entries[i].flags);
        ck_assert_uint_eq(entry.offset, entries[i].offset);
        ck_assert_uint_eq(entry.epoch, entries[i].epoch);
        ck_assert_uint_eq(entry.time_ms, entries[i].time_ms);
        ck_assert_uint_eq(entry.keep.record_ms, entries[i].keep.record_ms);
        ck_assert_uint_eq(entry.keep.position_ms, entries[i].keep.position_ms);
        same(entry.channel, entries[i].channel);
        same(entry.value, entries[i].value);
    }
    ck_assert_uint_eq(batch.rest.size, 0);
    struct wire_entry none;
    ck_assert_int_eq(wire_next_entry(&batch, &none), WIRE_BAD_FRAME);
    free(body);
}
END_TEST

START_TEST(short_batch_is_refused)
{
    const struct wire_entry entries[] = {sample(WIRE_KEEP), sample(WIRE_APPEND)};
    const size_t size = wire_batch_size(entries, 2);
    uint8_t *const body = malloc(size + 1);
    wire_write_batch(WIRE_DURABLE_PROCESS, entries, 2, body);
    body[size] = 0;
    for (size_t cut = 0; cut <= size + 1; cut++) {
        uint8_t *const part = copy(body, cut);
        struct wire_entry entry;
        uint32_t count;
        const enum wire_verdict verdict = read_all((struct bytes){part, cut}, &entry, &count);
        ck_assert_msg(verdict == (cut == size ? WIRE_OK : WIRE_BAD_FRAME), "cut at %zu", cut);
        free(part);
    }
    free(body);
}
END_TEST

static const struct {
    const char *why;
    size_t at; /* byte of the body of a batch with one append */
    uint8_t value;
    enum wire_verdict verdict;
} batch_cases[] = {
    {"no entry", 0, 0, WIRE_BAD_FRAME},
    {"two entries, one is there", 0, 2, WIRE_BAD_FRAME},
    {"too many entries", 2, 1, WIRE_TOO_BIG},
    {"no such durability", 4, 2, WIRE_BAD_FRAME},
    {"kind 0", 8, 0, WIRE_BAD_FRAME},
    {"kind 6", 8, 6, WIRE_BAD_FRAME},
    {"a trim with a value", 8, WIRE_TRIM, WIRE_BAD_FRAME},
    {"no channel", 9, 0, WIRE_BAD_FRAME},
    {"reserved byte", 10, 1, WIRE_BAD_FRAME},
    {"another one", 11, 1, WIRE_BAD_FRAME},
    {"value above the limit", 15, 1, WIRE_TOO_BIG},
    {"value longer than the body", 13, 1, WIRE_BAD_FRAME},
    {"reserved word", 20, 1, WIRE_BAD_FRAME},
    {"offset 0", 24, 0, WIRE_BAD_FRAME},
    {"as it was", 8, WIRE_APPEND, WIRE_OK},
};

START_TEST(bad_batch_is_refused)
{
    const struct wire_entry entry = sample(WIRE_APPEND);
    const size_t size = wire_batch_size(&entry, 1);
    uint8_t *const body = malloc(size);
    wire_write_batch(WIRE_DURABLE_PROCESS, &entry, 1, body);
    body[batch_cases[_i].at] = batch_cases[_i].value;
    struct wire_entry read;
    uint32_t count;
    ck_assert_msg(read_all((struct bytes){body, size}, &read, &count) == batch_cases[_i].verdict,
                  "%s", batch_cases[_i].why);
    free(body);
}
END_TEST

START_TEST(limits_of_a_batch)
{
    static uint8_t big[WIRE_VALUE_SIZE_MAX + 1];
    struct wire_entry entries[3];
    for (int i = 0; i < 3; i++) {
        entries[i] = sample(WIRE_APPEND);
        entries[i].value = (struct bytes){big, WIRE_VALUE_SIZE_MAX};
    }
    ck_assert_uint_gt(wire_batch_size(entries, 1), 0);
    ck_assert_uint_eq(wire_batch_size(entries, 3), 0);
    ck_assert_uint_eq(wire_batch_size(entries, 0), 0);
    ck_assert_uint_eq(wire_batch_size(entries, WIRE_ENTRY_COUNT_MAX + 1), 0);
    entries[0].value.size++;
    ck_assert_uint_eq(wire_batch_size(entries, 1), 0);
    entries[0] = sample(WIRE_APPEND);
    entries[0].channel = (struct bytes){big, WIRE_CHANNEL_SIZE_MAX + 1};
    ck_assert_uint_eq(wire_batch_size(entries, 1), 0);
    entries[0].channel.size = 0;
    ck_assert_uint_eq(wire_batch_size(entries, 1), 0);
    entries[0] = sample(WIRE_APPEND);
    entries[0].offset = UINT64_MAX;
    ck_assert_uint_eq(wire_batch_size(entries, 1), 0);
    entries[0] = sample(WIRE_RESET);
    entries[0].offset = UINT64_MAX;
    ck_assert_uint_eq(wire_batch_size(entries, 1), 0);
    entries[0] = sample(WIRE_KEEP);
    entries[0].keep.record_ms = 0;
    ck_assert_uint_eq(wire_batch_size(entries, 1), 0);
    entries[0].keep.record_ms = WIRE_KEEP_MS_MAX + 1;
    ck_assert_uint_eq(wire_batch_size(entries, 1), 0);
}
END_TEST

START_TEST(header_verdicts)
{
    uint8_t frame[WIRE_HEADER_SIZE + 3] = {0};
    const struct wire_header header = {.id = UINT64_MAX - 5, .body_size = 3, .type = WIRE_READ};
    wire_write_header(&header, frame);
    struct wire_header read = {.id = 1};
    for (size_t size = 0; size < sizeof(frame); size++) {
        uint8_t *const part = copy(frame, size);
        ck_assert_int_eq(wire_read_header((struct bytes){part, size}, &read), WIRE_NEED_MORE);
        ck_assert_uint_eq(read.id, 1);
        free(part);
    }
    ck_assert_int_eq(wire_read_header((struct bytes){frame, sizeof(frame)}, &read), WIRE_OK);
    ck_assert_uint_eq(read.id, header.id);
    ck_assert_uint_eq(read.body_size, 3);
    ck_assert_int_eq(read.type, WIRE_READ);

    static const struct {
        size_t at;
        uint8_t value;
        enum wire_verdict verdict;
    } cases[] = {{4, 1, WIRE_BAD_VERSION}, {5, 0, WIRE_BAD_TYPE},  {5, 5, WIRE_BAD_TYPE},
                 {5, 63, WIRE_BAD_TYPE},   {5, 69, WIRE_BAD_TYPE}, {6, 1, WIRE_BAD_TYPE},
                 {3, 1, WIRE_TOO_BIG}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t broken[sizeof(frame)];
        memcpy(broken, frame, sizeof(frame));
        broken[cases[i].at] = cases[i].value;
        ck_assert_int_eq(wire_read_header((struct bytes){broken, sizeof(broken)}, &read),
                         cases[i].verdict);
    }
}
END_TEST

START_TEST(page_comes_back)
{
    uint8_t body[512];
    struct wire_page page = {
        .result = WIRE_DONE,
        .more = true,
        .count = 2,
        .stream = {.epoch = 1, .top = 2, .first = 3, .last_time_ms = 4, .keep = {5, 6}}};
    size_t size = WIRE_PAGE_HEAD_SIZE;
    for (uint64_t i = 1; i <= 2; i++) {
        const struct wire_record record = {
            .offset = i, .time_ms = 10 * i, .flags = 5, .value = text(i == 1 ? "" : "two")};
        size += wire_write_record(&record, body + size);
    }
    wire_write_page_head(&page, body);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *const part = copy(body, cut);
        struct wire_page read;
        ck_assert_int_eq(wire_read_page((struct bytes){part, cut}, &read), WIRE_BAD_FRAME);
        free(part);
    }
    struct wire_page read;
    ck_assert_int_eq(wire_read_page((struct bytes){body, size}, &read), WIRE_OK);
    ck_assert(read.more && read.count == 2 && read.stream.last_time_ms == 4 &&
              read.stream.keep.record_ms == 5 && read.stream.keep.position_ms == 6);
    struct wire_record record;
    ck_assert(wire_next_record(&read.records, &record) && record.offset == 1);
    ck_assert(wire_next_record(&read.records, &record) && record.time_ms == 20);
    same(record.value, text("two"));
    ck_assert(!wire_next_record(&read.records, &record));
}
END_TEST

START_TEST(small_ones_come_back)
{
    uint8_t body[1024];
    const struct wire_committed committed = {WIRE_CONFLICT, 17};
    struct wire_committed committed_read;
    size_t size = wire_write_committed(&committed, body);
    ck_assert_int_eq(wire_read_committed((struct bytes){body, size}, &committed_read), WIRE_OK);
    ck_assert(committed_read.result == WIRE_CONFLICT && committed_read.entry == 17);
    body[0] = WIRE_FAILED + 1;
    ck_assert_int_eq(wire_read_committed((struct bytes){body, size}, &committed_read),
                     WIRE_BAD_FRAME);

    const struct wire_read read = {
        .channel = text("c"), .since = 3, .count_max = 4, .bytes_max = 5, .newest = true};
    struct wire_read read_read;
    size = wire_write_read(&read, body);
    ck_assert_int_eq(wire_read_read((struct bytes){body, size}, &read_read), WIRE_OK);
    same(read_read.channel, read.channel);
    ck_assert(read_read.since == 3 && read_read.count_max == 4 && read_read.bytes_max == 5 &&
              read_read.newest);
    ck_assert_int_eq(wire_read_read((struct bytes){body, size - 1}, &read_read), WIRE_BAD_FRAME);
    codec_put_u32(body + 16, 0);
    ck_assert_int_eq(wire_read_read((struct bytes){body, size}, &read_read), WIRE_OK);
    ck_assert(!read_read.newest);
    for (uint32_t order = 1; order <= 3; order += 2) {
        codec_put_u32(body + 16, order);
        ck_assert_int_eq(wire_read_read((struct bytes){body, size}, &read_read), WIRE_BAD_FRAME);
    }
    codec_put_u32(body + 8, WIRE_READ_COUNT_MAX + 1);
    ck_assert_int_eq(wire_read_read((struct bytes){body, size}, &read_read), WIRE_TOO_BIG);

    const struct wire_stats stats = {.streams = 1, .free_bytes = UINT64_MAX};
    struct wire_stats stats_read;
    size = wire_write_stats(&stats, body);
    ck_assert_int_eq(wire_read_stats((struct bytes){body, size}, &stats_read), WIRE_OK);
    ck_assert_int_eq(memcmp(&stats, &stats_read, sizeof(stats)), 0);
}
END_TEST

int main(void)
{
    TCase *const wire = tcase_create("wire");
    tcase_add_test(wire, batch_comes_back);
    tcase_add_test(wire, short_batch_is_refused);
    tcase_add_loop_test(wire, bad_batch_is_refused, 0,
                        (int)(sizeof(batch_cases) / sizeof(batch_cases[0])));
    tcase_add_test(wire, limits_of_a_batch);
    tcase_add_test(wire, header_verdicts);
    tcase_add_test(wire, page_comes_back);
    tcase_add_test(wire, small_ones_come_back);
    Suite *const suite = suite_create("store/wire");
    suite_add_tcase(suite, wire);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
