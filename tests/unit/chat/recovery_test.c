/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What somebody who comes back is given: a table of the cases that differ, then every small
 * question, judged a second time by PROTOCOL.md section 5 read literally.
 */
#include "chat/recovery.h"

#include <signal.h>

#include "tests/unit/chat/testing.h"

enum {
    ASKED = 1,
    CACHE = 2,
    EPOCH = 4, /* matches */
    READ = 8,
    AHEAD = 16,          /* there are three more than came here */
    YES = ASKED | EPOCH, /* a stream's, as it should be */
    LATEST = YES | CACHE,
};

static const struct {
    const char *why;
    int flags;
    uint64_t since;
    uint64_t top;
    uint64_t first;
    uint64_t count_max;
    enum recovery_verdict verdict;
    uint64_t from;
} cases[] = {
    {"not asked, has all", EPOCH, 5, 5, 0, 3, RECOVERY_NOT_ASKED, 0},
    {"not asked, missed some", EPOCH, 3, 5, 0, 3, RECOVERY_NOT_ASKED, 0},
    {"not asked, for the latest", EPOCH | CACHE, 3, 5, 0, 3, RECOVERY_NOT_ASKED, 0},
    {"not asked, from another life", 0, 9, 5, 0, 3, RECOVERY_NOT_ASKED, 0},
    {"not asked, although it was read", EPOCH | READ, 3, 5, 1, 3, RECOVERY_NOT_ASKED, 0},

    {"nothing was ever published", YES, 0, 0, 0, 1, RECOVERY_COMPLETE, 1},
    {"missed nothing", YES, 5, 5, 0, 1, RECOVERY_COMPLETE, 6},
    {"missed nothing, and nothing is there", YES | READ, 5, 5, 6, 1, RECOVERY_COMPLETE, 6},
    {"from the future", YES | READ, 6, 5, 1, 9, RECOVERY_IMPOSSIBLE, 0},
    {"from the future of nothing", YES | READ, 1, 0, 1, 9, RECOVERY_IMPOSSIBLE, 0},
    {"from the end of all offsets", YES | READ, UINT64_MAX, 5, 1, 9, RECOVERY_IMPOSSIBLE, 0},
    {"from the future of another life", ASKED, 6, 5, 0, 9, RECOVERY_IMPOSSIBLE, 0},
    {"has more than came here, or not", YES, 6, 5, 0, 9, RECOVERY_READ, 6},
    {"has more than came to nothing, or not", YES, 9, 0, 0, 1, RECOVERY_READ, 1},
    {"no offset is too far to be asked for", YES, UINT64_MAX, 5, 0, 9, RECOVERY_READ, 6},
    {"has more than came here", YES | READ | AHEAD, 7, 5, 6, 1, RECOVERY_READ, 6},
    {"has more than came here, all there is", YES | READ | AHEAD, 8, 5, 1, 1, RECOVERY_READ, 6},
    {"has more than there is", YES | READ | AHEAD, 9, 5, 1, 9, RECOVERY_IMPOSSIBLE, 0},
    {"one less than may be missed", YES, 2, 4, 0, 3, RECOVERY_READ, 3},
    {"as many as may be missed", YES, 2, 5, 0, 3, RECOVERY_READ, 3},
    {"one more than may be missed", YES, 2, 6, 0, 3, RECOVERY_IMPOSSIBLE, 0},
    {"the same, and all of it is there", YES | READ, 2, 6, 1, 3, RECOVERY_IMPOSSIBLE, 0},
    {"has nothing yet, all may be there", YES, 0, 3, 0, 3, RECOVERY_READ, 1},

    {"exactly what it needs is there", YES | READ, 2, 5, 3, 3, RECOVERY_COMPLETE, 3},
    {"more than it needs is there", YES | READ, 2, 5, 1, 3, RECOVERY_COMPLETE, 3},
    {"all but one is there", YES | READ, 2, 5, 4, 3, RECOVERY_IMPOSSIBLE, 0},
    {"only the last is there", YES | READ, 2, 5, 5, 3, RECOVERY_IMPOSSIBLE, 0},
    {"only the last is there, and needed", YES | READ, 4, 5, 5, 3, RECOVERY_COMPLETE, 5},
    {"nothing is there", YES | READ, 2, 5, 6, 3, RECOVERY_IMPOSSIBLE, 0},
    {"nothing is there, one is needed", YES | READ, 4, 5, 6, 3, RECOVERY_IMPOSSIBLE, 0},

    {"another life, as far as this one", ASKED, 5, 5, 0, 9, RECOVERY_IMPOSSIBLE, 0},
    {"another life, not so far", ASKED, 3, 5, 0, 9, RECOVERY_IMPOSSIBLE, 0},
    {"another life, and all is there", ASKED | READ, 3, 5, 1, 9, RECOVERY_IMPOSSIBLE, 0},
    {"another life, at its begin", ASKED, 0, 0, 0, 9, RECOVERY_IMPOSSIBLE, 0},

    {"the latest of nothing", LATEST, 0, 0, 0, 1, RECOVERY_IMPOSSIBLE, 0},
    {"the latest of nothing, for who had one", LATEST, 4, 0, 0, 1, RECOVERY_IMPOSSIBLE, 0},
    {"has the latest", LATEST, 5, 5, 0, 1, RECOVERY_COMPLETE, 6},
    {"has the latest, which is not there", LATEST | READ, 5, 5, 6, 1, RECOVERY_COMPLETE, 6},
    {"has an older one", LATEST, 4, 5, 0, 1, RECOVERY_READ, 5},
    {"has none", LATEST, 0, 5, 0, 1, RECOVERY_READ, 5},
    {"has a later one", LATEST, 6, 5, 0, 1, RECOVERY_READ, 5},
    {"missed more than may be missed", LATEST, 1, 500, 0, 1, RECOVERY_READ, 500},
    {"the latest of another life, same offset", ASKED | CACHE, 5, 5, 0, 1, RECOVERY_READ, 5},
    {"the latest is there", LATEST | READ, 1, 5, 5, 1, RECOVERY_COMPLETE, 5},
    {"the latest is there, and others", LATEST | READ, 1, 5, 2, 1, RECOVERY_COMPLETE, 5},
    {"the latest is not there", LATEST | READ, 1, 5, 6, 1, RECOVERY_IMPOSSIBLE, 0},
    {"another life, the latest is there", ASKED | CACHE | READ, 5, 5, 5, 1, RECOVERY_COMPLETE, 5},
    {"another life, it is not there", ASKED | CACHE | READ, 5, 5, 6, 1, RECOVERY_IMPOSSIBLE, 0},
};

