/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a stream whose publications the test can write itself: which ones are there, their exact
 * text, and that each part is what a page of just that range would say.
 */
#include "chat/page.h"

#include <signal.h>
#include <stdio.h>

#include "chat/publication.h"
#include "chat/stream.h"
#include "core/blob.h"
#include "tests/unit/chat/testing.h"

enum {
    TEXT_MAX = 1 << 16,
    PLENTY = 1 << 20,
};

static struct {
    struct blob_pool *pool;
    struct stream stream;
    struct bytes channel;
} world;

/* The data of an offset: of different sizes, over the borders of the frame header's length. */
static size_t write_data(uint64_t offset, char *target)
{
    static const int sizes[] = {0, 1, 60, 90, 120, 300};
    return (size_t)sprintf(target, "{\"n\":%llu,\"t\":\"%*s\"}", (unsigned long long)offset,
                           sizes[offset % COUNT(sizes)], "");
}

static bool is_from_somebody(uint64_t offset)
{
    return offset % 2 == 0;
}

/* The publication of an offset as a client is to read it. */
static size_t write_expected(uint64_t offset, char *target)
{
    size_t size = (size_t)sprintf(target, "{\"data\":");
    size += write_data(offset, target + size);
    size += (size_t)sprintf(target + size, "%s,\"offset\":%llu}",
                            is_from_somebody(offset) ? ",\"info\":{\"client\":\"c\"}" : "",
                            (unsigned long long)offset);
    return size;
}

static size_t expected_size(uint64_t offset)
{
    char text[1024];
    return write_expected(offset, text);
}

static void publish(uint64_t offset)
{
    char data[1024];
    const struct bytes text = {(const uint8_t *)data, write_data(offset, data)};
    const struct bytes info = view(is_from_somebody(offset) ? "{\"client\":\"c\"}" : "");
    struct blob *blob = publication_create(
        world.pool,
        &(struct publication_source){.channel = world.channel, .data = text, .info = info});
    ck_assert_ptr_nonnull(blob);
    publication_finish(blob, world.channel, offset);
    ck_assert_int_eq(stream_reserve(&world.stream), 0);
    stream_append(&world.stream, blob, 0);
    blob_drop(blob, world.pool);
}

/* A channel of that name with [first, top]. */
static void open_world(const char *name, uint64_t first, uint64_t top)
{
    memset(&world, 0, sizeof(world));
    world.channel = view(name);
    world.pool = blob_pool_create(1 << 24);
    ck_assert_ptr_nonnull(world.pool);
    for (uint64_t offset = 1; offset <= top; offset++) {
        publish(offset);
    }
    stream_drop_before(&world.stream, first, world.pool);
}

static void close_world(void)
{
    stream_drop_before(&world.stream, world.stream.top + 1, world.pool);
    ck_assert_uint_eq(blob_pool_count(world.pool), 0);
    blob_pool_destroy(world.pool);
}

static struct blob *new_page(uint64_t from, uint64_t to, enum page_order order, uint32_t count_max,
                             uint32_t bytes_max)
{
    const struct page_range range = {from, to, order, count_max, bytes_max};
    struct blob *page = page_create(world.pool, &world.stream, world.channel, &range);
    ck_assert_ptr_nonnull(page);
    ck_assert_uint_eq(page->begin, 0);
    ck_assert_uint_le(page->end, page->capacity);
    return page;
}

/* `count` publications from `offset` on, joined by commas; falling if `step` is -1. */
static void says(struct bytes text, uint64_t offset, uint32_t count, int step)
{
    static char expected[TEXT_MAX];
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            expected[size++] = ',';
        }
        size += write_expected(offset, expected + size);
        offset += (uint64_t)step;
        ck_assert_uint_lt(size, TEXT_MAX - 1024);
    }
    ck_assert_uint_eq(text.size, size);
    ck_assert(size == 0 || memcmp(text.data, expected, size) == 0);
}

static void has(const struct blob *page, uint64_t first, uint32_t count, enum page_order order)
{
    ck_assert_uint_eq(page_count(page), count);
    ck_assert_uint_eq(page_first(page), first);
    ck_assert_uint_eq(page_top(page), world.stream.top);
    if (order == PAGE_REVERSE) {
        says(page_text(page), first + count - 1, count, -1);
    } else {
        says(page_text(page), first, count, 1);
    }
}

