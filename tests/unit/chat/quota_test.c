/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places and buckets of a home: what is refused and what that changes, a dry run, what is forgotten
 * when, and random comings and goings against a plain model.
 */
#include "chat/quota.h"

#include "tests/unit/chat/testing.h"

static const struct table_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static struct quota_key key_number(uint32_t number)
{
    return quota_key_of(&key, (struct bytes){(const uint8_t *)&number, sizeof(number)});
}

static struct quota *open_quota(struct quota_limits limits)
{
    struct quota *quota = quota_create(&key, &limits, 100);
    ck_assert_ptr_nonnull(quota);
    return quota;
}

START_TEST(keys_differ)
{
    const struct quota_key ann = quota_key_of(&key, view("ann"));
    const struct quota_key same = quota_key_of(&key, view("ann"));
    const struct quota_key bob = quota_key_of(&key, view("bob"));

    ck_assert_mem_eq(ann.bytes, same.bytes, QUOTA_KEY_SIZE);
    ck_assert_mem_ne(ann.bytes, bob.bytes, QUOTA_KEY_SIZE / 2);
    ck_assert_mem_ne(ann.bytes + 8, bob.bytes + 8, QUOTA_KEY_SIZE / 2);
    ck_assert_mem_ne(ann.bytes, ann.bytes + 8, QUOTA_KEY_SIZE / 2);
}
END_TEST

START_TEST(counts_connections_of_a_key)
{
    struct quota *quota = open_quota((struct quota_limits){.count_max = 2});
    const struct quota_key ann = key_number(1);
    const struct quota_key bob = key_number(2);

    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_FULL);
    ck_assert(!quota_lets_in(quota, QUOTA_FULL));
    ck_assert_int_eq(quota_take(quota, &bob, 0), QUOTA_GRANTED);
    ck_assert_uint_eq(quota_count(quota), 2);
    ck_assert_uint_eq(quota_present(quota), 2);
    /* The refusal took nothing: one that goes makes room for one. */
    quota_give(quota, &ann, 0);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_FULL);
    quota_give(quota, &ann, 0);
    quota_give(quota, &ann, 0);
    quota_give(quota, &bob, 0);
    ck_assert_uint_eq(quota_count(quota), 0);
    quota_destroy(quota);
}
END_TEST

START_TEST(new_ones_have_a_rate)
{
    struct quota *quota =
        open_quota((struct quota_limits){.count_max = 50, .rate = {.per_second = 2, .burst = 3}});
    const struct quota_key ann = key_number(1);
    const struct quota_key bob = key_number(2);

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(quota_take(quota, &ann, 1000), QUOTA_GRANTED);
        quota_give(quota, &ann, 1000); /* whoever leaves does not get a token back for it */
    }
    ck_assert_int_eq(quota_take(quota, &ann, 1000), QUOTA_TOO_FAST);
    ck_assert_int_eq(quota_take(quota, &bob, 1000), QUOTA_GRANTED);
    ck_assert_int_eq(quota_take(quota, &ann, 1499), QUOTA_TOO_FAST);
    ck_assert_int_eq(quota_take(quota, &ann, 1500), QUOTA_GRANTED);
    ck_assert_int_eq(quota_take(quota, &ann, 1500), QUOTA_TOO_FAST);
    quota_destroy(quota);
}
END_TEST

/* A part of what is there, the last ones one by one, and who comes again has no more for it. */
START_TEST(lends_commands)
{
    struct quota *quota = open_quota(
        (struct quota_limits){.count_max = 5, .commands = {.per_second = 10, .burst = 20}});
    const struct quota_key ann = key_number(1);
    const struct quota_key bob = key_number(2);
    uint32_t lent = 0;

    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    ck_assert_int_eq(quota_take(quota, &bob, 0), QUOTA_GRANTED);
    ck_assert_uint_eq(quota_lend(quota, &ann, 64, 4, 0).count, 5);
    ck_assert_uint_eq(quota_lend(quota, &ann, 2, 4, 0).count, 2);
    for (struct quota_loan loan; (loan = quota_lend(quota, &ann, 64, 4, 0)).count > 0;) {
        ck_assert_uint_eq(loan.wait_ms, 0);
        lent += loan.count;
    }
    ck_assert_uint_eq(lent, 13);
    ck_assert_uint_eq(quota_lend(quota, &ann, 64, 4, 0).wait_ms, 100);
    ck_assert_uint_eq(quota_lend(quota, &bob, 64, 4, 0).count, 5);
    quota_give(quota, &ann, 0);
    ck_assert_uint_eq(quota_count(quota), 2);
    ck_assert_int_eq(quota_take(quota, &ann, 99), QUOTA_GRANTED);
    ck_assert_uint_eq(quota_lend(quota, &ann, 64, 4, 99).wait_ms, 1);
    ck_assert_uint_eq(quota_lend(quota, &ann, 64, 4, 100).count, 1);
    quota_give(quota, &ann, 100);
    quota_give(quota, &bob, 2100);
    ck_assert_int_eq(quota_take(quota, &bob, 2100), QUOTA_GRANTED);
    ck_assert_uint_eq(quota_count(quota), 1); /* both buckets are full: nobody is remembered */
    quota_destroy(quota);
}
END_TEST