START_TEST(judges)
{
    const struct recovery_question question = {
        .asked = (cases[_i].flags & ASKED) != 0,
        .cache = (cases[_i].flags & CACHE) != 0,
        .epoch_matches = (cases[_i].flags & EPOCH) != 0,
        .is_read = (cases[_i].flags & READ) != 0,
        .since = cases[_i].since,
        .top = cases[_i].top,
        .first = cases[_i].first,
        .last = cases[_i].top + ((cases[_i].flags & AHEAD) != 0 ? 3 : 0),
        .count_max = cases[_i].count_max,
    };
    const struct recovery_answer answer = recovery_judge(&question);
    ck_assert_msg(answer.verdict == cases[_i].verdict && answer.from == cases[_i].from,
                  "%s: verdict %d from %llu", cases[_i].why, (int)answer.verdict,
                  (unsigned long long)answer.from);
}
END_TEST

/* -- every small one --------------------------------------------------------------------------- */

enum { SMALL = 7 };

/* A history as a list of offsets: what is there after `since`, the first `count_max` of it. */
struct list {
    uint64_t offsets[SMALL + 1];
    size_t count;
};

static struct list history_after(const struct recovery_question *question)
{
    struct list list = {.count = 0};
    for (uint64_t offset = question->first; offset <= question->top; offset++) {
        if (offset > question->since && list.count < question->count_max) {
            list.offsets[list.count++] = offset;
        }
    }
    return list;
}

