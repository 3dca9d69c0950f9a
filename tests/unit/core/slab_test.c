/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slab: a table of object sizes for layout and alignment, then the rules of slots and
 * generations, and long random takes and gives compared with a plain array.
 */
#include "core/slab.h"

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *why;
    size_t object_size;
    size_t alignment;
    uint32_t count;
} layouts[] = {
    {"smaller than its free link", 1, 8, 9000}, {"rounded up to 8", 12, 8, 9000},
    {"a multiple of 16", 112, 16, 2000},        {"a cache line", 64, 64, 5000},
    {"one object per chunk", 60000, 32, 5},     {"larger than a chunk", 200000, 64, 3},
};

static bool is_zero(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0) {
            return false;
        }
    }
    return true;
}

START_TEST(lays_out)
{
    const size_t size = layouts[_i].object_size;
    const uint32_t count = layouts[_i].count;
    struct slab *slab = slab_create(size, count);
    uint8_t **objects = calloc(count, sizeof(*objects));
    ck_assert_ptr_nonnull(slab);
    ck_assert_ptr_nonnull(objects);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = UINT32_MAX;
        objects[i] = slab_take(slab, &slot);
        ck_assert_msg(objects[i] != NULL, "%s", layouts[_i].why);
        ck_assert_uint_eq(slot, i);
        ck_assert_uint_eq((uintptr_t)objects[i] % layouts[_i].alignment, 0);
        ck_assert(is_zero(objects[i], size));
        memset(objects[i], (int)(i % 251) + 1, size);
    }
    /* Nobody wrote into a neighbour, and nothing moved. */
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_ptr_eq(slab_at(slab, i), objects[i]);
        ck_assert_uint_eq(objects[i][0], i % 251 + 1);
        ck_assert_uint_eq(objects[i][size - 1], i % 251 + 1);
    }
    /* 4 bytes per object, plus the unfilled end of one chunk and the array of chunks. */
    const size_t rounded = (size + 7) / 8 * 8;
    const size_t objects_and_marks = count * (rounded + 4);
    const size_t chunk_max = rounded < 65536 ? 65536 : rounded + 128;
    ck_assert_uint_le(slab_bytes(slab), objects_and_marks + chunk_max + 4096);
    free(objects);
    slab_destroy(slab);
}
END_TEST

START_TEST(stops_at_the_maximum)
{
    struct slab *slab = slab_create(24, 3);
    uint32_t slot = 0;
    for (size_t i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(slab_take(slab, &slot));
    }
    slot = 77;
    ck_assert_ptr_null(slab_take(slab, &slot));
    ck_assert_uint_eq(slot, 77);
    ck_assert_uint_eq(slab_count(slab), 3);
    slab_give(slab, 1);
    ck_assert_uint_eq(slab_count(slab), 2);
    ck_assert_ptr_nonnull(slab_take(slab, &slot));
    ck_assert_uint_eq(slot, 1);
    slab_destroy(slab);
}
END_TEST

START_TEST(reuses_the_last_one_first)
{
    struct slab *slab = slab_create(16, 10);
    uint32_t slot = 0;
    for (size_t i = 0; i < 5; i++) {
        ck_assert_ptr_nonnull(slab_take(slab, &slot));
    }
    slab_give(slab, 3);
    slab_give(slab, 0);
    slab_give(slab, 4);
    static const uint32_t expected[] = {4, 0, 3, 5};
    for (size_t i = 0; i < 4; i++) {
        uint8_t *object = slab_take(slab, &slot);
        ck_assert_uint_eq(slot, expected[i]);
        ck_assert(is_zero(object, 16));
    }
    ck_assert_uint_eq(slab_slot_end(slab), 6);
    slab_destroy(slab);
}
END_TEST

START_TEST(finds_by_generation_only)
{
    struct slab *slab = slab_create(32, 4);
    uint32_t slot = 0;
    void *object = slab_take(slab, &slot);
    const uint16_t first = slab_generation(slab, slot);
    ck_assert_uint_ne(first, 0);
    ck_assert_ptr_eq(slab_find(slab, slot, first), object);
    ck_assert_ptr_null(slab_find(slab, slot, (uint16_t)(first + 1)));
    ck_assert_ptr_null(slab_find(slab, slot, 0));
    ck_assert_ptr_null(slab_find(slab, slot + 1, first));
    ck_assert_ptr_null(slab_find(slab, UINT32_MAX, first));

    slab_give(slab, slot);
    ck_assert_ptr_null(slab_at(slab, slot));
    ck_assert_ptr_null(slab_find(slab, slot, first));
    ck_assert_ptr_null(slab_find(slab, slot, (uint16_t)(first + 1)));
    /* 0 names nobody, although it is what a free slot's generation reads as. */
    ck_assert_uint_eq(slab_generation(slab, slot), 0);
    ck_assert_ptr_null(slab_find(slab, slot, 0));

    object = slab_take(slab, &slot);
    ck_assert_ptr_null(slab_find(slab, slot, first));
    ck_assert_ptr_eq(slab_find(slab, slot, slab_generation(slab, slot)), object);
    slab_destroy(slab);
}
END_TEST

