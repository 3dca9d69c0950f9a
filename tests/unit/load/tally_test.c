/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally: causes are told apart as long as there is room, and none is lost; each has its words.
 */
#include "bench/load/tally.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static uint64_t count_causes(const struct tally *tally, size_t *places,
                             struct tally_cause_row *last)
{
    uint64_t sum = 0;
    for (*places = 0; tally_read_cause(tally, *places, last); (*places)++) {
        sum += last->count;
    }
    return sum;
}

START_TEST(causes_are_told_apart)
{
    struct tally *tally = calloc(1, sizeof(*tally));
    struct tally_cause_row row;
    ck_assert_ptr_nonnull(tally);
    ck_assert(!tally_read_cause(tally, 0, &row));

    tally_add_cause(tally, CAUSE_SYSTEM, 0); /* the first kind, without a code: one like others */
    tally_add_cause(tally, CAUSE_CLOSED, 1006);
    tally_add_cause(tally, CAUSE_STATUS, 1006);
    tally_add_cause(tally, CAUSE_CLOSED, 1006);
    ck_assert(tally_read_cause(tally, 0, &row));
    ck_assert_int_eq(row.kind, CAUSE_SYSTEM);
    ck_assert(tally_read_cause(tally, 1, &row));
    ck_assert_int_eq(row.kind, CAUSE_CLOSED);
    ck_assert_uint_eq(row.code, 1006);
    ck_assert_uint_eq(row.count, 2);
    ck_assert(tally_read_cause(tally, 2, &row));
    ck_assert_int_eq(row.kind, CAUSE_STATUS);
    ck_assert(!tally_read_cause(tally, 3, &row));
    free(tally);
}
END_TEST

START_TEST(too_many_causes_are_told_together)
{
    struct tally *tally = calloc(1, sizeof(*tally));
    struct tally *merged = calloc(1, sizeof(*merged));
    struct tally_cause_row last;
    size_t places = 0;
    ck_assert_ptr_nonnull(tally);
    ck_assert_ptr_nonnull(merged);

    for (uint32_t code = 1; code <= 100; code++) {
        tally_add_cause(tally, CAUSE_CLOSED, code);
        tally_add_cause(tally, CAUSE_CLOSED, code);
    }
    ck_assert_uint_eq(count_causes(tally, &places, &last), 200);
    ck_assert_uint_eq(places, TALLY_CAUSE_COUNT_MAX);
    ck_assert_int_eq(last.kind, CAUSE_OTHER);

    tally_merge(merged, tally);
    tally_merge(merged, tally);
    ck_assert_uint_eq(count_causes(merged, &places, &last), 400);
    ck_assert_uint_eq(places, TALLY_CAUSE_COUNT_MAX);
    ck_assert_int_eq(last.kind, CAUSE_OTHER);
    free(tally);
    free(merged);
}
END_TEST

START_TEST(each_cause_has_a_name_and_a_text)
{
    char text[CAUSE_TEXT_SIZE] = "";
    cause_describe((enum cause_kind)_i, 7, text);
    ck_assert_uint_gt(strlen(text), 0);
    ck_assert_uint_gt(strlen(cause_name((enum cause_kind)_i)), 0);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("causes");
    tcase_add_test(cases, causes_are_told_apart);
    tcase_add_test(cases, too_many_causes_are_told_together);
    tcase_add_loop_test(cases, each_cause_has_a_name_and_a_text, 0, CAUSE_KIND_COUNT);
    Suite *suite = suite_create("load/tally");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