/* The formula, word for word. */
static bool is_recovered(const struct recovery_question *question)
{
    const struct list history = history_after(question);
    if (!question->epoch_matches) {
        return false;
    }
    if (history.count == 0) {
        return question->top == question->since;
    }
    return history.offsets[0] == question->since + 1 &&
           history.offsets[history.count - 1] == question->top;
}

/* Without reading the verdict may be open, but never another one. */
static void judge_twice(struct recovery_question question)
{
    const bool recovered = is_recovered(&question);
    const struct list history = history_after(&question);
    struct recovery_answer answer = recovery_judge(&question);
    if (answer.verdict == RECOVERY_READ) {
        ck_assert_uint_eq(answer.from,
                          question.since < question.top ? question.since + 1 : question.top + 1);
        question.is_read = true;
        answer = recovery_judge(&question);
    }
    ck_assert_int_eq(answer.verdict, recovered ? RECOVERY_COMPLETE : RECOVERY_IMPOSSIBLE);
    if (recovered) {
        /* [from, top] is the history, and all of it is there. */
        ck_assert_uint_eq(question.top + 1 - answer.from, history.count);
        ck_assert_uint_eq(answer.from, question.since + 1);
        ck_assert(history.count == 0 || answer.from >= question.first);
    }
    question.is_read = true;
    ck_assert_int_eq(recovery_judge(&question).verdict, answer.verdict);
}

START_TEST(agrees_with_the_formula)
{
    size_t recovered = 0;
    size_t not_recovered = 0;
    for (uint64_t top = 0; top < SMALL; top++) {
        for (uint64_t since = 0; since <= top + 2; since++) {
            for (uint64_t first = 1; first <= top + 1; first++) {
                for (uint64_t count_max = 1; count_max <= SMALL; count_max++) {
                    const struct recovery_question question = {
                        .asked = true,
                        .epoch_matches = _i == 1,
                        .since = since,
                        .top = top,
                        .first = first,
                        .last = top,
                        .count_max = count_max,
                    };
                    judge_twice(question);
                    *(is_recovered(&question) ? &recovered : &not_recovered) += 1;
                }
            }
        }
    }
    ck_assert_uint_gt(not_recovered, 0);
    ck_assert_int_eq(recovered > 0, _i == 1);
}
END_TEST

/* The latest one: there and given, or had already, or lost; whatever else was missed. */
START_TEST(gives_the_latest)
{
    for (uint64_t top = 0; top < SMALL; top++) {
        for (uint64_t since = 0; since <= top + 2; since++) {
            for (uint64_t first = 1; first <= top + 1; first++) {
                const struct recovery_question question = {
                    .asked = true,
                    .cache = true,
                    .epoch_matches = _i == 1,
                    .is_read = true,
                    .since = since,
                    .top = top,
                    .first = first,
                    .count_max = 1,
                };
                const struct recovery_answer answer = recovery_judge(&question);
                const bool has_it = _i == 1 && top > 0 && since == top;
                const bool is_there = top > 0 && first <= top;
                ck_assert_int_eq(answer.verdict,
                                 has_it || is_there ? RECOVERY_COMPLETE : RECOVERY_IMPOSSIBLE);
                ck_assert_uint_eq(answer.from, has_it ? top + 1 : is_there ? top : 0);
            }
        }
    }
}
END_TEST

START_TEST(nobody_may_be_given_nothing)
{
    const struct recovery_question question = {.asked = true, .epoch_matches = true};
    ck_assert_int_eq(recovery_judge(&question).verdict, RECOVERY_COMPLETE);
}
END_TEST

int main(void)
{
    TCase *recovery = tcase_create("recovery");
    tcase_add_loop_test(recovery, judges, 0, COUNT(cases));
    tcase_add_loop_test(recovery, agrees_with_the_formula, 0, 2);
    tcase_add_loop_test(recovery, gives_the_latest, 0, 2);
    tcase_add_test_raise_signal(recovery, nobody_may_be_given_nothing, SIGABRT);
    Suite *suite = suite_create("chat/recovery");
    suite_add_tcase(suite, recovery);
    return run_suite(suite);
}