/* Where it is off all that is wanted is lent; where it comes to be on, from then on. */
START_TEST(commands_can_be_limited_later)
{
    enum { KEYS = 100 };
    struct quota_limits limits = {.count_max = 1, .dry_run = true};
    struct quota *quota = open_quota(limits);
    for (uint32_t i = 0; i < KEYS; i++) {
        const struct quota_key one = key_number(i);
        ck_assert_int_eq(quota_take(quota, &one, 0), QUOTA_GRANTED);
        ck_assert_uint_eq(quota_lend(quota, &one, 64, 2, 0).count, 64);
    }
    limits.commands = (struct limits_rate){.per_second = 1, .burst = 1};
    quota_change(quota, &limits);
    for (uint32_t i = 0; i < KEYS; i++) {
        const struct quota_key one = key_number(i);
        const struct quota_loan first = quota_lend(quota, &one, 64, 2, 0);
        const struct quota_loan second = quota_lend(quota, &one, 64, 2, 0);
        ck_assert(first.count == 1 && first.excess == 0);
        ck_assert(second.count == 64 && second.excess == 64); /* a dry run */
        quota_give(quota, &one, 0);
    }
    ck_assert_uint_eq(quota_count(quota), KEYS);
    /* No room was reserved for who is remembered: who comes goes before. */
    const struct quota_key other = key_number(UINT32_MAX);
    ck_assert_int_eq(quota_take(quota, &other, 0), QUOTA_GRANTED);
    ck_assert_uint_eq(quota_forgotten(quota), 1);
    quota_give(quota, &other, 0);
    quota_destroy(quota);
}
END_TEST

START_TEST(a_dry_run_lets_everybody_in)
{
    struct quota *quota = open_quota((struct quota_limits){
        .count_max = 1, .rate = {.per_second = 1, .burst = 2}, .dry_run = true});
    const struct quota_key ann = key_number(1);

    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_FULL);
    ck_assert(quota_lets_in(quota, QUOTA_FULL) && quota_lets_in(quota, QUOTA_TOO_FAST));
    ck_assert(!quota_lets_in(quota, QUOTA_NO_MEMORY));
    quota_give(quota, &ann, 0);
    quota_give(quota, &ann, 0);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    quota_give(quota, &ann, 0);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_TOO_FAST);
    quota_give(quota, &ann, 0);
    quota_destroy(quota);
}
END_TEST

START_TEST(limits_change_for_who_comes)
{
    struct quota *quota =
        open_quota((struct quota_limits){.count_max = 4, .rate = {.per_second = 1, .burst = 9}});
    const struct quota_limits narrow = {.count_max = 2, .rate = {.per_second = 1, .burst = 2}};
    const struct quota_limits wide = {.count_max = 9, .rate = {.per_second = 9, .burst = 9}};
    const struct quota_key ann = key_number(1);

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    }
    quota_change(quota, &narrow);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_FULL);
    quota_give(quota, &ann, 0);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_FULL);
    quota_give(quota, &ann, 0);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    quota_give(quota, &ann, 0);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    quota_give(quota, &ann, 0);
    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_TOO_FAST); /* of six tokens two were left */
    quota_change(quota, &wide);
    ck_assert_int_eq(quota_take(quota, &ann, 1000), QUOTA_GRANTED);
    quota_destroy(quota);
}
END_TEST

/* A key without connections is known until its bucket is full again, and not longer. */
START_TEST(forgets_who_has_nothing_left)
{
    struct quota *quota =
        open_quota((struct quota_limits){.count_max = 5, .rate = {.per_second = 1, .burst = 2}});
    const struct quota_key ann = key_number(1);
    const struct quota_key bob = key_number(2);

    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    quota_give(quota, &ann, 0);
    ck_assert_int_eq(quota_take(quota, &bob, 1999), QUOTA_GRANTED);
    ck_assert_uint_eq(quota_count(quota), 2);
    ck_assert_uint_eq(quota_present(quota), 1); /* the other one is only remembered */
    quota_give(quota, &bob, 2000);
    ck_assert_uint_eq(quota_count(quota), 1);
    ck_assert_uint_eq(quota_present(quota), 0);
    ck_assert_int_eq(quota_take(quota, &bob, 10000), QUOTA_GRANTED);
    /* While it has a connection it stays, however long. */
    ck_assert_int_eq(quota_take(quota, &ann, 1000000), QUOTA_GRANTED);
    ck_assert_uint_eq(quota_count(quota), 2);
    ck_assert_uint_eq(quota_forgotten(quota), 0);
    quota_destroy(quota);
}
END_TEST

