/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list: order after pushes at both ends, removal from every place, splices, and that a removed
 * link is as good as a zeroed one. Walks go both ways, so that `prev` is checked like `next`.
 */
#include "core/list.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

enum { ITEM_COUNT = 4 };

struct item {
    int before; /* the link is not the first member, so LIST_OWNER has something to do */
    struct list_link link;
};

/* The list holds the items of `text`, by digit, in this order and backwards too. */
static void assert_order(const struct list_link *head, const struct item *items, const char *text)
{
    size_t count = 0;
    const struct list_link *link = list_first(head);
    for (; link != NULL; link = list_after(head, link)) {
        ck_assert_int_ne(text[count], '\0');
        ck_assert_ptr_eq(link, &items[text[count] - '0'].link);
        count++;
    }
    ck_assert_int_eq(text[count], '\0');
    for (link = head->prev; link != head; link = link->prev) {
        count--;
        ck_assert_ptr_eq(link, &items[text[count] - '0'].link);
    }
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(list_is_empty(head), text[0] == '\0');
}

START_TEST(pushes_at_both_ends)
{
    struct item items[ITEM_COUNT] = {{0}};
    struct list_link head;
    list_init(&head);
    assert_order(&head, items, "");
    list_push_back(&head, &items[1].link);
    assert_order(&head, items, "1");
    list_push_back(&head, &items[2].link);
    list_push_front(&head, &items[0].link);
    assert_order(&head, items, "012");
    ck_assert_ptr_eq(LIST_OWNER(list_first(&head), struct item, link), &items[0]);
}
END_TEST

static const struct {
    const char *why;
    int removed;
    const char *left;
} removals[] = {{"first", 0, "123"}, {"middle", 1, "023"}, {"last", 3, "012"}};

START_TEST(removes)
{
    struct item items[ITEM_COUNT] = {{0}};
    struct list_link head;
    list_init(&head);
    for (size_t i = 0; i < ITEM_COUNT; i++) {
        list_push_back(&head, &items[i].link);
    }
    struct list_link *removed = &items[removals[_i].removed].link;
    ck_assert(list_is_linked(removed));
    list_remove(removed);
    ck_assert(!list_is_linked(removed));
    assert_order(&head, items, removals[_i].left);
    list_push_back(&head, removed); /* and it may go in again */
    ck_assert_ptr_eq(head.prev, removed);
}
END_TEST

START_TEST(pops_until_empty)
{
    struct item items[ITEM_COUNT] = {{0}};
    struct list_link head;
    list_init(&head);
    for (size_t i = 0; i < ITEM_COUNT; i++) {
        list_push_back(&head, &items[i].link);
    }
    for (size_t i = 0; i < ITEM_COUNT; i++) {
        ck_assert_ptr_eq(list_pop_front(&head), &items[i].link);
    }
    ck_assert_ptr_null(list_pop_front(&head));
}
END_TEST

static const struct {
    const char *why;
    const char *target;
    const char *source;
    const char *result;
} splices[] = {
    {"both empty", "", "", ""},
    {"empty source", "01", "", "01"},
    {"empty target", "", "23", "23"},
    {"both full", "10", "32", "1032"},
};

START_TEST(splices_back)
{
    struct item items[ITEM_COUNT] = {{0}};
    struct list_link target;
    struct list_link source;
    list_init(&target);
    list_init(&source);
    for (const char *c = splices[_i].target; *c != '\0'; c++) {
        list_push_back(&target, &items[*c - '0'].link);
    }
    for (const char *c = splices[_i].source; *c != '\0'; c++) {
        list_push_back(&source, &items[*c - '0'].link);
    }
    list_splice_back(&target, &source);
    assert_order(&target, items, splices[_i].result);
    assert_order(&source, items, "");
}
END_TEST

START_TEST(refuses_removal_of_a_stranger)
{
    struct item item = {0};
    list_remove(&item.link);
}
END_TEST

int main(void)
{
    TCase *orders = tcase_create("orders");
    tcase_add_test(orders, pushes_at_both_ends);
    tcase_add_loop_test(orders, removes, 0, (int)(sizeof(removals) / sizeof(removals[0])));
    tcase_add_test(orders, pops_until_empty);
    tcase_add_loop_test(orders, splices_back, 0, (int)(sizeof(splices) / sizeof(splices[0])));
    tcase_add_test_raise_signal(orders, refuses_removal_of_a_stranger, SIGABRT);
    Suite *suite = suite_create("core/list");
    suite_add_tcase(suite, orders);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
