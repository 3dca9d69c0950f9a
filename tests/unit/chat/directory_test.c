/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory: what was added is found by name and by handle until it is removed; then neither finds
 * it, also after its slot has another tenant; and a refusal changes nothing.
 */
#include "chat/directory.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REACTOR = 3, COUNT_MAX = 4 };

struct named {
    uint64_t hash;
    uint32_t slot;
    char name[8];
};

static struct bytes name_of(const void *object)
{
    const struct named *named = object;
    return (struct bytes){(const uint8_t *)named->name, strlen(named->name)};
}

static struct named objects[] = {{11, 0, "a"}, {12, 0, "bb"}, {11, 0, "same"}, {14, 0, "d"}};
static struct named one_more = {15, 0, "e"};

static struct directory *open_directory(void)
{
    struct directory *directory = NULL;
    ck_assert_int_eq(directory_create(REACTOR, COUNT_MAX, name_of, &directory), 0);
    return directory;
}

static void add(struct directory *directory, struct named *named)
{
    ck_assert_int_eq(directory_add(directory, named->hash, named, &named->slot), 0);
}

static void remove_it(struct directory *directory, const struct named *named)
{
    directory_remove(directory, named->hash, named, named->slot);
}

static void *find(const struct directory *directory, const struct named *named)
{
    return directory_find(directory, named->hash, name_of(named));
}

START_TEST(finds_by_name_and_by_handle)
{
    struct directory *directory = open_directory();
    for (size_t i = 0; i < COUNT_MAX; i++) {
        ck_assert_ptr_null(find(directory, &objects[i]));
        add(directory, &objects[i]);
    }
    ck_assert_uint_eq(directory_count(directory), COUNT_MAX);
    for (size_t i = 0; i < COUNT_MAX; i++) {
        const struct ids_handle handle = directory_handle(directory, objects[i].slot);
        ck_assert_uint_eq(handle.reactor, REACTOR);
        ck_assert_uint_ne(handle.generation, 0);
        ck_assert_ptr_eq(find(directory, &objects[i]), &objects[i]);
        ck_assert_ptr_eq(directory_at(directory, handle), &objects[i]);
        ck_assert_ptr_eq(directory_slot(directory, objects[i].slot), &objects[i]);
        ck_assert_uint_lt(objects[i].slot, directory_slot_end(directory));
    }
    for (size_t i = 0; i < COUNT_MAX; i++) {
        remove_it(directory, &objects[i]);
        ck_assert_ptr_null(find(directory, &objects[i]));
        ck_assert_ptr_null(directory_slot(directory, objects[i].slot));
    }
    directory_destroy(directory);
}
END_TEST

START_TEST(a_handle_goes_stale)
{
    struct directory *directory = open_directory();
    add(directory, &objects[0]);
    const struct ids_handle handle = directory_handle(directory, objects[0].slot);
    remove_it(directory, &objects[0]);
    ck_assert_ptr_null(directory_at(directory, handle));

    add(directory, &objects[1]);
    ck_assert_uint_eq(objects[1].slot, handle.slot);
    ck_assert_ptr_null(directory_at(directory, handle));
    remove_it(directory, &objects[1]);
    directory_destroy(directory);
}
END_TEST

START_TEST(full_is_refused_and_changes_nothing)
{
    struct directory *directory = open_directory();
    for (size_t i = 0; i < COUNT_MAX; i++) {
        add(directory, &objects[i]);
    }
    uint32_t slot = 77;
    ck_assert_int_eq(directory_add(directory, one_more.hash, &one_more, &slot), -ENOMEM);
    ck_assert_uint_eq(slot, 77);
    ck_assert_ptr_null(find(directory, &one_more));
    ck_assert_uint_eq(directory_count(directory), COUNT_MAX);

    remove_it(directory, &objects[2]);
    add(directory, &one_more);
    ck_assert_ptr_eq(find(directory, &one_more), &one_more);
    remove_it(directory, &one_more);
    for (size_t i = 0; i < COUNT_MAX; i++) {
        if (i != 2) {
            remove_it(directory, &objects[i]);
        }
    }
    directory_destroy(directory);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("directory");
    tcase_add_test(cases, finds_by_name_and_by_handle);
    tcase_add_test(cases, a_handle_goes_stale);
    tcase_add_test(cases, full_is_refused_and_changes_nothing);
    Suite *suite = suite_create("chat/directory");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
