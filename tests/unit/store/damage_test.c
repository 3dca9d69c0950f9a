/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which table is meant by what the engine says, and that a note says the same to the next process.
 */
#include "store/damage.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *reason;
    uint64_t table; /* 0: none is named */
} reasons[] = {
    {"Corruption: block checksum mismatch: stored = 1, computed = 2, type = 4  in "
     "/tmp/store/000026.sst offset 1381885 size 8084",
     26},
    {"Corruption: Bad table magic number: expected 9, found 0 in /s/1000015.sst in file "
     "/s/MANIFEST-000005",
     1000015},
    {"Corruption: checksum mismatch", 0},
    {"IO error: No space left on device", 0},
    {"Corruption: in .sst", 0},
    {"Corruption: in /s/x.sst", 0},
    {"1.sst", 1},
    {"", 0},
};

START_TEST(finds_the_table)
{
    struct damage damage = {.table = 77};
    const bool named = damage_read(reasons[_i].reason, &damage);
    ck_assert_msg(named == (reasons[_i].table != 0), "%s", reasons[_i].reason);
    ck_assert_uint_eq(damage.table, named ? reasons[_i].table : 77);
}
END_TEST

START_TEST(note_comes_back)
{
    char path[] = "/tmp/parley-damage-XXXXXX";
    struct damage found;
    struct damage damage;
    ck_assert_ptr_nonnull(mkdtemp(path));
    ck_assert(!damage_find(path, &found));
    ck_assert(damage_read(reasons[0].reason, &damage));
    for (uint32_t tries = 0; tries < 3; tries++) {
        damage.tries = tries;
        damage.from_stream = tries * UINT64_MAX / 2;
        damage.to_stream = UINT64_MAX;
        damage_note(path, &damage);
        ck_assert(damage_find(path, &found));
        ck_assert(found.tries == tries && found.table == 26);
        ck_assert(found.from_stream == damage.from_stream && found.to_stream == UINT64_MAX);
        ck_assert_str_eq(found.reason, damage.reason);
    }
    damage_forget(path);
    ck_assert(!damage_find(path, &found));
    ck_assert_int_eq(rmdir(path), 0); /* and nothing else was left */
}
END_TEST

/* What is no note of ours is none. */
START_TEST(others_notes)
{
    static const char *const texts[] = {"", "x", "1 2", "1 2 3 no table", "1 2 3"};
    char path[] = "/tmp/parley-damage-XXXXXX";
    char name[64];
    struct damage found;
    ck_assert_ptr_nonnull(mkdtemp(path));
    (void)snprintf(name, sizeof(name), "%s/DAMAGED", path);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *const file = fopen(name, "w");
        ck_assert_ptr_nonnull(file);
        (void)fputs(texts[i], file);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_msg(!damage_find(path, &found), "%s", texts[i]);
    }
    damage_forget(path);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

int main(void)
{
    TCase *const tcase = tcase_create("damage");
    tcase_add_loop_test(tcase, finds_the_table, 0, (int)(sizeof(reasons) / sizeof(reasons[0])));
    tcase_add_test(tcase, note_comes_back);
    tcase_add_test(tcase, others_notes);
    Suite *const suite = suite_create("store/damage");
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
