/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_find: a table of names, then the right one of many.
 */
#include "chat/policy.h"

#include <stdio.h>

#include "tests/unit/chat/testing.h"

static const struct {
    const char *why;
    const char *channel;
    int index; /* -1: unknown */
} cases[] = {
    {"no namespace", "lobby", 0},
    {"nothing at all", "", 0},
    {"a private one", "$lobby", 0},
    {"a dollar alone", "$", 0},
    {"a namespace", "chat:lobby", 1},
    {"nothing behind it", "chat:", 1},
    {"private in a namespace", "$chat:lobby", 1},
    {"the first colon counts", "chat:c:x", 1},
    {"another namespace", "c:chat:x", 2},
    {"the start of one", "cha:x", -1},
    {"longer than one", "chats:x", -1},
    {"another case", "Chat:x", -1},
    {"an empty one", ":x", -1},
    {"two dollars", "$$chat:x", -1},
};

START_TEST(finds)
{
    const struct policy policies[] = {
        {.name = view("")},
        {.name = view("chat"), .index = 1},
        {.name = view("c"), .index = 2},
    };
    const struct policy_table table = {.policies = policies, .policy_count = COUNT(policies)};
    const struct bytes name = view(cases[_i].channel);
    uint8_t *copy = copy_of(name);
    const struct policy *found = policy_find(&table, (struct bytes){copy, name.size});

    ck_assert_msg(found == (cases[_i].index < 0 ? NULL : &policies[cases[_i].index]), "%s",
                  cases[_i].why);
    free(copy);
}
END_TEST

START_TEST(finds_the_right_one_of_many)
{
    enum { POLICY_COUNT = 50 };
    static char texts[POLICY_COUNT][16];
    static struct policy policies[POLICY_COUNT];
    for (int i = 1; i < POLICY_COUNT; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "ns%d", i);
        policies[i] = (struct policy){.name = view(texts[i]), .index = (uint16_t)i};
    }
    const struct policy_table table = {.policies = policies, .policy_count = POLICY_COUNT};

    for (int i = 1; i < POLICY_COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "ns%d:room", i);
        const struct policy *found = policy_find(&table, view(name));
        ck_assert_ptr_eq(found, &policies[i]);
        ck_assert_uint_eq(found->index, i);
    }
}
END_TEST

int main(void)
{
    TCase *policy = tcase_create("policy");
    tcase_add_loop_test(policy, finds, 0, COUNT(cases));
    tcase_add_test(policy, finds_the_right_one_of_many);
    Suite *suite = suite_create("chat/policy");
    suite_add_tcase(suite, policy);
    return run_suite(suite);
}
