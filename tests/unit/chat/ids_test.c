/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles are equal when every part is; homes are in range, used evenly, and taken from the upper
 * half of the hash, because tables use the lower one.
 */
#include "chat/ids.h"

#include "tests/unit/chat/testing.h"

START_TEST(handles_differ_in_each_part)
{
    const struct ids_handle one = {.slot = 7, .generation = 8, .reactor = 9};
    const struct ids_handle others[] = {
        {.slot = 6, .generation = 8, .reactor = 9},
        {.slot = 7, .generation = 9, .reactor = 9},
        {.slot = 7, .generation = 8, .reactor = 8},
    };

    ck_assert(ids_handle_equal(one, (struct ids_handle){7, 8, 9}));
    for (int i = 0; i < COUNT(others); i++) {
        ck_assert(!ids_handle_equal(one, others[i]));
        ck_assert(!ids_handle_equal(others[i], one));
    }
}
END_TEST

START_TEST(homes_at_the_ends)
{
    static const uint16_t counts[] = {1, 2, 3, 7, 64, 1000, UINT16_MAX};
    for (int i = 0; i < COUNT(counts); i++) {
        ck_assert_uint_eq(ids_home_of(0, counts[i]), 0);
        ck_assert_uint_eq(ids_home_of(UINT32_MAX, counts[i]), 0); /* the lower half says nothing */
        ck_assert_uint_eq(ids_home_of(UINT64_MAX, counts[i]), counts[i] - 1);
    }
    ck_assert_uint_eq(ids_home_of(UINT64_C(0x7fffffffffffffff), 2), 0);
    ck_assert_uint_eq(ids_home_of(UINT64_C(0x8000000000000000), 2), 1);
}
END_TEST

START_TEST(homes_are_used_evenly)
{
    enum { HASHES_PER_HOME = 1000 };
    uint64_t state = 88172645463325252;

    for (uint16_t count = 1; count <= 24; count++) {
        uint32_t used[24] = {0};
        for (int i = 0; i < HASHES_PER_HOME * count; i++) {
            const uint16_t home = ids_home_of(chance(&state), count);
            ck_assert_uint_lt(home, count);
            used[home]++;
        }
        for (uint16_t home = 0; home < count; home++) {
            ck_assert_uint_gt(used[home], HASHES_PER_HOME * 8 / 10);
            ck_assert_uint_lt(used[home], HASHES_PER_HOME * 12 / 10);
        }
    }
}
END_TEST

int main(void)
{
    TCase *ids = tcase_create("ids");
    tcase_add_test(ids, handles_differ_in_each_part);
    tcase_add_test(ids, homes_at_the_ends);
    tcase_add_test(ids, homes_are_used_evenly);
    Suite *suite = suite_create("chat/ids");
    suite_add_tcase(suite, ids);
    return run_suite(suite);
}
