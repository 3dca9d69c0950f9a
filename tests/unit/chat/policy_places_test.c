/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reactor's own policies: written over in place, known before they are found, and remembered when
 * they are removed.
 */
#include "chat/policy_places.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct policy policy_of(const char *name, uint16_t index)
{
    return (struct policy){
        .name = bytes_of(name),
        .index = index,
        .history_size = 5,
        .durability = POLICY_DURABILITY_MEMORY,
    };
}

static struct policy_table table_of(const struct policy *policies, size_t count)
{
    return (struct policy_table){.policies = policies, .policy_count = count, .name_size_max = 9};
}

START_TEST(what_is_new_is_known_first)
{
    struct policy policies[] = {policy_of("", 0), policy_of("a", 1), policy_of("b", 2)};
    const struct policy_table before = table_of(policies, 2);
    const struct policy_table after = table_of(policies, 3);
    struct policy_places places;

    ck_assert_int_eq(policy_places_init(&places, &before), 0);
    const struct policy_table *table = &places.table;
    ck_assert_uint_eq(table->name_size_max, 9);
    ck_assert_ptr_nonnull(policy_find(table, bytes_of("a:x")));
    ck_assert_ptr_null(policy_recall(table, bytes_of("b:x")));

    policies[1].presence = true;
    policy_places_learn(&places, &after);
    ck_assert_ptr_null(policy_find(table, bytes_of("b:x")));
    const struct policy *known = policy_recall(table, bytes_of("b:x"));
    ck_assert_ptr_nonnull(known);
    ck_assert_uint_eq(known->history_size, 5);
    ck_assert_msg(!policy_find(table, bytes_of("a:x"))->presence, "nothing else has changed");

    policy_places_change(&places, &after);
    ck_assert_ptr_eq(policy_find(table, bytes_of("b:x")), known);
    ck_assert(policy_find(table, bytes_of("a:x"))->presence);
    policy_places_deinit(&places);
}
END_TEST

START_TEST(what_goes_stays_in_its_place)
{
    struct policy policies[] = {policy_of("", 0), policy_of("a", 1), policy_of("b", 2)};
    struct policy_table table = table_of(policies, 3);
    struct policy_places places;

    ck_assert_int_eq(policy_places_init(&places, &table), 0);
    const struct policy *a = policy_find(&places.table, bytes_of("a:x"));
    const struct policy *b = policy_find(&places.table, bytes_of("b:x"));
    policies[1].is_removed = true;
    policies[2].history_size = 7;
    table.insecure = true;
    policy_places_learn(&places, &table);
    policy_places_change(&places, &table);
    ck_assert_ptr_null(policy_find(&places.table, bytes_of("a:x")));
    ck_assert_ptr_eq(policy_recall(&places.table, bytes_of("a:x")), a);
    ck_assert_ptr_eq(policy_find(&places.table, bytes_of("b:x")), b);
    ck_assert_uint_eq(b->history_size, 7);
    ck_assert(places.table.insecure);

    policies[1].is_removed = false;
    policy_places_change(&places, &table);
    ck_assert_ptr_eq(policy_find(&places.table, bytes_of("a:x")), a);
    policy_places_deinit(&places);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("policy_places");
    tcase_add_test(tests, what_is_new_is_known_first);
    tcase_add_test(tests, what_goes_stays_in_its_place);
    Suite *suite = suite_create("chat/policy_places");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