/* Who tries again and again does not become the oldest, whom a flood of others pushes out. */
START_TEST(is_bounded)
{
    enum { IDLE_MAX = 1 << 16, MORE = 3000 };
    struct quota *quota =
        open_quota((struct quota_limits){.count_max = 5, .rate = {.per_second = 1, .burst = 1}});
    const struct quota_key ann = key_number(UINT32_MAX);

    ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_GRANTED);
    quota_give(quota, &ann, 0);
    for (uint32_t i = 0; i < IDLE_MAX + MORE; i++) {
        const struct quota_key other = key_number(i);
        ck_assert_int_eq(quota_take(quota, &other, 0), QUOTA_GRANTED);
        quota_give(quota, &other, 0);
        if (i % 1000 == 0) {
            ck_assert_int_eq(quota_take(quota, &ann, 0), QUOTA_TOO_FAST);
        }
    }
    ck_assert_uint_eq(quota_count(quota), IDLE_MAX);
    ck_assert_uint_eq(quota_forgotten(quota), MORE + 1);
    quota_destroy(quota);
}
END_TEST

/* Room for who is remembered is there only where there is something to remember: a rate. */
START_TEST(says_when_there_is_no_room)
{
    enum { IDLE_MAX = 1 << 16, KEYS = 100 };
    const struct limits_rate rate = {.per_second = 1, .burst = 1};
    struct quota *quota = open_quota(
        (struct quota_limits){.count_max = 1, .rate = _i == 0 ? (struct limits_rate){0} : rate});
    const uint32_t room = _i == 0 ? KEYS : KEYS + IDLE_MAX;
    for (uint32_t i = 0; i < room; i++) {
        const struct quota_key one = key_number(i);
        ck_assert_int_eq(quota_take(quota, &one, 0), QUOTA_GRANTED);
    }
    const struct quota_key above = key_number(UINT32_MAX);
    ck_assert_int_eq(quota_take(quota, &above, 0), QUOTA_NO_MEMORY);
    const struct quota_key first = key_number(0);
    quota_give(quota, &first, 1000);
    ck_assert_int_eq(quota_take(quota, &above, 1000), QUOTA_GRANTED);
    quota_destroy(quota);
}
END_TEST

/* No key ever gets more than its burst and its rate, or more places than it may have. */
START_TEST(follows_the_model)
{
    enum { KEYS = 20, TURNS = 50000, COUNT_MAX = 4, RATE = 5, BURST = 7 };
    struct quota *quota = open_quota((struct quota_limits){
        .count_max = COUNT_MAX, .rate = {.per_second = RATE, .burst = BURST}});
    uint32_t counts[KEYS] = {0};
    uint64_t granted[KEYS] = {0};
    uint64_t state = 88172645463325252;
    uint32_t now_ms = 0;

    for (int turn = 0; turn < TURNS; turn++) {
        const uint32_t i = chance_below(&state, KEYS);
        const struct quota_key one = key_number(i);
        now_ms += chance_below(&state, 20);
        if (counts[i] > 0 && chance_below(&state, 2) == 0) {
            quota_give(quota, &one, now_ms);
            counts[i]--;
            continue;
        }
        const enum quota_verdict verdict = quota_take(quota, &one, now_ms);
        ck_assert_int_eq(verdict == QUOTA_FULL, counts[i] == COUNT_MAX);
        if (verdict == QUOTA_GRANTED) {
            counts[i]++;
            granted[i]++;
        }
        ck_assert_uint_le(granted[i] * 1000, (uint64_t)BURST * 1000 + (uint64_t)now_ms * RATE);
        uint32_t present = 0;
        for (uint32_t k = 0; k < KEYS; k++) {
            present += counts[k] > 0;
        }
        ck_assert_uint_eq(quota_present(quota), present);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        const struct quota_key one = key_number(i);
        for (; counts[i] > 0; counts[i]--) {
            quota_give(quota, &one, now_ms + 1000000);
        }
        ck_assert_uint_gt(granted[i], 100);
    }
    ck_assert_uint_eq(quota_count(quota), 0);
    quota_destroy(quota);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("quota");
    tcase_add_test(tcase, keys_differ);
    tcase_add_test(tcase, counts_connections_of_a_key);
    tcase_add_test(tcase, new_ones_have_a_rate);
    tcase_add_test(tcase, lends_commands);
    tcase_add_test(tcase, commands_can_be_limited_later);
    tcase_add_test(tcase, a_dry_run_lets_everybody_in);
    tcase_add_test(tcase, limits_change_for_who_comes);
    tcase_add_test(tcase, forgets_who_has_nothing_left);
    tcase_add_test(tcase, is_bounded);
    tcase_add_loop_test(tcase, says_when_there_is_no_room, 0, 2);
    tcase_add_test(tcase, follows_the_model);
    Suite *suite = suite_create("chat/quota");
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