/* -- which ones -------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    uint64_t from;
    uint64_t to;
    enum page_order order;
    uint32_t count_max;
    uint64_t first;
    uint32_t count;
} ranges[] = {
    {"all", 3, 12, PAGE_FORWARD, 100, 3, 10},
    {"all, falling", 3, 12, PAGE_REVERSE, 100, 3, 10},
    {"exactly as many as may be", 3, 12, PAGE_FORWARD, 10, 3, 10},
    {"one too many: the newest is left out", 3, 12, PAGE_FORWARD, 9, 3, 9},
    {"one too many, falling: the oldest", 3, 12, PAGE_REVERSE, 9, 4, 9},
    {"one", 3, 12, PAGE_FORWARD, 1, 3, 1},
    {"one, falling", 3, 12, PAGE_REVERSE, 1, 12, 1},
    {"none may be", 3, 12, PAGE_FORWARD, 0, 3, 0},
    {"none may be, falling", 3, 12, PAGE_REVERSE, 0, 13, 0},
    {"a part", 5, 7, PAGE_FORWARD, 100, 5, 3},
    {"a part, falling", 5, 7, PAGE_REVERSE, 2, 6, 2},
    {"one that is asked for", 8, 8, PAGE_REVERSE, 5, 8, 1},
    {"nothing at the end", 13, 12, PAGE_FORWARD, 5, 13, 0},
    {"nothing at the end, falling", 13, 12, PAGE_REVERSE, 5, 13, 0},
    {"nothing at the begin", 3, 2, PAGE_FORWARD, 5, 3, 0},
    {"nothing in between", 7, 6, PAGE_FORWARD, 5, 7, 0},
    {"nothing in between, falling", 7, 6, PAGE_REVERSE, 5, 7, 0},
    {"nothing of nothing yet", 1, 0, PAGE_FORWARD, 5, 1, 0},
};

START_TEST(has_what_was_asked_for)
{
    open_world("lobby", 3, 12);
    struct blob *page =
        new_page(ranges[_i].from, ranges[_i].to, ranges[_i].order, ranges[_i].count_max, PLENTY);
    ck_assert_msg(page_count(page) == ranges[_i].count && page_first(page) == ranges[_i].first,
                  "%s: %u from %llu", ranges[_i].why, page_count(page),
                  (unsigned long long)page_first(page));
    has(page, ranges[_i].first, ranges[_i].count, ranges[_i].order);
    blob_drop(page, world.pool);
    close_world();
}
END_TEST

/* As a client reads it: once written out, so that nothing is proved with its own code only. */
START_TEST(says_this)
{
    open_world("lobby", 1, 7);
    struct blob *page = new_page(6, 7, PAGE_FORWARD, 9, PLENTY);
    ck_assert(is_text(page_text(page),
                      "{\"data\":{\"n\":6,\"t\":\"\"},\"info\":{\"client\":\"c\"},\"offset\":6},"
                      "{\"data\":{\"n\":7,\"t\":\" \"},\"offset\":7}"));
    blob_drop(page, world.pool);
    page = new_page(6, 7, PAGE_REVERSE, 9, PLENTY);
    ck_assert(is_text(page_text(page),
                      "{\"data\":{\"n\":7,\"t\":\" \"},\"offset\":7},"
                      "{\"data\":{\"n\":6,\"t\":\"\"},\"info\":{\"client\":\"c\"},\"offset\":6}"));
    blob_drop(page, world.pool);
    close_world();
}
END_TEST

/* The channel's name stands around each publication, escaped; the page has none of it. */
START_TEST(names_with_escapes)
{
    static const char *const names[] = {"a",          "a\"b\\c",      "\"", "\\\\\\\\",
                                        "ns:room#1$", "{\"data\":1}", "\t"};
    for (int i = 0; i < COUNT(names); i++) {
        open_world(names[i], 1, 12);
        for (int order = PAGE_FORWARD; order <= PAGE_REVERSE; order++) {
            struct blob *page = new_page(1, 12, (enum page_order)order, 12, PLENTY);
            has(page, 1, 12, (enum page_order)order);
            blob_drop(page, world.pool);
        }
        close_world();
    }
}
END_TEST

/* -- bytes ------------------------------------------------------------------------------------- */

