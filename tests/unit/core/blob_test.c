/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobs: sizes and limits from a table, the count at home, then three threads: one makes blobs and
 * sends shares through rings, two read and drop them, in changing order with the maker's own drop.
 * Each blob holds a pattern that a reuse before its time would break. Under ThreadSanitizer the
 * reads against the reuse are what is tested. Everything is bounded, and at the end nothing lives.
 */
#include "core/blob.h"

#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"
#include "core/ring.h"
#include "core/thread.h"

static const struct {
    const char *why;
    size_t capacity;
    size_t bytes; /* what the pool counts, header included */
} sizes[] = {
    {"empty", 0, 128},
    {"the smallest class is full", 96, 128},
    {"one more", 97, 256},
    {"a chat message", 400, 512},
    {"the largest class is full", 4064, 4096},
    {"above the classes: exact", 4065, 4097},
    {"large", 65536, 65568},
};

START_TEST(counts_bytes)
{
    struct blob_pool *pool = blob_pool_create(1 << 20);
    for (size_t round = 0; round < 2; round++) { /* new, then from the free list */
        struct blob *blob = blob_create(pool, sizes[_i].capacity);
        ck_assert_ptr_nonnull(blob);
        ck_assert_uint_ge(blob->capacity, sizes[_i].capacity);
        ck_assert_uint_eq(blob->begin, 0);
        ck_assert_uint_eq(blob->end, 0);
        ck_assert_uint_eq(blob_bytes(blob).size, 0);
        memset(blob->data, 'x', blob->capacity);
        ck_assert_uint_eq(blob_pool_count(pool), 1);
        ck_assert_msg(blob_pool_bytes(pool) == sizes[_i].bytes, "%s", sizes[_i].why);
        blob_drop(blob, pool);
        ck_assert_uint_eq(blob_pool_count(pool), 0);
        ck_assert_uint_eq(blob_pool_bytes(pool), 0);
    }
    blob_pool_destroy(pool);
}
END_TEST

START_TEST(stops_at_the_maximum)
{
    struct blob_pool *pool = blob_pool_create(1024);
    ck_assert_ptr_null(blob_create(pool, 1024)); /* the header does not fit */
    ck_assert_ptr_null(blob_create(pool, SIZE_MAX));
    ck_assert_ptr_null(blob_create(pool, UINT32_MAX));
    struct blob *half = blob_create(pool, 480);
    struct blob *rest = blob_create(pool, 480);
    ck_assert_ptr_nonnull(half);
    ck_assert_ptr_nonnull(rest);
    ck_assert_ptr_null(blob_create(pool, 0));
    ck_assert_uint_eq(blob_pool_count(pool), 2);
    blob_drop(half, pool);
    half = blob_create(pool, 400);
    ck_assert_ptr_nonnull(half);
    blob_drop(half, pool);
    blob_drop(rest, pool);
    blob_pool_destroy(pool);
}
END_TEST

START_TEST(views_what_is_valid)
{
    struct blob_pool *pool = blob_pool_create(4096);
    struct blob *blob = blob_create(pool, 64);
    memcpy(blob->data + 10, "hello", 5);
    blob->begin = 10;
    blob->end = 15;
    ck_assert_uint_eq(blob_bytes(blob).size, 5);
    ck_assert_mem_eq(blob_bytes(blob).data, "hello", 5);
    blob_drop(blob, pool);
    blob_pool_destroy(pool);
}
END_TEST

START_TEST(last_share_elsewhere_comes_home)
{
    struct blob_pool *home = blob_pool_create(4096);
    struct blob_pool *other = blob_pool_create(4096);
    struct blob *first = blob_create(home, 10);
    struct blob *second = blob_create(home, 10);
    blob_share(first, 2);
    blob_drop(first, other);
    blob_drop(first, home);
    ck_assert_uint_eq(blob_pool_count(home), 2);
    ck_assert_uint_eq(blob_pool_collect(home), 0);
    blob_drop(first, other);
    blob_drop(second, NULL); /* a thread without a pool */
    /* Until it is collected it counts: the memory is not there yet. */
    ck_assert_uint_eq(blob_pool_count(home), 2);
    ck_assert_uint_eq(blob_pool_collect(other), 0);
    ck_assert_uint_eq(blob_pool_collect(home), 2);
    ck_assert_uint_eq(blob_pool_count(home), 0);
    ck_assert_uint_eq(blob_pool_collect(home), 0);
    blob_pool_destroy(home);
    blob_pool_destroy(other);
}
END_TEST

START_TEST(free_lists_are_bounded)
{
    enum { COUNT = 1000, BYTES = COUNT * 4096 };
    static struct blob *blobs[COUNT];
    struct blob_pool *pool = blob_pool_create(BYTES);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            blobs[i] = blob_create(pool, 4000);
            ck_assert_ptr_nonnull(blobs[i]);
        }
        ck_assert_uint_eq(blob_pool_bytes(pool), BYTES);
        for (size_t i = 0; i < COUNT; i++) {
            blob_drop(blobs[i], pool);
        }
    }
    blob_pool_destroy(pool); /* LeakSanitizer sees what both free lists and malloc forgot */
}
END_TEST

START_TEST(refuses_to_die_with_children)
{
    struct blob_pool *pool = blob_pool_create(4096);
    struct blob *blob = blob_create(pool, 10);
    ck_assert_ptr_nonnull(blob);
    blob_pool_destroy(pool);
}
END_TEST