START_TEST(generation_skips_zero_when_it_comes_round)
{
    struct slab *slab = slab_create(8, 1);
    uint32_t slot = 0;
    ck_assert_ptr_nonnull(slab_take(slab, &slot));
    const uint16_t first = slab_generation(slab, slot);
    for (size_t i = 0; i < UINT16_MAX; i++) {
        slab_give(slab, slot);
        ck_assert_ptr_nonnull(slab_take(slab, &slot));
        ck_assert_uint_ne(slab_generation(slab, slot), 0);
    }
    ck_assert_uint_eq(slab_generation(slab, slot), first);
    slab_destroy(slab);
}
END_TEST

enum { RANDOM_COUNT_MAX = 3000, RANDOM_STEPS = 200000 };

START_TEST(random_takes_and_gives)
{
    struct slab *slab = slab_create(40, RANDOM_COUNT_MAX);
    static uint32_t slots[RANDOM_COUNT_MAX];
    static uint64_t marks[RANDOM_COUNT_MAX];
    size_t live = 0;
    uint64_t random = 88172645463325252;
    for (uint64_t step = 1; step <= RANDOM_STEPS; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        /* Waves: mostly up for a while, then mostly down. */
        const bool up = random % 8 < (step / 20000 % 2 == 0 ? 6U : 2U);
        if (up) {
            uint32_t slot = 0;
            uint64_t *object = slab_take(slab, &slot);
            ck_assert_int_eq(object == NULL, live == RANDOM_COUNT_MAX);
            if (object != NULL) {
                ck_assert_uint_eq(object[0], 0);
                ck_assert_uint_eq(object[4], 0);
                object[0] = step;
                object[4] = step;
                slots[live] = slot;
                marks[live] = step;
                live++;
            }
        } else if (live > 0) {
            const size_t victim = (size_t)(random >> 16) % live;
            const uint64_t *object = slab_at(slab, slots[victim]);
            ck_assert_ptr_nonnull(object);
            ck_assert_uint_eq(object[0], marks[victim]);
            ck_assert_uint_eq(object[4], marks[victim]);
            slab_give(slab, slots[victim]);
            live--;
            slots[victim] = slots[live];
            marks[victim] = marks[live];
        }
        ck_assert_uint_eq(slab_count(slab), live);
    }
    size_t visited = 0;
    for (uint32_t slot = 0; slot < slab_slot_end(slab); slot++) {
        visited += slab_at(slab, slot) != NULL ? 1 : 0;
    }
    ck_assert_uint_eq(visited, live);
    slab_destroy(slab);
}
END_TEST

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#endif

#if defined(FULL_CHECKS) && !defined(HAS_ASAN)
static const int stale_byte = 0xa5;
#else
static const int stale_byte = -1; /* not filled, or not ours to look at: ASan forbids it */
#endif

START_TEST(freed_memory_is_stale)
{
    struct slab *slab = slab_create(64, 2);
    uint32_t slot = 0;
    uint8_t *object = slab_take(slab, &slot);
    memset(object, 'x', 64);
    slab_give(slab, slot);
    if (stale_byte >= 0) {
        /* The first bytes link the free list. */
        for (size_t i = 4; i < 64; i++) {
            ck_assert_int_eq(((const volatile uint8_t *)object)[i], stale_byte);
        }
    }
    ck_assert(is_zero(slab_take(slab, &slot), 64));
    slab_destroy(slab);
}
END_TEST

START_TEST(refuses_to_give_twice)
{
    struct slab *slab = slab_create(8, 2);
    uint32_t slot = 0;
    ck_assert_ptr_nonnull(slab_take(slab, &slot));
    slab_give(slab, slot);
    slab_give(slab, slot);
}
END_TEST

START_TEST(refuses_to_give_what_never_was)
{
    struct slab *slab = slab_create(8, 2);
    slab_give(slab, 0);
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("rules");
    tcase_add_loop_test(rules, lays_out, 0, (int)(sizeof(layouts) / sizeof(layouts[0])));
    tcase_add_test(rules, stops_at_the_maximum);
    tcase_add_test(rules, reuses_the_last_one_first);
    tcase_add_test(rules, finds_by_generation_only);
    tcase_add_test(rules, generation_skips_zero_when_it_comes_round);
    tcase_add_test(rules, random_takes_and_gives);
    tcase_add_test(rules, freed_memory_is_stale);
    tcase_add_test_raise_signal(rules, refuses_to_give_twice, SIGABRT);
    tcase_add_test_raise_signal(rules, refuses_to_give_what_never_was, SIGABRT);
    Suite *suite = suite_create("core/slab");
    suite_add_tcase(suite, rules);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
