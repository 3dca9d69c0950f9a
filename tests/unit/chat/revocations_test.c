/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is forbidden, from a table of claims; until when; and what happens when there is no room.
 */
#include "chat/revocations.h"

#include <errno.h>
#include <stdio.h>

#include "chat/claims.h"
#include "tests/unit/chat/testing.h"

static const struct table_key key = {1, 2};

static int add(struct revocations *list, enum revocations_kind kind, const char *text,
               uint64_t expires_ns)
{
    const struct revocations_entry entry = {
        .kind = kind,
        .text = view(text),
        .issued_before_s = 100,
        .expires_ns = expires_ns,
    };
    return revocations_add(list, &entry, 0);
}

static const struct {
    const char *why;
    const char *user;
    const char *id;
    uint64_t issued_at_s;
    bool is_forbidden;
} cases[] = {
    {"nobody", "", "", 0, false},
    {"somebody else", "bob", "", 0, false},
    {"a user", "eve", "", 500, true},
    {"a token, whoever has it", "bob", "t1", 500, true},
    {"a token's name that is a user's", "t1", "", 500, false},
    {"a user's name that is a token's", "bob", "eve", 500, false},
    {"an old token", "old", "", 99, true},
    {"one that does not say when", "old", "", 0, true},
    {"a new one", "old", "", 100, false},
    {"a longer name", "eves", "t11", 500, false},
};

START_TEST(forbids)
{
    struct revocations *list = revocations_create(&key, 10);
    ck_assert_int_eq(add(list, REVOCATIONS_USER, "eve", UINT64_MAX), 0);
    ck_assert_int_eq(add(list, REVOCATIONS_TOKEN, "t1", UINT64_MAX), 0);
    ck_assert_int_eq(add(list, REVOCATIONS_ISSUED_TO, "old", UINT64_MAX), 0);
    const struct claims claims = {
        .user = view(cases[_i].user),
        .id = view(cases[_i].id),
        .issued_at_s = cases[_i].issued_at_s,
    };
    ck_assert_msg(revocations_forbid(list, &claims, 5) == cases[_i].is_forbidden, "%s",
                  cases[_i].why);
    revocations_destroy(list);
}
END_TEST

START_TEST(ends)
{
    struct revocations *list = revocations_create(&key, 10);
    const struct claims claims = {.user = view("eve")};
    ck_assert_int_eq(add(list, REVOCATIONS_USER, "eve", 10), 0);
    ck_assert(revocations_forbid(list, &claims, 9));
    ck_assert(!revocations_forbid(list, &claims, 10));
    /* Another time for the same is no second one. */
    ck_assert_int_eq(add(list, REVOCATIONS_USER, "eve", 20), 0);
    ck_assert_uint_eq(revocations_count(list), 1);
    ck_assert(revocations_forbid(list, &claims, 19));
    revocations_remove(list, REVOCATIONS_TOKEN, view("eve"));
    ck_assert(revocations_forbid(list, &claims, 19));
    revocations_remove(list, REVOCATIONS_USER, view("eve"));
    ck_assert(!revocations_forbid(list, &claims, 19));
    ck_assert_uint_eq(revocations_count(list), 0);
    revocations_destroy(list);
}
END_TEST

/* The tokens of a user that were issued before a time: an order, and what holds after it. */
static const struct {
    const char *why;
    uint64_t issued_before_s;
    uint64_t expires_ns;
    uint64_t now_ns;
    uint64_t forbidden_s; /* the last second of issue that is forbidden then */
    uint64_t last_ns;     /* and the last moment of that */
} orders[] = {
    {"the first one", 100, 10, 0, 99, 9},
    {"an earlier time", 50, 10, 0, 99, 9},
    {"an earlier time, for longer", 50, 20, 5, 99, 19},
    {"a later time, for shorter", 200, 10, 5, 199, 19},
    {"the same once more", 200, 20, 19, 199, 19},
    {"an earlier time, when it has expired", 50, 30, 20, 49, 29},
    {"for ever", 60, UINT64_MAX, 20, 59, UINT64_MAX - 1},
    {"and for ever it stays", 70, 30, 20, 69, UINT64_MAX - 1},
};

/* No order allows a token again that another one forbids. */
START_TEST(never_moves_backwards)
{
    struct revocations *list = revocations_create(&key, 10);
    for (size_t i = 0; i < COUNT(orders); i++) {
        const struct revocations_entry entry = {
            .kind = REVOCATIONS_ISSUED_TO,
            .text = view("eve"),
            .issued_before_s = orders[i].issued_before_s,
            .expires_ns = orders[i].expires_ns,
        };
        ck_assert_int_eq(revocations_add(list, &entry, orders[i].now_ns), 0);
        struct claims claims = {.user = view("eve"), .issued_at_s = orders[i].forbidden_s};
        const uint64_t last_ns = orders[i].last_ns;
        ck_assert_msg(revocations_forbid(list, &claims, last_ns), "%s", orders[i].why);
        ck_assert_msg(!revocations_forbid(list, &claims, last_ns + 1), "%s", orders[i].why);
        claims.issued_at_s++;
        ck_assert_msg(!revocations_forbid(list, &claims, last_ns), "%s", orders[i].why);
    }
    ck_assert_uint_eq(revocations_count(list), 1);
    revocations_destroy(list);
}
END_TEST

/* What has expired makes room, and nothing else. */
START_TEST(has_a_limit)
{
    struct revocations *list = revocations_create(&key, 3);
    char name[16];
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "u%d", i);
        ck_assert_int_eq(add(list, REVOCATIONS_USER, name, i == 1 ? 10 : UINT64_MAX), 0);
    }
    ck_assert_int_eq(add(list, REVOCATIONS_USER, "u3", UINT64_MAX), -ENOSPC);
    ck_assert_int_eq(add(list, REVOCATIONS_USER, "u2", 30), 0); /* it is there already */
    const struct revocations_entry late = {REVOCATIONS_USER, view("u3"), 0, UINT64_MAX};
    ck_assert_int_eq(revocations_add(list, &late, 10), 0);
    for (int i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof(name), "u%d", i);
        const struct claims claims = {.user = view(name)};
        ck_assert(revocations_forbid(list, &claims, 10) == (i != 1));
    }
    revocations_destroy(list);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("revocations");
    tcase_add_loop_test(tests, forbids, 0, COUNT(cases));
    tcase_add_test(tests, ends);
    tcase_add_test(tests, never_moves_backwards);
    tcase_add_test(tests, has_a_limit);
    Suite *suite = suite_create("chat/revocations");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
