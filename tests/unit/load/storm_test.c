/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storm: who is struck, for several sizes; and where deliveries lie while time goes on and the
 * struck come back, one by one.
 */
#include "bench/load/storm.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *why;
    uint32_t connections;
    uint32_t publishers;
    uint32_t stay;
    uint32_t struck;
} sizes[] = {
    {"a publisher and a hundred: five witnesses", 101, 1, 6, 95},
    {"one in twenty, and never none", 3, 1, 2, 1},
    {"the only one who does not publish is the witness", 2, 1, 2, 0},
    {"all publish", 10, 10, 10, 0},
    {"a rest is a witness too", 42, 1, 4, 38},
};

START_TEST(strikes_all_but_a_few)
{
    struct storm storm = {0};
    uint32_t struck = 0;

    storm_init(&storm, sizes[_i].connections, sizes[_i].publishers);
    ck_assert_msg(storm.stay_count == sizes[_i].stay, "%s", sizes[_i].why);
    ck_assert_msg(storm.struck_count == sizes[_i].struck, "%s", sizes[_i].why);
    for (uint32_t i = 0; i < sizes[_i].connections; i++) {
        const bool strikes = storm_strikes(&storm, i);
        ck_assert(!strikes || i >= sizes[_i].publishers);
        struck += strikes;
    }
    ck_assert_msg(struck == sizes[_i].struck, "%s", sizes[_i].why);
}
END_TEST

START_TEST(there_need_not_be_one)
{
    const struct storm storm = {0};
    ck_assert(!storm_strikes(&storm, 0));
    ck_assert(!storm_strikes(&storm, 1000));
}
END_TEST

START_TEST(knows_where_a_delivery_lies)
{
    struct storm storm = {0};
    storm_init(&storm, 4, 1); /* one witness, two are struck */
    storm_set_time(&storm, 1000, 500);

    ck_assert_int_eq(storm_part_of(&storm, 900, 999), STORM_BEFORE);
    ck_assert_int_eq(storm_part_of(&storm, 900, 1000), STORM_CUT);
    ck_assert_int_eq(storm_part_of(&storm, 1499, 1499), STORM_CUT);
    ck_assert_int_eq(storm_part_of(&storm, 900, 1500), STORM_RETURN);

    storm_is_back(&storm, 1600);
    ck_assert_uint_eq(storm_calm_ns(&storm), 0);
    ck_assert_int_eq(storm_part_of(&storm, 1700, 1700), STORM_RETURN);
    storm_is_back(&storm, 1800);
    ck_assert_uint_eq(storm_calm_ns(&storm), 1800);
    ck_assert_int_eq(storm_part_of(&storm, 1799, 2000), STORM_RETURN); /* delayed by it */
    ck_assert_int_eq(storm_part_of(&storm, 1800, 2000), STORM_AFTER);
}
END_TEST

START_TEST(whoever_comes_for_more_is_away_again)
{
    struct storm storm = {0};
    storm_init(&storm, 3, 1);
    storm_set_time(&storm, 1000, 0);
    storm_is_back(&storm, 1100);
    storm_is_away(&storm);
    ck_assert_uint_eq(storm_calm_ns(&storm), 0);
    ck_assert_int_eq(storm_part_of(&storm, 1200, 1200), STORM_RETURN);
    storm_is_back(&storm, 1300);
    ck_assert_uint_eq(storm_calm_ns(&storm), 1300);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("storm");
    tcase_add_loop_test(cases, strikes_all_but_a_few, 0, sizeof(sizes) / sizeof(sizes[0]));
    tcase_add_test(cases, there_need_not_be_one);
    tcase_add_test(cases, knows_where_a_delivery_lies);
    tcase_add_test(cases, whoever_comes_for_more_is_away_again);
    Suite *suite = suite_create("load/storm");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
