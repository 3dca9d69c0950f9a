/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transcript: followers find what the leader noted, and nothing else; then random notes of random
 * sizes against a model that keeps every message, through many turns of the ring.
 */
#include "bench/load/transcript.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bytes text(const char *message)
{
    return (struct bytes){(const uint8_t *)message, strlen(message)};
}

static struct transcript_line line_of(uint32_t number)
{
    return (struct transcript_line){.stamp = {.sender = 3, .number = number},
                                    .due_ns = 1000 + number};
}

static void note(struct transcript *transcript, const char *message, uint32_t number, uint64_t next)
{
    ck_assert_uint_eq(transcript_note(transcript, text(message), line_of(number)), next);
}

START_TEST(follower_finds_what_the_leader_noted)
{
    struct transcript *transcript = transcript_create(64, 1024);
    ck_assert_ptr_nonnull(transcript);
    ck_assert_ptr_null(transcript_find(transcript, 0, text("one")));
    note(transcript, "one", 0, 1);
    note(transcript, "two", 1, 2);

    const struct transcript_line *line = transcript_find(transcript, 1, text("two"));
    ck_assert_ptr_nonnull(line);
    ck_assert_uint_eq(line->stamp.sender, 3);
    ck_assert_uint_eq(line->stamp.number, 1);
    ck_assert_uint_eq(line->due_ns, 1001);
    transcript_destroy(transcript);
}
END_TEST

START_TEST(refuses_what_is_not_the_same)
{
    static const struct {
        const char *why;
        uint64_t index;
        const char *message;
    } cases[] = {
        {"another line's", 1, "one"}, {"one byte differs", 0, "onE"}, {"shorter", 0, "on"},
        {"longer", 0, "one "},        {"not there yet", 2, "three"},
    };
    struct transcript *transcript = transcript_create(64, 1024);
    ck_assert_ptr_nonnull(transcript);
    note(transcript, "one", 0, 1);
    note(transcript, "two", 1, 2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ck_assert_msg(transcript_find(transcript, cases[i].index, text(cases[i].message)) == NULL,
                      "%s", cases[i].why);
    }
    transcript_destroy(transcript);
}
END_TEST

/* Who has lost its place reads a message for itself, and is back in line. */
START_TEST(noting_again_finds_the_place)
{
    struct transcript *transcript = transcript_create(64, 1024);
    ck_assert_ptr_nonnull(transcript);
    note(transcript, "one", 0, 1);
    note(transcript, "two", 1, 2);
    note(transcript, "three", 2, 3);
    note(transcript, "two", 1, 2);
    ck_assert_ptr_nonnull(transcript_find(transcript, 2, text("three")));
    /* The same stamp in other bytes is another line: whoever got it had verified it. */
    note(transcript, "Two", 1, 4);
    transcript_destroy(transcript);
}
END_TEST

START_TEST(too_large_is_not_noted)
{
    struct transcript *transcript = transcript_create(8, 4);
    ck_assert_ptr_nonnull(transcript);
    note(transcript, "four", 0, 1);
    note(transcript, "fives", 1, 1);
    ck_assert_ptr_nonnull(transcript_find(transcript, 0, text("four")));
    transcript_destroy(transcript);
}
END_TEST

enum { NOTES = 40000, NOTE_SIZE_MAX = 60 };

static size_t write_note(uint32_t number, char target[NOTE_SIZE_MAX])
{
    const int size = snprintf(target, NOTE_SIZE_MAX, "%u:", number);
    const size_t whole = (size_t)size + (number * 2654435761U >> 8) % 40;
    memset(target + size, 'a' + (int)(number % 26), whole - (size_t)size);
    return whole;
}

/* At each step every line that is found is the right one, and the newest ones are found. */
START_TEST(keeps_the_newest)
{
    const size_t size = _i == 0 ? 1000 : 1 << 20; /* bounded by bytes, and by lines */
    struct transcript *transcript = transcript_create(8192, size);
    char message[NOTE_SIZE_MAX];
    ck_assert_ptr_nonnull(transcript);

    for (uint32_t number = 0; number < NOTES; number++) {
        const struct bytes newest = {(const uint8_t *)message, write_note(number, message)};
        ck_assert_uint_eq(transcript_note(transcript, newest, line_of(number)), number + 1);
        const uint32_t back = number * 7919U % 9000;
        if (back > number) {
            continue;
        }
        const struct bytes older = {(const uint8_t *)message, write_note(number - back, message)};
        const struct transcript_line *line = transcript_find(transcript, number - back, older);
        ck_assert(line == NULL || line->stamp.number == number - back);
        ck_assert(line != NULL || back >= (_i == 0 ? 8U : 8192U));
    }
    transcript_destroy(transcript);
}
END_TEST

int main(void)
{
    TCase *all = tcase_create("all");
    tcase_add_test(all, follower_finds_what_the_leader_noted);
    tcase_add_test(all, refuses_what_is_not_the_same);
    tcase_add_test(all, noting_again_finds_the_place);
    tcase_add_test(all, too_large_is_not_noted);
    tcase_add_loop_test(all, keeps_the_newest, 0, 2);
    Suite *suite = suite_create("load/transcript");
    suite_add_tcase(suite, all);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