START_TEST(refuses_a_drop_too_many)
{
    struct blob_pool *pool = blob_pool_create(4096);
    struct blob *blob = blob_create(pool, 10);
    blob_drop(blob, pool); /* now on the free list: still our memory */
    blob_drop(blob, pool);
}
END_TEST

/* --- Three threads ---------------------------------------------------------------------------- */

/* Where others keep the cores busy each turn takes as long as they let it, so there are fewer. */
enum {
    STRESS_COUNT = 60000, /* blobs */
    STRESS_S = 40,
    READER_COUNT = 2,
    RING_SLOTS = 64,
    PATTERN_SIZE_MAX = 200,
};

union slot {
    struct blob *blob; /* NULL: the end */
    uint8_t bytes[RING_SLOT_SIZE];
};

struct reader {
    struct ring *ring;
    struct blob_pool *pool;
    struct thread thread;
    uint64_t read;
    uint64_t wrong;
};

static bool pattern_holds(const struct blob *blob)
{
    const struct bytes in = blob_bytes(blob);
    for (size_t i = 0; i < in.size; i++) {
        if (in.data[i] != (uint8_t)(in.data[0] + i)) {
            return false;
        }
    }
    return in.size > 0;
}

static void read_blobs(void *context)
{
    struct reader *reader = context;
    union slot slot;
    for (;;) {
        if (ring_take(reader->ring, &slot, 1) == 0) {
            (void)sched_yield();
            continue;
        }
        if (slot.blob == NULL) {
            return;
        }
        reader->wrong += pattern_holds(slot.blob) ? 0 : 1;
        reader->read++;
        blob_drop(slot.blob, reader->pool);
    }
}

static void send_slot(struct ring *ring, struct blob *blob)
{
    union slot slot;
    memset(&slot, 0, sizeof(slot));
    slot.blob = blob;
    while (!ring_put(ring, &slot)) {
        (void)sched_yield();
    }
    (void)ring_publish(ring); /* there is something: it was put above */
}

static struct blob *create_pattern(struct blob_pool *pool, uint64_t random)
{
    struct blob *blob = blob_create(pool, PATTERN_SIZE_MAX);
    while (blob == NULL) { /* at the maximum: the readers will give some back */
        (void)sched_yield();
        (void)blob_pool_collect(pool);
        blob = blob_create(pool, PATTERN_SIZE_MAX);
    }
    blob->begin = (uint32_t)(random >> 32) % 16;
    blob->end = blob->begin + 1 + (uint32_t)(random >> 40) % (PATTERN_SIZE_MAX - 16);
    for (uint32_t i = blob->begin; i < blob->end; i++) {
        blob->data[i] = (uint8_t)(random + i - blob->begin);
    }
    return blob;
}

static void start_readers(struct reader *readers)
{
    for (size_t i = 0; i < READER_COUNT; i++) {
        readers[i].ring = ring_create(RING_SLOTS);
        readers[i].pool = blob_pool_create(1024);
        ck_assert_int_eq(
            thread_start("reader", THREAD_NOT_PINNED, read_blobs, &readers[i], &readers[i].thread),
            0);
    }
}

START_TEST(three_threads)
{
    struct reader readers[READER_COUNT] = {{0}};
    struct blob_pool *home = blob_pool_create(15360); /* sometimes at its maximum */
    start_readers(readers);
    const uint64_t end_ns = monotime_read() + STRESS_S * MONOTIME_NS_PER_S;
    uint64_t random = 88172645463325252;
    size_t count = 0;
    for (; count < STRESS_COUNT && monotime_read() < end_ns; count++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        struct blob *blob = create_pattern(home, random);
        blob_share(blob, READER_COUNT);
        const bool drop_first = random >> 63 != 0;
        if (drop_first) {
            blob_drop(blob, home);
        }
        for (size_t reader = 0; reader < READER_COUNT; reader++) {
            send_slot(readers[reader].ring, blob);
        }
        if (!drop_first) {
            blob_drop(blob, home);
        }
        (void)blob_pool_collect(home); /* the count is checked at the end */
    }
    for (size_t i = 0; i < READER_COUNT; i++) {
        send_slot(readers[i].ring, NULL);
        thread_join(&readers[i].thread);
        ck_assert_uint_eq(readers[i].read, count);
        ck_assert_uint_eq(readers[i].wrong, 0);
        ring_destroy(readers[i].ring);
        blob_pool_destroy(readers[i].pool);
    }
    (void)blob_pool_collect(home); /* how many is left to chance */
    ck_assert_uint_eq(blob_pool_count(home), 0);
    ck_assert_uint_eq(blob_pool_bytes(home), 0);
    blob_pool_destroy(home);
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, counts_bytes, 0, (int)(sizeof(sizes) / sizeof(sizes[0])));
    tcase_add_test(rules, stops_at_the_maximum);
    tcase_add_test(rules, views_what_is_valid);
    tcase_add_test(rules, last_share_elsewhere_comes_home);
    tcase_add_test(rules, free_lists_are_bounded);
    tcase_add_test_raise_signal(rules, refuses_to_die_with_children, SIGABRT);
    tcase_add_test_raise_signal(rules, refuses_a_drop_too_many, SIGABRT);
    TCase *stress = tcase_create("stress");
    tcase_set_timeout(stress, 120);
    tcase_add_test(stress, three_threads);
    Suite *suite = suite_create("core/blob");
    suite_add_tcase(suite, rules);
    suite_add_tcase(suite, stress);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