/* How many fit is counted here by hand, for every maximum up to more than enough. */
START_TEST(has_a_maximum_of_bytes)
{
    const enum page_order order = (enum page_order)_i;
    open_world("lobby", 2, 9);
    for (uint32_t bytes_max = 0; bytes_max < 1600; bytes_max++) {
        uint32_t count = 0;
        size_t size = 0;
        while (count < 8) {
            const uint64_t next = order == PAGE_FORWARD ? 2 + count : 9 - count;
            size += expected_size(next) + (count > 0 ? 1 : 0);
            if (count > 0 && size > bytes_max) {
                break; /* the first one is there whatever its size is: else nobody gets on */
            }
            count++;
        }
        struct blob *page = new_page(2, 9, order, 100, bytes_max);
        has(page, order == PAGE_FORWARD ? 2 : 10 - count, count, order);
        ck_assert(count == 1 || page_text(page).size <= bytes_max);
        blob_drop(page, world.pool);
    }
    struct blob *all = new_page(2, 9, order, 100, 1600);
    ck_assert_uint_eq(page_count(all), 8);
    blob_drop(all, world.pool);
    close_world();
}
END_TEST

START_TEST(no_memory)
{
    open_world("lobby", 1, 20);
    struct blob_pool *small = blob_pool_create(1024);
    ck_assert_ptr_nonnull(small);
    const struct page_range all = {1, 20, PAGE_FORWARD, 100, PLENTY};
    const struct page_range one = {1, 1, PAGE_FORWARD, 100, PLENTY};
    ck_assert_ptr_null(page_create(small, &world.stream, world.channel, &all));
    struct blob *page = page_create(small, &world.stream, world.channel, &one);
    ck_assert_ptr_nonnull(page);
    has(page, 1, 1, PAGE_FORWARD);
    blob_drop(page, small);
    ck_assert_uint_eq(blob_pool_count(small), 0);
    blob_pool_destroy(small);
    close_world();
}
END_TEST

/* -- parts ------------------------------------------------------------------------------------- */

START_TEST(every_part)
{
    open_world("a\"b", 3, 17);
    struct blob *page = new_page(3, 17, PAGE_FORWARD, 12, PLENTY);
    const uint64_t first = 3;
    const uint64_t last = 14;
    for (uint64_t from = first; from <= last + 1; from++) {
        for (uint64_t to = from - 1; to <= last; to++) {
            says(page_part(page, from, to), from, (uint32_t)(to + 1 - from), 1);
        }
    }
    blob_drop(page, world.pool);

    /* Of nothing there is nothing. */
    page = new_page(18, 17, PAGE_FORWARD, 12, PLENTY);
    ck_assert_uint_eq(page_part(page, 18, 17).size, 0);
    blob_drop(page, world.pool);
    close_world();
}
END_TEST

static const struct {
    const char *why;
    enum page_order order;
    uint64_t from;
    uint64_t to;
} no_parts[] = {
    {"begins before it", PAGE_FORWARD, 2, 5},  {"ends behind it", PAGE_FORWARD, 3, 8},
    {"is behind it", PAGE_FORWARD, 8, 8},      {"ends before its begin", PAGE_FORWARD, 6, 4},
    {"of one that falls", PAGE_REVERSE, 3, 5},
};

START_TEST(what_is_not_in_it_is_a_bug)
{
    open_world("lobby", 1, 9);
    struct blob *page = new_page(3, 7, no_parts[_i].order, 9, PLENTY);
    const struct bytes part = page_part(page, no_parts[_i].from, no_parts[_i].to);
    ck_abort_msg("%s: %zu bytes", no_parts[_i].why, part.size);
}
END_TEST

int main(void)
{
    TCase *page = tcase_create("page");
    tcase_add_loop_test(page, has_what_was_asked_for, 0, COUNT(ranges));
    tcase_add_test(page, says_this);
    tcase_add_test(page, names_with_escapes);
    tcase_add_loop_test(page, has_a_maximum_of_bytes, PAGE_FORWARD, PAGE_REVERSE + 1);
    tcase_add_test(page, no_memory);
    tcase_add_test(page, every_part);
    tcase_add_loop_test_raise_signal(page, what_is_not_in_it_is_a_bug, SIGABRT, 0, COUNT(no_parts));
    Suite *suite = suite_create("chat/page");
    suite_add_tcase(suite, page);
    return run_suite(suite);
}
