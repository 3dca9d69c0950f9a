/* SPDX-License-Identifier: Apache-2.0 */
/* The index of users against a plain model of it: random comings and goings. */
#include "chat/users.h"

#include <stdio.h>

#include "tests/unit/chat/testing.h"

static const struct table_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

START_TEST(follows_the_model)
{
    enum { NAMES = 40, LINKS = 200, TURNS = 20000 };
    static struct list_link links[LINKS];
    struct user *of[LINKS] = {NULL};
    int name_of[LINKS] = {0};
    uint32_t counts[NAMES] = {0};
    uint64_t state = 4101842887655102017;
    struct users *users = users_create(&key);
    ck_assert_ptr_nonnull(users);
    memset(links, 0, sizeof(links));

    for (int turn = 0; turn < TURNS; turn++) {
        const uint32_t i = chance_below(&state, LINKS);
        char name[16];
        if (of[i] == NULL) {
            name_of[i] = (int)chance_below(&state, NAMES);
            (void)snprintf(name, sizeof(name), "user%d", name_of[i]);
            of[i] = users_enter(users, view(name), &links[i]);
            ck_assert_ptr_nonnull(of[i]);
            ck_assert_uint_eq(of[i]->hash, table_hash(&key, view(name)));
            const struct quota_key counted = quota_key_of(&key, view(name));
            ck_assert_mem_eq(&of[i]->key, &counted, sizeof(counted));
            counts[name_of[i]]++;
        } else {
            users_leave(users, of[i], &links[i]);
            ck_assert(!list_is_linked(&links[i]));
            counts[name_of[i]]--;
            of[i] = NULL;
        }
        const uint32_t looked = chance_below(&state, NAMES);
        (void)snprintf(name, sizeof(name), "user%u", looked);
        const struct user *found = users_find(users, view(name));
        ck_assert_uint_eq(found == NULL ? 0 : found->session_count, counts[looked]);
    }
    for (int i = 0; i < LINKS; i++) {
        if (of[i] != NULL) {
            users_leave(users, of[i], &links[i]);
        }
    }
    ck_assert_uint_eq(users_count(users), 0);
    users_destroy(users);
}
END_TEST

START_TEST(lists_all_sessions_of_a_user)
{
    struct list_link links[3] = {{NULL, NULL}, {NULL, NULL}, {NULL, NULL}};
    struct users *users = users_create(&key);
    struct user *ann = users_enter(users, view("ann"), &links[0]);
    ck_assert_ptr_eq(users_enter(users, view("ann"), &links[1]), ann);
    struct user *bob = users_enter(users, view("bob"), &links[2]);
    ck_assert_ptr_ne(ann, bob);

    ck_assert_ptr_eq(list_first(&ann->sessions), &links[0]);
    ck_assert_ptr_eq(list_after(&ann->sessions, &links[0]), &links[1]);
    ck_assert_ptr_null(list_after(&ann->sessions, &links[1]));
    ck_assert_ptr_null(users_find(users, view("an")));
    users_leave(users, ann, &links[0]);
    users_leave(users, ann, &links[1]);
    ck_assert_ptr_null(users_find(users, view("ann")));
    users_leave(users, bob, &links[2]);
    users_destroy(users);
    users_destroy(NULL);
}
END_TEST

int main(void)
{
    TCase *users = tcase_create("users");
    tcase_add_test(users, follows_the_model);
    tcase_add_test(users, lists_all_sessions_of_a_user);
    Suite *suite = suite_create("chat/users");
    suite_add_tcase(suite, users);
    return run_suite(suite);
}
