/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sequence_take: a table of short stories, and random permutations with drops and duplicates
 * against a model that remembers every number.
 */
#include "bench/load/sequence.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *why;
    uint32_t numbers[6];
    uint32_t count;
    enum sequence_verdict last;
    int64_t skipped;
} stories[] = {
    {"the first", {0}, 1, SEQUENCE_IN_ORDER, 0},
    {"in order", {0, 1, 2}, 3, SEQUENCE_IN_ORDER, 0},
    {"the first is missing", {1}, 1, SEQUENCE_AFTER_GAP, 1},
    {"two are missing", {0, 3}, 2, SEQUENCE_AFTER_GAP, 2},
    {"one comes late", {0, 2, 1}, 3, SEQUENCE_LATE, 0},
    {"late, and then in order", {0, 2, 1, 3}, 4, SEQUENCE_IN_ORDER, 0},
    {"late twice", {0, 2, 1, 1}, 4, SEQUENCE_DUPLICATE, 0},
    {"at once again", {0, 0}, 2, SEQUENCE_DUPLICATE, 0},
    {"later again", {0, 1, 2, 0}, 4, SEQUENCE_DUPLICATE, 0},
    {"a gap of 63, and its oldest", {63, 0}, 2, SEQUENCE_LATE, 0},
    {"a gap of 64: the oldest is forgotten", {64, 0}, 2, SEQUENCE_DUPLICATE, 0},
    {"a gap of 1000, its newest", {1000, 999}, 2, SEQUENCE_LATE, 0},
    {"behind a gap of 1000", {1000, 1000}, 2, SEQUENCE_DUPLICATE, 0},
};

START_TEST(tells_the_story)
{
    struct sequence sequence = {0};
    enum sequence_verdict verdict = SEQUENCE_IN_ORDER;
    int64_t skipped = 77;

    for (uint32_t i = 0; i < stories[_i].count; i++) {
        verdict = sequence_take(&sequence, stories[_i].numbers[i], &skipped);
    }
    ck_assert_msg(verdict == stories[_i].last, "%s", stories[_i].why);
    ck_assert_msg(skipped == stories[_i].skipped, "%s: %lld", stories[_i].why, (long long)skipped);
}
END_TEST

START_TEST(begins_in_the_middle)
{
    struct sequence sequence = {0};
    int64_t skipped;
    sequence_open(&sequence);
    ck_assert_int_eq(sequence_take(&sequence, 1000, &skipped), SEQUENCE_IN_ORDER);
    ck_assert_int_eq(skipped, 1000);
    ck_assert_int_eq(sequence_take(&sequence, 999, &skipped), SEQUENCE_DUPLICATE);
    ck_assert_int_eq(sequence_take(&sequence, 1002, &skipped), SEQUENCE_AFTER_GAP);
    ck_assert_int_eq(skipped, 1);
}
END_TEST

/* What it knows to have missed is no gap, and what it had before is one too many. */
START_TEST(goes_on_behind_what_it_knows_to_have_missed)
{
    struct sequence sequence = {0};
    int64_t skipped;
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_int_eq(sequence_take(&sequence, i, &skipped), SEQUENCE_IN_ORDER);
    }
    sequence_open(&sequence);
    ck_assert_int_eq(sequence_take(&sequence, 4, &skipped), SEQUENCE_DUPLICATE);
    ck_assert_int_eq(sequence_take(&sequence, 8, &skipped), SEQUENCE_IN_ORDER);
    ck_assert_int_eq(skipped, 3);
    ck_assert_int_eq(sequence_take(&sequence, 9, &skipped), SEQUENCE_IN_ORDER);
    ck_assert_int_eq(skipped, 0);
    ck_assert_int_eq(sequence_take(&sequence, 7, &skipped), SEQUENCE_DUPLICATE);
}
END_TEST

/* What is excused is not counted again when it is skipped, and counts again when it comes. */
START_TEST(excuses_once)
{
    struct sequence sequence = {0};
    int64_t skipped;
    ck_assert_int_eq(sequence_take(&sequence, 0, &skipped), SEQUENCE_IN_ORDER);
    ck_assert_uint_eq(sequence_excuse(&sequence, 1), 0);
    ck_assert_uint_eq(sequence_excuse(&sequence, 4), 3);
    ck_assert_uint_eq(sequence_excuse(&sequence, 6), 2);
    ck_assert_uint_eq(sequence_excuse(&sequence, 5), 0);
    ck_assert_int_eq(sequence_take(&sequence, 0, &skipped), SEQUENCE_DUPLICATE);

    struct sequence later = sequence;
    ck_assert_int_eq(sequence_take(&sequence, 4, &skipped), SEQUENCE_IN_ORDER);
    ck_assert_int_eq(skipped, -2); /* 1 to 3 are lost; 4 is there, and 5 may be */
    ck_assert_int_eq(sequence_take(&sequence, 5, &skipped), SEQUENCE_IN_ORDER);
    ck_assert_int_eq(skipped, 0);
    ck_assert_int_eq(sequence_take(&later, 8, &skipped), SEQUENCE_IN_ORDER);
    ck_assert_int_eq(skipped, 2); /* 6 and 7, too */
}
END_TEST

enum { NUMBERS = 4000 };

START_TEST(agrees_with_a_model)
{
    static bool seen[NUMBERS + 8];
    struct sequence sequence = {0};
    uint32_t next = 0;
    memset(seen, 0, sizeof(seen));
    srand(1234 + (unsigned)_i);

    for (int step = 0; step < NUMBERS && next < NUMBERS; step++) {
        /* Mostly the next one, sometimes one ahead or one of the last 60. */
        const int kind = rand() % 10;
        uint32_t number = next;
        if (kind == 8) {
            number = next + (uint32_t)(rand() % 8);
        } else if (kind == 9) {
            const uint32_t back = (uint32_t)(rand() % 60) + 1;
            number = next > back ? next - back : 0;
        }
        int64_t skipped = 0;
        const enum sequence_verdict verdict = sequence_take(&sequence, number, &skipped);
        if (number >= next) {
            ck_assert_int_eq(verdict, number == next ? SEQUENCE_IN_ORDER : SEQUENCE_AFTER_GAP);
            ck_assert_int_eq(skipped, number - next);
            next = number + 1;
        } else {
            ck_assert_int_eq(verdict, seen[number] ? SEQUENCE_DUPLICATE : SEQUENCE_LATE);
        }
        seen[number] = true;
    }
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("sequence");
    tcase_add_loop_test(cases, tells_the_story, 0, sizeof(stories) / sizeof(stories[0]));
    tcase_add_test(cases, begins_in_the_middle);
    tcase_add_test(cases, goes_on_behind_what_it_knows_to_have_missed);
    tcase_add_test(cases, excuses_once);
    tcase_add_loop_test(cases, agrees_with_a_model, 0, 50);
    Suite *suite = suite_create("load/sequence");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
